package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// calls lists every call under /v1 of the document with a request that would
// go well.
func calls(t *testing.T) map[string]request {
	out := map[string]request{}
	for _, item := range spec(t).Paths.Map() {
		for _, op := range item.Operations() {
			if len(*op.Security) > 0 {
				out[op.OperationID] = valid[op.OperationID]
			}
		}
	}
	return out
}

// TestEveryCallNeedsAToken is U01 and U06: without one, or with garbage, or with a
// good one in the address, all calls and all unknown addresses answer the same.
func TestEveryCallNeedsAToken(t *testing.T) {
	f := newFixture(t)
	all := calls(t)
	all["unknown"] = request{Method: "GET", Path: "/v1/nothing"}
	all["wrong method"] = request{Method: "TRACE", Path: "/v1/accounts"}
	all["preflight"] = request{Method: "OPTIONS", Path: "/v1/accounts"}
	good := f.token(anna, true)
	for name, r := range all {
		for how, header := range map[string]string{
			"none": "", "garbage": "Bearer x.y.z", "another scheme": "Basic YTpi",
			"empty": "Bearer", "in the address": "",
		} {
			q := r
			q.Header = map[string]string{"Authorization": header, "Origin": "https://evil.example"}
			if how == "in the address" {
				q.Path += map[bool]string{true: "&", false: "?"}[strings.Contains(q.Path, "?")] + "access_token=" + good
			}
			rec := f.do(q)
			if rec.Code != 401 || problemCode(t, rec) != "unauthenticated" || rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s, token %s: %d %s", name, how, rec.Code, rec.Body)
			}
			if rec.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: U13: the answer lets other origins read it", name)
			}
		}
	}
	if strings.Contains(f.log.String(), good) {
		t.Error("the log holds a token from an address")
	}
	if len(f.calls) > 0 {
		t.Errorf("something was done without a token: %v", f.calls)
	}
}

// TestOthersDoNotExist is U07: whatever bartek does with the id of an account or a copy of
// anna's, he gets what an id that does not exist gives.
func TestOthersDoNotExist(t *testing.T) {
	for id, least := range map[string]int{annaID: 7, annasCopy: 14} {
		bad, tried := othersThatExist(t, id)
		for _, b := range bad {
			t.Error(b)
		}
		if tried < least {
			t.Errorf("only %d calls with the id %s were tried", tried, id)
		}
	}
}

// othersThatExist lists the calls by which bartek learns of what anna has of this id, or
// changes something.
func othersThatExist(t *testing.T, id string, change ...func(*httpapi.Options)) (bad []string, tried int) {
	t.Helper()
	for name, r := range calls(t) {
		if !strings.Contains(r.Path+r.Body, id) || strings.HasPrefix(r.Path, "/v1/admin") {
			continue
		}
		tried++
		f := newFixture(t, change...)
		r.As = bartek
		mine := f.do(r)
		r.Path, r.Body = strings.ReplaceAll(r.Path, id, noID), strings.ReplaceAll(r.Body, id, noID)
		nobodys := f.do(r)
		if mine.Code != 404 || nobodys.Code != 404 || mine.Body.String() != nobodys.Body.String() || len(f.calls) > 0 {
			bad = append(bad, fmt.Sprintf("%s: anna's id gives %d %s, one that does not exist %d %s; done: %v", name, mine.Code,
				mine.Body, nobodys.Code, nobodys.Body, f.calls))
		}
	}
	return bad, tried
}

// The controls: accounts that are given to whoever asks, and some that are
// refused in other words than those which do not exist.
func TestAccountsThatAreAnybodysAreNoticed(t *testing.T) {
	for name, wrap := range map[string]func(httpapi.Accounts) httpapi.Accounts{
		"given to whoever asks": func(a httpapi.Accounts) httpapi.Accounts { return anybodys{a, anOwner(t, anna), nil} },
		"refused in other words": func(a httpapi.Accounts) httpapi.Accounts {
			return anybodys{a, anOwner(t, anna), fmt.Errorf("another user's: %w", account.ErrChanged)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad, tried := othersThatExist(t, annaID, func(o *httpapi.Options) { o.Accounts = wrap(o.Accounts) })
			if len(bad) != tried {
				t.Errorf("noticed by %d of %d calls", len(bad), tried)
			}
			t.Logf("caught by %d calls, such as: %.120s", len(bad), strings.Join(bad, ""))
		})
	}
}

// TestCopiesThatAreAnybodysAreNoticed is the control for copies.
func TestCopiesThatAreAnybodysAreNoticed(t *testing.T) {
	bad, tried := othersThatExist(t, annasCopy, func(o *httpapi.Options) {
		o.Copies = anybodysCopies{o.Copies, anOwner(t, anna)}
	})
	if len(bad) != tried {
		t.Errorf("noticed by %d of %d calls", len(bad), tried)
	}
}

// anybodysCopies gives a copy to whoever asks, with what is in it and what can be done with it.
type anybodysCopies struct {
	transfer.Service
	owner owner.Owner
}

func (a anybodysCopies) Copy(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Copy(ctx, a.owner, id)
}

func (a anybodysCopies) Folders(ctx context.Context, _ owner.Owner, id transfer.ID) ([]transfer.FolderState, error) {
	return a.Service.Folders(ctx, a.owner, id)
}

func (a anybodysCopies) Messages(ctx context.Context, _ owner.Owner, id transfer.ID, s transfer.MessageState, limit int,
	cursor string,
) (transfer.MessagePage, error) {
	return a.Service.Messages(ctx, a.owner, id, s, limit, cursor)
}

func (a anybodysCopies) Report(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Report, error) {
	return a.Service.Report(ctx, a.owner, id)
}

func (a anybodysCopies) Pause(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Pause(ctx, a.owner, id)
}

func (a anybodysCopies) Resume(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Resume(ctx, a.owner, id)
}

func (a anybodysCopies) Cancel(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Cancel(ctx, a.owner, id)
}

func (a anybodysCopies) Sync(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Sync(ctx, a.owner, id)
}

func (a anybodysCopies) Verify(ctx context.Context, _ owner.Owner, id transfer.ID, how transfer.Verify,
) (transfer.Copy, error) {
	return a.Service.Verify(ctx, a.owner, id, how)
}

func (a anybodysCopies) Retry(ctx context.Context, _ owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return a.Service.Retry(ctx, a.owner, id)
}

func (a anybodysCopies) Update(ctx context.Context, _ owner.Owner, id transfer.ID, p transfer.Patch,
) (transfer.Copy, error) {
	return a.Service.Update(ctx, a.owner, id, p)
}

func (a anybodysCopies) Delete(ctx context.Context, _ owner.Owner, id transfer.ID, m account.Match) error {
	return a.Service.Delete(ctx, a.owner, id, m)
}

// anybodys does for everybody what its owner asks for; or it refuses to others,
// by an error of its own, what its owner has.
type anybodys struct {
	httpapi.Accounts
	owner  owner.Owner
	refuse error
}

func (a anybodys) ask(ctx context.Context, id account.ID) error {
	if a.refuse == nil {
		return nil
	}
	if _, err := a.Accounts.Get(ctx, a.owner, id); err != nil {
		return err
	}
	return a.refuse
}

func (a anybodys) Get(ctx context.Context, _ owner.Owner, id account.ID) (account.Account, error) {
	if err := a.ask(ctx, id); err != nil {
		return account.Account{}, err
	}
	return a.Accounts.Get(ctx, a.owner, id)
}

func (a anybodys) Update(ctx context.Context, _ owner.Owner, id account.ID,
	p account.Patch,
) (account.Account, error) {
	if err := a.ask(ctx, id); err != nil {
		return account.Account{}, err
	}
	return a.Accounts.Update(ctx, a.owner, id, p)
}

func (a anybodys) Delete(ctx context.Context, _ owner.Owner, id account.ID, keep bool, m account.Match) error {
	if err := a.ask(ctx, id); err != nil {
		return err
	}
	return a.Accounts.Delete(ctx, a.owner, id, keep, m)
}

func (a anybodys) TestExisting(ctx context.Context, _ owner.Owner, id account.ID,
	p account.Patch,
) (account.TestReport, error) {
	if err := a.ask(ctx, id); err != nil {
		return account.TestReport{}, err
	}
	return a.Accounts.TestExisting(ctx, a.owner, id, p)
}

func (a anybodys) FetchNow(ctx context.Context, _ owner.Owner, id account.ID) error {
	if err := a.ask(ctx, id); err != nil {
		return err
	}
	return a.Accounts.FetchNow(ctx, a.owner, id)
}

func (a anybodys) FolderTree(ctx context.Context, _ owner.Owner, id account.ID) ([]account.FolderInfo, error) {
	if err := a.ask(ctx, id); err != nil {
		return nil, err
	}
	return a.Accounts.FolderTree(ctx, a.owner, id)
}

func (a anybodys) Runs(ctx context.Context, _ owner.Owner, id account.ID, limit int) ([]account.Run, error) {
	if err := a.ask(ctx, id); err != nil {
		return nil, err
	}
	return a.Accounts.Runs(ctx, a.owner, id, limit)
}

func (a anybodys) Skipped(ctx context.Context, _ owner.Owner, id account.ID, limit int,
	cursor string,
) (account.SkippedPage, error) {
	if err := a.ask(ctx, id); err != nil {
		return account.SkippedPage{}, err
	}
	return a.Accounts.Skipped(ctx, a.owner, id, limit, cursor)
}

func (a anybodys) RetrySkipped(ctx context.Context, _ owner.Owner, id account.ID,
	sid string,
) (account.Skipped, error) {
	if err := a.ask(ctx, id); err != nil {
		return account.Skipped{}, err
	}
	return a.Accounts.RetrySkipped(ctx, a.owner, id, sid)
}

func (a anybodys) RetryAllSkipped(ctx context.Context, _ owner.Owner, id account.ID) (int, error) {
	if err := a.ask(ctx, id); err != nil {
		return 0, err
	}
	return a.Accounts.RetryAllSkipped(ctx, a.owner, id)
}

// TestUsersAreNotAdministrators: every call under /v1/admin is forbidden to
// users, whatever is wrong with the request besides.
func TestUsersAreNotAdministrators(t *testing.T) {
	for name, r := range calls(t) {
		if !strings.HasPrefix(r.Path, "/v1/admin") {
			continue
		}
		f := newFixture(t)
		r.As = anna
		r.Header = map[string]string{"X-Admin": "true", "X-User": bartek} // U47
		if rec := f.do(r); rec.Code != 403 || len(f.calls) > 0 {
			t.Errorf("%s: %d, done: %v", name, rec.Code, f.calls)
		}
		r.Body, r.Path = "{", r.Path+"?nonsense=1"
		if rec := f.do(r); rec.Code != 403 {
			t.Errorf("%s with a bad request: %d", name, rec.Code)
		}
	}
}

// TestUnknownAddresses is U44: what is not a call is 404 or 405, never something else.
func TestUnknownAddresses(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1", 404, ""},
		{"GET", "/v1/", 404, ""},
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/v1//accounts", 404, ""},
		{"GET", "/v1/accounts/", 404, ""},
		{"GET", "/v1/accounts/..%2fadmin", 404, ""},
		{"GET", "/v1/accounts/../admin/stats", 404, ""},
		{"GET", "/v1/accounts/%2e%2e", 404, ""},
		{"GET", "/v1/accounts/1%20OR%201=1", 404, ""},
		{"GET", "/v1/accounts/" + strings.ToUpper(annaID), 404, ""},
		{"GET", "/v1/accounts/" + annaID + "/", 404, ""},
		{"GET", "/v1/accounts/" + annaID + "%2ffolders", 404, ""},
		{"GET", "/V1/accounts", 404, ""},
		{"GET", "/", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"PUT", "/v1/accounts", 405, "GET, POST"},
		{"HEAD", "/v1/accounts", 405, "GET, POST"},
		{"TRACE", "/v1/accounts", 405, "GET, POST"},
		{"BREW", "/v1/accounts", 405, "GET, POST"},
		{"POST", "/v1/accounts/" + annaID, 405, "DELETE, GET, PATCH"},
		{"GET", "/v1/accounts/" + annaID + "/fetch", 405, "POST"},
		{"POST", "/v1/admin/quotas/" + anna, 405, "DELETE, GET, PUT"},
		{"POST", "/healthz", 405, "GET"},
	} {
		r := request{Method: tc.method, Path: tc.path, As: anna, Admin: true, Header: map[string]string{
			"X-HTTP-Method-Override": "GET",
		}}
		rec := f.do(r)
		want := map[int]string{404: "not_found", 405: "method_not_allowed"}[tc.status]
		if rec.Code != tc.status || problemCode(t, rec) != want {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, rec.Code, rec.Body, tc.status)
		}
		allow := strings.Split(rec.Header().Get("Allow"), ", ")
		allow = slices.DeleteFunc(allow, func(m string) bool { return m == "OPTIONS" })
		slices.Sort(allow)
		if got := strings.Join(allow, ", "); got != tc.allow {
			t.Errorf("%s %s: Allow %q, want %q", tc.method, tc.path, got, tc.allow)
		}
	}
}

func TestProbesMayAskByHEAD(t *testing.T) {
	srv := httptest.NewServer(newFixture(t).h)
	defer srv.Close()
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200, "/openapi.yaml": 200, "/v1/accounts": 401, "/nothing": 404,
	} {
		res, err := http.Head(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || len(body) > 0 || res.StatusCode != want {
			t.Errorf("HEAD %s: %d, %d octets, %v; want %d and none", path, res.StatusCode, len(body), err, want)
		}
	}
}

// TestAnswersAreHardened is U14: the headers that keep a browser from doing
// anything with an answer but reading it.
func TestAnswersAreHardened(t *testing.T) {
	f := newFixture(t)
	for _, r := range []request{
		{Method: "GET", Path: "/v1/accounts", As: anna},
		{Method: "GET", Path: "/v1/accounts"},
		{Method: "GET", Path: "/healthz"},
		{Method: "GET", Path: "/nothing"},
	} {
		h := f.do(r).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy": "no-referrer",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", r.Path, name, h.Get(name), want)
			}
		}
		if h.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", r.Path)
		}
		if below := strings.HasPrefix(r.Path, "/v1"); (h.Get("Cache-Control") == "no-store") != below {
			t.Errorf("%s: Cache-Control %q", r.Path, h.Get("Cache-Control"))
		}
	}
}

// TestRequestID: an id that is fit for a log is kept, another is replaced.
func TestRequestID(t *testing.T) {
	f := newFixture(t)
	for sent, kept := range map[string]bool{"abc-1.2_Z": true, "": false, "a b": false, "a\tb": false, strings.Repeat(
		"a", 65): false, `"x`: false} {
		rec := f.do(request{Method: "GET", Path: "/healthz", Header: map[string]string{"X-Request-Id": sent}})
		if got := rec.Header().Get("X-Request-Id"); (got == sent) != kept || got == "" {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
}

// TestForgedTokens is U02, U03 and U04: 401, whatever is wrong, and always the same body.
func TestForgedTokens(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	fine := func() map[string]any {
		return map[string]any{"sub": anna, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "scope": "admin"}
	}
	but := func(k string, v any) map[string]any {
		c := fine()
		c[k] = v
		if v == nil {
			delete(c, k)
		}
		return c
	}
	hs := jose.HS256
	none := func(alg string) string {
		s := sign(t, hs, secret, map[string]any{"alg": alg}, fine())
		return s[:strings.LastIndex(s, ".")+1]
	}
	want := f.do(request{Method: "GET", Path: "/v1/admin/stats", Header: map[string]string{"Authorization": "Bearer " +
		sign(t, hs, secret, nil, fine())}})
	if want.Code != 200 {
		t.Fatalf("a good token: %d %s", want.Code, want.Body)
	}
	bodies := map[string]bool{}
	for name, token := range map[string]string{
		"alg none":               none("none"),
		"alg None":               none("None"),
		"another secret":         sign(t, hs, []byte(strings.Repeat("x", 32)), nil, fine()),
		"HS512 with our secret":  sign(t, jose.HS512, secret, nil, fine()),
		"jku":                    sign(t, hs, secret, map[string]any{"jku": "https://evil.example/keys"}, fine()),
		"x5u":                    sign(t, hs, secret, map[string]any{"x5u": "https://evil.example/cert"}, fine()),
		"crit":                   sign(t, hs, secret, map[string]any{"crit": []string{"b64"}}, fine()),
		"expired":                sign(t, hs, secret, nil, but("exp", now.Add(-2*time.Minute).Unix())),
		"no exp":                 sign(t, hs, secret, nil, but("exp", nil)),
		"exp as text":            sign(t, hs, secret, nil, but("exp", "tomorrow")),
		"year 9999":              sign(t, hs, secret, nil, but("exp", 253402300000)),
		"year 9999, no iat":      sign(t, hs, secret, nil, map[string]any{"sub": anna, "exp": 253402300000}),
		"nbf later":              sign(t, hs, secret, nil, but("nbf", now.Add(time.Hour).Unix())),
		"iat later":              sign(t, hs, secret, nil, but("iat", now.Add(time.Hour).Unix())),
		"no sub":                 sign(t, hs, secret, nil, but("sub", nil)),
		"sub is no address":      sign(t, hs, secret, nil, but("sub", "anna")),
		"sub has a display name": sign(t, hs, secret, nil, but("sub", "Anna <anna@firma.test>")),
		"sub has a line break":   sign(t, hs, secret, nil, but("sub", "anna@firma.test\r\n")),
		"sub climbs":             sign(t, hs, secret, nil, but("sub", "../x@firma.test")),
		"sub is a list":          sign(t, hs, secret, nil, but("sub", []string{anna})),
		"scope is a list":        sign(t, hs, secret, nil, but("scope", []string{"admin"})),
		"100,000 dots":           strings.Repeat(".", 100_000),
		"longer than any token":  strings.Repeat("a", 9000) + ".b.c",
		"signature cut": strings.TrimRight(sign(t, hs, secret, nil, fine()),
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		"two tokens, space between": sign(t, hs, secret, nil, fine()) + " " + sign(t, hs, secret, nil, fine()),
	} {
		rec := f.do(request{Method: "GET", Path: "/v1/admin/stats", Header: map[string]string{"Authorization": "Bearer " +
			token}})
		if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `Bearer realm="mailbrook", error="invalid_token"` {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		bodies[rec.Body.String()] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers differ: %v", bodies)
	}
}

// TestScopeIsAWord: admin must stand alone among the words of the scope.
func TestScopeIsAWord(t *testing.T) {
	f := newFixture(t)
	for scope, want := range map[string]int{
		"admin": 200, "mail admin": 200, "admin mail": 200, "": 403,
		"administrator": 403, "Admin": 403, "not-admin": 403, "admin,mail": 403,
	} {
		token := sign(t, jose.HS256, secret, nil, map[string]any{"sub": anna, "exp": time.Now().Add(
			time.Hour).Unix(), "scope": scope})
		if rec := f.do(request{Method: "GET", Path: "/v1/admin/stats", Header: map[string]string{"Authorization": "bearer " +
			token}}); rec.Code != want {
			t.Errorf("scope %q: %d, want %d", scope, rec.Code, want)
		}
	}
}

// TestSubjectIsOneUser: however an address is spelled, it is the same user.
func TestSubjectIsOneUser(t *testing.T) {
	f := newFixture(t)
	token := sign(t, jose.HS256, secret, nil, map[string]any{"sub": "Anna@Firma.TEST", "exp": time.Now().Add(
		time.Hour).Unix()})
	rec := f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, Header: map[string]string{
		"Authorization": "Bearer " + token,
	}})
	if rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestSignRefuses what no verifier would take.
func TestSignRefuses(t *testing.T) {
	for name, sign := range map[string]func() (string, error){
		"a short secret": func() (string, error) {
			return httpapi.Keys{Secret: []byte("short")}.Sign(anOwner(t, anna), false, time.Hour)
		},
		"no life": func() (string, error) { return httpapi.Keys{Secret: secret}.Sign(anOwner(t, anna), false, 0) },
		"too long a one": func() (string, error) {
			return httpapi.Keys{Secret: secret}.Sign(anOwner(t, anna), false, 31*24*time.Hour)
		},
	} {
		if token, err := sign(); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
}

// TestKeysThatCannotServe are refused at start.
func TestKeysThatCannotServe(t *testing.T) {
	for name, k := range map[string]httpapi.Keys{
		"nothing":             {},
		"a short secret":      {Secret: []byte("short")},
		"an empty secret":     {Secret: []byte{}},
		"plain http":          {JWKS: "http://id.example/keys", Issuer: "i", Audience: "a", HTTP: http.DefaultClient},
		"no issuer":           {JWKS: "https://id.example/keys", Audience: "a", HTTP: http.DefaultClient},
		"no audience":         {JWKS: "https://id.example/keys", Issuer: "i", HTTP: http.DefaultClient},
		"nothing to fetch by": {JWKS: "https://id.example/keys", Issuer: "i", Audience: "a"},
	} {
		if _, err := httpapi.NewVerifier(k); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestOversizedHeadersAreRefused is U04: by the server, before anything reads them.
func TestOversizedHeadersAreRefused(t *testing.T) {
	f := newFixture(t)
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = httpapi.Server("", f.h, testLog())
	ts.Start()
	defer ts.Close()
	req, err := http.NewRequest("GET", ts.URL+"/v1/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 1<<20))
	resp, err := ts.Client().Do(req)
	if err != nil {
		return // The server hung up while we were still sending.
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestLimits is U08, U17 and U33: above a rate the answer is 429 and says when
// to come again, other users are still served, and a new X-Forwarded-For (U36) helps nobody.
func TestLimits(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) {
		o.Limits.Requests = httpapi.Rate{PerMinute: 6, Burst: 3}
	})
	guess := func(user string, i int) *httptest.ResponseRecorder {
		return f.do(request{
			Method: "GET", Path: fmt.Sprintf("/v1/accounts/ffffffff-ffff-4fff-8fff-%012d", i), As: user,
			Header: map[string]string{"X-Forwarded-For": fmt.Sprintf("192.0.2.%d", i)},
		})
	}
	for i := range 3 {
		if rec := guess(anna, i); rec.Code != 404 {
			t.Fatalf("guess %d: %d", i, rec.Code)
		}
	}
	rec := guess(anna, 4)
	if rec.Code != 429 || rec.Header().Get("Retry-After") == "" || rec.Header().Get("Retry-After") == "0" {
		t.Errorf("%d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
	}
	if rec := guess(bartek, 5); rec.Code != 404 {
		t.Errorf("another user: %d", rec.Code)
	}
}

// TestConnectionTestsAreLimited: the tests of all calls that test count together.
func TestConnectionTestsAreLimited(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.Tests = httpapi.Rate{PerMinute: 1, Burst: 3} })
	for _, id := range []string{"testConnection", "createAccount", "updateAccount"} {
		if rec := f.do(signedIn(valid[id])); rec.Code >= 400 {
			t.Fatalf("%s: %d %s", id, rec.Code, rec.Body)
		}
	}
	done := len(f.calls)
	for _, id := range []string{"testConnection", "createAccount", "updateAccount"} {
		if rec := f.do(signedIn(valid[id])); rec.Code != 429 {
			t.Errorf("%s: %d %s", id, rec.Code, rec.Body)
		}
	}
	if len(f.calls) != done {
		t.Errorf("done above the limit: %v", f.calls[done:])
	}
	for _, r := range []request{
		{Method: "POST", Path: "/v1/accounts", Body: `{"email":"a@gmail.com","password":"x","skip_test":true}`},
		{Method: "PATCH", Path: "/v1/accounts/" + annaID, Body: `{"name":"Work"}`},
	} {
		if rec := f.do(signedIn(r)); rec.Code >= 400 {
			t.Errorf("%s without a test: %d %s", r.Method, rec.Code, rec.Body)
		}
	}
}

// TestConnectionTestsAreCountedExactly: of any number at once no more begin than
// may, and what was refused before anything was dialled gives its place back.
func TestConnectionTestsAreCountedExactly(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.TestsAtOnce = 300 })
	f.report = failedTest.Report
	codes := make([]int, 300)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { codes[i] = f.do(signedIn(valid["testConnection"])).Code })
	}
	wg.Wait()
	count := map[int]int{}
	for _, c := range codes {
		count[c]++
	}
	if count[200] != 60 || count[429] != 240 {
		t.Errorf("%v, not 60 tests and 240 refusals", count)
	}

	f = newFixture(t, func(o *httpapi.Options) { o.Limits.Tests = httpapi.Rate{Burst: 1} })
	for range 3 {
		f.fail = account.ErrExists
		if rec := f.do(signedIn(valid["createAccount"])); rec.Code != 409 {
			t.Errorf("refused without a test: %d", rec.Code)
		}
	}
	f.fail = nil
	if rec := f.do(signedIn(valid["createAccount"])); rec.Code != 201 {
		t.Errorf("after tests that were none: %d", rec.Code)
	}
}

// TestAfterTooManyFailedLoginsTheAnswerSaysWhenToComeBack is U19 at every call
// that signs in: 429 with Retry-After, and the test that was not made is free.
func TestAfterTooManyFailedLoginsTheAnswerSaysWhenToComeBack(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.Tests = httpapi.Rate{Burst: 1} })
	f.fail = fmt.Errorf("testing the connection: %w", &fault.Error{Code: fault.RateLimited, Err: &remote.HeldBackError{
		Wait: 90*time.Second + 1,
	}})
	for _, id := range []string{"testConnection", "createAccount", "updateAccount"} {
		rec := f.do(signedIn(valid[id]))
		if rec.Code != 429 || rec.Header().Get("Retry-After") != "91" ||
			!strings.Contains(rec.Body.String(), `"code":"rate_limited"`) ||
			!strings.Contains(rec.Body.String(), `"diagnosis":{`) { // For the pages: why, in the reader's words.
			t.Errorf("%s: %d, Retry-After %q: %s", id, rec.Code, rec.Header().Get("Retry-After"), rec.Body)
		}
	}
}
