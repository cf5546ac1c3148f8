package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// screenOf is a command that runs in a pseudo-terminal of its own.
type screenOf struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder
	news  chan struct{} // Closed and replaced whenever something is shown.
	over  chan struct{} // Closed when nothing more is shown.
}

// openTerminal returns both ends of a pseudo-terminal with so many columns.
func openTerminal(t *testing.T, columns int) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("opening a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlocking a pseudo-terminal: %v", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("naming a pseudo-terminal: %v", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: uint16(columns)}); err != nil {
		t.Fatalf("sizing a pseudo-terminal: %v", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("opening a pseudo-terminal: %v", err)
	}
	return master, slave
}

// onTerminal starts a command in a pseudo-terminal of so many columns. Further
// variables win.
func (s *site) onTerminal(columns int, env []string, args ...string) *screenOf {
	s.t.Helper()
	return s.inTerminal(columns, env, program(s.t), args...)
}

// inTerminal is onTerminal for another program.
func (s *site) inTerminal(columns int, env []string, name string, args ...string) *screenOf {
	s.t.Helper()
	master, slave := openTerminal(s.t, columns)
	c := &screenOf{
		t: s.t, master: master, cmd: exec.Command(name, args...),
		news: make(chan struct{}), over: make(chan struct{}),
	}
	c.cmd.Dir, c.cmd.Env = s.dir, append(append(s.env[:len(s.env):len(s.env)], "TERM=xterm", "LANG=C.UTF-8"), env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatalf("starting %s: %v", c.cmd, err)
	}
	slave.Close() // The command has its own.
	go c.listen()
	s.t.Cleanup(func() {
		c.cmd.Process.Kill() // It has ended already, when all went well.
		<-c.over
		s.hear([]byte(c.text()))
	})
	return c
}

// listen keeps what is shown, until the command has closed its end.
func (c *screenOf) listen() {
	defer close(c.over)
	for b := make([]byte, 4096); ; {
		n, err := c.master.Read(b)
		c.mu.Lock()
		c.shown.Write(b[:n])
		close(c.news)
		c.news = make(chan struct{})
		c.mu.Unlock()
		if err != nil { // EIO, once nobody has the other end any more.
			return
		}
	}
}

// text is what was shown so far, with plain line ends.
func (c *screenOf) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(c.shown.String(), "\r\n", "\n")
}

// expect waits until the screen shows something.
func (c *screenOf) expect(what string) {
	c.t.Helper()
	backstop := time.After(2 * time.Minute)
	for {
		c.mu.Lock()
		news := c.news
		c.mu.Unlock()
		if strings.Contains(c.text(), what) {
			return
		}
		select {
		case <-news:
		case <-c.over:
			if !strings.Contains(c.text(), what) {
				c.t.Fatalf("the command ended without showing %q:\n%s", what, c.text())
			}
			return
		case <-backstop: // It waits for an answer to another question, for example.
			c.t.Fatalf("the command never showed %q:\n%s", what, c.text())
		}
	}
}

// types types something at the terminal.
func (c *screenOf) types(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatalf("typing %q: %v", keys, err)
	}
}

// What Ctrl-C and Ctrl-D send.
const (
	ctrlC = "\x03"
	ctrlD = "\x04"
)

// ends waits for the command's end, and returns its status and all that was shown.
func (c *screenOf) ends() (status int, shown string) {
	c.t.Helper()
	<-c.over
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("waiting for the command: %v", err)
	}
	return c.cmd.ProcessState.ExitCode(), c.text()
}

// showing is onTerminal for a command that asks nothing.
func (s *site) showing(columns int, env []string, args ...string) (status int, shown string) {
	s.t.Helper()
	return s.onTerminal(columns, env, args...).ends()
}

// Commands that read make nothing where there is no installation: they say where
// they looked. The control: those that may make one do.
func TestReadingCommandsCreateNothing(t *testing.T) {
	t.Parallel()
	id := "00000000-0000-4000-8000-000000000000"
	for _, command := range []string{
		"check", "pull", "token --user " + anna, "link --user " + anna, "sessions end --all", "account list",
		"account show " + id, "account test " + id, "account edit --name X " + id, "account delete " + id,
		"migrate status", "migrate down", "migrate-destination", "installation", "installation adopt keys",
		"installation adopt database",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			for _, made := range []bool{false, true} { // The second time with an empty directory.
				if made {
					if err := os.Mkdir(s.data(), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				status, shown := s.showing(400, nil, strings.Fields(command)...)
				if status != exitUsage || !strings.Contains(shown, "there is no installation") {
					t.Errorf("status %d, want %d: %s", status, exitUsage, shown)
				}
				for _, want := range []string{
					s.data(), "MAILBROOK_DATA_DIR", filepath.Join(s.data(), "mailbrook.db"), "mailbrook.toml",
					"/etc/mailbrook/mailbrook.toml", "mailbrook init",
				} {
					if !strings.Contains(shown, want) {
						t.Errorf("it does not name %s: %s", want, shown)
					}
				}
				left, err := os.ReadDir(s.dir)
				if err != nil || len(left) > 1 || len(left) == 1 && !made {
					t.Errorf("left behind: %v, %v", left, err)
				}
				if in, err := os.ReadDir(s.data()); made && (err != nil || len(in) > 0) {
					t.Errorf("left behind in data_dir: %v, %v", in, err)
				}
			}
			if err := os.Remove(s.data()); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, command := range []string{
		"init", "migrate up", "account add --user " + anna + " --email a@poczta.example.test --skip-test " +
			"--host 127.0.0.1 --port 993 --protocol imap --security tls --username a --password-stdin",
	} {
		t.Run(strings.Join(strings.Fields(command)[:1], " ")+" makes one", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			for range 2 { // Again is no harm but for an account.
				if r := s.run(canary+"\n", strings.Fields(command)...); r.status != exitOK &&
					!strings.HasPrefix(command, "account") {
					t.Errorf("status %d: %s%s", r.status, r.out, r.err)
				}
			}
			if out := s.ok("", "account", "list"); out == "" {
				t.Error("account list says nothing")
			}
		})
	}
}

// An installation on PostgreSQL is looked for by its keys; the schema can be
// asked for without.
func TestReadingCommandsCreateNothingBesideAPostgreSQL(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "DATABASE="+mailtest.StartPostgres(t))
	for _, args := range [][]string{{"pull"}, {"check"}, {"account", "list"}, {"token", "--user", anna}} {
		if r := s.run("", args...); r.status != exitUsage || !strings.Contains(r.err, "mailbrook migrate up") {
			t.Errorf("%v: status %d: %s", args, r.status, r.err)
		}
	}
	if out := s.ok("", "migrate", "status"); !strings.Contains(out, "pending") {
		t.Errorf("migrate status says %q", out)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s.ok("", "migrate", "up") // The control.
	s.ok("", "init")
	s.ok("", "account", "list")
}

// Every key is shown with where its value came from, and no secret.
func TestConfigShowsEveryKeyAndItsOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "AUTH_SECRET="+canary+canary, "DATABASE=postgres://mb:"+canary+"@db.test/mb", "POLL_INTERVAL=9m")
	file := filepath.Join(s.dir, "mailbrook.toml")
	if err := os.WriteFile(file, []byte("web.public_url = \"https://post.firma.test\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var shown []struct{ Key, Value, From, Variable string }
	decode(t, s.ok("", "config", "--json", "--log-level", "warn"), &shown)
	byKey := map[string]string{}
	for _, k := range shown {
		byKey[k.Key] = k.Value + " from " + k.From
	}
	for key, want := range map[string]string{
		"poll.interval": "9m from MAILBROOK_POLL_INTERVAL", "web.public_url": "https://post.firma.test from mailbrook.toml",
		"log.level": "warn from the command line", "poll.min_interval": "1m0s from the default",
		"auth.secret": "[redacted] from MAILBROOK_AUTH_SECRET", "database": "postgres://db.test/mb from MAILBROOK_DATABASE",
		"oauth.google.client_secret": " from the default",
	} {
		if byKey[key] != want {
			t.Errorf("%s is shown as %q, want %q", key, byKey[key], want)
		}
	}
	if len(shown) != len(allSettings()) {
		t.Errorf("%d keys are shown, there are %d", len(shown), len(allSettings()))
	}
	status, text := s.showing(120, nil, "config")
	for _, setting := range allSettings() {
		if status != exitOK || !strings.Contains(text, "\n"+setting.Name) {
			t.Errorf("on a terminal %s is not shown (status %d): %s", setting.Name, status, text)
		}
	}
	// Nor is it cut on a narrow one from where a value came.
	if _, text := s.showing(80, nil, "config"); strings.Contains(text, "…") ||
		!strings.Contains(text, " MAILBROOK_POLL_INTERVAL") || !strings.Contains(text, "\noauth.google.client_secret ") {
		t.Errorf("on 80 columns: %s", text)
	}
	if status, text := s.showing(80, nil, "config", "check"); status != exitOK ||
		!strings.Contains(text, "mailbrook.toml") {
		t.Errorf("config check of a good one: %d, %s", status, text)
	}
	status, text = s.showing(80, []string{"MAILBROOK_POLL_INTERVALL=9m"}, "config", "check") // The control.
	if status != exitUsage || !strings.Contains(text, "did you mean MAILBROOK_POLL_INTERVAL?") {
		t.Errorf("config check of a bad one: %d, %s", status, text)
	}
	if r := s.runIn([]string{"MAILBROOK_CONFIG=/no/such.toml"}, "", "config"); r.status != exitUsage ||
		!strings.Contains(r.err, "MAILBROOK_CONFIG") {
		t.Errorf("a missing file: %d, %s", r.status, r.err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// migrate down asks, also after a yes never beside a serve, and does nothing
// without an answer.
func TestMigrateDownAsksAndRefusesBesideAServe(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			if database == "PostgreSQL" {
				s = newSite(t, nil, "DATABASE="+mailtest.StartPostgres(t))
			}
			s.ok("", "migrate", "up")
			s.ok("", "init")
			whole := s.ok("", "migrate", "status")
			for _, tc := range []struct {
				keys   string
				status int
			}{{"n\r", exitFailed}, {"\r", exitFailed}, {ctrlD, exitFailed}, {ctrlC, exitInterrupted}} {
				c := s.onTerminal(80, nil, "migrate", "down")
				c.expect("[y/N] ")
				c.types(tc.keys)
				if status, shown := c.ends(); status != tc.status || strings.Contains(shown, "mailbrook:") {
					t.Errorf("%q ends with status %d, want %d: %s", tc.keys, status, tc.status, shown)
				}
			}
			if r := s.run("", "migrate", "down"); r.status != exitUsage || !strings.Contains(r.err, "--yes") {
				t.Errorf("with nobody to answer: status %d, %s", r.status, r.err)
			}
			for _, roles := range []string{"api", "poller"} {
				p := s.serve("--roles", roles)
				for _, args := range [][]string{{}, {"--yes"}, {"--force", "--to", "0"}} {
					r := s.run("y\n", append([]string{"migrate", "down"}, args...)...)
					if r.status != exitUsage || !strings.Contains(r.err, "serve") {
						t.Errorf("beside serve --roles %s, %v: status %d, %s", roles, args, r.status, r.err)
					}
				}
				p.term()
			}
			if now := s.ok("", "migrate", "status"); now != whole {
				t.Errorf("after all refusals the schema is\n%s, was\n%s", now, whole)
			}
			c := s.onTerminal(200, nil, "migrate", "down", "--to", "0")
			c.expect("The audit, who did what, is lost with them. [y/N] ")
			c.types("n\r")
			if status, shown := c.ends(); status != exitFailed {
				t.Errorf("after a no: status %d, %s", status, shown)
			}
			c = s.onTerminal(80, nil, "migrate", "down") // The control.
			c.expect("[y/N] ")
			c.types("y\r")
			if status, shown := c.ends(); status != exitOK || s.ok("", "migrate", "status") == whole {
				t.Errorf("after a yes: status %d, %s", status, shown)
			}
			s.ok("", "migrate", "up")
		})
	}
}

// A template that leads two users to one place starts nothing.
func TestATemplateForTwoUsersIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "MAILBOX=maildir:/srv/mail/{local}")
	for _, command := range []string{"serve", "init", "config check", "account list"} {
		status, shown := s.showing(200, nil, strings.Fields(command)...)
		if status != exitUsage || !strings.Contains(shown, "two users would share one mailbox") {
			t.Errorf("%s: status %d, %s", command, status, shown)
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Root is warned when it serves or makes an installation, and when it works in
// somebody else's.
func TestRootIsWarned(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		mailtest.NotRun(t, "root is warned: these tests do not run as root")
		return
	}
	s := newSite(t, nil)
	if _, shown := s.showing(200, nil, "init"); !strings.Contains(shown, "running as root") {
		t.Errorf("init says %s", shown)
	}
	if _, shown := s.showing(200, nil, "account", "list"); strings.Contains(shown, "running as root") { // The control.
		t.Errorf("account list in a data_dir of root's own says %s", shown)
	}
	if err := os.Chown(s.data(), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, shown := s.showing(200, nil, "account", "list"); !strings.Contains(shown, "belongs to another user") {
		t.Errorf("account list in somebody else's data_dir says %s", shown)
	}
	p := s.serve()
	if log := p.log(); !strings.Contains(log, "running as root") {
		t.Errorf("serve says %s", log)
	}
	p.term()
}

// doctor finds what is wrong around an installation, each with what to do, and
// nothing where nothing is.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	type found struct{ Check, Status, Says, Do string }
	for _, tc := range []struct {
		name   string
		env    []string
		file   string // Of the configuration, which everybody may read.
		spoil  func(s *site) error
		check  string
		status string
		says   string
		does   string
	}{
		{"nothing", nil, "", nil, "installation", "ok", "belong together", ""},
		{"nothing with the database", nil, "", nil, "database", "ok", "this program's", ""},
		{"the clock", nil, "", nil, "clock", "", "off the database's", ""}, // As this machine's kernel has it.
		{"names", nil, "", nil, "dns", "", "imap.gmail.com", ""},
		{"roots", nil, "", nil, "roots", "ok", "", ""},
		{
			"a readable secret", nil, "auth.secret = \"" + longSecret + "\"\n", nil, "configuration", "warn", "secrets",
			"chmod o-r",
		},
		{"a secret in a file of its own", nil, "auth.secret_file = \"apart\"\n", func(s *site) error {
			return os.WriteFile(filepath.Join(s.dir, "apart"), []byte(longSecret), 0o600)
		}, "configuration", "ok", "right", ""},
		{"open keys", nil, "", func(s *site) error {
			return os.Chmod(filepath.Join(s.data(), "keys"), 0o755)
		}, "keys", "FAIL", "others", "chmod 700"},
		{"lost keys", nil, "", func(s *site) error {
			return os.Remove(filepath.Join(s.data(), "keys", "token.key"))
		}, "keys", "FAIL", "token.key", "restore it"},
		{"all keys lost", nil, "", func(s *site) error {
			return os.RemoveAll(filepath.Join(s.data(), "keys"))
		}, "keys", "FAIL", "was begun with keys that are not in", "installation adopt keys"},
		{"lost database", nil, "", func(s *site) error {
			return os.Remove(filepath.Join(s.data(), "mailbrook.db"))
		}, "database", "FAIL", "there is none, while the keys", "put it back from a backup"},
		{"a database that forgets", nil, "", func(s *site) error {
			s.env = append(s.env, "MAILBROOK_DATABASE=sqlite:"+filepath.Join(s.data(), "mailbrook.db")+"?_pragma=synchronous(1)")
			return nil
		}, "database", "FAIL", "synchronous is 1", "settings"},
		{"foreign mailboxes", nil, "", func(s *site) error {
			return os.WriteFile(filepath.Join(s.data(), "mail", ".mailbrook-installation"), []byte("x\n"), 0o600)
		}, "installation", "FAIL", "mailbox", "mailbrook installation"},
		{"open mailboxes", nil, "", func(s *site) error {
			return os.Chmod(filepath.Join(s.data(), "mail"), 0o777)
		}, "mailboxes", "FAIL", "everybody", "chmod o-w"},
		{"no address", []string{"LISTEN=:8080"}, "", nil, "public_url", "warn", "http://localhost:8080", "people see"},
		{"plain http", []string{"WEB_PUBLIC_URL=http://post.firma.test"}, "", nil, "public_url", "FAIL", "clear", "TLS"},
		{"https", []string{"WEB_PUBLIC_URL=https://post.firma.test"}, "", nil, "public_url", "ok", "", ""},
		{
			"frames over http",
			[]string{"WEB_FRAME_ANCESTORS=https://webmail.test"},
			"", nil, "frames", "warn",
			"SameSite=Lax", "https://",
		},
		{
			"frames",
			[]string{"WEB_FRAME_ANCESTORS=https://webmail.test", "WEB_PUBLIC_URL=https://p.test"},
			"", nil,
			"frames", "ok", "Partitioned", "",
		},
		{
			"a registration",
			[]string{"OAUTH_GOOGLE_CLIENT_ID=x", "WEB_PUBLIC_URL=https://p.test"},
			"", nil, "oauth", "ok",
			"https://p.test/oauth/callback/google", "register exactly",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca, tc.env...)
			s.ok("", "init")
			s.env = append(s.env, "MAILBROOK_LOG_LEVEL=info")
			if tc.file != "" {
				if err := os.WriteFile(filepath.Join(s.dir, "mailbrook.toml"), []byte(tc.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tc.spoil != nil {
				if err := tc.spoil(s); err != nil {
					t.Fatal(err)
				}
			}
			r := s.run("", "doctor", "--json")
			fails, seen := false, false
			for line := range strings.Lines(r.out) {
				var f found
				decode(t, line, &f)
				fails = fails || f.Status == "FAIL"
				seen = seen || f.Check == tc.check && (tc.status == "" || f.Status == tc.status) &&
					strings.Contains(f.Says, tc.says) && strings.Contains(f.Do, tc.does)
				if f.Status != "ok" && f.Do == "" {
					t.Errorf("nothing is to be done about %+v", f)
				}
			}
			if !seen || fails != (tc.status == "FAIL") || fails != (r.status == exitFailed) {
				t.Errorf("status %d, want a finding %s %s of %q: %s%s", r.status, tc.status, tc.check, tc.says, r.out, r.err)
			}
			status, shown := s.showing(200, nil, "doctor")
			shown = strings.Join(strings.Fields(shown), " ")
			if status != r.status || !strings.Contains(shown, tc.check) || !strings.Contains(shown, tc.does) {
				t.Errorf("on a terminal: status %d, %s", status, shown)
			}
			if tc.status == "FAIL" && tc.spoil != nil {
				if err := os.RemoveAll(s.data()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// doctor looks at the configuration before there is an installation, makes none, and
// ends as every command does that needs one. The control is a configuration that is well.
func TestDoctorLooksAtTheConfigurationBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	for url, wrong := range map[string]bool{"http://post.firma.test": true, "https://post.firma.test": false} {
		s := newSite(t, mailtest.NewCA(t), "WEB_PUBLIC_URL="+url)
		r := s.run("", "doctor")
		if r.status != exitUsage || strings.Contains(r.out, "FAIL  public_url") != wrong ||
			!strings.Contains(r.out, "web.signin") || !strings.Contains(r.err, `"mailbrook init" makes one there`) {
			t.Errorf("with %s: status %d, %s%s", url, r.status, r.out, r.err)
		}
		if _, err := os.Stat(filepath.Join(s.data(), "keys")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("doctor made something: %v", err)
		}
	}
}

// Tables and bars fit a terminal of 60 columns and more, name accounts by short
// ids that every command takes, and are drawn in ASCII where the locale wants it.
func TestOutputFitsTheTerminal(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(71, 20, true))
	s := newSite(t, ca)
	id, _, _ := strings.Cut(s.ok(canary+"\n", append([]string{
		"account", "add", "--user", anna, "--email", "bardzo.dlugi.adres.skrzynki@poczta.dostawca.example.test",
		"--name", "Skrzynka o dlugiej nazwie", "--password-stdin",
	}, cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)...), "\n")
	by := int(mailtest.Stride(t, 1, 2))
	for i, columns := range []int{60, 80, 100, 200} {
		for j, locale := range []string{"LC_ALL=C", "LC_ALL=pl_PL.UTF-8"} {
			if (i+j)%by != 0 {
				continue
			}
			for _, command := range []string{
				"account list", "check", "installation", "config", "providers", "pull", "pull --force",
			} {
				status, shown := s.showing(columns, []string{locale, "MAILBROOK_LOG_LEVEL=error"}, strings.Fields(command)...)
				text := plain(shown)
				if status != exitOK {
					t.Errorf("%s: status %d, %s", command, status, shown)
				}
				table := false
				for line := range strings.Lines(text) {
					line = strings.TrimRight(line, "\n")
					table = table || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "───")
					if strings.Contains(line, ". ") || strings.HasPrefix(line, anna) {
						continue // A sentence.
					}
					if runewidth.StringWidth(line) > columns {
						t.Errorf("%s on %d columns: %q", command, columns, line)
					}
				}
				if !table || strings.Contains(text, "─") != (locale != "LC_ALL=C") {
					t.Errorf("%s with %s: %s", command, locale, text)
				}
				if strings.HasPrefix(command, "pull") && !strings.Contains(text, "[=") {
					t.Errorf("no bar on %d columns: %s", columns, text)
				}
				if command == "account list" && (!strings.Contains(text, id[:8]) || strings.Contains(text, id)) {
					t.Errorf("account list on %d columns names accounts so: %s", columns, text)
				}
				if columns > 60 && (command == "account list" || strings.HasPrefix(command, "pull")) &&
					!strings.Contains(text, "bardzo.dlugi.adres.skrzynki@poczta.dostawca.example.test") {
					t.Errorf("%s on %d columns cuts the address: %s", command, columns, text)
				}
			}
		}
	}
	if out := s.ok("", "account", "list"); !strings.Contains(out, id) { // The control.
		t.Errorf("a program gets %s", out)
	}
	for _, command := range []string{
		"account show ID", "account test ID", "account edit ID --name X", "pull --account ID", "check --account ID",
		"account delete ID",
	} {
		if r := s.run("", strings.Fields(strings.ReplaceAll(command, "ID", id[:8]))...); r.status != exitOK {
			t.Errorf("%s: status %d, %s%s", command, r.status, r.out, r.err)
		}
	}
	if r := s.run("", "account", "show", id[:8]); r.status == exitOK { // It is deleted.
		t.Errorf("an id that no account has: %s", r.out)
	}
}

// At the question for a password Ctrl-C ends the command without a word; Ctrl-D, and an
// empty password, say that nothing was saved. The terminal is as it was, and nothing is
// made. The control: an answer is taken, unseen.
func TestPromptsEndQuietly(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	add := []string{
		"account", "add", "--user", anna, "--email", "a@poczta.example.test", "--host", "poczta.example.test", "--skip-test",
	}
	for keys, want := range map[string]int{
		ctrlC: exitInterrupted, "abc" + ctrlC: exitInterrupted, ctrlD: exitFailed, "\r": exitUsage,
	} {
		c := s.onTerminal(80, nil, add...)
		c.expect("Password of a@poczta.example.test: ")
		c.types(keys)
		status, shown := c.ends()
		lines := strings.Split(strings.TrimSpace(shown), "\n")
		unsaid := len(lines) == 1 && !strings.Contains(shown, "mailbrook:")
		said := strings.Contains(strings.ToLower(lines[len(lines)-1]), "nothing was saved")
		if status != want || unsaid != (want == exitInterrupted) || said == unsaid {
			t.Errorf("%q ends with status %d, want %d: %s", keys, status, want, shown)
		}
		attr, err := unix.IoctlGetTermios(int(c.master.Fd()), unix.TCGETS)
		if err != nil || attr.Lflag&unix.ECHO == 0 {
			t.Errorf("after %q the terminal does not show what is typed: %v", keys, err)
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	c := s.onTerminal(80, nil, add...)
	c.expect("Password of ")
	c.types("x\x7fzle\x15" + canary + "\r")
	if status, shown := c.ends(); status != exitOK || strings.Contains(shown, canary) {
		t.Errorf("with a password: status %d, %s", status, shown)
	}
}

// --help names every key and every variable, each with what it means; so does
// the manual. The control: a command's own help does not.
func TestHelpNamesEveryKeyAndVariable(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	status, shown := s.showing(80, nil, "--help")
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil || status != exitOK {
		t.Fatalf("status %d, %v: %s", status, err, shown)
	}
	for _, setting := range allSettings() {
		if meaning(setting.Name) == "" {
			t.Errorf("nothing says what %s is for", setting.Name)
		}
		if strings.HasPrefix(setting.Name, "oauth.") {
			continue // They are all alike; the first one's are looked at below.
		}
		if !strings.Contains(shown, "  "+setting.Name+", "+schema().Variable(setting)) ||
			!strings.Contains(shown, meaning(setting.Name)) {
			t.Errorf("--help does not name %s, %s: %s", setting.Name, schema().Variable(setting), meaning(setting.Name))
		}
		if !strings.Contains(string(manual), "`"+setting.Name+"`") {
			t.Errorf("docs/operations.md does not name %s", setting.Name)
		}
	}
	for _, want := range []string{
		"oauth.google.client_id, MAILBROOK_OAUTH_GOOGLE_CLIENT_ID", "MAILBROOK_OAUTH_GOOGLE_CLIENT_SECRET_FILE",
		"oauth.google.hosts", "MAILBROOK_CONFIG", "/etc/mailbrook/mailbrook.toml", "microsoft",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("--help does not name %s", want)
		}
	}
	if _, shown := s.showing(80, nil, "pull", "--help"); strings.Contains(shown, "web.public_url") {
		t.Errorf("the help of a command names all keys: %s", shown)
	}
}
