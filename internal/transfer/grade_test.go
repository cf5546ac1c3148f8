package transfer_test

import (
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

func TestGrades(t *testing.T) {
	t.Parallel()
	type totals = transfer.Totals
	type folders = []transfer.FolderState
	as := func(r transfer.Renamed) folders { return folders{{Selected: true}, {Selected: true, Renamed: r}} }
	for name, tc := range map[string]struct {
		totals    totals
		folders   folders
		rewritten bool
		want      transfer.Grade
	}{
		"nothing to copy":               {want: transfer.Perfect},
		"all there":                     {totals: totals{Messages: 100, AlreadyThere: 5}, want: transfer.Perfect},
		"moved or deleted by its owner": {totals: totals{Messages: 100, MovedOrDeleted: 100}, want: transfer.Perfect},
		"sent twice at most":            {totals: totals{Messages: 100, Ambiguous: 3}, want: transfer.Perfect},
		"1 of few missing":              {totals: totals{Messages: 1, Missing: 1}, want: transfer.Investigate},
		"1 too large, or refused":       {totals: totals{Messages: 99, Skipped: 1}, want: transfer.Investigate},
		"10 of 20":                      {totals: totals{Messages: 10, Skipped: 10}, want: transfer.Investigate},
		"10 in both ways":               {totals: totals{Messages: 90, Skipped: 6, Missing: 4}, want: transfer.Investigate},
		"11 in both ways":               {totals: totals{Messages: 90, Skipped: 6, Missing: 5}, want: transfer.Poor},
		"11 of fewer than 11,000":       {totals: totals{Messages: 10_988, Skipped: 11}, want: transfer.Poor},
		"11 of 11,000":                  {totals: totals{Messages: 10_989, Skipped: 11}, want: transfer.Investigate},
		"a thousandth of many":          {totals: totals{Messages: 1_000_000, Missing: 1000}, want: transfer.Investigate},
		"one more than that":            {totals: totals{Messages: 1_000_000, Missing: 1001}, want: transfer.Poor},
		"with those that were there":    {totals: totals{AlreadyThere: 11_989, Skipped: 11}, want: transfer.Investigate},
		"keywords refused":              {totals: totals{Messages: 9, KeywordsRefused: 1}, want: transfer.Good},
		"altered":                       {totals: totals{Messages: 9, Altered: 9}, want: transfer.Good},
		"a target that rewrites":        {totals: totals{Messages: 9}, rewritten: true, want: transfer.Good},
		"and one missing": {
			totals: totals{Messages: 9, Missing: 1}, rewritten: true, want: transfer.Investigate,
		},
		"a name that the target refuses": {folders: as(transfer.RenamedForTarget), want: transfer.Good},
		"a name that was taken":          {folders: as(transfer.RenamedForClash), want: transfer.Good},
		"a name as asked for":            {folders: as(transfer.RenamedByOwner), want: transfer.Perfect},
		"below a folder as asked for":    {folders: as(transfer.RenamedByPrefix), want: transfer.Perfect},
		"the target's folder for a use":  {folders: as(transfer.RenamedBySpecialUse), want: transfer.Perfect},
		"not chosen": {
			folders: folders{{Renamed: transfer.RenamedForClash, Pending: -1}, {Pending: 99}}, want: transfer.Perfect,
		},
		"10 not reached": {folders: folders{{Selected: true, Pending: 10}}, want: transfer.Investigate},
		"11 not reached": {
			folders: folders{{Selected: true, Pending: 5}, {Selected: true, Pending: 6}}, want: transfer.Poor,
		},
		"a folder that nobody counts": {
			totals: totals{Messages: 9}, folders: folders{{Selected: true, Pending: -1}}, want: transfer.Poor,
		},
	} {
		got := transfer.GradeOf(tc.totals, tc.folders, tc.rewritten)
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if state := got.State(); (state == transfer.Completed) != (got == transfer.Perfect) || !state.Ended() {
			t.Errorf("%s: a copy that is %s ends as %s", name, got, state)
		}
	}
	if state := transfer.Grade("").State(); state != transfer.CompletedWithWarnings {
		t.Errorf("a copy that nobody has compared ends as %s", state)
	}
}

// TestWhyIsSaidOfEveryFailure: of each code at each side, and each reason of one that a failure gives.
func TestWhyIsSaidOfEveryFailure(t *testing.T) {
	t.Parallel()
	found := map[transfer.Why]bool{transfer.WhyNotReached: true, transfer.WhyMissing: true} // No failures.
	for _, side := range []transfer.Side{transfer.Source, transfer.Target} {
		for _, code := range fault.Codes() {
			why := transfer.WhyOf(side, code, false)
			if found[why] = true; !slices.Contains(transfer.Whys(), why) {
				t.Errorf("%s at the %s: %q", code, side, why)
			}
			if large := transfer.WhyOf(side, code, true); large != transfer.WhyTooLarge {
				t.Errorf("%s at the %s, of what is too large: %q", code, side, large)
			}
			found[transfer.WhyTooLarge] = true
		}
	}
	for _, why := range transfer.Whys() {
		if !found[why] {
			t.Errorf("nothing is %s", why)
		}
	}
	unread := transfer.WhyOf(transfer.Source, fault.MessageFailed, false)
	if unread == transfer.WhyOf(transfer.Target, fault.MessageFailed, false) {
		t.Error("what the target refuses is as what the source does not send")
	}
}
