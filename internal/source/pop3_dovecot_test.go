package source

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// readPOP3 reads a maildrop to its end, by the methods of a Session, and
// returns how often each message came, and the listing.
func readPOP3(ctx context.Context, t *testing.T, c *Client, s remote.Server) (sums map[string]int, items []mail.Item) {
	t.Helper()
	return readKnownPOP3(ctx, t, c, remote.Mailbox{Server: s, Protocol: remote.POP3})
}

// readKnownPOP3 is readPOP3 for an account of whose server something is remembered.
func readKnownPOP3(ctx context.Context, t *testing.T, c *Client,
	a remote.Mailbox,
) (sums map[string]int, items []mail.Item) {
	t.Helper()
	session, err := c.Open(ctx, a, credential("anna", "sekret"))
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	defer session.Close()
	folders, err := session.Folders(ctx)
	if err != nil || len(folders) != 1 || len(folders[0].Path) != 0 {
		t.Fatalf("folders: %v, %v", folders, err)
	}
	err = session.List(ctx, []mail.Query{{Folder: folders[0]}}, func(l mail.Listing, err error) error {
		if items = l.Items; !l.Complete || len(items) != int(folders[0].Status.Messages) {
			t.Errorf("%d messages listed, complete %v, of %d", len(items), l.Complete, folders[0].Status.Messages)
		}
		return err
	})
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	sums = map[string]int{}
	taken := map[mail.ID]bool{}
	err = session.Fetch(ctx, []mail.Want{{Folder: folders[0], Items: items}}, func(_ mail.Folder, it mail.Item,
		body io.Reader,
	) error {
		h := sha256.New()
		n, err := io.Copy(h, body)
		if err != nil {
			return err
		}
		if taken[it.ID] {
			t.Errorf("message %v came twice", it.ID)
		}
		taken[it.ID] = true
		sums[fmt.Sprintf("%x %d", h.Sum(nil), n)]++
		return nil
	}, func(_ mail.Folder, it mail.Item, why *fault.Error) { t.Errorf("missed %v: %v", it.ID, why) })
	if err != nil {
		t.Fatalf("fetching: %v", err)
	}
	if err := session.Leave(ctx); err != nil {
		t.Errorf("leaving: %v", err)
	}
	return sums, items
}

func expected(msgs []mailtest.Message) map[string]int {
	want := map[string]int{}
	for _, e := range mailtest.ByPOP3(msgs) {
		want[fmt.Sprintf("%x %d", e.SHA[:], e.Size)]++
	}
	return want
}

func TestDovecotsMaildropIsReadWholeAndUnchanged(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{POP3SetsSeen: true})
	msgs := mailtest.Corpus(11, 150, false)
	mailtest.Fill(t, d, "anna", msgs)
	before := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	var first []mail.Item
	for name, a := range map[string]remote.Mailbox{
		"by TLS":  {Server: remote.Server{Host: "localhost", Port: d.POP3S, Security: remote.TLS}},
		"by STLS": {Server: remote.Server{Host: "localhost", Port: d.POP3, Security: remote.STARTTLS}},
		"by none": {Server: remote.Server{Host: "localhost", Port: d.POP3, Security: remote.None}},
		"by TLS and remembered": {
			Server:       remote.Server{Host: "localhost", Port: d.POP3S, Security: remote.TLS},
			Capabilities: dovecotOffers,
		},
		"by STLS and remembered": {
			Server:       remote.Server{Host: "localhost", Port: d.POP3, Security: remote.STARTTLS},
			Capabilities: dovecotOffers,
		},
		"by PLAIN and remembered": {
			Server:       remote.Server{Host: "localhost", Port: d.POP3S, Security: remote.TLS},
			Capabilities: "CAPA PIPELINING SASL-PLAIN TOP UIDL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a.Protocol = remote.POP3
			c := pop3Client(d.CA, false, nil)
			got, items := readKnownPOP3(t.Context(), t, c, a)
			if diff := cmp.Diff(expected(msgs), got); diff != "" {
				t.Errorf("the messages differ (-want +got):\n%s", diff)
			}
			if after := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret"); after != before {
				t.Errorf("the remote changed:\n%s\nwas:\n%s", after, before)
			}
			if first != nil {
				if diff := cmp.Diff(first, items); diff != "" {
					t.Errorf("another listing than before:\n%s", diff)
				}
			}
			first = items
			if n := c.Refused(); n != 0 {
				t.Errorf("%d commands were refused", n)
			}
		})
	}
}

func TestWithoutRSETThisServerWouldHaveMarkedTheMail(t *testing.T) {
	// Else the test above would pass for nothing.
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{POP3SetsSeen: true})
	msgs := mailtest.Corpus(3, 5, false)
	for i := range msgs {
		msgs[i].Flags = ""
	}
	mailtest.Fill(t, d, "anna", msgs)
	before := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	session, err := pop3Client(d.CA, false, nil).Open(t.Context(), remote.Mailbox{Server: remote.Server{
		Host: "localhost", Port: d.POP3S, Security: remote.TLS,
	}, Protocol: remote.POP3}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	w := session.protocol.(*pop3Session).wire
	for n := range msgs {
		if _, err := w.Ask(wire.POP3Command{Verb: wire.PopRETR, Arg: fmt.Sprint(n + 1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, w.Body(1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Ask(wire.POP3Command{Verb: wire.PopQUIT}); err != nil {
		t.Fatal(err)
	}
	if mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret") == before {
		t.Error("RETR and QUIT without RSET changed nothing")
	}
}

func TestABrokenConnectionLosesAndDoublesNothing(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	msgs := mailtest.Corpus(5, 60, false)
	mailtest.Fill(t, d, "anna", msgs)
	want := expected(msgs)
	var total, largest int64
	for _, e := range mailtest.ByPOP3(msgs) {
		total, largest = total+e.Size, max(largest, e.Size)
	}
	for _, security := range []remote.Security{remote.None, remote.TLS} {
		t.Run(string(security), func(t *testing.T) {
			target := map[remote.Security]string{remote.None: d.Addr("pop3"), remote.TLS: d.Addr("pop3s")}[security]
			p := mailtest.StartProxy(t, target)
			p.CutAfter(max(total/5, largest*5/4) + 20_000) // Each connection.
			got, _ := readPOP3(t.Context(), t, pop3Client(d.CA, false, nil), remote.Server{
				Host: "localhost", Port: p.Port(),
				Security: security,
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the messages differ (-want +got):\n%s", diff)
			}
			if n := p.Traffic().Connections; n < 2 {
				t.Errorf("%d connections: nothing was cut", n)
			}
		})
	}
}

func TestAWrongPasswordIsSaidSo(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	_, err := pop3Client(d.CA, false, nil).Open(t.Context(), remote.Mailbox{Server: remote.Server{
		Host: "localhost",
		Port: d.POP3S, Security: remote.TLS,
	}, Protocol: remote.POP3}, credential("anna", "wrong"))
	if fault.CodeOf(err) != fault.AuthFailed {
		t.Errorf("got %v", err)
	}
	_, err = pop3Client(d.CA, false, nil).Open(t.Context(), remote.Mailbox{Server: remote.Server{
		Host: "localhost",
		Port: d.IMAPS, Security: remote.TLS,
	}, Protocol: remote.POP3}, credential("anna", "sekret"))
	if f := fault.Of(err); f == nil || f.Code != fault.ProtocolError ||
		f.Detail.String() != "This port speaks IMAP, not POP3." {
		t.Errorf("POP3 on IMAP's port: %v", err)
	}
}

// Thousands of messages in a few round trips: the questions go ahead.
func TestRoundTripsDoNotGrowWithTheMessages(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	turns := map[int]int{}
	filled := 0
	for _, n := range []int{100, 400} {
		all := mailtest.Corpus(9, 400, false)
		mailtest.Fill(t, d, "anna", all[filled:n])
		filled = n
		p := mailtest.StartProxy(t, d.Addr("pop3"))
		readPOP3(t.Context(), t, pop3Client(nil, false, nil), remote.Server{
			Host: "localhost", Port: p.Port(),
			Security: remote.None,
		})
		turns[n] = p.Traffic().Turns
	}
	if turns[400] > turns[100]+60 {
		t.Errorf("round trips by messages: %v", turns)
	}
}

// dovecotOffers is what is remembered of Dovecot.
const dovecotOffers = "CAPA PIPELINING SASL-PLAIN TOP UIDL USER"

func TestAVisitThatRemembersItsServerWaitsForOneAnswerBehindTheGreeting(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(9, 20, false))
	a := remote.Mailbox{Protocol: remote.POP3}
	for _, tc := range []struct {
		connection string
		turns      int
	}{
		{"the first", 2}, // CAPA; the rest.
		{"a later one", 1},
	} {
		t.Run(tc.connection, func(t *testing.T) {
			p := mailtest.StartProxy(t, d.Addr("pop3"))
			a.Server = remote.Server{Host: "localhost", Port: p.Port(), Security: remote.None}
			session, err := pop3Client(nil, false, nil).Open(t.Context(), a, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			folders, err := session.Folders(t.Context())
			if err != nil || folders[0].Status.Messages != 20 {
				t.Fatalf("%+v, %v", folders, err)
			}
			if items := listEverything(t, session)[0].Items; len(items) != 20 {
				t.Errorf("%d messages listed", len(items))
			}
			if n := p.Traffic().Turns; n != tc.turns {
				t.Errorf("%d answers were waited for, want %d", n, tc.turns)
			}
			if a.Capabilities = session.Capabilities(); a.Capabilities != dovecotOffers {
				t.Errorf("it offers %q", a.Capabilities)
			}
			if err := session.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
