package outbound

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

type exchangers func(ctx context.Context, domain string) ([]*net.MX, error)

func (f exchangers) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	return f(ctx, domain)
}

func TestMailExchangersComeInTheirOrder(t *testing.T) {
	asked := ""
	d := New(Options{Exchangers: exchangers(func(_ context.Context, domain string) ([]*net.MX, error) {
		asked = domain
		return []*net.MX{
			{Host: "Alt1.ASPMX.l.google.com.", Pref: 20},
			{Host: "aspmx.l.google.com.", Pref: 1},
			{Host: ".", Pref: 0},
		}, nil
	})})
	got, err := d.MX(t.Context(), "firma.example")
	if want := []string{"aspmx.l.google.com", "alt1.aspmx.l.google.com"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if asked != "firma.example." && asked != "firma.example" {
		t.Errorf("asked for %q", asked)
	}
}

// A name server that says nothing costs no more than resolving a name may, and
// what is no domain is not asked for at all.
func TestLookingForMailExchangersEnds(t *testing.T) {
	calls := 0
	d := New(Options{Timeouts: Timeouts{Resolve: 10 * time.Millisecond}, Exchangers: exchangers(
		func(ctx context.Context, _ string) ([]*net.MX, error) {
			calls++
			<-ctx.Done()
			return nil, ctx.Err()
		})})
	if _, err := d.MX(t.Context(), "silent.example"); !errors.Is(err, context.DeadlineExceeded) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	for _, domain := range []string{"", "127.0.0.1", "[::1]", "a b", "a\nb.example"} {
		if got, _ := d.MX(t.Context(), domain); len(got) > 0 || calls != 1 {
			t.Errorf("%q was asked for: %v", domain, got)
		}
	}
}
