package webui_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// front is what operators put before a server: an address with TLS.
type front struct {
	*httptest.Server
	to atomic.Pointer[httputil.ReverseProxy]
}

func newFront(tb testing.TB) *front {
	f := &front{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.to.Load().ServeHTTP(w, r)
	}))
	tb.Cleanup(func() {
		f.CloseClientConnections() // Streams of events do not end by themselves.
		f.Close()
	})
	return f
}

func (f *front) before(tb testing.TB, s *site) {
	tb.Helper()
	u, err := url.Parse(s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	f.to.Store(httputil.NewSingleHostReverseProxy(u))
}

// webmail is another site's page with a frame in it, once it knows of what.
type webmail struct {
	*httptest.Server
	shows atomic.Value
}

// newWebmail is at localhost, which is another site than 127.0.0.1.
func newWebmail(tb testing.TB) *webmail {
	w := &webmail{}
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		shows, _ := w.shows.Load().(string)
		fmt.Fprintf(rw, `<!doctype html><title>Webmail</title><h1>Webmail</h1>
			<iframe title="Accounts" width="900" height="700" src="%s"></iframe>`, shows)
	}))
	tb.Cleanup(w.Close)
	return w
}

func (w *webmail) origin() string { return strings.Replace(w.URL, "127.0.0.1", "localhost", 1) }

// lookFrom opens the webmail with a frame in it. No certificate here is signed
// by anybody that a browser knows.
func (w *webmail) lookFrom(tb testing.TB, shows string) *tab {
	tb.Helper()
	p := look(tb, desktop, "about:blank")
	call(p, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	w.shows.Store(shows)
	p.do(chromedp.Navigate(w.origin()))
	return p
}

// frame is what is shown inside of a tab.
type frame struct {
	tab    *tab
	origin string
}

// holds reports whether an expression is true in the frame. Chromium may keep
// the frame in the page's process, or, as another site's, in one of its own.
func (f frame) holds(expression string) bool {
	f.tab.tb.Helper()
	expression = "(() => { try { return Boolean(" + expression + "); } catch { return false; } })()"
	all, err := chromedp.Targets(f.tab.ctx)
	if err != nil {
		f.tab.tb.Fatalf("asking for what the browser shows: %v", err)
	}
	for _, t := range all {
		if t.Type == "iframe" && strings.HasPrefix(t.URL, f.origin) {
			ctx, cancel := chromedp.NewContext(f.tab.ctx, chromedp.WithTargetID(t.TargetID))
			defer cancel()
			ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
			return err == nil && ok
		}
	}
	for _, child := range call(f.tab, page.GetFrameTree, cdp.Empty{}).FrameTree.ChildFrames {
		if !strings.HasPrefix(child.Frame.URL, f.origin) {
			continue
		}
		world, err := chromedp.Call(f.tab.ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{
			FrameID: child.Frame.ID,
		})
		if err != nil {
			return false // It is being left for another page.
		}
		got, err := chromedp.Call(f.tab.ctx, runtime.Evaluate, runtime.EvaluateParams{
			Expression: expression,
			ContextID:  world.ExecutionContextID,
		})
		return err == nil && string(got.Result.Value) == "true"
	}
	return false
}

func (f frame) until(expression string) {
	f.tab.tb.Helper()
	f.tab.eventually("the frame says "+expression, func() bool { return f.holds(expression) })
}

func TestThePagesWorkInAFrameOfAnotherSiteThatIsConfigured(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	front, webmail := newFront(t), newWebmail(t)
	s := newSite(t, d.CA, "WEB_PUBLIC_URL="+front.URL, "WEB_FRAME_ANCESTORS="+webmail.origin())
	front.before(t, s)
	const user = "anna@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna")
	s.state(user, id, "ok")
	link := s.link(user)
	if !strings.HasPrefix(link, front.URL) {
		t.Fatalf("the link is %s", link)
	}
	p := webmail.lookFrom(t, link)
	in := frame{p, front.URL}
	in.until(card("Poczta"))
	// A change, which a page of another origin could not make, and the news of it.
	in.until("(" + card("Poczta") + `.querySelector("[role=switch]").click(), true)`)
	s.state(user, id, "paused")
	in.until(card("Poczta") + `?.dataset.state === "paused"`)
	in.until("(" + card("Poczta") + `.querySelector("[role=switch]").click(), true)`)
	in.until(card("Poczta") + `?.dataset.state === "ok"`)

	cookies := call(p, network.GetCookies, network.GetCookiesParams{}).Cookies
	if len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HTTPOnly ||
		cookies[0].SameSite != network.CookieSameSiteNone || cookies[0].PartitionKey == nil {
		t.Errorf("the cookie is %+v", cookies)
	}
	// Somebody else signs in to the webmail: here too, nobody is replaced unasked.
	webmail.shows.Store(s.link("bartek@firma.test"))
	p.do(chromedp.Navigate(webmail.origin()))
	in.until(`document.body.innerText.includes("Somebody else is signed in here")`)
	in.until(`(document.querySelector("button").click(), true)`)
	in.until(who("bartek@firma.test"))

	// The webmail's own page cannot use it: neither to change nor to read.
	for _, method := range []string{"GET", "DELETE"} {
		got := js[string](p, fmt.Sprintf(
			`fetch(%s, {method: %q, credentials: "include", mode: "no-cors"}).then((r) => r.type, (e) => String(e))`,
			quote(front.URL+"/v1/accounts/"+id), method))
		if method == "DELETE" && !strings.Contains(got, "TypeError") || got == "basic" || got == "cors" {
			t.Errorf("the other site's page got %q by %s", got, method)
		}
	}
	s.ask(user, "GET", "/v1/accounts/"+id, nil) // It is still there.
}

func TestThePagesAreShownInNobodysFrameUnlessConfigured(t *testing.T) {
	t.Parallel()
	front, webmail := newFront(t), newWebmail(t)
	elsewhere := "https://webmail.firma.test"
	for name, settings := range map[string][]string{
		"nobody is configured": {"WEB_PUBLIC_URL=" + front.URL}, "somebody else is": {
			"WEB_PUBLIC_URL=" + front.URL,
			"WEB_FRAME_ANCESTORS=" + elsewhere,
		},
	} {
		s := newSite(t, (*mailtest.CA)(nil), settings...)
		front.before(t, s)
		p := webmail.lookFrom(t, front.URL+"/")
		p.eventually("the frame is refused", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return strings.Contains(strings.Join(p.messages, " "), "frame")
		})
		if (frame{p, front.URL}).holds("document.querySelector('main')") {
			t.Errorf("%s: the page is shown all the same", name)
		}
	}
}
