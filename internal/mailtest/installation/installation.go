// Package installation is the least of one in which mail is fetched: a database and a
// directory of mailboxes, with one user, whose one external account the engine visits,
// as cmd/mailbrook has it visited. The server is the test's own.
package installation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// tokenKey outlives the databases.
var tokenKey = []byte("a key that outlives the database")

// Installation is used by one test, one call at a time.
type Installation struct {
	Account account.Account
	// Mailbox is what the engine delivers into; a test may wrap it.
	Mailbox fetch.Mailbox

	tb       testing.TB
	source   fetch.Source
	postgres bool
	dsn      string
	root     string // Of the mailboxes.
}

// OnBothDatabases runs a test with SQLite and with PostgreSQL.
func OnBothDatabases(t *testing.T, test func(t *testing.T, postgres bool)) {
	for _, postgres := range []bool{false, true} {
		t.Run(map[bool]string{false: "SQLite", true: "PostgreSQL"}[postgres], func(t *testing.T) { test(t, postgres) })
	}
}

// New has a database made of migrated, and an account whose mail is at source.
func New(tb testing.TB, migrated *mailtest.Migrated, postgres bool, source fetch.Source) *Installation {
	tb.Helper()
	in := &Installation{tb: tb, source: source, postgres: postgres, root: mailtest.InMemory(tb)}
	if postgres {
		in.dsn = migrated.Postgres(tb)
	} else {
		in.dsn = migrated.SQLite(tb, filepath.Join(mailtest.InMemory(tb), "journal.db"))
	}
	in.Mailbox = boxes{in.maildirs()}
	anna, err := owner.Parse("anna@firma.test")
	in.Must(err)
	in.With(func(db *store.Store) {
		in.Must(db.Migrate(tb.Context()))
		in.Account, err = db.Accounts().Add(tb.Context(), account.Account{
			ID: account.ID(uuid.NewString()), Owner: anna, Email: "x@remote.test", Name: "Remote", Provider: "other",
			Protocol: remote.IMAP, Server: remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS},
			Username: "x", Auth: remote.Password, Folder: "Remote", PollInterval: time.Hour, Enabled: true,
			CreatedAt: time.Now(), UpdatedAt: time.Now(), Journal: uuid.NewString(),
		}, []byte("sealed"), 4)
		in.Must(err)
	})
	return in
}

func (in *Installation) maildirs() *maildir.Store {
	in.tb.Helper()
	m, err := maildir.New(maildir.Options{Template: "maildir:" + in.root + "/{domain}/{local}"})
	in.Must(err)
	return m
}

// Must ends the test at an error.
func (in *Installation) Must(err error) {
	in.tb.Helper()
	if err != nil {
		in.tb.Fatal(err)
	}
}

// With has the database open while do runs.
func (in *Installation) With(do func(*store.Store)) {
	in.tb.Helper()
	db, err := store.Open(in.tb.Context(), in.dsn, store.Options{})
	in.Must(err)
	defer func() { in.Must(db.Close()) }()
	do(db)
}

// Lease claims the account for a visit.
func (in *Installation) Lease(db *store.Store) fetch.Lease {
	in.tb.Helper()
	l, err := db.Queue().ClaimOne(in.tb.Context(), in.Account.Owner, in.Account.ID, schedule.Claim{
		Worker: uuid.NewString(), Now: time.Now(), Lease: time.Minute, Limit: 1,
	})
	in.Must(err)
	return l.Lease
}

// Visit visits the account once and returns how many bodies were downloaded.
func (in *Installation) Visit() (bodies int) {
	in.tb.Helper()
	in.With(func(db *store.Store) {
		l := in.Lease(db)
		e := in.engine(db.Journal(), 3, nil)
		e.Source = counted{in.source, &bodies}
		if rep := e.Visit(in.tb.Context(), l); rep.Err != nil {
			in.tb.Fatalf("the visit: %v", rep.Err)
		}
		in.Must(db.Queue().Finish(in.tb.Context(), l, schedule.Settlement{
			State: account.OK, DueAt: time.Now().Add(time.Hour), Success: true,
		}))
	})
	return bodies
}

// KilledAt visits until the named step and dies there: nothing is written after it.
func (in *Installation) KilledAt(step string) {
	in.tb.Helper()
	in.With(func(db *store.Store) {
		ctx, die := context.WithCancel(in.tb.Context())
		defer die()
		l := in.Lease(db)
		reached := false
		in.engine(deadJournal{db.Journal(), ctx}, 100, func(name string) {
			if name == step {
				reached = true
				die()
			}
		}).Visit(ctx, l)
		if !reached {
			in.tb.Fatalf("the visit did not come to %s", step)
		}
		in.Must(db.Queue().Abandon(in.tb.Context(), l))
	})
}

func (in *Installation) engine(j fetch.Journal, batch int, step func(string)) *fetch.Engine {
	return fetch.New(fetch.Options{
		Source: in.source, Mailbox: in.Mailbox, Journal: j, Credentials: noCredentials{}, TokenKey: tokenKey,
		LocalName: fetch.InFolder(maildir.LocalName), BatchMessages: batch, Log: slog.New(slog.DiscardHandler), Step: step,
	})
}

// Check compares everything of the account's user.
func (in *Installation) Check() *check.Findings {
	in.tb.Helper()
	return in.CheckAs(func(*check.JournalReport) {})
}

// CheckAs checks as if the journal said something else.
func (in *Installation) CheckAs(edit func(r *check.JournalReport)) (f *check.Findings) {
	in.tb.Helper()
	in.With(func(db *store.Store) {
		var err error
		f, err = check.Checker{
			Journals: edited{db, edit}, Mailboxes: in.maildirs(), TokenKey: tokenKey, DirName: maildir.DirName,
		}.Check(in.tb.Context(), in.Account.Owner)
		in.Must(err)
	})
	return f
}

// Backup copies the database; the copy is what restore brings back.
func (in *Installation) Backup() (restore func()) {
	in.tb.Helper()
	if in.postgres {
		saved := mailtest.CopyPostgres(in.tb, in.dsn)
		return func() { in.dsn = mailtest.CopyPostgres(in.tb, saved) }
	}
	path := strings.TrimPrefix(in.dsn, "sqlite:")
	saved, err := os.ReadFile(path)
	in.Must(err)
	return func() {
		for _, companion := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + companion); err != nil && !os.IsNotExist(err) {
				in.tb.Fatal(err)
			}
		}
		in.Must(os.WriteFile(path, saved, 0o600))
	}
}

// Home is the user's mailbox.
func (in *Installation) Home() string { return filepath.Join(in.root, "firma.test", "anna") }

// Spool is where the account's messages are on their way.
func (in *Installation) Spool() string {
	return filepath.Join(in.Home(), "fetch-spool", in.Account.Journal)
}

// Text is a message that can be told from others by its name.
func Text(name string, lines int) string {
	return fmt.Sprintf("Message-ID: <%s@x>\r\nSubject: about %s\r\nX-Canary: %s;\r\n\r\n%s\r\n", name, name, name,
		strings.Repeat("text\r\n", lines))
}

// Files returns the messages of the mailbox that Text made: path by name. One that is
// there twice, but for hard links, or not as it was sent, fails the test.
func (in *Installation) Files() map[string]string {
	in.tb.Helper()
	seen := map[string]string{}
	infos := map[string]os.FileInfo{}
	err := filepath.WalkDir(in.Home(), func(path string, d fs.DirEntry, err error) error {
		if parent := filepath.Base(filepath.Dir(path)); err != nil || d.IsDir() || parent != "new" && parent != "cur" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(text), "X-Canary: ")
		name, _, ok := strings.Cut(rest, ";")
		if !ok || strings.Contains(string(text), "\r") {
			return fmt.Errorf("%s is not as it was sent: %d octets", path, len(text))
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if old, ok := seen[name]; ok && !os.SameFile(info, infos[name]) {
			in.tb.Errorf("%s is there twice:\n%s\n%s", name, old, path)
		}
		seen[name], infos[name] = path, info
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) { // There may be no mailbox yet.
		in.Must(err)
	}
	return seen
}

// File returns where a message of this name is, and ends the test if it is nowhere.
func (in *Installation) File(name string) string {
	in.tb.Helper()
	path, ok := in.Files()[name]
	if !ok {
		in.tb.Fatalf("%s is not there", name)
	}
	return path
}

// Rename moves one of the user's messages, as a mail program does.
func (in *Installation) Rename(name, folder, flags string) {
	in.tb.Helper()
	from, dir := in.File(name), filepath.Join(in.Home(), folder, "cur")
	in.Must(os.MkdirAll(dir, 0o700))
	base, _, _ := strings.Cut(filepath.Base(from), ":")
	in.Must(os.Rename(from, filepath.Join(dir, base+":2,"+flags)))
}

// boxes adapts the mailboxes, as cmd/mailbrook does.
type boxes struct{ *maildir.Store }

func (b boxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	if err := b.Make(ctx, r.Owner); err != nil {
		return nil, err
	}
	return b.Store.Open(ctx, r.Owner, r.Journal, epoch, l)
}

type noCredentials struct{}

func (noCredentials) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{}, nil
}

// counted counts the bodies that are taken.
type counted struct {
	fetch.Source
	bodies *int
}

func (c counted) Open(ctx context.Context, m remote.Mailbox, cred remote.Credential) (fetch.Session, error) {
	s, err := c.Source.Open(ctx, m, cred)
	if err != nil {
		return nil, err
	}
	return countedSession{s, c.bodies}, nil
}

type countedSession struct {
	fetch.Session
	bodies *int
}

func (s countedSession) Fetch(ctx context.Context, wants []mail.Want,
	take func(mail.Folder, mail.Item, io.Reader) error, miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	return s.Session.Fetch(ctx, wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
		*s.bodies++
		return take(f, it, body)
	}, miss)
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
