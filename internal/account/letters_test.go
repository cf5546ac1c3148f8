package account

import (
	"encoding/json"
	"os"
	"testing"
)

// TestNamesAreShownInLetters, newcomer §2, where they are not taken for others: all in
// Cyrillic as "apple", with one letter of it, with a phonetic one. The pages have the
// same table: TestThePagesShowTheSameLetters.
func TestNamesAreShownInLetters(t *testing.T) {
	b, err := os.ReadFile("testdata/letters.json")
	rows := map[string]string{}
	if err == nil {
		err = json.Unmarshal(b, &rows)
	}
	if err != nil || len(rows) < 10 {
		t.Fatal(len(rows), err)
	}
	for text, want := range rows {
		if got := Letters(text); got != want {
			t.Errorf("%q is shown as %q, not %q", text, got, want)
		}
	}
}

// TestWhatIsShownIsTheSameName: it may be typed, and names the same.
func TestWhatIsShownIsTheSameName(t *testing.T) {
	for _, name := range []string{
		"anna@xn--w-uga1v8h.test", "xn--e1afmkfd.xn--p1ai", "xn--80ak6aa92e.com", "firma.test", "a@b@xn--mnchen-3ya.test", "",
	} {
		if got := LabelsOf(Letters(name)); got != name {
			t.Errorf("%q, shown as %q, is %q", name, Letters(name), got)
		}
	}
	for _, no := range []string{ // The control; issue 8, row 6.
		"żółw żółw", "anna@ż ółw.test", "żółw@firma.test", "anna@\uFF46irma.test", "anna@\u212Aowal.test",
		"anna@zo\u0301lw.test", "anna@f\u0130rma.test", "anna@firma\u3002test", "anna@\u0430nna.test",
	} {
		if got := LabelsOf(no); got != no {
			t.Errorf("%q became %q", no, got)
		}
	}
}
