package main

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// servers D1, D11: a server that says for how long not to contact it is not contacted.
// The control is the same refusal without a time.
func TestAServerIsNotContactedForAsLongAsItSays(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	imap := func(no string) string {
		return "TLS\nS: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\nC~ TAG *\nS: TAG " + no + "\n"
	}
	pop3 := func(no string) string {
		return "TLS\nS: +OK ready\nC: CAPA\nS: -ERR\nC~ USER *\nS: +OK\nC~ PASS *\nS: -ERR " + no + "\n"
	}
	s := newSite(t, ca, "POLL_INTERVAL=5m", "POLL_MIN_INTERVAL=100ms")
	p := s.serve()
	u := p.as(anna)
	for _, tc := range []struct {
		label, protocol, dialogue, code string
		least, most                     time.Duration
	}{
		{
			"Backoff", "imap", imap("BAD Request is throttled. Suggested Backoff Time: 7200000 milliseconds"),
			"rate_limited", 2 * time.Hour, 140 * time.Minute,
		},
		{"Delay", "pop3", pop3("[LOGIN-DELAY 7200] too soon"), "rate_limited", 2 * time.Hour, 140 * time.Minute},
		{"Locked", "pop3", pop3("[IN-USE] locked, try again in 2 hours"), "mailbox_in_use", 2 * time.Hour, 140 * time.Minute},
		{"Control", "imap", imap("BAD Request is throttled."), "rate_limited", 5 * time.Minute, 12 * time.Minute},
	} {
		script := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{CA: ca, Lenient: true, Repeat: true})
		account := remoteAccount(tc.label, tc.protocol, "localhost", script.Port(), "tls", "anna")
		began := time.Now()
		a := u.reaches(u.add(account.with(fields{"skip_test": true})).ID, "retrying")
		next := a.Status.NextPollAt
		if d := a.Status.Diagnosis; d == nil || d.Code != tc.code || next == nil {
			t.Errorf("%s: the diagnosis is %+v, the next visit at %v", tc.label, d, next)
		} else if next.Before(began.Add(tc.least)) || next.After(time.Now().Add(tc.most)) {
			t.Errorf("%s: the next visit comes after %v", tc.label, next.Sub(began))
		}
	}
	p.term()
}
