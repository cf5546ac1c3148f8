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

// TestPluralsArePolish: 2, 3 and 4 go with another form than 5, and 12 to 14 with that of 5.
func TestPluralsArePolish(t *testing.T) {
	for n, want := range map[int]string{
		0: "Ostatnie pobieranie się nie udało", 1: "Ostatnie pobieranie się nie udało",
		2: "Ostatnie 2 pobrania się nie udały", 4: "Ostatnie 4 pobrania się nie udały",
		5: "Ostatnich 5 pobrań się nie udało", 11: "Ostatnich 11 pobrań się nie udało",
		12: "Ostatnich 12 pobrań się nie udało", 14: "Ostatnich 14 pobrań się nie udało",
		21: "Ostatnich 21 pobrań się nie udało", 22: "Ostatnie 22 pobrania się nie udały",
		112: "Ostatnich 112 pobrań się nie udało", 123: "Ostatnie 123 pobrania się nie udały",
	} {
		if got := words.Failures(n, words.Polish); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	if one, two := words.Failures(1, words.English), words.Failures(2, words.English); one != "The last fetch failed" ||
		two != "The last 2 fetches failed" {
		t.Errorf("%s; %s", one, two)
	}
}
