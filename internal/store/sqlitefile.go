package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
)

// sqliteHeader is the beginning of a SQLite file: https://www.sqlite.org/fileformat.html section 1.3.
const (
	sqliteHeader = 100
	sqliteMagic  = "SQLite format 3\x00"
)

// sqliteHead is what we read of it.
type sqliteHead struct {
	pages, pageSize int64  // By the file's own word.
	mark            uint32 // The application ID: see fileMark.
}

// fileMark is what a SQLite file holds of an installation's identity in its
// header, as its application ID. It is read without SQLite, which remembers
// pages, and puts those of a write-ahead log over whatever file lies beside it.
func fileMark(instance string) uint32 {
	sum := sha256.Sum256([]byte("mailbrook " + instance))
	return binary.BigEndian.Uint32(sum[:]) | 1 // Never 0, which is none.
}

// markTries is how often a mark is carried into the file itself while others
// read, each time for as long as the connection waits for them.
const markTries = 3

// markFile has the SQLite file carry an identity, in the file itself and not only
// in its log.
func (s *Store) markFile(ctx context.Context, instance string) error {
	if s.postgres {
		return nil
	}
	mark := fileMark(instance)
	for range markTries {
		head, err := parseHead(s.header, s.path)
		if err != nil || head.mark == mark {
			return err
		}
		// Pragmas take no parameters, and application IDs have a sign.
		if _, err := s.on(s.w).exec(ctx, fmt.Sprintf("PRAGMA application_id = %d", int32(mark))); err != nil {
			return err
		}
		if _, err := s.on(s.w).exec(ctx, "PRAGMA wal_checkpoint(FULL)"); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: others read the database all the time: its file could not be marked", account.ErrUnavailable)
}

// intoFile carries what is committed from the log into the SQLite file, as far as
// nobody reads it: what people would miss must not hang on a file that somebody may
// take for a leftover of a process that was killed.
func (s *Store) intoFile(ctx context.Context, err error) error {
	if err != nil || s.postgres {
		return err
	}
	if _, err := s.on(s.w).exec(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		s.log.DebugContext(ctx, "carrying the log into the database's file", "error", err)
	}
	return nil
}

// strangeLog refuses a file that has none of the identities while a
// write-ahead log lies beside it: it may be the log of the file that was there
// before, and opening the two would mix them.
func strangeLog(path string, instances []string) error {
	wal, err := os.Stat(path + "-wal")
	if errors.Is(err, os.ErrNotExist) || err == nil && wal.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := readHead(path)
	if err != nil && !errors.Is(err, ErrReplaced) {
		return err
	}
	matches := func(id string) bool { return head.mark == fileMark(id) }
	if err == nil && slices.ContainsFunc(instances, matches) {
		return nil
	}
	return fmt.Errorf("%w: %s is another file than the one that wrote %s-wal, which lies beside it: "+
		"put back the file that was there; if this one is right, move %s-wal and %s-shm away",
		ErrReplaced, path, path, path, path)
}

// verifyFile looks at the SQLite file itself: connections keep reading and
// writing a file that was deleted or replaced, and pages that they remember.
func (s *Store) verifyFile(ctx context.Context) error {
	if s.postgres {
		return nil
	}
	const op = "looking at the database's file"
	now, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: %s was deleted", op, ErrReplaced, s.path)
	case err != nil:
		return fmt.Errorf("%s: %w: %w", op, account.ErrUnavailable, err)
	case !os.SameFile(now, s.file):
		return fmt.Errorf("%s: %w: %s was replaced by another file", op, ErrReplaced, s.path)
	}
	head, err := parseHead(s.header, s.path)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if s.expected != "" && head.mark != fileMark(s.expected) {
		return fmt.Errorf("%s: %w: another file was copied over %s", op, ErrReplaced, s.path)
	}
	if err := s.verifyLength(ctx, time.Now()); err != nil {
		return err
	}
	if err := s.companions.verify(s.path); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// companions are the write-ahead log and its index. They stay as long as a
// connection of any process is open; once deleted, what is committed goes where
// nobody finds it, and whoever opens the database next begins another log.
type companions struct {
	mu   sync.Mutex
	seen map[string]os.FileInfo
}

func (c *companions) verify(path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]os.FileInfo{}
	}
	for _, name := range []string{path + "-wal", path + "-shm"} {
		now, err := os.Stat(name)
		before := c.seen[name]
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("%w: %w", account.ErrUnavailable, err)
		case before == nil && err == nil:
			c.seen[name] = now
		case before == nil:
		case err != nil || !os.SameFile(before, now):
			return fmt.Errorf("%w: %s was deleted or replaced while it was open: "+
				"end every process, without killing any, which saves what was committed, and start again", ErrReplaced, name)
		}
	}
	return nil
}

// cutAfter is for how long a file has to be seen shorter than its first page says,
// and not growing, where it was never seen longer: a checkpoint writes the first
// page, which has the number of pages, before it has made the file longer.
const cutAfter = 5 * time.Second

// length is how long the SQLite file was seen.
type length struct {
	mu    sync.Mutex
	seen  int64     // Bytes.
	since time.Time // Since when it is too short without growing; zero: it is not.
}

// wasCut notes how long the file is and how long it says it is, in bytes, and
// reports whether it was cut.
//
// SQLite makes a file shorter in VACUUM alone, which writes the first page before.
// So a file that is shorter than it was, and than its first page says, was cut.
func (l *length) wasCut(size, said int64, now time.Time) bool {
	switch {
	case size >= said:
		l.seen, l.since = size, time.Time{}
		return false
	case size < l.seen:
		return true
	case size > l.seen || l.since.IsZero():
		l.seen, l.since = size, now
	}
	return now.Sub(l.since) >= cutAfter
}

// verifyLength notes that the database is damaged if its file was cut.
func (s *Store) verifyLength(ctx context.Context, now time.Time) error {
	if s.postgres {
		return nil
	}
	const op = "looking at the length of the database's file"
	s.length.mu.Lock()
	defer s.length.mu.Unlock()
	before, err := s.header.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", op, account.ErrUnavailable, err)
	}
	head, err := parseHead(s.header, s.path)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	after, err := s.header.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", op, account.ErrUnavailable, err)
	}
	if before.Size() != after.Size() { // It is being written: the next look tells.
		return nil
	}
	if said := head.pages * head.pageSize; s.length.wasCut(after.Size(), said, now) {
		return s.foundDamage(ctx, op, fmt.Errorf("%w: %s was cut to %d bytes, it had %d",
			ErrDamaged, s.path, after.Size(), max(said, s.length.seen)))
	}
	return nil
}

// readHead reads the beginning of a SQLite file; ErrReplaced where it is none.
func readHead(path string) (sqliteHead, error) {
	f, err := os.Open(path)
	if err != nil {
		return sqliteHead{}, fmt.Errorf("%w: %w", account.ErrUnavailable, err)
	}
	defer f.Close()
	return parseHead(f, path)
}

// parseHead is readHead of an open file. Of one that SQLite has open none is ever
// closed before SQLite's: closing any takes away the locks of the whole process
// (section 3.4 of https://www.sqlite.org/howtocorrupt.html is about this).
func parseHead(f io.ReaderAt, path string) (sqliteHead, error) {
	head := make([]byte, sqliteHeader)
	_, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return sqliteHead{}, fmt.Errorf("%w: %w", account.ErrUnavailable, err)
	}
	if !bytes.HasPrefix(head, []byte(sqliteMagic)) {
		return sqliteHead{}, fmt.Errorf("%w: %s is empty or no database any more", ErrReplaced, path)
	}
	h := sqliteHead{
		pages:    int64(binary.BigEndian.Uint32(head[28:])),
		pageSize: int64(binary.BigEndian.Uint16(head[16:])),
		mark:     binary.BigEndian.Uint32(head[68:]),
	}
	if h.pageSize == 1 {
		h.pageSize = 65536
	}
	return h, nil
}
