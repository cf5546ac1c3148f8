package webui_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// unit chooses the unit of the limit that is being edited.
func (p *tab) unit(name string) {
	p.tb.Helper()
	const picker = `document.querySelector("dialog .limit-field select, .limit .limit-field select")`
	p.until(picker)
	js[any](p, `(() => { const s = `+picker+`, i = s.parentElement.querySelector("input"); s.value = `+quote(name)+
		`; s.dispatchEvent(new Event("change", {bubbles: true})); i.focus(); return null; })()`)
}

// counting counts the requests that change something, from now on.
func (p *tab) counting() {
	p.tb.Helper()
	js[any](p, `(() => { const ask = window.fetch; window.changes = 0;
		window.fetch = (path, o) => { if (o?.method && o.method !== "GET") window.changes++;
			return ask(path, o); }; return null; })()`)
}

// Newcomer 6: opening a limit and pressing Enter changes nothing, whatever it is,
// and asks nobody; all digits are there; what cannot be read is said in the field.
func TestALimitThatIsNotChangedStaysToTheByte(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	limits := map[string]int64{
		"kilo": 1000, "gibi": 1073741824, "mega": 5_000_000, "one": 1, "zero": 0, "most": 1<<53 - 1, "odd": 1234567,
	}
	for user, n := range limits {
		s.ask("root@firma.test", "PUT", "/v1/admin/quotas/"+user+"@firma.test", map[string]any{
			"limit_bytes": n, "limit_messages": 77,
		})
	}
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")
	for user, shows := range map[string]string{
		"kilo": "1 kilobyte", "gibi": "1.073741824 gigabyte", "mega": "5 megabyte", "one": "1 byte", "zero": "0 gigabyte",
		"most": "9007.199254740991 terabyte", "odd": "1.234567 megabyte",
	} {
		p.goTo("/admin/quotas?query=" + user + "@")
		p.until("document.querySelectorAll('tbody tr').length === 1 && document.querySelector('td.limit button')")
		p.counting()
		p.tabTo(`document.querySelector("td.limit button")`)
		p.keys("\r")
		p.until(`document.activeElement === document.querySelector("td.limit input")`)
		got := js[string](p, `["input", "select"].map((e) => document.querySelector("td.limit " + e).value).join(" ")`)
		if got != shows {
			t.Errorf("%s is shown as %q, want %q", user, got, shows)
		}
		p.keys("\r")
		p.until(`document.activeElement === document.querySelector("td.limit button")`)
		now := s.ask("root@firma.test", "GET", "/v1/admin/quotas/"+user+"@firma.test", nil)
		if n := js[float64](p, "window.changes"); n != 0 || now["limit_bytes"] != float64(limits[user]) {
			t.Errorf("%s: %v requests, limit %v", user, n, now["limit_bytes"])
		}
	}
	p.goTo("/admin/quotas?query=odd@")
	p.until("document.querySelectorAll('tbody tr').length === 1 && document.querySelector('td.limit button')")
	// What is changed is sent, exactly, and the limit of messages stays (the control).
	change := func(text, unit string) {
		t.Helper()
		p.hit(`document.querySelector("td.limit button")`)
		p.until(`document.activeElement === document.querySelector("td.limit input")`)
		if text == "" {
			text = kb.Delete
		}
		p.keys(text)
		p.unit(unit)
		p.keys("\r")
	}
	for _, tc := range []struct {
		text, unit string
		want       float64
	}{{"1.5", "kilobyte", 1500}, {"1,234,567", "byte", 1234567}, {"0,000000001", "gigabyte", 1}, {"3", "terabyte", 3e12}} {
		change(tc.text, tc.unit)
		p.until(`document.activeElement === document.querySelector("td.limit button")`)
		got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/odd@firma.test", nil)
		if got["limit_bytes"] != tc.want || got["limit_messages"] != 77.0 {
			t.Errorf("%s %s: %v", tc.text, tc.unit, got)
		}
	}
	for text, says := range map[string]string{
		"much": "Enter a number", "": "Enter a number", "-1": "Enter a number", "0.0001": "not a whole number of bytes",
		"99999999999999": "more than there can be",
	} {
		change(text, "kilobyte")
		p.until(`document.querySelector("td.limit [aria-invalid]") && ` +
			`document.querySelector("td.limit .error").textContent.includes(` +
			quote(says) + ")")
		p.keys(kb.Escape)
		p.until(`document.activeElement === document.querySelector("td.limit button")`)
	}
	if got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/odd@firma.test", nil); got["limit_bytes"] != 3e12 {
		t.Errorf("after what cannot be read: %v", got)
	}
	p.quiet()
}

// A default of a domain is set and shown, a user's own limit goes before it, and is
// taken back for it again.
func TestDefaultLimitsAreSetOnThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.crowd(20)
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")
	p.goTo("/admin/quotas?query=user000010")
	p.until("document.querySelectorAll('tbody tr').length === 1")
	p.enter("Domain Empty: everybody else", "no domain@at all")
	js[any](p, `(() => { document.querySelector(".panel form.filters .limit-field input").value = "2"; return null; })()`)
	p.press("Set the default")
	p.sees("This is not a domain.")
	p.until(`document.querySelector("form.filters [aria-invalid=true]")`)
	p.enter("Domain Empty: everybody else", "firma.test")
	p.press("Set the default")
	p.hears("Default of firma.test: 2 GB.")
	p.until(`document.querySelector("td.limit small")?.textContent === "default of the domain"`)
	got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/user000010@firma.test", nil)
	if got["limit_source"] != "domain" || got["limit_bytes"] != 2e9 {
		t.Errorf("the default: %v", got)
	}
	p.hit(`document.querySelector("td.limit button")`)
	p.unit("gigabyte")
	p.keys("7\r")
	p.hears("Limit of user000010@firma.test: 7 GB.")
	p.hit(`document.querySelector("td.limit button")`)
	p.unit("default")
	p.keys("\r")
	p.hears("Limit of user000010@firma.test: 2 GB.")
	p.press("Remove the default of firma.test")
	p.press("Remove it")
	p.hears("The default of firma.test was removed.")
	p.until(`document.querySelector("td.limit button").textContent === "no limit"`)
	p.quiet()
}

// A limit for all who match: how many they are is said before, what came of it
// after; who does not match keeps theirs.
func TestALimitIsSetForAllWhoMatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.crowd(1200)
	s.ask("root@firma.test", "PUT", "/v1/admin/quotas/user000007@firma.test", map[string]any{"limit_bytes": 3_000_000_000})
	p := look(t, desktop, s.link("root@firma.test", "--admin"))
	p.until("document.querySelector('main h1')")
	p.goTo("/admin/quotas?query=user000")
	p.until("document.querySelectorAll('tbody tr').length === 50")
	p.press("Set for all that match…")
	p.sees("999 users match now.")
	p.sees("“user000” in the address")
	p.sound("admin-bulk")
	p.keys("3\r")
	p.sees("998 users were changed. 1 user had it already.")
	p.until(`document.activeElement.textContent === "Close"`)
	p.keys("\r")
	for user, want := range map[string]float64{"user000500": 3e9, "user000010": 3e9, "user001001": 1e7} {
		if got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/"+user+"@firma.test", nil); got["limit_bytes"] != want {
			t.Errorf("%s: %v, want %v", user, got["limit_bytes"], want)
		}
	}
	p.until(fmt.Sprintf(`!document.querySelector("dialog") && document.querySelectorAll("tbody tr").length === %d`, 50))
	p.quiet()
}

// TestALimitIsEditedInALine, its unit beside it, and its buttons below where there is no
// room for them; the error that comes between is no part of the line.
func TestALimitIsEditedInALine(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const user = "jan.kowalski-nowak.z.dlugim.adresem@firma.test"
	s.ask("root@firma.test", "PUT", "/v1/admin/quotas/"+user, map[string]any{"limit_bytes": 1 << 30})
	for width, lines := range map[int64]float64{360: 2, 768: 1, 1024: 2, 1280: 1, 1440: 1} {
		dev := device{name: fmt.Sprint(width, "-pl"), width: width, height: 800, lang: "pl"}
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			for path, cell := range map[string]string{"/admin/quotas": "td.limit", "/admin/users/" + user: ".limit"} {
				p.goTo(path)
				cell = `document.querySelector("` + cell + `")`
				p.until(cell + `?.querySelector("button")`)
				p.hit(cell + `.querySelector("button")`)
				p.until("document.activeElement === " + cell + `.querySelector("input")`)
				got := js[float64](p, `new Set([...`+cell+`.querySelectorAll("input, select, button")].map((e) =>
					Math.round(e.getBoundingClientRect().top / 20))).size`)
				beside := js[bool](p, `Math.abs(`+cell+`.querySelector("input").getBoundingClientRect().top - `+cell+
					`.querySelector("select").getBoundingClientRect().top) < 5`)
				if got > lines || !beside {
					t.Errorf("%s: %v lines, the unit beside the number: %v", path, got, beside)
				}
			}
		})
	}
}
