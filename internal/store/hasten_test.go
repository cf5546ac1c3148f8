package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// Accounts that rested for what is over are due soon, not all at once, and nobody else is. The controls are those that
// rest for something else, are due sooner, are switched off or are visited.
func TestWhatRestedForAnOutageIsDueSoonAfterItsEnd(t *testing.T) {
	onBoth(t, func(w *world) {
		const each, within = time.Second, 43 * time.Second // With those that rest for it and are left as they are.
		const code = fault.LocalMailboxUnavailable
		now := w.clock.now()
		rest := func(name string, state account.State, code fault.Code, due time.Duration) account.Account {
			a := w.add(name+"@firma.test", 1)
			w.settled(a, state, code, due)
			return a
		}
		var rested []account.Account
		for i := range 40 {
			rested = append(rested, rest(fmt.Sprintf("user%02d", i), account.Retrying, code, 15*time.Minute))
		}
		others := map[string]account.Account{
			"another failure": rest("another", account.Retrying, fault.ConnectTimeout, 15*time.Minute),
			"well":            rest("well", account.OK, "", 5*time.Minute),
			"full":            rest("full", account.OverQuota, fault.LocalOverQuota, 3*time.Minute),
			"due sooner":      rest("sooner", account.Retrying, code, 10*time.Second),
		}
		off := rest("off", account.Retrying, code, 15*time.Minute)
		off = w.load(off)
		off.Enabled = false
		_, err := w.Accounts().Update(w.Context(), off, nil, true)
		w.must(err)
		others["switched off"] = off
		visited := rest("visited", account.Retrying, code, 15*time.Minute)
		_, err = leaseOf(w.Queue().ClaimOne(w.Context(), visited.Owner, visited.ID, schedule.Claim{
			Worker: "p1/1", Now: w.clock.now(), Lease: time.Minute,
		}))
		w.must(err)
		others["visited"] = visited
		due := func(a account.Account) time.Time { return w.load(a).Status.NextPollAt }
		before := map[string]time.Time{}
		for name, a := range others {
			before[name] = due(a)
		}

		n, err := w.Queue().Hasten(w.Context(), code, each, time.Hour)
		w.must(err)
		if int(n) != len(rested) {
			t.Errorf("%d accounts are hastened of %d", n, len(rested))
		}
		at := map[time.Time]bool{}
		for _, a := range rested {
			d := due(a)
			if at[d] = true; d.Before(now) || d.After(now.Add(within)) {
				t.Errorf("%s is due %v after the end", a.Owner, d.Sub(now))
			}
		}
		if len(at) < len(rested)*9/10 {
			t.Errorf("%d accounts are due at %d moments", len(rested), len(at))
		}
		for name, a := range others {
			if d := due(a); !d.Equal(before[name]) {
				t.Errorf("%s: due at %v, and was at %v", name, d, before[name])
			}
		}
		if n, err := w.Queue().Hasten(w.Context(), code, each, time.Hour); err != nil || n != 0 {
			t.Errorf("once more %d are hastened: %v", n, err)
		}
	})
}

// A user's accounts are due once it is saved how its mailbox is opened. The control is another user's.
func TestASavedLoginMakesItsUsersAccountsDue(t *testing.T) {
	onBoth(t, func(w *world) {
		a, b := w.add("anna@firma.test", 1), w.add("jan@firma.test", 1)
		for _, x := range []account.Account{a, b} {
			w.settled(x, account.Retrying, fault.LocalMailboxUnavailable, 15*time.Minute)
		}
		o, err := owner.Parse("anna@firma.test")
		w.must(err)
		w.must(w.SetMailboxLogin(w.Context(), o, "anna", []byte("x")))
		if d := w.load(a).Status.NextPollAt; d.After(w.clock.now()) {
			t.Errorf("it is due at %v, and it is %v", d, w.clock.now())
		}
		if d := w.load(b).Status.NextPollAt; !d.After(w.clock.now()) {
			t.Errorf("another user's is due at %v", d)
		}
	})
}
