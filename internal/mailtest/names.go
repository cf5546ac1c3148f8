package mailtest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
)

var mutf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(
	base64.NoPadding)

// EncodeName writes a folder name in modified UTF-7 (RFC 3501 section 5.1.3).
func EncodeName(name string) string {
	var b strings.Builder
	var run []rune
	flush := func() {
		if len(run) == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode(run) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + mutf7.EncodeToString(raw) + "-")
		run = run[:0]
	}
	for _, r := range name {
		switch {
		case r < 0x20 || r > 0x7e:
			run = append(run, r)
		case r == '&':
			flush()
			b.WriteString("&-")
		default:
			flush()
			b.WriteRune(r)
		}
	}
	flush()
	return b.String()
}

// DecodeName reads a folder name in modified UTF-7.
func DecodeName(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		rest := s[i+1:]
		j := strings.IndexByte(rest, '-')
		if j < 0 {
			return "", fmt.Errorf("modified UTF-7 %q: a shift without end", s)
		}
		if j == 0 {
			b.WriteByte('&')
		} else {
			raw, err := mutf7.DecodeString(rest[:j])
			if err != nil || len(raw)%2 != 0 {
				return "", fmt.Errorf("modified UTF-7 %q: not UTF-16 in base64", s)
			}
			var u []uint16
			for k := 0; k < len(raw); k += 2 {
				u = append(u, uint16(raw[k])<<8|uint16(raw[k+1]))
			}
			b.WriteString(string(utf16.Decode(u)))
		}
		s = rest[j+1:]
	}
	return b.String(), nil
}
