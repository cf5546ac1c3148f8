package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// circle is an installation whose users' mailboxes are served by a Dovecot, and
// who add one another's, or their own, as external accounts.
type circle struct {
	*site
	d     *mailtest.Dovecot
	users []string
	sent  map[string]string // Whose mail it was at first, by subject.
	begun time.Time
}

// newCircle has users who can also sign in without their domain.
func newCircle(t *testing.T, extra []string, names ...string) *circle {
	t.Helper()
	c := &circle{sent: map[string]string{}, begun: time.Now().Add(-time.Hour).Truncate(time.Second)}
	logins := map[string]string{}
	for _, n := range names {
		c.users = append(c.users, n+"@loop.test")
		logins[n+"@loop.test"] = canary
	}
	ca := mailtest.NewCA(t)
	c.d = mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: logins, CA: ca, Extra: append(
		[]string{"auth_default_realm = loop.test"}, extra...)})
	c.site = newSite(t, ca, "CREATE_MAILBOXES=true", "MAILBOX=maildir:"+c.d.Store("{user}"))
	return c
}

// arrive puts a message into a user's inbox, of the same length for everybody.
func (c *circle) arrive(user string, n int) {
	c.t.Helper()
	subject := fmt.Sprintf("mail %04d for %s", n, user)
	c.sent[subject] = user
	c.put(c.d, user, subject, n)
}

func (c *circle) put(d *mailtest.Dovecot, user, subject string, n int) {
	c.t.Helper()
	text := fmt.Sprintf("From: x@else.test\nTo: %s\nSubject: %s\nMessage-ID: <%d.%s>\nDate: Sat, 28 Nov 2026 10:00:00 "+
		"+0000\n\nHello.\n", user, subject, n, user)
	mailtest.Append(c.t, d.Addr("imap"), nil, user, canary, []mailtest.Message{{
		Folder: "INBOX", Data: []byte(text),
		Date: c.begun.Add(time.Duration(n) * time.Minute),
	}})
}

// join adds an account to a user's: what the login opens, by the protocol, into
// the folder.
func (c *circle) join(user, login, protocol, folder string, further ...string) string {
	c.t.Helper()
	r := c.tryJoin(user, login, protocol, folder, further...)
	if r.status != 0 {
		c.t.Fatalf("adding %s to %s: %s%s", login, user, r.out, r.err)
	}
	id, _, _ := strings.Cut(r.out, "\n")
	return id
}

func (c *circle) tryJoin(user, login, protocol, folder string, further ...string) result {
	c.t.Helper()
	port := map[string]int{"imap": c.d.IMAPS, "pop3": c.d.POP3S}[protocol]
	name := strings.ReplaceAll(folder, "/", " ")
	args := append([]string{"account", "add", "--user", user, "--email", strings.ReplaceAll(folder, "/", "-") +
		"@else.test", "--name", name, "--folder", folder, "--password-stdin"},
		cliFlags(protocol, c.d.Host, port, "tls", login)...)
	return c.run(canary+"\n", append(args, further...)...)
}

// round visits all accounts of each user; before each, the saboteur acts.
func (c *circle) round(sabotage func()) {
	c.t.Helper()
	for _, u := range c.users {
		if sabotage != nil {
			sabotage()
		}
		c.run("", "pull", "--user", u)
	}
}

// withoutMarks removes all marks from the mailboxes.
func (c *circle) withoutMarks() {
	c.t.Helper()
	for _, u := range c.users {
		marks, err := filepath.Glob(filepath.Join(c.d.Store(u), ".*.mailbrook-*"))
		if err != nil {
			c.t.Fatal(err)
		}
		for _, m := range marks {
			if err := os.RemoveAll(m); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// holdings are the folders in which each message of a user's mailbox lies, by subject.
func (c *circle) holdings(user string) map[string][]string {
	c.t.Helper()
	all := map[string][]string{}
	for _, m := range mailtest.ReadMaildir(c.t, c.d.Store(user)) {
		text, err := os.ReadFile(m.Path)
		if err != nil {
			c.t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "Subject: ")
		subject, _, _ := strings.Cut(rest, "\n")
		all[subject] = append(all[subject], m.Folder)
	}
	return all
}

// wrong says which message lies in a mailbox more than once, is not there
// although it should be, or is there although nobody fetches it there; and
// where folders of folders grow.
func (c *circle) wrong(reads map[string][]string) (bad []string) {
	c.t.Helper()
	for _, u := range c.users {
		have := c.holdings(u)
		for subject, folders := range have {
			if len(folders) > 1 {
				bad = append(bad, fmt.Sprintf("%s has %q in %v", u, subject, folders))
			}
			if from := c.sent[subject]; from != u && !slices.Contains(reads[u], from) {
				bad = append(bad, fmt.Sprintf("%s has %q, which was fetched through somebody", u, subject))
			}
		}
		for subject, from := range c.sent {
			if (from == u || slices.Contains(reads[u], from)) && len(have[subject]) == 0 {
				bad = append(bad, fmt.Sprintf("%s lacks %q", u, subject))
			}
		}
		if n := c.depth(u); n > 1 {
			bad = append(bad, fmt.Sprintf("%s has account folders in account folders, %d deep", u, n))
		}
	}
	slices.Sort(bad)
	return bad
}

// depth is how many account folders lie in one another.
func (c *circle) depth(user string) (most int) {
	c.t.Helper()
	dirs, err := os.ReadDir(c.d.Store(user))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range dirs {
		most = max(most, strings.Count(e.Name(), ".of-"))
	}
	return most
}

func (c *circle) size() (n int) {
	for _, u := range c.users {
		for _, folders := range c.holdings(u) {
			n += len(folders)
		}
	}
	return n
}

// move has a user put what lies in one folder into another.
func (c *circle) move(user, from, to string) {
	c.t.Helper()
	c.d.Adm("move", "-u", user, to, "mailbox", from, "all")
}

// Colleagues who fetch each other's mailboxes, in a pair or a ring, and sort
// what came: each message ends in each mailbox at most once, and where it should.
func TestMailboxesThatFetchEachOtherDoNotGrow(t *testing.T) {
	t.Parallel()
	const a, b, c = "a@loop.test", "b@loop.test", "c@loop.test"
	for name, tc := range map[string]struct {
		reads    map[string][]string
		protocol string
	}{
		"a pair by IMAP":   {map[string][]string{a: {b}, b: {a}}, "imap"},
		"a ring by IMAP":   {map[string][]string{a: {b}, b: {c}, c: {a}}, "imap"},
		"everybody":        {map[string][]string{a: {b, c}, b: {a, c}, c: {a, b}}, "imap"},
		"a pair by POP3":   {map[string][]string{a: {b}, b: {a}}, "pop3"},
		"a ring by POP3":   {map[string][]string{a: {b}, b: {c}, c: {a}}, "pop3"},
		"a level further":  {map[string][]string{a: {b}, b: {a}}, "imap"},
		"without a domain": {map[string][]string{a: {b}, b: {a}}, "imap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := []string{"a", "b", "c"}[:len(tc.reads)]
			r := newCircle(t, nil, names...)
			folder := func(of string) string {
				f := "of-" + of[:1]
				if name == "a level further" {
					f = "Colleagues/" + f
				}
				return f
			}
			ids := map[string]string{} // An account of each user.
			for u, others := range tc.reads {
				r.arrive(u, 0)
				for _, o := range others {
					login := o
					if name == "without a domain" {
						login = o[:1]
					}
					ids[u] = r.join(u, login, tc.protocol, folder(o))
				}
			}
			for n := 1; n <= 10; n++ {
				for _, u := range r.users {
					r.arrive(u, n)
				}
				r.round(nil)
				for u, others := range tc.reads { // Everybody takes some of it into the inbox, or elsewhere.
					to := "INBOX"
					if n%3 == 0 && tc.protocol == "imap" {
						to = "Sorted"
						if n == 3 {
							r.d.Adm("mailbox", "create", "-u", u, to)
						}
					}
					r.move(u, strings.ReplaceAll(folder(others[n%len(others)]), "/", "."), to)
				}
			}
			r.round(nil)
			for _, w := range r.wrong(tc.reads) {
				t.Error(w)
			}
			if t.Failed() {
				return
			}
			// The user sees why.
			p := r.serve()
			first := p.as(a)
			skipped := must[struct {
				Skipped []struct{ Code, Title, Detail, Advice string }
			}](first, http.StatusOK, "GET", "/v1/accounts/"+ids[a]+"/skipped", nil)
			if len(skipped.Skipped) == 0 || skipped.Skipped[0].Code != "mail_loop" || skipped.Skipped[0].Title == "" ||
				skipped.Skipped[0].Detail == "" {
				t.Errorf("what was moved is not listed as skipped: %+v", skipped)
			}
			if tc.protocol == "pop3" {
				return
			}
			for lang, words := range map[string]string{"en": "fetched back into where it came from", "pl": "w kółko"} {
				d := first.speaking(lang).account(ids[a]).Status.Diagnosis
				if d == nil || d.Code != "mail_loop" || !strings.Contains(d.Title, words) || !strings.Contains(d.Detail, "of-") {
					t.Errorf("%s: the account says %+v", lang, d)
				}
			}
			if st := first.account(ids[a]).Status.State; st != "ok" {
				t.Errorf("the account is %s", st)
			}
			folders := must[struct {
				Folders []struct {
					RemoteName string  `json:"remote_name"`
					Selected   bool    `json:"selected"`
					LeftOut    *string `json:"left_out"`
				}
			}](first, http.StatusOK, "GET", "/v1/accounts/"+ids[a]+"/folders", nil)
			left := 0
			for _, f := range folders.Folders {
				if strings.Contains(f.RemoteName, "mailbrook-") {
					t.Errorf("the mark %q is shown as a folder", f.RemoteName)
				}
				if f.LeftOut != nil {
					left++
				}
				if leads := strings.Contains(f.RemoteName, "of-"); leads == f.Selected || leads != (f.LeftOut != nil &&
					*f.LeftOut == "mail_loop") {
					t.Errorf("folder %+v", f)
				}
			}
			if left == 0 {
				t.Error("no folder is shown as left out")
			}
		})
	}
}

// The control: without marks, or with unique-ids that tell no UID, the same
// mailboxes grow, and the test above would notice. It is also what an earlier
// version left behind: once there are marks, it grows no further.
func TestWithoutMarksMailboxesThatFetchEachOtherGrow(t *testing.T) {
	t.Parallel()
	const a, b = "a@loop.test", "b@loop.test"
	reads := map[string][]string{a: {b}, b: {a}}
	t.Run("imap", func(t *testing.T) {
		t.Parallel()
		r := newCircle(t, nil, "a", "b")
		for u, others := range reads {
			r.arrive(u, 0)
			r.join(u, others[0], "imap", "of-"+others[0][:1])
		}
		for range 4 {
			r.round(r.withoutMarks)
		}
		if bad := r.wrong(reads); len(bad) == 0 || max(r.depth(a), r.depth(b)) < 4 {
			t.Fatalf("nothing grew: %v", bad)
		}
		r.round(nil)
		r.round(nil)
		before, deep := r.size(), r.depth(a)+r.depth(b)
		for range 3 {
			r.round(nil)
		}
		if r.size() != before || r.depth(a)+r.depth(b) != deep {
			t.Errorf("what an earlier version left grew from %d messages to %d", before, r.size())
		}
	})
	t.Run("pop3", func(t *testing.T) {
		t.Parallel()
		r := newCircle(t, []string{"protocol pop3 {\n  pop3_uidl_format = %g\n}"}, "a", "b")
		for u, others := range reads {
			r.arrive(u, 0)
			r.join(u, others[0], "pop3", "of-"+others[0][:1])
		}
		r.round(nil)
		r.move(b, "of-a", "INBOX")
		r.round(nil)
		if bad := r.wrong(reads); len(bad) == 0 {
			t.Error("nothing came back")
		}
	})
}

// A user's own mailbox under another login name is refused when it is added;
// where it was added without a test nothing is fetched, and the user sees why.
func TestTheOwnMailboxUnderAnotherNameIsNotFetched(t *testing.T) {
	t.Parallel()
	const c = "c@loop.test"
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newCircle(t, nil, "c")
			r.arrive(c, 0)
			if protocol == "imap" {
				if got := r.tryJoin(c, "c", protocol, "of-c"); got.status == 0 || !strings.Contains(got.out+got.err, "mail_loop") {
					t.Fatalf("adding it ends with status %d: %s%s", got.status, got.out, got.err)
				}
				if left, err := filepath.Glob(filepath.Join(r.d.Store(c), ".mailbrook-test-*")); err != nil || len(left) > 0 {
					t.Errorf("the test left %v, %v", left, err)
				}
			}
			id := r.join(c, "c", protocol, "of-c", "--skip-test")
			for n := 1; n <= 10; n++ {
				r.arrive(c, n)
				if got := r.run("", "pull", "--user", c, "--account", id, "--json"); got.status != exitFailed ||
					!strings.Contains(got.out, "mail_loop") {
					t.Fatalf("pull ends with status %d: %s%s", got.status, got.out, got.err)
				}
			}
			for _, w := range r.wrong(map[string][]string{}) {
				t.Error(w)
			}
			u := r.serve().as(c)
			st := u.account(id).Status
			if d := st.Diagnosis; st.State != "needs_attention" || d == nil || d.Code != "mail_loop" || d.Retryable ||
				!strings.Contains(d.Detail, "your own mailbox") {
				t.Errorf("the account is %s, %+v", st.State, st.Diagnosis)
			}
		})
	}
}

// What merely looks alike is not what was fetched before: a newsletter to two
// users, and one message in two accounts of one user, arrive each time, also
// where the users fetch each other.
func TestEqualMessagesThatTookDifferentWaysAllArrive(t *testing.T) {
	t.Parallel()
	const a, b = "a@loop.test", "b@loop.test"
	r := newCircle(t, nil, "a", "b")
	else1 := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"x": canary, "y": canary},
		CA:    r.d.CA,
	})
	for _, at := range []string{"x", "y"} {
		text := "From: news@else.test\nTo: all@else.test\nSubject: news\nMessage-ID: <news@else.test>\n" +
			"Date: Sat, 28 Nov 2026 10:00:00 +0000\n\nNews.\n"
		mailtest.Append(t, else1.Addr("imap"), nil, at, canary, []mailtest.Message{{
			Folder: "INBOX", Data: []byte(text),
			Date: r.begun,
		}})
	}
	add := func(user, login, protocol, folder string) {
		port := map[string]int{"imap": else1.IMAPS, "pop3": else1.POP3S}[protocol]
		r.ok(canary+"\n", append([]string{
			"account", "add", "--user", user, "--email", folder + "@else.test", "--name",
			folder, "--folder", folder, "--password-stdin",
		},
			cliFlags(protocol, "localhost", port, "tls", login)...)...)
	}
	add(a, "x", "imap", "x")
	add(a, "y", "pop3", "y")
	add(b, "x", "pop3", "x")
	add(b, "y", "imap", "y")
	r.join(a, b, "imap", "of-b")
	r.join(b, a, "imap", "of-a")
	for range 3 {
		r.round(nil)
	}
	for _, u := range r.users {
		got := r.holdings(u)["news"]
		slices.Sort(got)
		if !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("%s has the newsletter in %v", u, got)
		}
	}
}

// The operator's own hosts are refused by name and by address, with or without
// a test, when adding, testing and editing; what is there already continues to work.
func TestOwnHostsAreRefused(t *testing.T) {
	t.Parallel()
	r := newCircle(t, nil, "a", "b")
	const a, b = "a@loop.test", "b@loop.test"
	r.arrive(b, 1)
	id := r.join(a, b, "imap", "of-b")
	r.env = append(r.env, "MAILBROOK_REMOTE_OWN_HOSTS=mail.loop.test,LOCALHOST.")
	u := r.serve().as(a)
	type refusal struct {
		Code      string
		Diagnosis struct{ Code, Title, Detail, Advice string }
	}
	for _, host := range []string{"localhost", "127.0.0.1", "mail.loop.test"} {
		for _, skip := range []bool{false, true} {
			f := remoteAccount("Own", "imap", host, r.d.IMAPS, "tls", b).with(fields{
				"email":     "own@else.test",
				"skip_test": skip,
			})
			got := must[refusal](u, http.StatusUnprocessableEntity, "POST", "/v1/accounts", f)
			if got.Code != "connection_test_failed" || got.Diagnosis.Code != "mail_loop" || got.Diagnosis.Advice == "" {
				t.Errorf("%s, skip_test %v: %+v", host, skip, got)
			}
		}
		if cli := r.tryJoin(a, b, "imap", "again", "--host", host, "--skip-test"); cli.status != exitFailed ||
			!strings.Contains(cli.err+cli.out, "mail_loop") {
			t.Errorf("%s by command: status %d, %s%s", host, cli.status, cli.out, cli.err)
		}
	}
	test := remoteAccount("Own", "imap", "localhost", r.d.IMAPS, "tls", b).with(fields{"email": "own@else.test"})
	delete(test, "name")
	report := must[struct {
		OK        bool
		Diagnosis struct{ Code string }
		Steps     []struct {
			Name string
			OK   bool
		}
	}](u, http.StatusOK, "POST", "/v1/connection-tests", test)
	if report.OK || report.Diagnosis.Code != "mail_loop" || len(report.Steps) != 1 || report.Steps[0].Name != "resolve" ||
		report.Steps[0].OK {
		t.Errorf("the test says %+v", report)
	}
	edit := must[refusal](u, http.StatusUnprocessableEntity, "PATCH", "/v1/accounts/"+id,
		fields{"server": fields{"host": "127.0.0.1"}, "password": canary, "skip_test": true})
	if edit.Code != "connection_test_failed" || edit.Diagnosis.Code != "mail_loop" {
		t.Errorf("editing says %+v", edit)
	}
	// Without its host being changed, it can be edited and continues to work.
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+id, fields{"sender_name": "A"})
	eventually(t, soon, func() (bool, string) {
		n := u.account(id).Status.Totals.Messages
		return n == 1, fmt.Sprintf("%d messages", n)
	})
}
