package store

import (
	"context"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
)

// counter sums finished visits by minute and outcome, so that a visit without
// news costs one row written and not two. What it holds is lost in a crash:
// these are figures for people, not the journal.
type counter struct {
	mu   sync.Mutex
	sums map[countKey]countSum
}

type countKey struct {
	minute int64 // Unix milliseconds.
	code   string
}

type countSum struct{ polls, messages, bytes int64 }

func (a countSum) plus(b countSum) countSum {
	return countSum{a.polls + b.polls, a.messages + b.messages, a.bytes + b.bytes}
}

func (c *counter) add(at time.Time, code string, messages, bytes int64) {
	c.put(map[countKey]countSum{{at.Truncate(time.Minute).UnixMilli(), code}: {1, messages, bytes}})
}

func (c *counter) put(sums map[countKey]countSum) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sums == nil {
		c.sums = map[countKey]countSum{}
	}
	for k, v := range sums {
		c.sums[k] = c.sums[k].plus(v)
	}
}

// take empties the counter.
func (c *counter) take() map[countKey]countSum {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums := c.sums
	c.sums = nil
	return sums
}

// snapshot returns what is not written yet.
func (c *counter) snapshot() map[countKey]countSum {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[countKey]countSum, len(c.sums))
	for k, v := range c.sums {
		out[k] = v
	}
	return out
}

// countsKept is how long counts per minute are kept: longer than anybody asks
// for.
const countsKept = 48 * time.Hour

// FlushCounts writes the counts of finished visits that gathered in this
// process: a chore for every minute.
func (s *Store) FlushCounts(ctx context.Context) error {
	sums := s.counts.take()
	if len(sums) == 0 {
		return nil
	}
	err := s.write(ctx, "writing counts of visits", func(tx *gorm.DB) error {
		c := s.on(tx)
		for k, v := range sums {
			if _, err := c.exec(ctx, `INSERT INTO poll_counts (minute_ms, code, polls, messages, bytes) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (minute_ms, code) DO UPDATE SET polls = poll_counts.polls + excluded.polls,
				messages = poll_counts.messages + excluded.messages, bytes = poll_counts.bytes + excluded.bytes`,
				k.minute, k.code, v.polls, v.messages, v.bytes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.counts.put(sums)
	}
	return err
}

// activity sums the visits since a moment, those of this process included that
// are not written yet.
func (s *Store) activity(ctx context.Context, since time.Time) (insight.Activity, error) {
	a := insight.Activity{Failures: map[fault.Code]int64{}}
	add := func(code string, v countSum) {
		a.Polls += v.polls
		a.Messages += v.messages
		a.Bytes += v.bytes
		if code != "" {
			a.Failed += v.polls
			a.Failures[fault.Code(code)] += v.polls
		}
	}
	from := since.UnixMilli()
	for k, v := range s.counts.snapshot() {
		if k.minute > from {
			add(k.code, v)
		}
	}
	err := s.on(s.r).each(ctx, func(r rowScanner) error {
		var code string
		var v countSum
		err := r.Scan(&code, &v.polls, &v.messages, &v.bytes)
		add(code, v)
		return err
	}, "SELECT code, CAST(sum(polls) AS BIGINT), CAST(sum(messages) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM "+
		"poll_counts WHERE minute_ms > ? GROUP BY code", from)
	return a, err
}
