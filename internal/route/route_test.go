package route_test

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/route"
)

func TestAStartIsCountedBackFromWhenTheAccountWasAdded(t *testing.T) {
	created := time.Date(2026, 11, 21, 9, 0, 0, 999_000_000, time.FixedZone("CET", 3600))
	for s, want := range map[route.Start]time.Time{
		route.StartAll: {},
		route.StartNew: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
		30:             time.Date(2026, 10, 22, 8, 0, 0, 0, time.UTC),
	} {
		if got := s.Since(created); got != want {
			t.Errorf("%s: since %s, want %s", s, got, want)
		}
	}
}

func TestWiderStarts(t *testing.T) {
	order := []route.Start{route.StartNew, 1, 30, route.StartAll}
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
		s, err := route.ParseStart(text)
		if err != nil {
			return
		}
		if again, err := route.ParseStart(s.String()); err != nil || again != s || s < route.StartNew ||
			s > route.MaxStartDays {
			t.Errorf("%q became %d, then %d, %v", text, s, again, err)
		}
	})
}

func TestFolderRules(t *testing.T) {
	r := route.FolderRules{Include: []string{"INBOX", "Archive", `\Sent`}, Exclude: []string{"Archive/2019", `\Junk`}}
	for _, tc := range []struct {
		name, use string
		want      bool
	}{
		{"INBOX", "", true},
		{"inbox", "", true},
		{"INBOX/Work", "", false},
		{"Archive", "", true},
		{"Archive/2020", "", true},
		{"Archive/2019", "", false},
		{"Archive/2019/Q1", "", false},
		{"Archived", "", false},
		{"Wysłane", `\Sent`, true},
		{"Archive/Spam", `\Junk`, false},
		{"Other", "", false},
	} {
		if got := r.Selects(tc.name, tc.use); got != tc.want {
			t.Errorf("%s %s: %v", tc.name, tc.use, got)
		}
	}
	if !(route.FolderRules{}).Selects("anything", "") {
		t.Error("no rules choose all")
	}
}
