package diagnose

import (
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Context is what is known of an account that failed. Zero fields are not
// known; the words are more general then.
type Context struct {
	Provider provider.Provider
	Protocol remote.Protocol
	Host     string
	Port     int
	Email    string
	SignIn   bool         // Whether users can sign in on the provider's own page here.
	HeldBack bool         // For rate_limited: it is we who make a pause, after logins that failed.
	Admin    bool         // Whether an administrator reads it, and not the account's user.
	Detail   words.Detail // The diagnosis's own: some tell which of several situations a code means.
	// Wait is how long until the account is tried again by itself, or may be; 0: not
	// known.
	Wait time.Duration
}

// passing are the codes that can end without anybody doing anything.
var passing = map[fault.Code]bool{
	fault.DNSFailure: true, fault.ConnectRefused: true, fault.ConnectTimeout: true, fault.MailboxInUse: true,
	fault.TooManyConnections: true,
	fault.RateLimited:        true, fault.ServerUnavailable: true, fault.FolderFailed: true,
	fault.LocalMailboxUnavailable: true, fault.Internal: true,
}

var protocolNames = map[remote.Protocol]string{remote.IMAP: "IMAP", remote.POP3: "POP3"}

// again is what ends the advice on a code that passes by itself.
func (c Context) again(code fault.Code, lang words.Language) string {
	w := words.RetrySoon
	switch {
	case c.Wait > 0 && code == fault.RateLimited && c.HeldBack && !c.Admin:
		w = words.RetryIn
	case c.Wait > 0:
		w = words.RetriedIn
	case c.Admin:
		w = words.AdminRetried
	case code == fault.RateLimited: // The provider may mean tomorrow.
		w = words.RetryLater
	}
	return strings.Replace(w.In(lang), "{wait}", words.Wait(c.Wait, lang), 1)
}

// Explain says in a person's language ("en" or "pl") what a code means and what
// to do about it, in the provider's own terms where they are known.
func Explain(code fault.Code, lang words.Language, c Context) (title, advice string) {
	t, ok := words.Faults[string(code)]
	if !ok {
		code, t = fault.Internal, words.Faults[string(fault.Internal)]
	}
	if c.Admin {
		t = t.Over(words.AdminFaults[string(code)])
	}
	if code == fault.OAuthReauthorizationRequired && c.SignIn {
		t.Advice = c.reader(words.SignInAgain, words.AdminSignInAgain)
	}
	if code == fault.RateLimited && c.HeldBack {
		if t = words.LoginsPaused; c.Admin {
			t = words.AdminLoginsPaused
		}
	}
	if c.given(code) {
		t = words.Unreachable
	}
	passes := passing[code]
	if told, again, ok := c.situation(code); ok {
		t, passes, c.Provider = told, again, provider.Provider{}
	}
	parts := []string{t.Advice.In(lang)}
	sentences, links := c.particular(code, lang)
	parts = append(parts, sentences...)
	if passes {
		parts = append(parts, c.again(code, lang))
	}
	if len(links) > 0 { // At the end, with no full stop that could be taken for a part of them.
		parts = append(append(parts, words.See.In(lang)), links...)
	}
	return c.fill(t.Title.In(lang), lang), c.fill(strings.Join(parts, " "), lang)
}

// given reports whether a code is of a server that the provider gives and that nobody
// has to check: it cannot be reached.
func (c Context) given(code fault.Code) bool {
	switch code {
	case fault.DNSFailure, fault.ConnectRefused, fault.ConnectTimeout:
	default:
		return false
	}
	server := c.Provider.Servers[c.protocol()]
	return !c.Admin && server.Host != "" && server.Host == c.Host && server.Port == c.Port
}

// reader returns what is said to whoever reads it.
func (c Context) reader(user, admin words.Phrase) words.Phrase {
	if c.Admin {
		return admin
	}
	return user
}

// particular is the advice that holds for this provider alone, and its pages.
func (c Context) particular(code fault.Code, lang words.Language) (sentences, links []string) {
	p := c.Provider
	if p.ID == "" || p.ID == account.OtherProvider {
		return nil, nil
	}
	say := func(w words.Phrase, fill ...string) {
		sentences = append(sentences, strings.NewReplacer(fill...).Replace(w.In(lang)))
	}
	link := func(url string) {
		if url != "" {
			links = append(links, url)
		}
	}
	switch code {
	case fault.AuthFailed:
		if p.Username(sampleAddress) != sampleAddress {
			say(words.AddLocalPart)
		}
		if p.NeedsAccess(c.protocol()) {
			say(words.AddAccess)
			link(p.AccessURL)
		}
		if p.TakesAppPassword() {
			say(words.AddAppPassword)
			link(p.AppPasswordURL)
		}
	case fault.AppPasswordRequired:
		if note := p.Note(lang); note != "" && p.TakesAppPassword() {
			sentences = append(sentences, note)
		}
		link(p.AppPasswordURL)
	case fault.AccessDisabled:
		link(first(p.AccessURL, p.HelpURL))
	case fault.TLSCertificateInvalid:
		if s, ok := p.Certified(c.protocol()); ok && s.Host != c.Host {
			say(words.AddCertified, "{server}", account.Letters(s.Host))
		}
	case fault.DNSFailure, fault.ConnectRefused, fault.ConnectTimeout, fault.TLSFailure, fault.ProtocolError:
		if server := c.known(); server != "" && server != c.Host {
			say(words.AddServer, "{server}", account.Letters(server))
		}
	}
	return sentences, links
}

const sampleAddress = "anna@example.org"

func first(urls ...string) string {
	for _, u := range urls {
		if u != "" {
			return u
		}
	}
	return ""
}

// known returns the provider's server for the account, "" when it depends on
// what is not known.
func (c Context) known() string {
	if c.Email != "" {
		return c.Provider.ServersFor(c.Email)[c.Protocol].Host
	}
	host := c.Provider.Servers[c.Protocol].Host
	if strings.Contains(host, "{") {
		return ""
	}
	return host
}

// protocol is the account's; IMAP, the usual one, when it is not known.
func (c Context) protocol() remote.Protocol {
	if c.Protocol == "" {
		return remote.IMAP
	}
	return c.Protocol
}

// fill puts names into a text. They come from our own table, and the host from
// a checked account: none is taken from a server.
func (c Context) fill(s string, lang words.Language) string {
	name, proto := c.Provider.Name, protocolNames[c.Protocol]
	if name == "" || c.Provider.ID == account.OtherProvider {
		name = words.TheProvider.In(lang)
	}
	if proto == "" {
		proto = words.EitherProtocol.In(lang)
	}
	return strings.NewReplacer("{provider}", name, "{protocol}", proto).Replace(s)
}

// Sentence says in one sentence what a code means: for the failed step of a
// connection test, whose own detail is in English.
func Sentence(code fault.Code, lang words.Language) string {
	title, _ := Explain(code, lang, Context{})
	return title + "."
}
