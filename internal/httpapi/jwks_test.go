package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/httpapi"
)

// keyServer is a JWKS address without a network. It answers, fails, or hangs.
type keyServer struct {
	mu    sync.Mutex
	set   jose.JSONWebKeySet
	fail  bool
	hang  bool
	asked int
	hung  int // Questions that hang now.
}

func (k *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	k.mu.Lock()
	k.asked++
	fail, hang := k.fail, k.hang
	if hang {
		k.hung++
	}
	body, err := json.Marshal(k.set)
	k.mu.Unlock()
	if hang {
		<-r.Context().Done()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.hung--
		return nil, r.Context().Err()
	}
	if fail {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
}

func (k *keyServer) become(fail, hang bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail, k.hang = fail, hang
}

func (k *keyServer) hanging() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hung
}

func (k *keyServer) times() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// trust is a verifier that trusts a key server, which has one key, and a maker
// of tokens by it under any key id.
type trust struct {
	*httpapi.Verifier
	server *keyServer
	log    *bytes.Buffer
	token  func(kid string) string
}

func newTrust(t *testing.T) *trust {
	t.Helper()
	t.Cleanup(func() { time.Sleep(time.Minute) }) // In the bubble: an attempt that nobody waits for ends, too.
	key := rsaKey(t)
	w := &trust{
		server: &keyServer{set: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one"}}}},
		log:    &bytes.Buffer{},
	}
	w.token = func(kid string) string {
		return sign(t, jose.RS256, key, map[string]any{"kid": kid}, map[string]any{
			"sub": anna, "iss": "i",
			"aud": "a", "exp": time.Now().Add(48 * time.Hour).Unix(),
		})
	}
	var err error
	w.Verifier, err = httpapi.NewVerifier(httpapi.Keys{
		JWKS: "https://id.firma.test/keys", Issuer: "i", Audience: "a", HTTP: &http.Client{Transport: w.server},
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *trust) good(t *testing.T) {
	t.Helper()
	if id, err := w.Verify(t.Context(), w.token("one")); err != nil || id.Owner.String() != anna {
		t.Fatalf("a good token: %v %v", id, err)
	}
}

// heldUp has 20 people wait for unknown keys at a server that hangs, and returns
// how long good tokens took meanwhile. In the bubble time passes only while all
// wait.
func heldUp(t *testing.T, w *trust, verify func(context.Context, string) (httpapi.Identity, error)) time.Duration {
	t.Helper()
	w.good(t)
	w.server.become(false, true)
	time.Sleep(11 * time.Minute) // The keys are no longer fresh.
	began := time.Now()
	answers := make(chan error, 20)
	for n := range 20 {
		go func() {
			_, err := verify(t.Context(), w.token(fmt.Sprint("unknown ", n)))
			answers <- err
		}()
	}
	synctest.Wait()
	good := w.token("one") // Signing takes longer than all else here.
	for range 1000 {
		if id, err := verify(t.Context(), good); err != nil || id.Owner.String() != anna {
			t.Fatalf("a good token: %v %v", id, err)
		}
	}
	passed := time.Since(began)
	for range cap(answers) { // Whoever needs a key that is not known learns that this is our fault.
		if err := <-answers; !isKeys(err) {
			t.Errorf("an unknown key: %v", err)
		}
	}
	if time.Since(began) < time.Second {
		t.Error("nobody had to wait: the server did not hang")
	}
	return passed
}

// The control: a verifier that all take in turn, as when keys are fetched under
// a lock.
func TestAVerifierThatAllTakeInTurnIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, turn := newTrust(t), make(chan struct{}, 1)
		if heldUp(t, w, func(ctx context.Context, token string) (httpapi.Identity, error) {
			turn <- struct{}{}
			defer func() { <-turn }()
			return w.Verify(ctx, token)
		}) < time.Second {
			t.Error("it was not")
		}
	})
}

func TestAKeyServerThatHangsHoldsUpNobodyWhoseKeyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrust(t)
		if passed := heldUp(t, w, w.Verify); passed > 0 || w.server.times() != 2 {
			t.Errorf("good tokens took %v; the server was asked %d times", passed, w.server.times())
		}
		for range 60 { // An hour of it.
			time.Sleep(time.Minute)
			began := time.Now()
			w.good(t)
			if passed := time.Since(began); passed > 0 {
				t.Fatalf("a good token took %v", passed)
			}
		}
	})
}

func isKeys(err error) bool {
	var keys *httpapi.KeysError
	return errors.As(err, &keys) && keys.Wait > 0
}

// TestAFloodOfKeyIDsAsksOnceInAWhile, and for a key id that the issuer did not
// have nobody waits.
func TestAFloodOfKeyIDsAsksOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrust(t)
		for n := range 500 {
			if _, err := w.Verify(t.Context(), w.token(fmt.Sprint("unknown ", n))); !errors.Is(err, httpapi.ErrToken) {
				t.Fatalf("%v", err)
			}
		}
		if n := w.server.times(); n != 1 {
			t.Errorf("500 key ids at once: asked %d times", n)
		}
		before := w.server.times()
		time.Sleep(15 * time.Second)
		for range 30 {
			if _, err := w.Verify(t.Context(), w.token("new")); !errors.Is(err, httpapi.ErrToken) {
				t.Fatalf("%v", err)
			}
			time.Sleep(time.Second)
		}
		if n := w.server.times() - before; n > 4 {
			t.Errorf("the same key id, each second for half a minute: asked %d times", n)
		}
		w.server.become(false, true) // It hangs, and that is nobody's wait.
		began := time.Now()
		if _, err := w.Verify(t.Context(), w.token("new")); !errors.Is(err, httpapi.ErrToken) || time.Since(began) > 0 {
			t.Errorf("a key id that is known to be unknown: %v after %v", err, time.Since(began))
		}
		w.server.become(false, false)
		// It is found within the pause when it is there, whoever asked for it before.
		w.server.mu.Lock()
		w.server.set.Keys[0].KeyID = "new"
		w.server.mu.Unlock()
		time.Sleep(16 * time.Second)
		_, _ = w.Verify(t.Context(), w.token("new"))
		synctest.Wait()
		if _, err := w.Verify(t.Context(), w.token("new")); err != nil {
			t.Errorf("a key that came later: %v", err)
		}
	})
}

// TestAKeyThatCameBetweenTwoAttemptsIsNotTakenForUnknown: what was not asked
// for is not remembered.
func TestAKeyThatCameBetweenTwoAttemptsIsNotTakenForUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrust(t)
		w.good(t)
		w.server.mu.Lock()
		w.server.set.Keys = append(w.server.set.Keys, jose.JSONWebKey{Key: w.server.set.Keys[0].Key, KeyID: "two"})
		w.server.mu.Unlock()
		if _, err := w.Verify(t.Context(), w.token("two")); !errors.Is(err, httpapi.ErrToken) {
			t.Errorf("in the pause: %v", err)
		}
		time.Sleep(11 * time.Second)
		if _, err := w.Verify(t.Context(), w.token("two")); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// TestAColdStartWithoutTheKeyServerIsNotReady: 503 with Retry-After for every
// token, /readyz says so, the log says it once a minute; and then all is well
// by itself.
func TestAColdStartWithoutTheKeyServerIsNotReady(t *testing.T) {
	for name, hang := range map[string]bool{"refuses": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTrust(t)
				w.server.become(!hang, hang)
				f := newFixture(t, func(o *httpapi.Options) {
					o.Tokens, o.Ready = w, []httpapi.Check{{Name: "token_keys", Run: w.Ready}}
				})
				ask := func() (int, string, string) {
					rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: headers{"Authorization": "Bearer " + w.token(
						"one")}})
					code := ""
					if rec.Code >= 400 {
						code = problemCode(t, rec)
					}
					return rec.Code, code, rec.Header().Get("Retry-After")
				}
				began := time.Now()
				for time.Since(began) < 50*time.Second {
					status, code, after := ask()
					if n, err := strconv.Atoi(after); status != 503 || code != "not_ready" || err != nil || n < 1 || n > 10 {
						t.Fatalf("%d %s, Retry-After %q", status, code, after)
					}
					if rec := f.do(request{Method: "GET", Path: "/readyz"}); rec.Code != 503 ||
						!strings.Contains(rec.Body.String(), "token_keys") {
						t.Fatalf("readyz: %d %s", rec.Code, rec.Body)
					}
					time.Sleep(time.Second)
				}
				if n := w.server.times(); n < 3 || n > 6 {
					t.Errorf("the server was asked %d times in 50 s", n)
				}
				if n := strings.Count(w.log.String(), "level=WARN") + strings.Count(f.log.String(),
					`"route":"/v1/accounts","error"`); n != 1 {
					t.Errorf("%d lines in the log in 50 s: %s", n, w.log)
				}
				w.server.become(false, false)
				time.Sleep(11 * time.Second)
				if rec := f.do(request{Method: "GET", Path: "/readyz"}); rec.Code != 200 {
					t.Errorf("readyz after it is back: %d", rec.Code)
				}
				if status, _, _ := ask(); status != 200 || !strings.Contains(w.log.String(), "to be had again") {
					t.Errorf("after it is back: %d; the log: %s", status, w.log)
				}
			})
		})
	}
}

// TestWhoHangsUpWaitsForNoKeys: the wait ends with the request.
func TestWhoHangsUpWaitsForNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrust(t)
		w.server.become(false, true)
		ctx, hangUp := context.WithCancel(t.Context())
		began, answer := time.Now(), make(chan error, 1)
		go func() { _, err := w.Verify(ctx, w.token("one")); answer <- err }()
		synctest.Wait()
		hangUp()
		if err := <-answer; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestClosingEndsTheFetchOfKeysThatNobodyWaitsFor, at once, and none begins after it;
// keys that are known serve on. The control is that the fetch outlives the request that
// had it begun.
func TestClosingEndsTheFetchOfKeysThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrust(t)
		f := newFixture(t, func(o *httpapi.Options) { o.Tokens = w })
		w.good(t)
		w.server.become(false, true)
		time.Sleep(11 * time.Minute) // The keys are no longer fresh.
		ctx, hangUp := context.WithCancel(t.Context())
		if _, err := w.Verify(ctx, w.token("one")); err != nil {
			t.Fatal(err)
		}
		hangUp()
		synctest.Wait()
		if n := w.server.hanging(); n != 1 {
			t.Fatalf("%d fetches are under way", n)
		}
		began := time.Now()
		f.close()
		if n := w.server.hanging(); n != 0 || time.Since(began) > 0 {
			t.Errorf("%d fetches are under way after %v", n, time.Since(began))
		}
		time.Sleep(time.Minute)
		asked := w.server.times()
		w.good(t)
		if _, err := w.Verify(t.Context(), w.token("two")); err == nil {
			t.Error("a token by an unknown key is taken")
		}
		synctest.Wait()
		if n := w.server.times(); n != asked {
			t.Errorf("the server was asked %d times after that", n-asked)
		}
		if w.log.Len() > 0 {
			t.Errorf("the log speaks of it: %s", w.log)
		}
		w.Close() // May be called again.
	})
}
