package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"golang.org/x/sys/unix"
)

// homePrefix begins the name of the empty file in a journal's spool that notes in
// which mailbox the spool is, by the numbers of both directories: a copy of them has
// others. A file in it was renamed into this mailbox, or none was.
const homePrefix = ".home."

func (s *Spool) home() (string, error) {
	st, err := s.root.Fstat(s.FD)
	return fmt.Sprintf("%s%d-%d", homePrefix, s.root.Stat.Ino, st.Ino), err
}

// homes lists the notes of homes in the spool.
func (s *Spool) homes(ctx context.Context) (names []string, err error) {
	err = s.root.Each(s.FD, func(name string) error {
		if strings.HasPrefix(name, homePrefix) {
			names = append(names, name)
		}
		return ctx.Err()
	})
	return names, err
}

// Copied reports whether the spool is a copy, in a mailbox that was restored or
// replaced. What is gone from it need not have come into this mailbox, and what lies in
// it may be cut short: see Intact. A spool that has no note of NoteSpool is taken
// for what it was.
func (s *Spool) Copied(ctx context.Context) (bool, error) {
	const op = "looking whose the spool is"
	home, err := s.home()
	if err == nil {
		_, err = s.root.Lstat(s.FD, home)
	}
	if !disk.Missing(err) {
		return false, disk.Trouble(op, err)
	}
	names, err := s.homes(ctx)
	return len(names) > 0, disk.Trouble(op, err)
}

// NoteSpool notes that the spool is this mailbox's. The note is as durable as what
// is published after it.
func (s *Spool) NoteSpool(ctx context.Context) error {
	const op = "noting whose the spool is"
	home, err := s.home()
	if err == nil {
		_, err = s.root.Lstat(s.FD, home)
	}
	if !disk.Missing(err) {
		return disk.Trouble(op, err)
	}
	names, err := s.homes(ctx)
	if err != nil {
		return disk.Trouble(op, err)
	}
	s.keeper.step("spool.note")
	for i, name := range names {
		if i == 0 {
			err = s.root.Replace(s.FD, name, s.FD, home)
		} else {
			err = s.root.Unlink(s.FD, name)
		}
		if err != nil && !disk.Missing(err) {
			return disk.Trouble(op, err)
		}
	}
	if len(names) > 0 {
		return nil
	}
	fd, err := s.root.Open(s.FD, home, disk.OpenNew, 0o600)
	if disk.Exists(err) {
		return nil
	}
	if err == nil {
		err = errors.Join(s.root.Adopt(fd), s.root.Disk.Close(fd))
	}
	return disk.Trouble(op, err)
}

// Intact reports whether a spool file of a copy is the message that was staged, and
// makes it durable. One that may be is said not to be: of its line ends only those
// are known that are CRLF.
func (s *Spool) Intact(ctx context.Context, p mail.Placement) (bool, error) {
	const op = "reading a spool file"
	r := s.root
	fd, err := r.Open(s.FD, p.Spool, disk.OpenFile, 0)
	if disk.Missing(err) || errors.Is(err, unix.ELOOP) {
		return false, nil
	}
	if err != nil {
		return false, disk.Trouble(op, err)
	}
	defer r.Disk.Close(fd)
	st, err := r.Fstat(fd)
	if err != nil || !st.IsRegular() || st.Size != p.FileSize {
		return false, disk.Trouble(op, err)
	}
	sum, err := Fingerprint(ctx, r, fd)
	if err != nil || sum != p.Fingerprint {
		return false, disk.Trouble(op, err)
	}
	return true, disk.Trouble(op, r.Sync(fd))
}
