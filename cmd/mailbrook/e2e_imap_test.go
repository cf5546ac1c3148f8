package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// The passwords of the user at the server of users' own mailboxes, and of the master there.
const (
	annasOwn = "wlasne-haslo-Anny-5Kd"
	masters  = "haslo-mistrza-9Rq"
)

// masterUser lets mailbrook sign in to any user's mailbox, as docs/destinations/dovecot-2.3.md says it.
func masterUser(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "masters")
	if err := os.WriteFile(file, []byte("mailbrook:{PLAIN}"+masters+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(file); dir != "/"; dir = filepath.Dir(dir) { // Dovecot reads it as another user.
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o005 != 0o005 && strings.Contains(dir, "Test") {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []string{
		"auth_master_user_separator = *",
		"passdb {\n  driver = passwd-file\n  args = " + file + "\n  master = yes\n  result_success = continue\n}",
	}
}

// destinationDovecot is a server of users' own mailboxes.
func destinationDovecot(t *testing.T, ca *mailtest.CA, extra ...string) *mailtest.Dovecot {
	t.Helper()
	return mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{anna: annasOwn, jan: annasOwn}, CA: ca, Separator: "/",
		Extra: append(masterUser(t), extra...),
	})
}

// quotaOf gives each user so much room.
func quotaOf(size string) string {
	return "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\n" +
		"plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:storage=" + size + "\n}"
}

// into are the settings of a site whose mail goes to a server, with others.
func into(d *mailtest.Dovecot, ca *mailtest.CA, further ...string) []string {
	return append([]string{
		"MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", d.IMAP), "IMAP_SECURITY=starttls", "IMAP_CA_FILE=" + ca.File,
		"IMAP_LOGIN={user}*mailbrook", "IMAP_PASSWORD=" + masters,
	}, further...)
}

// delivered is what a third program reads in Anna's own mailbox.
func delivered(t *testing.T, d *mailtest.Dovecot) []mailtest.Delivered {
	t.Helper()
	return mailtest.ReadIMAP(t, d.Addr("imaps"), d.CA.Client(), anna, annasOwn)
}

// At an IMAP server the same arrives as in a Maildir, by every way, and a killed process loses and doubles nothing.
func TestMailGoesToAnIMAPServer(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	// A Dovecot drops a lone CR that ends what is appended to it.
	msgs := slices.DeleteFunc(mailtest.Corpus(42, 150, true), func(m mailtest.Message) bool {
		return bytes.HasSuffix(m.Data, []byte("\r"))
	})
	oracle := mailtest.Fill(t, from, "anna", msgs)
	from.Adm("flags", "add", "-u", "anna", "$Forwarded", "mailbox", "INBOX", "1:5")
	ways := waysTo(&from.Server, "Dovecot", oracle, mailtest.ByPOP3(msgs))
	to := destinationDovecot(t, ca, quotaOf("500M"))
	s := newSite(t, ca, into(to, ca)...)
	s.secrets = append(s.secrets, masters)
	p := s.serve()
	u := p.as(anna)
	before := ways[0].snapshot(t)

	ids := map[string]string{}
	for _, w := range ways {
		ids[w.name] = u.add(w.fields()).ID
	}
	eventually(t, soon, func() (bool, string) { // On the disk: by IMAP staging folders would come and go meanwhile.
		files, err := filepath.Glob(filepath.Join(to.Store(anna), ".Dovecot *", "*", "*:2,*"))
		return len(files) > 0, fmt.Sprintf("%d messages arrived (%v)", len(files), err)
	})
	p.kill()
	p = s.serve()
	u = p.as(anna)
	for _, w := range ways {
		u.reaches(ids[w.name], "ok")
	}
	sameRemote(t, "the first fetch", before, ways[0].snapshot(t))
	arrivedAt(t, to, ways)
	if flags := to.Adm("fetch", "-u", anna, "flags", "mailbox", ways[0].name); strings.Count(flags, "$Forwarded") != 5 {
		t.Errorf("of five messages with a keyword arrived:\n%s", flags)
	}

	quota := must[quotaAnswer](u, http.StatusOK, "GET", "/v1/quota", nil)
	if quota.LimitBytes == nil || *quota.LimitBytes != 500<<20 || quota.UsedMessages == 0 ||
		len(quota.Accounts) != len(ways) {
		t.Errorf("the quota is %+v", quota)
	}

	// What the user does with fetched mail stays done, and what comes new arrives.
	to.Adm("expunge", "-u", anna, "mailbox", ways[1].name, "all")
	to.Adm("move", "-u", anna, "INBOX", "mailbox", ways[2].name, "1:3")
	left := delivered(t, to)
	for _, w := range ways {
		u.fetch(ids[w.name])
	}
	if now := delivered(t, to); len(now) != len(left) {
		t.Errorf("a visit without news brought %d messages", len(now)-len(left))
	}
	more := mailtest.Corpus(4711, 4, false)
	more[2].Folder, more[3].Folder = "Nowe", "Nowe"
	mailtest.Append(t, from.Addr("imaps"), ca.Client(), "anna", canary, more)
	for _, w := range ways {
		u.fetch(ids[w.name])
	}
	want := len(left) + 2*4 + 2*2
	if now := delivered(t, to); len(now) != want {
		t.Errorf("after four new messages %d lie in the mailbox, want %d", len(now), want)
	}
	for _, name := range []string{"mailbrook_refused_commands_total", "mailbrook_destination_refused_commands_total"} {
		if n := metric(t, p, name); n != "0" {
			t.Errorf("%s is %s", name, n)
		}
	}
	if n := metric(t, p, "mailbrook_destination_available"); n != "1" {
		t.Errorf("the server of mailboxes is available: %s", n)
	}

	// An account that goes with its mail takes its folders along, and nothing else.
	kept := delivered(t, to)
	if r := u.do("DELETE", "/v1/accounts/"+ids[ways[0].name]+"?mail=delete", nil); r.status != http.StatusNoContent {
		t.Errorf("removing an account with its mail is answered %d: %s", r.status, r.body)
	}
	if now, gone := len(delivered(t, to)), len(below(kept, ways[0].name)); gone == 0 || now != len(kept)-gone {
		t.Errorf("%d messages are left of %d, of which %d were the account's", now, len(kept), gone)
	}
	for _, f := range strings.Fields(to.Adm("mailbox", "list", "-u", anna)) {
		if strings.HasPrefix(f, "mailbrook-staging") {
			t.Errorf("the staging folder %s is left", f)
		}
	}
	p.term()
}

// arrivedAt compares what lies at the server with what each way has to bring, and its subscriptions.
func arrivedAt(t *testing.T, to *mailtest.Dovecot, ways []way) {
	t.Helper()
	served := delivered(t, to)
	subscribed := mailtest.SubscribedIMAP(t, to.Addr("imaps"), to.CA.Client(), anna, annasOwn)
	want := 0
	for _, w := range ways {
		mailtest.CompareDelivered(t, w.oracle, served, w.name)
		want += len(w.oracle)
		for _, e := range w.oracle {
			folder := w.name
			if e.Folder != "INBOX" {
				folder += "/" + e.Folder
			}
			if !slices.Contains(subscribed, folder) {
				t.Fatalf("folder %q is not subscribed; these are: %q", folder, subscribed)
			}
		}
	}
	if len(served) != want {
		t.Errorf("%d messages lie in the mailbox, want %d", len(served), want)
	}
}

// doctor says whether mailboxes can be signed in to, and what the server offers. The controls are the rows that are
// "ok"; no row shows a password.
func TestDoctorLooksAtTheServerOfMailboxes(t *testing.T) {
	t.Parallel()
	ca, stranger := mailtest.NewCA(t), mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	to := destinationDovecot(t, ca, quotaOf("1G"))
	few := destinationDovecot(t, ca, "imap_capability = IMAP4rev1 SASL-IR LITERAL+ NAMESPACE UIDPLUS")
	s := newSite(t, ca, into(to, ca)...)
	s.secrets = append(s.secrets, masters)
	says := func(env []string, status int, want ...string) {
		t.Helper()
		r := s.runIn(env, "", "doctor")
		out := strings.Join(strings.Fields(r.out), " ")
		if r.status != status {
			t.Errorf("%q: doctor ends with %d\n%s%s", env, r.status, r.out, r.err)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%q: doctor does not say %q:\n%s", env, w, r.out)
			}
		}
	}
	s.ok("", "init")
	at := fmt.Sprintf("localhost:%d", to.IMAP)
	if out := s.ok("", "installation"); !strings.Contains(out, "imap:"+at) {
		t.Errorf("installation says:\n%s", out)
	}
	if r := s.run("", "installation", "adopt", "mailboxes"); r.status != 2 || !strings.Contains(r.err, "no identity") {
		t.Errorf("adopting mailboxes ends with %d: %s", r.status, r.err)
	}
	says(nil, 0, at+" is reached", "nobody has an account", "identity is not kept there")
	s.ok(canary, "account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--protocol", "imap",
		"--host", from.Host, "--port", fmt.Sprint(from.IMAPS), "--security", "tls", "--username", "anna", "--password-stdin")
	says(nil, 0, "that of "+anna+" is signed in to", "mail goes through a staging folder", "offers MULTIAPPEND",
		"offers QUOTA: it says how full")
	says([]string{fmt.Sprintf("MAILBROOK_IMAP_ADDRESS=localhost:%d", few.IMAP)}, 0,
		"mail is appended to its folder directly", "does not offer MULTIAPPEND")
	says([]string{"MAILBROOK_IMAP_PASSWORD=zle-haslo"}, 1, "cannot be signed in", "correct imap.login and imap.password")
	says([]string{"MAILBROOK_IMAP_LOGIN=plain-authzid", "MAILBROOK_IMAP_USER=mailbrook"}, 0, "is signed in to")
	says([]string{"MAILBROOK_IMAP_CA_FILE=" + stranger.File}, 1, "unknown issuer", "set imap.ca_file")
	says([]string{"MAILBROOK_IMAP_SECURITY=tls"}, 1, "143 and starttls")
	says([]string{fmt.Sprintf("MAILBROOK_IMAP_ADDRESS=localhost:%d", closedPort(t))}, 1, "that the server runs")
	says([]string{"MAILBROOK_IMAP_ADDRESS=poczta.invalid:143"}, 1, "poczta.invalid", "correct imap.address")
	says([]string{
		"MAILBROOK_IMAP_ADDRESS=unix:" + filepath.Join(t.TempDir(), "nikt"), "MAILBROOK_IMAP_SECURITY=none",
	}, 1, "socket")
}

// A wrong password of the master stops what is delivered and is named; nothing is lost by it.
func TestAWrongMasterPasswordIsNamedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	msgs := mailtest.Corpus(7, 24, false)
	oracle := mailtest.Fill(t, from, "anna", msgs)
	to := destinationDovecot(t, ca)
	s := newSite(t, ca, into(to, ca, "IMAP_PASSWORD=zle-haslo")...)
	p := s.serve()
	u := p.as(anna)
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	a := u.reaches(id, "retrying", "needs_attention")
	if d := a.Status.Diagnosis; d == nil || d.Code != "local_mailbox_unavailable" {
		t.Errorf("the diagnosis is %+v", d)
	}
	if n := len(delivered(t, to)); n != 0 {
		t.Errorf("%d messages were delivered", n)
	}
	p.term()
	s.env = append(s.env, "MAILBROOK_IMAP_PASSWORD="+masters)
	p = s.serve()
	u = p.as(anna)
	must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+id+"/fetch", nil)
	u.reaches(id, "ok")
	mailtest.CompareDelivered(t, oracle, delivered(t, to), "Obce")
	p.term()
}

// Where the server knows no master, each user's own name and password are handed over, by REST or by command, and open
// its mailbox alone; no answer holds them. Where there is a master, there is nothing to hand over.
func TestEachUsersOwnPasswordOpensItsMailbox(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	to := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{anna: annasOwn}, CA: ca, Separator: "/",
	})
	s := newSite(t, ca, "MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS), "IMAP_CA_FILE="+ca.File,
		"IMAP_LOGIN=per-user")
	s.secrets = append(s.secrets, annasOwn)
	p := s.serve()
	u, root := p.as(anna), p.admin()
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	a := u.reaches(id, "retrying", "needs_attention")
	if d := a.Status.Diagnosis; d == nil || d.Code != "local_mailbox_unavailable" ||
		!strings.Contains(d.Detail, "No name and no password are saved") {
		t.Errorf("the diagnosis is %+v", d)
	}

	path := "/v1/admin/users/" + anna + "/mailbox"
	login := fields{"username": anna, "password": annasOwn}
	if r := u.do("PUT", path, login); r.status != http.StatusForbidden {
		t.Errorf("a user who is no administrator is answered %d: %s", r.status, r.body)
	}
	for range 2 {
		if r := root.do("PUT", path, login); r.status != http.StatusNoContent || len(r.body) > 0 {
			t.Fatalf("saving it is answered %d: %s", r.status, r.body)
		}
	}
	must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+id+"/fetch", nil)
	u.reaches(id, "ok")
	mailtest.CompareDelivered(t, oracle, delivered(t, to), "Obce")
	acts := must[struct{ Entries []struct{ Action string } }](root, http.StatusOK, "GET", "/v1/admin/audit?user="+anna,
		nil)
	saved := 0
	for _, e := range acts.Entries {
		if e.Action == "mailbox_login.set" {
			saved++
		}
	}
	if saved != 1 {
		t.Errorf("of what was saved twice alike there are %d acts: %+v", saved, acts)
	}
	if r := root.do("DELETE", path, nil); r.status != http.StatusNoContent {
		t.Errorf("forgetting it is answered %d: %s", r.status, r.body)
	}
	s.ok(annasOwn, "user", "mailbox", "set", anna, "--password-stdin")
	if out := s.ok("", "doctor"); !strings.Contains(out, "that of "+anna+" is signed in to") {
		t.Errorf("doctor says:\n%s", out)
	}
	s.ok("", "user", "mailbox", "forget", anna)
	r := s.run("", "doctor")
	if r.status != 1 || !strings.Contains(strings.Join(strings.Fields(r.out), " "), "user mailbox set") {
		t.Errorf("doctor ends with %d and says:\n%s", r.status, r.out)
	}
	p.term()
	perUser := s.env
	s.env = append(s.env[:len(s.env):len(s.env)], "MAILBROOK_IMAP_LOGIN={user}*mailbrook",
		"MAILBROOK_IMAP_PASSWORD="+masters)
	p = s.serve()
	if r := p.admin().do("PUT", path, login); r.status != http.StatusNotFound {
		t.Errorf("where there is a master it is answered %d: %s", r.status, r.body)
	}
	if r := s.run(annasOwn, "user", "mailbox", "set", anna, "--password-stdin"); r.status != 2 ||
		!strings.Contains(r.err, "imap.login") || strings.Contains(r.err, "account") {
		t.Errorf("where there is a master the command ends with %d: %s", r.status, r.err)
	}
	p.term()
	s.env = perUser
	s.ok(annasOwn, "user", "mailbox", "set", anna, "--password-stdin") // For check, at the end.
}

// A user whose own password opens the mailbox is removed with the mail; and so is one of whom no password is saved any
// more, whose mail stays.
func TestAUserWithAPasswordOfItsOwnIsRemoved(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	to := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{anna: annasOwn}, CA: ca, Separator: "/",
	})
	s := newSite(t, ca, "MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS), "IMAP_CA_FILE="+ca.File,
		"IMAP_LOGIN=per-user")
	s.secrets = append(s.secrets, annasOwn)
	for _, forgotten := range []bool{false, true} {
		s.ok("", "init")
		s.ok(annasOwn, "user", "mailbox", "set", anna, "--password-stdin")
		s.ok(canary, "account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--protocol", "imap",
			"--host", from.Host, "--port", fmt.Sprint(from.IMAPS), "--security", "tls", "--username", "anna", "--password-stdin")
		s.ok("", "pull")
		if n := len(delivered(t, to)); n != len(oracle) {
			t.Fatalf("%d messages are there of %d", n, len(oracle))
		}
		left := 0
		if forgotten {
			s.ok("", "user", "mailbox", "forget", anna)
			left = len(oracle)
		}
		s.ok("", "user", "delete", anna, "--mail", "delete")
		if n := len(delivered(t, to)); n != left {
			t.Errorf("%d messages are left, want %d", n, left)
		}
		if out := s.ok("", "user", "export", anna); !strings.Contains(out, `"mailbox_login": []`) {
			t.Errorf("a login is left:\n%s", out)
		}
	}
}

// While a user's own password is refused nothing of it is removed in part: its account stays if the mail is to go, too,
// and its removal waits, as doctor says, and is finished by the right password, or by forgetting the wrong one. The
// quota is shown as far as it is known. The control is the right password.
func TestARemovalWaitsForARefusedPasswordOfTheUsersOwn(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	to := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{anna: annasOwn}, CA: ca, Separator: "/",
	})
	s := newSite(t, ca, "MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS), "IMAP_CA_FILE="+ca.File,
		"IMAP_LOGIN=per-user")
	s.secrets = append(s.secrets, annasOwn)
	type quota struct {
		UsedMessages  int64 `json:"used_messages"`
		LimitMessages int64 `json:"limit_messages"`
		MailboxLocked bool  `json:"mailbox_locked"`
	}
	for _, forgets := range []bool{false, true} {
		p := s.serve()
		u, root := p.as(anna), p.admin()
		must[quota](root, http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{"limit_bytes": nil, "limit_messages": 5000})
		if q := must[quota](u, http.StatusOK, "GET", "/v1/quota", nil); q != (quota{0, 5000, true}) {
			t.Errorf("the quota of a user whose login is not saved is %+v", q)
		}
		s.ok(annasOwn, "user", "mailbox", "set", anna, "--password-stdin")
		id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
		u.reaches(id, "ok")
		known := int64(len(delivered(t, to)))
		s.ok("zle-haslo", "user", "mailbox", "set", anna, "--password-stdin")
		if q := must[quota](u, http.StatusOK, "GET", "/v1/quota", nil); q.UsedMessages != known || q.LimitMessages != 5000 {
			t.Errorf("the quota of a user whose login is refused is %+v, and there are %d messages", q, known)
		}
		r := u.do("DELETE", "/v1/accounts/"+id+"?mail=delete", nil)
		if r.status != http.StatusServiceUnavailable || !strings.Contains(string(r.body), "password that is saved") {
			t.Errorf("removing an account with its mail is answered %d: %s", r.status, r.body)
		}
		u.account(id) // It is there.
		if r := root.do("DELETE", "/v1/admin/users/"+anna+"?mail=delete", nil); r.status != http.StatusServiceUnavailable ||
			!strings.Contains(string(r.body), "password that is saved") {
			t.Errorf("removing the user is answered %d: %s", r.status, r.body)
		}
		if out := strings.Join(strings.Fields(s.run("", "doctor").out), " "); !strings.Contains(out, "removal of 1 user") ||
			!strings.Contains(out, "user mailbox forget") {
			t.Errorf("doctor says:\n%s", out)
		}
		left := 0
		if forgets {
			left = len(oracle)
			s.ok("", "user", "mailbox", "forget", anna)
		} else {
			s.ok(annasOwn, "user", "mailbox", "set", anna, "--password-stdin")
		}
		eventually(t, soon, func() (bool, string) {
			r := root.do("DELETE", "/v1/admin/users/"+anna+"?mail=delete", nil)
			return r.status == http.StatusNoContent, fmt.Sprintf("removing the user is answered %d: %s", r.status, r.body)
		})
		if n := len(delivered(t, to)); n != left {
			t.Errorf("%d messages are left, want %d", n, left)
		}
		p.term()
	}
}

// Cyrus opens users' mailboxes to a proxy, named beside the user by SASL.
func TestMailGoesToACyrusByAuthzid(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	msgs := mailtest.Corpus(7, 24, false)
	oracle := mailtest.Fill(t, from, "anna", msgs)
	to := mailtest.StartCyrus(t, mailtest.CyrusOptions{
		Users: map[string]string{anna: annasOwn, "mailbrook": masters}, CA: ca, Alt: true, Proxy: "mailbrook",
		Domains: true,
	})
	s := newSite(t, ca, "MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS), "IMAP_CA_FILE="+ca.File,
		"IMAP_LOGIN=plain-authzid", "IMAP_USER=mailbrook", "IMAP_PASSWORD="+masters)
	s.secrets = append(s.secrets, masters)
	p := s.serve()
	u := p.as(anna)
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	u.reaches(id, "ok")
	taken := slices.DeleteFunc(slices.Clone(oracle), func(e mailtest.Expected) bool { return e.Odd == "no header" })
	mailtest.CompareDelivered(t, taken, mailtest.ReadIMAP(t, to.Addr("imaps"), ca.Client(), anna, annasOwn), "Obce")
	skipped := must[struct {
		Skipped []struct{ Code, Detail string }
	}](u, http.StatusOK, "GET",
		"/v1/accounts/"+id+"/skipped", nil).Skipped
	if len(skipped) != len(oracle)-len(taken) || skipped[0].Code != "message_failed" {
		t.Errorf("what Cyrus does not take is skipped: %+v", skipped)
	}
	if out := s.ok("", "doctor"); !strings.Contains(out, "staging folder") {
		t.Errorf("doctor says:\n%s", out)
	}
	p.term()
}

// While the server of mailboxes is down nothing is fetched, readiness names it, and mail comes when it is back: by
// itself, also where another process had its accounts rest.
func TestAServerOfMailboxesThatIsDown(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	to := destinationDovecot(t, ca)
	s := newSite(t, ca, into(to, ca)...)
	s.secrets = append(s.secrets, masters)
	p := s.serve()
	u := p.as(anna)
	to.Stop()
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	u.reaches(id, "retrying")
	eventually(t, soon, func() (bool, string) {
		r := p.plain("GET", "/readyz")
		return r.status == http.StatusServiceUnavailable && strings.Contains(string(r.body), "mailbox"),
			fmt.Sprintf("/readyz answers %d: %s", r.status, r.body)
	})
	if n := metric(t, p, "mailbrook_destination_available"); n != "0" {
		t.Errorf("the server of mailboxes is available: %s", n)
	}
	rests := func() { // So often that it would not be tried again for many minutes.
		for range 4 {
			if r := s.run("", "pull"); r.status != 1 {
				t.Fatalf("pull ends with %d during an outage: %s", r.status, r.out)
			}
		}
	}
	rests()
	to.Start()
	u.reaches(id, "ok")
	mailtest.CompareDelivered(t, oracle, delivered(t, to), "Obce")
	p.term()
	to.Stop()
	rests()
	to.Start()
	p = s.serve()
	p.as(anna).reaches(id, "ok")
	p.term()
}

// A mailbox that its server calls full takes no more, its account is over_quota, and when it is enlarged the rest comes
// by itself; the quota says whose limit it is all the time. Nothing is lost, and nothing comes twice.
func TestAFullMailboxAtAServerIsEnlarged(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(81, 40, false))
	var total int64
	for _, e := range oracle {
		total += e.Size
	}
	rule := filepath.Join(t.TempDir(), "quota.conf")
	room := func(octets int64) {
		text := fmt.Sprintf("plugin {\n  quota_rule = *:storage=%dK\n}\n", octets>>10)
		if err := os.WriteFile(rule, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	room(total / 2)
	to := destinationDovecot(t, ca, quotaOf("1G"), "!include "+rule)
	s := newSite(t, ca, into(to, ca, "POLL_INTERVAL=200ms", "POLL_MIN_INTERVAL=200ms")...)
	s.secrets = append(s.secrets, masters)
	p := s.serve()
	u := p.as(anna)
	type limited struct {
		quotaAnswer
		LimitSource *string `json:"limit_source"`
		State       string
	}
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	a := u.reaches(id, "over_quota")
	if d := a.Status.Diagnosis; d == nil || d.Code != "local_over_quota" || a.Status.NextPollAt == nil {
		t.Errorf("the status is %+v, the diagnosis %+v", a.Status, d)
	}
	q := must[limited](u, http.StatusOK, "GET", "/v1/quota", nil)
	if q.LimitBytes == nil || *q.LimitBytes != total/2>>10<<10 || q.LimitSource == nil || *q.LimitSource != "mailbox" ||
		q.State != "over" || q.UsedBytes > *q.LimitBytes {
		t.Errorf("the quota is %+v", q)
	}
	seen := u.account(id).Status.LastAttemptAt
	eventually(t, soon, func() (bool, string) { // It is looked at again, and nothing comes.
		return u.account(id).Status.LastAttemptAt.After(*seen), "the full mailbox is not looked at again"
	})
	some := delivered(t, to)
	if n := len(some); n == 0 || n >= len(oracle) {
		t.Errorf("%d messages lie in the full mailbox, of %d", n, len(oracle))
	}
	room(1 << 30)
	to.Adm("reload")
	u.reaches(id, "ok")
	mailtest.CompareDelivered(t, oracle, delivered(t, to), "Obce")
	if n := len(delivered(t, to)); n != len(oracle) {
		t.Errorf("%d messages lie in the mailbox, want %d", n, len(oracle))
	}
	p.term()
}

// An access token of the operator's registration opens mailboxes by XOAUTH2, and so does a socket without TLS. The
// control is a registration that is refused.
func TestATokenOpensAMailbox(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	o := mailtest.StartOAuth(t, ca, anna)
	socket := filepath.Join(t.TempDir(), "imap")
	to := destinationDovecot(t, ca, append(o.Dovecot(t), "service imap-login {\n  unix_listener "+socket+
		" {\n    mode = 0666\n  }\n}")...)
	s := newSite(t, ca, into(to, ca, "IMAP_PASSWORD=", "IMAP_LOGIN=xoauth2", "IMAP_OAUTH_TOKEN_URL="+o.TokenURL,
		"IMAP_OAUTH_CLIENT_ID="+o.ClientID, "IMAP_OAUTH_CLIENT_SECRET="+o.ClientSecret)...)
	s.secrets = append(s.secrets, o.ClientSecret)
	p := s.serve()
	u := p.as(anna)
	id := u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", "anna")).ID
	u.reaches(id, "ok")
	mailtest.CompareDelivered(t, oracle, delivered(t, to), "Obce")
	if out := s.ok("", "doctor"); !strings.Contains(out, "that of "+anna+" is signed in to") {
		t.Errorf("doctor says:\n%s", out)
	}
	r := s.runIn([]string{"MAILBROOK_IMAP_OAUTH_CLIENT_SECRET=zly"}, "", "doctor")
	if r.status != 1 || !strings.Contains(strings.Join(strings.Fields(r.out), " "), "correct imap.oauth") {
		t.Errorf("with a wrong secret doctor ends with %d and says:\n%s", r.status, r.out)
	}
	r = s.runIn([]string{
		"MAILBROOK_IMAP_ADDRESS=unix:" + socket, "MAILBROOK_IMAP_SECURITY=none", "MAILBROOK_IMAP_LOGIN={user}*mailbrook",
		"MAILBROOK_IMAP_PASSWORD=" + masters,
	}, "", "doctor")
	if r.status != 0 || !strings.Contains(r.out, "is signed in to") {
		t.Errorf("over a socket doctor ends with %d and says:\n%s", r.status, r.out)
	}
	s.secrets = append(s.secrets, o.Given()...)
	p.term()
}

// A service account opens each user's mailbox by a token in that user's name. The control is an account that may not.
func TestAServiceAccountOpensMailboxes(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary}, CA: ca,
	})
	o := mailtest.StartOAuth(t, ca, "nobody@firma.test")
	to := destinationDovecot(t, ca, o.Dovecot(t)...)
	key := filepath.Join(t.TempDir(), "key.json")
	text := o.ServiceAccount(t)
	stranger, _ := mailtest.NewServiceAccount(t, o.TokenURL)
	for path, text := range map[string]string{key: text, key + ".other": stranger} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t, ca, into(to, ca, "IMAP_PASSWORD=", "IMAP_LOGIN=xoauth2", "IMAP_OAUTH_SERVICE_ACCOUNT_FILE="+key,
		"IMAP_OAUTH_SCOPE="+mailtest.ServiceScope)...)
	p := s.serve()
	for user, name := range map[string]string{anna: "anna", jan: "jan"} {
		oracle := mailtest.Fill(t, from, name, mailtest.Corpus(uint64(len(name)), 12, false))
		u := p.as(user)
		u.reaches(u.add(remoteAccount("Obce", "imap", from.Host, from.IMAPS, "tls", name)).ID, "ok")
		mailtest.CompareDelivered(t, oracle, mailtest.ReadIMAP(t, to.Addr("imaps"), ca.Client(), user, annasOwn), "Obce")
	}
	r := s.runIn([]string{"MAILBROOK_IMAP_OAUTH_SERVICE_ACCOUNT_FILE=" + key + ".other"}, "", "doctor")
	if r.status != 1 || !strings.Contains(strings.Join(strings.Fields(r.out), " "), "correct imap.oauth") {
		t.Errorf("with another account's key doctor ends with %d and says:\n%s", r.status, r.out)
	}
	s.secrets = append(s.secrets, o.Given()...)
	p.term()
}
