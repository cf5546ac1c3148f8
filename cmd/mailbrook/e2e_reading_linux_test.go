package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// addUntested adds an account of anna's at a server that nobody asks, and returns
// its id.
func (s *site) addUntested() string {
	s.t.Helper()
	id, _, _ := strings.Cut(s.ok(canary+"\n", append([]string{
		"account", "add", "--user", anna, "--email", "a@poczta.example.test", "--skip-test", "--password-stdin",
	}, cliFlags("imap", "127.0.0.1", 9, "tls", "a")...)...), "\n")
	return id
}

// After migrate down, commands that read bring nothing up: they say what does.
// The control: pull does, as the contract has it.
func TestReadingCommandsLeaveTheSchemaAsItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.addUntested()
	s.ok("", "account", "edit", id, "--disable")
	whole := s.ok("", "migrate", "status")
	down := s.ok("", "migrate", "down", "--yes")
	for _, command := range []string{
		"check", "link --user " + anna, "sessions end --all", "account list", "account show " + id, "account test " + id,
		"account edit --name X " + id, "account delete " + id, "user delete " + anna,
	} {
		status, shown := s.showing(400, nil, strings.Fields(command)...)
		if status != exitUsage || !strings.Contains(shown, "mailbrook migrate up") {
			t.Errorf("%s: status %d, want %d: %s", command, status, exitUsage, shown)
		}
	}
	if status, shown := s.showing(400, nil, "doctor"); status != exitOK ||
		!strings.Contains(shown, "older than this program") {
		t.Errorf("doctor: status %d, %s", status, shown)
	}
	if now := s.ok("", "migrate", "status"); now != down || down == whole {
		t.Errorf("the schema is\n%s, was\n%s, before that\n%s", now, down, whole)
	}
	if out := s.ok("", "pull"); !strings.Contains(out, "no accounts to visit") || s.ok("", "migrate", "status") != whole {
		t.Errorf("pull brought nothing up: %s", out)
	}
}

// A schema without keys is no installation yet, and commands that read make none
// of it. The control: init does.
func TestReadingCommandsMakeNoKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "DATABASE="+mailtest.StartPostgres(t))
	s.ok("", "migrate", "up")
	for _, command := range []string{"check", "pull", "account list", "token --user " + anna, "link --user " + anna} {
		if r := s.run("", strings.Fields(command)...); r.status != exitUsage ||
			!strings.Contains(r.err, "there is no installation") {
			t.Errorf("%s: status %d, %s%s", command, r.status, r.out, r.err)
		}
	}
	if left, err := os.ReadDir(s.data()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s.ok("", "init")
	s.ok("", "link", "--user", anna, "--config", "/dev/null", "--listen", "127.0.0.1:8080")
}

// A new installation is reported in one line of the log, not one for each step.
func TestAMigrationIsOneLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	if r := s.run("", "migrate", "up"); strings.Count(r.err, "schema migrated") != 1 {
		t.Errorf("migrate up logs %s", r.err)
	}
}

// A question mark or a percent sign in a path is a part of it.
func TestADatabaseLiesWhereItsNameSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	dir := filepath.Join(s.dir, "was?nun=a%zz%41")
	s.env = append(s.env, "MAILBROOK_DATA_DIR="+dir)
	s.ok("", "init")
	s.ok("", "account", "list")
	if _, err := os.Stat(filepath.Join(dir, "mailbrook.db")); err != nil {
		t.Errorf("the database is not where it should be: %v", err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// account test offers what a test depends on, and nothing of what is only saved.
// The control: account add offers that.
func TestATestOffersWhatItDependsOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	test, add := s.ok("", "account", "test", "--help"), s.ok("", "account", "add", "--help")
	for _, flag := range []string{"--folder", "--start", "--skip-test", "--include", "--poll-interval", "--name="} {
		if strings.Contains(test, flag) || !strings.Contains(add, flag) {
			t.Errorf("%s: account test offers it, or account add does not", flag)
		}
	}
	for _, flag := range []string{"--host", "--port", "--security", "--username", "--protocol", "--password-stdin"} {
		if !strings.Contains(test, flag) {
			t.Errorf("account test does not offer %s", flag)
		}
	}
}

// A command about a user of whom nothing is known says so, and who was perhaps meant. The
// control: one who has a mailbox, and no account.
func TestAMistypedUserIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.ok("", "account", "edit", s.addUntested(), "--disable")
	for user, want := range map[string]string{
		"ana@firma.test": "did you mean " + anna + "?", "nikt@example.test": "neither an account nor a mailbox",
	} {
		for _, command := range [][]string{{"pull", "--user"}, {"check", "--user"}, {"user", "export"}} {
			status, shown := s.showing(200, nil, append(command, user)...)
			if status != exitUsage || !strings.Contains(shown, want) || strings.Contains(shown, "consistent") {
				t.Errorf("%v of %s: status %d, %s", command, user, status, shown)
			}
		}
	}
	for _, name := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.mail("nikt@example.test"), name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, user := range []string{anna, "nikt@example.test"} {
		if out := s.ok("", "pull", "--user", user); !strings.Contains(out, "no accounts to visit") {
			t.Errorf("%s: %s", user, out)
		}
		if out := s.ok("", "check", "--user", user); !strings.Contains(out, "consistent") {
			t.Errorf("%s: %s", user, out)
		}
		if out := s.ok("", "user", "export", user); !strings.Contains(out, `"complete"`) {
			t.Errorf("%s: %s", user, out)
		}
	}
}

// What only an operator can do about a refused host is said to the operator. The
// control: nothing of the sort where the server just does not answer.
func TestARefusedHostNamesTheKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	add := append([]string{
		"account", "add", "--user", anna, "--email", "a@poczta.example.test", "--password-stdin",
	}, cliFlags("imap", "127.0.0.1", 9, "tls", "a")...)
	refused := s.runIn([]string{"MAILBROOK_REMOTE_ALLOW_NETWORKS="}, canary+"\n", add...)
	if refused.status != exitUsage || !strings.Contains(refused.err, "remote.allow_networks") {
		t.Errorf("status %d, %s", refused.status, refused.err)
	}
	if r := s.run(canary+"\n", add...); r.status != exitFailed || strings.Contains(r.err, "remote.allow_networks") {
		t.Errorf("of a server that is not there: status %d, %s", r.status, r.err)
	}
}

// The catalogue can be listed without an installation, and is named where a
// provider's id is wrong.
func TestProvidersAreListed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	status, shown := s.showing(80, nil, "providers")
	if status != exitOK || !strings.Contains(shown, "google") || !strings.Contains(shown, "wp") {
		t.Errorf("status %d, %s", status, shown)
	}
	var first struct {
		ID, IMAP string
		Domains  []string
	}
	for line := range strings.Lines(s.ok("", "providers", "--json")) {
		if strings.Contains(line, `"google"`) {
			decode(t, line, &first)
		}
	}
	if first.IMAP != "imap.gmail.com:993" || !slices.Contains(first.Domains, "gmail.com") {
		t.Errorf("of Google: %+v", first)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	r := s.run(canary+"\n", append([]string{
		"account", "add", "--user", anna, "--email", "a@poczta.example.test", "--provider", "gugel", "--password-stdin",
	}, cliFlags("imap", "127.0.0.1", 9, "tls", "a")...)...)
	if r.status != exitUsage || !strings.Contains(r.err, "mailbrook providers") || strings.Contains(r.err, "/v1/") {
		t.Errorf("an unknown provider: status %d, %s", r.status, r.err)
	}
}

// doctor looks at the mailboxes that accounts are fetched into: whether they can
// be written, and, as root, whether the service can. The control comes first.
func TestDoctorLooksAtMailboxes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.addUntested()
	box := s.mail(anna)
	for _, name := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(box, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if status, shown := s.showing(200, nil, "doctor"); status != exitOK || !strings.Contains(shown, "are fetched into") {
		t.Errorf("status %d, %s", status, shown)
	}
	want, then := "FAIL  mailboxes", exitFailed
	if os.Geteuid() == 0 {
		const service = 65534
		if err := os.Chown(s.data(), service, service); err != nil {
			t.Fatal(err)
		}
		want, then = "do not belong to user "+strconv.Itoa(service), exitOK
	} else if err := os.Chmod(box, 0o500); err != nil {
		t.Fatal(err)
	}
	status, shown := s.showing(200, nil, "doctor")
	if status != then || !strings.Contains(shown, want) || !strings.Contains(shown, anna) {
		t.Errorf("status %d, want %d and %q: %s", status, then, want, shown)
	}
	if err := os.Chmod(box, 0o700); err != nil {
		t.Fatal(err)
	}
}

// What the command line cannot take is said in plain words and with the flag that was given; "help" is a way to ask.
func TestMistakesOnTheCommandLineAreSaidPlainly(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	add := []string{"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--password-stdin"}
	with := func(flags ...string) []string { return append(slices.Clone(add), flags...) }
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"check", "--explain"}, "--explain: its value is missing"},
		{[]string{"account", "list", "--user"}, "--user: its value is missing"},
		{with("--port", "abc"), `--port: "abc" is no whole number`},
		{with("--host", "mail.example.test", "--folder", "a//b"), "--folder: a part of the folder's name is empty"},
		{with("--host", "not a host"), "--host: must be the name"},
		{with("--host", "mail.example.test", "--max-message-bytes", "1"), "--max-message-bytes: must be"},
		{with("--host", "mail.example.test", "--poll-interval", "1s"), "--poll-interval: must be"},
	} {
		r := s.run(canary+"\n", tc.args...)
		if r.status != exitUsage || !strings.Contains(r.err, tc.says) {
			t.Errorf("%v: status %d, want %q: %s", tc.args, r.status, tc.says, r.err)
		}
	}
	if out := s.ok("", "help", "account", "add"); !strings.Contains(out, "--folder") { // The control.
		t.Errorf("help says %s", out)
	}
}
