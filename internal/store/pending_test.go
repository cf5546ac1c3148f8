package store

import (
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func TestWhatIsPendingIsTakenOnceBeforeItsTimeIsOver(t *testing.T) {
	onBoth(t, func(w *world) {
		p, anna := w.Pending(), anOwner(w, "anna@firma.test")
		w.must(p.SavePending(w.Context(), "one", anna, []byte("first"), w.clock.now().Add(time.Minute)))
		w.must(p.SavePending(w.Context(), "one", anna, []byte("second"), w.clock.now().Add(time.Hour)))
		_, _, err := p.PendingOf(w.Context(), "One")
		w.want(err, account.ErrNotFound)
		w.clock.pass(2 * time.Minute)
		for _, get := range []func() (owner.Owner, []byte, error){
			func() (owner.Owner, []byte, error) { return p.PendingOf(w.Context(), "one") },
			func() (owner.Owner, []byte, error) { return p.UsePending(w.Context(), "one") },
		} {
			o, sealed, err := get()
			w.must(err)
			if o != anna || string(sealed) != "second" {
				w.Errorf("%s of %s", sealed, o)
			}
		}
		_, _, err = p.UsePending(w.Context(), "one")
		w.want(err, account.ErrNotFound)
		w.must(p.SavePending(w.Context(), "late", anna, []byte("x"), w.clock.now().Add(time.Minute)))
		w.clock.pass(time.Minute)
		_, _, err = p.UsePending(w.Context(), "late")
		w.want(err, account.ErrNotFound)
		w.must(p.Prune(w.Context()))
		rows := 1
		w.must(w.on(w.r).each(w.Context(), scanInto(&rows), "SELECT count(*) FROM oauth_pending"))
		if rows != 0 {
			w.Errorf("%d rows are left of what is over", rows)
		}
	})
}

func TestOfManyProcessesOneTakesWhatIsPendingAndOneHasTheClaim(t *testing.T) {
	onBoth(t, func(w *world) {
		anna := anOwner(w, "anna@firma.test")
		stores := []*Store{w.another(), w.another(), w.another(), w.another()}
		for _, name := range []string{"a", "b", "c"} {
			w.must(w.Pending().SavePending(w.Context(), name, anna, []byte("x"), w.clock.now().Add(time.Minute)))
			var g errgroup.Group
			took, claimed := make([]bool, 20), make([]bool, 20)
			for i := range took {
				p := stores[i%len(stores)].Pending()
				g.Go(func() error {
					_, _, err := p.UsePending(w.Context(), name)
					took[i] = err == nil
					if err != nil && !isAnswer(err) {
						return err
					}
					claimed[i], err = p.ClaimPending(w.Context(), "claim "+name, anna, w.clock.now().Add(time.Minute))
					return err
				})
			}
			w.must(g.Wait())
			for what, all := range map[string][]bool{"took it": took, "have the claim": claimed} {
				n := 0
				for _, ok := range all {
					if ok {
						n++
					}
				}
				if n != 1 {
					w.Errorf("%d %s", n, what)
				}
			}
		}
		// A claim ends when it is given up, or with its time.
		p := w.Pending()
		claim := func() bool {
			ok, err := p.ClaimPending(w.Context(), "claim a", anna, w.clock.now().Add(time.Minute))
			w.must(err)
			return ok
		}
		if claim() {
			w.Error("a claim is given twice")
		}
		_, _, err := p.UsePending(w.Context(), "claim a")
		w.must(err)
		if !claim() {
			w.Error("a claim that was given up is not given again")
		}
		w.clock.pass(time.Minute)
		if !claim() {
			w.Error("a claim that is over is not given again")
		}
	})
}
