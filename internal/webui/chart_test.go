package webui_test

import (
	"math"
	"slices"
	"testing"
)

// letters are the sizes, in pixels, of the words below the page's picture. One of -1 is in the picture, and scaled with
// it, or leaves it or lies on the next.
const letters = `(() => {
	const svg = document.querySelector(".drawn svg"), card = svg.getBoundingClientRect(), range = document.createRange();
	const words = [...document.querySelectorAll(".scale span")]
		.filter((e) => e.checkVisibility({visibilityProperty: true}));
	const places = words.map((e) => (range.selectNodeContents(e), range.getBoundingClientRect()));
	const out = (at, next) => at.left < card.left - 1 || at.right > card.right + 1 || at.right > next?.left - 2;
	return [...svg.querySelectorAll("text")].map(() => -1).concat(words.map((e, i) =>
		out(places[i], places[i + 1]) ? -1 : parseFloat(getComputedStyle(e).fontSize)));
})()`

// TestTheChartAsATableStaysInItsCard: the page is no wider for it, and the chart where it was, as large as it was; its
// letters are of one size at all widths.
func TestTheChartAsATableStaysInItsCard(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	const user, size = "anna@firma.test", .86 * 16
	id := s.add(user, d, "Poczta", "imap", "anna")
	s.state(user, id, "ok")
	for _, dev := range []device{
		{name: "360-pl", width: 360, height: 740, phone: true, lang: "pl"},
		{name: "360-en", width: 360, height: 740, phone: true, lang: "en"},
		{name: "768-pl", width: 768, height: 1024, lang: "pl"},
		{name: "1280-pl", width: 1280, height: 800, lang: "pl"},
	} {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link(user, "--admin"))
			p.until("document.querySelector('main h1')")
			for _, path := range []string{"/accounts/", "/admin/accounts/"} {
				p.goTo(path + id)
				p.until("document.querySelector('.history .chart')?.getBoundingClientRect().width > 0")
				const chart, table = `document.querySelector(".chart")`, `document.querySelector(".history table")`
				at := func() []float64 {
					return js[[]float64](p, `((r) => [r.left + scrollX, r.top + scrollY, r.width, r.height,
							document.documentElement.scrollWidth])(`+chart+`.getBoundingClientRect())`)
				}
				if got := js[[]float64](p, letters); len(got) != 3 || slices.Min(got) != size || slices.Max(got) != size {
					t.Errorf("%s: letters of %v pixels, want %v", path, got, size)
				}
				before := at()
				js[any](p, table+`.closest("details").open = true; null`)
				p.until(table + ".checkVisibility()")
				for i, now := range at() {
					if math.Abs(now-before[i]) > 0.5 {
						t.Errorf("%s: the chart and the page's width were %v, and are %v", path, before, at())
						break
					}
				}
				const inside = `((e, card) => e.left >= card.left && e.right <= card.right)(` + table +
					`.parentElement.getBoundingClientRect(), ` + table + `.closest(".panel").getBoundingClientRect())`
				if !js[bool](p, inside) {
					t.Errorf("%s: the table leaves its card", path)
				}
				// The control: a table that pushes its place aside is found.
				js[any](p, table+`.parentElement.style.width = "200vw"; null`)
				if js[bool](p, inside) {
					t.Error("nothing is found of a table that is wider than its card")
				}
			}
			p.goTo("/admin/quotas")
			p.until("document.querySelector('.drawn .chart')?.getBoundingClientRect().width > 0")
			if got := js[[]float64](p, letters); len(got) < 6 || slices.Min(got) != size || slices.Max(got) != size {
				t.Errorf("/admin/quotas: letters of %v pixels, want %v", got, size)
			}
			js[any](p, `document.querySelector(".drawn svg").innerHTML += "<text>1</text>"; null`)
			if got := js[[]float64](p, letters); slices.Min(got) != -1 { // The control.
				t.Errorf("nothing is found of letters in the picture: %v", got)
			}
			p.quiet()
		})
	}
}
