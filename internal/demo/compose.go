package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// sample is a message as a person thinks of it.
type sample struct {
	folder  string
	age     time.Duration // Before the provider was started.
	from    string        // "Name <address>".
	to      string        // "": the account.
	subject string
	body    string // Lines end in LF.
	coding  coding
	file    *attachment
	flags   []imap.Flag
}

// coding is how a body is written.
type coding int

const (
	utf8Text   coding = iota // 8-bit UTF-8.
	latin2Text               // 8-bit ISO-8859-2, as older programs write Polish.
	quotedText               // UTF-8 as quoted-printable.
	htmlText                 // Both as text and as HTML.
)

type attachment struct {
	name, kind string
	data       []byte
}

// message writes the sample as mail for the account, received at that time.
func (s sample) message(account string, at time.Time) *message {
	at = at.Truncate(time.Second)
	to := s.to
	if to == "" {
		to = account
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", account, s.subject, at.Unix()))
	var b strings.Builder
	if s.to == "" { // It came from elsewhere.
		fmt.Fprintf(&b, "Return-Path: <%s>\n", address(s.from))
		fmt.Fprintf(&b, "Received: from mail.example.test (mail.example.test [192.0.2.%d])\n\tby mx.%s with ESMTPS id "+
			"%X\n\tfor <%s>; %s\n",
			1+int(sum[0])%250, domain(account), sum[:5], account, at.Format(time.RFC1123Z))
	}
	fmt.Fprintf(&b, "From: %s\nTo: %s\nSubject: %s\n", person(s.from), person(to), mime.BEncoding.Encode("utf-8",
		s.subject))
	fmt.Fprintf(&b, "Date: %s\nMessage-ID: <%x@%s>\nMIME-Version: 1.0\n", at.Add(-time.Minute).Format(time.RFC1123Z),
		sum[:10], domain(address(s.from)))
	text := s.text(fmt.Sprintf("=_text_%x", sum[10:16]))
	if s.file == nil {
		b.WriteString(text)
	} else {
		boundary := fmt.Sprintf("=_mixed_%x", sum[16:22])
		name := mime.BEncoding.Encode("utf-8", s.file.name)
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%s\"\n\n--%s\n%s\n--%s\n", boundary, boundary, text,
			boundary)
		fmt.Fprintf(&b, "Content-Type: %s; name=\"%s\"\nContent-Disposition: attachment; "+
			"filename=\"%s\"\nContent-Transfer-Encoding: base64\n\n", s.file.kind, name, name)
		for line := range slices.Chunk(s.file.data, 57) { // Lines of 76.
			b.WriteString(base64.StdEncoding.EncodeToString(line) + "\n")
		}
		fmt.Fprintf(&b, "--%s--\n", boundary)
	}
	return &message{data: []byte(strings.ReplaceAll(b.String(), "\n", "\r\n")), flags: s.flags, date: at}
}

// text is the Content fields, the empty line, and the text.
func (s sample) text(boundary string) string {
	const head = "Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: %s\n\n%s"
	switch s.coding {
	case latin2Text:
		return fmt.Sprintf(head, "iso-8859-2", "8bit", latin2(s.body))
	case quotedText:
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		// Writing to a buffer does not fail.
		w.Write([]byte(s.body))
		w.Close()
		return fmt.Sprintf(head, "utf-8", "quoted-printable", strings.ReplaceAll(b.String(), "\r\n", "\n"))
	case htmlText:
		html := "<html><body><p>" + strings.ReplaceAll(strings.TrimSpace(s.body), "\n\n", "</p>\n<p>") +
			"</p></body></html>\n"
		return fmt.Sprintf("Content-Type: multipart/alternative; boundary=\"%s\"\n\n--%s\n", boundary, boundary) +
			fmt.Sprintf(head, "utf-8", "8bit", s.body) + "\n--" + boundary +
			"\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + html + "\n--" + boundary + "--\n"
	default:
		return fmt.Sprintf(head, "utf-8", "8bit", s.body)
	}
}

// person encodes the name before an address, should it need that.
func person(s string) string {
	name, rest, ok := strings.Cut(s, " <")
	if !ok {
		return s
	}
	return mime.QEncoding.Encode("utf-8", name) + " <" + rest
}

func address(s string) string {
	if _, rest, ok := strings.Cut(s, "<"); ok {
		return strings.TrimSuffix(rest, ">")
	}
	return s
}

func domain(address string) string {
	_, d, _ := strings.Cut(address, "@")
	return d
}

// latin2 writes Polish letters and ASCII in ISO-8859-2, and "?" for the rest.
func latin2(s string) string {
	const letters = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"
	const octets = "\xb1\xe6\xea\xb3\xf1\xf3\xb6\xbc\xbf\xa1\xc6\xca\xa3\xd1\xd3\xa6\xac\xaf"
	var b strings.Builder
	for _, r := range s {
		if i := slices.Index([]rune(letters), r); i >= 0 {
			b.WriteByte(octets[i])
		} else if r < 0x80 {
			b.WriteByte(byte(r))
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}

// invoice is a PDF of one page that shows the lines.
func invoice(lines ...string) []byte {
	var page strings.Builder
	page.WriteString("BT /F1 14 Tf 72 770 Td 20 TL\n")
	for _, l := range lines {
		fmt.Fprintf(&page, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(l))
	}
	page.WriteString("ET\n")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return b.Bytes()
}
