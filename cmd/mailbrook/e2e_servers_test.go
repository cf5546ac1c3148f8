package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// verdict is a row of docs/servers.md.
type verdict struct {
	server, protocol, security string
	messages                   int
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
	users := map[string]string{"anna": canary}
	var rows []verdict
	for _, server := range []struct {
		name  string
		start func(t *testing.T, ca *mailtest.CA) *mailtest.Server
	}{
		{"Dovecot", func(t *testing.T, ca *mailtest.CA) *mailtest.Server {
			return &mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca}).Server
		}},
		{"Cyrus", func(t *testing.T, ca *mailtest.CA) *mailtest.Server {
			return &mailtest.StartCyrus(t, mailtest.CyrusOptions{Users: users, CA: ca}).Server
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			ca := mailtest.NewCA(t)
			remote := server.start(t, ca)
			c := &cycle{t: t, server: remote, site: newSite(t, ca, "REMOTE_ALLOW_PLAINTEXT=true", "ACCOUNTS_MAX_PER_USER=10")}
			// By another name: two accounts at one host, port and user name are refused as one.
			byAddress := *remote
			byAddress.Host = "127.0.0.1"
			c.ways = append(waysTo(remote, server.name, nil, nil),
				way{server.name + " IMAP plain", "imap", "imap", "none", remote.IMAP, &byAddress, nil},
				way{server.name + " POP3 plain", "pop3", "pop3", "none", remote.POP3, &byAddress, nil})
			for _, w := range c.ways {
				c.rows = append(c.rows, verdict{server: server.name, protocol: w.protocol, security: w.security})
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

// cycle is what one server goes through.
type cycle struct {
	t      *testing.T
	server *mailtest.Server
	site   *site
	ways   []way
	rows   []verdict
	ids    []string
	gone   [][32]byte // What was deleted remotely: the local copies stay.
	ended  bool
}

func (c *cycle) run() {
	c.t.Helper()
	addr, config := c.server.Addr("imaps"), c.server.CA.Client()
	mailtest.Append(c.t, addr, config, "anna", canary, mailtest.Corpus(42, 60, true))
	u := c.site.serve().as(anna)
	before := c.ways[0].snapshot(c.t)
	for i, w := range c.ways {
		a := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", w.fields())
		if !a.OK {
			c.wrong(i, "the connection test fails: %+v", a.Diagnosis)
		}
		c.ids = append(c.ids, u.add(w.fields()).ID)
	}
	for _, id := range c.ids {
		u.reaches(id, "ok")
	}
	c.compare(u, "the first visit")
	files := tree(c.t, c.site.mail(anna))
	c.visit(u, "the second visit")
	if tree(c.t, c.site.mail(anna)) != files {
		c.wrongAll("a visit without news wrote to the mailbox")
	}
	c.unchanged("the first two visits", before)

	mailtest.Append(c.t, addr, config, "anna", canary, mailtest.Corpus(4711, 10, false))
	before = c.ways[0].snapshot(c.t)
	c.visit(u, "ten new messages")
	c.unchanged("fetching ten new messages", before)

	c.gone = append(c.gone, mailtest.DeleteFirst(c.t, addr, config, "anna", canary))
	before = c.ways[0].snapshot(c.t)
	c.visit(u, "one message deleted")
	c.unchanged("the visit after a deletion", before)
	u.p.term()
	c.ended = true
}

func (c *cycle) visit(u *user, when string) {
	c.t.Helper()
	for _, id := range c.ids {
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
		config := c.server.CA.Client()
		if w.security != "tls" {
			config = nil
		}
		read := mailtest.ReadIMAP
		if w.protocol == "pop3" {
			read = mailtest.ReadPOP3
		}
		want := map[[32]byte]int{}
		for _, m := range read(c.t, c.server.Addr(w.service), config, "anna", canary) {
			want[m.SHA]++
		}
		for _, sha := range c.gone {
			want[sha]++
		}
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

func (c *cycle) unchanged(when, before string) {
	c.t.Helper()
	if after := c.ways[0].snapshot(c.t); after != before {
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
		found := cmp.Or(strings.Join(r.found, "; "), "well")
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s |\n", r.server, r.protocol, r.security, r.messages,
			strings.NewReplacer("|", "\\|", "\n", " ").Replace(found))
	}
	b.WriteString("\nCourier, mox, maddy, GNU mailutils and popa3d are not in the suite yet.\n")
	return b.String()
}
