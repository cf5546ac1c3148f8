// Package provider is what is known of mail providers: their servers, how they
// sign users in, what their users have to switch on, their limits. It answers
// for addresses, hosts and ids from a table embedded in the program.
//
// It asks nobody: no DNS, no HTTP. What it says is for a person to confirm or
// for a connection test to prove.
package provider

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

//go:embed presets.toml
var presets []byte

// Catalog is all presets. It is safe for concurrent use.
type Catalog struct {
	all      []Provider
	byID     map[string]int
	byDomain map[string]int
	byHost   map[string]int
	byMX     map[string]int // By suffix of an exchanger's name.
	patterns []pattern
	oauth    []OAuth
}

var _ account.Presets = (*Catalog)(nil)

// pattern is a host with one part that only the customer knows.
type pattern struct {
	before, after string
	digits        bool
	index         int
}

// New returns the embedded catalog.
func New() (*Catalog, error) { return parse(presets) }

// entry is a provider in presets.toml; its comments explain the keys.
type entry struct {
	ID, Name, Username, Access string
	Domains, MX                []string
	Auth                       []Auth
	OAuth                      string
	IMAP, POP3                 *server
	Unsupported                bool
	HelpURL                    string `toml:"help_url"`
	AccessURL                  string `toml:"access_url"`
	AppPasswordURL             string `toml:"app_password_url"`
	Note                       words.Phrase
	POP3Note                   words.Phrase `toml:"pop3_note"`
	Limits                     struct {
		Connections       int
		PollMinutes       int   `toml:"poll_minutes"`
		POP3PollMinutes   int   `toml:"pop3_poll_minutes"`
		IMAPMBPerDay      int64 `toml:"imap_mb_per_day"`
		POP3MBPerDay      int64 `toml:"pop3_mb_per_day"`
		MessagesPerFolder int   `toml:"messages_per_folder"`
	}
	Quirks struct {
		SkipFolders        []string `toml:"skip_folders"`
		CloseInsteadOfQuit bool     `toml:"close_instead_of_quit"`
		SendID             bool     `toml:"send_id"`
		SizesAreEstimates  bool     `toml:"sizes_are_estimates"`
	}
	Variants []struct {
		When       string
		Domains    []string
		IMAP, POP3 *server
	}
	Confidence          string
	Unverified, Sources []string
}

type server struct {
	Host     string
	Port     int
	Security remote.Security
}

func parse(text []byte) (*Catalog, error) {
	var file struct {
		Provider []entry
		OAuth    []OAuth
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading the providers' presets: %w", err)
	}
	c := &Catalog{
		byID: map[string]int{}, byDomain: map[string]int{}, byHost: map[string]int{}, byMX: map[string]int{},
		oauth: file.OAuth,
	}
	for i, e := range file.Provider {
		p := e.provider()
		c.all = append(c.all, p)
		if _, twice := c.byID[p.ID]; twice || p.ID == "" {
			return nil, fmt.Errorf("reading the providers' presets: the id %q is not unique", p.ID)
		}
		c.byID[p.ID] = i
		if _, ok := c.OAuth(p.OAuth); !ok && p.OAuth != "" {
			return nil, fmt.Errorf("reading the providers' presets: %s names the page %q to sign in on, which is not in the "+
				"table", p.ID, p.OAuth)
		}
		for _, domain := range p.Domains {
			if _, twice := c.byDomain[domain]; twice {
				return nil, fmt.Errorf("reading the providers' presets: two claim the domain %s", domain)
			}
			c.byDomain[domain] = i
		}
		c.addHosts(p, i)
		for _, suffix := range p.MX {
			if _, twice := c.byMX[suffix]; twice {
				return nil, fmt.Errorf("reading the providers' presets: two claim the exchangers of %s", suffix)
			}
			c.byMX[suffix] = i
		}
	}
	return c, nil
}

func (e entry) provider() Provider {
	p := Provider{
		ID: e.ID, Name: e.Name, Domains: e.Domains, MX: e.MX, Servers: servers(e.IMAP, e.POP3), Auth: e.Auth, OAuth: e.OAuth,
		HelpURL: e.HelpURL, AccessURL: e.AccessURL, AppPasswordURL: e.AppPasswordURL, Confidence: e.Confidence,
		username: e.Username, access: e.Access, unsupported: e.Unsupported, note: e.Note, pop3: e.POP3Note,
		Limits: Limits{
			Connections: e.Limits.Connections, MessagesPerFolder: e.Limits.MessagesPerFolder,
			PollInterval: map[remote.Protocol]time.Duration{}, BytesPerDay: map[remote.Protocol]int64{},
		},
		Quirks: Quirks{
			SkipFolders: e.Quirks.SkipFolders, CloseInsteadOfQuit: e.Quirks.CloseInsteadOfQuit,
			SendID: e.Quirks.SendID, SizesAreEstimates: e.Quirks.SizesAreEstimates,
		},
	}
	for proto, minutes := range map[remote.Protocol]int{
		remote.IMAP: e.Limits.PollMinutes, remote.POP3: max(e.Limits.PollMinutes, e.Limits.POP3PollMinutes),
	} {
		if minutes > 0 {
			p.Limits.PollInterval[proto] = time.Duration(minutes) * time.Minute
		}
	}
	for proto, mb := range map[remote.Protocol]int64{
		remote.IMAP: e.Limits.IMAPMBPerDay,
		remote.POP3: e.Limits.POP3MBPerDay,
	} {
		if mb > 0 {
			p.Limits.BytesPerDay[proto] = mb << 20
		}
	}
	for _, v := range e.Variants {
		p.variants = append(p.variants, variant{v.When, v.Domains, servers(v.IMAP, v.POP3)})
	}
	return p
}

func servers(imap, pop3 *server) map[remote.Protocol]remote.Server {
	out := map[remote.Protocol]remote.Server{}
	if imap != nil {
		out[remote.IMAP] = remote.Server(*imap)
	}
	if pop3 != nil {
		out[remote.POP3] = remote.Server(*pop3)
	}
	return out
}

// addHosts notes whose the hosts are. Where two providers share one, the first
// in the table keeps it.
func (c *Catalog) addHosts(p Provider, index int) {
	sets := []map[remote.Protocol]remote.Server{p.Servers}
	for _, v := range p.variants {
		sets = append(sets, v.servers)
	}
	for _, set := range sets {
		for _, s := range set {
			c.addHost(s.Host, p.Domains, index)
		}
	}
}

func (c *Catalog) addHost(host string, domains []string, index int) {
	if strings.Contains(host, domainMark) {
		for _, d := range domains {
			c.addHost(strings.ReplaceAll(host, domainMark, d), nil, index)
		}
		return
	}
	if before, rest, ok := strings.Cut(host, "{"); ok {
		mark, after, _ := strings.Cut(rest, "}")
		c.patterns = append(c.patterns, pattern{before, after, mark == "n", index})
		return
	}
	if _, taken := c.byHost[host]; !taken {
		c.byHost[host] = index
	}
}

func (t pattern) matches(host string) bool {
	part, ok := strings.CutPrefix(host, t.before)
	if !ok {
		return false
	}
	if part, ok = strings.CutSuffix(part, t.after); !ok || part == "" || strings.Contains(part, ".") {
		return false
	}
	return !t.digits || strings.Trim(part, "0123456789") == ""
}

// All returns the providers in the order in which to offer them; the last is
// "other".
func (c *Catalog) All() []Provider { return append([]Provider(nil), c.all...) }

// OAuths returns where users can sign in, in the order of the table.
func (c *Catalog) OAuths() []OAuth { return append([]OAuth(nil), c.oauth...) }

// OAuth returns where users sign in, by its id; false when there is none.
func (c *Catalog) OAuth(id string) (OAuth, bool) {
	for _, o := range c.oauth {
		if o.ID == id {
			return o, true
		}
	}
	return OAuth{}, false
}

// ByID returns a provider, or the zero Provider.
func (c *Catalog) ByID(id string) Provider {
	if i, ok := c.byID[id]; ok {
		return c.all[i]
	}
	return Provider{}
}

// ByHost returns the provider whose server a host is, or the zero Provider.
func (c *Catalog) ByHost(host string) Provider {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if i, ok := c.byHost[host]; ok {
		return c.all[i]
	}
	for _, t := range c.patterns {
		if t.matches(host) {
			return c.all[t.index]
		}
	}
	return Provider{}
}

// forExchangers returns the provider that the mail exchangers of a domain belong to, the
// most preferred first, or the zero Provider. Of suffixes the longest decides.
func (c *Catalog) forExchangers(exchangers []string) Provider {
	for _, host := range exchangers {
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		for suffix := host; suffix != ""; _, suffix, _ = strings.Cut(suffix, ".") {
			if i, ok := c.byMX[suffix]; ok {
				return c.all[i]
			}
		}
	}
	return Provider{}
}

// Hosted is what to suggest for an address whose domain has these mail
// exchangers: false when they are nobody's that is known, or its servers are not.
func (c *Catalog) Hosted(email string, exchangers []string) (account.Suggestion, bool) {
	p := c.forExchangers(exchangers)
	servers := p.ServersFor(email)
	if p.ID == "" || len(servers) == 0 && !p.unsupported {
		return account.Suggestion{}, false
	}
	return account.Suggestion{
		Source: "mx", Provider: p.ID, Name: p.Name, Servers: servers, Username: p.Username(email),
	}, true
}

// Serving returns the provider that an account with this preset and host is
// at: the host's if it is known, else the preset's if that leaves the host to
// the user or makes it of the user's domain, else the zero Provider. A user
// may have chosen any preset and then named a server of somebody else's.
func (c *Catalog) Serving(id, host string) Provider {
	if p := c.ByHost(host); p.ID != "" {
		return p
	}
	p := c.ByID(id)
	for _, s := range p.Servers {
		if !strings.Contains(s.Host, domainMark) {
			return Provider{}
		}
	}
	return p
}

// Suggest implements account.Presets: by the domain of the address, else a
// guess of the hosts' usual names, else, for what is no address, "none".
func (c *Catalog) Suggest(_ context.Context, email string) account.Suggestion {
	_, domain, ok := split(email)
	if !ok {
		return account.Suggestion{Source: "none", Provider: account.OtherProvider, DidYouMean: c.DidYouMean(email)}
	}
	p := c.ByID(account.OtherProvider)
	if i, known := c.byDomain[domain]; known {
		p = c.all[i]
		if s := p.ServersFor(email); len(s) > 0 || p.unsupported {
			return account.Suggestion{Source: "preset", Provider: p.ID, Name: p.Name, Servers: s, Username: p.Username(email)}
		}
	}
	guess := account.Suggestion{
		Source: "guess", Provider: p.ID, Username: p.Username(email), DidYouMean: c.DidYouMean(email),
		Servers: map[remote.Protocol]remote.Server{
			remote.IMAP: {Host: "imap." + domain, Port: 993, Security: remote.TLS},
			remote.POP3: {Host: "pop3." + domain, Port: 995, Security: remote.TLS},
		},
	}
	if p.ID != account.OtherProvider {
		guess.Name = p.Name
	}
	for proto, s := range guess.Servers {
		if !isName(s.Host) { // The domain is as long as a name can be.
			delete(guess.Servers, proto)
		}
	}
	return guess
}

// Preset implements account.Presets. "other" has no name and no servers.
func (c *Catalog) Preset(id, email string) (account.Preset, bool) {
	p := c.ByID(id)
	if p.ID == "" {
		return account.Preset{}, false
	}
	preset := account.Preset{
		Provider: p.ID, Name: p.Name, Servers: p.ServersFor(email), Username: p.Username(email),
		Auth: p.signIn(),
	}
	if p.ID == account.OtherProvider {
		preset.Name = "" // An account is called after its domain, not "Other".
	}
	return preset, true
}

// signIn returns the ways to sign in as an account knows them: an app password
// is a password.
func (p Provider) signIn() []remote.Auth {
	var out []remote.Auth
	if p.accepts(Password) || p.accepts(AppPassword) {
		out = append(out, remote.Password)
	}
	if p.accepts(OAuth2) {
		out = append(out, remote.OAuth2)
	}
	return out
}
