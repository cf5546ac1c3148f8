package schedule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// even is the random number that leaves delays as they are.
const even = 0.5

func seen(code fault.Code, failures int) account.Status {
	return account.Status{Failures: failures, Diagnosis: &account.Diagnosis{Code: code, Since: noon.Add(-time.Hour)}}
}

// A want of descriptors is ours and soon over: however often it happened, the next
// visit is a minute away. The control is any other fault of ours.
func TestAWantOfDescriptorsIsRetriedSoon(t *testing.T) {
	a := account.Account{PollInterval: time.Minute, Status: account.Status{State: account.Retrying, Failures: 20}}
	for _, tc := range []struct {
		err  error
		soon bool
	}{{syscall.EMFILE, true}, {syscall.ENFILE, true}, {syscall.EIO, false}} {
		failed := Outcome{Err: &fault.Error{Code: fault.Internal, Err: fmt.Errorf("opening: %w", tc.err)}}
		s := Policy{}.Next(Leased(a), failed, noon, 0.5)
		if got := s.DueAt.Sub(noon) <= 2*time.Minute; got != tc.soon || s.State != account.Retrying {
			t.Errorf("%v: next in %v, %s", tc.err, s.DueAt.Sub(noon), s.State)
		}
	}
}

func TestPolicy(t *testing.T) {
	failing := func(code fault.Code) Outcome { return Outcome{Err: fault.New(code, "")} }
	died := func(n int) Outcome { return Outcome{Err: fault.New(fault.VisitAborted, ""), Aborted: n} }
	never := time.Duration(-1)
	for _, tc := range []struct {
		name     string
		prior    account.Status
		interval time.Duration
		out      Outcome
		state    account.State
		next     time.Duration
		failures int
	}{
		{name: "all well: one interval", state: account.OK, next: 5 * time.Minute},
		{name: "the account's own interval", interval: time.Hour, state: account.OK, next: time.Hour},
		{
			name: "all well again: failures are forgotten", prior: seen(fault.ConnectRefused, 7), state: account.OK,
			next: 5 * time.Minute,
		},
		{
			name: "a bad message is no failed visit", out: Outcome{Partial: fault.New(fault.MessageFailed, "")},
			state: account.OK, next: 5 * time.Minute,
		},
		{name: "more to do: due at once", out: Outcome{More: true}, state: account.Fetching, next: 0},

		{
			name: "network, first time: soon", out: failing(fault.ConnectTimeout), state: account.Retrying, next: time.Minute,
			failures: 1,
		},
		{
			name: "network, fourth time", prior: seen(fault.ConnectTimeout, 3), out: failing(fault.DNSFailure),
			state: account.Retrying, next: 8 * time.Minute, failures: 4,
		},
		{
			name: "network, for days: hourly", prior: seen(fault.ConnectTimeout, 90), out: failing(fault.ConnectRefused),
			state: account.Retrying, next: time.Hour, failures: 91,
		},
		{
			name: "network never less often than when well", interval: 6 * time.Hour, prior: seen(fault.ConnectTimeout, 90),
			out: failing(fault.ConnectRefused), state: account.Retrying, next: 6 * time.Hour, failures: 91,
		},
		{
			name: "short intervals retry in short steps", interval: 2 * time.Second, out: failing(fault.ConnectRefused),
			state: account.Retrying, next: 2 * time.Second, failures: 1,
		},
		{
			name: "in use by another client", out: failing(fault.MailboxInUse), state: account.Retrying, next: 2 * time.Minute,
			failures: 1,
		},
		{
			name: "too many connections", out: failing(fault.TooManyConnections), state: account.Retrying,
			next: 10 * time.Minute, failures: 1,
		},
		{
			name: "protocol error, for days", prior: seen(fault.ProtocolError, 90), out: failing(fault.ProtocolError),
			state: account.Retrying, next: 6 * time.Hour, failures: 91,
		},
		{
			name: "every folder failed", out: failing(fault.FolderFailed), state: account.Retrying, next: 5 * time.Minute,
			failures: 1,
		},
		{name: "local mailbox cannot be written", prior: seen(fault.LocalMailboxUnavailable, 90), out: failing(
			fault.LocalMailboxUnavailable), state: account.Retrying, next: 15 * time.Minute, failures: 91},
		{
			name: "a defect of ours does not switch off", prior: seen(fault.Internal, 90), out: failing(fault.Internal),
			state: account.Retrying, next: time.Hour, failures: 91,
		},
		{
			name: "an unknown code does not switch off", prior: seen("new", 9), out: failing("new"), state: account.Retrying,
			next: time.Hour, failures: 10,
		},
		{
			name: "over quota: looked at every few minutes", prior: seen(fault.LocalOverQuota, 90), interval: time.Hour,
			out: failing(fault.LocalOverQuota), state: account.OverQuota, next: 3 * time.Minute, failures: 91,
		},

		{name: "a permission that was withdrawn is not tried again", out: Outcome{Err: &fault.Error{
			Code: fault.OAuthReauthorizationRequired, Final: true,
		}}, state: account.NeedsAttention, next: never, failures: 1},
		{name: "a token that was refused may have been the server's mistake", out: failing(
			fault.OAuthReauthorizationRequired), state: account.Retrying, next: 10 * time.Minute, failures: 1},

		{name: "visits that never ended: a pause", out: died(3), state: account.Retrying, next: 5 * time.Minute, failures: 1},
		{
			name: "a pause even with short intervals", interval: 2 * time.Second, out: died(3), state: account.Retrying,
			next: 2 * time.Minute, failures: 1,
		},
		{
			name: "the pause goes by what never ended, not by what failed", prior: seen(fault.ConnectTimeout, 20), out: died(5),
			state: account.Retrying, next: 20 * time.Minute, failures: 21,
		},
		{name: "and no edit makes it shorter", out: died(7), state: account.Retrying, next: 80 * time.Minute, failures: 1},
		{
			name: "visits that never ended, for days", prior: seen(fault.VisitAborted, 90), out: died(93),
			state: account.Retrying, next: 6 * time.Hour, failures: 91,
		},
		{name: "what fails in a visit alone is like any other", out: Outcome{
			Err:     fault.New(fault.ConnectTimeout, ""),
			Aborted: 9,
		}, state: account.Retrying, next: time.Minute, failures: 1},

		{name: "the server's hint is kept to", out: Outcome{Err: &fault.Error{
			Code:       fault.RateLimited,
			RetryAfter: 40 * time.Minute,
		}}, state: account.Retrying, next: 42 * time.Minute, failures: 1},
		{name: "a hint does not shorten the backoff", prior: seen(fault.RateLimited, 3), out: Outcome{Err: &fault.Error{
			Code: fault.RateLimited, RetryAfter: time.Second,
		}}, state: account.Retrying, next: 80 * time.Minute, failures: 4},
		{
			name: "an absurd hint is a day", out: Outcome{Err: &fault.Error{Code: fault.RateLimited, RetryAfter: math.MaxInt64}},
			state: account.Retrying, next: 25*time.Hour + 12*time.Minute, failures: 1,
		},

		{
			name:  "a hint counts whatever the reason: in use",
			out:   Outcome{Err: &fault.Error{Code: fault.MailboxInUse, RetryAfter: 30 * time.Minute}},
			state: account.Retrying, next: 31*time.Minute + 30*time.Second, failures: 1,
		},
		{
			name:  "a hint counts whatever the reason: locked",
			out:   Outcome{Err: &fault.Error{Code: fault.AccountLocked, RetryAfter: 2 * time.Hour}},
			state: account.Retrying, next: 126 * time.Minute, failures: 1,
		},

		{
			name: "password refused once", out: failing(fault.AuthFailed), state: account.Retrying, next: 10 * time.Minute,
			failures: 1,
		},
		{
			name: "password refused twice: a longer gap", prior: seen(fault.AuthFailed, 1), out: failing(fault.AuthFailed),
			state: account.Retrying, next: 20 * time.Minute, failures: 2,
		},
		{name: "password refused three times: waits for the user", prior: seen(fault.AuthFailed, 2), out: failing(
			fault.AuthFailed), state: account.NeedsAttention, next: never, failures: 3},
		{
			name: "refused in different words", prior: seen(fault.AuthFailed, 2), out: failing(fault.AppPasswordRequired),
			state: account.NeedsAttention, next: never, failures: 3,
		},
		{
			name: "fetch now does not restart the count", prior: seen(fault.AuthFailed, 3), out: failing(fault.AuthFailed),
			state: account.NeedsAttention, next: never, failures: 4,
		},
		{name: "refused after an outage: first of three", prior: seen(fault.ConnectTimeout, 20), out: failing(
			fault.AuthFailed), state: account.Retrying, next: 10 * time.Minute, failures: 1},
		{name: "waiting for the user is not ended by an outage", prior: seen(fault.AuthFailed, 3), out: failing(
			fault.ConnectTimeout), state: account.NeedsAttention, next: never, failures: 4},
		{name: "locked: slowly", out: failing(fault.AccountLocked), state: account.Retrying, next: time.Hour, failures: 1},
		{
			name: "certificate: slowly", out: failing(fault.TLSCertificateInvalid), state: account.Retrying,
			next: 30 * time.Minute, failures: 1,
		},
		{name: "certificate, third time: waits for the user", prior: seen(fault.TLSCertificateInvalid, 2), out: failing(
			fault.TLSCertificateInvalid), state: account.NeedsAttention, next: never, failures: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account.Account{PollInterval: tc.interval, Status: tc.prior, UpdatedAt: noon.Add(-24 * time.Hour)}
			s := Policy{}.Next(Leased(a), tc.out, noon, even)
			if s.State != tc.state || s.Failures != tc.failures {
				t.Errorf("state %s after %d failures, want %s after %d", s.State, s.Failures, tc.state, tc.failures)
			}
			switch {
			case tc.next == never && !s.DueAt.IsZero():
				t.Errorf("due in %v, want never", s.DueAt.Sub(noon))
			case tc.next != never && !s.DueAt.Equal(noon.Add(tc.next)):
				t.Errorf("due in %v, want %v", s.DueAt.Sub(noon), tc.next)
			}
			if wantSuccess := tc.out.Err == nil && !tc.out.More; s.Success != wantSuccess {
				t.Errorf("success %t, want %t", s.Success, wantSuccess)
			}
			if s.Run.OK != (tc.out.Err == nil) {
				t.Errorf("the run's ok is %t", s.Run.OK)
			}
		})
	}
}

func TestEveryCodeThatOnlyTheUserCanMendStopsAfterThree(t *testing.T) {
	for _, code := range fault.Codes() {
		t.Run(string(code), func(t *testing.T) {
			a := account.Account{}
			tries := 0
			for a.Status.State != account.NeedsAttention && tries < 50 {
				s := Policy{}.Next(Leased(a), Outcome{Err: fault.New(code, "")}, noon, even)
				a.Status = account.Status{State: s.State, Failures: s.Failures, Diagnosis: s.Diagnosis}
				tries++
			}
			want := 50
			if !code.Retryable() || code.Credential() {
				want = 3
			}
			if tries != want {
				t.Errorf("tried %d times, want %d", tries, want)
			}
		})
	}
}

func TestTimesToComeDoNoHarm(t *testing.T) {
	// What a clock has written that was a day ahead.
	a := account.Account{UpdatedAt: noon.Add(24 * time.Hour), Status: account.Status{
		Failures:  2,
		Diagnosis: &account.Diagnosis{Code: fault.AuthFailed, Since: noon.Add(-time.Hour)},
	}}
	if s := (Policy{}).Next(Leased(a), Outcome{Err: fault.New(fault.AuthFailed, "")}, noon,
		even); s.State != account.NeedsAttention {
		t.Errorf("settled as %s after %d failures: a password that is refused would be tried for a day", s.State, s.Failures)
	}
	a.Status.Diagnosis.Since = noon.Add(24 * time.Hour)
	s := Policy{}.Next(Leased(a), Outcome{Err: fault.New(fault.AuthFailed, "")}, noon, even)
	if !s.Diagnosis.Since.Equal(noon) {
		t.Errorf("failing since %v", s.Diagnosis.Since)
	}
}

func TestAnEditStartsTheCountAnew(t *testing.T) {
	a := account.Account{Status: seen(fault.AuthFailed, 3), UpdatedAt: noon.Add(-time.Minute)}
	s := Policy{}.Next(Leased(a), Outcome{Err: fault.New(fault.ConnectRefused, "")}, noon, even)
	if s.State != account.Retrying || s.Failures != 1 || s.Diagnosis.Code != fault.ConnectRefused {
		t.Errorf("settled as %s after %d failures, %s", s.State, s.Failures, s.Diagnosis.Code)
	}
	// And only once: the refusals after the edit add up.
	for n, want := range []account.State{account.Retrying, account.Retrying, account.NeedsAttention} {
		s = Policy{}.Next(Leased(a), Outcome{Err: fault.New(fault.AuthFailed, "")}, noon, even)
		if s.State != want {
			t.Errorf("refusal %d: %s, want %s", n+1, s.State, want)
		}
		a.Status.Failures, a.Status.Diagnosis = s.Failures, s.Diagnosis
	}
}

func TestDiagnosisIsDatedFromTheFirstFailureOfItsKind(t *testing.T) {
	prior := seen(fault.ConnectTimeout, 2)
	for _, tc := range []struct {
		name string
		out  Outcome
		want *account.Diagnosis
	}{
		{"the same code keeps its date", Outcome{Err: fault.New(fault.ConnectTimeout, "",
			words.Say("again"))}, &account.Diagnosis{
			Code: fault.ConnectTimeout, Detail: words.Detail{words.Say("again")}, Since: noon.Add(-time.Hour),
		}},
		{"another code is new", Outcome{Err: fault.New(fault.DNSFailure, "", words.Say("other"))}, &account.Diagnosis{
			Code: fault.DNSFailure, Detail: words.Detail{words.Say("other")}, Since: noon,
		}},
		{"partly", Outcome{Partial: fault.New(fault.FolderFailed, "", words.Say("Sent"))}, &account.Diagnosis{
			Code:   fault.FolderFailed,
			Detail: words.Detail{words.Say("Sent")}, Since: noon,
		}},
		{"well", Outcome{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Policy{}.Next(Leased(account.Account{Status: prior}), tc.out, noon, even)
			if diff := cmp.Diff(tc.want, s.Diagnosis); diff != "" {
				t.Errorf("diagnosis (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.Diagnosis, s.Run.Diagnosis); diff != "" {
				t.Errorf("the run's diagnosis differs:\n%s", diff)
			}
		})
	}
}

func TestRunsAreKeptWhenTheyTellSomething(t *testing.T) {
	partly := fault.New(fault.MessageFailed, "")
	for _, tc := range []struct {
		name  string
		prior account.Status
		out   Outcome
		keep  bool
	}{
		{"no news", account.Status{}, Outcome{}, false},
		{"brought mail", account.Status{}, Outcome{Run: account.Run{Messages: 1}}, true},
		{"failed", account.Status{}, Outcome{Err: fault.New(fault.AuthFailed, "")}, true},
		{"follows a failure", seen(fault.AuthFailed, 1), Outcome{}, true},
		{"partly failed for the first time", account.Status{}, Outcome{Partial: partly}, true},
		{"partly failed as before", seen(fault.MessageFailed, 0), Outcome{Partial: partly}, false},
		{"whole again", seen(fault.MessageFailed, 0), Outcome{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if s := (Policy{}).Next(Leased(account.Account{Status: tc.prior}), tc.out, noon, even); s.Keep != tc.keep {
				t.Errorf("keep %t, want %t", s.Keep, tc.keep)
			}
		})
	}
}

func TestJitterStaysWithinATenth(t *testing.T) {
	earliest, latest := time.Duration(math.MaxInt64), time.Duration(0)
	for range 1000 {
		s := Policy{Interval: 10 * time.Minute}.Next(Leased(account.Account{}), Outcome{}, noon, rand.Float64())
		d := s.DueAt.Sub(noon)
		earliest, latest = min(earliest, d), max(latest, d)
	}
	if earliest < 9*time.Minute || latest > 11*time.Minute {
		t.Errorf("due after %v to %v, want 9 to 11 minutes", earliest, latest)
	}
	if latest-earliest < time.Minute {
		t.Errorf("1,000 accounts are spread over %v only", latest-earliest)
	}
}

func TestBackoffGrowsToItsLimitAndStays(t *testing.T) {
	prop := func(which uint8, seconds uint32, failures uint8) bool {
		code := fault.Codes()[int(which)%len(fault.Codes())]
		interval := time.Duration(seconds%604800+1) * time.Second
		cl := classOf(code)
		limit := max(cl.limit, interval)
		n := int(failures) + 1
		d, next := cl.delay(interval, n), cl.delay(interval, n+1)
		return d > 0 && d <= next && next <= 2*d && next <= limit && cl.delay(interval, 400) == cl.delay(interval, 4000)
	}
	if err := quick.Check(prop, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestDueIsNeverBeforeNow(t *testing.T) {
	prop := func(which uint8, failures uint8, hint int64, rnd uint32, clock int64) bool {
		now := time.UnixMilli(clock % (1 << 45)) // A clock may say anything.
		code := fault.Codes()[int(which)%len(fault.Codes())]
		a := account.Account{Status: account.Status{Failures: int(failures)}}
		s := Policy{}.Next(Leased(a), Outcome{Err: &fault.Error{Code: code, RetryAfter: time.Duration(hint)}}, now,
			float64(rnd)/(1<<32))
		return s.DueAt.IsZero() || (s.DueAt.After(now) && s.DueAt.Before(now.Add(28*time.Hour)))
	}
	if err := quick.Check(prop, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestASpellingOfAServerIsNoOtherServer(t *testing.T) {
	for host, want := range map[string]string{
		"imap.example.test": "imap.example.test", "IMAP.Example.test.": "imap.example.test",
		" imap.example.test": "imap.example.test",
		"192.0.2.1":          "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "[::FFFF:192.0.2.1]": "192.0.2.1",
		"::ffff:c000:201": "192.0.2.1",
		"2001:DB8:0:0::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
	} {
		if got := HostKey(remote.Server{Host: host}); got != want {
			t.Errorf("HostKey(%q) = %q, want %q", host, got, want)
		}
	}
	for want, s := range map[string]remote.Server{
		"imap.example.test:993/tls":  {Host: "IMAP.example.test.", Port: 993, Security: remote.TLS},
		"imap.example.test:143/tls":  {Host: "imap.example.test", Port: 143, Security: remote.TLS},
		"[2001:db8::1]:110/starttls": {Host: "[2001:DB8::1]", Port: 110, Security: remote.STARTTLS},
		"192.0.2.1:143/none":         {Host: "::ffff:192.0.2.1", Port: 143, Security: remote.None},
	} {
		if got := CircuitKey(s); got != want {
			t.Errorf("CircuitKey(%+v) = %q, want %q", s, got, want)
		}
	}
}
