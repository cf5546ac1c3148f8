package account_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// grants are what users allowed at a provider that serves Google's hosts.
type grants struct {
	all     map[string]account.Grant
	dropped []string
	fail    error // What asking for tokens answers.
}

func (g *grants) Grant(_ context.Context, o owner.Owner, id string) (account.Grant, error) {
	x, ok := g.all[id]
	if !ok || o.String() != "anna@firma.test" {
		return x, account.ErrNotFound
	}
	return x, g.fail
}

func (g *grants) DropGrant(_ context.Context, _ owner.Owner, id string) error {
	g.dropped = append(g.dropped, id)
	return nil
}

func (g *grants) ServesHost(provider, host string) bool {
	return provider == "google" && (host == "imap.gmail.com" || host == "pop.gmail.com")
}

func (g *grants) Credential(_ context.Context, a remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{Auth: remote.OAuth2, Username: a.Username, Secret: remote.NewSecret("fresh token")}, g.fail
}

func granting(t *testing.T) (*fixture, *grants) {
	f := setup(t)
	allowed := func(email string) account.Grant {
		return account.Grant{
			Provider: "google", Name: "Google", Email: email, Access: remote.NewSecret("access"),
			Lasting: remote.NewSecret("lasting"),
		}
	}
	g := &grants{all: map[string]account.Grant{
		"hers": allowed("anna@gmail.com"), "another's": allowed("jan@gmail.com"),
		"nobody's": allowed(""),
	}}
	f.Registry.Grants = g
	return f, g
}

func granted(id string) account.Draft {
	return account.Draft{Settings: account.Settings{Email: ptr("Anna@gmail.com")}, Grant: id}
}

func TestAGrantIsTriedThenKeptThenForgotten(t *testing.T) {
	f, g := granting(t)
	a := f.add(t, granted("hers"))
	if a.Auth != remote.OAuth2 || f.prober.secret != "access" || string(f.rows.sealed[a.ID]) != "lasting" ||
		!slices.Equal(g.dropped, []string{"hers"}) {
		t.Errorf("auth %s, tried %q, kept %q, forgotten %q", a.Auth, f.prober.secret, f.rows.sealed[a.ID], g.dropped)
	}
	// What is saved is tried with a fresh token; the provider's other server takes it too.
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{
		Settings: account.Settings{Protocol: ptr(remote.POP3)},
	}); err != nil ||
		f.prober.secret != "fresh token" {
		t.Errorf("by another protocol: tried %q, %v", f.prober.secret, err)
	}
	if string(f.rows.sealed[a.ID]) != "lasting" {
		t.Error("what was kept is lost")
	}
	// And back to a password, and once more.
	b, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Password: ptr(remote.NewSecret("haslo"))})
	if err != nil || b.Auth != remote.Password || string(f.rows.sealed[a.ID]) != "haslo" {
		t.Errorf("with a password: %+v, %v", b, err)
	}
	b, err = f.Update(t.Context(), f.anna, a.ID, account.Patch{Grant: "hers"})
	if err != nil || b.Auth != remote.OAuth2 || string(f.rows.sealed[a.ID]) != "lasting" || b.Journal != a.Journal ||
		b.Folder != a.Folder {
		t.Errorf("signed in again: %+v, %v", b, err)
	}
}

func TestAGrantThatFailsIsKeptForAnotherTry(t *testing.T) {
	f, g := granting(t)
	f.prober.report = account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.AccessDisabled}}
	var failed *account.TestFailedError
	if _, err := f.Create(t.Context(), f.anna, granted("hers")); !errors.As(err, &failed) || len(g.dropped) > 0 {
		t.Errorf("%v, forgotten %q", err, g.dropped)
	}
	// The provider is in the way: that is what the test found.
	f.prober.report = account.TestReport{OK: true}
	g.fail = fault.New(fault.ServerUnavailable, "asking", words.Say("out of order"))
	if _, err := f.Create(t.Context(), f.anna, granted("hers")); !errors.As(err, &failed) ||
		failed.Report.Diagnosis.Code != fault.ServerUnavailable {
		t.Errorf("adding: %v", err)
	}
	if rep, err := f.Test(t.Context(), f.anna, granted("hers")); err != nil || rep.OK ||
		rep.Diagnosis.Detail.String() != "out of order" || len(rep.Steps) != 1 {
		t.Errorf("trying: %+v, %v", rep, err)
	}
}

// TestAGrantOfAFoldedAddressIsAnothers: by ASCII case alone are two addresses one.
func TestAGrantOfAFoldedAddressIsAnothers(t *testing.T) {
	for signed, same := range map[string]bool{
		"Kowal.S@GMAIL.com": true, "\u212Aowal.s@gmail.com": false,
		"kowal.\u017F@gmail.com": false,
	} {
		f, g := granting(t)
		grant := g.all["hers"]
		grant.Email = signed
		g.all["hers"] = grant
		_, err := f.Create(t.Context(), f.anna, account.Draft{
			Settings: account.Settings{Email: ptr("kowal.s@gmail.com")},
			Grant:    "hers",
		})
		if differs := (*account.AddressDiffersError)(nil); errors.As(err, &differs) == same {
			t.Errorf("signed in as %q: %v", signed, err)
		}
	}
}

// TestOnlyAFittingGrantIsTaken is U41, and that tokens stay with the provider.
func TestOnlyAFittingGrantIsTaken(t *testing.T) {
	f, _ := granting(t)
	var differs *account.AddressDiffersError
	if _, err := f.Create(t.Context(), f.anna, granted("another's")); !errors.As(err, &differs) ||
		differs.Signed != "jan@gmail.com" || differs.Email != "Anna@gmail.com" {
		t.Errorf("another mailbox's: %v", err)
	}
	bea, err := owner.Parse("bea@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*account.Draft)) account.Draft {
		d := granted("hers")
		change(&d)
		return d
	}
	for name, tc := range map[string]struct {
		owner owner.Owner
		draft account.Draft
		field string
	}{
		"one that is not there": {f.anna, granted("nothing"), "oauth_grant"},
		"somebody else's":       {bea, granted("hers"), "oauth_grant"},
		"with a password": {f.anna, with(func(d *account.Draft) {
			d.Password = remote.NewSecret("x")
		}), "password"},
		"for somebody's own server": {f.anna, with(func(d *account.Draft) { d.Host = ptr("imap.evil.test") }), "server.host"},
	} {
		var bad *account.InvalidError
		if _, err := f.Create(t.Context(), tc.owner, tc.draft); !errors.As(err, &bad) || bad.Fields[0].Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Registry.AllowPlaintext = true
	var bad *account.InvalidError
	if _, err := f.Create(t.Context(), f.anna, with(func(d *account.Draft) {
		d.Security = ptr(remote.None)
	})); !errors.As(err, &bad) || bad.Fields[0].Field != "server.security" {
		t.Errorf("in the clear: %v", err)
	}
	if len(f.rows.accounts) > 0 || len(f.prober.tested) > 0 {
		t.Error("something was tried or saved")
	}
	d := granted("another's")
	d.ConfirmAddress = true
	a := f.add(t, d)
	for name, tc := range map[string]struct {
		patch account.Patch
		field string
	}{
		"another user name": {account.Patch{Settings: account.Settings{Username: ptr("jan")}}, "oauth_grant"},
		"in the clear":      {account.Patch{Settings: account.Settings{Security: ptr(remote.None)}}, "server.security"},
		"both":              {account.Patch{Grant: "hers", Password: ptr(remote.NewSecret("x"))}, "password"},
	} {
		if _, err := f.Update(t.Context(), f.anna, a.ID, tc.patch); !errors.As(err, &bad) || bad.Fields[0].Field != tc.field {
			t.Errorf("changed to %s: %v", name, err)
		}
	}
	// One of which the provider did not say whose it is: the mail server decides.
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Grant: "nobody's"}); err != nil {
		t.Errorf("nobody's: %v", err)
	}
	f.Registry.Grants = nil
	if _, err := f.Create(t.Context(), f.anna, granted("hers")); !errors.As(err, &bad) ||
		bad.Fields[0].Field != "oauth_grant" {
		t.Errorf("where nothing is offered: %v", err)
	}
}
