package account

import (
	"fmt"
	"slices"
	"strconv"
)

// Version names an account's settings as they are: each edit changes it, and
// nothing else does.
func (a Account) Version() string {
	return fmt.Sprintf("%d-%s", a.SettingsEpoch, strconv.FormatInt(a.UpdatedAt.UnixMilli(), 36))
}

// Match are the versions of something for which a change is meant; nil: it is
// meant whatever there is.
type Match []string

// Any is a Match of whatever there is.
const Any = "*"

// Check fails with ErrPrecondition unless a version is one of those.
func (m Match) Check(version string) error {
	if m == nil || slices.Contains(m, Any) || slices.Contains(m, version) {
		return nil
	}
	return ErrPrecondition
}
