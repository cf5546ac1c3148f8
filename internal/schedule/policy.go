package schedule

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxTries is how often a login or a setting that was refused is tried
	// before it is left to the user. Providers lock accounts soon after.
	maxTries = 3
	// maxHint bounds what a server may ask us to wait: one that says ten years
	// does not switch an account off.
	maxHint = 24 * time.Hour
	// spread is how far a delay may be moved either way, so that accounts
	// that were once due together do not stay together.
	spread = 0.1
	// LongestPause is the longest that Policy has an account wait whose interval
	// is not longer.
	LongestPause = maxHint + maxHint/10
)

// Policy decides when an account is visited next. It is a pure function of
// the row, what happened, and the time.
type Policy struct {
	Interval time.Duration // For accounts that name none; 0: 5 minutes.
	Allowed  Allowances    // By accounts' providers.
}

// Outcome is how a visit went.
type Outcome struct {
	Err     *fault.Error // Ended the visit; nil when it went well.
	Partial *fault.Error // Some folders or messages failed while the rest went well.
	More    bool         // The visit yielded with work left over.
	Run     account.Run  // Times and counts; OK and Diagnosis are filled in by Next.
	Aborted int          // Visits in a row, before this one, that never ended.
	Brought []Brought    // Within a day, this visit's the last; needed only where a provider counts.
}

// class says how failures of one kind are tried again: the first time after
// factor poll intervals, but no later than most; twice as long each time
// after; and never longer than limit, or one interval where that is longer.
type class struct {
	factor      float64
	most, limit time.Duration
	tries       int // After so many in a row only the user can help; 0: never.
}

var (
	network   = class{factor: 1, most: time.Minute, limit: time.Hour}
	inUse     = class{factor: 1, most: 2 * time.Minute, limit: time.Hour}
	throttled = class{factor: 2, most: 10 * time.Minute, limit: 6 * time.Hour}
	protocol  = class{factor: 1, most: 5 * time.Minute, limit: 6 * time.Hour}
	full      = class{factor: 1, most: 3 * time.Minute, limit: 3 * time.Minute}
	local     = class{factor: 1, most: time.Minute, limit: 15 * time.Minute}
	ours      = class{factor: 1, most: time.Minute, limit: time.Hour}
	refused   = class{factor: 2, most: 2 * time.Hour, limit: 6 * time.Hour, tries: maxTries}
	locked    = class{factor: 12, most: 6 * time.Hour, limit: 12 * time.Hour, tries: maxTries}
	shortage  = class{factor: 1, most: time.Minute, limit: time.Minute}
	settings  = class{factor: 6, most: 6 * time.Hour, limit: 12 * time.Hour, tries: maxTries}
	aborted   = class{factor: 60, most: 5 * time.Minute, limit: 6 * time.Hour}
)

// classOf returns how a code is tried again. Codes that are not listed are
// ours: a defect must not switch an account off.
func classOf(c fault.Code) class {
	switch c {
	case fault.DNSFailure, fault.ConnectRefused, fault.ConnectTimeout, fault.TLSFailure, fault.ServerUnavailable:
		return network
	case fault.MailboxInUse:
		return inUse
	case fault.TooManyConnections, fault.RateLimited:
		return throttled
	case fault.ProtocolError, fault.FolderFailed, fault.MessageFailed:
		return protocol
	case fault.LocalOverQuota:
		return full
	case fault.LocalMailboxUnavailable:
		return local
	case fault.AccountLocked:
		return locked
	case fault.AuthFailed, fault.AppPasswordRequired, fault.OAuthReauthorizationRequired, fault.AccessDisabled:
		return refused
	case fault.HostNotAllowed, fault.TLSCertificateInvalid, fault.STARTTLSUnsupported, fault.AuthMechanismUnsupported,
		fault.MailLoop:
		return settings
	case fault.VisitAborted:
		return aborted
	}
	return ours
}

// Next decides what follows a visit: l.Row is what it was before, now
// when the visit ended, and rnd a number in [0, 1) that spreads the next one.
func (p Policy) Next(l Lease, o Outcome, now time.Time, rnd float64) Settlement {
	if o.Err != nil {
		return p.failed(l, o, now, rnd)
	}
	prior := l.Row.Status
	s := Settlement{
		State: account.OK, Success: true, At: now, Diagnosis: diagnosis(prior.Diagnosis, o.Partial, now),
		Run: o.Run,
	}
	allowed := p.Allowed.Of(l.Route.From)
	if free := allowed.free(o.Brought); free.After(now) {
		s.State, s.DueAt = account.Retrying, free
		s.Diagnosis = diagnosis(prior.Diagnosis, dailyLimit(allowed), now)
	} else if o.More {
		// Due now, after everybody who has waited longer; and not OK until it is
		// complete.
		s.State, s.Success, s.DueAt = account.Fetching, false, now
	} else {
		s.DueAt = now.Add(spaced(jitter(p.interval(l.Row), rnd), allowed.Interval, rnd))
	}
	s.Run.OK, s.Run.Diagnosis = true, s.Diagnosis
	s.Keep = o.Run.Messages > 0 || prior.Failures > 0 || !sameCode(prior.Diagnosis, s.Diagnosis)
	return s
}

func (p Policy) failed(l Lease, o Outcome, now time.Time, rnd float64) Settlement {
	prior, cl := l.Row.Status, classOf(o.Err.Code)
	if fault.Exhausted(o.Err) {
		cl = shortage // Not the account's doing, and over as soon as others are done.
	}
	if prior.Diagnosis != nil && l.Row.EditedAt.After(prior.Diagnosis.Since) && !l.Row.EditedAt.After(now) {
		// The user changed something since: what failed before does not count.
		// A change that is still to come, by a clock that was ahead, would
		// have each failure be the first.
		prior.Failures, prior.Diagnosis = 0, nil
	}
	s := Settlement{
		State: account.Retrying, At: now, Failures: prior.Failures + 1,
		Diagnosis: diagnosis(prior.Diagnosis, o.Err, now), Run: o.Run, Keep: true,
	}
	s.Run.OK, s.Run.Diagnosis = false, s.Diagnosis

	refusedBefore := prior.Diagnosis != nil && classOf(prior.Diagnosis.Code).tries > 0
	switch {
	case refusedBefore && cl.tries == 0 && prior.Failures >= maxTries:
		// It waited for the user, who asked for a visit that did not get as
		// far as the refusal. That stands, and continues waiting.
		s.State, s.Diagnosis = account.NeedsAttention, prior.Diagnosis
		return s
	case cl.tries > 0 && !refusedBefore:
		// An outage that ends in one refused login is no reason to give up on
		// the password: refusals are counted from the first one.
		s.Failures = 1
	case o.Err.Code == fault.LocalOverQuota:
		s.State = account.OverQuota
	}
	if cl.tries > 0 && (s.Failures >= cl.tries || o.Err.Final) {
		s.State = account.NeedsAttention
		return s
	}

	nth := s.Failures
	if o.Err.Code == fault.VisitAborted && o.Aborted > AbortedAlone {
		nth = o.Aborted - AbortedAlone // Whatever else failed, or was edited, between them.
	}
	delay := jitter(cl.delay(p.interval(l.Row), nth), rnd)
	switch cl {
	case inUse, throttled, protocol: // A connection was made, or may have been.
		delay = spaced(delay, p.Allowed.Of(l.Route.From).Interval, rnd)
	}
	if hint := min(o.Err.RetryAfter, maxHint); hint > 0 {
		// Never sooner than the server asked for.
		delay = max(delay, hint+time.Duration(spread*rnd*float64(hint)))
	}
	s.DueAt = now.Add(delay)
	return s
}

// spaced is a delay that is no shorter than least, whatever the spread.
func spaced(delay, least time.Duration, rnd float64) time.Duration {
	return max(delay, least+time.Duration(spread*rnd*float64(least)))
}

// dailyLimit is why an account rests that has brought what its provider allows.
func dailyLimit(l Allowance) *fault.Error {
	return fault.New(fault.RateLimited, "visiting the account",
		words.Say("As much was fetched within a day as the provider allows: %s.", words.Octets(l.BytesPerDay)))
}

// interval is the time between two visits that go well.
func (p Policy) interval(r Row) time.Duration {
	switch {
	case r.Interval > 0:
		return r.Interval
	case p.Interval > 0:
		return p.Interval
	}
	return 5 * time.Minute
}

// delay is how long to wait after the n-th failure in a row, n from 1.
func (c class) delay(interval time.Duration, n int) time.Duration {
	d := min(time.Duration(c.factor*float64(interval)), c.most)
	limit := c.limit
	if c != full {
		limit = max(limit, interval)
	}
	for ; n > 1 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}

// jitter moves d by up to a tenth either way.
func jitter(d time.Duration, rnd float64) time.Duration {
	return time.Duration(float64(d) * (1 - spread + 2*spread*rnd))
}

// diagnosis turns a failure into what is remembered of it, dated from when it
// first failed this way.
func diagnosis(prior *account.Diagnosis, e *fault.Error, now time.Time) *account.Diagnosis {
	if e == nil {
		return nil
	}
	d := &account.Diagnosis{Code: e.Code, Detail: e.Detail, Since: now}
	if prior != nil && prior.Code == e.Code && !prior.Since.IsZero() && !prior.Since.After(now) {
		d.Since = prior.Since
	}
	return d
}

func sameCode(a, b *account.Diagnosis) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Code == b.Code
}
