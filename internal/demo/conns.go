package demo

import (
	"net"
	"sync"
)

// connections knows every open connection, so that the end of the provider is
// the end of them all, and can be waited for.
type connections struct {
	mu    sync.Mutex
	open  map[*connection]bool
	ended bool
	none  sync.Cond // open became empty.
}

func newConnections() *connections {
	c := &connections{open: make(map[*connection]bool)}
	c.none.L = &c.mu
	return c
}

// track returns the listener with its connections known.
func (c *connections) track(l net.Listener) net.Listener { return tracked{l, c} }

// end breaks every connection, and those still to come.
func (c *connections) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for conn := range c.open {
		conn.Conn.Close()
	}
}

// wait returns once every connection was closed by who served it.
func (c *connections) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) > 0 {
		c.none.Wait()
	}
}

type tracked struct {
	net.Listener
	all *connections
}

func (t tracked) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if t.all.ended {
		c.Close()
		return nil, net.ErrClosed
	}
	conn := &connection{c, t.all}
	t.all.open[conn] = true
	return conn, nil
}

type connection struct {
	net.Conn
	all *connections
}

// Close is called by who serves the connection, when it is done with it.
func (c *connection) Close() error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	delete(c.all.open, c)
	if len(c.all.open) == 0 {
		c.all.none.Broadcast()
	}
	return c.Conn.Close()
}
