package webui_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestTheLargestMessageIsShownToTheByte: what nobody touched is neither checked nor changed; a fraction and a
// unit are taken.
func TestTheLargestMessageIsShownToTheByte(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna")
	s := newSite(t, d.CA)
	const field, unit = `document.querySelector("[name=max_message_bytes]")`, `.parentElement.querySelector("select")`
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d, map[string]any{"max_message_bytes": 20000})
			is := func(want float64) {
				t.Helper()
				if got := s.ask(user, "GET", "/v1/accounts/"+id, nil)["max_message_bytes"]; got != want {
					t.Errorf("the largest message is of %v bytes, want %v", got, want)
				}
			}
			admins := func(want string) { // Administrators read the same number in the same unit.
				t.Helper()
				a := look(t, dev, s.link("root@firma.test", "--admin"))
				a.goTo("/admin/accounts/" + id)
				a.until(`[...document.querySelectorAll("main dd")].some((e) => e.textContent === ` + quote(want) + `)`)
			}
			p := look(t, dev, s.link(user))
			open := func() {
				p.until(card("Poczta") + " || document.querySelector('h1')")
				p.goTo("/accounts/" + id + "/edit")
				p.until(field)
			}
			saved := func() {
				p.press(said{"Save", "Zapisz"}.in(dev))
				p.until("location.pathname === " + quote("/accounts/"+id))
			}
			open()
			p.until(field + `.value === "20" && ` + field + unit + `.value === "kilobyte"`)
			p.enter(sayName.in(dev), "Praca")
			saved()
			is(20000)

			open()
			js[any](p, field+unit+`.value = "megabyte"; null`)
			p.hit(field)
			p.keys("a", kb.ModifierCtrl)
			p.keys(said{"1.55", "1,55"}.in(dev))
			saved()
			is(1550000)
			open()
			p.until(field + `.value === ` + quote(said{"1.55", "1,55"}.in(dev)) + ` && ` +
				field + unit + `.value === "megabyte"`)

			// The control: what was touched and is too little is refused there.
			js[any](p, field+unit+`.value = "byte"; null`)
			p.hit(field)
			p.keys("a", kb.ModifierCtrl)
			p.keys("1000")
			p.press(said{"Save", "Zapisz"}.in(dev))
			p.until(field + `.getAttribute("aria-invalid") === "true"`)
			is(1550000)

			// What is round in MiB alone, as the default is, is shown in them; and a unit may be typed.
			s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{"max_message_bytes": 50 << 20})
			p.goTo("/accounts/" + id)
			open()
			p.until(field + `.value === "50" && ` + field + unit + `.value === "mebibyte"`)
			p.until(field + unit + `.selectedOptions[0].text === "MiB"`)
			admins("50\u00a0MiB")
			p.enter(sayName.in(dev), "Dom")
			saved()
			is(50 << 20)
			open()
			p.hit(field)
			p.keys("a", kb.ModifierCtrl)
			p.keys("2,5 MB")
			p.until(field + unit + `.value === "megabyte"`)
			saved()
			is(2500000)
			admins(said{"2.5\u00a0MB", "2,5\u00a0MB"}.in(dev)) // The control: it is not MiB always.
			p.quiet()
		})
	}
}
