package source

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// A server that wants to know who asks gets name and version, before the login where the catalogue says so,
// and behind it where it is offered (bugreports F6): always before a folder.
func TestTheServerIsToldWhoAsks(t *testing.T) {
	for name, tc := range map[string]struct {
		first    bool
		dialogue string
	}{
		"ahead of the login": {true, `S: * OK [CAPABILITY IMAP4rev1] ready
C: TAG ID ("name" "Mailbrook" "version" "1.2")
S: TAG BAD what?
C~ TAG LOGIN *
S: TAG OK [CAPABILITY IMAP4rev1] in
C~ TAG LIST "" *
S: * LIST () "/" INBOX
S: TAG OK listed
C~ TAG STATUS *
S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)
S: TAG OK
ALSO TAG LOGOUT => TAG OK bye\r\n
`},
		"behind it": {false, `S: * OK [CAPABILITY IMAP4rev1 ID] ready
C~ TAG LOGIN *
S: TAG OK [CAPABILITY IMAP4rev1 ID] in
C: TAG ID ("name" "Mailbrook" "version" "1.2")
S: * ID ("name" "Coremail" "x" NIL)
S: TAG OK
C~ TAG LIST "" *
S: * LIST () "/" INBOX
S: TAG OK listed
C~ TAG STATUS *
S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)
S: TAG OK
ALSO TAG LOGOUT => TAG OK bye\r\n
`},
	} {
		t.Run(name, func(t *testing.T) {
			script := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{})
			c := loopback(nil, func(o *Options) {
				o.Version, o.IDFirst = "1.2", func(remote.Mailbox) bool { return tc.first }
			})
			server := remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None}
			a := remote.Mailbox{Protocol: remote.IMAP, Server: server}
			session, err := c.Open(t.Context(), a, credential("anna", testSecret))
			if err != nil {
				t.Fatal(err)
			}
			if folders, err := session.Folders(t.Context()); err != nil || len(folders) != 1 {
				t.Errorf("%v, %v", folders, err)
			}
			if err := session.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			if c.Refused() != 0 {
				t.Error("the guard refused")
			}
			script.Close()
		})
	}
}

// TestAYesToHalfALoginIsNoFaultOfOurs: the server answers where it should ask for the rest. Its refusals are the
// control, and a yes to the whole.
func TestAYesToHalfALoginIsNoFaultOfOurs(t *testing.T) {
	const far = "C~ TAG LOGIN *{*}\n"
	for name, tc := range map[string]struct {
		protocol remote.Protocol
		dialogue string
		want     fault.Code
	}{
		"a yes": {remote.IMAP, far + "S: TAG OK in\n", fault.ProtocolError},
		"a yes with capabilities": {
			remote.IMAP, far + "S: TAG OK [CAPABILITY IMAP4rev1 ID] in\n", fault.ProtocolError,
		},
		"a no":     {remote.IMAP, far + "S: TAG NO [AUTHENTICATIONFAILED] wrong\n", fault.AuthFailed},
		"a bad":    {remote.IMAP, far + "S: TAG BAD no literals\n", fault.ProtocolError},
		"no sense": {remote.IMAP, far + "S: TAG YES\n", fault.ProtocolError},
		"POP3":     {remote.POP3, "C~ USER *\nS: OK\n", fault.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			greeting := "S: * OK [CAPABILITY IMAP4rev1] ready\n"
			if tc.protocol == remote.POP3 {
				greeting = "S: +OK ready\nC: CAPA\nS: -ERR what?\n"
			}
			script := mailtest.Play(t, greeting+tc.dialogue, mailtest.ScriptOptions{})
			a := remote.Mailbox{
				Protocol: tc.protocol,
				Server:   remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None},
			}
			session, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", "zażółć gęślą"))
			if err == nil {
				_, err = session.Folders(t.Context())
				session.Close()
			}
			if code := fault.CodeOf(err); code != tc.want {
				t.Errorf("%s: %v", code, err)
			}
		})
	}
}

// TestAFolderCalledLikeThePasswordIsNotRead: its name is in nothing that is kept or shown, and it is never asked for.
// Folders whose names are pieces of the password are the control: they are folders.
func TestAFolderCalledLikeThePasswordIsNotRead(t *testing.T) {
	const secret = "Praca2026-Krakow"
	script := mailtest.Play(t, `S: * OK [CAPABILITY IMAP4rev1] ready
C~ TAG LOGIN *
S: TAG OK in
C~ TAG CAPABILITY
S: * CAPABILITY IMAP4rev1
S: TAG OK
C~ TAG LIST "" *
S: * LIST () "/" INBOX
S: * LIST () "/" Praca
S: * LIST () "/" "2026"
S: * LIST () "/" "`+secret+`"
S: * LIST () "/" "Praca/praca2026-krakow"
S: * LIST () "/" "my `+secret+`!"
S: * LIST () "/" "`+base64.StdEncoding.EncodeToString([]byte(secret))+`"
S: * LIST () "/" "`+base64.StdEncoding.EncodeToString([]byte("x\x00anna\x00"+secret))+`"
S: * LIST () "/" {x} `+secret+`
S: TAG OK listed
C~ TAG STATUS "INBOX" *
S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)
S: TAG OK
C~ TAG STATUS "Praca" *
S: * STATUS Praca (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)
S: TAG OK
C~ TAG STATUS "2026" *
S: * STATUS "2026" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)
S: TAG OK
ALSO TAG LOGOUT => TAG OK bye\r\n
`, mailtest.ScriptOptions{})
	a := remote.Mailbox{
		Protocol: remote.IMAP,
		Server:   remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None},
	}
	session, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", secret))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := session.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var good, bad int
	for _, f := range folders {
		if said := fmt.Sprintf("%+v %v", f, f.Problem); strings.Contains(strings.ToLower(said), "krakow") ||
			strings.Contains(said, "S3Jha293") || strings.Contains(said, "UHJhY2Ey") {
			t.Errorf("the password is in %s", said)
		}
		if f.Problem == nil {
			good++
		} else {
			bad++
		}
	}
	if good != 3 || bad != 6 {
		t.Errorf("%d folders can be read and %d cannot: %+v", good, bad, folders)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	script.Close()
}

// A refusal that repeats what it was sent shows it to nobody: by either protocol, in the error, its detail and the
// transcript (bugreports F4).
func TestARefusalShowsNothingThatWasSent(t *testing.T) {
	const secret = `Hunt"er2\zazolc`
	plain := base64.StdEncoding.EncodeToString([]byte("\x00anna\x00" + secret))
	for _, echo := range []string{
		secret, `Hunt\"er2\\zazolc`, `LOGIN "anna" "Hunt\"er2\\zazolc"`, "Hunt%22er2%5Czazolc",
		"r2\\zazolc", plain, plain[5:],
	} {
		for protocol, dialogue := range map[remote.Protocol]string{
			remote.IMAP: "S: * OK [CAPABILITY IMAP4rev1] ready\nC~ TAG LOGIN *\nS: * NO I got %[1]s\nS: TAG NO bad: %[1]s\n",
			remote.POP3: "S: +OK ready\nC: CAPA\nS: -ERR no\nC: USER anna\nS: +OK\nC~ PASS *\nS: -ERR bad: %[1]s\n",
		} {
			script := mailtest.Play(t, fmt.Sprintf(dialogue, echo), mailtest.ScriptOptions{Lenient: true})
			var said transcript
			c := loopback(nil, func(o *Options) { o.Transcript = said.add })
			server := remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None}
			a := remote.Mailbox{Protocol: protocol, Server: server}
			var steps strings.Builder
			_, err := c.Probe(t.Context(), a, credential("anna", secret), func(s remote.Step) {
				steps.WriteString(s.Detail.String() + "\n")
			})
			script.Close()
			var f *fault.Error
			if !errors.As(err, &f) || !strings.Contains(f.Detail.String(), "***") {
				t.Errorf("%s, %q: %v", protocol, echo, err)
				continue
			}
			all := err.Error() + steps.String() + strings.Join(said.lines, "\n")
			for _, part := range []string{"zazolc", `er2\`, plain[8:20]} {
				if strings.Contains(all, part) {
					t.Errorf("%s, %q: %q is in %s", protocol, echo, part, all)
				}
			}
		}
	}
}
