package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Link is a link that signs in to the web pages, once.
type Link struct {
	Owner    owner.Owner
	Admin    bool
	ReturnTo string // A path.
	Expires  time.Time
	// Session is the name of the session that made it, whose end is the link's
	// too; "": none did.
	Session string
	// Way is how whoever gets it has shown who it is: "password", "header" or "oidc";
	// "": by the link itself, which somebody hands out.
	Way string
}

// Links keeps links under hashes of their tokens.
type Links struct{ s *Store }

// Links returns the store of links.
func (s *Store) Links() Links { return Links{s} }

// Save keeps a link. The token must be one that nobody can guess.
func (r Links) Save(ctx context.Context, token string, l Link) error {
	var session []byte
	if l.Session != "" {
		session = nameHash(l.Session)
	}
	return r.s.write(ctx, "saving a link", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := c.exec(ctx,
			"INSERT INTO links (hash, owner, admin, return_to, expires_ms, session, way) VALUES (?, ?, ?, ?, ?, ?, ?)",
			nameHash(token), l.Owner.String(), flag(l.Admin), l.ReturnTo, toMillis(l.Expires), session, l.Way); err != nil ||
			l.Way != "" { // That is a part of signing in, which is written down when it is done.
			return err
		}
		return r.s.record(ctx, c, audit.Entry{Action: audit.LinkMade, User: l.Owner, Details: map[string]string{
			"admin": strconv.FormatBool(l.Admin), "expires_at": l.Expires.UTC().Format(time.RFC3339),
		}})
	})
}

// good is whether a link may be followed: until its time is over, and no longer
// than the session that made it.
const good = ` WHERE hash = ? AND expires_ms > ? AND (session IS NULL
	OR EXISTS (SELECT 1 FROM sessions s WHERE s.hash = links.session AND s.expires_ms > ?))`

// Look returns the link of a token and leaves it as it is. After its time, for
// what never was a token, and for a user who cannot sign in any more it is
// account.ErrNotFound.
func (r Links) Look(ctx context.Context, token string) (Link, error) {
	return r.get(ctx, "looking at a link", r.s.on(r.s.r),
		"SELECT owner, admin, return_to, expires_ms, way FROM links"+good, token)
}

// Exchange takes the link of a token for a session of its user, which lives
// until then, in one transaction: of any number of callers in any number of
// processes one gets it. For the others it is as for Look.
func (r Links) Exchange(ctx context.Context, token, session string, until time.Time) (l Link, err error) {
	// Looked at first, so that guesses and reloads do not make others wait to write.
	if l, err = r.Look(ctx, token); err != nil {
		return Link{}, err
	}
	const op = "following a link"
	err = r.s.write(ctx, op, func(tx *gorm.DB) error {
		c := r.s.on(tx)
		var err error
		if l, err = r.get(ctx, op, c, "DELETE FROM links"+good+" RETURNING owner, admin, return_to, expires_ms, way",
			token); err != nil {
			return err
		}
		if _, err = c.exec(ctx, "INSERT INTO sessions (hash, owner, expires_ms) VALUES (?, ?, ?)", nameHash(session),
			l.Owner.String(), toMillis(until)); err != nil {
			return err
		}
		return r.s.record(ctx, c, audit.Entry{
			Actor: actorOfSession(l), Action: audit.SessionBegun, User: l.Owner,
			Details: map[string]string{"admin": strconv.FormatBool(l.Admin), "by": cmp.Or(l.Way, "link")},
		})
	})
	if err != nil {
		return Link{}, err
	}
	return l, nil
}

// actorOfSession is whoever follows a link: the one whom it signs in.
func actorOfSession(l Link) audit.Actor {
	if l.Admin {
		return audit.Actor{Role: audit.Admin, Name: l.Owner.String()}
	}
	return audit.Actor{Role: audit.User, Name: l.Owner.String()}
}

func (r Links) get(ctx context.Context, op string, c sqlConn, query, token string) (l Link, err error) {
	var address string
	err = c.each(ctx, func(row rowScanner) error {
		var admin int16
		var expires int64
		err := row.Scan(&address, &admin, &l.ReturnTo, &expires, &l.Way)
		l.Admin, l.Expires = admin != 0, fromMillis(expires)
		return err
	}, query, nameHash(token), r.s.now().UnixMilli(), r.s.now().UnixMilli())
	if err != nil {
		return Link{}, r.s.wrap(ctx, op, err)
	}
	if l.Owner, err = owner.Parse(address); err != nil {
		return Link{}, account.ErrNotFound
	}
	return l, nil
}

// Prune forgets links that nobody followed in time: a chore.
func (r Links) Prune(ctx context.Context) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM links WHERE expires_ms <= ?", r.s.now().UnixMilli())
	return r.s.wrap(ctx, "pruning links", err)
}

// nameHash is under what is kept whatever is known by a name that nobody can
// guess. It needs no salt: such a name has 128 random bits at least.
func nameHash(name string) []byte {
	h := sha256.Sum256([]byte(name))
	return h[:]
}
