package source

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// logbook writes down what it is asked and told.
type logbook struct {
	closed error

	mu     sync.Mutex
	proofs []string
	ends   []account.SignIn
}

func (g *logbook) Admit(_ context.Context, a account.Account, _ []netip.Addr) (func(account.SignIn), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proofs = append(g.proofs, a.LoginProof)
	return func(how account.SignIn) {
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
		protocol account.Protocol
		dialogue string
		want     account.SignIn
	}{
		{
			"IMAP accepted", account.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG OK [CAPABILITY IMAP4rev1] in\n",
			account.SignInAccepted,
		},
		{
			"IMAP refused", account.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG NO [AUTHENTICATIONFAILED] no\n",
			account.SignInRefused,
		},
		{
			"IMAP out of order", account.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nS: TAG NO [UNAVAILABLE] later\n",
			account.SignInFailed,
		},
		{"IMAP broken off", account.IMAP, hello + "C: TAG LOGIN \"anna\" \"sekret\"\nCLOSE\n", account.SignInFailed},
		{"IMAP takes no password", account.IMAP, "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\n", account.SignInUntried},
		{"IMAP no greeting", account.IMAP, "S: * BYE full\nCLOSE\n", account.SignInUntried},
		{"POP3 accepted", account.POP3, asks + "S: +OK\n", account.SignInAccepted},
		{"POP3 refused", account.POP3, asks + "S: -ERR [AUTH] no\n", account.SignInRefused},
		{"POP3 in use", account.POP3, asks + "S: -ERR [IN-USE] busy\n", account.SignInFailed},
		{"POP3 broken off", account.POP3, asks + "CLOSE\n", account.SignInFailed},
		{"POP3 no greeting", account.POP3, "S: -ERR [SYS/TEMP] no\nCLOSE\n", account.SignInUntried},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{Lenient: true})
			g := &logbook{}
			c := loopback(nil, func(o *Options) { o.Gate = g })
			a := account.Account{Protocol: tc.protocol, Server: account.Server{
				Host: "127.0.0.1", Port: s.Port(),
				Security: account.None,
			}}
			if session, err := c.Open(t.Context(), a, credential("anna", "sekret")); err == nil {
				defer session.Close()
			} else if tc.want == account.SignInAccepted {
				t.Fatal(err)
			}
			if !slices.Equal(g.ends, []account.SignIn{tc.want}) || !slices.Equal(g.proofs, []string{""}) {
				t.Errorf("ended %v, not %v; asked with %q", g.ends, tc.want, g.proofs)
			}
		})
	}
}

// TestWhoIsNotAdmittedDialsNobody: the server sees no connection. With the gate
// open it sees one.
func TestWhoIsNotAdmittedDialsNobody(t *testing.T) {
	for _, protocol := range []account.Protocol{account.IMAP, account.POP3} {
		for _, closed := range []error{nil, fault.New(fault.RateLimited, "signing in", fault.HeldBack)} {
			s := mailtest.Play(t, "S: * BYE\nCLOSE\n", mailtest.ScriptOptions{Lenient: true, Repeat: true})
			p := mailtest.StartProxy(t, s.Addr())
			c := loopback(nil, func(o *Options) { o.Gate = &logbook{closed: closed} })
			a := account.Account{Protocol: protocol, Server: account.Server{
				Host: "127.0.0.1", Port: p.Port(),
				Security: account.None,
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
	s := mailtest.Play(t, in+"C: STAT\nCLOSE\n---\n"+in, mailtest.ScriptOptions{Lenient: true, Repeat: true})
	g := &logbook{}
	c := loopback(nil, func(o *Options) { o.Gate = g })
	a := account.Account{ID: "a", Protocol: account.POP3, Server: account.Server{
		Host: "127.0.0.1", Port: s.Port(),
		Security: account.None,
	}, SettingsEpoch: 3}
	session, err := c.Open(t.Context(), a, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.(*pop3Session).reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.LoginProof = "3 127.0.0.1"
	_, _ = c.Probe(t.Context(), a, credential("anna", "sekret"), nil)
	if want := []string{"", "3 127.0.0.1", ""}; !slices.Equal(g.proofs, want) {
		t.Errorf("asked with %q, not %q", g.proofs, want)
	}
}
