package imapbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// conn is a connection that has signed in to one user's mailbox.
type conn struct {
	*wire.Writer
	hierarchy
	login   Login // How it has.
	caps    map[string]bool
	folders map[string]bool
	foreign []string // What the names of others' folders, and of shared ones, begin with.
	// Folders that may be deleted now, as their owner asks for it, or since a test is over.
	removable map[string]bool

	selected string           // The folder that is selected; "": none, or one is being selected.
	validity uint32           // Its UIDVALIDITY,
	next     uint32           // … and its UIDNEXT when it was selected.
	told     func(wire.Reply) // Hears what the server says of what is moved; nil: nothing is.
	keeps    map[string]bool  // The flags that it keeps, in lower case; `\*`: any; nil: it does not say.
}

// open connects, signs in and learns what the mailbox has.
func (s *Store) open(ctx context.Context, o owner.Owner) (*conn, error) {
	s.o.Step("connect")
	login, err := s.o.Login(ctx, o)
	if err != nil {
		return nil, anothers{err}
	}
	l, err := s.dial(ctx, login)
	if err != nil {
		return nil, err
	}
	release := l.Bind(ctx)
	defer release()
	if ctx.Err() != nil { // A quick server could be done before that is noticed.
		_ = l.Close()
		return nil, wire.Interrupted(ctx)
	}
	c := &conn{login: login, folders: map[string]bool{}}
	c.Writer = wire.NewWriter(l, wire.Permission{
		Private: s.isStaging, Removed: func(name string) bool { return c.removable[name] },
	})
	c.Heard = c.heard
	if err := c.begin(ctx, l, login); err != nil {
		_ = l.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) begin(ctx context.Context, l *wire.Link, login Login) error {
	told, _, err := wire.Welcome(ctx, l)
	if err != nil {
		return err
	}
	c.caps = capabilities(told)
	if len(c.caps) == 0 {
		if err := c.askCapabilities(); err != nil {
			return err
		}
	}
	err = c.signIn(login)
	if no := (*wire.Refused)(nil); refusedAs(err, &no) && c.Failure() == nil {
		return &refusedLogin{no, login.Own}
	}
	if err != nil {
		return err
	}
	c.SignedIn()
	if len(c.caps) == 0 {
		if err := c.askCapabilities(); err != nil {
			return err
		}
	}
	return c.look()
}

func capabilities(text string) map[string]bool {
	all := map[string]bool{}
	for word := range strings.FieldsSeq(strings.ToUpper(text)) {
		all[word] = true
	}
	return all
}

func (c *conn) askCapabilities() error {
	_, err := c.Do("CAPABILITY", c.hearCapabilities)
	return err
}

func (c *conn) hearCapabilities(a wire.Answer) error {
	if a.Kind == "CAPABILITY" {
		c.caps = map[string]bool{}
		for _, v := range a.Values {
			c.caps[strings.ToUpper(v.Text)] = true
		}
	}
	return nil
}

// signIn signs in. What the server could do before does not count after.
func (c *conn) signIn(login Login) error {
	cred := login.Credential
	before := c.caps
	c.caps = nil
	var err error
	var done wire.Answer
	switch {
	case cred.Auth == remote.OAuth2:
		err = c.Authenticate(c.SASL(wire.SASLXOAUTH2, cred), before["SASL-IR"])
	case login.OnBehalfOf != "":
		err = c.Authenticate(c.SASLFor(login.OnBehalfOf, cred), before["SASL-IR"])
	case before["LOGINDISABLED"] || !wire.IsPlain(cred.Username+cred.Secret.Reveal()):
		err = c.Authenticate(c.SASL(wire.SASLPlain, cred), before["SASL-IR"])
	default:
		done, err = c.Login(cred, c.hearCapabilities)
	}
	if done.Reply.Code == "CAPABILITY" {
		c.caps = capabilities(done.Reply.Args)
	}
	return err
}

// look learns the hierarchy and the folders that there are.
func (c *conn) look() error {
	namespace := ""
	var err error
	if c.caps["NAMESPACE"] {
		if namespace, err = c.Send("NAMESPACE"); err != nil {
			return err
		}
	}
	list, err := c.Send(`LIST "" "*"`)
	if err != nil {
		return err
	}
	if namespace != "" {
		_, err := c.Await(namespace, func(a wire.Answer) error {
			if a.Kind == "NAMESPACE" && len(a.Values) > 0 && len(a.Values[0].List) > 0 {
				if own := a.Values[0].List[0].List; len(own) > 1 {
					c.delimiter = delimiterOf(own[1])
					c.prefix = prefixOf(own[0], c.delimiter)
				}
				c.notOurs(a.Values[1:])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err = c.Await(list, func(a wire.Answer) error {
		if a.Kind == "LIST" && len(a.Values) >= 3 {
			c.listed(a)
		}
		return nil
	})
	if err == nil && !isDelimiter(c.delimiter) {
		err = fault.Wrap(fault.LocalMailboxUnavailable, "listing folders",
			fmt.Errorf("folders are divided by %q, which may be in any name", c.delimiter))
	}
	c.noteSubstitutes()
	return err
}

// isDelimiter reports whether folders whose parts have this between them can be named: it is
// nothing that modified UTF-7 or an escape by "%" writes.
func isDelimiter(d string) bool {
	return d == "" || len(d) == 1 && strings.Contains("/.\\|^:~!#$;=@_'`()<>?[]{}", d)
}

// prefixOf is what is written before a user's own folders. Some servers leave the delimiter
// after INBOX out.
func prefixOf(v wire.Value, delimiter string) string {
	switch {
	case !v.Quoted || !wire.Askable(v.Text):
		return ""
	case strings.EqualFold(v.Text, "INBOX"):
		return v.Text + delimiter
	}
	return v.Text
}

// notOurs takes what NAMESPACE says of other users' folders and of shared ones.
func (c *conn) notOurs(namespaces []wire.Value) {
	for _, of := range namespaces {
		for _, n := range of.List {
			if len(n.List) > 1 && n.List[0].Text != "" {
				c.foreign = append(c.foreign, n.List[0].Text)
			}
		}
	}
}

// isForeign reports whether a folder is another user's, or shared.
func (c *conn) isForeign(name string) bool {
	for _, prefix := range c.foreign {
		if strings.HasPrefix(name, prefix) || name == strings.TrimSuffix(prefix, c.delimiter) {
			return true
		}
	}
	return false
}

func delimiterOf(v wire.Value) string {
	if !v.Quoted {
		return ""
	}
	return v.Text
}

// longestName is how long a folder's name may be that is ever asked for, in octets.
const longestName = 1000

func (c *conn) listed(a wire.Answer) {
	if c.delimiter == "" {
		c.delimiter = delimiterOf(a.Values[1])
	}
	name := a.Values[2].Text
	if !wire.Askable(name) || len(name) > longestName {
		return // Nobody can ask for it.
	}
	if strings.EqualFold(name, inbox) {
		name = inbox
	}
	there := !slices.ContainsFunc(a.Values[0].List, func(v wire.Value) bool {
		return strings.EqualFold(v.Text, `\NoSelect`) || strings.EqualFold(v.Text, `\NonExistent`)
	})
	if there {
		c.folders[name] = true
	}
}

// selects opens a folder for reading and writing, unless it is open.
func (c *conn) selects(name string) error {
	if c.selected == name {
		return nil
	}
	tag, err := c.Send("SELECT " + wire.Quote(name))
	if err != nil {
		return err
	}
	return c.awaitSelect(name, tag)
}

func (c *conn) awaitSelect(name, tag string) error {
	c.selected, c.validity, c.next, c.keeps = "", 0, 0, nil
	done, err := c.Await(tag, nil)
	if err != nil {
		return err
	}
	if done.Reply.Code == "READ-ONLY" || c.validity == 0 {
		return fault.Wrap(fault.LocalMailboxUnavailable, "opening a folder",
			fmt.Errorf("%s cannot be written, or has no UIDVALIDITY", name))
	}
	if c.next == 0 {
		if c.next, err = c.highest(); err != nil {
			return err
		}
		c.next++
	}
	c.selected = name
	return nil
}

// highest is the highest UID in the folder that is open; 0: it is empty. Not every server tells UIDNEXT.
func (c *conn) highest() (highest uint32, err error) {
	_, err = c.Do("UID FETCH 1:* (UID)", func(a wire.Answer) error {
		uid, _ := fetched(a)
		highest = max(highest, uid)
		return nil
	})
	return highest, err
}

// heard notes what the server says beside its answers of the folder that is being selected. If
// it says later that another is in its place, nothing that is known of UIDs holds.
func (c *conn) heard(a wire.Answer) {
	if c.told != nil {
		c.told(a.Reply)
	}
	if a.Reply.Code == "PERMANENTFLAGS" && c.selected == "" {
		c.keeps = map[string]bool{}
		for flag := range strings.FieldsSeq(strings.Trim(a.Reply.Args, "() ")) {
			c.keeps[strings.ToLower(flag)] = true
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(a.Reply.Args), 10, 32)
	if err != nil {
		return
	}
	switch {
	case a.Reply.Code == "UIDVALIDITY" && c.selected != "" && uint32(n) != c.validity:
		_ = c.Abort(fault.Wrap(fault.LocalMailboxUnavailable, "reading from the server",
			fmt.Errorf("%s has another UIDVALIDITY now", c.selected)))
	case a.Reply.Code == "UIDVALIDITY":
		c.validity = uint32(n)
	case a.Reply.Code == "UIDNEXT" && c.selected == "":
		c.next = uint32(n)
	}
}

// end says goodbye, and does not wait for the answer: everything was answered before.
func (c *conn) end() {
	if _, err := c.Send("LOGOUT"); err == nil {
		_ = c.Flush()
	}
	_ = c.Close()
}

// refusedAs reports whether an error is a server's NO or BAD.
func refusedAs(err error, no **wire.Refused) bool { return errors.As(err, no) }
