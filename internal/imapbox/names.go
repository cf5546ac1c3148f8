package imapbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/wire"
)

// hierarchy is how a server writes the names of a user's own folders.
type hierarchy struct {
	delimiter string // "": its folders have no hierarchy.
	prefix    string // Of the user's own folders.
}

// between is what stands between the parts of a name.
func (h hierarchy) between() string {
	if h.delimiter == "" {
		return "."
	}
	return h.delimiter
}

// name is how the server calls a folder, "/" between its parts, that lies below root.
func (h hierarchy) name(root, folder string) string {
	parts := strings.Split(folder, "/")
	if root != "" {
		parts = append(strings.Split(root, "/"), parts...)
	}
	for i, p := range parts {
		parts[i] = encodePart(p, h.between())
	}
	return h.prefix + strings.Join(parts, h.between())
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

// ensure makes and subscribes the folders that are not there, with those that they lie in.
func (s *Store) ensure(c *conn, folders []string) error {
	type making struct {
		name, create, subscribe string
		parent                  bool // Only what lies in it is needed.
	}
	var all []making
	asked := map[string]bool{}
	for _, folder := range folders {
		for _, f := range withParents(folder) {
			name := s.wireName(c, f)
			if c.folders[name] || asked[name] {
				continue
			}
			asked[name] = true
			s.o.Step("folder.create")
			create, err := c.Send("CREATE " + wire.Quote(name))
			if err != nil {
				return err
			}
			subscribe, err := c.Send("SUBSCRIBE " + wire.Quote(name))
			if err != nil {
				return err
			}
			all = append(all, making{name, create, subscribe, f != folder && !slices.Contains(folders, f)})
		}
	}
	var failed error
	var unknown []making // Somebody else made it, or it holds folders only until now.
	var refusals []error
	for _, m := range all {
		_, err := c.Await(m.create, nil)
		if _, also := c.Await(m.subscribe, nil); c.Failure() != nil {
			return c.Failure()
		} else if err == nil && also != nil {
			s.o.Log.Warn("a folder was not subscribed", "folder", m.name, "error", also)
		}
		if err == nil {
			c.folders[m.name] = true
			continue
		}
		unknown, refusals = append(unknown, m), append(refusals, err)
	}
	for i, m := range unknown { // All others are answered by now.
		there, err := c.exists(m.name)
		if err != nil {
			return err
		}
		if !there && failed == nil && !m.parent {
			failed = refusals[i]
		}
	}
	return failed
}

// exists asks whether there is a folder of this name, and remembers it. A server may list a
// name in another spelling than it was made by: so STATUS has the last word.
func (c *conn) exists(name string) (bool, error) {
	there := false
	_, err := c.Do(`LIST "" `+wire.Quote(name), func(a wire.Answer) error {
		if a.Kind == "LIST" && len(a.Values) >= 3 {
			c.listed(a)
			there = there || a.Values[2].Text == name && c.folders[name]
		}
		return nil
	})
	if there || err != nil {
		return there, err
	}
	_, err = c.Do("STATUS "+wire.Quote(name)+" (UIDVALIDITY)", nil)
	if errors.As(err, new(*wire.Refused)) {
		return false, nil
	}
	if err == nil {
		c.folders[name] = true
	}
	return err == nil, err
}
