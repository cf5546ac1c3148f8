package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/owner"
)

const (
	// repeatableKept is how long the answer to a repeatable request is kept.
	repeatableKept = 24 * time.Hour
	// repeatableAtMost is how many of one user are kept: the newest.
	repeatableAtMost = 1000
)

// Repeatable keeps requests that may be repeated, under hashes of their names. What
// was asked and answered is sealed by whoever calls.
type Repeatable struct{ s *Store }

// Repeatable returns the store of repeatable requests.
func (s *Store) Repeatable() Repeatable { return Repeatable{s} }

// Repeated is what is kept of a request.
type Repeated struct {
	Sealed []byte
	Done   bool // It was answered.
	Live   bool // Somebody is at it, or was until moments ago.
}

// Begin keeps a request for its attempt, which then has to Finish or Forget it
// before until. Where the name is taken already it returns what is kept under it,
// and changes nothing. name must tell users apart.
func (r Repeatable) Begin(ctx context.Context, o owner.Owner, name, attempt string, sealed []byte,
	until time.Time,
) (earlier *Repeated, err error) {
	err = r.s.write(ctx, "beginning a repeatable request", func(tx *gorm.DB) error {
		c, now := r.s.on(tx), r.s.now().UnixMilli()
		if _, err := c.exec(ctx, "DELETE FROM repeatable WHERE hash = ? AND done = 1 AND until_ms <= ?", nameHash(name),
			now); err != nil {
			return err
		}
		n, err := c.exec(ctx, `INSERT INTO repeatable (hash, owner, attempt, sealed, done, made_ms, until_ms)
			VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT (hash) DO NOTHING`,
			nameHash(name), o.String(), attempt, orEmpty(sealed), now, until.UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			earlier, err = r.get(ctx, c, name)
			return err
		}
		// No more of one user's than fit; those under way stay.
		_, err = c.exec(ctx, `DELETE FROM repeatable WHERE done = 1 AND owner = ? AND made_ms < (SELECT made_ms FROM
			repeatable WHERE owner = ? ORDER BY made_ms DESC LIMIT 1 OFFSET ?)`, o.String(), o.String(), repeatableAtMost-1)
		return err
	})
	return earlier, err
}

func (r Repeatable) get(ctx context.Context, c sqlConn, name string) (*Repeated, error) {
	var found Repeated
	var done int16
	var until int64
	err := c.row(ctx, "SELECT sealed, done, until_ms FROM repeatable WHERE hash = ?", nameHash(name)).Scan(&found.Sealed,
		&done, &until)
	found.Done, found.Live = done != 0, until > r.s.now().UnixMilli()
	return &found, err
}

// TakeOver gives a request that was begun and never ended to another attempt; false
// when another was faster.
func (r Repeatable) TakeOver(ctx context.Context, name, attempt string, until time.Time) (bool, error) {
	n, err := r.s.on(r.s.w).exec(ctx, "UPDATE repeatable SET attempt = ?, until_ms = ? WHERE hash = ? AND done = 0 AND "+
		"until_ms <= ?", attempt, until.UnixMilli(), nameHash(name), r.s.now().UnixMilli())
	return n > 0, r.s.wrap(ctx, "taking over a repeatable request", err)
}

// Keep says that the attempt continues until then, if the request is still its own.
func (r Repeatable) Keep(ctx context.Context, name, attempt string, until time.Time) error {
	_, err := r.s.on(r.s.w).exec(ctx, "UPDATE repeatable SET until_ms = ? WHERE hash = ? AND attempt = ? AND done = 0",
		until.UnixMilli(), nameHash(name), attempt)
	return r.s.wrap(ctx, "keeping a repeatable request", err)
}

// Finish keeps the answer for repeatableKept, if the request is still the attempt's.
func (r Repeatable) Finish(ctx context.Context, name, attempt string, sealed []byte) error {
	_, err := r.s.on(r.s.w).exec(ctx, "UPDATE repeatable SET sealed = ?, done = 1, until_ms = ? WHERE hash = ? AND "+
		"attempt = ? AND done = 0", orEmpty(sealed), r.s.now().Add(repeatableKept).UnixMilli(), nameHash(name), attempt)
	return r.s.wrap(ctx, "keeping the answer to a repeatable request", err)
}

// Forget gives the name free again, if the request is still the attempt's.
func (r Repeatable) Forget(ctx context.Context, name, attempt string) error {
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM repeatable WHERE hash = ? AND attempt = ? AND done = 0",
		nameHash(name), attempt)
	return r.s.wrap(ctx, "forgetting a repeatable request", err)
}

// Prune forgets what is over: answers that were kept long enough, and what was
// begun a day ago and never ended.
func (r Repeatable) Prune(ctx context.Context) error {
	now := r.s.now()
	_, err := r.s.on(r.s.w).exec(ctx, "DELETE FROM repeatable WHERE done = 1 AND until_ms <= ? OR made_ms <= ?",
		now.UnixMilli(), now.Add(-2*repeatableKept).UnixMilli())
	return r.s.wrap(ctx, "pruning repeatable requests", err)
}
