package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

func TestCheckComparesWhatWasDeliveredWithTheJournal(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(21, 40, true))
	s := newSite(t, ca)
	s.ok("", "init")
	if out := s.ok("", "check"); !strings.Contains(out, "no accounts") {
		t.Errorf("without accounts: %q", out)
	}
	p := s.serve()
	u := p.as(anna)
	byIMAP := u.add(remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna"))
	byPOP3 := u.add(remoteAccount("Skrzynka", "pop3", d.Host, d.POP3, "starttls", "anna"))
	u.reaches(byIMAP.ID, "ok")
	u.reaches(byPOP3.ID, "ok")

	// While the service runs, and after.
	for _, running := range []bool{true, false} {
		if !running {
			p.term()
		}
		users := mailtest.Check(t, program(t), s.env)
		if len(users) != 1 || len(users[0].Accounts) != 2 || users[0].Accounts[0].Present != 40 || users[0].Foreign != 0 {
			t.Fatalf("running: %v, %+v", running, users)
		}
	}
	mine := below(mailtest.ReadMaildir(t, s.mail(anna)), "Drzewo")
	moved, doubled := mine[0], mine[1]
	name, _, _ := strings.Cut(filepath.Base(moved.Path), ":")
	if err := os.Rename(moved.Path, filepath.Join(s.mail(anna), "cur", name+":2,S")); err != nil {
		t.Fatal(err)
	}
	if out := s.ok("", "check", "--user", anna); !strings.Contains(out, anna+": consistent") {
		t.Errorf("after a move: %s", out)
	}
	text, err := os.ReadFile(doubled.Path)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ = strings.Cut(filepath.Base(doubled.Path), ":")
	if err := os.WriteFile(filepath.Join(s.mail(anna), "cur", name+":2,"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run("", "check")
	if r.status != exitFailed || !strings.Contains(r.out, "NOT CONSISTENT") ||
		!strings.Contains(r.out, "doubled_token  "+doubled.Token) {
		t.Errorf("with a doubled message it ends with status %d and says %s", r.status, r.out)
	}
	if r := s.run("", "check", "--account", byPOP3.ID, "--json"); r.status != exitOK ||
		strings.Contains(r.out, "doubled_token") {
		t.Errorf("of the other account it ends with status %d and says %s", r.status, r.out)
	}

	out := s.ok("", "check", "--explain", doubled.Token)
	for _, want := range []string{"delivered and present", "settled: ", byIMAP.ID, "UIDVALIDITY", "UID ", "cur/" + name} {
		if !strings.Contains(out, want) {
			t.Errorf("the explanation lacks %q: %s", want, out)
		}
	}
	var x struct {
		State, Token string
		Files        []string
	}
	if err := json.Unmarshal([]byte(s.ok("", "check", "--json", "--explain", moved.Token)), &x); err != nil ||
		len(x.Files) != 1 || !strings.HasPrefix(x.Files[0], "cur/") {
		t.Errorf("%+v, %v", x, err)
	}
	for _, part := range []string{ // Of the file's name, in which the token is.
		filepath.Base(doubled.Path), doubled.Path, doubled.Token + ".host",
		"cur/1700000000." + doubled.Token + ".host,S=1:2,S",
	} {
		if again := s.ok("", "check", "--explain", part); again != out {
			t.Errorf("of %s it explains %s", part, again)
		}
	}
	// An empty name is no order to check everything.
	if r := s.run("", "check", "--explain", ""); r.status != exitUsage || r.out != "" ||
		!strings.Contains(r.err, "--explain") {
		t.Errorf("an empty name: status %d, %s%s", r.status, r.err, r.out)
	}
	if r := s.run("", "check", "--explain", "x"+doubled.Token); r.status != exitFailed { // The control.
		t.Errorf("explaining what is no token ends with status %d", r.status)
	}
	if r := s.run("", "check", "--explain", "F"+strings.Repeat("a", 26)); r.status != exitFailed {
		t.Errorf("explaining a message that does not exist ends with status %d", r.status)
	}
	if r := s.run("", "check", "--account", "no-such"); r.status != exitUsage {
		t.Errorf("an account that does not exist: status %d", r.status)
	}
	os.Remove(filepath.Join(s.mail(anna), "cur", name+":2,"))
}

// What every test here ends with would notice each of these.
func TestEveryTestWouldNoticeASpoiledMailbox(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(41, 8, false))
	for _, tc := range []struct {
		what, kind string
		spoil      func(text []byte, path, base string) error
	}{
		{"a message lies there twice", "doubled_token", func(text []byte, path, base string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(path)), "cur", base+":2,S"), text, 0o600)
		}},
		{"a message was cut", "wrong_size", func(text []byte, path, _ string) error {
			return os.WriteFile(path, text[:len(text)/2], 0o600)
		}},
		{"a message carries a token that nobody gave", "unknown_token", func(text []byte, path, base string) error {
			before, after, _ := strings.Cut(base, ".F")
			forged := before + ".F" + strings.Repeat("a", 26) + after[26:]
			return os.WriteFile(filepath.Join(filepath.Dir(path), forged), text, 0o600)
		}},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			p := s.serve()
			u := p.as(anna)
			u.reaches(u.add(remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna")).ID, "ok")
			p.term()
			if wrong := s.inconsistencies(); len(wrong) > 0 {
				t.Fatalf("before: %q", wrong)
			}
			path := mailtest.ReadMaildir(t, s.mail(anna))[0].Path
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			base, _, _ := strings.Cut(filepath.Base(path), ":")
			if err := tc.spoil(text, path, base); err != nil {
				t.Fatal(err)
			}
			wrong := s.inconsistencies()
			if len(wrong) != 1 || !strings.Contains(wrong[0], tc.kind) {
				t.Errorf("%s: it finds %q, want %s", tc.what, wrong, tc.kind)
			}
			s.spoils(tc.what)
		})
	}
}

// F25, F58, I22 with the real thing: a database that is older than the mailbox.
func TestARestoredDatabaseFetchesNothingThatIsStillThere(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(31, 20, false))
	s := newSite(t, ca)
	p := s.serve()
	u := p.as(anna)
	for _, a := range []fields{
		remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna"), remoteAccount("Skrzynka", "pop3", d.Host, d.POP3,
			"starttls", "anna"),
	} {
		u.reaches(u.add(a).ID, "ok")
	}
	p.term()
	database := filepath.Join(s.data(), "mailbrook.db")
	backup, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	mailtest.Fill(t, d, "anna", mailtest.Corpus(32, 30, false))
	var before []mailtest.Delivered
	eventually(t, soon, func() (bool, string) { // The provider may take a second to see what came.
		s.ok("", "pull", "--json")
		before = mailtest.ReadMaildir(t, s.mail(anna))
		return len(before) == 100, fmt.Sprintf("%d of 100 messages came", len(before))
	})
	mailtest.Check(t, program(t), s.env)

	for _, companion := range []string{"-wal", "-shm"} {
		if err := os.Remove(database + companion); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(database, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.run("", "check"); r.status != exitFailed || !strings.Contains(r.out, "database_older") {
		t.Errorf("check of a restored database ends with status %d and says %s", r.status, r.out)
	}
	for range 2 {
		for line := range strings.Lines(s.ok("", "pull", "--json")) {
			var got struct {
				OK       bool
				Messages int
			}
			if err := json.Unmarshal([]byte(line), &got); err != nil || !got.OK || got.Messages != 0 {
				t.Errorf("after the restore: %s, %v", line, err)
			}
		}
	}
	if after := mailtest.ReadMaildir(t, s.mail(anna)); len(after) != len(before) {
		t.Errorf("%d messages before, %d after", len(before), len(after))
	}
	for _, f := range mailtest.Check(t, program(t), s.env)[0].Findings {
		t.Errorf("%+v", f)
	}
}
