package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
)

// sqliteHeader is the beginning of a SQLite file: https://www.sqlite.org/fileformat.html section 1.3.
const (
	sqliteHeader = 100
	sqliteMagic  = "SQLite format 3\x00"
)

// verifyFile looks at the SQLite file itself: connections go on reading and
// writing a file that was deleted or replaced, and pages that they remember.
func (s *Store) verifyFile() error {
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
	pages, size, err := sqlitePages(s.path)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if s.short.forLong(now.Size() < pages*size, time.Now()) {
		return fmt.Errorf("%s: %w: %s was cut to %d bytes, it had %d", op, ErrReplaced, s.path, now.Size(), pages*size)
	}
	return nil
}

// cutAfter is for how long a file has to be seen shorter than it should be: a
// checkpoint writes the first page, which has the number of pages, before it
// has made the file longer.
const cutAfter = 5 * time.Second

// shortness is since when the file is too short.
type shortness struct {
	mu    sync.Mutex
	since time.Time
}

// forLong notes how the file is now, and reports whether that is no checkpoint.
func (c *shortness) forLong(short bool, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !short:
		c.since = time.Time{}
	case c.since.IsZero():
		c.since = now
	}
	return short && now.Sub(c.since) >= cutAfter
}

// sqlitePages reads how many pages a SQLite file has by its own word, and of
// what size.
func sqlitePages(path string) (pages, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", account.ErrUnavailable, err)
	}
	defer f.Close()
	head := make([]byte, sqliteHeader)
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, 0, fmt.Errorf("%w: %w", account.ErrUnavailable, err)
	}
	if !bytes.HasPrefix(head, []byte(sqliteMagic)) {
		return 0, 0, fmt.Errorf("%w: %s is empty or no database any more", ErrReplaced, path)
	}
	size = int64(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 65536
	}
	return int64(binary.BigEndian.Uint32(head[28:])), size, nil
}
