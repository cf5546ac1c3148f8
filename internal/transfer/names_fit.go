package transfer

import (
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// What a name has where the target says nothing, and what is left of it at the least.
const (
	defaultPart  = 200
	defaultName  = 900
	defaultDepth = 16
	leastPart    = 40
	leastName    = 3 * leastPart
	leastDepth   = 4
)

// limits are Takes, filled in.
type limits struct{ Takes }

func (t Takes) limits() limits {
	or := func(n, otherwise, least int) int {
		if n <= 0 {
			n = otherwise
		}
		return max(n, least)
	}
	t.Part = or(t.Part, defaultPart, leastPart)
	t.Name = or(t.Name, defaultName, leastName)
	t.Depth = or(t.Depth, defaultDepth, leastDepth)
	if t.Octets == nil {
		t.Octets = func(part string) int { return len(part) }
	}
	if t.Refuses == nil {
		t.Refuses = func(rune) bool { return false }
	}
	if t.Reserved == nil {
		t.Reserved = func(string) bool { return false }
	}
	return limits{t}
}

// octets is how long the beginning of a name is, with the separator after it.
func (t limits) octets(parts []string) (n int) {
	for _, p := range parts {
		n += t.Octets(p) + 1
	}
	return n
}

// numbered is what distinguishes the ith of those that would have one name.
func numbered(i int) string { return " (" + strconv.Itoa(i) + ")" }

// clean is a part with what the target does not take changed into "_".
func (t limits) clean(part string) string {
	if t.Trims {
		part = strings.TrimFunc(part, unicode.IsSpace)
	}
	var b strings.Builder
	for i, r := range part {
		_, size := utf8.DecodeRuneInString(part[i:])
		if r == '/' || mail.IsUnfit(r) || r == utf8.RuneError && size == 1 || t.Refuses(r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	part = b.String()
	switch part {
	case "":
		return "_"
	case ".", "..":
		return strings.Repeat("_", len(part))
	}
	if mail.IsOurs(part) || t.Reserved(part) {
		part = "_" + part
	}
	return part
}

// fit is a name of a parent's parts, a clean last one and a suffix that fits the target: where there are too many parts
// or octets, parents are given up, the nearest first, but for those of root, and then the last part is cut. What is
// so shortened has a hash of the folder's whole path.
func (t limits) fit(root, parent []string, last, suffix string, n *node) (parts []string, cut bool) {
	kept := parent[:min(len(parent), t.Depth-1)]
	cut = n.deep || len(kept) < len(parent)
	room := func() int { return min(t.Name-t.octets(kept), t.Part) }
	if !cut && t.Octets(last+suffix) <= room() {
		return within(kept, last+suffix), false
	}
	for len(kept) > len(root) && room() < leastPart {
		kept = kept[:len(kept)-1]
	}
	return within(kept, t.shorten(last, "~"+mail.ShortHash(n.path...)+suffix, max(room(), leastPart))), true
}

func within(parent []string, last string) []string {
	return append(parent[:len(parent):len(parent)], last)
}

// shorten cuts a part so that with the tail it takes at most so many octets.
func (t limits) shorten(part, tail string, most int) string {
	runes := []rune(part)
	n := sort.Search(len(runes), func(n int) bool { return t.Octets(string(runes[:n+1])+tail) > most })
	return strings.TrimRightFunc(string(runes[:n]), unicode.IsSpace) + tail
}
