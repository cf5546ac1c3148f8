package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// peerOf returns who made the connection; the zero Addr where that is no address.
func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// trusts reports whether an address is a proxy's.
func (w SignIn) trusts(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(w.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientOf returns who made a request: the peer, or who made it of a proxy, as far
// as proxies vouch for it. What is further to the left in X-Forwarded-For is
// anybody's to write.
func (w SignIn) clientOf(r *http.Request) netip.Addr {
	client := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !w.trusts(client) {
			break
		}
		a, err := addressIn(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		client = a.Unmap().WithZone("")
	}
	return client
}

// clientName writes a client down; "" where nobody knows its address.
func clientName(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// addressIn reads an address, which some proxies write with a port.
func addressIn(hop string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(hop); err == nil {
		return at.Addr(), nil
	}
	return netip.ParseAddr(strings.Trim(hop, "[]"))
}

// named is whose a request is by a proxy's word.
type named struct {
	user owner.Owner // Zero: the proxy names nobody.
	err  error       // Why what it says is not taken.
}

// What is wrong with a proxy's word.
var (
	errNotProxy = errors.New("the header comes from an address that is not in trusted_proxies")
	errTwice    = errors.New("the header is there more than once")
)

// errNoLength says that a body came in chunks where a proxy says whose a request is.
// A request with chunks and a length is one to whoever goes by the length, and two to
// us, the second with any header (RFC 9112 section 6.3); net/http drops the length
// before anybody sees both.
var errNoLength = errors.New("send the body with Content-Length and not in chunks")

// namedBy reads the proxy's header. The peer of the connection decides whether it
// counts: X-Forwarded-For is anybody's.
func (w SignIn) namedBy(r *http.Request) named {
	if w.Header == "" {
		return named{}
	}
	values := r.Header.Values(w.Header)
	switch {
	case len(values) == 0:
		return named{}
	case !w.trusts(peerOf(r)):
		return named{err: errNotProxy}
	case len(values) > 1:
		return named{err: errTwice}
	}
	if values[0] == "" {
		return named{} // So some proxies write that nobody is signed in.
	}
	user, err := owner.Parse(values[0])
	if err != nil {
		return named{err: fmt.Errorf("reading whom the proxy names: %w", err)}
	}
	return named{user: user}
}

// agrees reports whether a session may continue with a request of which the proxy
// says whose it is: who signs out at the proxy and in as another must not meet the
// session of the one before.
func (w SignIn) agrees(r *http.Request, o owner.Owner) bool {
	switch by := w.namedBy(r); {
	case errors.Is(by.err, errNotProxy):
		return true // Nobody's word.
	case by.err != nil:
		return false
	default:
		return by.user.IsZero() || by.user == o
	}
}
