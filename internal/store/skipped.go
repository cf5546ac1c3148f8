package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// BeforeStart calls each for what is older than the start in a folder's current epoch.
func (j Journal) BeforeStart(ctx context.Context, l fetch.Lease, f fetch.Folder, each func(id mail.ID) error) error {
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var uidl []byte
		var ordinal int
		if err := r.Scan(&uidl, &ordinal); err != nil {
			return err
		}
		return each(mail.ID{UIDL: string(uidl), Ordinal: ordinal})
	}, "SELECT uidl, ordinal FROM passed WHERE folder_id = (SELECT id FROM folders WHERE id = ? AND journal_id = "+
		ofJournal+") AND epoch = ?",
		append(append([]any{f.ID}, journalOf(l)...), f.Epoch)...)
	return j.s.wrap(ctx, "loading what is older than the start", err)
}

// writeBeforeStart writes what is older than the start, in place of what was.
func (w *entryWriter) writeBeforeStart(ctx context.Context, e fetch.Entry) error {
	for _, p := range e.BeforeStart {
		if err := w.own(ctx, p.FolderID); err != nil {
			return err
		}
		if _, err := w.exec(ctx, "DELETE FROM passed WHERE folder_id = ?", p.FolderID); err != nil {
			return err
		}
		if p.Each == nil {
			continue
		}
		var args []any
		flush := func() error {
			if len(args) == 0 {
				return nil
			}
			_, err := w.exec(ctx, "INSERT INTO passed (folder_id, epoch, uidl, ordinal) VALUES "+marks(4)+strings.Repeat(
				","+marks(4), len(args)/4-1), args...)
			args = args[:0]
			return err
		}
		err := p.Each(func(id mail.ID) error {
			if args = append(args, p.FolderID, p.FolderEpoch, []byte(id.UIDL), id.Ordinal); len(args) < 4*messagesAtOnce {
				return nil
			}
			return flush()
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skippedQuery selects what skippedRow scans, of one journal. What was skipped
// under UIDs that mean nothing any more is left out.
const skippedQuery = `SELECT k.sid, f.remote, f.local, k.uid, k.uidl, k.size, k.code, k.detail, k.attempts,
	k.first_ms, k.last_ms, k.next_ms, k.held, k.requested, k.sender, k.subject, k.sent_ms
	FROM skipped k JOIN folders f ON f.id = k.folder_id AND f.epoch = k.epoch WHERE f.journal_id = ? `

// skippedWhen is what skipped messages are listed by: their own date, and for those that tell none, when they were
// first come across, as skippedAt has it.
const skippedWhen = "CASE WHEN k.sent_ms <> 0 THEN k.sent_ms ELSE k.first_ms END"

func skippedAt(m account.Skipped) time.Time {
	if m.SentAt.IsZero() {
		return m.FirstAt
	}
	return m.SentAt
}

func skippedRow(r rowScanner) (m account.Skipped, err error) {
	var uid, first, last, next, sent int64
	var uidl []byte
	var code, detail string
	var held, requested int16
	err = r.Scan(&m.SID, &m.Folder, &m.LocalFolder, &uid, &uidl, &m.Size, &code, &detail, &m.Attempts, &first, &last,
		&next, &held, &requested, &m.Sender, &m.Subject, &sent)
	m.SentAt = fromMillis(sent)
	m.Detail = words.Kept(detail)
	m.Code, m.FirstAt, m.LastAt = fault.Code(code), fromMillis(first), fromMillis(last)
	if m.Message = fmt.Sprintf("UID %d", uid); uid == 0 {
		m.Message = "UIDL " + words.Clean(string(uidl), 255)
	}
	if held == 0 || requested != 0 {
		m.NextAt = fromMillis(next)
	}
	return m, err
}

// Skipped returns a page of an account's skipped messages: see
// account.Repository.
func (r Accounts) Skipped(ctx context.Context, o owner.Owner, id account.ID, limit int,
	after string,
) (page account.SkippedPage, err error) {
	journal, err := r.owned(ctx, o, id)
	if err != nil {
		return page, err
	}
	query, args := skippedQuery, []any{journal}
	if after != "" {
		c, ok := parseCursor(after)
		if !ok || c.Owner != o.String() || !isID(c.Account) {
			return page, badCursor()
		}
		query, args = query+"AND ("+skippedWhen+" < ? OR "+skippedWhen+" = ? AND k.sid > ?) ", append(args,
			c.Number, c.Number, c.Account)
	}
	size := pageSize(limit)
	err = r.s.on(r.s.r).each(ctx, func(row rowScanner) error {
		m, err := skippedRow(row)
		page.Messages = append(page.Messages, m)
		return err
	}, query+"ORDER BY "+skippedWhen+" DESC, k.sid LIMIT ?", append(args, size+1)...)
	if len(page.Messages) > size {
		page.Messages = page.Messages[:size]
		last := page.Messages[size-1]
		page.Next = cursor{Number: toMillis(skippedAt(last)), Owner: o.String(), Account: last.SID}.String()
	}
	if err == nil {
		err = r.s.on(r.s.r).each(ctx, scanInto(&page.Total), `SELECT COUNT(*) FROM skipped k
			JOIN folders f ON f.id = k.folder_id AND f.epoch = k.epoch WHERE f.journal_id = ?`, journal)
	}
	return page, r.s.wrap(ctx, "listing skipped messages", err)
}

// RetrySkipped asks for a skipped message: see account.Repository.
func (r Accounts) RetrySkipped(ctx context.Context, o owner.Owner, id account.ID,
	sid string,
) (m account.Skipped, err error) {
	if !isID(string(id)) || !isID(sid) {
		return m, account.ErrNotFound
	}
	err = r.s.write(ctx, "asking for a skipped message", func(tx *gorm.DB) error {
		sc, err := r.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		c := r.s.on(tx)
		n, err := c.exec(ctx, `UPDATE skipped SET requested = 1, next_ms = ? WHERE sid = ?
			AND folder_id IN (SELECT f.id FROM folders f WHERE f.journal_id = ? AND f.epoch = skipped.epoch)`,
			r.s.now().UnixMilli(), sid, sc.journal)
		if err == nil && n == 0 {
			err = account.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := r.s.requestVisit(ctx, c, o, id); err != nil {
			return err
		}
		found := false
		err = c.each(ctx, func(row rowScanner) (err error) {
			found = true
			m, err = skippedRow(row)
			return err
		}, skippedQuery+"AND k.sid = ?", sc.journal, sid)
		if err == nil && !found {
			err = errors.New("the message is gone at once")
		}
		if err != nil {
			return err
		}
		return r.s.recordForeign(ctx, c, audit.Entry{Action: audit.MessageRetried, User: o, Account: id})
	})
	return m, err
}

// RetryAllSkipped asks for all of an account's skipped messages: see
// account.Repository.
func (r Accounts) RetryAllSkipped(ctx context.Context, o owner.Owner, id account.ID) (asked int, err error) {
	if !isID(string(id)) {
		return 0, account.ErrNotFound
	}
	err = r.s.write(ctx, "asking for all skipped messages", func(tx *gorm.DB) error {
		sc, err := r.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		c := r.s.on(tx)
		n, err := c.exec(ctx, `UPDATE skipped SET requested = 1, next_ms = ?
			WHERE folder_id IN (SELECT f.id FROM folders f WHERE f.journal_id = ? AND f.epoch = skipped.epoch)`,
			r.s.now().UnixMilli(), sc.journal)
		if asked = int(n); err != nil || n == 0 {
			return err
		}
		if err := r.s.requestVisit(ctx, c, o, id); err != nil {
			return err
		}
		return r.s.recordForeign(ctx, c, audit.Entry{
			Action: audit.MessageRetried, User: o, Account: id,
			Details: map[string]string{"messages": strconv.Itoa(asked)},
		})
	})
	return asked, err
}

// allow has messages tried again that were held back for a limit which an
// account no longer has.
func (s *Store) allow(ctx context.Context, c sqlConn, journal, limit int64, now time.Time) error {
	_, err := c.exec(ctx, `UPDATE skipped SET held = 0, next_ms = ? WHERE held = 1 AND size <= ?
		AND folder_id IN (SELECT id FROM folders WHERE journal_id = ?)`, now.UnixMilli(), limit, journal)
	return err
}

// newSID names a skipped message.
func newSID() string { return uuid.NewString() }
