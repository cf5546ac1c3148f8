package schedule

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
)

func TestADelayIsToldByWhatCausesIt(t *testing.T) {
	failed := noon.Add(-time.Hour)
	off := account.Account{Pause: account.Pause{At: failed}}
	byOther := account.Account{Pause: account.Pause{At: failed, Operator: true}}
	in := func(state account.State, code fault.Code, next time.Duration) account.Account {
		a := account.Account{Enabled: true, Status: account.Status{State: state, NextPollAt: noon.Add(next)}}
		if code != "" {
			a.Status.Diagnosis = &account.Diagnosis{Code: code, Since: failed}
		}
		return a
	}
	waiting := in(account.NeedsAttention, fault.AuthFailed, 0)
	waiting.Status.NextPollAt = time.Time{}
	visited := in(account.Fetching, fault.ConnectTimeout, 0)
	visited.Status.NextPollAt = time.Time{}
	down := &Outage{Circuit: "h:993/tls", Code: fault.ConnectTimeout, Since: noon.Add(-time.Minute), Probe: noon.Add(
		time.Minute)}
	soon, later := noon.Add(time.Minute), noon.Add(10*time.Minute)
	overdue := noon.Add(-Late)
	for _, tc := range []struct {
		name  string
		a     account.Account
		signs Signs
		want  *account.Delay
	}{
		{"all well", in(account.OK, "", time.Minute), Signs{}, nil},
		{"all well, whatever happens elsewhere", in(account.OK, "", time.Minute), Signs{
			AtHost: MaxPerHost,
			OfUser: MaxPerUser,
		}, nil},
		{"all well, but for its host", in(account.OK, "", time.Second), Signs{Outage: down}, &account.Delay{
			Kind: account.DelayOutage, Since: down.Since, Until: soon,
		}},
		{"never visited, and the host is out of order", in(account.Pending, "", 0), Signs{Outage: down}, &account.Delay{
			Kind: account.DelayOutage, Since: down.Since, Until: soon,
		}},
		{"due a moment ago", in(account.OK, "", -Late+time.Second), Signs{AtHost: MaxPerHost}, nil},
		{"a message failed, the visit did not", in(account.OK, fault.MessageFailed, time.Minute), Signs{}, nil},
		{"never visited, due a moment ago", in(account.Pending, "", -time.Second), Signs{}, nil},
		{"a visit is under way", visited, Signs{Outage: down, AtHost: MaxPerHost}, nil},
		{"between two parts of a long fetch", in(account.Fetching, "", -time.Second), Signs{}, nil},
		{"no place for the next part of a long fetch", in(account.Fetching, "", -Late), Signs{}, &account.Delay{
			Kind: account.DelayWaiting, Since: overdue,
		}},
		{"off", off, Signs{Outage: down}, &account.Delay{Kind: account.DelayPaused, Since: failed}},
		{"off by an administrator", byOther, Signs{}, &account.Delay{Kind: account.DelayMaintenance, Since: failed}},
		{"a refused password", waiting, Signs{Outage: down}, &account.Delay{Kind: account.DelayAttention, Since: failed}},
		{
			"a refused password, asked for again and not visited", in(account.NeedsAttention, fault.AuthFailed, -Late),
			Signs{Asked: true},
			&account.Delay{Kind: account.DelayWaiting, Since: overdue, Asked: true},
		},
		{"a full mailbox", in(account.OverQuota, fault.LocalOverQuota, time.Minute), Signs{Outage: down}, &account.Delay{
			Kind: account.DelayQuota, Since: failed, Until: soon,
		}},
		{"one account fails", in(account.Retrying, fault.ConnectTimeout, time.Minute), Signs{}, &account.Delay{
			Kind: account.DelayBackoff, Since: failed, Until: soon,
		}},
		{
			"many fail at its host", in(account.Retrying, fault.ConnectTimeout, 10*time.Minute),
			Signs{Outage: down},
			&account.Delay{Kind: account.DelayOutage, Since: down.Since, Until: later},
		},
		{"many fail at its host, which is tried later than it is due", in(account.Retrying, fault.ConnectTimeout,
			time.Second), Signs{Outage: down}, &account.Delay{Kind: account.DelayOutage, Since: down.Since, Until: soon}},
		{
			"its own trouble, whatever the host's", in(account.Retrying, fault.AuthFailed, time.Minute),
			Signs{Outage: down},
			&account.Delay{Kind: account.DelayBackoff, Since: failed, Until: soon},
		},
		{"due, and the host is out of order", in(account.OK, "", -Late), Signs{Outage: down}, &account.Delay{
			Kind: account.DelayOutage, Since: down.Since, Until: soon,
		}},
		{"the provider asks for a pause", in(account.Retrying, fault.RateLimited, time.Minute), Signs{}, &account.Delay{
			Kind: account.DelayBudget, Since: failed, Until: soon,
		}},
		{
			"too many connections", in(account.Retrying, fault.TooManyConnections, time.Minute),
			Signs{Outage: down},
			&account.Delay{Kind: account.DelayBudget, Since: failed, Until: soon},
		},
		{
			"due, and the host has all the visits it may have", in(account.OK, "", -Late),
			Signs{AtHost: MaxPerHost, OfUser: 1},
			&account.Delay{Kind: account.DelayBudget, Since: overdue, AtHost: true},
		},
		{
			"due, and the user has", in(account.OK, "", -Late),
			Signs{AtHost: MaxPerHost - 1, OfUser: MaxPerUser},
			&account.Delay{Kind: account.DelayBudget, Since: overdue},
		},
		{
			"the provider wants longer pauses", in(account.OK, "", 10*time.Minute),
			Signs{Allowed: Allowance{Interval: 10 * time.Minute}},
			&account.Delay{Kind: account.DelayInterval, Until: later, Interval: 10 * time.Minute},
		},
		{
			"the provider wants longer pauses, and its user does not want to wait", in(account.OK, "", time.Second),
			Signs{Asked: true, Allowed: Allowance{Interval: 10 * time.Minute}},
			nil,
		},
		{
			"the provider wants longer pauses, and the visit fails", in(account.Retrying, fault.ConnectTimeout, time.Minute),
			Signs{Allowed: Allowance{Interval: 10 * time.Minute}},
			&account.Delay{Kind: account.DelayBackoff, Since: failed, Until: soon},
		},
		{
			"the provider allows no more today", in(account.Retrying, fault.RateLimited, 10*time.Minute),
			Signs{Allowed: Allowance{BytesPerDay: 1000}},
			&account.Delay{Kind: account.DelayBudget, Since: failed, Until: later, Daily: 1000},
		},
		{
			"due, and the host has all the visits that its provider allows", in(account.OK, "", -Late),
			Signs{AtHost: 15, Allowed: Allowance{Connections: 15}},
			&account.Delay{Kind: account.DelayBudget, Since: overdue, AtHost: true},
		},
		{"due, and nobody comes", in(account.Pending, "", -Late), Signs{AtHost: 1, OfUser: 1}, &account.Delay{
			Kind: account.DelayWaiting, Since: overdue,
		}},
	} {
		if diff := cmp.Diff(tc.want, Delay(tc.a, tc.signs, noon)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if bare := Delay(tc.a, Signs{Asked: tc.signs.Asked, Outage: tc.signs.Outage, Allowed: tc.signs.Allowed},
			noon); !NeedsSigns(tc.a, noon) && !cmp.Equal(tc.want, bare) {
			t.Errorf("%s: signs were said not to be needed, and matter: %+v", tc.name, bare)
		}
	}
}

func TestAnOutageShowsInTheStateOfTheAccountsItHolds(t *testing.T) {
	down := Signs{Outage: &Outage{
		Circuit: "h:993/tls", Code: fault.ConnectTimeout, Since: noon.Add(-time.Minute),
		Probe: noon.Add(time.Minute),
	}}
	own := &account.Diagnosis{Code: fault.AuthFailed, Since: noon.Add(-time.Hour)}
	theirs := &account.Diagnosis{Code: fault.ConnectTimeout, Since: down.Outage.Since}
	due := noon.Add(time.Second)
	for _, tc := range []struct {
		name  string
		is    account.Status
		off   bool
		signs Signs
		want  account.State
		why   *account.Diagnosis
	}{
		{"well, at a host that is well", account.Status{State: account.OK, NextPollAt: due}, false, Signs{}, account.OK, nil},
		{"well", account.Status{State: account.OK, NextPollAt: due}, false, down, account.Retrying, theirs},
		{
			"well, but for a message",
			account.Status{State: account.OK, NextPollAt: due, Diagnosis: own},
			false, down,
			account.Retrying, theirs,
		},
		{"never visited", account.Status{State: account.Pending, NextPollAt: due}, false, down, account.Retrying, theirs},
		{
			"between two parts of a long fetch",
			account.Status{State: account.Fetching, NextPollAt: due},
			false, down,
			account.Retrying, theirs,
		},
		{"a visit is under way", account.Status{State: account.Fetching}, false, down, account.Fetching, nil},
		{
			"waits for its user",
			account.Status{State: account.NeedsAttention, Diagnosis: own},
			false, down,
			account.NeedsAttention, own,
		},
		{
			"retried for a reason of its own",
			account.Status{State: account.Retrying, NextPollAt: due, Diagnosis: own},
			false,
			down, account.Retrying, own,
		},
		{"full", account.Status{State: account.OverQuota, NextPollAt: due}, false, down, account.OverQuota, nil},
		{"off", account.Status{State: account.Paused}, true, down, account.Paused, nil},
	} {
		got := Show(account.Account{Enabled: !tc.off, Status: tc.is}, tc.signs, noon)
		if got.State != tc.want || !cmp.Equal(got.Diagnosis, tc.why) {
			t.Errorf("%s: %s with %+v, want %s with %+v", tc.name, got.State, got.Diagnosis, tc.want, tc.why)
		}
	}
}

func TestOthersAreToldOfAnOutageWhileItLastsAndOnlyOfNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemory(haveWorked(accounts(t, 20, "down"))...)
		var back atomic.Int64
		backIn := func(d time.Duration) { back.Store(time.Now().Add(d).UnixNano()) }
		backIn(20 * time.Minute)
		v := &visitor{do: func(context.Context, fetch.Lease) fetch.Report {
			if time.Now().UnixNano() < back.Load() {
				return fetch.Report{Err: fault.New(fault.ConnectTimeout, "")}
			}
			return fetch.Report{}
		}}
		_, stop := run(t, Options{Queue: q, Visitor: v})
		last := func(told []string) string {
			if len(told) == 0 {
				return "nothing at all"
			}
			return told[len(told)-1]
		}
		told := func() []string {
			synctest.Wait()
			q.mu.Lock()
			defer q.mu.Unlock()
			return append([]string(nil), q.noted...)
		}
		time.Sleep(15 * time.Minute)
		during := told()
		// It is news when the host is to be tried next: after 30 s, 1, 2, 4 and 5 minutes.
		if len(during) < 3 || len(during) > 8 {
			t.Errorf("told %d times in 15 minutes: %q", len(during), during)
		}
		for _, n := range during {
			if n != "w1 down:993/tls" {
				t.Errorf("told %q", n)
			}
		}
		time.Sleep(time.Hour)
		if after := last(told()); after != "w1 " {
			t.Errorf("the host is well, and the last word was %q", after)
		}
		q.mu.Lock()
		q.noted = nil
		q.mu.Unlock()
		backIn(time.Hour)
		time.Sleep(15 * time.Minute)
		mustStop(t, stop)
		if after := told(); len(after) < 2 || after[0] != "w1 down:993/tls" || last(after) != "w1 " {
			t.Errorf("a poller that stops leaves %q behind", after)
		}
	})
}
