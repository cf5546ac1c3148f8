package transfer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTheTableOfUsesIsInOrder: each line is a use and a name, once; and none is for two uses.
func TestTheTableOfUsesIsInOrder(t *testing.T) {
	t.Parallel()
	seen, fold := map[string]string{}, newFolding()
	for line := range strings.Lines(usesTable) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		use, name, _ := strings.Cut(line, " ")
		if !slices.Contains(mappedUses, use) || name == "" || strings.TrimSpace(name) != name || !utf8.ValidString(name) {
			t.Errorf("%q is no use with a name", line)
		}
		if before := seen[fold.plain(name)]; before != "" {
			t.Errorf("%q is there already: %q", line, before)
		}
		seen[fold.plain(name)] = line
	}
	if len(usesByName()) != len(seen) || len(seen) < 140 {
		t.Errorf("%d names are read, %d are there", len(usesByName()), len(seen))
	}
}

// TestNamesSayWhatFoldersAreFor, without regard to case and marks, of folders at the top alone: a copy of one's own
// that is called so is none of these.
func TestNamesSayWhatFoldersAreFor(t *testing.T) {
	t.Parallel()
	w := newNamer(Naming{})
	for name, want := range map[string]string{
		"Wysłane": useSent, "WYSLANE": useSent, "elementy wyslane": useSent, "Wysłane elementy": useSent,
		"Robocze": useDrafts,
		"szkice":  useDrafts, "KOSZ": useTrash, "Elementy usunięte": useTrash, "S\u0301mieci": useJunk, "Śmieci": useJunk,
		"Wiadomości-śmieci": useJunk, "wiadomosci smieci": useJunk, "Archiwum": useArchive, "[Gmail]/Wysłane": useSent,
		"[Google Mail]/Kosz": useTrash, "INBOX/Sent": useSent, "inbox/Kosz": useTrash, "Sent Messages": useSent,
		"SentItems": useSent, "Deleted Messages": useTrash, "Gesendete Objekte": useSent, "Éléments envoyés": useSent,
		"Odeslaná pošta": useSent, "Papelera": useTrash, "Posta inviata": useSent, "Отправленные": useSent,
		"Удаленные": useTrash, "Itens enviados": useSent, "Verzonden items": useSent, "Junk E-mail": useJunk,
		"Junk Email": useJunk,
		"INBOX":      "", "Praca/Wysłane": "", "Sent/2023": "", "INBOX/INBOX": "", "INBOX/a/Sent": "",
		"Presented": "", "Sents": "",
		"Wysłane do klienta": "", "Outbox": "", "": "",
	} {
		if got := w.byName(strings.Split(name, "/")).use; got != want {
			t.Errorf("%q is for %q, want %q", name, got, want)
		}
	}
	for word, want := range map[string]string{
		`\Sent`: useSent, `\SENT`: useSent, `\Spam`: useJunk, `\AllMail`: useAll, `\Starred`: useFlagged, `\Inbox`: "",
		"": "", `\Noselect`: "",
	} {
		if got := useWord(word); got != want {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
}
