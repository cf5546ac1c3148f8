package account

import (
	"errors"
	"strings"

	"github.com/mailbrook/mailbrook/internal/words"
)

// What the registry refuses, apart from invalid fields. Their texts are shown
// to users.
var (
	ErrNotFound     = errors.New("there is no such account")
	ErrLimitReached = errors.New("the limit of external accounts is reached: delete one to add another")
	ErrExists       = errors.New("this external account was added already: edit that one instead")
	ErrNameTaken    = errors.New("another of your accounts already has this name: choose a different one")
	ErrFolderTaken  = errors.New("this folder is taken: choose another name for it")
	ErrChanged      = errors.New("the account was changed meanwhile: load it again")
	// ErrPrecondition says that what is to be changed is not what the caller thinks
	// that it is.
	ErrPrecondition = errors.New("it was changed meanwhile: load it again")
)

// ErrFolderReserved is an ErrFolderTaken: the folder is one that every mailbox
// has or that mail programs make.
var ErrFolderReserved error = reserved{}

type reserved struct{}

// Error says so to users.
func (reserved) Error() string {
	return "every mailbox has a folder of this name, for mail of your own: choose another name"
}

// Unwrap makes it an ErrFolderTaken.
func (reserved) Unwrap() error { return ErrFolderTaken }

// ErrUnavailable says that what is kept of accounts cannot be asked or changed
// now: the database does not answer, or is not the one that it should be. It is
// nobody's fault who asks, and may be over soon.
var ErrUnavailable = errors.New("the database does not answer")

// Why a user cannot be removed, or added to, at the moment. It is over by itself.
var (
	ErrVisitsEnding = errors.New("the user's visits are still ending; the removal then continues by itself")
	ErrRemoving     = errors.New("the user is being removed; the address is free when that is done")
)

// ErrRefused says that a password is not that user's, or that there is no such user.
var ErrRefused = errors.New("the address or the password is wrong")

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field  string         // As the contract spells it: "server.host".
	Code   string         // Stable: "required", "too_long", "control_character", "invalid", "out_of_range", "reserved", …
	Detail words.Sentence // What would be right, or what to do about it.
}

// InvalidError lists the fields of a request that cannot be accepted.
type InvalidError struct{ Fields []FieldError }

// Error lists the fields.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Detail.Error()
	}
	return strings.Join(parts, "; ")
}

// Add notes one more field. The detail is a Sentence's format, and says what
// would be right.
func (e *InvalidError) Add(field, code, detail string, args ...any) {
	e.Fields = append(e.Fields, FieldError{field, code, words.Say(detail, args...)})
}

// OrNil returns e, or nil when no field is wrong.
func (e *InvalidError) OrNil() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// AddressDiffersError says that a user signed in at the provider as somebody
// else than the account is for, and has not said that it is meant so.
type AddressDiffersError struct {
	Email  string // The account's.
	Signed string // Whose mailbox the user opened.
}

// Error names both.
func (e *AddressDiffersError) Error() string { return e.Sentence().Error() }

// Sentence names both, for people.
func (e *AddressDiffersError) Sentence() words.Sentence {
	return words.Say(
		"the sign-in was for %s, and this account is for %s: confirm it, change the address, or sign in again",
		e.Signed, e.Email)
}

// TestFailedError says that the connection test before saving failed; nothing
// was saved.
type TestFailedError struct{ Report TestReport }

// Error gives the diagnosis's code.
func (e *TestFailedError) Error() string {
	if e.Report.Diagnosis == nil {
		return "the connection test failed"
	}
	return "the connection test failed: " + string(e.Report.Diagnosis.Code)
}
