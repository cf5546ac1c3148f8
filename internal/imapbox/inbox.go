package imapbox

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// InboxValidity returns the UIDVALIDITY under which the server shows a user's inbox; 0 where it
// does not know the user. It may be a minute old.
func (s *Store) InboxValidity(ctx context.Context, o owner.Owner) (validity uint32, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b := s.take(o)
	defer s.give(b)
	b.mu.Lock()
	validity, at := b.inbox, b.inboxAt
	b.mu.Unlock()
	if validity != 0 && s.o.Now().Sub(at) < fresh {
		return validity, nil
	}
	err = s.use(ctx, "reading the inbox", o, b, func(c *conn) error {
		tag, err := c.Send(askInbox)
		if err == nil {
			validity, err = s.awaitInbox(c, b, tag)
		}
		return err
	})
	if errors.Is(err, owner.ErrNoMailbox) {
		return 0, nil
	}
	return validity, err
}

const askInbox = `STATUS "INBOX" (UIDVALIDITY)`

func (s *Store) awaitInbox(c *conn, b *box, tag string) (validity uint32, err error) {
	_, err = c.Await(tag, func(a wire.Answer) error {
		if a.Kind == "STATUS" && len(a.Values) == 2 {
			validity = uint32(a.Values[1].Pairs()["UIDVALIDITY"].Number())
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inbox, b.inboxAt = validity, s.o.Now()
	return validity, nil
}

// InboxMessage reads the message that has this UID in the user's inbox under
// this UIDVALIDITY; false where there is none.
func (s *Store) InboxMessage(ctx context.Context, o owner.Owner, validity, uid uint32) (
	f mail.Fingerprint, there bool, err error,
) {
	if validity == 0 || uid == 0 {
		return f, false, nil
	}
	if err := ctx.Err(); err != nil {
		return f, false, err
	}
	b := s.take(o)
	defer s.give(b)
	err = s.use(ctx, "reading the inbox", o, b, func(c *conn) error {
		at, err := c.examines("INBOX")
		if err == nil && at.validity == validity {
			f, there, err = c.fingerprint(uid)
		}
		return err
	})
	if errors.Is(err, owner.ErrNoMailbox) {
		return f, false, nil
	}
	return f, there, err
}
