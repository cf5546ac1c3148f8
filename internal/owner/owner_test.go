package owner

import "testing"

// forms are spellings that Unicode folds, or people read, as anna, kowal and ix.
var forms = map[string]string{
	"KELVIN SIGN":       "\u212Aowal@firma.test",
	"dotted capital I":  "\u0130x@firma.test",
	"dotless i":         "\u0131x@firma.test",
	"long s":            "ba\u017Fia@firma.test",
	"full-width":        "\uFF4Bowal@firma.test",
	"combining form":    "an\u0303na@firma.test",
	"combined":          "a\u00F1na@firma.test",
	"soft hyphen":       "an\u00ADna@firma.test",
	"Cyrillic a":        "\u0430nna@firma.test",
	"mathematical":      "\U0001D41Anna@firma.test",
	"KELVIN in domain":  "anna@\u212Asiazka.test",
	"full-width domain": "anna@\uFF46irma.test",
	"full-width at":     "anna\uFF20firma.test",
	"full-width dot":    "anna@firma\uFF0Etest",
	"ideographic stop":  "anna@firma\u3002test",
	"U-label":           "anna@\u017C\u00F3\u0142w.test",
	"not UTF-8":         "an\xFFna@firma.test",
}

func TestAUserIsASCIIAndFoldedAsASCII(t *testing.T) {
	for name, s := range forms {
		if o, err := Parse(s); err == nil {
			t.Errorf("%s: %q is user %q", name, s, o)
		}
	}
	for s, want := range map[string]string{ // The control.
		"anna@firma.test": "anna@firma.test", "Anna@FIRMA.test": "anna@firma.test",
		"KOWAL+x_y@Firma.Test": "kowal+x_y@firma.test", "anna@XN--w-UGA1V8H.test": "anna@xn--w-uga1v8h.test",
	} {
		if o, err := Parse(s); err != nil || o.String() != want {
			t.Errorf("%q is user %q (%v), want %q", s, o, err, want)
		}
	}
}

func TestWhatIsSomebodysIsComparedByASCII(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		same bool
	}{
		"the same": {"anna@gmail.com", "anna@gmail.com", true}, "other case": {"Anna@Gmail.com", "aNNA@gmail.COM", true},
		"KELVIN SIGN": {"\u212Aowal@gmail.com", "kowal@gmail.com", false}, "long s": {
			"ba\u017Fia@gmail.com",
			"basia@gmail.com", false,
		},
		"other case in another script": {"\u017Baba@gmail.com", "\u017Caba@gmail.com", false},
	} {
		if SameAddress(tc.a, tc.b) != tc.same || SameAddress(tc.b, tc.a) != tc.same {
			t.Errorf("%s: %q and %q", name, tc.a, tc.b)
		}
	}
}

func TestALookalikeIsFound(t *testing.T) {
	for s, want := range map[string]string{
		"\uFF4Bowal@firma.test": "kowal@firma.test", "\u212Aowal@firma.test": "kowal@firma.test",
		"i\u0307x@firma.test": "ix@firma.test", "an\u0303na@firma.test": "anna@firma.test",
		"ba\u017Fia@firma.test": "basia@firma.test", "an\u00ADna@firma.test": "anna@firma.test",
		"anna@firma.test": "anna@firma.test",
	} {
		if got := LooksLike(s); got != want {
			t.Errorf("%q looks like %q, want %q", s, got, want)
		}
	}
}
