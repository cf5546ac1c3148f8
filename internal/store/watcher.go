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
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

const (
	// maxNames is how many users or sessions one query asks for: databases limit the
	// parameters of a statement.
	maxNames = 1000
	// maxAge is after how long a user's accounts are loaded again although nothing says
	// that they changed. It only matters for changes that no trigger sees.
	maxAge = 5 * time.Minute
	// endingsKept is how long rows of the table endings are kept.
	endingsKept = time.Hour
)

// Watcher finds the changed accounts of many users with a few queries, however many users
// there are: see docs/decisions/0051-one-query-for-all-event-streams.md. It is not safe for
// concurrent use.
type Watcher struct {
	s       *Store
	last    changePoint
	lastAt  time.Time // When the last call succeeded.
	users   map[owner.Owner]*watchedUser
	outages string // Those of the last call, to compare with.
	rows    int    // Read so far.
}

// watchedUser caches a user's accounts.
type watchedUser struct {
	loaded   time.Time
	views    []accountView
	accounts []account.Account // As Changes returned them last.
	// nextChange is when the accounts' status may change by time alone; zero: never.
	nextChange time.Time
	// unstable is set while the status also depends on other accounts' visits.
	unstable bool
}

// Watcher returns a new watcher.
func (s *Store) Watcher() *Watcher {
	return &Watcher{s: s, users: map[owner.Owner]*watchedUser{}}
}

// Changes returns those of users whose accounts may have changed since the last call, each
// with all accounts as Accounts.Accounts returns them. It also returns users for whom
// something ended, such as a session; users who were not in the last call; and all of
// resend. A call that fails loses nothing: the next one returns its changes.
//
// What it reads depends on what happens, not on the number of users: the visits under way,
// the accounts changed since the last call, the outages, and every user once in maxAge.
func (w *Watcher) Changes(ctx context.Context, users, resend []owner.Owner,
) (map[owner.Owner][]account.Account, error) {
	const op = "looking for changed accounts"
	now := w.s.now()
	if age := now.Sub(w.lastAt); age < 0 || age > endingsKept/2 {
		w.last = changePoint{} // Endings since then may have been deleted.
	}
	// Changes come first: whatever is committed after this query is found by the next call.
	point, changed, err := w.s.changedSince(ctx, w.last)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	signs, visited, err := w.s.allSigns(ctx, now)
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	w.rows += len(changed) + len(visited) + len(signs.outages)
	stale := map[string]bool{} // By owner; true: return the user even if nothing differs.
	for _, owner := range visited {
		stale[owner] = false
	}
	for _, owner := range changed {
		stale[owner] = true
	}
	for _, o := range resend {
		stale[o.String()] = true
	}
	var load []owner.Owner
	for _, o := range users {
		u := w.users[o]
		_, isStale := stale[o.String()]
		if u == nil || isStale || !w.last.precedes(point) || now.Sub(u.loaded).Abs() >= maxAgeOf(o) {
			load = append(load, o)
		}
	}
	views, err := w.load(ctx, load)
	if err == nil {
		err = w.s.stillOurs(ctx)
	}
	if err != nil {
		return nil, w.s.wrap(ctx, op, err)
	}
	return w.update(users, views, stale, signs, point, now)
}

// maxAgeOf is between half of maxAge and maxAge, so that users are not all reloaded at once.
func maxAgeOf(o owner.Owner) time.Duration {
	h := fnv.New32a()
	io.WriteString(h, o.String()) //nolint:errcheck // It cannot fail.
	return maxAge/2 + maxAge/2*time.Duration(h.Sum32()%1024)/1024
}

// load reads users' accounts.
func (w *Watcher) load(ctx context.Context, users []owner.Owner) (map[owner.Owner][]accountView, error) {
	all, total := map[owner.Owner][]accountView{}, 0
	for chunk := range slices.Chunk(users, maxNames) {
		names, byName := make([]string, len(chunk)), map[string]owner.Owner{}
		for i, o := range chunk {
			names[i], byName[o.String()], all[o] = o.String(), o, nil
		}
		var vs []accountView
		err := w.s.r.WithContext(ctx).Raw(accountColumns+accountTables+
			"WHERE a.owner IN ? ORDER BY a.created_ms, a.id", names).Scan(&vs).Error
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			o := byName[v.Row.Owner]
			all[o] = append(all[o], v)
		}
		total += len(vs)
	}
	w.rows += total
	if len(users) > 0 && total == 0 {
		return all, w.s.nothing(ctx)
	}
	return all, nil
}

// update replaces the cached users by what was loaded, recomputes the status of accounts
// where it may have changed, and returns the users who differ.
func (w *Watcher) update(users []owner.Owner, loaded map[owner.Owner][]accountView, stale map[string]bool,
	signs signs, point changePoint, now time.Time,
) (map[owner.Owner][]account.Account, error) {
	outages := fmt.Sprint(signs.outages) // Maps are printed in the order of their keys.
	cached, changed := map[owner.Owner]*watchedUser{}, map[owner.Owner][]account.Account{}
	for _, o := range users {
		u, old := &watchedUser{}, w.users[o]
		views, isLoaded := loaded[o]
		switch {
		case isLoaded:
			accounts, err := accountsOf(views, now)
			if err != nil {
				return nil, err
			}
			*u = watchedUser{loaded: now, views: views, accounts: accounts}
		case outages != w.outages, old.unstable, !old.nextChange.IsZero() && !now.Before(old.nextChange):
			*u = *old
			u.accounts = slices.Clone(old.accounts)
			for i, v := range u.views {
				u.accounts[i].Status = v.status(now.UnixMilli())
			}
		default:
			cached[o] = old
			continue
		}
		w.s.addDelays(u, signs, now)
		cached[o] = u
		if old == nil || stale[o.String()] || !reflect.DeepEqual(u.accounts, old.accounts) {
			changed[o] = u.accounts
		}
	}
	w.users, w.outages, w.last, w.lastAt = cached, outages, point, now
	return changed, nil
}

// addDelays completes the status of accounts by what delays them, and notes when that may
// change.
func (s *Store) addDelays(u *watchedUser, all signs, now time.Time) {
	u.nextChange, u.unstable = time.Time{}, false
	for i, v := range u.views {
		a := u.accounts[i]
		sign := all.of(a)
		sign.Asked, sign.Allowed = v.DueAtMS == 0, s.allowed.Of(a.Mailbox())
		u.unstable = u.unstable || schedule.NeedsSigns(a, now)
		for _, at := range []time.Time{
			a.Status.NextPollAt, a.Status.NextPollAt.Add(schedule.Late), fromMillis(v.LeaseUntilMS),
		} {
			if at.After(now) && (u.nextChange.IsZero() || at.Before(u.nextChange)) {
				u.nextChange = at
			}
		}
		u.accounts[i].Status = schedule.Show(a, sign, now)
	}
}

// allSigns returns everything besides an account itself that may delay it, and the owners
// of accounts that are leased, with or without a live worker. Both are few rows.
func (s *Store) allSigns(ctx context.Context, now time.Time) (all signs, leased []string, err error) {
	all = signs{outages: map[string]schedule.Outage{}, atHost: map[string]int{}, ofUser: map[string]int{}}
	c := s.on(s.r)
	err = c.each(ctx, all.outage, "SELECT circuit, min(since_ms), min(probe_ms), min(code) FROM host_outages "+
		"WHERE probe_ms > ? GROUP BY circuit", outageFrom(now))
	if err != nil {
		return signs{}, nil, err
	}
	err = c.each(ctx, func(r rowScanner) error {
		var host, owner string
		var until int64
		err := r.Scan(&host, &owner, &until)
		if until > now.UnixMilli() {
			all.atHost[host]++
			all.ofUser[owner]++
		}
		leased = append(leased, owner)
		return err
	}, "SELECT host_key, owner, lease_until_ms FROM poll_schedule WHERE lease_owner <> ''")
	return all, leased, err
}

// changePoint is a point in the order of changes: it tells which values of the columns
// "changed" were visible then.
type changePoint struct {
	set bool
	// On SQLite next is the highest value; on PostgreSQL the first transaction that had not
	// started, and running are earlier ones that had not ended.
	next    int64
	running []int64
}

// precedes reports whether a later point is of the same sequence.
func (p changePoint) precedes(later changePoint) bool { return p.set && p.next <= later.next }

// changedSince returns the owners of accounts that changed after a point while they were not
// leased, and owners for whom something ended, in no order; and the present point. After a
// point that is not set it returns no owners.
func (s *Store) changedSince(ctx context.Context, p changePoint) (now changePoint, owners []string, err error) {
	// A single statement, because it reads a single snapshot.
	query, args := "SELECT (SELECT coalesce(max(changed), 0) FROM poll_schedule), "+
		"(SELECT coalesce(max(changed), 0) FROM endings), ''", []any{}
	where, values := "changed > ?", []any{p.next}
	if s.postgres {
		query, where = "SELECT CAST(pg_current_snapshot() AS text), '', ''", "changed >= ?"
		if len(p.running) > 0 {
			where = "(changed >= ? OR changed IN " + marks(len(p.running)) + ")"
			for _, id := range p.running {
				values = append(values, id)
			}
		}
		// A database restored from another server contains ids that this one has not reached.
		where += " AND changed < CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
	}
	if p.set {
		for _, table := range []string{"poll_schedule", "endings"} {
			query += " UNION ALL SELECT NULL, NULL, owner FROM " + table + " WHERE " + where
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
		now, err = parsePoint(s.postgres, *one, *two)
		return err
	}, query, args...)
	return now, owners, err
}

// parsePoint reads SQLite's two highest values, or a snapshot of PostgreSQL: "10:20:10,14,15".
func parsePoint(postgres bool, one, two string) (p changePoint, err error) {
	numbers := []string{one, two}
	if postgres {
		parts := strings.Split(one, ":")
		if len(parts) != 3 {
			return p, fmt.Errorf("%q is not a snapshot", one)
		}
		numbers = append(parts[1:2], strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' })...)
	}
	for i, s := range numbers {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return p, fmt.Errorf("reading the number of the last change: %w", err)
		case i == 0 || !postgres:
			p.next = max(p.next, n)
		default:
			p.running = append(p.running, n)
		}
	}
	p.set = true
	return p, nil
}
