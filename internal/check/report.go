package check

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// JournalReport is one journal as a check reads it: an account's, or that of a removed
// account which is still kept.
type JournalReport struct {
	Journal    string
	Account    account.ID // "": the account was removed.
	Email      string
	Visiting   bool // A worker holds the account at this moment.
	Generation int64
	Folders    []fetch.Folder
	Open       []fetch.Batch
	Skipped    []fetch.Skipped
	Messages   []Message
	// BeforeStart are the messages of POP3 that are older than the account's start. By
	// IMAP their dates show it, at each visit.
	BeforeStart []fetch.Ref
}

// Message is one message that a journal knows.
type Message struct {
	fetch.Known
	Received time.Time
	Global   string
	Alias    bool // It was delivered from another folder.
}

// Journals are the journals of all users, for checking.
type Journals interface {
	// JournalReports returns a user's journals as they are at one moment, without
	// their messages if those are not wanted.
	JournalReports(ctx context.Context, o owner.Owner, messages bool) ([]JournalReport, error)
	// MailboxSeen reports whether the user's mailbox was ever there.
	MailboxSeen(ctx context.Context, o owner.Owner) (bool, error)
}

// Mailboxes are the users' mailboxes, for checking. Nothing is changed there.
type Mailboxes interface {
	Inspect(ctx context.Context, o owner.Owner) (Inventory, error)
	Fingerprint(ctx context.Context, o owner.Owner, f mail.Found) (mail.Fingerprint, error)
}
