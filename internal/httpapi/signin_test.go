package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// byProxy signs in whom a proxy names; httptest's requests come from 192.0.2.1.
func byProxy(o *httpapi.Options) {
	o.Web.SignIn = httpapi.SignIn{
		Header: "Remote-Email", Proxies: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("fd00::/8"),
		},
	}
}

// from makes a request of another peer, with headers that may be there twice.
func (f *fixture) from(peer, method, path string, h http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, http.NoBody)
	req.RemoteAddr = peer
	maps.Copy(req.Header, h)
	rec := httptest.NewRecorder()
	f.h.ServeHTTP(rec, req)
	return rec
}

// whose says who the session of an answer's cookie is; "" without one.
func (f *fixture) whose(rec *httptest.ResponseRecorder) string {
	f.t.Helper()
	cookie := ""
	for _, c := range rec.Result().Cookies() {
		if c.Name == "mailbrook_session" {
			cookie = c.Name + "=" + c.Value
		}
	}
	if cookie == "" {
		return ""
	}
	who := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": cookie}})
	var session api.Session
	if err := json.Unmarshal(who.Body.Bytes(), &session); err != nil {
		f.t.Fatal(err)
	}
	return session.User
}

// TestAProxysWordCountsFromTheProxyAlone: once, well formed, and by who makes the
// connection, whatever X-Forwarded-For says.
func TestAProxysWordCountsFromTheProxyAlone(t *testing.T) {
	const proxy, other = "192.0.2.1:1234", "198.51.100.7:1234"
	for name, tc := range map[string]struct {
		peer string
		h    http.Header
		user string // "": nobody.
	}{
		"from the proxy":           {proxy, http.Header{"Remote-Email": {anna}}, anna},
		"in capitals":              {proxy, http.Header{"Remote-Email": {"ANNA@Firma.Test"}}, anna},
		"from a proxy, by IPv6":    {"[fd00::1]:1234", http.Header{"Remote-Email": {anna}}, anna},
		"from a proxy, mapped":     {"[::ffff:192.0.2.1]:1234", http.Header{"Remote-Email": {anna}}, anna},
		"from somebody":            {other, http.Header{"Remote-Email": {anna}}, ""},
		"from somebody who claims": {other, http.Header{"Remote-Email": {anna}, "X-Forwarded-For": {"192.0.2.1"}}, ""},
		"twice":                    {proxy, http.Header{"Remote-Email": {anna, bartek}}, ""},
		"twice the same":           {proxy, http.Header{"Remote-Email": {anna, anna}}, ""},
		"in a list":                {proxy, http.Header{"Remote-Email": {anna + ", " + bartek}}, ""},
		"with a name":              {proxy, http.Header{"Remote-Email": {"Anna <" + anna + ">"}}, ""},
		"no address":               {proxy, http.Header{"Remote-Email": {"anna"}}, ""},
		"empty":                    {proxy, http.Header{"Remote-Email": {""}}, ""},
		"KELVIN SIGN":              {proxy, http.Header{"Remote-Email": {"\u212Aowal@firma.test"}}, ""},
		"full-width":               {proxy, http.Header{"Remote-Email": {"\uFF41nna@firma.test"}}, ""},
		"another header":           {proxy, http.Header{"X-Remote-Email": {anna}}, ""},
		"an underscore":            {proxy, http.Header{"Remote_Email": {anna}}, ""},
		"none":                     {proxy, http.Header{}, ""},
		"no peer's address":        {"@", http.Header{"Remote-Email": {anna}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, byProxy)
			rec := f.from(tc.peer, "GET", "/signin?return_to=/accounts/new", tc.h)
			if got := f.whose(rec); got != tc.user {
				t.Fatalf("%d signs in %q", rec.Code, got)
			}
			if tc.user != "" && (rec.Code != 303 || rec.Header().Get("Location") != "/accounts/new") ||
				tc.user == "" && (rec.Code != 403 || len(f.sessions) > 0) {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
		})
	}
	f := newFixture(t) // The control: where no header is configured, none counts.
	if rec := f.from(proxy, "GET", "/signin", http.Header{"Remote-Email": {anna}}); f.whose(rec) != "" {
		t.Errorf("a header that nobody configured signs in: %v", rec.Header())
	}
}

// TestASessionEndsWhereTheProxyNamesSomebodyElse: who signs out there and in as
// another does not meet the session of the one before; and is asked before it is
// replaced.
func TestASessionEndsWhereTheProxyNamesSomebodyElse(t *testing.T) {
	f := newFixture(t, byProxy)
	rec := f.from("192.0.2.1:1", "GET", "/signin", http.Header{"Remote-Email": {anna}})
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	for name, tc := range map[string]struct {
		peer   string
		named  []string
		status int
	}{
		"the same":              {"192.0.2.1:1", []string{anna}, 200},
		"not named":             {"192.0.2.1:1", nil, 200}, // A link's session beside the proxy.
		"named nobody":          {"192.0.2.1:1", []string{""}, 200},
		"somebody else":         {"192.0.2.1:1", []string{bartek}, 401},
		"two":                   {"192.0.2.1:1", []string{anna, bartek}, 401},
		"nobody that we know":   {"192.0.2.1:1", []string{"-"}, 401},
		"by a stranger's words": {"198.51.100.7:1", []string{bartek}, 200},
	} {
		h := http.Header{"Cookie": {cookie}}
		if tc.named != nil {
			h["Remote-Email"] = tc.named
		}
		if rec := f.from(tc.peer, "GET", "/v1/accounts", h); rec.Code != tc.status {
			t.Errorf("%s: %d, want %d", name, rec.Code, tc.status)
		}
	}
	asked := f.from("192.0.2.1:1", "GET", "/signin", http.Header{"Cookie": {cookie}, "Remote-Email": {bartek}})
	if asked.Code != 200 || !strings.Contains(asked.Body.String(), "Somebody else is signed in here") ||
		asked.Header().Get("Set-Cookie") != "" || len(f.sessions) != 1 {
		t.Errorf("anna is replaced unasked: %d %s", asked.Code, asked.Body)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(f.links)), func(l httpapi.Link) bool {
		return l.Owner == anOwner(t, bartek) && l.Way == "header"
	}) {
		t.Errorf("by which way is not known when the question is answered: %+v", f.links)
	}
}

// TestTheClientIsWhoeverTheProxiesVouchFor, and what a client writes itself counts
// for nothing.
func TestTheClientIsWhoeverTheProxiesVouchFor(t *testing.T) {
	for name, tc := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                 {"198.51.100.7:1", []string{"203.0.113.9"}, "198.51.100.7"},
		"a proxy":                  {"192.0.2.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"two proxies":              {"192.0.2.1:1", []string{"203.0.113.9, 192.0.2.2"}, "203.0.113.9"},
		"two headers":              {"192.0.2.1:1", []string{"203.0.113.9", "192.0.2.2"}, "203.0.113.9"},
		"made up on the left":      {"192.0.2.1:1", []string{"192.0.2.5, 10.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		"with a port":              {"192.0.2.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6 with a port":         {"192.0.2.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 in brackets":         {"192.0.2.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"no address":               {"192.0.2.1:1", []string{"unknown"}, "192.0.2.1"},
		"no address on the left":   {"192.0.2.1:1", []string{"' OR 1=1, 203.0.113.9"}, "203.0.113.9"},
		"a proxy that says nobody": {"192.0.2.1:1", nil, "192.0.2.1"},
	} {
		f := newFixture(t, byProxy, func(o *httpapi.Options) {
			o.Web.SignIn.Header, o.Web.SignIn.Passwords = "", nil
		}, func(o *httpapi.Options) { o.Web.SignIn.Passwords = passwords{o.Web.Links.(links).world} })
		req := httptest.NewRequest("POST", "/signin", strings.NewReader(`{"user":"`+bartek+`","password":"x"}`))
		req.RemoteAddr = tc.peer
		req.Header = http.Header{
			"Content-Type": {"application/json"}, "X-Mailbrook": {"1"}, "X-Forwarded-For": tc.forwarded,
		}
		f.h.ServeHTTP(httptest.NewRecorder(), req)
		if len(f.checks) != 1 || f.checks[0] != tc.want+" "+bartek {
			t.Errorf("%s: checked for %q, want %s", name, f.checks, tc.want)
		}
	}
}

// enters posts the form as our page does.
func (f *fixture) enters(user, password string, h headers) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.entersWith("", user, password, h)
}

// entersFrom does so at another address, with a cookie or, with "", without.
func (f *fixture) entersFrom(peer, user, password, cookie string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.entersWith(peer, user, password, headers{"Cookie": cookie})
}

func (f *fixture) entersWith(peer, user, password string, h headers) *httptest.ResponseRecorder {
	f.t.Helper()
	all := headers{"X-Mailbrook": "1", "Sec-Fetch-Site": "same-origin", "Origin": "http://mail.firma.test"}
	maps.Copy(all, h)
	return f.do(request{
		Method: "POST", Path: "/signin", Peer: peer, Header: all,
		Body: fmt.Sprintf(`{"user":%q,"password":%q,"return_to":"/accounts/new"}`, user, password),
	})
}

func TestARightPasswordSignsInAndAWrongOneSaysNoMore(t *testing.T) {
	f := newFixture(t)
	rec := f.enters(anna, canary, nil)
	if rec.Code != 200 || f.whose(rec) != anna || !strings.Contains(rec.Body.String(), `"location":"/accounts/new"`) {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	wrong, unknown := f.enters(anna, "x", nil), f.enters("nobody@firma.test", "x", nil)
	if wrong.Code != 403 || unknown.Code != 403 || wrong.Body.String() != unknown.Body.String() ||
		wrong.Header().Get("Set-Cookie") != "" {
		t.Errorf("a wrong password differs from an unknown user: %s %s", wrong.Body, unknown.Body)
	}
	polish := f.enters(anna, "x", headers{"Accept-Language": "pl"})
	if !strings.Contains(polish.Body.String(), "łędny adres lub błędne hasło") {
		t.Errorf("in Polish: %s", polish.Body)
	}
	noCanary(t, f)
}

// cookieOf returns a cookie that an answer sets, as it is sent back; "" for none.
func cookieOf(rec *httptest.ResponseRecorder, name string) string {
	for _, c := range rec.Result().Cookies() {
		if c.Name == name {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// TestABrowserIsKnownAgainForItsUserAlone, for half a year, and until all sessions of
// the user end; it signs nobody in by that, and a cookie that somebody made up is none.
func TestABrowserIsKnownAgainForItsUserAlone(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *httpapi.Options) { o.Now = func() time.Time { return now } })
	first := f.enters(anna, canary, nil)
	known := cookieOf(first, "mailbrook_known")
	for _, c := range first.Result().Cookies() {
		if c.Name == "mailbrook_known" && (!c.HttpOnly || c.MaxAge != 180*24*3600) {
			t.Errorf("the cookie is %s", c)
		}
	}
	f.enters(anna, "x", headers{"Cookie": known})
	f.enters(bartek, "x", headers{"Cookie": known})
	f.enters(anna, "x", headers{"Cookie": known[:len(known)-3]})
	f.enters(anna, "x", headers{"Cookie": known[:len(known)-3] + "AAA"})
	f.enters(anna, "x", headers{"Cookie": "mailbrook_known="})
	now = now.Add(time.Hour)
	again := f.enters(anna, canary, headers{"Cookie": known})
	if cookieOf(again, "mailbrook_known") != known || !f.until.Equal(now.Add(180*24*time.Hour)) {
		t.Errorf("it is another browser by now, or known until %v", f.until)
	}
	if who := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": known}}); who.Code != 401 {
		t.Errorf("it signs in: %d", who.Code)
	}
	f.do(request{Method: "DELETE", Path: "/v1/sessions", As: anna})
	f.enters(anna, "x", headers{"Cookie": known})
	name := strings.TrimPrefix(known, "mailbrook_known=")
	if want := []string{"", name, "", "", "", "", name, ""}; name == "" || !slices.Equal(f.browsers, want) {
		t.Errorf("known are %q, want %q", f.browsers, want)
	}
}

// TestOnlyOurPageSignsInWithAPassword: otherwise another site's page signs people
// in as somebody whose mailbox gets the mail of the accounts that they add.
func TestOnlyOurPageSignsInWithAPassword(t *testing.T) {
	for name, h := range map[string]headers{
		"another site's script": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"a neighbour's":         {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.firma.test"},
		"an older browser":      {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
		"nobody's":              {"Sec-Fetch-Site": "", "Origin": "null"},
		"a form":                {"X-Mailbrook": ""},
	} {
		f := newFixture(t)
		if rec := f.enters(anna, canary, h); rec.Code != 403 || len(f.sessions) > 0 || len(f.checks) > 0 {
			t.Errorf("%s: %d, %q was checked", name, rec.Code, f.checks)
		}
	}
	f := newFixture(t)
	form := f.enters(anna, canary, headers{"Content-Type": "application/x-www-form-urlencoded"})
	if form.Code != 415 || len(f.checks) > 0 {
		t.Errorf("a form is answered %d", form.Code)
	}
}

func TestSigningInAsksBeforeItReplacesSomebodyElse(t *testing.T) {
	f := newFixture(t)
	f.links["bartek"] = httpapi.Link{Owner: anOwner(t, bartek), ReturnTo: "/"}
	bartekIn := f.signInBy(t, "/link/bartek")
	rec := f.enters(anna, canary, headers{"Cookie": bartekIn})
	var on struct{ Location string }
	if on = decode[struct{ Location string }](t, rec); rec.Code != 200 || f.whose(rec) != "" ||
		!strings.HasPrefix(on.Location, "/link/") || len(f.sessions) != 1 {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	asks := f.do(request{Method: "GET", Path: on.Location, Header: fetchMetadata("same-origin", "navigate", "document",
		headers{"Cookie": bartekIn})})
	if asks.Code != 200 || !strings.Contains(asks.Body.String(), "Somebody else is signed in here") {
		t.Fatalf("%d %s", asks.Code, asks.Body)
	}
	done := f.do(request{Method: "POST", Path: on.Location + "?replace=true", Header: headers{"Cookie": bartekIn}})
	if f.whose(done) != anna || done.Header().Get("Location") != "/accounts/new" {
		t.Errorf("%d %v", done.Code, done.Header())
	}
}

// held is a mail server that says no when the test wants it, and yes to the canary at
// once.
type held struct {
	mu  sync.Mutex
	at  map[string]int // By client: those that wait for its answer.
	let chan struct{}
}

func (h *held) Check(_ context.Context, c httpapi.Client, _ owner.Owner, password remote.Secret) error {
	if password.Reveal() == canary {
		return nil
	}
	h.mu.Lock()
	h.at[c.Addr.String()]++
	h.mu.Unlock()
	<-h.let
	return account.ErrRefused
}

// asked returns how many passwords the server is asked at this moment.
func (h *held) asked() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.at {
		n += at
	}
	return n
}

// TestAFewWhoGuessAtASlowServerShutNobodyOut: one address and one network have a few
// places, all strangers some, and those are kept that are for browsers in which the
// user has signed in before.
func TestAFewWhoGuessAtASlowServerShutNobodyOut(t *testing.T) {
	addresses := func(format string) (peers []string) {
		for i := range 40 {
			peers = append(peers, fmt.Sprintf(format, i))
		}
		return peers
	}
	for name, tc := range map[string]struct {
		guessers []string // Where each of the guesses comes from.
		asked    int
		stranger int // What a stranger elsewhere is answered who knows the password.
	}{
		"one address":             {slices.Repeat([]string{"203.0.113.7:1"}, 40), 4, 200},
		"two addresses":           {slices.Repeat([]string{"203.0.113.7:1", "198.51.100.8:1"}, 20), 8, 200},
		"a /64":                   {addresses("[2001:db8::%d]:1"), 4, 200},
		"a /56, or a /48":         {addresses("[2001:db8:0:%d::1]:1"), 8, 200},
		"a /24":                   {addresses("203.0.113.%d:1"), 8, 200},
		"more than anybody has":   {addresses("10.%d.0.1:1"), 24, 503},
		"more, by IPv6 (control)": {addresses("[2001:db8:%d::1]:1"), 24, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &held{at: map[string]int{}, let: make(chan struct{})}
				f := newFixture(t, func(o *httpapi.Options) { o.Web.SignIn.Passwords = h })
				own := f.enters(anna, canary, nil)
				known := cookieOf(own, "mailbrook_known")
				var wg sync.WaitGroup
				codes := make(chan int, len(tc.guessers))
				for i, peer := range tc.guessers {
					wg.Go(func() { codes <- f.entersFrom(peer, fmt.Sprintf("user-%d@firma.test", i), "x", "").Code })
				}
				synctest.Wait()
				if n := h.asked(); n != tc.asked {
					t.Errorf("%d are asked at a time", n)
				}
				if rec := f.entersFrom("192.0.2.7:1", anna, canary, known); rec.Code != 200 {
					t.Errorf("the user, in a browser of its own, is answered %d", rec.Code)
				}
				if rec := f.entersFrom("192.0.2.7:1", anna, canary, ""); rec.Code != tc.stranger {
					t.Errorf("in another browser the user is answered %d", rec.Code)
				}
				time.Sleep(6 * time.Second) // By the clock of the bubble.
				synctest.Wait()
				if gaveUp := len(codes); gaveUp != len(tc.guessers)-tc.asked {
					t.Errorf("%d gave up", gaveUp)
				}
				for range len(codes) {
					if code := <-codes; code != 503 {
						t.Errorf("who waited is answered %d", code)
					}
				}
				close(h.let)
				wg.Wait()
				if rec := f.entersFrom("192.0.2.7:1", anna, canary, ""); rec.Code != 200 {
					t.Errorf("when all have their answer, the user is answered %d", rec.Code)
				}
			})
		})
	}
}

// TestKnownBrowsersTakeAFewPlacesEach: whoever guesses its own password in one leaves
// places to others.
func TestKnownBrowsersTakeAFewPlacesEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{at: map[string]int{}, let: make(chan struct{})}
		f := newFixture(t, func(o *httpapi.Options) { o.Web.SignIn.Passwords = h })
		var browsers []string
		for i := range 6 {
			own := f.enters(fmt.Sprintf("user-%d@firma.test", i), canary, nil)
			browsers = append(browsers, cookieOf(own, "mailbrook_known"))
		}
		var wg sync.WaitGroup
		for n, want := range []int{0, 2, 4, 6, 8, 8} { // So many are asked, of so many users.
			if n > 0 {
				for range 3 {
					wg.Go(func() { f.entersFrom("203.0.113.7:1", fmt.Sprintf("user-%d@firma.test", n), "x", browsers[n]) })
				}
			}
			if synctest.Wait(); h.asked() != want {
				t.Errorf("of %d users' browsers %d are asked at a time", n, h.asked())
			}
		}
		if rec := f.entersFrom("203.0.113.7:1", anna, canary, ""); rec.Code != 200 {
			t.Errorf("a stranger is answered %d", rec.Code)
		}
		close(h.let)
		wg.Wait()
	})
}

// comesBack sends a browser to the identity provider and returns the request with
// which it comes back.
func (f *fixture) comesBack(t testing.TB, to string) request {
	t.Helper()
	rec := f.do(request{Method: "GET", Path: "/signin?return_to=" + to})
	u, err := url.Parse(rec.Header().Get("Location"))
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	if rec.Code != 303 || err != nil || u.Host != "login.test" || cookie == "" {
		t.Fatalf("%d %v %v", rec.Code, rec.Header(), err)
	}
	return request{
		Method: "GET", Path: "/signin/callback?code=x&iss=https://login.test&session_state=1&state=" + u.Query().Get("state"),
		Header: fetchMetadata("cross-site", "navigate", "document", headers{"Cookie": cookie}),
	}
}

// TestABrowserComesBackFromTheIdentityProvider, and no other than went out, within
// ten minutes.
func TestABrowserComesBackFromTheIdentityProvider(t *testing.T) {
	f := newFixture(t)
	good := f.comesBack(t, "/accounts/new")
	other := f.comesBack(t, "/")
	cookie := good.Header["Cookie"]
	for name, change := range map[string]func(*request){
		"without the cookie":      func(r *request) { r.Header = nil },
		"with another's cookie":   func(r *request) { r.Header = other.Header },
		"with a changed cookie":   func(r *request) { r.Header = headers{"Cookie": cookie[:len(cookie)-2] + "AA"} },
		"with a cookie cut short": func(r *request) { r.Header = headers{"Cookie": cookie[:40]} },
		"without the state":       func(r *request) { r.Path = "/signin/callback?code=x" },
		"with a session's cookie": func(r *request) {
			name, _, _ := strings.Cut(cookie, "=")
			r.Header = headers{"Cookie": name + "=" + f.signIn(t)[18:]}
		},
		"with the cookie of another name": func(r *request) {
			_, value, _ := strings.Cut(cookie, "=")
			r.Header = headers{"Cookie": "mailbrook_signin_AAAAAAAAAAAA=" + value}
		},
		"with the state of others": func(r *request) { r.Path = other.Path },
	} {
		r := good
		if change(&r); f.whose(f.do(r)) != "" || len(f.finished) > 0 {
			t.Errorf("%s: somebody is signed in, or the provider was asked: %q", name, f.finished)
		}
	}
	rec := f.do(good)
	if rec.Code != 303 || f.whose(rec) != anna || rec.Header().Get("Location") != "/accounts/new" {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if len(f.finished) != 1 || !strings.HasPrefix(f.finished[0], "x https://login.test ") {
		t.Errorf("the provider was asked %q", f.finished)
	}
	now := time.Now()
	late := newFixture(t, func(o *httpapi.Options) { o.Now = func() time.Time { return now } })
	first := late.comesBack(t, "/")
	now = now.Add(10*time.Minute - time.Second)
	if rec := late.do(first); rec.Code != 303 {
		t.Errorf("just in time: %d", rec.Code)
	}
	now = now.Add(time.Second)
	if rec := late.do(first); rec.Code != 400 {
		t.Errorf("after ten minutes: %d", rec.Code)
	}
}

// TestWhatTheIdentityProviderSaysIsSaidInWords, and no page leads anywhere else.
func TestWhatTheIdentityProviderSaysIsSaidInWords(t *testing.T) {
	f := newFixture(t)
	f.userIDs = map[owner.Owner]string{anOwner(t, anna): "1"}
	for name, tc := range map[string]struct {
		fail   error
		person oidc.Person
		denied bool
		status int
		en, pl string
	}{
		"away": {
			&oidc.AwayError{Wait: 7 * time.Second, Err: errors.New("x")},
			oidc.Person{},
			false, 503,
			"does not answer at the moment", "w tej chwili nie odpowiada",
		},
		"denied": {nil, oidc.Person{}, true, 403, "did not let you in", "nie wpuściła cię"},
		"no address": {
			&oidc.RefusedError{Why: "address", Err: errors.New("x")},
			oidc.Person{},
			false, 403,
			"did not tell your mailbox address", "nie podała adresu",
		},
		"used": {
			&oidc.RefusedError{Why: "over", Err: errors.New("x")},
			oidc.Person{},
			false, 403,
			"was finished already", "zostało już zakończone",
		},
		"false": {
			&oidc.RefusedError{Why: "false", Err: errors.New("x")},
			oidc.Person{},
			false, 403,
			"cannot be trusted", "nie można zaufać",
		},
		"setup": {
			&oidc.RefusedError{Why: "setup", Err: errors.New("x")},
			oidc.Person{},
			false, 403,
			"do not agree", "nie są ze sobą uzgodnione",
		},
		"another user's by now": {
			nil,
			oidc.Person{Owner: anOwner(t, anna), UserID: owner.TextID("2")},
			false, 403,
			"another person's by now", "należy już do kogoś innego",
		},
	} {
		for lang, words := range map[string]string{"en": tc.en, "pl": tc.pl} {
			r := f.comesBack(t, "/accounts/new")
			f.fail, f.person = tc.fail, tc.person
			r.Header["Accept-Language"] = lang
			if tc.denied {
				r.Path += "&error=access_denied<script>"
			}
			rec := f.do(r)
			f.fail = nil
			if rec.Code != tc.status || !strings.Contains(rec.Body.String(), words) || len(f.sessions) > 0 ||
				strings.Contains(rec.Body.String(), "<script") || rec.Header().Get("Content-Language") != lang ||
				!strings.Contains(rec.Body.String(), `<a href="/accounts/new">`) {
				t.Errorf("%s in %s: %d %v %s", name, lang, rec.Code, rec.Header(), rec.Body)
			}
			if tc.status == 503 && rec.Header().Get("Retry-After") != "7" {
				t.Errorf("%s: %v", name, rec.Header())
			}
		}
	}
}

// TestAnAddressThatIsTakenMeanwhileSignsNobodyElseIn. The control is the same without
// anybody who takes it.
func TestAnAddressThatIsTakenMeanwhileSignsNobodyElseIn(t *testing.T) {
	for _, taken := range []bool{true, false} {
		f := newFixture(t)
		f.userIDs = map[owner.Owner]string{anOwner(t, anna): "1"}
		f.person = oidc.Person{Owner: anOwner(t, anna), UserID: owner.TextID("1")}
		r := f.comesBack(t, "/accounts/new")
		if taken {
			f.linked = func() { f.userIDs[anOwner(t, anna)] = "2" }
		}
		rec := f.do(r)
		in := strings.Contains(strings.Join(rec.Header().Values("Set-Cookie"), "\n"), "mailbrook_session=")
		if want := map[bool]int{true: 403, false: 303}[taken]; rec.Code != want || in == taken {
			t.Errorf("taken %t: %d %v", taken, rec.Code, rec.Header())
		}
	}
}

// TestSigningInLeadsToPagesOfOursAlone.
func TestSigningInLeadsToPagesOfOursAlone(t *testing.T) {
	for to, want := range map[string]string{
		"/accounts/new": "/accounts/new", "": "/", "//evil.example": "/", "/%5Cevil.example": "/%5Cevil.example",
		`/\evil.example`: "/", "https://evil.example": "/", "/a\nb": "/", "/" + strings.Repeat("a", 600): "/",
	} {
		f := newFixture(t, byProxy)
		rec := f.from("192.0.2.1:1", "GET", "/signin?return_to="+url.QueryEscape(to), http.Header{"Remote-Email": {anna}})
		if got := rec.Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

// TestWithoutAWayOfItsOwnThePageIsShown: it has the form, or says whom to ask.
func TestWithoutAWayOfItsOwnThePageIsShown(t *testing.T) {
	f := newFixture(t, func(o *httpapi.Options) { o.Web.SignIn = httpapi.SignIn{} })
	if rec := f.do(request{Method: "GET", Path: "/signin?return_to=/accounts/new"}); rec.Code != 303 ||
		rec.Header().Get("Location") != "/accounts/new" || rec.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if rec := f.do(request{Method: "GET", Path: "/signin/callback?state=x"}); rec.Code != 404 {
		t.Errorf("a browser comes back from nowhere: %d", rec.Code)
	}
	if rec := f.enters(anna, canary, nil); rec.Code != 404 || len(f.checks) > 0 {
		t.Errorf("a password is taken: %d", rec.Code)
	}
}

// TestNothingBeginsWhereNobodyOpensThePage: as the picture of another site, ahead, or
// in a frame, the proxy's word signs nobody in, and nobody goes to the provider.
func TestNothingBeginsWhereNobodyOpensThePage(t *testing.T) {
	framing := func(o *httpapi.Options) {
		o.Web.FrameAncestors, o.Web.PublicURL = []string{"https://poczta.firma.test"}, "https://mail.firma.test"
	}
	for name, tc := range map[string]struct {
		h       headers
		options []func(*httpapi.Options)
		begins  bool
	}{
		"a browser that does not say": {nil, nil, true},
		"opened":                      {fetchMetadata("none", "navigate", "document", nil), nil, true},
		"from another site":           {fetchMetadata("cross-site", "navigate", "document", nil), nil, true},
		"a picture":                   {fetchMetadata("cross-site", "no-cors", "image", nil), nil, false},
		"a picture of ours":           {fetchMetadata("same-origin", "no-cors", "image", nil), nil, false},
		"a script":                    {fetchMetadata("cross-site", "cors", "empty", nil), nil, false},
		"a socket":                    {fetchMetadata("cross-site", "websocket", "websocket", nil), nil, false},
		"an object":                   {fetchMetadata("cross-site", "navigate", "object", nil), nil, false},
		"ahead": {
			fetchMetadata("none", "navigate", "document", headers{"Sec-Purpose": "prefetch;prerender"}), nil, false,
		},
		"in a frame": {fetchMetadata("cross-site", "navigate", "iframe", nil), nil, false},
		"in a frame that may be": {
			fetchMetadata("cross-site", "navigate", "iframe", nil), []func(*httpapi.Options){framing}, true,
		},
		"a picture where frames may be": {
			fetchMetadata("cross-site", "no-cors", "image", nil), []func(*httpapi.Options){framing}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := headers{"Remote-Email": anna}
			maps.Copy(h, tc.h)
			f := newFixture(t, append(tc.options, byProxy)...)
			rec := f.do(request{Method: "GET", Path: "/signin", Header: h})
			if begun := rec.Code == 303 && len(f.sessions) == 1; begun != tc.begins ||
				!begun && (rec.Code != 403 || len(f.sessions)+len(f.links) != 1 || // The link of each world.
					!strings.Contains(rec.Body.String(), "when you open this page yourself")) {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			out := newFixture(t, tc.options...)
			rec = out.do(request{Method: "GET", Path: "/signin", Header: tc.h})
			if begun := rec.Header().Get("Set-Cookie") != ""; begun != tc.begins {
				t.Errorf("to the provider: %d %v", rec.Code, rec.Header())
			}
		})
	}
}

// TestTheNamedUsersSessionContinues: asking again makes no session more.
func TestTheNamedUsersSessionContinues(t *testing.T) {
	f := newFixture(t, byProxy)
	first := f.do(request{Method: "GET", Path: "/signin", Header: headers{"Remote-Email": anna}})
	cookie := cookieOf(first, "mailbrook_session")
	for range 300 {
		again := f.do(request{Method: "GET", Path: "/signin?return_to=/accounts/new", Header: headers{
			"Remote-Email": anna, "Cookie": cookie,
		}})
		if again.Code != 303 || again.Header().Get("Location") != "/accounts/new" || again.Header().Get("Set-Cookie") != "" {
			t.Fatalf("%d %v", again.Code, again.Header())
		}
	}
	if len(f.sessions) != 1 {
		t.Errorf("there are %d sessions", len(f.sessions))
	}
	f.do(request{Method: "DELETE", Path: "/v1/sessions", As: anna})
	rec := f.do(request{Method: "GET", Path: "/signin", Header: headers{"Remote-Email": anna, "Cookie": cookie}})
	if f.whose(rec) != anna { // The control: one that has ended does not.
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

// TestAUserSignsInOnlySoOften, by whichever way: each time is a session and a row of
// the audit.
func TestAUserSignsInOnlySoOften(t *testing.T) {
	now := time.Now()
	clock := func(o *httpapi.Options) { o.Now = func() time.Time { return now } }
	for way, tc := range map[string]struct {
		options []func(*httpapi.Options)
		signIn  func(f *fixture, user string) *httptest.ResponseRecorder
		ok      int
	}{
		"header": {[]func(*httpapi.Options){clock, byProxy}, func(f *fixture, user string) *httptest.ResponseRecorder {
			return f.do(request{Method: "GET", Path: "/signin", Header: headers{"Remote-Email": user}})
		}, 303},
		"password": {[]func(*httpapi.Options){clock, func(o *httpapi.Options) {
			o.Web.SignIn.Passwords = &held{}
		}}, func(f *fixture, user string) *httptest.ResponseRecorder { return f.enters(user, canary, nil) }, 200},
		"oidc": {[]func(*httpapi.Options){clock}, func(f *fixture, user string) *httptest.ResponseRecorder {
			f.person = oidc.Person{Owner: anOwner(f.t, user)}
			return f.do(f.comesBack(f.t, "/"))
		}, 303},
	} {
		t.Run(way, func(t *testing.T) {
			f := newFixture(t, tc.options...)
			for range 30 {
				if rec := tc.signIn(f, anna); rec.Code != tc.ok {
					t.Fatalf("%d %s", rec.Code, rec.Body)
				}
			}
			rec := tc.signIn(f, anna)
			if rec.Code != 429 || rec.Header().Get("Retry-After") == "" || f.whose(rec) != "" || len(f.sessions) > 30 ||
				!strings.Contains(rec.Body.String(), "signed in too often") {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			if way == "header" { // What another site's frames use up, and what the user does.
				sent := headers{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
				sent["Remote-Email"] = anna
				for range 31 {
					rec = f.do(request{Method: "GET", Path: "/signin", Header: sent})
				}
				if rec.Code != 429 {
					t.Errorf("another site is still served: %d", rec.Code)
				}
				for range 31 {
					sent["Remote-Email"] = bartek
					f.do(request{Method: "GET", Path: "/signin", Header: sent})
				}
			}
			if rec := tc.signIn(f, bartek); rec.Code != tc.ok { // The control.
				t.Errorf("another user is answered %d %s", rec.Code, rec.Body)
			}
			now = now.Add(10 * time.Second)
			if rec := tc.signIn(f, anna); rec.Code != tc.ok {
				t.Errorf("ten seconds later: %d %s", rec.Code, rec.Body)
			}
		})
	}
}

// TestAnotherSiteUsesUpNothingOfTheUsers: how a sign-in began counts, also when it comes back from the provider. The
// control is that each uses up its own.
func TestAnotherSiteUsesUpNothingOfTheUsers(t *testing.T) {
	now := time.Now()
	comes := func(site, dest string, further ...headers) headers {
		return fetchMetadata(site, "navigate", dest, append(further, headers{"Remote-Email": anna})...)
	}
	click := headers{"Sec-Fetch-User": "?1"}
	ways := map[string]headers{
		"typed": comes("none", "document", click), "a page of ours": comes("same-origin", "document", click),
		"nothing is said": {"Remote-Email": anna}, "a click elsewhere": comes("cross-site", "document", click),
		"a click at a sibling's": comes("same-site", "document", click), "a frame": comes("cross-site", "iframe"),
		"a sibling's frame": comes("same-site", "iframe"), "a window": comes("cross-site", "document"),
		"a sibling's window": comes("same-site", "document"), "a frame by a click": comes("cross-site", "iframe", click),
	}
	class := func(way string) string {
		switch way {
		case "typed", "a page of ours", "nothing is said":
			return "own"
		case "a click elsewhere", "a click at a sibling's":
			return "click"
		}
		return "site"
	}
	framed := func(o *httpapi.Options) {
		o.Now, o.Web.FrameAncestors = func() time.Time { return now }, []string{"https://webmail.test"}
	}
	for by, signIn := range map[string]func(f *fixture, h headers) int{
		"header": func(f *fixture, h headers) int {
			return f.do(request{Method: "GET", Path: "/signin", Header: h}).Code
		},
		"oidc": func(f *fixture, h headers) int {
			out := f.do(request{Method: "GET", Path: "/signin", Header: h})
			u, err := url.Parse(out.Header().Get("Location"))
			cookie, _, _ := strings.Cut(out.Header().Get("Set-Cookie"), ";")
			if err != nil || u.Host != "login.test" {
				t.Fatalf("%d %v", out.Code, out.Header())
			}
			back := maps.Clone(h)
			back["Cookie"], back["Sec-Fetch-Site"] = cookie, "cross-site"
			return f.do(request{
				Method: "GET", Path: "/signin/callback?code=x&iss=https://login.test&state=" + u.Query().Get("state"),
				Header: back,
			}).Code
		},
	} {
		for uses := range ways {
			t.Run(by+", "+uses, func(t *testing.T) {
				options := []func(*httpapi.Options){framed}
				if by == "header" {
					options = append(options, byProxy)
				}
				f := newFixture(t, options...)
				f.person = oidc.Person{Owner: anOwner(t, anna)}
				for range 45 {
					signIn(f, ways[uses])
				}
				for way, h := range ways {
					if code := signIn(f, h); (code == 429) != (class(way) == class(uses)) {
						t.Errorf("%s is answered %d", way, code)
					}
				}
			})
		}
	}
}

// TestNoRequestHidesInTheBodyOfAnother: where a proxy says whose a request is, a body
// in chunks, which a length may have come with, is not read and the connection closed.
// The control is where no proxy does.
func TestNoRequestHidesInTheBodyOfAnother(t *testing.T) {
	const hidden = "GET /signin HTTP/1.1\r\nHost: mail.firma.test\r\nRemote-Email: " + anna + "\r\n\r\n"
	for name, tc := range map[string]struct {
		body    string
		options []func(*httpapi.Options)
		answers []int
		old     bool // By HTTP/1.0, which may keep a connection and has no chunks.
		all     bool // "OPTIONS *", which is to no path.
	}{
		"both, old, to no path": {
			body:    "Connection: keep-alive\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
			options: []func(*httpapi.Options){byLoopback}, answers: []int{404}, old: true, all: true,
		},
		"both, to no path": {
			body:    fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(hidden)),
			options: []func(*httpapi.Options){byLoopback}, answers: []int{400}, all: true,
		},
		"a length, to no path": {
			body:    "Content-Length: 2\r\n\r\n{}",
			options: []func(*httpapi.Options){byLoopback}, answers: []int{404, 303}, all: true,
		},
		"both, by an old proxy": {
			body:    "Connection: keep-alive\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
			options: []func(*httpapi.Options){byLoopback}, answers: []int{422}, old: true,
		},
		"both, old, and no proxy": {
			body:    "Connection: keep-alive\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
			answers: []int{422, 303}, old: true,
		},
		"both, by a proxy": {
			fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(hidden)),
			[]func(*httpapi.Options){byLoopback},
			[]int{400},
			false,
			false,
		},
		"chunks, by a proxy": {
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []func(*httpapi.Options){byLoopback}, []int{400}, false, false,
		},
		"a length, by a proxy": {
			"Content-Length: 2\r\n\r\n{}", []func(*httpapi.Options){byLoopback}, []int{422, 303}, false, false,
		},
		"no proxy": {
			fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 5+len(hidden)), nil,
			[]int{422, 303},
			false,
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.options...)
			server := httptest.NewUnstartedServer(f.h)
			server.Config = httpapi.Server("", f.h, testLog())
			server.Start()
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			version := "1.1"
			if tc.old {
				version = "1.0"
			}
			line := "POST /signin"
			if tc.all {
				line = "OPTIONS *"
			}
			fmt.Fprintf(conn, "%s HTTP/%s\r\nHost: mail.firma.test\r\nContent-Type: application/json\r\n"+
				"X-Mailbrook: 1\r\n%s%s", line, version, tc.body, hidden)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var answers []int
			for r := bufio.NewReader(conn); ; {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					break // There is no more.
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					break
				}
				answers = append(answers, resp.StatusCode)
			}
			if !slices.Equal(answers, tc.answers) {
				t.Errorf("the answers are %v, want %v", answers, tc.answers)
			}
		})
	}
}

// byLoopback is byProxy where connections really come from.
func byLoopback(o *httpapi.Options) {
	o.Web.SignIn = httpapi.SignIn{Header: "Remote-Email", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}
