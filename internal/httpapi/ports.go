package httpapi

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Accounts is where users' accounts are added, edited and removed;
// *account.Registry implements it. Every call names the owner: what is
// somebody else's is account.ErrNotFound.
type Accounts interface {
	List(ctx context.Context, o owner.Owner) ([]account.Account, error)
	Get(ctx context.Context, o owner.Owner, id account.ID) (account.Account, error)
	Create(ctx context.Context, o owner.Owner, d account.Draft) (account.Account, error)
	Update(ctx context.Context, o owner.Owner, id account.ID, p account.Patch) (account.Account, error)
	Delete(ctx context.Context, o owner.Owner, id account.ID, keepMail bool, match account.Match) error
	Test(ctx context.Context, o owner.Owner, d account.Draft) (account.TestReport, error)
	TestExisting(ctx context.Context, o owner.Owner, id account.ID, p account.Patch) (account.TestReport, error)
	FetchNow(ctx context.Context, o owner.Owner, id account.ID) error
	FolderTree(ctx context.Context, o owner.Owner, id account.ID) ([]account.FolderInfo, error)
	Runs(ctx context.Context, o owner.Owner, id account.ID, limit int) ([]account.Run, error)
	Skipped(ctx context.Context, o owner.Owner, id account.ID, limit int, cursor string) (account.SkippedPage, error)
	RetrySkipped(ctx context.Context, o owner.Owner, id account.ID, sid string) (account.Skipped, error)
	RetryAllSkipped(ctx context.Context, o owner.Owner, id account.ID) (int, error)
	Discover(ctx context.Context, o owner.Owner, email string) (account.Suggestion, error)
	MaxPerUser() int
}

var _ Accounts = (*account.Registry)(nil)

// Watcher finds the changed accounts of many users with a few queries, however many users
// there are. It is for one goroutine at a time.
type Watcher interface {
	// Changes returns those of users whose accounts may have changed since the last call,
	// each with all accounts as Accounts.List returns them. It also returns users for whom
	// something ended, such as a session; users who were not in the last call; and all of
	// resend.
	Changes(ctx context.Context, users, resend []owner.Owner) (map[owner.Owner][]account.Account, error)
}

// Quotas is one user's quota. A mailbox that cannot be read is a *fault.Error
// with LocalMailboxUnavailable. A user who was never seen has an empty one.
type Quotas interface {
	Quota(ctx context.Context, o owner.Owner) (owner.Quota, error)
	// SetLimit replaces both limits and returns the quota as it is then; unless what
	// was set before does not match, which is account.ErrPrecondition.
	SetLimit(ctx context.Context, o owner.Owner, l owner.Limit, match account.Match) (owner.Quota, error)
	// ClearLimit takes back what was set for the user: its default counts. What was set
	// has to match as in SetLimit.
	ClearLimit(ctx context.Context, o owner.Owner, match account.Match) (owner.Quota, error)
}

// Users are the operator's users, who come and go.
type Users interface {
	// Remove removes a user with all that is here of it, and the mail that was fetched
	// if deleteMail says so. It may be repeated. While visits are ending, or another
	// process is at it, it fails with account.ErrVisitsEnding or account.ErrRemoving,
	// and continues by itself.
	Remove(ctx context.Context, o owner.Owner, deleteMail bool, by owner.Owner) error
	// Recognise compares the id of an address's user with the one that came before:
	// with another, what the former user had is removed. The former user is
	// ErrFormerUser from then on.
	Recognise(ctx context.Context, o owner.Owner, id owner.UserID) error
	// Export writes all that is stored about a user as one JSON document, without any
	// secret, and writes down that it does. It holds little of it at a time.
	Export(ctx context.Context, o owner.Owner, w io.Writer) error
}

// MailboxLogins are how users' own mailboxes are signed in to, where each has a password of its own. Set is
// account.ErrNotFound where that is not so.
type MailboxLogins interface {
	// Set saves name and password. It may be repeated, and writes nothing that is saved already.
	Set(ctx context.Context, o owner.Owner, username string, password remote.Secret) error
	// Forget removes them. It may be repeated.
	Forget(ctx context.Context, o owner.Owner) error
}

// Repeats are requests that may be repeated under a name.
type Repeats interface {
	// Once performs a user's request, unless one of this name was performed within
	// the last day: then it returns that one's answer. For another request it is
	// ErrKeyReused, while the first is under way ErrKeyInProgress. do's error frees the name.
	Once(ctx context.Context, o owner.Owner, name string, request []byte,
		do func(id string) (answer []byte, err error)) (answer []byte, err error)
}

// Admin looks across users, and sets the limits of many at a time.
type Admin interface {
	// CountQuotas says how many users a filter chooses.
	CountQuotas(ctx context.Context, f insight.QuotaFilter) (int64, error)
	// ChangeLimits changes the limits of the next users that a filter chooses, in one bounded
	// transaction. The first step begins after "", each further one as the step before says.
	ChangeLimits(ctx context.Context, f insight.QuotaFilter, c owner.LimitChange, after string) (insight.LimitStep,
		error)
	// DefaultLimits returns a page of default limits, everybody's first, then by domain,
	// beginning after one; and after which the next page begins, "" after the last.
	DefaultLimits(ctx context.Context, after string, limit int) (page []insight.DefaultLimit, next string, err error)
	// SetDefaultLimit sets the limits of all users of a domain for whom nothing else was
	// set (owner.EveryDomain: of all whose domain has none); nil takes them back.
	SetDefaultLimit(ctx context.Context, domain string, l *owner.Limit) error
	// Quotas and Accounts return a page, and the cursor of the next one, "" after the last.
	Quotas(ctx context.Context, f insight.QuotaFilter) (page []owner.Quota, next string, err error)
	// QuotaSummary counts all users by how full their mailboxes are.
	QuotaSummary(ctx context.Context) (insight.QuotaSummary, error)
	Accounts(ctx context.Context, f insight.AccountFilter) (page []account.Account, next string, err error)
	Stats(ctx context.Context) (insight.Stats, error)
	// Account finds anybody's account by its id; account.ErrNotFound without one.
	Account(ctx context.Context, id account.ID) (account.Account, error)
	// Hosts returns up to limit remote servers by host and port, those with the most
	// affected accounts first.
	Hosts(ctx context.Context, limit int) ([]insight.HostHealth, error)
}

// OAuth signs in on providers' own pages. *oauth.Service implements it.
type OAuth interface {
	Begin(ctx context.Context, st oauth.Start) (address string, expires time.Time, err error)
	Finish(ctx context.Context, c oauth.Callback) (oauth.Finished, error)
	// Grant returns what an owner allowed, or account.ErrNotFound.
	Grant(ctx context.Context, o owner.Owner, id string) (account.Grant, error)
}

var _ OAuth = (*oauth.Service)(nil)

// Links keeps the links that sign in to the web pages.
type Links interface {
	Save(ctx context.Context, token string, l Link) error
	// Look returns a link. One that is not there, or not any more, is
	// account.ErrNotFound.
	Look(ctx context.Context, token string) (Link, error)
	// Exchange returns a link and forgets it, so that nobody gets it again, in any
	// process; and begins a session of its user, which lives until then.
	Exchange(ctx context.Context, token, session string, until time.Time) (Link, error)
}

// Sessions keeps which sessions have not ended, for all processes alike: what
// one ends is over for the next request to any.
type Sessions interface {
	Alive(ctx context.Context, name string) (bool, error)
	// Ended returns which of these have ended, with one query per thousand.
	Ended(ctx context.Context, names []string) ([]string, error)
	End(ctx context.Context, name string) error
	// EndAll ends a user's sessions, for the zero Owner everybody's, and says how
	// many there were; and takes back the links that were not followed yet, and
	// forgets the Browsers.
	EndAll(ctx context.Context, o owner.Owner) (int64, error)
}

// Browsers are in which browsers users have signed in by a password, by names that
// nobody can guess. Nobody is signed in by one.
type Browsers interface {
	// Knows reports whether the user has signed in there lately.
	Knows(ctx context.Context, name string, o owner.Owner) (bool, error)
	// Remember has it known until then, and forgets another one where there are too
	// many of that user.
	Remember(ctx context.Context, name string, o owner.Owner, until time.Time) error
}

// ErrCursor says that a page's cursor is none that was given out, or belongs
// to another query.
var ErrCursor = errors.New("must be next_cursor of the page before, with the other parameters unchanged")

// Transcripts are what was said with accounts' servers, where an administrator
// asked for it.
type Transcripts interface {
	// Status describes an account's transcript; the zero Transcript: there is none.
	Status(id account.ID) (Transcript, error)
	// SwitchOn has it written for a day.
	SwitchOn(id account.ID) (Transcript, error)
	// SwitchOff ends and removes it; there need not be one.
	SwitchOff(id account.ID) error
	// Read returns its lines; account.ErrNotFound when there is none.
	Read(id account.ID) (string, error)
}

// Transcript is what is known of an account's transcript.
type Transcript struct {
	Until time.Time // When it ends, or ended; zero: there is none.
	Bytes int64
}

// Providers lists the presets, in the order in which to offer them.
type Providers interface {
	Providers(lang words.Language) []provider.Shown // "en" or "pl".
}

// Explainer says in words, for a person who reads lang ("en" or "pl"), what
// goes wrong with an account. The account may be one that is not saved, with
// what is known of it: whatever is missing makes the words more general.
type Explainer interface {
	// Explain returns what a code means and what to do about it.
	Explain(code fault.Code, a account.Account, lang words.Language) (title, advice string)
	// ExplainDelay returns what the account's delay means; it has one.
	ExplainDelay(a account.Account, lang words.Language) diagnose.Delay
}

// Tokens says whose a bearer token is. *Verifier implements it.
type Tokens interface {
	// Verify returns ErrToken (wrapped) for a token that is not valid. Any
	// other error is ours.
	Verify(ctx context.Context, token string) (Identity, error)
	// Close ends what is under way for no request, and waits for that.
	Close()
}

// Identity is who asks.
type Identity struct {
	Owner   owner.Owner
	Admin   bool
	Expires time.Time
	UserID  owner.UserID // Of those who have the address one after the other; zero: not told.
	asked   time.Time    // When, before it was looked at who it is.
	session string       // The name of the browser's session; "" with a token.
}
