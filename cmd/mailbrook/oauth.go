package main

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/provider"
)

// newOAuth wires signing in on providers' pages: where the operator has a
// registration, with what the catalogue knows of the rest.
func (a *app) newOAuth() (*oauth.Service, error) {
	client := a.dialer.HTTP()
	// Tokens come from the address that is configured and no other: a redirect
	// would take a secret elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return oauth.New(oauth.Options{
		Providers: a.cfg.oauthProviders(a.catalog), PublicURL: a.cfg.Web.PublicURL, HTTP: client,
		Sealer: a.vault, Pending: a.store.Pending(), Secrets: a.store.OAuthSecrets(), Serves: a.servesTokens, Gate: a.logins,
		Log: a.log, Now: a.store.Now,
	})
}

// servesTokens reports whether a mail server is shown a provider's tokens: its
// own, and those that the operator named.
func (a *app) servesTokens(id, host string) bool {
	return a.catalog.ByHost(host).OAuth == id || slices.Contains(a.cfg.OAuth[id].Hosts, host)
}

// oauthProviders lays the configuration over the catalogue.
func (c config) oauthProviders(catalog *provider.Catalog) []oauth.Provider {
	var all []oauth.Provider
	for _, known := range catalog.OAuths() {
		set := c.OAuth[known.ID]
		if set.ClientID == "" {
			continue
		}
		p := oauth.Provider{
			ID: known.ID, Name: known.Name, ClientID: set.ClientID, ClientSecret: set.ClientSecret, Params: known.Params,
			AuthorizeURL: cmp.Or(set.AuthorizeURL, known.AuthorizeURL), TokenURL: cmp.Or(set.TokenURL, known.TokenURL),
			Issuer: known.Issuer, Scopes: known.Scopes,
		}
		if set.AuthorizeURL != "" { // Another server has another issuer.
			p.Issuer = ""
		}
		p.Issuer = cmp.Or(set.Issuer, p.Issuer)
		if len(set.Scopes) > 0 {
			p.Scopes = set.Scopes
		}
		for _, preset := range catalog.All() {
			if preset.OAuth == known.ID {
				p.Presets = append(p.Presets, preset.ID)
			}
		}
		all = append(all, p)
	}
	return all
}
