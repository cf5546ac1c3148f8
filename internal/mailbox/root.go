package mailbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/account"
)

// root is an open mailbox.
type root struct {
	disk
	fd   int
	st   stat
	path string // For the log and as a key; never opened.
	// founded says that it was made a Maildir through this very descriptor: of several
	// who open it at once, by one of them.
	founded bool
}

// purpose is what a mailbox is opened for.
type purpose int

const (
	toLook    purpose = iota // What is there is taken as it is.
	toMeasure                // It has to be a Maildir, and is taken as it is.
	toDeliver                // It has to be a Maildir; what deliveries need beside is made.
	toMake                   // It is made if need be.
)

// openRoot opens a user's mailbox. Unless it is to be made, the error of one that
// does not exist satisfies missing.
func (s *Store) openRoot(o account.Owner, how purpose) (*root, error) {
	const op = "opening the mailbox"
	if o.IsZero() {
		return nil, internal(op, "no user is named")
	}
	r, err := s.reach(o, how == toMake)
	if err != nil {
		return nil, err
	}
	if how == toDeliver || how == toMeasure {
		err = r.isMaildir()
	}
	writes := how == toDeliver || how == toMake
	if err == nil && writes {
		err = r.makeMaildir(s.template.sole, o)
	}
	if err == nil && writes && s.installation != "" {
		err = r.belong(s.installation, s.former)
	}
	if err != nil {
		s.disk.close(r.fd)
		return nil, trouble(op, err)
	}
	return r, nil
}

// reach goes to where a user's mailbox lies, and opens the directory there.
func (s *Store) reach(o account.Owner, create bool) (*root, error) {
	const op = "opening the mailbox"
	fd, err := s.disk.open(unix.AT_FDCWD, s.template.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		// Not ErrNotExist: a place that is gone is no empty mailbox.
		return nil, &hidden{trouble(op, err)}
	}
	r := &root{disk: s.disk, fd: fd, path: s.template.base}
	r.st, err = s.disk.fstat(fd)
	for _, name := range s.template.elements(o) {
		if err == nil {
			err = r.descend(name, create)
		}
	}
	if err != nil {
		s.disk.close(r.fd)
		return nil, trouble(op, err)
	}
	return r, nil
}

// hidden keeps what an error wraps from errors.Is, but not its code.
type hidden struct{ error }

func (h *hidden) As(target any) bool { return errors.As(h.error, target) }

func (r *root) close() { r.disk.close(r.fd) }

// descend goes one directory down.
func (r *root) descend(name string, create bool) error {
	fd, err := r.open(r.fd, name, openDir, 0)
	if missing(err) && create {
		if err := r.mkdir(r.fd, name, 0o700); err != nil && !exists(err) {
			return err
		}
		if fd, err = r.open(r.fd, name, openDir, 0); err == nil {
			if err = errors.Join(r.adopt(fd), r.sync(r.fd)); err != nil {
				r.disk.close(fd)
			}
		}
	}
	if err != nil {
		return err
	}
	st, err := r.fstat(fd)
	r.disk.close(r.fd)
	r.fd, r.st, r.path = fd, st, r.path+"/"+name
	return err
}

// isMaildir looks for the directories in which mail lies; without either the
// error satisfies missing.
func (r *root) isMaildir() error {
	var err error
	for _, name := range []string{"cur", "new"} {
		if _, err = r.lstat(r.fd, name); !missing(err) {
			return err
		}
	}
	return err
}

// subdirs are the directories of a Maildir.
var subdirs = []string{"new", "cur", "tmp"}

// makeMaildir makes what a mailbox needs.
func (r *root) makeMaildir(sole bool, o account.Owner) error {
	made, err := r.makeDirs(r.fd, append([]string{spoolDir}, subdirs...))
	if made {
		err = errors.Join(err, r.sync(r.fd))
	}
	if err != nil || !sole {
		return err
	}
	return r.claim(o)
}

// ownerFile is, beside the spools, the file that says whose a mailbox is to which
// the template leads more than one user; ownerBytes is how long it may be.
const (
	ownerFile  = "owner"
	ownerBytes = 1024
)

// claim keeps a mailbox that the template gives to more than one user for the
// first of them.
func (r *root) claim(o account.Owner) error {
	fd, _, err := r.openDir(r.fd, spoolDir)
	if err != nil {
		return err
	}
	defer r.disk.close(fd)
	const name = ownerFile
	if text, err := r.readSmall(fd, name, ownerBytes); err == nil {
		if strings.TrimSpace(string(text)) != o.String() {
			return unavailable("opening the mailbox", "This mailbox belongs to another user; the mailbox setting should name "+
				"{user}, or {domain} and {local}.")
		}
		return nil
	} else if !missing(err) {
		return err
	}
	temp := "owner." + random()
	if err := r.writeNew(fd, temp, []byte(o.String()+"\n"), true); err != nil {
		return err
	}
	err = r.move(fd, temp, fd, name)
	if unsupported(err) {
		err = r.replace(fd, temp, fd, name)
	}
	if exists(err) { // Somebody was faster: who?
		if err := r.unlink(fd, temp); err != nil {
			return err
		}
		return r.claim(o)
	}
	return errors.Join(err, r.sync(fd))
}

// makeDirs makes the directories that are missing and reports whether any was.
func (r *root) makeDirs(dir int, names []string) (made bool, err error) {
	for _, name := range names {
		st, err := r.lstat(dir, name)
		switch {
		case missing(err):
			err := r.mkdir(dir, name, r.dirPerm(name))
			if err != nil && !exists(err) {
				return made, err
			}
			r.founded = r.founded || err == nil && dir == r.fd && name == subdirs[0]
			made = true
			fd, _, err := r.openDir(dir, name)
			if err != nil {
				return made, err
			}
			err = r.adopt(fd)
			r.disk.close(fd)
			if err != nil {
				return made, err
			}
		case err != nil:
			return made, err
		case !st.isDir():
			return made, unix.ENOTDIR
		}
	}
	return made, nil
}

// openDir opens a directory that has to lie on the mailbox's own device.
func (r *root) openDir(dir int, name string) (int, stat, error) {
	fd, err := r.open(dir, name, openDir, 0)
	if err != nil {
		return -1, stat{}, err
	}
	st, err := r.fstat(fd)
	if err == nil && st.dev != r.st.dev {
		err = unix.EXDEV
	}
	if err != nil {
		r.disk.close(fd)
		return -1, stat{}, err
	}
	return fd, st, nil
}

// dirPerm and filePerm are inherited from the mailbox's directory, as Dovecot
// does it. The spool is nobody else's.
func (r *root) dirPerm(name string) uint32 {
	if name == spoolDir {
		return 0o700
	}
	return 0o700 | r.st.mode&0o777
}

func (r *root) filePerm() uint32 { return 0o600 | r.st.mode&0o666 }

// adopt gives a new file or directory to the mailbox's owner when we, being
// root, are somebody else.
func (r *root) adopt(fd int) error {
	if os.Geteuid() != 0 || r.st.uid == 0 {
		return nil
	}
	return r.chown(fd, r.st.uid, r.st.gid)
}

// readSmall reads a regular file of at most limit octets.
func (r *root) readSmall(dir int, name string, limit int64) ([]byte, error) {
	fd, err := r.open(dir, name, openFile, 0)
	if err != nil {
		return nil, err
	}
	defer r.disk.close(fd)
	st, err := r.fstat(fd)
	if err != nil {
		return nil, err
	}
	if !st.isRegular() || st.size > limit {
		return nil, errNotPlain
	}
	return r.readAll(fd, limit)
}

// sameContent reports whether two entries are regular files of equal content. It is for
// where that decides whether one of them may go.
func (r *root) sameContent(dir int, name string, otherDir int, other string) (bool, error) {
	fd, err := r.open(dir, name, openFile, 0)
	if err != nil {
		return false, err
	}
	defer r.disk.close(fd)
	otherFd, err := r.open(otherDir, other, openFile, 0)
	if err != nil {
		return false, err
	}
	defer r.disk.close(otherFd)
	st, err := r.fstat(fd)
	if err != nil {
		return false, err
	}
	otherSt, err := r.fstat(otherFd)
	if err != nil || !otherSt.isRegular() || st.size != otherSt.size {
		return false, err
	}
	ours, theirs := reading{r, fd}, reading{r, otherFd}
	now, then := make([]byte, 64<<10), make([]byte, 64<<10)
	for left := st.size; left > 0; left -= int64(len(now)) {
		now, then = now[:min(left, int64(len(now)))], then[:min(left, int64(len(then)))]
		if _, err := io.ReadFull(ours, now); err != nil {
			return false, err
		}
		if _, err := io.ReadFull(theirs, then); err != nil {
			return false, err
		}
		if !bytes.Equal(now, then) {
			return false, nil
		}
	}
	return true, nil
}

func (r *root) readAll(fd int, limit int64) ([]byte, error) {
	buf := make([]byte, 0, 1024)
	for int64(len(buf)) <= limit {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.read(fd, buf[len(buf):cap(buf)])
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		buf = buf[:len(buf)+n]
	}
	return buf, nil
}

// writeNew makes a file with this content.
func (r *root) writeNew(dir int, name string, data []byte, durable bool) error {
	fd, err := r.open(dir, name, openNew, r.filePerm())
	if err != nil {
		return err
	}
	err = errors.Join(r.adopt(fd), r.writeAll(fd, data))
	if err == nil && durable {
		err = r.sync(fd)
	}
	if err = errors.Join(err, r.disk.close(fd)); err != nil {
		return errors.Join(err, r.unlink(dir, name))
	}
	return nil
}

func (r *root) writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := r.write(fd, p)
		if err != nil {
			return err
		}
		if n <= 0 {
			return unix.EIO
		}
		p = p[n:]
	}
	return nil
}

// folders calls f with the name of every folder's directory; "." is the inbox.
func (r *root) folders(ctx context.Context, f func(name string) error) error {
	if err := f("."); err != nil {
		return err
	}
	fd, err := r.open(r.fd, ".", openDir, 0) // A position of its own.
	if err != nil {
		return err
	}
	defer r.disk.close(fd)
	return r.each(fd, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(name) < 2 || name[0] != '.' || name[1] == '.' {
			return nil
		}
		st, err := r.lstat(r.fd, name)
		if missing(err) || err == nil && !st.isDir() {
			return nil
		}
		if err != nil {
			return err
		}
		return f(name)
	})
}

// removeTree removes a directory with all that is in it.
func (r *root) removeTree(dir int, name string) error { return r.removeBelow(dir, name, 16) }

func (r *root) removeBelow(dir int, name string, depth int) error {
	if depth == 0 {
		return unix.ELOOP
	}
	fd, _, err := r.openDir(dir, name)
	if err != nil {
		return err
	}
	defer r.disk.close(fd)
	for {
		var names []string
		err := r.each(fd, func(n string) error {
			if names = append(names, n); len(names) == 1000 {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		for _, n := range names {
			st, err := r.lstat(fd, n)
			switch {
			case missing(err):
			case err != nil:
				return err
			case st.isDir():
				err = r.removeBelow(fd, n, depth-1)
			default:
				err = r.unlink(fd, n)
			}
			if err != nil && !missing(err) {
				return err
			}
		}
		if len(names) < 1000 {
			return r.rmdir(dir, name)
		}
	}
}

var errEnough = errors.New("enough")

// errNotPlain is for what should be a small regular file and is not.
var errNotPlain = errors.New("not a small regular file")

// random is a part of a name that nobody else will think of.
func random() string { return strings.ToLower(rand.Text()[:12]) }
