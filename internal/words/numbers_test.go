package words_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/words"
)

func ExampleTook() {
	for _, lang := range words.Languages() {
		fmt.Println(words.Took(3*time.Hour+25*time.Minute, lang))
	}
	// Output:
	// 3 hours 25 minutes
	// 3 godziny 25 minut
}

// TestNumbersAreGrouped as i18n.js groups them: in Polish with a space at which no line is broken.
func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64][2]string{
		0: {"0", "0"}, 999: {"999", "999"}, 1000: {"1,000", "1_000"}, 12_345: {"12,345", "12_345"},
		5_000_000: {"5,000,000", "5_000_000"}, -1234: {"-1,234", "-1_234"}, -999: {"-999", "-999"},
		math.MinInt64: {"-9,223,372,036,854,775,808", "-9_223_372_036_854_775_808"},
	} {
		for i, lang := range words.Languages() {
			if got := strings.ReplaceAll(words.Number(n, lang), "\u00A0", "_"); got != want[i] {
				t.Errorf("%d in %s: %s, not %s", n, lang, got, want[i])
			}
		}
	}
}

// TestCountsGoWithTheirNouns, none at all too.
func TestCountsGoWithTheirNouns(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64][4]string{
		0:  {"0 messages", "0 wiadomości", "0 folders", "0 folderów"},
		1:  {"1 message", "1 wiadomość", "1 folder", "1 folder"},
		2:  {"2 messages", "2 wiadomości", "2 folders", "2 foldery"},
		5:  {"5 messages", "5 wiadomości", "5 folders", "5 folderów"},
		12: {"12 messages", "12 wiadomości", "12 folders", "12 folderów"},
		22: {"22 messages", "22 wiadomości", "22 folders", "22 foldery"},
		1_000: {
			"1,000 messages", "1\u00A0000 wiadomości", "1,000 folders", "1\u00A0000 folderów",
		},
	} {
		got := [4]string{
			words.Messages(n, words.English), words.Messages(n, words.Polish),
			words.Folders(n, words.English), words.Folders(n, words.Polish),
		}
		if got != want {
			t.Errorf("%d: %q, not %q", n, got, want)
		}
	}
}

func TestHowLongSomethingTook(t *testing.T) {
	t.Parallel()
	const s, m, h, d = time.Second, time.Minute, time.Hour, 24 * time.Hour
	for took, want := range map[time.Duration][2]string{
		0: {"1 second", "1 sekunda"}, 400 * time.Millisecond: {"1 second", "1 sekunda"},
		1500 * time.Millisecond: {"2 seconds", "2 sekundy"},
		59 * s:                  {"59 seconds", "59 sekund"}, 59*s + 600*time.Millisecond: {"1 minute", "1 minuta"},
		89 * s: {"1 minute", "1 minuta"},
		90 * s: {"2 minutes", "2 minuty"}, 59*m + 29*s: {"59 minutes", "59 minut"}, 59*m + 30*s: {"1 hour", "1 godzina"},
		h + m: {"1 hour 1 minute", "1 godzina 1 minuta"}, 22 * h: {"22 hours", "22 godziny"},
		47*h + 29*m: {"47 hours 29 minutes", "47 godzin 29 minut"}, 47*h + 30*m: {"2 days", "2 dni"},
		2*d + h: {"2 days 1 hour", "2 dni 1 godzina"}, 400 * d: {"400 days", "400 dni"},
	} {
		if got := [2]string{words.Took(took, words.English), words.Took(took, words.Polish)}; got != want {
			t.Errorf("%s: %q, not %q", took, got, want)
		}
	}
}

func TestMomentsSayTheirZone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 3, 4, 5, 6, 0, time.UTC)
	warsaw := at.In(time.FixedZone("CEST", 7200))
	for got, want := range map[string]string{
		words.Moment(at, words.English):     "3 September 2026, 04:05 UTC",
		words.Moment(at, words.Polish):      "3 września 2026, 04:05 UTC",
		words.Moment(warsaw, words.English): "3 September 2026, 06:05 UTC+02:00",
		words.Moment(warsaw, words.Polish):  "3 września 2026, 06:05 UTC+02:00",
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
