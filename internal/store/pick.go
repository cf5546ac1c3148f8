package store

import (
	"context"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/schedule"
)

// picker chooses accounts for one claim.
type picker struct {
	sqlConn
	store    *Store
	claim    schedule.Claim
	perHost  map[string]int // Visits under way and chosen.
	perUser  map[string]int
	unsureAt map[string]int  // Those of them that are not known to be quick, by host.
	unsureOf map[string]int  // By user.
	foreign  map[string]bool // Users whom another process serves.
	full     []string        // Hosts that may have no more.
	closed   []string        // Circuits that may have no more.
	careful  map[string]schedule.Recovering
	lane     lane
}

// due is an account that may be chosen.
type due struct {
	id, user, host, circuit string
	slow                    int // See account.Status.
	aborted                 int // Visits in a row that never ended.
	ofUser, atHost          int // Visits not known to be quick that go before it: fewest first.
}

// beginClaim waits for its turn and counts the live leases.
func (s *Store) beginClaim(ctx context.Context, conn sqlConn, c schedule.Claim) (*picker, error) {
	if s.postgres {
		if _, err := conn.exec(ctx, "SELECT pg_advisory_xact_lock(?)", int64(claimLock)); err != nil {
			return nil, err
		}
	}
	p := &picker{
		sqlConn: conn, store: s, claim: c, perHost: map[string]int{}, perUser: map[string]int{},
		unsureAt: map[string]int{}, unsureOf: map[string]int{}, foreign: map[string]bool{},
		closed: slices.Clone(c.Closed), careful: map[string]schedule.Recovering{},
	}
	for _, one := range c.Recovering {
		p.careful[one.Circuit] = one
	}
	us, now := process(c.Worker), c.Now.UnixMilli()
	err := conn.each(ctx, func(r rowScanner) error {
		var host, user, worker string
		var slow int16
		var started int64
		var aborted int
		var kind int16
		if err := r.Scan(&host, &user, &worker, &slow, &started, &aborted, &kind); err != nil {
			return err
		}
		if kind == kindOf(c) { // A copy that takes hours takes no account's place.
			p.perUser[user]++
		}
		if slow > 0 || now-started >= schedule.SlowAfter.Milliseconds() {
			p.unsureOf[user]++
			p.unsureAt[host]++
		}
		if process(worker) != us {
			p.foreign[user] = true
		} else {
			p.lane.add(aborted)
		}
		p.addHost(host)
		return nil
	}, `SELECT host_key, owner, lease_owner, slow, started_ms, aborted, kind FROM poll_schedule
		WHERE lease_owner <> '' AND lease_until_ms > ?`, now)
	return p, err
}

// process is the part of a worker's name that names its process.
func process(worker string) string {
	name, _, _ := strings.Cut(worker, "/")
	return name
}

func (p *picker) addHost(host string) {
	p.perHost[host]++
	most := p.claim.PerHost
	if p.claim.AtHost != nil {
		if n := p.claim.AtHost(host); n > 0 && (most <= 0 || n < most) {
			most = n
		}
	}
	if most > 0 && p.perHost[host] == most {
		p.full = append(p.full, host)
	}
}

// room reports whether a user may have one more visit.
func (p *picker) room(user string) bool {
	return !p.foreign[user] && (p.claim.PerUser <= 0 || p.perUser[user] < p.claim.PerUser)
}

// pick returns whom to lease. Of a page of due accounts, longest due first, those
// go first whose user, then whose host, has the fewest visits that are not known
// to be quick: shares that shrink as others wait, and that nobody who is quick
// ever feels.
func (p *picker) pick(ctx context.Context) (ids []string, err error) {
	var waiting []string // Users whom this claim met and cannot serve.
	var held []string    // Accounts whose turn in the lane has not come.
	unsure, slow := p.claim.Unsure, p.claim.Slow
	for range claimPages {
		size := max(2*p.claim.Limit, claimAtLeast)
		page, err := p.page(ctx, size, waiting, slices.Concat(ids, held), pace(unsure, slow))
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			careful, is := p.careful[d.circuit]
			switch {
			case len(ids) == p.claim.Limit:
				return ids, nil
			case slices.Contains(p.full, d.host), is && slices.Contains(p.closed, d.circuit):
				continue
			case !p.room(d.user):
				waiting = append(waiting, d.user)
				continue
			case d.slow > pace(unsure, slow), is && careful.Proven && excepted(careful, d.user):
				continue
			case !p.lane.takes(d.aborted):
				held = append(held, d.id)
				continue
			}
			p.lane.add(d.aborted)
			ids = append(ids, d.id)
			p.perUser[d.user]++
			p.addHost(d.host)
			if d.slow > 0 {
				unsure--
			}
			if d.slow > 1 {
				slow--
			}
			if is {
				careful.Visits--
				p.careful[d.circuit] = careful
				if careful.Visits <= 0 {
					p.closed = append(p.closed, d.circuit)
				}
			}
		}
		if len(page) < size {
			return ids, nil
		}
		slices.Sort(waiting)
		waiting = slices.Compact(waiting)
	}
	return ids, nil
}

const (
	claimPages   = 8   // Pages looked at in one claim.
	claimAtLeast = 200 // Accounts on a page.
)
