package source

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// drop is a message of a scripted maildrop.
type drop struct {
	uidl, subject string
	size          int
	body          string
}

const pop3Opening = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: TOP\nS: .\nC: USER anna\nS: +OK\nC: PASS sekret\nS: +OK\n"

// maildrop is the dialogue up to a listing, with the TOPs of those looked at, and the
// RETRs of those read, by negative numbers.
func maildrop(drops []drop, look ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sC: STAT\nS: +OK %d 0\nC: LIST\nS: +OK\n", pop3Opening, len(drops))
	for i, d := range drops {
		fmt.Fprintf(&b, "S: %d %d\n", i+1, d.size)
	}
	b.WriteString("S: .\nC: UIDL\nS: +OK\n")
	for i, d := range drops {
		fmt.Fprintf(&b, "S: %d %s\n", i+1, d.uidl)
	}
	b.WriteString("S: .\n")
	for _, n := range look {
		if n < 0 {
			fmt.Fprintf(&b, "C: RETR %d\nS: +OK\nS: Subject: %s\nS: \nS: %s\nS: .\n", -n, drops[-n-1].subject, drops[-n-1].body)
			continue
		}
		fmt.Fprintf(&b, "C: TOP %d 0\nS: +OK\nS: Subject: %s\nS< \\r\\n.\\r\\n\n", n, drops[n-1].subject)
	}
	return b.String()
}

func playPOP3(t *testing.T, dialogue string) (*mailtest.Script, *Session) {
	t.Helper()
	s := mailtest.Play(t, dialogue, mailtest.ScriptOptions{})
	session, err := pop3Client(nil, false, nil).Open(t.Context(),
		remote.Mailbox{
			Server:   remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None},
			Protocol: remote.POP3,
		}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		session.Close()
		s.Finish()
	})
	return s, session
}

func listPlayed(t *testing.T, drops []drop, look ...int) []mail.Item {
	t.Helper()
	s, session := playPOP3(t, maildrop(drops, look...))
	items := listEverything(t, session)[0].Items
	session.Close()
	s.Finish()
	return items
}

// Messages that share a unique-id keep their names whichever of them goes and
// whatever comes.
func TestMessagesThatShareAUniqueIDAreNamedByWhatTheyAre(t *testing.T) {
	first := listPlayed(t, []drop{{"x", "a", 10, ""}, {"x", "b", 10, ""}, {"y", "c", 10, ""}, {"x", "b", 10, ""}}, 1, 2, 4,
		-2, -4)
	then := listPlayed(t, []drop{{"x", "b", 10, ""}, {"y", "c", 10, ""}, {"x", "new", 10, ""}, {"x", "b", 10, ""}},
		1, 3, 4, -1, -4)
	a, b, again := first[0].ID, first[1].ID, first[3].ID
	if a == b || b.UIDL != again.UIDL || b.Ordinal != 0 || again.Ordinal != 1 || a.Ordinal != 0 ||
		first[2].ID != (mail.ID{UIDL: "y"}) {
		t.Errorf("at first: %v", first)
	}
	if !strings.HasPrefix(a.UIDL, "x top ") {
		t.Errorf("the name does not begin with the unique-id: %q", a.UIDL)
	}
	if then[0].ID != b || then[3].ID != again || then[2].ID == a || then[2].ID == b || then[2].ID.Ordinal != 0 {
		t.Errorf("then: %v", then)
	}
}

// A unique-id that another message has now is listed with its size, and can
// be fetched under an ordinal of its own.
func TestAReusedUniqueIDIsReadUnderAnOrdinal(t *testing.T) {
	_, session := playPOP3(t, maildrop([]drop{{"x", "a", 77, ""}, {"y", "b", 10, ""}})+
		"C: TOP 1 0\nS: +OK\nS: Subject: a\nS: .\nC: RETR 1\nS: +OK\nS: new\nS: .\nC: RSET\nS: +OK\nC: QUIT\nS: +OK\n")
	wants := listEverything(t, session)
	it := wants[0].Items[0]
	if it.ID != (mail.ID{UIDL: "x"}) || it.Size != 77 {
		t.Fatalf("listed %+v", it)
	}
	it.ID.Ordinal = 1
	gone := mail.Item{ID: mail.ID{UIDL: "z", Ordinal: 1}}
	wants[0].Items = []mail.Item{it, gone}
	var got []string
	err := session.Headers(t.Context(), wants, func(_ mail.Folder, it mail.Item, header []byte) error {
		got = append(got, fmt.Sprintf("%s/%d %q", it.ID.UIDL, it.ID.Ordinal, header))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wants[0].Items = wants[0].Items[:1]
	err = session.Fetch(t.Context(), wants, func(_ mail.Folder, it mail.Item, body io.Reader) error {
		b, err := io.ReadAll(body)
		got = append(got, fmt.Sprintf("%s/%d %q", it.ID.UIDL, it.ID.Ordinal, b))
		return err
	}, noMiss(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`x/1 "Subject: a\r\n"`, `x/1 "new\r\n"`}, got); diff != "" {
		t.Error(diff)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without TOP no header comes, and nothing is lost by asking.
func TestHeadersWithoutTOP(t *testing.T) {
	login := strings.Replace(pop3Opening, "S: TOP\n", "", 1)
	_, session := playPOP3(t, strings.Replace(maildrop([]drop{{"x", "a", 10, ""}}), pop3Opening, login, 1)+
		"C: TOP 1 0\nS: -ERR what?\nC: RSET\nS: +OK\nC: QUIT\nS: +OK\n")
	wants := listEverything(t, session)
	for range 2 {
		err := session.Headers(t.Context(), wants, func(mail.Folder, mail.Item, []byte) error {
			t.Error("a header came")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// A header that is refused, or over which the server breaks off twice, is left
// out; one that is too long is cut.
func TestPOP3HeadersThatDoNotComeAreLeftOut(t *testing.T) {
	drops := []drop{{"a", "a", 10, ""}, {"b", "b", 10, ""}, {"c", "c", 10, ""}, {"d", "d", 10, ""}}
	_, session := playPOP3(t, maildrop(drops)+"C: TOP 1 0\nS: -ERR not this one\nC: TOP 2 0\nS: +OK\nCLOSE\n---\n"+
		maildrop(drops)+"C: TOP 2 0\nS: +OK\nS: Subject: b\nCLOSE\n---\n"+
		maildrop(drops)+"C: TOP 3 0\nS: +OK\nS* 300000 x\nS< \\r\\n.\\r\\n\nC: TOP 4 0\nS: +OK\nS: d\nS: .\nC: RSET\nS: "+
		"+OK\nC: QUIT\nS: +OK\n")
	got := map[string]int{}
	err := session.Headers(t.Context(), listEverything(t, session), func(_ mail.Folder, it mail.Item,
		header []byte,
	) error {
		got[it.ID.UIDL] += len(header)
		return nil
	})
	if diff := cmp.Diff(map[string]int{"c": maxHeaderRead, "d": 3}, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// bugreports F12: messages of robots that are alike in header and size, at a server
// without UIDL.
func TestF12_MessagesAlikeInHeaderAndSizeAreToldApartByReadingThem(t *testing.T) {
	a, b, c := drop{"", "alarm", 10, "aaa"}, drop{"", "alarm", 10, "bbb"}, drop{"", "alarm", 10, "ccc"}
	first := listPlayed(t, []drop{a, b, b}, 1, 2, 3, -1, -2, -3)
	then := listPlayed(t, []drop{b, b, c}, 1, 2, 3, -1, -2, -3)
	if first[0].ID == first[1].ID || first[1].ID.UIDL != first[2].ID.UIDL || first[1].ID == first[2].ID {
		t.Errorf("at first: %v", first)
	}
	if then[0].ID != first[1].ID || then[1].ID != first[2].ID || then[2].ID == first[0].ID {
		t.Errorf("at first: %v, then: %v", first, then)
	}
	if words := strings.Count(first[0].ID.UIDL, " "); words%2 != 1 {
		t.Errorf("the name does not tell that there is no unique-id: %q", first[0].ID.UIDL)
	}
	// The only one, instead of the only one.
	if was, is := listPlayed(t, []drop{a}, 1, -1), listPlayed(t, []drop{c}, 1, -1); was[0].ID == is[0].ID {
		t.Errorf("%v is as %v", was, is)
	}
	shared := drop{"x", "alarm", 10, "aaa"}
	other := shared
	other.body = "bbb"
	both := listPlayed(t, []drop{shared, other}, 1, 2, -1, -2)
	if both[0].ID == both[1].ID || strings.Count(both[0].ID.UIDL, " ")%2 != 0 {
		t.Errorf("of one unique-id: %v", both)
	}
}

func TestOwnFieldsAreFoundWhereverTheHeaderIsCut(t *testing.T) {
	for header, want := range map[string]bool{
		"Subject: x\r\nMESSAGE-ID: <1>\r\n": true,
		"received: by x\r\n":                true,
		"To: x\r\nDate: today\r\n":          true,
		"Subject: Date: x\r\nX-Date: y\r\n": false,
		"Subject:\r\n date: x\r\n":          false,
		"":                                  false,
	} {
		for size := 1; size <= len(header)+1; size++ {
			o := &ownFields{}
			for rest := header; rest != ""; rest = rest[min(size, len(rest)):] {
				_, _ = o.Write([]byte(rest[:min(size, len(rest))]))
			}
			if o.found != want {
				t.Errorf("%q by %d: %v", header, size, o.found)
			}
		}
	}
}

// A message whose identity the server refuses to tell, whether by TOP or by RETR and
// in whatever words, has no name in that visit: what it would have so far is another's.
// The others keep theirs. The control is the same dialogue without the refusal.
func TestAMessageThatCannotBeReadToBeToldApartHasNoName(t *testing.T) {
	a, b := drop{"", "alarm", 10, "aaa"}, drop{"", "alarm", 10, "bbb"}
	whole := listPlayed(t, []drop{a, b}, 1, 2, -1, -2)
	shared := []drop{{"x", "alarm", 10, "aaa"}, {"x", "alarm", 10, "bbb"}}
	sharedWhole := listPlayed(t, shared, 1, 2, -1, -2)
	if len(whole) != 2 || len(sharedWhole) != 2 {
		t.Fatalf("without a refusal: %v, %v", whole, sharedWhole)
	}
	for _, words := range []string{"-ERR", "-ERR cannot read", "-ERR [SYS/TEMP] later", "-ERR no such message"} {
		for name, tc := range map[string]struct {
			drops []drop
			look  []int
			no    string // The question that is refused.
			want  []mail.Item
		}{
			"the second by RETR":         {[]drop{a, b}, []int{1, 2, -1}, "RETR 2", whole[:1]},
			"the only one by RETR":       {[]drop{a}, []int{1}, "RETR 1", nil},
			"by TOP":                     {[]drop{a}, nil, "TOP 1 0", nil},
			"one of a unique-id by RETR": {shared, []int{1, 2, -1}, "RETR 2", sharedWhole[:1]},
		} {
			t.Run(words+", "+name, func(t *testing.T) {
				t.Parallel()
				_, session := playPOP3(t, maildrop(tc.drops, tc.look...)+"C: "+tc.no+"\nS: "+words+"\n")
				l := listEverything(t, session)
				if len(l) != 1 {
					t.Fatalf("%d listings", len(l))
				}
				if diff := cmp.Diff(tc.want, l[0].Items, cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// What is left without a name is counted, and what is listed is not all: even where
// the server's count is that of the others, nothing is taken to be gone.
func TestAListingWithoutAMessageThatCannotBeNamedIsNotComplete(t *testing.T) {
	a, b := drop{"", "alarm", 10, "aaa"}, drop{"", "alarm", 10, "bbb"}
	for count, refused := range map[int]bool{1: true, 2: false} {
		said := maildrop([]drop{a, b}, 1, 2, -1)
		end := "C: RETR 2\nS: +OK\nS: Subject: alarm\nS: \nS: bbb\nS: .\n"
		if refused {
			end = "C: RETR 2\nS: -ERR cannot read\n"
		}
		said = strings.Replace(said, "STAT\nS: +OK 2 0", fmt.Sprintf("STAT\nS: +OK %d 0", count), 1)
		_, session := playPOP3(t, said+end)
		err := session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}}},
			func(l mail.Listing, err error) error {
				if err != nil || l.Complete == refused || l.Unread > 0 != refused || l.Len() == 2 == refused {
					t.Errorf("counted %d, refused %v: complete %v, %d unread, %d listed: %v", count, refused, l.Complete,
						l.Unread, l.Len(), err)
				}
				return nil
			})
		if err != nil {
			t.Error(err)
		}
	}
}
