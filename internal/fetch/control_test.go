package fetch_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// The engine under an overseer, who stands between it and the world, sees each
// call, and says what breaks a promise. A control breaks one rule by what
// stands between the engine and the overseer, who must then complain.

// overseer looks at what reaches the journal, the mailbox and the remote.
type overseer struct {
	*world
	mu      sync.Mutex
	bad     []string
	cursors map[int64]fetch.Folder // As written last.
	taken   []mail.ID              // In this visit, from the inbox.
	spooled int                    // Files in the spool at a time, at most.
}

// oversee puts an overseer into a world.
func oversee(w *world) *overseer {
	o := &overseer{world: w, cursors: map[int64]fetch.Folder{}}
	w.engine.Journal, w.engine.Mailbox, w.engine.Source = overseenJournal{w.journal, o}, overseenBoxes{w.box, o},
		overseenSource{w.remote, o}
	return o
}

func (o *overseer) complain(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(o.bad, text) {
		o.bad = append(o.bad, text)
	}
}

// delivered and skipped say what the journal knows of a message.
func (o *overseer) delivered(f fetch.Folder, uid uint32) bool {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	_, ok := o.journal.rows[fetch.Ref{FolderID: f.ID, FolderEpoch: f.Epoch, ID: mail.ID{UID: uid}}]
	return ok
}

func (o *overseer) skipped(f fetch.Folder, uid uint32) bool {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	s, ok := o.journal.skips[fetch.Ref{FolderID: f.ID, FolderEpoch: f.Epoch, ID: mail.ID{UID: uid}}]
	return ok && s.Code != "" && s.Detail.String() != ""
}

type overseenJournal struct {
	*journal
	o *overseer
}

// Commit checks I6: no cursor passes a message that is not settled, or goes back.
func (j overseenJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if err := j.journal.Commit(ctx, l, e); err != nil {
		return err
	}
	for _, f := range e.Folders {
		for _, uid := range j.o.remote.find(f.Wire).uids {
			if uid < f.Cursor.UIDNext && !j.o.delivered(f, uid) && !j.o.skipped(f, uid) {
				j.o.complain("the cursor of %s passes a message that is not settled", f.Wire)
			}
		}
		if last := j.o.cursors[f.ID]; last.Epoch == f.Epoch && f.Cursor.UIDNext < last.Cursor.UIDNext {
			j.o.complain("the cursor of %s goes back", f.Wire)
		}
		j.o.cursors[f.ID] = f
	}
	return nil
}

type overseenBoxes struct {
	*box
	o *overseer
}

func (b overseenBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.box.Open(ctx, r, epoch, l)
	return overseenDelivery{d, b.o}, err
}

type overseenDelivery struct {
	fetch.Delivery
	o *overseer
}

// Stage measures the spool.
func (d overseenDelivery) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time,
	most int64,
) (mail.Staged, error) {
	s, err := d.Delivery.Stage(ctx, t, body, received, most)
	d.o.box.mu.Lock()
	defer d.o.box.mu.Unlock()
	d.o.spooled = max(d.o.spooled, len(d.o.box.spool))
	return s, err
}

type overseenSource struct {
	*remoteStub
	o *overseer
}

func (s overseenSource) Open(ctx context.Context, a remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	_, err := s.remoteStub.Open(ctx, a, c)
	s.o.taken = nil
	return s, err
}

func (s overseenSource) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	return s.remoteStub.Fetch(ctx, ws, func(f mail.Folder, it mail.Item, body io.Reader) error {
		if f.Wire == "INBOX" {
			s.o.taken = append(s.o.taken, it.ID)
		}
		return take(f, it, body)
	}, miss)
}

// Leave checks I18: whatever was taken is delivered, and written so, before the
// session with the server is ended.
func (s overseenSource) Leave(ctx context.Context) error {
	fs, err := s.o.journal.Folders(ctx, fetch.Lease{})
	if err != nil {
		return err
	}
	for _, f := range fs {
		for _, id := range s.o.taken {
			if f.Wire == "INBOX" && !s.o.delivered(f, id.UID) {
				s.o.complain("the server is left before what came is committed")
			}
		}
	}
	s.o.box.mu.Lock()
	defer s.o.box.mu.Unlock()
	if len(s.o.box.spool) > 0 {
		s.o.complain("the server is left while mail is in the spool")
	}
	return s.remoteStub.Leave(ctx)
}

// explained checks I1, I2, I3, I10 and I19 after a visit to a remote that
// answers: each message is delivered once, octet for octet, or is on the list of
// what is skipped, with a reason, or lies in the folder that could not be read,
// which is in the report.
func (o *overseer) explained(t *testing.T, r fetch.Report) {
	t.Helper()
	if r.Err != nil {
		o.complain("one bad message or folder ended the visit")
	}
	delivered := map[string]int{}
	for _, bodies := range o.box.folders {
		for _, b := range bodies {
			delivered[b]++
		}
	}
	fs, err := o.journal.Folders(t.Context(), fetch.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.remote.folders {
		i := slices.IndexFunc(fs, func(x fetch.Folder) bool { return x.Wire == f.name })
		for uid, b := range f.bodies {
			switch {
			case delivered[b] > 1:
				o.complain("a message in %s is doubled", f.name)
			case delivered[b] == 1 || f.name == o.remote.badFolder && r.Partial != nil:
			case i < 0 || !o.skipped(fs[i], uid):
				o.complain("a message in %s neither comes nor is explained", f.name)
			}
		}
	}
}

// idle checks I9: a visit without news delivers, lists and writes nothing.
func (o *overseer) idle(t *testing.T) {
	t.Helper()
	commits, listed, fetched, headers := o.journal.commits, len(o.remote.listed), o.remote.fetched, o.remote.headers
	if r := o.visit(t.Context()); r.Err != nil || r.Messages > 0 {
		o.complain("a visit without news brings %d messages, %v", r.Messages, r.Err)
	}
	if n := o.journal.commits - commits; n > 0 {
		o.complain("a visit without news writes to the journal")
	}
	if n := len(o.remote.listed) - listed + o.remote.fetched - fetched + o.remote.headers - headers; n > 0 {
		o.complain("a visit without news asks for what is known")
	}
}

// past is a history of an account with most of what can go wrong at a remote
// and in between, and what the overseer has against it.
func past(t *testing.T, broken func(e *fetch.Engine)) []string {
	t.Helper()
	w := newWorld(t, "INBOX", "Archive", "Bad")
	o := oversee(w)
	if broken != nil {
		broken(w.engine)
	}
	in := w.remote.folders[0]
	w.remote.folders[1].add(bodies(20, "old")...)
	in.add(bodies(230, "in")...)

	w.remote.breakAfter = 120
	w.visit(t.Context())
	w.remote.breakAfter = 0

	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	w.remote.onTake = func() {
		if n++; n == 60 {
			cancel()
		}
	}
	w.visit(ctx)
	cancel()
	w.remote.onTake = nil

	in.add("Subject: poison\r\n\r\n")
	in.add(bodies(30, "behind")...)
	w.remote.missing["Subject: poison\r\n\r\n"] = "the server ends the session"
	w.remote.folders[2].add(bodies(5, "bad")...)
	w.remote.badFolder = "Bad"
	for range 4 { // Longer than the message is tried by every visit.
		o.explained(t, w.visit(t.Context()))
		w.now = w.now.Add(25 * time.Minute)
	}
	w.remote.badFolder = ""
	in.add(bodies(40, "later")...)
	w.box.room = 500
	w.visit(t.Context())
	w.box.room = -1
	o.explained(t, w.visit(t.Context()))
	o.idle(t)
	return o.bad
}

// flawedJournal spoils what is written.
type flawedJournal struct {
	fetch.Journal
	spoil func(*fetch.Entry)
}

func (j flawedJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	e.Folders = slices.Clone(e.Folders)
	j.spoil(&e)
	return j.Journal.Commit(ctx, l, e)
}

func spoilt(spoil func(e *fetch.Entry)) func(*fetch.Engine) {
	return func(e *fetch.Engine) { e.Journal = flawedJournal{e.Journal, spoil} }
}

// flawedSource wraps its sessions.
type flawedSource struct {
	fetch.Source
	wrap func(fetch.Session) fetch.Session
}

func (s flawedSource) Open(ctx context.Context, a remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	session, err := s.Source.Open(ctx, a, c)
	return s.wrap(session), err
}

func amid(wrap func(fetch.Session) fetch.Session) func(*fetch.Engine) {
	return func(e *fetch.Engine) { e.Source = flawedSource{e.Source, wrap} }
}

// brittle ends with the first message or folder that cannot be read.
type brittle struct{ fetch.Session }

func (s brittle) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	_ func(mail.Folder, mail.Item, *fault.Error),
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var missed *fault.Error
	err := s.Session.Fetch(ctx, ws, take, func(_ mail.Folder, _ mail.Item, why *fault.Error) {
		missed = why
		cancel()
	})
	if missed != nil {
		return missed
	}
	return err
}

// fussy ends with the first folder that cannot be listed.
type fussy struct{ fetch.Session }

func (s fussy) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return s.Session.List(ctx, qs, func(l mail.Listing, err error) error {
		if err != nil {
			return err
		}
		return yield(l, nil)
	})
}

// leavesEarly says goodbye as soon as the last message has come.
type leavesEarly struct{ fetch.Session }

func (s leavesEarly) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	if err := s.Session.Fetch(ctx, ws, take, miss); err != nil {
		return err
	}
	return s.Session.Leave(ctx)
}

func TestNoPromiseIsBrokenWhateverBefallsARemote(t *testing.T) {
	for _, bad := range past(t, nil) {
		t.Error(bad)
	}
}

// The controls.
func TestAnOverseerNoticesEachBrokenPromise(t *testing.T) {
	for name, tc := range map[string]struct {
		broken func(*fetch.Engine)
		says   string
	}{
		"I2 what is delivered is gone from the spool": {func(e *fetch.Engine) {
			e.Mailbox = wrapped{e.Mailbox, func(d fetch.Delivery) fetch.Delivery { return doubling{d} }}
		}, "is doubled"},
		"I3 a message is kept as it is": {func(e *fetch.Engine) {
			e.Mailbox = wrapped{e.Mailbox, func(d fetch.Delivery) fetch.Delivery { return altering{d} }}
		}, "neither comes"},
		"I6 a cursor waits for what is behind it": {func(e *fetch.Engine) {
			next := map[string]uint32{}
			amid(func(s fetch.Session) fetch.Session { return listening{s, next} })(e)
			e.Journal = hastyJournal{e.Journal, next}
		}, "passes a message that is not settled"},
		"I6 a cursor never goes back": {func(e *fetch.Engine) {
			written := map[int64]bool{}
			spoilt(func(x *fetch.Entry) {
				for i, f := range x.Folders {
					if written[f.ID] {
						x.Folders[i].Cursor.UIDNext = 1
					}
					written[f.ID] = true
				}
			})(e)
		}, "goes back"},
		"I9 a cursor is kept": {spoilt(func(x *fetch.Entry) {
			for i := range x.Folders {
				x.Folders[i].Cursor = fetch.Cursor{}
			}
		}), "a visit without news"},
		"I10 a bad message is skipped": {amid(func(s fetch.Session) fetch.Session {
			return brittle{s}
		}), "ended the visit"},
		"I10 a bad folder is left out": {amid(func(s fetch.Session) fetch.Session {
			return fussy{s}
		}), "ended the visit"},
		"I18 goodbye is said after the commit": {amid(func(s fetch.Session) fetch.Session {
			return leavesEarly{s}
		}), "the server is left"},
		"I19 what is skipped is written": {spoilt(func(x *fetch.Entry) {
			x.Skip = nil
		}), "neither comes nor is explained"},
		"I19 what is skipped has its reason": {spoilt(func(x *fetch.Entry) {
			reasonless(x.Skip)
		}), "neither comes nor is explained"},
		"I1 what is written as staged came true": {func(e *fetch.Engine) {
			e.Mailbox = wrapped{e.Mailbox, func(d fetch.Delivery) fetch.Delivery { return losing{d} }}
		}, "neither comes"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Join(past(t, tc.broken), "; ")
			if !strings.Contains(bad, tc.says) {
				t.Errorf("the rule is broken, and the overseer says only: %q", bad)
			}
			t.Logf("caught: %.200s", bad)
		})
	}
}

func reasonless(ss []fetch.Skipped) {
	for i := range ss {
		ss[i].Code, ss[i].Detail = "", nil
	}
}

// listening remembers how far each folder goes.
type listening struct {
	fetch.Session
	next map[string]uint32
}

func (s listening) Folders(ctx context.Context) ([]mail.Folder, error) {
	fs, err := s.Session.Folders(ctx)
	for _, f := range fs {
		s.next[f.Wire] = f.Status.UIDNext
	}
	return fs, err
}

// hastyJournal has each cursor at its folder's end as soon as a batch is begun.
type hastyJournal struct {
	fetch.Journal
	next map[string]uint32
}

func (j hastyJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if e.Intend != nil {
		fs, err := j.Folders(ctx, l)
		if err != nil {
			return err
		}
		for _, f := range fs {
			f.Cursor.UIDNext = j.next[f.Wire]
			e.Folders = append(e.Folders, f)
		}
	}
	return j.Journal.Commit(ctx, l, e)
}

// wrapped are mailboxes whose deliveries are wrapped.
type wrapped struct {
	fetch.Mailbox
	wrap func(fetch.Delivery) fetch.Delivery
}

func (b wrapped) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	return b.wrap(d), err
}

// losing leaves the last message of each batch in the spool.
type losing struct{ fetch.Delivery }

func (d losing) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	_, err := d.Delivery.Publish(ctx, ps[:len(ps)-1])
	return tokens(ps), err
}

// tokens is what a destination says that put everything there.
func tokens(ps []mail.Placement) (ts []mail.Token) {
	for _, p := range ps {
		ts = append(ts, p.Token)
	}
	return ts
}

// doubling delivers the last message of each batch under a second name.
type doubling struct{ fetch.Delivery }

func (d doubling) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	last := ps[len(ps)-1]
	o := d.Delivery.(overseenDelivery).o
	o.box.mu.Lock()
	body, ok := o.box.spool[last.Spool]
	o.box.mu.Unlock()
	done, err := d.Delivery.Publish(ctx, ps)
	if err != nil || !ok {
		return done, err
	}
	o.box.mu.Lock()
	o.box.spool[last.Spool] = body
	o.box.mu.Unlock()
	_, err = d.Delivery.Publish(ctx, []mail.Placement{last})
	return done, err
}

// altering adds a header, as some programs do.
type altering struct{ fetch.Delivery }

func (d altering) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time,
	most int64,
) (mail.Staged, error) {
	return d.Delivery.Stage(ctx, t, io.MultiReader(strings.NewReader("X-Fetched-By: us\r\n"), body), received, most)
}

// I11: what lies in the spool is bounded, however slow the disk: a batch in the
// making, one that waits, and one on its way.
const spoolBound = 3 * 100

// crowded fetches many messages into a mailbox whose first fsync takes until
// the spool is as full as it may be, and says how full it became.
func crowded(t *testing.T, broken func(fetch.Mailbox) fetch.Mailbox) int {
	t.Helper()
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(9*100, "in")...)
	o := oversee(w)
	w.engine.Mailbox = slowBoxes{w.engine.Mailbox, &slowness{full: make(chan struct{})}}
	if broken != nil {
		w.engine.Mailbox = broken(w.engine.Mailbox)
	}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 900 {
		t.Fatalf("report %+v", r)
	}
	return o.spooled
}

type slowness struct {
	mu     sync.Mutex
	staged int
	full   chan struct{}
}

type slowBoxes struct {
	fetch.Mailbox
	*slowness
}

func (b slowBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	return slowDelivery{d, b.slowness}, err
}

type slowDelivery struct {
	fetch.Delivery
	*slowness
}

func (d slowDelivery) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time,
	most int64,
) (mail.Staged, error) {
	s, err := d.Delivery.Stage(ctx, t, body, received, most)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.staged++; d.staged == spoolBound {
		close(d.full)
	}
	return s, err
}

func (d slowDelivery) Seal(ctx context.Context, ps []mail.Placement) ([]mail.Sealed, error) {
	select {
	case <-d.full:
		return d.Delivery.Seal(ctx, ps)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestTheSpoolIsBoundedHoweverSlowTheDisk(t *testing.T) {
	if n := crowded(t, nil); n != spoolBound {
		t.Errorf("%d files were in the spool at a time, want %d", n, spoolBound)
	}
}

func TestASpoolThatGrowsIsNoticed(t *testing.T) {
	n := crowded(t, func(m fetch.Mailbox) fetch.Mailbox {
		return wrapped{m, func(d fetch.Delivery) fetch.Delivery { return hoarding{d} }}
	})
	if n <= spoolBound {
		t.Errorf("%d files at a time, although none is removed", n)
	}
	t.Logf("caught: %d files in the spool", n)
}

// hoarding moves nothing out of the spool, and says that it did.
type hoarding struct{ fetch.Delivery }

func (hoarding) Publish(_ context.Context, ps []mail.Placement) ([]mail.Token, error) {
	return tokens(ps), nil
}

// What a message has at its source goes to its destination: the date in its zone, and keywords.
func TestKeywordsAndZoneGoToTheDestination(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(2, "in")...)
	w.remote.keywords = map[uint32]mail.Keywords{2: "$Forwarded NonJunk"}
	var got []mail.Placement
	w.engine.Mailbox = wrapped{w.engine.Mailbox, func(d fetch.Delivery) fetch.Delivery { return recording{d, &got} }}
	if r := w.visit(t.Context()); r.Err != nil || len(got) != 2 {
		t.Fatalf("report %+v, %d placements", r, len(got))
	}
	words := map[mail.Keywords]int{}
	for _, p := range got {
		words[p.Keywords]++
		if _, zone := p.Received.Zone(); zone != 7200 {
			t.Errorf("the zone is %d", zone)
		}
	}
	if words["$Forwarded NonJunk"] != 1 || words[""] != 1 {
		t.Errorf("keywords %v", words)
	}
}

// recording keeps what is published.
type recording struct {
	fetch.Delivery
	all *[]mail.Placement
}

func (d recording) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	*d.all = append(*d.all, ps...)
	return d.Delivery.Publish(ctx, ps)
}
