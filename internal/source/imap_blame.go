package source

import (
	"errors"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// giveUp misses a batch whose folder was given up.
func (r *fetchRun) giveUp(b *batch) bool {
	why := r.given[b.want]
	if why == nil {
		return false
	}
	for _, it := range b.items {
		r.settled++
		r.miss(b.want.Folder, it, why)
	}
	b.items = nil
	return true
}

// openFailed notes that the connection ended over opening a folder. The second
// time it is the folder's fault.
func (r *fetchRun) openFailed(b *batch, err error) error {
	w, name := b.want, displayName(b.want.Folder)
	switch {
	case fault.Of(err).Session: // A BYE, over the folder that was read before.
		why := folderFault("opening folder "+name, name, err)
		r.doubt(&batch{want: w, items: b.items, stage: b.stage}, why, true, 0)
		b.items = nil
		return err
	case b.stage == speculative:
		return err
	}
	if r.openErr[w]++; r.openErr[w] > 1 {
		r.given[w] = folderFault("opening folder "+name, name, err)
	}
	return err
}

// unanswered decides what becomes of messages for which no body came although
// the command was completed.
func (r *fetchRun) unanswered(b *batch, why words.Detail) {
	if r.headers {
		r.settled += len(b.items)
		b.items = nil
		return
	}
	if b.stage == speculative {
		r.queue = append(r.queue, r.group(b.want, b.items)...)
		b.items = nil
		return
	}
	for _, it := range b.items {
		one := &batch{want: b.want, items: []mail.Item{it}, size: it.Size, stage: b.stage + 1}
		switch one.stage {
		case alone:
			r.queue = append(r.queue, one)
		case afresh:
			r.later = append(r.later, one)
		default:
			r.missed(b.want, it, why)
		}
	}
	b.items = nil
}

// blame decides how to continue after the connection ended over a batch: what is
// left of it is halved until the message that ends connections is alone; where
// it is known which one it was, at once.
func (r *fetchRun) blame(b *batch, suspect uint32, err error) []*batch {
	if len(b.items) == 0 || r.giveUp(b) {
		return nil
	}
	var big *wire.OversizeError
	if errors.As(err, &big) && big.UID != 0 {
		suspect = big.UID
	}
	at := slices.IndexFunc(b.items, func(it mail.Item) bool { return it.ID.UID == suspect })
	if big != nil && len(b.items) == 1 {
		at = 0 // The server did not say whose body it was, but only one was asked for.
	}
	if at >= 0 && big != nil {
		r.missedLarge(b.want, b.items[at], big.Size)
		b.items = slices.Delete(b.items, at, at+1)
		if len(b.items) == 0 {
			return nil
		}
		return []*batch{b}
	}
	switch {
	case fault.Of(err).Session: // A BYE: there is not to be another for the same message.
		return r.blameBYE(b, suspect, err)
	case len(b.items) == 1 && b.want.Again && !r.headers:
		r.again++
		r.convict(doubted{batch: b, why: cutFault(b, err), cut: true})
		return nil
	case len(b.items) == 1:
		if s := r.struck[b.want]; s.uid == b.items[0].ID.UID && b.tries == 0 {
			b.tries, b.brought = 1, s.brought
		}
		if b.tries++; b.tries > 1 && r.headers {
			b.items = nil // It is left out: nobody is blamed.
			r.settled++
			return nil
		} else if b.tries > 1 {
			r.accuse(b, cutFault(b, err), b.brought)
			return nil
		}
		b.brought = r.brought
		r.later = append(r.later, b) // Behind all others.
		return nil
	case at >= 0:
		one := &batch{want: b.want, items: []mail.Item{b.items[at]}, stage: alone, tries: 1, brought: r.brought}
		if s := r.struck[b.want]; s.uid == one.items[0].ID.UID {
			r.accuse(one, cutFault(one, err), s.brought)
		} else {
			r.later = append(r.later, one)
		}
		return []*batch{{want: b.want, items: slices.Delete(slices.Clone(b.items), at, at+1), stage: b.stage}}
	}
	r.struck[b.want] = strike{b.first(), r.brought}
	return b.parts(0)
}

// cutFault says that the connection ended over one message.
func cutFault(b *batch, err error) *fault.Error {
	why := *fault.Of(err)
	why.Op, why.Err = "fetching from folder "+displayName(b.want.Folder), err
	return &why
}

// blameBYE is blame after a BYE: the message that was under way, if it is known,
// is not asked for again in this visit.
func (r *fetchRun) blameBYE(b *batch, suspect uint32, err error) []*batch {
	at := b.find(suspect)
	if len(b.items) == 1 {
		at = 0
	}
	if at < 0 {
		r.doubt(b, cutFault(b, err), false, 0)
		return nil
	}
	one := &batch{want: b.want, items: []mail.Item{b.items[at]}, stage: alone}
	// Twice, and others came since; one that was skipped is asked for after all others.
	if b.want.Again || b.bye && r.brought > 0 {
		r.again++
		r.convict(doubted{batch: one, why: cutFault(one, err), cut: true})
		return nil
	}
	r.suspect(b.want, one.items[0].ID.UID)
	r.accuse(one, cutFault(one, err), r.brought)
	if rest := slices.Delete(slices.Clone(b.items), at, at+1); len(rest) > 0 {
		return []*batch{{want: b.want, items: rest, stage: max(b.stage, together)}}
	}
	return nil
}
