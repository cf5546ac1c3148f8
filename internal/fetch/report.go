package fetch

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// Report is what one visit did.
type Report struct {
	Messages int64 // Delivered in this visit.
	Bytes    int64 // Their octets as sent by the server.
	Skipped  int   // Messages skipped in this visit, each with a reason in the journal.
	// Err ended the visit before everything was asked for; nil otherwise.
	// ErrFenced and interruptions are here too.
	Err error
	// Partial says that some folders or messages failed while the rest went
	// well; nil otherwise. Its code is folder_failed or message_failed.
	Partial *fault.Error
	// More says that the visit yielded with work left over.
	More bool
	// Busy says that it stopped because other visits held the memory it needed:
	// a reason for More that says nothing of the account or its server.
	Busy bool
	// Waited is how long the visit waited for memory.
	Waited time.Duration
}
