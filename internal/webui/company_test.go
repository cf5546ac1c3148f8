package webui_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// owners are how mailbox owners look at the pages.
var owners = []device{
	{name: "desktop-en", width: 1280, height: 800, lang: "en"},
	{name: "desktop-pl", width: 1280, height: 800, lang: "pl"},
	{name: "phone-en", width: 360, height: 740, phone: true, lang: "en"},
	{name: "phone-pl", width: 360, height: 740, phone: true, lang: "pl"},
}

// some are all in make test, and the first and the last in make quick: of the owners one
// on each kind of device, in each language.
func some(tb testing.TB, all []device) []device {
	tb.Helper()
	if n := len(all); mailtest.Few(tb, n, 2) < n {
		return []device{all[0], all[n-1]}
	}
	return all
}

// said is a text in the languages of the pages.
type said struct{ en, pl string }

func (w said) in(d device) string {
	if d.lang == "pl" {
		return w.pl
	}
	return w.en
}

var (
	sayAdd      = said{"Add an external account", "Dodaj konto zewnętrzne"}
	sayEmail    = said{"E-mail address", "Adres e-mail"}
	sayPassword = said{"Password", "Hasło"}
	sayContinue = said{"Continue", "Dalej"}
	sayFinish   = said{"Check and add", "Sprawdź i dodaj"}
	sayName     = said{"Name of the account", "Nazwa konta"}
	sayServer   = said{"Server", "Serwer"}
)

// TestACompanysMailboxTakesAnAddressAndAPassword: for a domain that nothing is
// known of, the name and the folder are found by the server, dots and all.
func TestACompanysMailboxTakesAnAddressAndAPassword(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			local := fmt.Sprintf("firma%d", i)
			user, domain := local+"@dom.test", local+".mala-firma.test"
			p := look(t, dev, s.link(user))
			p.press(sayAdd.in(dev))
			p.enter(sayEmail.in(dev), "anna@"+domain)
			p.press(sayContinue.in(dev))
			p.enter(sayPassword.in(dev), d.Users["anna"])
			p.press(sayContinue.in(dev))
			if got := p.holds(sayName.in(dev)); got != domain {
				t.Errorf("the account would be called %q", got)
			}
			mapped := local + "_mala-firma_test"
			if got := js[string](p, labelled("Folder")+".value + '|' + "+labelled("Folder")+".placeholder"); got != "|"+mapped {
				t.Errorf("the folder's field holds %q", got)
			}
			p.sound("wizard-2-company")

			// What is refused says why, in the page's language, and where.
			p.enter("Folder", "Trash")
			js[any](p, "document.querySelector('.advanced').open = true; null")
			p.enter(sayServer.in(dev), "localhost")
			p.enter("Port", fmt.Sprint(d.IMAPS))
			p.enter(said{"User name", "Nazwa użytkownika"}.in(dev), "anna")
			p.press(sayFinish.in(dev))
			p.sees(said{
				"Every mailbox has a folder of this name, for mail of your own: choose another name.",
				"Taki folder jest już w każdej skrzynce, na jej własną pocztę: wybierz inną nazwę.",
			}.in(dev))
			if got := p.focused(); got != "folder" {
				t.Errorf("the focus is on %q, want the folder", got)
			}
			p.until(`(() => {
				const r = document.activeElement.closest(".field").querySelector(".error").getBoundingClientRect();
				return r.height > 0 && r.top >= 0 && r.bottom <= innerHeight && r.right <= innerWidth;
			})()`)

			// Left to the server again, it is taken.
			js[any](p, labelled("Folder")+".select(); null")
			p.keys("\b")
			p.press(sayFinish.in(dev))
			p.until(card(domain) + `?.dataset.state === "ok"`)
			if _, err := os.Stat(filepath.Join(s.data(), "mail", "dom.test", local, "."+mapped)); err != nil {
				t.Error(err)
			}

			// A second one, in a folder of the user's choice with a dot in it.
			p.press(sayAdd.in(dev))
			p.enter(sayEmail.in(dev), "ola@"+domain)
			p.press(sayContinue.in(dev))
			p.enter(sayPassword.in(dev), "haslo")
			p.press(sayContinue.in(dev))
			if got := p.holds(sayName.in(dev)); got != domain+" 2" {
				t.Errorf("the second account would be called %q", got)
			}
			p.quiet()
		})
	}
}
