package spool

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
)

// notePrefix begins the name of the empty file in a journal's spool that notes
// the journal's generation. It is in the name because names are what the disk's
// own journal keeps in order: a note that was renamed before a message was
// delivered survives whatever the delivery survives, with no fsync of its own.
const notePrefix = ".generation."

// Generation returns what SetGeneration noted last for this journal; false
// where there is no note.
func (s *Spool) Generation(ctx context.Context) (int64, bool, error) {
	n, name, err := ReadNote(ctx, s.root, s.FD)
	if err != nil {
		return 0, false, disk.Trouble("reading the spool's generation", err)
	}
	s.note = name
	return n, name != "", nil
}

// ReadNote finds the highest note in a spool, and its name.
func ReadNote(ctx context.Context, r *disk.Root, spool int) (n int64, name string, err error) {
	err = r.Each(spool, func(entry string) error {
		if text, ok := strings.CutPrefix(entry, notePrefix); ok {
			if m, err := strconv.ParseInt(text, 10, 64); err == nil && m >= n {
				n, name = m, entry
			}
		}
		return ctx.Err()
	})
	return n, name, err
}

// SetGeneration notes n for this journal. The note is as durable as what is
// published after it.
func (s *Spool) SetGeneration(ctx context.Context, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	const op = "noting the spool's generation"
	name := notePrefix + strconv.FormatInt(n, 10)
	if name == s.note {
		return nil
	}
	s.keeper.step("generation.note")
	if s.note != "" {
		err := s.root.Replace(s.FD, s.note, s.FD, name)
		if err == nil {
			s.note = name
			return nil
		}
		if !disk.Missing(err) {
			return disk.Trouble(op, err)
		}
	}
	fd, err := s.root.Open(s.FD, name, disk.OpenNew, 0o600)
	if err == nil {
		err = errors.Join(s.root.Adopt(fd), s.root.Disk.Close(fd))
	} else if disk.Exists(err) {
		err = nil
	}
	if err == nil {
		s.note = name
	}
	return disk.Trouble(op, err)
}

// replaceLeftover makes room for a spool file whose name is taken. A restored
// database counts epochs from the backup's on, so that a name of ours may have
// been used before; what lies there belongs to no lease any more. What this
// delivery staged itself is never replaced.
func (s *Spool) replaceLeftover(name string, taken error) (int, error) {
	s.mu.Lock()
	_, ours := s.files[name]
	s.mu.Unlock()
	if ours {
		return -1, taken
	}
	if err := s.root.Unlink(s.FD, name); err != nil && !errors.Is(err, unix.ENOENT) {
		return -1, err
	}
	return s.root.Open(s.FD, name, disk.OpenNew, s.root.FilePerm())
}
