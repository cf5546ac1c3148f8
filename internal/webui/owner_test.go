package webui_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestTheCardAndTheSpaceAgreeAfterAChangeOfProtocol: a newcomer in Polish, 5. The control is
// that the change brought a journal of its own: the account was visited once more.
func TestTheCardAndTheSpaceAgreeAfterAChangeOfProtocol(t *testing.T) {
	t.Parallel()
	d := provider(t, 9, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d)
			totals := func() (messages, bytes float64) {
				t.Helper()
				status, isStatus := s.ask(user, "GET", "/v1/accounts/"+id, nil)["status"].(map[string]any)
				sums, isSums := status["totals"].(map[string]any)
				messages, isCount := sums["messages"].(float64)
				bytes, isSize := sums["bytes"].(float64)
				if !isStatus || !isSums || !isCount || !isSize {
					t.Fatalf("the status is %v", status)
				}
				return messages, bytes
			}
			before, _ := totals()
			visited := func() any {
				status, ok := s.ask(user, "GET", "/v1/accounts/"+id, nil)["status"].(map[string]any)
				if !ok || status["state"] != "ok" {
					return nil
				}
				return status["last_success_at"]
			}
			for _, to := range []string{"pop3", "imap"} {
				port, last := map[string]int{"imap": d.IMAPS, "pop3": d.POP3S}[to], visited()
				s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{
					"protocol": to, "password": d.Users["anna"],
					"server": map[string]any{"host": "localhost", "port": port, "security": "tls"},
				})
				s.eventually("the account was visited by "+to, func() bool {
					at := visited()
					return at != nil && at != last
				})
				quota := s.ask(user, "GET", "/v1/quota", nil)
				messages, bytes := totals()
				if messages != before || bytes != quota["used_bytes"] || messages != quota["used_messages"] {
					t.Errorf("by %s the account brought %v messages, %v octets, and %v lie there", to, messages, bytes, quota)
				}
			}
			p := s.shown(t, dev, user)
			p.until(`(() => { const size = (e) => e?.textContent.match(/[\d.,]+\s[kM]?B/)?.[0];
				const at = size(document.querySelector("#space .quota-words strong"));
				return at && ` + card("Poczta") + `.querySelector(".facts").textContent.includes(at); })()`)
			p.quiet()
		})
	}
}

// TestMailThatLiesElsewhereIsNotSaidToBeHere: an account that was deleted and added again under another name does not
// fetch again what was kept, and says that its folder does not hold it; before it has signed in, it claims nothing.
// The control is the account before, whose mail is all here.
func TestMailThatLiesElsewhereIsNotSaidToBeHere(t *testing.T) {
	t.Parallel()
	d := provider(t, 2, "ewa")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user := fmt.Sprintf("ewa%d@firma.test", i)
			id := s.add(user, d, "Ewa", "imap", "ewa")
			s.state(user, id, "ok")
			p := look(t, dev, s.link(user))
			p.goTo("/accounts/" + id)
			all := said{"Everything is here", "Wszystko jest na miejscu"}.in(dev)
			p.sees(all)
			p.press(said{"Delete Ewa", "Usuń konto „Ewa”"}.in(dev))
			p.sees(said{"within 30 days", "w ciągu 30 dni"}.in(dev))
			p.press(said{"Delete the account", "Usuń konto"}.in(dev))
			p.until("location.pathname === '/'")

			// Not signed in: nothing is claimed.
			refused := s.add(user, d, "Firma Ewa", "imap", "ewa", map[string]any{"password": "nie to haslo", "skip_test": true})
			s.refused(user, refused)
			p.until(card("Firma Ewa") + "?.dataset.state === 'needs_attention'")
			fetched := said{"fetched so far", "pobrano dotąd"}.in(dev)
			if js[bool](p, card("Firma Ewa")+".innerText.includes("+quote(fetched)+")") {
				t.Error("an account that never signed in claims to have fetched mail")
			}
			s.ask(user, "PATCH", "/v1/accounts/"+refused, map[string]any{"password": d.Users["ewa"]})
			s.state(user, refused, "ok")
			p.goTo("/accounts/" + refused)
			p.sees(said{"holds 0 now", "jest teraz 0."}.in(dev))
			p.sees(said{"goes to “Firma Ewa”", "trafia do folderu „Firma Ewa”"}.in(dev))
			if js[bool](p, "document.body.innerText.includes("+quote(all)+")") {
				t.Error("all of it is said to be here")
			}
			p.sound("account-elsewhere")
			p.quiet()
		})
	}
}

// TestWhatAnAccountIsCanBeSeen: a newcomer in Polish, 7 and 8: where it is visited, whether it is,
// and what the button does, at every width.
func TestWhatAnAccountIsCanBeSeen(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user, id := s.fetched(i, d)
			p := s.shown(t, dev, user)
			p.until(card("Poczta") + `.innerText.includes(` + quote(said{"Fetch now", "Pobierz teraz"}.in(dev)) + ")")
			reads := func(word said) {
				t.Helper()
				p.until(card("Poczta") + `.querySelector(".switch-word").checkVisibility() && ` + card("Poczta") +
					`.querySelector(".switch-word").textContent === ` + quote(word.in(dev)))
			}
			reads(said{"on", "włączone"})
			p.sound("card-words")
			p.hit(card("Poczta") + `.querySelector(".switch-word")`)
			reads(said{"off", "wstrzymane"}) // The control: it says how it stands.
			p.goTo("/accounts/" + id)
			p.until(fmt.Sprintf(`document.querySelector(".page-head .server").textContent === "localhost:%d"`, d.IMAPS))
			p.sound("account-server")
			p.quiet()
		})
	}
}

// TestSettingsSayWhatIsWrongOnce: a newcomer in Polish, 9. What a test found stands above the
// fields, not once more at one, and is gone while it is tried again; a folder whose parent has no
// line stands at the margin; folders that are not there are reported although the test went well.
func TestSettingsSayWhatIsWrongOnce(t *testing.T) {
	t.Parallel()
	d := provider(t, 3, "anna")
	s := newSite(t, d.CA)
	for i, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			user := fmt.Sprintf("anna%d@firma.test", i)
			id := s.add(user, d, "Poczta", "imap", "anna", map[string]any{
				"folders": map[string]any{"include": []string{"INBOX", "Nie ma"}, "exclude": []string{}},
			})
			p := look(t, dev, s.link(user))
			p.until(card("Poczta"))
			p.goTo("/accounts/" + id + "/edit")
			p.until(`document.querySelector("[name=password]")`)
			p.until(`[...document.querySelectorAll(".folders label")].every((e, i, all) => {
				const name = (x) => x.querySelector("span").textContent;
				const above = all.filter((x) => name(e).startsWith(name(x) + "/")).length;
				return above ? e.classList.contains("depth-" + Math.min(4, above)) : e.classList.contains("depth-0");
			})`)
			password := said{"Password", "Hasło"}.in(dev)
			p.enter(password, "nie to haslo")
			save, fix := said{"Save", "Zapisz"}.in(dev), said{"Fix it", "Popraw"}.in(dev)
			p.press(save)
			p.until(`document.querySelector("dialog .notice.bad")`)
			p.press(fix)
			p.until(`document.querySelector(".trouble-box .notice.bad .strong")`)
			const bad = `document.querySelector("[name=password]").closest(".field").querySelector(".error")`
			p.until(bad + ".textContent === " + quote(said{"Enter the password again.", "Wpisz hasło jeszcze raz."}.in(dev)))
			p.sound("edit-wrong-once")
			p.press(save)
			p.until(`document.querySelector("dialog")`)
			p.until(bad + `.textContent === "" && !document.querySelector(".trouble-box").textContent`)
			p.until(`document.querySelector("dialog .notice.bad")`)
			p.press(fix)
			p.until(bad + ".textContent !== ''") // The control: it is said again.

			p.enter(password, d.Users["anna"])
			p.press(save)
			p.until("(" + toast + ")?.innerText.includes('Nie ma')")
			p.quiet()
		})
	}
}

// TestAdministratorsAreToldWhoSeesSenders: a newcomer in Polish, 11; the control is an account of
// which nothing was skipped.
func TestAdministratorsAreToldWhoSeesSenders(t *testing.T) {
	t.Parallel()
	d := provider(t, 6, "anna", "jan")
	s := newSite(t, d.CA)
	whole := s.add("jan@firma.test", d, "Poczta", "imap", "jan")
	left := s.add("anna@firma.test", d, "Poczta", "imap", "anna", map[string]any{"max_message_bytes": 1024})
	s.state("anna@firma.test", left, "ok")
	s.state("jan@firma.test", whole, "ok")
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			p.goTo("/admin/accounts/" + left)
			p.until("document.querySelector('.skipped li')")
			text := said{
				"Who sent a message and what about is shown to the owner of the account alone.",
				"Nadawcę i temat wiadomości widzi tylko właściciel konta.",
			}.in(dev)
			p.sees(text)
			p.sound("admin-skipped-private")
			p.goTo("/admin/accounts/" + whole)
			p.sees(said{"None.", "Brak."}.in(dev))
			p.sees(said{" transferred", "przesłano "}.in(dev))
			p.until("!document.querySelector('main').innerText.includes(" + quote(text) + ")")
			p.quiet()
		})
	}
}

// TestALimitIsOfTheUnitThatWasChosen: a newcomer in Polish, 16. A number is of GB until a unit is chosen or typed
// behind it, and what is edited stands below its head.
func TestALimitIsOfTheUnitThatWasChosen(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.crowd(3)
	const user = "user000001@firma.test"
	for _, dev := range []device{
		{name: "1024-pl", width: 1024, height: 800, lang: "pl"}, {name: "1024", width: 1024, height: 800, lang: "en"},
	} {
		t.Run(dev.name, func(t *testing.T) {
			s.ask("root@firma.test", "DELETE", "/v1/admin/quotas/"+user, nil)
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			p.goTo("/admin/quotas?query=user000001")
			p.until("document.querySelectorAll('tbody tr').length === 1 && document.querySelector('td.limit button')")
			p.hit(`document.querySelector("td.limit button")`)
			p.until(`document.querySelector("td.limit select").selectedOptions[0].text === ` +
				quote(said{"default limit", "limit domyślny"}.in(dev)))
			p.keys(said{"5.5", "5,5"}.in(dev))
			p.until(`(() => { const at = (e) => e.getBoundingClientRect(), cell = document.querySelector("td.limit");
				const head = at(cell.closest("table").querySelectorAll("thead th")[cell.cellIndex]);
				return [...cell.querySelectorAll("input, select, button")].every((e) => at(e).left >= head.left - 1 &&
					at(e).right <= head.right + 1 && at(e).right <= at(cell.closest(".panel")).right);
			})()`)
			p.sound("limit-unit")
			const unit = `document.querySelector("td.limit select").value === `
			p.until(unit + `"gigabyte"`)
			p.keys(strings.Repeat(kb.Backspace, 3)) // The control: without a number nothing was chosen.
			p.until(unit + `"default"`)
			saves := func(text, chosen string, want float64) {
				t.Helper()
				p.keys(text)
				if chosen != "" {
					p.unit(chosen)
				}
				p.keys("\r")
				p.until(`document.activeElement === document.querySelector("td.limit button")`)
				if got := s.ask("root@firma.test", "GET", "/v1/admin/quotas/"+user, nil); got["limit_bytes"] != want {
					t.Errorf("%q %s: %v", text, chosen, got)
				}
				p.hit(`document.querySelector("td.limit button")`)
				p.until(`document.activeElement === document.querySelector("td.limit input")`)
			}
			saves(said{"5.5", "5,5"}.in(dev), "", 5.5e9)
			saves("1 MB", "", 1e6)
			p.until(unit + `"megabyte"`)
			saves("1,5 GB", "", 1.5e9)
			saves("2gib", "", 2<<30)
			saves("1 MB", "kilobyte", 1e3) // What is chosen last counts.
			p.keys("3 m")
			p.until(unit + `"megabyte"`)
			p.keys(kb.Escape)
			p.quiet()
		})
	}
}
