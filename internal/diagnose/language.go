package diagnose

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
