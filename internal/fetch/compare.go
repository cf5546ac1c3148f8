package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/words"
)

// compare holds a listing against the journal. again says that the server's
// count cannot be accounted for: then the whole folder is listed.
func (v *visit) compare(ctx context.Context, p *plan, l mail.Listing) (again bool, err error) {
	before := p.folder.Epoch
	if uv := l.Folder.Status.UIDValidity; v.byUID() && uv != 0 {
		v.validate(p, uv)
		if p.folder.Epoch != before && l.Len() != int(l.Folder.Status.Messages) {
			return true, nil
		}
	}
	if !l.Complete && !p.whole && v.byUID() {
		return true, nil // What is new cannot be told from what is only counted otherwise.
	}
	back, again, err := v.wentBack(p, &l)
	if again || err != nil {
		return again, err
	}
	if back {
		v.renumber(p, "UIDNEXT went back")
	}
	if l.Unread > 0 {
		v.noteFailure(fault.FolderFailed, folderWhat(p.name()), fault.New(fault.ProtocolError, "listing",
			words.Say("what the server says of messages here cannot be read (%d)", l.Unread)))
	} else if !l.Complete && l.Len() == 0 {
		p.unread = fault.New(fault.FolderFailed, "listing",
			words.Say("The server counts %d messages in folder %s and lists none.",
				l.Folder.Status.Messages, p.name()))
		v.noteFailure(fault.FolderFailed, folderWhat(p.name()), p.unread)
	} else if !l.Complete {
		// Everything that it lists is fetched: a wrong number is nobody's trouble.
		v.miscounted.Add(1)
		v.log.Info("the server counts other messages than it lists", "folder", p.name(),
			"counted", l.Folder.Status.Messages, "listed", l.Len())
	}
	var digest [16]byte
	if !v.byUID() {
		if digest, err = v.listingDigest(&l); err != nil {
			return false, err
		}
	}
	if !v.byUID() && l.Complete && digest == p.folder.Cursor.Listing && !v.scanDue(p.folder, v.Now()) && !v.retryDue(p) {
		return false, nil // POP3: the same listing as last time, all of it settled.
	}
	cost := v.cost(&l)
	if err := taken(ctx, cost+int64(l.Len())*verdictCost); err != nil {
		return false, err
	}
	defer func() {
		if p.listed == nil {
			memory.Of(ctx).Give(cost)
		}
	}()
	r, err := v.indexListing(&l)
	if err != nil {
		return false, err
	}
	if !p.whole && l.Folder.Status.Known && v.byUID() {
		settled, _ := r.find(mail.ID{UID: max(p.folder.Cursor.UIDNext, 1)})
		news := r.n - settled
		was, is := int(p.folder.Cursor.Messages), int(l.Folder.Status.Messages)
		gone := was + news - is
		if gone < 0 || news > 0 && gone > 0 && 2*gone >= was {
			return true, nil // More than came, or so much gone that it may be here under other UIDs.
		}
	}
	c, err := v.compareWithJournal(ctx, p, r)
	if err != nil {
		return false, err
	}
	return false, v.plan(p, l, c, digest)
}

// plan notes what is to be fetched from a folder, and where the folder stands
// afterwards.
func (v *visit) plan(p *plan, l mail.Listing, c *comparison, digest [16]byte) error {
	now := v.Now()
	p.listing, p.below, p.verdicts, p.renamed = l, l.Len(), c.verdicts, nil
	p.waiting = map[mail.ID]Skipped{}
	for _, s := range v.skipped {
		if s.FolderID == p.folder.ID && s.FolderEpoch == p.folder.Epoch {
			p.waiting[s.ID] = s
		}
	}
	there, err := v.noteSuspects(p, &l, c, now)
	if err != nil {
		return err
	}
	for id, s := range p.waiting {
		at, listed := c.index.find(id)
		switch {
		case listed && p.verdicts[at] == VerdictFetch:
			p.verdicts[at] = s.Verdict(now)
		case listed:
		case l.Complete && id.UID >= p.from && !there[id]:
			v.unskip = append(v.unskip, s) // It is gone from the server, and with it the need to try.
		}
	}
	if err := v.decideRematch(p, &l, c); err != nil {
		return err
	}
	st := l.Folder.Status
	k := Cursor{UIDNext: st.UIDNext, Messages: st.Messages, Listing: digest, FullScan: p.folder.Cursor.FullScan}
	if !v.byUID() {
		k.UIDNext, k.Messages = 0, uint32(l.Len())
	} else {
		top := uint32(0)
		if n := len(c.index.uids); n > 0 {
			top = c.index.uids[n-1]
		}
		if k.UIDNext == 0 || k.UIDNext <= top {
			k.UIDNext = top + 1 // A server's own UIDNEXT is a hint only.
		}
		if !p.whole {
			k.UIDNext = max(k.UIDNext, p.folder.Cursor.UIDNext)
		}
	}
	if p.whole && (!v.renumbers(p.folder) || v.scanDue(p.folder, now)) {
		k.FullScan = now
	}
	p.cursor, p.complete = k, l.Complete
	if v.byUID() && l.Complete && p.folder.FirstUID == 0 {
		p.folder.FirstUID = k.UIDNext
	}
	if k != p.folder.Cursor || p.folder.Remaining != int64(st.Messages) {
		p.changed = true
	}
	p.folder.Remaining = int64(st.Messages)
	return nil
}

// decideRematch decides whether what seems new may be known by another name: in a
// complete listing from which at least half of what was settled is missing. A
// listing by UIDL may leave out a line, complete or not: then one message is
// missing, and the same message seems new.
func (v *visit) decideRematch(p *plan, l *mail.Listing, c *comparison) error {
	if !p.whole || !l.Complete && v.byUID() || p.verdicts.count(VerdictFetch) == 0 || c.rows == 0 {
		return nil // Nothing was settled: nothing can be missing.
	}
	if gone := c.rows - c.still; gone > 0 && !p.mayRematch {
		p.mayRematch = l.Complete && gone >= c.still
		if !p.mayRematch && c.lost {
			var err error
			if p.mayRematch, err = v.regrouped(p, c); err != nil {
				return err
			}
		}
	}
	if p.mayRematch {
		p.listed = c.index
	}
	return nil
}

// regrouped reports whether a message that seems new shares its UIDL with one
// that is missing: messages that share one UIDL are distinguished by more than it,
// and go back to it when only one is left. One that was given no UIDL, this time
// or before, may be any that is missing.
func (v *visit) regrouped(p *plan, c *comparison) (found bool, err error) {
	err = v.eachPage(&p.listing, func(at int, items []mail.Item) error {
		for i := range items {
			if found {
				break
			}
			if it := &items[i]; it.ID.UIDL != "" && p.verdicts[at+i] == VerdictFetch {
				b := base(it.ID)
				found = b == "" || c.missing[b] || c.anybody
			}
		}
		return nil
	})
	return found, err
}

// base is the unique-id that is part of a message's name; "" for one that is
// named by its content alone: see source.
func base(id mail.ID) string {
	if strings.Count(id.UIDL, " ")%2 == 1 {
		return ""
	}
	b, _, _ := strings.Cut(id.UIDL, " ")
	return b
}

// listingDigest is equal for equal UIDL listings, and never zero.
func (v *visit) listingDigest(l *mail.Listing) (d [16]byte, err error) {
	h := sha256.New()
	var n [12]byte
	err = v.eachPage(l, func(_ int, items []mail.Item) error {
		for i := range items {
			binary.BigEndian.PutUint32(n[:], uint32(len(items[i].ID.UIDL)))
			binary.BigEndian.PutUint64(n[4:], uint64(items[i].Size))
			h.Write(n[:])
			h.Write([]byte(items[i].ID.UIDL))
		}
		return nil
	})
	copy(d[:], h.Sum(nil))
	return d, err
}
