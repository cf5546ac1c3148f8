package oauth

import (
	"errors"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
)

const (
	outageUsers  = 3                // So many different users, who were given tokens before, and no answer between them,
	outageWindow = 2 * time.Minute  // within this time, are an outage of where tokens come from.
	firstProbe   = 30 * time.Second // From the outage to the next request; twice as long each time after.
	lastProbe    = 5 * time.Minute
)

// outages knows which providers give no tokens at present, as far as this
// process has seen: they are asked by one account at a time, now and then. It
// says nothing of the mail servers, where tokens that are still good continue
// working.
type outages struct {
	mu         sync.Mutex
	byProvider map[string]*tokenOutage
}

// tokenOutage is what is wrong with where a provider's tokens come from.
type tokenOutage struct {
	failed map[owner.Owner]time.Time // Who failed since it last answered.
	gap    time.Duration
	probe  time.Time // When it is asked next; zero: it is not out of order.
	turn   int       // How often it went out of order, or was probed.
}

// enter reports how long the provider must not be asked; 0: now it may, and turn
// goes to leave. Whoever may ask while it is out of order is alone until the
// answer, or the gap, is over.
func (o *outages) enter(provider string, now time.Time) (turn int, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.byProvider[provider]
	if t == nil || t.probe.IsZero() {
		return 0, 0
	}
	// No request is further away than this, unless the clock was ahead when it was set.
	if wait := t.probe.Sub(now); wait > 0 && wait <= lastProbe {
		return 0, wait
	}
	t.probe = now.Add(t.gap)
	t.turn++
	return t.turn, 0
}

// leave notes how asking ended.
func (o *outages) leave(provider string, turn int, who owner.Owner, err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !givesNone(err) {
		delete(o.byProvider, provider)
		return
	}
	t := o.byProvider[provider]
	if t == nil {
		t = &tokenOutage{failed: map[owner.Owner]time.Time{}}
		o.byProvider[provider] = t
	}
	t.failed[who] = now
	for user, at := range t.failed {
		if at.After(now) || now.Sub(at) > outageWindow { // To come: the clock was ahead then.
			delete(t.failed, user)
		}
	}
	switch {
	case !t.probe.IsZero() && turn != t.turn:
		return // It was asked before it went out of order.
	case !t.probe.IsZero():
		t.gap = min(2*t.gap, lastProbe)
	case len(t.failed) >= outageUsers:
		t.gap = firstProbe
		t.turn++
	default:
		return
	}
	t.probe = now.Add(t.gap)
}

// givesNone reports whether it is the provider that fails. A refusal is an
// answer, which one account's permission may have earned.
func givesNone(err error) bool {
	var refused *refusedError
	return fault.CodeOf(err) == fault.ServerUnavailable && (!errors.As(err, &refused) || refused.busy)
}
