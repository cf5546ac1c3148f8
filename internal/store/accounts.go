package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// JournalKept is how long the journal of a removed account is kept.
const JournalKept = 30 * 24 * time.Hour

// Accounts keeps accounts for package account. Whatever it is asked, it names
// the owner in the statement.
type Accounts struct{ s *Store }

var _ account.Repository = Accounts{}

// Accounts returns the owner's accounts, oldest first.
func (r Accounts) Accounts(ctx context.Context, o account.Owner) ([]account.Account, error) {
	as, err := r.s.told(r.s.r.WithContext(ctx), "WHERE a.owner = ? ORDER BY a.created_ms, a.id", o.String())
	if err == nil && len(as) == 0 {
		err = r.s.nothing(ctx)
	}
	return as, r.s.wrap(ctx, "loading accounts", err)
}

// Account returns one account, or account.ErrNotFound.
func (r Accounts) Account(ctx context.Context, o account.Owner, id account.ID) (account.Account, error) {
	a, err := r.s.account(r.s.r.WithContext(ctx), o, id)
	return a, r.s.wrap(ctx, "loading an account", err)
}

func (s *Store) account(db *gorm.DB, o account.Owner, id account.ID) (account.Account, error) {
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
		if _, err := c.exec(ctx, "INSERT INTO secrets (account_id, sealed) VALUES (?, ?)", row.ID,
			orEmpty(sealed)); err != nil {
			return err
		}
		j, err := r.s.takeUp(ctx, tx, row, a.Journal)
		if err != nil {
			return err
		}
		due, hurried := int64(never), int64(0)
		if a.Enabled {
			due, hurried = 0, r.s.now().UnixMilli()
		}
		_, err = c.exec(ctx, `INSERT INTO poll_schedule (account_id, journal_id, owner, host_key, circuit,
			enabled, due_at_ms, hurried_ms, lease_epoch, paused_ms, paused_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			row.ID, j.id, row.Owner, schedule.HostKey(a), schedule.CircuitKey(a),
			flag(a.Enabled), due, hurried, j.leaseEpoch, toMillis(a.Pause.At), pausedBy(a))
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
func (s *Store) lockOwner(tx *gorm.DB, o account.Owner) error {
	// An update, where the row is there already, so that it is locked either way.
	_, err := s.on(tx).exec(tx.Statement.Context, "INSERT INTO owners (owner) VALUES (?) ON CONFLICT (owner) DO UPDATE "+
		"SET owner = excluded.owner", o.String())
	return err
}

// forgetOwner removes the owner's row when nothing is to be remembered of it.
func (s *Store) forgetOwner(tx *gorm.DB, o account.Owner) error {
	_, err := s.on(tx).exec(tx.Statement.Context,
		`DELETE FROM owners WHERE owner = ? AND set_by <> ? AND used_ms = 0 AND mailbox_ms = 0
		AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.owner = owners.owner)`, o.String(), setForUser)
	return err
}

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
		row.Owner, max(1, s.now().Add(-JournalKept).UnixMilli()), row.Protocol, row.Host, row.Port, row.Username)
	if err != nil || j.id != 0 {
		return j, err
	}
	err = c.row(ctx, `INSERT INTO journals (uuid, owner, protocol, host, port, username) VALUES (?, ?, ?, ?, ?, ?)
		RETURNING id, lease_epoch`,
		fresh, row.Owner, row.Protocol, row.Host, row.Port, row.Username).Scan(&j.id, &j.leaseEpoch)
	return j, err
}

// retire keeps a journal without an account; its epoch goes on where the
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
	hurried    int64
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
func (s *Store) lockSchedule(ctx context.Context, tx *gorm.DB, o account.Owner,
	id account.ID,
) (sc scheduled, err error) {
	query := `SELECT journal_id, lease_epoch, due_at_ms, lease_owner, lease_until_ms, last_attempt_ms, aborted, hurried_ms,
		state, failures FROM poll_schedule WHERE account_id = ? AND owner = ?`
	if s.postgres {
		query += " FOR NO KEY UPDATE"
	}
	found := false
	err = s.on(tx).each(ctx, func(r rowScanner) error {
		found = true
		return r.Scan(&sc.journal, &sc.epoch, &sc.dueAt, &sc.leaseOwner, &sc.leaseUntil, &sc.attempted, &sc.aborted,
			&sc.hurried, &sc.state, &sc.failures)
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
			if _, err := r.s.on(tx).exec(ctx, "UPDATE secrets SET sealed = ? WHERE account_id = ?", sealed, row.ID); err != nil {
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
		"host_key": schedule.HostKey(a), "circuit": schedule.CircuitKey(a),
		"enabled": flag(a.Enabled), "paused_ms": toMillis(a.Pause.At), "paused_by": pausedBy(a),
	}
	if then.Remote {
		set["failures"], set["proven"] = 0, 0
	}
	if old.Protocol != a.Protocol || schedule.CircuitKey(old) != schedule.CircuitKey(a) {
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
	return tx.Table("poll_schedule").Where("account_id = ?", row.ID).Updates(set).Error
}

// moveJournal gives an edited account the journal that it goes on with.
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

// carryOver has what an account's former journal counts count in the one that it goes on
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

// dropAccount deletes what is an account's alone; a visit under way is fenced.
func (s *Store) dropAccount(ctx context.Context, tx *gorm.DB, id account.ID, sc scheduled, keepJournal bool) error {
	c := s.on(tx)
	for _, stmt := range []string{
		"DELETE FROM accounts WHERE id = ?",
		"DELETE FROM secrets WHERE account_id = ?",
		"DELETE FROM runs WHERE account_id = ?",
		"DELETE FROM poll_schedule WHERE account_id = ?",
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
func (r Accounts) Remove(ctx context.Context, o account.Owner, id account.ID, keepJournal bool,
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

// SealedSecret returns what Add or Update was given.
func (r Accounts) SealedSecret(ctx context.Context, o account.Owner, id account.ID) ([]byte, error) {
	if !isID(string(id)) {
		return nil, account.ErrNotFound
	}
	var sealed []byte
	err := r.s.on(r.s.r).each(ctx, scanInto(&sealed),
		"SELECT s.sealed FROM secrets s JOIN accounts a ON a.id = s.account_id WHERE a.id = ? AND a.owner = ?", string(id),
		o.String())
	if err == nil && sealed == nil {
		err = account.ErrNotFound
	}
	return sealed, r.s.wrap(ctx, "loading a sealed secret", err)
}

// Hurry makes the account due now; one that is switched off stays so, one that
// is being visited is visited again, and one whose visits ended with their process
// comes when its pause is over: nobody can bring that about at will. What could not
// be read and waits is tried too.
func (r Accounts) Hurry(ctx context.Context, o account.Owner, id account.ID) error {
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
		if err := r.s.hurry(ctx, r.s.on(tx), o, id); err != nil {
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

func (s *Store) hurry(ctx context.Context, c sqlConn, o account.Owner, id account.ID) error {
	now := s.now().UnixMilli()
	n, err := c.exec(ctx, `UPDATE poll_schedule SET
		hurried_ms = CASE WHEN enabled = 0 THEN 0 ELSE CAST(? AS BIGINT) END,
		due_at_ms = CASE WHEN enabled = 0 OR aborted > ? OR lease_owner <> '' AND lease_until_ms > ? THEN due_at_ms ELSE 0 END
		WHERE account_id = ? AND owner = ?`, now, schedule.AbortedAlone, now, string(id), o.String())
	if err == nil && n == 0 {
		err = account.ErrNotFound
	}
	return err
}

// FolderInfos returns the remote folders of an account, in the order in which
// they were first seen.
func (r Accounts) FolderInfos(ctx context.Context, o account.Owner, id account.ID) ([]account.FolderInfo, error) {
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
func (r Accounts) owned(ctx context.Context, o account.Owner, id account.ID) (journal int64, err error) {
	if !isID(string(id)) {
		return 0, account.ErrNotFound
	}
	err = r.s.on(r.s.r).each(ctx, scanInto(&journal), "SELECT journal_id FROM poll_schedule WHERE account_id = ? AND "+
		"owner = ?", string(id), o.String())
	if err == nil && journal == 0 {
		err = account.ErrNotFound
	}
	return journal, r.s.wrap(ctx, "loading an account", err)
}

// maxRuns bounds what one call of Runs returns.
const maxRuns = 1000

// Runs returns up to limit visits, newest first: the one under way, the last
// one whether it was worth a row or not, and those that were.
func (r Accounts) Runs(ctx context.Context, o account.Owner, id account.ID, limit int) ([]account.Run, error) {
	if _, err := r.owned(ctx, o, id); err != nil {
		return nil, err
	}
	limit = min(limit, maxRuns)
	if limit <= 0 {
		return nil, nil
	}
	out, err := r.s.latestRuns(ctx, id)
	if err != nil {
		return nil, r.s.wrap(ctx, "loading visits", err)
	}
	seen := map[string]bool{}
	for _, run := range out {
		seen[run.ID] = true
	}
	err = r.s.on(r.s.r).each(ctx, func(row rowScanner) error {
		var x runColumns
		if err := row.Scan(x.dest()...); err != nil {
			return err
		}
		if !seen[x.id] {
			out = append(out, x.run())
		}
		return nil
	}, "SELECT id, started_ms, finished_ms, ok, messages, bytes, code, detail, since_ms FROM runs WHERE account_id = ? "+
		"ORDER BY started_ms DESC, id DESC LIMIT ?", string(id), limit)
	if err != nil {
		return nil, r.s.wrap(ctx, "loading visits", err)
	}
	slices.SortStableFunc(out, func(a, b account.Run) int { return b.StartedAt.Compare(a.StartedAt) })
	return out[:min(limit, len(out))], nil
}

// latestRuns returns what the schedule's row knows: the visit under way, and
// the last one that ended.
func (s *Store) latestRuns(ctx context.Context, id account.ID) ([]account.Run, error) {
	var out []account.Run
	err := s.on(s.r).each(ctx, func(row rowScanner) error {
		var x runColumns
		var owner string
		var epoch, until, started, done, bytes int64
		if err := row.Scan(append([]any{&owner, &epoch, &until, &started, &done, &bytes}, x.dest()...)...); err != nil {
			return err
		}
		if owner != "" && until > s.now().UnixMilli() {
			out = append(out, account.Run{ID: runID(id, epoch), StartedAt: fromMillis(started), Messages: done, Bytes: bytes})
		}
		if x.finished != 0 {
			out = append(out, x.run())
		}
		return nil
	}, `SELECT lease_owner, lease_epoch, lease_until_ms, started_ms, progress_done, progress_bytes,
		run_id, run_started_ms, run_finished_ms, run_ok, run_messages, run_bytes, run_code, run_detail, run_since_ms
		FROM poll_schedule WHERE account_id = ?`, string(id))
	return out, err
}

// runID names a visit by account and lease, so that it bears one name from
// claim to end.
func runID(id account.ID, epoch int64) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", id, epoch)).String()
}

type runColumns struct {
	id                string
	started, finished int64
	ok                int16
	messages, bytes   int64
	code, detail      string
	since             int64
}

func (x *runColumns) dest() []any {
	return []any{&x.id, &x.started, &x.finished, &x.ok, &x.messages, &x.bytes, &x.code, &x.detail, &x.since}
}

func (x *runColumns) run() account.Run {
	return account.Run{
		ID: x.id, StartedAt: fromMillis(x.started), FinishedAt: fromMillis(x.finished), OK: x.ok != 0,
		Messages: x.messages, Bytes: x.bytes, Diagnosis: diagnosis(x.code, x.detail, x.since),
	}
}

// orEmpty keeps a missing value from becoming NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
