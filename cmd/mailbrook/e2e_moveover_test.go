package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// movedUser is what migrate-destination --json prints for a user.
type movedUser struct {
	User     string
	OK       bool `json:"ok"`
	DryRun   bool `json:"dry_run"`
	Problem  string
	Accounts []struct {
		Stray   int
		Folders []struct {
			Local                                              string
			Delivered, Found, Elsewhere, Missing, Gone, Staged int
		}
	}
	Results []struct {
		Done                     bool
		Refused                  string
		Known, Brought, Released int
	}
}

// An operator whose Maildirs are served by Dovecot delivers to Dovecot from then on. Without the command an account of
// which mail was on its way says what to do; the command says what it would do, does it, and does nothing when it is
// run again; then each message is there once, what was in the spool too, and what is new comes.
func TestAccountsContinueAtAnIMAPServer(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 24, false))
	to := destinationDovecot(t, ca)
	maildirs := "maildir:" + filepath.Dir(filepath.Dir(to.Store(anna))) + "/{user}/Maildir"
	s := newSite(t, ca, "MAILBOX="+maildirs, "CREATE_MAILBOXES=true")
	s.secrets = append(s.secrets, masters)
	s.ok("", "init")
	const name = "Obce & żółte%" // Written otherwise in a Maildir and by IMAP.
	id, _, _ := strings.Cut(s.ok(canary+"\n", append([]string{
		"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--name", name, "--password-stdin",
	}, cliFlags("imap", from.Host, from.IMAPS, "tls", "anna")...)...), "\n")
	s.ok("", "pull")
	if r := s.run("", "migrate-destination"); r.status != exitUsage || !strings.Contains(r.err, "set mailbox to imap") {
		t.Errorf("with Maildirs it ends with %d: %s%s", r.status, r.out, r.err)
	}

	// What comes now stays in the spool: its folder takes nothing.
	more := mailtest.Corpus(4711, 5, false)
	for i := range more {
		more[i].Folder = "INBOX"
	}
	oracle = append(oracle, mailtest.Append(t, from.Addr("imaps"), ca.Client(), "anna", canary, more)...)
	folder := filepath.Join(to.Store(anna), ".Obce &- &AXwA8wFC-te%")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"new", "cur"} {
		must(os.Rename(filepath.Join(folder, sub), filepath.Join(folder, sub+".away")))
		must(os.WriteFile(filepath.Join(folder, sub), nil, 0o600))
	}
	if r := s.run("", "pull"); r.status != exitFailed {
		t.Errorf("pull into a folder that takes nothing ends with %d: %s", r.status, r.out)
	}
	for _, sub := range []string{"new", "cur"} {
		must(os.Remove(filepath.Join(folder, sub)))
		must(os.Rename(filepath.Join(folder, sub+".away"), filepath.Join(folder, sub)))
	}
	staged := func() (n int) {
		files, err := filepath.Glob(filepath.Join(to.Store(anna), "fetch-spool", "*", "F*"))
		must(err)
		return len(files)
	}
	if staged() != len(more) {
		t.Fatalf("%d files are in the spool", staged())
	}

	for _, e := range into(to, ca) {
		s.env = append(s.env, "MAILBROOK_"+e)
	}
	s.env = slices.DeleteFunc(s.env, func(e string) bool { return strings.HasPrefix(e, "MAILBROOK_CREATE_") })
	p := s.serve()
	u := p.as(anna)
	if r := u.do("POST", "/v1/accounts/"+id+"/fetch", nil); r.status != http.StatusAccepted {
		t.Fatalf("a fetch is answered %d: %s", r.status, r.body)
	}
	eventually(t, soon, func() (bool, string) {
		d := u.account(id).Status.Diagnosis
		return d != nil && d.Code == "local_mailbox_unavailable" && strings.Contains(d.Detail, "migrate-destination"),
			fmt.Sprintf("the diagnosis is %+v", d)
	})
	p.tells("mailbrook migrate-destination")
	p.term()

	before := delivered(t, to)
	state := func() string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(s.data(), "mailbrook.db"))
		must(err)
		all := fmt.Sprintf("%x\n", sha256.Sum256(text))
		must(filepath.WalkDir(to.Store(anna), func(path string, e fs.DirEntry, err error) error {
			if !strings.Contains(filepath.Base(path), "dovecot") { // Its indexes are its own.
				all += path + "\n"
			}
			return err
		}))
		return all
	}
	was := state()
	moved := func(args ...string) (m movedUser) {
		t.Helper()
		decode(t, s.ok("", append([]string{"migrate-destination", "--user", anna, "--json"}, args...)...), &m)
		if !m.OK || m.User != anna || len(m.Results) != 1 || m.Results[0].Refused != "" {
			t.Fatalf("%q: %+v", args, m)
		}
		return m
	}
	dry := moved("--from", maildirs, "--dry-run")
	if r := dry.Results[0]; !dry.DryRun || r.Done || r.Brought != len(more) || r.Known+r.Released != 0 ||
		staged() != len(more) || len(delivered(t, to)) != len(before) || state() != was {
		t.Errorf("--dry-run changes something, or says %+v, and %d files are in the spool", r, staged())
	}
	for _, f := range dry.Accounts[0].Folders {
		if f.Found != f.Delivered || f.Elsewhere+f.Missing+f.Gone != 0 || f.Delivered == 0 && f.Staged == 0 {
			t.Errorf("folder %+v", f)
		}
	}
	for _, tc := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitUsage, "a template of Maildirs", []string{"--from", "mdbox:/srv"}},
		{exitUsage, "where it is gone for good", nil}, // The default place.
		{exitUsage, "nothing is known", []string{"--user", "nikt@firma.test", "--from", maildirs}},
	} {
		if r := s.run("", append([]string{"migrate-destination", "--dry-run"}, tc.args...)...); r.status != tc.status ||
			!strings.Contains(r.out+r.err, tc.says) {
			t.Errorf("%q ends with %d: %s%s", tc.args, r.status, r.out, r.err)
		}
	}
	if out := s.ok("", "migrate-destination", "--from", maildirs); !strings.Contains(out, fmt.Sprintf(
		"%d delivered out of the spool", len(more))) || !strings.Contains(out, name) {
		t.Errorf("migrate-destination prints:\n%s", out)
	}
	again := moved("--from", maildirs)
	if r := again.Results[0]; !r.Done || r.Known+r.Brought+r.Released != 0 || staged() != 0 ||
		again.Accounts[0].Stray != 0 {
		t.Errorf("a second time it says %+v", again)
	}
	mailtest.CompareDelivered(t, oracle, delivered(t, to), name)

	news := mailtest.Corpus(99, 2, false)
	oracle = append(oracle, mailtest.Append(t, from.Addr("imaps"), ca.Client(), "anna", canary, news)...)
	p = s.serve()
	u = p.as(anna)
	u.reaches(id, "ok")
	u.fetch(id)
	mailtest.CompareDelivered(t, oracle, delivered(t, to), name)
	p.term()
}

// An account that is being visited is left as it is, and so is one of whose mail nothing is at the server.
func TestWhatCannotBeMovedOverIsLeftAndNamed(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 6, false))
	to := destinationDovecot(t, ca)
	s := newSite(t, ca)
	s.secrets = append(s.secrets, masters)
	s.ok("", "init")
	s.ok(canary+"\n", append([]string{
		"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--name", "Obce", "--password-stdin",
	}, cliFlags("imap", from.Host, from.IMAPS, "tls", "anna")...)...)
	s.ok("", "pull")
	for _, e := range into(to, ca) {
		s.env = append(s.env, "MAILBROOK_"+e)
	}
	r := s.run("", "migrate-destination", "--user", anna)
	if r.status != exitFailed || !strings.Contains(r.out, "NOT MOVED OVER: of 6 messages that lie in its Maildir, none") {
		t.Errorf("without its mail it ends with %d:\n%s%s", r.status, r.out, r.err)
	}
	if out := s.ok("", "migrate-destination", "--user", anna, "--force"); !strings.Contains(out, "it continues") {
		t.Errorf("--force prints:\n%s", out)
	}
	if out := s.ok("", "migrate-destination", "--user", anna, "--from", "none"); !strings.Contains(out, "it continues") {
		t.Errorf("--from none prints:\n%s", out)
	}

	silent := mailtest.Play(t, "TLS\nSTALL\n", mailtest.ScriptOptions{CA: ca, Lenient: true, Repeat: true})
	p := s.serve()
	u := p.as(jan)
	u.add(remoteAccount("Milczek", "imap", "localhost", silent.Port(), "tls", "jan").with(fields{"skip_test": true}))
	<-silent.Stalled()
	r = s.run("", "migrate-destination", "--user", jan, "--from", "none")
	if r.status != exitFailed || !strings.Contains(r.out, "it is being visited") {
		t.Errorf("during a visit it ends with %d:\n%s%s", r.status, r.out, r.err)
	}
	if r := p.as(root).do("GET", "/readyz", nil); r.status != http.StatusOK {
		t.Errorf("/readyz answers %d", r.status)
	}
	p.term()
}

// A user whose mailbox cannot be opened, here since no password is saved, is named, and holds up nobody else: neither
// what is moved over nor what is checked. During an outage nobody is said to be looked at.
func TestAUserWhoCannotBeLookedAtHoldsUpNobody(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, from, "anna", mailtest.Corpus(7, 3, false))
	to := destinationDovecot(t, ca)
	s := newSite(t, ca)
	s.spoils("a mailbox cannot be looked at")
	s.secrets = append(s.secrets, annasOwn)
	s.ok("", "init")
	for _, user := range []string{anna, jan} {
		s.ok(canary+"\n", append([]string{
			"account", "add", "--user", user, "--email", "anna@poczta.example.test", "--name", "Obce", "--password-stdin",
		}, cliFlags("imap", from.Host, from.IMAPS, "tls", "anna")...)...)
	}
	for _, e := range []string{
		"MAILBOX=imap", fmt.Sprintf("IMAP_ADDRESS=localhost:%d", to.IMAPS), "IMAP_CA_FILE=" + ca.File, "IMAP_LOGIN=per-user",
	} {
		s.env = append(s.env, "MAILBROOK_"+e)
	}
	s.ok(annasOwn+"\n", "user", "mailbox", "set", jan, "--password-stdin")
	moves := []string{"migrate-destination", "--from", "none"}
	for _, tc := range []struct{ args, says []string }{
		{moves, []string{anna + ": NOT MOVED OVER: ", "No name and no password are saved", jan + ": the mailbox"}},
		{[]string{"check"}, []string{
			anna + ": NOT CONSISTENT. The mailbox could not be looked at", "No name and no password are saved",
			jan + ": consistent",
		}},
	} {
		r := s.run("", tc.args...)
		for _, text := range tc.says {
			if r.status != exitFailed || !strings.Contains(r.out, text) {
				t.Errorf("%q ends with %d, and does not say %q:\n%s%s", tc.args, r.status, text, r.out, r.err)
			}
		}
	}
	to.Stop()
	if r := s.run("", append(moves, "--user", jan)...); r.status != exitFailed || r.out != "" {
		t.Errorf("during an outage it ends with %d:\n%s%s", r.status, r.out, r.err)
	}
	to.Start()
}
