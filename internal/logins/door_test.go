package logins

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// by returns as who an attempt from an address counts.
func by(t *testing.T, address string) string {
	t.Helper()
	l := &ledger{}
	var client netip.Addr
	if address != "" {
		client = netip.MustParseAddr(address)
	}
	settle, err := New(Options{Ledger: l}).Door(client, "").Admit(t.Context(), theAccount(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if settle(remote.SignInRefused); !slices.Equal(l.asked, []string{"reserve", "refuse place"}) {
		t.Errorf("asked %q", l.asked)
	}
	if l.at.Owner != (owner.Owner{}) || l.at.Subject != "" || len(l.at.Names) != 1 || l.at.Names[0] != l.at.Mailbox {
		t.Errorf("it counts as %+v", l.at)
	}
	return l.at.By()
}

// TestAClientIsANetworkOfOneCustomer: of IPv6 whoever has one address has 2^64.
func TestAClientIsANetworkOfOneCustomer(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		same bool
	}{
		"one address":                  {"192.0.2.7", "192.0.2.7", true},
		"neighbours":                   {"192.0.2.7", "192.0.2.8", false},
		"written as IPv6":              {"192.0.2.7", "::ffff:192.0.2.7", true},
		"one network of IPv6":          {"2001:db8::1", "2001:db8::ffff:1", true},
		"with a zone":                  {"fe80::1%eth0", "fe80::1%eth1", true},
		"two networks of IPv6":         {"2001:db8::1", "2001:db8:0:1::1", false},
		"nobody's address and another": {"", "192.0.2.7", false},
	} {
		if got := by(t, tc.a) == by(t, tc.b); got != tc.same {
			t.Errorf("%s: the same: %v", name, got)
		}
	}
}

func TestWhoIsHeldBackAtTheDoorIsToldUntilWhen(t *testing.T) {
	l := New(Options{Ledger: &ledger{wait: time.Minute}})
	_, err := l.Door(netip.MustParseAddr("192.0.2.7"), "").Admit(t.Context(), theAccount(t), nil)
	var held *remote.HeldBackError
	if !errors.As(err, &held) || held.Wait != time.Minute || l.Held() != 1 {
		t.Errorf("%v, %d held", err, l.Held())
	}
	// Without the count nobody is admitted.
	away := New(Options{Ledger: &ledger{fail: errors.New("away")}})
	if _, err := away.Door(netip.Addr{}, "").Admit(t.Context(), theAccount(t), nil); err == nil {
		t.Error("a limit that cannot count lets everybody in")
	}
}

// TestAKnownBrowsersAttemptsAreItsOwn, wherever it is: others' leave them alone, and
// those of all that the user has together have a limit.
func TestAKnownBrowsersAttemptsAreItsOwn(t *testing.T) {
	at := func(address, browser, user string) Attempt {
		t.Helper()
		l, a := &ledger{}, theAccount(t)
		a.Secret.Owner = anOwner(t, user)
		if _, err := New(Options{Ledger: l}).Door(netip.MustParseAddr(address), browser).Admit(t.Context(), a,
			nil); err != nil {
			t.Fatal(err)
		}
		return l.at
	}
	const anna, here = "anna@firma.test", "192.0.2.7"
	known, strange := at(here, "b", anna), at(here, "", anna)
	if known.By() == strange.By() || known.Mailbox == strange.Mailbox || slices.Equal(known.Names, strange.Names) {
		t.Errorf("%+v counts with %+v", known, strange)
	}
	if known.By() != KnownAtPages(anOwner(t, anna)) {
		t.Errorf("it counts as %s", known.By())
	}
	if there := at("198.51.100.7", "b", anna); there.By() != known.By() || !slices.Equal(there.Names, known.Names) {
		t.Errorf("elsewhere it is another: %+v", there)
	}
	if other := at(here, "c", anna); other.By() != known.By() || slices.Equal(other.Names, known.Names) {
		t.Errorf("two browsers of a user are one, or have no limit together: %+v", other)
	}
	if other := at(here, "d", "jan@firma.test"); other.By() == known.By() || other.Mailbox == known.Mailbox {
		t.Errorf("two users are one: %+v", other)
	}
}
