package transfer

import (
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// fewMissing is how many messages may be missing for a copy to be looked at rather than to be poor, and oneIn the part
// of all that may be.
const (
	fewMissing = 10
	oneIn      = 1000
)

// GradeOf says how well a copy went, by what it has come to, its folders, and whether the target rewrites messages.
//
// A message is not there if it was skipped, for whatever reason, is missing by the last verification, or was never
// reached; of a folder that could not be listed nobody knows how many are not, so that such a copy is poor. What its
// owner has moved or deleted at the target since was there, and counts as such. A folder with another name counts as
// different only where the target left no choice: see forced.
func GradeOf(t Totals, folders []FolderState, rewritten bool) Grade {
	gone, known := NotThere(t, folders)
	all := t.Messages + t.AlreadyThere + t.Skipped + pending(folders)
	switch {
	case !known, gone > fewMissing && gone > all/oneIn:
		return Poor
	case gone > 0:
		return Investigate
	case rewritten, t.Altered > 0, t.KeywordsRefused > 0, slices.ContainsFunc(folders, FolderState.renamed):
		return Good
	}
	return Perfect
}

// NotThere is how many messages should be at the target and are not. known is false where a folder could not be listed:
// then there may be any number more.
func NotThere(t Totals, folders []FolderState) (n int64, known bool) {
	known = !slices.ContainsFunc(folders, func(f FolderState) bool { return f.Selected && f.Pending < 0 })
	return t.Skipped + t.Missing + pending(folders), known
}

// pending is how many messages of the chosen folders were never reached, as far as that is known.
func pending(folders []FolderState) (n int64) {
	for _, f := range folders {
		if f.Selected {
			n += max(0, f.Pending)
		}
	}
	return n
}

func (f FolderState) renamed() bool { return f.Selected && f.Renamed.forced() }

// forced reports whether the target left no choice but another name. What its owner asked for, and what has a use for
// which the target has a folder, is where it belongs: the plan had said so, and it could be changed.
func (r Renamed) forced() bool { return r == RenamedForTarget || r == RenamedForClash }

// State is the state in which a copy ends that was graded so. Without a grade nothing was compared, and nobody can
// say that all is well.
func (g Grade) State() State {
	if g == Perfect {
		return Completed
	}
	return CompletedWithWarnings
}

// WhyOf says why a message is not at the target, by what failed and at which side. tooLarge is fault.Error.TooLarge, or
// that it is held.
func WhyOf(side Side, code fault.Code, tooLarge bool) Why {
	switch {
	case tooLarge:
		return WhyTooLarge
	case code == fault.MessageFailed && side == Target:
		return WhyRefused
	case code == fault.MessageFailed:
		return WhyUnreadable
	case code == fault.FolderFailed:
		return WhyFolderFailed
	case code == fault.LocalOverQuota:
		return WhyTargetFull
	case code == fault.MailLoop:
		return WhyLoop
	case code == fault.Internal, code == fault.VisitAborted:
		return WhyInternal
	}
	return WhyUnavailable
}
