package transfer

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Service is what pages, programs and the command line ask of copies: Registry keeps it. Every call names the owner,
// who has no others; an operator names whose copy it is.
//
// Errors beside those of package errors: *account.InvalidError, *ExistsError, *TestFailedError, *remote.HeldBackError,
// a *fault.Error.
type Service interface {
	// Plan says what a copy would do. Both sides are tried; nothing is written.
	Plan(ctx context.Context, o owner.Owner, d Draft) (Plan, error)
	// Start saves a copy, which is due at once or at Options.StartAt. code is what shows its state to whoever is not
	// signed in: it is shown once, here, and in the mail of the beginning.
	Start(ctx context.Context, o owner.Owner, d Draft) (c Copy, code string, err error)
	// Copies returns a page of the owner's copies.
	Copies(ctx context.Context, o owner.Owner, f Filter) (Page, error)
	// Copy returns one.
	Copy(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	// Folders returns the folders of a copy: all that the source has, chosen or not.
	Folders(ctx context.Context, o owner.Owner, id ID) ([]FolderState, error)
	// Messages returns a page of a copy's messages in one state, or of all ("").
	Messages(ctx context.Context, o owner.Owner, id ID, state MessageState, limit int, cursor string) (MessagePage, error)
	// EachMessage calls yield for each message in one of the states, or for all where none is given: in the order of
	// folders, UIDs and unique-ids. None is kept in memory.
	EachMessage(ctx context.Context, o owner.Owner, id ID, states []MessageState, yield func(Message) error) error
	// Report returns the report of a copy as it is now; ErrNotVerified before there is one.
	Report(ctx context.Context, o owner.Owner, id ID) (Report, error)

	// Pause stops a copy until Resume. Cancel ends it: what is copied stays.
	Pause(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	Resume(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	Cancel(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	// Sync has an ended copy bring what came since, Verify has it compared again, and Retry has it try again what it
	// skipped. Each needs the passwords: ErrNoCredentials.
	Sync(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	Verify(ctx context.Context, o owner.Owner, id ID, how Verify) (Copy, error)
	Retry(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	// Update changes a copy. New passwords are tried first.
	Update(ctx context.Context, o owner.Owner, id ID, p Patch) (Copy, error)
	// Delete forgets a copy, but for what the audit has of it; one that has not ended is cancelled first. What is copied
	// stays. Its version has to match; else it is account.ErrPrecondition, as for Update.
	Delete(ctx context.Context, o owner.Owner, id ID, match account.Match) error

	// StatusByCode says how the copy of a source is, to whoever has its code, which people may write in any case and
	// without its hyphens; ErrNotFound for all else, after as long a
	// time whatever the reason.
	StatusByCode(ctx context.Context, source, code string) (PublicStatus, error)
	// All returns a page of everybody's copies, for administrators. Zero o: every user's.
	All(ctx context.Context, o owner.Owner, f Filter) (Page, error)
	// MostPerUser is how many unfinished copies a user may have.
	MostPerUser() int
	// May says which mailboxes a user may have copied.
	May() May
}

// May is which mailboxes a user may have copied.
type May string

// What users may do.
const (
	MayNothing May = "off"
	MayOwn     May = "own" // Into their own mailbox, or from it.
	MayAny     May = "any"
)

// Watcher finds the changed copies of many users with a few queries, however many users there are. It is for one
// goroutine at a time.
type Watcher interface {
	// Changes returns those of users whose copies, or how far they are, may have changed since the last call, each with
	// its newest MostWatched copies; users who were not in the last call; and all of resend.
	Changes(ctx context.Context, users, resend []owner.Owner) (map[owner.Owner][]Copy, error)
}

// MostWatched is how many copies a user's pages follow as they change.
const MostWatched = 50

// PublicStatus is what whoever has a copy's code is shown: no folder's name and no server.
type PublicStatus struct {
	State                       State
	Phase                       Phase
	Reason                      Reason
	Until                       time.Time
	Messages, MessagesTotal     int64
	Grade                       Grade
	CreatedAt, StartedAt, Ended time.Time
}

// Sealer encrypts secrets at rest: see account.Sealer.
type Sealer interface {
	Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error)
	Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error)
}

// Repository keeps copies. Every call but those of the schedule names the owner. Errors: ErrNotFound, *ExistsError,
// ErrLimitReached, ErrChanged, and account.ErrUnavailable.
type Repository interface {
	// Add saves a copy, its sealed secrets by field, the digest of its code and its place in the schedule, in one
	// transaction, in which it is found out whether there may be one.
	Add(ctx context.Context, c Copy, sealed map[remote.Field][]byte, code [32]byte, limit int) (Copy, error)
	Copy(ctx context.Context, o owner.Owner, id ID) (Copy, error)
	// Copies returns a page; the zero Owner asks for everybody's.
	Copies(ctx context.Context, o owner.Owner, f Filter) (Page, error)
	Folders(ctx context.Context, o owner.Owner, id ID) ([]FolderState, error)
	Messages(ctx context.Context, o owner.Owner, id ID, state MessageState, limit int, cursor string) (MessagePage, error)
	EachMessage(ctx context.Context, o owner.Owner, id ID, states []MessageState, yield func(Message) error) error
	// Report counts what a copy came to; ErrNotVerified where it has not ended once.
	Report(ctx context.Context, o owner.Owner, id ID) (Report, error)
	// Switch pauses and resumes. A visit under way is fenced off.
	Switch(ctx context.Context, o owner.Owner, id ID, on, operator bool) (Copy, error)
	// End ends a copy that has not ended, and fences a visit off. Its secrets are erased at erase.
	End(ctx context.Context, o owner.Owner, id ID, as State, erase time.Time) (Copy, error)
	// Again has an ended copy, or one that waits, work in a phase, at once. retry has what was skipped tried again.
	Again(ctx context.Context, o owner.Owner, id ID, phase Phase, options Options, retry bool) (Copy, error)
	// Update replaces what may be changed of a copy whose Edits are still those, and the secrets that are given.
	Update(ctx context.Context, c Copy, sealed map[remote.Field][]byte) (Copy, error)
	// Remove forgets a copy.
	Remove(ctx context.Context, o owner.Owner, id ID) error
	// HasSecrets reports whether a copy still has its passwords.
	HasSecrets(ctx context.Context, o owner.Owner, id ID) (bool, error)
	// ByCode returns the newest copy of a source that has a code of this digest; ErrNotFound.
	ByCode(ctx context.Context, source string, code [32]byte) (Copy, error)
}
