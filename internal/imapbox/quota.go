package imapbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// use is a number of messages and their octets.
type use struct{ bytes, messages int64 }

func (u use) plus(v use) use  { return use{u.bytes + v.bytes, u.messages + v.messages} }
func (u use) minus(v use) use { return use{max(0, u.bytes-v.bytes), max(0, u.messages-v.messages)} }

func (u use) shown() owner.Use { return owner.Use{Bytes: u.bytes, Messages: u.messages} }

// Reserve makes room for messages about to be staged, against the limit that was set, the
// server's own and other deliveries into the same mailbox. The server is asked once in the
// time that deliveries are open, when the first message comes: by GETQUOTAROOT (RFC 9208), and where a
// limit is to be kept that it does not count by STATUS SIZE (RFC 8438). For a single octet, by which a
// visit asks whether there is room at all, it is asked only where there was none before.
func (d *Delivery) Reserve(ctx context.Context, messages, bytes int64) error {
	const op = "reserving room in the mailbox"
	n := use{max(0, bytes), max(0, messages)}
	ask := n.bytes > 1 && (!d.known() || !d.store.Available())
	if full := d.box.wasFull(); full != nil && n.bytes <= 1 {
		ask = full.at.counted.any() || d.limit != owner.Limit{}
	}
	if ask {
		if err := d.use(ctx, "measuring the mailbox", d.measure); err != nil {
			return err
		}
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	if why := d.box.stillFull(n, d.store.o.Now()); why != nil {
		return fault.New(fault.LocalOverQuota, op, why...)
	}
	if d.box.measured {
		most := d.box.seen.most
		over := owner.Exceeded(d.limit, most, d.box.seen.used.plus(d.box.reserved).shown(), n.shown())
		if over != nil {
			if d.box.full == nil {
				d.box.full = &fullness{at: d.box.seen}
			}
			return fault.New(fault.LocalOverQuota, op, over...)
		}
	}
	d.box.reserved, d.reserved = d.box.reserved.plus(n), d.reserved.plus(n)
	return nil
}

func (d *Delivery) known() bool {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	return d.box.measured
}

// Release gives back what was reserved and not delivered.
func (d *Delivery) Release(messages, bytes int64) {
	n := use{max(0, bytes), max(0, messages)}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	n = use{min(n.bytes, d.reserved.bytes), min(n.messages, d.reserved.messages)}
	d.box.reserved, d.reserved = d.box.reserved.minus(n), d.reserved.minus(n)
}

// published counts what was delivered as used.
func (d *Delivery) published(ps []mail.Placement) {
	var n use
	for _, p := range ps {
		n = n.plus(use{p.VirtualSize, 1})
	}
	d.Release(n.messages, n.bytes)
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	seen := &d.box.seen
	seen.used = seen.used.plus(n)
	for _, p := range ps {
		if seen.folders != nil {
			name := seen.hierarchy.name(d.store.o.Root, p.Folder)
			seen.folders[name] = seen.folders[name].plus(use{p.VirtualSize, 1})
		}
	}
}

// took notes that the mailbox took all that it was given.
func (b *box) took() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = nil
}

// measure asks the server what the mailbox holds and may hold, as far as Reserve needs it.
func (d *Delivery) measure(c *conn) error {
	return d.store.measure(c, d.box, func(s seen) bool {
		return d.limit.Bytes != nil && !s.counted.bytes || d.limit.Messages != nil && !s.counted.messages
	})
}

// fullness is what is known of a mailbox that took nothing more.
type fullness struct {
	says  words.Detail // What the server said when it refused; nil: it did not come to that.
	at    seen         // What the mailbox held then.
	tries int          // How often it refused in a row,
	until time.Time
}

// wasFull returns what is known of it, if the mailbox was full last; else nil.
func (b *box) wasFull() *fullness {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.full
}

// refusedFull notes that the server refused mail as there is no room. Nothing is tried for a growing
// time, unless the server shows that there is more room. The caller has the turn, and
// a connection.
func (s *Store) refusedFull(b *box, says words.Detail) {
	// What it holds now is what more room is compared with.
	if err := s.measure(b.conn, b, func(seen) bool { return b.asked() }); err != nil {
		s.o.Log.Debug("a full mailbox was not measured", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &fullness{says: says, at: b.seen, tries: 1}
	if b.full != nil {
		f.tries = b.full.tries + 1
	}
	f.until = s.o.Now().Add(s.o.Pause(f.tries))
	b.full = f
}

// asked reports whether the folders were asked for what they hold.
func (b *box) asked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen.folders != nil
}

// stillFull says why nothing more fits, as the server refused it and shows no more room than
// there was then; "": it is tried. The caller holds mu.
func (b *box) stillFull(n use, now time.Time) words.Detail {
	switch f := b.full; {
	case f == nil:
		return nil
	case f.says == nil || b.seen.roomierThan(f.at):
		b.full = nil
		return nil
	case n.bytes <= 1 && now.Before(f.until): // Who tries has asked for that first, when the time came.
		return f.says
	}
	return nil
}

// overQuota reports whether a server refuses as there is no room: by its code (RFC 9208), or, where it has
// none for that, by its words.
func overQuota(r wire.Reply) bool {
	switch r.Code {
	case "OVERQUOTA":
		return true
	case "", "LIMIT", "CANNOT", "ALERT", "NOPERM":
	default:
		return false
	}
	text := strings.ToLower(r.Text)
	for _, telling := range [][]string{
		{"quota", "exceed"},
		{"quota", "over"},
		{"quota", "full"},
		{"quota", "reached"},
		{"overquota"},
		{"mailbox", " full"},
		{"out of storage"},
		{"storage limit"},
		{"not enough", "quota"},
		{"not enough", "storage"},
	} {
		all := true
		for _, w := range telling {
			all = all && strings.Contains(text, w)
		}
		if all {
			return true
		}
	}
	return false
}

// says quotes a refusal.
func says(no *wire.Refused) words.Detail {
	return words.Detail{wire.ServerSays(no.Reply.Text, remote.Credential{})}
}

// counts says what a quota is about.
type counts struct{ bytes, messages bool }

func (c counts) any() bool { return c.bytes || c.messages }

// awaitQuota reads what is said of quotas.
func (c *conn) awaitQuota(tag string) (used use, most owner.Limit, counted counts, err error) {
	_, err = c.Await(tag, func(a wire.Answer) error {
		if a.Kind != "QUOTA" || len(a.Values) != 2 {
			return nil
		}
		for of := a.Values[1].List; len(of) >= 3; of = of[3:] {
			switch strings.ToUpper(of[0].Text) {
			case "STORAGE":
				n, limit, ok := usedOf(of[1], of[2], 1<<10)
				if !ok {
					continue
				}
				used.bytes, counted.bytes = max(used.bytes, n), true
				most.Bytes = least(most.Bytes, limit)
			case "MESSAGE":
				n, limit, ok := usedOf(of[1], of[2], 1)
				if !ok {
					continue
				}
				used.messages, counted.messages = max(used.messages, n), true
				most.Messages = least(most.Messages, limit)
			}
		}
		return nil
	})
	if no := new(wire.Refused); refusedAs(err, &no) {
		err = nil // It does not say, and refuses what is too much when it comes.
	}
	return used, most, counted, err
}

// boundless is from where on a limit is none. Some servers write the highest number that they have where there is
// none, of 53, 63 or 64 bits; no mailbox holds so much, and what is added to it never overflows.
const boundless = 1 << 52

// usedOf reads what is used and the limit of it, in such units. ok is false where that is no number, 0 or
// boundless, which are no limits: a mailbox that really takes nothing refuses what comes, and says so.
func usedOf(used, limit wire.Value, unit int64) (n, most int64, ok bool) {
	n, most = used.Number(), limit.Number()
	if most <= 0 || most > boundless/unit || n > boundless/unit {
		return 0, 0, false
	}
	return n * unit, most * unit, true
}

func least(a *int64, b int64) *int64 {
	if a != nil && *a < b {
		return a
	}
	return &b
}

// sizes returns what the user's own folders hold, by their names.
func (c *conn) sizes(known map[string]sized) (map[string]use, error) {
	type asked struct{ name, tag string }
	items := "(MESSAGES UIDNEXT UIDVALIDITY)"
	says := c.caps["STATUS=SIZE"]
	if says {
		items = "(MESSAGES SIZE)"
	}
	var all []asked
	for name := range c.folders {
		if c.isForeign(name) {
			continue
		}
		tag, err := c.Send("STATUS " + wire.Quote(name) + " " + items)
		if err != nil {
			return nil, err
		}
		all = append(all, asked{name, tag})
	}
	hold := map[string]use{}
	stand := map[string]sized{}
	for _, x := range all {
		_, err := c.Await(x.tag, func(a wire.Answer) error {
			if a.Kind == "STATUS" && len(a.Values) == 2 {
				said := a.Values[1].Pairs()
				hold[x.name] = use{said["SIZE"].Number(), said["MESSAGES"].Number()}
				stand[x.name] = sized{
					validity: said["UIDVALIDITY"].Number(), next: said["UIDNEXT"].Number(), messages: said["MESSAGES"].Number(),
				}
			}
			return nil
		})
		if no := new(wire.Refused); err != nil && !refusedAs(err, &no) {
			return nil, err
		}
	}
	if says {
		return hold, nil
	}
	for name, is := range stand {
		if was := known[name]; was.validity == is.validity && was.next == is.next && was.messages == is.messages {
			is.bytes = was.bytes
		} else if is.messages > 0 {
			var err error
			if is.bytes, err = c.weigh(name); err != nil {
				return nil, err
			}
		}
		known[name], hold[name] = is, use{is.bytes, is.messages}
	}
	return hold, nil
}

// sized is how a folder stood when the sizes of its messages were added up. As long as it stands
// so, they are the same.
type sized struct{ validity, next, messages, bytes int64 }

// weigh adds up the sizes of a folder's messages, where the server does not.
func (c *conn) weigh(name string) (sum int64, err error) {
	if _, err := c.examines(name); err != nil {
		if no := new(wire.Refused); refusedAs(err, &no) {
			return 0, nil
		}
		return 0, err
	}
	_, err = c.Do("UID FETCH 1:* (UID RFC822.SIZE)", func(a wire.Answer) error {
		if uid, items := fetched(a); uid != 0 {
			sum += items["RFC822.SIZE"].Number()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("adding up sizes: %w", err)
	}
	return sum, nil
}
