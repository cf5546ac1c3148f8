package webui_test

import (
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/mailbrook/mailbrook/internal/webui"
)

// A slow link, and how long a page may be empty over it.
const (
	slowOctets  = 400_000 / 8 // A second.
	slowLatency = 0.4         // Seconds, from a request to its answer.
	mostBlank   = 3.0         // Seconds.
)

var (
	asset = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+\.(?:js|css))"`)
	// Static imports are loaded before anything runs; import("…") is not.
	needed = regexp.MustCompile(`(?m)^import [^"]*"(\./[^"]+)"`)
)

// TestTheFirstPaintNeedsTwoAnswers, the page and its style sheet, and no script: from
// that, and from the octets of all that is asked for at the same time, it follows when
// it comes over a slow link. The control is a page that leaves it to the scripts.
func TestTheFirstPaintNeedsTwoAnswers(t *testing.T) {
	t.Parallel()
	h := webui.Handler(webui.Options{})
	_, octets, shell := ask(t, h, "/")
	asked := map[string]bool{}
	for _, m := range asset.FindAllStringSubmatch(shell, -1) {
		asked[m[1]] = true
	}
	for address := range asked {
		resp, n, body := ask(t, h, address)
		if octets += n; resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s is not compressed", address)
		}
		for _, m := range needed.FindAllStringSubmatch(body, -1) {
			if to := path.Join(path.Dir(address), m[1]); !asked[to] {
				t.Errorf("%s is asked for only when %s is there: a third round", to, address)
			}
		}
	}
	// The connection's handshake and TLS take a round trip each.
	const rounds = 2 + 2
	if s := rounds*slowLatency + float64(octets)/slowOctets; s > mostBlank {
		t.Errorf("%d octets and %d rounds take %.2f s", octets, rounds, s)
	} else {
		t.Logf("%d octets in %d files: %.2f s at most until something is painted", octets, len(asked)+1, s)
	}

	// In a browser to which no script ever comes something is painted all the same.
	empty := regexp.MustCompile(`(?s)<header.*</main>`)
	serve := func(change func(string) string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, ".js"):
				http.NotFound(w, r)
			case r.URL.Path == "/":
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = w.Write([]byte(change(shell))) // The browser may be gone.
			default:
				h.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	const painted = "performance.getEntriesByName('first-contentful-paint').length"
	p := look(t, phone, serve(func(s string) string { return s }))
	p.until(painted)
	if got := js[string](p, "document.body.innerText.trim()"); got != "Mailbrook" {
		t.Errorf("painted is %q", got)
	}
	bare := look(t, phone, serve(func(s string) string { return empty.ReplaceAllString(s, "") }))
	bare.until("document.readyState === 'complete'")
	js[any](bare, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")
	if n := js[float64](bare, painted); n != 0 {
		t.Error("a page without anything counts as painted")
	}
}

// TestWhatIsPaintedFirstStays: the pages draw the head that was there already, where it
// was, with the operator's logo or ours.
func TestWhatIsPaintedFirstStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.until("document.querySelector('main h1')")
	_, _, shell := ask(t, webui.Handler(webui.Options{}), "/")
	same := `(() => {
		const then = new DOMParser().parseFromString(` + quote(shell) + `, "text/html");
		return [then, document].map((d) => d.querySelector(".top > .top-in > .brand").innerHTML);
	})()`
	if got := js[[]string](p, same); len(got) != 2 || got[0] != got[1] {
		t.Errorf("the head was\n%q\nand is", got)
	}
}

// BenchmarkFirstPaintOnASlowLink says when something is painted, and when the list of
// accounts is there, over 400 kbit/s with 400 ms, with nothing kept from before.
func BenchmarkFirstPaintOnASlowLink(b *testing.B) {
	s := newSite(b, nil)
	p := look(b, phone, s.link("anna@firma.test"))
	p.until("document.querySelector('main h1')")
	call(p, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	call(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{
			{Latency: 1000 * slowLatency, DownloadThroughput: slowOctets, UploadThroughput: slowOctets},
		},
	})
	paint, list := 0.0, 0.0
	for b.Loop() {
		p.do(chromedp.Navigate(s.addr + "/"))
		p.until("document.querySelector('main h1')")
		list += js[float64](p, "performance.now()")
		paint += js[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime")
	}
	b.ReportMetric(paint/float64(b.N), "ms/paint")
	b.ReportMetric(list/float64(b.N), "ms/list")
	b.ReportMetric(0, "ns/op")
}
