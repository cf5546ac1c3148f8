// Package webui is the web pages: a plain client of the REST API, embedded and
// served by the same binary.
//
// It does nothing but hand out files; what the pages do and say is in assets. The
// one page that the server says itself is where there is none.
package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/words"
)

//go:embed assets
var embedded embed.FS

// Options says how the pages are served.
type Options struct {
	// FrameAncestors are the origins whose pages may show these in a frame;
	// none: nobody's.
	FrameAncestors []string

	Brand Brand

	// SignIn is how people sign in who have no link: "imap", "header", "oidc"; anything
	// else: not at all.
	SignIn string
}

// file is an asset as it goes out.
type file struct {
	kind          string
	plain, packed []byte
}

// pages answers for the shell and what it loads.
type pages struct {
	policy string
	framed bool   // Whether anybody may show us in a frame.
	prefix string // Of the assets' addresses; it changes with their content.
	shell  file
	lost   string          // Said where there is no page.
	assets map[string]file // By address.
}

// Handler serves the pages.
func Handler(o Options) http.Handler {
	ancestors := "'none'"
	if len(o.FrameAncestors) > 0 {
		ancestors = strings.Join(o.FrameAncestors, " ")
	}
	p := &pages{
		framed: len(o.FrameAncestors) > 0,
		policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
			"font-src 'self'; " +
			"base-uri 'none'; form-action 'self'; frame-ancestors " + ancestors,
		assets: map[string]file{},
	}
	contents, sum := map[string][]byte{}, sha256.New()
	err := fs.WalkDir(embedded, "assets", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := embedded.ReadFile(name)
		contents[strings.TrimPrefix(name, "assets")] = b
		fmt.Fprintf(sum, "%s %d\n", name, len(b))
		sum.Write(b)
		return err
	})
	if err != nil { // The files are in the program: it cannot.
		panic(err)
	}
	if style := o.Brand.style(); style != "" {
		contents["/brand.css"] = []byte(style)
	}
	if o.Brand.Logo.kind != "" {
		contents["/logo"+o.Brand.Logo.kind] = o.Brand.Logo.data
	}
	fmt.Fprintf(sum, "%s\n%s", o.Brand.style(), o.Brand.Logo.data)
	p.prefix = "/assets/" + hex.EncodeToString(sum.Sum(nil))[:16]
	for name, b := range contents {
		if name == "/index.html" {
			continue // The shell is no asset: it is never the same for ever.
		}
		p.assets[p.prefix+name] = pack(name, b)
	}
	p.shell = pack("/index.html", o.Brand.shell(signInShell(contents["/index.html"], o.SignIn), p.prefix))
	p.lost = strings.ReplaceAll(lost, "{{name}}", html.EscapeString(o.Brand.name()))
	return p
}

// kinds are the media types of assets: what the system's table says differs
// from machine to machine, and a module of another type is not run.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png", ".woff2": "font/woff2",
}

func pack(name string, b []byte) file {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil { // The level is one that there is.
		panic(err)
	}
	if _, err := z.Write(b); err != nil { // Into memory: it cannot.
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	kind, ok := kinds[path.Ext(name)]
	if !ok {
		panic("webui: an asset of no known type: " + name)
	}
	return file{kind, b, packed.Bytes()}
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if !p.framed {
		h.Set("X-Frame-Options", "DENY")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if f, ok := p.assets[r.URL.Path]; ok {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		f.send(w, r)
		return
	}
	if !isPage(r.URL.Path) {
		h.Set("Content-Type", kinds[".html"])
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept-Language")
		lang := words.Negotiate(r.Header.Get("Accept-Language"))
		h.Set("Content-Language", string(lang))
		w.WriteHeader(http.StatusNotFound)
		if r.Method == http.MethodGet {
			say := strings.NewReplacer("{{lang}}", string(lang), "{{title}}", words.NotFoundPage.Title.In(lang),
				"{{back}}", words.NotFoundPage.Back.In(lang))
			_, _ = say.WriteString(w, p.lost) // Whoever asked may be gone.
		}
		return
	}
	h.Set("Cache-Control", "no-cache")
	p.shell.send(w, r)
}

// lost is said where there is no page. It shows nothing of what was asked for.
const lost = `<!doctype html>
<html lang="{{lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{name}}</title></head>
<body><main><h1>{{title}}</h1><p><a href="/">{{back}}</a></p></main></body></html>
`

// addresses are those of the pages, as path.Match has them: all routes of app.js, as any page may be reloaded,
// bookmarked or opened in a new tab.
var addresses = []string{
	"/", "/accounts/new", "/accounts/?*", "/accounts/?*/edit", "/copies", "/copies/?*",
	"/admin", "/admin/quotas", "/admin/users/?*", "/admin/accounts", "/admin/accounts/?*", "/admin/audit",
}

func isPage(p string) bool {
	return slices.ContainsFunc(addresses, func(of string) bool {
		ok, err := path.Match(of, p)
		return ok && err == nil // The patterns are well formed.
	})
}

// takesGzip reads Accept-Encoding, in which "gzip;q=0" is a refusal.
func takesGzip(accept string) bool {
	for word := range strings.SplitSeq(accept, ",") {
		name, quality, _ := strings.Cut(word, ";")
		_, q, _ := strings.Cut(quality, "=")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(q, " 0.") != "" || q == ""
		}
	}
	return false
}

func (f file) send(w http.ResponseWriter, r *http.Request) {
	h, b := w.Header(), f.plain
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		b = f.packed
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(b) // Whoever asked may be gone.
	}
}
