package mail

import (
	"io"
	"mime"
	netmail "net/mail"
	"strings"
	"time"
)

// Envelope is what shows a person which message it is.
type Envelope struct {
	Sender  string    // A name, else an address; "" where there is none.
	Subject string    // Decoded.
	Date    time.Time // Of the Date field. Zero where it gives none that can be true.
}

// ParseEnvelope reads the From, Subject and Date fields of a header, with encoded words
// decoded (RFC 2047); charsets beside UTF-8, ASCII and Latin-1 are read as charset does.
// What cannot be decoded stays as it was sent. The texts are anybody's: control
// characters and all.
func ParseEnvelope(header []byte, charset func(name string, r io.Reader) (io.Reader, error)) Envelope {
	found := fields(header[:min(len(header), MaxHeader)], "From", "Subject", "Date")
	words := &mime.WordDecoder{CharsetReader: charset}
	var e Envelope
	if v := found[0]; v != nil {
		e.Sender = sender(words, *v)
	}
	if v := found[1]; v != nil {
		e.Subject = decoded(words, *v)
	}
	if v := found[2]; v != nil {
		e.Date = ParseDate(*v)
	}
	return e
}

func decoded(words *mime.WordDecoder, text string) string {
	if plain, err := words.DecodeHeader(text); err == nil {
		text = plain
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func sender(words *mime.WordDecoder, field string) string {
	parser := netmail.AddressParser{WordDecoder: words}
	list, err := parser.ParseList(field)
	if err != nil || len(list) == 0 {
		return decoded(words, field)
	}
	if list[0].Name != "" {
		return strings.ToValidUTF8(list[0].Name, "\uFFFD")
	}
	return list[0].Address
}
