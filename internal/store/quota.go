package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// ownerRow is a row of the table owners.
type ownerRow struct {
	Owner         string
	LimitBytes    int64 // The tighter of what was set here and of the mailbox's own.
	LimitMessages int64
	SetBytes      int64
	SetMessages   int64
	OwnBytes      int64
	OwnMessages   int64
	UsedBytes     int64
	UsedMessages  int64
	Fill          int64
	SetBy         int16 // See setBy.
}

const ownerColumns = "owner, limit_bytes, limit_messages, set_bytes, set_messages, own_bytes, own_messages, " +
	"used_bytes, used_messages, fill, set_by"

// unlimited is the row of a user of whom nothing is known.
func unlimited(o owner.Owner) ownerRow {
	return ownerRow{
		Owner: o.String(), LimitBytes: never, LimitMessages: never, SetBytes: never, SetMessages: never,
		OwnBytes: never, OwnMessages: never,
	}
}

// limited brings the limits that count, and what is computed by them, in line with
// the others, and returns these columns.
func (r *ownerRow) limited() map[string]any {
	r.LimitBytes, r.LimitMessages = min(r.SetBytes, r.OwnBytes), min(r.SetMessages, r.OwnMessages)
	return map[string]any{
		"set_bytes": r.SetBytes, "set_messages": r.SetMessages, "own_bytes": r.OwnBytes, "own_messages": r.OwnMessages,
		"limit_bytes": r.LimitBytes, "limit_messages": r.LimitMessages, "fill": fill(*r), "set_by": r.SetBy,
	}
}

func (r *ownerRow) version() string {
	return owner.Quota{Set: r.set(), SetBy: setBy(r.SetBy)}.Version()
}

func (r *ownerRow) set() owner.Limit {
	return owner.Limit{Bytes: limitPointer(r.SetBytes), Messages: limitPointer(r.SetMessages)}
}

func limitPointer(n int64) *int64 {
	if n == never {
		return nil
	}
	return &n
}

func limitColumn(p *int64) int64 {
	if p == nil {
		return never
	}
	return max(0, *p)
}

// fill is owner.Quota.Fill by the measures of a row alone; whose accounts
// stopped is looked up by stopped.
func fill(r ownerRow) int64 {
	return owner.Quota{
		UsedBytes: r.UsedBytes, UsedMessages: r.UsedMessages,
		LimitBytes: limitPointer(r.LimitBytes), LimitMessages: limitPointer(r.LimitMessages),
	}.Fill()
}

// stopped is a query for the users of whom an account is over_quota, in the
// words of the index poll_schedule_troubled.
var stopped = fmt.Sprintf("SELECT owner FROM poll_schedule WHERE state > 3 AND state = %d AND enabled = 1",
	states.code(account.OverQuota))

// Quota returns a user's limits, what its mailbox was last measured to hold,
// and what each account brought in. A user who was never seen has used nothing
// and has no limit.
func (s *Store) Quota(ctx context.Context, o owner.Owner) (owner.Quota, error) {
	row := unlimited(o)
	db := s.r.WithContext(ctx)
	found := db.Raw("SELECT "+ownerColumns+" FROM owners WHERE owner = ?", o.String()).Scan(&row)
	err := found.Error
	if err == nil && found.RowsAffected == 0 {
		err = s.nothing(ctx)
	}
	if err == nil {
		err = s.inherit(ctx, s.on(db), &row)
	}
	if err != nil {
		return owner.Quota{}, s.wrap(ctx, "loading a quota", err)
	}
	row.limited()
	qs, err := s.quotas(db, []ownerRow{row})
	if foreign := s.stillOurs(ctx); foreign != nil {
		err = foreign
	}
	if err != nil {
		return owner.Quota{}, s.wrap(ctx, "loading a quota", err)
	}
	return qs[0], nil
}

// SetLimits sets what a user's mailbox may hold, whatever the default is; nil is
// unlimited. What was set before has to match, else the error is
// account.ErrPrecondition. Where that makes room, accounts that were stopped are due at
// once, as they are whatever else makes room.
func (s *Store) SetLimits(ctx context.Context, o owner.Owner, l owner.Limit, match account.Match) error {
	return s.changeOwner(ctx, "setting a quota", o, func(_ *gorm.DB, r *ownerRow) (map[string]any, error) {
		if err := match.Check(r.version()); err != nil {
			return nil, err
		}
		r.SetBytes, r.SetMessages, r.SetBy = limitColumn(l.Bytes), limitColumn(l.Messages), setForUser
		return nil, nil
	}, limitsSet)
}

// ClearLimits takes back what was set for a user, so that the default counts. What
// was set has to match as in SetLimits.
func (s *Store) ClearLimits(ctx context.Context, o owner.Owner, match account.Match) error {
	return s.changeOwner(ctx, "taking a quota back", o, func(_ *gorm.DB, r *ownerRow) (map[string]any, error) {
		if err := match.Check(r.version()); err != nil {
			return nil, err
		}
		r.SetBy = setByNobody
		return nil, nil
	}, limitsSet)
}

// SaveUsage notes what a user's mailbox was measured to hold, in all and by account, and
// its own limits, for lists over all users.
func (s *Store) SaveUsage(ctx context.Context, o owner.Owner, bytes, messages int64, own owner.Limit,
	shares []owner.AccountUsage,
) error {
	return s.changeOwner(ctx, "noting a mailbox's usage", o, func(tx *gorm.DB, r *ownerRow) (map[string]any, error) {
		for _, u := range shares {
			err := tx.Exec("UPDATE accounts SET held_bytes = ?, held_messages = ? WHERE id = ? AND owner = ?",
				u.Bytes, u.Messages, u.ID, o.String()).Error
			if err != nil {
				return nil, err
			}
		}
		r.UsedBytes, r.UsedMessages = bytes, messages
		r.OwnBytes, r.OwnMessages = limitColumn(own.Bytes), limitColumn(own.Messages)
		return map[string]any{
			"used_bytes": bytes, "used_messages": messages, "used_ms": max(1, s.now().UnixMilli()),
		}, nil
	}, nil)
}

// changeOwner changes a user's row and writes the act down that act makes of the row
// before and now; nil: it is a measure, and nobody's act.
func (s *Store) changeOwner(ctx context.Context, op string, o owner.Owner,
	change func(*gorm.DB, *ownerRow) (further map[string]any, err error),
	act func(o owner.Owner, before, now ownerRow) audit.Entry,
) error {
	return s.write(ctx, op, func(tx *gorm.DB) error {
		if err := s.lockOwner(tx, o); err != nil {
			return err
		}
		before, now, err := s.changeLocked(tx, o, change)
		if err != nil {
			return err
		}
		if err := s.forgetOwner(tx, o); err != nil || act == nil {
			return err
		}
		return s.record(ctx, s.on(tx), act(o, before, now))
	})
}

// changeLocked changes the row of a user, which is locked, and recomputes its
// limits. What change returns are further columns. It returns the row as it was and is.
func (s *Store) changeLocked(tx *gorm.DB, o owner.Owner, change func(*gorm.DB, *ownerRow) (map[string]any, error),
) (before, now ownerRow, err error) {
	err = tx.Raw("SELECT "+ownerColumns+" FROM owners WHERE owner = ?", o.String()).Scan(&before).Error
	if err != nil {
		return before, now, err
	}
	now = before
	further, err := change(tx, &now)
	if err != nil {
		return before, now, err
	}
	if err := s.inherit(tx.Statement.Context, s.on(tx), &now); err != nil {
		return before, now, err
	}
	set := now.limited()
	maps.Copy(set, further)
	if err := tx.Table("owners").Where("owner = ?", o.String()).Updates(set).Error; err != nil {
		return before, now, err
	}
	return before, now, s.resumeStopped(tx.Statement.Context, s.on(tx), now, before)
}

// roomierThan reports whether what did not fit before may fit now: a limit is
// wider or less is used, and no limit is reached.
func (r *ownerRow) roomierThan(before ownerRow) bool {
	return fill(*r) < owner.FullMark && (r.LimitBytes > before.LimitBytes || r.LimitMessages > before.LimitMessages ||
		r.UsedBytes < before.UsedBytes || r.UsedMessages < before.UsedMessages)
}

// resumeStopped forgets that a user's accounts were over_quota where that was found with
// a fuller mailbox than there is now, and makes them due: the next visit finds out
// whether there is room. One under way uses the old limits: another follows it.
func (s *Store) resumeStopped(ctx context.Context, c sqlConn, r, before ownerRow) error {
	if !r.roomierThan(before) {
		return nil
	}
	now := s.now().UnixMilli()
	_, err := c.exec(ctx, `UPDATE poll_schedule SET state = ?, failures = 0, code = '', detail = '', since_ms = 0,
		hurried_ms = CASE WHEN enabled = 1 AND lease_owner <> '' AND lease_until_ms > ? THEN CAST(? AS BIGINT)
		ELSE hurried_ms END,
		due_at_ms = CASE WHEN enabled = 0 OR aborted > ? OR lease_owner <> '' AND lease_until_ms > ? OR due_at_ms < ?
		THEN due_at_ms ELSE CAST(? AS BIGINT) END
		WHERE owner = ? AND state > 3 AND state = ?`, states.code(account.OK), now, now, schedule.AbortedAlone, now, now, now,
		r.Owner, states.code(account.OverQuota))
	return err
}

// quotas adds the accounts' shares to owners' rows.
func (s *Store) quotas(db *gorm.DB, rows []ownerRow) ([]owner.Quota, error) {
	owners := make([]string, len(rows))
	for i, r := range rows {
		owners[i] = r.Owner
	}
	var uses []struct {
		Owner, ID, Name, Folder string
		Bytes, Messages         int64
	}
	err := db.Raw(`SELECT owner, id, name, folder, held_bytes AS bytes, held_messages AS messages FROM accounts
		WHERE owner IN ? ORDER BY created_ms, id`, owners).Scan(&uses).Error
	if err != nil {
		return nil, err
	}
	byOwner := map[string][]owner.AccountUsage{}
	for _, u := range uses {
		byOwner[u.Owner] = append(byOwner[u.Owner], owner.AccountUsage{
			ID: u.ID, Name: u.Name, Folder: u.Folder, Bytes: u.Bytes,
			Messages: u.Messages,
		})
	}
	var full []string
	if err := db.Raw(stopped+" AND owner IN ?", owners).Scan(&full).Error; err != nil {
		return nil, err
	}
	out := make([]owner.Quota, len(rows))
	for i, r := range rows {
		o, err := owner.Stored(r.Owner)
		if err != nil {
			return nil, fmt.Errorf("reading a quota: %w", err)
		}
		out[i] = owner.Quota{
			Owner: o, UsedBytes: r.UsedBytes, UsedMessages: r.UsedMessages,
			LimitBytes: limitPointer(r.LimitBytes), LimitMessages: limitPointer(r.LimitMessages),
			Set: r.set(), SetBy: setBy(r.SetBy),
			Own:      owner.Limit{Bytes: limitPointer(r.OwnBytes), Messages: limitPointer(r.OwnMessages)},
			Accounts: byOwner[r.Owner], Stopped: slices.Contains(full, r.Owner),
		}
	}
	return out, nil
}

// quotaSorts are the orders that an index serves.
var quotaSorts = map[string]string{
	"used_bytes": "used_bytes", "used_messages": "used_messages", "limit_bytes": "limit_bytes", "usage": "fill",
}

// QuotaSummary counts all users by how full they were when last measured.
// It reads one index from end to end, and the rows of those alone of whom an
// account is over_quota.
func (r Admin) QuotaSummary(ctx context.Context) (sum insight.QuotaSummary, err error) {
	s := r.s
	c, bands := s.on(s.r), quotaBandArgs
	err = c.each(ctx, func(r rowScanner) error {
		var band int
		var n int64
		if err := r.Scan(&band, &n); err != nil {
			return err
		}
		if band < 0 {
			sum.Unlimited = n
			return nil
		}
		sum.Bands[band] = n
		return nil
	}, quotaBands+" GROUP BY band", bands...)
	if err != nil {
		return sum, s.wrap(ctx, "counting users by quota", err)
	}
	err = c.each(ctx, func(r rowScanner) error {
		var band int
		var n int64
		if err := r.Scan(&band, &n); err != nil {
			return err
		}
		if band < 0 {
			sum.Unlimited -= n
		} else {
			sum.Bands[band] -= n
		}
		sum.Bands[insight.QuotaBands-1] += n
		return nil
	}, quotaBands+" WHERE owner IN ("+stopped+") GROUP BY band", bands...)
	return sum, s.wrap(ctx, "counting users by quota", err)
}

// quotaBands counts users by band of fill; -1 is for those without a limit.
const quotaBands = `SELECT band, count(*) FROM (SELECT owner, CASE WHEN limit_bytes = ? AND limit_messages = ? THEN -1
	WHEN fill >= ? THEN CAST(? AS INTEGER) ELSE fill / ? END AS band FROM owners) AS x`

var quotaBandArgs = []any{
	int64(never), int64(never), owner.FullMark, insight.QuotaBands - 1,
	owner.FullMark / (insight.QuotaBands - 1),
}

const maxPage = 500

func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, maxPage)
}

// Quotas returns a page of users, each with limits, last measured use and
// its accounts' shares, and the cursor of the next page, "" after the last. An
// unknown sort, state or cursor is an *account.InvalidError.
func (r Admin) Quotas(ctx context.Context, f insight.QuotaFilter) (page []owner.Quota, next string, err error) {
	s := r.s
	query, args, column, err := quotaPage(f, s.postgres)
	if err != nil {
		return nil, "", err
	}
	size := pageSize(f.Limit)
	db := s.r.WithContext(ctx)
	var rows []ownerRow
	if err := db.Raw(query, append(args, size+1)...).Scan(&rows).Error; err != nil {
		return nil, "", s.wrap(ctx, "listing quotas", err)
	}
	if len(rows) > size {
		rows = rows[:size]
		last := rows[size-1]
		key := map[string]int64{
			"used_bytes": last.UsedBytes, "used_messages": last.UsedMessages,
			"limit_bytes": last.LimitBytes, "fill": last.Fill,
		}[column]
		next = cursor{Order: f.Sort, Number: key, Owner: last.Owner}.String()
	}
	if len(rows) == 0 {
		return nil, "", s.nothing(ctx)
	}
	page, err = s.quotas(db, rows)
	return page, next, s.wrap(ctx, "listing quotas", err)
}

// quotaPage makes the statement for a page; the size of the page is its last
// argument. column is the number that the order goes by, "" for the address.
func quotaPage(f insight.QuotaFilter, postgres bool) (query string, args []any, column string, err error) {
	bad := &account.InvalidError{}
	name, down := strings.CutPrefix(f.Sort, "-")
	column, known := quotaSorts[name]
	if !known && name != "" && name != "user" || f.Sort == "-" {
		bad.Add("sort", "invalid", "must be one of %s, with a - before it or not",
			"user, used_bytes, used_messages, limit_bytes, usage")
	}
	where, args := quotaConditions(f, bad, postgres)
	after, direction := ">", "ASC"
	if down {
		after, direction = "<", "DESC"
	}
	if f.Cursor != "" {
		c, ok := parseCursor(f.Cursor)
		switch {
		case !ok || c.Order != f.Sort:
			bad.Add("cursor", "invalid", "must be next_cursor of the page before, with the other parameters unchanged")
		case column == "":
			where, args = append(where, "owner "+after+" ?"), append(args, c.Owner)
		default:
			where, args = append(where, "("+column+", owner) "+after+" (?, ?)"), append(args, c.Number, c.Owner)
		}
	}
	if err := bad.OrNil(); err != nil {
		return "", nil, "", err
	}
	query = "SELECT " + ownerColumns + " FROM owners"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	order := []string{"owner " + direction}
	if column != "" {
		order = slices.Insert(order, 0, column+" "+direction)
	}
	return query + " ORDER BY " + strings.Join(order, ", ") + " LIMIT ?", args, column, nil
}

// quotaConditions are those that the filter makes; what is wrong with it goes to bad.
func quotaConditions(f insight.QuotaFilter, bad *account.InvalidError, postgres bool) (where []string, args []any) {
	if f.Match != "" {
		found, values := containing(postgres, f.Match, "owner")
		where, args = append(where, found), append(args, values...)
	}
	if f.Domain != "" {
		where, args = append(where, domainOf+" = ?"), append(args, storable(owner.FoldASCII(f.Domain)))
	}
	switch f.State {
	case "":
	case owner.QuotaOver:
		where, args = append(where, "(fill >= ? OR owner IN ("+stopped+"))"), append(args, owner.FullMark)
	case owner.QuotaNear:
		where = append(where, "fill >= ? AND fill < ? AND owner NOT IN ("+stopped+")")
		args = append(args, owner.NearMark, owner.FullMark)
	case owner.QuotaOK:
		where, args = append(where, "fill < ? AND owner NOT IN ("+stopped+")"), append(args, owner.NearMark)
	default:
		bad.Add("state", "invalid", "must be one of %s", "over, near, ok")
	}
	return where, args
}
