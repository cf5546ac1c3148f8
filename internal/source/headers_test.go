package source

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

func headerHash(octets []byte) [16]byte {
	s := mail.NewScanner()
	s.Write(octets)
	return s.Sum().Header
}

// listEverything returns what there is to be read.
func listEverything(t *testing.T, session *Session) (wants []mail.Want) {
	t.Helper()
	folders, err := session.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var queries []mail.Query
	for _, f := range folders {
		if f.Selectable {
			queries = append(queries, mail.Query{Folder: f})
		}
	}
	err = session.List(t.Context(), queries, func(l mail.Listing, err error) error {
		wants = append(wants, mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return wants
}

// The header alone identifies a message as the whole does, whatever is odd about it.
func TestHeadersTellWhatTheWholeMessageTells(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{POP3SetsSeen: true})
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(21, 170, false))
	before := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
	for _, a := range []remote.Mailbox{
		{Protocol: remote.IMAP, Server: remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}},
		{Protocol: remote.POP3, Server: remote.Server{Host: "localhost", Port: d.POP3S, Security: remote.TLS}},
	} {
		t.Run(string(a.Protocol), func(t *testing.T) {
			c := loopback(d.CA, func(o *Options) { o.MaxMessageBytes = 4 << 20 })
			session, err := c.Open(t.Context(), a, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			wants := listEverything(t, session)
			type key struct {
				folder string
				id     mail.ID
			}
			got, want := map[key][16]byte{}, map[key][16]byte{}
			err = session.Headers(t.Context(), wants, func(f mail.Folder, it mail.Item, header []byte) error {
				if _, twice := got[key{f.Wire, it.ID}]; twice {
					t.Errorf("%v of %q came twice", it.ID, f.Wire)
				}
				got[key{f.Wire, it.ID}] = headerHash(header)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = session.Fetch(t.Context(), wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
				octets, err := io.ReadAll(body)
				want[key{f.Wire, it.ID}] = headerHash(octets)
				if got[key{f.Wire, it.ID}] != want[key{f.Wire, it.ID}] {
					t.Errorf("%v of %q differs: %.200q", it.ID, f.Wire, octets)
				}
				return err
			}, noMiss(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) || len(got) != 170 {
				t.Errorf("%d headers of %d messages", len(got), len(want))
			}
			if err := session.Leave(t.Context()); err != nil || c.Refused() != 0 {
				t.Errorf("left: %v, %d commands refused", err, c.Refused())
			}
			if after := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret"); after != before {
				t.Error("the remote changed")
			}
		})
	}
}

// Many headers cost few round trips.
func TestHeadersAreAskedForAhead(t *testing.T) {
	for _, p := range []remote.Protocol{remote.IMAP, remote.POP3} {
		t.Run(string(p), func(t *testing.T) {
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
			mailtest.Fill(t, d, "anna", mailtest.Corpus(4, 600, false))
			target := d.Addr("imap")
			if p == remote.POP3 {
				target = d.Addr("pop3")
			}
			proxy := mailtest.StartProxy(t, target)
			session, err := loopback(nil, nil).Open(t.Context(), remote.Mailbox{Protocol: p, Server: remote.Server{
				Host: "localhost", Port: proxy.Port(), Security: remote.None,
			}}, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			wants := listEverything(t, session)
			before, n := proxy.Traffic().Turns, 0
			err = session.Headers(t.Context(), wants, func(mail.Folder, mail.Item, []byte) error { n++; return nil })
			if turns := proxy.Traffic().Turns - before; err != nil || n != 600 || turns > 40 {
				t.Errorf("%d headers in %d turns: %v", n, turns, err)
			}
		})
	}
}

const imapLogin = `ALSO TAG LOGOUT => TAG OK bye\r\n
S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello
C~ TAG AUTHENTICATE PLAIN *
S: TAG OK [CAPABILITY IMAP4rev1] in
`

func opened(validity int) string {
	return fmt.Sprintf("S: * 9 EXISTS\nS: * OK [UIDVALIDITY %d] -\nS: TAG-1 OK -\n", validity)
}

const askHeaders = " (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])\n"

func uids(from, to uint32) (items []mail.Item) {
	for uid := from; uid <= to; uid++ {
		items = append(items, mail.Item{ID: mail.ID{UID: uid}})
	}
	return items
}

// playedHeaders plays a dialogue and returns what Headers gives.
func playedHeaders(t *testing.T, dialogue string, wants []mail.Want) (got map[uint32]string, err error) {
	t.Helper()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	script := mailtest.Play(t, dialogue, mailtest.ScriptOptions{})
	defer script.Close()
	session, err := loopback(nil, nil).Open(t.Context(), remote.Mailbox{Protocol: remote.IMAP, Server: remote.Server{
		Host: "localhost", Port: script.Port(), Security: remote.None,
	}}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got = map[uint32]string{}
	err = session.Headers(t.Context(), wants, func(_ mail.Folder, it mail.Item, header []byte) error {
		got[it.ID.UID] += string(header)
		return nil
	})
	return got, err
}

// S18: headers before UIDs, in quotes, twice, of other messages, NIL.
func TestHeadersInAnyOrderAreThoseAskedFor(t *testing.T) {
	got, err := playedHeaders(t, imapLogin+"C: TAG EXAMINE \"INBOX\"\nC: TAG UID FETCH 1:6"+askHeaders+opened(7)+
		`S: * 1 FETCH (BODY[HEADER.FIELDS ("MESSAGE-ID" "DATE" "FROM" "SUBJECT")] {5}
S< a: 1\n X-GM-MSGID 12 UID 1)\r\n
S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (Message-Id Date From Subject)] "quo\"ted")
S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {5}
S< again)\r\n
S: * 3 FETCH (UID 3 BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] NIL)
S: * 9 FETCH (UID 9 BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {5}
S< other)\r\n
S: * 4 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {5}
S< whose)\r\n
S: * 5 FETCH (UID 5 BODY[] {5}
S< whole)\r\n
S: * 6 FETCH (UID 6 FLAGS (Junk[ \Seen) BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {300000}
S* 300000 x
S< )\r\n
S: TAG OK -
`, []mail.Want{{Folder: mail.Folder{Wire: "INBOX"}, Validity: 7, Items: uids(1, 6)}})
	want := map[uint32]string{1: "a: 1\n", 2: `quo"ted`, 6: strings.Repeat("x", 256<<10)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%.2000s", err, diff)
	}
}

// A folder that is another one by now, or cannot be opened, is left out; so is
// a message over which the server breaks off.
func TestHeadersThatDoNotComeAreLeftOut(t *testing.T) {
	header := func(uid int) string {
		return fmt.Sprintf("S: * %d FETCH (UID %d BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {1}\nS< %d)\\r\\n\n",
			uid, uid, uid)
	}
	ask := func(folder, set string) string {
		return "C: TAG EXAMINE \"" + folder + "\"\nC: TAG UID FETCH " + set + askHeaders
	}
	dialogue := imapLogin + ask("A", "1") + ask("B", "2") + ask("C", "3:4") +
		"S: * OK [UIDVALIDITY 8] recreated\nS: TAG-5 OK -\n" + header(1) + "S: TAG-4 OK -\n" +
		"S: TAG-3 NO no such folder\nS: TAG-2 BAD nothing is open\n" +
		opened(9) + header(3) + "CLOSE\n"
	alone := imapLogin + ask("C", "4") + opened(9) + "CLOSE\n"
	got, err := playedHeaders(t, dialogue+"---\n"+alone, []mail.Want{
		{Folder: mail.Folder{Wire: "A"}, Validity: 7, Items: uids(1, 1)},
		{Folder: mail.Folder{Wire: "B"}, Validity: 7, Items: uids(2, 2)},
		{Folder: mail.Folder{Wire: "C"}, Validity: 9, Items: uids(3, 4)},
	})
	if diff := cmp.Diff(map[uint32]string{3: "3"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestWhatIsRefusedIsAskedAboutOneByOne: a header that is refused too, in whatever
// words, costs no other. The control asks for all at once, as of what may be had.
func TestWhatIsRefusedIsAskedAboutOneByOne(t *testing.T) {
	header := func(uid int) string {
		return fmt.Sprintf("S: * %d FETCH (UID %d BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {1}\nS< %d)\\r\\n\n",
			uid, uid, uid)
	}
	ask := func(set string) string { return "C: TAG EXAMINE \"A\"\nC: TAG UID FETCH " + set + askHeaders }
	for _, no := range []string{"NO cannot read it", "NO [SERVERBUG] internal error", "NO [EXPUNGEISSUED] it is gone"} {
		want := mail.Want{Folder: mail.Folder{Wire: "A"}, Validity: 7, Items: uids(1, 3), Again: true}
		examined := func(tag int) string { return fmt.Sprintf("S: * OK [UIDVALIDITY 7] -\nS: TAG-%d OK -\n", tag) }
		one := imapLogin + ask("1") + ask("2") + ask("3") +
			examined(5) + "S: TAG-4 " + no + "\n" + examined(3) + header(2) + "S: TAG-2 OK -\n" +
			examined(1) + header(3) + "S: TAG OK -\n"
		got, err := playedHeaders(t, one, []mail.Want{want})
		if diff := cmp.Diff(map[uint32]string{2: "2", 3: "3"}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", no, err, diff)
		}
		if strings.Contains(no, "SERVERBUG") {
			continue // Asked for at once each would be asked for alone, in doubt.
		}
		want.Again = false
		got, err = playedHeaders(t, imapLogin+ask("1:3")+opened(7)+"S: TAG "+no+"\n", []mail.Want{want})
		if len(got) != 0 || err != nil {
			t.Errorf("control: %v, %v", got, err)
		}
	}
}

func TestHeadersEndWhenTheServerIsGone(t *testing.T) {
	dialogue := imapLogin + "C: TAG EXAMINE \"A\"\nC: TAG UID FETCH 1:2" + askHeaders + "CLOSE\n---\nCLOSE\n"
	_, err := playedHeaders(t, dialogue, []mail.Want{{Folder: mail.Folder{Wire: "A"}, Validity: 7, Items: uids(1, 2)}})
	if fault.CodeOf(err) != fault.ServerUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestTheCallersErrorEndsHeaders(t *testing.T) {
	stop := errors.New("the journal is gone")
	for _, p := range []remote.Protocol{remote.IMAP, remote.POP3} {
		t.Run(string(p), func(t *testing.T) {
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
			mailtest.Fill(t, d, "anna", mailtest.Corpus(4, 20, false))
			server := remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}
			if p == remote.POP3 {
				server.Port = d.POP3S
			}
			session, err := loopback(d.CA, nil).Open(t.Context(), remote.Mailbox{Protocol: p, Server: server}, credential(
				"anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			wants, n := listEverything(t, session), 0
			err = session.Headers(t.Context(), wants, func(mail.Folder, mail.Item, []byte) error {
				if n++; n == 3 {
					return stop
				}
				return nil
			})
			if err != stop || n != 3 {
				t.Errorf("after %d: %v", n, err)
			}
			n = 0
			err = session.Fetch(t.Context(), wants, func(_ mail.Folder, _ mail.Item, body io.Reader) error {
				n++
				_, err := io.Copy(io.Discard, body)
				return err
			}, noMiss(t))
			if err != nil || n != 20 {
				t.Errorf("the session went on to read %d: %v", n, err)
			}
		})
	}
}
