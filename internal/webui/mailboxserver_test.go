package webui_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// TestWhyAMailboxIsOutOfReachIsOnThePages: newcomer 12. Mailboxes at a server, each opened by a password of its own.
// While none is saved, and while the server is down, user and administrator read so where they look for mail and space;
// the user's page of the administrator opens all the same; and none of it is said when the mailbox is there.
func TestWhyAMailboxIsOutOfReachIsOnThePages(t *testing.T) {
	t.Parallel()
	const anna, own = "anna@firma.test", "niebieski-stolik-7"
	d := provider(t, 3, "anna")
	to := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{anna: own}, CA: d.CA, Separator: "/"})
	s := newSite(t, d.CA, "MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS),
		"IMAP_CA_FILE="+d.CA.File, "IMAP_LOGIN=per-user")
	id := s.add(anna, d, "Poczta", "imap", "anna")
	dev := desktop
	user, root := look(t, dev, s.link(anna)), look(t, dev, s.link("root@firma.test", "--admin"))
	page, account := s.addr+"/admin/users/"+anna, s.addr+"/admin/accounts/"+id
	says := func(p *tab, within, what string) {
		t.Helper()
		p.until("document.querySelector(" + quote(within) + ")?.innerText.includes(" + quote(what) + ")")
	}

	user.fresh(s.addr + "/")
	says(user, "#space", "Your mailbox cannot be opened")
	says(user, ".card", "Your own mailbox cannot be opened")
	user.sound("mailbox-locked")
	root.fresh(page)
	says(root, ".quota-state", "mailbrook user mailbox set "+anna)
	says(root, "tbody tr", "The user's own mailbox cannot be opened")
	root.sound("admin-mailbox-locked")
	root.fresh(account)
	says(root, ".notice", "through the API")

	s.ask("root@firma.test", "PUT", "/v1/admin/users/"+anna+"/mailbox", map[string]any{"username": anna, "password": own})
	s.ask(anna, "POST", "/v1/accounts/"+id+"/fetch", nil)
	s.state(anna, id, "ok")
	for _, p := range []*tab{user, root} { // The control: what holds no more is not said.
		p.fresh(map[*tab]string{user: s.addr + "/", root: page}[p])
		p.until(map[*tab]string{
			user: "document.querySelector('#space .quota-words')", root: "document.querySelector('dl.evidence')",
		}[p])
		p.until("![...document.querySelectorAll('.quota-state')].some((e) => e.checkVisibility())")
	}
	root.fresh(s.addr + "/admin")
	root.until("document.querySelector('.figures')")
	root.until("!document.body.innerText.includes(\"The server of users' mailboxes\")")

	// What was measured a moment ago goes with the process, and no page asks for it again.
	for _, p := range []*tab{user, root} {
		p.do(chromedp.Navigate("about:blank"))
	}
	s.kill()
	s.serve()
	to.Stop()
	s.ask(anna, "POST", "/v1/accounts/"+id+"/fetch", nil)
	s.state(anna, id, "retrying")
	user.fresh(s.addr + "/")
	says(user, "#space", "Your own mailbox cannot be read right now")
	says(user, ".card", "Your own mailbox is out of reach for now")
	user.sound("mailbox-away")
	root.fresh(page)
	says(root, ".quota-state", "The user’s mailbox cannot be read right now")
	says(root, "tbody tr", "The server of users' mailboxes is out of order")
	root.fresh(account)
	says(root, ".notice", "imap.address")
	root.fresh(s.addr + "/admin")
	says(root, ".notice", "The server of users’ mailboxes is out of order")
	root.sound("admin-mailboxes-away")

	to.Start()
	s.state(anna, id, "ok")
}
