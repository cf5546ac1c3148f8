package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// ErrFormerUser says that an address is somebody else's by now than the user with
// this id.
var ErrFormerUser = errors.New("the address is another user's by now")

// formerKept is how long a former user's id is remembered: longer than any token
// with it is good.
const formerKept = 32 * 24 * time.Hour

// userIDs returns the id of the user whose an address is, "" where none was given,
// and whether id was a former one's.
func (s *Store) userIDs(ctx context.Context, c sqlConn, o owner.Owner, id owner.UserID) (present string,
	former bool, err error,
) {
	err = c.each(ctx, func(row rowScanner) error {
		var one string
		var left int64
		err := row.Scan(&one, &left)
		if left == 0 {
			present = one
		} else if id.Is(one) {
			former = true
		}
		return err
	}, "SELECT user_id, left_ms FROM user_ids WHERE owner = ?", o.String())
	return present, former, err
}

// Recognise compares the id that a token gives the user of an address with the one
// that came before. The first is remembered. With another id the address is
// somebody else's: what the former user had is removed, as by BeginRemoval with
// its mail kept, in the same transaction; then removed is not nil. The former user
// is ErrFormerUser from then on, as is one who was removed once somebody else came.
func (s *Store) Recognise(ctx context.Context, o owner.Owner, id owner.UserID) (removed *Removal, err error) {
	const op = "recognising a user"
	present, former, err := s.userIDs(ctx, s.on(s.r), o, id)
	switch {
	case err != nil:
		return nil, s.wrap(ctx, op, err)
	case id.Is(present):
		return nil, nil
	case former && present != "":
		return nil, ErrFormerUser
	}
	err = s.write(ctx, op, func(tx *gorm.DB) error {
		if err := s.lockOwner(tx, o); err != nil {
			return err
		}
		c := s.on(tx)
		present, former, err := s.userIDs(ctx, c, o, id)
		switch {
		case err != nil:
			return err
		case id.Is(present):
			return nil // Another request was faster.
		case former && present != "":
			return ErrFormerUser
		case present != "":
			r, err := s.remove(ctx, tx, o, false)
			if err != nil {
				return err
			}
			removed = &r
		}
		if _, err := c.exec(ctx, "INSERT INTO user_ids (owner, user_id, left_ms) VALUES (?, ?, 0) "+
			"ON CONFLICT (owner, user_id) DO UPDATE SET left_ms = 0", o.String(), id.String()); err != nil {
			return err
		}
		return s.forgetOwner(tx, o)
	})
	return removed, err
}
