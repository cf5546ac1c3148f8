package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// journalKept is how long the journal of a removed account is kept.
const journalKept = 30 * 24 * time.Hour

// Accounts keeps accounts for package account. Whatever it is asked, it names
// the owner in the statement.
type Accounts struct{ s *Store }

var _ account.Repository = Accounts{}

// Accounts returns the owner's accounts, oldest first.
func (r Accounts) Accounts(ctx context.Context, o owner.Owner) ([]account.Account, error) {
	as, err := r.s.told(r.s.r.WithContext(ctx), "WHERE a.owner = ? ORDER BY a.created_ms, a.id", o.String())
	if err == nil && len(as) == 0 {
		err = r.s.nothing(ctx)
	}
	return as, r.s.wrap(ctx, "loading accounts", err)
}

// Account returns one account, or account.ErrNotFound.
func (r Accounts) Account(ctx context.Context, o owner.Owner, id account.ID) (account.Account, error) {
	a, err := r.s.account(r.s.r.WithContext(ctx), o, id)
	return a, r.s.wrap(ctx, "loading an account", err)
}

func (s *Store) account(db *gorm.DB, o owner.Owner, id account.ID) (account.Account, error) {
	if !isID(string(id)) {
		return account.Account{}, account.ErrNotFound
	}
	as, err := s.told(db, "WHERE a.owner = ? AND a.id = ?", o.String(), string(id))
	if err == nil && len(as) == 0 {
		err = account.ErrNotFound
	}
	if err != nil {
		return account.Account{}, err
	}
	return as[0], nil
}

// Any finds an account by its id alone, or returns account.ErrNotFound: for the
// operator at the command line, to whom every account is open. What serves
// users names the owner.
func (r Accounts) Any(ctx context.Context, id account.ID) (account.Account, error) {
	const op = "loading an account"
	if !isID(string(id)) {
		return account.Account{}, account.ErrNotFound
	}
	as, err := r.s.told(r.s.r.WithContext(ctx), "WHERE a.id = ?", string(id))
	if err == nil && len(as) == 0 {
		err = account.ErrNotFound
	}
	if err != nil {
		return account.Account{}, r.s.wrap(ctx, op, err)
	}
	return as[0], nil
}

// Add saves a new account: see account.Repository.
func (r Accounts) Add(ctx context.Context, a account.Account, sealed []byte,
	limit int,
) (added account.Account, err error) {
	if a.Owner.IsZero() || !isID(string(a.ID)) || !isID(a.Journal) {
		return account.Account{}, r.s.wrap(ctx, "adding an account", errors.New("it has no owner or no proper identity"))
	}
	err = r.s.write(ctx, "adding an account", func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, a.Owner); err != nil {
			return err
		}
		if err := r.s.refuseRemoved(ctx, r.s.on(tx), a.Owner, a.CreatedAt); err != nil {
			return err
		}
		if _, _, err := r.s.changeLocked(tx, a.Owner, nothingElse); err != nil { // It may be new, and get the default.
			return err
		}
		others, err := r.s.accounts(tx, "WHERE a.owner = ?", a.Owner.String())
		if err != nil {
			return err
		}
		if slices.ContainsFunc(others, func(b account.Account) bool { return a.ID == b.ID }) {
			return account.ErrExists
		}
		if len(others) >= limit {
			return account.ErrLimitReached
		}
		if err := a.Clash(others); err != nil {
			return err
		}
		row, err := newAccountRow(a)
		if err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		c := r.s.on(tx)
		if _, err := c.exec(ctx, "INSERT INTO secrets (subject, field, sealed) VALUES (?, ?, ?)", row.ID,
			string(remote.SignsIn), orEmpty(sealed)); err != nil {
			return err
		}
		j, err := r.s.takeUp(ctx, tx, row, a.Journal)
		if err != nil {
			return err
		}
		due, requested := int64(never), int64(0)
		if a.Enabled {
			due, requested = 0, r.s.now().UnixMilli()
		}
		_, err = c.exec(ctx, `INSERT INTO poll_schedule (route_id, kind, journal_id, owner, host_key, circuit,
			enabled, due_at_ms, hurried_ms, lease_epoch, paused_ms, paused_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			row.ID, kinds.code(route.Keep), j.id, row.Owner, schedule.HostKey(a.Server), schedule.CircuitKey(a.Server),
			flag(a.Enabled), due, requested, j.leaseEpoch, toMillis(a.Pause.At), pausedBy(a))
		if err != nil {
			return err
		}
		if err := r.s.noteAdded(ctx, c); err != nil {
			return err
		}
		if added, err = r.s.account(tx, a.Owner, a.ID); err != nil {
			return err
		}
		return r.s.record(ctx, c, AboutAccount(audit.AccountAdded, added))
	})
	return added, r.s.intoFile(ctx, err)
}

// lockOwner makes whoever adds or edits this owner's accounts wait for us.
func (s *Store) lockOwner(tx *gorm.DB, o owner.Owner) error {
	// An update, where the row is there already, so that it is locked either way.
	_, err := s.on(tx).exec(tx.Statement.Context, "INSERT INTO owners (owner) VALUES (?) ON CONFLICT (owner) DO UPDATE "+
		"SET owner = excluded.owner", o.String())
	return err
}

// forgetOwner removes the owner's row when nothing is to be remembered of it.
func (s *Store) forgetOwner(tx *gorm.DB, o owner.Owner) error {
	_, err := s.on(tx).exec(tx.Statement.Context,
		`DELETE FROM owners WHERE owner = ? AND set_by <> ? AND used_ms = 0 AND mailbox_ms = 0
		AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.owner = owners.owner)`, o.String(), setForUser)
	return err
}

// dropAccount deletes what is an account's alone; a visit under way is fenced.
func (s *Store) dropAccount(ctx context.Context, tx *gorm.DB, id account.ID, sc scheduled, keepJournal bool) error {
	c := s.on(tx)
	for _, stmt := range []string{
		"DELETE FROM accounts WHERE id = ?",
		"DELETE FROM secrets WHERE subject = ?",
		"DELETE FROM runs WHERE account_id = ?",
		"DELETE FROM poll_schedule WHERE route_id = ?",
	} {
		if _, err := c.exec(ctx, stmt, string(id)); err != nil {
			return err
		}
	}
	if err := s.retire(ctx, tx, sc.journal, sc.epoch+1, keepJournal); err != nil {
		return err
	}
	return s.noteRemoved(ctx, c)
}

// Remove deletes an account: see account.Repository.
func (r Accounts) Remove(ctx context.Context, o owner.Owner, id account.ID, keepJournal bool,
	match account.Match,
) error {
	if !isID(string(id)) {
		return account.ErrNotFound
	}
	err := r.s.write(ctx, "removing an account", func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, o); err != nil {
			return err
		}
		sc, err := r.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		a, err := r.s.account(tx, o, id)
		if err == nil && match != nil {
			err = match.Check(a.Version())
		}
		if err != nil {
			return err
		}
		if err := r.s.dropAccount(ctx, tx, id, sc, keepJournal); err != nil {
			return err
		}
		if err := r.s.forgetOwner(tx, o); err != nil {
			return err
		}
		e := AboutAccount(audit.AccountDeleted, a)
		e.Details["mail"] = mailWord(!keepJournal)
		return r.s.record(ctx, r.s.on(tx), e)
	})
	return r.s.intoFile(ctx, err)
}

// subjects are all that secrets are of, with their owners.
const subjects = "(SELECT id, owner FROM accounts UNION ALL SELECT id, owner FROM copies)"

// SealedSecret returns what Add or Update was given.
func (r Accounts) SealedSecret(ctx context.Context, ref remote.SecretRef) ([]byte, error) {
	if !isID(ref.Subject) {
		return nil, account.ErrNotFound
	}
	var sealed []byte
	err := r.s.on(r.s.r).each(ctx, scanInto(&sealed),
		`SELECT s.sealed FROM secrets s JOIN `+subjects+` a ON a.id = s.subject
		WHERE s.subject = ? AND s.field = ? AND a.owner = ?`, ref.Subject, string(ref.Field), ref.Owner.String())
	if err == nil && sealed == nil {
		err = account.ErrNotFound
	}
	return sealed, r.s.wrap(ctx, "loading a sealed secret", err)
}

// Hurry makes the account due now; one that is switched off stays so, one that
// is being visited is visited again, and one whose visits ended with their process
// comes when its pause is over: nobody can bring that about at will. What could not
// be read and waits is tried too.
func (r Accounts) Hurry(ctx context.Context, o owner.Owner, id account.ID) error {
	if !isID(string(id)) {
		return account.ErrNotFound
	}
	return r.s.write(ctx, "making an account due", func(tx *gorm.DB) error {
		sc, err := r.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		if err := r.s.tryWaiting(ctx, r.s.on(tx), sc.journal); err != nil {
			return err
		}
		if err := r.s.requestVisit(ctx, r.s.on(tx), o, id); err != nil {
			return err
		}
		return r.s.recordForeign(ctx, r.s.on(tx), audit.Entry{Action: audit.AccountFetched, User: o, Account: id})
	})
}

// tryWaiting has a journal's next visit try what could not be read before, but for
// what a limit keeps away.
func (s *Store) tryWaiting(ctx context.Context, c sqlConn, journal int64) error {
	now := s.now().UnixMilli()
	_, err := c.exec(ctx, `UPDATE skipped SET next_ms = ? WHERE held = 0 AND next_ms > ?
		AND folder_id IN (SELECT id FROM folders WHERE journal_id = ?)`, now, now, journal)
	return err
}

// requestVisit makes an account due now: see Accounts.Hurry.
func (s *Store) requestVisit(ctx context.Context, c sqlConn, o owner.Owner, id account.ID) error {
	now := s.now().UnixMilli()
	n, err := c.exec(ctx, `UPDATE poll_schedule SET
		hurried_ms = CASE WHEN enabled = 0 THEN 0 ELSE CAST(? AS BIGINT) END,
		due_at_ms = CASE WHEN enabled = 0 OR aborted > ? OR lease_owner <> '' AND lease_until_ms > ? THEN due_at_ms ELSE 0 END
		WHERE route_id = ? AND owner = ?`, now, schedule.AbortedAlone, now, string(id), o.String())
	if err == nil && n == 0 {
		err = account.ErrNotFound
	}
	return err
}

// FolderInfos returns the remote folders of an account, in the order in which
// they were first seen.
func (r Accounts) FolderInfos(ctx context.Context, o owner.Owner, id account.ID) ([]account.FolderInfo, error) {
	journal, err := r.owned(ctx, o, id)
	if err != nil {
		return nil, err
	}
	var out []account.FolderInfo
	err = r.s.on(r.s.r).each(ctx, func(row rowScanner) error {
		var f account.FolderInfo
		var selected, leadsBack, shared int16
		err := row.Scan(&f.RemoteName, &f.LocalName, &f.SpecialUse, &selected, &f.Messages, &f.Fetched, &leadsBack, &shared)
		f.Selected, f.LeadsBack, f.Shared = selected != 0, leadsBack != 0, shared != 0
		out = append(out, f)
		return err
	}, "SELECT remote, local, special_use, selected, remaining, fetched, leads_back, shared FROM folders "+
		"WHERE journal_id = ? ORDER BY id", journal)
	return out, r.s.wrap(ctx, "loading folders", err)
}

// owned returns the journal of an account, or account.ErrNotFound.
func (r Accounts) owned(ctx context.Context, o owner.Owner, id account.ID) (journal int64, err error) {
	if !isID(string(id)) {
		return 0, account.ErrNotFound
	}
	err = r.s.on(r.s.r).each(ctx, scanInto(&journal), "SELECT journal_id FROM poll_schedule WHERE route_id = ? AND "+
		"owner = ?", string(id), o.String())
	if err == nil && journal == 0 {
		err = account.ErrNotFound
	}
	return journal, r.s.wrap(ctx, "loading an account", err)
}

// orEmpty keeps a missing value from becoming NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
