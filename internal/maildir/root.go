package maildir

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// root is an open mailbox.
type root struct {
	disk.Root
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
func (s *Store) openRoot(o owner.Owner, how purpose) (*root, error) {
	const op = "opening the mailbox"
	if o.IsZero() {
		return nil, disk.Internal(op, words.Say("no user is named"))
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
		s.disk.Close(r.FD)
		return nil, disk.Trouble(op, err)
	}
	return r, nil
}

// reach goes to where a user's mailbox lies, and opens the directory there.
func (s *Store) reach(o owner.Owner, create bool) (*root, error) {
	const op = "opening the mailbox"
	fd, err := s.disk.Open(unix.AT_FDCWD, s.template.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		// Not ErrNotExist: a place that is gone is no empty mailbox.
		return nil, &hidden{disk.Trouble(op, err)}
	}
	r := &root{Root: disk.Root{Disk: s.disk, FD: fd, Path: s.template.base}}
	r.Stat, err = s.disk.Fstat(fd)
	for _, name := range s.template.elements(o) {
		if err == nil {
			err = r.Descend(name, create)
		}
	}
	if err != nil {
		s.disk.Close(r.FD)
		return nil, disk.Trouble(op, err)
	}
	return r, nil
}

// hidden keeps what an error wraps from errors.Is, but not its code.
type hidden struct{ error }

func (h *hidden) As(target any) bool { return errors.As(h.error, target) }

func (r *root) close() { r.Disk.Close(r.FD) }

// isMaildir looks for the directories in which mail lies; without either the
// error satisfies missing.
func (r *root) isMaildir() error {
	var err error
	for _, name := range []string{"cur", "new"} {
		if _, err = r.Lstat(r.FD, name); !disk.Missing(err) {
			return err
		}
	}
	return err
}

// subdirs are the directories of a Maildir.
var subdirs = []string{"new", "cur", "tmp"}

// makeMaildir makes what a mailbox needs.
func (r *root) makeMaildir(sole bool, o owner.Owner) error {
	made, err := r.makeDirs(r.FD, append([]string{spool.Dir}, subdirs...))
	if made {
		err = errors.Join(err, r.Sync(r.FD))
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
func (r *root) claim(o owner.Owner) error {
	fd, _, err := r.OpenDir(r.FD, spool.Dir)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	const name = ownerFile
	if text, err := r.ReadSmall(fd, name, ownerBytes); err == nil {
		if strings.TrimSpace(string(text)) != o.String() {
			return disk.Unavailable("opening the mailbox",
				words.Say("This mailbox belongs to another user; the mailbox setting should name {user}, or "+
					"{domain} and {local}."))
		}
		return nil
	} else if !disk.Missing(err) {
		return err
	}
	temp := "owner." + disk.Random()
	if err := r.WriteNew(fd, temp, []byte(o.String()+"\n"), true); err != nil {
		return err
	}
	err = r.Move(fd, temp, fd, name)
	if disk.Unsupported(err) {
		err = r.Replace(fd, temp, fd, name)
	}
	if disk.Exists(err) { // Somebody was faster: who?
		if err := r.Unlink(fd, temp); err != nil {
			return err
		}
		return r.claim(o)
	}
	return errors.Join(err, r.Sync(fd))
}

// makeDirs makes the directories that are missing and reports whether any was.
func (r *root) makeDirs(dir int, names []string) (made bool, err error) {
	for _, name := range names {
		st, err := r.Lstat(dir, name)
		switch {
		case disk.Missing(err):
			err := r.Mkdir(dir, name, r.dirPerm(name))
			if err != nil && !disk.Exists(err) {
				return made, err
			}
			r.founded = r.founded || err == nil && dir == r.FD && name == subdirs[0]
			made = true
			fd, _, err := r.OpenDir(dir, name)
			if err != nil {
				return made, err
			}
			err = r.Adopt(fd)
			r.Disk.Close(fd)
			if err != nil {
				return made, err
			}
		case err != nil:
			return made, err
		case !st.IsDir():
			return made, unix.ENOTDIR
		}
	}
	return made, nil
}

// dirPerm and filePerm are inherited from the mailbox's directory, as Dovecot
// does it. The spool is nobody else's.
func (r *root) dirPerm(name string) uint32 {
	if name == spool.Dir {
		return 0o700
	}
	return 0o700 | r.Stat.Mode&0o777
}

// folders calls f with the name of every folder's directory; "." is the inbox.
func (r *root) folders(ctx context.Context, f func(name string) error) error {
	if err := f("."); err != nil {
		return err
	}
	fd, err := r.Open(r.FD, ".", disk.OpenDir, 0) // A position of its own.
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	return r.Each(fd, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(name) < 2 || name[0] != '.' || name[1] == '.' {
			return nil
		}
		st, err := r.Lstat(r.FD, name)
		if disk.Missing(err) || err == nil && !st.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		return f(name)
	})
}
