package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// An account is left as it is where moving it over would be wrong, or where it looks like another mailbox.
func TestWhatIsNotMovedOver(t *testing.T) {
	t.Parallel()
	folder := func(f check.MovedFolder) check.MovedAccount {
		return check.MovedAccount{Folders: []*check.MovedFolder{&f}}
	}
	for _, tc := range []struct {
		x     check.MovedAccount
		force bool
		why   string
	}{
		{folder(check.MovedFolder{Delivered: 3, Found: 3}), false, ""},
		{folder(check.MovedFolder{Delivered: 3, Gone: 3}), false, ""},
		{folder(check.MovedFolder{Delivered: 3, Missing: 2, Elsewhere: 1}), false, ""},
		{folder(check.MovedFolder{Delivered: 3, Missing: 2, Gone: 1}), false, "same mailbox"},
		{folder(check.MovedFolder{Delivered: 3, Missing: 2, Gone: 1}), true, ""},
		{check.MovedAccount{Older: true}, true, "older than the mailbox"},
		{check.MovedAccount{Visiting: true}, true, "being visited"},
		{check.MovedAccount{}, false, ""},
	} {
		why := moveOverCmd{Force: tc.force}.refuses(&tc.x)
		if (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) {
			t.Errorf("%+v: %q, want %q", tc.x, why, tc.why)
		}
	}
	for err, want := range map[error]string{
		fmt.Errorf("claiming: %w", schedule.ErrBusy): "being visited", fetch.ErrFenced: "being visited",
		fetch.ErrOlder: `run "mailbrook pull"`, nil: "",
	} {
		if why := whyNot(err); (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%v: %q", err, why)
		}
	}
}

// An operator's attention goes to what may be wrong.
func TestRemarksOnFoldersThatWereMoved(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]check.MovedFolder{
		"":          {Delivered: 3, Found: 2, Elsewhere: 1},
		"missing:":  {Delivered: 3, Found: 2, Missing: 1},
		"imap.root": {Delivered: 3, Elsewhere: 3},
		"compared":  {Delivered: 3, Found: 2, Unread: 1},
	} {
		if got := remarkOn(&f); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q", f, got)
		}
	}
}
