package account

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Repository keeps accounts. Every call but those of package schedule names
// the owner: there is no way to ask for an account by its id alone.
type Repository interface {
	// Accounts returns the owner's accounts, oldest first, with their status.
	Accounts(ctx context.Context, o owner.Owner) ([]Account, error)
	// Account returns one, or ErrNotFound, also when it is somebody else's.
	Account(ctx context.Context, o owner.Owner, id ID) (Account, error)
	// Add saves the account, its sealed secret and its place in the schedule
	// (due at once if enabled) in one transaction. It checks limit (how many
	// the owner may have) and the uniqueness of name, folder and remote inside
	// that transaction: ErrLimitReached, ErrNameTaken, ErrFolderTaken, ErrExists.
	// A journal kept from a removed account of the same remote is taken up
	// again; the returned account has it.
	Add(ctx context.Context, a Account, sealed []byte, limit int) (Account, error)
	// Update replaces the settings if a.SettingsEpoch is still the saved one and
	// bumps it; ErrChanged otherwise. A nil sealed keeps the secret. A visit under way is
	// fenced off when server, protocol, user name, secret, folder or rules
	// changed, or the start. The account becomes due at once if dueNow is true.
	Update(ctx context.Context, a Account, sealed []byte, dueNow bool) (Account, error)
	// Remove deletes account, secret and schedule and fences a visit under way.
	// The journal is retired for 30 days if keepJournal is true, else forgotten.
	// An account that does not match is left as it is: ErrPrecondition.
	Remove(ctx context.Context, o owner.Owner, id ID, keepJournal bool, match Match) error
	// SealedSecret returns what Add or Update was given.
	SealedSecret(ctx context.Context, ref remote.SecretRef) ([]byte, error)
	// Hurry makes the account due now.
	Hurry(ctx context.Context, o owner.Owner, id ID) error
	// FolderInfos and Runs report on visits; newest run first.
	FolderInfos(ctx context.Context, o owner.Owner, id ID) ([]FolderInfo, error)
	Runs(ctx context.Context, o owner.Owner, id ID, limit int) ([]Run, error)
	// Skipped returns a page of what could not be fetched, newest first; an
	// unknown cursor is an *InvalidError.
	Skipped(ctx context.Context, o owner.Owner, id ID, limit int, cursor string) (SkippedPage, error)
	// RetrySkipped has the message tried at the next visit, whatever its size,
	// makes the account due, and returns the message as it is then. One that is
	// not there, or is of another account, is ErrNotFound.
	RetrySkipped(ctx context.Context, o owner.Owner, id ID, sid string) (Skipped, error)
	// RetryAllSkipped does the same for all of an account, and returns how many
	// they are.
	RetryAllSkipped(ctx context.Context, o owner.Owner, id ID) (int, error)
}

// Sealer encrypts secrets at rest, bound to owner, subject and field, so that
// one row's ciphertext is useless in another.
type Sealer interface {
	Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error)
	Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error)
}

// Presets knows the providers' settings.
type Presets interface {
	// Suggest returns settings for an address; Source "none" when nothing is known.
	Suggest(ctx context.Context, email string) Suggestion
	// Preset returns a preset by id, filled in for the address.
	Preset(id, email string) (Preset, bool)
}

// Prober runs a connection test.
type Prober interface {
	// Probe never fails by itself: what went wrong is in the report. It is
	// bounded to 20 seconds.
	Probe(ctx context.Context, a Account, c remote.Credential) TestReport
}

// TestLog writes connection tests down.
type TestLog interface {
	// Begun is called before a test; a test that cannot be recorded is not made.
	Begun(ctx context.Context, a Account) error
	// Failed records the outcome of a test that did not succeed.
	Failed(ctx context.Context, a Account, code fault.Code) error
}

// Grants is what users allowed on providers' own pages (OAuth 2.0).
type Grants interface {
	// Grant returns one that no account has taken yet. One that is not there,
	// not any more, or somebody else's, is ErrNotFound; other errors are a
	// *fault.Error when the provider is in the way.
	Grant(ctx context.Context, o owner.Owner, id string) (Grant, error)
	// DropGrant forgets one that an account has taken.
	DropGrant(ctx context.Context, o owner.Owner, id string) error
	// ServesHost reports whether a mail server is one of the provider's own,
	// which alone are shown its tokens.
	ServesHost(provider, host string) bool
	// Credential returns an access token for a saved account's login, fresh.
	Credential(ctx context.Context, m remote.Mailbox) (remote.Credential, error)
}

// Remotes says which hosts and ports an account may name. CheckServer looks at
// the words only; addresses are checked when they are dialled.
type Remotes interface {
	CheckServer(s remote.Server) error // A *fault.Error with HostNotAllowed, or nil.
	// OwnHost reports whether a host is one where users' own mailboxes lie, by
	// its name or by an address.
	OwnHost(ctx context.Context, host string) bool
}

// LocalFolders is the owner's own mailbox, as far as accounts concern it.
type LocalFolders interface {
	// RemoveFolder deletes the account folder and everything below it from the local mailbox.
	RemoveFolder(ctx context.Context, o owner.Owner, folder string) error
	// Reach finds out whether RemoveFolder can be expected to go well at this moment. Where there is no mailbox it can.
	Reach(ctx context.Context, o owner.Owner) error
	// Challenge makes an empty folder in the local mailbox whose name nobody can
	// guess, until remove is called. The name is "" where there is no mailbox yet.
	Challenge(ctx context.Context, o owner.Owner) (name string, remove func() error, err error)
}

// Nudger is notified that an account became due. It is a courtesy: the schedule's
// row is the truth.
type Nudger interface{ Nudge() }
