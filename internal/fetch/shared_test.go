package fetch_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/route"
)

// bugreports, "To decide: other people's folders": they are fetched where a rule
// names them, and nothing else makes them the account's own mail.
func TestOtherPeoplesFoldersAreFetchedWhereARuleNamesThem(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rules route.FolderRules
		want  []string // What is fetched.
	}{
		{"no rules", route.FolderRules{}, []string{"INBOX", "Sent"}},
		{"by name", route.FolderRules{Include: []string{"INBOX", "user/boss"}}, []string{"INBOX", "user/boss"}},
		{"by one above", route.FolderRules{Include: []string{"user"}}, []string{"user/boss"}},
		{"by a use", route.FolderRules{Include: []string{`\Sent`}}, []string{"Sent"}},
		{
			"named and excluded",
			route.FolderRules{Include: []string{"Sent", "user"}, Exclude: []string{"user/boss"}},
			[]string{"Sent"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "INBOX", "Sent", "user/boss")
			w.route.Folders = tc.rules
			for i, f := range w.remote.folders {
				f.add(bodies(i+1, f.name)...)
				f.shared = f.name == "user/boss"
				if i > 0 {
					f.use = `\Sent`
				}
			}
			if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil {
				t.Fatalf("report %+v", r)
			}
			var got []string
			for i, f := range w.journal.folders {
				if f.Shared != w.remote.folders[i].shared {
					t.Errorf("%s: shared %v", f.Remote, f.Shared)
				}
				if f.Selected {
					got = append(got, f.Remote)
				}
				if n := len(w.box.folders[f.Local]); n > 0 != f.Selected {
					t.Errorf("%s: %d messages", f.Remote, n)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An account from before this rule keeps what came, gets no more of it, and continues
// where it stood once a rule names the folder.
func TestAFolderOfOthersThatWasFetchedIsLeftAndTakenUpAgain(t *testing.T) {
	w := newWorld(t, "INBOX", "user/boss")
	shared := w.remote.folders[1]
	shared.add(bodies(5, "boss")...)
	w.brings(t, 5)
	shared.shared = true
	shared.add(bodies(7, "boss")[5:]...)
	w.brings(t, 0)
	if local := w.journal.folders[1].Local; len(w.box.folders[local]) != 5 || w.journal.folders[1].Selected {
		t.Fatalf("%d messages are there, chosen: %v", len(w.box.folders[local]), w.journal.folders[1].Selected)
	}
	commits := w.journal.commits
	w.brings(t, 0)
	if w.journal.commits != commits {
		t.Error("a visit without news wrote")
	}
	w.route.Folders.Include = []string{"INBOX", "user"}
	w.brings(t, 2)
	w.brings(t, 0)
	got, all := slices.Sorted(slices.Values(w.box.folders[w.journal.folders[1].Local])), bodies(7, "boss")
	slices.Sort(all)
	if diff := cmp.Diff(all, got); diff != "" {
		t.Error(diff)
	}
}

// Where a server does not say at one visit which folders are others', those are that
// were; only its word makes them the account's own.
func TestWhatWasOthersStaysSoUntilTheServerSaysOtherwise(t *testing.T) {
	w := newWorld(t, "INBOX", "user/boss", "Praca")
	for _, f := range w.remote.folders {
		f.add(bodies(2, f.name)...)
	}
	w.remote.folders[1].shared = true
	w.brings(t, 4)
	w.remote.noSpaces = true
	w.remote.folders[1].add(bodies(3, "boss")...)
	w.brings(t, 0)
	if f := w.journal.folders[1]; !f.Shared || f.Selected || !w.journal.folders[2].Selected {
		t.Errorf("folders %+v", w.journal.folders)
	}
	w.remote.noSpaces, w.remote.folders[1].shared = false, false // Control: now it says so.
	w.brings(t, 5)
}
