package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// Queue is the schedule's table, for package schedule.
type Queue struct{ s *Store }

var _ schedule.Queue = Queue{}

// claimLock is the number of the advisory lock under which PostgreSQL counts
// leases and adds to them: caps that hold over all processes need one claim at
// a time. It takes milliseconds and brings many accounts.
const claimLock = 0x6d61696c62726f6f // "mailbroo"

// Claim leases due accounts: see schedule.Queue.
//
// Two looks keep it cheap and fair: an idle database is only read, and once a
// host has all the visits it may have, or all slots for accounts that are not
// quick are taken, the next page of due accounts is asked for without those, so
// that they hold up nobody.
func (q Queue) Claim(ctx context.Context, c schedule.Claim) (leases []schedule.Lease, err error) {
	const op = "claiming due accounts"
	now := c.Now.UnixMilli()
	due, kind := 0, kindOf(c)
	err = q.s.on(q.s.r).each(ctx, scanInto(&due), "SELECT 1 FROM poll_schedule WHERE due_at_ms <= ? AND lease_until_ms "+
		"<= ? AND kind = ? ORDER BY due_at_ms LIMIT 1", now, now, kind)
	if err == nil {
		q.s.hear()
	}
	if err != nil || due == 0 || c.Limit <= 0 {
		return nil, q.s.wrap(ctx, op, err)
	}
	err = q.s.write(ctx, op, func(tx *gorm.DB) error {
		p, err := q.s.beginClaim(ctx, q.s.on(tx), c)
		if err != nil {
			return err
		}
		ids, err := p.pick(ctx)
		if err != nil || len(ids) == 0 {
			return err
		}
		leases, err = q.s.lease(ctx, tx, c, ids, "due_at_ms <= ? AND lease_until_ms <= ?", now, now)
		return err
	})
	return leases, err
}

// kindOf is the number of the kind of routes that are claimed.
func kindOf(c schedule.Claim) int16 { return kinds.code(cmp.Or(c.Kind, route.Keep)) }

// pace is how slow an account may be: see account.Status.
func pace(unsure, slow int) int {
	switch {
	case unsure <= 0:
		return 0
	case slow <= 0:
		return 1
	}
	return schedule.QuickAgain
}

func excepted(c schedule.Recovering, user string) bool {
	return slices.ContainsFunc(c.Except, func(o owner.Owner) bool { return o.String() == user })
}

// page reads accounts that are due, in the order in which they are served.
func (p *picker) page(ctx context.Context, size int, waiting, without []string, pace int) ([]due, error) {
	now := p.claim.Now.UnixMilli()
	query, args := `SELECT route_id, owner, host_key, circuit, slow, lease_owner, lease_until_ms, aborted
		FROM poll_schedule
		WHERE due_at_ms <= ? AND lease_until_ms <= ? AND kind = ?`, []any{now, now, kindOf(p.claim)}
	query, args = except(query, args, "host_key", p.full)
	query, args = except(query, args, "circuit", p.closed)
	query, args = except(query, args, "owner", waiting)
	query, args = except(query, args, "route_id", without)
	var probed []any
	for _, c := range p.claim.Recovering {
		if c.Proven {
			probed = append(probed, c.Circuit)
		}
	}
	if len(probed) > 0 {
		query, args = query+" AND (proven = 1 OR circuit NOT IN "+marks(len(probed))+")", append(args, probed...)
	}
	if pace < schedule.QuickAgain {
		query, args = query+" AND slow <= ?", append(args, pace)
	}
	ofUser, atHost := maps.Clone(p.unsureOf), maps.Clone(p.unsureAt)
	us := process(p.claim.Worker)
	var page []due
	err := p.each(ctx, func(r rowScanner) error {
		var d due
		var worker string
		var until int64
		if err := r.Scan(&d.id, &d.user, &d.host, &d.circuit, &d.slow, &worker, &until, &d.aborted); err != nil {
			return err
		}
		d.aborted += p.store.lostWith(worker, us, until)
		d.ofUser = ofUser[d.user]
		if d.slow > 0 {
			d.atHost = atHost[d.host]
			ofUser[d.user]++
			atHost[d.host]++
		}
		page = append(page, d)
		return nil
	}, query+" ORDER BY due_at_ms LIMIT ?", append(args, size)...)
	slices.SortStableFunc(page, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.ofUser, b.ofUser), cmp.Compare(a.atHost, b.atHost))
	})
	return page, err
}

// except adds a condition that a column is none of the values.
func except(query string, args []any, column string, values []string) (string, []any) {
	if len(values) == 0 {
		return query, args
	}
	for _, v := range values {
		args = append(args, v)
	}
	return query + " AND " + column + " NOT IN " + marks(len(values)), args
}

// lease gives accounts to the claim's worker and returns them as they are now,
// in the order of ids. Those for which the condition does not hold, or which
// somebody is writing at this moment, are left out.
func (s *Store) lease(ctx context.Context, tx *gorm.DB, c schedule.Claim, ids []string, condition string,
	args ...any,
) ([]schedule.Lease, error) {
	conn := s.on(tx)
	which := "SELECT route_id FROM poll_schedule WHERE route_id IN " + marks(len(ids)) + " AND " + condition
	if s.postgres {
		which += " FOR NO KEY UPDATE SKIP LOCKED"
	}
	now := c.Now.UnixMilli()
	until := c.Now.Add(c.Lease).UnixMilli()
	us := process(c.Worker) + "/%"
	from, to := s.away()
	params := []any{int64(never), until}
	for range 2 { // For each lostNow.
		params = append(params, process(c.Worker), us, from, to)
	}
	params = append(params, c.Worker, until, c.Lease.Milliseconds(), now)
	chosen := make([]any, len(ids))
	for i, id := range ids {
		chosen[i] = id
	}
	params = append(params, chosen...)
	requested := map[string]bool{}
	err := conn.each(ctx, func(r rowScanner) error {
		var id string
		err := r.Scan(&id)
		requested[id] = true
		return err
	}, "SELECT route_id FROM poll_schedule WHERE hurried_ms > 0 AND route_id IN "+marks(len(ids)), chosen...)
	if err != nil {
		return nil, err
	}
	epochs, before := map[string]int64{}, map[string]fetch.Aborted{}
	kindsOf := map[string]route.Kind{}
	err = conn.each(ctx, func(r rowScanner) error {
		var id string
		var epoch int64
		var ab fetch.Aborted
		var lost, kind int16
		err := r.Scan(&id, &kind, &epoch, &ab.Visits, &lost)
		ab.Last = lost != 0
		epochs[id], before[id], kindsOf[id] = epoch, ab, kinds.word(kind)
		return err
	}, `UPDATE poll_schedule SET due_at_ms = CASE WHEN enabled = 0 THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END,
		aborted = aborted + `+lostNow+`, lost = `+lostNow+
		`, lease_owner = ?, lease_epoch = lease_epoch + 1, lease_until_ms = ?, lease_ms = ?, started_ms = ?, hurried_ms = 0,
		progress_folder = '', progress_done = 0, progress_total = 0, progress_bytes = 0
		WHERE route_id IN (`+which+`) RETURNING route_id, kind, lease_epoch, aborted, lost`, append(params, args...)...)
	if err != nil || len(epochs) == 0 {
		return nil, err
	}
	leased := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return epochs[id] == 0 })
	leases, err := s.leases(ctx, tx, leased, kindsOf)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(leases, func(a, b schedule.Lease) int {
		return slices.Index(leased, string(a.Route.ID)) - slices.Index(leased, string(b.Route.ID))
	})
	for i := range leases {
		l := &leases[i]
		id := string(l.Route.ID)
		l.Worker, l.Epoch, l.Aborted, l.Requested = c.Worker, epochs[id], before[id], requested[id]
	}
	return leases, nil
}

// leases reads what the schedule has to know of leased routes, of whatever kind.
func (s *Store) leases(ctx context.Context, tx *gorm.DB, ids []string, kindOf map[string]route.Kind) (
	leases []schedule.Lease, err error,
) {
	of := map[route.Kind][]string{}
	for _, id := range ids {
		of[kindOf[id]] = append(of[kindOf[id]], id)
	}
	if len(of[route.Keep]) > 0 {
		as, err := s.accounts(tx, "WHERE a.id IN ?", of[route.Keep])
		if err != nil {
			return nil, err
		}
		for _, a := range as {
			leases = append(leases, schedule.Leased(a))
		}
	}
	if once := of[route.Once]; len(once) > 0 {
		args := make([]any, len(once))
		for i, id := range once {
			args[i] = id
		}
		rows, err := s.copies(ctx, s.on(tx), "WHERE c.id IN "+marks(len(once)), args...)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			leases = append(leases, row.lease())
		}
	}
	return leases, nil
}

// ClaimOne leases one account whether due or not: see schedule.Queue. A worker
// may take over its own lease.
func (q Queue) ClaimOne(ctx context.Context, o owner.Owner, id account.ID,
	c schedule.Claim,
) (l schedule.Lease, err error) {
	if !isID(string(id)) {
		return schedule.Lease{}, account.ErrNotFound
	}
	err = q.s.write(ctx, "claiming an account", func(tx *gorm.DB) error {
		p, err := q.s.beginClaim(ctx, q.s.on(tx), c)
		if err != nil {
			return err
		}
		sc, err := q.s.lockSchedule(ctx, tx, o, id)
		if err != nil {
			return err
		}
		if sc.leaseOwner != "" && sc.leaseOwner != c.Worker && sc.leaseUntil > c.Now.UnixMilli() {
			return schedule.ErrBusy
		}
		if sc.waits() && !c.Insist && sc.requested == 0 && sc.leaseOwner != c.Worker {
			return schedule.ErrWaits
		}
		aborted := sc.aborted + q.s.lostWith(sc.leaseOwner, process(c.Worker), sc.leaseUntil)
		if sc.leaseOwner != c.Worker && !p.lane.takes(aborted) {
			return schedule.ErrBusy
		}
		if err := q.s.tryWaiting(ctx, q.s.on(tx), sc.journal); err != nil {
			return err
		}
		ls, err := q.s.lease(ctx, tx, c, []string{string(id)}, "owner = ?", o.String())
		if err != nil {
			return err
		}
		if len(ls) == 0 {
			return account.ErrNotFound
		}
		l = ls[0]
		return nil
	})
	return l, err
}

// Extend prolongs a live lease, or returns fetch.ErrFenced.
func (q Queue) Extend(ctx context.Context, l fetch.Lease, until time.Time) error {
	return q.settle(ctx, "extending a lease", l, q.s.on(q.s.w), "lease_until_ms = ?", until.UnixMilli())
}

// settle writes the schedule's row of a lease, if it is still the account's.
func (q Queue) settle(ctx context.Context, op string, l fetch.Lease, c sqlConn, set string, args ...any) error {
	n, err := c.exec(ctx, "UPDATE poll_schedule SET "+set+" WHERE route_id = ? AND lease_epoch = ? AND lease_owner = ?",
		append(args, leaseKey(l)...)...)
	if err == nil && n == 0 {
		err = fetch.ErrFenced
	}
	return q.s.wrap(ctx, op, err)
}

// endLease is what ends a lease; its arguments are never, and when the account
// is due unless a visit was requested or it was edited meanwhile.
const endLease = `lease_owner = '', lease_until_ms = 0, progress_folder = '', progress_done = 0, progress_total = 0,
	progress_bytes = 0,
	due_at_ms = CASE WHEN enabled = 0 THEN CAST(? AS BIGINT) WHEN hurried_ms > 0 THEN 0 ELSE CAST(? AS BIGINT) END`

// dueAfter returns when an account is due again that is settled now, and how long
// after the settlement: both are right even if the clock was set back since.
func dueAfter(st schedule.Settlement, now time.Time) (due, pause int64) {
	if st.DueAt.IsZero() {
		return never, 0
	}
	at := st.At
	if at.IsZero() {
		at = now
	}
	wait := st.DueAt.Sub(at)
	if at.After(now) {
		return now.Add(wait).UnixMilli(), max(1, wait.Milliseconds())
	}
	return max(1, st.DueAt.UnixMilli()), max(1, wait.Milliseconds())
}

// Finish ends the lease and settles the row: see schedule.Queue. A visit
// without news costs this one write.
func (q Queue) Finish(ctx context.Context, l fetch.Lease, st schedule.Settlement) error {
	const op = "finishing a visit"
	due, pause := dueAfter(st, q.s.now())
	run := st.Run
	if run.ID == "" {
		run.ID = runID(l.Route.ID, l.Epoch)
	}
	if run.FinishedAt.IsZero() {
		run.FinishedAt = q.s.now()
	}
	if run.StartedAt.IsZero() {
		run.StartedAt = run.FinishedAt
	}
	code, detail, since := diagnosisColumns(st.Diagnosis)
	runCode, runDetail, runSince := diagnosisColumns(run.Diagnosis)
	set := endLease + `, pause_ms = ?, aborted = CASE WHEN CAST(? AS INTEGER) = 1 THEN aborted ELSE 0 END,
		state = ?, failures = ?, code = ?, detail = ?, since_ms = ?,
		proven = CASE WHEN CAST(? AS INTEGER) = 1 THEN 1 WHEN CAST(? AS INTEGER) = 1 THEN 0 ELSE proven END,
		slow = CASE WHEN CAST(? AS INTEGER) = 1 THEN CAST(? AS SMALLINT) WHEN slow > 0 THEN slow - 1 ELSE 0 END,
		last_attempt_ms = ?, last_success_ms = CASE WHEN CAST(? AS INTEGER) = 1 THEN CAST(? AS BIGINT)
		ELSE last_success_ms END,
		run_id = ?, run_started_ms = ?, run_finished_ms = ?, run_ok = ?, run_messages = ?, run_bytes = ?, run_code = ?,
		run_detail = ?, run_since_ms = ?`
	started, finished := toMillis(run.StartedAt), toMillis(run.FinishedAt)
	visit := []any{started, finished, flag(run.OK), run.Messages, run.Bytes, runCode, runDetail, runSince}
	args := append([]any{
		int64(never), due, pause, flag(st.Diagnosis != nil && st.Diagnosis.Code == fault.VisitAborted),
		states.code(st.State), st.Failures, code, detail, since,
		flag(st.Success), flag(st.Diagnosis != nil && st.Diagnosis.Code.Credential()), flag(st.Slow), schedule.QuickAgain,
		started, flag(st.Success), finished, run.ID,
	}, visit...)
	var err error
	if !st.Keep {
		err = q.settle(ctx, op, l, q.s.on(q.s.w), set, args...)
	} else {
		err = q.s.write(ctx, op, func(tx *gorm.DB) error {
			if err := q.settle(ctx, op, l, q.s.on(tx), set, args...); err != nil {
				return err
			}
			_, err := q.s.on(tx).exec(ctx, "INSERT INTO runs (id, account_id, started_ms, finished_ms, ok, messages, bytes, "+
				"code, detail, since_ms) VALUES "+marks(10),
				append([]any{run.ID, string(l.Route.ID)}, visit...)...)
			return err
		})
	}
	if err == nil {
		q.s.counts.add(q.s.now(), runCode, run.Messages, run.Bytes)
	}
	return q.visitOver(ctx, l, err)
}

// Brought returns what the account's visits brought that ended after since: see
// schedule.Queue.
func (q Queue) Brought(ctx context.Context, id account.ID, since time.Time) (all []schedule.Brought, err error) {
	err = q.s.on(q.s.r).each(ctx, func(r rowScanner) error {
		var b schedule.Brought
		var at int64
		err := r.Scan(&at, &b.Bytes)
		b.At = fromMillis(at)
		all = append(all, b)
		return err
	}, `SELECT finished_ms, bytes FROM runs WHERE account_id = ? AND finished_ms > ? AND bytes > 0
		ORDER BY finished_ms LIMIT 2000`, string(id), since.UnixMilli())
	return all, q.s.wrap(ctx, "adding up what an account brought", err)
}

// Abandon ends the lease and makes the account due at once; fetch.ErrFenced
// when the lease is lost already.
func (q Queue) Abandon(ctx context.Context, l fetch.Lease) error {
	return q.visitOver(ctx, l, q.settle(ctx, "abandoning a visit", l, q.s.on(q.s.w), endLease, int64(never),
		q.s.now().UnixMilli()))
}

// Rest ends a lease under which an account was not visited that waits for its user: see schedule.Queue.
func (q Queue) Rest(ctx context.Context, l fetch.Lease) error {
	return q.visitOver(ctx, l, q.settle(ctx, "giving a lease back", l, q.s.on(q.s.w), endLease, int64(never),
		int64(never)))
}

// GiveWay ends the lease of a slow visit that was cut short: see schedule.Queue.
func (q Queue) GiveWay(ctx context.Context, l fetch.Lease) error {
	return q.visitOver(ctx, l, q.settle(ctx, "cutting a visit short", l, q.s.on(q.s.w), endLease+", slow = ?",
		int64(never), q.s.now().UnixMilli(), schedule.QuickAgain))
}

// Overdue returns since when the account has been due that waits longest: see
// schedule.Queue. Those that were asked for have no due time to go by.
func (q Queue) Overdue(ctx context.Context, of route.Kind, now time.Time, closed []string) (time.Time, error) {
	since := int64(never)
	for _, kind := range []struct{ column, which string }{
		{"hurried_ms", "due_at_ms = 0"},
		{"due_at_ms", "due_at_ms > 0"},
	} {
		query := "SELECT " + kind.column + " FROM poll_schedule WHERE " + kind.which + " AND " + kind.column +
			" <= ? AND lease_until_ms <= ? AND kind = ?"
		query, args := except(query, []any{now.UnixMilli(), now.UnixMilli(), kinds.code(of)}, "circuit", closed)
		first := int64(never)
		if err := q.s.on(q.s.r).each(ctx, scanInto(&first), query+" ORDER BY "+kind.column+" LIMIT 1", args...); err != nil {
			return time.Time{}, q.s.wrap(ctx, "looking for the account that waits longest", err)
		}
		since = min(since, first)
	}
	if since == never {
		return time.Time{}, nil
	}
	return fromMillis(since), nil
}

// NextDue returns when the next account becomes due, be it because a lease
// ends; zero for none.
func (q Queue) NextDue(ctx context.Context, kind route.Kind) (time.Time, error) {
	c := q.s.on(q.s.r)
	free, leased := int64(never), int64(never)
	err := c.each(ctx, scanInto(&free), "SELECT due_at_ms FROM poll_schedule WHERE lease_owner = '' AND kind = ? "+
		"ORDER BY due_at_ms LIMIT 1", kinds.code(kind))
	if err == nil {
		err = c.row(ctx, `SELECT coalesce(min(CASE WHEN due_at_ms > lease_until_ms THEN due_at_ms ELSE lease_until_ms END), ?)
			FROM poll_schedule WHERE lease_owner <> '' AND kind = ?`, int64(never), kinds.code(kind)).Scan(&leased)
	}
	if err != nil {
		return time.Time{}, q.s.wrap(ctx, "looking for the next due account", err)
	}
	if next := min(free, leased); next != never {
		return time.UnixMilli(next).UTC(), nil // 0, for "requested", is long ago, not "none".
	}
	return time.Time{}, nil
}
