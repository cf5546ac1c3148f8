package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Bounded returns l with at most so many connections at a time, so that callers
// do not use up the files that may be open. When there are as many, another one
// has the place of the one that is needed least; see worth. Where each carries a
// request of a user, and no user has a quarter of them, it waits to be accepted.
// Server must answer on what is returned: it says whose the connections are.
func Bounded(l net.Listener, most int, log *slog.Logger) net.Listener {
	return &bounded{
		Listener: l, most: max(1, most), log: log, held: map[*connection]struct{}{},
		moved: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

type bounded struct {
	net.Listener
	most   int
	log    *slog.Logger
	moved  chan struct{} // There may be a place; room for one.
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	held map[*connection]struct{}
	turn int64 // Numbers what happens to connections.
	said time.Time
}

// worth is in what order connections make room for others, those that have been
// so for longest first. Before all of them come a user's who has more than a
// quarter.
type worth int

const (
	strange   worth = iota // It has carried no request of a user: it may be anybody's, and stay silent for ever.
	resting                // A user's, between two requests: clients make another one.
	streaming              // A stream of events: browsers begin another one.
	asking                 // A request of a user is under way: it is left alone.
)

// connection is one of a caller.
type connection struct {
	net.Conn
	of *bounded

	heard bool // A request has come. This and what follows under of.mu.
	worth worth
	since int64 // The turn in which it became that.
	user  owner.Owner
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // The server looks at what it is.
	}
	c := &connection{Conn: conn, of: b}
	for !b.take(c) {
		select {
		case <-b.moved:
		case <-b.closed:
			if err := conn.Close(); err != nil {
				b.log.Debug("closing a connection", "error", err)
			}
			return nil, net.ErrClosed
		}
	}
	return c, nil
}

// Close implements net.Listener. It ends connections by which no request has come
// yet: the server would wait for one for longer than a process may take to stop.
func (b *bounded) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.mu.Lock()
		defer b.mu.Unlock()
		for c := range b.held {
			if c.heard {
				continue
			}
			if err := c.Conn.Close(); err != nil {
				b.log.Debug("closing a connection", "error", err)
			}
		}
	})
	return b.Listener.Close() //nolint:wrapcheck // As above.
}

// take gives a connection a place, another's if need be. When the listener is
// closed there are none.
func (b *bounded) take(c *connection) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		return false
	default:
	}
	if len(b.held) >= b.most {
		least := b.least()
		if least == nil {
			return false
		}
		delete(b.held, least)
		if now := time.Now(); now.Sub(b.said) >= time.Minute {
			b.said = now
			b.log.Warn("connections are closed to make room for others: more than the limit of open files allows for",
				"connections", b.most)
		}
		if err := least.Conn.Close(); err != nil {
			b.log.Debug("closing a connection", "error", err)
		}
	}
	b.held[c] = struct{}{}
	b.becomes(c, strange)
	return true
}

// least returns the connection that is needed least; nil: each is needed.
func (b *bounded) least() (least *connection) {
	users := map[owner.Owner]int{}
	for c := range b.held {
		if !c.user.IsZero() {
			users[c.user]++
		}
	}
	greedy := func(c *connection) bool { return users[c.user] > max(1, b.most/4) }
	for c := range b.held {
		switch {
		case c.worth == asking && !greedy(c):
			continue
		case least == nil, greedy(c) && !greedy(least):
			least = c
		case !greedy(c) && greedy(least):
		case c.worth < least.worth, c.worth == least.worth && c.since < least.since:
			least = c
		}
	}
	return least
}

// becomes notes what a connection is now. The caller holds the lock.
func (b *bounded) becomes(c *connection, w worth) {
	b.turn++
	c.worth, c.since = w, b.turn
	if w != asking {
		b.move()
	}
}

func (b *bounded) move() {
	select {
	case b.moved <- struct{}{}:
	default:
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.held, c)
	c.of.move()
	c.of.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // As above.
}

// CloseWrite ends what is written, so that the server's last answer is read
// before the connection ends.
func (c *connection) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite() //nolint:wrapcheck // As above.
	}
	return nil
}

type connectionKey struct{}

// withConnection remembers which connection a request came by.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	return ctx
}

// heard notes that a request has come by a connection.
func heard(c net.Conn, s http.ConnState) {
	if c, ok := c.(*connection); ok && s == http.StateActive {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.heard = true
	}
}

// asks says that a user's request is under way, until over is called.
func asks(ctx context.Context, o owner.Owner) (over func()) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.user = o
	c.of.becomes(c, asking)
	return func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.becomes(c, resting)
	}
}

// streams says that the request under way is a stream of events.
func streams(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.becomes(c, streaming)
	}
}
