package diagnose

import "github.com/mailbrook/mailbrook/internal/words"

// The languages that everything here is written in.
const (
	English = words.English
	Polish  = words.Polish
)

// phrase is a detail in each language.
type phrase struct{ en, pl string }

func (w phrase) in(lang string) string {
	if lang == Polish {
		return w.pl
	}
	return w.en
}
