// Package transcript keeps what was said on connections to external servers, for
// support: files that only their owner may read, bounded, and, for one account,
// for a day at an administrator's word.
//
// What it is given must contain no secret and no mail: package source sees to that.
package transcript

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxBytes is how long a transcript may become: some 100,000 lines.
	maxBytes = 8 << 20
	// day is how long an account's transcript is written once it is switched on.
	day = 24 * time.Hour
	// kept is how long it lies there after that, to be downloaded.
	kept = 7 * day
)

const full = "-- the transcript is full: what follows is left out --\n"

// File is a transcript that is being written. It is safe for concurrent use.
type File struct {
	now func() time.Time

	mu   sync.Mutex
	f    *os.File
	left int64
	err  error

	closed bool
}

// Create begins a transcript in a file of its own, mode 0600, instead of
// what was in it. A link is refused: what it leads to is nobody's transcript.
func Create(path string, now func() time.Time) (*File, error) {
	return open(path, os.O_CREATE|os.O_TRUNC, now)
}

func open(path string, how int, now func() time.Time) (*File, error) {
	const op = "opening a transcript"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW|how, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil {
		err = f.Chmod(0o600) // It may have been there, open to others.
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, errors.Join(err, f.Close()))
	}
	return &File{now: now, f: f, left: maxBytes - st.Size()}, nil
}

// Line writes a line, after the time. What does not fit any more is left out, and
// the last line says so.
func (t *File) Line(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.now().UTC().Format("2006-01-02T15:04:05.000Z ") + line + "\n"
	switch {
	case t.left <= 0 || t.err != nil:
		return
	case t.left < int64(len(text)+len(full)):
		text, t.left = full, 0
	default:
		t.left -= int64(len(text))
	}
	_, t.err = io.WriteString(t.f, text)
}

// Close ends the transcript; it may be called again. Its error says that
// something is missing in it.
func (t *File) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed, t.left = true, 0
	if err := errors.Join(t.err, t.f.Close()); err != nil {
		return fmt.Errorf("writing a transcript: %w", err)
	}
	return nil
}

// Dir holds the transcripts of accounts that an administrator asked for, one
// file each. Its name says until when it is written: all processes that share
// the directory agree, and nothing else has to be kept. It is safe for
// concurrent use.
type Dir struct {
	path string
	now  func() time.Time
}

// NewDir returns the transcripts in a directory, which is made when one is
// switched on.
func NewDir(path string, now func() time.Time) *Dir { return &Dir{path, now} }

// Status says of an account's transcript what there is.
type Status struct {
	Until time.Time // When it ends, or ended; zero: there is none.
	Bytes int64
}

const suffix = ".log"

// find returns the name and status of an account's transcript. An id is a UUID:
// what else it may be is none.
func (d *Dir) find(id string) (name string, st Status, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", Status{}, fmt.Errorf("looking for a transcript: %w", err)
	}
	for _, e := range entries {
		if of, until, ok := parse(e.Name()); ok && of == id {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return "", Status{}, fmt.Errorf("looking at a transcript: %w", err)
			}
			return e.Name(), Status{until, info.Size()}, nil
		}
	}
	return "", Status{}, nil
}

func parse(name string) (id string, until time.Time, ok bool) {
	name, ok = strings.CutSuffix(name, suffix)
	id, ms, found := strings.Cut(name, ".")
	n, err := strconv.ParseInt(ms, 10, 64)
	return id, time.UnixMilli(n).UTC(), ok && found && err == nil && id != ""
}

// SwitchOn has an account's transcript written for a day from now; an existing one
// is continued.
func (d *Dir) SwitchOn(id string) (Status, error) {
	const op = "switching a transcript on"
	if id == "" || strings.ContainsAny(id, "/.\x00") {
		return Status{}, fmt.Errorf("%s: %q is no account", op, id)
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return Status{}, fmt.Errorf("%s: %w", op, err)
	}
	old, st, err := d.find(id)
	if err != nil {
		return Status{}, err
	}
	until := d.now().Add(day).UTC().Truncate(time.Millisecond)
	name := id + "." + strconv.FormatInt(until.UnixMilli(), 10) + suffix
	if old == "" {
		f, err := open(filepath.Join(d.path, name), os.O_CREATE, d.now)
		if err != nil {
			return Status{}, err
		}
		return Status{Until: until}, f.Close()
	}
	if err := os.Rename(filepath.Join(d.path, old), filepath.Join(d.path, name)); err != nil {
		return Status{}, fmt.Errorf("%s: %w", op, err)
	}
	return Status{until, st.Bytes}, nil
}

// Status describes an account's transcript.
func (d *Dir) Status(id string) (Status, error) {
	_, st, err := d.find(id)
	return st, err
}

// Read returns what was written of an account; fs.ErrNotExist when there is none.
func (d *Dir) Read(id string) (string, error) {
	name, _, err := d.find(id)
	if err == nil && name == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(d.path, name))
	if err != nil {
		return "", fmt.Errorf("reading a transcript: %w", err)
	}
	return string(text), nil
}

// SwitchOff removes an account's transcript; there need not be one.
func (d *Dir) SwitchOff(id string) error {
	name, _, err := d.find(id)
	if err != nil || name == "" {
		return err
	}
	if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a transcript: %w", err)
	}
	return nil
}

// Record opens an account's transcript for one visit; nil when none is wanted
// now.
func (d *Dir) Record(id string) (*File, error) {
	name, st, err := d.find(id)
	if err != nil || name == "" || !st.Until.After(d.now()) {
		return nil, err
	}
	f, err := open(filepath.Join(d.path, name), 0, d.now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // Switched off meanwhile.
	}
	return f, err
}

// Prune removes what ended long ago, and the transcripts of accounts that are no
// more.
func (d *Dir) Prune(exists func(id string) (bool, error)) error {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for old transcripts: %w", err)
	}
	var errs []error
	for _, e := range entries {
		id, until, ok := parse(e.Name())
		if !ok {
			continue
		}
		stays := d.now().Before(until.Add(kept))
		if stays {
			if stays, err = exists(id); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		if !stays {
			errs = append(errs, os.Remove(filepath.Join(d.path, e.Name())))
		}
	}
	return errors.Join(errs...)
}
