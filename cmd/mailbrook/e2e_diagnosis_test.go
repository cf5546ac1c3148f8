package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// closedPort returns a port on loopback that refuses connections until the test
// ends: a socket holds it that never listens.
func closedPort(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Close(fd); err != nil {
			t.Errorf("closing a socket: %v", err)
		}
	})
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*syscall.SockaddrInet4).Port
}

// testLimit is how long a connection test may take, and what an answer may
// take beside it on a busy machine.
const testLimit = 20*time.Second + 4*time.Second

func TestEachConnectionTroubleHasItsOwnDiagnosis(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	users := map[string]string{"anna": canary}
	good := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca, Extra: patientWithErrors})
	mailtest.Fill(t, good, "anna", mailtest.Corpus(61, 20, true))
	foreign := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users}) // By an authority that nobody knows.
	expired := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca, Certificate: ca.Expired()})
	other := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca, Certificate: ca.OtherName(
		"imap.inny.example.test")})
	lenient := mailtest.ScriptOptions{CA: ca, Lenient: true, Repeat: true}
	silentTLS := mailtest.Play(t, "TLS\nSTALL\n", lenient)
	silent := mailtest.Play(t, "STALL\n", lenient)
	noSTARTTLS := mailtest.Play(t, "S: * OK [CAPABILITY IMAP4rev1 LOGIN] ready\nC~ TAG CAPABILITY\nS: * CAPABILITY "+
		"IMAP4rev1\nS: TAG OK done\nC~ TAG *\nS: TAG BAD no\n", lenient)
	noSTLS := mailtest.Play(t, "S: +OK ready\nC~ *\nS: +OK\nS: USER\nS: .\nC~ *\nS: -ERR no\n", lenient)
	closed := closedPort(t)
	s := newSite(t, ca)
	p := s.serve()

	imap := func(host string, port int, security string) fields {
		return remoteAccount("Proba", "imap", host, port, security, "anna")
	}
	pop3 := func(host string, port int, security string) fields {
		return remoteAccount("Proba", "pop3", host, port, security, "anna")
	}
	for i, tc := range []struct {
		name  string
		f     fields
		codes []string
		step  string // The one that failed.
	}{
		{"POP3 spoken on the IMAP port", imap("localhost", good.POP3S, "tls"), []string{"protocol_error"}, "greeting"},
		{"IMAP spoken on the POP3 port", pop3("localhost", good.IMAPS, "tls"), []string{"protocol_error"}, "greeting"},
		{
			"POP3 on the IMAP port with STARTTLS", imap("localhost", good.POP3, "starttls"),
			[]string{"protocol_error"},
			"greeting",
		},
		{"TLS on a plaintext port", imap("localhost", good.IMAP, "tls"), []string{"tls_failure"}, "tls"},
		{"TLS on a plaintext POP3 port", pop3("localhost", good.POP3, "tls"), []string{"tls_failure"}, "tls"},
		{"STARTTLS on a TLS port", imap("localhost", good.IMAPS, "starttls"), []string{
			"connect_timeout", "protocol_error",
			"server_unavailable", "tls_failure",
		}, "greeting"},
		{"an untrusted certificate", imap("localhost", foreign.IMAPS, "tls"), []string{"tls_certificate_invalid"}, "tls"},
		{
			"an untrusted certificate after STLS", pop3("localhost", foreign.POP3, "starttls"),
			[]string{"tls_certificate_invalid"},
			"tls",
		},
		{"an expired certificate", imap("localhost", expired.IMAPS, "tls"), []string{"tls_certificate_invalid"}, "tls"},
		{"a certificate for another name", imap("localhost", other.IMAPS, "tls"), []string{"tls_certificate_invalid"}, "tls"},
		{"a wrong password", imap("localhost", good.IMAPS, "tls").with(fields{
			"password": "kanarek-falszywy",
			"username": "anna",
		}), []string{"auth_failed"}, "login"},
		{
			"a wrong password by POP3", pop3("localhost", good.POP3, "starttls").with(fields{"password": "kanarek-falszywy"}),
			[]string{"auth_failed"},
			"login",
		},
		{
			"a user who is not there", imap("localhost", good.IMAP, "starttls").with(fields{"username": "nikt"}),
			[]string{"auth_failed"},
			"login",
		},
		{"a server that is silent after TLS", imap("localhost", silentTLS.Port(), "tls"), []string{
			"connect_timeout",
			"server_unavailable",
		}, "greeting"},
		{"a server that is silent from the start", pop3("localhost", silent.Port(), "starttls"), []string{
			"connect_timeout",
			"server_unavailable",
		}, "greeting"},
		{"a refused port", imap("localhost", closed, "tls"), []string{"connect_refused"}, "connect"},
		{"a name that does not exist", imap("imap.nie-ma-mnie.invalid", 993, "tls"), []string{"dns_failure"}, "resolve"},
		{"no STARTTLS offered", imap("localhost", noSTARTTLS.Port(), "starttls"), []string{"starttls_unsupported"}, "tls"},
		{"no STLS offered", pop3("localhost", noSTLS.Port(), "starttls"), []string{"starttls_unsupported"}, "tls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			// Everybody has a name of their own: tests of one user wait for each other.
			u := p.in(t).as(fmt.Sprintf("proba%d@firma.test", i))
			began := time.Now()
			got := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", tc.f)
			if took := time.Since(began); took > testLimit {
				t.Errorf("the test took %v, want at most 20 s", took)
			}
			checkFailedTest(t, "POST /v1/connection-tests", got.OK, got.Steps, got.Diagnosis, tc.codes, tc.step)

			polish := u.speaking("pl-PL,pl;q=0.9,en;q=0.5")
			if tc.codes[0] == "connect_timeout" {
				polish = u // Twenty seconds once are enough.
			}
			began = time.Now()
			problem := must[problemAnswer](polish, http.StatusUnprocessableEntity, "POST", "/v1/accounts", tc.f)
			if took := time.Since(began); took > testLimit {
				t.Errorf("the test before adding took %v, want at most 20 s", took)
			}
			if problem.Code != "connection_test_failed" {
				t.Errorf("adding answers %+v", problem)
			}
			checkFailedTest(t, "POST /v1/accounts", false, problem.Steps, problem.Diagnosis, tc.codes, tc.step)
			if polish != u && got.Diagnosis != nil && problem.Diagnosis != nil {
				if got.Diagnosis.Title == problem.Diagnosis.Title || got.Diagnosis.Advice == problem.Diagnosis.Advice {
					t.Errorf("in English %q, %q; in Polish %q, %q", got.Diagnosis.Title, got.Diagnosis.Advice, problem.Diagnosis.Title,
						problem.Diagnosis.Advice)
				}
			}
			if saved := u.accounts(); len(saved) != 0 {
				t.Errorf("saved all the same: %+v", saved)
			}
		})
	}

	t.Run("all is well", func(t *testing.T) {
		t.Parallel()
		u := p.in(t).as(jan)
		got := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", imap("localhost", good.IMAP, "starttls"))
		if !got.OK || got.Diagnosis != nil || got.Messages != 20 || len(got.Folders) < 20 {
			t.Errorf("the test says %+v", got)
		}
		var names []string
		for _, st := range got.Steps {
			names = append(names, st.Name)
			if !st.OK {
				t.Errorf("step %+v", st)
			}
		}
		if want := "resolve connect greeting tls login folders"; strings.Join(names, " ") != want {
			t.Errorf("the steps are %v, want %s", names, want)
		}
		// Of a saved account, with and without changes.
		a := u.add(imap("localhost", good.IMAPS, "tls"))
		if got := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", fields{"account_id": a.ID}); !got.OK {
			t.Errorf("the test of the saved account says %+v", got)
		}
		got = must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", fields{
			"account_id": a.ID,
			"password":   "kanarek-falszywy",
		})
		if got.OK || got.Diagnosis == nil || got.Diagnosis.Code != "auth_failed" {
			t.Errorf("the test with another password says %+v", got)
		}
		// An edit that fails its test changes nothing.
		problem := must[problemAnswer](u, http.StatusUnprocessableEntity, "PATCH", "/v1/accounts/"+a.ID,
			fields{"name": "Inna", "password": "kanarek-falszywy"})
		if problem.Code != "connection_test_failed" || problem.Diagnosis == nil || problem.Diagnosis.Code != "auth_failed" {
			t.Errorf("the edit answers %+v", problem)
		}
		if now := u.account(a.ID); now.Name != "Proba" {
			t.Errorf("the refused edit changed the account: %+v", now)
		}
		u.fetch(a.ID) // By the old password.
	})
}

func checkFailedTest(t *testing.T, call string, ok bool, steps []stepAnswer, d *diagnosisAnswer, codes []string,
	step string,
) {
	t.Helper()
	if ok || d == nil || len(steps) == 0 {
		t.Errorf("%s: ok is %v, the diagnosis %+v, the steps %+v", call, ok, d, steps)
		return
	}
	found := false
	for _, c := range codes {
		found = found || d.Code == c
	}
	if !found || d.Title == "" || d.Advice == "" {
		t.Errorf("%s: the diagnosis is %+v, want one of %v with words", call, d, codes)
	}
	for i, st := range steps {
		if st.OK == (i == len(steps)-1) {
			t.Errorf("%s: step %d is %+v; only the last may have failed", call, i, st)
		}
	}
	if last := steps[len(steps)-1]; last.Name != step || last.Detail == "" {
		t.Errorf("%s: the step that failed is %+v, want %s", call, last, step)
	}
}
