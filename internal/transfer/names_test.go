package transfer_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// folderOf reads a folder from its name and attributes, each after a space and a backslash.
func folderOf(line string) mail.Folder {
	name, attributes, _ := strings.Cut(strings.TrimSpace(line), ` \`)
	f := mail.Folder{Wire: name, Selectable: true}
	if name != "INBOX" {
		f.Path = strings.Split(name, "/")
	}
	for a := range strings.SplitSeq(attributes, ` \`) {
		switch a {
		case "":
		case "Noselect":
			f.Selectable = false
		case "Shared":
			f.Shared = true
		default:
			f.SpecialUse = `\` + a
		}
	}
	return f
}

func foldersOf(lines ...string) (all []mail.Folder) {
	for _, l := range lines {
		all = append(all, folderOf(l))
	}
	return all
}

// targets are what the tests copy to.
func targets() map[string]transfer.Naming {
	octets := func(part string) int { return len(mailtest.EncodeName(part)) }
	return map[string]transfer.Naming{
		"dovecot": {
			Target: foldersOf("INBOX", `Sent \Sent`, `Drafts \Drafts`, `Trash \Trash`, `Junk \Junk`, `Public \Noselect \Shared`,
				`Public/All \Shared`),
			Takes: transfer.Takes{Part: 240, Name: 1000, Octets: octets, SpecialUse: true},
		},
		"cyrus": {
			Target: foldersOf("INBOX", "Sent", "Drafts", "Trash", "Spam", "Archive"),
			Takes:  transfer.Takes{Part: 200, Name: 480, Octets: octets, InboxHasNone: true, SpecialUse: true},
		},
		"exchange": {
			Target: foldersOf("INBOX", "Elementy wysłane", "Wersje robocze", "Elementy usunięte", "Wiadomości-śmieci",
				"Archiwum", "Kalendarz", "Kontakty"),
			Takes: transfer.Takes{Trims: true},
		},
		"maildir": {
			Target: foldersOf("INBOX"),
			Takes: transfer.Takes{
				Part: 200, Name: 254, Octets: octets, Refuses: func(r rune) bool { return r == '.' },
				Reserved: func(part string) bool { return part == "cur" || part == "new" || part == "tmp" || part[0] == '~' },
			},
		},
		"gmail": {
			Target: foldersOf("INBOX", `[Gmail] \Noselect`, `[Gmail]/Wszystkie \All`, `[Gmail]/Wysłane \Sent`,
				`[Gmail]/Kosz \Trash`, `[Gmail]/Spam \Junk`, `[Gmail]/Wersje robocze \Drafts`, `[Gmail]/Ważne \Important`,
				`[Gmail]/Oznaczone gwiazdką \Flagged`),
		},
	}
}

// said is a folder's name as testdata/names.txt has it.
func said(n transfer.FolderName) string {
	s := n.Target
	if n.Renamed != "" {
		s += " " + string(n.Renamed)
	}
	if n.SpecialUse != "" {
		s += " +" + n.SpecialUse
	}
	return s
}

// TestFoldersAreNamedAsProvidersNeedIt: trees as providers list them, to targets of every kind, one by one in
// testdata/names.txt; and in whatever order they are listed, and with what was chosen, the names are the same.
func TestFoldersAreNamedAsProvidersNeedIt(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n== ")[1:]
	if len(sections) < 20 {
		t.Fatalf("only %d trees", len(sections))
	}
	for _, section := range sections {
		title, rest, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			_, target, _ := strings.Cut(title, " > ")
			n, ok := targets()[target]
			if !ok {
				t.Fatalf("there is no target %q", target)
			}
			want, wantClashes := map[string]string{}, []string(nil)
			for line := range strings.Lines(rest) {
				line = strings.TrimSpace(line)
				if clash, is := strings.CutPrefix(line, "- clash "); is {
					wantClashes = append(wantClashes, clash)
				} else if line != "" {
					left, right, _ := strings.Cut(line, " > ")
					f := folderOf(left)
					n.Source, want[f.Wire] = append(n.Source, f), right
				}
			}
			got, clashes, err := n.Names()
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range got {
				if said(g) != want[g.Wire] {
					t.Errorf("%s > %s; want %s", g.Wire, said(g), want[g.Wire])
				}
			}
			var gotClashes []string
			for _, c := range clashes {
				gotClashes = append(gotClashes, strings.Join(c.Folders, ", ")+" > "+c.Target)
			}
			if !slices.Equal(gotClashes, wantClashes) {
				t.Errorf("clashes %q, want %q", gotClashes, wantClashes)
			}
			holds(t, n, got)
		})
	}
}

// fields are the fields and codes of an error.
func fields(err error) (all []string) {
	var bad *account.InvalidError
	if errors.As(err, &bad) {
		for _, f := range bad.Fields {
			all = append(all, f.Field+" "+f.Code)
		}
	}
	return all
}

// TestTheOwnersMapIsFollowed: what lies below goes along, and what is in the map itself goes where it says.
func TestTheOwnersMapIsFollowed(t *testing.T) {
	t.Parallel()
	n := targets()["dovecot"]
	n.Source = foldersOf("INBOX", "A", "A/x", "A/x/y", "B", `Wysłane \Sent`, "Old.1", "Sent")
	n.Map = map[string]string{
		"A": "B/A", "B": "A/B", "A/x/y": "Elsewhere", `Wysłane`: " Mine / Posłane ", "inbox": "Incoming", "Old.1": "inbox",
	}
	got, clashes, err := n.Names()
	if err != nil || len(clashes) > 0 {
		t.Fatal(err, clashes)
	}
	want := map[string]string{
		"INBOX": "Incoming owner", "A": "B/A owner", "A/x": "B/A/x owner", "A/x/y": "Elsewhere owner", "B": "A/B owner",
		"Wysłane": "Mine/Posłane owner", "Old.1": "INBOX owner", "Sent": "Sent",
	}
	for _, g := range got {
		if said(g) != want[g.Source] {
			t.Errorf("%s > %s; want %s", g.Source, said(g), want[g.Source])
		}
	}
	holds(t, n, got)
	n.Map = map[string]string{"A": "Old mail"}
	n.Prefix = "From home/2026"
	if got, _, err = n.Names(); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{
		"INBOX": "From home/2026 prefix", "A": "Old mail owner", "A/x": "Old mail/x owner", "A/x/y": "Old mail/x/y owner",
		"B": "From home/2026/B prefix", "Wysłane": "From home/2026/Wysłane prefix", "Old.1": "From home/2026/Old.1 prefix",
		"Sent": "From home/2026/Sent prefix",
	}
	for _, g := range got {
		if said(g) != want[g.Source] {
			t.Errorf("%s > %s; want %s", g.Source, said(g), want[g.Source])
		}
	}
	holds(t, n, got)
}

// TestAMapThatCannotBeFollowedIsRefused, with what is wrong; and each such map but for that is taken.
func TestAMapThatCannotBeFollowedIsRefused(t *testing.T) {
	t.Parallel()
	key := []byte("key")
	long := strings.Repeat("x", 300)
	for _, tc := range []struct{ name, from, to, want string }{
		{"nothing wrong", "A", "Z", ""},
		{"a folder that is not there", "Nowhere", "Z", "options.folders.map unknown"},
		{"two of one name", "Twice", "Z", "options.folders.map invalid"},
		{"another's name", "A", "b", "options.folders.map duplicate"},
		{"the inbox's name", "A", "inbox", "options.folders.map duplicate"},
		{"the name of what another becomes by its use", "A", "Sent", "options.folders.map duplicate"},
		{"a name of the map", "A", "MAPPED", "options.folders.map duplicate"},
		{"empty", "A", "", "options.folders.map invalid"},
		{"an empty part", "A", "Z//Y", "options.folders.map invalid"},
		{"a slash at the end", "A", "Z/", "options.folders.map invalid"},
		{"a part of spaces", "A", "Z/ /Y", "options.folders.map invalid"},
		{"a dot", "A", "Z/./Y", "options.folders.map invalid"},
		{"a path", "A", "../Z", "options.folders.map invalid"},
		{"the inbox in the middle", "A", "Z/Inbox", "options.folders.map invalid"},
		{"CR", "A", "Z\rY", "options.folders.map control_character"},
		{"LF", "A", "Z\nY", "options.folders.map control_character"},
		{"NUL", "A", "Z\x00", "options.folders.map control_character"},
		{"DEL", "A", "Z\x7f", "options.folders.map control_character"},
		{"a separator of lines", "A", "Z\u2028", "options.folders.map control_character"},
		{"right to left", "A", "Z\u202e", "options.folders.map control_character"},
		{"no text", "A", "Z\xff", "options.folders.map control_character"},
		{"too long a part", "A", long, "options.folders.map too_long"},
		{"too long", "A", strings.Repeat(long[:200]+"/", 5) + "Z", "options.folders.map too_long"},
		{"too deep", "A", strings.Repeat("Z/", 16) + "Z", "options.folders.map invalid"},
		{"a staging folder", "A", mail.StagingFolder(key, "j", 3), "options.folders.map reserved"},
		{"below a staging folder", "A", "Z/" + mail.StagingFolder(key, "j", 3) + "/x", "options.folders.map reserved"},
		{"a mark", "A", "Z/" + strings.ToUpper(mail.MarkFor(key, "journal")), "options.folders.map reserved"},
		{"a test's folder", "A", mail.ChallengeFor(strings.Repeat("a", 26)), "options.folders.map reserved"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := targets()["dovecot"]
			n.Source = foldersOf("INBOX", "A", "B", "C", `Wysłane \Sent`, "Twice")
			n.Source = append(n.Source, mail.Folder{Wire: "&Twice", Path: []string{"Twice"}, Selectable: true})
			n.Map = map[string]string{tc.from: tc.to, "C": "Mapped"}
			_, _, err := n.Names()
			if got := strings.Join(fields(err), ", "); got != tc.want {
				t.Errorf("%q: %v", got, err)
			}
			if tc.name == "two of one name" || tc.from != "A" {
				return
			}
			n.Map, n.Prefix = nil, tc.to
			_, _, err = n.Names()
			if got, want := strings.Join(fields(err), ", "), strings.Replace(tc.want, "folders.map", "prefix", 1); err != nil &&
				got != want {
				t.Errorf("as a prefix: %q: %v", got, err)
			}
		})
	}
	n := targets()["cyrus"]
	n.Source, n.Map = foldersOf("INBOX", "A"), map[string]string{"A": "INBOX/A"}
	if _, _, err := n.Names(); strings.Join(fields(err), "") != "options.folders.map invalid" {
		t.Errorf("below an inbox that has no folders: %v", err)
	}
}

// TestWhatComesLaterLeavesNamesAlone: what was chosen stays, and what is new gets another name, whoever has that which
// it would have had.
func TestWhatComesLaterLeavesNamesAlone(t *testing.T) {
	t.Parallel()
	n := targets()["dovecot"]
	n.Source = foldersOf("INBOX", "work", "Wysłane", "Old", "Gone", "Holder/x", `Holder \Noselect`)
	n.Map = map[string]string{"Old": "New"}
	first, _, err := n.Names()
	if err != nil {
		t.Fatal(err)
	}
	later := n
	later.Map, later.Chosen = nil, first
	later.Source = foldersOf("INBOX", "work", "Work", "Wysłane", `Sent Items \Sent`, "Old", "Old/2026", "New", "gone",
		"Wysłane/2026", "Holder/x", "Holder", "holder")
	// What was made is listed, too.
	later.Target = slices.Concat(n.Target, foldersOf("work", "New", "Gone", "Holder/x"))
	got, clashes, err := later.Names()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"INBOX": "INBOX", "work": "work", "Work": "Work (2) clash", "Wysłane": "Sent special_use", "Sent Items": "Sent Items",
		"Old": "New owner", "Old/2026": "New/2026 owner", "New": "New (2) clash", "gone": "gone (2) clash",
		"Wysłane/2026": "Sent/2026 special_use", "Holder/x": "Holder/x", "Holder": "Holder", "holder": "holder (2) clash",
	}
	for _, g := range got {
		if said(g) != want[g.Source] {
			t.Errorf("%s > %s; want %s", g.Source, said(g), want[g.Source])
		}
	}
	if len(clashes) == 0 {
		t.Error("no clash was reported")
	}
	later.Chosen = got
	if again, _, err := later.Names(); err != nil || len(again) != len(got) {
		t.Fatal(err)
	} else {
		for i := range again {
			if again[i].Target != got[i].Target {
				t.Errorf("%v became %v", got[i], again[i])
			}
		}
	}
}

// TestALabelSaysWhereAMessageIs: the order in which a Gmail message's labels are asked.
func TestALabelSaysWhereAMessageIs(t *testing.T) {
	t.Parallel()
	want := foldersOf("INBOX", "Praca", "Praca/Projekty", "Żagle", `[Gmail]/Wysłane \Sent`, `[Gmail]/Szkice \Drafts`,
		`Archiwum \Archive`, `[Gmail]/Spam \Junk`, `[Gmail]/Kosz \Trash`, `[Gmail]/Chats`, `[Gmail]/Gwiazdka \Flagged`,
		`[Gmail]/Ważne \Important`, `[Gmail]/Wszystkie \All`)
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, transfer.CompareLabels)
	for i := range got {
		if got[i].Wire != want[i].Wire {
			t.Errorf("%d: %s, want %s", i, got[i].Wire, want[i].Wire)
		}
	}
}
