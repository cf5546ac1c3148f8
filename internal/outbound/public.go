package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// special lists what is not public inside IPv4 and 2000::/3, after the IANA
// special-purpose registries, and Azure's platform address 168.63.129.16, which
// answers from inside any virtual machine there. The helpers of net/netip miss
// most of these.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether an address belongs to the public internet, whatever
// its spelling: an IPv4 address inside IPv6 (mapped, NAT64) is judged as IPv4,
// other ways of wrapping one are refused.
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = inner(a)
	if a.Is6() && !global6.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// inner takes an IPv4 address out of IPv6.
func inner(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// allowed returns why an address may not be dialled, or nil. A network that
// the operator named is allowed whatever it is.
func (d *Dialer) allowed(a netip.Addr) error {
	if a.Zone() == "" && d.permitted(a) {
		return nil
	}
	if d.opts.OnlyNetworks {
		return fmt.Errorf("%s is in none of the networks that are allowed", a)
	}
	if !Public(a) {
		return fmt.Errorf("%s is not a public address", a)
	}
	own, err := d.ownAddresses()
	if err != nil {
		return err
	}
	if own[inner(a)] {
		return fmt.Errorf("%s is an address of this machine", a)
	}
	return nil
}

func (d *Dialer) permitted(a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(d.opts.AllowNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

const ownAddressesAge = 30 * time.Second

// ownAddresses returns this machine's addresses, public ones above all: what
// listens on them may be meant for the inside only.
func (d *Dialer) ownAddresses() (map[netip.Addr]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own != nil && time.Since(d.ownAt) < ownAddressesAge {
		return d.own, nil
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	own := make(map[netip.Addr]bool, len(list))
	for _, n := range list {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			own[p.Addr().Unmap().WithZone("")] = true
		}
	}
	if len(own) == 0 {
		return nil, errors.New("this machine names no address of its own")
	}
	d.own, d.ownAt = own, time.Now()
	return own, nil
}
