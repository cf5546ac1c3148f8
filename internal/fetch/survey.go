package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
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

// survey finds out what is new: which folders exist, which of them changed,
// and what they hold that is not settled.
func (v *visit) survey(ctx context.Context) error {
	v.Step("survey.folders")
	remotes, err := v.session.Folders(ctx)
	if err != nil {
		return err
	}
	if v.folders, err = v.Journal.Folders(ctx, v.lease); err != nil {
		return err
	}
	if v.skipped, err = v.Journal.Skipped(ctx, v.lease); err != nil {
		return err
	}
	if err := v.meet(ctx, remotes); err != nil {
		return err
	}
	var queries []mail.Query
	var changed []*plan
	for _, p := range v.plans {
		if !v.unchanged(p) {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 {
		return v.readAny()
	}
	v.rotate(changed)
	asked := v.around(changed)
	for _, p := range asked {
		queries = append(queries, mail.Query{
			Folder: p.remote, From: p.from, Failing: v.fails(p), ReadWhole: v.readWhole,
		})
	}
	next := 0
	var rescan []*plan
	collect := func(l mail.Listing, err error) error {
		p := asked[next]
		next++
		if err != nil {
			p.unread = fault.Of(err)
			v.closing.learn(v.lease.Account.ID, p.folder.Wire, p.unread, v.Now())
			v.failed(fault.FolderFailed, "folder "+p.name(), err)
			return nil
		}
		v.closing.learn(v.lease.Account.ID, p.folder.Wire, nil, v.Now())
		again, err := v.compare(ctx, p, l)
		if again {
			rescan = append(rescan, p)
		}
		return err
	}
	if err := v.session.List(ctx, queries, collect); err != nil {
		return err
	}
	if len(rescan) == 0 {
		return v.readAny()
	}
	queries, asked, next = nil, rescan, 0
	for _, p := range rescan {
		p.from, p.whole = 0, true
		queries = append(queries, mail.Query{Folder: p.remote, ReadWhole: v.readWhole})
	}
	rescan = nil
	if err := v.session.List(ctx, queries, collect); err != nil {
		return err
	}
	return v.readAny()
}

// readAny fails where there are folders to read, and none could be: that is no
// visit that went well.
func (v *visit) readAny() error {
	var first *fault.Error
	for _, p := range v.plans {
		if p.unread == nil {
			return nil
		}
		if first == nil {
			first = p.unread
		}
	}
	switch {
	case first != nil:
		return first
	case v.failing != nil: // None had a name that can be used.
		return v.failing
	}
	return nil
}

// rotate has another folder asked for first after visits that failed: two that are
// to blame would otherwise look like a server that opens none, again and again.
func (v *visit) rotate(asked []*plan) {
	n := v.lease.Account.Status.Failures % len(asked)
	for _, half := range [][2]int{{0, n}, {n, len(asked)}, {0, len(asked)}} {
		slices.Reverse(asked[half[0]:half[1]])
	}
}

// meet matches the remote folders with the journal's, takes up new ones, and
// makes a plan for each that is chosen and can be read.
func (v *visit) meet(ctx context.Context, remotes []mail.Folder) error {
	known := map[string]*Folder{}
	taken := map[string]bool{}
	for i := range v.folders {
		known[v.folders[i].Wire] = &v.folders[i]
		taken[strings.ToLower(v.folders[i].Local)] = true
	}
	a := v.lease.Account
	back, err := v.readMarks(ctx, remotes)
	if err != nil {
		return err
	}
	v.missNames(remotes)
	v.missChosen(remotes)
	var fresh []Folder
	var order []string
	byWire := map[string]mail.Folder{}
	for _, r := range remotes {
		remote := remoteName(r)
		if f := known[r.Wire]; f != nil && r.Guessed {
			r.Shared = r.Shared || f.Shared // What was told once holds until it is told otherwise.
		}
		if r.Problem != nil {
			if !r.Shared || v.selects(r) {
				v.failed(fault.FolderFailed, "folder "+remote, r.Problem)
			}
			continue
		}
		v.present[r.Wire] = true
		if !r.Selectable || byWire[r.Wire].Selectable || back.marks[r.Wire] {
			continue
		}
		selected, leadsBack := v.selects(r), false
		if selected && back.leads(r.Path) {
			selected, leadsBack = false, true
			v.leftOut = append(v.leftOut, remote)
		}
		if f := known[r.Wire]; f != nil {
			before := *f
			f.Selected, f.Shared, f.LeadsBack, f.SpecialUse = selected, r.Shared, leadsBack, r.SpecialUse
			if before.Selected && !selected && r.Shared {
				v.log.InfoContext(ctx, "a folder of others is no longer fetched; what was stays", "folder", remote)
			}
			if !below(f.Local, a.Folder) {
				// The account's folder was renamed: what comes from now on goes there.
				f.Local = v.localName(r.Path, taken)
			}
			if *f != before {
				v.touched[f.ID] = *f
			}
		} else {
			fresh = append(fresh, Folder{
				Wire: r.Wire, Remote: remote, Local: v.localName(r.Path, taken),
				SpecialUse: r.SpecialUse, Selected: selected, Shared: r.Shared, LeadsBack: leadsBack,
				UIDValidity: r.Status.UIDValidity,
			})
		}
		order = append(order, r.Wire)
		byWire[r.Wire] = r
	}
	if len(fresh) > 0 {
		added, err := v.Journal.AddFolders(ctx, v.lease, fresh)
		if err != nil {
			return fmt.Errorf("remembering new folders: %w", err)
		}
		v.folders = append(v.folders, added...)
		for i := range v.folders {
			known[v.folders[i].Wire] = &v.folders[i]
		}
		var locals []string
		for _, f := range added {
			if f.Selected {
				locals = append(locals, f.Local)
			}
		}
		if err := v.delivery.EnsureFolders(ctx, locals); err != nil {
			return fault.Wrap(fault.LocalMailboxUnavailable, "making folders", err)
		}
	}
	for _, w := range order {
		if f := known[w]; f.Selected {
			p := v.planFor(*f, byWire[w])
			// Until a folder was settled once, a visit that was broken off may
			// have left some of it to be recognised.
			p.unfamiliar = p.unfamiliar || f.Cursor == Cursor{}
			v.plans = append(v.plans, p)
		}
	}
	sort.SliceStable(v.plans, func(i, j int) bool { return rank(v.plans[i].remote) < rank(v.plans[j].remote) })
	return nil
}

// missNames tells of folders that had mail where the server lists none at all, and
// refuses nothing: it may have lost them, and has not said so.
func (v *visit) missNames(remotes []mail.Folder) {
	for _, r := range remotes {
		if !r.Unlisted {
			return
		}
	}
	for i := range v.folders {
		if f := &v.folders[i]; f.Selected && f.Wire != "INBOX" && (f.Remaining > 0 || f.Fetched > 0) {
			v.failed(fault.FolderFailed, "folder "+f.Remote, fault.New(fault.FolderFailed, "listing folders",
				"The server lists no folders, not even this one, which it had before."))
		}
	}
}

// missChosen tells of folders that were chosen by name or special use and that the
// server does not have: mail that is waited for in vain is missed in silence. While
// folders cannot be read by name, it may be one of them.
func (v *visit) missChosen(remotes []mail.Folder) {
	missing := v.lease.Account.Folders.Unmet(func(rule account.FolderRules) bool {
		return slices.ContainsFunc(remotes, func(r mail.Folder) bool {
			return r.Problem != nil || r.Selectable && rule.Selects(remoteName(r), r.SpecialUse)
		})
	})
	if len(missing) > 0 {
		v.failed(fault.FolderFailed, fault.NotThere+strings.Join(missing, ", "), fault.New(fault.FolderFailed,
			"choosing folders", ""))
	}
}

// rank orders folders: the inbox first, for that is where today's mail is; last
// those that show what lies in others (RFC 6154 section 2), so that a message
// that is in several is put where its user filed it.
func rank(f mail.Folder) int {
	switch {
	case len(f.Path) == 0:
		return 0
	case f.SpecialUse == `\All`:
		return 3
	case f.SpecialUse == `\Flagged`, f.SpecialUse == `\Important`:
		return 2
	}
	return 1
}

func (v *visit) localName(path []string, taken map[string]bool) string {
	name := v.LocalName(v.lease.Account.Folder, path, func(s string) bool { return taken[strings.ToLower(s)] })
	taken[strings.ToLower(name)] = true
	return name
}

func below(local, folder string) bool {
	return local == folder || strings.HasPrefix(local, folder+"/")
}

func remoteName(f mail.Folder) string {
	if len(f.Path) == 0 {
		return "INBOX"
	}
	return strings.Join(f.Path, "/")
}

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
		v.failed(fault.FolderFailed, "folder "+p.name(), fault.New(fault.ProtocolError, "listing",
			fmt.Sprintf("what the server says of messages here cannot be read (%d)", l.Unread)))
	} else if !l.Complete && l.Len() == 0 {
		p.unread = fault.New(fault.FolderFailed, "listing", fmt.Sprintf(
			"The server counts %d messages in folder %s and lists none.", l.Folder.Status.Messages, p.name()))
		v.failed(fault.FolderFailed, "folder "+p.name(), p.unread)
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
	if err := taken(ctx, cost); err != nil {
		return false, err
	}
	defer func() {
		if p.listed == nil {
			memory.Of(ctx).Give(cost)
		}
	}()
	r, err := v.enrol(&l)
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
	c, err := v.hold(ctx, p, r)
	if err != nil {
		return false, err
	}
	return false, v.plan(p, l, c, digest)
}

// plan notes what is to be fetched from a folder, and where the folder stands
// afterwards.
func (v *visit) plan(p *plan, l mail.Listing, c *comparison, digest [16]byte) error {
	now := v.Now()
	p.listing, p.left, p.done = l, l.Len(), c.settled
	p.waiting = map[mail.ID]Skipped{}
	for _, s := range v.skipped {
		if s.FolderID == p.folder.ID && s.FolderEpoch == p.folder.Epoch {
			p.waiting[s.ID] = s
		}
	}
	there, err := v.doubt(p, &l, c, now)
	if err != nil {
		return err
	}
	for id, s := range p.waiting {
		at, listed := c.roll.find(id)
		switch {
		case listed && !s.due(now):
			p.done.set(at)
		case l.Complete && id.UID >= p.from && !listed && !there[id]:
			v.unskip = append(v.unskip, s) // It is gone from the server, and with it the need to try.
		}
	}
	p.news = l.Len() - p.done.count()
	if err := v.acquaint(p, &l, c); err != nil {
		return err
	}
	st := l.Folder.Status
	k := Cursor{UIDNext: st.UIDNext, Messages: st.Messages, Listing: digest, FullScan: p.folder.Cursor.FullScan}
	if !v.byUID() {
		k.UIDNext, k.Messages = 0, uint32(l.Len())
	} else {
		top := uint32(0)
		if n := len(c.roll.uids); n > 0 {
			top = c.roll.uids[n-1]
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
	p.cursor, p.settles = k, l.Complete
	if v.byUID() && l.Complete && p.folder.FirstUID == 0 {
		p.folder.FirstUID = k.UIDNext
	}
	if k != p.folder.Cursor || p.folder.Remaining != int64(st.Messages) {
		p.changed = true
	}
	p.folder.Remaining = int64(st.Messages)
	return nil
}

// acquaint decides whether what seems new may be known by another name: in a
// complete listing from which at least half of what was settled is missing. A
// listing by UIDL may leave out a line, complete or not: then one message is
// missing, and the same message seems new.
func (v *visit) acquaint(p *plan, l *mail.Listing, c *comparison) error {
	if !p.whole || !l.Complete && v.byUID() || p.news == 0 || c.rows == 0 {
		return nil // Nothing was settled: nothing can be missing.
	}
	if gone := c.rows - c.still; gone > 0 && !p.unfamiliar {
		p.unfamiliar = l.Complete && gone >= c.still
		if !p.unfamiliar && c.lost {
			var err error
			if p.unfamiliar, err = v.regrouped(p, c); err != nil {
				return err
			}
		}
	}
	if p.unfamiliar {
		p.listed = c.roll
	}
	return nil
}

// regrouped reports whether a message that seems new shares its UIDL with one
// that is missing: messages that bear one UIDL are told apart by more than it,
// and go back to it when only one is left. One that was given no UIDL, this time
// or before, may be any that is missing.
func (v *visit) regrouped(p *plan, c *comparison) (found bool, err error) {
	err = v.eachPage(&p.listing, func(at int, items []mail.Item) error {
		for i := range items {
			if found {
				break
			}
			if it := &items[i]; it.ID.UIDL != "" && !p.done.has(at+i) {
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

// byUID says that messages are named by UIDs under a UIDVALIDITY; otherwise by UIDLs.
func (v *visit) byUID() bool { return v.lease.Account.Protocol == account.IMAP }

// retryDue reports whether a skipped message of the folder is due for another try.
func (v *visit) retryDue(p *plan) bool {
	now := v.Now()
	for _, s := range v.skipped {
		if s.FolderID == p.folder.ID && s.FolderEpoch == p.folder.Epoch && s.due(now) {
			return true
		}
	}
	return false
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

// remaining returns how long the visit may still go on.
func (v *visit) remaining() time.Duration { return v.Slice - v.Now().Sub(v.began) }
