package wire

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mutf7 is the alphabet of modified UTF-7 (RFC 3501 section 5.1.3): base64
// with "," for "/" and no padding.
var mutf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(
	base64.NoPadding)

// decodeMUTF7 decodes one part of a mailbox name from modified UTF-7. It is
// strict where a name would be ambiguous (8-bit octets, unfinished or broken
// base64, lone surrogates) and lenient where it would not: characters that
// need no base64 may be in base64, as Yandex writes them. The result is not fit
// for anything before validation: it can hold any character, NUL included.
func decodeMUTF7(s string) (string, bool) {
	var b strings.Builder
	for len(s) > 0 {
		c := s[0]
		if c != '&' {
			if c >= utf8.RuneSelf {
				return "", false
			}
			b.WriteByte(c)
			s = s[1:]
			continue
		}
		end := strings.IndexByte(s, '-')
		if end < 0 {
			return "", false
		}
		if end == 1 {
			b.WriteByte('&')
		} else if !decodeUTF16(&b, s[1:end]) {
			return "", false
		}
		s = s[end+1:]
	}
	return b.String(), true
}

// decodeUTF16 appends what a base64 section of a name holds: UTF-16, big-endian.
func decodeUTF16(b *strings.Builder, section string) bool {
	raw, err := mutf7.Strict().DecodeString(section)
	if err != nil || len(raw) == 0 || len(raw)%2 != 0 {
		return false
	}
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i >= len(raw) {
				return false
			}
			if r = utf16.DecodeRune(r, rune(raw[i])<<8|rune(raw[i+1])); r == utf8.RuneError {
				return false
			}
		}
		b.WriteRune(r)
	}
	return true
}

// EncodeName writes one part of a mailbox name in modified UTF-7. What is no text becomes
// U+FFFD.
func EncodeName(part string) string {
	var b strings.Builder
	var wide []byte // UTF-16, big-endian, that is not written yet.
	flush := func() {
		if len(wide) > 0 {
			b.WriteString("&" + mutf7.EncodeToString(wide) + "-")
			wide = nil
		}
	}
	for _, r := range part {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= ' ' && r <= '~':
			flush()
			b.WriteRune(r)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				wide = append(wide, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return b.String()
}

// ReadableName turns one part of a raw mailbox name into text: modified
// UTF-7, else UTF-8 as it stands, else with "%XX" for each octet that is no
// text. Only the last form loses the way back, which nobody needs: the raw
// name stays the folder's identity.
func ReadableName(raw string) string {
	if text, ok := decodeMUTF7(raw); ok {
		return text
	}
	if utf8.ValidString(raw) {
		return raw
	}
	var b strings.Builder
	for len(raw) > 0 {
		r, n := utf8.DecodeRuneInString(raw)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "%%%02X", raw[0])
		} else {
			b.WriteString(raw[:n])
		}
		raw = raw[n:]
	}
	return b.String()
}
