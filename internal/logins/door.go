package logins

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/account"
)

// Door admits attempts of one client to sign in to the pages: here it is our
// users' passwords that are guessed, and by whom is known by the address alone. The
// limits are the same: 10 attempts may fail by a client for one user, 30 by one
// client, and 50 for one user. This last one binds everybody, since nobody is known
// yet, but for a browser in which that user has signed in before: it has 10 of its
// own, so that who guesses keeps no owner out.
type Door struct {
	limiter *Limiter
	client  string
	known   bool
}

// Door returns the door for a client; browser names the one in which the user has
// signed in before, "" for any other.
func (l *Limiter) Door(client netip.Addr, browser string) Door {
	if browser != "" {
		return Door{l, key("browser", browser), true}
	}
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
	return Door{l, key("client", network.String()), false}
}

// PagesName is by what attempts to sign in to the pages as a user are known.
func PagesName(o account.Owner) string { return key("pages", o.String()) }

// Admit is as of Limiter, for an account whose owner is the user that somebody
// wants to be.
func (d Door) Admit(ctx context.Context, a account.Account, _ []netip.Addr) (settle func(account.SignIn), err error) {
	user := PagesName(a.Owner)
	at := Attempt{Client: d.client, Names: []string{user}, Mailbox: user}
	if d.known {
		at.Mailbox = key("pages", a.Owner.String(), d.client) // Nobody else's attempts are among these.
	}
	return d.limiter.admit(ctx, at, "", false)
}
