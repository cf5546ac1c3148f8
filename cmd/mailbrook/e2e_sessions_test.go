package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// TestSigningOutInOneProcessSignsOutInAll, by the page and by the command line;
// streams of events end with their session.
func TestSigningOutInOneProcessSignsOutInAll(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, "WEB_PUBLIC_URL=http://pages.test")
			if database == "PostgreSQL" {
				s = newSite(t, nil, "WEB_PUBLIC_URL=http://pages.test", "DATABASE="+mailtest.StartPostgres(t))
				s.ok("", "migrate", "up")
			}
			ps := []*process{s.serve("--roles", "api"), s.serve("--roles", "api")}
			var cookies []string
			for _, user := range []string{anna, anna, anna, root} {
				_, cookie := ps[0].follow(s.ok("", "link", "--user", user))
				cookies = append(cookies, cookie)
			}
			alive := func(want ...bool) {
				t.Helper()
				for i, cookie := range cookies {
					for n, p := range ps {
						a := p.ask("GET", "/v1/accounts", http.Header{"Cookie": {cookie}}, nil)
						if (a.status == http.StatusOK) != want[i] || a.status != http.StatusOK && a.status != http.StatusUnauthorized {
							t.Errorf("session %d is answered %d by process %d, want alive: %v", i, a.status, n, want[i])
						}
					}
				}
			}
			alive(true, true, true, true)
			made := func(cookie string) string {
				t.Helper()
				h := http.Header{"Cookie": {cookie}, "X-Mailbrook": {"1"}}
				a := ps[0].ask("POST", "/v1/links", h, fields{"ttl_seconds": 3600})
				var l struct{ URL string }
				if err := json.Unmarshal(a.body, &l); a.status != http.StatusCreated || err != nil {
					t.Fatalf("a link is answered %d %s", a.status, a.body)
				}
				return l.URL
			}
			ofEnded, ofOther := made(cookies[0]), made(cookies[1])
			if a := ps[0].ask("DELETE", "/v1/session", http.Header{"Cookie": {cookies[0]}, "X-Mailbrook": {"1"}},
				nil); a.status != http.StatusNoContent {
				t.Errorf("signing out: %d %s", a.status, a.body)
			}
			alive(false, true, true, true)
			if status, _ := ps[1].follow(ofEnded); status != http.StatusGone {
				t.Errorf("a link that the session made outlives it: %d", status)
			}
			if status, _ := ps[1].follow(ofOther); status >= http.StatusBadRequest { // The control.
				t.Errorf("the link of another session is answered %d", status)
			}
			both := http.Header{"Cookie": {cookies[0] + "; " + cookies[1]}}
			if a := ps[0].ask("GET", "/v1/accounts", both, nil); a.status != http.StatusOK {
				t.Errorf("behind a cookie whose session has ended, one that lives is answered %d", a.status)
			}

			ctx, leave := context.WithTimeout(t.Context(), 2*soon)
			defer leave()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, ps[1].addr+"/v1/events", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", cookies[1])
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			if !lines.Scan() || lines.Text() != "retry: 2000" {
				t.Fatalf("the stream begins with %q (%v)", lines.Text(), lines.Err())
			}
			unused := s.ok("", "link", "--user", anna)
			if said := s.ok("", "sessions", "end", "--user", "Anna@FIRMA.test"); !strings.Contains(said, "ended 3 sessions") {
				t.Errorf("it says %q", said)
			}
			for lines.Scan() {
			}
			if lines.Err() != nil || ctx.Err() != nil {
				t.Errorf("the stream was cut, or did not end: %v %v", lines.Err(), ctx.Err())
			}
			alive(false, false, false, true)
			if status, _ := ps[0].follow(unused); status != http.StatusGone {
				t.Errorf("a link from before is answered %d", status)
			}
			if said := s.ok("", "sessions", "end", "--all"); !strings.Contains(said, "ended 1 session\n") {
				t.Errorf("it says %q", said)
			}
			alive(false, false, false, false)
			for _, p := range ps {
				p.term()
			}
		})
	}
}

// TestNoCommandTakesAFoldedUser: the command line is a door like others.
func TestNoCommandTakesAFoldedUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "WEB_PUBLIC_URL=http://pages.test")
	commands := [][]string{
		{"token"},
		{"link"},
		{"sessions", "end"},
		{"check"},
		{"account", "list"},
		{"pull"},
		{"account", "add", "--email", "box@remote.test", "--host", "127.0.0.1", "--skip-test", "--password-stdin"},
	}
	for name, user := range map[string]string{
		"KELVIN SIGN": "\u212Aowal@firma.test", "dotted capital I": "\u0130x@firma.test",
		"full-width": "\uFF4Bowal@firma.test", "combining": "ko\u0301wal@firma.test",
		"full-width domain": "kowal@\uFF46irma.test", "KELVIN SIGN in the domain": "anna@\u212Aowal.test",
		"combining domain": "anna@zo\u0301lw.test", "ideographic dot": "kowal@firma\u3002test",
	} {
		for _, c := range commands {
			if r := s.run(canary+"\n", append(c, "--user", user)...); r.status != exitUsage || r.out != "" {
				t.Errorf("%s, %v: status %d, %s", name, c, r.status, r.out)
			}
		}
	}
	s.ok("", "init")
	for _, args := range [][]string{{"sessions", "end"}, {"sessions", "end", "--all", "--user", anna}} {
		if r := s.run("", args...); r.status != exitUsage || r.out != "" {
			t.Errorf("%v: status %d, %s", args, r.status, r.out)
		}
	}
	if r := s.run("", "sessions", "end", "--user", "Kowal@Firma.test"); r.status != exitOK { // The control.
		t.Errorf("an ASCII user: status %d, %s", r.status, r.err)
	}
}

// TestUsersOfAnotherScriptAreReportedAfterAnUpgrade, where operators look.
func TestUsersOfAnotherScriptAreReportedAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, user := range []string{"kowal@firma.test", "other@firma.test"} {
		s.ok(canary+"\n", "account", "add", "--user", user, "--email", "box@remote.test", "--host", "mail.remote.test",
			"--skip-test", "--password-stdin")
	}
	const report = "nobody can sign in as it, and it looks like kowal@firma.test"
	for _, args := range [][]string{{"migrate", "status"}, {"check"}} { // The control.
		if said := s.ok("", args...); strings.Contains(said, "ASCII") {
			t.Errorf("%v reports somebody: %s", args, said)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(s.data(), "mailbrook.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"owners", "accounts", "journals", "poll_schedule"} {
		if _, err := db.Exec("UPDATE " + table +
			" SET owner = '\uFF4Bowal@firma.test' WHERE owner = 'other@firma.test'"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"migrate", "status"}, {"migrate", "up"}, {"check"}} {
		if said := s.ok("", args...); !strings.Contains(said, report) {
			t.Errorf("%v says %s", args, said)
		}
	}
	p := s.serve()
	p.await(func(said string) bool {
		return strings.Contains(said, "a user of an earlier version cannot sign in") && strings.Contains(said, report)
	})
	p.term()
}
