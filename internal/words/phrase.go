package words

// The languages that everything here is written in.
const (
	English = "en"
	Polish  = "pl"
)

// Phrase is one text in each language.
type Phrase struct{ En, Pl string }

// In returns the phrase in a language; in English where it is not written in that one.
func (p Phrase) In(lang string) string {
	if lang == Polish {
		return p.Pl
	}
	return p.En
}
