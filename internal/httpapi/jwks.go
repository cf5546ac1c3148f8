package httpapi

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// asymmetric are the algorithms of keys at a JWKS address. No symmetric one is
// among them: a public key must never serve as a shared secret.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	keysFresh    = 10 * time.Minute // How long keys are used without asking again.
	keysStale    = 24 * time.Hour   // How long they serve while the address does not answer.
	keysPause    = 10 * time.Second // Between two attempts, whatever tokens arrive.
	keysPatience = 5 * time.Second
	keysMaxBytes = 1 << 20
)

// keySet is the keys at a JWKS address, fetched when needed and seldom.
type keySet struct {
	address string
	client  *http.Client
	now     func() time.Time

	mu      sync.Mutex // Held while fetching: whoever needs the keys waits for the same answer.
	keys    map[string]jose.JSONWebKey
	fetched time.Time
	tried   time.Time
	err     error // Of the last attempt.
}

// key returns the public key with that id, for that algorithm. A token without
// a key id is taken when there is only one key.
func (s *keySet) key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.find(kid)
	now := s.now()
	if (!ok || now.Sub(s.fetched) > keysFresh) && now.Sub(s.tried) >= keysPause {
		s.tried = now
		s.err = s.fetch(ctx)
		k, ok = s.find(kid)
	}
	if s.keys == nil || now.Sub(s.fetched) > keysStale {
		return nil, errors.Join(errors.New("no keys"), s.err)
	}
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: unknown key", ErrToken)
	case k.Algorithm != "" && k.Algorithm != alg:
		return nil, fmt.Errorf("%w: key of another algorithm", ErrToken)
	}
	return k.Key, nil
}

func (s *keySet) find(kid string) (jose.JSONWebKey, bool) {
	if kid == "" && len(s.keys) == 1 {
		for _, k := range s.keys {
			return k, true
		}
	}
	k, ok := s.keys[kid]
	return k, ok && kid != ""
}

// fetch replaces the keys. It outlives the request that caused it: others wait
// for the same answer.
func (s *keySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return fmt.Errorf("asking for keys: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for keys: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keysMaxBytes))
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return err
	}
	s.keys, s.fetched = keys, s.now()
	return nil
}

// parseKeys returns the public keys for signatures in a JWKS document
// (RFC 7517 section 5). A key that we cannot read is left out, as that section
// wants it.
func parseKeys(document []byte) (map[string]jose.JSONWebKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &raw); err != nil {
		return nil, fmt.Errorf("parsing keys: %w", err)
	}
	keys := map[string]jose.JSONWebKey{}
	for _, r := range raw.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(r, &k); err != nil || !k.Valid() || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		keys[k.KeyID] = k
	}
	if len(keys) == 0 {
		return nil, errors.New("parsing keys: there is none for signatures")
	}
	return keys, nil
}
