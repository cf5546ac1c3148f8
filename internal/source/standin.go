package source

import (
	"bytes"
	"errors"
	"io"
)

// standIns are sentences of messages that servers send in the place of one that
// they cannot give: Exchange (Mailspring issue 2038), Courier where a message
// has octets beyond ASCII in its header and the client does not speak UTF8.
var standIns = [][]byte{
	[]byte("Retrieval using the IMAP4 protocol failed for the following message"),
	[]byte("Retrieval using the POP3 protocol failed for the following message"),
	[]byte("Cannot display Unicode content"),
}

const (
	standInHead = 4 << 10  // Within so many octets the sentence stands,
	standInMost = 16 << 10 // and so long is the longest of them.
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
	if listed <= 0 || !isStandIn(head) {
		return whole, ""
	}
	rest, err := io.ReadAll(io.LimitReader(body, standInMost))
	if err == nil && len(rest) < standInMost && int64(n+len(rest)) != listed {
		return body, cameStandIn
	}
	return io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest), body), ""
}

func isStandIn(head []byte) bool {
	for _, sentence := range standIns {
		if bytes.Contains(head, sentence) {
			return true
		}
	}
	return false
}
