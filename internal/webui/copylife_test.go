package webui_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// TestACopysWholeLifeByMouse: the seed's way from end to end. Somebody copies a mailbox into the own one, closes the
// page, sees with the code that it is over, without being signed in, and reads the report; what came since comes by
// Synchronise, and nothing twice.
func TestACopysWholeLifeByMouse(t *testing.T) {
	t.Parallel()
	d := provider(t, 12, "anna")
	s := newSite(t, d.CA)
	box := filepath.Join(s.data(), "mail", "firma.test", "anna")
	trusting := d.CA.Client()
	remote := func() string { return mailtest.Snapshot(t, d.Addr("imaps"), trusting, "anna", d.Users["anna"]) }
	before := remote()

	p := look(t, desktop, s.link(copyUser))
	p.press("Copies")
	p.sees("Bring all your mail with you")
	p.press("Copy a mailbox")
	p.enter(sayOldAddress.en, "anna@poczta.example.test")
	p.press("Continue")
	p.enter("Password", d.Users["anna"])
	p.press("Continue")
	p.settings("localhost", d.IMAPS, "anna")
	p.press(sayCheck.en)
	p.until("document.querySelector('input[name=where]')")
	p.press("Continue")
	p.until(planned)
	p.press("Continue")
	p.press(sayStart.en)
	p.until("document.getElementById('code')?.textContent.length > 10")
	code := js[string](p, "document.getElementById('code').textContent")
	p.press("See how it goes")
	address := js[string](p, "location.pathname")
	p.do(chromedp.Navigate("about:blank")) // The page is closed.

	q := look(t, phone, s.addr+"/copies/status")
	q.enter(sayOldAddress.en, "anna@poczta.example.test")
	q.enter(sayCode.en, strings.ToLower(code))
	q.press("Show")
	q.until("document.querySelector('.state[data-copy=completed]')")
	q.sees("Perfect")
	q.quiet()

	p = look(t, desktop, s.link(copyUser))
	p.goTo(address)
	p.sees("What came of it")
	p.until("document.querySelector('.notice.good')")
	p.press("Synchronise")
	p.sees("What came since is copied")
	p.until("document.querySelector('.state[data-copy=completed]')")
	p.quiet()

	// Each message as often as it is there; the copy's own, of its beginning and its end, are others.
	times := map[[32]byte]int{}
	for _, m := range mailtest.ReadIMAP(t, d.Addr("imaps"), trusting, "anna", d.Users["anna"]) {
		times[m.SHA]++
	}
	for _, m := range mailtest.ReadMaildir(t, box) {
		if _, ok := times[m.SHA]; ok {
			times[m.SHA]--
		}
	}
	for sha, n := range times {
		if n != 0 {
			t.Errorf("of %x %d are missing", sha[:4], n)
		}
	}
	if remote() != before {
		t.Error("something at the source is not as it was")
	}
}
