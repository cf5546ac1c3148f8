package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// memory is a Queue in memory that keeps the interface's promises.
type memory struct {
	mu     sync.Mutex
	rows   map[account.ID]*row
	fail   error // When set, every call fails.
	claims int
	noted  []string // Outages as they were published: who, and the hosts.
}

type row struct {
	account    account.Account
	due        time.Time // Zero: never.
	leaseOwner string
	leaseUntil time.Time
	epoch      int64
	settled    []Settlement
	abandoned  int
	gaveWay    int
}

func newMemory(as ...account.Account) *memory {
	q := &memory{rows: map[account.ID]*row{}}
	for _, a := range as {
		q.rows[a.ID] = &row{account: a, due: time.Now()}
	}
	return q
}

func (q *memory) Now() time.Time { return time.Now() }

func (q *memory) NoteOutages(_ context.Context, worker string, all []Outage) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fail != nil {
		return q.fail
	}
	hosts := make([]string, len(all))
	for i, o := range all {
		hosts[i] = o.Circuit
		if o.Since.IsZero() || !o.Probe.After(o.Since) {
			return fmt.Errorf("%+v", o)
		}
	}
	q.noted = append(q.noted, worker+" "+strings.Join(hosts, " "))
	return nil
}

func (q *memory) Claim(ctx context.Context, c Claim) ([]Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	if err := cmp.Or(q.fail, ctx.Err()); err != nil {
		return nil, err
	}
	perHost, perUser, slowOf := map[string]int{}, map[owner.Owner]int{}, map[owner.Owner]int{}
	var due []*row
	for _, r := range q.rows {
		if r.leaseUntil.After(c.Now) {
			perHost[HostKey(r.account.Server)]++
			perUser[r.account.Owner]++
			if r.account.Status.Slow > 0 {
				slowOf[r.account.Owner]++
			}
		} else if !r.due.IsZero() && !r.due.After(c.Now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *row) int {
		return cmp.Or(cmp.Compare(slowOf[a.account.Owner], slowOf[b.account.Owner]), a.due.Compare(b.due), cmp.Compare(
			a.account.ID, b.account.ID))
	})
	var leases []Lease
	for _, r := range due {
		host, circuit := HostKey(r.account.Server), CircuitKey(r.account.Server)
		if len(leases) == c.Limit || perHost[host] >= c.PerHost || perUser[r.account.Owner] >= c.PerUser ||
			slices.Contains(c.Closed, circuit) {
			continue
		}
		if slow := r.account.Status.Slow; slow > 0 && c.Unsure <= 0 || slow > 1 && c.Slow <= 0 {
			continue
		} else if slow > 1 {
			c.Slow--
		}
		if r.account.Status.Slow > 0 {
			c.Unsure--
		}
		if i := slices.IndexFunc(c.Recovering, func(c Recovering) bool { return c.Circuit == circuit }); i >= 0 {
			one := &c.Recovering[i]
			if one.Visits == 0 || one.Proven && (!r.account.Status.Proven || slices.Contains(one.Except, r.account.Owner)) {
				continue
			}
			one.Visits--
		}
		perHost[host]++
		perUser[r.account.Owner]++
		leases = append(leases, r.lease(c))
	}
	return leases, nil
}

func (r *row) lease(c Claim) Lease {
	r.epoch++
	r.leaseOwner, r.leaseUntil = c.Worker, c.Now.Add(c.Lease)
	r.due = r.leaseUntil
	l := Leased(r.account)
	l.Worker, l.Epoch = c.Worker, r.epoch
	return l
}

func (q *memory) ClaimOne(_ context.Context, _ owner.Owner, id account.ID, c Claim) (Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.rows[id]
	switch {
	case q.fail != nil:
		return Lease{}, q.fail
	case r == nil:
		return Lease{}, account.ErrNotFound
	case r.leaseUntil.After(c.Now) && r.leaseOwner != c.Worker:
		return Lease{}, ErrBusy
	case r.account.Status.State == account.NeedsAttention && !c.Insist && r.leaseOwner != c.Worker:
		return Lease{}, ErrWaits
	}
	return r.lease(c), nil
}

// held returns the row if l is still its lease.
func (q *memory) held(l fetch.Lease) (*row, error) {
	r := q.rows[l.Route.ID]
	switch {
	case q.fail != nil:
		return nil, q.fail
	case r == nil, r.epoch != l.Epoch, r.leaseOwner != l.Worker:
		return nil, fetch.ErrFenced
	}
	return r, nil
}

func (q *memory) Extend(_ context.Context, l fetch.Lease, until time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.held(l)
	if err != nil {
		return err
	}
	r.leaseUntil, r.due = until, until
	return nil
}

func (q *memory) Finish(_ context.Context, l fetch.Lease, s Settlement) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.held(l)
	if err != nil {
		return err
	}
	r.leaseOwner, r.leaseUntil, r.due = "", time.Time{}, s.DueAt
	r.settled = append(r.settled, s)
	r.account.Status.State, r.account.Status.Failures, r.account.Status.Diagnosis = s.State, s.Failures, s.Diagnosis
	refused := s.Diagnosis != nil && s.Diagnosis.Code.Credential()
	r.account.Status.Proven = s.Success || r.account.Status.Proven && !refused
	if r.account.Status.Slow = max(0, r.account.Status.Slow-1); s.Slow {
		r.account.Status.Slow = QuickAgain
	}
	return nil
}

func (q *memory) Brought(_ context.Context, id account.ID, since time.Time) (all []Brought, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.rows[id].settled {
		if s.Run.Bytes > 0 && s.Run.FinishedAt.After(since) {
			all = append(all, Brought{s.Run.FinishedAt, s.Run.Bytes})
		}
	}
	return all, q.fail
}

func (q *memory) Rest(ctx context.Context, l fetch.Lease) error {
	err := q.Abandon(ctx, l)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.rows[l.Route.ID].due = time.Time{}
	}
	return err
}

func (q *memory) GiveWay(ctx context.Context, l fetch.Lease) error {
	if err := q.Abandon(ctx, l); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.rows[l.Route.ID]
	r.account.Status.Slow = QuickAgain
	r.gaveWay++
	return nil
}

func (q *memory) Overdue(_ context.Context, _ route.Kind, now time.Time, closed []string) (since time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.rows {
		if !r.due.IsZero() && !r.due.After(now) && !slices.Contains(closed, CircuitKey(r.account.Server)) &&
			(since.IsZero() || r.due.Before(since)) {
			since = r.due
		}
	}
	return since, q.fail
}

func (q *memory) SlowWaiting(
	_ context.Context, _ string, now time.Time, closed []string,
) (users []owner.Owner, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var due []*row
	for _, r := range q.rows {
		waits := !r.leaseUntil.After(now) && !r.due.IsZero() && !r.due.After(now)
		if r.account.Status.Slow > 1 && waits && !slices.Contains(closed, CircuitKey(r.account.Server)) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *row) int { return a.due.Compare(b.due) })
	for _, r := range due {
		if !slices.Contains(users, r.account.Owner) {
			users = append(users, r.account.Owner)
		}
	}
	return users, q.fail
}

func (q *memory) Abandon(_ context.Context, l fetch.Lease) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.held(l)
	if err != nil {
		return err
	}
	r.leaseOwner, r.leaseUntil, r.due = "", time.Time{}, time.Now()
	r.abandoned++
	return nil
}

func (q *memory) NextDue(context.Context, route.Kind) (time.Time, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var next time.Time
	for _, r := range q.rows {
		if !r.due.IsZero() && (next.IsZero() || r.due.Before(next)) {
			next = r.due
		}
	}
	return next, q.fail
}

// request makes an account due now, as its user would.
func (q *memory) request(id account.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows[id].due = time.Now()
}

// edit fences off a visit under way, as an edit of the account does.
func (q *memory) edit(id account.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.rows[id]
	r.epoch++
	r.leaseOwner, r.leaseUntil, r.due = "", time.Time{}, time.Now()
}

func (q *memory) setFail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
}

// row returns a copy of what is known of an account.
func (q *memory) row(id account.ID) row {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := *q.rows[id]
	r.settled = slices.Clone(r.settled)
	return r
}

var errQueueDown = errors.New("the queue is out of order")

// owner returns the user of that name.
func anOwner(t *testing.T, name string) owner.Owner {
	t.Helper()
	o, err := owner.Parse(name + "@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// accounts returns n accounts of n users at one host, a1, a2, ….
func accounts(t *testing.T, n int, host string) []account.Account {
	t.Helper()
	as := make([]account.Account, n)
	for i := range as {
		name := fmt.Sprintf("a%d", i+1)
		as[i] = account.Account{
			ID: account.ID(name), Owner: anOwner(t, name), PollInterval: 5 * time.Minute, Enabled: true,
			Server: remote.Server{Host: host, Port: 993, Security: remote.TLS}, Status: account.Status{Slow: 1},
		}
	}
	return as
}

// haveWorked makes of accounts such as were visited before, quickly and well.
func haveWorked(as []account.Account) []account.Account {
	for i := range as {
		as[i].Status.Proven, as[i].Status.Slow = true, 0
	}
	return as
}
