package maildir

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The bounds of local folder names, in octets of the directory's name.
const (
	maxPart    = 200 // One level.
	maxAccount = 120 // All of an account folder, so that there is room below it.
	maxLevels  = 3   // Of an account folder.
	maxDepth   = 16  // Below the account folder; deeper ones are drawn together.
	minLast    = 40  // What the last level is given at the least.
)

// AccountFolder maps what a user calls an account folder, "/" between its
// parts, to the name that it has in the mailbox: that name itself where Maildir++
// permits, else as LocalName maps a remote folder's. Spaces around a part are
// left out, a "~" in front and slashes beyond the third level become "_", what is
// too long is cut and marked. What it returns it maps to itself. An
// words.Sentence says what is wrong with a path that is no name;
// account.ErrFolderReserved, that every mailbox has this folder.
func AccountFolder(name string) (string, error) {
	var parts []string
	for p := range strings.SplitSeq(name, "/") {
		switch p = strings.TrimSpace(p); p {
		case "":
			return "", words.Say("a part of the folder's name is empty: leave out the slash there")
		case ".", "..":
			return "", words.Say("a folder's name is no path: leave out the parts that are only dots")
		}
		parts = append(parts, cleanPart(p))
	}
	if len(parts) > maxLevels {
		parts = append(parts[:maxLevels-1], cleanPart(strings.Join(parts[maxLevels-1:], "_")))
	}
	if rest, ok := strings.CutPrefix(parts[0], "~"); ok { // Mail servers take it for a home directory.
		parts[0] = "_" + rest
	}
	folder := strings.Join(parts, "/")
	if len(dirName(folder)) > maxAccount {
		tag := "~" + mail.ShortHash(parts...)
		for i, p := range parts {
			if room := maxAccount/len(parts) - 1; len(encodePart(p)) > room {
				parts[i] = shorten(p, room, tag)
			}
		}
		folder = strings.Join(parts, "/")
	}
	if mail.IsReservedFolder(folder) {
		return "", fmt.Errorf("%q cannot be an account folder: %w", folder, account.ErrFolderReserved)
	}
	return folder, nil
}

// checkLocal is the last wall before the disk: whatever the caller says, a
// local folder's name is one entry of the mailbox's directory, which begins
// with one dot.
func checkLocal(folder string) error {
	if !utf8.ValidString(folder) || strings.ContainsFunc(folder, mail.IsUnfit) || strings.Contains(folder, ".") ||
		len(dirName(folder)) > nameMax {
		return disk.Internal("naming a local folder", words.Say("the folder's name does not fit the local mailbox"))
	}
	for p := range strings.SplitSeq(folder, "/") {
		if p == "" {
			return disk.Internal("naming a local folder", words.Say("a part of the folder's name is empty"))
		}
	}
	return nil
}

// LocalName maps a remote folder to one below the account folder for which
// taken is false. Parts keep their names where Maildir++ permits: in others,
// "." and "/", control characters, spaces at the ends and octets that are no
// text become "_". What is too long is cut and marked with "~" and a hash of the
// whole. When the name is taken, or one that differs from it in nothing but
// Unicode normalisation, " (2)" and so on is added to its last part. An empty
// path is the remote INBOX: the account folder itself.
//
// Case is the caller's: taken should answer for names that differ in nothing
// else.
func LocalName(accountFolder string, path []string, taken func(string) bool) string {
	used := func(s string) bool {
		return taken(s) || taken(norm.NFC.String(s)) || taken(norm.NFD.String(s))
	}
	if len(path) == 0 {
		if !used(accountFolder) {
			return accountFolder
		}
		path = []string{"INBOX"}
	}
	tag := "~" + mail.ShortHash(path...)
	parts := make([]string, 0, min(len(path), maxDepth))
	for _, p := range path[:min(len(path), maxDepth)] {
		parts = append(parts, cleanPart(p))
	}
	if len(path) > maxDepth {
		parts[maxDepth-1] = shorten(cleanPart(path[len(path)-1]), maxPart, tag)
	}
	name := fit(accountFolder, parts, tag, "")
	for i := 2; used(name) && i < 100; i++ {
		name = fit(accountFolder, parts, tag, fmt.Sprintf(" (%d)", i))
	}
	for i := 0; used(name) && i < 1000; i++ {
		name = fit(accountFolder, parts, tag, "~"+mail.ShortHash(append([]string{fmt.Sprint(i)}, path...)...))
	}
	return name
}

// fit joins the parts below the account folder and keeps the directory's name
// within bounds, by giving up parents, nearest first, and then cutting the
// last part.
func fit(accountFolder string, parts []string, tag, suffix string) string {
	parents, last := parts[:len(parts)-1], parts[len(parts)-1]
	above := func() string { return strings.Join(append([]string{accountFolder}, parents...), "/") }
	room := nameMax - len(dirName(above())) - 1
	whole := len(encodePart(last+suffix)) <= min(room, maxPart)
	for !whole && room < minLast && len(parents) > 0 {
		parents = parents[:len(parents)-1]
		room = nameMax - len(dirName(above())) - 1
	}
	if !whole {
		last = shorten(last, min(max(room, minLast), maxPart)-len(suffix), tag)
	}
	return above() + "/" + last + suffix
}

// cleanPart makes one level of a name fit for Maildir++ and IMAP servers.
func cleanPart(part string) string {
	var b strings.Builder
	limit := 4 * maxPart // What is longer is cut anyway, and marked.
	for i, r := range part {
		if b.Len() > limit {
			break
		}
		_, size := utf8.DecodeRuneInString(part[i:])
		if r == '.' || r == '/' || mail.IsUnfit(r) || r == utf8.RuneError && size == 1 {
			r = '_'
		}
		b.WriteRune(r)
	}
	s := b.String()
	trimmed := strings.TrimLeftFunc(s, unicode.IsSpace)
	s = strings.Repeat("_", utf8.RuneCountInString(s)-utf8.RuneCountInString(trimmed)) + trimmed
	trimmed = strings.TrimRightFunc(s, unicode.IsSpace)
	s = trimmed + strings.Repeat("_", utf8.RuneCountInString(s)-utf8.RuneCountInString(trimmed))
	switch {
	case s == "":
		return "_"
	case len(s) > limit || len(encodePart(s)) > maxPart:
		return shorten(s, maxPart, "~"+mail.ShortHash(part))
	}
	return s
}

// shorten cuts a part so that with the tag it takes at most limit octets.
func shorten(part string, limit int, tag string) string {
	part = strings.TrimSuffix(part, tag)
	runes := []rune(part)
	n := sort.Search(len(runes), func(n int) bool { return len(encodePart(string(runes[:n+1])+tag)) > limit })
	return strings.TrimRightFunc(string(runes[:n]), unicode.IsSpace) + tag
}

// inbox is the folder that is the mailbox's own directory.
const inbox = "INBOX"

// dirName returns the folder's directory in the mailbox: ".Gmail.Archive.2023"; "." for the inbox.
func dirName(folder string) string {
	if folder == inbox {
		return "."
	}
	var b strings.Builder
	for p := range strings.SplitSeq(folder, "/") {
		b.WriteString("." + encodePart(p))
	}
	return b.String()
}

var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(
	base64.NoPadding)

// encodePart writes a part in modified UTF-7 (RFC 3501 section 5.1.3).
func encodePart(part string) string {
	var b strings.Builder
	var wide []uint16
	flush := func() {
		if len(wide) == 0 {
			return
		}
		var raw []byte
		for _, u := range wide {
			raw = binary.BigEndian.AppendUint16(raw, u)
		}
		b.WriteString("&" + modifiedBase64.EncodeToString(raw) + "-")
		wide = wide[:0]
	}
	for _, r := range part {
		if r < 0x20 || r > 0x7e {
			wide = utf16.AppendRune(wide, r)
			continue
		}
		flush()
		b.WriteRune(r)
		if r == '&' {
			b.WriteByte('-')
		}
	}
	flush()
	return b.String()
}

// withParents returns the folder's parents and itself, outermost first.
func withParents(folder string) []string {
	var all []string
	for i, r := range folder {
		if r == '/' {
			all = append(all, folder[:i])
		}
	}
	return append(all, folder)
}
