package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

func TestTheSpoolsNoteIsReadAsItWasWrittenLast(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	want := func(d *Delivery, n int64, known bool) {
		t.Helper()
		if got, ok, err := d.Generation(t.Context()); err != nil || got != n || ok != known {
			t.Errorf("the note is %d, %v, %v; want %d, %v", got, ok, err, n, known)
		}
	}
	want(d, 0, false)
	for n := range int64(12) { // Past where names no longer sort as numbers do.
		must(t, d.SetGeneration(t.Context(), n))
	}
	want(d, 11, true)
	other := open(t, s, 2, owner.Limit{})
	want(other, 11, true)
	must(t, other.SetGeneration(t.Context(), 12))
	must(t, d.SetGeneration(t.Context(), 9)) // One that was overtaken takes nothing back.
	want(open(t, s, 3, owner.Limit{}), 12, true)
	must(t, other.Sweep(t.Context(), nil))
	want(other, 12, true)
	must(t, os.RemoveAll(filepath.Join(root, spool.Dir, journal)))
	want(open(t, s, 4, owner.Limit{}), 0, false)
}

func TestATokenIsFoundWhereverTheUserPutTheMessage(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 5)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail", "Gmail/Old"))))
	move := func(n int, to, flags string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(root, ".Gmail*", "*", "*"+string(token(n))+"*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("message %d is at %v, %v", n, names, err)
		}
		name, _, _ := strings.Cut(filepath.Base(names[0]), ":")
		must(t, os.MkdirAll(filepath.Join(root, to), 0o700))
		must(t, os.Rename(names[0], filepath.Join(root, to, name+flags)))
	}
	move(1, "cur", ":2,S")
	move(2, ".Elsewhere.Deep/cur", ":2,FRSTabc")
	move(3, ".Gmail/new", "")
	must(t, os.Remove(mustGlob(t, filepath.Join(root, ".Gmail*", "*", "*"+string(token(4))+"*"))))
	must(t, os.WriteFile(filepath.Join(root, ".Gmail", "cur", "1.M2P3.others,S=4:2,"), []byte("text"), 0o600))
	must(t, os.WriteFile(filepath.Join(root, ".Gmail", "cur", "x.F"+strings.Repeat("a", 25)+".h,S=4"), nil, 0o600))

	got := map[mail.Token]mail.Found{}
	err = d.Tokens(t.Context(), func(token mail.Token, f mail.Found) { got[token] = f })
	must(t, err)
	if len(got) != 4 {
		t.Errorf("%d tokens were found: %v", len(got), got)
	}
	for n, folder := range map[int]string{1: ".", 2: ".Elsewhere.Deep", 3: ".Gmail", 5: ".Gmail"} {
		f := got[token(n)]
		st := all[n-1]
		if !strings.HasPrefix(f.Where, folder+"/") || f.Received != received.Unix() || f.VirtualSize != st.VirtualSize {
			t.Errorf("message %d was found as %+v", n, f)
		}
		sum, err := d.Fingerprint(t.Context(), f)
		if err != nil || sum != st.Fingerprint {
			t.Errorf("message %d reads as %+v, %v, and was staged as %+v", n, sum, err, st.Fingerprint)
		}
	}
	gone := got[token(1)]
	gone.Where += "x"
	if _, err := d.Fingerprint(t.Context(), gone); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the error for a message that was moved meanwhile is %v", err)
	}
}

func mustGlob(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) != 1 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names[0]
}

func TestASpoolFileOfAForgottenLifeDoesNotStandInTheWay(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 7, owner.Limit{})
	leftover := filepath.Join(root, spool.Dir, journal, fmt.Sprintf("%s.e7", token(1)))
	must(t, os.WriteFile(leftover, []byte("half a mess"), 0o600))
	all, err := stage(d, 1)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	if _, err := d.Stage(t.Context(), token(1), strings.NewReader("x"), received, 10); err == nil {
		t.Error("what this delivery staged was replaced")
	}
	must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail"))))
	text, err := os.ReadFile(mustGlob(t, filepath.Join(root, ".Gmail", "*", "*"+string(token(1))+"*")))
	if err != nil || string(text) != strings.ReplaceAll(message(1), "\r\n", "\n") {
		t.Errorf("%q was delivered, %v", text, err)
	}
}

func TestAnInventoryIsComplete(t *testing.T) {
	s, root := newStore(t, Options{})
	if inv, err := s.Inspect(t.Context(), anna(t)); err != nil || len(inv.Files)+len(inv.Folders) != 0 {
		t.Errorf("a mailbox that is not there holds %+v, %v", inv, err)
	}
	limit := int64(1 << 30)
	d := open(t, s, 1, owner.Limit{Bytes: &limit})
	must(t, d.Reserve(t.Context(), 1, 1))
	d.Release(1, 1)
	all, err := stage(d, 3)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	must(t, d.SetGeneration(t.Context(), 5))
	must(t, errOf(d.Publish(t.Context(), placements(all[:2], "Gmail/Żółw"))))
	must(t, os.MkdirAll(filepath.Join(root, ".Other", "cur"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, ".Other", "cur", "1.a.b:2,S"), []byte("text"), 0o600))

	inv, err := s.Inspect(t.Context(), anna(t))
	must(t, err)
	subscribed := map[string]bool{}
	for _, f := range inv.Folders {
		subscribed[f.Dir] = f.Subscribed
	}
	if want := map[string]bool{".": true, ".Gmail": true, DirName("Gmail/Żółw"): true, ".Other": false}; fmt.Sprint(
		subscribed) != fmt.Sprint(want) {
		t.Errorf("folders %v, want %v", subscribed, want)
	}
	tokens := map[mail.Token]bool{}
	for _, f := range inv.Files {
		tokens[f.Token] = true
		if f.Token != "" && f.Size != f.Named {
			t.Errorf("%+v", f)
		}
	}
	if !tokens[""] || !tokens[token(1)] || !tokens[token(2)] || len(inv.Files) != 3 {
		t.Errorf("files %+v", inv.Files)
	}
	spool := inv.Spools[journal]
	if len(spool) != 1 || spool[all[2].Spool] != all[2].FileSize || inv.Notes[journal] != 5 {
		t.Errorf("the spool %v, its note %v", inv.Spools, inv.Notes)
	}
	size := all[0].FileSize + all[1].FileSize
	if inv.Measured != (check.Usage{Bytes: size + 4, Messages: 3}) || inv.Quota == nil ||
		*inv.Quota != (check.Usage{Bytes: size, Messages: 2}) {
		t.Errorf("measured %+v, noted %+v", inv.Measured, inv.Quota)
	}
}
