package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// actAnswer is an entry of the audit.
type actAnswer struct {
	ID, Role, Action    string
	Actor, Client, User *string
	AccountID           *string `json:"account_id"`
	Changed             []string
	Details             map[string]string
}

type auditAnswer struct {
	Entries []actAnswer
	Next    *string `json:"next_cursor"`
}

func orDash(p *string) string {
	if p == nil {
		return "-"
	}
	return *p
}

// acts returns what was written down since the last call, oldest first.
func (p *process) acts(admin *user, known map[string]bool) (news []string) {
	p.t.Helper()
	for cursor := ""; ; {
		page := must[auditAnswer](admin, http.StatusOK, "GET", "/v1/admin/audit?limit=500"+cursor, nil)
		for _, e := range page.Entries {
			if !known[e.ID] {
				known[e.ID] = true
				news = append(news, strings.Join([]string{
					e.Action, e.Role, orDash(e.Actor), orDash(e.Client), orDash(e.User),
					strings.Join(e.Changed, ","),
				}, " "))
			}
		}
		if page.Next == nil {
			slices.Reverse(news)
			return news
		}
		cursor = "&cursor=" + *page.Next
	}
}

// signedIn says by which ways and from where sessions were begun, the newest first.
func (p *process) signedIn() (ways []string) {
	p.t.Helper()
	page := must[auditAnswer](p.admin(), http.StatusOK, "GET", "/v1/admin/audit?action=session.begun", nil)
	for _, e := range page.Entries {
		ways = append(ways, e.Details["by"]+" from "+orDash(e.Client))
	}
	return ways
}

// at is the same user at another process.
func (u *user) at(p *process) *user {
	v := *u
	v.p = p
	return &v
}

// notWritten are the calls that change something and leave no act, and why.
var notWritten = map[string]string{
	"fetchAccount":    "a user's own wish to fetch changes no setting; somebody else's is account.fetched",
	"retrySkipped":    "likewise; somebody else's is message.retried",
	"retryAllSkipped": "likewise",
	// Where there is such a login, it is: TestEachUsersOwnPasswordOpensItsMailbox.
	"adminSetMailboxLogin":    "no user of this installation has a login of its own",
	"adminForgetMailboxLogin": "likewise",

	"planCopy":      "it looks at two mailboxes, and nothing is saved",
	"getCopyStatus": "it shows how a copy is",

	"startOAuth": "nothing is saved: what is allowed on a provider's page counts once an account takes it",
}

// Every call of the document that changes something is made, and written down as by
// whom and from where it came; what is not says why.
func TestEveryCallThatChangesSomethingIsWrittenDown(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary, anna: canary}, CA: ca, Extra: patientWithErrors,
	})
	s := newSite(t, ca, "WEB_PUBLIC_URL=http://pages.test", "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=localhost",
		fmt.Sprintf("SIGNIN_IMAP_PORT=%d", d.IMAPS), "SIGNIN_IMAP_CA_FILE="+ca.File, "TRUSTED_PROXIES=127.0.0.1")
	p := s.serve("--roles", "api")
	u, admin := p.as(anna), p.admin()
	known := map[string]bool{}
	made := map[string]bool{}
	by := func(action, role, actor, about, changed string) string {
		return strings.Join([]string{action, role, actor, "127.0.0.1", about, changed}, " ")
	}
	mine := func(action string) string { return by(action, "user", anna, anna, "") }
	roots := func(action string) string { return by(action, "admin", root, anna, "") }
	step := func(op string, do func() answer, want ...string) {
		t.Helper()
		made[op] = true
		if a := do(); a.status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", op, a.status, a.body)
		}
		if got := p.acts(admin, known); !slices.Equal(got, want) {
			t.Errorf("%s was written down as %q, want %q", op, got, want)
		}
	}
	call := func(u *user, method, path string, body any) func() answer {
		return func() answer { return u.do(method, path, body) }
	}
	obce := remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")
	step("testConnection", call(u, "POST", "/v1/connection-tests", obce), mine("account.tested"))
	step("testConnection", call(u, "POST", "/v1/connection-tests", obce.with(fields{"password": "x"})),
		mine("account.tested"), mine("account.test_failed"))
	step("createAccount", call(u, "POST", "/v1/accounts", obce), mine("account.tested"), mine("account.added"))
	id := u.accounts()[0].ID
	path, adminPath := "/v1/accounts/"+id, "/v1/admin/accounts/"+id
	step("updateAccount", call(u, "PATCH", path, fields{"name": "Moje", "password": canary, "skip_test": true}),
		by("account.changed", "user", anna, anna, "name,password"))
	step("updateAccount", call(u, "PATCH", path, fields{"enabled": false}), mine("account.paused"))
	step("adminUpdateAccount", call(admin, "PATCH", adminPath, fields{"enabled": true}), roots("account.resumed"))
	step("fetchAccount", call(u, "POST", path+"/fetch", nil))
	step("adminFetchAccount", call(admin, "POST", adminPath+"/fetch", nil), roots("account.fetched"))
	step("adminSetQuota", call(admin, "PUT", "/v1/admin/quotas/"+anna, fields{"limit_bytes": 1 << 30}),
		by("quota.set", "admin", root, anna, "limit_bytes,limit_source"))
	step("adminResetQuota", call(admin, "DELETE", "/v1/admin/quotas/"+anna, nil),
		by("quota.set", "admin", root, anna, "limit_bytes,limit_source"))
	chosen := fields{"action": "count", "filter": fields{"query": anna}}
	step("adminChangeQuotas", call(admin, "POST", "/v1/admin/quota-changes", chosen))
	step("adminChangeQuotas", call(admin, "POST", "/v1/admin/quota-changes", chosen.with(fields{
		"action": "set", "limit_bytes": 1 << 30,
	})), by("quota.set", "admin", root, anna, "limit_bytes,limit_source"))
	step("adminSetDefaultLimit", call(admin, "PUT", "/v1/admin/default-limits/firma.test", fields{"limit_bytes": 1 << 30}),
		by("default_limit.set", "admin", root, "-", "limit_bytes"))
	step("adminDeleteDefaultLimit", call(admin, "DELETE", "/v1/admin/default-limits/firma.test", nil),
		by("default_limit.removed", "admin", root, "-", ""))
	step("adminTestAccount", call(admin, "POST", adminPath+"/test", nil), roots("account.tested"))
	step("adminStartTranscript", call(admin, "PUT", adminPath+"/transcript", nil), roots("transcript.begun"))
	step("adminDeleteTranscript", call(admin, "DELETE", adminPath+"/transcript", nil), roots("transcript.removed"))
	var link struct{ URL string }
	step("createLink", func() answer {
		a := admin.do("POST", "/v1/links", fields{"user": anna})
		if err := json.Unmarshal(a.body, &link); err != nil {
			t.Error(err)
		}
		return a
	}, roots("link.made"))
	cookie := ""
	step("followLink", func() answer {
		var status int
		status, cookie = p.follow(link.URL)
		return answer{status: status}
	}, mine("session.begun"))
	signedIn := func() http.Header { return http.Header{"Cookie": {cookie}, "X-Mailbrook": {"1"}} }
	step("createLink", func() answer {
		a := p.ask("POST", "/v1/links", signedIn(), fields{})
		if err := json.Unmarshal(a.body, &link); err != nil {
			t.Error(err)
		}
		return a
	}, mine("link.made"))
	step("useLink", func() answer { // Another browser: the session before continues.
		_, token, _ := strings.Cut(link.URL, "/link/")
		req, err := http.NewRequest(http.MethodPost, p.addr+"/link/"+token, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return answer{status: resp.StatusCode}
	}, mine("session.begun"))
	step("deleteSession", func() answer { return p.ask("DELETE", "/v1/session", signedIn(), nil) }, mine("session.ended"))
	// From where it came is what the proxy vouches for.
	step("signInWithPassword", func() answer { return p.enter(anna, canary, "203.0.113.9, 192.0.2.9") },
		strings.Replace(mine("session.begun"), "127.0.0.1", "192.0.2.9", 1))
	step("deleteSessions", call(u, "DELETE", "/v1/sessions", nil), mine("sessions.ended"))
	step("deleteSessions", call(admin, "DELETE", "/v1/sessions?everybody=true", nil),
		by("sessions.ended", "admin", root, "-", ""))
	step("adminExportUser", call(admin, "GET", "/v1/admin/users/"+anna+"/export", nil), roots("user.exported"))
	copying := fields{
		"source": fields{
			"email": "stara@example.org", "protocol": "imap", "username": "anna", "password": canary,
			"server": fields{"host": d.Host, "port": d.IMAPS, "security": "tls"},
		},
		"target": fields{"protocol": "local"}, "skip_test": true,
	}
	var begun struct{ ID string }
	step("startCopy", func() answer {
		a := u.do("POST", "/v1/copies", copying)
		if err := json.Unmarshal(a.body, &begun); err != nil {
			t.Error(err)
		}
		return a
	}, mine("copy.started"))
	copied := "/v1/copies/" + begun.ID
	step("pauseCopy", call(u, "POST", copied+"/pause", nil), mine("copy.paused"))
	step("resumeCopy", call(u, "POST", copied+"/resume", nil), mine("copy.resumed"))
	step("updateCopy", call(u, "PATCH", copied, fields{"options": fields{"bytes_per_second": 1 << 20}}),
		mine("copy.changed"))
	step("cancelCopy", call(u, "POST", copied+"/cancel", nil), mine("copy.cancelled"))
	step("syncCopy", call(u, "POST", copied+"/sync", nil), mine("copy.repeated"))
	step("retryCopy", call(u, "POST", copied+"/retry", nil), mine("copy.repeated"))
	step("verifyCopy", call(u, "POST", copied+"/verify", nil), mine("copy.repeated"))
	step("deleteCopy", call(u, "DELETE", copied, nil), mine("copy.deleted"))
	step("deleteAccount", call(u, "DELETE", path, nil), mine("account.deleted"))
	step("adminDeleteUser", call(admin, "DELETE", "/v1/admin/users/"+anna, nil), roots("user.removed"))
	if a := u.do("POST", "/v1/accounts", obce.with(fields{"email": "nobody"})); a.status != 422 {
		t.Errorf("a refused act: %d %s", a.status, a.body)
	}
	if a := p.enter(anna, "x", ""); a.status != http.StatusForbidden {
		t.Errorf("a refused password: %d %s", a.status, a.body)
	}
	if got := p.acts(admin, known); len(got) != 0 {
		t.Errorf("a refused act was written down as %q", got)
	}
	if got := p.signedIn(); !slices.Equal(got, []string{
		"password from 192.0.2.9", "link from 127.0.0.1", "link from 127.0.0.1",
	}) {
		t.Errorf("somebody signed in by %q", got)
	}

	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			why, left := notWritten[op.OperationID]
			if method != http.MethodGet && !made[op.OperationID] && !left || left && why == "" {
				t.Errorf("%s changes something: is it written down, or why not", op.OperationID)
			}
		}
	}
	p.term()
}

// commandsNotWritten are the commands that leave no act, and why.
var commandsNotWritten = map[string]string{
	"serve":        "what is done through it is written down by whoever asks",
	"demo":         "its installation is a scratch one that ends with it; what is added there is written down",
	"init":         "there is nobody yet to whom anything could be done",
	"account list": "it shows settings, and changes nothing",
	"account show": "likewise",
	"copy plan":    "it looks at two mailboxes, and nothing is saved",
	"copy list":    "it shows copies, and changes nothing",
	"copy show":    "likewise",
	"copy watch":   "likewise",
	"copy report":  "likewise",
	// As by REST, through the same calls: TestEveryCallThatChangesSomethingIsWrittenDown.
	"copy start":          "it is, by what saves it",
	"copy pause":          "likewise",
	"copy resume":         "likewise",
	"copy cancel":         "likewise",
	"copy sync":           "likewise",
	"copy verify":         "likewise",
	"providers":           "it is about no user",
	"check":               "it compares, and changes nothing; of mail it names files",
	"token":               "whoever has the key makes them without us; what is done with one is written down",
	"doctor":              "it looks, and changes nothing of users",
	"config show":         "it is about no user",
	"config check":        "likewise",
	"migrate up":          "it is about no user",
	"migrate down":        "it is about no user; where the audit itself goes, the next one says from when on it is whole",
	"migrate status":      "it is about no user",
	"migrate-destination": "it finishes what a visit left behind, as the next visit does; no setting and no mail changes",
	"installation status": "likewise",
	"completion":          "likewise",
	"man":                 "likewise",
	"version":             "likewise",
	// Where there is such a login, it is: TestEachUsersOwnPasswordOpensItsMailbox.
	"user mailbox set":    "no user of this installation has a login of its own",
	"user mailbox forget": "likewise",
}

// What commands do is written down as the command line's, with who ran it where; of each
// command that there is, or there is a reason why not.
func TestWhatCommandsDoIsWrittenDown(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	s := newSite(t, ca, "WEB_PUBLIC_URL=http://pages.test")
	p := s.serve("--roles", "api")
	admin, known := p.admin(), map[string]bool{}
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	made := [][]string{{"installation", "adopt"}}
	step := func(stdin string, args []string, want ...string) string {
		t.Helper()
		if len(want) > 0 {
			made = append(made, args)
		}
		said := s.ok(stdin, args...)
		for i, action := range want {
			name, changed, _ := strings.Cut(action, " ")
			want[i] = strings.Join([]string{name, "cli", me.Username, machine, anna, changed}, " ")
		}
		if got := p.acts(admin, known); !slices.Equal(got, want) {
			t.Errorf("%v was written down as %q, want %q", args, got, want)
		}
		return said
	}
	add := append([]string{"account", "add", "--user", anna, "--email", "anna@poczta.example.test", "--password-stdin"},
		cliFlags("imap", d.Host, d.IMAPS, "tls", "anna")...)
	id, _, _ := strings.Cut(step(canary+"\n", add, "account.tested", "account.added"), "\n")
	step("", []string{"account", "test", id}, "account.tested")
	step("", []string{"account", "test", id, "--transcript", filepath.Join(s.dir, "t")}, "account.tested")
	step("", []string{"account", "edit", id, "--name", "Moje"}, "account.changed name")
	step("", []string{"account", "list", "--user", anna})
	step("", []string{"pull"})
	step("", []string{"pull", "--account", id}, "account.fetched")
	step("", []string{"pull", "--user", anna}, "account.fetched")
	step("", []string{"pull", "--transcript", filepath.Join(s.dir, "all")}, "transcript.begun")
	step("", []string{"link", "--user", anna}, "link.made")
	step("", []string{"sessions", "end", "--user", anna}, "sessions.ended")
	step("", []string{"user", "export", anna}, "user.exported")
	step("", []string{"account", "delete", id}, "account.deleted")
	step("", []string{"user", "delete", anna}, "user.removed")
	p.term()
	s.ok("", "installation", "adopt", "mailboxes")
	p = s.serve("--roles", "api")
	want := []string{strings.Join([]string{"installation.adopted", "cli", me.Username, machine, "-", ""}, " ")}
	if got := p.acts(admin.at(p), known); !slices.Equal(got, want) {
		t.Errorf("adopting was written down as %q, want %q", got, want)
	}
	p.term()
	var c cli
	parser, err := kong.New(&c, kong.Name("mailbrook"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range parser.Model.Leaves(false) {
		_, name, _ := strings.Cut(n.FullPath(), " ")
		words := strings.Fields(name)
		why, left := commandsNotWritten[name]
		did := slices.ContainsFunc(made, func(args []string) bool {
			return len(args) >= len(words) && slices.Equal(args[:len(words)], words)
		})
		if did == left || left && why == "" {
			t.Errorf("%q: is it written down, or why not", name)
		}
	}
}

// Taking the audit back is meant, and known of afterwards; the control is a step that
// leaves it.
func TestTheAuditIsNotTakenBackByTheWay(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			settings := []string{"WEB_PUBLIC_URL=http://pages.test"}
			if database == "PostgreSQL" {
				settings = append(settings, "DATABASE="+mailtest.StartPostgres(t))
			}
			s := newSite(t, nil, settings...)
			s.ok("", "migrate", "up")
			s.ok("", "init")
			s.ok("", "link", "--user", anna)
			s.ok("", "migrate", "down", "--yes", "--to", "27")
			for _, to := range []string{"26", "0"} {
				r := s.run("y\n", "migrate", "down", "--yes", "--to", to)
				if r.status != exitUsage || !strings.Contains(r.err, "audit") || !strings.Contains(r.err, "--force") {
					t.Errorf("down to %s: status %d, %s", to, r.status, r.err)
				}
			}
			s.ok("", "migrate", "up")
			complete := func() (since *string) {
				p := s.serve("--roles", "api")
				page := must[struct {
					Entries []actAnswer
					Since   *string `json:"complete_since"`
				}](p.admin(), http.StatusOK, "GET", "/v1/admin/audit", nil)
				p.term()
				if len(page.Entries) != 1 && page.Since == nil || len(page.Entries) > 0 && page.Since != nil {
					t.Errorf("%d acts, complete since %s", len(page.Entries), orDash(page.Since))
				}
				return page.Since
			}
			if since := complete(); since != nil {
				t.Errorf("nothing was taken back, and the list is whole since %s", *since)
			}
			s.ok("", "migrate", "down", "--force", "--to", "26")
			s.ok("", "migrate", "up")
			if since := complete(); since == nil {
				t.Error("the audit was dropped, and the list says that it is whole")
			}
		})
	}
}

// Nothing by which anybody could be signed in, and no mail, is in an export, whichever
// way it is asked for; the control is that the search finds each of them where it is.
func TestAnExportIsWholeAndHasNoSecretAndNoMail(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(96, 7, true))
	s := newSite(t, ca, "WEB_PUBLIC_URL=http://pages.test")
	p := s.serve()
	u, admin := p.as(anna), p.admin()
	id := u.add(remoteAccount("Obce", "imap", d.Host, d.IMAPS, "tls", "anna")).ID
	u.reaches(id, "ok")
	transcript := "/v1/admin/accounts/" + id + "/transcript"
	must[struct{}](admin, http.StatusOK, "PUT", transcript, nil)
	u.do("POST", "/v1/accounts/"+id+"/fetch", nil)
	eventually(t, soon, func() (bool, string) {
		a := admin.do("GET", transcript+"?download=true", nil)
		return strings.Contains(string(a.body), "LOGOUT"), "the transcript is " + string(a.body)
	})
	_, cookie := p.follow(s.ok("", "link", "--user", anna))
	_, session, _ := strings.Cut(cookie, "=")
	_, link, _ := strings.Cut(strings.TrimSpace(s.ok("", "link", "--user", anna)), "/link/")
	secrets := map[string]string{
		"the password": canary, "a session": session, "a link": link, "a token": u.token, "an administrator's": admin.token,
	}
	for _, name := range messageIDs(t, s.mail(anna)) {
		secrets["the message "+name] = name
	}
	if len(secrets) < 8 {
		t.Fatalf("only %v are searched for", secrets)
	}
	byREST := admin.do("GET", "/v1/admin/users/"+anna+"/export", nil)
	if byREST.status != http.StatusOK {
		t.Fatalf("%d %s", byREST.status, byREST.body)
	}
	for way, text := range map[string]string{
		"REST": string(byREST.body), "the command line": s.ok("", "user", "export", anna),
	} {
		for what, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("by %s, %s (%q) is in the export", way, what, secret)
			}
		}
		var got struct {
			User     string
			Complete bool
			Accounts []struct{ Email string }
			Messages []struct{ Digest string }
			Sessions []map[string]any
			Links    []map[string]any
			Audit    []actAnswer
			Mailbox  struct{ Folders, Marks []string }
			LeftOut  []struct{ What, Why string } `json:"left_out"`

			Transcripts []struct{ Text string }
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("by %s: %v: %s", way, err, text)
		}
		if !got.Complete || got.User != anna || len(got.Accounts) != 1 || len(got.Messages) != 7 || len(got.Sessions) != 1 ||
			len(got.Links) != 1 || len(got.Audit) < 5 || !slices.Equal(got.Mailbox.Folders, []string{"Obce"}) ||
			len(got.LeftOut) == 0 || len(got.Transcripts) != 1 || !strings.Contains(got.Transcripts[0].Text, "LOGOUT") {
			t.Errorf("by %s: %s", way, text)
		}
		for _, mark := range got.Mailbox.Marks {
			if _, err := os.Stat(filepath.Join(s.mail(anna), "."+strings.ReplaceAll(mark, "/", "."))); err != nil {
				t.Errorf("by %s: the mark is not there: %v", way, err)
			}
		}
	}
	if a := u.do("GET", "/v1/admin/users/"+anna+"/export", nil); a.status != http.StatusForbidden {
		t.Errorf("a user exports: %d", a.status)
	}
	p.term()
}

// messageIDs returns the Message-IDs of what lies in a mailbox.
func messageIDs(t *testing.T, dir string) (ids []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Message-ID") {
				ids = append(ids, strings.Trim(strings.TrimSpace(value), "<>"))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(fmt.Errorf("reading the mailbox: %w", err))
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}
