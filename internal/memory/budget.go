// Package memory bounds what the visits of a process hold at a time. A Budget is
// shared by all of them; a Share is what one has of it.
//
// No visit can keep another from its end: beside the common part there is a
// reserve that is as large as any one visit's needs, and whoever has it waits
// for nothing. What cannot be had is waited for a bounded time.
package memory

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// Least is the smallest budget, in octets.
	Least = 128 << 20
	// Most is what one visit may hold, in octets: what is reserved for the one
	// that finds no room in the common part.
	Most = 64 << 20
	// Patience is how long a visit waits for room, unless a budget is made otherwise.
	Patience = 20 * time.Second
)

// ErrBusy says that other visits hold what is needed. It is no failure: the
// visit gives back what it holds and is made again.
var ErrBusy = errors.New("other visits hold the memory that is needed")

// ErrTooMuch says that a visit wants more than one may hold.
var ErrTooMuch = errors.New("more memory is needed than one visit may hold")

// Budget is what the visits of a process may hold together. It is safe for
// concurrent use; a nil Budget bounds nothing.
type Budget struct {
	limit    int64
	most     int64
	patience time.Duration

	mu     sync.Mutex
	taken  int64
	common int64         // Left of the common part.
	senior *Share        // Who holds the reserve.
	change chan struct{} // Closed when something was given back.
}

// New returns a budget of so many octets, at least Least. patience is how long a
// Take waits for room.
func New(limit int64, patience time.Duration) *Budget {
	return newBudget(max(limit, Least), Most, patience)
}

func newBudget(limit, most int64, patience time.Duration) *Budget {
	return &Budget{limit: limit, most: most, patience: patience, common: limit - most, change: make(chan struct{})}
}

// Limit is the whole of the budget, in octets.
func (b *Budget) Limit() int64 { return b.limit }

// Taken is how much of it visits hold now, in octets.
func (b *Budget) Taken() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// Share is what one visit holds. It must be closed.
type Share struct {
	b    *Budget
	held int64 // Guarded by b.mu, as is what follows.
	kept int64 // Of the reserve.
	done bool
}

// Share returns a share that holds nothing yet.
func (b *Budget) Share() *Share {
	if b == nil {
		return nil
	}
	return &Share{b: b}
}

// Take adds n octets to the share. It waits for room until ctx ends, at most for
// the budget's patience: ErrBusy then. ErrTooMuch says that no waiting would help.
func (s *Share) Take(ctx context.Context, n int64) error {
	if s == nil || n <= 0 {
		return nil
	}
	b := s.b
	var late <-chan time.Time
	for {
		b.mu.Lock()
		change := b.change
		if s.done || s.held+n > b.most {
			b.mu.Unlock()
			return ErrTooMuch
		}
		if s.take(n) {
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		if late == nil {
			t := time.NewTimer(b.patience)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-change:
		case <-late:
			return ErrBusy
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take takes from the common part, else from the reserve, which one share has
// until it is closed. b.mu is held.
func (s *Share) take(n int64) bool {
	b := s.b
	switch {
	case b.common >= n:
		b.common -= n
	case b.senior == nil || b.senior == s:
		b.senior = s
		s.kept += n
	default:
		return false
	}
	s.held += n
	b.taken += n
	return true
}

// Give gives back n octets of the share.
func (s *Share) Give(n int64) {
	if s == nil || n <= 0 {
		return
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.give(min(n, s.held))
}

// Close gives back everything. A closed share takes nothing any more.
func (s *Share) Close() {
	if s == nil {
		return
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.give(s.held)
	s.done = true
	if s.b.senior == s {
		s.b.senior = nil
	}
}

// give gives back to the common part first. b.mu is held.
func (s *Share) give(n int64) {
	b := s.b
	common := min(n, s.held-s.kept)
	s.kept -= n - common
	s.held -= n
	b.common += common
	b.taken -= n
	close(b.change)
	b.change = make(chan struct{})
}

type key struct{}

// With returns a context for what is done on behalf of a share's visit.
func With(ctx context.Context, s *Share) context.Context { return context.WithValue(ctx, key{}, s) }

// Of returns the share of the visit that ctx belongs to; nil, which bounds
// nothing, where there is none.
func Of(ctx context.Context) *Share {
	s, _ := ctx.Value(key{}).(*Share)
	return s
}
