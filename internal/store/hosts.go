package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
)

// affected says in SQL with arguments of which accounts the provider's server
// keeps the mail away: they are switched on, and the last visit failed by its
// fault; or they have no fault of their own, and their circuit is one of those
// that are out of order.
func affected(out []string) (string, []any) {
	var codes []string
	for _, code := range fault.Codes() {
		if code.Providers() {
			codes = append(codes, "'"+string(code)+"'")
		}
	}
	by, args := "p.code IN ("+strings.Join(codes, ", ")+")", []any(nil)
	if len(out) > 0 {
		by = "(" + by + " OR p.code = '' AND p.circuit IN " + marks(len(out)) + ")"
		for _, c := range out {
			args = append(args, c)
		}
	}
	return "(p.enabled = 1 AND " + by + ")", args
}

// portOf is the port of a circuit: see schedule.CircuitKey.
func portOf(circuit string) int {
	where, _, _ := strings.Cut(circuit, "/")
	port, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:])
	if err != nil { // It is always there.
		return 0
	}
	return port
}

// Hosts returns up to limit servers by host and port, those with the most
// affected accounts first, then those with the most accounts. One pass over the
// schedule makes it: an index on what a visit changes would cost every visit more
// than this saves an administrator.
func (r Admin) Hosts(ctx context.Context, limit int) ([]insight.HostHealth, error) {
	s := r.s
	type place struct {
		host string
		port int
	}
	at := s.now()
	now, hosts := at.UnixMilli(), map[place]*insight.HostHealth{}
	down, err := s.outOfOrder(ctx, s.on(s.r), at)
	if err != nil {
		return nil, s.wrap(ctx, "counting accounts by host", err)
	}
	state, args := stateOf(now, down)
	kept, values := affected(down)
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var host, circuit, code string
		var state, kept int16
		var n, since int64
		if err := r.Scan(&host, &circuit, &state, &kept, &code, &n, &since); err != nil {
			return err
		}
		key := place{host, portOf(circuit)}
		h := hosts[key]
		if h == nil {
			h = &insight.HostHealth{
				Host: host, Port: key.port, States: map[account.State]int64{}, Failures: map[fault.Code]int64{},
			}
			for _, name := range account.States() {
				h.States[name] = 0
			}
			hosts[key] = h
		}
		h.Accounts += n
		h.States[states.word(state)] += n
		h.Affected += int64(kept) * n
		h.Down = h.Down || slices.Contains(down, circuit)
		if c := fault.Code(code); c.Providers() {
			h.Failing += n
			h.Failures[c] += n
		} else if c != "" {
			h.Others += n
		}
		if since != never {
			h.Overdue = max(h.Overdue, time.Duration(now-since)*time.Millisecond)
		}
		return nil
	}, `SELECT min(host_key), circuit, s, k, c, count(*), min(since) FROM (SELECT p.host_key, p.circuit, `+state+
		` AS s, CASE WHEN `+kept+` THEN 1 ELSE 0 END AS k, CASE WHEN p.enabled = 1 THEN p.code ELSE '' END AS c,
		CASE WHEN p.due_at_ms > ? OR p.lease_until_ms > ? THEN CAST(? AS BIGINT) WHEN p.due_at_ms = 0 THEN p.hurried_ms
		ELSE p.due_at_ms END AS since
		FROM poll_schedule p WHERE p.kind = 1) AS x GROUP BY circuit, s, k, c`, append(append(args, values...), now, now,
		int64(never))...)
	if err != nil {
		return nil, s.wrap(ctx, "counting accounts by host", err)
	}
	out := make([]insight.HostHealth, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b insight.HostHealth) int {
		return cmp.Or(cmp.Compare(b.Affected, a.Affected), cmp.Compare(b.Accounts, a.Accounts),
			strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return out[:min(max(limit, 0), len(out))], nil
}
