package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// The tests in e2e_*_test.go drive the built program from outside, as a webmail
// and an operator do: by commands, environment, REST and signals, against real
// mail servers. They know nothing of the program's inside.

// built is the program, made once for all tests by the first that needs it.
var built mailtest.Program

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for servers and leases most of their time: more of them
	// than there are processors may run, unless somebody says how many.
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set("test.parallel", "12"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	status := m.Run()
	if err := built.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, "removing the built program:", err)
		status = 1
	}
	os.Exit(status)
}

// program returns the path of the built program.
func program(t *testing.T) string {
	t.Helper()
	return built.Path(t)
}

const (
	// soon is far more than anything here takes on a busy machine: it ends
	// waits that would never end.
	soon = 60 * time.Second
	// look is the pause between two looks at something that is waited for.
	look = 25 * time.Millisecond
	// stopPatience is the contract's: a graceful stop takes no longer.
	stopPatience = 10 * time.Second

	anna = "anna@firma.test"
	jan  = "jan@firma.test"
	root = "root@firma.test"

	// canary is the remote password in most tests. Whatever the program writes
	// or answers is searched for it.
	canary = "kanarek-W8zQ-nie-drukuj"
)

// eventually waits until ok says so. What it says otherwise is the reason given when it takes
// too long.
func eventually(t *testing.T, patience time.Duration, ok func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(look)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		done, why := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("waited %v for nothing: %s", patience, why)
		}
	}
}

// site is one installation: a configuration, a data directory, and whatever
// processes run on them.
type site struct {
	t *testing.T // Of the test that looks on.
	*siteState
}

// in is the same installation for a subtest: what fails there has to end that
// subtest, and not the test around it, which may have returned.
func (s *site) in(t *testing.T) *site { return &site{t, s.siteState} }

// siteState is what an installation is, whichever test looks on.
type siteState struct {
	dir     string
	env     []string
	secrets []string
	spoiled string // Why `mailbrook check` has to find something wrong at the end; "": it must not.

	mu    sync.Mutex
	heard bytes.Buffer // All that processes printed and answered.
}

// newSite returns an installation that may reach the test's servers. Further
// settings are KEY=value, without the prefix of the environment's variables.
// When the test ends nothing of it may hold a secret, and `mailbrook check` must
// find nothing wrong.
func newSite(t *testing.T, ca *mailtest.CA, further ...string) *site {
	t.Helper()
	s := &site{t, &siteState{dir: t.TempDir(), secrets: []string{canary}}}
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir(), "TZ=Europe/Warsaw",
		"MAILBROOK_LISTEN=127.0.0.1:0", "MAILBROOK_DATA_DIR=" + s.data(), "MAILBROOK_LOG_FORMAT=json",
		"MAILBROOK_LOG_LEVEL=debug",
		"MAILBROOK_REMOTE_ALLOW_NETWORKS=127.0.0.0/8,::1/128", "MAILBROOK_REMOTE_ALLOW_PORTS=*",
	}
	if ca != nil {
		s.env = append(s.env, "MAILBROOK_REMOTE_CA_FILE="+ca.File)
	}
	for _, f := range further {
		s.env = append(s.env, "MAILBROOK_"+f)
	}
	t.Cleanup(s.keepsSecrets)
	t.Cleanup(func() {
		for _, w := range s.inconsistencies() {
			t.Errorf("mailbrook check: %s", w)
		}
	})
	return s
}

// spoils says why `mailbrook check` is to find something wrong when the test
// ends; if it does not, that is a failure too.
func (s *site) spoils(why string) { s.spoiled = why }

// inconsistencies says what is wrong with the mailboxes of an installation, or
// that a test said so and nothing is.
func (s *site) inconsistencies() []string {
	s.t.Helper()
	if _, err := os.Stat(s.data()); errors.Is(err, fs.ErrNotExist) && s.spoiled == "" {
		return nil // Nothing was begun.
	}
	_, wrong := mailtest.AskCheck(s.t, program(s.t), s.env)
	if s.spoiled == "" || s.t.Failed() {
		return wrong
	}
	if len(wrong) == 0 {
		return []string{"nothing is wrong, though " + s.spoiled}
	}
	return nil
}

func (s *site) data() string { return filepath.Join(s.dir, "data") }

// mail returns the Maildir++ of a user.
func (s *site) mail(user string) string {
	local, domain, _ := strings.Cut(user, "@")
	return filepath.Join(s.data(), "mail", domain, local)
}

func (s *site) hear(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard.Write(b)
	s.heard.WriteByte('\n')
}

// keepsSecrets fails the test if a password can be found anywhere.
func (s *site) keepsSecrets() {
	s.t.Helper()
	for _, l := range s.leaks() {
		s.t.Error(l)
	}
}

// leaks says where a password stands in anything that was printed, logged or
// answered, or in a file of the installation: as it is, escaped as in JSON or
// an address, in hexadecimal, or anywhere in a text in base64.
func (s *site) leaks() (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var needles []string
	for _, secret := range s.secrets {
		escaped, err := json.Marshal(secret)
		if err != nil {
			s.t.Fatal(err)
		}
		needles = append(needles, secret, strings.Trim(string(escaped), `"`), url.QueryEscape(secret), fmt.Sprintf(
			"%x", secret))
		for _, lead := range []string{"", "x", "xx"} {
			e := base64.RawStdEncoding.EncodeToString([]byte(lead + secret))
			if lead != "" {
				e = e[4:] // Its first letters depend on what comes before.
			}
			needles = append(needles, e[:len(e)-2]) // And its last on what comes after.
		}
	}
	seek := func(where string, text []byte) {
		for _, n := range needles {
			if i := bytes.Index(text, []byte(n)); i >= 0 {
				found = append(found, fmt.Sprintf("%s holds a password: …%q…", where, text[max(0, i-80):min(len(text), i+len(n)+
					40)]))
			}
		}
	}
	seek("what was printed, logged or answered", s.heard.Bytes())
	err := filepath.WalkDir(s.data(), func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(p)
		seek(p, text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("looking for passwords: %v", err)
	}
	return found
}

// result is how a command went.
type result struct {
	out, err string
	status   int
}

// run performs a command of the program.
func (s *site) run(stdin string, args ...string) result {
	s.t.Helper()
	return s.runIn(nil, stdin, args...)
}

// runIn is run with further variables, which win.
func (s *site) runIn(env []string, stdin string, args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(s.t), args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, append(s.env[:len(s.env):len(s.env)], env...),
		strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		s.t.Fatalf("mailbrook %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	s.hear(out.Bytes())
	s.hear(errs.Bytes())
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ok is run for commands that must succeed; it returns what they print.
func (s *site) ok(stdin string, args ...string) string {
	s.t.Helper()
	r := s.run(stdin, args...)
	if r.status != 0 {
		s.t.Fatalf("mailbrook %s ends with status %d\n%s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return r.out
}

// process is a program that runs until it is stopped.
type process struct {
	*site
	*processState
}

// in is the same process for a subtest.
func (p *process) in(t *testing.T) *process { return &process{p.site.in(t), p.processState} }

// processState is what a process is, whichever test looks on.
type processState struct {
	cmd  *exec.Cmd
	addr string // Of its REST API.

	mu   sync.Mutex
	said bytes.Buffer // On both outputs.
	news chan struct{}
	over chan struct{} // Closed when it has ended.
}

// Write keeps what the process says.
func (p *processState) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said.Write(b)
	select {
	case p.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start starts a process of the installation; it is stopped with the test.
func (s *site) start(args ...string) *process {
	s.t.Helper()
	return s.startProgram(program(s.t), args...)
}

// startProgram is start for a program that becomes it.
func (s *site) startProgram(name string, args ...string) *process {
	s.t.Helper()
	p := &process{s, &processState{
		cmd: exec.Command(name, args...), news: make(chan struct{}, 1), over: make(chan struct{}),
	}}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.dir, s.env, p, p
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("starting mailbrook %s: %v", strings.Join(args, " "), err)
	}
	go func() {
		defer close(p.over)
		if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
			fmt.Fprintln(p, "waiting for the process:", err)
		}
	}()
	s.t.Cleanup(func() {
		p.kill()
		s.hear([]byte(p.log()))
		if s.t.Failed() {
			s.t.Logf("mailbrook %s said:\n%s", strings.Join(args, " "), tail(p.events(), 12000))
		}
	})
	return p
}

// events is the log without the requests that were answered well.
func (p *process) events() string {
	var b strings.Builder
	for line := range strings.Lines(p.log()) {
		if !strings.Contains(line, `"msg":"request"`) || strings.Contains(line, `"status":5`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// serve starts `mailbrook serve` and waits until it answers.
func (s *site) serve(args ...string) *process {
	s.t.Helper()
	p := s.start(append([]string{"serve"}, args...)...)
	p.awaitServing()
	return p
}

// awaitServing waits until the process answers.
func (p *process) awaitServing() {
	p.t.Helper()
	p.await(func(said string) bool {
		for line := range strings.SplitSeq(said, "\n") {
			var l struct{ Msg, Listen string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "serving" {
				p.addr = "http://" + l.Listen
				return true
			}
		}
		return false
	})
	eventually(p.t, soon, func() (bool, string) {
		r := p.plain("GET", "/readyz")
		return r.status == http.StatusOK, fmt.Sprintf("/readyz answers %d: %s", r.status, r.body)
	})
}

// await waits until what the process said so far is as wanted.
func (p *process) await(ok func(said string) bool) {
	p.t.Helper()
	late := time.NewTimer(soon)
	defer late.Stop()
	for !ok(p.log()) {
		select {
		case <-p.news:
		case <-p.over:
			if ok(p.log()) {
				return
			}
			p.t.Fatalf("the process ended with status %d:\n%s", p.cmd.ProcessState.ExitCode(), p.log())
		case <-late.C:
			p.t.Fatalf("waited for nothing; the process said:\n%s", p.log())
		}
	}
}

// tells waits until the process has said a text: a line is written before an answer,
// and may be read after it.
func (p *process) tells(text string) {
	p.t.Helper()
	p.await(func(said string) bool { return strings.Contains(said, text) })
}

// stop ends the process by a signal and returns its exit status. It fails the
// test when that takes longer than the contract allows.
func (p *process) stop(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("sending %v: %v", sig, err)
	}
	late := time.NewTimer(stopPatience)
	defer late.Stop()
	select {
	case <-p.over:
	case <-late.C:
		p.t.Fatalf("%v after %v the process still runs:\n%s", stopPatience, sig, tail(p.events(), 4000))
	}
	return p.cmd.ProcessState.ExitCode()
}

// term stops the process as an operator does.
func (p *process) term() {
	p.t.Helper()
	if status := p.stop(syscall.SIGTERM); status != 0 {
		p.t.Errorf("after SIGTERM the process ends with status %d:\n%s", status, tail(p.events(), 4000))
	}
}

// kill ends the process as a power cut does, and waits.
func (p *process) kill() {
	select {
	case <-p.over:
		return
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("killing the process: %v", err)
	}
	<-p.over
}

// answer is an answer of the REST API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// client makes no connection outlive its test.
var client = &http.Client{Timeout: 2 * soon, Transport: &http.Transport{DisableKeepAlives: true}}

// ask makes one request. A body may be a string, which is sent as it is, or
// anything that becomes JSON.
func (p *process) ask(method, path string, header http.Header, body any) answer {
	p.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, p.addr+path, r)
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if r != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", method, path, err, tail(p.events(), 4000))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	p.hear(text)
	return answer{resp.StatusCode, resp.Header, text}
}

// plain makes a request without a token.
func (p *process) plain(method, path string) answer {
	p.t.Helper()
	return p.ask(method, path, nil, nil)
}

// user is somebody who is signed in to the REST API.
type user struct {
	p     *process
	name  string
	token string
	lang  string
}

// as signs a user in with a token of the command line.
func (p *process) as(name string) *user {
	p.t.Helper()
	return &user{p: p, name: name, token: strings.TrimSpace(p.ok("", "token", "--user", name))}
}

// admin signs an administrator in.
func (p *process) admin() *user {
	p.t.Helper()
	return &user{p: p, name: root, token: strings.TrimSpace(p.ok("", "token", "--user", root, "--admin"))}
}

// speaking returns the same user reading another language.
func (u *user) speaking(lang string) *user {
	v := *u
	v.lang = lang
	return &v
}

func (u *user) do(method, path string, body any) answer {
	u.p.t.Helper()
	h := http.Header{"Authorization": {"Bearer " + u.token}}
	if u.lang != "" {
		h.Set("Accept-Language", u.lang)
	}
	if method == "PATCH" {
		h.Set("Content-Type", "application/merge-patch+json")
	}
	return u.p.ask(method, path, h, body)
}

// must is do for requests that must be answered with this status; it decodes
// the answer into T.
func must[T any](u *user, status int, method, path string, body any) T {
	u.p.t.Helper()
	r := u.do(method, path, body)
	var v T
	if r.status != status {
		u.p.t.Fatalf("%s %s as %s answers %d, want %d: %s", method, path, u.name, r.status, status, r.body)
	}
	if len(r.body) > 0 {
		if err := json.Unmarshal(r.body, &v); err != nil {
			u.p.t.Fatalf("%s %s answers %q: %v", method, path, r.body, err)
		}
	}
	return v
}

// What the API answers, as far as the tests look at it.
type (
	diagnosisAnswer struct {
		Code, Title, Detail, Advice string
		Retryable                   bool
		Since                       *time.Time
	}
	stepAnswer struct {
		Name, Detail string
		OK           bool
		Millis       int64
	}
	problemAnswer struct {
		Type, Title, Detail, Code string
		Status                    int
		Errors                    []struct{ Field, Code, Detail string }
		Diagnosis                 *diagnosisAnswer
		Steps                     []stepAnswer
	}
	testAnswer struct {
		OK        bool
		Steps     []stepAnswer
		Folders   []string
		Messages  int64
		Diagnosis *diagnosisAnswer
	}
	accountAnswer struct {
		ID, Email, Name, Provider, Protocol, Username, Auth, Folder string
		SenderName                                                  string `json:"sender_name"`
		Enabled                                                     bool
		PollIntervalSeconds                                         int `json:"poll_interval_seconds"`
		Server                                                      struct {
			Host, Security string
			Port           int
		}
		Status struct {
			State               string
			LastAttemptAt       *time.Time `json:"last_attempt_at"`
			LastSuccessAt       *time.Time `json:"last_success_at"`
			NextPollAt          *time.Time `json:"next_poll_at"`
			ConsecutiveFailures int        `json:"consecutive_failures"`
			Diagnosis           *diagnosisAnswer
			Progress            struct {
				Folder        string
				MessagesDone  int64 `json:"messages_done"`
				MessagesTotal int64 `json:"messages_total"`
			}
			Totals struct{ Folders, Messages, Bytes int64 }
		}
	}
	accountsAnswer struct {
		Accounts []accountAnswer
		Limit    int
	}
	foldersAnswer struct {
		Folders []struct {
			RemoteName        string  `json:"remote_name"`
			LocalName         string  `json:"local_name"`
			SpecialUse        *string `json:"special_use"`
			Selected          bool
			Messages, Fetched int64
		}
	}
	runsAnswer struct {
		Runs []struct {
			ID              string
			StartedAt       time.Time `json:"started_at"`
			FinishedAt      time.Time `json:"finished_at"`
			OK              bool
			Messages, Bytes int64
			Diagnosis       *diagnosisAnswer
		}
	}
	quotaAnswer struct {
		UsedBytes     int64  `json:"used_bytes"`
		UsedMessages  int64  `json:"used_messages"`
		LimitBytes    *int64 `json:"limit_bytes"`
		LimitMessages *int64 `json:"limit_messages"`
		Accounts      []struct {
			AccountID       string `json:"account_id"`
			Name            string
			Bytes, Messages int64
		}
	}
	identitiesAnswer struct {
		Identities []struct {
			AccountID   string `json:"account_id"`
			Email, Name string
		}
	}
)

// fields is a JSON object to be sent.
type fields map[string]any

// with returns the same fields with others.
func (f fields) with(more fields) fields {
	out := fields{}
	for k, v := range f {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// remoteAccount is what a user enters for a mailbox at a test's server.
func remoteAccount(name, protocol, host string, port int, security, username string) fields {
	return fields{
		"email": username + "@poczta.example.test", "password": canary, "name": name, "protocol": protocol,
		"username": username,
		"server":   fields{"host": host, "port": port, "security": security},
	}
}

func (u *user) add(f fields) accountAnswer {
	u.p.t.Helper()
	return must[accountAnswer](u, http.StatusCreated, "POST", "/v1/accounts", f)
}

func (u *user) account(id string) accountAnswer {
	u.p.t.Helper()
	return must[accountAnswer](u, http.StatusOK, "GET", "/v1/accounts/"+id, nil)
}

func (u *user) accounts() []accountAnswer {
	u.p.t.Helper()
	return must[accountsAnswer](u, http.StatusOK, "GET", "/v1/accounts", nil).Accounts
}

// reaches waits until the account's state is one of these.
func (u *user) reaches(id string, states ...string) (a accountAnswer) {
	u.p.t.Helper()
	eventually(u.p.t, 2*soon, func() (bool, string) {
		a = u.account(id)
		for _, s := range states {
			if a.Status.State == s {
				return true, ""
			}
		}
		d := ""
		if a.Status.Diagnosis != nil {
			d = a.Status.Diagnosis.Code + " " + a.Status.Diagnosis.Detail
		}
		return false, fmt.Sprintf("account %s is %s (%s), not yet %s", a.Name, a.Status.State, d, strings.Join(states,
			" or "))
	})
	return a
}

// fetch has the account visited now and waits until that visit has gone well.
func (u *user) fetch(id string) accountAnswer {
	u.p.t.Helper()
	before := u.account(id).Status.LastAttemptAt
	must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+id+"/fetch", nil)
	var a accountAnswer
	eventually(u.p.t, soon, func() (bool, string) {
		a = u.account(id)
		at := a.Status.LastAttemptAt
		return a.Status.State == "ok" && at != nil && (before == nil || at.After(*before)), fmt.Sprintf(
			"the visit that was asked for: account %s is %s", a.Name, a.Status.State)
	})
	return a
}

// tree describes every file and directory below a path: name, inode, time,
// size. Two are equal exactly if nothing was written in between.
func tree(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size := info.Size()
		if e.IsDir() {
			size = 0
		}
		fmt.Fprintf(&b, "%s %v %d %d %d\n", strings.TrimPrefix(p, path), info.Mode(), info.Sys().(*syscall.Stat_t).Ino,
			info.ModTime().UnixNano(), size)
		return nil
	})
	if err != nil {
		t.Fatalf("looking at a tree: %v", err)
	}
	return b.String()
}

// below returns the messages at and below a folder.
func below(all []mailtest.Delivered, folder string) (some []mailtest.Delivered) {
	for _, d := range all {
		if d.Folder == folder || strings.HasPrefix(d.Folder, folder+"/") {
			some = append(some, d)
		}
	}
	return some
}

// octets is how many the messages take in files, and how many on the wire.
func octets(ms []mailtest.Delivered) (files, wire int64) {
	for _, m := range ms {
		files += m.S
		wire += m.Size
	}
	return files, wire
}

// patientWithErrors keeps Dovecot from answering ever later after wrong
// passwords from one address, which here are all the tests'.
var patientWithErrors = []string{"service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}"}
