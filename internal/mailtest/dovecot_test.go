package mailtest

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

// greeting returns the first line a server says.
func greeting(t *testing.T, c net.Conn) string {
	t.Helper()
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatalf("reading a greeting: %v", err)
	}
	return line
}

func TestDovecotGreetsOnEveryPort(t *testing.T) {
	d := StartDovecot(t, DovecotOptions{})
	for service, want := range map[string]string{"imap": "* OK", "imaps": "* OK", "pop3": "+OK", "pop3s": "+OK"} {
		c, err := net.Dial("tcp", d.Addr(service))
		if strings.HasSuffix(service, "s") {
			c, err = tls.Dial("tcp", d.Addr(service), d.CA.Client())
		}
		if err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		if got := greeting(t, c); !strings.HasPrefix(got, want) {
			t.Errorf("%s greets with %q, want %q", service, got, want)
		}
	}
}

func TestDovecotIsGoneWhenStoppedAndComesBack(t *testing.T) {
	d := StartDovecot(t, DovecotOptions{})
	addr := d.Addr("imap")
	d.Stop()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Fatal("it still listens after Stop")
	}
	d.Start()
	c, err := net.Dial("tcp", d.Addr("imap"))
	if err != nil {
		t.Fatal(err)
	}
	greeting(t, c)
}
