package diagnose_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

var (
	// Words that no Polish sentence has, whatever names and links stand in it.
	english = regexp.MustCompile(
		`(?i)\b(the|is|are|not|and|of|your|you|it|server|servers|password|mailbox|account|provider|` +
			`with|for|again|enter|check|folder failed|cannot|name)\b`)
	polish = regexp.MustCompile(`(?i)[ąćęłńóśźż]|\b(nie|jest|dostawca|konto|serwer)\b`)
	names  = regexp.MustCompile(`(?i)https://\S+|„[^”]*”|[a-z0-9-]+(\.[a-z0-9-]+)+`) // Links, quotations, hosts.
)

var serverSaysNo = words.Say("The server says: %s", "no")

// Newcomer N13, N19: when it is tried again is said as it is.
func TestTheAdviceSaysWhenItIsTriedAgain(t *testing.T) {
	for _, tc := range []struct {
		wait   time.Duration
		en, pl string
	}{
		{time.Second, "in a minute", "za minutę"},
		{61 * time.Second, "in 2 minutes", "za 2 minuty"},
		{778 * time.Second, "in 13 minutes", "za 13 minut"},
		{22 * time.Minute, "in 22 minutes", "za 22 minuty"},
		{90 * time.Minute, "in 90 minutes", "za 90 minut"},
		{91 * time.Minute, "in 2 hours", "za 2 godziny"},
		{6 * time.Hour, "in 6 hours", "za 6 godzin"},
		{23 * time.Hour, "in 23 hours", "za 23 godziny"},
		{49 * time.Hour, "in 3 days", "za 3 dni"},
	} {
		for _, held := range []bool{true, false} {
			c := diagnose.Context{Wait: tc.wait, HeldBack: held}
			_, en := diagnose.Explain(fault.RateLimited, "en", c)
			_, pl := diagnose.Explain(fault.RateLimited, "pl", c)
			if !strings.Contains(en, tc.en) || !strings.Contains(pl, tc.pl) || strings.Contains(en+pl, "few minutes") ||
				strings.Contains(en+pl, "kilka minut") {
				t.Errorf("%v: %s; %s", tc.wait, en, pl)
			}
		}
	}
	// The controls: it is not known; nobody waits.
	_, en := diagnose.Explain(fault.ConnectTimeout, "en", diagnose.Context{})
	_, pl := diagnose.Explain(fault.AuthFailed, "pl", diagnose.Context{Wait: time.Hour})
	if !strings.Contains(en, "in a few minutes") || strings.Contains(pl, "za ") {
		t.Errorf("%s; %s", en, pl)
	}
}

// Newcomer N11: of four folders nobody reads what happens with ten thousand.
func TestFoldersThatFailAreToldFromTooManyOfThem(t *testing.T) {
	for lang, number := range map[words.Language]string{"en": "10,000", "pl": "10 000"} {
		some, fetched := diagnose.Explain(fault.FolderFailed, lang, diagnose.Context{
			Detail: words.Detail{words.Say("folder %s:", "Sent"), serverSaysNo},
		})
		many, nothing := diagnose.Explain(fault.FolderFailed, lang, diagnose.Context{
			Detail: words.Detail{words.Say(fault.TooManyFolders, 10_000)},
		})
		if some == many || strings.Contains(fetched, number) || !strings.Contains(nothing, number) {
			t.Errorf("%s: %s: %s; %s: %s", lang, some, fetched, many, nothing)
		}
	}
}

// Newcomer N8: an expired password is not entered again, but replaced by a new one first.
func TestAnExpiredPasswordIsReplacedAtTheProviderFirst(t *testing.T) {
	expired := diagnose.Context{Detail: words.Detail{words.Say(fault.PasswordExpired), serverSaysNo}}
	for lang, want := range map[words.Language][2]string{
		"en": {"The password has expired", "Set a new password at the provider first"},
		"pl": {"Hasło wygasło", "Najpierw zmień hasło u dostawcy"},
	} {
		title, advice := diagnose.Explain(fault.AuthFailed, lang, expired)
		if title != want[0] || !strings.HasPrefix(advice, want[1]) {
			t.Errorf("%s: %s. %s", lang, title, advice)
		}
		wrong, _ := diagnose.Explain(fault.AuthFailed, lang, diagnose.Context{Detail: words.Detail{serverSaysNo}})
		other, _ := diagnose.Explain(fault.RateLimited, lang, expired)
		if wrong == title || other == title {
			t.Errorf("%s: the controls are shown as %q and %q", lang, wrong, other)
		}
	}
}

// mailboxTroubles are what a user's own mailbox cannot be used for.
var mailboxTroubles = map[string]words.Detail{
	"no login":      {words.Say(fault.LoginMissing)},
	"a wrong login": {words.Say(fault.LoginRefused)},
	"no server":     {words.Say(fault.MailboxesAway)},
	"no entry":      {words.Say(fault.MailboxesShut)},
}

// TestWhyAMailboxCannotBeUsedIsSaid: with mailboxes at a server an administrator does not look for a file system, but
// saves a password, or mends the server; and its user is not told that something cannot be written.
func TestWhyAMailboxCannotBeUsedIsSaid(t *testing.T) {
	for lang, want := range map[words.Language]map[string][2]string{
		"en": {
			"no login":      {"tell your administrator", "user mailbox set"},
			"a wrong login": {"tell your administrator", "user mailbox set"},
			"no server":     {"nothing for you to change", "imap.address"},
			"no entry":      {"nothing for you to change", "imap.password"},
		},
		"pl": {
			"no login":      {"powiadom administratora", "user mailbox set"},
			"a wrong login": {"powiadom administratora", "user mailbox set"},
			"no server":     {"niczego nie trzeba zmieniać", "imap.address"},
			"no entry":      {"niczego nie trzeba zmieniać", "imap.password"},
		},
	} {
		usual, _ := diagnose.Explain(fault.LocalMailboxUnavailable, lang, diagnose.Context{})
		for says, helps := range want {
			for i, admin := range []bool{false, true} {
				c := diagnose.Context{Detail: mailboxTroubles[says], Admin: admin}
				title, advice := diagnose.Explain(fault.LocalMailboxUnavailable, lang, c)
				if title == usual || !strings.Contains(advice, helps[i]) {
					t.Errorf("%s, %s, administrator %t: %s: %s", lang, says, admin, title, advice)
				}
				if found := spokenTo(lang, title+" "+advice); admin && found != nil {
					t.Errorf("%s, %s: an administrator is spoken to as the user: %q", lang, says, found)
				}
			}
		}
	}
}

// Every code, in every language, at every provider, by each protocol: there is
// a title and advice, nothing is left unfilled, and no language is mixed in.
func TestEveryCodeIsExplainedInEveryLanguage(t *testing.T) {
	contexts := []diagnose.Context{
		{},
		{Protocol: remote.IMAP},
		{Admin: true},
		{Admin: true, SignIn: true},
		{Admin: true, HeldBack: true},
		{Wait: time.Hour},
		{Wait: time.Hour, HeldBack: true},
		{Wait: time.Hour, Admin: true},
		{Detail: words.Detail{words.Say(fault.NotThere, "Sent")}},
		{Detail: words.Detail{words.Say(fault.NotThere, "Sent")}, Admin: true},
		{Detail: words.Detail{words.Say(fault.TooManyFolders, 10_000)}},
		{Detail: words.Detail{words.Say(fault.TooManyFolders, 10_000)}, Admin: true},
		{Detail: words.Detail{words.Say(fault.PasswordExpired), serverSaysNo}},
		{Detail: words.Detail{words.Say(fault.PasswordExpired), serverSaysNo}, Admin: true},
	}
	for _, d := range mailboxTroubles {
		contexts = append(contexts, diagnose.Context{Detail: d}, diagnose.Context{Detail: d, Admin: true})
	}
	for _, p := range catalog(t).All() {
		contexts = append(contexts,
			diagnose.Context{Provider: p},
			diagnose.Context{Provider: p, Protocol: remote.IMAP, Host: "mail.firma.example", Email: "anna@firma.example"},
			diagnose.Context{Provider: p, Protocol: remote.POP3, Host: "mail.firma.example", Email: "anna@firma.example"})
	}
	seen := map[string]bool{} // Most providers are peculiar in little.
	for _, code := range fault.Codes() {
		for _, c := range contexts {
			enTitle, enAdvice := diagnose.Explain(code, "en", c)
			plTitle, plAdvice := diagnose.Explain(code, "pl", c)
			all := enTitle + enAdvice + plTitle + plAdvice
			if seen[all] {
				continue
			}
			seen[all] = true
			where := string(code) + " at " + c.Provider.ID
			for _, s := range []string{enTitle, enAdvice, plTitle, plAdvice} {
				if s == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "  ") || s != strings.TrimSpace(s) {
					t.Errorf("%s: %q", where, s)
				}
			}
			if len(enTitle) > 70 || len(plTitle) > 80 || strings.HasSuffix(enTitle, ".") || len(enAdvice) > 900 ||
				len(plAdvice) > 900 {
				t.Errorf("%s: not short: %q: %q", where, enTitle, enAdvice)
			}
			if m := polish.FindString(names.ReplaceAllString(enTitle+" "+enAdvice, "")); m != "" {
				t.Errorf("%s: Polish in English: %q", where, m)
			}
			if m := english.FindString(names.ReplaceAllString(plTitle+" "+plAdvice, "")); m != "" {
				t.Errorf("%s: English in Polish: %q in %q", where, m, plAdvice)
			}
			if enTitle == plTitle || enAdvice == plAdvice {
				t.Errorf("%s: not translated", where)
			}
		}
	}
}

// second are words that speak to whoever reads them of what is the user's; to be
// matched with single words, in lower case.
var second = map[words.Language]*regexp.Regexp{
	"en": regexp.MustCompile(`^(you|your|we|us|our)$`),
	"pl": regexp.MustCompile(`^(twoj.*|twój|twe|ci|cię|ciebie|tobie|wpisz|usuń|włącz|utwórz|zaloguj|pobierzemy|` +
		`spróbujemy|pobraliśmy|powiadom|poproś|zapytaj)$`),
}

// spokenTo returns the words that speak to the reader.
func spokenTo(lang words.Language, text string) (found []string) {
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		if second[lang].MatchString(w) {
			found = append(found, w)
		}
	}
	return found
}

// An administrator is spoken to of the user, whatever fails and delays; of what is
// this service's, too.
func TestAdministratorsReadOfTheUser(t *testing.T) {
	spoken := 0
	for _, lang := range []words.Language{words.English, words.Polish} {
		for _, code := range fault.Codes() {
			for _, c := range []diagnose.Context{{}, {SignIn: true}, {HeldBack: true}} {
				_, users := diagnose.Explain(code, lang, c)
				spoken += len(spokenTo(lang, users))
				c.Admin = true
				title, advice := diagnose.Explain(code, lang, c)
				if found := spokenTo(lang, title+" "+advice); found != nil {
					t.Errorf("%s %s: %q in %q", lang, code, found, title+": "+advice)
				}
			}
			for _, kind := range account.DelayKinds() {
				for _, d := range []account.Delay{
					{Kind: kind}, {Kind: kind, AtHost: true}, {Kind: kind, Daily: 5 << 20}, {Kind: kind, Asked: true},
				} {
					a := account.Account{Status: account.Status{Delay: &d, Diagnosis: &account.Diagnosis{Code: code}}}
					w := diagnose.ExplainDelay(a, lang, diagnose.Context{Host: "imap.firma.example", Admin: true})
					all := w.Title + " " + w.Evidence + " " + w.Advice
					if found := spokenTo(lang, all); found != nil {
						t.Errorf("%s %s %s: %q in %q", lang, kind, code, found, all)
					}
				}
			}
		}
	}
	if spoken < 50 { // The control: users are spoken to, and this test would see it.
		t.Errorf("users are spoken to %d times", spoken)
	}
}

// TestAServerThatTheProviderGivesIsNotTheUsersToMend: nobody typed its name, so nobody is to check it.
func TestAServerThatTheProviderGivesIsNotTheUsersToMend(t *testing.T) {
	google := catalog(t).ByID("google")
	server := google.Servers[remote.IMAP]
	given := diagnose.Context{Provider: google, Protocol: remote.IMAP, Host: server.Host, Port: server.Port}
	for _, code := range []fault.Code{fault.DNSFailure, fault.ConnectRefused, fault.ConnectTimeout} {
		for lang, want := range map[words.Language]string{
			"en": "We cannot reach Google at the moment There is nothing for you to change. " +
				"Try again in a few minutes; a saved account is tried again by itself.",
			"pl": "Nie możemy teraz połączyć się z serwerem Google Niczego nie trzeba zmieniać. " +
				"Spróbuj ponownie za kilka minut; po zapisaniu będziemy próbować sami.",
		} {
			title, advice := diagnose.Explain(code, lang, given)
			if got := title + " " + advice; got != want {
				t.Errorf("%s %s: %s", lang, code, got)
			}
			for name, change := range map[string]func(*diagnose.Context){ // The controls.
				"another host": func(c *diagnose.Context) { c.Host = "imap.gmial.com" },
				"another port": func(c *diagnose.Context) { c.Port = 994 },
			} {
				c := given
				change(&c)
				if other, _ := diagnose.Explain(code, lang, c); other == title {
					t.Errorf("%s %s, %s: %s", lang, code, name, other)
				}
			}
		}
	}
}

func TestAdviceNamesTheProvidersOwnPages(t *testing.T) {
	c := catalog(t)
	for _, tc := range []struct {
		provider, host string
		protocol       remote.Protocol
		code           fault.Code
		en, pl         []string
	}{
		{"google", "", remote.IMAP, fault.AppPasswordRequired, []string{
			"Google refuses the ordinary password",
			"2-step verification", "https://support.google.com/accounts/answer/185833",
		}, []string{
			"Google nie przyjmuje",
			"dwuetapowej", "https://support.google.com/accounts/answer/185833",
		}},
		{"yahoo", "", remote.IMAP, fault.AppPasswordRequired, []string{
			"https://help.yahoo.com/kb/SLN15241.html",
			"withdrawn",
		}, []string{"https://help.yahoo.com/kb/SLN15241.html"}},
		{
			"icloud", "", remote.IMAP, fault.AppPasswordRequired,
			[]string{"https://support.apple.com/en-us/HT204397"},
			[]string{"https://support.apple.com/en-us/HT204397"},
		},
		{"outlook", "", remote.IMAP, fault.OAuthReauthorizationRequired, []string{
			"Outlook.com takes no password here",
			"not switched on here",
		}, []string{"Outlook.com nie przyjmuje tu haseł"}},
		{
			"gmx-de", "", remote.IMAP, fault.AccessDisabled,
			[]string{"https://hilfe.gmx.net/pop-imap/einschalten.html"},
			[]string{"https://hilfe.gmx.net/pop-imap/einschalten.html"},
		},
		{"o2", "", remote.POP3, fault.AuthFailed, []string{
			"before the @", "switched on",
			"https://pomoc.o2.pl/aktywacja-dostepu-dla-programow-pocztowych",
		}, []string{"przed znakiem @", "włączony"}},
		{"google", "", remote.POP3, fault.AuthFailed, []string{"switched on"}, []string{"włączony"}},
		{
			"forpsi", "imap.firma.example", remote.IMAP, fault.TLSCertificateInvalid,
			[]string{"imap.forpsi.com"},
			[]string{"imap.forpsi.com"},
		},
		{
			"forpsi", "pop3.firma.example", remote.POP3, fault.TLSCertificateInvalid,
			[]string{"pop3.forpsi.com"},
			[]string{"pop3.forpsi.com"},
		},
		{
			"sfr", "imap.sfr.example", remote.IMAP, fault.DNSFailure,
			[]string{"SFR's server for IMAP is imap.sfr.fr"},
			[]string{"imap.sfr.fr"},
		},
		{"other", "", "", fault.AppPasswordRequired, []string{"The provider refuses"}, []string{"Dostawca nie przyjmuje"}},
		{"other", "", remote.POP3, fault.ProtocolError, []string{"POP3"}, []string{"POP3"}},
	} {
		ctx := diagnose.Context{Provider: c.ByID(tc.provider), Protocol: tc.protocol, Host: tc.host}
		for lang, want := range map[words.Language][]string{"en": tc.en, "pl": tc.pl} {
			title, advice := diagnose.Explain(tc.code, lang, ctx)
			for _, w := range want {
				if !strings.Contains(title+" "+advice, w) {
					t.Errorf("%s at %s in %s does not say %q: %s: %s", tc.code, tc.provider, lang, w, title, advice)
				}
			}
		}
	}
	for lang, want := range map[words.Language]string{
		"en": "Sign in on Outlook.com's own page", "pl": "Zaloguj się na stronie dostawcy",
	} {
		if _, advice := diagnose.Explain(fault.OAuthReauthorizationRequired, lang, diagnose.Context{Provider: c.ByID(
			"outlook"), SignIn: true}); !strings.Contains(advice, want) {
			t.Errorf("where users can sign in, the advice in %s is %q", lang, advice)
		}
	}
	if _, advice := diagnose.Explain(fault.TLSCertificateInvalid, "en", diagnose.Context{
		Provider: c.ByID("forpsi"),
		Protocol: remote.IMAP, Host: "imap.forpsi.com",
	}); strings.Contains(advice, "imap.forpsi.com") {
		t.Error("the server in use is advised")
	}
}

func TestUnknownCodesAndLanguagesAreExplainedAllTheSame(t *testing.T) {
	want, _ := diagnose.Explain(fault.Internal, "en", diagnose.Context{})
	for _, code := range []fault.Code{"", "nosuch", fault.Interrupted} {
		if title, advice := diagnose.Explain(code, "fr", diagnose.Context{}); title != want || advice == "" {
			t.Errorf("%q: %q", code, title)
		}
	}
}

func TestASentenceIsInTheLanguage(t *testing.T) {
	if s := diagnose.Sentence(fault.AuthFailed, "pl"); s != "Nazwa użytkownika lub hasło zostały odrzucone." {
		t.Errorf("%q", s)
	}
}
