package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// clock is a time that stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// world is a fresh database with its schema, and a clock.
type world struct {
	*testing.T
	*Store
	dsn   string
	clock *clock
}

// dsns returns an empty database of each kind.
func dsns(tb testing.TB) map[string]func() string {
	return map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(tb.TempDir(), "mailbrook.db") },
		"postgres": func() string { return mailtest.StartPostgres(tb) },
	}
}

// migrated are the databases that worlds begin with: the schema is there, and
// nobody's.
var migrated = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	s, err := Open(ctx, dsn, Options{Now: time.Now})
	if err != nil {
		return err
	}
	if err = s.Migrate(ctx); err == nil {
		_, err = s.on(s.w).exec(ctx, "DELETE FROM meta") // An identity of its own is what each is to have.
	}
	return errors.Join(err, s.Close())
}}

// onBoth runs a test on each kind of database: what one promises, both do.
func onBoth(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) { test(newWorld(t, kind)) })
	}
}

// newWorld is a world on one kind of database.
func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	if kind == "postgres" {
		w.dsn = migrated.Postgres(t)
	} else {
		w.dsn = migrated.SQLite(t, filepath.Join(t.TempDir(), "mailbrook.db"))
	}
	w.Store = w.another()
	w.must(w.makeInstance(t.Context())) // Of what Migrate does no more is left.
	return w
}

// another opens the same database as another process would.
func (w *world) another() *Store {
	w.Helper()
	s, err := Open(w.Context(), w.dsn, Options{Now: w.clock.now})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.Error(err)
		}
	})
	return s
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) want(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("the error is %v, not %v", err, want)
	}
}

func anOwner(tb testing.TB, address string) owner.Owner {
	tb.Helper()
	o, err := owner.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// draft is an account that is not saved, different from all with another number.
func draft(tb testing.TB, user string, n int) account.Account {
	at := time.Date(2026, 2, 1, 0, 0, n, 0, time.UTC)
	return account.Account{
		ID: account.ID(uuid.NewString()), Owner: anOwner(tb, user), Email: fmt.Sprintf("box%d@example.org", n),
		Name: fmt.Sprintf("Box %d", n), SenderName: "Anna Nowak", Provider: "other", Protocol: remote.IMAP,
		Server: remote.Server{Host: "imap.example.org", Port: 993, Security: remote.TLS}, Username: fmt.Sprintf("box%d", n),
		Auth:   remote.Password,
		Folder: fmt.Sprintf("Box%d", n), Folders: route.FolderRules{Include: []string{"INBOX"}, Exclude: []string{`\Junk`}},
		MaxMessageBytes: route.DefaultMessageBytes,
		PollInterval:    5 * time.Minute, Enabled: true, CreatedAt: at, UpdatedAt: at, Journal: uuid.NewString(),
	}
}

func (w *world) add(user string, n int, change ...func(*account.Account)) account.Account {
	w.Helper()
	a := draft(w, user, n)
	for _, c := range change {
		c(&a)
	}
	a, err := w.Accounts().Add(w.Context(), a, []byte("sealed"), 1000)
	w.must(err)
	return a
}

func (w *world) load(a account.Account) account.Account {
	w.Helper()
	a, err := w.Accounts().Account(w.Context(), a.Owner, a.ID)
	w.must(err)
	return a
}

// of is the account whose visit a lease is for.
func (w *world) of(l fetch.Lease) account.Account {
	w.Helper()
	a, err := w.Accounts().Account(w.Context(), l.Route.Owner, l.Route.ID)
	w.must(err)
	return a
}

func (w *world) claim(worker string, change ...func(*schedule.Claim)) []fetch.Lease {
	w.Helper()
	c := schedule.Claim{
		Worker: worker, Now: w.clock.now(), Lease: time.Minute, Limit: 1000, Unsure: 1000, Slow: 1000,
		PerHost: 1000, PerUser: 1000,
	}
	for _, f := range change {
		f(&c)
	}
	ls, err := w.Queue().Claim(w.Context(), c)
	w.must(err)
	out := make([]fetch.Lease, len(ls))
	for i, l := range ls {
		out[i] = l.Lease
	}
	return out
}

// lease visits an account of a fresh world: its lease and one folder.
func (w *world) lease(a account.Account) (fetch.Lease, fetch.Folder) {
	w.Helper()
	l, err := leaseOf(w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, schedule.Claim{
		Worker: "p1/1", Now: w.clock.now(),
		Lease: time.Minute,
	}))
	w.must(err)
	fs, err := w.Journal().AddFolders(w.Context(), l, []fetch.Folder{{
		Wire: "INBOX", Remote: "INBOX", Local: a.Folder, Selected: true, UIDValidity: 7,
	}})
	w.must(err)
	return l, fs[0]
}

func members(f fetch.Folder, from, n int) []fetch.Member {
	ms := make([]fetch.Member, n)
	for i := range ms {
		uid := uint32(from + i)
		ms[i] = fetch.Member{
			FolderID: f.ID, FolderEpoch: f.Epoch, ID: mail.ID{UID: uid},
			Fingerprint: mail.Fingerprint{
				Size: 1000 + int64(uid), Digest: [32]byte{1, byte(uid)}, Body: [16]byte{2, byte(uid)},
				Header: [16]byte{3},
			},
			Placement: mail.Placement{
				Spool: fmt.Sprintf("spool-%d", uid), Token: mail.Token(fmt.Sprintf("Fabcdefghijklmnopqrstu%06d", uid)),
				Folder: f.Local, Flags: mail.Seen,
				Received: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), FileSize: 990 + int64(uid), VirtualSize: 1000 + int64(uid),
			},
		}
	}
	return ms
}

// deliver brings messages through all the steps of a batch.
func (w *world) deliver(l fetch.Lease, seq int, ms []fetch.Member) {
	w.Helper()
	k := fetch.BatchKey{Epoch: l.Epoch, Seq: seq}
	w.must(w.commit(l, fetch.Entry{Intend: &k}))
	w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: ms}}))
	w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{k}}))
}

func (w *world) commit(l fetch.Lease, e fetch.Entry) error {
	return w.Journal().Commit(context.WithoutCancel(w.Context()), l, e)
}

// table returns every row of a query as text, for comparing.
func (w *world) table(query string) []string {
	w.Helper()
	rows, err := w.w.Raw(query).Rows()
	w.must(err)
	defer rows.Close()
	names, err := rows.Columns()
	w.must(err)
	var out []string
	for rows.Next() {
		values := make([]any, len(names))
		dest := make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		w.must(rows.Scan(dest...))
		line := ""
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			line += fmt.Sprintf("%v|", v)
		}
		out = append(out, line)
	}
	w.must(rows.Err())
	return out
}

// leaseOf is what an engine needs of a claim.
func leaseOf(l schedule.Lease, err error) (fetch.Lease, error) { return l.Lease, err }
