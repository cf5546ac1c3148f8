package imapbox

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// folders are a user's folders as doveadm lists them, named as we name them.
func (f *office) folders(o owner.Owner) []string {
	f.t.Helper()
	all := strings.Fields(f.Adm("mailbox", "list", "-u", o.String()))
	for i, name := range all {
		if f.dotted {
			all[i] = strings.ReplaceAll(strings.TrimPrefix(name, "INBOX."), ".", "/")
		}
	}
	return all
}

// at is how the server names a folder.
func (f *office) at(folder string) string {
	if f.dotted && folder != "INBOX" {
		return "INBOX." + strings.ReplaceAll(folder, "/", ".")
	}
	return folder
}

// onLayouts runs a test at servers that keep folders as siblings, and one in the other, and that
// write something before their names.
func onLayouts(t *testing.T, test func(t *testing.T, f *office)) {
	for name, extra := range map[string]string{
		"maildir": "", "sdbox": "mail_location = sdbox:~/sdbox",
		"prefix": "namespace inbox {\n  separator = .\n  prefix = INBOX.\n}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newOffice(t, extra)
			f.dotted = name == "prefix"
			test(t, f)
		})
	}
}

// append puts a message into a folder by another client than ours.
func (f *office) append(o owner.Owner, folder, text string) {
	f.t.Helper()
	path := filepath.Join(filepath.Dir(f.settings), "message")
	f.write(path, text)
	f.Adm("save", "-u", o.String(), "-m", f.at(folder), path)
}

// An account folder goes with all that is in it, and nothing beside it does.
func TestRemoveFolder(t *testing.T) {
	t.Parallel()
	onLayouts(t, testRemoveFolder)
}

func testRemoveFolder(t *testing.T, f *office) {
	ctx := t.Context()
	d := f.open(anna(), 3, owner.Limit{})
	mark := mail.MarkFor([]byte("key"), "journal")
	if err := d.Mark(ctx, "Gmail", mark); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 2, 500)
	f.deliver(d, "Gmail/Work/2023", 1, 500)
	f.deliver(d, "Gmail2", 1, 500)
	f.deliver(d, "Other/Gmail", 1, 500)
	if _, err := d.Seal(ctx, f.stage(d, "Gmail/Work", 1, 700)); err != nil { // It stays in the staging folder.
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	ours := mail.StagingFolder([]byte("key"), "journal", 3)
	others := mail.StagingFolder([]byte("key"), "another", 1)
	f.Adm("mailbox", "create", "-u", anna().String(), f.at(others))
	if !slices.Contains(f.folders(anna()), ours) {
		t.Fatal("there is no staging folder", f.folders(anna()))
	}
	for _, folder := range []string{"INBOX", "inbox", "INBOX/x", "", "Sent", "Trash", "/", "Gmail/", ours} {
		if err := f.RemoveFolder(ctx, anna(), folder); err == nil && folder != ours {
			t.Errorf("%q was removed", folder)
		} else if folder == ours && err == nil {
			t.Error("a staging folder was removed as if it were an account's")
		}
	}
	for range 2 { // Once more is no error.
		if err := f.RemoveFolder(ctx, anna(), "Gmail"); err != nil {
			t.Fatal(err)
		}
	}
	got := f.folders(anna())
	slices.Sort(got)
	want := []string{"Gmail2", "INBOX", "Other", "Other/Gmail", others}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("left: %q, want %q", got, want)
	}
	for _, name := range strings.Fields(f.Adm("mailbox", "list", "-s", "-u", anna().String())) {
		if name == f.at("Gmail") || strings.HasPrefix(name, f.at("Gmail/x")[:len(f.at("Gmail"))+1]) {
			t.Errorf("%s is still subscribed", name)
		}
	}
	// A user who is gone has nothing that could be removed.
	nobody := user("nobody@firma.test")
	if err := errors.Join(f.RemoveFolder(ctx, nobody, "Gmail"), f.RemoveEmptyFolder(ctx, nobody, "Gmail"),
		f.Forget(ctx, nobody)); err != nil {
		t.Error(err)
	}
	// One whose server is gone is not taken for one who has nothing.
	f.Stop()
	is(t, f.RemoveFolder(ctx, anna(), "Gmail2"), fault.LocalMailboxUnavailable)
	is(t, f.Forget(ctx, anna()), fault.LocalMailboxUnavailable)
	f.Start()

	// The account may come back at once: what is known of its folders is forgotten.
	f.pass(time.Hour)
	d = f.open(anna(), 4, owner.Limit{})
	if err := d.Mark(ctx, "Gmail", mark); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 1, 500)
	if !slices.Contains(f.folders(anna()), "Gmail/"+mark) {
		t.Error("no mark", f.folders(anna()))
	}
}

// A mark that somebody removed is made again, once that is seen.
func TestMarkIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	for epoch := int64(1); epoch < 4; epoch++ {
		d := f.open(anna(), epoch, owner.Limit{})
		mark := mail.MarkFor([]byte("key"), "journal")
		if err := d.Mark(t.Context(), "Gmail", mark); err != nil {
			t.Fatal(err)
		}
		f.deliver(d, "Gmail", 1, 500)
		_ = d.Close()
		if epoch == 1 {
			f.Adm("mailbox", "delete", "-u", anna().String(), "Gmail/"+mark)
		}
		if there := slices.Contains(f.folders(anna()), "Gmail/"+mark); epoch == 3 && !there {
			t.Error("it was not made again")
		}
	}
}

// An account folder with mail in it, or with folders that are not ours, stays.
func TestRemoveEmptyFolder(t *testing.T) {
	t.Parallel()
	onLayouts(t, testRemoveEmptyFolder)
}

func testRemoveEmptyFolder(t *testing.T, f *office) {
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	mark := mail.MarkFor([]byte("key"), "journal")
	for _, folder := range []string{"Empty", "Mail", "Below", "Marked"} {
		if err := d.Mark(ctx, folder, mark); err != nil {
			t.Fatal(err)
		}
	}
	f.deliver(d, "Mail", 1, 500)
	if err := d.EnsureFolders(ctx, []string{"Below/Others"}); err != nil {
		t.Fatal(err)
	}
	f.append(anna(), "Marked/"+mark, "Subject: put here by its user\r\n\r\nx\r\n")
	for _, folder := range []string{"Empty", "Mail", "Below", "Marked", "Nowhere"} {
		if err := f.RemoveEmptyFolder(ctx, anna(), folder); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
	all := f.folders(anna())
	for _, name := range all {
		if strings.HasPrefix(name, "Empty") {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range []string{"Mail", "Mail/" + mark, "Below", "Below/Others", "Below/" + mark, "Marked/" + mark} {
		if !slices.Contains(all, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if err := f.Forget(ctx, anna()); err != nil {
		t.Fatal(err)
	}
	for _, name := range f.folders(anna()) {
		if strings.HasPrefix(name, "mailbrook-staging-") {
			t.Errorf("%s is still there", name)
		}
	}
}

// While a connection is tested a folder is there whose name nobody guesses.
func TestChallenge(t *testing.T) {
	t.Parallel()
	onLayouts(t, testChallenge)
}

func testChallenge(t *testing.T, f *office) {
	ctx := t.Context()
	name, remove, err := f.Challenge(ctx, anna())
	if err != nil || !mail.IsChallenge(name) || !slices.Contains(f.folders(anna()), name) {
		t.Fatal(name, err)
	}
	left, _, err := f.Challenge(ctx, anna()) // Whoever wanted it is killed.
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil || slices.Contains(f.folders(anna()), name) {
		t.Errorf("%s is still there: %v", name, err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	look := func(wanted bool) {
		t.Helper()
		_, remove, err := f.Challenge(ctx, anna())
		if err != nil {
			t.Fatal(err)
		}
		if err := remove(); err != nil {
			t.Error(err)
		}
		if slices.Contains(f.folders(anna()), left) != wanted {
			t.Errorf("%s is there: %v", left, !wanted)
		}
	}
	look(true)
	f.pass(challengeOld / 2)
	look(true) // It may be another process's.
	f.pass(challengeOld)
	look(false)
	// What somebody put there stays.
	name, remove, err = f.Challenge(ctx, anna())
	if err != nil {
		t.Fatal(err)
	}
	f.append(anna(), name, "Subject: x\r\n\r\nx\r\n")
	if err := remove(); err != nil || !slices.Contains(f.folders(anna()), name) {
		t.Errorf("it went with a message in it: %v", err)
	}
	if name, remove, err := f.Challenge(ctx, user("nobody@firma.test")); name != "" || err != nil || remove() != nil {
		t.Error(name, err)
	}
	f.Stop()
	if _, _, err := f.Challenge(ctx, anna()); err == nil {
		t.Error("no error without a server")
	}
}

// The inbox is read where a maildrop may be this one.
func TestInbox(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()
	const text = "Message-ID: <1@there.test>\r\nSubject: first\r\n\r\nLine.\r\n"
	f.append(anna(), "INBOX", "Subject: before\r\n\r\n")
	f.append(anna(), "INBOX", text)
	validity, err := f.InboxValidity(ctx, anna())
	if err != nil || validity == 0 {
		t.Fatal(validity, err)
	}
	dialled := f.dialled.Load()
	if again, err := f.InboxValidity(ctx, anna()); err != nil || again != validity || f.dialled.Load() != dialled {
		t.Error(again, err)
	}
	scan := mail.NewScanner()
	if _, err := io.WriteString(scan, text); err != nil {
		t.Fatal(err)
	}
	if got, there, err := f.InboxMessage(ctx, anna(), validity, 2); err != nil || !there || got != scan.Sum() {
		t.Errorf("%+v %v %v", got, there, err)
	}
	for _, at := range []struct{ validity, uid uint32 }{{validity, 3}, {validity + 1, 2}, {0, 2}, {validity, 0}} {
		if _, there, err := f.InboxMessage(ctx, anna(), at.validity, at.uid); err != nil || there {
			t.Errorf("%+v: %v %v", at, there, err)
		}
	}
	nobody := user("nobody@firma.test")
	if v, err := f.InboxValidity(ctx, nobody); v != 0 || err != nil {
		t.Error(v, err)
	}
	if _, there, err := f.InboxMessage(ctx, nobody, 1, 1); there || err != nil {
		t.Error(there, err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := f.InboxMessage(stopped, anna(), validity, 2); err == nil {
		t.Error("no error")
	}
	if seen := f.Adm("fetch", "-u", anna().String(), "flags", "mailbox", "INBOX"); strings.Contains(seen, "Seen") {
		t.Error("it was marked as read")
	}
}
