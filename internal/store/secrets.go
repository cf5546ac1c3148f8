package store

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// Secrets is the sealed secrets of all users, for package vault, which seals
// them again when a key is replaced.
type Secrets struct{ s *Store }

var (
	_ vault.Archive = Secrets{}
	_ vault.Rows    = Accounts{}
)

// Secrets returns the store as package vault sees it.
func (s *Store) Secrets() Secrets { return Secrets{s} }

// SealedSecrets returns up to limit secrets that follow after, those of accounts by subject and field, then those of
// users' own mailboxes by owner; the zero SecretRef begins.
func (x Secrets) SealedSecrets(ctx context.Context, after remote.SecretRef, limit int) ([]vault.SealedSecret, error) {
	const op = "loading sealed secrets"
	if after.Subject == mailboxSubject {
		out, err := x.mailboxSecrets(ctx, nil, after.Owner.String(), limit)
		return out, x.s.wrap(ctx, op, err)
	}
	where, args := "", []any{}
	if after.Subject != "" {
		if !isID(after.Subject) {
			return nil, x.s.wrap(ctx, op, errors.New("they were to begin after what is no account's id"))
		}
		where, args = " WHERE (s.subject, s.field) > (?, ?)", []any{after.Subject, string(after.Field)}
	}
	var out []vault.SealedSecret
	err := x.s.on(x.s.r).each(ctx, func(r rowScanner) error {
		var ref remote.SecretRef
		var address string
		var sealed []byte
		if err := r.Scan(&ref.Subject, &ref.Field, &address, &sealed); err != nil {
			return err
		}
		var err error
		ref.Owner, err = owner.Stored(address)
		out = append(out, vault.SealedSecret{Ref: ref, Sealed: sealed})
		return err
	}, "SELECT s.subject, s.field, a.owner, s.sealed FROM secrets s JOIN "+subjects+" a ON a.id = s.subject"+where+
		" ORDER BY s.subject, s.field LIMIT ?", append(args, limit)...)
	if err == nil && len(out) < limit {
		out, err = x.mailboxSecrets(ctx, out, "", limit-len(out))
	}
	return out, x.s.wrap(ctx, op, err)
}

// ReplaceSealed replaces the sealed secret from with to, and leaves a secret alone that
// is another one by now.
func (x Secrets) ReplaceSealed(ctx context.Context, ref remote.SecretRef, from, to []byte) error {
	const op = "resealing a secret"
	if ref.Subject == mailboxSubject {
		_, err := x.s.on(x.s.w).exec(ctx, "UPDATE mailbox_logins SET sealed = ? WHERE owner = ? AND sealed = ?", to,
			ref.Owner.String(), from)
		return x.s.wrap(ctx, op, err)
	}
	if !isID(ref.Subject) {
		return account.ErrNotFound
	}
	_, err := x.s.on(x.s.w).exec(ctx, `UPDATE secrets SET sealed = ? WHERE subject = ? AND field = ? AND sealed = ?
		AND EXISTS (SELECT 1 FROM `+subjects+` a WHERE a.id = secrets.subject AND a.owner = ?)`, to, ref.Subject,
		string(ref.Field), from, ref.Owner.String())
	return x.s.wrap(ctx, op, err)
}
