package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// A server that stalls keeps its own account waiting, and nobody else's: not
// those of the same user, not those at the same host.
func TestAStuckAccountDelaysNoOther(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	users := map[string]string{"anna": canary, "jan": canary}
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca})
	for name := range users {
		mailtest.Fill(t, d, name, mailtest.Corpus(71, 10, false))
	}
	stuck := mailtest.Play(t, "TLS\nS: * OK [CAPABILITY IMAP4rev1] ready\nSTALL\n", mailtest.ScriptOptions{
		CA:      ca,
		Lenient: true, Repeat: true,
	})
	s := newSite(t, ca, "POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s")
	p := s.serve()
	a, j := p.as(anna), p.as(jan)
	waiting := a.add(remoteAccount("Milczek", "imap", "localhost", stuck.Port(), "tls", "anna").with(
		fields{"skip_test": true}))
	select {
	case <-stuck.Stalled():
	case <-time.After(soon):
		t.Fatal("nobody came to the server that stalls")
	}
	// While it hangs, the others are visited, again and again, and new mail comes.
	same := a.add(remoteAccount("Obok", "imap", d.Host, d.IMAPS, "tls", "anna"))
	other := j.add(remoteAccount("Obok", "pop3", d.Host, d.POP3S, "tls", "jan"))
	a.reaches(same.ID, "ok")
	j.reaches(other.ID, "ok")
	for _, name := range []string{"anna", "jan"} {
		mailtest.Fill(t, d, name, mailtest.Corpus(72, 3, false))
	}
	for _, o := range []struct {
		u  *user
		id string
	}{{a, same.ID}, {j, other.ID}} {
		eventually(t, soon, func() (bool, string) {
			n := o.u.account(o.id).Status.Totals.Messages
			return n == 13, fmt.Sprintf("%d messages, not yet 13", n)
		})
	}
	if st := a.account(waiting.ID).Status; st.State != "fetching" || st.LastAttemptAt != nil {
		t.Errorf("the stuck account was let go of before this showed anything: %+v", st)
	}
	p.term()
}

func TestARefusedPasswordIsTriedThreeTimesAndThenWaitsForTheUser(t *testing.T) {
	t.Parallel()
	for protocol, dialogue := range map[string]string{
		"imap": "TLS\nS: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\nALSO TAG CAPABILITY => * CAPABILITY " +
			"IMAP4rev1 AUTH=PLAIN SASL-IR\\r\\nTAG OK done\\r\\n\nALSO TAG LOGOUT => * BYE\\r\\nTAG OK done\\r\\n\nC~ TAG " +
			"*\nS: TAG NO [AUTHENTICATIONFAILED] wrong\n",
		"pop3": "TLS\nS: +OK ready\nALSO CAPA => +OK\\r\\nUSER\\r\\nUIDL\\r\\n.\\r\\n\nALSO QUIT => +OK\\r\\n\nC~ USER " +
			"*\nS: +OK\nC~ PASS *\nS: -ERR [AUTH] wrong\n",
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			script := mailtest.Play(t, dialogue, mailtest.ScriptOptions{CA: ca, Lenient: true, Repeat: true})
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
				Users: map[string]string{"anna": canary, "jan": canary},
				CA:    ca,
			})
			s := newSite(t, ca, "POLL_INTERVAL=100ms", "POLL_MIN_INTERVAL=100ms")
			p := s.serve()
			u := p.as(anna)
			wrong := "kanarek-niedobry-haslo"
			s.secrets = append(s.secrets, wrong)
			refused := u.add(remoteAccount("Odmowa", protocol, "localhost", script.Port(), "tls", "anna").with(
				fields{"password": wrong, "skip_test": true}))
			a := u.reaches(refused.ID, "needs_attention")
			if script.Connections() != 3 || a.Status.ConsecutiveFailures != 3 {
				t.Errorf("%d connections and %d failures in a row, want 3 of each", script.Connections(),
					a.Status.ConsecutiveFailures)
			}
			if d := a.Status.Diagnosis; d == nil || d.Code != "auth_failed" || d.Retryable || d.Since == nil {
				t.Errorf("the diagnosis is %+v", d)
			}
			if a.Status.NextPollAt != nil {
				t.Errorf("the next visit is said to be at %v", a.Status.NextPollAt)
			}
			// Another account is visited many times meanwhile: this one is not.
			probe := p.as(jan)
			good := probe.add(remoteAccount("Dobre", "imap", d.Host, d.IMAPS, "tls", "jan"))
			seen := probe.reaches(good.ID, "ok").Status.LastAttemptAt
			for range 10 {
				eventually(t, soon, func() (bool, string) {
					at := probe.account(good.ID).Status.LastAttemptAt
					if at == nil || !at.After(*seen) {
						return false, "the good account is not visited again"
					}
					seen = at
					return true, ""
				})
			}
			if script.Connections() != 3 {
				t.Errorf("%d connections after a while, want 3", script.Connections())
			}
			// A restart does not forget.
			p.term()
			p = s.serve()
			u, probe = p.as(anna), p.as(jan)
			probe.fetch(good.ID)
			if script.Connections() != 3 {
				t.Errorf("%d connections after a restart, want 3", script.Connections())
			}
			// The user acts: it works.
			port := map[string]int{"imap": d.IMAPS, "pop3": d.POP3S}[protocol]
			must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+refused.ID, fields{
				"password": canary,
				"server":   fields{"port": port},
			})
			a = u.reaches(refused.ID, "ok")
			if a.Status.ConsecutiveFailures != 0 || a.Status.Diagnosis != nil {
				t.Errorf("after a better password the status is %+v", a.Status)
			}
			p.term()
		})
	}
}

func TestAFullMailboxFetchesNothingAndResumesByItself(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	oracle := mailtest.Fill(t, d, "anna", mailtest.Corpus(81, 20, false))
	s := newSite(t, ca, "POLL_INTERVAL=200ms", "POLL_MIN_INTERVAL=200ms")
	p := s.serve()
	u, admin := p.as(anna), p.admin()
	id := u.add(remoteAccount("Pelne", "imap", d.Host, d.IMAPS, "tls", "anna")).ID
	u.reaches(id, "ok")
	used := must[quotaAnswer](u, http.StatusOK, "GET", "/v1/quota", nil)

	// Exactly full: nothing more is fetched.
	set := must[quotaAnswer](admin, http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{
		"limit_bytes":    used.UsedBytes,
		"limit_messages": nil,
	})
	if set.LimitBytes == nil || *set.LimitBytes != used.UsedBytes || set.LimitMessages != nil {
		t.Errorf("setting a limit answers %+v", set)
	}
	more := mailtest.Fill(t, d, "anna", mailtest.Corpus(82, 5, false))
	a := u.reaches(id, "over_quota")
	if a.Status.Diagnosis == nil || a.Status.Diagnosis.Code != "local_over_quota" || a.Status.NextPollAt == nil {
		t.Errorf("the status is %+v, the diagnosis %+v", a.Status, a.Status.Diagnosis)
	}
	seen := a.Status.LastAttemptAt
	eventually(t, soon, func() (bool, string) { // It keeps trying, and fetches nothing.
		at := u.account(id).Status.LastAttemptAt
		return at.After(*seen), "the full mailbox is not looked at again"
	})
	local := mailtest.ReadMaildir(t, s.mail(anna))
	mailtest.CompareDelivered(t, oracle, local, "Pelne")
	if len(local) != len(oracle) {
		t.Errorf("%d messages in the full mailbox, want %d", len(local), len(oracle))
	}
	over := must[struct{ Quotas []struct{ User string } }](admin, http.StatusOK, "GET", "/v1/admin/quotas?state=over", nil)
	if len(over.Quotas) != 1 || over.Quotas[0].User != anna {
		t.Errorf("over their quota are %+v", over.Quotas)
	}

	// The limit is raised, and nobody does anything else.
	must[quotaAnswer](admin, http.StatusOK, "PUT", "/v1/admin/quotas/"+anna, fields{
		"limit_bytes":    1 << 30,
		"limit_messages": 1000,
	})
	all := append(oracle, more...)
	eventually(t, soon, func() (bool, string) {
		a = u.account(id)
		return a.Status.State == "ok" && a.Status.Totals.Messages == int64(len(all)), fmt.Sprintf(
			"the account is %s with %d messages", a.Status.State, a.Status.Totals.Messages)
	})
	p.term()
	mailtest.CompareDelivered(t, all, mailtest.ReadMaildir(t, s.mail(anna)), "Pelne")
	p = s.serve("--roles", "api")
	used = must[quotaAnswer](p.as(anna), http.StatusOK, "GET", "/v1/quota", nil)
	checkMaildirsize(t, s.mail(anna), used)
	if used.UsedMessages != int64(len(all)) {
		t.Errorf("the quota counts %d messages, want %d", used.UsedMessages, len(all))
	}

	// A limit of messages binds as well as one of octets.
	for _, bad := range []refusal{
		{"a negative limit", fields{"limit_bytes": -1, "limit_messages": nil}, 422, "validation_failed", "limit_bytes"},
		{"text for a limit", fields{"limit_bytes": "1G", "limit_messages": nil}, 400, "invalid_request", "limit_bytes"},
	} {
		t.Run(bad.name, func(t *testing.T) { bad.check(t, p.admin().do("PUT", "/v1/admin/quotas/"+anna, bad.body)) })
	}
}

// checkMaildirsize adds up the quota file as any Maildir++ reader does.
func checkMaildirsize(t *testing.T, mailbox string, want quotaAnswer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(mailbox, "maildirsize"))
	if err != nil {
		t.Errorf("reading maildirsize: %v", err)
		return
	}
	_, lines, _ := strings.Cut(string(text), "\n")
	var octets, messages int64
	for line := range strings.Lines(lines) {
		cols := strings.Fields(line)
		if len(cols) != 2 {
			t.Fatalf("maildirsize has the line %q", line)
		}
		b, err1 := strconv.ParseInt(cols[0], 10, 64)
		m, err2 := strconv.ParseInt(cols[1], 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("maildirsize has the line %q", line)
		}
		octets, messages = octets+b, messages+m
	}
	if octets != want.UsedBytes || messages != want.UsedMessages {
		t.Errorf("maildirsize adds up to %d octets in %d messages, the API says %d in %d", octets, messages, want.UsedBytes,
			want.UsedMessages)
	}
	local := mailtest.ReadMaildir(t, mailbox)
	if n := int64(len(local)); n != messages {
		t.Errorf("maildirsize counts %d messages, %d lie there", messages, n)
	}
}
