package webui_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/webui"
)

var (
	usedText = regexp.MustCompile(`\bt\("([a-z0-9.]+)"`)
	loaded   = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
	imported = regexp.MustCompile(`(?:from|import\() ?"(\./[^"]+)"`)
)

// ask answers a request of a browser and returns the body as it goes over the
// wire, and unpacked.
func ask(t *testing.T, h http.Handler, address string) (*http.Response, int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	packed := w.Body.Len()
	r.Header.Del("Accept-Encoding")
	plain := httptest.NewRecorder()
	h.ServeHTTP(plain, r)
	text, err := io.ReadAll(plain.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), packed, string(text)
}

func TestTheFirstLoadIsSmallCompressedAndComesFromNowhereElse(t *testing.T) {
	h := webui.Handler(webui.Options{})
	shell, total, text := ask(t, h, "/")
	if got := shell.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the shell is cached: %q", got)
	}
	var queue []string
	for _, m := range loaded.FindAllStringSubmatch(text, -1) {
		queue = append(queue, m[1])
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		address := queue[0]
		queue = queue[1:]
		if seen[address] {
			continue
		}
		seen[address] = true
		resp, n, body := ask(t, h, address)
		if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") ||
			resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d, %q, %q", address, resp.StatusCode, resp.Header.Get("Cache-Control"), resp.Header.Get(
				"Content-Encoding"))
		}
		total += n
		for _, m := range imported.FindAllStringSubmatch(body, -1) { // All pages' modules, also those that are loaded later.
			queue = append(queue, path.Join(path.Dir(address), m[1]))
		}
		for _, elsewhere := range []string{"http://", "https://"} {
			for line := range strings.Lines(body) {
				if strings.Contains(line, elsewhere) && !strings.Contains(line, "www.w3.org/") {
					t.Errorf("%s speaks of somewhere else: %s", address, line)
				}
			}
		}
	}
	t.Logf("%d files, %d bytes compressed", len(seen)+1, total)
	if total > 150<<10 {
		t.Errorf("all pages together take %d bytes compressed, which is more than 150 KiB", total)
	}
	if len(seen) < 10 {
		t.Errorf("only %d files are loaded", len(seen))
	}
}

func TestThePagesNeedNoLooserPolicy(t *testing.T) {
	resp, _, _ := ask(t, webui.Handler(webui.Options{}), "/")
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
		"base-uri 'none'",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is loose: %s", policy)
	}
	files, err := filepath.Glob("assets/*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{
			"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
			"new Function", `"style"`,
		} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s uses %s", f, bad)
			}
		}
	}
}
