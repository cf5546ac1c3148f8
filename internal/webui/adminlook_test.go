package webui_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// troubled is an installation with a well account, one whose password is refused
// and that left messages out, one whose server refuses connections, a user who is
// full and another who has nothing.
func troubled(tb testing.TB) (s *site, well, refused, down string, d *mailtest.Dovecot) {
	tb.Helper()
	d = provider(tb, 12, "anna", "jan")
	s = newSite(tb, d.CA)
	well = s.add("anna@firma.test", d, "Poczta", "imap", "anna")
	refused = s.add("jan.kowalski-nowak.z.dlugim.adresem@firma.test", d, "Bardzo długa nazwa konta w firmie", "imap",
		"jan", map[string]any{"max_message_bytes": 4096})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		tb.Fatal(err)
	}
	down = s.add("ola@firma.test", d, "Stara skrzynka", "imap", "anna", map[string]any{
		"skip_test": true, "server": map[string]any{"host": "localhost", "port": n, "security": "tls"},
	})
	s.state("anna@firma.test", well, "ok")
	s.state("jan.kowalski-nowak.z.dlugim.adresem@firma.test", refused, "ok")
	s.refused("jan.kowalski-nowak.z.dlugim.adresem@firma.test", refused)
	s.state("ola@firma.test", down, "retrying")
	s.ask("root@firma.test", "PUT", "/v1/admin/default-limits/firma.test", map[string]any{"limit_bytes": 20_000_000})
	s.ask("root@firma.test", "PUT", "/v1/admin/quotas/anna@firma.test", map[string]any{"limit_bytes": 1000})
	return s, well, refused, down, d
}

// layout describes the tables on the page: how many pixels of one are out of sight,
// how high rows are on average and at most, and whether they are rows and not cards.
func (p *tab) layout() (hidden, average, most float64, rows bool) {
	p.tb.Helper()
	p.until("document.querySelector('.stacked tbody tr')")
	got := js[[]float64](p, `(() => {
		const tables = [...document.querySelectorAll(".scroll")].filter((e) => e.checkVisibility());
		const rows = tables.flatMap((e) => [...e.querySelectorAll("tbody tr")]), high = rows.map((r) => r.offsetHeight);
		return [Math.max(...tables.map((e) => e.scrollWidth - e.clientWidth)), high.reduce((a, b) => a + b) / rows.length,
			Math.max(...high), Number(rows.every((r) => getComputedStyle(r).display === "table-row"))];
	})()`)
	return got[0], got[1], got[2], got[3] == 1
}

// readable checks that no row is squeezed: a table has its columns from 1024 pixels
// on, each row of a few lines, and cards below that (newcomer 13).
func (p *tab) readable(name string) {
	p.tb.Helper()
	hidden, average, most, rows := p.layout()
	if wide := p.dev.width >= 1024; hidden > 0 || rows != wide || wide && (average > 140 || most > 200) {
		p.tb.Errorf("%s, %s: %v pixels out of sight; rows %v, of %v pixels on average and %v at most", name, p.dev.name,
			hidden, rows, average, most)
	}
}

func TestAdministratorsPagesAreReadableAtEveryWidth(t *testing.T) {
	t.Parallel()
	s, _, refused, _, _ := troubled(t)
	user := "jan.kowalski-nowak.z.dlugim.adresem@firma.test"
	for _, dev := range []device{
		{name: "360-dark-en", width: 360, height: 740, phone: true, lang: "en", dark: true},
		{name: "360-light-pl", width: 360, height: 740, phone: true, lang: "pl"},
		{name: "768-light-en", width: 768, height: 900, lang: "en"},
		{name: "768-dark-pl", width: 768, height: 900, lang: "pl", dark: true},
		{name: "1023-light-pl", width: 1023, height: 800, lang: "pl"},
		{name: "1024-dark-pl", width: 1024, height: 800, lang: "pl", dark: true},
		{name: "1280-light-pl", width: 1280, height: 800, lang: "pl"},
		{name: "1280-dark-en", width: 1280, height: 800, lang: "en", dark: true},
	} {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			for path, name := range map[string]string{
				"/admin": "admin-overview", "/admin/accounts": "admin-table", "/admin/quotas": "admin-limits",
				"/admin/users/" + user: "admin-user",
			} {
				p.goTo(path)
				p.readable(name)
				if dev.width != 1023 && dev.width != 1024 && name != "admin-limits" { // That is looked at below.
					p.sound(name)
				}
			}
			if dev.width == 1024 { // The control: what is too wide is seen, and rows as high as they were.
				p.goTo("/admin/accounts")
				js[any](p, "document.querySelector('.stacked').style.minWidth = '90rem'; null")
				if hidden, _, _, _ := p.layout(); hidden == 0 {
					t.Error("a table that is too wide is not seen")
				}
				js[any](p, `(() => { for (const e of document.querySelectorAll(".why-cell")) e.style.height = "167px";
					return null; })()`)
				if _, average, most, _ := p.layout(); average <= 140 && most <= 200 {
					t.Errorf("rows of %v and %v pixels are not seen", average, most)
				}
			}
			if dev.width == 1023 || dev.width == 1024 {
				return // There it is only looked whether they are tables.
			}
			p.goTo("/admin/accounts/" + refused)
			p.until("document.querySelector('.notice.bad') && document.querySelector('.skipped li')")
			p.sound("admin-account")
			if dev.phone {
				p.press(map[string]string{"en": "Test", "pl": "Sprawdź połączenie"}[dev.lang])
				p.until("document.querySelector('dialog .steps .failed')")
				p.sound("admin-account-test")
				p.keys(kb.Escape)
			}
			p.goTo("/admin/quotas")
			p.hit(`document.querySelector("td.limit button")`)
			p.until(`document.activeElement === document.querySelector("td.limit input")`)
			p.keys("?\r")
			p.until(`document.querySelector("td.limit [aria-invalid]")`)
			p.sound("admin-limit-wrong")
			p.press(map[string]string{"en": "Set for all that match…", "pl": "Ustaw limit wszystkim z listy…"}[dev.lang])
			p.until("document.querySelector('dialog .primary:not(:disabled)')")
			p.sound("admin-bulk")
			p.quiet()
		})
	}
}

// From every list a link leads to the user and to the account; their pages tell all
// but secrets, of the user and not to the user, and what can be done is done there.
func TestAdministratorsHavePagesOfOneUserAndOneAccount(t *testing.T) {
	t.Parallel()
	s, well, refused, down, d := troubled(t)
	user := "jan.kowalski-nowak.z.dlugim.adresem@firma.test"
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")

	// Row 10: the server that refuses everybody is first, with the account that it affects.
	p.goTo("/admin")
	p.until("document.querySelector('tbody td[data-label=\"Affected accounts\"] a')?.textContent === '1' && " +
		"document.querySelector('tbody td[data-label=\"Why\"]').textContent.includes('connection refused')")
	if got := js[string](p, fmt.Sprintf(`[...document.querySelectorAll("tbody tr")]
		.find((r) => r.textContent.includes("localhost:%d")).querySelector("td[data-label='Affected accounts']").textContent`,
		d.IMAPS)); got != "0" {
		t.Errorf("the server that refused a password affects %s", got)
	}
	p.hit("document.querySelector('tbody td[data-label=\"Affected accounts\"] a')")
	p.sees("affected accounts")
	p.until("document.querySelectorAll('tbody tr').length === 1")
	p.press("ola@firma.test")
	p.until("location.pathname === '/admin/users/ola%40firma.test' && document.querySelector('tbody tr')")
	p.press("Stara skrzynka")
	p.until("location.pathname === '/admin/accounts/" + down + "'")
	p.sees("The server refused the connection")

	p.goTo("/admin/quotas")
	p.press(user)
	p.until("document.querySelector('#accounts tbody tr') && document.querySelector('h1').textContent === " + quote(user))
	p.sees("default of the domain")
	p.press("Bardzo długa nazwa konta w firmie")
	p.until("location.pathname === '/admin/accounts/" + refused + "' && document.querySelector('.skipped li')")
	p.sees("The user has to enter the password again and check the user name.")
	p.sees("Needs the user’s attention")
	for _, text := range []string{"You", "Your", "tajne-", "nie to haslo"} {
		if js[bool](p, "new RegExp('\\\\b"+text+"\\\\b').test(document.querySelector('main').innerText)") {
			t.Errorf("the page of an account says %q: %s", text, p.reads())
		}
	}
	p.tabTo(named("Test"))
	p.keys("\r")
	p.until("document.querySelector('dialog .steps .failed')?.textContent.includes('Sign in')")
	p.keys(kb.Escape)
	p.until(`!document.querySelector("dialog")`)

	p.goTo("/admin/accounts/" + well)
	p.press("Pause: anna@firma.test, Poczta")
	p.hears("is paused")
	s.state("anna@firma.test", well, "paused")
	p.sees("An administrator has paused fetching")
	p.press("Switch on: anna@firma.test, Poczta")
	s.state("anna@firma.test", well, "over_quota")
	p.press("Fetch now: anna@firma.test, Poczta")
	p.hears("will be fetched in a moment")
	p.press("Test")
	p.sees("Everything works: 12 messages are there.")
	p.keys(kb.Escape)
	p.until(`!document.querySelector("dialog")`)

	// The limit is raised on the user's page, and the account continues.
	p.goTo("/admin/users/anna@firma.test")
	p.hit(`document.querySelector(".limit button")`)
	p.until(`document.activeElement === document.querySelector(".limit input")`)
	p.keys("2")
	p.unit("gigabyte")
	p.keys("\r")
	p.hears("Limit of anna@firma.test: 2 GB.")
	p.press("Fetch now: anna@firma.test, Poczta")
	s.state("anna@firma.test", well, "ok")
	p.quiet()
}

// TestThePagesOfAdministratorsAreNamedInWholeWords at 360 and 320 pixels: each name in
// the head on one line, all of it to be seen, and no more than two lines of them.
func TestThePagesOfAdministratorsAreNamedInWholeWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const fits = `(() => {
		const names = [...document.querySelectorAll(".top nav a")].map((a) => {
			const r = document.createRange();
			r.selectNodeContents(a);
			return [...r.getClientRects()];
		});
		return names.length === 6 && names.every((r) => r.length === 1 && r[0].left >= 0 && r[0].right <= innerWidth)
			&& new Set(names.map((r) => r[0].top)).size <= (innerWidth < 360 ? 3 : 2);
	})()`
	for _, dev := range []device{
		{name: "360-pl", width: 360, height: 740, phone: true, lang: "pl"},
		{name: "360-en", width: 360, height: 740, phone: true, lang: "en"},
		{name: "320-pl", width: 320, height: 640, phone: true, lang: "pl"},
		{name: "320-en", width: 320, height: 640, phone: true, lang: "en"},
	} {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("anna@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			p.until(fits)
			js[any](p, "document.querySelector('.top nav').style.fontSize = '2rem'; null") // The control.
			js[any](p, "for (const a of document.querySelectorAll('.top nav a')) a.style.fontSize = 'inherit'; null")
			p.until("!" + fits)
		})
	}
}

// TestNoPageOfAdministratorsSpeaksToTheUser, whatever happened to an account: what is
// said of it is said in the third person. The control is the user's own page.
func TestNoPageOfAdministratorsSpeaksToTheUser(t *testing.T) {
	t.Parallel()
	s, well, refused, down, _ := troubled(t)
	const user = "jan.kowalski-nowak.z.dlugim.adresem@firma.test"
	const spoken = `([...document.querySelectorAll("main, dialog")].map((e) => e.innerText).join(" ") +
		[...document.querySelectorAll("main [title], main [aria-label]")]
		.map((e) => " " + e.title + " " + e.getAttribute("aria-label")).join(" "))
		.match(/(?<![\p{L}])(you|your|yours|tw[oó]j\p{L}*|ci|ciebie|cię|tobie)(?![\p{L}])/giu)`
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			for path, ready := range map[string]string{
				"/admin": "tbody tr", "/admin/accounts": "tbody tr", "/admin/quotas": "tbody tr",
				"/admin/users/" + user: "#accounts tbody tr", "/admin/accounts/" + refused: ".skipped li",
				"/admin/accounts/" + down: ".visits", "/admin/accounts/" + well: ".visits",
			} {
				p.goTo(path)
				p.until("document.querySelector(" + quote("main "+ready) + ")")
				if ready == ".skipped li" {
					p.press(said{"Test", "Sprawdź połączenie"}.in(dev))
					p.until("document.querySelector('dialog .notice.bad')")
				}
				if found := js[[]string](p, "Array.from("+spoken+" ?? [])"); len(found) > 0 {
					t.Errorf("%s says %q: %s", path, found, p.reads())
				}
				if ready == ".skipped li" {
					p.keys(kb.Escape)
					p.until(`!document.querySelector("dialog")`)
				}
			}
			// What only fails when a mailbox is away, in both frames of mind.
			failing := `(async () => {
				const at = document.querySelector("link[href$='/page.js']").href;
				const { explain } = await import(at), { Problem } = await import(at.replace("page.js", "api.js"));
				return explain(new Problem(503, { code: "local_mailbox_unavailable" }), true);
			})()`
			if got := js[string](p, failing); got != (said{
				"The user’s mailbox cannot be read right now. Try again later.",
				"Skrzynki użytkownika nie można teraz odczytać. Spróbuj ponownie później.",
			}).in(dev) {
				t.Errorf("an administrator reads %q", got)
			}

			own := look(t, dev, s.link(user)) // The control.
			own.until("document.querySelector('.card')")
			if got := js[string](own, failing); got != (said{
				"Your own mailbox cannot be read right now. Try again later.",
				"Nie można teraz odczytać twojej skrzynki. Spróbuj później.",
			}).in(dev) {
				t.Errorf("its user reads %q", got)
			}
			own.until("Boolean(" + spoken + ")")
		})
	}
}
