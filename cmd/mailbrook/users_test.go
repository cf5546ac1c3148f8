package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/store"
)

// ended is the number of a process of this host that has ended.
func ended(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// TestF6_TheRemovalOfADeadProcessIsTakenOverAtOnce, as are the visits that it waited
// for, on both databases. The controls are processes that may be alive.
func TestF6_TheRemovalOfADeadProcessIsTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "mailbrook.db"), "PostgreSQL": mailtest.StartPostgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), dsn, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			us := users{&app{store: db, log: slog.New(slog.DiscardHandler)}}
			for worker, want := range map[string]error{
				fmt.Sprintf("%s%d-x", workerHost(), ended(t)):     nil,
				fmt.Sprintf("%s%d-x", workerHost(), os.Getppid()): account.ErrRemoving,
				fmt.Sprintf("%s%d-x", workerHost(), os.Getpid()):  account.ErrRemoving,
				fmt.Sprintf("another-host-%d-x", ended(t)):        account.ErrRemoving,
				"": nil, // Nobody is at it.
			} {
				o, err := owner.Parse(fmt.Sprintf("u%d@firma.test", time.Now().UnixNano()))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.BeginRemoval(t.Context(), o, false); err != nil {
					t.Fatal(err)
				}
				if worker != "" {
					if ok, _, err := db.ClaimRemoval(t.Context(), o, worker, db.Now().Add(time.Hour)); err != nil || !ok {
						t.Fatalf("claiming: %v", err)
					}
				}
				if _, err := us.claim(t.Context(), o, workerID()); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("while %q is at it: %v, want %v", worker, err, want)
				}
			}
		})
	}
}
