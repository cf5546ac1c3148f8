package mailbox

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// disk is the handful of operations by which this package touches files, so
// that a test can let the n-th of them fail. Each names one entry of an open
// directory: a path is never resolved by the system, and no link is followed
// below a user's mailbox. (os.Root contains as well, but follows links that
// stay inside, and has no rename that refuses to replace.)
type disk interface {
	open(dir int, name string, flags int, perm uint32) (int, error)
	mkdir(dir int, name string, perm uint32) error
	// move renames and fails with EEXIST rather than replace; EINVAL where the
	// file system cannot promise that.
	move(from int, name string, to int, newName string) error
	replace(from int, name string, to int, newName string) error
	link(from int, name string, to int, newName string) error
	unlink(dir int, name string) error
	rmdir(dir int, name string) error
	read(fd int, p []byte) (int, error)
	write(fd int, p []byte) (int, error)
	sync(fd int) error
	// syncAll makes everything durable that was written to the file system of an
	// open directory since it was opened, names included, or fails.
	syncAll(dir int) error
	// syncsAll reports whether syncAll can be relied on to do and tell that.
	syncsAll(dir int) bool
	close(fd int) error
	fstat(fd int) (stat, error)
	lstat(dir int, name string) (stat, error)
	setTime(dir int, name string, t time.Time) error
	chown(fd int, uid, gid uint32) error
	// each calls f with the name of every entry but . and .., a few hundred in
	// memory at a time.
	each(fd int, f func(name string) error) error
}

// stat is what is asked of a file.
type stat struct {
	dev, ino uint64
	mode     uint32
	links    uint64
	uid, gid uint32
	size     int64
	mtime    time.Time
}

func (s stat) isDir() bool     { return s.mode&unix.S_IFMT == unix.S_IFDIR }
func (s stat) isRegular() bool { return s.mode&unix.S_IFMT == unix.S_IFREG }

// is reports whether both are of one file, whatever became of its content.
func (s stat) is(o stat) bool { return s.dev == o.dev && s.ino == o.ino }

// same reports whether neither the file nor its content was exchanged.
func (s stat) same(o stat) bool {
	return s.dev == o.dev && s.ino == o.ino && s.size == o.size && s.mtime.Equal(o.mtime)
}

// How directories and files are opened: never through a link, never waiting
// for the other end of a FIFO.
const (
	openDir    = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	openFile   = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	openAppend = unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	openNew    = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// kernel is the real disk.
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

func (kernel) open(dir int, name string, flags int, perm uint32) (fd int, err error) {
	err = again(func() error { fd, err = unix.Openat(dir, name, flags, perm); return err })
	return fd, err
}

func (kernel) mkdir(dir int, name string, perm uint32) error {
	return again(func() error { return unix.Mkdirat(dir, name, perm) })
}

func (kernel) move(from int, name string, to int, newName string) error {
	return again(func() error { return moveNoReplace(from, name, to, newName) })
}

func (kernel) replace(from int, name string, to int, newName string) error {
	return again(func() error { return unix.Renameat(from, name, to, newName) })
}

func (kernel) link(from int, name string, to int, newName string) error {
	return again(func() error { return unix.Linkat(from, name, to, newName, 0) })
}

func (kernel) unlink(dir int, name string) error {
	return again(func() error { return unix.Unlinkat(dir, name, 0) })
}

func (kernel) rmdir(dir int, name string) error {
	return again(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

func (kernel) read(fd int, p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Read(fd, p); return err })
	return n, err
}

func (kernel) write(fd int, p []byte) (n int, err error) {
	err = again(func() error { n, err = unix.Write(fd, p); return err })
	return n, err
}

func (kernel) sync(fd int) error  { return unix.Fsync(fd) }
func (kernel) close(fd int) error { return unix.Close(fd) }

func (kernel) syncAll(dir int) error { return syncFileSystem(dir) }
func (kernel) syncsAll(dir int) bool { return syncsFileSystem(dir) }

func (kernel) fstat(fd int) (stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &st) })
	return statOf(&st), err
}

func (kernel) lstat(dir int, name string) (stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return statOf(&st), err
}

func statOf(st *unix.Stat_t) stat {
	return stat{
		dev: st.Dev, ino: st.Ino, mode: st.Mode, links: uint64(st.Nlink), //nolint:unconvert // Narrower on other processors.
		uid: st.Uid, gid: st.Gid, size: st.Size, mtime: time.Unix(st.Mtim.Unix()),
	}
}

func (kernel) setTime(dir int, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return again(func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (kernel) chown(fd int, uid, gid uint32) error {
	return again(func() error { return unix.Fchown(fd, int(uid), int(gid)) })
}

func (kernel) each(fd int, f func(name string) error) error {
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
