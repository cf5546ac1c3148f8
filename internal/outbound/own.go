package outbound

import (
	"context"
	"net/netip"
	"slices"

	"github.com/mailbrook/mailbrook/internal/hostname"
)

// OwnHost reports whether a host is one of OwnHosts, or has an address that one
// of them has. What cannot be looked up is not: a connection there fails anyway.
func (d *Dialer) OwnHost(ctx context.Context, host string) bool {
	if len(d.opts.OwnHosts) == 0 {
		return false
	}
	host, err := hostname.Checked(host)
	if err != nil {
		return false
	}
	if slices.Contains(d.opts.OwnHosts, host) {
		return true
	}
	step, cancel := within(ctx, d.opts.Timeouts.Resolve)
	defer cancel()
	theirs := d.addresses(step, host)
	return len(theirs) > 0 && slices.ContainsFunc(d.opts.OwnHosts, func(own string) bool {
		return slices.ContainsFunc(d.addresses(step, own), func(a netip.Addr) bool { return slices.Contains(theirs, a) })
	})
}

// addresses returns what a host's name or address stands for, allowed or not.
func (d *Dialer) addresses(ctx context.Context, host string) []netip.Addr {
	switch a, literal, err := hostname.Parse(host); {
	case err != nil:
		return nil
	case literal:
		return []netip.Addr{a.Unmap()}
	}
	found, err := d.opts.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found
}
