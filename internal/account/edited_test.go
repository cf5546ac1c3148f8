package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// saved is an account as it is before an edit.
func saved() account.Account {
	return account.Account{
		ID: "1", Name: "Gmail", Folder: "Gmail", Protocol: remote.IMAP, Username: "anna", Auth: remote.Password,
		Server:          remote.Server{Host: "imap.example.org", Port: 993, Security: remote.TLS},
		MaxMessageBytes: route.DefaultMessageBytes, Start: 30, PollInterval: 5 * time.Minute, Enabled: true,
	}
}

func TestWhatFollowsFromAnEdit(t *testing.T) {
	elsewhere := account.Consequences{Remote: true, Fence: true, AtOnce: true}
	with := func(c account.Consequences, j account.JournalStep) account.Consequences {
		c.Journal = j
		return c
	}
	for _, tc := range []struct {
		name       string
		edit       func(*account.Account)
		credential bool
		want       account.Consequences
	}{
		{"nothing", func(*account.Account) {}, false, account.Consequences{}},
		{
			"what people call it", func(a *account.Account) { a.Name, a.SenderName = "Praca", "Anna" }, false,
			account.Consequences{},
		},
		{"the interval", func(a *account.Account) { a.PollInterval = time.Hour }, false, account.Consequences{}},
		{"a password", func(*account.Account) {}, true, elsewhere},
		{"the way to sign in", func(a *account.Account) { a.Auth = remote.OAuth2 }, true, elsewhere},
		{"encryption", func(a *account.Account) { a.Server.Security = remote.STARTTLS }, false, elsewhere},
		{"a port", func(a *account.Account) { a.Server.Port = 994 }, false, with(elsewhere, account.JournalRenamed)},
		{"the host's letters", func(a *account.Account) { a.Server.Host = "IMAP.example.org" }, false, elsewhere},
		{"the user's domain", func(a *account.Account) { a.Username = "Anna@example.org" }, false, with(elsewhere,
			account.JournalRenamed)},
		{"a host", func(a *account.Account) { a.Server.Host = "mail.example.org" }, false, with(elsewhere,
			account.JournalCompared)},
		{"a user", func(a *account.Account) { a.Username = "ola" }, false, with(elsewhere, account.JournalReplaced)},
		{
			"a protocol", func(a *account.Account) { a.Protocol = remote.POP3 }, false,
			with(elsewhere, account.JournalReplaced),
		},
		{"the folder", func(a *account.Account) { a.Folder = "Praca" }, false, account.Consequences{Fence: true}},
		{
			"which folders", func(a *account.Account) { a.Folders.Include = []string{"INBOX"} }, false,
			account.Consequences{Fence: true},
		},
		{
			"what is left out", func(a *account.Account) { a.Folders.Exclude = []string{"Junk"} }, false,
			account.Consequences{Fence: true},
		},
		{
			"an earlier start", func(a *account.Account) { a.Start = route.StartAll }, false,
			account.Consequences{Fence: true, AtOnce: true},
		},
		{"a later start", func(a *account.Account) { a.Start = route.StartNew }, false, account.Consequences{Fence: true}},
		{
			"larger messages", func(a *account.Account) { a.MaxMessageBytes *= 2 }, false,
			account.Consequences{Larger: true, AtOnce: true},
		},
		{"smaller messages", func(a *account.Account) { a.MaxMessageBytes /= 2 }, false, account.Consequences{}},
		{"off", func(a *account.Account) { a.Enabled = false }, false, account.Consequences{Fence: true}},
		{
			"off, and a password", func(a *account.Account) { a.Enabled = false }, true,
			account.Consequences{Remote: true, Fence: true},
		},
	} {
		after := saved()
		tc.edit(&after)
		if diff := cmp.Diff(tc.want, account.Edited(saved(), after, tc.credential)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	off := saved()
	off.Enabled = false
	if got := account.Edited(off, saved(), false); got != (account.Consequences{AtOnce: true}) {
		t.Errorf("switched on: %+v", got)
	}
}

func TestWhenAnEditedAccountIsDue(t *testing.T) {
	on, off, byOperator := saved(), saved(), saved()
	off.Enabled, byOperator.Enabled = false, false
	byOperator.Pause.Operator = true
	planned := account.Scheduled{Planned: true}
	for _, tc := range []struct {
		name          string
		then          account.Consequences
		before, after account.Account
		s             account.Scheduled
		atOnce        bool
		want          account.DueTime
	}{
		{"off", account.Consequences{Fence: true}, on, off, planned, false, account.DueNever},
		{"off, whatever is asked", account.Consequences{Remote: true, Fence: true}, on, off, planned, true, account.DueNever},
		{"beside a visit", account.Consequences{}, on, on, account.Scheduled{Visited: true}, true, account.DueAfterVisit},
		{
			"a visit cut short",
			account.Consequences{Fence: true},
			on, on,
			account.Scheduled{Visited: true},
			false,
			account.DueNow,
		},
		{"asked for", account.Consequences{Remote: true, Fence: true}, on, on, planned, true, account.DueAtOnce},
		{"switched on", account.Consequences{AtOnce: true}, off, on, account.Scheduled{}, false, account.DueNow},
		{
			"after a maintenance",
			account.Consequences{AtOnce: true},
			byOperator, on,
			account.Scheduled{NeedsUser: true},
			true,
			account.DueNever,
		},
		{
			"after a maintenance, mended",
			account.Consequences{Remote: true, AtOnce: true},
			byOperator, on,
			account.Scheduled{NeedsUser: true},
			true, account.DueAtOnce,
		},
		{
			"after the user's own pause",
			account.Consequences{AtOnce: true},
			off, on,
			account.Scheduled{NeedsUser: true},
			true,
			account.DueAtOnce,
		},
		{"another interval", account.Consequences{}, on, on, planned, false, account.DueSooner},
		{
			"waiting for its user",
			account.Consequences{},
			on, on,
			account.Scheduled{NeedsUser: true},
			false,
			account.DueAsPlanned,
		},
	} {
		if got := tc.then.Due(tc.before, tc.after, tc.s, tc.atOnce); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestWhatCannotBeBesideAnother(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*account.Account)
		want error
	}{
		{"itself", func(*account.Account) {}, nil},
		{"the same mailbox", func(a *account.Account) { a.ID, a.Name, a.Folder = "2", "x", "x" }, account.ErrExists},
		{"another spelling of the host", func(a *account.Account) {
			a.ID, a.Name, a.Folder, a.Server.Host = "2", "x", "x", "IMAP.EXAMPLE.org"
		}, account.ErrExists},
		{"the same domain in capitals", func(a *account.Account) {
			a.ID, a.Name, a.Folder, a.Username = "2", "x", "x", "z@EVIL.TEST"
		}, account.ErrExists},
		{"the same domain, wide", func(a *account.Account) {
			a.ID, a.Name, a.Folder, a.Username = "2", "x", "x", "z@evil\u3002test"
		}, account.ErrExists},
		{"another user in capitals", func(a *account.Account) {
			a.ID, a.Name, a.Folder, a.Username = "2", "x", "x", "Z@evil.test"
		}, nil},
		{"another domain", func(a *account.Account) {
			a.ID, a.Name, a.Folder, a.Username = "2", "x", "x", "z@evi.test"
		}, nil},
		{"no domain", func(a *account.Account) { a.ID, a.Name, a.Folder, a.Username = "2", "x", "x", "z" }, nil},
		{
			"the same name", func(a *account.Account) { a.ID, a.Username, a.Name, a.Folder = "2", "ola", "GMAIL", "x" },
			account.ErrNameTaken,
		},
		{
			"a folder below", func(a *account.Account) { a.ID, a.Username, a.Name, a.Folder = "2", "ola", "x", "gmail/Old" },
			account.ErrFolderTaken,
		},
		{"neither", func(a *account.Account) { a.ID, a.Username, a.Name, a.Folder = "2", "ola", "x", "x" }, nil},
	} {
		a := saved()
		tc.edit(&a)
		other := saved()
		if strings.Contains(tc.name, "domain") || strings.Contains(tc.name, "capitals") {
			other.Username = "z@evil.test"
		}
		if err := a.Clash([]account.Account{other}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestAnotherScriptsUserNameIsAnotherMailbox: an edit from one to the other does
// not continue with what was fetched from the first.
func TestAnotherScriptsUserNameIsAnotherMailbox(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"kowal", "Kowal@example.org", true},
		{"kowal", "\u212Aowal", false},
		{"basia", "ba\u017Fia", false},
		{"kowal@example.org", "kowal@EXAMPLE.org", true},
	} {
		if account.SameUser(tc.a, tc.b) != tc.same {
			t.Errorf("%q and %q", tc.a, tc.b)
		}
	}
}
