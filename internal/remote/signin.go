package remote

import (
	"fmt"
	"time"
)

// SignIn is how an attempt to sign in ended, for counting those that failed.
type SignIn int

// The ways in which it ends.
const (
	SignInUntried  SignIn = iota // The credential was not sent.
	SignInAccepted               // The server let us in.
	SignInRefused                // It refused the credential.
	SignInFailed                 // The credential was sent, and the answer was another, or none.
)

// HeldBackError says that too many logins failed lately: nothing was tried.
type HeldBackError struct {
	Wait time.Duration // Until a login may be tried again.
}

// Error says so, for people.
func (e *HeldBackError) Error() string {
	return fmt.Sprintf("too many logins at this mailbox failed lately: try again in %v", e.Wait.Round(time.Second))
}
