package store

import "context"

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
		n, err := c.exec(ctx, "UPDATE poll_schedule SET "+endLease+" WHERE lease_owner = ?", int64(never), q.s.now().UnixMilli(), worker)
		if err != nil {
			return ended, q.s.wrap(ctx, op, err)
		}
		ended += int(n)
	}
	return ended, nil
}
