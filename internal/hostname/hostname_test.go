package hostname_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/hostname"
)

func TestWhatIsAHost(t *testing.T) {
	for host, key := range map[string]string{
		"imap.example.org": "imap.example.org", "IMAP.Example.ORG.": "imap.example.org", "localhost": "localhost",
		"xn--80ak6aa92e.test": "xn--80ak6aa92e.test", "a_b.test": "a_b.test", "10.1.2.3": "10.1.2.3",
		"::1": "::1", "[::1]": "::1", "0:0::1": "::1", "::ffff:10.0.0.1": "10.0.0.1", "2001:DB8::A": "2001:db8::a",
		strings.Repeat("a.", 124) + "test": strings.Repeat("a.", 124) + "test",
	} {
		if got, err := hostname.Checked(host); err != nil || got != key {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
	// No host, and not taken for a slip either: it is refused as a server that an account may not name.
	unusual := []string{"127.1", "2130706433", "0x7f.1", "1.2.3.4.5", "żółw.test", "a*b.test"}
	for _, host := range unusual {
		if _, _, err := hostname.Parse(host); hostname.Check(host) != nil || !errors.Is(err, hostname.ErrUnusual) {
			t.Errorf("%q: %v, %v", host, hostname.Check(host), err)
		}
	}
	for _, host := range append(unusual,
		"", ".", "a b", "a..b", "-a.test", "a-.test", "https://a.test", "a.test:993", "u@a.test", "a\r\nb",
		"[10.0.0.1]", "[a.test]", "fe80::1%eth0", "a/b", "a%b",
		strings.Repeat("a", 64)+".test", strings.Repeat("a.", 200)+"test",
	) {
		if got, err := hostname.Checked(host); err == nil {
			t.Errorf("%q is taken for %q", host, got)
		}
		if !slices.Contains(unusual, host) && hostname.Check(host) == nil {
			t.Errorf("%q passes the check", host)
		}
	}
}

func TestOneFormForWhatIsSavedAndForWhatIsCompared(t *testing.T) {
	for host, want := range map[string][2]string{
		"IMAP.Example.org.": {"imap.example.org", "imap.example.org"},
		"[0:0::1]":          {"0:0::1", "::1"},
		" imap.test ":       {" imap.test ", "imap.test"},
		"a b":               {"a b", "a b"}, // It is whatever it is: Check says whether it may be.
	} {
		if got := [2]string{hostname.Normal(host), hostname.Key(host)}; got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
