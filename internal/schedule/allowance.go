package schedule

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// Allowance is what the provider of an account asks of programs. Zero: nothing
// is known, and the installation's own limits alone hold.
type Allowance struct {
	Interval    time.Duration // The least between two visits that nobody asked for.
	Connections int           // At one of its hosts at a time.
	BytesPerDay int64         // That one account may bring within 24 hours.
}

// Allowances says what a mailbox's provider asks. Nil: nothing of anybody.
type Allowances func(remote.Mailbox) Allowance

// Of is what the provider of a mailbox asks.
func (f Allowances) Of(m remote.Mailbox) Allowance {
	if f == nil {
		return Allowance{}
	}
	return f(m)
}

// atHost is how many visits there may be at a host at a time.
func (l Allowance) atHost(perHost int) int {
	if l.Connections > 0 {
		return min(perHost, l.Connections)
	}
	return perHost
}

// HostAllowances says how many visits there may be at a remote host (see HostKey)
// at a time by its provider's word; 0: nothing is known.
type HostAllowances func(host string) int

// budgetDay is over how long a provider counts what is downloaded.
const budgetDay = 24 * time.Hour

// Brought is what one visit brought, and when it ended.
type Brought struct {
	At    time.Time
	Bytes int64
}

// free returns when an account that brought all this within a day may bring more:
// when a tenth of what its provider allows is free again. Zero: it may now.
func (l Allowance) free(brought []Brought) time.Time {
	var sum int64
	for _, b := range brought {
		sum += b.Bytes
	}
	if l.BytesPerDay <= 0 || sum < l.BytesPerDay {
		return time.Time{}
	}
	var at time.Time
	for _, b := range brought { // The oldest first.
		if sum -= b.Bytes; sum <= l.BytesPerDay/10*9 {
			at = b.At.Add(budgetDay)
			break
		}
	}
	return at
}
