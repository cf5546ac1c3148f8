package store

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// clockEvery is how often the clock is compared with what it goes by.
	clockEvery = 10 * time.Second
	// clockBelieved is how long this machine's clock must have said the same
	// before processes on SQLite go by it again.
	clockBelieved = time.Minute
	// clockSlack is how far apart two times may be that mean the same.
	clockSlack = time.Second
	// clockTold is from which difference on the log reports one.
	clockTold = 2 * time.Second
)

// sharedClock is the time that all processes on one database have in common. Between
// two comparisons it advances by the time that has passed since the machine
// started, which nobody sets. On PostgreSQL it is the database's time. On SQLite
// all processes are on one machine: they share a zero point, that was taken
// from the machine's clock and is written down in the database.
type sharedClock struct {
	wall    func() time.Time     // This machine's clock, which may jump.
	elapsed func() time.Duration // Since the machine started, its sleep included; never goes back.
	boot    string               // Which start of the machine that is; "": not known.
	log     *slog.Logger
	zero    atomic.Int64 // Unix time in nanoseconds when elapsed was 0.
	back    atomic.Bool  // It has been set back, and what was written before was not looked at yet.

	mu    sync.Mutex // Of comparisons.
	set   bool       // There was one.
	told  time.Duration
	doubt time.Duration // By how much the machine's clock differs; 0: by less than the slack.
	since time.Duration // When, as elapsed, it began to differ by that much.
}

func newSharedClock(wall func() time.Time, elapsed func() time.Duration, boot string, log *slog.Logger) *sharedClock {
	c := &sharedClock{wall: wall, elapsed: elapsed, boot: boot, log: log}
	c.zero.Store(c.byWall())
	c.back.Store(true) // It may have been while nobody looked.
	return c
}

// now needs no lock and no question.
func (c *sharedClock) now() time.Time {
	return time.Unix(0, c.zero.Load()+int64(c.elapsed())).UTC()
}

// byWall is the zero point as the machine's clock has it.
func (c *sharedClock) byWall() int64 { return c.wall().UnixNano() - int64(c.elapsed()) }

// skew is how far this machine's clock is ahead.
func (c *sharedClock) skew() time.Duration { return time.Duration(c.byWall() - c.zero.Load()) }

// follow sets the clock by a zero point that is known as exactly as within. A
// difference that may come from that changes nothing.
func (c *sharedClock) follow(ctx context.Context, zero int64, within time.Duration) {
	by := time.Duration(zero - c.zero.Load())
	if c.set && by.Abs() <= within {
		return
	}
	c.zero.Store(zero)
	if c.set && by.Abs() > clockTold {
		c.log.WarnContext(ctx, "the time that the processes share has jumped", "by", by.Round(time.Millisecond))
	}
	if by < -clockSlack {
		c.back.Store(true)
	}
	c.set = true
}

// tell logs by how much this machine's clock differs, when that has changed.
func (c *sharedClock) tell(ctx context.Context) {
	skew := c.skew()
	if (skew - c.told).Abs() <= clockTold {
		return
	}
	c.told = skew
	if skew.Abs() <= clockTold {
		c.log.InfoContext(ctx, "this machine's clock is right again", "skew", skew.Round(time.Millisecond))
		return
	}
	c.log.WarnContext(ctx, "this machine's clock differs from the time that the processes share", "skew", skew.Round(
		time.Millisecond))
}

// believe returns the zero point that the machine's clock asks for once it has
// been asking for it long enough: it was set right. One that jumps and
// comes back is not followed.
func (c *sharedClock) believe() (zero int64, ok bool) {
	skew, at := c.skew(), c.elapsed()
	switch {
	case skew.Abs() <= clockSlack:
		c.doubt = 0
	case c.doubt == 0, (skew - c.doubt).Abs() > clockSlack:
		c.doubt, c.since = skew, at
	case at-c.since >= clockBelieved:
		c.doubt = 0
		return c.byWall(), true
	}
	return 0, false
}

// Now is the time that all processes on this database share: what is due when,
// and how long a lease lasts, goes by it alone.
func (s *Store) Now() time.Time { return s.now() }

// Now is the store's: see schedule.Queue.
func (q Queue) Now() time.Time { return q.s.now() }

// ClockSkew is how far this machine's clock is ahead of Now.
func (s *Store) ClockSkew() time.Duration { return s.clock.wall().Sub(s.now()) }

// keepClock compares the clock until ctx ends.
func (s *Store) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cctx, cancel := context.WithTimeout(ctx, clockEvery)
		// A database that is away is reported by all who need it.
		if err := s.compareClock(cctx); err != nil && ctx.Err() == nil {
			s.log.DebugContext(ctx, "comparing the clock", "error", err)
		}
		cancel()
	}
}

// compareClock sets the clock by what it goes by.
func (s *Store) compareClock(ctx context.Context) error {
	c := s.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	compare := s.compareSQLite
	if s.postgres {
		compare = s.comparePostgres
	}
	if err := compare(ctx); err != nil {
		return fmt.Errorf("comparing the clock: %w", err)
	}
	s.hear()
	c.tell(ctx)
	return nil
}

func (s *Store) comparePostgres(ctx context.Context) error {
	var micros int64
	asked := s.clock.elapsed()
	err := s.on(s.r).row(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&micros)
	if err != nil {
		return err
	}
	took := s.clock.elapsed() - asked
	s.clock.follow(ctx, micros*1000-int64(asked+took/2), took/2)
	return nil
}

// compareSQLite takes over the zero point that is written down, and writes down
// a new one after a restart of the machine or when its clock was set right.
func (s *Store) compareSQLite(ctx context.Context) error {
	c, boot := s.clock, s.clock.boot
	if boot == "" || !c.set {
		id, err := s.Noted(ctx, NoteInstance)
		if err != nil {
			return err
		}
		// No way to tell one start of the machine from another, or nowhere to write: no
		// table, or somebody emptied it, who is refused before anything is written.
		if boot == "" || id == "" {
			if zero, ok := c.believe(); ok {
				c.follow(ctx, zero, 0)
			}
			return nil
		}
	}
	for range 2 { // The second time, when another process was quicker to write.
		var written string
		if err := s.on(s.r).each(ctx, scanInto(&written), "SELECT value FROM meta WHERE name = 'clock'"); err != nil {
			return err
		}
		name, number, _ := strings.Cut(written, " ")
		zero, err := strconv.ParseInt(number, 10, 64)
		known := err == nil && name == boot
		if known {
			c.follow(ctx, zero, 0)
		}
		right, ok := c.believe()
		switch {
		case known && !ok:
			return nil
		case !ok:
			right = c.zero.Load()
		}
		n, err := s.on(s.w).exec(ctx, `INSERT INTO meta (name, value) VALUES ('clock', ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value = ?`, fmt.Sprintf("%s %d", boot, right),
			written)
		if err != nil {
			return err
		}
		if n > 0 {
			c.follow(ctx, right, 0)
			return nil
		}
	}
	return nil
}
