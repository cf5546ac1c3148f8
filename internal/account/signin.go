package account

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// HeldBack reports whether it was we who did not try to sign in, because too
// many logins had failed.
func (d *Diagnosis) HeldBack() bool {
	return d != nil && fault.ReasonOf(d.Code, d.Detail) == fault.LoginsHeldBack
}

// Proof returns the text by which LoginProof shows that a server accepted the
// account's credential as it is saved now. An edit makes it another text.
// Where no certificate says which server it was (None), the server's addresses
// do: a name can be led elsewhere.
func (a Account) Proof(addrs []netip.Addr) string {
	proof := strconv.FormatInt(a.SettingsEpoch, 10)
	if a.Server.Security != remote.None {
		return proof
	}
	words := make([]string, len(addrs))
	for i, addr := range addrs {
		words[i] = addr.Unmap().String()
	}
	slices.Sort(words)
	return proof + " " + strings.Join(slices.Compact(words), " ")
}
