package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// ListEvents starts a stream.
func (s *server) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	who := caller(ctx)
	if r.Params.Lang != nil {
		ctx = withLanguage(ctx, words.Language(*r.Params.Lang))
	}
	sub, unsubscribe, err := s.hub.subscribe(ctx, who)
	if err != nil {
		return nil, err
	}
	first, err := s.hub.first(ctx, who.Owner)
	if err != nil {
		unsubscribe()
		return nil, err
	}
	v := newView(func(a account.Account) api.Account { return s.accountJSON(ctx, a) },
		func(c transfer.Copy) api.Copy { return s.copyJSON(ctx, c) })
	v.resume(value(r.Params.LastEventID), first.things)
	return &stream{
		server: s, ctx: ctx, updates: sub.updates, unsubscribe: unsubscribe, first: first, view: v, who: who,
		until: who.Expires.Add(tokenLeeway),
	}, nil
}

// stream is one response with events.
type stream struct {
	*server
	ctx         context.Context // Of the request: the generated interface has no parameter for it.
	updates     <-chan snapshot
	unsubscribe func()
	first       snapshot
	view        *view
	who         Identity
	until       time.Time // When the session or token expires, plus the leeway.
}

// VisitListEventsResponse writes events until the client disconnects, the session ends or
// the server stops.
func (s *stream) VisitListEventsResponse(w http.ResponseWriter) error {
	defer s.unsubscribe()
	ctx, cancel := context.WithDeadline(s.ctx, s.until)
	defer cancel()
	streams(s.ctx)
	out := &eventWriter{w: w, to: http.NewResponseController(w), timeout: s.hub.WriteTimeout}
	// The server's deadlines are for requests that end; an expired read deadline
	// would end this one too.
	if err := out.to.SetReadDeadline(time.Time{}); err != nil {
		s.Log.DebugContext(ctx, "lifting a read deadline", "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Content-Language", string(languageOf(s.ctx)))
	h.Set("X-Accel-Buffering", "no") // For nginx.
	w.WriteHeader(http.StatusOK)
	out.WriteString("retry: 2000\n\n")
	s.view.send(out, s.first.things)
	heartbeat := time.NewTicker(s.hub.Heartbeat)
	defer heartbeat.Stop()
	last := s.first.number
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
		case <-s.hub.closing:
			return nil
		case <-heartbeat.C:
			out.WriteString(":\n\n")
		case u := <-s.updates:
			if u.ended {
				return nil
			}
			if u.number <= last {
				continue
			}
			err := s.checkUser(ctx)
			if errors.Is(err, ErrToken) {
				return nil
			}
			if err != nil { // Nothing is ever sent to a client that may have lost the right to them.
				s.Log.DebugContext(ctx, "checking the user of a stream of events", "error", err)
				s.hub.resend(s.who.Owner)
				continue
			}
			last = u.number
			s.view.send(out, u.things)
		}
	}
}

// checkUser returns ErrToken if the address belongs to another user by now. Sessions are
// checked by the hub.
func (s *stream) checkUser(ctx context.Context) error {
	if s.who.session != "" {
		return nil
	}
	return s.recognise(ctx, s.who)
}
