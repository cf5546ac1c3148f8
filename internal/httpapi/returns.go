package httpapi

import (
	"context"
	"net/netip"
	"time"
)

const (
	// returnsAtOnce bounds the returns from the identity provider that ask it at a time:
	// in all, and of one client and its network, so that none keeps all others waiting.
	returnsAtOnce    = 16
	returnsOfClient  = 4
	returnsOfNetwork = 8
	// returnTurn is how long one waits until it is its turn, and returnAgain after how
	// long to try again.
	returnTurn  = 5 * time.Second
	returnAgain = 10 * time.Second
)

// returnTurns has whoever comes back from the identity provider wait until it is asked.
type returnTurns struct{ clients, networks, all *slots }

func newReturnTurns() returnTurns {
	return returnTurns{newSlots(returnsOfClient), newSlots(returnsOfNetwork), newSlots(returnsAtOnce)}
}

// take waits for a place, or fails with errNoPlace. The caller must call done.
func (t returnTurns) take(ctx context.Context, client netip.Addr) (done func(), err error) {
	return inTurn(ctx, returnTurn, []queue{
		{t.clients, network(client, 32, 64)}, {t.networks, network(client, 24, 48)}, {t.all, ""},
	})
}
