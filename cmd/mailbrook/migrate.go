package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up to this version's."`
	Down   migrateDownCmd   `cmd:"" help:"Take back the newest migration, or all that are newer than one."`
	Status migrateStatusCmd `cmd:"" help:"Show which migrations are applied. Their numbers are not consecutive."`
}

type (
	migrateUpCmd   struct{}
	migrateDownCmd struct {
		To    *int64 `help:"Take back every migration that is newer than this one; 0: all." placeholder:"N"`
		Yes   bool   `help:"Do not ask."`
		Force bool   `help:"Do not ask, even where that drops accounts, the memory of what was delivered, or who did what."`
	}
	migrateStatusCmd struct{}
)

// withStore opens the database of an installation that stands, whatever its schema. To
// one that is not embedded nothing in data_dir is needed.
func withStore(ctx context.Context, t terminal, load loader, do func(*installation, partIDs) error) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if cfg.embedded() {
		if err := cfg.mustStand(); err != nil {
			return err
		}
	}
	return openedStore(ctx, t, cfg, do)
}

// openedStore opens the database of an installation that may be a new one. A SQLite
// file that was lost or emptied is no new one.
func openedStore(ctx context.Context, t terminal, cfg config, do func(*installation, partIDs) error) (err error) {
	n := &installation{cfg: cfg, log: newLogger(cfg, t.err)}
	if n.place, n.boxes, err = cfg.openPlace(maildir.Options{Log: n.log, Existing: true}); err != nil {
		return err
	}
	b, err := n.read()
	if err != nil {
		return err
	}
	if err := n.openDatabase(ctx, b, b.any(), nil); err != nil {
		return err
	}
	defer n.store.Close()
	return do(n, b)
}

// mayMigrate refuses to change the schema of a database that is not the one of the keys
// and mailboxes that are here. One whose steps were all taken back has no identity any
// more, and somebody meant it.
func (n *installation) mayMigrate(ctx context.Context, b partIDs) error {
	if !b.any() {
		return nil
	}
	bare, err := n.store.TakenBack(ctx)
	if err != nil || bare {
		return err
	}
	return n.compare(ctx, b)
}

func (migrateUpCmd) Run(ctx context.Context, t terminal, load loader) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if err := cfg.makeDataDir(); err != nil {
		return err
	}
	return openedStore(ctx, t, cfg, func(n *installation, b partIDs) error {
		if err := n.mayMigrate(ctx, b); err != nil {
			return err
		}
		s := n.store
		before, _, err := s.SchemaVersion(ctx, 0)
		if err != nil {
			return err
		}
		if err := s.Migrate(ctx); err != nil {
			return err
		}
		if before == 0 && cfg.embedded() { // A new installation, which other commands can read then.
			cfg.May = founds
			if _, err := openVault(ctx, cfg, s); err != nil {
				return err
			}
		}
		return printMigrations(ctx, t, s)
	})
}

// lastKeeping is the oldest schema that has accounts and journals: below it, all
// of them are dropped, and all mail would be fetched again.
const lastKeeping = 3

// firstActs is the step that made the audit: taken back, all that is in it is lost.
const firstActs = 27

func (c migrateDownCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withStore(ctx, t, load, func(n *installation, b partIDs) error {
		if err := n.mayMigrate(ctx, b); err != nil {
			return err
		}
		s, to := n.store, int64(-1)
		if c.To != nil {
			to = *c.To
		}
		applied, known, err := s.SchemaVersion(ctx, to)
		if err != nil {
			return err
		}
		switch {
		case c.To != nil && !known:
			return usageError{fmt.Errorf("--to: there is no migration %d; see \"mailbrook migrate status\"", to)}
		case c.To != nil && to >= applied:
			return usageError{fmt.Errorf("--to: the schema is at %d, so there is nothing newer than %d to take back", applied,
				to)}
		case c.To == nil:
			to = applied - 1
		}
		kept, err := s.AccountsKept(ctx)
		if err != nil {
			return err
		}
		if to < lastKeeping && applied > 0 && kept > 0 && !c.Force {
			return usageError{fmt.Errorf("%d accounts, or what was delivered from them, would be dropped: --force does it",
				kept)}
		}
		lost, err := s.ActsKept(ctx)
		if err != nil {
			return err
		}
		if to < firstActs && lost > 0 && !c.Force {
			return usageError{fmt.Errorf("the audit, who did what, would be lost with %s: --force does it",
				words.Count(lost, "act"))}
		}
		if applied == 0 {
			return printMigrations(ctx, t, s)
		}
		alone, err := s.Alone(ctx)
		if errors.Is(err, store.ErrServed) {
			return usageError{fmt.Errorf("%w, and would continue without what is taken back: end it first", err)}
		}
		if err != nil {
			return err
		}
		defer alone()
		if !c.Yes && !c.Force {
			question := fmt.Sprintf("The schema is at %d. Take back all that is newer than %d, with all that its tables hold?",
				applied, max(to, 0))
			if to < firstActs && applied >= firstActs {
				question += " The audit, who did what, is lost with them."
			}
			if err := t.confirm(ctx, question, "--yes"); err != nil {
				return err
			}
		}
		if c.To == nil {
			err = s.MigrateDown(ctx)
		} else {
			err = s.MigrateDownTo(ctx, to)
		}
		if err != nil {
			return err
		}
		return printMigrations(ctx, t, s)
	})
}

func (migrateStatusCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withStore(ctx, t, load, func(n *installation, _ partIDs) error {
		return printMigrations(ctx, t, n.store)
	})
}

func printMigrations(ctx context.Context, t terminal, s *store.Store) error {
	ms, err := s.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	for _, m := range ms {
		state := "pending"
		if !m.AppliedAt.IsZero() {
			state = "applied"
		}
		fmt.Fprintf(t.out, "%05d %-8s %s\n", m.Version, state, m.Name)
	}
	if t.page().columns > 0 {
		fmt.Fprintln(t.out, "The numbers are not consecutive: those that are left out are no migrations.")
	}
	if err := s.CheckSchema(ctx); err != nil { // Said by the list.
		return nil //nolint:nilerr // Only a schema of this version can be asked.
	}
	shadows, err := s.Shadows(ctx)
	if err != nil {
		return err
	}
	for _, x := range shadows {
		fmt.Fprintf(t.out, "user %s (%d accounts): %s\n", x.User, x.Accounts, x)
	}
	return nil
}
