package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// settled visits an account, with an end.
func (w *world) settled(a account.Account, state account.State, code fault.Code, due time.Duration) {
	w.Helper()
	l, _ := w.lease(a)
	s := schedule.Settlement{State: state, Success: code == "", Run: account.Run{
		StartedAt:  w.clock.now(),
		FinishedAt: w.clock.now(), OK: code == "",
	}}
	if due != 0 {
		s.DueAt = w.clock.now().Add(due)
	}
	if code != "" {
		s.Diagnosis = &account.Diagnosis{Code: code, Since: w.clock.now()}
		s.Run.Diagnosis = s.Diagnosis
	}
	w.must(w.Queue().Finish(w.Context(), l, s))
}

// delayed compares what delays an account with what should, by every way of
// loading it.
func (w *world) delayed(name string, a account.Account, want *account.Delay) {
	w.Helper()
	one := w.load(a)
	all, err := w.Accounts().Accounts(w.Context(), a.Owner)
	w.must(err)
	byID, err := w.Accounts().Any(w.Context(), a.ID)
	w.must(err)
	page, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Owner: a.Owner})
	w.must(err)
	for way, got := range map[string]account.Account{
		"alone": one, "by id": byID, "among the owner's": all[0],
		"among everybody's": page[0],
	} {
		if diff := cmp.Diff(want, got.Status.Delay); diff != "" {
			w.Errorf("%s, %s (-want +got):\n%s", name, way, diff)
		}
	}
}

func TestWhatDelaysAnAccountIsReadOffTheDatabase(t *testing.T) {
	onBoth(t, func(w *world) {
		at := func(host string) func(*account.Account) {
			return func(a *account.Account) { a.Server.Host = host }
		}
		began := w.clock.now()
		well, fails := w.add("well@firma.test", 1, at("down.test")), w.add("fails@firma.test", 2, at("down.test"))
		beside := w.add("beside@firma.test", 7, func(a *account.Account) {
			a.Server = remote.Server{Host: "down.test", Port: 143, Security: remote.STARTTLS}
		})
		w.settled(beside, account.OK, "", time.Hour)
		alone, full, limited, wrong := w.add("alone@firma.test", 3), w.add("full@firma.test", 4), w.add("limited@firma.test",
			5), w.add("wrong@firma.test", 6)
		w.settled(well, account.OK, "", time.Hour)
		w.settled(fails, account.Retrying, fault.ConnectTimeout, 10*time.Minute)
		w.settled(alone, account.Retrying, fault.ConnectTimeout, 10*time.Minute)
		w.settled(full, account.OverQuota, fault.LocalOverQuota, 3*time.Minute)
		w.settled(limited, account.Retrying, fault.RateLimited, time.Hour)
		w.settled(wrong, account.NeedsAttention, fault.AuthFailed, 0)
		in := began.Add
		backoff := func(until time.Duration) *account.Delay {
			return &account.Delay{Kind: account.DelayBackoff, Since: began, Until: in(until)}
		}
		w.delayed("well", well, nil)
		w.delayed("failing, as far as anybody knows alone", fails, backoff(10*time.Minute))
		w.delayed("failing alone", alone, backoff(10*time.Minute))
		w.delayed("full", full, &account.Delay{Kind: account.DelayQuota, Since: began, Until: in(3 * time.Minute)})
		w.delayed("limited", limited, &account.Delay{Kind: account.DelayBudget, Since: began, Until: in(time.Hour)})
		w.delayed("refused", wrong, &account.Delay{Kind: account.DelayAttention, Since: began})

		// Two pollers find out that the host is out of order.
		note := func(worker string, all ...schedule.Outage) { w.must(w.Queue().NoteOutages(w.Context(), worker, all)) }
		down := schedule.Outage{Circuit: "down.test:993/tls", Code: fault.ConnectTimeout, Since: in(time.Second), Probe: in(
			12 * time.Minute)}
		note("p1", down)
		note("p2", schedule.Outage{
			Circuit: "down.test:993/tls", Code: fault.ServerUnavailable, Since: in(time.Minute),
			Probe: in(15 * time.Minute),
		}, schedule.Outage{
			Circuit: "other.test:993/tls", Code: fault.DNSFailure, Since: began,
			Probe: in(time.Hour),
		})
		outage := &account.Delay{Kind: account.DelayOutage, Since: down.Since, Until: down.Probe}
		w.delayed("failing with its host", fails, outage)
		w.delayed("well at a host that is out of order", well, &account.Delay{
			Kind: account.DelayOutage, Since: down.Since,
			Until: in(time.Hour),
		})
		w.delayed("at another port of it", beside, nil)
		w.delayed("at another host", alone, backoff(10*time.Minute))
		note("p1")
		w.delayed("still out of order for the other", fails, &account.Delay{
			Kind: account.DelayOutage, Since: in(time.Minute),
			Until: in(15 * time.Minute),
		})
		w.clock.pass(15*time.Minute + schedule.OutageKept)
		if d := w.load(fails).Status.Delay; d == nil || d.Kind != account.DelayWaiting {
			w.Errorf("a poller that says nothing more is believed: %+v", d)
		}
		note("p1")
		if left := w.table("SELECT circuit, worker FROM host_outages"); !cmp.Equal(left, []string{"other.test:993/tls|p2|"}) {
			w.Errorf("what is reported of hosts: %v", left)
		}
	})
}

func TestAnAccountThatIsDueTellsWhoHoldsItUp(t *testing.T) {
	onBoth(t, func(w *world) {
		due := w.clock.now()
		a := w.add("anna@firma.test", 1)
		w.delayed("added a moment ago", a, nil)
		w.clock.pass(schedule.Late)
		w.delayed("nobody comes", a, &account.Delay{Kind: account.DelayWaiting, Since: due, Asked: true})

		// Its host has all the visits it may have, by anybody.
		busy := make([]account.Account, schedule.MaxPerHost)
		for i := range busy {
			busy[i] = w.add(fmt.Sprintf("busy%d@firma.test", i), i)
			w.lease(busy[i])
		}
		w.delayed("the host is full", a, &account.Delay{Kind: account.DelayBudget, Since: due, AtHost: true})
		w.must(w.Accounts().Remove(w.Context(), busy[0].Owner, busy[0].ID, false, nil))
		w.delayed("the host has room", a, &account.Delay{Kind: account.DelayWaiting, Since: due, Asked: true})

		// Its user has.
		for i := range schedule.MaxPerUser {
			w.lease(w.add("anna@firma.test", 100+i, func(a *account.Account) { a.Server.Host = fmt.Sprintf("h%d.test", i) }))
		}
		w.delayed("the user has all visits", a, &account.Delay{Kind: account.DelayBudget, Since: due})
		w.clock.pass(time.Hour) // Those leases ended.
		w.delayed("nobody comes at all", a, &account.Delay{Kind: account.DelayWaiting, Since: due, Asked: true})
		w.lease(a)
		w.delayed("under way", a, nil)
	})
}

func TestWhoSwitchedAnAccountOffIsRemembered(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		then := w.clock.pass(time.Minute)
		save := func(change func(*account.Account)) {
			w.Helper()
			change(&a)
			var err error
			a, err = w.Accounts().Update(w.Context(), a, nil, false)
			w.must(err)
		}
		save(func(a *account.Account) { a.Enabled, a.Pause = false, account.Pause{At: then, Operator: true} })
		want := &account.Delay{Kind: account.DelayMaintenance, Since: then}
		if diff := cmp.Diff(want, a.Status.Delay); diff != "" {
			w.Errorf("what the edit answers (-want +got):\n%s", diff)
		}
		w.delayed("by an administrator", a, want)
		save(func(a *account.Account) { a.Name = "Another" })
		w.delayed("by an administrator, and edited", a, want)
		save(func(a *account.Account) { a.Enabled, a.Pause = true, account.Pause{} })
		w.delayed("on again", a, nil)
		save(func(a *account.Account) { a.Enabled, a.Pause = false, account.Pause{At: then} })
		w.delayed("by the user", a, &account.Delay{Kind: account.DelayPaused, Since: then})

		b := draft(w, "jan@firma.test", 2)
		b.Enabled, b.Pause.At = false, then
		b, err := w.Accounts().Add(w.Context(), b, nil, 4)
		w.must(err)
		w.delayed("added switched off", b, &account.Delay{Kind: account.DelayPaused, Since: then})
	})
}
