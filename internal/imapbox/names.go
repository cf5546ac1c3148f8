package imapbox

import (
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/wire"
)

// hierarchy is how a server writes the names of a user's own folders.
type hierarchy struct {
	delimiter string // "": its folders have no hierarchy.
	prefix    string // Of the user's own folders.
	// substitutes are the folders that there are under another name than their own. It is never written to: what
	// is measured holds a copy of the hierarchy.
	substitutes map[string]bool
}

// between is what stands between the parts of a name.
func (h hierarchy) between() string {
	if h.delimiter == "" {
		return "."
	}
	return h.delimiter
}

// inbox is the folder that every mailbox has, whatever the case in which a server writes it.
const inbox = "INBOX"

// name is how the server calls a folder, "/" between its parts, that lies below root; the inbox lies below none. A part
// that it has a substitute for is called that.
func (h hierarchy) name(root, folder string) string {
	if folder == inbox {
		return inbox
	}
	parts := strings.Split(folder, "/")
	if root != "" {
		parts = append(strings.Split(root, "/"), parts...)
	}
	name := h.prefix
	for i, p := range parts {
		if i > 0 {
			name += h.between()
		}
		own := name + encodePart(p, h.between())
		if len(h.substitutes) > 0 {
			if other := name + substitute(p, h.between()); h.substitutes[other] {
				own = other
			}
		}
		name = own
	}
	return name
}

// isNamed reports whether what a server calls a folder is this name.
func isNamed(told, name string) bool {
	return told == name || name == inbox && strings.EqualFold(told, inbox)
}

// wireName is how the server calls a folder, "/" between its parts, of the user's own.
func (s *Store) wireName(c *conn, folder string) string { return c.hierarchy.name(s.o.Root, folder) }

// encodePart writes one part of a folder's name, in which the server's delimiter cannot be. Two
// parts are never written in the same way.
func encodePart(part, delimiter string) string {
	code := fmt.Sprintf("%02X", delimiter)
	var b strings.Builder
	for i := range len(part) {
		escaped := part[i] == '%' && (strings.HasPrefix(part[i+1:], code) || strings.HasPrefix(part[i+1:], "25"))
		switch {
		case part[i:i+1] == delimiter:
			b.WriteString("%" + code)
		case escaped: // It would be read as one of these.
			b.WriteString("%25")
		default:
			b.WriteByte(part[i])
		}
	}
	return wire.EncodeName(b.String())
}

// withParents returns a folder after those that it lies in.
func withParents(folder string) (all []string) {
	for i, r := range folder {
		if r == '/' {
			all = append(all, folder[:i])
		}
	}
	return append(all, folder)
}
