package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Letter is a message of ours, such as a report, that goes into the mailbox that a route leads to.
type Letter struct {
	Number uint32 // Its name among the route's letters, from 1 on: one of each is delivered.
	Folder string // Of the mailbox, "/" between parts.
	Date   time.Time
	Text   []byte // With CRLF line ends.
}

// LettersWire names, in a journal, the folder that letters are remembered in. No server can have one of this name.
const LettersWire = "\x00letters"

// Deliver delivers a letter, once, whatever fails in between: the journal remembers it as it does the mail of the
// route's source, which is not asked anything. Nothing is done where it was delivered before.
func (e *Engine) Deliver(ctx context.Context, l Lease, letter Letter) error {
	v := e.newVisit(l)
	defer v.close()
	share := v.Budget.Share(false, func(error) {})
	defer share.Close()
	ctx = memory.With(ctx, share)
	return v.perform(ctx, []step{
		// As of a visit.
		{"take memory", (*visit).takeMemory},
		{"open the mailbox", (*visit).openMailbox},
		{"compare generations", (*visit).compareGenerations},
		{"recover", (*visit).recover},
		// What was staged before is delivered: the journal says whether this letter is.
		{"deliver the letter", func(v *visit, ctx context.Context) error { return v.deliverLetter(ctx, letter) }},
	})
}

func (v *visit) deliverLetter(ctx context.Context, letter Letter) error {
	f, err := v.lettersFolder(ctx)
	if err != nil {
		return err
	}
	id := mail.ID{UID: letter.Number}
	there := false
	err = v.Journal.Settled(ctx, v.lease, f, letter.Number, func(known mail.ID, _ int64) error {
		there = there || known == id
		return nil
	})
	if err != nil || there {
		return err
	}
	if err := v.delivery.Reserve(ctx, 1, int64(len(letter.Text))); err != nil {
		return err
	}
	t := mail.TokenFor(v.TokenKey, v.lease.Route.Journal, f.Wire, f.Epoch, id)
	st, err := v.delivery.Stage(ctx, t, bytes.NewReader(letter.Text), letter.Date, v.MaxMessageBytes)
	if err != nil {
		return fmt.Errorf("staging a letter: %w", err)
	}
	pl := &plan{folder: f, verdicts: verdicts{VerdictFetch}}
	p := &pipeline{visit: v, byID: map[int64]*plan{f.ID: pl}}
	if err := p.intend(ctx, nil); err != nil {
		return err
	}
	err = p.deliver(ctx, batch{members: []Member{{
		FolderID: f.ID, FolderEpoch: f.Epoch, ID: id, Fingerprint: st.Fingerprint, Placement: mail.Placement{
			Spool: st.Spool, Token: t, Folder: letter.Folder, Received: st.Received, FileSize: st.FileSize,
			VirtualSize: st.VirtualSize,
		},
	}}, places: []uint32{0}})
	if err != nil {
		return err
	}
	if len(p.published) == 0 { // The target does not take it: see seal.
		return fault.New(fault.LocalMailboxUnavailable, "delivering a letter",
			words.Say("The mailbox does not take the report."))
	}
	v.Step("letter.commit")
	if err := v.Journal.Commit(ctx, v.lease, Entry{Deliver: p.published, Drop: p.intended}); err != nil {
		return err
	}
	v.delivery.Finish(ctx)
	return nil
}

// lettersFolder is what the journal remembers letters in.
func (v *visit) lettersFolder(ctx context.Context) (Folder, error) {
	folders, err := v.Journal.Folders(ctx, v.lease)
	if err != nil {
		return Folder{}, err
	}
	for _, f := range folders {
		if f.Wire == LettersWire {
			return f, nil
		}
	}
	added, err := v.Journal.AddFolders(ctx, v.lease, []Folder{{Wire: LettersWire, Local: LettersWire[1:] + "/"}})
	if err == nil && len(added) != 1 {
		err = errors.New("the journal did not take the folder of letters")
	}
	if err != nil {
		return Folder{}, fmt.Errorf("remembering letters: %w", err)
	}
	return added[0], nil
}
