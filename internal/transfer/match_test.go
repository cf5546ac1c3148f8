package transfer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// printOf is the fingerprint of a message of this header and body.
func printOf(header, body byte, size int64) mail.Fingerprint {
	return mail.Fingerprint{
		Size: size, Digest: [32]byte{header, body}, Body: [16]byte{body}, Header: [16]byte{header},
	}
}

// What is listed of a folder tells which message is which: by places that are known, by equal dates and sizes, each for
// one message at most.
func TestMatchListed(t *testing.T) {
	t.Parallel()
	want := func(received, size int64) Sought {
		return Sought{Received: received, Print: mail.Fingerprint{Size: size}}
	}
	told := func(s Sought, at uint64, validity uint32) Sought {
		s.At, s.Validity = at, validity
		return s
	}
	for _, c := range []struct {
		name   string
		sought []Sought
		lying  []Lying
		is     []match
		doubts []uint64
	}{
		{name: "nothing"},
		{"nothing there", []Sought{want(1, 10)}, nil, []match{{}}, nil},
		{"by date and size", []Sought{want(1, 10)}, []Lying{{7, 1, 10}}, []match{{At: 7}}, nil},
		{"another date", []Sought{want(1, 10)}, []Lying{{7, 2, 10}}, []match{{}}, nil},
		{"another size", []Sought{want(1, 10)}, []Lying{{7, 1, 11}}, []match{{}}, []uint64{7}},
		{
			"twins, all there",
			[]Sought{want(1, 10), want(1, 10)},
			[]Lying{{8, 1, 10}, {7, 1, 10}},
			[]match{{At: 7}, {At: 8}},
			nil,
		},
		{"twins, one gone", []Sought{want(1, 10), want(1, 10)}, []Lying{{7, 1, 10}}, []match{{At: 7}, {}}, nil},
		{
			"twins, the place of the first known, and gone",
			[]Sought{told(want(1, 10), 6, 3), want(1, 10)},
			[]Lying{{7, 1, 10}},
			[]match{{}, {At: 7}},
			nil,
		},
		{
			"twins, the place of the second known",
			[]Sought{want(1, 10), told(want(1, 10), 7, 3)},
			[]Lying{{7, 1, 10}, {8, 1, 10}},
			[]match{{At: 8}, {At: 7}},
			nil,
		},
		{
			"told, and rewritten",
			[]Sought{told(want(1, 10), 7, 3)},
			[]Lying{{7, 1, 90}},
			[]match{{At: 7, Doubt: true}},
			nil,
		},
		{
			"told, and with another date",
			[]Sought{told(want(1, 10), 7, 3)},
			[]Lying{{7, 2, 10}},
			[]match{{At: 7, Doubt: true}},
			nil,
		},
		{
			"told under another validity",
			[]Sought{told(want(1, 10), 7, 2)},
			[]Lying{{7, 5, 50}, {9, 1, 10}},
			[]match{{At: 9}},
			nil,
		},
		{"told, gone, and its like", []Sought{told(want(1, 10), 7, 3)}, []Lying{{9, 1, 10}}, []match{{}}, nil},
		{"listed twice", []Sought{want(1, 10), want(1, 10)}, []Lying{{7, 1, 10}, {7, 1, 10}}, []match{{At: 7}, {}}, nil},
		{
			"told twice the same place",
			[]Sought{told(want(1, 10), 7, 3), told(want(1, 10), 7, 3)},
			[]Lying{{7, 1, 10}},
			[]match{{At: 7}, {}},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := matchListed(c.sought, c.lying, 3)
			if !slices.Equal(got, c.is) {
				t.Errorf("%+v, want %+v", got, c.is)
			}
			if doubts := candidates(c.sought, c.lying, got, 3); !slices.Equal(doubts, c.doubts) {
				t.Errorf("to be read: %v, want %v", doubts, c.doubts)
			}
		})
	}
}

// What was read is taken for one message at most, the likest first.
func TestMatchRead(t *testing.T) {
	t.Parallel()
	message := printOf(1, 1, 10)
	rewritten := message
	rewritten.Digest[9], rewritten.Size = 1, 90
	changed := rewritten
	changed.Body[9] = 1
	sought := func(ps ...mail.Fingerprint) (all []Sought) {
		for _, p := range ps {
			all = append(all, Sought{Print: p})
		}
		return all
	}
	for _, c := range []struct {
		name   string
		sought []Sought
		read   []alike
		is     string
	}{
		{"same", sought(message), []alike{{7, message}}, "[7] [3]"},
		{"rewritten", sought(message), []alike{{7, rewritten}}, "[7] [2]"},
		{"changed", sought(message), []alike{{7, changed}}, "[7] [1]"},
		{"other", sought(message), []alike{{7, printOf(2, 1, 10)}}, "[0] [0]"},
		{"twins, one there", sought(message, message), []alike{{7, message}}, "[7 0] [3 0]"},
		{"the likest first", sought(message, rewritten), []alike{{7, rewritten}, {8, changed}}, "[8 7] [1 3]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			places, likeness := matchRead(c.sought, c.read)
			if got := fmt.Sprint(places, likeness); got != c.is {
				t.Errorf("%s, want %s", got, c.is)
			}
			if places[0] == 7 && len(c.read) == 1 && compareOctets(c.sought[0].Print, c.read[0].Print) != likeness[0] {
				t.Error("compared alone it is something else")
			}
		})
	}
}

// A sample lies evenly over a folder, has the size that was asked for, and one at the least.
func TestSampled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ all, want int64 }{{1, 1}, {199, 199}, {200, 200}, {201, 200}, {1_000_003, 200}} {
		n, gap, since := int64(0), int64(0), int64(0)
		for i := range c.all {
			if since++; sampled(i, c.all, 200) {
				n++
				gap, since = max(gap, since), 0
			}
		}
		if n != c.want || gap > c.all/200+1 {
			t.Errorf("%d of %d, at most %d apart", n, c.all, gap)
		}
	}
}
