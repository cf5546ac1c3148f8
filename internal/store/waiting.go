package store

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// SlowWaiting returns the users of slow accounts that wait: see schedule.Queue.
func (q Queue) SlowWaiting(
	ctx context.Context, worker string, now time.Time, closed []string,
) (users []owner.Owner, err error) {
	at, us := now.UnixMilli(), process(worker)
	query, args := except(`SELECT owner FROM poll_schedule WHERE due_at_ms <= ? AND lease_until_ms <= ? AND slow > 1
		AND kind = 1 AND owner NOT IN (SELECT owner FROM poll_schedule
			WHERE lease_owner <> '' AND lease_owner <> ? AND lease_owner NOT LIKE ? AND lease_until_ms > ?)`,
		[]any{at, at, us, us + "/%", at}, "circuit", closed)
	err = q.s.on(q.s.r).each(ctx, func(r rowScanner) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		o, err := owner.Parse(name)
		users = append(users, o)
		return err
	}, query+" GROUP BY owner ORDER BY min(due_at_ms) LIMIT 100", args...)
	return users, q.s.wrap(ctx, "looking for slow accounts that wait", err)
}
