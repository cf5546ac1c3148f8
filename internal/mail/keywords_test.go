package mail

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestKeywordsAreAListInOrder(t *testing.T) {
	many := make([]string, MostKeywords+3)
	for i := range many {
		many[i] = fmt.Sprintf("k%03d", i)
	}
	for _, tc := range []struct {
		atoms []string
		want  Keywords
		left  int
	}{
		{nil, "", 0},
		{[]string{"NonJunk", "$Forwarded"}, "$Forwarded NonJunk", 0},
		{[]string{"Work", "work", "WORK"}, "Work", 0},
		{[]string{`\Seen`, "a b", "", "x(", "ż", "x]", strings.Repeat("a", LongestWord+1), "ok"}, "ok", 7},
		{many, Keywords(strings.Join(many[:MostKeywords], " ")), 3},
	} {
		if got, left := KeywordsOf(tc.atoms); got != tc.want || left != tc.left {
			t.Errorf("%q: %q and %d left, want %q and %d", tc.atoms, got, left, tc.want, tc.left)
		}
	}
	if got := Keywords("a b").List(); len(got) != 2 || got[1] != "b" {
		t.Errorf("listed %q", got)
	}
}

func TestAZoneIsOfItsOffset(t *testing.T) {
	at := time.Date(2023, 5, 1, 12, 0, 0, 0, time.FixedZone("CEST", 7200))
	in := InZone(at)
	if _, offset := in.Zone(); offset != 7200 || !in.Equal(at) || in.Location() != Zone(7200) {
		t.Errorf("it is %v", in)
	}
	for _, odd := range []int{0, 1, 90000, -90000} {
		if Zone(odd) != time.UTC {
			t.Errorf("%d is %v", odd, Zone(odd))
		}
	}
}

func FuzzKeywords(f *testing.F) {
	f.Add("$Forwarded NonJunk")
	f.Fuzz(func(t *testing.T, s string) {
		k, _ := KeywordsOf(strings.Split(s, " "))
		again, left := KeywordsOf(k.List())
		if again != k || left != 0 {
			t.Errorf("%q becomes %q", k, again)
		}
	})
}
