package diagnose_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/wire"
)

var _ diagnose.Prober = (*source.Client)(nil)

// serve accepts connections on a free port until the test ends. Each is greeted
// and then answered line by line; a nil config is plaintext.
func serve(t *testing.T, config *tls.Config, hello string, answer func(line string) string) int {
	t.Helper()
	return mailtest.Serve(t, func(c net.Conn) { converse(c, config, hello, answer) })
}

func converse(c net.Conn, config *tls.Config, hello string, answer func(string) string) {
	defer c.Close()
	if config != nil {
		c = tls.Server(c, config)
	}
	if _, err := io.WriteString(c, hello); err != nil {
		return
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if _, err := io.WriteString(c, answer(lines.Text())); err != nil {
			return
		}
	}
}

// refusing is a POP3 server that knows nobody.
func refusing(line string) string {
	if strings.HasPrefix(line, "PASS") {
		return "-ERR [AUTH] invalid user name or password\r\n"
	}
	if strings.HasPrefix(line, "CAPA") {
		return "-ERR unknown\r\n"
	}
	return "+OK\r\n"
}

// The same troubles as with a scripted prober, by the real one.
func TestTheRealReaderMeetsEachTrouble(t *testing.T) {
	ca, stranger := mailtest.NewCA(t), mailtest.NewCA(t)
	good := ca.Server("127.0.0.1").Config()
	const pop3Hello, imapHello = "+OK ready\r\n", "* OK [CAPABILITY IMAP4rev1] ready\r\n"
	for _, tc := range []struct {
		name     string
		port     int
		security remote.Security
		protocol remote.Protocol
		code     fault.Code
		at       remote.StepName
	}{
		{
			"IMAP where POP3 is due", serve(t, good, imapHello, refusing), remote.TLS, remote.POP3, fault.ProtocolError,
			greeting,
		},
		{
			"POP3 where IMAP is due", serve(t, good, pop3Hello, refusing), remote.TLS, remote.IMAP, fault.ProtocolError,
			greeting,
		},
		{
			"plaintext where TLS is due", serve(t, nil, pop3Hello, refusing), remote.TLS, remote.POP3, fault.TLSFailure,
			remote.StepTLS,
		},
		{
			"untrusted certificate", serve(t, stranger.Server("127.0.0.1").Config(), pop3Hello, refusing), remote.TLS,
			remote.POP3, fault.TLSCertificateInvalid, remote.StepTLS,
		},
		{"no STLS", serve(t, nil, pop3Hello, func(string) string {
			return "-ERR no\r\n"
		}), remote.STARTTLS, remote.POP3, fault.STARTTLSUnsupported, remote.StepTLS},
		{"wrong password", serve(t, good, pop3Hello, refusing), remote.TLS, remote.POP3, fault.AuthFailed, login},
		{"a server that says nothing", serve(t, good, "", func(string) string {
			return ""
		}), remote.TLS, remote.IMAP, fault.ConnectTimeout, greeting},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := outbound.New(outbound.Options{
				AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				AllowAnyPort:  true, RootCAs: ca.Pool(),
			})
			client := source.New(source.Options{Dialer: d, Patience: wire.Patience{Greeting: 500 * time.Millisecond}})
			a := account.Account{Provider: "other", Protocol: tc.protocol, Server: remote.Server{
				Host: "127.0.0.1",
				Port: tc.port, Security: tc.security,
			}}
			cred := remote.Credential{Auth: remote.Password, Username: "anna", Secret: remote.NewSecret("secret")}
			rep := diagnose.NewDoctor(client, catalog(t)).Probe(t.Context(), a, cred)
			if rep.OK || rep.Diagnosis == nil || rep.Diagnosis.Code != tc.code || rep.Steps[len(rep.Steps)-1].Name != tc.at ||
				rep.Steps[len(rep.Steps)-1].OK {
				t.Errorf("%+v, %+v", rep, rep.Diagnosis)
			}
			if client.Refused() != 0 {
				t.Error("a command was refused")
			}
		})
	}
}

// A server that talks and does not answer holds up a connection test no longer
// than a visit, and is reported as too slow.
func TestATestDoesNotListenToAServerThatOnlyTalks(t *testing.T) {
	for protocol, words := range map[remote.Protocol][2]string{
		remote.IMAP: {"* OK [CAPABILITY IMAP4rev1] ready\r\n", "* OK still here\r\n"},
		remote.POP3: {"+OK ready\r\n", "x"},
	} {
		t.Run(string(protocol), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			talked := make(chan struct{})
			go func() {
				defer close(talked)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				tick := time.NewTicker(2 * time.Millisecond)
				defer tick.Stop()
				for say := words[0]; ; say = words[1] {
					if _, err := c.Write([]byte(say)); err != nil {
						return
					}
					<-tick.C
				}
			}()
			d := outbound.New(outbound.Options{
				AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				AllowAnyPort:  true, AllowPlaintext: true,
			})
			client := source.New(source.Options{Dialer: d, Patience: wire.Patience{Command: 100 * time.Millisecond}})
			a := account.Account{Provider: "other", Protocol: protocol, Server: remote.Server{
				Host: "127.0.0.1",
				Port: l.Addr().(*net.TCPAddr).Port, Security: remote.None,
			}}
			cred := remote.Credential{Auth: remote.Password, Username: "anna", Secret: remote.NewSecret("secret")}
			rep := diagnose.NewDoctor(client, catalog(t)).Probe(t.Context(), a, cred)
			if rep.OK || rep.Diagnosis == nil || rep.Diagnosis.Code != fault.ConnectTimeout ||
				!strings.Contains(rep.Diagnosis.Detail.String(), "too slow") {
				t.Errorf("%+v, %+v", rep, rep.Diagnosis)
			}
			l.Close()
			<-talked
		})
	}
}
