package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Pending keeps what is under way on providers' pages, for package oauth.
type Pending struct{ s *Store }

var (
	_ oauth.Pending = Pending{}
	_ oauth.Secrets = OAuthSecrets{}
)

// Pending returns the store of what is under way.
func (s *Store) Pending() Pending { return Pending{s} }

// SavePending keeps sealed under a name, replacing what was there: see
// oauth.Pending.
func (r Pending) SavePending(ctx context.Context, name string, o owner.Owner, sealed []byte,
	expires time.Time,
) error {
	_, err := r.s.on(r.s.w).exec(ctx, `INSERT INTO oauth_pending (hash, owner, sealed, expires_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET owner = excluded.owner, sealed = excluded.sealed, expires_ms = excluded.expires_ms`,
		nameHash(name), o.String(), orEmpty(sealed), toMillis(expires))
	return r.s.wrap(ctx, "saving what is pending", err)
}

// PendingOf returns what is kept under a name, or account.ErrNotFound.
func (r Pending) PendingOf(ctx context.Context, name string) (owner.Owner, []byte, error) {
	return r.get(ctx, "loading what is pending", r.s.on(r.s.r), "SELECT owner, sealed FROM oauth_pending WHERE hash = ? "+
		"AND expires_ms > ?", name)
}

// UsePending returns what is kept and forgets it in the same statement: of any
// number of callers in any number of processes one gets it.
func (r Pending) UsePending(ctx context.Context, name string) (owner.Owner, []byte, error) {
	// Looked at first, so that guesses and reloads do not make others wait to write.
	if o, sealed, err := r.PendingOf(ctx, name); err != nil {
		return o, sealed, err
	}
	return r.get(ctx, "taking what is pending", r.s.on(r.s.w), "DELETE FROM oauth_pending WHERE hash = ? AND expires_ms "+
		"> ? RETURNING owner, sealed", name)
}

func (r Pending) get(ctx context.Context, op string, c sqlConn, query,
	name string,
) (o owner.Owner, sealed []byte, err error) {
	var address string
	err = c.each(ctx, scanInto(&address, &sealed), query, nameHash(name), r.s.now().UnixMilli())
	if err == nil && address == "" {
		err = account.ErrNotFound
	}
	if err != nil {
		return owner.Owner{}, nil, r.s.wrap(ctx, op, err)
	}
	if o, err = owner.Stored(address); err != nil {
		return owner.Owner{}, nil, fmt.Errorf("%s: %w", op, err)
	}
	return o, sealed, nil
}

// ClaimPending reports whether the caller has the name for itself until then:
// of any number of callers in any number of processes one has. One for longer than
// is asked for now was made while the clock was ahead, and is none.
func (r Pending) ClaimPending(ctx context.Context, name string, o owner.Owner, until time.Time) (bool, error) {
	n, err := r.s.on(r.s.w).exec(ctx, `INSERT INTO oauth_pending (hash, owner, sealed, expires_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET expires_ms = excluded.expires_ms WHERE oauth_pending.expires_ms <= ?
		OR oauth_pending.expires_ms > ?`,
		nameHash(name), o.String(), []byte{}, toMillis(until), r.s.now().UnixMilli(), until.Add(clockSlack).UnixMilli())
	return n > 0, r.s.wrap(ctx, "claiming", err)
}

// Prune forgets what nobody came back for in time: a chore.
func (r Pending) Prune(ctx context.Context) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM oauth_pending WHERE expires_ms <= ?", r.s.now().UnixMilli())
	return r.s.wrap(ctx, "pruning what is pending", err)
}

// OAuthSecrets is the sealed secrets of accounts, for package oauth.
type OAuthSecrets struct {
	Accounts
	Secrets
}

// OAuthSecrets returns the secrets as package oauth sees them.
func (s *Store) OAuthSecrets() OAuthSecrets { return OAuthSecrets{s.Accounts(), s.Secrets()} }
