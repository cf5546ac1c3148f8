package source

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Words about the session may be about the one message or folder that was asked
// for, and so may a connection that ends. Another one, asked for alone, shows which: if
// that comes, the first is to blame and is gone around; if not, the session is
// over and nothing is to blame. Meanwhile nothing else is sent. See
// docs/decisions/0029-session-or-culprit.md.

const (
	// mostFarewells is on how many connections of a session a server may say BYE.
	mostFarewells = 2
	// unproven is how many commands are pipelined before the first is answered
	// with success.
	unproven = 2
	// probeBytes is the most that is read of a message to see whether the server
	// sends any.
	probeBytes = 256 << 10
)

// farewell is why the server ended the session by BYE, or nil.
func (c *imapConn) farewell() *fault.Error {
	var known *fault.Error
	if c.wire.LastSaid().Kind == wire.BYE && errors.As(c.link.Failure(), &known) {
		return known
	}
	return nil
}

// doubted are messages that were refused, or over which the connection ended,
// while it is not known whose fault that is.
type doubted struct {
	*batch
	why     *fault.Error
	folder  bool // The folder was refused, not the messages.
	suspect uint32
	brought int // What the run had brought when it was first refused.
	cut     bool
}

// doubt keeps what is left of a refused batch until another message shows whose fault it is.
func (r *fetchRun) doubt(b *batch, why *fault.Error, folder bool, suspect uint32) {
	if len(b.items) == 0 {
		return
	}
	r.doubts = append(r.doubts, doubted{batch: b, why: why, folder: folder, suspect: suspect, brought: r.brought})
}

// accuse is doubt for one message over which the connection ended. before is what
// the run had brought when it first did.
func (r *fetchRun) accuse(b *batch, why *fault.Error, before int) {
	r.doubts = append(r.doubts, doubted{batch: b, why: why, brought: before, cut: true})
}

// cleared gives the blame to what was refused, where another message came since.
func (r *fetchRun) cleared() {
	var open []doubted
	for _, d := range r.doubts {
		if r.brought == d.brought {
			open = append(open, d)
			continue
		}
		r.convict(d)
	}
	r.doubts = open
}

// convict decides how to continue with what was refused while others came: one
// message is missed; of several the one to blame is looked for.
func (r *fetchRun) convict(d doubted) {
	b := d.batch
	switch {
	case d.folder:
		r.given[b.want] = d.why
		r.giveUp(b)
	case len(b.items) == 1 && b.stage != speculative:
		detail := append(words.Detail{refusesMessage}, d.why.Detail...)
		if d.cut {
			detail = words.Detail{breaksOff}
			if d.why.Session {
				detail = append(detail, d.why.Detail...)
			}
		}
		r.settled++
		r.trust(b.want, b.items[0].ID.UID)
		r.miss(b.want.Folder, b.items[0], &fault.Error{
			Code: fault.MessageFailed, Op: d.why.Op, Detail: detail, Ended: d.cut, Err: d.why,
		})
		b.items = nil
	case b.stage == speculative:
		r.queue = append(r.queue, r.group(b.want, b.items)...)
	default:
		r.queue = append(r.queue, b.parts(d.suspect)...)
	}
}

var (
	refusesMessage = words.Say("The server refuses to send this message.")
	breaksOff      = words.Say("The server breaks off the connection when it is asked for this message.")
)

// parts are what a batch is asked for in when one of it is to blame: the suspect
// alone and last, or, where there is none, halves.
func (b *batch) parts(suspect uint32) []*batch {
	at := b.find(suspect)
	if at < 0 {
		half := len(b.items) / 2
		return []*batch{
			{want: b.want, items: b.items[:half:half], stage: b.stage},
			{want: b.want, items: b.items[half:], stage: b.stage},
		}
	}
	return []*batch{
		{want: b.want, items: slices.Delete(slices.Clone(b.items), at, at+1), stage: b.stage},
		{want: b.want, items: []mail.Item{b.items[at]}, stage: alone},
	}
}

// next returns the message that a server which sends by ascending UIDs was at when
// it stopped, if any came before: 0 otherwise.
func (b *batch) next(last uint32) (uid uint32) {
	if last == 0 {
		return 0
	}
	for _, it := range b.items {
		if it.ID.UID > last && (uid == 0 || it.ID.UID < uid) {
			uid = it.ID.UID
		}
	}
	return uid
}

// first returns the message that a server which sends by ascending UIDs sends first.
func (b *batch) first() (uid uint32) {
	for _, it := range b.items {
		if uid == 0 || it.ID.UID < uid {
			uid = it.ID.UID
		}
	}
	return uid
}

// bringLater has messages over which a connection ended asked for once more: behind
// all that is new, and before what failed in earlier visits.
func (r *fetchRun) bringLater() {
	at := slices.IndexFunc(r.queue, func(b *batch) bool { return b.want.Again })
	if at < 0 {
		at = len(r.queue)
	}
	r.queue, r.later = slices.Insert(r.queue, at, r.later...), nil
}

// haveOthers reports whether messages are known that came in earlier visits.
func (r *fetchRun) haveOthers() bool {
	return slices.ContainsFunc(r.wants, func(w mail.Want) bool { return len(w.Others) > 0 })
}

// prove asks for another message, alone, after connections ended one after the other:
// if it comes, that was over what was asked for. Its error ended the connection.
func (r *fetchRun) prove(c *imapConn) error {
	chosen := r.others(1)
	if len(chosen) == 0 {
		return nil
	}
	o := chosen[0]
	refused, err := r.probe(c, o)
	if err != nil && len(o.items) > 0 {
		o.tries, o.brought = 1, r.brought
		r.later = append(r.later, o.batch)
	}
	if refused != nil {
		r.doubts = append(r.doubts, *refused)
	}
	return err
}

// onlyAgain reports whether connections ended over enough messages that were skipped
// in earlier visits, or over which a BYE ended one, and nothing else is left.
func (r *fetchRun) onlyAgain(c *imapConn) bool {
	fresh := func(b *batch) bool { return !b.want.Again && !b.bye }
	spent := c.last && c.farewell() != nil && r.brought > 0
	return (r.again >= maxAgain || spent) && len(r.doubts) == 0 && !slices.ContainsFunc(append(r.queue, r.later...), fresh)
}

// tellLater misses those over which a connection ended, where other messages came
// since: no more connections are made for them in this visit, and the next goes
// around them.
func (r *fetchRun) tellLater(why error) {
	for _, b := range append(r.queue, r.later...) {
		if len(b.items) == 1 && b.tries > 0 && r.brought > b.brought && !r.headers {
			r.convict(doubted{batch: b, why: cutFault(b, why), cut: true})
		}
	}
}

// tell asks for other messages, alone, until one comes. Its error is of the
// session: nothing came, or there was nothing to ask for.
func (r *fetchRun) tell(c *imapConn) error {
	tries := 2
	if len(r.doubts) > 1 {
		tries = 1 // Two were refused, one after the other.
	}
	for _, o := range r.others(tries) {
		if len(r.doubts) > 1 && o.want != r.open {
			break // It would take more commands than a server that is over its limit is to have.
		}
		before := r.brought
		refused, err := r.probe(c, o)
		if err != nil {
			return &callerError{r.session(err)}
		}
		if refused != nil {
			r.doubts = append(r.doubts, *refused)
		}
		if r.brought > before {
			r.cleared()
			return nil
		}
	}
	if err := r.conclude(); err != nil {
		return &callerError{err}
	}
	return nil
}

// conclude is what comes of it where no other message came: over one message a
// connection may end without a word.
func (r *fetchRun) conclude() error {
	if one := r.doubts[0]; len(r.doubts) == 1 && one.cut && !one.why.Session {
		r.doubts = nil
		r.convict(one)
		return nil
	}
	return r.session(nil)
}

// alone reports whether nothing but what is doubted is left to ask for, so that no
// other connection tells more, and what comes of it.
func (r *fetchRun) alone() (over bool, err error) {
	if len(r.queue) > 0 || len(r.doubts) == 0 || r.proof.uid != 0 {
		return false, nil
	}
	if r.haveOthers() {
		return false, nil
	}
	for _, d := range r.doubts {
		if len(d.items) > 1 {
			return false, nil
		}
	}
	return true, r.conclude()
}

// session is what ends the session: the server's own words before what came of
// asking once more.
func (r *fetchRun) session(err error) error {
	why := *r.doubts[0].why
	if !why.Session && err != nil {
		return err
	}
	if !why.Session {
		why.Code = fault.CodeOf(why.Err)
	}
	why.Session = true
	return &why
}

// other is a message that is asked for alone: a batch of it, or, where it is not
// wanted, an empty one.
type other struct {
	*batch
	uid uint32
}

// others chooses what to ask for: a message that has come, or came before; else
// any of those that are wanted. Which one changes from visit to visit, so that two
// that are to blame do not cover for each other for ever.
func (r *fetchRun) others(most int) (chosen []other) {
	if r.proof.uid != 0 {
		return []other{r.proof}
	}
	for i := range r.wants {
		w := &r.wants[i]
		for _, it := range w.Others {
			if it.Size <= probeBytes && len(chosen) < most {
				chosen = append(chosen, other{&batch{want: w, stage: alone}, it.ID.UID})
			}
		}
	}
	batches := slices.DeleteFunc(slices.Clone(r.queue), func(b *batch) bool { return b.tries > 0 })
	for i := range r.doubts {
		if d := &r.doubts[i]; len(d.items) > 1 && !d.folder {
			batches = append(batches, d.batch)
		}
	}
	inOpen := func(b *batch) bool { return b.want == r.open && len(b.items) > 0 }
	if slices.ContainsFunc(batches, inOpen) {
		batches = slices.DeleteFunc(batches, func(b *batch) bool { return !inOpen(b) })
	}
	for len(chosen) < most {
		n := 0
		for _, b := range batches {
			n += len(b.items)
		}
		if n == 0 {
			break
		}
		at := rand.IntN(n)
		for _, b := range batches {
			if at >= len(b.items) {
				at -= len(b.items)
				continue
			}
			it := b.items[at]
			b.items = slices.Delete(b.items, at, at+1)
			chosen = append(chosen, other{&batch{want: b.want, items: []mail.Item{it}, size: it.Size, stage: alone}, it.ID.UID})
			break
		}
	}
	r.queue = slices.DeleteFunc(r.queue, func(b *batch) bool { return len(b.items) == 0 })
	return chosen
}

// probe asks for one message, by one command where its folder is open. It
// returns one that is wanted and was refused.
func (r *fetchRun) probe(c *imapConn, o other) (refused *doubted, err error) {
	q := request{batch: o.batch}
	defer func() {
		if err != nil { // Whoever ends the connection waits for all that was asked for.
			c.link.Close()
			q.bodies.Close()
		}
	}()
	if r.open == o.want && r.openAt == c {
		q.bodies = c.bodies(imap.UIDSetNum(imap.UID(o.uid)), r.headers)
	} else {
		q.opened, q.bodies = c.askBodies(o.want.Folder.Wire, imap.UIDSetNum(imap.UID(o.uid)), r.headers)
		var verdict *fault.Error
		if verdict, err = r.enter(c, q); err != nil {
			return nil, err
		}
		switch {
		case verdict == nil:
		case !verdict.Session:
			r.given[o.want] = verdict
			r.giveUp(o.batch)
			return nil, q.readPast(&r.past)
		case len(o.items) == 0:
			return nil, q.readPast(&r.past)
		default:
			return &doubted{batch: o.batch, why: verdict, folder: true, brought: r.brought}, q.readPast(&r.past)
		}
	}
	open := len(r.doubts)
	_, err = r.receive(c, q)
	if len(r.doubts) > open {
		one := r.doubts[open]
		refused, r.doubts = &one, r.doubts[:open]
	}
	return refused, err
}

// came notes that a body came: whatever was refused before is to blame itself.
func (r *fetchRun) came(w *mail.Want, uid uint32, size int64) {
	r.brought++
	r.trust(w, uid)
	if size <= probeBytes && (r.proof.uid == 0 || r.proof.want != w) {
		r.proof = other{&batch{want: w, stage: alone}, uid}
	}
}
