//go:build !linux

package disk

import "golang.org/x/sys/unix"

// moveNoReplace says that there is no such call; a link and an unlink do the
// same in two steps.
func moveNoReplace(int, string, int, string) error { return unix.EINVAL }

// syncFileSystem is not to be had: each file is synced by itself.
func syncFileSystem(int) error { return unix.ENOSYS }

func syncsFileSystem(int) bool { return false }
