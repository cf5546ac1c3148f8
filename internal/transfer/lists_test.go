package transfer_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// missed are messages that are not exactly there, with names that mean harm.
func missed() []transfer.Message {
	at := time.Date(2019, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	return []transfer.Message{
		{
			Folder: "INBOX", Target: "INBOX", ID: mail.ID{UID: 17}, Size: 36_700_160, Received: at,
			State: transfer.MessageSkipped, Why: transfer.WhyTooLarge,
			Diagnosis: &account.Diagnosis{
				Code: fault.MessageFailed,
				Detail: words.Detail{words.Say("The message is larger (%s) than allowed (%s).",
					words.Octets(36_700_160), words.Octets(26_214_400))},
			},
			About: mail.Envelope{Sender: "Jan Żak", Subject: `Faktura;=HYPERLINK("http://x.test","otwórz")`},
		},
		{
			Folder: "-Praca", Target: "-Praca", ID: mail.ID{UIDL: "+7"}, Size: 12, State: transfer.MessageSkipped,
			About: mail.Envelope{Sender: "@evil", Subject: "=1+1\r\nBcc: x@y.test"},
		},
		{
			Folder: "INBOX", Target: "INBOX", ID: mail.ID{UID: 18}, TargetUID: 4, Size: 7, Received: at,
			State: transfer.MessageMissing, Digest: [32]byte{1, 2, 0xff}, About: mail.Envelope{Subject: "'quoted', \"twice\""},
		},
		{
			Folder: "Sent", Target: "Wysłane", ID: mail.ID{UID: 1}, TargetUID: 9, Size: 900, Received: at,
			State: transfer.MessageMovedOrDeleted,
		},
	}
}

// listed is a list of messages, whole.
func listed(t testing.TB, begin func(io.Writer) (*transfer.Lines, error), messages []transfer.Message) string {
	t.Helper()
	var b bytes.Buffer
	l, err := begin(&b)
	for _, m := range messages {
		err = errors.Join(err, l.Write(m))
	}
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func report(lang words.Language) func(io.Writer) (*transfer.Lines, error) {
	return func(w io.Writer) (*transfer.Lines, error) { return transfer.NewReport(w, lang) }
}

// TestListsOfMessages are golden, the report in both languages. Lines end with CRLF (RFC 4180); the report alone begins
// with a byte order mark.
func TestListsOfMessages(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(io.Writer) (*transfer.Lines, error){
		"manifest.csv": transfer.NewManifest, "report.en.csv": report(words.English), "report.pl.csv": report(words.Polish),
	} {
		text := listed(t, begin, missed())
		if strings.Count(text, "\r\n") != 1+len(missed()) || strings.Count(text, "\n") != 1+len(missed()) {
			t.Errorf("%s: not one line a message: %q", name, text)
		}
		if mark := strings.HasPrefix(text, "\uFEFF"); mark != strings.HasPrefix(name, "report") {
			t.Errorf("%s: begins with a byte order mark: %v", name, mark)
		}
		golden(t, name, strings.ReplaceAll(text, "\r\n", "\n"))
	}
	for _, m := range missed() {
		if !slices.Contains(transfer.NotExactlyThere(), m.State) {
			t.Errorf("a report does not list what is %s", m.State)
		}
	}
}

// broken takes a number of octets, and no more.
type broken struct{ left int }

var errBroken = errors.New("the reader is gone")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestAListThatBreaksOffSaysSo, wherever it does; and what was written is not kept until the end.
func TestAListThatBreaksOffSaysSo(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 1, 10, 5_000, 50_000} {
		w := &broken{after}
		l, err := transfer.NewReport(w, words.English)
		n := 0
		for ; err == nil && n < 10_000; n++ {
			err = l.Write(missed()[0])
		}
		if err == nil {
			err = l.Close()
		}
		if !errors.Is(err, errBroken) || n == 10_000 {
			t.Errorf("after %d octets and %d messages: %v", after, n, err)
		}
	}
}

// FuzzLists: whatever others named, it is read back by any reader of CSV as it was but for what unformula put there,
// and neither where lines are split at commas nor at semicolons does anything begin as a formula.
func FuzzLists(f *testing.F) {
	for _, s := range []string{
		"", "=1+1", " =1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "'=1", "''", "a;=1", "a; '=1", `";=1`, `a";"=1`, ";;-",
		"a,=1", "zażółć", "\xff=\x00", "\u2028=1", "＝1", "a\r\nb", `"`, `""=`, ";\t@", "INBOX", "1;2", ";\"'", "\uFEFF=1",
	} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, folder, uidl, subject string) {
		m := transfer.Message{
			Folder: folder, Target: folder + uidl, ID: mail.ID{UIDL: uidl}, State: transfer.MessageSkipped,
			About: mail.Envelope{Sender: uidl, Subject: subject},
		}
		// A message beside it shows that nothing spills over.
		for begin, foreign := range map[string]map[int]string{
			"report":   {0: folder, 1: folder + uidl, 3: uidl, 12: uidl, 13: subject},
			"manifest": {0: folder, 1: folder + uidl, 3: uidl},
		} {
			text := listed(t, map[string]func(io.Writer) (*transfer.Lines, error){
				"report": report(words.Polish), "manifest": transfer.NewManifest,
			}[begin], []transfer.Message{m, {Folder: "next"}})
			text = strings.TrimPrefix(text, "\uFEFF")
			records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if err != nil || len(records) != 3 || records[2][0] != "next" || strings.Count(text, "\n") != 3 {
				t.Fatalf("%q: %v, %q", text, err, records)
			}
			for i, want := range foreign {
				if got := plain(records[1][i]); got != visible(want) {
					t.Errorf("%q was written as %q, and is read as %q", want, records[1][i], got)
				}
			}
			if found := formulas(records[1], strings.Split(text, "\r\n")[1]); len(found) > 0 {
				t.Errorf("%q has formulas: %q", text, found)
			}
		}
	})
}

// TestFormulasAreFound is the control of FuzzLists.
func TestFormulasAreFound(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"=1", " =1", `"=1`, "a;=1", "a; +1", `a;"@x`, "-1", "＋1"} {
		if len(formulas([]string{field}, field)) == 0 {
			t.Errorf("%q is no formula", field)
		}
	}
	if found := formulas([]string{"'=1", "a;'=1", "a-b"}, "'=1,a;'=1,a-b"); len(found) > 0 {
		t.Errorf("these are formulas: %q", found)
	}
}

// plain takes off what unformula put there.
func plain(field string) string {
	cells := strings.Split(field, ";")
	for i, c := range cells {
		cells[i] = strings.TrimPrefix(c, "'")
	}
	return strings.Join(cells, ";")
}

// visible is a name as it is shown: without what has no place on one line.
func visible(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, name)
}

// formulas are cells that a spreadsheet would compute: of a record, and of its line where a line is split at
// semicolons.
func formulas(record []string, line string) (found []string) {
	for _, cell := range slices.Concat(record, strings.Split(line, ";")) {
		r, _ := utf8.DecodeRuneInString(strings.TrimLeft(cell, " \""))
		if cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", r) {
			found = append(found, cell)
		}
	}
	return found
}

func ExampleNewManifest() {
	var b strings.Builder
	list, err := transfer.NewManifest(&b)
	if err != nil {
		panic(err)
	}
	for _, m := range missed()[2:] {
		if err := list.Write(m); err != nil {
			panic(err)
		}
	}
	if err := list.Close(); err != nil {
		panic(err)
	}
	fmt.Println(strings.ReplaceAll(b.String(), "\r\n", "\n"))
	// Output:
	// folder,target_folder,source_uid,source_uidl,target_uid,received_at,bytes,sha256,state
	// INBOX,INBOX,18,,4,2019-03-04T04:06:07Z,7,0102ff0000000000000000000000000000000000000000000000000000000000,missing
	// Sent,Wysłane,1,,9,2019-03-04T04:06:07Z,900,,moved_or_deleted
}
