package webui_test

import (
	"fmt"
	"net"
	"testing"
)

// toast is what is shown at the edge of the page, if it can be seen.
const toast = `[...document.querySelectorAll("#toasts .toast")].find((e) => {
	const r = e.getBoundingClientRect();
	return e.checkVisibility() && r.width > 0 && r.left >= 0 && r.right <= innerWidth && r.top >= 0 &&
		r.bottom <= innerHeight;
})`

// seesDone waits until a success can be seen and is announced to people who listen.
func (p *tab) seesDone(text string) {
	p.tb.Helper()
	p.until("(" + toast + ")?.innerText.includes(" + quote(text) + ")")
	p.hears(text)
}

// TestSuccessCanBeSeen: newcomer 14. What was done is said where it is seen as well
// as to those who listen, also on the page that comes next.
func TestSuccessCanBeSeen(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d)
			p := s.shown(t, dev, user)
			if js[bool](p, "Boolean("+toast+")") { // The control.
				t.Error("something is said before anything was done")
			}
			js[any](p, `window.heard = []; ((e) => new MutationObserver(() =>
				window.heard.push(e.textContent.replaceAll("\u00a0", " "))).observe(e, {childList: true})
			)(document.getElementById("said")); null`)
			p.press(said{"Fetch now: Poczta", "Pobierz teraz: Poczta"}.in(dev))
			asked := quote(said{"Poczta will be fetched in a moment.", "Poczta: pobieranie za chwilę."}.in(dev))
			p.until("(" + toast + ")?.innerText.includes(" + asked + ")")
			p.until("window.heard.some((e) => e.includes(" + asked + "))") // The fetch itself is said soon after.
			p.sound("toast")
			p.press(said{"Close", "Zamknij"}.in(dev))
			p.until("!(" + toast + ")")
			p.press(said{"Fetching on: Poczta", "Pobieranie włączone: Poczta"}.in(dev))
			p.seesDone(said{"Poczta is paused.", "Poczta: wstrzymane."}.in(dev))

			p.goTo("/accounts/" + id + "/edit")
			p.until("!(" + toast + ")") // It belonged to the page before.
			p.enter(sayName.in(dev), "Domowa")
			p.press(said{"Save", "Zapisz"}.in(dev))
			p.seesDone(said{"Saved.", "Zapisano."}.in(dev))
			p.press(said{"Delete Domowa", "Usuń konto „Domowa”"}.in(dev))
			p.press(said{"Delete the account", "Usuń konto"}.in(dev))
			p.seesDone(said{"Domowa is deleted.", "Usunięto konto „Domowa”."}.in(dev))
			p.quiet()
		})
	}
}

// silent is the port of a server that takes connections and says nothing.
func silent(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
		<-over
	})
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("listening at %v", l.Addr())
	}
	return addr.Port
}

// TestTheStepsOfATestTickAsTheyEnd: newcomer 17. While the server is silent, what went
// well before is ticked, and what is waited for is named.
func TestTheStepsOfATestTickAsTheyEnd(t *testing.T) {
	t.Parallel()
	port := silent(t)
	s := newSite(t, nil)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := s.adding(t, dev)
			p.enter(sayEmail.in(dev), "anna@dostawca.test")
			p.press(sayContinue.in(dev))
			p.enter(sayPassword.in(dev), "haslo")
			p.press(sayContinue.in(dev))
			p.until(labelled(sayName.in(dev)))
			p.enter(sayServer.in(dev), "localhost")
			p.enter("Port", fmt.Sprint(port))
			p.press(sayFinish.in(dev))
			step := func(n int, class string) string {
				return fmt.Sprintf("document.querySelectorAll('.steps li')[%d].className === %q", n, class)
			}
			p.until(step(0, "done") + " && " + step(1, "done") + " && " + step(2, "running") + " && " + step(3, "waiting"))
			p.sound("test-running")
			p.press(said{"Cancel", "Anuluj"}.in(dev))
			p.until("!document.querySelector('dialog[open]')")

			// An old error goes once what it is about changes.
			p.enter("Port", "1")
			p.press(sayFinish.in(dev))
			p.press(said{"Fix it", "Popraw"}.in(dev))
			const wrong = `document.querySelector("form [aria-invalid]") && document.querySelector(".trouble-box .notice")`
			p.until(wrong)
			p.enter("Port", "2")
			p.until(`!document.querySelector("form [aria-invalid]") && !document.querySelector(".trouble-box .notice")`)
			p.quiet()
		})
	}
}
