package main

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// dated is a plain message received at a time, with a body of so many octets.
func dated(subject string, at time.Time, size int) mailtest.Message {
	body := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	head := fmt.Sprintf("Received: from a by b; %s\nDate: %[1]s\nFrom: a@b.example\nSubject: %s\nMessage-ID: "+
		"<%[2]s@b.example>\n\n", at.Format(time.RFC1123Z), subject)
	return mailtest.Message{Folder: "INBOX", Data: append([]byte(head), body...), Date: at.Truncate(time.Second)}
}

type (
	skippedAnswer struct {
		SID, Folder, Message, Code, Detail string
		Size                               int64
		Attempts                           int
		NextAt                             *time.Time `json:"next_at"`
	}
	skippedListAnswer struct {
		Skipped []skippedAnswer
	}
	limitsAnswer struct {
		Start           any
		MaxMessageBytes int64 `json:"max_message_bytes"`
	}
)

// has waits until the account has delivered so many messages.
func (u *user) has(id string, n int64) {
	u.p.t.Helper()
	eventually(u.p.t, 2*soon, func() (bool, string) {
		a := u.account(id)
		return a.Status.State == "ok" && a.Status.Totals.Messages == n, fmt.Sprintf("%d messages, not %d; account is %s",
			a.Status.Totals.Messages, n, a.Status.State)
	})
}

func TestWhatIsTooLargeOrTooOldComesWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	now := time.Now()
	var all []mailtest.Message
	for i := range 60 {
		all = append(all, dated(fmt.Sprint("old", i), now.AddDate(0, 0, -200), 500))
	}
	all = append(all, dated("month", now.AddDate(0, 0, -20), 500), dated("week", now.AddDate(0, 0, -7), 500),
		dated("large", now.AddDate(0, 0, -6), 3<<20))
	mailtest.Fill(t, d, "anna", all)
	for protocol, port := range map[string]int{"imap": d.IMAPS, "pop3": d.POP3S} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite(t, ca)
			p := s.serve()
			u := p.as(anna)
			a := u.add(remoteAccount("Stare", protocol, d.Host, port, "tls", "anna").with(
				fields{"start": "new", "max_message_bytes": 1 << 20}))
			path := "/v1/accounts/" + a.ID
			u.has(a.ID, 0)
			if l := must[skippedListAnswer](u, http.StatusOK, "GET", path+"/skipped", nil); len(l.Skipped) > 0 {
				t.Errorf("what is too old is listed as skipped: %+v", l)
			}
			if got := must[limitsAnswer](u, http.StatusOK, "PATCH", path,
				fields{"start": fields{"days": 30}}); got.MaxMessageBytes != 1<<20 || fmt.Sprint(got.Start) != "map[days:30]" {
				t.Errorf("after widening: %+v", got)
			}
			u.has(a.ID, 2)
			l := must[skippedListAnswer](u, http.StatusOK, "GET", path+"/skipped?limit=5", nil)
			if len(l.Skipped) != 1 || l.Skipped[0].Code != "message_failed" || l.Skipped[0].Size < 3<<20 ||
				l.Skipped[0].NextAt != nil || l.Skipped[0].Detail == "" {
				t.Fatalf("skipped: %+v", l)
			}
			retry := path + "/skipped/" + l.Skipped[0].SID + "/retry"
			if r := p.as(jan).do("POST", retry, nil); r.status != http.StatusNotFound {
				t.Errorf("somebody else's message: %d", r.status)
			}
			if m := must[skippedAnswer](u, http.StatusAccepted, "POST", retry, nil); m.NextAt == nil {
				t.Errorf("asked for: %+v", m)
			}
			u.has(a.ID, 3)
			if l := must[skippedListAnswer](u, http.StatusOK, "GET", path+"/skipped", nil); len(l.Skipped) > 0 {
				t.Errorf("fetched, and still listed: %+v", l)
			}
			if r := u.do("POST", retry, nil); r.status != http.StatusNotFound {
				t.Errorf("once it is fetched: %d", r.status)
			}
			s.ok("", "account", "edit", a.ID, "--start", "all", "--max-message-bytes", "2097152")
			u.has(a.ID, int64(len(all)))
			if got := must[limitsAnswer](u, http.StatusOK, "GET", path, nil); got.Start != "all" ||
				got.MaxMessageBytes != 2<<20 {
				t.Errorf("after the command line: %+v", got)
			}
			if r := s.run("", "account", "edit", a.ID, "--start", "yesterday"); r.status != exitUsage {
				t.Errorf("a start that is none: status %d, %s", r.status, r.err)
			}
			if got := len(mailtest.ReadMaildir(t, s.mail(anna))); got != len(all) {
				t.Errorf("%d messages lie in the mailbox, not %d", got, len(all))
			}
			p.term()
		})
	}
}
