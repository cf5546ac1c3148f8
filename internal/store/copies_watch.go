package store

import (
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// CopyWatcher finds the changed copies of many users with a few queries: see transfer.Watcher and Watcher.
type CopyWatcher struct {
	s       *Store
	last    changePoint
	users   map[owner.Owner]bool // Of the last call.
	working map[owner.Owner]bool // Whose copies were worked at then: they may be over by now.
}

var _ transfer.Watcher = (*CopyWatcher)(nil)

// CopyWatcher returns a new watcher.
func (s *Store) CopyWatcher() *CopyWatcher { return &CopyWatcher{s: s} }

// Changes returns the users whose copies may have changed: see transfer.Watcher. A call that fails loses nothing.
func (w *CopyWatcher) Changes(ctx context.Context, users, resend []owner.Owner) (
	map[owner.Owner][]transfer.Copy, error,
) {
	const op = "looking for changed copies"
	point, changed, err := w.s.changedSince(ctx, w.last)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	working := map[owner.Owner]bool{}
	err = w.s.on(w.s.r).each(ctx, func(r rowScanner) error {
		var address string
		if err := r.Scan(&address); err != nil {
			return err
		}
		o, err := owner.Stored(address)
		working[o] = true
		return err
	}, "SELECT owner FROM poll_schedule WHERE lease_owner <> '' AND kind = 2")
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	out, now := map[owner.Owner][]transfer.Copy{}, map[owner.Owner]bool{}
	for _, o := range users {
		now[o] = true
		if w.last.precedes(point) && w.users[o] && !working[o] && !w.working[o] && !slices.Contains(changed, o.String()) &&
			!slices.Contains(resend, o) {
			continue
		}
		page, err := w.s.Copies().Copies(ctx, o, transfer.Filter{Limit: transfer.MostWatched})
		if err != nil {
			return nil, err
		}
		out[o] = page.Copies
	}
	w.last, w.users, w.working = point, now, working
	return out, nil
}
