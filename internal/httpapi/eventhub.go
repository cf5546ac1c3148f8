package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Streams says how streams of events go. The zero value stands for the
// defaults.
type Streams struct {
	Look      time.Duration // How often accounts are looked at while somebody listens; by default 1 s.
	Heartbeat time.Duration // How often a comment is sent; by default 15 s.
	Patience  time.Duration // How long a reader may take to read what is written; by default 10 s.
	PerUser   int           // How many one user may have at a time; by default 8.
}

func (s Streams) filled() Streams {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&s.Look, time.Second)
	fill(&s.Heartbeat, 15*time.Second)
	fill(&s.Patience, 10*time.Second)
	if s.PerUser == 0 {
		s.PerUser = 8
	}
	return s
}

// lookPatience bounds one look at accounts.
const lookPatience = 10 * time.Second

// hub tells all streams of this process what became of their users' accounts. While
// anybody listens one loop looks for all of them, and no other goroutine does. Which
// process fetches does not matter to it: it looks at what all of them write.
type hub struct {
	Streams
	accounts Accounts
	watch    Watch // The loop's alone.
	sessions Sessions
	holds    func() error
	log      *slog.Logger

	closing chan struct{}  // Closed by close: all streams end.
	running sync.WaitGroup // Streams, and the loop.
	nudged  chan struct{}  // Has room for one: look now.

	mu        sync.Mutex
	closed    bool
	looks     int64 // Numbers the looks, by when they began.
	listeners map[account.Owner]map[*listener]bool
	again     map[account.Owner]bool // Who is told by the next look whatever it finds.
	stop      context.CancelFunc     // Ends the loop.
	stopped   chan struct{}          // Closed when the last loop has ended; nil: there was none.
}

// listener is what the hub knows of a stream.
type listener struct {
	owner   account.Owner
	session string // "": it has a token.
	// news has room for one snapshot, the newest: a slow reader misses what is
	// outdated, and nothing gathers for it.
	news chan snapshot
}

// snapshot is a user's accounts at a moment, as one listener is told of them.
type snapshot struct {
	number   int64
	accounts []account.Account
	over     bool // The listener's session has ended, and the rest is not for it.
}

func newHub(o Options) *hub {
	return &hub{
		Streams: o.Streams.filled(), accounts: o.Accounts, watch: o.Watch, sessions: o.Web.Sessions, holds: o.Holds,
		log: o.Log, closing: make(chan struct{}), nudged: make(chan struct{}, 1),
		listeners: map[account.Owner]map[*listener]bool{}, again: map[account.Owner]bool{},
	}
}

// errClosed is nothing that anybody reads: connections are closed by then.
var errClosed = errors.New("the server has stopped")

// close ends all streams and the loop, and waits for them.
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

// join begins a stream. The caller must call leave.
func (h *hub) join(ctx context.Context, who Identity) (l *listener, leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, nil, errClosed
	case len(h.listeners[who.Owner]) >= h.PerUser:
		return nil, nil, &tooManyError{
			h.Patience, words.Say("too many streams of events at once: close some of the pages"),
		}
	}
	if len(h.listeners) == 0 {
		h.start(ctx)
	}
	l = &listener{owner: who.Owner, session: who.session, news: make(chan snapshot, 1)}
	if h.listeners[l.owner] == nil {
		h.listeners[l.owner] = map[*listener]bool{}
	}
	h.listeners[l.owner][l] = true
	h.running.Add(1)
	return l, func() { h.leave(l) }, nil
}

func (h *hub) leave(l *listener) {
	defer h.running.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners[l.owner], l)
	if len(h.listeners[l.owner]) == 0 {
		delete(h.listeners, l.owner)
		delete(h.again, l.owner)
	}
	if len(h.listeners) == 0 {
		h.stop()
	}
}

// start begins the loop, for the first who listens. It outlives that one's request, and
// ends with the last who listens.
func (h *hub) start(ctx context.Context) {
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	before, ended := h.stopped, make(chan struct{})
	h.stopped = ended
	h.running.Go(func() {
		defer close(ended)
		if before != nil {
			<-before // There is one loop at a time.
		}
		h.loop(ctx)
	})
}

// nudge has a user's accounts looked at now, if anybody listens. For the zero Owner
// something changed for everybody.
func (h *hub) nudge(o account.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners[o]) == 0 && !o.IsZero() {
		return
	}
	h.again[o] = true
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

// retell has a user told of the accounts by the next look, whatever that finds.
func (h *hub) retell(users ...account.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range users {
		if len(h.listeners[o]) > 0 {
			h.again[o] = true
		}
	}
}

// look returns a user's accounts as they are now. Of two looks the one with the higher
// number began later.
func (h *hub) look(ctx context.Context, o account.Owner) (snapshot, error) {
	h.mu.Lock()
	h.looks++
	s := snapshot{number: h.looks}
	h.mu.Unlock()
	if err := h.holds(); err != nil {
		return s, err
	}
	err := within(ctx, lookPatience, func(ctx context.Context) (err error) {
		s.accounts, err = h.accounts.List(ctx, o)
		return err
	})
	h.retell(o) // What the loop saw before may be newer, and is not told.
	return s, err
}

// loop looks again and again. When the database is away for a while, so are the news.
func (h *hub) loop(ctx context.Context) {
	least := h.Look / 4 // However often it is nudged.
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
		case <-time.After(h.Look - least):
		}
		err := h.lookForAll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			h.log.WarnContext(ctx, "looking at accounts for streams of events", "error", err)
		}
		failing = err != nil
	}
}

// lookForAll tells everybody who listens what is new.
func (h *hub) lookForAll(ctx context.Context) error {
	h.mu.Lock()
	h.looks++
	number := h.looks
	users, again := slices.Collect(maps.Keys(h.listeners)), slices.Collect(maps.Keys(h.again))
	clear(h.again)
	h.mu.Unlock()
	var news map[account.Owner][]account.Account
	var over map[string]bool
	err := h.holds()
	if err == nil {
		err = within(ctx, lookPatience, func(ctx context.Context) (err error) {
			if news, err = h.watch.Look(ctx, users, again); err != nil {
				return err
			}
			over, err = h.over(ctx, news)
			return err
		})
	}
	if err != nil { // Nothing is told to whom it may not be for: what was found is told another time.
		h.retell(append(again, slices.Collect(maps.Keys(news))...)...)
		return err
	}
	h.publish(number, news, over)
	return nil
}

// over returns which sessions have ended of those who have news, in whichever process.
func (h *hub) over(ctx context.Context, news map[account.Owner][]account.Account) (map[string]bool, error) {
	var names []string
	h.mu.Lock()
	for o := range news {
		for l := range h.listeners[o] {
			if l.session != "" {
				names = append(names, l.session)
			}
		}
	}
	h.mu.Unlock()
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	ended, err := h.sessions.Over(ctx, slices.Compact(names))
	over := map[string]bool{}
	for _, name := range ended {
		over[name] = true
	}
	return over, err
}

func (h *hub) publish(number int64, news map[account.Owner][]account.Account, over map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for o, accounts := range news {
		for l := range h.listeners[o] {
			select {
			case <-l.news: // Nobody came for it.
			default:
			}
			l.news <- snapshot{number, accounts, over[l.session]} // Only we write: there is room.
		}
	}
}
