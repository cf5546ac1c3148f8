// Package oidc signs people in to the pages on the page of the operator's own
// identity provider (OpenID Connect Core 1.0: code flow, with PKCE, state and
// nonce).
//
// It keeps nothing: what belongs to one sign-in is the caller's, and comes back
// with it. The provider is asked for the first time when somebody signs in, so that
// one that is down stops nothing else. It dials by the client that it is given, and
// knows nothing of sessions or pages.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Options are what the operator registered with the provider. HTTP, Issuer,
// ClientID and RedirectURL are required.
type Options struct {
	Issuer       string
	ClientID     string
	ClientSecret remote.Secret // Empty: a public client, by PKCE alone.
	RedirectURL  string
	Scopes       []string // Besides openid.
	// Claim is the one with the user's mailbox address. "email" counts only with
	// email_verified beside it, unless Unverified says otherwise.
	Claim      string
	Unverified bool
	// UserIDClaim distinguishes users who have one address one after the other; "": no
	// claim does.
	UserIDClaim string
	HTTP        *http.Client
	Now         func() time.Time // Nil: time.Now.
}

const (
	// patience bounds one answer of the provider's; pause is between two attempts to
	// reach one that does not answer.
	patience = 10 * time.Second
	pause    = 10 * time.Second
	// fresh is for how long what it says of itself is believed.
	fresh = 24 * time.Hour
	// leeway is how far its clock may be ahead of ours, as far as for the library.
	leeway = 5 * time.Minute
	// shown is how much of what went wrong is in the log: providers' pages of
	// errors are long.
	shown = 300
)

// Provider is an identity provider. It is safe for concurrent use.
type Provider struct {
	opts      Options
	exchanges *exchanges

	mu     chan struct{} // Holds a place while free: who waits can give up.
	known  *metadata     // Nil before the first time.
	failed time.Time     // When it last could not be reached; zero since it could.
	why    error
}

// metadata is what the provider says of itself.
type metadata struct {
	provider *gooidc.Provider
	keys     *gooidc.RemoteKeySet
	algs     []string
	style    oauth2.AuthStyle
	signs    bool // It names itself in what it sends back with a browser (RFC 9207).
	at       time.Time
}

// New returns a provider. It asks it nothing yet.
func New(o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	client := *o.HTTP
	client.Timeout = patience
	through := &exchanges{next: client.Transport, open: map[*exchange]context.CancelFunc{}}
	client.Transport = through
	o.HTTP = &client
	p := &Provider{opts: o, exchanges: through, mu: make(chan struct{}, 1)}
	p.mu <- struct{}{}
	return p
}

// Close ends what is being asked of the provider, for whomever, and waits for that;
// nothing is asked any more. It may be called again.
func (p *Provider) Close() { p.exchanges.close() }

// Flow is one sign-in: three words that nobody else knows. State comes back with the
// browser, Nonce in the id token; Verifier proves that who takes the code sent the
// browser out (RFC 7636).
type Flow struct {
	State, Nonce string
	Verifier     remote.Secret
}

// Person is who signed in.
type Person struct {
	Owner  owner.Owner
	UserID owner.UserID // Of Options.UserIDClaim; zero without.
}

// AwayError says that the provider cannot be asked now.
type AwayError struct {
	Wait time.Duration // Until it is worth while to try again.
	Err  error
}

// Error says so, for the log.
func (e *AwayError) Error() string { return "the identity provider cannot be asked: " + cleaned(e.Err) }

// Unwrap returns what went wrong.
func (e *AwayError) Unwrap() error { return e.Err }

// RefusedError says that nobody is signed in by what the provider said. Why is for
// people: "over" (its code was used or is too old), "address" (it names no verified
// mailbox address), "setup" (it and the installation disagree about the client), or
// "false" (nothing of it can be trusted).
type RefusedError struct {
	Why string
	// Vouched says that somebody did sign in there, only not as one of our users.
	Vouched bool
	Err     error
}

// Error says why, for the log.
func (e *RefusedError) Error() string {
	return "the sign-in is refused (" + e.Why + "): " + cleaned(e.Err)
}

// Unwrap returns what is wrong with it.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(why, format string, args ...any) error {
	return &RefusedError{Why: why, Err: fmt.Errorf(format, args...)}
}

// cleaned is an error for the log: it may quote a page of the provider's.
func cleaned(err error) string { return words.Clean(err.Error(), shown) }

// withheld is an error without the secrets that the provider repeated in it.
type withheld struct {
	text string
	err  error
}

// Error implements error.
func (e *withheld) Error() string { return e.text }

// Unwrap returns the error as it was: for comparing, not for printing.
func (e *withheld) Unwrap() error { return e.err }

// withhold cuts the secrets out of what an *AwayError or a *RefusedError says. They are looked for in what is left
// when everything that is not shown is gone: a secret may have been taken apart by it.
func withhold(err error, secrets *remote.Redactor) error {
	without := func(err error) error {
		return &withheld{secrets.Redact(words.Clean(err.Error(), 8*shown)), err}
	}
	var away *AwayError
	var no *RefusedError
	switch {
	case errors.As(err, &away):
		return &AwayError{away.Wait, without(away.Err)}
	case errors.As(err, &no):
		return &RefusedError{no.Why, no.Vouched, without(no.Err)}
	}
	return err
}

// ErrOtherIssuer says that what is found at the issuer's address is another's.
var ErrOtherIssuer = errors.New("the discovery document found there is of another issuer")

// Reach asks the provider what it says of itself. Its errors are *AwayError, which
// wraps ErrOtherIssuer if that is why, or ctx's.
func (p *Provider) Reach(ctx context.Context) error {
	_, err := p.ask(ctx)
	return withhold(err, p.secrets())
}

// secrets knows what nobody may read in an error: the client's secret, and what is added.
func (p *Provider) secrets() *remote.Redactor {
	r := &remote.Redactor{}
	r.Add(p.opts.ClientSecret)
	return r
}

// Begin returns the address of the provider's page for a sign-in.
func (p *Provider) Begin(ctx context.Context, f Flow) (address string, err error) {
	m, err := p.ask(ctx)
	if err != nil {
		return "", withhold(err, p.secrets())
	}
	return p.client(m).AuthCodeURL(f.State, gooidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier.Reveal())), nil
}

// client is this installation as the provider knows it.
func (p *Provider) client(m *metadata) *oauth2.Config {
	at := m.provider.Endpoint()
	at.AuthStyle = m.style
	return &oauth2.Config{
		ClientID: p.opts.ClientID, ClientSecret: p.opts.ClientSecret.Reveal(), Endpoint: at,
		RedirectURL: p.opts.RedirectURL, Scopes: append([]string{gooidc.ScopeOpenID}, p.opts.Scopes...),
	}
}

// ask returns what the provider says of itself. One caller asks, the others wait for
// it; while it does not answer it is left alone between attempts.
func (p *Provider) ask(ctx context.Context) (*metadata, error) {
	select {
	case <-p.mu:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the identity provider: %w", ctx.Err())
	}
	defer func() { p.mu <- struct{}{} }()
	now := p.opts.Now()
	if p.known != nil && now.Sub(p.known.at).Abs() < fresh {
		return p.known, nil
	}
	if since := now.Sub(p.failed).Abs(); !p.failed.IsZero() && since < pause {
		if p.known != nil {
			return p.known, nil
		}
		return nil, &AwayError{pause - since, p.why}
	}
	m, err := p.discover(ctx)
	if err != nil {
		p.failed, p.why = p.opts.Now(), err // Those who waited meanwhile need not wait as long again.
		if p.known != nil {
			return p.known, nil
		}
		return nil, &AwayError{pause, err}
	}
	m.at, p.known, p.failed, p.why = now, m, time.Time{}, nil
	return m, nil
}

// discover reads OpenID Connect Discovery 1.0. Who asked may be gone: the answer is
// for others too, bounded by the client, and ended by Close.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	ctx = gooidc.ClientContext(context.WithoutCancel(ctx), p.opts.HTTP)
	provider, err := gooidc.NewProvider(ctx, p.opts.Issuer)
	if other := (*gooidc.IssuerMismatchError)(nil); errors.As(err, &other) {
		return nil, fmt.Errorf("%w: %q", ErrOtherIssuer, words.Clean(other.Discovered, shown))
	}
	if err != nil {
		return nil, fmt.Errorf("asking what the provider offers: %w", err)
	}
	var says struct {
		Keys    string   `json:"jwks_uri"`
		Person  string   `json:"userinfo_endpoint"`
		Algs    []string `json:"id_token_signing_alg_values_supported"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Signs   bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, fmt.Errorf("reading what the provider offers: %w", err)
	}
	at := provider.Endpoint()
	named := []string{at.AuthURL, at.TokenURL, says.Keys}
	if says.Person != "" { // The only one that a provider need not have.
		named = append(named, says.Person)
	}
	for _, address := range named {
		if err := CheckAddress(address); err != nil {
			return nil, fmt.Errorf("the provider names %q, which %w", words.Clean(address, shown), err)
		}
	}
	m := &metadata{
		provider: provider, keys: gooidc.NewRemoteKeySet(ctx, says.Keys), style: oauth2.AuthStyleInHeader, signs: says.Signs,
	}
	for _, alg := range says.Algs { // Nothing that is signed with a shared secret, or not at all.
		if slices.Contains(algorithms, alg) {
			m.algs = append(m.algs, alg)
		}
	}
	if p.opts.ClientSecret.Empty() || len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_basic") {
		m.style = oauth2.AuthStyleInParams
	}
	return m, nil
}

var algorithms = []string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512, gooidc.ES256, gooidc.ES384,
	gooidc.ES512, gooidc.EdDSA,
}

// Finish takes the code that the browser brought back, and returns who signed in.
// issuer is who the browser says it comes from (RFC 9207); nil: it does not say, which
// a provider that always says it is not believed. Its errors are *AwayError,
// *RefusedError, or ctx's. They repeat no secret, whatever the provider does.
func (p *Provider) Finish(ctx context.Context, f Flow, code string, issuer *string) (Person, error) {
	secrets := p.secrets()
	secrets.Add(remote.NewSecret(code), f.Verifier, remote.NewSecret(f.State), remote.NewSecret(f.Nonce))
	who, err := p.finish(ctx, f, code, issuer, secrets)
	if err != nil {
		return Person{}, withhold(err, secrets)
	}
	return who, nil
}

// finish is Finish with errors that may repeat anything. It adds to secrets what the provider gives.
func (p *Provider) finish(ctx context.Context, f Flow, code string, issuer *string,
	secrets *remote.Redactor,
) (Person, error) {
	switch {
	case issuer != nil && *issuer != p.opts.Issuer:
		return Person{}, refuse("false", "the browser comes from another issuer, %q", words.Clean(*issuer, shown))
	case code == "":
		return Person{}, refuse("false", "the browser brings no code")
	}
	m, err := p.ask(ctx)
	switch {
	case err != nil:
		return Person{}, err
	case issuer == nil && m.signs:
		return Person{}, refuse("false", "the browser does not say from which issuer it comes, which this one always says")
	}
	ctx = gooidc.ClientContext(ctx, p.opts.HTTP)
	token, err := p.client(m).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier.Reveal()))
	if err != nil {
		return Person{}, exchangeError(ctx, err)
	}
	raw, _ := token.Extra("id_token").(string)
	secrets.Add(remote.NewSecret(token.AccessToken), remote.NewSecret(token.RefreshToken), remote.NewSecret(raw))
	if raw == "" {
		return Person{}, refuse("false", "there is no id token beside the access token")
	}
	keys := &telling{set: m.keys}
	id, err := gooidc.NewVerifier(p.opts.Issuer, keys, &gooidc.Config{
		ClientID: p.opts.ClientID, SupportedSigningAlgs: m.algs, Now: p.opts.Now,
	}).Verify(ctx, raw)
	switch {
	case ctx.Err() != nil:
		return Person{}, fmt.Errorf("verifying an id token: %w", ctx.Err())
	case keys.away != nil:
		return Person{}, &AwayError{pause, keys.away}
	case err != nil:
		return Person{}, &RefusedError{Why: "false", Err: err}
	}
	return p.person(ctx, m, f, id, token)
}

// exchangeError says what it means that a code was not taken.
func exchangeError(ctx context.Context, err error) error {
	var said *oauth2.RetrieveError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("redeeming a code: %w", ctx.Err())
	case !errors.As(err, &said), said.Response == nil, said.Response.StatusCode >= http.StatusInternalServerError,
		said.Response.StatusCode == http.StatusTooManyRequests:
		return &AwayError{pause, err}
	case said.ErrorCode == "invalid_grant":
		return &RefusedError{Why: "over", Err: err}
	}
	return &RefusedError{Why: "setup", Err: err}
}

// telling says apart keys that could not be had and a signature that is wrong, which
// the library's verifier reports alike.
type telling struct {
	set  *gooidc.RemoteKeySet
	away error
}

// VerifySignature implements gooidc.KeySet.
func (t *telling) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := t.set.VerifySignature(ctx, token)
	if err != nil && errors.Unwrap(err) != nil { // "fetching keys" wraps why; a wrong signature is no more than that.
		t.away = err
	}
	return payload, err
}
