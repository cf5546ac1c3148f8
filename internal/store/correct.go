package store

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/schedule"
)

const (
	// CorrectEvery is how often CorrectTimes is to be called: a chore.
	CorrectEvery = 15 * time.Second
	// correctAll is how often it looks at every account without being given a reason.
	correctAll = time.Hour
	// correctAfter is how long it keeps looking at all of them after a reason:
	// what was being written meanwhile, or by another process that has not
	// noticed yet, came later than the first look.
	correctAfter = time.Minute
	// correctFarthest is how many accounts it looks at otherwise: those that
	// are due last.
	correctFarthest = 1000
)

// tooFar holds for an account that is due later than its last visit was followed
// by, whatever time the visit was thought to be at. Its arguments: tooFarArgs.
const tooFar = `lease_owner = '' AND due_at_ms < ? AND due_at_ms > CAST(? AS BIGINT) + CASE WHEN pause_ms > 0
	THEN pause_ms ELSE CAST(? AS BIGINT) END`

func tooFarArgs(now time.Time) []any {
	return []any{int64(never), now.Add(clockSlack).UnixMilli(), schedule.LongestPause.Milliseconds()}
}

// CorrectTimes makes due now what is due later than can be, and shortens leases
// that last longer than they can: they were written while the clock that all
// go by was ahead, or by nobody who knows the rules. Accounts that are never due by
// themselves stay so.
//
// For a minute after the start, after the clock was set back, and after something
// was found, and every hour, it looks at all accounts; else at those that are due last, which
// an index has in order.
func (q Queue) CorrectTimes(ctx context.Context) error {
	const op = "correcting times that cannot be"
	s, now := q.s, q.s.now()
	// A worker that lives prolongs what is left; after one that died the
	// account is free once it has run out.
	at := now.UnixMilli()
	cut, found, latest := int64(0), 0, now.Add(clockSlack).UnixMilli()
	const tooLong = "lease_owner <> '' AND lease_until_ms > CAST(? AS BIGINT) + lease_ms"
	err := s.on(s.r).each(ctx, scanInto(&found), "SELECT 1 FROM poll_schedule WHERE "+tooLong+" LIMIT 1", latest)
	if err == nil && found > 0 {
		cut, err = s.on(s.w).exec(ctx, `UPDATE poll_schedule SET lease_until_ms = CAST(? AS BIGINT) + lease_ms,
			due_at_ms = CASE WHEN enabled = 0 THEN due_at_ms ELSE CAST(? AS BIGINT) + lease_ms END WHERE `+tooLong, at, at,
			latest)
	}
	if err != nil {
		return s.wrap(ctx, op, err)
	}
	s.correct.Lock()
	defer s.correct.Unlock()
	if s.clock.back.Swap(false) {
		s.suspicion = now.Add(correctAfter)
	}
	// No further away than that, should the clock be set back once more.
	suspicious := now.Before(s.suspicion) && s.suspicion.Sub(now) <= correctAfter
	all := suspicious || now.Sub(s.corrected).Abs() >= correctAll
	found, err = q.correctDue(ctx, now, all, cut)
	if err != nil {
		return s.wrap(ctx, op, err)
	}
	if found > 0 {
		s.suspicion = now.Add(correctAfter)
	}
	if all {
		s.corrected = now
	}
	return nil
}

func (q Queue) correctDue(ctx context.Context, now time.Time, all bool, cut int64) (found int, err error) {
	s, c := q.s, q.s.on(q.s.r)
	from, args := "poll_schedule", []any{}
	if !all {
		from = `(SELECT lease_owner, due_at_ms, pause_ms FROM poll_schedule WHERE due_at_ms < ? AND due_at_ms > ?
			ORDER BY due_at_ms DESC LIMIT ?) AS farthest`
		args = append(args, int64(never), now.UnixMilli(), correctFarthest)
	}
	due := int64(0)
	err = c.each(ctx, scanInto(&found), "SELECT 1 FROM "+from+" WHERE "+tooFar+" LIMIT 1",
		append(args, tooFarArgs(now)...)...)
	for more := found; err == nil && more > 0; {
		var n int64
		n, err = s.on(s.w).exec(ctx, "UPDATE poll_schedule SET due_at_ms = ? WHERE "+tooFar+" AND route_id IN (SELECT "+
			"route_id FROM poll_schedule WHERE "+tooFar+" LIMIT ?)",
			append(append(append([]any{now.UnixMilli()}, tooFarArgs(now)...), tooFarArgs(now)...), pruneAtOnce)...)
		due, more = due+n, int(n)
	}
	if due+cut > 0 {
		s.log.WarnContext(ctx, "times that cannot be were corrected: was the clock ahead?", "due_now", due, "leases", cut)
	}
	return found, err
}
