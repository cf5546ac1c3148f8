package maildir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// TestD1_TheMailboxsOwnLimitCounts beside Mailbrook's, the tighter of them, and of
// its own some is left free; without either (the control) everything fits.
func TestD1_TheMailboxsOwnLimitCounts(t *testing.T) {
	const all = 1 << 40
	for name, tc := range map[string]struct {
		set  owner.Limit
		file string
		fits int64 // Octets.
	}{
		"only its own":             {limit(-1, -1), "200000S\n0 0\n", 190_000},
		"its own is tighter":       {limit(1<<30, -1), "200000S\n0 0\n", 190_000},
		"Mailbrook's is tighter":   {limit(100_000, -1), "200000S\n0 0\n", 100_000},
		"both say the same":        {limit(200_000, -1), "200000S\n0 0\n", 200_000},
		"its own is none":          {limit(-1, -1), "0S\n0 0\n", all},
		"there is no quota file":   {limit(-1, -1), "", all},
		"the figures are nonsense": {limit(-1, -1), "200000S\nwhat?\n", 190_000},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			must(t, s.Make(t.Context(), anna(t)))
			if tc.file != "" {
				must(t, os.WriteFile(filepath.Join(root, quotaFile), []byte(tc.file), 0o600))
			}
			d := open(t, s, 1, tc.set)
			must(t, d.Reserve(t.Context(), 1, tc.fits))
			d.Release(1, tc.fits)
			if err := d.Reserve(t.Context(), 1, tc.fits+1); tc.fits == all {
				must(t, err)
			} else {
				wantCode(t, err, fault.LocalOverQuota)
			}
		})
	}
}

// TestD2_AMailboxIsMadeByMakeAlone: a delivery makes none; the control is one that
// is there.
func TestD2_AMailboxIsMadeByMakeAlone(t *testing.T) {
	s, root := newStore(t, Options{})
	_, err := s.Open(t.Context(), anna(t), journal, 1, owner.Limit{})
	wantCode(t, err, fault.LocalMailboxUnavailable)
	if _, there := os.Stat(root); !errors.Is(err, owner.ErrNoMailbox) || there == nil {
		t.Errorf("%v, made: %t", err, there == nil)
	}
	open(t, s, 1, owner.Limit{})
}

// TestD1_OurLineInTheQuotaFileFollowsTheLimit that an administrator sets; the
// control is a line that the mail server wrote, which stays and counts.
func TestD1_OurLineInTheQuotaFileFollowsTheLimit(t *testing.T) {
	s, root := newStore(t, Options{})
	file := filepath.Join(root, quotaFile)
	line := func() string {
		text, _ := os.ReadFile(file)
		head, _, _ := strings.Cut(string(text), "\n")
		return head
	}
	visit := func(epoch int64, l owner.Limit) {
		t.Helper()
		d := open(t, s, epoch, l)
		defer d.Close()
		must(t, d.Reserve(t.Context(), 1, 1))
		d.Release(1, 1)
	}
	own := func(l owner.Limit) owner.Limit {
		t.Helper()
		o, err := s.OwnLimit(t.Context(), anna(t), l)
		must(t, err)
		return o
	}
	for n, step := range []struct {
		set  owner.Limit
		want string
	}{
		{limit(100_000, -1), "100000S"},
		{limit(200_000, 50), "200000S,50C"},
		{limit(-1, 70), "70C"},
		{limit(-1, -1), "0S"},
		{limit(90_000, -1), "90000S"},
	} {
		visit(int64(n+1), step.set)
		if got := line(); got != step.want || own(step.set) != (owner.Limit{}) {
			t.Errorf("with %v the line is %q, and of the mailbox's own %v", step.set, got, own(step.set))
		}
		if before := own(limit(1, -1)); before != (owner.Limit{}) {
			t.Errorf("once another limit is set, ours of before is taken for the mailbox's own: %v", before)
		}
	}
	must(t, os.WriteFile(file, []byte("300000S\n0 0\n"), 0o600))
	visit(9, limit(80_000, -1))
	if o := own(limit(80_000, -1)); line() != "300000S" || o.Bytes == nil || *o.Bytes != 300_000 {
		t.Errorf("the mail server's line became %q, its limit %v", line(), o)
	}
}

// TestD1_ALineOfOursIsKnownWhereverWritingItBreaksOff: it never passes for the mail
// server's, which nobody could take back. The control has no note of it.
func TestD1_ALineOfOursIsKnownWhereverWritingItBreaksOff(t *testing.T) {
	ctx := t.Context()
	own := func(s *Store) owner.Limit {
		t.Helper()
		s.disk = disk.Kernel()
		o, err := s.OwnLimit(ctx, anna(t), limit(300_000, -1))
		must(t, err)
		return o
	}
	for n := 1; ; n++ {
		s, root := newStore(t, Options{})
		d := open(t, s, 1, limit(100_000, -1))
		must(t, d.Reserve(t.Context(), 1, 1))
		must(t, d.Close())
		sick := &faulty{Disk: disk.Kernel(), err: unix.EIO, dead: true, failed: map[int]bool{}}
		s.disk = sick
		d, err := s.Open(ctx, anna(t), journal, 2, limit(200_000, -1))
		must(t, err)
		sick.n = n
		_ = d.Reserve(t.Context(), 1, 1) // The process is killed at its n-th operation.
		_ = d.Close()
		if o := own(s); o != (owner.Limit{}) {
			t.Fatalf("broken off at operation %d a line of ours passes for the mailbox's own limit: %v", n, o)
		}
		if sick.tripped {
			continue
		}
		if n < 20 {
			t.Errorf("it was broken off at %d operations", n)
		}
		must(t, os.Remove(filepath.Join(root, spool.Dir, limitsNote)))
		if o := own(s); o.Bytes == nil || *o.Bytes != 200_000 {
			t.Errorf("without the note the limit is %v", o)
		}
		return
	}
}

// TestD2_ARemovedUserLeavesNothingInTheMailbox but the mail that was delivered, nor
// the limits that we wrote there; what the mail server wrote stays (the control).
func TestD2_ARemovedUserLeavesNothingInTheMailbox(t *testing.T) {
	for name, tc := range map[string]struct {
		before string // What the mail server wrote.
		stays  bool
	}{"our limits": {"", false}, "the mail server's": {"300000S\n0 0\n", true}} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			must(t, s.Make(t.Context(), anna(t)))
			if tc.before != "" {
				must(t, os.WriteFile(filepath.Join(root, quotaFile), []byte(tc.before), 0o600))
			}
			d := open(t, s, 1, limit(100_000, -1))
			must(t, d.Reserve(t.Context(), 1, 1))
			must(t, d.EnsureFolders(t.Context(), []string{"Obce"}))
			must(t, d.Close())
			for range 2 {
				must(t, s.Forget(t.Context(), anna(t)))
			}
			for file, stays := range map[string]bool{spool.Dir: false, quotaFile: tc.stays, ".Obce": true} {
				if _, err := os.Stat(filepath.Join(root, file)); (err == nil) != stays {
					t.Errorf("%s is there: %t", file, err == nil)
				}
			}
		})
	}
}

// TestD2_RemovingAUserTouchesNobodyElsesMailbox, where the template leads two users
// to one, or another installation has it. The control is whose it is.
func TestD2_RemovingAUserTouchesNobodyElsesMailbox(t *testing.T) {
	ctx := t.Context()
	s, err := New(Options{Template: "maildir:" + t.TempDir() + "/{local}"})
	must(t, err)
	other, err := owner.Parse("anna@elsewhere.test")
	must(t, err)
	d := open(t, s, 1, owner.Limit{})
	must(t, d.EnsureFolders(ctx, []string{"Obce"}))
	must(t, d.Close())
	remove := func(s *Store, o owner.Owner) error {
		return errors.Join(s.RemoveFolder(ctx, o, "Obce"), s.Forget(ctx, o))
	}
	there := func() bool {
		t.Helper()
		inv, err := s.Inspect(ctx, anna(t))
		must(t, err)
		return slices.ContainsFunc(inv.Folders, func(f check.LocalFolder) bool { return f.Dir == ".Obce" }) &&
			len(inv.Spools) == 1
	}
	must(t, remove(s, other))
	if !there() {
		t.Error("another user's folder or spool is gone")
	}
	s.Expect("ours", "")
	must(t, s.Make(ctx, anna(t))) // The mailbox has it from now on.
	s.Expect("theirs", "")
	wantCode(t, remove(s, anna(t)), fault.LocalMailboxUnavailable)
	if !there() {
		t.Error("another installation's folder or spool is gone")
	}
	s.Expect("ours", "")
	must(t, remove(s, anna(t)))
	if there() {
		t.Error("its own user's is there still")
	}
}

// TestF9_AFolderThatHoldsNothingGoesWithItsMark when its user's mail is kept; the
// controls are folders that hold something.
func TestF9_AFolderThatHoldsNothingGoesWithItsMark(t *testing.T) {
	mark := mail.MarkFor([]byte("key"), journal)
	for name, tc := range map[string]struct {
		also func(root string) error
		gone bool
	}{
		"nothing": {func(string) error { return nil }, true},
		"what a server keeps there": {func(root string) error {
			return os.WriteFile(filepath.Join(root, ".Gmail", uidList), []byte("3 V1 N1"), 0o600)
		}, true},
		"the mark alone, after a removal that was cut short": {func(root string) error {
			return os.RemoveAll(filepath.Join(root, ".Gmail"))
		}, true},
		"new mail": {func(root string) error {
			return os.WriteFile(filepath.Join(root, ".Gmail", "new", "1.x,S=1"), []byte("x"), 0o600)
		}, false},
		"read mail": {func(root string) error {
			return os.WriteFile(filepath.Join(root, ".Gmail", "cur", "1.x,S=1:2,S"), []byte("x"), 0o600)
		}, false},
		"another folder": {func(root string) error {
			return os.MkdirAll(filepath.Join(root, ".Gmail.Mine", "cur"), 0o700)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			d := open(t, s, 1, owner.Limit{})
			must(t, d.EnsureFolders(t.Context(), []string{"Other"}))
			must(t, d.Mark(t.Context(), "Gmail", mark))
			must(t, tc.also(root))
			for range 2 {
				must(t, s.RemoveEmptyFolder(t.Context(), anna(t), "Gmail"))
			}
			left, err := filepath.Glob(filepath.Join(root, ".Gmail*"))
			must(t, err)
			_, whole := os.Stat(filepath.Join(root, ".Gmail", "new"))
			text, err := os.ReadFile(filepath.Join(root, subscriptionsFile))
			must(t, err)
			subscribed := strings.Contains(string(text), "Gmail")
			if gone := len(left) == 0; gone != tc.gone || whole == nil == tc.gone || subscribed == tc.gone ||
				!strings.Contains(string(text), "Other") {
				t.Errorf("left are %v, %v, subscribed %q", left, whole, text)
			}
		})
	}
}
