package webui_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// looks are how each page is looked at.
var looks = []device{
	{name: "desktop-light-en", width: 1180, height: 800, lang: "en"},
	{name: "desktop-dark-pl", width: 1180, height: 800, lang: "pl", dark: true},
	{name: "phone-light-pl", width: 320, height: 640, phone: true, lang: "pl"},
	{name: "phone-dark-en", width: 320, height: 640, phone: true, lang: "en", dark: true},
}

// sound checks the page as it is now: no violation of the accessibility rules
// that axe knows, nothing wider than the window, nothing without words. A picture
// goes into the test's own directory in the one that MAILBROOK_PICTURES names.
func (p *tab) sound(name string) {
	p.tb.Helper()
	p.still()
	report := js[string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa",
		"wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]})
		.then((r) => JSON.stringify(r.violations.map((v) => ({id: v.id, help: v.help, nodes: v.nodes.map(
			(n) => n.html.slice(0, 200) + " | " + n.failureSummary)}))))`)
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(report), &violations); err != nil {
		p.tb.Fatal(err)
	}
	for _, v := range violations {
		p.tb.Errorf("%s, %s: %s: %s\n%q", name, p.dev.name, v.ID, v.Help, v.Nodes)
	}
	if wide := js[float64](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
		p.tb.Errorf("%s, %s: the page is %v pixels wider than the window", name, p.dev.name, wide)
	}
	if bare := js[string](p, `[...document.querySelectorAll(".stacked td")].filter((e) => e.checkVisibility() &&
		!["none", '""'].includes(getComputedStyle(e, "::before").content) && !e.innerText.trim() &&
		!e.querySelector("input, img, [aria-label], svg:not([aria-hidden])")).map((e) => e.dataset.label)
		.join(", ")`); bare != "" {
		p.tb.Errorf("%s, %s: of these there is a label and nothing else: %s", name, p.dev.name, bare)
	}
	if raw := js[string](p, `document.body.innerText.match(/\b(?:[a-z]+\.)+[a-z_]+\b(?=\s|$)/g)?.filter((w) => [
		"list", "card", "state", "wizard", "form", "test", "edit", "delete", "account", "why", "admin", "audit", "quotas",
		"health", "error", "field", "quota", "progress", "menu", "run", "code", "unit", "time", "span",
	].includes(w.split(".")[0])).join(" ") || ""`); raw != "" {
		p.tb.Errorf("%s, %s: texts are missing: %s", name, p.dev.name, raw)
	}
	if dir := os.Getenv("MAILBROOK_PICTURES"); dir != "" {
		test, _, _ := strings.Cut(p.tb.Name(), "/")
		p.picture(filepath.Join(dir, test, name+"-"+p.dev.name+".png"))
	}
}

// still waits until nothing moves on the page, and sees to it that axe is there.
func (p *tab) still() {
	p.tb.Helper()
	if !js[bool](p, "Boolean(window.axe)") {
		js[any](p, p.script("axe.min.js")+"; null")
	}
	p.until("document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getComputedTiming().iterations " +
		"=== Infinity)")
}

// addressesWhole fails for each address that is broken into lines elsewhere than behind its @.
func (p *tab) addressesWhole(name string) {
	p.tb.Helper()
	if split := js[string](p, `(() => {
		const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [], range = new Range();
		for (let n; n = all.nextNode();) {
			if (!/^\S+@\S+$/.test(n.data.trim()) || !n.parentElement.checkVisibility()) continue;
			range.selectNodeContents(n);
			if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) found.push(n.data.trim());
		}
		return found.join(", ");
	})()`); split != "" {
		p.tb.Errorf("%s, %s: these are broken elsewhere than behind their @: %s", name, p.dev.name, split)
	}
}

// picture writes what the whole page looks like; with a dialog or a menu, what
// the window shows.
func (p *tab) picture(path string) {
	p.tb.Helper()
	take := chromedp.FullScreenshot(100)
	if js[bool](p, "Boolean(document.querySelector('dialog[open], [role=menu]'))") {
		take = chromedp.CaptureScreenshot()
	}
	shot, err := chromedp.Run(p.ctx, take)
	if err != nil {
		p.tb.Fatalf("taking a picture: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.tb.Fatal(err)
	}
	if err := os.WriteFile(path, shot, 0o644); err != nil {
		p.tb.Fatal(err)
	}
}

// goTo shows another page of the same server.
func (p *tab) goTo(path string) {
	p.tb.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("history.pushState(null, '', %s); window.dispatchEvent(new "+
		"PopStateEvent('popstate'))", quote(path))))
	p.until("document.querySelector('main h1') && !document.querySelector('main[aria-busy]')")
}

func TestEveryPageIsAccessibleInBothLanguagesLightAndDark(t *testing.T) {
	t.Parallel()
	d := provider(t, 24, "anna", "jan", "ola")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	gmail := s.add(user, d, "Poczta", "imap", "anna")
	broken := s.add(user, d, "Firma", "imap", "jan", map[string]any{"max_message_bytes": 4096, "folders": map[string]any{
		"exclude": []string{`\\Junk`, "Lists"},
	}})
	old := s.add(user, d, "Stara skrzynka", "pop3", "ola")
	s.state(user, gmail, "ok")
	s.state(user, old, "ok")
	s.state(user, broken, "ok")
	s.ask(user, "PATCH", "/v1/accounts/"+old, map[string]any{"enabled": false})
	s.refused(user, broken)
	s.ask(user, "PUT", "/v1/admin/quotas/"+user, map[string]any{"limit_bytes": 20_000_000})
	s.ask(user, "PUT", "/v1/admin/quotas/jan@firma.test", map[string]any{"limit_bytes": 0})
	s.ask(user, "PUT", "/v1/admin/quotas/ewa@firma.test", map[string]any{"limit_bytes": nil})
	for _, dev := range looks {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link(user, "--admin"))
			w := words[dev.lang]
			p.until("document.querySelectorAll('.card').length === 3 && document.querySelector('.meter')")
			p.sound("list")
			p.press(w["more"] + "Poczta")
			p.until("document.querySelector('[role=menu]')")
			p.sound("list-menu")
			p.keys(kb.Escape)
			p.press(w["delete"])
			p.until("document.querySelector('dialog[open]')")
			p.sound("list-delete")
			p.keys(kb.Escape)
			p.goTo("/accounts/" + gmail)
			p.until("document.querySelector('.tree') && document.querySelector('.chart')")
			p.sound("account")
			p.goTo("/accounts/" + broken)
			p.until("document.querySelector('.notice.bad') && document.querySelector('.skipped li')")
			p.sound("account-broken")
			p.goTo("/accounts/" + old)
			p.until("document.querySelector('.tree')")
			p.sound("account-paused")
			p.goTo("/accounts/" + gmail + "/edit")
			js[any](p, "document.querySelector('.advanced').open = true; null")
			p.sound("edit")
			js[any](p, "document.querySelector('input[name=name]').value = ''; "+
				"document.querySelector('form').requestSubmit(); null")
			p.until("document.querySelector('[aria-invalid]')")
			p.sound("edit-wrong")
			p.wizard(w)
			for path, name := range map[string]string{
				"/admin": "admin", "/admin/quotas": "admin-quotas",
				"/admin/accounts": "admin-accounts",
			} {
				p.goTo(path)
				p.until("document.querySelector('.page.wide tbody tr')")
				p.sound(name)
			}
			p.goTo("/admin/quotas")
			js[any](p, "document.querySelector('td.limit button').click(); null")
			p.sound("admin-quotas-limit")
			p.goTo("/nowhere/at/all")
			p.sound("missing")
			p.goTo("/accounts/" + gmail)
			p.forgetSession()
			p.press(w["fetch"])
			p.until("document.querySelector('dialog[open]')")
			p.sound("expired")
			p.quiet()

			q := look(t, dev, s.link("nowa@firma.test"))
			q.until("document.querySelector('.empty')")
			q.sound("list-empty")
			q.press(w["signout"])
			q.until("document.querySelector('h1') && !document.querySelector('nav')")
			q.sound("signed-out")
		})
	}
}

// words are what the test has to press in each language.
var words = map[string]map[string]string{
	"en": {
		"more": "More for ", "delete": "Delete Poczta",
		"fetch": "Fetch now", "finish": "Check and add", "fix": "Fix it",
		"signout": "Sign out",
	},
	"pl": {
		"more": "Więcej opcji: ", "delete": "Usuń konto „Poczta”",
		"fetch": "Pobierz teraz", "finish": "Sprawdź i dodaj", "fix": "Popraw",
		"signout": "Wyloguj",
	},
}

// wizard looks at both steps and at a test that fails.
func (p *tab) wizard(w map[string]string) {
	p.tb.Helper()
	p.goTo("/accounts/new")
	p.until("document.activeElement?.name === 'email'")
	p.keys("anna.nowak@gmail.com")
	p.until("document.querySelector('.recognised .notice')")
	p.sound("wizard-1")
	p.keys("\r")
	p.until("document.activeElement?.name === 'password'")
	p.sound("wizard-1-app-password")
	p.keys("abcd efgh\r")
	p.until("document.querySelector('input[name=folder]')")
	p.sound("wizard-2")
	js[any](p, "document.querySelector('.advanced summary').click(); const i = "+
		"document.querySelector('input[name=\"server.host\"]'); i.value = 'imap.gmail.invalid'; i.dispatchEvent(new "+
		"Event('input', {bubbles: true})); null")
	p.sound("wizard-2-advanced")
	p.press(w["finish"])
	p.until("document.querySelector('dialog .notice.bad')")
	p.sound("wizard-test-failed")
	p.press(w["fix"])
	p.until("document.activeElement?.name === 'server.host'")
	p.sound("wizard-2-failed")
}
