package schedule

import (
	"context"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
)

const (
	// SlowAfter is how long a visit takes that counts as slow. Uneventful ones
	// take a second at most, and one that brings much yields after two minutes.
	SlowAfter = 15 * time.Second
	// QuickAgain is how many quick visits in a row it takes after a slow one
	// until an account counts as quick. A new account needs one.
	QuickAgain = 3
	// reserved is the part of the slots, one in so many, that is only for
	// accounts that count as quick.
	reserved = 4
	// watchEvery is how often the slots are looked at.
	watchEvery = time.Second
	// noneFree is how long no slot may be free before that is an alarm.
	noneFree = time.Minute
	// lagEvery is how often lag is measured, lagPatience how long that may take.
	lagEvery    = 10 * time.Second
	lagPatience = 30 * time.Second
)

// errGaveWay ends a visit that takes long when its slot is needed.
var errGaveWay = fault.New(fault.Interrupted, "visiting the account", "the visit took long, and its slot was needed")

// underWay is a visit that holds a slot of this process.
type underWay struct {
	lease  fetch.Lease
	began  time.Time
	turn   int // Of its circuit.
	cancel context.CancelCauseFunc
	told   bool // To give way.
}

// turnedSlow reports whether a visit that was expected to be quick is not.
func (u *underWay) turnedSlow(now time.Time) bool {
	return u.lease.Account.Status.Quick && now.Sub(u.began) >= SlowAfter
}

func (u *underWay) slow(now time.Time) bool {
	return !u.lease.Account.Status.Quick || u.turnedSlow(now)
}

// forSlow is how many slots there are for visits that are not quick.
func (r *Runner) forSlow() int { return cap(r.slots) - cap(r.slots)/reserved }

// slowRoom is how many visits more may begin that do not count as quick. The
// caller holds the lock.
func (r *Runner) slowRoom(now time.Time) int {
	n := r.forSlow()
	for _, u := range r.running {
		if u.slow(now) {
			n--
		}
	}
	return max(0, n)
}

// watch looks after the slots until ctx ends: on its own, so that a claimer that
// waits, for a slot or for the database, cannot hide that it does.
func (r *Runner) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	busy := time.Now() // Since when no slot has been free.
	for {
		now := time.Now()
		free := cap(r.slots) - len(r.slots)
		switch {
		case free > 0:
			busy = now
		case now.Sub(busy) >= noneFree:
			r.o.Log.ErrorContext(ctx, "no slot for a visit has been free for a minute", "slots", cap(r.slots))
			busy = now
		}
		r.metrics.free.Set(float64(free))
		r.makeRoom(ctx, now, free)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// makeRoom ends visits that were expected to be quick and are not, when there is
// no free slot and such visits hold more than is theirs: first those of the user
// who has the most, then those that have taken longest.
func (r *Runner) makeRoom(ctx context.Context, now time.Time, free int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ofUser, slow := map[account.Owner]int{}, 0
	var turned []*underWay
	for _, u := range r.running {
		if !u.slow(now) || u.told {
			continue
		}
		slow++
		ofUser[u.lease.Account.Owner]++
		if u.turnedSlow(now) {
			turned = append(turned, u)
		}
	}
	r.metrics.slow.Set(float64(slow))
	if free > 0 {
		return
	}
	for excess := slow - r.forSlow(); excess > 0 && len(turned) > 0; excess-- {
		next := slices.MaxFunc(turned, func(a, b *underWay) int {
			if more := ofUser[a.lease.Account.Owner] - ofUser[b.lease.Account.Owner]; more != 0 {
				return more
			}
			return b.began.Compare(a.began)
		})
		turned = slices.DeleteFunc(turned, func(u *underWay) bool { return u == next })
		ofUser[next.lease.Account.Owner]--
		next.told = true
		next.cancel(errGaveWay)
		r.metrics.cut.Inc()
		r.o.Log.InfoContext(ctx, "a visit gives way", "account", next.lease.Account.ID, "after", now.Sub(next.began).Round(time.Second))
	}
}

// measureLag keeps the figure of lag true until ctx ends. While it cannot be
// measured it grows with time: so does the lag.
func (r *Runner) measureLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	var since time.Time // Of the account that has waited longest.
	for {
		if found, err := r.overdue(ctx); err == nil {
			since = found
		} else if ctx.Err() == nil {
			r.o.Log.WarnContext(ctx, "measuring lag", "error", err)
			if since.IsZero() {
				since = r.o.Now()
			}
		}
		lag := time.Duration(0)
		if !since.IsZero() {
			lag = max(0, r.o.Now().Sub(since))
		}
		r.metrics.lag.Set(lag.Seconds())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Runner) overdue(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	r.mu.Lock()
	closed, careful := r.circuits.gate(r.o.Now())
	r.mu.Unlock()
	for _, c := range careful {
		closed = append(closed, c.Circuit)
	}
	return r.o.Queue.Overdue(ctx, r.o.Now(), closed)
}
