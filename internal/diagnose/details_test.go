package diagnose

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Newcomer N21: what we write of a failure is in the reader's language; what a server
// said, and names, stay as they are. It is so however often the detail was kept.
func TestDetailsAreInTheReadersLanguage(t *testing.T) {
	serverSays := func(text string) words.Sentence { return words.Say("The server says: %s", text) }
	for _, tc := range []struct {
		detail words.Detail
		en, pl string
	}{
		{
			words.Detail{serverSays("NO [X] is gone. The server gave no reason.")},
			"The server says: NO [X] is gone. The server gave no reason.",
			"Serwer odpowiada: NO [X] is gone. The server gave no reason.",
		},
		{
			words.Detail{
				words.Say("This is your own mailbox, and would be fetched into itself."),
				words.Say("Its messages are those of your inbox."),
			},
			"This is your own mailbox, and would be fetched into itself. Its messages are those of your inbox.",
			"To twoja własna skrzynka: poczta byłaby pobierana z niej do niej samej. Są w niej wiadomości z twojej " +
				"skrzynki odbiorczej.",
		},
		{
			words.Detail{words.Say("The password has expired."), serverSays("Password expired")},
			"The password has expired. The server says: Password expired",
			"Hasło wygasło. Serwer odpowiada: Password expired",
		},
		{
			words.Detail{words.Say("folder %s:", "Sent"), serverSays("no")},
			"folder Sent: The server says: no", "folder Sent: Serwer odpowiada: no",
		},
		{
			words.Detail{words.Say("a message in %s:", "INBOX"), words.Say("The message is no longer there.")},
			"a message in INBOX: The message is no longer there.", "wiadomość w INBOX: Tej wiadomości już nie ma.",
		},
		{
			words.Detail{
				words.Say("Folders that hold mail fetched from elsewhere are left out: %s and %d more.", "A, B, C", 2),
				words.Say("Messages that were fetched there from elsewhere are skipped: %d.", 3),
			},
			"Folders that hold mail fetched from elsewhere are left out: A, B, C and 2 more. Messages that were fetched " +
				"there from elsewhere are skipped: 3.",
			"Pominięto foldery z pocztą pobraną z innych kont: A, B, C i jeszcze 2. Liczba pominiętych wiadomości " +
				"pobranych tam z innych kont: 3.",
		},
		{
			words.Detail{words.Say("The mailbox holds %s of the %s allowed; the next %s do not fit.",
				words.Octets(7_900_000), words.Octets(8_000_000), words.Octets(5_300_000))},
			"The mailbox holds 7.9 MB of the 8 MB allowed; the next 5.3 MB do not fit.",
			"Skrzynka zajmuje 7,9 MB z dozwolonych 8 MB; następne 5,3 MB się nie zmieści.",
		},
		{ // No sizes.
			words.Detail{
				words.Say("The mailbox holds %s of the %s allowed; the next %s do not fit.", "7.9.1", "v1.5", "2.5 kB"),
			},
			"The mailbox holds 7.9.1 of the v1.5 allowed; the next 2.5 kB do not fit.",
			"Skrzynka zajmuje 7.9.1 z dozwolonych v1.5; następne 2.5 kB się nie zmieści.",
		},
		{
			words.Detail{words.Say("There is no public server named %s.", words.Host("imap.firma-xyz.example"))},
			"There is no public server named imap.firma-xyz.example.",
			"W internecie nie ma serwera o nazwie imap.firma-xyz.example.",
		},
		{words.Detail{words.Say("%d folders", 6)}, "6 folders", "Liczba folderów: 6"},
		{words.Detail{words.Say("1 folder")}, "1 folder", "Liczba folderów: 1"},
		{nil, "", ""},
		{words.Plain("TLS 1.3"), "TLS 1.3", "TLS 1.3"},
		{
			words.Kept("something that an older version kept: 100 %s"),
			"something that an older version kept: 100 %s", "something that an older version kept: 100 %s",
		},
		{words.Detail{serverSays("$1 %s {}")}, "The server says: $1 %s {}", "Serwer odpowiada: $1 %s {}"},
	} {
		for _, detail := range []words.Detail{tc.detail, words.Kept(words.Kept(tc.detail.Keep()).Keep())} {
			if got := TellDetail(detail, words.Polish); got != tc.pl {
				t.Errorf("%q in Polish: %q, want %q", tc.en, got, tc.pl)
			}
			if got := TellDetail(detail, words.English); got != tc.en { // The control.
				t.Errorf("%q in English: %q", tc.en, got)
			}
		}
	}
}

// TestNamesInDiagnosesAreInLetters, and a server's words as it said them.
func TestNamesInDiagnosesAreInLetters(t *testing.T) {
	const host = "imap.xn--w-uga1v8h.test"
	for _, lang := range []words.Language{words.English, words.Polish} {
		detail := words.Detail{
			words.Say("There is no public server named %s.", words.Host(host)), words.Say("The server says: %s", host),
		}
		if got := TellDetail(detail, lang); !strings.Contains(got, "imap.żółw.test") || !strings.HasSuffix(got, ": "+host) {
			t.Errorf("%s: %q", lang, got)
		}
		if got := detail.String(); strings.Contains(got, "żółw") {
			t.Errorf("logs have %q", got)
		}
		a := account.Account{Status: account.Status{Delay: &account.Delay{Kind: account.DelayOutage}}}
		d := ExplainDelay(a, lang, Context{Host: host})
		text := d.Title + d.Evidence + d.Advice
		if !strings.Contains(text, "imap.żółw.test") || strings.Contains(text, "xn--") {
			t.Errorf("%s: %+v", lang, d)
		}
		spoof := words.Detail{words.Say("There is no public server named %s.", words.Host("imap.xn--pple-43d.test"))}
		if got := TellDetail(spoof, lang); !strings.Contains(got, "imap.xn--pple-43d.test") { // The control.
			t.Errorf("%s: %q", lang, got)
		}
	}
}
