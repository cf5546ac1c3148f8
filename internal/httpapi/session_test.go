package httpapi_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/httpapi"
)

// byHand is what a browser asks for when a person types an address.
func byHand(path string) request {
	return request{Method: "GET", Path: path, Header: map[string]string{
		"Sec-Fetch-Site": "none",
		"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1",
	}}
}

// signIn follows the world's link and returns the cookie as it is sent back.
func (f *fixture) signIn(t testing.TB) string {
	t.Helper()
	return f.signInBy(t, "/link/followme")
}

func (f *fixture) signInBy(t testing.TB, link string) string {
	t.Helper()
	rec := f.do(byHand(link))
	if rec.Code != 303 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	return cookie
}

func TestALinkSignsInOnce(t *testing.T) {
	f := newFixture(t)
	rec := f.do(byHand("/link/followme"))
	if rec.Code != 303 || rec.Header().Get("Location") != "/accounts/new" ||
		rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	who := f.do(request{Method: "GET", Path: "/v1/session", Header: map[string]string{"Cookie": cookie}})
	if s := decode[api.Session](t, who); who.Code != 200 || s.User != anna || s.Admin || s.Limit != 4 ||
		s.ExpiresAt.Before(time.Now().Add(11*time.Hour)) {
		t.Errorf("%d %s", who.Code, who.Body)
	}
	for lang, title := range map[string]string{"": "This link does not work any more", "pl": "Ten link już nie działa"} {
		again := f.do(request{Method: "GET", Path: "/link/followme", Header: map[string]string{"Accept-Language": lang}})
		first := fmt.Sprintf(`</header><main lang="%s"><h1>%s`, cmp.Or(lang, "en"), title)
		if again.Code != 410 || !strings.Contains(again.Body.String(), first) ||
			again.Header().Get("Set-Cookie") != "" || strings.Contains(again.Body.String(), "followme") {
			t.Errorf("again, in %q: %d %v %s", lang, again.Code, again.Header(), again.Body)
		}
	}
	if strings.Contains(f.log.String(), "followme") || strings.Contains(f.log.String(), strings.TrimPrefix(cookie,
		"mailbrook_session=")) {
		t.Error("the log holds a link or a session")
	}
}

// A newcomer in Polish, 16: the pages that stand by themselves are the operator's as well, can be
// read in each language, and lead to where one signs in, where there is such a place.
func TestPagesThatStandByThemselvesAreTheOperators(t *testing.T) {
	brand := httpapi.Brand{
		Name: "Poczta <Firmy>", Logo: "data:image/png;base64,iVBORw0=", Style: ":root{--accent:#123456}",
		HelpURL: "https://pomoc.firma.test/?a=1&b=2", PrivacyURL: "https://firma.test/rodo",
	}
	says := func(page string, want ...string) {
		t.Helper()
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("the page does not say %q: %s", text, page)
			}
		}
	}
	own := []string{
		"<strong>Poczta &lt;Firmy&gt;</strong>", `<img src="data:image/png;base64,iVBORw0=" alt="">`, "--accent:#123456",
		`<a href="https://pomoc.firma.test/?a=1&amp;b=2" rel="noreferrer">Pomoc</a>`, ">Prywatność</a>",
	}
	const lead = `<a href="/">Zaloguj się</a>`
	for name, way := range map[string]httpapi.SignIn{
		"none": {}, "header": {Header: "X-User"}, "imap": {Passwords: passwords{}}, "oidc": {Issuer: identityProvider{}},
	} {
		f := newFixture(t, func(o *httpapi.Options) { o.Web.Brand, o.Web.SignIn = brand, way })
		rec := f.do(request{Method: "GET", Path: "/link/used", Header: map[string]string{"Accept-Language": "pl"}})
		page := rec.Body.String()
		says(page, append(own, `<input type="radio" name="lang" id="lang-pl" checked>`, `id="lang-en">`,
			"This link does not work any more", "Ten link już nie działa")...)
		if rec.Code != 410 || strings.Contains(page, lead) != (name != "none") {
			t.Errorf("%s: %d %s", name, rec.Code, page)
		}
		csp := rec.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'; style-src 'sha256-") ||
			strings.Contains(csp, "unsafe") {
			t.Errorf("its policy is %s", csp)
		}
	}
	f := newFixture(t, func(o *httpapi.Options) { o.Web.Brand = brand })
	says(f.do(request{Method: "GET", Path: "/signin/callback?state=x&code=y", Header: map[string]string{
		"Accept-Language": "pl",
	}}).Body.String(), append(own, "You are not signed in", "Nie udało się zalogować", `id="lang-pl" checked>`)...)
	asks := f.do(request{Method: "GET", Path: "/link/followme", Header: map[string]string{"Accept-Language": "pl"}})
	says(asks.Body.String(), own...)
}

func TestTheCookieFitsWhereThePagesAre(t *testing.T) {
	frame := []string{"https://webmail.firma.test"}
	for _, tc := range []struct {
		public string
		frame  []string
		want   string
	}{
		{"http://127.0.0.1:8080", nil, "mailbrook_session=; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"},
		{"http://127.0.0.1:8080", frame, "mailbrook_session=; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"},
		{"https://mail.firma.test", nil, "__Host-mailbrook_session=; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax"},
		{"https://mail.firma.test", frame, "__Host-mailbrook_session=; Path=/; Max-Age=43200; HttpOnly; Secure; " +
			"SameSite=None; Partitioned"},
	} {
		f := newFixture(t, func(o *httpapi.Options) { o.Web.PublicURL, o.Web.FrameAncestors = tc.public, tc.frame })
		set := f.do(byHand("/link/followme")).Header().Get("Set-Cookie")
		cookie, rest, _ := strings.Cut(set, ";")
		name, _, _ := strings.Cut(cookie, "=")
		if got := name + "=;" + rest; got != tc.want {
			t.Errorf("%s, frames %v: %s, want %s", tc.public, tc.frame, got, tc.want)
		}
		away := f.do(request{Method: "DELETE", Path: "/v1/session", Header: map[string]string{
			"Cookie":      cookie,
			"X-Mailbrook": "1",
		}})
		if want := strings.Replace(tc.want, "Max-Age=43200", "Max-Age=0", 1); away.Code != 204 ||
			away.Header().Get("Set-Cookie") != want {
			t.Errorf("signing out: %d %s, want %s", away.Code, away.Header().Get("Set-Cookie"), want)
		}
		gone := f.do(request{Method: "GET", Path: "/link/followme"}).Header()
		if csp := gone.Get("Content-Security-Policy"); strings.Contains(csp, "webmail") != (tc.frame != nil) ||
			(gone.Get("X-Frame-Options") == "") != (tc.frame != nil) {
			t.Errorf("a used link with frames %v: %v", tc.frame, gone)
		}
	}
}

func TestASessionEndsAfterTwelveHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		r := request{Method: "GET", Path: "/v1/session", Header: map[string]string{"Cookie": f.signIn(t)}}
		time.Sleep(12 * time.Hour)
		if rec := f.do(r); rec.Code != 200 {
			t.Errorf("at its end: %d", rec.Code)
		}
		time.Sleep(2 * time.Minute)
		if rec := f.do(r); rec.Code != 401 || problemCode(t, rec) != "unauthenticated" {
			t.Errorf("after it: %d %s", rec.Code, rec.Body)
		}
	})
}

// TestASessionIsNoTokenAndATokenNoSession: whatever is in it, and even if the
// operator's secret made it.
func TestASessionIsNoTokenAndATokenNoSession(t *testing.T) {
	f := newFixture(t)
	session := strings.TrimPrefix(f.signIn(t), "mailbrook_session=")
	if rec := f.do(request{Method: "GET", Path: "/v1/session", Header: map[string]string{"Authorization": "Bearer " +
		session}}); rec.Code != 401 {
		t.Errorf("a session as a token: %d", rec.Code)
	}
	now := time.Now()
	like := map[string]any{
		"sub": anna, "aud": "mailbrook-session", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"scope": "admin",
	}
	for name, value := range map[string]string{
		"a token": f.token(anna, true),
		"a token that looks like one": sign(t, jose.HS256, secret, map[string]any{
			"typ": "mailbrook-session+jwt",
		}, like),
		"one without a signature": session[:strings.LastIndex(session, ".")+1],
		"one with another's claims": session[:strings.Index(session, ".")] + "." + strings.Split(
			f.token(bartek, true), ".")[1] + session[strings.LastIndex(session, "."):],
		"nothing":                        "",
		"dots":                           "..",
		"a long text":                    strings.Repeat("a", 9000) + "." + "." + "c",
		"a token as a session, alg none": sign(t, jose.HS256, secret, map[string]any{"alg": "none"}, like),
		"a session that is signed by nothing": sign(t, jose.HS256, []byte(strings.Repeat("\x00", 32)),
			map[string]any{"typ": "mailbrook-session+jwt"}, like),
	} {
		rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: map[string]string{"Cookie": "mailbrook_session=" +
			value}})
		if rec.Code != 401 || problemCode(t, rec) != "unauthenticated" {
			t.Errorf("%s as a session: %d %s", name, rec.Code, rec.Body)
		}
	}
	// A token that is sent counts, also when it is no good and the cookie would be.
	rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: map[string]string{"Cookie": "mailbrook_session=" +
		session, "Authorization": "Bearer x.y.z"}})
	if rec.Code != 401 {
		t.Errorf("a bad token beside a good session: %d", rec.Code)
	}
	rec = f.do(request{Method: "POST", Path: "/v1/links", As: bartek, Body: "{}", Header: map[string]string{
		"Cookie": "mailbrook_session=" + session,
	}})
	if rec.Code != 201 || decode[api.Link](t, rec).User != bartek {
		t.Errorf("a token beside a session: %d %s", rec.Code, rec.Body)
	}
}

// TestOnlyOurOwnPagesCallWithACookie is U12: what another site's page can make a
// browser send along with the cookie is refused, and does nothing.
func TestOnlyOurOwnPagesCallWithACookie(t *testing.T) {
	f := newFixture(t)
	cookie := f.signIn(t)
	type h = map[string]string
	for _, tc := range []struct {
		name string
		h    h
		ok   bool
	}{
		{"a page of ours", h{"X-Mailbrook": "1", "Sec-Fetch-Site": "same-origin", "Origin": "http://mail.firma.test"}, true},
		{"ours under the name that the browser used", h{
			"X-Mailbrook": "1", "Sec-Fetch-Site": "same-origin",
			"Origin": "http://example.com",
		}, true},
		{"an older browser", h{"X-Mailbrook": "1", "Origin": "http://mail.firma.test"}, true},
		{"no browser", h{"X-Mailbrook": "1"}, true},
		{"a form", h{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, false},
		{"a form of an older browser", h{"Origin": "https://evil.example"}, false},
		{"no header of ours", h{"Origin": "http://mail.firma.test", "Sec-Fetch-Site": "same-origin"}, false},
		{"another value", h{"X-Mailbrook": "true"}, false},
		{"another site", h{"X-Mailbrook": "1", "Sec-Fetch-Site": "cross-site", "Origin": "http://mail.firma.test"}, false},
		{"a neighbour", h{"X-Mailbrook": "1", "Sec-Fetch-Site": "same-site", "Origin": "http://other.firma.test"}, false},
		{"nobody's page", h{"X-Mailbrook": "1", "Sec-Fetch-Site": "none"}, false},
		{"another origin", h{"X-Mailbrook": "1", "Origin": "https://evil.example"}, false},
		{"no origin", h{"X-Mailbrook": "1", "Origin": "null"}, false},
		{"an origin that looks like ours", h{"X-Mailbrook": "1", "Origin": "http://mail.firma.test.evil.example"}, false},
		{"ours on another port", h{"X-Mailbrook": "1", "Origin": "http://mail.firma.test:81"}, false},
		{"ours by another scheme", h{"X-Mailbrook": "1", "Origin": "https://mail.firma.test"}, false},
		{"another origin under our forwarded name", h{
			"X-Mailbrook": "1", "Origin": "https://evil.example",
			"X-Forwarded-Host": "evil.example",
		}, false},
	} {
		for id, r := range calls(t) {
			if r.Method == "GET" || strings.HasPrefix(r.Path, "/v1/admin") || strings.HasPrefix(id, "deleteSession") {
				continue
			}
			r.Header = map[string]string{"Cookie": cookie}
			for k, v := range tc.h {
				r.Header[k] = v
			}
			done := len(f.calls)
			rec := f.do(r)
			if tc.ok != (rec.Code < 400) || !tc.ok && (rec.Code != 403 || problemCode(t, rec) != "forbidden" ||
				len(f.calls) != done) {
				t.Errorf("%s, %s: %d %s", tc.name, id, rec.Code, rec.Body)
			}
			if rec.Header().Get("Access-Control-Allow-Origin")+rec.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("U13: %s: the answer lets other origins read it", tc.name)
			}
		}
	}
	for site, want := range map[string]int{"": 200, "same-origin": 200, "none": 200, "same-site": 403, "cross-site": 403} {
		if rec := f.do(request{Method: "GET", Path: "/v1/accounts", Header: h{
			"Cookie":         cookie,
			"Sec-Fetch-Site": site,
		}}); rec.Code != want {
			t.Errorf("GET from %q: %d, want %d", site, rec.Code, want)
		}
	}
	// A token needs none of it: no browser sends one by itself.
	if rec := f.do(request{Method: "POST", Path: "/v1/links", As: anna, Body: "{}", Header: h{
		"Origin": "https://webmail.test", "Sec-Fetch-Site": "cross-site",
	}}); rec.Code != 201 {
		t.Errorf("with a token: %d", rec.Code)
	}
}

func TestASessionIsAnAdministratorsOnlyIfItsLinkWas(t *testing.T) {
	for _, admin := range []bool{false, true} {
		f := newFixture(t)
		f.links["followme"] = httpapi.Link{Owner: anOwner(t, anna), Admin: admin, ReturnTo: "/"}
		cookie := f.signIn(t)
		want := map[bool]int{false: 403, true: 200}[admin]
		if rec := f.do(request{Method: "GET", Path: "/v1/admin/stats", Header: map[string]string{
			"Cookie": cookie,
		}}); rec.Code != want {
			t.Errorf("admin %v: %d", admin, rec.Code)
		}
	}
}

func TestWhoMayMakeWhichLink(t *testing.T) {
	for _, tc := range []struct {
		name   string
		admin  bool
		body   string
		status int
		want   httpapi.Link
		ttl    time.Duration
	}{
		{"one's own", false, `{}`, 201, httpapi.Link{ReturnTo: "/"}, 5 * time.Minute},
		{
			"one's own, named", false,
			`{"user":"Anna@Firma.test","admin":false,"ttl_seconds":60,"return_to":"/accounts/new?email=a%40b"}`, 201,
			httpapi.Link{ReturnTo: "/accounts/new?email=a%40b"},
			time.Minute,
		},
		{"another's", false, `{"user":"bartek@firma.test"}`, 403, httpapi.Link{}, 0},
		{"an administrator's, by a user", false, `{"admin":true}`, 403, httpapi.Link{}, 0},
		{"another's, by an administrator", true, `{"user":"bartek@firma.test","return_to":"/"}`, 201, httpapi.Link{
			ReturnTo: "/",
		}, 5 * time.Minute},
		{"an administrator's", true, `{"admin":true}`, 201, httpapi.Link{Admin: true, ReturnTo: "/"}, 5 * time.Minute},
		{"an administrator's as a user", true, `{}`, 201, httpapi.Link{ReturnTo: "/"}, 5 * time.Minute},
		{"nobody's", true, `{"user":"a..b@x..y"}`, 422, httpapi.Link{}, 0},
		{"for ever", true, `{"ttl_seconds":86401}`, 422, httpapi.Link{}, 0},
		{"for no time", true, `{"ttl_seconds":0}`, 422, httpapi.Link{}, 0},
		{"to another server", false, `{"return_to":"https://evil.example/"}`, 422, httpapi.Link{}, 0},
		{"to another server, without a scheme", false, `{"return_to":"//evil.example"}`, 422, httpapi.Link{}, 0},
		{"to another server, as browsers read it", false, `{"return_to":"/\\evil.example"}`, 422, httpapi.Link{}, 0},
		{"to another server, with a tab", false, `{"return_to":"/\t/evil.example"}`, 422, httpapi.Link{}, 0},
		{"with a header", false, `{"return_to":"/\r\nSet-Cookie: a=b"}`, 422, httpapi.Link{}, 0},
		{"to a script", false, `{"return_to":"javascript:alert(1)"}`, 422, httpapi.Link{}, 0},
		{"nowhere", false, `{"return_to":""}`, 422, httpapi.Link{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			before := time.Now()
			// U37: addresses are made of what is configured, whatever is asked for.
			rec := f.do(request{
				Method: "POST", Path: "/v1/links", As: anna, Admin: tc.admin, Body: tc.body,
				Header: map[string]string{
					"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher",
					"Forwarded": "host=evil.example",
				},
			})
			if rec.Code != tc.status {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			if tc.status != 201 {
				if len(f.links) != 1 {
					t.Error("a link was made")
				}
				return
			}
			made := decode[api.Link](t, rec)
			token, ok := strings.CutPrefix(made.Url, "http://mail.firma.test/link/")
			if !ok || len(token) < 26 {
				t.Fatalf("the address is %s", made.Url)
			}
			got := f.links[token]
			if got.Owner.String() != made.User || got.Admin != tc.want.Admin || made.Admin != got.Admin ||
				got.ReturnTo != tc.want.ReturnTo {
				t.Errorf("%+v for %s", got, rec.Body)
			}
			if life := got.Expires.Sub(before); life < tc.ttl || life > tc.ttl+time.Minute {
				t.Errorf("it lives %v", life)
			}
		})
	}
}

// TestLinksAreMadeOfTheConfiguredAddress is U37 for the header Host.
func TestLinksAreMadeOfTheConfiguredAddress(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/links", strings.NewReader("{}"))
	r.Host = "evil.example"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+f.token(anna, false))
	rec := httptest.NewRecorder()
	f.h.ServeHTTP(rec, r)
	if rec.Code != 201 || strings.Contains(rec.Body.String(), "evil") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestPagesThatCannotSignInAnybodyDoNotStart(t *testing.T) {
	f := newFixture(t)
	for name, w := range map[string]httpapi.Web{
		"a short secret": {Secret: []byte("short"), PublicURL: "http://mail.firma.test", Links: links{f.world}},
		"no address":     {Secret: secret, Links: links{f.world}},
		"another scheme": {Secret: secret, PublicURL: "ftp://mail.firma.test", Links: links{f.world}},
	} {
		if _, err := httpapi.New(httpapi.Options{Accounts: f.world, Log: testLog(), Web: w}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestPagesHaveHeadersOfTheirOwn is U14: what the API forbids is theirs to allow.
func TestPagesHaveHeadersOfTheirOwn(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) {
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "theirs")
			w.WriteHeader(map[bool]int{true: 200, false: 404}[r.URL.Path == "/"])
		})
	})
	for path, want := range map[string]string{"/": "theirs", "/nothing": "theirs", "/v1/accounts": "default-src 'none'; " +
		"frame-ancestors 'none'", "/healthz": "default-src 'none'; frame-ancestors 'none'"} {
		h := f.do(request{Method: "GET", Path: path}).Header()
		if h.Get("Content-Security-Policy") != want || h.Get("X-Content-Type-Options") != "nosniff" ||
			(h.Get("X-Frame-Options") == "DENY") != (want != "theirs") {
			t.Errorf("%s: %v", path, h)
		}
	}
}
