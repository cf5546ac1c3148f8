package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// The frozen copy is what the program left when its schema was at frozenSchema: the
// file of SQLite as it was, compressed, PostgreSQL as pg_dump --inserts writes it, the
// keys that sealed what is in both, and what the program of that time read from
// either, as JSON. They were made by freeze_test.go of that time, as its -freeze says,
// and are never made again: a later schema gets a copy of its own beside them.
const (
	frozenCopy   = "testdata/schema31"
	frozenSchema = 31
)

// thawed are frozen copies, brought up by the migrations that came since.
var thawed = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	err := thaw(ctx, dsn)
	if err != nil {
		return err
	}
	s, err := Open(ctx, dsn, Options{Now: time.Now})
	if err != nil {
		return err
	}
	if v, _, err := s.SchemaVersion(ctx, 0); err != nil || v != frozenSchema {
		return errors.Join(fmt.Errorf("the frozen copy is at %d", v), err, s.Close())
	}
	return errors.Join(s.Migrate(ctx), s.Close())
}}

// thaw puts the frozen copy into an empty database.
func thaw(ctx context.Context, dsn string) error {
	if path, is := strings.CutPrefix(dsn, "sqlite:"); is {
		packed, err := os.ReadFile(filepath.Join(frozenCopy, "sqlite.db.gz"))
		if err != nil {
			return err
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return err
		}
		file, err := io.ReadAll(z)
		if err != nil {
			return err
		}
		return os.WriteFile(path, file, 0o600)
	}
	text, err := os.ReadFile(filepath.Join(frozenCopy, "postgres.sql"))
	if err != nil {
		return err
	}
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, string(text))
	return errors.Join(err, pool.Close())
}

// frozenWorld is a frozen copy that was brought up, at the moment when it was frozen,
// and what was read from it then.
func frozenWorld(t *testing.T, kind string) (w *world, read reading) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(frozenCopy, "read.json"))
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	w = &world{T: t, clock: &clock{at: read.At}}
	if kind == "postgres" {
		w.dsn = thawed.Postgres(t)
	} else {
		w.dsn = thawed.SQLite(t, filepath.Join(t.TempDir(), "mailbrook.db"))
	}
	w.Store = w.another()
	return w, read
}

// frozenVault opens the keys of the frozen copy.
func frozenVault(t *testing.T) *vault.Vault {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "keys"), os.DirFS(filepath.Join(frozenCopy, "keys"))); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	for _, name := range names {
		err = errors.Join(err, os.Chmod(name, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reading is what is read from a database through the store's own methods.
type reading struct {
	At       time.Time
	Users    map[string]map[string][]map[string]any // Their exports: section, rows, columns.
	Accounts []string
	Secrets  map[string]string // What opens, by what it was bound to.
	People   []string          // What the pages know by names that are not kept.
	House    []string          // What is of no user.
	Claims   []string          // Who is visited next, in this order.
	Journals map[string][]string
}

// reading reads a database, and claims what is due in it at last.
func (w *world) reading(v *vault.Vault) reading {
	w.Helper()
	r := reading{
		At: w.clock.now(), Users: map[string]map[string][]map[string]any{}, Secrets: map[string]string{},
		Journals: map[string][]string{},
	}
	for _, user := range frozenUsers {
		o := anOwner(w, user)
		r.Users[user] = w.exports(o)
		as, err := w.Accounts().Accounts(w.Context(), o)
		w.must(err)
		for _, a := range as {
			r.Accounts = append(r.Accounts, accountLine(a))
			if sealed, err := w.Accounts().SealedSecret(w.Context(), a.Secret()); err == nil {
				r.Secrets[string(a.ID)] = opened(v, a.Secret(), sealed)
			}
		}
	}
	w.readPeople(v, &r)
	w.readHouse(v, &r)
	for range 2 {
		var claims []string
		for _, l := range w.claim("p7/1") {
			claims = append(claims, fmt.Sprint(l.Route.ID, " visit ", l.Epoch, " requested ", l.Requested, " aborted ",
				l.Aborted.Visits, l.Aborted.Last))
			r.Journals[string(l.Route.ID)] = w.readJournal(l)
		}
		if len(r.Claims) > 0 {
			slices.Sort(claims) // Of those that were claimed at once, none is due before another.
		}
		r.Claims = append(r.Claims, claims...)
		w.clock.pass(2 * time.Hour) // All leases are over, and all are due that ever will be.
	}
	return r
}

func opened(v *vault.Vault, ref remote.SecretRef, sealed []byte) string {
	s, err := v.Unseal(ref, sealed)
	if err != nil {
		return err.Error()
	}
	return s.Reveal()
}

func accountLine(a account.Account) string {
	line := fmt.Sprint(a.ID, " ", a.Owner, " ", a.Email, " ", a.Name, " ", a.SenderName, " ", a.Provider, " ", a.Protocol,
		" ", a.Server, " ", a.Username, " ", a.Auth, " ", a.Folder, " ", a.Folders, " ", int(a.Start), " ",
		a.MaxMessageBytes, " ", a.PollInterval, " ", a.Enabled, " ", a.Pause, " ", a.CreatedAt, " ", a.UpdatedAt, " ",
		a.Journal, " ", a.Capabilities, " ", a.SettingsEpoch, " ", a.LoginProof, "; ", a.Status.State, " ",
		a.Status.LastAttemptAt, " ", a.Status.LastSuccessAt, " ", a.Status.NextPollAt, " ", a.Status.Failures, " ",
		a.Status.Progress, " ", a.Status.Totals, " ", a.Status.Proven, " ", a.Status.Slow)
	if d := a.Status.Diagnosis; d != nil {
		line += fmt.Sprint("; ", d.Code, " ", d.Detail, " ", d.Since)
	}
	if d := a.Status.Delay; d != nil {
		line += fmt.Sprint("; delay ", d.Kind, " ", d.Since, " ", d.Until)
	}
	return line
}

// readPeople reads what is kept under names of which only a digest is kept.
func (w *world) readPeople(v *vault.Vault, r *reading) {
	w.Helper()
	ctx, o := w.Context(), anOwner(w, frozenUsers[0])
	alive, err := w.Sessions().Alive(ctx, frozenSession)
	w.must(err)
	knows, err := w.Browsers().Knows(ctx, frozenBrowser, o)
	w.must(err)
	r.People = append(r.People, fmt.Sprint("session ", alive, " browser ", knows))
	if l, err := w.Links().Look(ctx, frozenLink); err == nil {
		r.People = append(r.People, fmt.Sprint("link ", l.Owner, l.Admin, l.ReturnTo, l.Expires.UTC()))
	}
	if po, sealed, err := w.Pending().PendingOf(ctx, frozenPending); err == nil {
		r.Secrets[frozenPending] = opened(v, frozenRef(po, frozenPending), sealed)
	}
	earlier, err := w.Repeatable().Begin(ctx, o, frozenRequest, "again", []byte("again"), r.At.Add(time.Hour))
	w.must(err)
	if earlier != nil {
		r.Secrets[frozenRequest] = opened(v, frozenRef(o, frozenRequest), earlier.Sealed)
		r.People = append(r.People, fmt.Sprint("request ", earlier.Done, earlier.Live))
	}
}

// readHouse reads what is of the installation.
func (w *world) readHouse(v *vault.Vault, r *reading) {
	w.Helper()
	ctx := w.Context()
	say := func(words ...any) { r.House = append(r.House, fmt.Sprint(words...)) }
	for _, n := range []Note{NoteInstance, NoteMailboxes, noteAccounts} {
		value, err := w.Noted(ctx, n)
		w.must(err)
		say(n, " ", value)
	}
	proof, err := w.Noted(ctx, NoteKeys)
	w.must(err)
	say("the keys are ours: ", v.CheckProof(frozenInstance, proof) == nil)
	limits, _, err := w.Admin().DefaultLimits(ctx, "", 100)
	w.must(err)
	for _, d := range limits {
		say("default ", d.Domain, " ", limitColumn(d.Limit.Bytes), " ", limitColumn(d.Limit.Messages))
	}
	say("to spread: ", w.table("SELECT domain FROM default_limits_changed ORDER BY domain"))
	q, err := w.Quota(ctx, anOwner(w, frozenUsers[0]))
	w.must(err)
	say("quota ", q.UsedBytes, " ", q.UsedMessages, " ", limitColumn(q.LimitBytes), " ", limitColumn(q.LimitMessages), " ",
		q.SetBy, " ", q.Accounts)
	stats, err := w.Admin().Stats(ctx)
	w.must(err)
	say("accounts ", stats.Accounts, " failing ", stats.Failing, " last hour ", stats.LastHour, " due ", stats.Due)
	hosts, err := w.Admin().Hosts(ctx, 10)
	w.must(err)
	for _, h := range hosts {
		say("host ", h.Host, " ", h.Accounts, " ", h.Affected, " ", h.Down)
	}
	removals, err := w.Removals(ctx)
	w.must(err)
	for _, x := range removals {
		say("removal ", x.Owner, " ", x.Accounts, " ", x.Folders, " ", x.DeleteMail)
	}
	acts, err := w.Audit().Acts(ctx, audit.Filter{})
	w.must(err)
	for _, e := range acts.Entries {
		say("act ", e.At.UTC(), " ", e.Actor.Role, " ", e.Actor.Name, " ", e.Action, " ", e.User, " ", e.Account)
	}
	say("acts are there from ", acts.Since.UTC(), " ", w.table("SELECT before_ms FROM audit_horizon"))
}

// readJournal reads all that a visit reads of a journal.
func (w *world) readJournal(l fetch.Lease) (lines []string) {
	w.Helper()
	ctx, j := w.Context(), w.Journal()
	say := func(words ...any) { lines = append(lines, fmt.Sprint(words...)) }
	generation, err := j.Generation(ctx, l)
	w.must(err)
	say("generation ", generation)
	fs, err := j.Folders(ctx, l)
	w.must(err)
	for _, f := range fs {
		say("folder ", f.ID, " ", f.Wire, " ", f.Remote, " ", f.Local, " ", f.Selected, " ", f.Epoch, " ", f.UIDValidity, " ",
			f.Cursor.UIDNext, " ", f.Cursor.Messages, " ", f.Cursor.FullScan.UTC(), " ", f.Since.UTC(), " ", f.FirstUID, " ",
			f.Remaining, " ", f.Fetched, " ", f.Bytes)
		w.must(j.Settled(ctx, l, f, 0, func(id mail.ID, size int64) error {
			say("settled ", id.UID, " ", id.UIDL, " ", id.Ordinal, " ", size)
			return nil
		}))
		w.must(j.BeforeStart(ctx, l, f, func(id mail.ID) error {
			say("passed ", fmt.Sprintf("%q", id.UIDL), " ", id.Ordinal)
			return nil
		}))
	}
	bs, err := j.Open(ctx, l)
	w.must(err)
	for _, b := range bs {
		say("batch ", b.Key.Epoch, " ", b.Key.Seq)
		for _, m := range b.Members {
			say("member ", m.FolderID, " ", m.ID.UID, " ", m.ID.UIDL, " ", m.Placement.Spool, " ", m.Placement.Token, " ",
				m.Placement.Folder, " ", m.Placement.Flags, " ", m.Placement.Received.UTC(), " ", m.Placement.FileSize)
		}
	}
	ss, err := j.Skipped(ctx, l)
	w.must(err)
	for _, s := range ss {
		say("skipped ", s.ID.UIDL, " ", s.Code, " ", s.Attempts, " ", s.NextAt.UTC(), " ", s.About.Sender, " ",
			s.About.Subject)
	}
	w.must(j.Remembered(ctx, l, func(k fetch.Known) error {
		say("known ", k.FolderID, " ", k.ID.UID, " ", k.Fingerprint.Size, " ", k.Fingerprint.Digest[:2])
		return nil
	}))
	given, err := j.Delivered(ctx, l, []string{"gm-3", "gm-4"})
	w.must(err)
	say("by global name: ", given)
	return lines
}

// asJSON is a reading as one of another version would find it in read.json.
func (r reading) asJSON(w *world) (out reading) {
	w.Helper()
	text, err := json.Marshal(r)
	w.must(err)
	w.must(json.Unmarshal(text, &out))
	return out
}

// differs says what of a reading is not as it was. Sections and columns that an
// export has gained since are none of it.
func (r reading) differs(was reading) string {
	for user, sections := range r.Users {
		for name, rows := range sections {
			old, is := was.Users[user][name]
			if !is {
				delete(sections, name)
				continue
			}
			known := map[string]bool{}
			for _, row := range old {
				for column := range row {
					known[column] = true
				}
			}
			for _, row := range rows {
				maps.DeleteFunc(row, func(column string, _ any) bool { return len(old) > 0 && !known[column] })
			}
		}
	}
	return cmp.Diff(was, r)
}

func TestAFrozenDatabaseIsReadAsItWas(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w, was := frozenWorld(t, kind)
			w.must(w.CheckSchema(t.Context()))
			if diff := w.reading(frozenVault(t)).asJSON(w).differs(was); diff != "" {
				t.Errorf("after the migrations: %s", diff)
			}
			// Visits continue from there: what was staged is delivered, a lease is fenced by the next.
			pop, err := w.Accounts().Account(t.Context(), anOwner(w, frozenUsers[0]), account.ID(frozenID(12)))
			w.must(err)
			l, err := leaseOf(w.Queue().ClaimOne(t.Context(), pop.Owner, pop.ID, schedule.Claim{
				Worker: "p7/2", Now: w.clock.now(), Lease: time.Minute, Insist: true,
			}))
			w.must(err)
			if l.Route.Kind != route.Keep || l.Route.ID != pop.ID || l.Route.From != pop.Mailbox() {
				t.Errorf("leased: %+v", l.Route)
			}
			bs, err := w.Journal().Open(t.Context(), l)
			w.must(err)
			if len(bs) != 1 || len(bs[0].Members) != 2 {
				t.Fatalf("staged before, and open now: %v", bs)
			}
			w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{bs[0].Key}}))
			w.must(w.Queue().Finish(t.Context(), l, schedule.Settlement{State: account.OK, Success: true}))
			w.want(w.commit(l, fetch.Entry{Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: 1}}), fetch.ErrFenced)
			if got := w.load(pop).Status; got.Totals.Messages != 2 || got.State != account.OK {
				t.Errorf("after the visit the account is %+v", got)
			}
		})
	}
}

// The control: a step that loses or changes a row anywhere is noticed. Triggers keep
// the acts, and their horizon, from any.
func TestAFrozenDatabaseThatLostSomethingIsNotReadAsItWas(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			by := int(mailtest.Stride(t, 1, 7))
			v := frozenVault(t)
			w, _ := frozenWorld(t, kind)
			broken := []string{
				"UPDATE poll_schedule SET due_at_ms = due_at_ms + 1 WHERE due_at_ms BETWEEN 1 AND 9000000000000",
				"UPDATE poll_schedule SET lease_epoch = 0",
				"UPDATE secrets SET sealed = (SELECT s.sealed FROM secrets s ORDER BY s.sealed LIMIT 1)",
				"UPDATE messages SET size = size + 1 WHERE uid = 3",
				"UPDATE owners SET limit_bytes = 5 WHERE owner = 'anna@firma.test'",
				"UPDATE batches SET state = 1",
			}
			first := ""
			for _, line := range w.tablesOf() {
				table, column, _ := strings.Cut(strings.TrimSuffix(line, "|"), "|")
				// endings is younger than the frozen database, and has no rows.
				if table == first || slices.Contains([]string{"audit", "audit_horizon", "endings"}, table) {
					continue
				}
				if first = table; len(w.table("SELECT 1 FROM "+table)) == 0 {
					continue // It came later.
				}
				broken = append(broken, fmt.Sprintf("DELETE FROM %s WHERE %s = (SELECT %s FROM %s ORDER BY %s LIMIT 1)", table,
					column, column, table, column))
			}
			for i := 0; i < len(broken); i += by {
				step := broken[i]
				w, was := frozenWorld(t, kind)
				w.must(w.w.Exec(step).Error)
				if w.reading(v).asJSON(w).differs(was) == "" {
					t.Errorf("nobody notices %q", step)
				}
			}
		})
	}
}
