package fetch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mailtest/installation"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/store"
)

// stubbed is an installation whose mail is at a remoteStub.
type stubbed struct {
	*installation.Installation
	remote *remoteStub
}

func newStubbed(t *testing.T, postgres bool) *stubbed {
	t.Helper()
	r := newRemote("INBOX", "Archive/2023")
	return &stubbed{installation.New(t, &migrated, postgres, r), r}
}

// send adds messages to a folder of the remote.
func (o *stubbed) send(folder string, names ...string) {
	f := o.remote.find(folder)
	for _, n := range names {
		f.add(installation.Text(n, len(f.uids)))
	}
}

// F25, F58, I22: the database goes back, the mailbox does not.
func TestAfterADatabaseIsRestoredNothingThatIsStillThereIsDownloadedAgain(t *testing.T) {
	installation.OnBothDatabases(t, func(t *testing.T, postgres bool) {
		o := newStubbed(t, postgres)
		o.send("INBOX", "old1", "old2", "old3")
		o.send("Archive/2023", "arch1")
		if n := o.Visit(); n != 4 {
			t.Fatalf("%d bodies before the backup", n)
		}
		restore := o.Backup()

		o.send("INBOX", "new1", "new2", "new3", "new4", "new5", "new6", "new7")
		o.send("Archive/2023", "arch2")
		o.remote.folders = append(o.remote.folders, newRemote("Later").folders...)
		o.send("Later", "later1", "later2")
		if n := o.Visit(); n != 10 {
			t.Fatalf("%d bodies after the backup", n)
		}
		o.Rename("new1", ".Elsewhere", "S")
		o.Rename("new2", ".Remote", "RS")
		o.Rename("arch2", ".Trash", "ST")
		o.Rename("later1", "", "F")
		copied := o.Files()["new4"]
		o.Must(os.MkdirAll(filepath.Join(o.Home(), ".Kept", "cur"), 0o700))
		o.Must(os.Link(copied, filepath.Join(o.Home(), ".Kept", "cur", filepath.Base(copied)+":2,")))
		for _, gone := range []string{"old2", "new3"} { // Before and after the backup.
			o.Must(os.Remove(o.Files()[gone]))
		}
		before := o.Files()

		restore()
		o.send("INBOX", "newest")
		if n := o.Visit(); n != 2 {
			t.Errorf("%d bodies were downloaded after the restore: the new one, and the one deleted since the backup, "+
				"would be 2", n)
		}
		after := o.Files()
		for name, path := range before {
			if after[name] != path && name != "new4" {
				t.Errorf("%s was at %s and is at %q", name, path, after[name])
			}
		}
		if _, ok := after["newest"]; !ok || len(after) != len(before)+2 || after["old2"] != "" {
			t.Errorf("the mailbox holds %d messages, not %d and two; deleted before the backup: %q", len(after), len(before),
				after["old2"])
		}
		if n := o.Visit(); n != 0 {
			t.Errorf("%d bodies with the next visit", n)
		}
		// Once more, by the same backup; and then everything goes its usual way.
		restore()
		if n := o.Visit(); n != 0 {
			t.Errorf("%d bodies after the second restore", n)
		}
		o.send("Later", "later3")
		if n := o.Visit(); n != 1 {
			t.Errorf("%d bodies where one message came", n)
		}
		o.With(func(db *store.Store) {
			a, err := db.Accounts().Account(t.Context(), o.Account.Owner, o.Account.ID)
			o.Must(err)
			if a.Status.Totals.Messages != 16 {
				t.Errorf("the journal counts %d messages, not 16", a.Status.Totals.Messages)
			}
		})
		o.Files()
	})
}

// forgetful is a mailbox whose spool has no note: the rule removed.
type forgetful struct{ fetch.Mailbox }

func (b forgetful) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	return unnoted{d}, err
}

type unnoted struct{ fetch.Delivery }

func (unnoted) Generation(context.Context) (int64, bool, error) { return 0, false, nil }

func TestWithoutTheSpoolsNoteARestoredDatabaseDoublesMail(t *testing.T) {
	o := newStubbed(t, false)
	o.Mailbox = forgetful{o.Mailbox}
	restore := o.Backup()
	o.send("INBOX", "a", "b")
	o.Visit()
	restore()
	if n := o.Visit(); n != 2 {
		t.Errorf("%d bodies: the suite does not bite", n)
	}
}

// UIDVALIDITY changed twice since the backup: the messages' names on disk are
// those of an epoch that the journal knows nothing of.
func TestAfterARestoreEpochsThatWereForgottenAreFoundAgain(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "old1")
	o.Visit()
	restore := o.Backup()
	inbox := o.remote.find("INBOX")
	for range 2 {
		inbox.validity++
		inbox.uids, inbox.next = nil, 1
		o.send("INBOX", fmt.Sprintf("a%d", inbox.validity), fmt.Sprintf("b%d", inbox.validity))
		if n := o.Visit(); n != 2 {
			t.Fatalf("%d bodies under a new UIDVALIDITY", n)
		}
	}
	restore()
	if n := o.Visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	inbox.validity++
	inbox.uids, inbox.next = nil, 1
	o.send("INBOX", "c", "d")
	if n := o.Visit(); n != 2 || len(o.Files()) != 7 {
		t.Errorf("%d bodies of two new messages, %d in the mailbox", n, len(o.Files()))
	}
}

// A message under a forgotten epoch's name is not taken for another one.
func TestAfterARestoreAnotherMessageUnderAKnownNameIsFetched(t *testing.T) {
	o := newStubbed(t, false)
	o.Visit()
	restore := o.Backup()
	inbox := o.remote.find("INBOX")
	inbox.validity = 8
	o.send("INBOX", "first")
	o.Visit()
	restore()
	// What had UID 1 is gone; another message has it under another UIDVALIDITY.
	inbox.validity, inbox.uids, inbox.next = 9, nil, 1
	o.send("INBOX", "quite-another")
	if n := o.Visit(); n != 1 {
		t.Errorf("%d bodies", n)
	}
	if got := len(o.Files()); got != 2 {
		t.Errorf("%d messages in the mailbox", got)
	}
}

func TestReconcilingContinuesUntilEveryFolderWasListed(t *testing.T) {
	o := newStubbed(t, false)
	o.Visit()
	restore := o.Backup()
	o.send("INBOX", "a", "b")
	o.send("Archive/2023", "c", "d")
	o.Visit()
	restore()
	o.remote.badFolder = "Archive/2023"
	if n := o.Visit(); n != 0 {
		t.Errorf("%d bodies while a folder cannot be listed", n)
	}
	o.send("INBOX", "e", "f", "g", "h") // Two batches: the journal's count must not overtake the note.
	if n := o.Visit(); n != 4 {
		t.Errorf("%d bodies of four new messages", n)
	}
	o.remote.badFolder = ""
	if n := o.Visit(); n != 0 {
		t.Errorf("%d bodies once it can", n)
	}
	if got := len(o.Files()); got != 8 {
		t.Errorf("%d messages in the mailbox", got)
	}
}

// F53: the spool is emptied, or comes from a backup, while messages are staged.
func TestStagedMessagesWhoseSpoolWasEmptiedAreFetchedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		wipe func(o *stubbed, spool string)
		want int // Bodies downloaded once more.
	}{
		"all of it, the note included": {func(o *stubbed, spool string) { o.Must(os.RemoveAll(spool)) }, 3},
		"nothing":                      {func(*stubbed, string) {}, 0},
		"some files": {func(o *stubbed, spool string) {
			files, err := filepath.Glob(filepath.Join(spool, "F*"))
			o.Must(err)
			if len(files) != 3 {
				o.Must(fmt.Errorf("%d files are staged", len(files)))
			}
			o.Must(os.Remove(files[1]))
		}, 1},
		"a message was delivered all the same": {func(o *stubbed, spool string) {
			files, err := filepath.Glob(filepath.Join(spool, "F*"))
			o.Must(err)
			slices.Sort(files)
			token, _, _ := strings.Cut(filepath.Base(files[0]), ".")
			dir := filepath.Join(o.Home(), ".Remote", "cur")
			o.Must(os.MkdirAll(dir, 0o700))
			o.Must(os.Rename(files[0], filepath.Join(dir, "1000000000."+token+".host,S=1,W=1:2,S")))
			o.Must(os.RemoveAll(spool))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := newStubbed(t, false)
			o.send("INBOX", "before")
			o.Visit()
			o.send("INBOX", "a", "b", "c")
			o.KilledAt("deliver.staged")
			c.wipe(o, o.Spool())
			if n := o.Visit(); n != c.want {
				t.Errorf("%d bodies, not %d", n, c.want)
			}
			if got := len(o.Files()); got != 4 {
				t.Errorf("%d messages in the mailbox, not 4", got)
			}
			if n := o.Visit(); n != 0 {
				t.Errorf("%d bodies with the visit after", n)
			}
		})
	}
}

// I5: delivered and then deleted by the user stays deleted, whatever the crash.
func TestAVisitThatDiedAfterDeliveringDoesNotBringDeletedMailBack(t *testing.T) {
	for _, step := range []string{"deliver.published", "window.commit"} {
		t.Run(step, func(t *testing.T) {
			o := newStubbed(t, false)
			o.send("INBOX", "a", "b", "c")
			o.KilledAt(step)
			for _, path := range o.Files() {
				o.Must(os.Remove(path))
			}
			if n := o.Visit(); n != 0 || len(o.Files()) != 0 {
				t.Errorf("%d bodies, %d messages are back", n, len(o.Files()))
			}
		})
	}
}

func TestAVisitWithoutNewsWritesNothingBesideTheSpool(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "a")
	o.Visit()
	spool := o.Spool()
	look := func() string {
		info, err := os.Stat(spool)
		o.Must(err)
		names, err := filepath.Glob(filepath.Join(spool, ".generation.*"))
		o.Must(err)
		return fmt.Sprint(info.ModTime().UnixNano(), names)
	}
	before := look()
	o.Visit()
	if after := look(); after != before || !strings.Contains(after, ".generation.1") {
		t.Errorf("before %s, after %s", before, after)
	}
}

// F03 for the reconciliation: wherever it is killed, it is done again.
func TestAReconciliationThatIsKilledLosesAndDoublesNothing(t *testing.T) {
	for _, step := range []string{
		"reconcile.compare", "recover.open", "recover.commit", "recover.sweep", "survey.folders",
		"reconcile.look", "reconcile.commit", "intend.commit", "deliver.staged", "deliver.note", "deliver.published",
		"window.commit",
	} {
		t.Run(step, func(t *testing.T) {
			o := newStubbed(t, false)
			o.send("INBOX", "old")
			o.KilledAt("deliver.staged") // So that the backup has something staged.
			restore := o.Backup()
			o.Visit()
			o.send("INBOX", "a", "b", "c")
			o.send("Archive/2023", "d")
			o.Visit()
			o.Rename("b", ".Elsewhere", "S")
			restore()
			o.send("INBOX", "e")
			before := o.remote.fetched
			o.KilledAt(step)
			for _, name := range []string{"a", "old"} {
				o.Must(os.Remove(o.Files()[name])) // The user does not wait.
			}
			o.Visit()
			late := map[string]int{
				"reconcile.compare": 1, "recover.open": 1, "recover.commit": 1, "recover.sweep": 1,
				"survey.folders": 1, "reconcile.look": 1, "reconcile.commit": 1,
			}
			there := o.Files()
			// What was deleted before it was found again comes back once; what was staged in the backup does not.
			if _, back := there["a"]; back != (late[step] == 1) || there["old"] != "" {
				t.Errorf("a is at %q, old at %q", there["a"], there["old"])
			}
			for _, name := range []string{"b", "c", "d", "e"} {
				if there[name] == "" {
					t.Errorf("%s is not there", name)
				}
			}
			if n := o.remote.fetched - before; n > 2 {
				t.Errorf("%d bodies", n)
			}
			if n := o.Visit(); n != 0 {
				t.Errorf("%d bodies with the next visit", n)
			}
			if f := o.Check(); !f.OK {
				t.Errorf("%+v", f.Findings)
			}
		})
	}
}

func TestAfterARestoreOneMessageInSeveralFoldersIsKnownInEach(t *testing.T) {
	o := newStubbed(t, false)
	o.remote.globals = map[string]string{}
	o.Visit()
	restore := o.Backup()
	for _, folder := range []string{"INBOX", "Archive/2023"} {
		o.send(folder, "both")
		f := o.remote.find(folder)
		o.remote.globals[f.bodies[f.uids[0]]] = "gm:1"
	}
	if n := o.Visit(); n != 1 {
		t.Fatalf("%d bodies of one message with two labels", n)
	}
	restore()
	if n := o.Visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	if f := o.Check(); !f.OK || f.Accounts[0].Present != 1 || f.Accounts[0].Elsewhere != 1 {
		t.Errorf("%+v, %+v", f.Findings, *f.Accounts[0])
	}
}

// What was skipped when the backup was made and came later is not due yet when
// it is forgotten that it came.
func TestAfterARestoreAMessageThatWasSkippedBeforeIsKnown(t *testing.T) {
	o := newStubbed(t, false)
	o.send("INBOX", "a", "poison")
	body := o.remote.find("INBOX").bodies[2]
	o.remote.missing[body] = "the server ends the session"
	o.Visit()
	restore := o.Backup()
	delete(o.remote.missing, body)
	o.With(func(db *store.Store) { // Its owner has it tried again.
		ctx := t.Context()
		l := o.Lease(db)
		skips, err := db.Journal().Skipped(ctx, l)
		o.Must(err)
		o.Must(db.Journal().Commit(ctx, l, fetch.Entry{Unskip: skips}))
		fs, err := db.Journal().Folders(ctx, l)
		o.Must(err)
		for i := range fs {
			fs[i].Cursor = fetch.Cursor{}
		}
		o.Must(db.Journal().Commit(ctx, l, fetch.Entry{Folders: fs}))
		o.Must(db.Queue().Abandon(ctx, l))
	})
	if n := o.Visit(); n != 1 {
		t.Fatalf("%d bodies", n)
	}
	restore()
	if n := o.Visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	if f := o.Check(); !f.OK || f.Accounts[0].Present != 2 || len(f.Accounts[0].Skipped) != 0 {
		t.Errorf("%+v, %+v", f.Findings, *f.Accounts[0])
	}
}
