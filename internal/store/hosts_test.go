package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

func TestServersAreListedByTheirOwnFaultsTheWorstFirst(t *testing.T) {
	onBoth(t, func(w *world) {
		at := func(host string) func(*account.Account) {
			return func(a *account.Account) { a.Server.Host = host }
		}
		n := 0
		add := func(host string) account.Account {
			n++
			return w.add(fmt.Sprintf("user%d@firma.test", n), n, at(host))
		}
		visited := func(a account.Account, state account.State, code fault.Code, due time.Duration) {
			l, _ := w.lease(a)
			s := schedule.Settlement{State: state, Success: code == "", DueAt: w.clock.now().Add(due), Run: account.Run{
				StartedAt: w.clock.now(), FinishedAt: w.clock.now(), OK: code == "",
			}}
			if code != "" {
				s.Diagnosis = &account.Diagnosis{Code: code, Since: w.clock.now()}
				s.Run.Diagnosis = s.Diagnosis
			}
			w.must(w.Queue().Finish(w.Context(), l, s))
		}
		for range 3 {
			visited(add("fine.test"), account.OK, "", time.Hour)
		}
		add("new.test")
		visited(add("bad.test"), account.Retrying, fault.ConnectTimeout, 10*time.Minute)
		visited(add("bad.test"), account.NeedsAttention, fault.AuthFailed, 20*time.Minute)
		n++
		visited(w.add(fmt.Sprintf("user%d@firma.test", n), n, func(a *account.Account) {
			a.Server.Host, a.Server.Port = "bad.test", 995
		}), account.NeedsAttention, fault.AuthFailed, time.Hour)
		off := add("off.test")
		visited(off, account.Retrying, fault.ConnectTimeout, time.Minute)
		off = w.load(off)
		off.Enabled = false
		_, err := w.Accounts().Update(w.Context(), off, nil, false)
		w.must(err)
		w.clock.pass(15 * time.Minute)

		states := func(some map[account.State]int64) map[account.State]int64 {
			for _, s := range account.States() {
				some[s] += 0
			}
			return some
		}
		want := []insight.HostHealth{
			{
				Host: "bad.test", Port: 993, Accounts: 2, Affected: 1, Failing: 1, Others: 1,
				States:   states(map[account.State]int64{account.Retrying: 1, account.NeedsAttention: 1}),
				Failures: map[fault.Code]int64{fault.ConnectTimeout: 1}, Overdue: 5 * time.Minute,
			},
			{
				Host: "fine.test", Port: 993, Accounts: 3, States: states(map[account.State]int64{account.OK: 3}),
				Failures: map[fault.Code]int64{},
			},
			{ // All refuse their password, which is not the server's fault; the other port is another server.
				Host: "bad.test", Port: 995, Accounts: 1, Others: 1,
				States: states(map[account.State]int64{account.NeedsAttention: 1}), Failures: map[fault.Code]int64{},
			},
			{
				Host: "new.test", Port: 993, Accounts: 1, States: states(map[account.State]int64{account.Pending: 1}),
				Failures: map[fault.Code]int64{}, Overdue: 15 * time.Minute,
			},
			{
				Host: "off.test", Port: 993, Accounts: 1, States: states(map[account.State]int64{account.Paused: 1}),
				Failures: map[fault.Code]int64{},
			},
		}
		got, err := w.Admin().Hosts(w.Context(), 100)
		w.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("hosts (-want +got):\n%s", diff)
		}
		if got, err := w.Admin().Hosts(w.Context(), 2); err != nil || len(got) != 2 || got[1].Host != "fine.test" {
			w.Errorf("the first two: %v, %v", got, err)
		}
	})
}

// million fills a database with 1,000,000 accounts of 250,000 users at 5,000
// hosts, half of them at one; each fiftieth fails.
func million(b *testing.B, s *Store) {
	b.Helper()
	const all = 1_000_000
	id, series := "md5(i::text)::uuid", "generate_series(1, ?) AS g(i)"
	if !s.postgres {
		id = "printf('%08x-0000-4000-8000-%012x', i, i)"
		series = "(WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < ?) SELECT i FROM g) AS g"
	}
	host, user := "'imap' || (CASE WHEN i % 2 = 0 THEN 0 ELSE i % 5000 END) || '.example.org'",
		"'u' || (i % 250000) || '@firma.test'"
	for _, stmt := range []string{
		`INSERT INTO owners (owner, limit_bytes, used_bytes, used_ms, fill)
			SELECT 'u' || i || '@firma.test', 1000000, i * 4, 1, i / 25 FROM ` + series + " WHERE i < 250000",
		"INSERT INTO journals (id, uuid, owner, protocol, host, port, username) SELECT i, " + id + ", " + user +
			", 1, 'h', 993, 'u' FROM " + series,
		`INSERT INTO accounts (id, owner, email, name, name_key, sender_name, provider, protocol, host, port, security,
			username, auth, folder, folder_key, rules, poll_interval_ms, created_ms, updated_ms, settings_epoch)
			SELECT ` + id + ", " + user + ", 'a@b.test', 'n' || i, 'n' || i, '', 'other', 1, " + host + ", 993, 1, 'u' || i, " +
			"1, 'f' || i, 'f' || i, '{}', 300000, i, i, 1 FROM " + series,
		`INSERT INTO poll_schedule (route_id, journal_id, owner, host_key, circuit, enabled,
			due_at_ms, lease_epoch, last_attempt_ms, state, code)
			SELECT ` + id + ", i, " + user + ", " + host + ", " + host + " || ':993/tls', 1, " +
			fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()) +
			` + i, 1, 1,
			CASE WHEN i % 50 = 0 THEN 4 ELSE 3 END, CASE WHEN i % 50 = 0 THEN 'connect_timeout' ELSE '' END FROM ` + series,
	} {
		if _, err := s.on(s.w).exec(b.Context(), stmt, all); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.on(s.w).exec(b.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAdminLooks are an administrator's looks at 1,000,000 accounts.
func BenchmarkAdminLooks(b *testing.B) {
	benchBoth(b, func(b *testing.B, s *Store) {
		million(b, s)
		b.Run("hosts", func(b *testing.B) {
			for b.Loop() {
				if hosts, err := s.Admin().Hosts(b.Context(), 100); err != nil || len(hosts) != 100 {
					b.Fatal(len(hosts), err)
				}
			}
		})
		b.Run("stats", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Admin().Stats(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("quotas", func(b *testing.B) {
			for b.Loop() {
				if q, err := s.Admin().QuotaSummary(b.Context()); err != nil || q.Bands[5] != 25_000 {
					b.Fatal(q, err)
				}
			}
		})
		for name, f := range map[string]insight.AccountFilter{
			"overdue": {Overdue: true}, "overdue at a host": {Overdue: true, Host: "imap7.example.org"},
			"all": {}, "host": {Host: "imap0.example.org"}, "retrying": {State: account.Retrying}, "paused": {
				State: account.Paused,
			},
			"a part": {Match: "u24999"}, "a part that nobody has": {Match: "nobody"}, "affected": {Affected: true},
			"ok": {State: account.OK}, "pending": {State: account.Pending}, "retrying at a host": {
				Host:  "imap0.example.org",
				State: account.Retrying,
			},
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := s.Admin().Accounts(b.Context(), f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

// BenchmarkOneListenersLook is what a stream of events costs each second.
func BenchmarkOneListenersLook(b *testing.B) {
	benchBoth(b, func(b *testing.B, s *Store) {
		o := anOwner(b, "u"+uuid.NewString()[:8]+"@firma.test")
		for i := range 4 {
			if _, err := s.Accounts().Add(b.Context(), draft(b, o.String(), i), []byte("sealed"), 4); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			if as, err := s.Accounts().Accounts(b.Context(), o); err != nil || len(as) != 4 {
				b.Fatal(len(as), err)
			}
		}
	})
}
