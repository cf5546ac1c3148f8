package store

import "context"

// runOut ends a lease and leaves its worker's name, so that the next claim sees
// that the visit never ended. Its arguments are now, never, and now.
const runOut = `lease_until_ms = CAST(? AS BIGINT), progress_folder = '', progress_done = 0, progress_total = 0,
	progress_bytes = 0,
	due_at_ms = CASE WHEN enabled = 0 THEN CAST(? AS BIGINT) WHEN hurried_ms > 0 THEN 0 ELSE CAST(? AS BIGINT) END`

// Reap ends the leases of workers that dead says are gone, so that their
// accounts are due at once and not only when the leases end. It returns how
// many there were.
func (q Queue) Reap(ctx context.Context, dead func(worker string) bool) (int, error) {
	const op = "ending the leases of workers that are gone"
	c := q.s.on(q.s.w)
	var gone []string
	err := c.each(ctx, func(r rowScanner) error {
		var worker string
		err := r.Scan(&worker)
		if dead(worker) {
			gone = append(gone, worker)
		}
		return err
	}, "SELECT DISTINCT lease_owner FROM poll_schedule WHERE lease_owner <> ''")
	if err != nil {
		return 0, q.s.wrap(ctx, op, err)
	}
	ended := 0
	for _, worker := range gone {
		now := q.s.now().UnixMilli()
		n, err := c.exec(ctx, "UPDATE poll_schedule SET "+runOut+" WHERE lease_owner = ?", now, int64(never), now, worker)
		if err != nil {
			return ended, q.s.wrap(ctx, op, err)
		}
		ended += int(n)
	}
	return ended, nil
}
