package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrServed says that a process serves from the database.
var ErrServed = errors.New(`"mailbrook serve" runs on this database`)

// servingKey is the advisory lock of PostgreSQL that serving processes share: another
// one than claimLock, which each claim has for itself.
const servingKey = 0x6d61696c73657276 // "mailserv"

// servingLock is a way to hold that lock.
type servingLock struct{ take, giveBack string }

var (
	shared = servingLock{"SELECT pg_advisory_lock_shared($1)", "SELECT pg_advisory_unlock_shared($1)"}
	alone  = servingLock{"SELECT CASE WHEN pg_try_advisory_lock($1) THEN '' END", "SELECT pg_advisory_unlock($1)"}
)

// reattend is how often a serving process looks whether PostgreSQL still knows of
// it: its lock ends with the session.
const reattend = 5 * time.Second

// Attend announces to other processes that this one serves from the database, until
// release is called or the process ends. It waits for who holds Alone.
func (s *Store) Attend(ctx context.Context) (release func(), err error) {
	if !s.postgres {
		f, err := s.flockServing(ctx, syscall.LOCK_SH, true)
		if err != nil {
			return nil, err
		}
		return func() { f.Close() }, nil
	}
	conn, err := s.lockServing(ctx, shared)
	if err != nil {
		return nil, s.wrap(ctx, "telling that this process serves", err)
	}
	return beside(func(ctx context.Context) { s.stayAttending(ctx, conn) }), nil
}

// stayAttending holds the lock until ctx ends, also after PostgreSQL was away.
func (s *Store) stayAttending(ctx context.Context, conn *sql.Conn) {
	tick := time.NewTicker(reattend)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			shared.release(ctx, conn)
			return
		case <-tick.C:
		}
		if conn != nil && conn.PingContext(ctx) != nil {
			endSession(conn)
			conn = nil
		}
		if conn == nil {
			conn, _ = s.lockServing(ctx, shared) // Tried again.
		}
	}
}

// Alone refuses with ErrServed while any process attends, and keeps others from
// it until release is called.
func (s *Store) Alone(ctx context.Context) (release func(), err error) {
	if !s.postgres {
		f, err := s.flockServing(ctx, syscall.LOCK_EX, false)
		if err != nil {
			return nil, err
		}
		return func() { f.Close() }, nil
	}
	conn, err := s.lockServing(ctx, alone)
	switch {
	case errors.Is(err, errTaken):
		return nil, ErrServed
	case err != nil:
		return nil, s.wrap(ctx, "looking for who serves", err)
	}
	return func() { alone.release(ctx, conn) }, nil
}

// errTaken says that a lock is somebody else's.
var errTaken = errors.New("the lock is taken")

// lockServing takes the lock in a session of its own. A query that answers NULL did
// not get it.
func (s *Store) lockServing(ctx context.Context, how servingLock) (*sql.Conn, error) {
	pool, err := s.w.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got sql.NullString
	if err := conn.QueryRowContext(ctx, how.take, int64(servingKey)).Scan(&got); err != nil {
		endSession(conn)
		return nil, err
	}
	if !got.Valid {
		endSession(conn)
		return nil, errTaken
	}
	return conn, nil
}

// unlocking is how long PostgreSQL may take to give a lock back before the session ends all the same.
const unlocking = 2 * time.Second

// release gives the lock back and ends the session. The end alone would do, but not at
// once: PostgreSQL's process has to notice it.
func (l servingLock) release(ctx context.Context, conn *sql.Conn) {
	if conn == nil {
		return
	}
	l.unlock(ctx, conn)
	endSession(conn)
}

// unlock gives the lock back, once and no other: a pooler may have put several processes
// into one of PostgreSQL's sessions.
func (l servingLock) unlock(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlocking)
	defer cancel()
	conn.ExecContext(ctx, l.giveBack, int64(servingKey)) //nolint:errcheck // Then the session's end does it.
}

// endSession ends a session and its locks, rather than give it back to the pool.
func endSession(conn *sql.Conn) {
	conn.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // That is what it answers.
	conn.Close()
}

// flockServing locks the file that stands for serving beside a SQLite database.
// With wait it waits for who has it.
func (s *Store) flockServing(ctx context.Context, how int, wait bool) (*os.File, error) {
	f, err := os.OpenFile(s.path+".serving", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, syscall.EWOULDBLOCK) && !wait:
			return nil, errors.Join(ErrServed, f.Close())
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("locking the database: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for a migration: %w", context.Cause(ctx)), f.Close())
		case <-tick.C:
		}
	}
}
