package source

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// What reaches a server, seen from beside it, and what becomes of it there. The
// controls break a rule on the way: what is looked at must show it.

// relay passes lines on to a server and remembers them.
type relay struct {
	l  net.Listener
	wg sync.WaitGroup

	mu   sync.Mutex
	sent []byte
}

// startRelay starts one before the address. up and down may change each line on
// its way to the server and back; nil: octets pass as they come.
func startRelay(t *testing.T, target string, up, down func(string) string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l}
	r.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			r.wg.Go(func() { r.pass(server, client, up, r.remember) })
			r.wg.Go(func() { r.pass(client, server, down, func([]byte) {}) })
		}
	})
	t.Cleanup(r.close)
	return r
}

// close waits until all connections have ended.
func (r *relay) close() {
	r.l.Close()
	r.wg.Wait()
}

func (r *relay) remember(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, b...)
}

func (r *relay) pass(to, from net.Conn, change func(string) string, seen func([]byte)) {
	defer to.Close()
	defer from.Close()
	in := bufio.NewReader(from)
	for {
		var b []byte
		var err error
		if change == nil {
			b = make([]byte, 32<<10)
			var n int
			n, err = in.Read(b)
			b = b[:n]
		} else {
			var line string
			line, err = in.ReadString('\n')
			b = []byte(change(line))
		}
		seen(b)
		if _, failed := to.Write(b); err != nil || failed != nil {
			return
		}
	}
}

func (r *relay) port() int { return r.l.Addr().(*net.TCPAddr).Port }

// lines are what was sent, once every connection has ended.
func (r *relay) lines() []string {
	r.close()
	return strings.SplitAfter(string(r.sent), "\r\n")
}

// Commands that change nothing, as their standards have it (RFC 9051 section 6,
// RFC 1939, RFC 2449, RFC 5034, RFC 2595).
var (
	imapReads = regexp.MustCompile(
		`^\S+ (CAPABILITY|NOOP|LOGOUT|STARTTLS|NAMESPACE|LOGIN .*|AUTHENTICATE .*|` +
			`ID \("name" "Mailbrook"\)|LIST .*|STATUS .*|EXAMINE .*|UID FETCH [0-9,:*]+ (.*))\r\n$`)
	imapMarks = regexp.MustCompile(`BODY\[|RFC822(\.TEXT)?[ )\r]|BINARY\[`)
	pop3Reads = regexp.MustCompile(
		`^(CAPA|STLS|USER .*|PASS .*|AUTH .*|APOP .*|STAT|LIST|UIDL|TOP \d+ 0|RETR \d+|NOOP|RSET|QUIT)\r\n$`)
)

// marks lists what is not as it was after a whole mailbox was read by way of a
// relay that changes lines: at the server, and in what was sent to it.
func marks(t *testing.T, protocol remote.Protocol, change func(string) string) (bad []string) {
	t.Helper()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{POP3SetsSeen: true})
	msgs := mailtest.Corpus(13, 30, false)
	for i := range msgs {
		msgs[i].Flags = ""
	}
	mailtest.Fill(t, d, "anna", msgs)
	before := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	service := map[remote.Protocol]string{remote.IMAP: "imap", remote.POP3: "pop3"}[protocol]
	r := startRelay(t, d.Addr(service), change, nil)
	s := remote.Server{Host: "localhost", Port: r.port(), Security: remote.None}
	c := loopback(d.CA, nil)
	var n int
	if protocol == remote.IMAP {
		n = len(readAll(t, c, s, credential("anna", "sekret")))
	} else {
		_, items := readPOP3(t.Context(), t, c, s)
		n = len(items)
	}
	if n == 0 {
		t.Fatal("nothing was read")
	}
	for _, line := range r.lines() {
		switch {
		case line == "":
		case protocol == remote.POP3 && !pop3Reads.MatchString(line), protocol == remote.IMAP &&
			(!imapReads.MatchString(line) || imapMarks.MatchString(line)):
			bad = append(bad, fmt.Sprintf("sent: %.60q", line))
		}
	}
	if mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret") != before {
		bad = append(bad, "the remote changed")
	}
	return bad
}

func TestWhatReachesAServerChangesNothing(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.IMAP, remote.POP3} {
		for _, bad := range marks(t, protocol, nil) {
			t.Errorf("%v: %s", protocol, bad)
		}
	}
}

// The controls for I4. For IMAP, EXAMINE becomes SELECT as well: it alone would
// keep the server from marking anything.
func TestAMarkAtTheServerIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		protocol remote.Protocol
		from, to string
		says     []string
	}{
		"a body that is not only peeked at": {remote.IMAP, "BODY.PEEK[", "BODY[", []string{"sent: ", "the remote changed"}},
		"no RSET before QUIT":               {remote.POP3, "RSET\r\n", "NOOP\r\n", []string{"the remote changed"}},
		"a message is deleted": {remote.POP3, "RSET\r\n", "DELE 1\r\n", []string{
			"sent: ",
			"the remote changed",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bad := marks(t, tc.protocol, func(line string) string {
				line = strings.ReplaceAll(line, tc.from, tc.to)
				return strings.ReplaceAll(line, "EXAMINE", map[bool]string{
					true:  "SELECT",
					false: "EXAMINE",
				}[tc.protocol == remote.IMAP])
			})
			for _, say := range tc.says {
				if !slices.ContainsFunc(bad, func(b string) bool { return strings.HasPrefix(b, say) }) {
					t.Errorf("%q is not among what is noticed: %q", say, bad)
				}
			}
			t.Logf("caught: %.200q", bad)
		})
	}
}

// inTheClear lists in what form the password is readable on the way to a server.
func inTheClear(t *testing.T, d *mailtest.Dovecot, service string, protocol remote.Protocol, security remote.Security,
	down func(string) string,
) (bad []string) {
	t.Helper()
	const password = "sekret"
	r := startRelay(t, d.Addr(service), nil, down)
	c := loopback(d.CA, nil)
	session, err := c.Open(t.Context(), remote.Mailbox{Server: remote.Server{
		Host: "localhost", Port: r.port(),
		Security: security,
	}, Protocol: protocol}, credential("anna", password))
	if (err == nil) != (down == nil) {
		t.Errorf("%s by %s: %v", service, security, err)
	}
	if err == nil {
		session.Close()
	}
	r.close()
	if len(r.sent) == 0 && down == nil {
		t.Fatal("nothing was sent")
	}
	for name, form := range map[string]string{"plainly": password, "in base64": base64.StdEncoding.EncodeToString(
		[]byte("\x00anna\x00" + password))} {
		if bytes.Contains(r.sent, []byte(form)) {
			bad = append(bad, fmt.Sprintf("%s by %s: the password is on the wire %s", service, security, name))
		}
	}
	return bad
}

func TestNoPasswordIsSentBeforeTLS(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	stripped := func(line string) string { // As somebody in between would, who wants the password.
		return strings.NewReplacer("STARTTLS", "XTARTTLS", "STLS", "XTLS").Replace(line)
	}
	for _, tc := range []struct {
		service  string
		protocol remote.Protocol
		security remote.Security
		down     func(string) string
	}{
		{"imaps", remote.IMAP, remote.TLS, nil},
		{"imap", remote.IMAP, remote.STARTTLS, nil},
		{"pop3s", remote.POP3, remote.TLS, nil},
		{"pop3", remote.POP3, remote.STARTTLS, nil},
		{"imap", remote.IMAP, remote.STARTTLS, stripped},
		{"pop3", remote.POP3, remote.STARTTLS, stripped},
	} {
		for _, bad := range inTheClear(t, d, tc.service, tc.protocol, tc.security, tc.down) {
			t.Error(bad)
		}
	}
}

// The control for I13: the same without TLS.
func TestAPasswordWithoutTLSIsNoticed(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	for service, protocol := range map[string]remote.Protocol{"imap": remote.IMAP, "pop3": remote.POP3} {
		bad := inTheClear(t, d, service, protocol, remote.None, nil)
		if len(bad) == 0 {
			t.Errorf("%s: the password was sent in plain sight, and nothing is noticed", service)
		}
		t.Logf("caught: %q", bad)
	}
}
