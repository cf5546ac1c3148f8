package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// maxHost is the longest name of the DNS in text (RFC 1035 section 2.3.4: 255
// octets with the length bytes).
const maxHost = 253

// CheckServer looks at the words with which a user names a server: whether the
// host is a name or an address and nothing else, whether it can be public at
// all, whether the port is on the list, and whether plaintext is accepted. It
// looks nothing up; addresses are checked when they are dialled. Its error is
// a *fault.Error with HostNotAllowed.
func (d *Dialer) CheckServer(host string, port int, security string) error {
	const op = "checking the server"
	if err := d.checkHost(host); err != nil {
		return err
	}
	if !d.portAllowed(port) {
		return refusedPort(op, port)
	}
	switch security {
	case "tls", "starttls":
		return nil
	case "none":
		if d.opts.AllowPlaintext {
			return nil
		}
	}
	return &fault.Error{
		Code: fault.HostNotAllowed, Op: op, Detail: "Unencrypted connections are not allowed here.", Part: fault.PartSecurity,
	}
}

func refusedPort(op string, port int) *fault.Error {
	return &fault.Error{
		Code: fault.HostNotAllowed, Op: op, Detail: fmt.Sprintf("Port %d is not one that an account may name.", port),
		Part: fault.PartPort,
	}
}

func (d *Dialer) portAllowed(port int) bool {
	return port > 0 && port <= 65535 && (d.opts.AllowAnyPort || slices.Contains(d.opts.AllowPorts, port))
}

func (d *Dialer) checkHost(host string) error {
	const op = "checking the server"
	a, literal, err := parseHost(host)
	if err != nil {
		return &fault.Error{Code: fault.HostNotAllowed, Op: op, Detail: "The server must be a host name or an address and " +
			"nothing else, such as imap.example.org.", Part: fault.PartSyntax, Err: err}
	}
	if literal {
		if err := d.allowed(a); err != nil {
			return refused(op, err)
		}
		return nil
	}
	if inside, loopback := innerName(host); inside && !d.mayMean(loopback) {
		return refused(op, errors.New("the name can only mean something inside"))
	}
	return nil
}

// mayMean reports whether the operator allowed a network that such a name
// could mean.
func (d *Dialer) mayMean(loopback bool) bool {
	return slices.ContainsFunc(d.opts.AllowNetworks, func(p netip.Prefix) bool {
		if loopback {
			return p.Addr().IsLoopback() || p.Contains(netip.IPv6Loopback()) ||
				p.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		}
		return true
	})
}

// innerNames have no meaning in the public DNS (RFC 6761, RFC 6762, RFC 8375;
// .internal by ICANN's resolution).
var innerNames = []string{"localhost", "local", "internal", "localdomain", "home.arpa"}

func innerName(host string) (inside, loopback bool) {
	host = canonical(host)
	for _, n := range innerNames {
		if host == n || strings.HasSuffix(host, "."+n) {
			return true, n == "localhost" || n == "localdomain"
		}
	}
	return false, false
}

// canonical returns a host in lower case, without the final dot.
func canonical(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// parseHost accepts a DNS name or an IP address in its usual spelling. The
// spellings that only some resolvers understand ("127.1", "0x7f.1",
// "2130706433") are no names: no top-level domain is a number.
func parseHost(host string) (a netip.Addr, literal bool, err error) {
	if host == "" || len(host) > maxHost+1 {
		return a, false, errors.New("the host is empty or longer than any name")
	}
	bare, bracketed := unbracket(host)
	if a, err := netip.ParseAddr(bare); err == nil {
		if bracketed && !a.Is6() {
			return a, false, errors.New("brackets are for IPv6 addresses")
		}
		return a, true, nil
	}
	if bracketed {
		return a, false, errors.New("what stands in brackets is no IPv6 address")
	}
	name := canonical(host)
	if len(name) > maxHost {
		return a, false, errors.New("the host is longer than any name")
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if err := checkLabel(l); err != nil {
			return a, false, err
		}
	}
	if numeric(labels[len(labels)-1]) {
		return a, false, errors.New("a name cannot end in a number")
	}
	return a, false, nil
}

func unbracket(host string) (string, bool) {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1], true
	}
	return host, false
}

// checkLabel takes letters, digits, hyphens and underscores. Names in other
// scripts come in their ASCII form (xn--…), so that no look-alike is dialled
// unseen.
func checkLabel(l string) error {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return errors.New("a part of the name is empty, too long, or begins or ends with a hyphen")
	}
	for _, c := range []byte(l) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errors.New("the name has a character that no host name has")
		}
	}
	return nil
}

func numeric(label string) bool {
	hex := strings.TrimPrefix(label, "0x")
	digits := "0123456789"
	if hex != label {
		digits += "abcdef"
	}
	return strings.Trim(hex, digits) == ""
}
