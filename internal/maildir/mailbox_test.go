package maildir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// received is when the test's messages came in.
var received = time.Date(2026, 11, 20, 10, 11, 12, 0, time.UTC)

const journal = "0b6f2c1e-7a51-4a6e-8a53-3d1f0d1b2c3d"

// errOf is the error of a Publish whose answer is another test's.
func errOf(_ []mail.Token, err error) error { return err }

func anna(t testing.TB) owner.Owner {
	t.Helper()
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// newStore returns a store below a temporary directory, and anna's mailbox.
func newStore(t testing.TB, o Options) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	o.Template = "maildir:" + dir + "/mail/{domain}/{local}"
	o.Host = "test"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, filepath.Join(dir, "mail", "firma.test", "anna")
}

func open(t testing.TB, s *Store, epoch int64, l owner.Limit) *Delivery {
	t.Helper()
	must(t, s.Make(t.Context(), anna(t)))
	d, err := s.Open(t.Context(), anna(t), journal, epoch, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return d
}

// message n as its server sends it.
func message(n int) string {
	return fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: number %d\r\n\r\n%s\r\n", n, n, strings.Repeat("body ", n%50))
}

func token(n int) mail.Token {
	return mail.TokenFor([]byte("key"), journal, "INBOX", 1, mail.ID{UID: uint32(n)})
}

func placement(st mail.Staged, n int, folder string, f mail.Flags) mail.Placement {
	return mail.Placement{
		Spool: st.Spool, Token: token(n), Folder: folder, Flags: f, Received: st.Received, Fingerprint: st.Fingerprint,
		FileSize: st.FileSize, VirtualSize: st.VirtualSize,
	}
}

// stage stages messages 1 to n.
func stage(d *Delivery, n int) ([]mail.Staged, error) {
	var all []mail.Staged
	for i := 1; i <= n; i++ {
		st, err := d.Stage(context.Background(), token(i), strings.NewReader(message(i)), received, 1<<20)
		if err != nil {
			d.Discard(all)
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

func placements(all []mail.Staged, folders ...string) []mail.Placement {
	ps := make([]mail.Placement, len(all))
	for i, st := range all {
		ps[i] = placement(st, i+1, folders[i%len(folders)], mail.Flags(i%3)*mail.Flagged)
	}
	return ps
}

// fingerprint is what a message's octets as sent come to.
func fingerprint(text string) mail.Fingerprint {
	s := mail.NewScanner()
	_, _ = s.Write([]byte(text)) // It never fails.
	return s.Sum()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("error %v has the code %q, want %q", err, fault.CodeOf(err), code)
	}
}

// tree lists what lies in a mailbox: folder directories with the contents of
// their new and cur, by name, and the contents of the spool.
func tree(t testing.TB, root string) (mails map[string]string, spooled []string) {
	t.Helper()
	mails = map[string]string{}
	must(t, filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		switch filepath.Base(filepath.Dir(p)) {
		case "new", "cur":
			data, err := os.ReadFile(p)
			mails[rel] = string(data)
			return err
		}
		if strings.HasPrefix(rel, spool.Dir+"/") && !spool.IsNote(e.Name()) && e.Name() != limitsNote {
			spooled = append(spooled, rel)
		}
		return nil
	}))
	return mails, spooled
}

// mustHold checks that messages 1 to n are there once each, byte for byte.
func mustHold(t testing.TB, root string, n int) {
	t.Helper()
	mails, spooled := tree(t, root)
	if len(spooled) > 0 {
		t.Errorf("the spool is not empty: %v", spooled)
	}
	if len(mails) != n {
		t.Errorf("%d messages are there, want %d", len(mails), n)
	}
	seen := map[string]int{}
	for _, text := range mails {
		seen[text]++
	}
	for i := 1; i <= n; i++ {
		if seen[strings.ReplaceAll(message(i), "\r\n", "\n")] != 1 {
			t.Errorf("message %d is there %d times", i, seen[strings.ReplaceAll(message(i), "\r\n", "\n")])
		}
	}
}

func TestDeliveredFileIsTheMessage(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 3, owner.Limit{})
	st, err := d.Stage(t.Context(), token(1), strings.NewReader(message(7)), received, 1<<20)
	must(t, err)
	must(t, seal(t.Context(), d, []mail.Staged{st}))
	if mails, _ := tree(t, root); len(mails) != 0 {
		t.Errorf("visible before it is published: %v", mails)
	}
	stored := strings.ReplaceAll(message(7), "\r\n", "\n")
	if st.Fingerprint != fingerprint(message(7)) || st.FileSize != int64(len(stored)) ||
		st.VirtualSize != int64(len(message(7))) || !st.Received.Equal(received) {
		t.Errorf("staged as %+v", st)
	}
	must(t, errOf(d.Publish(t.Context(), []mail.Placement{placement(st, 1, "Gmail",
		mail.Seen|mail.Draft|mail.Flagged|mail.Answered)})))
	name := fmt.Sprintf(".Gmail/cur/%d.%s.test,S=%d,W=%d:2,DFRS", received.Unix(), token(1), len(stored), len(message(7)))
	mails, spooled := tree(t, root)
	if diff := cmp.Diff(map[string]string{name: stored}, mails); diff != "" || len(spooled) > 0 {
		t.Errorf("delivered (-want +got):\n%s\nspool: %v", diff, spooled)
	}
	info, err := os.Stat(filepath.Join(root, name))
	must(t, err)
	if !info.ModTime().Equal(received) || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is of %v, mode %v", info.ModTime(), info.Mode())
	}
	for dir, mode := range map[string]fs.FileMode{
		spool.Dir: 0o700, spool.Dir + "/" + journal: 0o700, ".Gmail": 0o700,
		".Gmail/new": 0o700,
	} {
		if info, err := os.Stat(filepath.Join(root, dir)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	for _, want := range []string{"maildirfolder", "new", "cur", "tmp"} {
		if _, err := os.Stat(filepath.Join(root, ".Gmail", want)); err != nil {
			t.Error(err)
		}
	}
}

func TestF54BytesAreKept(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	long := strings.Repeat("x", 1<<20)
	for i, body := range []string{
		"", "\r\n", "Subject: only a header\r\n", "no header", "\r\nbody alone\r\n", "a\x00b\r\n\x00",
		"\xff\xfe\x80 8-bit\r\n",
		"A: 1\r\n\r\n" + long + "\r\n", "A: 1\r\rB: 2\r\r", "A: 1\n\nlf only\n", "A: 1\r\n\r\nmixed\n\r\r\nends\r",
		strings.Repeat("line\r\n", 100000),
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(body), "by halves": iotest.HalfReader(
			strings.NewReader(body)), "end with data": iotest.DataErrReader(strings.NewReader(body))} {
			n := i*10 + len(name)
			st, err := d.Stage(t.Context(), token(n), r, received, 4<<20)
			must(t, err)
			must(t, seal(t.Context(), d, []mail.Staged{st}))
			got, err := os.ReadFile(filepath.Join(root, spool.Dir, journal, st.Spool))
			must(t, err)
			if string(got) != strings.ReplaceAll(body, "\r\n", "\n") || st.FileSize != int64(len(got)) ||
				st.Fingerprint != fingerprint(body) {
				t.Errorf("%s, message %d: changed", name, i)
			}
			d.Discard([]mail.Staged{st})
		}
	}
	if _, spooled := tree(t, root); len(spooled) > 0 {
		t.Errorf("discarded, but there: %v", spooled)
	}
}

func TestStageDatesTheFile(t *testing.T) {
	s, _ := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	hop := "Received: from a by b; Thu, 19 Nov 2026 08:00:00 +0100\r\nDate: Mon, 2 Nov 2026 08:00:00 +0000\r\n\r\n"
	for i, tc := range []struct {
		name, text string
		received   time.Time
		want       time.Time // Zero: now.
	}{
		{"the server's date wins", hop, received, received},
		{"else the message's", hop, time.Time{}, time.Date(2026, 11, 19, 7, 0, 0, 0, time.UTC)},
		{"S54 a year that cannot be is none", hop, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 19, 7, 0,
			0, 0, time.UTC)},
		{"a header's date in the future is none", "Date: Fri, 1 Jan 2090 00:00:00 +0000\r\n\r\n", time.Time{}, time.Time{}},
		{"no date at all", "Subject: x\r\n\r\n", time.Time{}, time.Time{}},
	} {
		before := time.Now()
		st, err := d.Stage(t.Context(), token(i), strings.NewReader(tc.text), tc.received, 1<<20)
		must(t, err)
		if tc.want.IsZero() && (st.Received.Before(before) || st.Received.After(time.Now())) || !tc.want.IsZero() &&
			!st.Received.Equal(tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, st.Received, tc.want)
		}
		d.Discard([]mail.Staged{st})
	}
}

// counter is a body without end that counts what is taken of it.
type counter struct{ n int64 }

func (c *counter) Read(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func TestS41TooLargeAMessageIsNotReadToItsEnd(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	body := &counter{}
	_, err := d.Stage(t.Context(), token(1), body, received, 1_000_000)
	wantCode(t, err, fault.MessageFailed)
	if body.n > 1_000_000+64<<10 {
		t.Errorf("%d octets were read of a message that may have 1,000,000", body.n)
	}
	if _, spooled := tree(t, root); len(spooled) > 0 {
		t.Errorf("left behind: %v", spooled)
	}
	st, err := d.Stage(t.Context(), token(2), strings.NewReader("12345"), received, 5)
	must(t, err)
	d.Discard([]mail.Staged{st})
}

func TestABrokenBodyIsNoFaultOfTheMailbox(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	cut := fault.New(fault.ServerUnavailable, "reading", words.Say("cut"))
	for _, why := range []error{cut, unix.ECONNRESET, io.ErrUnexpectedEOF, fmt.Errorf("cut: %w", io.EOF)} {
		_, err := d.Stage(t.Context(), token(1), io.MultiReader(strings.NewReader("half a mess"), iotest.ErrReader(why)),
			received, 1<<20)
		if !errors.Is(err, why) || fault.CodeOf(err) == fault.LocalMailboxUnavailable {
			t.Errorf("%v became %v", why, err)
		}
	}
	if _, spooled := tree(t, root); len(spooled) > 0 {
		t.Errorf("left behind: %v", spooled)
	}
}

func TestPublishAgainDoesNothing(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 5)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	ps := placements(all, "Gmail", "Gmail/Sent")
	must(t, errOf(d.Publish(t.Context(), ps)))
	mustHold(t, root, 5)
	must(t, errOf(d.Publish(t.Context(), ps)))
	mustHold(t, root, 5)

	// The user deletes one and a whole folder: nothing comes back.
	mails, _ := tree(t, root)
	for name := range mails {
		must(t, os.Remove(filepath.Join(root, name)))
	}
	must(t, os.RemoveAll(filepath.Join(root, ".Gmail.Sent")))
	must(t, errOf(d.Publish(t.Context(), ps)))
	if mails, _ := tree(t, root); len(mails) != 0 {
		t.Errorf("came back: %v", mails)
	}
	if _, err := os.Stat(filepath.Join(root, ".Gmail.Sent")); err == nil {
		t.Error("a folder came back for messages that had been delivered")
	}
}

func TestTheirsStaysWhenAFileOfTheNameIsThere(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 1)
	must(t, err)
	ps := placements(all, "Gmail")
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
	sub, name := s.fileName(ps[0], "")
	theirs := filepath.Join(root, ".Gmail", sub, name)
	must(t, os.WriteFile(theirs, []byte("delivered before"), 0o600))
	must(t, errOf(d.Publish(t.Context(), ps)))
	mails, spooled := tree(t, root)
	if len(mails) != 2 || mails[filepath.Join(".Gmail", sub, name)] != "delivered before" || len(spooled) > 0 ||
		!strings.Contains(mails[filepath.Join(".Gmail", sub, beside(name, 1))], "Subject: number 1") {
		t.Errorf("mails %v, spool %v", mails, spooled)
	}
}

func TestF13FolderRemovedUnderUs(t *testing.T) {
	var s *Store
	var root string
	renames := 0
	s, root = newStore(t, Options{Step: func(name string) {
		if name == "publish.rename" {
			if renames++; renames == 3 {
				if err := os.RemoveAll(filepath.Join(root, ".Gmail.Sent")); err != nil {
					t.Error(err)
				}
			}
		}
	}})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 6)
	must(t, err)
	ps := placements(all, "Gmail/Sent")
	for i := range ps {
		ps[i].Flags = 0
	}
	must(t, errOf(d.Publish(t.Context(), ps)))
	mails, spooled := tree(t, root)
	if len(mails) != 4 || len(spooled) > 0 {
		t.Errorf("%d messages after the folder was removed between the second and the third; spool %v", len(mails), spooled)
	}
}

func TestSweepKeepsWhatIsCommitted(t *testing.T) {
	s, root := newStore(t, Options{})
	old := open(t, s, 1, owner.Limit{})
	all, err := stage(old, 3)
	must(t, err)
	must(t, seal(t.Context(), old, all))
	must(t, os.MkdirAll(filepath.Join(root, spool.Dir, journal, "folder.e1.abc", "cur"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, spool.Dir, journal, "notes"), nil, 0o600))

	d := open(t, s, 2, owner.Limit{})
	now, err := stage(d, 1)
	must(t, err)
	must(t, d.Sweep(t.Context(), map[string]bool{all[1].Spool: true}))
	_, spooled := tree(t, root)
	want := []string{all[1].Spool, now[0].Spool, "notes"}
	for i := range want {
		want[i] = filepath.Join(spool.Dir, journal, want[i])
	}
	slices.Sort(want)
	slices.Sort(spooled)
	if diff := cmp.Diff(want, spooled); diff != "" {
		t.Errorf("in the spool (-want +got):\n%s", diff)
	}
	if err := old.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, after := tree(t, root); len(after) != len(spooled) {
		t.Error("an old lease swept files of a newer one")
	}
}

func TestSealNeedsStagedFiles(t *testing.T) {
	s, _ := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	wantCode(t, seal(t.Context(), d, []mail.Staged{{Spool: "Fabc.e1"}}), fault.Internal)
}

func TestNamesFromOutsideNeverReachTheDisk(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 1)
	must(t, err)
	good := placements(all, "Gmail")[0]
	for name, spoil := range map[string]func(*mail.Placement){
		"spool":  func(p *mail.Placement) { p.Spool = "../../x.e1" },
		"token":  func(p *mail.Placement) { p.Token = "../x" },
		"folder": func(p *mail.Placement) { p.Folder = "../../x" },
		"empty":  func(p *mail.Placement) { p.Folder = "" },
		"NUL":    func(p *mail.Placement) { p.Folder = "a\x00" },
		"dots":   func(p *mail.Placement) { p.Folder = "a..b" },
		"levels": func(p *mail.Placement) { p.Folder = "a//b" },
		"long":   func(p *mail.Placement) { p.Folder = strings.Repeat("x", 255) },
		"flags":  func(p *mail.Placement) { p.Flags = 16 },
	} {
		p := good
		spoil(&p)
		if err := errOf(d.Publish(t.Context(), []mail.Placement{p})); fault.CodeOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, token := range []mail.Token{"", "../x", "a.b", "a/b", mail.Token(strings.Repeat("x", 65))} {
		if _, err := d.Stage(t.Context(), token, strings.NewReader(""), received, 1); fault.CodeOf(err) != fault.Internal {
			t.Errorf("token %q: %v", token, err)
		}
	}
	for _, j := range []string{"", ".", "..", "a/b", "a\x00", strings.Repeat("x", 200)} {
		if _, err := s.Open(t.Context(), anna(t), j, 1, owner.Limit{}); fault.CodeOf(err) != fault.Internal {
			t.Errorf("journal %q: %v", j, err)
		}
	}
	must(t, errOf(d.Publish(t.Context(), []mail.Placement{good})))
	mustHold(t, root, 1)
}

// trick is something else that a user with a shell puts in a directory's place.
type trick struct {
	victim string // Of the mailbox; replaced.
	spoil  func(t *testing.T, path, elsewhere string)
}

var tricks = map[string]trick{
	"new is a link elsewhere": {".Gmail/new", func(t *testing.T, p, e string) { must(t, os.Symlink(e, p)) }},
	"new is a link inside":    {".Gmail/new", func(t *testing.T, p, e string) { must(t, os.Symlink("cur", p)) }},
	"the folder is a link":    {".Gmail", func(t *testing.T, p, e string) { must(t, os.Symlink(e, p)) }},
	"the folder is a file":    {".Gmail", func(t *testing.T, p, e string) { must(t, os.WriteFile(p, nil, 0o600)) }},
	"new is a FIFO":           {".Gmail/new", func(t *testing.T, p, e string) { must(t, unix.Mkfifo(p, 0o600)) }},
	"the spool is a link":     {spool.Dir, func(t *testing.T, p, e string) { must(t, os.Symlink(e, p)) }},
	"the journal's spool is a link": {spool.Dir + "/" + journal, func(t *testing.T, p, e string) {
		must(t, os.Symlink(e, p))
	}},
	"the mailbox is a link": {"", func(t *testing.T, p, e string) { must(t, os.Symlink(e, p)) }},
}

// play delivers into a mailbox in which the trick was played, and returns what
// is wrong: what was written outside the mailbox, and that it was not refused
// with a word on what to mend.
func (tc trick) play(t *testing.T, d disk.Disk) (bad []string) {
	t.Helper()
	s, root := newStore(t, Options{})
	before := open(t, s, 1, owner.Limit{})
	must(t, before.EnsureFolders(t.Context(), []string{"Gmail"}))
	must(t, before.Close())
	elsewhere := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp", journal} {
		must(t, os.Mkdir(filepath.Join(elsewhere, sub), 0o700))
	}
	victim := filepath.Join(root, tc.victim)
	must(t, os.RemoveAll(victim))
	tc.spoil(t, victim, elsewhere)
	s.disk = d
	if err := tc.deliver(t, s); fault.CodeOf(err) != fault.LocalMailboxUnavailable || fault.Of(err).Detail.String() == "" {
		bad = append(bad, fmt.Sprintf("not refused, or without a word: %v", err))
	}
	must(t, filepath.WalkDir(elsewhere, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			bad = append(bad, p+" was written outside the mailbox")
		}
		return err
	}))
	return bad
}

func (tc trick) deliver(t *testing.T, s *Store) error {
	if err := s.Make(t.Context(), anna(t)); err != nil {
		return err
	}
	d, err := s.Open(t.Context(), anna(t), journal, 2, owner.Limit{})
	if err != nil {
		return err
	}
	all, err := stage(d, 2)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	ps := placements(all, "Gmail")
	ps[0].Flags, ps[1].Flags = 0, 0
	err = errOf(d.Publish(t.Context(), ps))
	if made := d.EnsureFolders(t.Context(), []string{"Gmail/Sub"}); strings.HasPrefix(tc.victim, ".Gmail") &&
		fault.CodeOf(made) != fault.LocalMailboxUnavailable {
		err = fmt.Errorf("making a folder below it: %v, and delivering: %v", made, err)
	}
	return errors.Join(err, d.Close())
}

// U50, F51.
func TestU50WhatIsNoDirectoryIsRefused(t *testing.T) {
	for name, tc := range tricks {
		t.Run(name, func(t *testing.T) {
			for _, bad := range tc.play(t, disk.Kernel()) {
				t.Error(bad)
			}
		})
	}
}

// The control: a disk that follows links.
func TestADiskThatFollowsLinksIsNoticed(t *testing.T) {
	for _, name := range []string{
		"new is a link elsewhere", "the folder is a link", "the spool is a link",
		"the journal's spool is a link", "the mailbox is a link",
	} {
		t.Run(name, func(t *testing.T) {
			bad := tricks[name].play(t, following{disk.Kernel()})
			if len(bad) == 0 {
				t.Error("links are followed, and nothing is wrong")
			}
			t.Logf("caught: %q", bad)
		})
	}
}

// following is a disk on which O_NOFOLLOW and lstat do not hold.
type following struct{ disk.Disk }

func (d following) Open(dir int, name string, flags int, perm uint32) (int, error) {
	return d.Disk.Open(dir, name, flags&^unix.O_NOFOLLOW, perm)
}

func (d following) Lstat(dir int, name string) (disk.Stat, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return disk.Stat{}, err
	}
	defer unix.Close(fd)
	return d.Fstat(fd)
}

func TestU50QuotaFileAndSubscriptionsAreNotFollowed(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("0S\n1 1\n"), 0o600))
	for name, spoil := range map[string]func(path string) error{
		"link":      func(p string) error { return os.Symlink(secret, p) },
		"hard link": func(p string) error { return os.Link(secret, p) },
		"FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		must(t, spoil(filepath.Join(root, quotaFile)))
		all, err := stage(d, 1)
		must(t, err)
		must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail"))))
		if got, _ := os.ReadFile(secret); string(got) != "0S\n1 1\n" {
			t.Errorf("%s: the file behind it was written: %q", name, got)
		}
		must(t, errors.Join(os.RemoveAll(filepath.Join(root, ".Gmail")), os.Remove(filepath.Join(root, quotaFile))))
	}
	must(t, os.Remove(filepath.Join(root, subscriptionsFile)))
	must(t, os.Symlink(secret, filepath.Join(root, subscriptionsFile)))
	wantCode(t, d.EnsureFolders(t.Context(), []string{"Other"}), fault.LocalMailboxUnavailable)
}

func TestF52NoPermissionSaysSo(t *testing.T) {
	e := disk.Trouble("storing", unix.EACCES)
	wantCode(t, e, fault.LocalMailboxUnavailable)
	if !strings.Contains(fault.Of(e).Detail.String(), "permissions") {
		t.Error(e)
	}
	wantCode(t, disk.Trouble("storing", unix.EDQUOT), fault.LocalOverQuota)
	wantCode(t, disk.Trouble("storing", unix.ENOSPC), fault.LocalMailboxUnavailable)
	wantCode(t, disk.Trouble("storing", context.Canceled), fault.Interrupted)
}

func TestAPlaceThatIsGoneIsNoEmptyMailbox(t *testing.T) {
	s, root := newStore(t, Options{})
	must(t, s.Check(t.Context()))
	must(t, os.RemoveAll(filepath.Dir(filepath.Dir(root))))
	_, err := s.Open(t.Context(), anna(t), journal, 1, owner.Limit{})
	wantCode(t, err, fault.LocalMailboxUnavailable)
	_, _, err = s.Usage(t.Context(), anna(t))
	wantCode(t, err, fault.LocalMailboxUnavailable)
	wantCode(t, s.Check(t.Context()), fault.LocalMailboxUnavailable)
}

// Newcomer N17: visits that begin at once each said that they had made the mailbox.
func TestOneOfSeveralMakesAMailboxAndSaysSo(t *testing.T) {
	var log bytes.Buffer
	s, _ := newStore(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}) // A handler writes one line at a time.
	var g errgroup.Group
	for range 8 {
		g.Go(func() error { return s.Make(t.Context(), anna(t)) })
	}
	must(t, g.Wait())
	if n := strings.Count(log.String(), "a mailbox was made"); n != 1 {
		t.Errorf("%d times: %s", n, &log)
	}
	must(t, s.Make(t.Context(), anna(t))) // The control: it is there.
	if n := strings.Count(log.String(), "a mailbox was made"); n != 1 {
		t.Errorf("once more: %s", &log)
	}
}

func TestUserWithoutMailbox(t *testing.T) {
	s, root := newStore(t, Options{})
	if b, m, err := s.Usage(t.Context(), anna(t)); !errors.Is(err, owner.ErrNoMailbox) {
		t.Errorf("usage %d, %d, %v", b, m, err) // It does not hold nothing: it may be gone.
	}
	must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("asking made a mailbox: %v", err)
	}
}

func TestConcurrentStages(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all := make([]mail.Staged, 40)
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			st, err := d.Stage(context.Background(), token(i+1), strings.NewReader(message(i+1)), received, 1<<20)
			if err != nil {
				t.Error(err)
			}
			all[i] = st
		})
	}
	wait.Wait()
	must(t, seal(t.Context(), d, all))
	must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail", "Gmail/Sent", "Gmail/Archive/2023"))))
	mustHold(t, root, len(all))
}

func TestRemoveFolder(t *testing.T) {
	s, root := newStore(t, Options{})
	limit := int64(1 << 20)
	d := open(t, s, 1, owner.Limit{Bytes: &limit})
	must(t, d.Reserve(t.Context(), 12, 1000))
	all, err := stage(d, 12)
	must(t, err)
	must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail", "Gmail/Sent", "Gmail/Sent/Old", "GmailOther"))))
	must(t, os.Symlink("/etc", filepath.Join(root, ".Gmail", "tmp", "link")))
	must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
	must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
	mails, spooled := tree(t, root)
	if len(mails) != 3 || len(spooled) != 0 {
		t.Errorf("left: %v, spool %v", slices.Collect(maps.Keys(mails)), spooled)
	}
	for name, want := range map[string]bool{
		"Gmail": false, "Gmail/Sent": false, "Gmail/Sent/Old": false,
		"GmailOther": true,
	} {
		if _, err := os.Stat(filepath.Join(root, dirName(name))); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, subscriptionsFile))
	must(t, err)
	if string(text) != "V\t2\n\nGmailOther\n" {
		t.Errorf("subscriptions are %q", text)
	}
	agree(t, s, root, d)
	for _, name := range []string{"INBOX", "Trash", "", "..", "a/../b"} {
		wantCode(t, s.RemoveFolder(t.Context(), anna(t), name), fault.Internal)
	}
}

// agree checks that the quota file says what is there.
func agree(t testing.TB, s *Store, root string, d *Delivery) {
	t.Helper()
	f, err := d.root.readQuotaFile()
	must(t, err)
	u, _, err := d.root.measure(t.Context())
	must(t, err)
	if f.usage != u || !f.ok() {
		t.Errorf("the quota file says %+v, there are %+v", f, u)
	}
	b, m, err := s.Usage(t.Context(), anna(t))
	if u != (usage{b, m}) || err != nil {
		t.Errorf("Usage says %d, %d, %v; there are %+v", b, m, err, u)
	}
}

func TestTemplates(t *testing.T) {
	dir := t.TempDir()
	for _, bad := range []string{
		"", "/srv/mail", "mbox:/srv", "maildir:", "maildir:/", "maildir:/x/{home}",
		"maildir:/x/{user", "maildir:/x/user}", "maildir:/x\x00/{user}", "maildir:/x/}{user",
	} {
		if _, err := New(Options{Template: bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for template, want := range map[string]string{
		"/a/{domain}/{local}":     "/a/firma.test/anna",
		"/b/{user}":               "/b/anna@firma.test",
		"/c/u-{user}/Maildir":     "/c/u-anna@firma.test/Maildir",
		"/d/{local}/Maildir":      "/d/anna/Maildir",
		"/e/one":                  "/e/one",
		"/f/{domain}-{local}/x":   "/f/firma.test-anna/x",
		"/g/../g2/{user}/Maildir": "/g2/anna@firma.test/Maildir",
	} {
		s, err := New(Options{Template: "maildir:" + dir + template})
		must(t, err)
		d := open(t, s, 1, owner.Limit{})
		must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
		if _, err := os.Stat(dir + want + "/.Gmail/cur"); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
}

// A template is refused exactly when two users may be led to one place.
func TestATemplateGivesEachUserAPlace(t *testing.T) {
	for text, shared := range map[string]bool{
		"{user}": false, "x-{user}/Maildir": false, "{domain}/{local}": false, "{local}/{domain}": false,
		"{domain}/u-{local}.d": false, "{local}@{domain}": false, "{domain}@{local}/x": false, "{local}/../{user}": false,
		"{local}": true, "{local}/Maildir": true, "{domain}": true, "one": true, "{local}{domain}": true,
		"{domain}-{local}": true, "{local}.{domain}": true, "{user}/../{local}": true, "{user}{local}": true,
	} {
		if err := CheckTemplate("maildir:/srv/" + text); errors.Is(err, ErrShared) != shared || !shared && err != nil {
			t.Errorf("%s: %v, want it shared: %t", text, err, shared)
		}
	}
	// The control: two users that such a template leads to one place.
	for text, users := range map[string][2]string{
		"{local}":          {"anna@firma.test", "anna@other.test"},
		"{domain}-{local}": {"c@a-b.test", "b.test-c@a"},
	} {
		tmpl, err := parseTemplate("maildir:/srv/" + text)
		must(t, err)
		a, err := owner.Parse(users[0])
		must(t, err)
		b, err := owner.Parse(users[1])
		must(t, err)
		if !slices.Equal(tmpl.elements(a), tmpl.elements(b)) {
			t.Errorf("%s leads %v to %v and %v", text, users, tmpl.elements(a), tmpl.elements(b))
		}
	}
}

func TestOneMailboxIsNeverTwoUsers(t *testing.T) {
	dir := t.TempDir()
	other, err := owner.Parse("anna@other.test")
	must(t, err)
	for _, template := range []string{"/a/{local}/Maildir", "/b/one", "/c/{domain}-{local}"} {
		s, err := New(Options{Template: "maildir:" + dir + template})
		must(t, err)
		open(t, s, 1, owner.Limit{})
		if err = s.Make(t.Context(), other); err == nil {
			_, err = s.Open(t.Context(), other, journal, 1, owner.Limit{})
		}
		if template == "/c/{domain}-{local}" {
			must(t, err)
			continue
		}
		wantCode(t, err, fault.LocalMailboxUnavailable)
		open(t, s, 2, owner.Limit{})
	}
}

func FuzzPathSafe(f *testing.F) {
	f.Add("anna", "Anna")
	f.Add("a/../b", ".a")
	f.Add("%41", "A")
	f.Add("", "%")
	f.Add(strings.Repeat("/", 320), strings.Repeat("/", 319))
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := pathSafe(a), pathSafe(b)
		if a != b && x == y {
			t.Fatalf("%q and %q both give %q", a, b, x)
		}
		if x == "" || len(x) > nameMax || x[0] == '.' || strings.ContainsAny(x, "/\x00") {
			t.Fatalf("%q gives %q", a, x)
		}
	})
}

func BenchmarkDeliver100x20KiB(b *testing.B) {
	dir, err := os.MkdirTemp(".", "bench-") // On a disk, not in memory.
	must(b, err)
	defer os.RemoveAll(dir)
	s, err := New(Options{Template: "maildir:" + dir + "/{user}"})
	must(b, err)
	must(b, s.Make(b.Context(), anna(b)))
	d, err := s.Open(b.Context(), anna(b), journal, 1, owner.Limit{})
	must(b, err)
	defer d.Close()
	body := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20<<10/72))
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		all := make([]mail.Staged, 100)
		ps := make([]mail.Placement, 100)
		for i := range all {
			n++
			all[i], err = d.Stage(b.Context(), token(n), bytes.NewReader(body), received, 1<<20)
			must(b, err)
			ps[i] = placement(all[i], n, "Gmail", 0)
		}
		must(b, seal(b.Context(), d, all))
		must(b, errOf(d.Publish(b.Context(), ps)))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

// seal makes staged messages last; in a Maildir they keep their names.
func seal(ctx context.Context, d *Delivery, all []mail.Staged) error {
	ps := make([]mail.Placement, len(all))
	for i, m := range all {
		ps[i].Spool = m.Spool
	}
	_, err := d.Seal(ctx, ps)
	return err
}
