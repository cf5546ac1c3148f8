package webui_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	presets "github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	texts "github.com/mailbrook/mailbrook/internal/words"
)

// redirected is the program with an internet of the tests', made once.
var redirected = mailtest.Program{Redirected: true}

// windows are how the wizard is looked at where it is gone through many times.
var windows = func() (all []device) {
	for i := range 12 {
		lang, width, light := []string{"en", "pl"}[i%2], []int64{360, 768, 1280}[i%3], []string{"light", "dark"}[i/6]
		all = append(all, device{
			name: fmt.Sprintf("%s-%d-%s", lang, width, light), width: width, height: 800, phone: width == 360, lang: lang,
			dark: light == "dark",
		})
	}
	return all
}()

// mailboxes are somebody's at one provider each, all served by one Dovecot.
type mailboxes struct {
	*mailtest.Dovecot
	net  *mailtest.Elsewhere
	mail map[string][]mailtest.Message // By user name.
}

// startMailboxes serves mailboxes with some mail in them, at hosts of these names.
func startMailboxes(t *testing.T, o mailtest.DovecotOptions, users, hosts []string) *mailboxes {
	t.Helper()
	if o.CA == nil {
		o.CA = mailtest.NewCA(t)
	}
	o.Users = map[string]string{}
	for i, u := range users {
		o.Users[u] = fmt.Sprintf("tajne-%d-Qx", i)
	}
	// User names are what the wizard makes of addresses, to the letter.
	o.Extra = append(append(o.Extra, "auth_username_format = %u", "auth_username_chars ="), patientWithErrors...)
	o.Certificate = o.CA.Server(hosts...)
	m := &mailboxes{mailtest.StartDovecot(t, o), mailtest.NewElsewhere(t), map[string][]mailtest.Message{}}
	for i, u := range users {
		m.mail[u] = mailtest.Corpus(uint64(i+1), 3, false)
		mailtest.Fill(t, m.Dovecot, u, m.mail[u])
	}
	for _, h := range hosts {
		m.net.Hosts[h] = &m.Server
	}
	return m
}

var sayAppPassword = said{"App password", "Hasło do aplikacji"}

// site serves an installation for which these mailboxes are on the internet.
func (m *mailboxes) site(t *testing.T, further ...string) *site {
	t.Helper()
	s := unservedSite(t)
	s.path = redirected.Path(t)
	s.env = append(s.env, "MAILBROOK_REMOTE_CA_FILE="+m.CA.File, "MAILBROOK_ACCOUNTS_MAX_PER_USER=100", m.net.Env())
	for _, f := range further {
		s.env = append(s.env, "MAILBROOK_"+strings.ReplaceAll(f, "{addr}", s.addr))
	}
	s.serve()
	return s
}

// at is a mailbox at a provider.
type at struct {
	presets.Provider
	email string
}

// domain is one of whose addresses the provider is known, or somebody's own.
func domain(p presets.Provider) string {
	if len(p.Domains) > 0 {
		return p.Domains[0]
	}
	return p.ID + "-firma.test"
}

func everywhere(t *testing.T) (all []at) {
	t.Helper()
	catalog, err := presets.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range catalog.All() {
		all = append(all, at{p, p.ID + "@" + domain(p)})
	}
	return all
}

// host is where the mailbox is: of the provider, or one that its user has to know.
func (b at) host() string {
	servers := b.ServersFor(b.email)
	for _, proto := range []remote.Protocol{remote.IMAP, remote.POP3} {
		if s, ok := servers[proto]; ok {
			return s.Host
		}
	}
	return "mail." + domain(b.Provider)
}

// byAddress reports whether the address tells the provider.
func (b at) byAddress() bool { return len(b.Domains)+len(b.MX) > 0 }

// TestTheWizardLeadsToTheMailOfEveryPreset by the address and what the provider
// takes from its users, without any other setting where it is known; where nothing
// leads to the mail that is said, and no password is asked for.
func TestTheWizardLeadsToTheMailOfEveryPreset(t *testing.T) {
	t.Parallel()
	all := everywhere(t)
	var users, hosts []string
	for _, b := range all {
		users, hosts = append(users, b.Username(b.email)), append(hosts, b.host())
	}
	m := startMailboxes(t, mailtest.DovecotOptions{}, users, hosts)
	for _, b := range all {
		if len(b.Domains) == 0 && len(b.MX) > 0 {
			m.net.Exchangers[domain(b.Provider)] = b.MX[0]
		}
	}
	s := m.site(t)
	for i, dev := range windows {
		t.Run(dev.name, func(t *testing.T) {
			t.Parallel()
			user := fmt.Sprintf("anna%d@dom.test", i)
			s := s.in(t)
			p := look(t, dev, s.link(user))
			for k := i; k < len(all); k += len(windows) {
				p.preset(m, all[k], user)
			}
			p.quiet()
			m.arrived(t, s, user)
		})
	}
}

// TestTheWizardLeadsToTheMailOfEveryPresetBySigningIn on the provider's page, where
// the operator has a registration there; a password is offered beside it only where
// the provider takes one, under its right name.
func TestTheWizardLeadsToTheMailOfEveryPresetBySigningIn(t *testing.T) {
	t.Parallel()
	var all []at
	var users, hosts, registered []string
	ca := mailtest.NewCA(t)
	o := mailtest.StartOAuth(t, ca, "")
	for _, b := range everywhere(t) {
		if b.OAuth == "" {
			continue
		}
		all, users, hosts = append(all, b), append(users, b.email), append(hosts, b.host())
		id := "OAUTH_" + strings.ToUpper(b.OAuth) + "_"
		registered = append(registered, id+"CLIENT_ID="+o.ClientID, id+"CLIENT_SECRET="+o.ClientSecret,
			id+"AUTHORIZE_URL="+o.AuthorizeURL, id+"TOKEN_URL="+o.TokenURL, id+"ISSUER="+o.Issuer)
	}
	m := startMailboxes(t, mailtest.DovecotOptions{CA: ca, Extra: o.Dovecot(t)}, users, hosts)
	s := m.site(t, append(registered, "WEB_PUBLIC_URL={addr}")...)
	for i, dev := range windows {
		t.Run(dev.name, func(t *testing.T) {
			t.Parallel()
			user := fmt.Sprintf("anna%d@dom.test", i)
			s := s.in(t)
			p := look(t, dev, s.link(user))
			for k := i; k < len(all); k += len(windows) {
				p.signsIn(all[k])
			}
			p.quiet()
			m.arrived(t, s, user)
		})
	}
}

// signsIn adds the mailbox at one provider by signing in on its page.
func (p *tab) signsIn(b at) {
	p.tb.Helper()
	p.press(sayAdd.in(p.dev))
	p.until(labelled(sayEmail.in(p.dev)) + " && " + noPassword)
	p.enter(sayEmail.in(p.dev), b.email)
	p.press(sayContinue.in(p.dev))
	name := b.DisplayName(texts.Language(p.dev.lang))
	there := said{"Sign in with " + name, "Zaloguj się przez " + name}.in(p.dev)
	p.until(named(there) + " === document.activeElement")
	app, own := sayAppPassword.in(p.dev), sayPassword.in(p.dev)
	orApp := said{"or use an app password:", "albo użyj hasła do aplikacji:"}.in(p.dev)
	orOwn := said{"or use the password:", "albo użyj hasła:"}.in(p.dev)
	shows := func(text string) string { return "document.body.innerText.includes(" + quote(text) + ")" }
	switch {
	case b.NeedsOAuth():
		p.until(noPassword + " && !" + shows(orApp) + " && !" + shows(orOwn))
	case b.NeedsAppPassword():
		p.until(labelled(app) + " && " + shows(orApp))
	default:
		p.until(labelled(own) + " && " + shows(orOwn))
	}
	p.fits(b.ID)
	p.press(there)
	p.onThePage()
	p.press("Allow")
	called := p.holds(sayName.in(p.dev))
	p.until(`document.querySelector(".whose .good").textContent.includes(` + quote(b.email) + ")")
	p.fits(b.ID)
	p.press(sayFinish.in(p.dev))
	p.until(card(called) + `?.dataset.state === "ok"`)
}

// preset adds the mailbox at one provider, from the list and back to it.
func (p *tab) preset(m *mailboxes, b at, user string) {
	p.tb.Helper()
	p.press(sayAdd.in(p.dev))
	p.until(labelled(sayEmail.in(p.dev)) + " && " + noPassword)
	p.enter(sayEmail.in(p.dev), b.email)
	name := b.DisplayName(texts.Language(p.dev.lang))
	if b.byAddress() {
		p.sees(said{name + " recognised", "Rozpoznano: " + name}.in(p.dev))
	}
	p.until(noPassword)
	p.press(sayContinue.in(p.dev))
	if b.NeedsOAuth() || b.Unsupported() {
		p.sees(said{name + " cannot be added here", "Poczty " + name + " nie można tu dodać"}.in(p.dev))
		p.sees(said{"Enter " + user + " as the address to", "Wpisz " + user + " jako adres docelowy."}.in(p.dev))
		p.until(noPassword + " && !" + named(sayContinue.in(p.dev)))
		p.fits(b.ID)
		p.press(said{"External accounts", "Konta zewnętrzne"}.in(p.dev))
		p.until(named(sayAdd.in(p.dev)))
		return
	}
	word := sayPassword
	if b.NeedsAppPassword() {
		word = sayAppPassword
	}
	p.until(labelled(word.in(p.dev)) + " === document.activeElement")
	if steps := b.Steps(texts.Language(p.dev.lang)); b.byAddress() {
		for _, step := range steps {
			p.sees(step)
		}
	}
	p.fits(b.ID)
	p.enter(word.in(p.dev), m.Users[b.Username(b.email)])
	p.press(sayContinue.in(p.dev))
	called := p.holds(sayName.in(p.dev))
	if want := p.folder(); called == "" || want == "" {
		p.tb.Errorf("%s: the account would be called %q, in the folder %q", b.ID, called, want)
	}
	if !b.byAddress() || len(b.ServersFor(b.email)) == 0 {
		p.open()
		p.enter(sayServer.in(p.dev), b.host())
	}
	p.fits(b.ID)
	p.press(sayFinish.in(p.dev))
	p.until(card(called) + `?.dataset.state === "ok"`)
	p.until(card(called) + `.textContent.includes(` + quote(b.email) + ")")
}

// folder is the folder that the account would have.
func (p *tab) folder() string {
	p.tb.Helper()
	field := labelled(sayFolder.in(p.dev))
	return js[string](p, field+".value || "+field+".placeholder")
}

// open unfolds the server's settings.
func (p *tab) open() {
	p.tb.Helper()
	js[any](p, "document.querySelector('.advanced').open = true; null")
}

// fits fails the test if the page is wrong.
func (p *tab) fits(where string) {
	p.tb.Helper()
	if wrong := p.wrong(); wrong != "" {
		p.tb.Errorf("%s, %s: %s", where, p.dev.name, wrong)
	}
}

// wrong says what is wrong with the page as it is: something that is refused, or is
// in the other language, or stands out of the window.
func (p *tab) wrong() string {
	p.tb.Helper()
	return js[string](p, `(async () => {
		const seen = (e) => e.checkVisibility({visibilityProperty: true});
		const bad = [...document.querySelectorAll("[aria-invalid], .notice.bad, .error")].filter(seen)
			.map((e) => "refused: " + (e.textContent || e.name));
		if (document.documentElement.scrollWidth > document.documentElement.clientWidth) bad.push("wider than the window");
		const base = document.querySelector("script[src]").src.replace(/app\.js$/, "i18n/");
		const texts = async (lang) => new Set(Object.values((await import(base + lang + ".js")).default)
			.flatMap((v) => (typeof v === "string" ? [v] : Object.values(v))));
		const lang = document.documentElement.lang, own = await texts(lang), other = await texts(lang === "pl" ? "en" : "pl");
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (walk.nextNode()) {
			const text = walk.currentNode.data.trim();
			const e = walk.currentNode.parentElement; // A badge has a name: Free.
			if (other.has(text) && !own.has(text) && seen(e) && !e.closest(".badge")) bad.push("in another language: " + text);
		}
		return bad.join("; ");
	})()`)
}

// arrived compares all accounts of a user with what is elsewhere.
func (m *mailboxes) arrived(t *testing.T, s *site, user string) {
	t.Helper()
	local, domain, _ := strings.Cut(user, "@")
	got := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", domain, local))
	for _, x := range s.ask(user, "GET", "/v1/accounts", nil)["accounts"].([]any) {
		a := x.(map[string]any)
		oracle := mailtest.ByIMAP
		if a["protocol"] == "pop3" {
			oracle = mailtest.ByPOP3
		}
		mailtest.CompareDelivered(t, oracle(m.mail[a["username"].(string)]), got, a["folder"].(string))
	}
}
