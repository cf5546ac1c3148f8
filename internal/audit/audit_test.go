package audit_test

import (
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/audit"
)

func TestWhoActsIsWhatTheContextSaysElseTheProgram(t *testing.T) {
	if got := audit.ActorOf(t.Context()); got != (audit.Actor{Role: audit.System}) {
		t.Errorf("nobody is %+v", got)
	}
	anna := audit.Actor{Role: audit.User, Name: "anna@firma.test", Client: "192.0.2.7"}
	if got := audit.ActorOf(audit.By(t.Context(), anna)); got != anna {
		t.Errorf("anna is %+v", got)
	}
	if got := audit.ActorOf(audit.By(t.Context(), audit.Actor{Client: "192.0.2.7"})); got.Role != audit.System ||
		got.Client != "192.0.2.7" {
		t.Errorf("whoever is not known yet is %+v", got)
	}
}

func TestEachActionIsListedOnce(t *testing.T) {
	all := audit.Actions()
	sorted := slices.Sorted(slices.Values(all))
	if len(slices.Compact(sorted)) != len(all) {
		t.Errorf("the actions are %v", all)
	}
}
