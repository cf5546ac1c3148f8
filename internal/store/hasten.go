package store

import (
	"context"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

const (
	// hastenAtOnce is about how many accounts one transaction makes due, so that no other writer waits for long.
	hastenAtOnce = 1000
	// spreadBy has accounts that were added one after the other, as those of one user are, be due apart.
	spreadBy = 104729
)

// Hasten makes accounts due soon that rest for a failure of this code: what they failed for is over. They are spread
// over a time that grows by each for every one of them, up to most; who is due within that anyway stays so. It returns
// how many they were. An account whose visits never end rests on.
func (q Queue) Hasten(ctx context.Context, code fault.Code, each, most time.Duration) (hastened int64, err error) {
	const op = "making accounts due"
	s, now, shift := q.s, q.s.now(), rand.Int64N(1<<20)
	resting := int64(0)
	err = s.on(s.r).each(ctx, scanInto(&resting), "SELECT count(*) FROM poll_schedule WHERE state > 3 AND state = ? "+
		"AND code = ?", states.code(account.Retrying), string(code))
	if err != nil || resting == 0 {
		return 0, s.wrap(ctx, op, err)
	}
	within := min(time.Duration(min(resting, int64(most/each)))*each, most)
	for after := ""; ; {
		last := ""
		// The words are those of the index poll_schedule_troubled.
		err := s.on(s.r).each(ctx, scanInto(&last), `SELECT coalesce(max(owner), '') FROM (SELECT owner FROM poll_schedule
			WHERE state > 3 AND state = ? AND code = ? AND owner > ? ORDER BY owner LIMIT ?) AS x`,
			states.code(account.Retrying), string(code), after, hastenAtOnce)
		if err != nil || last == "" {
			return hastened, s.wrap(ctx, op, err)
		}
		err = s.write(ctx, op, func(tx *gorm.DB) error {
			n, err := s.hasten(ctx, s.on(tx), code, now, within, shift, "owner > ? AND owner <= ?", after, last)
			hastened += n
			return err
		})
		if err != nil {
			return hastened, err
		}
		after = last
	}
}

// hasten does that for owners of whom the condition holds.
func (s *Store) hasten(ctx context.Context, c sqlConn, code fault.Code, now time.Time, within time.Duration,
	shift int64, owners string, args ...any,
) (int64, error) {
	at, spread := now.UnixMilli(), max(1, within.Milliseconds())
	return c.exec(ctx, `UPDATE poll_schedule SET
		due_at_ms = CAST(? AS BIGINT) + (journal_id * ? + CAST(? AS BIGINT)) % CAST(? AS BIGINT)
		WHERE state > 3 AND state = ? AND code = ? AND enabled = 1 AND aborted <= ? AND due_at_ms > ? AND due_at_ms < ?
		AND lease_until_ms <= ? AND `+owners, append([]any{
		at, int64(spreadBy), shift, spread, states.code(account.Retrying), string(code), schedule.AbortedAlone, at + spread,
		int64(never), at,
	}, args...)...)
}
