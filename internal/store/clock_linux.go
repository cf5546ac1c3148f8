package store

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how to tell how long ago the machine started, its sleep
// included: the same for all processes, and nobody can set it
// (clock_gettime(2), CLOCK_BOOTTIME, since Linux 2.6.39).
func sinceBoot() func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			panic(err) // A kernel without it runs no Go program.
		}
		return time.Duration(ts.Nano())
	}
}

// bootID distinguishes one start of the machine from another; "" when it cannot be read.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
