package transfer

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// byteOrderMark begins a list that people open in a spreadsheet: without it Excel takes UTF-8 for the code page of
// Windows, and every Polish letter is wrong.
const byteOrderMark = "\uFEFF"

// NotExactlyThere are the states of the messages that a report lists.
func NotExactlyThere() []MessageState {
	return []MessageState{MessageSkipped, MessageMissing, MessageAltered, MessageMovedOrDeleted}
}

// Lines writes messages as a CSV file (RFC 4180), one line each: no field has a line break. Write is what EachMessage
// yields to, so that however many there are, none is kept.
//
// What others named, such as a folder or a subject, is no formula in any program that opens the file: see unformula.
// Lines is not safe for use by several goroutines.
type Lines struct {
	w      *csv.Writer
	fields func(Message) []string
}

// NewReport begins report.csv: the messages that are not exactly at the target (see NotExactlyThere), with why and what
// to do in a person's language. It is made to be opened in a spreadsheet, and begins with a byte order mark. The names
// of its columns are the same in all languages.
func NewReport(w io.Writer, lang words.Language) (*Lines, error) {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return nil, fmt.Errorf("beginning a list of messages: %w", err)
	}
	return begin(w, func(m Message) []string {
		text := m.text()
		detail := ""
		if m.Diagnosis != nil {
			detail = m.Diagnosis.Detail.In(lang, account.Letters)
		}
		return []string{
			named(m.Folder), named(m.Target), number(int64(m.ID.UID)), named(m.ID.UIDL), number(int64(m.TargetUID)),
			stamp(m.Received), strconv.FormatInt(m.Size, 10), string(m.State), string(m.Why), text.Title.In(lang),
			text.Advice.In(lang), named(detail), named(m.About.Sender), named(m.About.Subject),
		}
	}, "folder", "target_folder", "source_uid", "source_uidl", "target_uid", "received_at", "bytes", "state", "code",
		"reason", "advice", "detail", "sender", "subject")
}

// NewManifest begins manifest.csv: all messages, with what each is compared by. It is made for programs, of which many
// take a byte order mark for a part of the first column's name, and has none.
func NewManifest(w io.Writer) (*Lines, error) {
	return begin(w, func(m Message) []string {
		digest := ""
		if m.Digest != [32]byte{} {
			digest = hex.EncodeToString(m.Digest[:])
		}
		return []string{
			named(m.Folder), named(m.Target), number(int64(m.ID.UID)), named(m.ID.UIDL), number(int64(m.TargetUID)),
			stamp(m.Received), strconv.FormatInt(m.Size, 10), digest, string(m.State),
		}
	}, "folder", "target_folder", "source_uid", "source_uidl", "target_uid", "received_at", "bytes", "sha256", "state")
}

func begin(w io.Writer, fields func(Message) []string, head ...string) (*Lines, error) {
	l := &Lines{csv.NewWriter(w), fields}
	l.w.UseCRLF = true
	if err := l.w.Write(head); err != nil {
		return nil, fmt.Errorf("beginning a list of messages: %w", err)
	}
	return l, nil
}

// Write adds a message. It is written when some have come together: see Close.
func (l *Lines) Write(m Message) error {
	if err := l.w.Write(l.fields(m)); err != nil {
		return fmt.Errorf("listing a message: %w", err)
	}
	return nil
}

// Close writes what is left. A list that ends with its error is not whole.
func (l *Lines) Close() error {
	l.w.Flush()
	if err := l.w.Error(); err != nil {
		return fmt.Errorf("ending a list of messages: %w", err)
	}
	return nil
}

// text is what is said of a message that is not exactly there.
func (m Message) text() words.Text {
	switch {
	case m.State == MessageMissing && m.Why == "":
		return WhyMissing.text()
	case m.State == MessageSkipped, m.State == MessageMissing:
		return m.Why.text()
	}
	return words.CopyMessages[string(m.State)]
}

// number is a number that is not known where it is 0.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// stamp is a time by RFC 3339 in UTC; "" for the zero one.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// named is what others named, as a field: on one line, valid UTF-8, and no formula.
func named(text string) string { return unformula(oneLine(text)) }

// oneLine is a text whose control characters, line separators and octets that are no UTF-8 are U+FFFD: such a name
// stays recognisable, and two that differ elsewhere stay two.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// unformula puts ' before what a spreadsheet would compute (CWE-1236): =, +, -, @ and their wide forms, at the
// beginning of a field, also behind spaces and quotes. And behind each semicolon: where the comma is the decimal sign,
// as in Poland, spreadsheets split lines there, whatever is in quotes. A ' that stands there already is doubled, so
// that who takes one off at each such place has the name again.
func unformula(text string) string {
	var b strings.Builder
	for i, cell := range strings.Split(text, ";") {
		if i > 0 {
			b.WriteByte(';')
		}
		if begins := strings.TrimLeft(cell, " \""); begins != "" && strings.ContainsRune("'=+-@\t\r＝＋－＠", firstRune(begins)) {
			b.WriteByte('\'')
		}
		b.WriteString(cell)
	}
	return b.String()
}

func firstRune(text string) rune {
	r, _ := utf8.DecodeRuneInString(text)
	return r
}
