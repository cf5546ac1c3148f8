package mailtest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// memoryRoom is what has to be free in memory before tests use it as a disk, in
// octets: some databases, their logs, and mailboxes.
const memoryRoom = 2 << 30

// Memory returns the directory of a file system in memory, or "", which stands
// for the system's temporary directory, where there is none with room. An fsync
// costs nothing there: it is for tests that do not cut the power.
func Memory() string {
	const dir = "/dev/shm"
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || s.Type != unix.TMPFS_MAGIC || int64(s.Bavail)*s.Bsize < memoryRoom {
		return ""
	}
	return dir
}

// InMemory is testing.TB.TempDir in memory, where there is room.
func InMemory(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(Memory(), "mailtest-")
	if err != nil {
		tb.Fatalf("making a directory in memory: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("removing %s: %v", dir, err)
		}
	})
	return dir
}
