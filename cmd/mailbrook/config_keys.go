package main

import (
	"errors"
	"slices"

	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/settings"
	"github.com/mailbrook/mailbrook/internal/webui"
)

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
			c.Memory, err = parseMemory(v)
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
			c.Auth.Secret = remote.NewSecret(v)
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
	}, slices.Concat(copiesSettings(), imapSettings(), signInSettings(), auditSettings(), oauthSettings())...)
}
