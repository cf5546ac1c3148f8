package schedule

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// SlowAfter is how long a visit takes that counts as slow. Uneventful ones
	// take a second at most, and one that brings much yields after two minutes.
	SlowAfter = 15 * time.Second
	// QuickAgain is how many quick visits in a row it takes after a slow one
	// until an account counts as quick. A new account needs one.
	QuickAgain = 3
	// watchEvery is how often the slots are looked at.
	watchEvery = time.Second
	// noneFree is how long no slot may be free before that is an alarm.
	noneFree = time.Minute
	// lagEvery is how often lag is measured, lagPatience how long that may take.
	lagEvery    = 10 * time.Second
	lagPatience = 30 * time.Second
	// slowTurn is how long a slow visit has while others wait that are as slow:
	// more than the slice after which one that brings much yields. soleTurn is the
	// same for a user who has no other: large folders of slow servers are listed in it.
	slowTurn = 5 * time.Minute
	soleTurn = 20 * time.Minute
)

// errGaveWay ends a visit that takes long when its slot is needed.
var errGaveWay = fault.New(fault.Interrupted, "visiting the account",
	words.Say("the visit took long, and its slot was needed"))

// underWay is a visit that holds a slot of this process.
type underWay struct {
	lease    Lease
	began    time.Time
	turn     int // Of its circuit.
	cancel   context.CancelCauseFunc
	yielding bool // It was asked to give way.
}

// slow reports whether a visit takes long, or is expected to.
func (u *underWay) slow(now time.Time) bool {
	return u.lease.Row.Status.Slow > 1 || now.Sub(u.began) >= SlowAfter
}

// unsure reports whether a visit is slow, or nobody knows yet.
func (u *underWay) unsure(now time.Time) bool { return u.lease.Row.Status.Slow > 0 || u.slow(now) }

// forSlow is how many slots there are for slow visits: half.
func (r *Runner) forSlow() int { return cap(r.slots) - cap(r.slots)/2 }

// forUnsure is how many slots there are for visits of accounts that do not
// count as quick: three quarters. The rest is for those that do.
func (r *Runner) forUnsure() int { return cap(r.slots) - cap(r.slots)/4 }

// room is how many visits more may begin of accounts that do not count as
// quick, and of those whose last visits were slow. The caller holds the lock.
func (r *Runner) room(now time.Time) (unsure, slow int) {
	unsure, slow = r.forUnsure(), r.forSlow()
	for _, u := range r.running {
		if u.unsure(now) {
			unsure--
		}
		if u.slow(now) {
			slow--
		}
	}
	return max(0, unsure), max(0, slow)
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

// makeRoom ends visits that take long though nobody expected it, when slow ones
// hold more than half and others cannot begin: first those of the user who has
// the most, then those that have taken longest. What they committed stays, and
// they continue among the slow.
func (r *Runner) makeRoom(ctx context.Context, now time.Time, free int) {
	if r.o.Kind != route.Keep {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ofUser, slow, unsure := map[owner.Owner]int{}, 0, 0
	var turned []*underWay
	for _, u := range r.running {
		switch {
		case u.yielding:
			continue
		case u.slow(now):
			slow++
			ofUser[u.lease.Route.Owner]++
			if u.lease.Row.Status.Slow <= 1 {
				turned = append(turned, u)
			}
		}
		if u.unsure(now) {
			unsure++
		}
	}
	r.metrics.slow.Set(float64(slow))
	if free > 0 && unsure < r.forUnsure() {
		return
	}
	for excess := slow - r.forSlow(); excess > 0 && len(turned) > 0; excess-- {
		next := slices.MaxFunc(turned, func(a, b *underWay) int {
			if more := ofUser[a.lease.Route.Owner] - ofUser[b.lease.Route.Owner]; more != 0 {
				return more
			}
			return b.began.Compare(a.began)
		})
		turned = slices.DeleteFunc(turned, func(u *underWay) bool { return u == next })
		ofUser[next.lease.Route.Owner]--
		r.end(ctx, next, now)
	}
}

// end has a visit give way. The caller holds the lock.
func (r *Runner) end(ctx context.Context, u *underWay, now time.Time) {
	u.yielding = true
	u.cancel(errGaveWay)
	r.metrics.cut.Inc()
	r.o.Log.InfoContext(ctx, "a visit gives way",
		"account", u.lease.Route.ID, "after", now.Sub(u.began).Round(time.Second))
}

// EndVisits ends this process's visits for a user whose leases were taken away, at
// once; other processes find out when they prolong or use theirs.
func (r *Runner) EndVisits(o owner.Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.running {
		if u.lease.Route.Owner == o {
			u.cancel(fetch.ErrFenced)
		}
	}
}

// takeTurns ends slow visits that have had their turn, when slow ones hold all
// that they may and the users of others have fewer: those that finish a folder now
// and then would keep their slots for as long as a session may last.
func (r *Runner) takeTurns(ctx context.Context) error {
	if r.o.Kind != route.Keep {
		return nil
	}
	if slow, _ := r.slowVisits(time.Now()); len(slow) < r.forSlow() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	waiting, err := r.o.Queue.SlowWaiting(ctx, r.o.Worker, r.o.Now(), r.heldBack())
	if err != nil {
		return err
	}
	now := time.Now()
	slow, ending := r.slowVisits(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	ofUser := map[owner.Owner]int{}
	for _, u := range slow {
		ofUser[u.lease.Route.Owner]++
	}
	for _, user := range waiting[min(ending, len(waiting)):] {
		var next *underWay
		for _, u := range slow {
			has, turn := ofUser[u.lease.Route.Owner], slowTurn
			if has == 1 {
				turn = soleTurn
			}
			if u.yielding || has <= ofUser[user] || now.Sub(u.began) < turn {
				continue
			}
			if next == nil || cmp.Or(has-ofUser[next.lease.Route.Owner], next.began.Compare(u.began)) > 0 {
				next = u
			}
		}
		if next != nil {
			ofUser[next.lease.Route.Owner]--
			ofUser[user]++
			r.end(ctx, next, now)
		}
	}
	return nil
}

// slowVisits lists the slow visits, and counts those that give way already.
func (r *Runner) slowVisits(now time.Time) (slow []*underWay, ending int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.running {
		if u.yielding {
			ending++
		}
		if u.slow(now) {
			slow = append(slow, u)
		}
	}
	return slow, ending
}

// heldBack lists the circuits of which not everybody is visited.
func (r *Runner) heldBack() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed, recovering := r.circuits.gate(r.o.Now())
	for _, c := range recovering {
		closed = append(closed, c.Circuit)
	}
	return closed
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
		if err := r.takeTurns(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.WarnContext(ctx, "looking for slow accounts that wait", "error", err)
		}
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
	return r.o.Queue.Overdue(ctx, r.o.Kind, r.o.Now(), r.heldBack())
}
