package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// Issue 9, row 9, F4: a mailbox that is not at its place any more takes nothing.
func TestF4_AMailboxIsPresentWhileItsPathLeadsToIt(t *testing.T) {
	for name, tc := range map[string]struct {
		do      func(root string) error
		present bool
	}{
		"nothing happens":         {func(string) error { return nil }, true},
		"it is moved away":        {func(root string) error { return os.Rename(root, root+".old") }, false},
		"another takes its place": {func(root string) error { return putInPlace(root, root) }, false},
		"its domain is moved away": {func(root string) error {
			return os.Rename(filepath.Dir(root), filepath.Dir(root)+".old")
		}, false},
		"another takes its domain": {func(root string) error { return putInPlace(filepath.Dir(root), root) }, false},
		"it is moved and comes back": {func(root string) error {
			return errors.Join(os.Rename(root, root+".old"), os.Rename(root+".old", root))
		}, true},
		"a link to it takes its place": {func(root string) error {
			return errors.Join(os.Rename(root, root+".old"), os.Symlink(root+".old", root))
		}, false},
		"the place of mailboxes is reached through a link": {func(root string) error {
			mail := filepath.Dir(filepath.Dir(root))
			return errors.Join(os.Rename(mail, mail+".disk"), os.Symlink(mail+".disk", mail))
		}, true},
		"the link to the place of mailboxes leads elsewhere": {func(root string) error {
			mail := filepath.Dir(filepath.Dir(root))
			other := filepath.Join(mail+".other", "firma.test", "anna", "cur")
			return errors.Join(os.MkdirAll(other, 0o700), os.Rename(mail, mail+".disk"), os.Symlink(mail+".other", mail))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			d := open(t, s, 1, owner.Limit{})
			all, err := stage(d, 2)
			must(t, err)
			must(t, seal(t.Context(), d, all))
			must(t, tc.do(root))
			for _, err := range []error{d.Present(t.Context()), errOf(d.Publish(t.Context(), placements(all, "Gmail")))} {
				if tc.present && err != nil {
					t.Error(err)
				} else if !tc.present {
					wantCode(t, err, fault.LocalMailboxUnavailable)
				}
			}
		})
	}
}

// putInPlace moves a directory away and makes a mailbox at this path.
func putInPlace(dir, root string) error {
	err := os.Rename(dir, dir+".old")
	for _, sub := range subdirs {
		err = errors.Join(err, os.MkdirAll(filepath.Join(root, sub), 0o700))
	}
	return err
}

// blind is a disk on which all directories look like one.
type blind struct{ disk.Disk }

func (b blind) Fstat(fd int) (disk.Stat, error) {
	st, err := b.Disk.Fstat(fd)
	st.Ino = 1
	return st, err
}

func (b blind) Lstat(dir int, name string) (disk.Stat, error) {
	st, err := b.Disk.Lstat(dir, name)
	st.Ino = 1
	return st, err
}

// A folder that is taken out of the mailbox while mail is put there takes none with
// it; one that its user renames keeps what has come. The control cannot tell
// directories apart.
func TestF4_AFolderThatIsTakenOutOfTheMailboxTakesNoMailWithIt(t *testing.T) {
	const first, second = 2, 4 // Messages that came before, and of four that come.
	for name, tc := range map[string]struct {
		do    func(root, folder string) error
		fails bool
		lost  bool // By the control.
		there int  // Under the folder's name, in the end.
	}{
		"renamed by its user": {func(root, folder string) error {
			return os.Rename(folder, filepath.Join(root, ".Old"))
		}, false, false, 0},
		"moved out": {func(_, folder string) error { return os.Rename(folder, folder+".out") }, false, false, 0},
		"moved out of the mailbox": {func(root, folder string) error {
			return os.Rename(folder, root+".out")
		}, true, true, second},
		"another takes its place": {func(root, folder string) error {
			err := os.Rename(folder, root+".out")
			for _, sub := range subdirs {
				err = errors.Join(err, os.MkdirAll(filepath.Join(folder, sub), 0o700))
			}
			return err
		}, true, true, second},
		"its new is exchanged": {func(root, folder string) error {
			return errors.Join(os.Rename(filepath.Join(folder, "new"), root+".out"),
				os.Mkdir(filepath.Join(folder, "new"), 0o700))
		}, true, true, second},
		"removed with all that is in it": {func(_, folder string) error { return os.RemoveAll(folder) }, false, false, 1},
	} {
		for _, control := range []bool{false, true} {
			for _, linked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/control=%v/linked=%v", name, control, linked), func(t *testing.T) {
					renames := 0
					var s *Store
					var root string
					s, root = newStore(t, Options{Step: func(step string) {
						if step != "publish.rename" {
							return
						}
						if renames++; renames == first+second { // Before the last of them.
							must(t, tc.do(root, filepath.Join(root, ".Gmail")))
						}
					}})
					if linked {
						s.disk = noMove{s.disk}
					}
					d := open(t, s, 1, owner.Limit{})
					all, err := stage(d, first+second)
					must(t, err)
					must(t, seal(t.Context(), d, all))
					ps := placements(all, "Gmail")
					for i := range ps {
						ps[i].Flags = 0
					}
					must(t, errOf(d.Publish(t.Context(), ps[:first])))
					if control {
						s.disk = blind{s.disk}
						st, err := s.disk.Fstat(d.root.FD)
						must(t, err)
						d.root.Stat, d.root.Disk = st, s.disk
					}
					err = errOf(d.Publish(t.Context(), ps[first:]))
					if failed := err != nil; failed != (tc.fails && !control) {
						t.Fatalf("delivering: %v", err)
					} else if failed {
						wantCode(t, err, fault.LocalMailboxUnavailable)
						must(t, errOf(d.Publish(t.Context(), ps[first:]))) // The next visit does.
					}
					mails, spool := tree(t, root)
					there := 0
					for path := range mails {
						if strings.HasPrefix(path, ".Gmail/") {
							there++
						}
					}
					if lost := there < tc.there; lost != (tc.lost && control) || len(spool) > 0 {
						t.Errorf("%d messages are there, of %d; spool %v", there, tc.there, spool)
					}
				})
			}
		}
	}
}

func TestF4_ACopiedSpoolIsToldFromTheOneThatItWas(t *testing.T) {
	s, root := newStore(t, Options{})
	copied := func(want bool, when string) *Delivery {
		t.Helper()
		d := open(t, s, 1, owner.Limit{})
		if got, err := d.Copied(t.Context()); err != nil || got != want {
			t.Errorf("%s: copied=%v, %v", when, got, err)
		}
		return d
	}
	must(t, copied(false, "without a note").NoteSpool(t.Context()))
	must(t, copied(false, "with one").NoteSpool(t.Context()))
	must(t, os.Rename(root, root+".old"))
	must(t, os.CopyFS(root, os.DirFS(root+".old")))
	d := copied(true, "in a copy")
	must(t, d.NoteSpool(t.Context()))
	copied(false, "in a copy that was noted")
	must(t, os.RemoveAll(root))
	must(t, os.Rename(root+".old", root))
	copied(false, "in the first one again")
}

func TestF4_OnlyAWholeSpoolFileIsIntact(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	all, err := stage(d, 4)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	file := func(i int) string { return filepath.Join(root, spool.Dir, journal, all[i].Spool) }
	must(t, os.Truncate(file(1), all[1].FileSize-1))
	must(t, os.WriteFile(file(2), make([]byte, all[2].FileSize), 0o600))
	must(t, os.Remove(file(3)))
	for i, p := range placements(all, "Gmail") {
		if got, err := d.Intact(t.Context(), p); err != nil || got != (i == 0) {
			t.Errorf("message %d: %v, %v", i, got, err)
		}
	}
}

func TestF4_AFolderIsNotRemovedFromAMailboxThatWasReplaced(t *testing.T) {
	var s *Store
	var root string
	replace := false
	s, root = newStore(t, Options{Step: func(step string) {
		if step == "remove.delete" && replace {
			replace = false
			must(t, os.Rename(root, root+".old"))
			must(t, os.MkdirAll(filepath.Join(root, ".Gmail", "cur"), 0o700))
		}
	}})
	d := open(t, s, 1, owner.Limit{})
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail"}))
	replace = true
	wantCode(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"), fault.LocalMailboxUnavailable)
	must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
	if _, err := os.Stat(filepath.Join(root, ".Gmail")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there after it was removed again: %v", err)
	}
}
