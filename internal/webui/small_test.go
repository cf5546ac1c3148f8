package webui_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestSmallThingsOnThePages: newcomer §2.
func TestSmallThingsOnThePages(t *testing.T) {
	t.Parallel()
	d := provider(t, 7, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna")
	s.state(user, id, "ok")
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := s.shown(t, dev, user)

			// Who is signed in can be seen, on a phone, too.
			const who = `document.querySelector(".me .who")`
			p.until(who + ".checkVisibility() && " + who + ".textContent === " + quote(user))
			// No separator is left hanging at a line's end, and no unit is broken in two.
			if js[bool](p, `[...document.querySelectorAll(".facts span")].some(
				(e) => getComputedStyle(e, "::after").content !== "none")`) {
				t.Error("something is put behind the facts of a card")
			}
			p.until(wholeSizes(".facts"))
			p.sound("list-small")

			// A menu that was opened where nothing had the focus gives it to its account.
			if !dev.phone {
				js[any](p, "document.activeElement.blur(); null")
				x, y := p.place(card("Poczta"))
				p.do(chromedp.MouseClickXY(x, y, chromedp.ButtonType("right")))
				p.until("document.activeElement?.getAttribute('role') === 'menuitem'")
				p.keys(kb.Escape)
				p.until("!document.querySelector('.menu')")
				p.until("document.activeElement === " + card("Poczta") + ".querySelector('h2 a')")
			}

			p.goTo("/accounts/" + id)
			p.until(wholeSizes(".page-head .who"))

			// Folders to choose from belong to IMAP; what POP3 changes is said.
			p.goTo("/accounts/" + id + "/edit")
			const folders = `document.querySelector("fieldset.folders").checkVisibility()`
			only := said{
				"Only the inbox is fetched from then on.", "Odtąd pobierana będzie tylko skrzynka odbiorcza.",
			}.in(dev)
			tells := "document.querySelector('main').innerText.includes(" + quote(only) + ")"
			p.until(folders + " && !" + tells) // The control.
			p.press(said{"Only the inbox (POP3)", "Tylko skrzynka odbiorcza (POP3)"}.in(dev))
			p.until("!" + folders + " && " + tells)
			p.sound("edit-pop3")
			p.press(said{"All folders (IMAP)", "Wszystkie foldery (IMAP)"}.in(dev))
			p.until(folders + " && !" + tells)
			p.quiet()
		})
	}
}

// TestNoPressOnContinueIsLost to a page that moves the button away under the
// pointer, newcomer 15: what is recognised comes between pressing and letting go.
func TestNoPressOnContinueIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		if dev.phone {
			continue // A finger's target is where it came down.
		}
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			for _, away := range []bool{false, true} {
				p.enter(sayEmail.in(dev), "anna")
				p.until("!document.querySelector('.recognised .notice')")
				p.keys("@gmail.com")
				x, y := p.place(named(sayContinue.in(dev)))
				mouse := func(kind input.DispatchMouseEventType, y float64) {
					call(p, input.DispatchMouseEvent, input.DispatchMouseEventParams{
						Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1,
					})
				}
				mouse(input.DispatchMouseEventTypeMousePressed, y)
				p.until("document.querySelector('.recognised .notice')")
				if away { // The control: who lets go elsewhere has thought better of it.
					mouse(input.DispatchMouseEventTypeMouseMoved, 5)
					mouse(input.DispatchMouseEventTypeMouseReleased, 5)
					p.until(noPassword)
					continue
				}
				mouse(input.DispatchMouseEventTypeMouseReleased, y)
				p.until("document.activeElement?.name === 'password'")
			}
			p.quiet()
		})
	}
}

// TestAFingerPressesContinueOnce: the mouse events that a browser sends after a
// touch neither press again nor take the focus, and what is typed, elsewhere.
func TestAFingerPressesContinueOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		if !dev.phone {
			continue
		}
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			js[any](p, `window.presses = 0; addEventListener("submit", () => { window.presses += 1; }, true); null`)
			for i := range 3 {
				p.enter(sayEmail.in(dev), fmt.Sprintf("anna@firma%d.test", i))
				p.press(sayContinue.in(dev))
				p.until("document.activeElement?.name === 'password'")
				p.keys("haslo")
				if got := p.holds(sayPassword.in(dev)); got != "haslo" {
					t.Errorf("the password's field holds %q", got)
				}
				if n := js[float64](p, "window.presses"); n != float64(i+1) {
					t.Errorf("%v presses after %d", n, i+1)
				}
			}

			// The control: a button that is not held steady is pressed by those mouse events.
			js[any](p, `window.clicks = 0; const b = document.querySelector(".reveal");
				b.addEventListener("click", () => { window.clicks += 1; }); null`)
			p.hit("document.querySelector('.reveal')")
			p.until("window.clicks === 1 && document.activeElement.classList.contains('reveal')")
			p.quiet()
		})
	}
}

// wholeSizes says that each size below an element stands on one line.
func wholeSizes(selector string) string {
	return `(() => {
		const texts = document.createTreeWalker(document.querySelector(` + quote(selector) + `), NodeFilter.SHOW_TEXT);
		let sizes = 0;
		while (texts.nextNode()) for (const m of texts.currentNode.data.matchAll(/[\d.,]+\u00a0[kMG]?B/g)) {
			const r = document.createRange();
			r.setStart(texts.currentNode, m.index);
			r.setEnd(texts.currentNode, m.index + m[0].length);
			if (r.getClientRects().length !== 1) return false;
			sizes += 1;
		}
		return sizes > 0;
	})()`
}

// TestAPageThatFailedComesBackByItself once the server is there again.
func TestAPageThatFailedComesBackByItself(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna")
	s.state(user, id, "ok")
	p := look(t, desktop, s.link(user))
	p.until(card("Poczta"))
	s.kill()
	p.do(chromedp.Evaluate[chromedp.Void]("history.pushState(null, '', '/accounts/" + id +
		"'); window.dispatchEvent(new PopStateEvent('popstate'))"))
	p.until("document.querySelector('main [data-failed]')") // The control: the page is not there.
	s.serve()
	p.until("document.querySelector('h1').textContent === 'Poczta' && document.querySelector('.tree')")
}

// TestATimeToComeIsRoundedUpAsInItsSentence: two numbers for one time are one too many.
func TestATimeToComeIsRoundedUpAsInItsSentence(t *testing.T) {
	t.Parallel()
	p := look(t, desktop, newSite(t, nil).link("anna@firma.test"))
	p.until("document.querySelector('.empty')")
	module := `import(document.querySelector('link[href$="/i18n.js"]').href)`
	for seconds, want := range map[int]string{
		19*3600 + 59*60: "in 20 hours", 75 * 60: "in 75 minutes", 91 * 60: "in 2 hours", 61: "in 2 minutes",
		-119 * 60: "1 hour ago", -119: "1 minute ago",
	} {
		got := js[string](p, module+fmt.Sprintf(".then((m) => m.when(new Date(%d * 1000), 0))", seconds))
		if got != want {
			t.Errorf("%d seconds from now are %q, want %q", seconds, got, want)
		}
	}
}

// TestTheFocusStaysNearWhatWasDone: what takes away the button that was pressed leaves the focus beside it, and not on
// the body of the page.
func TestTheFocusStaysNearWhatWasDone(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d)
			s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{"enabled": false})
			p := look(t, dev, s.link(user))
			p.goTo("/accounts/" + id)
			p.until("document.querySelector('.why button')")
			js[any](p, "document.querySelector('.why button').focus(); null")
			p.keys(kb.Enter)
			p.until("!document.querySelector('.why button') && document.activeElement?.id === 'why'")
			p.goTo("/")
			p.until(card("Poczta"))
			p.press(said{"Delete Poczta", "Usuń konto „Poczta”"}.in(dev))
			p.until("document.querySelector('dialog .danger')")
			js[any](p, "document.querySelector('dialog .danger').focus(); null")
			p.keys(kb.Enter)
			p.until("!document.querySelector('dialog') && !document.querySelector('.card') && " +
				"document.activeElement?.tagName === 'H1'")
			p.quiet()

			admin := look(t, dev, s.link("root@firma.test", "--admin"))
			admin.goTo("/admin/users/" + user)
			admin.until("document.querySelector('.limit button')")
			admin.hit("document.querySelector('.limit button')")
			admin.until("document.querySelector('.limit form')")
			js[any](admin, `document.querySelector('.limit input').value = "2"; null`)
			admin.hit("document.querySelector('.limit form button[type=submit]')")
			admin.until("!document.querySelector('.limit form')")
			asked := js[int](admin, quotaLooks)
			admin.until(fmt.Sprintf("%s > %d + 1", quotaLooks, asked)) // The page looks every few seconds.
			admin.until("document.activeElement?.closest('.limit')")
			admin.quiet()
		})
	}
}

// quotaLooks is how often the page has asked for a user's quota.
const quotaLooks = `performance.getEntriesByType("resource").filter((e) => e.name.includes("/v1/admin/quotas/")).length`
