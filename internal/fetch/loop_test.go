package fetch_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func ownerNamed(t *testing.T, address string) owner.Owner {
	t.Helper()
	o, err := owner.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// neighbouring is a world in which anna fetches a remote, and ben is another
// user with an account whose journal is "ben-1". Marks in folder names are
// written {ANNA}, {BEN}, {ELSEWHERE} and {FORGOTTEN}.
func neighbouring(t *testing.T, folders ...string) *world {
	t.Helper()
	marks := strings.NewReplacer(
		"{ANNA}", mail.MarkFor([]byte("k"), "j"), "{BEN}", mail.MarkFor([]byte("k"), "ben-1"),
		"{ELSEWHERE}", mail.MarkFor([]byte("another key"), "j"), "{FORGOTTEN}", mail.MarkFor([]byte("k"), "forgotten"))
	for i := range folders {
		folders[i] = marks.Replace(folders[i])
	}
	w := newWorld(t, folders...)
	anna, ben := ownerNamed(t, "anna@firma.test"), ownerNamed(t, "ben@firma.test")
	w.route.Owner = anna
	w.journal.owners = map[string]owner.Owner{"j": anna, "ben-1": ben}
	for _, f := range w.remote.folders {
		if !isOurs(f.name) {
			f.add(bodies(2, f.name)...)
		}
	}
	return w
}

// isOurs reports whether a folder has the name of a mark or a challenge.
func isOurs(name string) bool {
	part := name[strings.LastIndex(name, "/")+1:]
	_, isMark := mail.ReadMark(nil, part)
	return isMark || mail.IsChallenge(part)
}

// Somebody's mail is nobody's to leave out in silence, whatever the folder's name.
func TestMailInAFolderWithOurNameIsFetchedOrTold(t *testing.T) {
	test := mail.ChallengeFor("abcdefghijklmnopqrstuvwxyz")
	w := neighbouring(t, "INBOX", "mailbrook-test-results", test, "{BEN}", "Gmail", "Gmail/{BEN}")
	for _, f := range w.remote.folders {
		if isOurs(f.name) {
			f.add(bodies(2, f.name)...)
		}
	}
	r := w.visit(t.Context())
	// Four folders of two messages; what lies in and beside the mark in Gmail is left out, and reported.
	if r.Err != nil || r.Messages != 8 || r.Partial == nil || r.Partial.Code != fault.MailLoop ||
		!strings.Contains(r.Partial.Detail.String(), "Gmail") {
		t.Fatalf("report %+v", r)
	}
}

// What lies beside a mark, and below, is left out; what merely looks so is not.
func TestWhatAMarkStandsInIsNotFetched(t *testing.T) {
	for _, tc := range []struct {
		name    string
		folders []string
		leftOut []string
	}{
		{"a colleague's account folder", []string{
			"INBOX", "Gmail", "Gmail/{BEN}", "Gmail/Sent", "Gmail/Sent/Old", "Gmail 2",
			"Sent",
		}, []string{"Gmail", "Gmail/Sent", "Gmail/Sent/Old"}},
		{"one that its user renamed", []string{"INBOX", "Post/Alt", "Post/Alt/{BEN}", "Post"}, []string{"Post/Alt"}},
		{"one of another installation", []string{"INBOX", "Gmail", "Gmail/{ELSEWHERE}", "Work"}, []string{"Gmail"}},
		{"one of an account that was removed", []string{"INBOX", "Gmail", "Gmail/{FORGOTTEN}"}, []string{"Gmail"}},
		{"a mark that was moved out", []string{"INBOX", "{BEN}", "Gmail"}, nil},
		{"the own mailbox, shared", []string{
			"INBOX", "shared/anna/Gmail/{ANNA}", "shared/anna", "shared/anna/Gmail",
			"shared/cleo",
		}, []string{"shared/anna", "shared/anna/Gmail"}},
		{
			"an account folder, shared",
			[]string{"INBOX", "shared/ben", "shared/ben/Gmail", "shared/ben/Gmail/{BEN}"},
			[]string{"shared/ben/Gmail"},
		},
		{"a folder of a test", []string{"INBOX", mail.ChallengeFor("abcdefghijklmnopqrstuvwxyz"), "Work"}, nil},
		{"a folder of a like name", []string{"INBOX", "Gmail", "Gmail/mailbrook-notes"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := neighbouring(t, tc.folders...)
			r := w.visit(t.Context())
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			for _, f := range w.remote.folders {
				out := slices.Contains(tc.leftOut, f.name)
				ours := isOurs(f.name)
				i := slices.IndexFunc(w.journal.folders, func(k fetch.Folder) bool { return k.Wire == f.name })
				switch {
				case ours:
					if i >= 0 {
						t.Errorf("%s is taken for a folder with mail", f.name)
					}
				case i < 0 || w.journal.folders[i].Selected == out || w.journal.folders[i].LeadsBack != out:
					t.Errorf("%s: left out should be %v, the journal has %+v", f.name, out, w.journal.folders)
				case len(w.box.folders[w.journal.folders[i].Local]) != map[bool]int{true: 0, false: 2}[out]:
					t.Errorf("%s brought %v", f.name, w.box.folders[w.journal.folders[i].Local])
				}
			}
			if told := r.Partial != nil && r.Partial.Code == fault.MailLoop; told != (len(tc.leftOut) > 0) || told &&
				!strings.Contains(r.Partial.Detail.String(), tc.leftOut[0]) {
				t.Errorf("the user is shown %v", r.Partial)
			}
			if !slices.Contains(w.box.marked, "Gmail/"+mail.MarkFor([]byte("k"), "j")) {
				t.Errorf("the account folder was not marked: %v", w.box.marked)
			}
		})
	}
}

// What the account's rules exclude anyway is not worth a word.
func TestWhatIsExcludedAnywayIsNotTold(t *testing.T) {
	w := neighbouring(t, "INBOX", "Gmail", "Gmail/{BEN}")
	w.route.Folders.Exclude = []string{"Gmail"}
	if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != 2 {
		t.Errorf("report %+v", r)
	}
}

// Once the mark is gone from the remote, the folder is fetched.
func TestAFolderIsFetchedOnceItsMarkIsGone(t *testing.T) {
	w := neighbouring(t, "INBOX", "Gmail", "Gmail/{BEN}")
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 2 {
		t.Fatalf("report %+v", r)
	}
	w.remote.folders = w.remote.folders[:2]
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 2 || r.Partial != nil {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

// The own account folder at the remote means that it is the own mailbox, unless
// the inbox there is another one, as in a copy of the mailbox.
func TestTheOwnMailboxIsNotFetchedIntoItself(t *testing.T) {
	for name, tc := range map[string]struct {
		validity uint32 // Of anna's inbox here; the remote's is 7.
		noStatus bool
		loop     bool
	}{
		"the same inbox":               {validity: 7, loop: true},
		"not known here":               {loop: true},
		"not told there":               {validity: 8, noStatus: true, loop: true},
		"a copy at a mailbox provider": {validity: 8},
	} {
		t.Run(name, func(t *testing.T) {
			w := neighbouring(t, "INBOX", "Gmail", "Gmail/{ANNA}")
			w.remote.noStatus = tc.noStatus
			w.box.validities = map[owner.Owner]uint32{w.route.Owner: tc.validity}
			r := w.visit(t.Context())
			if !tc.loop {
				if r.Err != nil || r.Messages != 2 {
					t.Errorf("report %+v", r)
				}
				return
			}
			if f := fault.Of(r.Err); f == nil || f.Code != fault.MailLoop || !f.Final || r.Messages != 0 ||
				len(w.box.folders) > 0 {
				t.Errorf("report %+v, delivered %v", r, w.box.folders)
			}
		})
	}
}

// What was fetched for the remote's own user, and taken out of the account
// folder there, is skipped with a reason, and fetched when it is asked for. The
// same message in any other mailbox is fetched.
func TestWhatWasFetchedForTheRemotesUserIsSkipped(t *testing.T) {
	for name, tc := range map[string]struct {
		mark     bool
		validity uint32 // Of ben's inbox here.
		skipped  int
	}{
		"it is ben's mailbox":            {mark: true, validity: 7, skipped: 1},
		"another mailbox":                {},
		"a copy of ben's, with its mark": {mark: true, validity: 8},
	} {
		t.Run(name, func(t *testing.T) {
			folders := []string{"INBOX"}
			if tc.mark {
				folders = append(folders, "Gmail", "Gmail/{BEN}")
			}
			w := neighbouring(t, folders...)
			ben := w.journal.owners["ben-1"]
			w.box.validities = map[owner.Owner]uint32{ben: tc.validity}
			body := bodies(2, "INBOX")[0]
			w.journal.brought = map[owner.Owner][]mail.Fingerprint{ben: {fingerprint(body)}}
			r := w.visit(t.Context())
			if r.Err != nil || r.Messages != int64(2-tc.skipped) || len(w.journal.skips) != tc.skipped ||
				r.Skipped != tc.skipped {
				t.Fatalf("report %+v, skipped %v", r, w.journal.skips)
			}
			if tc.skipped == 0 {
				return
			}
			for k, s := range w.journal.skips {
				if s.Code != fault.MailLoop || !s.Held || s.Detail.String() == "" {
					t.Errorf("skipped as %+v", s)
				}
				s.Requested = true
				w.journal.skips[k] = s
			}
			if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || len(w.journal.skips) != 0 {
				t.Errorf("when it is asked for: %+v, skipped %v", r, w.journal.skips)
			}
		})
	}
}

func fingerprint(body string) mail.Fingerprint {
	s := mail.NewScanner()
	if _, err := s.Write([]byte(body)); err != nil {
		panic(err)
	}
	return s.Sum()
}
