package mailtest

import (
	"context"
	"database/sql"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestPostgresIsDurableAndEachTestHasItsOwnDatabase(t *testing.T) {
	a, b := openPostgres(t, StartPostgres(t)), openPostgres(t, StartPostgres(t))
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := a.QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil ||
			value != "on" {
			t.Errorf("%s is %q, %v", name, value, err)
		}
	}
	if _, err := a.ExecContext(t.Context(), "CREATE TABLE mine (n INT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ExecContext(t.Context(), "SELECT * FROM mine"); err == nil {
		t.Error("two tests share a database")
	}
}

// The test binary runs itself and is killed: nothing can be cleaned up by it.
func TestPostgresEndsWithAKilledTestBinary(t *testing.T) {
	const told = "MAILTEST_POSTGRES_CHILD"
	if os.Getenv(told) != "" {
		dsn := StartPostgres(t)
		db := openPostgres(t, dsn)
		var dir string
		if err := db.QueryRowContext(t.Context(), "SHOW data_directory").Scan(&dir); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("\ncluster " + filepath.Dir(dir) + "\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // Until the parent kills us, or dies.
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), told+"=1")
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	dir := ""
	for buf := make([]byte, 4096); dir == ""; {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if _, rest, ok := strings.Cut(said.String(), "\ncluster "); ok {
			if line, _, whole := strings.Cut(rest, "\n"); whole {
				dir = line
			}
		}
		if err != nil && dir == "" {
			t.Fatalf("the child said %q, then: %v", said.String(), err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // It was killed: of course it failed.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is still there", dir)
		}
	}
}
