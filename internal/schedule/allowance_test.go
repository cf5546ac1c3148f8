package schedule

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// house.md section 5: an account at Gmail is not visited every five minutes,
// because its user or the installation says so, when Gmail asks for ten.
func TestAProvidersLeastIntervalIsKept(t *testing.T) {
	google := func(remote.Mailbox) Allowance { return Allowance{Interval: 10 * time.Minute} }
	for _, tc := range []struct {
		name        string
		allowed     Allowances
		interval    time.Duration
		err         *fault.Error
		more        bool
		least, most time.Duration
	}{
		{"control: nothing known", nil, 5 * time.Minute, nil, false, 4 * time.Minute, 6 * time.Minute},
		{"shorter than allowed", google, 5 * time.Minute, nil, false, 10 * time.Minute, 11 * time.Minute},
		{"the installation's", google, 0, nil, false, 10 * time.Minute, 11 * time.Minute},
		{"just as allowed", google, 10 * time.Minute, nil, false, 10 * time.Minute, 11 * time.Minute},
		{"longer", google, time.Hour, nil, false, 54 * time.Minute, 66 * time.Minute},
		{
			"after a failure that the server told", google, 5 * time.Minute,
			fault.New(fault.ProtocolError, "x"), false, 10 * time.Minute, 11 * time.Minute,
		},
		{
			"nobody was there", google, 5 * time.Minute,
			fault.New(fault.ConnectRefused, "x"), false, 0, 2 * time.Minute,
		},
		{"the rest of a visit", google, 5 * time.Minute, nil, true, 0, 0},
	} {
		for _, rnd := range []float64{0, 0.5, 0.999} {
			a := account.Account{PollInterval: tc.interval}
			s := Policy{Allowed: tc.allowed}.Next(Leased(a), Outcome{Err: tc.err, More: tc.more}, noon, rnd)
			if d := s.DueAt.Sub(noon); d < tc.least || d > tc.most {
				t.Errorf("%s: the next visit comes after %v, want between %v and %v", tc.name, d, tc.least, tc.most)
			}
		}
	}
}

// What a provider lets programs download in a day is not exceeded by more than
// one visit, and the rest is reported, not a failure.
func TestAProvidersDailyAllowanceIsKept(t *testing.T) {
	p := Policy{Allowed: func(remote.Mailbox) Allowance { return Allowance{BytesPerDay: 1000} }}
	at := func(before time.Duration, n int64) Brought { return Brought{noon.Add(-before), n} }
	for _, tc := range []struct {
		name    string
		brought []Brought
		rest    time.Duration // 0: it does not.
	}{
		{"nothing", nil, 0},
		{"less", []Brought{at(time.Hour, 500), at(0, 499)}, 0},
		{"as much", []Brought{at(23*time.Hour, 500), at(time.Hour, 400), at(0, 100)}, time.Hour},
		{"the oldest is not enough", []Brought{at(23*time.Hour, 1), at(20*time.Hour, 200), at(0, 999)}, 24 * time.Hour},
		{"all at once", []Brought{at(0, 5000)}, 24 * time.Hour},
	} {
		for _, more := range []bool{false, true} {
			s := p.Next(Leased(account.Account{}), Outcome{More: more, Brought: tc.brought}, noon, even)
			rests := s.Diagnosis != nil && s.Diagnosis.Code == fault.RateLimited && s.State == account.Retrying
			if rests != (tc.rest > 0) || rests && (s.DueAt.Sub(noon) != tc.rest || s.Failures != 0 || !s.Run.OK) {
				t.Errorf("%s, more %v: %+v, want a rest of %v", tc.name, more, s, tc.rest)
			}
		}
	}
}
