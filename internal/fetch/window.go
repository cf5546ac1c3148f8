package fetch

import (
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// fetchWindows fetches what is new, a window at a time. Each is settled before the next
// is begun, so that nothing grows with the listing and a crash costs one window's
// comparison; a folder's cursor moves with the last.
func (v *visit) fetchWindows(ctx context.Context) error {
	steps := windowSteps()
	for {
		if err := v.perform(ctx, steps); err != nil {
			return err
		}
		v.round++
		more := slices.ContainsFunc(v.plans, func(p *plan) bool { return p.below > 0 })
		if !more || v.report.More || v.left || v.full != nil {
			return nil
		}
	}
}

// fillWindow fills the plans' todo from their listings: newest first, or oldest first, by
// internal date as far as a window has it, where the route says so.
func (v *visit) fillWindow(context.Context) error {
	room, oldestFirst := v.Window, v.lease.Route.OldestFirst
	for _, p := range v.plans {
		p.todo, p.places, p.next, p.twins, p.byDate = nil, nil, 0, nil, nil
		take := func(at int, it mail.Item) bool {
			if room == 0 {
				return false
			}
			if p.below = at; oldestFirst {
				p.above, p.below = at+1, p.listing.Len()
			}
			if v.isOld(p, &it) || !v.lease.Route.Dates.Has(it.Received) {
				p.judge(at, VerdictBeforeStart)
				return true
			}
			if p.todo == nil {
				n := min(p.verdicts.count(VerdictFetch), room)
				p.todo, p.places = make([]mail.Item, 0, n), make([]uint32, 0, n)
			}
			p.todo, p.places = append(p.todo, it), append(p.places, uint32(at))
			room--
			return true
		}
		var through bool
		var err error
		if oldestFirst {
			through, err = v.eachNewUpwards(p, p.above, take)
			p.sortByDate()
		} else {
			through, err = v.eachNew(p, p.below, take)
		}
		if err != nil {
			return err
		}
		if through {
			p.below = 0
		}
	}
	return nil
}

// sortByDate brings the window into the order of internal dates.
func (p *plan) sortByDate() {
	order := make([]int, len(p.todo))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return p.todo[a].Received.Compare(p.todo[b].Received) })
	todo, places := make([]mail.Item, len(order)), make([]uint32, len(order))
	for i, from := range order {
		todo[i], places[i] = p.todo[from], p.places[from]
	}
	p.todo, p.places, p.byDate = todo, places, map[mail.ID]int{}
}

// eachNew calls do for what is to be fetched below a place in the listing, newest
// first, until it returns false. through says that it never did.
func (v *visit) eachNew(p *plan, below int, do func(at int, it mail.Item) bool) (through bool, err error) {
	for below > 0 {
		from := max(0, below-v.Window)
		for from < below && p.verdicts[below-1] != VerdictFetch {
			below--
		}
		if from == below {
			continue
		}
		items, err := p.listing.Page(from, below-from)
		if err != nil {
			return false, err
		}
		for i := len(items) - 1; i >= 0; i-- {
			if at := from + i; p.verdicts[at] == VerdictFetch && !do(at, p.item(at, items[i])) {
				return false, nil
			}
		}
		below = from
	}
	return true, nil
}

// eachNewUpwards is eachNew, oldest first, from a place in the listing on.
func (v *visit) eachNewUpwards(p *plan, from int, do func(at int, it mail.Item) bool) (through bool, err error) {
	for n := p.listing.Len(); from < n; {
		for from < n && p.verdicts[from] != VerdictFetch {
			from++
		}
		end := min(n, from+v.Window)
		if from == end {
			continue
		}
		items, err := p.listing.Page(from, end-from)
		if err != nil {
			return false, err
		}
		for i := range items {
			if at := from + i; p.verdicts[at] == VerdictFetch && !do(at, p.item(at, items[i])) {
				return false, nil
			}
		}
		from = end
	}
	return true, nil
}
