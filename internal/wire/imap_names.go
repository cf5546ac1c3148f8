package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/mailbrook/mailbrook/internal/words"
)

// maxFolderName bounds a raw mailbox name, in octets.
const maxFolderName = 1000

// Between the server and the library every mailbox name travels as an alias:
// a prefix and the raw octets in hexadecimal. The library decodes and encodes
// names and gives up the whole session at the first it cannot take; an alias
// is plain ASCII, so it never has a reason to.
const (
	aliasPrefix     = "mb-"
	longAliasPrefix = "ml-" // Of a name that was too long and is only a digest of itself.
)

// appendAlias appends the alias of a raw name. INBOX, which has no case (RFC
// 3501 section 5.1), becomes "INBOX", so that a server may spell it as it likes.
func appendAlias(dst, raw []byte) []byte {
	prefix := aliasPrefix
	if len(raw) == 5 && strings.EqualFold(string(raw), "INBOX") {
		raw = []byte("INBOX")
	}
	if len(raw) > maxFolderName {
		sum := sha256.Sum256(raw)
		raw = append(append([]byte(nil), raw[:64]...), hex.EncodeToString(sum[:8])...)
		prefix = longAliasPrefix
	}
	return hex.AppendEncode(append(dst, prefix...), raw)
}

// unreadPrefix begins what stands for a folder whose line in the list cannot be
// read: the line, as far as it is shown.
const unreadPrefix = "mu-"

func unreadAlias(line []byte) []byte { return hex.AppendEncode([]byte(unreadPrefix), line) }

// FromUnreadAlias returns the line that such an alias stands for, fit to be shown.
func FromUnreadAlias(alias string) (shown string, ok bool) {
	rest, ok := strings.CutPrefix(alias, unreadPrefix)
	if !ok {
		return "", false
	}
	line, err := hex.DecodeString(rest)
	return words.Clean(strings.ToValidUTF8(string(line), "?"), unreadShown), err == nil
}

// AliasOf is the alias of a raw name that the server sent before.
func AliasOf(raw string) string { return string(appendAlias(nil, []byte(raw))) }

// FromAlias returns the raw name; long is true when it is not the whole name.
func FromAlias(alias string) (raw string, long, ok bool) {
	rest, ok := strings.CutPrefix(alias, aliasPrefix)
	if !ok {
		if rest, long = strings.CutPrefix(alias, longAliasPrefix); !long {
			return "", false, false
		}
	}
	octets, err := hex.DecodeString(rest)
	if err != nil {
		return "", false, false
	}
	return string(octets), long, true
}

// Askable reports whether a raw name can be sent in a quoted string: one
// without NUL, CR and LF (RFC 3501 section 4.3).
func Askable(raw string) bool { return !strings.ContainsAny(raw, "\x00\r\n") }

// appendQuoted appends a raw name as a quoted string. Octets above 127 are sent
// as the server sent them; a literal would cost a round trip for the same octets.
func appendQuoted(dst []byte, raw string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(raw); i++ {
		if raw[i] == '"' || raw[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, raw[i])
	}
	return append(dst, '"')
}
