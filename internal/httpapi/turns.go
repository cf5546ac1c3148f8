package httpapi

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// How many passwords a process has checked at a time, and by whom. A mail server may
// take seconds to say no, so that a few who guess hold many places.
const (
	clientAtOnce    = 4  // By one address, of IPv6 by a /64.
	networkAtOnce   = 8  // By a /24, of IPv6 by a /48: the most that one customer has.
	strangersAtOnce = 24 // By all in browsers that are not known.
	// ownerAtOnce and ownersAtOnce are kept for browsers in which the user has signed in
	// before, by one user and by all.
	ownerAtOnce  = 2
	ownersAtOnce = 8
	// checkTurn is how long one waits until it is its turn.
	checkTurn = 5 * time.Second
)

// turns has people wait until their password can be checked.
type turns struct{ clients, networks, strangers, owner, owners *slots }

func newTurns() turns {
	return turns{
		newSlots(clientAtOnce), newSlots(networkAtOnce), newSlots(strangersAtOnce), newSlots(ownerAtOnce),
		newSlots(ownersAtOnce),
	}
}

// take waits for a place, or fails with errNoPlace. The caller must call done.
// Who has many waits for its own places first, so that the others wait with a few of
// it and not with all.
func (t turns) take(ctx context.Context, c Client, user owner.Owner) (done func(), err error) {
	queues := []queue{
		{t.clients, network(c.Addr, 32, 64)}, {t.networks, network(c.Addr, 24, 48)}, {t.strangers, ""},
	}
	if c.Browser != "" {
		queues = []queue{{t.owner, user.String()}, {t.owners, ""}}
	}
	return inTurn(ctx, checkTurn, queues)
}

// queue is where one waits for a place of those of a key.
type queue struct {
	places *slots
	key    string
}

// inTurn waits for a place in each queue, one after the other, for so long in all; then
// it fails with errNoPlace. The caller must call done.
func inTurn(ctx context.Context, patience time.Duration, queues []queue) (done func(), err error) {
	turn := time.NewTimer(patience)
	defer turn.Stop()
	var held []func()
	done = func() {
		for _, release := range slices.Backward(held) {
			release()
		}
	}
	for _, q := range queues {
		release, err := q.places.wait(ctx, q.key, turn.C)
		if err != nil {
			done()
			return nil, err
		}
		held = append(held, release)
	}
	return done, nil
}

// network names the network of an address, of so many bits by its kind. What is no
// address is all one.
func network(a netip.Addr, ipv4, ipv6 int) string {
	bits := ipv6
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = ipv4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
