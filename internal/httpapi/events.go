package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
)

// ListEvents begins a stream.
func (s *server) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	who := caller(ctx)
	if r.Params.Lang != nil {
		ctx = withLanguage(ctx, string(*r.Params.Lang))
	}
	l, leave, err := s.hub.join(ctx, who)
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
		server: s, ctx: ctx, news: l.news, leave: leave, first: first, view: v, who: who,
		until: who.Expires.Add(tokenLeeway),
	}, nil
}

// stream is one answer with events.
type stream struct {
	*server
	ctx   context.Context // Of the request: the generated interface has no place for it.
	news  <-chan snapshot
	leave func()
	first snapshot
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
		case <-s.hub.closing:
			return nil
		case <-beat.C:
			out.WriteString(":\n\n")
		case n := <-s.news:
			if n.over {
				return nil
			}
			if n.number <= seen {
				continue
			}
			err := s.former(ctx)
			if errors.Is(err, ErrToken) {
				return nil
			}
			if err != nil { // Nothing is told to whom it may not be for.
				s.Log.DebugContext(ctx, "looking whether an address is another user's", "error", err)
				s.hub.retell(s.who.Owner)
				continue
			}
			seen = n.number
			s.view.tell(out, n.accounts)
		}
	}
}

// former returns an ErrToken when the token's user has the address no more. Whether a
// session has ended the hub has seen.
func (s *stream) former(ctx context.Context) error {
	if s.who.session != "" {
		return nil
	}
	return s.recognise(ctx, s.who)
}
