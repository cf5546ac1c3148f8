package fetch

import (
	"context"
	"fmt"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// pair finds messages that are one by the server's own word, such as one that
// bears several labels at Gmail. One copy is fetched, into the first folder
// that has it; the others count as settled once that one is delivered.
func (v *visit) pair(ctx context.Context) error {
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
		p.todo = slices.DeleteFunc(p.todo, func(it mail.Item) bool {
			twin := it.Labelled() && (delivered[it.Global] || planned[it.Global])
			if twin {
				p.twins = append(p.twins, it)
			}
			planned[it.Global] = true
			return twin
		})
		p.coupled += len(p.twins)
	}
	return nil
}

// aliases are the twins whose other copy is delivered by now.
func (v *visit) aliases() (as []Alias) {
	for _, p := range v.plans {
		for _, it := range p.twins {
			if v.heldBack[it.Global] {
				p.paired++ // It is listed as skipped, once.
			} else if v.delivered[it.Global] {
				p.paired++
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
	asked, doubtful, failed := 0, true, v.lease.Account.Status.Failures > 0
	for _, p := range v.plans {
		p.untried = 0
		if v.full != nil {
			p.settles, p.todo = p.settles && len(p.todo)+p.left == 0, nil
			continue
		}
		fit, err := v.reserve(ctx, p.todo)
		if err != nil {
			return nil, err
		}
		if fit < len(p.todo) {
			p.todo, p.settles = p.todo[:fit], false
		}
		p.asked += len(p.todo)
		v.progress.MessagesTotal += int64(len(p.todo))
		fresh, again := p.apart()
		want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity, Items: fresh}
		if len(fresh) > 0 {
			ws = append(ws, want)
		}
		if want.Items, want.Again = again, true; len(again) > 0 {
			late = append(late, want)
		}
		p.untried = len(again)
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

// tried notes that a message which was skipped before has been tried.
func (p *plan) tried(id mail.ID) {
	if _, skipped := p.waiting[id]; skipped {
		p.untried--
	}
}
