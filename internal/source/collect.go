package source

import (
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
)

const (
	// itemCost is what a listed message takes in memory, with what the engine
	// makes of it.
	itemCost = 400
	// rangeCost is what a gap between UIDs takes: the ranges that are answered, in
	// the filter and in the library, while their slices grow.
	rangeCost = 36
)

// collector gathers what a session lists: so many messages in memory, and the
// listings for which there is no room then in a file.
type collector struct {
	room int // Messages.
	file *pageFile
}

func (c *Client) collector() collector {
	return collector{room: c.opts.Window, file: &pageFile{dir: c.opts.TempDir}}
}

// collected is one listing on its way.
type collected struct {
	*collector
	ctx     context.Context // Of the call that lists.
	items   []mail.Item
	long    *pages // Nil while they are in memory.
	last    uint32 // The highest UID.
	sorted  bool
	charged int   // Of items.
	gaps    int64 // Between UIDs, and for how many memory was taken.
	taken   int64
}

func (c *collector) begin(ctx context.Context) *collected {
	return &collected{collector: c, ctx: ctx, sorted: true}
}

// add takes one message.
func (c *collected) add(it *mail.Item) error {
	if c.sorted = c.sorted && it.ID.UID > c.last; it.ID.UID != c.last+1 {
		if c.gaps++; c.gaps > c.taken {
			if err := take(c.ctx, takenAtOnce*rangeCost); err != nil {
				return err
			}
			c.taken += takenAtOnce
		}
	}
	c.last = max(c.last, it.ID.UID)
	if c.long == nil && len(c.items) < c.room {
		if len(c.items) == c.charged {
			n := min(takenAtOnce/8, c.room-c.charged)
			if err := take(c.ctx, int64(n)*itemCost); err != nil {
				return err
			}
			c.charged += n
		}
		c.items = append(c.items, *it)
		return nil
	}
	if c.long == nil {
		c.long = &pages{file: c.file}
		for i := range c.items {
			if err := c.page(&c.items[i]); err != nil {
				return err
			}
		}
		c.items = nil
	}
	return c.page(it)
}

func (c *collected) page(it *mail.Item) error {
	if !it.Labelled() {
		it.Global = "" // Whether two messages have it is not known.
	}
	return c.long.add(c.ctx, it)
}

// fill puts what was listed, in order, into the listing.
func (c *collected) fill(l *mail.Listing) error {
	if c.long == nil {
		distinctNames(c.items)
		if !c.sorted {
			slices.SortFunc(c.items, func(a, b mail.Item) int { return int(int64(a.ID.UID) - int64(b.ID.UID)) })
		}
		l.Items = c.items
		c.room -= len(c.items)
		return nil
	}
	l.Older = c.long
	if c.sorted {
		return nil
	}
	return c.long.order(c.ctx, func(it *mail.Item) uint32 { return it.ID.UID })
}

// end gives back what only the listing's coming needed.
func (c *collected) end() {
	memory.Of(c.ctx).Give(c.taken * rangeCost)
	if c.items == nil {
		memory.Of(c.ctx).Give(int64(c.charged) * itemCost)
	}
}
