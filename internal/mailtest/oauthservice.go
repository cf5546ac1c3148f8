package mailtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

const (
	jwtBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	serviceAccount = "mailbrook@project.iam.test"
	// ServiceScope is what the service account is allowed to ask for.
	ServiceScope = "https://mail.google.test/"
)

// NewServiceAccount returns the key of a service account as Google gives it out, and what its signatures are checked
// by.
func NewServiceAccount(tb testing.TB, tokenURL string) (text string, key *rsa.PublicKey) {
	tb.Helper()
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		tb.Fatal(err)
	}
	file, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "project", "private_key_id": "k1", "client_email": serviceAccount,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURL,
	}, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(file), &pair.PublicKey
}

// ServiceAccount returns the key of a service account that may from now on ask for tokens in the name of any user.
func (o *OAuth) ServiceAccount(tb testing.TB) (text string) {
	tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	text, o.service = NewServiceAccount(tb, o.TokenURL)
	return text
}

// asserted is in whose name an assertion (RFC 7523) of the service account asks; "": it is none. The caller holds mu.
func (o *OAuth) asserted(assertion string) string {
	parts := strings.Split(assertion, ".")
	if o.service == nil || len(parts) != 3 {
		return ""
	}
	var decoded [3][]byte
	for i, p := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			return ""
		}
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	var head struct{ Alg, Kid string }
	var c struct {
		Iss, Sub, Scope, Aud string
		Iat, Exp             int64
	}
	now := time.Now().Unix()
	if json.Unmarshal(decoded[0], &head) != nil || json.Unmarshal(decoded[1], &c) != nil || head.Alg != "RS256" ||
		head.Kid != "k1" || rsa.VerifyPKCS1v15(o.service, crypto.SHA256, sum[:], decoded[2]) != nil ||
		c.Iss != serviceAccount || c.Aud != o.TokenURL || c.Scope != ServiceScope || c.Exp < now ||
		c.Exp > c.Iat+3600 {
		return ""
	}
	return c.Sub
}
