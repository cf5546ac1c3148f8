package mail

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Keywords are the flags of a message that are no system flags: what a server or a user
// made up, such as $Forwarded or NonJunk (RFC 9051 section 2.3.2). They are a list in one
// string, which can be compared: atoms in order, a space between two.
type Keywords string

// How many keywords of a message are carried over, and how many octets each may have.
const (
	MostKeywords = 64
	LongestWord  = 100
)

// KeywordsOf makes a list of atoms: in order, each once, whatever its case. left is how many
// are not in it, as they are no keywords or there are too many.
func KeywordsOf(atoms []string) (k Keywords, left int) {
	var kept []string
	for _, a := range atoms {
		if !IsKeyword(a) {
			left++
			continue
		}
		kept = append(kept, a)
	}
	slices.SortStableFunc(kept, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	kept = slices.CompactFunc(kept, strings.EqualFold)
	if over := len(kept) - MostKeywords; over > 0 {
		kept, left = kept[:MostKeywords], left+over
	}
	return Keywords(strings.Join(kept, " ")), left
}

// List returns the keywords one by one.
func (k Keywords) List() []string { return strings.Fields(string(k)) }

// IsKeyword reports whether a flag is one that servers take as a keyword: an atom (RFC 9051
// section 9, flag-keyword), not too long. What begins with a backslash is a system flag.
func IsKeyword[T string | []byte](flag T) bool {
	if len(flag) == 0 || len(flag) > LongestWord {
		return false
	}
	for i := range len(flag) {
		c := flag[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// locations are the time zones that were asked for; of each there is one.
var locations sync.Map

// Zone is the time zone so many seconds east of UTC. One that no date has is UTC.
func Zone(seconds int) *time.Location {
	if seconds == 0 || seconds%60 != 0 || seconds < -24*3600 || seconds > 24*3600 {
		return time.UTC
	}
	if z, ok := locations.Load(seconds); ok {
		return z.(*time.Location)
	}
	z, _ := locations.LoadOrStore(seconds, time.FixedZone("", seconds))
	return z.(*time.Location)
}

// InZone returns the time in the zone that it is in already, but for its name, which is the
// place's where it was read.
func InZone(t time.Time) time.Time {
	_, seconds := t.Zone()
	return t.In(Zone(seconds))
}
