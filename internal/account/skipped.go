package account

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Skipped is a message that could not be fetched, and why.
type Skipped struct {
	SID         string // A random UUID.
	Folder      string // Remote name, for people.
	LocalFolder string
	Message     string // How the server names it: "UID 17", "UIDL x7".
	Size        int64  // As the server tells.
	Sender      string // A name or an address; "" where it is not known, as the next two.
	Subject     string
	SentAt      time.Time // By its own Date field.
	Code        fault.Code
	Detail      words.Detail
	Attempts    int
	FirstAt     time.Time
	LastAt      time.Time
	NextAt      time.Time // Zero: not unless its owner asks for it.
}

// SkippedPage is a page of skipped messages.
type SkippedPage struct {
	Messages []Skipped
	Next     string // "": this is the last page.
	Total    int    // On all pages.
}
