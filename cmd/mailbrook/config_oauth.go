package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/settings"
)

// oauthConfig is what the operator registered with a provider, so that users
// can sign in on its page. All but the first two replace what the catalogue
// says.
type oauthConfig struct {
	ClientID     string // Empty: signing in there is not offered.
	ClientSecret remote.Secret
	AuthorizeURL string
	TokenURL     string
	Issuer       string
	Scopes       []string
	Hosts        []string // Mail servers that are shown its tokens besides the provider's own.
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
				change(func(o *oauthConfig) { o.ClientSecret = remote.NewSecret(v) })(c)
				return checkText(v)
			}},
			setting{Name: key + "authorize_url", Optional: true, Set: put(func(o *oauthConfig) *string {
				return &o.AuthorizeURL
			}, checkPage)},
			setting{Name: key + "token_url", Optional: true, Set: put(func(o *oauthConfig) *string {
				return &o.TokenURL
			}, checkTokenURL)},
			setting{Name: key + "issuer", Optional: true, Set: put(func(o *oauthConfig) *string { return &o.Issuer },
				checkText)},
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

// checkOAuth looks at what the parts of a registration need of each other.
func (c config) checkOAuth(values settings.Values) error {
	for _, id := range slices.Sorted(maps.Keys(c.OAuth)) {
		o, key := c.OAuth[id], "oauth."+id+"."
		if o.ClientID == "" {
			for _, rest := range []string{"client_secret", "authorize_url", "token_url", "issuer", "scopes", "hosts"} {
				if v, ok := values[key+rest]; ok && v.Text != "" {
					return fmt.Errorf("%sclient_id is missing: %s%s (from %s) is useless without it", key, key, rest, v.From)
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
