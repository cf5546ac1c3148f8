package maildir

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// placeFile lies where mailboxes are, and userFile in each mailbox's
	// spool: the identity of the installation that delivers there.
	placeFile = ".mailbrook-installation"
	userFile  = "installation"

	identityBytes = 256 // At most.
)

// Expect names the identity that mailboxes have from now on: one with another is
// not delivered into. One that has the former identity, as after a move into
// another installation, is given the new one. It is called before the store is
// shared.
func (s *Store) Expect(id, former string) { s.installation, s.former = id, former }

// ErrDamaged says that something else is where the identity was written, or where
// the mailboxes are to be: a directory, a pipe, a huge file, a file. A disk that does
// not answer says nothing of the kind.
var ErrDamaged = errors.New("something else lies where the identity or the mailboxes should be")

// misplaced adds ErrDamaged to what says so.
func misplaced(err error) error {
	if errors.Is(err, disk.ErrNotPlain) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) ||
		errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// There reports whether the place of mailboxes is there.
func (s *Store) There() (bool, error) {
	r, err := s.place()
	if disk.Missing(err) {
		return false, nil
	}
	if err != nil {
		return false, disk.Trouble("looking for mailboxes", misplaced(err))
	}
	r.close()
	return true, nil
}

// Installation returns the identity that the place of mailboxes has; "" where
// it has none, or is not there. Its error may wrap ErrDamaged.
func (s *Store) Installation() (string, error) {
	const op = "reading whose the mailboxes are"
	r, err := s.place()
	if disk.Missing(err) {
		return "", nil
	}
	if err != nil {
		return "", disk.Trouble(op, misplaced(err))
	}
	defer r.close()
	text, err := r.ReadSmall(r.FD, placeFile, identityBytes)
	if disk.Missing(err) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), disk.Trouble(op, misplaced(err))
}

// Inhabited reports whether the place of mailboxes holds anything, where it is
// ours: of an operator's directory, such as /home, that says nothing.
func (s *Store) Inhabited() (bool, error) {
	const op = "looking for mailboxes"
	r, err := s.place()
	if disk.Missing(err) {
		return false, nil
	}
	if err != nil {
		return false, disk.Trouble(op, err)
	}
	defer r.close()
	if r.Stat.UID != uint32(os.Geteuid()) {
		return false, nil
	}
	err = r.Each(r.FD, func(string) error { return disk.ErrEnough })
	if errors.Is(err, disk.ErrEnough) {
		return true, nil
	}
	return false, disk.Trouble(op, err)
}

// SetInstallation has the place of mailboxes have an identity, durably; what it
// bore before is replaced. It reports false where the place is somebody else's
// directory, such as /home, in which we may not write: then each mailbox has
// the identity only in its spool.
func (s *Store) SetInstallation(id string) (bool, error) {
	const op = "marking the place of mailboxes"
	r, err := s.place()
	if err != nil {
		return false, disk.Trouble(op, err)
	}
	defer r.close()
	temp := placeFile + "." + disk.Random()
	err = r.WriteNew(r.FD, temp, []byte(id+"\n"), true)
	if r.others(err) {
		return false, nil
	}
	if err == nil {
		err = errors.Join(r.Replace(r.FD, temp, r.FD, placeFile), r.Sync(r.FD))
	}
	return err == nil, disk.Trouble(op, err)
}

// place opens the directory in which the mailboxes are.
func (s *Store) place() (*root, error) {
	fd, err := s.disk.Open(unix.AT_FDCWD, s.template.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	st, err := s.disk.Fstat(fd)
	if err != nil {
		s.disk.Close(fd)
		return nil, err
	}
	return &root{Root: disk.Root{Disk: s.disk, FD: fd, Stat: st, Path: s.template.base}}, nil
}

// belong sees to it that the mailbox is this installation's: two that deliver
// into one mailbox would take each other's spool for their own. A mailbox that
// has nothing yet is marked.
func (r *root) belong(id, former string) error {
	fd, _, err := r.OpenDir(r.FD, spool.Dir)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	text, err := r.ReadSmall(fd, userFile, identityBytes)
	switch {
	case err == nil && strings.TrimSpace(string(text)) == id:
		return nil
	case err == nil && (former == "" || strings.TrimSpace(string(text)) != former):
		return disk.Unavailable("opening the mailbox",
			words.Say("This mailbox belongs to another installation of Mailbrook."))
	case err != nil && !disk.Missing(err):
		return err
	}
	temp := userFile + "." + disk.Random()
	if err := r.WriteNew(fd, temp, []byte(id+"\n"), true); err != nil {
		return err
	}
	return errors.Join(r.Replace(fd, temp, fd, userFile), r.Sync(fd))
}
