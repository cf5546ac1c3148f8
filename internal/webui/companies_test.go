package webui_test

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// step is something that somebody changes in the wizard's second page, and how it
// is refused.
type step struct {
	field   said // The label of a field; none: what is named by press.
	text    string
	press   said
	refusal said   // Said at the field that has the focus then; none: it is taken.
	focus   string // The name of that field.
	tested  bool   // Whether the server was asked, and a dialog shows it.
}

// company is a domain with mailboxes that is in no table.
type company struct {
	email, name string // name: of the account, as it is proposed.
	username    string // "": the address.
	hosts       []string
	only        string // The one service at these hosts; "": all.
	mx          string // Its mail exchanger; "": one of its own.
	steps       []step
	folder      string // Chosen by the user; "": the server's to find.
}

var (
	sayPort     = said{"Port", "Port"}
	saySecurity = said{"Encryption", "Szyfrowanie"}
	sayUsername = said{"User name", "Nazwa użytkownika"}
	sayPOP3     = said{"Only the inbox (POP3)", "Tylko skrzynka odbiorcza (POP3)"}
	saySTARTTLS = said{"STARTTLS", "STARTTLS"}
	sayFolder   = said{"Folder", "Folder"}

	noName       = said{"Please fill this in.", "Wypełnij to pole."}
	noPort       = said{"A number from 1 to 65535, usually 993 or 995.", "Liczba od 1 do 65535, zwykle 993 lub 995."}
	notFound     = said{"The server's name was not found", "Nie znaleziono serwera o tej nazwie"}
	notThere     = said{"The server refused the connection", "Serwer odrzucił połączenie"}
	notSignedIn  = said{"The user name or the password was refused", "Nazwa użytkownika lub hasło zostały odrzucone"}
	reservedName = said{
		"Every mailbox has a folder of this name, for mail of your own: choose another name.",
		"Folder o tej nazwie ma każda skrzynka na własną pocztę: wybierz inną nazwę.",
	}
	emptyPart = said{
		"A part of the folder's name is empty: leave out the slash there.",
		"Część nazwy folderu jest pusta: usuń zbędny ukośnik.",
	}
)

// longDomain is as long as a domain with servers of its own can be in an address.
var longDomain = strings.Repeat("przedsiebiorstwo-wielobranzowe-imienia-jana-i-katarzyny-kowal.", 3) + "test"

var companies = []company{
	{email: "biuro@dzial.mala-firma.test", name: "dzial.mala-firma.test"},
	{email: "ola@mail-1.it-wsparcie.grupa-abc.test", name: "mail-1.it-wsparcie.grupa-abc.test", steps: []step{
		{field: sayName, text: "", refusal: noName, focus: "name"},
		{field: sayName, text: "Grupa A.B.C. / IT"},
	}},
	{
		email: "zofia@żółw.test", name: "żółw.test", username: "zofia@xn--w-uga1v8h.test",
		hosts: []string{"imap.xn--w-uga1v8h.test"},
	},
	{email: "KADRY@FIRMA-DUZA.TEST", name: "firma-duza.test"},
	{email: "jan+sklep@plus-firma.test", name: "plus-firma.test"},
	{email: strings.Repeat("l", 58) + "@" + longDomain, name: longDomain[:100]},
	{email: "faktury@ksiegowosc-lodz.test", name: "ksiegowosc-lodz.test", folder: "Księgowość/Łódź 2026", steps: []step{
		{field: sayFolder, text: "Trash", refusal: reservedName, focus: "folder"},
		{field: sayFolder, text: "Łódź//Źródła", refusal: emptyPart, focus: "folder"},
		{field: sayFolder, text: "Księgowość/Łódź 2026"},
	}},
	{
		email: "anna@poczta-gdzie-indziej.test", name: "poczta-gdzie-indziej.test", hosts: []string{"s7.hosting.test"},
		steps: []step{
			{field: sayServer, text: "imap.poczta-gdzie-indziej.test", refusal: notFound, focus: "server.host", tested: true},
			{field: sayServer, text: "s7.hosting.test"},
			{field: sayPort, text: "99999", refusal: noPort, focus: "server.port"},
			{field: sayPort, text: "993"},
		},
	},
	{
		email: "ewa@tylko-pop.test", name: "tylko-pop.test", hosts: []string{"imap.tylko-pop.test", "pop3.tylko-pop.test"},
		only: "pop3s", steps: []step{
			{field: sayServer, text: "imap.tylko-pop.test", refusal: notThere, focus: "server.host", tested: true},
			{press: sayPOP3},
		},
	},
	{email: "piotr@stary-serwer.test", name: "stary-serwer.test", only: "imap", steps: []step{
		{field: sayServer, text: "imap.stary-serwer.test", refusal: notThere, focus: "server.host", tested: true},
		{press: saySTARTTLS},
	}},
	{email: "adam@krotka-nazwa.test", name: "krotka-nazwa.test", username: "adam.k", steps: []step{
		{field: sayUsername, text: "adam@krotka-nazwa.test", refusal: notSignedIn, focus: "password", tested: true},
		{field: sayUsername, text: "adam.k"},
	}},
	{email: "iza@domena-u-dostawcy.test", name: "Gandi", mx: "spool.mail.gandi.net", hosts: []string{"mail.gandi.net"}},
}

// at is where a company's mailboxes are, unless it says otherwise.
func (c company) at() []string {
	if c.hosts != nil {
		return c.hosts
	}
	return []string{"imap." + domainOf(c.email)}
}

func domainOf(email string) string {
	_, domain, _ := strings.Cut(strings.ToLower(email), "@")
	return domain
}

func (c company) login() string {
	if c.username != "" {
		return c.username
	}
	return c.email
}

// TestACompanysMailboxIsAddedWhateverItsDomainIsLike: what the wizard proposes is
// taken, what is refused is said in the page's language at its field, and from
// there it continues, until the mail is there.
func TestACompanysMailboxIsAddedWhateverItsDomainIsLike(t *testing.T) {
	t.Parallel()
	var users, hosts []string
	for _, c := range companies {
		users, hosts = append(users, c.login()), append(hosts, c.at()...)
	}
	m := startMailboxes(t, mailtest.DovecotOptions{}, users, hosts)
	for _, c := range companies {
		for _, h := range c.at() {
			m.net.Hosts[h] = m.only(c.only)
		}
		if c.mx != "" {
			m.net.Exchangers[domainOf(c.email)] = c.mx
		}
	}
	s := m.site(t)
	for i, c := range companies {
		dev := windows[i%len(windows)]
		t.Run(dev.name+"/"+c.name[:min(30, len(c.name))], func(t *testing.T) {
			t.Parallel()
			user := strings.ReplaceAll(dev.name, "-", "") + "@dom.test"
			s := s.in(t)
			p := look(t, dev, s.link(user))
			p.company(m, c)
			p.quiet()
			m.arrived(t, s, user)
			a := s.ask(user, "GET", "/v1/accounts", nil)["accounts"].([]any)[0].(map[string]any)
			if c.folder != "" && a["folder"] != c.folder {
				t.Errorf("the mail is in %v, want %s", a["folder"], c.folder)
			}
		})
	}
}

// only is a server with one service alone, or all.
func (m *mailboxes) only(service string) *mailtest.Server {
	s := m.Server
	if service != "" {
		s.IMAP, s.IMAPS, s.POP3, s.POP3S = 0, 0, 0, 0
	}
	switch service {
	case "imap":
		s.IMAP = m.IMAP
	case "pop3s":
		s.POP3S = m.POP3S
	}
	return &s
}

// company adds a company's mailbox.
func (p *tab) company(m *mailboxes, c company) {
	p.tb.Helper()
	p.press(sayAdd.in(p.dev))
	p.enter(sayEmail.in(p.dev), c.email)
	p.press(sayContinue.in(p.dev))
	p.enter(sayPassword.in(p.dev), m.Users[c.login()])
	p.fits(c.email)
	p.press(sayContinue.in(p.dev))
	called := p.holds(sayName.in(p.dev))
	if called != c.name {
		p.tb.Errorf("the account would be called %q, want %q", called, c.name)
	}
	if p.folder() == "" {
		p.tb.Error("no folder is proposed")
	}
	p.fits(c.email)
	for _, x := range c.steps {
		p.step(x)
		if x.field == sayName && x.refusal == (said{}) {
			called = x.text
		}
	}
	p.press(sayFinish.in(p.dev))
	p.until(card(called) + `?.dataset.state === "ok"`)
}

// step changes something, and continues from how that is refused.
func (p *tab) step(x step) {
	p.tb.Helper()
	p.open()
	switch {
	case x.press == saySTARTTLS:
		js[any](p, `(() => { const e = `+labelled(saySecurity.in(p.dev))+`; e.value = "starttls";
			e.dispatchEvent(new Event("change", {bubbles: true})); return null; })()`)
	case x.press != (said{}):
		p.press(x.press.in(p.dev))
	}
	if x.field != (said{}) {
		p.enter(x.field.in(p.dev), x.text)
	}
	if x.refusal == (said{}) {
		return
	}
	p.press(sayFinish.in(p.dev))
	if x.tested {
		p.sees(x.refusal.in(p.dev))
		p.press(said{"Fix it", "Popraw"}.in(p.dev))
	}
	p.until(`document.activeElement?.name === ` + quote(x.focus))
	at := x.refusal.in(p.dev)
	if x.tested { // What a test found stands once, above the field that it points at.
		p.until(`document.querySelector(".notice.bad .strong")?.textContent.includes(` + quote(at) + ")")
		if at = (said{"Check this.", "Sprawdź to pole."}).in(p.dev); x.focus == "password" {
			at = said{"Enter the password again.", "Wpisz hasło jeszcze raz."}.in(p.dev)
		}
	}
	p.until(`document.activeElement.closest(".field").querySelector(".error").textContent.includes(` + quote(at) + ")")
	if x.focus == "password" { // It is asked for beside the user name, which may be what is wrong.
		p.until("document.querySelector('.advanced').open && " + labelled(sayUsername.in(p.dev)))
	}
}

// TestWhatIsWrongInTheWizardIsSeen is the control: each of the things that the walks
// through the wizard look for is found on a page that has it.
func TestWhatIsWrongInTheWizardIsSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := look(t, windows[1], s.link("anna@dom.test"))
	p.press(sayAdd.in(p.dev))
	p.until(labelled(sayEmail.in(p.dev)))
	p.fits("as it is")
	element := func(tag, with string) string {
		return "Object.assign(document.createElement('" + tag + "'), {" + with + "})"
	}
	for name, spoil := range map[string]string{
		"wider than the window":         element("div", "style: 'width: 200vw', textContent: 'x'"),
		"in another language: Continue": element("p", "textContent: 'Continue'"),
		"refused: nie":                  element("p", "className: 'error', textContent: 'nie'"),
	} {
		js[any](p, `window.spoiled = `+spoil+`; document.querySelector("main").append(window.spoiled); null`)
		if got := p.wrong(); got != name {
			t.Errorf("with what is %s the page is said to be wrong in %q", name, got)
		}
		js[any](p, "window.spoiled.remove(); null")
	}
}

// TestOnlyTheRightServerLeadsToTheMail is the control of where the walks lead: the
// host's name, its port and its certificate count as they do on the internet.
func TestOnlyTheRightServerLeadsToTheMail(t *testing.T) {
	t.Parallel()
	const right, noTLS, others = "imap.dobra-firma.test", "imap.bez-tls.test", "imap.inna-firma.test"
	m := startMailboxes(t, mailtest.DovecotOptions{}, []string{"anna"}, []string{right, noTLS})
	m.net.Hosts[noTLS] = m.only("imap")
	m.net.Hosts[others] = m.net.Hosts[right]
	s := m.site(t)
	for host, want := range map[string]any{
		right: nil, noTLS: "connect_refused", others: "tls_certificate_invalid", "imap.gmail.com": "dns_failure",
	} {
		report := s.ask("anna@dom.test", "POST", "/v1/connection-tests", map[string]any{
			"email": "anna@" + domainOf("@"+host), "password": m.Users["anna"], "username": "anna", "protocol": "imap",
			"server": map[string]any{"host": host, "port": 993, "security": "tls"},
		})
		var got any
		if d, ok := report["diagnosis"].(map[string]any); ok {
			got = d["code"]
		}
		if got != want {
			t.Errorf("a test of %s says %v, want %v", host, got, want)
		}
	}
}
