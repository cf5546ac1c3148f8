package webui_test

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

const (
	owner    = "anna@firma.test"
	ownersPW = "haslo-anny-3Kd"
)

// ownServer is the mail server of the users themselves, and the settings by which its
// password signs in.
func ownServer(tb testing.TB) []string {
	tb.Helper()
	d := mailtest.StartDovecot(tb, mailtest.DovecotOptions{
		Users: map[string]string{owner: ownersPW}, Extra: patientWithErrors,
	})
	_, port, _ := strings.Cut(d.Addr("imaps"), ":")
	return []string{
		"WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=localhost", "SIGNIN_IMAP_PORT=" + port, "SIGNIN_IMAP_CA_FILE=" + d.CA.File,
	}
}

// TestSigningInWithThePasswordOfTheMailbox, by keyboard alone; what is wrong is said
// at once, and the way continues to where it began.
func TestSigningInWithThePasswordOfTheMailbox(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, ownServer(t)...)
	p := look(t, phone, s.addr+"/accounts/new")
	p.until("document.activeElement?.name === 'user'")
	p.keys(kb.Enter)
	p.sees("Please enter a full address")
	p.sees("Please fill this in")
	p.until("document.activeElement?.name === 'user'")
	p.keys(owner)
	p.tabTo(labelled("Password of this mailbox"))
	p.keys("not this one")
	p.keys(kb.Enter)
	p.sees("The address or the password is wrong")
	p.until(`document.getElementById("alert").textContent.includes("The address or the password is wrong")`)
	p.until("document.activeElement?.name === 'password' && document.activeElement.value === ''")
	if got := p.holds("Your e-mail address"); got != owner {
		t.Errorf("the address is %q by now", got)
	}
	p.keys(ownersPW)
	p.until("!document.querySelector('.notice.bad').checkVisibility()") // It was of what stood there before.
	p.keys(kb.Enter)
	p.until("document.activeElement?.name === 'email'") // Of the wizard, where the way began.
	if path := js[string](p, "location.pathname"); path != "/accounts/new" {
		t.Errorf("it leads to %s", path)
	}
	if kept := js[string](p, "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"); strings.Contains(kept,
		ownersPW) {
		t.Errorf("the browser keeps %s", kept)
	}

	// When the session is over, it continues in another tab, and here.
	p.forgetSession()
	js[any](p, `fetch("/v1/session").then(() => null)`)
	p.keys("a@b.test")
	p.until("document.querySelector('dialog[open] a[target=_blank][href=\"/\"]')")
	q := p.beside(s.addr + "/")
	q.enter("Your e-mail address", owner)
	q.enter("Password of this mailbox", ownersPW)
	q.press("Sign in")
	q.until("document.querySelector('.who')")
	p.press("I am signed in again")
	p.until("!document.querySelector('dialog[open]')")
	p.quiet()
}

// TestAFormThatIsSentTwiceSignsInOnce, and one that nobody can answer says so.
func TestAFormThatIsSentTwiceSignsInOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=127.0.0.1", "SIGNIN_IMAP_PORT=1",
		"SIGNIN_IMAP_SECURITY=none")
	d := desktop
	d.lang = "pl"
	p := look(t, d, s.addr+"/")
	p.enter("Twój adres e-mail", owner)
	p.enter("Hasło do tej skrzynki", ownersPW)
	js[any](p, `window.asked = 0; const f = window.fetch;
		window.fetch = (...a) => { window.asked++; return f(...a); }; null`)
	js[any](p, `const go = document.querySelector("form"); go.requestSubmit(); go.requestSubmit(); null`)
	p.sees("Serwer poczty nie może teraz sprawdzić hasła: spróbuj ponownie za minutę.")
	if n := js[float64](p, "window.asked"); n != 1 {
		t.Errorf("it is asked %v times", n)
	}
	p.until(named("Zaloguj się"))
	p.quiet()
}

// TestTheProxySignsInUnasked, but not who has just signed out.
func TestTheProxySignsInUnasked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "WEB_SIGNIN=header", "SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES=127.0.0.1")
	at, err := url.Parse(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var user atomic.Value
	user.Store(owner)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(at)
		r.Out.Host = r.In.Host
		r.Out.Header.Del("Remote-Email")
		if name := user.Load().(string); name != "" {
			r.Out.Header.Set("Remote-Email", name)
		}
	}})
	t.Cleanup(proxy.Close)
	p := look(t, desktop, proxy.URL+"/")
	p.until(who(owner))
	p.press("Sign out")
	p.until(named("Sign in"))
	p.press("Sign in")
	p.until(who(owner))
	// Somebody else has signed in there: anna's session does not meet them.
	const jan = "jan@firma.test"
	user.Store(jan)
	p.do(chromedp.Reload())
	p.sees("Somebody else is signed in here")
	p.press("Sign in as " + jan)
	p.until(who(jan))
	user.Store("")
	p.press("Sign out")
	p.press("Sign in")
	p.sees("did not say who you are")
	p.press("Try again")
	p.until(named("Sign in"))
	p.quiet()
}

// TestTheIdentityProviderSignsIn in a browser: out to its page and back.
func TestTheIdentityProviderSignsIn(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	s := unservedSite(t)
	o := mailtest.StartOpenID(t, ca, s.addr+"/signin/callback", "tajemnica", map[string]mailtest.OpenIDUser{
		"anna": {Password: ownersPW, Email: owner, Verified: true},
	})
	s.env = append(s.env, "MAILBROOK_WEB_SIGNIN=oidc", "MAILBROOK_WEB_PUBLIC_URL="+s.addr,
		"MAILBROOK_REMOTE_CA_FILE="+ca.File,
		"MAILBROOK_SIGNIN_OIDC_ISSUER="+o.Issuer, "MAILBROOK_SIGNIN_OIDC_CLIENT_ID="+o.ClientID,
		"MAILBROOK_SIGNIN_OIDC_CLIENT_SECRET=tajemnica")
	s.serve()
	p := look(t, desktop, "about:blank")
	call(p, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	p.do(chromedp.Navigate(s.addr + "/accounts/new"))
	p.press("Sign in")
	p.enter("Username:", "anna")
	p.enter("Password:", ownersPW)
	p.press("Login")
	p.until("document.activeElement?.name === 'email'") // Of the wizard.
	p.until(who(owner))
	if path := js[string](p, "location.pathname + location.search"); path != "/accounts/new" {
		t.Errorf("it leads to %s", path)
	}
	p.press("Sign out")
	p.until(named("Sign in"))
	p.quiet()
}

func TestWhoHasNoLinkIsToldWhomToAsk(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "WEB_BRAND_HELP_URL=https://firma.test/pomoc")
	for lang, words := range map[string][]string{
		"en": {"Open this page from your webmail", "ask the administrator of your mailbox", "Help (opens in a new tab)"},
		"pl": {
			"Otwórz tę stronę ze swojej poczty", "zapytaj administratora swojej skrzynki",
			"Pomoc (otwiera się w nowej karcie)",
		},
	} {
		d := phone
		d.lang = lang
		p := look(t, d, s.addr+"/")
		p.sees(words[0])
		p.sees(words[1])
		p.until(named(words[2]))
		if text := p.reads(); strings.Contains(text, "--user") || strings.Contains(text, "mailbrook link") {
			t.Errorf("people are shown a command: %s", text)
		}
		p.quiet()
	}
}

func TestThePagesOfWhoIsNotSignedInAreAccessible(t *testing.T) {
	t.Parallel()
	byPassword, byProxy := newSite(t, nil, ownServer(t)...), newSite(t, nil, "WEB_SIGNIN=header",
		"SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES=127.0.0.1")
	byIssuer := newSite(t, nil, "WEB_SIGNIN=oidc", "WEB_PUBLIC_URL={addr}", "SIGNIN_OIDC_ISSUER=https://127.0.0.1:1",
		"SIGNIN_OIDC_CLIENT_ID=mailbrook")
	for _, dev := range append(looks[:len(looks):len(looks)], phone) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, byPassword.addr+"/")
			p.until("document.activeElement?.name === 'user'")
			p.sound("enter")
			p.keys(kb.Enter)
			p.until("document.querySelector('[aria-invalid]')")
			p.sound("enter-empty")
			p.keys("nobody@firma.test" + kb.Tab + "x" + kb.Enter)
			p.until("document.querySelector('.notice.bad')")
			p.sound("enter-wrong")
			p.quiet()
			for name, at := range map[string]string{
				"enter-proxy-away": byProxy.addr + "/signin", "enter-issuer-away": byIssuer.addr + "/signin",
				"enter-over": byIssuer.addr + "/signin/callback?state=x",
			} {
				p.do(chromedp.Navigate(at))
				p.until("document.querySelector('main h1') && document.querySelector('main a')")
				p.sound(name)
			}
			p.do(chromedp.Navigate(byIssuer.addr + "/"))
			p.until("document.querySelector('a[href^=\"/signin\"]')")
			p.sound("enter-issuer")
		})
	}
}
