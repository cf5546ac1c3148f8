package disk

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

func moveNoReplace(from int, name string, to int, newName string) error {
	return unix.Renameat2(from, name, to, newName, unix.RENAME_NOREPLACE)
}

func syncFileSystem(dir int) error { return unix.Syncfs(dir) }

// syncsFileSystem reports whether syncfs promises as much as fsync does: it
// reports failed writes since Linux 5.8, and does its work on the file systems
// that lie on a disk of their own. On others it may do nothing: FUSE, say.
func syncsFileSystem(dir int) bool {
	var st unix.Statfs_t
	if !tellsFailedWrites() || unix.Fstatfs(dir, &st) != nil {
		return false
	}
	return slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC},
		int64(st.Type)) //nolint:unconvert // Narrower on other processors.
}

var tellsFailedWrites = sync.OnceValue(func() bool {
	var name unix.Utsname
	return unix.Uname(&name) == nil && atLeast(unix.ByteSliceToString(name.Release[:]), 5, 8)
})

// atLeast compares a kernel's release, such as "6.1.0-18-amd64".
func atLeast(release string, major, minor int) bool {
	numbers := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) < 2 {
		return false
	}
	a, errA := strconv.Atoi(numbers[0])
	b, errB := strconv.Atoi(numbers[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}
