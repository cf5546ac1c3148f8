package schedule

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// Late is how long an account may be due before its waiting is called a delay:
// the claims of a healthy installation take less.
const Late = 30 * time.Second

// OutageKept is how long an outage counts after the time of its next probe. A live
// poller has probed again by then; entries of a killed one expire.
const OutageKept = 5 * time.Minute

// Outage is a remote server that a poller does not contact, because many
// accounts that worked there failed at once.
type Outage struct {
	Circuit string     // See CircuitKey.
	Code    fault.Code // What they failed with.
	Since   time.Time
	Probe   time.Time // When the server is tried next.
}

// Signs is what is known, besides the account itself, of what delays it.
type Signs struct {
	Outage *Outage // Of the account's circuit; nil: none is known.
	AtHost int     // Visits under way at its host, over all processes.
	OfUser int     // Visits under way for its user.
	Asked  bool    // It was asked for: it goes before all that are merely due.
	// Allowed is what the account's provider asks of programs.
	Allowed Allowance
}

// NeedsSigns reports whether Delay looks at more than the account, apart from
// an outage: few accounts of a healthy installation do.
func NeedsSigns(a account.Account, now time.Time) bool {
	return late(a, now) || mayBeHosts(a)
}

// late reports whether an account should have been visited by now. During a
// visit there is no next time.
func late(a account.Account, now time.Time) bool {
	st := a.Status
	return a.Enabled && !st.NextPollAt.IsZero() && now.Sub(st.NextPollAt) >= Late
}

// mayBeHosts reports whether it may be the host, and not the account, that the
// last visit failed at.
func mayBeHosts(a account.Account) bool {
	return a.Status.State == account.Retrying && a.Status.Diagnosis != nil && hostFailed(a.Status.Diagnosis.Code)
}

// held reports whether an outage is all that keeps an account's next visit
// away: by itself it is well, or was never visited, and no visit is under way.
func held(a account.Account) bool {
	switch a.Status.State {
	case account.OK, account.Pending, account.Fetching:
		return a.Enabled && !a.Status.NextPollAt.IsZero()
	}
	return false
}

// Show returns an account's status as it is shown: with what delays it, and, where
// its server is down, as one that is being retried, whatever its own last visit
// came to.
func Show(a account.Account, s Signs, now time.Time) account.Status {
	st := a.Status
	st.Delay = Delay(a, s, now)
	if st.Delay != nil && st.Delay.Kind == account.DelayOutage && held(a) {
		st.State = account.Retrying
		st.Diagnosis = &account.Diagnosis{Code: s.Outage.Code, Since: s.Outage.Since}
	}
	return st
}

// Delay says what keeps an account's next visit, or its mail, away: nil when
// nothing does, or a visit is under way. It is a pure function, as Policy is,
// of which it is the reverse: from what was decided to why.
func Delay(a account.Account, s Signs, now time.Time) *account.Delay {
	st := a.Status
	var failing time.Time // Since when.
	if st.Diagnosis != nil {
		failing = st.Diagnosis.Since
	}
	switch {
	case !a.Enabled && a.Pause.Operator:
		return &account.Delay{Kind: account.DelayMaintenance, Since: a.Pause.At}
	case !a.Enabled:
		return &account.Delay{Kind: account.DelayPaused, Since: a.Pause.At}
	case s.Outage != nil && (late(a, now) || mayBeHosts(a) || held(a)):
		d := &account.Delay{Kind: account.DelayOutage, Since: s.Outage.Since, Until: s.Outage.Probe}
		if st.NextPollAt.After(d.Until) {
			d.Until = st.NextPollAt
		}
		return d
	case late(a, now) && (s.AtHost >= s.Allowed.atHost(MaxPerHost) || s.OfUser >= MaxPerUser):
		atHost := s.AtHost >= s.Allowed.atHost(MaxPerHost)
		return &account.Delay{Kind: account.DelayBudget, Since: st.NextPollAt, AtHost: atHost}
	case late(a, now):
		return &account.Delay{Kind: account.DelayWaiting, Since: st.NextPollAt, Asked: s.Asked}
	case st.State == account.NeedsAttention:
		return &account.Delay{Kind: account.DelayAttention, Since: failing}
	case st.State == account.OverQuota:
		return &account.Delay{Kind: account.DelayQuota, Since: failing, Until: st.NextPollAt}
	case st.State == account.OK && s.Allowed.Interval > a.PollInterval && !s.Asked && st.NextPollAt.After(now):
		return &account.Delay{Kind: account.DelayInterval, Until: st.NextPollAt, Interval: s.Allowed.Interval}
	case st.State != account.Retrying:
		return nil
	case st.Diagnosis != nil && st.Diagnosis.Code == fault.RateLimited && st.Failures == 0:
		return &account.Delay{Kind: account.DelayBudget, Since: failing, Until: st.NextPollAt, Daily: s.Allowed.BytesPerDay}
	case st.Diagnosis != nil && classOf(st.Diagnosis.Code) == throttled:
		return &account.Delay{Kind: account.DelayBudget, Since: failing, Until: st.NextPollAt}
	}
	return &account.Delay{Kind: account.DelayBackoff, Since: failing, Until: st.NextPollAt}
}
