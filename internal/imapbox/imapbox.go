// Package imapbox delivers into users' mailboxes at an IMAP server, by APPEND, each message
// exactly once.
//
// An answer to APPEND can be lost, and what is on its way can be stored later: to append
// again is to double mail, not to do so is to lose it. So a message does not go into its folder
// directly. It is appended to a staging folder, one for each journal and lease, that no
// user works with; once the journal has its UID there, UID MOVE takes it out (RFC 6851). What
// is in the staging folder is not delivered, what is gone from it is, whatever the user
// did with it since. That is a Maildir's spool and rename once more: see
// docs/decisions/0002-exactly-once.md and 0054-delivery-by-imap.md.
//
// A server that cannot move messages is appended to directly, by an intent that says where
// the folder stood before: see direct.go. That is exact too, but for messages whose user moves or
// deletes them within seconds of a crash.
//
// The package speaks the few commands that wire.Writer lets pass: nothing that is in a
// mailbox is ever changed or taken away. It keeps no journal, and knows nothing of the servers
// that messages come from, of accounts or of schedules.
package imapbox

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Login is how a user's mailbox is signed in to.
type Login struct {
	Credential remote.Credential
	// OnBehalfOf is whose mailbox is opened where Credential is a master's, by PLAIN (RFC
	// 4616); "": Credential's own, or one that its user name says.
	OnBehalfOf string
	// Own says that Credential is the user's own, not a master's: that it is refused says
	// nothing of anybody else.
	Own bool
}

// is reports whether two logins are the same.
func (l Login) is(m Login) bool {
	c, d := l.Credential, m.Credential
	return c.Auth == d.Auth && c.Username == d.Username && c.Secret.Reveal() == d.Secret.Reveal() &&
		l.OnBehalfOf == m.OnBehalfOf && l.Own == m.Own
}

// Options are what a Store is made of. Connector, Server, Login and Key are required.
type Options struct {
	Connector *wire.Connector // Its dialer reaches the server, and its limits hold.
	Server    remote.Server
	// Login says how to sign in to a user's mailbox.
	Login func(ctx context.Context, o owner.Owner) (Login, error)
	Key   []byte // Names staging folders, so that nobody else can.
	// Root is the folder below which account folders lie, "/" between its parts; "": none.
	Root string
	// Connections is how many there are at most, one for each user. Defaults to 16.
	Connections int
	// Direct says that messages are appended to their folders themselves even where the server
	// could move them there from a staging folder. See direct.go.
	Direct bool
	// Quiet is how long nothing of an ended connection may have appeared before it is believed
	// that nothing will. Defaults to 10 s.
	Quiet time.Duration
	// Idle is how long a connection is kept that nobody needs at the moment: after a delivery the mailbox is measured
	// over it. 0: not at all.
	Idle time.Duration
	// Known is of how many users more is remembered than that they were delivered to. Defaults to 4096.
	Known   int
	TempDir string // Where messages lie on their way that memory has no room for; "": the system's.
	// Now tells the time by which outages and what is known of mailboxes are dated; defaults to
	// time.Now.
	Now func() time.Time
	// Pause is how long nothing is tried after the nth failure in a row, of the server as a whole or of
	// a mailbox that takes nothing. Defaults to 5 s, twice as long each time up to 5 minutes, spread.
	Pause func(nth int) time.Duration
	// Step is called before each named step of a delivery; nil in normal use.
	Step func(name string)
	Log  *slog.Logger
}

// Store is the users' mailboxes at the server. It is safe for concurrent use.
type Store struct {
	o     Options
	dial  func(ctx context.Context, l Login) (*wire.Link, error)
	slots chan struct{} // One for each connection.
	waits atomic.Int64  // Who waits for one.

	dropped   atomic.Int64 // Keywords that were not kept.
	rewriting atomic.Int64 // Mailboxes whose server does not keep messages as they are sent.
	ambiguous atomic.Int64

	health health
	depot  *depot // Of all messages on their way.

	mu     sync.Mutex // Guards what follows.
	boxes  map[owner.Owner]*box
	memory memory
}

// New returns a Store. It connects to nothing yet.
func New(o Options) *Store {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Quiet = cmp.Or(o.Quiet, 10*time.Second)
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == nil {
		o.Pause = defaultPause
	}
	s := &Store{
		o: o, slots: make(chan struct{}, max(1, cmp.Or(o.Connections, 16))), boxes: map[owner.Owner]*box{},
		memory: newMemory(cmp.Or(o.Known, 4096)),
		depot:  &depot{dir: o.TempDir, most: mostInMemory / blockSize},
	}
	s.dial = func(ctx context.Context, l Login) (*wire.Link, error) {
		who := wire.NewSigner(nil, remote.Mailbox{
			Protocol: remote.IMAP, Server: o.Server, Username: l.Credential.Username, Auth: l.Credential.Auth,
		})
		return o.Connector.Dial(ctx, who, l.Credential, wire.NewSessionPace(wire.Patience{}), nil)
	}
	return s
}

// box is one user's mailbox, as deliveries of this process share it.
type box struct {
	owner owner.Owner
	refs  int           // Guarded by Store.mu, as are given and place.
	place *list.Element // In memory.unused; nil: somebody needs it.
	given int           // How often nobody needed it any more,
	used  int           // … when its connection was used last.
	turn  chan struct{} // Held by who uses the connection.

	// Of who has the turn.
	conn   *conn
	marked map[string]bool // Folders that are known to be there, mark and all.
	looked bool            // Somebody has connected since the box was made: marked is all that is known of marks.
	shut   *shut           // Nil: its user's own login is not known to be refused.

	// Of who has the turn, and never forgotten.
	keeps   fidelity
	guessed bool             // Sizes that the server tells are none.
	sized   map[string]sized // Folders whose messages' sizes were added up.
	// Folders of connection tests, and since when this process has seen them.
	challenges map[string]time.Time

	mu       sync.Mutex // Guards what follows.
	reserved use
	seen     seen
	measured bool      // Whether seen is from the time that deliveries are open.
	full     *fullness // Nil: it is not known to be.
	gone     error     // Why there is no mailbox: nil: there is one, or nobody has asked.
	goneAt   time.Time
	inbox    uint32 // The UIDVALIDITY of the inbox; 0: not known.
	inboxAt  time.Time

	// Of direct delivery: what this process knows of what it sent, by journal and by what the journal calls
	// it; what the server did not take; which folders have an unsettled batch, and whose.
	sent    map[string]map[string]*sending
	refused map[identity]refusal
	claimed map[string]*Delivery
	freed   chan struct{} // Closed when a folder is given back.
	single  bool          // Messages come one by one: the server refused several at a time.
}

// take returns a user's box, which give has to give back.
func (s *Store) take(o owner.Owner) *box {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[o]
	if b == nil {
		b = &box{
			owner: o,
			turn:  make(chan struct{}, 1), marked: map[string]bool{}, sized: map[string]sized{},
			sent:    map[string]map[string]*sending{},
			refused: map[identity]refusal{}, claimed: map[string]*Delivery{}, freed: make(chan struct{}),
		}
		s.boxes[o] = b
	}
	s.needs(b)
	b.refs++
	return b
}

// give lets the connection to a box end that nobody needs any more. What is known of its
// folders stays.
func (s *Store) give(b *box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refs--; b.refs > 0 {
		return
	}
	b.mu.Lock()
	b.measured = false
	b.mu.Unlock()
	b.given++
	defer s.keep(b)
	if s.o.Idle <= 0 {
		s.endUnused(b)
		return
	}
	given := b.given
	time.AfterFunc(s.o.Idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if b.refs == 0 && b.given == given { // Nobody has needed it since.
			s.endUnused(b)
		}
	})
}

// endUnused ends a connection that nobody uses. The caller holds Store.mu.
func (s *Store) endUnused(b *box) {
	select {
	case b.turn <- struct{}{}:
		s.disconnect(b)
		<-b.turn
	default: // Who has it ends it, as there is no other.
	}
}

// rested reports, once, whether nobody needed a connection for a while: its server may have ended it.
func (s *Store) rested(b *box) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rested := b.used != b.given
	b.used = b.given
	return rested
}

// holds reports whether a connection that rested may still be used: its user is signed in to as it was, and the server
// is still there.
func (s *Store) holds(ctx context.Context, o owner.Owner, c *conn) bool {
	login, err := s.o.Login(ctx, o)
	return err == nil && login.is(c.login) && c.alive(ctx)
}

// alive asks whether the server is still there.
func (c *conn) alive(ctx context.Context) bool {
	release := c.Bind(ctx)
	defer release()
	_, err := c.Do("NOOP", nil)
	return err == nil
}

// disconnect ends a box's connection, if it has one. The caller has the turn.
func (s *Store) disconnect(b *box) {
	if b.conn == nil {
		return
	}
	b.conn.end()
	b.conn = nil
	<-s.slots
}

// use does something over the connection to a user's mailbox, which is made if need be.
func (s *Store) use(ctx context.Context, op string, o owner.Owner, b *box, do func(c *conn) error) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return wire.Interrupted(ctx)
	}
	defer func() {
		<-b.turn
		if s.waits.Load() > 0 { // Else it would wait until this user's deliveries are over.
			s.evict(nil)
		}
	}()
	if b.conn != nil && (b.conn.Failure() != nil || s.rested(b) && !s.holds(ctx, o, b.conn)) {
		s.disconnect(b)
	}
	if b.conn == nil {
		if err := s.connect(ctx, o, b); err != nil {
			return trouble(op, err)
		}
	}
	release := b.conn.Bind(ctx)
	err := do(b.conn)
	if no := (*wire.Refused)(nil); refusedAs(err, &no) && overQuota(no.Reply) && b.conn.Failure() == nil {
		s.refusedFull(b, says(no))
	}
	release()
	if b.conn.Failure() != nil {
		err = errors.Join(err, b.conn.Failure())
		s.disconnect(b)
		b.mu.Lock()
		b.measured = false // Whoever wants room connects, and finds out what is wrong.
		b.mu.Unlock()
	} else {
		s.answers()
	}
	return trouble(op, err)
}

// connect makes a box's connection, and waits for a place if there are too many.
func (s *Store) connect(ctx context.Context, o owner.Owner, b *box) error {
	if err := s.outage(); err != nil {
		return err
	}
	if err := s.slot(ctx, b); err != nil {
		return err
	}
	done, err := s.admit()
	if err != nil {
		<-s.slots
		return err
	}
	defer done()
	if err := s.stillShut(ctx, o, b); err != nil {
		<-s.slots
		return err
	}
	c, err := s.open(ctx, o)
	if err = s.settle(ctx, o, err); err != nil {
		s.noteShut(ctx, o, b, err)
		<-s.slots
		return err
	}
	b.conn, b.looked, b.shut = c, true, nil
	for mark := range b.marked { // Perhaps somebody removed it meanwhile.
		if !c.folders[s.wireName(c, mark)] {
			delete(b.marked, mark)
		}
	}
	return nil
}

// slot takes a place for a box's connection.
func (s *Store) slot(ctx context.Context, b *box) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	s.waits.Add(1)
	defer s.waits.Add(-1)
	s.evict(b)
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return wire.Interrupted(ctx)
	}
}

// evict ends a connection that nobody uses at this moment; false: there is none.
func (s *Store) evict(but *box) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.boxes {
		if b == but {
			continue
		}
		select {
		case b.turn <- struct{}{}:
			idle := b.conn != nil
			s.disconnect(b)
			<-b.turn
			if idle {
				return true
			}
		default:
		}
	}
	return false
}

// isStaging reports whether a folder of the server is a staging folder of this installation.
func (s *Store) isStaging(name string) bool {
	_, _, ok := mail.ReadStagingFolder(s.o.Key, name)
	return ok
}

// trouble gives an error of the server the code that it has for whoever delivers.
func trouble(op string, err error) error {
	var refused *wire.Refused
	var known *fault.Error
	switch {
	case err == nil, errors.Is(err, errBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) &&
		!wire.Silent(err):
		return err
	case errors.As(err, new(anothers)):
		return fault.Wrap(fault.Internal, op, err)
	case errors.As(err, &known) && (known.Code == fault.LocalOverQuota || known.Code == fault.LocalMailboxUnavailable ||
		known.Code == fault.Internal):
		return err
	case errors.As(err, &refused):
		code := fault.LocalMailboxUnavailable
		if overQuota(refused.Reply) {
			code = fault.LocalOverQuota
		}
		return &fault.Error{Code: code, Op: op, Detail: says(refused), Err: err}
	}
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op, Err: err,
		Detail: unreachable(),
	}
}

func internal(op, what string) error {
	return fault.Wrap(fault.Internal, op, fmt.Errorf("%s", what))
}
