package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/api"
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

// ListEvents begins a stream.
func (s *server) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	who := caller(ctx)
	if r.Params.Lang != nil {
		ctx = withLanguage(ctx, string(*r.Params.Lang))
	}
	news, leave, err := s.hub.join(ctx, who.Owner)
	if err != nil {
		return nil, err
	}
	first, err := s.hub.look(ctx, who.Owner)
	if err != nil {
		leave()
		return nil, err
	}
	v := newView(func(a account.Account) api.Account { return s.accountJSON(ctx, a) })
	v.resume(value(r.Params.LastEventID), first.accounts)
	return &stream{
		server: s, ctx: ctx, news: news, leave: leave, first: first, view: v, who: who,
		until: who.Expires.Add(tokenLeeway),
	}, nil
}

// stream is one answer with events.
type stream struct {
	*server
	ctx   context.Context // Of the request: the generated interface has no place for it.
	news  <-chan sight
	leave func()
	first sight
	view  *view
	who   Identity
	until time.Time // When the session ends, with the leeway that it is granted.
}

// VisitListEventsResponse writes events until the reader leaves, the session
// ends or the server stops.
func (s *stream) VisitListEventsResponse(w http.ResponseWriter) error {
	defer s.leave()
	ctx, cancel := context.WithDeadline(s.ctx, s.until)
	defer cancel()
	streams(s.ctx)
	out := &events{w: w, to: http.NewResponseController(w), patience: s.hub.Patience}
	// The server's limits are for requests that end; a read deadline that
	// passes would end this one too.
	if err := out.to.SetReadDeadline(time.Time{}); err != nil {
		s.Log.DebugContext(ctx, "lifting a read deadline", "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Content-Language", languageOf(s.ctx))
	h.Set("X-Accel-Buffering", "no") // For nginx.
	w.WriteHeader(http.StatusOK)
	out.WriteString("retry: 2000\n\n")
	s.view.tell(out, s.first.accounts)
	beat := time.NewTicker(s.hub.Heartbeat)
	defer beat.Stop()
	seen := s.first.number
	for {
		if err := out.flush(); err != nil {
			s.Log.DebugContext(ctx, "a reader of events is gone or too slow", "error", err)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-beat.C:
			out.WriteString(":\n\n")
		case n := <-s.news:
			if n.number <= seen {
				continue
			}
			ended, err := s.ended(ctx)
			if ended {
				return nil
			}
			if err != nil { // Nothing is told to whom it may not be for.
				s.Log.DebugContext(ctx, "looking whether a session has ended", "error", err)
				continue
			}
			seen = n.number
			s.view.tell(out, n.accounts)
		}
	}
}

// ended reports whether the session has ended, in whichever process, or the address
// is another user's by now.
func (s *stream) ended(ctx context.Context) (bool, error) {
	if s.who.session == "" {
		err := s.recognise(ctx, s.who)
		if errors.Is(err, ErrToken) {
			return true, nil
		}
		return false, err
	}
	alive, err := s.Web.Sessions.Alive(ctx, s.who.session)
	return err == nil && !alive, err
}

// events gathers what is to be written, and writes it against the clock.
type events struct {
	bytes.Buffer
	w        http.ResponseWriter
	to       *http.ResponseController
	patience time.Duration
}

// put adds an event; id may be "". JSON has no line ends, which would end its data.
func (e *events) put(id, kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil { // Our own types: it cannot.
		panic(err)
	}
	if id != "" {
		fmt.Fprintf(e, "id: %s\n", id)
	}
	fmt.Fprintf(e, "event: %s\ndata: %s\n\n", kind, b)
}

func (e *events) flush() error {
	if e.Len() == 0 {
		return nil
	}
	if err := e.to.SetWriteDeadline(time.Now().Add(e.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if _, err := e.WriteTo(e.w); err != nil {
		return err
	}
	return e.to.Flush()
}

// view is what a reader was told so far.
type view struct {
	write func(account.Account) api.Account
	known map[account.ID]told
}

// told is what was told of one account: its progress, and a digest of all else.
type told struct {
	rest     [sha256.Size]byte
	progress api.Progress
}

func newView(write func(account.Account) api.Account) *view {
	return &view{write: write, known: map[account.ID]told{}}
}

func tellingOf(a api.Account) told {
	t := told{progress: a.Status.Progress}
	a.Status.Progress = api.Progress{}
	// Advice says how long there is to wait, which is another number by the minute. All
	// that it depends on stands beside it.
	if d := a.Status.Diagnosis; d != nil {
		quiet := *d
		quiet.Advice, a.Status.Diagnosis = "", &quiet
	}
	if d := a.Status.Delay; d != nil {
		quiet := *d
		quiet.Advice, a.Status.Delay = "", &quiet
	}
	b, err := json.Marshal(a)
	if err != nil { // Our own type: it cannot.
		panic(err)
	}
	t.rest = sha256.Sum256(b)
	return t
}

// tell writes what the reader does not know yet.
func (v *view) tell(out *events, accounts []account.Account) {
	for _, id := range slices.Sorted(maps.Keys(v.known)) {
		if !slices.ContainsFunc(accounts, func(a account.Account) bool { return a.ID == id }) {
			delete(v.known, id)
			out.put(v.id(), "removed", api.RemovedEvent{AccountId: string(id)})
		}
	}
	for _, a := range accounts {
		now := v.write(a)
		before, known := v.known[a.ID]
		t := tellingOf(now)
		v.known[a.ID] = t
		if !known || before.rest != t.rest {
			out.put(v.id(), "account", now)
		}
		if known && before.progress != t.progress && a.Status.State == account.Fetching {
			out.put(v.id(), "progress", api.ProgressEvent{
				AccountId: now.Id, Folder: t.progress.Folder, BytesDone: t.progress.BytesDone,
				MessagesDone: t.progress.MessagesDone, MessagesTotal: t.progress.MessagesTotal,
			})
		}
	}
}

// inID is for how many accounts an event's id names them all.
const inID = 64

// id stands for all that the reader knows: a digest, the same in every
// process, and the accounts it is about. Hence nobody has to remember what was
// told to whom.
func (v *view) id() string {
	sum := sha256.New()
	var names []byte
	for _, id := range slices.Sorted(maps.Keys(v.known)) {
		t := v.known[id]
		fmt.Fprintf(sum, "%s %x %v\n", id, t.rest, t.progress)
		if u, err := uuid.Parse(string(id)); err == nil && len(v.known) <= inID {
			names = append(names, u[:]...)
		}
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(sum.Sum(nil)[:12]) + "." + enc.EncodeToString(names)
}

// resume begins with what a reader knows by the id of its last event: all, if
// nothing changed since; else the accounts' names, so that it can be told which
// of them are no more. An id of anybody's making does no harm: it is only ever
// told back to who sent it.
func (v *view) resume(last string, accounts []account.Account) {
	if last == "" {
		return
	}
	for _, a := range accounts {
		v.known[a.ID] = tellingOf(v.write(a))
	}
	if v.id() == last {
		return
	}
	clear(v.known)
	_, names, _ := strings.Cut(last, ".")
	b, err := base64.RawURLEncoding.DecodeString(names)
	if err != nil || len(b)%16 != 0 || len(b) > 16*inID {
		return
	}
	for chunk := range slices.Chunk(b, 16) {
		v.known[account.ID(uuid.UUID(chunk).String())] = told{}
	}
}
