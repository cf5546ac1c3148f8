package transfer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// like is a name as it is compared, not by what is tested.
func like(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// brokenNames says what is not so of names, and is so of all that are right; "": nothing.
func brokenNames(n transfer.Naming, got []transfer.FolderName) string {
	here, there := map[string]string{}, map[string]bool{}
	for _, f := range n.Target {
		there[f.Name()] = true
	}
	for _, g := range got {
		if before, twice := here[like(g.Target)]; twice && !g.ParentOnly {
			return fmt.Sprintf("%q and %q are both %q", before, g.Wire, g.Target)
		}
		if !g.ParentOnly {
			here[like(g.Target)] = g.Wire
		}
		if why := illegal(n.Takes, there, g.Target); why != "" {
			return fmt.Sprintf("%q became %q: %s", g.Wire, g.Target, why)
		}
		if (g.Source == g.Target) != (g.Renamed == "") {
			return fmt.Sprintf("%q is %q, renamed %q", g.Source, g.Target, g.Renamed)
		}
	}
	return ""
}

// illegal says why a target does not take a name; "": it does.
func illegal(takes transfer.Takes, there map[string]bool, name string) string {
	parts, octets := strings.Split(name, "/"), -1
	for i, p := range parts {
		length := len(p)
		if takes.Octets != nil {
			length = takes.Octets(p)
		}
		octets += length + 1
		if there[strings.Join(parts[:i+1], "/")] {
			continue // The target has it.
		}
		if p == "" || p == "." || p == ".." || !utf8.ValidString(p) || strings.ContainsFunc(p, mail.IsUnfit) ||
			takes.Part > 0 && length > takes.Part || mail.IsOurs(p) ||
			takes.Refuses != nil && strings.ContainsFunc(p, takes.Refuses) ||
			takes.Reserved != nil && takes.Reserved(p) || takes.Trims && strings.TrimSpace(p) != p {
			return fmt.Sprintf("%q is no part", p)
		}
	}
	switch {
	case there[name]:
	case len(parts) > 16 || takes.Name > 0 && octets > takes.Name:
		return fmt.Sprintf("%d parts, %d octets", len(parts), octets)
	case takes.InboxHasNone && len(parts) > 1 && parts[0] == "INBOX":
		return "below the inbox"
	}
	return ""
}

// holds checks what is so of all names, and that they are the same in whatever order the folders are listed, and once
// they are chosen.
func holds(t *testing.T, n transfer.Naming, got []transfer.FolderName) {
	t.Helper()
	if why := brokenNames(n, got); why != "" {
		t.Fatal(why)
	}
	again := n
	again.Source = slices.Clone(n.Source)
	slices.Reverse(again.Source)
	if names, _, err := again.Names(); err != nil || !slices.Equal(names, got) {
		t.Fatalf("listed the other way around: %v\n%v, %v", names, got, err)
	}
	again.Chosen = got
	if names, _, err := again.Names(); err != nil || !slices.Equal(names, got) {
		t.Fatalf("a second time: %v\n%v, %v", names, got, err)
	}
}

// TestWhatIsBrokenIsSeen is the control of the tests that follow: each mistake that a name can have is found.
func TestWhatIsBrokenIsSeen(t *testing.T) {
	t.Parallel()
	maildir, cyrus, exchange := targets()["maildir"], targets()["cyrus"], targets()["exchange"]
	one := func(target string) []transfer.FolderName {
		return []transfer.FolderName{{Wire: "x", Source: "x", Target: target, Renamed: transfer.RenamedForTarget}}
	}
	for name, why := range map[string]string{
		"two of one name": brokenNames(maildir, []transfer.FolderName{
			{Wire: "A", Source: "A", Target: "A"}, {Wire: "a", Source: "a", Target: "a"},
		}),
		"two of one form": brokenNames(maildir, []transfer.FolderName{
			{Wire: "1", Source: "\u00f3", Target: "\u00f3"}, {Wire: "2", Source: "o\u0301", Target: "o\u0301"},
		}),
		"no reason":          brokenNames(maildir, []transfer.FolderName{{Wire: "A", Source: "A", Target: "B"}}),
		"a needless one":     brokenNames(maildir, one("x")),
		"an empty part":      brokenNames(maildir, one("a//b")),
		"a dot":              brokenNames(maildir, one("a.b")),
		"a reserved part":    brokenNames(maildir, one("a/cur")),
		"too long a part":    brokenNames(maildir, one(strings.Repeat("ł", 100))),
		"too long a name":    brokenNames(maildir, one(strings.Repeat("abcdefghi/", 15)+strings.Repeat("x", 110))),
		"too deep":           brokenNames(maildir, one(strings.Repeat("a/", 16)+"a")),
		"a line break":       brokenNames(maildir, one("a\nb")),
		"no text":            brokenNames(maildir, one("a\xff")),
		"ours":               brokenNames(maildir, one("mailbrook-staging-x")),
		"below the inbox":    brokenNames(cyrus, one("INBOX/a")),
		"a space at the end": brokenNames(exchange, one("a ")),
	} {
		if why == "" {
			t.Errorf("%s is not seen", name)
		}
	}
	if why := brokenNames(maildir, one("INBOX/a (2)/ż")); why != "" {
		t.Error(why)
	}
}

// TestTenThousandFoldersAreNamed: what would all have one name, and what is as deep as a name can be, costs no more
// than its number.
func TestTenThousandFoldersAreNamed(t *testing.T) {
	t.Parallel()
	n := targets()["maildir"]
	for i := range 5000 {
		n.Source = append(n.Source,
			mail.Folder{Wire: fmt.Sprint("a", i), Path: []string{strings.Repeat(".", 3+i%2)}, Selectable: true},
			mail.Folder{
				Wire: fmt.Sprint("b", i), Selectable: true,
				Path: append(strings.Split(strings.Repeat("d/", 400), "/"), fmt.Sprint(i)),
			})
	}
	got, _, err := n.Names()
	if err != nil || len(got) != 10000 {
		t.Fatal(len(got), err)
	}
	holds(t, n, got)
}

// FuzzNames: whatever folders the sides have, no two get one name, each name is one that the target takes, and the same
// folders have the same names, also beside others that came later.
func FuzzNames(f *testing.F) {
	f.Add("INBOX\nA\na\nWysłane \\Sent\nSent\nSent/x", "B\nb\nA/x", "Sent \\Sent\nINBOX", uint8(0))
	f.Add("[Gmail] \\Noselect\n[Gmail]/All \\All\nArchive\n.\n..\n//\na/./b", "inbox\nINBOX/x\nInbox/X", "", uint8(3))
	f.Add(strings.Repeat("żółw/", 40)+"x\n"+strings.Repeat("y", 400)+"\n"+strings.Repeat("y", 401),
		"a (2)\na\nA", "a", uint8(7))
	f.Add("mailbrook-staging-x\ncur\n~a\n \n a\na ", "Public\nŻ\nŻ\nİ\ni̇\nß\nSS\nẞ", "Public/x \\Shared\nŻ", uint8(15))
	f.Add("INBOX\nSent\nSent/x", "A/x", "Sen\xac\xb2Lt \\Sent", uint8(0))
	f.Add("A\nA/b\nINBOX\nWysłane \\Sent\nC", "INBOX/x\nA/b", "C/d", uint8(64))
	f.Add("\u0130", "I\u0307\ni\u0307\ni\nI\n\u0130\u0307", "", uint8(0x9d))
	f.Add("A\nA/b/c", "inbox", "", uint8(64+17))
	f.Fuzz(func(t *testing.T, first, later, target string, kind uint8) {
		if len(first)+len(later)+len(target) > 4000 {
			return
		}
		n := targets()[[]string{"dovecot", "cyrus", "exchange", "maildir", "gmail"}[kind%5]]
		if kind >= 128 {
			n.Prefix = "Old mailbox"
		}
		read := func(text string) (all []mail.Folder) {
			seen := map[string]bool{}
			for line := range strings.SplitSeq(text, "\n") {
				if f := folderOf(line); !seen[f.Wire] {
					seen[f.Wire] = true
					all = append(all, f)
				}
			}
			return all
		}
		n.Source, n.Target = read(first), append(n.Target, read(target)...)
		if kind&64 != 0 {
			n.Map = map[string]string{n.Source[0].Name(): read(later)[0].Name()}
		}
		got, _, err := n.Names()
		if err != nil && len(n.Map) > 0 {
			n.Map = nil // It says what cannot be followed.
			got, _, err = n.Names()
		}
		if err != nil {
			t.Fatal(err)
		}
		holds(t, n, got)
		n.Map = nil
		chosen := map[string]transfer.FolderName{}
		for _, g := range got {
			chosen[g.Wire] = g
		}
		n.Source, n.Chosen = read(later+"\n"+first), got
		all, _, err := n.Names()
		if err != nil {
			t.Fatal(err)
		}
		holds(t, n, all)
		for _, g := range all {
			if before, was := chosen[g.Wire]; was && !before.ParentOnly && g.Target != before.Target {
				t.Fatalf("%q was %q and is %q", g.Wire, before.Target, g.Target)
			}
		}
	})
}
