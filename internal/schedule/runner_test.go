package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/words"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// visitor is a Visitor made of a function; it remembers who was visited when.
type visitor struct {
	mu     sync.Mutex
	visits map[account.ID][]time.Time
	active int
	most   int // Visits at a time at most.
	do     func(ctx context.Context, l fetch.Lease) fetch.Report
}

func (v *visitor) Visit(ctx context.Context, l fetch.Lease) fetch.Report {
	v.mu.Lock()
	if v.visits == nil {
		v.visits = map[account.ID][]time.Time{}
	}
	v.visits[l.Route.ID] = append(v.visits[l.Route.ID], time.Now())
	v.active++
	v.most = max(v.most, v.active)
	do := v.do
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		v.active--
		v.mu.Unlock()
	}()
	if do == nil {
		return fetch.Report{}
	}
	return do(ctx, l)
}

func (v *visitor) count(id account.ID) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.visits[id])
}

func (v *visitor) total() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, at := range v.visits {
		n += len(at)
	}
	return n
}

// stuck is a visit to a server that says nothing.
func stuck(ctx context.Context, _ fetch.Lease) fetch.Report {
	<-ctx.Done()
	return fetch.Report{Err: ctx.Err()}
}

func failing(code fault.Code) func(context.Context, fetch.Lease) fetch.Report {
	return func(context.Context, fetch.Lease) fetch.Report { return fetch.Report{Err: fault.New(code, "")} }
}

// run starts a Runner in the bubble; stop ends it and returns its error and
// how long it took to end.
func run(t *testing.T, o Options) (r *Runner, stop func() (time.Duration, error)) {
	t.Helper()
	o.Worker = "w1"
	if o.Rand == nil {
		o.Rand = func() float64 { return even }
	}
	r = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return r, sync.OnceValues(func() (time.Duration, error) {
		began := time.Now()
		cancel()
		err := <-ended
		return time.Since(began), err
	})
}

// mustStop ends the Runner and expects it to end well.
func mustStop(t *testing.T, stop func() (time.Duration, error)) {
	t.Helper()
	if _, err := stop(); err != nil {
		t.Errorf("the runner ended with %v", err)
	}
}

func TestAccountsAreVisitedAtTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 3, "h")...), &visitor{}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Hour)
		mustStop(t, stop)
		for id, at := range v.visits {
			if len(at) < 12 || len(at) > 13 {
				t.Errorf("%s was visited %d times in an hour, want 12 or 13", id, len(at))
			}
		}
	})
}

func TestOneStuckAccountDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bad := range besideAStuckAccount(t, func(v Visitor) Visitor { return v }) {
			t.Error(bad)
		}
	})
}

// besideAStuckAccount lists who is held up by an account whose visit does not
// end, within an hour.
func besideAStuckAccount(t *testing.T, wrap func(Visitor) Visitor) (bad []string) {
	t.Helper()
	q := newMemory(accounts(t, 4, "h")...)
	v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
		if l.Route.ID == "a1" {
			return stuck(ctx, l)
		}
		return fetch.Report{}
	}}
	_, stop := run(t, Options{Queue: q, Visitor: wrap(v), Workers: 2})
	time.Sleep(time.Hour)
	synctest.Wait()
	if n := v.count("a1"); n != 1 {
		bad = append(bad, fmt.Sprintf("the stuck account was visited %d times, want 1: its lease is kept alive", n))
	}
	for _, id := range []account.ID{"a2", "a3", "a4"} {
		if n := v.count(id); n < 12 {
			bad = append(bad, fmt.Sprintf("%s was visited %d times in an hour, want 12 or more", id, n))
		}
	}
	mustStop(t, stop)
	return bad
}

func TestAStuckHostTakesItsShareOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bad := range besideAStuckHost(t, func(q Queue) Queue { return q }) {
			t.Error(bad)
		}
	})
}

// besideAStuckHost lists who is held up by a host where no visit ends, within
// half an hour.
func besideAStuckHost(t *testing.T, wrap func(Queue) Queue) (bad []string) {
	t.Helper()
	dead, well := accounts(t, 20, "dead"), accounts(t, 25, "well")[20:]
	q := newMemory(append(dead, well...)...)
	v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
		if l.Route.From.Server.Host == "dead" {
			return stuck(ctx, l)
		}
		return fetch.Report{}
	}}
	_, stop := run(t, Options{Queue: wrap(q), Visitor: v, Workers: 8, PerHost: 4})
	time.Sleep(30 * time.Minute)
	synctest.Wait()
	for _, a := range well {
		if n := v.count(a.ID); n < 6 {
			bad = append(bad, fmt.Sprintf("%s was visited %d times in half an hour, want 6 or more", a.ID, n))
		}
	}
	mustStop(t, stop)
	return bad
}

// The controls: visits that wait for each other, and a host that may take all.
func TestWhoIsHeldUpIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if bad := besideAStuckAccount(t, func(v Visitor) Visitor {
			return oneByOne{v, make(chan struct{}, 1)}
		}); len(bad) < 3 {
			t.Errorf("visits wait for each other, and only this is noticed: %q", bad)
		}
		if bad := besideAStuckHost(t, func(q Queue) Queue { return unshared{q} }); len(bad) != 5 {
			t.Errorf("a host takes all workers, and only this is noticed: %q", bad)
		}
	})
}

// oneByOne makes one visit at a time.
type oneByOne struct {
	Visitor
	turn chan struct{}
}

func (v oneByOne) Visit(ctx context.Context, l fetch.Lease) fetch.Report {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
		return v.Visitor.Visit(ctx, l)
	case <-ctx.Done():
		return fetch.Report{Err: ctx.Err()}
	}
}

// unshared is a queue that shares out nothing: it does not count the visits to
// a host, lets slow ones have all slots, and expects nothing else of them.
type unshared struct{ Queue }

func (q unshared) Claim(ctx context.Context, c Claim) ([]Lease, error) {
	c.PerHost, c.Unsure, c.Slow = 1<<30, c.Limit, c.Limit
	ls, err := q.Queue.Claim(ctx, c)
	for i := range ls {
		ls[i].Row.Status.Slow = QuickAgain
	}
	return ls, err
}

func TestARefusedPasswordIsNeverHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 1, "h")...), &visitor{do: failing(fault.AuthFailed)}
		r, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		at := v.visits["a1"]
		if len(at) != 3 {
			t.Fatalf("%d logins in two days, want 3", len(at))
		}
		if first := at[2].Sub(at[0]); first < 30*time.Minute {
			t.Errorf("three logins within %v", first)
		}
		if s := q.row("a1").account.Status.State; s != account.NeedsAttention {
			t.Errorf("the account is %s", s)
		}

		// The user may ask for one more, and gets one.
		q.request("a1")
		r.Nudge()
		time.Sleep(24 * time.Hour)
		if n := v.count("a1"); n != 4 {
			t.Errorf("%d logins after one fetch-now, want 4", n)
		}
		mustStop(t, stop)
	})
}

func TestANetworkOutageIsLeftSlowlyAndWithoutAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		as := accounts(t, 200, "")
		for i := range as {
			as[i].Server.Host = fmt.Sprintf("h%d", i) // No host's circuit has a part in it.
		}
		back := time.Now().Add(10 * time.Minute)
		q := newMemory(as...)
		v := &visitor{do: func(context.Context, fetch.Lease) fetch.Report {
			if time.Now().Before(back) {
				return fetch.Report{Err: fault.New(fault.ConnectTimeout, "")}
			}
			return fetch.Report{}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v, Rand: newNumbers()})
		time.Sleep(30 * time.Minute)
		mustStop(t, stop)
		var first, last time.Time
		for _, at := range v.visits {
			for _, x := range at {
				if x.Before(back) {
					continue
				}
				if first.IsZero() || x.Before(first) {
					first = x
				}
				if x.After(last) && x.Sub(back) < 12*time.Minute {
					last = x
				}
				break
			}
		}
		if last.Sub(first) < time.Minute {
			t.Errorf("all came back within %v", last.Sub(first))
		}
		if n := v.total(); n > 200*12 {
			t.Errorf("%d visits in half an hour", n)
		}
	})
}

// newNumbers returns evenly spread numbers that are the same in every run.
func newNumbers() func() float64 {
	var mu sync.Mutex
	x := 0.0
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		x += 0.618033988749895
		x -= float64(int(x))
		return x
	}
}

func TestAHostThatIsDownIsProbedAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, well := haveWorked(accounts(t, 300, "down")), accounts(t, 310, "well")[300:]
		q := newMemory(append(down, well...)...)
		back := time.Now().Add(time.Hour)
		v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
			time.Sleep(time.Second)
			if l.Route.From.Server.Host == "down" && time.Now().Before(back) {
				return fetch.Report{Err: fault.New(fault.ConnectTimeout, "")}
			}
			return fetch.Report{}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v, PerHost: 16, Workers: 24})
		time.Sleep(time.Hour)
		synctest.Wait()
		atDown, atWell := 0, 0
		for _, a := range down {
			atDown += v.count(a.ID)
		}
		for _, a := range well {
			atWell += v.count(a.ID)
		}
		if atDown > 40 {
			t.Errorf("%d visits to a host that is down, want the first few and some probes", atDown)
		}
		if atWell < 10*11 {
			t.Errorf("%d visits to the other host in an hour, want about 120", atWell)
		}
		time.Sleep(15 * time.Minute)
		for _, a := range down {
			if q.row(a.ID).account.Status.State != account.OK {
				t.Errorf("%s is not well again", a.ID)
			}
		}
		mustStop(t, stop)
	})
}

func TestFetchNowDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 1, "h")...), &visitor{}
		r, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Minute + 100*time.Millisecond)
		q.request("a1")
		asked := time.Now()
		r.Nudge()
		time.Sleep(idle / 2)
		synctest.Wait()
		if at := v.visits["a1"]; len(at) != 2 || at[1].Sub(asked) > batchWindow {
			t.Errorf("asked at %v, visited at %v", asked, at)
		}
		// Without a nudge, as from another process, within a second.
		q.request("a1")
		time.Sleep(idle + batchWindow)
		synctest.Wait()
		if n := v.count("a1"); n != 3 {
			t.Errorf("visited %d times, want 3", n)
		}
		mustStop(t, stop)
	})
}

func TestALongFirstFetchYieldsToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 3, "h")...)
		left := 20
		v := &visitor{do: func(_ context.Context, l fetch.Lease) fetch.Report {
			if l.Route.ID != "a1" || left == 0 {
				return fetch.Report{}
			}
			time.Sleep(2 * time.Minute)
			left--
			return fetch.Report{Messages: 100, More: left > 0}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v, Workers: 1})
		time.Sleep(time.Hour)
		mustStop(t, stop)
		if left != 0 {
			t.Errorf("%d parts of the long fetch are left", left)
		}
		for _, id := range []account.ID{"a2", "a3"} {
			if n := v.count(id); n < 8 {
				t.Errorf("%s was visited %d times, want 8 or more", id, n)
			}
		}
		for _, s := range q.row("a1").settled[:19] {
			if s.State != account.Fetching || s.Failures != 0 || s.Success || !s.Keep {
				t.Errorf("a part was settled as %+v", s)
			}
		}
	})
}

func TestCapsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(haveWorked(accounts(t, 30, "h"))...), &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v, Workers: 5, PerHost: 3})
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if v.most != 3 {
			t.Errorf("%d visits at a time, want 3", v.most)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(haveWorked(accounts(t, 30, "h"))...), &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v, Workers: 5})
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if v.most != 5 {
			t.Errorf("%d visits at a time, want 5", v.most)
		}
	})
}

func TestStoppingGivesEverythingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 10, "h")...), &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Minute)
		synctest.Wait()
		took, err := stop()
		if err != nil || took > time.Second {
			t.Errorf("stopped after %v with %v", took, err)
		}
		for id := range q.rows {
			if r := q.row(id); r.abandoned != 1 || len(r.settled) != 0 || r.due.After(time.Now()) || r.leaseOwner != "" {
				t.Errorf("%s: given back %d times, settled %d times, due at %v", id, r.abandoned, len(r.settled), r.due)
			}
		}
	})
}

func TestARefusalDuringTheStopIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 1, "h")...)
		v := &visitor{do: func(ctx context.Context, _ fetch.Lease) fetch.Report {
			<-ctx.Done()
			return fetch.Report{Err: fault.New(fault.AuthFailed, "")}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Second)
		mustStop(t, stop)
		if r := q.row("a1"); r.abandoned != 0 || len(r.settled) != 1 || r.settled[0].Failures != 1 {
			t.Errorf("given back %d times, settled as %+v", r.abandoned, r.settled)
		}
	})
}

func TestStoppingEndsWithinTenSecondsEvenIfAVisitDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := newMemory(accounts(t, 2, "h")...)
		v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
			if l.Route.ID == "a1" {
				<-release // As a write to a dead disk would.
				return fetch.Report{}
			}
			return stuck(ctx, l)
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Minute)
		synctest.Wait()
		took, err := stop()
		if err == nil || took > 10*time.Second {
			t.Errorf("stopped after %v with %v", took, err)
		}
		if r := q.row("a1"); r.abandoned != 1 {
			t.Errorf("the stubborn visit's account was given back %d times", r.abandoned)
		}
		close(release)
		synctest.Wait()
		if r := q.row("a1"); len(r.settled) != 0 {
			t.Errorf("the stubborn visit settled the account after it had been given back")
		}
	})
}

func TestAVisitThatLosesItsLeaseIsCancelledAndLeavesNoMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 1, "h")...)
		causes := make(chan error, 10)
		v := &visitor{}
		v.do = func(ctx context.Context, l fetch.Lease) fetch.Report {
			if v.count("a1") > 1 {
				return fetch.Report{}
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return fetch.Report{Err: fault.New(fault.ServerUnavailable, "", words.Say("the connection broke"))}
		}
		_, stop := run(t, Options{Queue: q, Visitor: v, Lease: 30 * time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := v.count("a1"); n != 1 {
			t.Fatalf("visited %d times although the lease was prolonged", n)
		}
		q.edit("a1")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if err := <-causes; !errors.Is(err, fetch.ErrFenced) {
			t.Errorf("cancelled because of %v", err)
		}
		mustStop(t, stop)
		r := q.row("a1")
		if len(r.settled) != 1 || r.settled[0].State != account.OK {
			t.Errorf("settled as %+v, want once, by the visit after the edit", r.settled)
		}
	})
}

func TestAVisitWhoseLeaseCannotBeProlongedEndsBeforeAnotherBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 1, "h")...)
		var ended time.Time
		v := &visitor{}
		v.do = func(ctx context.Context, l fetch.Lease) fetch.Report {
			if v.count("a1") > 1 {
				return fetch.Report{}
			}
			<-ctx.Done()
			ended = time.Now()
			return fetch.Report{Err: ctx.Err()}
		}
		_, stop := run(t, Options{Queue: q, Visitor: v, Lease: 30 * time.Second})
		time.Sleep(time.Second)
		q.setFail(errQueueDown)
		time.Sleep(5 * time.Minute)
		q.setFail(nil)
		time.Sleep(time.Minute)
		mustStop(t, stop)
		at := v.visits["a1"]
		if len(at) != 2 || ended.IsZero() || ended.Sub(at[0]) > 35*time.Second || !at[1].After(ended) {
			t.Errorf("visits began at %v, the first ended at %v", at, ended)
		}
	})
}

func TestAQueueOutOfOrderIsNotHammeredAndSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 1, "h")...), &visitor{}
		q.setFail(errQueueDown)
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if q.claims > 60 {
			t.Errorf("%d claims in ten minutes", q.claims)
		}
		q.setFail(nil)
		time.Sleep(maxOutage)
		synctest.Wait()
		if v.count("a1") != 1 {
			t.Error("the account was not visited once the queue was back")
		}
		mustStop(t, stop)
	})
}

func TestASettlementIsWrittenAgainWhenTheQueueStumbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 1, "h")...)
		v := &visitor{do: func(context.Context, fetch.Lease) fetch.Report {
			q.setFail(errQueueDown)
			return fetch.Report{Messages: 3}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(1500 * time.Millisecond)
		q.setFail(nil)
		time.Sleep(10 * time.Second)
		mustStop(t, stop)
		if r := q.row("a1"); len(r.settled) != 1 || r.settled[0].Run.Messages != 3 {
			t.Errorf("settled as %+v", r.settled)
		}
	})
}

func TestAPanicStopsAtTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 2, "h")...)
		v := &visitor{do: func(_ context.Context, l fetch.Lease) fetch.Report {
			if l.Route.ID == "a1" {
				panic("index out of range\r\nforged=line")
			}
			return fetch.Report{}
		}}
		var log bytes.Buffer
		_, stop := run(t, Options{Queue: q, Visitor: v, Log: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(time.Minute / 2)
		mustStop(t, stop)
		if st := q.row("a1").account.Status; st.State != account.Retrying || st.Diagnosis.Code != fault.Internal {
			t.Errorf("the account is %s with %+v", st.State, st.Diagnosis)
		}
		if st := q.row("a2").account.Status; st.State != account.OK {
			t.Errorf("the other account is %s", st.State)
		}
		if !strings.Contains(log.String(), "visit panicked") || !strings.Contains(log.String(), "runner_test.go") {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}

func TestInterruptedByNobodyIsADefectAndNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 1, "h")...)
		v := &visitor{do: func(context.Context, fetch.Lease) fetch.Report {
			return fetch.Report{Err: context.DeadlineExceeded}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Minute - time.Second)
		mustStop(t, stop)
		if n := v.count("a1"); n != 1 {
			t.Errorf("visited %d times within a minute", n)
		}
	})
}

func TestAVisitWithoutEndIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 1, "h")...), &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(maxVisit + time.Second)
		synctest.Wait()
		if st := q.row("a1").account.Status; st.State != account.Retrying || st.Diagnosis.Code != fault.Internal {
			t.Errorf("the account is %s with %+v", st.State, st.Diagnosis)
		}
		mustStop(t, stop)
	})
}

func TestChores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		done := map[string]int{}
		chore := func(name string, do func(context.Context) error) Chore {
			return Chore{Name: name, Every: time.Hour, Run: func(ctx context.Context) error {
				mu.Lock()
				done[name]++
				mu.Unlock()
				return do(ctx)
			}}
		}
		_, stop := run(t, Options{Queue: newMemory(), Visitor: &visitor{}, Chores: []Chore{
			chore("well", func(context.Context) error { return nil }),
			chore("fails", func(context.Context) error { return errors.New("no") }),
			chore("panics", func(context.Context) error { panic("no") }),
			chore("long", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
		}})
		time.Sleep(5*time.Hour + 30*time.Minute)
		mustStop(t, stop)
		for name, want := range map[string]int{"well": 6, "fails": 6, "panics": 6, "long": 1} {
			if done[name] != want {
				t.Errorf("%s was done %d times in five and a half hours, want %d", name, done[name], want)
			}
		}
	})
}

func TestVisitOne(t *testing.T) {
	start := func(t *testing.T, do func(ctx context.Context, l fetch.Lease) fetch.Report) (*memory, *visitor, *Runner) {
		q, v := newMemory(accounts(t, 2, "h")...), &visitor{do: do}
		return q, v, New(Options{Queue: q, Visitor: v, Worker: "pull", Rand: func() float64 { return even }})
	}
	t.Run("continues until there is no more, and adds up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			parts := 3
			q, v, r := start(t, func(context.Context, fetch.Lease) fetch.Report {
				parts--
				return fetch.Report{Messages: 10, Bytes: 1000, Skipped: 1, More: parts > 0}
			})
			res, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1")
			if err != nil || res.Report.Messages != 30 || res.Report.Bytes != 3000 || res.Report.Skipped != 3 ||
				v.count("a1") != 3 {
				t.Errorf("%+v, %v after %d parts", res.Report, err, v.count("a1"))
			}
			if res.Settlement.State != account.OK || len(q.row("a1").settled) != 3 || v.count("a2") != 0 {
				t.Errorf("settled as %+v", res.Settlement)
			}
		})
	})
	t.Run("leaves alone what waits for its user, unless somebody insists", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, v, r := start(t, failing(fault.AuthFailed))
			q.rows["a1"].account.Status = account.Status{
				State: account.NeedsAttention, Failures: maxTries, Diagnosis: &account.Diagnosis{Code: fault.AuthFailed},
			}
			if _, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1"); !errors.Is(err, ErrWaits) || v.count("a1") != 0 {
				t.Errorf("%v after %d visits", err, v.count("a1"))
			}
			res, err := r.InsistOne(t.Context(), anOwner(t, "a1"), "a1")
			if err != nil || v.count("a1") != 1 || res.Settlement.State != account.NeedsAttention {
				t.Errorf("%+v, %v after %d visits", res.Settlement, err, v.count("a1"))
			}
		})
	})
	t.Run("reports a failure in its result", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, r := start(t, failing(fault.AuthFailed))
			res, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1")
			if err != nil || fault.CodeOf(res.Report.Err) != fault.AuthFailed ||
				res.Settlement.Diagnosis.Code != fault.AuthFailed {
				t.Errorf("%+v, %v", res, err)
			}
		})
	})
	t.Run("waits for another worker's visit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, _, r := start(t, nil)
			if _, err := q.ClaimOne(t.Context(), anOwner(t, "a1"), "a1", Claim{
				Worker: "other", Now: time.Now(),
				Lease: time.Minute,
			}); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1")
			if took := time.Since(began); err != nil || took < time.Minute || took > time.Minute+time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
	t.Run("waits for the poller of its own process too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newMemory(accounts(t, 1, "h")...)
			v := &visitor{do: func(context.Context, fetch.Lease) fetch.Report {
				time.Sleep(time.Minute)
				return fetch.Report{}
			}}
			r, stop := run(t, Options{Queue: q, Visitor: v})
			time.Sleep(time.Second)
			if _, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1"); err != nil || v.most != 1 || v.count("a1") != 2 {
				t.Errorf("%v: %d visits, %d at a time", err, v.count("a1"), v.most)
			}
			mustStop(t, stop)
		})
	})
	t.Run("waits no longer than its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, v, r := start(t, nil)
			if _, err := q.ClaimOne(t.Context(), anOwner(t, "a1"), "a1", Claim{
				Worker: "other", Now: time.Now(),
				Lease: time.Hour,
			}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := r.VisitOne(ctx, anOwner(t, "a1"), "a1"); !errors.Is(err, ErrBusy) ||
				!errors.Is(err, context.DeadlineExceeded) || v.count("a1") != 0 {
				t.Errorf("%v after %d visits", err, v.count("a1"))
			}
		})
	})
	t.Run("gives the account back when it is broken off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, _, r := start(t, stuck)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			res, err := r.VisitOne(ctx, anOwner(t, "a1"), "a1")
			if err != nil || fault.CodeOf(res.Report.Err) != fault.Interrupted || q.row("a1").abandoned != 1 {
				t.Errorf("%+v, %v, given back %d times", res, err, q.row("a1").abandoned)
			}
		})
	})
	t.Run("begins again when the account is edited meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var q *memory
			n := 0
			var v *visitor
			var r *Runner
			q, v, r = start(t, func(context.Context, fetch.Lease) fetch.Report {
				if n++; n == 1 {
					q.edit("a1")
					return fetch.Report{Messages: 2, Err: fetch.ErrFenced}
				}
				return fetch.Report{Messages: 5}
			})
			res, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "a1")
			if err != nil || res.Report.Messages != 7 || v.count("a1") != 2 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	})
	t.Run("says when there is no such account", func(t *testing.T) {
		_, _, r := start(t, nil)
		if _, err := r.VisitOne(t.Context(), anOwner(t, "a1"), "none"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// What is done under an account's lease is done beside no visit, and leaves the account as it was: due, or waiting for
// its user.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, v := newMemory(accounts(t, 2, "h")...), &visitor{}
		r := New(Options{Queue: q, Visitor: v, Worker: "over", Rand: func() float64 { return even }})
		q.rows["a2"].account.Status = account.Status{State: account.NeedsAttention, Failures: maxTries}
		for id, due := range map[account.ID]bool{"a1": true, "a2": false} {
			why := errors.New("not done")
			err := r.Hold(t.Context(), anOwner(t, string(id)), id, func(ctx context.Context, l fetch.Lease) error {
				time.Sleep(5 * time.Minute) // Far longer than a lease.
				_, busy := q.ClaimOne(ctx, l.Route.Owner, id, Claim{
					Worker: "other", Now: time.Now(), Lease: time.Minute, Insist: true,
				})
				if !errors.Is(busy, ErrBusy) {
					t.Errorf("%s: another worker has it as well: %v", id, busy)
				}
				return why
			})
			if row := q.row(id); !errors.Is(err, why) || row.due.IsZero() == due || row.leaseOwner != "" || v.count(id) != 0 {
				t.Errorf("%s: %v, due %v", id, err, row.due)
			}
		}
		l, err := q.ClaimOne(t.Context(), anOwner(t, "a1"), "a1", Claim{Worker: "other", Now: time.Now(), Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		busy := r.Hold(t.Context(), anOwner(t, "a1"), "a1", func(context.Context, fetch.Lease) error {
			t.Error("it is done beside a visit")
			return nil
		})
		if !errors.Is(busy, ErrBusy) {
			t.Errorf("during a visit: %v", busy)
		}
		if err := q.Abandon(t.Context(), l.Lease); err != nil {
			t.Fatal(err)
		}
		lost := r.Hold(t.Context(), anOwner(t, "a1"), "a1", func(ctx context.Context, _ fetch.Lease) error {
			q.edit("a1")
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(lost, fetch.ErrFenced) {
			t.Errorf("when the lease is lost: %v", lost)
		}
	})
}

func TestMetricsCountByOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		q := newMemory(accounts(t, 2, "h")...)
		v := &visitor{do: func(_ context.Context, l fetch.Lease) fetch.Report {
			if l.Route.ID == "a1" {
				return fetch.Report{Err: fault.New(fault.AuthFailed, "")}
			}
			return fetch.Report{Messages: 4, Bytes: 4096}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v, Registerer: reg})
		time.Sleep(time.Second)
		mustStop(t, stop)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got[f.GetName()+labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		for name, want := range map[string]float64{
			"mailbrook_visits_total{ok}": 1, "mailbrook_visits_total{auth_failed}": 1, "mailbrook_visits_total{dns_failure}": 0,
			"mailbrook_messages_delivered_total": 4, "mailbrook_message_bytes_delivered_total": 4096,
			"mailbrook_visits_active": 0,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s is %v (present: %t), want %v", name, v, ok, want)
			}
		}
	})
}

func labels(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		b.WriteString("{" + l.GetValue() + "}")
	}
	return b.String()
}
