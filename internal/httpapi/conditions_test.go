package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// TestD5_AChangeIsMadeOnlyToWhatItIsMeantFor: If-Match on accounts and quotas; what
// does not match is left as it was.
func TestD5_AChangeIsMadeOnlyToWhatItIsMeantFor(t *testing.T) {
	one, quota := "/v1/accounts/"+annaID, "/v1/admin/quotas/"+anna
	for _, w := range []request{
		{Method: "PATCH", Path: one, Body: `{"name":"x"}`, As: anna},
		{Method: "PATCH", Path: one, Body: `{"password":"` + canary + `"}`, As: anna},
		{Method: "DELETE", Path: one, As: anna},
		{Method: "PUT", Path: quota, Body: `{"limit_bytes":100}`, As: anna, Admin: true},
	} {
		for name, tc := range map[string]struct {
			header func(tag string) string
			status int // 0: it goes well.
		}{
			"as it is":         {func(tag string) string { return tag }, 0},
			"one of several":   {func(tag string) string { return `"a, b" , W/"c",` + tag }, 0},
			"whatever it is":   {func(string) string { return "*" }, 0},
			"as it was":        {func(string) string { return `"0-0"` }, 412},
			"compared weakly":  {func(tag string) string { return "W/" + tag }, 412},
			"a star in quotes": {func(string) string { return `"*"` }, 412},
			"without quotes":   {func(tag string) string { return strings.Trim(tag, `"`) }, 400},
			"half of it":       {func(tag string) string { return tag[:len(tag)-1] }, 400},
		} {
			f := newFixture(t)
			tag := f.do(request{Method: "GET", Path: w.Path, As: anna, Admin: w.Admin}).Header().Get("ETag")
			if !strings.HasPrefix(tag, `"`) {
				t.Fatalf("%s: the ETag is %q", w.Path, tag)
			}
			w.Header = map[string]string{"If-Match": tc.header(tag)}
			rec := f.do(w)
			if tc.status == 0 && (rec.Code >= 300 || len(f.calls) != 1) ||
				tc.status != 0 && (rec.Code != tc.status || len(f.calls) > 0) {
				t.Errorf("%s %s, %s: %d %s, done: %v", w.Method, w.Path, name, rec.Code, rec.Body, f.calls)
			}
		}
	}
}

// TestD5_WhatAnEarlierProcessMadeIsTheAnswer: the account is not added once more.
// The control is a request without a name, which adds one.
func TestD5_WhatAnEarlierProcessMadeIsTheAnswer(t *testing.T) {
	f := newFixture(t)
	made := f.accounts[0]
	made.ID = noID // The id that the name's first request chose.
	f.accounts = append(f.accounts, made)
	for key, calls := range map[string]int{"k": 0, "": 1} {
		f.calls = nil
		r := signedIn(valid["createAccount"])
		if r.Header = map[string]string{}; key != "" {
			r.Header["Idempotency-Key"] = key
		}
		if rec := f.do(r); rec.Code != 201 || len(f.calls) != calls {
			t.Errorf("with %q: %d %s, done: %v", key, rec.Code, rec.Body, f.calls)
		}
	}
}

// Newcomer N15: a name that is empty is none, however it is written; and is not taken
// for a request without a name (the control).
func TestAnEmptyNameOfARequestIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, call := range []string{"createAccount", "createLink"} {
		for key, status := range map[string]int{
			"": 400, " ": 400, `""`: 400, `" "`: 400, strings.Repeat("x", 256): 400, strings.Repeat("x", 255): 201,
		} {
			r := signedIn(valid[call])
			req := httptest.NewRequest(r.Method, r.Path, strings.NewReader(r.Body))
			req.Header = http.Header{
				"Content-Type": {"application/json"}, "Authorization": {"Bearer " + f.token(r.As, r.Admin)},
				"Idempotency-Key": {key},
			}
			rec := httptest.NewRecorder()
			f.h.ServeHTTP(rec, req)
			if rec.Code != status || status == 400 && !strings.Contains(rec.Body.String(), "1 to 255") {
				t.Errorf("%s with %q: %d %s", call, key, rec.Code, rec.Body)
			}
		}
		if rec := f.do(signedIn(valid[call])); rec.Code != 201 {
			t.Errorf("%s without a name: %d %s", call, rec.Code, rec.Body)
		}
	}
}

// TestD3_AStreamEndsWhenTheAddressIsAnotherUsers: what is the next one's is not told to
// the former. The control is a stream of whose address it is.
func TestD3_AStreamEndsWhenTheAddressIsAnotherUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := httpapi.Keys{Secret: secret, UserIDClaim: "uid"}
		f := newFixture(t, func(o *httpapi.Options) {
			tokens, err := httpapi.NewVerifier(keys)
			if err != nil {
				t.Fatal(err)
			}
			o.Stopping, o.Tokens = nil, tokens
		})
		f.userIDs = map[owner.Owner]string{anOwner(t, anna): "1"}
		listen := func(user, id string) *listener {
			return f.listen(user, "", func(r *http.Request, _ *listener) {
				token, err := keys.SignAs(anOwner(t, user), id, false, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+token)
			})
		}
		former, other := listen(anna, "1"), listen(bartek, "9")
		time.Sleep(2 * time.Second)
		former.take(t)
		f.alter(func(w *world) {
			w.userIDs[anOwner(t, anna)] = "2"
			w.accounts[0].Name = "Of the next one"
		})
		time.Sleep(2 * time.Second)
		if got := former.take(t); len(got) > 0 || !former.over() || other.over() {
			t.Errorf("the former user gets %v; its stream is over: %t, another's: %t", got, former.over(), other.over())
		}
		other.leave()
		synctest.Wait()
	})
}
