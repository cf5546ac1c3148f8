package words

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Earlier is the text of a version before the schema's step 36, which kept its sentences in English, in one piece.
// Those that it begins with are found again, so that they have their reason and their language; from where there
// is none it stays as it is. Only that step asks, once for each text that there is: an account that waits for its
// user is not visited again by itself, and would have neither.
func Earlier(text string) (d Detail) {
	for text != "" {
		s, rest, ok := first(text)
		if !ok {
			return append(d, Plain(text)...)
		}
		d, text = append(d, s), rest
	}
	return d
}

// first is the sentence that a text begins with, and what stands behind it.
func first(text string) (s Sentence, rest string, ok bool) {
	for _, format := range byLead() {
		if s, rest, ok = begins(text, format); ok {
			return s, rest, true
		}
	}
	return Sentence{}, "", false
}

// byLead are the formats of details. Of two that a text may begin with the one that says more before anything is filled
// in comes first, and then the longer one.
var byLead = sync.OnceValue(func() []string {
	var formats []string
	for _, w := range slices.Concat(details, serverDetails) {
		formats = append(formats, w.En)
	}
	slices.SortStableFunc(formats, func(a, b string) int {
		leadA, _, _ := strings.Cut(a, "%")
		leadB, _, _ := strings.Cut(b, "%")
		return cmp.Or(len(leadB)-len(leadA), len(b)-len(a))
	})
	return formats
})

// begins reports whether a text begins with a sentence of a format, which ends with the text or before a space. What is
// filled in at the sentence's end is all that is left of the text. Elsewhere it reaches as far as it has to, and not
// over what looks like the end of another sentence: such a text is rather shown as it is.
func begins(text, format string) (s Sentence, rest string, ok bool) {
	lead, format, filled := strings.Cut(format, "%")
	s.Format = lead
	if rest, ok = strings.CutPrefix(text, lead); !ok {
		return s, "", false
	}
	for filled {
		var verb, literal, arg string
		verb, format = format[:1], format[1:]
		literal, format, filled = strings.Cut(format, "%")
		s.Format += "%" + verb + literal
		switch {
		case literal == "" && !filled && verb == "s":
			arg, rest = rest, ""
		case literal == "":
			return s, "", false
		default:
			if arg, rest, ok = strings.Cut(rest, literal); !ok || strings.Contains(arg, ". ") || strings.Contains(arg, ": ") {
				return s, "", false
			}
		}
		if verb == "s" {
			s.Args = append(s.Args, arg)
			continue
		}
		n, err := strconv.Atoi(arg)
		if err != nil || strconv.Itoa(n) != arg {
			return s, "", false
		}
		s.Args = append(s.Args, n)
	}
	if rest == "" {
		return s, "", true
	}
	rest, ok = strings.CutPrefix(rest, " ")
	return s, rest, ok && rest != ""
}
