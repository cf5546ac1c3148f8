package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What was delivered stays so in the journal, wherever mail is delivered to. What was staged and not confirmed when the
// configuration changed is known to the destination before alone: see docs/decisions/0055-moving-over.md.

// Former is the users' own mailboxes where they were before the configuration changed.
type Former interface {
	// OpenFormer opens what is left of a journal's spool in a user's mailbox. Nothing is staged there any more.
	OpenFormer(ctx context.Context, o owner.Owner, journal string, epoch int64) (FormerDelivery, error)
}

// FormerDelivery is a Delivery of the destination before, as far as moving over needs it: see Spool and Target.
type FormerDelivery interface {
	Generation(ctx context.Context) (int64, bool, error)
	Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error)
	// Body opens a message that is Pending, to be read as it was sent, as far as the line ends were CRLF then.
	Body(ctx context.Context, p mail.Placement) (io.ReadCloser, error)
	Sweep(ctx context.Context, keep map[string]bool) error
	Close() error
}

// Heir is a Delivery into a destination that can take over what was staged for another.
type Heir interface {
	Delivery
	// Anothers reports whether a message was staged for another destination. Find fails for these.
	Anothers(p mail.Placement) bool
	// Search looks for messages that were staged for another destination in the folders that they were to go to, by
	// all their octets: each is Delivered or Lost.
	Search(ctx context.Context, ps []mail.Placement) ([]mail.Fate, error)
}

// MovedOver is what became of messages that were on their way when the configuration changed.
type MovedOver struct {
	Known    int // They had been delivered before, and stay so.
	Brought  int // They lay in the spool, and are delivered now.
	Released int // They are nowhere, or cannot be delivered: they are fetched again.
}

// ErrOlder says that a journal is older than the mailbox that mail was delivered into before.
var ErrOlder = errors.New("the database is older than the mailbox: it was restored from a backup")

// MoveOver finishes, under a lease, what was staged for the destination before: what was delivered there
// stays so, what lies in its spool is delivered, and the rest is fetched again. former is nil where that
// destination is gone: then what lies in its folder is delivered. Nothing is asked of the server that mail
// is fetched from.
//
// It may be broken off anywhere and begun again: nothing is lost or doubled.
func (e *Engine) MoveOver(ctx context.Context, l Lease, former Former) (done MovedOver, err error) {
	const op = "moving over what was on its way"
	m := &movingOver{visit: e.newVisit(l)}
	limit, err := e.Journal.Limit(ctx, l.Route.Owner)
	if err != nil {
		return done, err
	}
	if m.delivery, err = e.Mailbox.Open(ctx, l.Route, l.Epoch, limit); err != nil {
		return done, fault.Wrap(fault.LocalMailboxUnavailable, op, err)
	}
	defer func() { err = errors.Join(err, m.delivery.Close()) }()
	var takes bool
	if m.heir, takes = m.delivery.(Heir); !takes {
		return done, fault.Wrap(fault.Internal, op, errors.New("this destination takes nothing over"))
	}
	e.Step("moveover.open")
	batches, err := m.anothers(ctx)
	if err != nil {
		return done, err
	}
	if former != nil {
		if m.former, err = former.OpenFormer(ctx, l.Route.Owner, l.Route.Journal, l.Epoch); err != nil {
			return done, fault.Wrap(fault.LocalMailboxUnavailable, op, err)
		}
		defer func() { err = errors.Join(err, m.former.Close()) }()
	}
	e.Step("moveover.find")
	fates, err := m.fates(ctx, batches)
	if err != nil {
		return done, err
	}
	for _, b := range batches {
		if err := m.batch(ctx, b, fates[:len(b.Members)]); err != nil {
			return m.done, err
		}
		fates = fates[len(b.Members):]
	}
	if m.done.Brought > 0 {
		m.delivery.Finish(ctx)
	}
	if m.former == nil {
		return m.done, nil
	}
	e.Step("moveover.sweep")
	return m.done, fault.Wrap(fault.LocalMailboxUnavailable, op, m.former.Sweep(ctx, nil))
}

// movingOver is the state of one MoveOver.
type movingOver struct {
	*visit
	heir   Heir
	former FormerDelivery // Nil: it is gone.
	done   MovedOver
}

// anothers returns the batches that were staged for another destination.
func (m *movingOver) anothers(ctx context.Context) (all []Batch, err error) {
	open, err := m.Journal.Open(ctx, m.lease)
	for _, b := range open {
		n := 0
		for _, x := range b.Members {
			if m.heir.Anothers(x.Placement) {
				n++
			}
		}
		if n > 0 && n < len(b.Members) {
			return nil, fmt.Errorf("batch %d/%d was staged for two destinations", b.Key.Epoch, b.Key.Seq)
		}
		if n > 0 {
			all = append(all, b)
		}
	}
	return all, err
}

// fates asks the destination before what became of messages. What it has not, and cannot account for, is looked for
// where it would be now.
func (m *movingOver) fates(ctx context.Context, batches []Batch) ([]mail.Fate, error) {
	var ps []mail.Placement
	for _, b := range batches {
		ps = append(ps, placements(b.Members)...)
	}
	if m.former == nil {
		return m.heir.Search(ctx, ps)
	}
	noted, err := m.noted(ctx)
	if err != nil {
		return nil, err
	}
	fates, err := m.former.Find(ctx, ps, noted)
	if err != nil {
		return nil, fault.Wrap(fault.LocalMailboxUnavailable, "finding out what was delivered", err)
	}
	var lost []mail.Placement
	for i, f := range fates {
		if f == mail.Lost {
			lost = append(lost, ps[i])
		}
	}
	found, err := m.heir.Search(ctx, lost)
	if err != nil {
		return nil, err
	}
	for i, f := range fates {
		if f == mail.Lost {
			fates[i], found = found[0], found[1:]
		}
	}
	return fates, nil
}

// noted reports whether the spool knows of all batches that the journal does. One that knows of more has seen
// deliveries which the journal has forgotten.
func (m *movingOver) noted(ctx context.Context) (bool, error) {
	noted, known, err := m.former.Generation(ctx)
	if err != nil {
		return false, fault.Wrap(fault.LocalMailboxUnavailable, "reading the spool's generation", err)
	}
	generation, err := m.Journal.Generation(ctx, m.lease)
	if err != nil {
		return false, err
	}
	if known && noted > generation {
		return false, ErrOlder
	}
	return noted >= generation, nil // 0 without a note.
}

// batch finishes one batch.
func (m *movingOver) batch(ctx context.Context, b Batch, fates []mail.Fate) error {
	var pending, lost []Member
	known := 0
	for i, x := range b.Members {
		switch fates[i] {
		case mail.Pending:
			pending = append(pending, x)
		case mail.Lost:
			lost = append(lost, x)
		case mail.Delivered:
			known++
		}
	}
	taken, refused, err := m.take(ctx, pending)
	if err != nil {
		return err
	}
	lost = append(lost, refused...)
	if err := m.unsettle(ctx, lost); err != nil {
		return err
	}
	if len(taken) > 0 {
		m.Step("moveover.restage")
		err := m.Journal.Commit(ctx, m.lease, Entry{Restage: &Batch{Key: b.Key, Members: taken}})
		if err != nil {
			return err // Perhaps written, perhaps not: it is found out when it is done again.
		}
		m.Step("moveover.restaged")
		if err := m.publish(ctx, "delivering what was on its way", placements(taken)); err != nil {
			return err
		}
	}
	m.Step("moveover.published")
	if err := m.Journal.Commit(ctx, m.lease, Entry{Deliver: []BatchKey{b.Key}}); err != nil {
		return err
	}
	m.Step("moveover.delivered")
	m.done.Known += known
	m.done.Brought += len(taken)
	m.done.Released += len(lost)
	return nil
}

// take stages and seals what lies in the former spool, and returns it with its new names; refused is what the
// destination does not take, or what is not what was staged.
func (m *movingOver) take(ctx context.Context, pending []Member) (taken, refused []Member, err error) {
	var staged []mail.Staged
	defer func() {
		if err != nil {
			m.delivery.Discard(staged)
		}
	}()
	for _, x := range pending {
		st, same, err := m.stage(ctx, x)
		if err != nil {
			return nil, nil, err
		}
		if !same {
			m.log.WarnContext(ctx, "a spool file is not what was staged: the message is fetched again",
				"file", x.Placement.Spool)
			refused = append(refused, x)
			continue
		}
		staged = append(staged, st)
		p := &x.Placement
		p.Spool, p.FileSize, p.VirtualSize = st.Spool, st.FileSize, st.VirtualSize
		x.Fingerprint = st.Fingerprint // With its line ends as they are now; its row keeps what was sent.
		taken = append(taken, x)
	}
	if len(taken) == 0 {
		return nil, refused, nil
	}
	m.Step("moveover.seal")
	sealed, err := m.delivery.Seal(ctx, placements(taken))
	if err == nil && len(sealed) != len(taken) {
		err = fault.New(fault.Internal, "making mail durable", words.Say("the destination did not answer for each message"))
	}
	if err != nil {
		return nil, nil, fault.Wrap(fault.LocalMailboxUnavailable, "making mail durable", err)
	}
	whole := taken
	taken = nil
	for i, x := range whole {
		if why := sealed[i].Refused; why != nil {
			m.log.WarnContext(ctx, "the destination does not take a message: it is fetched again", "error", why)
			m.delivery.Release(1, x.Placement.VirtualSize)
			refused = append(refused, x)
			continue
		}
		x.Placement.Spool = sealed[i].Spool
		taken = append(taken, x)
	}
	return taken, refused, nil
}

// stage reads a message out of the former spool. same is false for one that is not what was staged, of which nothing
// is left then.
func (m *movingOver) stage(ctx context.Context, x Member) (st mail.Staged, same bool, err error) {
	const op = "reading what was on its way"
	body, err := m.former.Body(ctx, x.Placement)
	if err != nil {
		return st, false, fault.Wrap(fault.LocalMailboxUnavailable, op, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if err := m.delivery.Reserve(ctx, 1, x.Placement.VirtualSize); err != nil {
		return st, false, err
	}
	m.Step("moveover.stage")
	st, err = m.delivery.Stage(ctx, x.Placement.Token, body, x.Placement.Received, math.MaxInt64)
	if err != nil {
		return st, false, fault.Wrap(fault.LocalMailboxUnavailable, op, err)
	}
	is, was := st.Fingerprint, x.Fingerprint
	if is.Body == was.Body && is.Header == was.Header { // A bare LF was made one of a CRLF.
		return st, true, nil
	}
	m.delivery.Discard([]mail.Staged{st})
	m.delivery.Release(1, x.Placement.VirtualSize)
	return st, false, nil
}
