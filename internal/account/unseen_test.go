package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// unseen are signs of which nothing is seen, each of another kind.
var unseen = []string{
	"\u200b", "\u00ad", "\u200c", "\u2060", "\u3164", "\u115f", "\u2800", "\ufeff", "\U000e0041", "\u034f", "\u180e",
	"\ufe0f", "\ufff9", "\u200b \u2060",
}

// refused are the fields that an error is about.
func refused(err error) string {
	var bad *account.InvalidError
	if !errors.As(err, &bad) {
		return ""
	}
	fields := make([]string, len(bad.Fields))
	for i, f := range bad.Fields {
		fields[i] = f.Field
	}
	return strings.Join(slices.Compact(fields), " ")
}

func TestANameOfNothingVisibleIsRefused(t *testing.T) {
	f := setup(t)
	for _, sign := range unseen {
		for field, edit := range map[string]func(*account.Draft){
			"name":        func(d *account.Draft) { d.Name, d.Folder = ptr(sign), ptr("Poczta") },
			"sender_name": func(d *account.Draft) { d.SenderName = ptr("\U000e0041" + sign + "\ufe0f") },
			"folder":      func(d *account.Draft) { d.Folder = ptr("Poczta/" + sign + "/x") },
			"email":       func(d *account.Draft) { d.Email = ptr("an" + sign + "na@gmail.com") },
			"username":    func(d *account.Draft) { d.Username = ptr("an" + sign + "na") },
		} {
			d := draft("anna@gmail.com")
			edit(&d)
			if _, err := f.Create(t.Context(), f.anna, d); refused(err) != field {
				t.Errorf("%+q in %s: %v", sign, field, err)
			}
		}
		if _, err := f.Discover(t.Context(), f.anna, "anna@gm"+sign+"ail.com"); refused(err) != "email" {
			t.Errorf("%+q in an address that is looked for: %v", sign, err)
		}
	}
	if len(f.rows.accounts) != 0 {
		t.Error("something was saved")
	}
}

// The control: signs that belong to a visible one stay, also in names of domains.
func TestWhatJoinsLettersStays(t *testing.T) {
	f := setup(t)
	f.Limit = 100
	for i, name := range []string{
		"❤\ufe0f", "👩\u200d💻", "نامه\u200cای", "🏴\U000e0067\U000e0062\U000e007f", "\u0600", "a\u00adb",
	} {
		d := draft("a@نامه\u200cای.test")
		d.Host, d.Username, d.Name = ptr("mail.example.test"), ptr(strings.Repeat("u", i+1)), &name
		d.Folder = ptr("Poczta/" + name)
		if a := f.add(t, d); a.Name != name || a.Folder != "Poczta/"+name || a.Email != *d.Email {
			t.Errorf("%+q: %+q in %+q of %+q", name, a.Name, a.Folder, a.Email)
		}
	}
	d := draft("a@gma\u200cil.com")
	if _, err := f.Create(t.Context(), f.anna, d); refused(err) != "email" {
		t.Errorf("a joiner that joins nothing: %v", err)
	}
}

func TestWhatCameAlongWhenPastingIsTakenOff(t *testing.T) {
	f := setup(t)
	found, err := f.Discover(t.Context(), f.anna, "\ufeffanna@gmail.com\u200b")
	if err != nil || found.Source != "preset" {
		t.Errorf("found %+v, %v", found, err)
	}
	d := draft("\u202aanna@gmail.com \u200b")
	d.Name, d.SenderName, d.Folder = ptr("\u200bPoczta \u2060"), ptr("Anna\u00ad"), ptr("\ufeffGmail\u200b")
	d.Username = ptr("anna\u200b")
	a := f.add(t, d)
	if a.Email != "anna@gmail.com" || a.Name != "Poczta" || a.SenderName != "Anna" || a.Folder != "Gmail" ||
		a.Username != "anna" {
		t.Errorf("added %+q", []string{a.Email, a.Name, a.SenderName, a.Folder, a.Username})
	}
	a, err = f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{
		Name:   ptr("Praca\u200b"),
		Folder: ptr("\u200bPraca"),
	}})
	if err != nil || a.Name != "Praca" || a.Folder != "Praca" {
		t.Errorf("changed to %+q in %+q, %v", a.Name, a.Folder, err)
	}
	_, err = f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{
		Name:   ptr("\U000e0041"),
		Folder: ptr("Praca/\u200b/x"),
	}})
	if got := refused(err); got != "name folder" {
		t.Errorf("refused %q: %v", got, err)
	}
}

// An account that an earlier version took can still be edited.
func TestAnAccountWithAnInvisibleNameCanBeEdited(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	a.Name, a.Folder, a.Email = "\u200b", "\u200b", "a\u200b@gmail.com"
	f.rows.accounts[0] = a
	b, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{Enabled: ptr(false)}})
	if err != nil || b.Enabled || b.Name != a.Name || b.Folder != a.Folder {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestADomainIsAsAProgramWouldLookForIt(t *testing.T) {
	for address, want := range map[string]string{
		"a@Gmail.COM": "gmail.com", "a@gmail\u3002com": "gmail.com", "a@\uff47\uff4d\uff41\uff49\uff4c.com": "gmail.com",
		"a@gma\u00adil.com": "gmail.com", "a@ZAŻÓŁĆ.pl": "zażółć.pl", "a@xn--za-6ja4f8n1l.pl": "xn--za-6ja4f8n1l.pl",
		"a@\u0433mail.com": "\u0433mail.com", "a@-\u00df-": "-\u00df-", "a_b@x_y.test": "x_y.test", "anna": "",
	} {
		if got := owner.Domain(address); got != want {
			t.Errorf("%+q: %+q, want %+q", address, got, want)
		}
	}
}
