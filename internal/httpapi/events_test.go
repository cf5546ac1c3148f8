package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
)

// event is one of a stream.
type event struct{ ID, Kind, Data string }

// listener is a reader of a stream, and the writer that it is written to.
type listener struct {
	leave context.CancelFunc
	stuck bool // It does not read.

	mu       sync.Mutex
	header   http.Header
	status   int
	body     bytes.Buffer
	deadline time.Time
	ended    bool
}

func (l *listener) Header() http.Header    { return l.header }
func (l *listener) WriteHeader(status int) { l.status = status }
func (l *listener) Flush()                 {}

func (l *listener) SetWriteDeadline(t time.Time) error {
	l.deadline = t
	return nil
}
func (l *listener) SetReadDeadline(time.Time) error { return nil }

func (l *listener) Write(p []byte) (int, error) {
	if l.stuck {
		time.Sleep(time.Until(l.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.body.Write(p)
}

// take returns what came since it was last called, without the comments.
func (l *listener) take(t *testing.T) (out []event) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for block := range strings.SplitSeq(strings.TrimSuffix(l.body.String(), "\n\n"), "\n\n") {
		if e, ok := parseEvent(block); ok {
			out = append(out, e)
		}
	}
	l.body.Reset()
	return out
}

func parseEvent(block string) (e event, ok bool) {
	_, err := fmt.Sscanf(block, "id: %s\nevent: %s\n", &e.ID, &e.Kind)
	_, e.Data, ok = strings.Cut(block, "\ndata: ")
	return e, ok && err == nil
}

func (l *listener) over() bool {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// listen begins a stream for the user, in a bubble.
func (f *fixture) listen(user, last string, change ...func(*http.Request, *listener)) *listener {
	f.t.Helper()
	ctx, leave := context.WithCancel(f.t.Context())
	l := &listener{leave: leave, header: http.Header{}}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+f.token(user, false))
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	for _, c := range change {
		c(r, l)
	}
	go func() {
		f.h.ServeHTTP(l, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
	}()
	return l
}

// alter changes what is behind the API.
func (f *fixture) alter(do func(w *world)) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	do(f.world)
}

// streaming runs a test in a bubble, where time is the test's: what waits for
// ever in it, and a goroutine that is left, fails the test.
func streaming(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newFixture(t, func(o *httpapi.Options) { o.Stopping = nil }))
	})
}

// ofKind names the schema of each kind of event.
var ofKind = map[string]string{
	"account": "Account", "progress": "ProgressEvent", "removed": "RemovedEvent",
	"copy": "Copy", "copy_progress": "CopyProgressEvent", "copy_removed": "CopyRemovedEvent",
}

// briefly writes events as "kind name", when they are as the document says.
func briefly(t *testing.T, es []event) (out []string) {
	t.Helper()
	schemas := spec(t).Components.Schemas
	for _, e := range es {
		var data any
		if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
			t.Fatalf("%v in %s", err, e.Data)
		}
		schema := schemas[ofKind[e.Kind]]
		if schema == nil {
			t.Fatalf("the document has no event %q", e.Kind)
		}
		if err := schema.Value.VisitJSON(data); err != nil {
			t.Errorf("%s %s: %v", e.Kind, e.Data, err)
		}
		var d struct {
			ID        string `json:"id"`
			Name      string `json:"name"`
			AccountID string `json:"account_id"`
			Folder    string `json:"folder"`
			Done      int    `json:"messages_done"`
			Status    struct{ State string }
			State     string
			CopyID    string `json:"copy_id"`
		}
		if err := json.Unmarshal([]byte(e.Data), &d); err != nil {
			t.Fatalf("%v in %s", err, e.Data)
		}
		switch e.Kind {
		case "account":
			out = append(out, "account "+d.Name+" "+d.Status.State)
		case "progress":
			out = append(out, fmt.Sprintf("progress %s %s %d", d.AccountID, d.Folder, d.Done))
		case "copy":
			out = append(out, "copy "+d.ID+" "+d.State)
		case "copy_progress":
			out = append(out, fmt.Sprintf("copy_progress %s %s %d", d.CopyID, d.Folder, d.Done))
		default:
			out = append(out, e.Kind+" "+d.AccountID+d.CopyID)
		}
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAStreamTellsAllAccountsThenEachChangeInItsOrder(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		f.alter(func(w *world) {
			second := w.accounts[0]
			second.ID, second.Name = noID, "Second"
			w.accounts = append(w.accounts, second)
		})
		l := f.listen(anna, "")
		defer l.leave()
		all := l.take(t)
		same(t, briefly(t, all), "account Gmail needs_attention", "account Second needs_attention")
		if l.status != 200 || l.header.Get("Content-Type") != "text/event-stream" ||
			l.header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, headers %v", l.status, l.header)
		}
		steps := []struct {
			do   func(w *world)
			want []string
		}{
			{func(*world) {}, nil},
			{func(w *world) { w.accounts[0].Status.State = account.Fetching }, []string{"account Gmail fetching"}},
			{func(w *world) {
				w.accounts[0].Status.Progress = route.Progress{Folder: "INBOX", MessagesDone: 3, MessagesTotal: 9, BytesDone: 77}
			}, []string{"progress " + annaID + " INBOX 3"}},
			{func(w *world) {
				w.accounts[0].Status.Totals.Messages, w.accounts[0].Status.Progress.MessagesDone = 5, 5
			}, []string{"account Gmail fetching", "progress " + annaID + " INBOX 5"}},
			{func(w *world) {
				w.accounts[0].Status.State, w.accounts[0].Status.Progress = account.OK, route.Progress{}
			}, []string{"account Gmail ok"}},
			{func(w *world) { w.accounts[1].Name = "Bartek's" }, nil},
			{func(w *world) { w.accounts = w.accounts[1:] }, []string{"removed " + annaID}},
			{func(w *world) {
				third := w.accounts[1]
				third.ID, third.Name = annaID, "Third"
				w.accounts = append(w.accounts, third)
			}, []string{"account Third needs_attention"}},
		}
		ids := []string{all[0].ID, all[1].ID}
		for _, s := range steps {
			f.alter(s.do)
			time.Sleep(1100 * time.Millisecond)
			es := l.take(t)
			same(t, briefly(t, es), s.want...)
			for _, e := range es {
				ids = append(ids, e.ID)
			}
		}
		if slices.Contains(ids, "") {
			t.Errorf("an event has no id: %q", ids)
		}
		slices.Sort(ids)
		if n := len(slices.Compact(slices.Clone(ids))); n < len(ids)-1 { // Without news it is the same again.
			t.Errorf("ids stand for different things: %q", ids)
		}
		noCanary(t, f)
	})
}

func TestAProgressEventHasTheAgreedMembers(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		f.alter(func(w *world) { w.accounts[0].Status.State = account.Fetching })
		l := f.listen(anna, "")
		defer l.leave()
		l.take(t)
		f.alter(func(w *world) {
			w.accounts[0].Status.Progress = route.Progress{Folder: "a\nb", MessagesDone: 3, MessagesTotal: 9, BytesDone: 77}
		})
		time.Sleep(1100 * time.Millisecond)
		want := `{"account_id":"` + annaID + `","bytes_done":77,"folder":"a\nb","messages_done":3,"messages_total":9}`
		var got, expected any
		es := l.take(t)
		if len(es) != 1 || json.Unmarshal([]byte(es[0].Data), &got) != nil ||
			json.Unmarshal([]byte(want), &expected) != nil || !cmp.Equal(got, expected) {
			t.Errorf("%v, want %s", es, want)
		}
	})
}

func TestAStreamContinuesWhereItWasLeft(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		es := l.take(t)
		last := es[len(es)-1].ID
		l.leave()
		resume := func(id string) []string {
			l := f.listen(anna, id)
			defer l.leave()
			return briefly(t, l.take(t))
		}
		same(t, resume(last))
		for _, id := range []string{
			"", "0", ".", "x.y", strings.Repeat("A", 5000), "a." + strings.Repeat("AAAA", 9000),
			last + "A", "." + last,
		} {
			if got := resume(id); !slices.Contains(got, "account Gmail needs_attention") {
				t.Errorf("with the id %.20q: %v", id, got)
			}
		}
		f.alter(func(w *world) { w.accounts[0].Name = "Other" })
		same(t, resume(last), "account Other needs_attention")
		f.alter(func(w *world) { w.accounts = w.accounts[1:] })
		same(t, resume(last), "removed "+annaID)
	})
}

func TestAnyProcessUnderstandsTheLastID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 2 {
			f := newFixture(t)
			es := f.listen(anna, "").take(t)
			ids = append(ids, es[len(es)-1].ID)
		}
		if ids[0] != ids[1] {
			t.Errorf("two processes call the same state %q and %q", ids[0], ids[1])
		}
	})
}

func TestAQuietStreamHasAHeartbeat(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		defer l.leave()
		synctest.Wait()
		l.mu.Lock()
		begins := strings.HasPrefix(l.body.String(), "retry: 2000\n\n")
		l.body.Reset()
		l.mu.Unlock()
		if !begins {
			t.Error("it does not say when to come back")
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if got := l.body.String(); got != strings.Repeat(":\n\n", 4) {
			t.Errorf("in a minute without news: %q", got)
		}
	})
}

func TestAStreamEndsWithTheTokenOrTheSession(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		cookie := f.signIn(t)
		l := f.listen(anna, "")
		c := f.listen(anna, "", func(r *http.Request, _ *listener) {
			r.Header.Del("Authorization")
			r.Header.Set("Cookie", cookie)
		})
		time.Sleep(time.Hour)
		if l.over() || c.over() {
			t.Error("a stream ended before its time")
		}
		time.Sleep(2 * time.Minute)
		if !l.over() || c.over() {
			t.Errorf("after an hour the token's stream is over: %v, the session's: %v", l.over(), c.over())
		}
		time.Sleep(11 * time.Hour)
		if !c.over() {
			t.Error("the session's stream continues after the session")
		}
	})
}

func TestStreamsEndAtOnceWhenTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		f := newFixture(t, func(o *httpapi.Options) { o.Stopping = stop })
		ls := []*listener{f.listen(anna, ""), f.listen(bartek, "")}
		synctest.Wait()
		began := time.Now()
		close(stop)
		for _, l := range ls {
			if !l.over() || time.Since(began) > 0 {
				t.Error("a stream continues")
			}
		}
	})
}

func TestAUserHasEightStreamsAtMost(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		var ls []*listener
		for range 8 {
			ls = append(ls, f.listen(anna, ""))
		}
		synctest.Wait()
		if l := f.listen(anna, ""); !l.over() || l.status != 429 || l.header.Get("Retry-After") == "" {
			t.Errorf("the ninth: status %d, Retry-After %q", l.status, l.header.Get("Retry-After"))
		}
		if l := f.listen(bartek, ""); l.over() || l.status != 200 {
			t.Errorf("another user's first: %d", l.status)
		} else {
			l.leave()
		}
		ls[3].leave()
		synctest.Wait()
		if l := f.listen(anna, ""); l.over() || l.status != 200 {
			t.Errorf("one after one has left: %d", l.status)
		} else {
			l.leave()
		}
		for _, l := range ls {
			l.leave()
		}
	})
}

func TestASlowReaderIsDroppedAndHoldsUpNobody(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		slow := f.listen(anna, "", func(_ *http.Request, l *listener) { l.stuck = true })
		quick := f.listen(anna, "")
		defer quick.leave()
		quick.take(t)
		f.alter(func(w *world) { w.accounts[0].Name = "Other" })
		time.Sleep(1100 * time.Millisecond)
		same(t, briefly(t, quick.take(t)), "account Other needs_attention")
		time.Sleep(10 * time.Second)
		if !slow.over() || quick.over() {
			t.Errorf("over: the slow one %v, the quick one %v", slow.over(), quick.over())
		}
	})
}

// counted counts looks, by kind.
type counted struct {
	httpapi.Accounts
	httpapi.Watcher
	mu          sync.Mutex
	lists, all  int
	users, news int // In the looks for all.
	ended       bool
	late        int // Looks after the database was closed.
}

func (c *counted) List(ctx context.Context, o owner.Owner) ([]account.Account, error) {
	c.mu.Lock()
	c.lists++
	c.mu.Unlock()
	return c.Accounts.List(ctx, o)
}

func (c *counted) Changes(ctx context.Context, users, again []owner.Owner) (map[owner.Owner][]account.Account,
	error,
) {
	news, err := c.Watcher.Changes(ctx, users, again)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.users, c.news = c.all+1, c.users+len(users), c.news+len(news)
	if c.ended {
		c.late++
	}
	return news, err
}

func (c *counted) take() (lists, all, users, news int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lists, all, users, news = c.lists, c.all, c.users, c.news
	c.lists, c.all, c.users, c.news = 0, 0, 0, 0
	return lists, all, users, news
}

func (c *counted) into(o *httpapi.Options) {
	o.Stopping = nil
	c.Accounts, o.Accounts = o.Accounts, c
	c.Watcher, o.Watcher = o.Watcher, c
}

// TestOneLookServesAllStreamsAndNoneIsMadeForNobody: each user's first answer is a
// question of its own, and nothing else is.
func TestOneLookServesAllStreamsAndNoneIsMadeForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		f := newFixture(t, c.into)
		var ls []*listener
		for i := range 30 {
			ls = append(ls, f.listen([]string{anna, bartek, "u" + strconv.Itoa(i) + "@firma.test"}[i%3], "",
				func(r *http.Request, _ *listener) { r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i) }))
			if i%3 < 2 && i > 20 { // No user has more than eight.
				ls[i].leave()
			}
		}
		synctest.Wait()
		time.Sleep(1100 * time.Millisecond)
		c.take()
		time.Sleep(10 * time.Second)
		if lists, all, users, news := c.take(); lists != 0 || all != 10 || users != 10*12 || news != 0 {
			t.Errorf("in ten seconds without news: %d looks at one user, %d at all, which were %d, %d with news",
				lists, all, users, news)
		}
		for _, l := range ls {
			l.leave()
		}
		synctest.Wait()
		c.take()
		time.Sleep(time.Minute)
		if lists, all, _, _ := c.take(); lists+all != 0 {
			t.Errorf("%d looks for nobody", lists+all)
		}
	})
}

// TestNothingLooksAfterClose: streams and the loop that serves them have ended when it
// returns, even if nobody said before that the process stops, and one reader is stuck.
func TestNothingLooksAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		f := newFixture(t, c.into)
		ls := []*listener{f.listen(anna, ""), f.listen(bartek, ""), f.listen(anna, "", func(_ *http.Request, l *listener) {
			l.stuck = true
		})}
		time.Sleep(3500 * time.Millisecond)
		f.close()
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		for i, l := range ls {
			if !l.over() {
				t.Errorf("stream %d continues", i)
			}
		}
		if l := f.listen(anna, ""); !l.over() || l.status < 500 {
			t.Errorf("another one begins: %d", l.status)
		}
		time.Sleep(time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.all == 0 || c.late > 0 {
			t.Errorf("%d looks, %d of them too late", c.all, c.late)
		}
		f.close() // May be called again.
	})
}

// TestALookThatWaitsForTheDatabaseEndsWithClose, and is waited for.
func TestALookThatWaitsForTheDatabaseEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &waiting{}
		f := newFixture(t, func(o *httpapi.Options) { o.Stopping, o.Watcher = nil, slow })
		f.listen(anna, "")
		time.Sleep(1500 * time.Millisecond)
		if slow.state.Load() != 1 {
			t.Fatal("nobody looks")
		}
		f.close()
		if slow.state.Load() != 2 {
			t.Error("the look continues")
		}
	})
}

// waiting is a watch that waits for the end of who asks.
type waiting struct{ state atomic.Int32 }

func (w *waiting) Changes(ctx context.Context, _, _ []owner.Owner) (map[owner.Owner][]account.Account, error) {
	w.state.Store(1)
	<-ctx.Done()
	w.state.Store(2)
	return nil, ctx.Err()
}

// TestNewsThatCouldNotBeToldAreToldLater: who is signed in could not be found out.
func TestNewsThatCouldNotBeToldAreToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		f := newFixture(t, func(o *httpapi.Options) {
			o.Stopping = nil
			o.Web.Sessions = unsure{o.Web.Sessions, &fails}
		})
		cookie := f.signIn(t)
		l := f.listen(anna, "", func(r *http.Request, _ *listener) {
			r.Header.Del("Authorization")
			r.Header.Set("Cookie", cookie)
		})
		defer l.leave()
		l.take(t)
		fails.Store(true)
		f.alter(func(w *world) { w.accounts[0].Name = "Other" })
		time.Sleep(3 * time.Second)
		same(t, briefly(t, l.take(t)))
		fails.Store(false)
		time.Sleep(1100 * time.Millisecond)
		same(t, briefly(t, l.take(t)), "account Other needs_attention")
	})
}

// unsure are sessions of which nobody knows, for a while, whether they have ended.
type unsure struct {
	httpapi.Sessions
	fails *atomic.Bool
}

func (u unsure) Ended(ctx context.Context, names []string) ([]string, error) {
	if u.fails.Load() {
		return nil, errors.New(inner)
	}
	return u.Sessions.Ended(ctx, names)
}

// TestAStreamEndsWithItsSessionWithinASecond, whoever ended it, and the user's other one
// continues.
func TestAStreamEndsWithItsSessionWithinASecond(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		listen := func() (*listener, string) {
			before := map[string]bool{}
			f.alter(func(w *world) {
				for name := range w.sessions {
					before[name] = true
				}
				w.links["followme"] = httpapi.Link{Owner: anOwner(t, anna)}
			})
			cookie, session := f.signIn(t), ""
			f.alter(func(w *world) {
				for name := range w.sessions {
					if !before[name] {
						session = name
					}
				}
			})
			return f.listen(anna, "", func(r *http.Request, _ *listener) {
				r.Header.Del("Authorization")
				r.Header.Set("Cookie", cookie)
			}), session
		}
		first, name := listen()
		second, _ := listen()
		defer second.leave()
		time.Sleep(5 * time.Second)
		f.alter(func(w *world) { delete(w.sessions, name) })
		time.Sleep(1100 * time.Millisecond)
		if !first.over() || second.over() {
			t.Errorf("over: the one whose session ended %v, the other %v", first.over(), second.over())
		}
	})
}

func TestACallIsSeenAtOnceInTheUsersStreams(t *testing.T) {
	for name, r := range map[string]request{
		"the user's own":     {Method: "POST", Path: "/v1/accounts/" + annaID + "/fetch", As: anna},
		"an administrator's": {Method: "POST", Path: "/v1/admin/accounts/" + annaID + "/fetch", As: bartek, Admin: true},
	} {
		t.Run(name, func(t *testing.T) {
			streaming(t, func(t *testing.T, f *fixture) {
				l := f.listen(anna, "")
				defer l.leave()
				l.take(t)
				time.Sleep(500 * time.Millisecond)
				f.alter(func(w *world) { w.accounts[0].Name = "Other" })
				f.do(r)
				same(t, briefly(t, l.take(t)), "account Other needs_attention")
			})
		})
	}
}

func TestAStreamOutlivesADatabaseThatIsAway(t *testing.T) {
	streaming(t, func(t *testing.T, f *fixture) {
		l := f.listen(anna, "")
		defer l.leave()
		l.take(t)
		f.alter(func(w *world) { w.fail = errors.New(inner) })
		time.Sleep(time.Minute)
		same(t, briefly(t, l.take(t)))
		f.alter(func(w *world) { w.fail, w.accounts[0].Name = nil, "Other" })
		time.Sleep(1100 * time.Millisecond)
		same(t, briefly(t, l.take(t)), "account Other needs_attention")
		if n := strings.Count(f.log.String(), inner); n != 1 {
			t.Errorf("the log has it %d times", n)
		}
	})
}

func TestEventsSpeakTheLanguageThatIsAskedFor(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"/v1/events": "en title", "/v1/events?lang=pl": "pl title",
		"/v1/events?lang=en": "en title",
	} {
		rec := f.do(request{Method: "GET", Path: path, As: anna})
		if !strings.Contains(rec.Body.String(), want) || rec.Header().Get("Content-Language") != want[:2] {
			t.Errorf("%s: %q %s", path, rec.Header().Get("Content-Language"), rec.Body)
		}
	}
}

// TestAStreamOutlivesTheServersLimits: those for requests that end must not end it.
func TestAStreamOutlivesTheServersLimits(t *testing.T) {
	const limit = 50 * time.Millisecond
	f := newFixture(t, func(o *httpapi.Options) { o.Stopping, o.Streams.Interval = nil, 4*time.Millisecond })
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = httpapi.Server("", f.h, testLog())
	ts.Config.ReadTimeout, ts.Config.WriteTimeout = limit, limit
	ts.Start()
	defer ts.Close()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL+"/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
	resp, err := ts.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	began := time.Now()
	for n := 0; time.Since(began) < 6*limit; n++ {
		f.alter(func(w *world) { w.accounts[0].Name = fmt.Sprint("Name", n) })
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				t.Fatalf("the stream ended after %v", time.Since(began))
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, fmt.Sprintf(`"Name%d"`, n)) {
				break
			}
		}
	}
}
