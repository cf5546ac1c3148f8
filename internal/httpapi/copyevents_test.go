package httpapi_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// copying runs a test in a bubble, as streaming does, with copies in the streams.
func copying(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var w *copyLooks
		f := newFixture(t, func(o *httpapi.Options) {
			w = &copyLooks{}
			o.Stopping, o.CopyWatcher = nil, w
		})
		w.world = f.world
		test(t, f)
	})
}

func TestAStreamTellsCopiesThenEachChangeInItsOrder(t *testing.T) {
	copying(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		defer l.leave()
		es := l.take(t)
		same(t, briefly(t, es), "account Gmail needs_attention", "copy "+annasCopy+" running")
		last := es[len(es)-1].ID
		mine := func(w *world) *transfer.Copy { return &w.copies.all[0] }
		for _, s := range []struct {
			name string
			do   func(w *world)
			want []string
		}{
			{"nothing", func(*world) {}, nil},
			{"how far it is", func(w *world) {
				c := mine(w)
				c.Status.Progress.MessagesDone, c.Status.Totals.Messages, c.Status.Totals.Bytes = 11, 11, 1100
			}, []string{"copy_progress " + annasCopy + " Versendet 11"}},
			{"another phase", func(w *world) { mine(w).Status.Phase = transfer.Verifying }, []string{
				"copy " + annasCopy + " running",
			}},
			{"a reason", func(w *world) {
				mine(w).Status.State, mine(w).Status.Reason = transfer.Waiting, transfer.TargetFull
				mine(w).Status.Diagnosis = &transfer.Diagnosis{
					Diagnosis: account.Diagnosis{Code: fault.LocalOverQuota, Since: w.now}, Side: transfer.Target,
				}
			}, []string{"copy " + annasCopy + " waiting"}},
			{"numbers of one that waits", func(w *world) { mine(w).Status.Progress.MessagesDone = 12 }, nil},
			{"another user's", func(w *world) { w.copies.all[1].Status.State = transfer.Failed }, nil},
			{"both", func(w *world) {
				mine(w).Status.State, w.accounts[0].Status.State = transfer.Completed, account.OK
			}, []string{"account Gmail ok", "copy " + annasCopy + " completed"}},
			{"deleted", func(w *world) { w.copies.all = w.copies.all[1:] }, []string{"copy_removed " + annasCopy}},
		} {
			f.alter(s.do)
			time.Sleep(1100 * time.Millisecond)
			got := briefly(t, l.take(t))
			t.Log(s.name)
			same(t, got, s.want...)
		}
		again := f.listen(anna, last)
		defer again.leave()
		same(t, briefly(t, again.take(t)), "account Gmail ok", "copy_removed "+annasCopy)
		noCanary(t, f)
	})
}

func TestAStreamOfCopiesContinuesWhereItWasLeft(t *testing.T) {
	copying(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		es := l.take(t)
		last := es[len(es)-1].ID
		l.leave()
		for _, want := range [][]string{nil, {"account Gmail needs_attention", "copy " + annasCopy + " paused"}} {
			l := f.listen(anna, last)
			same(t, briefly(t, l.take(t)), want...)
			l.leave()
			f.alter(func(w *world) { w.copies.all[0].Status.State = transfer.Paused })
		}
	})
}

// TestStreamsGoOnWithoutCopies: where they are switched off, and while what knows of them fails nothing is lost.
func TestStreamsGoOnWithoutCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *httpapi.Options) { o.Stopping, o.Copies, o.CopyWatcher = nil, nil, nil })
		l := f.listen(anna, "")
		defer l.leave()
		same(t, briefly(t, l.take(t)), "account Gmail needs_attention")
	})
	copying(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		defer l.leave()
		l.take(t)
		f.alter(func(w *world) {
			w.fail, w.copies.all[0].Status.State = errors.New(inner), transfer.Completed
		})
		time.Sleep(5 * time.Second)
		same(t, briefly(t, l.take(t)))
		f.alter(func(w *world) { w.fail = nil })
		time.Sleep(1100 * time.Millisecond)
		same(t, briefly(t, l.take(t)), "copy "+annasCopy+" completed")
	})
}
