package main

import (
	"strings"
	"testing"
)

// At a terminal, account delete and user delete name what goes and what becomes of the
// mail, and do nothing without a yes. The controls: a yes, --yes, and a pipe, which is
// not asked.
func TestDeletionsAskAtATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	add := func(email, folder string) (id string) {
		id, _, _ = strings.Cut(s.ok(canary+"\n", "account", "add", "--user", anna, "--email", email, "--host",
			"poczta.example.test", "--folder", folder, "--skip-test", "--password-stdin"), "\n")
		return id
	}
	left := func(want int) {
		t.Helper()
		if list := s.ok("", "account", "list"); strings.Count(list, anna) != want {
			t.Errorf("%d accounts are to be left: %s", want, list)
		}
	}
	id := add("ewa@poczta.example.test", "Ewa")
	add("jan@poczta.example.test", "Praca")
	account := "Delete the account ewa@poczta.example.test of " + anna + `? The folder "Ewa" `
	user := "Delete " + anna + " with 2 accounts (ewa@poczta.example.test, jan@poczta.example.test), sessions, limits " +
		`and journals? The folders "Ewa", "Praca" `
	for _, tc := range []struct{ command, asks string }{
		{
			"account delete " + id, account + "stays, with the mail fetched so far. If the account is added again " +
				"within 30 days, that mail is not fetched a second time. [y/N] ",
		},
		{"account delete --mail delete " + id, account + "is deleted, with all the mail there. [y/N] "},
		{"user delete " + anna, user + "stay, with the mail fetched so far. [y/N] "},
		{"user delete --mail delete " + anna, user + "are deleted, with all the mail there. [y/N] "},
	} {
		for _, answer := range []struct {
			keys   string
			status int
			says   string
		}{
			{"n\r", exitFailed, "Nothing was done."},
			{"\r", exitFailed, "Nothing was done."},
			{ctrlD, exitFailed, ""},
			{ctrlC, exitInterrupted, ""},
		} {
			c := s.onTerminal(400, nil, strings.Fields(tc.command)...)
			c.expect(tc.asks)
			c.types(answer.keys)
			status, shown := c.ends()
			if status != answer.status || !strings.Contains(shown, answer.says) || strings.Contains(shown, "mailbrook:") {
				t.Errorf("%s, %q: status %d, want %d and %q: %s", tc.command, answer.keys, status, answer.status,
					answer.says, shown)
			}
		}
		left(2)
	}

	c := s.onTerminal(400, nil, "account", "delete", id)
	c.expect("[y/N] ")
	c.types("y\r")
	if status, shown := c.ends(); status != exitOK || !strings.Contains(shown, "deleted "+id) {
		t.Errorf("after a yes: status %d, %s", status, shown)
	}
	left(1)
	for _, command := range []string{
		"account delete --yes " + add("ewa@poczta.example.test", "Ewa"), "user delete --yes " + anna,
	} {
		if status, shown := s.showing(400, nil, strings.Fields(command)...); status != exitOK ||
			strings.Contains(shown, "[y/N]") {
			t.Errorf("%s: status %d, %s", command, status, shown)
		}
	}
	left(0)
	for _, command := range []string{
		"account delete " + add("ewa@poczta.example.test", "Ewa"), "user delete " + anna, "user delete " + anna,
	} {
		if r := s.run("", strings.Fields(command)...); r.status != exitOK || strings.Contains(r.out+r.err, "[y/N]") {
			t.Errorf("%s by a pipe: status %d, %s%s", command, r.status, r.out, r.err)
		}
	}
}

// Where there is nothing to delete user delete asks nothing, and does not log that it
// removed a user. The control is a user who has an account.
func TestDeletingNobodySaysOnlyThat(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "LOG_LEVEL=info")
	s.ok(canary+"\n", "account", "add", "--user", anna, "--email", "ewa@poczta.example.test", "--host",
		"poczta.example.test", "--skip-test", "--password-stdin")
	status, shown := s.showing(400, nil, "user", "delete", "nobody@firma.test")
	if status != exitOK || !strings.Contains(shown, "there was nothing to delete") || strings.Contains(shown, "removed") ||
		strings.Contains(shown, "[y/N]") {
		t.Errorf("of nobody: status %d, %s", status, shown)
	}
	r := s.run("", "user", "delete", anna)
	if r.status != exitOK || !strings.Contains(r.err, "user removed") || !strings.Contains(r.out, "with 1 account;") {
		t.Errorf("of somebody: status %d, %s%s", r.status, r.out, r.err)
	}
}
