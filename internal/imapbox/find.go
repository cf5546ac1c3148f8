package imapbox

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Find tells, after a crash, what became of messages that were sealed and not confirmed: in
// the staging folder and not delivered is the same, as is gone from it and delivered.
//
// A MOVE or APPEND that an ended connection has sent may still be under way: so Find waits
// until nothing has changed for Options.Quiet, unless all is delivered. Where the staging
// folder itself is gone, or another is in its place, the folders that the messages went to are
// searched, above where they stood when the messages were sealed; what is not there is Lost.
// What was delivered directly is searched for likewise: see direct_find.go.
//
// What was staged for another destination is not known here: that was delivered there, and since
// moved or deleted by its user, is not to be told from what never was. Find fails until somebody
// who knows that destination has moved it over.
func (d *Delivery) Find(ctx context.Context, ps []mail.Placement, _ bool) ([]mail.Fate, error) {
	const op = "finding out what was delivered"
	if len(ps) == 0 {
		return nil, nil
	}
	if n := d.anothers(ps); n > 0 {
		d.store.o.Log.WarnContext(ctx, "messages were on their way into another mailbox when the configuration changed: "+
			"nothing is fetched before mailbrook migrate-destination", "user", d.owner, "messages", n)
		return nil, fault.New(fault.LocalMailboxUnavailable, op, words.Say("%d messages were on their way when the "+
			"mailbox was moved to a server: nothing is fetched until the administrator has moved them over, too (mailbrook "+
			"migrate-destination).", n))
	}
	f := &finding{d: d, ps: ps, places: make([]place, len(ps))}
	for i, m := range ps {
		if in, ok := intentOf(m); ok {
			f.intended = append(f.intended, &intended{intent: in, p: m, of: i})
			continue
		}
		var err error
		if f.places[i], err = placeOf(m); err != nil {
			return nil, err
		}
		f.staged = append(f.staged, i)
	}
	var fates []mail.Fate
	var since time.Time
	for {
		d.store.o.Step("find.look")
		var now []mail.Fate
		err := d.use(ctx, op, func(c *conn) (err error) {
			now, err = f.look(c)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !slices.Equal(fates, now) {
			fates, since = now, time.Now()
		}
		if f.over() || !slices.ContainsFunc(fates, func(f mail.Fate) bool { return f != mail.Delivered }) ||
			time.Since(since) >= d.store.o.Quiet {
			f.settle(ctx)
			return fates, nil
		}
		pause := time.NewTimer(min(d.store.o.Quiet/4, time.Second))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, wire.Interrupted(ctx)
		}
	}
}

func (d *Delivery) anothers(ps []mail.Placement) (n int) {
	for _, p := range ps {
		if Anothers(p) {
			n++
		}
	}
	return n
}

// Search looks for messages that were staged for another destination in the folders that they
// were to go to, each once, by the date of arrival and all octets: Delivered, or Lost.
func (d *Delivery) Search(ctx context.Context, ps []mail.Placement) (fates []mail.Fate, err error) {
	if len(ps) == 0 {
		return nil, nil
	}
	f := &finding{d: d, ps: ps, places: make([]place, len(ps))}
	for i := range ps {
		f.places[i] = place{epoch: nobodys} // Its folder alone tells, all of it.
		f.staged = append(f.staged, i)
	}
	fates = slices.Repeat([]mail.Fate{mail.Lost}, len(ps))
	err = d.use(ctx, "searching for messages", func(c *conn) error {
		_, err := f.search(c, f.staged, fates)
		return err
	})
	return fates, err
}

// finding is one question of what became of messages.
type finding struct {
	looking
	d        *Delivery
	ps       []mail.Placement
	places   []place     // Of those that were sealed in a staging folder,
	staged   []int       // … which are these.
	intended []*intended // The others.
	doubts   int         // What the last look took for lost that may have been stored.
}

// look looks once.
func (f *finding) look(c *conn) ([]mail.Fate, error) {
	f.doubts = 0
	byEpoch := map[int64][]int{}
	for _, i := range f.staged {
		byEpoch[f.places[i].epoch] = append(byEpoch[f.places[i].epoch], i)
	}
	fates := make([]mail.Fate, len(f.ps))
	for epoch, of := range byEpoch {
		there, known, err := f.d.lying(c, epoch, f.places, of)
		if err != nil {
			return nil, err
		}
		for _, i := range of {
			switch {
			case !known:
				fates[i] = mail.Lost
			case there[f.places[i].uid] && !c.moves():
				fates[i] = mail.Lost // The server cannot do it any more: it is fetched again.
			case there[f.places[i].uid]:
				fates[i] = mail.Pending
			default:
				fates[i] = mail.Delivered
			}
		}
		n, err := f.search(c, of, fates)
		if err != nil {
			return nil, err
		}
		f.doubts += n
	}
	n, err := f.findAppended(c, fates)
	f.doubts += n
	return fates, err
}

// over reports whether no more can come: all that is asked for is known to this process.
func (f *finding) over() bool {
	return len(f.staged) == 0 && !slices.ContainsFunc(f.intended, func(m *intended) bool { return m.asked })
}

// settle notes what was found, and what remains in doubt.
func (f *finding) settle(ctx context.Context) {
	f.d.box.mu.Lock()
	for _, m := range f.intended {
		if m.outcome != stored {
			continue
		}
		if f.d.box.sent[f.d.journal] == nil {
			f.d.box.sent[f.d.journal] = map[string]*sending{}
		}
		f.d.box.sent[f.d.journal][m.p.Spool] = &sending{intent: m.intent, outcome: stored, uid: m.uid}
	}
	f.d.box.mu.Unlock()
	if f.doubts > 0 {
		f.d.store.ambiguous.Add(int64(f.doubts))
		f.d.store.o.Log.WarnContext(ctx, "messages are delivered again that may have been stored, and moved or deleted since",
			"user", f.d.owner, "messages", f.doubts)
	}
}

// lying returns the UIDs that lie in a staging folder; known is false where it is not there
// as it was.
func (d *Delivery) lying(c *conn, epoch int64, places []place, of []int) (
	there map[uint32]bool, known bool, err error,
) {
	name := d.stagingName(c, epoch)
	c.selected = "" // What it has is looked at again.
	switch err := c.selects(name); {
	case errors.As(err, new(*wire.Refused)):
		if there, also := c.exists(name); also != nil || there {
			return nil, false, errors.Join(err, also) // It is there and cannot be opened now.
		}
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	var uids []uint32
	for _, i := range of {
		if places[i].validity != c.validity {
			return nil, false, nil
		}
		uids = append(uids, places[i].uid)
	}
	there = map[uint32]bool{}
	_, err = c.Do("UID FETCH "+wire.UIDs(uids)+" (UID)", func(a wire.Answer) error {
		if uid, _ := fetched(a); uid != 0 {
			there[uid] = true
		}
		return nil
	})
	return there, true, err
}

// search looks for messages of one staging folder in the folders that they went to, each once,
// by all their octets, where the staging folder is gone, and where messages are left in it: a
// server that is killed within a MOVE may have put them into both. Those that were moved take
// their places first. What is left is judged as in direct delivery: a MOVE, too, takes messages in order.
func (f *finding) search(c *conn, of []int, fates []mail.Fate) (doubts int, err error) {
	byFolder := map[string][]*intended{}
	asked := map[string]bool{}
	for _, i := range of {
		p, folder := f.places[i], f.ps[i].Folder
		m := &intended{
			intent: intent{
				epoch: p.epoch, n: int(p.uid), validity: p.folderValidity, next: p.folderNext, loose: p.loose,
			},
			p: f.ps[i], of: i, outcome: stored,
		}
		if fates[i] != mail.Delivered {
			m.outcome, asked[folder] = unknown, true
		}
		byFolder[folder] = append(byFolder[folder], m)
	}
	for folder := range asked {
		n, err := f.compare(c, folder, byFolder[folder])
		if err != nil {
			return 0, err
		}
		doubts += n
		for _, m := range byFolder[folder] {
			if m.outcome == stored {
				fates[m.of] = mail.Delivered
			}
		}
	}
	return doubts, nil
}

// compare looks for what is unknown in the folder that it was sent to.
func (f *finding) compare(c *conn, folder string, ms []*intended) (doubts int, err error) {
	slices.SortFunc(ms, func(a, b *intended) int { return a.intent.compare(b.intent) })
	ps := make([]mail.Placement, len(ms))
	for i, m := range ms {
		ps[i] = m.p
	}
	v, err := f.into(c, f.d.store.wireName(c, folder), ps, func(validity uint32) uint32 {
		first := ms[0].from(validity)
		for _, m := range ms {
			first = min(first, m.from(validity))
		}
		return first
	})
	if err != nil {
		return 0, err
	}
	if v == nil { // It was never made; or its user has deleted it, with what may have been in it.
		for _, m := range ms {
			if m.outcome == unknown && m.validity != 0 {
				doubts++
			}
		}
		return doubts, nil
	}
	for _, m := range ms {
		if m.validity == 0 { // It was made since: whatever is in it came later.
			m.validity, m.next = v.validity, 1
		}
	}
	gone := v.settled(ms)
	v.match(ms)
	return v.account(ms, gone), nil
}

// fingerprint reads a message of the folder that is open; false: there is none.
func (c *conn) fingerprint(uid uint32) (f mail.Fingerprint, there bool, err error) {
	scan := mail.NewScanner()
	c.Body = func(r io.Reader, _ int64) error {
		scan.Reset()
		_, err := io.Copy(scan, r)
		f, there = scan.Sum(), true
		return err
	}
	defer func() { c.Body = nil }()
	_, err = c.Do("UID FETCH "+wire.UIDs([]uint32{uid})+" (UID BODY.PEEK[])", nil)
	return f, there && err == nil, err
}
