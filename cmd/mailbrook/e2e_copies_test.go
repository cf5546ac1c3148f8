package main

import (
	"bytes"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// newCanary is the password at the targets of copies; canary is that at their sources.
const newCanary = "kanarek-u-nowego-7Tq-cicho"

// copyAnswer is a copy, as far as the tests look at it.
type copyAnswer struct {
	ID, State, Phase, Reason, Grade string
	Until                           *time.Time
	Diagnosis                       *diagnosisAnswer
	Progress                        struct {
		MessagesDone int64 `json:"messages_done"`
	}
	Totals struct {
		Folders, Messages, Skipped, Ambiguous, Missing, Altered int64
		KeywordsRefused                                         int64 `json:"keywords_refused"`
		MovedOrDeleted                                          int64 `json:"moved_or_deleted"`
		VerifiedByDigest                                        int64 `json:"verified_by_digest"`
	}
}

func (c copyAnswer) ended() bool {
	return strings.HasPrefix(c.State, "completed") || c.State == "failed" || c.State == "cancelled"
}

func (c copyAnswer) String() string {
	return fmt.Sprintf("%s %s%s %s, %+v, %+v", c.State, c.Phase, c.Reason, c.Grade, c.Totals, c.Diagnosis)
}

// side is a mailbox at a test's server, as a copy's source or target.
func side(port int, user, password string) fields {
	return fields{
		"email": user + "@poczta.example.test", "protocol": "imap", "username": user, "password": password,
		"server": fields{"host": "localhost", "port": port, "security": "tls"},
	}
}

func (u *user) copyOf(id string) copyAnswer {
	u.p.t.Helper()
	return must[copyAnswer](u, http.StatusOK, "GET", "/v1/copies/"+id, nil)
}

// ends waits for the end of a copy's pass. What waits for a better time is asked to continue.
func (u *user) ends(id string) (c copyAnswer) {
	u.p.t.Helper()
	eventually(u.p.t, 3*soon, func() (bool, string) {
		if c = u.copyOf(id); c.State == "waiting" {
			u.do("POST", "/v1/copies/"+id+"/resume", nil)
		}
		return c.ended() || c.State == "needs_attention", "the copy is " + c.String()
	})
	return c
}

// pass has a copy do something further, and waits for its end.
func (u *user) pass(id, act string) copyAnswer {
	u.p.t.Helper()
	must[copyAnswer](u, http.StatusAccepted, "POST", "/v1/copies/"+id+"/"+act, nil)
	return u.ends(id)
}

// moved is a mailbox that is copied, to a mailbox at another server or to its owner's own Maildir.
type moved struct {
	*site
	ca       *mailtest.CA
	from, to *mailtest.Dovecot // to is nil: the owner's own Maildir.
	msgs     []mailtest.Message
	want     mailtest.Oracle
	quota    []string // What to was made with; changed by raise.
	fromPort int      // Where the program reaches from and to.
	toPort   int
	atFrom   *mailtest.Proxy
	atTo     *mailtest.Proxy
}

// newMoved fills a mailbox with so many messages. Where they go to a Dovecot there is none that ends in a lone CR,
// which a Dovecot drops from what is appended to it.
func newMoved(t *testing.T, n int, local bool, quota string, further ...string) *moved {
	t.Helper()
	m := &moved{ca: mailtest.NewCA(t)}
	m.from = mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary}, CA: m.ca,
	})
	m.msgs = mailtest.Corpus(42, n, true)
	m.fromPort = m.from.IMAPS
	if !local {
		m.quota = []string{quota}
		m.to = mailtest.StartDovecot(t, mailtest.DovecotOptions{
			Users: map[string]string{"nowa": newCanary}, CA: m.ca, Separator: "/", Extra: m.quota,
		})
		m.toPort = m.to.IMAPS
		m.msgs = slices.DeleteFunc(m.msgs, func(m mailtest.Message) bool { return bytes.HasSuffix(m.Data, []byte("\r")) })
	}
	m.want = mailtest.Fill(t, m.from, "anna", m.msgs)
	m.site = newSite(t, m.ca, append([]string{"COPIES_ANY_TARGET=true"}, further...)...)
	m.secrets = append(m.secrets, newCanary)
	return m
}

// proxied puts proxies between the program and both servers.
func (m *moved) proxied() {
	m.atFrom = mailtest.StartProxy(m.t, m.from.Addr("imaps"))
	m.atTo = mailtest.StartProxy(m.t, m.to.Addr("imaps"))
	m.fromPort, m.toPort = m.atFrom.Port(), m.atTo.Port()
}

// draft is what is asked for.
func (m *moved) draft() fields {
	target := fields{"protocol": "local"}
	if m.to != nil {
		target = side(m.toPort, "nowa", newCanary)
	}
	return fields{"source": side(m.fromPort, "anna", canary), "target": target, "options": fields{"verify": "full"}}
}

// begin asks for the copy.
func (m *moved) begin(u *user) string {
	m.t.Helper()
	return must[copyAnswer](u, http.StatusCreated, "POST", "/v1/copies", m.draft()).ID
}

// comes puts further messages into the source.
func (m *moved) comes(msgs []mailtest.Message) {
	m.t.Helper()
	msgs = slices.DeleteFunc(msgs, func(m mailtest.Message) bool { return bytes.HasSuffix(m.Data, []byte("\r")) })
	m.want = append(m.want, mailtest.Append(m.t, m.from.Addr("imaps"), m.ca.Client(), "anna", canary, msgs)...)
}

// third is how a third program reaches the target.
func (m *moved) third() (d *mailtest.Dovecot, ca *tls.Config, user, password string) {
	m.t.Helper()
	if m.to != nil {
		return m.to, m.ca.Client(), "nowa", newCanary
	}
	d = mailtest.OpenOn(m.t, m.mail(anna), anna)
	return d, d.CA.Client(), anna, "sekret"
}

// there is what a third program reads at the target, without the reports of the copies themselves, of which there has
// to be one for each pass that has ended.
func (m *moved) there(passes int) []mailtest.Delivered {
	m.t.Helper()
	d, ca, name, password := m.third()
	reports := map[string]bool{}
	for line := range strings.Lines(d.Adm("search", "-u", name, "mailbox", "INBOX", "header", "auto-submitted",
		"auto-generated")) {
		_, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
		reports[uid] = true
	}
	if len(reports) != passes {
		m.t.Errorf("after %d passes there are %d reports", passes, len(reports))
	}
	all := mailtest.ReadIMAP(m.t, d.Addr("imaps"), ca, name, password)
	return slices.DeleteFunc(all, func(d mailtest.Delivered) bool { return d.Folder == "INBOX" && reports[d.ID] })
}

func (m *moved) source() string {
	m.t.Helper()
	return mailtest.Snapshot(m.t, m.from.Addr("imaps"), m.ca.Client(), "anna", canary)
}

// A whole mailbox arrives as it is: octets, internal dates, flags, keywords, order and subscriptions, at another server
// and in the owner's own Maildir. The source stays as it was; a further pass brings what came since and nothing else.
func TestAWholeMailboxIsCopied(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"to a server": false, "to the owner's Maildir": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoved(t, 150, local, "")
			m.from.Adm("flags", "add", "-u", "anna", "$Forwarded Projekt", "mailbox", "INBOX", "1:5")
			before := m.source()
			id := m.plannedAndBegun(before)
			p := m.serve()
			u := p.as(anna)
			c := u.ends(id)
			if c.State != "completed" || c.Grade != "perfect" || c.Totals.Messages != int64(len(m.want)) ||
				c.Totals.VerifiedByDigest != c.Totals.Messages {
				t.Errorf("the copy of %d is %s", len(m.want), c)
			}
			sameRemote(t, "the copy", before, m.source())
			m.isAsAtTheSource()
			report := must[struct {
				Grade    string
				Messages map[string]int64
			}](u, http.StatusOK, "GET", "/v1/copies/"+id+"/report", nil)
			if report.Grade != "perfect" || report.Messages["copied"] != int64(len(m.want)) {
				t.Errorf("the report says %+v", report)
			}

			// What the owner does with copied mail stays done.
			kept := m.ownerWorks()
			more := mailtest.Corpus(4711, 4, false)
			more[2].Folder, more[3].Folder = "Nowe", "Nowe"
			news := mailtest.Append(t, m.from.Addr("imaps"), m.ca.Client(), "anna", canary, more)
			if c = u.pass(id, "sync"); c.State != "completed" || c.Totals.MovedOrDeleted != 3 || c.Totals.Missing != 0 {
				t.Errorf("after a further pass the copy is %s", c)
			}
			for _, d := range kept {
				news = append(news, mailtest.Expected{Folder: d.Folder, SHA: d.SHA, Size: d.Size, Flags: d.Flags, Date: d.Time})
			}
			mailtest.CompareDelivered(t, news, m.there(2), "")
			p.term()
		})
	}
}

// plannedAndBegun plans the copy, begins it while nobody copies, and is refused it a second time.
func (m *moved) plannedAndBegun(before string) (id string) {
	m.t.Helper()
	p := m.serve("--roles", "api")
	u := p.as(anna)
	empty := ""
	if m.to != nil {
		empty = m.to.Adm("mailbox", "list", "-u", "nowa")
	}
	plan := must[struct {
		Messages int64
		Writable bool
		Folders  []struct{ Source, Target string }
	}](u, http.StatusOK, "POST", "/v1/copies/plan", m.draft())
	if plan.Messages != int64(len(m.want)) || !plan.Writable || len(plan.Folders) < len(mailtest.Tree()) {
		m.t.Errorf("of %d messages the plan says %+v", len(m.want), plan)
	}
	if m.to != nil {
		if now := m.to.Adm("mailbox", "list", "-u", "nowa"); now != empty {
			m.t.Errorf("planning made folders: %s", now)
		}
	}
	id = m.begin(u)
	for range 2 {
		second := must[struct {
			Code string
			Copy struct{ ID, State string }
		}](u, http.StatusConflict, "POST", "/v1/copies", m.draft())
		if second.Code != "copy_exists" || second.Copy.ID != id || second.Copy.State != "queued" {
			m.t.Errorf("a second copy is answered %+v", second)
		}
	}
	other := p.as(jan)
	for _, r := range []answer{
		other.do("GET", "/v1/copies/"+id, nil), other.do("GET", "/v1/copies/"+id+"/report", nil),
		other.do("GET", "/v1/copies/"+id+"/messages?state=skipped", nil), other.do("DELETE", "/v1/copies/"+id, nil),
		other.do("POST", "/v1/copies/"+id+"/cancel", nil), other.do("POST", "/v1/copies/"+id+"/sync", nil),
	} {
		if r.status != http.StatusNotFound {
			m.t.Errorf("another user is answered %d: %s", r.status, r.body)
		}
	}
	if c := u.copyOf(id); c.State != "queued" {
		m.t.Errorf("the copy is %s", c)
	}
	sameRemote(m.t, "planning", before, m.source())
	p.term()
	return id
}

// isAsAtTheSource compares both ends as a third program sees them.
func (m *moved) isAsAtTheSource() {
	m.t.Helper()
	there := m.there(1)
	d, ca, name, password := m.third()
	mailtest.CompareDelivered(m.t, m.want, there, "")
	last := map[string]time.Time{}
	for _, d := range there { // In the order of UIDs.
		if d.Time.Before(last[d.Folder]) {
			m.t.Errorf("%s: UID %s is of %s, and the one before it of %s", d.Folder, d.ID, d.Time, last[d.Folder])
		}
		last[d.Folder] = d.Time
	}
	was := mailtest.SubscribedIMAP(m.t, m.from.Addr("imaps"), m.ca.Client(), "anna", canary)
	is := mailtest.SubscribedIMAP(m.t, d.Addr("imaps"), ca, name, password)
	for _, f := range was { // The inbox is shown by all programs, subscribed or not; nobody made it.
		if f != "INBOX" && !slices.Contains(is, f) {
			m.t.Errorf("folder %q is subscribed at the source alone; at the target are: %q", f, is)
		}
	}
	if m.to == nil {
		return // A Maildir has no keywords that all programs agree on.
	}
	flags := m.to.Adm("fetch", "-u", "nowa", "flags", "mailbox", "INBOX")
	for _, k := range []string{"$Forwarded", "Projekt"} {
		if strings.Count(flags, k) != 5 {
			m.t.Errorf("of five messages with %s arrived:\n%s", k, flags)
		}
	}
}

// ownerWorks moves one message, deletes two, and returns what is there then.
func (m *moved) ownerWorks() []mailtest.Delivered {
	m.t.Helper()
	if m.to != nil {
		m.to.Adm("mailbox", "create", "-u", "nowa", "Moje")
		m.to.Adm("move", "-u", "nowa", "Moje", "mailbox", "INBOX", "1")
		m.to.Adm("expunge", "-u", "nowa", "mailbox", "INBOX", "2:3")
		m.to.Adm("flags", "replace", "-u", "nowa", `\Flagged \Seen`, "mailbox", "INBOX", "3:6")
		return m.there(1)
	}
	mine := filepath.Join(m.mail(anna), ".Moje")
	err := errors.Join(os.MkdirAll(filepath.Join(mine, "cur"), 0o700), os.Mkdir(filepath.Join(mine, "new"), 0o700),
		os.Mkdir(filepath.Join(mine, "tmp"), 0o700))
	n := 0
	for _, d := range mailtest.ReadMaildir(m.t, m.mail(anna)) {
		text, rerr := os.ReadFile(d.Path)
		if err = errors.Join(err, rerr); d.Folder != "INBOX" || n == 3 ||
			bytes.Contains(text, []byte("\nAuto-Submitted: ")) {
			continue
		}
		if n++; n < 3 {
			err = errors.Join(err, os.Remove(d.Path))
		} else {
			err = errors.Join(err, os.Rename(d.Path, filepath.Join(mine, "cur", filepath.Base(d.Path))))
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return m.there(1)
}

// TestCopiesAreKilled again and again while they run, and cut off from both servers, with further passes in between, on
// both databases: each message is there exactly once. The controls are a copy whose journal is lost, which brings
// everything a second time, and a message that is gone: the oracle finds both.
func TestCopiesAreKilled(t *testing.T) {
	t.Parallel()
	faults := mailtest.Few(t, 14, 4)
	if mailtest.Long() {
		faults = 160 // On each database.
	}
	for name, postgres := range map[string]bool{"SQLite": false, "PostgreSQL": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var further []string
			dsn := ""
			if postgres {
				dsn = mailtest.StartPostgres(t)
				further = append(further, "DATABASE="+dsn)
			}
			m := newMoved(t, 120, false, "", further...)
			m.proxied()
			if postgres {
				m.ok("", "migrate", "up")
			}
			k := &killer{moved: m, rnd: rand.New(rand.NewPCG(1, uint64(faults))), u: m.serve().as(anna), db: m.beside(dsn)}
			k.id = m.begin(k.u)
			k.comesTo(100_000)       // Both logins were accepted: those that are cut off from here on are no guesses.
			most := max(5, faults/8) // In one pass.
			k.during(most)
			passes := 2
			for round := uint64(0); k.done() < faults; round++ {
				passes++
				m.comes(mailtest.Corpus(1000+round, 40, true))
				must[copyAnswer](k.u, http.StatusAccepted, "POST", "/v1/copies/"+k.id+"/sync", nil)
				k.during(min(faults, k.done()+most))
			}
			c := k.u.pass(k.id, "sync")
			if c.State != "completed" || c.Grade != "perfect" || c.Totals.Messages != int64(len(m.want)) {
				t.Errorf("in the end the copy of %d is %s", len(m.want), c)
			}
			mailtest.CompareDelivered(t, m.want, m.there(passes), "")
			t.Logf("%d messages, %d kills, %d cuts at the source, %d at the target; sent again: %d", len(m.want), k.kills,
				k.cutsFrom, k.cutsTo, c.Totals.Ambiguous)
			if k.kills == 0 || k.cutsFrom == 0 || k.cutsTo == 0 {
				t.Error("a kind of fault was not made")
			}
			k.u.p.term()
		})
	}
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		m := newMoved(t, 20, false, "")
		u := m.serve().as(anna)
		for times := 1; times <= 2; times++ {
			id := m.begin(u)
			if c := u.ends(id); c.State != "completed" {
				t.Fatalf("the copy is %s", c)
			}
			if r := u.do("DELETE", "/v1/copies/"+id, nil); r.status != http.StatusNoContent {
				t.Fatalf("forgetting it is answered %d: %s", r.status, r.body)
			}
			n := len(mailtest.Differences(m.want, m.there(times), ""))
			if times == 1 && n > 0 || times == 2 && n < len(m.want)/2 {
				t.Errorf("copied %d times, the oracle finds %d differences", times, n)
			}
			if times == 1 {
				there := m.there(times)
				if n := len(mailtest.Differences(m.want, there[1:], "")); n != 1 {
					t.Errorf("of one lost message the oracle finds %d differences", n)
				}
			}
		}
		u.p.term()
	})
}

// killer does harm to a copy.
type killer struct {
	*moved
	rnd                     *rand.Rand
	u                       *user
	db                      *sql.DB
	id                      string
	kills, cutsFrom, cutsTo int
}

func (k *killer) done() int { return k.kills + k.cutsFrom + k.cutsTo }

// through is how much went through both proxies.
func (k *killer) through() int64 {
	a, b := k.atFrom.Traffic(), k.atTo.Traffic()
	return a.Up + a.Down + b.Up + b.Down
}

// during harms the copy until its pass has ended, or enough was done.
func (k *killer) during(enough int) {
	k.t.Helper()
	// A login that is cut off counts as failed for a quarter of an hour, and the eleventh is held back: that time is over.
	k.exec(k.db, "DELETE FROM failed_logins")
	for k.done() < enough && k.comesTo(k.through()+int64(1)<<k.rnd.IntN(19)) {
		switch k.done() % 4 {
		case 0, 2:
			k.kills++
			k.u.p.kill()
			// On PostgreSQL others wait until the lease of a process that is gone has run out: that minute is over.
			k.exec(k.db, "UPDATE poll_schedule SET lease_until_ms = 1, due_at_ms = 1 WHERE lease_owner <> ''")
			p := k.serve()
			u := *k.u
			u.p = p
			k.u = &u
		case 1:
			k.cutsFrom++
			k.atFrom.CutAll()
		default:
			k.cutsTo++
			k.atTo.CutAll()
		}
		k.exec(k.db, "DELETE FROM failed_logins")
	}
	if c := k.u.ends(k.id); c.State != "completed" {
		k.t.Fatalf("after %d faults the copy is %s", k.done(), c)
	}
}

// comesTo waits until so much went through the proxies; false: the pass has ended before.
func (k *killer) comesTo(mark int64) bool {
	k.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(2 * soon)
	defer late.Stop()
	for n := 0; k.through() < mark; n++ {
		if n%50 == 0 {
			c := k.u.copyOf(k.id)
			switch {
			case c.ended():
				return false
			case c.State == "waiting":
				k.u.do("POST", "/v1/copies/"+k.id+"/resume", nil)
			case c.State == "needs_attention":
				k.t.Fatalf("the copy is %s", c)
			}
		}
		select {
		case <-tick.C:
		case <-late.C:
			k.t.Fatalf("waited for nothing: the copy is %s", k.u.copyOf(k.id))
		}
	}
	return true
}

// A target that is full at 60 % is waited for: nothing is lost by it, and nothing comes twice, whether the copy
// continues because its owner says so, or by itself.
func TestAFullTargetIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]bool{"asked": true, "by itself": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var size int64
			for _, m := range mailtest.Corpus(42, 100, true) {
				size += int64(len(m.Wire()))
			}
			m := newMoved(t, 100, false, quotaOf(fmt.Sprintf("%dB", size*6/10)))
			p := m.serve()
			u := p.as(anna)
			id := m.begin(u)
			var c copyAnswer
			eventually(t, 2*soon, func() (bool, string) {
				c = u.copyOf(id)
				return c.Reason == "target_full" || c.ended(), "the copy is " + c.String()
			})
			if c.State != "waiting" || c.Until == nil || time.Until(*c.Until) < 30*time.Minute {
				t.Errorf("the copy is %s, until %v", c, c.Until)
			}
			part := m.there(0)
			if n := len(part); n == 0 || n >= len(m.want) {
				t.Errorf("%d messages are there of %d", n, len(m.want))
			}
			if asked { // It is full still: nothing changes.
				last := *c.Until
				must[copyAnswer](u, http.StatusAccepted, "POST", "/v1/copies/"+id+"/resume", nil)
				eventually(t, 2*soon, func() (bool, string) {
					c = u.copyOf(id)
					return c.Reason == "target_full" && c.Until != nil && !c.Until.Equal(last), "the copy is " + c.String()
				})
			}
			m.quota[0] = quotaOf("1G")
			m.to.Stop()
			m.to.Start()
			if asked {
				must[copyAnswer](u, http.StatusAccepted, "POST", "/v1/copies/"+id+"/resume", nil)
			} else { // An hour later.
				m.exec(m.beside(""), "UPDATE poll_schedule SET due_at_ms = 1")
			}
			eventually(t, 2*soon, func() (bool, string) {
				c = u.copyOf(id)
				return c.ended(), "the copy is " + c.String()
			})
			if c.State != "completed" || c.Grade != "perfect" || c.Totals.Skipped != 0 {
				t.Errorf("in the end the copy is %s", c)
			}
			mailtest.CompareDelivered(t, m.want, m.there(1), "")
			p.term()
		})
	}
}
