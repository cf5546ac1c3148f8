package diagnose

import "github.com/mailbrook/mailbrook/internal/words"

// The languages that details are said in.
const (
	English = string(words.English)
	Polish  = string(words.Polish)
)

// phrase is a detail in each language.
type phrase struct{ en, pl string }

// tooManyFailed is the answer to a request, and the detail of a diagnosis.
var tooManyFailed = phrase{words.TooManyFailed.En, words.TooManyFailed.Pl}
