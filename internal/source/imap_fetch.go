package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	batchMessages    = 1000     // Messages asked for by one command.
	batchRanges      = 300      // Ranges of UIDs in it, so that its line stays below 8,000 octets.
	batchBytes       = 32 << 20 // Their declared octets, unless it is one message.
	batchHeaders     = 2000     // Messages of which one command asks for the headers,
	headerSize       = 512      // … and what each counts for.
	batchesPipelined = 32       // Commands under way.
	bytesPipelined   = 256 << 20
	connBytes        = 1 << 30 // After so many octets a new connection is made: servers and links have limits.

	// maxStrikes is how often in a row a connection may end without one more
	// message done; it suffices to find one bad message among batchMessages.
	maxStrikes = 16
)

// batch is messages of one folder that are asked for by one command.
type batch struct {
	want    *mail.Want
	items   []mail.Item // Neither taken nor missed yet.
	size    int64       // Declared.
	stage   stage
	tries   int          // How often the connection ended over it while it was one message.
	brought int          // What the run had brought when it first did.
	bye     bool         // The server said BYE over this one message in an earlier visit.
	doubt   words.Detail // Why a message that came for it counts as none; nil: none did.
}

// stage is how a message is asked for.
type stage int

const (
	speculative stage = iota - 1 // Before it was known to be there.
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

	pipelined []request // Asked for already, on this connection.
	queue     []*batch  // To be asked for on this connection.
	later     []*batch  // To be asked for on the next one.
	settled   int
	past      int64     // Octets of bodies over this connection that were not wanted.
	doubts    []doubted // What was refused, until it is known whose fault that is.
	brought   int       // Bodies that came.
	proof     other     // A small one of them.
	wants     []mail.Want
	open      *mail.Want                  // The folder that is open
	openAt    *imapConn                   // … at this connection.
	openErr   map[*mail.Want]int          // How often opening the folder ended the connection.
	given     map[*mail.Want]*fault.Error // Folders given up.
	again     int                         // Connections that ended over what was skipped before.
	struck    map[*mail.Want]strike       // Over which a connection ended, perhaps: the first of what was asked for.
	// disordered: the server does not send by ascending UIDs.
	disordered bool
}

// strike is a message over which a connection ended, and what had come by then.
type strike struct {
	uid     uint32
	brought int
}

// Fetch implements protocol.
func (s *imapSession) Fetch(ctx context.Context, wants []mail.Want, take takeFunc, miss missFunc) error {
	return s.fetch(ctx, &fetchRun{take: take, miss: miss}, wants)
}

// Headers implements protocol. It goes about it as Fetch does, so that a message
// over which the server breaks off costs only its own header.
func (s *imapSession) Headers(ctx context.Context, wants []mail.Want, take headerFunc) error {
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
	var expected []*speculativeRequest
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
func (r *fetchRun) begin(ctx context.Context, expected []*speculativeRequest) (c *imapConn, release func(), err error) {
	if r.headers {
		return r.s.hold(ctx)
	}
	c, asked, release, err := r.s.holdSpeculative(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range asked {
		r.pipelined = append(r.pipelined, q.request)
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
func (r *fetchRun) plan(wants []mail.Want, expected []*speculativeRequest) (wanted bool) {
	limit := r.s.owner.opts.MaxMessageBytes
	for i := range wants {
		w := &wants[i]
		e := &speculativeRequest{}
		if at := slices.IndexFunc(expected, func(e *speculativeRequest) bool {
			return e.folder == w.Folder.Wire && e.want == nil
		}); at >= 0 {
			e = expected[at]
			e.want = w
		}
		rest := make([]mail.Item, 0, len(w.Items))
		for _, it := range w.Items {
			switch {
			case it.ID.UID == 0:
				r.missed(w, it, words.Detail{words.Say("The message has no number (UID).")})
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

func tooLarge(size, limit int64) words.Detail {
	return words.Detail{
		words.Say("The message is larger (%s) than allowed (%s).", words.Octets(size), words.Octets(limit)),
	}
}

func (r *fetchRun) missed(w *mail.Want, it mail.Item, why words.Detail) {
	r.settled++
	r.miss(w.Folder, it, fault.New(fault.MessageFailed, "fetching from folder "+displayName(w.Folder), why...))
}

// missedLarge misses a message of more octets than are taken.
func (r *fetchRun) missedLarge(w *mail.Want, it mail.Item, size int64) {
	r.settled++
	r.miss(w.Folder, it, &fault.Error{
		Code: fault.MessageFailed, Op: "fetching from folder " + displayName(w.Folder),
		Detail: tooLarge(size, r.s.owner.opts.MaxMessageBytes), TooLarge: true,
	})
}

// over asks for everything in the queue over one connection. It returns nil
// when the queue is empty or the connection has brought enough; else what ended
// the connection, with the queue ready for the next one.
func (r *fetchRun) over(c *imapConn) (err error) {
	sent := r.pipelined
	r.pipelined, r.past = nil, 0
	var sentBytes int64
	for _, q := range sent {
		sentBytes += q.size
	}
	var suspect uint32
	defer func() {
		if err == nil {
			return
		}
		c.link.Close()
		r.requeue(sent, suspect, err)
	}()
	for len(sent) > 0 || r.more() && c.taken < connBytes {
		r.cleared()
		if len(r.doubts) > 0 && len(sent) == 0 && (len(r.queue) == 0 || r.waits()) {
			if err := r.tell(c); err != nil {
				return err
			}
			continue
		}
		if most := r.mostPipelined(); len(sent) <= most/2 {
			for len(r.queue) > 0 && len(sent) < most && sentBytes < bytesPipelined && c.taken < connBytes {
				b := r.queue[0]
				r.queue = r.queue[1:]
				if r.giveUp(b) {
					continue
				}
				sent = append(sent, c.request(b, r.headers))
				sentBytes += b.size
			}
			if len(sent) == 0 {
				break
			}
		}
		q := sent[0]
		if len(q.items) == 0 { // Asked for speculatively, and not wanted.
			if err := q.readPast(&r.past); err != nil {
				return c.failed("fetching", err)
			}
			sent = sent[1:]
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
		sent = sent[1:]
		sentBytes -= q.size
	}
	return nil
}

// requeue puts what was under way when a connection ended back at the head of the queue.
// Its end is blamed on the first of it; suspect is the message in whose body the
// connection ended, 0 if in none.
func (r *fetchRun) requeue(sent []request, suspect uint32, why error) {
	var rest []*batch
	for i, q := range sent {
		q.bodies.Close()
		switch {
		case q.stage == speculative && (i > 0 || !fault.Of(why).Session):
			if i == 0 && suspect != 0 {
				r.struck[q.want] = strike{suspect, r.brought}
			}
			rest = append(rest, r.group(q.want, q.items)...)
		case i == 0:
			rest = r.blame(q.batch, suspect, why)
		default:
			rest = append(rest, q.batch)
		}
	}
	r.queue = append(rest, r.queue...)
}

// more reports whether there is more to ask for at this connection.
func (r *fetchRun) more() bool {
	return len(r.queue) > 0 || len(r.doubts) > 0 && (len(r.later) == 0 || r.waits())
}

// waits reports whether a refusal is open, so that nothing is asked for but to
// find out whose fault it is. After the connection ended over one message, the next
// is asked for anyway.
func (r *fetchRun) waits() bool {
	return slices.ContainsFunc(r.doubts, func(d doubted) bool { return !d.cut || d.why.Session })
}

// mostPipelined is how many commands may be under way.
func (r *fetchRun) mostPipelined() int {
	switch {
	case r.waits():
		return 0
	case r.brought == 0 && !r.headers:
		return unproven
	}
	return batchesPipelined
}
