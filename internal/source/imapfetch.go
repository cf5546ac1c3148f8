package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

const (
	batchMessages = 1000     // Messages asked for by one command.
	batchRanges   = 300      // Ranges of UIDs in it, so that its line stays below 8,000 octets.
	batchBytes    = 32 << 20 // Their declared octets, unless it is one message.
	batchHeaders  = 2000     // Messages of which one command asks for the headers,
	headerSize    = 512      // … and what each counts for.
	batchesAhead  = 32       // Commands sent ahead.
	bytesAhead    = 256 << 20
	connBytes     = 1 << 30 // After so many octets a new connection is made: servers and links have limits.

	// maxStrikes is how often in a row a connection may end without one more
	// message settled; it suffices to find one bad message among batchMessages.
	maxStrikes = 16
)

type (
	takeFunc = func(f mail.Folder, it mail.Item, body io.Reader) error
	missFunc = func(f mail.Folder, it mail.Item, why *fault.Error)
)

// batch is messages of one folder that are asked for by one command.
type batch struct {
	want    *mail.Want
	items   []mail.Item // Not settled yet.
	size    int64       // Declared.
	stage   stage
	tries   int    // How often the connection ended over it while it was one message.
	brought int    // What the run had brought when it first did.
	bye     bool   // The server said BYE over this one message in an earlier visit.
	doubt   string // Why a message that came for it counts as none; "": none did.
}

// stage is how a message is asked for.
type stage int

const (
	early stage = iota - 1 // Before it was known to be there.
	together
	alone
	afresh // Alone, and on a connection of its own time.
)

// fetchRun is one call of Fetch, or of Headers.
type fetchRun struct {
	s       *imapSession
	take    takeFunc
	miss    missFunc
	head    [standInHead]byte // Of the message that is being looked at.
	headers bool              // Headers alone are wanted: what does not come at once is left out.

	ahead   []request // Asked for already, on this connection.
	queue   []*batch  // To be asked for on this connection.
	later   []*batch  // To be asked for on the next one.
	settled int
	past    int64     // Octets of bodies over this connection that were not wanted.
	doubts  []doubted // What was refused, until it is known whose fault that is.
	brought int       // Bodies that came.
	proof   other     // A small one of them.
	wants   []mail.Want
	open    *mail.Want                  // The folder that is open
	openAt  *imapConn                   // … at this connection.
	openErr map[*mail.Want]int          // How often opening the folder ended the connection.
	given   map[*mail.Want]*fault.Error // Folders given up.
	again   int                         // Connections that ended over what was skipped before.
	struck  map[*mail.Want]strike       // Over which a connection ended, perhaps: the first of what was asked for.
	// disordered: the server does not send by ascending UIDs.
	disordered bool
}

// strike is a message over which a connection ended, and what had come by then.
type strike struct {
	uid     uint32
	brought int
}

// Fetch implements Session.
func (s *imapSession) Fetch(ctx context.Context, wants []mail.Want, take takeFunc, miss missFunc) error {
	return s.fetch(ctx, &fetchRun{take: take, miss: miss}, wants)
}

// Headers implements Session. It goes about it as Fetch does, so that a message
// over which the server breaks off costs only its own header.
func (s *imapSession) Headers(ctx context.Context, wants []mail.Want, take func(f mail.Folder, it mail.Item,
	header []byte) error,
) error {
	var header bytes.Buffer
	read := func(f mail.Folder, it mail.Item, body io.Reader) error {
		header.Reset()
		if _, err := header.ReadFrom(body); err != nil { // The filter bounds it.
			return err
		}
		return take(f, it, header.Bytes())
	}
	left := func(mail.Folder, mail.Item, *fault.Error) {}
	return s.fetch(ctx, &fetchRun{take: read, miss: left, headers: true}, wants)
}

func (s *imapSession) fetch(ctx context.Context, r *fetchRun, wants []mail.Want) error {
	r.s, r.wants, r.openErr, r.given = s, wants, map[*mail.Want]int{}, map[*mail.Want]*fault.Error{}
	r.struck = map[*mail.Want]strike{}
	var expected []*earlyRequest
	if !r.headers {
		expected = s.expected()
	}
	if wanted := r.plan(wants, expected); !wanted {
		return nil
	}
	c, release, err := r.begin(ctx, expected)
	if err != nil {
		return err
	}
	defer func() { release() }()
	for strikes, dry := 0, 0; ; {
		before, brought := r.settled, r.brought
		err := error(nil)
		if (dry >= indoubt || dry > 0 && r.brought == 0 && r.haveOthers()) && !r.headers {
			err = r.prove(c)
		}
		if err == nil {
			err = r.over(c)
		}
		if dry++; r.brought > brought {
			dry = 0
		}
		r.cleared()
		var stop *callerError
		if errors.As(err, &stop) {
			return stop.err
		}
		if strikes++; r.settled > before {
			strikes = 0
		}
		switch {
		case len(r.queue)+len(r.later)+len(r.doubts) == 0:
			return nil // Even if the connection ended: the next call makes a new one.
		case err != nil && (strikes > maxStrikes || dry >= hopeless && !r.headers || !s.mayRetry(ctx, err)):
			return err
		}
		s.owner.opts.Log.DebugContext(ctx, "imap_reconnect", "host", c.link.Host(), "settled", r.settled, "err", err)
		if err != nil {
			if s.cuts++; s.cuts >= maxReopens && r.brought > 0 && !r.headers || r.onlyAgain(c) {
				r.tellLater(err)
				return mail.ErrLeft
			}
		}
		r.bringLater()
		if over, err := r.alone(); over {
			return err
		}
		release()
		if c, release, err = s.renew(ctx); err != nil {
			release = func() {}
			r.tellLater(err)
			return err
		}
	}
}

// begin takes the session's connection, with the bodies that were expected on
// it if it is still the same one.
func (r *fetchRun) begin(ctx context.Context, expected []*earlyRequest) (c *imapConn, release func(), err error) {
	if r.headers {
		return r.s.hold(ctx)
	}
	c, asked, release, err := r.s.holdEarly(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range asked {
		r.ahead = append(r.ahead, q.request)
	}
	if asked == nil {
		for _, q := range expected {
			r.queue = append(r.queue, r.group(q.want, q.items)...)
		}
	}
	return c, release, nil
}

// plan groups what is wanted into batches, but for what is expected to come
// anyway. wanted is false when nothing has to be fetched.
func (r *fetchRun) plan(wants []mail.Want, expected []*earlyRequest) (wanted bool) {
	limit := r.s.owner.opts.MaxMessageBytes
	for i := range wants {
		w := &wants[i]
		e := &earlyRequest{}
		if at := slices.IndexFunc(expected, func(e *earlyRequest) bool {
			return e.folder == w.Folder.Wire && e.want == nil
		}); at >= 0 {
			e = expected[at]
			e.want = w
		}
		rest := make([]mail.Item, 0, len(w.Items))
		for _, it := range w.Items {
			switch {
			case it.ID.UID == 0:
				r.missed(w, it, "The message has no number (UID).")
			case it.Size > limit && !r.headers:
				r.missedLarge(w, it, it.Size)
			case e.lo <= it.ID.UID && it.ID.UID <= e.hi:
				e.items = append(e.items, it)
				e.size += it.Size
				wanted = true
			default:
				rest = append(rest, it)
			}
		}
		groups := r.group(w, r.putLast(w, rest))
		if w.Again {
			groups = oneByOne(w, rest)
		}
		r.queue = append(r.queue, groups...)
	}
	r.bringLater()
	return wanted || len(r.queue) > 0
}

func oneByOne(w *mail.Want, items []mail.Item) (batches []*batch) {
	for i := range items {
		batches = append(batches, &batch{want: w, items: items[i : i+1 : i+1], size: items[i].Size, stage: alone})
	}
	return batches
}

// group makes batches of messages.
func (r *fetchRun) group(w *mail.Want, items []mail.Item) (batches []*batch) {
	most := batchMessages
	if r.headers {
		most = batchHeaders
	}
	var b *batch
	ranges, last := 0, uint32(0)
	for _, it := range items {
		size := it.Size
		if r.headers {
			size = headerSize
		}
		if b == nil || len(b.items) == most || ranges == batchRanges || b.size+size > batchBytes {
			b = &batch{want: w}
			batches = append(batches, b)
			ranges = 0
		}
		if uid := it.ID.UID; uid != last+1 && uid != last-1 {
			ranges++
		}
		last = it.ID.UID
		b.items = append(b.items, it)
		b.size += size
	}
	return batches
}

func tooLarge(size, limit int64) string {
	return fmt.Sprintf("The message is larger (%s) than allowed (%s).", octets(size), octets(limit))
}

func octets(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func (r *fetchRun) missed(w *mail.Want, it mail.Item, why string) {
	r.settled++
	r.miss(w.Folder, it, fault.New(fault.MessageFailed, "fetching from folder "+displayName(w.Folder), why))
}

// missedLarge misses a message of more octets than are taken.
func (r *fetchRun) missedLarge(w *mail.Want, it mail.Item, size int64) {
	r.settled++
	r.miss(w.Folder, it, &fault.Error{
		Code: fault.MessageFailed, Op: "fetching from folder " + displayName(w.Folder),
		Detail: tooLarge(size, r.s.owner.opts.MaxMessageBytes), TooLarge: true,
	})
}

// request is a batch under way. Each opens its folder, even if it is open
// already: a server may answer two UID FETCH of one folder at the same time
// (Dovecot does, when the first is slow to leave), and the library would wait
// for ever for us to read the second while we wait for the first. Nothing
// passes an EXAMINE (RFC 9051 section 5.5).
type request struct {
	*batch
	opened *imapclient.SelectCommand
	bodies *imapclient.FetchCommand
}

// over asks for everything in the queue over one connection. It returns nil
// when the queue is empty or the connection has brought enough; else what ended
// the connection, with the queue ready for the next one.
func (r *fetchRun) over(c *imapConn) (err error) {
	ahead := r.ahead
	r.ahead, r.past = nil, 0
	var aheadBytes int64
	for _, q := range ahead {
		aheadBytes += q.size
	}
	var suspect uint32
	defer func() {
		if err == nil {
			return
		}
		c.link.Close()
		var rest []*batch
		for i, q := range ahead {
			q.bodies.Close()
			switch {
			case q.stage == early && (i > 0 || !fault.Of(err).Session):
				if i == 0 && suspect != 0 {
					r.struck[q.want] = strike{suspect, r.brought}
				}
				rest = append(rest, r.group(q.want, q.items)...)
			case i == 0:
				rest = r.blame(q.batch, suspect, err)
			default:
				rest = append(rest, q.batch)
			}
		}
		r.queue = append(rest, r.queue...)
	}()
	for len(ahead) > 0 || r.more() && c.taken < connBytes {
		r.cleared()
		if len(r.doubts) > 0 && len(ahead) == 0 && (len(r.queue) == 0 || r.waits()) {
			if err := r.tell(c); err != nil {
				return err
			}
			continue
		}
		if most := r.mostAhead(); len(ahead) <= most/2 {
			for len(r.queue) > 0 && len(ahead) < most && aheadBytes < bytesAhead && c.taken < connBytes {
				b := r.queue[0]
				r.queue = r.queue[1:]
				if r.giveUp(b) {
					continue
				}
				ahead = append(ahead, c.request(b, r.headers))
				aheadBytes += b.size
			}
			if len(ahead) == 0 {
				break
			}
		}
		q := ahead[0]
		if len(q.items) == 0 { // Asked for early, and not wanted.
			if err := q.readPast(&r.past); err != nil {
				return c.failed("fetching", err)
			}
			ahead = ahead[1:]
			continue
		}
		verdict, err := r.enter(c, q)
		if err != nil {
			return r.openFailed(q.batch, err)
		}
		if verdict != nil {
			if verdict.Session {
				r.doubt(&batch{want: q.want, items: q.items, stage: q.stage}, verdict, true, 0)
				q.items = nil
			} else {
				r.given[q.want] = verdict
				r.giveUp(q.batch)
			}
			if err := q.readPast(&r.past); err != nil {
				return c.failed("fetching", err)
			}
		} else if suspect, err = r.receive(c, q); err != nil {
			return err
		}
		ahead = ahead[1:]
		aheadBytes -= q.size
	}
	return nil
}

// more reports whether there is more to ask for at this connection.
func (r *fetchRun) more() bool {
	return len(r.queue) > 0 || len(r.doubts) > 0 && (len(r.later) == 0 || r.waits())
}

// waits reports whether a refusal is open, so that nothing is asked for but to
// settle whose fault it is. After the connection ended over one message, the next
// is asked for anyway.
func (r *fetchRun) waits() bool {
	return slices.ContainsFunc(r.doubts, func(d doubted) bool { return !d.cut || d.why.Session })
}

// mostAhead is how many commands may be under way.
func (r *fetchRun) mostAhead() int {
	switch {
	case r.waits():
		return 0
	case r.brought == 0 && !r.headers:
		return unproven
	}
	return batchesAhead
}

// enter waits for the folder of a request to be open: see opened.
func (r *fetchRun) enter(c *imapConn, q request) (verdict *fault.Error, err error) {
	if verdict, err = c.opened(q); verdict == nil && err == nil {
		r.open, r.openAt = q.want, c
	}
	return verdict, err
}

// giveUp misses a batch whose folder was given up.
func (r *fetchRun) giveUp(b *batch) bool {
	why := r.given[b.want]
	if why == nil {
		return false
	}
	for _, it := range b.items {
		r.settled++
		r.miss(b.want.Folder, it, why)
	}
	b.items = nil
	return true
}

// openFailed notes that the connection ended over opening a folder. The second
// time it is the folder's fault.
func (r *fetchRun) openFailed(b *batch, err error) error {
	w, name := b.want, displayName(b.want.Folder)
	switch {
	case fault.Of(err).Session: // A BYE, over the folder that was read before.
		why := folderFault("opening folder "+name, name, err)
		r.doubt(&batch{want: w, items: b.items, stage: b.stage}, why, true, 0)
		b.items = nil
		return err
	case b.stage == early:
		return err
	}
	if r.openErr[w]++; r.openErr[w] > 1 {
		r.given[w] = folderFault("opening folder "+name, name, err)
	}
	return err
}

func (c *imapConn) request(b *batch, headers bool) request {
	var set imap.UIDSet
	for _, it := range b.items {
		set.AddNum(imap.UID(it.ID.UID))
	}
	q := request{batch: b}
	q.opened, q.bodies = c.askBodies(b.want.Folder.Wire, set, headers)
	return q
}

// askBodies asks for the bodies, or the headers, of messages in a folder.
func (c *imapConn) askBodies(folder string, set imap.UIDSet,
	headers bool,
) (*imapclient.SelectCommand, *imapclient.FetchCommand) {
	opened := c.client.Select(wire.AliasOf(folder), &imap.SelectOptions{ReadOnly: true})
	return opened, c.bodies(set, headers)
}

// bodies asks for them in the folder that is open.
func (c *imapConn) bodies(set imap.UIDSet, headers bool) *imapclient.FetchCommand {
	section := &imap.FetchItemBodySection{Peek: true}
	if headers {
		section.Specifier, section.HeaderFields = imap.PartSpecifierHeader, []string{"MESSAGE-ID", "DATE", "FROM", "SUBJECT"}
	}
	return c.client.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
}

// opened waits for the folder and says whether it is still the one that was
// listed.
func (c *imapConn) opened(q request) (verdict *fault.Error, err error) {
	name := displayName(q.want.Folder)
	op := "opening folder " + name
	data, err := q.opened.Wait()
	switch {
	case err != nil && refusal(err) == nil:
		return nil, c.failed(op, err)
	case err != nil:
		return folderFault(op, name, err), nil
	}
	c.inside = true
	if data.UIDValidity == 0 || data.UIDValidity != q.want.Validity {
		return fault.New(fault.FolderFailed, op, "Folder "+name+" was recreated on the server after it was listed."), nil
	}
	return nil, nil
}

// receive reads the bodies of one batch. suspect is the message in whose body
// the connection ended, if it was one.
func (r *fetchRun) receive(c *imapConn, q request) (suspect uint32, err error) {
	last := uint32(0) // The highest of those that came.
	for msg := q.bodies.Next(); msg != nil; msg = q.bodies.Next() {
		var uid uint32
		for data := msg.Next(); data != nil; data = msg.Next() {
			switch d := data.(type) {
			case imapclient.FetchItemDataUID:
				uid = uint32(d.UID)
			case imapclient.FetchItemDataBodySection:
				if d.Literal == nil {
					continue
				}
				if broken, err := r.body(c, q.batch, uid, d.Literal); broken {
					return uid, err
				} else if err != nil {
					return 0, err
				}
				r.disordered = r.disordered || uid < last
				last = max(last, uid)
			}
		}
	}
	why := "The server did not send this message, though it was asked for it three times."
	if err := q.bodies.Close(); err != nil {
		e := refusal(err)
		if e == nil {
			if last == 0 && (q.stage == early || r.brought > 0 && !r.disordered) {
				return q.first(), c.failed("fetching", err)
			}
			return q.next(last), c.failed("fetching", err)
		}
		f := wire.IMAPReply(e).Judge(wire.ReadingMessage, "fetching from folder "+displayName(q.want.Folder), r.s.cred)
		why = refusesMessage + f.Detail
		if f.Session {
			r.doubt(&batch{want: q.want, items: q.items, stage: q.stage}, f, false, q.next(last))
			q.items = nil
			return 0, nil
		}
	}
	if q.doubt != "" {
		why = q.doubt
	}
	r.unanswered(q.batch, why)
	return 0, nil
}

// body hands one body to the caller. broken says that the connection ended in
// the middle of it.
func (r *fetchRun) body(c *imapConn, b *batch, uid uint32, lit imap.LiteralReader) (broken bool, err error) {
	i := b.find(uid)
	if i < 0 {
		if r.past += lit.Size(); r.past > maxReadPast {
			return false, errReadPast
		}
		r.came(b.want, uid, lit.Size())
		return false, nil
	}
	body := &bodyReader{conn: c, r: lit, left: lit.Size()}
	var whole io.Reader = body
	if !r.headers {
		var why string
		if whole, why = substance(body, b.items[i].Size, &r.head); why != "" && body.err == nil {
			b.doubt = why // Among those without an answer.
			return false, nil
		}
	}
	err = r.take(b.want.Folder, b.items[i], whole)
	c.taken += lit.Size()
	switch {
	case err != nil && body.err != nil:
		return true, body.err
	case err != nil:
		return false, &callerError{err}
	}
	b.items = slices.Delete(b.items, i, i+1)
	r.settled++
	r.came(b.want, uid, lit.Size())
	return false, nil
}

// find returns where a message is, or -1. Servers send in ascending order, and
// newest first is wanted: mostly it is the last.
func (b *batch) find(uid uint32) int {
	for i := len(b.items) - 1; i >= 0; i-- {
		if b.items[i].ID.UID == uid {
			return i
		}
	}
	return -1
}

// unanswered decides what becomes of messages for which no body came although
// the command was completed.
func (r *fetchRun) unanswered(b *batch, why string) {
	if r.headers {
		r.settled += len(b.items)
		b.items = nil
		return
	}
	if b.stage == early {
		r.queue = append(r.queue, r.group(b.want, b.items)...)
		b.items = nil
		return
	}
	for _, it := range b.items {
		one := &batch{want: b.want, items: []mail.Item{it}, size: it.Size, stage: b.stage + 1}
		switch one.stage {
		case alone:
			r.queue = append(r.queue, one)
		case afresh:
			r.later = append(r.later, one)
		default:
			r.missed(b.want, it, why)
		}
	}
	b.items = nil
}

// blame decides how to go on after the connection ended over a batch: what is
// left of it is halved until the message that ends connections is alone; where
// it is known which one it was, at once.
func (r *fetchRun) blame(b *batch, suspect uint32, err error) []*batch {
	if len(b.items) == 0 || r.giveUp(b) {
		return nil
	}
	var big *wire.OversizeError
	if errors.As(err, &big) && big.UID != 0 {
		suspect = big.UID
	}
	at := slices.IndexFunc(b.items, func(it mail.Item) bool { return it.ID.UID == suspect })
	if big != nil && len(b.items) == 1 {
		at = 0 // The server did not say whose body it was, but only one was asked for.
	}
	if at >= 0 && big != nil {
		r.missedLarge(b.want, b.items[at], big.Size)
		b.items = slices.Delete(b.items, at, at+1)
		if len(b.items) == 0 {
			return nil
		}
		return []*batch{b}
	}
	switch {
	case fault.Of(err).Session: // A BYE: there is not to be another for the same message.
		return r.blameBYE(b, suspect, err)
	case len(b.items) == 1 && b.want.Again && !r.headers:
		r.again++
		r.convict(doubted{batch: b, why: cutFault(b, err), cut: true})
		return nil
	case len(b.items) == 1:
		if s := r.struck[b.want]; s.uid == b.items[0].ID.UID && b.tries == 0 {
			b.tries, b.brought = 1, s.brought
		}
		if b.tries++; b.tries > 1 && r.headers {
			b.items = nil // It is left out: nobody is blamed.
			r.settled++
			return nil
		} else if b.tries > 1 {
			r.accuse(b, cutFault(b, err), b.brought)
			return nil
		}
		b.brought = r.brought
		r.later = append(r.later, b) // Behind all others.
		return nil
	case at >= 0:
		one := &batch{want: b.want, items: []mail.Item{b.items[at]}, stage: alone, tries: 1, brought: r.brought}
		if s := r.struck[b.want]; s.uid == one.items[0].ID.UID {
			r.accuse(one, cutFault(one, err), s.brought)
		} else {
			r.later = append(r.later, one)
		}
		return []*batch{{want: b.want, items: slices.Delete(slices.Clone(b.items), at, at+1), stage: b.stage}}
	}
	r.struck[b.want] = strike{b.first(), r.brought}
	return b.parts(0)
}

// cutFault says that the connection ended over one message.
func cutFault(b *batch, err error) *fault.Error {
	why := *fault.Of(err)
	why.Op, why.Err = "fetching from folder "+displayName(b.want.Folder), err
	return &why
}

// blameBYE is blame after a BYE: the message that was under way, if it is known,
// is not asked for again in this visit.
func (r *fetchRun) blameBYE(b *batch, suspect uint32, err error) []*batch {
	at := b.find(suspect)
	if len(b.items) == 1 {
		at = 0
	}
	if at < 0 {
		r.doubt(b, cutFault(b, err), false, 0)
		return nil
	}
	one := &batch{want: b.want, items: []mail.Item{b.items[at]}, stage: alone}
	// Twice, and others came since; one that was skipped is asked for behind all others.
	if b.want.Again || b.bye && r.brought > 0 {
		r.again++
		r.convict(doubted{batch: one, why: cutFault(one, err), cut: true})
		return nil
	}
	r.suspect(b.want, one.items[0].ID.UID)
	r.accuse(one, cutFault(one, err), r.brought)
	if rest := slices.Delete(slices.Clone(b.items), at, at+1); len(rest) > 0 {
		return []*batch{{want: b.want, items: rest, stage: max(b.stage, together)}}
	}
	return nil
}

// bodyReader reads a body. Where the connection ends inside, the library is
// given zeros to the body's end; here it is an error.
type bodyReader struct {
	conn *imapConn
	r    io.Reader
	left int64
	err  error // The connection ended inside.
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.conn.wire.Padded() || err != nil && b.left > 0 {
		b.err = b.conn.failed("receiving a message", io.ErrUnexpectedEOF)
		return 0, b.err
	}
	return n, err
}
