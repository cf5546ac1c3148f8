package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/logins"
)

// Logins counts logins that failed or are under way, for package logins.
type Logins struct{ s *Store }

var _ logins.Ledger = Logins{}

// Logins returns the store as package logins sees it.
func (s *Store) Logins() Logins { return Logins{s} }

// The advisory locks under which PostgreSQL counts logins, by user and then by
// mailbox: each takes one of the first kind and then one of the second, so that
// nobody waits in a circle. SQLite has one writer.
const (
	loginsOfUser    = 0x6d626c75 // "mblu"
	loginsOfMailbox = 0x6d626c6d // "mblm"
)

// Reserve takes a place for a login: see logins.Ledger.
func (r Logins) Reserve(ctx context.Context, a logins.Attempt,
	l logins.Limits,
) (id string, wait time.Duration, err error) {
	err = r.s.write(ctx, "counting logins", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if err := r.lock(ctx, c, a); err != nil {
			return err
		}
		now := r.s.now()
		if wait, err = r.wait(ctx, c, a, l, now); err != nil || wait > 0 {
			return err
		}
		id = uuid.NewString()
		return r.insert(ctx, c, id, a, true, now.Add(l.Window+logins.Pending))
	})
	return id, wait, err
}

func (r Logins) lock(ctx context.Context, c sqlConn, a logins.Attempt) error {
	if !r.s.postgres {
		return nil
	}
	// In one statement the order of the two would be the planner's.
	if _, err := c.exec(ctx, "SELECT pg_advisory_xact_lock(?, hashtext(?))", loginsOfUser, a.By()); err != nil {
		return err
	}
	_, err := c.exec(ctx, "SELECT pg_advisory_xact_lock(?, hashtext(?))", loginsOfMailbox, a.Mailbox)
	return err
}

func (r Logins) insert(ctx context.Context, c sqlConn, id string, a logins.Attempt, pending bool,
	until time.Time,
) error {
	_, err := c.exec(ctx, "INSERT INTO failed_logins (id, owner, name, mailbox, pending, until_ms) VALUES (?, ?, ?, ?, "+
		"?, ?)",
		id, a.By(), strings.Join(a.Names, " "), a.Mailbox, flag(pending), until.UnixMilli())
	return err
}

// wait returns how long it is until a login may be made; 0: now.
func (r Logins) wait(ctx context.Context, c sqlConn, a logins.Attempt, l logins.Limits,
	now time.Time,
) (time.Duration, error) {
	// What counts for longer than can be was written when the clock was wrong.
	longest := now.Add(l.Window + logins.Pending + clockBelieved)
	between := []any{now.UnixMilli(), longest.UnixMilli()}
	var ofUser, ofName places
	err := c.each(ctx, func(row rowScanner) error {
		var name string
		var p place
		if err := row.Scan(&name, &p.pending, &p.until); err != nil {
			return err
		}
		ofUser = append(ofUser, p)
		if slices.ContainsFunc(strings.Fields(name), func(n string) bool { return slices.Contains(a.Names, n) }) {
			ofName = append(ofName, p)
		}
		return nil
	}, "SELECT name, pending, until_ms FROM failed_logins WHERE owner = ? AND until_ms > ? AND until_ms <= ? ORDER BY "+
		"until_ms", append([]any{a.By()}, between...)...)
	if err != nil {
		return 0, err
	}
	if wait := max(ofName.wait(l.Mailbox, now), ofUser.wait(l.User, now)); wait > 0 {
		return wait, nil
	}
	var ofAll places
	err = c.each(ctx, func(row rowScanner) error {
		var p place
		err := row.Scan(&p.pending, &p.until)
		ofAll = append(ofAll, p)
		return err
	}, "SELECT pending, until_ms FROM failed_logins WHERE mailbox = ? AND until_ms > ? AND until_ms <= ? ORDER BY "+
		"until_ms", append([]any{a.Mailbox}, between...)...)
	wait := ofAll.wait(l.Everybody, now)
	if err != nil || wait == 0 {
		return 0, err
	}
	if a.Client != "" {
		return wait, nil // Nobody is known to be the owner before the password was right.
	}
	if len(ofName) < l.First {
		return 0, nil // Not one of the guessers, so far.
	}
	home := 0
	err = c.each(ctx, scanInto(&home), "SELECT 1 FROM accounts a JOIN poll_schedule p ON p.route_id = a.id WHERE "+
		"a.owner = ? AND p.login_home = ? LIMIT 1", a.Owner.String(), a.Home)
	if home != 0 {
		wait = 0
	}
	return wait, err
}

// place is one login that counts until then.
type place struct {
	pending int16
	until   int64
}

// places are in the order in which they end.
type places []place

// wait returns how long it is until fewer than limit are taken.
func (ps places) wait(limit int, now time.Time) time.Duration {
	if len(ps) < limit {
		return 0
	}
	wait := max(time.UnixMilli(ps[len(ps)-limit].until).Sub(now), time.Millisecond)
	for _, p := range ps {
		if p.pending != 0 {
			wait = min(wait, logins.Soon)
		}
	}
	return wait
}

// Release gives a place back: see logins.Ledger.
func (r Logins) Release(ctx context.Context, id string) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM failed_logins WHERE id = ?", id)
	return r.s.wrap(ctx, "giving back the place of a login", err)
}

// Accept gives a place back and notes who signed in: see logins.Ledger.
func (r Logins) Accept(ctx context.Context, id string, a logins.Attempt, proof string) error {
	return r.s.write(ctx, "noting a login", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := c.exec(ctx, "DELETE FROM failed_logins WHERE id = ?", id); err != nil || a.Subject == "" {
			return err
		}
		return r.prove(ctx, c, a.Subject, "login_proof = ?, login_home = ?", proof, a.Home)
	})
}

// Refuse keeps a place, or takes one: see logins.Ledger.
func (r Logins) Refuse(ctx context.Context, id string, a logins.Attempt, l logins.Limits) error {
	return r.s.write(ctx, "counting a login that failed", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		until := r.s.now().Add(l.Window)
		if id != "" {
			n, err := c.exec(ctx, "UPDATE failed_logins SET pending = 0, until_ms = ? WHERE id = ?", until.UnixMilli(), id)
			if err != nil || n > 0 {
				return err
			}
		}
		// Nobody who is counting must miss it.
		if err := r.lock(ctx, c, a); err != nil {
			return err
		}
		if err := r.insert(ctx, c, uuid.NewString(), a, false, until); err != nil || a.Subject == "" {
			return err
		}
		return r.prove(ctx, c, a.Subject, "login_proof = ?", "")
	})
}

func (r Logins) prove(ctx context.Context, c sqlConn, subject string, set string, args ...any) error {
	_, err := c.exec(ctx, "UPDATE poll_schedule SET "+set+" WHERE route_id = ?", append(args, subject)...)
	return err
}

// Prune forgets what does not count any more: a chore.
func (r Logins) Prune(ctx context.Context) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM failed_logins WHERE until_ms <= ?", r.s.now().UnixMilli())
	return r.s.wrap(ctx, "pruning failed logins", err)
}
