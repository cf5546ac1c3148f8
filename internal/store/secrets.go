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
// them anew when a key is replaced.
type Secrets struct{ s *Store }

var (
	_ vault.Archive = Secrets{}
	_ vault.Rows    = Accounts{}
)

// Secrets returns the store as package vault sees it.
func (s *Store) Secrets() Secrets { return Secrets{s} }

// SealedSecrets returns up to limit secrets that follow after, by subject; the zero
// SecretRef begins.
func (x Secrets) SealedSecrets(ctx context.Context, after remote.SecretRef, limit int) ([]vault.SealedSecret, error) {
	const op = "loading sealed secrets"
	where, args := "", []any{}
	if after.Subject != "" {
		if !isID(after.Subject) {
			return nil, x.s.wrap(ctx, op, errors.New("they were to begin after what is no account's id"))
		}
		where, args = " WHERE a.id > ?", []any{after.Subject}
	}
	var out []vault.SealedSecret
	err := x.s.on(x.s.r).each(ctx, func(r rowScanner) error {
		var id, address string
		var sealed []byte
		if err := r.Scan(&id, &address, &sealed); err != nil {
			return err
		}
		o, err := owner.Stored(address)
		out = append(out, vault.SealedSecret{Ref: remote.SecretRef{Owner: o, Subject: id, Field: remote.SignsIn}, Sealed: sealed})
		return err
	}, "SELECT a.id, a.owner, s.sealed FROM accounts a JOIN secrets s ON s.account_id = a.id"+where+
		" ORDER BY a.id LIMIT ?", append(args, limit)...)
	return out, x.s.wrap(ctx, op, err)
}

// ReplaceSealed saves to in the place of from, and leaves a secret alone that
// is another one by now.
func (x Secrets) ReplaceSealed(ctx context.Context, ref remote.SecretRef, from, to []byte) error {
	if !isID(ref.Subject) {
		return account.ErrNotFound
	}
	_, err := x.s.on(x.s.w).exec(ctx, `UPDATE secrets SET sealed = ? WHERE account_id = ? AND sealed = ?
		AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = secrets.account_id AND a.owner = ?)`, to, ref.Subject, from,
		ref.Owner.String())
	return x.s.wrap(ctx, "sealing a secret anew", err)
}
