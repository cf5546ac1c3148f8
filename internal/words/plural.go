package words

import (
	"strconv"
	"time"
)

// Wait says how long a wait is, as it stands behind "in", rounded up: in minutes
// up to an hour and a half, in hours up to two days, else in days.
func Wait(d time.Duration, lang string) string {
	n, one, few, many := int64((d+time.Minute-1)/time.Minute), "minutę", "minuty", "minut"
	single, plural := "a minute", "minutes"
	switch {
	case d > 48*time.Hour:
		n, one, few, many = int64((d+24*time.Hour-1)/(24*time.Hour)), "dzień", "dni", "dni"
		single, plural = "a day", "days"
	case d > 90*time.Minute:
		n, one, few, many = int64((d+time.Hour-1)/time.Hour), "godzinę", "godziny", "godzin"
		single, plural = "an hour", "hours"
	}
	number := strconv.FormatInt(n, 10) + " "
	switch {
	case lang != Polish && n <= 1:
		return single
	case lang != Polish:
		return number + plural
	case n <= 1:
		return one
	case fewInPolish(int(n)):
		return number + few
	}
	return number + many
}

// Failures says how many visits in a row have failed.
func Failures(n int, lang string) string {
	number := strconv.Itoa(n)
	if lang != Polish {
		if n <= 1 {
			return "The last fetch failed"
		}
		return "The last " + number + " fetches failed"
	}
	switch {
	case n <= 1:
		return "Ostatnie pobieranie się nie udało"
	case fewInPolish(n):
		return "Ostatnie " + number + " pobrania się nie udały"
	}
	return "Ostatnich " + number + " pobrań się nie udało"
}

// fewInPolish reports whether a number goes with the plural of few: 2, 3, 4, 22, …
func fewInPolish(n int) bool { return n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14) }
