package schedule

import (
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

const (
	outageAccounts = 5                // So many different accounts, and no success between them,
	outageWindow   = 2 * time.Minute  // within this time, are the host's outage.
	firstProbe     = 30 * time.Second // From the outage to the first probe; twice as long each time after.
	lastProbe      = 5 * time.Minute
	unused         = time.Hour // A host that nobody has asked for since its probe was due is forgotten.
	firstAllowance = 2         // Visits at a time once a probe went well; twice as many with each success.
)

// hosts knows which remote hosts are out of order, as far as this process has
// seen: many accounts that fail at one host at once are the host's trouble and
// not the accounts'. It is not safe for concurrent use.
type hosts struct {
	cap   int // Visits at a host at a time when all is well.
	byKey map[string]*host
}

// host is one remote host. Only hosts with visits under way or something
// wrong have one.
type host struct {
	active int                      // Visits under way.
	failed map[account.ID]time.Time // Who failed since the last success, and when.
	since  time.Time                // When it went out of order; it is kept until the host is well.
	gap    time.Duration            // Until the next probe; 0: never out of order since it was well.
	probe  time.Time                // When the next probe is due; zero: the host is not out of order.
	allow  int                      // Recovering: visits at a time; 0: no limit of ours.
}

func newHosts(limit int) *hosts { return &hosts{cap: limit, byKey: map[string]*host{}} }

// began notes that a visit began.
func (hs *hosts) began(key string) {
	h := hs.byKey[key]
	if h == nil {
		h = &host{}
		hs.byKey[key] = h
	}
	h.active++
}

// ended notes how a visit ended: "" when it went well.
func (hs *hosts) ended(key string, id account.ID, code fault.Code, now time.Time) {
	h := hs.byKey[key]
	if h == nil {
		return
	}
	h.active--
	switch {
	case hostFailed(code):
		hs.failed(h, id, now)
	case hostAnswered(code):
		hs.answered(h)
	case !h.probe.IsZero():
		h.probe = now.Add(h.gap) // A probe that showed nothing.
	}
	if h.idle(now) {
		delete(hs.byKey, key)
	}
}

func (hs *hosts) failed(h *host, id account.ID, now time.Time) {
	if h.failed == nil {
		h.failed = map[account.ID]time.Time{}
	}
	h.failed[id] = now
	h.forget(now)
	switch {
	case now.Before(h.probe):
		return // It was under way when the host went out of order.
	case !h.probe.IsZero(), h.allow > 0:
		h.gap = min(2*h.gap, lastProbe)
	case len(h.failed) >= outageAccounts:
		h.gap, h.since = firstProbe, now
	default:
		return
	}
	h.probe, h.allow = now.Add(h.gap), 0
}

func (hs *hosts) answered(h *host) {
	h.failed = nil
	switch {
	case !h.probe.IsZero():
		h.probe, h.allow = time.Time{}, firstAllowance
	case h.allow > 0:
		h.allow *= 2
	}
	if h.allow >= hs.cap {
		h.allow, h.gap, h.since = 0, 0, time.Time{}
	}
}

// idle reports whether there is nothing to remember of the host.
func (h *host) idle(now time.Time) bool {
	h.forget(now)
	switch {
	case h.active > 0:
		return false
	case !h.probe.IsZero():
		return now.Sub(h.probe) > unused
	}
	return h.allow == 0 && len(h.failed) == 0
}

// forget drops failures that are too old to belong together.
func (h *host) forget(now time.Time) {
	for id, at := range h.failed {
		if now.Sub(at) > outageWindow {
			delete(h.failed, id)
		}
	}
}

// gate says what the next claims may take: closed hosts nothing at all;
// careful ones, that are probed or recovering, no more than limit visits at a
// time each. Both are sorted.
func (hs *hosts) gate(now time.Time) (closed, careful []string, limit int) {
	for key, h := range hs.byKey {
		if h.idle(now) {
			delete(hs.byKey, key)
			continue
		}
		if h.probe.Sub(now) > lastProbe {
			h.probe = now // No probe is so far away: the clock was ahead when it was set.
		}
		allow := h.allow
		switch {
		case !h.probe.IsZero():
			allow = 1
			if now.Before(h.probe) {
				allow = 0
			}
		case allow == 0:
			continue
		}
		if h.active >= allow {
			closed = append(closed, key)
			continue
		}
		careful = append(careful, key)
		if limit == 0 || allow < limit {
			limit = allow
		}
	}
	slices.Sort(closed)
	slices.Sort(careful)
	return closed, careful, limit
}

// outages lists the hosts that are out of order, by name.
func (hs *hosts) outages() []Outage {
	var out []Outage
	for key, h := range hs.byKey {
		if !h.probe.IsZero() {
			out = append(out, Outage{Host: key, Since: h.since, Probe: h.probe})
		}
	}
	slices.SortFunc(out, func(a, b Outage) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// hostFailed reports whether the host, rather than the account, may be what failed.
func hostFailed(c fault.Code) bool {
	return c != "" && classOf(c) == network
}

// hostAnswered reports whether the visit got far enough to show that the host
// is there.
func hostAnswered(c fault.Code) bool {
	switch c {
	case "", fault.AuthFailed, fault.AppPasswordRequired, fault.AccessDisabled, fault.AccountLocked, fault.MailboxInUse,
		fault.FolderFailed, fault.MessageFailed, fault.MailLoop:
		return true
	}
	return false
}
