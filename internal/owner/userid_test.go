package owner_test

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/owner"
)

func TestANumberIsOneIDHoweverItIsSpelt(t *testing.T) {
	for want, spellings := range map[string][]string{
		"0":                    {"0", "-0", "0.0", "0e5", "-0.000E-99999999999999999999"},
		"1":                    {"1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000"},
		"-1":                   {"-1", "-1.0", "-10e-1"},
		"100":                  {"100", "1e2", "1E+02", "100.00", "0.001e5"},
		"1000000000000000":     {"1000000000000000", "1e15", "1000000000000000.0"},
		"9007199254740992":     {"9007199254740992", "9007199254740992.0", "9.007199254740992e15"},
		"9007199254740993":     {"9007199254740993", "9007199254740993.0"}, // 2^53+1: no double.
		"12345678901234567890": {"12345678901234567890", "1.2345678901234567890e19"},
		"1.5":                  {"1.5", "15e-1", "1.50", "0.15e1"},
		"0.0001":               {"0.0001", "1e-4", "0.1e-3"},
	} {
		for _, spelt := range spellings {
			id, ok := owner.NumberID(spelt)
			if !ok || id.String() != want {
				t.Errorf("%s is %q, %t, want %s", spelt, id, ok, want)
			}
			for _, kept := range append(spellings, want) {
				if !id.Is(kept) {
					t.Errorf("%s is not what was kept as %s", spelt, kept)
				}
			}
			if id.Is(want+"1") || id.Is("x") || id.Is("") {
				t.Errorf("%s is another's", spelt)
			}
		}
	}
	for _, spelt := range []string{
		"", "-", "+1", "01", "1.", ".5", "1e", " 1", "1 ", "1\n", "0x10", "NaN", "true", `"1"`, "1e300", "1e-300",
		"1e99999999999999999999", "-1e99999999", strings.Repeat("9", 256),
	} {
		if id, ok := owner.NumberID(spelt); ok {
			t.Errorf("%q is the number %q", spelt, id)
		}
	}
}

// The control: texts that look like numbers are as many users as there are texts,
// but for the spelling that a number has, too.
func TestTextsAreIDsAsTheyAre(t *testing.T) {
	for _, tc := range []struct {
		text, kept string
		want       bool
	}{{"1", "1", true}, {"1e3", "1e3", true}, {"1e3", "1000", false}, {"1000", "1e3", false}, {"1", "1.0", false}} {
		if got := owner.TextID(tc.text).Is(tc.kept); got != tc.want {
			t.Errorf("the text %q is what was kept as %q: %t", tc.text, tc.kept, got)
		}
	}
	if id, _ := owner.NumberID("1"); id.String() != owner.TextID("1").String() || id.IsZero() {
		t.Error("the number 1 is kept otherwise than the text")
	}
	if !(owner.UserID{}).IsZero() {
		t.Error("no id is one")
	}
}
