package store

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// folded is a column with the letters A to Z in lower case and all else as it is, on
// both databases: PostgreSQL's lower folds what the collation says, SQLite's those alone.
func (s *Store) folded(column string) string {
	if s.postgres {
		return "lower(" + column + ` COLLATE "C")`
	}
	return "lower(" + column + ")"
}

// containing is the condition that a text, in which nothing is a wildcard, is in one of the columns, which have A to Z
// in lower case. In a text of ASCII alone that is what the columns are compared with; any other letter stands for its
// cases, as no database folds those alike. The letters of a domain are saved as "xn--…".
func containing(postgres bool, text string, columns ...string) (condition string, args []any) {
	text = owner.FoldASCII(storable(text))
	plain := ` LIKE ? ESCAPE '\'`
	parts := []struct{ operator, pattern string }{{plain, "%" + escapeLike(text) + "%"}}
	if escaped, any := anyCase(text, postgres); any {
		parts[0].operator, parts[0].pattern = " GLOB ?", "*"+escaped+"*"
		if postgres {
			parts[0].operator, parts[0].pattern = ` SIMILAR TO ? ESCAPE '\'`, "%"+escaped+"%"
		}
	}
	if labels := account.LabelsOf(lower(text)); strings.Contains(labels, "xn--") && labels != text {
		parts = append(parts, struct{ operator, pattern string }{plain, "%" + escapeLike(labels) + "%"})
	}
	var found []string
	for _, p := range parts {
		for _, column := range columns {
			found, args = append(found, column+p.operator), append(args, p.pattern)
		}
	}
	return "(" + strings.Join(found, " OR ") + ")", args
}

// anyCase returns the pattern of a text in which letters other than A to Z stand for all their cases: of SIMILAR TO, or
// of GLOB. any is false where it has no such letter.
func anyCase(text string, postgres bool) (pattern string, any bool) {
	var b strings.Builder
	for _, r := range text {
		cases := casesOf(r)
		switch {
		case len(cases) > 1:
			any = true
			b.WriteString("[" + string(cases) + "]")
		case postgres && strings.ContainsRune(`\%_|*+?{}()[]^$.`, r):
			b.WriteString(`\` + string(r))
		case !postgres && strings.ContainsRune("*?[", r):
			b.WriteString("[" + string(r) + "]")
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), any
}

// casesOf are the letters that a letter is the same as but for its case: none of A to Z, which columns have folded,
// for one that is none of them, as "ſ", nor another for these.
func casesOf(r rune) []rune {
	cases := []rune{r}
	if r < utf8.RuneSelf {
		return cases
	}
	for c := unicode.SimpleFold(r); c != r; c = unicode.SimpleFold(c) {
		if c >= utf8.RuneSelf {
			cases = append(cases, c)
		}
	}
	return cases
}

// lower is in lower case each letter that has one that differs in nothing else: "İ" has none.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); slices.Contains(casesOf(r), l) {
			return l
		}
		return r
	}, text)
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
