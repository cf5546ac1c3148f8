package words

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentence is something that is shown to people. It is written in English, and its
// format is the key by which Translate finds it in other languages, as gettext does it;
// what stands for the format's verbs is the same in each. Test
// TestEverySentenceIsInPolish finds those that are in one language only.
type Sentence struct {
	Format string
	Args   []any
}

// Say returns a sentence.
func Say(format string, args ...any) Sentence {
	if false {
		_ = fmt.Sprintf(format, args...) // So that go vet compares what is filled in with the format.
	}
	return Sentence{format, args}
}

// Error returns it in English: a Sentence is an error wherever it is all that
// there is to say.
func (s Sentence) Error() string { return s.In(s.Format) }

// In returns it with another format for its words, which may take the arguments
// in another order: "%[2]s".
func (s Sentence) In(format string) string {
	if len(s.Args) == 0 {
		return format
	}
	return fmt.Sprintf(format, s.Args...)
}

// List writes words that may be chosen from, for a Sentence: "imap, pop3".
func List[T any](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = fmt.Sprint(w)
	}
	return strings.Join(texts, ", ")
}

// Clip cuts what is quoted in a message to a length that can be read.
func Clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// HasControl reports whether a text has characters that nobody sees, or is no text at all.
func HasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
	}) || !utf8.ValidString(s)
}
