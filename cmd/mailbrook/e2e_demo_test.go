package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	printedAssignment = regexp.MustCompile(`(?m)^\s*((?:TOKEN|ADMIN)=\S+)$`)
	printedCurl       = regexp.MustCompile(`(?m)^\s*(curl .*)$`)
	printedMailbox    = regexp.MustCompile(`Maildir\+\+ in (\S+)`)
	printedBase       = regexp.MustCompile(`The REST API answers at (http[^\s;]+);`)
	printedSpare      = regexp.MustCompile(`address, user name +(\S+)
 +password +(\S+)
 +server +(\S+), port (\d+) for IMAP or (\d+) for POP3, with TLS
`)
)

func TestTheDemoShowsMailAndItsCurlLinesWork(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing; install it: apt-get install %s", tool, tool)
		}
	}
	s := newSite(t, nil)
	scratch := t.TempDir()
	s.env = append(s.env, "TMPDIR="+scratch)
	p := s.start("demo", "--trickle", "300ms")
	p.await(func(said string) bool { return strings.Contains(said, "Ctrl-C") })
	said := p.log()
	if strings.ContainsRune(said, '\x1b') {
		t.Errorf("to something that is no terminal the demo prints %q", said)
	}
	for _, word := range []string{"imap", "pop3", "remote folder", "local folder", "messages", "INBOX"} {
		if !strings.Contains(said, word) {
			t.Errorf("the demo does not say %q:\n%s", word, said)
		}
	}
	assign := printedAssignment.FindAllStringSubmatch(said, -1)
	curls := printedCurl.FindAllStringSubmatch(said, -1)
	if len(assign) != 2 || len(curls) < 6 {
		t.Fatalf("the demo prints %d tokens and %d lines of curl:\n%s", len(assign), len(curls), said)
	}
	for _, c := range curls {
		line := c[1]
		t.Run(strings.ReplaceAll(line, "/", "|"), func(t *testing.T) {
			script := assign[0][1] + "\n" + assign[1][1] + "\n" + line + ` -w '\n%{http_code}'`
			out, err := exec.Command("sh", "-c", script).CombinedOutput()
			text := strings.TrimSpace(string(out))
			status := text[max(0, len(text)-3):]
			if err != nil || !strings.HasPrefix(status, "2") {
				t.Errorf("%s answers %s (%v): %s", line, status, err, text)
			}
		})
	}
	box := printedMailbox.FindStringSubmatch(said)
	if box == nil {
		t.Fatalf("the demo does not say where the mailbox is:\n%s", said)
	}
	if n := files(t, box[1]); n == 0 {
		t.Errorf("no mail lies in %s", box[1])
	}
	t.Run("the mailbox to add", func(t *testing.T) { addSpare(t, p, said, strings.TrimPrefix(assign[0][1], "TOKEN=")) })
	// New sample mail trickles in and is reported.
	p.await(func(said string) bool { return regexp.MustCompile(`: \d+ new \(\d+ in all\)`).MatchString(said) })

	if status := p.stop(os.Interrupt); status != 0 {
		t.Errorf("after Ctrl-C the demo ends with status %d:\n%s", status, tail(p.log(), 3000))
	}
	left, err := filepath.Glob(filepath.Join(scratch, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("the demo leaves behind %v (%v)", left, err)
	}
	if _, err := os.Stat(s.data()); err == nil {
		t.Error("the demo wrote into the configured data_dir")
	}
}

// addSpare adds the mailbox that the demo prints for that, by either protocol, with what
// is printed; the control is another password.
func addSpare(t *testing.T, p *process, said, token string) {
	spare, base := printedSpare.FindStringSubmatch(said), printedBase.FindStringSubmatch(said)
	if spare == nil || base == nil {
		t.Fatalf("the demo prints no mailbox to add:\n%s", said)
	}
	p.addr = base[1]
	u := &user{p: p, name: demoUser, token: token}
	for protocol, port := range map[string]string{"imap": spare[4], "pop3": spare[5]} {
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		f := fields{
			"email": spare[1], "password": "wrong", "name": "Ewa " + protocol, "protocol": protocol,
			"server": fields{"host": spare[3], "port": number, "security": "tls"},
		}
		if a := u.do("POST", "/v1/accounts", f); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s with another password: %d %s", protocol, a.status, a.body)
		}
		f["password"] = spare[2]
		added := u.add(f)
		u.reaches(added.ID, "ok")
		if a := u.do("DELETE", "/v1/accounts/"+added.ID, nil); a.status != http.StatusNoContent {
			t.Errorf("%s: deleting: %d %s", protocol, a.status, a.body)
		}
	}
}

func TestTheDemoEndsAtOnceWhenInterruptedEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	scratch := t.TempDir()
	s.env = append(s.env, "TMPDIR="+scratch)
	p := s.start("demo")
	p.await(func(said string) bool { return strings.Contains(said, "Mailbrook demo") })
	if status := p.stop(os.Interrupt); status != 0 {
		t.Errorf("after Ctrl-C the demo ends with status %d:\n%s", status, tail(p.log(), 3000))
	}
	if left, err := filepath.Glob(filepath.Join(scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("the demo leaves behind %v (%v)", left, err)
	}
}

// The demo's port may be taken: then another one serves.
func TestTheDemoFindsAFreePort(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	taken := s.serve("--roles", "api")
	s.env = append(s.env, "MAILBROOK_LISTEN="+strings.TrimPrefix(taken.addr, "http://"))
	p := s.start("demo")
	p.await(func(said string) bool { return strings.Contains(said, "Ctrl-C") })
	if strings.Contains(p.log(), fmt.Sprintf("answers at %s;", taken.addr)) {
		t.Errorf("the demo claims a port that somebody else has:\n%s", p.log())
	}
	if status := p.stop(os.Interrupt); status != 0 {
		t.Errorf("after Ctrl-C the demo ends with status %d", status)
	}
}
