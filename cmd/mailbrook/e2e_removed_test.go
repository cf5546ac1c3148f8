package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// beside opens an installation's database beside the program; dsn is "" for SQLite.
func (s *site) beside(dsn string) *sql.DB {
	s.t.Helper()
	driver := "pgx"
	if dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(s.data(), "mailbrook.db")+
			"?_pragma=busy_timeout(1000)&_txlock=immediate"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { db.Close() })
	return db
}

// freeze stops a process where it holds up nobody's writing to the database.
func (p *process) freeze(db *sql.DB) {
	p.t.Helper()
	eventually(p.t, soon, func() (bool, string) {
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			p.t.Fatal(err)
		}
		tx, err := db.Begin()
		if err == nil {
			_, err = tx.Exec("DELETE FROM removals WHERE owner = 'nobody'")
			err = errors.Join(err, tx.Rollback())
		}
		if err != nil {
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// farOff is a time, in milliseconds, that does not come while a test runs.
const farOff = int64(1) << 50

// exec changes the database behind the program's back.
func (s *site) exec(db *sql.DB, statement string) {
	s.t.Helper()
	eventually(s.t, soon, func() (bool, string) {
		_, err := db.Exec(statement)
		return err == nil, fmt.Sprint(err)
	})
}

func (p *process) thaw() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

// TestD2_AVisitThatStoodStillWhileItsUserWasRemovedBringsNothing to the next owner of
// the address, on both databases. The control is the same visit of a user who was not.
// Another process, which is killed while it waits for that visit, leaves the rest of
// the removal to one that comes later.
func TestD2_AVisitThatStoodStillWhileItsUserWasRemovedBringsNothing(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary}, CA: ca,
	})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(96, 60, false))
	mailtest.Fill(t, d, "jan", mailtest.Corpus(97, 5, false))
	for name, tc := range map[string]struct{ postgres, removed bool }{
		"SQLite": {false, true}, "PostgreSQL": {true, true}, "control": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, further := "", []string(nil)
			if tc.postgres {
				dsn = mailtest.StartPostgres(t)
				further = []string{"DATABASE=" + dsn}
			}
			s := newSite(t, ca, further...)
			s.ok("", "migrate", "up")
			db := s.beside(dsn)
			proxy := mailtest.StartProxy(t, fmt.Sprintf("127.0.0.1:%d", d.IMAPS))
			p := s.serve("--roles", "api")
			u := p.as(anna)
			u.add(remoteAccount("Obce", "imap", "127.0.0.1", proxy.Port(), "tls", "anna").with(fields{"skip_test": true}))
			proxy.StallAfter(60_000) // Some messages have come by then.
			stuck := s.start("pull", "--user", anna)
			<-proxy.Stalled()
			stuck.freeze(db)
			s.exec(db, fmt.Sprintf("UPDATE poll_schedule SET lease_until_ms = %d WHERE lease_owner <> ''", farOff))
			if tc.removed {
				p = s.removeAround(p, db)
				u = p.as(anna)
				obce := u.add(remoteAccount("Obce", "imap", "127.0.0.1", d.IMAPS, "tls", "jan"))
				u.reaches(obce.ID, "ok")
			}
			proxy.Heal()
			stuck.thaw()
			proxy.CutAll()
			<-stuck.over
			got := mailtest.ReadMaildir(t, s.mail(anna))
			if !tc.removed {
				if len(got) == 0 {
					t.Error("the visit that stood still had nothing to bring")
				}
				return
			}
			if len(got) != 5 || len(u.accounts()) != 1 {
				t.Errorf("the next owner has %d messages of 5, and %d accounts", len(got), len(u.accounts()))
			}
			spools, err := os.ReadDir(filepath.Join(s.mail(anna), "fetch-spool"))
			dirs := 0
			for _, e := range spools {
				if e.IsDir() {
					dirs++
				}
			}
			if err != nil || dirs != 1 {
				t.Errorf("spools: %v, %v", spools, err)
			}
			p.term()
		})
	}
}

// removeAround removes anna while a visit of hers stands still. p is killed while it
// waits for that; what it began is finished by the process that is returned, once the
// visit's lease has run out.
func (s *site) removeAround(p *process, db *sql.DB) *process {
	s.t.Helper()
	admin := p.admin()
	var asked sync.WaitGroup
	req, err := http.NewRequest("DELETE", p.addr+"/v1/admin/users/"+anna+"?mail=delete", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin.token)
	asked.Go(func() {
		if res, err := client.Do(req); err == nil {
			if res.Body.Close(); res.StatusCode != http.StatusServiceUnavailable {
				s.t.Errorf("removing ended with %d before the visit did", res.StatusCode)
			}
		}
	})
	eventually(s.t, soon, func() (bool, string) {
		var n int
		err := db.QueryRow("SELECT count(*) FROM ending_visits").Scan(&n)
		return n == 1, fmt.Sprintf("%d visits are waited for, %v", n, err)
	})
	p.kill()
	asked.Wait()
	p = s.serve()
	if a := p.as(anna).do("POST", "/v1/accounts", remoteAccount("Inne", "imap", "127.0.0.1", 993, "tls", "x").with(
		fields{"skip_test": true})); a.status != http.StatusServiceUnavailable {
		s.t.Errorf("while the removal is not finished an account is added: %d %s", a.status, a.body)
	}
	s.exec(db, "UPDATE ending_visits SET until_ms = 0") // The lease of the visit runs out.
	p.await(func(said string) bool { return strings.Contains(said, "the removal of a user is finished") })
	return p
}

// TestD2_ALoginThatFailsMakesNoMailbox; the control is the right password.
func TestD2_ALoginThatFailsMakesNoMailbox(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	s := newSite(t, ca)
	p := s.serve()
	u := p.as(anna)
	obce := remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna").with(fields{"skip_test": true})
	id := u.add(obce.with(fields{"password": "wrong " + canary})).ID
	u.reaches(id, "retrying")
	if _, err := os.Stat(filepath.Dir(s.mail(anna))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a mailbox was made for an account that never signed in: %v", err)
	}
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+id, fields{"password": canary})
	u.reaches(id, "ok")
	if _, err := os.Stat(filepath.Join(s.mail(anna), "cur")); err != nil {
		t.Errorf("once it signs in: %v", err)
	}
	p.term()
}

// TestD3_AnotherUserUnderAnAddressIsDistinguished by the claim of tokens that are made
// elsewhere. The control is the former one, who had everything until then.
func TestD3_AnotherUserUnderAnAddressIsDistinguished(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(98, 3, false))
	secret := strings.Repeat("s3cret-", 6)
	s := newSite(t, ca, "AUTH_SECRET="+secret, "AUTH_USER_ID_CLAIM=uid", "WEB_PUBLIC_URL=http://pages.test")
	p := s.serve()
	now := time.Now()
	token := func(more map[string]any) *user {
		t.Helper()
		c := map[string]any{"sub": anna, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		for k, v := range more {
			c[k] = v
		}
		return &user{p: p, name: anna, token: signedToken(t, jose.HS256, []byte(secret), c)}
	}
	first, second := token(map[string]any{"uid": 1041}), token(map[string]any{"uid": "1042"})
	first.reaches(first.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID, "ok")
	link := must[struct{ URL string }](first, http.StatusCreated, "POST", "/v1/links", fields{}).URL
	_, cookie := p.follow(must[struct{ URL string }](first, http.StatusCreated, "POST", "/v1/links", fields{}).URL)
	session := func() int { return p.ask("GET", "/v1/accounts", http.Header{"Cookie": {cookie}}, nil).status }
	for _, uid := range []any{json.Number("1041.0"), json.Number("1.041e3"), "1041", 1041} {
		if n := len(token(map[string]any{"uid": uid}).accounts()); n != 1 || session() != http.StatusOK {
			t.Fatalf("the first user has %d accounts as %v", n, uid)
		}
	}
	if n := len(second.accounts()); n != 0 {
		t.Errorf("the second user has %d accounts of the first", n)
	}
	p.tells("an address has another user now")
	if a := first.do("GET", "/v1/accounts", nil); a.status != http.StatusUnauthorized || session() != a.status {
		t.Errorf("the former user is answered %d, its session %d", a.status, session())
	}
	if status, _ := p.follow(link); status == http.StatusSeeOther {
		t.Error("a link of the former user signs in")
	}
	for name, tc := range map[string]struct {
		more   map[string]any
		status int
	}{
		"no id":                    {nil, http.StatusUnauthorized},
		"an empty id":              {map[string]any{"uid": ""}, http.StatusUnauthorized},
		"an id that is a list":     {map[string]any{"uid": []string{"1042"}}, http.StatusUnauthorized},
		"an administrator without": {map[string]any{"scope": "admin"}, http.StatusOK},
		"whoever it is":            {map[string]any{"uid": "*"}, http.StatusOK},
	} {
		if a := token(tc.more).do("GET", "/v1/accounts", nil); a.status != tc.status {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if n := len(p.as(anna).accounts()); n != 0 {
		t.Errorf("with a token of the command line there are %d accounts", n)
	}
	if n := len(mailtest.ReadMaildir(t, s.mail(anna))); n != 3 {
		t.Errorf("%d messages of 3 are kept", n)
	}
	p.term()
}

// TestD5_ARequestThatIsRepeatedAtOnceOrAfterACrashIsDoneOnce: of many at once one is
// performed, and one whose process died is taken up. The control is without a name,
// where each is tried.
func TestD5_ARequestThatIsRepeatedAtOnceOrAfterACrashIsDoneOnce(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary, "jan": canary}, CA: ca})
	s := newSite(t, ca)
	p := s.serve("--roles", "api")
	token := p.as(anna).token
	post := func(p *process, key string, body any) answer {
		h := http.Header{"Authorization": {"Bearer " + token}}
		if key != "" {
			h.Set("Idempotency-Key", key)
		}
		return p.ask("POST", "/v1/accounts", h, body)
	}
	counts := func(key string, body any) map[string]int {
		var mu sync.Mutex
		var wait sync.WaitGroup
		found := map[string]int{}
		for range 6 {
			wait.Go(func() {
				a := post(p, key, body)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.status == http.StatusCreated:
					found[string(a.body)]++
				case strings.Contains(string(a.body), `"idempotency_in_progress"`):
					found["in progress"]++
				default:
					found[fmt.Sprintf("%d %s", a.status, a.body)]++
				}
			})
		}
		wait.Wait()
		return found
	}
	obce := remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")
	found := counts("k-1", obce)
	delete(found, "in progress")
	last := post(p, "k-1", obce)
	if len(found) != 1 || found[string(last.body)] == 0 || last.status != http.StatusCreated {
		t.Errorf("six at once are answered %v, then %d %s", found, last.status, last.body)
	}
	if found := counts("", obce); len(found) == 0 || found["in progress"] > 0 {
		t.Errorf("without a name they are answered %v", found)
	}
	proxy := mailtest.StartProxy(t, fmt.Sprintf("127.0.0.1:%d", d.IMAPS))
	proxy.StallAfter(0)
	inne := remoteAccount("Inne", "imap", "127.0.0.1", proxy.Port(), "tls", "jan")
	var asked sync.WaitGroup
	text, err := json.Marshal(inne)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", p.addr+"/v1/accounts", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Authorization": {"Bearer " + token}, "Idempotency-Key": {"k-2"}, "Content-Type": {"application/json"},
	}
	asked.Go(func() {
		if res, err := client.Do(req); err == nil {
			t.Errorf("it was answered %d", res.StatusCode)
			res.Body.Close()
		}
	})
	<-proxy.Stalled()
	p.kill()
	asked.Wait()
	proxy.Heal()
	proxy.CutAll()
	p = s.serve("--roles", "api")
	db := s.beside("")
	s.exec(db, fmt.Sprintf("UPDATE repeatable SET until_ms = %d WHERE done = 0", farOff))
	if a := post(p, "k-2", inne); a.status != http.StatusConflict {
		t.Errorf("moments after the crash: %d %s", a.status, a.body)
	}
	s.exec(db, "UPDATE repeatable SET until_ms = 0 WHERE done = 0")
	again := post(p, "k-2", inne)
	if last := post(p, "k-2", inne); again.status != http.StatusCreated || string(last.body) != string(again.body) {
		t.Errorf("once it is known to be dead: %d %s, then %s", again.status, again.body, last.body)
	}
	if n := len(p.as(anna).accounts()); n != 2 {
		t.Errorf("there are %d accounts", n)
	}
	p.term()
}

// TestF6_ARemovalThatWasKilledIsFinishedByWhateverProcessComes, also by one that polls
// nobody, and at once; until then an account is refused with the true reason. The
// control is that nothing is finished while a process elsewhere may be at it.
func TestF6_ARemovalThatWasKilledIsFinishedByWhateverProcessComes(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(99, 3, false))
	for name, roles := range map[string]string{"api": "api", "both": "api,poller"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			s.ok("", "migrate", "up")
			db := s.beside("")
			p := s.serve("--roles", "api")
			obce := remoteAccount("Obce", "imap", "127.0.0.1", d.IMAPS, "tls", "anna").with(fields{"skip_test": true})
			p.as(anna).add(obce)
			s.ok("", "pull", "--user", anna)
			if got := mailtest.ReadMaildir(t, s.mail(anna)); len(got) != 3 {
				t.Fatalf("%d messages came", len(got))
			}
			dead := fmt.Sprintf("%s%d-killed", workerHost(), p.cmd.Process.Pid)
			p.kill()
			// As a process leaves it that was killed while it removed files.
			s.exec(db, fmt.Sprintf("INSERT INTO removals (owner, delete_mail, folders, accounts, started_ms, worker, until_ms) "+
				"VALUES ('%s', 1, '[\"Obce\"]', '[]', 1, 'elsewhere-1-alive', %d)", anna, farOff))
			body, err := json.Marshal(remoteAccount("Inne", "imap", "127.0.0.1", 993, "tls", "x").with(
				fields{"skip_test": true}))
			if err != nil {
				t.Fatal(err)
			}
			p = s.serve("--roles", roles)
			for lang, words := range map[string]string{"en": "is being removed", "pl": "właśnie usuwany"} {
				req, err := http.NewRequest("POST", p.addr+"/v1/accounts", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+p.as(anna).token)
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept-Language", lang)
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(res.Body)
				if err := errors.Join(err, res.Body.Close()); err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" ||
					!strings.Contains(string(text), words) {
					t.Errorf("adding an account meanwhile: %d, %v: %s", res.StatusCode, res.Header, text)
				}
			}
			if _, err := os.Stat(filepath.Join(s.mail(anna), ".Obce")); err != nil {
				t.Errorf("while another process may be at it: %v", err)
			}
			p.term()
			s.exec(db, fmt.Sprintf("UPDATE removals SET worker = '%s'", dead))
			p = s.serve("--roles", roles)
			p.tells("the removal of a user is finished")
			if _, err := os.Stat(filepath.Join(s.mail(anna), ".Obce")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder is there: %v", err)
			}
			p.term()
		})
	}
}

// TestF9_APullThatItsUsersRemovalEndsSaysSo, and blames nobody. The control is one
// whose account stays.
func TestF9_APullThatItsUsersRemovalEndsSaysSo(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(99, 60, false))
	for name, removed := range map[string]bool{"removed": true, "stays": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			s.ok("", "migrate", "up")
			proxy := mailtest.StartProxy(t, fmt.Sprintf("127.0.0.1:%d", d.IMAPS))
			p := s.serve("--roles", "api")
			p.as(anna).add(remoteAccount("Obce", "imap", "127.0.0.1", proxy.Port(), "tls", "anna").with(
				fields{"skip_test": true}))
			proxy.StallAfter(60_000)
			pull := s.start("pull", "--user", anna, "--json")
			<-proxy.Stalled()
			var asked sync.WaitGroup
			defer asked.Wait()
			if removed {
				req, err := http.NewRequest("DELETE", p.addr+"/v1/admin/users/"+anna, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+p.admin().token)
				asked.Go(func() {
					res, err := client.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					if res.Body.Close(); res.StatusCode != http.StatusNoContent {
						t.Errorf("removing the user: %d", res.StatusCode)
					}
				})
				db := s.beside("")
				eventually(t, soon, func() (bool, string) {
					var n int
					err := db.QueryRow("SELECT count(*) FROM ending_visits").Scan(&n)
					return n == 1, fmt.Sprintf("%d visits are waited for, %v", n, err)
				})
			}
			proxy.Heal()
			proxy.CutAll()
			<-pull.over
			if got := strings.Contains(pull.log(), `"removed":true`); got != removed {
				t.Errorf("it says %s", pull.log())
			}
			asked.Wait()
			if removed && strings.Contains(pull.log(), `"internal"`) {
				t.Errorf("it blames us: %s", pull.log())
			}
			p.term()
		})
	}
}
