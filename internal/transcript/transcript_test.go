package transcript

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const id, other = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// A transcript is its owner's alone, whatever was there before, and leads nowhere.
func TestATranscriptIsReadByItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	open, link := filepath.Join(dir, "open.log"), filepath.Join(dir, "link.log")
	must(t, os.WriteFile(open, []byte("before"), 0o644))
	must(t, os.Symlink(open, link))
	f, err := Create(open, time.Now)
	must(t, err)
	f.Line("C: NOOP")
	must(t, f.Close())
	must(t, f.Close())
	f.Line("C: LATE")
	st, err := os.Stat(open)
	must(t, err)
	text := lines(t, open)
	if st.Mode().Perm() != 0o600 || !strings.HasSuffix(text, "Z C: NOOP\n") || strings.Contains(text, "before") {
		t.Errorf("mode %v, %q", st.Mode().Perm(), text)
	}
	for _, path := range []string{link, dir, filepath.Join(dir, "none", "x.log")} {
		if f, err := Create(path, time.Now); err == nil {
			t.Errorf("%s was opened", path)
			must(t, f.Close())
		}
	}
}

func TestATranscriptIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	f, err := Create(path, time.Now)
	must(t, err)
	long := strings.Repeat("x", 1<<20)
	for range 12 {
		f.Line(long)
	}
	must(t, f.Close())
	text := lines(t, path)
	if len(text) > maxBytes || len(text) < maxBytes/2 || !strings.HasSuffix(text, full) || strings.Count(text, full) != 1 {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-80:])
	}
}

// An account's transcript is written for a day, kept for a week after that, and
// goes with the account.
func TestAnAccountsTranscriptIsWrittenForADay(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	d := NewDir(filepath.Join(t.TempDir(), "transcripts"), func() time.Time { return now })
	visit := func(id, line string) bool {
		t.Helper()
		f, err := d.Record(id)
		must(t, err)
		if f == nil {
			return false
		}
		f.Line(line)
		must(t, f.Close())
		return true
	}
	if _, err := d.Read(id); !errors.Is(err, fs.ErrNotExist) || visit(id, "C: never") {
		t.Errorf("before it was switched on: %v", err)
	}
	st, err := d.SwitchOn(id)
	must(t, err)
	if !st.Until.Equal(now.Add(day)) || visit(other, "C: other") || !visit(id, "C: one") {
		t.Errorf("%+v", st)
	}
	now = now.Add(23 * time.Hour)
	st, err = d.SwitchOn(id)
	must(t, err)
	if !st.Until.Equal(now.Add(day)) || st.Bytes == 0 || !visit(id, "C: two") {
		t.Errorf("switched on again: %+v", st)
	}
	now = now.Add(day)
	text, err := d.Read(id)
	must(t, err)
	if visit(id, "C: three") || !strings.Contains(text, "C: one\n") || !strings.Contains(text, "C: two\n") {
		t.Errorf("after a day: %q", text)
	}
	there := func(string) (bool, error) { return true, nil }
	must(t, d.Prune(there))
	if st, err := d.Status(id); err != nil || st.Bytes == 0 {
		t.Errorf("after a day: %+v, %v", st, err)
	}
	now = now.Add(kept)
	must(t, d.Prune(there))
	if st, err := d.Status(id); err != nil || st != (Status{}) {
		t.Errorf("after a week: %+v, %v", st, err)
	}
	_, err = d.SwitchOn(id)
	must(t, err)
	must(t, d.Prune(func(string) (bool, error) { return false, nil }))
	if visit(id, "C: gone") {
		t.Error("the transcript of an account that is gone stays")
	}
	_, err = d.SwitchOn(id)
	must(t, err)
	must(t, d.SwitchOff(id))
	must(t, d.SwitchOff(id))
	for _, bad := range []string{"", "../x", "a.b", "/etc/passwd"} {
		if _, err := d.SwitchOn(bad); err == nil || visit(bad, "C: bad") {
			t.Errorf("%q is an account", bad)
		}
	}
}
