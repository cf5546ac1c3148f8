package store

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/remote"
)

var loginLimits = logins.Limits{Window: 15 * time.Minute, Mailbox: 10, User: 30, Everybody: 50, First: 3}

func login(w *world, user, name string) logins.Attempt {
	return logins.Attempt{Owner: anOwner(w, user), Names: []string{name}, Mailbox: "at " + name, Home: "home " + name}
}

// reserve takes a place that must be there.
func (w *world) reserve(a logins.Attempt) string {
	w.Helper()
	id, wait, err := w.Logins().Reserve(w.Context(), a, loginLimits)
	w.must(err)
	if wait > 0 {
		w.Fatalf("no place for %v", wait)
	}
	return id
}

func (w *world) failLogins(a logins.Attempt, n int) {
	w.Helper()
	for range n {
		w.must(w.Logins().Refuse(w.Context(), w.reserve(a), a, loginLimits))
	}
}

// waits returns how long an attempt has to wait; a place that it got is given back.
func (w *world) waits(a logins.Attempt) time.Duration {
	w.Helper()
	id, wait, err := w.Logins().Reserve(w.Context(), a, loginLimits)
	w.must(err)
	w.must(w.Logins().Release(w.Context(), id))
	return wait
}

func TestOf300LoginsAtOnceNoMoreThanThePlacesBegin(t *testing.T) {
	onBoth(t, func(w *world) {
		stores := []*Store{w.Store, w.another(), w.another()}
		try := func(limits logins.Limits) (began int64) {
			w.Helper()
			var n atomic.Int64
			var g errgroup.Group
			for i := range 300 {
				g.Go(func() error {
					a := login(w, "mallory@firma.test", "anna")
					a.Mailbox = fmt.Sprint("at spelling ", i%7)
					_, wait, err := stores[i%3].Logins().Reserve(w.Context(), a, limits)
					if wait == 0 && err == nil {
						n.Add(1)
					}
					return err
				})
			}
			w.must(g.Wait())
			return n.Load()
		}
		if n := try(loginLimits); n != 10 {
			w.Errorf("%d logins began, not 10", n)
		}
		// The test bites: what limits is the limit.
		if n := try(logins.Limits{Window: time.Minute, Mailbox: 1000, User: 1000, Everybody: 1000}); n != 300 {
			w.Errorf("without a limit %d of 300 began", n)
		}
	})
}

func TestThePlacesOfFailedLoginsAreFreeWhenTheWindowIsOver(t *testing.T) {
	onBoth(t, func(w *world) {
		mallory := login(w, "mallory@firma.test", "anna")
		w.failLogins(mallory, 4)
		w.clock.pass(5 * time.Minute)
		w.failLogins(mallory, 6)
		if wait := w.waits(mallory); wait != 10*time.Minute {
			w.Errorf("wait %v, not until the first four are over", wait)
		}
		s := w.Store
		w.Store = w.another() // After a restart, or in another process.
		if wait := w.waits(mallory); wait != 10*time.Minute {
			w.Errorf("in another process: wait %v", wait)
		}
		w.Store = s
		w.clock.pass(10 * time.Minute)
		w.failLogins(mallory, 4)
		if w.waits(mallory) == 0 {
			w.Error("the first four give more than four places")
		}
		w.clock.pass(15 * time.Minute)
		w.must(w.Logins().Prune(w.Context()))
		rows := 1
		w.must(w.on(w.r).each(w.Context(), scanInto(&rows), "SELECT count(*) FROM failed_logins"))
		if rows != 0 {
			w.Errorf("%d rows are left of what is over", rows)
		}
	})
}

// TestALoginThatTakesLongCountsFromItsEnd, and one whose process was killed
// holds its place all the longer.
func TestALoginThatTakesLongCountsFromItsEnd(t *testing.T) {
	onBoth(t, func(w *world) {
		mallory := login(w, "mallory@firma.test", "anna")
		w.failLogins(mallory, 8)
		slow, killed := w.reserve(mallory), w.reserve(mallory)
		if wait := w.waits(mallory); wait != logins.Soon {
			w.Errorf("while logins are under way: wait %v", wait)
		}
		w.clock.pass(2 * time.Minute)
		w.must(w.Logins().Refuse(w.Context(), slow, mallory, loginLimits))
		w.clock.pass(13 * time.Minute) // The first eight are over.
		w.failLogins(mallory, 8)
		if w.waits(mallory) == 0 {
			w.Error("the slow and the killed one are forgotten")
		}
		w.clock.pass(2 * time.Minute)
		w.failLogins(mallory, 1)
		w.clock.pass(3 * time.Minute)
		w.failLogins(mallory, 1)
		w.must(w.Logins().Release(w.Context(), killed)) // Whatever comes of it: it is over.
	})
}

// TestAClockThatWasWrongHoldsNobodyBack for longer than a quarter of an hour.
func TestAClockThatWasWrongHoldsNobodyBack(t *testing.T) {
	onBoth(t, func(w *world) {
		mallory := login(w, "mallory@firma.test", "anna")
		until := w.Now().Add(24 * time.Hour)
		for i := range 10 {
			w.must(w.Logins().insert(w.Context(), w.on(w.w), fmt.Sprint(i), mallory, false, until))
		}
		if wait := w.waits(mallory); wait != 0 {
			w.Errorf("wait %v", wait)
		}
	})
}

func TestAUserHasATotalAndOthersTheirOwn(t *testing.T) {
	onBoth(t, func(w *world) {
		for i := range 6 {
			w.failLogins(login(w, "mallory@firma.test", fmt.Sprint("box", i)), 5)
		}
		if wait := w.waits(login(w, "mallory@firma.test", "another")); wait != 15*time.Minute {
			w.Errorf("above the total: wait %v", wait)
		}
		if wait := w.waits(login(w, "anna@firma.test", "box1")); wait != 0 {
			w.Errorf("another user: wait %v", wait)
		}
	})
}

// TestManyGuessersAreBoundTogetherAndTheOwnerIsNot: whose account has signed in
// there may sign in all the same.
func TestManyGuessersAreBoundTogetherAndTheOwnerIsNot(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		anna := login(w, "anna@firma.test", "anna")
		anna.Subject = string(a.ID)
		w.must(w.Logins().Accept(w.Context(), w.reserve(anna), anna, a.Mailbox().Proof(nil)))
		for i := range 5 {
			w.failLogins(login(w, fmt.Sprintf("bot%d@firma.test", i), "anna"), 10)
		}
		bot := login(w, "bot9@firma.test", "anna")
		w.failLogins(bot, 2) // Like an owner who adds the mailbox meanwhile, and mistypes twice.
		if wait := w.waits(bot); wait != 0 {
			w.Errorf("an owner who mistyped twice: wait %v", wait)
		}
		w.failLogins(bot, 1)
		if wait := w.waits(bot); wait != 15*time.Minute {
			w.Errorf("one more guesser: wait %v", wait)
		}
		if wait := w.waits(login(w, "bot9@firma.test", "bartek")); wait != 0 {
			w.Errorf("another mailbox: wait %v", wait)
		}
		test := login(w, "anna@firma.test", "anna") // Of settings that are not saved.
		if wait := w.waits(test); wait != 0 {
			w.Errorf("the owner: wait %v", wait)
		}
		// Also while her own password is refused.
		w.must(w.Logins().Refuse(w.Context(), "", anna, loginLimits))
		if wait := w.waits(test); wait != 0 {
			w.Errorf("the owner after a refusal: wait %v", wait)
		}
		w.failLogins(test, 9)
		if wait := w.waits(test); wait == 0 {
			w.Error("the owner has no limit at all")
		}
	})
}

// TestLoginsThatShareANameAreCountedTogether, whichever part of what was typed it is.
func TestLoginsThatShareANameAreCountedTogether(t *testing.T) {
	onBoth(t, func(w *world) {
		for i := range 10 {
			a := login(w, "mallory@firma.test", fmt.Sprint("alias", i))
			a.Names = append(a.Names, "firma", "anna")
			w.failLogins(a, 1)
		}
		eleventh := login(w, "mallory@firma.test", "alias11")
		if wait := w.waits(eleventh); wait != 0 {
			w.Errorf("a name that was not tried: wait %v", wait)
		}
		eleventh.Names = append(eleventh.Names, "anna")
		if wait := w.waits(eleventh); wait != 15*time.Minute {
			w.Errorf("the eleventh spelling: wait %v", wait)
		}
	})
}

func TestAnAccountKeepsItsProofUntilItIsRefusedOrEdited(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		at := logins.Attempt{Owner: a.Owner, Subject: string(a.ID), Names: []string{"anna"}, Mailbox: "m", Home: "h"}
		if a.LoginProof != "" || a.Mailbox().Proof(nil) == "" {
			w.Errorf("a new account has the proof %q", a.LoginProof)
		}
		w.must(w.Logins().Accept(w.Context(), w.reserve(at), at, a.Mailbox().Proof(nil)))
		if a = w.load(a); a.LoginProof != a.Mailbox().Proof(nil) {
			w.Errorf("accepted: %q", a.LoginProof)
		}
		if l := w.claim("one"); len(l) != 1 || l[0].Route.From.LoginProof != a.LoginProof {
			w.Error("a visit does not know of it")
		}
		a.SenderName = "Somebody"
		edited, err := w.Accounts().Update(w.Context(), a, nil, false)
		w.must(err)
		if edited.LoginProof == edited.Mailbox().Proof(nil) {
			w.Error("it outlives an edit")
		}
		w.must(w.Logins().Accept(w.Context(), w.reserve(at), at, a.Mailbox().Proof(nil))) // By a visit from before.
		if edited = w.load(edited); edited.LoginProof == edited.Mailbox().Proof(nil) {
			w.Error("a visit of old settings proves the new ones")
		}
		w.must(w.Logins().Accept(w.Context(), w.reserve(at), at, edited.Mailbox().Proof(nil)))
		w.must(w.Logins().Refuse(w.Context(), "", at, loginLimits))
		if edited = w.load(edited); edited.LoginProof != "" {
			w.Errorf("refused: %q", edited.LoginProof)
		}
		w.failLogins(at, 9)
		if w.waits(at) == 0 {
			w.Error("the refusal of what was proven does not count")
		}
	})
}

// atDoor is an attempt of a client's to sign in to the pages.
func atDoor(client, user string) logins.Attempt {
	return logins.Attempt{Client: client, Names: []string{"page-" + user}, Mailbox: "page-" + user}
}

// TestOf300AttemptsAtTheDoorNoMoreThanThePlacesBegin, by one client for one user, by
// one client, and for one user, in three processes.
func TestOf300AttemptsAtTheDoorNoMoreThanThePlacesBegin(t *testing.T) {
	onBoth(t, func(w *world) {
		stores := []*Store{w.Store, w.another(), w.another()}
		for name, tc := range map[string]struct {
			attempt func(i int) logins.Attempt
			want    int64
		}{
			"one client, one user":   {func(int) logins.Attempt { return atDoor("a", "1") }, 10},
			"one client, many users": {func(i int) logins.Attempt { return atDoor("b", fmt.Sprint("of-b-", i)) }, 30},
			"many clients, one user": {func(i int) logins.Attempt { return atDoor(fmt.Sprint("c", i), "2") }, 50},
			"many clients, and users": {func(i int) logins.Attempt {
				return atDoor(fmt.Sprint("d", i), fmt.Sprint("d", i))
			}, 300},
		} {
			var n atomic.Int64
			var g errgroup.Group
			for i := range 300 {
				g.Go(func() error {
					_, wait, err := stores[i%3].Logins().Reserve(w.Context(), tc.attempt(i), loginLimits)
					if wait == 0 && err == nil {
						n.Add(1)
					}
					return err
				})
			}
			w.must(g.Wait())
			if n.Load() != tc.want {
				w.Errorf("%s: %d attempts began, not %d", name, n.Load(), tc.want)
			}
		}
	})
}

// TestTheDoorAndMailboxesElsewhereShareNothing: who guesses at the door keeps no
// user from its accounts.
func TestTheDoorAndMailboxesElsewhereShareNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		w.failLogins(atDoor("anna@firma.test", "anna"), 10)
		if wait := w.waits(login(w, "anna@firma.test", "anna")); wait != 0 {
			w.Errorf("a user waits %v for what a client did", wait)
		}
		if wait := w.waits(atDoor("anna@firma.test", "anna")); wait == 0 { // The control.
			w.Error("the client does not wait")
		}
	})
}

// TestOfAClientsReturns30MayComeToNothing, in whichever process, and they keep nobody
// else out, nor that client for longer than the window.
func TestOfAClientsReturns30MayComeToNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		doors := []*logins.Limiter{
			logins.New(logins.Options{Ledger: w.Logins()}), logins.New(logins.Options{Ledger: w.another().Logins()}),
		}
		comes := func(i int, address string, how remote.SignIn) bool {
			t.Helper()
			settle, err := doors[i%2].AdmitReturn(w.Context(), netip.MustParseAddr(address))
			if held := (*remote.HeldBackError)(nil); errors.As(err, &held) {
				return false
			}
			w.must(err)
			settle(how)
			return true
		}
		for i := range 40 {
			if !comes(i, "2001:db8::1", remote.SignInAccepted) || !comes(i, "2001:db8::1", remote.SignInUntried) {
				w.Fatal("what does not come to nothing counts")
			}
		}
		for i := range 40 {
			if in := comes(i, fmt.Sprintf("2001:db8::%x", i+1), remote.SignInRefused); in != (i < 30) {
				w.Errorf("return %d is let in: %t", i+1, in)
			}
		}
		for i := range 60 { // Whatever others do: the control.
			if !comes(i, fmt.Sprintf("198.51.100.%d", i), remote.SignInRefused) {
				w.Errorf("client %d is kept out", i+1)
			}
		}
		w.clock.pass(15 * time.Minute)
		if !comes(0, "2001:db8::1", remote.SignInAccepted) {
			w.Error("it counts for longer than the window")
		}
	})
}
