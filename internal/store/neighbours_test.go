package store

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func TestAJournalTellsWhoseMailboxItFills(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		for journal, want := range map[string]string{
			a.Journal: "anna@firma.test", uuid.NewString(): "", "": "",
			"no uuid": "",
		} {
			o, known, err := w.Journal().OwnerOf(w.Context(), journal)
			if w.must(err); known != (want != "") || o.String() != want {
				t.Errorf("journal %q: %q, %v", journal, o, known)
			}
		}
		w.must(w.Accounts().Remove(w.Context(), a.Owner, a.ID, true, nil))
		if o, known, err := w.Journal().OwnerOf(w.Context(), a.Journal); err != nil || !known || o != a.Owner {
			t.Errorf("after its account was removed: %q, %v, %v", o, known, err)
		}
	})
}

func TestSuspectsAreFoundByInboxAndByLogin(t *testing.T) {
	onBoth(t, func(w *world) {
		for i, user := range []string{"anna@firma.test", "anna@other.test", "annabel@firma.test", "ben@firma.test"} {
			l, _ := w.lease(w.add(user, i))
			for range 2 { // The second time there is nothing to change.
				w.must(w.commit(l, fetch.Entry{Inbox: uint32(1700000000 + i/3)}))
			}
			w.must(w.commit(l, fetch.Entry{})) // Not known is nothing to note.
		}
		for name, tc := range map[string]struct {
			validity uint32
			logins   []string
			want     []string
		}{
			"by inbox":             {1700000001, nil, []string{"ben@firma.test"}},
			"by the whole address": {0, []string{"Anna@Firma.test"}, []string{"anna@firma.test"}},
			"by the local part":    {0, []string{"anna"}, []string{"anna@firma.test", "anna@other.test"}},
			"by either":            {1700000001, []string{"annabel", ""}, []string{"annabel@firma.test", "ben@firma.test"}},
			"nobody":               {1, []string{"cleo", "%", "a"}, nil},
			"nothing is asked":     {0, nil, nil},
		} {
			os, err := w.Journal().Suspects(w.Context(), tc.validity, tc.logins)
			w.must(err)
			var got []string
			for _, o := range os {
				got = append(got, o.String())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s: %v, want %v", name, got, tc.want)
			}
		}
	})
}

func TestWhatWasBroughtIsOfAllAccountsOfOneUser(t *testing.T) {
	onBoth(t, func(w *world) {
		ben := w.add("ben@firma.test", 9)
		lb, fb := w.lease(ben)
		w.deliver(lb, 1, members(fb, 50, 2))
		var owner owner.Owner
		for n := range 2 {
			a := w.add("anna@firma.test", n)
			owner = a.Owner
			l, f := w.lease(a)
			w.deliver(l, 1, members(f, 1+10*n, 3))
			w.must(w.commit(l, fetch.Entry{Alias: []fetch.Alias{{
				Ref:  fetch.Ref{FolderID: f.ID, ID: members(f, 99, 1)[0].ID},
				Size: 5,
			}}}))
			if n == 0 {
				w.must(w.Accounts().Remove(w.Context(), a.Owner, a.ID, true, nil))
			}
		}
		var got []int64
		w.must(w.Journal().Brought(w.Context(), owner, func(size int64, received time.Time, digest [32]byte) {
			if digest[1] != byte(size-1000) || received.Year() != 2026 {
				t.Errorf("size %d, received %v, digest %x", size, received, digest)
			}
			got = append(got, size)
		}))
		slices.Sort(got)
		if !slices.Equal(got, []int64{1001, 1002, 1003, 1011, 1012, 1013}) {
			t.Errorf("brought %v", got)
		}
	})
}

func TestAFolderThatLeadsBackOrIsSharedIsRememberedAsSuch(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		more, err := w.Journal().AddFolders(w.Context(), l, []fetch.Folder{{Wire: "Gmail", Remote: "Gmail", Local: a.Folder +
			"/Gmail", LeadsBack: true, Shared: true, Renumbered: time.UnixMilli(5)}})
		w.must(err)
		f.Selected, f.LeadsBack, f.Shared, f.Renumbered = false, true, true, time.UnixMilli(6)
		more[0].Selected, more[0].LeadsBack, more[0].Shared, more[0].Renumbered = true, false, false, time.Time{}
		for step, want := range [][]bool{{false, true}, {true, false}} {
			if step == 1 {
				w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f, more[0]}}))
			}
			fs, err := w.Journal().Folders(w.Context(), l)
			w.must(err)
			infos, err := w.Accounts().FolderInfos(w.Context(), a.Owner, a.ID)
			w.must(err)
			for i := range want {
				if fs[i].LeadsBack != want[i] || infos[i].LeadsBack != want[i] {
					t.Errorf("step %d: folder %s: %v and %v", step, fs[i].Remote, fs[i].LeadsBack, infos[i].LeadsBack)
				}
				if fs[i].Shared != want[i] || infos[i].Shared != want[i] || fs[i].Renumbered.IsZero() == want[i] {
					t.Errorf("step %d: folder %s: shared %v and %v, renumbered %v", step, fs[i].Remote, fs[i].Shared,
						infos[i].Shared, fs[i].Renumbered)
				}
			}
		}
	})
}
