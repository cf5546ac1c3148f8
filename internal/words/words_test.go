package words_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/mailbrook/mailbrook/internal/words"
)

func ExampleSize() {
	for _, n := range []int64{512, 1234, 50 << 20} {
		fmt.Println(words.Size(n))
	}
	// Output:
	// 512 B
	// 1.2 kB
	// 52.4 MB
}

func ExampleCount() {
	fmt.Println(words.Count(1, "folder"), "and", words.Count(3, "address", "addresses"))
	// Output: 1 folder and 3 addresses
}

func TestASizeFitsItsUnit(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1 kB", 999_949: "999.9 kB", 999_950: "1 MB", 1 << 30: "1.1 GB",
		math.MaxInt64: "9.2 EB",
	} {
		if got := words.Size(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
}
