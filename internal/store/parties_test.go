package store

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// scene is a poller on a real database, with visits that a test plays.
type scene struct {
	*world
	do    func(ctx context.Context, r route.Route, n int) *fault.Error // n: how often it was visited before.
	queue func(schedule.Queue) schedule.Queue

	mu     sync.Mutex
	visits map[account.ID]int // Ended ones.
	active map[account.ID]bool
	noted  map[string]bool // Circuits of which outages were reported.
	moved  chan struct{}   // Something of the above has changed.
}

func newScene(w *world) *scene {
	w.Helper()
	s, err := Open(w.Context(), w.dsn, Options{}) // By the real clock.
	w.must(err)
	w.Cleanup(func() { w.must(s.Close()) })
	return &scene{
		world: &world{T: w.T, Store: s, dsn: w.dsn, clock: w.clock}, queue: func(q schedule.Queue) schedule.Queue {
			return q
		},
		visits: map[account.ID]int{}, active: map[account.ID]bool{}, noted: map[string]bool{}, moved: make(chan struct{}, 1),
	}
}

// Visit plays a visit.
func (s *scene) Visit(ctx context.Context, l fetch.Lease) (rep fetch.Report) {
	id := l.Route.ID
	s.mu.Lock()
	n := s.visits[id]
	s.active[id] = true
	s.mu.Unlock()
	s.move()
	if e := s.do(ctx, l.Route, n); e != nil {
		rep.Err = e
	}
	s.mu.Lock()
	s.visits[id]++
	delete(s.active, id)
	s.mu.Unlock()
	s.move()
	return rep
}

func (s *scene) move() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// telling is a queue that notes which outages were reported.
type telling struct {
	schedule.Queue
	s *scene
}

func (q telling) NoteOutages(ctx context.Context, worker string, all []schedule.Outage) error {
	err := q.Queue.NoteOutages(ctx, worker, all)
	q.s.mu.Lock()
	for _, o := range all {
		q.s.noted[o.Circuit] = true
	}
	q.s.mu.Unlock()
	q.s.move()
	return err
}

// poll runs a poller until what is waited for has come.
func (s *scene) poll(until func() bool) {
	s.Helper()
	r := schedule.New(schedule.Options{Queue: telling{s.queue(s.Queue()), s}, Visitor: s, Worker: "p1"})
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for come := false; !come; {
		s.mu.Lock()
		come = until()
		s.mu.Unlock()
		if come {
			break
		}
		select {
		case <-s.moved:
		case err := <-ended:
			s.Fatalf("the poller ended: %v", err)
		}
	}
	cancel()
	s.must(<-ended)
}

// all reports whether each account was visited so often. The caller holds the lock.
func (s *scene) all(as []account.Account, times int) bool {
	for _, a := range as {
		if s.visits[a.ID] < times {
			return false
		}
	}
	return true
}

func often(a *account.Account) { a.PollInterval = 100 * time.Millisecond }

// besideTarpits polls eight good accounts beside 64 of 16 users that hold their
// slots until the poller ends. The poller ends when until says so, which is given
// how many slots are held, and whether each good account was visited five times
// since 32 were.
func besideTarpits(w *world, queue func(schedule.Queue) schedule.Queue, until func(held int, visited bool) bool) {
	s := newScene(w)
	s.queue = queue
	s.do = func(ctx context.Context, r route.Route, _ int) *fault.Error {
		if r.From.Server.Host != "good.test" {
			<-ctx.Done()
			return fault.New(fault.Interrupted, "")
		}
		return nil
	}
	var good []account.Account
	for i := range 64 {
		s.add(fmt.Sprintf("bad%d@firma.test", i/4), i, at(fmt.Sprintf("tarpit%d.test", i), 993, remote.TLS), often)
	}
	for i := range 8 {
		good = append(good, s.add(fmt.Sprintf("good%d@firma.test", i), i, at("good.test", 993, remote.TLS), often))
	}
	held := func() (n int) {
		for id := range s.active {
			if !isOf(good, id) {
				n++
			}
		}
		return n
	}
	var from map[account.ID]int // Visits when the 32nd slot was taken.
	s.poll(func() bool {
		n := held()
		if from == nil && n >= 32 {
			from = maps.Clone(s.visits)
		}
		visited := from != nil
		for _, a := range good {
			visited = visited && s.visits[a.ID] >= from[a.ID]+5
		}
		return until(n, visited)
	})
}

func isOf(as []account.Account, id account.ID) bool {
	for _, a := range as {
		if a.ID == id {
			return true
		}
	}
	return false
}

func TestSixteenUsersAtATarpitHoldUpNobodyElse(t *testing.T) {
	onBoth(t, func(w *world) {
		besideTarpits(w, func(q schedule.Queue) schedule.Queue { return q }, func(held int, visited bool) bool {
			if held == 64 {
				w.Error("every slot is held, and 8 good accounts wait")
			}
			return visited || held == 64
		})
	})
}

// The control: of slots that anybody may have more are held than the three quarters that there are for whom nobody
// knows to be quick, however many visits a slow machine fits in before. All are not waited for: on a slow machine those
// that are held for long are taken away meanwhile.
func TestWhoWaitsForATarpitIsNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		besideTarpits(w, func(q schedule.Queue) schedule.Queue { return unshared{q} }, func(held int, _ bool) bool {
			return held > 48
		})
	})
}

// unshared is a queue that lets accounts that are not quick have all slots.
type unshared struct{ schedule.Queue }

func (q unshared) Claim(ctx context.Context, c schedule.Claim) ([]schedule.Lease, error) {
	c.Unsure, c.Slow = c.Limit, c.Limit
	return q.Queue.Claim(ctx, c)
}

func TestWhoMaySwitchAProviderOff(t *testing.T) {
	const good = "good.test:993/tls"
	refused := fault.New(fault.ConnectRefused, "connecting")
	ended := fault.New(fault.ServerUnavailable, "signing in") // As some servers do with a wrong password.
	for _, tc := range []struct {
		name    string
		n       int                                // Accounts that fail,
		user    func(i int) string                 // of these users,
		server  func(i int) func(*account.Account) // at these servers,
		worked  bool                               // after a first visit that went well,
		edit    func(*account.Account) []byte      // and an edit after that,
		failure *fault.Error
		off     bool // Whether that is an outage of the good accounts' server.
	}{
		{"six people who mistyped the port", 6, each, always("good.test", 143, remote.TLS), false, nil, refused, false},
		{"six people who mistyped the security", 6, each, always("good.test", 993, remote.STARTTLS), false, nil, fault.New(
			fault.TLSFailure, ""), false},
		{
			"six people whose accounts never worked there", 6, each, always("good.test", 993, remote.TLS), false, nil,
			refused, false,
		},
		{"one with malice, whose accounts worked there", 9, func(int) string {
			return "mallory"
		}, always("good.test", 993, remote.TLS), true, nil, refused, false},
		{"two of them", 9, func(i int) string {
			return fmt.Sprint("mallory", i%2)
		}, always("good.test", 993, remote.TLS), true, nil, refused, false},
		{"people whose provider gives no tokens", 6, each, always("good.test", 993, remote.TLS), true, nil, &fault.Error{
			Code: fault.ServerUnavailable, Elsewhere: true,
		}, false},
		{"six people who mistyped their passwords", 6, each, always("good.test", 993, remote.TLS), true, func(
			*account.Account,
		) []byte {
			return []byte("mistyped")
		}, ended, false},
		{"six people who mistyped their user names", 6, each, always("good.test", 993, remote.TLS), true, func(
			a *account.Account,
		) []byte {
			a.Username += "x"
			return nil
		}, ended, false},
		// The control: the same number, whose accounts worked there.
		{"people whose server is down", 6, each, always("good.test", 993, remote.TLS), true, nil, refused, true},
		{"the same, who renamed their accounts", 6, each, always("good.test", 993, remote.TLS), true, func(
			a *account.Account,
		) []byte {
			a.Name += "x"
			return nil
		}, ended, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				s := newScene(w)
				var bad []account.Account
				for i := range tc.n {
					a := s.add(tc.user(i)+"@firma.test", i, tc.server(i), often)
					if tc.edit != nil {
						w.visited(w.lease1(a), time.Second, true)
						a = w.load(a)
						sealed := tc.edit(&a)
						_, err := w.Accounts().Update(w.Context(), a, sealed, true)
						w.must(err)
					}
					bad = append(bad, a)
				}
				resting := s.add("resting@firma.test", 99, at("good.test", 993, remote.TLS), func(a *account.Account) {
					a.PollInterval = time.Hour
				})
				watched := s.add("watched@firma.test", 98, at("well.test", 993, remote.TLS), often)
				s.do = func(_ context.Context, r route.Route, n int) *fault.Error {
					if !isOf(bad, r.ID) || tc.worked && tc.edit == nil && n == 0 {
						return nil
					}
					return tc.failure
				}
				fails, from := 1, -1
				if tc.worked && tc.edit == nil {
					fails = 2
				}
				s.poll(func() bool {
					if tc.off {
						return s.noted[good]
					}
					// Each has failed, and after that the poller has claimed several times.
					if from < 0 && s.all(bad, fails) && s.visits[resting.ID] > 0 {
						from = s.visits[watched.ID]
					}
					return from >= 0 && s.visits[watched.ID] >= from+5
				})
				if s.noted[good] != tc.off || len(s.noted) > 1 {
					w.Errorf("said to be out of order: %v", s.noted)
				}
				if tc.off {
					return // A poller that stops withdraws what it reported.
				}
				if st := s.load(resting).Status; st.State != account.OK || st.Delay != nil {
					w.Errorf("a good account is %s, delayed by %+v", st.State, st.Delay)
				}
			})
		})
	}
}

func each(i int) string { return fmt.Sprint("user", i) }

func always(host string, port int, s remote.Security) func(int) func(*account.Account) {
	return func(int) func(*account.Account) { return at(host, port, s) }
}
