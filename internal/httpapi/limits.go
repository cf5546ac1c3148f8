package httpapi

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mailbrook/mailbrook/internal/account"
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
	// Refused counts logins that a remote mailbox refused, over all users; by
	// default 10 in 15 minutes. Above it that mailbox is not tried from here.
	Refused Rate
	// TestsAtOnce bounds one user's tests that run at the same time; others
	// wait for their turn. By default 4.
	TestsAtOnce int
}

func (l Limits) filled() Limits {
	fill := func(r *Rate, d Rate) {
		if *r == (Rate{}) {
			*r = d
		}
	}
	fill(&l.Requests, Rate{6000, 500})
	fill(&l.Tests, Rate{30, 60})
	fill(&l.Refused, Rate{10.0 / 15, 10})
	if l.TestsAtOnce == 0 {
		l.TestsAtOnce = 4
	}
	return l
}

// tooManyError says that a limit is reached and when it is not any more.
type tooManyError struct {
	wait time.Duration
	what string
}

func (e *tooManyError) Error() string { return e.what }

// meters hold all the counts.
type meters struct {
	requests, tests, refused *meter
	slots                    *slots
}

func newMeters(l Limits, now func() time.Time) meters {
	l = l.filled()
	return meters{newMeter(l.Requests, now), newMeter(l.Tests, now), newMeter(l.Refused, now), &slots{size: l.TestsAtOnce, open: map[string]*slot{}}}
}

// meter is a token bucket per key.
type meter struct {
	now   func() time.Time
	limit rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	sweepAt int // Size at which full buckets, which say nothing, are dropped.
}

const sweepLeast = 1024

func newMeter(r Rate, now func() time.Time) *meter {
	return &meter{now: now, limit: rate.Limit(r.PerMinute / 60), burst: r.Burst, buckets: map[string]*rate.Limiter{}, sweepAt: sweepLeast}
}

// take counts one for key. It returns how long to wait when there are too many
// already; then nothing is counted.
func (m *meter) take(key string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	b := m.bucket(key, now)
	if b.AllowN(now, 1) {
		return 0
	}
	return m.wait(b, now)
}

// look returns what take would, and counts nothing.
func (m *meter) look(key string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if b, ok := m.buckets[key]; ok && b.TokensAt(now) < 1 {
		return m.wait(b, now)
	}
	return 0
}

func (m *meter) wait(b *rate.Limiter, now time.Time) time.Duration {
	if m.limit <= 0 {
		return time.Hour
	}
	seconds := (1 - b.TokensAt(now)) / float64(m.limit)
	return time.Duration(seconds*float64(time.Second)) + 1
}

func (m *meter) bucket(key string, now time.Time) *rate.Limiter {
	if b, ok := m.buckets[key]; ok {
		return b
	}
	if len(m.buckets) >= m.sweepAt {
		for k, b := range m.buckets {
			if b.TokensAt(now) >= float64(m.burst) {
				delete(m.buckets, k)
			}
		}
		m.sweepAt = sweepLeast + 2*len(m.buckets)
	}
	b := rate.NewLimiter(m.limit, m.burst)
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

// slotPatience is how long a test waits for its turn: as long as one test may take.
const slotPatience = 20 * time.Second

// hold waits for a place. The caller must call release.
func (s *slots) hold(ctx context.Context, key string) (release func(), err error) {
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
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	select {
	case sl.places <- struct{}{}:
		return func() { <-sl.places; leave() }, nil
	case <-patience.C:
		err = &tooManyError{slotPatience, "too many connection tests at once"}
	case <-ctx.Done():
		err = ctx.Err()
	}
	leave()
	return nil, err
}

// remote names a mailbox at another provider for counting refused logins. A
// host that the user left open is named by the address's domain.
func remote(host, username, email string) string {
	if host == "" {
		host = account.Domain(email)
	}
	if username == "" {
		username = email
	}
	return strings.ToLower(host) + "\x00" + strings.ToLower(username)
}

// tested runs what makes a connection test, within the limits. f returns the
// diagnosis of the test, if one was made.
func (s *server) tested(ctx context.Context, mailbox string, f func() (*account.Diagnosis, error)) error {
	who := caller(ctx).Owner.String()
	if wait := s.meters.tests.look(who); wait > 0 {
		return &tooManyError{wait, "too many connection tests"}
	}
	if wait := s.meters.refused.look(mailbox); wait > 0 {
		return &tooManyError{wait, "this mailbox refused too many logins lately"}
	}
	release, err := s.meters.slots.hold(ctx, who)
	if err != nil {
		return err
	}
	defer release()
	d, err := f()
	var failed *account.TestFailedError
	if err == nil || errors.As(err, &failed) {
		s.meters.tests.take(who) // What was refused before anything was dialled costs nothing.
	}
	if d != nil && d.Code.Credential() {
		s.meters.refused.take(mailbox)
	}
	return err
}
