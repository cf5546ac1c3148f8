package wire

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// places is a gate with one place after another, until it closes.
type places struct {
	closed error
	ends   []account.SignIn
}

func (p *places) Admit(context.Context, account.Account, []netip.Addr) (func(account.SignIn), error) {
	return func(how account.SignIn) { p.ends = append(p.ends, how) }, p.closed
}

// TestACredentialPresentedTwiceTakesTwoPlaces: each is a login that fails at the
// server. Accepted in the second form, it was right, and costs nothing.
func TestACredentialPresentedTwiceTakesTwoPlaces(t *testing.T) {
	refused := fault.New(fault.AuthFailed, "signing in", "")
	for _, tc := range []struct {
		name string
		full bool // There is no second place.
		end  func(*attempt)
		want []account.SignIn
	}{
		{"accepted", false, (*attempt).accepted, []account.SignIn{account.SignInUntried, account.SignInAccepted}},
		{"refused", false, func(a *attempt) {
			a.failed(refused)
		}, []account.SignIn{account.SignInRefused, account.SignInRefused}},
		{"no place", true, func(a *attempt) { a.failed(refused) }, []account.SignIn{account.SignInRefused}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &places{}
			a, err := (&Signer{gate: g}).admit(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			a.presents()
			if tc.full {
				g.closed = fault.New(fault.RateLimited, "signing in", fault.HeldBack)
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
