package source

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// popDoubt is a message that was refused in words about the session, or over which
// connections ended, until another one shows whose fault that is: see imap_doubt.go.
type popDoubt struct {
	wanted
	why     *fault.Error
	brought int  // What had come when it was first refused.
	cut     bool // Connections ended, without a word.
}

const (
	// indoubt is over how many messages in a row connections may end before another
	// one is to show whose fault it is.
	indoubt = 2
	// hopeless is over how many they end where the server is taken to send none.
	hopeless = 5
)

// waits reports whether nothing is to be asked for but to find out whose fault a
// refusal is.
func (r *retrieval) waits() bool {
	for _, d := range r.doubts {
		if !d.cut {
			return true
		}
	}
	return len(r.doubts) >= indoubt
}

// bringLater puts what is tried once more in its place: after all that is new, and
// before what failed in earlier visits.
func (r *retrieval) bringLater() {
	if len(r.later) == 0 || len(r.doubts) > 0 || len(r.todo) > 0 && !r.todo[0].want.Again {
		return
	}
	todo := make([]wanted, 0, len(r.later)+len(r.todo))
	for _, d := range r.later {
		todo = append(todo, d.wanted)
	}
	r.todo, r.later = append(todo, r.todo...), nil
}

// came notes that a message came whole.
func (r *retrieval) came(it *mail.Item, octets int64) {
	if r.brought++; octets <= probeBytes && r.proof == nil {
		r.proof = it
	}
}

// cleared misses what was refused, where another message came since. Where a
// connection ended once, that may have been by chance.
func (r *retrieval) cleared() {
	var open []popDoubt
	for _, d := range r.doubts {
		if r.brought == d.brought {
			open = append(open, d)
			continue
		}
		if d.cut && d.cuts < maxCuts {
			r.later = append(r.later, d)
			continue
		}
		r.convict(d)
	}
	r.doubts = open
}

func (r *retrieval) convict(d popDoubt) {
	why := *d.why
	why.Code, why.Err, why.Session = fault.MessageFailed, d.why, false
	r.miss(d.folder(), *d.item, &why)
}

// tell asks for other messages, alone, until one comes. Its error is of the session:
// nothing came, or there was nothing to ask for.
func (r *retrieval) tell(ctx context.Context) error {
	tries := 2
	if len(r.doubts) > 1 || r.proof != nil {
		tries = 1 // Two were refused, one after the other; or the other is one that came before.
	}
	before := r.brought
	for range tries {
		asked, err := r.askOther(ctx)
		if err != nil && final(err) {
			return err
		}
		if r.brought > before {
			return nil
		}
		if !asked || err != nil || r.link.Failure() != nil {
			break
		}
	}
	if r.doubts[0].cut && r.proof == nil && len(r.todo) > 0 && len(r.doubts) < hopeless {
		return nil // Another one by chance, over another connection.
	}
	return r.conclude()
}

// conclude is what comes of it where no other message came.
func (r *retrieval) conclude() error {
	first := r.doubts[0]
	if len(r.doubts) == 1 && first.cut {
		r.doubts = nil // The server gave no reason.
		if first.cuts < maxCuts {
			r.todo = []wanted{first.wanted}
			return nil
		}
		r.convict(first)
		return nil
	}
	if first.cut {
		return r.link.Abort(&fault.Error{
			Code: fault.ServerUnavailable, Op: first.why.Op, Detail: first.why.Detail, Session: true, Err: first.why,
		})
	}
	return r.link.Abort(first.why)
}

// alone reports whether there is no other message to ask for.
func (r *retrieval) alone() bool {
	if len(r.todo) > 0 || r.proof != nil {
		return false
	}
	for _, w := range r.wants {
		if len(w.Others) > 0 {
			return false
		}
	}
	return true
}

// askOther asks for one message: one that has come, or came before; else any of those
// that are wanted, which changes from visit to visit, so that two that are to blame
// do not cover for each other for ever.
func (r *retrieval) askOther(ctx context.Context) (asked bool, err error) {
	if r.proof != nil {
		return r.reread(r.proof)
	}
	for i := range r.wants {
		for j := range r.wants[i].Others {
			it := &r.wants[i].Others[j]
			if _, there := r.number(it); there && it.Size <= probeBytes {
				r.wants[i].Others = r.wants[i].Others[j+1:]
				return r.reread(it)
			}
		}
	}
	if len(r.todo) == 0 {
		return false, nil
	}
	at := rand.IntN(len(r.todo))
	r.todo[0], r.todo[at] = r.todo[at], r.todo[0]
	w := &r.todo[0]
	if w.gone {
		return true, nil
	}
	if err := r.wire.Send(wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(w.number))}); err != nil {
		return true, err
	}
	r.pending++
	return true, r.one(ctx, w)
}

// reread reads a message that is not wanted, and throws it away.
func (r *retrieval) reread(it *mail.Item) (asked bool, err error) {
	n, there := r.number(it)
	if !there {
		return false, nil
	}
	_, err = r.wire.Ask(wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(n))})
	var no *wire.POP3Refusal
	if errors.As(err, &no) {
		return true, nil
	}
	most := r.client.opts.MaxMessageBytes
	if err == nil {
		err = r.wire.Skip(r.wire.Body(most), most)
	}
	if err == nil {
		r.brought++
	}
	return true, err
}
