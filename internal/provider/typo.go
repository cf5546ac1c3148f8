package provider

import (
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// DidYouMean returns the catalogue's domain that the domain of an address is
// probably a slip of, such as gmail.com for gmial.com and gmail.con; "" if it is
// in the catalogue or like none of it. A long name before the first dot may have
// one wrong sign, or two neighbours changed places; a short one, as many
// companies have similar ones, none: there only what follows may be wrong (wp.p).
// Of several the nearest is meant, then the first in the catalogue.
func (c *Catalog) DidYouMean(email string) string {
	typed := strings.ToLower(email[strings.LastIndexByte(email, '@')+1:])
	domain := owner.Domain(email)
	if _, known := c.byDomain[domain]; known {
		if domain != typed { // Signs of another width, as in ｇｍａｉｌ.com.
			return domain
		}
		return ""
	}
	label, rest, dotted := strings.Cut(domain, ".")
	best, least := "", 3
	for _, p := range c.all {
		for _, d := range p.Domains {
			if !dotted {
				if strings.ReplaceAll(d, ".", "") == domain {
					return d
				}
				continue
			}
			l, r, _ := strings.Cut(d, ".")
			slips := slipsBetween(label, l) + slipsBetween(rest, r)
			if slips < least && slipOf(label, l) && slipsBetween(rest, r) <= 1 && (label != l || !foreign(rest)) {
				best, least = d, slips
			}
		}
	}
	return best
}

// slipOf reports whether what was typed may be meant to be a name.
func slipOf(typed, name string) bool {
	switch n := slipsBetween(typed, name); {
	case n == 0:
		return true
	case n > 1 || len(name) < 4:
		return false
	}
	return len(name) > 4 || len(typed) == len(name) && sameLetters(typed, name)
}

// foreign reports whether a domain's end is one that stands beside .com, .pl and
// the like by one sign and is a country's or an organisation's in its own right:
// whoever has the same name there may be somebody else. What ends in a slip
// (.con, .p) does not.
func foreign(end string) bool {
	switch end {
	case "co", "cm", "om", "lp", "ol": // What .com and .pl are often mistyped as, whether or not there is such an end.
		return false
	}
	return len(end) == 2 || strings.HasPrefix(end, "co.") || strings.HasPrefix(end, "com.")
}

func sameLetters(a, b string) bool {
	for _, r := range a {
		if strings.Count(a, string(r)) != strings.Count(b, string(r)) {
			return false
		}
	}
	return true
}

// slipsBetween counts the signs that have to be put in, left out or changed, and
// the neighbours that have to change places, to make one text of another
// (optimal string alignment); 3 stands for more than 2.
func slipsBetween(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			changed := 0
			if a[i-1] != b[j-1] {
				changed = 1
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return min(rows[len(a)][len(b)], 3)
}
