package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// tablesOf lists every table and column.
func (w *world) tablesOf() []string {
	if w.postgres {
		return w.table("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND " +
			"table_name NOT LIKE 'goose%' ORDER BY table_name COLLATE \"C\", ordinal_position")
	}
	return w.table("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND " +
		"m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid")
}

func TestMigrationsGoUpDownAndUpToTheSameTablesOnBothDatabases(t *testing.T) {
	var seen [][]string
	onBoth(t, func(w *world) {
		up := w.tablesOf()
		if len(up) < 50 {
			w.Fatalf("only %d columns", len(up))
		}
		seen = append(seen, up)
		steps, err := w.MigrationStatus(w.Context())
		w.must(err)
		for _, m := range steps {
			if !m.Applied || m.AppliedAt.IsZero() {
				w.Errorf("%s is not applied", m.Name)
			}
		}
		for range len(steps) + 1 { // Once too often.
			w.must(w.MigrateDown(w.Context()))
		}
		// It stays, so that an audit that was dropped is not taken for one that has all.
		if left := w.tablesOf(); !cmp.Equal(left, []string{"audit_horizon|one|", "audit_horizon|before_ms|"}) {
			w.Errorf("what is left below the first migration: %v", left)
		}
		if steps, err = w.MigrationStatus(w.Context()); err != nil || steps[0].Applied || !steps[0].AppliedAt.IsZero() {
			w.Errorf("after all the way down: %v, %v", steps, err)
		}
		w.want(w.CheckSchema(w.Context()), ErrSchemaOld)
		w.must(w.Migrate(w.Context()))
		w.must(w.CheckSchema(w.Context()))
		if again := w.tablesOf(); !cmp.Equal(up, again) {
			w.Error(cmp.Diff(up, again))
		}
	})
	if len(seen) == 2 && !cmp.Equal(seen[0], seen[1]) {
		t.Errorf("the dialects differ: %s", cmp.Diff(seen[0], seen[1]))
	}
}

func TestFiveProcessesOpenAndMigrateAtOnce(t *testing.T) {
	for kind, dsn := range dsns(t) {
		t.Run(kind, func(t *testing.T) {
			dsn := dsn()
			var g errgroup.Group
			ids := make([]string, 5)
			for i := range ids {
				g.Go(func() error {
					s, err := Open(t.Context(), dsn, Options{})
					if err != nil {
						return err
					}
					defer s.Close()
					if err := s.Migrate(t.Context()); err != nil {
						return err
					}
					ids[i], err = s.InstanceID(t.Context())
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if id == "" || id != ids[0] {
					t.Errorf("the installation has several identities: %v", ids)
				}
			}
		})
	}
}

func TestAProcessMayStartWhileOthersWrite(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, _ := w.lease(a)
		var g errgroup.Group
		g.Go(func() error {
			for i := range 50 {
				if err := w.commit(l, fetch.Entry{Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: i}}); err != nil {
					return err
				}
			}
			return nil
		})
		for range 5 {
			g.Go(func() error {
				s, err := Open(w.Context(), w.dsn, Options{})
				if err != nil {
					return err
				}
				defer s.Close()
				if err := s.Migrate(w.Context()); err != nil {
					return err
				}
				return s.Accounts().Hurry(w.Context(), a.Owner, a.ID)
			})
		}
		w.must(g.Wait())
		bs, err := w.Journal().Open(w.Context(), l)
		w.must(err)
		if len(bs) != 50 {
			w.Errorf("%d batches of 50", len(bs))
		}
	})
}

// Steps are taken back down to one, and up again; of a schema from before spools
// were noted no account is taken for one whose mailbox was restored.
func TestMigrationsAreTakenBackToOne(t *testing.T) {
	onBoth(t, func(w *world) {
		w.must(w.MigrateDownTo(w.Context(), 3))
		applied, known, err := w.SchemaVersion(w.Context(), 4)
		w.must(err)
		if applied != 3 || !known {
			w.Errorf("the schema is at %d, and 4 is known: %v", applied, known)
		}
		if _, known, err := w.SchemaVersion(w.Context(), 99999); known || err != nil {
			w.Errorf("a migration that is none is known: %v, %v", known, err)
		}
		w.must(w.w.Exec("INSERT INTO journals (uuid, owner, protocol, host, port, username, generation) VALUES " +
			"('6f1d1c1e-8a0e-4d0a-9f0b-2f4f0a9f7b11', 'a@b.test', 1, 'h', 1, 'u', 7)").Error)
		w.must(w.Migrate(w.Context()))
		generation := int64(-1)
		w.must(w.w.Raw("SELECT generation FROM journals").Scan(&generation).Error)
		if generation != 0 {
			w.Errorf("the journal is at generation %d, of which no spool knows", generation)
		}
	})
}

func TestAnotherSchemaIsRefusedWithAClearWord(t *testing.T) {
	onBoth(t, func(w *world) {
		w.must(w.MigrateDown(w.Context()))
		err := w.CheckSchema(w.Context())
		w.want(err, ErrSchemaOld)
		if !strings.Contains(err.Error(), "mailbrook migrate up") {
			w.Errorf("no advice: %v", err)
		}
		w.must(w.Migrate(w.Context()))
		w.must(w.w.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, ?)", true).Error)
		w.want(w.CheckSchema(w.Context()), ErrSchemaNew)
		w.want(w.Migrate(w.Context()), ErrSchemaNew)
	})
}

func TestADatabaseThatForgetsIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, dsn := range map[string]string{
		"synchronous":        "sqlite:" + filepath.Join(dir, "a.db") + "?_pragma=synchronous(NORMAL)",
		"journal_mode":       "sqlite:" + filepath.Join(dir, "b.db") + "?_pragma=journal_mode(DELETE)",
		"synchronous_commit": mailtest.StartPostgres(t) + "&synchronous_commit=off",
		"path":               "sqlite::memory:",
		"sqlite:PATH":        "mysql://localhost/x",
		"no such file":       "sqlite:" + filepath.Join(dir, "none", "c.db"),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), dsn, Options{})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		})
	}
}

func TestTheSQLiteFileIsNobodyElsesAndItsPathMayHoldAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20#c ż.db")
	s, err := Open(t.Context(), "sqlite:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
}
