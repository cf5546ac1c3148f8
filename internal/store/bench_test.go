package store

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

func benchBoth(b *testing.B, run func(b *testing.B, s *Store)) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s, err := Open(b.Context(), dsns(b)[kind](), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			run(b, s)
		})
	}
}

// cpu is what this process has used so far; on SQLite that is all of it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJournal10000Messages commits a first fetch as the engine does:
// batches of 100, each commit delivering one, staging the next and intending
// the one after.
func BenchmarkJournal10000Messages(b *testing.B) {
	benchBoth(b, func(b *testing.B, s *Store) {
		ctx := b.Context()
		a, err := s.Accounts().Add(ctx, draft(b, "anna@firma.test", 1), []byte("sealed"), 4)
		if err != nil {
			b.Fatal(err)
		}
		claim := schedule.Claim{Worker: "p/1", Now: time.Now(), Lease: time.Minute}
		l, err := leaseOf(s.Queue().ClaimOne(ctx, a.Owner, a.ID, claim))
		if err != nil {
			b.Fatal(err)
		}
		used, round := cpu(b), 0
		for b.Loop() {
			name := fmt.Sprint("F", round)
			fs, err := s.Journal().AddFolders(ctx, l, []fetch.Folder{{Wire: name, Remote: name, Local: name, Selected: true}})
			if err != nil {
				b.Fatal(err)
			}
			key := func(n int) *fetch.BatchKey { return &fetch.BatchKey{Epoch: l.Epoch, Seq: 1000*round + n} }
			for n := range 102 {
				var e fetch.Entry
				if n < 100 {
					e.Intend = key(n)
				}
				if n >= 1 && n <= 100 {
					e.Stage = &fetch.Batch{Key: *key(n - 1), Members: members(fs[0], 1+100*(n-1), 100)}
				}
				if n >= 2 {
					e.Deliver = []fetch.BatchKey{*key(n - 2)}
				}
				if err := s.Journal().Commit(ctx, l, e); err != nil {
					b.Fatal(err)
				}
			}
			round++
		}
		b.ReportMetric((cpu(b)-used).Seconds()/float64(round), "cpu-s/op")
	})
}

// BenchmarkPollWithoutNews is a claim of 50 accounts and the end of each visit.
func BenchmarkPollWithoutNews(b *testing.B) {
	benchBoth(b, func(b *testing.B, s *Store) {
		ctx := b.Context()
		for i := range 200 {
			if _, err := s.Accounts().Add(ctx, draft(b, "u"+uuid.NewString()[:8]+"@firma.test", i), []byte("sealed"),
				4); err != nil {
				b.Fatal(err)
			}
		}
		now := time.Now()
		used, polls := cpu(b), 0
		for b.Loop() {
			now = now.Add(time.Hour)
			ls, err := s.Queue().Claim(ctx, schedule.Claim{
				Worker: "p/1", Now: now, Lease: time.Minute, Limit: 50, Unsure: 50,
				PerHost: 100, PerUser: 1,
			})
			if err != nil || len(ls) != 50 {
				b.Fatal(len(ls), err)
			}
			for _, l := range ls {
				err := s.Queue().Finish(ctx, l.Lease, schedule.Settlement{
					State: account.OK, Success: true, DueAt: now.Add(time.Minute),
					Run: account.Run{StartedAt: now, FinishedAt: now, OK: true},
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			polls += len(ls)
		}
		b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(polls), "cpu-µs/poll")
	})
}
