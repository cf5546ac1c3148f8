package httpapi

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Streams says how streams of events go. The zero value stands for the
// defaults.
type Streams struct {
	Look      time.Duration // How often a user's accounts are looked at while somebody listens; by default 1 s.
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

// lookPatience bounds one look at a user's accounts.
const lookPatience = 10 * time.Second

// hub has one watcher for each user who listens. Which process fetches does
// not matter to it: it looks at what all of them write.
type hub struct {
	Streams
	accounts Accounts
	holds    func() error
	log      *slog.Logger

	mu      sync.Mutex
	looks   int64 // Numbers the looks, by when they began.
	watches map[account.Owner]*watch
}

func newHub(s Streams, accounts Accounts, holds func() error, log *slog.Logger) *hub {
	return &hub{Streams: s.filled(), accounts: accounts, holds: holds, log: log, watches: map[account.Owner]*watch{}}
}

// watch is one user's.
type watch struct {
	stop   context.CancelFunc
	nudged chan struct{} // Room for one.
	// news of each stream has room for one sight, the newest: a slow reader
	// misses what is outdated, and nothing gathers for it.
	news map[chan sight]bool
}

// sight is a user's accounts at a moment.
type sight struct {
	number   int64
	accounts []account.Account
}

// join begins a stream. The caller must call leave.
func (h *hub) join(ctx context.Context, o account.Owner) (news <-chan sight, leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watches[o]
	if w == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		w = &watch{stop: stop, nudged: make(chan struct{}, 1), news: map[chan sight]bool{}}
		h.watches[o] = w
		go h.watch(ctx, o, w)
	}
	if len(w.news) >= h.PerUser {
		return nil, nil, &tooManyError{h.Patience, words.Say("too many streams of events at once: close some of the pages")}
	}
	c := make(chan sight, 1)
	w.news[c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(w.news, c)
		if len(w.news) == 0 {
			w.stop()
			delete(h.watches, o)
		}
	}, nil
}

// nudge has a user's accounts looked at now, if anybody listens.
func (h *hub) nudge(o account.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.watches[o]; w != nil {
		select {
		case w.nudged <- struct{}{}:
		default:
		}
	}
}

// look returns the accounts as they are now. Of two looks the one with the
// higher number began later.
func (h *hub) look(ctx context.Context, o account.Owner) (sight, error) {
	h.mu.Lock()
	h.looks++
	s := sight{number: h.looks}
	h.mu.Unlock()
	if err := h.holds(); err != nil {
		return s, err
	}
	err := within(ctx, lookPatience, func(ctx context.Context) (err error) {
		s.accounts, err = h.accounts.List(ctx, o)
		return err
	})
	return s, err
}

// watch looks again and again, until the last stream has left. When the
// database is away for a while, so are the news.
func (h *hub) watch(ctx context.Context, o account.Owner, w *watch) {
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
		case <-w.nudged:
		case <-time.After(h.Look - least):
		}
		s, err := h.look(ctx, o)
		if err != nil {
			if !failing && ctx.Err() == nil {
				h.log.WarnContext(ctx, "looking at accounts for streams of events", "error", err)
			}
			failing = true
			continue
		}
		failing = false
		h.publish(w, s)
	}
}

func (h *hub) publish(w *watch, s sight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range w.news {
		select {
		case <-c: // Nobody came for it.
		default:
		}
		c <- s // Only we write: there is room.
	}
}
