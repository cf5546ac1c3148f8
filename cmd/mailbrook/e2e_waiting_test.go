package main

import (
	"strings"
	"testing"
)

// Newcomer 8: a cron line with pull does not send a refused password for ever.
// It says which accounts wait for their users; --force tries each once.
func TestPullDoesNotHammerARefusedPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "REMOTE_ALLOW_PLAINTEXT=true")
	remote := startStrict(t, canary)
	flags := cliFlags("imap", "127.0.0.1", remote.imap, "none", "anna")
	add := append([]string{
		"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--password-stdin", "--skip-test",
	}, flags...)
	id, _, _ := strings.Cut(s.ok("kanarek-falsz\n", add...), "\n")
	for range 3 {
		s.run("", "pull")
	}
	tries := remote.count()
	if tries == 0 || tries > 3 {
		t.Fatalf("three visits made %d logins", tries)
	}
	for _, args := range [][]string{{"pull"}, {"pull", "--user", anna}, {"pull", "--account", id}, {"pull"}} {
		r := s.run("", args...)
		if r.status != exitFailed || !strings.Contains(r.out, "waits for its user") || !strings.Contains(r.out, "--force") {
			t.Errorf("%v ends with status %d and says %q", args, r.status, r.out)
		}
	}
	r := s.run("", "pull", "--json")
	got := pullLines(t, r.out)
	if len(got) != 1 || got[0].OK || got[0].Diagnosis == nil || got[0].Diagnosis.Code != "auth_failed" ||
		!strings.Contains(r.out, `"skipped":true`) || r.status != exitFailed {
		t.Errorf("pull --json ends with status %d and says %s", r.status, r.out)
	}
	if n := remote.count(); n != tries {
		t.Errorf("%d more logins were made", n-tries)
	}
	// The control, and the way out: it can be tried, once, and continues to wait.
	if r := s.run("", "pull", "--force"); r.status != exitFailed || strings.Contains(r.out, "waits for its user") {
		t.Errorf("pull --force ends with status %d and says %q", r.status, r.out)
	}
	s.run("", "pull")
	if n := remote.count(); n != tries+1 {
		t.Errorf("--force made %d logins, want 1", n-tries)
	}
	// A new password is tried by the next pull.
	s.ok(canary+"\n", "account", "edit", id, "--password-stdin", "--skip-test")
	if r := s.run("", "pull"); remote.accepted == 0 {
		t.Errorf("the right password is not tried: pull ends with status %d: %s%s", r.status, r.out, r.err)
	}
}
