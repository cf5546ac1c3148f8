package fetch

import (
	"context"
	"fmt"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// pairTwins finds messages that are one by the server's own word, such as one that
// has several labels at Gmail. One copy is fetched, into the first folder
// that has it; the others count as settled once that one is delivered.
func (v *visit) pairTwins(ctx context.Context) error {
	v.delivered = nil
	var globals []string
	for _, p := range v.plans {
		for _, it := range p.todo {
			if it.Labelled() {
				globals = append(globals, it.Global)
			}
		}
	}
	if len(globals) == 0 {
		return nil
	}
	delivered, err := v.Journal.Delivered(ctx, v.lease, globals)
	if err != nil {
		return err
	}
	v.delivered = delivered
	planned := map[string]bool{}
	for _, p := range v.plans {
		p.decide(func(at int, it mail.Item) Verdict {
			twin := it.Labelled() && (delivered[it.Global] || planned[it.Global])
			planned[it.Global] = true
			if !twin {
				return VerdictFetch
			}
			p.twins = append(p.twins, place{at, it})
			return VerdictAwaitTwin
		})
	}
	return nil
}

// aliases are the twins whose other copy is delivered by now.
func (v *visit) aliases() (as []Alias) {
	for _, p := range v.plans {
		for _, twin := range p.twins {
			it := twin.item
			if v.tooLargeNames[it.Global] {
				p.judge(twin.at, VerdictTwin) // It is listed as skipped, once.
			} else if v.delivered[it.Global] {
				p.judge(twin.at, VerdictTwin)
				if s, ok := p.waiting[it.ID]; ok {
					v.unskip = append(v.unskip, s)
				}
				as = append(as, Alias{Ref: Ref{p.folder.ID, p.folder.Epoch, it.ID}, Size: it.Size, Global: it.Global})
			}
		}
	}
	return as
}

// wants turns the plans into questions, as far as the local mailbox has room.
func (v *visit) wants(ctx context.Context) ([]mail.Want, error) {
	var ws, late []mail.Want
	asked, doubtful, failed := 0, true, v.lease.Failures > 0
	for _, p := range v.plans {
		fit, full := 0, v.full != nil
		if !full {
			var err error
			if fit, err = v.reserve(ctx, p.todo); err != nil {
				return nil, err
			}
		}
		p.decide(func(int, mail.Item) Verdict {
			if fit--; fit < 0 {
				return VerdictNoRoom
			}
			return VerdictFetch
		})
		if full {
			continue
		}
		v.progress.MessagesTotal += int64(len(p.todo))
		fresh, again := p.apart()
		want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity, Items: fresh}
		if len(fresh) > 0 {
			ws = append(ws, want)
		}
		if want.Items, want.Again = again, true; len(again) > 0 {
			late = append(late, want)
		}
		asked, doubtful = asked+len(p.todo), doubtful && len(fresh) == 0
		failed = failed || len(p.waiting) > 0
	}
	ws = append(ws, late...)
	if asked <= fewWanted || doubtful || failed {
		// Those that are wanted may not tell whether the server sends any.
		for i := range ws {
			var err error
			if ws[i].Others, err = v.others(ctx, ws[i]); err != nil {
				return nil, err
			}
		}
	}
	return ws, nil
}

// reserve makes room for the first of items, and returns how many they are: all, or
// those before the one that v.full is about. Its error is that of ctx.
func (v *visit) reserve(ctx context.Context, items []mail.Item) (int, error) {
	var bytes int64
	for _, it := range items {
		bytes += max(0, it.Size) // No larger than a message may be.
	}
	// Each time looks at the mailbox's quota file: once, where there is room for all.
	if v.delivery.Reserve(ctx, int64(len(items)), bytes) == nil {
		return len(items), nil
	}
	for i, it := range items {
		err := v.delivery.Reserve(ctx, 1, it.Size)
		switch {
		case err != nil && ctx.Err() != nil:
			return 0, fmt.Errorf("reserving room for messages: %w", err) // Nobody says that it is full.
		case err != nil:
			v.full = fault.Of(err)
			return i, nil
		}
	}
	return len(items), nil
}

// apart divides what is to be fetched into what is new and what was skipped before,
// what was tried last coming last: where not all can be tried, each has its turn.
func (p *plan) apart() (fresh, again []mail.Item) {
	if len(p.waiting) == 0 {
		return p.todo, nil
	}
	for _, it := range p.todo {
		if _, skipped := p.waiting[it.ID]; skipped {
			again = append(again, it)
		} else {
			fresh = append(fresh, it)
		}
	}
	slices.SortStableFunc(again, func(a, b mail.Item) int {
		return p.waiting[a.ID].LastAt.Compare(p.waiting[b.ID].LastAt)
	})
	return fresh, again
}

// postpone leaves what was skipped before and was not tried in this window listed as
// skipped, as it is.
func (p *plan) postpone() {
	for i, it := range p.todo {
		at := int(p.places[i])
		if _, skipped := p.waiting[it.ID]; skipped && p.verdicts[at] == VerdictFetch {
			p.judge(at, VerdictWaiting)
		}
	}
}
