package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// house.md section 5: support can have a transcript, from the command line and for
// a day by an administrator; without the password, and its owner's alone.
func TestATranscriptIsWrittenWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary}, CA: ca,
		Extra: patientWithErrors,
	})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(21, 5, true))
	s := newSite(t, ca, "POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s")
	add := append([]string{"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--password-stdin"},
		cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)
	id, _, _ := strings.Cut(s.ok(canary+"\n", add...), "\n")
	check := func(where, text string) {
		t.Helper()
		if !strings.Contains(text, " C: ") || !strings.Contains(text, " S: ") || !strings.Contains(text, "***") ||
			strings.Contains(text, canary) {
			t.Errorf("%s: %q", where, text)
		}
	}
	file, dir := filepath.Join(s.dir, "t.log"), filepath.Join(s.dir, "all")
	s.ok("", "account", "test", id, "--transcript", file)
	s.ok("", "pull", "--transcript", dir)
	for _, path := range []string{file, filepath.Join(dir, id+".log")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, string(text))
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	p := s.serve()
	path := "/v1/admin/accounts/" + id + "/transcript"
	if r := p.as(anna).do("PUT", path, nil); r.status != http.StatusForbidden {
		t.Errorf("a user switches a transcript on: %d", r.status)
	}
	if r := p.admin().do("GET", path+"?download=true", nil); r.status != http.StatusNotFound {
		t.Errorf("a transcript that was not asked for: %d", r.status)
	}
	if r := p.admin().do("PUT", path, nil); r.status != http.StatusOK ||
		!strings.Contains(string(r.body), `"active":true`) {
		t.Fatalf("switching on: %d %s", r.status, r.body)
	}
	eventually(t, soon, func() (bool, string) {
		r := p.admin().do("GET", path+"?download=true", nil)
		text := string(r.body)
		return strings.Contains(text, "***") && strings.Contains(text, " S: "), text
	})
	check("by an administrator", string(p.admin().do("GET", path+"?download=true", nil).body))
	p.tells("transcript switched on")
	p.tells(`"by":`)
	if r := p.admin().do("DELETE", path, nil); r.status != http.StatusNoContent {
		t.Errorf("removing: %d", r.status)
	}
	if r := p.admin().do("GET", path, nil); !strings.Contains(string(r.body), `"until":null`) {
		t.Errorf("after it was removed: %s", r.body)
	}
	p.term()
}
