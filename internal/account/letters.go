package account

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// hostNames are names of hosts with a part in the form of RFC 5890 section 2.3.2.1.
var hostNames = regexp.MustCompile(`(?i)(?:[\p{L}\p{N}_-]+\.)*\bxn--[a-z0-9_-]+(?:\.[\p{L}\p{N}_-]+)*`)

// Letters returns a text for people with the names of hosts, alone or in addresses, in
// the letters they were registered with in place of "xn--…". Parts whose letters may
// be taken for others stay as they are (see likeOthers), as does what is no such name:
// LabelsOf makes of the result the same name again. It is for showing alone.
func Letters(text string) string {
	if !strings.Contains(strings.ToLower(text), "xn--") {
		return text
	}
	var b strings.Builder
	done := 0
	for _, at := range hostNames.FindAllStringIndex(text, -1) {
		b.WriteString(text[done:at[0]])
		done = at[1]
		name := text[at[0]:at[1]]
		if !inLocalPart(text[at[1]:]) {
			name = lettersOf(name)
		}
		b.WriteString(name)
	}
	return b.String() + text[done:]
}

// LabelsOf returns the name of a host, or an address, with the domain as computers
// name it: where letters other than ASCII are in it, "xn--…". What is no name stays, and
// so does a name that would not be shown so: signs of another width, a Kelvin sign or
// letters that combine never come to an ASCII name.
func LabelsOf(name string) string {
	local, domain, address := owner.Split(name)
	if !address {
		local, domain = "", name
	}
	labels, err := idna.Lookup.ToASCII(domain)
	if err != nil || owner.IsASCII(domain) || lettersOf(labels) != owner.FoldASCII(domain) {
		return name
	}
	if address {
		return local + "@" + labels
	}
	return labels
}

// inLocalPart reports whether what comes before rest stands before an "@".
func inLocalPart(rest string) bool {
	end := strings.IndexAny(rest, " \t\r\n,;:<>()\"@")
	return end >= 0 && rest[end] == '@'
}

// lettersOf is Letters for one name.
func lettersOf(name string) string {
	labels := strings.Split(name, ".")
	top := labels[len(labels)-1]
	if u, err := idna.Display.ToUnicode(strings.ToLower(top)); err == nil {
		top = u
	}
	for i, l := range labels {
		small := strings.ToLower(l)
		if !strings.HasPrefix(small, "xn--") {
			continue
		}
		u, err := idna.Display.ToUnicode(small)
		if err != nil || likeOthers(u, top) {
			continue
		}
		if back, err := idna.Lookup.ToASCII(u); err == nil && back == small {
			labels[i] = u
		}
	}
	return strings.Join(labels, ".")
}

// scripts are in which a name may be written, each by itself, after the highly
// restrictive level of Unicode Technical Standard 39 section 5.2. Of Latin, which all
// know, only the letters of living alphabets are.
var scripts = [][]*unicode.RangeTable{
	{livingLatin},
	{unicode.Han, unicode.Hiragana, unicode.Katakana, prolonged},
	{unicode.Han, unicode.Hangul},
	{unicode.Han, unicode.Bopomofo},
	{unicode.Cyrillic},
	{unicode.Greek},
	{unicode.Armenian},
	{unicode.Hebrew},
	{unicode.Arabic},
	{unicode.Thaana},
	{unicode.Devanagari},
	{unicode.Bengali},
	{unicode.Gurmukhi},
	{unicode.Gujarati},
	{unicode.Oriya},
	{unicode.Tamil},
	{unicode.Telugu},
	{unicode.Kannada},
	{unicode.Malayalam},
	{unicode.Sinhala},
	{unicode.Thai},
	{unicode.Lao},
	{unicode.Tibetan},
	{unicode.Myanmar},
	{unicode.Georgian},
	{unicode.Ethiopic},
	{unicode.Khmer},
}

var (
	livingLatin = &unicode.RangeTable{R16: []unicode.Range16{
		{Lo: 'a', Hi: 'z', Stride: 1},
		{Lo: 'ß', Hi: 'ö', Stride: 1},
		{Lo: 'ø', Hi: 'İ', Stride: 1},
		{Lo: 'Ĳ', Hi: 'ſ', Stride: 1},
		{Lo: 'Ș', Hi: 'ț', Stride: 1},
		{Lo: 'Ḁ', Hi: 'ỿ', Stride: 1},
	}}
	prolonged = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 'ー', Hi: 'ー', Stride: 1}}}
)

// latinLike are letters of other scripts that are taken for Latin ones; a name of
// nothing else is, unless the last part of its domain is in that script too.
const latinLike = "асԁеһіјӏорԛѕԝхуъьҽпгѵѡвкмнт" + "αικνρυωηοτγσχ"

// likeOthers reports whether a part of a name may be taken for another one: it is not
// in one script, or looks as if it were in Latin below a top that is.
func likeOthers(label, top string) bool {
	digit := func(r rune) bool { return r == '-' || '0' <= r && r <= '9' }
	in := func(tables []*unicode.RangeTable) bool {
		return !strings.ContainsFunc(label, func(r rune) bool { return !digit(r) && !unicode.In(r, tables...) })
	}
	if !slices.ContainsFunc(scripts, in) {
		return true
	}
	return owner.IsASCII(top) && !strings.ContainsFunc(label, func(r rune) bool {
		return !digit(r) && !strings.ContainsRune(latinLike, r)
	})
}
