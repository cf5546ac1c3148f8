package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// at puts an account at a server.
func at(host string, port int, s remote.Security) func(*account.Account) {
	return func(a *account.Account) { a.Server = remote.Server{Host: host, Port: port, Security: s} }
}

// visited ends a visit that took a while.
func (w *world) visited(l fetch.Lease, took time.Duration, ok bool) {
	w.Helper()
	now := w.clock.now()
	w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
		State: account.OK, Success: ok, Slow: took >= schedule.SlowAfter, DueAt: now.Add(time.Minute),
		Run: account.Run{StartedAt: now.Add(-took), FinishedAt: now, OK: ok},
	}))
}

func TestAnAccountIsProvenByASuccessWithItsSettingsAndQuickByShortVisits(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		is := func(when string, proven bool, slow int) {
			w.Helper()
			w.lease1(a)
			if st := w.load(a).Status; st.Proven != proven || st.Slow != slow {
				w.Errorf("%s: proven %t and %d visits from quick, want %t and %d", when, st.Proven, st.Slow, proven, slow)
			}
		}
		edit := func(change func(*account.Account), sealed ...byte) {
			w.Helper()
			a = w.load(a)
			change(&a)
			_, err := w.Accounts().Update(w.Context(), a, sealed, true)
			w.must(err)
		}
		is("new", false, 1)
		w.visited(w.lease1(a), time.Second, false)
		is("after a short failure", false, 0)
		w.visited(w.lease1(a), time.Second, true)
		is("after a success", true, 0)
		w.visited(w.lease1(a), schedule.SlowAfter, false)
		is("after a long one", true, schedule.QuickAgain)
		w.visited(w.lease1(a), time.Second, true)
		is("after a short one again", true, schedule.QuickAgain-1)
		edit(func(a *account.Account) {
			a.Name, a.Folder, a.SenderName, a.PollInterval, a.Enabled = "Other", "Other", "Somebody", time.Hour, false
		})
		edit(func(a *account.Account) { a.Enabled = true })
		is("with another name, folder and interval, after a pause", true, schedule.QuickAgain-1)
		w.must(w.Secrets().ReplaceSealed(w.Context(), a.Secret(), []byte("sealed"), []byte("by a newer key")))
		is("its secret sealed by another key, or its grant renewed", true, schedule.QuickAgain-1)
		edit(at("imap.example.org", 143, remote.TLS))
		is("at another port", false, schedule.QuickAgain-1)
		for range schedule.QuickAgain {
			w.visited(w.lease1(a), time.Second, true)
		}
		is("worked there", true, 0)
		edit(at("imap.example.org", 143, remote.STARTTLS))
		is("with another security", false, 1)
		w.visited(w.lease1(a), time.Second, true)
		w.must(w.Queue().GiveWay(w.Context(), w.lease1(a)))
		if st := w.load(a).Status; st.State != account.OK || !st.NextPollAt.Equal(w.clock.now()) {
			w.Errorf("after a visit that gave way: %+v", st)
		}
		is("gave way", true, schedule.QuickAgain)
		for name, change := range map[string]func(){
			"another password":    func() { edit(func(*account.Account) {}, 'x') },
			"another user":        func() { edit(func(a *account.Account) { a.Username = "other" }) },
			"another way to sign": func() { edit(func(a *account.Account) { a.Auth = remote.OAuth2 }, 'g') },
			"another protocol":    func() { edit(func(a *account.Account) { a.Protocol = remote.POP3 }) },
			"another host":        func() { edit(func(a *account.Account) { a.Server.Host = "other.test" }) },
			"a refusal": func() {
				w.must(w.Queue().Finish(w.Context(), w.lease1(a), schedule.Settlement{
					State: account.Retrying, Failures: 1, Diagnosis: &account.Diagnosis{Code: fault.AuthFailed, Since: w.clock.now()},
				}))
			},
		} {
			w.visited(w.lease1(a), time.Second, true)
			old := w.lease1(a) // The control: it is proven.
			if !w.of(old).Status.Proven {
				w.Fatalf("%s: not proven before", name)
			}
			change()
			if w.load(a).Status.Proven {
				w.Errorf("%s: the success of the former settings proves them", name)
			}
			err := w.Queue().Finish(w.Context(), old, schedule.Settlement{State: account.OK, Success: true})
			if !errors.Is(err, fetch.ErrFenced) || w.load(a).Status.Proven {
				w.Errorf("%s: a visit with the former settings proves them: %v", name, err)
			}
		}
	})
}

func TestAClaimLeavesSlotsToAccountsThatAreQuick(t *testing.T) {
	onBoth(t, func(w *world) {
		// More than a page of each kind, the quick ones due last.
		for i := range claimAtLeast + 10 {
			w.add(fmt.Sprintf("slow%d@firma.test", i), i)
		}
		w.must(w.w.Exec("UPDATE poll_schedule SET slow = 3, due_at_ms = 1").Error)
		for i := range claimAtLeast + 10 {
			w.add(fmt.Sprintf("new%d@firma.test", i), i)
		}
		w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = 2 WHERE slow = 1").Error)
		for i := range 10 {
			w.add(fmt.Sprintf("quick%d@firma.test", i), i)
		}
		w.must(w.w.Exec("UPDATE poll_schedule SET slow = 0, due_at_ms = 3 WHERE owner LIKE 'quick%'").Error)
		for _, tc := range []struct {
			name                string
			limit, unsure, slow int
			want                map[string]int
		}{
			{"room for all", 8, 8, 8, map[string]int{"slow": 8}},
			{"room for some slow ones", 8, 8, 2, map[string]int{"slow": 2, "new": 6}},
			{"room for some that are not quick", 8, 5, 2, map[string]int{"slow": 2, "new": 3, "quick": 3}},
			{"none for slow ones", 8, 5, 0, map[string]int{"new": 5, "quick": 3}},
			{"room for quick ones only", 8, 0, 0, map[string]int{"quick": 8}},
		} {
			got := map[string]int{}
			ls := w.claim("p1/1", func(c *schedule.Claim) { c.Limit, c.Unsure, c.Slow = tc.limit, tc.unsure, tc.slow })
			for _, l := range ls {
				got[strings.TrimRight(strings.TrimSuffix(l.Route.Owner.String(), "@firma.test"), "0123456789")]++
			}
			if !cmp.Equal(got, tc.want) {
				w.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
			for _, l := range ls {
				w.must(w.Queue().Abandon(w.Context(), l))
			}
			w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = 4 - CASE WHEN slow = 3 THEN 3 WHEN slow = 1 THEN 2 ELSE " +
				"1 END").Error)
		}
	})
}

func TestWhoHoldsFewestSlowVisitsGoesFirst(t *testing.T) {
	onBoth(t, func(w *world) {
		n := 0
		add := func(user, host string, slow int) account.Account {
			n++
			a := w.add(user+"@firma.test", n, at(host, 993, remote.TLS))
			w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = ?, slow = ? WHERE route_id = ?", n, slow,
				string(a.ID)).Error)
			return a
		}
		for _, a := range []account.Account{
			add("greedy", "a.test", 1), add("greedy", "b.test", 1), add("early", "c.test", 0),
			add("other", "d.test", 1),
		} {
			w.lease1(a)
		}
		w.clock.pass(schedule.SlowAfter) // What early has under way is slow by now.
		for i := range 3 {
			add("greedy", fmt.Sprintf("g%d.test", i), i%2)
		}
		add("early", "e.test", 0)
		add("quick", "c.test", 0)
		add("new1", "d.test", 1)
		add("new1", "x.test", 1)
		add("new2", "y.test", 1)
		var got []string
		for _, l := range w.claim("p1/1") {
			got = append(got, strings.TrimSuffix(l.Route.Owner.String(), "@firma.test")+" "+l.Route.From.Server.Host)
		}
		want := []string{
			"quick c.test", "new2 y.test", "new1 d.test", // Nobody has any: by host, then by time.
			"early e.test", "new1 x.test", // One each.
			"greedy g0.test", "greedy g1.test", "greedy g2.test",
		}
		if !slices.Equal(got, want) {
			w.Errorf("the order is %q, want %q", got, want)
		}
	})
}

func TestACircuitIsOneServerAndNotItsHost(t *testing.T) {
	onBoth(t, func(w *world) {
		for i, s := range []remote.Server{
			{Host: "h.test", Port: 993, Security: remote.TLS},
			{Host: "h.test", Port: 143, Security: remote.STARTTLS},
			{Host: "h.test", Port: 143, Security: remote.TLS},
			{Host: "::ffff:192.0.2.1", Port: 993, Security: remote.TLS},
			{Host: "192.0.2.1", Port: 993, Security: remote.TLS},
			{Host: "other.test", Port: 993, Security: remote.TLS},
		} {
			w.add(fmt.Sprintf("u%d@firma.test", i), i, at(s.Host, s.Port, s.Security))
		}
		got := names(w.claim("p1/1", func(c *schedule.Claim) { c.Closed = []string{"h.test:993/tls", "192.0.2.1:993/tls"} }))
		if slices.Sort(got); !slices.Equal(got, []string{"Box 1", "Box 2", "Box 5"}) {
			w.Errorf("two circuits are closed, and these are taken: %v", got)
		}
	})
}

func TestAProbeIsMadeByAnAccountThatWorkedThere(t *testing.T) {
	onBoth(t, func(w *world) {
		const circuit = "h.test:993/tls"
		who := func(careful schedule.Recovering) (out []string) {
			careful.Circuit = circuit
			ls := w.claim("p1/1", func(c *schedule.Claim) { c.Limit, c.Recovering = 500, []schedule.Recovering{careful} })
			for _, l := range ls {
				out = append(out, strings.TrimSuffix(l.Route.Owner.String(), "@firma.test"))
				w.must(w.Queue().Abandon(w.Context(), l))
			}
			slices.Sort(out)
			return out
		}
		// More than a page of accounts that never worked wait before the others.
		for i := range claimAtLeast + 10 {
			w.add(fmt.Sprintf("typo%d@firma.test", i), i, at("h.test", 993, remote.TLS))
		}
		w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = 1").Error)
		if got := who(schedule.Recovering{Visits: 1, Proven: true}); len(got) != 0 {
			w.Errorf("nobody worked there, and %v probe", got)
		}
		for i, user := range []string{"anna", "jan", "ewa"} {
			a := w.add(user+"@firma.test", i, at("h.test", 993, remote.TLS))
			w.visited(w.lease1(a), time.Second, true)
		}
		w.add("else@firma.test", 1, at("h.test", 143, remote.STARTTLS))
		w.clock.pass(time.Hour)
		o := anOwner(w, "anna@firma.test")
		for _, tc := range []struct {
			name    string
			careful schedule.Recovering
			want    []string
		}{
			{"a probe", schedule.Recovering{Visits: 1, Proven: true}, []string{"anna", "else"}},
			{"by another than the last", schedule.Recovering{Visits: 1, Proven: true, Except: []owner.Owner{o}}, []string{
				"else",
				"jan",
			}},
		} {
			if got := who(tc.careful); !slices.Equal(got, tc.want) {
				w.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
			w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = last_attempt_ms + 1 WHERE last_attempt_ms > 0").Error)
		}
		if got := who(schedule.Recovering{Visits: 2}); len(got) != 3 || !slices.Contains(got, "else") {
			w.Errorf("while it recovers: %v, want two and the one elsewhere", got)
		}
	})
}

func TestWhoWaitsLongestIsMeasuredWithoutThoseOfClosedCircuits(t *testing.T) {
	onBoth(t, func(w *world) {
		overdue := func(closed ...string) time.Duration {
			w.Helper()
			since, err := w.Queue().Overdue(w.Context(), route.Keep, w.clock.now(), closed)
			w.must(err)
			if since.IsZero() {
				return -1
			}
			return w.clock.now().Sub(since)
		}
		if got := overdue(); got != -1 {
			w.Errorf("with nobody: %v", got)
		}
		down, well := w.add("down@firma.test", 1, at("down.test", 993, remote.TLS)), w.add("well@firma.test", 2,
			at("well.test", 993, remote.TLS))
		w.settled(down, account.Retrying, fault.ConnectTimeout, time.Minute)
		w.settled(well, account.OK, "", 5*time.Minute)
		w.clock.pass(10 * time.Minute)
		if all, ours := overdue(), overdue("down.test:993/tls"); all != 9*time.Minute || ours != 5*time.Minute {
			w.Errorf("waiting %v, and %v but for the server that is down", all, ours)
		}
		asked := w.add("asked@firma.test", 3, at("down.test", 993, remote.TLS))
		w.clock.pass(time.Minute)
		if all, ours := overdue("well.test:993/tls"), overdue("down.test:993/tls",
			"well.test:993/tls"); all != 10*time.Minute || ours != -1 {
			w.Errorf("waiting %v and %v", all, ours)
		}
		w.lease1(down)
		w.lease1(well)
		if got := overdue(); got != time.Minute {
			w.Errorf("asked for %v ago", got)
		}
		w.lease1(asked)
		if got := overdue(); got != -1 {
			w.Errorf("all are being visited, and %v is reported", got)
		}
	})
}

func TestAnOutageShowsInEveryListAlike(t *testing.T) {
	onBoth(t, func(w *world) {
		well := w.add("well@firma.test", 1, at("down.test", 993, remote.TLS))
		fresh := w.add("fresh@firma.test", 2, at("down.test", 993, remote.TLS))
		beside := w.add("beside@firma.test", 3, at("down.test", 143, remote.STARTTLS))
		wrong := w.add("wrong@firma.test", 4, at("down.test", 993, remote.TLS))
		w.settled(well, account.OK, "", time.Hour)
		w.settled(beside, account.OK, "", time.Hour)
		w.settled(wrong, account.NeedsAttention, fault.AuthFailed, 0)
		states := func() (got []string) {
			w.Helper()
			st, err := w.Admin().Stats(w.Context())
			w.must(err)
			hosts, err := w.Admin().Hosts(w.Context(), 10)
			w.must(err)
			for _, s := range account.States() {
				page, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{State: s})
				w.must(err)
				atHosts := int64(0)
				for _, h := range hosts {
					atHosts += h.States[s]
				}
				if n := int64(len(page)); n != st.Accounts[s] || n != atHosts {
					w.Errorf("%s: %d in the list, %d and %d counted", s, n, st.Accounts[s], atHosts)
				}
				for _, a := range page {
					if a.Status.State != s {
						w.Errorf("listed as %s and shown as %s", s, a.Status.State)
					}
					got = append(got, fmt.Sprint(a.Name, " ", s))
				}
			}
			for _, h := range hosts {
				page, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Host: h.Host, Port: h.Port, Affected: true})
				w.must(err)
				if int64(len(page)) != h.Affected {
					w.Errorf("port %d: %d affected in the list, %d counted", h.Port, len(page), h.Affected)
				}
			}
			return got
		}
		if got := states(); !slices.Equal(got, []string{"Box 2 pending", "Box 3 ok", "Box 1 ok", "Box 4 needs_attention"}) {
			w.Errorf("all well: %q", got)
		}
		since := w.clock.now()
		w.must(w.Queue().NoteOutages(w.Context(), "p1", []schedule.Outage{{
			Circuit: "down.test:993/tls",
			Code:    fault.ConnectTimeout, Since: since, Probe: since.Add(time.Minute),
		}}))
		w.clock.pass(time.Second)
		if got := states(); !slices.Equal(got, []string{
			"Box 3 ok", "Box 2 retrying", "Box 1 retrying",
			"Box 4 needs_attention",
		}) {
			w.Errorf("out of order: %q", got)
		}
		// Newcomer 12: all who wait for the server are affected, though one visit failed
		// there; whose password is refused is not, nor who is at another port.
		hosts, err := w.Admin().Hosts(w.Context(), 10)
		w.must(err)
		if len(hosts) != 2 || hosts[0].Port != 993 || !hosts[0].Down || hosts[0].Affected != 2 || hosts[0].Others != 1 ||
			hosts[1].Down || hosts[1].Affected != 0 {
			w.Errorf("%+v", hosts)
		}
		want := &account.Diagnosis{Code: fault.ConnectTimeout, Since: since}
		for _, a := range []account.Account{well, fresh} {
			if got := w.load(a).Status.Diagnosis; !cmp.Equal(got, want) {
				w.Errorf("diagnosis %+v, want %+v", got, want)
			}
		}
		w.lease1(well)
		if st := w.load(well).Status; st.State != account.Fetching || st.Delay != nil {
			w.Errorf("during the probe: %+v", st)
		}
	})
}

func TestAnUpgradeKnowsWhichAccountsWorkedWhere(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, tc := range []struct {
			n    int
			host string
			port int
			s    remote.Security
			took time.Duration // 0: never visited.
			ok   bool
		}{
			{1, "h.test", 993, remote.TLS, time.Second, true},
			{2, "h.test", 143, remote.STARTTLS, time.Minute, true},
			{3, "192.0.2.1", 110, remote.None, 0, false},
			{4, "2001:db8::1", 993, remote.TLS, time.Second, false},
		} {
			a := w.add(fmt.Sprintf("u%d@firma.test", tc.n), tc.n, at(tc.host, tc.port, tc.s))
			if tc.took > 0 {
				w.visited(w.lease1(a), tc.took, tc.ok)
			}
		}
		edited := w.add("u5@firma.test", 5, at("h.test", 993, remote.TLS))
		w.visited(w.lease1(edited), time.Second, true)
		edited = w.load(edited)
		edited.UpdatedAt = w.clock.pass(time.Minute)
		_, err := w.Accounts().Update(w.Context(), edited, nil, true)
		w.must(err)
		for slices.Contains(w.tablesOf(), "poll_schedule|circuit|") {
			w.must(w.MigrateDown(w.Context()))
		}
		w.must(w.w.Exec("UPDATE poll_schedule SET host_key = '::ffff:192.0.2.1' WHERE owner = 'u3@firma.test'").Error)
		w.must(w.Migrate(w.Context()))
		got := w.table("SELECT owner, host_key, circuit, proven, slow FROM poll_schedule ORDER BY owner")
		want := []string{
			"u1@firma.test|h.test|h.test:993/tls|1|0|", "u2@firma.test|h.test|h.test:143/starttls|1|1|",
			"u3@firma.test|192.0.2.1|192.0.2.1:110/none|0|1|",
			"u4@firma.test|2001:db8::1|[2001:db8::1]:993/tls|0|0|", "u5@firma.test|h.test|h.test:993/tls|0|0|",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("after the upgrade (-want +got):\n%s", diff)
		}
	})
}

func TestWhoseSlowAccountsWait(t *testing.T) {
	onBoth(t, func(w *world) {
		n := 0
		add := func(user string, due, slow int, host string) account.Account {
			n++
			a := w.add(user+"@firma.test", n, at(host, 993, remote.TLS))
			w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = ?, slow = ? WHERE route_id = ?",
				due, slow, string(a.ID)).Error)
			return a
		}
		add("second", 3, 3, "a.test")
		add("second", 9, 2, "a.test")
		add("first", 2, 3, "b.test")
		add("new", 1, 1, "a.test")
		add("quick", 1, 0, "a.test")
		add("closed", 1, 3, "down.test")
		visited := add("visited", 1, 3, "a.test")
		elsewhere := add("elsewhere", 1, 3, "a.test")
		add("elsewhere", 1, 3, "a.test")
		later := add("later", 1, 3, "a.test")
		w.must(w.w.Exec("UPDATE poll_schedule SET due_at_ms = ? WHERE route_id = ?",
			w.clock.now().Add(time.Hour).UnixMilli(), string(later.ID)).Error)
		for worker, a := range map[string]account.Account{"p1-x": visited, "p2-x/one-1": elsewhere} {
			_, err := w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, schedule.Claim{
				Worker: worker, Now: w.clock.now(), Lease: time.Minute,
			})
			w.must(err)
		}
		got, err := w.Queue().SlowWaiting(w.Context(), "p1-x", w.clock.now(), []string{"down.test:993/tls"})
		w.must(err)
		if want := "[first@firma.test second@firma.test]"; fmt.Sprint(got) != want {
			w.Errorf("%v wait, want %s", got, want)
		}
	})
}
