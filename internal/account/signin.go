package account

import (
	"github.com/mailbrook/mailbrook/internal/fault"
)

// HeldBack reports whether it was we who did not try to sign in, because too
// many logins had failed.
func (d *Diagnosis) HeldBack() bool {
	return d != nil && fault.ReasonOf(d.Code, d.Detail) == fault.LoginsHeldBack
}
