package transfer

import "time"

// Report is what came of a copy, at a time.
type Report struct {
	Copy        Copy
	Grade       Grade
	VerifiedAt  time.Time // Zero: nothing was compared yet.
	How         Verify
	Folders     []FolderState
	Lists       map[MessageState]int64 // How many messages are in each state.
	Reasons     []ReasonCount          // Why messages are skipped, the most frequent first.
	Keywords    []KeywordCount         // Refused by the target, by name.
	Duration    time.Duration          // At work, without what it waited and was paused.
	LeftOut     []string               // Folders that are shared or of others.
	Rewritten   bool                   // The target does not keep messages as they are sent.
	NotIncluded []string               // What a copy never brings: see NotIncluded.
}

// ReasonCount is how many messages were skipped for one reason.
type ReasonCount struct {
	Code     Why
	Messages int64
}

// KeywordCount is how often the target refused a keyword.
type KeywordCount struct {
	Keyword  string
	Messages int64
}
