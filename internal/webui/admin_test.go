package webui_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	_ "github.com/glebarez/go-sqlite"
)

// crowd puts users into the database, each with a limit and some use: one in
// a hundred is over it, every tenth has none.
func (s *site) crowd(n int) {
	s.tb.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.data(), "mailbrook.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.tb.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO owners (owner, limit_bytes, set_bytes, set_by, used_bytes, used_messages, used_ms, fill)
		SELECT printf('user%06d@firma.test', i), CASE WHEN i % 10 = 0 THEN 9223372036854775807 ELSE 10000000 END,
			CASE WHEN i % 10 = 0 THEN 9223372036854775807 ELSE 10000000 END, i % 10 <> 0, (i * 7919) % 10000 * 1010, i % 5000, 1,
			CASE WHEN i % 10 = 0 THEN 0 ELSE (i * 7919) % 10000 * 1010 / 1000 END FROM n`, n)
	if err != nil {
		s.tb.Fatalf("putting %d users into the database: %v", n, err)
	}
}

func TestAdministratorsFindSetAndExportQuotas(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.crowd(1200)
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.press("Quotas")
	p.until("document.querySelectorAll('tbody tr').length === 50")
	p.sees("Page 1 · 50 users on this page")
	p.press("Next page")
	p.sees("Page 2 · 50 users on this page")
	p.press("Previous page")
	p.sees("Page 1 ·")
	p.enter("Search users", "user000123")
	p.until("document.querySelectorAll('tbody tr').length === 1")
	p.hit(`document.querySelector("td.limit button")`)
	p.keys("2,5")
	p.unit("gigabyte")
	p.keys("\r")
	p.hears("Limit of user000123@firma.test: 2.5 GB.")
	if got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/user000123@firma.test", nil)["limit_bytes"]; got != 2.5e9 {
		t.Errorf("the limit is %v", got)
	}
	p.enter("Search users", "nobody-like-this")
	p.sees("Nobody matches.")
	p.enter("Search users", "user")
	p.until("document.querySelectorAll('tbody tr').length === 50")
	js[any](p, `(() => { const e = `+labelled("Show")+
		`; e.value = "over"; e.dispatchEvent(new Event("change")); return null; })()`)
	p.until("document.querySelectorAll('tbody tr').length > 0 && [...document.querySelectorAll('tbody " +
		"tr')].every((r) => " +
		"r.textContent.includes('over'))")
	p.press("User")
	p.until("document.querySelector('th[aria-sort=ascending]')?.textContent.startsWith('User')")

	js[any](p, `(() => { const e = `+labelled("Show")+`; e.value = ""; e.dispatchEvent(new Event("change"));
		const make = URL.createObjectURL;
		URL.createObjectURL = (b) => { window.exported = b; return make.call(URL, b); };
		return null; })()`)
	p.until("document.querySelectorAll('tbody tr').length === 50")
	p.press("Export CSV")
	p.sees("1,200 users written.")
	csv := js[string](p, "window.exported.text()")
	if lines := strings.Count(csv, "\r\n"); lines != 1201 || !strings.Contains(csv, "user000123@firma.test,") ||
		!strings.HasPrefix(csv, "user,used_bytes,limit_bytes,") {
		t.Errorf("the file has %d lines and begins %q", lines, csv[:min(len(csv), 200)])
	}
	p.until("document.querySelector('.chart.small')?.getAttribute('aria-label').includes('no limit: 120')")
	p.sound("admin-quotas-crowd")
	p.quiet()
}

func TestAdministratorsSeeWhatFailsAndHelp(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna", "jan")
	s := newSite(t, d.CA)
	healthy := s.add("anna@firma.test", d, "Poczta", "imap", "anna")
	broken := s.add("jan@firma.test", d, "Firma", "imap", "jan")
	s.state("anna@firma.test", healthy, "ok")
	s.state("jan@firma.test", broken, "ok")
	s.refused("jan@firma.test", broken)
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.press("Overview")
	p.sees("Failures in the last day")
	// Newcomer 12: a refused password is no fault of the server's.
	p.until("document.querySelector('tbody tr td[data-label=\"Affected accounts\"]')?.textContent === '0' && " +
		"document.querySelector('tbody tr td[data-label=\"Other failures\"]').textContent === '1'")
	p.press(fmt.Sprintf("localhost:%d", d.IMAPS))
	p.until("document.querySelectorAll('tbody tr').length === 2")
	p.sees(fmt.Sprintf("Only: localhost:%d", d.IMAPS))
	p.press("Show all")
	p.until("!location.search && !document.querySelector('main[aria-busy]')")
	p.enter("Search Part of an address or of the server", "NNA@fir")
	p.until("document.querySelectorAll('tbody tr').length === 1")
	p.press("Pause: anna@firma.test, Poczta")
	p.hears("is paused")
	s.state("anna@firma.test", healthy, "paused")
	p.press("Switch on: anna@firma.test, Poczta")
	s.state("anna@firma.test", healthy, "ok")
	p.press("Fetch now: anna@firma.test, Poczta")
	p.hears("will be fetched in a moment")
	p.quiet()

	// For others these pages do not exist.
	q := look(t, desktop, s.link("anna@firma.test"))
	q.until(card("Poczta"))
	q.goTo("/admin")
	q.sees("Nothing here")
}

// BenchmarkQuotasOf100000Users says how long it takes from asking for the page
// to a page of results on the screen.
func BenchmarkQuotasOf100000Users(b *testing.B) {
	s := newSite(b, nil)
	s.crowd(100_000)
	p := look(b, desktop, s.link("root@firma.test", "--admin"))
	p.sees("Quotas")
	for _, q := range []struct{ name, query string }{
		{"fullest", ""},
		{"search", "?query=user09"},
		{"over", "?state=over&sort=-used_bytes"},
	} {
		b.Run(q.name, func(b *testing.B) {
			total := 0.0
			for b.Loop() {
				p.do(chromedp.Navigate(s.addr + "/admin/quotas" + q.query))
				ms, err := chromedp.Run(p.ctx, chromedp.Poll[float64]("document.querySelectorAll('tbody tr').length === 50 && "+
					"performance.now()"))
				if err != nil {
					b.Fatal(err)
				}
				total += ms
			}
			b.ReportMetric(total/float64(b.N), "ms/page")
			b.ReportMetric(0, "ns/op")
		})
	}
}
