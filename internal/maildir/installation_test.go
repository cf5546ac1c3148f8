package maildir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever is where the identity, or the mailboxes themselves, should be is distinguished
// from a disk that does not answer, and nobody waits for who writes into a pipe.
func TestWhatIsNoIdentityIsDamage(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe":      func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
		"huge":        func(path string) error { return os.Truncate(path, 1<<33) },
		"a link":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/hostname", path)) },
		"no directory": func(path string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
		},
	} {
		s, path := marked(t)
		if id, err := s.Installation(); id != "ours" || err != nil {
			t.Fatalf("it has %q, %v", id, err)
		}
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		if id, err := s.Installation(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q, %v", what, id, err)
		}
	}
	for _, outage := range []error{unix.EIO, unix.ESTALE, unix.EACCES, unix.EMFILE} { // The control.
		s, _ := marked(t)
		well := s.disk
		for n, tripped := 1, true; tripped; n++ {
			f := &faulty{Disk: well, n: n, err: outage}
			s.disk = f
			if _, err := s.Installation(); errors.Is(err, ErrDamaged) {
				t.Errorf("%v at operation %d is reported as %v", outage, n, err)
			}
			tripped = f.tripped
		}
	}
}

// marked returns a store whose place of mailboxes has an identity, in this file.
func marked(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mail")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Template: "maildir:" + dir + "/{user}", Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.SetInstallation("ours"); !ok || err != nil {
		t.Fatalf("it is not marked: %v, %v", ok, err)
	}
	return s, filepath.Join(dir, placeFile)
}
