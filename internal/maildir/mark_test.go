package maildir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// A mark is a folder that IMAP lists and mail programs do not show; renaming the
// account folder takes it along, and removing it removes it.
func TestAMarkIsListedNotSubscribedAndFollowsItsFolder(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{user: "sekret"}, Separator: "/"})
	s, err := maildir.New(maildir.Options{Template: "maildir:" + d.Store("{user}")})
	must(t, err)
	o, err := owner.Parse(user)
	must(t, err)
	must(t, s.Make(t.Context(), o))
	delivery, err := s.Open(t.Context(), o, "journal", 1, owner.Limit{})
	must(t, err)
	defer delivery.Close()
	mark := mail.MarkFor([]byte("key"), "6f9c1e2a-0b7d-4c3e-9a51-2d8e7f60b1c4")
	for range 2 {
		must(t, delivery.Mark(t.Context(), "Work/Łódź", mark))
	}
	marks, err := filepath.Glob(filepath.Join(d.Store(user), ".*."+mark))
	must(t, err)
	if len(marks) != 1 {
		t.Fatalf("the marks are %v", marks)
	}
	if _, err := os.Stat(filepath.Join(marks[0], "cur")); !os.IsNotExist(err) {
		t.Errorf("who looks for Maildirs takes the mark for one: %v", err)
	}
	d.Own(d.Store(user))
	list := func(what ...string) []string {
		return strings.Fields(d.Adm(append([]string{"mailbox", "list", "-u", user}, what...)...))
	}
	if got := list(); !slices.Contains(got, "Work/Łódź/"+mark) || !slices.Contains(got, "Work/Łódź") {
		t.Errorf("listed are %v", got)
	}
	if got := list("-s"); slices.ContainsFunc(got, func(f string) bool {
		return strings.Contains(f, "mailbrook-")
	}) || !slices.Contains(got, "Work/Łódź") {
		t.Errorf("subscribed are %v", got)
	}
	d.Adm("mailbox", "rename", "-u", user, "Work/Łódź", "Praca")
	if got := list(); !slices.Contains(got, "Praca/"+mark) {
		t.Errorf("after renaming are listed %v", got)
	}
	must(t, s.RemoveFolder(t.Context(), o, "Praca"))
	if got := list(); slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, mark) }) {
		t.Errorf("after removing are listed %v", got)
	}
}

// The inbox is read as its own server numbers it: read or unread, and whatever
// its user did to it.
func TestMessagesOfTheInboxAreFoundByTheirUIDs(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{user: "sekret"}})
	s, err := maildir.New(maildir.Options{Template: "maildir:" + d.Store("{user}")})
	must(t, err)
	o, err := owner.Parse(user)
	must(t, err)
	if v, err := s.InboxValidity(t.Context(), o); v != 0 || err != nil {
		t.Errorf("without a mailbox: %d, %v", v, err)
	}
	var msgs []mailtest.Message
	for _, text := range []string{"one", "two", "three"} {
		msgs = append(msgs, mailtest.Message{
			Folder: "INBOX", Data: []byte("Subject: " + text + "\n\n" + text + "\n"),
			Flags: map[string]string{"two": "S"}[text], Date: time.Now().Truncate(time.Second),
		})
	}
	mailtest.Append(t, d.Addr("imap"), nil, user, "sekret", msgs)
	v, err := s.InboxValidity(t.Context(), o)
	must(t, err)
	if want := strings.TrimSpace(d.Adm("-f", "flow", "mailbox", "status", "-u", user, "uidvalidity", "INBOX")); v == 0 ||
		!strings.HasSuffix(want, fmt.Sprintf("=%d", v)) {
		t.Errorf("UIDVALIDITY is %d, Dovecot says %s", v, want)
	}
	for i, m := range msgs {
		f, there, err := s.InboxMessage(t.Context(), o, v, uint32(i+1))
		scan := mail.NewScanner()
		if _, err := scan.Write(m.Wire()); err != nil {
			t.Fatal(err)
		}
		if must(t, err); !there || f != scan.Sum() {
			t.Errorf("message %d: %v, %+v", i+1, there, f)
		}
	}
	d.Adm("expunge", "-u", user, "mailbox", "INBOX", "uid", "1")
	for name, q := range map[string][2]uint32{
		"another validity": {v + 1, 2}, "a uid that is not there": {v, 17},
		"an expunged one": {v, 1}, "none": {v, 0},
	} {
		if _, there, err := s.InboxMessage(t.Context(), o, q[0], q[1]); there || err != nil {
			t.Errorf("%s: %v, %v", name, there, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "of another version": "1 V7 N1\n", "no list": strings.Repeat(
		"x", 8000), "no validity": "3 N5\n1 :a\n"} {
		must(t, os.WriteFile(filepath.Join(d.Store(user), "dovecot-uidlist"), []byte(text), 0o600))
		if v, err := s.InboxValidity(t.Context(), o); v != 0 || err != nil {
			t.Errorf("a list that is %s: %d, %v", name, v, err)
		}
	}
}

// A challenge is there until it is removed, and what a killed process left is
// removed by the next one.
func TestAChallengeLeavesNothing(t *testing.T) {
	base := t.TempDir()
	s, err := maildir.New(maildir.Options{Template: "maildir:" + base + "/{user}"})
	must(t, err)
	o, err := owner.Parse(user)
	must(t, err)
	name, remove, err := s.Challenge(t.Context(), o)
	if must(t, err); name != "" {
		t.Errorf("without a mailbox there is a challenge %q", name)
	}
	must(t, remove())
	if _, err := os.Stat(filepath.Join(base, user)); err == nil {
		t.Error("a mailbox was made for a test")
	}
	must(t, s.Make(t.Context(), o))
	delivery, err := s.Open(t.Context(), o, "journal", 1, owner.Limit{})
	must(t, err)
	must(t, delivery.Close())
	place := func(name string) string { return filepath.Join(base, user, "."+name) }
	left := place(mail.ChallengeFor(strings.Repeat("a", 26)))
	must(t, os.MkdirAll(filepath.Join(left, "cur"), 0o700))
	young := place(mail.ChallengeFor(strings.Repeat("b", 26)))
	must(t, os.MkdirAll(young, 0o700))
	// Mail is nobody's to remove, however the folder is called that it lies in.
	old := time.Now().Add(-time.Hour)
	kept := map[string]string{}
	for _, name := range []string{"mailbrook-test-results", mail.ChallengeFor(strings.Repeat("c", 26))} {
		for _, sub := range []string{"new", "cur", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(place(name), sub), 0o700))
		}
		kept[name] = filepath.Join(place(name), "cur", "1.message:2,S")
		must(t, os.WriteFile(kept[name], []byte("Subject: mine\n\n"), 0o600))
		must(t, os.Chtimes(place(name), old, old))
	}
	must(t, os.Chtimes(left, old, old))
	name, remove, err = s.Challenge(t.Context(), o)
	must(t, err)
	dir := place(name)
	if _, err := os.Stat(filepath.Join(dir, "cur")); err != nil || !mail.IsChallenge(name) {
		t.Errorf("challenge %q: %v", name, err)
	}
	// As a server does that looks at it.
	must(t, os.WriteFile(filepath.Join(dir, "dovecot.index.log"), []byte("x"), 0o600))
	must(t, remove())
	must(t, remove()) // Somebody else removed it: no error.
	for name, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a message in %s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(place(name), "new")); err != nil {
			t.Errorf("%s is a folder no more: %v", name, err)
		}
	}
	for path, there := range map[string]bool{dir: false, left: false, young: true} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
}
