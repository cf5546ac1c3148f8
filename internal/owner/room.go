package owner

import (
	"errors"

	"github.com/mailbrook/mailbrook/internal/words"
)

// ErrNoMailbox says that a user has no mailbox.
var ErrNoMailbox = errors.New("there is no mailbox")

// ErrLocked says that a user's mailbox is opened by a login of its own, and that none is saved, or one that its server
// refuses.
var ErrLocked = errors.New("no login that is saved opens the mailbox")

// Use is what a mailbox, or a part of it, holds: messages and their octets, as the
// mailbox's own quota counts.
type Use struct{ Bytes, Messages int64 }

// Of a limit of the mailbox's own a twentieth is left free, and no more than
// this: it is the mail server's, and refuses the user's other mail when fetched
// mail has filled it to the brim.
const (
	leftFree         = 20
	leftFreeBytes    = 50 << 20
	leftFreeMessages = 1000
)

// forFetched is what fetched mail may take of a mailbox's own limit.
func (l Limit) forFetched() Limit {
	part := func(limit *int64, most int64) *int64 {
		if limit == nil {
			return nil
		}
		n := *limit - min(*limit/leftFree, most)
		return &n
	}
	return Limit{Bytes: part(l.Bytes, leftFreeBytes), Messages: part(l.Messages, leftFreeMessages)}
}

// Exceeded says why what is wanted does not fit beside what is used into a mailbox
// for which set is the limit that was set here and own the mailbox's own; nil when it does.
func Exceeded(set, own Limit, used, wanted Use) words.Detail {
	if why := set.exceeded(used, wanted); why != nil {
		return why
	}
	if own.forFetched().exceeded(used, wanted) == nil {
		return nil
	}
	if why := own.exceeded(used, wanted); why != nil {
		return why
	}
	return words.Detail{
		words.Say("The mailbox is nearly full; what is left is kept free for the mail that comes there by itself."),
	}
}

func (l Limit) exceeded(used, wanted Use) words.Detail {
	switch {
	case l.Bytes != nil && wanted.Bytes <= 1 && used.Bytes+wanted.Bytes > *l.Bytes: // Whether there is room at all.
		return words.Detail{words.Say("The mailbox holds %s of the %s allowed: nothing more fits.",
			words.Octets(used.Bytes), words.Octets(*l.Bytes))}
	case l.Bytes != nil && used.Bytes+wanted.Bytes > *l.Bytes:
		return words.Detail{words.Say("The mailbox holds %s of the %s allowed; the next %s do not fit.",
			words.Octets(used.Bytes), words.Octets(*l.Bytes), words.Octets(wanted.Bytes))}
	case l.Messages != nil && used.Messages+wanted.Messages > *l.Messages:
		return words.Detail{words.Say("The mailbox holds %d of the %d messages allowed.",
			used.Messages, *l.Messages)}
	}
	return nil
}
