package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// verdict is a row of docs/servers.md.
type verdict struct {
	server, protocol, security string
	messages                   int
	note                       string
	found                      []string // What went wrong; none: all is well.
}

// TestRealServersGoThroughTheSameCycle is `make test-servers`: each server,
// over each protocol and security that it offers. The variable names the file
// that the table of verdicts is written to; without it there is no run.
func TestRealServersGoThroughTheSameCycle(t *testing.T) {
	file := os.Getenv("MAILBROOK_TEST_SERVERS")
	if file == "" {
		return
	}
	cache, err := filepath.Abs("../../.cache/servers")
	if err != nil {
		t.Fatal(err)
	}
	var rows []verdict
	for _, server := range realServers {
		t.Run(server.name, func(t *testing.T) {
			if server.notRun != "" {
				rows = append(rows, verdict{server: server.name, found: []string{"not run: " + server.notRun}})
				mailtest.NotRun(t, server.notRun)
			}
			var program string
			if server.fetch != nil {
				var err error
				if program, err = server.fetch(cache); err != nil {
					rows = append(rows, verdict{server: server.name, found: []string{"not run: " + err.Error()}})
					mailtest.NotRun(t, err.Error())
				}
			}
			ca := mailtest.NewCA(t)
			user := cmp.Or(server.user, "anna")
			remote, deliver := server.start(t, program, ca, map[string]string{user: canary})
			c := &cycle{
				t: t, server: remote, user: user, deliver: deliver, refuses: server.refuses, rewrites: server.rewrites,
				site:  newSite(t, ca, "REMOTE_ALLOW_PLAINTEXT=true", "ACCOUNTS_MAX_PER_USER=10"),
				first: map[string][32]byte{},
			}
			c.ways = waysOffered(remote, server.name)
			for _, w := range c.ways {
				c.rows = append(c.rows, verdict{server: server.name, protocol: w.protocol, security: w.security, note: server.note})
			}
			// A cycle that breaks off has its rows too.
			defer func() {
				if !c.ended {
					for i := range c.rows {
						c.rows[i].found = append(c.rows[i].found, "the cycle broke off")
					}
				}
				rows = append(rows, c.rows...)
			}()
			c.run()
		})
	}
	if err := os.WriteFile(file, []byte(verdictTable(rows)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// realServers are the servers of `make test-servers`.
var realServers = []struct {
	name  string
	user  string                                         // "": anna.
	fetch func(cache string) (program string, err error) // Nil: make test needs it too.
	// start starts it with empty mailboxes. It says how mail is put into them, if
	// that is not to be done over IMAP.
	start func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
		func([]mailtest.Message))
	notRun  string                      // Why it is not run: it stands in the table.
	note    string                      // What is to be known of a server that did well.
	refuses func(mailtest.Message) bool // What it cannot take without losing its way; nil: nothing.
	// It writes into messages that are there already: each is compared with what it
	// was when it was first read.
	rewrites bool
}{
	{name: "Dovecot", start: func(t *testing.T, _ string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
		func([]mailtest.Message),
	) {
		return &mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca}).Server, nil
	}},
	{name: "Cyrus", start: func(t *testing.T, _ string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
		func([]mailtest.Message),
	) {
		return &mailtest.StartCyrus(t, mailtest.CyrusOptions{Users: users, CA: ca}).Server, nil
	}},
	{name: "Courier IMAP", fetch: mailtest.FetchCourier, start: func(t *testing.T, program string, ca *mailtest.CA,
		users map[string]string,
	) (*mailtest.Server, func([]mailtest.Message)) {
		s := mailtest.StartCourier(t, program, ca, users).Server
		s.POP3, s.POP3S = 0, 0
		return &s, nil
	}},
	{
		name: "Courier POP3", fetch: mailtest.FetchCourier,
		start: func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
			func([]mailtest.Message),
		) {
			s := mailtest.StartCourier(t, program, ca, users).Server
			imap := s.Addr("imaps")
			s.IMAP, s.IMAPS = 0, 0
			return &s, func(msgs []mailtest.Message) { mailtest.Append(t, imap, ca.Client(), "anna", canary, msgs) }
		},
		note: "RETR itself marks mail as read at this server, whoever asks and however the session ends; TOP does not",
	},
	{
		name: "GNU mailutils imap4d, mbox", fetch: mailtest.FetchMailutils,
		start: func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
			func([]mailtest.Message),
		) {
			return &mailtest.StartMailutils(t, program, "imap4d", "mbox", ca, users).Server, nil
		},
		rewrites: true,
		note: "it keeps numbers and flags within the messages that it serves (X-IMAPbase, X-UID, Status), " +
			"so their bytes change when others come or go: the copy is what it served at the visit. " +
			"The mail was put in over IMAP: with what another program adds to the file, the folder has another " +
			"UIDVALIDITY at each look until a program opens it for writing, and a message whose bytes the server " +
			"changed meanwhile comes once more",
	},
	{
		name: "GNU mailutils imap4d, Maildir", fetch: mailtest.FetchMailutils,
		start: func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
			func([]mailtest.Message),
		) {
			s := mailtest.StartMailutils(t, program, "imap4d", "maildir", ca, users).Server
			addr := s.Addr("imap")
			return &s, func(msgs []mailtest.Message) {
				mailtest.OpenFolders(t, addr, nil, "anna", canary) // The inbox is made by it.
				mailtest.Append(t, addr, nil, "anna", canary, msgs)
				mailtest.OpenFolders(t, addr, nil, "anna", canary)
			}
		},
		// Its date of such a message is the time of each look.
		refuses: func(m mailtest.Message) bool { return m.HeaderDate.IsZero() },
		note: "until a program opens a folder for writing, as was done here, it gives new mail another UID " +
			"and the folder another UIDVALIDITY at each look, whoever looks",
	},
	{
		name: "GNU mailutils pop3d", fetch: mailtest.FetchMailutils,
		start: func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
			func([]mailtest.Message),
		) {
			s := mailtest.StartMailutils(t, program, "pop3d", "mbox", ca, users)
			addr := s.Addr("pop3")
			return &s.Server, func(msgs []mailtest.Message) {
				s.Deliver("anna", msgs)
				mailtest.ReadPOP3(t, addr, nil, "anna", canary)
			}
		},
		rewrites: true,
		note: "whoever reads first, here a plain reader, has it write X-UIDL, X-IMAPbase, X-UID and Status into the " +
			"messages, and RETR itself marks mail as read: the copy is what it served at the visit",
	},
	{name: "popa3d", fetch: mailtest.FetchPopa3d, start: func(t *testing.T, program string, _ *mailtest.CA,
		users map[string]string,
	) (*mailtest.Server, func([]mailtest.Message)) {
		s := mailtest.StartPopa3d(t, program, users)
		return &s.Server, func(msgs []mailtest.Message) { s.Deliver("anna", msgs) }
	}},
	{name: "mox", user: "anna@localhost", fetch: mailtest.FetchMox, start: func(t *testing.T, program string,
		ca *mailtest.CA, users map[string]string,
	) (*mailtest.Server, func([]mailtest.Message)) {
		return mailtest.StartMox(t, program, ca, users), nil
	}},
	{
		name: "maddy", user: "anna@localhost", fetch: mailtest.FetchMaddy,
		start: func(t *testing.T, program string, ca *mailtest.CA, users map[string]string) (*mailtest.Server,
			func([]mailtest.Message),
		) {
			return mailtest.StartMaddy(t, program, ca, users), nil
		},
		// It answers NO before it has read such a message, and takes the rest of it for commands.
		refuses: func(m mailtest.Message) bool { return m.Odd == "only dots" || m.Odd == "no header" },
	},
}

// waysOffered returns a way for each protocol and security that a server
// offers; one without a certificate offers no TLS.
func waysOffered(s *mailtest.Server, name string) []way {
	// By another name: two accounts at one host, port and user name are refused as one.
	byAddress := *s
	byAddress.Host = "127.0.0.1"
	return slices.DeleteFunc(append(waysTo(s, name, nil, nil),
		way{name + " IMAP plain", "imap", "imap", "none", s.IMAP, &byAddress, nil},
		way{name + " POP3 plain", "pop3", "pop3", "none", s.POP3, &byAddress, nil}),
		func(w way) bool { return w.port == 0 || s.CA == nil && w.security != "none" })
}

// cycle is what one server goes through.
type cycle struct {
	t       *testing.T
	server  *mailtest.Server
	user    string
	deliver func([]mailtest.Message) // Nil: over IMAP.
	refuses func(mailtest.Message) bool
	site    *site
	ways    []way
	rows    []verdict
	ids     []string
	gone    [][32]byte // What was deleted remotely: the local copies stay.
	ended   bool
	// Of a server that rewrites messages, each message's digest when it was first
	// read, by way, folder and identity.
	rewrites bool
	first    map[string][32]byte
}

func (c *cycle) run() {
	c.t.Helper()
	c.put(mailtest.Corpus(42, 60, true))
	u := c.site.serve().as(anna)
	before := c.snapshot()
	for i, w := range c.ways {
		f := remoteAccount(w.name, w.protocol, w.remote.Host, w.port, w.security, "anna")
		f["username"] = c.user
		c.awaitDoor()
		a := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", f)
		if !a.OK {
			c.wrong(i, "the connection test fails: %+v", *a.Diagnosis)
		}
		c.awaitDoor()
		id := u.add(f).ID
		// One after the other: some servers let one session into a mailbox at a time.
		u.reaches(id, "ok")
		c.ids = append(c.ids, id)
	}
	c.compare(u, "the first visit")
	files := tree(c.t, c.site.mail(anna))
	c.visit(u, "the second visit")
	if tree(c.t, c.site.mail(anna)) != files {
		c.wrongAll("a visit without news wrote to the mailbox")
	}
	c.unchanged("the first two visits", before)

	c.put(mailtest.Corpus(4711, 10, false))
	before = c.snapshot()
	c.visit(u, "ten new messages")
	c.unchanged("fetching ten new messages", before)

	c.deleteFirst()
	before = c.snapshot()
	c.visit(u, "one message deleted")
	c.unchanged("the visit after a deletion", before)
	u.p.term()
	c.ended = true
}

// door is the way by which the test itself reads and writes the mailbox.
func (c *cycle) door() (w way, addr string, config *tls.Config) {
	w = c.ways[0]
	if w.security == "tls" {
		config = c.server.CA.Client()
	}
	return w, c.server.Addr(w.service), config
}

// awaitDoor waits until the session that was last over POP3 has left the
// mailbox: it leaves a little later than its client.
func (c *cycle) awaitDoor() {
	c.t.Helper()
	if w, addr, config := c.door(); w.protocol == "pop3" {
		mailtest.AwaitPOP3(c.t, addr, config, c.user, canary)
	}
}

func (c *cycle) put(msgs []mailtest.Message) {
	c.t.Helper()
	if c.refuses != nil {
		msgs = slices.DeleteFunc(msgs, c.refuses)
	}
	if c.deliver != nil {
		c.deliver(msgs)
		return
	}
	_, addr, config := c.door()
	mailtest.Append(c.t, addr, config, c.user, canary, msgs)
}

func (c *cycle) snapshot() string {
	c.t.Helper()
	w, addr, config := c.door()
	if w.protocol == "pop3" {
		return mailtest.SnapshotPOP3(c.t, addr, config, c.user, canary)
	}
	return mailtest.Snapshot(c.t, addr, config, c.user, canary)
}

func (c *cycle) deleteFirst() {
	c.t.Helper()
	w, addr, config := c.door()
	remove := mailtest.DeleteFirst
	if w.protocol == "pop3" {
		remove = mailtest.DeleteFirstPOP3
	}
	c.gone = append(c.gone, remove(c.t, addr, config, c.user, canary))
}

func (c *cycle) visit(u *user, when string) {
	c.t.Helper()
	for _, id := range c.ids {
		c.awaitDoor()
		u.fetch(id)
	}
	c.compare(u, when)
}

// compare holds each account's mail against what the server itself gives to a
// plain reader, by digest.
func (c *cycle) compare(u *user, when string) {
	c.t.Helper()
	local := mailtest.ReadMaildir(c.t, c.site.mail(anna))
	for i, w := range c.ways {
		var config *tls.Config
		if w.security == "tls" {
			config = c.server.CA.Client()
		}
		read := mailtest.ReadIMAP
		if w.protocol == "pop3" {
			read = mailtest.ReadPOP3
		}
		want := c.wanted(i, read(c.t, c.server.Addr(w.service), config, c.user, canary))
		got := below(local, w.name)
		for _, m := range got {
			want[m.SHA]--
		}
		missing, more := 0, 0
		for _, n := range want {
			missing, more = missing+max(n, 0), more-min(n, 0)
		}
		if missing+more > 0 {
			c.wrong(i, "%s: %d messages missing, %d too many", when, missing, more)
		}
		if st := u.account(c.ids[i]).Status; st.State != "ok" || st.Diagnosis != nil {
			c.wrong(i, "%s: state %s, %+v", when, st.State, st.Diagnosis)
		}
		c.rows[i].messages = len(got)
	}
}

// wanted counts the digests of what a way is to have delivered by now, where
// the server serves these messages.
func (c *cycle) wanted(i int, served []mailtest.Delivered) map[[32]byte]int {
	want := map[[32]byte]int{}
	if c.rewrites {
		for _, m := range served {
			key := fmt.Sprintf("%d %s %s", i, m.Folder, m.ID)
			if _, ok := c.first[key]; !ok {
				c.first[key] = m.SHA
			}
		}
		for key, sha := range c.first {
			if strings.HasPrefix(key, fmt.Sprintf("%d ", i)) {
				want[sha]++
			}
		}
		return want
	}
	for _, m := range served {
		want[m.SHA]++
	}
	for _, sha := range c.gone {
		want[sha]++
	}
	return want
}

func (c *cycle) unchanged(when, before string) {
	c.t.Helper()
	if after := c.snapshot(); after != before {
		c.wrongAll("%s changed the remote mailbox", when)
		c.t.Log(difference(before, after))
	}
}

func (c *cycle) wrong(i int, format string, args ...any) {
	c.t.Helper()
	c.rows[i].found = append(c.rows[i].found, fmt.Sprintf(format, args...))
	c.t.Errorf("%s: "+format, append([]any{c.ways[i].name}, args...)...)
}

func (c *cycle) wrongAll(format string, args ...any) {
	c.t.Helper()
	for i := range c.ways {
		c.wrong(i, format, args...)
	}
}

// verdictTable is docs/servers.md.
func verdictTable(rows []verdict) string {
	var b strings.Builder
	b.WriteString(`# Real servers

Written by ` + "`make test-servers`" + `. Each row went through the same cycle: connection test, account added, first
visit, second visit (writes nothing), ten new messages, one deleted at the server (the local copy stays, no alarm).
After each visit the digests of all that was delivered equal what the server gives to a plain reader, and folders,
UIDs, flags and dates at the server are as they were.

| server | protocol | security | messages | verdict |
| --- | --- | --- | --- | --- |
`)
	slices.SortStableFunc(rows, func(a, b verdict) int { return cmp.Compare(a.protocol, b.protocol) })
	slices.SortStableFunc(rows, func(a, b verdict) int { return cmp.Compare(a.server, b.server) })
	for _, r := range rows {
		well := "well"
		if r.note != "" {
			well += "; " + r.note
		}
		found := cmp.Or(strings.Join(r.found, "; "), well)
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s |\n", r.server, cmp.Or(r.protocol, "-"), cmp.Or(r.security, "-"),
			r.messages, strings.NewReplacer("|", "\\|", "\n", " ").Replace(found))
	}
	return b.String()
}
