package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

// sqliteParameters are what may follow the name of a file and a question mark,
// which may be in the name as well.
var sqliteParameters = regexp.MustCompile(`^[a-z_]+=[^/]*$`)

// SQLiteFile returns the file that a database's name means, PATH or
// PATH?parameters, and the parameters.
func SQLiteFile(name string) (path, parameters string) {
	name = strings.TrimPrefix(name, "sqlite:")
	if i := strings.LastIndexByte(name, '?'); i >= 0 && sqliteParameters.MatchString(name[i+1:]) {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// openSQLite opens PATH or PATH?parameters. The parameters are the driver's,
// applied after ours.
func (s *Store) openSQLite(ctx context.Context, name string, o Options) error {
	path, extra := SQLiteFile(name)
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return errors.New("SQLite needs the path of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	s.path = path
	// Nobody else's business: the file holds addresses. SQLite gives its
	// companions the mode of the file.
	flags := os.O_RDWR | os.O_CREATE
	if o.Existing {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if o.Existing && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		return err
	}
	s.header = f
	if s.file, err = f.Stat(); err != nil {
		return err
	}
	if len(o.Instances) > 0 {
		if err := strangeLog(path, o.Instances); err != nil {
			return err
		}
	}
	if o.Existing && s.file.Size() == 0 { // SQLite takes it for a new one, and writes its first page.
		return ErrNothing
	}
	conns := o.Conns
	if conns <= 0 {
		conns = 4
	}
	// Whoever comes first turns the file into WAL mode, which needs it alone.
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if s.w, err = openSQLitePool(ctx, path, "immediate", extra, 1); err != nil {
		return err
	}
	s.r, err = openSQLitePool(ctx, path, "deferred", "_pragma=query_only(1)&"+extra, conns)
	return err
}

// No connection makes a file: one that is opened while the file is away would
// begin an empty database, whose log is the old one's.
//
// A megabyte of pages is kept for each connection, half of SQLite's default: the
// system keeps the file's pages too. The peak of a first pull of 10,000 messages
// is 1 to 3 MB lower for it (case A0 of make bench).
func openSQLitePool(ctx context.Context, path, lock, extra string, conns int) (*gorm.DB, error) {
	dsn := (&url.URL{Scheme: "file", Path: path}).String() + "?mode=rw&_txlock=" + lock +
		"&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)" +
		"&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-1000)&" + extra
	pool, err := sql.Open(sqlite.DriverName, dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	var synchronous int
	var mode string
	if err := pool.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if err := pool.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if err := durableSQLite(synchronous, mode); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	db, err := gorm.Open(&sqlite.Dialector{Conn: pool}, gormConfig())
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// durableSQLite refuses settings under which a committed transaction can be
// lost in a power cut: then delivered mail would be fetched again.
func durableSQLite(synchronous int, mode string) error {
	if !strings.EqualFold(mode, "wal") {
		return fmt.Errorf("SQLite's journal_mode is %s, wal is needed: is the file on a network filesystem?", mode)
	}
	if synchronous < 2 {
		return fmt.Errorf("SQLite's synchronous is %d, 2 (FULL) is needed: a power cut would lose what was committed",
			synchronous)
	}
	return nil
}

// lockFile takes an exclusive lock between processes, which ends with the
// process at the latest.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking the database: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for another process that sets up the database: %w", context.Cause(ctx)),
				f.Close())
		case <-tick.C:
		}
	}
}
