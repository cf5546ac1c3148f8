package webui_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/webui"
)

const wave = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">` +
	`<circle cx="4" cy="4" r="4" fill="#6a1b9a"/></svg>`

func TestThePagesHaveTheOperatorsNameLogoColourAndLinks(t *testing.T) {
	t.Parallel()
	logo := filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte(wave), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, nil, "WEB_BRAND_NAME=Poczta <Firma>", "WEB_BRAND_LOGO="+logo, "WEB_BRAND_COLOR=#ffd400",
		"WEB_BRAND_HELP_URL=https://firma.test/pomoc", "WEB_BRAND_PRIVACY_URL=https://firma.test/rodo?a=1&b=2")
	for _, dev := range looks {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("anna@firma.test"))
			p.until("document.querySelector('.empty')")
			p.sees("Poczta <Firma>")
			p.until(`document.title.endsWith(" · Poczta <Firma>")`)
			p.until("document.querySelector('.brand img')?.naturalWidth > 0")
			p.sound("brand-list")
			p.goTo("/accounts/new")
			for _, to := range []string{"https://firma.test/pomoc", "https://firma.test/rodo?a=1&b=2"} {
				p.until("document.querySelector(" + quote(".foot a[href='"+to+"'][rel=noopener]") + ")")
			}
			p.enter(sayEmail.in(dev), "anna@dostawca.test")
			p.press(sayContinue.in(dev))
			p.until("document.querySelector('form a[href^=\"https://firma.test/rodo\"]')?.checkVisibility()")
			p.sound("brand-wizard")
			if text := p.reads(); strings.Contains(text, "Mailbrook") {
				t.Errorf("our own name is on the page: %s", text)
			}
			p.quiet()
		})
	}
}

// The control: what is said where the operator has set nothing.
func TestThePagesBearOurNameUnlessThereIsAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.sees("Mailbrook")
	p.goTo("/accounts/new")
	if js[bool](p, "Boolean(document.querySelector('.foot'))") {
		t.Error("there is a foot without anything in it")
	}
	p.enter("E-mail address", "anna@dostawca.test")
	p.press("Continue")
	p.press("What happens to the password")
	p.until("document.querySelector('dialog[open]')")
	p.sees("When you delete the account here, it is erased.")
	p.press("Close")
	p.until("!document.querySelector('dialog[open]') && document.activeElement?.textContent === " +
		`"What happens to the password"`)
	p.quiet()
}

func TestABrandChangesTheAddressesOfTheAssetsAndNothingOfThePolicy(t *testing.T) {
	color, err := webui.ParseColor("#6a1b9a")
	if err != nil {
		t.Fatal(err)
	}
	logo, err := webui.NewLogo("a.SVG", []byte(wave))
	if err != nil {
		t.Fatal(err)
	}
	plain := served(webui.Handler(webui.Options{}), "GET", "/", "")
	h := webui.Handler(webui.Options{Brand: webui.Brand{Name: `"><script>`, Color: color, Logo: logo}})
	w := served(h, "GET", "/", "")
	if plain.Header().Get("Content-Security-Policy") != w.Header().Get("Content-Security-Policy") {
		t.Error("another policy")
	}
	shell := w.Body.String()
	if strings.Contains(shell, "<script>") || strings.Contains(shell, "{{") ||
		strings.Contains(plain.Body.String(), "{{") {
		t.Errorf("the shell: %s", shell)
	}
	for _, a := range address.FindAllStringSubmatch(shell, -1) {
		if got := served(h, "GET", a[1], ""); got.Code != http.StatusOK {
			t.Errorf("%s: %d", a[1], got.Code)
		}
		if strings.Contains(plain.Body.String(), a[1]) {
			t.Errorf("%s is what it was, and is kept for ever", a[1])
		}
	}
	if w := served(h, "GET", "/nothing", ""); strings.Contains(w.Body.String(), "Mailbrook") {
		t.Error("our own name where there is no page")
	}
}

func TestWhatABrandMayNotBeIsRefused(t *testing.T) {
	for _, text := range []string{"", "0b6e66", "#0b6", "#0b6e6g", "#0b6e66ff", "red", "#+b6e66"} {
		if c, err := webui.ParseColor(text); err == nil {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
	for name, data := range map[string]string{
		"logo.gif": "GIF89a", "logo.svg": "<html>", "logo.png": "<svg/>", "logo": wave,
		"big.svg": wave + strings.Repeat(" ", 64<<10),
	} {
		if _, err := webui.NewLogo(name, []byte(data)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, text := range []string{"#000000", "#ffffff", "#0B6E66"} {
		if c, err := webui.ParseColor(text); err != nil || fmt.Sprint(c) != strings.ToLower(text) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}
