package fetch

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// plan is what is to be done in one folder.
type plan struct {
	folder  Folder      // As the journal will know it: epoch and validity of this visit.
	remote  mail.Folder // As the server names it.
	from    uint32      // Listed from this UID on.
	whole   bool        // The listing was asked from the first message on.
	cursor  Cursor      // Where the folder stands once all that is listed is settled.
	changed bool        // Whether the journal's row differs from this one.
	written bool        // Where the folder stands was written.

	listing  mail.Listing
	complete bool            // The listing has all that the folder holds, from the UID on that it was asked from.
	verdicts verdicts        // By place in the listing.
	renamed  map[int]mail.ID // By place: what is fetched under another name than it is listed with. See reuse.

	// The listing is worked through in windows, newest first.
	below  int         // Later windows begin below this place in the listing; 0: there is none.
	above  int         // Where the oldest go first, later windows begin at this place.
	todo   []mail.Item // What is to be fetched in this window, newest first, or oldest first,
	places []uint32    // … and where in the listing each is.
	next   int         // Which of todo comes next, if all come in order: see placeOf.
	twins  []place     // Of this window: what waits for its twin.
	// Where the oldest go first: where in todo a message is, made when it is needed; else nil.
	byDate map[mail.ID]int

	// revalidated says that the UIDs have a new meaning since this visit.
	revalidated bool
	// unread says why the folder could not be listed.
	unread *fault.Error
	// mayRematch says that what seems new here may be known by another name.
	mayRematch bool
	// restarted says that the folder's cursor was for another start; see resetIfStartChanged.
	restarted bool
	sinceWas  time.Time           // The start before.
	waiting   map[mail.ID]Skipped // What was skipped here.
	suspects  []suspect           // What may be new under an old name: see examineSuspects.
	listed    *listingIndex       // The index of a complete listing, where mayRematch.
}

// settled reports whether the folder stands at cursor: its listing was complete,
// and nothing is left to be done about any message of it.
func (p *plan) settled() bool { return p.complete && p.verdicts.settled() }

// examined reports whether the folder was seen as a whole: nothing is missing in the
// listing, and none of it may be another message than it seems.
func (p *plan) examined() bool { return p.complete && p.verdicts.count(VerdictSuspect) == 0 }

// forget drops a listing that could not be compared.
func (p *plan) forget() {
	p.listing, p.complete, p.verdicts, p.renamed, p.below = mail.Listing{}, false, nil, nil, 0
}

// judge changes the verdict on the message at a place in the listing.
func (p *plan) judge(at int, v Verdict) {
	p.verdicts[at] = v
	p.changed = true
}

// item is a message of the listing by the name under which it is fetched.
func (p *plan) item(at int, it mail.Item) mail.Item {
	if id, ok := p.renamed[at]; ok {
		it.ID = id
	}
	return it
}

// decide judges the messages of this window: of returns the verdict on each, and what
// is not to be fetched then is taken off the window.
func (p *plan) decide(of func(at int, it mail.Item) Verdict) {
	n := 0
	for i, it := range p.todo {
		at := p.places[i]
		if verdict := of(int(at), it); verdict != VerdictFetch {
			p.judge(int(at), verdict)
			continue
		}
		p.todo[n], p.places[n] = it, at
		n++
	}
	clear(p.todo[n:])
	p.todo, p.places = p.todo[:n], p.places[:n]
	clear(p.byDate)
}

// placeOf returns where in the listing a message of this window is; false: it is not
// of this window.
func (p *plan) placeOf(it *mail.Item) (at int, ok bool) {
	i := p.next
	if i >= len(p.todo) || p.todo[i].ID != it.ID {
		i = p.search(it)
	}
	if i < 0 {
		return 0, false
	}
	p.next = i + 1
	return int(p.places[i]), true
}

// search finds a message of this window, which is in order; -1: it is not there.
func (p *plan) search(it *mail.Item) int {
	if p.byDate != nil {
		if len(p.byDate) == 0 {
			for i := range p.todo {
				p.byDate[p.todo[i].ID] = i
			}
		}
		if i, ok := p.byDate[it.ID]; ok {
			return i
		}
		return -1
	}
	order := func(it *mail.Item) uint32 { return cmp.Or(it.ID.UID, it.Number) }
	i := sort.Search(len(p.todo), func(i int) bool { return order(&p.todo[i]) <= order(it) })
	if i == len(p.todo) || p.todo[i].ID != it.ID {
		return slices.IndexFunc(p.todo, func(one mail.Item) bool { return one.ID == it.ID })
	}
	return i
}

// name is the folder's name for people.
func (p *plan) name() string { return p.folder.Remote }

// planFor decides from which UID on a folder is listed.
func (v *visit) planFor(f Folder, r mail.Folder) *plan {
	p := &plan{folder: f, remote: r, from: f.Cursor.UIDNext}
	if !v.byUID() {
		p.from = 0
	} else if r.Status.Known && r.Status.UIDValidity != 0 {
		v.validate(p, r.Status.UIDValidity)
	}
	v.resetIfStartChanged(p)
	due := v.Now()
	for _, s := range v.skipped {
		if s.FolderID == f.ID && s.FolderEpoch == p.folder.Epoch && s.ID.UID != 0 && s.due(due) {
			p.from = min(p.from, s.ID.UID)
		}
	}
	if v.byUID() && v.renumbers(p.folder) {
		p.from, p.mayRematch = 0, true
	}
	if p.folder.Cursor.UIDNext == 0 || v.scanDue(p.folder, due) {
		p.from = 0
	}
	p.whole = p.from == 0
	return p
}

// fails reports whether any of what is listed was skipped before.
func (v *visit) fails(p *plan) bool {
	return slices.ContainsFunc(v.skipped, func(s Skipped) bool {
		return s.FolderID == p.folder.ID && s.FolderEpoch == p.folder.Epoch && s.ID.UID >= p.from
	})
}

// scanDue reports whether the whole folder is to be compared again. A last time
// that is still to come was written by a clock that was ahead.
func (v *visit) scanDue(f Folder, now time.Time) bool {
	since := now.Sub(f.Cursor.FullScan)
	return since >= v.FullScan || since < -time.Minute
}

// validate begins a new epoch when the folder's UIDVALIDITY changed: the UIDs
// of before mean nothing any more (RFC 9051 section 2.3.1.1).
func (v *visit) validate(p *plan, validity uint32) {
	if p.folder.UIDValidity == validity {
		return
	}
	if p.folder.UIDValidity != 0 {
		p.folder.Epoch++
		p.mayRematch = true
		v.log.Info("UIDVALIDITY changed", "folder", p.name(), "was", p.folder.UIDValidity, "is", validity)
	}
	p.folder.UIDValidity, p.folder.Cursor, p.folder.FirstUID = validity, Cursor{}, 0
	p.from, p.whole, p.revalidated = 0, true, true
}

// unchanged reports whether the server's word along with the list is enough to
// know that a folder holds nothing new. A folder's UIDNEXT grows with every
// message (RFC 9051 section 2.3.1.1).
func (v *visit) unchanged(p *plan) bool {
	s, c := p.remote.Status, p.folder.Cursor
	return s.Known && s.UIDValidity != 0 && s.UIDNext != 0 && !p.whole && p.from >= c.UIDNext &&
		s.UIDNext == c.UIDNext && s.Messages == c.Messages
}
