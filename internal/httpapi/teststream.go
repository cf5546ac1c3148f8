package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/remote"
)

type streamKey struct{}

// acceptsEvents reports whether an answer may be a stream of events: who takes one
// names it, for what takes anything takes JSON.
func acceptsEvents(accept []string) bool {
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") {
			return true
		}
	}
	return false
}

func wantsEvents(ctx context.Context) bool {
	wants, ok := ctx.Value(streamKey{}).(bool)
	return ok && wants
}

// mostSteps is more than the steps of a test are, also of one that signs in twice.
const mostSteps = 32

// streamTest runs a connection test and answers with its steps as they end. What is
// refused before the first of them is answered as without a stream.
func (s *server) streamTest(ctx context.Context, in api.ConnectionTestRequest) (api.TestConnectionResponseObject,
	error,
) {
	ctx, stop := context.WithCancel(ctx)
	t := &testStream{
		server: s, ctx: ctx, stop: stop, steps: make(chan remote.Step, mostSteps), ended: make(chan endedTest, 1),
	}
	go func() {
		out, err := s.testConnection(remote.WithSteps(ctx, t.tell), in)
		t.ended <- endedTest{out, err}
	}()
	select {
	case first := <-t.steps:
		t.first = []remote.Step{first}
	case end := <-t.ended:
		if end.err != nil {
			stop()
			return nil, end.err
		}
		t.ended <- end
	}
	return t, nil
}

// testStream is an answer with the steps of a connection test.
type testStream struct {
	*server
	ctx   context.Context // Of the request: the generated interface has no place for it.
	stop  context.CancelFunc
	first []remote.Step
	steps chan remote.Step
	ended chan endedTest // Has room for what is sent.
}

type endedTest struct {
	out api.ConnectionTest
	err error
}

// tell passes on a step that went well. Why one failed is said with the result, in
// words that are fit for its reader.
func (t *testStream) tell(s remote.Step) {
	if !s.OK {
		return
	}
	select {
	case t.steps <- s:
	case <-t.ctx.Done():
	}
}

// VisitTestConnectionResponse writes events until the test has ended, or the reader
// is gone: then the test is stopped.
func (t *testStream) VisitTestConnectionResponse(w http.ResponseWriter) error {
	defer t.stop()
	out := &eventWriter{w: w, to: http.NewResponseController(w), timeout: t.hub.WriteTimeout}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // For nginx.
	w.WriteHeader(http.StatusOK)
	step := func(s remote.Step) { out.put("", "step", stepsJSON([]remote.Step{s}, languageOf(t.ctx))[0]) }
	for _, s := range t.first {
		step(s)
	}
	for {
		if err := out.flush(); err != nil {
			t.Log.DebugContext(t.ctx, "a reader of a test's steps is gone or too slow", "error", err)
			return nil
		}
		select {
		case s := <-t.steps:
			step(s)
		case end := <-t.ended:
			for len(t.steps) > 0 { // The steps reported before its end.
				step(<-t.steps)
			}
			t.end(out, end)
			if err := out.flush(); err != nil {
				t.Log.DebugContext(t.ctx, "a reader of a test's result is gone", "error", err)
			}
			return nil
		}
	}
}

// end adds what came of the test.
func (t *testStream) end(out *eventWriter, end endedTest) {
	if end.err == nil {
		out.put("", "result", end.out)
		return
	}
	p := t.problemOf(end.err, http.Header{}, teller{languageOf(t.ctx)})
	if p.Status >= http.StatusInternalServerError && t.ctx.Err() == nil {
		t.Log.ErrorContext(t.ctx, "a connection test failed", "error", end.err)
	}
	out.put("", "problem", p)
}
