package httpapi_test

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// testRequest is a connection test whose reader takes a stream of events.
func testRequest() request {
	return request{
		Method: "POST", Path: "/v1/connection-tests", As: anna,
		Body:   `{"email":"anna@gmail.com","password":"` + canary + `"}`,
		Header: map[string]string{"Accept": "text/event-stream, application/problem+json", "Accept-Language": "pl"},
	}
}

func kinds(body string) (out []string) {
	for line := range strings.Lines(body) {
		if kind, ok := strings.CutPrefix(line, "event: "); ok {
			out = append(out, strings.TrimSpace(kind))
		}
	}
	return out
}

// stream asks a server for testRequest's stream, and returns what there is to read
// of it.
func (f *fixture) stream(t *testing.T) *http.Response {
	t.Helper()
	server := httptest.NewServer(f.h)
	t.Cleanup(server.Close)
	r := testRequest()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, server.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+f.token(r.As, false))
	req.Header.Set("Accept", r.Header["Accept"])
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestAConnectionTestTellsItsStepsAsTheyEnd: the first is read before the second
// is begun.
func TestAConnectionTestTellsItsStepsAsTheyEnd(t *testing.T) {
	f := newFixture(t)
	f.told = []remote.Step{
		{Name: remote.StepResolve, OK: true}, {Name: remote.StepConnect, OK: true, Took: 3 * time.Millisecond},
	}
	f.pause = make(chan struct{})
	resp := f.stream(t)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d, %s", resp.StatusCode, got)
	}
	var seen []string
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			seen = append(seen, data)
			if len(seen) <= len(f.told) {
				f.pause <- struct{}{} // Nothing continues before this was read.
			}
		}
	}
	if len(seen) != 3 || !strings.Contains(seen[0], `"name":"resolve"`) || !strings.Contains(seen[1], `"millis":3`) ||
		!strings.Contains(seen[2], `"folders":["INBOX"]`) {
		t.Errorf("told were %q", seen)
	}
}

// TestTheResultOfAStreamIsThatOfAnAnswer, and who does not ask for a stream gets none.
func TestTheResultOfAStreamIsThatOfAnAnswer(t *testing.T) {
	f := newFixture(t)
	f.told = []remote.Step{
		{Name: remote.StepResolve, OK: true}, {Name: remote.StepConnect, Detail: words.Plain("10.1.2.3 refused")},
	}
	streamed := f.do(testRequest())
	if got := kinds(streamed.Body.String()); len(got) != 2 || got[0] != "step" || got[1] != "result" {
		t.Errorf("told were %v", got)
	}
	if strings.Contains(streamed.Body.String(), "10.1.2.3") {
		t.Error("a step that failed tells what is not for users")
	}
	for _, accept := range []string{"", "*/*", "application/json", "text/event-streams"} { // The control.
		r := testRequest()
		r.Header["Accept"] = accept
		plain := f.do(r)
		if got := plain.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%q: %s", accept, got)
		}
		if !strings.HasSuffix(strings.TrimSpace(streamed.Body.String()), "data: "+strings.TrimSpace(plain.Body.String())) {
			t.Errorf("the stream ends with %s, the answer is %s", streamed.Body, plain.Body)
		}
	}
}

// TestWhatFailsInAStreamIsAProblem: with its status while nothing was sent, and as an
// event afterwards, without what only the log may have.
func TestWhatFailsInAStreamIsAProblem(t *testing.T) {
	f := newFixture(t)
	f.fail = fault.New(fault.HostNotAllowed, "checking", words.Say("port 22 is not one that an account may name"))
	if rec := f.do(testRequest()); rec.Code != 422 || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d, %s", rec.Code, rec.Header().Get("Content-Type"))
	}
	f.told = []remote.Step{{Name: remote.StepResolve, OK: true}}
	f.fail = errors.New(inner)
	body := f.do(testRequest()).Body.String()
	if got := kinds(body); len(got) != 2 || got[0] != "step" || got[1] != "problem" ||
		!strings.Contains(body, `"code":"internal"`) || strings.Contains(body, inner) {
		t.Errorf("told was %s", body)
	}
	if !strings.Contains(f.log.String(), inner) {
		t.Error("the log does not say what failed")
	}
}

// TestAReaderWhoLeavesStopsTheTest that nobody waits for.
func TestAReaderWhoLeavesStopsTheTest(t *testing.T) {
	f := newFixture(t)
	f.told = []remote.Step{{Name: remote.StepResolve, OK: true}}
	stopped := make(chan struct{})
	f.waits = func(done <-chan struct{}) {
		<-done
		close(stopped)
	}
	resp := f.stream(t)
	resp.Body.Close()
	<-stopped
}
