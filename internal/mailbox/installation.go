package mailbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// placeFile is in the place of mailboxes, and userFile in each mailbox's
	// spool: the identity of the installation that delivers there.
	placeFile = ".mailbrook-installation"
	userFile  = "installation"

	identityBytes = 256 // At most.
)

// Expect names the identity that mailboxes bear from now on: one with another is
// not delivered into. One that bears the former identity, as after a move into
// another installation, is given the new one. It is called before the store is
// shared.
func (s *Store) Expect(id, former string) { s.installation, s.former = id, former }

// ErrDamaged says that something else is where the identity was written, or where
// the mailboxes are to be: a directory, a pipe, a huge file, a file. A disk that does
// not answer says nothing of the kind.
var ErrDamaged = errors.New("something else is in the place of what was there")

// misplaced adds ErrDamaged to what says so.
func misplaced(err error) error {
	if errors.Is(err, errNotPlain) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) ||
		errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Installation returns the identity that the place of mailboxes bears; "" where
// it bears none, or is not there. Its error may wrap ErrDamaged.
func (s *Store) Installation() (string, error) {
	const op = "reading whose the mailboxes are"
	r, err := s.place()
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", trouble(op, misplaced(err))
	}
	defer r.close()
	text, err := r.readSmall(r.fd, placeFile, identityBytes)
	if missing(err) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), trouble(op, misplaced(err))
}

// Inhabited reports whether the place of mailboxes holds anything, where it is
// ours: of an operator's directory, such as /home, that says nothing.
func (s *Store) Inhabited() (bool, error) {
	const op = "looking for mailboxes"
	r, err := s.place()
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, trouble(op, err)
	}
	defer r.close()
	if r.st.uid != uint32(os.Geteuid()) {
		return false, nil
	}
	err = r.each(r.fd, func(string) error { return errEnough })
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, trouble(op, err)
}

// SetInstallation has the place of mailboxes bear an identity, durably; what it
// bore before is replaced. It reports false where the place is somebody else's
// directory, such as /home, in which we may not write: then each mailbox bears
// the identity only in its spool.
func (s *Store) SetInstallation(id string) (bool, error) {
	const op = "marking the place of mailboxes"
	r, err := s.place()
	if err != nil {
		return false, trouble(op, err)
	}
	defer r.close()
	temp := placeFile + "." + random()
	err = r.writeNew(r.fd, temp, []byte(id+"\n"), true)
	if r.others(err) {
		return false, nil
	}
	if err == nil {
		err = errors.Join(r.replace(r.fd, temp, r.fd, placeFile), r.sync(r.fd))
	}
	return err == nil, trouble(op, err)
}

// place opens the directory in which the mailboxes are.
func (s *Store) place() (*root, error) {
	fd, err := s.disk.open(unix.AT_FDCWD, s.template.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	st, err := s.disk.fstat(fd)
	if err != nil {
		s.disk.close(fd)
		return nil, err
	}
	return &root{disk: s.disk, fd: fd, st: st, path: s.template.base}, nil
}

// belong sees to it that the mailbox is this installation's: two that deliver
// into one mailbox would take each other's spool for their own. A mailbox that
// bears nothing yet is marked.
func (r *root) belong(id, former string) error {
	fd, _, err := r.openDir(r.fd, spoolDir)
	if err != nil {
		return err
	}
	defer r.disk.close(fd)
	text, err := r.readSmall(fd, userFile, identityBytes)
	switch {
	case err == nil && strings.TrimSpace(string(text)) == id:
		return nil
	case err == nil && (former == "" || strings.TrimSpace(string(text)) != former):
		return unavailable("opening the mailbox", "This mailbox belongs to another installation of Mailbrook.")
	case err != nil && !missing(err):
		return err
	}
	temp := userFile + "." + random()
	if err := r.writeNew(fd, temp, []byte(id+"\n"), true); err != nil {
		return err
	}
	return errors.Join(r.replace(fd, temp, fd, userFile), r.sync(fd))
}
