package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/words"
)

// cursor is where the next page of a list begins: after this row. It goes out
// and comes back, so nothing in it is trusted beyond its types.
type cursor struct {
	Order   string `json:"o,omitempty"`
	Number  int64  `json:"n,omitempty"`
	Owner   string `json:"u"`
	Account string `json:"a,omitempty"`
}

// String returns the cursor in printable form.
func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil { // Strings and a number: it cannot.
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads what a client sent.
func parseCursor(s string) (c cursor, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) > 1000 {
		return cursor{}, false
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if d.Decode(&c) != nil || d.More() || c.Owner == "" || storable(c.Owner) != c.Owner || !utf8.ValidString(c.Owner) {
		return cursor{}, false
	}
	return c, true
}

// Admin is what administrators look at across users.
type Admin struct{ s *Store }

// Admin returns it.
func (s *Store) Admin() Admin { return Admin{s} }

// Account finds anybody's account by its id; account.ErrNotFound without one.
func (r Admin) Account(ctx context.Context, id account.ID) (account.Account, error) {
	return r.s.Accounts().Any(ctx, id)
}

// overdueFirst is the order of accounts that are overdue, in cursors.
const overdueFirst = "overdue"

// fewIn says of states that few accounts are in what all of them have in
// common, in the words of a partial index.
var fewIn = map[account.State]string{
	account.Pending: "p.last_attempt_ms = 0", account.Fetching: "p.lease_owner <> ''", account.Paused: "p.enabled = 0",
	account.Retrying: "p.state > 3", account.NeedsAttention: "p.state > 3", account.OverQuota: "p.state > 3",
}

// Accounts returns a page of accounts across users, by user, then oldest
// first, unless asked for otherwise, and the cursor of the next page, "" after the last. An unknown state
// or cursor is an *account.InvalidError.
func (r Admin) Accounts(ctx context.Context, f insight.AccountFilter) (page []account.Account, next string, err error) {
	s := r.s
	bad := &account.InvalidError{}
	where, args := []string{"1 = 1"}, []any{}
	if !f.Owner.IsZero() {
		where, args = append(where, "a.owner = ?"), append(args, f.Owner.String())
	}
	now, out := s.now(), []string(nil)
	if f.State != "" || f.Affected {
		if out, err = s.outOfOrder(ctx, s.on(s.r), now); err != nil {
			return nil, "", s.wrap(ctx, "listing accounts", err)
		}
	}
	if f.State != "" {
		code := states.code(f.State)
		if code == 0 {
			bad.Add("state", "invalid", "must be one of %s", words.List(account.States()))
		}
		state, values := stateOf(now.UnixMilli(), out)
		where, args = append(where, state+" = ?"), append(append(args, values...), code)
		// Those that an outage keeps waiting are retried in no row's word.
		if few := fewIn[f.State]; few != "" && (f.State != account.Retrying || len(out) == 0) {
			where = append(where, few)
		}
	}
	if f.Host != "" {
		where, args = append(where, "a.host = ?"), append(args, storable(strings.ToLower(f.Host)))
	}
	if f.Port != 0 {
		where, args = append(where, "a.port = ?"), append(args, f.Port)
	}
	if f.Match != "" {
		found, values := containing(s.postgres, f.Match, "a.owner", s.folded("a.email"), "a.host")
		where, args = append(where, found), append(args, values...)
	}
	if f.Affected {
		kept, values := affected(out)
		where, args = append(where, kept), append(args, values...)
	}
	if f.Code != "" {
		where, args = append(where, "p.state > 3 AND p.code = ?"), append(args, string(f.Code))
	}
	var after *cursor
	if f.Cursor != "" {
		c, ok := parseCursor(f.Cursor)
		if !ok || !isID(c.Account) || (c.Order == overdueFirst) != f.Overdue {
			bad.Add("cursor", "invalid", "must be next_cursor of the page before, with the other parameters unchanged")
		}
		after = &c
	}
	if err := bad.OrNil(); err != nil {
		return nil, "", err
	}
	size := pageSize(f.Limit)
	var query string
	if f.Overdue {
		query, args = s.overdueQuery(where, args, after, size+1)
	} else {
		query, args = byUserQuery(where, args, after, size+1)
	}
	page, err = s.told(s.r.WithContext(ctx), query, args...)
	if err == nil && len(page) == 0 {
		err = s.nothing(ctx)
	}
	if err != nil {
		return nil, "", s.wrap(ctx, "listing accounts", err)
	}
	if len(page) <= size {
		return page, "", nil
	}
	page = page[:size]
	last := page[size-1]
	c := cursor{Number: toMillis(last.CreatedAt), Owner: last.Owner.String(), Account: string(last.ID)}
	if f.Overdue {
		c.Order, c.Number = overdueFirst, toMillis(last.Status.NextPollAt)
	}
	return page, c.String(), nil
}

func byUserQuery(where []string, args []any, after *cursor, limit int) (string, []any) {
	if after != nil {
		where, args = append(where, "(a.owner, a.created_ms, a.id) > (?, ?, ?)"), append(args, after.Owner, after.Number,
			after.Account)
	}
	return "WHERE " + strings.Join(where, " AND ") + " ORDER BY a.owner, a.created_ms, a.id LIMIT ?", append(args, limit)
}

// overdueQuery goes by two indexes, as those that were asked for have no due
// time to go by: the first of each, and of all of them the first. With one
// condition for both the database would have to look at all that is due.
func (s *Store) overdueQuery(where []string, args []any, after *cursor, limit int) (string, []any) {
	now := s.now().UnixMilli()
	kind := func(due, since, hint string) (string, []any) {
		conditions, values := append([]string{due, "p.lease_until_ms <= ?"}, where...), append([]any{now}, args...)
		if after != nil {
			conditions, values = append(conditions, "("+since+", p.route_id) > (?, ?)"), append(values, after.Number,
				after.Account)
		}
		return "SELECT p.route_id FROM poll_schedule p" + hint + " JOIN accounts a ON a.id = p.route_id WHERE " +
			strings.Join(conditions, " AND ") +
			" ORDER BY " + since + ", p.route_id LIMIT ?", append(values, limit)
	}
	hint := "" // SQLite takes a due time of 0 for one like any other, which few rows have.
	if !s.postgres {
		hint = " INDEXED BY poll_schedule_hurried"
	}
	asked, askedArgs := kind("p.due_at_ms = 0", "p.hurried_ms", hint)
	due, dueArgs := kind("p.due_at_ms > 0 AND p.due_at_ms <= ?", "p.due_at_ms", "")
	args = append(append(askedArgs, now), append(dueArgs, limit)...)
	return "WHERE a.id IN (SELECT route_id FROM (" + asked + ") AS asked UNION ALL SELECT route_id FROM (" + due +
		`) AS due)
		ORDER BY CASE WHEN p.due_at_ms = 0 THEN p.hurried_ms ELSE p.due_at_ms END, a.id LIMIT ?`, args
}

// Stats returns the counts as they are now. Those of other processes lag
// by up to as long as they wait between calls of FlushCounts.
func (r Admin) Stats(ctx context.Context) (insight.Stats, error) {
	s := r.s
	const op = "counting accounts and visits"
	now := s.now()
	c := s.on(s.r)
	st := insight.Stats{Accounts: map[account.State]int64{}, Failing: map[fault.Code]int64{}}
	for _, name := range account.States() {
		st.Accounts[name] = 0
	}
	out, err := s.outOfOrder(ctx, c, now)
	if err != nil {
		return insight.Stats{}, s.wrap(ctx, op, err)
	}
	state, args := stateOf(now.UnixMilli(), out)
	err = c.each(ctx, func(r rowScanner) error {
		var state int16
		var n int64
		err := r.Scan(&state, &n)
		st.Accounts[states.word(state)] += n
		return err
	}, "SELECT s, count(*) FROM (SELECT "+state+" AS s FROM poll_schedule p WHERE p.kind = 1) AS x GROUP BY s", args...)
	if err != nil {
		return insight.Stats{}, s.wrap(ctx, op, err)
	}
	err = c.each(ctx, func(r rowScanner) error {
		var code string
		var n int64
		err := r.Scan(&code, &n)
		st.Failing[fault.Code(code)] = n
		return err
	}, "SELECT code, count(*) FROM poll_schedule WHERE code <> '' AND enabled = 1 AND kind = 1 GROUP BY code")
	if err != nil {
		return insight.Stats{}, s.wrap(ctx, op, err)
	}
	since := int64(never)
	query, args := except(`SELECT count(*), coalesce(min(CASE WHEN due_at_ms = 0 THEN hurried_ms ELSE due_at_ms END), ?)
		FROM poll_schedule WHERE due_at_ms <= ? AND lease_until_ms <= ? AND kind = 1`,
		[]any{since, now.UnixMilli(), now.UnixMilli()}, "circuit", out)
	err = c.row(ctx, query, args...).Scan(&st.Due, &since)
	if err != nil {
		return insight.Stats{}, s.wrap(ctx, op, err)
	}
	if st.Due > 0 {
		st.Lag = max(0, now.Sub(time.UnixMilli(since)))
	}
	if st.LastHour, err = s.activity(ctx, now.Add(-time.Hour)); err != nil {
		return insight.Stats{}, s.wrap(ctx, op, err)
	}
	st.LastDay, err = s.activity(ctx, now.Add(-24*time.Hour))
	return st, s.wrap(ctx, op, err)
}
