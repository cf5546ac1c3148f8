package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
)

func TestAStartIsCountedBackFromWhenTheAccountWasAdded(t *testing.T) {
	created := time.Date(2026, 11, 21, 9, 0, 0, 999_000_000, time.FixedZone("CET", 3600))
	for s, want := range map[account.Start]time.Time{
		account.StartAll: {},
		account.StartNew: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
		30:               time.Date(2026, 10, 22, 8, 0, 0, 0, time.UTC),
	} {
		if got := s.Since(created); got != want {
			t.Errorf("%s: since %s, want %s", s, got, want)
		}
	}
}

func TestWiderStarts(t *testing.T) {
	order := []account.Start{account.StartNew, 1, 30, account.StartAll}
	for i, a := range order {
		for j, b := range order {
			if got := a.Wider(b); got != (i > j) {
				t.Errorf("%s wider than %s: %v", a, b, got)
			}
		}
	}
}

func FuzzParseStart(f *testing.F) {
	for _, s := range []string{
		"all", "new", "30d", "0d", "-1d", "+5d", "36501d", "30", "", "d", "1e3d",
		"99999999999999999999d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := account.ParseStart(text)
		if err != nil {
			return
		}
		if again, err := account.ParseStart(s.String()); err != nil || again != s || s < account.StartNew ||
			s > account.MaxStartDays {
			t.Errorf("%q became %d, then %d, %v", text, s, again, err)
		}
	})
}

func TestStartAndSizeAreChecked(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	if a.Start != account.StartAll || a.MaxMessageBytes != account.DefaultMessageBytes {
		t.Errorf("by default: start %s, %d bytes", a.Start, a.MaxMessageBytes)
	}
	for field, p := range map[string]account.Patch{
		"start":             {Settings: account.Settings{Start: ptr(account.Start(account.MaxStartDays + 1))}},
		"max_message_bytes": {Settings: account.Settings{MaxMessageBytes: ptr(int64(account.MostMessageBytes + 1))}},
	} {
		var bad *account.InvalidError
		if _, err := f.Update(t.Context(), f.anna, a.ID, p); !errors.As(err, &bad) || bad.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{MaxMessageBytes: ptr(
		int64(account.LeastMessageBytes - 1))}}); err == nil {
		t.Error("too small a limit was accepted")
	}
}

// What brings more mail is visited at once; what brings less is not.
func TestAskingForMoreMailMakesTheAccountDue(t *testing.T) {
	f := setup(t)
	d := draft("anna@gmail.com")
	d.Start, d.MaxMessageBytes = ptr(account.StartNew), ptr(int64(5<<20))
	a := f.add(t, d)
	for _, step := range []struct {
		name  string
		patch account.Patch
		due   bool
	}{
		{"30 days", account.Patch{Settings: account.Settings{Start: ptr(account.Start(30))}}, true},
		{"the same", account.Patch{Settings: account.Settings{Start: ptr(account.Start(30))}}, false},
		{"all", account.Patch{Settings: account.Settings{Start: ptr(account.StartAll)}}, true},
		{"new again", account.Patch{Settings: account.Settings{Start: ptr(account.StartNew)}}, false},
		{"larger", account.Patch{Settings: account.Settings{MaxMessageBytes: ptr(int64(6 << 20))}}, true},
		{"smaller", account.Patch{Settings: account.Settings{MaxMessageBytes: ptr(int64(1 << 20))}}, false},
	} {
		before := len(f.rows.dueNow)
		b, err := f.Update(t.Context(), f.anna, a.ID, step.patch)
		if err != nil || len(f.rows.dueNow) > before != step.due {
			t.Errorf("%s: %v, due %v, %+v", step.name, err, f.rows.dueNow, b)
		}
	}
}
