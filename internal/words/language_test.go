package words_test

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/words"
)

func TestTheReadersLanguageIsWhatTheBrowserPrefers(t *testing.T) {
	for header, want := range map[string]words.Language{
		"": "en", "pl": "pl", "PL-pl": "pl", "en": "en", "de": "en", "*": "en", "pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7": "pl",
		"en-GB,en;q=0.9,pl;q=0.8": "en", "de,pl;q=0.5,en;q=0.3": "pl", "en;q=0.3,pl;q=0.5": "pl", "pl;q=0": "en",
		"en;q=0,pl;q=0.1": "pl", "pl;q=x,en": "en", "pl;q=nan,en;q=0.1": "en", "pl_PL": "pl", "pol": "pl", "pl, en": "pl",
		"en, pl": "en", "*;q=0.5, pl;q=0.1": "pl", "i-klingon, pl": "pl", "pl ; q=0.5 , en;q=0.4": "pl", ",,pl": "pl",
		"plx": "en", "xx pl": "en", "pl;q=0.1;x=1,en;q=0.2": "en", "pl-Latn-PL": "pl",
		strings.Repeat("xx,", 1000) + "pl": "en",
	} {
		if got := words.Negotiate(header); got != want {
			t.Errorf("%.60q: %s, want %s", header, got, want)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	for _, s := range []string{"pl-PL,pl;q=0.9,en;q=0.8", "*", "pl;q=1e-400", ";;q==,", "pl;q=NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if lang := words.Negotiate(header); lang != words.English && lang != words.Polish {
			t.Fatalf("%q: %q", header, lang)
		}
	})
}
