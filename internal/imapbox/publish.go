package imapbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Publish moves sealed messages out of their staging folder. What is gone from it was
// delivered before. Folders are made and subscribed as needed. In direct delivery it appends them: once, so
// that it fails for what it did not get an answer to before.
func (d *Delivery) Publish(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error) {
	var direct, staged []mail.Placement
	for _, p := range ps {
		if _, ok := intentOf(p); ok {
			direct = append(direct, p)
		} else {
			staged = append(staged, p)
		}
	}
	if len(staged) > 0 {
		if done, err = d.unstage(ctx, staged); err != nil {
			return nil, err
		}
	}
	if len(direct) > 0 {
		now, err := d.append(ctx, direct)
		return append(done, now...), err
	}
	return done, nil
}

// unstage publishes what lies in staging folders.
func (d *Delivery) unstage(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error) {
	const op = "delivering messages"
	defer func() { d.moved = nil }()
	d.moved = map[uint32]lies{}
	batches := map[int64]map[string][]uint32{}
	var epochs []int64
	validity := map[int64]uint32{}
	for _, m := range ps {
		p, err := placeOf(m)
		if err != nil {
			return nil, err
		}
		if batches[p.epoch] == nil {
			batches[p.epoch], validity[p.epoch] = map[string][]uint32{}, p.validity
			epochs = append(epochs, p.epoch)
		}
		if validity[p.epoch] != p.validity {
			return nil, internal(op, "one staging folder has two UIDVALIDITYs")
		}
		batches[p.epoch][m.Folder] = append(batches[p.epoch][m.Folder], p.uid)
		done = append(done, m.Token)
	}
	err = d.use(ctx, op, func(c *conn) error {
		for _, epoch := range epochs {
			if err := d.move(c, d.stagingName(c, epoch), validity[epoch], batches[epoch]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.published(ps)
	d.box.took()
	for _, m := range ps {
		if p, err := placeOf(m); err == nil && len(epochs) == 1 {
			d.notePlace(m, d.moved[p.uid].validity, d.moved[p.uid].uid)
		}
	}
	return done, nil
}

// notePlace notes where the server said that a message lies, if it did.
func (d *Delivery) notePlace(m mail.Placement, validity, uid uint32) {
	if validity != 0 && uid != 0 {
		d.placed = append(d.placed, mail.Placed{Token: m.Token, Validity: validity, UID: uid})
	}
}

// Placed returns what the server said of where messages lie, since it was asked last: by COPYUID, or by APPENDUID (RFC
// 4315 section 3, RFC 6851 section 4.3).
func (d *Delivery) Placed() []mail.Placed {
	told := d.placed
	d.placed = nil
	return told
}

// learnMoved takes what a COPYUID says of messages that were in the staging folder.
func (d *Delivery) learnMoved(r wire.Reply) {
	parts := strings.Fields(r.Args)
	if r.Code != "COPYUID" || len(parts) != 3 || d.moved == nil {
		return
	}
	const most = 10_000
	validity, err := strconv.ParseUint(parts[0], 10, 32)
	from, to := uidsIn(parts[1], most), uidsIn(parts[2], most)
	if err != nil || len(from) != len(to) {
		return
	}
	for i, uid := range from {
		d.moved[uid] = lies{validity: uint32(validity), uid: to[i]}
	}
}

// move empties a part of a staging folder into the users' folders.
func (d *Delivery) move(c *conn, staging string, validity uint32, into map[string][]uint32) error {
	var folders []string
	for f := range into {
		folders = append(folders, f)
	}
	if err := d.store.ensure(c, folders); err != nil {
		return err
	}
	if err := c.selects(staging); err != nil {
		return err
	}
	if c.validity != validity {
		return fault.Wrap(fault.LocalMailboxUnavailable, "delivering messages",
			fmt.Errorf("the staging folder has UIDVALIDITY %d now, not %d", c.validity, validity))
	}
	for try := 0; ; try++ {
		again, err := d.moveOnce(c, into)
		if err != nil || len(again) == 0 {
			return err
		}
		if try == 2 {
			return fault.Wrap(fault.LocalMailboxUnavailable, "delivering messages",
				errors.New("a folder goes away as fast as it is made"))
		}
		// Somebody removed the folder just now.
		for f := range again {
			delete(c.folders, d.store.wireName(c, f))
			if err := d.store.ensure(c, []string{f}); err != nil {
				return err
			}
		}
		into = again
	}
}

// moveOnce tries, and returns what wants its folder made first.
func (d *Delivery) moveOnce(c *conn, into map[string][]uint32) (again map[string][]uint32, err error) {
	type moving struct {
		folder, tag string
	}
	var all []moving
	var uids []uint32
	d.store.o.Step("move.send")
	for f, set := range into {
		tag, err := c.Send("UID MOVE " + wire.UIDs(set) + " " + wire.Quote(d.store.wireName(c, f)))
		if err != nil {
			return nil, err
		}
		all, uids = append(all, moving{f, tag}), append(uids, set...)
	}
	which := wire.UIDs(uids)
	if d.fresh && c.selected == d.stagingName(c, d.epoch) {
		which = "1:*" // What others have put there is seen as well.
	}
	look, err := c.Send("UID FETCH " + which + " (UID)")
	if err != nil {
		return nil, err
	}
	again = map[string][]uint32{}
	c.told = d.learnMoved
	defer func() { c.told = nil }()
	var failed error
	for _, m := range all {
		done, err := c.Await(m.tag, nil)
		d.learnMoved(done.Reply)
		no := (*wire.Refused)(nil)
		switch {
		case errors.As(err, &no) && no.Reply.Code == "TRYCREATE":
			again[m.folder] = into[m.folder]
		case errors.As(err, &no):
			failed = errors.Join(failed, err)
		case err != nil:
			return nil, err
		}
	}
	left := 0
	var others []uint32
	_, err = c.Await(look, func(a wire.Answer) error {
		switch uid, _ := fetched(a); {
		case slices.Contains(uids, uid):
			left++
		case uid != 0 && which == "1:*" && !d.ours[uid]:
			others = append(others, uid)
		}
		return nil
	})
	d.store.o.Step("move.answered")
	if err = errors.Join(failed, err); err != nil {
		return nil, err
	}
	for _, set := range again {
		left -= len(set)
	}
	if left > 0 {
		return nil, fault.Wrap(fault.LocalMailboxUnavailable, "delivering messages",
			fmt.Errorf("the server says that it moved all messages, and %d are left", left))
	}
	return again, d.giveBack(c, others)
}

// Sweep removes the staging folders of older epochs, at once if there is a connection and else
// with the next: without one, nothing was left that the journal knows of.
func (d *Delivery) Sweep(ctx context.Context, keep map[string]bool) error {
	if len(keep) > 0 {
		return nil // Some of it is needed.
	}
	select {
	case d.box.turn <- struct{}{}:
	case <-ctx.Done():
		return wire.Interrupted(ctx)
	}
	connected := d.box.conn != nil
	<-d.box.turn
	d.sweep = true
	if !connected {
		return nil
	}
	return d.use(ctx, "sweeping staging folders", func(*conn) error { return nil })
}

func (d *Delivery) sweepNow(c *conn) error {
	for name := range c.folders {
		journal, epoch, ok := mail.ReadStagingFolder(d.store.o.Key, name)
		if !ok || journal != d.journal || epoch >= d.epoch {
			continue
		}
		d.store.o.Step("sweep.delete")
		err := c.removeStaging(name)
		if errors.As(err, new(*wire.Refused)) { // Mail is delivered all the same.
			d.store.o.Log.Warn("a staging folder was not deleted", "user", d.owner, "folder", name, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Finish deletes this epoch's staging folder, which is empty. Where that fails a later
// lease does it.
func (d *Delivery) Finish(ctx context.Context) {
	d.box.mu.Lock()
	delete(d.box.sent, d.journal) // All of it is confirmed.
	d.box.mu.Unlock()
	if !d.made {
		return
	}
	d.store.o.Step("staging.delete")
	err := d.use(ctx, "deleting the staging folder", func(c *conn) error {
		return c.removeStaging(d.stagingName(c, d.epoch))
	})
	if err != nil {
		d.store.o.Log.InfoContext(ctx, "a staging folder was not deleted: the next visit does it", "user", d.owner,
			"error", err)
		return
	}
	d.made = false
}

// removeStaging deletes a staging folder. One that is gone is no error.
func (c *conn) removeStaging(name string) error {
	if c.selected == name {
		c.selected = ""
		command := `EXAMINE "INBOX"`
		if c.caps["UNSELECT"] {
			command = "UNSELECT"
		}
		if _, err := c.Do(command, nil); err != nil {
			return err
		}
	}
	_, err := c.Do("DELETE "+wire.Quote(name), nil)
	if errors.As(err, new(*wire.Refused)) {
		there, also := c.exists(name)
		if also != nil || there {
			return errors.Join(err, also)
		}
		err = nil
	}
	if err == nil {
		delete(c.folders, name)
	}
	return err
}
