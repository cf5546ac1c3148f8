package webui_test

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// turns are how the states are looked at: one state by the first three, the next by the
// others, so that each meets both languages, all widths, light and dark, and all pairs of
// these occur.
var turns = [2][]device{
	{
		{name: "360-dark-pl", width: 360, height: 740, phone: true, lang: "pl", dark: true},
		{name: "768-light-en", width: 768, height: 1024, lang: "en"},
		{name: "1280-light-pl", width: 1280, height: 800, lang: "pl"},
	},
	{
		{name: "360-light-en", width: 360, height: 740, phone: true, lang: "en"},
		{name: "768-dark-pl", width: 768, height: 1024, lang: "pl", dark: true},
		{name: "1280-dark-en", width: 1280, height: 800, lang: "en", dark: true},
	},
}

// The users, none of whose names is a word.
const (
	many, nobody, full, root = "many@firma.test", "new@firma.test", "full@firma.test", "root@firma.test"
	longUser                 = "jan.kowalski-nowak.z.dlugim.adresem@firma.test"
)

// installations are the installations that the states are of. Nobody visits, so that all
// stays as it is written.
type installations struct {
	main, own, proxy, issuer *site
	d                        *mailtest.Dovecot
	ids                      map[string]string // Of the accounts of many, by name.
	silent                   int
}

// walk is one look at all states.
type walk struct {
	*installations
	t    *testing.T
	dev  device
	tabs map[string]*tab
}

// as is the tab of somebody.
func (w *walk) as(user string) *tab {
	w.t.Helper()
	if w.tabs[user] == nil {
		var further []string
		if user == root {
			further = append(further, "--admin")
		}
		w.tabs[user] = stay(w.t, w.dev, w.main.link(user, further...))
		w.tabs[user].until("document.querySelector('main h1') && !document.querySelector('main[aria-busy]')")
	}
	return w.tabs[user]
}

// guest is the tab of somebody who is not signed in at an installation.
func (w *walk) guest(s *site, path, ready string) *tab {
	w.t.Helper()
	if w.tabs[s.addr] == nil {
		w.tabs[s.addr] = stay(w.t, w.dev, "about:blank")
	}
	p := w.tabs[s.addr]
	p.do(chromedp.Navigate(s.addr + path))
	p.until(ready)
	return p
}

func (w *walk) say(en, pl string) string { return said{en, pl}.in(w.dev) }

// at shows a page of somebody.
func (w *walk) at(user, path, ready string) *tab {
	w.t.Helper()
	p := w.as(user)
	p.goTo(path)
	p.until(ready)
	return p
}

// account shows the page of an account.
func (w *walk) account(name string) *tab {
	w.t.Helper()
	return w.at(many, "/accounts/"+w.ids[name], "document.querySelector('.why .notice, .why .evidence')")
}

// typed is the first step of the wizard with an address, gone on from or not.
func (w *walk) typed(address string, on bool) *tab {
	w.t.Helper()
	p := w.as(nobody)
	p.fresh(w.main.addr + "/accounts/new")
	return w.write(p, address, on)
}

func (w *walk) write(p *tab, address string, on bool) *tab {
	w.t.Helper()
	p.until("document.activeElement?.name === 'email'")
	p.keys(address)
	p.until("document.querySelector('.recognised .notice')")
	if on {
		p.keys(kb.Enter)
	}
	return p
}

// folders is the second step, with a server.
func (w *walk) second(port int, password string) *tab {
	w.t.Helper()
	p := w.typed("anna@poczta.example.test", true)
	p.until("document.activeElement?.name === 'password'")
	p.keys(password + kb.Enter)
	p.until("document.activeElement?.name === 'name'")
	js[any](p, "document.querySelector('.advanced').open = true; null")
	for name, text := range map[string]string{
		"server.host": "localhost", "server.port": fmt.Sprint(port), "username": "anna",
	} {
		js[any](p, fmt.Sprintf(`(() => { const i = document.querySelector("input[name='%s']"); i.value = %s;
			i.dispatchEvent(new Event("input", {bubbles: true})); return null; })()`, name, quote(text)))
	}
	return p
}

// aState is a state of a page, and the way to it.
type aState struct {
	name  string
	reach func(*walk) *tab
}

const (
	step1   = "document.activeElement?.name === 'email'"
	opened  = "document.querySelector('dialog[open]')"
	noRows  = "document.querySelector('.empty-row:not([hidden])')"
	heading = "document.querySelector('h1')"
)

func states() []aState {
	account := func(name string) func(*walk) *tab { return func(w *walk) *tab { return w.account(name) } }
	typed := func(address, ready string, on bool) func(*walk) *tab {
		return func(w *walk) *tab {
			p := w.typed(address, on)
			p.until(ready)
			return p
		}
	}
	admin := func(path, ready string) func(*walk) *tab {
		return func(w *walk) *tab { return w.at(root, path, ready) }
	}
	limits := func(w *walk) *tab {
		p := w.at(root, "/admin/quotas", "document.querySelector('td.limit button')")
		p.hit(`document.querySelector("td.limit button")`)
		p.until(`document.activeElement === document.querySelector("td.limit input")`)
		return p
	}
	return []aState{
		// The list.
		{"list-empty", func(w *walk) *tab { return w.at(nobody, "/", "document.querySelector('.empty')") }},
		{"list-every-state", func(w *walk) *tab {
			return w.at(many, "/", "document.querySelectorAll('.card').length === 9 && document.querySelector('.meter')")
		}},
		{"list-full", func(w *walk) *tab { return w.at(full, "/", "document.querySelector('.quota.over')") }},
		{"list-menu", func(w *walk) *tab {
			p := w.at(many, "/", "document.querySelectorAll('.card').length === 9")
			p.press(w.say("More for Atlas", "Więcej opcji: Atlas"))
			p.until("document.querySelector('[role=menu]')")
			return p
		}},
		{"list-delete", func(w *walk) *tab {
			p := w.at(many, "/", "document.querySelectorAll('.card').length === 9")
			p.press(w.say("Delete Atlas", "Usuń konto „Atlas”"))
			p.until(opened)
			return p
		}},
		{"toast-good", func(w *walk) *tab {
			p := w.at(many, "/", "document.querySelectorAll('.card').length === 9")
			p.press(w.say("Fetch now: Atlas", "Pobierz teraz: Atlas"))
			p.until(toast)
			return p
		}},
		// The wizard.
		{"wizard-address", func(w *walk) *tab {
			p := w.as(nobody)
			p.fresh(w.main.addr + "/accounts/new")
			p.until(step1)
			return p
		}},
		{"wizard-no-address", func(w *walk) *tab {
			p := w.as(nobody)
			p.fresh(w.main.addr + "/accounts/new")
			p.until(step1)
			p.keys("anna" + kb.Enter)
			p.until("document.querySelector('[aria-invalid]')")
			return p
		}},
		{"wizard-tile", func(w *walk) *tab {
			p := w.typed("biuro@mala-firma.test", false)
			p.press("Forpsi")
			p.until("document.querySelector('.recognised .good')")
			return p
		}},
		{"wizard-recognised", typed("anna@gmail.com", "document.querySelector('.recognised .good')", false)},
		{"wizard-did-you-mean", typed("jan@gmial.com", "document.querySelector('.recognised .warn button')", false)},
		{"wizard-how-to", typed("anna@gmail.com", "document.querySelectorAll('.howto li').length > 2", true)},
		{"wizard-password", typed("anna@onet.pl", "document.activeElement?.name === 'password'", true)},
		{"wizard-password-missing", func(w *walk) *tab {
			p := w.typed("anna@wp.pl", true)
			p.until("document.activeElement?.name === 'password'")
			p.keys(kb.Enter)
			p.until("document.querySelector('[aria-invalid]')")
			return p
		}},
		{"wizard-password-unknown", typed("anna@nieznana.test", "document.activeElement?.name === 'password'", true)},
		{"wizard-locked", typed("anna@outlook.com", "document.querySelector('.way .numbered')", true)},
		{"wizard-what-of-passwords", func(w *walk) *tab {
			p := w.typed("anna@onet.pl", true)
			p.until("document.activeElement?.name === 'password'")
			p.hit("document.querySelector('.hint button.link')")
			p.until(opened)
			return p
		}},
		{"wizard-sign-in-only", func(w *walk) *tab { return w.onPage("anna@outlook.com") }},
		{"wizard-sign-in-or-password", func(w *walk) *tab { return w.onPage("anna@gmail.com") }},
		{"wizard-settings", func(w *walk) *tab { return w.second(w.d.IMAPS, "x") }},
		{"wizard-settings-pop3", func(w *walk) *tab {
			p := w.second(w.d.IMAPS, "x")
			p.press(w.say("Only the inbox (POP3)", "Tylko skrzynka odbiorcza (POP3)"))
			p.until("document.querySelector('input[value=pop3]:checked')")
			return p
		}},
		{"wizard-refused-field", func(w *walk) *tab {
			p := w.second(w.d.IMAPS, "x")
			p.enter("Folder", "A//B")
			p.press(sayFinish.in(w.dev))
			p.until("document.activeElement?.name === 'folder' && document.activeElement.matches('[aria-invalid]')")
			return p
		}},
		{"wizard-test-runs", func(w *walk) *tab {
			p := w.second(w.silent, "x")
			p.press(sayFinish.in(w.dev))
			p.until("document.querySelector('.steps .running') && document.querySelectorAll('.steps .done').length === 2")
			return p
		}},
		{"wizard-test-failed", func(w *walk) *tab {
			p := w.second(w.d.IMAPS, "x")
			p.press(sayFinish.in(w.dev))
			p.until("document.querySelector('dialog .notice.bad')")
			return p
		}},
		{"wizard-fix-it", func(w *walk) *tab {
			p := w.second(1, "x")
			p.press(sayFinish.in(w.dev))
			p.press(w.say("Fix it", "Popraw"))
			p.until("document.querySelector('form [aria-invalid]') && document.querySelector('.trouble-box .notice')")
			return p
		}},
		{"wizard-limit", func(w *walk) *tab { return w.at(many, "/accounts/new", "document.querySelector('main .notice')") }},
		// One account.
		{"account-ok", account("Atlas")},
		{"account-paused", account("Borealis")},
		{"account-refused", account("Cirrus")},
		{"account-retrying", account("Delta")},
		{"account-partial", account("Echo")},
		{"account-left-out", account("Fala")},
		{"account-never-signed-in", account("Granit")},
		{"account-pending", account("Hotel")},
		{"account-fetching", account("Indygo")},
		{"account-over-quota", func(w *walk) *tab {
			return w.at(full, "/accounts/"+w.ids["of full"], "document.querySelector('.why .notice.warn')")
		}},
		{"account-asked-for-all", func(w *walk) *tab {
			p := w.account("Fala")
			p.hit("document.querySelector('.skipped li button')")
			p.until(toast)
			return p
		}},
		{"edit", func(w *walk) *tab {
			p := w.at(many, "/accounts/"+w.ids["Atlas"]+"/edit", "document.querySelector('fieldset.folders')")
			js[any](p, "document.querySelector('.advanced').open = true; null")
			return p
		}},
		{"edit-refused", func(w *walk) *tab {
			p := w.at(many, "/accounts/"+w.ids["Atlas"]+"/edit", "document.querySelector('input[name=name]')")
			js[any](p, "document.querySelector('input[name=name]').value = ''; "+
				"document.querySelector('form').requestSubmit(); null")
			p.until("document.querySelector('[aria-invalid]')")
			return p
		}},
		{"missing", func(w *walk) *tab { return w.at(many, "/nowhere/at/all", heading) }},
		{"session-ended", func(w *walk) *tab {
			p := look(w.t, w.dev, w.main.link("gone@firma.test"))
			p.until("document.querySelector('.empty')")
			p.forgetSession()
			js[any](p, "history.pushState(null, '', '/accounts/new'); window.dispatchEvent(new PopStateEvent('popstate'))")
			p.until(opened)
			return p
		}},
		{"offline", (*walk).offline},
		// Links, and who is not signed in.
		{"link-asks", func(w *walk) *tab {
			p := look(w.t, w.dev, elsewhere(w.t, w.main.link(nobody)))
			p.press("You have won")
			p.until("document.querySelector('form button')")
			return p
		}},
		{"link-of-somebody-else", func(w *walk) *tab {
			p := look(w.t, w.dev, w.main.link(nobody))
			p.until(who(nobody))
			p.do(chromedp.Navigate(w.main.link(longUser)))
			p.until("document.querySelector('form button') && document.querySelector('a[href=\"/\"]')")
			return p
		}},
		{"link-used", func(w *walk) *tab { return w.guest(w.main, "/link/used-up", heading) }},
		{"not-signed-in", func(w *walk) *tab { return w.guest(w.main, "/", "document.querySelector('main h1')") }},
		{"sign-in", func(w *walk) *tab { return w.guest(w.own, "/", "document.activeElement?.name === 'user'") }},
		{"sign-in-empty", func(w *walk) *tab {
			p := w.guest(w.own, "/", "document.activeElement?.name === 'user'")
			p.keys(kb.Enter)
			p.until("document.querySelector('[aria-invalid]')")
			return p
		}},
		{"sign-in-failed", func(w *walk) *tab {
			p := w.guest(w.own, "/", "document.activeElement?.name === 'user'")
			p.keys(nobody + kb.Tab + "x" + kb.Enter)
			p.until("document.querySelector('.notice.bad')")
			return p
		}},
		{"sign-in-by-proxy-failed", func(w *walk) *tab {
			return w.guest(w.proxy, "/signin", "document.querySelector('main a')")
		}},
		{"sign-in-by-issuer", func(w *walk) *tab {
			return w.guest(w.issuer, "/", "document.querySelector('a[href^=\"/signin\"]')")
		}},
		{"sign-in-by-issuer-failed", func(w *walk) *tab {
			return w.guest(w.issuer, "/signin", "document.querySelector('main a')")
		}},
		{"sign-in-over", func(w *walk) *tab {
			return w.guest(w.issuer, "/signin/callback?state=x", "document.querySelector('main a')")
		}},
		// Administrators.
		{"admin-overview", admin("/admin", "document.querySelector('tbody tr')")},
		{"admin-accounts", admin("/admin/accounts", "document.querySelector('tbody tr')")},
		{"admin-accounts-none", admin("/admin/accounts?query=nobody-like-this", noRows)},
		{"admin-quotas", admin("/admin/quotas", "document.querySelector('tbody tr') && document.querySelector('.chart')")},
		{"admin-audit", admin("/admin/audit", "document.querySelector('main tbody tr')")},
		{"admin-quotas-none", admin("/admin/quotas?query=nobody-like-this", noRows)},
		{"admin-limit", limits},
		{"admin-limit-wrong", func(w *walk) *tab {
			p := limits(w)
			p.keys("?" + kb.Enter)
			p.until("document.querySelector('td.limit [aria-invalid]')")
			return p
		}},
		{"admin-bulk", func(w *walk) *tab {
			p := w.at(root, "/admin/quotas?query=firma", "document.querySelector('td.limit button')")
			p.press(w.say("Set for all that match…", "Ustaw limit wszystkim z listy…"))
			p.until("document.querySelector('dialog .primary:not(:disabled)')")
			return p
		}},
		{"admin-default-wrong", func(w *walk) *tab {
			p := w.at(root, "/admin/quotas", "document.querySelector('td.limit button')")
			p.press(w.say("Set the default", "Ustaw domyślny"))
			p.until("document.querySelector('.panel form [aria-invalid]')")
			return p
		}},
		{"admin-user", admin("/admin/users/"+many, "document.querySelector('tbody tr')")},
		{"admin-user-limit", func(w *walk) *tab {
			p := w.at(root, "/admin/users/"+full, "document.querySelector('.limit button')")
			p.hit("document.querySelector('.limit button')")
			p.until("document.activeElement === document.querySelector('.limit input')")
			return p
		}},
		{"admin-user-without", admin("/admin/users/"+longUser, noRows)},
		{"admin-account", func(w *walk) *tab {
			return w.at(root, "/admin/accounts/"+w.ids["Cirrus"], "document.querySelector('.notice')")
		}},
		{"admin-account-left-out", func(w *walk) *tab {
			return w.at(root, "/admin/accounts/"+w.ids["Fala"], "document.querySelector('.skipped li')")
		}},
		{"admin-account-test", func(w *walk) *tab {
			p := w.at(root, "/admin/accounts/"+w.ids["Cirrus"], "document.querySelector('.notice')")
			p.press(w.say("Test", "Sprawdź połączenie"))
			p.until("document.querySelector('dialog .steps .failed')")
			return p
		}},
		// All that can be folded out.
		{"account-unfolded", func(w *walk) *tab { return w.account("Echo").unfold() }},
		{"admin-account-unfolded", func(w *walk) *tab {
			return w.at(root, "/admin/accounts/"+w.ids["Echo"], "document.querySelector('.history')").unfold()
		}},
	}
}

// unfold opens all folds of the page.
func (p *tab) unfold() *tab {
	p.tb.Helper()
	p.until("document.querySelector('.history details')")
	js[any](p, "document.querySelectorAll('main details').forEach((d) => { d.open = true; }); null")
	return p
}

// onPage is the first step where the provider has a page of its own to sign in on.
func (w *walk) onPage(address string) *tab {
	w.t.Helper()
	const key = "on the page"
	if w.tabs[key] == nil {
		w.tabs[key] = stay(w.t, w.dev, w.own.link(nobody))
		w.tabs[key].until(who(nobody))
	}
	p := w.tabs[key]
	p.fresh(w.own.addr + "/accounts/new")
	w.write(p, address, true)
	p.until("document.querySelector('.signin button')?.checkVisibility()")
	return p
}

// offline takes the server away from an open page.
func (w *walk) offline() *tab {
	w.t.Helper()
	at, err := url.Parse(w.main.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	between := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(at)
		r.Out.Host = r.In.Host
	}})
	w.t.Cleanup(between.Close)
	p := look(w.t, w.dev, strings.Replace(w.main.link(nobody), w.main.addr, between.URL, 1))
	p.until("document.querySelector('.empty')")
	if err := between.Listener.Close(); err != nil {
		w.t.Fatal(err)
	}
	between.CloseClientConnections()
	p.until("!document.getElementById('offline').hidden")
	return p
}

// built makes the installations.
func newInstallations(t *testing.T) *installations {
	t.Helper()
	d := provider(t, 26, "anna", "jan", "ewa")
	b := &installations{d: d, ids: map[string]string{}, silent: silent(t)}
	b.main = newSite(t, d.CA, "ACCOUNTS_MAX_PER_USER=9")
	b.own = newSite(t, nil, append(ownServer(t), "WEB_PUBLIC_URL={addr}", "OAUTH_MICROSOFT_CLIENT_ID=x",
		"OAUTH_GOOGLE_CLIENT_ID=x", "OAUTH_GOOGLE_CLIENT_SECRET=x")...)
	b.proxy = newSite(t, nil, "WEB_SIGNIN=header", "SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES=127.0.0.1")
	b.issuer = newSite(t, nil, "WEB_SIGNIN=oidc", "WEB_PUBLIC_URL={addr}", "SIGNIN_OIDC_ISSUER=https://127.0.0.1:1",
		"SIGNIN_OIDC_CLIENT_ID=mailbrook")
	s := b.main
	fetched := map[string]string{"Atlas": "anna", "Fala": "jan", "Echo": "ewa"}
	for name, at := range fetched {
		largest := map[bool]int{true: 1024, false: 50 << 20}[name == "Fala"]
		b.ids[name] = s.add(many, d, name, "imap", at, map[string]any{"max_message_bytes": largest})
	}
	b.ids["of full"] = s.add(full, d, "Atlas", "imap", "anna")
	for name := range fetched {
		s.state(many, b.ids[name], "ok")
	}
	s.state(full, b.ids["of full"], "ok")
	s.restart("--roles", "api") // Nobody visits: what is written stays.
	for _, name := range []string{"Borealis", "Cirrus", "Delta", "Granit", "Hotel", "Indygo"} {
		b.ids[name] = s.add(many, d, name, "imap", strings.ToLower(name), map[string]any{"skip_test": true, "password": "x"})
	}
	s.ask(many, "PATCH", "/v1/accounts/"+b.ids["Borealis"], map[string]any{"enabled": false})
	s.ask(root, "PUT", "/v1/admin/quotas/"+many, map[string]any{"limit_bytes": 20_000_000})
	s.ask(root, "PUT", "/v1/admin/quotas/"+full, map[string]any{"limit_bytes": 1000})
	s.ask(root, "PUT", "/v1/admin/quotas/"+longUser, map[string]any{"limit_bytes": 1 << 30})
	s.ask(root, "PUT", "/v1/admin/default-limits/firma.test", map[string]any{"limit_bytes": 20_000_000})
	ms := func(in time.Duration) int64 { return time.Now().Add(in).UnixMilli() }
	for name, row := range map[string]string{
		"Cirrus": fmt.Sprintf("state = 5, code = 'auth_failed', failures = 3, due_at_ms = %d, last_success_ms = %d, "+
			"last_attempt_ms = %d, detail = 'NO [AUTHENTICATIONFAILED] Authentication failed.'", int64(1<<63-1),
			ms(-48*time.Hour), ms(-time.Hour)),
		"Delta": fmt.Sprintf("state = 4, code = 'connect_refused', failures = 4, due_at_ms = %d, "+
			"last_attempt_ms = %d, since_ms = %d, detail = 'dial tcp [2001:db8::1]:993: connect: connection refused'",
			ms(20*time.Hour), ms(-time.Hour), ms(-3*time.Hour)),
		"Echo": fmt.Sprintf("state = 3, code = 'folder_failed', "+
			"detail = 'Lists/Closed: NO Permission denied', due_at_ms = %d", ms(20*time.Hour)),
		"Granit": fmt.Sprintf("state = 5, code = 'app_password_required', failures = 1, due_at_ms = %d, last_attempt_ms = %d",
			int64(1<<63-1), ms(-time.Hour)),
		"Hotel": fmt.Sprintf("state = 1, due_at_ms = %d", ms(20*time.Hour)),
		"Indygo": fmt.Sprintf("state = 3, lease_owner = 'elsewhere-1-x/1', lease_epoch = 1, "+
			"lease_until_ms = %d, started_ms = %d", ms(20*time.Hour), ms(-time.Minute)),
		"of full": fmt.Sprintf("state = 6, code = 'local_over_quota', failures = 1, due_at_ms = %d", ms(20*time.Hour)),
		"Atlas":   fmt.Sprintf("due_at_ms = %d", ms(20*time.Hour)), "Fala": fmt.Sprintf("due_at_ms = %d", ms(20*time.Hour)),
	} {
		s.writes("UPDATE poll_schedule SET " + row + " WHERE route_id = '" + b.ids[name] + "'")
	}
	return b
}

// TestEveryStateOfEveryPage is looked at in both languages, at three widths, light and
// dark: sound by axe and by eye, and usable with the keyboard alone. Pictures of all go
// into the directory that MAILBROOK_PICTURES names. The turns run beside each other, on
// installations of their own: what is done in one is no news to the pages of the other.
func TestEveryStateOfEveryPage(t *testing.T) {
	t.Parallel()
	all := states()
	for i, devices := range turns {
		t.Run([]string{"even", "odd"}[i], func(t *testing.T) {
			t.Parallel()
			b := newInstallations(t)
			for _, dev := range devices {
				t.Run(dev.name, func(t *testing.T) {
					w := &walk{installations: b, t: t, dev: dev, tabs: map[string]*tab{}}
					for n := i; n < len(all); n += len(turns) {
						w.look(all[n])
					}
					if dev.phone {
						w.control()
					}
				})
			}
		})
	}
}

// look looks at one state.
func (w *walk) look(state aState) {
	w.t.Helper()
	p := state.reach(w)
	wrong := p.faults()
	if pictures := os.Getenv("MAILBROOK_PICTURES"); pictures != "" {
		p.picture(filepath.Join(pictures, state.name+"-"+w.dev.name+".png"))
	}
	for _, fault := range append(wrong, p.unreached()...) {
		w.t.Errorf("%s: %s", state.name, fault)
	}
}

// control puts faults into a page that has none, one of each kind, where the page's own news
// do not take them back, and sees them found.
func (w *walk) control() {
	w.t.Helper()
	for _, tc := range []struct{ found, breaks string }{
		{"axe color-contrast", `document.querySelector("h1").style = "color: #888; background: #999"`},
		{"axe select-name", `document.getElementById("language").removeAttribute("aria-label")`},
		{"overflow", `document.querySelector("main").style.width = "150vw"`},
		{"overflow: div.scroll leaves its card", `document.querySelector(".card").insertAdjacentHTML("beforeend",
			"<div class='scroll'><p></p></div>"); document.querySelector(".scroll").style.minWidth = "120%"`},
		{"text cut off", `document.querySelector("h1").style = "width: 2rem; overflow: hidden; white-space: nowrap"`},
		{"text leaves its box", `const e = document.querySelector(".card").appendChild(document.createElement("p"));
			Object.assign(e.style, {whiteSpace: "nowrap", width: "1rem"});
			e.textContent = "x".repeat(99)`},
		{"a word is broken", `document.querySelector("h1").style = "width: 2rem"`},
		{"text too small", `document.querySelector("h1").innerHTML =
			"<svg viewBox='0 0 10 10' width='10'><text y='9' font-size='5'>1</text></svg>"`},
		{"language", `document.querySelector("h1").textContent =
			document.documentElement.lang === "pl" ? "All of the mail" : "Poczta jest"`},
		{"keyboard: the focus cannot be seen", `document.querySelector(".card a").style.outline = "none"`},
		{"keyboard: not reached", `document.querySelector(".card").insertAdjacentHTML("beforeend", "<a href='/x'>x</a>");
			document.querySelector(".card a[href='/x']").addEventListener("focusin", (e) => e.stopImmediatePropagation(), true);
			document.addEventListener("keydown", (e) => { if (e.key === "Tab") e.preventDefault(); })`},
	} {
		p := w.as(many)
		p.fresh(w.main.addr + "/")
		p.until("document.querySelectorAll('.card').length === 9 && " +
			"[...document.querySelectorAll('.card .trouble')].some((e) => e.textContent)")
		js[any](p, tc.breaks+"; null")
		found := append(p.faults(), p.unreached()...)
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, tc.found) }) {
			w.t.Errorf("%s is not found, but %q", tc.found, found)
		}
	}
}
