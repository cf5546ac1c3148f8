package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// ErrToken says that a bearer token is not valid. Whoever sent it is not told
// why.
var ErrToken = errors.New("the token is not valid")

// What is wrong with a token.
var (
	errTokenForm      = fmt.Errorf("%w: it has not the form of one", ErrToken)
	errTokenLife      = fmt.Errorf("%w: it lives too long", ErrToken)
	errTokenSubject   = fmt.Errorf("%w: its subject is no mailbox address", ErrToken)
	errTokenHeader    = fmt.Errorf("%w: a header that is not allowed", ErrToken)
	errTokenUserID    = fmt.Errorf("%w: it has no id of a user", ErrToken)
	errTokenSignature = fmt.Errorf("%w: its signature does not fit", ErrToken)
	errTokenExpired   = fmt.Errorf("%w: it has expired", ErrToken)
	errTokenEarly     = fmt.Errorf("%w: it is not valid yet", ErrToken)
	errTokenFuture    = fmt.Errorf("%w: it was issued in the future", ErrToken)
	errTokenAudience  = fmt.Errorf("%w: it is for another audience", ErrToken)
	errTokenIssuer    = fmt.Errorf("%w: it is by another issuer", ErrToken)
	errTokenClaim     = fmt.Errorf("%w: a claim is missing", ErrToken)
	errUnknownKey     = fmt.Errorf("%w: unknown key", ErrToken)
	errKeyAlgorithm   = fmt.Errorf("%w: key of another algorithm", ErrToken)
)

// ErrFormerUser says that a token is for somebody whose the address was before.
var ErrFormerUser = fmt.Errorf("%w: the address is another user's by now", ErrToken)

const (
	tokenLeeway      = time.Minute
	tokenMaxLifetime = 30 * 24 * time.Hour
	tokenMaxBytes    = 8 << 10
	adminScope       = "admin"
	minSecret        = 32
	tokenType        = "JWT"
)

// Keys are how bearer tokens are signed and verified: by a secret of at least
// 32 bytes (HS256), by the keys at a JWKS address, or by both. The algorithms
// are fixed by the kind of key, never by the token.
type Keys struct {
	Secret   []byte // Nil: no HS256.
	JWKS     string // An https address; "": none.
	Issuer   string // Required with JWKS; "": not checked.
	Audience string // Required with JWKS; "": not checked.
	// UserIDClaim names the claim that distinguishes users who have one address one
	// after the other; "": there is none. Each token has to carry it, administrators'
	// aside, which open everybody's house; owner.AnyUser in it vouches for whoever it is.
	UserIDClaim string
	HTTP        *http.Client // For JWKS.
	Now         func() time.Time
	Log         *slog.Logger // Of what becomes of JWKS; nil: nothing is logged.
}

// Sign makes a token for a user with the secret, valid for ttl.
func (k Keys) Sign(o owner.Owner, admin bool, ttl time.Duration) (string, error) {
	return k.SignAs(o, "", admin, ttl)
}

// SignAs is Sign for the user with this id, of those who have the address one after
// the other, or owner.AnyUser; "" leaves it out.
func (k Keys) SignAs(o owner.Owner, id string, admin bool, ttl time.Duration) (string, error) {
	switch {
	case len(k.Secret) < minSecret:
		return "", errors.New("there is no secret to sign with: tokens are made by the issuer of the configured keys")
	case o.IsZero():
		return "", errors.New("a token needs a user")
	case ttl <= 0 || ttl > tokenMaxLifetime:
		return "", fmt.Errorf("a token lives longer than 0 and at most %s", tokenMaxLifetime)
	}
	now := k.now()
	c := claims{Claims: jwt.Claims{
		Subject: o.String(), Issuer: k.Issuer, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if k.Audience != "" {
		c.Audience = jwt.Audience{k.Audience}
	}
	if admin {
		c.Scope = adminScope
	}
	all := []any{c}
	if id != "" {
		all = append(all, map[string]any{k.UserIDClaim: id})
	}
	signed, err := signJWT(k.Secret, tokenType, all...)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// maxUserID is how long the id of a user may be.
const maxUserID = 255

// userID reads the claim with the user's id, text or a number.
func (c claims) userID(claim string) (id owner.UserID, err error) {
	all := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(c.text))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		return id, errTokenForm
	}
	switch v := all[claim].(type) {
	case string:
		id = owner.TextID(v)
	case json.Number:
		id, _ = owner.NumberID(v.String())
	}
	if said := id.String(); said == "" || len(said) > maxUserID || words.Clean(said, maxUserID) != said {
		return owner.UserID{}, errTokenUserID
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
	keys    Keys
	remote  *keySet // Nil without JWKS.
	demands demands
}

var _ Tokens = (*Verifier)(nil)

// NewVerifier checks the keys. It does not fetch anything yet.
func NewVerifier(k Keys) (*Verifier, error) {
	v := &Verifier{keys: k, demands: demands{issuer: k.Issuer, audience: k.Audience, now: k.now}}
	if k.Secret != nil {
		if len(k.Secret) < minSecret {
			return nil, fmt.Errorf("the secret for tokens has %d bytes, at least %d are needed", len(k.Secret), minSecret)
		}
		v.demands.algorithms = append(v.demands.algorithms, jose.HS256)
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
		v.demands.algorithms = append(v.demands.algorithms, asymmetric...)
	}
	if len(v.demands.algorithms) == 0 {
		return nil, errors.New("tokens need a secret or a JWKS address")
	}
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

// Close ends what is being fetched from the JWKS address, waits for that, and fetches
// nothing from then on. It may be called again.
func (v *Verifier) Close() {
	if v.remote != nil {
		v.remote.close()
	}
}

// Verify returns who a token speaks for. Where that cannot be said because the
// issuer's keys are not to be had, the error is a *KeysError.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	c, err := v.demands.read(token, func(h jose.Header) (any, error) { return v.keyFor(ctx, h) })
	switch {
	case errors.Is(err, ErrToken):
		return Identity{}, err
	case err != nil: // It is our fault, not the token's.
		return Identity{}, fmt.Errorf("loading the keys for tokens: %w", err)
	}
	since := v.keys.now()
	if c.IssuedAt != nil {
		since = c.IssuedAt.Time()
	}
	if c.Expiry.Time().After(since.Add(tokenMaxLifetime + tokenLeeway)) {
		return Identity{}, errTokenLife
	}
	o, err := owner.Parse(c.Subject)
	if err != nil {
		return Identity{}, errTokenSubject
	}
	who := Identity{Owner: o, Admin: slices.Contains(strings.Fields(c.Scope), adminScope), Expires: c.Expiry.Time()}
	if v.keys.UserIDClaim == "" {
		return who, nil
	}
	switch who.UserID, err = c.userID(v.keys.UserIDClaim); {
	case who.UserID.Is(owner.AnyUser), who.UserID.IsZero() && who.Admin && errors.Is(err, errTokenUserID):
		who.UserID, err = owner.UserID{}, nil
	case err != nil:
		return Identity{}, err
	}
	return who, err
}

// keyFor returns the key a token must be signed with.
func (v *Verifier) keyFor(ctx context.Context, h jose.Header) (any, error) {
	if h.Algorithm == string(jose.HS256) {
		return v.keys.Secret, nil // Among the algorithms only when there is one.
	}
	return v.remote.key(ctx, h.KeyID, h.Algorithm)
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
