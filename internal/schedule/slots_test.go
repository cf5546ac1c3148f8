package schedule

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
)

const tarpitInterval = 15 * time.Second

// tarpit returns the accounts of 16 users at a server each where no visit ends,
// and eight good ones of a user each.
func tarpit(t *testing.T) (bad, good []account.Account) {
	t.Helper()
	bad, good = accounts(t, 64, ""), accounts(t, 72, "well")[64:]
	for i := range bad {
		bad[i].Owner = anOwner(t, fmt.Sprintf("bad%d", i/4))
		bad[i].Server.Host = fmt.Sprintf("tarpit%d", i)
		bad[i].PollInterval = tarpitInterval
	}
	for i := range good {
		good[i].PollInterval = tarpitInterval
	}
	return bad, good
}

// besideATarpit lists who waits for longer than an interval, within ten minutes.
func besideATarpit(t *testing.T, bad, good []account.Account, reg prometheus.Registerer, queue func(Queue) Queue,
	visits func(ended <-chan struct{}) func(context.Context, fetch.Lease) fetch.Report,
) (late []string) {
	t.Helper()
	ended := make(chan struct{})
	do := visits(ended)
	v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
		if l.Route.From.Server.Host != "well" {
			return do(ctx, l)
		}
		time.Sleep(time.Second)
		return fetch.Report{}
	}}
	began := time.Now()
	_, stop := run(t, Options{Queue: queue(newMemory(append(bad, good...)...)), Visitor: v, Registerer: reg})
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	for _, a := range good {
		v.mu.Lock()
		at := append(append([]time.Time{began}, v.visits[a.ID]...), time.Now())
		v.mu.Unlock()
		for i := 1; i < len(at); i++ {
			if wait := at[i].Sub(at[i-1]); wait > 2*tarpitInterval {
				late = append(late, fmt.Sprintf("%s waits for %v", a.ID, wait))
			}
		}
		if len(at) < 30 {
			late = append(late, fmt.Sprintf("%s was visited %d times", a.ID, len(at)-2))
		}
	}
	close(ended)
	mustStop(t, stop)
	return late
}

func itself(q Queue) Queue { return q }

// endless are visits that end when they are asked to.
func endless(<-chan struct{}) func(context.Context, fetch.Lease) fetch.Report { return stuck }

// stubborn are visits that do not.
func stubborn(ended <-chan struct{}) func(context.Context, fetch.Lease) fetch.Report {
	return func(context.Context, fetch.Lease) fetch.Report {
		<-ended
		return fetch.Report{}
	}
}

func TestATarpitHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := tarpit(t)
		for _, l := range besideATarpit(t, bad, good, nil, itself, endless) {
			t.Error(l)
		}
	})
}

func TestAccountsThatBecomeATarpitTogetherGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := tarpit(t)
		reg := prometheus.NewPedanticRegistry()
		for _, l := range besideATarpit(t, haveWorked(bad), haveWorked(good), reg, itself, endless) {
			t.Error(l)
		}
		if n := gauge(t, reg, "mailbrook_visits_cut_short_total"); n < 1 || n > 64 {
			t.Errorf("%v visits gave way", n)
		}
	})
}

// The controls: slots that anybody may have, and visits that do not give way.
func TestWhoWaitsBesideATarpitIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := tarpit(t)
		if late := besideATarpit(t, bad, good, nil, func(q Queue) Queue {
			return unshared{q}
		}, endless); len(late) < len(good) {
			t.Errorf("nothing is shared out, and only this is noticed: %q", late)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		bad, good := tarpit(t)
		if late := besideATarpit(t, haveWorked(bad), haveWorked(good), nil, itself, stubborn); len(late) < len(good) {
			t.Errorf("nobody gives way, and only this is noticed: %q", late)
		}
	})
}

func TestAVisitThatGaveWayIsDueAgainAndNoLongerQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(haveWorked(accounts(t, 4, "h"))...)
		v := &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v, Workers: 4})
		time.Sleep(SlowAfter + 2*watchEvery)
		synctest.Wait()
		gave := 0
		for id := range q.rows {
			r := q.row(id)
			gave += r.gaveWay
			if r.gaveWay > 0 && (r.account.Status.Slow != QuickAgain || r.leaseOwner != "" || r.due.IsZero() ||
				len(r.settled) > 0) {
				t.Errorf("%s gave way, and is left as %+v", id, r)
			}
		}
		if gave != 2 {
			t.Errorf("%d visits gave way, want two: half of the slots", gave)
		}
		mustStop(t, stop)
	})
}

func TestWithinTheirHalfNoSlowVisitGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(haveWorked(accounts(t, 4, "h"))...)
		v := &visitor{do: stuck}
		_, stop := run(t, Options{Queue: q, Visitor: v, Workers: 8})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for id := range q.rows {
			if q.row(id).gaveWay > 0 {
				t.Errorf("%s gave way although half of the slots was free", id)
			}
		}
		mustStop(t, stop)
	})
}

func TestASlowVisitIsSettledAsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(accounts(t, 2, "h")...)
		v := &visitor{do: func(_ context.Context, l fetch.Lease) fetch.Report {
			if l.Route.ID == "a1" {
				time.Sleep(SlowAfter)
			}
			return fetch.Report{}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		time.Sleep(time.Minute)
		mustStop(t, stop)
		if one, two := q.row("a1").settled, q.row("a2").settled; len(one) != 1 || !one[0].Slow || len(two) != 1 ||
			two[0].Slow {
			t.Errorf("settled as %+v and %+v", one, two)
		}
	})
}

// What we made a visit wait for is not the account's: neither is it slow by that,
// nor did it fare well.
func TestAVisitThatHadNoMemoryIsAsIfItHadNotBeen(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rep     fetch.Report
		took    time.Duration
		settled int // Or given back.
		slow    int
	}{
		{
			"it waited for nothing",
			fetch.Report{More: true, Busy: true, Waited: 2 * SlowAfter},
			2 * SlowAfter, 0, 0,
		},
		{
			"it waited for nothing after it had taken long",
			fetch.Report{More: true, Busy: true, Waited: SlowAfter},
			2 * SlowAfter, 0, QuickAgain,
		},
		{
			"it brought mail first",
			fetch.Report{More: true, Busy: true, Waited: 2 * SlowAfter, Messages: 1},
			2 * SlowAfter, 1, 0,
		},
		{
			"it waited and had it",
			fetch.Report{Waited: SlowAfter},
			SlowAfter + time.Second, 1, 0,
		},
		{
			"the control: it took long by itself",
			fetch.Report{},
			SlowAfter + time.Second, 1, QuickAgain,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				as := haveWorked(accounts(t, 1, "h"))
				as[0].Status.Failures, as[0].Status.State = 3, account.Retrying
				as[0].Status.Diagnosis = &account.Diagnosis{Code: fault.ConnectTimeout, Since: time.Now()}
				q := newMemory(as...)
				visited := make(chan struct{})
				v := &visitor{}
				v.do = func(ctx context.Context, _ fetch.Lease) fetch.Report {
					if v.count("a1") > 1 {
						close(visited)
						return stuck(ctx, fetch.Lease{})
					}
					time.Sleep(tc.took)
					return tc.rep
				}
				_, stop := run(t, Options{Queue: q, Visitor: v})
				<-visited
				synctest.Wait()
				r := q.row("a1")
				mustStop(t, stop)
				if len(r.settled) != tc.settled || r.abandoned != 1-tc.settled || r.account.Status.Slow != tc.slow {
					t.Errorf("settled %d times, given back %d times, slow %d", len(r.settled), r.abandoned, r.account.Status.Slow)
				}
				if tc.settled == 0 && (r.account.Status.Failures != 3 || r.account.Status.Diagnosis == nil) {
					t.Errorf("a server that nobody saw is forgiven: %+v", r.account.Status)
				}
			})
		})
	}
}

// gauge returns one figure as it is collected now.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func TestLagIsMeasuredWhileTheClaimerWaits(t *testing.T) {
	const lag, free = "mailbrook_schedule_lag_seconds", "mailbrook_slots_free"
	for name, tc := range map[string]struct {
		queue func(Queue) Queue
		free  float64
	}{
		"for a slot":       {itself, 0},
		"for the database": {func(q Queue) Queue { return &hanging{Queue: q} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewPedanticRegistry()
				v := &visitor{do: stuck}
				var log lines
				_, stop := run(t, Options{
					Queue: tc.queue(newMemory(accounts(t, 2, "h")...)), Visitor: v, Workers: 1, Registerer: reg, Log: slog.New(
						slog.NewTextHandler(&log, nil)),
				})
				time.Sleep(5*time.Minute + time.Second)
				synctest.Wait()
				if got := gauge(t, reg, lag); got < 280 || got > 301 {
					t.Errorf("the lag is said to be %v s after five minutes", got)
				}
				if got := gauge(t, reg, free); got != tc.free {
					t.Errorf("%v slots are said to be free", got)
				}
				if alarms := strings.Count(log.String(),
					"level=ERROR msg=\"no slot for a visit has been free for a minute\""); alarms != 5*int(1-tc.free) {
					t.Errorf("%d alarms in five minutes:\n%s", alarms, log.String())
				}
				mustStop(t, stop)
			})
		})
	}
}

// hanging is a queue whose claims are answered when their context ends.
type hanging struct{ Queue }

func (q *hanging) Claim(ctx context.Context, _ Claim) ([]Lease, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWhatWaitsForAServerThatIsDownIsNoLagOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		q := newMemory(append(haveWorked(accounts(t, 50, "down")), haveWorked(accounts(t, 51, "well"))[50:]...)...)
		v := &visitor{do: func(_ context.Context, l fetch.Lease) fetch.Report {
			if l.Route.From.Server.Host == "well" {
				return fetch.Report{}
			}
			time.Sleep(time.Second)
			return fetch.Report{Err: fault.New(fault.ConnectTimeout, "")}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v, PerHost: 5, Registerer: reg})
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if due, _ := q.Overdue(t.Context(), route.Keep, time.Now(), nil); time.Since(due) < 10*time.Minute {
			t.Fatal("nobody waits for the server that is down: the test shows nothing")
		}
		if got := gauge(t, reg, "mailbrook_schedule_lag_seconds"); got > 1 {
			t.Errorf("the lag is said to be %v s", got)
		}
		if got := gauge(t, reg, "mailbrook_hosts_out_of_order"); got != 1 {
			t.Errorf("%v servers are said to be out of order", got)
		}
		mustStop(t, stop)
	})
}

func TestWhileLagCannotBeMeasuredItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		q := newMemory(accounts(t, 1, "h")...)
		_, stop := run(t, Options{Queue: q, Visitor: &visitor{}, Registerer: reg})
		time.Sleep(time.Minute)
		q.setFail(errQueueDown)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := gauge(t, reg, "mailbrook_schedule_lag_seconds"); got < 280 || got > 301 {
			t.Errorf("the lag is said to be %v s after five minutes without a database", got)
		}
		q.setFail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := gauge(t, reg, "mailbrook_schedule_lag_seconds"); got != 0 {
			t.Errorf("the lag is said to be %v s afterwards", got)
		}
		mustStop(t, stop)
	})
}

// drippers are slow accounts at a server each whose visits take as long as a session may.
func drippers(t *testing.T, users, each int) []account.Account {
	t.Helper()
	as := accounts(t, users*each, "")
	for i := range as {
		as[i].Owner = anOwner(t, fmt.Sprintf("bad%d", i/each))
		as[i].Server.Host = fmt.Sprintf("drip%d", i)
		as[i].Status.Slow = QuickAgain
	}
	return as
}

// nobodyWaits is a queue that does not tell who waits.
type nobodyWaits struct{ Queue }

func (nobodyWaits) SlowWaiting(context.Context, string, time.Time, []string) ([]owner.Owner, error) {
	return nil, nil
}

// besideDrippers returns after how long a slow account that needs half a minute is visited.
func besideDrippers(t *testing.T, bad []account.Account, queue func(Queue) Queue) (honest []time.Duration, q *memory) {
	t.Helper()
	good := accounts(t, len(bad)+1, "well")[len(bad):]
	good[0].Status.Slow = QuickAgain
	q = newMemory(append(bad, good...)...)
	began := time.Now()
	q.rows[good[0].ID].due = began.Add(time.Minute)
	v := &visitor{do: func(ctx context.Context, l fetch.Lease) fetch.Report {
		took := 90 * time.Minute
		if l.Route.From.Server.Host == "well" {
			took = 30 * time.Second
		}
		select {
		case <-time.After(took):
			return fetch.Report{}
		case <-ctx.Done():
			return fetch.Report{Err: ctx.Err()}
		}
	}}
	_, stop := run(t, Options{Queue: queue(q), Visitor: v})
	time.Sleep(80 * time.Minute)
	synctest.Wait()
	mustStop(t, stop)
	for _, at := range v.visits[good[0].ID] {
		honest = append(honest, at.Sub(began))
	}
	return honest, q
}

func TestSlowAccountsTakeTurns(t *testing.T) {
	for _, tc := range []struct {
		name        string
		users, each int
		most        time.Duration // That it waits.
	}{
		{"eight users with four each", 8, 4, slowTurn},
		{"as many users as slots", 32, 1, soleTurn},
		{"more than there are slots", 16, 4, slowTurn},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, q := besideDrippers(t, drippers(t, tc.users, tc.each), itself)
				last := time.Duration(0)
				for _, at := range append(got, 80*time.Minute) {
					if at-last > 5*time.Minute+tc.most+time.Minute+3*lagEvery { // Its interval, visit and jitter.
						t.Errorf("the honest one is visited after %v", got)
						break
					}
					last = at
				}
				for id := range q.rows {
					if n := q.row(id).gaveWay; n > 80/5 {
						t.Errorf("%s gave way %d times", id, n)
					}
				}
			})
		})
	}
	t.Run("the control: nobody is asked to end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if got, _ := besideDrippers(t, drippers(t, 8, 4), func(q Queue) Queue { return nobodyWaits{q} }); len(got) != 0 {
				t.Errorf("the honest one is visited after %v all the same", got)
			}
		})
	})
}

func TestWhileNobodyWaitsSlowVisitsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(drippers(t, 8, 4)...)
		_, stop := run(t, Options{Queue: q, Visitor: &visitor{do: stuck}})
		time.Sleep(80 * time.Minute)
		synctest.Wait()
		for id := range q.rows {
			if n := q.row(id).gaveWay; n > 0 {
				t.Errorf("%s gave way %d times", id, n)
			}
		}
		mustStop(t, stop)
	})
}
