package fetch

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// A UID is never to be used again under one UIDVALIDITY, and UIDNEXT never to go
// back (RFC 9051 section 2.3.1.1), but there are servers that start again with an
// empty mailbox (GNU Mailutils), or with one that was restored. What is new then
// has the UID of what was delivered long ago, and would never arrive.
//
// So where UIDNEXT has gone back, or a settled UID is listed with a size that no
// message of that UID had and its header is another message's (see examineSuspects), the
// folder is treated as if its UIDVALIDITY had changed: a new epoch, in which
// everything is compared by its content, so that nothing is lost and nothing comes
// twice. That costs nothing where all is in order: both are seen in what is asked
// for anyway.
//
// A server that did it once does it again, perhaps between two visits and with as
// many messages as before, which no count would show. For a while such a folder is
// listed as a whole at each visit, the headers of its newest messages are read, and
// what seems new in it is compared with all that is missing: a server of which one
// half lags behind the other goes back and forth.

// renumberedFor is how long a folder is looked at in that way.
const renumberedFor = 30 * 24 * time.Hour

// renumbers reports whether the server used UIDs of the folder again lately.
func (v *visit) renumbers(f Folder) bool {
	return !f.Renumbered.IsZero() && v.Now().Sub(f.Renumbered) < renumberedFor
}

// renumber begins a new epoch of a folder under the same UIDVALIDITY.
func (v *visit) renumber(p *plan, why string) {
	p.folder.Epoch++
	p.folder.Cursor, p.folder.FirstUID, p.folder.Renumbered = Cursor{}, 0, v.Now()
	p.from, p.whole, p.revalidated, p.mayRematch = 0, true, true, true
	v.log.Warn("the server uses UIDs again", "folder", p.name(), "because", why, "epoch", p.folder.Epoch)
}

// wentBack reports whether the server's UIDNEXT is lower than it was. again says
// that only a listing of the whole folder shows it: a UIDNEXT that is not above every
// UID is wrong, and means nothing.
func (v *visit) wentBack(p *plan, l *mail.Listing) (back, again bool, err error) {
	st := l.Folder.Status
	if !v.byUID() || st.UIDNext == 0 || st.UIDNext >= p.folder.Cursor.UIDNext || !l.Complete ||
		st.Messages >= st.UIDNext || l.Below >= st.UIDNext {
		return false, false, nil
	}
	if !p.whole && st.Messages > 0 {
		return false, true, nil
	}
	if n := l.Len(); n > 0 {
		last, err := l.Page(n-1, 1)
		if err != nil || last[0].ID.UID >= st.UIDNext {
			return false, false, err
		}
	}
	return true, false, nil
}

// listAgain lists folders as a whole that have a new epoch, and compares them.
func (v *visit) listAgain(ctx context.Context, plans []*plan) error {
	queries := make([]mail.Query, len(plans))
	for i, p := range plans {
		p.suspects = nil
		queries[i] = mail.Query{Folder: p.remote, ReadWhole: v.readWhole}
	}
	if len(queries) == 0 {
		return nil
	}
	next := 0
	return v.session.List(ctx, queries, func(l mail.Listing, err error) error {
		p := plans[next]
		next++
		if err != nil {
			p.unread = fault.Of(err)
			p.forget()
			v.noteFailure(fault.FolderFailed, folderWhat(p.name()), err)
			return nil
		}
		again, err := v.compare(ctx, p, l)
		if again { // It changed in the meantime: the next visit's.
			p.forget()
		}
		return err
	})
}
