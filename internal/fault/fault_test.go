package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

func TestACodeSurvivesWrapping(t *testing.T) {
	first := &fault.Error{
		Code: fault.RateLimited, Op: "signing in", Detail: words.Detail{words.Say("too many")}, RetryAfter: time.Minute,
		Err: io.EOF,
	}
	err := fmt.Errorf("visiting: %w", fault.Wrap(fault.Internal, "opening", fault.Wrap(fault.ServerUnavailable, "reading",
		first)))
	got := fault.Of(err)
	if got.Code != fault.RateLimited || got.Detail.String() != "too many" || got.RetryAfter != time.Minute ||
		!errors.Is(err, io.EOF) {
		t.Errorf("got %+v", got)
	}
	if fault.Wrap(fault.Internal, "x", nil) != nil || fault.Of(nil) != nil || fault.CodeOf(nil) != "" {
		t.Error("no error became one")
	}
}

func TestAnErrorWithoutACodeIsOursOrAnInterruption(t *testing.T) {
	for err, want := range map[error]fault.Code{
		io.EOF:                                fault.Internal,
		fmt.Errorf("x: %w", context.Canceled): fault.Interrupted,
		fmt.Errorf("x: %w", context.DeadlineExceeded): fault.Interrupted,
	} {
		if got := fault.CodeOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if slices.Contains(fault.Codes(), fault.Interrupted) {
		t.Error("an interruption is no diagnosis")
	}
}

func TestOnlyWhatTheUserMustMendIsNotRetried(t *testing.T) {
	for _, c := range fault.Codes() {
		if c.Credential() && c.Retryable() && c != fault.AccountLocked {
			t.Errorf("%s is about the credential and retryable", c)
		}
	}
	if !fault.Code("unheard_of").Retryable() {
		t.Error("a code that nobody knows switches an account off")
	}
}

// TestTheReasonIsKnownHoweverADetailWasKept: earlier versions kept it in English, in one piece.
func TestTheReasonIsKnownHoweverADetailWasKept(t *testing.T) {
	says := words.Say("The server says: %s", `no: "%s"`)
	for _, tc := range []struct {
		code   fault.Code
		detail words.Detail
		want   fault.Reason
	}{
		{fault.AuthFailed, words.Detail{words.Say(fault.PasswordExpired), says}, fault.CredentialExpired},
		{fault.FolderFailed, words.Detail{words.Say(fault.NotThere, "A: B, C. D")}, fault.ChosenFoldersMissing},
		{fault.FolderFailed, words.Detail{words.Say(fault.TooManyFolders, 10000)}, fault.FoldersTooMany},
		{fault.RateLimited, words.Detail{words.Say(fault.HeldBack)}, fault.LoginsHeldBack},
		{fault.LocalMailboxUnavailable, words.Detail{words.Say(fault.LoginMissing)}, fault.MailboxLocked},
		{fault.LocalMailboxUnavailable, words.Detail{words.Say(fault.LoginRefused)}, fault.MailboxLocked},
		{fault.LocalMailboxUnavailable, words.Detail{words.Say(fault.MailboxesAway), says}, fault.MailboxServerAway},
		{fault.LocalMailboxUnavailable, words.Detail{words.Say(fault.MailboxesShut)}, fault.MailboxServerShut},
		{fault.LocalMailboxUnavailable, words.Detail{words.Say(fault.HeldBack)}, fault.Plain},
		{fault.LocalOverQuota, words.Detail{words.Say(fault.LoginMissing)}, fault.Plain},
		{fault.RateLimited, words.Detail{words.Say(fault.PasswordExpired)}, fault.Plain},
		{fault.AuthFailed, words.Detail{says, words.Say(fault.PasswordExpired)}, fault.Plain},
		{fault.AuthFailed, nil, fault.Plain},
	} {
		for _, d := range []words.Detail{words.Kept(tc.detail.Keep()), words.Earlier(tc.detail.String())} {
			if got := fault.ReasonOf(tc.code, d); got != tc.want {
				t.Errorf("%s, %q: %d, want %d", tc.code, d, got, tc.want)
			}
		}
	}
}
