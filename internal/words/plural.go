package words

import (
	"strconv"
	"strings"
	"time"
)

// plural is what is said of a number of things, which stands for {n}. English has one and
// other, Polish one, few (2–4, 22–24, …) and many.
type plural struct{ enOne, enOther, plOne, plFew, plMany string }

// in returns the form that goes with a number. Fewer than one is said as one is.
func (p plural) in(lang Language, n int64) string {
	form := p.enOther
	switch {
	case lang != Polish && n <= 1:
		form = p.enOne
	case lang != Polish:
	case n <= 1:
		form = p.plOne
	case n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
		form = p.plFew
	default:
		form = p.plMany
	}
	return strings.ReplaceAll(form, "{n}", strconv.FormatInt(n, 10))
}

// In the accusative, as they stand behind "in" and "za".
var (
	minutes = plural{"a minute", "{n} minutes", "minutę", "{n} minuty", "{n} minut"}
	hours   = plural{"an hour", "{n} hours", "godzinę", "{n} godziny", "{n} godzin"}
	days    = plural{"a day", "{n} days", "dzień", "{n} dni", "{n} dni"}
)

// Wait says how long a wait is, as it stands behind "in", rounded up: in minutes
// up to an hour and a half, in hours up to two days, else in days.
func Wait(d time.Duration, lang Language) string {
	whole := func(unit time.Duration) int64 { return int64((d + unit - 1) / unit) }
	switch {
	case d > 48*time.Hour:
		return days.in(lang, whole(24*time.Hour))
	case d > 90*time.Minute:
		return hours.in(lang, whole(time.Hour))
	}
	return minutes.in(lang, whole(time.Minute))
}

var failed = plural{
	"The last fetch failed", "The last {n} fetches failed",
	"Ostatnie pobieranie się nie udało", "Ostatnie {n} pobrania się nie udały", "Ostatnich {n} pobrań się nie udało",
}

// Failures says how many visits in a row have failed.
func Failures(n int, lang Language) string { return failed.in(lang, int64(n)) }
