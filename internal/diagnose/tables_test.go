package diagnose_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// unmatched compares the texts of package words, which knows no codes, with the codes: those
// without a text, and texts that no code has.
func unmatched[K ~string, T any](codes []K, texts map[string]T) (silent, orphans []string) {
	orphan := maps.Clone(texts)
	for _, code := range codes {
		if _, said := texts[string(code)]; !said {
			silent = append(silent, string(code))
		}
		delete(orphan, string(code))
	}
	return silent, slices.Sorted(maps.Keys(orphan))
}

// TestEveryCodeHasItsTextAndEveryTextItsCode, and so every kind of delay. What administrators read
// need not differ, but is of a code as well. Of a limit ExplainDelay says which one it is.
func TestEveryCodeHasItsTextAndEveryTextItsCode(t *testing.T) {
	silent, orphans := unmatched(fault.Codes(), words.Faults)
	_, admins := unmatched(fault.Codes(), words.AdminFaults)
	mute, idle := unmatched(account.DelayKinds(), words.Delays)
	_, theirs := unmatched(account.DelayKinds(), words.AdminDelays)
	if len(silent) > 0 || !slices.Equal(mute, []string{string(account.DelayBudget)}) {
		t.Errorf("nothing is said of the codes %v and the delays %v", silent, mute)
	}
	if left := slices.Concat(orphans, admins, idle, theirs); len(left) > 0 {
		t.Errorf("these are said of nothing: %v", left)
	}
	// The control: a code that was renamed is found on both sides.
	renamed := maps.Clone(words.Faults)
	renamed["dns_failed"] = renamed[string(fault.DNSFailure)]
	delete(renamed, string(fault.DNSFailure))
	silent, orphans = unmatched(fault.Codes(), renamed)
	if !slices.Equal(silent, []string{"dns_failure"}) || !slices.Equal(orphans, []string{"dns_failed"}) {
		t.Errorf("after a code was renamed, %v have no text, and %v no code", silent, orphans)
	}
}
