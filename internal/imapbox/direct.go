package imapbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Direct delivery is for servers that cannot move messages: they are appended to the folders
// themselves. What makes that safe is an intent. Seal sends nothing: it notes where each
// message's folder stands, by its UIDVALIDITY and UIDNEXT, and that is in the journal before the first
// octet leaves. After a crash what is above the noted UIDNEXT is looked at: see direct_find.go. A batch is
// sent once. What no answer came to is not sent again by the same delivery, as only what was
// sent in order tells what became of it.
//
// What was stored while its answer was lost, and moved or deleted by its user before it
// was looked for, cannot be told from what was not stored. It is sent again, and counted: Store.Ambiguous.

// intent is a message's place in the batch that it is appended with, and where its folder stood before.
type intent struct {
	epoch          int64
	batch, n       int
	validity, next uint32
	loose          bool // It may have other octets at the server than it was sent with.
}

// String is what the journal keeps, as Placement.Spool.
func (i intent) String() string {
	return fmt.Sprintf("append%s.%d.%d.%d.%d.%d", loosely(i.loose), i.epoch, i.batch, i.n, i.validity, i.next)
}

// compare orders intents as they are sent.
func (i intent) compare(j intent) int {
	return cmp.Or(cmp.Compare(i.epoch, j.epoch), cmp.Compare(i.batch, j.batch), cmp.Compare(i.n, j.n))
}

// intentOf is false where a message was not sealed for direct delivery.
func intentOf(m mail.Placement) (i intent, ok bool) {
	parts := strings.Split(m.Spool, ".")
	kind, loose := strings.CutSuffix(parts[0], looseMark)
	if len(parts) != 6 || kind != "append" {
		return i, false
	}
	var n [5]uint64
	for at := range n {
		var err error
		if n[at], err = strconv.ParseUint(parts[at+1], 10, 63); err != nil || at > 0 && n[at] > 1<<32-1 {
			return i, false
		}
	}
	return intent{int64(n[0]), int(n[1]), int(n[2]), uint32(n[3]), uint32(n[4]), loose}, true
}

// sending is what this process knows of a message that it appends, or has appended.
type sending struct {
	intent
	outcome outcome
	uid     uint32    // Where it lies, if it is stored and that was reported; 0: not known.
	at      time.Time // When it was sealed, by the clock on the wall: it continues while a machine sleeps.
}

type outcome int

const (
	unsent  outcome = iota // Nothing of it was sent.
	unknown                // No answer came.
	stored                 // The server said OK, or it was found.
	refused                // The server said NO: it is not stored.
)

// refusal is what a server said to a message that it did not take.
type refusal struct {
	why error
	at  time.Time
}

// refusedFor is how long a message that the server did not take is not sent again.
const refusedFor = time.Hour

// begunWithin is how long after it was sealed a batch may begin to be sent. The lease lasts longer, from
// when the journal has the intent: a process that slept meanwhile, and whose messages another one
// has found not to be stored, sends nothing.
const begunWithin = 20 * time.Second

// errBusy says that another delivery has an unsettled batch for a folder.
var errBusy = errors.New("a folder has an unsettled batch")

// isDirect reports whether messages are appended to their folders themselves: where they cannot
// be moved there, at Gmail, where a folder is a label, and where the operator wants it.
func (s *Store) isDirect(c *conn) bool { return s.o.Direct || !c.moves() || c.caps["X-GM-EXT-1"] }

// moves reports whether a server can take messages out of the staging folder, and only these.
func (c *conn) moves() bool { return c.caps["MOVE"] && c.caps["UIDPLUS"] || c.caps["IMAP4REV2"] }

// Ambiguous counts messages that were sent, or moved, again although they may have been stored:
// their answers were lost, and something was moved out of their folders, or deleted, before
// they were looked for. No more than these are there twice. Where messages are moved out of a staging
// folder that takes a server that is killed within a MOVE.
func (s *Store) Ambiguous() int64 { return s.ambiguous.Load() }

// intend notes where the folders of a batch stand, which are made. Nothing is sent.
func (d *Delivery) intend(c *conn, ps []mail.Placement, messages []*staged) ([]mail.Sealed, error) {
	var folders []string
	for _, p := range ps {
		if !slices.Contains(folders, p.Folder) {
			folders = append(folders, p.Folder)
		}
	}
	if err := d.claim(folders); err != nil {
		return nil, err
	}
	if err := d.store.ensure(c, folders); err != nil {
		return nil, err
	}
	d.store.o.Step("intent.note")
	stood, err := d.stand(c, folders)
	if err != nil {
		return nil, err
	}
	d.batch++
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	known := d.box.sent[d.journal]
	if known == nil {
		known = map[string]*sending{}
		d.box.sent[d.journal] = known
	}
	for name, s := range known { // The batch before this one may not be confirmed yet.
		if s.epoch != d.epoch || s.batch < d.batch-1 {
			delete(known, name)
		}
	}
	sealed := make([]mail.Sealed, len(ps))
	for n, p := range ps {
		if r, ok := d.box.refused[identityOf(p)]; ok && time.Since(r.at) < refusedFor {
			sealed[n].Refused = r.why
			continue
		}
		if sealed[n].Refused = c.unsent(p.Fingerprint.Size); sealed[n].Refused != nil {
			continue
		}
		loose := d.box.loose(messages[n])
		i := intent{d.epoch, d.batch, n, stood[p.Folder].validity, stood[p.Folder].next, loose}
		sealed[n].Spool = i.String()
		known[sealed[n].Spool] = &sending{intent: i, at: time.Now().Round(0)}
	}
	return sealed, nil
}

// stand says where folders stand at this moment.
func (d *Delivery) stand(c *conn, folders []string) (map[string]standing, error) {
	tags := map[string]string{}
	for _, f := range folders {
		name := d.store.wireName(c, f)
		if name == c.selected {
			continue // What STATUS says of it may be old.
		}
		tag, err := c.Send("STATUS " + wire.Quote(name) + " (UIDVALIDITY UIDNEXT)")
		if err != nil {
			return nil, err
		}
		tags[f] = tag
	}
	stood := map[string]standing{}
	for _, f := range folders {
		if tags[f] == "" {
			continue
		}
		_, err := c.Await(tags[f], func(a wire.Answer) error {
			if a.Kind == "STATUS" && len(a.Values) == 2 && a.Values[0].Text == d.store.wireName(c, f) {
				items := a.Values[1].Pairs()
				stood[f] = standing{items["UIDVALIDITY"].UID(), items["UIDNEXT"].UID()}
			}
			return nil
		})
		if errors.As(err, new(*wire.Refused)) {
			stood[f], err = standing{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	for _, f := range folders {
		if at := stood[f]; at.validity != 0 && at.next != 0 {
			continue
		}
		name := d.store.wireName(c, f)
		at, err := c.examines(name)
		if err == nil && at.next == 0 {
			at.next, err = c.beyond()
		}
		if errors.As(err, new(*wire.Refused)) {
			delete(c.folders, name) // It went away. The next visit makes it again.
		}
		if err != nil {
			return nil, err
		}
		stood[f] = at
	}
	return stood, nil
}

// beyond is a UID above all that the folder that is open has, whose server tells no UIDNEXT.
func (c *conn) beyond() (next uint32, err error) {
	next = 1
	_, err = c.Do("UID FETCH 4294967295:* (UID)", func(a wire.Answer) error {
		if uid, _ := fetched(a); uid >= next {
			next = uid + 1
		}
		return nil
	})
	return next, err
}

// claim takes folders for a batch that is not settled; errBusy where another has one of them.
func (d *Delivery) claim(folders []string) error {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	for _, f := range folders {
		if by := d.box.claimed[f]; by != nil && by != d {
			return errBusy
		}
	}
	for _, f := range folders {
		d.box.claimed[f] = d
	}
	return nil
}

// unclaim gives back what claim took.
func (d *Delivery) unclaim() {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	for f, by := range d.box.claimed {
		if by == d {
			delete(d.box.claimed, f)
		}
	}
	close(d.box.freed)
	d.box.freed = make(chan struct{})
}

// whenFree calls do until no other delivery has an unsettled batch for a folder of it.
func (d *Delivery) whenFree(ctx context.Context, do func() error) error {
	for {
		d.box.mu.Lock()
		freed := d.box.freed
		d.box.mu.Unlock()
		if err := do(); !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return wire.Interrupted(ctx)
		}
	}
}

// append appends sealed messages to their folders, once. What was stored before is done.
func (d *Delivery) append(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error) {
	const op = "delivering messages"
	var todo []mail.Placement
	var messages []*staged
	d.mu.Lock()
	d.box.mu.Lock()
	known := d.box.sent[d.journal]
	for _, p := range ps {
		switch s := known[p.Spool]; {
		case s != nil && s.outcome == stored:
			done = append(done, p.Token)
		case s != nil && s.outcome == unsent && time.Since(s.at) > begunWithin:
			err = fault.Wrap(fault.LocalMailboxUnavailable, op, errors.New("it is too late to send what was sealed long ago"))
		case s != nil && s.outcome == unsent && d.staged[p.Spool] != nil:
			todo, messages = append(todo, p), append(messages, d.staged[p.Spool])
		default:
			err = fault.Wrap(fault.LocalMailboxUnavailable, op,
				errors.New("a message that was sent, or is not there, is not sent again"))
		}
	}
	d.box.mu.Unlock()
	d.mu.Unlock()
	if err != nil || len(todo) == 0 {
		return done, err
	}
	var a *appending
	err = d.use(ctx, op, func(c *conn) error {
		a = d.order(c, todo, messages)
		d.store.o.Step("append.send")
		err := a.run()
		d.store.o.Step("append.answered")
		if err == nil {
			a.learnDirectly()
		}
		return err
	})
	if a == nil {
		return done, err
	}
	if failed := d.learn(a); err == nil {
		err = failed
	}
	var now []mail.Placement
	for _, i := range a.taken {
		now, done = append(now, a.ps[i]), append(done, a.ps[i].Token)
	}
	d.published(now)
	if err == nil {
		d.unclaim()
		d.box.took()
	}
	return done, err
}

// order prepares to append a batch folder by folder.
func (d *Delivery) order(c *conn, ps []mail.Placement, messages []*staged) *appending {
	at := make([]int, len(ps))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(i, j int) int { return strings.Compare(ps[i].Folder, ps[j].Folder) })
	sorted, bodies, to := make([]mail.Placement, len(ps)), make([]*staged, len(ps)), make([]string, len(ps))
	for n, i := range at {
		sorted[n], bodies[n], to[n] = ps[i], messages[i], d.store.wireName(c, ps[i].Folder)
	}
	a := d.newAppending(c, sorted, bodies, to)
	a.direct = true
	d.box.mu.Lock()
	a.single = d.box.single
	d.box.mu.Unlock()
	// A folder that is open takes a message in half the time.
	a.selects = a.single || !c.caps["MULTIAPPEND"]
	return a
}

// learn notes how an attempt to append ended.
func (d *Delivery) learn(a *appending) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	known := d.box.sent[d.journal]
	learned := func(i int, o outcome, uid uint32) {
		if s := known[a.ps[i].Spool]; s != nil { // Nil: a later lease has taken over.
			s.outcome, s.uid = o, uid
		}
	}
	for i, began := range a.began {
		if began {
			learned(i, unknown, 0)
		}
	}
	for _, i := range a.taken {
		learned(i, stored, a.uids[i])
		d.notePlace(a.ps[i], a.under[i], a.uids[i])
		if m := d.staged[a.ps[i].Spool]; m != nil {
			m.discard()
			delete(d.staged, a.ps[i].Spool)
		}
	}
	var failed error
	n := 0
	for i, why := range a.refused {
		if why != nil {
			learned(i, refused, 0)
			failed = why
			n++
		}
	}
	if n == 0 {
		return nil
	}
	d.store.o.Log.Warn("the server refuses messages", "user", d.owner, "messages", n, "error", failed)
	switch {
	case a.together: // It says not which it does not take: the next time they come one by one.
		d.box.single = true
	case len(a.taken) > 0 || n == 1: // The next time these are not sent.
		now := time.Now()
		for id, r := range d.box.refused {
			if now.Sub(r.at) >= refusedFor {
				delete(d.box.refused, id)
			}
		}
		for i, why := range a.refused {
			if why != nil {
				d.box.refused[identityOf(a.ps[i])] = refusal{why, now}
			}
		}
	}
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: "delivering messages", Detail: fault.Of(failed).Detail, Err: failed,
	}
}
