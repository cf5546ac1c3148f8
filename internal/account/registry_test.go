package account_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// rows is a Repository in memory; the real one's own suite is in package store.
type rows struct {
	account.Repository
	accounts []account.Account
	sealed   map[account.ID][]byte
	dueNow   []account.ID
	kept     map[account.ID]bool
}

func (r *rows) Accounts(_ context.Context, o owner.Owner) (out []account.Account, _ error) {
	for _, a := range r.accounts {
		if a.Owner == o {
			out = append(out, a)
		}
	}
	return out, nil
}

func (r *rows) Account(_ context.Context, o owner.Owner, id account.ID) (account.Account, error) {
	for _, a := range r.accounts {
		if a.Owner == o && a.ID == id {
			return a, nil
		}
	}
	return account.Account{}, account.ErrNotFound
}

func (r *rows) Add(_ context.Context, a account.Account, sealed []byte, _ int) (account.Account, error) {
	r.accounts = append(r.accounts, a)
	r.sealed[a.ID] = sealed
	return a, nil
}

func (r *rows) Update(_ context.Context, a account.Account, sealed []byte, dueNow bool) (account.Account, error) {
	i := slices.IndexFunc(r.accounts, func(b account.Account) bool { return a.ID == b.ID })
	r.accounts[i] = a
	if sealed != nil {
		r.sealed[a.ID] = sealed
	}
	if dueNow {
		r.dueNow = append(r.dueNow, a.ID)
	}
	return a, nil
}

func (r *rows) Remove(_ context.Context, o owner.Owner, id account.ID, keep bool, m account.Match) error {
	for _, a := range r.accounts {
		if err := m.Check(a.Version()); a.ID == id && err != nil {
			return err
		}
	}
	r.accounts = slices.DeleteFunc(r.accounts, func(a account.Account) bool { return a.ID == id })
	r.kept[id] = keep
	return nil
}

func (r *rows) SealedSecret(_ context.Context, ref remote.SecretRef) ([]byte, error) {
	return r.sealed[account.ID(ref.Subject)], nil
}

type plainSealer struct{}

func (plainSealer) Seal(_ remote.SecretRef, s remote.Secret) ([]byte, error) {
	return []byte(s.Reveal()), nil
}

func (plainSealer) Unseal(_ remote.SecretRef, b []byte) (remote.Secret, error) {
	return remote.NewSecret(string(b)), nil
}

type presets struct{}

func servers(imap, pop3 string) map[remote.Protocol]remote.Server {
	out := map[remote.Protocol]remote.Server{}
	if imap != "" {
		out[remote.IMAP] = remote.Server{Host: imap, Port: 993, Security: remote.TLS}
	}
	if pop3 != "" {
		out[remote.POP3] = remote.Server{Host: pop3, Port: 995, Security: remote.TLS}
	}
	return out
}

func (presets) Suggest(_ context.Context, email string) account.Suggestion {
	switch owner.Domain(email) {
	case "gmail.com":
		return account.Suggestion{Source: "preset", Provider: "google", Name: "Google", Servers: servers("imap.gmail.com",
			"pop.gmail.com"), Username: email}
	case "imaponly.test":
		return account.Suggestion{Source: "preset", Provider: "imaponly", Name: "Imaponly", Servers: servers(
			"imap.imaponly.test", ""), Username: email}
	}
	return account.Suggestion{
		Source: "guess", Provider: "other", Servers: servers("imap."+owner.Domain(email), ""),
		Username: email,
	}
}

func (p presets) Preset(id, email string) (account.Preset, bool) {
	switch id {
	case "google":
		return account.Preset{
			Provider: id, Name: "Google", Servers: servers("imap.gmail.com", "pop.gmail.com"),
			Username: email,
		}, true
	case "locked":
		return account.Preset{
			Provider: id, Name: "Locked", Servers: servers("imap.locked.test", "pop.locked.test"), Username: email,
			Auth: []remote.Auth{remote.OAuth2},
		}, true
	case "other":
		return account.Preset{Provider: id}, true
	}
	return account.Preset{}, false
}

type prober struct {
	report  account.TestReport
	during  func() // What happens meanwhile.
	tested  []account.Account
	secret  string
	written []string // What was written down of tests.
	refuses error    // Not nil: nothing can be.
}

func (p *prober) Begun(_ context.Context, a account.Account) error {
	if p.refuses == nil {
		p.written = append(p.written, "begun at "+a.Server.Host)
	}
	return p.refuses
}

func (p *prober) Failed(_ context.Context, a account.Account, code fault.Code) error {
	p.written = append(p.written, string(code)+" at "+a.Server.Host)
	return nil
}

func (p *prober) Probe(_ context.Context, a account.Account, c remote.Credential) account.TestReport {
	p.tested = append(p.tested, a)
	p.secret = c.Secret.Reveal()
	if p.during != nil {
		p.during()
	}
	return p.report
}

type remotes struct{}

func (remotes) CheckServer(s remote.Server) error {
	if s.Host == "localhost" || s.Port == 25 {
		return fault.New(fault.HostNotAllowed, "checking", words.Say("this host or port may not be named"))
	}
	return nil
}

// OwnHost counts the one host of the operator's own.
func (remotes) OwnHost(_ context.Context, host string) bool { return host == "imap.own.test" }

type folders struct {
	removed    []string
	challenged int // Under way.
	away       error
}

func (f *folders) Reach(context.Context, owner.Owner) error { return f.away }

func (f *folders) RemoveFolder(_ context.Context, _ owner.Owner, folder string) error {
	f.removed = append(f.removed, folder)
	return nil
}

// Challenge makes no folder: who is shown it can tell.
func (f *folders) Challenge(context.Context, owner.Owner) (string, func() error, error) {
	f.challenged++
	return "the challenge", func() error { f.challenged--; return nil }, nil
}

type nudges struct{ n int }

func (n *nudges) Nudge() { n.n++ }

type fixture struct {
	*account.Registry
	rows    *rows
	prober  *prober
	folders *folders
	nudges  *nudges
	anna    owner.Owner
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{rows: &rows{sealed: map[account.ID][]byte{}, kept: map[account.ID]bool{}}, prober: &prober{
		report: account.TestReport{OK: true},
	}, folders: &folders{}, nudges: &nudges{}}
	var err error
	if f.anna, err = owner.Parse("Anna@Firma.test"); err != nil {
		t.Fatal(err)
	}
	f.Registry = account.NewRegistry(account.Options{
		Repository: f.rows, Sealer: plainSealer{}, Presets: presets{}, Prober: f.prober, Tests: f.prober, Remotes: remotes{},
		Folders: f.folders, Nudger: f.nudges,
		AccountFolder: func(name string) (string, error) {
			switch {
			case strings.EqualFold(name, "INBOX"), strings.EqualFold(name, "Sent"):
				return "", account.ErrFolderReserved
			case strings.Contains(name, ".."):
				return "", words.Say("must not contain ..")
			case len(name) > 60:
				name = name[:50] + fmt.Sprintf("~%x", crc32.ChecksumIEEE([]byte(name)))
			}
			return strings.ReplaceAll(strings.TrimSpace(name), ".", "_"), nil
		},
		Limit: 4, PollInterval: 5 * time.Minute, MinInterval: time.Minute, Log: slog.New(slog.DiscardHandler),
	})
	return f
}

func ptr[T any](v T) *T { return &v }

func draft(email string) account.Draft {
	return account.Draft{
		Settings: account.Settings{Email: ptr(email)}, Password: remote.NewSecret("pa55 wörd"),
		SkipTest: true,
	}
}

func (f *fixture) add(t *testing.T, d account.Draft) account.Account {
	t.Helper()
	a, err := f.Create(t.Context(), f.anna, d)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressAndPasswordAreEnoughWhereAPresetKnowsTheRest(t *testing.T) {
	f := setup(t)
	d := draft("anna@gmail.com")
	d.SkipTest = false
	a := f.add(t, d)
	if a.Provider != "google" || a.Protocol != remote.IMAP || a.Name != "Google" || a.Folder != "Google" ||
		a.Username != "anna@gmail.com" ||
		a.Server != (remote.Server{Host: "imap.gmail.com", Port: 993, Security: remote.TLS}) ||
		a.PollInterval != 5*time.Minute || !a.Enabled {
		t.Errorf("got %+v", a)
	}
	if len(f.prober.tested) != 1 || f.nudges.n != 1 {
		t.Errorf("tested %d times, nudged %d times, want 1 and 1", len(f.prober.tested), f.nudges.n)
	}
}

func TestASecondAccountOfAProviderGetsANumber(t *testing.T) {
	f := setup(t)
	f.add(t, draft("anna@gmail.com"))
	f.add(t, draft("bea@gmail.com"))
	if a := f.add(t, draft("cleo@gmail.com")); a.Name != "Google 3" || a.Folder != "Google 3" {
		t.Errorf("got name %q, folder %q", a.Name, a.Folder)
	}
}

// TestATestThatIsStoppedIsWrittenDownAsStopped, and not as one that failed. The control is the same test, not stopped.
func TestATestThatIsStoppedIsWrittenDownAsStopped(t *testing.T) {
	for want, stops := range map[fault.Code]bool{fault.Interrupted: true, fault.Internal: false} {
		f := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		f.prober.report = account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.Internal}}
		if stops {
			f.prober.during = stop
		}
		if _, err := f.Test(ctx, f.anna, draft("anna@gmail.com")); err != nil && !stops {
			t.Fatal(err)
		}
		if n := len(f.prober.written); n != 2 || !strings.HasPrefix(f.prober.written[1], string(want)+" at ") {
			t.Errorf("written down: %q, want %s", f.prober.written, want)
		}
	}
}

func TestAFailedConnectionTestSavesNothing(t *testing.T) {
	f := setup(t)
	f.prober.report = account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.AuthFailed}}
	d := draft("anna@gmail.com")
	d.SkipTest = false
	_, err := f.Create(t.Context(), f.anna, d)
	var failed *account.TestFailedError
	if !errors.As(err, &failed) || failed.Report.Diagnosis.Code != fault.AuthFailed || len(f.rows.accounts) != 0 {
		t.Errorf("err %v, %d accounts saved", err, len(f.rows.accounts))
	}
	f.prober.report = account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.HostNotAllowed}}
	if _, err := f.Create(t.Context(), f.anna, d); fault.CodeOf(err) != fault.HostNotAllowed {
		t.Errorf("a host that resolves inwards: %v", err)
	}
}

func TestBadSettingsNameTheirField(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, tc := range []struct {
		name  string
		edit  func(*account.Draft)
		field string
	}{
		{"no address", func(d *account.Draft) { d.Email = ptr("") }, "email"},
		{"not an address", func(d *account.Draft) { d.Email = ptr("anna") }, "email"},
		{"display name", func(d *account.Draft) { d.Email = ptr("Anna <a@gmail.com>") }, "email"},
		{"CRLF in the address", func(d *account.Draft) { d.Email = ptr("a\r\n@gmail.com") }, "email"},
		{
			"own mailbox", func(d *account.Draft) { d.Email = ptr("ANNA@firma.test"); d.Host = ptr("imap.firma.test") },
			"email",
		},
		{"own mailbox as user name", func(d *account.Draft) { d.Username = ptr("anna@firma.test") }, "username"},
		{"no password", func(d *account.Draft) { d.Password = remote.Secret{} }, "password"},
		{"CRLF in the password", func(d *account.Draft) { d.Password = remote.NewSecret("a\r\nDELE 1") }, "password"},
		{"NUL in the password", func(d *account.Draft) { d.Password = remote.NewSecret("a\x00b") }, "password"},
		{"long password", func(d *account.Draft) { d.Password = remote.NewSecret(long) }, "password"},
		{"CRLF in the user name", func(d *account.Draft) { d.Username = ptr("u\r\nDELE 1") }, "username"},
		{"long user name", func(d *account.Draft) { d.Username = ptr(long) }, "username"},
		{"empty name", func(d *account.Draft) { d.Name = ptr(" ") }, "name"},
		{"long name", func(d *account.Draft) { d.Name = ptr(long) }, "name"},
		{"newline in the sender's name", func(d *account.Draft) { d.SenderName = ptr("A\nBcc: x") }, "sender_name"},
		{"CRLF in the host", func(d *account.Draft) { d.Host = ptr("a\r\nb") }, "server.host"},
		{"host with port", func(d *account.Draft) { d.Host = ptr("imap.example.test:993") }, "server.host"},
		{"URL as host", func(d *account.Draft) { d.Host = ptr("https://imap.example.test") }, "server.host"},
		{"user@host", func(d *account.Draft) { d.Host = ptr("a@imap.example.test") }, "server.host"},
		{"empty host", func(d *account.Draft) { d.Host = ptr("") }, "server.host"},
		{"long host", func(d *account.Draft) { d.Host = ptr(strings.Repeat("a.", 200) + "test") }, "server.host"},
		{"port 0", func(d *account.Draft) { d.Port = ptr(0) }, "server.port"},
		{"port 65536", func(d *account.Draft) { d.Port = ptr(65536) }, "server.port"},
		{"no encryption", func(d *account.Draft) { d.Security = ptr(remote.None) }, "server.security"},
		{"unknown encryption", func(d *account.Draft) { d.Security = ptr(remote.Security("ssl3")) }, "server.security"},
		{"unknown protocol", func(d *account.Draft) { d.Protocol = ptr(remote.Protocol("jmap")) }, "protocol"},
		{"protocol not offered", func(d *account.Draft) {
			d.Email = ptr("a@imaponly.test")
			d.Protocol = ptr(remote.POP3)
		}, "protocol"},
		{"unknown provider", func(d *account.Draft) { d.Provider = ptr("nobody") }, "provider"},
		{"host not known", func(d *account.Draft) { d.Email = ptr("a@unknown.test") }, "server.host"},
		{"folder with ..", func(d *account.Draft) { d.Folder = ptr("a/../b") }, "folder"},
		{"newline in the folder", func(d *account.Draft) { d.Folder = ptr("a\nb") }, "folder"},
		{"hasty polls", func(d *account.Draft) { d.PollInterval = ptr(time.Second) }, "poll_interval_seconds"},
		{"control character in a rule", func(d *account.Draft) { d.Exclude = ptr([]string{"a\x07"}) }, "folders.exclude[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := setup(t)
			d := draft("anna@gmail.com")
			tc.edit(&d)
			_, err := f.Create(t.Context(), f.anna, d)
			var bad *account.InvalidError
			if !errors.As(err, &bad) || !slices.ContainsFunc(bad.Fields, func(e account.FieldError) bool {
				return e.Field == tc.field
			}) {
				t.Errorf("err %v, want one about %s", err, tc.field)
			}
			if len(f.rows.accounts) != 0 {
				t.Error("something was saved")
			}
		})
	}
}

// A company's mailbox needs two fields besides its server, whatever its domain
// is called: the account's name is the domain, and the folder is after it.
func TestNameAndFolderAreFoundForEveryDomain(t *testing.T) {
	f := setup(t)
	company := func(email string) account.Draft {
		d := draft(email)
		d.Host = ptr("mail.example.test")
		return d
	}
	long := strings.Repeat("dlugi.", 25) + "test"
	for _, tc := range []struct{ email, name, folder string }{
		{"jan@mala-firma.test", "mala-firma.test", "mala-firma_test"},
		{"jan@inbox", "inbox", "inbox 2"},
		{"jan@a.test", "a.test", "a_test"},
		{"ola@a.test", "a.test 2", "a_test 2"},
		{"ela@A.test", "a.test 3", "a_test 3"},
		{"jan@" + long, long[:100], ""},
		{"ola@" + long, long[:98] + " 2", ""},
	} {
		found, err := f.Discover(t.Context(), f.anna, tc.email)
		if err != nil {
			t.Fatal(err)
		}
		f.Limit = 100
		a := f.add(t, company(tc.email))
		if a.Name != tc.name || a.Folder != cmp.Or(tc.folder, a.Folder) || strings.Contains(a.Folder, ".") {
			t.Errorf("%s: %q in %q, want %q in %q", tc.email, a.Name, a.Folder, tc.name, tc.folder)
		}
		if found.Name != a.Name || found.Folder != a.Folder {
			t.Errorf("%s: announced as %q in %q, it became %q in %q", tc.email, found.Name, found.Folder, a.Name, a.Folder)
		}
	}
	d := company("jan@b.test")
	d.Name = ptr("Poczta/stara.firma")
	if a := f.add(t, d); a.Folder != "Poczta_stara_firma" {
		t.Errorf("a name became the folder %q", a.Folder)
	}
	d = company("jan@c.test")
	d.Folder = ptr("Praca/c.test ")
	a := f.add(t, d)
	if a.Folder != "Praca/c_test" {
		t.Errorf("a folder of the user's choice became %q", a.Folder)
	}
	a, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{Folder: ptr("Praca/c.d")}})
	if err != nil || a.Folder != "Praca/c_d" {
		t.Errorf("a folder changed by its user became %q, %v", a.Folder, err)
	}
	d = company("jan@d.test")
	d.Folder = ptr("praca/C.D")
	if _, err := f.Create(t.Context(), f.anna, d); !errors.Is(err, account.ErrFolderTaken) {
		t.Errorf("the same folder, written otherwise: %v", err)
	}
}

func TestClashesHaveTheirOwnErrors(t *testing.T) {
	f := setup(t)
	d := draft("anna@gmail.com")
	d.Name, d.Folder = ptr("Work"), ptr("Work/Gmail")
	f.add(t, d)
	with := func(edit func(*account.Draft)) error {
		d := draft("bea@gmail.com")
		edit(&d)
		_, err := f.Create(t.Context(), f.anna, d)
		return err
	}
	for _, tc := range []struct {
		name string
		edit func(*account.Draft)
		want error
	}{
		{"same remote", func(d *account.Draft) { d.Email = ptr("anna@gmail.com") }, account.ErrExists},
		{"same name in another case", func(d *account.Draft) { d.Name = ptr("WORK") }, account.ErrNameTaken},
		{"same folder in another case", func(d *account.Draft) { d.Folder = ptr("work/GMAIL") }, account.ErrFolderTaken},
		{"folder below", func(d *account.Draft) { d.Folder = ptr("Work/Gmail/2") }, account.ErrFolderTaken},
		{"folder above", func(d *account.Draft) { d.Folder = ptr("Work") }, account.ErrFolderTaken},
		{"reserved folder", func(d *account.Draft) { d.Folder = ptr("inbox") }, account.ErrFolderTaken},
	} {
		if err := with(tc.edit); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if err := with(func(d *account.Draft) { d.Folder = ptr("Work/Gmailer") }); err != nil {
		t.Errorf("a folder beside: %v", err)
	}
}

func TestAFifthAccountIsRefusedBeforeAnythingIsDialled(t *testing.T) {
	f := setup(t)
	for i := range 4 {
		f.add(t, draft(fmt.Sprintf("u%d@gmail.com", i)))
	}
	d := draft("five@gmail.com")
	d.SkipTest = false
	if _, err := f.Create(t.Context(), f.anna, d); !errors.Is(err, account.ErrLimitReached) || len(f.prober.tested) > 0 {
		t.Errorf("err %v, tested %d times", err, len(f.prober.tested))
	}
}

// U25 of the fault matrix: who can edit an account must not be able to send its
// password elsewhere.
func TestAnotherServerNeedsThePasswordAgain(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	for _, p := range []account.Patch{
		{Settings: account.Settings{Host: ptr("imap.evil.test")}},
		{Settings: account.Settings{Security: ptr(remote.STARTTLS)}},
		{Settings: account.Settings{Username: ptr("bea")}},
		{Settings: account.Settings{Protocol: ptr(remote.POP3)}}, // At this provider, another host.
	} {
		for _, skip := range []bool{false, true} {
			p.SkipTest = skip
			var bad *account.InvalidError
			if _, err := f.Update(t.Context(), f.anna, a.ID, p); !errors.As(err, &bad) || bad.Fields[0].Field != "password" {
				t.Errorf("%+v: %v", p, err)
			}
			if _, err := f.TestExisting(t.Context(), f.anna, a.ID, p); !errors.As(err, &bad) ||
				bad.Fields[0].Field != "password" {
				t.Errorf("test of %+v: %v", p, err)
			}
		}
	}
	if len(f.prober.tested) > 0 {
		t.Error("the saved password was used elsewhere")
	}
	p := account.Patch{Settings: account.Settings{Protocol: ptr(remote.POP3)}, Password: ptr(remote.NewSecret("new"))}
	b, err := f.Update(t.Context(), f.anna, a.ID, p)
	if err != nil || b.Server.Host != "pop.gmail.com" || b.Server.Port != 995 || f.prober.secret != "new" ||
		string(f.rows.sealed[a.ID]) != "new" {
		t.Errorf("with the password: %v, %+v", err, b.Server)
	}
}

func TestHarmlessEditsNeitherTestNorMakeDue(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	b, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{Settings: account.Settings{
		Name:       ptr("Private"),
		SenderName: ptr("Anna Nowak"), PollInterval: ptr(time.Hour),
	}})
	if err != nil || b.Name != "Private" || b.Folder != "Google" || len(f.prober.tested) > 0 || len(f.rows.dueNow) > 0 {
		t.Errorf("err %v, tested %d, made due %d: %+v", err, len(f.prober.tested), len(f.rows.dueNow), b)
	}
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{
		Settings: account.Settings{Port: ptr(25)},
	}); fault.CodeOf(
		err) != fault.HostNotAllowed {
		t.Errorf("port 25: %v", err)
	}
}

func TestAnotherUsersAccountDoesNotExist(t *testing.T) {
	f := setup(t)
	a := f.add(t, draft("anna@gmail.com"))
	eve, _ := owner.Parse("eve@firma.test")
	ctx := t.Context()
	_, get := f.Get(ctx, eve, a.ID)
	_, update := f.Update(ctx, eve, a.ID, account.Patch{Settings: account.Settings{Name: ptr("x")}})
	_, test := f.TestExisting(ctx, eve, a.ID, account.Patch{})
	for name, err := range map[string]error{"get": get, "update": update, "test": test, "delete": f.Delete(ctx, eve, a.ID,
		false, nil)} {
		if !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.folders.removed) > 0 || len(f.rows.accounts) != 1 {
		t.Error("something of Anna's was removed")
	}
}

func TestDeletingKeepsMailUnlessToldOtherwise(t *testing.T) {
	f := setup(t)
	a, b := f.add(t, draft("anna@gmail.com")), f.add(t, draft("bea@gmail.com"))
	if err := errors.Join(f.Delete(t.Context(), f.anna, a.ID, true, nil), f.Delete(t.Context(), f.anna, b.ID,
		false, nil)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.folders.removed, []string{"Google 2"}) || !f.rows.kept[a.ID] || f.rows.kept[b.ID] {
		t.Errorf("removed %v, journals kept %v", f.folders.removed, f.rows.kept)
	}
}

// Where the mailbox cannot be looked into, an account that was to go with its mail stays, so that this can be asked for
// again. The control is one whose mail stays.
func TestAnAccountStaysWhoseMailCannotBeRemovedNow(t *testing.T) {
	f := setup(t)
	a, b := f.add(t, draft("anna@gmail.com")), f.add(t, draft("bea@gmail.com"))
	f.folders.away = fault.New(fault.LocalMailboxUnavailable, "opening the mailbox")
	if err := f.Delete(t.Context(), f.anna, a.ID, false, nil); fault.CodeOf(err) != fault.LocalMailboxUnavailable {
		t.Errorf("with its mail: %v", err)
	}
	if err := f.Delete(t.Context(), f.anna, b.ID, true, nil); err != nil {
		t.Errorf("without its mail: %v", err)
	}
	if len(f.rows.accounts) != 1 || len(f.folders.removed) > 0 {
		t.Errorf("%d accounts are there, %q are removed", len(f.rows.accounts), f.folders.removed)
	}
	f.folders.away = nil
	if err := f.Delete(t.Context(), f.anna, a.ID, false, nil); err != nil || len(f.folders.removed) != 1 {
		t.Errorf("asked for again: %v, and %q are removed", err, f.folders.removed)
	}
}

func TestOnlyPlainMailboxAddressesAreUsers(t *testing.T) {
	for _, s := range []string{
		"", "anna", "@firma.test", "anna@", "a b@firma.test", "Anna <anna@firma.test>",
		"anna@firma.test ", "../x@firma.test", "a/b@firma.test", "\"a\"@firma.test", "anna@[127.0.0.1]", "anna@firma..test",
		"anna@../etc", "a\x00@firma.test", "anna@firma.test, eve@firma.test", strings.Repeat("a", 65) + "@firma.test",
	} {
		if o, err := owner.Parse(s); err == nil {
			t.Errorf("%q became %q", s, o)
		}
	}
	if o, err := owner.Parse("Anna.Nowak+x@Firma.Test"); err != nil || o.String() != "anna.nowak+x@firma.test" {
		t.Errorf("%v %v", o, err)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const canary = "c4nary-pa55"
	type outer struct{ inner remote.Credential }
	d := account.Draft{Password: remote.NewSecret(canary)}
	c := remote.Credential{Username: "u", Secret: remote.NewSecret(canary)}
	var log strings.Builder
	h := slog.New(slog.NewJSONHandler(&log, nil))
	h.Info("x", "draft", d, "cred", c, "secret", c.Secret, "outer", outer{c})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "draft", d, "cred", c, "secret", c.Secret, "outer", outer{c})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb+verb+verb, d, c, c.Secret, outer{c})
	}
	if strings.Contains(log.String(), canary) || strings.Contains(log.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("printed: %s", log.String())
	}
	if c.Secret.Reveal() != canary {
		t.Error("not revealed either")
	}
}

// Each way to a connection test writes it down first, and what came of it if that is
// no success; a test that cannot be written down is not made.
func TestEachConnectionTestIsWrittenDownFirst(t *testing.T) {
	good, d := account.TestReport{OK: true}, draft("anna@gmail.com")
	failed := account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.AuthFailed}}
	d.SkipTest = false
	password := remote.NewSecret("another")
	for name, test := range map[string]func(f *fixture, id account.ID) error{
		"adding": func(f *fixture, _ account.ID) error {
			second := d
			second.Email = ptr(fmt.Sprintf("jan%d@gmail.com", len(f.prober.tested)))
			_, err := f.Create(t.Context(), f.anna, second)
			return err
		},
		"settings": func(f *fixture, _ account.ID) error { _, err := f.Test(t.Context(), f.anna, d); return err },
		"a saved account": func(f *fixture, id account.ID) error {
			_, err := f.TestExisting(t.Context(), f.anna, id, account.Patch{})
			return err
		},
		"an edit": func(f *fixture, id account.ID) error {
			_, err := f.Update(t.Context(), f.anna, id, account.Patch{Password: &password})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			id := f.add(t, draft("anna@gmail.com")).ID
			f.prober.report = failed
			test(f, id) // Some of the ways say that it failed, some report it.
			f.prober.report = good
			if err := test(f, id); err != nil {
				t.Fatal(err)
			}
			want := []string{"begun at imap.gmail.com", "auth_failed at imap.gmail.com", "begun at imap.gmail.com"}
			if !slices.Equal(f.prober.written, want) || len(f.prober.tested) != 2 {
				t.Errorf("%d tests were made, and written down: %q", len(f.prober.tested), f.prober.written)
			}
			f.prober.refuses = errors.New("the database is away")
			if err := test(f, id); !errors.Is(err, f.prober.refuses) || len(f.prober.tested) != 2 {
				t.Errorf("%d tests were made, the last without a word of it: %v", len(f.prober.tested), err)
			}
		})
	}
}
