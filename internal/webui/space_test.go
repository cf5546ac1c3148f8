package webui_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// TestSpaceAddsUpAndIsFresh: newcomer 16. What is shown after a fetch is what lies in
// the mailbox, and the accounts' shares and the user's own mail add up to it.
func TestSpaceAddsUpAndIsFresh(t *testing.T) {
	t.Parallel()
	const messages = 9
	d := provider(t, messages, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			local := fmt.Sprintf("anna%d", i)
			user := local + "@firma.test"
			p := look(t, dev, s.link(user))
			p.sees(said{"Read all your mail in one place", "Cała poczta w jednym miejscu"}.in(dev))
			if js[bool](p, "document.querySelector('#space').checkVisibility()") { // The control.
				t.Error("there is space of a mailbox that holds nothing")
			}
			s.add(user, d, "Poczta", "imap", "anna")
			s.add(user, d, "Druga", "pop3", "anna", map[string]any{"email": "druga@poczta.example.test"})
			for _, name := range []string{"Poczta", "Druga"} {
				p.until(card(name) + "?.dataset.state === 'ok'")
			}
			held := len(mailtest.ReadMaildir(t, filepath.Join(s.data(), "mail", "firma.test", local)))
			p.until(fmt.Sprintf("document.querySelector('#space .quota-words span').textContent.startsWith('%d ')", held))
			p.sound("space")
			// What lies there is less than what was fetched as soon as somebody deletes mail: no word may stand for both.
			fetched := quote(said{"fetched so far", "pobrano dotąd"}.in(dev))
			p.until(card("Poczta") + ".querySelector('.facts').textContent.includes(" + fetched + ") && " +
				"!document.querySelector('#space').textContent.includes(" + fetched + ")")

			q := s.ask(user, "GET", "/v1/quota", nil)
			used, ok := q["used_bytes"].(float64)
			shares, isList := q["accounts"].([]any)
			if !ok || !isList || len(shares) != 2 {
				t.Fatalf("the quota is %v", q)
			}
			sum := 0.0
			for _, share := range shares {
				bytes, ok := share.(map[string]any)["bytes"].(float64)
				if !ok || bytes <= 0 {
					t.Errorf("a share is %v", share)
				}
				sum += bytes
			}
			if sum != used { // Nobody but these accounts brings mail here.
				t.Errorf("the shares are %v, and all is %v", sum, used)
			}
			p.quiet()
		})
	}
}
