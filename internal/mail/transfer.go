package mail

import (
	"context"
	"errors"
	"time"
)

// Query asks for the listing of one folder, of the messages from UID From on;
// 0 asks for all. Failing says that messages lie there that failed before: bodies are
// asked for only once they are wanted.
type Query struct {
	Folder  Folder
	From    uint32
	Failing bool
	// ReadWhole says names under which messages of the folder had to be distinguished by
	// reading them, at a server that gives them none of their own (POP3 without UIDL):
	// what has one of them is read as a whole again. Nil: none.
	ReadWhole func(ctx context.Context) (map[string]bool, error)
}

// Want names messages of one folder whose bytes are to be read. Validity is
// the UIDVALIDITY under which they were listed; a source answers for a folder
// that has another one by then with an error for that folder, never with bytes.
//
// Others are messages of the folder that came before. One of them may be read once
// more, for nothing but to see whether the server sends any message.
type Want struct {
	Folder   Folder
	Validity uint32
	Items    []Item
	Others   []Item
	// Again says that its items were skipped in earlier visits. They are asked for
	// after all others, one at a time: one over which the connection ends is missed
	// at once, and after two of them the rest is left (ErrLeft).
	Again bool
}

// ErrLeft says that messages were left for another visit, since connections ended
// over too many of them. Others came, and what is to blame was missed.
var ErrLeft = errors.New("messages were left for another visit")

// Staged is a message that lies in the spool, not yet visible to the user.
type Staged struct {
	Spool       string // Name of the spool file.
	Fingerprint Fingerprint
	FileSize    int64     // Octets of the file: line ends as LF.
	VirtualSize int64     // Octets with every line end as CRLF, as Dovecot counts.
	Received    time.Time // The date the file has.
}

// ErrNoNote says that a destination has no place for a note of generations.
var ErrNoNote = errors.New("the destination keeps no note of generations")

// Sealed is what became of a staged message that was to last.
type Sealed struct {
	Spool string // Its name from now on.
	// Refused says why the destination does not take the message; nil: it does.
	Refused error
}

// SealedAsStaged is what a spool returns in which a message keeps its name.
func SealedAsStaged(ps []Placement) []Sealed {
	all := make([]Sealed, len(ps))
	for i, p := range ps {
		all[i].Spool = p.Spool
	}
	return all
}

// Placement says where a staged message goes.
type Placement struct {
	Spool string
	Token Token
	// Fingerprint is what the message was when it was staged.
	Fingerprint Fingerprint
	Folder      string // Local folder, "/" between parts: "Gmail/Archive/2023".
	Flags       Flags
	Keywords    Keywords
	Received    time.Time // In the zone in which its server told it.
	FileSize    int64
	VirtualSize int64
}

// Placed is where a destination says that it has a delivered message. It is a hint: some say it wrong.
type Placed struct {
	Token    Token
	Validity uint32 // The folder's UIDVALIDITY (RFC 9051 section 2.3.1.1).
	UID      uint32
}

// Fate is what became of a staged message.
type Fate int

// The fates.
const (
	// Pending is a message that is not delivered, and can be.
	Pending Fate = iota
	// Delivered is one that was, whatever its user has done with it since.
	Delivered
	// Lost is one that is neither in the spool nor, as far as can be told, delivered.
	Lost
)
