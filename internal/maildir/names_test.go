package maildir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// A user may call an account folder whatever they like: names that the mailbox
// can have are left alone, others are mapped, and only what every mailbox has is
// refused.
func TestAnAccountFolderMayBeCalledAnything(t *testing.T) {
	for _, same := range []string{
		"Gmail", "Work/Old", "A/B/C", "Wysłane", "A&B", "a*b%c", "x~", "Archive/Gmail", "日本語",
		"Mail (2)", "INBOX2", "żółw & syn: 100 %", `"quoted" \\ back`,
	} {
		if got, err := AccountFolder(same); err != nil || got != same {
			t.Errorf("%q became %q, %v", same, got, err)
		}
	}
	for name, want := range map[string]string{
		"firma.test": "firma_test", "poczta.firma.com.pl": "poczta_firma_com_pl",
		"Praca/nowak.example": "Praca/nowak_example",
		"...":                 "___", ".trash": "_trash", "~": "_", "~anna": "_anna", " a": "a", "a\u00a0": "a",
		"a / b":   "a/b",
		"A/B/C/D": "A/B/C_D", "A/B/C/D/E": "A/B/C_D_E",
		"a\x00": "a_", "a\nb": "a_b", "a\u2028b": "a_b", "\xff": "_",
	} {
		if got, err := AccountFolder(name); err != nil || got != want {
			t.Errorf("%q became %q, %v; want %q", name, got, err, want)
		}
	}
	seen := map[string]string{}
	for _, long := range []string{
		strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("ł", 60), strings.Repeat("ł", 61),
		strings.Repeat("a/", 2) + strings.Repeat("日本", 90), strings.Repeat("y", 100) + "/" + strings.Repeat("y", 100),
	} {
		got, err := AccountFolder(long)
		if before, twice := seen[got]; err != nil || len(dirName(got)) > maxAccount || twice {
			t.Errorf("%q became %q (as did %q), %v", long, got, before, err)
		}
		seen[got] = long
	}
	for _, taken := range []string{
		"INBOX", "inbox", "InBoX/Gmail", "Sent", "drafts", "TRASH", "Junk", "Spam", "Archive",
		"Templates", "Outbox", " Sent ", "Inbox/a.b",
	} {
		got, err := AccountFolder(taken)
		if !errors.Is(err, account.ErrFolderReserved) || !errors.Is(err, account.ErrFolderTaken) {
			t.Errorf("%q became %q, %v", taken, got, err)
		}
	}
}

// What is a path and no name is refused, and the reason said (U23).
func TestAnAccountFolderIsNoPath(t *testing.T) {
	for _, path := range []string{"", " ", "/", "/etc", "a/", "a//b", "a/ /b", ".", "..", "../x", "a/../../b", "a/./b"} {
		got, err := AccountFolder(path)
		if why := (words.Sentence{}); !errors.As(err, &why) {
			t.Errorf("%q became %q, %v", path, got, err)
		}
	}
}

// The control: without the mapping, these names do not get past the last wall
// before the disk.
func TestNamesThatAreMappedWouldNotFitTheMailbox(t *testing.T) {
	for _, raw := range []string{"firma.test", ".trash", "a\x00", "\xff", strings.Repeat("x", 300)} {
		mapped, err := AccountFolder(raw)
		if checkLocal(raw) == nil || err != nil || checkLocal(mapped) != nil {
			t.Errorf("%q: %v as it is, %v as %q", raw, checkLocal(raw), checkLocal(mapped), mapped)
		}
	}
}

func TestDirName(t *testing.T) {
	for folder, want := range map[string]string{
		"Gmail":              ".Gmail",
		"Gmail/Archive/2023": ".Gmail.Archive.2023",
		"Gmail/Wysłane":      ".Gmail.Wys&AUI-ane",
		"Gmail/A&B":          ".Gmail.A&-B",
		"Gmail/Ünder":        ".Gmail.&ANw-nder",
		"Gmail/😀":            ".Gmail.&2D3eAA-",
		"łł&ł":               ".&AUIBQg-&-&AUI-",
		"Entwürfe/台北":        ".Entw&APw-rfe.&U,BTFw-",
	} {
		if got := dirName(folder); got != want {
			t.Errorf("%q is %q, want %q", folder, got, want)
		}
	}
}

// names maps remote paths in order, as a first visit does.
func names(accountFolder string, paths [][]string) []string {
	taken := map[string]bool{}
	var all []string
	for _, p := range paths {
		n := LocalName(accountFolder, p, func(s string) bool { return taken[strings.ToLower(s)] })
		taken[strings.ToLower(n)] = true
		all = append(all, n)
	}
	return all
}

func TestLocalName(t *testing.T) {
	for name, tc := range map[string]struct {
		paths [][]string
		want  []string
	}{
		"names are kept": {
			[][]string{nil, {"Sent"}, {"Archive", "2023"}, {"Wysłane & inne"}, {"a*b"}, {"INBOX"}, {"~x"}, {"cur"}, {"Trash"}},
			[]string{
				"Gmail", "Gmail/Sent", "Gmail/Archive/2023", "Gmail/Wysłane & inne", "Gmail/a*b", "Gmail/INBOX", "Gmail/~x",
				"Gmail/cur", "Gmail/Trash",
			},
		},
		"S30 S31 what is no name becomes one": {
			[][]string{
				{"..", "..", "etc"},
				{"/etc/x"},
				{"."},
				{""},
				{"a\x00b"},
				{"\r\n"},
				{"a", "", "b"},
				{"\xff\xfeA"},
				{" x "},
				{" "},
			},
			[]string{
				"Gmail/__/__/etc", "Gmail/_etc_x", "Gmail/_", "Gmail/_ (2)", "Gmail/a_b", "Gmail/__", "Gmail/a/_/b",
				"Gmail/__A", "Gmail/_x_", "Gmail/_ (3)",
			},
		},
		"S34 names that differ in case or normal form": {
			[][]string{{"Work"}, {"work"}, {"WORK"}, {"é"}, {"e\u0301"}, {"Work", "x"}, {"work", "x"}},
			[]string{
				"Gmail/Work", "Gmail/work (2)", "Gmail/WORK (3)", "Gmail/é", "Gmail/e\u0301 (2)", "Gmail/Work/x",
				"Gmail/work/x (2)",
			},
		},
		"S36 like ours": {
			[][]string{{"fetch-spool"}, {"dovecot-uidlist"}, {".Trash"}, {"a.b"}, {"a_b"}, {"a/b"}},
			[]string{
				"Gmail/fetch-spool", "Gmail/dovecot-uidlist", "Gmail/_Trash", "Gmail/a_b", "Gmail/a_b (2)",
				"Gmail/a_b (3)",
			},
		},
		"a second inbox": {[][]string{nil, nil}, []string{"Gmail", "Gmail/INBOX"}},
	} {
		if got := names("Gmail", tc.paths); fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tc.want)
		}
	}
}

func TestLocalNameFitsTheDisk(t *testing.T) {
	long, wide := strings.Repeat("x", 300), strings.Repeat("ł", 150)
	deep := strings.Split(strings.Repeat("level/", 64), "/")
	paths := [][]string{
		{long},
		{long + "y"},
		{long, long},
		{wide},
		{wide + "ł"},
		{wide, wide, wide},
		deep,
		append(deep[:60:60], "other"),
		{long, "a"},
		{long, "b"},
		{strings.Repeat("x", 10<<20)},
	}
	seen := map[string]bool{}
	for _, n := range names(strings.Repeat("A", 110), paths) {
		checkName(t, n, seen)
	}
	if n := names("Gmail", [][]string{{long}})[0]; !strings.HasPrefix(n, "Gmail/xxxx") || len(n) > 206 {
		t.Errorf("a long name became %q", n)
	}
	// A callback that always says taken must not hang.
	LocalName("Gmail", []string{"a"}, func(string) bool { return true })
}

// check holds a local name against what Maildir++ and the disk can take.
func checkName(t *testing.T, name string, seen map[string]bool) {
	t.Helper()
	key := strings.ToLower(name)
	dir := dirName(name)
	switch {
	case seen[key]:
		t.Errorf("%q is given twice", name)
	case len(dir) > nameMax:
		t.Errorf("%q takes %d octets", name, len(dir))
	case checkLocal(name) != nil:
		t.Errorf("%q: %v", name, checkLocal(name))
	case strings.Count(dir, ".") != strings.Count(name, "/")+1 || strings.ContainsAny(dir, "/\x00"):
		t.Errorf("%q gives the directory %q", name, dir)
	}
	for _, p := range strings.Split(dir[1:], ".") {
		if back, err := decodePart(p); err != nil || encodePart(back) != p {
			t.Errorf("%q: part %q cannot be read back: %q, %v", name, p, back, err)
		}
	}
	for _, r := range dir {
		if r < 0x20 || r > 0x7e {
			t.Errorf("%q has the octet %#x in its directory's name", name, r)
		}
	}
	seen[key] = true
}

// decodePart is the inverse of encodePart, strictly.
func decodePart(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		before, after, ok := strings.Cut(s, "&")
		b.WriteString(before)
		if !ok {
			break
		}
		coded, rest, ok := strings.Cut(after, "-")
		if !ok {
			return "", errors.New("no end")
		}
		if s = rest; coded == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := modifiedBase64.Strict().DecodeString(coded)
		if err != nil || len(raw)%2 != 0 {
			return "", fmt.Errorf("%q: %v", coded, err)
		}
		var units []uint16
		for ; len(raw) > 0; raw = raw[2:] {
			units = append(units, binary.BigEndian.Uint16(raw))
		}
		for _, r := range utf16.Decode(units) {
			if r == unicode.ReplacementChar {
				return "", errors.New("half a pair")
			}
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}

func FuzzLocalName(f *testing.F) {
	f.Add("Gmail", "Sent", "sent", "a/b\x00a_b")
	f.Add("A/B", "..", ".", "../../etc")
	f.Add("ł", strings.Repeat("ł", 300), strings.Repeat("x", 300), strings.Repeat("a\x00", 64))
	f.Add("x", "e\u0301", "é", " \x00\t")
	f.Add("x", "a (2)", "a", "A\x00 (2)")
	f.Fuzz(func(t *testing.T, folder, a, b, deep string) {
		folder, err := AccountFolder(folder)
		if err != nil {
			folder = "Gmail"
		}
		parts := strings.Split(deep, "\x00")
		paths := [][]string{
			nil,
			{a},
			{b},
			{a, b},
			{b, a},
			parts, append([]string{a}, parts...),
			{a + "/" + b},
			{a + "." + b},
			{strings.ToUpper(a)},
			{norm.NFD.String(b)},
		}
		seen := map[string]bool{}
		for _, n := range names(folder, paths) {
			if n != folder && !strings.HasPrefix(n, folder+"/") {
				t.Fatalf("%q is not below %q", n, folder)
			}
			checkFuzz(t, n, seen)
		}
	})
}

// checkFuzz is check but for U+FFFD, which a name may well contain.
func checkFuzz(t *testing.T, name string, seen map[string]bool) {
	t.Helper()
	if !strings.ContainsRune(name, utf8.RuneError) {
		checkName(t, name, seen)
	} else if checkLocal(name) != nil || len(dirName(name)) > nameMax {
		t.Errorf("%q: %v", name, checkLocal(name))
	}
}

func FuzzAccountFolder(f *testing.F) {
	f.Add("Gmail/Sent")
	f.Add("a.b")
	f.Add("~")
	f.Add(strings.Repeat("ł/", 70))
	f.Fuzz(func(t *testing.T, name string) {
		folder, err := AccountFolder(name)
		if err != nil {
			return
		}
		checkFuzz(t, folder, map[string]bool{})
		if len(dirName(folder)) > maxAccount || strings.Count(folder, "/") >= maxLevels {
			t.Errorf("%q became %q, which leaves no room below it", name, folder)
		}
		if again, err := AccountFolder(folder); err != nil || again != folder {
			t.Errorf("%q became %q, and that %q, %v", name, folder, again, err)
		}
	})
}
