package httpapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims are what a token says.
type claims struct {
	jwt.Claims
	Scope string `json:"scope,omitempty"`

	text []byte // All of it, as it was signed.
}

// demands are what a token must fulfil besides being signed by the right key.
type demands struct {
	algorithms []jose.SignatureAlgorithm
	issuer     string // "": not checked.
	audience   string // "": not checked.
	now        func() time.Time
}

// choosers are headers by which a token would choose its own key, or demand what
// we do not know: RFC 7515 section 4.1, RFC 7797 section 3.
var choosers = []string{"jku", "jwk", "x5u", "x5c", "crit", "b64"}

// read verifies a token: a JWT (RFC 7519) in the compact form, with its one signature.
// Key returns the key by which it must be signed; what it cannot find makes read's error,
// as it is. Any other error is ErrToken; none contains anything of the token.
func (d demands) read(token string, key func(jose.Header) (any, error)) (claims, error) {
	if err := checkForm(token); err != nil {
		return claims{}, err
	}
	signed, err := jose.ParseSignedCompact(token, d.algorithms)
	var unexpected *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &unexpected):
		return claims{}, errTokenSignature
	case err != nil:
		return claims{}, errTokenForm
	}
	k, err := key(signed.Signatures[0].Protected)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if c.text, err = signed.Verify(k); err != nil {
		return claims{}, errTokenSignature
	}
	if err := json.Unmarshal(c.text, &c); err != nil {
		return claims{}, errTokenForm
	}
	return c, d.check(c)
}

// checkForm refuses what is no token before anything looks into it: one token has one
// spelling, where the library lets line breaks pass, and bits that stand for nothing.
func checkForm(token string) error {
	if len(token) > tokenMaxBytes || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return errTokenForm
	}
	var header map[string]json.RawMessage
	for i, p := range strings.Split(token, ".") {
		text, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || i == 0 && json.Unmarshal(text, &header) != nil {
			return errTokenForm
		}
	}
	for _, h := range choosers {
		if _, ok := header[h]; ok {
			return fmt.Errorf("%w: %s", errTokenHeader, h)
		}
	}
	return nil
}

// check holds what a token says against the clock and the configuration
// (RFC 7519 section 4.1), with tokenLeeway for clocks that differ.
func (d demands) check(c claims) error {
	now := d.now()
	audience := d.audience == "" || slices.Contains(c.Audience, d.audience)
	issuer := d.issuer == "" || c.Issuer == d.issuer
	switch {
	case c.Expiry != nil && !now.Before(c.Expiry.Time().Add(tokenLeeway)):
		return errTokenExpired
	case c.NotBefore != nil && now.Before(c.NotBefore.Time().Add(-tokenLeeway)):
		return errTokenEarly
	case c.IssuedAt != nil && now.Before(c.IssuedAt.Time().Add(-tokenLeeway)):
		return errTokenFuture
	case !audience && strings.Join(c.Audience, "") != "":
		return errTokenAudience
	case !issuer && c.Issuer != "":
		return errTokenIssuer
	case !audience, !issuer, c.Expiry == nil:
		return errTokenClaim
	}
	return nil
}

// signJWT signs what a token says with a secret (HS256). Later claims take the place of
// earlier ones.
func signJWT(secret []byte, typ jose.ContentType, all ...any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret},
		(&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", err
	}
	b := jwt.Signed(signer)
	for _, c := range all {
		b = b.Claims(c)
	}
	return b.Serialize()
}
