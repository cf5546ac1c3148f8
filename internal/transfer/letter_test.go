package transfer_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

func sender() transfer.Sender {
	return transfer.Sender{
		From: "Poczta Zażółć <copies@mail.test>", StatusPage: "https://mail.test/copies/status",
		ReportPage: "https://mail.test/copies/5f1f7f0e-8a5e-4b7e-9d39-0a8f4c1f6a11",
	}
}

// mustWrite is a message, checked: see sound.
func mustWrite(t testing.TB) func(message []byte, err error) (*netmail.Message, string) {
	return func(message []byte, err error) (*netmail.Message, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if wrong := unsound(message); len(wrong) > 0 {
			t.Errorf("%s\n%v", message, wrong)
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
		if err != nil {
			t.Fatal(err)
		}
		return parsed, strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

// fieldsOfMail are those that mail about a copy has, each once.
func fieldsOfMail() []string {
	return []string{
		"Auto-Submitted", "Content-Language", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id",
		"Mime-Version", "Subject", "To",
	}
}

// unsound says what keeps a message from being one by RFC 5322, whatever was filled in.
func unsound(message []byte) (wrong []string) {
	for line := range strings.SplitSeq(string(message), "\r\n") {
		switch {
		case len(line) > 998:
			wrong = append(wrong, "a line is too long")
		case strings.ContainsAny(line, "\r\n\x00"):
			wrong = append(wrong, fmt.Sprintf("a line does not end with CRLF: %q", line))
		case strings.ContainsFunc(line, func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }):
			wrong = append(wrong, fmt.Sprintf("a line is not in ASCII: %q", line))
		}
	}
	m, err := netmail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return append(wrong, err.Error())
	}
	var fields []string
	for name, values := range m.Header {
		if fields = append(fields, name); len(values) != 1 {
			wrong = append(wrong, name+" is there more than once")
		}
	}
	if slices.Sort(fields); !slices.Equal(fields, fieldsOfMail()) {
		wrong = append(wrong, fmt.Sprintf("has the fields %v", fields))
	}
	if _, err := m.Header.AddressList("From"); err != nil {
		wrong = append(wrong, "From: "+err.Error())
	}
	if to := m.Header.Get("To"); to != "undisclosed-recipients:;" {
		if list, err := m.Header.AddressList("To"); err != nil || len(list) != 1 {
			wrong = append(wrong, fmt.Sprintf("To %s: %v, %v", to, list, err))
		}
	}
	if _, err := m.Header.Date(); err != nil {
		wrong = append(wrong, "Date: "+err.Error())
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || words.HasControl(subject) {
		wrong = append(wrong, fmt.Sprintf("Subject %q: %v", subject, err))
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !utf8.Valid(text) {
		wrong = append(wrong, fmt.Sprintf("the text: %v", err))
	}
	return wrong
}

// TestUnsoundMailIsFound is the control.
func TestUnsoundMailIsFound(t *testing.T) {
	t.Parallel()
	good, err := sender().Begun(copied(t, transfer.Running, words.Polish), "anna@new.test", "code")
	if err != nil || len(unsound(good)) > 0 {
		t.Fatal(err, unsound(good))
	}
	for what, pair := range map[string][2]string{
		"a line feed alone":  {"\r\n\r\n", "\r\n\r\na\nb"},
		"a field injected":   {"Auto-Submitted:", "Bcc: x@y.test\r\nAuto-Submitted:"},
		"a field twice":      {"Auto-Submitted:", "To: x@y.test\r\nAuto-Submitted:"},
		"a long line":        {"\r\n\r\n", "\r\n\r\n" + strings.Repeat("x", 999)},
		"a letter not ASCII": {"\r\n\r\n", "\r\n\r\nż"},
		"two recipients":     {"<anna@new.test>", "<anna@new.test>, <x@y.test>"},
		"no date":            {"Date:", "Date: x"},
		"a broken encoding":  {"\r\n\r\n", "\r\n\r\n=FF"},
	} {
		bad := bytes.Replace(good, []byte(pair[0]), []byte(pair[1]), 1)
		if bytes.Equal(bad, good) || len(unsound(bad)) == 0 {
			t.Errorf("%s was not found", what)
		}
	}
}

// TestMailAboutACopy is golden in both languages: what is in the header, and the text.
func TestMailAboutACopy(t *testing.T) {
	t.Parallel()
	s := sender()
	for _, lang := range words.Languages() {
		write := func(name string, message []byte, err error) {
			t.Helper()
			m, text := mustWrite(t)(message, err)
			var b strings.Builder
			for _, field := range fieldsOfMail() {
				fmt.Fprintf(&b, "%s: %s\n", field, m.Header.Get(field))
			}
			for line := range strings.SplitSeq(text, "\n") {
				if utf8.RuneCountInString(line) > 76 || strings.TrimRight(line, " ") != line {
					t.Errorf("%s in %s: the line %q", name, lang, line)
				}
			}
			golden(t, fmt.Sprintf("mail-%s.%s.txt", name, lang), b.String()+"\n"+text)
		}
		message, err := s.Begun(copied(t, transfer.Running, lang), "anna@new.test", "K7QP-2MXD-9RTV")
		write("begun", message, err)
		for name, r := range reports(t, lang) {
			message, err = s.Ended(r, r.Copy.TargetAddress(), missed())
			write(name, message, err)
		}
		named := s
		named.Subjects = true
		message, err = named.Ended(bad(t, lang), "anna@new.test", missed())
		write("bad-subjects", message, err)
	}
}

// TestNoSubjectsInMail unless the operator allows them: neither a subject nor a sender nor a date of a single message.
func TestNoSubjectsInMail(t *testing.T) {
	t.Parallel()
	s := sender()
	private := []string{"Faktura", "Jan", "evil", "Praca", "2019"}
	_, without := mustWrite(t)(s.Ended(bad(t, words.Polish), "anna@new.test", missed()))
	s.Subjects = true
	_, with := mustWrite(t)(s.Ended(bad(t, words.Polish), "anna@new.test", missed()))
	for _, word := range private {
		if strings.Contains(without, word) || !strings.Contains(with, word) {
			t.Errorf("%q is in the mail without subjects: %v; with: %v", word,
				strings.Contains(without, word), strings.Contains(with, word))
		}
	}
	many := slices.Repeat(missed()[:1], 5_000)
	if _, text := mustWrite(t)(s.Ended(bad(t, words.English), "anna@new.test", many)); !strings.Contains(text, "4,950") ||
		strings.Count(text, "Faktura") != 50 {
		t.Errorf("of 5,000 messages %d are named", strings.Count(text, "Faktura"))
	}
}

// TestThereIsOneMessageOfACopyPassAndRecipient: the same values make the same octets, the Message-ID is the same
// whatever the report says meanwhile, and that of another copy, pass, recipient or matter is another.
func TestThereIsOneMessageOfACopyPassAndRecipient(t *testing.T) {
	t.Parallel()
	s, r := sender(), bad(t, words.Polish)
	first, err := s.Ended(r, "anna@new.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := func(message []byte, err error) string {
		m, _ := mustWrite(t)(message, err)
		return m.Header.Get("Message-Id")
	}
	same := id(first, nil)
	if again, err := s.Ended(r, "anna@new.test", nil); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the same report makes another message: %v\n%s", err, again)
	}
	seen := map[string]string{same: "the first"}
	changed := r
	changed.Copy.Status.Totals.MovedOrDeleted = 99
	changed.Rewritten = false
	if got := id(s.Ended(changed, "anna@new.test", nil)); got != same {
		t.Errorf("a changed report has the id %s, not %s", got, same)
	}
	for what, message := range map[string]func() ([]byte, error){
		"another recipient": func() ([]byte, error) { return s.Ended(r, "ola@new.test", nil) },
		"the beginning":     func() ([]byte, error) { return s.Begun(r.Copy, "anna@new.test", "x") },
		"another pass":      func() ([]byte, error) { r := r; r.Copy.Pass++; return s.Ended(r, "anna@new.test", nil) },
		"another copy":      func() ([]byte, error) { r := r; r.Copy.ID = "x"; return s.Ended(r, "anna@new.test", nil) },
	} {
		got := id(message())
		if other, taken := seen[got]; taken {
			t.Errorf("%s has the id of %s", what, other)
		}
		seen[got] = what
	}
}

// TestMailIsRefusedRatherThanUnsound: without a sender that every server takes, or without a date.
func TestMailIsRefusedRatherThanUnsound(t *testing.T) {
	t.Parallel()
	c := copied(t, transfer.Running, words.English)
	for _, from := range []string{"", "nobody", "a@b.test, c@d.test", "żółw@mail.test", "x@y.test\r\nBcc: z@y.test"} {
		if m, err := (transfer.Sender{From: from}).Begun(c, "anna@new.test", "x"); err == nil {
			t.Errorf("from %q: %s", from, m)
		}
	}
	c.CreatedAt = time.Time{}
	if m, err := sender().Begun(c, "anna@new.test", "x"); err == nil {
		t.Errorf("without a date: %s", m)
	}
	// A recipient without a form in ASCII is not named: not every server takes RFC 6532.
	c.CreatedAt = began
	m, _ := mustWrite(t)(sender().Begun(c, "żółw@new.test", "x"))
	if to := m.Header.Get("To"); to != "undisclosed-recipients:;" {
		t.Errorf("to %q", to)
	}
}

// FuzzMail: whatever others named, mail is sound, has no field that it did not have before, and has it in its text.
func FuzzMail(f *testing.F) {
	for _, s := range []string{
		"", "anna@old.test", "x\r\nBcc: y@z.test", "x\nBcc: y@z.test\n\n", strings.Repeat("ż", 3000),
		strings.Repeat("a", 3000),
		"\r", "=?utf-8?q?=0D=0ABcc:_x?=", "\x00", "\xff\xfe", "{from}", "<a@b.test>, <c@d.test>", ".\r\n.", "a@b.test (c",
		"\"",
		"\u2028", "\u202e", "=\r\n", "a b@c.test", "From x", strings.Repeat("a ", 2000), "@", "a@[1.2.3.4]",
	} {
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, address, folder, subject, to string) {
		r := bad(t, words.Polish)
		r.Copy.Source.Email = address
		r.Copy.Target = remote.Mailbox{Email: folder, Server: remote.Server{Host: "x"}}
		r.Folders = append(r.Folders, transfer.FolderState{
			Source: folder, Target: subject, Selected: true, Renamed: transfer.RenamedForTarget,
		})
		r.Keywords = append(r.Keywords, transfer.KeywordCount{Keyword: subject, Messages: 1})
		r.LeftOut = append(r.LeftOut, folder)
		s := sender()
		s.Subjects = true
		_, text := mustWrite(t)(s.Ended(r, to, []transfer.Message{{
			Folder: folder, State: transfer.MessageSkipped, About: mail.Envelope{Sender: address, Subject: subject},
		}}))
		for _, name := range []string{address, folder, subject} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), words.Clean(name, 200)) {
				t.Errorf("%q is not in the text:\n%s", name, text)
			}
		}
		mustWrite(t)(s.Begun(r.Copy, to, subject))
	})
}
