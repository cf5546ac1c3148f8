package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Nobody gets the answer that there is nothing from a database that is another one by
// now: not of accounts, of one account, of quotas. The control is the same
// database before.
func TestNothingIsSaidOfWhatAnEmptiedDatabaseLacks(t *testing.T) {
	onBoth(t, func(w *world) {
		id, err := w.InstanceID(w.Context())
		w.must(err)
		w.Expect(id)
		o := anOwner(t, "nobody@firma.test")
		asks := map[string]func() error{
			"accounts": func() error { _, err := w.Accounts().Accounts(w.Context(), o); return err },
			"an account": func() error {
				_, err := w.Accounts().Account(w.Context(), o, account.ID("6f1d1c1e-8a0e-4d0a-9f0b-2f4f0a9f7b11"))
				return err
			},
			"a quota":      func() error { _, err := w.Quota(w.Context(), o); return err },
			"all quotas":   func() error { _, _, err := w.Admin().Quotas(w.Context(), insight.QuotaFilter{}); return err },
			"all accounts": func() error { _, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{}); return err },
		}
		for name, ask := range asks {
			if err := ask(); errors.Is(err, account.ErrUnavailable) {
				t.Errorf("%s, while all is well: %v", name, err)
			}
		}
		w.must(w.Verify(w.Context()))
		for _, statement := range []string{
			"UPDATE meta SET value = 'another' WHERE name = 'instance'", "DELETE FROM meta",
			"DROP TABLE meta",
		} {
			w.must(w.w.Exec(statement).Error)
			if err := w.Verify(w.Context()); !errors.Is(err, ErrReplaced) {
				t.Errorf("after %s it verifies with %v", statement, err)
			}
			for name, ask := range asks {
				if err := ask(); !errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrNotFound) {
					t.Errorf("%s, after %s: %v", name, statement, err)
				}
			}
		}
	})
}

// A database whose accounts are gone is not served as one that has none, whatever
// else is left in it; one whose last account was removed is. The controls are the
// same calls before, and after somebody said that it is right as it is.
func TestAccountsThatNobodyRemovedAreMissed(t *testing.T) {
	onBoth(t, func(w *world) {
		id, err := w.InstanceID(w.Context())
		w.must(err)
		w.Expect(id)
		verified := func(when string, want bool) {
			w.Helper()
			_, err := w.Accounts().Accounts(w.Context(), anOwner(t, "nobody@firma.test"))
			if verify := w.Verify(w.Context()); errors.Is(verify, ErrReplaced) == want || (verify != nil) == want ||
				errors.Is(err, account.ErrUnavailable) == want {
				t.Errorf("%s it verifies with %v, and says of accounts %v", when, verify, err)
			}
		}
		verified("new,", true)
		a := w.add("anna@firma.test", 1)
		verified("with an account", true)
		w.must(w.Accounts().Remove(w.Context(), a.Owner, a.ID, false, nil))
		verified("with none any more", true)
		w.add("bartek@firma.test", 1)
		w.must(w.w.Exec("DELETE FROM accounts").Error)
		verified("emptied", false)
		w.must(w.SetInstance(w.Context(), id))
		verified("said to be right", true)
		b := w.add("celina@firma.test", 1)
		_, err = w.BeginRemoval(w.Context(), b.Owner, false)
		w.must(err)
		verified("with its last user removed", true)
		// Accounts of a version that noted nothing.
		w.add("dorota@firma.test", 1)
		w.must(w.w.Exec("DELETE FROM meta WHERE name = 'accounts'").Error)
		w.must(w.Migrate(w.Context()))
		w.must(w.w.Exec("DELETE FROM accounts").Error)
		verified("emptied after an upgrade", false)
	})
}

// Whoever removes the last accounts at the same time, and adds one meanwhile, leaves
// a note that is there exactly if accounts are.
func TestTheNoteOfAccountsIsRightWhoeverAddsAndRemoves(t *testing.T) {
	onBoth(t, func(w *world) {
		for round := range 12 {
			var g errgroup.Group
			for i := range 3 {
				a := w.add(fmt.Sprintf("user%d.%d@firma.test", round, i), 1)
				g.Go(func() error { return w.Accounts().Remove(w.Context(), a.Owner, a.ID, false, nil) })
			}
			stays := round%2 == 0
			last := draft(w, fmt.Sprintf("last%d@firma.test", round), 1)
			if stays {
				g.Go(func() error {
					_, err := w.Accounts().Add(w.Context(), last, []byte("sealed"), 4)
					return err
				})
			}
			w.must(g.Wait())
			noted, err := w.Noted(w.Context(), noteAccounts)
			w.must(err)
			if (noted != "") != stays {
				t.Fatalf("round %d: noted is %q, and that an account is there is %v", round, noted, stays)
			}
			if stays {
				w.must(w.Accounts().Remove(w.Context(), last.Owner, last.ID, false, nil))
			}
		}
	})
}

// A note is kept, replaced, and none in a database of nobody's.
func TestNotes(t *testing.T) {
	for kind, dsn := range dsns(t) {
		t.Run(kind, func(t *testing.T) {
			s, err := Open(t.Context(), dsn(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if id, err := s.Noted(t.Context(), NoteInstance); id != "" || err != nil {
				t.Errorf("an empty database has the identity %q, %v", id, err)
			}
			if err := errors.Join(s.Migrate(t.Context()), s.SetNote(t.Context(), NoteKeys, "a"), s.SetNote(t.Context(), NoteKeys,
				"b"), s.Probe(t.Context())); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Noted(t.Context(), NoteKeys); got != "b" || err != nil {
				t.Errorf("noted is %q, %v", got, err)
			}
			if wrong, remark, err := s.Integrity(t.Context()); len(wrong) > 0 || err != nil ||
				(remark != "") != (kind == "postgres") {
				t.Errorf("a new database is found wrong: %v, %q, %v", wrong, remark, err)
			}
		})
	}
}

// A checkpoint may make a file look too short while it grows, and VACUUM makes it
// shorter; a file that is shorter than it was and says it is not, or stays short, was cut.
func TestAFileThatIsTooShortWasCut(t *testing.T) {
	var l length
	now := time.Now()
	for _, step := range []struct {
		after      time.Duration
		size, said int64
		want       bool
	}{
		{0, 100, 100, false},
		{time.Second, 100, 300, false}, // A checkpoint has written the first page,
		{4 * time.Second, 150, 300, false},
		{8 * time.Second, 250, 300, false}, // is slow,
		{9 * time.Second, 300, 300, false}, // and done.
		{10 * time.Second, 200, 200, false},
		{11 * time.Second, 199, 200, true}, // The control: cut.
		{12 * time.Second, 199, 200, true},
		{13 * time.Second, 200, 200, false},
		{14 * time.Second, 200, 300, false}, // Cut as soon as it had grown, before anybody looked.
		{18 * time.Second, 200, 300, false},
		{19 * time.Second, 200, 300, true},
	} {
		if got := l.wasCut(step.size, step.said, now.Add(step.after)); got != step.want {
			t.Errorf("after %v, %d bytes of %d: %v", step.after, step.size, step.said, got)
		}
	}
}

// What the state of a database is to blame for can be asked again; what was asked
// wrongly cannot.
func TestAnOutageIsDistinguishedFromADefect(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{driver.ErrBadConn, true},
		{io.ErrUnexpectedEOF, true},
		{pgconn.ErrConnClosed, true}, // Between two statements of a transaction.
		{net.ErrClosed, true},
		{os.ErrDeadlineExceeded, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{&pgconn.PgError{Code: "57P01"}, true},
		{&pgconn.PgError{Code: "53300"}, true},
		{&pgconn.PgError{Code: "08006"}, true},
		{&pgconn.PgError{Code: "25006"}, true},
		{&pgconn.PgError{Code: "3D000"}, true},
		{&pgconn.PgError{Code: "55000"}, true}, // The database takes no connections.
		{&pgconn.PgError{Code: "55P03"}, true},
		{&pgconn.PgError{Code: "42501"}, true},
		{&pgconn.PgError{Code: "XX001"}, true},
		{&pgconn.PgError{Code: "42601"}, false},
		{&pgconn.PgError{Code: "23505"}, false},
		{&pgconn.PgError{Code: "22P02"}, false},
		{coded(sqliteBusy), true},
		{coded(sqliteFull), true},
		{coded(sqliteIOErr | 10<<8), true},
		{coded(sqliteReadOnly | 4<<8), true},
		{coded(sqliteError), false},
		{coded(19), false},
		{errors.New("sql: expected 3 arguments"), false},
	} {
		if got := outage(fmt.Errorf("asking: %w", tc.err)); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
	s := &Store{damage: newDamage()}
	if err := s.wrap(t.Context(), "asking", driver.ErrBadConn); !errors.Is(err, account.ErrUnavailable) ||
		fault.CodeOf(err) != fault.Internal {
		t.Errorf("an outage is reported as %v", err)
	}
	if err := s.wrap(t.Context(), "asking", coded(sqliteError)); errors.Is(err, account.ErrUnavailable) {
		t.Errorf("a defect is reported as an outage: %v", err)
	}
}

// coded is an error of SQLite's.
type coded int

func (c coded) Error() string { return fmt.Sprintf("result code %d", int(c)) }
func (c coded) Code() int     { return int(c) }

// A file that is copied over the database's is distinguished from it by whoever reads, and
// not only at the next look: nobody is shown another installation's accounts. The
// control is what is shown before.
func TestNobodyIsShownAFileThatWasCopiedOver(t *testing.T) {
	open := func() *Store {
		s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "mailbrook.db"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		id, err := s.InstanceID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Expect(id)
		return s
	}
	ours, theirs := open(), open()
	o := anOwner(t, "anna@firma.test")
	asks := map[string]func() error{
		"accounts":     func() error { _, err := ours.Accounts().Accounts(t.Context(), o); return err },
		"a quota":      func() error { _, err := ours.Quota(t.Context(), o); return err },
		"all accounts": func() error { _, _, err := ours.Admin().Accounts(t.Context(), insight.AccountFilter{}); return err },
	}
	limit := int64(1000)
	for _, s := range []*Store{ours, theirs} {
		if err := s.SetLimits(t.Context(), o, owner.Limit{Bytes: &limit}, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.intoFile(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, ask := range asks {
		if err := ask(); err != nil {
			t.Errorf("%s, while all is well: %v", name, err)
		}
	}
	text, err := os.ReadFile(theirs.path)
	if err == nil {
		err = os.WriteFile(ours.path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range asks {
		if err := ask(); !errors.Is(err, account.ErrUnavailable) {
			t.Errorf("%s, after another file was copied over: %v", name, err)
		}
	}
}
