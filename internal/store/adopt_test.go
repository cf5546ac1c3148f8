package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

func TestARecognisedMessageGoesByItsNewNameAndCountsThere(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		w.deliver(l, 1, members(f, 1, 3))
		added, err := w.Journal().AddFolders(w.Context(), l, []fetch.Folder{{Wire: "New", Remote: "New", Local: "Box1/New"}})
		w.must(err)
		known, err := rememberedOf(w.Context(), w.Journal(), l)
		w.must(err)
		if len(known) != 3 || known[1].Fingerprint != members(f, 1, 3)[1].Fingerprint {
			w.Fatalf("remembered %+v", known)
		}
		to := fetch.Ref{FolderID: added[0].ID, FolderEpoch: 2, ID: mail.ID{UID: 77}}
		w.must(w.commit(l, fetch.Entry{Rematch: []fetch.Rematch{{From: known[1].Ref, To: to}}}))
		f.Epoch = 0
		left, err := settledOf(w.Context(), w.Journal(), l, f, 0)
		w.must(err)
		added[0].Epoch = 2
		found, err := settledOf(w.Context(), w.Journal(), l, added[0], 0)
		w.must(err)
		if len(left) != 2 || len(found) != 1 || found[to.ID] != known[1].Fingerprint.Size {
			w.Errorf("left %v, found %v", left, found)
		}
		fs, err := w.Journal().Folders(w.Context(), l)
		w.must(err)
		if fs[0].Fetched != 2 || fs[1].Fetched != 1 || fs[1].Bytes != known[1].Fingerprint.Size {
			w.Errorf("the folders count %+v", fs)
		}
		if err := w.commit(l, fetch.Entry{Rematch: []fetch.Rematch{{From: known[1].Ref, To: to}}}); !errors.Is(
			err, errNotRematched) {
			w.Errorf("adopted twice: %v", err)
		}
	})
}

func TestAnAccountEditedToAnotherProtocolRemembersWhatTheOtherBrought(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 4))
		a = w.load(a)
		a.Protocol, a.Server.Port = remote.POP3, 995
		a, err := w.Accounts().Update(w.Context(), a, []byte("sealed"), true)
		w.must(err)
		again, _ := w.lease(a)
		known, err := rememberedOf(w.Context(), w.Journal(), again)
		w.must(err)
		if again.Route.Journal == l.Route.Journal || len(known) != 4 {
			w.Errorf("journal %s after %s, %d remembered", again.Route.Journal, l.Route.Journal, len(known))
		}
		eve := w.add("eve@firma.test", 1)
		le, _ := w.lease(eve)
		if known, err := rememberedOf(w.Context(), w.Journal(), le); err != nil || len(known) != 0 {
			w.Errorf("another user's account remembers %d, %v", len(known), err)
		}
	})
}

// A newcomer in Polish, 5: what the account brought by another protocol counts as before, in
// octets of the files, whether its messages are found again or not.
func TestWhatAnotherProtocolBroughtStillCounts(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		ms := members(f, 1, 4)
		w.deliver(l, 1, ms)
		var want account.Totals
		for _, m := range ms {
			want.Messages++
			want.Bytes += m.Placement.FileSize
		}
		is := func(when string, a account.Account, want account.Totals) {
			w.Helper()
			got := w.load(a).Status.Totals
			if got.Folders = 0; got != want {
				w.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		is("as it was", a, want)
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{State: account.OK, Success: true}))
		change := func(p remote.Protocol) {
			w.Helper()
			x := w.load(a)
			x.Protocol = p
			_, err := w.Accounts().Update(w.Context(), x, []byte("sealed"), true)
			w.must(err)
		}
		change(remote.POP3)
		is("by another protocol", a, want)
		l, f = w.lease(a)
		adopt := func(l fetch.Lease, f fetch.Folder, n int) {
			w.Helper()
			known, err := rememberedOf(w.Context(), w.Journal(), l)
			w.must(err)
			var entry fetch.Entry
			for i, k := range known[:n] {
				entry.Rematch = append(entry.Rematch, fetch.Rematch{
					From: k.Ref, To: fetch.Ref{FolderID: f.ID, ID: mail.ID{UIDL: fmt.Sprint(i)}},
				})
			}
			w.must(w.commit(l, entry))
		}
		adopt(l, f, 3)
		is("three found again", a, want)
		change(remote.IMAP)
		is("and back", a, want)

		// The control: what a removed account brought counts where it is found again, and not before.
		b := w.add("jan@firma.test", 2)
		l, f = w.lease(b)
		w.deliver(l, 1, members(f, 1, 4))
		w.must(w.Accounts().Remove(w.Context(), b.Owner, b.ID, true, nil))
		b = w.add("jan@firma.test", 2, func(x *account.Account) { x.Protocol = remote.POP3 })
		is("another account, before it looked", b, account.Totals{})
		l, f = w.lease(b)
		adopt(l, f, 4)
		is("another account that found all", b, want)
	})
}

func TestAMessageIsKnownByItsGlobalNameInEveryFolder(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		ms := members(f, 1, 3)
		ms[0].Global, ms[1].Global = "gm:1", "gm:2"
		w.deliver(l, 1, ms)
		added, err := w.Journal().AddFolders(w.Context(), l, []fetch.Folder{{
			Wire: "Label", Remote: "Label",
			Local: "Box1/Label",
		}})
		w.must(err)
		got, err := w.Journal().Delivered(w.Context(), l, []string{"gm:1", "gm:2", "gm:3"})
		w.must(err)
		if len(got) != 2 || !got["gm:1"] || !got["gm:2"] {
			w.Errorf("delivered %v", got)
		}
		w.must(w.commit(l, fetch.Entry{Alias: []fetch.Alias{{
			Ref:  fetch.Ref{FolderID: added[0].ID, ID: mail.ID{UID: 9}},
			Size: 5, Global: "gm:1",
		}}}))
		settled, err := settledOf(w.Context(), w.Journal(), l, added[0], 0)
		w.must(err)
		known, err := rememberedOf(w.Context(), w.Journal(), l)
		w.must(err)
		fs, err := w.Journal().Folders(w.Context(), l)
		w.must(err)
		if len(settled) != 1 || len(known) != 3 || fs[1].Fetched != 0 {
			w.Errorf("settled %v, %d remembered, %d counted", settled, len(known), fs[1].Fetched)
		}
		eve, _ := w.lease(w.add("eve@firma.test", 1))
		if got, err := w.Journal().Delivered(w.Context(), eve, []string{"gm:1"}); err != nil || len(got) != 0 {
			w.Errorf("another user's messages: %v, %v", got, err)
		}
	})
}
