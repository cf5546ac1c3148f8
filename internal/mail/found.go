package mail

import "time"

// Found is a delivered message as it lies in a local mailbox now, wherever its
// user put it.
type Found struct {
	Folder string // The folder's directory in the mailbox: ".Gmail.Archive"; "." for the inbox.
	Sub    string // "new" or "cur".
	Name   string
	// What the name says: the time to the second, and the sizes as in Staged;
	// -1 where it does not.
	Received    int64
	FileSize    int64
	VirtualSize int64
}

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
	Found
	Token    Token // "": delivered by somebody else.
	Size     int64 // On disk.
	Modified time.Time
	Inode    uint64
	Links    uint64 // Above 1: a copy that a mail server made by linking has the same inode.
}
