package webui_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// elsewhere is another site's page with a link on it, which it also has fetched
// in each way that needs nobody to press anything.
func elsewhere(tb testing.TB, link string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Referrer-Policy", "unsafe-url")
		fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1><a href="%s">You have won</a>`, link)
	}))
	tb.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// cookie returns the cookie of the session, as somebody copies it.
func (p *tab) cookie() string {
	p.tb.Helper()
	for _, c := range call(p, network.GetCookies, network.GetCookiesParams{}).Cookies {
		if strings.HasSuffix(c.Name, "mailbrook_session") {
			return c.Name + "=" + c.Value
		}
	}
	p.tb.Fatal("there is no cookie")
	return ""
}

// whose says what the server answers to a cookie: a user, or a status.
func (s *site) whose(cookie string) string {
	s.tb.Helper()
	req, err := http.NewRequest(http.MethodGet, s.addr+"/v1/session", http.NoBody)
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	resp, err := client.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Status
}

const (
	alive = "200 OK"
	ended = "401 Unauthorized"
)

func who(user string) string {
	return `document.querySelector(".who")?.textContent === ` + quote(user)
}

// TestALinkDoesNotReplaceSomebodyElseUnasked: anna is signed in, and mallory's
// page leads her browser to a link of mallory's; the address pasted does the same.
func TestALinkDoesNotReplaceSomebodyElseUnasked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const anna, mallory = "anna@firma.test", "mallory@firma.test"
	p := look(t, desktop, s.link(anna))
	p.until(who(anna))
	annas, link := p.cookie(), s.link(mallory)
	for name, lead := range map[string]func(){
		"by another site's page": func() { p.do(chromedp.Navigate(elsewhere(t, link))); p.press("You have won") },
		"by hand":                func() { p.do(chromedp.Navigate(link)) },
	} {
		lead()
		p.sees("Somebody else is signed in here")
		p.sees("mail from the external accounts that you add then is delivered to " + mallory)
		if got := s.whose(annas); got != alive {
			t.Errorf("%s: anna's session is %s before she was asked", name, got)
		}
		p.press("Stay signed in as " + anna)
		p.until(who(anna))
	}
	// The control: she may, and then the session that she had is over.
	p.do(chromedp.Navigate(link))
	p.press("Sign in as " + mallory)
	p.until(who(mallory))
	if got := s.whose(annas); got != ended {
		t.Errorf("a copy of the cookie that was replaced is answered %s", got)
	}
	p.press("Add an external account")
	p.sees("Its mail will be delivered to the mailbox of " + mallory + ".")
}

// TestWhatIsFetchedWithoutAPersonUsesNoLinkUp: by another site's page, ahead of
// a click, as an image, by a script or in a frame; and a click gets a button.
func TestWhatIsFetchedWithoutAPersonUsesNoLinkUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "LOG_LEVEL=debug")
	const anna = "anna@firma.test"
	link := s.link(anna)
	p := look(t, desktop, elsewhere(t, link))
	for name, fetched := range map[string]string{
		"prefetch": `const e = document.createElement("link"); e.rel = "prefetch"; e.href = %s;
			e.onload = e.onerror = () => done(true); document.head.append(e);`,
		"image":     `const e = new Image(); e.onload = e.onerror = () => done(true); e.src = %s;`,
		"by script": `fetch(%s, {mode: "no-cors", credentials: "include"}).then(() => done(true), () => done(true));`,
		"frame": `const e = document.createElement("iframe"); e.onload = () => done(true); e.src = %s;
			document.body.append(e);`,
	} {
		if !js[bool](p, "new Promise((done) => {"+fmt.Sprintf(fetched, quote(link))+"})") {
			t.Errorf("%s: nothing was fetched", name)
		}
	}
	s.mu.Lock()
	asked := strings.Count(s.said.String(), `"method":"GET","route":"/link/:token","status":200`)
	s.mu.Unlock()
	if asked < 4 {
		t.Errorf("the link was asked for %d times only", asked)
	}
	p.press("You have won")
	p.sees("This link signs you in as " + anna)
	if n := len(call(p, network.GetCookies, network.GetCookiesParams{}).Cookies); n != 0 {
		t.Errorf("%d cookies before anybody pressed the button", n)
	}
	p.press("Sign in as " + anna)
	p.until(who(anna))
	// The control: now it is used up, whoever asks.
	p.do(chromedp.Navigate(link))
	p.sees("This link does not work any more")
}

func TestThePageThatAsksSpeaksPolish(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	d := desktop
	d.lang = "pl"
	p := look(t, d, s.link("anna@firma.test"))
	p.until(who("anna@firma.test"))
	p.do(chromedp.Navigate(s.link("bartek@firma.test")))
	p.sees("W tej przeglądarce jest już zalogowana inna osoba")
	p.press("Zaloguj się jako bartek@firma.test")
	p.until(who("bartek@firma.test"))
	p.press("Dodaj konto zewnętrzne")
	p.sees("Wiadomości z tego konta będą trafiać do skrzynki bartek@firma.test.")
}

func TestSigningOutEndsTheSessionOnTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const anna = "anna@firma.test"
	p, other := look(t, desktop, s.link(anna)), look(t, desktop, s.link(anna))
	p.until(who(anna))
	other.until(who(anna))
	copied, others := p.cookie(), other.cookie()
	if got := s.whose(copied); got != alive { // The control: a copy is good until then.
		t.Fatalf("a copy of the cookie is answered %s", got)
	}
	p.press("Sign out")
	p.sees("Please sign in")
	p.eventually("the copy is over", func() bool { return s.whose(copied) == ended })
	if got := s.whose(others); got != alive {
		t.Errorf("the same user's session in another browser is answered %s", got)
	}
	// By the administrator the other one ends too, and its open page notices.
	s.run("sessions", "end", "--user", anna)
	other.until("document.querySelector('dialog[open]')")
	if got := s.whose(others); got != ended {
		t.Errorf("after all were ended the session is answered %s", got)
	}
}

// TestAUsedLinkLeadsBackWhoIsSignedIn to the own accounts, whatever became of the link.
func TestAUsedLinkLeadsBackWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const user = "anna@xn--w-uga1v8h.test"
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			link := s.link(user)
			p := look(t, dev, link)
			p.until(who("anna@żółw.test"))
			p.do(chromedp.Navigate(link))
			p.sees(said{"You are still signed in as anna@żółw.test.", "Nadal korzystasz z konta anna@żółw.test."}.in(dev))
			p.press(said{"Go to your external accounts", "Przejdź do swoich kont zewnętrznych"}.in(dev))
			p.until("location.pathname === '/' && " + who("anna@żółw.test"))

			stranger := look(t, dev, link) // The control.
			stranger.sees(said{"Go back to your mail and open", "Wróć do swojej poczty i otwórz"}.in(dev))
			if js[bool](stranger, "document.links.length > 0 || document.body.innerText.includes('anna')") {
				t.Errorf("nobody is signed in, and the page reads %s", stranger.reads())
			}
		})
	}
}
