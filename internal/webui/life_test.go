package webui_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// card finds the card of an account in the list.
func card(name string) string {
	return `[...document.querySelectorAll(".card")].find((c) => c.querySelector("h2").textContent === ` + quote(name) + `)`
}

// settings fills in the second step for a server that no preset knows.
func (p *tab) settings(host string, port int, user string) {
	p.tb.Helper()
	p.enter("Server", host)
	p.enter("Port", fmt.Sprint(port))
	p.enter("User name", user)
}

// begin goes through the first step.
func (p *tab) begin(email, password string) {
	p.tb.Helper()
	p.enter("E-mail address", email)
	p.press("Continue")
	p.enter("Password", password)
	p.press("Continue")
	p.until(labelled("Name of the account"))
}

func TestAnAccountsWholeLifeByMouse(t *testing.T) {
	t.Parallel()
	d := provider(t, 12, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	p := look(t, desktop, s.link(user))
	p.sees("Read all your mail in one place")
	p.press("Add an external account")
	p.enter("E-mail address", "anna.nowak@gmail.com")
	p.sees("Google recognised")
	p.enter("E-mail address", "anna@poczta.example.test")
	p.sees("We do not know poczta.example.test.")
	p.begin("anna@poczta.example.test", d.Users["anna"])
	p.enter("Name of the account", "Poczta")
	if got := p.holds("Folder"); got != "" {
		t.Errorf("the folder is not left to the server, but is %q", got)
	}
	p.enter("Your name", "Anna Nowak")
	p.settings("localhost", d.IMAPS, "anna")
	p.press("Check and add")
	p.until(card("Poczta"))
	p.hears("Poczta was added")
	p.sees("1 of 4 used")
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	p.sees("12 messages")
	if local := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", "anna")); len(local) != 12 {
		t.Errorf("%d messages arrived, want 12", len(local))
	}

	// The switch, and the button.
	p.press("Fetching on: Poczta")
	p.until(card("Poczta") + `?.dataset.state === "paused"`)
	p.press("Fetching on: Poczta")
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	before := js[string](p, "document.getElementById('said').textContent")
	p.press("Fetch now: Poczta")
	p.until("document.getElementById('said').textContent !== " + quote(before))

	// The account's page.
	p.press("Poczta")
	p.sees("Why is my mail not here?")
	p.sees("1 of 1 fetched")
	p.until("document.querySelector('.chart')")
	p.sees("None: no message was skipped.")

	// Editing, by the context menu.
	p.press("External accounts")
	x, y := p.place(card("Poczta"))
	p.do(chromedp.MouseClickXY(x, y, chromedp.ButtonType("right")))
	p.press("Edit")
	p.enter("Name of the account", "Domowa")
	p.press("Save")
	p.until("document.querySelector('h1').textContent === 'Domowa'")

	// Another protocol needs another port; the password serves no new host unless it is given.
	p.press("Edit")
	p.press("Only the inbox (POP3)")
	p.until(labelled("Port") + "?.value === '995'")
	p.enter("Port", fmt.Sprint(d.POP3S))
	p.enter("User name", "anna@elsewhere")
	p.press("Save")
	p.sees("enter the password again")
	if got := p.focused(); got != "password" {
		t.Errorf("the focus is on %q, want the password", got)
	}
	p.enter("User name", "anna")
	p.press("Save")
	p.until("document.querySelector('h1').textContent === 'Domowa' && document.querySelector('.badge').textContent === " +
		"'POP3'")

	// Deletion, the mail kept, then with the mail.
	p.press("External accounts")
	p.press("Delete Domowa")
	p.sees("Nothing is deleted at poczta.example.test")
	p.press("Cancel")
	p.press("Delete Domowa")
	p.press("Delete the account")
	p.hears("Domowa is deleted")
	p.sees("Read all your mail in one place")
	if local := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", "anna")); len(local) < 12 {
		t.Errorf("%d messages are left although they were to be kept", len(local))
	}
	p.quiet()
}

func TestAnAccountsWholeLifeByKeyboardAlone(t *testing.T) {
	t.Parallel()
	d := provider(t, 6, "anna")
	s := newSite(t, d.CA)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.sees("Read all your mail in one place")
	p.tabTo(named("Add an external account"))
	p.keys(kb.Enter)
	p.until("document.activeElement?.name === 'email'")
	p.keys("anna@poczta.example.test" + kb.Enter)
	p.until("document.activeElement?.name === 'password'")
	p.keys(d.Users["anna"] + kb.Enter)
	p.until("document.activeElement?.name === 'name'")
	p.keys("a", kb.ModifierCtrl)
	p.keys("Poczta")
	for field, text := range map[string]string{"Server": "localhost", "Port": fmt.Sprint(d.IMAPS), "User name": "anna"} {
		p.tabTo(labelled(field))
		p.keys("a", kb.ModifierCtrl)
		p.keys(text)
	}
	p.keys(kb.Enter)
	p.until(card("Poczta"))
	p.until(card("Poczta") + `?.dataset.state === "ok"`)

	// The menu by its button, with arrows, and back by Escape.
	p.tabTo(named("More for Poczta"))
	p.keys(kb.Enter)
	p.until("document.activeElement?.getAttribute('role') === 'menuitem'")
	p.keys(kb.Escape)
	p.until("document.activeElement === " + named("More for Poczta"))
	p.keys(kb.Enter + kb.ArrowDown + kb.ArrowDown)
	if got := p.focused(); got != "Edit" {
		t.Fatalf("two arrows down is %q", got)
	}
	p.keys(kb.Enter)
	p.until(labelled("Your name"))
	p.tabTo(labelled("Your name"))
	p.keys("Anna" + kb.Enter)
	p.until("document.querySelector('h1').textContent === 'Poczta'")

	// The switch by the space bar.
	p.tabTo(named("Fetching on: Poczta"))
	p.keys(" ")
	p.hears("Poczta is paused")
	p.tabTo(named("External accounts"))
	p.keys(kb.Enter)
	p.until(card("Poczta"))
	p.tabTo(named("Delete Poczta"))
	p.keys(kb.Enter)
	p.until("document.querySelector('dialog[open]')")
	p.tabTo(`document.querySelector("dialog input[value=keep]")`)
	p.keys(kb.ArrowDown)
	p.tabTo(named("Delete the account"))
	p.keys(kb.Enter)
	p.hears("Poczta is deleted")
	if local := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", "anna")); len(local) != 0 {
		t.Errorf("%d messages are left although they were to be deleted", len(local))
	}
	p.quiet()
}

func TestAnAccountsWholeLifeOnAPhone(t *testing.T) {
	t.Parallel()
	d := provider(t, 6, "anna")
	s := newSite(t, d.CA)
	p := look(t, phone, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.begin("anna@poczta.example.test", d.Users["anna"])
	p.enter("Name of the account", "Poczta")
	p.settings("localhost", d.IMAPS, "anna")
	p.press("New mail only")
	p.press("Check and add")
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	p.sees("0 messages")

	p.hold(card("Poczta") + `.querySelector(".facts")`)
	p.press("Edit")
	p.press("All mail")
	p.press("Save")
	p.until("document.querySelector('h1').textContent === 'Poczta'")
	p.sees("6 messages")
	p.press("Delete Poczta")
	p.press("Delete the account")
	p.sees("Read all your mail in one place")
	p.quiet()
}

func TestAWrongPasswordOrServerLeadsBackToItsFieldWithNothingLost(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.begin("anna@poczta.example.test", "nie to haslo")
	p.enter("Name of the account", "Poczta")
	p.enter("Your name", "Anna Nowak")
	p.settings("nie-ma-takiego.invalid", d.IMAPS, "anna")
	p.press("Check and add")
	p.sees("The server's name was not found")
	p.until("document.querySelectorAll('.steps .failed').length === 1")
	p.press("Fix it")
	p.until("document.activeElement?.name === 'server.host'")
	p.sees("Check the server's name for typing errors.")

	p.enter("Server", "localhost")
	p.press("Check and add")
	p.sees("The user name or the password was refused")
	if done := js[float64](p, "document.querySelectorAll('.steps .done').length"); done < 3 {
		t.Errorf("%v steps are ticked off before the one that failed", done)
	}
	p.press("Fix it")
	p.until("document.activeElement?.name === 'password'")
	p.sees("Enter the password again")
	p.enter("Password", d.Users["anna"])
	for label, want := range map[string]string{ // It is asked for beside the user name.
		"Name of the account": "Poczta", "Your name": "Anna Nowak",
		"Server": "localhost", "User name": "anna",
	} {
		if got := p.holds(label); got != want {
			t.Errorf("%s holds %q, want %q", label, got, want)
		}
	}
	p.press("Check and add")
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	p.quiet()
}

func TestASessionThatEndsInTheWizardLosesNothing(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.begin("anna@poczta.example.test", d.Users["anna"])
	p.enter("Name of the account", "Poczta")
	p.settings("localhost", d.IMAPS, "anna")
	p.forgetSession()
	p.until("!(document.getElementById('offline').hidden = false)")
	p.press("Check and add")
	p.sees("Your session has ended")
	p.until("document.getElementById('offline').hidden") // Nobody's connection is lost.
	p.press("I am signed in again")
	p.sees("Not signed in yet.")
	p.beside(s.link("anna@firma.test")).sees("Read all your mail in one place")
	if js[bool](p, "Boolean(document.querySelector('dialog[open]'))") {
		p.press("I am signed in again")
	}
	p.until("!document.querySelector('dialog[open]')")
	if got := p.holds("Name of the account"); got != "Poczta" {
		t.Errorf("the name is %q", got)
	}
	p.press("Check and add")
	p.until(card("Poczta") + `?.dataset.state === "ok"`)

	// In the same tab, too: all but the password is still there.
	p.press("Add an external account")
	p.begin("jan@poczta.example.test", "cokolwiek")
	p.enter("Name of the account", "Druga")
	p.forgetSession()
	p.do(chromedp.Navigate(s.addr + "/accounts/new"))
	p.sees("Please sign in")
	p.do(chromedp.Navigate(s.link("anna@firma.test")), chromedp.Navigate(s.addr+"/accounts/new"))
	if got := p.holds("Name of the account"); got != "Druga" {
		t.Errorf("the name is %q", got)
	}
	p.press("Check and add")
	p.until("document.activeElement?.name === 'password'")
	p.sees("Enter the password again")
	if kept := js[string](p, "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"); strings.Contains(
		kept, "cokolwiek") || strings.Contains(kept, d.Users["anna"]) {
		t.Error("a password is kept in the browser")
	}
}

func TestTheLimitIsSaidWhereverItIsReached(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "anna", "jan")
	s := newSite(t, d.CA, "ACCOUNTS_MAX_PER_USER=1")
	p := look(t, desktop, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.begin("anna@poczta.example.test", d.Users["anna"])
	p.enter("Name of the account", "Poczta")
	p.settings("localhost", d.IMAPS, "anna")
	s.add("anna@firma.test", d, "Inna", "imap", "jan")
	p.press("Check and add")
	p.sees("You cannot add another account")
	if got := p.holds("Name of the account"); got != "Poczta" {
		t.Errorf("the name is %q", got)
	}
	p.press("External accounts")
	p.until(card("Inna"))
	p.sees("1 of 1 used")
	p.sees("Delete one to add another")
	other := p.beside(s.addr + "/accounts/new")
	other.sees("You cannot add another account")
	other.sound("wizard-limit")
}

func TestThePageRecoversByItselfWhenTheServerIsRestartedDuringAFetch(t *testing.T) {
	t.Parallel()
	d := provider(t, 40, "anna")
	s := newSite(t, d.CA)
	proxy := mailtest.StartProxy(t, d.Addr("imaps"))
	p := look(t, desktop, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.begin("anna@poczta.example.test", d.Users["anna"])
	p.enter("Name of the account", "Poczta")
	p.settings("localhost", proxy.Port(), "anna")
	proxy.StallAfter(60_000)
	p.press("Check and add")
	p.until(card("Poczta") + `?.dataset.state === "fetching"`)
	p.until("document.querySelector('.card progress').checkVisibility()")
	p.sound("list-fetching")
	s.kill()
	p.sees("No connection to the server")
	proxy.Heal()
	s.serve()
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	p.until("document.getElementById('offline').hidden")
	p.sees("40 messages")
}

func TestASkippedMessageIsFetchedWhenAskedFor(t *testing.T) {
	t.Parallel()
	d := provider(t, 6, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna", map[string]any{"max_message_bytes": 1024})
	s.state(user, id, "ok")
	p := look(t, desktop, s.link(user))
	p.press("Poczta")
	p.until("document.querySelector('.skipped li')")
	p.sees("larger than the limit of 1 kB")
	before := js[float64](p, "document.querySelectorAll('.skipped li').length")
	p.hit("document.querySelector('.skipped li button')")
	p.until(fmt.Sprintf("document.querySelectorAll('.skipped li').length === %v", before-1))
	p.quiet()
}

func TestTwoTabsShowTheSame(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	p := look(t, desktop, s.link(user))
	p.sees("Read all your mail in one place")
	q := p.beside(s.addr + "/")
	q.sees("Read all your mail in one place")
	id := s.add(user, d, "Poczta", "imap", "anna")
	for _, tab := range []*tab{p, q} {
		tab.until(card("Poczta") + `?.dataset.state === "ok"`)
	}
	p.press("Fetching on: Poczta")
	q.until(card("Poczta") + `?.dataset.state === "paused"`)
	q.goTo("/accounts/" + id)
	p.press("Delete Poczta")
	p.press("Delete the account")
	q.sees("Read all your mail in one place")
	q.quiet()
}

func TestTheLanguageCanBeChangedInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.press("Add an external account")
	p.enter("E-mail address", "anna@gmail.com")
	p.sees("Google recognised")
	p.hit(labelled("E-mail address"))
	js[any](p, `(() => { const e = document.getElementById("language");
		e.value = "pl"; e.dispatchEvent(new Event("change")); return null; })()`)
	p.sees("Rozpoznano: Google")
	if got := p.holds("Adres e-mail"); got != "anna@gmail.com" {
		t.Errorf("the address is %q", got)
	}
	p.do(chromedp.Reload())
	p.sees("Dodaj konto zewnętrzne")

	// What the server says of a field is in the page's language, too: newcomer 3.
	p.enter("Adres e-mail", "anna@dostawca.test")
	p.press("Dalej")
	p.enter("Hasło", "cokolwiek")
	p.press("Dalej")
	p.until(labelled("Folder"))
	p.enter("Folder", "Praca//Stare")
	p.press("Sprawdź i dodaj")
	p.sees("Część nazwy folderu jest pusta: usuń zbędny ukośnik.")
}

func TestBothLanguagesHaveTheSameTextsWithAllPlurals(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := look(t, desktop, s.addr+"/")
	p.sees("Please sign in")
	p.sound("signed-out")
	base := js[string](p, `document.querySelector("script[src]").src.replace(/app\.js$/, "")`)
	wrong := js[string](p, `Promise.all(["en", "pl"].map((l) => import(`+quote(base)+
		` + "i18n/" + l + ".js"))).then(([en, pl]) => {
		const bad = [];
		for (const k of new Set([...Object.keys(en.default), ...Object.keys(pl.default)])) {
			const e = en.default[k], q = pl.default[k];
			if (e === undefined || q === undefined) { bad.push(k + " is in one language only"); continue; }
			if (typeof e !== typeof q) bad.push(k + " has plurals in one language only");
			for (const [lang, v] of [["en", e], ["pl", q]]) if (typeof v === "object")
				for (const c of new Intl.PluralRules(lang).resolvedOptions().pluralCategories)
					if (!v[c]) bad.push(k + " lacks " + c + " in " + lang);
			const names = (v) => [...new Set(JSON.stringify(v).match(/\{\w+\}/g) || [])].sort().join();
			if (names(e) !== names(q) && typeof e === "string") bad.push(k + " fills in " + names(e) + " and " + names(q));
		}
		return bad.join("; ");
	})`)
	if wrong != "" {
		t.Error(wrong)
	}
	// Every text that the pages name exists.
	entries, err := os.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	known := js[map[string]any](p, `import(`+quote(base)+` + "i18n/en.js").then((m) => m.default)`)
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".js" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("assets", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range usedText.FindAllStringSubmatch(string(text), -1) {
			if _, ok := known[m[1]]; !ok && !strings.HasSuffix(m[1], ".") {
				t.Errorf("%s names the text %q, which does not exist", e.Name(), m[1])
			}
		}
	}
}
