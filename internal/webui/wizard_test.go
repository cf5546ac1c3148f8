package webui_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var noPassword = `![...document.querySelectorAll("input[type=password]")].some((e) => e.checkVisibility())`

// TestTheAddressComesFirstThenTheProvidersWay: step 1 asks for the address
// alone, then for what its provider takes, with a how-to of three lines.
func TestTheAddressComesFirstThenTheProvidersWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			p.until(labelled(sayEmail.in(dev)) + " && " + noPassword)
			p.sound("wizard-address")

			// An app password, with what to do before, and nothing about POP3.
			p.enter(sayEmail.in(dev), "anna@gmail.com")
			p.sees(said{"Google recognised", "Rozpoznano: Google"}.in(dev))
			p.until(noPassword)
			p.press(sayContinue.in(dev))
			p.until(labelled(said{"App password", "Hasło do aplikacji"}.in(dev)) + " === document.activeElement")
			p.sees(said{"Make an app password there.", "Utwórz tam hasło do aplikacji."}.in(dev))
			if n := js[float64](p, `document.querySelectorAll(".howto .numbered li").length`); n != 3 {
				t.Errorf("the how-to has %v lines", n)
			}
			p.sound("wizard-app-password")
			p.until("!document.querySelector('main').innerText.includes('POP3')")
			p.keys("abcd efgh" + kb.Enter)
			p.until(labelled(sayName.in(dev)))
			advice := said{"Over POP3 Google shows", "Przez POP3 Google pokazuje"}.in(dev)
			p.until("!document.body.innerText.includes(" + quote(advice) + ")")
			p.press(said{"Only the inbox (POP3)", "Tylko skrzynka odbiorcza (POP3)"}.in(dev))
			p.sees(advice)
			p.sound("wizard-pop3")
			p.press(said{"Back", "Wstecz"}.in(dev))

			// The mailbox's own password.
			p.enter(sayEmail.in(dev), "anna@onet.pl")
			p.until(noPassword)
			p.press(sayContinue.in(dev))
			if got := p.holds(sayPassword.in(dev)); got != "" {
				t.Errorf("the password of one address is kept for another: %q", got)
			}
			if twice := js[bool](p, `(() => { const a = [...document.querySelectorAll(".howto a")].map((e) => e.href);
				return new Set(a).size !== a.length; })()`); twice {
				t.Error("two links of the how-to lead to one page")
			}

			// No dead end: what takes no password asks for none, and there is a way round.
			p.enter(sayEmail.in(dev), "anna@outlook.com")
			p.press(sayContinue.in(dev))
			p.sees(said{"Outlook.com cannot be added here", "Poczty Outlook.com nie można tu dodać"}.in(dev))
			p.sees(said{"Enter anna@firma.test as the address to", "Wpisz anna@firma.test jako adres docelowy."}.in(dev))
			p.until(noPassword + " && !" + named(sayContinue.in(dev)))
			p.until(`document.querySelector(".way a[href^='https://support.microsoft.com/']")`)
			p.sound("wizard-forwarding")
			tiles := `document.querySelector(".tiles")?.checkVisibility()`
			p.press(said{"Another address", "Inny adres"}.in(dev))
			p.until(tiles + " && " + labelled(sayEmail.in(dev)) + ".value === '' && !document.querySelector('.way .notice')")

			// Who starts over from the list begins with nothing; a page that is loaded again is as it was.
			p.enter(sayEmail.in(dev), "anna@outlook.com")
			p.press(sayContinue.in(dev))
			p.until("document.querySelector('.way .numbered') && !" + tiles)
			p.do(chromedp.Reload())
			p.until("document.querySelector('.way .numbered') && !" + tiles)
			p.press(said{"External accounts", "Konta zewnętrzne"}.in(dev))
			p.until("document.querySelector('.empty')")
			p.press(sayAdd.in(dev))
			p.until(tiles + " && " + labelled(sayEmail.in(dev)) + ".value === ''")
			p.quiet()
		})
	}
}

// TestAMistypedDomainIsAskedAbout before any password can be typed.
func TestAMistypedDomainIsAskedAbout(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			for typed, meant := range map[string]string{"gmial.com": "gmail.com", "gmail.con": "gmail.com", "wp.p": "wp.pl"} {
				p.enter(sayEmail.in(dev), "jan@"+typed)
				p.sees(said{"Did you mean " + meant + "?", "Czy chodziło o " + meant + "?"}.in(dev))
				p.press(sayContinue.in(dev)) // Is no answer.
				p.until("document.activeElement?.closest('.recognised') && " + noPassword)
				p.press(said{"Yes, jan@" + meant, "Tak, jan@" + meant}.in(dev))
				p.until(labelled(sayEmail.in(dev)) + ".value === " + quote("jan@"+meant))
				p.until("!document.querySelector('.recognised .warn') && " + noPassword)
			}
			p.enter(sayEmail.in(dev), "jan@gmial.com")
			p.sees("gmail.com?")
			p.sound("wizard-slip")

			// The control: who says that it is right is asked for the password.
			p.press(said{"No, gmial.com is right", "Nie, gmial.com jest poprawne"}.in(dev))
			p.press(sayContinue.in(dev))
			p.until(labelled(sayPassword.in(dev)))
			p.quiet()
		})
	}
}

// TestAMistypedDomainIsAskedAboutInAnEditToo: the address is saved as it was meant, or as it stands when it is said to
// be right, which is the control.
func TestAMistypedDomainIsAskedAboutInAnEditToo(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d)
			email := func() any { return s.ask(user, "GET", "/v1/accounts/"+id, nil)["email"] }
			before := email()
			p := look(t, dev, s.link(user))
			save := func(address string) {
				p.goTo("/accounts/" + id + "/edit")
				p.enter(sayEmail.in(dev), address)
				p.press(said{"Save", "Zapisz"}.in(dev))
				p.sees(said{"Did you mean ", "Czy chodziło o "}.in(dev))
				p.until("document.activeElement?.closest('.trouble-box')")
				if got := email(); got != before {
					t.Errorf("it was saved as %v unasked", got)
				}
			}
			saved := func(want string) {
				p.press(said{"Save", "Zapisz"}.in(dev))
				p.until("location.pathname === " + quote("/accounts/"+id))
				if before = email(); before != want {
					t.Errorf("it is %v, want %s", before, want)
				}
			}
			save("ewa.lis@gmial.com")
			p.sound("edit-slip")
			p.press(said{"Yes, ewa.lis@gmail.com", "Tak, ewa.lis@gmail.com"}.in(dev))
			saved("ewa.lis@gmail.com")
			save("ewa.lis@wp.p")
			p.press(said{"No, wp.p is right", "Nie, wp.p jest poprawne"}.in(dev))
			saved("ewa.lis@wp.p")
			p.quiet()
		})
	}
}

// TestAProviderIsChosenByName by who does not know that an address tells it.
func TestAProviderIsChosenByName(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			for _, name := range []string{
				"Google", "AOL", "Yahoo", "Outlook", "WP", "Onet", "o2", "Interia", "OVH", "home.pl", "Forpsi",
				said{"Another one", "Inny"}.in(dev),
			} {
				p.until(named(name))
			}
			p.press("Forpsi")
			p.until("document.activeElement?.name === 'email'")
			p.enter(sayEmail.in(dev), "biuro@mala-firma.test")
			p.sees(said{"Chosen: Forpsi", "Wybrano: Forpsi"}.in(dev))
			p.press("OVH")
			p.until("document.querySelector('.recognised').innerText.includes('OVH')")
			p.press("Forpsi")
			p.until("document.querySelector('.recognised').innerText.includes('Forpsi')")
			p.press(sayContinue.in(dev))
			p.enter(sayPassword.in(dev), "haslo")
			p.press(sayContinue.in(dev))
			if got := p.holds(sayName.in(dev)); got != "mala-firma.test" {
				t.Errorf("the account would be called %q", got)
			}
			js[any](p, "document.querySelector('.advanced').open = true; null")
			if got := p.holds(sayServer.in(dev)); got != "imap.mala-firma.test" {
				t.Errorf("the server would be %q", got)
			}
			p.quiet()
		})
	}
}

// TestAChosenProviderCanBeTakenBack and is not there any more for who comes back to the page.
func TestAChosenProviderCanBeTakenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("anna@firma.test"))
			chosen := said{"Chosen: Outlook", "Wybrano: Outlook"}.in(dev)
			tiles := `document.querySelector(".tiles").checkVisibility()`
			choose := func(email string) {
				p.until(named("Outlook"))
				p.press("Outlook")
				p.enter(sayEmail.in(dev), email)
				p.sees(chosen)
				p.press(sayContinue.in(dev))
				p.until("!" + tiles + " && !" + named(sayContinue.in(dev)))
			}
			p.press(sayAdd.in(dev))
			choose("jan@dostawca.test")
			p.press(said{"Not Outlook? Choose another provider", "To nie Outlook? Wybierz innego dostawcę"}.in(dev))
			p.until(tiles + " && document.activeElement?.dataset.id === 'google' && " + named(sayContinue.in(dev)))
			p.until(`!document.querySelector('.recognised').innerText.includes("Outlook")`)

			choose("jan@dostawca.test")
			p.do(chromedp.Reload())
			p.until(named(sayContinue.in(dev)) + " && " + tiles + ` && document.querySelector('.recognised').innerText` +
				` && !document.querySelector('.recognised').innerText.includes("Outlook")`)

			// The control: what an address shows is no choice, and is shown again.
			p.enter(sayEmail.in(dev), "jan@gmail.com")
			p.sees(said{"Google recognised", "Rozpoznano: Google"}.in(dev))
			p.until("!" + tiles) // They would change nothing.
			p.do(chromedp.Reload())
			p.sees(said{"Google recognised", "Rozpoznano: Google"}.in(dev))
			p.until("!" + named(said{"Not Google? Choose another provider", "To nie Google? Wybierz innego dostawcę"}.in(dev)))
			p.quiet()
		})
	}
}
