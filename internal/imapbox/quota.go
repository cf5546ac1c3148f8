package imapbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// use is a number of messages and their octets.
type use struct{ bytes, messages int64 }

func (u use) plus(v use) use  { return use{u.bytes + v.bytes, u.messages + v.messages} }
func (u use) minus(v use) use { return use{max(0, u.bytes-v.bytes), max(0, u.messages-v.messages)} }

// Reserve makes room for messages about to be staged, against the limit that was set, the
// server's own and other deliveries into the same mailbox. The server is asked once in the
// time that deliveries are open, when the first message comes: by GETQUOTAROOT (RFC 9208), and where a
// limit is to be kept that it does not count by STATUS SIZE (RFC 8438).
func (d *Delivery) Reserve(ctx context.Context, messages, bytes int64) error {
	n := use{max(0, bytes), max(0, messages)}
	if !d.known() && (n.bytes > 1 || d.limit != owner.Limit{}) {
		if err := d.use(ctx, "measuring the mailbox", d.measure); err != nil {
			return err
		}
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	if d.box.measured {
		sum := d.box.used.plus(d.box.reserved).plus(n)
		for _, l := range []owner.Limit{d.limit, d.box.most} {
			if over := exceeded(l, sum); over != "" {
				return fault.New(fault.LocalOverQuota, "reserving room in the mailbox", over)
			}
		}
	}
	d.box.reserved, d.reserved = d.box.reserved.plus(n), d.reserved.plus(n)
	return nil
}

func exceeded(l owner.Limit, sum use) string {
	switch {
	case l.Bytes != nil && sum.bytes > *l.Bytes:
		return fmt.Sprintf("The mailbox may hold %s.", words.Size(*l.Bytes))
	case l.Messages != nil && sum.messages > *l.Messages:
		return fmt.Sprintf("The mailbox may hold %s.", words.Count(*l.Messages, "message"))
	}
	return ""
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
		n = n.plus(use{p.FileSize, 1})
	}
	d.Release(n.messages, n.bytes)
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.used = d.box.used.plus(n)
}

// measure asks the server what the mailbox holds and may hold.
func (d *Delivery) measure(c *conn) error {
	used, most, counted, err := c.quota()
	if err != nil {
		return err
	}
	if l := d.limit; l.Bytes != nil && !counted.bytes || l.Messages != nil && !counted.messages {
		if used, err = c.sizes(); err != nil {
			return err
		}
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.used, d.box.most, d.box.measured = used, most, true
	return nil
}

// counts says what a quota is about.
type counts struct{ bytes, messages bool }

// quota asks for the quota of the inbox; without any, nothing is limited.
func (c *conn) quota() (used use, most owner.Limit, counted counts, err error) {
	if !c.caps["QUOTA"] {
		return use{}, owner.Limit{}, counts{}, nil
	}
	_, err = c.Do(`GETQUOTAROOT "INBOX"`, func(a wire.Answer) error {
		if a.Kind != "QUOTA" || len(a.Values) != 2 {
			return nil
		}
		for of := a.Values[1].List; len(of) >= 3; of = of[3:] {
			n, limit := of[1].Number(), of[2].Number()
			switch strings.ToUpper(of[0].Text) {
			case "STORAGE":
				n, limit = n<<10, limit<<10
				used.bytes, counted.bytes = max(used.bytes, n), true
				most.Bytes = least(most.Bytes, limit)
			case "MESSAGE":
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

func least(a *int64, b int64) *int64 {
	if a != nil && *a < b {
		return a
	}
	return &b
}

// sizes adds up what the folders hold.
func (c *conn) sizes() (sum use, err error) {
	items := "(MESSAGES)"
	if c.caps["STATUS=SIZE"] {
		items = "(MESSAGES SIZE)"
	}
	var tags []string
	for name := range c.folders {
		tag, err := c.Send("STATUS " + wire.Quote(name) + " " + items)
		if err != nil {
			return sum, err
		}
		tags = append(tags, tag)
	}
	for _, tag := range tags {
		_, err := c.Await(tag, func(a wire.Answer) error {
			if a.Kind == "STATUS" && len(a.Values) == 2 {
				said := a.Values[1].Pairs()
				sum = sum.plus(use{said["SIZE"].Number(), said["MESSAGES"].Number()})
			}
			return nil
		})
		if no := new(wire.Refused); err != nil && !refusedAs(err, &no) {
			return sum, err
		}
	}
	return sum, nil
}
