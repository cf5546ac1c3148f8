package main

import (
	"context"
	"io"
	netmail "net/mail"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// verifySlice is how long a copy is compared before others have their turn.
const verifySlice = 2 * time.Minute

// verify compares a copy with what lies at its target, and ends it once all is. What was found is in the journal, so
// that it continues where it stood, whatever interrupts it.
func (v copier) verify(ctx context.Context, l fetch.Lease, c transfer.Copy) (rep fetch.Report) {
	rows := v.app.store.Copies()
	shelf, ledger, err := v.app.openShelf(ctx, l)
	if err != nil {
		return fetch.Report{Err: err}
	}
	defer func() { _ = shelf.Close() }()
	began := time.Now()
	work := transfer.Verifier{
		Shelf: shelf, Ledger: ledger, How: c.Options.Verify,
		Enough: func() bool { return time.Since(began) >= verifySlice || ctx.Err() != nil },
	}
	rep.More, rep.Err = work.Work(ctx)
	if work.Rewritten && ctx.Err() == nil {
		if err := rows.Worked(ctx, l, transfer.Work{Rewritten: true}); rep.Err == nil {
			rep.Err = err
		}
	}
	if rep.Err != nil || rep.More {
		return rep
	}
	rep.Err = v.end(ctx, l, c)
	return rep
}

// end grades a copy that was compared, and ends it.
func (v copier) end(ctx context.Context, l fetch.Lease, c transfer.Copy) error {
	rows := v.app.store.Copies()
	totals, rewritten, err := rows.Ledger(l).Sums(ctx)
	if err != nil {
		return err
	}
	folders, err := rows.Folders(ctx, c.Owner, c.ID)
	if err != nil {
		return err
	}
	grade := transfer.GradeOf(totals, folders, rewritten)
	if err := v.tell(ctx, l, c, totals, folders, grade); err != nil {
		return err
	}
	return rows.Verified(ctx, l, c.Options.Verify, totals, grade, grade.State(),
		v.app.store.Now().Add(v.app.cfg.Copies.Keep))
}

// tell puts the report of a copy that is about to end into the target mailbox. What cannot be put there after some
// tries is shown on the pages alone.
func (v copier) tell(ctx context.Context, l fetch.Lease, c transfer.Copy, totals transfer.Totals,
	folders []transfer.FolderState, grade transfer.Grade,
) error {
	c.Status.State, c.Status.Grade, c.EndedAt = grade.State(), grade, v.app.store.Now()
	c.Status.Totals = totals
	report := transfer.Report{
		Copy: c, Grade: grade, VerifiedAt: c.EndedAt, How: c.Options.Verify, Folders: folders,
	}
	sender := transfer.Sender{From: v.app.cfg.copiesFrom(c.Owner), Subjects: v.app.cfg.Copies.Subjects}
	text, err := sender.Ended(report, c.TargetAddress(), nil)
	if err != nil {
		return err
	}
	err = v.engine.Deliver(ctx, l, fetch.Letter{
		Number: uint32(c.Pass), Folder: "INBOX", Date: c.EndedAt, Text: text,
	})
	if err != nil && (l.Failures >= folderTries || fault.CodeOf(err) == fault.LocalOverQuota) {
		v.app.log.WarnContext(ctx, "the report of a copy was not delivered", "copy", c.ID, "error", err)
		return nil
	}
	return err
}

// copiesFrom is who writes the reports of a user's copies.
func (c config) copiesFrom(o owner.Owner) string {
	from := netmail.Address{Name: c.Web.Brand.ServiceName(), Address: "no-reply@" + owner.Domain(o.String())}
	return from.String()
}

// closingShelf is a target that is read until it is closed.
type closingShelf interface {
	transfer.Shelf
	io.Closer
}

// openShelf opens the target of a copy for reading, and the journal with which it is compared.
func (a *app) openShelf(ctx context.Context, l fetch.Lease) (closingShelf, transfer.Ledger, error) {
	ledger := a.store.Copies().Ledger(l)
	if l.Route.To.Server.Host != "" {
		return imapShelf{a.targetBoxes(l.Route).Reader(l.Route.Owner), a.cfg.DataDir}, ledger, nil
	}
	if boxes, byIMAP := a.mailboxes.(imapBoxes); byIMAP {
		return imapShelf{boxes.Reader(l.Route.Owner), a.cfg.DataDir}, ledger, nil
	}
	d, err := a.mailboxes.Open(ctx, l.Route, l.Epoch, owner.Limit{})
	if err != nil {
		return nil, nil, err
	}
	folders, err := a.store.Journal().Folders(ctx, l)
	if err != nil {
		_ = d.Close()
		return nil, nil, err
	}
	wires := make(map[int64]string, len(folders))
	for _, f := range folders {
		wires[f.ID] = f.Wire
	}
	key := a.vault.TokenKey()
	return &fileShelf{delivery: d, dir: a.cfg.DataDir}, tokened{ledger, func(folder int64, s transfer.Sought) mail.Token {
		return mail.TokenFor(key, l.Route.Journal, wires[folder], s.FolderEpoch, s.ID)
	}}, nil
}
