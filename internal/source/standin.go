package source

import (
	"bytes"
	"errors"
	"io"

	"github.com/mailbrook/mailbrook/internal/words"
)

// standIn is a message that a server sends instead of one that it cannot give.
type standIn struct {
	sentence string // What it says, in its Subject above all.
	sender   string // What its From holds.
	whole    bool   // It has nothing of the message in it.
}

// standIns are in lower case, with single spaces: Exchange folds the line.
//
//   - Exchange (Mailspring issue 2038, OfflineIMAP issue 62).
//   - Courier, where a message has octets beyond ASCII in its header and the client
//     does not speak UTF8; the message is attached.
var standIns = []standIn{
	{"retrieval using the imap4 protocol failed for the following message", "microsoft", true},
	{"retrieval using the pop3 protocol failed for the following message", "microsoft", true},
	{"cannot display unicode content", "mail delivery subsystem", false},
}

const (
	standInHead = 4 << 10  // Within so many octets it shows what it is,
	standInMost = 16 << 10 // and it is no longer, where its sender is not known.

	// endings is by how many octets a server may count a message of nothing but line
	// ends too large: with the line that ends it by POP3.
	endings = 4
)

// Why a message that came counts as one that did not.
var (
	cameEmpty   = words.Say("The server sends nothing instead of this message.")
	cameStandIn = words.Say("The server sends a notice of its own instead of this message.")
)

// substance looks at the beginning of a body and returns it whole again. why is not
// nil if it is not the message that was listed with so many octets: nothing, or nothing
// but line ends, or a stand-in. A length that differs proves nothing, as servers count wrongly: a
// body with something in it is the message, whatever its length.
//
// The beginning is read into buf, which is needed until whole has been read or is
// given up.
func substance(body io.Reader, listed int64, buf *[standInHead]byte) (whole io.Reader, why words.Detail) {
	n, err := io.ReadFull(body, buf[:])
	head := buf[:n]
	ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if ended && (n == 0 && listed > 0 || listed > int64(n)+endings && len(bytes.Trim(head, "\r\n")) == 0) {
		return body, words.Detail{cameEmpty}
	}
	whole = io.MultiReader(bytes.NewReader(head), body)
	kind, certain := resembles(head)
	if listed <= 0 || kind == nil {
		return whole, nil
	}
	rest, err := io.ReadAll(io.LimitReader(body, standInMost))
	came, short := int64(n+len(rest)), len(rest) < standInMost
	switch {
	case err != nil:
	case certain && (kind.whole || came != listed || !short), // A longer one has the message attached.
		!certain && short && came != listed:
		return body, words.Detail{cameStandIn}
	}
	return io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest), body), nil
}

// resembles returns which stand-in a message looks like, by how its subject or its
// text begins, or nil: a mail may well speak of one. certain says that its sender is
// the server, too, and that it was not sent by anybody (Received).
//
// Every message passes through here: it looks at what it must, and copies nothing.
func resembles(head []byte) (kind *standIn, certain bool) {
	var field, subject, from []byte
	sent := false
	for text := head; ; {
		field, text = cutField(text)
		if len(field) == 0 {
			head = text
			break
		}
		name, value, _ := bytes.Cut(field, []byte(":"))
		switch name = bytes.TrimSpace(name); {
		case bytes.EqualFold(name, []byte("Received")):
			sent = true
		case bytes.EqualFold(name, []byte("Subject")):
			subject = value
		case bytes.EqualFold(name, []byte("From")):
			from = value
		}
	}
	for i := range standIns {
		k := &standIns[i]
		if told := begins(subject, k.sentence); told || begins(head, k.sentence) {
			from = bytes.ToLower(bytes.Join(bytes.Fields(from), []byte(" ")))
			return k, told && !sent && bytes.Contains(from, []byte(k.sender))
		}
	}
	return nil, false
}

// cutField returns the first header field with the lines that are folded into it (RFC
// 5322, 2.2.3) and what follows; where the header ends, no field and the text.
func cutField(b []byte) (field, rest []byte) {
	if line, text, _ := bytes.Cut(b, []byte("\n")); len(line) == 0 || string(line) == "\r" {
		return nil, text
	}
	for end := 0; ; {
		n := bytes.IndexByte(b[end:], '\n')
		if n < 0 {
			return b, nil
		}
		if end += n + 1; end == len(b) || b[end] != ' ' && b[end] != '\t' {
			return b[:end], b[end:]
		}
	}
}

// begins reports whether text begins with a sentence in lower case, whatever the
// case of its letters and the spaces and line ends before and between its words.
func begins(text []byte, sentence string) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	for i := range len(sentence) {
		switch {
		case len(text) == 0:
			return false
		case sentence[i] == ' ':
			after := bytes.TrimLeft(text, " \t\r\n")
			if len(after) == len(text) {
				return false
			}
			text = after
		case text[0]|('a'-'A') != sentence[i] && text[0] != sentence[i]:
			return false
		default:
			text = text[1:]
		}
	}
	return true
}
