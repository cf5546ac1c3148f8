package source

import (
	"bytes"
	"errors"
	"io"
)

// standIn is a message that a server sends in the place of one that it cannot give.
type standIn struct {
	sentence string // What it says, in its Subject above all.
	sender   string // What its From holds.
	whole    bool   // It has nothing of the message in it.
}

// standIns are in lower case, with single blanks: Exchange folds the line.
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
)

// Why a message that came counts as one that did not.
const (
	cameEmpty   = "The server sends nothing in the place of this message."
	cameStandIn = "The server sends a notice of its own in the place of this message."
)

// substance looks at the beginning of a body and returns it whole again. why is not
// "" if it is not the message that was listed with so many octets: nothing, or a
// stand-in. A length that differs proves nothing, as servers count wrongly: a
// body with something in it is the message, whatever its length.
func substance(body io.Reader, listed int64) (whole io.Reader, why string) {
	head := make([]byte, standInHead)
	n, err := io.ReadFull(body, head)
	head = head[:n]
	ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if n == 0 && ended && listed > 0 {
		return body, cameEmpty
	}
	whole = io.MultiReader(bytes.NewReader(head), body)
	kind, certain := resembles(head)
	if listed <= 0 || kind == nil {
		return whole, ""
	}
	rest, err := io.ReadAll(io.LimitReader(body, standInMost))
	came, short := int64(n+len(rest)), len(rest) < standInMost
	switch {
	case err != nil:
	case certain && (kind.whole || came != listed || !short), // A longer one has the message attached.
		!certain && short && came != listed:
		return body, cameStandIn
	}
	return io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest), body), ""
}

// resembles returns which stand-in a message looks like, by how its subject or its
// text begins, or nil: a mail may well speak of one. certain says that its sender is
// the server, too, and that it was not sent by anybody (Received).
func resembles(head []byte) (kind *standIn, certain bool) {
	fields, text, _ := bytes.Cut(bytes.ReplaceAll(bytes.ToLower(head), []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	for _, fold := range []string{"\n ", "\n\t"} {
		fields = bytes.ReplaceAll(fields, []byte(fold), []byte(" "))
	}
	var subject, from []byte
	sent := false
	for field := range bytes.SplitSeq(fields, []byte("\n")) {
		name, value, _ := bytes.Cut(field, []byte(":"))
		value = bytes.Join(bytes.Fields(value), []byte(" "))
		switch string(bytes.TrimSpace(name)) {
		case "received":
			sent = true
		case "subject":
			subject = value
		case "from":
			from = value
		}
	}
	text = bytes.Join(bytes.Fields(text), []byte(" "))
	for i := range standIns {
		k := &standIns[i]
		if told := bytes.HasPrefix(subject, []byte(k.sentence)); told || bytes.HasPrefix(text, []byte(k.sentence)) {
			return k, told && !sent && bytes.Contains(from, []byte(k.sender))
		}
	}
	return nil, false
}
