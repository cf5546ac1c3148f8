package webui_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// TestWhatWasLeftOutIsSaidFirst: newcomer 4. An account whose mail is too large
// is not said to be complete; all of it can be asked for at once.
func TestWhatWasLeftOutIsSaidFirst(t *testing.T) {
	t.Parallel()
	const messages = 26 // More than a page of the list.
	d := provider(t, messages, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			local := fmt.Sprintf("anna%d", i)
			user := local + "@firma.test"
			id := s.add(user, d, "Poczta", "imap", "anna", map[string]any{"max_message_bytes": 1024})
			s.state(user, id, "ok")
			left, ok := s.ask(user, "GET", "/v1/accounts/"+id+"/skipped", nil)["total"].(float64)
			if !ok || left <= 20 {
				t.Fatalf("%v messages were left out", left)
			}
			p := look(t, dev, s.link(user))
			// The card says so, and leads to them.
			skipped := fmt.Sprintf(said{"%v messages were skipped", "Pominięto %v wiadomości"}.in(dev), left)
			const onCard = `document.querySelector(".card .left-over a")`
			p.until(onCard + "?.checkVisibility() && " + onCard + ".textContent === " + quote(skipped))
			p.sound("list-left-out")
			p.hit(onCard)
			p.until("document.activeElement?.id === 'skipped' && location.pathname === " + quote("/accounts/"+id))
			p.sees(skipped)
			all := said{"Everything is here", "Wszystko jest na miejscu"}.in(dev)
			first := `document.querySelector(".why .notice").classList.contains("warn") && !document.body.innerText.includes(` +
				quote(all) + ")"
			p.until(first)
			p.sound("account-left-out")
			p.until("document.querySelectorAll('.skipped li').length === 20")
			// Which they are is said by who sent them, what about and when.
			p.until("[...document.querySelectorAll('.skipped li')].every((e) => e.querySelector('.strong').textContent && " +
				"!e.querySelector('.strong').textContent.startsWith('UID') && e.querySelector('time'))")
			p.until("[...document.querySelectorAll('.skipped li time')].every((e, i, all) => !i || " +
				"Date.parse(all[i - 1].dateTime) >= Date.parse(e.dateTime))")
			p.press(said{"Show more", "Pokaż więcej"}.in(dev))
			p.until(fmt.Sprintf("document.querySelectorAll('.skipped li').length === %v", left))
			p.press(fmt.Sprintf(said{"Fetch all of these (%v)", "Pobierz wszystkie (%v)"}.in(dev), left))
			p.until("!document.querySelector('.skipped li')")
			p.until("document.activeElement?.id === 'skipped'") // Whatever was redrawn meanwhile.
			p.sees(said{
				"None: no message was skipped.", "Brak: żadna wiadomość nie została pominięta.",
			}.in(dev))
			if got := mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", local)); len(got) != messages {
				t.Errorf("%d messages arrived, want %d", len(got), messages)
			}

			// The control: it is said when it is true, and nothing of skipping any more.
			p.sees(all)
			p.goTo("/")
			p.until(card("Poczta") + "?.dataset.skipped === '0' && !" + onCard + ".checkVisibility()")
			p.quiet()
		})
	}
}

// TestAFolderThatCannotBeReadIsNamed: an account of which something could not be read is
// not said to be up to date, and complete. The control is the same account before.
func TestAFolderThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	var remotes []string
	for i := range some(t, owners) {
		remotes = append(remotes, fmt.Sprintf("anna%d", i))
	}
	d := provider(t, 3, remotes...)
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			closed := filepath.Join(d.Store(remotes[i]), ".Closed")
			if err := os.MkdirAll(filepath.Join(closed, "cur"), 0o700); err != nil {
				t.Fatal(err)
			}
			d.Own(closed)
			user := fmt.Sprintf("jan%d@firma.test", i)
			id := s.add(user, d, "Poczta", "imap", remotes[i], nil)
			s.state(user, id, "ok")
			p := look(t, dev, s.link(user))
			p.until(card("Poczta"))
			p.until("document.querySelector('.card .state').dataset.state === 'ok'")
			p.goTo("/accounts/" + id)
			all := said{"Everything is here", "Wszystko jest na miejscu"}.in(dev)
			p.sees(all)
			if err := errors.Join(os.Chmod(closed, 0), os.Chown(closed, 0, 0)); err != nil {
				t.Fatal(err)
			}
			p.press(said{"Fetch now", "Pobierz teraz"}.in(dev))
			p.until("document.querySelector('.state').dataset.state === 'partial' && " +
				"document.querySelector('.why .notice').classList.contains('warn') && " +
				"document.querySelector('.why .mono').textContent.includes('Closed') && " +
				"!document.body.innerText.includes(" + quote(all) + ")")
			p.sound("account-partial")
			p.goTo("/")
			p.until("document.querySelector('.card .state').dataset.state === 'partial' && " +
				"document.querySelector('.card .trouble').textContent !== ''")
			// A visit whose time has come is not said to be "next, a minute ago".
			p.until("Boolean(Object.assign(document.querySelector('.card time[data-live=due]'), " +
				"{ dateTime: '2020-01-01T00:00:00Z' }))")
			p.sees(said{"next fetch as soon as its turn comes", "następne pobieranie: gdy tylko przyjdzie kolej"}.in(dev))
			p.quiet()
		})
	}
}

// TestAnAccountThatNeverSignedInClaimsNothing about mail that nobody has seen.
func TestAnAccountThatNeverSignedInClaimsNothing(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "anna")
	s := newSite(t, d.CA)
	const user = "anna@firma.test"
	id := s.add(user, d, "Poczta", "imap", "anna", map[string]any{"password": "nie to haslo", "skip_test": true})
	s.refused(user, id)
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link(user))
			p.until(card("Poczta"))
			p.goTo("/accounts/" + id)
			p.sees(said{
				"Nothing is known yet: no fetch has succeeded so far.",
				"Jeszcze nic nie wiadomo: żadne pobieranie się dotąd nie udało.",
			}.in(dev))
			for _, claim := range []said{{"Everything", "Wszystko"}, {"None:", "Brak:"}} {
				if js[bool](p, "document.querySelector('main').innerText.includes("+quote(claim.in(dev))+")") {
					t.Errorf("it is claimed: %s", claim.in(dev))
				}
			}
			p.quiet()
		})
	}
}
