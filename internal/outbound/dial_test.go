package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// answers is a resolver: names and their addresses, space-separated.
type answers map[string]string

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	list, ok := a[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, s := range strings.Fields(list) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestServersThatCannotBeNamed(t *testing.T) {
	d := New(Options{})
	for _, host := range []string{
		"", " ", "a b", "imap.example.org ", "anna@imap.example.org", "imap.example.org:993", "https://imap.example.org",
		"imap.example.org/x",
		"imap%00.example.org", "imap\x00.example.org", "imap\r\n.example.org", "imap.example.org\n", "-a.example.org",
		"a..example.org", ".example.org",
		strings.Repeat("a.", 126) + "ab", strings.Repeat("a", 64) + ".org", "/var/run/imap", "unix:/x", "[imap.example.org]",
		"[1.2.3.4]", "ïmap.example.org",
		"127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "0", "1.2.3", "1.2.3.4.5",
		"[::ffff:7f00:1]", "[::1]", "::1", "fe80::1%lo", "64:ff9b::a9fe:a9fe",
		"localhost", "localhost.", "LOCALHOST", "a.localhost", "printer.local", "db.internal", "router.home.arpa",
		"localhost.localdomain",
	} {
		err := d.CheckServer(host, 993, "tls")
		if fault.CodeOf(err) != fault.HostNotAllowed {
			t.Errorf("%q: %v", host, err)
		}
		if _, err := d.Resolve(t.Context(), host); fault.CodeOf(err) != fault.HostNotAllowed {
			t.Errorf("resolving %q: %v", host, err)
		}
	}
	for _, host := range []string{
		"imap.example.org", "imap.example.org.", "IMAP.Example.ORG", "xn--map-goa.example.org",
		"mail_1.example.org", "8.8.8.8", "[2606:4700::1111]", "2606:4700::1111", strings.Repeat("a.", 125) + "abc",
	} {
		if err := d.CheckServer(host, 993, "tls"); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestInnerServersAreRefusedInTheSameWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Resolver: answers{
			"in.example.org": "10.0.0.1", "meta.example.org": "169.254.169.254",
			"mixed.example.org": "8.8.8.8 192.168.1.1",
		}})
		for _, alike := range [][]string{{"127.0.0.1", "10.0.0.1", "localhost"}, {
			"in.example.org", "meta.example.org",
			"mixed.example.org", "none.example.org",
		}} {
			words := map[string]bool{}
			for _, host := range alike {
				_, err := d.Resolve(t.Context(), host)
				words[strings.ReplaceAll(fault.Of(err).Detail.String(), host, "HOST")] = true
			}
			if len(words) != 1 {
				t.Errorf("the answers differ: %v", words)
			}
		}
	})
}

func TestPortsAndSecurity(t *testing.T) {
	for _, tc := range []struct {
		name     string
		o        Options
		port     int
		security string
		ok       bool
	}{
		{"the usual port", Options{}, 993, "tls", true},
		{"STARTTLS", Options{}, 143, "starttls", true},
		{"SSH", Options{}, 22, "tls", false},
		{"zero", Options{AllowAnyPort: true}, 0, "tls", false},
		{"negative", Options{AllowAnyPort: true}, -1, "tls", false},
		{"too high", Options{AllowAnyPort: true}, 65536, "tls", false},
		{"any where all are allowed", Options{AllowAnyPort: true}, 4711, "tls", true},
		{"one on the operator's list", Options{AllowPorts: []int{4711}}, 4711, "tls", true},
		{"one no longer on the operator's list", Options{AllowPorts: []int{4711}}, 993, "tls", false},
		{"an empty list allows none", Options{AllowPorts: []int{}}, 993, "tls", false},
		{"plaintext", Options{}, 143, "none", false},
		{"plaintext where it is allowed", Options{AllowPlaintext: true}, 143, "none", true},
		{"an unknown security", Options{AllowPlaintext: true}, 143, "ssl", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New(tc.o)
			err := d.CheckServer("imap.example.org", tc.port, tc.security)
			if (err == nil) != tc.ok || err != nil && fault.CodeOf(err) != fault.HostNotAllowed {
				t.Errorf("got %v", err)
			}
			if !d.portAllowed(tc.port) {
				if _, err := d.Connect(t.Context(), []netip.Addr{netip.MustParseAddr("8.8.8.8")}, tc.port); fault.CodeOf(
					err) != fault.HostNotAllowed {
					t.Errorf("Connect: %v", err)
				}
			}
		})
	}
}

func TestInnerNamesWhereTheOperatorAllowsThem(t *testing.T) {
	for _, tc := range []struct {
		network, host string
		ok            bool
	}{
		{"127.0.0.0/8", "localhost", true},
		{"::1/128", "localhost.", true},
		{"127.0.0.0/8", "127.0.0.1", true},
		{"10.0.0.0/8", "localhost", false},
		{"10.0.0.0/8", "imap.internal", true},
		{"10.0.0.0/8", "127.0.0.1", false},
		{"10.0.0.0/8", "10.9.8.7", true},
		{"127.0.0.0/8", "127.1", false},
	} {
		d := New(Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix(tc.network)}})
		if err := d.CheckServer(tc.host, 993, "tls"); (err == nil) != tc.ok {
			t.Errorf("%s with %s: %v", tc.host, tc.network, err)
		}
	}
}

func TestOneRefusedAddressRefusesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Resolver: answers{
			"good.example.org":  "8.8.8.8 8.8.4.4 2606:4700::1111 2606:4700::1112 8.8.8.8",
			"mixed.example.org": "8.8.8.8 ::1",
			"empty.example.org": "",
			"many.example.org":  strings.Repeat("8.8.8.8 8.8.4.4 ", 3) + many("9.9.9.", 30),
			"late.example.org":  many("9.9.9.", 30) + " 127.0.0.1",
		}})
		addrs, err := d.Resolve(t.Context(), "Good.example.org.")
		if want := "[8.8.8.8 2606:4700::1111 8.8.4.4 2606:4700::1112]"; err != nil || sprint(addrs) != want {
			t.Errorf("got %v, %v; want %s", addrs, err, want)
		}
		if addrs, err := d.Resolve(t.Context(), "many.example.org"); len(addrs) != maxAddresses || err != nil {
			t.Errorf("%d addresses, %v", len(addrs), err)
		}
		for host, code := range map[string]fault.Code{
			"mixed.example.org": fault.DNSFailure, "late.example.org": fault.DNSFailure,
			"empty.example.org": fault.DNSFailure, "none.example.org": fault.DNSFailure,
		} {
			if _, err := d.Resolve(t.Context(), host); fault.CodeOf(err) != code {
				t.Errorf("%s: %v", host, err)
			}
		}
	})
}

// slow answers as a resolver does that is near or far: names of the inside at
// once, others after a while.
type slow map[string]time.Duration

func (s slow) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	time.Sleep(s[host])
	if strings.HasPrefix(host, "inner") {
		return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil
	}
	if host == "busy.example.org" {
		return nil, &net.DNSError{Err: "dial udp 10.0.0.1:53: socket: too many open files", Name: host}
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Which names there are inside cannot be told from the answer: not from its
// code, its words, nor from how long it takes.
func TestANameOfTheInsideIsToldAsOneThatDoesNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Resolver: slow{
			"inner.example.org": time.Millisecond, "inner2.example.org": 0,
			"none.example.org": 80 * time.Millisecond,
		}})
		said := map[string]string{}
		for _, host := range []string{"inner.example.org", "inner2.example.org", "none.example.org"} {
			began := time.Now()
			_, err := d.Resolve(t.Context(), host)
			f := fault.Of(err)
			said[host] = strings.ReplaceAll(fmt.Sprintf("%s %q %v after %v", f.Code, f.Detail, f.RetryAfter, time.Since(began)),
				host, "HOST")
		}
		if said["inner.example.org"] != said["none.example.org"] || said["inner2.example.org"] != said["none.example.org"] {
			t.Errorf("they can be distinguished: %q", said)
		}
		// The control: names that are named without a lookup are reported as what they are.
		if _, err := d.Resolve(t.Context(), "10.1.2.3"); fault.CodeOf(err) != fault.HostNotAllowed {
			t.Errorf("an inner address is reported as %v", err)
		}
		if _, err := d.Resolve(t.Context(), "busy.example.org"); fault.CodeOf(err) != fault.Internal {
			t.Errorf("our own lack of descriptors is reported as %v", err)
		}
	})
}

func many(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" " + prefix + string(rune('1'+i/10)) + string(rune('0'+i%10)))
	}
	return b.String()
}

func sprint(a []netip.Addr) string {
	s := make([]string, len(a))
	for i := range a {
		s[i] = a[i].String()
	}
	return "[" + strings.Join(s, " ") + "]"
}

// flipping is a resolver whose second answer is another one.
type flipping struct{ asked int }

func (f *flipping) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if f.asked++; f.asked == 1 {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestS60ANameThatTurnsInwardIsRefusedThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &flipping{}
		d := New(Options{Resolver: r})
		if _, err := d.Resolve(t.Context(), "evil.example.org"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Resolve(t.Context(), "evil.example.org"); fault.CodeOf(err) != fault.DNSFailure {
			t.Errorf("got %v", err)
		}
		if r.asked != 2 {
			t.Errorf("%d lookups for 2 calls: what is dialled must be what was looked at", r.asked)
		}
	})
}

func TestTheSocketIsCheckedWhateverWasResolved(t *testing.T) {
	for _, bad := range inward(t, New(Options{AllowAnyPort: true, Resolver: ourselves})) {
		t.Error(bad)
	}
}

// ourselves are names of this machine.
var ourselves = answers{
	"in.example.org": "127.0.0.1", "mapped.example.org": "::ffff:127.0.0.1",
	"mixed.example.org": "127.0.0.1 8.8.8.8",
}

// way is how a server is reached.
type way interface {
	Resolve(ctx context.Context, host string) ([]netip.Addr, error)
	Connect(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error)
}

// inward lists what resolves to an address of this machine's, and at which of
// them a server on it is reached.
func inward(t *testing.T, w way) (bad []string) {
	t.Helper()
	l := listen(t)
	synctest.Test(t, func(t *testing.T) { // A name of the inside is refused when a second is over.
		for host, code := range map[string]fault.Code{
			"in.example.org": fault.DNSFailure, "mapped.example.org": fault.DNSFailure, "mixed.example.org": fault.DNSFailure,
			"127.0.0.1": fault.HostNotAllowed, "::ffff:127.0.0.1": fault.HostNotAllowed, "localhost": fault.HostNotAllowed,
		} {
			if addrs, err := w.Resolve(t.Context(), host); fault.CodeOf(err) != code {
				bad = append(bad, fmt.Sprintf("%s resolves to %v, %v", host, addrs, err))
			}
		}
	})
	for _, a := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		c, err := w.Connect(t.Context(), []netip.Addr{netip.MustParseAddr(a)}, port(l))
		if c != nil {
			c.Close()
		}
		if c != nil || fault.CodeOf(err) != fault.HostNotAllowed {
			bad = append(bad, fmt.Sprintf("%s is connected to: %v", a, err))
		}
	}
	return bad
}

// The controls: names that are believed, sockets that nobody looks at, and both.
func TestAWayInwardIsNoticed(t *testing.T) {
	d := New(Options{AllowAnyPort: true, Resolver: ourselves})
	for name, tc := range map[string]struct {
		w    way
		says int
	}{
		"every name is believed": {believing{d}, 6},
		"no socket is looked at": {blind{d}, 2},
		"every network is allowed": {New(Options{AllowAnyPort: true, Resolver: ourselves, AllowNetworks: []netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
		}}), 8},
	} {
		bad := inward(t, tc.w)
		if len(bad) != tc.says {
			t.Errorf("%s: %d ways inward are noticed, want %d: %q", name, len(bad), tc.says, bad)
		}
	}
}

// believing is a way that resolves every name.
type believing struct{ way }

func (believing) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if host == "localhost" {
		host = "in.example.org"
	}
	return ourselves.LookupNetIP(ctx, "ip", host)
}

// blind is a way that connects to every address.
type blind struct{ way }

func (blind) Connect(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(addrs[0], uint16(port)).String())
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func TestConnectTakesTheNextAddressWhenOneFails(t *testing.T) {
	l := listen(t)
	d := New(Options{AllowNetworks: loopback, AllowAnyPort: true})
	dead, live := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	c, err := d.Connect(t.Context(), []netip.Addr{dead, live}, port(l))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	p := port(l)
	l.Close()
	if _, err := d.Connect(t.Context(), []netip.Addr{dead, live}, p); fault.CodeOf(err) != fault.ConnectRefused {
		t.Errorf("got %v", err)
	}
}

func TestConnectEndsWithItsContextAndItsTime(t *testing.T) {
	// A full backlog answers nobody: the kernel drops what comes.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	p := name.(*syscall.SockaddrInet4).Port
	d := New(Options{AllowNetworks: loopback, AllowAnyPort: true, Timeouts: Timeouts{Connect: 200 * time.Millisecond}})
	to := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var filled []net.Conn
	defer func() {
		for _, c := range filled {
			c.Close()
		}
	}()
	for {
		c, err := d.Connect(t.Context(), to, p)
		if err != nil {
			if fault.CodeOf(err) != fault.ConnectTimeout {
				t.Fatalf("got %v", err)
			}
			break
		}
		if filled = append(filled, c); len(filled) > 20 {
			t.Fatal("the backlog never fills")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Connect(ctx, to, p); !errors.Is(err, context.Canceled) || fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

// stuck is a resolver that never answers.
type stuck struct{}

func (stuck) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
}

func TestASlowLookupIsTheLookupsFault(t *testing.T) {
	d := New(Options{Resolver: stuck{}, Timeouts: Timeouts{Resolve: 10 * time.Millisecond}})
	if _, err := d.Resolve(t.Context(), "slow.example.org"); fault.CodeOf(err) != fault.DNSFailure {
		t.Errorf("got %v", err)
	}
	// The caller's own deadline is a little longer than the step's.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := New(Options{Resolver: stuck{}}).Resolve(ctx, "slow.example.org"); fault.CodeOf(err) != fault.DNSFailure {
		t.Errorf("got %v", err)
	}
}
