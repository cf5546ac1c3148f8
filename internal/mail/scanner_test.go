package mail

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func scan(message string, chunk int) *Scanner {
	s := NewScanner()
	for p := []byte(message); len(p) > 0; {
		n := min(chunk, len(p))
		s.Write(p[:n])
		p = p[n:]
	}
	return s
}

func half(text string) (h [16]byte) {
	sum := sha256.Sum256([]byte(text))
	copy(h[:], sum[:])
	return h
}

func TestScannerFindsTheBodyInAnyChunks(t *testing.T) {
	for name, tc := range map[string]struct{ message, header, body string }{
		"nothing":                  {"", "", ""},
		"header only":              {"Subject: x\r\n", "Subject: x\r\n", ""},
		"header without an end":    {"Subject: x", "Subject: x", ""},
		"CRLF":                     {"Subject: x\r\n\r\nhello\r\nyou\r\n", "Subject: x\r\n\r\n", "hello\r\nyou\r\n"},
		"LF only":                  {"Subject: x\n\nhello\nyou\n", "Subject: x\n\n", "hello\r\nyou\r\n"},
		"mixed line ends":          {"A: 1\n\r\na\nb\r\nc", "A: 1\n\r\n", "a\r\nb\r\nc"},
		"no header at all":         {"\r\nhello\r\n", "\r\n", "hello\r\n"},
		"no header at all, LF":     {"\nhello\n", "\n", "hello\r\n"},
		"a lone CR is no line end": {"A: 1\r\n\r\r\n\r\na\rb\r\n", "A: 1\r\n\r\r\n\r\n", "a\rb\r\n"},
		"CRCRLF in the body":       {"A: 1\r\n\r\na\r\r\n", "A: 1\r\n\r\n", "a\r\r\n"},
		"body begins with LF":      {"A: 1\r\n\r\n\nb", "A: 1\r\n\r\n", "\r\nb"},
		"NUL and 8-bit":            {"A: \xff\x00\r\n\r\n\x00\xfe\r\n", "A: \xff\x00\r\n\r\n", "\x00\xfe\r\n"},
	} {
		for chunk := 1; chunk <= len(tc.message)+1; chunk++ {
			f := scan(tc.message, chunk).Sum()
			header, body := sha256.Sum256([]byte(tc.header)), sha256.Sum256([]byte(tc.body))
			if f.Digest != sha256.Sum256(append(header[:], body[:]...)) || f.Size != int64(len(tc.message)) {
				t.Errorf("%s, chunks of %d: digest or size is wrong", name, chunk)
			}
			if f.Body != half(tc.body) {
				t.Errorf("%s, chunks of %d: the body's hash is not that of %q", name, chunk, tc.body)
			}
		}
	}
}

func TestHeaderHash(t *testing.T) {
	const base = "Received: by a\r\nMessage-ID: <1@x>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\nFrom: Anna\r\n" +
		"Subject: a  long\r\n one\r\n\r\n"
	same := []string{
		"message-id: <1@x>\nDATE: Sat, 21 Nov 2026 10:00:00 +0100\nFrom : Anna\nX-New: 1\n" +
			"Subject: a\n\tlong one\n\nother body",
		"Subject: a long one\r\nFrom: Anna\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@x>\r\n" +
			"Subject: second\r\n\r\n",
	}
	other := []string{
		strings.Replace(base, "<1@x>", "<2@x>", 1),
		strings.Replace(base, "Subject: a  long\r\n one\r\n", "", 1),
		strings.Replace(base, "Subject: a  long\r\n one\r\n", "Subject:\r\n", 1),
		"\r\n" + base, // All of it is body.
	}
	want := scan(base, 1000).Sum().Header
	for _, m := range same {
		if scan(m, 3).Sum().Header != want {
			t.Errorf("%q has another header hash", m)
		}
	}
	seen := map[[16]byte]string{want: base}
	for _, m := range other {
		h := scan(m, 3).Sum().Header
		if prev, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same header hash", m, prev)
		}
		seen[h] = m
	}
}

func TestDate(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		header string
		want   time.Time
	}{
		"Received wins, topmost, folded": {"Received: from a by b;\r\n\tSat, 21 Nov 2026 10:00:00 +0100 (CET)\r\nReceived: " +
			"x; Fri, 20 Nov 2026 10:00:00 +0000\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n", at},
		"the last semicolon counts":    {"Received: from a (x; y) by b; Sat, 21 Nov 2026 09:00:00 GMT\r\n", at},
		"a bad Received falls to Date": {"Received: from a; yesterday\r\nDate: 21 Nov 2026 09:00 +0000\r\n", at},
		"Date alone":                   {"Date: Sat, 21 Nov 2026 09:00:00 -0000\r\n", at},
		"obsolete zone":                {"Date: Sat, 21 Nov 2026 04:00:00 EST\r\n", at},
		"no zone":                      {"Date: Sat, 21 Nov 2026 09:00:00\r\n", at},
		"none":                         {"Subject: x\r\n", time.Time{}},
		"year 0":                       {"Date: Sat, 21 Nov 0000 09:00:00 +0000\r\n", time.Time{}},
		"year 9999":                    {"Date: Sat, 21 Nov 9999 09:00:00 +0000\r\n", time.Time{}},
		"1970":                         {"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n", time.Time{}},
		"hour 24":                      {"Date: Sat, 21 Nov 2026 24:60:61 +9999\r\n", time.Time{}},
		"in the body":                  {"\r\nDate: Sat, 21 Nov 2026 09:00:00 +0000\r\n", time.Time{}},
		"a very long one":              {"Date: " + strings.Repeat("(", 100000) + "\r\n", time.Time{}},
	} {
		if got := scan(tc.header+"\r\n", 7).Date(); !got.Equal(tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestScannerHoldsABoundedHeader(t *testing.T) {
	s := NewScanner()
	line := []byte("X-Filler: " + strings.Repeat("x", 1000) + "\r\n")
	for range 2000 {
		s.Write(line)
	}
	if len(s.head) > MaxHeader {
		t.Errorf("%d octets are held", len(s.head))
	}
	s.Write([]byte("\r\nbody"))
	if s.Sum().Body != half("body") {
		t.Error("the end of a long header was not seen")
	}
	s.Reset()
	s.Write([]byte("Date: Sat, 21 Nov 2026 09:00:00 +0000\n\nx"))
	if s.Sum() != scan("Date: Sat, 21 Nov 2026 09:00:00 +0000\n\nx", 100).Sum() || s.Date().IsZero() {
		t.Error("Reset left something behind")
	}
}

// toLF is the plain definition of what LF does.
func toLF(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// virtual is how Dovecot counts a stored message: an LF without a CR before it
// counts as two.
func virtual(stored string) int64 {
	n := int64(len(stored))
	for i := range len(stored) {
		if stored[i] == '\n' && (i == 0 || stored[i-1] != '\r') {
			n++
		}
	}
	return n
}

func convert(text string, cut func(left int) int) (string, *LF) {
	var l LF
	var out []byte
	for p := []byte(text); len(p) > 0; {
		n := cut(len(p))
		out = append(out, l.Append(nil, p[:n])...)
		p = p[n:]
	}
	return string(append(out, l.Finish(nil)...)), &l
}

func TestLFInAnyChunks(t *testing.T) {
	for _, text := range []string{
		"", "a", "\r", "\n", "\r\n", "\r\r\n", "\r\r\r\n\n", "\n\r", "a\r\nb\rc\nd\r\r\ne\r", "\r\n\r\n", "x\r",
		"\x00\r\n\xff",
	} {
		for chunk := 1; chunk <= len(text)+1; chunk++ {
			got, l := convert(text, func(left int) int { return min(chunk, left) })
			if got != toLF(text) || l.Size() != int64(len(got)) || l.Virtual() != virtual(got) {
				t.Errorf("%q in chunks of %d: %q, size %d, virtual %d (want %d)", text, chunk, got, l.Size(), l.Virtual(),
					virtual(got))
			}
		}
	}
}

func FuzzLF(f *testing.F) {
	f.Add("a\r\nb\rc\nd\r\r\ne\r", uint64(1))
	f.Add("\r\r\r\r\n\n\r", uint64(2))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		got, l := convert(text, func(left int) int { return 1 + r.IntN(left) })
		if got != toLF(text) || l.Size() != int64(len(got)) || l.Virtual() != virtual(got) {
			t.Fatalf("%q: %q, size %d, virtual %d", text, got, l.Size(), l.Virtual())
		}
	})
}

func FuzzScanner(f *testing.F) {
	f.Add("Received: a; Sat, 21 Nov 2026 09:00:00 +0000\r\nSubject: x\r\n y\r\n\r\nbody\n\r\n", uint64(1))
	f.Add("\n", uint64(3))
	f.Add("From x\nA\n:\n\t:;\nDate:(((\n\n", uint64(7))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		whole := scan(text, len(text)+1)
		r := rand.New(rand.NewPCG(seed, 0))
		s := NewScanner()
		for p := []byte(text); len(p) > 0; {
			n := 1 + r.IntN(len(p))
			s.Write(p[:n])
			p = p[n:]
		}
		if s.Sum() != whole.Sum() || !s.Date().Equal(whole.Date()) {
			t.Fatalf("%q: the chunks make a difference", text)
		}
		if d := s.Date(); !d.IsZero() && (d.Year() < firstYear || d.Year() > lastYear) {
			t.Fatalf("%q: date %v", text, d)
		}
	})
}

func BenchmarkScannerAndLF(b *testing.B) {
	chunk := bytes.Repeat([]byte(strings.Repeat("x", 70)+"\r\n"), 900)
	s := NewScanner()
	s.Write([]byte("Subject: x\r\n\r\n"))
	var l LF
	var out []byte
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		s.Write(chunk)
		out = l.Append(out[:0], chunk)
	}
}
