package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// mayHavePolish are the files and directories outside of package words whose texts have Polish letters, with the
// reason. What the server says to people is in words; what is here is read, or is other people's.
var mayHavePolish = map[string]string{
	"internal/demo":                "mail and folders of the people in the demo",
	"internal/mailtest":            "mail and folders of tests",
	"internal/mail/date.go":        "a month, as other programs write it into dates",
	"internal/remote/redact.go":    "words of servers' refusals",
	"internal/wire/reply_words.go": "letters that servers' refusals may have, with those they are compared as",
}

// polishLetters are those that English has not.
const polishLetters = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"

// checkPolish finds texts in Polish outside of package words: whoever looks for what is said to people, and in which
// languages, looks there. And it finds reasons that nobody needs any more.
func checkPolish(files []file, reasons map[string]string) (vs []violation) {
	used := map[string]bool{}
	for _, f := range files {
		if f.dir == "internal/words" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(l.Value) // Letters may be written as escapes.
			if err != nil || !strings.ContainsAny(text, polishLetters) {
				return true
			}
			for where := range reasons {
				if f.path == where || strings.HasPrefix(f.path, where+"/") {
					used[where] = true
					return true
				}
			}
			vs = append(vs, violation{f.at(l.Pos()), "a text in Polish, which is for package words alone"})
			return true
		})
	}
	for _, where := range slices.Sorted(maps.Keys(reasons)) {
		if !used[where] {
			vs = append(vs, violation{"internal/archtest", where + " has no text in Polish: take its reason away"})
		}
	}
	return vs
}
