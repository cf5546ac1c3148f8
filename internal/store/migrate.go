package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/mailbrook/mailbrook/migrations"
)

// What CheckSchema finds.
var (
	ErrSchemaOld = errors.New(`the database's schema is older than this program: run "mailbrook migrate up"`)
	ErrSchemaNew = errors.New("the database's schema is newer than this program: run the newer mailbrook, or restore a " +
		"backup")
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string // Its file.
	Applied   bool
	AppliedAt time.Time // Zero: never.
}

// Migrate brings the schema up to date. Any number of processes may do it at
// once: one does, the others wait for it. A newer schema is left alone.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.migrating(ctx, func(p *goose.Provider) error {
		if err := s.CheckSchema(ctx); errors.Is(err, ErrSchemaNew) {
			return err
		}
		done, err := p.Up(ctx)
		var took time.Duration
		for _, m := range done {
			took += m.Duration
		}
		if n := len(done); n > 0 {
			s.log.InfoContext(ctx, "schema migrated", "version", done[n-1].Source.Version, "steps", n, "took", took)
		}
		if err != nil {
			return err
		}
		for _, m := range done {
			if m.Source.Version == keptSentences {
				err = s.keepEarlier(ctx)
			}
		}
		if err != nil {
			return err
		}
		err = s.makeInstance(ctx)
		if err == nil && s.stop != nil { // It keeps its own clock, and may not have had a place for it before.
			err = s.compareClock(ctx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// SchemaVersion returns the newest step that is applied, 0 for none, and whether
// this program knows a step of that number. It writes nothing.
func (s *Store) SchemaVersion(ctx context.Context, version int64) (applied int64, known bool, err error) {
	err = s.migrating(ctx, func(p *goose.Provider) error {
		known = version == 0
		for _, m := range p.ListSources() {
			known = known || m.Version == version
		}
		if s.versioned(ctx) {
			applied, err = p.GetDBVersion(ctx)
		} else {
			err = s.ping(ctx) // No table, or no database.
		}
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("reading the schema's version: %w", err)
	}
	return applied, known, nil
}

// MigrateDownTo takes back every step newer than version, newest first, with all
// that their tables hold.
func (s *Store) MigrateDownTo(ctx context.Context, version int64) error {
	err := s.migrating(ctx, func(p *goose.Provider) error {
		if err := s.tellEarlier(ctx, p, version); err != nil {
			return err
		}
		done, err := p.DownTo(ctx, version)
		for _, m := range done {
			s.log.InfoContext(ctx, "schema taken back", "version", m.Source.Version)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("taking back migrations: %w", err)
	}
	return nil
}

// versioned reports whether any step was ever applied. Where there is no place yet to
// write that down, asking goose would make one.
func (s *Store) versioned(ctx context.Context) bool {
	return s.w.WithContext(ctx).Migrator().HasTable(goose.DefaultTablename)
}

// TakenBack reports whether there were steps, and all of them were taken back: no
// table is left, but that of the steps, and the mark that there was an audit. It
// writes nothing.
func (s *Store) TakenBack(ctx context.Context) (bool, error) {
	applied, _, err := s.SchemaVersion(ctx, 0)
	return err == nil && applied == 0 && s.versioned(ctx), err
}

// AccountsKept counts the accounts in a database of any schema.
func (s *Store) AccountsKept(ctx context.Context) (int64, error) { return s.rowsOf(ctx, "accounts") }

// ActsKept counts the acts in a database of any schema.
func (s *Store) ActsKept(ctx context.Context) (int64, error) { return s.rowsOf(ctx, "audit") }

// rowsOf counts the rows of a table that need not be there.
func (s *Store) rowsOf(ctx context.Context, table string) (n int64, err error) {
	if !s.w.WithContext(ctx).Migrator().HasTable(table) {
		return 0, s.ping(ctx)
	}
	err = s.on(s.r).row(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, s.wrap(ctx, "counting the rows of "+table, err)
}

// MigrateDown takes back the newest step, with all that its tables hold. On an
// empty schema it does nothing.
func (s *Store) MigrateDown(ctx context.Context) error {
	err := s.migrating(ctx, func(p *goose.Provider) error {
		if applied, err := p.GetDBVersion(ctx); err != nil {
			return err
		} else if err := s.tellEarlier(ctx, p, applied-1); err != nil {
			return err
		}
		m, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err == nil {
			s.log.InfoContext(ctx, "schema taken back", "version", m.Source.Version)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("taking back a migration: %w", err)
	}
	return nil
}

// MigrationStatus lists the steps that this program knows, oldest first. It writes
// nothing.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	var out []Migration
	err := s.migrating(ctx, func(p *goose.Provider) error {
		if !s.versioned(ctx) {
			for _, m := range p.ListSources() {
				out = append(out, Migration{Version: m.Version, Name: m.Path})
			}
			return s.ping(ctx) // No table, or no database.
		}
		status, err := p.Status(ctx)
		for _, m := range status {
			step := Migration{Version: m.Source.Version, Name: m.Source.Path, Applied: m.State == goose.StateApplied}
			if step.Applied {
				step.AppliedAt = m.AppliedAt.UTC()
			}
			out = append(out, step)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the schema's version: %w", err)
	}
	return out, nil
}

// CheckSchema returns nil when the schema is the one that this program was
// made for, else an error with ErrSchemaOld or ErrSchemaNew.
func (s *Store) CheckSchema(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	sources := p.ListSources()
	want, have := sources[len(sources)-1].Version, int64(0)
	if s.versioned(ctx) {
		if err := s.on(s.w).row(ctx, "SELECT coalesce(max(version_id), 0) FROM "+goose.DefaultTablename).Scan(
			&have); err != nil {
			return s.wrap(ctx, "reading the schema's version", err)
		}
	} else if err := s.ping(ctx); err != nil { // No table, or no database.
		return err
	}
	switch {
	case have < want:
		return fmt.Errorf("%w (it is at version %d, this program needs %d)", ErrSchemaOld, have, want)
	case have > want:
		return fmt.Errorf("%w (it is at version %d, this program knows %d)", ErrSchemaNew, have, want)
	}
	return nil
}

// migrating runs fn while no other process migrates: goose locks PostgreSQL by
// itself, SQLite needs a file.
func (s *Store) migrating(ctx context.Context, fn func(*goose.Provider) error) error {
	p, err := s.provider()
	if err != nil {
		return err
	}
	if !s.postgres {
		unlock, err := lockFile(ctx, s.path+".lock")
		if err != nil {
			return err
		}
		defer unlock()
	}
	return fn(p)
}

func (s *Store) provider() (*goose.Provider, error) {
	name, dialect := migrations.SQLite, goose.DialectSQLite3
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if s.postgres {
		name, dialect = migrations.Postgres, goose.DialectPostgres
		l, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	files, err := migrations.Files(name)
	if err != nil {
		return nil, err
	}
	pool, err := s.w.DB()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, pool, files, opts...)
}
