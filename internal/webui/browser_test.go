package webui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chrome is one browser for all tests; each has windows of its own in it that
// share nothing with others.
var chrome browserProcess

type browserProcess struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error

	empty    *httptest.Server // A page with nothing on it.
	profiles profiles
}

func (b *browserProcess) start() error {
	b.once.Do(func() {
		var path string
		for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
			if path, b.err = exec.LookPath(name); b.err == nil {
				break
			}
		}
		if b.err != nil {
			b.err = fmt.Errorf("no Chromium is here; on Debian, as root: apt-get install chromium-headless-shell (%w)", b.err)
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
			chromedp.DisableGPU,
			chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-dev-shm-usage",
				true),
			chromedp.Flag("process-per-site", true), // See profile.
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"))
		ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
		b.cancel = append(b.cancel, cancel)
		b.ctx, cancel = chromedp.NewContext(ctx)
		b.cancel = append(b.cancel, cancel)
		b.empty = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!doctype html><title>Nothing</title>")) // The browser may be gone.
		}))
		b.cancel = append([]context.CancelFunc{b.empty.Close}, b.cancel...)
		b.err = chromedp.Do(b.ctx)
	})
	return b.err
}

func (b *browserProcess) close() {
	for i := len(b.cancel) - 1; i >= 0; i-- {
		b.cancel[i]()
	}
}

// device is what a page is looked at with.
type device struct {
	name          string
	width, height int64
	phone         bool
	lang          string
	dark          bool
}

var (
	desktop = device{name: "desktop", width: 1180, height: 800, lang: "en"}
	phone   = device{name: "phone", width: 360, height: 740, phone: true, lang: "en"}
)

// tab is a page somebody looks at.
type tab struct {
	tb  testing.TB
	ctx context.Context
	dev device

	profile *profile

	mu       sync.Mutex
	messages []string // Errors on the console.
}

// look opens an address in a window of its own.
func look(tb testing.TB, d device, address string) *tab {
	tb.Helper()
	return window(tb, d, address, 4*soon)
}

// stay is look for a window in which many states are looked at, one after another.
func stay(tb testing.TB, d device, address string) *tab {
	tb.Helper()
	return window(tb, d, address, 20*soon)
}

func window(tb testing.TB, d device, address string, within time.Duration) *tab {
	tb.Helper()
	if err := chrome.start(); err != nil {
		tb.Fatalf("starting the browser: %v", err)
	}
	return chrome.profiles.take(tb).open(tb, d, address, within)
}

// beside opens an address in a second tab of the same window.
func (p *tab) beside(address string) *tab {
	p.tb.Helper()
	return p.profile.open(p.tb, p.dev, address, 4*soon)
}

// open opens an address for no longer than within.
func (f *profile) open(tb testing.TB, d device, address string, within time.Duration) *tab {
	tb.Helper()
	ctx := f.tab(tb, within)
	p := &tab{tb: tb, ctx: ctx, dev: d, profile: f}
	p.do(chromedp.EmulateViewport(d.width, d.height, func(m *emulation.SetDeviceMetricsOverrideParams,
		t *emulation.SetTouchEmulationEnabledParams,
	) {
		m.Mobile, t.Enabled = d.phone, d.phone
		m.DeviceScaleFactor = 1
	}))
	p.light(d.dark)
	name := "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
	call(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: name, AcceptLanguage: d.lang})
	console := chromedp.Console(ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" {
				p.mu.Lock()
				p.messages = append(p.messages, m.String())
				p.mu.Unlock()
			}
		}
	}()
	tb.Cleanup(func() {
		if tb.Failed() {
			if ctx.Err() == nil {
				shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(90))
				if err == nil {
					name := filepath.Join(os.TempDir(), "mailbrook-failed-"+strings.NewReplacer("/", "-", " ", "-").Replace(tb.Name())+
						".jpg")
					if os.WriteFile(name, shot, 0o600) == nil {
						tb.Logf("how the page looked: %s", name)
					}
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			tb.Logf("the console: %q", p.messages)
		}
	})
	p.do(chromedp.Navigate(address))
	return p
}

// call runs a command of the browser's protocol.
func call[P, R any](p *tab, cmd cdp.Command[P, R], params P) R {
	p.tb.Helper()
	r, err := chromedp.Call(p.ctx, cmd, params)
	if err != nil {
		p.tb.Fatalf("%s: %v", cmd.Method, err)
	}
	return r
}

// light sets whether the system is dark, and that nothing needs to move.
func (p *tab) light(dark bool) {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.tb.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.tb.Fatalf("in the browser: %v", err)
	}
}

// js evaluates an expression.
func js[T any](p *tab, expression string) T {
	p.tb.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.tb.Fatalf("evaluating %s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true, on whatever page is there then.
func (p *tab) until(expression string) {
	p.tb.Helper()
	guarded := "(() => { try { return Boolean(" + expression + "); } catch { return false; } })()"
	for late := time.Now().Add(soon); ; {
		_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](guarded, chromedp.WithPollingTimeout(time.Until(late))))
		if err == nil {
			return
		}
		// A page that is left takes the question with it.
		if p.ctx.Err() != nil || time.Now().After(late) || !left(err) {
			p.tb.Fatalf("waited for nothing for %s: %v\nThe page reads: %s", expression, err, p.reads())
		}
	}
}

func left(err error) bool {
	for _, sign := range []string{
		"navigated or closed", "context was destroyed", "Cannot find context",
		"uniqueContextId not found", "Promise was collected",
	} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}

func (p *tab) reads() string {
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return v
}

// sees waits until a text can be read.
func (p *tab) sees(text string) {
	p.tb.Helper()
	p.until(`document.body.innerText.replaceAll("\u00a0", " ").includes(` + quote(text) + ")")
}

// hears waits until a text is announced to those who listen.
func (p *tab) hears(text string) {
	p.tb.Helper()
	p.until(`document.getElementById("said").textContent.replaceAll("\u00a0", " ").includes(` + quote(text) + ")")
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// named finds what can be pressed by its name, as a screen reader says it.
func named(name string) string {
	return `[...document.querySelectorAll("dialog[open]")].concat(document).map((root) =>
		[...root.querySelectorAll("a[href], button, summary, label, [role=menuitem], [role=switch]")]
		.find((e) => (e.getAttribute("aria-label") || e.textContent).replace(/\s+/g, " ").trim() === ` + quote(name) +
		` && e.checkVisibility({visibilityProperty: true}) && !e.disabled)).find(Boolean)`
}

// labelled finds a field by its label.
func labelled(label string) string {
	return `[...document.querySelectorAll("label")].filter((l) => l.firstChild && l.checkVisibility() &&
		(l.htmlFor ? l.textContent : "").trim() === ` + quote(label) + `).map((l) => document.getElementById(l.htmlFor))[0]`
}

// place returns the middle of an element, once it is there, the page is not
// being changed for another, and nothing moves it.
func (p *tab) place(element string) (x, y float64) {
	p.tb.Helper()
	p.until("!document.querySelector('main[aria-busy]') && " + element)
	at := js[[]float64](p, `(async () => {
		let last = "";
		for (let i = 0; i < 200; i++) {
			const e = `+element+`;
			e?.scrollIntoView({block: "center", behavior: "instant"});
			await new Promise(requestAnimationFrame);
			const r = e?.getBoundingClientRect();
			const now = r ? [r.left + r.width / 2, r.top + r.height / 2] : [];
			if (r && String(now) === last) return now;
			last = String(now);
		}
		return [];
	})()`)
	if len(at) != 2 {
		p.tb.Fatalf("%s does not keep still; the page reads: %s", element, p.reads())
	}
	return at[0], at[1]
}

// press clicks, or taps on a phone, what has a name.
func (p *tab) press(name string) {
	p.tb.Helper()
	p.hit(named(name))
}

// hit clicks or taps an element.
func (p *tab) hit(element string) {
	p.tb.Helper()
	x, y := p.place(element)
	if p.dev.phone {
		p.do(chromedp.TapXY(x, y))
		return
	}
	p.do(chromedp.MouseClickXY(x, y))
}

// enter writes into the field with a label, instead of what it holds.
func (p *tab) enter(label, text string) {
	p.tb.Helper()
	p.hit(labelled(label))
	js[any](p, labelled(label)+".select?.()")
	switch {
	case text == "":
		p.keys(kb.Backspace)
	case strings.ContainsFunc(text, func(r rune) bool { return r > '~' }): // Of these some stand for keys in package kb.
		call(p, input.InsertText, input.InsertTextParams{Text: text})
	default:
		p.keys(text)
	}
	got := js[string](p, labelled(label)+".value")
	if got != text && !strings.Contains(got, "@xn--") { // So browsers have addresses in other letters.
		p.tb.Fatalf("%s holds %q after typing %q", label, got, text)
	}
}

// holds returns what stands in the field with a label.
func (p *tab) holds(label string) string {
	p.tb.Helper()
	p.until(labelled(label))
	return js[string](p, labelled(label)+".value")
}

// focused says what has the focus: the name of a field, or a name.
func (p *tab) focused() string {
	p.tb.Helper()
	return js[string](p, `[document.activeElement].map((e) =>
		e.name || e.getAttribute("aria-label") || e.textContent)[0]`)
}

// keys types.
func (p *tab) keys(text string, modifiers ...kb.Modifier) {
	p.tb.Helper()
	p.do(chromedp.KeyEvent(text, chromedp.KeyModifiers(modifiers...)))
}

// tabTo continues with the Tab key until an element has the focus.
func (p *tab) tabTo(element string) {
	p.tb.Helper()
	p.until(element)
	for range 80 {
		if js[bool](p, "document.activeElement === "+element) {
			if !js[bool](p, `document.activeElement.matches(":focus-visible")`) {
				p.tb.Errorf("the focus on %s cannot be seen", p.focused())
			}
			return
		}
		p.keys(kb.Tab)
	}
	p.tb.Fatalf("the Tab key does not reach %s; the page reads: %s", element, p.reads())
}

// hold keeps a finger on an element until a menu opens.
func (p *tab) hold(element string) {
	p.tb.Helper()
	x, y := p.place(element)
	touch := func(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
		call(p, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: append(
			[]*input.TouchPoint{}, points...)})
	}
	touch(input.DispatchTouchEventTypeTouchStart, &input.TouchPoint{X: x, Y: y})
	p.until(`document.querySelector("[role=menu]")`)
	touch(input.DispatchTouchEventTypeTouchEnd)
}

// forgetSession takes the cookie away, as time does.
func (p *tab) forgetSession() {
	p.tb.Helper()
	call(p, network.ClearBrowserCookies, cdp.Empty{})
}

// quiet fails the test if the page complained on the console; answers that
// are errors on purpose are the browser's to log.
func (p *tab) quiet() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages {
		if !strings.Contains(m, "Failed to load resource") {
			p.tb.Errorf("on the console: %s", m)
		}
	}
}

// eventually waits until ok, for what is not to be seen on the page.
func (p *tab) eventually(what string, ok func() bool) {
	p.tb.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			p.tb.Fatalf("waited for nothing until %s", what)
		}
	}
}
