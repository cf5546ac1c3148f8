package store

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

// names are the names of accounts as draft makes them.
func names(ls []fetch.Lease) (out []string) {
	for _, l := range ls {
		out = append(out, strings.Replace(l.Route.Folder, "Box", "Box ", 1))
	}
	return out
}

func (w *world) finish(l fetch.Lease, due time.Duration) {
	w.Helper()
	now := w.clock.now()
	w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
		State: account.OK, Success: true, DueAt: now.Add(due), Run: account.Run{
			StartedAt:  now.Add(-time.Second),
			FinishedAt: now, OK: true,
		},
	}))
}

func TestConcurrentClaimsNeverShareAnAccountAndKeepTheCaps(t *testing.T) {
	onBoth(t, func(w *world) {
		const accounts, perHost, perUser = 60, 5, 2
		for i := range accounts {
			w.add(fmt.Sprintf("u%d@firma.test", i/4), i, func(a *account.Account) {
				a.Server.Host = fmt.Sprintf("h%d.example.org", i%6)
			})
		}
		stores := []*Store{w.Store, w.another(), w.another()}
		var mu sync.Mutex
		taken := map[account.ID]string{}
		hosts, users := map[string]int{}, map[string]map[string]int{}
		var g errgroup.Group
		for p, s := range stores {
			for n := range 4 {
				worker := fmt.Sprintf("p%d/%d", p, n)
				g.Go(func() error {
					ls, err := s.Queue().Claim(w.Context(), schedule.Claim{
						Worker: worker, Now: w.clock.now(), Lease: time.Minute,
						Limit: 4, Unsure: 4, PerHost: perHost, PerUser: perUser,
					})
					mu.Lock()
					defer mu.Unlock()
					for _, l := range ls {
						if by, ok := taken[l.Route.ID]; ok {
							w.Errorf("%s and %s have the same account", by, worker)
						}
						taken[l.Route.ID] = worker
						hosts[l.Route.From.Server.Host]++
						u := l.Route.Owner.String()
						if users[u] == nil {
							users[u] = map[string]int{}
						}
						users[u][process(worker)]++
					}
					return err
				})
			}
		}
		w.must(g.Wait())
		for h, n := range hosts {
			if n > perHost {
				w.Errorf("%d visits at %s", n, h)
			}
		}
		for u, by := range users {
			if len(by) != 1 {
				w.Errorf("%s is served by several processes: %v", u, by)
			}
			for _, n := range by {
				if n > perUser {
					w.Errorf("%d visits for %s", n, u)
				}
			}
		}
		if len(taken) < 12 {
			w.Errorf("only %d accounts are visited", len(taken))
		}
	})
}

func TestTheLongestDueIsVisitedFirstAndTheRequestedBeforeAll(t *testing.T) {
	onBoth(t, func(w *world) {
		var as []account.Account
		for i := range 4 {
			as = append(as, w.add(fmt.Sprintf("u%d@firma.test", i), i))
		}
		for _, l := range w.claim("p1/1") {
			var n int
			_, err := fmt.Sscanf(w.of(l).Name, "Box %d", &n)
			w.must(err)
			w.finish(l, time.Duration(10-n)*time.Minute)
		}
		if got := w.claim("p1/1"); len(got) != 0 {
			w.Fatalf("nothing is due, yet %v", names(got))
		}
		next, err := w.Queue().NextDue(w.Context(), route.Keep)
		if err != nil || !next.Equal(w.clock.now().Add(7*time.Minute)) {
			w.Errorf("the next is due at %v, %v", next, err)
		}
		w.clock.pass(time.Hour)
		w.must(w.Accounts().Hurry(w.Context(), as[0].Owner, as[0].ID))
		if next, err := w.Queue().NextDue(w.Context(), route.Keep); err != nil || next.IsZero() || next.After(w.clock.now()) {
			w.Errorf("after a request, the next is due at %v, %v", next, err)
		}
		if got := w.load(as[0]).Status.NextPollAt; !got.Equal(w.clock.now()) {
			w.Errorf("the requested account is due at %v", got)
		}
		leases := w.claim("p1/1", func(c *schedule.Claim) { c.Limit = 3 })
		if got := names(leases); !cmp.Equal(got, []string{"Box 0", "Box 3", "Box 2"}) {
			w.Errorf("the order is %v", got)
		}
		for i, l := range leases {
			if l.Requested != (i == 0) {
				w.Errorf("of the visit of %s it is said that it was requested: %v", w.of(l).Name, l.Requested)
			}
		}
	})
}

func TestACrashedVisitBecomesDueWhenItsLeaseEnds(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		first := w.claim("p1/1")
		if len(first) != 1 {
			w.Fatal("not claimed")
		}
		if st := w.load(a).Status; st.State != account.Fetching {
			w.Errorf("while fetching: %+v", st)
		}
		next, err := w.Queue().NextDue(w.Context(), route.Keep)
		if err != nil || !next.Equal(w.clock.now().Add(time.Minute)) {
			w.Errorf("the next is due at %v, %v", next, err)
		}
		w.clock.pass(59 * time.Second)
		if got := w.claim("p2/1"); len(got) != 0 {
			w.Error("claimed while the lease lives")
		}
		w.clock.pass(time.Second)
		if st := w.load(a).Status; st.State != account.Pending {
			w.Errorf("after the crash: %+v", st)
		}
		second := w.claim("p2/1")
		if len(second) != 1 || second[0].Epoch != first[0].Epoch+1 {
			w.Fatalf("after the crash: %+v", second)
		}
		w.want(w.Queue().Extend(w.Context(), first[0], w.clock.now().Add(time.Hour)), fetch.ErrFenced)
		w.must(w.Queue().Extend(w.Context(), second[0], w.clock.now().Add(time.Hour)))
		w.clock.pass(59 * time.Minute)
		if got := w.claim("p3/1"); len(got) != 0 {
			w.Error("claimed although extended")
		}
	})
}

func TestAFullHostHoldsUpNobody(t *testing.T) {
	onBoth(t, func(w *world) {
		// More than a page of accounts of the busy host, all due before the other.
		for i := range claimAtLeast + 50 {
			w.add(fmt.Sprintf("u%d@firma.test", i), i, func(a *account.Account) { a.Server.Host = "busy.example.org" })
		}
		w.clock.pass(time.Minute)
		w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = ?", w.clock.now().UnixMilli()-1000).Error)
		w.add("late@firma.test", 1)
		w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = ? WHERE owner = 'late@firma.test'",
			w.clock.now().UnixMilli()).Error)
		got := w.claim("p1/1", func(c *schedule.Claim) { c.Limit, c.PerHost = 10, 3 })
		if len(got) != 4 || got[3].Route.Owner.String() != "late@firma.test" {
			w.Errorf("claimed: %v", names(got))
		}
		for _, l := range got {
			w.must(w.Queue().Abandon(w.Context(), l))
		}
		got = w.claim("p1/1", func(c *schedule.Claim) { c.Limit, c.Closed = 10, []string{"busy.example.org:993/tls"} })
		if len(got) != 1 || got[0].Route.Owner.String() != "late@firma.test" {
			w.Errorf("with the busy host out of order: %v", names(got))
		}
	})
}

func TestAUserIsServedByOneProcessAtATime(t *testing.T) {
	onBoth(t, func(w *world) {
		w.add("anna@firma.test", 1)
		w.add("anna@firma.test", 2)
		one := w.claim("p1/1", func(c *schedule.Claim) { c.Limit = 1 })
		if got := w.claim("p2/1"); len(got) != 0 {
			w.Errorf("another process got %v", names(got))
		}
		if got := w.claim("p1/2"); len(got) != 1 {
			w.Errorf("another worker of the same process got %v", names(got))
		}
		w.clock.pass(2 * time.Minute)
		if got := w.claim("p2/1"); len(got) != 2 {
			w.Errorf("after the crash of the first process: %v", names(got))
		}
		w.want(w.Queue().Finish(w.Context(), one[0], schedule.Settlement{}), fetch.ErrFenced)
	})
}

// Visits at a host of a provider that allows fewer connections are capped by that.
func TestAHostsProviderSaysHowManyVisitsThereMayBe(t *testing.T) {
	onBoth(t, func(w *world) {
		for i := range 9 {
			w.add(fmt.Sprintf("u%d@firma.test", i), i, func(a *account.Account) {
				a.Server.Host = []string{"imap.few.test", "imap.many.test", "imap.other.test"}[i%3]
			})
		}
		at := func(c *schedule.Claim) {
			c.PerHost = 2
			c.AtHost = func(host string) int { return map[string]int{"imap.few.test": 1, "imap.many.test": 100}[host] }
		}
		n := map[string]int{}
		for _, l := range append(w.claim("p1/1", at), w.claim("p2/1", at)...) {
			n[l.Route.From.Server.Host]++
		}
		if want := map[string]int{"imap.few.test": 1, "imap.many.test": 2, "imap.other.test": 2}; !maps.Equal(n, want) {
			w.Errorf("claimed %v, want %v", n, want)
		}
	})
}

func TestWhatAnAccountBroughtWithinADayIsAddedUp(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		var want []schedule.Brought
		for i, n := range []int64{100, 0, 200, 300} {
			at := w.clock.pass(10 * time.Hour)
			claim := schedule.Claim{Worker: "p1/1", Now: at, Lease: time.Minute}
			l, err := leaseOf(w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, claim))
			w.must(err)
			w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
				State: account.OK, At: at, DueAt: at, Keep: true, Run: account.Run{StartedAt: at, FinishedAt: at, Bytes: n},
			}))
			if i > 1 {
				want = append(want, schedule.Brought{At: at, Bytes: n})
			}
		}
		got, err := w.Queue().Brought(w.Context(), a.ID, w.clock.now().Add(-24*time.Hour))
		w.must(err)
		if !cmp.Equal(got, want) {
			w.Error(cmp.Diff(want, got))
		}
	})
}

func TestADisabledAccountIsNeverDue(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1, func(a *account.Account) { a.Enabled = false })
		w.must(w.Accounts().Hurry(ctx, a.Owner, a.ID))
		w.clock.pass(1000 * time.Hour)
		if got := w.claim("p1/1"); len(got) != 0 {
			w.Error("claimed")
		}
		if next, err := w.Queue().NextDue(ctx, route.Keep); err != nil || !next.IsZero() {
			w.Errorf("due at %v, %v", next, err)
		}
		l, err := leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, schedule.Claim{
			Worker: "pull/1", Now: w.clock.now(),
			Lease: time.Minute,
		}))
		w.must(err) // On demand it may be visited.
		w.finish(l, time.Second)
		l, err = leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, schedule.Claim{
			Worker: "pull/1", Now: w.clock.now(),
			Lease: time.Minute,
		}))
		w.must(err) // And this one crashes.
		w.clock.pass(time.Hour)
		if got := w.claim("p1/1"); len(got) != 0 {
			w.Error("claimed after a visit on demand")
		}
		if got := w.load(a).Status; got.State != account.Paused || !got.NextPollAt.IsZero() {
			w.Errorf("%+v", got)
		}
		w.must(w.Queue().Abandon(ctx, l))
		a = w.load(a)
		a.Enabled = true
		_, err = w.Accounts().Update(ctx, a, nil, true)
		w.must(err)
		if got := w.claim("p1/1"); len(got) != 1 {
			w.Error("not due after it was switched on")
		}
	})
}

func TestOneAccountIsClaimedWhetherDueOrNotButNotFromUnderAnother(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1)
		w.finish(w.claim("p1/1")[0], time.Hour)
		c := schedule.Claim{Worker: "p2/1", Now: w.clock.now(), Lease: time.Minute}
		l, err := leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, c))
		w.must(err)
		other := c
		other.Worker = "p1/1"
		_, err = w.Queue().ClaimOne(ctx, a.Owner, a.ID, other)
		w.want(err, schedule.ErrBusy)
		again, err := leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, c))
		w.must(err)
		w.want(w.commit(l, fetch.Entry{}), fetch.ErrFenced)
		w.must(w.commit(again, fetch.Entry{}))
		other.Now = w.clock.pass(2 * time.Minute)
		if _, err = w.Queue().ClaimOne(ctx, a.Owner, a.ID, other); err != nil {
			w.Errorf("after the lease ended: %v", err)
		}
	})
}

func TestWhatWasRequestedOrEditedDuringAVisitStaysDue(t *testing.T) {
	cases := map[string]struct {
		during func(w *world, a account.Account)
		due    bool
	}{
		"nothing":   {func(*world, account.Account) {}, false},
		"requested": {func(w *world, a account.Account) { w.must(w.Accounts().Hurry(w.Context(), a.Owner, a.ID)) }, true},
		"edited": {func(w *world, a account.Account) {
			a.Name = "Other"
			_, err := w.Accounts().Update(w.Context(), a, nil, false)
			w.must(err)
		}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				a := w.add("anna@firma.test", 1)
				l := w.claim("p1/1")[0]
				c.during(w, a)
				if got := w.claim("p1/2"); len(got) != 0 {
					w.Error("claimed during the visit")
				}
				w.finish(l, time.Hour)
				if got := w.claim("p1/2"); (len(got) == 1) != c.due {
					w.Errorf("due afterwards: %v", names(got))
				}
				w.clock.pass(time.Second)
			})
		})
	}
}

func TestEditsMoveTheNextVisit(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		w.finish(w.claim("p1/1")[0], time.Hour)
		a = w.load(a)
		a.PollInterval = time.Minute
		a, err := w.Accounts().Update(w.Context(), a, nil, false)
		w.must(err)
		if got := a.Status.NextPollAt; !got.Equal(w.clock.now().Add(time.Minute)) {
			w.Errorf("a shorter interval: next at %v", got)
		}
		l := w.lease1(a)
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
			State: account.NeedsAttention, Failures: 3,
			Diagnosis: &account.Diagnosis{Code: fault.AuthFailed},
		}))
		a = w.load(a)
		if !a.Status.NextPollAt.IsZero() || a.Status.State != account.NeedsAttention || a.Status.Failures != 3 {
			w.Fatalf("needs attention: %+v", a.Status)
		}
		a.Name = "Label"
		if a, err = w.Accounts().Update(w.Context(), a, nil, false); err != nil || !a.Status.NextPollAt.IsZero() {
			w.Errorf("a new label is no reason to try again: %v, %v", a.Status.NextPollAt, err)
		}
		if a, err = w.Accounts().Update(w.Context(), a, []byte("new"), true); err != nil ||
			!a.Status.NextPollAt.Equal(w.clock.now()) || a.Status.Failures != 0 {
			w.Errorf("a new password is: %+v, %v", a.Status, err)
		}
		if got := w.claim("p1/1"); len(got) != 1 {
			w.Error("not due with its new password")
		}
	})
}

func (w *world) lease1(a account.Account) fetch.Lease {
	w.Helper()
	l, err := leaseOf(w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, schedule.Claim{
		Worker: "p1/1", Now: w.clock.now(),
		Lease: time.Minute,
	}))
	w.must(err)
	return l
}

func TestAnAbandonedVisitHasNotBeen(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		w.must(w.Queue().Abandon(w.Context(), w.claim("p1/1")[0]))
		if st := w.load(a).Status; st.State != account.Pending || !st.LastAttemptAt.IsZero() ||
			!st.NextPollAt.Equal(w.clock.now()) {
			w.Errorf("%+v", st)
		}
		if runs, err := w.Accounts().Runs(w.Context(), a.Owner, a.ID, 10); err != nil || len(runs) != 0 {
			w.Errorf("visits: %v, %v", runs, err)
		}
		if got := w.claim("p2/1"); len(got) != 1 {
			w.Error("not due at once")
		}
	})
}

// An account that waits for its user and was held continues to wait.
func TestAnAccountThatRestsIsNotDue(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l := w.claim("p1/1")[0]
		w.must(w.Queue().Rest(w.Context(), l))
		if st := w.load(a).Status; !st.NextPollAt.IsZero() {
			w.Errorf("%+v", st)
		}
		w.want(w.Queue().Rest(w.Context(), l), fetch.ErrFenced)
		if got := w.claim("p2/1"); len(got) != 0 {
			w.Error("it is due")
		}
	})
}

func TestASettlementIsWhatTheStatusTells(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		began := w.clock.now()
		l := w.claim("p1/1")[0]
		ended := w.clock.pass(3 * time.Second)
		says := func(text string) words.Detail { return words.Detail{words.Say("The server says: %s", text)} }
		d := &account.Diagnosis{Code: fault.ServerUnavailable, Detail: says("try\x00 later"), Since: began}
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
			State: account.Retrying, DueAt: ended.Add(time.Minute), Failures: 2, Diagnosis: d,
			Run: account.Run{StartedAt: began, FinishedAt: ended, Diagnosis: d}, Keep: true,
		}))
		want := account.Status{
			State: account.Retrying, LastAttemptAt: began, NextPollAt: ended.Add(time.Minute), Failures: 2,
			Diagnosis: &account.Diagnosis{Code: fault.ServerUnavailable, Detail: says("try\uFFFD later"), Since: began},
			Delay:     &account.Delay{Kind: account.DelayBackoff, Since: began, Until: ended.Add(time.Minute)},
		}
		if got := w.load(a).Status; !cmp.Equal(got, want) {
			w.Error(cmp.Diff(got, want))
		}
		w.clock.pass(time.Minute)
		w.finish(w.claim("p1/1")[0], time.Minute)
		got := w.load(a).Status
		if got.State != account.OK || got.Diagnosis != nil || got.Failures != 0 || !got.LastSuccessAt.Equal(w.clock.now()) ||
			!got.Proven {
			w.Errorf("after a success: %+v", got)
		}
	})
}

func TestRunsAreTheVisitUnderWayTheLastOneAndThoseWorthARow(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1)
		visit := func(messages int64, keep bool) {
			l := w.lease1(a)
			began := w.clock.now()
			ended := w.clock.pass(time.Second)
			w.must(w.Queue().Finish(ctx, l, schedule.Settlement{
				State: account.OK, Success: true, DueAt: ended, Keep: keep,
				Run: account.Run{StartedAt: began, FinishedAt: ended, OK: true, Messages: messages, Bytes: 10 * messages},
			}))
			w.clock.pass(time.Minute)
		}
		runs := func(limit int) []account.Run {
			rs, err := w.Accounts().Runs(ctx, a.Owner, a.ID, limit)
			w.must(err)
			return rs
		}
		if got := runs(10); len(got) != 0 {
			w.Fatalf("before any visit: %+v", got)
		}
		visit(5, true)
		visit(0, false)
		if got := runs(10); len(got) != 2 || got[0].Messages != 0 || got[1].Messages != 5 || got[1].Bytes != 50 ||
			!got[0].OK {
			w.Fatalf("the last one is shown although it has no row: %+v", got)
		}
		visit(0, false)
		visit(7, true)
		if got := runs(10); len(got) != 2 || got[0].Messages != 7 || got[1].Messages != 5 {
			w.Fatalf("visits without news leave no trace: %+v", got)
		}
		l := w.lease1(a)
		w.must(w.commit(l, fetch.Entry{Progress: route.Progress{MessagesDone: 2, BytesDone: 30}}))
		got := runs(10)
		if len(got) != 3 || !got[0].FinishedAt.IsZero() || got[0].Messages != 2 || got[0].Bytes != 30 || got[0].ID == "" {
			w.Fatalf("the visit under way: %+v", got)
		}
		under := got[0].ID
		w.finish(l, time.Minute)
		if got = runs(10); got[0].ID != under || got[0].FinishedAt.IsZero() {
			w.Errorf("a visit changed its name when it ended: %+v", got[0])
		}
		if got = runs(1); len(got) != 1 || got[0].ID != under {
			w.Errorf("a limit of one: %+v", got)
		}
		if got = runs(0); len(got) != 0 {
			w.Errorf("a limit of none: %+v", got)
		}
		w.must(w.Prune(ctx, w.clock.now().Add(time.Hour)))
		if got = runs(10); len(got) != 1 {
			w.Errorf("old visits are kept: %+v", got)
		}
	})
}

func TestAVisitWithoutNewsWritesOneRow(t *testing.T) {
	onBoth(t, func(w *world) {
		l := w.claimNew()
		if more := w.rowsBeside(func() { w.finish(l, time.Minute) }); more != "" {
			w.Error(more)
		}
	})
}

// The controls: a visit that is kept although it brought nothing, and one that
// writes to the journal.
func TestAVisitThatWritesMoreThanItsRowIsNoticed(t *testing.T) {
	onBoth(t, func(w *world) {
		l := w.claimNew()
		if w.rowsBeside(func() {
			w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
				State: account.OK, DueAt: w.clock.now().Add(time.Minute), Success: true, Keep: true, Run: account.Run{
					OK:        true,
					StartedAt: w.clock.now(), FinishedAt: w.clock.now(),
				},
			}))
		}) == "" {
			w.Error("a row of a visit without news is not noticed")
		}
		w.clock.pass(2 * time.Minute)
		l = w.claim("p1/1")[0]
		if w.rowsBeside(func() {
			w.must(w.commit(l, fetch.Entry{Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: 1}}))
			w.finish(l, time.Minute)
		}) == "" {
			w.Error("a row of the journal is not noticed")
		}
	})
}

// claimNew is a lease on a new account.
func (w *world) claimNew() fetch.Lease {
	w.Helper()
	w.add("anna@firma.test", 1)
	return w.claim("p1/1")[0]
}

// rowsBeside says what a visit wrote beside its account's row in the schedule
// and the sums of all visits.
func (w *world) rowsBeside(visit func()) string {
	w.Helper()
	written := func() (all []string) {
		for _, table := range []string{"runs", "batches", "messages", "folders", "skipped", "journals", "accounts"} {
			all = append(all, w.table("SELECT * FROM "+table)...)
		}
		return all
	}
	before := written()
	visit()
	w.must(w.FlushCounts(w.Context()))
	if n := w.table("SELECT count(*) FROM poll_counts"); n[0] != "1|" {
		return fmt.Sprintf("sums in %v rows", n)
	}
	return cmp.Diff(before, written())
}
