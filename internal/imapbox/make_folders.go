package imapbox

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// making is a folder that is being made.
type making struct {
	folder, name, create, subscribe string
	parent                          bool // Only what lies in it is needed.
}

// ensure makes and subscribes the folders that are not there, with those that they lie in. What the
// server takes under no name of its own is made under a substitute.
func (s *Store) ensure(c *conn, folders []string) error {
	var all []making
	asked := map[string]bool{}
	for _, folder := range folders {
		if name := s.wireName(c, folder); c.isForeign(name) {
			return others(folder, name)
		}
		for _, f := range withParents(folder) {
			name := s.wireName(c, f)
			if c.folders[name] || asked[name] || name == inbox {
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
			all = append(all, making{f, name, create, subscribe, f != folder && !slices.Contains(folders, f)})
		}
	}
	var failed error
	var unknown []making // Somebody else made it, or it holds folders only until now.
	var refusals []error
	for _, m := range all {
		err := s.awaitMade(c, m)
		if c.Failure() != nil {
			return c.Failure()
		}
		if err != nil {
			unknown, refusals = append(unknown, m), append(refusals, err)
		}
	}
	for i, m := range unknown { // All others are answered by now.
		there, err := c.exists(m.name)
		if err == nil && !there && !m.parent && mayBeItsName(refusals[i]) {
			there, err = s.makeOtherwise(c, m.folder)
		}
		if err != nil {
			return err
		}
		if !there && failed == nil && !m.parent {
			failed = refusals[i]
		}
	}
	return failed
}

// others is the error of a folder that is not the user's own: whose mail lies there others may read.
func others(folder, name string) error {
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: "making folders",
		Err: fmt.Errorf("%s belongs to others, or is shared, by the server's NAMESPACE", name),
		Detail: words.Detail{words.Say("The server shares the folder %s with others, or it is theirs: give the account "+
			"another folder.", folder)},
	}
}

// awaitMade reads the answers to what makes a folder. Its error is the refusal.
func (s *Store) awaitMade(c *conn, m making) error {
	_, err := c.Await(m.create, nil)
	_, also := c.Await(m.subscribe, nil)
	if err != nil {
		return err
	}
	if also != nil && c.Failure() == nil {
		s.o.Log.Warn("a folder was not subscribed", "folder", m.name, "error", also)
	}
	c.folders[m.name] = true
	return nil
}

// mayBeItsName reports whether a folder may be refused for its name: each server has characters and words that it
// takes in none, and says so in its own way.
func mayBeItsName(err error) bool {
	no := (*wire.Refused)(nil)
	return refusedAs(err, &no) && !overQuota(no.Reply) && slices.Contains([]string{"", "CANNOT", "LIMIT"}, no.Reply.Code)
}

// makeOtherwise makes a folder whose name the server refuses under a substitute, which only its last part
// gets if that is enough. Without it a single folder at the source would hold up all of an account's mail.
func (s *Store) makeOtherwise(c *conn, folder string) (there bool, err error) {
	own := s.wireName(c, folder)
	if there, err = s.makeSubstitute(c, folder); there || err != nil {
		return there, err
	}
	above := withParents(folder)
	for _, f := range above[:len(above)-1] {
		if c.folders[s.wireName(c, f)] {
			continue
		}
		if there, err = s.makeSubstitute(c, f); !there || err != nil {
			return false, err
		}
	}
	name := s.wireName(c, folder)
	if name == own {
		return false, nil
	}
	if there, err = s.makeOne(c, folder, name); there || err != nil {
		return there, err
	}
	return s.makeSubstitute(c, folder)
}

// makeSubstitute makes a folder whose last part has another name.
func (s *Store) makeSubstitute(c *conn, folder string) (there bool, err error) {
	above := s.wireName(c, "")
	at := strings.LastIndex(folder, "/")
	if at > 0 {
		above = s.wireName(c, folder[:at]) + c.between()
	}
	name := above + substitute(folder[at+1:], c.between())
	if there, err = s.makeOne(c, folder, name); there {
		c.noteSubstitutes()
		s.o.Log.Info("the server takes no folder of this name: it has another one", "folder", folder, "name", name)
	}
	return there, err
}

// makeOne makes one folder, and reports whether it is there.
func (s *Store) makeOne(c *conn, folder, name string) (there bool, err error) {
	s.o.Step("folder.create")
	m := making{folder: folder, name: name}
	if m.create, err = c.Send("CREATE " + wire.Quote(name)); err != nil {
		return false, err
	}
	if m.subscribe, err = c.Send("SUBSCRIBE " + wire.Quote(name)); err != nil {
		return false, err
	}
	err = s.awaitMade(c, m)
	switch {
	case c.Failure() != nil:
		return false, c.Failure()
	case err != nil:
		return c.exists(name)
	}
	return true, nil
}

// How long a substitute is: so many octets of the name that it stands for, and of its digest.
const (
	substituteKeeps = 40
	digestKeeps     = 10
)

// substitute is what a part of a folder's name is called where its own is refused: letters, digits and
// spaces are kept, and a digest of the whole tells it from all others.
func substitute(part, delimiter string) string {
	kept := ""
	for _, r := range part {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != ' ' {
			r = '_'
		}
		if len(encodePart(kept+string(r), delimiter)) > substituteKeeps {
			break
		}
		kept += string(r)
	}
	sum := sha256.Sum256([]byte(part))
	digest := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:digestKeeps]
	return encodePart(strings.TrimSpace(kept)+"-"+digest, delimiter)
}

// aSubstitute is how the name of a substitute ends.
var aSubstitute = regexp.MustCompile(`-[a-z2-7]{10}$`)

// noteSubstitutes learns which of the folders that there are may be substitutes.
func (c *conn) noteSubstitutes() {
	c.substitutes = map[string]bool{}
	for name := range c.folders {
		if aSubstitute.MatchString(name) {
			c.substitutes[name] = true
		}
	}
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
