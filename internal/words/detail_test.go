package words_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/words"
)

// What is said of a failure is kept as the sentences and what was filled in, and shown in the reader's language.
func ExampleDetail() {
	t := words.Detail{words.Say("The password has expired."), words.Say("The server says: %s", "no")}
	fmt.Println(t)
	fmt.Println(t.Keep())
	fmt.Println(words.Kept(t.Keep()))
	// Output:
	// The password has expired. The server says: no
	// [1,"The password has expired.",["The server says: %s","no"]]
	// The password has expired. The server says: no
}

var texts = []words.Detail{
	nil,
	words.Plain("TLS 1.3"),
	words.Plain(`[1,"no form of ours"]`),
	words.Plain("A % sign, 100 %d"),
	{words.Say("%d of %s", 3, words.Octets(7_900_000))},
	{words.Say("%s and %s", words.Host("xn--w-uga1v8h.test"), "ż <&> \"\n")},
	{words.Say("An empty name: %s.", "")},
}

func TestADetailIsReadAsItWasKept(t *testing.T) {
	for _, text := range texts {
		kept := text.Keep()
		if got := words.Kept(kept); !reflect.DeepEqual(got, text) || got.String() != text.String() {
			t.Errorf("%q became %#v, and was %#v", kept, got, text)
		}
		if strings.ContainsAny(kept, "\x00\n") {
			t.Errorf("%q cannot be in a column", kept)
		}
	}
	unsound := words.Detail{words.Say("NUL\x00: %s, %s", "\x00", words.Host("\xff"))}
	if got := words.Kept(unsound.Keep()).String(); got != "NUL\uFFFD: \uFFFD, \uFFFD" {
		t.Errorf("what no column takes is kept as %q", got)
	}
}

// TestWhatOlderVersionsKeptIsShownAsItIs, and so is anything that is not of the form to the letter.
func TestWhatOlderVersionsKeptIsShownAsItIs(t *testing.T) {
	for _, old := range []string{
		"The server says: 100 %s", "[1]", "[1,", `[2,"of a later version"]`, `[1,""]`, `[1,{}]`, `[1,["%s"]]`, `[1,["%s",1]]`,
		`[1,["%d","1"]]`, `[1,["%s","a","b"]]`, `[1,["%v","a"]]`, `[1,["%[3]s","a"]]`, `[1,["%s",null]]`, `[1,["%s",{}]]`,
		`[1,["%s",{"b":1,"h":"x"}]]`, `[1,["%d",1.5]]`, `[1,null,"x"]`,
	} {
		if got := words.Kept(old).String(); got != old {
			t.Errorf("%q is shown as %q", old, got)
		}
	}
}

// TestWhatOlderVersionsKeptIsInTheReadersLanguage, as far as its sentences are found again: no visit writes the detail
// of an account that waits for its user again.
func TestWhatOlderVersionsKeptIsInTheReadersLanguage(t *testing.T) {
	for old, want := range map[string]string{
		"":                             "",
		"The server says: no":          "Serwer odpowiada: no",
		"The server says: 100 %s %":    "Serwer odpowiada: 100 %s %",
		"The server says: [1,":         "Serwer odpowiada: [1,",
		"The server gave no reason.":   "Serwer nie podał przyczyny.",
		"The server gave no reason. ":  "The server gave no reason. ",
		"The server gave no reason.no": "The server gave no reason.no",
		"The server gave no reason. x": "Serwer nie podał przyczyny. x",
		"The password has expired. The server says: The password has expired.": "Hasło wygasło. " +
			"Serwer odpowiada: The password has expired.",
		"The mailbox has too many folders: more than 10000, so nothing was fetched.": "Skrzynka ma za dużo folderów: " +
			"ponad 10000, więc niczego nie pobrano.",
		"The mailbox has too many folders: more than 0x1, so nothing was fetched.": "The mailbox has too many folders: " +
			"more than 0x1, so nothing was fetched.",
		"Chosen folders that the provider does not have: A, %d B. C: D": "Wybrane foldery, których nie ma u dostawcy: " +
			"A, %d B. C: D",
		"a message in Sent: The message is no longer there.": "wiadomość w Sent: Tej wiadomości już nie ma.",
		"folder A: B: The server says: no":                   "folder A: B: The server says: no",
		"Folder A could not be read. The server says: no": "Nie udało się odczytać folderu A. " +
			"Serwer odpowiada: no",
		"Folder A. The server says: B could not be read.": "Folder A. The server says: B could not be read.",
		"Google wants the user to sign in again.":         "Dostawca Google wymaga ponownego zalogowania.",
		"The server counts 3 messages in folder A and lists none.": "Liczba wiadomości według serwera: 3, folder: A, " +
			"a na jego liście nie ma żadnej.",
	} {
		text := words.Earlier(old)
		if got := text.In(words.Polish, strings.ToUpper); got != want || text.String() != old {
			t.Errorf("%q is shown as %q, want %q; in English %q", old, got, want, text)
		}
	}
}

func FuzzKept(f *testing.F) {
	for _, text := range texts {
		f.Add(text.Keep())
	}
	f.Add("The server says: no")
	f.Add("The password has expired. Folder A could not be read. The server says: no")
	f.Add(`[1,["%[2]s%[1]d",2,"a"]]`)
	f.Fuzz(func(t *testing.T, kept string) {
		text := words.Kept(kept)
		again, sound := words.Kept(text.Keep()), func(d words.Detail) string {
			return strings.ReplaceAll(strings.ToValidUTF8(d.String(), "\uFFFD"), "\x00", "\uFFFD")
		}
		if utf8.ValidString(kept) && again.String() != sound(text) {
			t.Errorf("%q is shown as %q, and kept again as %q", kept, text, again)
		}
		if older := words.Earlier(kept); older.String() != kept {
			t.Errorf("%q, of an older version, is shown as %q", kept, older)
		}
		if shown := text.String(); shown != kept && strings.Contains(shown, "%!") && !strings.Contains(kept, "%!") {
			t.Errorf("%q is shown as %q", kept, shown)
		}
		if cut := text.Clipped(20); utf8.ValidString(kept) && words.Kept(cut.Keep()).String() != sound(cut) {
			t.Errorf("%q, cut, is kept as %q", kept, cut.Keep())
		}
	})
}

// TestWhatIsFilledInIsCut and what we say of it is not. The last is cut first.
func TestWhatIsFilledInIsCut(t *testing.T) {
	long := strings.Repeat("ż", 50)
	text := words.Detail{words.Say("Folder %s: %d.", long, 7), words.Say("The server says: %s", "so\n"+long)}
	for limit, want := range map[int]string{
		1000: "Folder " + long + ": 7. The server says: so " + long,
		160:  "Folder " + long + ": 7. The server says: so " + strings.Repeat("ż", 14),
		121:  "Folder " + strings.Repeat("ż", 46) + ": 7. The server says: ",
		10:   "Folder : 7. The server says: ",
	} {
		cut := text.Clipped(limit)
		if got := cut.String(); got != want || limit > 50 && len(got) > limit {
			t.Errorf("%d: %q (%d)", limit, got, len(got))
		}
		if got := words.Kept(cut.Keep()).String(); got != want { // The form is never cut.
			t.Errorf("%d: kept as %q", limit, got)
		}
	}
	old := append(words.Detail{words.Say("a message in %s:", "INBOX")}, words.Kept("Kept before: "+long)...)
	if got := old.Clipped(50).String(); got != "a message in INBOX: Kept before: "+strings.Repeat("ż", 8) {
		t.Errorf("what an older version kept is cut to %q", got)
	}
	if got := old.Clipped(5).Keep(); got != `[1,["a message in %s:",""]]` {
		t.Errorf("of nothing else %q is kept", got)
	}
	if text[1].Args[0] != "so\n"+long {
		t.Error("what was cut is another's")
	}
}
