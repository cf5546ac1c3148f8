package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
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
		return v.settle(ctx, nil)
	}
	v.OnProgress(v.lease, v.progress)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if v.seq == 0 {
		v.began = v.Now() // Listing a large folder takes long, and must not take the slice.
	}
	p := &pipeline{
		visit: v, plans: map[string]*plan{}, byID: map[int64]*plan{}, jobs: make(chan []Member, 1),
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
			pl.passed += pl.untried // They are listed as skipped as before.
		}
	}
	// What came before a broken connection is settled all the same.
	return errors.Join(err, v.settle(ctx, p))
}

// pair finds messages that are one by the server's own word, such as one that
// bears several labels at Gmail. One copy is fetched, into the first folder
// that has it; the others count as settled once that one is delivered.
func (v *visit) pair(ctx context.Context) error {
	v.delivered = nil
	var globals []string
	for _, p := range v.plans {
		for _, it := range p.todo {
			if it.Labelled() {
				globals = append(globals, it.Global)
			}
		}
	}
	if len(globals) == 0 {
		return nil
	}
	delivered, err := v.Journal.Delivered(ctx, v.lease, globals)
	if err != nil {
		return err
	}
	v.delivered = delivered
	planned := map[string]bool{}
	for _, p := range v.plans {
		p.todo = slices.DeleteFunc(p.todo, func(it mail.Item) bool {
			twin := it.Labelled() && (delivered[it.Global] || planned[it.Global])
			if twin {
				p.twins = append(p.twins, it)
			}
			planned[it.Global] = true
			return twin
		})
		p.coupled += len(p.twins)
	}
	return nil
}

// aliases are the twins whose other copy is delivered by now.
func (v *visit) aliases() (as []Alias) {
	for _, p := range v.plans {
		for _, it := range p.twins {
			if v.heldBack[it.Global] {
				p.paired++ // It is listed as skipped, once.
			} else if v.delivered[it.Global] {
				p.paired++
				if s, ok := p.waiting[it.ID]; ok {
					v.unskip = append(v.unskip, s)
				}
				as = append(as, Alias{Ref: Ref{p.folder.ID, p.folder.Epoch, it.ID}, Size: it.Size, Global: it.Global})
			}
		}
	}
	return as
}

// wants turns the plans into questions, as far as the local mailbox has room.
func (v *visit) wants(ctx context.Context) ([]mail.Want, error) {
	var ws, late []mail.Want
	asked, doubtful, failed := 0, true, v.lease.Account.Status.Failures > 0
	for _, p := range v.plans {
		p.untried = 0
		if v.full != nil {
			p.settles, p.todo = p.settles && len(p.todo)+p.left == 0, nil
			continue
		}
		fit, err := v.reserve(ctx, p.todo)
		if err != nil {
			return nil, err
		}
		if fit < len(p.todo) {
			p.todo, p.settles = p.todo[:fit], false
		}
		p.asked += len(p.todo)
		v.progress.MessagesTotal += int64(len(p.todo))
		fresh, again := p.apart()
		want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity, Items: fresh}
		if len(fresh) > 0 {
			ws = append(ws, want)
		}
		if want.Items, want.Again = again, true; len(again) > 0 {
			late = append(late, want)
		}
		p.untried = len(again)
		asked, doubtful = asked+len(p.todo), doubtful && len(fresh) == 0
		failed = failed || len(p.waiting) > 0
	}
	ws = append(ws, late...)
	if asked <= fewWanted || doubtful || failed {
		// Those that are wanted may not tell whether the server sends any.
		for i := range ws {
			var err error
			if ws[i].Others, err = v.others(ctx, ws[i]); err != nil {
				return nil, err
			}
		}
	}
	return ws, nil
}

// reserve makes room for the first of items, and returns how many they are: all, or
// those before the one that v.full is about. Its error is that of ctx.
func (v *visit) reserve(ctx context.Context, items []mail.Item) (int, error) {
	var bytes int64
	for _, it := range items {
		bytes += max(0, it.Size) // No larger than a message may be.
	}
	// Each time looks at the mailbox's quota file: once, where there is room for all.
	if v.delivery.Reserve(ctx, int64(len(items)), bytes) == nil {
		return len(items), nil
	}
	for i, it := range items {
		err := v.delivery.Reserve(ctx, 1, it.Size)
		switch {
		case err != nil && ctx.Err() != nil:
			return 0, fmt.Errorf("reserving room for messages: %w", err) // Nobody says that it is full.
		case err != nil:
			v.full = fault.Of(err)
			return i, nil
		}
	}
	return len(items), nil
}

// apart divides what is to be fetched into what is new and what was skipped before,
// what was tried last coming last: where not all can be tried, each has its turn.
func (p *plan) apart() (fresh, again []mail.Item) {
	if len(p.waiting) == 0 {
		return p.todo, nil
	}
	for _, it := range p.todo {
		if _, skipped := p.waiting[it.ID]; skipped {
			again = append(again, it)
		} else {
			fresh = append(fresh, it)
		}
	}
	slices.SortStableFunc(again, func(a, b mail.Item) int {
		return p.waiting[a.ID].LastAt.Compare(p.waiting[b.ID].LastAt)
	})
	return fresh, again
}

// tried notes that a message which was skipped before has been tried.
func (p *plan) tried(id mail.ID) {
	if _, skipped := p.waiting[id]; skipped {
		p.untried--
	}
}

// settle writes where the folders stand now, if that changed, closes what is
// still open, and forgets skips that were overcome.
func (v *visit) settle(ctx context.Context, p *pipeline) error {
	aliases := v.aliases() // Which adds to v.unskip.
	e := Entry{Unskip: v.unskip, Alias: append(aliases, v.same...), Skip: v.withheld}
	if p != nil {
		e.Deliver, e.Drop = p.published, p.intended
		e.Skip = append(e.Skip, p.skips...)
		var err error
		if e.Adopt, err = v.resolve(ctx, p.adoptions); err != nil {
			return err
		}
	}
	unskipped := v.unskip
	v.unskip, v.same, v.withheld = nil, nil, nil
	for _, pl := range v.plans {
		f := pl.folder
		done := pl.settled()
		if done {
			f.Cursor = pl.cursor
		}
		_, touched := v.touched[f.ID]
		if done && !pl.written && (pl.changed || pl.asked+pl.coupled > 0) || pl.revalidated && p == nil && v.round == 0 ||
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
	e.Capabilities = v.learned()
	if len(e.Folders)+len(e.Deliver)+len(e.Drop)+len(e.Skip)+len(e.Unskip)+len(e.Adopt)+len(e.Alias) == 0 &&
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
	v.Step("settle.commit")
	e.Progress = v.progress
	if err := v.Journal.Commit(ctx, v.lease, e); err != nil {
		return err
	}
	v.Step("settle.committed")
	v.overcame(unskipped)
	return nil
}

// pipeline is the path from the network to the delivered batch. take and
// flushAged fill the current batch; commit works off full ones.
type pipeline struct {
	*visit
	plans  map[string]*plan // By wire name.
	byID   map[int64]*plan
	jobs   chan []Member
	cancel context.CancelCauseFunc

	mu        sync.Mutex // Guards what follows.
	batch     []Member
	bytes     int64
	since     time.Time
	skips     []Skipped
	adoptions []tentative
	failure   error

	// Of the committing goroutine, and of others once it has ended.
	intended  []BatchKey // Written as intended, not yet used.
	published []BatchKey // Delivered, not yet written so.
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

// intend writes the intent of the first batch. From then on each batch's write
// carries the intent of the next one.
func (p *pipeline) intend(ctx context.Context, fs []Folder) error {
	k := p.nextKey()
	inbox, err := p.Mailbox.InboxValidity(ctx, p.lease.Account.Owner)
	if err != nil {
		p.log.WarnContext(ctx, "reading the inbox", "error", err)
	}
	p.Step("intend.commit")
	if err := p.Journal.Commit(ctx, p.lease, Entry{
		Intend: &k, Folders: fs, Inbox: inbox,
		Progress: p.progress,
	}); err != nil {
		return err
	}
	p.Step("intend.committed")
	p.intended = append(p.intended, k)
	return nil
}

func (p *pipeline) nextKey() BatchKey {
	p.visit.seq++
	return BatchKey{Epoch: p.lease.Epoch, Seq: p.visit.seq}
}

// take stages one message.
func (p *pipeline) take(ctx context.Context, f mail.Folder, it mail.Item, body io.Reader) error {
	pl := p.plans[f.Wire]
	if pl == nil {
		return fmt.Errorf("a message of folder %q, which was not asked for", f.Wire)
	}
	if err := p.failed(); err != nil {
		return err
	}
	t := mail.TokenFor(p.TokenKey, p.lease.Account.Journal, f.Wire, pl.folder.Epoch, it.ID)
	st, err := p.delivery.Stage(ctx, t, body, it.Received, p.largest(pl, it.ID))
	switch {
	case fault.CodeOf(err) == fault.MessageFailed:
		p.delivery.Release(1, it.Size)
		p.skip(pl, it, fault.Of(err))
		return nil
	case err != nil:
		return err // The source may bring it once more; the reservation stands.
	case p.recognised(pl, it, st):
		return nil
	}
	if doubles, err := p.doubles(ctx, pl, it, st); doubles || err != nil {
		return err
	}
	if over := st.FileSize - it.Size; over > 0 {
		if err := p.delivery.Reserve(ctx, 0, over); err != nil {
			p.delivery.Discard([]mail.Staged{st})
			p.delivery.Release(1, it.Size)
			return err
		}
	} else {
		p.delivery.Release(0, -over)
	}
	p.Step("take.staged")
	m := Member{
		FolderID: pl.folder.ID, FolderEpoch: pl.folder.Epoch, ID: it.ID, Global: it.Global, Fingerprint: st.Fingerprint,
		Placement: mail.Placement{
			Spool: st.Spool, Token: t, Folder: pl.folder.Local, Flags: it.Flags, Received: st.Received,
			FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		},
	}
	p.mu.Lock()
	if len(p.batch) == 0 {
		p.since = p.Now()
	}
	p.batch = append(p.batch, m)
	p.bytes += st.FileSize
	pl.tried(it.ID)
	p.unskipped(m)
	p.visit.progress.Folder = pl.name()
	p.visit.progress.MessagesDone++
	p.visit.progress.BytesDone += st.Fingerprint.Size
	progress := p.visit.progress
	full := len(p.batch) >= p.BatchMessages || p.bytes >= batchBytes
	p.mu.Unlock()
	p.OnProgress(p.lease, progress)
	if full {
		p.flush(ctx)
	}
	if p.remaining() <= 0 {
		return errYield
	}
	return nil
}

// recognised adopts a message that was delivered before under another name:
// its copy is thrown away. The journal learns of it when the window is settled.
func (p *pipeline) recognised(pl *plan, it mail.Item, st mail.Staged) bool {
	if p.matching == nil || !pl.unfamiliar {
		return false
	}
	if !p.matching.take(st.Fingerprint) {
		return false
	}
	p.delivery.Discard([]mail.Staged{st})
	p.delivery.Release(1, it.Size)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adoptions = append(p.adoptions, tentative{pl, it.ID, st.Fingerprint})
	pl.tried(it.ID)
	pl.passed++
	p.visit.progress.MessagesDone++
	return true
}

// unskipped notes that a message skipped before has come after all.
func (p *pipeline) unskipped(m Member) {
	if s, ok := p.byID[m.FolderID].waiting[m.ID]; ok {
		p.unskip = append(p.unskip, s)
	}
}

// miss notes a message that the source could not read.
func (p *pipeline) miss(f mail.Folder, it mail.Item, why *fault.Error) {
	p.delivery.Release(1, it.Size)
	if pl := p.plans[f.Wire]; pl != nil {
		p.skip(pl, it, why)
	}
}

// skip passes a message over with a reason, so that it holds up nothing behind it.
func (p *pipeline) skip(pl *plan, it mail.Item, why *fault.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl.tried(it.ID)
	if _, before := pl.waiting[it.ID]; !before && !why.TooLarge {
		pl.refused++
	}
	if p.mayList(pl, it.ID) {
		s := p.skippedNow(pl, it, why)
		p.visit.undescribed.note(pl, it, s, why)
		p.skips = append(p.skips, s)
		pl.passed++
	}
	p.report.Skipped++
	if why.TooLarge { // No failure, whoever found it out: see withhold.
		p.log.Info("too large", "folder", pl.name(), "listed", it.Size, "error", why)
		return
	}
	p.visit.failed(fault.MessageFailed, "a message in "+pl.name(), why)
}

// flush hands the current batch over to be committed. It waits while the
// committing goroutine has one in hand and one before it, which bounds what
// lies in the spool.
func (p *pipeline) flush(ctx context.Context) {
	p.mu.Lock()
	batch := p.batch
	p.batch, p.bytes = nil, 0
	p.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	select {
	case p.jobs <- batch:
	case <-ctx.Done(): // commit has ended, or will: these were never staged in the journal.
	}
}

// flushAged hands over a batch that has waited long enough, so that mail from
// a slow server is not held back by the next message's slowness.
func (p *pipeline) flushAged(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(batchAge / 2)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			p.mu.Lock()
			aged := len(p.batch) > 0 && p.Now().Sub(p.since) >= batchAge
			p.mu.Unlock()
			if aged {
				p.flush(ctx)
			}
		}
	}
}

// commit works off batches until there are no more.
func (p *pipeline) commit(ctx context.Context) {
	for batch := range p.jobs {
		if p.failed() != nil {
			continue
		}
		if err := p.deliver(ctx, batch); err != nil {
			p.mu.Lock()
			p.failure = err
			p.mu.Unlock()
			p.cancel(err)
		}
	}
}

func (p *pipeline) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// deliver is the protocol of docs/decisions/0002-exactly-once.md for one batch.
func (p *pipeline) deliver(ctx context.Context, batch []Member) error {
	staged := make([]mail.Staged, len(batch))
	for i, m := range batch {
		staged[i] = mail.Staged{Spool: m.Placement.Spool, FileSize: m.Placement.FileSize}
	}
	p.Step("deliver.seal")
	if err := p.delivery.Seal(ctx, staged); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "making mail durable", err)
	}
	key := p.intended[0]
	next := p.nextKey()
	p.mu.Lock()
	progress := p.visit.progress
	p.mu.Unlock()
	if err := p.atItsPlace(ctx); err != nil {
		p.delivery.Discard(staged)
		return err
	}
	p.Step("deliver.stage")
	err := p.Journal.Commit(ctx, p.lease, Entry{
		Deliver: p.published, Stage: &Batch{Key: key, Members: batch},
		Intend: &next, Progress: progress,
	})
	if errors.Is(err, ErrFenced) {
		p.delivery.Discard(staged) // Nothing was written: the spool files are nobody's.
		return err
	}
	if err != nil {
		return err // Perhaps written, perhaps not: the next visit's recovery tells.
	}
	p.intended, p.published = append(p.intended[1:], next), nil
	p.Step("deliver.staged")
	p.generation++
	if err := p.noteGeneration(ctx); err != nil {
		return err
	}
	if err := p.delivery.Publish(ctx, placements(batch)); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "delivering", err)
	}
	p.Step("deliver.published")
	p.published = append(p.published, key)
	for _, m := range batch {
		p.report.Messages++
		p.report.Bytes += m.Fingerprint.Size
		if p.delivered != nil && m.Global != "" { // Nil where no message has several folders.
			p.delivered[m.Global] = true
		}
		p.byID[m.FolderID].landed++ // Only now: a folder is settled by what was delivered, not by what was asked for.
	}
	return nil
}
