package webui_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/audit"
)

// acted is an installation in which much was done: by users and administrators, by
// commands, to one and to all. It returns anna's account.
func acted(tb testing.TB) (s *site, id string) {
	tb.Helper()
	d := provider(tb, 1, "anna")
	s = newSite(tb, d.CA)
	id = s.add("anna@firma.test", d, "Poczta", "imap", "anna")
	for _, ask := range []struct {
		user, method, path string
		body               map[string]any
	}{
		{"anna@firma.test", "PATCH", "/v1/accounts/" + id, map[string]any{"sender_name": "Anna", "name": "Moja"}},
		{"root@firma.test", "PATCH", "/v1/admin/accounts/" + id, map[string]any{"enabled": false}},
		{"root@firma.test", "PUT", "/v1/admin/quotas/jan@firma.test", map[string]any{"limit_bytes": 2_500_000_000}},
		{"root@firma.test", "PUT", "/v1/admin/quotas/jan@firma.test", map[string]any{
			"limit_bytes": 3_000_000_000, "limit_messages": 5000,
		}},
		{"root@firma.test", "PUT", "/v1/admin/default-limits/firma.test", map[string]any{"limit_bytes": 1_000_000_000}},
		{"root@firma.test", "PUT", "/v1/admin/default-limits/*", map[string]any{"limit_bytes": 5_000_000_000}},
		{"root@firma.test", "DELETE", "/v1/admin/quotas/jan@firma.test", nil},
	} {
		s.ask(ask.user, ask.method, ask.path, ask.body)
	}
	s.run("sessions", "end", "--all")
	db, err := sql.Open("sqlite", filepath.Join(s.data(), "mailbrook.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	// Two pages, of one user; and older acts were forgotten.
	_, err = db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
		INSERT INTO audit (at_ms, role, actor, client, action, owner, account_id, changed, details)
		SELECT 1790000000000 + i, 'user', 'ola@firma.test', '2001:db8::7', 'account.test_failed', 'ola@firma.test', '',
			'[]', '{"email":"ola@wp.pl","host":"imap.wp.pl","port":"993","diagnosis":"auth_failed"}' FROM n`)
	if err == nil {
		_, err = db.Exec(`INSERT INTO audit (at_ms, role, actor, client, action, owner, account_id, changed, details)
			VALUES (1790000001000, 'admin', 'administrator@poczta.firma.test', '2001:db8::7', 'account.test_failed',
			'ola@firma.test', '', '[]', '{"email":"ola@wp.pl","host":"imap.wp.pl","port":"993","diagnosis":"interrupted"}')`)
	}
	if err == nil {
		_, err = db.Exec("UPDATE audit_horizon SET before_ms = 1780000000000")
	}
	if err != nil {
		tb.Fatalf("writing acts of old: %v", err)
	}
	return s, id
}

func TestAdministratorsSeeWhoDidWhat(t *testing.T) {
	t.Parallel()
	s, id := acted(t)
	words := map[string]struct {
		whom, next, pages, show, none, narrowed, drop, moreOf string
		reads                                                 []string
	}{
		"en": {
			whom: "To whom Part of the address", next: "Next page", pages: "Page 2 ·", show: "Show", none: "Nothing matches.",
			narrowed: "Only what concerns one account.", drop: "Show everything", moreOf: "Who did what",
			reads: []string{
				"Account added", "Account paused", "Administrator", "Changed: name, sender’s name", "Command line",
				"Limit: 3 GB (before: 2.5 GB)", "Messages: 5,000 (before: no limit)", "Default limit set", "Everybody else",
				"default of the domain", "The user", "by a link", "with administrator rights", "Signed out everywhere",
				"everybody", "password refused", "Connection test stopped before its end", "no longer kept",
			},
		},
		"pl": {
			whom: "Kogo dotyczy Część adresu", next: "Następna strona", pages: "Strona 2 ·", show: "Pokaż",
			none:     "Nic nie pasuje.",
			narrowed: "Tylko to, co dotyczy jednego konta.", drop: "Pokaż wszystko", moreOf: "Historia działań",
			reads: []string{
				"Dodanie konta", "Wstrzymanie konta", "Administrator", "Zmieniono: nazwa, nazwa nadawcy", "Wiersz poleceń",
				"Limit: 3 GB (przedtem: 2,5 GB)", "Wiadomości: 5 000 (przedtem: bez limitu)", "Ustawienie domyślnego limitu",
				"Wszyscy pozostali", "domyślny limit domeny", "Użytkownik", "przez link", "z uprawnieniami administratora",
				"Wylogowanie ze wszystkich urządzeń", "wszyscy", "Test połączenia przerwany przed końcem", "już nie przechowujemy",
			},
		},
	}
	for _, dev := range []device{
		{name: "360-dark-en", width: 360, height: 740, phone: true, lang: "en", dark: true},
		{name: "360-light-pl", width: 360, height: 740, phone: true, lang: "pl"},
		{name: "768-light-en", width: 768, height: 900, lang: "en"},
		{name: "768-dark-pl", width: 768, height: 900, lang: "pl", dark: true},
		{name: "1024-light-pl", width: 1024, height: 800, lang: "pl"},
		{name: "1280-light-pl", width: 1280, height: 800, lang: "pl"},
		{name: "1280-dark-en", width: 1280, height: 800, lang: "en", dark: true},
	} {
		t.Run(dev.name, func(t *testing.T) {
			w := words[dev.lang]
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			p.goTo("/admin/audit")
			for _, text := range w.reads {
				p.sees(text)
			}
			p.readable("admin-audit")
			p.sound("admin-audit")
			p.addressesWhole("admin-audit")
			p.press(w.next)
			p.sees(w.pages)
			p.sound("admin-audit-next")

			p.enter(w.whom, "JAN@f") // A part, in any case.
			p.keys("\r")
			p.until("document.querySelectorAll('tbody tr').length === 3 && location.search === '?query=JAN%40f'")
			p.sound("admin-audit-part")
			p.enter(w.whom, "nobody@firma.test")
			p.press(w.show)
			p.sees(w.none)
			p.sound("admin-audit-none")

			p.goTo("/admin/accounts/" + id)
			p.hit(`[...document.querySelectorAll("main a")].find((a) => a.textContent === ` + quote(w.moreOf) + `)`)
			p.sees(w.narrowed)
			p.until("document.querySelectorAll('tbody tr').length === 4")
			p.sound("admin-audit-account")
			p.press(w.drop)
			p.until("document.querySelectorAll('tbody tr').length === 50 && !location.search")
			p.quiet()
		})
	}
}

// By keyboard alone: filters, pages, and from an act to its user and back.
func TestWhoDidWhatIsFoundByKeyboard(t *testing.T) {
	t.Parallel()
	s, _ := acted(t)
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")
	p.tabTo(named("History"))
	p.keys("\r")
	p.until("location.pathname === '/admin/audit' && document.querySelectorAll('tbody tr').length === 50")
	p.tabTo(labelled("By whom An address, or cli for commands"))
	p.keys("cli\r")
	p.until("document.querySelectorAll('tbody tr').length > 0 && [...document.querySelectorAll('tbody tr')]" +
		".every((r) => r.textContent.includes('Command line'))")
	p.keys(kb.Backspace + kb.Backspace + kb.Backspace)
	p.tabTo(labelled("What"))
	p.keys("Limit set\r")
	p.tabTo(named("Show"))
	p.keys("\r")
	p.until("document.querySelectorAll('tbody tr').length === 3 && location.search === '?action=quota.set'")
	p.tabTo(`document.querySelector("tbody tr a")`)
	p.keys("\r")
	p.until("location.pathname === '/admin/users/jan%40firma.test'")
	p.tabTo(named("Who did what"))
	p.keys("\r")
	p.until("location.search === '?user=jan%40firma.test' && document.querySelectorAll('tbody tr').length === 3")
	p.sees("Only: jan@firma.test")
	p.press("Show everything")
	p.until("!location.search && document.querySelectorAll('tbody tr').length === 50")
	p.quiet()
}

// A day that is chosen is that day where the reader is, from its beginning to its end.
func TestActsOfADay(t *testing.T) {
	t.Parallel()
	s, _ := acted(t)
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")
	day := js[string](p, `(() => { const d = new Date(1790000000000);
		return [d.getFullYear(), d.getMonth() + 1, d.getDate()].map((n) => String(n).padStart(2, "0")).join("-"); })()`)
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to time.Time
		rows     int
	}{{at, at, 50}, {at.AddDate(0, 0, -1), at.AddDate(0, 0, -1), 0}, {at.AddDate(0, 0, 1), at.AddDate(0, 0, 1), 0}} {
		p.goTo(fmt.Sprintf("/admin/audit?from=%s&to=%s", tc.from.Format(time.DateOnly), tc.to.Format(time.DateOnly)))
		p.until(fmt.Sprintf("document.querySelectorAll('tbody tr').length === %d && "+
			"document.querySelector('.empty-row').hidden === %v", tc.rows, tc.rows > 0))
	}
	p.goTo("/admin/audit?from=2026-02-02&to=2026-02-01")
	p.sees("The day “From” is after “To”.")
	p.goTo("/admin/audit?action=bogus") // The control: what is no action narrows nothing.
	p.until("document.querySelectorAll('tbody tr').length === 50")
	p.quiet()
}

// Each action has its words on the page, and can be asked for.
func TestEachActionIsKnownToThePage(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"assets/audit.js", "assets/i18n/en.js", "assets/i18n/pl.js"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		missing := slices.DeleteFunc(audit.Actions(), func(a audit.Action) bool {
			return strings.Contains(string(text), `"`+string(a)+`"`) ||
				strings.Contains(string(text), `"audit.act.`+string(a)+`"`)
		})
		if len(missing) > 0 {
			t.Errorf("%s does not know %v", file, missing)
		}
	}
}
