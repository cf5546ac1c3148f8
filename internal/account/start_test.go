package account_test

import (
	"errors"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/route"
)

func TestStartAndSizeAreChecked(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	if a.Start != route.StartAll || a.MaxMessageBytes != route.DefaultMessageBytes {
		t.Errorf("by default: start %s, %d bytes", a.Start, a.MaxMessageBytes)
	}
	for field, p := range map[string]account.Patch{
		"start":             {Settings: account.Settings{Start: ptr(route.Start(route.MaxStartDays + 1))}},
		"max_message_bytes": {Settings: account.Settings{MaxMessageBytes: ptr(int64(route.MostMessageBytes + 1))}},
	} {
		var bad *account.InvalidError
		if _, err := f.Update(t.Context(), f.anna, a.ID, p); !errors.As(err, &bad) || bad.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{MaxMessageBytes: ptr(
		int64(route.LeastMessageBytes - 1))}}); err == nil {
		t.Error("too small a limit was accepted")
	}
}

// What brings more mail is visited at once; what brings less is not.
func TestAskingForMoreMailMakesTheAccountDue(t *testing.T) {
	f := setup(t)
	d := draft("anna@gmail.com")
	d.Start, d.MaxMessageBytes = ptr(route.StartNew), ptr(int64(5<<20))
	a := f.add(t, d)
	for _, step := range []struct {
		name  string
		patch account.Patch
		due   bool
	}{
		{"30 days", account.Patch{Settings: account.Settings{Start: ptr(route.Start(30))}}, true},
		{"the same", account.Patch{Settings: account.Settings{Start: ptr(route.Start(30))}}, false},
		{"all", account.Patch{Settings: account.Settings{Start: ptr(route.StartAll)}}, true},
		{"new again", account.Patch{Settings: account.Settings{Start: ptr(route.StartNew)}}, false},
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
