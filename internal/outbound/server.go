package outbound

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/words"
)

// CheckServer looks at the words with which a user names a server: whether the
// host is a name or an address and nothing else, whether it can be public at
// all, whether the port is on the list, and whether plaintext is accepted. It
// looks nothing up; addresses are checked when they are dialled. Its error is
// a *fault.Error with HostNotAllowed.
func (d *Dialer) CheckServer(host string, port int, security string) error {
	const op = "checking the server"
	if d.opts.Socket != "" {
		return nil
	}
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
		Code: fault.HostNotAllowed, Op: op, Part: fault.PartSecurity,
		Detail: words.Detail{words.Say("Unencrypted connections are not allowed here.")},
	}
}

func refusedPort(op string, port int) *fault.Error {
	return &fault.Error{
		Code: fault.HostNotAllowed, Op: op, Part: fault.PartPort,
		Detail: words.Detail{words.Say("Port %d is not one that an account may name.", port)},
	}
}

func (d *Dialer) portAllowed(port int) bool {
	return port > 0 && port <= 65535 && (d.opts.AllowAnyPort || slices.Contains(d.opts.AllowPorts, port))
}

func (d *Dialer) checkHost(host string) error {
	const op = "checking the server"
	a, literal, err := hostname.Parse(host)
	if err != nil {
		return &fault.Error{
			Code: fault.HostNotAllowed, Op: op, Part: fault.PartSyntax, Err: err,
			Detail: words.Detail{
				words.Say("The server must be a host name or an address and nothing else, such as imap.example.org."),
			},
		}
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
	host = hostname.Lower(host)
	for _, n := range innerNames {
		if host == n || strings.HasSuffix(host, "."+n) {
			return true, n == "localhost" || n == "localdomain"
		}
	}
	return false, false
}
