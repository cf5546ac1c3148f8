package store

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// refuse settles a visit as one whose login was refused for the last time.
func (w *world) refuse(l fetch.Lease) {
	w.Helper()
	w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
		State: account.NeedsAttention, At: w.clock.now(), Failures: 3, Keep: true,
		Diagnosis: &account.Diagnosis{Code: fault.AuthFailed, Since: w.clock.now()},
	}))
}

// Newcomer 8: no path leads to an account that waits for its user but the
// user's own request, a change of the login, or somebody who insists.
func TestAnAccountThatWaitsForItsUserIsClaimedOnlyWhenAskedFor(t *testing.T) {
	one := func(w *world, a account.Account, insist bool) error {
		c := schedule.Claim{Worker: "pull/1", Now: w.clock.now(), Lease: time.Minute, Insist: insist}
		l, err := leaseOf(w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, c))
		if err == nil {
			w.refuse(l)
		}
		return err
	}
	pause := func(w *world, a account.Account, operator bool) {
		w.Helper()
		a = w.load(a)
		a.Enabled, a.Pause = false, account.Pause{At: w.clock.now(), Operator: operator}
		a, err := w.Accounts().Update(w.Context(), a, nil, false)
		w.must(err)
		a.Enabled, a.Pause = true, account.Pause{}
		_, err = w.Accounts().Update(w.Context(), a, nil, true)
		w.must(err)
	}
	cases := map[string]struct {
		do   func(w *world, a account.Account)
		free bool // Whether it may be claimed then.
	}{
		"nothing":                {func(*world, account.Account) {}, false},
		"resumed by an operator": {func(w *world, a account.Account) { pause(w, a, true) }, false},
		"resumed by its user":    {func(w *world, a account.Account) { pause(w, a, false) }, true},
		"asked for by its user": {func(w *world, a account.Account) {
			w.must(w.Accounts().Hurry(w.Context(), a.Owner, a.ID))
		}, true},
		"given a new password": {func(w *world, a account.Account) { w.renew(a) }, true},
		"its process was killed": {func(w *world, a account.Account) {
			w.must(one(w, a, true))
			w.clock.pass(time.Hour)
		}, false},
		"renamed":                 {func(w *world, a account.Account) { w.rename(a) }, false},
		"new password and paused": {func(w *world, a account.Account) { w.renew(a); pause(w, a, true) }, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				a := w.add("anna@firma.test", 1)
				w.refuse(w.claim("p1/1")[0])
				w.clock.pass(24 * time.Hour)
				w.want(one(w, a, false), schedule.ErrWaits)
				w.must(one(w, a, true)) // The control: it is the refusal alone that keeps it away.
				tc.do(w, a)
				due := len(w.claim("p1/1")) == 1
				if due != tc.free {
					w.Errorf("due: %v, want %v", due, tc.free)
				}
				if got := w.load(a).Status; !tc.free && got.State != account.NeedsAttention {
					w.Errorf("its state is %q", got.State)
				}
			})
		})
	}
}

// renew gives an account another password.
func (w *world) renew(a account.Account) {
	w.Helper()
	_, err := w.Accounts().Update(w.Context(), w.load(a), []byte("another"), true)
	w.must(err)
}

// rename changes what has nothing to do with the login.
func (w *world) rename(a account.Account) {
	w.Helper()
	a = w.load(a)
	a.Name = "Another"
	_, err := w.Accounts().Update(w.Context(), a, nil, false)
	w.must(err)
}
