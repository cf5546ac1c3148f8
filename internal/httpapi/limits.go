package httpapi

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Rate is how often something may happen: Burst times at once, and then Per
// minute. The zero value stands for the default.
type Rate struct {
	PerMinute float64
	Burst     int
}

// Limits keep one user from being everybody's problem.
type Limits struct {
	Requests Rate // Per user; by default 6,000 a minute, 500 at once.
	Tests    Rate // Connection tests per user; by default 30 a minute, 60 at once.
	SignIns  Rate // To the pages, without a link, per user; by default 6 a minute, 30 at once.
	// TestsAtOnce bounds one user's tests that run at the same time; others
	// wait for their turn. By default 4.
	TestsAtOnce int
	// Codes are the attempts to see a copy by its code, per client (of IPv6: a /64), that came to nothing; by default 6 a
	// minute, 30 at once.
	Codes Rate
}

func (l Limits) filled() Limits {
	fill := func(r *Rate, d Rate) {
		if *r == (Rate{}) {
			*r = d
		}
	}
	fill(&l.Requests, Rate{6000, 500})
	fill(&l.Tests, Rate{30, 60})
	fill(&l.SignIns, Rate{6, 30})
	fill(&l.Codes, Rate{6, 30})
	if l.TestsAtOnce == 0 {
		l.TestsAtOnce = 4
	}
	return l
}

// tooManyError says that a limit is reached and when it is not any more.
type tooManyError struct {
	wait time.Duration
	what words.Sentence
}

// wholeSeconds is for how long to wait, as Retry-After says it.
func wholeSeconds(wait time.Duration) int { return int(math.Ceil(wait.Seconds())) }

func (e *tooManyError) Error() string { return e.what.Error() }

// meters hold all the counts.
type meters struct {
	requests, tests, signIns, codes *meter

	slots *slots
}

func newMeters(l Limits, now func() time.Time) meters {
	l = l.filled()
	return meters{
		newMeter(l.Requests, now), newMeter(l.Tests, now), newMeter(l.SignIns, now), newMeter(l.Codes, now),
		newSlots(l.TestsAtOnce),
	}
}

// meter is a token bucket per key.
type meter struct {
	now  func() time.Time
	rate Rate

	mu      sync.Mutex
	buckets map[string]*bucket
	sweepAt int // Size at which full buckets, which say nothing, are dropped.
}

// bucket is how many times something may still happen.
type bucket struct {
	left float64
	at   time.Time // When that was so.
}

const sweepLeast = 1024

func newMeter(r Rate, now func() time.Time) *meter {
	return &meter{now: now, rate: r, buckets: map[string]*bucket{}, sweepAt: sweepLeast}
}

// take counts one for key. It returns how long to wait when there are too many
// already; then nothing is counted.
func (m *meter) take(key string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, m.now())
	switch {
	case b.left >= 1:
		b.left--
		return 0
	case m.rate.PerMinute <= 0:
		return time.Hour
	}
	return time.Duration((1-b.left)/m.rate.PerMinute*float64(time.Minute)) + 1
}

// untake takes back what take has counted, for what did not happen after all.
func (m *meter) untake(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, m.now())
	b.left = min(b.left+1, float64(m.rate.Burst))
}

// fill brings a bucket to now. A clock that goes back fills nothing.
func (m *meter) fill(b *bucket, now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.left = min(b.left+passed.Minutes()*m.rate.PerMinute, float64(m.rate.Burst))
	}
	b.at = now
}

func (m *meter) bucket(key string, now time.Time) *bucket {
	if b, ok := m.buckets[key]; ok {
		m.fill(b, now)
		return b
	}
	if len(m.buckets) >= m.sweepAt {
		for k, b := range m.buckets {
			if m.fill(b, now); b.left >= float64(m.rate.Burst) {
				delete(m.buckets, k)
			}
		}
		m.sweepAt = sweepLeast + 2*len(m.buckets)
	}
	b := &bucket{float64(m.rate.Burst), now}
	m.buckets[key] = b
	return b
}

// slots bound how many of one key run at once.
type slots struct {
	size int
	mu   sync.Mutex
	open map[string]*slot
}

type slot struct {
	places chan struct{}
	users  int // Holding or waiting; at 0 the slot is forgotten.
}

func newSlots(size int) *slots { return &slots{size: size, open: map[string]*slot{}} }

// errNoPlace says that no place was free in time.
var errNoPlace = errors.New("no place became free in time")

// slotPatience is how long a test waits for its turn: as long as one test may take.
const slotPatience = 20 * time.Second

// hold waits for a place for a test. The caller must call release.
func (s *slots) hold(ctx context.Context, key string) (release func(), err error) {
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	if release, err = s.wait(ctx, key, patience.C); errors.Is(err, errNoPlace) {
		err = &tooManyError{slotPatience, words.Say("too many connection tests at once: wait until the others have ended")}
	}
	return release, err
}

// wait waits for a place until over tells something; then it fails with
// errNoPlace.
func (s *slots) wait(ctx context.Context, key string, over <-chan time.Time) (release func(), err error) {
	s.mu.Lock()
	sl, ok := s.open[key]
	if !ok {
		sl = &slot{places: make(chan struct{}, s.size)}
		s.open[key] = sl
	}
	sl.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sl.users--; sl.users == 0 {
			delete(s.open, key)
		}
	}
	select {
	case sl.places <- struct{}{}:
		return func() { <-sl.places; leave() }, nil
	case <-over:
		err = errNoPlace
	case <-ctx.Done():
		err = ctx.Err()
	}
	leave()
	return nil, err
}

// tested runs what makes a connection test, within the limits. It is counted
// before it begins, or any number could begin at once; what was refused before
// anything was dialled costs nothing.
func (s *server) tested(ctx context.Context, f func() error) error {
	who := caller(ctx).Owner.String()
	if wait := s.meters.tests.take(who); wait > 0 {
		return &tooManyError{wait, words.Say("too many connection tests: wait for %d s", wholeSeconds(wait))}
	}
	release, err := s.meters.slots.hold(ctx, who)
	if err == nil {
		defer release()
		err = f()
	}
	var failed *account.TestFailedError
	if err != nil && !errors.As(err, &failed) {
		s.meters.tests.untake(who)
	}
	return err
}
