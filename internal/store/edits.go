package store

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// journalRef is what the schedule knows of a journal.
type journalRef struct {
	id         int64
	leaseEpoch int64
}

// takeUp puts the retired journal of the same remote into use again, or makes
// a new one under the identity given.
func (s *Store) takeUp(ctx context.Context, tx *gorm.DB, row accountRow, fresh string) (j journalRef, err error) {
	c := s.on(tx)
	// The update skips what a prune has just marked, hence the condition again.
	err = c.each(ctx, scanInto(&j.id, &j.leaseEpoch), `UPDATE journals SET retired_ms = 0 WHERE retired_ms > 1 AND id = (
		SELECT id FROM journals WHERE owner = ? AND retired_ms > ? AND protocol = ? AND host = ? AND port = ? AND username = ?
		ORDER BY retired_ms DESC, id DESC LIMIT 1) RETURNING id, lease_epoch`,
		row.Owner, max(1, s.now().Add(-journalKept).UnixMilli()), row.Protocol, row.Host, row.Port, row.Username)
	if err != nil || j.id != 0 {
		return j, err
	}
	err = c.row(ctx, `INSERT INTO journals (uuid, owner, protocol, host, port, username) VALUES (?, ?, ?, ?, ?, ?)
		RETURNING id, lease_epoch`,
		fresh, row.Owner, row.Protocol, row.Host, row.Port, row.Username).Scan(&j.id, &j.leaseEpoch)
	return j, err
}

// retire keeps a journal without an account; its epoch continues where the
// account's left off, as spool files and batches are named by it.
func (s *Store) retire(ctx context.Context, tx *gorm.DB, id, leaseEpoch int64, keep bool) error {
	when := int64(1) // To be forgotten, whenever that was.
	if keep {
		when = max(2, s.now().UnixMilli())
	}
	_, err := s.on(tx).exec(ctx, "UPDATE journals SET retired_ms = ?, lease_epoch = ? WHERE id = ?", when, leaseEpoch, id)
	return err
}

// scheduled is the part of a schedule row that edits look at.
type scheduled struct {
	journal    int64
	epoch      int64
	dueAt      int64
	leaseOwner string
	leaseUntil int64
	attempted  int64
	aborted    int
	requested  int64
	state      int16
	failures   int
}

// waits reports whether the account waits for its user. One whose login was
// changed since has no failures.
func (sc scheduled) waits() bool {
	return sc.state == states.code(account.NeedsAttention) && sc.failures > 0
}

// lockSchedule reads an account's schedule row and holds it against claims and
// journal writes until the transaction ends.
func (s *Store) lockSchedule(ctx context.Context, tx *gorm.DB, o owner.Owner,
	id account.ID,
) (sc scheduled, err error) {
	query := `SELECT journal_id, lease_epoch, due_at_ms, lease_owner, lease_until_ms, last_attempt_ms, aborted, hurried_ms,
		state, failures FROM poll_schedule WHERE route_id = ? AND owner = ?`
	if s.postgres {
		query += " FOR NO KEY UPDATE"
	}
	found := false
	err = s.on(tx).each(ctx, func(r rowScanner) error {
		found = true
		return r.Scan(&sc.journal, &sc.epoch, &sc.dueAt, &sc.leaseOwner, &sc.leaseUntil, &sc.attempted, &sc.aborted,
			&sc.requested, &sc.state, &sc.failures)
	}, query, string(id), o.String())
	if err == nil {
		s.hear()
	}
	if err == nil && !found {
		err = account.ErrNotFound
	}
	return sc, err
}

// Update replaces an account's settings: see account.Repository. Switching the
// account off fences a visit under way too.
func (r Accounts) Update(ctx context.Context, a account.Account, sealed []byte,
	dueNow bool,
) (updated account.Account, err error) {
	if !isID(string(a.ID)) {
		return account.Account{}, account.ErrNotFound
	}
	err = r.s.write(ctx, "saving an account", func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, a.Owner); err != nil {
			return err
		}
		old, err := r.s.account(tx, a.Owner, a.ID)
		if err != nil {
			return err
		}
		if old.SettingsEpoch != a.SettingsEpoch {
			return account.ErrChanged
		}
		others, err := r.s.accounts(tx, "WHERE a.owner = ?", a.Owner.String())
		if err != nil {
			return err
		}
		if err := a.Clash(others); err != nil {
			return err
		}
		row, err := newAccountRow(a)
		if err != nil {
			return err
		}
		row.SettingsEpoch++
		if err := tx.Model(&accountRow{}).Where("id = ? AND owner = ?", row.ID, row.Owner).Updates(
			row.settings()).Error; err != nil {
			return err
		}
		if sealed != nil {
			if _, err := r.s.on(tx).exec(ctx, "UPDATE secrets SET sealed = ? WHERE subject = ? AND field = ?", sealed,
				row.ID, string(remote.SignsIn)); err != nil {
				return err
			}
		}
		if err := r.s.reschedule(ctx, tx, old, a, row, sealed != nil, dueNow); err != nil {
			return err
		}
		if updated, err = r.s.account(tx, a.Owner, a.ID); err != nil {
			return err
		}
		act := edited(old, updated, sealed != nil)
		if nothingChanged(act) {
			return nil
		}
		return r.s.record(ctx, r.s.on(tx), act)
	})
	return updated, r.s.intoFile(ctx, err)
}

// reschedule brings schedule and journal in line with an edit.
func (s *Store) reschedule(ctx context.Context, tx *gorm.DB, old, a account.Account, row accountRow, newSecret,
	atOnce bool,
) error {
	sc, err := s.lockSchedule(ctx, tx, a.Owner, a.ID)
	if err != nil {
		return err
	}
	now, then := s.now().UnixMilli(), account.Edited(old, a, newSecret)
	live := sc.leaseOwner != "" && sc.leaseUntil > now
	set := map[string]any{
		"host_key": schedule.HostKey(a.Server), "circuit": schedule.CircuitKey(a.Server),
		"enabled": flag(a.Enabled), "paused_ms": toMillis(a.Pause.At), "paused_by": pausedBy(a),
	}
	if then.Remote {
		set["failures"], set["proven"] = 0, 0
	}
	if old.Protocol != a.Protocol || schedule.CircuitKey(old.Server) != schedule.CircuitKey(a.Server) {
		set["slow"] = gorm.Expr("CASE WHEN slow > 1 THEN slow ELSE 1 END")
	}
	epoch := sc.epoch
	if then.Fence {
		epoch++
		if sc.leaseOwner != "" && !live {
			// The edit takes away what the next claim would have seen.
			set["aborted"] = sc.aborted + s.lostWith(sc.leaseOwner, "", sc.leaseUntil)
		}
		set["lease_owner"], set["lease_until_ms"] = "", 0
		set["progress_folder"], set["progress_done"], set["progress_total"], set["progress_bytes"] = "", 0, 0, 0
	}
	switch then.Due(old, a, account.Scheduled{Visited: live, Planned: sc.dueAt != never, NeedsUser: sc.waits()}, atOnce) {
	case account.DueNever:
		set["due_at_ms"], set["hurried_ms"] = int64(never), 0
	case account.DueAfterVisit:
		set["hurried_ms"] = now
	case account.DueAtOnce:
		set["due_at_ms"], set["hurried_ms"] = 0, now
	case account.DueNow:
		set["due_at_ms"], set["hurried_ms"] = now, 0
	case account.DueSooner:
		set["due_at_ms"] = min(sc.dueAt, now+row.PollIntervalMS)
	case account.DueAsPlanned:
	}
	j, err := s.moveJournal(ctx, tx, then.Journal, row, journalRef{sc.journal, epoch})
	if err != nil {
		return err
	}
	if then.Larger {
		if err := s.allow(ctx, s.on(tx), j.id, a.MaxMessageBytes, s.now()); err != nil {
			return err
		}
	}
	set["journal_id"], set["lease_epoch"] = j.id, j.leaseEpoch
	return tx.Table("poll_schedule").Where("route_id = ?", row.ID).Updates(set).Error
}

// moveJournal gives an edited account the journal that it continues with.
func (s *Store) moveJournal(ctx context.Context, tx *gorm.DB, step account.JournalStep, row accountRow,
	j journalRef,
) (journalRef, error) {
	c := s.on(tx)
	switch step {
	case account.JournalStays:
		return j, nil
	case account.JournalRenamed, account.JournalCompared:
		_, err := c.exec(ctx, "UPDATE journals SET protocol = ?, host = ?, port = ?, username = ?, capabilities = '' "+
			"WHERE id = ?", row.Protocol, row.Host, row.Port, row.Username, j.id)
		if err == nil && step == account.JournalCompared {
			_, err = c.exec(ctx, "UPDATE folders SET next_uid = 0, counted = 0, listing = ?, full_scan_ms = 0 WHERE "+
				"journal_id = ?", []byte{}, j.id)
		}
		return j, err
	case account.JournalReplaced:
	}
	if err := s.retire(ctx, tx, j.id, j.leaseEpoch, true); err != nil {
		return j, err
	}
	next, err := s.takeUp(ctx, tx, row, uuid.NewString())
	if err == nil {
		err = s.carryOver(ctx, c, j.id, next.id)
	}
	// Past both epochs: the fence must hold, and so must the names in the spool.
	next.leaseEpoch = max(next.leaseEpoch, j.leaseEpoch) + 1
	return next, err
}

// carryOver has what an account's former journal counts count in the one that it continues
// with: the mail lies in the account's folder all the same.
func (s *Store) carryOver(ctx context.Context, c sqlConn, from, to int64) error {
	var messages, bytes int64
	if err := c.row(ctx, "SELECT messages, bytes FROM journals WHERE id = ?", from).Scan(&messages, &bytes); err != nil {
		return err
	}
	if _, err := c.exec(ctx, "UPDATE journals SET messages = 0, bytes = 0 WHERE id = ?", from); err != nil {
		return err
	}
	_, err := c.exec(ctx, "UPDATE journals SET messages = messages + ?, bytes = bytes + ? WHERE id = ?", messages,
		bytes, to)
	return err
}
