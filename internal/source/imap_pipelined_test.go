package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// gate passes connections on to a server in plaintext. From the moment at which
// the client has sent the first word of a pair until it has sent the second, it
// lets nothing of what the server says through: a client that waits in between
// waits for ever.
type gate struct {
	l     net.Listener
	pairs [][2]string

	mu   sync.Mutex
	turn sync.Cond
	shut string // What opens it; "": it is open.
	said string // By the client, since it was opened.
}

func (g *gate) port() int { return g.l.Addr().(*net.TCPAddr).Port }

func startGate(t *testing.T, server string, pairs ...[2]string) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{l: l, pairs: pairs}
	g.turn.L = &g.mu
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return g
}

func (g *gate) pass(client net.Conn, server string) {
	s, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := client.Read(b)
			g.see(b[:n])
			if _, werr := s.Write(b[:n]); err != nil || werr != nil {
				g.see(nil)
				s.Close()
				return
			}
		}
	})
	b := make([]byte, 4096)
	for {
		n, err := s.Read(b)
		g.mu.Lock()
		for g.shut != "" {
			g.turn.Wait()
		}
		g.mu.Unlock()
		if _, werr := client.Write(b[:n]); err != nil || werr != nil {
			break
		}
	}
	client.Close()
	wg.Wait()
}

// see takes what the client says; nothing is its end.
func (g *gate) see(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.turn.Broadcast()
	if len(b) == 0 {
		g.shut, g.pairs = "", nil
	}
	for g.said += string(b); ; {
		next := g.shut
		if next == "" && len(g.pairs) > 0 {
			next = g.pairs[0][0]
		}
		_, rest, found := strings.Cut(g.said, next)
		if next == "" || !found {
			return
		}
		g.said = rest
		if g.shut != "" {
			g.shut = ""
		} else {
			g.shut, g.pairs = g.pairs[0][1], g.pairs[1:]
		}
	}
}

// reach returns how a server is reached at a port of loopback.
func reach(security remote.Security, port int, known string) remote.Mailbox {
	server := remote.Server{Host: "localhost", Port: port, Security: security}
	return remote.Mailbox{Server: server, Protocol: remote.IMAP, Capabilities: known}
}

// news reads the last n messages of the inbox, 0 for all, and describes them by
// UID. between, which may be nil, is called when they are listed.
func news(ctx context.Context, session *Session, n uint32, between func(mail.Query) error) (map[uint32]string, error) {
	folders, err := session.Folders(ctx)
	if err != nil {
		return nil, err
	}
	q := mail.Query{Folder: folders[0]}
	if n > 0 {
		q.From = q.Folder.Status.UIDNext - n
	}
	var want mail.Want
	err = session.List(ctx, []mail.Query{q}, func(l mail.Listing, err error) error {
		want = mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items}
		return err
	})
	if err == nil && between != nil {
		err = between(q)
	}
	if err != nil {
		return nil, err
	}
	slices.Reverse(want.Items) // Newest first, as the engine has it.
	got := map[uint32]string{}
	var missed error
	err = session.Fetch(ctx, []mail.Want{want}, func(_ mail.Folder, it mail.Item, body io.Reader) error {
		h := sha256.New()
		if _, err := io.Copy(h, body); err != nil {
			return fmt.Errorf("staging: %w", err)
		}
		if got[it.ID.UID] != "" {
			return fmt.Errorf("%d came twice", it.ID.UID)
		}
		got[it.ID.UID] = fmt.Sprintf("%d %x", it.Size, h.Sum(nil))
		return nil
	}, func(_ mail.Folder, it mail.Item, why *fault.Error) { missed = errors.Join(missed, why) })
	return got, errors.Join(err, missed)
}

// last returns the messages with the highest UIDs.
func last(all map[uint32]string, n int) map[uint32]string {
	uids := slices.Sorted(maps.Keys(all))
	some := map[uint32]string{}
	for _, uid := range uids[len(uids)-n:] {
		some[uid] = all[uid]
	}
	return some
}

// A visit with a few new messages waits for the greeting, for the folders, and
// for listing and bodies together; servers answer as if all had been waited for.
func TestServersAnswerWhatIsAskedAhead(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start func(t *testing.T) *mailtest.Server
	}{
		{"Dovecot", func(t *testing.T) *mailtest.Server {
			return &mailtest.StartDovecot(t, mailtest.DovecotOptions{}).Server
		}},
		{"Cyrus", func(t *testing.T) *mailtest.Server { return &mailtest.StartCyrus(t, mailtest.CyrusOptions{}).Server }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.start(t)
			mailtest.Append(t, s.Addr("imaps"), s.CA.Client(), "anna", "sekret", mailtest.Corpus(5, 40, false))
			before := mailtest.Snapshot(t, s.Addr("imaps"), s.CA.Client(), "anna", "sekret")
			first, err := loopback(s.CA, nil).Open(t.Context(), reach(remote.TLS, s.IMAPS, ""), credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			all, err := news(t.Context(), first, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			known := first.Capabilities()
			g := startGate(t, s.Addr("imap"), [2]string{" LOGIN ", " RETURN (STATUS "}, [2]string{
				" EXAMINE ",
				" (UID BODY.PEEK[])",
			})
			var mu sync.Mutex
			var said []string
			c := loopback(s.CA, func(o *Options) {
				o.Transcript = func(line string) {
					mu.Lock()
					defer mu.Unlock()
					if rest, ours := strings.CutPrefix(line, "C: "); ours {
						said = append(said, strings.Fields(rest)[1])
					}
				}
			})
			session, err := c.Open(t.Context(), reach(remote.None, g.port(), known), credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			got, err := news(t.Context(), session, 10, nil)
			if diff := cmp.Diff(last(all, 10), got); diff != "" || err != nil {
				t.Errorf("%d messages, %v (-want +got):\n%s", len(got), err, diff)
			}
			if err := session.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			if words := strings.Join(said, " "); words != "LOGIN ID NAMESPACE LIST EXAMINE UID EXAMINE UID LOGOUT" {
				t.Errorf("the client said: %s", words)
			}
			if now := session.Capabilities(); now != known || !strings.HasPrefix(now, "LIST-STATUS NAMESPACE") {
				t.Errorf("remembered %q, and then %q", known, now)
			}
			if after := mailtest.Snapshot(t, s.Addr("imaps"), s.CA.Client(), "anna", "sekret"); after != before {
				t.Errorf("the remote changed:\n%s\nwas:\n%s", after, before)
			}
		})
	}
}

// Whatever is called between List and Fetch, each message comes once, and a
// session that ends in between leaves nothing running.
func TestAnythingMayComeBetweenListAndFetch(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(3, 30, false))
	large := mailtest.Message{Folder: "INBOX", Date: time.Unix(1e9, 0), Data: []byte("Subject: large\n\n" + strings.Repeat(
		strings.Repeat("x", 70)+"\n", 40_000))}
	all := map[uint32]string{}
	var session *Session
	open := func(t *testing.T) {
		var err error
		session, err = loopback(d.CA, nil).Open(t.Context(), reach(remote.TLS, d.IMAPS, ""), credential("anna", "sekret"))
		if err != nil {
			t.Fatal(err)
		}
	}
	take := func(mail.Folder, mail.Item, io.Reader) error { return errors.New("nothing was wanted") }
	miss := func(mail.Folder, mail.Item, *fault.Error) {}
	steps := []struct {
		name string
		do   func(ctx context.Context, q mail.Query) error
		ends bool
	}{
		{"nothing", nil, false},
		{"Folders", func(ctx context.Context, _ mail.Query) error { _, err := session.Folders(ctx); return err }, false},
		{"List", func(ctx context.Context, q mail.Query) error {
			return session.List(ctx, []mail.Query{q, {Folder: q.Folder}}, func(_ mail.Listing, err error) error { return err })
		}, false},
		{"Headers", func(ctx context.Context, q mail.Query) error {
			want := mail.Want{Folder: q.Folder, Validity: q.Folder.Status.UIDValidity, Items: []mail.Item{
				{ID: mail.ID{UID: q.From + 1}},
			}}
			return session.Headers(ctx, []mail.Want{want}, func(mail.Folder, mail.Item, []byte) error { return nil })
		}, false},
		{"a Fetch of nothing", func(ctx context.Context, q mail.Query) error {
			return session.Fetch(ctx, nil, take, miss)
		}, false},
		{"a Fetch of another folder", func(ctx context.Context, q mail.Query) error {
			f := mail.Folder{Wire: "none", Path: []string{"none"}}
			return session.Fetch(ctx, []mail.Want{{Folder: f, Validity: 1, Items: []mail.Item{{ID: mail.ID{UID: q.From}}}}},
				take, miss)
		}, false},
		{"the end of the connection", func(context.Context, mail.Query) error {
			return session.protocol.(*imapSession).conn.link.Close()
		}, false},
		{"Leave", func(ctx context.Context, _ mail.Query) error { return session.Leave(ctx) }, true},
		{"Close", func(context.Context, mail.Query) error { return session.Close() }, true},
	}
	for _, size := range []string{"small", "large"} { // Large is more than is read past.
		if size == "large" {
			mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", []mailtest.Message{large})
		}
		open(t)
		var err error
		if all, err = news(t.Context(), session, 0, nil); err != nil {
			t.Fatal(err)
		}
		session.Close()
		for _, step := range steps {
			t.Run(step.name+", "+size, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				open(t)
				defer session.Close()
				var between func(mail.Query) error
				if step.do != nil {
					between = func(q mail.Query) error { return step.do(t.Context(), q) }
				}
				got, err := news(t.Context(), session, 12, between)
				if step.ends {
					if fault.CodeOf(err) != fault.Interrupted || len(got) > 0 {
						t.Errorf("%d messages over a session that ended, %v", len(got), err)
					}
					return
				}
				if diff := cmp.Diff(last(all, 12), got); diff != "" || err != nil {
					t.Errorf("%d messages, %v (-want +got):\n%s", len(got), err, diff)
				}
			})
		}
	}
}

// Wherever the connection breaks, what was pipelined is taken whole, or asked
// for again, or the visit fails: no message is cut short or comes twice.
func TestWhatIsAskedAheadMayBreakAnywhere(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	before := goleak.IgnoreCurrent()
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(3, 12, false))
	proxy := mailtest.StartProxy(t, d.Addr("imap"))
	var all map[uint32]string
	visit := func(n uint32) (map[uint32]string, error) {
		session, err := loopback(d.CA, nil).Open(t.Context(), reach(remote.None, proxy.Port(), "LIST-STATUS NAMESPACE"),
			credential("anna", "sekret"))
		if err != nil {
			return nil, err
		}
		defer session.Close()
		proxy.Heal()
		return news(t.Context(), session, n, nil)
	}
	all, err := visit(0)
	if err != nil {
		t.Fatal(err)
	}
	start := proxy.Traffic().Down
	if _, err := visit(10); err != nil {
		t.Fatal(err)
	}
	whole := proxy.Traffic().Down - start
	good := 0
	for at := int64(1); at < whole; at += max(whole/150, 1) {
		proxy.CutAfter(at)
		got, err := visit(10)
		if err == nil {
			good++
		} else if len(got) > 0 {
			t.Errorf("cut after %d: %v", at, err)
		}
		if diff := cmp.Diff(last(all, 10), got); err == nil && diff != "" {
			t.Errorf("cut after %d: %d messages (-want +got):\n%s", at, len(got), diff)
		}
		proxy.Heal()
	}
	if good < 100 {
		t.Errorf("%d visits went well", good)
	}
	proxy.Close()
	goleak.VerifyNone(t, before)
}

// A session that ends before anybody asks for its folders leaves nothing
// running, however many the server has told meanwhile.
func TestFoldersNobodyAsksForStandInNobodysWay(t *testing.T) {
	for _, how := range []string{"close", "leave", "list"} {
		t.Run(how, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			var dialogue strings.Builder
			dialogue.WriteString("ALSO TAG LOGOUT => TAG OK bye\\r\\n\nS: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR " +
				"LIST-STATUS] hello\n" +
				"C~ TAG LOGIN *\nC~ TAG LIST *\nS: TAG-1 OK [CAPABILITY IMAP4rev1 LIST-STATUS] in\n")
			for i := range 500 {
				fmt.Fprintf(&dialogue, "S: * LIST () NIL f%d\nS: * STATUS f%d (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)\n", i, i)
			}
			dialogue.WriteString("S: TAG OK -\n")
			if how == "list" {
				dialogue.WriteString("C: TAG EXAMINE \"f1\"\nC~ TAG UID FETCH *\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] -\nS: " +
					"TAG-1 OK -\nS: TAG OK -\n")
			}
			script := mailtest.Play(t, dialogue.String(), mailtest.ScriptOptions{})
			defer script.Close()
			session, err := loopback(nil, nil).Open(t.Context(), reach(remote.None, script.Port(), ""), credential("anna",
				testSecret))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			switch how {
			case "leave":
				err = session.Leave(t.Context())
			case "list":
				err = session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "f1"}}}, func(_ mail.Listing,
					err error,
				) error {
					return err
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Its steps are reported one by one: what fails in the login must not be taken for
// a fault in listing, nor the other way round.
func TestAConnectionTestAsksNothingAhead(t *testing.T) {
	script := mailtest.Play(t, `S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] Dovecot (Debian) ready.
C~ TAG AUTHENTICATE PLAIN *
S: TAG OK [CAPABILITY IMAP4rev1 LIST-STATUS] in
C: TAG LIST "" "*"
S: * LIST () "." INBOX
S: TAG OK -
C~ TAG STATUS "INBOX" *
S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)
S: TAG OK -
C: TAG EXAMINE "INBOX"
S: TAG OK -
ALSO TAG LOGOUT => TAG OK bye\r\n
`, mailtest.ScriptOptions{})
	defer script.Close()
	var steps []remote.StepName
	server := remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None}
	folders, err := loopback(script.CA, func(*Options) {}).Probe(t.Context(), remote.Mailbox{
		Server:   server,
		Protocol: remote.IMAP,
	}, credential("anna", testSecret), func(s remote.Step) {
		steps = append(steps, s.Name)
	})
	if err != nil || len(folders) != 1 {
		t.Errorf("%d folders, after %v: %v", len(folders), steps, err)
	}
}
