package imapbox

import (
	"context"
	"maps"
	"slices"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Look signs in to a user's mailbox, changes nothing there, and returns what the server
// offers: its capabilities, in upper case and sorted.
func (s *Store) Look(ctx context.Context, o owner.Owner) (offers []string, err error) {
	b := s.take(o)
	defer s.give(b)
	err = s.use(ctx, "signing in to the mailbox", o, b, func(c *conn) error {
		offers = slices.Sorted(maps.Keys(c.caps))
		return nil
	})
	return offers, err
}
