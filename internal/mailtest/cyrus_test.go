package mailtest

import (
	"net"
	"strings"
	"testing"
)

func TestCyrusGreets(t *testing.T) {
	s := StartCyrus(t, CyrusOptions{})
	for service, want := range map[string]string{"imap": "* OK", "pop3": "+OK"} {
		c, err := net.Dial("tcp", s.Addr(service))
		if err != nil {
			t.Fatal(err)
		}
		if got := greeting(t, c); !strings.HasPrefix(got, want) {
			t.Errorf("%s greets with %q, want %q", service, got, want)
		}
	}
}
