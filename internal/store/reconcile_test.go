package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

func TestMessagesThatAreFoundAgainCountOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, f := w.lease(w.add("anna@firma.test", 1))
		w.deliver(l, 1, members(f, 1, 2))
		found := members(f, 2, 300) // One of them is known.
		for range 2 {               // As after a crash in between.
			w.must(w.commit(l, fetch.Entry{Found: found, Restored: 9}))
		}
		settled, err := settledOf(ctx, w.Journal(), l, f, 0)
		w.must(err)
		if len(settled) != 301 {
			w.Errorf("%d are settled", len(settled))
		}
		if got := w.of(l).Status.Totals.Messages; got != 301 {
			w.Errorf("the account counts %d", got)
		}
		if n, err := w.Journal().Generation(ctx, l); err != nil || n != 9 {
			w.Errorf("the generation is %d, %v", n, err)
		}
		w.must(w.commit(l, fetch.Entry{Restored: 3}))
		if n, err := w.Journal().Generation(ctx, l); err != nil || n != 9 {
			w.Errorf("the generation went back to %d, %v", n, err)
		}
		other, _ := w.lease(w.add("anna@firma.test", 2))
		if err := w.commit(other, fetch.Entry{Found: members(f, 500, 1)}); err == nil {
			w.Error("a message was found in another account's folder")
		}
	})
}

func TestUnsettledMessagesAreForgotten(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		ms := members(f, 1, 3)
		w.deliver(l, 1, ms)
		e := fetch.Entry{Unsettle: ms[1:2]}
		w.must(w.commit(l, e))
		w.must(w.commit(l, e)) // As after a crash in between.
		settled, err := settledOf(w.Context(), w.Journal(), l, f, 0)
		w.must(err)
		want := account.Totals{Folders: 1, Messages: 2, Bytes: octets(&ms[0]) + octets(&ms[2])}
		if got := w.of(l).Status.Totals; len(settled) != 2 || got != want {
			w.Errorf("%v are settled, the account counts %+v", settled, got)
		}
	})
}

func TestJournalReportsAreAUsersJournalsAtOneMoment(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, f := w.lease(w.add("anna@firma.test", 1))
		w.deliver(l, 1, members(f, 1, 3))
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 2}
		old := mail.ID{UIDL: "from before the start"}
		w.must(w.commit(l, fetch.Entry{Intend: &k, BeforeStart: []fetch.BeforeStart{{
			FolderID: f.ID, FolderEpoch: f.Epoch, Each: func(yield func(mail.ID) error) error { return yield(old) },
		}}}))
		gone := w.add("anna@firma.test", 2)
		gl, gf := w.lease(gone)
		w.deliver(gl, 1, members(gf, 1, 1))
		w.must(w.Accounts().Remove(ctx, gone.Owner, gone.ID, true, nil))
		forgotten := w.add("anna@firma.test", 3)
		w.must(w.Accounts().Remove(ctx, forgotten.Owner, forgotten.ID, false, nil))
		w.lease(w.add("bob@firma.test", 1))

		got, err := w.JournalReports(ctx, l.Route.Owner, true)
		w.must(err)
		if len(got) != 2 {
			w.Fatalf("%d journals: %+v", len(got), got)
		}
		a, b := got[0], got[1]
		if a.Account != l.Route.ID || a.Journal != l.Route.Journal || a.Email != "box1@example.org" || !a.Visiting ||
			a.Generation != 1 ||
			len(a.Folders) != 1 || len(a.Open) != 1 || len(a.Messages) != 3 || a.Messages[2].Fingerprint != members(
			f, 3, 1)[0].Fingerprint {
			w.Errorf("%+v", a)
		}
		if len(a.BeforeStart) != 1 || a.BeforeStart[0].ID != old || len(b.BeforeStart) != 0 {
			w.Errorf("from before the start: %+v, %+v", a.BeforeStart, b.BeforeStart)
		}
		if b.Account != "" || b.Journal != gone.Journal || b.Visiting || len(b.Messages) != 1 {
			w.Errorf("of a removed account: %+v", b)
		}
		w.clock.pass(time.Hour)
		brief, err := w.JournalReports(ctx, l.Route.Owner, false)
		w.must(err)
		if len(brief) != 2 || brief[0].Visiting || len(brief[0].Messages) != 0 || !cmp.Equal(brief[0].Open, a.Open) {
			w.Errorf("%+v", brief)
		}
	})
}
