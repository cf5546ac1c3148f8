package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// HostHealth is how the accounts at one remote host are.
type HostHealth struct {
	Host     string
	Accounts int64
	Failing  int64                   // Switched on, and the last visit failed.
	States   map[account.State]int64 // Every state, also those with none.
	Failures map[fault.Code]int64    // The failing ones by diagnosis.
	Overdue  time.Duration           // How long the account that waits longest has been due.
}

// AdminHosts returns up to limit hosts, those with the most failing accounts
// first, then those with the most accounts. One pass over the schedule makes
// it: an index on what a visit changes would cost every visit more than this
// saves an administrator.
func (s *Store) AdminHosts(ctx context.Context, limit int) ([]HostHealth, error) {
	at := s.now()
	now, hosts := at.UnixMilli(), map[string]*HostHealth{}
	down, err := s.outOfOrder(ctx, s.on(s.r), at)
	if err != nil {
		return nil, s.wrap(ctx, "counting accounts by host", err)
	}
	state, args := stateOf(now, down)
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var host, code string
		var state int16
		var n, since int64
		if err := r.Scan(&host, &state, &code, &n, &since); err != nil {
			return err
		}
		h := hosts[host]
		if h == nil {
			h = &HostHealth{Host: host, States: map[account.State]int64{}, Failures: map[fault.Code]int64{}}
			for _, name := range account.States() {
				h.States[name] = 0
			}
			hosts[host] = h
		}
		h.Accounts += n
		h.States[states.word(state)] += n
		if code != "" {
			h.Failing += n
			h.Failures[fault.Code(code)] += n
		}
		if since != never {
			h.Overdue = max(h.Overdue, time.Duration(now-since)*time.Millisecond)
		}
		return nil
	}, `SELECT host_key, s, c, count(*), min(since) FROM (SELECT p.host_key, `+state+
		` AS s, CASE WHEN p.enabled = 1 THEN p.code ELSE '' END AS c,
		CASE WHEN p.due_at_ms > ? OR p.lease_until_ms > ? THEN CAST(? AS BIGINT) WHEN p.due_at_ms = 0 THEN p.hurried_ms
		ELSE p.due_at_ms END AS since
		FROM poll_schedule p) AS x GROUP BY host_key, s, c`, append(args, now, now, int64(never))...)
	if err != nil {
		return nil, s.wrap(ctx, "counting accounts by host", err)
	}
	out := make([]HostHealth, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b HostHealth) int {
		return cmp.Or(cmp.Compare(b.Failing, a.Failing), cmp.Compare(b.Accounts, a.Accounts), strings.Compare(a.Host, b.Host))
	})
	return out[:min(max(limit, 0), len(out))], nil
}
