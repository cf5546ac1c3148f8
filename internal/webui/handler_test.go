package webui_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/webui"
)

func served(h http.Handler, method, path, encodings string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Header.Set("Accept-Encoding", encodings)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var address = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

func TestTheShellIsServedForEveryPageAndNothingElse(t *testing.T) {
	h := webui.Handler(webui.Options{})
	shell := served(h, "GET", "/", "").Body.String()
	for _, path := range []string{
		"/accounts/new", "/accounts/6f1d1c1e-8a0e-4d0a-9f0b-2f4f0a9f7b11",
		"/accounts/6f1d1c1e-8a0e-4d0a-9f0b-2f4f0a9f7b11/edit", "/admin", "/admin/quotas", "/admin/accounts",
	} {
		w := served(h, "GET", path, "")
		if w.Code != 200 || w.Body.String() != shell || w.Header().Get("Cache-Control") != "no-cache" ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	for _, path := range []string{
		"/index.html", "/nothing", "/accounts", "/accounts/", "/accounts/a/b",
		"/accounts/a/edit/b", "/admin/", "/assets", "/assets/", "/assets/app.js", "/assets/../webui.go", "//",
		"/<script>alert(1)</script>",
	} {
		w := served(h, "GET", path, "")
		if w.Code != 404 || strings.Contains(w.Body.String(), "alert") || strings.Contains(w.Body.String(), ".js") ||
			w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for asked, says := range map[string]string{
		"": "There is no such page", "de, en": "There is no such page", "en-GB, pl": "There is no such page",
		"pl-PL, en;q=0.5": "Nie ma takiej strony", "fr, pl;q=0.8": "Nie ma takiej strony",
		"en;q=0.5, pl": "Nie ma takiej strony",
	} {
		r, w := httptest.NewRequest(http.MethodGet, "/nothing", http.NoBody), httptest.NewRecorder()
		r.Header.Set("Accept-Language", asked)
		h.ServeHTTP(w, r)
		if body := w.Body.String(); !strings.Contains(body, says) || strings.Count(body, "<h") != 3 {
			t.Errorf("for %q: %s", asked, body)
		}
	}
	if w := served(h, "POST", "/", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
	if w := served(h, "HEAD", "/", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// route is a row of the table of routes in app.js; what it has for "any word" is made one.
var route = regexp.MustCompile(`(?m)^  \[/\^(\S+)\$/, `)

// TestEveryRouteOfThePagesIsServed, so that it can be opened by its address: with a query too.
func TestEveryRouteOfThePagesIsServed(t *testing.T) {
	h := webui.Handler(webui.Options{})
	shell := served(h, "GET", "/", "").Body.String()
	dir := regexp.MustCompile(`/assets/[0-9a-f]+/`).FindString(shell)
	app := served(h, "GET", dir+"app.js", "").Body.String()
	_, table, _ := strings.Cut(app, "const routes = [")
	table, _, _ = strings.Cut(table, "\n];")
	found := route.FindAllStringSubmatch(table, -1)
	if len(found) < 10 || len(found) != strings.Count(table, "\n") {
		t.Fatalf("of %d routes %d are read: %v", strings.Count(table, "\n"), len(found), found)
	}
	for _, f := range found {
		path := strings.NewReplacer(`\/`, "/", "([^/]+)", "6f1d1c1e-8a0e").Replace(f[1])
		if strings.ContainsAny(path, `\()[]+*`) {
			t.Fatalf("the route %s is not understood", f[1])
		}
		for _, query := range []string{"", "?user=jan%40firma.test"} {
			if w := served(h, "GET", path+query, ""); w.Code != 200 || w.Body.String() != shell {
				t.Errorf("%s, a route of the pages, is answered by %d", path+query, w.Code)
			}
		}
		// The control: beside a route there is nothing.
		if w := served(h, "GET", path+"/no/route", ""); w.Code != 404 {
			t.Errorf("%s/no/route: %d", path, w.Code)
		}
	}
}

// TestTheShellsAssetsAreThereAndMayBeKeptForEver, in a form that fits a slow link.
func TestTheShellsAssetsAreThereAndMayBeKeptForEver(t *testing.T) {
	h := webui.Handler(webui.Options{})
	w := served(h, "GET", "/", "gzip")
	first := w.Body.Len()
	found := address.FindAllStringSubmatch(served(h, "GET", "/", "").Body.String(), -1)
	if len(found) < 3 {
		t.Fatalf("only %v", found)
	}
	for _, a := range found {
		plain, packed := served(h, "GET", a[1], "gzip;q=0"), served(h, "GET", a[1], "br, gzip")
		if plain.Code != 200 || plain.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %v", a[1], plain.Code, plain.Header())
			continue
		}
		first += packed.Body.Len()
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); err != nil || string(b) != plain.Body.String() {
			t.Errorf("%s is another one when packed: %v", a[1], err)
		}
		if strings.HasSuffix(a[1], ".js") && plain.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s is of type %s", a[1], plain.Header().Get("Content-Type"))
		}
	}
	if first > 150<<10 {
		t.Errorf("the first load is %d bytes", first)
	}
}

// TestNothingInlineIsAllowedAndFramesOnlyAsConfigured is U14.
func TestNothingInlineIsAllowedAndFramesOnlyAsConfigured(t *testing.T) {
	for _, tc := range []struct {
		ancestors []string
		want      string
		deny      string
	}{
		{nil, "frame-ancestors 'none'", "DENY"},
		{[]string{"https://webmail.firma.test", "https://b.test:8443"}, "frame-ancestors https://webmail.firma.test " +
			"https://b.test:8443", ""},
	} {
		h := webui.Handler(webui.Options{FrameAncestors: tc.ancestors})
		for _, path := range []string{"/", "/nothing", address.FindStringSubmatch(
			served(h, "GET", "/", "").Body.String())[1]} {
			got := served(h, "GET", path, "").Header()
			rules := strings.Split(got.Get("Content-Security-Policy"), "; ")
			for _, want := range []string{
				"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
				"base-uri 'none'", "form-action 'self'", tc.want,
			} {
				if !slices.Contains(rules, want) {
					t.Errorf("%s: %q is not among %q", path, want, rules)
				}
			}
			if strings.Contains(got.Get("Content-Security-Policy"), "unsafe") || got.Get("X-Frame-Options") != tc.deny ||
				got.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", path, got)
			}
		}
	}
}
