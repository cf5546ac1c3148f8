package httpapi

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/words"
)

// Where a sign-in that came to nothing is given its reason: for the pages' own sign-in, and for
// the one at a provider.
var (
	arrivals = regexp.MustCompile(`\.signInFailed(?:For)?\(http\.Status\w+, "(\w+)"|(?:Why: |refuse\(|vouched\()"(\w+)"`)
	returns  = regexp.MustCompile(`page\.why(?:, page\.\w+)? = "(\w+)"`)
)

// reasonsIn returns the reasons that the text of a program gives.
func reasonsIn(text string, given *regexp.Regexp) (reasons []string) {
	for _, m := range given.FindAllStringSubmatch(text, -1) {
		reasons = append(reasons, strings.Join(m[1:], ""))
	}
	return reasons
}

// TestEveryReasonHasItsTextAndEveryTextItsReason: no page about a sign-in that came to nothing
// keeps its reason to itself.
func TestEveryReasonHasItsTextAndEveryTextItsReason(t *testing.T) {
	for given, texts := range map[*regexp.Regexp]map[string]words.Phrase{
		arrivals: words.SignInFailed, returns: words.ProviderSignInFailed,
	} {
		var reasons []string
		for _, dir := range []string{".", "../oidc"} {
			names, err := filepath.Glob(filepath.Join(dir, "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				reasons = append(reasons, reasonsIn(string(text), given)...)
			}
		}
		slices.Sort(reasons)
		reasons = slices.Compact(reasons)
		if told := slices.Sorted(maps.Keys(texts)); !slices.Equal(reasons, told) {
			t.Errorf("the reasons are %q, and texts there are of %q", reasons, told)
		}
	}
	// The control: a reason is found wherever one is given.
	const planted = `s.signInFailed(http.StatusForbidden, "one", x) s.signInFailedFor(http.StatusGone, "two", y)
		refuse("three", "%q") RefusedError{Why: "four"} page.why = "five" page.why, page.code = "six", c`
	if got := append(reasonsIn(planted, arrivals), reasonsIn(planted, returns)...); len(got) != 6 {
		t.Errorf("of six reasons these are found: %q", got)
	}
}
