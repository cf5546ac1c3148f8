package transfer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	netmail "net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Sender writes the mail about copies, as the operator has it. It sends nothing.
//
// What it writes are whole messages (RFC 5322): plain text in the language of the copy, in UTF-8 as quoted-printable,
// so that every octet is ASCII and no line of the text is longer than 76, whatever is named in it. As 8bit it would be
// shorter, and servers without 8BITMIME (RFC 6152) would rewrite it on its way. They are marked as written by a
// program (RFC 3834), so that nothing answers them.
//
// Of one copy, pass and recipient there is one message: the same values make the same octets, and Message-ID and Date
// are the same whatever the report says. Who delivers it again can see that it is there.
type Sender struct {
	From string // "Mailbrook <copies@example.org>" (RFC 5322 section 3.4).
	// StatusPage is the address of the page where anybody who has a copy's code sees how it is, ReportPage that of the
	// copy's own page; "": they are not named.
	StatusPage, ReportPage string
	// Subjects lets subjects and senders of single messages stand in mail: otherwise there are only numbers.
	Subjects bool
}

// mostQuoted is of how many messages a mail has the subject, where it may.
const mostQuoted = 50

// Begun is the message to an address that says that a copy has begun, with the code by which its state is shown.
func (s Sender) Begun(c Copy, to, code string) ([]byte, error) {
	lang := c.language()
	say := func(p words.Phrase) string {
		return fill(p.In(lang), "{from}", clean(c.Source.Email), "{to}", clean(c.TargetAddress()))
	}
	w := words.CopyBegun
	var text body
	text.say(say(w.Text))
	text.say(say(w.Calm))
	if s.StatusPage != "" {
		text.say(say(w.Look))
		text.facts([]Fact{
			{Label: say(w.Page), Value: s.StatusPage},
			{Label: say(w.Address), Value: clean(c.Source.Email)},
			{Label: say(w.Code), Value: clean(code)},
		})
		text.say(say(w.Secret))
	}
	text.say(say(w.Stranger))
	return s.write(c, "begun", to, say(w.Subject), c.CreatedAt, text.String())
}

// Ended is the message to an address that says what came of a copy: its summary. gone are messages that are not there,
// skipped or missing: at most mostQuoted are named, and none unless s.Subjects.
func (s Sender) Ended(r Report, to string, gone []Message) ([]byte, error) {
	lang := r.Copy.language()
	sum := r.Summary(lang)
	subject := fill(words.CopyEnded.Subject.In(lang), "{what}", sum.Title, "{from}", sum.source)
	var text body
	text.say(sum.Title + ".")
	text.say(sum.Text)
	if sum.Grade.Grade != "" {
		text.say(sum.Grade.Text)
	}
	text.facts(sum.Facts)
	for _, p := range sum.Parts {
		text.part(p)
		if p.Key == "not_there" && s.Subjects {
			text.quote(gone, lang)
		}
	}
	if s.ReportPage != "" {
		text.say(fill(words.CopyEnded.Report.In(lang), "{page}", s.ReportPage))
	}
	return s.write(r.Copy, fmt.Sprintf("ended %d", r.Copy.Pass), to, subject, r.Copy.EndedAt, text.String())
}

// language is the one in which mail about a copy is written.
func (c Copy) language() words.Language {
	if words.Language(c.Options.Language) == words.Polish {
		return words.Polish
	}
	return words.English
}

// write makes a message of a text. what is its subject matter, of which there is one message to an address.
func (s Sender) write(c Copy, what, to, subject string, at time.Time, text string) ([]byte, error) {
	from, err := netmail.ParseAddress(s.From)
	switch {
	case err != nil:
		return nil, fmt.Errorf("writing mail about a copy: the sender %q: %w", words.Clip(s.From), err)
	case !owner.IsASCII(from.Address):
		return nil, fmt.Errorf("writing mail about a copy: the sender %q is not in ASCII", words.Clip(s.From))
	case at.IsZero():
		return nil, fmt.Errorf("writing mail about a copy: it has not %s", what)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	name := sha256.Sum256([]byte(strings.Join([]string{string(c.ID), what, to}, "\x00")))
	var h message.Header
	// The last one stands first.
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Set("Content-Language", string(c.language()))
	h.Set("MIME-Version", "1.0")
	h.Set("Auto-Submitted", "auto-generated")
	h.Set("Message-ID", fmt.Sprintf("<%x@%s>", name[:16], domain))
	h.SetText("Subject", subject)
	h.Set("To", recipient(to))
	h.Set("From", from.String())
	h.Set("Date", at.UTC().Format(time.RFC1123Z))
	var out bytes.Buffer
	w, err := message.CreateWriter(&out, h)
	if err != nil {
		return nil, fmt.Errorf("writing mail about a copy: %w", err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, fmt.Errorf("writing mail about a copy: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing mail about a copy: %w", err)
	}
	return out.Bytes(), nil
}

// recipient is the field To of an address. One that has no form in ASCII is not named (RFC 5322 section 3.4 has the
// empty group for that): not every server takes RFC 6532, and where the message goes to does not depend on it.
func recipient(to string) string {
	if a, err := netmail.ParseAddress(to); err == nil && owner.IsASCII(a.Address) {
		return (&netmail.Address{Address: a.Address}).String()
	}
	return "undisclosed-recipients:;"
}

// body is the text of a message as it grows: paragraphs with an empty line between them.
type body struct{ strings.Builder }

// width is where lines are broken, at spaces (RFC 5322 section 2.1.1 has 78).
const width = 76

// say adds a paragraph; nothing for "".
func (b *body) say(text string) { b.block(text, "") }

// block adds a paragraph whose further lines are indented, by spaces that are no part of it.
func (b *body) block(text, indent string) {
	if text == "" {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.wrap(text, indent)
}

// wrap writes a text in lines. What has no spaces, as an address, is never broken.
func (b *body) wrap(text, indent string) {
	length := 0
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case length+1+n > width:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	b.WriteByte('\n')
}

// facts adds a paragraph of lines "label: value".
func (b *body) facts(facts []Fact) {
	for i, f := range facts {
		if i == 0 {
			b.WriteByte('\n')
		}
		b.wrap("  "+f.Label+": "+f.Value, "    ")
	}
}

// part adds a head, what is said below it, and the list.
func (b *body) part(p Part) {
	b.say(p.Title)
	b.WriteString(strings.Repeat("-", utf8.RuneCountInString(p.Title)) + "\n")
	if p.Text != "" {
		b.wrap(p.Text, "")
	}
	for _, item := range p.Items {
		b.wrap("* "+item.Text, "  ")
		if item.Advice != "" {
			b.wrap("  "+item.Advice, "  ")
		}
	}
}

// quote adds which messages are not there.
func (b *body) quote(gone []Message, lang words.Language) {
	gone = slices.DeleteFunc(slices.Clone(gone), func(m Message) bool {
		return m.State != MessageSkipped && m.State != MessageMissing
	})
	if len(gone) == 0 {
		return
	}
	b.say(words.CopyEnded.Subjects.In(lang) + ":")
	for _, m := range gone[:min(len(gone), mostQuoted)] {
		about := join(": ", clean(m.About.Sender), clean(m.About.Subject))
		received := ""
		if !m.Received.IsZero() {
			received = words.Moment(m.Received, lang)
		}
		line := join(", ", clean(m.Folder), received, words.SizeIn(m.Size, lang), lower(m.text().Title.In(lang)))
		b.wrap("* "+join(" - ", about, line), "  ")
	}
	if n := len(gone) - mostQuoted; n > 0 {
		b.wrap("* "+fill(words.CopyMore.In(lang), "{n}", words.Number(int64(n), lang)), "  ")
	}
}
