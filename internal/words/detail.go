package words

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Detail is what is said of one failure, or of one step that went well, in one or more sentences: each is shown in the
// reader's language, one after the other. Nil says nothing.
//
// What is filled in is a string (a name, or a server's own words, shown as they are), an int, an Octets or a Host.
type Detail []Sentence

// Octets is a size that is filled in: in the unit that fits, with the decimal sign of the reader's language.
type Octets int64

// String is the size in English.
func (n Octets) String() string { return Size(int64(n)) }

// Host is the name of a host that is filled in. People read it in the letters it was registered with; logs have it as
// computers name it.
type Host string

// Plain is a text that is the same in every language, such as "TLS 1.3". "" is nil.
func Plain(text string) Detail {
	if text == "" {
		return nil
	}
	return Detail{{Format: text}}
}

// String is the text in English, as logs have it.
func (d Detail) String() string {
	out := make([]string, len(d))
	for i, s := range d {
		out[i] = s.Error()
	}
	return strings.Join(out, " ")
}

// In is the detail in a person's language, for which letters writes the names of hosts. A sentence that is not known
// in it, such as one that an older version kept, stays as it is.
func (d Detail) In(lang Language, letters func(host string) string) string {
	out := make([]string, len(d))
	for i, s := range d {
		s.Args = slices.Clone(s.Args)
		for j, arg := range s.Args {
			switch a := arg.(type) {
			case Octets:
				s.Args[j] = SizeIn(int64(a), lang)
			case Host:
				s.Args[j] = letters(string(a))
			}
		}
		out[i] = Translate(s, lang)
	}
	return strings.Join(out, " ")
}

// Clipped returns the text with at most limit octets in English, and what is filled in made fit to show: of that,
// what comes last is cut first. Words of ours are never cut: a text of more of them stays longer. What an older version
// kept is not known to be ours.
func (d Detail) Clipped(limit int) Detail {
	out := make(Detail, len(d))
	for i, s := range d {
		s.Args = slices.Clone(s.Args)
		for j, a := range s.Args {
			s.Args[j] = cleaned(a, limit)
		}
		out[i] = s
	}
	over := len(out.String()) - limit
	for i := len(out) - 1; i >= 0 && over > 0; i-- {
		if _, ours := byFormat()[out[i].Format]; !ours && len(out[i].Args) == 0 {
			old := out[i].Format
			out[i].Format = Clean(old, max(len(old)-over, 0))
			over -= len(old) - len(out[i].Format)
		}
		for j := len(out[i].Args) - 1; j >= 0 && over > 0; j-- {
			old := fmt.Sprint(out[i].Args[j])
			out[i].Args[j] = cleaned(out[i].Args[j], max(len(old)-over, 0))
			over -= len(old) - len(fmt.Sprint(out[i].Args[j]))
		}
	}
	out = slices.DeleteFunc(out, func(s Sentence) bool { return s.Format == "" })
	if len(out) == 0 {
		return nil
	}
	return out
}

// cleaned is something that is filled in, in at most limit octets where it is a text.
func cleaned(arg any, limit int) any {
	switch a := arg.(type) {
	case string:
		return Clean(a, limit)
	case Host:
		return Host(Clean(string(a), limit))
	}
	return arg
}

// Clean makes a remote server's words fit to show: valid UTF-8, printable, on
// one line, without bidirectional controls, at most limit bytes.
func Clean(text string, limit int) string {
	var b strings.Builder
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError, !unicode.IsPrint(r), unicode.Is(unicode.Bidi_Control, r):
			continue
		}
		if space {
			if b.Len()+1 > limit {
				break
			}
			b.WriteByte(' ')
			space = false
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
