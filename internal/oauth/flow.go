package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

const (
	// flowLife is how long a user may take on the provider's page.
	flowLife = 10 * time.Minute
	// grantLife is how long what was allowed waits for an account to take it.
	grantLife = 30 * time.Minute
)

var (
	// ErrNotOffered says that nobody can sign in on that provider's page here.
	ErrNotOffered = errors.New("signing in on this provider's page is not offered here")
	// ErrFlow says that a browser came back with what was not begun here, by
	// this user, in this session, not long ago, or was finished already.
	ErrFlow = errors.New("this sign-in was not begun here, or is over")
	// ErrNotLasting says that the provider gave no lasting permission.
	ErrNotLasting = errors.New("the provider gave no lasting permission")
)

// DeniedError says that the provider sent the browser back without permission.
type DeniedError struct {
	Code string // By RFC 6749 section 4.1.2.1, made fit to show: "access_denied".
}

// Error gives the code.
func (e *DeniedError) Error() string { return "the provider gives no permission: " + e.Code }

// Start is what a signing-in begins with.
type Start struct {
	Owner   owner.Owner
	Browser remote.Secret // What only the browser that goes there has; it must come back with the same.
	Session remote.Secret // The session in which it is begun; empty when it is begun with a token.
	Preset  string        // The mail provider's id.
	Email   string        // The mailbox that is meant; may be empty.
	Account account.ID    // The account that is to be signed in again; "" for a new one.
}

// flow is what is remembered while the browser is away.
type flow struct {
	Provider string     `json:"provider"`
	Verifier string     `json:"verifier"`
	Browser  string     `json:"browser"` // A digest.
	Session  string     `json:"session"` // A digest; "": none.
	Account  account.ID `json:"account"`
}

// Begin returns the address of the provider's page, and until when it can be
// come back from. Its error is ErrNotOffered, or our own failure.
func (s *Service) Begin(ctx context.Context, st Start) (address string, expires time.Time, err error) {
	p, ok := s.byPreset[st.Preset]
	if !ok {
		return "", time.Time{}, ErrNotOffered
	}
	state, err := newName()
	if err != nil {
		return "", time.Time{}, err
	}
	verifier, err := newName()
	if err != nil {
		return "", time.Time{}, err
	}
	u, err := url.Parse(p.AuthorizeURL)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading the address of %s's page: %w", p.Name, err)
	}
	q := u.Query()
	for name, value := range p.Params {
		q.Set(name, value)
	}
	challenge := sha256.Sum256([]byte(verifier))
	for name, value := range map[string]string{
		"response_type": "code", "client_id": p.ClientID, "redirect_uri": RedirectURL(s.PublicURL, p.ID),
		"scope": strings.Join(p.Scopes, " "),
		"state": state, "code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	if st.Email != "" {
		q.Set("login_hint", st.Email)
	}
	u.RawQuery = q.Encode()
	expires = s.Now().Add(flowLife)
	f := flow{
		Provider: p.ID, Verifier: verifier, Browser: digest(st.Browser.Reveal()), Session: sessionDigest(st.Session),
		Account: st.Account,
	}
	if err := s.save(ctx, stateName(state), st.Owner, f, expires); err != nil {
		return "", time.Time{}, fmt.Errorf("beginning to sign in: %w", err)
	}
	return u.String(), expires, nil
}

func sessionDigest(s remote.Secret) string {
	if s.Empty() {
		return ""
	}
	return digest(s.Reveal())
}

func stateName(state string) string { return "state " + state }

func grantName(id string) string { return "grant " + id }

// Callback is what a browser brings back (RFC 6749 section 4.1.2).
type Callback struct {
	Owner    owner.Owner   // Whose session it is; zero without one.
	Browser  remote.Secret // As in Start.
	Session  remote.Secret // As in Start.
	Provider string        // Whose address it came to.
	State    string
	Code     string
	Issuer   string // RFC 9207; "": not sent.
	Error    string
}

// Finished is a signing-in that went well.
type Finished struct {
	Grant   string     // The id under which Grant knows it.
	Account account.ID // As in Start.
}

// Finish takes what a browser brought back, once, and asks for tokens. Its
// error is ErrFlow, ErrNotLasting, a *DeniedError, or a *fault.Error where the
// provider could not be asked. With any but ErrFlow, what was started is still
// returned, without a grant, so that the browser can be led back.
func (s *Service) Finish(ctx context.Context, c Callback) (Finished, error) {
	if c.State == "" || len(c.State) > 128 || c.Browser.Empty() {
		return Finished{}, ErrFlow
	}
	o, sealed, err := s.Pending.UsePending(ctx, stateName(c.State))
	if errors.Is(err, account.ErrNotFound) {
		return Finished{}, ErrFlow
	}
	if err != nil {
		return Finished{}, err
	}
	var f flow
	if err := s.open(stateName(c.State), o, sealed, &f); err != nil {
		return Finished{}, err
	}
	p, known := s.byID[f.Provider]
	switch {
	case !known, f.Provider != c.Provider, f.Browser != digest(c.Browser.Reveal()):
		return Finished{}, ErrFlow
	case f.Session != "" && f.Session != sessionDigest(c.Session), !c.Owner.IsZero() && c.Owner != o:
		return Finished{}, ErrFlow
	}
	if c.Issuer != "" && p.Issuer != "" && !issues(p.Issuer, c.Issuer) {
		return Finished{}, ErrFlow
	}
	done := Finished{Account: f.Account}
	switch {
	case c.Error != "":
		return done, &DeniedError{word(c.Error)}
	case c.Code == "" || len(c.Code) > maxToken:
		return done, &DeniedError{"unknown"}
	}
	t, err := s.exchange(ctx, p, o, c.Code, f.Verifier)
	if err != nil {
		if fault.CodeOf(err) == fault.OAuthReauthorizationRequired {
			return Finished{}, ErrFlow // The code was used before, or is too old.
		}
		return done, err
	}
	if t.refresh.Empty() {
		return done, ErrNotLasting
	}
	if done.Grant, err = newName(); err != nil {
		return done, err
	}
	if err := s.keepGrant(ctx, o, done.Grant, p.ID, t); err != nil {
		return Finished{}, err
	}
	s.Log.InfoContext(ctx, "signed in on a provider's page", "user", o, "provider", p.ID)
	return done, nil
}

// granted is a grant that no account has taken yet.
type granted struct {
	Provider string    `json:"provider"`
	Email    string    `json:"email"`
	Access   string    `json:"access"`
	Until    time.Time `json:"until"`
	Refresh  string    `json:"refresh"`
	Expires  time.Time `json:"expires"`
}

func (s *Service) keepGrant(ctx context.Context, o owner.Owner, id, provider string, t tokens) error {
	g := granted{
		Provider: provider, Email: t.email, Access: t.access.Reveal(), Until: s.Now().Add(useful(t.life)),
		Refresh: t.refresh.Reveal(), Expires: s.Now().Add(grantLife),
	}
	if err := s.save(ctx, grantName(id), o, g, g.Expires); err != nil {
		return fmt.Errorf("keeping what was allowed: %w", err)
	}
	return nil
}

// Grant implements account.Grants. An access token that is over is replaced.
func (s *Service) Grant(ctx context.Context, o owner.Owner, id string) (account.Grant, error) {
	if len(id) != 43 {
		return account.Grant{}, account.ErrNotFound
	}
	owner, sealed, err := s.Pending.PendingOf(ctx, grantName(id))
	if err != nil {
		return account.Grant{}, err
	}
	if owner != o {
		return account.Grant{}, account.ErrNotFound
	}
	var g granted
	if err := s.open(grantName(id), o, sealed, &g); err != nil {
		return account.Grant{}, err
	}
	p, known := s.byID[g.Provider]
	if !known {
		return account.Grant{}, account.ErrNotFound
	}
	if s.Now().After(g.Until) {
		if g, err = s.renewGrant(ctx, p, o, id, g); err != nil {
			return account.Grant{}, err
		}
	}
	return account.Grant{
		Provider: p.ID, Name: p.Name, Presets: p.Presets, Email: g.Email, Access: remote.NewSecret(g.Access),
		Lasting: lastingText(p.ID, g.Refresh), Expires: g.Expires,
	}, nil
}

// renewGrant asks for a new access token for a grant, and keeps a new lasting
// one before anything is done with it.
func (s *Service) renewGrant(ctx context.Context, p Provider, o owner.Owner, id string, g granted) (granted, error) {
	ctx = context.WithoutCancel(ctx) // A lasting token that was replaced and not kept would be lost.
	m := remote.Mailbox{Username: g.Email, Secret: remote.SecretRef{Owner: o}}
	t, err := s.refresh(ctx, p, m, remote.NewSecret(g.Refresh))
	if err != nil {
		return g, err
	}
	g.Access, g.Until = t.access.Reveal(), s.Now().Add(useful(t.life))
	if !t.refresh.Empty() {
		g.Refresh = t.refresh.Reveal()
	}
	if err := s.save(ctx, grantName(id), o, g, g.Expires); err != nil {
		return g, fmt.Errorf("keeping what was allowed: %w", err)
	}
	return g, nil
}

// DropGrant implements account.Grants.
func (s *Service) DropGrant(ctx context.Context, o owner.Owner, id string) error {
	if _, err := s.Grant(ctx, o, id); err != nil {
		return err
	}
	_, _, err := s.Pending.UsePending(ctx, grantName(id))
	return err
}

// ServesHost implements account.Grants.
func (s *Service) ServesHost(provider, host string) bool { return s.Serves(provider, host) }
