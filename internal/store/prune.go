package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// pruneAtOnce bounds how long a prune keeps others from writing.
const pruneAtOnce = 5000

// PruneEndings deletes old rows of endings: a chore. The one with the highest number is kept,
// without its owner: on SQLite the next number is derived from it.
func (s *Store) PruneEndings(ctx context.Context) error {
	before := s.now().Add(-endingsKept).UnixMilli()
	c := s.on(s.w)
	_, err := c.exec(ctx, "DELETE FROM endings WHERE at_ms < ? AND changed < (SELECT max(changed) FROM endings)", before)
	if err == nil {
		_, err = c.exec(ctx, "UPDATE endings SET owner = '' WHERE at_ms < ? AND owner <> ''", before)
	}
	return s.wrap(ctx, "forgetting what ended", err)
}

// Prune forgets the journals of accounts that were removed before a moment, or
// removed for good, and visits that ended before it: a chore, for every hour or
// day.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	const op = "pruning journals"
	c := s.on(s.w)
	// Marked first, in one go: what is marked is never taken up again, so the
	// rest may take its time.
	if _, err := c.exec(ctx, "UPDATE journals SET retired_ms = 1 WHERE retired_ms > 1 AND retired_ms < ?",
		before.UnixMilli()); err != nil {
		return s.wrap(ctx, op, err)
	}
	var journals []int64
	err := c.each(ctx, func(r rowScanner) error {
		var id int64
		err := r.Scan(&id)
		journals = append(journals, id)
		return err
	}, "SELECT id FROM journals WHERE retired_ms = 1")
	if err != nil {
		return s.wrap(ctx, op, err)
	}
	for _, id := range journals {
		if err := s.pruneJournal(ctx, id); err != nil {
			return err
		}
	}
	if len(journals) > 0 {
		s.log.InfoContext(ctx, "journals pruned", "journals", len(journals))
	}
	if err := s.inSlices(ctx, op, "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE finished_ms < ? LIMIT ?)",
		before.UnixMilli(), pruneAtOnce); err != nil {
		return err
	}
	if _, err := c.exec(ctx, "DELETE FROM user_ids WHERE left_ms > 0 AND left_ms < ?",
		s.now().Add(-formerKept).UnixMilli()); err != nil {
		return s.wrap(ctx, op, err)
	}
	if _, err := c.exec(ctx, "DELETE FROM ending_visits WHERE until_ms < ?",
		s.now().Add(-time.Hour).UnixMilli()); err != nil {
		return s.wrap(ctx, op, err)
	}
	if _, err := c.exec(ctx, "DELETE FROM removals WHERE finished_ms > 0 AND finished_ms < ?",
		s.now().Add(-removalKept).UnixMilli()); err != nil {
		return s.wrap(ctx, op, err)
	}
	_, err = c.exec(ctx, "DELETE FROM poll_counts WHERE minute_ms < ?", s.now().Add(-countsKept).UnixMilli())
	return s.wrap(ctx, op, err)
}

func (s *Store) pruneJournal(ctx context.Context, journal int64) error {
	const op = "pruning a journal"
	err := s.inSlices(ctx, op,
		`DELETE FROM messages WHERE (folder_id, epoch, uid, uidl, ordinal) IN (SELECT m.folder_id, m.epoch, m.uid, m.uidl,
			m.ordinal
		FROM folders f JOIN messages m ON m.folder_id = f.id WHERE f.journal_id = ? LIMIT ?)`, journal, pruneAtOnce)
	if err != nil {
		return err
	}
	return s.write(ctx, op, func(tx *gorm.DB) error {
		for _, stmt := range []string{
			"DELETE FROM passed WHERE folder_id IN (SELECT id FROM folders WHERE journal_id = ?)",
			"DELETE FROM skipped WHERE folder_id IN (SELECT id FROM folders WHERE journal_id = ?)",
			"DELETE FROM copied WHERE folder_id IN (SELECT id FROM folders WHERE journal_id = ?)",
			"DELETE FROM folders WHERE journal_id = ?",
			"DELETE FROM batches WHERE journal_id = ?",
			"DELETE FROM journals WHERE id = ?",
		} {
			if _, err := s.on(tx).exec(ctx, stmt, journal); err != nil {
				return err
			}
		}
		return nil
	})
}

// inSlices repeats a statement, each time as its own transaction, until it
// finds nothing more to do.
func (s *Store) inSlices(ctx context.Context, op, stmt string, args ...any) error {
	for {
		n, err := s.on(s.w).exec(ctx, stmt, args...)
		if err != nil || n == 0 {
			return s.wrap(ctx, op, err)
		}
	}
}
