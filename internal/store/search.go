package store

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
)

// folded is a column with the letters A to Z in lower case and all else as it is, on
// both databases: PostgreSQL's lower folds what the collation says, SQLite's those alone.
func (s *Store) folded(column string) string {
	if s.postgres {
		return "lower(" + column + ` COLLATE "C")`
	}
	return "lower(" + column + ")"
}

// containing is the condition that a text, in which nothing is a wildcard, is in one
// of the columns, which have A to Z in lower case.
func containing(text string, columns ...string) (condition string, args []any) {
	var found []string
	for _, form := range formsOf(text) {
		part := "%" + escapeLike(storable(form)) + "%"
		for _, column := range columns {
			found, args = append(found, column+` LIKE ? ESCAPE '\'`), append(args, part)
		}
	}
	return "(" + strings.Join(found, " OR ") + ")", args
}

// formsOf are those in which a text that is looked for may be saved, A to Z in lower
// case. No database folds the other letters, so they are small, capital, or only the first
// is capital, and the letters of a domain are saved as "xn--…".
func formsOf(text string) []string {
	small := strings.ToLower(text)
	_, size := utf8.DecodeRuneInString(small)
	initial := strings.ToUpper(small[:size]) + small[size:]
	var forms []string
	for _, form := range []string{text, small, strings.ToUpper(text), initial, account.LabelsOf(small)} {
		if form = account.FoldASCII(form); !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
