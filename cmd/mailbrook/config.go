package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
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
	Mailbox  string // "maildir:PATH" with {user}, {domain} or {local} to be filled in; or "imap".
	IMAP     imapConfig
	// CreateMailboxes says whether a user's first delivery makes a mailbox that was
	// never there.
	CreateMailboxes bool
	Memory          int64 // Octets that the visits of this process may hold together; 0: by what the machine has.
	Remote          remoteConfig
	Poll            pollConfig
	Accounts        accountsConfig
	Copies          copiesConfig
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
	Secret   remote.Secret // Shared, for HS256.
	JWKSURL  string
	Issuer   string
	Audience string
	// UserIDClaim names the claim that distinguishes users who have one address one
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

// schema is what may be set, and how it is named.
func schema() settings.Schema[config] {
	return settings.Schema[config]{
		Keys: allSettings(), Prefix: "MAILBROOK_", Variables: []string{fileVariable}, Help: "mailbrook --help",
		Defaults: defaults,
	}
}

// ownMaildirs is where mailboxes are unless it is said otherwise.
func (c config) ownMaildirs() string {
	return "maildir:" + filepath.Join(c.DataDir, "mail", "{domain}", "{local}")
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
	ours := c.ownMaildirs()
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
	if _, ok := values["imap.security"]; !ok && c.IMAP.Address.Socket != "" {
		c.IMAP.Security = remote.None
	}
	if err := c.check(values); err != nil {
		return config{}, err
	}
	c.Found = found{file, values}
	return c, nil
}

func defaults() config {
	return config{
		Listen: "127.0.0.1:8080", DataDir: "./data", IMAP: imapDefaults(),
		Remote:   remoteConfig{AllowPorts: portList{List: []int{110, 143, 993, 995}}},
		Poll:     pollConfig{Interval: 5 * time.Minute, MinInterval: time.Minute, Workers: 64},
		Accounts: accountsConfig{MaxPerUser: 4}, Web: webConfig{SignIn: signInNone}, SignIn: signInDefaults(),
		Copies: copiesDefaults(), Audit: auditConfig{Keep: 365 * 24 * time.Hour},
		Log: logConfig{Level: slog.LevelInfo, Format: "text"},
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
	if err := c.checkIMAP(values); err != nil {
		return err
	}
	if err := c.checkSignIn(values); err != nil {
		return err
	}
	return c.checkOAuth(values)
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
