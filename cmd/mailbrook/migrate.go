package main

import (
	"context"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/store"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up to this version's."`
	Down   migrateDownCmd   `cmd:"" help:"Take back the newest migration."`
	Status migrateStatusCmd `cmd:"" help:"Show which migrations are applied."`
}

type (
	migrateUpCmd     struct{}
	migrateDownCmd   struct{}
	migrateStatusCmd struct{}
)

// withStore opens the database as it is, whatever its schema.
func withStore(ctx context.Context, t terminal, load loader, do func(*store.Store) error) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	s, err := openStore(ctx, cfg, false, newLogger(cfg, t.err))
	if err != nil {
		return err
	}
	defer s.Close()
	return do(s)
}

func (migrateUpCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withStore(ctx, t, load, func(s *store.Store) error {
		if err := s.Migrate(ctx); err != nil {
			return err
		}
		return printMigrations(ctx, t, s)
	})
}

func (migrateDownCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withStore(ctx, t, load, func(s *store.Store) error {
		if err := s.MigrateDown(ctx); err != nil {
			return err
		}
		return printMigrations(ctx, t, s)
	})
}

func (migrateStatusCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withStore(ctx, t, load, func(s *store.Store) error { return printMigrations(ctx, t, s) })
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
