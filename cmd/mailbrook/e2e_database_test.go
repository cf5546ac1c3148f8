package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// A short life is the same on both databases: two accounts, their mail, an
// edit, new mail, a restart, the end of an account.
func TestALifeIsTheSameOnBothDatabases(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
			oracle := mailtest.Fill(t, d, "anna", mailtest.Corpus(11, 60, true))
			s := newSite(t, ca)
			if database == "PostgreSQL" {
				s = newSite(t, ca, "DATABASE="+mailtest.StartPostgres(t))
				r := s.run("", "serve")
				if r.status != exitUsage || !strings.Contains(r.err, "migrate up") {
					t.Errorf("serve on an empty PostgreSQL ends with status %d and says %q, want status %d and a word about "+
						"`migrate up`", r.status, r.err, exitUsage)
				}
				if r = s.run("", "pull"); r.status != exitUsage || !strings.Contains(r.err, "migrate up") {
					t.Errorf("pull on an empty PostgreSQL ends with status %d and says %q", r.status, r.err)
				}
				if status := s.ok("", "migrate", "status"); strings.Contains(status, "applied") ||
					!strings.Contains(status, "pending") {
					t.Errorf("migrate status of an empty database says %q", status)
				}
				if up := s.ok("", "migrate", "up"); strings.Contains(up, "pending") {
					t.Errorf("after migrate up: %s", up)
				}
			}
			p := s.serve()
			u := p.as(anna)
			byIMAP := u.add(remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna"))
			byPOP3 := u.add(remoteAccount("Skrzynka", "pop3", d.Host, d.POP3, "starttls", "anna"))
			u.reaches(byIMAP.ID, "ok")
			u.reaches(byPOP3.ID, "ok")
			mailtest.CompareDelivered(t, oracle, mailtest.ReadMaildir(t, s.mail(anna)), "Drzewo")

			edited := must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+byIMAP.ID,
				fields{"sender_name": "Anna Żółw", "poll_interval_seconds": 900})
			if edited.SenderName != "Anna Żółw" || edited.PollIntervalSeconds != 900 {
				t.Errorf("after an edit the account is %+v", edited)
			}
			p.term()

			oracle = append(oracle, mailtest.Fill(t, d, "anna", mailtest.Corpus(12, 5, false))...)
			p = s.serve()
			u = p.as(anna)
			if got := u.account(byIMAP.ID); got.SenderName != "Anna Żółw" || got.Status.State != "ok" ||
				got.Status.Totals.Messages != 60 {
				t.Errorf("after a restart the account is %+v", got)
			}
			u.fetch(byIMAP.ID)
			mailtest.CompareDelivered(t, oracle, mailtest.ReadMaildir(t, s.mail(anna)), "Drzewo")
			if r := u.do("DELETE", "/v1/accounts/"+byIMAP.ID+"?mail=delete", nil); r.status != http.StatusNoContent {
				t.Fatalf("deleting answers %d: %s", r.status, r.body)
			}
			if left := u.accounts(); len(left) != 1 || left[0].ID != byPOP3.ID {
				t.Errorf("after deleting one account there are %+v", left)
			}
			if got := below(mailtest.ReadMaildir(t, s.mail(anna)), "Drzewo"); len(got) != 0 {
				t.Errorf("%d messages of the deleted account remain", len(got))
			}
			checkAdmin(t, p)
			p.term()
		})
	}
}

// checkAdmin looks at the calls across users, of a site with one account.
func checkAdmin(t *testing.T, p *process) {
	t.Helper()
	a := p.admin()
	accounts := must[struct {
		Accounts []struct{ User, Email string }
	}](a, http.StatusOK, "GET", "/v1/admin/accounts", nil)
	if len(accounts.Accounts) != 1 || accounts.Accounts[0].User != anna {
		t.Errorf("an administrator sees the accounts %+v", accounts.Accounts)
	}
	stats := must[struct {
		LastHour struct{ Polls, Messages int64 } `json:"last_hour"`
		Accounts struct {
			Total   int64
			ByState map[string]int64 `json:"by_state"`
		}
	}](a, http.StatusOK, "GET", "/v1/admin/stats", nil)
	if stats.Accounts.Total != 1 || stats.Accounts.ByState["ok"] != 1 || stats.LastHour.Polls == 0 ||
		stats.LastHour.Messages == 0 {
		t.Errorf("the statistics are %+v", stats)
	}
	for _, path := range []string{"/v1/admin/accounts", "/v1/admin/stats", "/v1/admin/quotas", "/v1/admin/quotas/" +
		anna} {
		if r := p.as(anna).do("GET", path, nil); r.status != http.StatusForbidden {
			t.Errorf("GET %s by a user answers %d", path, r.status)
		}
	}
}

// One process answers, another polls; a third polls too. They know nothing of
// each other but the database.
func TestProcessesOnOnePostgreSQLShareTheWork(t *testing.T) {
	t.Parallel()
	const people = 6
	ca := mailtest.NewCA(t)
	users := map[string]string{}
	for i := range people {
		users[fmt.Sprintf("u%d", i)] = canary
	}
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca})
	oracles := make([]mailtest.Oracle, people)
	for i := range people {
		oracles[i] = mailtest.Fill(t, d, fmt.Sprintf("u%d", i), mailtest.Corpus(uint64(100+i), 30, true))
	}
	s := newSite(t, ca, "DATABASE="+mailtest.StartPostgres(t), "POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s",
		"POLL_WORKERS=2")
	s.ok("", "migrate", "up")
	api := s.serve("--roles", "api")
	pollers := []*process{s.serve("--roles", "poller"), s.serve("--roles", "poller")}

	type one struct {
		u  *user
		id string
	}
	var all []one
	for i := range people {
		u := api.as(fmt.Sprintf("user%d@firma.test", i))
		all = append(all, one{u, u.add(remoteAccount("Zdalne", "imap", d.Host, d.IMAPS, "tls", fmt.Sprintf("u%d", i))).ID})
	}
	for i, o := range all {
		o.u.reaches(o.id, "ok")
		mailtest.CompareDelivered(t, oracles[i], mailtest.ReadMaildir(t, s.mail(o.u.name)), "Zdalne")
	}
	// Both pollers take part, sooner or later, with a visit a second for each account.
	for _, p := range pollers {
		p.await(func(said string) bool { return visits(said) > 0 })
	}
	if n := visits(api.log()); n != 0 {
		t.Errorf("the process without the poller's role made %d visits", n)
	}
	// One poller dies without a word; the other carries on.
	pollers[0].kill()
	more := mailtest.Fill(t, d, "u0", mailtest.Corpus(999, 3, false))
	want := int64(len(oracles[0]) + len(more))
	eventually(t, 2*soon, func() (bool, string) {
		n := all[0].u.account(all[0].id).Status.Totals.Messages
		return n == want, fmt.Sprintf("%d messages, not yet %d", n, want)
	})
	api.term()
	pollers[1].term()
	mailtest.CompareDelivered(t, append(oracles[0], more...), mailtest.ReadMaildir(t, s.mail(all[0].u.name)), "Zdalne")
}

// visits counts the visits that a log reports.
func visits(said string) (n int) {
	for line := range strings.Lines(said) {
		var l struct{ Msg string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "visited" {
			n++
		}
	}
	return n
}

// F27: somebody keeps SQLite's write lock, as a process that was stopped inside
// a transaction does.
func TestWhileAnotherProcessHoldsTheDatabaseNothingIsLost(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(51, 12, false))
	s := newSite(t, ca, "POLL_INTERVAL=200ms", "POLL_MIN_INTERVAL=200ms")
	p := s.serve()
	u := p.as(anna)
	a := u.add(remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna"))
	u.reaches(a.ID, "ok")

	db, err := sql.Open("sqlite", filepath.Join(s.data(), "mailbrook.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	holder, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	mailtest.Fill(t, d, "anna", mailtest.Corpus(52, 12, false))
	if r := u.do("PATCH", "/v1/accounts/"+a.ID, fields{"sender_name": "Anna"}); r.status != http.StatusServiceUnavailable {
		t.Errorf("a change meanwhile is answered with %d: %s", r.status, r.body)
	}
	p.await(func(said string) bool { return strings.Contains(said, "database is locked") })
	if r := s.run("", "pull"); r.status != exitFailed || !strings.Contains(r.err, "database is locked") {
		t.Errorf("pull ends with status %d and says %q", r.status, r.err)
	}
	if got := must[accountAnswer](u, http.StatusOK, "GET", "/v1/accounts/"+a.ID, nil); got.SenderName == "Anna" {
		t.Error("the change was made all the same")
	}
	if n := len(mailtest.ReadMaildir(t, s.mail(anna))); n != 12 {
		t.Errorf("%d messages are in the mailbox that nobody could remember", n)
	}

	if _, err := holder.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+a.ID, fields{"sender_name": "Anna"})
	eventually(t, 2*soon, func() (bool, string) {
		n := len(mailtest.ReadMaildir(t, s.mail(anna)))
		return n >= 24, fmt.Sprintf("%d of 24 messages came", n)
	})
	p.term()
	if n := len(mailtest.ReadMaildir(t, s.mail(anna))); n != 24 {
		t.Errorf("%d messages of 24", n)
	}
}

// TestAPostgresThatCannotBeReachedIsNoLostFile: its socket or a certificate that is not there is a file that is
// not there, as a lost database of SQLite is, and no backup helps. The control is TestALostFileIsMadeByNoCommand.
func TestAPostgresThatCannotBeReachedIsNoLostFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false) // Its keys and mailboxes are there, and have an identity.
	gone := filepath.Join(t.TempDir(), "gone")
	for _, dsn := range []string{
		"postgres:///mailbrook?host=" + gone,
		"postgres://localhost:9/mailbrook?sslmode=verify-full&sslrootcert=" + gone,
		"postgres://localhost:9/mailbrook?sslmode=require&sslcert=" + gone + "&sslkey=" + gone,
	} {
		t.Run(dsn, func(t *testing.T) {
			for _, command := range []string{
				"installation", "installation adopt keys", "migrate status", "migrate up", "account list", "check", "doctor",
				"link --user " + anna, "serve",
			} {
				status, shown := h.showing(1000, []string{"MAILBROOK_DATABASE=" + dsn}, strings.Fields(command)...)
				if status == exitOK || status < 0 || !strings.Contains(shown, gone) {
					t.Errorf("%s: status %d, %s", command, status, shown)
				}
				for _, lost := range []string{"there is none", "backup"} {
					if strings.Contains(shown, lost) {
						t.Errorf("%s says %q of a database that was not asked: %s", command, lost, shown)
					}
				}
			}
		})
	}
}
