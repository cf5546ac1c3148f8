package imapbox

import (
	"strings"
	"testing"
)

// What servers refuse, or keep in another form, is noticed wherever the pieces end that a message comes in.
func TestShape(t *testing.T) {
	for text, plain := range map[string]bool{
		"": true, "a: b\r\n\r\nc\r\n": true, "a: b\r\n c\r\n\td\r\n\r\n\r\n\r\nc": true, "a: b\r\n\r\nza\xbf\r\n": true,
		"a: b": true, "a: b\r\n": true, "a: b\r\n\r\nc d\r\n": true, "\r\nbody": true,
		"a: b\r\n\r\n\x00": false, "a: \x00\r\n\r\nb": false, "a: b\n\nc": false, "a: b\r\n\r\nc\nd\r\n": false,
		"a: b\r\n\r\nc\rd\r\n": false, "a: b\r\n\r\nc\r\r\n": false, "a: b\r\n\r\nc\r": false, "a: b\r\n\r\n\n": false,
		"a: za\xbf\r\n\r\nb": false, "no header at all": false, "a: b\r\nno field\r\n\r\nc": false, ": b\r\n\r\n": false,
	} {
		for size := 1; size <= len(text)+1; size++ {
			var s shape
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				s.write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if s.plain() != plain {
				t.Errorf("%q in pieces of %d: plain %v", text, size, s.plain())
			}
		}
	}
}

// FuzzShape: it is the same in pieces of any size, and says what a slower look says.
func FuzzShape(f *testing.F) {
	for _, s := range []string{"a: b\r\n\r\nc\r\n", "a\nb\rc\r\n\x00", "\r", "\r\r\n\n", "za\xbf:\r\n"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		var whole, pieces shape
		whole.write([]byte(text))
		for rest := text; rest != ""; {
			n := min(max(size, 1), len(rest))
			pieces.write([]byte(rest[:n]))
			rest = rest[n:]
		}
		bare := strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n")
		if whole.plain() != pieces.plain() || whole.plain() && (bare || strings.Contains(text, "\x00")) ||
			(whole.bare || whole.last == '\r') != bare {
			t.Fatalf("%q: %+v whole, %+v in pieces", text, whole, pieces)
		}
	})
}
