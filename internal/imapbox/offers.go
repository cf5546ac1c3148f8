package imapbox

import (
	"context"
	"maps"
	"slices"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Offers is what a server offers for deliveries.
type Offers struct {
	Capabilities []string // In upper case, sorted.
	Staging      bool     // Whether messages go through a staging folder.
}

// Look signs in to a user's mailbox, changes nothing there, and returns what the server offers.
func (s *Store) Look(ctx context.Context, o owner.Owner) (offers Offers, err error) {
	b := s.take(o)
	defer s.give(b)
	err = s.use(ctx, "signing in to the mailbox", o, b, func(c *conn) error {
		offers = Offers{slices.Sorted(maps.Keys(c.caps)), !s.isDirect(c)}
		return nil
	})
	return offers, err
}
