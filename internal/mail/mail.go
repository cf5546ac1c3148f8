// Package mail holds the words that both ends of a transfer share: folder,
// item, flags, fingerprint, token. It does no I/O and knows no protocol.
package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// Flags are the IMAP system flags that are carried over (RFC 9051 section
// 2.3.2). \Deleted and \Recent never are.
type Flags uint8

// The flags, in the order of their Maildir letters (D, F, R, S).
const (
	Draft Flags = 1 << iota
	Flagged
	Answered
	Seen
)

// Folder is one folder of an external account, as listed.
type Folder struct {
	// Wire is the name exactly as the server wrote it, byte for byte: the
	// folder's identity. POP3's only folder is "INBOX".
	Wire string
	// Path is the name in parts, decoded, in the server's hierarchy, with a
	// personal namespace prefix taken off. INBOX has an empty Path.
	Path []string
	// SpecialUse is the folder's use (RFC 6154: `\Sent`, `\Junk`, `\All`, …), or "".
	SpecialUse string
	// Selectable is false for a name that only holds others (\Noselect, \NonExistent).
	Selectable bool
	// Shared is true for what is another user's, or shared with others, by the
	// server's word (NAMESPACE, RFC 2342 section 5): it is not the account's own mail.
	Shared bool
	// Guessed says that Shared is not the server's word, which says nothing of it.
	Guessed bool
	// Unlisted says that the server does not list it, though it must be there: INBOX.
	Unlisted bool
	// Status is what the server said of it along with the list.
	Status Status
	// Problem says why this folder cannot be read although others can: a name
	// that is not valid, say. Nil when it can.
	Problem error
}

// Name is the folder's name as rules write it: its parts with "/" between, "INBOX" for the inbox. It may have
// whatever the server put into it.
func (f Folder) Name() string {
	if len(f.Path) == 0 {
		return "INBOX"
	}
	return strings.Join(f.Path, "/")
}

// Status is a folder's state as STATUS or EXAMINE reports it (RFC 9051 section
// 6.3.11). Known is false when the server did not say.
type Status struct {
	Known         bool
	Messages      uint32
	UIDNext       uint32 // 0: not known.
	UIDValidity   uint32 // 0: not known.
	HighestModSeq uint64 // 0: no CONDSTORE.
}

// ID names one message in one folder for as long as the server keeps its
// promise: UID for IMAP (RFC 9051 section 2.3.1.1), UIDL for POP3 (RFC 1939
// section 7, at most 255 octets taken).
type ID struct {
	UID     uint32 // 0 for POP3.
	UIDL    string // "" for IMAP.
	Ordinal int    // Above 0 for a further message that has the same UIDL.
}

// ByContent stands in a UIDL that a source made before a digest of the whole message.
const ByContent = "retr "

// NamedByContent reports whether a source read the whole message to name it, so that
// the name says which it is, and returns the name that it had before that: "" for none.
func (id ID) NamedByContent() (before string, is bool) {
	at := strings.LastIndex(" "+id.UIDL, " "+ByContent)
	if at < 0 {
		return "", false
	}
	return strings.TrimSuffix(id.UIDL[:at], " "), true
}

// Item is one message as listed, without its bytes.
type Item struct {
	ID       ID
	Number   uint32    // Message sequence number, good for this session only.
	Size     int64     // Octets as the server says; a hint, never trusted for memory.
	Flags    Flags     // None for POP3.
	Keywords Keywords  // None for POP3.
	Received time.Time // INTERNALDATE in its zone; zero when the server did not say (POP3: always).
	// Global names the message over all folders of the account, where the
	// server does ("gm:" and X-GM-MSGID of Gmail, "em:" and EMAILID of RFC
	// 8474); else "".
	Global string
}

// Labelled reports whether the message's folders are labels of one message, as
// at Gmail, and not places for copies of it.
func (it Item) Labelled() bool { return strings.HasPrefix(it.Global, "gm:") }

// Listing is what one folder holds.
type Listing struct {
	Folder Folder // With Status as EXAMINE reported it, which wins over LIST-STATUS.
	// Older holds the messages before Items where a listing is too long for
	// memory; nil otherwise.
	Older Pages
	Items []Item // By ascending UID or message number.
	// Complete says that the listing has every message of the folder from the asked
	// UID on, by the server's own count.
	Complete bool
	// Below is the last message's UID where that is lower than what was asked for; 0:
	// not known.
	Below uint32
	// Unread counts messages whose line could not be read, so that not even their
	// UID is known.
	Unread int
}

// Pages are the messages of a long listing, out of memory.
type Pages interface {
	// Len returns how many there are.
	Len() int
	// Page returns the messages from at on, n of them. It may be called until
	// the session that listed them is closed.
	Page(at, n int) ([]Item, error)
}

// Len returns how many messages are listed.
func (l *Listing) Len() int {
	if l.Older == nil {
		return len(l.Items)
	}
	return l.Older.Len() + len(l.Items)
}

// Page returns the messages from at on, n of them, of the listing as a whole.
// It is not to be written to.
func (l *Listing) Page(at, n int) ([]Item, error) {
	if l.Older == nil {
		return l.Items[at : at+n], nil
	}
	older := l.Older.Len()
	switch {
	case at >= older:
		return l.Items[at-older : at-older+n], nil
	case at+n <= older:
		return l.Older.Page(at, n)
	}
	items, err := l.Older.Page(at, older-at)
	return append(items, l.Items[:at+n-older]...), err
}

// Fingerprint distinguishes messages when their identities changed.
type Fingerprint struct {
	Size   int64    // Octets as sent by the server, CRLF line ends included.
	Digest [32]byte // SHA-256 of two: that of the header with its empty line, as sent, and the one of Body, whole.
	Body   [16]byte // First half of the SHA-256 of what follows the header, line ends as CRLF.
	Header [16]byte // First half of the SHA-256 of Message-ID, Date, From and Subject.
}

// Token is a message's name in the local mailbox: it says which remote message
// a file came from to those who hold the key, and nothing to anybody else.
type Token string

// TokenFor derives the token of a message. It is the same after a restart or a
// restored database: journal is the random identity of the account's journal,
// epoch counts the folder's UIDVALIDITY changes.
//
// A remote server must not be able to compute names in a user's mailbox, hence
// the key.
func TokenFor(key []byte, journal, wire string, epoch int64, id ID) Token {
	h := hmac.New(sha256.New, key)
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	part(journal)
	part(wire)
	part(id.UIDL)
	var n [20]byte
	binary.BigEndian.PutUint64(n[0:], uint64(epoch))
	binary.BigEndian.PutUint32(n[8:], id.UID)
	binary.BigEndian.PutUint64(n[12:], uint64(id.Ordinal))
	h.Write(n[:])
	return Token("F" + tokenEncoding.EncodeToString(h.Sum(nil))[:26])
}

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
