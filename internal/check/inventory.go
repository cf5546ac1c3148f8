package check

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// Inventory is all that lies in one user's local mailbox, for comparing it with
// the journals of the user's accounts.
type Inventory struct {
	Missing  bool // There is no mailbox; all the rest is empty.
	Folders  []LocalFolder
	Files    []LocalFile                 // Every message, those that others delivered included.
	Spools   map[string]map[string]int64 // By journal: the spool's files and their sizes.
	Notes    map[string]int64            // By journal: what is noted beside its spool; absent: nothing.
	Quota    *Usage                      // What the mailbox's quota file says; nil without one.
	Measured Usage                       // What the files come to, by their names where those say.

	// ByContent says that messages have no token here, and the spool no note: that each is
	// recognised by its size and header.
	ByContent bool
	// DirName names a local folder as Folders do; nil: as the checker does.
	DirName func(local string) string
	// SpoolName names a message on its way as Spools do, whatever else its name in a journal
	// says; nil: by that name.
	SpoolName func(name string) string
}

// Usage is what a mailbox holds.
type Usage struct{ Bytes, Messages int64 }

// LocalFolder is a folder of a local mailbox. Its name is its directory's, with
// the first dot: ".Gmail.Archive".
type LocalFolder struct {
	Dir        string
	Subscribed bool
}

// LocalFile is a message of a local mailbox.
type LocalFile struct {
	mail.Found
	Token    mail.Token // "": delivered by somebody else.
	Named    int64      // The octets that its name says; -1 where it does not.
	Size     int64      // On disk; where ByContent is set, with line ends as CRLF.
	Modified time.Time
	Inode    uint64
	Links    uint64 // Above 1: a copy that a mail server made by linking has the same inode.

	Dir    string   // Its folder, as Folders name it; of ByContent, as is …
	Header [16]byte // … its header, as in mail.Fingerprint.
}
