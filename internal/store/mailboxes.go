package store

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// MailboxSeen reports whether a delivery has ever found, or made, the user's
// mailbox: one that is missing then was there and is gone.
func (s *Store) MailboxSeen(ctx context.Context, o owner.Owner) (bool, error) {
	since := int64(0)
	err := s.on(s.r).each(ctx, scanInto(&since), "SELECT mailbox_ms FROM owners WHERE owner = ?", o.String())
	return since > 0, s.wrap(ctx, "looking whether a mailbox was there", err)
}

// NoteMailbox notes that the user's mailbox is there. A user who has no account,
// any more, is not noted.
func (s *Store) NoteMailbox(ctx context.Context, o owner.Owner) error {
	_, err := s.on(s.w).exec(ctx, "UPDATE owners SET mailbox_ms = ? WHERE owner = ? AND mailbox_ms = 0 AND EXISTS "+
		"(SELECT 1 FROM accounts a WHERE a.owner = owners.owner)", max(1, s.now().UnixMilli()), o.String())
	return s.wrap(ctx, "noting that a mailbox is there", err)
}
