package transfer

import (
	"errors"
	"fmt"
	"time"
)

// What a Registry refuses, apart from invalid fields (account.InvalidError). Their texts are shown to users.
var (
	ErrNotFound       = errors.New("there is no such copy")
	ErrDisabled       = errors.New("copies are switched off here")
	ErrLimitReached   = errors.New("the limit of unfinished copies is reached: wait for one to end, or cancel it")
	ErrNotCancellable = errors.New("the copy has ended: there is nothing to pause, to continue or to cancel")
	ErrSameMailbox    = errors.New("source and target are the same mailbox")
	ErrTargetReadOnly = errors.New("nothing may be written into the target mailbox")
	ErrTargetFull     = errors.New("the target mailbox is full")
	ErrNotEnded       = errors.New("the copy has not ended: wait for it, or cancel it first")
	ErrChanged        = errors.New("the copy was changed meanwhile: load it again")
	ErrNoCredentials  = errors.New("the passwords of this copy were erased: enter them again")
	ErrNotVerified    = errors.New("the copy has nothing to report yet")
)

// ExistsError says that this mailbox is being copied already, or that another copy writes into the same target.
type ExistsError struct {
	ID    ID // "": it is another user's, whose copies are nobody else's business.
	State State
	Since time.Time
	// Target says that the target is taken, by a copy of another source.
	Target bool
}

// Error says so, for logs; people read words.
func (e *ExistsError) Error() string {
	return fmt.Sprintf("a copy of this mailbox is %s since %s", e.State, e.Since.UTC().Format(time.RFC3339))
}

// TestFailedError says which side it is that cannot be reached, or may not be; nothing was saved.
type TestFailedError struct {
	Side Side
	// An *account.TestFailedError; or a *fault.Error of a server that may not be named, an *account.AddressDiffersError or
	// a *remote.HeldBackError.
	Err error
}

// Error names the side.
func (e *TestFailedError) Error() string { return string(e.Side) + ": " + e.Err.Error() }

// Unwrap returns what the test said.
func (e *TestFailedError) Unwrap() error { return e.Err }
