package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Audit keeps who did what. Rows are added and, by age alone, forgotten; the
// database itself refuses everything else.
type Audit struct{ s *Store }

// Audit returns the store as the keeper of acts.
func (s *Store) Audit() Audit { return Audit{s} }

// Record writes an act down that is not in the database: before it is done, so
// that nothing is done that is not here. Acts in the database are written by
// whatever does them, in the same transaction.
func (r Audit) Record(ctx context.Context, e audit.Entry) error {
	return r.s.write(ctx, "writing an act down", func(tx *gorm.DB) error {
		return r.s.record(ctx, r.s.on(tx), e)
	})
}

// record adds the row of an act. Who acts is what the context says, unless the
// act itself shows who it is.
func (s *Store) record(ctx context.Context, c sqlConn, e audit.Entry) error {
	by := audit.ActorOf(ctx)
	by.Role, by.Name = cmp.Or(e.Actor.Role, by.Role), cmp.Or(e.Actor.Name, by.Name)
	changed, err1 := json.Marshal(orNothing(e.Changed))
	details, err2 := json.Marshal(e.Details)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("writing an act down: %w", err)
	}
	if e.Details == nil {
		details = []byte("{}")
	}
	_, err := c.exec(ctx, `INSERT INTO audit (at_ms, role, actor, client, action, owner, account_id, changed, details)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, s.now().UnixMilli(), string(by.Role), storable(by.Name), storable(by.Client),
		string(e.Action), e.User.String(), string(e.Account), storable(string(changed)), storable(string(details)))
	if err != nil {
		return fmt.Errorf("writing an act down: %w", err)
	}
	return nil
}

func orNothing(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// recordForeign is record for what changes no setting: it is worth a row only
// where it is done to somebody else.
func (s *Store) recordForeign(ctx context.Context, c sqlConn, e audit.Entry) error {
	if by := audit.ActorOf(ctx); by.Role == audit.System || by.Name == e.User.String() {
		return nil
	}
	return s.record(ctx, c, e)
}

// AboutAccount returns the entry of an act on an account: which mailbox, and where.
// Its details may be added to.
func AboutAccount(action audit.Action, a account.Account) audit.Entry {
	return audit.Entry{Action: action, User: a.Owner, Account: a.ID, Details: map[string]string{
		"email": a.Email, "protocol": string(a.Protocol), "host": a.Server.Host,
		"port": strconv.Itoa(a.Server.Port), "security": string(a.Server.Security), "auth": string(a.Auth),
	}}
}

// nothingChanged reports whether an edit left all as it was: no act.
func nothingChanged(e audit.Entry) bool {
	return e.Action == audit.AccountChanged && len(e.Changed) == 0
}

// edited is the entry of an edit: which settings are other ones now. Of a password
// that it is another one is all that is known here.
func edited(old, a account.Account, newSecret bool) audit.Entry {
	e := AboutAccount(audit.AccountChanged, a)
	e.Changed = a.Changed(old, newSecret)
	// Switched off by an administrator too, it is not its user's to switch on.
	byOperator := len(e.Changed) == 0 && !a.Enabled && old.Pause.Operator != a.Pause.Operator
	if byOperator || slices.Equal(e.Changed, []string{"enabled"}) {
		e.Changed = nil
		if e.Action = audit.AccountPaused; a.Enabled {
			e.Action = audit.AccountResumed
		}
	}
	return e
}

// mailWord says what becomes of the mail that was fetched.
func mailWord(deleted bool) string {
	if deleted {
		return "delete"
	}
	return "keep"
}

// limitsSet is the entry of a change of a user's limits: which are other ones now, and
// who says so where it was somebody else before.
func limitsSet(o owner.Owner, before, now ownerRow) audit.Entry {
	e := audit.Entry{Action: audit.QuotaSet, User: o, Details: map[string]string{}}
	limitDetails(&e, before.set(), now.set())
	if was, by := setBy(before.SetBy), setBy(now.SetBy); was != by {
		e.Changed = append(e.Changed, "limit_source")
		e.Details["limit_source"] = cmp.Or(string(by), "nobody")
	}
	return e
}

// defaultSet is the entry of a change of a domain's default; nil is none.
func defaultSet(domain string, before, now *owner.Limit) audit.Entry {
	e := audit.Entry{Action: audit.DefaultSet, Details: map[string]string{"domain": domain}}
	if now == nil {
		e.Action = audit.DefaultRemoved
		return e
	}
	if before == nil {
		before = &owner.Limit{}
	}
	limitDetails(&e, *before, *now)
	return e
}

// limitDetails says which limits count now and, of those that did not before, which did.
func limitDetails(e *audit.Entry, before, now owner.Limit) {
	for _, x := range []struct {
		name     string
		was, now *int64
	}{{"limit_bytes", before.Bytes, now.Bytes}, {"limit_messages", before.Messages, now.Messages}} {
		e.Details[x.name] = limitWord(x.now)
		if was := limitWord(x.was); was != e.Details[x.name] {
			e.Changed = append(e.Changed, x.name)
			e.Details[x.name+"_before"] = was
		}
	}
}

// limitWord writes a limit as its detail.
func limitWord(n *int64) string {
	if n == nil {
		return "unlimited"
	}
	return strconv.FormatInt(*n, 10)
}

// Acts returns a page of acts, the newest first. An unknown action, actor or cursor
// is an *account.InvalidError.
func (r Audit) Acts(ctx context.Context, f audit.Filter) (page audit.Page, err error) {
	const op = "listing acts"
	where, args, err := actsWhere(f, r.s.postgres)
	if err != nil {
		return audit.Page{}, err
	}
	c, size := r.s.on(r.s.r), pageSize(f.Limit)
	var since int64
	if err := c.row(ctx, "SELECT before_ms FROM audit_horizon").Scan(&since); err != nil {
		return audit.Page{}, r.s.wrap(ctx, op, err)
	}
	page.Since = fromMillis(since)
	err = c.each(ctx, func(row rowScanner) error {
		e, err := scanEntry(row)
		page.Entries = append(page.Entries, e)
		return err
	}, "SELECT id, at_ms, role, actor, client, action, owner, account_id, changed, details FROM audit WHERE "+
		strings.Join(where, " AND ")+" ORDER BY at_ms DESC, id DESC LIMIT ?", append(args, size+1)...)
	if err == nil && len(page.Entries) == 0 {
		err = r.s.nothing(ctx)
	}
	if err != nil {
		return audit.Page{}, r.s.wrap(ctx, op, err)
	}
	if len(page.Entries) > size {
		page.Entries = page.Entries[:size]
		last := page.Entries[size-1]
		page.Next = cursor{Number: toMillis(last.At), Owner: actsCursor, Account: strconv.FormatInt(last.ID, 10)}.String()
	}
	return page, nil
}

// actsCursor is what stands in a cursor of acts instead of a user.
const actsCursor = "audit"

func actsWhere(f audit.Filter, postgres bool) (where []string, args []any, err error) {
	bad := &account.InvalidError{}
	where = []string{"1 = 1"}
	and := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if !f.User.IsZero() {
		and("owner = ?", f.User.String())
	}
	if f.Query != "" {
		found, values := containing(postgres, f.Query, "owner")
		and(found, values...)
	}
	if f.Account != "" {
		and("account_id <> '' AND account_id = ?", storable(string(f.Account)))
	}
	role, name := f.Role, f.Actor
	if role == "" && slices.Contains(audit.Roles(), audit.Role(name)) {
		role, name = audit.Role(name), ""
	}
	if role != "" {
		and("role = ?", string(role))
	}
	if name != "" { // An address is folded, and a machine's user is called as it is.
		and("actor IN (?, ?)", storable(name), storable(owner.FoldASCII(name)))
	}
	if f.Action != "" {
		and("action = ?", storable(string(f.Action)))
	}
	if !f.From.IsZero() {
		and("at_ms >= ?", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		and("at_ms < ?", f.To.UnixMilli())
	}
	if f.Cursor != "" {
		c, ok := parseCursor(f.Cursor)
		id, idErr := strconv.ParseInt(c.Account, 10, 64)
		if !ok || c.Owner != actsCursor || idErr != nil {
			bad.Add("cursor", "invalid", "must be next_cursor of the page before, with the other parameters unchanged")
		}
		and("(at_ms, id) < (?, ?)", c.Number, id)
	}
	return where, args, bad.OrNil()
}

func scanEntry(row rowScanner) (e audit.Entry, err error) {
	var at int64
	var address, changed, details string
	if err := row.Scan(
		&e.ID, &at, &e.Actor.Role, &e.Actor.Name, &e.Actor.Client, &e.Action, &address, &e.Account, &changed,
		&details); err != nil {
		return e, err
	}
	e.At = fromMillis(at)
	if address != "" {
		if e.User, err = owner.Stored(address); err != nil {
			return e, fmt.Errorf("reading an act: %w", err)
		}
	}
	return e, errors.Join(json.Unmarshal([]byte(changed), &e.Changed), json.Unmarshal([]byte(details), &e.Details))
}

// pruneReach is by how much of the time that is written down Prune advances at once.
const pruneReach = 24 * time.Hour

// Prune forgets acts that are older than a moment, a slice at a time: a chore. It
// advances from the oldest act by a day at most, whatever the moment is: with a clock that is
// years ahead, all would be old. How far it goes is noted first, as the database lets
// nobody delete what is younger than what is noted, and Page.Since returns it.
func (r Audit) Prune(ctx context.Context, before time.Time) error {
	const op = "forgetting old acts"
	var oldest sql.NullInt64
	if err := r.s.on(r.s.w).row(ctx, "SELECT min(at_ms) FROM audit").Scan(&oldest); err != nil {
		return r.s.wrap(ctx, op, err)
	}
	if !oldest.Valid || oldest.Int64 >= before.UnixMilli() {
		return nil
	}
	ms := min(before.UnixMilli(), oldest.Int64+pruneReach.Milliseconds())
	_, err := r.s.on(r.s.w).exec(ctx, "UPDATE audit_horizon SET before_ms = ? WHERE before_ms < ?", ms, ms)
	if err != nil {
		return r.s.wrap(ctx, op, err)
	}
	return r.s.inSlices(ctx, op,
		"DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < ? ORDER BY at_ms, id LIMIT ?)", ms, pruneAtOnce)
}
