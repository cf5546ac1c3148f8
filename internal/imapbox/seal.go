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
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// How many messages, and octets, one APPEND has at the most (MULTIAPPEND, RFC 3502). Several
// are on the wire at a time: 50 messages cost a Dovecot as much as three that come alone.
const (
	mostTogether      = 50
	mostBytesTogether = 4 << 20
)

// Seal appends staged messages to the staging folder. Their names are their UIDs there from
// then on. What the server does not take is refused, in its words.
func (d *Delivery) Seal(ctx context.Context, ps []mail.Placement) (sealed []mail.Sealed, err error) {
	const op = "appending messages"
	messages := make([]*staged, len(ps))
	d.mu.Lock()
	for i, p := range ps {
		messages[i] = d.staged[p.Spool]
	}
	d.mu.Unlock()
	if slices.Contains(messages, nil) {
		return nil, internal(op, "a message was not staged")
	}
	err = d.use(ctx, op, func(c *conn) error {
		sealed, err = d.seal(c, ps, messages)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range ps {
		messages[i].discard()
		delete(d.staged, p.Spool)
	}
	return sealed, nil
}

func (d *Delivery) seal(c *conn, ps []mail.Placement, messages []*staged) ([]mail.Sealed, error) {
	stood, err := d.enter(c, ps)
	if err != nil {
		return nil, err
	}
	a := &appending{d: d, c: c, ps: ps, messages: messages, refused: make([]error, len(ps))}
	d.store.o.Step("append.send")
	if err := a.run(); err != nil {
		return nil, err
	}
	d.store.o.Step("append.answered")
	uids, err := a.uids()
	if err != nil {
		return nil, err
	}
	sealed := make([]mail.Sealed, len(ps))
	for i, p := range ps {
		if a.refused[i] != nil {
			sealed[i].Refused = a.refused[i]
			continue
		}
		at := stood[p.Folder]
		sealed[i].Spool = place{d.epoch, c.validity, uids[0], at.validity, at.next}.String()
		uids = uids[1:]
	}
	return sealed, nil
}

// standing is a folder's UIDVALIDITY and UIDNEXT; zero where it is not there.
type standing struct{ validity, next uint32 }

// enter makes and selects our staging folder, and learns where the folders stand that
// messages go to.
func (d *Delivery) enter(c *conn, ps []mail.Placement) (map[string]standing, error) {
	name := d.stagingName(c, d.epoch)
	if !d.made {
		d.store.o.Step("staging.create")
		if _, err := c.Do("CREATE "+wire.Quote(name), nil); err != nil {
			if there, also := c.exists(name); also != nil || !there {
				return nil, err
			}
		}
		d.made = true
		c.folders[name] = true
	}
	asked := map[string]string{}
	for _, p := range ps {
		if folder := d.store.wireName(c, p.Folder); asked[p.Folder] == "" && c.folders[folder] {
			tag, err := c.Send("STATUS " + wire.Quote(folder) + " (UIDVALIDITY UIDNEXT)")
			if err != nil {
				return nil, err
			}
			asked[p.Folder] = tag
		}
	}
	stood := map[string]standing{}
	for _, p := range ps {
		tag := asked[p.Folder]
		if tag == "" {
			continue
		}
		delete(asked, p.Folder)
		var at standing
		_, err := c.Await(tag, func(a wire.Answer) error {
			if a.Kind == "STATUS" && len(a.Values) == 2 {
				items := a.Values[1].Pairs()
				at = standing{uint32(items["UIDVALIDITY"].Number()), uint32(items["UIDNEXT"].Number())}
			}
			return nil
		})
		if errors.As(err, new(*wire.Refused)) { // It is gone: it is made again when something is moved there.
			delete(c.folders, d.store.wireName(c, p.Folder))
			err = nil
		}
		if err != nil {
			return nil, err
		}
		stood[p.Folder] = at
	}
	return stood, c.selects(name)
}

// appending is one batch on its way into the staging folder, which is selected.
type appending struct {
	d        *Delivery
	c        *conn
	ps       []mail.Placement
	messages []*staged
	refused  []error // Of each message; nil: it was taken.
}

// group is what one APPEND has.
type group struct {
	tag string
	of  []int
}

// ahead reports whether a message may be sent without waiting for the server's leave.
func (a *appending) ahead(i int) bool {
	return a.c.caps["LITERAL+"] || a.c.caps["LITERAL-"] && a.messages[i].size <= 4096
}

// groups divides a batch into APPENDs.
func (a *appending) groups() (all []group) {
	bytes := int64(0)
	for i, m := range a.messages {
		n := len(all) - 1
		if n < 0 || !a.c.caps["MULTIAPPEND"] || len(all[n].of) >= mostTogether || bytes+m.size > mostBytesTogether {
			all, bytes = append(all, group{}), 0
			n++
		}
		all[n].of = append(all[n].of, i)
		bytes += m.size
	}
	return all
}

func (a *appending) run() error {
	groups := a.groups()
	var again []int // Of APPENDs of several that were refused: the server says not which it does not take.
	answered := 0
	settle := func() error {
		g := groups[answered]
		answered++
		if g.tag == "" {
			return nil // It was refused before it was sent.
		}
		_, err := a.c.Await(g.tag, nil)
		if err = a.judge(g, err); err == nil && len(g.of) > 1 && a.refused[g.of[0]] != nil {
			for _, i := range g.of {
				a.refused[i] = nil
			}
			again = append(again, g.of...)
		}
		return err
	}
	for n := range groups {
		if err := a.send(&groups[n]); err != nil {
			return err
		}
		a.d.store.o.Step("append.sent")
		if n-answered >= 1 { // Two are on the wire.
			if err := settle(); err != nil {
				return err
			}
		}
	}
	for answered < len(groups) {
		if err := settle(); err != nil {
			return err
		}
	}
	return a.alone(again)
}

// alone appends messages one by one.
func (a *appending) alone(of []int) error {
	taken := 0
	for _, i := range of {
		g := group{of: []int{i}}
		if err := a.send(&g); err != nil {
			return err
		}
		if g.tag != "" {
			_, err := a.c.Await(g.tag, nil)
			if err := a.judge(g, err); err != nil {
				return err
			}
		}
		if a.refused[i] == nil {
			taken++
		}
	}
	if len(of) > 1 && taken == 0 { // It is not the messages that it refuses.
		return a.refused[of[0]]
	}
	return nil
}

func (a *appending) send(g *group) error {
	for _, i := range g.of {
		m, p := a.messages[i], a.ps[i]
		err := a.c.Append(a.c.selected, wire.Message{
			Flags: p.Flags, Keywords: p.Keywords, Received: p.Received, Size: m.size,
		}, m.open(), a.ahead(i))
		if no := (*wire.Refused)(nil); errors.As(err, &no) {
			return a.judge(*g, no)
		}
		if err != nil {
			return err
		}
	}
	tag, err := a.c.EndAppend()
	g.tag = tag
	return err
}

// judge is told how an APPEND ended. A refusal that is about the messages is noted with them;
// any other ends it all.
func (a *appending) judge(g group, err error) error {
	no := (*wire.Refused)(nil)
	if !errors.As(err, &no) {
		return err
	}
	switch no.Reply.Code {
	case "OVERQUOTA", "TRYCREATE", "UNAVAILABLE", "INUSE", "SERVERBUG", "NOPERM", "AUTHORIZATIONFAILED", "EXPIRED",
		"PRIVACYREQUIRED", "CONTACTADMIN":
		return err
	}
	for _, i := range g.of {
		a.refused[i] = &fault.Error{
			Code: fault.MessageFailed, Op: "appending a message", Err: no,
			Detail:   wire.ServerSays(no.Reply.Text, remote.Credential{}),
			TooLarge: no.Reply.Code == "TOOBIG" || no.Reply.Code == "LIMIT",
		}
	}
	return nil
}

// uids returns where the messages lie that were taken, in their order: a server gives UIDs in
// the order in which it takes messages (RFC 9051 section 2.3.1.1), and nobody else appends
// there. That does without APPENDUID, which some servers get wrong.
func (a *appending) uids() ([]uint32, error) {
	var sizes []int64
	for i, m := range a.messages {
		if a.refused[i] == nil {
			sizes = append(sizes, m.size)
		}
	}
	if len(sizes) == 0 {
		return nil, nil
	}
	found := map[uint32]int64{}
	for range 2 { // A server need not show what was appended before the next command but one.
		_, err := a.c.Do(fmt.Sprintf("UID FETCH %d:* (UID RFC822.SIZE)", max(1, a.c.next)), func(x wire.Answer) error {
			if uid, items := fetched(x); uid >= a.c.next {
				found[uid] = items["RFC822.SIZE"].Number()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(found) >= len(sizes) {
			break
		}
	}
	var uids []uint32
	for uid := range found {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	if len(uids) != len(sizes) {
		return nil, fault.Wrap(fault.LocalMailboxUnavailable, "appending messages",
			fmt.Errorf("%d messages were appended, and the staging folder has %d more", len(sizes), len(uids)))
	}
	for i, uid := range uids {
		if found[uid] != sizes[i] {
			a.d.store.o.Log.Debug("the server does not keep messages as they are", "uid", uid, "size", found[uid],
				"sent", sizes[i])
		}
	}
	a.c.next = uids[len(uids)-1] + 1
	return uids, nil
}

// fetched takes an answer to UID FETCH apart; without a UID it is none.
func fetched(a wire.Answer) (uid uint32, items map[string]wire.Value) {
	if a.Kind != "FETCH" || len(a.Values) != 1 {
		return 0, nil
	}
	items = a.Values[0].Pairs()
	n, err := strconv.ParseUint(strings.TrimSpace(items["UID"].Text), 10, 32)
	if err != nil {
		return 0, nil
	}
	return uint32(n), items
}
