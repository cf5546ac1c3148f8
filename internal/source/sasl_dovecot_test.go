package source

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// noPenalty has Dovecot refuse logins without a pause that grows.
var noPenalty = []string{"service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}"}

// servers are the ways to one Dovecot.
func servers(d *mailtest.Dovecot) (all []remote.Mailbox) {
	for _, s := range []struct {
		protocol remote.Protocol
		port     int
		security remote.Security
	}{
		{remote.IMAP, d.IMAPS, remote.TLS},
		{remote.IMAP, d.IMAP, remote.STARTTLS},
		{remote.IMAP, d.IMAP, remote.None},
		{remote.POP3, d.POP3S, remote.TLS},
		{remote.POP3, d.POP3, remote.STARTTLS},
		{remote.POP3, d.POP3, remote.None},
	} {
		server := remote.Server{Host: "localhost", Port: s.port, Security: s.security}
		all = append(all, remote.Mailbox{Protocol: s.protocol, Server: server})
	}
	return all
}

// eachWay runs a test on every way to a Dovecot, beside each other: it answers a wrong
// password when half a second is over.
func eachWay(t *testing.T, d *mailtest.Dovecot, test func(t *testing.T, a remote.Mailbox)) {
	t.Helper()
	for _, a := range servers(d) {
		t.Run(fmt.Sprintf("%s by %s", a.Protocol, a.Server.Security), func(t *testing.T) {
			t.Parallel()
			test(t, a)
		})
	}
}

// attempts signs in twice, the second time with what the first remembered, and lists
// the folders; it returns what the client sent, and what was remembered.
func attempts(t *testing.T, d *mailtest.Dovecot, a remote.Mailbox,
	cred remote.Credential,
) (sent []string, remembered string, err error) {
	t.Helper()
	var said transcript
	c := loopback(d.CA, func(o *Options) { o.Transcript = said.add })
	for range 2 {
		var session *Session
		if session, err = c.Open(t.Context(), a, cred); err != nil {
			break
		}
		var folders []mail.Folder
		if folders, err = session.Folders(t.Context()); err != nil || len(folders) == 0 {
			t.Errorf("%d folders: %v", len(folders), err)
		}
		a.Capabilities = session.Capabilities()
		if err := session.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := c.Refused(); n != 0 {
		t.Errorf("%d commands were refused", n)
	}
	return said.sent(), a.Capabilities, err
}

// Whatever a server wants alone is done, by both protocols, with and without TLS (servers D10).
func TestEachMechanismAloneSignsIn(t *testing.T) {
	for mechanism, words := range map[string][]string{
		"plain": {"LOGIN ***", "AUTHENTICATE PLAIN ***", "PASS ***", "AUTH PLAIN ***"}, "login": {"LOGIN", "USER"},
		"cram-md5": {"CRAM-MD5"}, "scram-sha-1": {"SCRAM-SHA-1"}, "scram-sha-256": {"SCRAM-SHA-256"}, "apop": {"APOP"},
	} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
				Mechanisms: mechanism, Extra: noPenalty, Users: map[string]string{"anna": "sekret", "ola": `zażółć, "gęś"=\ä`},
			})
			eachWay(t, d, func(t *testing.T, a remote.Mailbox) {
				for user, secret := range d.Users {
					sent, _, err := attempts(t, d, a, credential(user, secret))
					switch {
					case mechanism == "apop" && a.Protocol == remote.IMAP:
						if fault.CodeOf(err) != fault.AuthMechanismUnsupported {
							t.Errorf("%s: %v", user, err)
						}
						continue
					case err != nil:
						t.Errorf("%s: %v", user, err)
					case !containsAny(sent, words):
						t.Errorf("%s: by another mechanism: %q", user, sent)
					}
					// The control: another password is refused, as a password is.
					if _, _, err := attempts(t, d, a, credential(user, secret+"x")); fault.CodeOf(err) != fault.AuthFailed {
						t.Errorf("%s with another password: %v", user, err)
					}
				}
			})
		})
	}
}

func containsAny(lines, words []string) bool {
	for _, w := range words {
		if strings.Contains(strings.Join(lines, "\n"), w) {
			return true
		}
	}
	return false
}

// A server that offers nothing that is known is said to, and no password is sent (servers D10).
func TestNoCommonMechanismIsSaidAndNothingIsSent(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Mechanisms: "digest-md5"})
	for _, a := range servers(d) {
		sent, _, err := attempts(t, d, a, credential("anna", "sekret"))
		f := fault.Of(err)
		if f == nil || f.Code != fault.AuthMechanismUnsupported || !strings.Contains(f.Detail.String(), "DIGEST-MD5") {
			t.Errorf("%s by %s: %v", a.Protocol, a.Server.Security, err)
		}
		if a.Protocol == remote.IMAP && containsAny(sent, []string{"LOGIN", "AUTHENTICATE"}) { // By POP3 it lists USER.
			t.Errorf("%s by %s: sent %q", a.Protocol, a.Server.Security, sent)
		}
	}
}

// The strongest is chosen. Where the server cannot go by SCRAM, as it keeps another digest, the
// password itself is tried once, and remembered; one that was proved before is
// refused at once.
func TestTheStrongestIsChosen(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Mechanisms: "plain login cram-md5 scram-sha-1 scram-sha-256", Extra: noPenalty,
	})
	const crypted = "passdb {\n  driver = static\n  args = password={SHA256}"
	unable := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Mechanisms: "plain scram-sha-256", Extra: append([]string{crypted + sha256Text("tajne") + "\n}"}, noPenalty...),
		Users: map[string]string{"nobody": "x"},
	})
	weak := mailtest.StartDovecot(t, mailtest.DovecotOptions{Mechanisms: "plain cram-md5"})
	eachWay(t, d, func(t *testing.T, a remote.Mailbox) {
		sent, remembered, err := attempts(t, d, a, credential("anna", "sekret"))
		if err != nil || !containsAny(sent, []string{"SCRAM-SHA-256"}) ||
			containsAny(sent, []string{"LOGIN ", "PASS", "PLAIN", "SHA-1"}) ||
			!strings.Contains(remembered, memoryProved) {
			t.Errorf("%v, %q, %q", err, sent, remembered)
		}
		a.Capabilities = remembered
		sent, _, err = attempts(t, d, a, credential("anna", "other"))
		if fault.CodeOf(err) != fault.AuthFailed || containsAny(sent, []string{"LOGIN ", "PASS", "PLAIN"}) {
			t.Errorf("refused: %v, %q", err, sent)
		}
	})
	eachWay(t, unable, func(t *testing.T, a remote.Mailbox) {
		sent, remembered, err := attempts(t, unable, a, credential("ola", "tajne"))
		scrams := strings.Count(strings.Join(sent, "\n"), "SCRAM")
		shown := a.Server.Security != remote.None
		if shown != (err == nil) || shown != strings.Contains(remembered, memoryShown) || scrams != 1 {
			t.Errorf("where SCRAM cannot be: %v, %q, %q", err, sent, remembered)
		}
	})
	eachWay(t, weak, func(t *testing.T, a remote.Mailbox) {
		sent, _, err := attempts(t, weak, a, credential("anna", "sekret"))
		if none := a.Server.Security == remote.None; err != nil || none != containsAny(sent, []string{"CRAM-MD5"}) {
			t.Errorf("CRAM-MD5 and PLAIN: %v, %q", err, sent)
		}
	})
}

func sha256Text(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// transcript keeps what a client noted.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

func (t *transcript) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
}

// sent are the lines of the client.
func (t *transcript) sent() (lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		if strings.HasPrefix(l, "C: ") {
			lines = append(lines, l)
		}
	}
	return lines
}
