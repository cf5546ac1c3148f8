package fetch

import (
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/route"
)

// closing remembers folders over which servers end the connection, so that the next
// visits go around them. It is kept in memory: after a restart they are met once more.
type closing struct {
	mu      sync.Mutex
	folders map[closingFolder]closed
}

type closingFolder struct {
	account route.ID
	wire    string
}

// closed is when a folder is asked for again, after which pause, and why it was not read.
type closed struct {
	until time.Time
	pause time.Duration
	why   *fault.Error
}

// of returns what is remembered of a folder.
func (c *closing) of(a route.ID, wire string) (closed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.folders[closingFolder{a, wire}]
	return k, known
}

// learn notes how a folder fared: each time that the connection ends over it, it is
// left alone for twice as long, and for retrySkipped at most.
func (c *closing) learn(a route.ID, wire string, why *fault.Error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := closingFolder{a, wire}
	if why == nil || !why.Ended {
		delete(c.folders, key)
		return
	}
	if c.folders == nil {
		c.folders = map[closingFolder]closed{}
	}
	pause := min(max(2*c.folders[key].pause, endedPause), retrySkipped)
	c.folders[key] = closed{now.Add(pause), pause, why}
}

// avoidClosing divides folders that are to be listed: those that ended connections are left
// out until they are due, and then asked for last, one in a visit. Where there is
// nothing else to ask for, one is in any case; at a visit that was requested all are.
func (v *visit) avoidClosing(all []*plan) (asked []*plan) {
	var due *plan
	var since time.Time
	var last []*plan
	for _, p := range all {
		k, known := v.closing.of(v.lease.Route.ID, p.folder.Wire)
		switch {
		case !known:
			asked = append(asked, p)
			continue
		case v.lease.Requested:
			last = append(last, p)
			continue
		}
		p.unread = k.why
		if due == nil || k.until.Before(since) {
			due, since = p, k.until
		}
	}
	if due != nil && (len(asked) == 0 || !since.After(v.Now())) {
		due.unread = nil
		asked = append(asked, due)
	}
	for _, p := range all {
		if p.unread != nil {
			v.noteFailure(fault.FolderFailed, folderWhat(p.name()), p.unread)
		}
	}
	return append(asked, last...)
}
