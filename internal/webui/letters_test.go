package webui_test

import (
	"encoding/json"
	"os"
	"testing"
)

// TestThePagesShowTheSameLetters as account.Letters, and send the same names.
func TestThePagesShowTheSameLetters(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../account/testdata/letters.json")
	rows := map[string]string{}
	if err == nil {
		err = json.Unmarshal(b, &rows)
	}
	if err != nil || len(rows) < 10 {
		t.Fatal(len(rows), err)
	}
	s := newSite(t, nil)
	p := look(t, desktop, s.addr+"/")
	p.until("document.querySelector('h1')")
	module := "await import(document.querySelector('link[href$=\"/letters.js\"]').href)"
	shown := js[map[string]string](p, "(async () => { const { letters } = "+module+
		"; return Object.fromEntries(Object.keys("+string(b)+").map((k) => [k, letters(k)])); })()")
	for text, want := range rows {
		if shown[text] != want {
			t.Errorf("%q is shown as %q, not %q", text, shown[text], want)
		}
	}
	for name, want := range map[string]string{
		"anna@żółw.test": "anna@xn--w-uga1v8h.test", "пример.рф": "xn--e1afmkfd.xn--p1ai", "firma.test": "firma.test",
		"żółw@firma.test": "żółw@firma.test", "żółw ż": "żółw ż", "żółw/x": "żółw/x", "": "",
		"Anna@ŻÓŁW.test": "Anna@ŻÓŁW.test", "anna@\uFF46irma.test": "anna@\uFF46irma.test",
		"anna@\u212Aowal.test": "anna@\u212Aowal.test", "anna@zo\u0301lw.test": "anna@zo\u0301lw.test",
	} {
		if got := js[string](p, "(async () => ("+module+").labels("+quote(name)+"))()"); got != want {
			t.Errorf("%q is sent as %q, not %q", name, got, want)
		}
	}
	p.quiet()
}

// TestNamesAreInLettersOnEveryPage, also in fields and in what screen readers say; what
// is sent stays as it was. A name in two scripts is the control.
func TestNamesAreInLettersOnEveryPage(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "anna")
	s := newSite(t, d.CA)
	const user, spoof = "anna@xn--w-uga1v8h.test", "xn--pple-43d.test"
	at := func(domain string) map[string]any {
		return map[string]any{
			"email": "anna@" + domain, "skip_test": true,
			"server": map[string]any{"host": "imap." + domain, "port": 993, "security": "tls"},
		}
	}
	id := s.add(user, d, "Monachium", "imap", "anna", at("xn--mnchen-3ya.test"))
	other := s.add(user, d, "Inne", "imap", "anna", at(spoof))
	s.state(user, id, "retrying")
	limit := map[string]any{"limit_bytes": 9_000_000}
	s.ask("root@firma.test", "PUT", "/v1/admin/default-limits/xn--w-uga1v8h.test", limit)
	// What can be read, or heard, and is no server's own words.
	const said = `(() => {
		const all = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".mono"));
		const own = (e) => [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
		return all.map((e) => [own(e), e.title, e.getAttribute("aria-label"), e.placeholder, e.value].join(" "))
			.concat(document.title).join("\n");
	})()`
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link(user, "--admin"))
			p.until("document.querySelectorAll('.card').length === 2")
			for path, shows := range map[string]string{
				"/": "anna@münchen.test", "/accounts/" + id: "anna@münchen.test",
				"/accounts/" + id + "/edit": "imap.münchen.test", "/admin": "imap.münchen.test",
				"/admin/accounts": "imap.münchen.test:993", "/admin/quotas": "anna@żółw.test",
				"/admin/users/" + user: "anna@żółw.test", "/admin/accounts/" + id: "anna@münchen.test",
			} {
				p.goTo(path)
				p.until(said + ".includes(" + quote(shows) + ") && !/xn--(?!pple)/i.test(" + said + ")")
			}
			p.goTo("/accounts/" + other)
			p.until(said + ".includes('anna@" + spoof + "')") // The control.
			p.quiet()
		})
	}
	p := look(t, desktop, s.link(user))
	p.until("document.querySelectorAll('.card').length === 2")
	p.goTo("/accounts/" + id + "/edit")
	email := func(want, host string) {
		t.Helper()
		a := s.ask(user, "GET", "/v1/accounts/"+id, nil)
		server, ok := a["server"].(map[string]any)
		if !ok || a["email"] != want || server["host"] != host {
			t.Errorf("the account is now %v at %v", a["email"], a["server"])
		}
	}
	p.press("Save") // Nothing was changed, and nothing is sent.
	p.until("location.pathname === '/accounts/" + id + "' && document.querySelector('.tree, .panel')")
	email("anna@xn--mnchen-3ya.test", "imap.xn--mnchen-3ya.test")
	p.goTo("/accounts/" + id + "/edit")
	p.hit("document.querySelector('details.advanced summary')")
	p.enter("Server", "pop.żółw.test")
	p.enter("Password", "inne")
	p.press("Save")
	p.press("Save anyway")
	p.until("location.pathname === '/accounts/" + id + "' && document.querySelector('.tree, .panel')")
	email("anna@xn--mnchen-3ya.test", "pop.xn--w-uga1v8h.test")
	p.quiet()
}
