package fetch_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// office is one user's account with real mailbox and database, which can be
// backed up and restored.
type office struct {
	t        *testing.T
	remote   *remoteStub
	dsn      string
	postgres bool
	root     string
	account  account.Account
	boxes    fetch.Mailbox
}

func newOffice(t *testing.T, postgres bool) *office {
	t.Helper()
	o := &office{t: t, remote: newRemote("INBOX", "Archive/2023"), postgres: postgres, root: mailtest.InMemory(t)}
	if postgres {
		o.dsn = migrated.Postgres(t)
	} else {
		o.dsn = migrated.SQLite(t, filepath.Join(mailtest.InMemory(t), "journal.db"))
	}
	boxes, err := maildir.New(maildir.Options{Template: "maildir:" + o.root + "/{domain}/{local}"})
	o.must(err)
	o.boxes = realBoxes{boxes}
	owner, err := owner.Parse("anna@firma.test")
	o.must(err)
	o.with(func(db *store.Store) {
		o.must(db.Migrate(t.Context()))
		o.account, err = db.Accounts().Add(t.Context(), account.Account{
			ID: account.ID(uuid.NewString()), Owner: owner, Email: "x@remote.test", Name: "Remote", Provider: "other",
			Protocol: remote.IMAP,
			Server:   remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS}, Username: "x",
			Auth:   remote.Password,
			Folder: "Remote", PollInterval: time.Hour, Enabled: true, CreatedAt: time.Now(), UpdatedAt: time.Now(),
			Journal: uuid.NewString(),
		}, []byte("sealed"), 4)
		o.must(err)
	})
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) with(do func(*store.Store)) {
	o.t.Helper()
	db, err := store.Open(o.t.Context(), o.dsn, store.Options{})
	o.must(err)
	defer func() { o.must(db.Close()) }()
	do(db)
}

// visit visits the account once and returns how many bodies were downloaded.
func (o *office) visit() (bodies int) {
	o.t.Helper()
	before := o.remote.fetched
	o.with(func(db *store.Store) {
		ctx := o.t.Context()
		l, err := leaseOf(db.Queue().ClaimOne(ctx, o.account.Owner, o.account.ID, schedule.Claim{
			Worker: uuid.NewString(),
			Now:    time.Now(), Lease: time.Minute, Limit: 1,
		}))
		o.must(err)
		e := fetch.New(fetch.Options{
			Source: o.remote, Mailbox: o.boxes, Journal: db.Journal(), Credentials: noCredentials{},
			TokenKey: []byte("a key that outlives the database"), LocalName: maildir.LocalName, BatchMessages: 3, Log: slog.New(
				slog.DiscardHandler),
		})
		if rep := e.Visit(ctx, l); rep.Err != nil {
			o.t.Fatalf("the visit: %v", rep.Err)
		}
		o.must(db.Queue().Finish(ctx, l, schedule.Settlement{
			State: account.OK, DueAt: time.Now().Add(time.Hour),
			Success: true,
		}))
	})
	return o.remote.fetched - before
}

// check compares everything of the office's user.
func (o *office) check() (f *check.Findings) {
	o.t.Helper()
	boxes, err := maildir.New(maildir.Options{Template: "maildir:" + o.root + "/{domain}/{local}"})
	o.must(err)
	o.with(func(db *store.Store) {
		f, err = check.Checker{
			Journals: db, Mailboxes: boxes, TokenKey: []byte("a key that outlives the database"),
			DirName: maildir.DirName,
		}.Check(o.t.Context(), o.account.Owner)
		o.must(err)
	})
	return f
}

// backup copies the database; the copy is what restore brings back.
func (o *office) backup() (restore func()) {
	o.t.Helper()
	if o.postgres {
		saved := mailtest.CopyPostgres(o.t, o.dsn)
		return func() { o.dsn = mailtest.CopyPostgres(o.t, saved) }
	}
	path := strings.TrimPrefix(o.dsn, "sqlite:")
	saved, err := os.ReadFile(path)
	o.must(err)
	return func() {
		for _, companion := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + companion); err != nil && !os.IsNotExist(err) {
				o.t.Fatal(err)
			}
		}
		o.must(os.WriteFile(path, saved, 0o600))
	}
}

func (o *office) home() string { return filepath.Join(o.root, "firma.test", "anna") }

// files returns the messages of the mailbox: path by canary. One that is there
// twice, but for hard links, fails the test.
func (o *office) files() map[string]string {
	o.t.Helper()
	seen := map[string]string{}
	infos := map[string]os.FileInfo{}
	o.must(delivered(o.home(), func(path string) error {
		c, err := canary(path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if old, ok := seen[c]; ok && !os.SameFile(info, infos[c]) {
			o.t.Errorf("%s is there twice:\n%s\n%s", c, old, path)
		}
		seen[c], infos[c] = path, info
		return nil
	}))
	return seen
}

// send adds messages to a folder of the remote.
func (o *office) send(folder string, names ...string) {
	f := o.remote.find(folder)
	for _, n := range names {
		f.add(fmt.Sprintf("Message-ID: <%s@x>\r\nSubject: about %s\r\nX-Canary: %s;\r\n\r\n%s\r\n", n, n, n, strings.Repeat(
			"text\r\n", len(f.uids))))
	}
}

// rename moves one of the user's messages, as a mail program does.
func (o *office) rename(canary, folder, flags string) {
	o.t.Helper()
	from, ok := o.files()[canary]
	if !ok {
		o.t.Fatalf("%s is not there", canary)
	}
	dir := filepath.Join(o.home(), folder, "cur")
	o.must(os.MkdirAll(dir, 0o700))
	name, _, _ := strings.Cut(filepath.Base(from), ":")
	o.must(os.Rename(from, filepath.Join(dir, name+":2,"+flags)))
}

func onBothDatabases(t *testing.T, test func(t *testing.T, postgres bool)) {
	for _, postgres := range []bool{false, true} {
		t.Run(map[bool]string{false: "SQLite", true: "PostgreSQL"}[postgres], func(t *testing.T) { test(t, postgres) })
	}
}

// F25, F58, I22: the database goes back, the mailbox does not.
func TestAfterADatabaseIsRestoredNothingThatIsStillThereIsDownloadedAgain(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, postgres bool) {
		o := newOffice(t, postgres)
		o.send("INBOX", "old1", "old2", "old3")
		o.send("Archive/2023", "arch1")
		if n := o.visit(); n != 4 {
			t.Fatalf("%d bodies before the backup", n)
		}
		restore := o.backup()

		o.send("INBOX", "new1", "new2", "new3", "new4", "new5", "new6", "new7")
		o.send("Archive/2023", "arch2")
		o.remote.folders = append(o.remote.folders, newRemote("Later").folders...)
		o.send("Later", "later1", "later2")
		if n := o.visit(); n != 10 {
			t.Fatalf("%d bodies after the backup", n)
		}
		o.rename("new1", ".Elsewhere", "S")
		o.rename("new2", ".Remote", "RS")
		o.rename("arch2", ".Trash", "ST")
		o.rename("later1", "", "F")
		copied := o.files()["new4"]
		o.must(os.MkdirAll(filepath.Join(o.home(), ".Kept", "cur"), 0o700))
		o.must(os.Link(copied, filepath.Join(o.home(), ".Kept", "cur", filepath.Base(copied)+":2,")))
		for _, gone := range []string{"old2", "new3"} { // Before and after the backup.
			o.must(os.Remove(o.files()[gone]))
		}
		before := o.files()

		restore()
		o.send("INBOX", "newest")
		if n := o.visit(); n != 2 {
			t.Errorf("%d bodies were downloaded after the restore: the new one, and the one deleted since the backup, "+
				"would be 2", n)
		}
		after := o.files()
		for name, path := range before {
			if after[name] != path && name != "new4" {
				t.Errorf("%s was at %s and is at %q", name, path, after[name])
			}
		}
		if _, ok := after["newest"]; !ok || len(after) != len(before)+2 || after["old2"] != "" {
			t.Errorf("the mailbox holds %d messages, not %d and two; deleted before the backup: %q", len(after), len(before),
				after["old2"])
		}
		if n := o.visit(); n != 0 {
			t.Errorf("%d bodies with the next visit", n)
		}
		// Once more, by the same backup; and then everything goes its usual way.
		restore()
		if n := o.visit(); n != 0 {
			t.Errorf("%d bodies after the second restore", n)
		}
		o.send("Later", "later3")
		if n := o.visit(); n != 1 {
			t.Errorf("%d bodies where one message came", n)
		}
		o.with(func(db *store.Store) {
			a, err := db.Accounts().Account(t.Context(), o.account.Owner, o.account.ID)
			o.must(err)
			if a.Status.Totals.Messages != 16 {
				t.Errorf("the journal counts %d messages, not 16", a.Status.Totals.Messages)
			}
		})
		o.files()
	})
}

// forgetful is a mailbox whose spool has no note: the rule removed.
type forgetful struct{ fetch.Mailbox }

func (b forgetful) Open(ctx context.Context, o owner.Owner, journal string, epoch int64,
	l owner.Limit,
) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, o, journal, epoch, l)
	return unnoted{d}, err
}

type unnoted struct{ fetch.Delivery }

func (unnoted) Generation(context.Context) (int64, bool, error) { return 0, false, nil }

func TestWithoutTheSpoolsNoteARestoredDatabaseDoublesMail(t *testing.T) {
	o := newOffice(t, false)
	o.boxes = forgetful{o.boxes}
	restore := o.backup()
	o.send("INBOX", "a", "b")
	o.visit()
	restore()
	if n := o.visit(); n != 2 {
		t.Errorf("%d bodies: the suite does not bite", n)
	}
}

// UIDVALIDITY changed twice since the backup: the messages' names on disk are
// those of an epoch that the journal knows nothing of.
func TestAfterARestoreEpochsThatWereForgottenAreFoundAgain(t *testing.T) {
	o := newOffice(t, false)
	o.send("INBOX", "old1")
	o.visit()
	restore := o.backup()
	inbox := o.remote.find("INBOX")
	for range 2 {
		inbox.validity++
		inbox.uids, inbox.next = nil, 1
		o.send("INBOX", fmt.Sprintf("a%d", inbox.validity), fmt.Sprintf("b%d", inbox.validity))
		if n := o.visit(); n != 2 {
			t.Fatalf("%d bodies under a new UIDVALIDITY", n)
		}
	}
	restore()
	if n := o.visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	inbox.validity++
	inbox.uids, inbox.next = nil, 1
	o.send("INBOX", "c", "d")
	if n := o.visit(); n != 2 || len(o.files()) != 7 {
		t.Errorf("%d bodies of two new messages, %d in the mailbox", n, len(o.files()))
	}
}

// A message under a forgotten epoch's name is not taken for another one.
func TestAfterARestoreAnotherMessageUnderAKnownNameIsFetched(t *testing.T) {
	o := newOffice(t, false)
	o.visit()
	restore := o.backup()
	inbox := o.remote.find("INBOX")
	inbox.validity = 8
	o.send("INBOX", "first")
	o.visit()
	restore()
	// What had UID 1 is gone; another message has it under another UIDVALIDITY.
	inbox.validity, inbox.uids, inbox.next = 9, nil, 1
	o.send("INBOX", "quite-another")
	if n := o.visit(); n != 1 {
		t.Errorf("%d bodies", n)
	}
	if got := len(o.files()); got != 2 {
		t.Errorf("%d messages in the mailbox", got)
	}
}

func TestReconcilingContinuesUntilEveryFolderWasListed(t *testing.T) {
	o := newOffice(t, false)
	o.visit()
	restore := o.backup()
	o.send("INBOX", "a", "b")
	o.send("Archive/2023", "c", "d")
	o.visit()
	restore()
	o.remote.badFolder = "Archive/2023"
	if n := o.visit(); n != 0 {
		t.Errorf("%d bodies while a folder cannot be listed", n)
	}
	o.send("INBOX", "e", "f", "g", "h") // Two batches: the journal's count must not overtake the note.
	if n := o.visit(); n != 4 {
		t.Errorf("%d bodies of four new messages", n)
	}
	o.remote.badFolder = ""
	if n := o.visit(); n != 0 {
		t.Errorf("%d bodies once it can", n)
	}
	if got := len(o.files()); got != 8 {
		t.Errorf("%d messages in the mailbox", got)
	}
}

// killedAfter visits until the named step and dies there, in a manner.
func (o *office) killedAt(step string) {
	o.t.Helper()
	o.with(func(db *store.Store) {
		ctx, die := context.WithCancel(o.t.Context())
		l, err := leaseOf(db.Queue().ClaimOne(ctx, o.account.Owner, o.account.ID, schedule.Claim{
			Worker: uuid.NewString(),
			Now:    time.Now(), Lease: time.Minute, Limit: 1,
		}))
		o.must(err)
		reached := make(chan struct{})
		e := fetch.New(fetch.Options{
			Source: o.remote, Mailbox: o.boxes, Journal: deadJournal{db.Journal(), ctx}, Credentials: noCredentials{},
			TokenKey: []byte("a key that outlives the database"), LocalName: maildir.LocalName, BatchMessages: 100,
			Log: slog.New(slog.DiscardHandler),
			Step: func(name string) {
				if name == step && ctx.Err() == nil {
					close(reached)
					die()
				}
			},
		})
		e.Visit(ctx, l)
		select {
		case <-reached:
		default:
			o.t.Fatalf("the visit did not come to %s", step)
		}
		o.must(db.Queue().Abandon(o.t.Context(), l))
	})
}

// deadJournal takes no writes once its process is dead.
type deadJournal struct {
	fetch.Journal
	life context.Context
}

func (j deadJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if err := j.life.Err(); err != nil {
		return err
	}
	return j.Journal.Commit(ctx, l, e)
}

// F53: the spool is emptied, or comes from a backup, while messages are staged.
func TestStagedMessagesWhoseSpoolWasEmptiedAreFetchedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		wipe func(o *office, spool string)
		want int // Bodies downloaded once more.
	}{
		"all of it, the note included": {func(o *office, spool string) { o.must(os.RemoveAll(spool)) }, 3},
		"nothing":                      {func(*office, string) {}, 0},
		"some files": {func(o *office, spool string) {
			files, err := filepath.Glob(filepath.Join(spool, "F*"))
			o.must(err)
			if len(files) != 3 {
				o.t.Fatalf("%d files are staged", len(files))
			}
			o.must(os.Remove(files[1]))
		}, 1},
		"a message was delivered all the same": {func(o *office, spool string) {
			files, err := filepath.Glob(filepath.Join(spool, "F*"))
			o.must(err)
			slices.Sort(files)
			token, _, _ := strings.Cut(filepath.Base(files[0]), ".")
			dir := filepath.Join(o.home(), ".Remote", "cur")
			o.must(os.MkdirAll(dir, 0o700))
			o.must(os.Rename(files[0], filepath.Join(dir, "1000000000."+token+".host,S=1,W=1:2,S")))
			o.must(os.RemoveAll(spool))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, false)
			o.send("INBOX", "before")
			o.visit()
			o.send("INBOX", "a", "b", "c")
			o.killedAt("deliver.staged")
			c.wipe(o, filepath.Join(o.home(), "fetch-spool", o.account.Journal))
			if n := o.visit(); n != c.want {
				t.Errorf("%d bodies, not %d", n, c.want)
			}
			if got := len(o.files()); got != 4 {
				t.Errorf("%d messages in the mailbox, not 4", got)
			}
			if n := o.visit(); n != 0 {
				t.Errorf("%d bodies with the visit after", n)
			}
		})
	}
}

// I5: delivered and then deleted by the user stays deleted, whatever the crash.
func TestAVisitThatDiedAfterDeliveringDoesNotBringDeletedMailBack(t *testing.T) {
	for _, step := range []string{"deliver.published", "window.commit"} {
		t.Run(step, func(t *testing.T) {
			o := newOffice(t, false)
			o.send("INBOX", "a", "b", "c")
			o.killedAt(step)
			for _, path := range o.files() {
				o.must(os.Remove(path))
			}
			if n := o.visit(); n != 0 || len(o.files()) != 0 {
				t.Errorf("%d bodies, %d messages are back", n, len(o.files()))
			}
		})
	}
}

func TestAVisitWithoutNewsWritesNothingBesideTheSpool(t *testing.T) {
	o := newOffice(t, false)
	o.send("INBOX", "a")
	o.visit()
	spool := filepath.Join(o.home(), "fetch-spool", o.account.Journal)
	look := func() string {
		info, err := os.Stat(spool)
		o.must(err)
		names, err := filepath.Glob(filepath.Join(spool, ".generation.*"))
		o.must(err)
		return fmt.Sprint(info.ModTime().UnixNano(), names)
	}
	before := look()
	o.visit()
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
			o := newOffice(t, false)
			o.send("INBOX", "old")
			o.killedAt("deliver.staged") // So that the backup has something staged.
			restore := o.backup()
			o.visit()
			o.send("INBOX", "a", "b", "c")
			o.send("Archive/2023", "d")
			o.visit()
			o.rename("b", ".Elsewhere", "S")
			restore()
			o.send("INBOX", "e")
			before := o.remote.fetched
			o.killedAt(step)
			for _, name := range []string{"a", "old"} {
				o.must(os.Remove(o.files()[name])) // The user does not wait.
			}
			o.visit()
			late := map[string]int{
				"reconcile.compare": 1, "recover.open": 1, "recover.commit": 1, "recover.sweep": 1,
				"survey.folders": 1, "reconcile.look": 1, "reconcile.commit": 1,
			}
			there := o.files()
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
			if n := o.visit(); n != 0 {
				t.Errorf("%d bodies with the next visit", n)
			}
			if f := o.check(); !f.OK {
				t.Errorf("%+v", f.Findings)
			}
		})
	}
}

func TestAfterARestoreOneMessageInSeveralFoldersIsKnownInEach(t *testing.T) {
	o := newOffice(t, false)
	o.remote.globals = map[string]string{}
	o.visit()
	restore := o.backup()
	for _, folder := range []string{"INBOX", "Archive/2023"} {
		o.send(folder, "both")
		f := o.remote.find(folder)
		o.remote.globals[f.bodies[f.uids[0]]] = "gm:1"
	}
	if n := o.visit(); n != 1 {
		t.Fatalf("%d bodies of one message with two labels", n)
	}
	restore()
	if n := o.visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	if f := o.check(); !f.OK || f.Accounts[0].Present != 1 || f.Accounts[0].Elsewhere != 1 {
		t.Errorf("%+v, %+v", f.Findings, *f.Accounts[0])
	}
}

// What was skipped when the backup was made and came later is not due yet when
// it is forgotten that it came.
func TestAfterARestoreAMessageThatWasSkippedBeforeIsKnown(t *testing.T) {
	o := newOffice(t, false)
	o.send("INBOX", "a", "poison")
	body := o.remote.find("INBOX").bodies[2]
	o.remote.missing[body] = "the server ends the session"
	o.visit()
	restore := o.backup()
	delete(o.remote.missing, body)
	o.with(func(db *store.Store) { // Its owner has it tried again.
		ctx := t.Context()
		l, err := leaseOf(db.Queue().ClaimOne(ctx, o.account.Owner, o.account.ID, schedule.Claim{
			Worker: "w", Now: time.Now(),
			Lease: time.Minute, Limit: 1,
		}))
		o.must(err)
		skips, err := db.Journal().Skipped(ctx, l)
		o.must(err)
		o.must(db.Journal().Commit(ctx, l, fetch.Entry{Unskip: skips}))
		fs, err := db.Journal().Folders(ctx, l)
		o.must(err)
		for i := range fs {
			fs[i].Cursor = fetch.Cursor{}
		}
		o.must(db.Journal().Commit(ctx, l, fetch.Entry{Folders: fs}))
		o.must(db.Queue().Abandon(ctx, l))
	})
	if n := o.visit(); n != 1 {
		t.Fatalf("%d bodies", n)
	}
	restore()
	if n := o.visit(); n != 0 {
		t.Errorf("%d bodies after the restore", n)
	}
	if f := o.check(); !f.OK || f.Accounts[0].Present != 2 || len(f.Accounts[0].Skipped) != 0 {
		t.Errorf("%+v, %+v", f.Findings, *f.Accounts[0])
	}
}
