package source

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// The phases of a session, as the commands that begin them. What both protocols
// call LIST is not the same.
const (
	atGreeting  = "greeting"
	atHandshake = "handshake"
	atListing   = "UID FETCH (a listing)"
	atHeaders   = "UID FETCH (headers)"
	atBody      = "UID FETCH (a body)"

	part = ", a part of it" // Behind the name of a phase.
)

// remoteStub is a small server that answers everything a visit asks, one command
// after the other, but for one phase.
type remoteStub struct {
	protocol remote.Protocol
	starttls *tls.Config
	sasl     bool                 // POP3: it offers AUTH PLAIN and no USER.
	at       string               // The phase in which it
	trap     func(net.Conn)       // … does this until the client goes.
	pause    func(phase string)   // Before each answer, and before each part of a long one; may be nil.
	folders  int                  // IMAP: beside the inbox.
	messages int                  // In each folder.
	body     int                  // Octets of each message.
	chatter  func(conn io.Writer) // IMAP: said before EXAMINE is answered; may be nil.
}

func (r *remoteStub) wait(phase string) {
	if r.pause != nil {
		r.pause(phase)
	}
}

// serve talks to one client until it goes, or the trap ends.
func (r *remoteStub) serve(c net.Conn) {
	defer func() { c.Close() }()
	trapped := func(phase string) bool {
		if phase == r.at {
			r.trap(c)
			return true
		}
		r.wait(phase)
		return false
	}
	if trapped(atGreeting) {
		return
	}
	fmt.Fprint(c, map[remote.Protocol]string{remote.IMAP: "* OK hello\r\n", remote.POP3: "+OK hello\r\n"}[r.protocol])
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		phase, answer := r.imap(line)
		if r.protocol == remote.POP3 {
			phase, answer = r.pop3(line)
		}
		if trapped(phase) {
			return
		}
		if r.chatter != nil && phase == atExamine {
			r.chatter(c)
		}
		if err := answer(c); err != nil {
			return
		}
		if phase != atSTARTTLS && phase != string(wire.PopSTLS) {
			continue
		}
		if trapped(atHandshake) {
			return
		}
		private := tls.Server(c, r.starttls)
		if private.Handshake() != nil {
			return
		}
		c, in = private, bufio.NewReader(private)
	}
}

// says is an answer of a few lines.
func says(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// The commands of IMAP that are answered slowly.
const (
	atCapability = "CAPABILITY"
	atSTARTTLS   = "STARTTLS"
	atLogin      = "LOGIN"
	atNamespace  = "NAMESPACE"
	atList       = "LIST"
	atStatus     = "STATUS"
	atExamine    = "EXAMINE"
)

// parts is an answer of many, each with a pause before it.
func (r *remoteStub) parts(phase, head string, wanted func(uid int) bool, one func(i int) string, end string,
) func(io.Writer) error {
	return func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 4<<10)
		out.WriteString(head)
		for i := range r.messages {
			if !wanted(i + 1) {
				continue
			}
			r.wait(phase + part)
			if _, err := out.WriteString(one(i + 1)); err != nil {
				return err
			}
		}
		out.WriteString(end)
		return out.Flush()
	}
}

// text is a message, or one that comes a KiB at a time.
func (r *remoteStub) text(w io.Writer, phase, head, end string) error {
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	line := strings.Repeat("a", 1022) + "\r\n"
	for left := r.body; left > 0; left -= min(left, len(line)) {
		r.wait(phase + part)
		if _, err := io.WriteString(w, line[len(line)-min(left, len(line)):]); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, end)
	return err
}

// inSet tells which UIDs are in a set as it is sent, "1:3,7" or "4:*".
func inSet(set string) func(uid int) bool {
	return func(uid int) bool {
		for part := range strings.SplitSeq(set, ",") {
			first, last, _ := strings.Cut(part, ":")
			lo, _ := strconv.Atoi(first)
			hi, err := strconv.Atoi(last)
			if last == "" {
				hi = lo
			} else if err != nil {
				hi = math.MaxInt
			}
			if lo <= uid && uid <= hi {
				return true
			}
		}
		return false
	}
}

func (r *remoteStub) imap(line string) (phase string, answer func(io.Writer) error) {
	tag, rest, _ := strings.Cut(line, " ")
	verb, args, _ := strings.Cut(rest, " ")
	ok := tag + " OK -\r\n"
	quoted, _, _ := strings.Cut(args+" ", " ")
	_, set, _ := strings.Cut(args, " ")
	set, _, _ = strings.Cut(set, " ")
	wanted := inSet(set)
	switch phase = verb; {
	case verb == atCapability && r.starttls != nil:
		return phase, says("* CAPABILITY IMAP4rev1 NAMESPACE STARTTLS\r\n" + ok)
	case verb == atCapability:
		return phase, says("* CAPABILITY IMAP4rev1 NAMESPACE\r\n" + ok)
	case verb == atNamespace:
		return phase, says("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n" + ok)
	case verb == atList:
		var b strings.Builder
		b.WriteString("* LIST () \"/\" INBOX\r\n")
		for i := range r.folders {
			fmt.Fprintf(&b, "* LIST () \"/\" Work%d\r\n", i)
		}
		return phase, says(b.String() + ok)
	case verb == atStatus:
		return phase, says(fmt.Sprintf("* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n%s", quoted, r.messages,
			r.messages+1, ok))
	case verb == atExamine:
		return phase, says(fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 7] -\r\n* OK [UIDNEXT %d] -\r\n%s", r.messages,
			r.messages+1, ok))
	case strings.Contains(args, "RFC822.SIZE"):
		phase = atListing
		return phase, r.parts(phase, "", wanted, func(i int) string {
			return fmt.Sprintf("* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE "+
				"%d)\r\n", i, i, r.body)
		}, ok)
	case strings.Contains(args, "HEADER.FIELDS"):
		phase = atHeaders
		return phase, r.parts(phase, "", wanted, func(i int) string {
			return fmt.Sprintf("* %d FETCH (UID %d BODY[HEADER.FIELDS (DATE)] {8}\r\na: b\r\n\r\n)\r\n", i, i)
		}, ok)
	case strings.Contains(args, "BODY.PEEK[]"):
		phase = atBody
		return phase, func(w io.Writer) error {
			for i := range r.messages {
				if !wanted(i + 1) {
					continue
				}
				if err := r.text(w, phase, fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n", i+1, i+1, r.body),
					")\r\n"); err != nil {
					return err
				}
			}
			return says(ok)(w)
		}
	}
	return phase, says(ok)
}

func (r *remoteStub) pop3(line string) (phase string, answer func(io.Writer) error) {
	phase, _, _ = strings.Cut(line, " ")
	switch wire.POP3Verb(phase) {
	case wire.PopCAPA:
		capas := "+OK\r\nUIDL\r\nTOP\r\n"
		if r.sasl {
			capas += "SASL PLAIN\r\n"
		} else {
			capas += "USER\r\n"
		}
		if r.starttls != nil {
			capas += "STLS\r\n"
		}
		return phase, says(capas + ".\r\n")
	case wire.PopSTAT:
		return phase, says(fmt.Sprintf("+OK %d %d\r\n", r.messages, r.messages*r.body))
	case wire.PopLIST:
		return phase, r.parts(phase, "+OK\r\n", inSet("1:*"), func(i int) string {
			return fmt.Sprintf("%d %d\r\n", i, r.body)
		}, ".\r\n")
	case wire.PopUIDL:
		return phase, r.parts(phase, "+OK\r\n", inSet("1:*"), func(i int) string {
			return fmt.Sprintf("%d id-of-%d\r\n", i, i)
		}, ".\r\n")
	case wire.PopTOP:
		return phase, says("+OK\r\na: b\r\n\r\n.\r\n")
	case wire.PopRETR:
		return phase, func(w io.Writer) error { return r.text(w, phase, "+OK\r\n", "\r\n.\r\n") }
	}
	return phase, says("+OK\r\n")
}

// trap is what a server does to keep its client waiting.
type trap struct {
	name    string
	first   string // Said first,
	again   string // … then this again and again; "": nothing.
	outcome error  // What ends it where the server is waited for as long as it likes to talk; nil: a protocol_error.
}

var errSilence = errors.New("silence, and nothing else")

const (
	dripEvery = 2 * time.Millisecond
	// limit is how long tests let a server keep them. Less than 100 drops fall in
	// it, since no more lines than these are read before TLS. On a slow machine it
	// may end what comes before the trap, too: by the same rule.
	limit = 100 * time.Millisecond
)

var (
	silence      = trap{"silence", "", "", errSilence}
	drip         = trap{"an octet at a time", "", "x", wire.ErrTooSlow}
	bye          = trap{"BYE, an octet at a time", "* BYE ", "x", wire.ErrTooSlow}
	chatter      = trap{"still here", "", "* OK still here\r\n", wire.ErrTooSlow}
	newMail      = trap{"mail that came meanwhile", "", "* 5 EXISTS\r\n", wire.ErrTooSlow}
	capabilities = trap{"capabilities", "", "* CAPABILITY IMAP4rev1\r\n", wire.ErrTooSlow}
	states       = trap{
		"the state of one folder", "", "* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 7)\r\n",
		wire.ErrTooSlow,
	}
	goOn = trap{"continuation", "", "+ \r\n", nil}
	junk = trap{"lines that say nothing", "+OK\r\n", "x\r\n", wire.ErrTooSlow}
)

func inside(what, first string) trap {
	return trap{what + ", an octet at a time", first, "x", wire.ErrTooSlow}
}

// traps are by protocol and phase what a server can do.
var traps = []struct {
	protocol remote.Protocol
	at       string
	traps    []trap
}{
	{remote.IMAP, atCapability, []trap{silence, drip, chatter, bye, goOn, capabilities}},
	{remote.IMAP, atSTARTTLS, []trap{silence, drip, chatter, bye, capabilities}},
	{remote.IMAP, atLogin, []trap{silence, drip, chatter, bye, goOn, capabilities}},
	{remote.IMAP, atNamespace, []trap{silence, drip, chatter, bye, goOn, newMail}},
	{remote.IMAP, atList, []trap{silence, drip, chatter, bye, newMail, states, goOn, inside("a folder's name",
		"* LIST () \"/\" {1000}\r\n")}},
	{remote.IMAP, atStatus, []trap{silence, drip, chatter, bye, newMail, goOn, states}},
	{remote.IMAP, atExamine, []trap{silence, drip, chatter, bye, goOn, newMail}},
	{remote.IMAP, atListing, []trap{silence, drip, chatter, bye, newMail, goOn, inside("a value",
		"* 1 FETCH (UID 1 X {100000}\r\n")}},
	{remote.IMAP, atHeaders, []trap{silence, drip, chatter, newMail, goOn, inside("a header",
		"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (DATE)] {100000}\r\n")}},
	{remote.IMAP, atBody, []trap{silence, drip, chatter, newMail, goOn, inside("a body", "* 1 FETCH (UID 1 BODY[] "+
		"{100000}\r\n"), inside("a body without UID", "* 1 FETCH (BODY[] {100000}\r\n")}},
	{remote.POP3, string(wire.PopCAPA), []trap{silence, drip, goOn, junk}},
	{remote.POP3, string(wire.PopSTLS), []trap{silence, goOn, drip}},
	{remote.POP3, string(wire.PopAUTH), []trap{silence, goOn, drip}},
	{remote.POP3, string(wire.PopUSER), []trap{silence, goOn, drip}},
	{remote.POP3, string(wire.PopPASS), []trap{silence, goOn, drip}},
	{remote.POP3, string(wire.PopSTAT), []trap{silence, goOn, drip}},
	{remote.POP3, string(wire.PopLIST), []trap{silence, drip, goOn, junk}},
	{remote.POP3, string(wire.PopUIDL), []trap{silence, drip, goOn, junk}},
	{remote.POP3, string(wire.PopTOP), []trap{silence, drip, goOn, inside("a header", "+OK\r\n")}},
	{remote.POP3, string(wire.PopRETR), []trap{silence, drip, goOn, inside("a body", "+OK\r\n"), junk}},
	{remote.POP3, string(wire.PopRSET), []trap{silence, goOn, drip}},
}

// spring does what the trap does until the client goes. served is given how
// often it has said what it says again; it may be nil.
func (tr trap) spring(c net.Conn, served func(n int)) {
	if _, err := io.WriteString(c, tr.first); err != nil {
		return
	}
	if tr.again == "" {
		io.Copy(io.Discard, c)
		return
	}
	tick := time.NewTicker(dripEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		<-tick.C
		if _, err := io.WriteString(c, tr.again); err != nil {
			return
		}
		if served != nil {
			served(n)
		}
	}
}

// start serves on loopback until the test ends and returns the port.
func (r *remoteStub) start(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// patient is a client that waits as p says, for a handshake as long as for
// everything else.
func patient(ca *mailtest.CA, p wire.Patience) *Client {
	o := outbound.Options{
		AllowNetworks: loopbackNetworks, AllowAnyPort: true, AllowPlaintext: true,
		Timeouts: outbound.Timeouts{Handshake: max(p.Command, p.Progress, p.Idle)},
	}
	if ca != nil {
		o.RootCAs = ca.Pool()
	}
	return New(Options{Dialer: outbound.New(o), Patience: p})
}

// goThrough makes a whole visit and returns what ended it, and what ended its
// first connection.
func goThrough(ctx context.Context, session *Session) (err, first error) {
	var l *wire.Link
	switch s := session.protocol.(type) {
	case *imapSession:
		l = s.conn.link
	case *pop3Session:
		l = s.link
	}
	defer func() { first = l.Failure() }()
	defer session.Close()
	folders, err := session.Folders(ctx)
	if err != nil {
		return err, nil
	}
	var queries []mail.Query
	for _, f := range folders {
		queries = append(queries, mail.Query{Folder: f})
	}
	var wants []mail.Want
	err = session.List(ctx, queries, func(l mail.Listing, err error) error {
		if err == nil {
			wants = append(wants, mail.Want{
				Folder: l.Folder, Validity: l.Folder.Status.UIDValidity,
				Items: l.Items[:min(len(l.Items), 50)],
			})
		}
		return nil
	})
	if err != nil {
		return err, nil
	}
	if err = session.Headers(ctx, wants, func(mail.Folder, mail.Item, []byte) error { return nil }); err != nil {
		return err, nil
	}
	err = session.Fetch(ctx, wants, func(_ mail.Folder, _ mail.Item, body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return err
	}, func(mail.Folder, mail.Item, *fault.Error) {})
	if err != nil {
		return err, nil
	}
	return session.Leave(ctx), nil
}

// trapped visits a server with a trap and returns what ended the connection
// that fell into it.
func trapped(t *testing.T, p wire.Patience, protocol remote.Protocol, at string, tr trap, served func(int)) error {
	t.Helper()
	r := &remoteStub{protocol: protocol, at: at, folders: 1, messages: 2, body: 100, sasl: at == string(wire.PopAUTH)}
	r.trap = func(c net.Conn) { tr.spring(c, served) }
	security := remote.None
	var ca *mailtest.CA
	if at == atSTARTTLS || at == string(wire.PopSTLS) || at == atHandshake {
		security, ca = remote.STARTTLS, mailtest.NewCA(t)
		r.starttls = ca.Server().Config()
	}
	a := remote.Mailbox{Protocol: protocol, Server: remote.Server{
		Host: "localhost", Port: r.start(t),
		Security: security,
	}}
	session, err := patient(ca, p).Open(t.Context(), a, credential("anna", testSecret))
	if err != nil {
		return err
	}
	err, first := goThrough(t.Context(), session)
	if wire.GivenUp(first) && !wire.GivenUp(err) {
		t.Errorf("the session was given up by %v, and returned %v", first, err)
	}
	return first
}

func TestNoServerKeepsAVisitWithWords(t *testing.T) {
	const (
		never = -1
		floor = 1 << 20 // More than any drip.
	)
	for _, limited := range []struct {
		name    string
		p       wire.Patience
		outcome error
	}{
		{
			"by a command's time",
			wire.Patience{Idle: time.Hour, Command: limit, Progress: never, Session: never, Floor: floor},
			wire.ErrTooSlow,
		},
		{
			"without progress",
			wire.Patience{Idle: time.Hour, Command: never, Progress: limit, Session: never, Floor: floor},
			wire.ErrNoProgress,
		},
		{
			"by a session's time",
			wire.Patience{Idle: time.Hour, Command: never, Progress: never, Session: limit, Floor: floor},
			wire.ErrTooLong,
		},
		{"by silence", wire.Patience{Idle: limit, Command: never, Progress: never, Session: never}, errSilence},
	} {
		for _, phase := range traps {
			for i, tr := range phase.traps {
				if wire.GivenUp(limited.outcome) && i < len(phase.traps)-1 {
					continue // What is distinguished is so by the command's time.
				}
				outcome := tr.outcome
				if (outcome == errSilence) != (limited.outcome == errSilence) {
					continue // Silence ends by its own limit first, words do not.
				}
				p := limited.p
				switch outcome {
				case wire.ErrTooSlow:
					outcome = limited.outcome
				case nil:
					p = wire.Patience{}
				}
				t.Run(fmt.Sprintf("%s/%s/%s/%s", limited.name, phase.protocol, phase.at, tr.name), func(t *testing.T) {
					t.Parallel()
					err := trapped(t, p, phase.protocol, phase.at, tr, nil)
					code := fault.CodeOf(err)
					switch outcome {
					case nil:
						if code != fault.ProtocolError {
							t.Errorf("it ended by %v", err)
						}
						return
					case errSilence:
						if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, wire.ErrTooSlow) || wire.GivenUp(err) {
							t.Errorf("it ended by %v", err)
						}
					default:
						if !errors.Is(err, outcome) {
							t.Errorf("it ended by %v, want %v", err, outcome)
						}
						if bound := fault.Of(err).Limit; bound != (outcome == wire.ErrTooLong) {
							t.Errorf("a bound of ours: %v; it ended by %v", bound, err)
						}
					}
					if code != fault.ConnectTimeout && code != fault.ServerUnavailable || !code.Retryable() {
						t.Errorf("it is reported as %s", code)
					}
				})
			}
		}
	}
}

// The control for the whole of it: where only silence is a limit, a server that
// talks is listened to for as long as it likes.
func TestAVisitWithoutACommandsTimeIsKept(t *testing.T) {
	unlimited := wire.Patience{Idle: time.Hour, Command: -1, Progress: -1, Session: -1}
	for _, tc := range []struct {
		protocol remote.Protocol
		at       string
		trap     trap
	}{
		{remote.IMAP, atList, chatter},
		{remote.IMAP, atListing, chatter},
		{remote.IMAP, atBody, newMail},
		{remote.POP3, string(wire.PopUIDL), junk},
		{remote.POP3, string(wire.PopRETR), drip},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", tc.protocol, tc.at, tc.trap.name), func(t *testing.T) {
			t.Parallel()
			r := &remoteStub{protocol: tc.protocol, at: tc.at, folders: 1, messages: 2, body: 100}
			kept := make(chan struct{})
			r.trap = func(c net.Conn) {
				tc.trap.spring(c, func(n int) {
					if n == 3*int(limit/dripEvery) { // Three times what ends it elsewhere.
						close(kept)
					}
				})
			}
			server := remote.Server{Host: "localhost", Port: r.start(t), Security: remote.None}
			session, err := patient(nil, unlimited).Open(t.Context(), remote.Mailbox{Protocol: tc.protocol, Server: server},
				credential("anna", testSecret))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				err, _ := goThrough(t.Context(), session)
				ended <- err
			}()
			select {
			case err := <-ended:
				t.Errorf("it ended all the same: %v", err)
			case <-kept:
				session.Close()
				<-ended
			}
		})
	}
}

// Over a connection after the other a server would have a command's time again.
func TestProgressIsCountedOverAllConnections(t *testing.T) {
	for protocol, at := range map[remote.Protocol]string{remote.IMAP: atExamine, remote.POP3: string(wire.PopRETR)} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			r := &remoteStub{protocol: protocol, at: at, folders: 1000, messages: 20, body: 100}
			r.trap = func(c net.Conn) { drip.spring(c, nil) }
			server := remote.Server{Host: "localhost", Port: r.start(t), Security: remote.None}
			p := wire.Patience{Idle: time.Hour, Command: limit, Progress: 4 * limit, Session: -1, Floor: 1 << 20}
			session, err := patient(nil, p).Open(t.Context(), remote.Mailbox{Protocol: protocol, Server: server}, credential(
				"anna", testSecret))
			if err != nil {
				t.Fatal(err)
			}
			err, first := goThrough(t.Context(), session)
			if !errors.Is(first, wire.ErrTooSlow) || !errors.Is(err, wire.ErrNoProgress) {
				t.Errorf("the first connection ended by %v, the visit by %v", first, err)
			}
		})
	}
}

func TestAHandshakeThatIsDraggedOutEnds(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.IMAP, remote.POP3} {
		for _, tr := range []trap{silence, drip, {"a record, an octet at a time", "\x16\x03\x03\x40\x00", "x", nil}} {
			t.Run(fmt.Sprintf("%s/%s", protocol, tr.name), func(t *testing.T) {
				t.Parallel()
				p := wire.Patience{Idle: limit, Command: limit, Progress: limit, Session: -1}
				err := trapped(t, p, protocol, atHandshake, tr,
					nil)
				if code := fault.CodeOf(err); code != fault.ConnectTimeout && code != fault.TLSFailure {
					t.Errorf("it ended by %v", err)
				}
			})
		}
	}
}

// Servers that are slow and honest, by the default limits, on a clock of their
// own.
func TestASlowServerThatDoesWhatItIsAskedIsWaitedFor(t *testing.T) {
	after := func(pauses map[string]time.Duration) func(string) {
		return func(phase string) {
			d := pauses[phase]
			if !strings.HasSuffix(phase, part) {
				d += 40 * time.Millisecond // On its way.
			}
			time.Sleep(d)
		}
	}
	for _, tc := range []struct {
		name   string
		remote remoteStub
	}{
		{"IMAP, 40 ms away", remoteStub{protocol: remote.IMAP, folders: 50, messages: 20, body: 2000}},
		{"POP3, 40 ms away", remoteStub{protocol: remote.POP3, messages: 500, body: 2000}},
		{"IMAP, folders of which nobody has asked for long", remoteStub{
			protocol: remote.IMAP, folders: 30, messages: 20, body: 2000,
			pause: after(map[string]time.Duration{
				atLogin: 15 * time.Second, atStatus: 10 * time.Second,
				atExamine: 50 * time.Second, atBody: 10 * time.Second,
			}),
		}},
		{"IMAP, one that says that it is still at it", remoteStub{
			protocol: remote.IMAP, folders: 2, messages: 20, body: 2000,
			pause: after(map[string]time.Duration{atExamine: 40 * time.Second}),
			chatter: func(w io.Writer) {
				for range 3 {
					time.Sleep(8 * time.Second)
					io.WriteString(w, "* OK Still here\r\n")
				}
			},
		}},
		{"IMAP, 100,000 messages, 200 listed in a second", remoteStub{
			protocol: remote.IMAP, messages: 100_000,
			pause: after(map[string]time.Duration{atListing: 30 * time.Second, atListing + part: 5 * time.Millisecond}),
		}},
		{"POP3, 100,000 messages, 100 listed in a second", remoteStub{
			protocol: remote.POP3, messages: 100_000,
			pause: after(map[string]time.Duration{string(wire.PopLIST): 30 * time.Second, string(wire.PopLIST) +
				part: 10 * time.Millisecond, string(wire.PopUIDL) + part: 10 * time.Millisecond}),
		}},
		{"IMAP, 50 MB at 20 KiB/s", remoteStub{
			protocol: remote.IMAP, messages: 1, body: 50_000_000,
			pause: after(map[string]time.Duration{atBody + part: time.Second / 20}),
		}},
		{"POP3, 50 MB at 20 KiB/s", remoteStub{
			protocol: remote.POP3, messages: 1, body: 50_000_000,
			pause: after(map[string]time.Duration{string(wire.PopRETR) + part: time.Second / 20}),
		}},
		{"POP3, from a tape", remoteStub{
			protocol: remote.POP3, messages: 200, body: 2000,
			pause: after(map[string]time.Duration{"PASS": 40 * time.Second, "RETR": 15 * time.Second}),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := tc.remote
				if r.pause == nil {
					r.pause = after(nil)
				}
				ours, theirs := net.Pipe()
				var serving sync.WaitGroup
				serving.Go(func() { r.serve(buffered(theirs)) })
				defer serving.Wait()
				session := piping(t, ours, r.protocol)
				if err, first := goThrough(t.Context(), session); err != nil || wire.GivenUp(first) ||
					errors.Is(first, os.ErrDeadlineExceeded) {
					t.Errorf("it ended by %v, its connection by %v", err, first)
				}
			})
		})
	}
}

// bufferedConn takes what is sent to it at once, as a network does.
type bufferedConn struct {
	net.Conn
	sent chan []byte
	rest []byte
}

func buffered(c net.Conn) net.Conn {
	b := &bufferedConn{Conn: c, sent: make(chan []byte, 10_000)}
	go func() {
		defer close(b.sent)
		for {
			p := make([]byte, 4<<10)
			n, err := c.Read(p)
			if n > 0 {
				b.sent <- p[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return b
}

// Read implements net.Conn.
func (b *bufferedConn) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		var more bool
		if b.rest, more = <-b.sent; !more {
			return 0, io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// piping signs in over a connection that there is; there is no other.
func piping(t *testing.T, conn net.Conn, protocol remote.Protocol) *Session {
	t.Helper()
	c := New(Options{})
	cred := credential("anna", testSecret)
	server, pace := remote.Server{Security: remote.None}, wire.NewSessionPace(wire.Patience{})
	l := wire.NewLink(conn, server, wire.LinkLimits{Allow: wire.Reading()}, pace)
	if protocol == remote.POP3 {
		s := &pop3Session{
			client: c, server: server, cred: cred, link: l, pace: pace, release: func() {},
			file: &pageFile{},
		}
		if err := s.start(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		return &Session{s}
	}
	signedIn, err := signInIMAP(t.Context(), c, wire.NewSigner(nil, remote.Mailbox{}), l, cred, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	signedIn.quirks = &imapQuirks{}
	none := func(context.Context) (*imapConn, error) { return nil, l.Failure() }
	return &Session{&imapSession{
		connect: none, owner: c, cred: cred, quirks: signedIn.quirks, conn: signedIn,
		listings: c.collector(),
	}}
}
