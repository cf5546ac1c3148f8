package httpapi_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/httpapi"
)

type headers = map[string]string

// fetchMetadata is what a browser says of a request (Fetch Metadata).
func fetchMetadata(site, mode, dest string, further ...headers) headers {
	h := headers{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
	for _, f := range further {
		maps.Copy(h, f)
	}
	return h
}

// TestALinkIsUsedUpOnlyByAPersonWhoGoesThere: all else gets a page with a button
// and leaves the link and the browser's session as they are.
func TestALinkIsUsedUpOnlyByAPersonWhoGoesThere(t *testing.T) {
	ahead := headers{"Sec-Purpose": "prefetch"}
	for name, tc := range map[string]struct {
		method string
		h      headers
		signed bool
	}{
		"typed or pasted": {"GET", fetchMetadata("none", "navigate", "document",
			headers{"Sec-Fetch-User": "?1"}), true},
		"from another program": {"GET", fetchMetadata("none", "navigate", "document"), true},
		"from a page of ours":  {"GET", fetchMetadata("same-origin", "navigate", "document"), true},
		"from another site, by a click": {"GET", fetchMetadata("cross-site", "navigate", "document",
			headers{"Sec-Fetch-User": "?1"}), false},
		"from a neighbour": {"GET", fetchMetadata("same-site", "navigate", "document",
			headers{"Sec-Fetch-User": "?1"}), false},
		"into a frame":         {"GET", fetchMetadata("cross-site", "navigate", "iframe"), false},
		"into a frame of ours": {"GET", fetchMetadata("same-origin", "navigate", "iframe"), false},
		"prefetched":           {"GET", fetchMetadata("none", "navigate", "document", ahead), false},
		"rendered ahead": {"GET", fetchMetadata("none", "navigate", "document",
			headers{"Sec-Purpose": "prefetch;prerender"}), false},
		"prefetched by an older browser": {"GET", fetchMetadata("none", "navigate", "document",
			headers{"Purpose": "prefetch"}), false},
		"prefetched by an older Firefox": {"GET", fetchMetadata("none", "navigate", "document",
			headers{"X-Moz": "prefetch"}), false},
		"a preview": {"GET", fetchMetadata("none", "navigate", "document",
			headers{"X-Purpose": "preview"}), false},
		"an image":                   {"GET", fetchMetadata("cross-site", "no-cors", "image"), false},
		"a script of ours":           {"GET", fetchMetadata("same-origin", "cors", "empty"), false},
		"a scanner of links":         {"GET", headers{"User-Agent": "Mozilla/5.0 (compatible; scanner)"}, false},
		"a scanner that looks first": {"HEAD", nil, false},
		"what a browser asks before": {"OPTIONS", nil, false},
		"a form of another site": {"POST", fetchMetadata("cross-site", "navigate", "document",
			headers{"Origin": "https://evil.example"}), false},
		"a form of an older browser": {"POST", headers{"Origin": "https://evil.example"}, false},
		"a form of nobody's": {"POST", fetchMetadata("same-origin", "navigate", "document",
			headers{"Origin": "null"}), false},
		"the button": {"POST", fetchMetadata("same-origin", "navigate", "document",
			headers{"Origin": "http://mail.firma.test"}), true},
		"the button in an older browser": {"POST", headers{"Origin": "http://mail.firma.test"}, true},
		"the button in a frame": {"POST", fetchMetadata("same-origin", "navigate", "iframe",
			headers{"Origin": "http://mail.firma.test"}), true},
		"the button, in a browser on a line": {"POST", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			rec := f.do(request{Method: tc.method, Path: "/link/followme", Header: tc.h})
			_, left := f.links["followme"]
			if (rec.Code == 303) != tc.signed || left == tc.signed || (rec.Header().Get("Set-Cookie") != "") != tc.signed ||
				len(f.sessions) > 0 != tc.signed {
				t.Fatalf("%d %v, the link is left: %v", rec.Code, rec.Header(), left)
			}
			if tc.signed {
				return
			}
			if tc.method == "GET" && (rec.Code != 200 ||
				!strings.Contains(rec.Body.String(), `<form method="post" action="/link/followme"><p><button>Sign in as `+anna+
					`</button>`)) {
				t.Errorf("no button: %d %s", rec.Code, rec.Body)
			}
			if strings.Contains(rec.Body.String(), "<script") || rec.Header().Get("Referrer-Policy") != "same-origin" &&
				rec.Code == 200 && tc.method == "GET" {
				t.Errorf("the page does more than to offer: %v %s", rec.Header(), rec.Body)
			}
			f.signIn(t) // The control: it was still good.
		})
	}
}

// TestOnlyInAFrameOfThoseWhoMayHaveOneTheButtonPressesItself: the browser shows
// the page nowhere else.
func TestOnlyInAFrameOfThoseWhoMayHaveOneTheButtonPressesItself(t *testing.T) {
	framed := func(o *httpapi.Options) { o.Web.FrameAncestors = []string{"https://webmail.firma.test"} }
	for name, tc := range map[string]struct {
		h     headers
		alone bool
	}{
		"into a frame":  {fetchMetadata("cross-site", "navigate", "iframe"), true},
		"into a window": {fetchMetadata("cross-site", "navigate", "document"), false},
		"into a frame, but ahead": {
			fetchMetadata("cross-site", "navigate", "iframe", headers{"Sec-Purpose": "prefetch"}),
			false,
		},
		"by what is not a browser": {nil, false},
	} {
		f := newFixture(t, framed)
		rec := f.do(request{Method: "GET", Path: "/link/followme", Header: tc.h})
		csp := rec.Header().Get("Content-Security-Policy")
		if strings.Contains(rec.Body.String(), "<script>") != tc.alone ||
			strings.Contains(csp, "script-src 'sha256-") != tc.alone ||
			!strings.Contains(csp, "frame-ancestors https://webmail.firma.test") || strings.Contains(csp, "unsafe") ||
			len(f.sessions) > 0 {
			t.Errorf("%s: %q %s", name, csp, rec.Body)
		}
	}
	f := newFixture(t) // Nobody may: then nowhere.
	rec := f.do(request{Method: "GET", Path: "/link/followme", Header: fetchMetadata("cross-site", "navigate", "iframe")})
	if strings.Contains(rec.Body.String(), "<script>") || !strings.Contains(rec.Header().Get("Content-Security-Policy"),
		"frame-ancestors 'none'") || rec.Header().Get("X-Frame-Options") != "DENY" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
}

// TestALinkAsksBeforeItReplacesSomebodyElse, however the browser comes; and not
// where it is the same user's.
func TestALinkAsksBeforeItReplacesSomebodyElse(t *testing.T) {
	for name, tc := range map[string]struct {
		method, path, as string
		asked            bool
	}{
		"typed, bartek signed in":         {"GET", "/link/followme", bartek, true},
		"by the button, bartek signed in": {"POST", "/link/followme", bartek, true},
		"after asking":                    {"POST", "/link/followme?replace=true", bartek, false},
		"typed, anna signed in":           {"GET", "/link/followme", anna, false},
		"by the button, anna signed in":   {"POST", "/link/followme", anna, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.links["before"] = httpapi.Link{Owner: anOwner(t, tc.as), ReturnTo: "/"}
			before := f.signInBy(t, "/link/before")
			r := byHand(tc.path)
			r.Method = tc.method
			if tc.method == "POST" {
				r.Header = headers{"Origin": "http://mail.firma.test"}
			}
			r.Header["Cookie"] = before
			rec := f.do(r)
			was := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": before}})
			if !tc.asked {
				if rec.Code != 303 || was.Code != 401 {
					t.Errorf("%d; the session that was replaced: %d", rec.Code, was.Code)
				}
				return
			}
			body := rec.Body.String()
			if rec.Code != 200 || rec.Header().Get("Set-Cookie") != "" || was.Code != 200 ||
				decode[api.Session](t, was).User != bartek {
				t.Errorf("%d %v; then %d %s", rec.Code, rec.Header(), was.Code, was.Body)
			}
			if !strings.Contains(body, `action="/link/followme?replace=true"`) || !strings.Contains(body, "Sign in as "+anna) ||
				!strings.Contains(body, "Stay signed in as "+bartek) {
				t.Errorf("the page is %s", body)
			}
			if _, left := f.links["followme"]; !left {
				t.Error("the link is used up")
			}
		})
	}
}

// TestASessionThatIsOverReplacesNobody: a cookie without a session is as none.
func TestASessionThatIsOverReplacesNobody(t *testing.T) {
	f := newFixture(t)
	f.links["before"] = httpapi.Link{Owner: anOwner(t, bartek), ReturnTo: "/"}
	r := byHand("/link/followme")
	r.Header["Cookie"] = f.signInBy(t, "/link/before")
	clear(f.sessions)
	if rec := f.do(r); rec.Code != 303 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestSigningOutEndsTheSessionInEveryProcess: two handlers share what a database
// would hold.
func TestSigningOutEndsTheSessionInEveryProcess(t *testing.T) {
	f := newFixture(t)
	other := newFixture(t, func(o *httpapi.Options) {
		o.Web.Sessions, o.Web.Links = signedInOnes{f.world}, links{f.world}
	})
	cookie := f.signIn(t)
	f.links["again"] = httpapi.Link{Owner: anOwner(t, anna), ReturnTo: "/"}
	second := f.signInBy(t, "/link/again")
	status := func(f *fixture, cookie string) int {
		return f.do(request{Method: "GET", Path: "/v1/accounts", Header: headers{"Cookie": cookie}}).Code
	}
	if status(f, cookie) != 200 || status(other, cookie) != 200 {
		t.Fatal("the session is none")
	}
	if rec := f.do(request{Method: "DELETE", Path: "/v1/session", As: anna}); rec.Code != 204 || status(f, cookie) != 200 {
		t.Errorf("signing out with a token: %d, the session: %d", rec.Code, status(f, cookie))
	}
	if rec := f.do(request{Method: "DELETE", Path: "/v1/session", Header: headers{
		"Cookie":      cookie,
		"X-Mailbrook": "1",
	}}); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if a, b := status(f, cookie), status(other, cookie); a != 401 || b != 401 {
		t.Errorf("after signing out a copy of the cookie is answered %d here, %d there", a, b)
	}
	if a, b := status(f, second), status(other, second); a != 200 || b != 200 { // The control.
		t.Errorf("the other session is answered %d here, %d there", a, b)
	}
}

// remembering takes a session that it saw alive once for alive ever after.
type remembering struct {
	httpapi.Sessions
	seen map[string]bool
}

func (r remembering) Alive(ctx context.Context, name string) (bool, error) {
	alive, err := r.Sessions.Alive(ctx, name)
	r.seen[name] = r.seen[name] || alive
	return r.seen[name], err
}

// The control: a process that remembers who was signed in.
func TestAProcessThatRemembersSessionsIsNoticed(t *testing.T) {
	f := newFixture(t)
	other := newFixture(t, func(o *httpapi.Options) {
		o.Web.Sessions = remembering{signedInOnes{f.world}, map[string]bool{}}
	})
	cookie := f.signIn(t)
	ask := request{Method: "GET", Path: "/v1/accounts", Header: headers{"Cookie": cookie}}
	other.do(ask)
	f.do(request{Method: "DELETE", Path: "/v1/session", Header: headers{"Cookie": cookie, "X-Mailbrook": "1"}})
	if here, there := f.do(ask).Code, other.do(ask).Code; here != 401 || there != 200 {
		t.Errorf("%d here, %d there", here, there)
	}
}

func TestWhoMayEndWhoseSessions(t *testing.T) {
	for name, tc := range map[string]struct {
		query       string
		admin       bool
		status      int
		anna, other bool // Whose are left.
	}{
		"one's own":                       {"", false, 200, false, true},
		"one's own, named":                {"?user=Anna@firma.test", false, 200, false, true},
		"another's":                       {"?user=" + bartek, false, 403, true, true},
		"everybody's":                     {"?everybody=true", false, 403, true, true},
		"an administrator's own":          {"", true, 200, false, true},
		"another's, by an administrator":  {"?user=" + bartek, true, 200, true, false},
		"everybody's, by one":             {"?everybody=true", true, 200, false, false},
		"not everybody's":                 {"?everybody=false", true, 200, false, true},
		"both at once":                    {"?everybody=true&user=" + bartek, true, 422, true, true},
		"of who looks like anna":          {"?user=%C4%B1nna@firma.test", true, 422, true, true},
		"what is no parameter":            {"?owner=" + bartek, true, 400, true, true},
		"an empty user is not everybody ": {"?user=", true, 422, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.links["bartek"] = httpapi.Link{Owner: anOwner(t, bartek), ReturnTo: "/"}
			annas, others := f.signIn(t), f.signInBy(t, "/link/bartek")
			rec := f.do(request{Method: "DELETE", Path: "/v1/sessions" + tc.query, As: anna, Admin: tc.admin})
			if rec.Code != tc.status {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			for cookie, left := range map[string]bool{annas: tc.anna, others: tc.other} {
				got := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": cookie}})
				if (got.Code == 200) != left {
					t.Errorf("%d, want left %v", got.Code, left)
				}
			}
		})
	}
}

// TestAStreamEndsWithItsSession, whichever process ended it; the user's other
// streams continue.
func TestAStreamEndsWithItsSession(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		f.links["again"] = httpapi.Link{Owner: anOwner(t, anna), ReturnTo: "/"}
		by := func(cookie string) func(*http.Request, *listener) {
			return func(r *http.Request, _ *listener) {
				r.Header.Del("Authorization")
				r.Header.Set("Cookie", cookie)
			}
		}
		ends, stays, token := f.listen(anna, "", by(f.signIn(t))), f.listen(anna, "", by(f.signInBy(t, "/link/again"))),
			f.listen(anna, "")
		defer stays.leave()
		defer token.leave()
		synctest.Wait()
		f.world.mu.Lock()
		for name := range f.sessions { // The older one: f.signIn's was saved under the first name.
			if f.order[name] == 0 {
				delete(f.sessions, name)
			}
		}
		f.world.mu.Unlock()
		time.Sleep(2 * time.Second)
		if !ends.over() || stays.over() || token.over() {
			t.Errorf("over: the ended session's %v, the other's %v, the token's %v", ends.over(), stays.over(), token.over())
		}
	})
}
