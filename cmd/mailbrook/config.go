package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mailbox"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/settings"
	"github.com/mailbrook/mailbrook/internal/webui"
)

// config is what an operator may set. Only this package reads it; every part
// is handed what it needs.
type config struct {
	Listen   string // Host and port of the REST API and the web pages.
	Ops      string // Host and port of readiness and metrics; empty: with the API.
	DataDir  string
	Database string // "sqlite:PATH" or "postgres://…".
	Mailbox  string // "maildir:PATH" with {user}, {domain} or {local} to be filled in.
	// CreateMailboxes says whether a user's first delivery makes a mailbox that was
	// never there.
	CreateMailboxes bool
	Memory          int64 // Octets that the visits of this process may hold together; 0: by what the machine has.
	Remote          remoteConfig
	Poll            pollConfig
	Accounts        accountsConfig
	Auth            authConfig
	Web             webConfig
	// LookThrough is whether an embedded database is read as a whole before it is
	// used, which the command decides.
	LookThrough bool
	// May is what the command may do with an installation, which it decides too.
	May            use
	TrustedProxies []netip.Prefix // Of proxies in front of us: where requests come from is their word.
	SignIn         signInConfig
	Audit          auditConfig
	OAuth          map[string]oauthConfig // By the id of the provider's page, as the catalogue has it.
	Log            logConfig
	Found          found
}

// remoteConfig bounds which servers accounts may name.
type remoteConfig struct {
	AllowNetworks  []netip.Prefix // Allowed although not public.
	AllowPorts     portList
	OwnHosts       []string // Where users' own mailboxes lie: no account may name them.
	CAFile         string   // PEM; empty: the system's roots only.
	AllowPlaintext bool
}

// portList is which ports an account may name.
type portList struct {
	List []int
	Any  bool
}

type pollConfig struct {
	Interval    time.Duration // For accounts that name none.
	MinInterval time.Duration // The least a user may ask for.
	Workers     int           // Visits at a time in this process.
}

type accountsConfig struct{ MaxPerUser int }

// authConfig says how bearer tokens are verified; all empty: by a key made in
// the data directory.
type authConfig struct {
	Secret   account.Secret // Shared, for HS256.
	JWKSURL  string
	Issuer   string
	Audience string
	// UserIDClaim names the claim that tells apart users who have one address one
	// after the other; empty: there is none.
	UserIDClaim string
}

// webConfig is about the web pages.
type webConfig struct {
	FrameAncestors []string // Origins whose pages may show ours in a frame.
	PublicURL      string   // The origin at which people see ours; empty: where we listen.
	Brand          webui.Brand
	SignIn         string // How people sign in who have no link.
}

// oauthConfig is what the operator registered with a provider, so that users
// can sign in on its page. All but the first two replace what the catalogue
// says.
type oauthConfig struct {
	ClientID     string // Empty: signing in there is not offered.
	ClientSecret account.Secret
	AuthorizeURL string
	TokenURL     string
	Issuer       string
	Scopes       []string
	Hosts        []string // Mail servers that are shown its tokens besides the provider's own.
}

type logConfig struct {
	Level  slog.Level
	Format string // "text" or "json".
}

// embedded reports whether the database is a file of ours.
func (c config) embedded() bool { return strings.HasPrefix(c.Database, "sqlite:") }

// databaseName names the database for people, without who signs in there.
func (c config) databaseName() string {
	if c.embedded() {
		return c.Database
	}
	u, err := url.Parse(c.Database)
	if err != nil {
		return "postgres"
	}
	return "postgres://" + u.Host + u.Path
}

// minSecret is the least length of a shared secret: RFC 7518 section 3.2
// requires a key as long as the hash.
const minSecret = 32

// setting is one key of the configuration.
type setting = settings.Key[config]

// allSettings are the keys of the contract, and a few more.
func allSettings() []setting {
	return append([]setting{
		{Name: "listen", Set: func(c *config, v string) error { c.Listen = v; return checkListen(v) }},
		{Name: "listen_ops", Optional: true, Set: func(c *config, v string) error {
			c.Ops = v
			if v == "" {
				return nil
			}
			return checkListen(v)
		}},
		{Name: "data_dir", Set: func(c *config, v string) error { c.DataDir = v; return checkText(v) }},
		{Name: "database", Secret: true, Set: func(c *config, v string) error { c.Database = v; return checkDatabase(v) }},
		{Name: "mailbox", Set: func(c *config, v string) error { c.Mailbox = v; return checkMailbox(v) }},
		{Name: "create_mailboxes", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.CreateMailboxes, err = parseTruth(v)
			return err
		}},
		{Name: "memory_limit", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.Memory, err = parseBytes(v)
			return err
		}},
		{Name: "remote.allow_networks", Kind: settings.List, Optional: true, Set: func(c *config, v string) (err error) {
			c.Remote.AllowNetworks, err = parseNetworks(v)
			return err
		}},
		{Name: "remote.allow_ports", Kind: settings.List, Set: func(c *config, v string) (err error) {
			c.Remote.AllowPorts, err = parsePorts(v)
			return err
		}},
		{Name: "remote.own_hosts", Kind: settings.List, Optional: true, Set: func(c *config, v string) (err error) {
			c.Remote.OwnHosts, err = parseHosts(v)
			return err
		}},
		{Name: "remote.ca_file", Optional: true, Set: func(c *config, v string) error {
			c.Remote.CAFile = v
			return checkRoots(v)
		}},
		{Name: "remote.allow_plaintext", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.Remote.AllowPlaintext, err = parseTruth(v)
			return err
		}},
		{Name: "poll.interval", Kind: settings.Duration, Set: func(c *config, v string) (err error) {
			c.Poll.Interval, err = parseDuration(v)
			return err
		}},
		{Name: "poll.min_interval", Kind: settings.Duration, Set: func(c *config, v string) (err error) {
			c.Poll.MinInterval, err = parseDuration(v)
			return err
		}},
		{Name: "poll.workers", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.Poll.Workers, err = parseNumber(v, 10000)
			return err
		}},
		{Name: "accounts.max_per_user", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.Accounts.MaxPerUser, err = parseNumber(v, 1000)
			return err
		}},
		{Name: "auth.secret", Optional: true, Secret: true, Set: func(c *config, v string) error {
			c.Auth.Secret = account.NewSecret(v)
			return checkSecret(v)
		}},
		{Name: "auth.jwks_url", Optional: true, Set: func(c *config, v string) error {
			c.Auth.JWKSURL = v
			return checkJWKS(v)
		}},
		{Name: "auth.issuer", Optional: true, Set: func(c *config, v string) error { c.Auth.Issuer = v; return nil }},
		{Name: "auth.audience", Optional: true, Set: func(c *config, v string) error { c.Auth.Audience = v; return nil }},
		{Name: "auth.user_id_claim", Optional: true, Set: func(c *config, v string) error {
			c.Auth.UserIDClaim = v
			return checkClaim(v)
		}},
		{Name: "web.frame_ancestors", Kind: settings.List, Optional: true, Set: func(c *config, v string) (err error) {
			c.Web.FrameAncestors, err = parseOrigins(v)
			return err
		}},
		{Name: "web.public_url", Optional: true, Set: func(c *config, v string) (err error) {
			if v != "" {
				c.Web.PublicURL, err = parseOrigin(v)
			}
			return err
		}},
		{Name: "web.brand.name", Optional: true, Set: func(c *config, v string) (err error) {
			c.Web.Brand.Name, err = parseTitle(v)
			return err
		}},
		{Name: "web.brand.logo", Optional: true, Set: func(c *config, v string) (err error) {
			if v != "" {
				c.Web.Brand.Logo, err = readLogo(v)
			}
			return err
		}},
		{Name: "web.brand.color", Optional: true, Set: func(c *config, v string) (err error) {
			if v != "" {
				c.Web.Brand.Color, err = webui.ParseColor(v)
			}
			return err
		}},
		{Name: "web.brand.help_url", Optional: true, Set: func(c *config, v string) error {
			c.Web.Brand.HelpURL = v
			return checkForPeople(v)
		}},
		{Name: "web.brand.privacy_url", Optional: true, Set: func(c *config, v string) error {
			c.Web.Brand.PrivacyURL = v
			return checkForPeople(v)
		}},
		{Name: "log.level", Set: func(c *config, v string) error {
			if c.Log.Level.UnmarshalText([]byte(v)) != nil {
				return errors.New("must be debug, info, warn or error")
			}
			return nil
		}},
		{Name: "log.format", Set: func(c *config, v string) error {
			c.Log.Format = v
			if v != "text" && v != "json" {
				return errors.New("must be text or json")
			}
			return nil
		}},
	}, slices.Concat(signInSettings(), auditSettings(), oauthSettings())...)
}

// oauthServers are the ids of the pages that users can be let sign in on: those
// of the catalogue.
var oauthServers = []string{"google", "microsoft", "yahoo", "aol", "fastmail", "mailru", "yandex", "comcast"}

// oauthSettings are the keys of each of them.
func oauthSettings() []setting {
	var all []setting
	for _, id := range oauthServers {
		change := func(do func(*oauthConfig)) func(*config) {
			return func(c *config) {
				o := c.OAuth[id]
				do(&o)
				m := maps.Clone(c.OAuth)
				if m == nil {
					m = map[string]oauthConfig{}
				}
				m[id] = o
				c.OAuth = m
			}
		}
		put := func(into func(*oauthConfig) *string, check func(string) error) func(*config, string) error {
			return func(c *config, v string) error {
				change(func(o *oauthConfig) { *into(o) = v })(c)
				return check(v)
			}
		}
		key := "oauth." + id + "."
		all = append(
			all,
			setting{Name: key + "client_id", Optional: true, Set: put(func(o *oauthConfig) *string {
				return &o.ClientID
			}, checkText)},
			setting{Name: key + "client_secret", Optional: true, Secret: true, Set: func(c *config, v string) error {
				change(func(o *oauthConfig) { o.ClientSecret = account.NewSecret(v) })(c)
				return checkText(v)
			}},
			setting{Name: key + "authorize_url", Optional: true, Set: put(func(o *oauthConfig) *string {
				return &o.AuthorizeURL
			}, checkPage)},
			setting{Name: key + "token_url", Optional: true, Set: put(func(o *oauthConfig) *string {
				return &o.TokenURL
			}, checkTokenURL)},
			setting{Name: key + "issuer", Optional: true, Set: put(func(o *oauthConfig) *string { return &o.Issuer }, checkText)},
			setting{Name: key + "scopes", Kind: settings.List, Optional: true, Set: func(c *config, v string) error {
				change(func(o *oauthConfig) { o.Scopes = splitWords(v) })(c)
				return nil
			}},
			setting{Name: key + "hosts", Kind: settings.List, Optional: true, Set: func(c *config, v string) error {
				change(func(o *oauthConfig) { o.Hosts = splitWords(strings.ToLower(v)) })(c)
				return nil
			}},
		)
	}
	return all
}

// schema is what may be set, and how it is named.
func schema() settings.Schema[config] {
	return settings.Schema[config]{
		Keys: allSettings(), Prefix: "MAILBROOK_", Variables: []string{fileVariable}, Help: "mailbrook --help", Defaults: defaults,
	}
}

// loadConfig reads the file (where none is named, one of standardFiles), then the
// environment, then what the command line says, by key; the later wins. Its
// error names the key and what to do, and never a secret's value.
func loadConfig(ctx context.Context, file string, environ []string, flags map[string]string) (config, error) {
	file, err := findFile(file, environ, standardFiles())
	if err != nil {
		return config{}, err
	}
	c, values, err := schema().Load(ctx, file, environ, flags)
	if err != nil {
		return config{}, err
	}
	c.Database = cmp.Or(c.Database, "sqlite:"+filepath.Join(c.DataDir, "mailbrook.db"))
	ours := "maildir:" + filepath.Join(c.DataDir, "mail", "{domain}", "{local}")
	c.Mailbox = cmp.Or(c.Mailbox, ours)
	if _, ok := values["create_mailboxes"]; !ok {
		c.CreateMailboxes = samePlace(c.Mailbox, ours) // Elsewhere the mail system makes them.
	}
	// A default gives way to what was set.
	if _, ok := values["poll.min_interval"]; !ok {
		c.Poll.MinInterval = min(c.Poll.MinInterval, c.Poll.Interval)
	}
	if _, ok := values["poll.interval"]; !ok {
		c.Poll.Interval = max(c.Poll.Interval, c.Poll.MinInterval)
	}
	if err := c.check(values); err != nil {
		return config{}, err
	}
	c.Found = found{file, values}
	return c, nil
}

func defaults() config {
	return config{
		Listen: "127.0.0.1:8080", DataDir: "./data",
		Remote:   remoteConfig{AllowPorts: portList{List: []int{110, 143, 993, 995}}},
		Poll:     pollConfig{Interval: 5 * time.Minute, MinInterval: time.Minute, Workers: 64},
		Accounts: accountsConfig{MaxPerUser: 4}, Web: webConfig{SignIn: signInNone}, SignIn: signInDefaults(),
		Audit: auditConfig{Keep: 365 * 24 * time.Hour}, Log: logConfig{Level: slog.LevelInfo, Format: "text"},
	}
}

// check looks at what no key can tell by itself.
func (c config) check(values settings.Values) error {
	if c.Poll.MinInterval > c.Poll.Interval {
		return fmt.Errorf("poll.min_interval (from %s) is %v, which is longer than poll.interval (from %s), %v: make it "+
			"shorter, or poll.interval longer",
			values["poll.min_interval"].From, c.Poll.MinInterval, values["poll.interval"].From, c.Poll.Interval)
	}
	for key, value := range map[string]string{"auth.issuer": c.Auth.Issuer, "auth.audience": c.Auth.Audience} {
		if c.Auth.JWKSURL != "" && value == "" {
			return fmt.Errorf("%s is missing: auth.jwks_url (from %s) needs it, or tokens made for anybody would be accepted",
				key, values["auth.jwks_url"].From)
		}
	}
	if err := c.checkSignIn(values); err != nil {
		return err
	}
	return c.checkOAuth(values)
}

// checkOAuth looks at what the parts of a registration need of each other.
func (c config) checkOAuth(values settings.Values) error {
	for _, id := range slices.Sorted(maps.Keys(c.OAuth)) {
		o, key := c.OAuth[id], "oauth."+id+"."
		if o.ClientID == "" {
			for _, rest := range []string{"client_secret", "authorize_url", "token_url", "issuer", "scopes", "hosts"} {
				if v, ok := values[key+rest]; ok && v.Text != "" {
					return fmt.Errorf("%sclient_id is missing: %s%s (from %s) is of no use without it", key, key, rest, v.From)
				}
			}
			continue
		}
		if c.Web.PublicURL == "" {
			return fmt.Errorf("web.public_url is missing: %sclient_id (from %s) needs it, as %s sends browsers back there", key,
				values[key+"client_id"].From, id)
		}
		if (o.AuthorizeURL == "") != (o.TokenURL == "") {
			return fmt.Errorf("%sauthorize_url and %stoken_url are of one server: set both or neither", key, key)
		}
	}
	return nil
}

func checkText(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must not contain control characters")
	}
	return nil
}

func checkListen(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("must be a host and a port, as in 127.0.0.1:8080 or :8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return errors.New("must end in a port from 0 to 65535")
	}
	return nil
}

// checkDatabase says nothing of the value, which may hold a password.
func checkDatabase(v string) error {
	switch scheme, rest, _ := strings.Cut(v, ":"); scheme {
	case "sqlite":
		if rest == "" {
			return errors.New("names no file: write sqlite:/path/to/mailbrook.db")
		}
		return checkText(v)
	case "postgres", "postgresql":
		u, err := url.Parse(v)
		if err != nil || !strings.HasPrefix(rest, "//") || u.Opaque != "" {
			return errors.New("is no address of a database: write postgres://user:password@host:5432/name (and %XX for " +
				"special " +
				"characters)")
		}
		return nil
	}
	return errors.New("must begin with sqlite: or postgres://")
}

// placeholders are the words in braces of a template.
var placeholders = regexp.MustCompile(`\{[^{}]*\}`)

func checkMailbox(v string) error {
	path, ok := strings.CutPrefix(v, "maildir:")
	if !ok || path == "" {
		return errors.New("must begin with maildir: and a path")
	}
	personal := false
	for _, p := range placeholders.FindAllString(path, -1) {
		switch p {
		case "{user}", "{local}":
			personal = true
		case "{domain}":
		default:
			return fmt.Errorf("must not contain %s: there are {user}, {domain} and {local}", p)
		}
	}
	if strings.ContainsAny(placeholders.ReplaceAllString(path, ""), "{}") {
		return errors.New("has a brace without its counterpart")
	}
	if !personal {
		return errors.New("must contain {user} or {local}, or all users would share one mailbox")
	}
	if err := mailbox.CheckTemplate(v); errors.Is(err, mailbox.ErrShared) {
		return fmt.Errorf("must not be so: %w", err)
	}
	return checkText(v)
}

func checkSecret(v string) error {
	if v != "" && len(v) < minSecret {
		return fmt.Errorf("is shorter than %d bytes, the least for HS256: take a longer one, such as the output of "+
			"\"openssl rand -base64 48\"", minSecret)
	}
	return nil
}

// samePlace reports whether two settings lead to the same mailboxes, however their
// paths are written.
func samePlace(a, b string) bool {
	if a == b {
		return true
	}
	pa, err1 := filepath.Abs(strings.TrimPrefix(a, "maildir:"))
	pb, err2 := filepath.Abs(strings.TrimPrefix(b, "maildir:"))
	return err1 == nil && err2 == nil && pa == pb
}

// perToken are claims that are another one in each token, or the same for
// everybody, or the address.
var perToken = []string{"jti", "iat", "exp", "nbf", "aud", "iss", "scope", "nonce", "sid", "auth_time", "sub", "email"}

// checkClaim refuses what cannot tell users apart: with a claim that changes each
// token would be another user's, and the accounts of the one before be removed.
func checkClaim(v string) error {
	if slices.Contains(perToken, v) {
		return errors.New("must name a claim that every token of a user bears alike, and no other user's does, such as uid")
	}
	return checkText(v)
}

func checkJWKS(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("must be an address that begins with https://")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return errors.New("must begin with https://: whoever can change the keys on the way can sign in as anybody")
	}
	return nil
}

// parseTitle wants a name that fits the head of a page.
func parseTitle(v string) (string, error) {
	v = strings.TrimSpace(v)
	if !utf8.ValidString(v) || utf8.RuneCountInString(v) > 40 || strings.ContainsFunc(v, unicode.IsControl) {
		return "", errors.New("must have 40 characters at most, all of them printable")
	}
	return v, nil
}

// checkForPeople wants an address that a link may lead people to, or none.
func checkForPeople(v string) error {
	if v == "" {
		return nil
	}
	if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return errors.New("must be the address of a page, like https://firma.example/pomoc")
	}
	return nil
}

// checkPage wants an address that browsers may be sent to.
func checkPage(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" ||
		!loopback(u.Hostname())) {
		return errors.New("must be an address that begins with https://")
	}
	return nil
}

// checkTokenURL wants an address over which secrets may be sent.
func checkTokenURL(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" || u.Fragment != "" || u.User != nil {
		return errors.New("must be an address that begins with https://: tokens come from there")
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && a.IsLoopback())
}

// mappedBits are before an IPv4 address that is written as IPv6 (RFC 4291 section
// 2.5.5.2).
const mappedBits = 96

// parseNetworks reads networks, and single addresses as networks of one. IPv4 that is
// written as IPv6 (::ffff:192.0.2.7) is IPv4: what connects is compared as such.
func parseNetworks(v string) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, word := range splitWords(v) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			a, aerr := netip.ParseAddr(word)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("must be networks such as 10.0.0.0/8 or fd00::/8, which %q is not", word)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < mappedBits {
				return nil, fmt.Errorf("must be networks such as 10.0.0.0/8 or fd00::/8: write %q as one of IPv4 or of IPv6", word)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-mappedBits)
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

func parseHosts(v string) ([]string, error) {
	var hosts []string
	for _, word := range splitWords(v) {
		h, err := outbound.NormalHost(word)
		if err != nil {
			return nil, fmt.Errorf("must be hosts such as imap.example.org, which %q is not: %w", word, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

func parsePorts(v string) (portList, error) {
	if strings.TrimSpace(v) == "*" {
		return portList{Any: true}, nil
	}
	var ports []int
	for _, word := range splitWords(v) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 65535 {
			return portList{}, fmt.Errorf("must be ports from 1 to 65535, or \"*\" for all, which %q is not", word)
		}
		if !slices.Contains(ports, n) {
			ports = append(ports, n)
		}
	}
	if len(ports) == 0 {
		return portList{}, errors.New("names no port")
	}
	return portList{List: ports}, nil
}

// splitWords splits at commas and spaces.
func splitWords(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func parseTruth(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseNumber(v string, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("must be a number from 1 to %d", most)
	}
	return n, nil
}

// parseBytes reads "512MB", "2GiB", and octets without a unit. All units are
// powers of 1024.
func parseBytes(v string) (int64, error) {
	bad := errors.New("must be a size such as 512MB, 2GB or 536870912")
	digits := strings.TrimRight(strings.ToUpper(v), " BIKMGT")
	unit, ok := map[string]int{
		"": 0, "B": 0, "K": 10, "KB": 10, "KIB": 10, "M": 20, "MB": 20, "MIB": 20, "G": 30, "GB": 30, "GIB": 30, "T": 40,
		"TB": 40, "TIB": 40,
	}[strings.TrimSpace(strings.ToUpper(v[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 62)
	switch {
	case !ok || err != nil || n < 0 || n > 1<<50>>unit:
		return 0, bad
	case n<<unit < memory.Least:
		return 0, fmt.Errorf("must be at least %dMB", memory.Least>>20)
	}
	return n << unit, nil
}

// parseDuration reads "5m", "90s", "1h30m", and nothing without a unit.
func parseDuration(v string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return 0, fmt.Errorf("has no unit: write %sm for minutes or %ss for seconds", v, v)
	}
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return 0, errors.New("must be a time such as 5m, 90s or 1h30m")
	case d < 100*time.Millisecond:
		return 0, errors.New("must be at least 100ms")
	case d > 7*24*time.Hour:
		return 0, errors.New("must be at most a week (168h)")
	}
	return d, nil
}
