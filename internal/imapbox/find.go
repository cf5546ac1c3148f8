package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Find tells, after a crash, what became of messages that were sealed and not confirmed: in
// the staging folder and not delivered is the same, as is gone from it and delivered.
//
// A MOVE that an ended connection has sent may still be under way: so Find waits until
// nothing has changed for Options.Quiet. Where the staging folder itself is gone, or another
// is in its place, the folders that the messages went to are searched, above where they stood
// when the messages were sealed; what is not there is Lost.
func (d *Delivery) Find(ctx context.Context, ps []mail.Placement, _ bool) ([]mail.Fate, error) {
	const op = "finding out what was delivered"
	if len(ps) == 0 {
		return nil, nil
	}
	places := make([]place, len(ps))
	for i, m := range ps {
		var err error
		if places[i], err = placeOf(m); err != nil {
			return nil, err
		}
	}
	var fates []mail.Fate
	var since time.Time
	for {
		var now []mail.Fate
		d.store.o.Step("find.look")
		err := d.use(ctx, op, func(c *conn) (err error) {
			now, err = d.find(c, ps, places)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !same(fates, now) {
			fates, since = now, time.Now()
		}
		if time.Since(since) >= d.store.o.Quiet {
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

func same(a, b []mail.Fate) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// find looks once.
func (d *Delivery) find(c *conn, ps []mail.Placement, places []place) ([]mail.Fate, error) {
	byEpoch := map[int64][]int{}
	for i, p := range places {
		byEpoch[p.epoch] = append(byEpoch[p.epoch], i)
	}
	fates := make([]mail.Fate, len(ps))
	for epoch, of := range byEpoch {
		there, known, err := d.lying(c, epoch, places, of)
		if err != nil {
			return nil, err
		}
		if !known {
			if err := d.search(c, ps, places, of, fates); err != nil {
				return nil, err
			}
			continue
		}
		for _, i := range of {
			if fates[i] = mail.Delivered; there[places[i].uid] {
				fates[i] = mail.Pending
			}
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

// search looks for messages in the folders that they went to, each once, by all their octets.
func (d *Delivery) search(c *conn, ps []mail.Placement, places []place, of []int, fates []mail.Fate) error {
	byFolder := map[string][]int{}
	for _, i := range of {
		fates[i] = mail.Lost
		byFolder[ps[i].Folder] = append(byFolder[ps[i].Folder], i)
	}
	for folder, of := range byFolder {
		name := d.store.wireName(c, folder)
		c.selected = ""
		tag, err := c.Send("EXAMINE " + wire.Quote(name))
		if err != nil {
			return err
		}
		err = c.awaitSelect(name, tag)
		c.selected = "" // It is open for reading only.
		if errors.As(err, new(*wire.Refused)) {
			continue
		}
		if err != nil {
			return err
		}
		sizes := map[int64]bool{}
		from := uint32(1)
		for n, i := range of {
			sizes[ps[i].Fingerprint.Size] = true
			if next := places[i].folderNext; places[i].folderValidity == c.validity && (n == 0 || next < from) {
				from = max(1, next)
			}
		}
		digests, err := c.digests(from, sizes)
		if err != nil {
			return err
		}
		for _, i := range of {
			if digest := ps[i].Fingerprint.Digest; digests[digest] > 0 {
				digests[digest]--
				fates[i] = mail.Delivered
			}
		}
	}
	return nil
}

// digests counts the messages of the folder that is open, from a UID on, that have one of these sizes, by
// their digests.
func (c *conn) digests(from uint32, sizes map[int64]bool) (map[[32]byte]int, error) {
	var uids []uint32
	_, err := c.Do(fmt.Sprintf("UID FETCH %d:* (UID RFC822.SIZE)", from), func(a wire.Answer) error {
		if uid, items := fetched(a); uid >= from && sizes[items["RFC822.SIZE"].Number()] {
			uids = append(uids, uid)
		}
		return nil
	})
	all := map[[32]byte]int{}
	if err != nil || len(uids) == 0 {
		return all, err
	}
	scan := mail.NewScanner()
	c.Body = func(r io.Reader, _ int64) error {
		scan.Reset()
		if _, err := io.Copy(scan, r); err != nil {
			return err
		}
		all[scan.Sum().Digest]++
		return nil
	}
	defer func() { c.Body = nil }()
	_, err = c.Do("UID FETCH "+wire.UIDs(uids)+" (UID BODY.PEEK[])", nil)
	return all, err
}
