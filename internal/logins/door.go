package logins

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Door admits attempts of one client to sign in to the pages: here it is our
// users' passwords that are guessed, and by whom is known by the address alone. The
// limits are the same: 10 attempts may fail by a client for one user, 30 by one
// client, and 50 for one user. This last one binds everybody, since nobody is known
// yet, but for a browser in which that user has signed in before: it has 10 of its
// own, of 30 that all such browsers of the user have together, so that who guesses
// keeps no owner out.
type Door struct {
	limiter *Limiter
	client  string
	browser string
}

// Door returns the door for a client; browser names the one in which the user has
// signed in before, "" for any other.
func (l *Limiter) Door(client netip.Addr, browser string) Door {
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
	return Door{l, key("client", network.String()), browser}
}

// PagesName is by what attempts to sign in to the pages as a user are known.
func PagesName(o owner.Owner) string { return key("pages", o.String()) }

// KnownAtPages is as whose attempts those count that are made as a user in browsers in
// which it has signed in before.
func KnownAtPages(o owner.Owner) string { return Attempt{Client: key("known", o.String())}.By() }

// Admit is as of Limiter, for an account whose owner is the user that somebody
// wants to be.
func (d Door) Admit(ctx context.Context, m remote.Mailbox, _ []netip.Addr) (report func(remote.SignIn), err error) {
	user := PagesName(m.Secret.Owner)
	at := Attempt{Client: d.client, Names: []string{user}, Mailbox: user}
	if d.browser != "" {
		known := key("known", m.Secret.Owner.String()) // Nobody else's attempts are among these.
		at = Attempt{Client: known, Names: []string{key("browser", d.browser)}, Mailbox: known}
	}
	return d.limiter.admit(ctx, at, "", false)
}
