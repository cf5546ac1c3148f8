package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// dies has an account claimed by a process that dies, and its lease run out.
func (w *world) dies(a account.Account, worker string) {
	w.Helper()
	_, err := w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, schedule.Claim{
		Worker: worker, Now: w.clock.now(),
		Lease: time.Minute,
	})
	w.must(err)
	w.clock.pass(time.Minute + time.Second)
}

func TestOnlyVisitsThatNeverEndedAreCounted(t *testing.T) {
	abandon := func(w *world, l fetch.Lease) { w.must(w.Queue().Abandon(w.Context(), l)) }
	edit := func(w *world, l fetch.Lease) {
		a := w.of(l)
		a.Folder = "Elsewhere"
		_, err := w.Accounts().Update(w.Context(), a, nil, true)
		w.must(err)
	}
	for _, tc := range []struct {
		name string
		end  func(w *world, l fetch.Lease)
		next string
		want fetch.Aborted
	}{
		{"its process died", func(*world, fetch.Lease) {}, "p2-x", fetch.Aborted{Visits: 2, Last: true}},
		{"its process died, and the next one knows", func(w *world, _ fetch.Lease) {
			_, err := w.Queue().Reap(w.Context(), func(worker string) bool { return worker == "p1-x" })
			w.must(err)
		}, "p2-x", fetch.Aborted{Visits: 2, Last: true}},
		{"an edit came before the next claim", func(w *world, l fetch.Lease) {
			w.clock.pass(2 * time.Minute)
			edit(w, l)
		}, "p2-x", fetch.Aborted{Visits: 2}},
		{"its process lives and could not write the end", func(*world, fetch.Lease) {}, "p1-x/one-3", fetch.Aborted{
			Visits: 1,
		}},
		{"given back at the end of the process", abandon, "p2-x", fetch.Aborted{Visits: 1}},
		{"cut short by an edit", edit, "p2-x", fetch.Aborted{Visits: 1}},
		{"went well", func(w *world, l fetch.Lease) { w.finish(l, time.Second) }, "p2-x", fetch.Aborted{}},
		{"failed", func(w *world, l fetch.Lease) {
			w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
				State: account.Retrying, Failures: 1, Diagnosis: &account.Diagnosis{Code: fault.ConnectTimeout},
				DueAt: w.clock.now(),
			}))
		}, "p2-x", fetch.Aborted{}},
		{"told that visits never ended", func(w *world, l fetch.Lease) {
			w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
				State: account.Retrying, Failures: 1, Diagnosis: &account.Diagnosis{Code: fault.VisitAborted}, DueAt: w.clock.now(),
			}))
		}, "p2-x", fetch.Aborted{Visits: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				a := w.add("anna@firma.test", 1)
				w.dies(a, "p0-x")
				ls := w.claim("p1-x")
				if len(ls) != 1 || ls[0].Aborted != (fetch.Aborted{Visits: 1, Last: true}) {
					w.Fatalf("claimed %+v", ls)
				}
				tc.end(w, ls[0])
				w.clock.pass(2 * time.Minute)
				if ls = w.claim(tc.next); len(ls) != 1 || ls[0].Aborted != tc.want {
					w.Errorf("claimed %+v, want %+v", ls, tc.want)
				}
			})
		})
	}
}

func TestASuspectIsAloneAmongThoseThatMayBeOne(t *testing.T) {
	onBoth(t, func(w *world) {
		suspects := []account.Account{w.add("a@firma.test", 1), w.add("b@firma.test", 2)}
		for _, a := range suspects {
			for _, worker := range []string{"d1", "d2"} {
				w.dies(a, worker)
			}
		}
		once := w.add("c@firma.test", 3)
		w.dies(once, "d3")
		well := w.add("d@firma.test", 4)

		first := w.claim("p1/1")
		if got := names(first); len(got) != 2 || !slices.Contains(got, well.Name) || slices.Contains(got, once.Name) {
			w.Fatalf("claimed %q, want one suspect and the account with nothing against it", got)
		}
		if got := names(w.claim("p1/2")); len(got) > 0 {
			w.Errorf("beside a suspect %q are visited", got)
		}
		_, err := w.Queue().ClaimOne(w.Context(), once.Owner, once.ID, schedule.Claim{
			Worker: "p1/3", Now: w.clock.now(),
			Lease: time.Minute,
		})
		w.want(err, schedule.ErrBusy)
		other := w.claim("p2/1") // Another process has a lane of its own.
		if got := names(other); len(got) != 1 {
			w.Errorf("another process claimed %q", got)
		}
		for _, l := range append(first, other...) {
			w.finish(l, time.Hour)
		}
		if got := w.claim("p1/4"); len(got) != 1 || got[0].Route.ID != once.ID || got[0].Aborted.Visits != 1 {
			w.Errorf("claimed %+v, want %s: the suspects are cleared", got, once.Name)
		}
		// And one that was there at one death keeps a suspect waiting.
		late := w.add("e@firma.test", 5)
		for _, worker := range []string{"d4", "d5"} {
			_, err := w.Queue().ClaimOne(w.Context(), late.Owner, late.ID, schedule.Claim{
				Worker: worker, Now: w.clock.now(),
				Lease: time.Second,
			})
			w.must(err)
			w.clock.pass(2 * time.Second)
		}
		if got := names(w.claim("p1/5")); len(got) > 0 {
			w.Errorf("a suspect is visited beside one that may be it: %q", got)
		}
		if got := names(w.claim("p2/2")); !slicesEqual(got, late.Name) {
			w.Errorf("another process claimed %q", got)
		}
	})
}

func TestAPauseAfterDeathsIsNotCutShort(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		for n := range schedule.AbortedAlone + 1 {
			w.dies(a, fmt.Sprintf("d%d", n))
		}
		l := w.lease1(a)
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
			State: account.Retrying, Failures: 1, Diagnosis: &account.Diagnosis{Code: fault.VisitAborted},
			DueAt: w.clock.now().Add(time.Hour),
		}))
		w.must(w.Accounts().Hurry(w.Context(), a.Owner, a.ID))
		if got := names(w.claim("p1")); len(got) > 0 {
			w.Errorf("claimed %q", got)
		}
		w.clock.pass(time.Hour)
		if got := w.claim("p1"); len(got) != 1 || got[0].Aborted != (fetch.Aborted{Visits: 3}) {
			w.Errorf("claimed %+v", got)
		}
	})
}

// mortal is the queue of a process that can die: nothing that it writes after that
// arrives.
type mortal struct {
	schedule.Queue
	mu    sync.Mutex
	dead  bool
	wrap  func(fetch.Lease) fetch.Lease
	ended func()
}

func (q *mortal) gone() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dead
}

func (q *mortal) die() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = true
}

func (q *mortal) Claim(ctx context.Context, c schedule.Claim) ([]schedule.Lease, error) {
	if q.gone() {
		return nil, errors.New("dead")
	}
	ls, err := q.Queue.Claim(ctx, c)
	for i := range ls {
		ls[i].Lease = q.wrap(ls[i].Lease)
	}
	return ls, err
}

func (q *mortal) Extend(ctx context.Context, l fetch.Lease, until time.Time) error {
	if q.gone() {
		return fetch.ErrFenced
	}
	return q.Queue.Extend(ctx, l, until)
}

func (q *mortal) Finish(ctx context.Context, l fetch.Lease, s schedule.Settlement) error {
	if q.gone() {
		return fetch.ErrFenced
	}
	err := q.Queue.Finish(ctx, l, s)
	q.ended()
	return err
}

func (q *mortal) Abandon(ctx context.Context, l fetch.Lease) error {
	if q.gone() {
		return fetch.ErrFenced
	}
	return q.Queue.Abandon(ctx, l)
}

// life is what became of one process.
type life struct {
	died     bool
	poisoned int      // Visits of the poisoned account.
	beside   []string // Who had died before and was visited beside it or another suspect.
}

// poisoned is an installation with an account whose visits its process does not survive.
type poisoned struct {
	*world
	poison account.Account
	all    []account.Account
	cured  bool
	wrap   func(fetch.Lease) fetch.Lease // What a control does to leases.
}

func newPoisoned(w *world, innocents int) *poisoned {
	p := &poisoned{world: w, poison: w.add("mallory@firma.test", 0), wrap: func(l fetch.Lease) fetch.Lease { return l }}
	p.all = append(p.all, p.poison)
	for i := range innocents {
		p.all = append(p.all, w.add(fmt.Sprintf("u%d@firma.test", i), i+1))
	}
	return p
}

// live runs one process until it dies or every account that is due has been
// settled. Together says that nobody's visit ends before the poison's begins.
func (p *poisoned) live(name string, together bool) life {
	p.Helper()
	var out life
	var c changes
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	var mu sync.Mutex
	under := map[account.ID]fetch.Lease{}
	q := &mortal{Queue: p.Queue(), wrap: p.wrap, ended: c.made}
	visit := func(ctx context.Context, l fetch.Lease) fetch.Report {
		mu.Lock()
		under[l.Route.ID] = l
		for _, o := range under {
			for _, s := range under {
				if s.Route.ID != o.Route.ID && s.Aborted.Visits >= schedule.AbortedAlone && o.Aborted.Visits > 0 {
					out.beside = append(out.beside, p.of(o).Name)
				}
			}
		}
		all := len(under) == len(p.all)
		mu.Unlock()
		c.made()
		defer func() { mu.Lock(); delete(under, l.Route.ID); mu.Unlock(); c.made() }()
		if l.Route.ID == p.poison.ID {
			out.poisoned++
			if together && !all {
				p.must(c.until(p.Context(), func() bool { mu.Lock(); defer mu.Unlock(); return len(under) == len(p.all) }))
			}
			if !p.cured {
				out.died = true
				q.die()
				cancel()
			}
			return fetch.Report{}
		}
		if together {
			<-ctx.Done()
		}
		return fetch.Report{Err: ctx.Err()}
	}
	r := schedule.New(schedule.Options{Queue: q, Worker: name, Visitor: visitorFunc(visit), Rand: func() float64 {
		return 0.5
	}})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	p.must(c.until(p.Context(), func() bool {
		n := 0
		p.must(p.on(p.r).row(p.Context(), "SELECT count(*) FROM poll_schedule WHERE due_at_ms <= ? OR lease_owner <> ''",
			p.clock.now().UnixMilli()).Scan(&n))
		return n == 0 || q.gone()
	}))
	cancel()
	p.must(<-done)
	p.clock.pass(31 * time.Second) // Its leases run out.
	return out
}

func TestAnAccountThatKillsItsProcessIsFoundOutAndNobodyElsePays(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPoisoned(w, 5)
		for _, name := range []string{"p1", "p2"} {
			if l := p.live(name, true); !l.died {
				w.Fatalf("%s: %+v", name, l)
			}
		}
		third := p.live("p3", false) // Alone, and it dies once more.
		if !third.died || len(third.beside) > 0 {
			w.Errorf("the third: %+v", third)
		}
		fourth := p.live("p4", false)
		if fourth.died || fourth.poisoned > 0 || len(fourth.beside) > 0 {
			w.Errorf("the fourth: %+v", fourth)
		}
		for _, a := range p.all[1:] {
			if st := w.load(a).Status; st.State != account.OK || st.NextPollAt.Sub(w.clock.now()) > 5*time.Minute {
				w.Errorf("%s is %s until %v", a.Name, st.State, st.NextPollAt)
			}
		}
		for n, pause := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
			st := w.load(p.poison).Status
			left := st.NextPollAt.Sub(w.clock.now()) + 31*time.Second
			if st.State != account.Retrying || st.Diagnosis == nil || st.Diagnosis.Code != fault.VisitAborted || left != pause {
				w.Errorf("after pause %d: %s, %+v, the pause is %v, want %v", n, st.State, st.Diagnosis, left, pause)
			}
			w.clock.pass(pause)
			if l := p.live(fmt.Sprintf("q%d", n), false); !l.died || l.poisoned != 1 || len(l.beside) > 0 {
				w.Errorf("after pause %d: %+v", n, l)
			}
			if l := p.live(fmt.Sprintf("r%d", n), false); l.died || l.poisoned != 0 {
				w.Errorf("after pause %d, the process after: %+v", n, l)
			}
		}
		p.cured = true
		w.clock.pass(40 * time.Minute)
		if l := p.live("s", false); l.poisoned != 1 {
			w.Errorf("once it does no harm: %+v", l)
		}
		if st := w.load(p.poison).Status; st.State != account.OK || st.Failures != 0 || !w.forgiven(p.poison) {
			w.Errorf("once it does no harm: %+v", st)
		}
	})
}

func (w *world) forgiven(a account.Account) bool {
	n := -1
	w.must(w.on(w.r).row(w.Context(), "SELECT aborted FROM poll_schedule WHERE route_id = ?", string(a.ID)).Scan(&n))
	return n == 0
}

// The controls: a process that does not know what became of the ones before, and
// a database that does not remember it.
func TestDeathsThatAreForgottenAreNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPoisoned(w, 2)
		p.wrap = func(l fetch.Lease) fetch.Lease { l.Aborted = fetch.Aborted{}; return l }
		died := 0
		for n := range 6 {
			if p.live(fmt.Sprintf("p%d", n), false).died {
				died++
			}
		}
		if died != 6 {
			w.Errorf("%d processes of 6 died: the pauses do not come from what the lease says", died)
		}
	})
}

// The same of deaths that the database has forgotten.
func TestDeathsThatTheDatabaseForgotAreNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		p := newPoisoned(w, 3)
		for _, name := range []string{"p1", "p2"} {
			p.live(name, true)
		}
		var claimed []string
		p.wrap = func(l fetch.Lease) fetch.Lease { claimed = append(claimed, w.of(l).Name); return l }
		_, err := w.w.Statement.ConnPool.ExecContext(w.Context(), "UPDATE poll_schedule SET lease_owner = '', aborted = 0")
		w.must(err)
		if l := p.live("p3", true); !l.died || len(claimed) != 4 {
			w.Errorf("%+v, claimed %s: nobody has to be alone where nothing is remembered", l, strings.Join(claimed, ", "))
		}
	})
}
