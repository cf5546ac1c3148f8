package transfer

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/route"
)

// Signs are what the rows of a copy say of it, from which its status is derived: nothing that follows from others is
// kept.
type Signs struct {
	Enabled    bool // It is not paused.
	ByOperator bool // Who has paused it.
	Phase      Phase
	Outcome    State // Of one that has ended; "": it has not.
	Working    bool  // Somebody has it leased at this moment.
	Tried      bool  // It was worked at once.
	Due        time.Time
	State      account.State // As the last visit left it.
	Failures   int
	Diagnosis  *account.Diagnosis
	Progress   route.Progress
	Listed     int64 // Messages at the source.
}

// Show is the status of a copy by its signs. It keeps the totals and the grade that the copy has.
func Show(c Copy, s Signs) Status {
	st := Status{Totals: c.Status.Totals, Grade: c.Status.Grade, Failures: s.Failures}
	if s.Diagnosis != nil {
		st.Diagnosis = diagnosed(c, s)
	}
	st.Progress.Progress = s.Progress
	st.Progress.Folder = s.Progress.Folder
	if st.Progress.MessagesTotal == 0 {
		st.Progress.MessagesDone, st.Progress.MessagesTotal = st.Totals.Messages, s.Listed
		st.Progress.BytesDone = st.Totals.Bytes
	}
	switch {
	case s.Outcome != "":
		st.State = s.Outcome
	case !s.Enabled && s.ByOperator:
		st.State, st.Reason = Waiting, Maintenance
	case !s.Enabled:
		st.State = Paused
	case s.Working:
		if st.State, st.Phase = Running, s.Phase; s.Phase != Verifying && s.Progress.MessagesTotal > 0 {
			st.Phase = Copying
		}
	case !s.Tried && c.StartedAt.IsZero():
		st.State, st.Until = Queued, s.Due
	case s.State == account.NeedsAttention:
		st.State = NeedsAttention
	case s.State == account.OverQuota:
		st.State, st.Reason, st.Until = Waiting, TargetFull, s.Due
	case s.State == account.Retrying:
		st.State, st.Reason, st.Until = Waiting, waitsFor(st.Diagnosis), s.Due
	default: // Between two slices.
		st.State, st.Phase = Running, s.Phase
	}
	return st
}

// diagnosed says at which end the trouble is: what delivers has codes of its own.
func diagnosed(c Copy, s Signs) *Diagnosis {
	d := &Diagnosis{Diagnosis: *s.Diagnosis, Side: Source}
	switch d.Code {
	case fault.LocalOverQuota:
		d.Side = Target
	case fault.LocalMailboxUnavailable:
		d.Side = Target
		if s.State == account.NeedsAttention && !c.Local() { // Its login was refused, which nothing else leads to.
			d.Code = fault.AuthFailed
		}
	}
	return d
}

func waitsFor(d *Diagnosis) Reason {
	if d == nil {
		return Retry
	}
	limited := d.Code == fault.RateLimited || d.Code == fault.TooManyConnections
	switch {
	case limited && d.Side == Target:
		return TargetLimit
	case limited:
		return SourceLimit
	}
	return Retry
}
