package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// makeMaildir makes a mailbox as the mail system does.
func makeMaildir(t *testing.T, root string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestD1_TheMailServersQuotaIsKept: the limit in the mailbox itself stops its
// accounts before it is reached; the control is a user without one.
func TestD1_TheMailServersQuotaIsKept(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary}, CA: ca,
	})
	var total int64
	for _, m := range mailtest.Fill(t, d, "anna", mailtest.Corpus(91, 40, false)) {
		total += m.Size
	}
	mailtest.Fill(t, d, "jan", mailtest.Corpus(91, 40, false))
	s := newSite(t, ca)
	makeMaildir(t, s.mail(anna))
	limit, file := total/2, filepath.Join(s.mail(anna), "maildirsize")
	head := strconv.FormatInt(limit, 10) + "S\n"
	if err := os.WriteFile(file, []byte(head+"0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.serve()
	u, v := p.as(anna), p.as(jan)
	type limited struct {
		quotaAnswer
		LimitSource *string `json:"limit_source"`
		State       string
	}
	u.reaches(u.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID, "over_quota")
	q := must[limited](u, http.StatusOK, "GET", "/v1/quota", nil)
	if q.LimitBytes == nil || *q.LimitBytes != limit || q.LimitSource == nil || *q.LimitSource != "mailbox" ||
		q.State != "over" || q.UsedBytes > limit-limit/20 || q.UsedMessages == 0 {
		t.Errorf("the quota is %+v", q)
	}
	q = must[limited](p.admin(), http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{"limit_bytes": 1000})
	if *q.LimitBytes != 1000 || *q.LimitSource != "mailbrook" {
		t.Errorf("beside a tighter one it is %+v", q)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), head) {
		t.Errorf("the mail server's quota file is %.40q, %v", text, err)
	}
	v.reaches(v.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "jan")).ID, "ok")
	if q := must[limited](v, http.StatusOK, "GET", "/v1/quota", nil); q.LimitSource != nil || q.UsedMessages != 40 {
		t.Errorf("without a limit: %+v", q)
	}
	p.term()
}

// Newcomer N2: what is said goes by limits and use as they are, whether anybody
// visits the account since or not.
func TestALiftedLimitIsNotOverAnyMore(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(93, 6, false))
	s := newSite(t, ca)
	p := s.serve()
	must[quotaAnswer](p.admin(), http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{"limit_messages": 3})
	u := p.as(anna)
	id := u.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID
	u.reaches(id, "over_quota")
	p.term()
	p = s.serve("--roles", "api") // Nobody visits anything any more.
	type said struct{ State string }
	if q := must[said](p.as(anna), http.StatusOK, "GET", "/v1/quota", nil); q.State != "over" {
		t.Errorf("the control: with the limit it is %q", q.State)
	}
	put := must[said](p.admin(), http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{"limit_messages": nil})
	got := must[said](p.as(anna), http.StatusOK, "GET", "/v1/quota", nil)
	if put.State != "ok" || got.State != "ok" {
		t.Errorf("without a limit PUT says %q, GET %q", put.State, got.State)
	}
	if a := p.as(anna).account(id); a.Status.State != "ok" || a.Status.Diagnosis != nil {
		t.Errorf("the account is %+v", a.Status)
	}
	p.term()
	p = s.serve()
	u = p.as(anna)
	eventually(t, soon, func() (bool, string) {
		n := u.account(id).Status.Totals.Messages
		return n == 6, fmt.Sprintf("%d messages", n)
	})
	p.term()
}

// TestD2_AMailboxThatIsGoneIsNotMadeAgain, in the default place, where a new user's
// is made (the control).
func TestD2_AMailboxThatIsGoneIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(92, 5, false))
	s := newSite(t, ca, "POLL_INTERVAL=200ms", "POLL_MIN_INTERVAL=200ms")
	p := s.serve()
	u := p.as(anna)
	id := u.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID
	u.reaches(id, "ok")
	type held struct {
		quotaAnswer
		Missing bool `json:"mailbox_missing"`
	}
	quota := func() held { return must[held](u, http.StatusOK, "GET", "/v1/quota", nil) }
	before := quota()
	if before.Missing || before.UsedMessages != 5 {
		t.Errorf("before, the quota is %+v", before)
	}
	if out := s.ok("", "check"); !strings.Contains(out, "consistent. The mailbox holds 5 messages") {
		t.Errorf("before, check says %s", out)
	}
	if err := os.Rename(s.mail(anna), s.mail(anna)+".away"); err != nil {
		t.Fatal(err)
	}
	if q := quota(); !q.Missing || q.UsedMessages != 5 || q.UsedBytes != before.UsedBytes {
		t.Errorf("of a mailbox that is gone the quota is %+v", q)
	}
	if r := s.run("", "check"); r.status != exitFailed || !strings.Contains(r.out, "mailbox_gone") ||
		!strings.Contains(r.out, "NOT CONSISTENT. The mailbox was there and is gone.") {
		t.Errorf("of a mailbox that is gone check ends with %d and says %s", r.status, r.out)
	}
	a := u.reaches(id, "retrying")
	if a.Status.Diagnosis == nil || a.Status.Diagnosis.Code != "local_mailbox_unavailable" {
		t.Errorf("the diagnosis is %+v", a.Status.Diagnosis)
	}
	if _, err := os.Stat(s.mail(anna)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made again: %v", err)
	}
	list := must[accountsAnswer](p.admin(), http.StatusOK, "GET",
		"/v1/admin/accounts?diagnosis=local_mailbox_unavailable", nil)
	if len(list.Accounts) != 1 {
		t.Errorf("the operator sees %+v", list)
	}
	p.tells("a mailbox that was there is gone")
	if err := os.Rename(s.mail(anna)+".away", s.mail(anna)); err != nil {
		t.Fatal(err)
	}
	must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+id+"/fetch", nil)
	u.reaches(id, "ok")
	if q := quota(); q.Missing || q.UsedMessages != 5 {
		t.Errorf("when it is back, the quota is %+v", q)
	}
	p.term()
}

// What a visit takes for a mailbox that is gone, check, doctor and the quota take for
// one: the path, both directories of mail, or all in it. The control is a mailbox that
// still has one of them.
func TestD2_AllAgreeOnWhichMailboxIsGone(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(93, 2, false))
	without := func(s *site, subs ...string) error {
		var err error
		for _, sub := range subs {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.mail(anna), sub)))
		}
		return err
	}
	for name, tc := range map[string]struct {
		spoil func(s *site) error
		gone  bool
	}{
		"the path": {func(s *site) error { return os.RemoveAll(s.mail(anna)) }, true},
		"an empty directory in its place": {func(s *site) error {
			return errors.Join(os.RemoveAll(s.mail(anna)), os.Mkdir(s.mail(anna), 0o700))
		}, true},
		"cur and new": {func(s *site) error { return without(s, "cur", "new") }, true},
		"new alone":   {func(s *site) error { return without(s, "new") }, false},
		"cur alone":   {func(s *site) error { return without(s, "cur") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			s.ok(canary+"\n", append([]string{
				"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--password-stdin",
			}, cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)...)
			s.ok("", "pull")
			if err := tc.spoil(s); err != nil {
				t.Fatal(err)
			}
			check, doctor := s.run("", "check"), s.run("", "doctor")
			if strings.Contains(check.out, "mailbox_gone") != tc.gone || (check.status == exitFailed) != tc.gone {
				t.Errorf("check ends with %d: %s", check.status, check.out)
			}
			if strings.Contains(doctor.out, "those of 1 user were there and are gone, such as that of "+anna) != tc.gone ||
				(doctor.status == exitFailed) != tc.gone {
				t.Errorf("doctor ends with %d: %s%s", doctor.status, doctor.out, doctor.err)
			}
			p := s.serve("--roles", "api")
			held := must[struct {
				Missing bool `json:"mailbox_missing"`
			}](p.as(anna), http.StatusOK, "GET", "/v1/quota", nil)
			p.term()
			if held.Missing != tc.gone {
				t.Errorf("the quota says %+v", held)
			}
			if r := s.run("", "pull", "--force"); (r.status != exitOK) != tc.gone ||
				strings.Contains(r.out+r.err, "local_mailbox_unavailable") != tc.gone {
				t.Errorf("pull ends with %d: %s%s", r.status, r.out, r.err)
			}
			if err := os.RemoveAll(s.data()); err != nil { // Mail that is gone is what the site's own check would find.
				t.Fatal(err)
			}
		})
	}
}

// TestD2_NoMailboxIsMadeElsewhere: the mail system's place is the mail system's,
// unless the operator says otherwise (the control).
func TestD2_NoMailboxIsMadeElsewhere(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(94, 2, false))
	for create, state := range map[string]string{"false": "retrying", "true": "ok"} {
		place := filepath.Join(t.TempDir(), "vmail")
		s := newSite(t, ca, "MAILBOX=maildir:"+place+"/{domain}/{local}", "CREATE_MAILBOXES="+create)
		p := s.serve()
		u := p.as(anna)
		u.reaches(u.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID, state)
		if _, err := os.Stat(filepath.Join(place, "firma.test")); errors.Is(err, fs.ErrNotExist) != (create == "false") {
			t.Errorf("create_mailboxes %s: %v", create, err)
		}
		p.term()
	}
}

// TestD2_AUserIsRemoved: whoever has the address next finds nothing; another user
// (the control) has all. By REST, more than once, and by the command line.
func TestD2_AUserIsRemoved(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary}, CA: ca,
	})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(95, 6, false))
	s := newSite(t, ca)
	p := s.serve()
	u, v, admin := p.as(anna), p.as(jan), p.admin()
	obce := remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")
	u.reaches(u.add(obce).ID, "ok")
	v.reaches(v.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "jan")).ID, "ok")
	for range 2 {
		if a := admin.do("DELETE", "/v1/admin/users/"+anna+"?mail=delete", nil); a.status != http.StatusNoContent {
			t.Fatalf("removing: %d %s", a.status, a.body)
		}
	}
	if n := len(mailtest.ReadMaildir(t, s.mail(anna))); n != 0 || len(u.accounts()) != 0 || len(v.accounts()) != 1 {
		t.Errorf("%d messages are left, %d accounts, %d of another", n, len(u.accounts()), len(v.accounts()))
	}
	p.tells(`"msg":"user removed","user":"` + anna + `","by":"` + root + `"`)
	u.reaches(u.add(obce).ID, "ok")
	if n := len(mailtest.ReadMaildir(t, s.mail(anna))); n != 6 {
		t.Errorf("the next owner gets %d messages of 6", n)
	}
	if said := s.ok("", "user", "delete", "Jan@firma.test"); len(v.accounts()) != 0 {
		t.Errorf("the command line says %q", said)
	}
	p.term()
}

// TestD5_ARepeatedRequestIsDoneOnce; the control is another name.
func TestD5_ARepeatedRequestIsDoneOnce(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	s := newSite(t, ca)
	p := s.serve("--roles", "api")
	token := p.as(anna).token
	post := func(path, key string, body any) answer {
		t.Helper()
		return p.ask("POST", path, http.Header{"Authorization": {"Bearer " + token}, "Idempotency-Key": {key}}, body)
	}
	obce := remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")
	first := post("/v1/accounts", `"k-1"`, obce)
	if again := post("/v1/accounts", "k-1", obce); first.status != http.StatusCreated || again.status != first.status ||
		string(again.body) != string(first.body) || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("first %d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	if a := post("/v1/accounts", "k-1", obce.with(fields{"name": "Inne"})); a.status != 422 {
		t.Errorf("another body: %d %s", a.status, a.body)
	}
	if a := post("/v1/accounts", "k-2", obce); a.status != http.StatusConflict { // It is there already.
		t.Errorf("another name: %d %s", a.status, a.body)
	}
	l := post("/v1/links", "l-1", fields{})
	if a := post("/v1/links", "l-1", fields{}); l.status != http.StatusCreated || string(a.body) != string(l.body) {
		t.Errorf("a link: %s and %s", l.body, a.body)
	}
	p.term()
}
