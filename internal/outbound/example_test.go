package outbound_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/outbound"
)

// names is a resolver that knows a few names.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) (addrs []netip.Addr, err error) {
	for _, a := range n[host] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

// A name leads to public addresses or nowhere: one address inside spoils the whole answer,
// unless the operator allowed its network. Which names there are inside is shown to nobody:
// they are answered as names that do not exist.
func ExampleDialer_Resolve() {
	dns := names{
		"imap.firma.test":  {"203.0.114.7"},
		"inner.firma.test": {"10.20.0.5"},
		"mixed.firma.test": {"203.0.114.7", "127.0.0.1"},
	}
	soon := outbound.Timeouts{Unresolved: time.Nanosecond} // For an example. Else a second, whatever the reason.
	strict := outbound.New(outbound.Options{Resolver: dns, Timeouts: soon})
	inner := []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}
	open := outbound.New(outbound.Options{Resolver: dns, AllowNetworks: inner})
	for _, host := range []string{"imap.firma.test", "inner.firma.test", "mixed.firma.test", "127.0.0.1", "0x7f.1"} {
		addrs, err := strict.Resolve(context.Background(), host)
		fmt.Printf("%s %v %q\n", host, addrs, fault.CodeOf(err))
	}
	addrs, err := open.Resolve(context.Background(), "inner.firma.test")
	fmt.Println(addrs, err)
	// Output:
	// imap.firma.test [203.0.114.7] ""
	// inner.firma.test [] "dns_failure"
	// mixed.firma.test [] "dns_failure"
	// 127.0.0.1 [] "host_not_allowed"
	// 0x7f.1 [] "host_not_allowed"
	// [10.20.0.5] <nil>
}
