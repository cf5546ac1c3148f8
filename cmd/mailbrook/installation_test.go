package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// A database that is too large to be looked through before anything is answered is
// so before anything is delivered; what is wrong holds from then on. The control is
// the same database before, and a limit that it does not reach.
func TestALargeDatabaseIsLookedThroughBeforeAnythingIsDelivered(t *testing.T) {
	t.Parallel()
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "mailbrook.db")
	open := func() *installation {
		s, err := store.Open(ctx, "sqlite:"+path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		n := &installation{store: s, log: slog.New(slog.DiscardHandler)}
		n.held, n.losing = context.WithCancelCause(ctx)
		return n
	}
	n := open()
	if err := errors.Join(n.store.Migrate(ctx), n.store.Probe(ctx), n.store.Close()); err != nil {
		t.Fatal(err)
	}
	n = open()
	n.lookThroughLarge(ctx, 0)
	if err := n.holds(); err != nil {
		t.Errorf("nothing is wrong, and nothing is delivered: %v", err)
	}
	size := n.store.Size()
	if err := errors.Join(os.Truncate(path, 8192), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	n.lookThroughLarge(ctx, size)
	if err := n.holds(); err != nil {
		t.Errorf("it is not large, and was looked through: %v", err)
	}
	n.lookThroughLarge(ctx, size-1)
	if err := n.holds(); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("its pages are lost, and it holds: %v", err)
	}
}

// Newcomer N17: a key that is damaged is no database that does not answer; the control
// is what callers go by.
func TestWhatIsNotTheDatabasesIsNotBlamedOnIt(t *testing.T) {
	n := &installation{wrong: &mismatch{partKeys, vault.ErrDamaged}}
	err := n.holds()
	if !errors.Is(err, account.ErrUnavailable) || !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("it is reported as %v", err)
	}
	if said := err.Error(); strings.Contains(said, "database does not answer") || !strings.Contains(said, "keys") {
		t.Errorf("the log says %q", said)
	}
}
