package check_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest/installation"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// kinds counts a check's findings.
func kinds(f *check.Findings) map[string]int {
	n := map[string]int{}
	for _, x := range f.Findings {
		n[x.Kind]++
	}
	return n
}

func TestACheckCountsMessagesByWhatBecameOfThem(t *testing.T) {
	installation.OnBothDatabases(t, func(t *testing.T, postgres bool) {
		o := newStubbed(t, postgres)
		o.send("INBOX", "a", "b", "c", "d", "e")
		o.send("Archive/2023", "f", "g")
		o.remote.missing[o.remote.bodies["INBOX"][4]] = "the server has lost it"
		o.Visit()
		o.Rename("a", ".Elsewhere", "S")
		o.Must(os.Remove(o.File("b")))
		kept := filepath.Join(o.Home(), ".Remote", "cur", filepath.Base(o.File("c"))+":2,S")
		o.Must(os.Link(o.File("c"), kept)) // A mail server's copy.
		o.Must(os.WriteFile(filepath.Join(o.Home(), "cur", "1.M1P1.host,S=4:2,"), []byte("text"), 0o600))

		f := o.Check()
		if !f.OK || len(f.Accounts) != 1 || len(f.Findings) != 0 {
			t.Fatalf("%+v, %+v", f.Findings, f.Accounts)
		}
		got := *f.Accounts[0]
		want := check.Checked{
			Account: o.Account.ID, Email: "x@remote.test", Folders: 2, Present: 5, Gone: 1,
			Skipped: map[string]int{"message_failed": 1},
		}
		if !maps.Equal(got.Skipped, want.Skipped) {
			t.Errorf("skipped: %v", got.Skipped)
		}
		got.Skipped, want.Skipped = nil, nil
		if got.Account != want.Account || got.Present != want.Present || got.Gone != want.Gone || got.Folders != 2 ||
			got.Visiting || f.Foreign != 1 || f.Messages != 7 {
			t.Errorf("%+v, %d messages, %d from elsewhere", got, f.Messages, f.Foreign)
		}
	})
}

func TestACheckNoticesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(o *stubbed)
		want  map[string]int
		wrong bool
	}{
		"nothing": {func(*stubbed) {}, nil, false},
		"one message lies there in two files": {func(o *stubbed) {
			text, err := os.ReadFile(o.File("a"))
			o.Must(err)
			name, _, _ := strings.Cut(filepath.Base(o.File("a")), ":")
			o.Must(os.WriteFile(filepath.Join(o.Home(), ".Remote.Archive.2023", "cur", name+":2,S"), text, 0o600))
		}, map[string]int{check.DoubledToken: 1}, true},
		"a message of nobody's has a name of ours": {func(o *stubbed) {
			o.Must(os.WriteFile(filepath.Join(o.Home(), "cur", "1.F"+strings.Repeat("a", 26)+".h,S=4,W=4:2,"), []byte("text"),
				0o600))
		}, map[string]int{check.UnknownToken: 1}, true},
		"it may be that of an account that is forgotten": {func(o *stubbed) {
			o.Must(os.WriteFile(filepath.Join(o.Home(), "cur", "1.F"+strings.Repeat("a", 26)+".h,S=4,W=4:2,"), []byte("text"),
				0o600))
			o.Must(os.Mkdir(filepath.Join(o.Home(), "fetch-spool", uuid.NewString()), 0o700))
		}, map[string]int{check.Forgotten: 1}, false},
		"a message was cut short": {func(o *stubbed) {
			o.Must(os.Truncate(o.File("a"), 10))
		}, map[string]int{check.WrongSize: 1}, true},
		"spool files are left": {func(o *stubbed) {
			o.Must(os.WriteFile(filepath.Join(o.Spool(), "F"+strings.Repeat("a", 26)+".e1"), nil, 0o600))
		}, map[string]int{check.StraySpool: 1}, false},
		"messages are staged": {func(o *stubbed) {
			o.send("INBOX", "x", "y", "z")
			o.KilledAt("deliver.staged")
		}, nil, false},
		"staged messages were lost": {func(o *stubbed) {
			o.send("INBOX", "x", "y", "z")
			o.KilledAt("deliver.staged")
			o.Must(os.RemoveAll(o.Spool()))
		}, map[string]int{check.LostInSpool: 3}, true},
		"they were delivered": {func(o *stubbed) {
			o.send("INBOX", "x", "y", "z")
			o.KilledAt("deliver.published")
		}, nil, false},
		"the spool was emptied": {func(o *stubbed) {
			o.Must(os.RemoveAll(o.Spool()))
		}, map[string]int{check.OldMailbox: 1}, false},
		"the mailbox is an older one": {func(o *stubbed) {
			o.Must(os.RemoveAll(o.Spool()))
			o.Must(os.Mkdir(o.Spool(), 0o700))
		}, map[string]int{check.OldMailbox: 1}, false},
		"the mailbox is gone": {func(o *stubbed) {
			o.Must(os.RemoveAll(o.Home()))
		}, map[string]int{check.GoneMailbox: 1}, true},
		"a folder is gone": {func(o *stubbed) {
			o.Must(os.RemoveAll(filepath.Join(o.Home(), ".Remote.Archive.2023")))
		}, map[string]int{check.NoFolder: 1}, false},
		"folders are not subscribed": {func(o *stubbed) {
			o.Must(os.Remove(filepath.Join(o.Home(), "subscriptions")))
		}, map[string]int{check.NotSubscribed: 2}, false},
		"maildirsize is wrong": {func(o *stubbed) {
			o.Must(os.WriteFile(filepath.Join(o.Home(), "maildirsize"), []byte("0S\n17 1\n"), 0o600))
		}, map[string]int{check.QuotaFile: 1}, false},
		"the remote renumbers": {func(o *stubbed) {
			o.remote.validity["INBOX"] = 8
			if n := o.Visit(); n > 2 {
				o.Must(fmt.Errorf("%d bodies", n))
			}
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newStubbed(t, false)
			o.send("INBOX", "a", "b")
			o.send("Archive/2023", "c")
			o.Visit()
			c.spoil(o)
			f := o.Check()
			if !maps.Equal(kinds(f), c.want) || f.OK == c.wrong {
				t.Errorf("found %v, want %v; ok is %v: %+v", kinds(f), c.want, f.OK, f.Findings)
			}
			if name == "messages are staged" && f.Accounts[0].Staged != 3 || name == "they were delivered" &&
				f.Accounts[0].Present != 6 ||
				name == "the remote renumbers" && (f.Accounts[0].Present != 3 || f.Accounts[0].ByContent != 2) {
				t.Errorf("%+v", *f.Accounts[0])
			}
		})
	}
}

func TestACheckKnowsARestoredDatabaseUntilItIsReconciled(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "a")
	o.Visit()
	restore := o.Backup()
	o.send("INBOX", "b", "c")
	o.Visit()
	restore()
	if f := o.Check(); f.OK || kinds(f)[check.OldDatabase] != 1 || kinds(f)[check.UnknownToken] != 2 {
		t.Errorf("before: %+v", f.Findings)
	}
	o.Visit()
	if f := o.Check(); !f.OK || len(f.Findings) != 0 || f.Accounts[0].Present != 3 {
		t.Errorf("after: %+v", f.Findings)
	}
}

func TestACheckDoesNotJudgeWhatAVisitChanges(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "a", "b")
	o.KilledAt("deliver.staged")
	o.Must(os.RemoveAll(o.Spool()))
	o.With(func(db *store.Store) {
		_, err := db.Queue().ClaimOne(t.Context(), o.Account.Owner, o.Account.ID, schedule.Claim{
			Worker: "w", Now: time.Now(),
			Lease: time.Minute, Limit: 1,
		})
		o.Must(err)
	})
	if f := o.Check(); !f.OK || !f.Accounts[0].Visiting || kinds(f)[check.BeingVisited] != 1 ||
		kinds(f)[check.LostInSpool] != 0 {
		t.Errorf("%+v", f.Findings)
	}
}

func TestAMessageIsExplained(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "a", "b")
	o.send("Archive/2023", "c")
	o.remote.missing[o.remote.bodies["INBOX"][1]] = "the server has lost it"
	o.Visit()
	f := o.Check()
	byUID := f.Explain("1")
	if len(byUID) != 2 || byUID[0].Folder != "Archive/2023" || byUID[1].Folder != "INBOX" || byUID[1].Identity != "UID 1" {
		t.Fatalf("by UID: %+v", byUID)
	}
	x := byUID[1]
	if x.State != "delivered and present" || len(x.Files) != 1 || filepath.Join(o.Home(), x.Files[0]) != o.File("a") ||
		x.UIDValidity != 7 || len(x.Digest) != 64 {
		t.Errorf("%+v", x)
	}
	if again := f.Explain(string(x.Token)); len(again) != 1 || again[0].Identity != "UID 1" {
		t.Errorf("by token: %+v", again)
	}
	if s := f.Explain("2"); len(s) != 1 || s[0].State != "skipped" || s[0].Skipped == nil ||
		!strings.Contains(s[0].Skipped.Detail, "lost it") {
		t.Errorf("skipped: %+v", s)
	}
	if none := f.Explain(string(mail.TokenFor([]byte("k"), "j", "w", 0, mail.ID{UID: 1}))); len(none) != 0 {
		t.Errorf("a name of nobody's: %+v", none)
	}
	if !slices.IsSortedFunc(byUID, func(a, b check.Explained) int { return strings.Compare(a.Folder, b.Folder) }) {
		t.Error("not in order")
	}
}

// What becomes of a message at the next visit is said from the journal, as the engine would decide it.
func TestTheVerdictOnAMessageIsExplained(t *testing.T) {
	skip := func(s fetch.Skipped) func(r *check.JournalReport) {
		return func(r *check.JournalReport) {
			s.FolderID, s.ID, s.Code = r.Folders[0].ID, mail.ID{UID: 9}, fault.MessageFailed
			r.Skipped = append(r.Skipped, s)
		}
	}
	for name, c := range map[string]struct {
		about string
		edit  func(r *check.JournalReport)
		want  string
	}{
		"it was delivered":        {"1", func(*check.JournalReport) {}, "settled"},
		"its account was removed": {"1", func(r *check.JournalReport) { r.Account = "" }, ""},
		"it is one with another": {"1", func(r *check.JournalReport) {
			r.Messages[0].Alias, r.Messages[0].Global = true, "gm:1"
		}, "twin"},
		"it is the same in another size": {"1", func(r *check.JournalReport) { r.Messages[0].Alias = true }, "settled"},
		"it has another UID now": {"7", func(r *check.JournalReport) {
			r.Messages[0].ID.UID = 7
		}, "rematched"},
		"it could not be fetched": {"9", skip(fetch.Skipped{}), "fetch"},
		"nor for a long time":     {"9", skip(fetch.Skipped{NextAt: time.Now().Add(time.Hour)}), "waiting"},
		"it is too large":         {"9", skip(fetch.Skipped{Held: true}), "held"},
		"its owner wants it":      {"9", skip(fetch.Skipped{Held: true, Requested: true}), "fetch"},
		"it is older than allowed": {"old", func(r *check.JournalReport) {
			r.BeforeStart = append(r.BeforeStart, fetch.Ref{FolderID: r.Folders[0].ID, ID: mail.ID{UIDL: "old"}})
		}, "before_start"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newStubbed(t, false)
			o.send("INBOX", "a")
			o.Visit()
			got := o.CheckAs(c.edit).Explain(c.about)
			if len(got) == 0 || slices.ContainsFunc(got, func(x check.Explained) bool {
				return x.Verdict != c.want || (x.Says == "") != (c.want == "")
			}) {
				t.Errorf("want %q: %+v", c.want, got)
			}
		})
	}
}
