package account

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// freeName returns the name, or the name with the first free number, in at most
// MaxName bytes.
func freeName(name string, others []Account) string {
	taken := map[string]bool{}
	for _, a := range others {
		taken[strings.ToLower(a.Name)] = true
	}
	free := cut(name, MaxName)
	for n := 2; taken[strings.ToLower(free)]; n++ {
		number := fmt.Sprintf(" %d", n)
		free = cut(name, MaxName-len(number)) + number
	}
	return free
}

// cut returns at most max bytes of a text, no part of a character and no space
// at the end.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return strings.TrimRightFunc(s[:max], unicode.IsSpace)
}

// freeFolder returns the folder of an account that is called this and whose
// user named none: after it, with the first number by which it is free.
func (r *Registry) freeFolder(name string, others []Account) string {
	name = strings.ReplaceAll(name, "/", "_") // A name is no path.
	for n, try := 2, name; ; n++ {
		folder, err := r.AccountFolder(try)
		if err == nil && !slices.ContainsFunc(others, func(b Account) bool { return FoldersClash(folder, b.Folder) }) {
			return folder
		}
		try = fmt.Sprintf("%s %d", name, n)
	}
}

func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
