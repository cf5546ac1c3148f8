package store

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// What a living process could not write because the database was away is no
// death. The control: a process that is silent while the database answers is dead.
func TestALeaseThatRanOutWhileTheDatabaseWasAwayIsNoDeath(t *testing.T) {
	claim := func(w *world) fetch.Aborted {
		ls := w.claim("p1-x")
		if len(ls) != 1 {
			w.Fatalf("claimed %+v", ls)
		}
		return ls[0].Aborted
	}
	one := func(w *world, a account.Account) fetch.Aborted {
		l, err := leaseOf(w.Queue().ClaimOne(w.Context(), a.Owner, a.ID,
			schedule.Claim{Worker: "p1-x", Now: w.clock.now(), Lease: time.Minute}))
		w.must(err)
		return l.Aborted
	}
	away := func(w *world, d time.Duration) { w.clock.pass(d) }
	there := func(w *world, d time.Duration) {
		for ; d > 0; d -= clockEvery {
			w.clock.pass(min(d, clockEvery))
			w.hear()
		}
	}
	for _, tc := range []struct {
		name string
		play func(w *world)
		want int
	}{
		{"away all the time", func(w *world) { away(w, 2*time.Minute) }, 0},
		{"back just before it ran out", func(w *world) { away(w, 58*time.Second); there(w, 4*time.Second) }, 0},
		{"back some time before another asks", func(w *world) { away(w, 61*time.Second); there(w, 5*time.Minute) }, 0},
		{"away twice", func(w *world) { away(w, 61*time.Second); there(w, 30*time.Second); away(w, time.Minute) }, 0},
		{"there all the time", func(w *world) { there(w, 2*time.Minute) }, 1},
		{"away long before", func(w *world) { away(w, 20*time.Second); there(w, 2*time.Minute) }, 1},
		{"away after it ran out", func(w *world) { there(w, 2*time.Minute); away(w, time.Minute) }, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				began := w.clock.now()
				w.Store.clock = newSharedClock(w.clock.now, func() time.Duration { return w.clock.now().Sub(began) }, "", w.log)
				a := w.add("anna@firma.test", 1)
				for n, again := range []func() fetch.Aborted{
					func() fetch.Aborted { return claim(w) },
					func() fetch.Aborted { return one(w, a) },
				} {
					w.hear()
					_, err := w.Queue().ClaimOne(w.Context(), a.Owner, a.ID,
						schedule.Claim{Worker: "p2-x", Now: w.clock.now(), Lease: time.Minute})
					w.must(err)
					tc.play(w)
					if got := again(); got != (fetch.Aborted{Visits: tc.want * (n + 1), Last: tc.want > 0}) {
						w.Errorf("claim %d finds %+v", n+1, got)
					}
					w.clock.pass(-w.clock.now().Sub(began)) // And once more, from the beginning.
					w.contact = contact{}
					_, err = w.on(w.w).exec(w.Context(),
						"UPDATE poll_schedule SET lease_owner = '', lease_until_ms = 0, due_at_ms = 0")
					w.must(err)
				}
			})
		})
	}
}

// An edit sees of a lease what the next claim would have seen.
func TestAnEditAfterTheDatabaseWasAwayCountsNoDeath(t *testing.T) {
	onBoth(t, func(w *world) {
		began := w.clock.now()
		w.Store.clock = newSharedClock(w.clock.now, func() time.Duration { return w.clock.now().Sub(began) }, "", w.log)
		a := w.add("anna@firma.test", 1)
		w.hear()
		w.dies(a, "p2-x")
		a = w.load(a)
		a.Folder = "Elsewhere"
		_, err := w.Accounts().Update(w.Context(), a, nil, true)
		w.must(err)
		if ls := w.claim("p1-x"); len(ls) != 1 || ls[0].Aborted != (fetch.Aborted{}) {
			w.Errorf("claimed %+v", ls)
		}
	})
}
