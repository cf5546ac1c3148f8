package httpapi

import (
	"fmt"
	"testing"
	"time"
)

// TestUnknownKeyIDsFillNoMemory: each is asked for just now, as by somebody with
// all the time in the world.
func TestUnknownKeyIDsFillNoMemory(t *testing.T) {
	now := time.Now()
	s := &keySet{now: func() time.Time { return now }, unknown: map[[32]byte]time.Time{}}
	known := &knownKeys{}
	most := 0
	for n := range 10 * unknownMost {
		_ = s.missing(fmt.Sprint(n), known, true)
		most = max(most, len(s.unknown))
	}
	if most != unknownMost {
		t.Errorf("%d are remembered, want %d", most, unknownMost)
	}
	now = now.Add(unknownLife) // Room is made by those that are old.
	_ = s.missing("last", known, true)
	if len(s.unknown) != 1 || !s.isUnknown("last") {
		t.Errorf("%d are remembered after a while", len(s.unknown))
	}
}
