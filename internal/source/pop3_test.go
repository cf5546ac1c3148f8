package source

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

var updatePOP3 = flag.Bool("update-pop3", false, "rewrite the .want files of testdata/pop3")

var loopbackNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// pop3Client reaches servers on this machine. impatient is for dialogues in
// which the server stops talking.
func pop3Client(ca *mailtest.CA, impatient bool, change func(*Options)) *Client {
	o := outbound.Options{AllowNetworks: loopbackNetworks, AllowAnyPort: true, AllowPlaintext: true}
	if ca != nil {
		o.RootCAs = ca.Pool()
	}
	var p wire.Patience
	if impatient {
		p = wire.Patience{Greeting: 300 * time.Millisecond, Idle: 300 * time.Millisecond}
		o.Timeouts.Handshake = 300 * time.Millisecond
	}
	opts := Options{Dialer: outbound.New(o), Patience: p}
	if change != nil {
		change(&opts)
	}
	return New(opts)
}

// everything is all messages of a listing, wherever they are.
func everything(l *mail.Listing) []mail.Item {
	return must(l.Page(0, l.Len()))
}

// visitPOP3 reads everything there is, and writes down what it met. It opens as
// a connection test does, one question at a time, or as a visit.
func visitPOP3(ctx context.Context, c *Client, a remote.Mailbox, test bool, cred remote.Credential, out io.Writer) {
	var observe func(remote.Step)
	if test {
		observe = func(st remote.Step) { fmt.Fprintf(out, "step %s ok=%v %s\n", st.Name, st.OK, st.Detail) }
	}
	session, err := c.open(ctx, a, cred, observe)
	if err != nil {
		failed(out, "open", err)
		return
	}
	defer session.Close()
	if !test {
		fmt.Fprintf(out, "offers %s\n", session.Capabilities())
	}
	fs, err := session.Folders(ctx)
	if err != nil {
		failed(out, "folders", err)
		return
	}
	fmt.Fprintf(out, "folder %s messages=%d\n", fs[0].Wire, fs[0].Status.Messages)
	var items []mail.Item
	err = session.List(ctx, []mail.Query{{Folder: fs[0]}}, func(l mail.Listing, err error) error {
		fmt.Fprintf(out, "listed complete=%v\n", l.Complete)
		items = everything(&l)
		for _, it := range items {
			fmt.Fprintf(out, "  %d size=%d id=%q/%d\n", it.Number, it.Size, it.ID.UIDL, it.ID.Ordinal)
		}
		if err != nil {
			failed(out, "list", err)
		}
		return nil
	})
	if err != nil {
		failed(out, "list", err)
		return
	}
	err = session.Fetch(ctx, []mail.Want{{Folder: fs[0], Items: items}}, func(_ mail.Folder, it mail.Item,
		body io.Reader,
	) error {
		b, err := io.ReadAll(body)
		if err != nil && fault.CodeOf(err) != fault.MessageFailed {
			return err
		}
		if err != nil { // As the engine does: the message is skipped.
			fmt.Fprintf(out, "skipped %q/%d: %s %s\n", it.ID.UIDL, it.ID.Ordinal, fault.CodeOf(err), fault.Of(err).Detail)
			return nil
		}
		fmt.Fprintf(out, "took %q/%d %q\n", it.ID.UIDL, it.ID.Ordinal, b)
		return nil
	}, func(_ mail.Folder, it mail.Item, why *fault.Error) {
		fmt.Fprintf(out, "missed %q/%d: %s %s\n", it.ID.UIDL, it.ID.Ordinal, why.Code, why.Detail)
	})
	if err != nil {
		failed(out, "fetch", err)
		return
	}
	if err := session.Leave(ctx); err != nil {
		failed(out, "leave", err)
		return
	}
	fmt.Fprintln(out, "left")
}

func failed(out io.Writer, what string, err error) {
	fmt.Fprintf(out, "%s failed: %s %s\n", what, fault.CodeOf(err), fault.Of(err).Detail)
}

// The dialogues of testdata/pop3 carry the row of the matrix of hostile servers
// in their names. Beside each lies what must come of it, the commands included.
// Their first lines say how they are played: early ones as a visit, to which what
// stands after "known" was learned by an earlier one.
func TestPOP3Dialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/pop3/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d dialogues, %v", len(files), err)
	}
	for i, file := range append(slices.Clone(files), files...) {
		// Once more as a listing that is too long for memory: nothing may differ.
		long := i >= len(files)
		t.Run(fmt.Sprintf("%s/long=%v", strings.TrimSuffix(filepath.Base(file), ".txt"), long), func(t *testing.T) {
			t.Parallel()
			first, _, _ := strings.Cut(string(must(os.ReadFile(file))), "\n")
			is := func(w string) bool {
				return strings.HasPrefix(first, "#!") && slices.Contains(strings.Fields(first), w)
			}
			s := mailtest.PlayFile(t, file, mailtest.ScriptOptions{Lenient: is("lenient")})
			var transcript bytes.Buffer
			c := pop3Client(s.CA, is("patience"), func(o *Options) {
				o.Transcript = func(line string) { fmt.Fprintln(&transcript, line) }
				if long {
					o.Window = 1
				}
				if is("closes") {
					o.CloseOnly = func(a remote.Mailbox) bool { return a.Protocol == remote.POP3 }
				}
				if is("ahead") {
					o.Patience.Ahead = 200 * time.Millisecond
				}
				if is("max") {
					o.MaxMessageBytes = 64 << 10
				}
			})
			server := remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None}
			if is("starttls") {
				server.Security = remote.STARTTLS
			}
			cred := remote.Credential{Auth: remote.Password, Username: "anna", Secret: remote.NewSecret("sekret")}
			if is("oauth") {
				cred.Auth = remote.OAuth2
			}
			a := remote.Mailbox{Server: server, Protocol: remote.POP3}
			visit := is("visit")
			if _, known, ok := strings.Cut(first, " known "); ok {
				visit, a.Capabilities = true, known
			}
			if is("long") {
				cred.Secret = remote.NewSecret(strings.Repeat("sekret", 100))
			}
			ctx := t.Context()
			if is("ahead") { // Well before the silence of anything else ends.
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
				defer cancel()
			}
			var out bytes.Buffer
			visitPOP3(ctx, c, a, !visit, cred, &out)
			s.Finish()
			fmt.Fprintf(&out, "refused %d\n", c.Refused())
			out.WriteString(transcript.String())
			golden(t, strings.TrimSuffix(file, ".txt")+".want", out.String())
			if strings.Contains(out.String(), "sekret") {
				t.Error("the secret is in the transcript")
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updatePOP3 {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(must(os.ReadFile(file))), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", file, diff)
	}
}

// open plays a dialogue and returns what opening a session over it gives.
func openPlayed(t *testing.T, dialogue string, impatient bool) error {
	t.Helper()
	s := mailtest.Play(t, dialogue, mailtest.ScriptOptions{Lenient: true})
	session, err := pop3Client(nil, impatient, nil).Open(t.Context(),
		remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
	if session != nil {
		session.Close()
	}
	s.Close()
	if err != nil {
		for _, d := range s.Departures() {
			t.Error(d)
		}
	}
	return err
}

func TestWhatIsRememberedOfAPOP3Server(t *testing.T) {
	flood := pop3Capas{"PIPELINING": nil, "SASL": {"CRAM-MD5", "xoauth2", "PLAIN"}}
	for i := range maxCapas {
		flood[fmt.Sprint("X-", i)] = []string{strings.Repeat("\xff\n", 1000)}
	}
	for name, tc := range map[string]struct {
		capas pop3Capas
		late  bool
		want  string
	}{
		"no CAPA":        {nil, false, "NO-CAPA"},
		"nothing of use": {pop3Capas{}, false, "CAPA"},
		"all of it": {
			pop3Capas{"USER": nil, "UIDL": nil, "TOP": nil, "PIPELINING": nil, "SASL": {"PLAIN"}},
			false,
			"CAPA PIPELINING SASL-PLAIN TOP UIDL USER",
		},
		"too much": {flood, false, "CAPA PIPELINING SASL-CRAM-MD5 SASL-PLAIN SASL-XOAUTH2"},
		"lost":     {pop3Capas{"PIPELINING": nil}, true, "CAPA NO-EARLY PIPELINING"},
	} {
		m := pop3Memory{capas: tc.capas, noPipelinedLogin: tc.late}
		if got := m.String(); got != tc.want {
			t.Errorf("%s: %q", name, got)
		}
		if again := rememberPOP3(m.String()); again.String() != tc.want || again.ready() != m.ready() {
			t.Errorf("%s: read again it is %q", name, again)
		}
	}
	for _, junk := range []string{
		"", "PIPELINING", "LIST-STATUS NAMESPACE PIPELINING", "NO-CAPA PIPELINING USER",
		"\x00 \xff",
	} {
		if m := rememberPOP3(junk); m.ready() || m.noPipelinedLogin {
			t.Errorf("%q is taken for a memory: %v", junk, m)
		}
	}
}

func TestPOP3GreetingsAndTheirDiagnoses(t *testing.T) {
	for _, tc := range []struct {
		name, greeting string
		code           fault.Code
		detail         string
	}{
		{
			"S43 in use", "S: -ERR [IN-USE] Do you have another POP session running?", fault.MailboxInUse,
			"another POP session",
		},
		{"S43 login delay", "S: -ERR [LOGIN-DELAY] minimum time between mail checks violation", fault.RateLimited, ""},
		{"S43 temporary", "S: -ERR [SYS/TEMP] out of order", fault.ServerUnavailable, "out of order"},
		{"S43 permanent", "S: -ERR [SYS/PERM] this service is gone", fault.AccessDisabled, ""},
		{"too many connections", "S: -ERR Too many connections from your address", fault.TooManyConnections, ""},
		{"S63 SSH", "S: SSH-2.0-OpenSSH_9.2", fault.ProtocolError, "does not speak POP3"},
		{"S63 SMTP", "S: 220 mail.example.org ESMTP", fault.ProtocolError, "does not speak POP3"},
		{"S63 HTTP", "S: HTTP/1.1 400 Bad Request", fault.ProtocolError, "does not speak POP3"},
		{"S63 Redis", "S: -NOAUTH Authentication required", fault.ProtocolError, "does not speak POP3"},
		{"IMAP", "S: * OK [CAPABILITY IMAP4rev1] Dovecot ready.", fault.ProtocolError, "IMAP"},
		{"a bare LF", `S< +OK ready\n`, fault.ProtocolError, ""},
		{"S42 nothing", "S: ", fault.ProtocolError, ""},
		{"S42 OK", "S: OK", fault.ProtocolError, ""},
		{"S42 a challenge", "S: + ", fault.ProtocolError, ""},
		{"S45 silence", "STALL", fault.ConnectTimeout, "in time"},
		{"the connection is closed", "CLOSE", fault.ServerUnavailable, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := openPlayed(t, tc.greeting, tc.greeting == "STALL")
			f := fault.Of(err)
			if err == nil || f.Code != tc.code || !strings.Contains(f.Detail.String(), tc.detail) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(tc.name, "S63") && strings.ContainsAny(f.Detail.String(), "0123456789/-") &&
				strings.Contains(err.Error(), tc.greeting[3:]) {
				t.Errorf("the banner is shown: %v", err)
			}
		})
	}
}

func TestS42OnlyOKFollowedByABlankOrTheEndIsSuccess(t *testing.T) {
	for _, status := range []string{"", "+", "OK", "+OKxyz", "+ok", "+OK\tfine", " +OK", "+OK\x00", "+ OK", "-ERRor"} {
		t.Run(fmt.Sprintf("%q", status), func(t *testing.T) {
			err := openPlayed(t, "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS< "+strings.NewReplacer(
				"\x00", `\x00`, "\t", `\t`).Replace(status)+`\r\n`, false)
			if fault.CodeOf(err) != fault.ProtocolError {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPOP3RefusedLogins(t *testing.T) {
	for _, tc := range []struct {
		words string
		code  fault.Code
	}{
		{"[AUTH] Authentication failed.", fault.AuthFailed},
		{"invalid user name or password", fault.AuthFailed},
		{"[AUTH] Application-specific password required", fault.AppPasswordRequired},
		{"Your account is not enabled for POP access. Please visit your settings page.", fault.AccessDisabled},
		{"[SYS/PERM] Your account is not enabled for POP access", fault.AccessDisabled},
		{"[AUTH] POP3 access is disabled for this mailbox", fault.AccessDisabled},
		{"[IN-USE] Mailbox is locked by another process", fault.MailboxInUse},
		{"maildrop already locked", fault.MailboxInUse},
		{"[LOGIN-DELAY] wait 15 minutes", fault.RateLimited},
		{"Too many login failures, try again later", fault.RateLimited},
		{"[SYS/TEMP] Temporary authentication failure", fault.ServerUnavailable},
		{"[AUTH] account suspended", fault.AccountLocked},
		{"[in-use] lower case", fault.MailboxInUse},
		// servers D11
		{"[SYS/TEMP] maildrop is locked by another session", fault.MailboxInUse},
		{"[AUTH] This account has been suspended", fault.AccountLocked},
		{"Protocol error. 14", fault.ProtocolError},
		{"Konto zostało zablokowane", fault.AccountLocked},
	} {
		t.Run(tc.words, func(t *testing.T) {
			err := openPlayed(t, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: LOGIN-DELAY 900\nS: .\nC: USER anna\nS: +OK\nC: PASS "+
				"sekret\nS: -ERR "+tc.words, false)
			f := fault.Of(err)
			if err == nil || f.Code != tc.code {
				t.Fatalf("got %v", err)
			}
			if want := 15 * time.Minute; f.Code == fault.RateLimited && f.RetryAfter != want {
				t.Errorf("retry after %v, want %v", f.RetryAfter, want)
			}
		})
	}
	err := openPlayed(t, "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS: -ERR wrong password: sekret",
		false)
	if fault.CodeOf(err) != fault.AuthFailed || strings.Contains(err.Error(), "sekret") {
		t.Errorf("the server's echo of the password: %v", err)
	}
}

// servers D11: how long the server says at that moment counts more than what it
// says of all times.
func TestPOP3WaitsAsLongAsTheServerSays(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"[LOGIN-DELAY] too soon":               15 * time.Minute,
		"[LOGIN-DELAY 60] too soon":            time.Minute,
		"[SYS/TEMP] Try again in 90 seconds":   90 * time.Second,
		"too many logins, please wait 2 hours": 2 * time.Hour,
	} {
		const capa = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: LOGIN-DELAY 900\nS: .\n"
		err := openPlayed(t, capa+"C: USER anna\nS: +OK\nC: PASS sekret\nS: -ERR "+said, false)
		if f := fault.Of(err); err == nil || f.RetryAfter != want || !f.Session {
			t.Errorf("%q: %v, retry after %v, want %v", said, err, f.RetryAfter, want)
		}
	}
}

// servers D11, D8: after the login the same words mean the same.
func TestPOP3RefusalsBehindTheLogin(t *testing.T) {
	for said, want := range map[string]fault.Code{
		"[SYS/TEMP] maildrop is locked by another session": fault.MailboxInUse,
		"POP3 access is disabled for this account":         fault.AccessDisabled,
		"no": fault.ServerUnavailable,
	} {
		const login = "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS: +OK\n"
		s := mailtest.Play(t, login+"C: STAT\nS: -ERR "+said+"\nCLOSE", mailtest.ScriptOptions{})
		session, err := pop3Client(nil, false, nil).Open(t.Context(), remote.Mailbox{
			Server: remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None}, Protocol: remote.POP3,
		}, credential("anna", "sekret"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = session.Folders(t.Context()); fault.CodeOf(err) != want || !fault.Of(err).Session {
			t.Errorf("STAT is refused by %q: %v", said, err)
		}
		session.Close()
	}
}

func TestPOP3SignsInByPlainWhereThereIsNothingElse(t *testing.T) {
	for name, tc := range map[string]struct{ capa, user, line string }{
		"no USER":              {"SASL PLAIN LOGIN", "anna", "C: AUTH PLAIN AGFubmEAc2VrcmV0"},
		"letters beyond ASCII": {"USER\nS: SASL PLAIN", "anię", "C: AUTH PLAIN AGFuacSZAHNla3JldA=="},
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Play(t, "S: +OK\nC: CAPA\nS: +OK\nS: "+tc.capa+"\nS: .\n"+tc.line+"\nS: +OK\n",
				mailtest.ScriptOptions{})
			session, err := pop3Client(nil, false, nil).Open(t.Context(),
				remote.Mailbox{
					Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
					Protocol: remote.POP3,
				}, credential(tc.user, "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			session.Close()
		})
	}
}

func TestU20ControlCharactersInCredentialsAreNeverSent(t *testing.T) {
	for _, cred := range []remote.Credential{credential("a\r\nDELE 1", "x"), credential("a", "x\nDELE 1"), credential(
		"a\x00", "x"), credential("", "x"), credential("a", "")} {
		s := mailtest.Play(t, "S: +OK\nC: CAPA\nS: -ERR\n", mailtest.ScriptOptions{})
		c := pop3Client(nil, false, nil)
		_, err := c.Open(t.Context(), remote.Mailbox{Server: remote.Server{
			Host: "localhost", Port: s.Port(),
			Security: remote.None,
		}, Protocol: remote.POP3}, cred)
		if fault.CodeOf(err) != fault.AuthFailed {
			t.Errorf("got %v", err)
		}
		s.Close()
		if strings.Contains(s.Sent(), "DELE") {
			t.Errorf("sent %q", s.Sent())
		}
	}
}

func TestPOP3SessionsEndWithTheirContext(t *testing.T) {
	s := mailtest.Play(t, "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS: +OK\nC: STAT\nSTALL\n",
		mailtest.ScriptOptions{})
	session, err := pop3Client(nil, false, nil).Open(t.Context(),
		remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.Stalled()
		cancel()
	}()
	if _, err := session.Folders(ctx); !errors.Is(err, context.Canceled) || fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestATakersErrorEndsTheFetchAndTheSessionCanStillLeave(t *testing.T) {
	s := mailtest.Play(t, `S: +OK
C: CAPA
S: +OK
S: USER
S: PIPELINING
S: .
C: USER anna
S: +OK
C: PASS sekret
S: +OK
C: STAT
S: +OK 3 3
C: LIST
C: UIDL
S< +OK\r\n1 1\r\n2 1\r\n3 1\r\n.\r\n
S< +OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n
C: RETR 1
C: RETR 2
S< +OK\r\none\r\n.\r\n
S< -ERR no\r\n
C: RSET
S: +OK
C: QUIT
S: +OK
`, mailtest.ScriptOptions{})
	session, err := pop3Client(nil, false, nil).Open(t.Context(),
		remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var l mail.Listing
	if err := session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}}}, func(got mail.Listing,
		err error,
	) error {
		l = got
		return err
	}); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err = session.Fetch(t.Context(), []mail.Want{{Folder: l.Folder, Items: l.Items}},
		func(mail.Folder, mail.Item, io.Reader) error { return enough }, // Without a look at the body.
		func(mail.Folder, mail.Item, *fault.Error) { t.Error("missed") })
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	s.Finish()
}

func TestNumbersAreOfTheConnectionThatListedThem(t *testing.T) {
	login := "S: +OK\nC: CAPA\nS: -ERR\nC: USER anna\nS: +OK\nC: PASS sekret\nS: +OK\nC: STAT\n"
	s := mailtest.Play(t, login+`S: +OK 2 2
C: LIST
S< +OK\r\n1 1\r\n2 1\r\n.\r\n
C: UIDL
S< +OK\r\n1 a\r\n2 b\r\n.\r\n
C: RETR 1
CLOSE
---
`+login+`S: +OK 2 2
C: LIST
S< +OK\r\n1 1\r\n2 1\r\n.\r\n
C: UIDL
S< +OK\r\n1 new\r\n2 a\r\n.\r\n
C: RETR 2
S< +OK\r\nfirst\r\n.\r\n
C: RSET
S: +OK
C: QUIT
S: +OK
`, mailtest.ScriptOptions{})
	session, err := pop3Client(nil, false, nil).Open(t.Context(),
		remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var l mail.Listing
	if err := session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}}}, func(got mail.Listing,
		err error,
	) error {
		l = got
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// One fetch for each message: the second begins on the new connection.
	var met []string
	for _, it := range l.Items {
		err := session.Fetch(t.Context(), []mail.Want{{Folder: l.Folder, Items: []mail.Item{it}}}, func(_ mail.Folder,
			it mail.Item, body io.Reader,
		) error {
			b, err := io.ReadAll(body)
			met = append(met, it.ID.UIDL+": "+strings.TrimSpace(string(b)))
			return err
		}, func(_ mail.Folder, it mail.Item, why *fault.Error) {
			met = append(met, it.ID.UIDL+": "+why.Detail.String())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a: first", "b: The message is no longer there."}, met); diff != "" {
		t.Error(diff)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	s.Finish()
}

// bugreports F7, row 2: of a message of which nothing can be read it is said that there
// is one, and its lines are counted and logged. The control: where all can be read, a
// count that does not fit is none.
func TestLinesThatCannotBeReadAreToldOf(t *testing.T) {
	const dialogue = `S: +OK ready
C: CAPA
S: -ERR
C: USER anna
S: +OK
C: PASS sekret
S: +OK
C: STAT
S: +OK 2 20
C: LIST
S: +OK
S: 1 10
%sS: .
C: UIDL
S: +OK
S: 1 a
%sS: .
`
	for _, tc := range []struct {
		list, uidl     string
		unread, counts int
	}{
		{"S: one\x01 10\n", "S: \n", 1, 2},
		{"", "", 0, 0},
	} {
		s := mailtest.Play(t, fmt.Sprintf(dialogue, tc.list, tc.uidl), mailtest.ScriptOptions{Lenient: true})
		var log bytes.Buffer
		c := pop3Client(nil, false, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		session, err := c.Open(t.Context(), remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		inbox := []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}}}
		err = session.List(t.Context(), inbox, func(l mail.Listing, err error) error {
			if l.Unread != tc.unread || l.Len() != 1 || l.Complete {
				t.Errorf("%d unread of %d, complete %v", l.Unread, l.Len(), l.Complete)
			}
			return err
		})
		if err != nil || c.Unreadable() != int64(tc.counts) {
			t.Errorf("%d lines are counted, want %d: %v", c.Unreadable(), tc.counts, err)
		}
		if strings.Contains(log.String(), "answer=") != (tc.counts > 0) || strings.Contains(log.String(), "\x01") {
			t.Errorf("the log says %q", log.String())
		}
	}
}
