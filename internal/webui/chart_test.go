package webui_test

import (
	"math"
	"testing"
)

// TestTheChartAsATableStaysInItsCard: the page is no wider for it, and the chart where it was, as large as it was.
func TestTheChartAsATableStaysInItsCard(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
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
			p.quiet()
		})
	}
}
