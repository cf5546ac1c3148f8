package source

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// logbook writes down what it is asked and told.
type logbook struct {
	closed error

	mu     sync.Mutex
	proofs []string
	ends   []remote.SignIn
}

func (g *logbook) Admit(_ context.Context, a remote.Mailbox, _ []netip.Addr) (func(remote.SignIn), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proofs = append(g.proofs, a.LoginProof)
	return func(how remote.SignIn) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ends = append(g.ends, how)
	}, g.closed
}

// TestEachLoginIsAdmittedAndItsEndTold by both protocols: once for each connection.
func TestEachLoginIsAdmittedAndItsEndTold(t *testing.T) {
	const hello, asks = "S: * OK [CAPABILITY IMAP4rev1] hi\n",
		"S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\n"
	for _, tc := range []struct {
		name     string
		protocol remote.Protocol
		dialogue string
		want     remote.SignIn
	}{
		{
			"IMAP accepted", remote.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG OK [CAPABILITY IMAP4rev1] in\n",
			remote.SignInAccepted,
		},
		{
			"IMAP refused", remote.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG NO [AUTHENTICATIONFAILED] no\n",
			remote.SignInRefused,
		},
		{
			"IMAP out of order", remote.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG NO [UNAVAILABLE] later\n",
			remote.SignInFailed,
		},
		{"IMAP broken off", remote.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nCLOSE\n", remote.SignInFailed},
		{"IMAP takes no password", remote.IMAP, "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\n", remote.SignInUntried},
		{"IMAP no greeting", remote.IMAP, "S: * BYE full\nCLOSE\n", remote.SignInUntried},
		{"POP3 accepted", remote.POP3, asks + "S: +OK\n", remote.SignInAccepted},
		{"POP3 refused", remote.POP3, asks + "S: -ERR [AUTH] no\n", remote.SignInRefused},
		{"POP3 in use", remote.POP3, asks + "S: -ERR [IN-USE] busy\n", remote.SignInFailed},
		{"POP3 broken off", remote.POP3, asks + "CLOSE\n", remote.SignInFailed},
		{"POP3 no greeting", remote.POP3, "S: -ERR [SYS/TEMP] no\nCLOSE\n", remote.SignInUntried},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{Lenient: true})
			g := &logbook{}
			c := loopback(nil, func(o *Options) { o.Gate = g })
			a := remote.Mailbox{Protocol: tc.protocol, Server: remote.Server{
				Host: "127.0.0.1", Port: s.Port(),
				Security: remote.None,
			}}
			if session, err := c.Open(t.Context(), a, credential("anna", "sekret")); err == nil {
				defer session.Close()
			} else if tc.want == remote.SignInAccepted {
				t.Fatal(err)
			}
			if !slices.Equal(g.ends, []remote.SignIn{tc.want}) || !slices.Equal(g.proofs, []string{""}) {
				t.Errorf("ended %v, not %v; asked with %q", g.ends, tc.want, g.proofs)
			}
		})
	}
}

// TestWhoIsNotAdmittedDialsNobody: the server sees no connection. With the gate
// open it sees one.
func TestWhoIsNotAdmittedDialsNobody(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.IMAP, remote.POP3} {
		for _, closed := range []error{nil, fault.New(fault.RateLimited, "signing in", words.Say(fault.HeldBack))} {
			s := mailtest.Play(t, "S: * BYE\nCLOSE\n", mailtest.ScriptOptions{Lenient: true, Repeat: true})
			p := mailtest.StartProxy(t, s.Addr())
			c := loopback(nil, func(o *Options) { o.Gate = &logbook{closed: closed} })
			a := remote.Mailbox{Protocol: protocol, Server: remote.Server{
				Host: "127.0.0.1", Port: p.Port(),
				Security: remote.None,
			}}
			_, opened := c.Open(t.Context(), a, credential("anna", "sekret"))
			_, probed := c.Probe(t.Context(), a, credential("anna", "sekret"), nil)
			want := 2
			if closed != nil {
				want = 0
				if fault.CodeOf(opened) != fault.RateLimited || fault.CodeOf(probed) != fault.RateLimited {
					t.Errorf("%s: %v, %v", protocol, opened, probed)
				}
			}
			if n := p.Traffic().Connections; n != want {
				t.Errorf("%s: %d connections, not %d", protocol, n, want)
			}
		}
	}
}

// TestAFurtherConnectionOfASessionGoesByItsLogin, and a test never by what was known.
func TestAFurtherConnectionOfASessionGoesByItsLogin(t *testing.T) {
	in := "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS: +OK\n"
	s := mailtest.Play(t, in+"C: STAT\nCLOSE\n---\n"+in+"CLOSE\n", mailtest.ScriptOptions{Lenient: true, Repeat: true})
	g := &logbook{}
	c := loopback(nil, func(o *Options) { o.Gate = g })
	a := remote.Mailbox{Secret: remote.SecretRef{Subject: "a"}, Protocol: remote.POP3, Server: remote.Server{
		Host: "127.0.0.1", Port: s.Port(),
		Security: remote.None,
	}, Edits: 3}
	session, err := c.Open(t.Context(), a, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.protocol.(*pop3Session).reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.LoginProof = "3 127.0.0.1"
	_, _ = c.Probe(t.Context(), a, credential("anna", "sekret"), nil)
	if want := []string{"", "3 127.0.0.1", ""}; !slices.Equal(g.proofs, want) {
		t.Errorf("asked with %q, not %q", g.proofs, want)
	}
}
