package provider

import (
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Auth is a way to sign in that a provider accepts.
type Auth string

// The ways to sign in.
const (
	Password    Auth = "password"     // The mailbox's own.
	AppPassword Auth = "app_password" // One that the user makes for programs.
	OAuth2      Auth = "oauth2"       // Signing in on the provider's page.
)

// Provider is what is known of one provider. Zero values mean "not known".
type Provider struct {
	ID      string
	Name    string
	Domains []string // Lower case.
	// MX are suffixes of the mail exchangers of domains that it hosts.
	MX []string
	// Servers are the presets. A host may hold "{domain}", which stands for
	// the domain of the address. Empty when only the user can know them.
	Servers map[remote.Protocol]remote.Server
	Auth    []Auth // Accepted today, in the order in which to offer them.
	// OAuth is the id of the OAuth whose page signs its users in; "": none is known.
	OAuth string

	HelpURL        string // How to set up a mail program.
	AccessURL      string // How to switch IMAP and POP3 on.
	AppPasswordURL string // How to make an app password.

	Limits Limits
	Quirks Quirks

	// Confidence in all this: "high", "medium" or "low".
	Confidence string

	username    string
	access      string
	unsupported bool
	note        words.Phrase
	pop3        words.Phrase
	variants    []variant
}

// OAuth is a page to sign in on (OAuth 2.0), as it is known before an operator
// has a registration there. Several providers may share one.
type OAuth struct {
	ID           string
	Name         string
	AuthorizeURL string            `toml:"authorize_url"`
	TokenURL     string            `toml:"token_url"`
	Issuer       string            // "": not known. "{tenantid}" stands for a part that only tokens know.
	Scopes       []string          // What is asked for.
	Params       map[string]string // What else the authorization request has to say.
	Sources      []string
}

// Limits are what a provider asks of programs.
type Limits struct {
	Connections       int                               // At once, all programs together.
	PollInterval      map[remote.Protocol]time.Duration // The least.
	BytesPerDay       map[remote.Protocol]int64         // Of downloads.
	MessagesPerFolder int                               // Older ones are out of reach over IMAP.
}

// Quirks are what a visit has to know.
type Quirks struct {
	SkipFolders        []string // Folders that hold no mail, by name.
	CloseInsteadOfQuit bool     // QUIT would hide fetched mail from other POP3 programs.
	SendID             bool     // IMAP: nothing opens before ID (RFC 2971).
	SizesAreEstimates  bool     // RFC822.SIZE and LIST are not what is sent.
}

// variant is another set of servers of a provider.
type variant struct {
	when    string
	domains []string // Those that it holds for; none: it is no preset, only known.
	servers map[remote.Protocol]remote.Server
}

// accepts reports whether a way to sign in is accepted today.
func (p Provider) accepts(a Auth) bool {
	for _, b := range p.Auth {
		if a == b {
			return true
		}
	}
	return false
}

// NeedsAppPassword reports whether the mailbox's own password is not accepted and
// one made for programs is.
func (p Provider) NeedsAppPassword() bool { return p.accepts(AppPassword) && !p.accepts(Password) }

// TakesAppPassword reports whether a password made for programs is accepted.
func (p Provider) TakesAppPassword() bool { return p.accepts(AppPassword) }

// NeedsOAuth reports whether no password is accepted.
func (p Provider) NeedsOAuth() bool {
	return p.accepts(OAuth2) && !p.accepts(Password) && !p.accepts(AppPassword)
}

// NeedsAccess reports whether the user has to switch the protocol on in the
// mailbox's settings first.
func (p Provider) NeedsAccess(proto remote.Protocol) bool {
	return p.access == "both" || p.access == string(proto)
}

// Unsupported reports whether its mailboxes cannot be fetched at all.
func (p Provider) Unsupported() bool { return p.unsupported }

// Username returns the user name that goes with an address.
func (p Provider) Username(email string) string {
	if local, _, ok := split(email); ok && p.username == "local" {
		return local
	}
	return email
}

// ServersFor returns the servers for an address.
func (p Provider) ServersFor(email string) map[remote.Protocol]remote.Server {
	_, domain, ok := split(email)
	if !ok {
		return nil
	}
	servers := p.Servers
	for _, v := range p.variants {
		for _, d := range v.domains {
			if d == domain {
				servers = v.servers
			}
		}
	}
	out := map[remote.Protocol]remote.Server{}
	for proto, s := range servers {
		s.Host = strings.ReplaceAll(s.Host, domainMark, domain)
		out[proto] = s
	}
	return out
}

// Certified returns a server with the same mailboxes and a valid certificate,
// where a provider's usual names have none.
func (p Provider) Certified(proto remote.Protocol) (remote.Server, bool) {
	for _, v := range p.variants {
		if v.when == "certificate" {
			s, ok := v.servers[proto]
			return s, ok
		}
	}
	return remote.Server{}, false
}

const domainMark = "{domain}"

// split cuts an address into what is before and after the last "@", the domain
// in lower case. It reports false for what is no address of a DNS domain.
func split(email string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(email, '@')
	if i < 1 {
		return "", "", false
	}
	domain = strings.ToLower(email[i+1:])
	return email[:i], domain, isName(domain) && strings.Contains(domain, ".")
}

// isName reports whether s is written like a DNS name in its ASCII form.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
