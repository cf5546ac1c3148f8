package webui_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

const gmail = "anna.nowak@gmail.com"

// signInSite is an installation whose users sign in at a provider that is a
// test's, with the mail server that takes its word for it.
func signInSite(t *testing.T, messages int) (*site, *mailtest.OAuth, *mailtest.Dovecot) {
	t.Helper()
	ca := mailtest.NewCA(t)
	o := mailtest.StartOAuth(t, ca, gmail)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		CA: ca, Users: map[string]string{gmail: "nie-do-zgadniecia"},
		Extra: append(o.Dovecot(t), patientWithErrors...),
	})
	mailtest.Fill(t, d, gmail, mailtest.Corpus(31, messages, true))
	return newSite(
		t, ca, "WEB_PUBLIC_URL={addr}", "OAUTH_GOOGLE_CLIENT_ID="+o.ClientID, "OAUTH_GOOGLE_CLIENT_SECRET="+o.ClientSecret,
		"OAUTH_GOOGLE_AUTHORIZE_URL="+o.AuthorizeURL, "OAUTH_GOOGLE_TOKEN_URL="+o.TokenURL, "OAUTH_GOOGLE_ISSUER="+o.Issuer,
		"OAUTH_GOOGLE_HOSTS=localhost",
		"OAUTH_MICROSOFT_CLIENT_ID=x",
	), o, d
}

// onThePage waits for the provider's page.
func (p *tab) onThePage() {
	p.tb.Helper()
	p.until(`document.querySelector("h1")?.textContent === "The provider's own page"`)
}

// TestSigningInOnTheProvidersPage: an account without a password, from the
// wizard to the day on which its permission is withdrawn, and on from there.
func TestSigningInOnTheProvidersPage(t *testing.T) {
	t.Parallel()
	s, o, d := signInSite(t, 9)
	const user = "anna@firma.test"
	arrived := func(want int) {
		t.Helper()
		if local := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", "anna")); len(local) != want {
			t.Errorf("%d messages arrived, want %d", len(local), want)
		}
	}
	p := look(t, desktop, s.link(user))
	p.press("Add an external account")

	// Where there is only the provider's page, nothing else is asked for.
	p.enter("E-mail address", "anna@outlook.com")
	p.press("Continue")
	p.until(named("Sign in with Outlook.com"))
	if js[bool](p, "Boolean("+labelled("Password")+" || "+named("Continue")+")") {
		t.Error("a password is asked for that the provider does not take")
	}

	// There, not allowed, and back by hand: what was typed is still there.
	p.enter("E-mail address", gmail)
	p.press("Continue")
	p.press("Sign in with Google")
	p.onThePage()
	p.sees(gmail)
	p.press("Do not allow")
	p.sees("You did not allow access at the provider")
	p.press("Go back and try again")
	p.until(labelled("E-mail address") + "?.value === " + quote(gmail))
	p.press("Sign in with Google")
	p.onThePage()
	p.press("Allow")
	p.sees("You are signed in at Google as " + gmail)
	p.enter("Name of the account", "Poczta")
	js[any](p, "document.querySelector('.advanced').open = true; null")
	p.enter("Server", "localhost")
	p.enter("Port", fmt.Sprint(d.IMAPS))

	// Back to the first step, where nothing is left to be done.
	p.press("Back")
	p.sees("You are signed in at Google as " + gmail)
	p.press("Continue")
	if got := p.holds("Name of the account"); got != "Poczta" {
		t.Errorf("the name is %q after going back and forth", got)
	}
	p.press("Check and add")
	p.until(card("Poczta"))
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	arrived(9)

	// The user withdraws the permission.
	o.Revoke()
	mailtest.Fill(t, d, gmail, mailtest.Corpus(32, 4, true))
	p.press("Fetch now: Poczta")
	p.until(card("Poczta") + `?.dataset.state === "needs_attention"`)
	p.press("Fix it: Poczta")
	p.press("Sign in again")
	p.onThePage()

	// Signed in as somebody else by mistake, it is said before anything happens.
	o.As("jan@gmail.com")
	p.do(chromedp.Reload())
	p.onThePage()
	p.press("Allow")
	p.sees("That is another account")
	p.sees("You signed in as jan@gmail.com")
	o.As(gmail)
	p.press("Sign in again")
	p.onThePage()
	p.press("Allow")
	p.sees("You are signed in at Google as " + gmail)
	p.press("Continue fetching " + gmail)
	p.until("document.querySelector('h1').textContent === 'Poczta'")
	p.until("document.querySelector('.why .notice.good')")
	arrived(13)
	p.quiet()
}

func TestSigningInOnTheProvidersPageByKeyboardAlone(t *testing.T) {
	t.Parallel()
	s, _, d := signInSite(t, 5)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.tabTo(named("Add an external account"))
	p.keys(kb.Enter)
	p.until("document.activeElement?.name === 'email'")
	p.keys(gmail + kb.Enter)
	p.tabTo(named("Sign in with Google"))
	p.keys(kb.Enter)
	p.onThePage()
	p.tabTo(named("Allow"))
	p.keys(kb.Enter)
	p.until("document.activeElement?.name === 'name'")
	for field, text := range map[string]string{"Server": "localhost", "Port": fmt.Sprint(d.IMAPS)} {
		js[any](p, "document.querySelector('.advanced').open = true; null")
		p.tabTo(labelled(field))
		p.keys("a", kb.ModifierCtrl)
		p.keys(text)
	}
	p.keys(kb.Enter)
	p.until(card("Google") + `?.dataset.state === "ok"`)
	p.quiet()
}

func TestThePagesForSigningInAreAccessible(t *testing.T) {
	t.Parallel()
	s, o, d := signInSite(t, 3)
	const user = "anna@firma.test"
	for _, dev := range looks {
		t.Run(dev.name, func(t *testing.T) {
			w := map[string][]string{
				"en": {"Sign in with Google", "Sign in again", "Use jan@gmail.com"},
				"pl": {"Zaloguj się przez Google", "Zaloguj się ponownie", "Użyj jan@gmail.com"},
			}[dev.lang]
			p := look(t, dev, s.link(user))
			p.until("document.querySelector('main h1')")
			p.goTo("/accounts/new")
			p.until("document.activeElement?.name === 'email'")
			p.keys(gmail + kb.Enter)
			p.until(named(w[0]))
			p.sound("wizard-1-signin")
			o.As("jan@gmail.com")
			p.press(w[0])
			p.onThePage()
			p.press("Allow")
			p.until(named(w[2]))
			p.sound("wizard-2-differs")
			p.press(w[2])
			p.until("document.querySelector('.whose .notice.good')")
			p.sound("wizard-2-signed-in")
			o.As(gmail)

			id := s.granted(user, p, d)
			p.goTo("/accounts/" + id + "/edit")
			p.until(named(w[1]))
			p.sound("edit-signin")
			p.press(w[1])
			p.onThePage()
			p.press("Allow")
			p.until("document.querySelector('.arrived button')")
			p.sound("edit-signed-in")
			s.ask(user, "DELETE", "/v1/accounts/"+id+"?mail=delete", nil)
			p.quiet()
		})
	}
}

// granted adds an account without a password, with what the user of a page
// allows beside it, and returns its id.
func (s *site) granted(user string, p *tab, d *mailtest.Dovecot) string {
	s.tb.Helper()
	q := p.beside(s.addr + "/accounts/new?email=" + gmail)
	q.until("document.querySelector('.signin button')?.checkVisibility()")
	q.hit("document.querySelector('.signin button')")
	q.onThePage()
	q.press("Allow")
	q.until("JSON.parse(sessionStorage.getItem('mailbrook.wizard'))?.grant")
	a := s.ask(user, "POST", "/v1/accounts", map[string]any{
		"email": gmail, "oauth_grant": js[string](q, "JSON.parse(sessionStorage.getItem('mailbrook.wizard')).grant.id"),
		"server": map[string]any{"host": "localhost", "port": d.IMAPS, "security": "tls"},
	})
	return fmt.Sprint(a["id"])
}
