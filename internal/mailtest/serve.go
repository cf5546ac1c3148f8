package mailtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Serve accepts connections until the test ends, on the port that it returns, and has
// each served by serve, at the same time as others. A connection ends when serve
// returns: what was sent until then arrives, whatever the client had still to say.
func Serve(tb testing.TB, serve func(c net.Conn)) (port int) {
	tb.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatalf("listening for connections: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				serve(c)
				_ = c.CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}
