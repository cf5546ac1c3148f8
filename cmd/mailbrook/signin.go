package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// signIn is the way to sign in to the pages that is configured. Nothing is asked
// yet: what is down now may be up when somebody comes.
func (a *app) signIn(public string) (httpapi.SignIn, error) {
	way := httpapi.SignIn{Proxies: a.cfg.TrustedProxies}
	switch a.cfg.Web.SignIn {
	case signInHeader:
		way.Header = a.cfg.SignIn.Header.Name
	case signInIMAP:
		p, err := a.passwords()
		if err != nil {
			return httpapi.SignIn{}, err
		}
		way.Passwords = p
	case signInOIDC:
		way.Issuer = oidc.New(a.cfg.identityProvider(public, a.dialer.Trusted(), a.store.Now))
		way.Returns, way.Tickets = a.logins, a.store.Pending()
	}
	return way, nil
}

// identityProvider is what there is to know of the one of signin.oidc; public is the
// origin of the pages, to which it sends browsers back.
func (c config) identityProvider(public string, client *http.Client, now func() time.Time) oidc.Options {
	o := c.SignIn.OIDC
	return oidc.Options{
		Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret,
		RedirectURL: public + "/signin/callback", Scopes: o.Scopes, Claim: o.Claim,
		Unverified: o.AllowUnverified, UserIDClaim: c.Auth.UserIDClaim, HTTP: client, Now: now,
	}
}

// passwords asks the operator's IMAP server whether a password is right.
type passwords struct {
	server  remote.Server
	local   bool // The server knows users without their domain.
	domains []string
	dialer  *outbound.Dialer
	logins  *logins.Limiter
	log     *slog.Logger
	// patience is for how long the server may take to say it.
	patience time.Duration
}

// signInPatience is for how long a server may take to say whether a password is
// right; no shorter than servers delay their answer to a wrong one.
const signInPatience = 20 * time.Second

func (a *app) passwords() (*passwords, error) {
	c := a.cfg.SignIn.IMAP
	dialer, err := c.dialer(a.store.Now)
	if err != nil {
		return nil, err
	}
	return &passwords{
		server: c.server(), local: c.Login == loginLocal, domains: a.cfg.SignIn.Domains,
		dialer: dialer, logins: a.logins, log: a.log, patience: signInPatience,
	}, nil
}

// server is where passwords are asked for.
func (c signInIMAPConfig) server() remote.Server {
	return remote.Server{Host: hostname.Normal(c.Host), Port: c.port(), Security: c.Security}
}

// dialer reaches the server. The operator says where it is, so it may be inside;
// without TLS only here. Now tells the time by which certificates are judged.
func (c signInIMAPConfig) dialer(now func() time.Time) (*outbound.Dialer, error) {
	roots, err := outbound.LoadRoots(c.CAFile)
	if err != nil {
		return nil, usageError{fmt.Errorf("signin.imap.ca_file: %w", err)}
	}
	networks := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	if c.Security == remote.None {
		networks = loopbackNetworks
	}
	return outbound.New(outbound.Options{
		AllowNetworks: networks, AllowAnyPort: true, AllowPlaintext: c.Security == remote.None, RootCAs: roots, Now: now,
	}), nil
}

// Check implements httpapi.Passwords.
func (p *passwords) Check(ctx context.Context, c httpapi.Client, user owner.Owner, password remote.Secret) error {
	if !inDomains(user, p.domains) {
		return fmt.Errorf("%w: its domain is not one of signin.domains", account.ErrRefused)
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	name := user.String()
	if p.local {
		name, _ = parts(user)
	}
	asks := source.New(source.Options{
		Dialer: p.dialer, Gate: p.logins.Door(c.Addr, c.Browser), Log: p.log, Version: version,
		Patience: wire.Patience{Greeting: p.patience, Idle: p.patience, Command: p.patience},
	})
	err := asks.SignIn(ctx, remote.Mailbox{
		Email: user.String(), Protocol: remote.IMAP, Server: p.server, Username: name, Auth: remote.Password,
		Secret: remote.SecretRef{Owner: user},
	}, remote.Credential{Auth: remote.Password, Username: name, Secret: password})
	var held *remote.HeldBackError
	switch {
	case err == nil || errors.As(err, &held):
		return err
	case fault.CodeOf(err).Credential():
		return fmt.Errorf("%w: %w", account.ErrRefused, err)
	}
	return fmt.Errorf("asking the mail server of signin.imap: %w", err)
}
