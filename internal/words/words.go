// Package words is what the server says to people, in each language: every text, how a
// number goes with a noun, and how a size is written.
//
// It imports nothing of ours and decides nothing. Texts of failures and delays are found by
// their code as a string, sentences by their English; which text is said in which situation is
// for diagnose, provider and httpapi to choose, and tests there hold their codes to the texts
// here. What is peculiar to one provider stands beside its servers in provider's presets, as it
// changes with them. The web pages keep their own texts in the browser (webui/assets/i18n),
// and the command line speaks English.
package words

import (
	"fmt"
	"strings"
)

// Size is a number of octets in the decimal unit that fits: 999 B, 1.2 kB, 34.5 MB. The
// pages (i18n.js) and the command line show the same, so that a limit and what is
// counted against it are compared at sight. Negative numbers are none.
func Size(n int64) string {
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	value, unit := float64(n), 0
	for value >= 999.95 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit]
}

// SizeIn is Size in a language: Polish has a comma where English has a point.
func SizeIn(n int64, lang Language) string {
	if lang == Polish {
		return strings.Replace(Size(n), ".", ",", 1)
	}
	return Size(n)
}

// Count is a number of things in English: "1 folder", "2 folders". many is for words
// that do not take an s.
func Count(n int64, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
