package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	logoutPatience   = 5 * time.Second
	maxCredentialLen = 4 << 10
)

// imapConn is one signed-in connection.
type imapConn struct {
	link   *wire.Link
	wire   *wire.IMAP
	client *imapclient.Client
	cred   remote.Credential // It signed in with.
	caps   imap.CapSet
	inside bool  // A folder was opened: what was said before is no reason for anything.
	taken  int64 // Octets of bodies so far.
	quirks *imapQuirks
	// askedState: the state of folders was asked for.
	askedState bool
	pipelined  *pipelined   // Nil where nothing was pipelined.
	way        imap.Cap     // memoryProved, memoryShown, or "": what a later login should know of this one.
	countUntil time.Time    // When to stop asking how many messages folders hold; zero: never.
	unlisted   *fault.Error // Why not all folders were listed; nil: they were.
	last       bool         // Should the server say BYE once more, no other connection is made.
}

// imapQuirks is what a session learned about its server, for all connections.
type imapQuirks struct {
	// noObjectID: the server refused to give messages' object ids (or X-GM-MSGID)
	// although it offers them.
	noObjectID atomic.Bool
	// noPipelining: commands pipelined with LOGIN were lost or refused, as by a proxy
	// that passes nothing on before it has the answer.
	noPipelining atomic.Bool
	// stateless: the server ended the connection when it was asked for the state
	// of folders.
	stateless atomic.Bool
	// namespaces: what the server last said of them, now or in an earlier session;
	// nil: nothing.
	namespaces atomic.Pointer[namespaces]
	suspects   suspects
}

// imapSession is an account being read, over one connection after another.
type imapSession struct {
	connect func(context.Context) (*imapConn, error)
	owner   *Client
	cred    remote.Credential
	quirks  *imapQuirks

	mu          sync.Mutex
	conn        *imapConn             // Never nil.
	speculative []*speculativeRequest // At conn.
	closed      bool

	farewells int      // Connections that the server ended by BYE.
	cuts      int      // Connections that ended while messages were fetched.
	known     []string // The folders that there are, by wire name.
	listings  collector
}

func openIMAP(ctx context.Context, c *Client, who *wire.Signer, cred remote.Credential,
	observe func(remote.Step),
) (protocol, error) {
	quirks, pace := &imapQuirks{}, wire.NewSessionPace(c.opts.Patience)
	known := parseCapabilities(who.Mailbox().Capabilities)
	quirks.noPipelining.Store(known.Has(capNoPipelining))
	quirks.stateless.Store(known.Has(statelessOn(time.Now())))
	quirks.namespaces.Store(rememberedNamespaces(known))
	quirks.suspects.words = rememberedSuspects(known)
	signIn := func(ctx context.Context, cred remote.Credential, first bool, observe func(remote.Step)) (*imapConn,
		error,
	) {
		l, err := c.wire.Dial(ctx, who, cred, pace, observe)
		if err != nil {
			return nil, err
		}
		release := l.Bind(ctx)
		defer release()
		// A connection test shows each step for itself.
		conn, err := signInIMAP(ctx, c, who, l, cred, known, first && observe == nil && !quirks.noPipelining.Load() &&
			!quirks.stateless.Load())
		if err != nil {
			l.Close()
			l.LoginFailed(err)
			return nil, err
		}
		conn.quirks = quirks
		if !quirks.noObjectID.Load() {
			conn.wire.NameBy(globalItem(conn.caps))
		}
		return conn, nil
	}
	connect := func(ctx context.Context, first bool, observe func(remote.Step)) (*imapConn, error) {
		return renewing(ctx, &cred, func(cred remote.Credential) (*imapConn, error) {
			return signIn(ctx, cred, first, observe)
		})
	}
	conn, err := connect(ctx, true, observe)
	var lost *lostPipelined
	if errors.As(err, &lost) {
		if err = lost.err; ctx.Err() == nil && lost.mayRetry() {
			if conn, err = connect(ctx, false, nil); err == nil {
				quirks.noPipelining.Store(fault.CodeOf(lost.err) == fault.ProtocolError)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	again := func(ctx context.Context) (*imapConn, error) { return connect(ctx, false, nil) }
	return &imapSession{connect: again, owner: c, cred: cred, quirks: quirks, conn: conn, listings: c.collector()}, nil
}

// signInIMAP takes a fresh link to a signed-in connection. The greeting and
// STARTTLS are ours; the library starts after them, so that nothing said in
// plaintext reaches it. known is what the server offered earlier, empty if that
// is not known; pipelining lets commands be sent before LOGIN was answered.
func signInIMAP(ctx context.Context, c *Client, who *wire.Signer, l *wire.Link, cred remote.Credential,
	known imap.CapSet, pipelining bool,
) (*imapConn, error) {
	caps, said, err := wire.Welcome(ctx, l)
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		known = softwareCapabilities(said)
	}
	conn := &imapConn{link: l, wire: wire.NewIMAP(l)}
	l.Expect(false)
	if caps == "" {
		conn.wire.Replay("* OK -\r\n") // The library asks for capabilities by itself.
	} else {
		conn.wire.Replay("* OK [" + string(wire.AppendCapabilities(nil, []byte(caps))) + "] -\r\n")
	}
	conn.client = imapclient.New(conn.wire, nil)
	if err := conn.introduceFirst(c.opts, who); err != nil {
		conn.end()
		return nil, err
	}
	_, err = wire.Timed(l.Observe, remote.StepLogin, func() (struct{}, words.Detail, error) {
		return struct{}{}, nil, conn.login(cred, known, pipelining, c.opts.Version)
	})
	if err != nil {
		conn.end()
		return nil, err
	}
	return conn, nil
}

// failed returns what ended the connection; where nothing did, err becomes a
// protocol error: the library gave up. Before a folder was opened, the server's
// last words are the reason for its silence, or for its going.
func (c *imapConn) failed(op string, err error) error {
	var known *fault.Error
	if cause := c.link.Failure(); errors.As(cause, &known) {
		if f := c.lastWords(op, known); f != nil {
			return f
		}
		return fault.Wrap(known.Code, op, cause)
	} else if cause != nil { // A context's.
		return fmt.Errorf("%s: %w", op, cause)
	}
	if errors.As(err, &known) {
		return known
	}
	f := &fault.Error{
		Code: fault.ProtocolError, Op: op, Err: err,
		Detail: words.Detail{words.Say("The server's answers cannot be used.")},
	}
	if said := c.lastWords(op, f); said != nil {
		f = said
	}
	return c.link.Abort(f)
}

// end closes the connection and waits for the library's goroutine, which must
// not be waiting for us: every command must have been read to its end.
func (c *imapConn) end() {
	c.link.Close()
	_ = c.client.Close() // It only repeats why the connection ended.
}

// hold returns the current connection, bound to ctx until release is called,
// or a new one where the current one has ended. Bodies that were asked for
// speculatively are skipped.
func (s *imapSession) hold(ctx context.Context) (c *imapConn, release func(), err error) {
	c, asked, release, err := s.holdSpeculative(ctx)
	if err != nil || asked == nil {
		return c, release, err
	}
	if c.readPast(asked) {
		return c, release, nil
	}
	release()
	return s.renew(ctx)
}

// holdSpeculative is hold, with the bodies that were asked for speculatively over
// this connection. The caller must read or drop them.
func (s *imapSession) holdSpeculative(ctx context.Context) (c *imapConn, asked []*speculativeRequest,
	release func(), err error,
) {
	s.mu.Lock()
	c = s.conn
	// What came before a BYE is read first: it shows which message the BYE was about.
	if closed := s.closed; closed || c.link.Failure() != nil && (s.speculative == nil || c.farewell() == nil) {
		s.mu.Unlock()
		if closed {
			return nil, nil, nil, wire.ErrClosed
		}
		c, release, err = s.renew(ctx)
		return c, nil, release, err
	}
	defer s.mu.Unlock()
	asked, s.speculative = s.speculative, nil
	return c, asked, c.link.Bind(ctx), nil
}

// renew replaces the connection by a new one, bound to ctx.
func (s *imapSession) renew(ctx context.Context) (c *imapConn, release func(), err error) {
	s.mu.Lock()
	old, speculative, closed := s.conn, s.speculative, s.closed
	s.speculative = nil
	s.mu.Unlock()
	old.drop(speculative)
	old.end()
	if old.pipelined.lost(old) {
		s.quirks.noPipelining.Store(true)
		if old.farewell() != nil { // The last connection is not spent on the same question.
			s.quirks.stateless.Store(true)
		}
	}
	if closed {
		return nil, nil, wire.ErrClosed
	}
	if bye := old.farewell(); bye != nil {
		if s.farewells++; s.farewells >= mostFarewells {
			return nil, nil, bye
		}
	}
	if c, err = s.connect(ctx); err != nil {
		return nil, nil, fmt.Errorf("connecting again: %w", err)
	}
	c.last = s.farewells == mostFarewells-1
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	if s.closed {
		c.link.Close()
		return nil, nil, wire.ErrClosed
	}
	return c, c.link.Bind(ctx), nil
}

// Leave says LOGOUT and closes. It does not wait for the server's answer:
// nothing depends on it, and it would cost each visit a round trip.
func (s *imapSession) Leave(ctx context.Context) error {
	s.mu.Lock()
	c, closed := s.conn, s.closed
	s.mu.Unlock()
	if !closed && c.link.Failure() == nil {
		release := c.link.Bind(ctx)
		done := c.link.Within(ctx, logoutPatience)
		c.client.Logout()
		done()
		release()
	}
	return s.Close()
}

// Close implements protocol.
func (s *imapSession) Close() error {
	s.mu.Lock()
	c, speculative := s.conn, s.speculative
	s.closed, s.speculative = true, nil
	s.mu.Unlock()
	err := c.link.Close()
	c.drop(speculative)
	s.listings.file.close()
	return err
}

// refusal returns the NO or BAD in err, or nil.
func refusal(err error) *imap.Error {
	var e *imap.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
