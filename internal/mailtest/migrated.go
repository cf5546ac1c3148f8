package mailtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Migrated makes databases on which every step of the schema was taken already:
// taking them costs several times what a copy does. The steps are taken once in
// a test binary on each kind of database; each test gets a copy of its own.
type Migrated struct {
	// Migrate takes the steps on an empty database, and leaves nothing that two
	// databases must not share. Nothing of it is open when it returns.
	Migrate func(ctx context.Context, dsn string) error

	postgres, sqlite sync.Once
	template         string // A database of the cluster.
	file             []byte // A database of SQLite.
	postgresErr      error
	sqliteErr        error
}

// Postgres is StartPostgres with the schema.
func (m *Migrated) Postgres(tb testing.TB) (dsn string) {
	tb.Helper()
	cluster, err := startCluster()
	if err != nil {
		tb.Fatalf("starting a private PostgreSQL: %v", err)
	}
	m.postgres.Do(func() {
		m.template = fmt.Sprintf("migrated_%d", clusterDatabase.Add(1))
		if m.postgresErr = cluster.exec("CREATE DATABASE " + m.template + " TEMPLATE template0"); m.postgresErr == nil {
			m.postgresErr = m.migrate(cluster.dsn(m.template))
		}
	})
	if m.postgresErr != nil {
		tb.Fatalf("making the template of the databases: %v", m.postgresErr)
	}
	return cluster.copyOf(tb, m.template)
}

// SQLite returns the address of a file, in a directory that exists, with the schema.
func (m *Migrated) SQLite(tb testing.TB, path string) (dsn string) {
	tb.Helper()
	m.sqlite.Do(func() { m.file, m.sqliteErr = m.migratedFile() })
	if m.sqliteErr != nil {
		tb.Fatalf("making the template of the databases: %v", m.sqliteErr)
	}
	if err := os.WriteFile(path, m.file, 0o600); err != nil {
		tb.Fatalf("copying the template of the databases: %v", err)
	}
	return "sqlite:" + path
}

func (m *Migrated) migrate(dsn string) error {
	// The template is for all tests, whichever comes first.
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	return m.Migrate(ctx, dsn)
}

func (m *Migrated) migratedFile() (file []byte, err error) {
	dir, err := os.MkdirTemp(Memory(), "mailtest-migrated-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	if err := m.migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") {
			return nil, fmt.Errorf("the template is still open: there is %s", e.Name())
		}
	}
	return os.ReadFile(path)
}
