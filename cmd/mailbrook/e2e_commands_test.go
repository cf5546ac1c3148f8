package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// cliFlags are a remote account's settings as flags.
func cliFlags(protocol, host string, port int, security, username string) []string {
	return []string{
		"--protocol", protocol, "--host", host, "--port", fmt.Sprint(port), "--security", security,
		"--username", username,
	}
}

func TestAccountCommandsDoWhatRESTDoes(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary}, CA: ca,
		Extra: patientWithErrors,
	})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(21, 30, true))
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "alone", true: "while serve runs"}[running], func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			if running {
				s.serve()
			}
			add := append([]string{
				"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--name", "Obce", "--password-stdin",
				"--sender-name", "Anna", "--exclude", "Junk", "--exclude", "Archive/2023", "--poll-interval", "10m",
			}, cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)
			id, _, _ := strings.Cut(s.ok(canary+"\n", add...), "\n")
			if len(id) != 36 {
				t.Fatalf("account add prints %q first, not an id", id)
			}
			var list accountsAnswer
			decode(t, s.ok("", "account", "list", "--user", anna, "--json"), &list)
			if len(list.Accounts) != 1 || list.Accounts[0].ID != id || list.Limit != 4 {
				t.Fatalf("account list --json says %+v", list)
			}
			if out := s.ok("", "account", "list", "--user", anna); !strings.Contains(out, id) || !strings.Contains(out, "Obce") {
				t.Errorf("account list says %q", out)
			}
			var shown accountAnswer
			decode(t, s.ok("", "account", "show", id), &shown)
			if shown.Name != "Obce" || shown.SenderName != "Anna" || shown.PollIntervalSeconds != 600 ||
				shown.Server.Port != d.IMAPS {
				t.Errorf("account show says %+v", shown)
			}
			if out := s.ok("", "account", "test", id); !strings.Contains(out, "login") || strings.Contains(out, "FAIL") {
				t.Errorf("account test says %q", out)
			}
			if r := s.run("kanarek-falsz\n", "account", "test", id, "--password-stdin"); r.status != exitFailed ||
				!strings.Contains(r.out, "auth_failed") {
				t.Errorf("account test with a wrong password ends with status %d: %s%s", r.status, r.out, r.err)
			}
			s.ok("", "account", "edit", id, "--name", "Nowa nazwa", "--user", anna)
			s.ok(canary+"\n", "account", "edit", id, "--password-stdin", "--port", fmt.Sprint(d.IMAP), "--security", "starttls")
			decode(t, s.ok("", "account", "show", id), &shown)
			if shown.Name != "Nowa nazwa" || shown.Server.Security != "starttls" || shown.Server.Port != d.IMAP {
				t.Errorf("after two edits the account is %+v", shown)
			}
			if r := s.run("", "account", "edit", id, "--user", jan, "--name", "X"); r.status == 0 {
				t.Error("an account can be edited in the name of somebody else")
			}
			if r := s.run("", "account", "edit", id, "--username", "inna"); r.status != exitUsage ||
				!strings.Contains(r.err, "password") {
				t.Errorf("another user name without a password: status %d, %q", r.status, r.err)
			}
			s.ok("", "account", "delete", id, "--mail", "delete")
			decode(t, s.ok("", "account", "list", "--json"), &list)
			if len(list.Accounts) != 0 {
				t.Errorf("after deleting there are %+v", list)
			}
		})
	}
}

// TestATestWarnsOfChosenFoldersThatAreNotThere, by REST and on the command line; the control is an
// account whose folders are there.
func TestATestWarnsOfChosenFoldersThatAreNotThere(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(21, 3, true))
	s := newSite(t, ca)
	u := s.serve("--roles", "api").as(anna)
	for _, further := range [][]string{nil, {"--include", "Nie ma"}} {
		add := append([]string{
			"account", "add", "--user", anna, "--email", fmt.Sprintf("anna%d@poczta.example.test", len(further)),
			"--password-stdin", "--include", "INBOX",
		}, cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)
		id, _, _ := strings.Cut(s.ok(canary+"\n", append(add, further...)...), "\n")
		told := must[struct {
			OK      bool
			Warning *struct{ Code, Title, Detail string }
		}](u, http.StatusOK, "POST", "/v1/connection-tests", map[string]any{"account_id": id})
		out := s.ok("", "account", "test", id)
		lines := strings.Contains(out, "folder_failed") && strings.Contains(out, "Nie ma")
		if !told.OK || lines != (further != nil) || (told.Warning != nil) != (further != nil) {
			t.Errorf("%v: %+v, %s", further, told, out)
		}
		if w := told.Warning; w != nil && (w.Code != "folder_failed" || w.Title == "" ||
			!strings.Contains(w.Detail, "Nie ma")) {
			t.Errorf("the warning is %+v", w)
		}
		s.ok("", "account", "delete", id)
	}
}

// A provider that takes no password is given none, by no door: the command line asks for
// none and says what helps, REST names the field. The control names a server.
func TestNoPasswordIsTakenForAProviderThatTakesNone(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.serve("--roles", "api")
	add := []string{"account", "add", "--user", anna, "--email", "jan@outlook.com"}
	for _, more := range [][]string{nil, {"--password-stdin"}, {"--password-stdin", "--skip-test"}} {
		r := s.run(canary+"\n", append(add, more...)...)
		if r.status != exitUsage || !strings.Contains(r.err, "address to forward to") || strings.Contains(r.err, "Password") {
			t.Errorf("%v: status %d, %s%s", more, r.status, r.out, r.err)
		}
	}
	u := p.as(anna)
	body := map[string]any{"email": "jan@outlook.com", "password": canary, "skip_test": true}
	for _, path := range []string{"/v1/accounts", "/v1/connection-tests"} {
		told := must[struct {
			Errors []struct{ Field, Code string }
		}](u, http.StatusUnprocessableEntity, "POST", path, body)
		if len(told.Errors) != 1 || told.Errors[0].Field != "auth" || told.Errors[0].Code != "not_offered" {
			t.Errorf("%s says %+v", path, told)
		}
	}
	// An edit is another door.
	id, _, _ := strings.Cut(s.ok(canary+"\n", append(slices.Clone(add), "--password-stdin", "--skip-test", "--host",
		"127.0.0.1", "--provider", "other")...), "\n")
	for _, edit := range []map[string]any{{"provider": "outlook", "password": canary}, {"provider": "outlook"}} {
		edit["skip_test"] = true
		told := must[struct {
			Errors []struct{ Field, Code string }
		}](u, http.StatusUnprocessableEntity, "PATCH", "/v1/accounts/"+id, edit)
		if len(told.Errors) != 1 || told.Errors[0].Field != "auth" || told.Errors[0].Code != "not_offered" {
			t.Errorf("an edit to %v says %+v", edit, told)
		}
	}
	r := s.run(canary+"\n", "account", "edit", id, "--provider", "outlook", "--password-stdin", "--skip-test")
	if r.status == 0 || !strings.Contains(r.err, "takes no password") {
		t.Errorf("account edit: status %d, %s%s", r.status, r.out, r.err)
	}
	s.ok("", "account", "delete", id)
	if r := s.run("", "account", "show", "abc"); r.status != exitUsage || !strings.Contains(r.err, "8 letters of it") {
		t.Errorf("a short id: status %d, %s", r.status, r.err)
	}
	add = append(add, "--password-stdin", "--skip-test", "--host", "127.0.0.1")
	id, _, _ = strings.Cut(s.ok(canary+"\n", add...), "\n")
	s.ok("", "account", "delete", id)
	for range 2 { // Repeatable, and no address is said to have been a user's that never was.
		if out := s.ok("", "user", "delete", "nikt@firma.test"); !strings.Contains(out, "nothing to delete") {
			t.Errorf("deleting nobody says %q", out)
		}
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

func TestAddingFromTheCommandLineRefusesAndSavesNothing(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary}, CA: ca,
		Extra: patientWithErrors,
	})
	s := newSite(t, ca)
	good := append([]string{"account", "add", "--user", anna, "--email", "anna@poczta.example.test"}, cliFlags("imap",
		d.Host, d.IMAPS, "tls", "anna")...)
	for _, tc := range []struct {
		name, stdin string
		args        []string
		status      int
		says        string
	}{
		{"no password anywhere", "", good, exitUsage, "--password-stdin"},
		{"an empty password", "", append(slices.Clone(good), "--password-stdin"), exitUsage, "password"},
		{"a wrong password", "kanarek-falsz\n", append(slices.Clone(good), "--password-stdin"), exitFailed, "auth_failed"},
		{"a password as an argument", "", append(slices.Clone(good), "--password", "x"), exitUsage, "--password"},
		{"a bad user", canary, []string{
			"account", "add", "--user", "Anna <anna@firma.test>", "--email", "a@b.test",
			"--password-stdin",
		}, exitUsage, "--user"},
		{"no user", canary, []string{"account", "add", "--email", "a@b.test", "--password-stdin"}, exitUsage, "--user"},
		{"no address", canary, []string{"account", "add", "--user", anna, "--password-stdin"}, exitUsage, "--email"},
		{
			"a slip in the domain of an edit", "",
			[]string{"account", "edit", "01234567", "--email", "anna@wp.p"},
			exitUsage, "did you mean wp.pl?",
		},
		{
			"a slip in the domain, before a password is read", "", // None is there to be read.
			[]string{"account", "add", "--user", anna, "--email", "anna@gmial.com"}, exitUsage, "did you mean gmail.com?",
		},
		{
			"an unknown protocol", canary, append(slices.Clone(good), "--protocol", "jmap", "--password-stdin"), exitUsage,
			"--protocol",
		},
		{
			"a line break in the folder", canary, append(slices.Clone(good), "--folder", "a\nb", "--password-stdin"), exitUsage,
			"folder",
		},
		{
			"a plaintext connection", canary, append(slices.Clone(good), "--security", "none", "--password-stdin"), exitUsage,
			"security",
		},
		{"an unknown flag", canary, append(slices.Clone(good), "--pasword-stdin"), exitUsage, "--pasword-stdin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := s.run(tc.stdin, tc.args...)
			if r.status != tc.status || !strings.Contains(r.err, tc.says) {
				t.Errorf("status %d, want %d, and a word about %q: %s", r.status, tc.status, tc.says, r.err)
			}
		})
	}
	var list accountsAnswer
	decode(t, s.ok("", "account", "list", "--json"), &list)
	if len(list.Accounts) != 0 {
		t.Errorf("saved all the same: %+v", list.Accounts)
	}
}

// pullAnswer is a line of pull --json.
type pullAnswer struct {
	AccountID string `json:"account_id"`
	Email     string
	OK        bool
	Messages  int64
	Bytes     int64
	Seconds   *float64
	Diagnosis *diagnosisAnswer
}

func pullLines(t *testing.T, out string) (all []pullAnswer) {
	t.Helper()
	for line := range strings.Lines(out) {
		var keys map[string]any
		decode(t, line, &keys)
		for _, k := range []string{"account_id", "email", "ok", "messages", "bytes", "seconds", "diagnosis"} {
			if _, ok := keys[k]; !ok {
				t.Errorf("pull --json leaves out %s: %s", k, line)
			}
		}
		var a pullAnswer
		decode(t, line, &a)
		all = append(all, a)
	}
	return all
}

func TestPullSaysHowItWent(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	users := map[string]string{"anna": canary, "jan": canary}
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca, Extra: patientWithErrors})
	oracle := mailtest.Fill(t, d, "anna", mailtest.Corpus(31, 40, true))
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "alone", true: "while serve runs"}[running], func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca)
			if running {
				s.serve()
			}
			s.ok("", "init")
			if r := s.run("", "pull"); r.status != 0 {
				t.Errorf("pull without accounts ends with status %d: %s", r.status, r.err)
			}
			add := func(user, name string, args ...string) string {
				args = append([]string{
					"account", "add", "--user", user, "--email", name + "@poczta.example.test", "--name", name,
					"--password-stdin", "--skip-test",
				}, args...)
				id, _, _ := strings.Cut(s.ok(canary+"\n", args...), "\n")
				return id
			}
			good := add(anna, "dobre", cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)
			got := pullLines(t, s.ok("", "pull", "--json", "--user", anna))
			if len(got) != 1 || got[0].AccountID != good || !got[0].OK || got[0].Diagnosis != nil || got[0].Seconds == nil ||
				got[0].Email != "dobre@poczta.example.test" {
				t.Errorf("pull --json says %+v", got)
			}
			if !running && got[0].Messages != int64(len(oracle)) { // Otherwise the poller may have been first.
				t.Errorf("pull --json reports %d messages, want %d", got[0].Messages, len(oracle))
			}
			mailtest.CompareDelivered(t, oracle, mailtest.ReadMaildir(t, s.mail(anna)), "dobre")

			bad := add(jan, "zle", cliFlags("pop3", d.Host, d.POP3S, "tls", "nikt")...)
			r := s.run("", "pull", "--json")
			got = pullLines(t, r.out)
			if r.status != exitFailed || len(got) != 2 {
				t.Fatalf("pull of a good and a bad account: status %d, %+v", r.status, got)
			}
			for _, a := range got {
				if a.AccountID == bad && (a.OK || a.Diagnosis == nil || a.Diagnosis.Code != "auth_failed" ||
					a.Diagnosis.Title == "" || a.Diagnosis.Advice == "") {
					t.Errorf("of the bad account pull says %+v, diagnosis %+v", a, a.Diagnosis)
				}
				if a.AccountID == good && !a.OK {
					t.Errorf("of the good account pull says %+v", a)
				}
			}
			if r := s.run("", "pull", "--account", good); r.status != 0 || !strings.Contains(r.out, "ok") {
				t.Errorf("pull of the good account: status %d, %q", r.status, r.out)
			}
			if r := s.run("", "pull", "--account", bad, "--user", jan); r.status != exitFailed ||
				!strings.Contains(r.out, "auth_failed") {
				t.Errorf("pull of the bad account: status %d, %q", r.status, r.out)
			}
			for _, args := range [][]string{{"--account", "00000000-0000-4000-8000-000000000000"}, {
				"--account", good, "--user",
				jan,
			}, {"--user", "kto"}, {"--no-such-flag"}, {"surplus"}} {
				if r := s.run("", append([]string{"pull"}, args...)...); r.status != exitUsage || r.err == "" {
					t.Errorf("pull %v ends with status %d, want %d: %s", args, r.status, exitUsage, r.err)
				}
			}
			// What is switched off is left alone unless it is named.
			s.ok("", "account", "edit", bad, "--disable")
			if got := pullLines(t, s.ok("", "pull", "--json")); len(got) != 1 || got[0].AccountID != good {
				t.Errorf("pull with one account switched off visits %+v", got)
			}
		})
	}
}

func TestMigrateTokenAndVersion(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			if database == "PostgreSQL" {
				s = newSite(t, nil, "DATABASE="+mailtest.StartPostgres(t))
			}
			s.ok("", "migrate", "up")
			s.ok("", "migrate", "down", "--yes", "--to", "0")
			pending := strings.Count(s.ok("", "migrate", "status"), "pending")
			if pending == 0 {
				t.Fatal("a new database has nothing pending")
			}
			for range 2 { // Up twice is up once.
				if up := s.ok("", "migrate", "up"); strings.Contains(up, "pending") || strings.Count(up, "applied") != pending {
					t.Errorf("migrate up says %q", up)
				}
			}
			for range pending {
				s.ok("", "migrate", "down", "--yes")
			}
			if down := s.ok("", "migrate", "status"); strings.Contains(down, "applied") {
				t.Errorf("after taking back all, migrate status says %q", down)
			}
			s.ok("", "migrate", "up")
			p := s.serve()
			if got := p.as(anna).accounts(); len(got) != 0 {
				t.Errorf("a new database holds %+v", got)
			}
			p.term()
		})
	}
	s := newSite(t, nil)
	s.ok("", "init")
	if out := s.ok("", "version"); !strings.Contains(out, "mailbrook") || !strings.Contains(out, runtime.Version()) ||
		!strings.Contains(out, "commit") {
		t.Errorf("version says %q", out)
	}
	if out := s.ok("", "token", "--user", anna, "--ttl", "5m"); strings.Count(out, ".") != 2 ||
		strings.Count(out, "\n") != 1 {
		t.Errorf("token prints %q", out)
	}
	for _, args := range [][]string{
		{"token"},
		{"token", "--user", "anna"},
		{"token", "--user", anna, "--ttl", "-1s"},
		{"nonsense"},
		{},
		{"serve", "--roles", "cook"},
	} {
		if r := s.run("", args...); r.status != exitUsage || r.err == "" {
			t.Errorf("mailbrook %v ends with status %d, want %d: %q", args, r.status, exitUsage, r.err)
		}
	}
}

func TestBadConfigurationStartsNothingAndNamesTheKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, toml, env, says string }{
		{"an unknown key", "lisen = \"127.0.0.1:0\"", "", "lisen"},
		{"an unknown key in a table", "[poll]\ninterwal = \"5m\"", "", "poll.interwal"},
		{"a number without unit", "[poll]\ninterval = 5", "", "poll.interval"},
		{"a bad network", "[remote]\nallow_networks = [\"10.0.0.0/40\"]", "", "remote.allow_networks"},
		{"a port that is none", "[remote]\nallow_ports = [993, 70000]", "", "remote.allow_ports"},
		{"no TOML", "listen = ", "", "line 1"},
		{"a bad variable", "", "MAILBROOK_ACCOUNTS_MAX_PER_USER=many", "accounts.max_per_user"},
		{"a bad address of the database", "", "MAILBROOK_DATABASE=mysql://x", "database"},
		{"a mailbox for all", "", "MAILBROOK_MAILBOX=maildir:/tmp/x", "mailbox"},
		{"a missing CA file", "", "MAILBROOK_REMOTE_CA_FILE=/no/such/file.pem", "remote.ca_file"},
		{"a CA file without a certificate", "", "MAILBROOK_REMOTE_CA_FILE=/dev/null", "remote.ca_file"},
		{"a least interval above the default", "", "MAILBROOK_POLL_MIN_INTERVAL=10m", "poll.min_interval"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			// They would win.
			s.env = slices.DeleteFunc(s.env, func(v string) bool { return strings.HasPrefix(v, "MAILBROOK_REMOTE_") })
			file := filepath.Join(s.dir, "test.toml")
			text := tc.toml
			if text == "" {
				text = "[poll]\ninterval = \"5m\"\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"serve", "pull", "migrate status", "token --user " + anna} {
				var env []string
				if tc.env != "" {
					env = append(env, tc.env)
				}
				r := s.runIn(env, "", append([]string{"--config", file}, strings.Fields(command)...)...)
				if strings.HasSuffix(tc.env, "=/dev/null") && command != "serve" && command != "pull" {
					continue // These connect to nobody and do not look into it.
				}
				if r.status != exitUsage || !strings.Contains(r.err, tc.says) {
					t.Errorf("%s: status %d, want %d and a word about %s: %s", command, r.status, exitUsage, tc.says, r.err)
				}
			}
		})
	}
	s := newSite(t, nil)
	if r := s.run("", "--config", "/no/such/mailbrook.toml", "serve"); r.status != exitUsage ||
		!strings.Contains(r.err, "/no/such/mailbrook.toml") {
		t.Errorf("a missing file named by hand: status %d, %q", r.status, r.err)
	}
	// mailbrook.toml of the working directory is read; a flag beats the
	// variable beats the file.
	if err := os.WriteFile(filepath.Join(s.dir, "mailbrook.toml"), []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.run("", "token", "--user", anna); r.status != exitUsage || !strings.Contains(r.err, "nonsense") {
		t.Errorf("a bad mailbrook.toml: status %d, %q", r.status, r.err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "mailbrook.toml"), []byte("[accounts]\nmax_per_user = 2\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		env, args []string
		want      int
	}{
		{nil, nil, 2},
		{[]string{"MAILBROOK_ACCOUNTS_MAX_PER_USER=3"}, nil, 3},
		{[]string{"MAILBROOK_ACCOUNTS_MAX_PER_USER=3"}, []string{"--accounts-max-per-user", "5"}, 5},
	} {
		s.ok("", "--config", "/dev/null", "init")
		var list accountsAnswer
		r := s.runIn(tc.env, "", append(tc.args, "account", "list", "--user", anna, "--json")...)
		decode(t, r.out, &list)
		if list.Limit != tc.want {
			t.Errorf("with %v and %v the limit is %d, want %d", tc.env, tc.args, list.Limit, tc.want)
		}
	}
}

func TestAPollerAloneAnswersNothingButItsHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.serve("--roles", "poller")
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/": 404, "/openapi.yaml": 404, "/v1/accounts": 404, "/v1/providers": 404, "/healthz/x": 404, "//healthz": 404,
	} {
		if r := p.plain("GET", path); r.status != want {
			t.Errorf("GET %s answers %d, want %d", path, r.status, want)
		}
		if r := p.as(anna).do("GET", path, nil); r.status != want {
			t.Errorf("GET %s with a token answers %d, want %d", path, r.status, want)
		}
	}
	p.term()
}

// slowBig is a mailbox whose first fetch takes a while.
func slowBig(t *testing.T, ca *mailtest.CA) (*mailtest.Dovecot, mailtest.Oracle) {
	t.Helper()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	return d, mailtest.Fill(t, d, "anna", mailtest.Corpus(51, 3000, true))
}

func TestWhereverAFetchIsBrokenOffEverythingArrivesOnce(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d, oracle := slowBig(t, ca)
	for _, protocol := range []string{"imap", "pop3"} {
		for _, how := range []string{"SIGTERM", "SIGKILL"} {
			t.Run(protocol+" "+how, func(t *testing.T) {
				t.Parallel()
				port, want := d.IMAPS, oracle
				if protocol == "pop3" {
					port, want = d.POP3S, mailtest.ByPOP3(mailtest.Corpus(51, 3000, true))
				}
				s := newSite(t, ca)
				p := s.serve()
				u := p.as(anna)
				id := u.add(remoteAccount("Duze", protocol, d.Host, port, "tls", "anna")).ID
				// In the middle: some has been delivered, and not all.
				part := 0
				eventually(t, soon, func() (bool, string) {
					part = files(t, s.mail(anna))
					return part > 0, "nothing was delivered"
				})
				if how == "SIGTERM" {
					p.term()
				} else {
					p.kill()
				}
				part = files(t, s.mail(anna))
				if part >= len(want) {
					t.Errorf("all %d messages were there already: this shows nothing", part)
				}
				p = s.serve()
				u = p.as(anna)
				u.reaches(id, "ok")
				local := mailtest.ReadMaildir(t, s.mail(anna))
				mailtest.CompareDelivered(t, want, local, "Duze")
				if len(local) != len(want) {
					t.Errorf("%d messages in the mailbox, want %d (%d were there at the break)", len(local), len(want), part)
				}
				if st := u.account(id).Status; st.Totals.Messages != int64(len(want)) {
					t.Errorf("the account reports %d messages, want %d", st.Totals.Messages, len(want))
				}
				p.term()
			})
		}
	}
}

// files counts the messages that lie in a mailbox, which may be being written.
func files(t *testing.T, mailbox string) (n int) {
	t.Helper()
	err := filepath.WalkDir(mailbox, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // It went while we looked.
		}
		if dir := filepath.Base(filepath.Dir(p)); e.Type().IsRegular() && (dir == "new" || dir == "cur") {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A server that says nothing must not keep the process from stopping.
func TestStoppingDoesNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	script := mailtest.Play(t, "TLS\nSTALL\n", mailtest.ScriptOptions{CA: ca, Lenient: true, Repeat: true})
	s := newSite(t, ca)
	p := s.serve()
	u := p.as(anna)
	u.add(remoteAccount("Milczek", "imap", "localhost", script.Port(), "tls", "anna").with(fields{"skip_test": true}))
	select {
	case <-script.Stalled():
	case <-time.After(soon):
		t.Fatal("nobody came")
	}
	p.term()
	if r := s.run("", "account", "list"); r.status != 0 || strings.Contains(r.out, "internal") {
		t.Errorf("after the stop the account is: %s%s", r.out, r.err)
	}
}

// TestNamesAreInLettersInTables where the locale has such letters, and taken in them.
func TestNamesAreInLettersInTables(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id, _, _ := strings.Cut(s.ok(canary+"\n", append([]string{
		"account", "add", "--user", "anna@żółw.test", "--email", "anna@xn--mnchen-3ya.test", "--skip-test",
		"--password-stdin",
	}, cliFlags("imap", "imap.xn--mnchen-3ya.test", 993, "tls", "anna")...)...), "\n")
	args := []string{"account", "list", "--user", "anna@żółw.test"}
	letters := s.runIn(append(slices.Clone(s.env), "LC_ALL=C.UTF-8"), "", args...)
	if letters.status != 0 || !strings.Contains(letters.out, "anna@żółw.test  münchen.test  anna@münchen.test") ||
		!strings.Contains(letters.out, "münchen_test ") || strings.Contains(letters.out, "xn--") {
		t.Errorf("account list: %+v", letters)
	}
	plain := s.runIn(append(slices.Clone(s.env), "LC_ALL=C"), "", args...) // The control.
	if !strings.Contains(plain.out, "anna@xn--w-uga1v8h.test") ||
		!strings.Contains(plain.out, "anna@xn--mnchen-3ya.test") {
		t.Errorf("account list in ASCII: %+v", plain)
	}
	var shown accountAnswer // What programs read stays as it is.
	if decode(t, s.ok("", "account", "show", id), &shown); shown.Email != "anna@xn--mnchen-3ya.test" ||
		shown.Server.Host != "imap.xn--mnchen-3ya.test" {
		t.Errorf("account show: %+v", shown)
	}
	pull := s.runIn(append(slices.Clone(s.env), "LC_ALL=C.UTF-8"), "", "pull", "--user", "anna@żółw.test")
	if !strings.Contains(pull.out, "anna@münchen.test: ") || strings.Contains(pull.out, "xn--") ||
		!strings.Contains(pull.err, "anna@münchen.test: visiting imap.münchen.test by imap\n") {
		t.Errorf("pull: %+v", pull)
	}
}
