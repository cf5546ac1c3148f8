// Package disk touches files in directories where others may write meanwhile: users with a
// shell, mail programs, restores. No link is followed, no path is resolved by the system, and
// what has to be a directory is checked to be one, on the same device, each time it is opened.
//
// All goes through one small interface, so that tests let the n-th operation fail.
package disk

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is the handful of operations by which mailboxes are touched, so
// that a test can let the n-th of them fail. Each names one entry of an open
// directory: a path is never resolved by the system, and no link is followed
// below a user's mailbox. (os.Root contains as well, but follows links that
// stay inside, and has no rename that refuses to replace.)
type Disk interface {
	Open(dir int, name string, flags int, perm uint32) (int, error)
	Mkdir(dir int, name string, perm uint32) error
	// Move renames and fails with EEXIST rather than replace; EINVAL where the
	// file system cannot promise that.
	Move(from int, name string, to int, newName string) error
	Replace(from int, name string, to int, newName string) error
	Link(from int, name string, to int, newName string) error
	Unlink(dir int, name string) error
	Rmdir(dir int, name string) error
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Sync(fd int) error
	// SyncAll makes everything durable that was written to the file system of an
	// open directory since it was opened, names included, or fails.
	SyncAll(dir int) error
	// SyncsAll reports whether SyncAll can be relied on to do and tell that.
	SyncsAll(dir int) bool
	Close(fd int) error
	Fstat(fd int) (Stat, error)
	Lstat(dir int, name string) (Stat, error)
	SetTime(dir int, name string, t time.Time) error
	Chown(fd int, uid, gid uint32) error
	// Each calls f with the name of every entry but . and .., a few hundred in
	// memory at a time.
	Each(fd int, f func(name string) error) error
}

// Stat is what is asked of a file.
type Stat struct {
	Dev, Ino uint64
	Mode     uint32
	Links    uint64
	UID, GID uint32
	Size     int64
	Modified time.Time
}

// IsDir reports whether it is a directory.
func (s Stat) IsDir() bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular reports whether it is a regular file.
func (s Stat) IsRegular() bool { return s.Mode&unix.S_IFMT == unix.S_IFREG }

// Is reports whether both are of one file, whatever became of its content.
func (s Stat) Is(o Stat) bool { return s.Dev == o.Dev && s.Ino == o.Ino }

// Same reports whether neither the file nor its content was exchanged.
func (s Stat) Same(o Stat) bool {
	return s.Dev == o.Dev && s.Ino == o.Ino && s.Size == o.Size && s.Modified.Equal(o.Modified)
}

// How directories and files are opened: never through a link, never waiting
// for the other end of a FIFO.
const (
	OpenDir    = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	OpenFile   = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	OpenAppend = unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	OpenNew    = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// Kernel is the real disk.
func Kernel() Disk { return kernel{} }

type kernel struct{}

// again repeats what a signal interrupted. It is not for fsync: what a failed
// fsync leaves behind is unknown.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (kernel) Open(dir int, name string, flags int, perm uint32) (fd int, err error) {
	err = again(func() error { fd, err = unix.Openat(dir, name, flags, perm); return err })
	return fd, err
}

func (kernel) Mkdir(dir int, name string, perm uint32) error {
	return again(func() error { return unix.Mkdirat(dir, name, perm) })
}

func (kernel) Move(from int, name string, to int, newName string) error {
	return again(func() error { return moveNoReplace(from, name, to, newName) })
}

func (kernel) Replace(from int, name string, to int, newName string) error {
	return again(func() error { return unix.Renameat(from, name, to, newName) })
}

func (kernel) Link(from int, name string, to int, newName string) error {
	return again(func() error { return unix.Linkat(from, name, to, newName, 0) })
}

func (kernel) Unlink(dir int, name string) error {
	return again(func() error { return unix.Unlinkat(dir, name, 0) })
}

func (kernel) Rmdir(dir int, name string) error {
	return again(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

func (kernel) Read(fd int, p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Read(fd, p); return err })
	return n, err
}

func (kernel) Write(fd int, p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Write(fd, p); return err })
	return n, err
}

func (kernel) Sync(fd int) error  { return unix.Fsync(fd) }
func (kernel) Close(fd int) error { return unix.Close(fd) }

func (kernel) SyncAll(dir int) error { return syncFileSystem(dir) }
func (kernel) SyncsAll(dir int) bool { return syncsFileSystem(dir) }

func (kernel) Fstat(fd int) (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &st) })
	return statOf(&st), err
}

func (kernel) Lstat(dir int, name string) (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return statOf(&st), err
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Links: uint64(st.Nlink), //nolint:unconvert // Narrower on other processors.
		UID: st.Uid, GID: st.Gid, Size: st.Size, Modified: time.Unix(st.Mtim.Unix()),
	}
}

func (kernel) SetTime(dir int, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return again(func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (kernel) Chown(fd int, uid, gid uint32) error {
	return again(func() error { return unix.Fchown(fd, int(uid), int(gid)) })
}

func (kernel) Each(fd int, f func(name string) error) error {
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	var names []string
	for {
		var n int
		err := again(func() (err error) { n, err = unix.ReadDirent(fd, buf); return err })
		if err != nil || n <= 0 {
			return err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
	}
}
