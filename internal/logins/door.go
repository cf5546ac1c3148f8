package logins

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/account"
)

// Door admits attempts of one client to sign in to the pages: here it is our
// users' passwords that are guessed, and by whom is known by the address alone. The
// limits are the same: 10 attempts may fail by a client for one user, 30 by one
// client, and 50 for one user; and this last one binds everybody, since nobody is
// known yet.
type Door struct {
	limiter *Limiter
	client  string
}

// Door returns the door for a client.
func (l *Limiter) Door(client netip.Addr) Door {
	bits := 128
	if client = client.Unmap().WithZone(""); client.Is6() {
		bits = 64 // Whoever has one address there has all of its network.
	} else if client.Is4() {
		bits = 32
	}
	network, err := client.Prefix(bits)
	if err != nil {
		network = netip.Prefix{} // Nobody's address: all of these are one.
	}
	return Door{l, key("client", network.String())}
}

// Admit is as of Limiter, for an account whose owner is the user that somebody
// wants to be.
func (d Door) Admit(ctx context.Context, a account.Account, _ []netip.Addr) (settle func(account.SignIn), err error) {
	user := a.Owner.String()
	return d.limiter.admit(ctx, Attempt{
		Client: d.client, Names: []string{key("pages", user)}, Mailbox: key("pages", user),
	}, "", false)
}
