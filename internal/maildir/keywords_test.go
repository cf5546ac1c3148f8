package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// bringWith delivers one message with keywords into Gmail and returns its file's name.
func bringWith(t *testing.T, d *Delivery, n int, k mail.Keywords) string {
	t.Helper()
	st, err := d.Stage(t.Context(), token(n), strings.NewReader(message(n)), received, 1<<20)
	must(t, err)
	p := placement(st, n, "Gmail", 0)
	p.Keywords = k
	must(t, seal(t.Context(), d, []mail.Staged{st}))
	must(t, errOf(d.Publish(t.Context(), []mail.Placement{p})))
	found, err := filepath.Glob(filepath.Join(d.root.Path, ".Gmail", "*", "*"+string(token(n))+"*"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("found %q", found)
	}
	return strings.TrimPrefix(found[0], d.root.Path+"/.Gmail/")
}

func letters(name string) string { _, l, _ := strings.Cut(name, ":2,"); return l }

// A name is added behind those that are there, whatever their case, with a date that
// differs in its second: so Dovecot sees it.
func TestKeywordsGetTheirLetters(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
	file := filepath.Join(root, ".Gmail", keywordsFile)
	must(t, os.WriteFile(file, []byte("0 $forwarded\nnonsense\n3 Junk\n30 no\n"), 0o600))
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(file, soon, soon))
	must(t, os.WriteFile(filepath.Join(root, uidsFile), nil, 0o600))
	if got := letters(bringWith(t, d, 1, "$Forwarded Work")); got != "ae" {
		t.Errorf("letters %q", got)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	if want := "0 $forwarded\n3 Junk\n4 Work\n"; string(text) != want {
		t.Errorf("the file is %q, want %q", text, want)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.ModTime().Unix() <= soon.Unix() {
		t.Errorf("its date is %v, not after %v", info.ModTime(), soon)
	}
	if got := letters(bringWith(t, d, 2, "Work")); got != "e" {
		t.Errorf("letters %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(root, ".Gmail", "*.lock")); len(left) > 0 || s.DroppedKeywords() != 0 {
		t.Errorf("left %q; dropped %d", left, s.DroppedKeywords())
	}
}

// What gets no letter is counted, and the message is delivered without it.
func TestKeywordsWithoutALetterAreCounted(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("k%02d", i))
	}
	all, _ := mail.KeywordsOf(many)
	for name, tc := range map[string]struct {
		prepare func(root string) error
		letters string
		dropped int64
	}{
		"more than there are letters": {func(string) error { return nil }, "abcdefghijklmnopqrstuvwxyz", 4},
		"another server shows the mailbox": {func(root string) error {
			return os.WriteFile(filepath.Join(root, "cur", "1.x.y:2,S"), nil, 0o600)
		}, "", 30},
		"the file is a link": {func(root string) error {
			return os.Symlink("/etc/passwd", filepath.Join(root, ".Gmail", keywordsFile))
		}, "", 30},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			d := open(t, s, 1, owner.Limit{})
			must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
			must(t, tc.prepare(root))
			if got := letters(bringWith(t, d, 1, all)); got != tc.letters || s.DroppedKeywords() != tc.dropped {
				t.Errorf("letters %q and %d dropped, want %q and %d", got, s.DroppedKeywords(), tc.letters, tc.dropped)
			}
		})
	}
}

// refusing is a disk that lets nobody do one thing to one file.
type refusing struct {
	disk.Disk
	op, name string
	why      error
}

func (d refusing) refuse(op, name string) error {
	if op == d.op && name == d.name {
		return d.why
	}
	return nil
}

func (d refusing) Open(dir int, name string, flags int, perm uint32) (int, error) {
	if err := d.refuse("open", name); err != nil {
		return -1, err
	}
	return d.Disk.Open(dir, name, flags, perm)
}

func (d refusing) Link(from int, name string, to int, newName string) error {
	if err := d.refuse("link", newName); err != nil {
		return err
	}
	return d.Disk.Link(from, name, to, newName)
}

func (d refusing) Replace(from int, name string, to int, newName string) error {
	if err := d.refuse("replace", newName); err != nil {
		return err
	}
	return d.Disk.Replace(from, name, to, newName)
}

// Mail does not wait for its keywords where Dovecot's files are another's: it is delivered
// without those that have no letter yet, and the files stay as they are. The control: what
// says that the disk failed stops the delivery.
func TestMailIsDeliveredWhereItsKeywordsMayNotBeWritten(t *testing.T) {
	const held = "0 Known\n"
	for name, tc := range map[string]struct {
		op, file string
		why      error
		prepare  func(folder string) error
		letters  string // Of "Known New".
		dropped  int64
		fails    bool
	}{
		"the file may not be read":       {op: "open", file: keywordsFile, why: unix.EACCES, dropped: 2},
		"the file may not be replaced":   {op: "replace", file: keywordsFile, why: unix.EPERM, letters: "a", dropped: 1},
		"the lock may not be taken":      {op: "link", file: uidsLock, why: unix.EACCES, letters: "a", dropped: 1},
		"the file system is for reading": {op: "replace", file: keywordsFile, why: unix.EROFS, letters: "a", dropped: 1},
		"the disk fails (a control)":     {op: "replace", file: keywordsFile, why: unix.EIO, fails: true},
		"the disk is full (a control)":   {op: "replace", file: keywordsFile, why: unix.ENOSPC, fails: true},
		"the lock is an abandoned folder": {prepare: func(folder string) error {
			lock, old := filepath.Join(folder, uidsLock), time.Now().Add(-time.Hour)
			return errors.Join(os.Mkdir(lock, 0o700), os.Chtimes(lock, old, old))
		}, letters: "a", dropped: 1},
		"the lock is of next year": {prepare: func(folder string) error {
			lock, then := filepath.Join(folder, uidsLock), time.Now().AddDate(1, 0, 0)
			return errors.Join(os.WriteFile(lock, []byte("1:other"), 0o600), os.Chtimes(lock, then, then))
		}, letters: "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			d := open(t, s, 1, owner.Limit{})
			must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
			folder := filepath.Join(root, ".Gmail")
			must(t, os.WriteFile(filepath.Join(folder, keywordsFile), []byte(held), 0o600))
			must(t, os.WriteFile(filepath.Join(root, uidsFile), nil, 0o600))
			if tc.prepare != nil {
				must(t, tc.prepare(folder))
			}
			d.root.Disk = refusing{d.root.Disk, tc.op, tc.file, tc.why}
			st, err := d.Stage(t.Context(), token(1), strings.NewReader(message(1)), received, 1<<20)
			must(t, err)
			p := placement(st, 1, "Gmail", 0)
			p.Keywords = "Known New"
			must(t, seal(t.Context(), d, []mail.Staged{st}))
			_, err = d.Publish(t.Context(), []mail.Placement{p})
			if tc.fails {
				if err == nil {
					t.Error("it is delivered all the same")
				}
				return
			}
			must(t, err)
			found, err := filepath.Glob(filepath.Join(folder, "*", "*"+string(token(1))+"*"))
			must(t, err)
			if len(found) != 1 || letters(found[0]) != tc.letters || s.DroppedKeywords() != tc.dropped {
				t.Errorf("found %q, %d dropped; want letters %q and %d", found, s.DroppedKeywords(), tc.letters, tc.dropped)
			}
			text, err := os.ReadFile(filepath.Join(folder, keywordsFile))
			must(t, err)
			if tc.dropped > 0 && string(text) != held {
				t.Errorf("the file is %q", text)
			}
		})
	}
}

// A lock that an earlier lease of ours left is taken over at once, one that is old as well;
// and a swept file takes the lock with it.
func TestALeftLockIsTakenOver(t *testing.T) {
	s, root := newStore(t, Options{})
	must(t, open(t, s, 1, owner.Limit{}).EnsureFolders(t.Context(), []string{"Gmail"}))
	lock := filepath.Join(root, ".Gmail", uidsLock)
	temp := filepath.Join(root, spool.Dir, journal, "keywords.e1.abc")
	for n, leave := range []func() error{
		func() error {
			if err := os.WriteFile(temp, []byte("1:test"), 0o600); err != nil {
				return err
			}
			return os.Link(temp, lock)
		},
		func() error {
			old := time.Now().Add(-uidsStale - time.Minute)
			if err := os.WriteFile(lock, []byte("1:other"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(lock, old, old)
		},
	} {
		must(t, leave())
		began := time.Now()
		d := open(t, s, int64(n+2), owner.Limit{})
		if got := letters(bringWith(t, d, n+1, mail.Keywords(fmt.Sprintf("k%d", n)))); got != string(rune('a'+n)) {
			t.Errorf("letters %q after %v", got, time.Since(began))
		}
	}
	must(t, os.WriteFile(temp+"d", []byte("1:test"), 0o600))
	must(t, os.Link(temp+"d", lock))
	must(t, open(t, s, 9, owner.Limit{}).Sweep(t.Context(), nil))
	left, err := filepath.Glob(filepath.Join(root, spool.Dir, journal, "keywords*"))
	must(t, err)
	if _, err := os.Lstat(lock); !os.IsNotExist(err) || len(left) > 0 {
		t.Errorf("swept, there are still %q and the lock (%v)", left, err)
	}
}

func FuzzParseKeywords(f *testing.F) {
	f.Add("0 $Forwarded\n25 z\n")
	f.Fuzz(func(t *testing.T, text string) {
		names := parseKeywords(text)
		if len(names) > keywordLetter {
			t.Fatalf("%d names", len(names))
		}
		var again strings.Builder
		for i, n := range names {
			if n != "" {
				fmt.Fprintf(&again, "%d %s\n", i, n)
			}
		}
		if diff := cmp.Diff(names, parseKeywords(again.String())); diff != "" {
			t.Error(diff)
		}
	})
}
