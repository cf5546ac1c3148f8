package schedule

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

const (
	outageAccounts = 5                // So many different accounts that worked there before, and no success between them,
	outageUsers    = 3                // of so many different users,
	outageWindow   = 2 * time.Minute  // within this time, are an outage.
	relapseUsers   = 2                // While it recovers, failures of so many users are one again.
	ourHosts       = 3                // Failures at so many hosts, and no success anywhere, are our own network's.
	firstProbe     = 30 * time.Second // From the outage to the first probe; twice as long each time after.
	lastProbe      = 5 * time.Minute
	unused         = time.Hour // A circuit that nobody has asked for since its probe was due is forgotten.
	firstAllowance = 2         // Visits at a time once a probe went well; twice as many with each success.
)

// HostKey names a remote host for the cap on visits to it, and
// for administrators: its name in lower case, without a trailing dot; of an
// address the one spelling that all of its spellings share.
func HostKey(s remote.Server) string { return hostname.Key(s.Host) }

// CircuitKey names what can be out of order at a server: host, port
// and security, as in "imap.example.org:993/tls". A port where nothing listens,
// or one that speaks no TLS, says nothing of the host's other ports.
func CircuitKey(s remote.Server) string {
	return net.JoinHostPort(HostKey(s), strconv.Itoa(s.Port)) + "/" + string(s.Security)
}

// Recovering is a circuit that is probed, or recovers from an outage.
type Recovering struct {
	Circuit string
	Visits  int  // That may begin.
	Proven  bool // Only accounts that are account.Status.Proven may be taken: it is probed.
	// Except are users whose accounts are not taken, because they were the last
	// whose probe failed: nobody has all the probes.
	Except []owner.Owner
}

// circuits knows which remote servers are out of order, as far as this process
// has seen: many accounts that fail at one server at once, and worked there
// before, are the server's trouble and not the accounts'. An account that never
// succeeded there with its settings and credential as they are proves nothing:
// they may be wrong. It is not safe for concurrent use.
type circuits struct {
	cap      int // Visits at a host at a time when all is well.
	byKey    map[string]*circuit
	answered time.Time // When a server, whichever, was last seen to answer.
}

// circuit is one server. Only servers with visits under way or something wrong
// have one.
type circuit struct {
	host         string
	active       int                  // Visits under way.
	failed       map[route.ID]failure // Who failed since the last success.
	code         fault.Code           // The last of these failures.
	closed       int                  // How often it was closed.
	trying       int                  // Visits under way that began since.
	since        time.Time            // When the outage began; it is kept until the server is well.
	gap          time.Duration        // Until the next probe; 0: never out of order since it was well.
	probe        time.Time            // When the next probe is due; zero: it is not out of order.
	allow        int                  // Recovering: visits at a time; 0: no limit of ours.
	failedProbes []owner.Owner        // The last users whose probes failed, fewer than an outage takes.
}

type failure struct {
	user owner.Owner
	at   time.Time
}

func newCircuits(limit int) *circuits { return &circuits{cap: limit, byKey: map[string]*circuit{}} }

// began notes that a visit began. What it returns goes to ended.
func (cs *circuits) began(l Lease) (turn int) {
	key := CircuitKey(l.Route.From.Server)
	c := cs.byKey[key]
	if c == nil {
		c = &circuit{host: HostKey(l.Route.From.Server)}
		cs.byKey[key] = c
	}
	c.active++
	c.trying++
	return c.closed
}

// ended notes how a visit ended: nil when it went well.
func (cs *circuits) ended(l Lease, turn int, e *fault.Error, now time.Time) {
	key := CircuitKey(l.Route.From.Server)
	c := cs.byKey[key]
	if c == nil {
		return
	}
	c.active--
	if turn == c.closed {
		c.trying--
	}
	here := e == nil || !e.Elsewhere && !e.Limit
	switch {
	case e == nil, here && hostAnswered(e.Code):
		cs.answered = now
		c.answer(cs.cap)
	case here && hostFailed(e.Code) && l.Row.Status.Proven:
		cs.failure(c, l, e.Code, now)
	case c.probing(now) && turn == c.closed:
		c.inVain(l.Route.Owner)
		c.probe = now.Add(c.gap) // A probe that showed nothing.
	}
	if c.idle(now) {
		delete(cs.byKey, key)
	}
}

// brought notes that a visit which began so brought mail before it ended.
func (cs *circuits) brought(l Lease, turn int, now time.Time) {
	if c := cs.byKey[CircuitKey(l.Route.From.Server)]; c != nil && c.probing(now) && turn == c.closed {
		cs.answered = now
		c.answer(cs.cap)
	}
}

func (cs *circuits) failure(c *circuit, l Lease, code fault.Code, now time.Time) {
	if c.failed == nil {
		c.failed = map[route.ID]failure{}
	}
	c.failed[l.Route.ID] = failure{l.Route.Owner, now}
	c.forget(now)
	if cs.networkIsDown(now) {
		return
	}
	switch users := c.users(time.Time{}); {
	case now.Before(c.probe):
		return // It was under way when the server went out of order.
	case !c.probe.IsZero():
		c.inVain(l.Route.Owner)
		c.gap = min(2*c.gap, lastProbe)
	case c.allow > 0:
		if users < relapseUsers {
			return
		}
		c.gap = min(2*c.gap, lastProbe)
	case len(c.failed) >= outageAccounts && users >= outageUsers:
		c.gap, c.since = firstProbe, now
	default:
		return
	}
	c.probe, c.allow, c.code = now.Add(c.gap), 0, code
	c.closed++
	c.trying = 0
}

// networkIsDown reports whether accounts of several users fail at each of
// several hosts while nobody succeeds anywhere. Then it is no provider's outage
// but ours, and what was said of providers meanwhile is taken back: each account
// waits by itself.
func (cs *circuits) networkIsDown(now time.Time) bool {
	if cs.answered.After(now) {
		cs.answered = now // The clock was ahead when that was noted.
	}
	hosts := map[string]bool{}
	for _, c := range cs.byKey {
		c.forget(now)
		if c.users(cs.answered) >= relapseUsers {
			hosts[c.host] = true
		}
		if len(hosts) == ourHosts {
			break
		}
	}
	if len(hosts) < ourHosts {
		return false
	}
	for _, c := range cs.byKey {
		if !c.probe.IsZero() && c.since.After(cs.answered) {
			c.probe, c.gap, c.since, c.failedProbes = time.Time{}, 0, time.Time{}, nil
		}
	}
	return true
}

func (c *circuit) answer(limit int) {
	c.failed = nil
	switch {
	case !c.probe.IsZero():
		c.probe, c.allow, c.failedProbes = time.Time{}, firstAllowance, nil
	case c.allow > 0:
		c.allow *= 2
	}
	if c.allow >= limit {
		c.allow, c.gap, c.since = 0, 0, time.Time{}
	}
}

// users counts those who failed after a moment.
func (c *circuit) users(after time.Time) int {
	users := map[owner.Owner]bool{}
	for _, f := range c.failed {
		if f.at.After(after) {
			users[f.user] = true
		}
	}
	return len(users)
}

func (c *circuit) inVain(o owner.Owner) {
	c.failedProbes = append(slices.DeleteFunc(c.failedProbes, func(p owner.Owner) bool { return p == o }), o)
	c.failedProbes = c.failedProbes[max(0, len(c.failedProbes)-(outageUsers-1)):]
}

// probing reports whether a probe is due or under way.
func (c *circuit) probing(now time.Time) bool { return !c.probe.IsZero() && !now.Before(c.probe) }

// idle reports whether there is nothing to remember of the server.
func (c *circuit) idle(now time.Time) bool {
	c.forget(now)
	switch {
	case c.active > 0:
		return false
	case !c.probe.IsZero():
		return now.Sub(c.probe) > unused
	}
	return c.allow == 0 && len(c.failed) == 0
}

// forget drops failures that are too old to belong together, and such as are
// still to come: the clock was ahead then.
func (c *circuit) forget(now time.Time) {
	for id, f := range c.failed {
		if f.at.After(now) || now.Sub(f.at) > outageWindow {
			delete(c.failed, id)
		}
	}
}

// gate says what the next claims may take: of closed circuits nothing at all,
// and of recovering ones what each allows. Both are sorted.
func (cs *circuits) gate(now time.Time) (closed []string, recovering []Recovering) {
	for key, c := range cs.byKey {
		if c.idle(now) {
			delete(cs.byKey, key)
			continue
		}
		if c.probe.Sub(now) > lastProbe {
			c.probe = now // No probe is so far away: the clock was ahead when it was set.
		}
		if c.since.After(now) {
			c.since = now
		}
		allow, proven := c.allow, c.probing(now)
		if proven && now.Sub(c.probe) > lastProbe {
			// Of those who may, nobody is left: users who see an outage enter
			// their passwords again. Whoever is due finds out as well whether it is there.
			proven = false
		}
		switch {
		case c.probing(now):
			allow = 1
		case !c.probe.IsZero():
			allow = 0
		case allow == 0:
			continue
		}
		if c.trying >= allow {
			closed = append(closed, key)
			continue
		}
		recovering = append(recovering, Recovering{
			Circuit: key, Visits: allow - c.trying, Proven: proven, Except: slices.Clone(c.failedProbes),
		})
	}
	slices.Sort(closed)
	slices.SortFunc(recovering, func(a, b Recovering) int { return strings.Compare(a.Circuit, b.Circuit) })
	return closed, recovering
}

// outages lists the servers that are out of order, by name.
func (cs *circuits) outages() []Outage {
	var out []Outage
	for key, c := range cs.byKey {
		if !c.probe.IsZero() {
			out = append(out, Outage{Circuit: key, Code: c.code, Since: c.since, Probe: c.probe})
		}
	}
	slices.SortFunc(out, func(a, b Outage) int { return strings.Compare(a.Circuit, b.Circuit) })
	return out
}

// hostFailed reports whether the server, rather than the account, may be what failed.
func hostFailed(c fault.Code) bool {
	switch c {
	case fault.DNSFailure, fault.ConnectRefused, fault.ConnectTimeout, fault.TLSFailure, fault.ServerUnavailable:
		return true
	}
	return false // Not by how it is tried again: a defect of ours is tried as often.
}

// hostAnswered reports whether the visit got far enough to show that the server
// is there.
func hostAnswered(c fault.Code) bool {
	switch c {
	case fault.AuthFailed, fault.AppPasswordRequired, fault.AccessDisabled, fault.AccountLocked, fault.MailboxInUse,
		fault.AuthMechanismUnsupported, fault.FolderFailed, fault.MessageFailed:
		return true
	}
	return false
}
