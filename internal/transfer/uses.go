package transfer

import (
	"cmp"
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/mail"
)

//go:embed uses.txt
var usesTable string

// The uses of folders (RFC 6154; Important: RFC 8457).
const (
	useSent      = `\Sent`
	useDrafts    = `\Drafts`
	useTrash     = `\Trash`
	useJunk      = `\Junk`
	useArchive   = `\Archive`
	useAll       = `\All`
	useFlagged   = `\Flagged`
	useImportant = `\Important`
)

// mappedUses are those for which a mailbox has one folder that programs put mail into. The others are views of mail
// that lies elsewhere.
var mappedUses = []string{useSent, useDrafts, useTrash, useJunk, useArchive}

// useWord is the use that a server gives a folder, in the words of RFC 6154 or in those that XLIST had before; "":
// none that concerns its name.
func useWord(word string) string {
	switch strings.ToLower(word) {
	case `\sent`:
		return useSent
	case `\drafts`:
		return useDrafts
	case `\trash`:
		return useTrash
	case `\junk`, `\spam`:
		return useJunk
	case `\archive`:
		return useArchive
	case `\all`, `\allmail`:
		return useAll
	case `\flagged`, `\starred`:
		return useFlagged
	case `\important`:
		return useImportant
	}
	return ""
}

// namedUse is a use that a name has, and how near its table's beginning the name is.
type namedUse struct {
	use  string
	rank int
}

// usesByName is the table of names. A line that is none is left out; the tests say that there is none such.
var usesByName = sync.OnceValue(func() map[string]namedUse {
	fold, uses := newFolding(), map[string]namedUse{}
	for line := range strings.Lines(usesTable) {
		use, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(use, `\`) {
			continue
		}
		if name = fold.plain(name); uses[name].use == "" {
			uses[name] = namedUse{use, len(uses)}
		}
	}
	return uses
})

// folding writes names as they are compared.
type folding struct{ caser cases.Caser }

func newFolding() folding { return folding{cases.Fold()} }

// key is a name as a server has it that has no regard to case and Unicode normalisation.
func (f folding) key(name string) string {
	if isASCII(name) {
		return strings.ToLower(name)
	}
	folded := f.caser.String(norm.NFKD.String(name))
	for strings.Contains(folded, "i\u0307") { // Some fold U+0130 to a plain i.
		folded = strings.ReplaceAll(folded, "i\u0307", "i")
	}
	return norm.NFKC.String(folded)
}

// plain is a name without case, marks, spaces and hyphens.
func (f folding) plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r), unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '_':
			return -1
		case r == '\u0142': // It has no mark that could be taken off.
			return 'l'
		}
		return r
	}, norm.NFKD.String(f.key(name)))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isGmailRoot reports whether a part is the name under which Gmail has all that are no labels of the user.
func isGmailRoot(part string) bool {
	return strings.EqualFold(part, "[Gmail]") || strings.EqualFold(part, "[Google Mail]")
}

// isInbox reports whether a path is the inbox's.
func isInbox(path []string) bool {
	return len(path) == 0 || len(path) == 1 && strings.EqualFold(path[0], "INBOX")
}

// byName is the use that a folder has by its name: one at the top, or directly below the inbox or Gmail's own folder.
func (w *namer) byName(path []string) (n namedUse) {
	if len(path) == 2 && (isInbox(path[:1]) || isGmailRoot(path[0])) {
		path = path[1:]
	}
	if len(path) != 1 || isInbox(path) {
		return n
	}
	return w.uses[w.fold.plain(path[0])]
}

// CompareLabels orders the labels of one message, folders as Gmail lists them, by how well they say where it is: the
// inbox, what its owner has made, what it is by use, marks such as a star, and all mail last. What is alike comes in
// the order of names. A copy that keeps one copy of a message puts it into the folder of the first.
func CompareLabels(a, b mail.Folder) int {
	return cmp.Or(cmp.Compare(labelRank(a), labelRank(b)), strings.Compare(a.Name(), b.Name()),
		strings.Compare(a.Wire, b.Wire))
}

func labelRank(f mail.Folder) int {
	if isInbox(f.Path) {
		return 0
	}
	switch useWord(f.SpecialUse) {
	case useSent:
		return 2
	case useDrafts:
		return 3
	case useArchive:
		return 4
	case useJunk:
		return 5
	case useTrash:
		return 6
	case useFlagged:
		return 8
	case useImportant:
		return 9
	case useAll:
		return 10
	}
	if isGmailRoot(f.Path[0]) { // Chats: no label, and no place that others know.
		return 7
	}
	return 1
}
