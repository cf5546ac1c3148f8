package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// Copies keeps copies of mailboxes for package transfer. Whatever it is asked on behalf of a user, it names the owner
// in the statement.
type Copies struct{ s *Store }

var _ transfer.Repository = Copies{}

// Copies returns the store as package transfer sees it.
func (s *Store) Copies() Copies { return Copies{s} }

var (
	copyPhases = enum[transfer.Phase](transfer.Phases())
	copyStates = enum[transfer.State](transfer.States())
	copyGrades = enum[transfer.Grade]{transfer.Perfect, transfer.Good, transfer.Investigate, transfer.Poor}
)

// copyRow is a row of the table copies with what its schedule and its journal say.
type copyRow struct {
	copy       transfer.Copy
	enabled    bool
	pausedBy   int16
	phase      transfer.Phase
	outcome    transfer.State
	leased     bool
	due        int64
	attempted  int64
	state      account.State
	failures   int
	diagnosis  *account.Diagnosis
	epoch      int64
	journal    int64
	editedAt   time.Time
	progress   route.Progress
	interest   account.Status
	messages   int64 // At the source.
	leaseOwner string
}

const copyColumns = `SELECT c.id, c.owner, c.source_email, c.source_provider, c.source_protocol, c.source_host,
	c.source_port, c.source_security, c.source_username, c.source_auth, c.target_email, c.target_provider,
	c.target_host, c.target_port, c.target_security, c.target_username, c.target_auth, c.options, c.phase, c.outcome,
	c.created_ms, c.started_ms, c.ended_ms, c.erase_ms, c.edits, c.pass,
	(SELECT CAST(coalesce(sum(f.remaining), 0) AS BIGINT) FROM folders f
		WHERE f.journal_id = p.journal_id AND f.selected = 1),
	c.already_there, c.ambiguous, c.keywords, c.moved, c.missing,
	c.altered, c.digests, c.grade,
	j.uuid, j.capabilities,
	(SELECT CAST(coalesce(sum(f.fetched), 0) AS BIGINT) FROM folders f WHERE f.journal_id = j.id AND f.selected = 1),
	(SELECT CAST(coalesce(sum(f.bytes), 0) AS BIGINT) FROM folders f WHERE f.journal_id = j.id AND f.selected = 1),
	(SELECT count(*) FROM folders f WHERE f.journal_id = p.journal_id AND f.selected = 1),
	(SELECT count(*) FROM skipped k JOIN folders f ON f.id = k.folder_id WHERE f.journal_id = p.journal_id),
	p.enabled, p.paused_by, p.lease_owner, p.lease_until_ms, p.due_at_ms, p.hurried_ms, p.last_attempt_ms, p.state,
	p.failures, p.code, p.detail, p.since_ms, p.lease_epoch, p.journal_id, p.proven,
	p.progress_folder, p.progress_done, p.progress_total, p.progress_bytes
	FROM copies c JOIN poll_schedule p ON p.route_id = c.id JOIN journals j ON j.id = p.journal_id `

func scanCopy(r rowScanner, now int64) (row copyRow, err error) {
	c := &row.copy
	var id, address, options, leaseOwner, code, detail, capabilities string
	var from, to struct {
		protocol, security, auth int16
	}
	var phase, outcome, grade, enabled, state, proven int16
	var created, started, ended, erase, until, requested, since int64
	t := &c.Status.Totals
	err = r.Scan(&id, &address, &c.Source.Email, &c.Source.Provider, &from.protocol, &c.Source.Server.Host,
		&c.Source.Server.Port, &from.security, &c.Source.Username, &from.auth, &c.Target.Email, &c.Target.Provider,
		&c.Target.Server.Host, &c.Target.Server.Port, &to.security, &c.Target.Username, &to.auth, &options, &phase,
		&outcome, &created, &started, &ended, &erase, &c.Edits, &c.Pass, &row.messages, &t.AlreadyThere, &t.Ambiguous,
		&t.KeywordsRefused, &t.MovedOrDeleted, &t.Missing, &t.Altered, &t.VerifiedByDigest, &grade,
		&c.Journal, &capabilities, &t.Messages, &t.Bytes, &t.Folders, &t.Skipped,
		&enabled, &row.pausedBy, &leaseOwner, &until, &row.due, &requested, &row.attempted, &state,
		&row.failures, &code, &detail, &since, &row.epoch, &row.journal, &proven,
		&row.progress.Folder, &row.progress.MessagesDone, &row.progress.MessagesTotal, &row.progress.BytesDone)
	if err != nil {
		return row, err
	}
	if c.Owner, err = owner.Stored(address); err != nil {
		return row, fmt.Errorf("reading a copy: %w", err)
	}
	if err := json.Unmarshal([]byte(options), &c.Options); err != nil {
		return row, fmt.Errorf("reading the options of copy %s: %w", id, err)
	}
	c.ID = route.ID(id)
	c.Source.Protocol, c.Source.Server.Security = protocols.word(from.protocol), securities.word(from.security)
	c.Source.Auth, c.Source.Capabilities, c.Source.Edits = auths.word(from.auth), capabilities, c.Edits
	c.Source.Secret = remote.SecretRef{Owner: c.Owner, Subject: id, Field: transfer.SourceField}
	if !c.Local() {
		c.Target.Protocol, c.Target.Server.Security = remote.IMAP, securities.word(to.security)
		c.Target.Auth, c.Target.Edits = auths.word(to.auth), c.Edits
		c.Target.Secret = remote.SecretRef{Owner: c.Owner, Subject: id, Field: transfer.TargetField}
	}
	c.CreatedAt, c.StartedAt, c.EndedAt = fromMillis(created), fromMillis(started), fromMillis(ended)
	c.CredentialsUntil = fromMillis(erase)
	c.Status.Grade = copyGrades.word(grade)
	row.phase, row.outcome, row.enabled = copyPhases.word(phase), copyStates.word(outcome), enabled != 0
	row.leased, row.leaseOwner = leaseOwner != "" && until > now, leaseOwner
	row.state, row.diagnosis = states.word(state), diagnosis(code, detail, since)
	if row.due == 0 {
		row.due = requested
	}
	row.interest = account.Status{
		State: row.state, Failures: row.failures, Diagnosis: row.diagnosis, Proven: proven != 0,
		LastAttemptAt: fromMillis(row.attempted),
	}
	row.show()
	return row, nil
}

// show fills in the status of a copy by what its rows say.
func (r *copyRow) show() {
	var due time.Time
	if r.due != never {
		due = fromMillis(r.due)
	}
	r.copy.Status = transfer.Show(r.copy, transfer.Signs{
		Enabled: r.enabled, ByOperator: r.pausedBy == byOperator, Phase: r.phase, Outcome: r.outcome, Working: r.leased,
		Tried: r.attempted > 0, Due: due, State: r.state, Failures: r.failures, Diagnosis: r.diagnosis,
		Progress: r.progress, Listed: r.messages,
	})
}

// lease is the copy's as package schedule has it.
func (r *copyRow) lease() schedule.Lease {
	l := schedule.Lease{Row: schedule.Row{EditedAt: r.editedAt, Status: r.interest}}
	l.Route, l.Failures = r.copy.Route(), r.failures
	return l
}

func (s *Store) copies(ctx context.Context, c sqlConn, conditions string, args ...any) (rows []copyRow, err error) {
	now := s.now().UnixMilli()
	err = c.each(ctx, func(r rowScanner) error {
		row, err := scanCopy(r, now)
		rows = append(rows, row)
		return err
	}, copyColumns+conditions, args...)
	return rows, err
}

func (s *Store) copy(ctx context.Context, c sqlConn, o owner.Owner, id transfer.ID) (copyRow, error) {
	if !isID(string(id)) {
		return copyRow{}, transfer.ErrNotFound
	}
	rows, err := s.copies(ctx, c, "WHERE c.id = ? AND c.owner = ?", string(id), o.String())
	if err == nil && len(rows) == 0 {
		err = transfer.ErrNotFound
	}
	if err != nil {
		return copyRow{}, err
	}
	return rows[0], nil
}

// Copy returns one of the owner's copies.
func (r Copies) Copy(ctx context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	row, err := r.s.copy(ctx, r.s.on(r.s.r), o, id)
	return row.copy, r.s.wrap(ctx, "loading a copy", err)
}

// Add saves a new copy: see transfer.Repository.
func (r Copies) Add(ctx context.Context, c transfer.Copy, sealed map[remote.Field][]byte, code [32]byte, limit int) (
	added transfer.Copy, err error,
) {
	const op = "adding a copy"
	if c.Owner.IsZero() || !isID(string(c.ID)) || !isID(c.Journal) {
		return transfer.Copy{}, r.s.wrap(ctx, op, errors.New("it has no owner or no proper identity"))
	}
	options, err := json.Marshal(c.Options)
	if err != nil {
		return transfer.Copy{}, fmt.Errorf("writing the options of a copy: %w", err)
	}
	err = r.s.write(ctx, op, func(tx *gorm.DB) error {
		if err := r.s.lockOwner(tx, c.Owner); err != nil {
			return err
		}
		conn := r.s.on(tx)
		if err := r.s.refuseRemoved(ctx, conn, c.Owner, c.CreatedAt); err != nil {
			return err
		}
		if err := r.mayAdd(ctx, conn, c, limit); err != nil {
			return err
		}
		src, dst := c.Source, c.Target
		if _, err := conn.exec(ctx, `INSERT INTO copies (id, owner, source_email, source_provider, source_protocol,
			source_host, source_port, source_security, source_username, source_auth, target_email, target_provider,
			target_host, target_port, target_security, target_username, target_auth, target_key, options, code, created_ms)
			VALUES `+marks(21), string(c.ID), c.Owner.String(), storable(strings.ToLower(src.Email)), src.Provider,
			protocols.code(src.Protocol), src.Server.Host, src.Server.Port, securities.code(src.Server.Security),
			storable(src.Username), auths.code(src.Auth), storable(strings.ToLower(dst.Email)), dst.Provider,
			dst.Server.Host, dst.Server.Port, securities.code(dst.Server.Security), storable(dst.Username),
			auths.code(dst.Auth), writerKey(c), string(options), code[:], c.CreatedAt.UnixMilli()); err != nil {
			return err
		}
		for field, secret := range sealed {
			if _, err := conn.exec(ctx, "INSERT INTO secrets (subject, field, sealed) VALUES (?, ?, ?)", string(c.ID),
				string(field), orEmpty(secret)); err != nil {
				return err
			}
		}
		if err := r.schedule(ctx, conn, c); err != nil {
			return err
		}
		row, err := r.s.copy(ctx, conn, c.Owner, c.ID)
		if err != nil {
			return err
		}
		added = row.copy
		return r.s.record(ctx, conn, aboutCopy(audit.CopyStarted, c))
	})
	return added, err
}

// schedule gives a new copy its journal, and its place in the schedule.
func (r Copies) schedule(ctx context.Context, conn sqlConn, c transfer.Copy) error {
	var journal int64
	src := c.Source
	err := conn.row(ctx, `INSERT INTO journals (uuid, owner, protocol, host, port, username) VALUES (?, ?, ?, ?, ?, ?)
		RETURNING id`, c.Journal, c.Owner.String(), protocols.code(src.Protocol), src.Server.Host, src.Server.Port,
		storable(src.Username)).Scan(&journal)
	if err != nil {
		return err
	}
	now := r.s.now()
	due, requested := int64(0), now.UnixMilli()
	if c.Options.StartAt.After(now) {
		due, requested = c.Options.StartAt.UnixMilli(), 0
	}
	_, err = conn.exec(ctx, `INSERT INTO poll_schedule (route_id, kind, journal_id, owner, host_key, circuit,
		enabled, due_at_ms, hurried_ms, lease_epoch, paused_ms, paused_by, slow) VALUES `+marks(13),
		string(c.ID), kinds.code(route.Once), journal, c.Owner.String(), schedule.HostKey(src.Server),
		schedule.CircuitKey(src.Server), 1, due, requested, 0, 0, 0, 0)
	return err
}

// writerKey names the mailbox that a copy writes into.
func writerKey(c transfer.Copy) string {
	if c.Local() {
		return "own:" + c.Owner.String()
	}
	return storable(fmt.Sprintf("imap:%s:%d:%s", schedule.HostKey(c.Target.Server), c.Target.Server.Port,
		owner.FoldASCII(c.Target.Username)))
}

// mayAdd refuses a copy whose target another one writes into, and one too many of its owner's.
func (r Copies) mayAdd(ctx context.Context, conn sqlConn, c transfer.Copy, limit int) error {
	busy, err := r.s.copies(ctx, conn, "WHERE c.target_key = ? AND c.ended_ms = 0", writerKey(c))
	if err != nil {
		return err
	}
	if len(busy) > 0 {
		b := busy[0]
		if b.copy.Owner != c.Owner { // Of somebody else's copy nothing is said but that there is one.
			return &transfer.ExistsError{Target: true, State: transfer.Running, Since: b.copy.CreatedAt}
		}
		return &transfer.ExistsError{
			ID: b.copy.ID, State: b.copy.Status.State, Since: b.copy.CreatedAt,
			Target: !owner.SameAddress(b.copy.Source.Email, c.Source.Email),
		}
	}
	n := 0
	err = conn.each(ctx, scanInto(&n), "SELECT count(*) FROM copies WHERE owner = ? AND ended_ms = 0", c.Owner.String())
	if err == nil && n >= limit {
		err = transfer.ErrLimitReached
	}
	return err
}

// Copies returns a page of copies, the newest first: see transfer.Repository.
func (r Copies) Copies(ctx context.Context, o owner.Owner, f transfer.Filter) (transfer.Page, error) {
	const op = "loading copies"
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	var conditions []string
	var args []any
	add := func(condition string, values ...any) {
		conditions, args = append(conditions, condition), append(args, values...)
	}
	if !o.IsZero() {
		add("c.owner = ?", o.String())
	}
	if f.Source != "" {
		add("c.source_email = ?", storable(strings.ToLower(f.Source)))
	}
	if f.Host != "" {
		add("(c.source_host = ? OR c.target_host = ?)", f.Host, f.Host)
	}
	var after *cursor
	if f.Cursor != "" {
		c, ok := parseCursor(f.Cursor)
		if !ok {
			return transfer.Page{}, badCursor()
		}
		after = &c
	}
	var page transfer.Page
	for {
		where, values := slices.Clone(conditions), slices.Clone(args)
		if after != nil {
			where, values = append(where, "(c.created_ms, c.id) < (?, ?)"), append(values, after.Number, after.Account)
		}
		query := ""
		if len(where) > 0 {
			query = "WHERE " + strings.Join(where, " AND ")
		}
		rows, err := r.s.copies(ctx, r.s.on(r.s.r), query+" ORDER BY c.created_ms DESC, c.id DESC LIMIT ?",
			append(values, limit+1)...)
		if err != nil {
			return transfer.Page{}, r.s.wrap(ctx, op, err)
		}
		for i, row := range rows {
			if len(page.Copies) == limit {
				last := rows[i-1].copy
				page.Next = cursor{
					Number: last.CreatedAt.UnixMilli(), Owner: last.Owner.String(), Account: string(last.ID),
				}.String()
				return page, nil
			}
			if f.State == "" || row.copy.Status.State == f.State { // A state is of the moment: no column has it.
				page.Copies = append(page.Copies, row.copy)
			}
			after = &cursor{Number: row.copy.CreatedAt.UnixMilli(), Account: string(row.copy.ID)}
		}
		if len(rows) <= limit {
			return page, nil
		}
	}
}
