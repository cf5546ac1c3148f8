package webui

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"math"
	"path"
	"strconv"
	"strings"
)

// Brand is what makes the pages the operator's own. What is empty stays ours.
type Brand struct {
	Name       string // Of the service, in the head of each page and its title.
	Logo       Logo
	Color      Color  // Of what can be done: links, buttons, the open tab.
	HelpURL    string // Pages of the operator's that the foot of each page leads to;
	PrivacyURL string // this one also where a password is asked for.
}

// ourName is the one that is shown unless the operator has one.
const ourName = "Mailbrook"

// Logo is a picture, shown beside the name at the height of a line.
type Logo struct {
	kind string // How the file's name ends: ".svg" or ".png".
	data []byte
}

// MaxLogo is what a logo may take, in octets: it comes with the first page.
const MaxLogo = 64 << 10

// NewLogo takes the content of a file, of which the name says the kind. Its errors
// say what the picture must be, to follow the file's name.
func NewLogo(name string, data []byte) (Logo, error) {
	kind := strings.ToLower(path.Ext(name))
	switch {
	case len(data) > MaxLogo:
		return Logo{}, fmt.Errorf("must have %d KiB at most: it comes with the first page", MaxLogo>>10)
	case kind == ".png" && bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")),
		kind == ".svg" && bytes.Contains(data, []byte("<svg")):
		return Logo{kind, data}, nil
	}
	return Logo{}, errors.New("must name an SVG or a PNG picture, with a name that ends in .svg or .png")
}

// Color is one of the sRGB space, or none.
type Color struct {
	set     bool
	r, g, b float64 // 0 to 255.
}

// ParseColor reads #rrggbb. Its errors say what a colour must be.
func ParseColor(text string) (Color, error) {
	hex, ok := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || len(hex) != 6 || err != nil {
		return Color{}, errors.New("must be a colour like #0b6e66")
	}
	return Color{true, float64(n >> 16), float64(n >> 8 & 255), float64(n & 255)}, nil
}

// String is the colour as ParseColor reads it.
func (c Color) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c.r)), int(math.Round(c.g)), int(math.Round(c.b)))
}

// mix is so much of another colour in c.
func (c Color) mix(o Color, part float64) Color {
	at := func(a, b float64) float64 { return math.Round(a + (b-a)*part) }
	return Color{true, at(c.r, o.r), at(c.g, o.g), at(c.b, o.b)}
}

// luminance is the relative one of WCAG 2.2.
func (c Color) luminance() float64 {
	linear := func(v float64) float64 {
		if v /= 255; v > 0.04045 {
			return math.Pow((v+0.055)/1.055, 2.4)
		}
		return v / 12.92
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// contrast is the ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b Color) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// legible is the least contrast of text (WCAG 2.2, 1.4.3), with a reserve for the
// washes that text stands on.
const legible = 5.5

// toward returns c with as little of another colour as makes it legible on a ground.
func (c Color) toward(o, ground Color) Color {
	for part := 0.0; part < 1; part += 0.02 {
		if m := c.mix(o, part); contrast(m, ground) >= legible {
			return m
		}
	}
	return o
}

var (
	white      = Color{true, 255, 255, 255}
	black      = Color{true, 0, 0, 0}
	lightPage  = Color{true, 0xf3, 0xf5, 0xf2} // As --ground has them in style.css.
	darkPage   = Color{true, 0x16, 0x21, 0x1f}
	onAccentOf = func(c Color) Color {
		if contrast(white, c) >= contrast(black, c) {
			return white
		}
		return black
	}
)

// style sets the colours that style.css has, light and dark. The operator's colour
// is darkened or lightened until text in it can be read.
func (b Brand) style() string {
	if !b.Color.set {
		return ""
	}
	set := func(accent, toward, page Color) string {
		return fmt.Sprintf(":root { --accent: %v; --accent-deep: %v; --on-accent: %v; --wash: %v; }",
			accent, accent.mix(toward, 0.25), onAccentOf(accent), page.mix(accent, 0.1))
	}
	return set(b.Color.toward(black, lightPage), black, lightPage) + "\n@media (prefers-color-scheme: dark) { " +
		set(b.Color.toward(white, darkPage), white, darkPage) + " }\n"
}

// shell fills in the page that every address answers with.
func (b Brand) shell(page []byte, prefix string) []byte {
	name := html.EscapeString(b.name())
	var more strings.Builder
	link := func(rel, address string) {
		if address != "" {
			fmt.Fprintf(&more, "<link rel=\"%s\" href=\"%s\">\n", rel, html.EscapeString(address))
		}
	}
	if b.Color.set {
		link("stylesheet", prefix+"/brand.css")
	}
	if b.Logo.kind != "" {
		link("logo", prefix+"/logo"+b.Logo.kind)
	}
	link("help", b.HelpURL)
	link("privacy-policy", b.PrivacyURL)
	icon, logo := prefix+"/icon.svg", ourLogo
	if b.Logo.kind != "" {
		icon = prefix + "/logo" + b.Logo.kind
		logo = `<img class="logo own" src="` + html.EscapeString(icon) + `" alt="">`
	}
	return []byte(strings.NewReplacer("{{assets}}", prefix, "{{name}}", name, "{{icon}}", icon,
		"{{logo}}", logo, "{{brand}}\n", more.String()).Replace(string(page)))
}

// ourLogo is what the pages draw, once they are there: see logo in assets/app.js.
const ourLogo = `<svg viewBox="0 0 32 32" class="logo" aria-hidden="true"><rect width="32" height="32" rx="8"/>` +
	`<path class="fold" d="M6 10.500 16 18l10-7.500"/><path class="waves" d="M6 18c2.500 0 2.500 2 5 2s2.500-2 5-2 ` +
	`2.500 2 5 2 2.500-2 5-2M6 23c2.500 0 2.500 2 5 2s2.500-2 5-2 2.500 2 5 2 2.500-2 5-2"/></svg>`

func (b Brand) name() string {
	if b.Name == "" {
		return ourName
	}
	return b.Name
}

// ServiceName is what the operator calls the service.
func (b Brand) ServiceName() string { return b.name() }

// LogoURI is the picture beside the name as a data: URI, for pages that load nothing.
func (b Brand) LogoURI() string {
	kind, data := b.Logo.kind, b.Logo.data
	if kind == "" {
		var err error
		if data, err = embedded.ReadFile("assets/icon.svg"); err != nil { // It is in the program: it is there.
			panic(err)
		}
		kind = ".svg"
	}
	return "data:" + kinds[kind] + ";base64," + base64.StdEncoding.EncodeToString(data)
}

// Style is CSS that sets the operator's colour, light and dark; "": there is none.
func (b Brand) Style() string { return b.style() }
