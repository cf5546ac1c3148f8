package webui_test

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// writes puts into the database what a poller would, while none is there.
func (s *site) writes(stmts ...string) {
	s.tb.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.data(), "mailbrook.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.tb.Fatal(err)
	}
	defer db.Close()
	for _, stmt := range stmts {
		if _, err := db.Exec(stmt); err != nil {
			s.tb.Fatalf("%s: %v", stmt, err)
		}
	}
}

// restart continues with other arguments.
func (s *site) restart(args ...string) {
	s.tb.Helper()
	s.kill()
	s.args = args
	s.serve()
}

// helping is what the panel offers to press: nothing, or one button.
const helping = `[...document.querySelectorAll(".why .actions a, .why .actions button")]
	.map((e) => e.textContent).join()`

func TestThePageTellsWhatDelaysTheMailAndTheOneThingThatHelps(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "anna")
	s := newSite(t, d.CA)
	const user, root = "anna@firma.test", "root@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna")
	s.state(user, id, "ok")
	s.restart("--roles", "api") // Nobody visits: what is written stays.
	now := time.Now()
	ms := func(in time.Duration) int64 { return now.Add(in).UnixMilli() }
	row := func(format string, args ...any) string {
		return "UPDATE poll_schedule SET " + fmt.Sprintf(format, args...) + " WHERE route_id = '" + id + "'"
	}
	well := []string{
		"DELETE FROM host_outages", "DELETE FROM poll_schedule WHERE route_id <> '" + id + "'",
		row("state = 3, code = '', detail = '', since_ms = 0, failures = 0, due_at_ms = %d, hurried_ms = 0", ms(time.Hour)),
	}
	fails := func(state int, code string, n int, due int64) string {
		return row("state = %d, code = '%s', detail = 'as the server puts it', since_ms = %d, failures = %d, due_at_ms = %d",
			state, code, ms(-time.Hour), n, due)
	}
	busy := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 32)
		INSERT INTO poll_schedule (route_id, journal_id, owner, host_key, enabled, due_at_ms, lease_epoch,
			lease_owner, lease_until_ms)
		SELECT printf('00000000-0000-4000-8000-%%012d', i), 0, 'busy@firma.test', 'localhost', 1, %[1]d, 1,
			'elsewhere-1-x/1', %[1]d FROM n`, ms(time.Hour))

	p := look(t, desktop, s.link(user))
	p.press("Poczta")
	p.sees("Everything is here: all that was on the server has been fetched.")
	for _, tc := range []struct {
		name    string
		facts   []string
		says    []string
		helps   string
		polish  string
		because func()
	}{
		{name: "backoff", facts: []string{fails(4, "connect_timeout", 3, ms(20*time.Minute))}, says: []string{
			"It will be tried again", "The last 3 fetches failed: the server did not answer in time.",
			"as the server puts it",
		}, helps: "Fetch now", polish: "Ostatnie 3 pobrania się nie udały"},
		{
			name: "attention", facts: []string{fails(5, "auth_failed", 3, 1<<63-1)}, says: []string{
				"It waits for you",
				"the user name or the password was refused", "none planned",
			}, helps: "Enter the password",
			polish: "Konto czeka na " +
				"ciebie",
		},
		{name: "attention by the server", facts: []string{fails(5, "tls_certificate_invalid", 3, 1<<63-1)}, says: []string{
			"It waits for you", "certificate is not valid",
		}, helps: "Check the server", polish: "certyfikat serwera jest " +
			"nieprawidłowy"},
		{
			name: "budget of the provider", facts: []string{fails(4, "rate_limited", 1, ms(6*time.Hour))}, says: []string{
				"The provider allows no more for now", "Trying sooner would make the pause longer.", "in 6 hours",
			},
			helps: "Check the settings", polish: "Dostawca na razie nie pozwala na więcej",
		},
		{name: "budget of ours", facts: []string{busy, row("due_at_ms = %d", ms(-5*time.Minute))}, says: []string{
			"Many accounts at this server are being fetched", "under way at localhost", "Was due",
			"as soon as its turn comes",
		}, polish: "tyle pobrań naraz"},
		{
			name: "quota", facts: []string{fails(6, "local_over_quota", 1, ms(3*time.Minute))}, says: []string{
				"Your own mailbox is full", "At the last fetch there was no room left in it.",
			}, helps: "See what takes up space",
			polish: "nie było w niej już miejsca",
		},
		{name: "outage", facts: []string{fails(4, "connect_refused", 4, ms(2*time.Minute)), fmt.Sprintf(
			"INSERT INTO host_outages SELECT circuit, 'p', %d, %d, 'connect_refused' FROM poll_schedule", ms(-10*time.Minute),
			ms(4*time.Minute))}, says: []string{"The provider's server is out of order", "Several accounts at localhost " +
			"failed " +
			"one after the other", "we keep trying"}, polish: "próbujemy dalej"},
		{
			name: "waiting", facts: []string{row("due_at_ms = %d", ms(-5*time.Minute))}, says: []string{
				"Waiting for its turn", "It is due", "Was due",
			}, helps: "Fetch now",
			polish: "najpierw pobierane są inne konta",
		},
		{
			name: "waiting, and asked for", facts: []string{row("due_at_ms = 0, hurried_ms = %d", ms(-5*time.Minute))},
			says: []string{"Waiting for its turn", "It was asked for already"}, polish: "na żądanie",
		},
		{
			name: "maintenance", because: func() {
				s.ask(root, "PATCH", "/v1/admin/accounts/"+id, map[string]any{"enabled": false})
			}, says: []string{"Your administrator has paused fetching", "switched off by an administrator", "none planned"},
			polish: "Administrator wstrzymał pobieranie",
		},
		{
			name: "paused", because: func() {
				s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{"enabled": true})
				s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{"enabled": false})
			}, says: []string{"Fetching is switched off", "in this account's settings"}, helps: "Switch it on",
			polish: "Wstrzymano je w ustawieniach",
		},
	} {
		s.writes(append(well, tc.facts...)...)
		if tc.because != nil {
			tc.because()
		}
		for _, want := range tc.says {
			p.sees(want)
		}
		if got := js[string](p, helping); got != tc.helps {
			t.Errorf("%s: to press there is %q, want %q", tc.name, got, tc.helps)
		}
		// In the other language by the stream's own words, without a look at another page.
		speak(p, "pl")
		p.sees(tc.polish)
		p.sound("account-delay-" + tc.name)
		speak(p, "en")
		p.sees(tc.says[0])
	}

	// What is to be pressed does what it says.
	p.press("Switch it on")
	p.until(`!document.querySelector(".why").innerText.includes("switched off")`)
	s.writes(append(well, row("due_at_ms = %d", ms(-5*time.Minute)))...)
	p.sees("Waiting for its turn")
	p.hit(`[...document.querySelectorAll(".why .actions button")].find((e) => e.textContent === "Fetch now")`)
	p.until(`!document.querySelector(".why .actions")?.textContent ||
		!document.querySelector(".why").innerText.includes("Waiting for its turn")`)
	s.writes(append(well, fails(5, "auth_failed", 3, 1<<63-1))...)
	p.press("Enter the password")
	p.until("document.activeElement?.name === 'password'")
	p.goTo("/accounts/" + id)
	s.writes(append(well, fails(6, "local_over_quota", 1, ms(3*time.Minute)))...)
	p.press("See what takes up space")
	p.until("document.activeElement?.id === 'space' && location.pathname === '/'")
	p.quiet()
}

// speak chooses a language at the top of the page.
func speak(p *tab, lang string) {
	p.tb.Helper()
	js[any](p, `(() => { const e = document.getElementById("language"); e.value = `+quote(lang)+
		`; e.dispatchEvent(new Event("change")); return null; })()`)
	p.until("document.documentElement.lang === " + quote(lang) + " && document.querySelector('main h1') && " +
		"!document.querySelector('main[aria-busy]')")
}

// TestAnOutageThatAnotherProcessFoundOutIsTold: one process polls and another
// answers, and what the first has in its memory alone the second's page says.
func TestAnOutageThatAnotherProcessFoundOutIsTold(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna", "jan", "ola", "ewa", "piotr")
	s := newSite(t, d.CA)
	proxy := mailtest.StartProxy(t, d.Addr("imaps"))
	at := map[string]any{"server": map[string]any{"host": "localhost", "port": proxy.Port(), "security": "tls"}}
	owners := map[string]string{} // By account.
	for i, name := range []string{"anna", "jan", "ola", "ewa", "piotr"} {
		// One user alone could be wrong: three say that a server is out of order.
		user := []string{"anna@firma.test", "anna@firma.test", "anna@firma.test", "zofia@firma.test", "piotr@firma.test"}[i]
		owners[s.add(user, d, "Box "+name, "imap", name, at)] = user
	}
	var mine string
	for id, user := range owners {
		s.state(user, id, "ok")
		if user == "anna@firma.test" {
			mine = id
		}
	}
	s.restart("--roles", "api")
	poller := exec.Command(program(t), "serve", "--roles", "poller")
	poller.Dir, poller.Env, poller.Stdout, poller.Stderr = s.dir, append(s.env, "MAILBROOK_LISTEN=127.0.0.1:0"), s, s
	if err := poller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := poller.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := poller.Wait(); err == nil {
			t.Error("the poller ended by itself")
		}
	})
	p := look(t, desktop, s.link("anna@firma.test"))
	p.until("document.querySelector('.card')")
	p.goTo("/accounts/" + mine)
	p.sees("Everything is here: all that was on the server has been fetched.")
	proxy.Refuse()
	for id, user := range owners {
		s.ask(user, "POST", "/v1/accounts/"+id+"/fetch", nil)
	}
	p.sees("The provider's server is out of order")
	p.sees("Several accounts at localhost failed one after the other")
	if got := js[string](p, helping); got != "" {
		t.Errorf("in an outage there is %q to press", got)
	}
	if text := p.reads(); len(text) == 0 || strings.Contains(text, "piotr") || strings.Contains(text, "zofia") {
		t.Errorf("the page shows somebody else: %s", text)
	}
	p.goTo("/")
	p.sees("The provider's server is out of order")
	p.quiet()
}

func TestAdministratorsSeeWhichAccountsWaitLongest(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna", "jan", "ola")
	s := newSite(t, d.CA)
	ids := map[string]string{}
	for _, name := range []string{"anna", "jan", "ola"} {
		user := name + "@firma.test"
		ids[name] = s.add(user, d, "Box "+name, "imap", name)
		s.state(user, ids[name], "ok")
	}
	s.restart("--roles", "api")
	now := time.Now()
	for name, in := range map[string]time.Duration{"anna": -10 * time.Minute, "jan": -3 * time.Hour, "ola": time.Hour} {
		s.writes(fmt.Sprintf("UPDATE poll_schedule SET due_at_ms = %d, hurried_ms = 0 WHERE route_id = '%s'",
			now.Add(in).UnixMilli(), ids[name]))
	}
	const root = "root@firma.test"
	for _, dev := range []device{
		{name: "phone-dark-pl", width: 320, height: 640, phone: true, lang: "pl", dark: true},
		desktop,
	} {
		p := look(t, dev, s.link(root, "--admin"))
		p.until("document.querySelector('main h1')")
		p.goTo("/admin")
		p.until("document.querySelectorAll('.overdue li').length === 2")
		p.sound("admin-overdue")
		if dev.phone {
			continue
		}
		got := js[string](p, "[...document.querySelectorAll('.overdue li')].map((e) => e.innerText.replace(/\\s+/g, ' "+
			"')).join('; ')")
		want := "jan@firma.test, Box jan localhost · Waiting for its turn 3 hours; " +
			"anna@firma.test, Box anna localhost · Waiting for its turn 10 minutes"
		if got != want {
			t.Errorf("the most overdue are %q, want %q", got, want)
		}
		p.press("All that are due")
		p.until("document.querySelectorAll('tbody tr').length === 2 && document.querySelector('tbody " +
			"tr').textContent.includes('jan@firma.test')")
		js[any](p, `(() => { const e = `+labelled("Order")+
			`; e.value = ""; e.dispatchEvent(new Event("change")); return null; })()`)
		p.until("document.querySelectorAll('tbody tr').length === 3 && document.querySelector('tbody " +
			"tr').textContent.includes('anna@firma.test')")
		p.quiet()
	}
}
