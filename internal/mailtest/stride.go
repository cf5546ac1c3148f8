package mailtest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

// Long reports whether every case of every proof is tried: make test-long.
func Long() bool { return os.Getenv("MAILBROOK_TEST_LONG") != "" }

// Stride is how far it is from one case of a proof that is tried to the next:
// usual in make test, quick in make quick (-short), and 1 in make test-long. What
// make quick leaves out so is written into the file that MAILBROOK_LEFT names. A
// proof's control is made at any stride.
func Stride(tb testing.TB, usual, quick int64) int64 {
	tb.Helper()
	switch {
	case Long():
		return 1
	case !testing.Short():
		return usual
	}
	if quick != usual {
		Left(tb, fmt.Sprintf("1 of %d cases was tried; make test tries 1 of %d", quick, usual))
	}
	return quick
}

// Few is one number in make test and make test-long, and a smaller one in make quick.
func Few(tb testing.TB, usual, quick int) int {
	tb.Helper()
	if !testing.Short() || Long() {
		return usual
	}
	Left(tb, fmt.Sprintf("%d instead of %d", quick, usual))
	return quick
}

// Leaves reports whether make quick leaves a case of a proof to make test: it tries those that are
// named, and the others are written down.
func Leaves(tb testing.TB, name string, tried ...string) bool {
	tb.Helper()
	if !testing.Short() || Long() || slices.Contains(tried, name) {
		return false
	}
	Left(tb, name)
	return true
}

// Span is steps of a proof: From, and on until before To.
type Span struct{ From, To int64 }

// Search is in which order a control breaks its rule at one step after another until
// that is noticed: from the first step on, to the end. In make quick it begins at near,
// a step about where it was noticed before, and takes those before it only then: what
// a control says is the same.
func Search(near int64) []Span {
	if !testing.Short() || Long() {
		return []Span{{1, math.MaxInt64}}
	}
	return []Span{{near, math.MaxInt64}, {1, near}}
}

// Left writes down what make quick left to make test.
func Left(tb testing.TB, what string) {
	tb.Helper()
	name := os.Getenv("MAILBROOK_LEFT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = fmt.Fprintf(f, "  %s: %s\n", tb.Name(), what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		tb.Errorf("noting what is left to make test: %v", err)
	}
}
