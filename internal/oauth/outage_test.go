package oauth_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// of makes a user's account that was signed in.
func (w *world) of(s *oauth.Service, user, id string) remote.Mailbox {
	w.Helper()
	o, err := owner.Parse(user + "@firma.test")
	if err != nil {
		w.Fatal(err)
	}
	w.owner = o
	return w.account(s, account.ID(id))
}

// refusing counts requests for tokens and answers them.
func refusing(status int, body string) (*atomic.Int64, http.HandlerFunc) {
	var asked atomic.Int64
	return &asked, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestATokenServiceThatIsOutOfOrderIsAskedNowAndThen(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	w.server.Life(time.Hour)
	good := w.of(s, "good", "0")
	first := w.token(s, good)
	var as []remote.Mailbox
	for n := range 10 {
		as = append(as, w.of(s, fmt.Sprint("u", n), fmt.Sprint(n+1)))
	}
	asked, down := refusing(503, "{}")
	w.server.Fail(down)
	all := func() int64 {
		before := asked.Load()
		for _, a := range as {
			if _, err := s.Credential(t.Context(), a); fault.CodeOf(err) != fault.ServerUnavailable || !fault.Of(err).Elsewhere {
				t.Errorf("while it is out of order: %v", err)
			}
		}
		return asked.Load() - before
	}
	if n := all(); n != 3 {
		t.Errorf("%d of ten users ask before it counts as out of order, want 3", n)
	}
	_, err := s.Credential(t.Context(), as[0])
	if f := fault.Of(err); f == nil || f.RetryAfter <= 0 || f.RetryAfter > 30*time.Second {
		t.Errorf("who may not ask gets %+v", f)
	}
	if again := w.token(s, good); again != first {
		t.Error("a token that is good was replaced")
	}
	for _, gap := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		w.pass(gap - time.Second)
		if n := all(); n != 0 {
			t.Errorf("%d ask before %v are over", n, gap)
		}
		w.pass(time.Second)
		if n := all(); n != 1 {
			t.Errorf("%d ask when %v are over, want 1", n, gap)
		}
	}
	w.pass(24*time.Hour + 4*time.Minute)
	if n := all(); n != 1 {
		t.Errorf("%d ask a day later, want 1", n)
	}
	w.pass(-24 * time.Hour) // That clock was ahead.
	w.server.Fail(nil)
	for _, a := range as {
		w.token(s, a)
	}
}

// The controls: what is no outage. One user, however often, and refusals.
func TestOneUserSwitchesNoTokenServiceOff(t *testing.T) {
	for name, tc := range map[string]struct {
		users, status int
		body          string
		asked         int64
	}{
		"one user":                       {1, 503, "{}", 12},
		"two users":                      {2, 503, "{}", 12},
		"three users":                    {3, 503, "{}", 3},
		"refusals of a reason":           {6, 400, `{"error":"invalid_scope"}`, 12},
		"permissions that are withdrawn": {6, 400, `{"error":"invalid_grant"}`, 12},
		"refusals of everybody for now":  {6, 400, `{"error":"temporarily_unavailable"}`, 3},
	} {
		w := newWorld(t)
		s := w.process()
		var as []remote.Mailbox
		for n := range 12 {
			as = append(as, w.of(s, fmt.Sprint("u", n%tc.users), fmt.Sprint(n)))
		}
		asked, h := refusing(tc.status, tc.body)
		w.server.Fail(h)
		for _, a := range as {
			if _, err := s.Credential(t.Context(), a); err == nil {
				t.Errorf("%s: a token", name)
			}
		}
		if n := asked.Load(); n != tc.asked {
			t.Errorf("%s: %d of 12 ask, want %d", name, n, tc.asked)
		}
	}
}

// What failed while the clock was ahead does not count; the control: what fails now does.
func TestFailuresToComeAreNoOutageOfATokenService(t *testing.T) {
	for back, want := range map[time.Duration]int64{24 * time.Hour: 3, 0: 1} {
		w := newWorld(t)
		s := w.process()
		w.server.Life(time.Hour)
		var as []remote.Mailbox
		for n := range 5 {
			as = append(as, w.of(s, fmt.Sprint("u", n), fmt.Sprint(n)))
		}
		asked, down := refusing(503, "{}")
		w.server.Fail(down)
		for n, a := range as {
			if n == 2 {
				w.pass(-back)
				asked.Store(0)
			}
			if _, err := s.Credential(t.Context(), a); fault.CodeOf(err) != fault.ServerUnavailable {
				t.Errorf("user %d: %v", n, err)
			}
		}
		if n := asked.Load(); n != want {
			t.Errorf("the clock was %v ahead: %d of three users asked after two had failed, want %d", back, n, want)
		}
	}
}
