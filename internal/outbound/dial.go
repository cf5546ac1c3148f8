package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxAddresses of one name are tried.
	maxAddresses = 16
	// headStart is what an address gets before the next one is tried beside it
	// (RFC 8305 section 5 recommends 250 ms).
	headStart = 250 * time.Millisecond
)

// Resolve looks a host up once and returns at most 16 addresses, IPv6 and IPv4
// by turns. One address that is not allowed refuses them all: a name with an
// inner and a public address is either a mistake or a trick. A name that is
// refused is reported as one that does not exist, in the same words and after the
// same time: else users could find out which names there are inside.
func (d *Dialer) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	const op = "resolving the server's name"
	began := time.Now()
	if d.opts.Socket != "" {
		return []netip.Addr{netip.IPv6Loopback()}, nil
	}
	if err := d.checkHost(host); err != nil {
		return nil, err
	}
	if a, literal, _ := hostname.Parse(host); literal {
		return []netip.Addr{a.Unmap()}, nil
	}
	step, cancel := within(ctx, d.opts.Timeouts.Resolve)
	defer cancel()
	found, err := d.opts.Resolver.LookupNetIP(step, "ip", hostname.Lower(host))
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", op, ctx.Err())
	}
	if err != nil {
		return nil, d.unresolved(ctx, op, host, began, err)
	}
	seen := map[netip.Addr]bool{}
	var addrs []netip.Addr
	for _, a := range found {
		a = a.Unmap()
		if err := d.allowed(a); err != nil {
			return nil, d.unresolved(ctx, op, host, began, &net.DNSError{Err: err.Error(), Name: host, IsNotFound: true})
		}
		if !seen[a] {
			seen[a] = true
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, d.unresolved(ctx, op, host, began, &net.DNSError{Err: "no address", Name: host, IsNotFound: true})
	}
	addrs = interleave(addrs)
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// unresolved says why a name has no address that may be dialled, and takes as
// long for a name that does not exist as for one that may not be named.
func (d *Dialer) unresolved(ctx context.Context, op, host string, began time.Time, err error) error {
	var e *net.DNSError
	if errors.As(err, &e) && e.IsNotFound {
		t := time.NewTimer(d.opts.Timeouts.Unresolved - time.Since(began))
		defer t.Stop()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", op, ctx.Err())
		case <-t.C:
		}
	}
	if exhausted(err) {
		return &fault.Error{Code: fault.Internal, Op: op, Err: errors.Join(syscall.EMFILE, err)}
	}
	return &fault.Error{Code: fault.DNSFailure, Op: op, Detail: words.Detail{lookupFailed(host, err)}, Err: err}
}

// exhausted reports whether a lookup failed for want of descriptors: the
// resolver keeps the words of the error, not the error.
func exhausted(err error) bool {
	return fault.Exhausted(err) || strings.Contains(err.Error(), syscall.EMFILE.Error()) ||
		strings.Contains(err.Error(), syscall.ENFILE.Error())
}

func lookupFailed(name string, err error) words.Sentence {
	host := words.Host(words.Clean(name, hostname.Most))
	var e *net.DNSError
	switch {
	case errors.As(err, &e) && e.IsNotFound:
		return words.Say("There is no public server named %s.", host)
	case errors.As(err, &e) && e.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return words.Say("Looking up %s took too long.", host)
	}
	return words.Say("The name %s could not be looked up.", host)
}

// interleave alternates between the families, beginning with the first
// address's (RFC 8305 section 4), and otherwise keeps the order.
func interleave(addrs []netip.Addr) []netip.Addr {
	var first, other []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for len(first) > 0 || len(other) > 0 {
		if len(first) > 0 {
			out, first = append(out, first[0]), first[1:]
		}
		if len(other) > 0 {
			out, other = append(out, other[0]), other[1:]
		}
	}
	return out
}

// Connect connects to the first of the addresses that answers. The next one is
// tried when one fails, or beside it when it is slow. Addresses and port are
// checked again, the socket's own address last of all.
func (d *Dialer) Connect(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error) {
	if d.opts.Socket != "" {
		return d.connectSocket(ctx)
	}
	if !d.portAllowed(port) {
		return nil, refusedPort("connecting", port)
	}
	return d.connect(ctx, addrs, port)
}

// connectSocket connects to the operator's own server on a socket of this machine.
func (d *Dialer) connectSocket(ctx context.Context) (net.Conn, error) {
	step, cancel := within(ctx, d.opts.Timeouts.Connect)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(step, "unix", d.opts.Socket)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("connecting: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), fault.Exhausted(err):
		return nil, connectFault([]error{err})
	}
	return nil, &fault.Error{
		Code: fault.ConnectRefused, Op: "connecting", Err: err,
		Detail: words.Detail{words.Say("Nobody answers on the socket of the server.")},
	}
}

type attempt struct {
	conn net.Conn
	err  error
}

// connect waits for every attempt that it started before it returns.
func (d *Dialer) connect(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error) {
	step, cancel := within(ctx, d.opts.Timeouts.Connect)
	defer cancel()
	results := make(chan attempt)
	next, running := 0, 0
	start := func() {
		addr := netip.AddrPortFrom(addrs[next], uint16(port))
		next++
		running++
		go func() {
			c, err := d.dialer().DialContext(step, "tcp", addr.String())
			results <- attempt{c, err}
		}()
	}
	slow := time.NewTimer(headStart)
	defer slow.Stop()
	var won net.Conn
	var failures []error
	for more := true; won == nil; {
		if more && next < len(addrs) && step.Err() == nil {
			start()
			slow.Reset(headStart)
			more = false
			continue
		}
		if running == 0 {
			break
		}
		select {
		case r := <-results:
			running--
			won = r.conn
			if r.err != nil {
				failures = append(failures, r.err)
				more = true
			}
		case <-slow.C:
			more = true
		}
	}
	cancel()
	for ; running > 0; running-- {
		if r := <-results; r.conn != nil {
			r.conn.Close()
		}
	}
	if won != nil {
		return won, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting: %w", ctx.Err())
	}
	return nil, connectFault(failures)
}

// dialer makes sockets that check where they are about to connect, whatever
// the code above thinks it dials.
func (d *Dialer) dialer() *net.Dialer {
	return &net.Dialer{
		KeepAlive:     30 * time.Second,
		FallbackDelay: -1, // We do this ourselves, with checked addresses.
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return refused("connecting", fmt.Errorf("unexpected socket address %q: %w", address, err))
			}
			if err := d.allowed(ap.Addr()); err != nil {
				return refused("connecting", err)
			}
			return nil
		},
	}
}

// connectFault makes one failure of several: a refused address counts most,
// then a timeout, since it may have an answer later.
func connectFault(failures []error) error {
	err := errors.Join(failures...)
	var f *fault.Error
	var n net.Error
	switch {
	case errors.As(err, &f):
		return f
	case len(failures) == 0:
		return fault.New(fault.DNSFailure, "connecting", words.Say("The server has no address."))
	case fault.Exhausted(err), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return &fault.Error{Code: fault.Internal, Op: "connecting", Err: err}
	}
	for _, e := range failures {
		if errors.Is(e, context.DeadlineExceeded) || errors.As(e, &n) && n.Timeout() {
			return &fault.Error{
				Code: fault.ConnectTimeout, Op: "connecting", Err: err,
				Detail: words.Detail{words.Say("The server did not answer.")},
			}
		}
	}
	return &fault.Error{
		Code: fault.ConnectRefused, Op: "connecting", Err: err,
		Detail: words.Detail{words.Say("The server takes no connections on this port.")},
	}
}
