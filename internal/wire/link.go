package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// LinkLimits bound what a server can make us wait for and read. Zero means
// the default.
type LinkLimits struct {
	Patience
	Write  time.Duration // Longest wait for the server to take what we send: 60 s.
	Octets int64         // What one connection may bring: 2 GiB.
	Body   int64         // What one message may have: DefaultMaxMessageBytes.
	Allow  Allowlist     // What may be sent; the zero value: nothing.
}

func (l LinkLimits) orDefault() LinkLimits {
	l.Patience = l.Patience.orDefault()
	if l.Write <= 0 {
		l.Write = time.Minute
	}
	if l.Octets <= 0 {
		l.Octets = 2 << 30
	}
	if l.Body <= 0 {
		l.Body = DefaultMaxMessageBytes
	}
	return l
}

const linkBuffer = 64 << 10

// Link is one connection to an external server, below every protocol library.
// It promises:
//
//   - Every wait ends. Each read and write has a deadline of its own; within
//     sets one for a whole phase, and bind ends the connection with a context.
//     Only where expect(false) said that no answer is due may a read wait on.
//   - Memory follows bytes received, never a number given by the peer, and one
//     connection brings at most limits.Octets bytes.
//   - Time is granted for what was asked for and comes, and for nothing else that
//     a server says: see Patience. Time that we take between reads does not count.
//   - The first error stays. After it every read and write returns it, so that
//     nothing said later can be taken for an answer. Errors are *fault.Error,
//     or wrap the error of the context that ended; none of them is or wraps
//     io.EOF, since a connection's end is never the proper end of anything.
//   - No byte that came before a TLS handshake is read after it.
//
// It is a net.Conn whose SetDeadline methods do nothing, so that libraries
// cannot lengthen a wait. One goroutine may read while others write; Close may
// be called by any of them, at any time. ReadLine and Read share one buffer and
// belong to one goroutine at a time, as do upgrade and due.
type Link struct {
	limits LinkLimits
	dialer *outbound.Dialer
	server remote.Server
	// attempt is the login that the connection is for; nil: nobody counts it.
	attempt *attempt
	// observe is called for each step as it ends; it may be nil.
	observe func(remote.Step)
	// transcript is given, one line at a time, what was sent ("C") and received
	// ("S"), by the protocols above, which leave out secrets and bodies; it may
	// be nil. Use note.
	transcript func(dir, line string)
	// secrets are cut out of whatever the server says: the credential of the
	// login, and what was made of it. Nil: there are none.
	secrets *remote.Redactor

	refused *atomic.Int64       // Counts commands that may not be sent; nil: nobody does.
	unread  func(answer []byte) // Told of each answer that is left out as it cannot be read; nil: nobody is.

	command *pace        // What the server is granted over this connection.
	session *SessionPace // … and over all of the session's.

	mu      sync.Mutex // Guards what follows.
	conn    net.Conn   // What is read and written: plain or encrypted.
	socket  net.Conn   // What is closed: a farewell by TLS could block.
	err     error
	secure  bool      // Under TLS.
	login   bool      // Signed in: silence from here on is the server's outage.
	idle    bool      // No answer is due: expect(false).
	until   time.Time // End of the phase; zero: none.
	soon    time.Time // End of what should be there already: await; zero: nothing is.
	hasty   time.Time // End of what the server may take although it has refused; zero: it has not.
	reading bool      // A read is waiting,
	writing int       // … and so many writes.
	since   time.Time // We wait for the server since then, as far as it is not counted; zero: we do not.

	// The reading goroutine's own.
	r     *bufio.Reader
	long  []byte // A line that is longer than the buffer.
	head  []byte // Of the line under way, as far as BYE shows; nil: none is.
	dots  bool   // A line of a message is read, which may be its end: see bareEnd.
	total int64  // Bytes received in all.
	// Octets that were brought and are not counted: a lock for each line of a message is
	// a tenth of what a first pull costs.
	uncounted int
}

var _ net.Conn = (*Link)(nil)

// dial reaches a server: it checks the words that name it, resolves, has the
// login admitted, connects and, with security tls, shakes hands. observe, which may be
// nil, is called for the steps resolve, connect and tls. With starttls the caller reads
// the greeting and calls Upgrade.
func dial(ctx context.Context, d *outbound.Dialer, who *Signer, limits LinkLimits, session *SessionPace,
	observe func(remote.Step),
) (_ *Link, err error) {
	if f := session.overdue(fault.ServerUnavailable); f != nil {
		return nil, f
	}
	began, server := time.Now(), who.mailbox.Server
	defer func() { session.spend(time.Since(began)) }()
	addrs, err := Timed(observe, remote.StepResolve, func() ([]netip.Addr, words.Detail, error) {
		if err := d.CheckServer(server.Host, server.Port, string(server.Security)); err != nil {
			return nil, nil, err
		}
		addrs, err := d.Resolve(ctx, server.Host)
		return addrs, countOf(len(addrs)), err
	})
	if err != nil {
		return nil, err
	}
	attempt, err := who.admit(ctx, addrs)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			attempt.failed(err)
		}
	}()
	conn, err := Timed(observe, remote.StepConnect, func() (net.Conn, words.Detail, error) {
		conn, err := d.Connect(ctx, addrs, server.Port)
		return conn, nil, err
	})
	if err != nil {
		return nil, err
	}
	l := NewLink(conn, server, limits, session)
	l.dialer, l.attempt, l.observe = d, attempt, observe
	if server.Security == remote.TLS {
		if err := l.Upgrade(ctx); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return l, nil
}

// countOf says how many addresses a server has.
func countOf(addresses int) words.Detail {
	if addresses == 1 {
		return words.Detail{words.Say("1 address")}
	}
	return words.Detail{words.Say("%d addresses", addresses)}
}

// NewLink makes a link of a connection to a server that there is. Nobody counts its
// login.
func NewLink(conn net.Conn, server remote.Server, limits LinkLimits, session *SessionPace) *Link {
	l := &Link{limits: limits.orDefault(), server: server, session: session}
	l.attach(conn)
	return l
}

// attach gives the link its connection.
func (l *Link) attach(conn net.Conn) {
	l.conn, l.socket = conn, conn
	l.command = newPace(l.limits.Command)
	l.r = bufio.NewReaderSize(rawReader{l}, linkBuffer)
}

// Timed runs one step of reaching a server and reports it. do's detail is
// shown when it went well, the error's own when it did not.
func Timed[T any](observe func(remote.Step), name remote.StepName, do func() (T, words.Detail, error)) (T, error) {
	began := time.Now()
	v, detail, err := do()
	s := remote.Step{Name: name, OK: err == nil, Took: time.Since(began), Detail: detail}
	if err != nil {
		f := fault.Of(err)
		if s.Detail = f.Detail; s.Detail == nil {
			s.Detail = words.Plain(string(f.Code))
		}
	}
	if observe != nil {
		observe(s)
	}
	return v, err
}

// Upgrade begins TLS on the connection (STARTTLS, STLS: after the server's
// consent was read, and nothing else). Whatever the server sends before the
// handshake is an error: it could be anybody's words.
func (l *Link) Upgrade(ctx context.Context) error {
	_, err := Timed(l.observe, remote.StepTLS, func() (struct{}, words.Detail, error) {
		var none struct{}
		if l.r.Buffered() > 0 {
			return none, nil, l.Abort(fault.New(fault.TLSFailure, "securing the connection",
				words.Say("The server sent data ahead of the TLS handshake.")))
		}
		l.mu.Lock()
		conn, err := l.conn, l.err
		l.mu.Unlock()
		if err != nil {
			return none, nil, err
		}
		if err := conn.SetDeadline(time.Time{}); err != nil {
			return none, nil, l.fail("securing the connection", err)
		}
		encrypted, err := l.dialer.Handshake(ctx, conn, l.server.Host)
		if err != nil {
			return none, nil, l.Abort(err)
		}
		l.mu.Lock()
		l.conn, l.secure = encrypted, true
		l.mu.Unlock()
		l.r = bufio.NewReaderSize(rawReader{l}, linkBuffer)
		return none, words.Plain(tls.VersionName(encrypted.ConnectionState().Version)), nil
	})
	return err
}

// Encrypted reports whether the connection is under TLS. Where it is not, no
// credential may be sent unless the account's security is none.
func (l *Link) Encrypted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.secure
}

// SignedIn records that the login succeeded. Silence before it is
// connect_timeout, after it server_unavailable.
func (l *Link) SignedIn() {
	l.mu.Lock()
	l.login = true
	l.mu.Unlock()
	l.attempt.accepted()
}

// Bind ends the connection when ctx ends; from then on every call returns the
// context's error. release, which must be called, undoes the binding.
func (l *Link) Bind(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() {
		l.Abort(Interrupted(ctx))
	})
	return func() { stop() }
}

// Interrupted is the error of what ctx stopped; it wraps the context's and its cause.
func Interrupted(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("the visit was stopped: %w: %w", err, cause)
	}
	return fmt.Errorf("the visit was stopped: %w", err)
}

// Within limits all reads until done to d, or slightly less than ctx's deadline, so
// that a timeout is reported as the server's. Phases do not nest.
func (l *Link) Within(ctx context.Context, d time.Duration) (done func()) {
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)*9/10)
	}
	l.setPhase(time.Now().Add(d))
	return func() { l.setPhase(time.Time{}) }
}

// await limits all reads until done to the time for what should have arrived
// already. It may be used within a phase.
func (l *Link) await() (done func()) {
	set := func(t time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.soon = t
		l.arm()
	}
	set(time.Now().Add(l.limits.Ahead))
	return func() { set(time.Time{}) }
}

// WithinGreeting is within for the greeting.
func (l *Link) WithinGreeting(ctx context.Context) (done func()) {
	return l.Within(ctx, l.limits.Greeting)
}

func (l *Link) setPhase(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
	l.arm()
}

// Expect says whether an answer is due. Where a library reads all the time, a
// read while none is due may wait for ever (for bind, or Close). At first, one
// is due: who reads only what was asked for need not call it. Any goroutine may
// call it; it holds for a read already waiting.
func (l *Link) Expect(answer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = !answer
	l.arm()
}

// arm sets the read deadline of now. l.mu is held.
func (l *Link) arm() {
	if l.conn == nil {
		return
	}
	l.tally()
	var t time.Time
	if !l.idle {
		t = time.Now().Add(min(l.limits.Idle, l.command.rest(), l.session.progress.rest(), l.session.whole.rest()))
	}
	for _, end := range []time.Time{l.until, l.hasty, l.soon} {
		if !end.IsZero() && (t.IsZero() || end.Before(t)) {
			t = end
		}
	}
	l.conn.SetReadDeadline(t) // Fails only on a closed connection, which the read will say.
}

// note writes one line into the transcript, if there is one. dir is "C" for
// what we sent and "S" for what came.
func (l *Link) note(dir, line string) {
	if l.transcript != nil {
		l.transcript(dir, words.Clean(line, 500))
	}
}

// LocalAddr implements net.Conn.
func (l *Link) LocalAddr() net.Addr { return l.current().LocalAddr() }

// RemoteAddr implements net.Conn.
func (l *Link) RemoteAddr() net.Addr { return l.current().RemoteAddr() }

func (l *Link) current() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// SetDeadline does nothing: the link keeps its own.
func (l *Link) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: the link keeps its own.
func (l *Link) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: the link keeps its own.
func (l *Link) SetWriteDeadline(time.Time) error { return nil }

// Host is the server's name.
func (l *Link) Host() string { return l.server.Host }

// Observe reports a step that has ended.
func (l *Link) Observe(s remote.Step) {
	if l.observe != nil {
		l.observe(s)
	}
}

// LeaveOut reports an answer that cannot be read and is left out.
func (l *Link) LeaveOut(answer []byte) {
	if l.unread != nil {
		l.unread(answer)
	}
}

// Redact cuts what is signed in with out of what the server says.
func (l *Link) Redact(text string) string { return l.secrets.Redact(text) }

// HasSecret reports whether a name that the server gives is, or holds, what is signed in with.
func (l *Link) HasSecret(name string) bool { return l.secrets.Holds(name) }

// Presents notes that the credential is sent now.
func (l *Link) Presents() { l.attempt.presents() }

// PresentsAgain reports whether a credential that was refused in one form may be
// presented in another over this connection.
func (l *Link) PresentsAgain() bool { return l.attempt.again() }

// LoginFailed ends the attempt to sign in, unless it has ended.
func (l *Link) LoginFailed(err error) { l.attempt.failed(err) }

// SASL returns a mechanism that signs in with cred over the link, which is presented
// by that.
func (l *Link) SASL(mechanism string, cred remote.Credential) SASLClient {
	l.attempt.presents()
	return newSASL(mechanism, cred, l.secrets)
}

// SASLFor returns PLAIN (RFC 4616) by which cred's user signs in on behalf of another.
func (l *Link) SASLFor(behalf string, cred remote.Credential) SASLClient {
	l.attempt.presents()
	return oneSided{sasl.NewPlainClient(behalf, cred.Username, cred.Secret.Reveal())}
}

// APOP is the argument of APOP that answers a greeting's timestamp.
func (l *Link) APOP(timestamp, secret string) string { return apopDigest(timestamp, secret, l.secrets) }

// DefaultMaxMessageBytes is the size above which messages are missed unless
// Options says otherwise.
const DefaultMaxMessageBytes = 50 << 20
