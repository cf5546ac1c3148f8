package schedule_test

import (
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// When the next visit is depends on how this one went: as usual, later each time while the
// server fails, and never by itself where only the user can do something.
func ExamplePolicy_Next() {
	p := schedule.Policy{Interval: 5 * time.Minute}
	a := account.Account{Enabled: true, Server: remote.Server{Host: "imap.firma.test", Port: 993}}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	visit := func(code fault.Code) {
		var o schedule.Outcome
		if code != "" {
			o.Err = fault.New(code, "visiting")
		}
		const middle = 0.5 // Of the spread that keeps accounts from coming all at once.
		s := p.Next(schedule.Leased(a), o, now, middle)
		a.Status.State, a.Status.Failures, a.Status.Diagnosis = s.State, s.Failures, s.Diagnosis
		next := "never by itself"
		if !s.DueAt.IsZero() {
			next = "in " + s.DueAt.Sub(now).String()
		}
		fmt.Printf("%q: %s, next %s\n", code, s.State, next)
	}
	visit("")
	for range 4 {
		visit(fault.ConnectTimeout)
	}
	visit("")
	for range 3 {
		visit(fault.AuthFailed)
	}
	// Output:
	// "": ok, next in 5m0s
	// "connect_timeout": retrying, next in 1m0s
	// "connect_timeout": retrying, next in 2m0s
	// "connect_timeout": retrying, next in 4m0s
	// "connect_timeout": retrying, next in 8m0s
	// "": ok, next in 5m0s
	// "auth_failed": retrying, next in 10m0s
	// "auth_failed": retrying, next in 20m0s
	// "auth_failed": needs_attention, next never by itself
}

// What a user sees of a wait comes from what was decided, and from what is seen of the
// server: an account that is switched off, one whose server is out of order, one that is fine.
func ExampleDelay() {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	a := account.Account{Enabled: true, Status: account.Status{State: account.OK, NextPollAt: now.Add(3 * time.Minute)}}
	fmt.Println(schedule.Delay(a, schedule.Signs{}, now) == nil)

	d := schedule.Delay(a, schedule.Signs{Outage: &schedule.Outage{Since: now.Add(-time.Hour)}}, now)
	fmt.Println(d.Kind, now.Sub(d.Since))

	a.Enabled = false
	fmt.Println(schedule.Delay(a, schedule.Signs{}, now).Kind)
	// Output:
	// true
	// outage 1h0m0s
	// paused
}
