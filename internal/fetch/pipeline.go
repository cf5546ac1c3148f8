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
	"github.com/mailbrook/mailbrook/internal/words"
)

// pipeline is the path from the network to the delivered batch. take and
// flushAged fill the current batch; commit works off full ones.
type pipeline struct {
	visit  *visit
	plans  map[string]*plan // By wire name.
	byID   map[int64]*plan
	jobs   chan batch
	cancel context.CancelCauseFunc

	mu        sync.Mutex // Guards what follows.
	batch     batch
	bytes     int64
	since     time.Time
	skips     []Skipped
	rematches []contentMatch
	failure   error

	// Of the committing goroutine, and of others once it has ended.
	intended  []BatchKey // Written as intended, not yet used.
	published []BatchKey // Delivered, not yet written so,
	placed    []Placed   // … and where.
}

// batch is what is made durable, journaled and delivered together.
type batch struct {
	members []Member
	places  []uint32 // Of each, in its folder's listing.
}

// sortByDate brings a batch into the order of internal dates.
func (b *batch) sortByDate() {
	order := make([]int, len(b.members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		return b.members[x].Placement.Received.Compare(b.members[y].Placement.Received)
	})
	members, places := make([]Member, len(order)), make([]uint32, len(order))
	for i, from := range order {
		members[i], places[i] = b.members[from], b.places[from]
	}
	b.members, b.places = members, places
}

// intend writes the intent of the first batch. From then on each batch's write
// carries the intent of the next one.
func (p *pipeline) intend(ctx context.Context, fs []Folder) error {
	k, inbox := p.nextKey(), uint32(0)
	if p.visit.keeps() {
		var err error
		if inbox, err = p.visit.Mailbox.InboxValidity(ctx, p.visit.lease.Route.Owner); err != nil {
			p.visit.log.WarnContext(ctx, "reading the inbox", "error", err)
		}
	}
	p.visit.Step("intend.commit")
	if err := p.visit.Journal.Commit(ctx, p.visit.lease, Entry{
		Intend: &k, Folders: fs, Inbox: inbox,
		Progress: p.visit.progress,
	}); err != nil {
		return err
	}
	p.visit.Step("intend.committed")
	p.intended = append(p.intended, k)
	return nil
}

func (p *pipeline) nextKey() BatchKey {
	p.visit.seq++
	return BatchKey{Epoch: p.visit.lease.Epoch, Seq: p.visit.seq}
}

// take stages one message.
func (p *pipeline) take(ctx context.Context, f mail.Folder, it mail.Item, body io.Reader) error {
	pl := p.plans[f.Wire]
	if pl == nil {
		return fmt.Errorf("a message of folder %q, which was not asked for", f.Wire)
	}
	at, ok := pl.placeOf(&it)
	if !ok {
		return fmt.Errorf("a message of folder %q that was not asked for", f.Wire)
	}
	if err := p.err(); err != nil {
		return err
	}
	t := mail.TokenFor(p.visit.TokenKey, p.visit.lease.Route.Journal, f.Wire, pl.folder.Epoch, it.ID)
	st, err := p.visit.delivery.Stage(ctx, t, body, it.Received, p.visit.largest(pl, it.ID))
	switch {
	case fault.CodeOf(err) == fault.MessageFailed:
		p.visit.delivery.Release(1, it.Size)
		p.skip(pl, at, it, fault.Of(err))
		return nil
	case err != nil:
		return err // The source may bring it once more; the reservation stands.
	case p.rematched(pl, at, it, st):
		return nil
	}
	if doubles, err := p.discardLoop(ctx, pl, at, it, st); doubles || err != nil {
		return err
	}
	if over := st.FileSize - it.Size; over > 0 {
		if err := p.visit.delivery.Reserve(ctx, 0, over); err != nil {
			p.visit.delivery.Discard([]mail.Staged{st})
			p.visit.delivery.Release(1, it.Size)
			return err
		}
	} else {
		p.visit.delivery.Release(0, -over)
	}
	p.visit.Step("take.staged")
	m := Member{
		FolderID: pl.folder.ID, FolderEpoch: pl.folder.Epoch, ID: it.ID, Global: it.Global, Fingerprint: st.Fingerprint,
		Placement: mail.Placement{
			Spool: st.Spool, Token: t, Folder: pl.folder.Local, Flags: it.Flags, Keywords: it.Keywords, Received: st.Received,
			FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		},
	}
	p.mu.Lock()
	if len(p.batch.members) == 0 {
		p.since = p.visit.Now()
		n := min(p.visit.BatchMessages, len(pl.todo))
		p.batch = batch{make([]Member, 0, n), make([]uint32, 0, n)}
	}
	p.batch.members, p.batch.places = append(p.batch.members, m), append(p.batch.places, uint32(at))
	p.bytes += st.FileSize
	p.visit.progress.Folder = pl.name()
	p.visit.progress.MessagesDone++
	p.visit.progress.BytesDone += st.Fingerprint.Size
	progress := p.visit.progress
	full := len(p.batch.members) >= p.visit.BatchMessages || p.bytes >= batchBytes
	p.mu.Unlock()
	p.visit.OnProgress(p.visit.lease, progress)
	if full {
		p.flush(ctx)
	}
	if p.visit.remaining() <= 0 {
		return errYield
	}
	return nil
}

// rematched reports whether a message was delivered before under another name:
// its copy is thrown away. The journal learns of it when the window is settled.
func (p *pipeline) rematched(pl *plan, at int, it mail.Item, st mail.Staged) bool {
	if p.visit.contents == nil || !pl.mayRematch {
		return false
	}
	if !p.visit.contents.take(st.Fingerprint) {
		return false
	}
	p.visit.delivery.Discard([]mail.Staged{st})
	p.visit.delivery.Release(1, it.Size)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rematches = append(p.rematches, contentMatch{pl, at, it.ID, st.Fingerprint})
	pl.judge(at, VerdictRematched)
	p.visit.progress.MessagesDone++
	return true
}

// unskipped notes that a message skipped before has come after all.
func (p *pipeline) unskipped(m Member) {
	if s, ok := p.byID[m.FolderID].waiting[m.ID]; ok {
		p.visit.unskip = append(p.visit.unskip, s)
	}
}

// miss notes a message that the source could not read.
func (p *pipeline) miss(f mail.Folder, it mail.Item, why *fault.Error) {
	p.visit.delivery.Release(1, it.Size)
	if pl := p.plans[f.Wire]; pl != nil {
		if at, ok := pl.placeOf(&it); ok {
			p.skip(pl, at, it, why)
		}
	}
}

// skip lists a message as skipped, with the reason, so that the visit continues with the rest.
func (p *pipeline) skip(pl *plan, at int, it mail.Item, why *fault.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list(pl, at, it, why)
	if why.TooLarge { // No failure, whoever found it out: see skipTooLarge.
		p.visit.log.Info("too large", "folder", pl.name(), "listed", it.Size, "error", why)
		return
	}
	p.visit.noteFailure(fault.MessageFailed, messageWhat(pl.name()), why)
}

// list puts a message on the list of those that were skipped, if there is room on it.
func (p *pipeline) list(pl *plan, at int, it mail.Item, why *fault.Error) {
	if !p.visit.maySkip(pl, it.ID) {
		pl.judge(at, VerdictUnlisted)
		return
	}
	verdict := pl.refusal(it.ID, why)
	s := p.visit.skippedNow(pl, it, why)
	s.Held = s.Held || verdict == VerdictLoop
	p.visit.undescribed.note(pl, it, s, why)
	p.skips = append(p.skips, s)
	pl.judge(at, verdict)
}

// flush hands the current batch over to be committed. It waits while the
// committing goroutine has one in hand and one before it, which bounds what
// lies in the spool.
func (p *pipeline) flush(ctx context.Context) {
	p.mu.Lock()
	full := p.batch
	p.batch, p.bytes = batch{}, 0
	p.mu.Unlock()
	if len(full.members) == 0 {
		return
	}
	if p.visit.lease.Route.OldestFirst {
		full.sortByDate()
	}
	select {
	case p.jobs <- full:
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
			aged := len(p.batch.members) > 0 && p.visit.Now().Sub(p.since) >= batchAge
			p.mu.Unlock()
			if aged {
				p.flush(ctx)
			}
		}
	}
}

// commit works off batches until there are no more.
func (p *pipeline) commit(ctx context.Context) {
	for full := range p.jobs {
		if p.err() != nil {
			continue
		}
		if err := p.deliver(ctx, full); err != nil {
			p.mu.Lock()
			p.failure = err
			p.mu.Unlock()
			p.cancel(err)
		}
	}
}

// err is why committing failed; nil: it did not.
func (p *pipeline) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// deliver is the protocol of docs/decisions/0002-exactly-once.md for one batch.
func (p *pipeline) deliver(ctx context.Context, b batch) error {
	p.visit.Step("deliver.seal")
	b, err := p.seal(ctx, b)
	if err != nil || len(b.members) == 0 {
		return err
	}
	staged := make([]mail.Staged, len(b.members))
	for i, m := range b.members {
		staged[i] = mail.Staged{Spool: m.Placement.Spool, FileSize: m.Placement.FileSize}
	}
	key := p.intended[0]
	next := p.nextKey()
	p.mu.Lock()
	progress := p.visit.progress
	p.mu.Unlock()
	if err := p.visit.atItsPlace(ctx); err != nil {
		p.visit.delivery.Discard(staged)
		return err
	}
	p.visit.Step("deliver.stage")
	err = p.visit.Journal.Commit(ctx, p.visit.lease, Entry{
		Deliver: p.published, Placed: p.placed, Stage: &Batch{Key: key, Members: b.members},
		Intend: &next, Progress: progress,
	})
	if errors.Is(err, ErrFenced) {
		p.visit.delivery.Discard(staged) // Nothing was written: the spool files are nobody's.
		return err
	}
	if err != nil {
		return err // Perhaps written, perhaps not: the next visit's recovery finds out.
	}
	p.intended, p.published, p.placed = append(p.intended[1:], next), nil, nil
	p.visit.Step("deliver.staged")
	p.visit.generation++
	if err := p.visit.noteGeneration(ctx); err != nil {
		return err
	}
	if err := p.visit.publish(ctx, "delivering", placements(b.members)); err != nil {
		return err
	}
	p.visit.Step("deliver.published")
	p.published = append(p.published, key)
	p.placed = append(p.placed, p.visit.placed(b.members)...)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range b.members {
		p.unskipped(m)
		p.visit.report.Bytes += m.Fingerprint.Size
		if p.visit.delivered != nil && m.Global != "" { // Nil where no message has several folders.
			p.visit.delivered[m.Global] = true
		}
		// Only now: a folder is settled by what was delivered, not by what was asked for.
		p.byID[m.FolderID].judge(int(b.places[i]), VerdictDelivered)
	}
	return nil
}

// seal makes a batch last. What the destination does not take is skipped, and the rest is
// returned.
func (p *pipeline) seal(ctx context.Context, b batch) (batch, error) {
	sealed, err := p.visit.delivery.Seal(ctx, placements(b.members))
	if err == nil && len(sealed) != len(b.members) {
		err = fault.New(fault.Internal, "making mail durable", words.Say("the destination did not answer for each message"))
	}
	if err != nil {
		return batch{}, fault.Wrap(fault.LocalMailboxUnavailable, "making mail durable", err)
	}
	taken := batch{b.members[:0], b.places[:0]}
	for i, m := range b.members {
		if why := sealed[i].Refused; why != nil {
			p.visit.delivery.Release(1, m.Placement.FileSize)
			it := mail.Item{ID: m.ID, Global: m.Global, Size: m.Fingerprint.Size}
			p.skip(p.byID[m.FolderID], int(b.places[i]), it, fault.Of(why))
			continue
		}
		m.Placement.Spool = sealed[i].Spool
		taken.members, taken.places = append(taken.members, m), append(taken.places, b.places[i])
	}
	return taken, nil
}
