package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/route"
)

const (
	// idle is the longest the claimer sleeps: other processes add work too.
	idle = time.Second
	// batchWindow lets finished visits gather, so that many are claimed at once.
	batchWindow = 20 * time.Millisecond
	// batch is the most that one claim takes.
	batch = 100
	// MaxPerHost is how many visits there may be at one remote host at a time, over all
	// processes. Delay tells people by it what they wait for: the program's Runner keeps to
	// it, and only tests have Options that say otherwise.
	MaxPerHost = 32
	// MaxPerUser is the same for one user.
	MaxPerUser = 4
	// maxOutage is the longest pause between claims while the queue fails.
	maxOutage = 15 * time.Second
)

// Options are what a Runner is made of. Queue, Visitor and Worker are needed;
// everything else has a default.
type Options struct {
	Queue   Queue
	Visitor Visitor
	Policy  Policy
	// Decide says what follows a visit instead of Policy; nil: Policy does.
	Decide func(l Lease, o Outcome, now time.Time, rnd float64) Settlement
	// Kind is of the routes that are visited; route.Keep unless it says another. Those of others are not divided into
	// quick and slow: each takes long, and yields for the others after its slice.
	Kind    route.Kind
	AtHost  HostAllowances // By hosts' providers.
	Worker  string         // Names this process among all that share the queue; without "/".
	Workers int            // Visits at a time in this process; 64.
	PerHost int            // Visits at a time at one remote host, over all processes; MaxPerHost.
	PerUser int            // Visits at a time for one user; MaxPerUser.
	Lease   time.Duration  // 30 seconds.
	Grace   time.Duration  // How long visits may take to end when Run is stopped; 7 seconds.
	Chores  []Chore
	Log     *slog.Logger
	Now     func() time.Time // Nil: the queue's.
	Rand    func() float64   // In [0, 1).

	Registerer prometheus.Registerer // Nil: metrics are counted and not shown.
}

// Runner claims what is due and has it visited.
type Runner struct {
	o       Options
	metrics metrics
	nudged  chan struct{}
	ones    atomic.Int64 // Calls of VisitOne.

	mu       sync.Mutex
	circuits *circuits
	running  map[int]*underWay // By a number of its own: an account can be claimed again while an old visit ends.
	started  int
	slots    chan struct{} // Holds one for each visit under way.
	noted    []Outage      // What other processes were shown; the claimer's alone.
	ended    chan struct{} // Signalled, without blocking, when a visit has ended.
}

// New returns a Runner.
func New(o Options) *Runner {
	o.Workers = cmp.Or(o.Workers, 64)
	o.PerHost = cmp.Or(o.PerHost, MaxPerHost)
	o.PerUser = cmp.Or(o.PerUser, MaxPerUser)
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	o.Grace = cmp.Or(o.Grace, 7*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = o.Queue.Now
	}
	o.Kind = cmp.Or(o.Kind, route.Keep)
	if o.Decide == nil {
		o.Decide = o.Policy.Next
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return &Runner{
		o: o, metrics: newMetrics(o.Registerer), nudged: make(chan struct{}, 1),
		circuits: newCircuits(o.PerHost), running: map[int]*underWay{},
		slots: make(chan struct{}, o.Workers), ended: make(chan struct{}, 1),
	}
}

// Nudge says that an account became due. It returns at once; at worst the
// account is found a second later.
func (r *Runner) Nudge() {
	select {
	case r.nudged <- struct{}{}:
	default:
	}
}

// Run claims and visits until ctx ends, and performs the chores. Then it
// claims no more, cancels the visits under way, and returns nil once all have
// ended and their accounts are given back. Visits that do not end in time lose
// their leases and are named in the error.
func (r *Runner) Run(ctx context.Context) error {
	var chores, visits sync.WaitGroup
	for _, c := range r.o.Chores {
		chores.Go(func() { r.repeat(ctx, c) })
	}
	chores.Go(func() { r.watch(ctx) })
	chores.Go(func() { r.measureLag(ctx) })
	r.claimAll(ctx, &visits)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	r.note(last, nil) // Whoever claims now has to find out again.
	cancel()

	over := make(chan struct{})
	go func() {
		visits.Wait()
		chores.Wait()
		close(over)
	}()
	grace := time.NewTimer(r.o.Grace)
	defer grace.Stop()
	select {
	case <-over:
		return nil
	case <-grace.C:
		return r.giveUp(ctx)
	}
}

// giveUp takes the leases from visits that do not end. Their journal writes
// are fenced off, so that nothing they still do counts.
func (r *Runner) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{fmt.Errorf("stopped with %d visits or chores still under way", max(1, len(r.running)))}
	for _, u := range r.running {
		if err := r.o.Queue.Abandon(ctx, u.lease.Lease); err != nil && !errors.Is(err, fetch.ErrFenced) {
			errs = append(errs, fmt.Errorf("giving back account %s: %w", u.lease.Route.ID, err))
		}
	}
	return errors.Join(errs...)
}

// claimAll claims what is due and starts its visits until ctx ends.
func (r *Runner) claimAll(ctx context.Context, visits *sync.WaitGroup) {
	var pause, outage time.Duration
	looked := time.Now()
	for r.rest(ctx, pause) {
		full, err := r.claimDue(ctx, visits)
		switch {
		case err != nil && ctx.Err() == nil:
			outage = min(max(2*outage, 100*time.Millisecond), maxOutage)
			pause = outage
			r.o.Log.ErrorContext(ctx, "claiming due accounts", "error", err, "next_try_in", pause)
		case full && time.Since(looked) < idle:
			pause, outage = 0, 0
		default:
			pause, outage = r.untilDue(ctx), 0
			looked = time.Now()
			if full {
				pause = 0
			}
		}
	}
}

// rest waits for pause, a nudge, or room for another visit; then for a free
// slot. It is false when ctx has ended.
func (r *Runner) rest(ctx context.Context, pause time.Duration) bool {
	if pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-r.nudged:
		case <-r.ended:
			// A cap may have kept back what may go now.
			if !sleep(ctx, batchWindow) {
				return false
			}
		}
	}
	select {
	case <-ctx.Done():
		return false
	case r.slots <- struct{}{}:
		<-r.slots // Only the claimer fills slots: it stays free.
	}
	return ctx.Err() == nil
}

// untilDue returns how long nothing will be due.
func (r *Runner) untilDue(ctx context.Context) time.Duration {
	due, err := r.o.Queue.NextDue(ctx, r.o.Kind)
	if err != nil || due.IsZero() {
		return idle // The next claim reports what is wrong.
	}
	wait := due.Sub(r.o.Now())
	if wait <= -idle {
		return idle // Held back by a cap or a host: its turn comes with the end of a visit.
	}
	return min(max(wait, batchWindow), idle)
}

// claimDue claims once. full says that there may be more to claim at once.
func (r *Runner) claimDue(ctx context.Context, visits *sync.WaitGroup) (full bool, err error) {
	c := r.claim(cap(r.slots) - len(r.slots))
	r.mu.Lock()
	c.Closed, c.Recovering = r.circuits.gate(c.Now)
	outages := r.circuits.outages()
	if c.Unsure, c.Slow = r.room(time.Now()); r.o.Kind != route.Keep {
		c.Unsure, c.Slow = c.Limit, c.Limit
	}
	r.mu.Unlock()
	r.metrics.down.Set(float64(len(outages)))
	r.note(ctx, outages)

	leases, err := r.o.Queue.Claim(ctx, c)
	for _, l := range leases {
		r.start(ctx, l, visits)
	}
	return len(leases) == c.Limit, err
}

// note publishes which servers are down, when that has changed.
func (r *Runner) note(ctx context.Context, outages []Outage) {
	if slices.Equal(r.noted, outages) {
		return
	}
	if err := r.o.Queue.NoteOutages(ctx, r.o.Worker, outages); err != nil {
		if ctx.Err() == nil {
			r.o.Log.WarnContext(ctx, "noting which servers are out of order", "error", err)
		}
		return // The next claim tries again.
	}
	r.noted = outages
}

func (r *Runner) claim(limit int) Claim {
	return Claim{
		Worker: r.o.Worker, Kind: r.o.Kind, Now: r.o.Now(), Lease: r.o.Lease, Limit: min(limit, batch),
		PerHost: r.o.PerHost, PerUser: r.o.PerUser, AtHost: r.o.AtHost,
	}
}

// start starts a visit.
func (r *Runner) start(ctx context.Context, l Lease, visits *sync.WaitGroup) {
	vctx, cancel := context.WithCancelCause(ctx)
	n := r.began(l, cancel)
	r.slots <- struct{}{}
	visits.Go(func() {
		defer func() {
			cancel(nil)
			<-r.slots
			select {
			case r.ended <- struct{}{}:
			default:
			}
		}()
		done := r.perform(vctx, l)
		_, err := r.finish(ctx, l, done, 0)
		if err != nil && !errors.Is(err, fetch.ErrFenced) {
			r.o.Log.WarnContext(ctx, "settling a visit", "account", l.Route.ID, "error", err)
		}
		r.over(n, done.Report, err == nil)
	})
}

// began notes a visit and returns its number.
func (r *Runner) began(l Lease, cancel context.CancelCauseFunc) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started++
	r.running[r.started] = &underWay{lease: l, began: time.Now(), turn: r.circuits.began(l), cancel: cancel}
	return r.started
}

// over notes that a visit has ended, and whether it was settled.
func (r *Runner) over(n int, rep fetch.Report, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, now := r.running[n], r.o.Now()
	delete(r.running, n)
	if rep.Messages > 0 {
		r.circuits.brought(u.lease, u.turn, now)
	}
	r.circuits.ended(u.lease, u.turn, witness(rep, settled), now)
}

// witness is what a visit says of its server: nil, that it is well. One that had
// no memory may never have been there; one that brought mail and broke off then
// shows no more than that the connection did; and one that could not be settled
// may have failed by a password that was entered after its account was claimed.
func witness(rep fetch.Report, settled bool) *fault.Error {
	e := fault.Of(rep.Err)
	switch {
	case e == nil && rep.Busy && rep.Messages == 0:
		return fault.New(fault.Interrupted, "visiting the account")
	case e != nil && hostFailed(e.Code) && (rep.Messages > 0 || !settled):
		return fault.New(fault.Interrupted, "visiting the account")
	}
	return e
}
