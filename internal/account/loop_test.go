package account_test

import (
	"errors"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
)

func loops(t *testing.T, err error) bool {
	t.Helper()
	var failed *account.TestFailedError
	return errors.As(err, &failed) && failed.Report.Diagnosis != nil && failed.Report.Diagnosis.Code == fault.MailLoop &&
		!failed.Report.OK
}

func TestTheOperatorsOwnHostsAreRefusedAtEveryDoor(t *testing.T) {
	f := setup(t)
	for _, skip := range []bool{false, true} {
		d := draft("x@else.test")
		d.Host, d.SkipTest = ptr("IMAP.own.test."), skip
		if _, err := f.Create(t.Context(), f.anna, d); !loops(t, err) {
			t.Errorf("adding, skip_test %v: %v", skip, err)
		}
	}
	d := draft("x@else.test")
	d.Host = ptr("imap.own.test")
	if rep, err := f.Test(t.Context(), f.anna, d); err != nil || rep.OK || rep.Diagnosis.Code != fault.MailLoop ||
		rep.Steps[0].Name != remote.StepResolve {
		t.Errorf("testing: %+v, %v", rep, err)
	}
	a := f.add(t, draft("anna@gmail.com"))
	p := account.Patch{
		Settings: account.Settings{Host: ptr("imap.own.test")}, Password: ptr(remote.NewSecret("x")),
		SkipTest: true,
	}
	if _, err := f.Update(t.Context(), f.anna, a.ID, p); !loops(t, err) {
		t.Errorf("editing: %v", err)
	}
	if rep, err := f.TestExisting(t.Context(), f.anna, a.ID, p); err != nil || rep.OK ||
		rep.Diagnosis.Code != fault.MailLoop {
		t.Errorf("testing an account: %+v, %v", rep, err)
	}
	if len(f.prober.tested) > 0 {
		t.Errorf("own hosts were dialled: %v", f.prober.tested)
	}
	// An account that existed before the operator named the host continues to work.
	f.rows.accounts[0].Server.Host = "imap.own.test"
	if _, err := f.Update(t.Context(), f.anna, a.ID, account.Patch{
		Settings: account.Settings{SenderName: ptr("Anna")},
	}); err != nil {
		t.Errorf("editing what was there before: %v", err)
	}
}

func TestAConnectionIntoTheOwnMailboxFailsItsTest(t *testing.T) {
	for name, tc := range map[string]struct {
		folders  []string
		protocol remote.Protocol
		loops    bool
	}{
		"the challenge is there": {[]string{"INBOX", "the challenge"}, remote.IMAP, true},
		"another's mailbox":      {[]string{"INBOX", "the challenge of somebody else"}, remote.IMAP, false},
		"POP3 shows nothing":     {[]string{"INBOX", "the challenge"}, remote.POP3, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.prober.report = account.TestReport{OK: true, Folders: tc.folders, Steps: []remote.Step{{
				Name: remote.StepFolders,
				OK:   true,
			}}}
			d := draft("x@else.test")
			d.Host, d.Protocol, d.SkipTest = ptr("imap.else.test"), &tc.protocol, false
			if rep, err := f.Test(t.Context(), f.anna, d); err != nil || rep.OK == tc.loops || tc.loops && (rep.Steps[0].OK ||
				len(rep.Folders) > 0) {
				t.Errorf("testing: %+v, %v", rep, err)
			}
			if _, err := f.Create(t.Context(), f.anna, d); loops(t, err) != tc.loops {
				t.Errorf("adding: %v", err)
			}
			if f.folders.challenged != 0 {
				t.Errorf("%d folders of tests were left", f.folders.challenged)
			}
			if !f.prober.report.Steps[0].OK {
				t.Error("the prober's own report was changed")
			}
		})
	}
}
