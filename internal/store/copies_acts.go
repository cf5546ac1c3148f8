package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// change does something to a copy whose row and place in the schedule are held meanwhile, and returns it as it is then.
func (r Copies) change(ctx context.Context, op string, act audit.Action, o owner.Owner, id transfer.ID,
	do func(c sqlConn, row copyRow) error,
) (changed transfer.Copy, err error) {
	if !isID(string(id)) {
		return transfer.Copy{}, transfer.ErrNotFound
	}
	err = r.s.write(ctx, op, func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, o); err != nil {
			return err
		}
		if _, err := r.s.lockSchedule(ctx, tx, o, id); err != nil {
			return err
		}
		c := r.s.on(tx)
		row, err := r.s.copy(ctx, c, o, id)
		if err == nil {
			err = do(c, row)
		}
		if err != nil {
			return err
		}
		if row, err = r.s.copy(ctx, c, o, id); err != nil {
			return err
		}
		changed = row.copy
		return r.s.record(ctx, c, aboutCopy(act, changed))
	})
	return changed, err
}

// aboutCopy is an act concerning a copy. Where from and to is public knowledge between its owner and administrators.
func aboutCopy(act audit.Action, c transfer.Copy) audit.Entry {
	return audit.Entry{Action: act, User: c.Owner, Account: c.ID, Details: map[string]string{
		"email": c.Source.Email, "protocol": string(c.Source.Protocol), "host": c.Source.Server.Host,
		"target": c.TargetAddress(),
	}}
}

// fence takes a copy away from whoever works at it, and sets when it is due: never, for 0 at once.
func fence(ctx context.Context, c sqlConn, id transfer.ID, enabled bool, due, requested int64, pausedBy int16) error {
	_, err := c.exec(ctx, `UPDATE poll_schedule SET enabled = ?, paused_by = ?, due_at_ms = ?, hurried_ms = ?,
		lease_epoch = lease_epoch + 1, lease_owner = '', lease_until_ms = 0, progress_folder = '', progress_done = 0,
		progress_total = 0, progress_bytes = 0 WHERE route_id = ?`, flag(enabled), pausedBy, due, requested, string(id))
	return err
}

// Switch pauses and resumes: see transfer.Repository.
func (r Copies) Switch(ctx context.Context, o owner.Owner, id transfer.ID, on, operator bool) (transfer.Copy, error) {
	act := audit.CopyPaused
	if on {
		act = audit.CopyResumed
	}
	return r.change(ctx, "pausing or resuming a copy", act, o, id, func(c sqlConn, row copyRow) error {
		switch {
		case row.outcome != "":
			return transfer.ErrNotCancellable
		case on && row.enabled:
			return fence(ctx, c, id, true, 0, r.s.now().UnixMilli(), 0)
		case on:
			if _, err := c.exec(ctx, "UPDATE poll_schedule SET state = ?, failures = 0, code = '', detail = '', since_ms = 0 "+
				"WHERE route_id = ?", states.code(account.OK), string(id)); err != nil {
				return err
			}
			return fence(ctx, c, id, true, 0, r.s.now().UnixMilli(), 0)
		case operator:
			return fence(ctx, c, id, false, int64(never), 0, byOperator)
		}
		return fence(ctx, c, id, false, int64(never), 0, byUser)
	})
}

// End ends a copy: see transfer.Repository.
func (r Copies) End(ctx context.Context, o owner.Owner, id transfer.ID, as transfer.State, erase time.Time) (
	transfer.Copy, error,
) {
	return r.change(ctx, "ending a copy", audit.CopyCancelled, o, id, func(c sqlConn, row copyRow) error {
		if row.outcome != "" {
			return transfer.ErrNotCancellable
		}
		if err := fence(ctx, c, id, true, int64(never), 0, 0); err != nil {
			return err
		}
		_, err := c.exec(ctx, "UPDATE copies SET outcome = ?, ended_ms = ?, erase_ms = ? WHERE id = ?",
			copyStates.code(as), r.s.now().UnixMilli(), toMillis(erase), string(id))
		return err
	})
}

// Again has a copy work once more: see transfer.Repository.
func (r Copies) Again(ctx context.Context, o owner.Owner, id transfer.ID, phase transfer.Phase,
	options transfer.Options, retry bool,
) (transfer.Copy, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return transfer.Copy{}, fmt.Errorf("writing the options of a copy: %w", err)
	}
	return r.change(ctx, "beginning a copy again", audit.CopyRepeated, o, id, func(c sqlConn, row copyRow) error {
		if row.outcome == "" && row.leased {
			return transfer.ErrNotEnded
		}
		if row.outcome != "" { // Another may have its target by now.
			if err := r.mayAdd(ctx, c, row.copy, int(^uint(0)>>1)); err != nil {
				return err
			}
		}
		if retry {
			if _, err := c.exec(ctx, `UPDATE skipped SET next_ms = ?, requested = 1 WHERE folder_id IN
				(SELECT id FROM folders WHERE journal_id = ?)`, r.s.now().UnixMilli(), row.journal); err != nil {
				return err
			}
		}
		if _, err := c.exec(ctx, "UPDATE poll_schedule SET state = ?, failures = 0, code = '', detail = '', since_ms = 0 "+
			"WHERE route_id = ?", states.code(account.OK), string(id)); err != nil {
			return err
		}
		if _, err := c.exec(ctx, `UPDATE copies SET outcome = 0, ended_ms = 0, erase_ms = 0, phase = ?, options = ?,
			pass = pass + 1 WHERE id = ?`, copyPhases.code(phase), string(text), string(id)); err != nil {
			return err
		}
		return fence(ctx, c, id, true, 0, r.s.now().UnixMilli(), 0)
	})
}

// Update changes a copy: see transfer.Repository.
func (r Copies) Update(ctx context.Context, n transfer.Copy, sealed map[remote.Field][]byte) (transfer.Copy, error) {
	options, err := json.Marshal(n.Options)
	if err != nil {
		return transfer.Copy{}, fmt.Errorf("writing the options of a copy: %w", err)
	}
	return r.change(ctx, "saving a copy", audit.CopyChanged, n.Owner, n.ID, func(c sqlConn, row copyRow) error {
		if row.copy.Edits != n.Edits {
			return transfer.ErrChanged
		}
		if _, err := c.exec(ctx, `UPDATE copies SET options = ?, edits = edits + 1, source_auth = ?, target_auth = ?
			WHERE id = ?`, string(options), auths.code(n.Source.Auth), auths.code(n.Target.Auth), string(n.ID)); err != nil {
			return err
		}
		for field, secret := range sealed {
			if _, err := c.exec(ctx, `INSERT INTO secrets (subject, field, sealed) VALUES (?, ?, ?)
				ON CONFLICT (subject, field) DO UPDATE SET sealed = excluded.sealed`, string(n.ID), string(field),
				orEmpty(secret)); err != nil {
				return err
			}
		}
		if len(sealed) == 0 || row.outcome != "" || !row.enabled {
			return nil
		}
		if _, err := c.exec(ctx, "UPDATE poll_schedule SET state = ?, failures = 0, code = '', detail = '', since_ms = 0, "+
			"proven = 0 WHERE route_id = ?", states.code(account.OK), string(n.ID)); err != nil {
			return err
		}
		return fence(ctx, c, n.ID, true, 0, r.s.now().UnixMilli(), 0)
	})
}

// Remove forgets a copy: see transfer.Repository. Its journal is pruned later, and never taken up again.
func (r Copies) Remove(ctx context.Context, o owner.Owner, id transfer.ID) error {
	if !isID(string(id)) {
		return transfer.ErrNotFound
	}
	return r.s.write(ctx, "forgetting a copy", func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, o); err != nil {
			return err
		}
		sc, err := r.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		c := r.s.on(tx)
		row, err := r.s.copy(ctx, c, o, id)
		if err != nil {
			return err
		}
		if err := r.drop(ctx, c, id); err != nil {
			return err
		}
		if err := r.s.retire(ctx, tx, sc.journal, sc.epoch+1, false); err != nil {
			return err
		}
		if err := r.s.forgetOwner(tx, o); err != nil {
			return err
		}
		return r.s.record(ctx, c, aboutCopy(audit.CopyDeleted, row.copy))
	})
}

func (r Copies) drop(ctx context.Context, c sqlConn, id transfer.ID) error {
	for _, stmt := range []string{
		"DELETE FROM copies WHERE id = ?", "DELETE FROM secrets WHERE subject = ?", "DELETE FROM runs WHERE account_id = ?",
		"DELETE FROM poll_schedule WHERE route_id = ?",
	} {
		if _, err := c.exec(ctx, stmt, string(id)); err != nil {
			return err
		}
	}
	return nil
}

// dropCopies forgets all copies of a user; who works at one is fenced.
func (s *Store) dropCopies(ctx context.Context, c sqlConn, o owner.Owner) error {
	rows, err := s.copies(ctx, c, "WHERE c.owner = ?", o.String())
	for _, row := range rows {
		if err == nil {
			err = s.Copies().drop(ctx, c, row.copy.ID)
		}
	}
	return err
}

// HasSecrets reports whether a copy has what it signs in with: see transfer.Repository.
func (r Copies) HasSecrets(ctx context.Context, o owner.Owner, id transfer.ID) (bool, error) {
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	if err != nil {
		return false, r.s.wrap(ctx, "loading a copy", err)
	}
	n, needed := 0, 2
	if row.copy.Local() {
		needed = 1
	}
	err = r.s.on(r.s.r).each(ctx, scanInto(&n), "SELECT count(*) FROM secrets WHERE subject = ?", string(id))
	return n >= needed, r.s.wrap(ctx, "looking for a copy's passwords", err)
}

// ByCode finds a copy by its source and code: see transfer.Repository.
func (r Copies) ByCode(ctx context.Context, source string, code [32]byte) (transfer.Copy, error) {
	rows, err := r.s.copies(ctx, r.s.on(r.s.r), "WHERE c.source_email = ? AND c.code = ? ORDER BY "+
		"c.created_ms DESC LIMIT 1", storable(owner.FoldASCII(source)), code[:])
	if err == nil && len(rows) == 0 {
		err = transfer.ErrNotFound
	}
	if err != nil {
		return transfer.Copy{}, r.s.wrap(ctx, "looking for a copy by its code", err)
	}
	return rows[0].copy, nil
}

// EraseSecrets erases the passwords of copies that ended so long ago that nobody needs them any more: a chore.
func (r Copies) EraseSecrets(ctx context.Context) error {
	return r.s.write(ctx, "erasing the passwords of ended copies", func(tx *gorm.DB) error {
		c, now := r.s.on(tx), r.s.now().UnixMilli()
		if _, err := c.exec(ctx, `DELETE FROM secrets WHERE subject IN
			(SELECT id FROM copies WHERE erase_ms > 0 AND erase_ms <= ?)`, now); err != nil {
			return err
		}
		_, err := c.exec(ctx, "UPDATE copies SET erase_ms = 0 WHERE erase_ms > 0 AND erase_ms <= ?", now)
		return err
	})
}

// Leased returns the copy that a lease is of.
func (r Copies) Leased(ctx context.Context, l fetch.Lease) (transfer.Copy, transfer.Phase, error) {
	row, err := r.s.copy(ctx, r.s.on(r.s.r), l.Route.Owner, l.Route.ID)
	return row.copy, row.phase, r.s.wrap(ctx, "loading a copy", err)
}

// Enter notes, under a lease, in which phase a copy is, and that it was begun.
func (r Copies) Enter(ctx context.Context, l fetch.Lease, phase transfer.Phase) error {
	return r.s.write(ctx, "noting the phase of a copy", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := r.s.hold(ctx, c, l, nil); err != nil {
			return err
		}
		_, err := c.exec(ctx, `UPDATE copies SET phase = ?, started_ms = CASE WHEN started_ms = 0 THEN CAST(? AS BIGINT)
			ELSE started_ms END WHERE id = ?`, copyPhases.code(phase), r.s.now().UnixMilli(), string(l.Route.ID))
		return err
	})
}

// Worked notes, under a lease, what a slice of work came to.
func (r Copies) Worked(ctx context.Context, l fetch.Lease, w transfer.Work) error {
	return r.s.write(ctx, "noting the work of a copy", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := r.s.hold(ctx, c, l, nil); err != nil {
			return err
		}
		_, err := c.exec(ctx, `UPDATE copies SET worked_ms = worked_ms + ?, ambiguous = ambiguous + ?,
			keywords = keywords + ?, rewritten = CASE WHEN CAST(? AS INTEGER) = 1 THEN 1 ELSE rewritten END WHERE id = ?`,
			w.Took.Milliseconds(), w.Ambiguous, w.Keywords, flag(w.Rewritten), string(l.Route.ID))
		return err
	})
}

// Verified writes, under a lease, what a verification found, and ends the copy.
func (r Copies) Verified(ctx context.Context, l fetch.Lease, how transfer.Verify, t transfer.Totals,
	grade transfer.Grade, as transfer.State, erase time.Time,
) error {
	return r.s.write(ctx, "ending a copy", func(tx *gorm.DB) error {
		c := r.s.on(tx)
		if _, err := r.s.hold(ctx, c, l, nil); err != nil {
			return err
		}
		now := r.s.now().UnixMilli()
		_, err := c.exec(ctx, `UPDATE copies SET moved = ?, missing = ?, altered = ?, digests = ?, grade = ?,
			verified_ms = ?, verified_how = ?, outcome = ?, ended_ms = ?, erase_ms = ? WHERE id = ?`, t.MovedOrDeleted,
			t.Missing, t.Altered, t.VerifiedByDigest, copyGrades.code(grade), now, copyWays.code(how), copyStates.code(as),
			now, toMillis(erase), string(l.Route.ID))
		return err
	})
}

var copyWays = enum[transfer.Verify]{transfer.VerifyQuick, transfer.VerifySample, transfer.VerifyFull}
