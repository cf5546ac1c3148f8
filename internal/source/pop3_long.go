package source

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// sizedCost is what a line of a long LIST takes while the slice grows.
	sizedCost = 20
	// sumCost is what a message takes while those that share a name are looked for.
	sumCost = 8
)

// sized is a line of a long LIST. A size that has no room is too large anyway.
type sized struct{ number, size uint32 }

// longListing is a listing that is too long for memory: of LIST it holds numbers
// and sizes, what UIDL says goes into the session's file.
type longListing struct {
	ctx   context.Context
	sizes []sized // By ascending number once LIST is read.
	taken int
	named []bool // By index of sizes: UIDL spoke of it.
	next  int    // Where in sizes the next line of UIDL belongs, most likely.
	order bool   // The lines of UIDL were in that order.
	pages *pages
}

func (l *longListing) takeSize(n uint32, size int64) error {
	if len(l.sizes) == l.taken {
		if err := take(l.ctx, takenAtOnce*sizedCost); err != nil {
			return err
		}
		l.taken += takenAtOnce
	}
	l.sizes = append(l.sizes, sized{n, uint32(min(size, 1<<32-1))})
	return nil
}

// sorted ends LIST and returns how many numbers were said twice.
func (l *longListing) sorted() (twice int) {
	byNumber := func(a, b sized) int { return cmp.Compare(a.number, b.number) }
	if !slices.IsSortedFunc(l.sizes, byNumber) {
		slices.SortStableFunc(l.sizes, byNumber)
	}
	n := len(l.sizes)
	l.sizes = slices.CompactFunc(l.sizes, func(a, b sized) bool { return a.number == b.number })
	l.named, l.order = make([]bool, len(l.sizes)), true
	return n - len(l.sizes)
}

// takeID takes a line of UIDL. known is false where it says nothing of use.
func (l *longListing) takeID(n uint32, id string) (known bool, err error) {
	at := l.next
	if at >= len(l.sizes) || l.sizes[at].number != n {
		var listed bool
		at, listed = slices.BinarySearchFunc(l.sizes, n, func(s sized, n uint32) int { return cmp.Compare(s.number, n) })
		l.order = l.order && at > l.next
		if !listed { // UIDL alone speaks of it; the second time it is left out by order.
			l.order = false
			return true, l.pages.add(l.ctx, &mail.Item{ID: mail.ID{UIDL: id}, Number: n})
		}
	}
	if l.named[at] {
		return false, nil
	}
	l.named[at], l.next = true, at+1
	return true, l.keep(at, id)
}

func (l *longListing) keep(at int, id string) error {
	return l.pages.add(l.ctx, &mail.Item{ID: mail.ID{UIDL: id}, Number: l.sizes[at].number, Size: int64(l.sizes[at].size)})
}

// finish adds what UIDL did not speak of, and brings all into order.
func (l *longListing) finish() (*pages, error) {
	for at, named := range l.named {
		if !named {
			l.order = false
			if err := l.keep(at, ""); err != nil {
				return nil, err
			}
		}
	}
	l.sizes, l.named = nil, nil
	memory.Of(l.ctx).Give(int64(l.taken) * sizedCost)
	if l.order {
		return l.pages, nil
	}
	return l.pages, l.pages.order(l.ctx, func(it *mail.Item) uint32 { return it.Number })
}

// unclear is unclear for a long listing: the indices of the messages that have
// no usable unique-id and of those that share one, as far as they are not too
// many to be distinguished.
func (p *pages) unclear(ctx context.Context) (unidentified, shared []int, err error) {
	cost := int64(p.Len() * sumCost)
	if err := take(ctx, cost); err != nil {
		return nil, nil, err
	}
	defer memory.Of(ctx).Give(cost)
	sums, seed := make([]uint64, p.Len()), maphash.MakeSeed()
	err = p.each(0, p.Len(), func(i int, it *mail.Item) error {
		sums[i] = maphash.String(seed, it.ID.UIDL)
		if it.ID.UIDL == "" {
			unidentified = append(unidentified, i)
		}
		return tooManyAlike(len(unidentified))
	})
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(sums)
	twice := map[uint64]bool{}
	for i := 1; i < len(sums); i++ {
		if sums[i] == sums[i-1] {
			twice[sums[i]] = true
			if err := tooManyAlike(len(twice)); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(twice) == 0 {
		return unidentified, nil, nil
	}
	err = p.each(0, p.Len(), func(i int, it *mail.Item) error {
		if it.ID.UIDL != "" && twice[maphash.String(seed, it.ID.UIDL)] {
			shared = append(shared, i)
		}
		return tooManyAlike(len(shared))
	})
	return unidentified, shared, err
}

func tooManyAlike(n int) error {
	if n <= maxByTOP {
		return nil
	}
	return fault.New(fault.FolderFailed, "telling messages apart",
		words.Say("The server gives more than %d messages no identity of their own (%s), and there are "+
			"too many to read them all at each visit.",
			maxByTOP, "UIDL"))
}

// listLong is what list does for a long listing.
func (s *pop3Session) listLong(ctx context.Context, p *pages) (why *fault.Error, err error) {
	unidentified, shared, err := p.unclear(ctx)
	if fault.CodeOf(err) == fault.FolderFailed {
		return fault.Of(err), nil
	}
	if err != nil || len(unidentified)+len(shared) == 0 {
		return nil, err
	}
	which := slices.Concat(unidentified, shared)
	slices.Sort(which)
	items := make([]mail.Item, len(which))
	for i, at := range which {
		err := p.each(at, 1, func(_ int, it *mail.Item) error {
			items[i] = *it
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	few, same := unclear(items)
	if why, err = s.identify(ctx, items, few, same); why != nil || err != nil {
		return why, err
	}
	number(items)
	left, names := p.at[:0:0], map[int]mail.ID{}
	next := 0
	for i, at := range p.at {
		if next < len(which) && which[next] == i {
			it := items[next]
			if next++; it.ID.UIDL == "" {
				continue // It cannot be named.
			}
			names[len(left)] = it.ID
		}
		left = append(left, at)
	}
	p.at, p.named = left, names
	return nil, nil
}

// relocate finds wanted messages of a long listing on a connection of its own
// numbers.
func (s *pop3Session) relocate(todo []wanted) error {
	numbers := make(map[mail.ID]uint32, len(todo))
	for i := range todo {
		id := todo[i].item.ID
		numbers[id] = 0
		numbers[mail.ID{UIDL: id.UIDL}], numbers[mail.ID{UIDL: id.UIDL, Ordinal: 1}] = 0, 0
	}
	err := s.long.each(0, s.long.Len(), func(_ int, it *mail.Item) error {
		if _, wanted := numbers[it.ID]; wanted {
			numbers[it.ID] = it.Number
		}
		return nil
	})
	for i := range todo {
		w := &todo[i]
		w.number = holderOf(w.item.ID, func(id mail.ID) (uint32, bool) { return numbers[id], numbers[id] != 0 })
		w.gone = w.number == 0
	}
	return err
}
