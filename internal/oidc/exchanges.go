package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxAnswer bounds what the provider may answer: the libraries read all that comes.
const maxAnswer = 1 << 20

// errClosed ends what is asked of the provider after Close.
var errClosed = errors.New("the identity provider is asked nothing any more: the program ends")

// exchanges carry questions to the provider and cut answers that are too long. Some
// belong to no request that could end them: what the provider says of itself is for
// all, and the library fetches keys in a goroutine of its own, which heeds no context.
// close ends those, too.
type exchanges struct {
	next http.RoundTripper

	mu     sync.Mutex
	open   map[*exchange]context.CancelFunc
	closed bool
	all    sync.WaitGroup // The open ones.
}

// exchange is one question, from being asked until its answer was read.
type exchange struct{ ended sync.Once }

// RoundTrip implements http.RoundTripper.
func (e *exchanges) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, end, err := e.begin(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := e.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		end()
		return nil, err //nolint:wrapcheck // As the transport says it.
	}
	resp.Body = &cut{resp.Body, maxAnswer, end}
	return resp, nil
}

// begin counts an exchange until end is called, which may be called again.
func (e *exchanges) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	x := &exchange{}
	e.open[x] = cancel
	e.all.Add(1)
	return ctx, func() {
		x.ended.Do(func() {
			cancel()
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.open, x)
			e.all.Done()
		})
	}, nil
}

// close ends what is open, waits for that, and lets nothing else begin.
func (e *exchanges) close() {
	e.mu.Lock()
	e.closed = true
	for _, cancel := range e.open {
		cancel()
	}
	e.mu.Unlock()
	e.all.Wait()
}

// cut is an answer's body.
type cut struct {
	io.ReadCloser
	left int
	end  func() // Of the exchange.
}

var errTooLong = fmt.Errorf("the answer is longer than %d octets", maxAnswer)

// Read implements io.Reader.
func (c *cut) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.ReadCloser.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// Close implements io.Closer.
func (c *cut) Close() error {
	defer c.end()
	return c.ReadCloser.Close() //nolint:wrapcheck // As the transport says it.
}
