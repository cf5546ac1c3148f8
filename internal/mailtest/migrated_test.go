package mailtest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMigratedDatabasesAreCopiesOfOne(t *testing.T) {
	var steps atomic.Int64
	m := Migrated{Migrate: func(ctx context.Context, dsn string) error {
		steps.Add(1)
		if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
			return os.WriteFile(path, []byte("a schema"), 0o600)
		}
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, "CREATE TABLE given (n INT)")
		return errors.Join(err, db.Close())
	}}
	a, b := openPostgres(t, m.Postgres(t)), openPostgres(t, m.Postgres(t))
	for _, db := range []*sql.DB{a, b} {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO given VALUES (1)"); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.ExecContext(t.Context(), "CREATE TABLE mine (n INT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ExecContext(t.Context(), "SELECT * FROM mine"); err == nil {
		t.Error("two tests share a database")
	}
	for _, name := range []string{"a.db", "b.db"} {
		path := filepath.Join(t.TempDir(), name)
		m.SQLite(t, path)
		if text, err := os.ReadFile(path); err != nil || string(text) != "a schema" {
			t.Errorf("the file holds %q, %v", text, err)
		}
	}
	if n := steps.Load(); n != 2 {
		t.Errorf("the steps were taken %d times for two kinds of databases", n)
	}
}

// A template that is still written to would be copied in the middle.
func TestATemplateThatIsStillOpenIsRefused(t *testing.T) {
	m := Migrated{Migrate: func(_ context.Context, dsn string) error {
		path := strings.TrimPrefix(dsn, "sqlite:")
		return errors.Join(os.WriteFile(path, nil, 0o600), os.WriteFile(path+"-wal", nil, 0o600))
	}}
	if _, err := m.migratedFile(); err == nil || !strings.Contains(err.Error(), "still open") {
		t.Errorf("the template is taken: %v", err)
	}
}
