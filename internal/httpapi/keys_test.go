package httpapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/httpapi"
)

func testLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// issuer is an identity provider on loopback with a JWKS address.
type issuer struct {
	*httptest.Server
	set    atomic.Pointer[jose.JSONWebKeySet]
	asked  atomic.Int64
	broken atomic.Bool
}

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *issuer {
	i := &issuer{}
	i.set.Store(&jose.JSONWebKeySet{Keys: keys})
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if err := json.NewEncoder(w).Encode(i.set.Load()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysAtAnAddress(t *testing.T) {
	first, second := rsaKey(t), rsaKey(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t, jose.JSONWebKey{Key: first.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}, jose.JSONWebKey{
		Key: curve.Public(), KeyID: "ec",
	},
		jose.JSONWebKey{Key: []byte("a symmetric key in the set, 32 b"), KeyID: "oct"}, jose.JSONWebKey{
			Key:   second.Public(),
			KeyID: "enc", Use: "enc",
		})
	began := time.Now()
	var later atomic.Int64 // The keys are fetched beside the test.
	now := func() time.Time { return began.Add(time.Duration(later.Load())) }
	v, err := httpapi.NewVerifier(httpapi.Keys{
		JWKS: i.URL, Issuer: "https://id.example", Audience: "mailbrook",
		HTTP: i.Client(), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change ...func(map[string]any)) map[string]any {
		c := map[string]any{
			"sub": anna, "iss": "https://id.example", "aud": "mailbrook", "exp": now().Add(time.Hour).Unix(),
			"scope": "admin",
		}
		for _, f := range change {
			f(c)
		}
		return c
	}
	kid := func(id string) map[string]any { return map[string]any{"kid": id} }
	rs := jose.RS256
	der, err := x509.MarshalPKIXPublicKey(first.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for _, tc := range []struct {
		name  string
		token string
		ok    bool
	}{
		{"a good one", sign(t, rs, first, kid("one"), claims()), true},
		{"of the other key type", sign(t, jose.ES256, curve, kid("ec"), claims()), true},
		{"audience among others", sign(t, rs, first, kid("one"), claims(func(c map[string]any) {
			c["aud"] = []string{"x", "mailbrook"}
		})), true},
		{"another issuer", sign(t, rs, first, kid("one"), claims(func(c map[string]any) {
			c["iss"] = "https://evil.example"
		})), false},
		{"another audience", sign(t, rs, first, kid("one"), claims(func(c map[string]any) { c["aud"] = "webshop" })), false},
		{"no audience", sign(t, rs, first, kid("one"), claims(func(c map[string]any) { delete(c, "aud") })), false},
		{"another key", sign(t, rs, second, kid("one"), claims()), false},
		{"another algorithm than the key's", sign(t, jose.PS256, first, kid("one"), claims()), false},
		{"another key's type", sign(t, rs, first, kid("ec"), claims()), false},
		{"no key id among many", sign(t, rs, first, nil, claims()), false},
		{"key id with a path", sign(t, rs, first, kid("../../dev/null"), claims()), false},
		{"key id with SQL", sign(t, rs, first, kid("' OR 1=1 --"), claims()), false},
		{"a key for encryption", sign(t, rs, second, kid("enc"), claims()), false},
		{"U02: HS256 with the public key", sign(t, jose.HS256, public, kid("one"), claims()), false},
		{"HS256 with the key in the set", sign(t, jose.HS256, []byte("a symmetric key in the set, 32 b"),
			kid("oct"), claims()), false},
		{"HS256 with our usual secret", sign(t, jose.HS256, secret, nil, claims()), false},
	} {
		id, err := v.Verify(t.Context(), tc.token)
		switch {
		case tc.ok && (err != nil || id.Owner.String() != anna || !id.Admin):
			t.Errorf("%s: %v %v", tc.name, id, err)
		case !tc.ok && !errors.Is(err, httpapi.ErrToken):
			t.Errorf("%s: %v %v", tc.name, id, err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the keys were asked for %d times, want once: unknown key ids must not make us ask", n)
	}

	// A new key is found after a pause; the old one is gone with it.
	i.set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: second.Public(), KeyID: "two"}}})
	later.Add(int64(time.Minute))
	if _, err := v.Verify(t.Context(), sign(t, rs, second, kid("two"), claims())); err != nil {
		t.Errorf("after rotation: %v", err)
	}
	if _, err := v.Verify(t.Context(), sign(t, rs, first, kid("one"), claims())); !errors.Is(err, httpapi.ErrToken) {
		t.Errorf("the old key after rotation: %v", err)
	}
	// An outage of the issuer is not the users' fault, for a day.
	i.broken.Store(true)
	later.Add(int64(time.Hour))
	if _, err := v.Verify(t.Context(), sign(t, rs, second, kid("two"), claims())); err != nil {
		t.Errorf("while the issuer is down: %v", err)
	}
	later.Add(int64(24 * time.Hour))
	if _, err := v.Verify(t.Context(), sign(t, rs, second, kid("two"), claims())); err == nil ||
		errors.Is(err, httpapi.ErrToken) {
		t.Errorf("after a day: %v", err)
	}
}

// TestIssuerOutIsOurFault: a token that cannot be judged is no bad token.
func TestIssuerOutIsOurFault(t *testing.T) {
	i := newIssuer(t)
	i.broken.Store(true)
	v, err := httpapi.NewVerifier(httpapi.Keys{JWKS: i.URL, Issuer: "i", Audience: "a", HTTP: i.Client()})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *httpapi.Options) { o.Tokens = v })
	token := sign(t, jose.RS256, rsaKey(t), map[string]any{"kid": "one"}, map[string]any{
		"sub": anna,
		"iss": "i", "aud": "a", "exp": time.Now().Add(time.Hour).Unix(),
	})
	for range 20 {
		if rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: map[string]string{"Authorization": "Bearer " +
			token}}); rec.Code != 503 || problemCode(t, rec) != "not_ready" || rec.Header().Get("Retry-After") == "" {
			t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("an issuer that is down was asked %d times in a moment", n)
	}
}

// TestSharedSecretWithIssuer: issuer and audience are checked with a secret too, and
// Sign sets them.
func TestSharedSecretWithIssuer(t *testing.T) {
	keys := httpapi.Keys{Secret: secret, Issuer: "webmail", Audience: "mailbrook"}
	v, err := httpapi.NewVerifier(keys)
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Sign(anOwner(t, anna), true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := v.Verify(context.Background(), token); err != nil || !id.Admin {
		t.Errorf("%v %v", id, err)
	}
	plain, err := httpapi.Keys{Secret: secret}.Sign(anOwner(t, anna), true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(context.Background(), plain); !errors.Is(err, httpapi.ErrToken) {
		t.Errorf("without issuer: %v", err)
	}
}
