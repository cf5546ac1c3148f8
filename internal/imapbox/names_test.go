package imapbox

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// FuzzEncodePart: with every delimiter that is used, no part of a name has one in it, two are never the same, and
// each can be asked for.
func FuzzEncodePart(f *testing.F) {
	for _, s := range []string{
		"a.b", "a%2Eb", "a%252Eb", "100%", "%", "%%", "%25", "Wysłane/2023", "R&D", "a^b|c:d",
		"\\", "", "żółć.&",
	} {
		f.Add(s, s+".")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		one, other = strings.ToValidUTF8(one, "?"), strings.ToValidUTF8(other, "?")
		n := 0
		for d := range byte(128) {
			delimiter := string(rune(d))
			if !isDelimiter(delimiter) {
				continue
			}
			n++
			a, b := encodePart(one, delimiter), encodePart(other, delimiter)
			switch {
			case strings.Contains(a, delimiter):
				t.Fatalf("%q is written as %q where %q divides", one, a, delimiter)
			case (a == b) != (one == other):
				t.Fatalf("%q and %q are both written as %q where %q divides", one, other, a, delimiter)
			case !wire.Askable(a):
				t.Fatalf("nobody can ask for %q", a)
			}
		}
		if n != 25 {
			t.Fatalf("%d characters divide", n)
		}
	})
}

// What modified UTF-7 itself is written with, or a name by "%", divides nothing.
func TestWhatDivides(t *testing.T) {
	for delimiter, may := range map[string]bool{
		"": true, "/": true, ".": true, `\`: true, "^": true, "&": false, "-": false, "%": false, "*": false, "+": false,
		",": false,
		"a": false, "Z": false, "0": false, " ": false, `"`: false, "\xff": false, "//": false, "\r": false,
	} {
		if isDelimiter(delimiter) != may {
			t.Errorf("%q: %v", delimiter, !may)
		}
	}
}

// FuzzPlace: what the journal keeps of a message is read as it was written, and nothing else is.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{
		"imap.1.2.3.4.5", "imap-loose.1.2.3.4.5", "imap.1.2.3.4", "imap.1.0.3.4.5", "imap.1.2.3.4.4294967296",
		"imap.-1.2.3.4.5",
		"x",
		"imap.9223372036854775807.4294967295.1.0.0", "imap.01.2.3.4.5", "imap-loose-loose.1.2.3.4.5", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, err := placeOf(mail.Placement{Spool: name})
		if err != nil {
			return
		}
		again, err := placeOf(mail.Placement{Spool: p.String()})
		if err != nil || again != p || p.uid == 0 || p.validity == 0 || p.epoch < 0 {
			t.Fatalf("%q is read as %+v, and that as %+v (%v)", name, p, again, err)
		}
	})
}
