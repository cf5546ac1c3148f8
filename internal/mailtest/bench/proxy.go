package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// distance is a TCP proxy that adds a round-trip time without narrowing the
// link, and counts. The TCP handshake of the link that it stands for is charged
// too: the client's first octets leave one round trip after the connection, and
// a server that speaks first is heard two after it. Slow start and loss are not
// imitated.
type distance struct {
	l      *net.TCPListener
	target string
	rtt    time.Duration
	wg     sync.WaitGroup
	ctx    context.Context // Ends with the proxy; for its goroutines only.
	cancel context.CancelFunc

	mu    sync.Mutex
	conns map[*net.TCPConn]bool
	open  int
	sum   traffic
}

// traffic is what went through.
type traffic struct {
	Conns int `json:"conns"`
	// Depth is the longest chain of words and answers, client to server to
	// client, of the worst connection: its sequential round trips, TLS handshake
	// included, TCP handshake not. An answer that comes after the client has
	// hung up (to LOGOUT, mostly) counts here, but not in Waited.
	Depth  int   `json:"round_trips"`
	Waited int   `json:"round_trips_waited_for"`
	Turns  int   `json:"turns"` // How often the client wrote after it had received something.
	Up     int64 `json:"bytes_up"`
	Down   int64 `json:"bytes_down"`
}

func newDistance(target string, rtt time.Duration) (*distance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &distance{l: l.(*net.TCPListener), target: target, rtt: rtt, conns: map[*net.TCPConn]bool{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.wg.Go(d.serve)
	return d, nil
}

func (d *distance) port() int { return d.l.Addr().(*net.TCPAddr).Port }

func (d *distance) close() {
	d.cancel()
	d.l.Close()
	d.mu.Lock()
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// take returns what was counted and starts over. It waits, within bounds, for
// connections that are just ending: they are counted at their end.
func (d *distance) take() traffic {
	for range 100 {
		d.mu.Lock()
		open := d.open
		d.mu.Unlock()
		if open == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.sum
	d.sum = traffic{}
	return t
}

func (d *distance) serve() {
	for {
		c, err := d.l.AcceptTCP()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.forward(c) })
	}
}

// relay is one connection through the proxy.
type relay struct {
	d              *distance
	client, server *net.TCPConn

	mu              sync.Mutex
	atClient, atSrv int // The longest chain that has reached either end.
	heard           bool
	gone            bool // The client has hung up.
	waited          int  // The longest chain that had reached the client by then.
	turns           int
	octUp, octDown  int64
}

func (d *distance) forward(client *net.TCPConn) {
	at := time.Now()
	defer client.Close()
	var dialer net.Dialer
	c, err := dialer.DialContext(d.ctx, "tcp", d.target)
	if err != nil {
		return
	}
	r := &relay{d: d, client: client, server: c.(*net.TCPConn)}
	defer r.server.Close()
	d.mu.Lock()
	d.open++
	d.sum.Conns++
	d.conns[r.client], d.conns[r.server] = true, true
	d.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { r.pump(r.client, r.server, true, at.Add(d.rtt)) })
	wg.Go(func() { r.pump(r.server, r.client, false, at.Add(d.rtt+d.rtt/2)) })
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, r.client)
	delete(d.conns, r.server)
	d.open--
	d.sum.Depth = max(d.sum.Depth, r.atClient)
	d.sum.Waited = max(d.sum.Waited, r.waited)
	d.sum.Turns += r.turns
	d.sum.Up += r.octUp
	d.sum.Down += r.octDown
}

type parcel struct {
	due   time.Time
	octs  []byte
	depth int
}

var parcels = sync.Pool{New: func() any { return make([]byte, 64<<10) }}

// pump carries octets one way, each half a round trip late. What is under way
// is bounded.
func (r *relay) pump(from, to *net.TCPConn, up bool, notBefore time.Time) {
	way := make(chan parcel, 512)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(way)
		for {
			buf := parcels.Get().([]byte)
			n, err := from.Read(buf[:cap(buf)])
			if n > 0 {
				now := time.Now()
				if now.Before(notBefore) {
					now = notBefore
				}
				way <- parcel{now.Add(r.d.rtt / 2), buf[:n], r.read(up, n)}
			}
			if err != nil {
				r.ended(up)
				return
			}
		}
	})
	broken := false
	for p := range way {
		if !broken {
			if wait := time.Until(p.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-r.d.ctx.Done():
				}
			}
			r.written(up, p.depth) // Before the write: the answer may come before it returns.
			if _, err := to.Write(p.octs); err != nil {
				broken = true
				if !errors.Is(err, net.ErrClosed) {
					from.CloseRead()
				}
			}
		}
		parcels.Put(p.octs[:cap(p.octs)]) //nolint:staticcheck // A slice header for each parcel does not show.
	}
	reading.Wait()
	to.CloseWrite()
}

// read counts octets that one end has sent, and returns how long their chain is.
func (r *relay) read(up bool, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !up {
		r.octDown += int64(n)
		return r.atSrv
	}
	r.octUp += int64(n)
	if r.heard {
		r.turns++
		r.heard = false
	}
	return r.atClient + 1
}

func (r *relay) written(up bool, depth int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if up {
		r.atSrv = max(r.atSrv, depth)
		return
	}
	r.atClient = max(r.atClient, depth)
	if !r.gone {
		r.waited = r.atClient
	}
	r.heard = true
}

// ended notes that one end says nothing more.
func (r *relay) ended(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = r.gone || up
}
