package check_test

import (
	"context"
	"fmt"
	"io"
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
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// tokenKey outlives the databases of these tests.
var tokenKey = []byte("a key that outlives the database")

// migrated are the databases that these tests begin with.
var migrated = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	db, err := store.Open(ctx, dsn, store.Options{Now: time.Now})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.Migrate(ctx)
}}

// office is one user's account, visited by the engine, with a real mailbox and
// database.
type office struct {
	t       *testing.T
	remote  *remoteStub
	dsn     string
	root    string
	account account.Account
	mailbox *maildir.Store
}

func newOffice(t *testing.T, postgres bool) *office {
	t.Helper()
	o := &office{t: t, root: mailtest.InMemory(t)}
	o.remote = &remoteStub{validity: map[string]uint32{}, bodies: map[string][]string{}, missing: map[string]string{}}
	if postgres {
		o.dsn = migrated.Postgres(t)
	} else {
		o.dsn = migrated.SQLite(t, filepath.Join(mailtest.InMemory(t), "journal.db"))
	}
	var err error
	o.mailbox, err = maildir.New(maildir.Options{Template: "maildir:" + o.root + "/{domain}/{local}"})
	o.must(err)
	owner, err := owner.Parse("anna@firma.test")
	o.must(err)
	o.with(func(db *store.Store) {
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

// check compares everything of the office's user.
func (o *office) check() (f *check.Findings) {
	o.t.Helper()
	return o.checkAs(func(*check.JournalReport) {})
}

// checkAs checks as if the journal said something else.
func (o *office) checkAs(edit func(r *check.JournalReport)) (f *check.Findings) {
	o.t.Helper()
	o.with(func(db *store.Store) {
		var err error
		f, err = check.Checker{
			Journals: edited{db, edit}, Mailboxes: o.mailbox, TokenKey: tokenKey, DirName: maildir.DirName,
		}.Check(o.t.Context(), o.account.Owner)
		o.must(err)
	})
	return f
}

// edited are journals that say something else.
type edited struct {
	check.Journals
	edit func(r *check.JournalReport)
}

func (e edited) JournalReports(ctx context.Context, o owner.Owner, messages bool) ([]check.JournalReport, error) {
	all, err := e.Journals.JournalReports(ctx, o, messages)
	if err == nil && messages {
		e.edit(&all[0])
	}
	return all, err
}

// visit visits the account once and returns how many bodies were downloaded.
func (o *office) visit() (bodies int) {
	o.t.Helper()
	before := o.remote.fetched
	o.with(func(db *store.Store) {
		l := o.lease(db)
		if rep := o.engine(db.Journal(), 3, nil).Visit(o.t.Context(), l); rep.Err != nil {
			o.t.Fatalf("the visit: %v", rep.Err)
		}
		o.must(db.Queue().Finish(o.t.Context(), l, schedule.Settlement{
			State: account.OK, DueAt: time.Now().Add(time.Hour), Success: true,
		}))
	})
	return o.remote.fetched - before
}

func (o *office) lease(db *store.Store) fetch.Lease {
	o.t.Helper()
	l, err := db.Queue().ClaimOne(o.t.Context(), o.account.Owner, o.account.ID, schedule.Claim{
		Worker: uuid.NewString(), Now: time.Now(), Lease: time.Minute, Limit: 1,
	})
	o.must(err)
	return l.Lease
}

func (o *office) engine(j fetch.Journal, batch int, step func(string)) *fetch.Engine {
	return fetch.New(fetch.Options{
		Source: o.remote, Mailbox: boxes{o.mailbox}, Journal: j, Credentials: noCredentials{}, TokenKey: tokenKey,
		LocalName: maildir.LocalName, BatchMessages: batch, Log: slog.New(slog.DiscardHandler), Step: step,
	})
}

// killedAt visits until the named step and dies there: nothing is written after it.
func (o *office) killedAt(step string) {
	o.t.Helper()
	o.with(func(db *store.Store) {
		ctx, die := context.WithCancel(o.t.Context())
		defer die()
		l := o.lease(db)
		reached := false
		o.engine(deadJournal{db.Journal(), ctx}, 100, func(name string) {
			if name == step {
				reached = true
				die()
			}
		}).Visit(ctx, l)
		if !reached {
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

// backup copies the database, which is SQLite; the copy is what restore brings back.
func (o *office) backup() (restore func()) {
	o.t.Helper()
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

func (o *office) spool() string {
	return filepath.Join(o.home(), "fetch-spool", o.account.Journal)
}

// path returns where a message is that the remote sent as this.
func (o *office) path(canary string) (found string) {
	o.t.Helper()
	for _, pattern := range []string{"cur/*", "new/*", ".*/cur/*", ".*/new/*"} {
		files, err := filepath.Glob(filepath.Join(o.home(), pattern))
		o.must(err)
		for _, name := range files {
			text, err := os.ReadFile(name)
			o.must(err)
			if strings.Contains(string(text), "X-Canary: "+canary+";") {
				found = name
			}
		}
	}
	if found == "" {
		o.t.Fatalf("%s is not in the mailbox", canary)
	}
	return found
}

// rename moves one of the user's messages, as a mail program does.
func (o *office) rename(canary, folder, flags string) {
	o.t.Helper()
	from, dir := o.path(canary), filepath.Join(o.home(), folder, "cur")
	o.must(os.MkdirAll(dir, 0o700))
	name, _, _ := strings.Cut(filepath.Base(from), ":")
	o.must(os.Rename(from, filepath.Join(dir, name+":2,"+flags)))
}

// send adds messages to a folder of the remote.
func (o *office) send(folder string, names ...string) {
	for _, n := range names {
		o.remote.bodies[folder] = append(o.remote.bodies[folder], fmt.Sprintf(
			"Message-ID: <%s@x>\r\nSubject: about %s\r\nX-Canary: %s;\r\n\r\n%s\r\n", n, n, n,
			strings.Repeat("text\r\n", len(o.remote.bodies[folder]))))
	}
}

// boxes adapts the mailbox, as cmd does.
type boxes struct{ *maildir.Store }

func (b boxes) Open(ctx context.Context, o owner.Owner, journal string, epoch int64,
	l owner.Limit,
) (fetch.Delivery, error) {
	if err := b.Make(ctx, o); err != nil {
		return nil, err
	}
	return b.Store.Open(ctx, o, journal, epoch, l)
}

type noCredentials struct{}

func (noCredentials) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{}, nil
}

// remoteStub is an IMAP account in memory, source and session at once, with two folders
// whose n-th message has the UID n.
type remoteStub struct {
	validity map[string]uint32   // As far as it is not 7.
	bodies   map[string][]string // By folder.
	missing  map[string]string   // Bodies that cannot be read, and why.
	fetched  int
}

func (r *remoteStub) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return r, nil
}

func (r *remoteStub) Folders(context.Context) (fs []mail.Folder, _ error) {
	for _, name := range []string{"INBOX", "Archive/2023"} {
		f := mail.Folder{Wire: name, Selectable: true, Status: mail.Status{
			Known: true, Messages: uint32(len(r.bodies[name])), UIDNext: uint32(len(r.bodies[name]) + 1),
			UIDValidity: max(7, r.validity[name]),
		}}
		if name != "INBOX" {
			f.Path = strings.Split(name, "/")
		}
		fs = append(fs, f)
	}
	return fs, nil
}

func (r *remoteStub) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	folders, err := r.Folders(ctx)
	if err != nil {
		return err
	}
	for _, q := range qs {
		l := mail.Listing{Folder: q.Folder, Complete: true}
		l.Folder.Status = folders[slices.IndexFunc(folders, func(f mail.Folder) bool {
			return f.Wire == q.Folder.Wire
		})].Status
		for i, body := range r.bodies[q.Folder.Wire] {
			if uid := uint32(i + 1); uid >= q.From {
				l.Items = append(l.Items, mail.Item{
					ID: mail.ID{UID: uid}, Number: uid, Size: int64(len(body)), Received: time.Unix(1e9, 0),
				})
			}
		}
		if err := yield(l, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *remoteStub) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	for _, w := range ws {
		for _, it := range w.Items {
			if err := ctx.Err(); err != nil {
				return err
			}
			body := r.bodies[w.Folder.Wire][it.ID.UID-1]
			if why, ok := r.missing[body]; ok {
				miss(w.Folder, it, fault.New(fault.MessageFailed, "fetching", why))
				continue
			}
			r.fetched++
			if err := take(w.Folder, it, strings.NewReader(body)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *remoteStub) Headers(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, []byte) error) error {
	for _, w := range ws {
		for _, it := range w.Items {
			head, _, _ := strings.Cut(r.bodies[w.Folder.Wire][it.ID.UID-1], "\r\n\r\n")
			if err := take(w.Folder, it, []byte(head+"\r\n\r\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *remoteStub) Capabilities() string        { return "" }
func (r *remoteStub) Leave(context.Context) error { return nil }
func (r *remoteStub) Close() error                { return nil }

func onBothDatabases(t *testing.T, test func(t *testing.T, postgres bool)) {
	for _, postgres := range []bool{false, true} {
		t.Run(map[bool]string{false: "SQLite", true: "PostgreSQL"}[postgres], func(t *testing.T) {
			test(t, postgres)
		})
	}
}
