package httpapi

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"

	"github.com/mailbrook/mailbrook/internal/words"
)

// standing is a page that stands by itself, without the scripts of the others: about a
// link, or about signing in.
type standing struct {
	brand     Brand
	ancestors []string
	lang      words.Language // What the browser asks for.
}

func (s *server) standing(accept *string) standing {
	return standing{s.Web.Brand, s.Web.FrameAncestors, languageOfLink(accept)}
}

// standingStyle is allowed by its digest, with the brand's, and no other style is. A language
// is shown while its button is chosen.
const standingStyle = `:root{--page:#f3f5f2;--ink:#17302e;--accent:#0b6e66;--on-accent:#fff}` +
	`@media(prefers-color-scheme:dark){:root{--page:#0e1716;--ink:#e6efec;--accent:#63cdbd;--on-accent:#06211d}}` +
	`body{font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;` +
	`max-width:36rem;margin:0 auto;padding:1rem;background:var(--page);color:var(--ink);overflow-wrap:anywhere}` +
	`header,footer,fieldset{display:flex;flex-wrap:wrap;gap:.4rem .8rem;align-items:center;border:0;padding:0;margin:0}` +
	`header img{height:1.8rem;max-width:9rem}header strong{flex:1;overflow-wrap:break-word}main{margin:2.5rem 0}` +
	`h1{font-size:1.6rem;line-height:1.2;letter-spacing:-.01em;margin:0 0 1rem}p{margin:0 0 1rem}` +
	`fieldset label{display:inline-flex;align-items:center;gap:.3rem;min-height:1.75rem}` +
	`input{accent-color:var(--accent);margin:0}a{color:var(--accent)}` +
	`button{font:inherit;font-weight:600;padding:.6rem 1.1rem;border:0;border-radius:9px;cursor:pointer;` +
	`background:var(--accent);color:var(--on-accent)}` +
	`:focus-visible{outline:3px solid var(--accent);outline-offset:2px}` +
	`body:has(#lang-en:checked) main:lang(pl),body:has(#lang-pl:checked) main:lang(en){display:none}`

const standingPage = `<!doctype html>
<html lang="%s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>%s</title>
<style>%s</style></head>
<body><header>%s<strong>%s</strong>%s</header>%s<footer>%s</footer></body></html>
`

// languages are all of them, the one that the browser asks for first.
func (p standing) languages() []words.Language {
	out := []words.Language{p.lang}
	for _, l := range words.Languages() {
		if l != p.lang {
			out = append(out, l)
		}
	}
	return out
}

func (p standing) style() string { return standingStyle + p.brand.Style }

// headers sets those of the page; what else than look like something it may do is in
// further.
func (p standing) headers(w http.ResponseWriter, further string) {
	forPeople(w, p.lang, p.ancestors, "style-src "+digestOf(p.style())+"; img-src data:; "+further)
}

// page is the whole of it around its parts; choice is the one of the language, or nothing.
func (p standing) page(title, parts string, choice ...string) string {
	logo, foot := "", ""
	if p.brand.Logo != "" {
		logo = `<img src="` + html.EscapeString(p.brand.Logo) + `" alt="">`
	}
	for _, link := range [][2]string{
		{p.brand.HelpURL, words.Standing.Help.In(p.lang)}, {p.brand.PrivacyURL, words.Standing.Privacy.In(p.lang)},
	} {
		if link[0] != "" {
			foot += fmt.Sprintf(`<a href="%s" rel="noreferrer">%s</a>`, html.EscapeString(link[0]), link[1])
		}
	}
	return fmt.Sprintf(standingPage, p.lang, title, p.style(), logo, html.EscapeString(p.brand.Name),
		strings.Join(choice, ""), parts, foot)
}

// write answers with a page that can be read in every language. The one that the browser
// asks for comes first; to choose another needs no script.
func (p standing) write(w http.ResponseWriter, status int, say func(lang words.Language) (title, body string)) error {
	var choice, parts strings.Builder
	fmt.Fprintf(&choice, `<fieldset aria-label="%s">`, words.Standing.Language.In(p.lang))
	for i, l := range p.languages() {
		title, body := say(l)
		checked := ""
		if i == 0 {
			checked = " checked"
		}
		fmt.Fprintf(&choice, `<label lang="%[1]s"><input type="radio" name="lang" id="lang-%[1]s"%[2]s>%[3]s</label>`, l,
			checked, l.Name())
		fmt.Fprintf(&parts, `<main lang="%s"><h1>%s</h1>%s</main>`, l, title, body)
	}
	choice.WriteString("</fieldset>")
	title, _ := say(p.lang)
	p.headers(w, "")
	w.WriteHeader(status)
	_, err := io.WriteString(w, p.page(title, parts.String(), choice.String()))
	return err
}
