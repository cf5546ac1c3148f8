package transfer

import (
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Effort is what a copy takes of time, and what limits it.
type Effort struct {
	Messages, Bytes int64
	BytesPerSec     int64 // What its owner allows; 0: no limit.
	// PerDay are what the providers let be read and written in a day; 0: no limit is known.
	SourcePerDay, TargetPerDay int64
}

// What a copy does in a second where nothing holds it up. Servers far away or under load take longer: it is the least
// time that is shown.
const (
	messagesASecond = 200
	bytesASecond    = 8 << 20
)

// Time is how long a copy takes at the least, and over how many days the providers' limits spread it; 0: no limit does.
func (e Effort) Time() (least time.Duration, days int) {
	rate := int64(bytesASecond)
	if e.BytesPerSec > 0 {
		rate = min(rate, e.BytesPerSec)
	}
	seconds := max((e.Messages+messagesASecond-1)/messagesASecond, (e.Bytes+rate-1)/rate)
	for _, most := range []int64{e.SourcePerDay, e.TargetPerDay} {
		if most > 0 && e.Bytes > 0 {
			days = max(days, int((e.Bytes+most-1)/most))
		}
	}
	return time.Duration(seconds) * time.Second, days
}

// RoomFor says whether messages fit what a mailbox may hold, beside what it holds.
func RoomFor(used owner.Use, limit owner.Limit, messages, bytes int64) Room {
	return Room{
		Known: true, Used: used, Limit: limit,
		Fits: (limit.Bytes == nil || used.Bytes+bytes <= *limit.Bytes) &&
			(limit.Messages == nil || used.Messages+messages <= *limit.Messages),
	}
}

// MayWrite reports whether rights to the inbox (RFC 4314 section 2.1) let messages be put there; "" says nothing of
// them.
func MayWrite(rights string) bool {
	return rights == "" || strings.Contains(rights, "i")
}

// Probe is a folder of a mailbox with some of its messages, by which it is seen whether two mailboxes are one.
type Probe struct {
	Status   mail.Status
	Messages map[uint32]Lying // By UID.
}

// SameFolder reports whether two folders are one: they have one UIDVALIDITY, and all messages of the second, of which
// there are some, are in the first, with the same UIDs, dates and sizes. Servers choose UIDVALIDITYs by the time, so
// that alone it says nothing: two mailboxes that were made in one second have one.
func SameFolder(a, b Probe) bool {
	if a.Status.UIDValidity == 0 || a.Status.UIDValidity != b.Status.UIDValidity || len(b.Messages) == 0 {
		return false
	}
	for uid, l := range b.Messages {
		if a.Messages[uid] != l {
			return false
		}
	}
	return true
}

// Refusing returns the flags of messages that a target does not keep, and whether it keeps no keyword that it does not
// know. kept are its PERMANENTFLAGS in lower case; nil: it does not say.
func Refusing(kept []string, keywords []string) (flags, refused []string) {
	if kept == nil {
		return nil, nil
	}
	is := make(map[string]bool, len(kept))
	for _, k := range kept {
		is[k] = true
	}
	for _, f := range []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`} {
		if !is[owner.FoldASCII(f)] {
			flags = append(flags, f)
		}
	}
	for _, k := range keywords {
		if !is[`\*`] && !is[owner.FoldASCII(k)] {
			refused = append(refused, k)
		}
	}
	return flags, refused
}
