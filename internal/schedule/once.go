package schedule

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// fullAgain is how often a target that is full is looked at.
const fullAgain = time.Hour

// Once is Next for routes on which mail goes once: what went well is over, and nothing is due any more. What is
// refused at the target, and only somebody can mend, waits for them as what is refused at the source does.
func (p Policy) Once(l Lease, o Outcome, now time.Time, rnd float64) Settlement {
	s := p.Next(l, o, now, rnd)
	switch {
	case o.Err == nil && !o.More && s.State == account.OK:
		s.DueAt = time.Time{}
	case o.Err == nil || s.State == account.NeedsAttention:
	case o.Err.Code == fault.LocalMailboxUnavailable && o.Err.Final:
		s.State, s.DueAt = account.NeedsAttention, time.Time{}
	case o.Err.Code == fault.LocalOverQuota:
		s.DueAt = now.Add(jitter(fullAgain, rnd))
	}
	return s
}
