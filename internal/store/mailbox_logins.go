package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// mailboxSubject is what a secret is of that opens a user's own mailbox.
const mailboxSubject = "mailbox"

// MailboxSecret names the secret that opens a user's own mailbox.
func MailboxSecret(o owner.Owner) remote.SecretRef {
	return remote.SecretRef{Owner: o, Subject: mailboxSubject, Field: remote.SignsIn}
}

// MailboxLogin returns how a user's own mailbox is signed in to; account.ErrNotFound where that is not saved.
func (s *Store) MailboxLogin(ctx context.Context, o owner.Owner) (username string, sealed []byte, err error) {
	found := false
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		found = true
		return r.Scan(&username, &sealed)
	}, "SELECT username, sealed FROM mailbox_logins WHERE owner = ?", o.String())
	if err == nil && !found {
		err = account.ErrNotFound
	}
	return username, sealed, s.wrap(ctx, "loading a user's own login", err)
}

// SetMailboxLogin saves how a user's own mailbox is signed in to, in place of what was saved. Accounts that rest as it
// could not be opened are due at once.
func (s *Store) SetMailboxLogin(ctx context.Context, o owner.Owner, username string, sealed []byte) error {
	return s.write(ctx, "saving a user's own login", func(tx *gorm.DB) error {
		c := s.on(tx)
		_, err := c.exec(ctx, `INSERT INTO mailbox_logins (owner, username, sealed) VALUES (?, ?, ?)
			ON CONFLICT (owner) DO UPDATE SET username = excluded.username, sealed = excluded.sealed`, o.String(), username,
			sealed)
		if err == nil {
			_, err = s.hasten(ctx, c, fault.LocalMailboxUnavailable, s.now(), 0, 0, "owner = ?", o.String())
		}
		if err != nil {
			return err
		}
		return s.record(ctx, c, audit.Entry{
			Action: audit.MailboxLoginSet, User: o, Details: map[string]string{"username": username},
		})
	})
}

// ForgetMailboxLogin removes it. It may be repeated.
func (s *Store) ForgetMailboxLogin(ctx context.Context, o owner.Owner) error {
	return s.write(ctx, "forgetting a user's own login", func(tx *gorm.DB) error {
		c := s.on(tx)
		n, err := c.exec(ctx, "DELETE FROM mailbox_logins WHERE owner = ?", o.String())
		if err != nil || n == 0 {
			return err
		}
		return s.record(ctx, c, audit.Entry{Action: audit.MailboxLoginRemoved, User: o})
	})
}

// mailboxSecrets adds up to limit secrets of users' own mailboxes, by owner, that follow after.
func (x Secrets) mailboxSecrets(ctx context.Context, out []vault.SealedSecret, after string, limit int) (
	[]vault.SealedSecret, error,
) {
	err := x.s.on(x.s.r).each(ctx, func(r rowScanner) error {
		var address string
		var sealed []byte
		if err := r.Scan(&address, &sealed); err != nil {
			return err
		}
		o, err := owner.Stored(address)
		out = append(out, vault.SealedSecret{Ref: MailboxSecret(o), Sealed: sealed})
		return err
	}, "SELECT owner, sealed FROM mailbox_logins WHERE owner > ? ORDER BY owner LIMIT ?", after, limit)
	return out, err
}
