package outbound

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
)

// elsewhere replaces the DNS, and of the ports of its hosts. mailtest.Elsewhere
// explains the table, which is read again each time.
type elsewhere struct {
	Hosts      map[string]netip.Addr
	Ports      map[string]string
	Exchangers map[string]string
}

func (elsewhere) now() (e elsewhere, err error) {
	text, err := os.ReadFile(os.Getenv("ELSEWHERE"))
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(text, &e)
}

// LookupNetIP implements Resolver.
func (e elsewhere) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	e, err := e.now()
	if err != nil {
		return nil, err
	}
	if a, ok := e.Hosts[host]; ok {
		return []netip.Addr{a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// LookupMX implements Exchangers.
func (e elsewhere) LookupMX(_ context.Context, domain string) ([]*net.MX, error) {
	e, err := e.now()
	if err != nil {
		return nil, err
	}
	if host, ok := e.Exchangers[domain]; ok {
		return []*net.MX{{Host: host, Pref: 10}}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
}

// at is where a port of a host really is. Of those hosts no other port is open.
func (e elsewhere) at(addr netip.AddrPort) string {
	e, err := e.now()
	if err != nil {
		return err.Error()
	}
	for _, a := range e.Hosts {
		if a == addr.Addr() {
			return e.Ports[addr.String()]
		}
	}
	return addr.String()
}
