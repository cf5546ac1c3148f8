package mail_test

import (
	"fmt"
	"io"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// A message is known again by what it is, however it came in pieces; one octet more makes
// another one of it.
func ExampleScanner() {
	sum := func(pieces ...string) mail.Fingerprint {
		s := mail.NewScanner()
		for _, p := range pieces {
			_, _ = io.WriteString(s, p)
		}
		return s.Sum()
	}
	whole := sum("Subject: Faktura\r\nDate: Sun, 29 Nov 2026 12:00:00 +0100\r\n\r\nW załączeniu.\r\n")
	parts := sum("Subject: Fak", "tura\r\nDate: Sun, 29 Nov 2026 12:00:00 +0100\r", "\n\r\nW załączeniu.\r\n")
	other := sum("Subject: Faktura\r\nDate: Sun, 29 Nov 2026 12:00:00 +0100\r\n\r\nW załączeniu..\r\n")
	fmt.Println(whole == parts, whole == other)
	fmt.Println(whole.Header == other.Header, whole.Size)
	// Output:
	// true false
	// true 76
}

// Line ends become what a Maildir wants; nothing else is changed.
func ExampleLF() {
	var l mail.LF
	text := l.Append(nil, []byte("one\r\ntwo\r"))
	text = l.Append(text, []byte("\nstray \r kept\r\n"))
	text = l.Finish(text)
	fmt.Printf("%q\n%d octets in the file, %d as Dovecot counts\n", text, l.Size(), l.Virtual())
	// Output:
	// "one\ntwo\nstray \r kept\n"
	// 21 octets in the file, 24 as Dovecot counts
}

// A message has the same name after a restart; another folder, a UID that the server uses
// again, and whoever lacks the key have another.
func ExampleTokenFor() {
	key, id := []byte("a key of this installation"), mail.ID{UID: 4711}
	name := mail.TokenFor(key, "journal-1", "INBOX", 1, id)
	fmt.Println(name == mail.TokenFor(key, "journal-1", "INBOX", 1, id))
	fmt.Println(name == mail.TokenFor(key, "journal-1", "Sent", 1, id))
	fmt.Println(name == mail.TokenFor(key, "journal-1", "INBOX", 2, id)) // UIDVALIDITY has changed.
	fmt.Println(name == mail.TokenFor([]byte("somebody else's key"), "journal-1", "INBOX", 1, id))
	// Output:
	// true
	// false
	// false
	// false
}
