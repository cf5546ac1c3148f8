package outbound

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
)

const inner41 = `127.0.0.1 10.1.2.3 172.16.0.1 192.168.0.1 169.254.169.254 100.100.100.200 100.64.0.1 168.63.129.16
	0.0.0.0 0.1.2.3 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.5 224.0.0.1 240.0.0.1 255.255.255.255
	192.88.99.1 :: ::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
	64:ff9b:1::1 2002:7f00:1:: 2001:0:53aa:64c::1 2001:db8::1 fec0::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%lo ff02::1
	100::1 2001:2::1 2001:10::1 3fff::1 5f00::1`

const public7 = `8.8.8.8 1.1.1.1 2606:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888 64:ff9b::808:808 ::ffff:8.8.8.8`

func TestInnerAddressesAreNotPublic(t *testing.T) {
	forms := strings.Fields(inner41)
	if len(forms) != 41 {
		t.Fatalf("the table has %d forms", len(forms))
	}
	d := New(Options{})
	for _, s := range forms {
		a := netip.MustParseAddr(s)
		if Public(a) {
			t.Errorf("%s passes for public", s)
		}
		if d.allowed(a) == nil {
			t.Errorf("%s may be dialled", s)
		}
		if err := d.CheckServer(s, 993, "tls"); fault.CodeOf(err) != fault.HostNotAllowed {
			t.Errorf("CheckServer(%s): %v", s, err)
		}
	}
}

func TestPublicAddressesArePublic(t *testing.T) {
	d := New(Options{})
	for _, s := range strings.Fields(public7) {
		a := netip.MustParseAddr(s)
		if !Public(a) {
			t.Errorf("%s does not pass for public", s)
		}
		if err := d.CheckServer(s, 993, "tls"); err != nil {
			t.Errorf("CheckServer(%s): %v", s, err)
		}
	}
}

func TestThisMachinesOwnAddressesAreRefused(t *testing.T) {
	d := New(Options{})
	own, err := d.ownAddresses()
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr("8.8.4.4")
	if err := d.allowed(a); err != nil {
		t.Fatal(err)
	}
	own[a] = true // As if this machine had it.
	if d.allowed(a) == nil || d.allowed(netip.MustParseAddr("64:ff9b::808:404")) == nil ||
		d.allowed(netip.MustParseAddr("::ffff:8.8.4.4")) == nil {
		t.Error("an address of this machine may be dialled")
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		p, err := netip.ParsePrefix(n.String())
		if err != nil {
			t.Fatalf("%v: %v", n, err)
		}
		if !own[p.Addr().Unmap().WithZone("")] {
			t.Errorf("%s is not known as our own", n)
		}
	}
}

func TestAllowedNetworks(t *testing.T) {
	d := New(Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix(
		"fd00::/8")}})
	for s, ok := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00::1": true,
		"127.0.0.1": false, "64:ff9b::a01:203": false, "192.168.0.1": false, "fc00::1": false, "fd00::1%lo": false,
	} {
		if got := d.allowed(netip.MustParseAddr(s)) == nil; got != ok {
			t.Errorf("%s allowed: %v, want %v", s, got, ok)
		}
	}
}

func FuzzInnerAddressesStayInnerInEverySpelling(f *testing.F) {
	for _, s := range strings.Fields(inner41 + " " + public7) {
		f.Add(s)
	}
	for _, s := range []string{
		"127.1", "0x7f.1", "2130706433", "[::ffff:7f00:1]", "localhost.", "a@b", "x%00", "[::1",
		"1.2.3", "0x", "a.0x1",
	} {
		f.Add(s)
	}
	d := New(Options{Resolver: answers{}})
	f.Fuzz(func(t *testing.T, host string) {
		addrs, err := d.Resolve(context.Background(), host)
		if err != nil {
			if c := fault.CodeOf(err); c != fault.HostNotAllowed && c != fault.DNSFailure {
				t.Fatalf("%q: %v", host, err)
			}
			return
		}
		for _, a := range addrs {
			if !Public(a) {
				t.Fatalf("%q gives %s", host, a)
			}
		}
	})
}

func ExamplePublic() {
	for _, s := range []string{"8.8.8.8", "10.0.0.1", "169.254.169.254", "100.64.0.1", "64:ff9b::7f00:1"} {
		fmt.Println(s, Public(netip.MustParseAddr(s)))
	}
	// Output:
	// 8.8.8.8 true
	// 10.0.0.1 false
	// 169.254.169.254 false
	// 100.64.0.1 false
	// 64:ff9b::7f00:1 false
}
