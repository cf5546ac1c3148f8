package account

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// joiners are signs between letters which names of domains may need: RFC 5892 appendix A.
var joiners = strings.NewReplacer("\u200C", "", "\u200D", "")

// drawn are format characters that are seen, and blankLetters letters that are not.
var (
	drawn        = unicode.Prepended_Concatenation_Mark
	blankLetters = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}}
)

// unseen reports whether a character shows nothing by itself, and is no space either: a
// format character, one that is ignored where it is not known (Unicode 5.21), or
// the Braille pattern without a dot.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
		blankLetters) && !unicode.Is(drawn, r)
}

// trimUnseen takes off what came along when a text was pasted: characters that are not
// seen at its ends, and the spaces among them. Those that are part of the sign before
// them, as in ❤️ and in flags of countries' parts, stay.
func trimUnseen(s string) string {
	loose := func(r rune) bool {
		return unseen(r) && !unicode.Is(unicode.Variation_Selector, r) && (r < 0xE0020 || r > 0xE007F)
	}
	if strings.TrimFunc(s, loose) == s {
		return s
	}
	return strings.TrimFunc(s, func(r rune) bool { return loose(r) || unicode.IsSpace(r) })
}

// seen notes what of an account nobody could see or tell from another's. What is as it
// was in old is let be: an account that is there can be edited.
func (e *InvalidError) seen(a, old Account) {
	for _, f := range []struct{ field, is, was string }{
		{"name", a.Name, old.Name}, {"sender_name", a.SenderName, old.SenderName},
	} {
		if f.is != f.was && Blank(f.is) {
			e.Add(f.field, "invalid", "must have a character that can be seen")
		}
	}
	if a.Folder != old.Folder {
		for part := range strings.SplitSeq(a.Folder, "/") {
			if Blank(part) {
				e.Add("folder", "invalid", "must have a character that can be seen")
				break
			}
		}
	}
	for _, f := range []struct{ field, is, was string }{
		{"email", a.Email, old.Email}, {"username", a.Username, old.Username},
	} {
		if f.is != f.was {
			e.wholly(f.field, f.is)
		}
	}
}

// wholly notes an address in which something is not seen.
func (e *InvalidError) wholly(field, address string) {
	local, domain, _ := owner.Split(address)
	if _, err := idna.Lookup.ToASCII(domain); err == nil { // There they are between letters that they join.
		domain = joiners.Replace(domain)
	}
	if strings.ContainsFunc(local+domain, unseen) && !words.HasControl(address) {
		e.Add(field, "invalid", "must not contain invisible characters: type it instead of pasting it")
	}
}

// Blank reports whether a text has something, and of that nothing is seen.
func Blank(s string) bool {
	return strings.TrimSpace(s) != "" && !words.HasControl(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unseen(r) && !unicode.IsSpace(r) })
}
