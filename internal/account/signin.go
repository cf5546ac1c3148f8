package account

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
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

// HeldBack reports whether it was we who did not try to sign in, because too
// many logins had failed.
func (d *Diagnosis) HeldBack() bool {
	return d != nil && fault.ReasonOf(d.Code, d.Detail) == fault.LoginsHeldBack
}

// HeldBackError says that too many logins failed lately: nothing was tried.
type HeldBackError struct {
	Wait time.Duration // Until a login may be tried again.
}

// Error says so, for people.
func (e *HeldBackError) Error() string {
	return fmt.Sprintf("too many logins at this mailbox failed lately: try again in %v", e.Wait.Round(time.Second))
}

// Proof returns the text by which LoginProof shows that a server accepted the
// account's credential as it is saved now. An edit makes it another text.
// Where no certificate says which server it was (None), the server's addresses
// do: a name can be led elsewhere.
func (a Account) Proof(addrs []netip.Addr) string {
	proof := strconv.FormatInt(a.SettingsEpoch, 10)
	if a.Server.Security != None {
		return proof
	}
	words := make([]string, len(addrs))
	for i, addr := range addrs {
		words[i] = addr.Unmap().String()
	}
	slices.Sort(words)
	return proof + " " + strings.Join(slices.Compact(words), " ")
}
