package words

import (
	"slices"
	"strconv"
	"strings"
)

// Language is one that texts are written in, by its code in ISO 639-1.
type Language string

// The languages that everything here is written in.
const (
	English Language = "en"
	Polish  Language = "pl"
)

// Languages returns all of them.
func Languages() []Language { return []Language{English, Polish} }

// Name is what a language is called in itself.
func (l Language) Name() string { return Phrase{"English", "Polski"}.In(l) }

// Negotiate returns the language to answer in by a header Accept-Language (RFC 9110, section
// 12.5.4): of those that there are here the one with the greatest weight, the first of
// several. English is for everybody else, and where the header is longer than any browser
// sends.
func Negotiate(accept string) Language {
	if len(accept) > 500 {
		return English
	}
	lang, most := English, 0.0
	for entry := range strings.SplitSeq(accept, ",") {
		tag, parameters, _ := strings.Cut(strings.ToLower(entry), ";")
		subtags := strings.FieldsFunc(tag, func(r rune) bool { return strings.ContainsRune(" \t-_", r) })
		if len(subtags) == 0 {
			continue
		}
		weight := weightOf(parameters)
		switch {
		case !(weight > most): // Nor is what is no number.
		case slices.Contains([]string{"pl", "pol"}, subtags[0]):
			lang, most = Polish, weight
		case slices.Contains([]string{"en", "eng"}, subtags[0]):
			lang, most = English, weight
		}
	}
	return lang
}

// weightOf reads the weight of a language: 1 where there is none, 0 where it is no number.
func weightOf(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.TrimSpace(name) != "q" {
			continue
		}
		weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0
		}
		return weight
	}
	return 1
}
