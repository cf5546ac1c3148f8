package mailtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"mime"
	"slices"
	"strings"
	"time"
)

// Message is one message of a corpus.
type Message struct {
	Folder string // Levels joined with "/"; "INBOX" for the inbox.
	// Data is the message as a Maildir holds it: lines end in LF, some of them
	// in CRLF where Odd says so.
	Data  []byte
	Flags string    // Maildir letters out of D, F, R and S, in that order.
	Date  time.Time // Internal date, whole seconds.
	// HeaderDate is the date of the topmost Received field, else of Date; zero
	// when the message has neither.
	HeaderDate time.Time
	Odd        string // What is special about it, out of Oddities; mostly "".
}

// Wire returns the message as Dovecot serves it over IMAP: every line ends in CRLF.
func (m Message) Wire() []byte {
	lf := bytes.ReplaceAll(m.Data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
}

// POP3 returns the message as RETR gives it, dot-stuffing undone: POP3 cannot
// say that the last line has no end (RFC 1939 section 3).
func (m Message) POP3() []byte {
	w := m.Wire()
	if !bytes.HasSuffix(w, []byte("\r\n")) {
		w = append(w, "\r\n"...)
	}
	return w
}

// Tree returns the folders of a corpus with a tree, the inbox first.
func Tree() []string {
	return []string{
		"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive", "Archive/2023", "Archive/2023/Q1",
		"Archive/2023/Q2", "Archive/2024", "Archive/2024/Q1", "Wysłane", "Wysłane/Żółć", "R&D",
		"R&D/Specs & notes", "My Folder", "My Folder/With  two spaces", "Lists/golang-nuts",
		"日本語", "Lists/[list] (odd) 100%",
	}
}

// Oddities returns what may be special about a message. A corpus of at least
// four times as many messages has each of them.
func Oddities() []string {
	return []string{
		"dots", "only dots", "long line", "no final newline", "no header", "header only", "empty body",
		"same Message-ID", "no Message-ID", "folded Message-ID", "no date", "bare CR", "ends in CR", "all octets",
		"huge header", "From line", "mixed line ends", "twin", "ISO-8859-2", "8-bit header", "starts with an empty line",
	}
}

// Corpus returns n messages, always the same for the same arguments: in the
// inbox alone or all over Tree. Sizes are log-normal (median 8 KB, 1 MB at
// most). The messages of one folder are in the order of their dates.
func Corpus(seed uint64, n int, tree bool) []Message {
	g := newGenerator(seed)
	folders := []string{"INBOX"}
	if tree {
		folders = Tree()
	}
	odd := Oddities()
	clock := make(map[string]time.Time)
	msgs := make([]Message, n)
	for i := range msgs {
		folder := folders[i%len(folders)]
		if i >= len(folders) && g.IntN(3) > 0 {
			folder = folders[g.IntN(1+g.IntN(len(folders)))] // More in the first ones.
		}
		if clock[folder].IsZero() {
			clock[folder] = time.Date(2023, 1, 1, 0, 0, g.IntN(86400), 0, time.UTC)
		}
		clock[folder] = clock[folder].Add(time.Duration(30+g.IntN(6000)) * time.Second)
		m := Message{Folder: folder, Date: clock[folder], Flags: g.flags()}
		if i%4 == 3 {
			m.Odd = odd[i/4%len(odd)]
		}
		if m.Odd == "twin" {
			twin := msgs[g.IntN(i)]
			twin.Odd, twin.Date, twin.Flags = m.Odd, clock[twin.Folder].Add(time.Second), m.Flags
			clock[folder] = m.Date
			clock[twin.Folder] = twin.Date
			msgs[i] = twin
			continue
		}
		g.compose(&m, i)
		msgs[i] = m
	}
	return msgs
}

type generator struct {
	*rand.Rand
	text, polish, html, base64 string
	ids                        []string
}

const englishWords = "the invoice meeting report please find attached regards project update schedule budget " +
	"contract " +
	"tomorrow team review question answer customer delivery account confirm number status change version release note " +
	"server mail address calendar offer price order shipping thanks hello morning"

const polishWords = "zażółć gęślą jaźń proszę o przesłanie faktury dziękuję spotkanie jutro umowa wysłane załącznik " +
	"pozdrawiam serdecznie sprawozdanie budżet wiadomość źródło łódź kraków święta następny tydzień"

func newGenerator(seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x6d61696c))}
	g.text = g.prose(strings.Fields(englishWords), 1<<18)
	g.polish = g.prose(strings.Fields(polishWords), 1<<18)
	var html strings.Builder
	for html.Len() < 1<<18 {
		fmt.Fprintf(&html, "<tr><td style=\"color:#%06x\"><a href=\"https://example.test/%x\">%s</a></td></tr>\n",
			g.IntN(1<<24), g.Uint64(), g.words(strings.Fields(englishWords), 6))
	}
	g.html = html.String()
	raw := make([]byte, 3<<19)
	for i := 0; i+8 <= len(raw); i += 8 {
		x := g.Uint64()
		for k := range 8 {
			raw[i+k] = byte(x >> (8 * k))
		}
	}
	var b strings.Builder
	for chunk := range slices.Chunk(raw, 57) { // Lines of 76.
		b.WriteString(base64.StdEncoding.EncodeToString(chunk) + "\n")
	}
	g.base64 = b.String()
	return g
}

func (g *generator) words(from []string, n int) string {
	var w []string
	for range n {
		w = append(w, from[g.IntN(len(from))])
	}
	return strings.Join(w, " ")
}

func (g *generator) prose(from []string, size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(g.words(from, 10) + "\n")
	}
	return b.String()
}

// cut returns whole lines of about n octets from somewhere in the text.
func (g *generator) cut(text string, n int) string {
	n = min(n, len(text)/2)
	i := g.IntN(len(text) - n)
	i += strings.IndexByte(text[i:], '\n') + 1
	j := min(i+n, len(text))
	j = i + strings.LastIndexByte(text[i:j], '\n') + 1
	if j <= i {
		return "short\n"
	}
	return text[i:j]
}

func (g *generator) flags() string {
	var b strings.Builder
	for _, f := range []struct {
		letter  byte
		percent int
	}{{'D', 3}, {'F', 6}, {'R', 20}, {'S', 75}} {
		if g.IntN(100) < f.percent {
			b.WriteByte(f.letter)
		}
	}
	return b.String()
}

func (g *generator) address() string {
	names := []string{
		"Jan Kowalski", "Zażółć Gęślą", "Łukasz Żółć", "Alice Example", "Bob O'Neil", "Ünïcode Müller",
		"newsletter", "Σωκράτης", "山田太郎",
	}
	return fmt.Sprintf("%s <%x@example.test>", mime.BEncoding.Encode("utf-8", names[g.IntN(len(names))]), g.IntN(1<<24))
}

// compose fills in Data and HeaderDate.
func (g *generator) compose(m *Message, i int) {
	size := max(300, min(int(math.Exp(g.NormFloat64()*1.768+math.Log(8192))), 1<<20))
	isPolish := g.IntN(3) == 0
	text := g.text
	if isPolish || m.Odd == "ISO-8859-2" {
		text = g.polish
	}
	header := g.header(m, i, isPolish)
	kind, body := g.body(m, i, text, max(80, size-len(header)-200))
	header += kind

	switch m.Odd {
	case "no header":
		m.Data, m.HeaderDate = []byte("just text, no header at all\n"+body), time.Time{}
	case "starts with an empty line":
		m.Data, m.HeaderDate = []byte("\n"+body), time.Time{}
	case "header only":
		m.Data = []byte(header)
	case "empty body":
		m.Data = []byte(header + "\n")
	case "mixed line ends":
		m.Data = []byte(strings.Replace(header+"\n"+body, "\n", "\r\n", 7))
	default:
		m.Data = []byte(header + "\n" + body)
	}
}

// header returns the header but for its last fields, Content-*.
func (g *generator) header(m *Message, i int, isPolish bool) string {
	var h strings.Builder
	if m.Odd != "no date" {
		// Not the internal date, so that a mistake of one for the other shows.
		m.HeaderDate = m.Date.Add(-90 * time.Second)
		zone := time.FixedZone("", 3600*g.IntN(3))
		for k := range 2 + g.IntN(4) {
			at := m.HeaderDate.Add(time.Duration(-k) * time.Minute).In(zone).Format("Mon, 2 Jan 2006 15:04:05 -0700")
			if g.IntN(2) == 0 {
				at += " (CET)"
			}
			fmt.Fprintf(&h, "Received: from mx%d.example.test (mx%d.example.test [192.0.2.%d])\n\tby mail.example.test "+
				"(Postfix) with ESMTPS id %X\n\tfor <user@example.test>; %s\n",
				k, k, g.IntN(250), g.IntN(1<<40), at)
		}
	}
	h.WriteString("From: " + g.address() + "\nTo: " + g.address() + ",\n\t" + g.address() + "\n")
	subject := g.words(strings.Fields(englishWords), 1+g.IntN(9))
	if isPolish {
		subject = g.words(strings.Fields(polishWords), 1+g.IntN(9))
	}
	if m.Odd == "8-bit header" {
		h.WriteString("Subject: Zażółć gęślą jaźń, bez kodowania\n")
	} else {
		h.WriteString("Subject: " + mime.BEncoding.Encode("utf-8", subject) + "\n")
	}
	if m.Odd != "no date" {
		h.WriteString("Date: " + m.Date.Add(-10*time.Minute).Format("Mon, 02 Jan 2006 15:04:05 +0000") + "\n")
	}
	id := fmt.Sprintf("<%d.%x@mail%d.example.test>", i, g.Uint64(), g.IntN(20))
	if m.Odd == "same Message-ID" {
		id = g.ids[g.IntN(len(g.ids))]
	}
	switch m.Odd {
	case "no Message-ID":
	case "folded Message-ID":
		h.WriteString("Message-ID:\n " + id + "\n")
		g.ids = append(g.ids, id)
	default:
		h.WriteString("Message-ID: " + id + "\n")
		g.ids = append(g.ids, id)
	}
	if m.Odd == "huge header" {
		h.WriteString("References:")
		for range 2000 {
			fmt.Fprintf(&h, "\n\t<%x.%x@example.test>", g.Uint64(), g.Uint64())
		}
		h.WriteString("\n")
	}
	h.WriteString("MIME-Version: 1.0\n")
	return h.String()
}

// body returns the Content fields and the body, of about size octets.
func (g *generator) body(m *Message, i int, text string, size int) (fields, body string) {
	const plain = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
	boundary := fmt.Sprintf("=_%x", g.Uint64())
	fields = plain
	switch kind := g.IntN(10); {
	case m.Odd == "ISO-8859-2":
		return "Content-Type: text/plain; charset=iso-8859-2\nContent-Transfer-Encoding: 8bit\n", latin2(g.cut(text, size))
	case size > 40000 || kind == 0:
		name := mime.BEncoding.Encode("utf-8", fmt.Sprintf("załącznik %d.pdf", i))
		fields = "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\n"
		body = "This is a multi-part message in MIME format.\n--" + boundary + "\n" + plain + "\n" + g.cut(text, 2000) +
			"\n--" + boundary +
			"\nContent-Type: application/pdf; name=\"" + name + "\"\nContent-Disposition: attachment; filename=\"" + name +
			"\"\nContent-Transfer-Encoding: base64\n\n" + g.cut(g.base64, size) + "\n--" + boundary + "--\n"
	case kind < 4:
		body = g.cut(text, size)
	case kind < 9:
		fields = "Content-Type: multipart/alternative; boundary=\"" + boundary + "\"\n"
		body = "--" + boundary + "\n" + plain + "\n" + g.cut(text, size/3) + "\n--" + boundary +
			"\nContent-Type: text/html; charset=utf-8\n\n<html><body><table>\n" + g.cut(g.html, size*2/3) +
			"</table></body></html>\n--" + boundary + "--\n"
	default:
		fields = "Content-Type: message/rfc822\n"
		body = fmt.Sprintf("From: inner@example.test\nSubject: forwarded %d\nMessage-ID: <inner-%d@example.test>\n\n%s", i, i,
			g.cut(text, size))
	}
	switch m.Odd {
	case "dots":
		body = ".\n..\n.leading dot\n.\n" + body + ".\n"
	case "only dots":
		body = ".\n..\n...\n....\n.\n.\n"
	case "long line":
		body += strings.Repeat("x", 2000+g.IntN(90000)) + "\n"
	case "From line":
		body = "From someone Mon Jan  1 00:00:00 2024\n>From quoted\n" + body
	case "no final newline":
		body += "the end, without a line end"
	case "bare CR":
		body = "bare\rcarriage\rreturns\n" + body
	case "ends in CR":
		body += "the end is a carriage return\r"
	case "all octets":
		var all []byte
		for c := 1; c < 256; c++ {
			if c != '\n' && c != '\r' {
				all = append(all, byte(c))
			}
		}
		body += string(all) + "\n"
	}
	return fields, body
}

// latin2 writes the Polish letters as ISO-8859-2 does.
func latin2(s string) string {
	var b strings.Builder
	from, to := []rune("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"), "\xb1\xe6\xea\xb3\xf1\xf3\xb6\xbc\xbf\xa1\xc6\xca\xa3\xd1\xd3\xa6\xac\xaf"
	for _, r := range s {
		if i := slices.Index(from, r); i >= 0 {
			b.WriteByte(to[i])
		} else {
			b.WriteByte(byte(r))
		}
	}
	return b.String()
}

// Expected is what must be found of one message, wherever it was brought.
type Expected struct {
	Folder string    // Of the remote; "INBOX" for the inbox.
	SHA    [32]byte  // Of the octets as served: lines end in CRLF.
	Size   int64     // Of the octets as served.
	Flags  string    // As in Message.
	Date   time.Time // Zero: not known.
	Odd    string    // For people.
}

// Oracle is what must be found of a whole account.
type Oracle []Expected

// ByIMAP is the oracle of messages that are served over IMAP.
func ByIMAP(msgs []Message) Oracle {
	var o Oracle
	for _, m := range msgs {
		w := m.Wire()
		o = append(o, Expected{
			Folder: m.Folder, SHA: sha256.Sum256(w), Size: int64(len(w)), Flags: m.Flags, Date: m.Date,
			Odd: m.Odd,
		})
	}
	return o
}

// ByPOP3 is the oracle of messages that are served over POP3: those of the
// inbox, without flags, dated by their header.
func ByPOP3(msgs []Message) Oracle {
	var o Oracle
	for _, m := range msgs {
		if m.Folder == "INBOX" {
			w := m.POP3()
			o = append(o, Expected{Folder: m.Folder, SHA: sha256.Sum256(w), Size: int64(len(w)), Date: m.HeaderDate, Odd: m.Odd})
		}
	}
	return o
}
