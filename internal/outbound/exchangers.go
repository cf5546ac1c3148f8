package outbound

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/hostname"
)

// maxExchangers of one domain are looked at.
const maxExchangers = 16

// MX returns the names of a domain's mail exchangers, in lower case, the most
// preferred first (RFC 5321 section 5.1), at most 16. It takes no longer than
// resolving a name may. Nothing is dialled, and no address is looked up.
func (d *Dialer) MX(ctx context.Context, domain string) ([]string, error) {
	const op = "looking up a domain's mail exchangers"
	if err := d.checkHost(domain); err != nil {
		return nil, err
	}
	if _, literal, _ := hostname.Parse(domain); literal {
		return nil, nil
	}
	step, cancel := within(ctx, d.opts.Timeouts.Resolve)
	defer cancel()
	found, err := d.opts.Exchangers.LookupMX(step, hostname.Lower(domain))
	// With an error may come those of the answer that are well-formed.
	if err != nil && len(found) == 0 {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	slices.SortStableFunc(found, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	var names []string
	for _, mx := range found[:min(len(found), maxExchangers)] {
		if name := strings.ToLower(strings.TrimSuffix(mx.Host, ".")); name != "" { // "." takes no mail (RFC 7505).
			names = append(names, name)
		}
	}
	return names, nil
}
