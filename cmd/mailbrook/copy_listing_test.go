package main

import (
	"os"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/transfer"
)

// What is too long for memory lies in a file that has no name, and is read as often as it is asked for.
func TestAListingHasAllWhateverIsInMemory(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2, 3, 4, 10_000} {
		dir := t.TempDir()
		l := newListing(dir)
		l.window = 3
		var want []transfer.Lying
		add := func(count int) {
			for i := range count {
				x := transfer.Lying{At: uint64(len(want) + 1), Received: int64(i - 5), Size: int64(i) - 1}
				want = append(want, x)
				if err := l.add(x); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			add(n)
			for range 2 {
				var got []transfer.Lying
				if err := l.Each(func(x transfer.Lying) { got = append(got, x) }); err != nil || !slices.Equal(got, want) {
					t.Errorf("%d of %d: %v", len(got), len(want), err)
				}
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Error(left, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
