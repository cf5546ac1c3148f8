package transfer

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The members of a request that say names.
const (
	mapField    = "options.folders.map"
	prefixField = "options.prefix"
)

// wrong is what is wrong with a name that somebody gives.
type wrong int

const (
	nothing wrong = iota
	emptyPart
	dotsPart
	controlPart
	innerInbox
	ourPart
	tooLong
	tooDeep
	belowInbox
)

// given reads a name that somebody gives, and makes it one that the target takes.
func (w *namer) given(name string) ([]string, wrong) {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, mail.IsUnfit) || words.HasControl(name) {
		return nil, controlPart
	}
	parts := strings.Split(name, "/")
	for i, p := range parts {
		p = strings.TrimFunc(p, unicode.IsSpace)
		switch {
		case p == "":
			return nil, emptyPart
		case strings.Trim(p, ".") == "":
			return nil, dotsPart
		case strings.EqualFold(p, "INBOX") && i > 0:
			return nil, innerInbox
		case mail.IsOurs(p):
			return nil, ourPart
		case strings.EqualFold(p, "INBOX"):
			p = "INBOX"
		}
		parts[i] = w.limits.clean(p)
		if w.limits.Octets(parts[i]) > w.limits.Part {
			return nil, tooLong
		}
	}
	switch {
	case len(parts) > w.limits.Depth:
		return nil, tooDeep
	case w.limits.octets(parts)-1 > w.limits.Name:
		return nil, tooLong
	case parts[0] == "INBOX" && len(parts) > 1 && w.Takes.InboxHasNone:
		return nil, belowInbox
	}
	return w.spelling(parts), nothing
}

// checkPrefix returns the parts of the folder below which everything goes. It has at most half of a name.
func (w *namer) checkPrefix() []string {
	if w.Prefix == "" {
		return nil
	}
	parts, why := w.given(w.Prefix)
	if why == nothing && w.limits.octets(parts) > w.limits.Name/2 {
		why = tooLong
	}
	if why == nothing && len(parts) > w.limits.Depth/2 {
		why = tooDeep
	}
	switch why {
	case nothing:
		if slices.Equal(parts, []string{"INBOX"}) && w.Takes.InboxHasNone {
			break // All is beside the inbox, as without it.
		}
		return parts
	case emptyPart:
		w.bad.Add(prefixField, "invalid", "a part of the folder's name is empty: leave out the slash there")
	case dotsPart:
		w.bad.Add(prefixField, "invalid", "a folder's name is no path: leave out the parts that are only dots")
	case controlPart:
		w.bad.Add(prefixField, "control_character", "must not contain control characters or line breaks")
	case innerInbox:
		w.bad.Add(prefixField, "invalid", "only the first part of a name can be INBOX: it is the inbox")
	case ourPart:
		w.bad.Add(prefixField, "reserved", "this service needs folders of such names for itself: choose another name")
	case tooLong:
		w.bad.Add(prefixField, "too_long", "must not be longer than %d bytes", min(w.limits.Part, w.limits.Name/2))
	case tooDeep:
		w.bad.Add(prefixField, "invalid", "must not have more than %d levels", w.limits.Depth/2)
	case belowInbox:
		w.bad.Add(prefixField, "invalid", "the target takes no folders below its inbox: choose another name")
	}
	return nil
}

// takeMap gives the names that the owner wants.
func (w *namer) takeMap() {
	byName := map[string][]*node{}
	for _, n := range w.all {
		byName[n.folder.Name()] = append(byName[n.folder.Name()], n)
	}
	taken := map[string]*node{}
	for _, source := range slices.Sorted(maps.Keys(w.Map)) {
		shown := words.Clip(strings.ToValidUTF8(source, "?"))
		nodes := byName[source]
		if len(nodes) == 0 && strings.EqualFold(source, "INBOX") && w.inbox.folder != nil {
			nodes = []*node{w.inbox}
		}
		switch {
		case len(nodes) == 0:
			w.bad.Add(mapField, "unknown", "the source has no folder %s", shown)
			continue
		case len(nodes) > 1:
			w.bad.Add(mapField, "invalid", "the source has two folders %s, and only one of them can be meant", shown)
			continue
		}
		parts, why := w.given(w.Map[source])
		if why != nothing {
			w.wrongName(why, shown)
			continue
		}
		n := nodes[0]
		if n.parts != nil { // It was chosen before.
			continue
		}
		key := w.fold.key(strings.Join(parts, "/"))
		if by := cmp.Or(taken[key], w.used[key]); by != nil {
			w.meet(by, n, strings.Join(parts, "/"))
			continue
		}
		taken[key] = n
		n.parts, n.why = parts, RenamedByOwner
		if n.selectable() {
			w.used[key] = n
			if len(w.Chosen) == 0 {
				w.mapped[key] = n
			}
		}
	}
}

// wrongName says what is wrong with the name that a folder of the source is given.
func (w *namer) wrongName(why wrong, source string) {
	switch why {
	case emptyPart:
		w.bad.Add(mapField, "invalid", "a part of the new name of %s is empty: leave out the slash there", source)
	case dotsPart:
		w.bad.Add(mapField, "invalid", "the new name of %s is no path: leave out the parts that are only dots", source)
	case controlPart:
		w.bad.Add(mapField, "control_character",
			"the new name of %s must not contain control characters or line breaks", source)
	case innerInbox:
		w.bad.Add(mapField, "invalid", "only the first part of the new name of %s can be INBOX: it is the inbox", source)
	case ourPart:
		w.bad.Add(mapField, "reserved",
			"this service needs folders of such names for itself: choose another name for %s", source)
	case tooLong:
		w.bad.Add(mapField, "too_long",
			"the new name of %s is too long for the target: it takes %d bytes in all, and %d in a part",
			source, w.limits.Name, w.limits.Part)
	case tooDeep:
		w.bad.Add(mapField, "invalid", "the new name of %s must not have more than %d levels", source, w.limits.Depth)
	case belowInbox:
		w.bad.Add(mapField, "invalid",
			"the target takes no folders below its inbox: choose another name for %s", source)
	}
}

// meet says that two folders would have one name, of which the owner gave at least one.
func (w *namer) meet(a, b *node, name string) {
	w.bad.Add(mapField, "duplicate", "%s and %s would both become %s: choose another name for one of them",
		words.Clip(sourceName(a)), words.Clip(sourceName(b)), words.Clip(name))
}
