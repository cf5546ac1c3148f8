package diagnose

import (
	"strconv"
	"strings"
)

// The languages that everything here is written in.
const (
	English = "en"
	Polish  = "pl"
)

// words are the same in each language.
type words struct{ en, pl string }

func (w words) in(lang string) string {
	if lang == Polish {
		return w.pl
	}
	return w.en
}

const maxAcceptLanguage = 1000

// ParseAcceptLanguage returns which of the languages a person prefers by an
// Accept-Language header (RFC 9110 section 12.5.4): "pl", else "en".
func ParseAcceptLanguage(header string) string {
	if len(header) > maxAcceptLanguage {
		header = header[:maxAcceptLanguage]
	}
	best, chosen := 0.0, English
	for _, part := range strings.Split(header, ",") {
		tag, params, _ := strings.Cut(part, ";")
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if tag == "*" {
			tag = English
		}
		if q := quality(params); (tag == English || tag == Polish) && q > best {
			best, chosen = q, tag
		}
	}
	return chosen
}

// quality returns the weight in a list element's parameters; 1 when there is
// none, 0 when it is none.
func quality(params string) float64 {
	for _, p := range strings.Split(params, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
