package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// ErrToken says that a bearer token is not valid. Whoever sent it is not told
// why.
var ErrToken = errors.New("the token is not valid")

// What is wrong with a token where we look ourselves.
var (
	errTokenForm    = fmt.Errorf("%w: it has not the form of one", ErrToken)
	errTokenLife    = fmt.Errorf("%w: it lives too long", ErrToken)
	errTokenSubject = fmt.Errorf("%w: its subject is no mailbox address", ErrToken)
	errTokenHeader  = fmt.Errorf("%w: a header that is not allowed", ErrToken)
	errTokenUserID  = fmt.Errorf("%w: it has no id of a user", ErrToken)
	errUnknownKey   = fmt.Errorf("%w: unknown key", ErrToken)
	errKeyAlgorithm = fmt.Errorf("%w: key of another algorithm", ErrToken)
)

// ErrFormerUser says that a token is for somebody whose the address was before.
var ErrFormerUser = fmt.Errorf("%w: the address is another user's by now", ErrToken)

const (
	tokenLeeway      = time.Minute
	tokenMaxLifetime = 30 * 24 * time.Hour
	tokenMaxBytes    = 8 << 10
	adminScope       = "admin"
	minSecret        = 32
)

// Keys are how bearer tokens are signed and verified: by a secret of at least
// 32 bytes (HS256), by the keys at a JWKS address, or by both. The algorithms
// are fixed by the kind of key, never by the token.
type Keys struct {
	Secret   []byte // Nil: no HS256.
	JWKS     string // An https address; "": none.
	Issuer   string // Required with JWKS; "": not checked.
	Audience string // Required with JWKS; "": not checked.
	// UserIDClaim names the claim that tells apart users who have one address one
	// after the other; "": there is none. Each token has to bear it, administrators'
	// aside, which open everybody's house; account.AnyUser in it vouches for whoever it is.
	UserIDClaim string
	HTTP        *http.Client // For JWKS.
	Now         func() time.Time
	Log         *slog.Logger // Of what becomes of JWKS; nil: nothing is logged.
}

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope,omitempty"`
}

// Sign makes a token for a user with the secret, valid for ttl.
func (k Keys) Sign(o account.Owner, admin bool, ttl time.Duration) (string, error) {
	return k.SignAs(o, "", admin, ttl)
}

// SignAs is Sign for the user with this id, of those who have the address one after
// the other, or account.AnyUser; "" leaves it out.
func (k Keys) SignAs(o account.Owner, id string, admin bool, ttl time.Duration) (string, error) {
	switch {
	case len(k.Secret) < minSecret:
		return "", errors.New("there is no secret to sign with: tokens are made by the issuer of the configured keys")
	case o.IsZero():
		return "", errors.New("a token needs a user")
	case ttl <= 0 || ttl > tokenMaxLifetime:
		return "", fmt.Errorf("a token lives longer than 0 and at most %s", tokenMaxLifetime)
	}
	now := k.now()
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Subject: o.String(), Issuer: k.Issuer, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if k.Audience != "" {
		c.Audience = jwt.ClaimStrings{k.Audience}
	}
	if admin {
		c.Scope = adminScope
	}
	var all jwt.Claims = c
	if id != "" {
		with, err := withClaim(c, k.UserIDClaim, id)
		if err != nil {
			return "", err
		}
		all = with
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(k.Secret)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// withClaim adds a claim of a name that is not known before.
func withClaim(c claims, name, value string) (jwt.MapClaims, error) {
	text, err := json.Marshal(c)
	all := jwt.MapClaims{}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("writing a token: %w", err)
	}
	all[name] = value
	return all, nil
}

// maxUserID is how long the id of a user may be.
const maxUserID = 255

// userID reads the claim with the user's id, text or a number, of a token that was
// verified.
func userID(token, claim string) (id account.UserID, err error) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return id, errTokenForm
	}
	all := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		return id, errTokenForm
	}
	switch v := all[claim].(type) {
	case string:
		id = account.TextID(v)
	case json.Number:
		id, _ = account.NumberID(v.String())
	}
	if said := id.String(); said == "" || len(said) > maxUserID || fault.Clean(said, maxUserID) != said {
		return account.UserID{}, errTokenUserID
	}
	return id, nil
}

func (k Keys) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

// Verifier verifies bearer tokens.
type Verifier struct {
	keys   Keys
	remote *keySet // Nil without JWKS.
	parser *jwt.Parser
}

var _ Tokens = (*Verifier)(nil)

// NewVerifier checks the keys. It does not fetch anything yet.
func NewVerifier(k Keys) (*Verifier, error) {
	v := &Verifier{keys: k}
	var methods []string
	if k.Secret != nil {
		if len(k.Secret) < minSecret {
			return nil, fmt.Errorf("the secret for tokens has %d bytes, at least %d are needed", len(k.Secret), minSecret)
		}
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	if k.JWKS != "" {
		u, err := url.Parse(k.JWKS)
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "":
			return nil, errors.New("the JWKS address must be an https address")
		case k.Issuer == "" || k.Audience == "":
			return nil, errors.New("a JWKS address needs the issuer and the audience of its tokens")
		case k.HTTP == nil:
			return nil, errors.New("a JWKS address needs an HTTP client")
		}
		v.remote = &keySet{
			address: k.JWKS, client: k.HTTP, now: k.now, log: cmp.Or(k.Log, slog.New(slog.DiscardHandler)),
			unknown: map[[sha256.Size]byte]time.Time{},
		}
		methods = append(methods, asymmetric...)
	}
	if len(methods) == 0 {
		return nil, errors.New("tokens need a secret or a JWKS address")
	}
	opts := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(tokenLeeway),
		jwt.WithTimeFunc(k.now), jwt.WithStrictDecoding(),
	}
	if k.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(k.Issuer))
	}
	if k.Audience != "" {
		opts = append(opts, jwt.WithAudience(k.Audience))
	}
	v.parser = jwt.NewParser(opts...)
	return v, nil
}

// Ready reports whether tokens by keys at the JWKS address can be judged: from
// the first time that the keys were had until a day after the last.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.remote == nil {
		return nil
	}
	return v.remote.ready(ctx)
}

// Verify returns who a token speaks for. Where that cannot be said because the
// issuer's keys are not to be had, the error is a *KeysError.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > tokenMaxBytes || strings.Count(token, ".") != 2 {
		return Identity{}, errTokenForm
	}
	var c claims
	var ours error // What is our fault, not the token's.
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		key, err := v.keyFor(ctx, t)
		if err != nil && !errors.Is(err, ErrToken) {
			ours = err
		}
		return key, err
	})
	switch {
	case ours != nil:
		return Identity{}, fmt.Errorf("loading the keys for tokens: %w", ours)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	since := v.keys.now()
	if c.IssuedAt != nil {
		since = c.IssuedAt.Time
	}
	if c.ExpiresAt.After(since.Add(tokenMaxLifetime + tokenLeeway)) {
		return Identity{}, errTokenLife
	}
	o, err := account.ParseOwner(c.Subject)
	if err != nil {
		return Identity{}, errTokenSubject
	}
	who := Identity{Owner: o, Admin: slices.Contains(strings.Fields(c.Scope), adminScope), Expires: c.ExpiresAt.Time}
	if v.keys.UserIDClaim == "" {
		return who, nil
	}
	switch who.UserID, err = userID(token, v.keys.UserIDClaim); {
	case who.UserID.Is(account.AnyUser), who.UserID.IsZero() && who.Admin && errors.Is(err, errTokenUserID):
		who.UserID, err = account.UserID{}, nil
	case err != nil:
		return Identity{}, err
	}
	return who, err
}

// keyFor returns the key a token must be signed with. Headers by which a token
// would choose its own key, or demand what we do not know, end it.
func (v *Verifier) keyFor(ctx context.Context, t *jwt.Token) (any, error) {
	for _, h := range []string{"jku", "jwk", "x5u", "x5c", "crit"} {
		if _, ok := t.Header[h]; ok {
			return nil, fmt.Errorf("%w: %s", errTokenHeader, h)
		}
	}
	if t.Method == jwt.SigningMethodHS256 {
		return v.keys.Secret, nil // Among the valid methods only when there is one.
	}
	kid, _ := t.Header["kid"].(string)
	return v.remote.key(ctx, kid, t.Method.Alg())
}

// bearer returns the token of a request. Only the header counts: what is in an
// address ends up in logs and histories.
func bearer(r *http.Request) (token string, sent bool) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(token), true
}

type identityKey struct{}

func withIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// caller returns who asks. A handler that has no caller is a defect: its route
// has a policy that needs one.
func caller(ctx context.Context) Identity {
	return ctx.Value(identityKey{}).(Identity)
}
