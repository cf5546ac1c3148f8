package mail

import (
	"strings"
	"testing"
)

func TestAMarkTellsItsJournalToTheHolderOfTheKeyOnly(t *testing.T) {
	const journal = "6f9c1e2a-0b7d-4c3e-9a51-2d8e7f60b1c4"
	ours, theirs := []byte("our key"), []byte("their key")
	mark := MarkFor(ours, journal)
	for _, tc := range []struct {
		name, part string
		key        []byte
		journal    string
		marks      bool
	}{
		{"ours", mark, ours, journal, true},
		{"another installation's", mark, theirs, "", true},
		{"of another journal", strings.Replace(mark, journal, "7"+journal[1:], 1), ours, "", true},
		{"without a journal", strings.TrimSuffix(mark, journal), ours, "", false},
		{"a folder of a user", "mailbrook-notes", ours, "", false},
		{"a folder with a long name", "mailbrook-and-other-programs-2026", ours, "", false},
		{"proof with other letters", strings.ToUpper(mark[:26]) + mark[26:], ours, "", false},
		{"in other case", "Mailbrook" + mark[9:], ours, "", false},
		{"nothing", "", ours, "", false},
	} {
		if j, ok := ReadMark(tc.key, tc.part); j != tc.journal || ok != tc.marks {
			t.Errorf("%s: %q, %v", tc.name, j, ok)
		}
	}
	if len(mark) > 80 || strings.ContainsAny(mark, "./&") {
		t.Errorf("%q does not fit a Maildir++ folder", mark)
	}
}
