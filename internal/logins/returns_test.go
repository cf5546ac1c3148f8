package logins

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// TestReturnsCountForTheirClientAlone: no user's attempts are among them, and no other
// client's. That those of one network of IPv6 are one client's is the control.
func TestReturnsCountForTheirClientAlone(t *testing.T) {
	at := func(address string) Attempt {
		t.Helper()
		l := &ledger{}
		settle, err := New(Options{Ledger: l}).AdmitReturn(t.Context(), netip.MustParseAddr(address))
		if err != nil {
			t.Fatal(err)
		}
		if settle(remote.SignInRefused); len(l.asked) != 2 || l.asked[1] != "refuse place" {
			t.Errorf("asked %q", l.asked)
		}
		return l.at
	}
	one := at("2001:db8::1")
	if same := at("2001:db8::2"); one.Client == "" || same.By() != one.By() || same.Mailbox != one.Mailbox {
		t.Errorf("%+v counts apart from %+v", same, one)
	}
	if other := at("192.0.2.7"); other.By() == one.By() || other.Mailbox == one.Mailbox {
		t.Errorf("%+v counts with %+v", other, one)
	}
	if one.Owner != (owner.Owner{}) || len(one.Names) > 0 {
		t.Errorf("it counts as %+v", one)
	}
	held := &remote.HeldBackError{}
	if _, err := New(Options{Ledger: &ledger{wait: time.Minute}}).AdmitReturn(t.Context(), netip.Addr{}); !errors.As(err,
		&held) || held.Wait != time.Minute {
		t.Errorf("%v", err)
	}
}
