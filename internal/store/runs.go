package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// maxRuns bounds what one call of Runs returns.
const maxRuns = 1000

// Runs returns up to limit visits, newest first: the one under way, the last
// one whether it was worth a row or not, and those that were.
func (r Accounts) Runs(ctx context.Context, o owner.Owner, id account.ID, limit int) ([]account.Run, error) {
	if _, err := r.owned(ctx, o, id); err != nil {
		return nil, err
	}
	limit = min(limit, maxRuns)
	if limit <= 0 {
		return nil, nil
	}
	out, err := r.s.latestRuns(ctx, id)
	if err != nil {
		return nil, r.s.wrap(ctx, "loading visits", err)
	}
	seen := map[string]bool{}
	for _, run := range out {
		seen[run.ID] = true
	}
	err = r.s.on(r.s.r).each(ctx, func(row rowScanner) error {
		var x runColumns
		if err := row.Scan(x.dest()...); err != nil {
			return err
		}
		if !seen[x.id] {
			out = append(out, x.run())
		}
		return nil
	}, "SELECT id, started_ms, finished_ms, ok, messages, bytes, code, detail, since_ms FROM runs WHERE account_id = ? "+
		"ORDER BY started_ms DESC, id DESC LIMIT ?", string(id), limit)
	if err != nil {
		return nil, r.s.wrap(ctx, "loading visits", err)
	}
	slices.SortStableFunc(out, func(a, b account.Run) int { return b.StartedAt.Compare(a.StartedAt) })
	return out[:min(limit, len(out))], nil
}

// latestRuns returns what the schedule's row knows: the visit under way, and
// the last one that ended.
func (s *Store) latestRuns(ctx context.Context, id account.ID) ([]account.Run, error) {
	var out []account.Run
	err := s.on(s.r).each(ctx, func(row rowScanner) error {
		var x runColumns
		var owner string
		var epoch, until, started, done, bytes int64
		if err := row.Scan(append([]any{&owner, &epoch, &until, &started, &done, &bytes}, x.dest()...)...); err != nil {
			return err
		}
		if owner != "" && until > s.now().UnixMilli() {
			out = append(out, account.Run{ID: runID(id, epoch), StartedAt: fromMillis(started), Messages: done, Bytes: bytes})
		}
		if x.finished != 0 {
			out = append(out, x.run())
		}
		return nil
	}, `SELECT lease_owner, lease_epoch, lease_until_ms, started_ms, progress_done, progress_bytes,
		run_id, run_started_ms, run_finished_ms, run_ok, run_messages, run_bytes, run_code, run_detail, run_since_ms
		FROM poll_schedule WHERE route_id = ?`, string(id))
	return out, err
}

// runID names a visit by account and lease, so that it has one name from
// claim to end.
func runID(id account.ID, epoch int64) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", id, epoch)).String()
}

type runColumns struct {
	id                string
	started, finished int64
	ok                int16
	messages, bytes   int64
	code, detail      string
	since             int64
}

func (x *runColumns) dest() []any {
	return []any{&x.id, &x.started, &x.finished, &x.ok, &x.messages, &x.bytes, &x.code, &x.detail, &x.since}
}

func (x *runColumns) run() account.Run {
	return account.Run{
		ID: x.id, StartedAt: fromMillis(x.started), FinishedAt: fromMillis(x.finished), OK: x.ok != 0,
		Messages: x.messages, Bytes: x.bytes, Diagnosis: diagnosis(x.code, x.detail, x.since),
	}
}
