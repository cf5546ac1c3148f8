package demo

import (
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// user is one mailbox. Its folders are all there from the start.
type user struct {
	name, password string

	mu      sync.Mutex
	folders []*folder
}

// folder only ever grows: the message at index i has the UID and the sequence
// number i+1.
type folder struct {
	name    string // "/" between levels.
	use     imap.MailboxAttr
	tracker *imapserver.MailboxTracker

	mu       sync.Mutex
	messages []*message
}

type message struct {
	data  []byte // As on the wire.
	flags []imap.Flag
	date  time.Time
}

// uidValidity is the same for all folders, as none is ever made again.
const uidValidity = 1704067200

func newUser(name, password string) *user { return &user{name: name, password: password} }

// knows reports whether the password is right.
func (u *user) knows(name, password string) bool {
	right := subtle.ConstantTimeCompare([]byte(password), []byte(u.password)) == 1
	return strings.EqualFold(name, u.name) && right
}

// signedIn returns the one whose name and password these are, or nil.
func signedIn(users []*user, name, password string) *user {
	for _, u := range users {
		if u.knows(name, password) {
			return u
		}
	}
	return nil
}

// add appends a message, making the folder and those above it as needed.
func (u *user) add(name string, m *message) {
	f := u.ensure(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages = append(f.messages, m)
	f.tracker.QueueNumMessages(uint32(len(f.messages)))
}

func (u *user) ensure(name string) *folder {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		u.ensure(name[:i])
	}
	if f := u.folder(name); f != nil {
		return f
	}
	uses := map[string]imap.MailboxAttr{
		"Sent": imap.MailboxAttrSent, "Drafts": imap.MailboxAttrDrafts, "Archive": imap.MailboxAttrArchive,
		"Spam": imap.MailboxAttrJunk,
	}
	f := &folder{name: name, use: uses[name], tracker: imapserver.NewMailboxTracker(0)}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.folders = append(u.folders, f)
	slices.SortFunc(u.folders, func(a, b *folder) int { return strings.Compare(a.name, b.name) })
	return f
}

// folder returns the folder of that name, or nil. INBOX is known in any case
// (RFC 3501 section 5.1).
func (u *user) folder(name string) *folder {
	for _, f := range u.list() {
		if f.name == name || f.name == "INBOX" && strings.EqualFold(name, "INBOX") {
			return f
		}
	}
	return nil
}

func (u *user) list() []*folder {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.folders)
}

func (u *user) count() int {
	n := 0
	for _, f := range u.list() {
		n += len(f.all())
	}
	return n
}

func (f *folder) all() []*message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.messages)
}
