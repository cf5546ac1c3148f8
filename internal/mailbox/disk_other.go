//go:build !linux

package mailbox

import "golang.org/x/sys/unix"

// moveNoReplace says that there is no such call; a link and an unlink do the
// same in two steps.
func moveNoReplace(int, string, int, string) error { return unix.EINVAL }
