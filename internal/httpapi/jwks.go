package httpapi

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// asymmetric are the algorithms of keys at a JWKS address. No symmetric one is
// among them: a public key must never serve as a shared secret.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

const (
	keysFresh    = 10 * time.Minute // How long keys are used without asking again.
	keysStale    = 24 * time.Hour   // How long they serve while the address does not answer.
	keysPause    = 10 * time.Second // Between two attempts, whatever tokens arrive.
	keysPatience = 5 * time.Second
	keysMaxBytes = 1 << 20
	keysLogPause = time.Minute // Between two lines in the log about an address that does not answer.
	// unknownLife is for how long nobody waits for a key id that the issuer did not
	// have; unknownMost bounds how many such are remembered, and with
	// them the memory that anybody can have us use: 32 bytes for each.
	unknownLife = time.Minute
	unknownMost = 1024
)

// keySet is the keys at a JWKS address, fetched when needed and seldom, by one
// at a time. Who has a token by a known key never waits for it. close ends it.
type keySet struct {
	address string
	client  *http.Client
	now     func() time.Time
	log     *slog.Logger

	known atomic.Pointer[knownKeys] // Nil: none were had yet.

	mu       sync.Mutex         // Never held while fetching.
	running  chan struct{}      // Closed when the attempt under way has ended; nil: none is.
	cancel   context.CancelFunc // Ends the attempt under way; nil: none was begun yet.
	attempts sync.WaitGroup     // One at a time.
	closed   bool               // No attempt begins any more.

	tried   time.Time // When the last attempt began.
	err     error     // Of the last attempt.
	logged  time.Time // When err was last logged; zero: not since it went well.
	unknown map[[sha256.Size]byte]time.Time
}

// knownKeys never change: new ones take their place.
type knownKeys struct {
	byID    map[string]jose.JSONWebKey
	fetched time.Time
}

// KeysError says that a token can be neither accepted nor refused, as the
// issuer's keys are not to be had.
type KeysError struct {
	Wait time.Duration // Until they are asked for again.
	err  error
}

// Error says why.
func (e *KeysError) Error() string { return "the keys for tokens are not to be had: " + e.err.Error() }

// Unwrap returns what went wrong in the last attempt.
func (e *KeysError) Unwrap() error { return e.err }

// key returns the public key with that id, for that algorithm. A token without
// a key id is taken when there is only one key. It waits only for keys that are
// not known, or not any more.
func (s *keySet) key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	known := s.usable()
	k, ok := known.find(kid)
	if !ok && s.isUnknown(kid) && known != nil {
		// Nobody waits for it, but whoever writes the id of a key that is to come into
		// a token of their own must not shut its users out.
		s.refresh(ctx)
		return nil, errUnknownKey
	}
	if ok && s.now().Sub(known.fetched) > keysFresh {
		s.refresh(ctx)
	}
	if !ok {
		asked, err := s.await(ctx)
		if err != nil {
			return nil, err
		}
		known = s.usable()
		if k, ok = known.find(kid); !ok {
			return nil, s.missing(kid, known, asked)
		}
	}
	if k.Algorithm != "" && k.Algorithm != alg {
		return nil, errKeyAlgorithm
	}
	return k.Key, nil
}

// usable returns the keys, or nil when none are known or they are too old.
func (s *keySet) usable() *knownKeys {
	if k := s.known.Load(); k != nil && s.now().Sub(k.fetched) <= keysStale {
		return k
	}
	return nil
}

func (k *knownKeys) find(kid string) (jose.JSONWebKey, bool) {
	if k == nil {
		return jose.JSONWebKey{}, false
	}
	if kid == "" && len(k.byID) == 1 {
		for _, only := range k.byID {
			return only, true
		}
	}
	key, ok := k.byID[kid]
	return key, ok && kid != ""
}

// missing says why a key is not there: the issuer does not have it, or did not
// say what it has. It is remembered when the issuer was asked just now.
func (s *keySet) missing(kid string, known *knownKeys, asked bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || known == nil {
		return &KeysError{Wait: max(s.tried.Add(keysPause).Sub(s.now()), time.Second), err: errors.Join(
			errors.New("the last attempt failed"), s.err)}
	}
	now := s.now()
	if asked && len(s.unknown) >= unknownMost {
		for id, at := range s.unknown {
			if now.Sub(at) >= unknownLife {
				delete(s.unknown, id)
			}
		}
	}
	if asked && len(s.unknown) < unknownMost { // Beyond, the pause between two attempts must do.
		s.unknown[sha256.Sum256([]byte(kid))] = now
	}
	return errUnknownKey
}

// isUnknown reports whether the issuer was asked not long ago and did not have
// the key.
func (s *keySet) isUnknown(kid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.unknown[sha256.Sum256([]byte(kid))]
	return ok && s.now().Sub(at) < unknownLife
}

// refresh has the keys fetched in the background, unless that was tried a moment
// ago, and returns what is closed when the attempt under way has ended; nil when
// none is. The attempt belongs to no request, and not to that of ctx: all wait for the
// same answer. It ends by its deadline, or by close.
func (s *keySet) refresh(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running
	}
	if now := s.now(); s.closed || now.Sub(s.tried) < keysPause {
		return nil
	}
	done := make(chan struct{})
	s.tried, s.running = s.now(), done
	ctx, s.cancel = context.WithTimeout(context.WithoutCancel(ctx), keysPatience)
	s.attempts.Go(func() {
		defer close(done)
		s.attempt(ctx)
	})
	return done
}

// close ends the attempt under way, waits for that, and lets no other begin. The keys
// that are known serve on.
func (s *keySet) close() {
	s.mu.Lock()
	s.closed = true
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()
	s.attempts.Wait()
}

// attempt fetches the keys.
func (s *keySet) attempt(ctx context.Context) {
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	s.running, s.err = nil, err
	now := s.now()
	switch {
	case err != nil && s.closed: // It was made to end.
	case err == nil:
		s.known.Store(&knownKeys{byID: keys, fetched: now})
		s.unknown = map[[sha256.Size]byte]time.Time{}
		if !s.logged.IsZero() {
			s.log.InfoContext(ctx, "the keys of the tokens' issuer are to be had again", "keys", len(keys))
		}
		s.logged = time.Time{}
	case s.logged.IsZero() || now.Sub(s.logged) >= keysLogPause:
		s.logged = now
		s.log.WarnContext(ctx, "the keys of the tokens' issuer are not to be had", "known", s.usable() != nil, "error", err)
	}
}

// ready reports whether tokens can be judged. Where no keys are known it has
// them fetched, and waits for that.
func (s *keySet) ready(ctx context.Context) error {
	if s.usable() != nil {
		return nil
	}
	if _, err := s.await(ctx); err != nil {
		return err
	}
	if s.usable() != nil {
		return nil
	}
	return s.missing("", nil, false)
}

// await waits for the keys to be fetched, and reports whether that was tried:
// it is not when it was a moment ago.
func (s *keySet) await(ctx context.Context) (bool, error) {
	done := s.refresh(ctx)
	if done == nil {
		return false, nil
	}
	select {
	case <-done:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// fetch asks for the keys.
func (s *keySet) fetch(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for keys: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keysMaxBytes))
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return parseKeys(body)
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
