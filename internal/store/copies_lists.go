package store

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

var messageStates = enum[transfer.MessageState]{
	transfer.MessageCopied, transfer.MessageAlreadyThere, transfer.MessageSkipped, transfer.MessageMissing,
	transfer.MessageAltered, transfer.MessageMovedOrDeleted,
}

// Folders returns the folders of a copy: see transfer.Repository.
func (r Copies) Folders(ctx context.Context, o owner.Owner, id transfer.ID) (all []transfer.FolderState, err error) {
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	if err != nil {
		return nil, r.s.wrap(ctx, "loading a copy", err)
	}
	err = r.s.on(r.s.r).each(ctx, func(r rowScanner) error {
		var f transfer.FolderState
		var selected, shared int16
		err := r.Scan(&f.Source, &f.Target, &f.SpecialUse, &selected, &shared, &f.Messages, &f.Copied, &f.Bytes, &f.Skipped)
		f.Selected, f.Shared = selected != 0, shared != 0
		all = append(all, f)
		return err
	}, `SELECT f.remote, f.local, f.special_use, f.selected, f.shared, f.remaining, f.fetched, f.bytes,
		(SELECT count(*) FROM skipped k WHERE k.folder_id = f.id AND k.epoch = f.epoch)
		FROM folders f WHERE f.journal_id = ? AND f.wire <> ? ORDER BY f.id`, row.journal, []byte(fetch.LettersWire))
	return all, r.s.wrap(ctx, "loading the folders of a copy", err)
}

// allMessages lists a copy's messages, those that were skipped too, in the order of folders, UIDs and unique-ids. Its
// arguments are the journal, twice.
const allMessages = `SELECT * FROM (
	SELECT f.id AS folder, f.remote, f.local, m.uid, m.uidl, m.ordinal, m.size, m.received_ms, m.digest,
		coalesce(d.target_uid, 0) AS target_uid, coalesce(d.state, 1) AS state, '' AS code, '' AS detail,
		'' AS sender, '' AS subject, CAST(0 AS BIGINT) AS sent_ms
	FROM folders f JOIN messages m ON m.folder_id = f.id
	LEFT JOIN copied d ON d.folder_id = m.folder_id AND d.epoch = m.epoch AND d.uid = m.uid AND d.uidl = m.uidl
		AND d.ordinal = m.ordinal
	WHERE f.journal_id = ? AND length(m.digest) > 0 AND f.remote <> ''
	UNION ALL
	SELECT f.id, f.remote, f.local, k.uid, k.uidl, k.ordinal, k.size, 0, k.uidl, 0, 3, k.code, k.detail, k.sender,
		k.subject, k.sent_ms
	FROM folders f JOIN skipped k ON k.folder_id = f.id AND k.epoch = f.epoch WHERE f.journal_id = ?) AS listed `

func scanMessage(r rowScanner) (folder int64, m transfer.Message, err error) {
	var uidl, digest []byte
	var code, detail string
	var received, sent int64
	var state int16
	err = r.Scan(&folder, &m.Folder, &m.Target, &m.ID.UID, &uidl, &m.ID.Ordinal, &m.Size, &received, &digest,
		&m.TargetUID, &state, &code, &detail, &m.About.Sender, &m.About.Subject, &sent)
	m.ID.UIDL, m.Received, m.State = string(uidl), fromMillis(received), messageStates.word(state)
	m.About.Date = fromMillis(sent)
	if code != "" {
		m.Diagnosis = &account.Diagnosis{Code: fault.Code(code), Detail: words.Kept(detail)}
	} else {
		copy(m.Digest[:], digest)
	}
	return folder, m, err
}

// inStates is a condition on allMessages, with its arguments; none asks for all.
func inStates(states []transfer.MessageState) (string, []any) {
	if len(states) == 0 {
		return "1 = 1", nil
	}
	args := make([]any, len(states))
	for i, s := range states {
		args[i] = messageStates.code(s)
	}
	return "state IN " + marks(len(states)), args
}

const messageOrder = " ORDER BY folder, uid, uidl, ordinal"

// EachMessage goes through a copy's messages: see transfer.Repository.
func (r Copies) EachMessage(ctx context.Context, o owner.Owner, id transfer.ID, states []transfer.MessageState,
	yield func(transfer.Message) error,
) error {
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	if err != nil {
		return r.s.wrap(ctx, "loading a copy", err)
	}
	where, args := inStates(states)
	var stopped error
	err = r.s.on(r.s.r).each(ctx, func(r rowScanner) error {
		_, m, err := scanMessage(r)
		if err == nil {
			stopped = yield(m)
			err = stopped
		}
		return err
	}, allMessages+"WHERE "+where+messageOrder, append([]any{row.journal, row.journal}, args...)...)
	if stopped != nil {
		return stopped
	}
	return r.s.wrap(ctx, "going through a copy's messages", err)
}

// Messages returns a page of a copy's messages: see transfer.Repository.
func (r Copies) Messages(ctx context.Context, o owner.Owner, id transfer.ID, state transfer.MessageState, limit int,
	after string,
) (page transfer.MessagePage, err error) {
	const op = "loading a copy's messages"
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	if err != nil {
		return page, r.s.wrap(ctx, "loading a copy", err)
	}
	var states []transfer.MessageState
	if state != "" {
		states = []transfer.MessageState{state}
	}
	where, args := inStates(states)
	args = append([]any{row.journal, row.journal}, args...)
	c := r.s.on(r.s.r)
	if err := c.row(ctx, "SELECT count(*) FROM ("+allMessages+"WHERE "+where+") AS all_of_them", args...).Scan(
		&page.Total); err != nil {
		return page, r.s.wrap(ctx, op, err)
	}
	from := int64(0)
	if after != "" {
		cur, ok := parseCursor(after)
		if !ok || cur.Owner != o.String() || cur.Account != string(id) || cur.Number < 0 {
			return page, badCursor()
		}
		from = cur.Number
	}
	size := pageSize(limit)
	err = c.each(ctx, func(r rowScanner) error {
		_, m, err := scanMessage(r)
		page.Messages = append(page.Messages, m)
		return err
	}, allMessages+"WHERE "+where+messageOrder+" LIMIT ? OFFSET ?", append(args, size+1, from)...)
	if len(page.Messages) > size {
		page.Messages = page.Messages[:size]
		page.Next = cursor{Number: from + int64(size), Owner: o.String(), Account: string(id)}.String()
	}
	return page, r.s.wrap(ctx, op, err)
}

func badCursor() error {
	bad := &account.InvalidError{}
	bad.Add("cursor", "invalid", "must be next_cursor of the page before, with the other parameters unchanged")
	return bad
}

// Report counts what a copy came to: see transfer.Repository.
func (r Copies) Report(ctx context.Context, o owner.Owner, id transfer.ID) (rep transfer.Report, err error) {
	const op = "reporting a copy"
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	if err != nil {
		return rep, r.s.wrap(ctx, op, err)
	}
	c := r.s.on(r.s.r)
	rep = transfer.Report{Copy: row.copy, Grade: row.copy.Status.Grade, Lists: map[transfer.MessageState]int64{}}
	var verified, worked int64
	var how, rewritten int16
	if err := c.row(ctx, "SELECT verified_ms, verified_how, worked_ms, rewritten FROM copies WHERE id = ?",
		string(id)).Scan(&verified, &how, &worked, &rewritten); err != nil {
		return rep, r.s.wrap(ctx, op, err)
	}
	if verified == 0 && row.copy.EndedAt.IsZero() {
		return rep, transfer.ErrNotVerified
	}
	rep.VerifiedAt, rep.How, rep.Rewritten = fromMillis(verified), copyWays.word(how), rewritten != 0
	rep.Duration = time.Duration(worked) * time.Millisecond
	if rep.Folders, err = r.Folders(ctx, o, id); err != nil {
		return rep, err
	}
	for _, f := range rep.Folders {
		if f.Shared && !f.Selected {
			rep.LeftOut = append(rep.LeftOut, f.Source)
		}
	}
	err = c.each(ctx, func(r rowScanner) error {
		var state int16
		var n int64
		err := r.Scan(&state, &n)
		rep.Lists[messageStates.word(state)] = n
		return err
	}, "SELECT state, count(*) FROM ("+allMessages+") AS by_state GROUP BY state", row.journal, row.journal)
	return rep, r.s.wrap(ctx, op, err)
}
