package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// machine is a machine whose clock a test sets.
type machine struct{ ahead atomic.Int64 }

func (m *machine) wall() time.Time { return time.Now().Round(0).Add(time.Duration(m.ahead.Load())) }

func (m *machine) jump(by time.Duration) { m.ahead.Store(int64(by)) }

// poller is a process with a machine of its own.
type poller struct {
	*world
	name   string
	store  *Store
	runner *schedule.Runner
	claims *counted
	visits atomic.Int64
}

// counted is a queue that tells how often it was asked, and of lost leases.
type counted struct {
	schedule.Queue
	claimed func()
	fenced  atomic.Int64
}

func (q *counted) Claim(ctx context.Context, c schedule.Claim) ([]schedule.Lease, error) {
	ls, err := q.Queue.Claim(ctx, c)
	q.claimed()
	return ls, err
}

func (q *counted) Finish(ctx context.Context, l fetch.Lease, s schedule.Settlement) error {
	err := q.Queue.Finish(ctx, l, s)
	if errors.Is(err, fetch.ErrFenced) {
		q.fenced.Add(1)
	}
	return err
}

// changes lets tests wait for what happens.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

func (c *changes) made() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// until waits for a condition that changes make true.
func (c *changes) until(ctx context.Context, holds func() bool) error {
	for {
		c.mu.Lock()
		if c.next == nil {
			c.next = make(chan struct{})
		}
		next := c.next
		c.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pollers are two processes on one database, each with a clock of its own.
type pollers struct {
	*world
	changes
	machines [2]machine
	two      [2]*poller
	visited  map[account.ID]int
	under    map[account.ID]int
	shared   int         // How often an account was visited twice at a time.
	correct  atomic.Bool // Whether both look for times that cannot be.
	lock     sync.Mutex
}

const pollEvery = 100 * time.Millisecond

// newPollers opens a database for two processes that go by the time that they
// share, or each by its own machine's.
func newPollers(w *world, own bool, accounts int) *pollers {
	p := &pollers{world: w, visited: map[account.ID]int{}, under: map[account.ID]int{}}
	for i := range accounts {
		w.add(fmt.Sprintf("u%d@firma.test", i), i, func(a *account.Account) { a.PollInterval = pollEvery })
	}
	for i := range p.two {
		o := Options{Wall: p.machines[i].wall}
		if own {
			o.Now = p.machines[i].wall
		}
		s, err := Open(w.Context(), w.dsn, o)
		w.must(err)
		w.Cleanup(func() { w.must(s.Close()) })
		p.two[i] = &poller{world: w, name: fmt.Sprintf("p%d", i), store: s, claims: &counted{
			Queue:   s.Queue(),
			claimed: p.made,
		}}
	}
	// Whatever the time is.
	_, err := w.w.Statement.ConnPool.ExecContext(w.Context(), "UPDATE poll_schedule SET due_at_ms = 0")
	w.must(err)
	return p
}

// start runs both.
func (p *pollers) start(visit func(ctx context.Context, by int, l fetch.Lease)) {
	ctx, cancel := context.WithCancel(p.Context())
	var running sync.WaitGroup
	for i, q := range p.two {
		o := schedule.Options{
			Queue: q.claims, Worker: q.name, PerUser: 1,
			Chores: []schedule.Chore{{Name: "correct_times", Every: pollEvery, Run: func(ctx context.Context) error {
				if !p.correct.Load() {
					return nil
				}
				return q.store.Queue().CorrectTimes(ctx)
			}}},
			Visitor: visitorFunc(func(ctx context.Context, l fetch.Lease) fetch.Report {
				p.begin(l.Route.ID)
				q.visits.Add(1)
				visit(ctx, i, l)
				p.end(l.Route.ID)
				return fetch.Report{}
			}),
		}
		q.runner = schedule.New(o)
	}
	for _, q := range p.two {
		running.Go(func() {
			if err := q.runner.Run(ctx); err != nil {
				p.Error(err)
			}
		})
	}
	p.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

type visitorFunc func(context.Context, fetch.Lease) fetch.Report

func (f visitorFunc) Visit(ctx context.Context, l fetch.Lease) fetch.Report { return f(ctx, l) }

func (p *pollers) begin(id account.ID) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.under[id]++; p.under[id] > 1 {
		p.shared++
	}
}

func (p *pollers) end(id account.ID) {
	p.lock.Lock()
	p.under[id]--
	p.visited[id]++
	p.lock.Unlock()
	p.made()
}

// more waits until every account has been visited n times from now on.
func (p *pollers) more(n int) error {
	p.lock.Lock()
	want := map[account.ID]int{}
	for id, v := range p.visited {
		want[id] = v + n
	}
	p.lock.Unlock()
	ctx, cancel := context.WithTimeoutCause(p.Context(), 30*time.Second, errors.New("nobody visits them any more"))
	defer cancel()
	return p.until(ctx, func() bool {
		p.lock.Lock()
		defer p.lock.Unlock()
		for id, n := range want {
			if p.visited[id] < n {
				return false
			}
		}
		return true
	})
}

// jump sets a machine's clock, and has the process compare it.
func (p *pollers) jump(i int, by time.Duration) {
	p.machines[i].jump(by)
	if s := p.two[i].store; s.stop != nil {
		p.must(s.compareClock(p.Context()))
	}
}

// late lists who waits for longer than a minute for no reason but the clock: an
// account by the true time, or a process that sees nothing to do.
func (p *pollers) late() (bad []string) {
	next, n := int64(0), 0
	now := time.Now().Add(time.Minute).UnixMilli()
	p.must(p.on(p.w).row(p.Context(), "SELECT count(*) FROM poll_schedule WHERE due_at_ms > ?", now).Scan(&n))
	if n > 0 {
		bad = append(bad, fmt.Sprintf("%d accounts", n))
	}
	p.must(p.on(p.w).row(p.Context(), "SELECT min(due_at_ms) FROM poll_schedule").Scan(&next))
	for _, q := range p.two {
		if time.UnixMilli(next).Sub(q.store.Now()) > time.Minute {
			bad = append(bad, q.name)
		}
	}
	return bad
}

var jumps = map[string]time.Duration{"a day ahead": 24 * time.Hour, "a day back": -24 * time.Hour}

func TestAClockThatJumpsDelaysNobody(t *testing.T) {
	for name, by := range jumps {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				p := newPollers(w, false, 6)
				p.correct.Store(true)
				p.start(func(context.Context, int, fetch.Lease) {})
				w.must(p.until(w.Context(), func() bool { p.lock.Lock(); defer p.lock.Unlock(); return len(p.visited) == 6 }))
				for _, ahead := range []time.Duration{by, 0} {
					p.jump(0, ahead)
					if err := p.more(3); err != nil {
						w.Errorf("with the clock at %v: %v", ahead, err)
					}
					if bad := p.late(); len(bad) > 0 {
						w.Errorf("with the clock at %v these are late: %q", ahead, bad)
					}
				}
				for _, q := range p.two {
					if n := q.claims.fenced.Load(); n > 0 {
						w.Errorf("%d visits of %s were fenced", n, q.name)
					}
				}
			})
		})
	}
}

// The control: processes that go by their own clocks. What a clock has done that
// was ahead stands when it is right again; with one that is back there is nothing
// to do for a day.
func TestAProcessThatGoesByItsOwnClockIsNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPollers(w, true, 6)
		p.start(func(context.Context, int, fetch.Lease) {})
		w.must(p.until(w.Context(), func() bool { p.lock.Lock(); defer p.lock.Unlock(); return len(p.visited) == 6 }))
		p.jump(0, -24*time.Hour)
		// A visit that was under way may have been settled by the clock that is back.
		w.must(p.until(w.Context(), func() bool { return slicesEqual(p.late(), "p0") }))
		p.jump(0, 24*time.Hour)
		w.must(p.until(w.Context(), func() bool { return len(p.late()) > 0 && strings.HasPrefix(p.late()[0], "6") }))
		p.jump(0, 0)
		if bad := p.late(); !slicesEqual(bad, "6 accounts", "p0", "p1") && !slicesEqual(bad, "6 accounts") {
			w.Errorf("a clock was a day ahead, and these are late: %q", bad)
		}
		// And what mends it.
		p.correct.Store(true)
		if err := p.more(2); err != nil {
			w.Error(err)
		}
		if bad := p.late(); len(bad) > 0 {
			w.Errorf("these are late still: %q", bad)
		}
	})
}

func slicesEqual(got []string, want ...string) bool { return fmt.Sprint(got) == fmt.Sprint(want) }

// slowVisits has visits last until each process has claimed several times, for
// as long as more holds, and returns how many visits lost their leases.
func (p *pollers) slowVisits(more func(visits int, lost int64) bool) (lost int64) {
	var claims [2]atomic.Int64
	for i, q := range p.two {
		q.claims.claimed = func() { claims[i].Add(1); p.made() }
	}
	p.start(func(ctx context.Context, by int, l fetch.Lease) {
		// Due again at once, whatever the time is: for either of them.
		if err := p.two[by].store.Accounts().Hurry(ctx, l.Route.Owner, l.Route.ID); err != nil && ctx.Err() == nil {
			p.Error(err)
		}
		for i, q := range p.two {
			for range 3 {
				was := claims[i].Load()
				q.runner.Nudge()
				if p.until(ctx, func() bool { return claims[i].Load() > was }) != nil {
					return
				}
			}
		}
	})
	sum := func() int64 { return p.two[0].claims.fenced.Load() + p.two[1].claims.fenced.Load() }
	p.must(p.until(p.Context(), func() bool {
		p.lock.Lock()
		defer p.lock.Unlock()
		n := 0
		for _, v := range p.visited {
			n += v
		}
		return !more(n, sum()+int64(p.shared))
	}))
	p.lock.Lock()
	defer p.lock.Unlock()
	return sum() + int64(p.shared)
}

func TestClocksTwoMinutesApartCostNoVisit(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPollers(w, false, 8)
		p.jump(0, -time.Minute)
		p.jump(1, time.Minute)
		if lost := p.slowVisits(func(visits int, _ int64) bool { return visits < 40 }); lost > 0 {
			w.Errorf("%d visits lost their leases", lost)
		}
		for i, want := range []time.Duration{-time.Minute, time.Minute} {
			if skew := p.two[i].store.ClockSkew(); (skew - want).Abs() > 5*time.Second {
				w.Errorf("the skew of %s is %v, not %v", p.two[i].name, skew, want)
			}
		}
	})
}

// The control.
func TestLeasesByTwoClocksAreNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPollers(w, true, 8)
		p.jump(0, -time.Minute)
		p.jump(1, time.Minute)
		if lost := p.slowVisits(func(visits int, lost int64) bool { return visits < 4000 && lost == 0 }); lost == 0 {
			w.Error("no visit lost its lease")
		}
	})
}

func TestThePausesBetweenComparisonsAreBridged(t *testing.T) {
	var up time.Duration
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	c := newSharedClock(func() time.Time {
		return wall
	}, func() time.Duration { return up }, "b", slog.New(slog.NewTextHandler(&out, nil)))
	pass := func(d time.Duration) { up += d; wall = wall.Add(d) }
	begin := wall
	c.back.Store(false)
	c.follow(t.Context(), c.byWall(), 0)
	believed := func() bool {
		zero, ok := c.believe()
		if ok {
			c.follow(t.Context(), zero, 0)
		}
		c.tell(t.Context())
		return ok
	}

	wall = wall.Add(24 * time.Hour)
	for range 2 {
		pass(10 * time.Second)
		if believed() {
			t.Fatal("a clock that jumped is believed at once")
		}
	}
	if got := c.now().Sub(begin); got != 20*time.Second || c.skew() != 24*time.Hour {
		t.Errorf("%v have passed, the skew is %v", got, c.skew())
	}
	wall = wall.Add(-24 * time.Hour)
	pass(10 * time.Second)
	if believed() || c.now().Sub(begin) != 30*time.Second {
		t.Errorf("the clock is right again, and %v have passed", c.now().Sub(begin))
	}
	if back := c.back.Load(); back {
		t.Error("the clock was never set back")
	}

	wall = wall.Add(-time.Hour) // This time it stays.
	n := 0
	for ; !believed(); n++ {
		pass(10 * time.Second)
	}
	if n != 6 || c.skew() != 0 || !c.back.Load() {
		t.Errorf("believed after %d comparisons, the skew is %v", n, c.skew())
	}
	for _, want := range []string{"skew=24h0m0s", "right again", "skew=-1h0m0s", "has jumped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, out.String())
		}
	}

	// What a slow answer cannot distinguish changes nothing.
	was := c.now()
	c.follow(t.Context(), c.zero.Load()+int64(80*time.Millisecond), 100*time.Millisecond)
	if c.now() != was {
		t.Error("the clock follows what may be the network")
	}
}

func TestTimesThatCannotBeAreCorrected(t *testing.T) {
	onBoth(t, func(w *world) {
		w.clock.pass(24 * time.Hour) // Ahead.
		var as []account.Account
		for i := range 6 {
			as = append(as, w.add(fmt.Sprintf("u%d@firma.test", i), i))
		}
		ls := w.claim("p1")
		settle := func(i int, now, due time.Duration) {
			w.Helper()
			for _, l := range ls {
				if l.Route.ID == as[i].ID {
					st := schedule.Settlement{State: account.OK, Success: true, DueAt: w.clock.now().Add(now + due)}
					if due == 0 {
						st = schedule.Settlement{State: account.NeedsAttention}
					}
					w.must(w.Queue().Finish(w.Context(), l, st))
				}
			}
		}
		settle(0, 0, 5*time.Minute)
		settle(1, 0, 0) // Waits for the user.
		w.clock.pass(-24 * time.Hour)
		settle(2, 0, 12*time.Hour) // By the right time: it may wait for so long.
		settle(3, 0, 5*time.Minute)
		settle(4, 0, 26*time.Hour)
		_, err := w.w.Statement.ConnPool.ExecContext(w.Context(), w.on(w.w).bind("UPDATE poll_schedule SET due_at_ms = ? "+
			"WHERE route_id = ?"),
			w.clock.now().Add(30*24*time.Hour).UnixMilli(), string(as[3].ID))
		w.must(err)
		if got := names(w.claim("p2")); len(got) > 0 {
			w.Fatalf("%q are due before", got)
		}
		w.must(w.Queue().CorrectTimes(w.Context()))
		if got := names(w.claim("p2")); fmt.Sprint(got) != fmt.Sprint([]string{"Box 0", "Box 3"}) &&
			fmt.Sprint(got) != fmt.Sprint([]string{"Box 3", "Box 0"}) {
			w.Errorf("due are %q", got)
		}
		// The visit of the last one is under way, or its process died.
		w.must(w.Queue().Extend(w.Context(), ls[slicesIndex(ls, as[5])], w.clock.now().Add(24*time.Hour)))
		w.must(w.Queue().CorrectTimes(w.Context()))
		w.must(w.commit(ls[slicesIndex(ls, as[5])], fetch.Entry{}))
		w.clock.pass(time.Minute + time.Second)
		if got := names(w.claim("p3")); !strings.Contains(fmt.Sprint(got), "Box 5") {
			w.Errorf("after the lease's length only %q are due", got)
		}
		w.clock.pass(2 * correctAfter)
		for _, l := range w.claim("p3") {
			w.finish(l, time.Hour)
		}
		// Without a reason it looks at those that are due last.
		_, err = w.w.Statement.ConnPool.ExecContext(w.Context(), w.on(w.w).bind("UPDATE poll_schedule SET due_at_ms = ? "+
			"WHERE route_id = ?"),
			w.clock.now().Add(30*24*time.Hour).UnixMilli(), string(as[4].ID))
		w.must(err)
		w.must(w.Queue().CorrectTimes(w.Context()))
		if got := names(w.claim("p4")); !slicesEqual(got, "Box 4") {
			w.Errorf("due are %q", got)
		}
	})
}

func slicesIndex(ls []fetch.Lease, a account.Account) int {
	for i, l := range ls {
		if l.Route.ID == a.ID {
			return i
		}
	}
	return -1
}

func TestAPauseIsKeptWhenTheClockIsSetBackWhileItIsWritten(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		at   time.Time
	}{
		{"as usual", now.Add(-3 * time.Millisecond)},
		{"not said", time.Time{}},
		{"computed a day ahead", now.Add(24 * time.Hour)},
	} {
		from := tc.at
		if from.IsZero() {
			from = now
		}
		due, pause := dueAfter(schedule.Settlement{At: tc.at, DueAt: from.Add(5 * time.Minute)}, now)
		if late := time.UnixMilli(due).Sub(now.Add(5 * time.Minute)).Abs(); late > 3*time.Millisecond ||
			pause != (5*time.Minute).Milliseconds() {
			t.Errorf("%s: due %v after the pause of %d ms", tc.name, late, pause)
		}
	}
}
