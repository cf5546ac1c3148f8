package webui_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const reached = `JSON.stringify([...new Set(keyboard.faults.concat(keyboard.wanted.filter((k) => !keyboard.got.has(k))
	.map((k) => "keyboard: not reached is " + k)))])`

// script reads what is evaluated in a page.
func (p *tab) script(name string) string {
	p.tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(text)
}

// faults are what is wrong with the page as it is, by axe and by eye.
func (p *tab) faults() []string {
	p.tb.Helper()
	p.still()
	return p.list(p.script("lookedat.js"))
}

// unreached is what the keyboard does not reach, or reaches unseen.
func (p *tab) unreached() []string {
	p.tb.Helper()
	n := int(js[float64](p, p.script("reachable.js")))
	key := kb.Tab
	if js[bool](p, "Boolean(document.querySelector('[role=menu]'))") {
		key = kb.ArrowDown
	}
	p.keys(strings.Repeat(key, n+3))
	return p.list(reached)
}

func (p *tab) list(expression string) []string {
	p.tb.Helper()
	var list []string
	if err := json.Unmarshal([]byte(js[string](p, expression)), &list); err != nil {
		p.tb.Fatal(err)
	}
	return list
}

// fresh opens a page as if nothing had been typed in this tab before.
func (p *tab) fresh(address string) {
	p.tb.Helper()
	js[any](p, "try { sessionStorage.clear(); } catch {} null")
	p.do(chromedp.Navigate(address))
	p.until("document.querySelector('main h1') && !document.querySelector('main[aria-busy]')")
}
