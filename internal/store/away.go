package store

import (
	"sync"
	"time"
)

const (
	// awayAfter is how long this process may hear nothing of the database before
	// it was away: by then it has been asked for the time twice. A lease that was
	// prolonged in time runs out no sooner.
	awayAfter = clockEvery + clockEvery/2
	// awayAfterwards is how long others may take to notice that it is back.
	awayAfterwards = 10 * time.Second
	// awayTogether is how long after one outage another one is the same.
	awayTogether = time.Minute
)

// contact knows when the database was away, as far as this process has seen. A
// lease that ran out then is no sign that its process died: it could not be
// prolonged.
type contact struct {
	mu       sync.Mutex
	known    bool
	heard    time.Duration // When it was last heard of, as elapsed.
	from, to time.Time     // The last outage, in shared time; none: zero.
}

// hear notes that the database answered.
func (s *Store) hear() {
	c := &s.contact
	c.mu.Lock()
	defer c.mu.Unlock()
	at := s.clock.elapsed()
	if gap, now := at-c.heard, s.now(); c.known && gap > awayAfter {
		if from := now.Add(-gap); c.to.IsZero() || from.After(c.to.Add(awayTogether)) || c.from.After(from) {
			c.from = from
		}
		c.to = now.Add(awayAfterwards)
	}
	c.heard, c.known = at, true
}

// away is the last outage of the database, in milliseconds of shared time; 1 and
// 0 for none, between which there is nothing.
func (s *Store) away() (from, to int64) {
	c := &s.contact
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to.IsZero() {
		return 1, 0
	}
	return c.from.UnixMilli(), c.to.UnixMilli()
}
