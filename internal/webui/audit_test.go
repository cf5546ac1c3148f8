package webui_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/audit"
)

func TestAdministratorsSeeWhoDidWhat(t *testing.T) {
	t.Parallel()
	d := provider(t, 1, "anna")
	s := newSite(t, d.CA)
	id := s.add("anna@firma.test", d, "Poczta", "imap", "anna")
	s.ask("anna@firma.test", "PATCH", "/v1/accounts/"+id, map[string]any{"sender_name": "Anna", "name": "Moja"})
	s.ask("root@firma.test", "PATCH", "/v1/admin/accounts/"+id, map[string]any{"enabled": false})
	s.ask("root@firma.test", "PUT", "/v1/admin/quotas/jan@firma.test", map[string]any{"limit_bytes": 2_500_000_000})
	for _, dev := range []device{desktop, phone, {name: "pl", width: 768, height: 900, lang: "pl"}} {
		t.Run(dev.name, func(t *testing.T) {
			p := look(t, dev, s.link("root@firma.test", "--admin"))
			p.until("document.querySelector('main h1')")
			p.goTo("/admin/audit")
			if dev.lang == "pl" {
				for _, text := range []string{
					"Historia działań", "Dodanie konta", "Wstrzymanie konta", "Zmieniono: name, sender_name", "Limit: 2,5 GB",
					"Wiersz poleceń", "127.0.0.1",
				} {
					p.sees(text)
				}
				p.sound("admin-audit-pl")
				p.quiet()
				return
			}
			p.sees("Account added")
			p.sees("Administrator\nroot@firma.test")
			p.enter("To whom The whole address", "jan@firma.test")
			p.press("Show")
			p.until("document.querySelectorAll('tbody tr').length === 1")
			p.sees("Limit: 2.5 GB")
			p.sound("admin-audit-" + dev.name)
			p.enter("To whom The whole address", "nobody@firma.test")
			p.press("Show")
			p.sees("Nothing matches.")
			p.quiet()
		})
	}
}

// Each action has its words on the page, and can be asked for.
func TestEachActionIsKnownToThePage(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"assets/audit.js", "assets/i18n/en.js", "assets/i18n/pl.js"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		missing := slices.DeleteFunc(audit.Actions(), func(a audit.Action) bool {
			return strings.Contains(string(text), `"`+string(a)+`"`) || strings.Contains(string(text), `"audit.act.`+string(a)+`"`)
		})
		if len(missing) > 0 {
			t.Errorf("%s does not know %v", file, missing)
		}
	}
}
