package source

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Fetch implements protocol.
func (s *pop3Session) Fetch(ctx context.Context, wants []mail.Want, take takeFunc, miss missFunc) error {
	defer s.enter(ctx)()
	r := &retrieval{pop3Session: s, take: take, miss: miss, seed: maphash.MakeSeed()}
	if err := r.plan(wants, func(f mail.Folder, it mail.Item) { miss(f, it, noSuchFolder()) }); err != nil {
		return err
	}
	if len(r.todo) == 0 {
		return nil
	}
	if err := s.drain(); err != nil && final(err) {
		return err // Else run sees the broken connection.
	}
	return r.run(ctx)
}

// wanted is one message to be read. There may be as many as the maildrop has
// messages: it points to what the caller has of them already.
type wanted struct {
	want   *mail.Want
	item   *mail.Item
	number uint32 // In the present session.
	tries  uint8  // That were answered, and brought nothing.
	cuts   uint8  // Connections that ended over it.
	gone   bool   // The present session does not list it.
}

func (w *wanted) folder() mail.Folder { return w.want.Folder }

// failed reports whether it was asked for before.
func (w *wanted) failed() bool { return w.tries > 0 || w.cuts > 0 || w.want.Again }

// retrieval reads messages, with pipelined commands where the server allows
// it (RFC 2449 section 6.6).
type retrieval struct {
	*pop3Session
	take takeFunc
	miss missFunc
	seed maphash.Seed

	head [standInHead]byte // Of the message that is being looked at.

	todo []wanted // Asked for in this order; the first pending ones are on their way.

	wants   []mail.Want
	doubts  []popDoubt         // What was refused, until it is known whose fault that is.
	brought int                // Messages that came whole.
	proof   *mail.Item         // A small one of them.
	cuts    map[*mail.Item]int // What had come when the connection first ended over a message.
	later   []popDoubt         // Over which one connection ended while others came: once more, after the others.
	again   int                // Connections that ended over what was skipped before.
	// poisoned: connections ended inside of a message each time.
	poisoned bool
}

// plan makes todo of what is wanted, and calls other for what is in no folder
// that there is.
func (r *retrieval) plan(wants []mail.Want, other func(f mail.Folder, it mail.Item)) error {
	n := 0
	for _, w := range wants {
		n += len(w.Items)
	}
	r.todo, r.wants, r.cuts = make([]wanted, 0, n), wants, map[*mail.Item]int{}
	for i := range wants {
		for j := range wants[i].Items {
			w := wanted{want: &wants[i], item: &wants[i].Items[j]}
			if w.want.Folder.Wire != pop3Inbox {
				other(w.want.Folder, *w.item)
				continue
			}
			r.todo = append(r.todo, w)
		}
	}
	return r.locate()
}

// locate finds the wanted messages on the present connection.
func (r *retrieval) locate() error {
	if r.long != nil && r.moved {
		return r.relocate(r.todo)
	}
	for i := range r.todo {
		w := &r.todo[i]
		n, ok := r.number(w.item)
		w.number, w.gone = n, !ok
	}
	return nil
}

func (r *retrieval) run(ctx context.Context) error {
	for r.cleared(); len(r.todo)+len(r.later)+len(r.doubts) > 0; r.cleared() {
		r.bringLater()
		if broken := r.link.Failure(); broken != nil {
			if final(broken) {
				return broken
			}
			if len(r.doubts) > 0 && r.alone() {
				if err := r.conclude(); err != nil {
					return err
				}
				continue
			}
			if err := r.reconnect(ctx, broken); err != nil {
				return err
			}
		}
		if r.pending == 0 && len(r.doubts) > 0 && (len(r.todo) == 0 || r.waits()) {
			if err := r.tell(ctx); err != nil {
				return err
			}
			continue
		}
		w := &r.todo[0]
		if w.gone {
			r.drop(w, fault.New(fault.MessageFailed, "reading a message", words.Say("The message is no longer there.")))
			continue
		}
		if err := r.askAhead(); err != nil {
			if final(err) {
				return err
			}
			continue
		}
		if err := r.one(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// reconnect takes another connection in place of a broken one, unless too many
// ended. Over which messages they ended is reported in any case: the next session goes
// around them.
func (r *retrieval) reconnect(ctx context.Context, broken error) error {
	var err error
	switch {
	case r.again >= maxAgain && len(r.doubts) == 0 && r.todo[0].want.Again:
		err = mail.ErrLeft
	case r.reopens >= maxReopens && r.brought > 0:
		err = mail.ErrLeft
	case r.reopens >= maxReopens:
		err = fault.Wrap(fault.ServerUnavailable, "reading messages", broken)
	default:
		if err = r.restart(ctx); err == nil {
			return nil
		}
	}
	for _, d := range r.later {
		r.convict(d)
	}
	r.later = nil
	return err
}

// final reports what no new connection can fix: the end of the context, a
// closed session, a server that was waited for too long, a defect of ours.
func final(err error) bool {
	c := fault.CodeOf(err)
	return wire.GivenUp(err) || c == fault.Interrupted || c == fault.Internal
}

func (r *retrieval) drop(w *wanted, why *fault.Error) {
	r.todo = r.todo[1:]
	r.miss(w.folder(), *w.item, why)
}

// askAhead keeps enough questions on their way, but asks for a message that
// failed before alone, so that it is clear who failed.
func (r *retrieval) askAhead() error {
	if r.pending > maxWindow/2 || r.waits() {
		return nil
	}
	window := 1
	switch {
	case !r.pipelines():
	case r.brought == 0:
		window = unproven
	default:
		window = maxWindow
	}
	var bytes int64
	var cmds []wire.POP3Command
	for i, w := range r.todo[:min(window, len(r.todo))] {
		if i > 0 && (w.failed() || w.gone || r.todo[0].failed() || bytes >= windowBytes) {
			break
		}
		if i > 0 { // The message being read does not count.
			bytes += sizeOrGuess(w.item.Size)
		}
		if i >= r.pending {
			cmds = append(cmds, wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(w.number))})
		}
	}
	if len(cmds) == 0 {
		return nil
	}
	if err := r.wire.Send(cmds...); err != nil {
		return err
	}
	r.pending += len(cmds)
	return nil
}

func sizeOrGuess(size int64) int64 {
	if size <= 0 {
		return unknownSize
	}
	return size
}

// one reads the answer for the first message on the way. Its error ends the
// fetch; a broken connection is the caller's to see.
func (r *retrieval) one(ctx context.Context, w *wanted) error {
	_, err := r.wire.Status()
	var no *wire.POP3Refusal
	if errors.As(err, &no) {
		r.pending--
		return r.refused(w, no)
	}
	if err != nil && r.lostPipelined(ctx) {
		return nil // Over another connection, and not this message's fault.
	}
	if err != nil {
		return r.broke(w, err)
	}
	r.pending--
	b := &pop3Body{r: r, w: w, dots: r.wire.Body(r.client.opts.MaxMessageBytes), restart: func() error {
		return r.restart(ctx)
	}}
	b.sum.SetSeed(r.seed)
	r.partial = b.dots
	body, why := substance(b, w.item.Size, &r.head)
	if why != nil && (b.done || b.err == nil) {
		r.partial = nil
		r.unproved(w, why)
		return nil
	}
	if err := r.take(w.folder(), *w.item, body); err != nil && b.cut != nil {
		return r.broke(w, b.cut)
	} else if err != nil {
		return err
	}
	r.todo = r.todo[1:]
	r.partial = nil
	if b.done {
		r.link.Settled()
		r.came(w.item, b.n)
	}
	if !b.done && r.link.Failure() == nil && r.wire.Skip(b.dots, tail) != nil {
		return nil // Gave the connection up; run opens another one.
	}
	return nil
}

// refused handles a RETR that was answered -ERR. If the server speaks of
// itself rather than of the message, another message shows which it is.
func (r *retrieval) refused(w *wanted, no *wire.POP3Refusal) error {
	f := wire.POP3Reply(no.Text).Judge(wire.ReadingMessage, "reading a message", r.cred)
	if f.Session {
		r.todo, r.doubts = r.todo[1:], append(r.doubts, popDoubt{wanted: *w, why: f, brought: r.brought})
		return nil
	}
	if w.tries++; w.tries < maxTries {
		r.todo = append(r.todo[1:], *w)
		return nil
	}
	r.drop(w, f)
	return nil
}

// unproved puts a message after the others that was sent and is none, or
// decides it: see substance.
func (r *retrieval) unproved(w *wanted, why words.Detail) {
	if w.tries++; w.tries < maxTries {
		r.todo = append(r.todo[1:], *w)
		return
	}
	r.drop(w, fault.New(fault.MessageFailed, "reading a message", why...))
}

// broke handles a connection that broke over a message. The others are asked for
// first.
func (r *retrieval) broke(w *wanted, err error) error {
	if final(err) {
		return err
	}
	r.partial = nil
	if w.want.Again {
		r.again++
		r.drop(w, r.reason(err))
		return nil
	}
	if w.cuts == 0 {
		r.cuts[w.item] = r.brought
	}
	w.cuts++
	one := popDoubt{wanted: *w, why: r.reason(err), brought: r.cuts[w.item], cut: true}
	r.todo, r.doubts = r.todo[1:], append(r.doubts, one)
	return nil
}

func (r *retrieval) reason(err error) *fault.Error {
	detail := breaksOff
	if wire.Silent(err) {
		detail = words.Say("The server stopped in the middle of the message.")
	}
	return &fault.Error{
		Code: fault.MessageFailed, Op: "reading a message", Ended: true, Err: err,
		Detail: words.Detail{detail},
	}
}

// restart opens another connection and finds the messages there again.
func (r *retrieval) restart(ctx context.Context) error {
	if err := r.retry(ctx, r.reopen); err != nil {
		return err
	}
	_, why, err := r.survey(ctx)
	if err == nil && why != nil {
		err = why
	}
	if err != nil {
		return fault.Wrap(fault.ServerUnavailable, "finding the messages again", err)
	}
	r.relisted = true
	return r.locate()
}
