package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// strict is a mail server, by IMAP and POP3, that lets in who knows the
// password, and counts everybody else.
type strict struct {
	imap, pop3 int

	mu       sync.Mutex
	refused  int
	accepted int
	think    func()
}

func startStrict(t *testing.T, right string) *strict {
	t.Helper()
	s := &strict{}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // Last, when nobody listens any more.
	listen := func(talk func(*bufio.Reader, func(string))) int {
		l, err := net.Listen("tcp", "[::]:0") // By every address of this machine.
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		wg.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					defer conn.Close()
					stop := time.AfterFunc(2*soon, func() { conn.Close() })
					defer stop.Stop()
					talk(bufio.NewReader(conn), func(line string) { fmt.Fprintf(conn, "%s\r\n", line) })
				})
			}
		})
		return l.Addr().(*net.TCPAddr).Port
	}
	s.imap = listen(func(r *bufio.Reader, say func(string)) {
		say("* OK [CAPABILITY IMAP4rev1] hello")
		for {
			line, err := r.ReadString('\n')
			words := strings.Fields(line)
			if err != nil || len(words) < 2 {
				return
			}
			switch strings.ToUpper(words[1]) {
			case "LOGIN":
				if !s.judge(strings.Contains(line, right)) {
					say(words[0] + " NO [AUTHENTICATIONFAILED] wrong")
					continue
				}
			case "CAPABILITY":
				say("* CAPABILITY IMAP4rev1")
			case "LIST":
				say(`* LIST () "/" INBOX`)
			case "EXAMINE":
				say("* 0 EXISTS")
				say("* OK [UIDVALIDITY 1] -")
			case "STATUS":
				say("* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1 UNSEEN 0 RECENT 0)")
			}
			say(words[0] + " OK done")
		}
	})
	s.pop3 = listen(func(r *bufio.Reader, say func(string)) {
		say("+OK hello")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
			switch verb {
			case "USER":
				say("+OK")
			case "PASS":
				if s.judge(strings.Contains(line, right)) {
					say("+OK")
				} else {
					say("-ERR [AUTH] wrong")
				}
			default:
				say("-ERR not here")
			}
		}
	})
	return s
}

func (s *strict) judge(right bool) bool {
	s.mu.Lock()
	think := s.think
	if right {
		s.accepted++
	} else {
		s.refused++
	}
	s.mu.Unlock()
	if !right && think != nil {
		think()
	}
	return right
}

// thinks has it do something before it says no.
func (s *strict) thinks(think func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.think = think
}

func (s *strict) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// spellings are names of one mailbox, by host, protocol and user name.
func (s *strict) spellings(name string) (all []fields) {
	names := []string{
		name, strings.ToUpper(name), name + "@poczta.example.test", name + "+x@poczta.example.test",
		"recent:" + name + "@poczta.example.test", `FIRMA\` + name + `\biuro`, `FIRMA\` + name + `\sklep`,
	}
	for _, host := range []string{"localhost", "127.0.0.1", "localhost.", "[::ffff:127.0.0.1]", "127.0.0.2", "::1"} {
		for _, by := range []struct {
			protocol string
			port     int
		}{{"imap", s.imap}, {"pop3", s.pop3}} {
			f := remoteAccount(host+" by "+by.protocol, by.protocol, host, by.port, "none", names[len(all)%len(names)])
			all = append(all, f.with(fields{"email": name + "@poczta.example.test"}))
		}
	}
	return all
}

// guess is 300 guesses at once, by every door of REST that signs in somewhere, and
// two more at the command line.
func guess(u *user, remote *strict) {
	spelt := remote.spellings("ofiara")
	accounts := u.accounts()
	for i := len(accounts); i < 4; i++ {
		accounts = append(accounts, u.add(spelt[3*i].with(fields{
			"skip_test": true, "password": fmt.Sprint("zgadnij", i), "folder": fmt.Sprint("Zgaduj", i), "username": fmt.Sprintf(
				"ofiara+%d@poczta.example.test", i),
		})))
	}
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			f, at := spelt[i%len(spelt)].with(fields{"password": fmt.Sprint("zgadnij-", i)}), "/v1/accounts/"+accounts[i%4].ID
			switch i % 4 {
			case 0:
				u.do("POST", "/v1/connection-tests", f)
			case 1:
				u.do("POST", "/v1/accounts", f)
			case 2:
				u.do("PATCH", at, fields{"password": f["password"], "skip_test": true})
			case 3:
				u.do("POST", at+"/fetch", nil)
			}
		})
	}
	wg.Wait()
}

// TestNobodyGuessesPasswordsThroughUs is U19: whoever guesses runs dry, whatever the
// door and the spelling, over a restart; the mailbox's owner is let in all the while.
func TestNobodyGuessesPasswordsThroughUs(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			const most = 10
			remote := startStrict(t, canary)
			further := []string{"REMOTE_ALLOW_PLAINTEXT=true", "POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s"}
			if database == "PostgreSQL" {
				further = append(further, "DATABASE="+mailtest.StartPostgres(t))
			}
			s := newSite(t, nil, further...)
			if database == "PostgreSQL" {
				s.ok("", "migrate", "up")
			}
			p := s.serve()
			mallory := p.as("mallory@firma.test")
			guess(mallory, remote)
			dry := func(u *user) accountAnswer {
				// An account whose password was just changed is visited, and says why it waits.
				id := u.accounts()[0].ID
				eventually(t, 2*soon, func() (bool, string) {
					return u.do("PATCH", "/v1/accounts/"+id, fields{
						"password":  "jeszcze-raz",
						"skip_test": true,
					}).status == http.StatusOK, "an edit is not taken"
				})
				var a accountAnswer
				eventually(t, 2*soon, func() (bool, string) {
					a = u.account(id)
					d, next := a.Status.Diagnosis, a.Status.NextPollAt
					// Until it was visited it is due, with what came of the visit before.
					waits := next != nil && time.Until(*next) > time.Minute
					return a.Status.State == "retrying" && waits && d != nil && d.Code == "rate_limited",
						fmt.Sprintf("%s until %v, %+v", a.Status.State, next, d)
				})
				return a
			}
			a := dry(mallory)
			if d := a.Status.Diagnosis; !strings.Contains(d.Title, "we pause") {
				t.Errorf("the state says %q", d.Title)
			}
			if next := *a.Status.NextPollAt; time.Until(next) > 17*time.Minute {
				t.Errorf("the next visit is at %v", next)
			}
			if polish := must[accountAnswer](mallory.speaking("pl"), http.StatusOK, "GET", "/v1/accounts/"+a.ID,
				nil); !strings.Contains(polish.Status.Diagnosis.Title, "robimy przerwę") {
				t.Errorf("in Polish: %q", polish.Status.Diagnosis.Title)
			}
			if n := remote.count(); n != most {
				t.Fatalf("%d guesses came through, not %d", n, most)
			}
			test := remote.spellings("ofiara")[0]
			r := mallory.do("POST", "/v1/connection-tests", test)
			if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
				t.Errorf("a test with no place left: %d, Retry-After %q: %s", r.status, r.header.Get("Retry-After"), r.body)
			}

			p.term()
			s.run("", "pull", "--user", "mallory@firma.test")
			s.run("zgadnij-znowu\n", "account", "test", a.ID, "--password-stdin")
			s.run("zgadnij-znowu\n", "account", "add", "--user", "mallory@firma.test", "--email", "x@poczta.example.test",
				"--username", "OFIARA",
				"--host", "127.0.0.3", "--port", fmt.Sprint(remote.imap), "--security", "none", "--password-stdin")
			p = s.serve()
			guess(p.as("mallory@firma.test"), remote)
			dry(p.as("mallory@firma.test"))
			if n := remote.count(); n != most {
				t.Errorf("after a restart %d guesses came through, not %d", n, most)
			}

			// The owner, whom nobody of this knows.
			owner := p.as(anna)
			if r := must[testAnswer](owner, http.StatusOK, "POST", "/v1/connection-tests", test); !r.OK {
				t.Errorf("the owner's right password does not pass the test")
			}
			owner.reaches(owner.add(test).ID, "ok")
			if n := remote.count(); n != most {
				t.Errorf("the owner's logins count as refused: %d", n)
			}
			// What holds is the count and not the server: another guesser has as many.
			guess(p.as("eva@firma.test"), remote)
			dry(p.as("eva@firma.test"))
			if n := remote.count(); n != 2*most {
				t.Errorf("of two guessers %d guesses came through, not %d", n, 2*most)
			}
			p.term()
		})
	}
}
