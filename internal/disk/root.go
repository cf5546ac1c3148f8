package disk

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is an open directory, below which no link is followed and no other file system
// entered.
type Root struct {
	Disk
	FD   int
	Stat Stat
	Path string // For the log and as a key; never opened.
}

// Descend goes one directory down.
func (r *Root) Descend(name string, create bool) error {
	fd, err := r.Open(r.FD, name, OpenDir, 0)
	if Missing(err) && create {
		if err := r.Mkdir(r.FD, name, 0o700); err != nil && !Exists(err) {
			return err
		}
		if fd, err = r.Open(r.FD, name, OpenDir, 0); err == nil {
			if err = errors.Join(r.Adopt(fd), r.Sync(r.FD)); err != nil {
				r.Disk.Close(fd)
			}
		}
	}
	if err != nil {
		return err
	}
	st, err := r.Fstat(fd)
	r.Disk.Close(r.FD)
	r.FD, r.Stat, r.Path = fd, st, r.Path+"/"+name
	return err
}

// OpenDir opens a directory that has to lie on the mailbox's own device.
func (r *Root) OpenDir(dir int, name string) (int, Stat, error) {
	fd, err := r.Open(dir, name, OpenDir, 0)
	if err != nil {
		return -1, Stat{}, err
	}
	st, err := r.Fstat(fd)
	if err == nil && st.Dev != r.Stat.Dev {
		err = unix.EXDEV
	}
	if err != nil {
		r.Disk.Close(fd)
		return -1, Stat{}, err
	}
	return fd, st, nil
}

// FilePerm is what a new file is permitted: inherited from the directory, as Dovecot does it.
func (r *Root) FilePerm() uint32 { return 0o600 | r.Stat.Mode&0o666 }

// Adopt gives a new file or directory to the mailbox's owner when we, being
// root, are somebody else.
func (r *Root) Adopt(fd int) error {
	if os.Geteuid() != 0 || r.Stat.UID == 0 {
		return nil
	}
	return r.Chown(fd, r.Stat.UID, r.Stat.GID)
}

// ReadSmall reads a regular file of at most limit octets.
func (r *Root) ReadSmall(dir int, name string, limit int64) ([]byte, error) {
	fd, err := r.Open(dir, name, OpenFile, 0)
	if err != nil {
		return nil, err
	}
	defer r.Disk.Close(fd)
	st, err := r.Fstat(fd)
	if err != nil {
		return nil, err
	}
	if !st.IsRegular() || st.Size > limit {
		return nil, ErrNotPlain
	}
	return r.ReadAll(fd, limit)
}

// SameContent reports whether two entries are regular files of equal content. It is for
// where that decides whether one of them may go.
func (r *Root) SameContent(dir int, name string, otherDir int, other string) (bool, error) {
	fd, err := r.Open(dir, name, OpenFile, 0)
	if err != nil {
		return false, err
	}
	defer r.Disk.Close(fd)
	otherFd, err := r.Open(otherDir, other, OpenFile, 0)
	if err != nil {
		return false, err
	}
	defer r.Disk.Close(otherFd)
	st, err := r.Fstat(fd)
	if err != nil {
		return false, err
	}
	otherSt, err := r.Fstat(otherFd)
	if err != nil || !otherSt.IsRegular() || st.Size != otherSt.Size {
		return false, err
	}
	ours, theirs := r.Reader(fd), r.Reader(otherFd)
	now, then := make([]byte, 64<<10), make([]byte, 64<<10)
	for left := st.Size; left > 0; left -= int64(len(now)) {
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

// ReadAll reads an open file of at most limit octets.
func (r *Root) ReadAll(fd int, limit int64) ([]byte, error) {
	buf := make([]byte, 0, 1024)
	for int64(len(buf)) <= limit {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(fd, buf[len(buf):cap(buf)])
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

// WriteNew makes a file with this content.
func (r *Root) WriteNew(dir int, name string, data []byte, durable bool) error {
	fd, err := r.Open(dir, name, OpenNew, r.FilePerm())
	if err != nil {
		return err
	}
	err = errors.Join(r.Adopt(fd), r.WriteAll(fd, data))
	if err == nil && durable {
		err = r.Sync(fd)
	}
	if err = errors.Join(err, r.Disk.Close(fd)); err != nil {
		return errors.Join(err, r.Unlink(dir, name))
	}
	return nil
}

// WriteAll writes all of p.
func (r *Root) WriteAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := r.Write(fd, p)
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

// RemoveTree removes a directory with all that is in it.
func (r *Root) RemoveTree(dir int, name string) error { return r.removeBelow(dir, name, 16) }

func (r *Root) removeBelow(dir int, name string, depth int) error {
	if depth == 0 {
		return unix.ELOOP
	}
	fd, _, err := r.OpenDir(dir, name)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	for {
		var names []string
		err := r.Each(fd, func(n string) error {
			if names = append(names, n); len(names) == 1000 {
				return ErrEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrEnough) {
			return err
		}
		for _, n := range names {
			st, err := r.Lstat(fd, n)
			switch {
			case Missing(err):
			case err != nil:
				return err
			case st.IsDir():
				err = r.removeBelow(fd, n, depth-1)
			default:
				err = r.Unlink(fd, n)
			}
			if err != nil && !Missing(err) {
				return err
			}
		}
		if len(names) < 1000 {
			return r.Rmdir(dir, name)
		}
	}
}

// ErrEnough ends an Each, or what is like it, that has seen enough.
var ErrEnough = errors.New("enough")

// ErrNotPlain is for what should be a small regular file and is not.
var ErrNotPlain = errors.New("not a small regular file")

// Random is a part of a name that nobody else will think of.
func Random() string { return strings.ToLower(rand.Text()[:12]) }

// Missing reports whether there is nothing of that name.
func Missing(err error) bool { return errors.Is(err, unix.ENOENT) }

// Exists reports whether the name is taken.
func Exists(err error) bool { return errors.Is(err, unix.EEXIST) }

// Unsupported reports whether the file system does not know the operation.
func Unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// Reader reads an open file.
func (r *Root) Reader(fd int) io.Reader { return reader{r, fd} }

type reader struct {
	root *Root
	fd   int
}

// Read implements io.Reader.
func (f reader) Read(p []byte) (int, error) {
	n, err := f.root.Read(f.fd, p)
	if n <= 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}
