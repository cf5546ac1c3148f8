package mail

import "time"

// Query asks for the listing of one folder, of the messages from UID From on;
// 0 asks for all.
type Query struct {
	Folder Folder
	From   uint32
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
}

// Staged is a message that lies in the spool, not yet visible to the user.
type Staged struct {
	Spool       string // Name of the spool file.
	Fingerprint Fingerprint
	FileSize    int64     // Octets of the file: line ends as LF.
	VirtualSize int64     // Octets with every line end as CRLF, as Dovecot counts.
	Received    time.Time // The date the file bears.
}

// Placement says where a staged message goes: the one rename that delivers it.
type Placement struct {
	Spool       string
	Token       Token
	Folder      string // Local folder, "/" between parts: "Gmail/Archive/2023".
	Flags       Flags
	Received    time.Time
	FileSize    int64
	VirtualSize int64
}
