package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/settings"
)

// What web.signin may be.
const (
	signInNone   = "none"
	signInIMAP   = "imap"
	signInHeader = "header"
	signInOIDC   = "oidc"
)

// How users are called at the server of signin.imap.
const (
	loginAddress = "address"
	loginLocal   = "local"
)

// signInConfig is about people who sign in to the pages without a link.
type signInConfig struct {
	Domains []string // Whose users may, by a password; empty: all.
	IMAP    signInIMAPConfig
	Header  signInHeaderConfig
	OIDC    signInOIDCConfig
}

// signInIMAPConfig is the server that says whether a password is right.
type signInIMAPConfig struct {
	Host     string
	Port     int // 0: by Security.
	Security remote.Security
	CAFile   string // PEM; empty: the system's roots only.
	Login    string
}

type signInHeaderConfig struct{ Name string }

// signInOIDCConfig is what is registered at the identity provider.
type signInOIDCConfig struct {
	Issuer          string
	ClientID        string
	ClientSecret    remote.Secret
	Scopes          []string
	Claim           string // With the user's mailbox address.
	AllowUnverified bool   // An email counts without email_verified.
}

// signInDefaults are what is not set.
func signInDefaults() signInConfig {
	return signInConfig{
		IMAP: signInIMAPConfig{Security: remote.TLS, Login: loginAddress},
		OIDC: signInOIDCConfig{Scopes: []string{"email"}, Claim: "email"},
	}
}

// signInByDefault is byDefault for the keys about signing in to the pages.
func (c config) signInByDefault(key string) string {
	switch key {
	case "web.signin":
		return c.Web.SignIn
	case "signin.imap.security":
		return string(c.SignIn.IMAP.Security)
	case "signin.imap.login":
		return c.SignIn.IMAP.Login
	case "signin.oidc.scopes":
		return strings.Join(c.SignIn.OIDC.Scopes, ",")
	case "signin.oidc.claim":
		return c.SignIn.OIDC.Claim
	case "signin.oidc.allow_unverified":
		return strconv.FormatBool(c.SignIn.OIDC.AllowUnverified)
	}
	return ""
}

// signInSettings are the keys about signing in to the pages.
func signInSettings() []setting {
	choice := func(into func(*config) *string, words ...string) func(*config, string) error {
		return func(c *config, v string) error {
			*into(c) = v
			if !slices.Contains(words, v) {
				return fmt.Errorf("must be %s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
			}
			return nil
		}
	}
	return []setting{
		{Name: "web.signin", Set: choice(func(c *config) *string { return &c.Web.SignIn },
			signInNone, signInIMAP, signInHeader, signInOIDC)},
		{Name: "trusted_proxies", Kind: settings.List, Optional: true, Set: func(c *config, v string) (err error) {
			c.TrustedProxies, err = parseProxies(v)
			return err
		}},
		{Name: "signin.domains", Kind: settings.List, Optional: true, Set: func(c *config, v string) (err error) {
			c.SignIn.Domains, err = parseDomains(v)
			return err
		}},
		{Name: "signin.imap.host", Optional: true, Set: func(c *config, v string) (err error) {
			if v != "" {
				v, err = hostname.Checked(v)
			}
			if c.SignIn.IMAP.Host = v; err != nil {
				return fmt.Errorf("must be a host such as imap.example.org: %w", err)
			}
			return nil
		}},
		{Name: "signin.imap.port", Kind: settings.Number, Optional: true, Set: func(c *config, v string) (err error) {
			if v != "" {
				c.SignIn.IMAP.Port, err = parseNumber(v, 65535)
			}
			return err
		}},
		{Name: "signin.imap.security", Set: func(c *config, v string) error {
			c.SignIn.IMAP.Security = remote.Security(v)
			if !slices.Contains([]remote.Security{remote.TLS, remote.STARTTLS, remote.None}, c.SignIn.IMAP.Security) {
				return errors.New("must be tls, starttls or none")
			}
			return nil
		}},
		{Name: "signin.imap.ca_file", Optional: true, Set: func(c *config, v string) error {
			c.SignIn.IMAP.CAFile = v
			return checkRoots(v)
		}},
		{Name: "signin.imap.login", Set: choice(func(c *config) *string { return &c.SignIn.IMAP.Login },
			loginAddress, loginLocal)},
		{Name: "signin.header.name", Optional: true, Set: func(c *config, v string) (err error) {
			c.SignIn.Header.Name, err = parseHeader(v)
			return err
		}},
		{Name: "signin.oidc.issuer", Optional: true, Set: func(c *config, v string) error {
			c.SignIn.OIDC.Issuer = v
			if v == "" {
				return nil
			}
			return oidc.CheckAddress(v)
		}},
		{Name: "signin.oidc.client_id", Optional: true, Set: func(c *config, v string) error {
			c.SignIn.OIDC.ClientID = v
			return checkText(v)
		}},
		{Name: "signin.oidc.client_secret", Optional: true, Secret: true, Set: func(c *config, v string) error {
			c.SignIn.OIDC.ClientSecret = remote.NewSecret(v)
			return checkText(v)
		}},
		{Name: "signin.oidc.scopes", Kind: settings.List, Optional: true, Set: func(c *config, v string) error {
			c.SignIn.OIDC.Scopes = splitWords(v)
			return nil
		}},
		{Name: "signin.oidc.claim", Set: func(c *config, v string) error {
			c.SignIn.OIDC.Claim = v
			return checkText(v)
		}},
		{Name: "signin.oidc.allow_unverified", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.SignIn.OIDC.AllowUnverified, err = parseTruth(v)
			return err
		}},
	}
}

// loopbackNetworks are this machine itself.
var loopbackNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// checkSignIn looks at what the chosen way needs. What is set for another one may
// stay: operators go from one to the other and back.
func (c config) checkSignIn(values settings.Values) error {
	chosen := func(key string) string {
		return fmt.Sprintf("web.signin = %q (from %s) needs %s", c.Web.SignIn, values["web.signin"].From, key)
	}
	switch o := c.SignIn; c.Web.SignIn {
	case signInIMAP:
		switch {
		case o.IMAP.Host == "":
			return errors.New("signin.imap.host is missing: " + chosen("the server that knows the passwords"))
		case o.IMAP.Security == remote.None && !loopback(o.IMAP.Host):
			return fmt.Errorf(`signin.imap.security (from %s) is "none", and signin.imap.host (from %s) is not this machine: `+
				`write "tls" or "starttls", or passwords could be read on the way`,
				values["signin.imap.security"].From, values["signin.imap.host"].From)
		case o.IMAP.Login == loginLocal && len(o.Domains) != 1:
			return fmt.Errorf(`signin.domains must name one domain: signin.imap.login (from %s) is "local", so that the `+
				`server cannot tell users of two domains apart`, values["signin.imap.login"].From)
		}
	case signInHeader:
		switch {
		case o.Header.Name == "":
			return errors.New("signin.header.name is missing: " + chosen("the header in which the proxy says who it is, "+
				"such as Remote-Email"))
		case len(c.TrustedProxies) == 0:
			return errors.New("trusted_proxies is missing: " + chosen("the addresses of the proxy, or anybody could send the "+
				"header"))
		}
	case signInOIDC:
		for _, need := range []struct{ key, value string }{
			{"signin.oidc.issuer", o.OIDC.Issuer},
			{"signin.oidc.client_id", o.OIDC.ClientID},
			{"web.public_url", c.Web.PublicURL},
		} {
			if need.value == "" {
				return fmt.Errorf("%s is missing: %s", need.key, chosen("it"))
			}
		}
	}
	return nil
}

// port is the one of the server, or the usual one.
func (c signInIMAPConfig) port() int {
	if c.Security == remote.TLS {
		return cmp.Or(c.Port, 993)
	}
	return cmp.Or(c.Port, 143)
}

// parseDomains reads domains of users, as they stand behind the @.
func parseDomains(v string) ([]string, error) {
	var domains []string
	for _, word := range splitWords(v) {
		o, err := owner.Parse("a@" + word)
		if err != nil {
			return nil, fmt.Errorf("must be domains such as example.org, which %q is not", word)
		}
		_, domain := parts(o)
		domains = append(domains, domain)
	}
	return domains, nil
}

// inDomains reports whether a user is of one of these domains; of none: whether
// there is no such rule.
func inDomains(o owner.Owner, domains []string) bool {
	_, domain := parts(o)
	return len(domains) == 0 || slices.Contains(domains, domain)
}

// parts are what stands before and behind the @.
func parts(o owner.Owner) (local, domain string) {
	local, domain, _ = strings.Cut(o.String(), "@")
	return local, domain
}
