package webui_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// downloads has files of this window kept in a directory, and returns the names of those
// that are whole.
func (p *tab) downloads(dir string) <-chan string {
	p.tb.Helper()
	p.profile.spent = true
	whole, told := make(chan string, 1), true
	err := chromedp.ListenBrowser(p.ctx, func(ev any) {
		e, ok := ev.(*browser.EventDownloadProgress)
		if !ok || e.State != browser.DownloadProgressStateCompleted {
			return
		}
		if _, err := os.Stat(filepath.Join(dir, e.GUID)); err == nil { // Other windows have their own.
			select {
			case whole <- e.GUID:
			default:
			}
		}
	})
	if err == nil {
		_, err = chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior:         browser.SetDownloadBehaviorBehaviorAllowAndName,
			BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID, DownloadPath: dir, EventsEnabled: &told,
		})
	}
	if err != nil {
		p.tb.Fatalf("keeping downloads: %v", err)
	}
	return whole
}

// On the page of a user administrators take away all that is stored about it, by keyboard
// and by pointer; it is written down, and the page stays.
func TestAdministratorsExportAUser(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna")
	s := newSite(t, d.CA)
	s.add("anna@firma.test", d, "Poczta", "imap", "anna")
	for _, dev := range []device{
		{name: "1280-en", width: 1280, height: 800, lang: "en"},
		{name: "360-pl", width: 360, height: 740, phone: true, lang: "pl", dark: true},
	} {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			dir := t.TempDir()
			whole := p.downloads(dir)
			p.goTo("/admin/users/anna@firma.test")
			p.until("document.querySelector('#accounts tbody tr')")
			name := said{"Export data", "Eksportuj dane"}.in(dev)
			p.sound("admin-user-export")
			for _, press := range []func(){
				func() { p.tabTo(named(name)); p.keys("\r") }, func() { p.press(name) },
			} {
				press()
				file := ""
				select {
				case file = <-whole:
				case <-p.ctx.Done():
					t.Fatalf("nothing was taken away: %v", p.ctx.Err())
				}
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				var got struct {
					User     string
					Complete bool
					Accounts []struct{ Email string }
				}
				if err := json.Unmarshal(text, &got); err != nil || got.User != "anna@firma.test" || !got.Complete ||
					len(got.Accounts) != 1 {
					t.Errorf("%v: %s", err, text)
				}
			}
			p.until("location.pathname.startsWith('/admin/users/') && document.querySelector('#accounts tbody tr')")
			p.quiet()
		})
	}
}
