package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// follower keeps accounts up to date by a watcher in another process.
type follower struct {
	*world
	store   *Store
	watcher *Watcher
	users   []owner.Owner
	told    map[owner.Owner][]account.Account
}

func (w *world) follow(users ...string) *follower {
	w.Helper()
	s := w.another()
	f := &follower{world: w, store: s, watcher: s.Watcher(), told: map[owner.Owner][]account.Account{}}
	for _, u := range users {
		f.users = append(f.users, anOwner(w, u))
	}
	return f
}

// look applies the changes, and returns whose they are.
func (f *follower) look(again ...owner.Owner) (names []string) {
	f.Helper()
	news, err := f.watcher.Changes(f.Context(), f.users, again)
	f.must(err)
	maps.Copy(f.told, news)
	for o := range news {
		names = append(names, o.String())
	}
	slices.Sort(names)
	return names
}

// behind returns where its accounts differ from the database.
func (f *follower) behind() (diffs []string) {
	f.Helper()
	for _, o := range f.users {
		as, err := f.store.Accounts().Accounts(f.Context(), o)
		f.must(err)
		if diff := cmp.Diff(as, f.told[o], cmp.AllowUnexported(owner.Owner{}), emptyAsNil); diff != "" {
			diffs = append(diffs, o.String()+":\n"+diff)
		}
	}
	return diffs
}

// emptyAsNil takes a user without accounts for one however that is written.
var emptyAsNil = cmp.FilterValues(func(a, b []account.Account) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

// deeds are what changes how accounts are shown, in an order in which each can be done.
// Those whose name begins with "time:" are time's alone.
func (w *world) deeds() (all []deed) {
	const anna, bartek = "anna@firma.test", "bartek@firma.test"
	ctx := w.Context()
	var a, b account.Account
	var l fetch.Lease
	var f fetch.Folder
	seq := 0
	next := func(state account.State, code fault.Code, due time.Duration) {
		s := schedule.Settlement{State: state, Success: code == "", Run: account.Run{OK: code == ""}}
		if due > 0 {
			s.DueAt = w.clock.now().Add(due)
		}
		if code != "" {
			s.Diagnosis = &account.Diagnosis{Code: code, Since: w.clock.now()}
		}
		w.must(w.Queue().Finish(ctx, l, s))
	}
	edit := func(change func(*account.Account)) {
		a = w.load(a)
		change(&a)
		var err error
		a, err = w.Accounts().Update(ctx, a, nil, false)
		w.must(err)
	}
	hour := time.Hour
	return []deed{
		{"added", func() { a = w.add(anna, 1) }},
		{"another user's added", func() { b = w.add(bartek, 2, at("other.test", 993, remote.TLS)) }},
		{"claimed", func() { l, f = w.lease(a) }},
		{"progress", func() {
			w.must(w.commit(l, fetch.Entry{Progress: route.Progress{Folder: "INBOX", MessagesDone: 3, MessagesTotal: 9}}))
		}},
		{"delivered", func() { seq++; w.deliver(l, seq, members(f, 1, 4)) }},
		{"finished", func() { next(account.OK, "", hour) }},
		{"claimed and finished between two looks", func() {
			l = w.lease1(a)
			next(account.Retrying, fault.ServerUnavailable, hour)
		}},
		{"edited", func() { edit(func(a *account.Account) { a.Name = "Other" }) }},
		{"switched off", func() { edit(func(a *account.Account) { a.Enabled = false }) }},
		{"switched on", func() { edit(func(a *account.Account) { a.Enabled = true }) }},
		{"requested", func() { w.must(w.Accounts().Hurry(ctx, a.Owner, a.ID)) }},
		{"time: due for long", func() { w.clock.pass(schedule.Late + time.Second) }},
		{"claimed again", func() { l = w.lease1(a) }},
		{"edited during the visit", func() { edit(func(a *account.Account) { a.SenderName = "Somebody" }) }},
		{"abandoned", func() { w.must(w.Queue().Abandon(ctx, l)) }},
		{"claimed once more", func() { l = w.lease1(a) }},
		{"gives way", func() { w.must(w.Queue().GiveWay(ctx, l)) }},
		{"claimed by who is killed", func() { l = w.lease1(a) }},
		{"reaped", func() {
			_, err := w.Queue().Reap(ctx, func(string) bool { return true })
			w.must(err)
		}},
		{"claimed by who hangs", func() { l = w.lease1(a) }},
		{"time: the lease ran out", func() { w.clock.pass(10 * time.Minute) }},
		{"claimed by another", func() { l = w.lease1(a) }},
		{"over quota", func() { next(account.OverQuota, fault.LocalOverQuota, hour) }},
		{"there is room", func() {
			w.must(w.SetLimits(ctx, a.Owner, owner.Limit{Messages: ptr(1)}, nil))
			w.must(w.SaveUsage(ctx, a.Owner, 10, 10, owner.Limit{}, nil))
			w.must(w.SetLimits(ctx, a.Owner, owner.Limit{Messages: ptr(1000)}, nil))
		}},
		{"the other is visited", func() { l = w.lease1(b); next(account.OK, "", hour) }},
		{"the other's server is out of order", func() {
			w.must(w.Queue().NoteOutages(ctx, "p/1", []schedule.Outage{{
				Circuit: schedule.CircuitKey(b.Server), Code: fault.ServerUnavailable, Since: w.clock.now(),
				Probe: w.clock.now().Add(time.Minute),
			}}))
		}},
		{"it will be tried later", func() {
			w.must(w.Queue().NoteOutages(ctx, "p/1", []schedule.Outage{{
				Circuit: schedule.CircuitKey(b.Server), Code: fault.ServerUnavailable, Since: w.clock.now(),
				Probe: w.clock.now().Add(2 * time.Minute),
			}}))
		}},
		{"time: nobody reports it any more", func() { w.clock.pass(2*time.Minute + schedule.OutageKept + time.Second) }},
		{"time: the other is due", func() { w.clock.pass(hour) }},
		{"removed", func() { w.must(w.Accounts().Remove(ctx, a.Owner, a.ID, true, nil)) }},
		{"added after the newest was removed", func() { a = w.add(anna, 3) }},
		{"removed with its user", func() {
			_, err := w.BeginRemoval(ctx, a.Owner, false)
			w.must(err)
		}},
	}
}

type deed struct {
	name string
	do   func()
}

// TestEachLookTellsWhatChangedInWhicheverProcess: what was reported by and by is what the
// accounts are, after each deed.
func TestEachLookTellsWhatChangedInWhicheverProcess(t *testing.T) {
	onBoth(t, func(w *world) {
		w.add("still@firma.test", 9) // Nothing happens to whom.
		f := w.follow("anna@firma.test", "bartek@firma.test", "still@firma.test", "none@firma.test")
		if got := f.look(); len(got) != 4 {
			w.Errorf("the first look reports %q", got)
		}
		told := 0
		for _, d := range w.deeds() {
			d.do()
			news := f.look()
			if d.name != "time: the other is due" && slices.Contains(news, "none@firma.test") {
				w.Errorf("%s: news of who has nothing", d.name)
			}
			for _, diff := range f.behind() {
				w.Errorf("%s: told otherwise than it is (-is +told) of %s", d.name, diff)
			}
			told += len(news)
			w.clock.pass(time.Second)
		}
		if told < 30 {
			w.Errorf("there were %d news", told)
		}
	})
}

// TestWithoutNumbersChangesAreMissed is the control of the test before: the triggers are
// taken away. What was missed is found once maxAge is over.
func TestWithoutNumbersChangesAreMissed(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, d := range []struct{ trigger, table string }{
			{"poll_schedule_changes", "poll_schedule"},
			{"poll_schedule_ends", "poll_schedule"},
			{"poll_schedule_added", "poll_schedule"},
		} {
			drop := "DROP TRIGGER " + d.trigger
			if w.postgres {
				drop += " ON " + d.table
			}
			_, err := w.on(w.w).exec(w.Context(), drop)
			w.must(err)
		}
		f := w.follow("anna@firma.test", "bartek@firma.test")
		f.look()
		missed := map[string]bool{}
		for _, d := range w.deeds() {
			d.do()
			f.look()
			if len(f.behind()) > 0 {
				missed[d.name] = true
			}
		}
		for _, name := range []string{"added", "edited", "finished", "requested", "removed"} {
			if !missed[name] {
				w.Errorf("%s was noticed", name)
			}
		}
		w.add("bartek@firma.test", 7)
		w.clock.pass(maxAge)
		f.look()
		if diffs := f.behind(); len(diffs) > 0 {
			w.Errorf("after maxAge: %s", diffs)
		}
	})
}

// TestWhoseSessionEndsHasNews, so that it is found out; nobody else has any.
func TestWhoseSessionEndsHasNews(t *testing.T) {
	onBoth(t, func(w *world) {
		const anna, bartek, celina = "anna@firma.test", "bartek@firma.test", "celina@firma.test"
		ctx := w.Context()
		real := time.Now().Add(time.Hour) // The triggers go by the database's clock.
		w.clock.pass(real.Add(-time.Hour).Sub(w.clock.now()))
		for _, user := range []string{anna, bartek, celina} {
			w.must(w.session(anOwner(w, user), user))
		}
		f := w.follow(anna, bartek, celina)
		f.look()
		for _, step := range []struct {
			name string
			do   func() error
			want []string
		}{
			{"nothing", func() error { return nil }, nil},
			{"one", func() error { return w.Sessions().End(ctx, anna) }, []string{anna}},
			{"a user's", func() error { _, err := w.Sessions().EndAll(ctx, anOwner(w, bartek)); return err }, []string{bartek}},
			{"nothing again", func() error { return nil }, nil},
			{"everybody's", func() error { _, err := w.Sessions().EndAll(ctx, owner.Owner{}); return err }, []string{celina}},
			{"a removed user's", func() error {
				_, err := w.BeginRemoval(ctx, anOwner(w, anna), false)
				return err
			}, []string{anna}},
		} {
			w.must(step.do())
			if got := f.look(); !slices.Equal(got, step.want) {
				w.Errorf("%s: news of %q, want %q", step.name, got, step.want)
			}
		}
		over, err := w.Sessions().Ended(ctx, []string{anna, "never was", celina})
		w.must(err)
		if want := []string{anna, "never was", celina}; !slices.Equal(over, want) {
			w.Errorf("over are %q", over)
		}
		w.must(w.session(anOwner(w, anna), "new"))
		over, err = w.Sessions().Ended(ctx, []string{"new", anna})
		w.must(err)
		if !slices.Equal(over, []string{anna}) {
			w.Errorf("over are %q", over)
		}
	})
}

// TestAChangeIsReportedThoughALaterOneEndedFirst: a transaction that began before others and
// ended after a look that saw those.
func TestAChangeIsReportedThoughALaterOneEndedFirst(t *testing.T) {
	w := newWorld(t, "postgres")
	const anna, bartek = "anna@firma.test", "bartek@firma.test"
	a, b := w.add(anna, 1), w.add(bartek, 2)
	f := w.follow(anna, bartek)
	f.look()
	request := func(c sqlConn, a account.Account) { w.must(w.requestVisit(w.Context(), c, a.Owner, a.ID)) }
	tx := w.w.WithContext(w.Context()).Begin()
	w.must(tx.Error)
	request(w.on(tx), a)
	request(w.on(w.w), b)
	if got := f.look(); !slices.Equal(got, []string{bartek}) {
		w.Errorf("while the first is not committed: news of %q", got)
	}
	if got := f.look(); len(got) > 0 {
		w.Errorf("and then: %q", got)
	}
	w.must(tx.Commit().Error)
	if got := f.look(); !slices.Equal(got, []string{anna}) {
		w.Errorf("once it is: news of %q", got)
	}
	if got := f.look(); len(got) > 0 {
		w.Errorf("and then: %q", got)
	}
}

// TestNumbersOfAnotherServerMeanNothing: a copy of a database has higher ones than its
// server has come to. They are neither reported all the time, nor hide what changes.
func TestNumbersOfAnotherServerMeanNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		const anna, bartek = "anna@firma.test", "bartek@firma.test"
		a := w.add(anna, 1)
		w.add(bartek, 2)
		_, err := w.on(w.w).exec(w.Context(), "UPDATE poll_schedule SET changed = ?", int64(1)<<60)
		w.must(err)
		f := w.follow(anna, bartek)
		f.look()
		if got := f.look(); len(got) > 0 {
			w.Errorf("without news: %q", got)
		}
		w.must(w.Accounts().Hurry(w.Context(), a.Owner, a.ID))
		if got := f.look(); !slices.Equal(got, []string{anna}) {
			w.Errorf("news of %q", got)
		}
	})
}

// TestAFailedLookTakesNothingAway: what it found is reported by the next.
func TestAFailedLookTakesNothingAway(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		f := w.follow("anna@firma.test")
		f.look()
		w.must(w.Accounts().Hurry(w.Context(), a.Owner, a.ID))
		queries := countQueries(w, f.store)
		for n := range int64(3) {
			ctx, cancel := context.WithCancel(w.Context())
			queries.at, queries.then = queries.n.Load()+n+1, cancel
			if _, err := f.watcher.Changes(ctx, f.users, nil); err == nil {
				w.Errorf("a look that ends at query %d succeeded", n+1)
			}
			cancel()
		}
		queries.at = 0
		if got := f.look(); len(got) != 1 {
			w.Errorf("news of %q", got)
		}
	})
}

// TestOldEndingsAreForgotten, but for the number that the next one follows from.
func TestOldEndingsAreForgotten(t *testing.T) {
	onBoth(t, func(w *world) {
		a, b := w.add("anna@firma.test", 1), w.add("bartek@firma.test", 2)
		for _, x := range []account.Account{a, b} {
			w.must(w.Accounts().Remove(w.Context(), x.Owner, x.ID, true, nil))
		}
		w.clock.pass(time.Since(w.clock.now())) // The triggers go by the database's clock.
		w.must(w.PruneEndings(w.Context()))
		if rows := w.table("SELECT owner FROM endings"); len(rows) != 2 {
			w.Errorf("at once: %q", rows)
		}
		w.clock.pass(endingsKept + time.Minute)
		w.must(w.PruneEndings(w.Context()))
		if rows := w.table("SELECT owner FROM endings WHERE owner <> ''"); len(rows) != 0 {
			w.Errorf("later: %q", rows)
		}
		if rows := w.table("SELECT changed FROM endings"); len(rows) != 1 {
			w.Errorf("later there are %q", rows)
		}
	})
}

// counting counts the queries of a store that reads, and may end a context at one.
type counting struct {
	*sql.DB
	n    atomic.Int64
	at   int64
	then func()
}

// countQueries puts a counter between a store and what it reads from.
func countQueries(tb testing.TB, s *Store) *counting {
	pool, err := s.r.DB()
	if err != nil {
		tb.Fatal(err)
	}
	c := &counting{DB: pool}
	s.r.ConnPool, s.r.Statement.ConnPool = c, c
	return c
}

func (c *counting) count() {
	if c.n.Add(1) == c.at {
		c.then()
	}
}

// GetDBConn is GORM's way to the pool.
func (c *counting) GetDBConn() (*sql.DB, error) { return c.DB, nil }

func (c *counting) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	c.count()
	return c.DB.QueryContext(ctx, query, args...)
}

func (c *counting) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	c.count()
	return c.DB.QueryRowContext(ctx, query, args...)
}

// TestALookCostsWhatHappensAndNotWhoListens counts queries and rows in a second in which
// one user's account changes, one is being visited and one session ended, beside few and
// many who listen.
func TestALookCostsWhatHappensAndNotWhoListens(t *testing.T) {
	onBoth(t, func(w *world) {
		var users []string
		var as []account.Account
		for i := range 300 {
			users = append(users, fmt.Sprintf("u%d@firma.test", i))
			as = append(as, w.add(users[i], i))
		}
		changed := as[1]
		w.lease(as[0])
		cost := func(listening int) (queries int64, rows int) {
			f := w.follow(users[:listening]...)
			counter := countQueries(w, f.store)
			f.look()
			counter.n.Store(0)
			rows = f.watcher.rows
			w.must(w.Accounts().Hurry(w.Context(), changed.Owner, changed.ID))
			f.look()
			return counter.n.Load(), f.watcher.rows - rows
		}
		fewQueries, fewRows := cost(3)
		manyQueries, manyRows := cost(298)
		if fewQueries != manyQueries || fewRows != manyRows || manyQueries > 5 || manyRows > 6 {
			w.Errorf("for 3 listeners %d queries and %d rows, for 298 %d and %d", fewQueries, fewRows, manyQueries, manyRows)
		}
	})
}
