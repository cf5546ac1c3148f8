package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mailbrook/mailbrook/internal/account"
)

// ErrDamaged says that the database is damaged: it said so itself, to whatever
// call, or its file was cut. Nothing is written to it any more, and nothing that it
// answers may be believed, until a look through it finds nothing wrong. It wraps
// account.ErrUnavailable.
var ErrDamaged = fmt.Errorf("%w: it is damaged", account.ErrUnavailable)

// damaged reports whether an error is the database's word that it is damaged.
func damaged(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "XX001" || pg.Code == "XX002" // Data or an index corrupted.
	}
	code, ok := sqliteCode(err)
	return ok && (code == sqliteCorrupt || code == sqliteNotADB)
}

// How often a damaged database is looked through at most, and for how long.
const (
	lookThroughEvery  = time.Minute
	lookThroughWithin = 10 * time.Minute
)

// damage is what was found wrong with the database last.
type damage struct {
	mu    sync.Mutex
	err   error // Nil: nothing.
	found int   // How often something was.

	alarm chan struct{} // Receives when the first thing is found: for who watches,
	begin chan struct{} // and for who looks the database through.
}

func newDamage() *damage {
	return &damage{alarm: make(chan struct{}, 1), begin: make(chan struct{}, 1)}
}

// now returns how often something was found, and what is wrong, nil for nothing.
func (d *damage) now() (found int, wrong error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.found, d.err
}

// forget reports true if nothing was found wrong since it had been found so often.
func (d *damage) forget(found int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found != found {
		return false
	}
	d.err = nil
	return true
}

// add notes what was found wrong and reports whether it is the first such thing.
func (d *damage) add(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found++
	if d.err != nil {
		return false
	}
	d.err = err
	for _, c := range []chan struct{}{d.alarm, d.begin} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return true
}

// Alarm receives when the database is found to be damaged: Verify says how.
func (s *Store) Alarm() <-chan struct{} { return s.damage.alarm }

// foundDamage notes that the database is damaged, and returns err as ErrDamaged.
func (s *Store) foundDamage(ctx context.Context, op string, err error) error {
	if !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.damage.add(fmt.Errorf("%s: %w", op, err)) {
		s.log.ErrorContext(ctx, "the database is damaged: nothing is answered, delivered or written until it was looked "+
			"through and nothing is wrong; end every process and put back a backup", "doing", op, "error", err)
	}
	return err
}

// writable returns why nothing may be written to the database now. It asks the file
// system for the file's length, and nothing else: what is written to a file that was
// cut makes it as long as before, with nothing in it.
func (s *Store) writable(ctx context.Context) error {
	if _, err := s.damage.now(); err != nil {
		return err
	}
	return s.verifyLength(ctx, time.Now())
}

// watchDamage looks a database through that was found to be damaged, again and
// again with pauses, until ctx ends: once a disk is put right, work resumes by itself.
func (s *Store) watchDamage(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.damage.begin:
		}
		for again := true; again; {
			began := time.Now()
			again = !s.recheck(ctx)
			rest := time.NewTimer(max(lookThroughEvery, 10*time.Since(began)))
			select {
			case <-ctx.Done():
				rest.Stop()
				return
			case <-rest.C:
			}
		}
	}
}

// recheck looks through a database that was found to be damaged, and reports
// whether nothing is wrong with it.
func (s *Store) recheck(ctx context.Context) bool {
	found, wrong := s.damage.now()
	if wrong == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, lookThroughWithin)
	defer cancel()
	if err := s.lookThrough(ctx); err != nil {
		s.log.WarnContext(ctx, "the database was looked through and is not right", "error", err)
		return false
	}
	if !s.damage.forget(found) {
		return false
	}
	s.log.WarnContext(ctx, "the database was looked through and nothing is wrong with it: what it had said is taken for "+
		"a passing fault of its disk", "said", wrong)
	return true
}

// LookThrough reads the whole database and reports what is wrong with it, once and
// for all callers: after an error with ErrDamaged or ErrReplaced nothing is
// written. A million messages take SQLite 1 to 2 seconds (141 MB).
func (s *Store) LookThrough(ctx context.Context) error {
	const op = "looking through the database"
	err := s.lookThrough(ctx)
	if err != nil && (errors.Is(err, ErrDamaged) || damaged(err)) {
		return fmt.Errorf("%s: %w", op, s.foundDamage(ctx, op, err))
	}
	return s.wrap(ctx, op, err)
}

// Size is how large a SQLite file is, in bytes; 0 for PostgreSQL.
func (s *Store) Size() int64 {
	if s.postgres {
		return 0
	}
	info, err := s.header.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *Store) lookThrough(ctx context.Context) error {
	if s.postgres {
		return s.readTables(ctx)
	}
	// Another file is not opened: its pages would be mixed with those of our log.
	if err := s.verifyFile(ctx); err != nil {
		return err
	}
	// By a connection that remembers no pages of the file as it was.
	pool, err := openSQLitePool(ctx, s.path, "deferred", "_pragma=query_only(1)", 1)
	if err != nil {
		return err
	}
	var wrong []string
	err = s.on(pool).each(ctx, func(r rowScanner) error {
		var line string
		err := r.Scan(&line)
		if line != "ok" {
			wrong = append(wrong, line)
		}
		return err
	}, "PRAGMA quick_check(1)")
	if err := errors.Join(err, closeDB(pool)); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(wrong, ", "))
	}
	return nil
}

// readTables has PostgreSQL read every row, and compare indexes where it can.
func (s *Store) readTables(ctx context.Context) error {
	var tables []string
	err := s.on(s.r).each(ctx, func(r rowScanner) error {
		var name string
		err := r.Scan(&name)
		tables = append(tables, name)
		return err
	}, "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
	for _, name := range tables {
		if err != nil {
			break
		}
		var rows int64
		err = s.on(s.r).row(ctx, "SELECT count(t) FROM "+name+" t").Scan(&rows)
	}
	if err != nil {
		return err
	}
	wrong, _, err := s.Integrity(ctx)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("%w: %s", ErrDamaged, strings.Join(wrong, ", "))
	}
	return err
}
