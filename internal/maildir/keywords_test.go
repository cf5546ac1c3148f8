package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	must(t, d.Seal(t.Context(), []mail.Staged{st}))
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
