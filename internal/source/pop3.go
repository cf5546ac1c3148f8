package source

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/wire"
)

const (
	// maxWindow is how many questions are sent ahead of their answers.
	maxWindow = 400
	// windowBytes is how much mail may be on its way beyond the message being
	// read: what a visit that is broken off has to wait for.
	windowBytes = 16 << 20
	// unknownSize is what a message counts for whose size was not told.
	unknownSize = 64 << 10
	// maxTries of one message end in a miss, with the message asked for alone
	// after the first.
	maxTries = 3
	// maxCuts is how many connections may end over one message in a session.
	maxCuts = 2
	// maxReopens of one session: what then has not come is left for another one.
	maxReopens = 10
	// maxAgain is how many connections may end over messages that were skipped in
	// earlier visits.
	maxAgain = 2
	// resumedFrom is how much of a message must have come for it to be gone on with
	// at once when the connection ends inside, where it ended inside of another each
	// time.
	resumedFrom = 256 << 10
	// tail is how much of a message that its taker did not want to the end is
	// read past rather than giving up the connection.
	tail = 256 << 10
	// leavePatience is for RSET.
	leavePatience = 20 * time.Second
)

// pop3Session reads one maildrop (RFC 1939). Where the connection breaks it
// opens another one by itself, a bounded number of times, and finds its
// messages again by their unique-ids.
type pop3Session struct {
	client *Client
	who    *wire.Signer
	server account.Server
	cred   account.Credential

	mu     sync.Mutex // Guards what Close needs.
	link   *wire.Link
	closed bool

	pace     *wire.SessionPace
	wire     *wire.POP3
	capas    pop3Capas
	memory   pop3Memory
	early    *listing // Asked for along with the login and not yet handed over, as is count.
	count    uint32   // Of STAT.
	counted  bool
	listed   []bearer           // By ascending number, as listed last on this connection; nil: never.
	numbers  map[mail.ID]uint32 // The same by name, once it is needed.
	long     *pages             // A long listing, in place of listed.
	moved    bool               // Numbers of a long listing may be another connection's,
	relisted bool               // … and it is none that was handed over.
	file     *pageFile
	top      presence // TOP, where CAPA does not speak of it.
	reopens  int
	release  func() // Undoes the binding of the link to the call's context.

	readWhole func(context.Context) (map[string]bool, error) // Of the query: see mail.Query.

	// What is still to come on the wire: the rest of a message, and the
	// answers to so many RETRs after it.
	partial *wire.DotReader
	pending int
}

// bearer is a message of a listing with its name.
type bearer struct {
	number uint32
	id     mail.ID
}

// openPOP3 connects and signs in. remembered is what an earlier session's
// Capabilities told. For a test, which observes its steps, one question is asked
// at a time, so that each step's outcome is its own; for a visit what it asks
// first goes along with the login.
func openPOP3(ctx context.Context, c *Client, who *wire.Signer, cred account.Credential,
	observe func(account.Step),
) (Session, error) {
	pace := wire.NewSessionPace(c.opts.Patience)
	l, err := c.wire.Dial(ctx, who, cred, pace, observe)
	if err != nil {
		return nil, err
	}
	s := &pop3Session{
		client: c, who: who, server: who.Account().Server, cred: cred, link: l, pace: pace,
		memory: rememberPOP3(who.Account().Capabilities), release: func() {}, file: &pageFile{dir: c.opts.TempDir},
	}
	defer s.enter(ctx)()
	if err := s.start(ctx, observe == nil); err != nil {
		s.file.close()
		return nil, err
	}
	return s, nil
}

// enter binds the session's connection, and those that replace it, to ctx
// until leave is called.
func (s *pop3Session) enter(ctx context.Context) (leave func()) {
	s.release = s.link.Bind(ctx)
	return func() {
		s.release()
		s.release = func() {}
	}
}

// Folders implements Session.
func (s *pop3Session) Folders(ctx context.Context) ([]mail.Folder, error) {
	defer s.enter(ctx)()
	if s.early == nil {
		if err := s.stat(ctx); err != nil {
			return nil, err
		}
	}
	return []mail.Folder{s.inbox()}, nil
}

const pop3Inbox = "INBOX"

func (s *pop3Session) inbox() mail.Folder {
	return mail.Folder{Wire: pop3Inbox, Selectable: true, Status: mail.Status{Known: s.counted, Messages: s.count}}
}

func (s *pop3Session) stat(ctx context.Context) error {
	if err := s.settle(); err != nil {
		return err
	}
	defer s.link.Within(ctx, pop3Patience)()
	text, err := s.wire.Ask(wire.POP3Command{Verb: wire.PopSTAT})
	var no *wire.POP3Refusal
	if errors.As(err, &no) {
		return wire.POP3Reply(no.Text).Judge(wire.AskingAccount, "counting messages", s.cred)
	}
	if err != nil {
		return err
	}
	if s.count, s.counted = parseSTAT(text); !s.counted {
		return s.link.Abort(fault.New(fault.ProtocolError, "counting messages", "The server does not say how many messages "+
			"there are."))
	}
	return nil
}

// List implements Session. There is no listing from a message on: it is always
// the whole folder's.
func (s *pop3Session) List(ctx context.Context, queries []mail.Query, yield func(l mail.Listing,
	err error) error,
) error {
	defer s.enter(ctx)()
	for _, q := range queries {
		if q.Folder.Wire != pop3Inbox {
			if err := yield(mail.Listing{Folder: q.Folder}, noSuchFolder()); err != nil {
				return err
			}
			continue
		}
		s.readWhole = q.ReadWhole
		l, why, err := s.survey(ctx)
		if err != nil {
			return err
		}
		s.link.Settled()
		var failed error
		if why != nil {
			failed = why
		}
		if err := yield(l, failed); err != nil {
			return err
		}
	}
	return nil
}

func noSuchFolder() *fault.Error {
	return fault.New(fault.FolderFailed, "listing messages", "By POP3 there is only the inbox.")
}

func (s *pop3Session) survey(ctx context.Context) (mail.Listing, *fault.Error, error) {
	if !s.counted {
		if err := s.stat(ctx); err != nil {
			return mail.Listing{}, nil, err
		}
	}
	if err := s.settle(); err != nil {
		return mail.Listing{}, nil, err
	}
	items, long, unread, why, err := s.list(ctx)
	if err != nil && s.lostAhead(ctx) {
		if err := s.retry(ctx, s.reopen); err != nil {
			return mail.Listing{}, nil, err
		}
		return s.survey(ctx)
	}
	if err != nil {
		return mail.Listing{}, nil, err
	}
	if s.long, s.relisted = long, false; long != nil {
		return mail.Listing{
			Folder: s.inbox(), Older: long, Unread: unread,
			Complete: why == nil && unread == 0 && long.Len() == int(s.count),
		}, why, nil
	}
	s.listed, s.numbers = make([]bearer, len(items)), nil
	for i, it := range items {
		s.listed[i] = bearer{it.Number, it.ID}
	}
	return mail.Listing{
		Folder: s.inbox(), Items: items, Unread: unread,
		Complete: why == nil && unread == 0 && len(items) == int(s.count),
	}, why, nil
}

// settle reads what is still to come, so that the next answer is the next
// question's.
func (s *pop3Session) settle() error {
	most := s.client.opts.MaxMessageBytes
	if d := s.partial; d != nil {
		s.partial = nil
		if err := s.wire.Skip(d, most); err != nil {
			return err
		}
	}
	for ; s.pending > 0; s.pending-- {
		_, err := s.wire.Status()
		var no *wire.POP3Refusal
		if errors.As(err, &no) {
			continue
		}
		if err == nil {
			err = s.wire.Skip(s.wire.Body(most), most)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Capabilities implements Session.
func (s *pop3Session) Capabilities() string {
	return pop3Memory{
		capas: s.capas, late: s.memory.late, single: s.memory.single, signIn: s.memory.signIn,
	}.String()
}

// Leave implements Session: RSET, which takes back even the "seen" of servers
// that set it by RETR, then QUIT.
//
// RSET's answer is waited for: it is the only word that a server gives on
// having left its mail as it was, and some of what lies between (a proxy that
// gives up its other side at the end of ours) could lose it otherwise. It is due
// only when something was read, and then everything is delivered already.
// QUIT's is not waited for. It matters to nobody: the UPDATE state that QUIT
// begins removes what DELE marked, and there is no DELE here; without QUIT the
// server does not even enter it, and lets go of its lock all the same (RFC 1939
// sections 5 and 6). Where QUIT is known to hide what was read from other
// programs (Gmail), the connection is closed instead: Options.CloseOnly.
func (s *pop3Session) Leave(ctx context.Context) error {
	defer s.Close()
	defer s.enter(ctx)()
	if err := s.settle(); err != nil {
		return err
	}
	defer s.link.Within(ctx, leavePatience)()
	quit, reset := wire.POP3Command{Verb: wire.PopQUIT}, wire.POP3Command{Verb: wire.PopRSET}
	closes := s.client.opts.CloseOnly
	stays := closes != nil && closes(s.who.Account())
	if !s.wire.HasRead() {
		if stays {
			return nil
		}
		return s.wire.Send(quit)
	}
	pipelined := s.pipelines() && !stays
	words := []wire.POP3Command{reset}
	if pipelined {
		words = append(words, quit)
	}
	if err := s.wire.Send(words...); err != nil {
		return err
	}
	_, err := s.wire.Status()
	var no *wire.POP3Refusal
	if err != nil && !errors.As(err, &no) {
		return err
	}
	if pipelined || stays {
		return nil
	}
	return s.wire.Send(quit)
}

// Close implements Session.
func (s *pop3Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.file.close()
	return s.link.Close()
}

// reopen replaces a broken connection. What follows is asked one thing at a
// time until the login: a server that breaks off is not pressed further.
func (s *pop3Session) reopen(ctx context.Context) error {
	s.link.Close()
	s.moved = true
	if s.reopens++; s.reopens > maxReopens {
		return fault.New(fault.ServerUnavailable, "reconnecting", "The server broke the connection off again and again.")
	}
	return s.another(ctx)
}

// another takes a new connection in place of the one there was, up to the
// login.
func (s *pop3Session) another(ctx context.Context) error {
	if s.relisted && s.long != nil {
		memory.Of(ctx).Give(int64(s.long.taken) * pagedCost)
	}
	s.partial, s.pending, s.early, s.counted, s.listed, s.numbers, s.long = nil, 0, nil, false, nil, nil, nil
	s.link.Close()
	_, err := renewing(ctx, &s.cred, func(cred account.Credential) (*wire.Link, error) {
		l, err := s.client.wire.Dial(ctx, s.who, cred, s.pace, nil)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.closed {
			l.Close()
		}
		s.link = l
		s.mu.Unlock()
		s.release()
		s.release = l.Bind(ctx)
		return l, s.start(ctx, false)
	})
	return err
}

// Fetch implements Session.
func (s *pop3Session) Fetch(ctx context.Context, wants []mail.Want, take func(f mail.Folder, it mail.Item,
	body io.Reader) error, miss func(f mail.Folder, it mail.Item, why *fault.Error),
) error {
	defer s.enter(ctx)()
	r := &retrieval{pop3Session: s, take: take, miss: miss, seed: maphash.MakeSeed()}
	if err := r.plan(wants, func(f mail.Folder, it mail.Item) { miss(f, it, noSuchFolder()) }); err != nil {
		return err
	}
	if len(r.todo) == 0 {
		return nil
	}
	if err := s.settle(); err != nil && final(err) {
		return err // Else run sees the broken connection.
	}
	return r.run(ctx)
}

// number returns the number that a message bears on this connection: the one
// it was listed by may be another connection's. ok is false for a message that
// is not listed here.
func (s *pop3Session) number(it *mail.Item) (n uint32, ok bool) {
	if s.listed == nil {
		return it.Number, true
	}
	at, ok := slices.BinarySearchFunc(s.listed, it.Number, func(b bearer, n uint32) int {
		return cmp.Compare(b.number, n)
	})
	if ok && s.listed[at].id == it.ID {
		return it.Number, true
	}
	if s.numbers == nil {
		s.numbers = make(map[mail.ID]uint32, len(s.listed))
		for _, b := range s.listed {
			s.numbers[b.id] = b.number
		}
	}
	n = bearerOf(it.ID, func(id mail.ID) (uint32, bool) {
		n, ok := s.numbers[id]
		return n, ok
	})
	return n, n != 0
}

// bearerOf returns the number of the message that bears an identity, or 0. A
// unique-id with an ordinal above those listed names the message that bears it
// now, after another that is gone.
func bearerOf(id mail.ID, numbers func(mail.ID) (uint32, bool)) uint32 {
	n, ok := numbers(id)
	if !ok && !strings.Contains(id.UIDL, " ") {
		if _, two := numbers(mail.ID{UIDL: id.UIDL, Ordinal: 1}); !two {
			n, _ = numbers(mail.ID{UIDL: id.UIDL})
		}
	}
	return n
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

// retrieval reads messages, with questions sent ahead where the server allows
// it (RFC 2449 section 6.6).
type retrieval struct {
	*pop3Session
	take func(f mail.Folder, it mail.Item, body io.Reader) error
	miss func(f mail.Folder, it mail.Item, why *fault.Error)
	seed maphash.Seed

	head [standInHead]byte // Of the message that is being looked at.

	todo []wanted // Asked for in this order; the first pending ones are on their way.

	wants   []mail.Want
	doubts  []popDoubt         // What was refused, until it is known whose fault that is.
	brought int                // Messages that came whole.
	proof   *mail.Item         // A small one of them.
	cuts    map[*mail.Item]int // What had come when the connection first ended over a message.
	later   []popDoubt         // Over which one connection ended while others came: once more, behind the others.
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
			r.drop(w, fault.New(fault.MessageFailed, "reading a message", "The message is no longer there."))
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
// ended. Over which messages they ended is told in any case: the next session goes
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

// final tells what no new connection can mend: the end of the context, a
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
	if err != nil && r.lostAhead(ctx) {
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
	if why != "" && (b.done || b.err == nil) {
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

// refused settles a RETR that was answered -ERR. If the server speaks of
// itself rather than of the message, another message tells which it is.
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

// unproved puts a message behind the others that was sent and is none, or
// settles it: see substance.
func (r *retrieval) unproved(w *wanted, why string) {
	if w.tries++; w.tries < maxTries {
		r.todo = append(r.todo[1:], *w)
		return
	}
	r.drop(w, fault.New(fault.MessageFailed, "reading a message", why))
}

// broke settles a connection that broke over a message. The others are asked for
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
		detail = "The server stopped in the middle of the message."
	}
	return &fault.Error{Code: fault.MessageFailed, Op: "reading a message", Detail: detail, Ended: true, Err: err}
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

// reopenPauses are the waits before a new connection is tried once more: a
// server may hold the maildrop's lock for a broken session a little longer.
var reopenPauses = [...]time.Duration{time.Second, 4 * time.Second}

func (s *pop3Session) retry(ctx context.Context, open func(context.Context) error) error {
	for i := 0; ; i++ {
		err := open(ctx)
		if err == nil || i == len(reopenPauses) || final(err) || !fault.CodeOf(err).Retryable() {
			return err
		}
		t := time.NewTimer(reopenPauses[i])
		select {
		case <-ctx.Done():
			t.Stop()
			return wire.Interrupted(ctx)
		case <-t.C:
		}
	}
}

// pop3Body is one message's bytes. When the connection breaks in the middle of a
// long one it goes on over another one, after the bytes that were read already,
// provided that they are the same there.
type pop3Body struct {
	r       *retrieval
	w       *wanted
	dots    *wire.DotReader
	restart func() error

	n    int64
	sum  maphash.Hash
	done bool // Read to its end.
	err  error
	cut  error // The connection broke, and the message is to be asked for again, from its beginning.
}

// Read implements io.Reader.
func (b *pop3Body) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.dots.Read(p)
		if n > 0 {
			b.sum.Write(p[:n])
			if b.n += int64(n); b.n > b.r.client.opts.MaxMessageBytes {
				b.err = b.give(&fault.Error{
					Code: fault.MessageFailed, Op: "reading a message", TooLarge: true,
					Detail: "The message is larger than " + wire.BinarySize(b.r.client.opts.MaxMessageBytes) + ".",
				})
				break
			}
			return n, nil
		}
		if errors.Is(err, io.EOF) { // The terminator, and nothing else: see dotReader.
			b.done, b.err = true, io.EOF
			b.r.partial = nil
			break
		}
		if err != nil {
			b.err = b.resume(err)
		}
	}
	return 0, b.err
}

// give gives the connection up: what is still to come is not worth reading.
func (b *pop3Body) give(f *fault.Error) error {
	b.r.link.Abort(f)
	return f
}

// resume goes on over a new connection, or returns why the message failed.
func (b *pop3Body) resume(cause error) error {
	for {
		if final(cause) {
			return cause
		}
		if b.w.cuts++; b.w.cuts >= maxCuts || wire.Silent(cause) {
			b.r.poisoned = true
			return b.give(b.r.reason(cause))
		}
		if b.r.poisoned && b.n < resumedFrom || b.w.want.Again || b.r.reopens >= maxReopens {
			b.w.cuts--
			b.cut = cause
			return cause
		}
		if err := b.restart(); err != nil {
			return err
		}
		if cause = b.again(); cause == nil {
			return nil
		}
		if b.r.link.Failure() == nil || fault.CodeOf(cause) == fault.MessageFailed {
			return cause // Not the connection's fault.
		}
	}
}

// again asks for the message and reads past what was read already.
func (b *pop3Body) again() error {
	failed := func(detail string) error { return fault.New(fault.MessageFailed, "reading a message", detail) }
	if b.w.gone {
		return failed("The message is no longer there.")
	}
	_, err := b.r.wire.Ask(wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(b.w.number))})
	var no *wire.POP3Refusal
	if errors.As(err, &no) {
		return wire.POP3Reply(no.Text).Judge(wire.ReadingMessage, "reading a message", b.r.cred)
	}
	if err != nil {
		return err
	}
	b.dots = b.r.wire.Body(b.r.client.opts.MaxMessageBytes)
	b.r.partial = b.dots
	var sum maphash.Hash
	sum.SetSeed(b.r.seed)
	n, err := io.Copy(&sum, io.LimitReader(b.dots, b.n))
	if err == nil && (n != b.n || sum.Sum64() != b.sum.Sum64()) {
		return b.give(fault.New(fault.MessageFailed, "reading a message", "The server sent other bytes the second time."))
	}
	return err
}
