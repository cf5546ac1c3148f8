// Package memory bounds what the visits of a process hold at a time. A Budget is
// shared by all of them; a Share is what one has of it.
//
// No visit can keep another from its end: beside the common part there is a
// reserve that is as large as any one visit's needs, and whoever has it waits
// for nothing. What cannot be had is waited for a bounded time. Nor can it keep
// others from their beginning: most of the common part is for the little that
// every visit needs, and who has held more than that for long gives way to those
// that wait.
package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// Least is the smallest budget, in octets.
	Least = 128 << 20
	// Most is what one visit may hold, in octets: what is reserved for the one
	// that finds no room in the common part.
	Most = 64 << 20
	// First is what every visit needs at its beginning, in octets.
	First = 1 << 20
	// Patience is how long a visit waits for room, unless a budget is made
	// otherwise: less than what makes a visit count as slow.
	Patience = 10 * time.Second
	// Tenure is how long a visit may hold more than First while others wait. A
	// listing of a million messages and a slice of fetching take no longer.
	Tenure = 4 * time.Minute
	// firstVisits is for how many visits First is kept free of all else, if that
	// is no more than three quarters of the common part. A visit of an account that
	// is not known to be slow may have twice as much of that.
	firstVisits = 64
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
	first    int64
	patience time.Duration
	tenure   time.Duration

	mu      sync.Mutex
	taken   int64
	common  int64               // Left of the common part.
	kept    int64               // Left in it of what is for the beginnings of visits alone.
	senior  *Share              // Who holds of the reserve.
	large   map[*Share]struct{} // Who holds more than first, or of the reserve.
	waiting int                 // Shares of accounts not known to be slow that wait for more than first.
	leaving *Share              // Of these, who was asked to give way and has not ended yet.
	change  chan struct{}       // Closed when something was given back.
}

// New returns a budget of so many octets, at least Least. patience is how long a
// Take waits for room.
func New(limit int64, patience time.Duration) *Budget {
	limit = max(limit, Least)
	return newBudget(limit, Most, First, min(firstVisits*First, (limit-Most)/4*3), patience)
}

func newBudget(limit, most, first, kept int64, patience time.Duration) *Budget {
	return &Budget{
		limit: limit, most: most, first: first, patience: patience, tenure: Tenure,
		common: limit - most, kept: kept, large: map[*Share]struct{}{}, change: make(chan struct{}),
	}
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
	b       *Budget
	slow    bool
	giveWay func(error)
	held    int64         // Guarded by b.mu, as is what follows.
	begun   int64         // Of what is for beginnings.
	kept    int64         // Of the reserve.
	since   time.Time     // When it came to hold more than a beginning.
	waited  time.Duration // In all.
	done    bool
}

// Share returns a share that holds nothing yet. One of an account that is known to
// be slow gets more than a beginning only while no other waits for that. giveWay is called, with an error
// that is ErrBusy and a lock held, when the visit has held much for long and others
// wait: it has to close the share soon. Nil: it never gives way.
func (b *Budget) Share(slow bool, giveWay func(error)) *Share {
	if b == nil {
		return nil
	}
	return &Share{b: b, slow: slow, giveWay: giveWay}
}

// Take adds n octets to the share. It waits for room until ctx ends, at most for
// the budget's patience: ErrBusy then. ErrTooMuch says that no waiting would help.
func (s *Share) Take(ctx context.Context, n int64) error {
	if s == nil || n <= 0 {
		return nil
	}
	b := s.b
	if done, err := b.try(s, n); done {
		return err
	}
	late := time.NewTimer(b.patience)
	defer late.Stop()
	defer s.wait(n)()
	for {
		b.mu.Lock()
		change, turn := b.change, b.makeRoom(s)
		b.mu.Unlock()
		if done, err := b.try(s, n); done { // It may have been given back since.
			return err
		}
		again := time.NewTimer(turn)
		select {
		case <-change:
		case <-again.C:
		case <-late.C:
			again.Stop()
			return ErrBusy
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		}
		again.Stop()
	}
}

// try takes n octets for a share, if that can be done, or never can, without waiting.
func (b *Budget) try(s *Share, n int64) (done bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.done || s.held+n > b.most {
		return true, ErrTooMuch
	}
	return s.take(n), nil
}

// wait notes that a share waits for n octets, until what it returns is called.
func (s *Share) wait(n int64) (over func()) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	first := 0
	if !s.slow && s.held+n > b.first {
		first = 1
	}
	b.waiting += first
	asked := time.Now()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		s.waited += time.Since(asked)
		if b.waiting -= first; first > 0 && b.waiting == 0 {
			b.changed()
		}
	}
}

// changed wakes those that wait. b.mu is held.
func (b *Budget) changed() {
	close(b.change)
	b.change = make(chan struct{})
}

// makeRoom asks the visit that holds most, of those that have held much for long,
// to give way to s; one at a time. It returns when the next one's time is over.
// b.mu is held.
func (b *Budget) makeRoom(s *Share) (next time.Duration) {
	next = b.tenure
	if b.leaving != nil {
		return next
	}
	var most *Share
	for l := range b.large {
		switch left := b.tenure - time.Since(l.since); {
		case l == s || l.giveWay == nil:
		case left > 0:
			next = min(next, left)
		case most == nil || l.held > most.held:
			most = l
		}
	}
	if most != nil {
		b.leaving = most
		most.giveWay(fmt.Errorf("it was held for %v: %w", b.tenure, ErrBusy))
	}
	return next
}

// take takes from what is for beginnings, as long as it is one, then from the
// rest of the common part, else from the reserve, which one share has until it
// holds nothing of it. b.mu is held.
func (s *Share) take(n int64) bool {
	b := s.b
	beginning := b.first
	if !s.slow {
		beginning *= 2 // With some news, which those who are slow may wait for.
	}
	begin := int64(0)
	if s.held+n <= beginning {
		begin = min(n, b.kept)
	}
	switch {
	case s.slow && s.held+n > b.first && b.waiting > 0 && b.senior != s:
		return false
	case b.common-b.kept >= n-begin:
		b.common -= n
		b.kept -= begin
		s.begun += begin
	case b.senior == nil || b.senior == s:
		b.senior = s
		s.kept += n
	default:
		return false
	}
	s.held += n
	b.taken += n
	if _, is := b.large[s]; !is && s.much() {
		b.large[s] = struct{}{}
		s.since = time.Now()
	}
	return true
}

// much reports whether a share holds more than a beginning, or of the reserve.
func (s *Share) much() bool { return s.held > s.b.first || s.kept > 0 }

// Waited is how long the share has waited for memory.
func (s *Share) Waited() time.Duration {
	if s == nil {
		return 0
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.waited
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
	s.done = true
	if s.b.leaving == s {
		s.b.leaving = nil
	}
	s.give(s.held)
}

// give gives back to the reserve first, so that it is free for another as soon
// as can be, and what was a visit's beginning last. b.mu is held.
func (s *Share) give(n int64) {
	b := s.b
	reserve := min(n, s.kept)
	common := n - reserve
	begin := max(0, s.begun-(s.held-s.kept-common))
	s.kept -= reserve
	s.begun -= begin
	s.held -= n
	b.common += common
	b.kept += begin
	b.taken -= n
	if b.senior == s && s.kept == 0 {
		b.senior = nil
	}
	if !s.much() {
		delete(b.large, s)
	}
	b.changed()
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
