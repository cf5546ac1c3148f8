package source

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxWindow is how many commands are pipelined.
	maxWindow = 400
	// windowBytes is how much mail may be on its way beyond the message being
	// read: what a visit that is broken off has to wait for.
	windowBytes = 16 << 20
	// unknownSize is what a message counts for whose size is not known.
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
	server remote.Server
	cred   remote.Credential

	mu     sync.Mutex // Guards what Close needs.
	link   *wire.Link
	closed bool

	pace      *wire.SessionPace
	wire      *wire.POP3
	capas     pop3Capas
	memory    pop3Memory
	pipelined *listing // Asked for along with the login and not yet handed over, as is count.
	count     uint32   // Of STAT.
	counted   bool
	listed    []bearer           // By ascending number, as listed last on this connection; nil: never.
	numbers   map[mail.ID]uint32 // The same by name, once it is needed.
	long      *pages             // A long listing, in place of listed.
	moved     bool               // Numbers of a long listing may be another connection's,
	relisted  bool               // … and it is none that was handed over.
	file      *pageFile
	top       presence // TOP, where CAPA does not speak of it.
	reopens   int
	release   func() // Undoes the binding of the link to the call's context.

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
// Capabilities returned. For a test, which observes its steps, one question is asked
// at a time, so that each step's outcome is its own; for a visit what it asks
// first goes along with the login.
func openPOP3(ctx context.Context, c *Client, who *wire.Signer, cred remote.Credential,
	observe func(remote.Step),
) (protocol, error) {
	pace := wire.NewSessionPace(c.opts.Patience)
	l, err := c.wire.Dial(ctx, who, cred, pace, observe)
	if err != nil {
		return nil, err
	}
	s := &pop3Session{
		client: c, who: who, server: who.Mailbox().Server, cred: cred, link: l, pace: pace,
		memory: rememberPOP3(who.Mailbox().Capabilities), release: func() {}, file: &pageFile{dir: c.opts.TempDir},
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

// Folders implements protocol.
func (s *pop3Session) Folders(ctx context.Context) ([]mail.Folder, error) {
	defer s.enter(ctx)()
	if s.pipelined == nil {
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
	if err := s.drain(); err != nil {
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
		return s.link.Abort(fault.New(fault.ProtocolError, "counting messages",
			words.Say("The server does not say how many messages there are.")))
	}
	return nil
}

// List implements protocol. There is no listing from a message on: it is always
// the whole folder's.
func (s *pop3Session) List(ctx context.Context, queries []mail.Query, yield yieldFunc) error {
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
	return fault.New(fault.FolderFailed, "listing messages", words.Say("By POP3 there is only the inbox."))
}

func (s *pop3Session) survey(ctx context.Context) (mail.Listing, *fault.Error, error) {
	if !s.counted {
		if err := s.stat(ctx); err != nil {
			return mail.Listing{}, nil, err
		}
	}
	if err := s.drain(); err != nil {
		return mail.Listing{}, nil, err
	}
	items, long, unread, why, err := s.list(ctx)
	if err != nil && s.lostPipelined(ctx) {
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

// drain reads what is still to come, so that the next answer is the next
// question's.
func (s *pop3Session) drain() error {
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

// Capabilities implements protocol.
func (s *pop3Session) Capabilities() string {
	return pop3Memory{
		capas: s.capas, noPipelinedLogin: s.memory.noPipelinedLogin, noPipelining: s.memory.noPipelining,
		signIn: s.memory.signIn,
	}.String()
}

// Leave implements protocol: RSET, which takes back even the "seen" of servers
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
	if err := s.drain(); err != nil {
		return err
	}
	defer s.link.Within(ctx, leavePatience)()
	quit, reset := wire.POP3Command{Verb: wire.PopQUIT}, wire.POP3Command{Verb: wire.PopRSET}
	closes := s.client.opts.CloseOnly
	stays := closes != nil && closes(s.who.Mailbox())
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

// Close implements protocol.
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
		return fault.New(fault.ServerUnavailable, "reconnecting",
			words.Say("The server broke the connection off again and again."))
	}
	return s.another(ctx)
}

// another takes a new connection in place of the one there was, up to the
// login.
func (s *pop3Session) another(ctx context.Context) error {
	if s.relisted && s.long != nil {
		memory.Of(ctx).Give(int64(s.long.taken) * pagedCost)
	}
	s.partial, s.pending, s.pipelined, s.counted, s.listed, s.numbers, s.long = nil, 0, nil, false, nil, nil, nil
	s.link.Close()
	_, err := renewing(ctx, &s.cred, func(cred remote.Credential) (*wire.Link, error) {
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

// number returns the number that a message has on this connection: the one
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
	n = holderOf(it.ID, func(id mail.ID) (uint32, bool) {
		n, ok := s.numbers[id]
		return n, ok
	})
	return n, n != 0
}

// holderOf returns the number of the message that has an identity, or 0. A
// unique-id with an ordinal above those listed names the message that has it
// now, after another that is gone.
func holderOf(id mail.ID, numbers func(mail.ID) (uint32, bool)) uint32 {
	n, ok := numbers(id)
	if !ok && !strings.Contains(id.UIDL, " ") {
		if _, two := numbers(mail.ID{UIDL: id.UIDL, Ordinal: 1}); !two {
			n, _ = numbers(mail.ID{UIDL: id.UIDL})
		}
	}
	return n
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
