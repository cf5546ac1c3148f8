package wire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

func TestReadableName(t *testing.T) {
	for raw, want := range map[string]string{
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/台北/日本語", // RFC 3501 section 5.1.3.
		"R&-D":                            "R&D",
		"R&D":                             "R&D",
		"Entw&APw-rfe":                    "Entwürfe",
		"Entwürfe":                        "Entwürfe",
		"Entw\xfcrfe":                     "Entw%FCrfe",
		"&Jjo!":                           "&Jjo!",
		"&YQ-":                            "&YQ-",
		"&2D0-":                           "&2D0-",
		"&2D3cAA-":                        "\U0001f400",
		"&3ADYPQ-":                        "&3ADYPQ-", // Surrogates in the wrong order.
		"&ACY-x":                          "&x",
		"a&AAA-b":                         "a\x00b",
		"":                                "",
	} {
		if got := ReadableName(raw); got != want {
			t.Errorf("readableName(%q) = %q, want %q", raw, got, want)
		}
	}
}

func FuzzMUTF7(f *testing.F) {
	for _, s := range []string{"&U,BTFw-", "R&-D", "&Jjo", "a&AAA-b", "&2D0-", "Entw\xfcrfe", "&&--", "日本"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if text := ReadableName(raw); !utf8.ValidString(text) && utf8.ValidString(raw) {
			t.Fatalf("readableName(%q) = %q", raw, text)
		}
		if text, ok := decodeMUTF7(raw); ok && !utf8.ValidString(text) {
			t.Fatalf("decodeMUTF7(%q) = %q", raw, text)
		}
		if utf8.ValidString(raw) && !strings.ContainsRune(raw, utf8.RuneError) {
			if back, ok := decodeMUTF7(mailtest.EncodeName(raw)); !ok || back != raw {
				t.Fatalf("%q came back as %q (%v)", raw, back, ok)
			}
		}
	})
}

func FuzzAlias(f *testing.F) {
	for _, s := range []string{"INBOX", "inbox", "R&D", "mb-00", "a\"\\\r\n", strings.Repeat("x", 1001), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		alias := AliasOf(raw)
		if strings.Trim(alias, "ml-0123456789abcdef") != "" {
			t.Fatalf("alias %q", alias)
		}
		back, long, ok := FromAlias(alias)
		switch {
		case !ok || long != (len(raw) > maxFolderName):
			t.Fatalf("%q: %q %v %v", raw, back, long, ok)
		case !long && back != raw && !strings.EqualFold(raw, "INBOX"):
			t.Fatalf("%q came back as %q", raw, back)
		}
		if n := quotedLen(string(appendQuoted(nil, raw)) + " x"); n < len(raw)+2 {
			t.Fatalf("%q in quotes has %d octets", raw, n)
		}
	})
}

// FuzzEncodeName: what is written in modified UTF-7 is read again as it was, is plain ASCII and is
// what others write: decoding and encoding it changes nothing.
func FuzzEncodeName(f *testing.F) {
	for _, s := range []string{
		"", "INBOX", "Wysłane", "R&D", "&", "&-", "a&b&c", "日本語", "😀", "a😀&ż", "\xff", "a\r\nb", "\x00", "~peter/mail/台北/日本語",
		"&Jjo-!", "\ufffd", "\u007f", "ż&ż",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := EncodeName(s)
		for i := range len(encoded) {
			if encoded[i] < ' ' || encoded[i] > '~' {
				t.Fatalf("%q is written as %q", s, encoded)
			}
		}
		want := string([]rune(s)) // What is no text becomes U+FFFD.
		if decoded, ok := decodeMUTF7(encoded); !ok || decoded != want {
			t.Fatalf("%q is written as %q and read as %q, %v", s, encoded, decoded, ok)
		}
		if again := EncodeName(want); again != encoded {
			t.Fatalf("%q is written as %q and as %q", s, encoded, again)
		}
		if text, ok := decodeMUTF7(s); ok && EncodeName(text) != s && ReadableName(EncodeName(text)) != text {
			t.Fatalf("%q is %q, which is written as %q", s, text, EncodeName(text))
		}
	})
}
