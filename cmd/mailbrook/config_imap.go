package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/settings"
)

// mailboxIMAP is what mailbox says where users' own mailboxes are at an IMAP server.
const mailboxIMAP = "imap"

// How a user's own mailbox is signed in to, besides a template with {user}.
const (
	loginAuthzid = "plain-authzid"
	loginXOAUTH2 = "xoauth2"
	loginPerUser = "per-user"
)

// imapConfig is the server of users' own mailboxes, where mailbox is "imap".
type imapConfig struct {
	Address     imapAddress
	Security    remote.Security
	CAFile      string // PEM; empty: the system's roots only.
	Login       string
	User        string        // Who signs in, with plain-authzid.
	Password    remote.Secret // The master's.
	Root        string        // The folder below which account folders lie; empty: none.
	Connections int           // At a time, in this process.
	OAuth       imapOAuthConfig
}

// imapAddress is a host and a port, or a Unix socket.
type imapAddress struct {
	Host   string
	Port   int
	Socket string // A path; then there is no host.
}

// String is how the address is written.
func (a imapAddress) String() string {
	if a.Socket != "" {
		return "unix:" + a.Socket
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// imapOAuthConfig is the registration by which access tokens are had, with xoauth2.
type imapOAuthConfig struct {
	TokenURL     string
	ClientID     string
	ClientSecret remote.Secret
	Scope        string
	// ServiceAccount is the key by which tokens are had in the name of each user, instead of the registration.
	ServiceAccount remote.Secret
}

// imapDefaults are what is not set.
func imapDefaults() imapConfig { return imapConfig{Security: remote.TLS, Connections: 16} }

// byIMAP reports whether users' own mailboxes are at an IMAP server.
func (c config) byIMAP() bool { return c.Mailbox == mailboxIMAP }

// imapByDefault is byDefault for the keys about that server.
func (c config) imapByDefault(key string) string {
	switch key {
	case "imap.security":
		return string(c.IMAP.Security)
	case "imap.connections":
		return strconv.Itoa(c.IMAP.Connections)
	}
	return ""
}

// imapSettings are the keys about the server of users' own mailboxes.
func imapSettings() []setting {
	text := func(into func(*config) *string, check func(string) error) func(*config, string) error {
		return func(c *config, v string) error {
			*into(c) = v
			return check(v)
		}
	}
	return []setting{
		{Name: "imap.address", Optional: true, Set: func(c *config, v string) (err error) {
			c.IMAP.Address, err = parseIMAPAddress(v)
			return err
		}},
		{Name: "imap.security", Set: func(c *config, v string) error {
			c.IMAP.Security = remote.Security(v)
			if !slices.Contains([]remote.Security{remote.TLS, remote.STARTTLS, remote.None}, c.IMAP.Security) {
				return errors.New("must be tls, starttls or none")
			}
			return nil
		}},
		{Name: "imap.ca_file", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.CAFile }, checkRoots)},
		{Name: "imap.login", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.Login }, checkIMAPLogin)},
		{Name: "imap.user", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.User }, checkText)},
		{Name: "imap.password", Optional: true, Secret: true, Set: func(c *config, v string) error {
			c.IMAP.Password = remote.NewSecret(v)
			return checkText(v)
		}},
		{Name: "imap.root", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.Root }, checkFolder)},
		{Name: "imap.connections", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.IMAP.Connections, err = parseNumber(v, 1000)
			return err
		}},
		{Name: "imap.oauth.token_url", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.OAuth.TokenURL },
			checkTokenURL)},
		{Name: "imap.oauth.client_id", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.OAuth.ClientID },
			checkText)},
		{Name: "imap.oauth.client_secret", Optional: true, Secret: true, Set: func(c *config, v string) error {
			c.IMAP.OAuth.ClientSecret = remote.NewSecret(v)
			return checkText(v)
		}},
		{Name: "imap.oauth.service_account", Optional: true, Secret: true, Set: func(c *config, v string) error {
			c.IMAP.OAuth.ServiceAccount = remote.NewSecret(v)
			return checkServiceAccount(v)
		}},
		{Name: "imap.oauth.scope", Optional: true, Set: text(func(c *config) *string { return &c.IMAP.OAuth.Scope },
			checkText)},
	}
}

// checkServiceAccount wants a key of a service account, as Google gives it out.
func checkServiceAccount(v string) error {
	if v == "" {
		return nil
	}
	a, err := oauth.ParseServiceAccount(v)
	if err == nil && checkTokenURL(a.TokenURL) != nil {
		err = errors.New("has a token_uri that does not begin with https://")
	}
	if err != nil {
		return fmt.Errorf("must be the JSON of a service account's key, best in a file of its own "+
			"(imap.oauth.service_account_file): it %w", err)
	}
	return nil
}

// parseIMAPAddress reads host:port, or unix: and a path.
func parseIMAPAddress(v string) (a imapAddress, err error) {
	if v == "" {
		return a, nil
	}
	const form = "must be a host and a port such as dovecot:143, or unix: and the path of a socket"
	if path, ok := strings.CutPrefix(v, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return a, errors.New(form + ", which begins with /")
		}
		return imapAddress{Socket: filepath.Clean(path)}, checkText(path)
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return a, errors.New(form)
	}
	if a.Host, err = hostname.Checked(host); err != nil {
		return a, fmt.Errorf("%s: %w", form, err)
	}
	if a.Port, err = parseNumber(port, 65535); err != nil {
		return a, errors.New("must end in a port from 1 to 65535")
	}
	return a, nil
}

// masterLogin is a user name that opens another's mailbox.
var masterLogin = regexp.MustCompile(`^\{user\}[^{}A-Za-z0-9\s"\\][^{}\s"\\]+$`)

func checkIMAPLogin(v string) error {
	if v == "" || slices.Contains([]string{loginAuthzid, loginXOAUTH2, loginPerUser}, v) || masterLogin.MatchString(v) {
		return nil
	}
	return errors.New(`must be "{user}", the server's separator and a master's name, as in "{user}*mailbrook" or ` +
		`"{user}%mailbrook"; or "plain-authzid", "xoauth2" or "per-user"`)
}

// mostRoot is how long the name may be, in octets, of the folder that account folders lie in.
const mostRoot = 60

// checkFolder wants the name of a folder, "/" between its parts.
func checkFolder(v string) error {
	if v == "" {
		return nil
	}
	for part := range strings.SplitSeq(v, "/") {
		if strings.TrimSpace(part) == "" || strings.ContainsAny(part, "*%") || part == "." || part == ".." {
			return errors.New(`must be the name of a folder such as "External", with "/" between the parts of one that ` +
				"lies in another, and without * and %; . and .. are no parts")
		}
	}
	if strings.HasPrefix(v, "~") || len(v) > mostRoot {
		return fmt.Errorf(`must be the name of a folder such as "External" that does not begin with ~, which servers `+
			"refuse, and has %d octets at most, so that there is room below it", mostRoot)
	}
	return checkText(v)
}

// checkIMAP looks at what the server of users' own mailboxes needs. Where they are elsewhere its keys may stay:
// operators go from one to the other and back.
func (c config) checkIMAP(values settings.Values) error {
	if !c.byIMAP() {
		return nil
	}
	o, from := c.IMAP, func(key string) string { return values[key].From }
	needs := func(key, why string) error {
		return fmt.Errorf(`%s is missing: mailbox = "imap" (from %s) needs %s`, key, from("mailbox"), why)
	}
	switch {
	case o.Address == imapAddress{}:
		return needs("imap.address", `the server of users' own mailboxes, as "dovecot:143" or "unix:/path"`)
	case o.Login == "":
		return needs("imap.login", `how it is signed in to, as "{user}*NAME", "plain-authzid", "xoauth2" or "per-user"`)
	case c.CreateMailboxes:
		return fmt.Errorf(`create_mailboxes (from %s) is true, and mailbox (from %s) is "imap": leave it out, as the `+
			`server makes its users' mailboxes and nobody else can`, from("create_mailboxes"), from("mailbox"))
	case o.Address.Socket != "" && o.Security != remote.None:
		return fmt.Errorf(`imap.security (from %s) is %q, and imap.address (from %s) a Unix socket: write "none", or leave `+
			`it out, as nobody listens on a socket`, from("imap.security"), o.Security, from("imap.address"))
	case o.Security == remote.None && !c.plainIMAP():
		return fmt.Errorf(`imap.security (from %s) is "none", and imap.address (from %s) is not this machine: write "tls" `+
			`or "starttls", or passwords could be read on the way; where nobody else is on that network, name it in `+
			`remote.allow_networks`, from("imap.security"), from("imap.address"))
	}
	return c.checkIMAPLogin(from, needs)
}

// plainIMAP reports whether the server may be reached without TLS, as far as can be told without asking for a name.
func (c config) plainIMAP() bool {
	host := c.IMAP.Address.Host
	if host == "" || loopback(host) {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return len(c.Remote.AllowNetworks) > 0 // Its addresses are compared when it is dialled.
	}
	return slices.ContainsFunc(c.Remote.AllowNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// checkIMAPLogin looks at what the chosen way to sign in needs, and at what it cannot use.
func (c config) checkIMAPLogin(from func(key string) string, needs func(key, why string) error) error {
	o := c.IMAP
	useless := func(key, why string) error {
		return fmt.Errorf("%s (from %s) cannot be used with imap.login = %q (from %s): leave it out, as %s", key, from(key),
			o.Login, from("imap.login"), why)
	}
	password := fmt.Sprintf("the password of who signs in with imap.login = %q (from %s), best in a file of its own: "+
		"imap.password_file", o.Login, from("imap.login"))
	switch o.Login {
	case loginPerUser:
		switch {
		case !o.Password.Empty():
			return useless("imap.password", "each user's own is saved by PUT /v1/admin/users/{user}/mailbox")
		case o.User != "":
			return useless("imap.user", "each user signs in")
		}
	case loginXOAUTH2:
		switch {
		case !o.Password.Empty():
			return useless("imap.password", "an access token signs in: set imap.oauth.client_secret")
		case o.User != "":
			return useless("imap.user", "the user's own name goes along with the token")
		case !o.OAuth.ServiceAccount.Empty():
			return o.checkServiceAccount(from, needs)
		case o.OAuth.TokenURL == "":
			return needs("imap.oauth.token_url", "where access tokens are had")
		case o.OAuth.ClientID == "":
			return needs("imap.oauth.client_id", "the registration by which access tokens are had")
		case o.OAuth.ClientSecret.Empty():
			return needs("imap.oauth.client_secret", "the registration's secret, best in a file of its own: "+
				"imap.oauth.client_secret_file")
		}
	case loginAuthzid:
		switch {
		case o.User == "":
			return needs("imap.user", "the name of who signs in for all users")
		case o.Password.Empty():
			return needs("imap.password", password)
		}
	default:
		switch {
		case o.User != "":
			return useless("imap.user", "the name of who signs in stands in imap.login")
		case o.Password.Empty():
			return needs("imap.password", password)
		}
	}
	return nil
}

// checkServiceAccount looks at what goes with a service account, and at what it cannot use.
func (c imapConfig) checkServiceAccount(from func(key string) string, needs func(key, why string) error) error {
	const key = "imap.oauth.service_account"
	for other, set := range map[string]bool{
		"imap.oauth.token_url": c.OAuth.TokenURL != "", "imap.oauth.client_id": c.OAuth.ClientID != "",
		"imap.oauth.client_secret": !c.OAuth.ClientSecret.Empty(),
	} {
		if set {
			return fmt.Errorf("%s (from %s) cannot be used with %s (from %s): leave one of them out, as the account's key "+
				"says where its tokens are had, and signs for them", other, from(other), key, from(key))
		}
	}
	if c.OAuth.Scope == "" {
		return needs("imap.oauth.scope", `what the service account was allowed to, as "https://mail.google.com/"`)
	}
	return nil
}
