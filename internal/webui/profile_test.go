package webui_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// profile is what windows are opened in: cookies, storage, and a process that draws the
// pages of 127.0.0.1. That process stays as long as one of them is open, which the empty
// page is: to start another, which has to learn all scripts again, costs more than to load
// a page.
type profile struct {
	ctx    context.Context // Of the empty page.
	cancel context.CancelFunc

	spent bool // Something was changed that is not forgotten.

	mu      sync.Mutex
	origins map[string]bool // Where its tabs were.
}

// profiles are those that nobody uses; whoever comes next gets one that has forgotten all.
type profiles struct {
	mu   sync.Mutex
	free []*profile
}

// take returns a profile in which nothing was done, until the test ends.
func (f *profiles) take(tb testing.TB) *profile {
	tb.Helper()
	p := f.next()
	if p == nil {
		p = &profile{}
		p.ctx, p.cancel = chromedp.NewContext(chrome.ctx, chromedp.WithNewBrowserContext())
		err := chromedp.Do(p.ctx) // With a context that ends the browser would be heard until then.
		if err == nil {
			ctx, cancel := context.WithTimeout(p.ctx, 4*soon)
			defer cancel()
			err = chromedp.Do(ctx, chromedp.Navigate(chrome.empty.URL))
		}
		if err != nil {
			p.cancel()
			tb.Fatalf("opening a window: %v", err)
		}
	}
	p.origins = map[string]bool{}
	tb.Cleanup(func() {
		if tb.Failed() || p.spent || p.forget() != nil {
			p.cancel()
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.free = append(f.free, p)
	})
	return p
}

func (f *profiles) next() *profile {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.free) == 0 {
		return nil
	}
	p := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	return p
}

// tab opens an empty tab with a session storage of its own, for no longer than within.
func (f *profile) tab(tb testing.TB, within time.Duration) context.Context {
	tb.Helper()
	ctx, closes := chromedp.NewContext(f.ctx)
	ctx, cancel := context.WithTimeout(ctx, within)
	tb.Cleanup(func() {
		defer closes()
		defer cancel()
		history, err := chromedp.Call(ctx, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			f.spent = true
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, e := range history.Entries {
			if u, err := url.Parse(e.URL); err == nil && u.Host != "" {
				f.origins[u.Scheme+"://"+u.Host] = true
			}
		}
	})
	return ctx
}

// forget is called when the tabs are closed.
func (f *profile) forget() error {
	ctx, cancel := context.WithTimeout(f.ctx, soon)
	defer cancel()
	for _, origin := range slices.Sorted(maps.Keys(f.origins)) {
		if _, err := chromedp.Call(ctx, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{
			Origin: origin, StorageTypes: "all",
		}); err != nil {
			return err
		}
	}
	_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}) // Those of frames, too.
	return err
}

// TestAWindowKnowsNothingOfTheOneBefore although it is drawn by the same process. The
// control is what a second tab beside the first one knows.
func TestAWindowKnowsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// The browser may be gone.
		_, _ = w.Write([]byte("<!doctype html><meta name=viewport content=width=device-width><h1>A page</h1>"))
	}))
	t.Cleanup(server.Close)
	if err := chrome.start(); err != nil {
		t.Fatal(err)
	}
	const knows = `JSON.stringify([document.cookie, localStorage.getItem("a"), sessionStorage.getItem("a"),
		history.length, innerWidth, navigator.language, navigator.maxTouchPoints > 0,
		matchMedia("(prefers-color-scheme: dark)").matches])`
	const nothing = `["",null,null,`
	var own profiles
	var first *profile
	t.Run("before", func(t *testing.T) {
		first = own.take(t)
		dev := device{name: "phone", width: 360, height: 740, phone: true, lang: "pl", dark: true}
		p := first.open(t, dev, server.URL, 4*soon)
		if got := js[string](p, knows); got != nothing+`2,360,"pl",true,true]` {
			t.Errorf("a new window is %s", got)
		}
		js[any](p, `document.cookie = "a=1; max-age=999"; null`)
		js[any](p, `localStorage.setItem("a", "1"); sessionStorage.setItem("a", "1"); null`)
		if got := js[string](p.beside(server.URL), knows); got != `["a=1","1",null,2,360,"pl",true,true]` {
			t.Errorf("the tab beside it is %s", got)
		}
	})
	t.Run("after", func(t *testing.T) {
		again := own.take(t)
		if again != first {
			t.Error("it is another profile")
		}
		again.spent = true // Nobody comes after.
		p := again.open(t, desktop, server.URL, 4*soon)
		if got := js[string](p, knows); got != nothing+`2,1180,"en",false,false]` {
			t.Errorf("the next window is %s", got)
		}
	})
}
