package words_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/words"
)

// What a server says is shown on one line, and can neither hide nor turn round what stands
// beside it.
func ExampleClean() {
	fmt.Println(words.Clean("NO [ALERT]\tToo many\r\nlogins \u202Egnp.exe", 200))
	fmt.Println(words.Clean("Dziękujemy", 6))
	// Output:
	// NO [ALERT] Too many logins gnp.exe
	// Dzięk
}

func TestAServersWordsAreMadeFitToShow(t *testing.T) {
	for in, want := range map[string]string{
		"  a \r\n\t b  ":                 "a b",
		"\x1b[31mred\x1b[0m":             "[31mred[0m",
		"safe\u202Eevil\u2066x":          "safeevilx",
		"Za\u017c\u00f3\u0142\u0107\xff": "Zażółć",
		strings.Repeat("ż", 10):          "żżżżż",
	} {
		if got := words.Clean(in, 10); got != want && len(want) <= 10 {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("* OK [ALERT] <script>\r\n\x00", 20)
	f.Add("\u202Eabc żółć", 3)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		limit = max(0, min(limit, 1000))
		out := words.Clean(in, limit)
		if len(out) > limit || !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool {
			return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
		}) {
			t.Errorf("%q became %q", in, out)
		}
	})
}
