package httpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Streams configures event streams. The zero value means the defaults.
type Streams struct {
	Interval     time.Duration // How often changes are polled while anybody is subscribed; by default 1 s.
	Heartbeat    time.Duration // How often a comment is sent; by default 15 s.
	WriteTimeout time.Duration // How long one write to a reader may take; by default 10 s.
	PerUser      int           // Streams that one user may have at a time; by default 8.
}

func (s Streams) withDefaults() Streams {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&s.Interval, time.Second)
	fill(&s.Heartbeat, 15*time.Second)
	fill(&s.WriteTimeout, 10*time.Second)
	if s.PerUser == 0 {
		s.PerUser = 8
	}
	return s
}

// queryTimeout bounds one poll.
const queryTimeout = 10 * time.Second

// hub distributes changes of accounts and copies to the event streams of this process. While anybody is
// subscribed, one goroutine polls for all of them. It does not matter which process fetches
// mail: the hub polls the database that all of them write.
type hub struct {
	Streams
	accounts Accounts
	watcher  Watcher          // Used by the polling goroutine only.
	copies   transfer.Service // Nil: there are none.
	copied   transfer.Watcher // As watcher; nil: no copies are watched.
	sessions Sessions
	holds    func() error
	log      *slog.Logger

	closing chan struct{}  // Closed by close: all streams end.
	running sync.WaitGroup // The streams and the polling goroutine.
	nudged  chan struct{}  // Buffers one request to poll now.

	mu          sync.Mutex
	closed      bool
	polls       int64 // Numbers polls in the order in which they started.
	subscribers map[owner.Owner]map[*subscriber]bool
	resending   map[owner.Owner]bool // Users who get a snapshot from the next poll, changed or not.
	stop        context.CancelFunc   // Ends the polling goroutine.
	stopped     chan struct{}        // Closed when the last polling goroutine has ended; nil: there was none.
}

// subscriber is what the hub knows of a stream.
type subscriber struct {
	owner   owner.Owner
	session string // "": authenticated by a token.
	// updates buffers one snapshot, the newest: a slow reader skips outdated ones, and
	// nothing accumulates for it.
	updates chan snapshot
}

// snapshot is what a user has at a moment.
type snapshot struct {
	number int64 // Of the poll.
	things
	ended bool // The subscriber's session has ended: it must not be sent them.
}

// things are a user's accounts and copies. Nil stands for what did not change.
type things struct {
	accounts *[]account.Account
	copies   *[]transfer.Copy
}

// over returns t with what before has and t lacks.
func (t things) over(before things) things {
	return things{cmp.Or(t.accounts, before.accounts), cmp.Or(t.copies, before.copies)}
}

func newHub(o Options) *hub {
	return &hub{
		Streams: o.Streams.withDefaults(), accounts: o.Accounts, watcher: o.Watcher, copies: o.Copies,
		copied: o.CopyWatcher, sessions: o.Web.Sessions, holds: o.Holds, log: o.Log, closing: make(chan struct{}),
		nudged:      make(chan struct{}, 1),
		subscribers: map[owner.Owner]map[*subscriber]bool{}, resending: map[owner.Owner]bool{},
	}
}

// errClosed is returned for requests that arrive after close.
var errClosed = errors.New("the server has stopped")

// close ends all streams and the polling goroutine, and waits for them.
func (h *hub) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.closing)
	}
	if h.stop != nil {
		h.stop()
	}
	h.mu.Unlock()
	h.running.Wait()
}

// subscribe registers a stream. The caller must call unsubscribe.
func (h *hub) subscribe(ctx context.Context, who Identity) (s *subscriber, unsubscribe func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, nil, errClosed
	case len(h.subscribers[who.Owner]) >= h.PerUser:
		return nil, nil, &tooManyError{
			h.WriteTimeout, words.Say("too many streams of events at once: close some of the pages"),
		}
	}
	if len(h.subscribers) == 0 {
		h.start(ctx)
	}
	s = &subscriber{owner: who.Owner, session: who.session, updates: make(chan snapshot, 1)}
	if h.subscribers[s.owner] == nil {
		h.subscribers[s.owner] = map[*subscriber]bool{}
	}
	h.subscribers[s.owner][s] = true
	h.running.Add(1)
	return s, func() { h.unsubscribe(s) }, nil
}

func (h *hub) unsubscribe(s *subscriber) {
	defer h.running.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subscribers[s.owner], s)
	if len(h.subscribers[s.owner]) == 0 {
		delete(h.subscribers, s.owner)
		delete(h.resending, s.owner)
	}
	if len(h.subscribers) == 0 {
		h.stop()
	}
}

// start starts the polling goroutine for the first subscriber. It outlives that request,
// and ends with the last subscriber.
func (h *hub) start(ctx context.Context) {
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	previous, stopped := h.stopped, make(chan struct{})
	h.stopped = stopped
	h.running.Go(func() {
		defer close(stopped)
		if previous != nil {
			<-previous // The watcher is for one goroutine at a time.
		}
		h.run(ctx)
	})
}

// nudge polls now if the user is subscribed. The zero Owner stands for everybody.
func (h *hub) nudge(o owner.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subscribers[o]) == 0 && !o.IsZero() {
		return
	}
	if !o.IsZero() {
		h.resending[o] = true
	}
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

// resend has the next poll send these users a snapshot, changed or not.
func (h *hub) resend(users ...owner.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range users {
		if len(h.subscribers[o]) > 0 {
			h.resending[o] = true
		}
	}
}

// first returns the snapshot that a new stream starts with.
func (h *hub) first(ctx context.Context, o owner.Owner) (snapshot, error) {
	h.mu.Lock()
	h.polls++
	s := snapshot{number: h.polls}
	h.mu.Unlock()
	if err := h.holds(); err != nil {
		return s, err
	}
	err := within(ctx, queryTimeout, func(ctx context.Context) error {
		accounts, err := h.accounts.List(ctx, o)
		if err != nil {
			return err
		}
		copies, err := h.newest(ctx, o)
		s.things = things{&accounts, &copies}
		return err
	})
	h.resend(o) // A poll with a lower number is dropped by the stream, but may have read newer data.
	return s, err
}

// newest returns those of a user's copies that are watched.
func (h *hub) newest(ctx context.Context, o owner.Owner) ([]transfer.Copy, error) {
	if h.copies == nil || h.copied == nil {
		return nil, nil
	}
	page, err := h.copies.Copies(ctx, o, transfer.Filter{Limit: transfer.MostWatched})
	if errors.Is(err, transfer.ErrDisabled) {
		return nil, nil
	}
	return page.Copies, err
}

// run polls until ctx ends. While the database is down, no events are sent.
func (h *hub) run(ctx context.Context) {
	least := h.Interval / 4 // Between two polls, however often nudge is called.
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(least):
		}
		select {
		case <-ctx.Done():
			return
		case <-h.nudged:
		case <-time.After(h.Interval - least):
		}
		err := h.poll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			h.log.WarnContext(ctx, "looking at what changed for streams of events", "error", err)
		}
		failing = err != nil
	}
}

// poll sends a snapshot to each subscriber whose accounts or copies changed.
func (h *hub) poll(ctx context.Context) error {
	h.mu.Lock()
	h.polls++
	number := h.polls
	users, resend := slices.Collect(maps.Keys(h.subscribers)), slices.Collect(maps.Keys(h.resending))
	clear(h.resending)
	h.mu.Unlock()
	changed := map[owner.Owner]things{}
	var ended map[string]bool
	err := h.holds()
	if err == nil {
		err = within(ctx, queryTimeout, func(ctx context.Context) (err error) {
			if err = h.changes(ctx, users, resend, changed); err != nil {
				return err
			}
			ended, err = h.endedSessions(ctx, changed)
			return err
		})
	}
	if err != nil { // Without knowing which sessions have ended nothing may be sent: a later poll does.
		h.resend(append(resend, slices.Collect(maps.Keys(changed))...)...)
		return err
	}
	h.publish(number, changed, ended)
	return nil
}

// changes adds what changed of users, and what is to be sent again.
func (h *hub) changes(ctx context.Context, users, resend []owner.Owner, changed map[owner.Owner]things) error {
	accounts, err := h.watcher.Changes(ctx, users, resend)
	for o, as := range accounts {
		changed[o] = things{accounts: &as}
	}
	if err != nil || h.copied == nil {
		return err
	}
	copies, err := h.copied.Changes(ctx, users, resend)
	for o, cs := range copies {
		changed[o] = things{copies: &cs}.over(changed[o])
	}
	return err
}

// endedSessions returns which sessions of these users' subscribers have ended, in any process.
func (h *hub) endedSessions(ctx context.Context, users map[owner.Owner]things) (map[string]bool, error) {
	var names []string
	h.mu.Lock()
	for o := range users {
		for s := range h.subscribers[o] {
			if s.session != "" {
				names = append(names, s.session)
			}
		}
	}
	h.mu.Unlock()
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	list, err := h.sessions.Ended(ctx, slices.Compact(names))
	ended := map[string]bool{}
	for _, name := range list {
		ended[name] = true
	}
	return ended, err
}

func (h *hub) publish(number int64, changed map[owner.Owner]things, ended map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for o, news := range changed {
		for s := range h.subscribers[o] {
			all := news
			select {
			case unread := <-s.updates: // Not read in time: what is not newer now is still news.
				all = news.over(unread.things)
			default:
			}
			s.updates <- snapshot{number, all, ended[s.session]} // Never blocks: there is no other sender.
		}
	}
}
