// Package store keeps accounts, secrets, journals and the schedule in SQL: on
// an embedded SQLite file or on PostgreSQL. It implements what account, fetch
// and schedule declare, and nothing decides here what is a visit, a valid
// setting or a good time.
//
// It promises that a call that returned nil survives a power cut: Open refuses
// a database that would answer before its disk does. It is the only package
// that knows GORM. It never sees an unsealed secret.
//
// Every process of an installation may use the same database at once: what
// must happen once is guarded by a transaction or by the lease epoch, never by
// memory.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// Options are what a Store needs besides the database.
type Options struct {
	Log  *slog.Logger     // Nil: nothing is logged.
	Now  func() time.Time // Instead of the time that the processes share, see Store.Now; nil: that.
	Wall func() time.Time // This machine's clock; nil: time.Now.
	// Existing says that there is a SQLite file with something in it: one that is not
	// there (ErrMissing) or holds nothing (ErrNothing) is no first start but a loss,
	// and nothing is made of it.
	Existing bool
	// Instances are the identities that keys and mailboxes carry, none of a new
	// installation: see ErrReplaced.
	Instances []string
	// Allowed is what accounts' providers ask of programs; nil: nothing is known.
	Allowed schedule.Allowances
	Conns   int // Connections at most; 0: 16 for PostgreSQL, 4 readers beside the one writer for SQLite.
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	// For writing and for reading: the same on PostgreSQL; on SQLite w has one connection, as there can be one
	// writer only.
	w, r     *gorm.DB
	postgres bool
	path     string // Of the SQLite file.
	log      *slog.Logger
	now      func() time.Time
	allowed  schedule.Allowances
	clock    *sharedClock
	contact  contact
	counts   counter
	stop     func() // Ends what keeps the clock; nil: nothing does.
	damage   *damage
	watching func() // Ends what watches for damage; nil: nothing does.

	correct   sync.Mutex
	corrected time.Time // When CorrectTimes last looked at every account.
	suspicion time.Time // Until when it does so each time.

	file       os.FileInfo // Of the SQLite file, as it was opened.
	header     *os.File    // The same file, to read its first page: see parseHead.
	length     length
	companions companions
	expected   string // The identity that the database has to have; "": any.
}

// ErrMissing says that the SQLite file of a database that was to exist is not there. Of PostgreSQL it says nothing:
// what is missing there (its socket, a certificate) is the connection's.
var ErrMissing = errors.New("the database's file is not there")

// ErrNothing says that a database that was to exist is a file without content.
var ErrNothing = errors.New("the database's file is empty")

// Open opens the database that dsn names: "sqlite:PATH" or "postgres://…". The
// schema is not looked at: see Migrate and CheckSchema. A database that is set
// up to forget what it acknowledged is refused.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	s := &Store{log: o.Log, now: o.Now, allowed: o.Allowed, damage: newDamage()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	wall := o.Wall
	if wall == nil {
		wall = time.Now
	}
	s.clock = newSharedClock(wall, sinceBoot(), bootID(), s.log)
	var err error
	switch scheme, rest, _ := strings.Cut(dsn, ":"); scheme {
	case "sqlite":
		err = s.openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		err = s.openPostgres(ctx, dsn, o.Conns)
	default:
		err = errors.New(`a database is named "sqlite:PATH" or "postgres://…"`)
	}
	if err == nil && s.now == nil {
		s.now = s.clock.now
		err = s.compareClock(ctx)
		if err == nil {
			s.stop = beside(s.keepClock)
		}
	}
	if damaged(err) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", errors.Join(err, s.Close()))
	}
	s.watching = beside(s.watchDamage)
	return s, nil
}

// beside runs fn until the function that it returns is called, which waits for it.
func beside(fn func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { fn(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// Close flushes the counts of visits and closes the database.
func (s *Store) Close() error {
	for _, stop := range []func(){s.stop, s.watching} {
		if stop != nil {
			stop()
		}
	}
	if s.header != nil {
		defer s.header.Close()
	}
	if s.w == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if err := s.FlushCounts(ctx); err != nil {
		errs = append(errs, err)
	}
	for _, db := range []*gorm.DB{s.r, s.w} {
		if db == nil || db == s.r && s.r == s.w {
			continue
		}
		errs = append(errs, closeDB(db))
	}
	if s.r == s.w {
		errs = append(errs, closeDB(s.w))
	}
	return errors.Join(errs...)
}

func closeDB(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return pool.Close()
}

// ping reports whether the database answers.
func (s *Store) ping(ctx context.Context) error {
	var one int
	return s.wrap(ctx, "asking the database for a sign of life", s.on(s.r).row(ctx, "SELECT 1").Scan(&one))
}

// Accounts returns the store as package account sees it.
func (s *Store) Accounts() Accounts { return Accounts{s} }

// Journal returns the store as package fetch sees it.
func (s *Store) Journal() Journal { return Journal{s} }

// Queue returns the store as package schedule sees it.
func (s *Store) Queue() Queue { return Queue{s} }

// gormConfig keeps statements and their values out of every log: they hold
// addresses and sealed secrets.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
		Logger: logger.New(log.New(io.Discard, "", 0), logger.Config{
			LogLevel: logger.Silent, ParameterizedQueries: true, IgnoreRecordNotFoundError: true,
		}),
	}
}

// write runs fn in one transaction.
func (s *Store) write(ctx context.Context, op string, fn func(tx *gorm.DB) error) error {
	if err := s.writable(ctx); err != nil {
		return s.wrap(ctx, op, err)
	}
	return s.wrap(ctx, op, s.w.WithContext(ctx).Transaction(fn))
}

// wrap says what was being done. The answers that callers distinguish pass as
// they are; all else is a failure of ours.
func (s *Store) wrap(ctx context.Context, op string, err error) error {
	if damaged(err) {
		err = s.foundDamage(ctx, op, err)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, account.ErrNotFound):
		return cmp.Or(s.nothing(ctx), err)
	case isAnswer(err):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if outage(err) && !errors.Is(err, account.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", account.ErrUnavailable, err)
	}
	return fault.Wrap(fault.Internal, op, err)
}

func isAnswer(err error) bool {
	for _, a := range []error{
		account.ErrNotFound, account.ErrLimitReached, account.ErrExists, account.ErrNameTaken,
		account.ErrFolderTaken, account.ErrChanged, account.ErrPrecondition, fetch.ErrFenced, schedule.ErrBusy,
		ErrFormerUser, transfer.ErrNotFound, transfer.ErrLimitReached, transfer.ErrNotCancellable, transfer.ErrNotEnded,
		transfer.ErrChanged,
	} {
		if errors.Is(err, a) {
			return true
		}
	}
	return errors.As(err, new(*account.InvalidError)) || errors.As(err, new(*transfer.ExistsError))
}

// sqlConn runs statements as they stand, past GORM's builder: for what runs
// with every visit and every batch.
type sqlConn struct {
	pool     gorm.ConnPool
	postgres bool
	writable func(context.Context) error // Nil in a transaction, which asked already, and for reading.
}

func (s *Store) on(db *gorm.DB) sqlConn {
	c := sqlConn{pool: db.Statement.ConnPool, postgres: s.postgres}
	if db == s.w {
		c.writable = s.writable
	}
	return c
}

// exec returns how many rows were touched.
func (c sqlConn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if c.writable != nil {
		if err := c.writable(ctx); err != nil {
			return 0, err
		}
	}
	res, err := c.pool.ExecContext(ctx, c.bind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c sqlConn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.pool.QueryRowContext(ctx, c.bind(query), args...)
}

// rowScanner is what there is to a row.
type rowScanner interface{ Scan(dest ...any) error }

// scanInto reads one row into dest; without a row they stay as they are.
func scanInto(dest ...any) func(rowScanner) error {
	return func(r rowScanner) error { return r.Scan(dest...) }
}

// each calls scan for every row.
func (c sqlConn) each(ctx context.Context, scan func(rowScanner) error, query string, args ...any) error {
	rows, err := c.pool.QueryContext(ctx, c.bind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bind writes ? as PostgreSQL wants it. No statement of ours has a question
// mark in a literal.
func (c sqlConn) bind(query string) string {
	if !c.postgres {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 32)
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// marks returns n question marks in parentheses.
func marks(n int) string { return "(?" + strings.Repeat(",?", n-1) + ")" }

// never is a time that does not come, and a limit that is not reached.
const never = math.MaxInt64

// toMillis returns t in Unix milliseconds; 0 for the zero time.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is toMillis's inverse.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func flag(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

// storable makes a remote server's words fit for a text column: PostgreSQL
// refuses NUL and what is not UTF-8.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
