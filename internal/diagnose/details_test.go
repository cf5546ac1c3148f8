package diagnose

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Newcomer N21: what we write of a failure is in the reader's language; what a server
// said, and names, stay as they are.
func TestDetailsAreInTheReadersLanguage(t *testing.T) {
	for en, pl := range map[string]string{
		"The server says: NO [X] is gone. The server gave no reason.": "Serwer odpowiada: NO [X] is gone. The server gave " +
			"no reason.",
		"This is your own mailbox, and would be fetched into itself. Its messages are those of your inbox.": "To twoja " +
			"własna skrzynka: poczta byłaby pobierana z niej do niej samej. Są w niej wiadomości z twojej skrzynki odbiorczej.",
		"The password has expired. The server says: Password expired": "Hasło wygasło. Serwer odpowiada: Password expired",
		"folder Sent: The server says: no":                            "folder Sent: Serwer odpowiada: no",
		"a message in INBOX: The message is no longer there.":         "wiadomość w INBOX: Tej wiadomości już nie ma.",
		"Folders that hold mail fetched from elsewhere are left out: A, B, C and 2 more. Messages that were fetched there " +
			"from elsewhere are skipped: 3.": "Pominięto foldery z pocztą pobraną z innych kont: A, B, C i jeszcze 2. " +
			"Liczba pominiętych wiadomości pobranych tam z innych kont: 3.",
		"The mailbox holds 7.9 MB of the 8 MB allowed; the next 5.3 MB do not fit.": "Skrzynka zajmuje 7,9 MB z " +
			"dozwolonych 8 MB; następne 5,3 MB się nie zmieści.",
		"The mailbox holds 7.9.1 of the v1.5 allowed; the next 2 kB do not fit.": "Skrzynka zajmuje 7.9.1 z dozwolonych " +
			"v1.5; następne 2 kB się nie zmieści.", // No sizes.
		"There is no public server named imap.firma-xyz.example.": "W internecie nie ma serwera o nazwie " +
			"imap.firma-xyz.example.",
		"Looking up imap.example.org took too long.":        "Szukanie serwera imap.example.org trwało zbyt długo.",
		"The name imap.example.org could not be looked up.": "Nie udało się sprawdzić nazwy imap.example.org.",
		"6 folders":                         "Liczba folderów: 6",
		"1 folder":                          "Liczba folderów: 1",
		"":                                  "",
		"something that nobody here writes": "something that nobody here writes",
		"The server says: $1 ${1} {}":       "Serwer odpowiada: $1 ${1} {}",
	} {
		if got := TellDetail(en, Polish); got != pl {
			t.Errorf("%q in Polish: %q, want %q", en, got, pl)
		}
		if got := TellDetail(en, English); got != en { // The control.
			t.Errorf("%q in English: %q", en, got)
		}
	}
}

// TestEveryDetailIsSaidSomewhere: one whose English was changed is found.
func TestEveryDetailIsSaidSomewhere(t *testing.T) {
	packages, err := filepath.Glob("../*") // Whichever package says it: words move.
	if err != nil {
		t.Fatal(err)
	}
	said := literals(t, append(packages, "../../cmd/mailbrook")...)
	for _, w := range slices.Concat(details, serverDetails) {
		for _, part := range strings.FieldsFunc(w.en, func(r rune) bool { return r == '{' || r == '}' }) {
			if len(part) > 8 && !strings.Contains(said, part) {
				t.Errorf("nobody says this any more: %q of %q", part, w.en)
			}
		}
		if strings.Count(w.en, "{}")+strings.Count(w.en, "{:}") != strings.Count(w.pl, "{}")+strings.Count(w.pl, "{:}") ||
			w.pl == "" {
			t.Errorf("%q and %q are not filled in alike", w.en, w.pl)
		}
	}
	if strings.Contains(said, "nobody says such a thing") { // The control of what is looked through.
		t.Error("tests are looked through, too")
	}
}

// literals are the texts of packages' product files, what is joined by + in one.
func literals(t *testing.T, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			own := strings.HasPrefix(filepath.Base(path), "details") && filepath.Base(dir) == "diagnose"
			if own || strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			var s scanner.Scanner
			s.Init(set.AddFile(path, -1, len(text)), text, nil, 0)
			for {
				_, tok, lit := s.Scan()
				switch tok {
				case token.EOF:
				case token.STRING:
					b.WriteString(strings.ReplaceAll(strings.Trim(lit, "\"`"), `\"`, `"`))
					continue
				case token.ADD, token.SEMICOLON:
					continue
				default:
					b.WriteByte('\n')
					continue
				}
				break
			}
		}
	}
	return b.String()
}

// TestNamesInDiagnosesAreInLetters, and a server's words as it said them.
func TestNamesInDiagnosesAreInLetters(t *testing.T) {
	const host = "imap.xn--w-uga1v8h.test"
	for _, lang := range []string{English, Polish} {
		got := TellDetail("There is no server called "+host+". The server says: "+host, lang)
		if !strings.Contains(got, "imap.żółw.test") || !strings.HasSuffix(got, ": "+host) {
			t.Errorf("%s: %q", lang, got)
		}
		a := account.Account{Status: account.Status{Delay: &account.Delay{Kind: account.DelayOutage}}}
		d := ExplainDelay(a, words.Language(lang), Context{Host: host})
		text := d.Title + d.Evidence + d.Advice
		if !strings.Contains(text, "imap.żółw.test") || strings.Contains(text, "xn--") {
			t.Errorf("%s: %+v", lang, d)
		}
		spoof := TellDetail("There is no server called imap.xn--pple-43d.test.", lang) // The control.
		if !strings.Contains(spoof, "imap.xn--pple-43d.test") {
			t.Errorf("%s: %q", lang, spoof)
		}
	}
}
