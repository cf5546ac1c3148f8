package wire

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// places is a gate with one place after another, until it closes.
type places struct {
	closed error
	ends   []remote.SignIn
}

func (p *places) Admit(context.Context, remote.Mailbox, []netip.Addr) (func(remote.SignIn), error) {
	return func(how remote.SignIn) { p.ends = append(p.ends, how) }, p.closed
}

// TestACredentialPresentedTwiceTakesTwoPlaces: each is a login that fails at the
// server. Accepted in the second form, it was right, and costs nothing.
func TestACredentialPresentedTwiceTakesTwoPlaces(t *testing.T) {
	refused := fault.New(fault.AuthFailed, "signing in")
	for _, tc := range []struct {
		name string
		full bool // There is no second place.
		end  func(*attempt)
		want []remote.SignIn
	}{
		{"accepted", false, (*attempt).accepted, []remote.SignIn{remote.SignInUntried, remote.SignInAccepted}},
		{"refused", false, func(a *attempt) {
			a.failed(refused)
		}, []remote.SignIn{remote.SignInRefused, remote.SignInRefused}},
		{"no place", true, func(a *attempt) { a.failed(refused) }, []remote.SignIn{remote.SignInRefused}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &places{}
			a, err := (&Signer{gate: g}).admit(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			a.presents()
			if tc.full {
				g.closed = fault.New(fault.RateLimited, "signing in", words.Say(fault.HeldBack))
			}
			if a.again() == tc.full {
				t.Errorf("presented again: %v", !tc.full)
			}
			if tc.end(a); !slices.Equal(g.ends, tc.want) {
				t.Errorf("ended %v, want %v", g.ends, tc.want)
			}
		})
	}
}
