package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/httpapi"
)

// TestD5_TheLogSaysWhyATokenIsRefused: once a minute for each reason, in our own
// words, and never with the token. The control is a token that is accepted.
func TestD5_TheLogSaysWhyATokenIsRefused(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *httpapi.Options) { o.Now = func() time.Time { return now } })
	good := func(change func(map[string]any)) string {
		claims := map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix()}
		if change != nil {
			change(claims)
		}
		return sign(t, jose.HS256, secret, nil, claims)
	}
	ask := func(token string, status int) {
		t.Helper()
		rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: map[string]string{"Authorization": "Bearer " +
			token}})
		if rec.Code != status {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	said := func(reason string) int { return strings.Count(f.log.String(), reason) }
	ask(good(nil), 200)
	if said("a token was refused") != 0 {
		t.Error("the log reports a token that was accepted")
	}
	for reason, token := range map[string]string{
		"it has expired":        good(func(c map[string]any) { c["exp"] = now.Add(-time.Hour).Unix() }),
		"is no mailbox address": good(func(c map[string]any) { c["sub"] = "anna" }),
		"a claim is missing":    good(func(c map[string]any) { delete(c, "exp") }),
		"its signature does not fit": sign(t, jose.HS256, []byte("another secret of 32 octets here"), nil,
			map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix()}),
		"it has not the form":          "nonsense",
		"it was issued in the future":  good(func(c map[string]any) { c["iat"] = now.Add(time.Hour).Unix() }),
		"it lives longer than allowed": good(func(c map[string]any) { c["exp"] = now.AddDate(1, 0, 0).Unix() }),
		"a header that is not allowed": sign(t, jose.HS256, secret, map[string]any{"jku": "https://evil.example"},
			map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix()}),
	} {
		ask(token, 401)
		ask(token, 401)
		if n := said(reason); n != 1 {
			t.Errorf("%q stands %d times in the log, want once: %s", reason, n, f.log)
		}
		now = now.Add(2 * time.Second)
	}
	now = now.Add(time.Minute)
	ask("nonsense", 401)
	if n := said("it has not the form"); n != 2 || !strings.Contains(f.log.String(), `"others_since":1`) {
		t.Errorf("a minute later it stands %d times in the log: %s", n, f.log)
	}
	if strings.Contains(f.log.String(), "evil.example") || strings.Contains(f.log.String(), good(nil)) {
		t.Error("the log has something of a token")
	}
}
