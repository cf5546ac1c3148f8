package fetch

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Verdict says of a listed message why it is fetched, or why it is not. At any time
// each message of a listing has one; the steps of a visit change it, and everything that
// a visit counts, and whether a folder is settled, follows from the verdicts alone.
type Verdict uint8

// The verdicts. An open one leaves something to be done: its folder is not settled.
const (
	// VerdictFetch: it is new, or was skipped and is due again. Open until it came.
	VerdictFetch Verdict = iota
	// VerdictSuspect: the journal has its UID or UIDL, with another size, and its header
	// was not read yet: the server may have reused the name. Open.
	VerdictSuspect
	// VerdictAwaitTwin: by the server's word it is one with a message of another folder,
	// which is to be fetched from there. Open.
	VerdictAwaitTwin
	// VerdictNoRoom: the local mailbox has no room for it. Open.
	VerdictNoRoom
	// VerdictUnlisted: it cannot be fetched, and as many messages are listed as skipped
	// as an account may have. Open.
	VerdictUnlisted

	// VerdictSettled: the journal has it.
	VerdictSettled
	// VerdictWaiting: an earlier visit skipped it, and it is not due yet.
	VerdictWaiting
	// VerdictHeld: an earlier visit skipped it, and only its owner's wish has it tried again.
	VerdictHeld
	// VerdictBeforeStart: it is older than the account's start.
	VerdictBeforeStart
	// VerdictFound: it is in the local mailbox, and a restored journal had forgotten it.
	VerdictFound
	// VerdictRematched: it was delivered before under an identity that is gone.
	VerdictRematched
	// VerdictTwin: by the server's word it is one with a message that is delivered, or
	// skipped, in another folder.
	VerdictTwin
	// VerdictTooLarge: it is larger than the account allows.
	VerdictTooLarge

	// VerdictDelivered: it is in the local mailbox, by this visit.
	VerdictDelivered
	// VerdictSkipped: it could not be fetched, for the first time.
	VerdictSkipped
	// VerdictRetried: it was skipped before, and could not be fetched this time either.
	VerdictRetried
	// VerdictLoop: this installation fetched it into the remote mailbox, from elsewhere.
	VerdictLoop

	verdictCount
)

// verdictNames are fit for logs, JSON and tests.
var verdictNames = [verdictCount]string{
	VerdictFetch: "fetch", VerdictSuspect: "suspect", VerdictAwaitTwin: "await_twin", VerdictNoRoom: "no_room",
	VerdictUnlisted: "unlisted", VerdictSettled: "settled", VerdictWaiting: "waiting", VerdictHeld: "held",
	VerdictBeforeStart: "before_start", VerdictFound: "found", VerdictRematched: "rematched", VerdictTwin: "twin",
	VerdictTooLarge: "too_large", VerdictDelivered: "delivered", VerdictSkipped: "skipped", VerdictRetried: "retried",
	VerdictLoop: "loop",
}

// String is the verdict's name: lower case, with underscores.
func (v Verdict) String() string { return verdictNames[v] }

// open reports whether something is left to be done about a message.
func (v Verdict) open() bool { return v < VerdictSettled }

// Verdict is what a visit at now makes of a message that is listed as skipped.
func (s Skipped) Verdict(now time.Time) Verdict {
	switch {
	case s.due(now):
		return VerdictFetch
	case s.Held:
		return VerdictHeld
	}
	return VerdictWaiting
}

// verdicts are those of a listing, by place: an octet for each message is all that is
// kept of it beside the listing.
type verdicts []Verdict

// count returns how many messages have this verdict.
func (vs verdicts) count(v Verdict) (n int) {
	for _, one := range vs {
		if one == v {
			n++
		}
	}
	return n
}

// settled reports whether nothing is left to be done about any message.
func (vs verdicts) settled() bool {
	for _, one := range vs {
		if one.open() {
			return false
		}
	}
	return true
}

// tally is how many messages have which verdict.
type tally [verdictCount]int

// tally counts the verdicts of all folders. It is the only count of messages that a
// visit makes.
func (v *visit) tally() (t tally) {
	for _, p := range v.plans {
		for _, one := range p.verdicts {
			t[one]++
		}
	}
	return t
}

// skipped is how many messages were skipped, each with a reason in the journal.
func (t tally) skipped() int {
	return t[VerdictTooLarge] + t[VerdictSkipped] + t[VerdictRetried] + t[VerdictLoop]
}

// refusal is the verdict on a message that cannot be fetched.
func (p *plan) refusal(id mail.ID, why *fault.Error) Verdict {
	_, before := p.waiting[id]
	switch {
	case why.TooLarge:
		return VerdictTooLarge
	case why.Code == fault.MailLoop:
		return VerdictLoop
	case before:
		return VerdictRetried
	}
	return VerdictSkipped
}
