//go:build !linux

package store

import "time"

// sinceBoot returns how to tell how long this process has been running: each
// has its own time.
func sinceBoot() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// bootID is not known: processes do not share a zero point then, and each goes
// by the machine's clock as it was when it began.
func bootID() string { return "" }
