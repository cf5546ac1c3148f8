package imapbox

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// How many messages, and octets, one APPEND has at the most (MULTIAPPEND, RFC 3502). Several
// are on the wire at a time: 50 messages cost a Dovecot as much as three that come alone.
const (
	mostTogether      = 50
	mostBytesTogether = 4 << 20
)

// Seal appends staged messages to the staging folder. Their names are their UIDs there from
// then on. What the server does not take is refused, in its words. In direct delivery nothing is sent
// yet: the names are intents, see direct.go.
func (d *Delivery) Seal(ctx context.Context, ps []mail.Placement) (sealed []mail.Sealed, err error) {
	const op = "appending messages"
	if len(ps) == 0 {
		return nil, nil
	}
	messages := make([]*staged, len(ps))
	d.mu.Lock()
	for i, p := range ps {
		messages[i] = d.staged[p.Spool]
	}
	d.mu.Unlock()
	if slices.Contains(messages, nil) {
		return nil, internal(op, "a message was not staged")
	}
	direct := false
	err = d.whenFree(ctx, func() error {
		return d.use(ctx, op, func(c *conn) error {
			if direct = d.store.isDirect(c); direct {
				sealed, err = d.intend(c, ps, messages)
			} else {
				sealed, err = d.seal(c, ps, messages)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range ps {
		delete(d.staged, p.Spool)
		if direct && sealed[i].Refused == nil {
			d.staged[sealed[i].Spool] = messages[i] // It is held until it is delivered.
			continue
		}
		messages[i].discard()
	}
	return sealed, nil
}

func (d *Delivery) seal(c *conn, ps []mail.Placement, messages []*staged) ([]mail.Sealed, error) {
	stood, err := d.enter(c, ps)
	if err != nil {
		return nil, err
	}
	a := d.newAppending(c, ps, messages, slices.Repeat([]string{d.stagingName(c, d.epoch)}, len(ps)))
	for i, m := range messages {
		a.refused[i] = c.unsent(m.size)
	}
	a.before = stood.await
	if slices.ContainsFunc(messages, func(m *staged) bool { return !c.ahead(m.size) }) {
		err = a.awaitBefore() // Else nothing is waited for until all is sent.
	}
	d.store.o.Step("append.send")
	if err == nil {
		err = a.run()
	}
	if err != nil {
		d.fresh = false // More may come.
		return nil, err
	}
	if err := a.whole(); err != nil {
		d.fresh = false
		return nil, err
	}
	d.store.o.Step("append.answered")
	if err := a.where(); err != nil {
		d.fresh = false
		return nil, err
	}
	sealed := make([]mail.Sealed, len(ps))
	for i, p := range ps {
		if a.refused[i] != nil {
			sealed[i].Refused = a.refused[i]
			continue
		}
		at := stood.at[p.Folder]
		sealed[i].Spool = place{d.epoch, c.validity, a.uids[i], at.validity, at.next, d.box.loose(messages[i])}.String()
	}
	return sealed, nil
}

// standing is a folder's UIDVALIDITY and UIDNEXT; zero where it is not there.
type standing struct{ validity, next uint32 }

// standings is where the folders of a batch stand, which was asked and has to be awaited.
type standings struct {
	d     *Delivery
	c     *conn
	asked []question
	at    map[string]standing // By folder.
}

// question is a STATUS of a folder.
type question struct{ folder, tag string }

// await reads the answers.
func (s *standings) await() error {
	for _, q := range s.asked {
		name := s.d.store.wireName(s.c, q.folder)
		_, err := s.c.Await(q.tag, func(a wire.Answer) error {
			if a.Kind == "STATUS" && len(a.Values) == 2 && isNamed(a.Values[0].Text, name) {
				items := a.Values[1].Pairs() // Of another folder they would leave out where to look.
				s.at[q.folder] = standing{items["UIDVALIDITY"].UID(), items["UIDNEXT"].UID()}
			}
			return nil
		})
		if errors.As(err, new(*wire.Refused)) { // It is gone: it is made again when something is moved there.
			delete(s.c.folders, name)
			delete(s.at, q.folder)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// choose makes our staging folder, unless it is there, and selects it.
func (d *Delivery) choose(c *conn, name string) error {
	if d.made {
		return c.selects(name)
	}
	d.store.o.Step("staging.create")
	create, err := c.Send("CREATE " + wire.Quote(name))
	if err != nil {
		return err
	}
	choose, err := c.Send("SELECT " + wire.Quote(name))
	if err != nil {
		return err
	}
	c.selected = ""
	_, refused := c.Await(create, nil)
	if refused != nil && !errors.As(refused, new(*wire.Refused)) {
		return refused
	}
	if err := c.awaitSelect(name, choose); err != nil {
		return cmp.Or(refused, err)
	}
	d.made, d.fresh, d.ours = true, refused == nil, map[uint32]bool{}
	c.folders[name] = true
	return nil
}

// enter makes and selects our staging folder, and asks where the folders stand that messages go
// to.
func (d *Delivery) enter(c *conn, ps []mail.Placement) (*standings, error) {
	name := d.stagingName(c, d.epoch)
	if err := d.choose(c, name); err != nil {
		return nil, err
	}
	s := &standings{d: d, c: c, at: map[string]standing{}}
	seen := map[string]bool{}
	for _, p := range ps {
		folder := d.store.wireName(c, p.Folder)
		if seen[p.Folder] || !c.folders[folder] {
			continue
		}
		seen[p.Folder] = true
		tag, err := c.Send("STATUS " + wire.Quote(folder) + " (UIDVALIDITY UIDNEXT)")
		if err != nil {
			return nil, err
		}
		s.asked = append(s.asked, question{p.Folder, tag})
	}
	return s, nil
}

// appending is one batch on its way into folders.
type appending struct {
	d        *Delivery
	c        *conn
	ps       []mail.Placement
	messages []*staged
	to       []string // The folder of each message, as the server calls it; those of one lie together.
	selects  bool     // Each folder is selected before something is appended to it.
	single   bool     // Each message has an APPEND of its own.
	direct   bool     // Nothing is appended again that was refused.
	refused  []error  // Of each message; nil: it was taken.

	bare     []bool   // Of each message: it is sent without its keywords.
	denied   []int    // How often each was refused.
	began    []bool   // Of each message: something of it may have been sent.
	taken    []int    // Those that the server said OK to, in the order in which it has them.
	uids     []uint32 // Of each that was taken: by its word, in the staging folder as it is,
	under    []uint32 // … and the UIDVALIDITY that its word was for; 0: it said nothing.
	together bool     // Several were refused with one APPEND: it says not which.

	before func() error     // Awaits what was asked before anything was sent; nil: that was done.
	sizes  map[uint32]int64 // What the staging folder was listed to have beside what was in it.
}

// awaitBefore awaits what was asked before.
func (a *appending) awaitBefore() error {
	before := a.before
	if a.before = nil; before == nil {
		return nil
	}
	return before()
}

func (d *Delivery) newAppending(c *conn, ps []mail.Placement, messages []*staged, to []string) *appending {
	n := len(ps)
	return &appending{
		d: d, c: c, ps: ps, messages: messages, to: to, refused: make([]error, n),
		bare: make([]bool, n), denied: make([]int, n), began: make([]bool, n), uids: make([]uint32, n),
		under: make([]uint32, n),
	}
}

// group is what one APPEND has.
type group struct {
	tag   string // "": it was refused before all of it was sent.
	of    []int
	bytes int64
}

// ahead reports whether a message may be sent without waiting for the server's leave.
func (c *conn) ahead(size int64) bool {
	return c.caps["LITERAL+"] || c.caps["LITERAL-"] && size <= 4096
}

// groups divides a batch into APPENDs.
func (a *appending) groups() (all []group) {
	for i, m := range a.messages {
		if a.refused[i] != nil {
			continue
		}
		n := len(all) - 1
		if n < 0 || a.single || !a.c.caps["MULTIAPPEND"] || len(all[n].of) >= mostTogether ||
			all[n].bytes+m.size > mostBytesTogether || a.to[i] != a.to[all[n].of[0]] {
			all = append(all, group{})
			n++
		}
		all[n].of = append(all[n].of, i)
		all[n].bytes += m.size
	}
	return all
}

// run sends everything. As much as two APPENDs may have is on the wire while the next is sent.
// An error is of all of them; what was answered until then is noted all the same.
func (a *appending) run() error {
	groups := a.groups()
	var again []int // Of APPENDs of several that were refused: the server says not which it does not take.
	var failed error
	sent, answered, messages, bytes := 0, 0, 0, int64(0)
	settle := func() error {
		if err := a.awaitBefore(); err != nil {
			return err
		}
		g := groups[answered]
		answered++
		messages, bytes = messages-len(g.of), bytes-g.bytes
		err := a.settle(g)
		if errors.As(err, new(*wire.Refused)) { // It refuses everything: what is on the wire is answered first.
			failed = cmp.Or(failed, err)
			return nil
		}
		first := g.of[0]
		if err == nil && a.refused[first] != nil && (len(g.of) > 1 || a.mayBeKeywords(first)) {
			again, a.bare[first] = append(again, g.of...), len(g.of) == 1
			a.together = a.together || len(g.of) > 1
		}
		return err
	}
	for sent < len(groups) && failed == nil {
		g := &groups[sent]
		if to := a.to[g.of[0]]; a.selects && a.c.selected != to {
			for answered < sent {
				if err := settle(); err != nil {
					return err
				}
			}
			if failed != nil {
				break
			}
			if err := a.c.selects(to); err != nil {
				return err
			}
		}
		sent, messages, bytes = sent+1, messages+len(g.of), bytes+g.bytes
		if err := a.send(g); errors.As(err, new(*wire.Refused)) {
			failed = err
			break
		} else if err != nil {
			return err
		}
		a.d.store.o.Step("append.sent")
		for sent-answered > 1 && (messages > 2*mostTogether || bytes > 2*mostBytesTogether) {
			if err := settle(); err != nil {
				return err
			}
		}
	}
	look := ""
	if failed == nil && !a.direct && sent > 0 {
		var err error
		if look, err = a.c.Send(a.listing()); err != nil {
			return err
		}
	}
	for answered < sent {
		if err := settle(); err != nil {
			return err
		}
	}
	if err := a.awaitBefore(); err != nil {
		return err
	}
	if look != "" {
		if _, err := a.c.Await(look, a.listed); err != nil {
			return err
		}
	}
	if failed != nil || a.direct || len(again) == 0 {
		return failed
	}
	a.sizes = nil // It was listed before what comes now.
	return a.alone(again)
}

// settle awaits the answer to an APPEND.
func (a *appending) settle(g group) error {
	if g.tag == "" {
		return nil
	}
	done, err := a.c.Await(g.tag, nil)
	if err != nil {
		return a.judge(g, err)
	}
	validity, at := a.appended(done.Reply, len(g.of))
	for n, i := range g.of {
		a.taken, a.refused[i] = append(a.taken, i), nil
		a.messages[i].discard() // It is not sent again.
		a.d.store.dropped.Add(int64(len(a.ps[i].Keywords.List()) - len(a.keywords(i).List())))
		if at != nil {
			a.uids[i], a.under[i] = at[n], validity
		}
	}
	return nil
}

// alone appends messages one by one; one that has keywords and is refused once more without them.
func (a *appending) alone(of []int) error {
	for _, i := range of {
		for again := true; again; a.bare[i] = again {
			a.refused[i] = nil
			g := group{of: []int{i}, bytes: a.messages[i].size}
			if err := a.send(&g); err != nil {
				return err
			}
			if err := a.settle(g); err != nil {
				return err
			}
			again = a.refused[i] != nil && a.mayBeKeywords(i)
		}
	}
	return nil
}

// mayBeKeywords reports whether what a server refuses may be a message's keywords.
func (a *appending) mayBeKeywords(i int) bool {
	return a.keywords(i) != "" && !fault.Of(a.refused[i]).TooLarge
}

func (a *appending) send(g *group) error {
	for _, i := range g.of {
		m, p := a.messages[i], a.ps[i]
		a.began[i] = true
		err := a.c.Append(a.to[i], wire.Message{
			Flags: p.Flags, Keywords: a.keywords(i), Received: dateOf(p.Received), Size: m.size,
		}, m.open(), a.c.ahead(m.size))
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

// judge takes note of how an APPEND ended. A refusal that is about the messages is noted with them;
// any other ends it all.
func (a *appending) judge(g group, err error) error {
	no := (*wire.Refused)(nil)
	if !errors.As(err, &no) {
		return err
	}
	if overQuota(no.Reply) {
		return err
	}
	switch no.Reply.Code {
	case "TRYCREATE", "UNAVAILABLE", "INUSE", "SERVERBUG", "NOPERM", "AUTHORIZATIONFAILED", "EXPIRED",
		"PRIVACYREQUIRED", "CONTACTADMIN":
		return err
	}
	for _, i := range g.of {
		a.denied[i]++
		a.refused[i] = &fault.Error{
			Code: fault.MessageFailed, Op: "appending a message", Err: no,
			Detail:   says(no),
			TooLarge: no.Reply.Code == "TOOBIG" || no.Reply.Code == "LIMIT",
		}
	}
	return nil
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

// appended returns what an APPENDUID says (RFC 4315), if it is about n messages. It is a hint:
// some servers get it wrong.
func (a *appending) appended(r wire.Reply, n int) (validity uint32, uids []uint32) {
	of, set, _ := strings.Cut(strings.TrimSpace(r.Args), " ")
	if r.Code != "APPENDUID" {
		return 0, nil
	}
	uids = uidsOf(set, n)
	under, err := strconv.ParseUint(of, 10, 32)
	if err != nil {
		under = 0
	}
	return uint32(under), uids
}

// uidsOf reads a set of n UIDs, in its order; nil: it is none.
func uidsOf(set string, n int) []uint32 {
	if uids := uidsIn(set, n); len(uids) == n {
		return uids
	}
	return nil
}

// uidsIn reads a set of UIDs, in its order; nil: it is none, or one of more than most.
func uidsIn(set string, most int) (uids []uint32) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, ranged := strings.Cut(part, ":")
		if !ranged {
			to = from
		}
		lo, err1 := strconv.ParseUint(from, 10, 32)
		hi, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || hi < lo || hi-lo >= uint64(most-len(uids)) {
			return nil
		}
		for ; lo <= hi; lo++ {
			uids = append(uids, uint32(lo))
		}
	}
	return uids
}
