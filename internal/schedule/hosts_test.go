package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// visit plays one visit of account n at "h".
func visit(hs *hosts, n int, code fault.Code, now time.Time) {
	hs.began("h")
	hs.ended("h", account.ID(fmt.Sprint(n)), code, now)
}

func outage(hs *hosts, now time.Time) {
	for n := range outageAccounts {
		visit(hs, n, fault.ConnectTimeout, now)
	}
}

func state(hs *hosts, now time.Time) string {
	closed, careful, limit := hs.gate(now)
	switch {
	case slices.Contains(closed, "h"):
		return "closed"
	case slices.Contains(careful, "h"):
		return fmt.Sprint("at most ", limit)
	}
	return "open to all"
}

func TestWhatMakesAnOutage(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(hs *hosts)
		want string
	}{
		{"five accounts at once", func(hs *hosts) { outage(hs, noon) }, "closed"},
		{"one account many times", func(hs *hosts) {
			for range 50 {
				visit(hs, 1, fault.ConnectTimeout, noon)
			}
		}, "open to all"},
		{"four accounts", func(hs *hosts) {
			for n := range 4 {
				visit(hs, n, fault.ConnectTimeout, noon)
			}
		}, "open to all"},
		{"five accounts over ten minutes", func(hs *hosts) {
			for n := range 5 {
				visit(hs, n, fault.ConnectTimeout, noon.Add(time.Duration(n-5)*2*time.Minute))
			}
		}, "open to all"},
		{"a success in between", func(hs *hosts) {
			for n := range 9 {
				code := fault.ConnectTimeout
				if n == 4 {
					code = ""
				}
				visit(hs, n, code, noon)
			}
		}, "open to all"},
		{"refused passwords", func(hs *hosts) {
			for n := range 50 {
				visit(hs, n, fault.AuthFailed, noon)
			}
		}, "open to all"},
		{"our own trouble", func(hs *hosts) {
			for n := range 50 {
				visit(hs, n, fault.LocalMailboxUnavailable, noon)
			}
		}, "open to all"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hs := newHosts(32)
			tc.play(hs)
			if got := state(hs, noon); got != tc.want {
				t.Errorf("the host is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAnOutageIsProbedByOneVisitAtATimeEverMoreSeldom(t *testing.T) {
	hs, now := newHosts(32), noon
	outage(hs, now)
	var gaps []time.Duration
	for range 6 {
		began := now
		for state(hs, now) == "closed" {
			now = now.Add(time.Second)
		}
		gaps = append(gaps, now.Sub(began))
		if got := state(hs, now); got != "at most 1" {
			t.Fatalf("the probe is %s", got)
		}
		hs.began("h")
		if got := state(hs, now); got != "closed" {
			t.Fatalf("during the probe the host is %s", got)
		}
		hs.ended("h", "0", fault.ConnectTimeout, now)
	}
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	if !slices.Equal(gaps, want) {
		t.Errorf("probed after %v, want %v", gaps, want)
	}
}

func TestVisitsUnderWayWhenTheHostWentDownDoNotProlongTheOutage(t *testing.T) {
	hs := newHosts(32)
	for range 40 {
		hs.began("h")
	}
	for n := range 40 {
		hs.ended("h", account.ID(fmt.Sprint(n)), fault.ConnectTimeout, noon)
	}
	if got := state(hs, noon.Add(firstProbe)); got != "at most 1" {
		t.Errorf("after the first gap the host is %s", got)
	}
}

func TestRecoveryIsStaggered(t *testing.T) {
	hs := newHosts(32)
	outage(hs, noon)
	now := noon.Add(firstProbe)
	var got []string
	for n := range 6 {
		visit(hs, n, "", now)
		got = append(got, state(hs, now))
	}
	want := []string{"at most 2", "at most 4", "at most 8", "at most 16", "open to all", "open to all"}
	if !slices.Equal(got, want) {
		t.Errorf("after each success: %v, want %v", got, want)
	}
	if len(hs.byKey) != 0 {
		t.Errorf("a host in order is still remembered")
	}
}

func TestARelapseDuringRecoveryClosesAtOnce(t *testing.T) {
	hs := newHosts(32)
	outage(hs, noon)
	now := noon.Add(firstProbe)
	visit(hs, 1, "", now)
	visit(hs, 2, fault.ServerUnavailable, now)
	if got := state(hs, now); got != "closed" {
		t.Errorf("the host is %s", got)
	}
	if got := state(hs, now.Add(2*firstProbe)); got != "at most 1" {
		t.Errorf("after twice the gap the host is %s", got)
	}
}

func TestAProbeThatShowsNothingIsRepeated(t *testing.T) {
	hs := newHosts(32)
	outage(hs, noon)
	now := noon.Add(firstProbe)
	visit(hs, 1, fault.LocalOverQuota, now)
	if got := state(hs, now); got != "closed" {
		t.Errorf("the host is %s", got)
	}
	if got := state(hs, now.Add(firstProbe)); got != "at most 1" {
		t.Errorf("a gap later the host is %s", got)
	}
}

func TestHostsThatNobodyAsksForAreForgotten(t *testing.T) {
	hs := newHosts(32)
	outage(hs, noon)
	hs.began("other")
	hs.ended("other", "1", fault.DNSFailure, noon)
	hs.gate(noon.Add(2 * time.Hour))
	if len(hs.byKey) != 0 {
		t.Errorf("%d hosts are remembered", len(hs.byKey))
	}
}
