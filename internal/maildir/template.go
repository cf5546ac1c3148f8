package maildir

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// template says where users' mailboxes lie.
type template struct {
	base string   // The part before the first fill-in: the operator's, links allowed.
	rest []string // Further path elements, with fill-ins.
	// sole is true when two users may be led to the same mailbox, as by
	// /home/{local}/Maildir with more than one domain. The first one keeps it.
	sole bool
}

const scheme = "maildir:"

func parseTemplate(text string) (template, error) {
	path, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return template{}, fmt.Errorf("mailbox %q: it has to begin with %q", text, scheme)
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return template{}, fmt.Errorf("mailbox %q: there is no path", text)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return template{}, fmt.Errorf("mailbox %q: %w", text, err)
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := len(parts) - 1
	for i, p := range parts {
		if strings.ContainsAny(p, "{}") {
			at = i
			break
		}
	}
	t := template{base: "/" + strings.Join(parts[:at], "/"), rest: parts[at:]}
	alone := map[string]bool{} // Fill-ins that have a path element to themselves, but for fixed text.
	for _, p := range t.rest {
		names, err := fillIns(p)
		if err != nil {
			return template{}, fmt.Errorf("mailbox %q: %w", text, err)
		}
		if len(names) == 1 {
			alone[names[0]] = true
		}
	}
	t.sole = !alone["user"] && !(alone["domain"] && alone["local"])
	if parts[at] == "" {
		return template{}, fmt.Errorf("mailbox %q: the root directory cannot be a mailbox", text)
	}
	return t, nil
}

// ErrShared says that a template leads two users to one mailbox.
var ErrShared = errors.New("two users would share one mailbox: name {user}, {local}@{domain}, or {domain} and " +
	"{local} as " +
	"directories of their own, as in maildir:/srv/mail/{domain}/{local}")

// CheckTemplate returns nil for a template by which every user has a mailbox of
// its own; ErrShared for one by which two may have the same.
func CheckTemplate(text string) error {
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	if !t.sole {
		return nil
	}
	for _, p := range t.rest {
		// A domain has no @, so that one between them tells where it begins or ends.
		if strings.Contains(p, "{local}@{domain}") || strings.Contains(p, "{domain}@{local}") {
			return nil
		}
	}
	return ErrShared
}

// fillIns returns the names in braces in one path element.
func fillIns(part string) ([]string, error) {
	var names []string
	for {
		before, after, ok := strings.Cut(part, "{")
		if strings.Contains(before, "}") || !ok && strings.Contains(part, "}") {
			return nil, errors.New("a } without its {")
		}
		if !ok {
			return names, nil
		}
		name, rest, ok := strings.Cut(after, "}")
		switch {
		case !ok:
			return nil, errors.New("a { without its }")
		case name != "user" && name != "domain" && name != "local":
			return nil, fmt.Errorf("{%s} is not known; there are {user}, {domain} and {local}", name)
		}
		names, part = append(names, name), rest
	}
}

// elements returns the path of a user's mailbox below base.
func (t template) elements(o owner.Owner) []string {
	local, domain := o.String(), ""
	if i := strings.LastIndexByte(local, '@'); i >= 0 {
		local, domain = local[:i], local[i+1:]
	}
	fill := strings.NewReplacer("{user}", pathSafe(o.String()), "{domain}", pathSafe(domain), "{local}", pathSafe(local))
	out := make([]string, len(t.rest))
	for i, p := range t.rest {
		out[i] = fill.Replace(p)
	}
	return out
}

const nameMax = 255 // Octets in a directory entry's name.

// pathSafe makes one path element of an address or a part of one. Different
// texts give different elements; none is hidden, special, or a path.
func pathSafe(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '+', c == '=', c == '@', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() == 0 {
		return "%" // No other text gives that.
	}
	if b.Len() <= nameMax-55 { // Leaves room for fixed text beside it.
		return b.String()
	}
	sum := sha256.Sum256([]byte(s))
	return b.String()[:100] + "%-" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}
