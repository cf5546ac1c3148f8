package httpapi_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/httpapi"
)

// sign makes a token as whoever forges one does: with any header, and by no library
// that would have a say.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"alg": string(alg), "typ": "JWT"}
	maps.Copy(all, header)
	head, err1 := json.Marshal(all)
	body, err2 := json.Marshal(claims)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return signText(t, alg, key, string(head), string(body))
}

// signText is sign for a header and claims as they are to be written.
func signText(t *testing.T, alg jose.SignatureAlgorithm, key any, header, claims string) string {
	t.Helper()
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "512": crypto.SHA512}[string(alg[2:])]
	digest := hash.New()
	digest.Write([]byte(input))
	var signature []byte
	var err error
	switch alg[:2] {
	case "HS":
		mac := hmac.New(hash.New, key.([]byte))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	case "RS":
		signature, err = rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), hash, digest.Sum(nil))
	case "PS":
		signature, err = rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), hash, digest.Sum(nil), nil)
	case "ES":
		r, s, failed := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest.Sum(nil))
		if err = failed; err == nil {
			size := (key.(*ecdsa.PrivateKey).Params().BitSize + 7) / 8
			signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + enc.EncodeToString(signature)
}

// TestATokenHasOneForm: the compact one, spelled in one way, with one signature by a key
// that is ours to choose (RFC 7515, RFC 8725). The control is the token all others are
// made of, which is taken.
func TestATokenHasOneForm(t *testing.T) {
	now := time.Now()
	v, err := httpapi.NewVerifier(httpapi.Keys{Secret: secret, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix()}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, jose.HS256, secret, nil, claims)
	if id, err := v.Verify(t.Context(), good); err != nil || id.Owner.String() != anna {
		t.Fatalf("the control: %v %v", id, err)
	}
	parts := strings.Split(good, ".")
	forger := rsaKey(t)
	public, err := json.Marshal(jose.JSONWebKey{Key: forger.Public(), KeyID: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	with := func(header string) string { return signText(t, jose.HS256, secret, header, string(text)) }
	// The last letter of 32 octets has two bits that stand for nothing.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[len(good)-1])
	other := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]
	flattened := `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
	several := `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] +
		`"},{"protected":"` + parts[0] + `","signature":"AAAA"}]}`
	for name, token := range map[string]string{
		"flattened JSON":               flattened,
		"JSON with several signatures": several,
		"JSON with two dots":           strings.Replace(flattened, "{", `{"..":1,`, 1),
		"another last letter":          good[:len(good)-1] + string(other),
		"a line break":                 parts[0] + "." + parts[1] + "." + parts[2] + "\n",
		"a line break within":          parts[0] + "." + parts[1][:4] + "\r\n" + parts[1][4:] + "." + parts[2],
		"padding":                      good + "=",
		"standard base64":              strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+",
		"four parts":                   good + "." + parts[2],
		"no header":                    "." + parts[1] + "." + parts[2],
		"no claims (detached)":         parts[0] + ".." + parts[2],
		"a header that is null":        with(`null`),
		"a header that is a list":      with(`["HS256"]`),
		"no alg":                       with(`{"typ":"JWT"}`),
		"alg in other letters":         with(`{"alg":"hs256"}`),
		"alg is a list":                with(`{"alg":["HS256"]}`),
		"alg twice":                    with(`{"alg":"none","alg":"HS256"}`),
		"jwk of the forger":            with(`{"alg":"HS256","jwk":` + string(public) + `}`),
		"jwk of the forger, who signs": signText(t, jose.RS256, forger, `{"alg":"RS256","jwk":`+string(public)+`}`,
			string(text)),
		"jwk that is null":                   with(`{"alg":"HS256","jwk":null}`),
		"x5c":                                with(`{"alg":"HS256","x5c":[]}`),
		"crit of nothing":                    with(`{"alg":"HS256","crit":[]}`),
		"crit of what the library knows":     with(`{"alg":"HS256","crit":["b64"],"b64":true}`),
		"b64 without crit":                   with(`{"alg":"HS256","b64":false}`),
		"RS256 where there is only a secret": sign(t, jose.RS256, forger, nil, claims),
		"claims that are null":               signText(t, jose.HS256, secret, `{"alg":"HS256"}`, `null`),
		"claims that are text":               signText(t, jose.HS256, secret, `{"alg":"HS256"}`, `"anna"`),
		"a claim twice": signText(t, jose.HS256, secret, `{"alg":"HS256"}`, `{"sub":"`+bartek+`",`+
			string(text[1:])),
	} {
		if id, err := v.Verify(t.Context(), token); !errors.Is(err, httpapi.ErrToken) || !id.Owner.IsZero() {
			t.Errorf("%s: %v %v", name, id, err)
		}
	}
}

// TestTheLeewayIsAMinute for each time in a token, to the second.
func TestTheLeewayIsAMinute(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v, err := httpapi.NewVerifier(httpapi.Keys{Secret: secret, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		claim string
		after time.Duration
		ok    bool
	}{
		{"exp", -59 * time.Second, true},
		{"exp", -time.Minute, false},
		{"nbf", time.Minute, true},
		{"nbf", 61 * time.Second, false},
		{"iat", time.Minute, true},
		{"iat", 61 * time.Second, false},
	} {
		claims := map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix()}
		claims[tc.claim] = now.Add(tc.after).Unix()
		_, err := v.Verify(t.Context(), sign(t, jose.HS256, secret, nil, claims))
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, httpapi.ErrToken) {
			t.Errorf("%s in %v: %v", tc.claim, tc.after, err)
		}
	}
}
