package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// proven is the account of the n-th user at "h", which has worked there.
func proven(n int) Lease {
	o, err := owner.Parse(fmt.Sprintf("u%d@firma.test", n))
	if err != nil {
		panic(err)
	}
	a := account.Account{ID: account.ID(fmt.Sprint(n)), Owner: o, Server: remote.Server{
		Host: "h", Port: 993,
		Security: remote.TLS,
	}}
	a.Status.Proven = true
	return Leased(a)
}

// unproven is proven that never worked.
func unproven(n int) Lease {
	a := proven(n)
	a.Row.Status.Proven = false
	return a
}

func visitOf(cs *circuits, l Lease, e *fault.Error, now time.Time) {
	cs.ended(l, cs.began(l), e, now)
}

// visit plays one visit of the n-th user.
func visit(cs *circuits, n int, code fault.Code, now time.Time) {
	if code == "" {
		visitOf(cs, proven(n), nil, now)
		return
	}
	visitOf(cs, proven(n), fault.New(code, ""), now)
}

func outage(cs *circuits, now time.Time) {
	for n := range outageAccounts {
		visit(cs, n, fault.ConnectTimeout, now)
	}
}

func state(cs *circuits, now time.Time) string {
	closed, recovering := cs.gate(now)
	if slices.Contains(closed, "h:993/tls") {
		return "closed"
	}
	for _, c := range recovering {
		if c.Circuit == "h:993/tls" && c.Proven {
			return fmt.Sprint("probed by ", c.Visits)
		} else if c.Circuit == "h:993/tls" {
			return fmt.Sprint("at most ", c.Visits)
		}
	}
	return "open to all"
}

func TestWhatMakesAnOutage(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(cs *circuits)
		want string
	}{
		{"five accounts at once", func(cs *circuits) { outage(cs, noon) }, "closed"},
		{"one account many times", func(cs *circuits) {
			for range 50 {
				visit(cs, 1, fault.ConnectTimeout, noon)
			}
		}, "open to all"},
		{"four accounts", func(cs *circuits) {
			for n := range 4 {
				visit(cs, n, fault.ConnectTimeout, noon)
			}
		}, "open to all"},
		{"five accounts over ten minutes", func(cs *circuits) {
			for n := range 5 {
				visit(cs, n, fault.ConnectTimeout, noon.Add(time.Duration(n-5)*2*time.Minute))
			}
		}, "open to all"},
		{"a success in between", func(cs *circuits) {
			for n := range 9 {
				code := fault.ConnectTimeout
				if n == 4 {
					code = ""
				}
				visit(cs, n, code, noon)
			}
		}, "open to all"},
		{"five accounts that never worked, as with a typing error each", func(cs *circuits) {
			for n := range 5 {
				visitOf(cs, unproven(n), fault.New(fault.ConnectRefused, ""), noon)
			}
		}, "open to all"},
		{"the same at another port, by accounts that worked there", func(cs *circuits) {
			for n := range 5 {
				a := proven(n)
				a.Route.From.Server.Port = 143
				visitOf(cs, a, fault.New(fault.ConnectRefused, ""), noon)
			}
		}, "open to all"},
		{"the same with another security", func(cs *circuits) {
			for n := range 5 {
				a := proven(n)
				a.Route.From.Server.Security = remote.STARTTLS
				visitOf(cs, a, fault.New(fault.TLSFailure, ""), noon)
			}
		}, "open to all"},
		{"nine accounts of two users", func(cs *circuits) {
			for n := range 9 {
				a := proven(n)
				a.Route.Owner = proven(n % 2).Route.Owner
				visitOf(cs, a, fault.New(fault.ConnectTimeout, ""), noon)
			}
		}, "open to all"},
		{"five accounts of three users", func(cs *circuits) {
			for n := range 5 {
				a := proven(n)
				a.Route.Owner = proven(n % 3).Route.Owner
				visitOf(cs, a, fault.New(fault.ConnectTimeout, ""), noon)
			}
		}, "closed"},
		{"where tokens are issued, and not the mail server", func(cs *circuits) {
			for n := range 50 {
				visitOf(cs, proven(n), &fault.Error{Code: fault.ServerUnavailable, Elsewhere: true}, noon)
			}
		}, "open to all"},
		{"another spelling of the same host", func(cs *circuits) {
			for n := range 5 {
				a := proven(n)
				a.Route.From.Server.Host = "H."
				visitOf(cs, a, fault.New(fault.ConnectTimeout, ""), noon)
			}
		}, "closed"},
		{"refused passwords", func(cs *circuits) {
			for n := range 50 {
				visit(cs, n, fault.AuthFailed, noon)
			}
		}, "open to all"},
		{"our own trouble", func(cs *circuits) {
			for n := range 50 {
				visit(cs, n, fault.LocalMailboxUnavailable, noon)
			}
		}, "open to all"},
		{"a defect of ours", func(cs *circuits) {
			for n := range 50 {
				visit(cs, n, fault.Internal, noon)
			}
		}, "open to all"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cs := newCircuits(32)
			tc.play(cs)
			if got := state(cs, noon); got != tc.want {
				t.Errorf("the host is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAnOutageIsProbedByOneVisitAtATimeEverMoreSeldom(t *testing.T) {
	cs, now := newCircuits(32), noon
	outage(cs, now)
	var gaps []time.Duration
	for range 6 {
		began := now
		for state(cs, now) == "closed" {
			now = now.Add(time.Second)
		}
		gaps = append(gaps, now.Sub(began))
		if got := state(cs, now); got != "probed by 1" {
			t.Fatalf("the host is %s", got)
		}
		turn := cs.began(proven(0))
		if got := state(cs, now); got != "closed" {
			t.Fatalf("during the probe the host is %s", got)
		}
		cs.ended(proven(0), turn, fault.New(fault.ConnectTimeout, ""), now)
	}
	want := []time.Duration{
		30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute,
		5 * time.Minute,
	}
	if !slices.Equal(gaps, want) {
		t.Errorf("probed after %v, want %v", gaps, want)
	}
}

func TestVisitsUnderWayWhenTheHostWentDownDoNotProlongTheOutage(t *testing.T) {
	cs := newCircuits(32)
	var turns []int
	for n := range 41 {
		turns = append(turns, cs.began(proven(n)))
	}
	for n := range 40 {
		cs.ended(proven(n), turns[n], fault.New(fault.ConnectTimeout, ""), noon)
	}
	// The last one is still under way, as a tarpit keeps it, and bars no probe.
	if got := state(cs, noon.Add(firstProbe)); got != "probed by 1" {
		t.Errorf("after the first gap the host is %s", got)
	}
}

func TestRecoveryIsStaggered(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon)
	now := noon.Add(firstProbe)
	var got []string
	for n := range 6 {
		visit(cs, n, "", now)
		got = append(got, state(cs, now))
	}
	want := []string{"at most 2", "at most 4", "at most 8", "at most 16", "open to all", "open to all"}
	if !slices.Equal(got, want) {
		t.Errorf("after each success: %v, want %v", got, want)
	}
	if len(cs.byKey) != 0 {
		t.Errorf("a host in order is still remembered")
	}
}

func TestARelapseTakesTwoUsers(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon)
	now := noon.Add(firstProbe)
	visit(cs, 1, "", now)
	for range 9 {
		visit(cs, 2, fault.ServerUnavailable, now)
	}
	if got := state(cs, now); got != "at most 2" {
		t.Errorf("one user fails again and again, and the host is %s", got)
	}
	for n := range 9 {
		visitOf(cs, unproven(n), fault.New(fault.ConnectTimeout, ""), now)
	}
	if got := state(cs, now); got != "at most 2" {
		t.Errorf("accounts that never worked fail, and the host is %s", got)
	}
	visit(cs, 3, fault.ServerUnavailable, now)
	if got := state(cs, now); got != "closed" {
		t.Errorf("two users fail, and the host is %s", got)
	}
	if got := state(cs, now.Add(2*firstProbe)); got != "probed by 1" {
		t.Errorf("after twice the gap the host is %s", got)
	}
}

func TestAProbeThatShowsNothingIsRepeatedByAnotherUser(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon)
	now := noon
	var barred []string
	for _, n := range []int{1, 2, 2, 3} {
		now = now.Add(firstProbe)
		if got := state(cs, now); got != "probed by 1" {
			t.Fatalf("a gap later the host is %s", got)
		}
		visit(cs, n, fault.LocalOverQuota, now)
		if got := state(cs, now); got != "closed" {
			t.Errorf("the host is %s", got)
		}
		_, recovering := cs.gate(now.Add(firstProbe))
		barred = append(barred, fmt.Sprint(recovering[0].Except))
	}
	want := []string{
		"[u1@firma.test]", "[u1@firma.test u2@firma.test]", "[u1@firma.test u2@firma.test]",
		"[u2@firma.test u3@firma.test]",
	}
	if !slices.Equal(barred, want) {
		t.Errorf("after each failed probe these are left out: %v, want %v", barred, want)
	}
}

// TestAServerWhoseWitnessesAreGoneIsProbedByAnybody, as when all of them entered
// their passwords again while it was down.
func TestAServerWhoseWitnessesAreGoneIsProbedByAnybody(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon)
	late := noon.Add(firstProbe + lastProbe)
	if got := state(cs, late); got != "probed by 1" { // The control: their time is not over.
		t.Errorf("while witnesses may come, the host is %s", got)
	}
	late = late.Add(time.Second)
	if got := state(cs, late); got != "at most 1" {
		t.Fatalf("with no witness left, the host is %s", got)
	}
	visitOf(cs, unproven(9), fault.New(fault.ConnectTimeout, ""), late)
	if got := state(cs, late); got != "closed" {
		t.Errorf("after one that failed, the host is %s", got)
	}
	late = late.Add(firstProbe)
	if got := state(cs, late); got != "probed by 1" {
		t.Errorf("at the next probe, witnesses come first: %s", got)
	}
	late = late.Add(lastProbe + time.Second)
	visitOf(cs, unproven(9), nil, late)
	if got := state(cs, late); got != "at most 2" {
		t.Errorf("after an answer, the host is %s", got)
	}
}

func TestAClockThatWasAheadKeepsNoServerClosed(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon.Add(24*time.Hour))
	if got := state(cs, noon); got != "probed by 1" {
		t.Errorf("the host is %s", got)
	}
}

// Where nobody succeeds anywhere it is not the providers who are down.
func TestANetworkOfOursThatIsDownIsNoProvidersOutage(t *testing.T) {
	at := func(host string, n int) Lease {
		a := proven(n)
		a.Route.From.Server.Host, a.Route.ID = host, account.ID(fmt.Sprint(host, n))
		return a
	}
	down := fault.New(fault.DNSFailure, "")
	play := func(well bool) []Outage {
		cs := newCircuits(32)
		visitOf(cs, at("z", 1), nil, noon)
		now := noon.Add(time.Second)
		for n := range outageAccounts {
			for _, host := range []string{"x", "y", "z"} {
				visitOf(cs, at(host, n), down, now)
			}
			if well {
				visitOf(cs, at("other", n), nil, now)
			}
			now = now.Add(time.Second)
		}
		return cs.outages()
	}
	if got := play(false); len(got) != 0 {
		t.Errorf("nobody succeeds anywhere, and it is said of %v", got)
	}
	if got := play(true); len(got) != 3 {
		t.Errorf("others succeed, and it is said of %v only", got)
	}
	// Said of the first, and taken back.
	cs := newCircuits(32)
	outage(cs, noon.Add(time.Second))
	if got := cs.outages(); len(got) != 1 || got[0].Code != fault.ConnectTimeout {
		t.Fatalf("out of order: %v", got)
	}
	for n := range outageAccounts {
		for _, host := range []string{"x", "y"} {
			visitOf(cs, at(host, n), down, noon.Add(2*time.Second))
		}
	}
	if got := cs.outages(); len(got) != 0 {
		t.Errorf("out of order still: %v", got)
	}
}

func TestHostsThatNobodyAsksForAreForgotten(t *testing.T) {
	cs := newCircuits(32)
	outage(cs, noon)
	other := proven(1)
	other.Route.From.Server.Host = "other"
	visitOf(cs, other, fault.New(fault.DNSFailure, ""), noon)
	cs.gate(noon.Add(2 * time.Hour))
	if len(cs.byKey) != 0 {
		t.Errorf("%d circuits are remembered", len(cs.byKey))
	}
}

// What was noted while the clock was ahead does not count.
func TestTimesToComeCountForNothing(t *testing.T) {
	later := noon.Add(24 * time.Hour)
	cs := newCircuits(32)
	for n := range outageAccounts - 1 {
		visit(cs, n, fault.ConnectTimeout, later)
	}
	visit(cs, outageAccounts, fault.ConnectTimeout, noon)
	if got := state(cs, noon); got != "open to all" {
		t.Errorf("one failed today and four will tomorrow: the host is %s", got)
	}
	for n := range outageAccounts { // The control: those of today count.
		visit(cs, n, fault.ConnectTimeout, noon)
	}
	if got := state(cs, noon); got != "closed" {
		t.Errorf("five failed today: the host is %s", got)
	}

	cs = newCircuits(32)
	z := proven(9)
	z.Route.From.Server.Host = "z"
	visitOf(cs, z, nil, later)
	for n := range outageAccounts {
		for _, host := range []string{"v", "x", "y"} {
			a := proven(n)
			a.Route.From.Server.Host = host
			visitOf(cs, a, fault.New(fault.DNSFailure, ""), noon.Add(time.Duration(n)*time.Second))
		}
	}
	if got := cs.outages(); len(got) != 0 {
		t.Errorf("a server answers tomorrow, nobody today, and it is said of %v", got)
	}

	cs = newCircuits(32)
	outage(cs, later)
	cs.gate(noon)
	if got := cs.outages(); len(got) != 1 || got[0].Since.After(noon) {
		t.Errorf("an outage that begins tomorrow: %v", got)
	}
}

// A bound of ours, and a connection that breaks after it brought mail, are no
// word on whether the server is there.
func TestWhoEndsOneOwnVisitIsNoWitness(t *testing.T) {
	gone := fault.New(fault.ServerUnavailable, "")
	bound := &fault.Error{Code: fault.ServerUnavailable, Limit: true}
	for _, tc := range []struct {
		name   string
		rep    fetch.Report
		edited bool
		want   string
	}{
		{"the connection broke", fetch.Report{Err: gone}, false, "closed"},
		{"it broke, and the account was edited meanwhile", fetch.Report{Err: gone}, true, "open to all"},
		{"it broke after it had brought mail", fetch.Report{Err: gone, Messages: 1}, false, "open to all"},
		{"our bound on octets or time", fetch.Report{Err: bound}, false, "open to all"},
		{"the same, wrapped", fetch.Report{Err: fault.Wrap(fault.Internal, "", bound)}, false, "open to all"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cs := newCircuits(32)
			for n := range outageAccounts {
				visitOf(cs, proven(n), witness(tc.rep, !tc.edited), noon)
			}
			if got := state(cs, noon); got != tc.want {
				t.Errorf("the host is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestVisitsThatHadNoMemorySayNothingOfTheServer(t *testing.T) {
	cs := newCircuits(32)
	for n := range outageAccounts {
		visit(cs, n, fault.ConnectTimeout, noon)
		visitOf(cs, proven(n+outageAccounts), witness(fetch.Report{More: true, Busy: true}, true), noon)
	}
	if got := state(cs, noon); got != "closed" {
		t.Errorf("others had no memory meanwhile, and the host is %s", got)
	}
	visit(cs, 1, "", noon.Add(firstProbe))
	if got := state(cs, noon.Add(firstProbe)); got != "at most 2" { // The control.
		t.Errorf("after an answer the host is %s", got)
	}
}

func TestAProbeThatBroughtMailIsAnAnswer(t *testing.T) {
	rep := fetch.Report{Err: fault.New(fault.ServerUnavailable, ""), Messages: 1}
	for _, tc := range []struct {
		name string
		late bool // It began before the outage.
		want string
	}{{"a probe", false, "at most 2"}, {"a visit from before", true, "probed by 1"}} {
		cs := newCircuits(32)
		a, now := proven(7), noon.Add(firstProbe)
		turn := cs.began(a)
		outage(cs, noon)
		if !tc.late {
			cs.ended(a, turn, witness(rep, true), noon)
			turn = cs.began(a)
		}
		cs.brought(a, turn, now)
		cs.ended(a, turn, witness(rep, true), now)
		if got := state(cs, now); got != tc.want {
			t.Errorf("after %s the host is %s, want %s", tc.name, got, tc.want)
		}
	}
}
