package fetch

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// errYield ends a fetch because the visit's slice is used up.
var errYield = errors.New("the visit's time is used up")

// transfer brings what the survey found, in batches: bodies stream into the
// spool while the batch before is made durable, journaled and delivered.
func (v *visit) transfer(ctx context.Context) error {
	wants, err := v.wants(ctx)
	if err != nil {
		return err
	}
	if len(wants) == 0 {
		return v.commitWindow(ctx, nil)
	}
	v.OnProgress(v.lease, v.progress)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if v.seq == 0 {
		v.began = v.Now() // Listing a large folder takes long, and must not take the slice.
	}
	p := &pipeline{
		visit: v, plans: map[string]*plan{}, byID: map[int64]*plan{}, jobs: make(chan batch, 1),
		cancel: cancel,
	}
	for _, pl := range v.plans {
		p.plans[pl.folder.Wire], p.byID[pl.folder.ID] = pl, pl
	}
	if err := p.intend(ctx, v.revalidated()); err != nil {
		return err
	}
	var committing, aging sync.WaitGroup
	stop := make(chan struct{})
	committing.Go(func() { p.commit(ctx) })
	aging.Go(func() { p.flushAged(ctx, stop) })

	err = v.session.Fetch(ctx, wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
		return p.take(ctx, f, it, body)
	}, p.miss)
	close(stop)
	aging.Wait()
	p.flush(ctx)
	close(p.jobs)
	committing.Wait()
	if p.failure != nil {
		return p.failure
	}
	if errors.Is(err, errYield) {
		v.report.More, err = true, nil
	}
	if errors.Is(err, mail.ErrLeft) {
		v.log.InfoContext(ctx, "connections ended over many messages: the rest is left for the next visit")
		v.left, err = true, nil
		for _, pl := range v.plans {
			pl.postpone()
		}
	}
	// What came before a broken connection is settled all the same.
	return errors.Join(err, v.commitWindow(ctx, p))
}

// commitWindow writes where the folders stand now, if that changed, closes what is
// still open, and forgets skips that were overcome.
func (v *visit) commitWindow(ctx context.Context, p *pipeline) error {
	aliases := v.aliases() // Which adds to v.unskip.
	e := Entry{Unskip: v.unskip, Alias: append(aliases, v.same...), Skip: v.tooLarge}
	if p != nil {
		e.Deliver, e.Placed, e.Drop = p.published, p.placed, p.intended
		e.Skip = append(e.Skip, p.skips...)
		var err error
		if e.Rematch, err = v.resolveRematches(ctx, p.rematches); err != nil {
			return err
		}
	}
	unskipped := v.unskip
	v.unskip, v.same, v.tooLarge = nil, nil, nil
	for _, pl := range v.plans {
		f := pl.folder
		done := pl.settled()
		if done {
			f.Cursor = pl.cursor
		}
		_, touched := v.touched[f.ID]
		if done && !pl.written && pl.changed || pl.revalidated && p == nil && v.round == 0 ||
			touched {
			e.Folders = append(e.Folders, f)
			delete(v.touched, f.ID)
			pl.written = pl.written || done
		}
	}
	for _, f := range v.touched {
		e.Folders = append(e.Folders, f)
	}
	clear(v.touched)
	e.Capabilities = v.newCapabilities()
	if len(e.Folders)+len(e.Deliver)+len(e.Drop)+len(e.Skip)+len(e.Unskip)+len(e.Rematch)+len(e.Alias) == 0 &&
		e.Capabilities == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if len(e.Deliver) > 0 {
		if err := v.atItsPlace(ctx); err != nil {
			return err
		}
	}
	v.Step("window.commit")
	e.Progress = v.progress
	if err := v.Journal.Commit(ctx, v.lease, e); err != nil {
		return err
	}
	v.Step("window.committed")
	v.overcame(unskipped)
	return nil
}

// revalidated returns the folders whose UIDs mean something new since this
// visit. That is written before any message is staged under it: if it were
// not, a crash and another change could make two epochs one.
func (v *visit) revalidated() (fs []Folder) {
	if v.round > 0 {
		return nil // Written with the first window; some may be settled since.
	}
	for _, pl := range v.plans {
		if pl.revalidated {
			fs = append(fs, pl.folder)
		}
	}
	return fs
}
