package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	flags "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/vault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// freezeInto is where TestADatabaseToFreezeHasARowInEveryTable writes what it made,
// for the upgrade tests of versions to come:
//
//	go test ./internal/store -run TestADatabaseToFreeze -args -freeze testdata/schemaNN
var freezeInto = flags.String("freeze", "", "the directory into which a frozen copy of the database is written")

// A frozen copy is made by the program's own methods, on both databases alike; what
// it draws by chance, and what is in other packages' hands, is written by statements.
func TestADatabaseToFreezeHasARowInEveryTable(t *testing.T) {
	t.Parallel()
	f := newFurnisher(t)
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			f.furnish(w)
			for _, table := range w.tableNames() {
				if len(w.table("SELECT 1 FROM "+table)) == 0 {
					w.Errorf("%s is empty", table)
				}
			}
			switch {
			case *freezeInto == "":
			case kind == "postgres":
				w.freeze("postgres.sql", w.pgDump())
			default:
				w.freeze("sqlite.db.gz", w.file())
				text, err := json.MarshalIndent(w.reading(f.young), "", "\t") // Claims: after all is frozen.
				w.must(err)
				w.freeze("read.json", append(text, '\n'))
				f.freezeKeys(w)
			}
		})
	}
}

// tableNames lists the tables of the schema.
func (w *world) tableNames() (names []string) {
	for _, line := range w.tablesOf() {
		if name, _, _ := strings.Cut(line, "|"); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

// freeze writes a file of the frozen copy.
func (w *world) freeze(name string, content []byte) {
	w.Helper()
	path := filepath.Join(*freezeInto, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, content, 0o644))
}

// file is the database's file, compressed. Nothing is written to it meanwhile.
func (w *world) file() []byte {
	w.Helper()
	path := strings.TrimPrefix(w.dsn, "sqlite:")
	copied := filepath.Join(w.TempDir(), "copy.db")
	w.must(w.w.Exec("VACUUM INTO ?", copied).Error)
	plain, err := os.ReadFile(copied)
	w.must(err)
	head, err := os.ReadFile(path)
	w.must(err)
	copy(plain[18:20], head[18:20]) // Whether it is written by a log: a copy is not.
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w.must(err)
	_, err = z.Write(plain)
	w.must(errors.Join(err, z.Close()))
	return out.Bytes()
}

// notInDump is what pg_dump writes for psql, for people, or for its own version alone.
var notInDump = regexp.MustCompile(`(?m)^(--.*|\\.*|SET transaction_timeout .*)?\n`)

// pgDump is the database as statements.
func (w *world) pgDump() []byte {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "pg_dump", "--no-owner", "--no-privileges", "--rows-per-insert=100", w.dsn)
	text, err := cmd.Output()
	w.must(err)
	return notInDump.ReplaceAll(text, nil)
}

// furnisher makes the rows of a frozen copy.
type furnisher struct {
	dir        string       // Its keys are below.
	old, young *vault.Vault // Before the sealing keys were rotated, and after.
}

func newFurnisher(t *testing.T) *furnisher {
	t.Helper()
	f := &furnisher{dir: t.TempDir()}
	var err error
	for _, v := range []**vault.Vault{&f.old, &f.young} {
		if *v, err = vault.Open(f.dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.young.Rotate(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *furnisher) freezeKeys(w *world) {
	for _, name := range []string{"sealing-000001.key", "sealing-000002.key", "token.key", "signing.key"} {
		key, err := os.ReadFile(filepath.Join(f.dir, "keys", name))
		w.must(err)
		w.freeze(filepath.Join("keys", name), key)
	}
}

// frozenID is the n-th identity in a frozen copy.
func frozenID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

const (
	frozenInstance = "00000000-0000-4000-9000-000000000000"
	frozenPending  = "what is pending"
	frozenRequest  = "a request"
	frozenSession  = "a session"
	frozenBrowser  = "a browser"
	frozenLink     = "a link"
)

// frozenUsers are the users in a frozen copy, and one of whom there is nothing left
// but what is to be removed.
var frozenUsers = []string{"anna@firma.test", "basia@firma.test", "jan@inna.test", "former@firma.test"}

// furnish fills an empty database.
func (f *furnisher) furnish(w *world) {
	w.Helper()
	ctx := w.Context()
	w.must(w.SetInstance(ctx, frozenInstance))
	proof, err := f.old.Prove(frozenInstance)
	w.must(err)
	w.must(w.SetNote(ctx, NoteKeys, proof))
	tenth, thousand := int64(1<<20), int64(1000)
	w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", &owner.Limit{Bytes: &thousand, Messages: &thousand}))
	f.anna(w)
	f.basia(w)
	f.jan(w)
	f.former(w)
	anna, basia := anOwner(w, frozenUsers[0]), anOwner(w, frozenUsers[1])
	w.must(w.SetLimits(ctx, anna, owner.Limit{Bytes: &tenth}, nil))
	w.must(w.SaveUsage(ctx, anna, 900_000, 31, owner.Limit{Messages: &thousand}, nil))
	w.must(w.SaveUsage(ctx, basia, 999, 2, owner.Limit{}, []owner.AccountUsage{
		{ID: frozenID(21), Bytes: 600, Messages: 1},
	}))
	w.must(w.Admin().SetDefaultLimit(ctx, owner.EveryDomain, &owner.Limit{Bytes: &tenth})) // Not spread yet.
	w.must(w.Queue().NoteOutages(ctx, "p9", []schedule.Outage{{
		Circuit: "imap.outage.test:993/tls", Since: w.clock.now().Add(-time.Hour), Probe: w.clock.now().Add(time.Minute),
		Code: fault.ServerUnavailable,
	}}))
	sealed, err := f.old.Seal(MailboxSecret(anna), remote.NewSecret("frozen"))
	w.must(err)
	w.must(w.SetMailboxLogin(ctx, anna, "anna", sealed))
	f.people(w, anna)
	copying, err := w.Copies().Add(ctx, aCopy(anna, 1), map[remote.Field][]byte{transfer.SourceField: []byte("sealed")},
		[32]byte{1}, 1)
	w.must(err)
	if copying.Status.State != transfer.Queued {
		w.Errorf("a new copy is %s", copying.Status.State)
	}
	_, err = w.on(w.w).exec(ctx, "INSERT INTO copied (folder_id, epoch, uid, uidl, ordinal, target_validity, target_uid) "+
		"SELECT min(id), 1, 1, ?, 0, 7, 8 FROM folders", []byte{})
	w.must(err)
	w.must(w.FlushCounts(ctx))
}

// anna has an account of each protocol, one that signs in on a provider's page, and
// one that somebody switched off.
func (f *furnisher) anna(w *world) {
	w.Helper()
	user := frozenUsers[0]
	well := f.add(w, user, 11, f.old, func(a *account.Account) { a.PollInterval = 7 * time.Minute })
	l, fo := w.lease(well)
	w.must(w.commit(l, fetch.Entry{Capabilities: "IMAP4rev1 IDLE", Inbox: 77}))
	ms := members(fo, 1, 3)
	ms[2].Global = "gm-3"
	w.deliver(l, 1, ms)
	fo.Cursor = fetch.Cursor{UIDNext: 4, Messages: 3, FullScan: w.clock.now()}
	fo.Remaining, fo.FirstUID, fo.Since = 3, 4, w.clock.now().Add(-24*time.Hour)
	w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{fo}}))
	f.finish(w, l, schedule.Settlement{
		State: account.OK, DueAt: w.clock.now().Add(7 * time.Minute), Success: true, Keep: true,
		Run: account.Run{OK: true, Messages: 3, Bytes: 3006},
	})

	pop := f.add(w, user, 12, f.young, func(a *account.Account) {
		a.Protocol, a.Start = remote.POP3, 30
		a.Server = remote.Server{Host: "pop.example.org", Port: 995, Security: remote.TLS}
	})
	l, fo = w.lease(pop)
	w.must(w.commit(l, fetch.Entry{BeforeStart: []fetch.BeforeStart{{
		FolderID: fo.ID, FolderEpoch: fo.Epoch,
		Each: func(yield func(mail.ID) error) error { return yield(mail.ID{UIDL: "uidl \xff", Ordinal: 1}) },
	}}}))
	w.skip(l, fo, 2, func(s *fetch.Skipped) {
		s.ID = mail.ID{UIDL: fmt.Sprintf("skipped-%d", s.ID.UID)}
		s.About = mail.Envelope{Sender: "ola@example.org", Subject: "Zażółć", Date: w.clock.now().Add(-time.Hour)}
	})
	staged := members(fo, 40, 2)
	for i := range staged {
		staged[i].ID = mail.ID{UIDL: fmt.Sprintf("staged-%d", i)}
	}
	f.stage(w, l, 5, staged)
	f.finish(w, l, schedule.Settlement{
		State: account.NeedsAttention, Failures: 3, Keep: true,
		Diagnosis: &account.Diagnosis{
			Code: fault.AuthFailed, Detail: words.Detail{words.Say("The server says: %s", "no")},
			Since: w.clock.now().Add(-time.Hour),
		},
	})

	page := f.add(w, user, 13, f.old, func(a *account.Account) {
		a.Auth, a.Provider, a.Server.Host = remote.OAuth2, "google", "imap.outage.test"
	})
	l, _ = w.lease(page)
	f.finish(w, l, schedule.Settlement{
		State: account.Retrying, Failures: 2, DueAt: w.clock.now().Add(-time.Minute), Slow: true,
		Diagnosis: &account.Diagnosis{Code: fault.ServerUnavailable, Since: w.clock.now().Add(-time.Hour)},
	})

	off := f.add(w, user, 14, f.young)
	off.Enabled, off.Pause = false, account.Pause{At: w.clock.now(), Operator: true}
	by := audit.By(w.Context(), audit.Actor{Role: audit.Admin, Name: "boss@firma.test", Client: "192.0.2.1"})
	_, err := w.Accounts().Update(by, off, nil, false)
	w.must(err)
}

// basia has visits under way, and one whose process is no more.
func (f *furnisher) basia(w *world) {
	w.Helper()
	user := frozenUsers[1]
	full := f.add(w, user, 21, f.young)
	l, fo := w.lease(full)
	w.must(w.commit(l, fetch.Entry{Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: 1}}))
	f.stage(w, l, 2, members(fo, 1, 1))
	f.finish(w, l, schedule.Settlement{
		State: account.OverQuota, DueAt: w.clock.now().Add(time.Hour),
		Diagnosis: &account.Diagnosis{Code: fault.LocalOverQuota, Since: w.clock.now()},
	})
	lapsed := f.add(w, user, 22, f.young)
	w.lease(lapsed)
	w.clock.pass(10 * time.Minute)
	wanted := f.add(w, user, 23, f.young)
	l, _ = w.lease(wanted)
	f.finish(w, l, schedule.Settlement{State: account.OK, Success: true, DueAt: w.clock.now().Add(time.Hour)})
	w.must(w.Accounts().Hurry(w.Context(), wanted.Owner, wanted.ID))
	live := f.add(w, user, 24, f.young)
	l, _ = w.lease(live)
	w.must(w.commit(l, fetch.Entry{Progress: route.Progress{
		Folder: "INBOX", MessagesDone: 5, MessagesTotal: 9, BytesDone: 5555,
	}}))
}

// jan has an account that nobody has visited, and the journal of one that is gone.
func (f *furnisher) jan(w *world) {
	w.Helper()
	user := frozenUsers[2]
	f.add(w, user, 31, f.young)
	gone := f.add(w, user, 32, f.young)
	l, fo := w.lease(gone)
	w.deliver(l, 1, members(fo, 1, 2))
	w.must(w.Accounts().Remove(w.Context(), gone.Owner, gone.ID, true, nil))
}

// former is being removed, while a visit is under way.
func (f *furnisher) former(w *world) {
	w.Helper()
	a := f.add(w, frozenUsers[3], 41, f.young)
	w.lease(a)
	_, err := w.Recognise(w.Context(), a.Owner, owner.TextID("uid-former"))
	w.must(err)
	_, err = w.BeginRemoval(w.Context(), a.Owner, true)
	w.must(err)
}

// people is what is kept of somebody at the pages.
func (f *furnisher) people(w *world, o owner.Owner) {
	w.Helper()
	ctx, soon := w.Context(), w.clock.now().Add(time.Hour)
	w.must(w.session(o, frozenSession))
	w.must(w.Browsers().Remember(ctx, frozenBrowser, o, soon))
	w.must(w.Links().Save(ctx, frozenLink, Link{Owner: o, Admin: true, ReturnTo: "/accounts", Expires: soon}))
	_, err := w.Repeatable().Begin(ctx, o, frozenRequest, "attempt", f.sealed(w, f.young, o, frozenRequest), soon)
	w.must(err)
	w.must(w.Pending().SavePending(ctx, frozenPending, o, f.sealed(w, f.old, o, frozenPending), soon))
	_, err = w.Recognise(ctx, o, owner.TextID("uid-anna"))
	w.must(err)
	at := logins.Attempt{Client: "192.0.2.7", Names: []string{logins.PagesName(o)}, Mailbox: logins.PagesName(o)}
	_, _, err = w.Logins().Reserve(ctx, at, loginLimits)
	w.must(err)
	for i, uidl := range []string{"skipped-1", "skipped-2"} {
		w.must(w.w.Exec("UPDATE skipped SET sid = ? WHERE uidl = ?", frozenID(90+i), []byte(uidl)).Error)
	}
}

// frozenRef names what is sealed of something.
func frozenRef(o owner.Owner, words string) remote.SecretRef {
	return remote.SecretRef{Owner: o, Subject: words, Field: remote.SignsIn}
}

// sealed seals the words under which something is kept, bound to them.
func (f *furnisher) sealed(w *world, v *vault.Vault, o owner.Owner, words string) []byte {
	w.Helper()
	sealed, err := v.Seal(frozenRef(o, words), remote.NewSecret("secret of "+words))
	w.must(err)
	return sealed
}

// add saves an account with a secret of its own.
func (f *furnisher) add(w *world, user string, n int, v *vault.Vault,
	change ...func(*account.Account),
) account.Account {
	w.Helper()
	a := draft(w, user, n)
	a.ID, a.Journal = account.ID(frozenID(n)), frozenID(100+n)
	for _, c := range change {
		c(&a)
	}
	a, err := w.Accounts().Add(w.Context(), a, f.sealed(w, v, a.Owner, string(a.ID)), 100)
	w.must(err)
	return a
}

// stage leaves a batch as a crash does after it was committed as staged.
func (f *furnisher) stage(w *world, l fetch.Lease, seq int, ms []fetch.Member) {
	w.Helper()
	k := fetch.BatchKey{Epoch: l.Epoch, Seq: seq}
	w.must(w.commit(l, fetch.Entry{Intend: &k}))
	w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: ms}}))
}

// finish ends a visit, with a run that is named by account and visit.
func (f *furnisher) finish(w *world, l fetch.Lease, st schedule.Settlement) {
	w.Helper()
	st.At = w.clock.now()
	st.Run.StartedAt, st.Run.FinishedAt, st.Run.Diagnosis = st.At.Add(-time.Second), st.At, st.Diagnosis
	w.must(w.Queue().Finish(context.WithoutCancel(w.Context()), l, st))
}
