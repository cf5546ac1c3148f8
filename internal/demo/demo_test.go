package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *Provider {
	t.Helper()
	p, err := Start(t.Context(), Options{Dir: t.TempDir(), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return p
}

func account(t *testing.T, p *Provider, protocol string) Account {
	t.Helper()
	for _, a := range p.Accounts() {
		if a.Protocol == protocol {
			return a
		}
	}
	t.Fatalf("no %s account", protocol)
	return Account{}
}

func dial(t *testing.T, p *Provider, a Account) net.Conn {
	t.Helper()
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", net.JoinHostPort(a.Host, fmt.Sprint(a.Port)), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func login(t *testing.T, p *Provider) *imapclient.Client {
	t.Helper()
	a := account(t, p, "imap")
	c := imapclient.New(dial(t, p, a), nil)
	t.Cleanup(func() { c.Close() })
	if err := c.Login(a.Username, a.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// held returns what the provider holds for an account.
func held(p *Provider, a Account) []Message {
	return slices.DeleteFunc(p.Messages(), func(m Message) bool { return m.Email != a.Email })
}

func TestIMAPServesEveryMessageByteForByte(t *testing.T) {
	p := start(t)
	c := login(t, p)
	folders, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{
		NumMessages: true, UIDNext: true,
		UIDValidity: true,
	}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var got []Message
	for _, f := range folders {
		sel, err := c.Select(f.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if f.Status == nil || *f.Status.NumMessages != sel.NumMessages || f.Status.UIDNext != sel.UIDNext ||
			f.Status.UIDValidity != sel.UIDValidity {
			t.Errorf("%s: LIST says %+v, EXAMINE says %+v", f.Mailbox, f.Status, sel)
		}
		if sel.NumMessages == 0 {
			continue
		}
		all := imap.UIDSet{}
		all.AddRange(1, 0)
		msgs, err := c.Fetch(all, &imap.FetchOptions{
			UID: true, Flags: true, InternalDate: true, RFC822Size: true,
			BodySection: []*imap.FetchItemBodySection{{Peek: true}},
		}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			body := m.FindBodySection(&imap.FetchItemBodySection{Peek: true})
			if m.RFC822Size != int64(len(body)) {
				t.Errorf("%s: message %d has %d octets, its size says %d", f.Mailbox, m.UID, len(body), m.RFC822Size)
			}
			var flags []string
			for _, fl := range m.Flags {
				flags = append(flags, string(fl))
			}
			got = append(got, Message{Folder: f.Mailbox, UID: uint32(m.UID), Data: body, Flags: flags, Date: m.InternalDate})
		}
	}
	want := held(p, account(t, p, "imap"))
	if len(got) != len(want) || len(got) < 15 {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Folder != w.Folder || g.UID != w.UID || !bytes.Equal(g.Data, w.Data) || !slices.Equal(g.Flags, w.Flags) ||
			!g.Date.Equal(w.Date) {
			t.Errorf("%s %d differs: flags %q, want %q; date %v, want %v", w.Folder, w.UID, g.Flags, w.Flags, g.Date, w.Date)
		}
	}
}

func TestIMAPListsTheTreeWithSpecialUse(t *testing.T) {
	p := start(t)
	folders, err := login(t, p).List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnChildren: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]imap.MailboxAttr{}
	for _, f := range folders {
		got[f.Mailbox] = f.Attrs
	}
	for name, attr := range map[string]imap.MailboxAttr{
		"INBOX": imap.MailboxAttrHasNoChildren, "Sent": imap.MailboxAttrSent, "Drafts": imap.MailboxAttrDrafts,
		"Spam":    imap.MailboxAttrJunk,
		"Archive": imap.MailboxAttrHasChildren, "Archive/2024": imap.MailboxAttrHasNoChildren,
		"Faktury": imap.MailboxAttrHasNoChildren,
		"Wysłane": imap.MailboxAttrHasNoChildren, "Zażółć gęślą jaźń": imap.MailboxAttrHasNoChildren,
	} {
		if !slices.Contains(got[name], attr) {
			t.Errorf("%s has %v, want %v among them", name, got[name], attr)
		}
	}
}

func TestIMAPReadsPartsAndSearches(t *testing.T) {
	p := start(t)
	c := login(t, p)
	sel, err := c.Select("inbox", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	first := held(p, account(t, p, "imap"))
	first = slices.DeleteFunc(first, func(m Message) bool { return m.Folder != "INBOX" })
	for _, tc := range []struct {
		name    string
		section imap.FetchItemBodySection
		want    func(data []byte) []byte
	}{
		{"a range", imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 5, Size: 9}}, func(d []byte) []byte {
			return d[5:14]
		}},
		{
			"a range beyond the end",
			imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 1 << 30, Size: 9}},
			func([]byte) []byte {
				return []byte{}
			},
		},
		{"the header", imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader}, func(d []byte) []byte {
			return d[:bytes.Index(d, []byte("\r\n\r\n"))+4]
		}},
	} {
		msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{
			&tc.section,
		}}).Collect()
		if err != nil || len(msgs) != 1 {
			t.Fatalf("%s: %v, %d messages", tc.name, err, len(msgs))
		}
		if got, want := msgs[0].FindBodySection(&tc.section), tc.want(first[0].Data); !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	var unseen []imap.UID
	for _, m := range first {
		if !slices.Contains(m.Flags, string(imap.FlagSeen)) {
			unseen = append(unseen, imap.UID(m.UID))
		}
	}
	if got := found.AllUIDs(); !slices.Equal(got, unseen) || len(got) == 0 || len(got) == int(sel.NumMessages) {
		t.Errorf("unseen are %v, want %v", got, unseen)
	}
}

func TestIMAPChangesNothing(t *testing.T) {
	p := start(t)
	c := login(t, p)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	one := imap.SeqSetNum(1)
	for name, do := range map[string]func() error{
		"STORE":  c.Store(one, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close,
		"COPY":   func() error { _, err := c.Copy(one, "Sent").Wait(); return err },
		"CREATE": c.Create("New", nil).Wait,
		"DELETE": c.Delete("Sent").Wait,
		"RENAME": c.Rename("Sent", "New", nil).Wait,
	} {
		var ie *imap.Error
		if err := do(); !errors.As(err, &ie) || ie.Code != imap.ResponseCodeNoPerm {
			t.Errorf("%s: %v, want NOPERM", name, err)
		}
	}
}

func TestIMAPRefusesAWrongPassword(t *testing.T) {
	p := start(t)
	a := account(t, p, "imap")
	for _, bad := range [][2]string{
		{a.Username, "wrong"},
		{"eve", a.Password},
		{a.Username, ""},
		{account(t, p, "pop3").Username, account(t, p, "pop3").Password},
	} {
		c := imapclient.New(dial(t, p, a), nil)
		err := c.Login(bad[0], bad[1]).Wait()
		var ie *imap.Error
		if !errors.As(err, &ie) || ie.Code != imap.ResponseCodeAuthenticationFailed {
			t.Errorf("%q: %v, want AUTHENTICATIONFAILED", bad[0], err)
		}
		c.Close()
	}
}

func TestNewMailShowsInAnOpenFolder(t *testing.T) {
	p := start(t)
	c := login(t, p)
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	before := sel.NumMessages
	var arrived uint32
	for arrived == 0 {
		for _, a := range p.Deliver(1) {
			if a.Folder == "INBOX" && a.Email == account(t, p, "imap").Email {
				arrived++
			}
		}
	}
	if err := c.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	if got := c.Mailbox().NumMessages; got != before+arrived {
		t.Errorf("%d messages, want %d", got, before+arrived)
	}
	status, err := c.Status("INBOX", &imap.StatusOptions{UIDNext: true}).Wait()
	if err != nil || status.UIDNext != imap.UID(before+arrived+1) {
		t.Errorf("STATUS says %+v, %v", status, err)
	}
}

// pop3 is a POP3 client of a few lines.
type pop3 struct {
	*textproto.Conn
	t *testing.T
}

func openPOP3(t *testing.T, p *Provider) pop3 {
	t.Helper()
	c := pop3{textproto.NewConn(dial(t, p, account(t, p, "pop3"))), t}
	c.want("+OK")
	return c
}

func (c pop3) want(prefix string) string {
	c.t.Helper()
	line, err := c.ReadLine()
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("it says %q, %v, want %q", line, err, prefix)
	}
	return line
}

func (c pop3) ask(prefix, format string, args ...any) string {
	c.t.Helper()
	if err := c.PrintfLine(format, args...); err != nil {
		c.t.Fatal(err)
	}
	return c.want(prefix)
}

func (c pop3) lines() []string {
	c.t.Helper()
	var all []string
	for {
		line, err := c.R.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line == ".\r\n" {
			return all
		}
		all = append(all, strings.TrimPrefix(line, "."))
	}
}

func TestPOP3ServesEveryMessageByteForByte(t *testing.T) {
	p := start(t)
	a := account(t, p, "pop3")
	want := held(p, a)
	c := openPOP3(t, p)
	c.ask("+OK", "CAPA")
	capa := c.lines()
	for _, s := range []string{"UIDL\r\n", "TOP\r\n", "PIPELINING\r\n", "USER\r\n"} {
		if !slices.Contains(capa, s) {
			t.Errorf("CAPA lacks %q", s)
		}
	}
	c.ask("+OK", "USER %s", a.Username)
	c.ask("+OK", "PASS %s", a.Password)
	total := 0
	for _, m := range want {
		total += len(m.Data)
	}
	if got := c.ask("+OK", "STAT"); got != fmt.Sprintf("+OK %d %d", len(want), total) {
		t.Errorf("STAT says %q", got)
	}
	c.ask("+OK", "LIST")
	sizes := c.lines()
	c.ask("+OK", "UIDL")
	names := c.lines()
	if len(sizes) != len(want) || len(names) != len(want) {
		t.Fatalf("LIST has %d lines, UIDL %d, want %d", len(sizes), len(names), len(want))
	}
	// All at once: it says that it can.
	for i := range want {
		if err := c.PrintfLine("RETR %d", i+1); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range want {
		c.want("+OK")
		if got := strings.Join(c.lines(), ""); got != string(m.Data) {
			t.Errorf("message %d differs: %q, want %q", i+1, got, m.Data)
		}
		if sizes[i] != fmt.Sprintf("%d %d\r\n", i+1, len(m.Data)) {
			t.Errorf("LIST says %q", sizes[i])
		}
	}
	c.ask("+OK", "TOP 1 1")
	header, body, _ := strings.Cut(strings.Join(c.lines(), ""), "\r\n\r\n")
	if !strings.HasPrefix(string(want[0].Data), header) || strings.Count(body, "\r\n") != 1 {
		t.Errorf("TOP 1 1 gives %q and %q", header, body)
	}
	c.ask("-ERR", "DELE 1")
	c.ask("-ERR", "RETR 0")
	c.ask("-ERR", "RETR 99")
	c.ask("-ERR", "XYZZY")
	c.ask("+OK", "RSET")
	c.ask("+OK", "QUIT")
	if _, err := c.ReadLine(); !errors.Is(err, io.EOF) {
		t.Errorf("after QUIT: %v, want the end", err)
	}
	again := openPOP3(t, p)
	again.ask("+OK", "USER %s", a.Username)
	again.ask("+OK", "PASS %s", a.Password)
	again.ask("+OK", "UIDL")
	if got := again.lines(); !slices.Equal(got, names) {
		t.Errorf("UIDL changed from %q to %q", names, got)
	}
}

func TestPOP3RefusesAWrongPasswordThreeTimes(t *testing.T) {
	p := start(t)
	c := openPOP3(t, p)
	c.ask("-ERR", "STAT")
	for range 3 {
		c.ask("+OK", "USER %s", account(t, p, "pop3").Username)
		c.ask("-ERR [AUTH]", "PASS wrong")
	}
	if _, err := c.ReadLine(); !errors.Is(err, io.EOF) {
		t.Errorf("after three: %v, want the end", err)
	}
}

func TestPOP3EndsAtALineWithoutEnd(t *testing.T) {
	p := start(t)
	c := openPOP3(t, p)
	if _, err := io.WriteString(c.W, strings.Repeat("x", 4096)); err != nil {
		t.Fatal(err)
	}
	c.W.Flush()
	if line, err := c.ReadLine(); err == nil && !strings.HasPrefix(line, "-ERR") {
		t.Errorf("it says %q", line)
	}
}

// Every sample must be mail that a person can read in any program.
func TestSamplesAreWellFormedMail(t *testing.T) {
	p := start(t)
	p.Deliver(100)
	attachments := 0
	for _, m := range p.Messages() {
		if bytes.Contains(bytes.ReplaceAll(m.Data, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%s %d has a bare LF", m.Folder, m.UID)
		}
		msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatalf("%s %d: %v", m.Folder, m.UID, err)
		}
		for _, field := range []string{"From", "To"} {
			if _, err := msg.Header.AddressList(field); err != nil {
				t.Errorf("%s %d: %s: %v", m.Folder, m.UID, field, err)
			}
		}
		if _, err := msg.Header.Date(); err != nil || msg.Header.Get("Message-ID") == "" {
			t.Errorf("%s %d: date %v, Message-ID %q", m.Folder, m.UID, err, msg.Header.Get("Message-ID"))
		}
		if s, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil || s == "" {
			t.Errorf("%s %d: subject %q, %v", m.Folder, m.UID, s, err)
		}
		kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		if err != nil {
			t.Fatalf("%s %d: %v", m.Folder, m.UID, err)
		}
		if strings.HasPrefix(kind, "multipart/") {
			parts := 0
			for r := multipart.NewReader(msg.Body, params["boundary"]); ; parts++ {
				part, err := r.NextPart()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s %d: %v", m.Folder, m.UID, err)
				}
				if part.FileName() != "" {
					attachments++
				}
			}
			if parts != 2 {
				t.Errorf("%s %d has %d parts", m.Folder, m.UID, parts)
			}
		}
	}
	if attachments == 0 {
		t.Error("no attachment anywhere")
	}
}

func TestTwoProvidersRunAtOnce(t *testing.T) {
	a, b := start(t), start(t)
	login(t, a)
	login(t, b)
	if account(t, a, "imap").Port == account(t, b, "imap").Port {
		t.Error("both have one port")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	p, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p, account(t, p, "imap"))
	openPOP3(t, p)
	login(t, p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Log("the connection ended with a goodbye") // Either is an end.
	}
	if _, err := os.Stat(p.CAFile); !os.IsNotExist(err) {
		t.Errorf("the CA's file is still there: %v", err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("localhost:%d", account(t, p, "imap").Port)); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	if err := p.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestItEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p, account(t, p, "pop3"))
	cancel()
	io.ReadAll(c) // Ends because the provider does.
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestTrickleDeliversUntilItsContextEnds(t *testing.T) {
	p := start(t)
	before := len(p.Messages())
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	p.Trickle(ctx, time.Millisecond, func(a Arrival) {
		if a.Subject == "" || a.Size == 0 || a.Folder == "" {
			t.Errorf("arrived: %+v", a)
		}
		if n++; n == 3 {
			cancel()
		}
	})
	if got := len(p.Messages()); n < 3 || got != before+n {
		t.Errorf("%d messages after %d arrivals, %d before", got, n, before)
	}
}

func FuzzPOP3Command(f *testing.F) {
	for _, s := range []string{
		"USER jan", "PASS x", "RETR 1", "TOP 1 0", "TOP 1", "LIST 99999999999999999999", "UIDL -1",
		"CAPA", "", " ", "QUIT", "top 1 9",
	} {
		f.Add(s)
	}
	u := newUser("jan", "x")
	u.add("INBOX", janSamples()[0].message("jan", time.Unix(1700000000, 0)))
	f.Fuzz(func(t *testing.T, line string) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		s := newPOP3Session(server, []*user{u})
		var out bytes.Buffer
		s.w.Reset(&out)
		s.command("USER jan")
		s.command("PASS x")
		out.Reset()
		s.command(line)
		s.flush()
		if got := out.String(); !strings.HasPrefix(got, "+OK") && !strings.HasPrefix(got, "-ERR") ||
			!strings.HasSuffix(got, "\r\n") {
			t.Errorf("%q is answered by %q", line, got)
		}
	})
}
