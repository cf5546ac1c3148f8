package mail

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"unicode"
)

// IsUnfit reports whether mail servers refuse a character in the names of folders: control characters, the
// separators of lines and paragraphs, and what Unicode calls no characters.
func IsUnfit(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r&0xFFFE == 0xFFFE
}

// ShortHash is what distinguishes names that had to be cut: ten letters and digits, made of the parts of the whole.
func ShortHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))[:10]
}

// IsOurs reports whether a part of a folder's name, whatever its case, is one that an installation of this service
// gives to folders that it makes for itself: a mark, a connection test's, a staging folder's.
func IsOurs(part string) bool {
	part = strings.ToLower(part)
	_, marks := ReadMark(nil, part)
	return marks || IsChallenge(part) || strings.HasPrefix(part, stagingPrefix)
}
