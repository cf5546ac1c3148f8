package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Removal is a user who is being removed: nothing of it is in the database any
// more but what is left to do elsewhere.
type Removal struct {
	Owner      owner.Owner
	DeleteMail bool         // Whether the account folders are removed as well.
	Folders    []string     // The account folders.
	Accounts   []account.ID // The accounts that there were, of this and of earlier tries.
}

// BeginRemoval removes a user from the database in one transaction: accounts with
// their secrets, what is pending on providers' pages, limits, links, sessions,
// failed logins and repeatable requests are gone, the journals are never taken up
// again, visits under way are fenced. It may be repeated: what an earlier call
// left to do is part of what is returned. Until EndRemoval the user can add no
// account, and never one that was asked for before. A user of whom there is nothing
// is no error.
func (s *Store) BeginRemoval(ctx context.Context, o owner.Owner, deleteMail bool) (r Removal, err error) {
	err = s.write(ctx, "removing a user", func(tx *gorm.DB) error {
		r, err = s.remove(ctx, tx, o, deleteMail)
		return err
	})
	return r, err
}

func (s *Store) remove(ctx context.Context, tx *gorm.DB, o owner.Owner, deleteMail bool) (Removal, error) {
	if err := s.lockOwner(tx, o); err != nil {
		return Removal{}, err
	}
	as, err := s.accounts(tx, "WHERE a.owner = ? ORDER BY a.id", o.String())
	if err != nil {
		return Removal{}, err
	}
	c := s.on(tx)
	r := Removal{Owner: o, DeleteMail: deleteMail}
	if err := s.earlier(ctx, c, &r); err != nil {
		return Removal{}, err
	}
	for _, a := range as {
		sc, err := s.lockSchedule(ctx, tx, o, a.ID)
		if err != nil {
			return Removal{}, err
		}
		if err := s.ending(ctx, c, o, a.ID, sc); err != nil {
			return Removal{}, err
		}
		if err := s.dropAccount(ctx, tx, a.ID, sc, false); err != nil {
			return Removal{}, err
		}
		r.Accounts = append(r.Accounts, a.ID)
		if !slices.Contains(r.Folders, a.Folder) {
			r.Folders = append(r.Folders, a.Folder)
		}
	}
	if err := s.dropCopies(ctx, c, o); err != nil {
		return Removal{}, err
	}
	// A former user's token is good for a while, and must not throw out the next one.
	if _, err := c.exec(ctx, "UPDATE user_ids SET left_ms = ? WHERE owner = ? AND left_ms = 0",
		max(1, s.now().UnixMilli()), o.String()); err != nil {
		return Removal{}, err
	}
	for _, stmt := range []string{
		"UPDATE journals SET retired_ms = 1 WHERE owner = ?",
		"DELETE FROM oauth_pending WHERE owner = ?",
		"DELETE FROM failed_logins WHERE owner = ?",
		"DELETE FROM repeatable WHERE owner = ?",
		"DELETE FROM links WHERE owner = ?", // Before the sessions: see Sessions.EndAll.
		"DELETE FROM sessions WHERE owner = ?",
		"DELETE FROM known_browsers WHERE owner = ?",
		"DELETE FROM owners WHERE owner = ?",
	} {
		if _, err := c.exec(ctx, stmt, o.String()); err != nil {
			return Removal{}, err
		}
	}
	if err := s.noteRemoval(ctx, c, r); err != nil {
		return Removal{}, err
	}
	return r, s.record(ctx, c, audit.Entry{Action: audit.UserRemoved, User: o, Details: map[string]string{
		"accounts": strconv.Itoa(len(as)), "mail": mailWord(r.DeleteMail),
	}})
}

// ending notes that a visit of the account may still be under way.
func (s *Store) ending(ctx context.Context, c sqlConn, o owner.Owner, id account.ID, sc scheduled) error {
	if sc.leaseOwner == "" || sc.leaseUntil <= s.now().UnixMilli() {
		return nil
	}
	_, err := c.exec(ctx, "INSERT INTO ending_visits (account_id, owner, worker, until_ms) VALUES (?, ?, ?, ?)",
		string(id), o.String(), sc.leaseOwner, sc.leaseUntil)
	return err
}

// earlier adds what an earlier call left to do.
func (s *Store) earlier(ctx context.Context, c sqlConn, r *Removal) error {
	return c.each(ctx, func(row rowScanner) error {
		var withMail int16
		var folders, accounts string
		if err := row.Scan(&withMail, &folders, &accounts); err != nil {
			return err
		}
		r.DeleteMail = r.DeleteMail || withMail != 0
		return errors.Join(json.Unmarshal([]byte(folders), &r.Folders), json.Unmarshal([]byte(accounts), &r.Accounts))
	}, "SELECT delete_mail, folders, accounts FROM removals WHERE owner = ? AND finished_ms = 0", r.Owner.String())
}

func (s *Store) noteRemoval(ctx context.Context, c sqlConn, r Removal) error {
	folders, accounts, err := r.lists()
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, `INSERT INTO removals (owner, delete_mail, folders, accounts, started_ms) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (owner) DO UPDATE SET delete_mail = excluded.delete_mail, folders = excluded.folders,
		accounts = excluded.accounts, started_ms = excluded.started_ms, finished_ms = 0`,
		r.Owner.String(), flag(r.DeleteMail), folders, accounts, s.now().UnixMilli())
	return err
}

func (r *Removal) lists() (folders, accounts string, err error) {
	f, err1 := json.Marshal(r.Folders)
	a, err2 := json.Marshal(r.Accounts)
	return string(f), string(a), errors.Join(err1, err2)
}

// VisitsEnding returns the workers whose visits of a removed user may still be under
// way, one for each visit.
func (s *Store) VisitsEnding(ctx context.Context, o owner.Owner) (workers []string, err error) {
	err = s.on(s.r).each(ctx, func(row rowScanner) error {
		var worker string
		err := row.Scan(&worker)
		workers = append(workers, worker)
		return err
	}, "SELECT worker FROM ending_visits WHERE owner = ? AND until_ms > ?", o.String(), s.now().UnixMilli())
	return workers, s.wrap(ctx, "waiting for visits to end", err)
}

// VisitsOver notes that a worker visits a removed user no more: its process has ended.
func (s *Store) VisitsOver(ctx context.Context, o owner.Owner, worker string) error {
	_, err := s.on(s.w).exec(ctx, "DELETE FROM ending_visits WHERE owner = ? AND worker = ?", o.String(), worker)
	return s.wrap(ctx, "noting that visits have ended", err)
}

// visitOver notes that a visit has ended that lost its lease, and passes err on.
func (q Queue) visitOver(ctx context.Context, l fetch.Lease, err error) error {
	if !errors.Is(err, fetch.ErrFenced) {
		return err
	}
	_, gone := q.s.on(q.s.w).exec(ctx, "DELETE FROM ending_visits WHERE account_id = ? AND worker = ?",
		string(l.Route.ID), l.Worker)
	if gone != nil {
		return q.s.wrap(ctx, "noting that a visit has ended", gone)
	}
	return err
}

// Removals returns the users whose removal is not finished.
func (s *Store) Removals(ctx context.Context) (all []Removal, err error) {
	const op = "looking for users who are being removed"
	c := s.on(s.r)
	err = c.each(ctx, func(row rowScanner) error {
		var address string
		if err := row.Scan(&address); err != nil {
			return err
		}
		o, err := owner.Stored(address)
		all = append(all, Removal{Owner: o})
		return err
	}, "SELECT owner FROM removals WHERE finished_ms = 0 ORDER BY started_ms, owner LIMIT 1000")
	for i := range all {
		if err == nil {
			err = s.earlier(ctx, c, &all[i])
		}
	}
	return all, s.wrap(ctx, op, err)
}

// Removal returns what is left to do of a user's removal, by whichever calls.
func (s *Store) Removal(ctx context.Context, o owner.Owner) (Removal, error) {
	r := Removal{Owner: o}
	err := s.earlier(ctx, s.on(s.r), &r)
	return r, s.wrap(ctx, "loading the removal of a user", err)
}

// ClaimRemoval gives the rest of a removal to one worker, and prolongs that; claimed
// is false while another is at it. pending is false when nothing is left to do.
func (s *Store) ClaimRemoval(ctx context.Context, o owner.Owner, worker string,
	until time.Time,
) (claimed, pending bool, err error) {
	const op = "claiming the removal of a user"
	n, err := s.on(s.w).exec(ctx, `UPDATE removals SET worker = ?, until_ms = ? WHERE owner = ? AND finished_ms = 0
		AND (worker = ? OR until_ms <= ?)`, worker, until.UnixMilli(), o.String(), worker, s.now().UnixMilli())
	if err != nil || n > 0 {
		return n > 0, true, s.wrap(ctx, op, err)
	}
	found := 0
	err = s.on(s.r).each(ctx, scanInto(&found), "SELECT 1 FROM removals WHERE owner = ? AND finished_ms = 0", o.String())
	return false, found > 0, s.wrap(ctx, op, err)
}

// RemovalWorker returns who has the rest of a removal to itself now; "" where nobody has.
func (s *Store) RemovalWorker(ctx context.Context, o owner.Owner) (worker string, err error) {
	err = s.on(s.r).each(ctx, scanInto(&worker), "SELECT worker FROM removals WHERE owner = ? AND finished_ms = 0 "+
		"AND until_ms > ?", o.String(), s.now().UnixMilli())
	return worker, s.wrap(ctx, "looking who removes a user", err)
}

// ReleaseRemoval lets others continue a removal that could not be finished.
func (s *Store) ReleaseRemoval(ctx context.Context, o owner.Owner, worker string) error {
	_, err := s.on(s.w).exec(ctx, "UPDATE removals SET until_ms = 0 WHERE owner = ? AND worker = ?", o.String(), worker)
	return s.wrap(ctx, "releasing the removal of a user", err)
}

// removalKept is how long a finished removal is remembered: longer than a request
// lasts that was made before it.
const removalKept = time.Hour

// EndRemoval forgets the journals of a removed user, and ends the removal if it is
// still the worker's and no more is to be done than r; else it is not ended.
func (s *Store) EndRemoval(ctx context.Context, r Removal, worker string) (ended bool, err error) {
	const op = "finishing the removal of a user"
	folders, accounts, err := r.lists()
	if err != nil {
		return false, s.wrap(ctx, op, err)
	}
	c, o := s.on(s.w), r.Owner
	var journals []int64
	err = c.each(ctx, func(row rowScanner) error {
		var id int64
		err := row.Scan(&id)
		journals = append(journals, id)
		return err
	}, "SELECT id FROM journals WHERE owner = ? AND retired_ms = 1", o.String())
	if err != nil {
		return false, s.wrap(ctx, op, err)
	}
	for _, id := range journals {
		if err := s.pruneJournal(ctx, id); err != nil {
			return false, err
		}
	}
	err = s.write(ctx, op, func(tx *gorm.DB) error {
		c := s.on(tx)
		n, err := c.exec(ctx, `UPDATE removals SET finished_ms = ?, folders = '[]', accounts = '[]', delete_mail = 0,
			worker = '', until_ms = 0 WHERE owner = ? AND finished_ms = 0 AND worker = ? AND delete_mail = ?
			AND folders = ? AND accounts = ?`, max(1, s.now().UnixMilli()), o.String(), worker, flag(r.DeleteMail), folders,
			accounts)
		if ended = n > 0; err != nil || !ended {
			return err
		}
		if _, err := c.exec(ctx, "DELETE FROM ending_visits WHERE owner = ?", o.String()); err != nil {
			return err
		}
		_, err = c.exec(ctx, "DELETE FROM mailbox_logins WHERE owner = ?", o.String()) // The mailbox was opened until now.
		return err
	})
	return ended && err == nil, err
}

// refuseRemoved fails with account.ErrRemoving while the owner's removal is not
// finished: what is added meanwhile would be taken for what is removed. What was
// asked for before a removal is never added after it: it would be a former user's.
func (s *Store) refuseRemoved(ctx context.Context, c sqlConn, o owner.Owner, asked time.Time) error {
	found := 0
	if err := c.each(ctx, scanInto(&found), "SELECT 1 FROM removals WHERE owner = ? AND (finished_ms = 0 OR "+
		"started_ms > ?)", o.String(), asked.UnixMilli()); err != nil {
		return err
	}
	if found > 0 {
		return account.ErrRemoving
	}
	return nil
}
