package store

import (
	"context"
	"slices"
	"strconv"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Sessions keeps which browsers are signed in, under hashes of the sessions'
// names. Links.Exchange begins one; it lives as long as its row.
type Sessions struct{ s *Store }

// Sessions returns the store of sessions.
func (s *Store) Sessions() Sessions { return Sessions{s} }

// Alive reports whether a session has not ended, in whichever process: one row
// is read by its primary key, each time.
func (r Sessions) Alive(ctx context.Context, name string) (bool, error) {
	found := 0
	err := r.s.on(r.s.r).each(ctx, scanInto(&found), "SELECT 1 FROM sessions WHERE hash = ? AND expires_ms > ?",
		nameHash(name), r.s.now().UnixMilli())
	return found > 0, r.s.wrap(ctx, "looking for a session", err)
}

// Ended returns which of these sessions have ended, with one query per thousand.
func (r Sessions) Ended(ctx context.Context, names []string) (ended []string, err error) {
	const op = "looking for sessions"
	now := r.s.now().UnixMilli()
	for chunk := range slices.Chunk(names, maxNames) {
		alive, args := map[string]bool{}, []any{}
		for _, name := range chunk {
			args = append(args, nameHash(name))
		}
		err := r.s.on(r.s.r).each(ctx, func(row rowScanner) error {
			var hash []byte
			err := row.Scan(&hash)
			alive[string(hash)] = true
			return err
		}, "SELECT hash FROM sessions WHERE hash IN "+marks(len(chunk))+" AND expires_ms > ?", append(args, now)...)
		if err != nil {
			return nil, r.s.wrap(ctx, op, err)
		}
		for i, name := range chunk {
			if !alive[string(args[i].([]byte))] {
				ended = append(ended, name)
			}
		}
	}
	return ended, nil
}

// End ends one session. One that is over already is no error.
func (r Sessions) End(ctx context.Context, name string) error {
	return r.s.write(ctx, "ending a session", func(tx *gorm.DB) error {
		c, whose := r.s.on(tx), ""
		if err := c.each(ctx, scanInto(&whose), "DELETE FROM sessions WHERE hash = ? RETURNING owner",
			nameHash(name)); err != nil || whose == "" {
			return err
		}
		o, err := owner.Stored(whose)
		if err != nil {
			return err
		}
		return r.s.record(ctx, c, audit.Entry{Action: audit.SessionEnded, User: o})
	})
}

// EndAll ends all sessions of a user, or with the zero Owner everybody's, and
// returns how many there were. Links that were not followed yet go too: each
// is a session of tomorrow; and no browser is known any more.
func (r Sessions) EndAll(ctx context.Context, o owner.Owner) (ended int64, err error) {
	err = r.s.write(ctx, "ending sessions", func(tx *gorm.DB) error {
		c, where, args := r.s.on(tx), "", []any{}
		if !o.IsZero() {
			where, args = " WHERE owner = ?", append(args, o.String())
		}
		// In this order: a link that is being followed has been exchanged when its
		// row is free, and the session is there to be found.
		if _, err := c.exec(ctx, "DELETE FROM links"+where, args...); err != nil {
			return err
		}
		if ended, err = c.exec(ctx, "DELETE FROM sessions"+where, args...); err != nil {
			return err
		}
		if _, err := c.exec(ctx, "DELETE FROM known_browsers"+where, args...); err != nil {
			return err
		}
		return r.s.record(ctx, c, audit.Entry{Action: audit.SessionsEnded, User: o, Details: map[string]string{
			"sessions": strconv.FormatInt(ended, 10),
		}})
	})
	return ended, err
}

// Prune forgets sessions and known browsers whose time is over: a chore.
func (r Sessions) Prune(ctx context.Context) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM sessions WHERE expires_ms <= ?", r.s.now().UnixMilli())
	if err == nil {
		_, err = r.s.on(r.s.w).exec(ctx, "DELETE FROM known_browsers WHERE expires_ms <= ?", r.s.now().UnixMilli())
	}
	return r.s.wrap(ctx, "pruning sessions", err)
}
