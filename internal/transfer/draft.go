package transfer

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Draft is a copy as somebody asks for it.
type Draft struct {
	ID      ID        // A random UUID; "": one is made.
	AskedAt time.Time // When whoever asks was recognised; zero: now.
	Source  SideDraft
	Target  SideDraft
	Options OptionsDraft
	// SkipTest has nothing tried before the copy is saved.
	SkipTest bool
}

// SideDraft is one end of a copy as it is asked for: what it leaves open comes from presets.
type SideDraft struct {
	// Local is the owner's own mailbox, of the target alone; nothing else is given then.
	Local bool
	// Of Settings, what says where a mailbox is and how one signs in: Email, Provider, Protocol, Host, Port, Security and
	// Username.
	account.Settings
	Password remote.Secret
	Grant    string // What was allowed on the provider's page, instead of a password.
	// ConfirmAddress takes a grant also where it is for another mailbox than Email.
	ConfirmAddress bool
}

// OptionsDraft are options as they are asked for; nil and "" leave the default.
type OptionsDraft struct {
	Options
	// Map is where single folders go at the target, by the source's name, instead of what the plan says.
	Map map[string]string
}

// Patch is a change to a copy. Nil leaves what is.
type Patch struct {
	SourcePassword, TargetPassword *remote.Secret
	SourceGrant, TargetGrant       string
	SourceConfirmed                bool // As SideDraft.ConfirmAddress.
	TargetConfirmed                bool
	NotifyEmail                    *string
	BytesPerSec                    *int64
	MaxBytes                       *int64
	SkipTest                       bool
	Match                          account.Match // The versions of the copy for which it is meant: see Copy.Version.
}

// Filter chooses a page of copies.
type Filter struct {
	Source string // The source's address; "": any.
	State  State  // "": any.
	Host   string // Of either side; "": any.
	Limit  int    // Of the page; 0: 50.
	Cursor string // As the page before returned it; "": the first page.
}

// Page is a page of copies, the newest first.
type Page struct {
	Copies []Copy
	Next   string // "": there is no other.
}

// MessagePage is a page of messages.
type MessagePage struct {
	Messages []Message
	Total    int64  // In this state, on all pages.
	Next     string // "": there is no other.
}
