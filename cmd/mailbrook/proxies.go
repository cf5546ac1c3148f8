package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// insideNetworks are those from which nobody comes who is not the operator's or on its
// way through the operator's networks: any part of them may be trusted.
var insideNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::1/128"),
}

// How many addresses proxies may have outside of these, all ranges together: as many as
// a network of so many bits. The largest services that pass requests on have less.
const (
	proxiesIPv4 = 8
	proxiesIPv6 = 20
)

// parseProxies reads addresses and networks of proxies. Ranges that together are a
// large part of the internet are refused: whoever is there would say who it is.
func parseProxies(v string) ([]netip.Prefix, error) {
	networks, err := parseNetworks(v)
	if err != nil {
		return nil, err
	}
	for _, p := range networks {
		if p.IsSingleIP() && p.Addr().IsUnspecified() {
			return nil, fmt.Errorf("must be the proxies' own addresses: nobody connects from %s", p.Addr())
		}
	}
	var ipv4, ipv6 float64 // Addresses outside.
	for _, p := range merged(networks) {
		switch within := func(n netip.Prefix) bool { return n.Bits() <= p.Bits() && n.Contains(p.Addr()) }; {
		case slices.ContainsFunc(insideNetworks, within):
		case p.Addr().Is4():
			ipv4 += math.Exp2(float64(32 - p.Bits()))
		default:
			ipv6 += math.Exp2(float64(128 - p.Bits()))
		}
	}
	if ipv4 > math.Exp2(32-proxiesIPv4) || ipv6 > math.Exp2(128-proxiesIPv6) {
		return nil, errors.New("is the whole internet, or a large part of it: name the proxy's own addresses, or anybody " +
			"could send the headers that only the proxy may")
	}
	return networks, nil
}

// merged returns as few networks as there need be for the same addresses, in their
// order.
func merged(networks []netip.Prefix) []netip.Prefix {
	networks = slices.Clone(networks)
	slices.SortFunc(networks, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all []netip.Prefix
	for _, p := range networks {
		if n := len(all); n > 0 && all[n-1].Overlaps(p) {
			continue // The one before begins no later, and is wider.
		}
		all = append(all, p)
		for n := len(all); n > 1; n = len(all) { // Two halves are one.
			a, b := all[n-2], all[n-1]
			whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if a.Bits() != b.Bits() || a.Bits() == 0 || whole.Addr() != a.Addr() || !whole.Contains(b.Addr()) {
				break
			}
			all = append(all[:n-2], whole)
		}
	}
	return all
}

// Headers that browsers, other clients, and proxies that sign nobody in send by
// themselves, and those that begin like that.
var (
	othersHeaders = []string{
		"Alt-Used", "Authorization", "Baggage", "Cache-Control", "Cdn-Loop", "Client-Ip", "Connection", "Cookie", "Cookie2",
		"Date", "Device-Memory", "Dnt", "Downlink", "Dpr", "Early-Data", "Expect", "Forwarded", "From", "Host",
		"Http2-Settings", "Idempotency-Key", "Keep-Alive", "Last-Event-Id", "Link", "Max-Forwards", "Origin", "Ping-From",
		"Ping-To", "Pragma", "Priority", "Purpose", "Range", "Referer", "Rtt", "Save-Data", "Server", "Service-Worker",
		"Set-Cookie", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "True-Client-Ip", "Upgrade",
		"Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via", "Viewport-Width", "Warning", "Width", "X-Client-Ip",
		"X-Cluster-Client-Ip", "X-Correlation-Id", "X-Csrf-Token", "X-Http-Method-Override", "X-Mailbrook", "X-Moz",
		"X-Purpose", "X-Real-Ip", "X-Request-Id", "X-Requested-With", "X-Wap-Profile", "X-Xsrf-Token",
	}
	othersPrefixes = []string{
		"Accept", "Access-Control-", "Content-", "If-", "Proxy-", "Sec-", "X-Forwarded-", "X-Mailbrook-", "X-Original-",
	}
	// proxysHeaders begin like that, and say who it is: oauth2-proxy's.
	proxysHeaders = []string{"X-Forwarded-Email", "X-Forwarded-User", "X-Forwarded-Preferred-Username"}
)

// parseHeader wants a header that nothing but a proxy that signs people in sends.
func parseHeader(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	if strings.Trim(strings.ToLower(v), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", errors.New("must be the name of a header, such as Remote-Email: letters, digits and hyphens")
	}
	name := textproto.CanonicalMIMEHeaderKey(v)
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	if slices.Contains(othersHeaders, name) || slices.ContainsFunc(othersPrefixes, begins) &&
		!slices.Contains(proxysHeaders, name) {
		return "", errors.New("is sent by browsers and other clients themselves, and could be anybody's word: have the " +
			"proxy say who it is in a header of its own, such as Remote-Email, and take that away from what clients send")
	}
	return name, nil
}
