package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// told loads accounts as people are told of them: with what delays each. While
// all is well that costs nothing more than loading them.
func (s *Store) told(db *gorm.DB, conditions string, args ...any) ([]account.Account, error) {
	vs, err := s.views(db, conditions, args...)
	if err != nil {
		return nil, err
	}
	now := s.now()
	as, err := accountsOf(vs, now)
	if err != nil {
		return nil, err
	}
	signs, err := s.signs(db, as, now)
	if err != nil {
		return nil, err
	}
	for i, a := range as {
		sign := signs.of(a)
		sign.Asked = vs[i].DueAtMS == 0
		as[i].Status.Delay = schedule.Delay(a, sign, now)
	}
	return as, nil
}

// signs are what delays accounts besides themselves. Nothing in them tells
// whose other accounts they come from.
type signs struct {
	outages map[string]schedule.Outage
	atHost  map[string]int // Visits under way.
	ofUser  map[string]int
}

func (s signs) of(a account.Account) schedule.Signs {
	host := schedule.HostKey(a)
	out := schedule.Signs{AtHost: s.atHost[host], OfUser: s.ofUser[a.Owner.String()]}
	if o, ok := s.outages[host]; ok {
		out.Outage = &o
	}
	return out
}

// signs looks for those accounts that may be held up by something else. Both
// questions are answered by what is small: the outages there are, and an index
// that holds the visits under way alone.
func (s *Store) signs(db *gorm.DB, as []account.Account, now time.Time) (signs, error) {
	found := signs{outages: map[string]schedule.Outage{}, atHost: map[string]int{}, ofUser: map[string]int{}}
	var hosts, owners []string
	for _, a := range as {
		if schedule.NeedsSigns(a, now) {
			hosts, owners = append(hosts, schedule.HostKey(a)), append(owners, a.Owner.String())
		}
	}
	if len(hosts) == 0 {
		return found, nil
	}
	hosts, owners = distinct(hosts), distinct(owners)
	c, ctx, args := s.on(db), db.Statement.Context, []any{}
	for _, h := range hosts {
		args = append(args, h)
	}
	// Several processes may have found out: the first to know, the first to try again.
	err := c.each(ctx, func(r rowScanner) error {
		var o schedule.Outage
		var since, probe int64
		err := r.Scan(&o.Host, &since, &probe)
		o.Since, o.Probe = fromMillis(since), fromMillis(probe)
		found.outages[o.Host] = o
		return err
	}, "SELECT host_key, min(since_ms), min(probe_ms) FROM host_outages WHERE host_key IN "+marks(len(hosts))+" AND probe_ms > ? GROUP BY host_key",
		append(slices.Clone(args), now.Add(-schedule.OutageKept).UnixMilli())...)
	if err != nil {
		return signs{}, err
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
	}, "SELECT host_key, owner FROM poll_schedule WHERE lease_owner <> '' AND (host_key IN "+marks(len(hosts))+" OR owner IN "+marks(len(owners))+") AND lease_until_ms > ?",
		append(args, now.UnixMilli())...)
	return found, err
}

func distinct(ss []string) []string {
	slices.Sort(ss)
	return slices.Compact(ss)
}

// NoteOutages keeps what a poller tells of hosts: see schedule.Queue. What
// pollers told that are no more is forgotten.
func (q Queue) NoteOutages(ctx context.Context, worker string, all []schedule.Outage) error {
	return q.s.write(ctx, "noting which hosts are out of order", func(tx *gorm.DB) error {
		c := q.s.on(tx)
		_, err := c.exec(ctx, "DELETE FROM host_outages WHERE worker = ? OR probe_ms <= ?", worker, q.s.now().Add(-schedule.OutageKept).UnixMilli())
		if err != nil {
			return err
		}
		for _, o := range all {
			_, err := c.exec(ctx, "INSERT INTO host_outages (host_key, worker, since_ms, probe_ms) VALUES "+marks(4), o.Host, worker, toMillis(o.Since), toMillis(o.Probe))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
