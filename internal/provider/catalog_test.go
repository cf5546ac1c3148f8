package provider

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
)

func catalog(t testing.TB) *Catalog {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who must be there, by the issue that asked for presets; and what was said of
// each: IMAP, POP3, user name, ways to sign in.
func TestRequiredProvidersAreThere(t *testing.T) {
	const full, local = "anna.nowak@example.test", "anna.nowak"
	for id, want := range map[string]struct {
		imap, pop3, username string
		auth                 []Auth
	}{
		"google":               {"imap.gmail.com", "pop.gmail.com", full, []Auth{OAuth2, AppPassword}},
		"aol":                  {"imap.aol.com", "pop.aol.com", full, []Auth{OAuth2, AppPassword}},
		"yahoo":                {"imap.mail.yahoo.com", "pop.mail.yahoo.com", full, []Auth{OAuth2, AppPassword}},
		"free":                 {"imap.free.fr", "pop.free.fr", local, []Auth{Password, AppPassword}},
		"sfr":                  {"imap.sfr.fr", "pop.sfr.fr", full, []Auth{Password}},
		"laposte":              {"imap.laposte.net", "pop.laposte.net", local, []Auth{Password}},
		"orange-fr":            {"imap.orange.fr", "pop.orange.fr", full, []Auth{Password}},
		"ovh-mxplan":           {"ssl0.ovh.net", "ssl0.ovh.net", full, []Auth{Password}},
		"ovh-exchange":         {"ex.mail.ovh.net", "ex.mail.ovh.net", full, []Auth{Password}},
		"ovh-exchange-private": {"", "", full, []Auth{Password}},
		"outlook":              {"outlook.office365.com", "outlook.office365.com", full, []Auth{OAuth2}},
		"microsoft365":         {"outlook.office365.com", "outlook.office365.com", full, []Auth{OAuth2}},
		"icloud":               {"imap.mail.me.com", "", local, []Auth{AppPassword}},
		"gmx-de":               {"imap.gmx.net", "pop.gmx.net", full, []Auth{Password, AppPassword}},
		"gmx-com":              {"imap.gmx.com", "pop.gmx.com", full, []Auth{Password, AppPassword}},
		"forpsi":               {"imap.example.test", "pop3.example.test", full, []Auth{Password}},
		"wp":                   {"imap.wp.pl", "pop3.wp.pl", local, []Auth{Password, AppPassword}},
		"o2":                   {"poczta.o2.pl", "poczta.o2.pl", local, []Auth{Password}},
		"onet":                 {"imap.poczta.onet.pl", "pop3.poczta.onet.pl", full, []Auth{Password}},
		"interia":              {"poczta.interia.pl", "poczta.interia.pl", full, []Auth{Password}},
		"homepl":               {"poczta.home.pl", "", full, []Auth{Password}},
		"other":                {"", "", full, []Auth{Password, AppPassword}},
	} {
		p := catalog(t).ByID(id)
		preset, ok := catalog(t).Preset(id, full)
		if !ok || preset.Servers[remote.IMAP].Host != want.imap || preset.Servers[remote.POP3].Host != want.pop3 ||
			preset.Username != want.username || !slices.Equal(p.Auth, want.auth) {
			t.Errorf("%s: %+v, %v", id, preset, p.Auth)
		}
	}
	if all := catalog(t).All(); all[len(all)-1].ID != account.OtherProvider || all[0].ID != "google" {
		t.Error("the list neither begins nor ends as it should")
	}
}

var slug = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Every preset is complete and well-formed; a slip in the table fails here.
func TestTheTableIsSound(t *testing.T) {
	for _, p := range catalog(t).All() {
		bad := func(format string, args ...any) { t.Helper(); t.Errorf(p.ID+": "+format, args...) }
		if !slug.MatchString(p.ID) || len(p.ID) > 40 {
			bad("not a slug")
		}
		if p.Name == "" || p.Name != strings.TrimSpace(p.Name) || len(p.Name) > 40 || strings.ContainsAny(p.Name, `/\*%~`) {
			bad("the name %q cannot be a label and a folder", p.Name)
		}
		if p.username != "email" && p.username != "local" {
			bad("user name form %q", p.username)
		}
		if !slices.Contains([]string{"", "both", "pop3"}, p.access) {
			bad("access %q", p.access)
		}
		if !slices.Contains([]string{"high", "medium", "low"}, p.Confidence) {
			bad("confidence %q", p.Confidence)
		}
		if len(p.Auth) == 0 && !p.unsupported {
			bad("no way to sign in")
		}
		for i, a := range p.Auth {
			if a != Password && a != AppPassword && a != OAuth2 || slices.Contains(p.Auth[:i], a) {
				bad("auth %v", p.Auth)
			}
		}
		for _, d := range append(slices.Clone(p.Domains), p.MX...) {
			if !isName(d) || !strings.Contains(d, ".") {
				bad("domain %q", d)
			}
		}
		for _, u := range []string{p.HelpURL, p.AccessURL, p.AppPasswordURL} {
			if x, err := url.Parse(u); u != "" && (err != nil || x.Scheme != "https" || x.Host == "") {
				bad("link %q", u)
			}
		}
		checkServers(t, p)
		if (p.note.En == "") != (p.note.Pl == "") || (p.pop3.En == "") != (p.pop3.Pl == "") {
			bad("a note in one language only")
		}
	}
}

func checkServers(t *testing.T, p Provider) {
	t.Helper()
	sets := []map[remote.Protocol]remote.Server{p.Servers}
	for _, v := range p.variants {
		if v.when == "" || len(v.servers) == 0 {
			t.Errorf("%s: an empty variant", p.ID)
		}
		for _, d := range v.domains {
			if !slices.Contains(p.Domains, d) {
				t.Errorf("%s: the variant's domain %s is not one of its own", p.ID, d)
			}
		}
		sets = append(sets, v.servers)
	}
	ports := map[remote.Protocol]map[remote.Security]int{
		remote.IMAP: {remote.TLS: 993, remote.STARTTLS: 143},
		remote.POP3: {remote.TLS: 995, remote.STARTTLS: 110},
	}
	for i, set := range sets {
		for proto, s := range set {
			host := strings.NewReplacer(domainMark, "example.org", "{n}", "7", "{customer}", "c").Replace(s.Host)
			if !isName(host) || !strings.Contains(host, ".") {
				t.Errorf("%s: host %q", p.ID, s.Host)
			}
			if i == 0 && strings.ContainsAny(strings.ReplaceAll(s.Host, domainMark, ""), "{}") {
				t.Errorf("%s: nobody fills in %q", p.ID, s.Host)
			}
			if s.Port == 0 || s.Port != ports[proto][s.Security] {
				t.Errorf("%s: %s on port %d with %s", p.ID, proto, s.Port, s.Security)
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	long := strings.Repeat("a.", 124) + "example" // From its 7th octet on it is a name, but none with "imap." in front.
	for _, tc := range []struct {
		name, email, source, provider, imap, pop3, username string
	}{
		{"a known domain", "Anna@gmail.com", "preset", "google", "imap.gmail.com", "pop.gmail.com", "Anna@gmail.com"},
		{"in any case", "anna@GMail.Com", "preset", "google", "imap.gmail.com", "pop.gmail.com", "anna@GMail.Com"},
		{"the part before @ signs in", "anna@wp.pl", "preset", "wp", "imap.wp.pl", "pop3.wp.pl", "anna"},
		{"the last @ counts", `"a@b"@wp.pl`, "preset", "wp", "imap.wp.pl", "pop3.wp.pl", `"a@b"`},
		{"no POP3 is offered", "anna@icloud.com", "preset", "icloud", "imap.mail.me.com", "", "anna"},
		{
			"a domain with servers of its own", "anna@126.com", "preset", "netease", "imap.126.com", "pop.126.com",
			"anna@126.com",
		},
		{
			"the host is made of the domain", "anna@inbox.lt", "preset", "inboxlv", "mail.inbox.lt", "mail.inbox.lt",
			"anna@inbox.lt",
		},
		{"the Forpsi rule", "anna@forpsi.com", "preset", "forpsi", "imap.forpsi.com", "pop3.forpsi.com", "anna@forpsi.com"},
		{"known to be impossible", "anna@proton.me", "preset", "proton", "", "", "anna@proton.me"},
		{"known, but not its servers", "anna@kki.pl", "guess", "kki-bci", "imap.kki.pl", "pop3.kki.pl", "anna@kki.pl"},
		{"unknown", "anna@Firma.example", "guess", "other", "imap.firma.example", "pop3.firma.example", "anna@Firma.example"},
		{
			"below a known domain", "anna@mail.gmail.com", "guess", "other", "imap.mail.gmail.com", "pop3.mail.gmail.com",
			"anna@mail.gmail.com",
		},
		{
			"beside a known domain", "anna@notgmail.com", "guess", "other", "imap.notgmail.com", "pop3.notgmail.com",
			"anna@notgmail.com",
		},
		{"too long to guess", "a@" + long[6:], "guess", "other", "", "", "a@" + long[6:]},
		{"no address", "anna", "none", "other", "", "", ""},
		{"nothing before @", "@gmail.com", "none", "other", "", "", ""},
		{"nothing after @", "anna@", "none", "other", "", "", ""},
		{"no DNS domain", "anna@localhost", "none", "other", "", "", ""},
		{"an address literal", "anna@[127.0.0.1]", "none", "other", "", "", ""},
		{"a path", "anna@../../etc", "none", "other", "", "", ""},
		{"line breaks", "anna@a.example\r\nX: y", "none", "other", "", "", ""},
		{"a domain not in its ASCII form", "anna@żółw.pl", "none", "other", "", "", ""},
	} {
		s := catalog(t).Suggest(t.Context(), tc.email)
		if s.Source != tc.source || s.Provider != tc.provider || s.Servers[remote.IMAP].Host != tc.imap ||
			s.Servers[remote.POP3].Host != tc.pop3 || s.Username != tc.username {
			t.Errorf("%s: %+v", tc.name, s)
		}
		for proto, server := range s.Servers {
			if server.Host == "" || server.Port == 0 || server.Security == "" {
				t.Errorf("%s: half of a server for %s: %+v", tc.name, proto, server)
			}
		}
	}
}

func TestEveryDomainLeadsToItsPreset(t *testing.T) {
	c := catalog(t)
	for _, p := range c.All() {
		for _, d := range p.Domains {
			s := c.Suggest(t.Context(), "anna@"+d)
			if s.Provider != p.ID || s.Source == "none" {
				t.Errorf("%s: %+v", d, s)
			}
			for _, server := range s.Servers {
				if strings.ContainsAny(server.Host, "{}") {
					t.Errorf("%s: %s", d, server.Host)
				}
			}
		}
	}
}

func TestOtherHasNoServersOfItsOwn(t *testing.T) {
	p, ok := catalog(t).Preset(account.OtherProvider, "anna@firma.example")
	if !ok || p.Name != "" || len(p.Servers) > 0 || p.Username != "anna@firma.example" ||
		!slices.Equal(p.Auth, []remote.Auth{remote.Password}) {
		t.Errorf("%+v", p)
	}
	if _, ok := catalog(t).Preset("nosuch", "anna@firma.example"); ok {
		t.Error("a preset that there is not")
	}
	if p, _ := catalog(t).Preset("outlook", "anna@outlook.com"); !slices.Equal(p.Auth, []remote.Auth{remote.OAuth2}) {
		t.Errorf("Microsoft takes %v", p.Auth)
	}
}

func TestByHost(t *testing.T) {
	for host, want := range map[string]string{
		"imap.gmail.com": "google", "IMAP.Gmail.com.": "google", "outlook.office365.com": "outlook",
		"imap.mail.yahoo.com":        "yahoo",
		"export.imap.mail.yahoo.com": "yahoo", "ssl0.ovh.net": "ovh-mxplan", "imap.mail.ovh.net": "ovh-mxplan",
		"ex.mail.ovh.net": "ovh-exchange", "ex5.mail.ovh.net": "ovh-exchange", "pro12.mail.ovh.net": "ovh-emailpro",
		"exa.mail.ovh.net": "", "ex5.x.mail.ovh.net": "", "serwer1234.home.pl": "homepl", "anna.nazwa.pl": "nazwapl",
		"imap.126.com":    "netease",
		"imap.forpsi.com": "forpsi", "mail.inbox.lv": "inboxlv", "imap.gmail.com.evil.example": "", "": "", "127.0.0.1": "",
		"imap.firma.example": "",
	} {
		if p := catalog(t).ByHost(host); p.ID != want {
			t.Errorf("%q is %q, want %q", host, p.ID, want)
		}
	}
}

func TestServing(t *testing.T) {
	for _, tc := range []struct{ id, host, want string }{
		{"google", "imap.gmail.com", "google"},
		{"other", "imap.gmail.com", "google"},
		{"microsoft365", "outlook.office365.com", "outlook"}, // The same servers.
		{"google", "imap.firma.example", ""},                 // The user named somebody else's server.
		{"forpsi", "imap.firma.example", "forpsi"},
		{"ovh-exchange-private", "mail.firma.example", "ovh-exchange-private"},
		{"other", "imap.firma.example", "other"},
		{"nosuch", "imap.firma.example", ""},
	} {
		if p := catalog(t).Serving(tc.id, tc.host); p.ID != tc.want {
			t.Errorf("%s at %s is at %q, want %q", tc.id, tc.host, p.ID, tc.want)
		}
	}
}

func TestWhatIsNeededToSignIn(t *testing.T) {
	for id, want := range map[string][3]bool{ // App password, OAuth, switched on for IMAP.
		"google": {true, false, false}, "yahoo": {true, false, false}, "icloud": {true, false, false}, "gmx-de": {
			false, false, true,
		},
		"outlook": {false, true, true}, "microsoft365": {false, true, false}, "sfr": {false, false, false},
		"o2":    {false, false, true},
		"other": {false, false, false}, "proton": {false, false, false},
	} {
		p := catalog(t).ByID(id)
		if got := [3]bool{p.NeedsAppPassword(), p.NeedsOAuth(), p.NeedsAccess(remote.IMAP)}; got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if p := catalog(t).ByID("google"); !p.NeedsAccess(remote.POP3) {
		t.Error("Google's POP3 has to be switched on")
	}
}

func TestLimitsAndQuirks(t *testing.T) {
	c := catalog(t)
	g := c.ByID("google")
	if g.Limits.Connections != 15 || g.Limits.PollInterval[remote.IMAP] != 10*time.Minute ||
		g.Limits.BytesPerDay[remote.IMAP] != 2500<<20 || g.Limits.BytesPerDay[remote.POP3] != 1250<<20 {
		t.Errorf("Google's limits: %+v", g.Limits)
	}
	if !g.Quirks.CloseInsteadOfQuit {
		t.Errorf("Google's quirks: %+v", g.Quirks)
	}
	if l := c.ByID("webde").Limits; l.PollInterval[remote.POP3] != 15*time.Minute || l.PollInterval[remote.IMAP] != 0 {
		t.Errorf("WEB.DE's limits: %+v", l)
	}
	if !c.ByID("netease").Quirks.SendID || !c.ByID("outlook").Quirks.SizesAreEstimates ||
		c.ByID("aol").Limits.MessagesPerFolder != 10_000 {
		t.Error("other quirks are lost")
	}
	if s, ok := c.ByID("forpsi").Certified(remote.POP3); !ok || s.Host != "pop3.forpsi.com" || s.Port != 995 {
		t.Errorf("Forpsi's certified server: %+v", s)
	}
	if _, ok := g.Certified(remote.IMAP); ok {
		t.Error("Google's certificates are valid")
	}
}

var polish = regexp.MustCompile(`[ąćęłńóśźżĄĆĘŁŃÓŚŹŻ]`)

func TestHelpInBothLanguages(t *testing.T) {
	for _, p := range catalog(t).All() {
		en, pl := p.Help("en", false), p.Help("pl", false)
		if (en == "") != (pl == "") || en != "" && en == pl || strings.ContainsAny(en+pl, "{}") {
			t.Errorf("%s: %q, %q", p.ID, en, pl)
		}
		if polish.MatchString(en) || pl != "" && !polish.MatchString(pl) && len(pl) > 40 {
			t.Errorf("%s: the languages are mixed up: %q, %q", p.ID, en, pl)
		}
		for _, word := range []string{" the ", "password", " your ", " is ", " server "} {
			if strings.Contains(pl, word) {
				t.Errorf("%s: English in Polish: %q", p.ID, pl)
			}
		}
		if p.NeedsAppPassword() && (!strings.Contains(en, "app password") || !strings.Contains(pl, "hasło do aplikacji")) {
			t.Errorf("%s: says nothing of app passwords: %q", p.ID, en)
		}
		if steps := p.Steps("pl"); len(steps) != 0 && len(steps) != 3 || len(steps) != len(p.Steps("en")) ||
			p.NeedsAppPassword() != strings.Contains(strings.Join(steps, ""), "hasło do aplikacji") ||
			len(steps) > 0 && (p.NeedsOAuth() || p.Unsupported()) {
			t.Errorf("%s: %q is no three-line how-to", p.ID, steps)
		}
		if strings.Contains(strings.ReplaceAll(en, "(IMAP, POP3)", ""), "POP3 has to") ||
			(p.POP3("en") == "") != (p.POP3("pl") == "") {
			t.Errorf("%s: advice on POP3 for everybody: %q", p.ID, en)
		}
		if p.NeedsOAuth() && (strings.Contains(en, "switched on in") || !strings.Contains(en, "forwarded")) {
			t.Errorf("%s: a dead end: %q", p.ID, en)
		}
		if p.NeedsOAuth() && !strings.Contains(en, "cannot be added") {
			t.Errorf("%s: does not say that it cannot be added: %q", p.ID, en)
		}
	}
	c := catalog(t)
	for _, id := range []string{"google", "outlook"} {
		en, pl := c.ByID(id).Help("en", true), c.ByID(id).Help("pl", true)
		if !strings.Contains(en, "own page") || !strings.Contains(pl, "na stronie") ||
			strings.Contains(en, "cannot be added") || strings.Contains(en, "refuses the mailbox's own") {
			t.Errorf("%s, where users sign in on its page: %q, %q", id, en, pl)
		}
	}
	if c.ByID("other").DisplayName("pl") != "Inny" || c.ByID("other").DisplayName("en") != "Other" {
		t.Error("the name of everybody else")
	}
	if !strings.Contains(c.ByID("proton").Help("en", true), "cannot be fetched") ||
		c.ByID("proton").Unsupported() != true {
		t.Error("Proton is not said to be impossible")
	}
}

// TestWhereUsersSignIn: tokens are asked for over https only, each provider
// that takes them names a page, and the two forms of the address of an issuer
// are all there are.
func TestWhereUsersSignIn(t *testing.T) {
	c := catalog(t)
	used := map[string]bool{}
	for _, p := range c.All() {
		_, known := c.OAuth(p.OAuth)
		if known != (p.OAuth != "") || known && !p.accepts(OAuth2) {
			t.Errorf("%s signs users in on %q", p.ID, p.OAuth)
		}
		used[p.OAuth] = true
	}
	for _, o := range c.OAuths() {
		for _, address := range []string{o.AuthorizeURL, o.TokenURL, cmp.Or(o.Issuer, "https://not.known")} {
			u, err := url.Parse(strings.Replace(address, "{tenantid}", "x", 1))
			if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("%s: %q", o.ID, address)
			}
		}
		if !used[o.ID] || o.Name == "" || len(o.Scopes) == 0 {
			t.Errorf("%s cannot be used: %+v", o.ID, o)
		}
	}
	if g, _ := c.OAuth("google"); g.Params["access_type"] != "offline" || g.Params["prompt"] != "consent" {
		t.Error("Google gives no lasting permission without these")
	}
	if _, ok := c.OAuth(""); ok {
		t.Error("nobody's page is one")
	}
}

func TestABadTableIsRefused(t *testing.T) {
	const one = "[[provider]]\nid = \"a\"\nname = \"A\"\ndomains = [\"a.example\"]\n"
	for name, text := range map[string]string{
		"not TOML":       "[[provider",
		"unknown key":    one + "label = \"x\"\n",
		"an id twice":    one + "[[provider]]\nid = \"a\"\n",
		"no id":          "[[provider]]\nname = \"A\"\n",
		"no such page":   one + "oauth = \"b\"\n",
		"a domain twice": one + "[[provider]]\nid = \"b\"\ndomains = [\"a.example\"]\n",
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// An address comes from a user.
func FuzzSuggest(f *testing.F) {
	for _, s := range []string{"anna@gmail.com", "a@b@inbox.lv", "@", "a@-.x", "a@\x00.example", strings.Repeat(
		"a@", 300)} {
		f.Add(s)
	}
	c := catalog(f)
	f.Fuzz(func(t *testing.T, email string) {
		s := c.Suggest(t.Context(), email)
		for _, server := range s.Servers {
			if !isName(server.Host) || !strings.Contains(server.Host, ".") {
				t.Fatalf("%q leads to the host %q", email, server.Host)
			}
		}
		if (s.Source == "none") != (s.Username == "") {
			t.Fatalf("%q: %+v", email, s)
		}
	})
}
