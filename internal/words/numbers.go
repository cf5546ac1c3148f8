package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Number is a count as people write it, in groups of three: 12,345 in English, 12 345 in Polish, with a space at which
// no line is broken. The pages (i18n.js) show the same.
func Number(n int64, lang Language) string {
	group := ","
	if lang == Polish {
		group = "\u00A0"
	}
	text, sign := strconv.FormatInt(n, 10), ""
	if n < 0 {
		text, sign = text[1:], "-"
	}
	var groups []string
	for ; len(text) > 3; text = text[:len(text)-3] {
		groups = append([]string{text[len(text)-3:]}, groups...)
	}
	return sign + strings.Join(append([]string{text}, groups...), group)
}

// count returns the form that goes with a number of things that may be none, the number in groups.
func (p plural) count(n int64, lang Language) string {
	form := p.in(lang, n)
	if n == 0 { // As many, in both languages.
		form = p.in(lang, 5)
	}
	_, unit, _ := strings.Cut(form, " ")
	return Number(n, lang) + " " + unit
}

var (
	messagesOf = plural{"{n} message", "{n} messages", "{n} wiadomość", "{n} wiadomości", "{n} wiadomości"}
	foldersOf  = plural{"{n} folder", "{n} folders", "{n} folder", "{n} foldery", "{n} folderów"}
	secondsOf  = plural{"{n} second", "{n} seconds", "{n} sekunda", "{n} sekundy", "{n} sekund"}
	minutesOf  = plural{"{n} minute", "{n} minutes", "{n} minuta", "{n} minuty", "{n} minut"}
	hoursOf    = plural{"{n} hour", "{n} hours", "{n} godzina", "{n} godziny", "{n} godzin"}
	daysOf     = plural{"{n} day", "{n} days", "{n} dzień", "{n} dni", "{n} dni"}
)

// Messages is a number of messages: "1 message", "12,345 messages".
func Messages(n int64, lang Language) string { return messagesOf.count(n, lang) }

// Folders is a number of folders.
func Folders(n int64, lang Language) string { return foldersOf.count(n, lang) }

// Took says how long something took, as it stands behind a colon: in seconds up to a minute, in minutes up to an hour,
// then in hours and minutes, and from two days on in days and hours; to the nearest, and a second at the least.
func Took(d time.Duration, lang Language) string {
	seconds := max(1, int64((d+time.Second/2)/time.Second))
	minutes := (seconds + 30) / 60
	hours := (minutes + 30) / 60
	switch {
	case seconds < 60:
		return secondsOf.count(seconds, lang)
	case minutes < 60:
		return minutesOf.count(minutes, lang)
	case hours < 48:
		return both(hoursOf, minutes/60, minutesOf, minutes%60, lang)
	}
	return both(daysOf, hours/24, hoursOf, hours%24, lang)
}

// both is a number of one unit and, where there is one, of the next smaller one.
func both(large plural, n int64, small plural, m int64, lang Language) string {
	if m == 0 {
		return large.count(n, lang)
	}
	return large.count(n, lang) + " " + small.count(m, lang)
}

// months are the names of months as they stand in a date.
var months = Phrase{
	"January February March April May June July August September October November December",
	"stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
}

// Moment is a time as people write it, to the minute, with its zone: "30 November 2026, 14:30 UTC". Who reads it may be
// anywhere, so that the zone is always said.
func Moment(t time.Time, lang Language) string {
	month := strings.Fields(months.In(lang))[t.Month()-1]
	zone := "UTC"
	if _, offset := t.Zone(); offset != 0 {
		zone = t.Format("UTC-07:00")
	}
	return fmt.Sprintf("%d %s %d, %s %s", t.Day(), month, t.Year(), t.Format("15:04"), zone)
}
