package route

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/words"
)

// Start says how far back an account's mail is fetched: StartAll, StartNew, or
// a number of days counted back from the moment when the account was added.
type Start int

// The starts that are no number of days.
const (
	StartAll Start = 0
	StartNew Start = -1
)

// MaxStartDays is the longest way back in days.
const MaxStartDays = 36500

// Since returns the moment before which mail is left out, for an account
// added at created; zero when none is. It is fixed: were it to move on with the
// clock, mail would be lost when a server is away for longer than the start.
func (s Start) Since(created time.Time) time.Time {
	if s == StartAll || created.IsZero() {
		return time.Time{}
	}
	// Servers tell dates to the second.
	return created.UTC().Truncate(time.Second).AddDate(0, 0, -max(0, int(s)))
}

// Wider reports whether s goes back further than old.
func (s Start) Wider(old Start) bool {
	switch {
	case old == StartAll:
		return false
	case s == StartAll:
		return true
	}
	return s > old
}

// String returns "all", "new" or "30d".
func (s Start) String() string {
	switch s {
	case StartAll:
		return "all"
	case StartNew:
		return "new"
	}
	return strconv.Itoa(int(s)) + "d"
}

// ParseStart reads what String writes.
func ParseStart(text string) (Start, error) {
	switch text {
	case "all":
		return StartAll, nil
	case "new":
		return StartNew, nil
	}
	days, ok := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(days)
	if !ok || err != nil || n < 1 || n > MaxStartDays {
		return StartAll, fmt.Errorf("%q is neither all, new nor a number of days such as 30d", words.Clip(text))
	}
	return Start(n), nil
}

// Bounds of an account's largest message. More than MostMessageBytes is never
// fetched, not even when it is asked for.
const (
	LeastMessageBytes   = 1 << 10
	DefaultMessageBytes = 50 << 20
	MostMessageBytes    = 256 << 20
)
