package imapbox

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Find tells, after a crash, what became of messages that were sealed and not confirmed: in
// the staging folder and not delivered is the same, as is gone from it and delivered.
//
// A MOVE or APPEND that an ended connection has sent may still be under way: so Find waits
// until nothing has changed for Options.Quiet, unless all is delivered. Where the staging
// folder itself is gone, or another is in its place, the folders that the messages went to are
// searched, above where they stood when the messages were sealed; what is not there is Lost.
func (d *Delivery) Find(ctx context.Context, ps []mail.Placement, _ bool) ([]mail.Fate, error) {
	const op = "finding out what was delivered"
	if len(ps) == 0 {
		return nil, nil
	}
	f := &finding{d: d, ps: ps, places: make([]place, len(ps))}
	for i, m := range ps {
		var err error
		if f.places[i], err = placeOf(m); err != nil {
			return nil, err
		}
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
		if !slices.ContainsFunc(fates, func(f mail.Fate) bool { return f != mail.Delivered }) ||
			time.Since(since) >= d.store.o.Quiet {
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

// finding is one question of what became of messages.
type finding struct {
	looking
	d      *Delivery
	ps     []mail.Placement
	places []place
}

// look looks once.
func (f *finding) look(c *conn) ([]mail.Fate, error) {
	byEpoch := map[int64][]int{}
	for i, p := range f.places {
		byEpoch[p.epoch] = append(byEpoch[p.epoch], i)
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
			case there[f.places[i].uid]:
				fates[i] = mail.Pending
			default:
				fates[i] = mail.Delivered
			}
		}
		if err := f.search(c, of, fates); err != nil {
			return nil, err
		}
	}
	return fates, nil
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
// their places first.
func (f *finding) search(c *conn, of []int, fates []mail.Fate) error {
	byFolder := map[string][]int{}
	for _, i := range of {
		byFolder[f.ps[i].Folder] = append(byFolder[f.ps[i].Folder], i)
	}
	for folder, of := range byFolder {
		if !slices.ContainsFunc(of, func(i int) bool { return fates[i] != mail.Delivered }) {
			continue
		}
		from := func(validity uint32, i int) uint32 {
			if f.places[i].folderValidity != validity {
				return 1
			}
			return max(1, f.places[i].folderNext)
		}
		var ps []mail.Placement
		for _, i := range of {
			ps = append(ps, f.ps[i])
		}
		v, err := f.into(c, f.d.store.wireName(c, folder), ps, func(validity uint32) uint32 {
			first := from(validity, of[0])
			for _, i := range of {
				first = min(first, from(validity, i))
			}
			return first
		})
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		slices.SortStableFunc(of, func(i, j int) int { return cmp.Compare(moved(fates[i]), moved(fates[j])) })
		for _, i := range of {
			if v.take(identityOf(f.ps[i]), from(v.validity, i)) != nil {
				fates[i] = mail.Delivered
			}
		}
	}
	return nil
}

// moved is lower for what was moved than for what was not.
func moved(f mail.Fate) int {
	if f == mail.Delivered {
		return 0
	}
	return 1
}
