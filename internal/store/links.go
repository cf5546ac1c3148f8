package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
)

// Link is a link that signs in to the web pages, once.
type Link struct {
	Owner    account.Owner
	Admin    bool
	ReturnTo string // A path.
	Expires  time.Time
}

// Links keeps links under hashes of their tokens.
type Links struct{ s *Store }

// Links returns the store of links.
func (s *Store) Links() Links { return Links{s} }

// Save keeps a link. The token must be one that nobody can guess.
func (r Links) Save(ctx context.Context, token string, l Link) error {
	h := linkHash(token)
	_, err := r.s.on(r.s.w).exec(ctx, "INSERT INTO links (hash, owner, admin, return_to, expires_ms) VALUES (?, ?, ?, ?, ?)",
		h, l.Owner.String(), flag(l.Admin), l.ReturnTo, toMillis(l.Expires))
	return r.s.wrap(ctx, "saving a link", err)
}

// Use returns the link of a token and forgets it in the same statement: of any
// number of callers in any number of processes one gets it. For the others,
// after its time, and for what never was a token it is account.ErrNotFound.
func (r Links) Use(ctx context.Context, token string) (l Link, err error) {
	const op = "following a link"
	h, now := linkHash(token), r.s.now().UnixMilli()
	// Looked at first, so that guesses and reloads do not make others wait to write.
	found := 0
	err = r.s.on(r.s.r).each(ctx, scanInto(&found), "SELECT 1 FROM links WHERE hash = ? AND expires_ms > ?", h, now)
	if err == nil && found == 0 {
		err = account.ErrNotFound
	}
	if err != nil {
		return Link{}, r.s.wrap(ctx, op, err)
	}
	var owner string
	err = r.s.on(r.s.w).each(ctx, func(row rowScanner) error {
		var admin int16
		var expires int64
		err := row.Scan(&owner, &admin, &l.ReturnTo, &expires)
		l.Admin, l.Expires = admin != 0, fromMillis(expires)
		return err
	}, "DELETE FROM links WHERE hash = ? AND expires_ms > ? RETURNING owner, admin, return_to, expires_ms", h, now)
	if err == nil && owner == "" {
		err = account.ErrNotFound
	}
	if err != nil {
		return Link{}, r.s.wrap(ctx, op, err)
	}
	if l.Owner, err = account.ParseOwner(owner); err != nil {
		return Link{}, fmt.Errorf("%s: %w", op, err)
	}
	return l, nil
}

// Prune forgets links that nobody followed in time: a chore.
func (r Links) Prune(ctx context.Context) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM links WHERE expires_ms <= ?", r.s.now().UnixMilli())
	return r.s.wrap(ctx, "pruning links", err)
}

// linkHash needs no salt: a token is 128 random bits at least.
func linkHash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}
