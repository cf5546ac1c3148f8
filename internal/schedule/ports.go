package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
)

// ErrBusy says that another worker is visiting the account, or one that it must
// not be visited beside.
var ErrBusy = errors.New("the account is being visited already")

// ErrWaits says that an account waits for its user: by itself, nothing but a
// change, or somebody who insists, has it visited again.
var ErrWaits = errors.New("the account waits for its user")

// AbortedAlone is after how many visits in a row that began and never ended an
// account is visited alone. After more, a pause comes first.
const AbortedAlone = 2

// Claim asks for routes of one kind to visit: accounts, unless it says another.
type Claim struct {
	Worker     string
	Kind       route.Kind    // Of the routes; "": route.Keep.
	Now        time.Time     // The queue's.
	Lease      time.Duration // How long a lease lasts unless a journal write extends it.
	Limit      int
	Unsure     int          // Of them, accounts that do not count as quick at most.
	Slow       int          // Of these, accounts whose last visits were slow at most.
	PerHost    int          // Visits at one remote host at a time, over all processes.
	PerUser    int          // Visits for one user at a time.
	Closed     []string     // Circuits (see CircuitKey) that are out of order.
	Recovering []Recovering // Circuits that are probed or recover.
	// AtHost is what providers allow at their hosts, below PerHost; nil: nothing.
	AtHost HostAllowances
	// Insist has ClaimOne lease an account that waits for its user too.
	Insist bool
}

// Settlement is what a finished visit leaves in the schedule's row.
type Settlement struct {
	State     account.State // OK, Retrying, NeedsAttention or OverQuota.
	At        time.Time     // The time that DueAt was computed from; zero: the queue's, when it is written.
	DueAt     time.Time     // Zero: never by itself.
	Failures  int
	Diagnosis *account.Diagnosis
	Success   bool        // Sets LastSuccessAt.
	Run       account.Run // Kept as a row of its own only when it brought mail, failed, or follows a failure.
	Keep      bool        // Whether Run is kept as a row of its own.
	Slow      bool        // The visit took SlowAfter or longer.
}

// Lease is a leased row of the schedule: the right to visit its route, and what is known
// of the visits before.
type Lease struct {
	fetch.Lease
	Row Row
}

// Row is what the schedule knows of a route, for Policy.
type Row struct {
	Interval time.Duration  // Between visits that go well; 0: the Policy's own.
	EditedAt time.Time      // When its user changed something last.
	Status   account.Status // As the visits before left it.
}

// Leased returns the lease of an account's row.
func Leased(a account.Account) Lease {
	return Lease{
		Lease: fetch.Lease{Route: a.Route(), Failures: a.Status.Failures, Slow: a.Status.Slow > 1},
		Row:   Row{Interval: a.PollInterval, EditedAt: a.UpdatedAt, Status: a.Status},
	}
}

// Queue is the schedule's table: the truth about what is due and who visits it.
type Queue interface {
	// Now is the time that all who share the queue have in common: due times and
	// leases go by it, and by no process's own clock.
	Now() time.Time
	// Claim leases up to c.Limit due accounts: their due time becomes the
	// lease's end, so that a crash makes them due again. Those go first whose
	// user has the fewest slow visits under way, then whose host has, then
	// those that are due longest. Disabled accounts are never due. An account
	// whose user has a live lease held by another process is left out. Of accounts
	// whose last AbortedAlone visits never ended a process has one at a time, and
	// beside it only such whose last visit ended.
	Claim(ctx context.Context, c Claim) ([]Lease, error)
	// ClaimOne leases one account whether due or not; ErrBusy while somebody
	// else's lease on it lives, or while it may not be visited beside others;
	// ErrWaits for one that waits for its user (NeedsAttention), unless c insists
	// or its user has asked for it.
	ClaimOne(ctx context.Context, o owner.Owner, id route.ID, c Claim) (Lease, error)
	// Extend prolongs a live lease; fetch.ErrFenced when it is lost.
	Extend(ctx context.Context, l fetch.Lease, until time.Time) error
	// Finish ends the lease and writes the row; fetch.ErrFenced when it is
	// lost. If the account was requested or edited during the visit it stays due.
	Finish(ctx context.Context, l fetch.Lease, s Settlement) error
	// Brought returns what the account's visits brought that ended after since, the
	// oldest first.
	Brought(ctx context.Context, id route.ID, since time.Time) ([]Brought, error)
	// Abandon ends the lease and makes the account due again at once, as if
	// the visit had not been. A visit whose lease is lost is known to be over then.
	Abandon(ctx context.Context, l fetch.Lease) error
	// Rest ends a lease under which an account was not visited that waits for its user: it
	// continues to wait.
	Rest(ctx context.Context, l fetch.Lease) error
	// GiveWay ends the lease of a slow visit that was cut short: as Abandon, but
	// the account does not count as quick any more.
	GiveWay(ctx context.Context, l fetch.Lease) error
	// NoteOutages publishes, for people to read, which circuits are open for this
	// process. It replaces what the worker published before.
	NoteOutages(ctx context.Context, worker string, all []Outage) error
	// Overdue returns since when the account has been due that waits longest,
	// requested ones too, but for accounts of the closed circuits; zero for none.
	Overdue(ctx context.Context, kind route.Kind, now time.Time, closed []string) (time.Time, error)
	// SlowWaiting returns the users of due accounts whose last visits were slow, each
	// once, but for users whom other processes than the worker's serve and for
	// accounts of the closed circuits; those that wait longest first, a hundred at most.
	SlowWaiting(ctx context.Context, worker string, now time.Time, closed []string) ([]owner.Owner, error)
	// NextDue returns when the next route of a kind becomes due; zero for none.
	NextDue(ctx context.Context, kind route.Kind) (time.Time, error)
}
