package mailtest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy forwards connections to a server, counts what goes through, and breaks
// them to where it is configured. It sees the octets of TCP: TLS goes through it.
type Proxy struct {
	tb     testing.TB
	target string
	l      net.Listener
	wg     sync.WaitGroup
	ctx    context.Context // Ends with the proxy; for its goroutines only.
	cancel context.CancelFunc

	mu          sync.Mutex
	fault       fault
	count       Traffic
	conns       map[net.Conn]bool
	lastUp      bool
	stalled     chan struct{}
	stalledOnce bool
}

type fault struct {
	cut, stall int64 // After so many octets from the server; below zero: never.
	refuse     bool
}

// Traffic is what went through a proxy.
type Traffic struct {
	Connections int
	Up          int64 // Octets to the server.
	Down        int64 // Octets from the server.
	// Turns counts how often the server's turn to speak came after the
	// client's: the round trips, as far as TCP shows them.
	Turns int
}

// StartProxy starts a proxy in front of the address, until the test ends.
func StartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listening: %v", err)
	}
	p := &Proxy{
		tb: tb, target: target, l: l, fault: fault{cut: -1, stall: -1}, conns: make(map[net.Conn]bool),
		stalled: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.serve)
	tb.Cleanup(p.Close)
	return p
}

// Addr returns the proxy's address on loopback.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Port returns the proxy's port.
func (p *Proxy) Port() int { return p.l.Addr().(*net.TCPAddr).Port }

// CutAfter closes each later connection once the server sent n octets through it.
func (p *Proxy) CutAfter(n int64) { p.set(fault{cut: n, stall: -1}) }

// StallAfter lets nothing more through to the client, on each later
// connection, once the server sent n octets through it. The connection stays open.
func (p *Proxy) StallAfter(n int64) { p.set(fault{cut: -1, stall: n}) }

// Refuse closes each later connection at once.
func (p *Proxy) Refuse() { p.set(fault{cut: -1, stall: -1, refuse: true}) }

// Heal lets later connections through unharmed.
func (p *Proxy) Heal() { p.set(fault{cut: -1, stall: -1}) }

// Stalled is closed when the first connection stalls.
func (p *Proxy) Stalled() <-chan struct{} { return p.stalled }

// CutAll closes every connection that is open now.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Traffic returns what went through so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Close ends the proxy and all connections, and waits. It may be called twice.
func (p *Proxy) Close() {
	p.cancel()
	p.l.Close()
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

func (p *Proxy) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.count.Connections++
		f := p.fault
		p.mu.Unlock()
		if f.refuse {
			c.Close()
			continue
		}
		p.wg.Go(func() { p.forward(c, f) })
	}
}

func (p *Proxy) forward(client net.Conn, f fault) {
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}()
	defer context.AfterFunc(p.ctx, func() { client.Close(); server.Close() })()

	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(server, counting{client, func(n int) int { p.saw(true, n); return n }})
		server.(*net.TCPConn).CloseWrite()
	})
	if down := p.down(client, server, f); down != nil {
		client.Close()
		server.Close()
	} else {
		client.(*net.TCPConn).CloseWrite()
	}
	wg.Wait()
}

var errCut = errors.New("cut here")

// down copies from the server until it closes, or until the fault.
func (p *Proxy) down(client, server net.Conn, f fault) error {
	limit := f.cut
	if f.stall >= 0 {
		limit = f.stall
	}
	src := io.Reader(counting{server, func(n int) int { p.saw(false, n); return n }})
	if limit < 0 {
		_, err := io.Copy(client, src)
		return err
	}
	if n, err := io.CopyN(client, src, limit); err != nil || n < limit {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if f.stall >= 0 {
		p.mu.Lock()
		if !p.stalledOnce {
			p.stalledOnce = true
			close(p.stalled)
		}
		p.mu.Unlock()
		io.Copy(io.Discard, server) // Until somebody closes.
	}
	return errCut
}

func (p *Proxy) saw(up bool, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if up {
		p.count.Up += int64(n)
	} else {
		p.count.Down += int64(n)
		if p.lastUp {
			p.count.Turns++
		}
	}
	p.lastUp = up
}

type counting struct {
	io.Reader
	saw func(int) int
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if n > 0 {
		c.saw(n)
	}
	return n, err
}
