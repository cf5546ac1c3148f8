package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// way is one way to read the same remote mailbox.
type way struct {
	name, service string
	protocol      string
	security      string
	port          int
	remote        *mailtest.Server
	oracle        mailtest.Oracle
}

func (w way) fields() fields {
	return remoteAccount(w.name, w.protocol, w.remote.Host, w.port, w.security, "anna")
}

// snapshot describes the remote mailbox, as IMAP shows it, whatever way is read.
func (w way) snapshot(t *testing.T) string {
	return mailtest.Snapshot(t, w.remote.Addr("imaps"), w.remote.CA.Client(), "anna", canary)
}

// waysTo returns the ways to a server, each with what it must bring.
func waysTo(s *mailtest.Server, prefix string, byIMAP, byPOP3 mailtest.Oracle) []way {
	return []way{
		{prefix + " TLS", "imaps", "imap", "tls", s.IMAPS, s, byIMAP},
		{prefix + " STARTTLS", "imap", "imap", "starttls", s.IMAP, s, byIMAP},
		{prefix + " POP3S", "pop3s", "pop3", "tls", s.POP3S, s, byPOP3},
		{prefix + " STLS", "pop3", "pop3", "starttls", s.POP3, s, byPOP3},
	}
}

// fillCyrus puts a corpus into a Cyrus and returns what IMAP and POP3 must
// yield of what it took.
func fillCyrus(t *testing.T, c *mailtest.Cyrus, msgs []mailtest.Message) (byIMAP, byPOP3 mailtest.Oracle) {
	t.Helper()
	byIMAP = mailtest.Append(t, c.Addr("imaps"), c.CA.Client(), "anna", canary, msgs)
	left := map[[32]byte]int{}
	for _, e := range byIMAP {
		if e.Folder == "INBOX" {
			left[e.SHA]++
		}
	}
	var taken []mailtest.Message
	for _, m := range msgs {
		sha := mailtest.ByIMAP([]mailtest.Message{m})[0].SHA
		if m.Folder == "INBOX" && left[sha] > 0 {
			left[sha]--
			taken = append(taken, m)
		}
	}
	return byIMAP, mailtest.ByPOP3(taken)
}

func TestEveryWayBringsTheWholeMailboxAndChangesNothingRemotely(t *testing.T) {
	t.Parallel()
	users := map[string]string{"anna": canary}
	for _, server := range []struct {
		name  string
		start func(t *testing.T, ca *mailtest.CA, msgs []mailtest.Message) ([]way,
			func(msgs []mailtest.Message) []mailtest.Expected)
	}{
		{"Dovecot", func(t *testing.T, ca *mailtest.CA, msgs []mailtest.Message) ([]way,
			func([]mailtest.Message) []mailtest.Expected,
		) {
			// QUIT after RETR marks mail as seen here: RSET before it must prevent that.
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca, POP3SetsSeen: true})
			oracle := mailtest.Fill(t, d, "anna", msgs)
			return waysTo(&d.Server, "Dovecot", oracle, mailtest.ByPOP3(msgs)),
				func(more []mailtest.Message) []mailtest.Expected {
					return mailtest.Append(t, d.Addr("imaps"), ca.Client(), "anna", canary, more)
				}
		}},
		{"Cyrus", func(t *testing.T, ca *mailtest.CA, msgs []mailtest.Message) ([]way,
			func([]mailtest.Message) []mailtest.Expected,
		) {
			c := mailtest.StartCyrus(t, mailtest.CyrusOptions{Users: users, CA: ca})
			byIMAP, byPOP3 := fillCyrus(t, c, msgs)
			return waysTo(&c.Server, "Cyrus", byIMAP, byPOP3), func(more []mailtest.Message) []mailtest.Expected {
				return mailtest.Append(t, c.Addr("imaps"), ca.Client(), "anna", canary, more)
			}
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			ways, deliver := server.start(t, ca, mailtest.Corpus(42, 150, true))
			s := newSite(t, ca)
			p := s.serve()
			u := p.as(anna)
			before := ways[0].snapshot(t)

			ids := map[string]string{}
			for _, w := range ways {
				ids[w.name] = u.add(w.fields()).ID
			}
			for _, w := range ways {
				u.reaches(ids[w.name], "ok")
			}
			compareAll(t, s, ways)
			sameRemote(t, "the first fetch", before, ways[0].snapshot(t))
			for _, w := range ways {
				agrees(t, u, w, ids[w.name])
			}

			// The second visit.
			files := tree(t, s.mail(anna))
			for _, w := range ways {
				a := u.fetch(ids[w.name])
				if want := int64(len(w.oracle)); a.Status.Totals.Messages != want {
					t.Errorf("%s: %d messages after the second visit, want %d", w.name, a.Status.Totals.Messages, want)
				}
			}
			if now := tree(t, s.mail(anna)); now != files {
				t.Errorf("a visit without news wrote to the mailbox:\n%s", difference(files, now))
			}
			sameRemote(t, "the second fetch", before, ways[0].snapshot(t))

			servedByDovecot(t, s, ways)

			// New mail, in a new folder too.
			more := mailtest.Corpus(4711, 4, false)
			more[2].Folder, more[3].Folder = "Nowe", "Nowe"
			news := deliver(more)
			after := ways[0].snapshot(t)
			for i, w := range ways {
				w.oracle = append(slices.Clone(w.oracle), through(w, news, more)...)
				ways[i] = w
				u.fetch(ids[w.name])
			}
			compareAll(t, s, ways)
			sameRemote(t, "fetching new mail", after, ways[0].snapshot(t))
			if n := metric(t, p, "mailbrook_refused_commands_total"); n != "0" {
				t.Errorf("the guard refused %s commands", n)
			}
			p.term()
		})
	}
}

// through is what of new messages a way brings.
func through(w way, byIMAP mailtest.Oracle, msgs []mailtest.Message) mailtest.Oracle {
	if w.protocol == "imap" {
		return byIMAP
	}
	return mailtest.ByPOP3(msgs)
}

func compareAll(t *testing.T, s *site, ways []way) {
	t.Helper()
	local := mailtest.ReadMaildir(t, s.mail(anna))
	want := 0
	for _, w := range ways {
		mailtest.CompareDelivered(t, w.oracle, local, w.name)
		want += len(w.oracle)
	}
	if len(local) != want {
		t.Errorf("%d messages lie in the mailbox, want %d", len(local), want)
	}
}

func sameRemote(t *testing.T, when, before, after string) {
	t.Helper()
	if before != after {
		t.Errorf("%s changed the remote mailbox:\n%s", when, difference(before, after))
	}
}

// difference lists the lines that only one of two texts has.
func difference(a, b string) string {
	in := func(text string) map[string]int {
		m := map[string]int{}
		for l := range strings.Lines(text) {
			m[l]++
		}
		return m
	}
	var out strings.Builder
	only := func(mark, text string, other map[string]int) {
		for l := range strings.Lines(text) {
			if other[l]--; other[l] < 0 {
				out.WriteString(mark + l)
			}
		}
	}
	only("-", a, in(b))
	only("+", b, in(a))
	return tail(out.String(), 3000)
}

// agrees checks that all that the API says of a fetched account fits what
// was fetched.
func agrees(t *testing.T, u *user, w way, id string) {
	t.Helper()
	a := u.account(id)
	messages, perFolder := int64(len(w.oracle)), map[string]int64{}
	for _, e := range w.oracle {
		perFolder[e.Folder]++
	}
	st := a.Status
	if st.Totals.Messages != messages || st.LastSuccessAt == nil || st.LastAttemptAt == nil || st.NextPollAt == nil ||
		st.ConsecutiveFailures != 0 || st.Diagnosis != nil {
		t.Errorf("%s: the account's status is %+v, want %d messages and no trouble", w.name, st, messages)
	}
	if st.Totals.Folders < int64(len(perFolder)) {
		t.Errorf("%s: totals name %d folders, want at least %d", w.name, st.Totals.Folders, len(perFolder))
	}
	folders := must[foldersAnswer](u, http.StatusOK, "GET", "/v1/accounts/"+id+"/folders", nil).Folders
	seen := map[string]bool{}
	for _, f := range folders {
		local := w.name
		if f.RemoteName != "INBOX" {
			local += "/" + f.RemoteName
		}
		if f.Messages != perFolder[f.RemoteName] || f.Fetched != perFolder[f.RemoteName] || !f.Selected {
			t.Errorf("%s: folder %q has %d messages, fetched %d, selected %v; want %d, all fetched", w.name, f.RemoteName,
				f.Messages, f.Fetched, f.Selected, perFolder[f.RemoteName])
		}
		if perFolder[f.RemoteName] > 0 && f.LocalName != local {
			t.Errorf("%s: folder %q goes to %q, want %q", w.name, f.RemoteName, f.LocalName, local)
		}
		seen[f.RemoteName] = true
	}
	for name := range perFolder {
		if !seen[name] {
			t.Errorf("%s: folder %q is not listed", w.name, name)
		}
	}
	runs := must[runsAnswer](u, http.StatusOK, "GET", "/v1/accounts/"+id+"/runs", nil).Runs
	if len(runs) == 0 {
		t.Fatalf("%s: no run is listed", w.name)
	}
	var fetched int64
	for _, r := range runs {
		fetched += r.Messages
		if !r.OK || r.Diagnosis != nil || r.FinishedAt.Before(r.StartedAt) {
			t.Errorf("%s: a run is %+v", w.name, r)
		}
	}
	if fetched != messages {
		t.Errorf("%s: the runs brought %d messages, want %d", w.name, fetched, messages)
	}
	quota := must[quotaAnswer](u, http.StatusOK, "GET", "/v1/quota", nil)
	local := mailtest.ReadMaildir(t, u.p.mail(u.name))
	inFiles, _ := octets(local)
	if quota.UsedMessages != int64(len(local)) || quota.UsedBytes != inFiles || quota.LimitBytes != nil ||
		quota.LimitMessages != nil {
		t.Errorf("the quota is %+v; %d messages of %d octets lie in the mailbox", quota, len(local), inFiles)
	}
	share, _ := octets(below(local, w.name)) // In the measure of the whole.
	ok := false
	for _, q := range quota.Accounts {
		if q.AccountID == id {
			ok = q.Messages == messages && q.Bytes == share && q.Name == w.name
		}
	}
	if !ok {
		t.Errorf("the account's share of the quota is not %d messages of %d octets: %+v", messages, share, quota.Accounts)
	}
	identities := must[identitiesAnswer](u, http.StatusOK, "GET", "/v1/identities", nil).Identities
	ok = false
	for _, i := range identities {
		ok = ok || i.AccountID == id && i.Email == a.Email
	}
	if !ok {
		t.Errorf("the account is not among the identities %+v", identities)
	}
}

// servedByDovecot opens the local mailbox with the server that the webmail reads it by.
func servedByDovecot(t *testing.T, s *site, ways []way) {
	t.Helper()
	local := mailtest.ReadMaildir(t, s.mail(anna))
	d := mailtest.OpenOn(t, s.mail(anna), "anna")
	served := mailtest.ReadIMAP(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	if len(served) != len(local) {
		t.Errorf("Dovecot serves %d messages of the local mailbox, want %d", len(served), len(local))
	}
	subscribed := mailtest.SubscribedIMAP(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	for _, w := range ways {
		mailtest.CompareDelivered(t, w.oracle, served, w.name)
		for _, e := range w.oracle {
			folder := w.name
			if e.Folder != "INBOX" {
				folder += "/" + e.Folder
			}
			if !slices.Contains(subscribed, folder) {
				t.Fatalf("folder %q is not subscribed; these are: %q", folder, subscribed)
			}
		}
	}
}

// What the user does with fetched mail stays done; what an account leaves
// behind is found again.
func TestWhatTheUserDeletesOrMovesDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
			msgs := mailtest.Corpus(7, 24, false)
			mailtest.Fill(t, d, "anna", msgs)
			port := map[string]int{"imap": d.IMAPS, "pop3": d.POP3S}[protocol]
			s := newSite(t, ca)
			p := s.serve()
			u := p.as(anna)
			f := remoteAccount("Obce", protocol, d.Host, port, "tls", "anna")
			id := u.add(f).ID
			u.reaches(id, "ok")
			first := mailtest.ReadMaildir(t, s.mail(anna))
			if len(first) != len(msgs) {
				t.Fatalf("%d messages arrived, want %d", len(first), len(msgs))
			}
			for i, m := range first {
				switch i % 3 {
				case 0: // Deleted.
					removeFile(t, m.Path)
				case 1: // Moved to the user's own inbox.
					moveFile(t, m.Path, filepath.Join(s.mail(anna), "cur", strings.Split(filepath.Base(m.Path), ":2,")[0]+":2,S"))
				}
			}
			left := mailtest.ReadMaildir(t, s.mail(anna))
			u.fetch(id)
			if now := mailtest.ReadMaildir(t, s.mail(anna)); len(now) != len(left) {
				t.Errorf("%d messages after the next visit, want the %d that the user left", len(now), len(left))
			}

			// Away and back: what was fetched is remembered.
			if r := u.do("DELETE", "/v1/accounts/"+id+"?mail=keep", nil); r.status != http.StatusNoContent {
				t.Fatalf("deleting answers %d: %s", r.status, r.body)
			}
			if r := u.do("GET", "/v1/accounts/"+id, nil); r.status != http.StatusNotFound {
				t.Errorf("a deleted account answers %d", r.status)
			}
			if now := mailtest.ReadMaildir(t, s.mail(anna)); len(now) != len(left) {
				t.Errorf("%d messages after deleting the account with mail=keep, want %d", len(now), len(left))
			}
			id = u.add(f).ID
			u.reaches(id, "ok")
			if now := mailtest.ReadMaildir(t, s.mail(anna)); len(now) != len(left) {
				t.Errorf("%d messages after adding the account again, want %d", len(now), len(left))
			}

			// Away with its mail: the folder goes, the user's own inbox stays.
			if r := u.do("DELETE", "/v1/accounts/"+id+"?mail=delete", nil); r.status != http.StatusNoContent {
				t.Fatalf("deleting answers %d: %s", r.status, r.body)
			}
			now := mailtest.ReadMaildir(t, s.mail(anna))
			if len(below(now, "Obce")) != 0 || len(now) != len(msgs)/3 {
				t.Errorf("after mail=delete %d messages lie in the folder and %d in all, want 0 and %d", len(below(now, "Obce")),
					len(now), len(msgs)/3)
			}
			if _, err := os.Stat(filepath.Join(s.mail(anna), ".Obce")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder is still there: %v", err)
			}
			if slices.Contains(mailtest.Subscriptions(t, s.mail(anna)), "Obce") {
				t.Error("the folder is still subscribed")
			}

			// Nothing is remembered now: all comes once more.
			id = u.add(f).ID
			u.reaches(id, "ok")
			if n := len(below(mailtest.ReadMaildir(t, s.mail(anna)), "Obce")); n != len(msgs) {
				t.Errorf("%d messages after starting afresh, want %d", n, len(msgs))
			}
		})
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func moveFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A folder rule chooses; a namespace prefix and another separator do not show.
func TestFolderRulesAndNamespacesAreHeeded(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary}, CA: ca,
		Prefix: "INBOX/", Separator: "/",
	})
	oracle := mailtest.Fill(t, d, "anna", mailtest.Corpus(9, 60, true))
	s := newSite(t, ca)
	u := s.serve().as(anna)
	a := u.add(remoteAccount("Wybrane", "imap", d.Host, d.IMAPS, "tls", "anna").with(fields{
		"folder":  "Zewnętrzne/Wybrane",
		"folders": fields{"include": []string{"INBOX", "Archive", "Wysłane"}, "exclude": []string{"Archive/2023"}},
	}))
	u.reaches(a.ID, "ok")
	chosen := slices.DeleteFunc(slices.Clone(oracle), func(e mailtest.Expected) bool {
		return e.Folder != "INBOX" && e.Folder != "Archive" && !strings.HasPrefix(e.Folder, "Archive/2024") &&
			!strings.HasPrefix(e.Folder, "Wysłane")
	})
	local := mailtest.ReadMaildir(t, s.mail(anna))
	mailtest.CompareDelivered(t, chosen, local, "Zewnętrzne/Wybrane")
	for _, f := range must[foldersAnswer](u, http.StatusOK, "GET", "/v1/accounts/"+a.ID+"/folders", nil).Folders {
		want := slices.ContainsFunc(chosen, func(e mailtest.Expected) bool { return e.Folder == f.RemoteName })
		if known := slices.ContainsFunc(oracle, func(e mailtest.Expected) bool {
			return e.Folder == f.RemoteName
		}); known && f.Selected != want {
			t.Errorf("folder %q: selected is %v, want %v", f.RemoteName, f.Selected, want)
		}
	}

	// A wider choice brings the rest, and nothing twice.
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+a.ID, fields{"folders": fields{
		"include": []string{},
		"exclude": []string{},
	}})
	u.fetch(a.ID)
	mailtest.CompareDelivered(t, oracle, mailtest.ReadMaildir(t, s.mail(anna)), "Zewnętrzne/Wybrane")
}

// metric returns a value of the metrics page.
func metric(t *testing.T, p *process, name string) string {
	t.Helper()
	r := p.plain("GET", "/metrics")
	for line := range bytes.Lines(r.body) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strings.TrimSpace(string(rest))
		}
	}
	return fmt.Sprintf("(no %s at status %d)", name, r.status)
}
