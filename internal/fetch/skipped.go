package fetch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// mostSkipped is how many messages of an account are listed as skipped. A folder
// with more of them is not settled, and says so: the list is in memory at each
// visit.
const mostSkipped = 100_000

// maySkip reports whether one more message of the account may be skipped.
func (v *visit) maySkip(p *plan, id mail.ID) bool {
	if _, listed := p.waiting[id]; listed {
		return true
	}
	if len(v.skipped)+v.skippedNew >= mostSkipped {
		v.noteFailure(fault.FolderFailed, folderWhat(p.name()), fault.New(fault.FolderFailed, "listing",
			words.Say("More than %d messages of the account cannot be fetched.", mostSkipped)))
		return false
	}
	v.skippedNew++
	return true
}

// due reports whether a skipped message is to be tried in a visit at now.
func (s Skipped) due(now time.Time) bool {
	// None is put off for longer: what is was written by a clock that was ahead.
	return s.Requested || !s.Held && (!s.NextAt.After(now) || s.NextAt.Sub(now) > retrySkipped)
}

// largest is how large a message may be: as its owner limits the account, or
// as the operator limits everybody, when its owner asks for this one.
func (v *visit) largest(p *plan, id mail.ID) int64 {
	if p.waiting[id].Requested {
		return v.MaxMessageBytes
	}
	return min(v.MaxMessageBytes, cmp.Or(v.lease.Route.MaxMessageBytes, route.DefaultMessageBytes))
}

// skipTooLarge takes off the plans what is too large, by the server's own word,
// without downloading any of it: it is skipped until its owner asks for it.
// That is no failure.
func (v *visit) skipTooLarge(context.Context) error {
	if v.tooLargeNames == nil {
		v.tooLargeNames = map[string]bool{}
	}
	for _, p := range v.plans {
		p.decide(func(_ int, it mail.Item) Verdict {
			most := v.largest(p, it.ID)
			if it.Size <= most || v.mayFit(p, it, most) {
				return VerdictFetch
			}
			if !v.maySkip(p, it.ID) {
				return VerdictUnlisted
			}
			why := &fault.Error{
				Code: fault.MessageFailed, Op: "fetching", TooLarge: true,
				Detail: words.Detail{
					words.Say("The message is %s large; the limit is %s.", words.Octets(it.Size), words.Octets(most)),
				},
			}
			s := v.skippedNow(p, it, why)
			v.undescribed.note(p, it, s, why)
			v.tooLarge = append(v.tooLarge, s)
			if it.Global != "" {
				v.tooLargeNames[it.Global] = true
			}
			v.log.Info("too large", "folder", p.name(), "size", it.Size, "limit", most)
			return VerdictTooLarge
		})
	}
	return nil
}

// skippedNow is the journal's row for a message that is skipped now.
func (v *visit) skippedNow(p *plan, it mail.Item, why *fault.Error) Skipped {
	now := v.Now()
	s := Skipped{
		FolderID: p.folder.ID, FolderEpoch: p.folder.Epoch, ID: it.ID, Size: it.Size,
		Code: why.Code, Detail: why.Detail.Clipped(200), Attempts: 1, FirstAt: now, LastAt: now, NextAt: now,
	}
	if old, ok := p.waiting[it.ID]; ok {
		s.Attempts, s.FirstAt, s.Requested = old.Attempts+1, old.FirstAt, old.Requested
	}
	if why.TooLarge { // Its listed size may be none that shows it.
		s.Held, s.Size = true, max(it.Size, v.largest(p, it.ID)+1)
	}
	switch waited := now.Sub(s.FirstAt); {
	case waited >= hastyTries:
		s.NextAt = now.Add(min(waited, retrySkipped))
	case why.Ended && s.Attempts > 1:
		s.NextAt = now.Add(max(waited, endedPause))
	}
	return s
}

// overcame notes that the journal lists messages as skipped no more.
func (v *visit) overcame(done []Skipped) {
	if v.overcome == nil {
		v.overcome = map[Ref]bool{}
	}
	for _, s := range done {
		v.overcome[s.ref()] = true
	}
}

func (s Skipped) ref() Ref { return Ref{s.FolderID, s.FolderEpoch, s.ID} }

// waiting reports a message that an earlier visit could not read and that still
// waits, unless its owner's limit keeps it away: until it came, or is gone, not all
// is well.
func (v *visit) waiting() *fault.Error {
	names := map[Ref]string{}
	for _, f := range v.folders {
		if f.Selected && v.present[f.Wire] {
			names[Ref{FolderID: f.ID, FolderEpoch: f.Epoch}] = f.Remote
		}
	}
	for _, s := range v.skipped {
		name, current := names[Ref{FolderID: s.FolderID, FolderEpoch: s.FolderEpoch}]
		if !current || s.Held || v.overcome[s.ref()] {
			continue
		}
		detail := append(words.Detail{messageWhat(name).before}, s.Detail...)
		return fault.New(fault.MessageFailed, "visiting", detail.Clipped(200)...)
	}
	return nil
}

// allRefused is why an account fares badly of which no message ever came, since the
// server refuses all that there are: nil where any came, or may. Of one message
// alone that says nothing.
func (v *visit) allRefused(why *fault.Error, t tally) *fault.Error {
	if why == nil || why.Code != fault.MessageFailed || t[VerdictDelivered] > 0 || v.report.More {
		return nil
	}
	refused, there := t[VerdictSkipped], int64(0)
	for _, s := range v.skipped {
		if !s.Held && !v.overcome[s.ref()] {
			refused++
		}
	}
	for _, p := range v.plans {
		if p.folder.Fetched > 0 {
			return nil
		}
		there += p.folder.Remaining
	}
	if refused < 2 || int64(refused) < there {
		return nil
	}
	all := *why
	var cause *fault.Error
	for errors.As(all.Err, &cause) && all.Code == fault.MessageFailed {
		all.Code, all.Err = cause.Code, cause.Err
	}
	all.Op = "fetching"
	return &all
}
