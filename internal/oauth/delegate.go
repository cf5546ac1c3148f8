package oauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// ServiceAccount is who may ask for tokens in the name of users, by its key. Nothing prints the key.
type ServiceAccount struct {
	Email    string // Its own name.
	TokenURL string // Where its tokens are had.
	keyID    string
	key      *rsa.PrivateKey
}

// ParseServiceAccount reads a key of a service account as Google gives it out: JSON. Its errors repeat nothing of it.
func ParseServiceAccount(text string) (ServiceAccount, error) {
	var file struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		Key      string `json:"private_key"`
		KeyID    string `json:"private_key_id"`
		TokenURL string `json:"token_uri"`
	}
	if json.Unmarshal([]byte(text), &file) != nil {
		return ServiceAccount{}, errors.New("is no JSON")
	}
	if file.Type != "service_account" || file.Email == "" || file.TokenURL == "" {
		return ServiceAccount{}, errors.New("is no key of a service account: it has no type service_account, no " +
			"client_email or no token_uri")
	}
	block, _ := pem.Decode([]byte(file.Key))
	if block == nil {
		return ServiceAccount{}, errors.New("has no private_key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return ServiceAccount{}, errors.New("has a private_key that is no RSA key (PKCS #8)")
	}
	return ServiceAccount{Email: file.Email, TokenURL: file.TokenURL, keyID: file.KeyID, key: key}, nil
}

// DelegateOptions are what a Delegate is made of.
type DelegateOptions struct {
	Account ServiceAccount
	Scope   string
	HTTP    *http.Client
	Now     func() time.Time
}

// Delegate has access tokens ready that a service account is given in the name of users: by an assertion that it signs
// (RFC 7523 section 2.1). It is safe for concurrent use.
type Delegate struct {
	o       DelegateOptions
	service Service

	mu    sync.Mutex // Guards what follows.
	ready map[string]kept
}

// rememberedTokens is of how many users a token is kept; they last an hour.
const rememberedTokens = 10_000

// NewDelegate returns a Delegate. Nothing is asked for yet.
func NewDelegate(o DelegateOptions) *Delegate {
	return &Delegate{o: o, service: Service{Options: Options{HTTP: o.HTTP, Now: o.Now}}, ready: map[string]kept{}}
}

// Token returns a token in the name of a user that is good for a while; a new one is asked for when the last is about
// to end.
func (d *Delegate) Token(ctx context.Context, user string) (remote.Secret, error) {
	d.mu.Lock()
	k := d.ready[user]
	d.mu.Unlock()
	if d.o.Now().Before(k.until) {
		return k.access, nil
	}
	assertion, err := d.assertion(user)
	if err != nil {
		return remote.Secret{}, err
	}
	t, err := d.service.request(ctx, Provider{Name: hostOf(d.o.Account.TokenURL), TokenURL: d.o.Account.TokenURL},
		url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
	if err != nil {
		return remote.Secret{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	for other, k := range d.ready {
		if len(d.ready) < rememberedTokens {
			break
		}
		if !now.Before(k.until) {
			delete(d.ready, other)
		}
	}
	for other := range d.ready { // None has ended: any gives way.
		if len(d.ready) < rememberedTokens {
			break
		}
		delete(d.ready, other)
	}
	d.ready[user] = kept{access: t.access, until: now.Add(useful(t.life))}
	return t.access, nil
}

// assertion says whom the account asks in the name of (RFC 7523 section 3), signed by its key with RS256 (RFC 7515).
func (d *Delegate) assertion(user string) (string, error) {
	a, now := d.o.Account, d.o.Now()
	header, err1 := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": a.keyID})
	claims, err2 := json.Marshal(map[string]any{
		"iss": a.Email, "sub": user, "scope": d.o.Scope, "aud": a.TokenURL,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err := errors.Join(err1, err2); err != nil {
		return "", fmt.Errorf("writing an assertion: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	return signed + "." + encode(signature), nil
}
