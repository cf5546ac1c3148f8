package fetch

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/mail"
)

const (
	// fewWanted is how few messages may not tell a server that sends none from one
	// that cannot send these.
	fewWanted = 3
	// mostOthers is how many messages the source is given to tell by.
	mostOthers = 3
	// othersLooked is how many are looked at to find small ones.
	othersLooked = 300
)

// others are messages of a folder that came before, small ones: one of them may be
// asked for to see whether the server sends any.
func (v *visit) others(ctx context.Context, w mail.Want) ([]mail.Item, error) {
	var p *plan
	for _, one := range v.plans {
		if one.folder.Wire == w.Folder.Wire {
			p = one
		}
	}
	var found []mail.Item
	seen := 0
	look := func(it mail.Item) error {
		if _, skipped := p.waiting[it.ID]; !skipped {
			found = keepSmallest(found, it)
		}
		if seen++; seen == othersLooked {
			return errEnough
		}
		return nil
	}
	err := v.eachPage(&p.listing, func(at int, items []mail.Item) error {
		for i := range items {
			if p.verdicts[at+i] != VerdictFetch {
				if err := look(items[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && len(found) == 0 && v.byUID() {
		from := w.Items[len(w.Items)-1].ID.UID
		err = v.Journal.Settled(ctx, v.lease, p.folder, max(from, othersLooked)-othersLooked+1, func(id mail.ID,
			size int64,
		) error {
			return look(mail.Item{ID: id, Size: size})
		})
	}
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return found, nil
}

// keepSmallest adds a message and keeps those that cost least to read.
func keepSmallest(items []mail.Item, it mail.Item) []mail.Item {
	if items = append(items, it); len(items) <= mostOthers {
		return items
	}
	largest := 0
	for i := range items {
		if items[i].Size > items[largest].Size {
			largest = i
		}
	}
	return append(items[:largest], items[largest+1:]...)
}
