package fetch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Options are what an Engine is made of.
type Options struct {
	Source      Source
	Mailbox     Mailbox
	Journal     Journal
	Credentials Credentials
	// TokenKey derives the names of delivered files. It must outlive the database.
	TokenKey []byte
	// LocalName maps a remote folder to a folder of the mailbox that a route leads to, for which taken is false:
	// below the account folder, where the route has one.
	LocalName func(r route.Route, f mail.Folder, taken func(string) bool) string
	// MaxMessageBytes is the largest message that is fetched whatever an account
	// says, and even when it is asked for. Defaults to account.MostMessageBytes.
	MaxMessageBytes int64
	// Quirks returns what a visit has to know of the account's provider; nil: nothing.
	Quirks func(remote.Mailbox) Quirks
	// BatchMessages bounds a batch: what is downloaded between two journal
	// writes, and at most is downloaded again after a crash. Defaults to 100.
	BatchMessages int
	// Window is how many listed messages are worked through at a time. Defaults
	// to DefaultWindow.
	Window int
	// Budget is what the visits of the process hold in memory; nil bounds nothing.
	Budget *memory.Budget
	// Slice is how long a visit fetches before it yields. Defaults to 2 minutes.
	Slice time.Duration
	// FullScan is how often a folder is compared as a whole. Defaults to a day.
	FullScan time.Duration
	// OnProgress hears how far a visit has come, for each message; it must
	// not block. May be nil.
	OnProgress func(l Lease, p route.Progress)
	// Step is called before each named step of a delivery; nil in normal use.
	// Stopping the process in it, at any step, loses and doubles nothing.
	Step func(name string)
	Now  func() time.Time
	Log  *slog.Logger
}

// InFolder makes a LocalName of one that knows account folders and paths alone.
func InFolder(name func(accountFolder string, path []string, taken func(string) bool) string) func(
	route.Route, mail.Folder, func(string) bool,
) string {
	return func(r route.Route, f mail.Folder, taken func(string) bool) string {
		return name(r.Folder, f.Path, taken)
	}
}

// Engine performs visits. It is safe for concurrent use; two visits to one
// account are kept apart by their leases.
type Engine struct {
	Options
	miscounted atomic.Int64
	closing    closing
}

// Miscounted counts the listings so far of folders that by their server's count hold
// other messages than it lists. All that is listed is fetched, so it is no failure.
func (e *Engine) Miscounted() int64 { return e.miscounted.Load() }

// The other bounds of a batch.
const (
	batchBytes = 32 << 20
	batchAge   = 2 * time.Second
)

// visitCost is what a visit takes in memory however little there is to do:
// the connection's buffers, literals and headers up to their limits, the message
// under way, a batch's rows.
const visitCost = memory.First

// A message that could not be read is tried again by every visit for hastyTries,
// however many they are: trouble of the server looks like a bad message. After that
// it waits for as long as it has been waiting, and for retrySkipped at most. One over
// which connections end waits likewise, and for endedPause at least, once the next
// visit has tried it: each try costs a login.
const (
	hastyTries   = time.Hour
	endedPause   = 15 * time.Minute
	retrySkipped = 24 * time.Hour
)

// New returns an Engine.
func New(o Options) *Engine {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = route.MostMessageBytes
	}
	if o.BatchMessages == 0 {
		o.BatchMessages = 100
	}
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Slice == 0 {
		o.Slice = 2 * time.Minute
	}
	if o.FullScan == 0 {
		o.FullScan = 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.OnProgress == nil {
		o.OnProgress = func(Lease, route.Progress) {}
	}
	return &Engine{Options: o}
}

// visit is the state of one visit.
type visit struct {
	*Engine
	lease    Lease
	log      *slog.Logger
	delivery Delivery
	session  Session
	began    time.Time // When it began to fetch; before that, when it began.
	round    int       // How many windows were worked through.
	seq      int       // Batches of this visit.

	folders       []Folder // As the journal knows them.
	plans         []*plan
	skipped       []Skipped        // As the journal knows them.
	tooLarge      []Skipped        // What is too large.
	undescribed   undescribed      // What is listed as skipped in this visit, and not known who sent it.
	skippedNew    int              // What was not skipped before.
	tooLargeNames map[string]bool  // Global names of these.
	unskip        []Skipped        // Of those, what needs no further try,
	overcome      map[Ref]bool     // … as far as that is written.
	same          []Alias          // Messages that are listed with another size than they were sent with.
	touched       map[int64]Folder // Whose row differs from the journal's otherwise than by its cursor.
	present       map[string]bool  // The folders that the remote has, by wire name.

	delivered map[string]bool // Global names of messages that are delivered.
	contents  *contentIndex   // Nil where nothing can be rematched.

	localUsers // Users of this installation whose mailbox the remote is.

	generations // How journal and spool agree.

	report   Report
	failing  *fault.Error // The first folder or message that failed.
	failures int          // How many did.
	progress route.Progress
	full     *fault.Error // Why not everything fits, when it does not.
	left     bool         // The source left messages for another visit.
}

// Visit performs one visit under a lease: it finishes what an earlier visit
// left half done, then brings what is new. What was committed stays whatever
// happens; the report says how it ended.
func (e *Engine) Visit(ctx context.Context, l Lease) Report { return e.newVisit(l).visit(ctx) }

func (e *Engine) newVisit(l Lease) *visit {
	return &visit{
		Engine: e, lease: l, began: e.Now(), touched: map[int64]Folder{}, present: map[string]bool{},
		log: e.Log.With("account", l.Route.ID, "lease_epoch", l.Epoch),
	}
}

// visit runs the visit within its share of memory and reports how it went.
func (v *visit) visit(ctx context.Context) Report {
	ctx, giveWay := context.WithCancelCause(ctx)
	defer giveWay(nil)
	share := v.Budget.Share(v.lease.Slow, giveWay)
	defer share.Close()
	ctx = memory.With(ctx, share)
	err := v.run(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrFenced) {
		err = context.Cause(ctx)
	}
	if errors.Is(err, memory.ErrBusy) { // Not the account's fault: it comes again, behind the others.
		v.log.InfoContext(ctx, "yields: other visits hold the memory that is needed")
		v.report.More, v.report.Busy, err = true, true, nil
	}
	v.report.Waited = share.Waited()
	v.conclude(err)
	return v.report
}

// conclude fills in the report of a visit that ended with err. What it counts, it counts
// from the verdicts.
func (v *visit) conclude(err error) {
	t := v.tally()
	v.report.Messages, v.report.Skipped = int64(t[VerdictDelivered]), t.skipped()
	v.report.Err = err
	if err == nil && v.full != nil {
		v.report.Err = v.full
	}
	v.report.Partial = cmp.Or(v.failing, v.waiting(), v.loopNotice(t[VerdictLoop]))
	if all := v.allRefused(v.report.Partial, t); err == nil && v.report.Err == nil && all != nil {
		v.report.Err = all
	}
	if more := v.failures - loggedFailures; more > 0 {
		v.log.Warn("more folders or messages failed", "folders_and_messages", more)
	}
}

// recover finishes the batches that an earlier visit left behind: what the destination
// says was not delivered yet, is. Then nothing in the spool is needed any more.
func (v *visit) recover(ctx context.Context) error {
	v.Step("recover.open")
	batches, err := v.Journal.Open(ctx, v.lease)
	if err != nil {
		return err
	}
	pending, err := v.find(ctx, batches)
	if err != nil {
		return err
	}
	var e Entry
	for _, b := range batches {
		if b.Members == nil {
			e.Drop = append(e.Drop, b.Key)
			continue
		}
		if err := v.publish(ctx, "finishing an earlier delivery", pending[b.Key]); err != nil {
			return err
		}
		e.Deliver = append(e.Deliver, b.Key)
		e.Placed = append(e.Placed, v.placed(b.Members)...)
	}
	if len(batches) > 0 {
		if err := v.atItsPlace(ctx); err != nil {
			return err
		}
		v.Step("recover.commit")
		if err := v.Journal.Commit(ctx, v.lease, e); err != nil {
			return err
		}
		v.log.InfoContext(ctx, "finished an earlier visit", "delivered_batches", len(e.Deliver), "dropped_batches", len(
			e.Drop))
	}
	v.Step("recover.sweep")
	return v.delivery.Sweep(ctx, nil)
}

// atItsPlace ends a visit whose mailbox is not where it was: what was put into it last
// is not taken for delivered before it is known that it is in the one that is there.
func (v *visit) atItsPlace(ctx context.Context) error {
	return fault.Wrap(fault.LocalMailboxUnavailable, "looking whether the local mailbox is at its place",
		v.delivery.Present(ctx))
}

func placements(ms []Member) []mail.Placement {
	ps := make([]mail.Placement, len(ms))
	for i, m := range ms {
		ps[i] = m.Placement
		ps[i].Fingerprint = m.Fingerprint
	}
	return ps
}

// publish delivers, and fails unless all of it is durable at the destination.
func (v *visit) publish(ctx context.Context, op string, ps []mail.Placement) error {
	if len(ps) == 0 {
		return nil
	}
	done, err := v.delivery.Publish(ctx, ps)
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, op, err)
	}
	there := make(map[mail.Token]bool, len(done))
	for _, t := range done {
		there[t] = true
	}
	for _, p := range ps {
		if !there[p.Token] {
			return fault.New(fault.Internal, op, words.Say("the destination confirmed not all of the messages"))
		}
	}
	return nil
}

// placed returns where the destination said that it put members that were just published. An account's mail is not
// looked for: only copies are compared with where it went.
func (v *visit) placed(ms []Member) (all []Placed) {
	told := v.delivery.Placed()
	if v.lease.Route.Kind != route.Once || len(told) == 0 {
		return nil
	}
	of := make(map[mail.Token]mail.Placed, len(told))
	for _, x := range told {
		of[x.Token] = x
	}
	for i := range ms {
		m := &ms[i]
		if x, said := of[m.Placement.Token]; said {
			all = append(all, Placed{Ref{m.FolderID, m.FolderEpoch, m.ID}, x.Validity, x.UID})
		}
	}
	return all
}

// openMailbox opens the user's mailbox. One that was never there is made for mail
// that comes, and not for an account that may never get as far as to sign in.
func (v *visit) openMailbox(ctx context.Context) error {
	const op = "opening the local mailbox"
	r := v.lease.Route
	limit, err := v.Journal.Limit(ctx, r.Owner)
	if err != nil {
		return err
	}
	d, err := v.Mailbox.Open(ctx, r, v.lease.Epoch, limit)
	if errors.Is(err, ErrNotMade) {
		if err := v.signIn(ctx); err != nil {
			return err
		}
		// Nobody's who was removed while the server took its time to answer.
		if err := v.Journal.Commit(ctx, v.lease, Entry{}); err != nil {
			return err
		}
		if err := v.Mailbox.Make(ctx, r.Owner); err != nil {
			return fault.Wrap(fault.LocalMailboxUnavailable, "making the local mailbox", err)
		}
		d, err = v.Mailbox.Open(ctx, r, v.lease.Epoch, limit)
	}
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, op, err)
	}
	v.delivery = d
	return nil
}

// loggedFailures is how many failed folders and messages a visit logs one by one: a
// server with a million of them must not fill the disk.
const loggedFailures = 20

// what is a folder or message that failed, by itself and before the reason.
type what struct{ alone, before words.Sentence }

func folderWhat(name string) what {
	return what{words.Say("folder %s", name), words.Say("folder %s:", name)}
}

func messageWhat(folder string) what {
	return what{words.Say("a message in %s", folder), words.Say("a message in %s:", folder)}
}

// noteFailure notes that a folder or message failed while the visit continues.
func (v *visit) noteFailure(code fault.Code, of what, err error) {
	f := fault.Of(err)
	if v.failures++; v.failures <= loggedFailures {
		v.log.Warn("a folder or message failed", "what", of.alone.Error(), "code", f.Code, "error", err)
	}
	if v.failing == nil {
		detail := words.Detail{of.alone}
		if f.Detail != nil {
			detail = append(words.Detail{of.before}, f.Detail...)
		}
		v.failing = &fault.Error{Code: code, Op: "visiting", Detail: detail.Clipped(200), Err: err}
	}
}
