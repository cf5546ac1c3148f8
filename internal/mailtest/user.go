package mailtest

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// User works in a mailbox over IMAP, as a mail program does: whatever the server keeps
// mail in, and in whatever form. It is for well-behaved servers: any surprise fails the test.
type User struct {
	c             *imapConn
	prefix, delim string
}

// UserMessage is a message as its user sees it.
type UserMessage struct {
	Folder   string // "/" between parts.
	UID      int
	Body     []byte
	Flags    []string // System flags and keywords, without \Recent.
	Received time.Time
	wire     string
}

// DialUser signs in. A nil config means plaintext.
func DialUser(tb testing.TB, addr string, config *tls.Config, user, pass string) *User {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	return &User{c: c, prefix: c.namespace(), delim: c.delimiter()}
}

// Close signs out.
func (u *User) Close() { u.c.close() }

// Do sends a command that has to succeed.
func (u *User) Do(command string) {
	u.c.tb.Helper()
	u.c.do(command)
}

// Try sends a command, and returns what the server has against it.
func (u *User) Try(command string) error {
	u.c.tb.Helper()
	_, err := u.c.try(command)
	return err
}

// Folders returns what the server calls the folders that can be opened.
func (u *User) Folders() (all []string) {
	u.c.tb.Helper()
	for _, f := range u.c.list("LIST") {
		if f.selectable() {
			all = append(all, f.wire)
		}
	}
	return all
}

// Messages returns what is in all folders, or in those that chosen says; nil: all.
func (u *User) Messages(chosen func(folder string) bool) (all []UserMessage) {
	u.c.tb.Helper()
	for _, f := range u.c.list("LIST") {
		if !f.selectable() {
			continue
		}
		folder := f.path(u.c.tb, u.prefix)
		if chosen != nil && !chosen(folder) {
			continue
		}
		if u.Try("EXAMINE "+quote(f.wire)) != nil {
			continue // It is gone since.
		}
		for _, m := range u.c.messages("UID FLAGS INTERNALDATE BODY.PEEK[]") {
			all = append(all, UserMessage{folder, m.uid, m.body, m.flags, m.date, f.wire})
		}
	}
	return all
}

// Move moves a message, and reports whether it was there and is no more.
func (u *User) Move(m UserMessage, folder string) bool {
	u.c.tb.Helper()
	to := u.Name(folder)
	if !slices.Contains(u.Folders(), to) {
		u.Do("CREATE " + quote(to))
	}
	if u.Try("SELECT "+quote(m.wire)) != nil || !u.there(m.UID) {
		return false
	}
	if u.Try(fmt.Sprintf("UID MOVE %d %s", m.UID, quote(to))) == nil {
		return !u.there(m.UID)
	}
	// Without MOVE, as programs do it.
	return u.Try(fmt.Sprintf("UID COPY %d %s", m.UID, quote(to))) == nil && u.expunge(m.UID)
}

// Delete removes a message for good, and reports whether it was there and is no more.
func (u *User) Delete(m UserMessage) bool {
	u.c.tb.Helper()
	return u.Try("SELECT "+quote(m.wire)) == nil && u.there(m.UID) && u.expunge(m.UID)
}

func (u *User) expunge(uid int) bool {
	u.c.tb.Helper()
	return u.Try(fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, uid)) == nil && u.Try("EXPUNGE") == nil &&
		!u.there(uid)
}

func (u *User) there(uid int) bool {
	u.c.tb.Helper()
	lines, _ := u.c.try(fmt.Sprintf("UID FETCH %d (UID)", uid)) // NO says that it is gone since.
	return slices.ContainsFunc(lines, func(l imapLine) bool { return uidPattern.MatchString(l.text) })
}

// Name is what the server calls a folder.
func (u *User) Name(folder string) string {
	return u.prefix + EncodeName(strings.ReplaceAll(folder, "/", u.delim))
}

// Append puts a message into a folder that is there, and returns what the server has against it.
func (u *User) Append(folder string, body []byte) error {
	u.c.tb.Helper()
	u.c.n++
	u.c.write(fmt.Sprintf("t%d APPEND %s {%d}\r\n", u.c.n, quote(u.Name(folder)), len(body)))
	for l := u.c.line(); !strings.HasPrefix(l.text, "+"); l = u.c.line() {
		if strings.HasPrefix(l.text, "t") {
			return fmt.Errorf("the server says %q", l.text)
		}
	}
	u.c.write(string(body) + "\r\n")
	_, err := u.c.answers()
	return err
}
