package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Browsers keeps in which browsers users have signed in by a password, under hashes
// of the browsers' names. They end with all sessions of the user, and with the user.
type Browsers struct{ s *Store }

// Browsers returns the store of known browsers.
func (s *Store) Browsers() Browsers { return Browsers{s} }

// browsersKnown is how many browsers of one user are known at a time: one that signs in
// takes the place of the one that did not for the longest time. Who collects them
// while the password is known to them has no more guesses afterwards.
const browsersKnown = 5

// knownOnes are a user's browsers that count, whichever transactions wrote them at the
// same time.
const knownOnes = `(SELECT hash FROM known_browsers WHERE owner = ? AND expires_ms > ?
	ORDER BY expires_ms DESC, hash LIMIT ?)`

// Knows reports whether the user has signed in lately in the browser with that name.
func (r Browsers) Knows(ctx context.Context, name string, o owner.Owner) (bool, error) {
	found := 0
	err := r.s.on(r.s.r).each(ctx, scanInto(&found), "SELECT 1 FROM known_browsers WHERE hash = ? AND hash IN "+knownOnes,
		nameHash(name), o.String(), r.s.now().UnixMilli(), browsersKnown)
	return found > 0, r.s.wrap(ctx, "looking for a browser", err)
}

// Remember has the user's browser with that name known until then, and the user's
// least recent one forgotten where there are too many. The name must be one that
// nobody can guess, and no other user's.
func (r Browsers) Remember(ctx context.Context, name string, o owner.Owner, until time.Time) error {
	return r.s.write(ctx, "remembering a browser", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := c.exec(ctx, "INSERT INTO known_browsers (hash, owner, expires_ms) VALUES (?, ?, ?) "+
			"ON CONFLICT (hash) DO UPDATE SET expires_ms = excluded.expires_ms WHERE known_browsers.owner = excluded.owner",
			nameHash(name), o.String(), toMillis(until)); err != nil {
			return err
		}
		_, err := c.exec(ctx, "DELETE FROM known_browsers WHERE owner = ? AND hash NOT IN "+knownOnes, o.String(), o.String(),
			r.s.now().UnixMilli(), browsersKnown)
		return err
	})
}
