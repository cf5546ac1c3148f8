package outbound

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// A server on a socket is reached whatever it is called, and nothing is looked up.
// The control: without a socket there is no such server.
func TestAServerOnASocketIsReached(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imap")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("*"))
			c.Close()
		}
		said <- err
	}()
	d := New(Options{Socket: path, Resolver: answers{}})
	if err := d.CheckServer("unix", 0, "none"); err != nil {
		t.Fatal(err)
	}
	addrs, err := d.Resolve(t.Context(), "unix")
	if err != nil || len(addrs) != 1 {
		t.Fatal(addrs, err)
	}
	c, err := d.Connect(t.Context(), addrs, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 1 {
		t.Error(n, err)
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
	_, err = New(Options{Socket: path + "x"}).Connect(t.Context(), addrs, 0)
	if fault.CodeOf(err) != fault.ConnectRefused {
		t.Errorf("a socket that is not there: %v", err)
	}
	if err := New(Options{}).CheckServer("unix", 0, "none"); err == nil {
		t.Error("a server without a socket is accepted")
	}
}

// Where only some networks may be reached, public addresses may not.
func TestOnlyTheNetworksThatAreNamed(t *testing.T) {
	o := Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, OnlyNetworks: true, AllowAnyPort: true,
		AllowPlaintext: true, Resolver: answers{"in.example.org": "10.1.2.3", "out.example.org": "8.8.8.8"},
	}
	for _, only := range []bool{true, false} {
		o.OnlyNetworks = only
		d := New(o)
		if _, err := d.Resolve(t.Context(), "in.example.org"); err != nil {
			t.Error(err)
		}
		if _, err := d.Resolve(t.Context(), "out.example.org"); (err == nil) == only {
			t.Errorf("only: %t: %v", only, err)
		}
	}
}
