package store

import (
	"errors"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
)

func TestTheAccountsOfAWorkerThatIsGoneAreDueAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		a, b := w.add("anna@firma.test", 1), w.add("bea@firma.test", 1)
		first := w.claim("host-1-x")
		if len(first) != 2 {
			w.Fatalf("%d leases", len(first))
		}
		n, err := w.Queue().Reap(w.Context(), func(worker string) bool { return worker == "host-2-x" })
		w.must(err)
		if n != 0 || w.load(a).Status.State != account.Fetching {
			w.Errorf("%d leases of a living worker were ended", n)
		}
		n, err = w.Queue().Reap(w.Context(), func(worker string) bool { return worker == "host-1-x" })
		w.must(err)
		if n != 2 || w.load(b).Status.State == account.Fetching {
			w.Errorf("%d leases were ended", n)
		}
		w.clock.pass(time.Second)
		if again := w.claim("host-3-x"); len(again) != 2 || again[0].Epoch <= first[0].Epoch {
			w.Errorf("claimed %+v", again)
		}
		if err := w.commit(first[0], fetch.Entry{}); !errors.Is(err, fetch.ErrFenced) {
			w.Errorf("the worker that was gone still writes: %v", err)
		}
	})
}
