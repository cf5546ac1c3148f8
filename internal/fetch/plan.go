package fetch

import (
	"slices"
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
	cursor  Cursor      // Where the folder stands once all of todo is settled.
	settles bool        // Whether cursor may be written then.
	changed bool        // Whether the journal's row differs from this one, were nothing delivered.

	// The listing is worked through in windows, newest first.
	listing mail.Listing
	done    bits        // By place in the listing: what is not to be fetched.
	news    int         // The others,
	left    int         // … all of which lie below this place, but for the window's.
	extra   []mail.Item // Wanted beside them: see reuse.
	todo    []mail.Item // This window's, newest first.
	twins   []mail.Item // What other folders bring: the same messages by the server's word.
	asked   int         // Items of todo, in all windows so far,
	landed  int         // … that were delivered,
	passed  int         // … and that were skipped.
	refused int         // Skipped for the first time, and not for their size.
	untried int         // Of this window's: skipped in earlier visits, and not yet tried in this one.
	coupled int         // Items of twins, in all windows so far,
	paired  int         // … and those whose other copy was delivered.
	written bool        // Where the folder stands was written.

	// revalidated says that the UIDs have a new meaning since this visit.
	revalidated bool
	// unread says why the folder could not be listed.
	unread *fault.Error
	// unfamiliar says that what seems new here may be known by another name.
	unfamiliar bool
	// restarted says that the folder's cursor was for another start; see begin.
	restarted bool
	sinceWas  time.Time           // The start before.
	waiting   map[mail.ID]Skipped // What was skipped here.
	suspects  []suspect           // What may be new under an old name: see reuse.
	listed    *roll               // What a complete listing of an unfamiliar folder named.
}

// settled reports whether the folder stands at cursor: its listing was whole
// and every item of it is delivered, skipped, or delivered from elsewhere.
func (p *plan) settled() bool {
	return p.settles && p.left == 0 && p.landed+p.passed == p.asked && p.paired == p.coupled
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
	v.begin(p)
	due := v.Now()
	for _, s := range v.skipped {
		if s.FolderID == f.ID && s.FolderEpoch == p.folder.Epoch && s.ID.UID != 0 && s.due(due) {
			p.from = min(p.from, s.ID.UID)
		}
	}
	if v.byUID() && v.renumbers(p.folder) {
		p.from, p.unfamiliar = 0, true
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
		p.unfamiliar = true
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
