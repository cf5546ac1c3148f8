package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// connectTimeout is how long a connection may take, unless the address says
// otherwise: a server that is away must not hold up whoever asks.
const connectTimeout = 5 * time.Second

func (s *Store) openPostgres(ctx context.Context, dsn string, conns int) error {
	s.postgres = true
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	pool := stdlib.OpenDB(*config)
	if conns <= 0 {
		conns = 16
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := durablePostgres(ctx, pool); err != nil {
		return errors.Join(err, pool.Close())
	}
	if s.w, err = gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig()); err != nil {
		return errors.Join(err, pool.Close())
	}
	s.r = s.w
	return nil
}

// durablePostgres refuses settings under which a committed transaction can be
// lost in a crash or power cut.
func durablePostgres(ctx context.Context, pool *sql.DB) error {
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := pool.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("reading PostgreSQL's settings: %w", err)
		}
		if value == "off" {
			return fmt.Errorf("PostgreSQL's %s is off: a crash would lose what was committed", name)
		}
	}
	return nil
}
