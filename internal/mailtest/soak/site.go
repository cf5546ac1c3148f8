package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// site is one installation.
type site struct {
	*world
	number         int
	name, database string
	processes      []*process
	monsters       []monster

	mu    sync.Mutex
	token map[string]string // By user.
}

// process is a "mailbrook serve".
type process struct {
	cmd     *exec.Cmd
	log     string
	ended   chan struct{}
	stopped bool
	resume  time.Time // When it is continued.
	right   time.Time // When its clock is set right; zero: it is.
}

// command is one of the program's, on this installation.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.mailbrook, args...)
	cmd.Dir = s.path()
	// Dovecot reads no mail as root, and a ring's mailboxes are its as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: mailtest.MailOwner()}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.path(), "TMPDIR=" + os.TempDir(), "MAILBROOK_LISTEN=127.0.0.1:0",
		"MAILBROOK_DATA_DIR=" + s.path(s.name), "MAILBROOK_DATABASE=" + s.database, "MAILBROOK_LOG_FORMAT=json",
		"MAILBROOK_LOG_LEVEL=debug",
		"MAILBROOK_REMOTE_ALLOW_NETWORKS=127.0.0.0/8,::1/128", "MAILBROOK_REMOTE_ALLOW_PORTS=*", "MAILBROOK_REMOTE_CA_FILE=" +
			s.path("roots.pem"),
		"MAILBROOK_POLL_INTERVAL=500ms", "MAILBROOK_POLL_MIN_INTERVAL=500ms", "MAILBROOK_REMOTE_ALLOW_PLAINTEXT=true",
	}
	return cmd
}

// serve starts one more process.
func (s *site) serve(ctx context.Context) (*process, error) {
	p, err := s.serveOnly(ctx, "api,poller")
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// serveOnly starts a process of some roles, which is let alone.
func (s *site) serveOnly(ctx context.Context, roles string) (*process, error) {
	p := &process{cmd: s.command(ctx, "serve", "--roles", roles), ended: make(chan struct{})}
	f, err := os.CreateTemp(s.path(), s.name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p.log, p.cmd.Stdout, p.cmd.Stderr = f.Name(), f, f
	p.cmd.Env = append(p.cmd.Env, "SOAK_CLOCK="+p.log+".clock")
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // Its status tells nothing: mostly it was killed.
	}()
	s.Cleanup(p.kill)
	return p, nil
}

// kill ends the process as a power cut does, stopped or not.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// term ends the process as an operator does.
func (p *process) term() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		return fmt.Errorf("a process does not end when it is asked to, see %s", p.log)
	}
	if status := p.cmd.ProcessState.ExitCode(); status != 0 {
		return fmt.Errorf("a process that was asked to end ended with status %d, see %s", status, p.log)
	}
	return nil
}

func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.ended:
		said, err := os.ReadFile(p.log)
		return fmt.Errorf("a process ended by itself: %v %.2000s", err, lastLines(said))
	default:
		return p.cmd.Process.Signal(s)
	}
}

func lastLines(b []byte) []byte { return b[max(0, len(b)-2000):] }

// addr is where the process answers, once it says so.
func (p *process) addr() string {
	said, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(said) {
		var l struct{ Msg, Listen string }
		if json.Unmarshal(line, &l) == nil && l.Msg == "serving" {
			return "http://" + l.Listen
		}
	}
	return ""
}

// ask makes a request for a user, and decodes the answer.
func (s *site) ask(ctx context.Context, user, method, path string, to any) error {
	return s.send(ctx, s.processes[len(s.processes)-1], user, method, path, "", to)
}

// tokenOf is a user's token, made once.
func (s *site) tokenOf(ctx context.Context, user string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil {
		s.token = map[string]string{}
	}
	if s.token[user] == "" {
		out, err := s.command(ctx, "token", "--user", user, "--ttl", "24h").Output()
		if err != nil {
			return "", fmt.Errorf("making a token: %w", err)
		}
		s.token[user] = strings.TrimSpace(string(out))
	}
	return s.token[user], nil
}

// send is ask with a body, of one process.
func (s *site) send(ctx context.Context, p *process, user, method, path, body string, to any) error {
	addr := p.addr()
	if addr == "" {
		return fmt.Errorf("the process does not answer yet")
	}
	token, err := s.tokenOf(ctx, user)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s answers %d: %.300s", method, path, resp.StatusCode, text)
	}
	if err == nil && to != nil {
		err = json.Unmarshal(text, to)
	}
	return err
}
