package diagnose

import "github.com/mailbrook/mailbrook/internal/words"

// The languages that everything here is written in.
const (
	English = words.English
	Polish  = words.Polish
)

// phrase is a detail in each language.
type phrase struct{ en, pl string }

// tooManyFailed is the answer to a request, and the detail of a diagnosis.
var tooManyFailed = phrase{words.TooManyFailed.En, words.TooManyFailed.Pl}
