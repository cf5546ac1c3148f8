package webui_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// soon is far more than anything here takes on a busy machine: it ends waits
// that would never end.
const soon = 30 * time.Second

// built is the program, made once for all tests by the first that needs it.
var built mailtest.Program

func TestMain(m *testing.M) {
	status := m.Run()
	chrome.close()
	if err := errors.Join(built.Remove(), redirected.Remove()); err != nil {
		fmt.Fprintln(os.Stderr, "removing the built programs:", err)
		status = 1
	}
	os.Exit(status)
}

// program returns the path of the built program.
func program(tb testing.TB) string {
	tb.Helper()
	return built.Path(tb)
}

// site is one installation, with `mailbrook serve` running on it.
type site struct {
	tb testing.TB // Of the test that looks on.
	*siteState
}

// in is the same installation for a subtest: what fails there has to end that
// subtest, and not the test around it, which may have returned.
func (s *site) in(tb testing.TB) *site { return &site{tb, s.siteState} }

// siteState is what an installation is, whichever test looks on.
type siteState struct {
	path string // Of the program; "": of the one that is built for all tests.
	dir  string
	env  []string
	addr string // Of the server: "http://127.0.0.1:…".

	args   []string // Of serve.
	cmd    *exec.Cmd
	over   chan struct{}
	mu     sync.Mutex
	said   bytes.Buffer
	tokens map[string]string // By what they are asked for with.
}

// newSite serves an installation until the test ends; then `mailbrook check`
// must find nothing wrong. Further settings are KEY=value, without the prefix of
// the environment's variables; {addr} stands for the server's address.
func newSite(tb testing.TB, ca *mailtest.CA, further ...string) *site {
	tb.Helper()
	s := unservedSite(tb)
	if ca != nil {
		s.env = append(s.env, "MAILBROOK_REMOTE_CA_FILE="+ca.File)
	}
	for _, f := range further {
		s.env = append(s.env, "MAILBROOK_"+strings.ReplaceAll(f, "{addr}", s.addr))
	}
	s.serve()
	return s
}

// unservedSite is newSite for what wants to know the address before it is served.
func unservedSite(tb testing.TB) *site {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	s := &site{tb, &siteState{dir: tb.TempDir(), addr: "http://" + addr, tokens: map[string]string{}}}
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir(),
		"MAILBROOK_LISTEN=" + addr, "MAILBROOK_DATA_DIR=" + s.data(), "MAILBROOK_LOG_FORMAT=json", "MAILBROOK_LOG_LEVEL=info",
		"MAILBROOK_REMOTE_ALLOW_NETWORKS=127.0.0.0/8,::1/128", "MAILBROOK_REMOTE_ALLOW_PORTS=*",
	}
	tb.Cleanup(func() {
		s.kill()
		mailtest.Check(tb, s.program(), s.env)
		if tb.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			text := s.said.String()
			tb.Logf("mailbrook serve said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return s
}

// program returns the path of the program that this installation runs.
func (s *site) program() string {
	if s.path == "" {
		return program(s.tb)
	}
	return s.path
}

func (s *site) data() string { return filepath.Join(s.dir, "data") }

// Write keeps what the server says.
func (s *siteState) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(b)
}

// serve starts the server and waits until it answers.
func (s *site) serve() {
	s.tb.Helper()
	s.cmd, s.over = exec.Command(s.program(), append([]string{"serve"}, s.args...)...), make(chan struct{})
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.env, s, s
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatalf("starting the server: %v", err)
	}
	go func(cmd *exec.Cmd, over chan struct{}) {
		defer close(over)
		if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
			fmt.Fprintln(s, "waiting for the server:", err)
		}
	}(s.cmd, s.over)
	s.eventually("the server is ready", func() bool {
		resp, err := client.Get(s.addr + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the server as a power cut does.
func (s *site) kill() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Errorf("killing the server: %v", err)
	}
	<-s.over
	s.cmd = nil
}

// eventually waits until ok.
func (s *site) eventually(what string, ok func() bool) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.tb.Fatalf("waited for nothing until %s", what)
		}
	}
}

// run performs a command of the program and returns what it prints.
func (s *site) run(args ...string) string {
	s.tb.Helper()
	cmd := exec.Command(s.program(), args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, &out, &errs
	if err := cmd.Run(); err != nil {
		s.tb.Fatalf("mailbrook %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// link returns an address that signs somebody in, once.
func (s *site) link(user string, further ...string) string {
	s.tb.Helper()
	return s.run(append([]string{"link", "--user", user}, further...)...)
}

// token returns a token for the REST API.
func (s *site) token(user string, admin bool) string {
	s.tb.Helper()
	args := []string{"token", "--user", user}
	if admin {
		args = append(args, "--admin")
	}
	key := strings.Join(args, " ")
	s.mu.Lock()
	known := s.tokens[key]
	s.mu.Unlock()
	if known != "" {
		return known
	}
	made := s.run(args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[key] = made
	return made
}

// client makes no connection outlive its test.
var client = &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}

// ask makes a request of the REST API as a user, beside the pages.
func (s *site) ask(user, method, path string, body any) map[string]any {
	s.tb.Helper()
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.tb.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, s.addr+path, r)
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(user, strings.HasPrefix(path, "/v1/admin")))
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		s.tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		s.tb.Fatalf("%s %s answers %d (%v): %s", method, path, resp.StatusCode, err, text)
	}
	if len(text) == 0 {
		return nil
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		s.tb.Fatalf("%s %s answers %q: %v", method, path, text, err)
	}
	return v
}

// add adds an account by the REST API, with further settings, and returns its
// id.
func (s *site) add(user string, d *mailtest.Dovecot, name, protocol, at string, further ...map[string]any) string {
	s.tb.Helper()
	port := map[string]int{"imap": d.IMAPS, "pop3": d.POP3S}[protocol]
	settings := map[string]any{
		"email": at + "@poczta.example.test", "password": d.Users[at], "name": name, "protocol": protocol, "username": at,
		"server": map[string]any{"host": "localhost", "port": port, "security": "tls"},
	}
	for _, f := range further {
		maps.Copy(settings, f)
	}
	a := s.ask(user, "POST", "/v1/accounts", settings)
	id, ok := a["id"].(string)
	if !ok {
		s.tb.Fatalf("POST /v1/accounts answers %v", a)
	}
	return id
}

// fetched gives the i-th of several users the account "Poczta", with further settings, and
// waits until its mail was fetched from d.
func (s *site) fetched(i int, d *mailtest.Dovecot, further ...map[string]any) (user, id string) {
	s.tb.Helper()
	user = fmt.Sprintf("anna%d@firma.test", i)
	id = s.add(user, d, "Poczta", "imap", "anna", further...)
	s.state(user, id, "ok")
	return user, id
}

// shown opens the list of a user whose account "Poczta" is well.
func (s *site) shown(t *testing.T, dev device, user string) *tab {
	t.Helper()
	p := look(t, dev, s.link(user))
	p.until(card("Poczta") + "?.dataset.state === 'ok'")
	return p
}

// adding opens the first step of adding an account, as a user who has none.
func (s *site) adding(t *testing.T, dev device) *tab {
	t.Helper()
	p := look(t, dev, s.link("anna@firma.test"))
	p.press(sayAdd.in(dev))
	return p
}

// state waits until an account is in a state.
func (s *site) state(user, id, want string) {
	s.tb.Helper()
	s.eventually("account "+id+" is "+want, func() bool {
		status, ok := s.ask(user, "GET", "/v1/accounts/"+id, nil)["status"].(map[string]any)
		return ok && status["state"] == want
	})
}

// refused gives an account a wrong password and waits until it is not tried
// any more.
func (s *site) refused(user, id string) {
	s.tb.Helper()
	s.ask(user, "PATCH", "/v1/accounts/"+id, map[string]any{"password": "nie to haslo", "skip_test": true})
	tries := 0.0
	s.eventually("account "+id+" needs attention", func() bool {
		status, ok := s.ask(user, "GET", "/v1/accounts/"+id, nil)["status"].(map[string]any)
		if !ok || status["state"] == "needs_attention" {
			return ok
		}
		// An edit begins to count again: a visit that it overtook may have counted before.
		if n, ok := status["consecutive_failures"].(float64); ok && n > 0 && n != tries {
			tries = n
			s.ask(user, "POST", "/v1/accounts/"+id+"/fetch", nil)
		}
		return false
	})
}

// patientWithErrors keeps Dovecot from answering ever later after wrong
// passwords from one address, which here are all the tests'.
var patientWithErrors = []string{"service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}"}

// provider is a mail server somewhere else, with some mail for each of these.
func provider(tb testing.TB, messages int, users ...string) *mailtest.Dovecot {
	tb.Helper()
	passwords := map[string]string{}
	for _, u := range users {
		passwords[u] = "tajne-" + u + "-7Qx"
	}
	d := mailtest.StartDovecot(tb, mailtest.DovecotOptions{Users: passwords, Extra: patientWithErrors})
	for i, u := range users {
		mailtest.Fill(tb, d, u, mailtest.Corpus(uint64(i+1), messages, true))
	}
	return d
}
