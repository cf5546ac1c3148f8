package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// told loads accounts as people are to see them: with what delays each. While
// all is well that costs nothing more than loading them.
func (s *Store) told(db *gorm.DB, conditions string, args ...any) (as []account.Account, err error) {
	defer func() {
		if foreign := s.stillOurs(db.Statement.Context); foreign != nil {
			as, err = nil, foreign
		}
	}()
	now := s.now()
	var vs []accountView
	args = append([]any{outageFrom(now)}, args...)
	if err := db.Raw(accountColumns+outOfOrderColumn+accountTables+conditions, args...).Scan(&vs).Error; err != nil {
		return nil, err
	}
	as, err = accountsOf(vs, now)
	if err != nil {
		return nil, err
	}
	var unsure []account.Account
	for i, a := range as {
		if vs[i].OutOfOrder != 0 || schedule.NeedsSigns(a, now) {
			unsure = append(unsure, a)
		}
	}
	signs, err := s.signs(db, unsure, now)
	if err != nil {
		return nil, err
	}
	for i, a := range as {
		sign := signs.of(a)
		sign.Asked, sign.Allowed = vs[i].DueAtMS == 0, s.allowed.Of(a.Mailbox())
		as[i].Status = schedule.Show(a, sign, now)
	}
	return as, nil
}

// outageFrom is after when an outage's next probe has to be for it to count.
func outageFrom(now time.Time) int64 { return now.Add(-schedule.OutageKept).UnixMilli() }

// outOfOrder returns the circuits that some process does not contact: few or none.
func (s *Store) outOfOrder(ctx context.Context, c sqlConn, now time.Time) (out []string, err error) {
	err = c.each(ctx, func(r rowScanner) error {
		var circuit string
		err := r.Scan(&circuit)
		out = append(out, circuit)
		return err
	}, "SELECT DISTINCT circuit FROM host_outages WHERE probe_ms > ?", outageFrom(now))
	return out, err
}

// signs are what delays accounts besides themselves. Nothing in them tells
// whose other accounts they come from.
type signs struct {
	outages map[string]schedule.Outage // By circuit.
	atHost  map[string]int             // Visits under way.
	ofUser  map[string]int
}

func (s signs) of(a account.Account) schedule.Signs {
	out := schedule.Signs{AtHost: s.atHost[schedule.HostKey(a.Server)], OfUser: s.ofUser[a.Owner.String()]}
	if o, ok := s.outages[schedule.CircuitKey(a.Server)]; ok {
		out.Outage = &o
	}
	return out
}

// outage reads one: its circuit, since when it is, when it is tried next, and its code.
func (s signs) outage(r rowScanner) error {
	var o schedule.Outage
	var since, probe int64
	err := r.Scan(&o.Circuit, &since, &probe, &o.Code)
	o.Since, o.Probe = fromMillis(since), fromMillis(probe)
	s.outages[o.Circuit] = o
	return err
}

// signs looks for what may hold accounts up besides themselves. Both questions
// are answered by what is small: the outages there are, and an index that holds
// the visits under way alone.
func (s *Store) signs(db *gorm.DB, as []account.Account, now time.Time) (signs, error) {
	found := signs{outages: map[string]schedule.Outage{}, atHost: map[string]int{}, ofUser: map[string]int{}}
	if len(as) == 0 {
		return found, nil
	}
	var circuits, hosts, owners []string
	for _, a := range as {
		circuits = append(circuits, schedule.CircuitKey(a.Server))
		hosts, owners = append(hosts, schedule.HostKey(a.Server)), append(owners, a.Owner.String())
	}
	circuits, hosts, owners = distinct(circuits), distinct(hosts), distinct(owners)
	c, ctx, args := s.on(db), db.Statement.Context, []any{}
	for _, k := range circuits {
		args = append(args, k)
	}
	// Several processes may have found out: the first to know, the first to try again.
	err := c.each(ctx, found.outage, "SELECT circuit, min(since_ms), min(probe_ms), min(code) FROM host_outages "+
		"WHERE circuit IN "+marks(len(circuits))+" AND probe_ms > ? GROUP BY circuit",
		append(args, outageFrom(now))...)
	if err != nil {
		return signs{}, err
	}
	args = nil
	for _, h := range hosts {
		args = append(args, h)
	}
	for _, o := range owners {
		args = append(args, o)
	}
	err = c.each(ctx, func(r rowScanner) error {
		var host, user string
		err := r.Scan(&host, &user)
		found.atHost[host]++
		found.ofUser[user]++
		return err
	}, "SELECT host_key, owner FROM poll_schedule WHERE lease_owner <> '' AND (host_key IN "+marks(len(hosts))+
		" OR owner IN "+marks(len(owners))+") AND lease_until_ms > ?",
		append(args, now.UnixMilli())...)
	return found, err
}

func distinct(ss []string) []string {
	slices.Sort(ss)
	return slices.Compact(ss)
}

// NoteOutages keeps what a poller reports of servers: see schedule.Queue. What
// pollers reported that are no more is forgotten.
func (q Queue) NoteOutages(ctx context.Context, worker string, all []schedule.Outage) error {
	return q.s.write(ctx, "noting which servers are out of order", func(tx *gorm.DB) error {
		c := q.s.on(tx)
		_, err := c.exec(ctx, "DELETE FROM host_outages WHERE worker = ? OR probe_ms <= ?", worker, outageFrom(q.s.now()))
		if err != nil {
			return err
		}
		for _, o := range all {
			_, err := c.exec(ctx, "INSERT INTO host_outages (circuit, worker, since_ms, probe_ms, code) VALUES "+marks(5),
				o.Circuit, worker, toMillis(o.Since), toMillis(o.Probe), string(o.Code))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
