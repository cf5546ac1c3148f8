package mail

import (
	netmail "net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The years in which mail can have been received, and the longest text that is
// tried as a date.
const (
	firstYear = 1980
	lastYear  = 2100
	longest   = 200
)

// ParseDate reads a date as mail has it: by RFC 5322 section 3.3 and 4.3, and
// in the forms that programs have written all the same (comments anywhere, two-
// and three-digit years, missing seconds, weekdays that are wrong or in another
// language, months in those that are spoken around here, names of zones, ISO 8601,
// RFC 850, ctime). Zero where that is not certain enough, and for dates that
// cannot be true.
func ParseDate(text string) time.Time {
	text = strings.TrimSpace(text)
	if len(text) > longest {
		return time.Time{}
	}
	t, err := netmail.ParseDate(text)
	if err != nil || namedZone(text) { // Which time.Parse takes for UTC.
		if loose := lenientDate(text); err != nil || !loose.IsZero() {
			t = loose
		}
	}
	if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

// namedZone reports whether the zone is a name.
func namedZone(text string) bool {
	last, _ := utf8.DecodeRuneInString(text[strings.LastIndexByte(text, ' ')+1:])
	return unicode.IsLetter(last)
}

const (
	hour    = 3600
	farZone = 14 * hour // Kiribati; beyond, it is no zone.
)

// zones are the names of RFC 5322 section 4.3 and those of Europe and other
// places that mail has, in seconds east of Greenwich. Where several zones share
// a name, it is the one with the most mail.
var zones = map[string]int{
	"UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0,
	"EDT": -4 * hour, "EST": -5 * hour, "CDT": -5 * hour, "CST": -6 * hour,
	"MDT": -6 * hour, "MST": -7 * hour, "PDT": -7 * hour, "PST": -8 * hour,
	"CET": hour, "MET": hour, "MEZ": hour, "BST": hour, "WEST": hour,
	"CEST": 2 * hour, "MEST": 2 * hour, "MESZ": 2 * hour, "EET": 2 * hour, "SAST": 2 * hour,
	"EEST": 3 * hour, "MSK": 3 * hour, "IST": 5*hour + hour/2,
	"HKT": 8 * hour, "SGT": 8 * hour, "JST": 9 * hour, "KST": 9 * hour, "AEST": 10 * hour, "AEDT": 11 * hour,
}

// months are the beginnings of their names, longest first where one begins
// another: English, then Polish, German, Dutch and the Nordic languages, French,
// Spanish, Italian and Portuguese, Russian.
var months = []struct {
	begins string
	month  time.Month
}{
	{"juin", time.June},
	{"juil", time.July},
	{"jan", time.January},
	{"feb", time.February},
	{"mar", time.March},
	{"apr", time.April},
	{"may", time.May},
	{"jun", time.June},
	{"jul", time.July},
	{"aug", time.August},
	{"sep", time.September},
	{"oct", time.October},
	{"nov", time.November},
	{"dec", time.December},
	{"sty", time.January},
	{"lut", time.February},
	{"kwi", time.April},
	{"maj", time.May},
	{"cze", time.June},
	{"lip", time.July},
	{"sie", time.August},
	{"wrz", time.September},
	{"paź", time.October},
	{"paz", time.October},
	{"lis", time.November},
	{"gru", time.December},
	{"mär", time.March},
	{"mrz", time.March},
	{"mrt", time.March},
	{"mai", time.May},
	{"mei", time.May},
	{"okt", time.October},
	{"dez", time.December},
	{"des", time.December},
	{"fév", time.February},
	{"fev", time.February},
	{"avr", time.April},
	{"aoû", time.August},
	{"aou", time.August},
	{"déc", time.December},
	{"ene", time.January},
	{"gen", time.January},
	{"abr", time.April},
	{"mag", time.May},
	{"giu", time.June},
	{"lug", time.July},
	{"ago", time.August},
	{"set", time.September},
	{"ott", time.October},
	{"out", time.October},
	{"dic", time.December},
	{"янв", time.January},
	{"фев", time.February},
	{"мар", time.March},
	{"апр", time.April},
	{"мая", time.May},
	{"май", time.May},
	{"июн", time.June},
	{"июл", time.July},
	{"авг", time.August},
	{"сен", time.September},
	{"окт", time.October},
	{"ноя", time.November},
	{"дек", time.December},
}

func monthOf(word string) time.Month {
	word = strings.ToLower(word)
	for _, m := range months {
		if strings.HasPrefix(word, m.begins) {
			return m.month
		}
	}
	return 0
}

// lenientDate is what could be gathered from the words of a date.
func lenientDate(text string) time.Time {
	var d looseDate
	for _, word := range strings.FieldsFunc(withoutComments(text), func(r rune) bool {
		return unicode.IsSpace(r) || r == ',' || r == ';' || r == '"'
	}) {
		if !d.take(word) {
			return time.Time{}
		}
	}
	return d.time()
}

// withoutComments leaves comments out; one that does not end reaches to the end.
func withoutComments(text string) string {
	var b strings.Builder
	depth := 0
	for _, r := range text {
		switch {
		case r == '(':
			depth++
			b.WriteByte(' ')
		case r == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// looseDate is a date of which not everything is known yet.
type looseDate struct {
	day, year     int
	month         time.Month
	dated, timed  bool // The date is whole as it stands; there is a time.
	yeared, zoned bool
	hour, min     int
	sec, zone     int
}

// take uses the next word; false: there can be none in a date.
func (d *looseDate) take(word string) bool {
	upper := strings.ToUpper(word)
	switch {
	case upper == "AM" || upper == "PM" || upper == "A.M." || upper == "P.M.":
		return d.half(upper[0] == 'P')
	case d.takeISO(word), d.takeTime(upper), d.takeZone(upper), d.takeNumber(word):
		return true
	}
	if strings.ContainsAny(word, "-/.") && d.takeJoined(word) {
		return true
	}
	if r, _ := utf8.DecodeRuneInString(word); !unicode.IsLetter(r) && r != utf8.RuneError {
		return false
	}
	// The last name is the month: a weekday stands before it, and may look like one.
	if m := monthOf(word); m != 0 {
		d.month = m
	}
	return true
}

// takeISO reads 2019-03-04, 2019/03/04 and 2019-03-04T05:06:07Z.
func (d *looseDate) takeISO(word string) bool {
	if len(word) < len("2019-3-4") || d.dated {
		return false
	}
	date, rest, _ := strings.Cut(strings.ToUpper(word), "T")
	parts := strings.FieldsFunc(date, func(r rune) bool { return r == '-' || r == '/' })
	if len(parts) != 3 || len(parts[0]) != 4 {
		return false
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil {
			return false
		}
	}
	d.year, d.month, d.day, d.dated, d.yeared = n[0], time.Month(n[1]), n[2], true, true
	if rest == "" {
		return true
	}
	zone := ""
	if i := strings.IndexAny(rest, "Z+-"); i >= 0 {
		rest, zone = rest[:i], rest[i:]
	}
	return d.takeTime(rest) && (zone == "" || d.takeZone(zone))
}

// takeJoined reads 06-MAY-2016, 04-Mar-19, 04.03.2019 and 28/11/2020. Which number is the
// month must be certain.
func (d *looseDate) takeJoined(word string) bool {
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == '-' || r == '/' || r == '.' })
	if len(parts) != 3 || d.dated {
		return false
	}
	day, derr := strconv.Atoi(parts[0])
	year, yerr := strconv.Atoi(parts[2])
	if derr != nil || yerr != nil {
		return false
	}
	month := monthOf(parts[1])
	if n, err := strconv.Atoi(parts[1]); err == nil {
		switch month = time.Month(n); {
		case strings.Contains(word, "."), day > 12, day == n:
		case n > 12:
			day, month = n, time.Month(day)
		default:
			return false // The fourth of March, or the third of April.
		}
	}
	d.day, d.month, d.year, d.dated, d.yeared = day, month, fullYear(year, len(parts[2])), true, true
	return true
}

// fullYear is RFC 5322 section 4.3's.
func fullYear(year, digits int) int {
	switch {
	case digits == 2 && year < 50:
		return year + 2000
	case digits <= 3:
		return year + 1900
	}
	return year
}

// takeTime reads 05:06, 5:6:7, 05:06:07.123, 05:06PM and 19.38.50.
func (d *looseDate) takeTime(word string) bool {
	if d.timed {
		return false
	}
	half := ""
	for _, suffix := range []string{"AM", "PM"} {
		if strings.HasSuffix(word, suffix) {
			word, half = strings.TrimSuffix(word, suffix), suffix
		}
	}
	parts := strings.Split(word, ":")
	if len(parts) == 1 {
		if parts = strings.Split(word, "."); len(parts) != 3 || len(parts[2]) > 2 {
			return false // 04.03.2019 is a date.
		}
	} else if len(parts) == 3 {
		parts[2], _, _ = strings.Cut(parts[2], ".")
	}
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || len(p) > 2 || n[i] < 0 {
			return false
		}
	}
	if n[0] > 24 || n[1] > 59 || n[2] > 60 || n[0] == 24 && n[1]+n[2] > 0 {
		return false
	}
	d.hour, d.min, d.sec, d.timed = n[0], n[1], n[2], true
	return half == "" || d.half(half == "PM")
}

// half is for clocks that go to twelve.
func (d *looseDate) half(afternoon bool) bool {
	if !d.timed || d.hour > 12 {
		return d.timed // "17:00 PM" is what it says.
	}
	d.hour %= 12
	if afternoon {
		d.hour += 12
	}
	return true
}

// takeZone reads +0100, +01:00, +1, GMT+1, UTC+02:00 and names. One that cannot
// be is none.
func (d *looseDate) takeZone(word string) bool {
	if z, ok := zones[word]; ok {
		if !d.zoned { // "UT +0200": the number counts.
			d.zone = z
		}
		return true
	}
	for _, name := range []string{"GMT", "UTC", "UT"} {
		if rest, ok := strings.CutPrefix(word, name); ok {
			word = rest
			break
		}
	}
	if len(word) < 2 || word[0] != '+' && word[0] != '-' || !d.timed {
		return false
	}
	return d.offset(word[1:], word[0] == '-')
}

func (d *looseDate) offset(digits string, west bool) bool {
	digits = strings.ReplaceAll(digits, ":", "")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || len(digits) > 4 {
		return false
	}
	seconds := n * hour
	if len(digits) > 2 {
		seconds = n/100*hour + n%100*60
	}
	if west {
		seconds = -seconds
	}
	if seconds > farZone || seconds < -farZone {
		seconds = 0
	}
	d.zone, d.zoned = seconds, true
	return true
}

// takeNumber reads a day, a year, or a zone without its sign.
func (d *looseDate) takeNumber(word string) bool {
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || len(word) > 4 {
		return false
	}
	switch {
	case d.dated || d.day > 0 && d.yeared:
		return d.timed && len(word) == 4 && !d.zoned && d.offset(word, false)
	case d.day == 0 && len(word) <= 2 && n > 0:
		d.day = n
	case !d.yeared && len(word) >= 2:
		d.year, d.yeared = fullYear(n, len(word)), true
	default:
		return false
	}
	return true
}

func (d *looseDate) time() time.Time {
	if d.day < 1 || d.month < time.January || d.month > time.December || !d.yeared {
		return time.Time{}
	}
	day := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC)
	if day.Day() != d.day { // The 31st of February.
		return time.Time{}
	}
	since := d.hour*hour + d.min*60 + d.sec - d.zone
	return day.Add(time.Duration(since) * time.Second)
}
