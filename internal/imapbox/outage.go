package imapbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// errOutage says that the server of the users' mailboxes lets nobody in: whose
// mailbox is asked for does not matter. What wraps it has the code local_mailbox_unavailable.
var errOutage = errors.New("the server of the users' mailboxes is out of order")

const (
	// fresh is how long what the server said last is believed without asking again.
	fresh = time.Minute
	// provedFor is how long a login that was accepted proves that the next one, which is
	// refused, is refused for its user's sake.
	provedFor = 10 * time.Second
	// refusedUsers is how many users have to be refused, and none let in, before it is
	// our own login that is taken for refused.
	refusedUsers = 3
	// rememberedUsers is how many of those that were let in are remembered, to sign in as.
	rememberedUsers = 4
)

// defaultPause is how long nothing is tried at a server after the nth failure in a row: from 5 s to 5
// minutes, a quarter more or less.
func defaultPause(nth int) time.Duration {
	pause := min(5*time.Second<<min(nth-1, 10), 5*time.Minute)
	return time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
}

// health is what is known of the server as a whole. One failure that is no single user's
// stops all deliveries, before anything is downloaded. From then on one connection at a
// time finds out whether the server is back, after growing pauses.
type health struct {
	mu       sync.Mutex
	out      error // What is wrong; nil: nothing that is known of.
	detail   words.Detail
	atLogins bool // It is reached, and lets nobody in.
	since    time.Time
	next     time.Time // When it is tried again.
	tries    int
	probing  bool

	answered time.Time              // When it last did what was asked.
	returns  int64                  // See Returns.
	tried    owner.Owner            // Who found out that it lets nobody in.
	proved   time.Time              // When it last let somebody in.
	in       []owner.Owner          // Who that was, the last first.
	refused  map[owner.Owner]string // Who was refused since, and why.
}

// Available reports whether the server is, by all that is known, there for deliveries.
func (s *Store) Available() bool {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.out == nil
}

// Returns counts how often the server was found to do what it is asked when that was not known: once after the start,
// and once at the end of each outage. Whose deliveries failed before can be tried again then.
func (s *Store) Returns() int64 {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.returns
}

// outage returns the error that there is during an outage; nil: there is none, or the time
// has come to find out.
func (s *Store) outage() error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.out == nil || !h.probing && !s.o.Now().Before(h.next) {
		return nil
	}
	return s.outageError()
}

// outageError is for who holds health.mu.
func (s *Store) outageError() error {
	h := &s.health
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: "reaching the server of the users' mailboxes", Detail: h.detail,
		RetryAfter: max(0, h.next.Sub(s.o.Now())),
		Err:        fmt.Errorf("%w since %s: %w", errOutage, h.since.Format(time.RFC3339), h.out),
	}
}

// admit is asked before anybody connects. During an outage it admits one at a time, and only when
// the pause is over. done has to be called when it is known how that went.
func (s *Store) admit() (done func(), err error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.out == nil:
		return func() {}, nil
	case h.probing || s.o.Now().Before(h.next):
		return nil, s.outageError()
	}
	h.probing = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.probing = false
	}, nil
}

// works notes that the server does what it is asked.
func (s *Store) works() {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.answered.IsZero()
	h.answered = s.o.Now()
	if h.out == nil && !first {
		return
	}
	h.returns++
	if h.out == nil {
		return
	}
	s.o.Log.Info("the server of the users' mailboxes is back: mail is delivered again",
		"host", s.o.Server.Host, "after", h.answered.Sub(h.since).Round(time.Second))
	h.out, h.detail, h.atLogins, h.tries, h.tried = nil, nil, false, 0, owner.Owner{}
}

// answers notes that a connection that there is does what it is asked. An outage lasts until somebody is
// let in again.
func (s *Store) answers() {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.out == nil {
		h.answered = s.o.Now()
	}
}

// letIn notes that a user was signed in.
func (s *Store) letIn(o owner.Owner) {
	s.works()
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proved, h.refused = h.answered, nil
	h.in = slices.DeleteFunc(h.in, func(x owner.Owner) bool { return x == o })
	h.in = slices.Insert(h.in, 0, o)
	h.in = h.in[:min(len(h.in), rememberedUsers)]
}

// fails notes a failure that is no single user's, and returns the error that everybody
// has from now on.
func (s *Store) fails(err error, detail words.Detail, atLogins bool) error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	now := s.o.Now()
	switch {
	case h.out == nil:
		h.since, h.tries = now, 1
		s.o.Log.Error("the server of the users' mailboxes is out of order: nothing is delivered until it is back",
			"host", s.o.Server.Host, "why", detail.String(), "error", err)
	case h.probing:
		h.tries++
	default: // It began while this one was at it.
		return s.outageError()
	}
	h.out, h.detail, h.atLogins, h.next = err, detail, atLogins, now.Add(s.o.Pause(h.tries))
	return s.outageError()
}

// refusedLogin is a server's NO to a login.
type refusedLogin struct {
	*wire.Refused
	own bool // The credential is the user's own.
}

func (r *refusedLogin) Unwrap() error { return r.Refused }

// temporary reports whether a server says that it cannot say now who somebody is.
func (r *refusedLogin) temporary() bool {
	code, _ := r.Reply.Means()
	return code == fault.ServerUnavailable || code == fault.RateLimited
}

// anothers is an error that has nothing to do with the server.
type anothers struct{ error }

func (a anothers) Unwrap() error { return a.error }

// settle learns how it went to connect for a user, and returns the error that it was.
func (s *Store) settle(ctx context.Context, o owner.Owner, err error) error {
	var login *refusedLogin
	var known *fault.Error
	switch {
	case err == nil:
		s.letIn(o)
		return nil
	case ctx.Err() != nil, errors.As(err, new(anothers)), fault.Exhausted(err),
		errors.As(err, &known) && known.Code == fault.Internal:
		return err
	case errors.As(err, &login):
		return s.judge(ctx, o, login)
	case errors.As(err, new(*wire.Refused)), // Signed in, and refused something since, or has folders
		errors.As(err, &known) && known.Code == fault.LocalMailboxUnavailable: // … that cannot be worked with.
		s.works()
		return err
	}
	return s.fails(err, unreachable(), false)
}

// shut is a user's own login that the server refused. It is not tried again before a while has passed: whoever asks for
// the mailbox again and again, as a page does, has the user's address banned there, or the mailbox locked.
type shut struct {
	login Login
	why   error
	tries int
	until time.Time
}

// stillShut returns why a mailbox is not tried to be opened: it was refused to this login a while ago. The caller has
// the box's turn.
func (s *Store) stillShut(ctx context.Context, o owner.Owner, b *box) error {
	if b.shut == nil || !s.o.Now().Before(b.shut.until) {
		return nil
	}
	if login, err := s.o.Login(ctx, o); err != nil || !login.is(b.shut.login) {
		return nil // Who opens it says what is wrong.
	}
	return b.shut.why
}

// noteShut notes how it went to open a mailbox. The caller has the box's turn.
func (s *Store) noteShut(ctx context.Context, o owner.Owner, b *box, why error) {
	var refused *refusedLogin
	if !errors.Is(why, owner.ErrLocked) || !errors.As(why, &refused) {
		return
	}
	login, err := s.o.Login(ctx, o)
	if err != nil {
		return
	}
	tries := 1
	if b.shut != nil && login.is(b.shut.login) {
		tries = b.shut.tries + 1
	}
	b.shut = &shut{login: login, why: why, tries: tries, until: s.o.Now().Add(s.o.Pause(tries))}
}

// judge finds out whose the trouble is that a login was refused for.
func (s *Store) judge(ctx context.Context, o owner.Owner, no *refusedLogin) error {
	const op = "signing in to the mailbox"
	detail := words.Detail{wire.ServerSays(no.Reply.Text, remote.Credential{})}
	switch no.Reply.Code {
	case "AUTHORIZATIONFAILED": // Who asks is known, and whom it asks for is not.
		s.works()
		return noMailbox(op, no)
	case "LIMIT", "INUSE":
		s.works()
		return &fault.Error{Code: fault.LocalMailboxUnavailable, Op: op, Detail: detail, Err: no}
	}
	if no.own && !no.temporary() {
		s.works()
		return &fault.Error{
			Code: fault.LocalMailboxUnavailable, Op: op, Err: fmt.Errorf("%w: %w", owner.ErrLocked, no),
			Detail: words.Detail{words.Say(fault.LoginRefused)},
		}
	}
	proved, err := s.prove(ctx, o)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return s.refusesAll(o, errors.Join(no, err))
	case proved && no.temporary():
		return &fault.Error{Code: fault.LocalMailboxUnavailable, Op: op, Detail: detail, Err: no}
	case proved:
		return noMailbox(op, no)
	case no.temporary() || s.refuses(o, no):
		return s.refusesAll(o, no)
	}
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op, Err: no,
		Detail: append(words.Detail{words.Say("The server of the users' mailboxes refuses to open this user's mailbox.")},
			detail...),
	}
}

// refusesAll notes that nobody is let in, as was found out for this user.
func (s *Store) refusesAll(o owner.Owner, err error) error {
	err = s.fails(err, refusesUs(), true)
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	if s.health.atLogins {
		s.health.tried = o
	}
	return err
}

// What is wrong with the server for everybody.
func refusesUs() words.Detail {
	return words.Detail{words.Say(fault.MailboxesShut)}
}

func unreachable() words.Detail {
	return words.Detail{words.Say(fault.MailboxesAway)}
}

// refuses notes that a user was refused, while it is not known whose fault that is, and
// reports whether so many were that it is ours.
func (s *Store) refuses(o owner.Owner, no *refusedLogin) bool {
	h := &s.health
	h.mu.Lock()
	many := len(h.refused) >= refusedUsers
	if h.refused == nil {
		h.refused = map[owner.Owner]string{}
	}
	if !many {
		h.refused[o] = no.Error()
	}
	many = len(h.refused) >= refusedUsers
	h.mu.Unlock()
	if !many {
		s.works()
	}
	return many
}

// prove finds out whether the server lets somebody else in, who was let in before. false: nobody
// else was. An error says that it does not.
func (s *Store) prove(ctx context.Context, but owner.Owner) (proved bool, err error) {
	h := &s.health
	h.mu.Lock()
	recent := s.o.Now().Sub(h.proved) < provedFor && len(h.in) > 0 && h.in[0] != but
	others := slices.DeleteFunc(slices.Clone(h.in), func(x owner.Owner) bool { return x == but })
	h.mu.Unlock()
	if recent {
		return true, nil
	}
	for _, other := range others {
		s.o.Step("connect.prove")
		var c *conn
		c, err = s.open(ctx, other)
		var login *refusedLogin
		switch {
		case err == nil:
			c.end()
			s.letIn(other)
			return true, nil
		case !errors.As(err, &login):
			if errors.As(err, new(anothers)) { // It proves nothing.
				err = nil
				continue
			}
			return false, err
		case login.Reply.Code == "AUTHORIZATIONFAILED": // That one is gone as well, and we are known.
			s.works()
			return true, nil
		}
	}
	return false, err
}

// noMailbox is the error of a user whom the server does not know, or into whose mailbox it does not
// let us.
func noMailbox(op string, err error) error {
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op, Err: fmt.Errorf("%w: %w", owner.ErrNoMailbox, err),
		Detail: words.Detail{
			words.Say("The server of the users' mailboxes has no mailbox of this user, or does not let Mailbrook into it."),
		},
	}
}

// Check reports whether the server can be delivered to: for readiness. What it did for
// deliveries within the last minute is enough; else it is reached, and signed in to as a
// user who was let in before, or as the one who found out that nobody is. During an outage it does what whoever
// delivers does: it asks again when the pause is over.
func (s *Store) Check(ctx context.Context) error {
	h := &s.health
	h.mu.Lock()
	idle, atLogins := h.out == nil && s.o.Now().Sub(h.answered) >= fresh, h.atLogins
	well := h.out == nil && !idle
	var known owner.Owner
	switch {
	case len(h.in) > 0:
		known = h.in[0]
	case atLogins: // Only who signs in finds out.
		known = h.tried
	}
	h.mu.Unlock()
	if well {
		return nil
	}
	done, err := s.admit()
	if err != nil {
		return err
	}
	defer done()
	select {
	case s.slots <- struct{}{}:
	default:
		return s.outage() // All connections are in use: they find out.
	}
	defer func() { <-s.slots }()
	if known.IsZero() {
		return s.greet(ctx)
	}
	c, err := s.open(ctx, known)
	if err == nil {
		c.end()
	}
	if err = s.settle(ctx, known, err); errors.Is(err, errOutage) || ctx.Err() != nil {
		return err
	}
	return nil // It is the user's trouble alone.
}

// greet reaches the server, and goes again without having signed in.
func (s *Store) greet(ctx context.Context) error {
	l, err := s.dial(ctx, Login{})
	if err == nil {
		release := l.Bind(ctx)
		_, _, err = wire.Welcome(ctx, l)
		release()
		if err == nil {
			c := &conn{Writer: wire.NewWriter(l, wire.Permission{})}
			c.end()
		} else {
			_ = l.Close()
		}
	}
	if err == nil {
		s.works()
		return nil
	}
	return s.settle(ctx, owner.Owner{}, err)
}
