// Package words makes what the server says to people: sizes and counts, in one way
// everywhere. It imports nothing of ours and knows no mail.
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
