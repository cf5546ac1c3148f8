package imapbox

import (
	"slices"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// intended is a message whose fate is asked for, in direct delivery or after a MOVE.
type intended struct {
	intent
	p  mail.Placement
	of int // Its place among those that are asked for.

	outcome outcome
	uid     uint32 // Where it lies, or lay.
	inOrder bool   // It was found where the order of the batch has it.
	asked   bool   // This process does not know.
}

// findAppended finds out what became of messages that were sealed for direct delivery, as far as it
// can be told now. doubts is how many are taken for lost that may have been stored.
func (f *finding) findAppended(c *conn, fates []mail.Fate) (doubts int, err error) {
	d := f.d
	byFolder := map[string][]*intended{}
	for _, m := range f.intended {
		byFolder[m.p.Folder] = append(byFolder[m.p.Folder], m)
	}
	for folder, ms := range byFolder {
		if d.recall(ms) {
			n, err := f.compare(c, folder, ms)
			if err != nil {
				return 0, err
			}
			doubts += n
		}
		d.mu.Lock()
		for _, m := range ms {
			switch {
			case m.outcome == stored:
				fates[m.of] = mail.Delivered
			case m.outcome == unsent && d.staged[m.p.Spool] != nil:
				fates[m.of] = mail.Pending
			default:
				fates[m.of] = mail.Lost
			}
		}
		d.mu.Unlock()
	}
	if c.caps["X-GM-EXT-1"] { // What it has is not stored again.
		doubts = 0
	}
	return doubts, nil
}

// recall takes over what this process knows, and reports whether anything is unknown.
func (d *Delivery) recall(ms []*intended) (ask bool) {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	known := d.box.sent[d.journal]
	for _, m := range ms {
		m.outcome, m.uid, m.inOrder = unknown, 0, false
		if s := known[m.p.Spool]; s != nil {
			m.outcome, m.uid = s.outcome, s.uid
		}
		m.asked = m.outcome == unknown
		ask = ask || m.asked
	}
	return ask
}

// from is the lowest UID that the message can have.
func (m *intended) from(validity uint32) uint32 {
	if m.validity != validity {
		return 1 // UIDs mean something else now: the whole folder is looked at.
	}
	return max(1, m.next)
}

// settled gives messages that are known to be stored their places, so that none of their twins is
// taken for stored by them. It returns UIDs that they had and their user took away.
func (v *view) settled(ms []*intended) (gone map[uint32]bool) {
	gone = map[uint32]bool{}
	var unnamed []*intended
	for _, m := range ms {
		if m.outcome != stored {
			continue
		}
		at := slices.IndexFunc(v.candidates, func(k *candidate) bool {
			return k.uid == m.uid && k.is(m.p)
		})
		switch {
		case m.validity != v.validity || m.uid < m.next || at < 0 && v.there[m.uid]:
			unnamed = append(unnamed, m) // Its UID was not told, or is not its own.
		case at < 0:
			gone[m.uid], m.inOrder = true, true
		default:
			v.candidates[at].used, m.inOrder = true, true
		}
	}
	for _, m := range unnamed {
		m.uid = 0
		if k := v.takeAny(m.p, m.from(v.validity)); k != nil {
			m.uid = k.uid
		}
	}
	return gone
}

// match looks for what is unknown among the candidates: first in the order in which a server
// stores what comes over one connection, then in any.
func (v *view) match(ms []*intended) {
	next := 0
	for _, k := range v.candidates {
		if k.used {
			continue
		}
		for i := next; i < len(ms); i++ {
			m := ms[i]
			if m.outcome == unknown && k.is(m.p) && k.uid >= m.from(v.validity) {
				k.used, m.outcome, m.uid, m.inOrder = true, stored, k.uid, m.validity == v.validity
				next = i + 1
				break
			}
		}
	}
	for _, m := range ms {
		if m.outcome != unknown {
			continue
		}
		if k := v.takeAny(m.p, m.from(v.validity)); k != nil {
			m.outcome, m.uid = stored, k.uid
		}
	}
}

// account judges what was not found by the UIDs that are gone. Where a later message of the batch
// is there, or was, one that is gone before it was stored too: a server takes what
// comes over one connection in order. What is left was certainly not stored if no UID is
// missing; else it is in doubt.
func (v *view) account(ms []*intended, gone map[uint32]bool) (doubts int) {
	missing := func(above, below uint32) uint32 {
		for u := above + 1; u < below; u++ {
			if !v.there[u] && !gone[u] {
				return u
			}
		}
		return 0
	}
	for i, m := range ms {
		if m.outcome != unknown || m.validity != v.validity {
			continue
		}
		lo, hi := m.from(v.validity)-1, uint32(0)
		for k := i - 1; k >= 0 && lo < m.next; k-- {
			if o := ms[k]; o.inOrder && o.epoch == m.epoch && o.batch == m.batch {
				lo = max(lo, o.uid)
			}
		}
		for k := i + 1; k < len(ms) && hi == 0; k++ {
			if o := ms[k]; o.inOrder && o.epoch == m.epoch && o.batch == m.batch {
				hi = o.uid
			}
		}
		if hi == 0 {
			continue
		}
		if u := missing(lo, hi); u != 0 {
			gone[u] = true
			m.outcome, m.uid, m.inOrder = stored, u, true
		}
	}
	for _, m := range ms {
		if m.outcome != unknown {
			continue
		}
		if m.validity != v.validity || v.next == 0 {
			doubts++
			continue
		}
		if u := missing(m.from(v.validity)-1, max(v.next, 1)); u != 0 {
			gone[u] = true
			doubts++
		}
	}
	return doubts
}
