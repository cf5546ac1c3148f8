package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// BenchmarkListeners measures one second of a server with so many event streams, each of a
// different user with four accounts and a session, while ten accounts are being visited and
// the visits of twenty others end. One operation is one second: it reports queries and rows per
// second, and the time that they take. "each" queries every user and every session separately,
// as it was before decision 51; "all" polls once.
func BenchmarkListeners(b *testing.B) {
	const perUser, visits, ends = 4, 10, 20
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, n := range []int{10, 1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
				s, err := Open(b.Context(), dsns(b)[kind](), Options{Now: c.now})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				if err := s.Migrate(b.Context()); err != nil {
					b.Fatal(err)
				}
				users, ids := crowd(b, s, n, perUser, visits)
				counter := countQueries(b, s)
				second := func(b *testing.B, i int) {
					now := c.pass(time.Second).UnixMilli()
					args := []any{now, now + time.Hour.Milliseconds()}
					for k := range ends {
						args = append(args, ids[(visits+i*ends+k)%len(ids)])
					}
					if _, err := s.on(s.w).exec(b.Context(), "UPDATE poll_schedule SET last_attempt_ms = ?, due_at_ms = ? "+
						"WHERE lease_owner = '' AND route_id IN "+marks(ends), args...); err != nil {
						b.Fatal(err)
					}
				}
				for name, look := range map[string]func(*testing.B) (rows int){
					"each": eachByItself(s, users), "all": allAtOnce(b, s, users, c),
				} {
					b.Run(name, func(b *testing.B) {
						rows, queries, i := 0, int64(0), 0
						for b.Loop() {
							b.StopTimer()
							second(b, i)
							i++
							before := counter.n.Load()
							b.StartTimer()
							rows += look(b)
							queries += counter.n.Load() - before
						}
						b.ReportMetric(float64(queries)/float64(i), "queries/s")
						b.ReportMetric(float64(rows)/float64(i), "rows/s")
					})
				}
			})
		}
	}
}

func eachByItself(s *Store, users []owner.Owner) func(*testing.B) int {
	return func(b *testing.B) (rows int) {
		for _, o := range users {
			as, err := s.Accounts().Accounts(b.Context(), o)
			if err != nil || len(as) == 0 {
				b.Fatal(len(as), err)
			}
			alive, err := s.Sessions().Alive(b.Context(), o.String())
			if err != nil || !alive {
				b.Fatal(alive, err)
			}
			rows += len(as) + 1
		}
		return rows
	}
}

func allAtOnce(b *testing.B, s *Store, users []owner.Owner, c *clock) func(*testing.B) int {
	w := s.Watcher()
	for range 600 { // The first reads everything; it takes a while until reloads are spread evenly.
		if _, err := w.Changes(b.Context(), users, nil); err != nil {
			b.Fatal(err)
		}
		c.pass(time.Second)
	}
	return func(b *testing.B) int {
		before := w.rows
		news, err := w.Changes(b.Context(), users, nil)
		if err != nil {
			b.Fatal(err)
		}
		var names []string
		for o := range news {
			names = append(names, o.String())
		}
		over, err := s.Sessions().Ended(b.Context(), names)
		if err != nil || len(over) > 0 {
			b.Fatal(over, err)
		}
		return w.rows - before + len(names)
	}
}

// crowd creates users with sessions, and their accounts, of which the first are leased.
func crowd(b *testing.B, s *Store, n, perUser, visits int) (users []owner.Owner, ids []string) {
	ctx, now := b.Context(), s.now()
	err := s.write(ctx, "making a crowd", func(tx *gorm.DB) error {
		c := s.on(tx)
		for i := range n * perUser {
			a := draft(b, fmt.Sprintf("u%d@firma.test", i/perUser), i%perUser)
			row, err := newAccountRow(a)
			if err != nil {
				return err
			}
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
			var journal int64
			if err := c.row(ctx, "INSERT INTO journals (uuid, owner, protocol, host, port, username) VALUES "+marks(6)+
				" RETURNING id", uuid.NewString(), row.Owner, row.Protocol, row.Host, row.Port,
				row.Username).Scan(&journal); err != nil {
				return err
			}
			worker, until := "", int64(0)
			if i < visits {
				worker, until = "p/1", now.Add(24*time.Hour).UnixMilli()
			}
			if _, err := c.exec(ctx, `INSERT INTO poll_schedule (route_id, journal_id, owner, host_key, circuit, enabled,
				due_at_ms, lease_epoch, lease_owner, lease_until_ms, last_attempt_ms, state) VALUES `+marks(12), row.ID, journal,
				row.Owner, schedule.HostKey(a.Server), schedule.CircuitKey(a.Server), 1,
				now.Add(24*time.Hour).UnixMilli(), 1, worker, until, now.UnixMilli(), states.code(account.OK)); err != nil {
				return err
			}
			ids = append(ids, row.ID)
			if i%perUser > 0 {
				continue
			}
			users = append(users, a.Owner)
			if _, err := c.exec(ctx, "INSERT INTO sessions (hash, owner, expires_ms) VALUES (?, ?, ?)",
				nameHash(row.Owner), row.Owner, now.Add(240*time.Hour).UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return users, ids
}
