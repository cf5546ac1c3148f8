// Package outbound is the only place that dials: hosts that users named, and
// the few addresses that the operator configured.
//
// What a user names is looked up once, refused unless every address of the
// answer is public (or in a network that the operator allowed), and dialled by
// address, so that no second lookup can say something else. The socket's
// address is looked at once more just before it connects. TLS is verified
// always. Its errors are *fault.Error and show a user no more of the inner
// network than a closed port would.
//
// It knows nothing of mail: what is said on a connection is others' business.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Resolver finds a name's addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Exchangers finds a domain's mail exchangers. *net.Resolver is one.
type Exchangers interface {
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
}

// Timeouts bound the steps of reaching a server. Zero means the default. A
// caller's own deadline shortens them, so that the step that was too slow is
// the one that is blamed.
type Timeouts struct {
	Resolve   time.Duration // 5 s.
	Connect   time.Duration // 10 s, over all addresses together.
	Handshake time.Duration // 10 s.
	// Unresolved is the least that it takes to say that there is no such name: 1 s,
	// longer than nearly all lookups.
	Unresolved time.Duration
}

// Options say what may be dialled. The zero value allows public addresses on
// the four ports of POP3 and IMAP, with TLS.
type Options struct {
	AllowNetworks  []netip.Prefix // Allowed although not public.
	OnlyNetworks   bool           // Nothing but AllowNetworks is allowed: what is public is not by itself.
	AllowPorts     []int          // Nil: 110, 143, 993, 995.
	AllowAnyPort   bool
	AllowPlaintext bool           // Whether security "none" is accepted at all.
	OwnHosts       []string       // Where users' own mailboxes lie, as hostname.Checked writes them: see OwnHost.
	RootCAs        *x509.CertPool // Nil: the system's. See LoadRoots.
	// Socket is the path of a Unix socket on which the operator's own server listens. It is reached in place of
	// whatever server is named, and nothing is looked up; "": there is none.
	Socket     string
	Resolver   Resolver   // Nil: net.DefaultResolver.
	Exchangers Exchangers // Nil: net.DefaultResolver.
	Timeouts   Timeouts
	// Now is the time by which certificates are judged; nil: time.Now. This machine's
	// clock may be a day off, and no server's certificate is the worse for it.
	Now func() time.Time
}

var defaultPorts = []int{110, 143, 993, 995}

// Dialer reaches servers. It is safe for concurrent use.
type Dialer struct {
	opts     Options
	sessions tls.ClientSessionCache // Keyed by server name: a host's tickets go to that host only.

	mu    sync.Mutex
	own   map[netip.Addr]bool // This machine's addresses.
	ownAt time.Time
}

// New returns a dialer that keeps to o.
func New(o Options) *Dialer {
	if o.AllowPorts == nil {
		o.AllowPorts = defaultPorts
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Exchangers == nil {
		o.Exchangers = net.DefaultResolver
	}
	defaultTo(&o.Timeouts.Resolve, 5*time.Second)
	defaultTo(&o.Timeouts.Connect, 10*time.Second)
	defaultTo(&o.Timeouts.Handshake, 10*time.Second)
	defaultTo(&o.Timeouts.Unresolved, time.Second)
	o.AllowNetworks, o.AllowPorts = slices.Clone(o.AllowNetworks), slices.Clone(o.AllowPorts)
	return &Dialer{opts: o, sessions: tls.NewLRUClientSessionCache(256)}
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// LoadRoots returns the system's roots and those of a PEM file. An empty file
// name gives the system's alone; a file without a certificate is an error.
func LoadRoots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's root certificates: %w", err)
	}
	if file == "" {
		return pool, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading root certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading root certificates: %s holds none in PEM form", file)
	}
	return pool, nil
}

// within returns a context that ends after d, or a little before the caller's
// own deadline, so that what comes back is this step's failure and not the
// caller's.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)*9/10)
	}
	return context.WithTimeout(ctx, d)
}

// refused is what a user is shown for every address that is not allowed, in the
// same words: which kind it is would reveal the inner network.
func refused(op string, cause error) *fault.Error {
	return &fault.Error{
		Code: fault.HostNotAllowed, Op: op, Part: fault.PartHost, Err: cause,
		Detail: words.Detail{words.Say("This server is not one that an account may name.")},
	}
}
