package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// claims are what the provider says of somebody.
type claims map[string]json.RawMessage

// person reads who an id token speaks of, and asks for what is not in it: many
// providers put the address into the answer about the user alone.
func (p *Provider) person(ctx context.Context, m *metadata, f Flow, id *gooidc.IDToken, token *oauth2.Token) (Person,
	error,
) {
	var says claims
	if err := id.Claims(&says); err != nil {
		return Person{}, &RefusedError{Why: "false", Err: err}
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return Person{}, refuse("false", "the id token is of another sign-in")
	}
	if id.Subject == "" { // Nothing would say whom the answer about the user is about.
		return Person{}, refuse("false", "the id token names nobody: it has no sub")
	}
	if azp, there := says["azp"]; there && says.text("azp") != p.opts.ClientID || !there && len(id.Audience) > 1 {
		return Person{}, refuse("false", "the id token is for another client, %s", words.Clean(string(azp), shown))
	}
	if says.after("iat", p.opts.Now().Add(leeway)) {
		return Person{}, refuse("false", "the id token is of a time to come, %s", words.Clean(string(says["iat"]), shown))
	}
	if err := p.complete(ctx, m, says, id, token); err != nil {
		return Person{}, err
	}
	if p.opts.Claim == "email" && !p.opts.Unverified && !says.true("email_verified") {
		return Person{}, vouched("address", "the address of %q is not verified", words.Clean(id.Subject, shown))
	}
	o, err := owner.Parse(says.text(p.opts.Claim))
	if err != nil {
		return Person{}, vouched("address", "the claim %s of %q is no user's address: %w", p.opts.Claim,
			words.Clean(id.Subject, shown), err)
	}
	who := Person{Owner: o}
	if c := p.opts.UserIDClaim; c != "" {
		if who.UserID = says.id(c); who.UserID.IsZero() {
			return Person{}, vouched("setup", "the claim %s, which distinguishes users, is missing or no user's id", c)
		}
	}
	return who, nil
}

func vouched(why, format string, args ...any) error {
	return &RefusedError{why, true, fmt.Errorf(format, args...)}
}

// complete asks for what the id token does not say: the address, the user's id, or
// both.
func (p *Provider) complete(ctx context.Context, m *metadata, says claims, id *gooidc.IDToken,
	token *oauth2.Token,
) error {
	address, userID := !says.has(p.opts.Claim), p.opts.UserIDClaim != "" && !says.has(p.opts.UserIDClaim)
	if !address && !userID || m.provider.UserInfoEndpoint() == "" {
		return nil
	}
	more, err := p.about(ctx, m, id.Subject, token)
	if err != nil {
		return err
	}
	if address { // Not mixed: whether an address is verified is said where the address is.
		says[p.opts.Claim], says["email_verified"] = more[p.opts.Claim], more["email_verified"]
	}
	if userID {
		says[p.opts.UserIDClaim] = more[p.opts.UserIDClaim]
	}
	return nil
}

// about asks for the claims of the user whose token it is.
func (p *Provider) about(ctx context.Context, m *metadata, subject string, token *oauth2.Token) (claims, error) {
	info, err := m.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking about a user: %w", ctx.Err())
	case err != nil:
		return nil, &AwayError{pause, fmt.Errorf("asking about a user: %w", err)}
	case info.Subject != subject: // OpenID Connect Core 1.0, 5.3.2.
		return nil, refuse("false", "the answer about the user is about another one")
	}
	var says claims
	if err := info.Claims(&says); err != nil {
		return nil, &RefusedError{Why: "false", Err: err}
	}
	return says, nil
}

// has reports whether something is said of name.
func (c claims) has(name string) bool { return len(c[name]) > 0 && string(c[name]) != "null" }

// after reports whether name is a time later than t. It is read as it is written: the
// library's times run over.
func (c claims) after(name string, t time.Time) bool {
	var seconds float64
	return json.Unmarshal(c[name], &seconds) == nil && seconds > float64(t.Unix())
}

func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// true reads a truth, which some providers write as a word.
func (c claims) true(name string) bool {
	var b bool
	return json.Unmarshal(c[name], &b) == nil && b || c.text(name) == "true"
}

// maxID is how long the id of a user may be, as in tokens.
const maxID = 255

// id reads the id of a user, text or a number; the zero id without one, and for what
// is no one user's.
func (c claims) id(name string) owner.UserID {
	text := c.text(name)
	if text == "" && len(c[name]) > 0 && c[name][0] != '"' {
		id, _ := owner.NumberID(string(c[name]))
		return id
	}
	if len(text) > maxID || words.Clean(text, maxID) != text || text == owner.AnyUser {
		return owner.UserID{}
	}
	return owner.TextID(text)
}

// CheckAddress wants an address that browsers and secrets may be sent to: https, or
// http to this machine. Its errors follow the address: "must …".
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("must be an address that begins with https://")
	}
	a, err := netip.ParseAddr(u.Hostname())
	if here := u.Hostname() == "localhost" || err == nil && a.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" ||
		!here) {
		return errors.New("must begin with https://: whoever can change it on the way can sign in as anybody")
	}
	return nil
}
