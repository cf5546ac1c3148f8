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

// fillWindow fills the plans' todo from their listings, newest first.
func (v *visit) fillWindow(context.Context) error {
	room := v.Window
	for _, p := range v.plans {
		p.todo, p.places, p.next, p.twins = nil, nil, 0, nil
		through, err := v.eachNew(p, p.below, func(at int, it mail.Item) bool {
			if room == 0 {
				return false
			}
			p.below = at
			if v.isOld(p, &it) {
				p.judge(at, VerdictBeforeStart)
				return true
			}
			if p.todo == nil {
				n := min(p.verdicts[:at+1].count(VerdictFetch), room)
				p.todo, p.places = make([]mail.Item, 0, n), make([]uint32, 0, n)
			}
			p.todo, p.places = append(p.todo, it), append(p.places, uint32(at))
			room--
			return true
		})
		if err != nil {
			return err
		}
		if through {
			p.below = 0
		}
	}
	return nil
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
