package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

const (
	// atOnce is how many rows a question about many names at most: databases bound
	// how many values a statement may have.
	atOnce = 1000
	// longestBelieved is for how long a user's accounts are believed to be as they were
	// loaded, if nothing says that they changed. Nothing depends on it but what somebody
	// writes past the triggers.
	longestBelieved = time.Minute
	// endingsKept is how long it is known what ended: see Watch.Look.
	endingsKept = time.Hour
)

// Watch knows the accounts of many users, and finds out what became of them by a handful
// of queries, however many they are: see docs/decisions/0051-one-look-for-all-listeners.md.
// It is not safe for concurrent use.
type Watch struct {
	s     *Store
	mark  changeMark
	at    time.Time // Of the last look that went well.
	users map[account.Owner]*watched
	signs signs
	out   string // The outages of signs, to see whether there are others now.
	rows  int    // That were read so far.
}

// watched is what is known of a user.
type watched struct {
	loaded   time.Time // Zero: not yet.
	views    []accountView
	accounts []account.Account // As they were told last.
	next     time.Time         // When time alone may change how they are told; zero: never.
	restless bool              // It depends on what others do, too.
}

// Watch returns a watch of nobody's accounts.
func (s *Store) Watch() *Watch {
	return &Watch{s: s, users: map[account.Owner]*watched{}}
}

// Look returns, of these users, those whose accounts may be told otherwise than before,
// with all their accounts as Accounts.Accounts returns them. So are users for whom
// something ended, such as a session; all that were not asked for in the look before;
// and all of again. After an error everything is as before the call, and may be asked again.
//
// What is read follows from what happens, not from how many users there are: the visits
// under way, the accounts that changed since the last look, the servers out of order, and
// all users once in a minute.
func (w *Watch) Look(ctx context.Context, users, again []account.Owner) (map[account.Owner][]account.Account, error) {
	const op = "looking at accounts"
	now := w.s.now()
	if at := now.Sub(w.at); at < 0 || at > endingsKept/2 {
		w.mark = changeMark{} // What ended since may be forgotten.
	}
	// In this order: what changes after a question was answered is found by the next look.
	mark, changed, err := w.s.changedSince(ctx, w.mark)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	signs, visited, err := w.s.allSigns(ctx, now)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	w.rows += len(changed) + len(visited) + len(signs.outages)
	stale := map[string]bool{} // And whether they are told in any case.
	for _, name := range visited {
		stale[name] = false
	}
	for _, name := range changed {
		stale[name] = true
	}
	for _, o := range again {
		stale[o.String()] = true
	}
	var load []account.Owner
	for _, o := range users {
		u := w.users[o]
		_, is := stale[o.String()]
		if u == nil || is || !w.mark.before(mark) || now.Sub(u.loaded).Abs() >= reloadAfter(o) {
			load = append(load, o)
		}
	}
	views, err := w.load(ctx, load)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	if err := w.s.stillOurs(ctx); err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	return w.settle(users, views, stale, signs, mark, now)
}

// reloadAfter is for how long a user's accounts are believed to be as they were loaded:
// not the same for all, so that not all have their turn at once.
func reloadAfter(o account.Owner) time.Duration {
	h := fnv.New32a()
	io.WriteString(h, o.String()) //nolint:errcheck // It cannot fail.
	return longestBelieved/2 + longestBelieved/2*time.Duration(h.Sum32()%1024)/1024
}

// load reads the accounts of users.
func (w *Watch) load(ctx context.Context, users []account.Owner) (map[account.Owner][]accountView, error) {
	all := map[account.Owner][]accountView{}
	for some := range slices.Chunk(users, atOnce) {
		names := make([]string, len(some))
		byName := map[string]account.Owner{}
		for i, o := range some {
			names[i], byName[o.String()], all[o] = o.String(), o, nil
		}
		var vs []accountView
		err := w.s.r.WithContext(ctx).Raw(accountColumns+accountTables+
			"WHERE a.owner IN ? ORDER BY a.created_ms, a.id", names).Scan(&vs).Error
		if err != nil {
			return nil, err
		}
		w.rows += len(vs)
		for _, v := range vs {
			o := byName[v.Row.Owner]
			all[o] = append(all[o], v)
		}
	}
	if len(users) > 0 {
		for _, vs := range all {
			if len(vs) > 0 {
				return all, nil
			}
		}
		return all, w.s.nothing(ctx)
	}
	return all, nil
}

// settle takes over what was read, and returns who has to be told.
func (w *Watch) settle(users []account.Owner, loaded map[account.Owner][]accountView, stale map[string]bool,
	signs signs, mark changeMark, now time.Time,
) (map[account.Owner][]account.Account, error) {
	out := fmt.Sprint(signs.outages) // Maps are printed in the order of their keys.
	others := out != w.out
	known, news := map[account.Owner]*watched{}, map[account.Owner][]account.Account{}
	for _, o := range users {
		u, old := &watched{}, w.users[o]
		views, fresh := loaded[o]
		switch {
		case fresh:
			accounts, err := accountsOf(views, now)
			if err != nil {
				return nil, err
			}
			*u = watched{loaded: now, views: views, accounts: accounts}
		case others, old.restless, !old.next.IsZero() && !now.Before(old.next):
			*u = *old
			u.accounts = slices.Clone(old.accounts)
			for i, v := range u.views {
				u.accounts[i].Status = v.status(now.UnixMilli())
			}
		default:
			known[o] = old
			continue
		}
		w.s.show(u, signs, now)
		known[o] = u
		if old == nil || stale[o.String()] || !reflect.DeepEqual(u.accounts, old.accounts) {
			news[o] = u.accounts
		}
	}
	w.users, w.signs, w.out, w.mark, w.at = known, signs, out, mark, now
	return news, nil
}

// show adds what delays accounts, and finds out when that may be otherwise.
func (s *Store) show(u *watched, all signs, now time.Time) {
	u.next, u.restless = time.Time{}, false
	for i, v := range u.views {
		a := u.accounts[i]
		sign := all.of(a)
		sign.Asked, sign.Allowed = v.DueAtMS == 0, s.allowed.Of(a)
		u.restless = u.restless || schedule.NeedsSigns(a, now)
		for _, at := range []time.Time{
			a.Status.NextPollAt, a.Status.NextPollAt.Add(schedule.Late), fromMillis(v.LeaseUntilMS),
		} {
			if at.After(now) && (u.next.IsZero() || at.Before(u.next)) {
				u.next = at
			}
		}
		u.accounts[i].Status = schedule.Show(a, sign, now)
	}
}

// allSigns returns what delays anybody's account besides itself, and whose accounts are
// being visited, or were by a worker that is gone: few rows, which indexes hold.
func (s *Store) allSigns(ctx context.Context, now time.Time) (all signs, visited []string, err error) {
	all = signs{outages: map[string]schedule.Outage{}, atHost: map[string]int{}, ofUser: map[string]int{}}
	c := s.on(s.r)
	err = c.each(ctx, all.outage, "SELECT circuit, min(since_ms), min(probe_ms), min(code) FROM host_outages "+
		"WHERE probe_ms > ? GROUP BY circuit", outageFrom(now))
	if err != nil {
		return signs{}, nil, err
	}
	err = c.each(ctx, func(r rowScanner) error {
		var host, user string
		var until int64
		err := r.Scan(&host, &user, &until)
		if until > now.UnixMilli() {
			all.atHost[host]++
			all.ofUser[user]++
		}
		visited = append(visited, user)
		return err
	}, "SELECT host_key, owner, lease_until_ms FROM poll_schedule WHERE lease_owner <> ''")
	return all, visited, err
}

// changeMark is a moment in the order of changes: everything that is numbered was either
// to be seen then, or was not.
type changeMark struct {
	after int64   // On SQLite the last number; on PostgreSQL the first transaction that had not begun, …
	under []int64 // … and those before it that had not ended.
	taken bool
}

// before reports whether a later moment is one of the same database's.
func (m changeMark) before(later changeMark) bool { return m.taken && m.after <= later.after }

// changedSince returns whose accounts changed since a moment while nobody visited them,
// and for whom something ended, in no order; and what moment it is now. Since none, nobody's did.
func (s *Store) changedSince(ctx context.Context, m changeMark) (now changeMark, owners []string, err error) {
	// One statement sees one moment.
	query, args := "SELECT (SELECT coalesce(max(changed), 0) FROM poll_schedule), "+
		"(SELECT coalesce(max(changed), 0) FROM endings), ''", []any{}
	later := "changed > ?"
	values := []any{m.after}
	if s.postgres {
		query = "SELECT CAST(pg_current_snapshot() AS text), '', ''"
		// What a copy of another server's database was numbered by is as if it came later than all.
		later = "changed >= ?"
		if len(m.under) > 0 {
			later = "(changed >= ? OR changed IN " + marks(len(m.under)) + ")"
			for _, n := range m.under {
				values = append(values, n)
			}
		}
		later += " AND changed < CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
	}
	if m.taken {
		for _, table := range []string{"poll_schedule", "endings"} {
			query += " UNION ALL SELECT NULL, NULL, owner FROM " + table + " WHERE " + later
			args = append(args, values...)
		}
	}
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var one, two *string
		var owner string
		if err := r.Scan(&one, &two, &owner); err != nil {
			return err
		}
		if one == nil {
			owners = append(owners, owner)
			return nil
		}
		now, err = parseMark(s.postgres, *one, *two)
		return err
	}, query, args...)
	return now, owners, err
}

// parseMark reads SQLite's two last numbers, or a snapshot of PostgreSQL's: "10:20:10,14,15".
func parseMark(postgres bool, one, two string) (m changeMark, err error) {
	numbers := []string{one, two}
	if postgres {
		parts := strings.Split(one, ":")
		if len(parts) != 3 {
			return m, fmt.Errorf("a snapshot is written as %q", one)
		}
		numbers = append(parts[1:2], strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' })...)
	}
	for i, s := range numbers {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return m, fmt.Errorf("reading which changes there are: %w", err)
		case i == 0 || !postgres:
			m.after = max(m.after, n)
		default:
			m.under = append(m.under, n)
		}
	}
	m.taken = true
	return m, nil
}
