package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// ticketName is the name of the cookie that a request carries.
func ticketName(r request) string {
	name, _, _ := strings.Cut(r.Header["Cookie"], "=")
	return name
}

// takesAway says which tickets an answer takes away.
func takesAway(h http.Header) (names []string) {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if strings.HasPrefix(c.Name, "mailbrook_signin_") && c.MaxAge < 0 && c.Value == "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestASignInAtTheIdentityProviderComesBackOnce, however it ended, and its cookie goes.
// One that was held back before the provider was asked may come again: the control.
func TestASignInAtTheIdentityProviderComesBackOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		fail          error
		status, again int
		asked         int // The provider, both times.
	}{
		"signed in":            {nil, 303, 400, 1},
		"refused":              {&oidc.RefusedError{Why: "false", Err: errors.New("x")}, 403, 400, 1},
		"the provider is away": {&oidc.AwayError{Wait: time.Second, Err: errors.New("x")}, 503, 400, 1},
		"held back":            {&remote.HeldBackError{Wait: time.Minute}, 429, 303, 1},
		"no database":          {errNoDatabase, 503, 303, 1},
	} {
		f := newFixture(t)
		r := f.comesBack(t, "/accounts/new")
		f.fail = tc.fail
		rec := f.do(r)
		goes := slices.Equal(takesAway(rec.Header()), []string{ticketName(r)})
		if rec.Code != tc.status || goes != (tc.again == 400) {
			t.Errorf("%s: %d, takes %q away: %s", name, rec.Code, takesAway(rec.Header()), rec.Body)
		}
		f.fail = nil
		rec = f.do(r)
		if f.fail = nil; rec.Code != tc.again || (f.whose(rec) != "") != (tc.again == 303) {
			t.Errorf("%s, once more: %d %s", name, rec.Code, rec.Body)
		}
		if rec.Code == 400 && !strings.Contains(rec.Body.String(), "was finished already") {
			t.Errorf("%s: it is answered with %s", name, rec.Body)
		}
	}
	f := newFixture(t)
	r := f.comesBack(t, "/")
	r.Path += "&error=access_denied"
	if rec := f.do(r); rec.Code != 403 || !slices.Equal(takesAway(rec.Header()), []string{ticketName(r)}) {
		t.Errorf("denied: %d %v", rec.Code, rec.Header())
	}
}

// goesOut sends a browser with these cookies to the identity provider, and returns how
// it comes back; its cookies are as the answer leaves them.
func (f *fixture) goesOut(t *testing.T, cookies map[string]string, further ...headers) request {
	t.Helper()
	h := headers{"Cookie": joined(cookies)}
	for _, more := range further {
		maps.Copy(h, more)
	}
	rec := f.do(request{Method: "GET", Path: "/signin?return_to=/accounts/new", Header: h})
	for _, c := range rec.Result().Cookies() {
		if cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(cookies, c.Name)
		}
	}
	_, state, ok := strings.Cut(rec.Header().Get("Location"), "state=")
	if rec.Code != 303 || !ok {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	return request{
		Method: "GET", Path: "/signin/callback?code=x&state=" + state, Header: headers{"Cookie": joined(cookies)},
	}
}

// joined are cookies as a browser sends them.
func joined(cookies map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		all = append(all, name+"="+cookies[name])
	}
	return strings.Join(all, "; ")
}

// TestTwoTabsSignInBesideEachOther, and of more than a few the first give way, and
// whatever is no ticket any more.
func TestTwoTabsSignInBesideEachOther(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *httpapi.Options) { o.Now = func() time.Time { return now } })
	cookies := map[string]string{"mailbrook_signin_forged": "x", "other": "y"}
	var tabs []request
	for range 7 {
		tabs = append(tabs, f.goesOut(t, cookies))
		now = now.Add(time.Second)
	}
	if _, kept := cookies["mailbrook_signin_forged"]; len(cookies) != 6 || kept || cookies["other"] == "" {
		t.Errorf("the browser has %v", cookies)
	}
	last := tabs[6].Header["Cookie"]
	for i, tab := range tabs {
		tab.Header = headers{"Cookie": last}
		if rec := f.do(tab); (rec.Code == 303) != (i >= 2) {
			t.Errorf("tab %d of 7: %d", i+1, rec.Code)
		}
	}
	// The control: what one tab brings back is not the other's.
	one := f.goesOut(t, map[string]string{})
	other := f.goesOut(t, map[string]string{})
	one.Header = other.Header
	if rec := f.do(one); rec.Code != 400 {
		t.Errorf("without its own ticket: %d", rec.Code)
	}
	now = now.Add(10 * time.Minute)
	if f.goesOut(t, cookies); len(cookies) != 2 {
		t.Errorf("what is too old is kept: %v", cookies)
	}
}

// TestAnotherSiteEndsNoSignInOfTheUsers: what it begins takes the place of its own alone, which is the control.
func TestAnotherSiteEndsNoSignInOfTheUsers(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *httpapi.Options) { o.Now = func() time.Time { return now } })
	cookies := map[string]string{}
	own := f.goesOut(t, cookies)
	var others []request
	for range 9 {
		now = now.Add(time.Second)
		others = append(others, f.goesOut(t, cookies, fetchMetadata("same-site", "navigate", "document")))
	}
	for range 4 {
		now = now.Add(time.Second)
		f.goesOut(t, cookies)
	}
	if len(cookies) != 7 {
		t.Errorf("the browser has %d tickets", len(cookies))
	}
	last := headers{"Cookie": joined(cookies)}
	own.Header = last
	if rec := f.do(own); rec.Code != 303 {
		t.Errorf("the user comes back: %d", rec.Code)
	}
	for i, other := range others {
		other.Header = last
		if rec := f.do(other); (rec.Code == 303) != (i >= 7) {
			t.Errorf("sign-in %d of another site: %d", i+1, rec.Code)
		}
	}
}

// TestWhatComesBackToNothingCounts for its client: not where the provider vouches for
// somebody or has failed itself, nor whoever signs in.
func TestWhatComesBackToNothingCounts(t *testing.T) {
	bad := errors.New("x")
	for name, tc := range map[string]struct {
		fail error
		want remote.SignIn
	}{
		"signed in":            {nil, remote.SignInAccepted},
		"a false code":         {&oidc.RefusedError{Why: "over", Err: bad}, remote.SignInRefused},
		"a false answer":       {&oidc.RefusedError{Why: "false", Err: bad}, remote.SignInRefused},
		"a code of no client":  {&oidc.RefusedError{Why: "setup", Err: bad}, remote.SignInRefused},
		"who is no user here":  {&oidc.RefusedError{Why: "address", Vouched: true, Err: bad}, remote.SignInUntried},
		"the provider is away": {&oidc.AwayError{Wait: time.Second, Err: bad}, remote.SignInUntried},
		"we cannot say":        {bad, remote.SignInUntried},
		"whoever leaves":       {fmt.Errorf("redeeming a code: %w", context.Canceled), remote.SignInFailed},
	} {
		f := newFixture(t)
		r := f.comesBack(t, "/")
		f.fail = tc.fail
		f.do(r)
		if want := fmt.Sprintf("192.0.2.1 %d", tc.want); !slices.Equal(f.returned, []string{want}) {
			t.Errorf("%s counts as %q, not %s", name, f.returned, want)
		}
		f.fail = nil
		if f.do(r); len(f.returned) != 2 || f.returned[1] != fmt.Sprintf("192.0.2.1 %d", remote.SignInUntried) {
			t.Errorf("%s: what comes back again counts as %q", name, f.returned)
		}
	}
	f := newFixture(t)
	for lang, words := range map[string]string{
		"en": "Too many sign-ins from your network have failed", "pl": "Z twojej sieci było zbyt wiele nieudanych logowań",
	} {
		r := f.comesBack(t, "/accounts/new")
		r.Header["Accept-Language"] = lang
		f.fail = &remote.HeldBackError{Wait: 90 * time.Second}
		rec := f.do(r)
		if f.fail = nil; rec.Code != 429 || rec.Header().Get("Retry-After") != "90" || len(f.finished) > 0 ||
			!strings.Contains(rec.Body.String(), words) {
			t.Errorf("in %s: %d %v %s", lang, rec.Code, rec.Header(), rec.Body)
		}
	}
}

// slow is an identity provider that answers when the test lets it.
type slow struct {
	identityProvider
	let chan struct{}
}

func (s slow) Finish(ctx context.Context, f oidc.Flow, code string, from *string) (oidc.Person, error) {
	who, err := s.identityProvider.Finish(ctx, f, code, from)
	<-s.let
	return who, err
}

// TestOneClientLeavesRoomAtTheIdentityProvider: of one, an address or a /64, a few ask
// it at a time, and who waits too long gets an answer that says so. That others are let in meanwhile is
// the control, and that all together have a limit.
func TestOneClientLeavesRoomAtTheIdentityProvider(t *testing.T) {
	for name, tc := range map[string]struct {
		peers []string // Six browsers come back from each, at once.
		asked int
	}{
		"an address":    {[]string{"198.51.100.7:1"}, 4},
		"a network":     {[]string{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1"}, 4},
		"two addresses": {[]string{"198.51.100.7:1", "198.51.100.8:1"}, 8},
		"two networks":  {[]string{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"}, 8},
		"a /24":         {[]string{"198.51.100.7:1", "198.51.100.8:1", "198.51.100.9:1"}, 8},
		"a /48":         {[]string{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1"}, 8},
		"many": {[]string{
			"198.51.1.1:1", "198.51.2.1:1", "198.51.3.1:1", "198.51.4.1:1", "198.51.5.1:1",
		}, 16},
		"who has no address": {[]string{"@", ""}, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			let := make(chan struct{})
			f := newFixture(t, func(o *httpapi.Options) {
				w := o.Web.Links.(links).world
				o.Web.SignIn.Issuer = slow{identityProvider{w}, let}
			})
			var wg sync.WaitGroup
			total := 6 * len(tc.peers)
			pages, codes := make(chan string, total), make(chan int, total)
			for _, peer := range tc.peers {
				for range 6 {
					r := f.comesBack(t, "/")
					wg.Go(func() {
						rec := f.from(peer, r.Method, r.Path, http.Header{"Cookie": {r.Header["Cookie"]}})
						pages <- rec.Body.String()
						codes <- rec.Code
					})
				}
			}
			synctest.Wait()
			if len(f.finished) != tc.asked || len(codes) > 0 {
				t.Errorf("%s: the provider is asked by %d, %d gave up", name, len(f.finished), len(codes))
			}
			time.Sleep(6 * time.Second) // By the clock of the bubble.
			synctest.Wait()
			if len(codes) != total-tc.asked || len(f.tickets) != tc.asked {
				t.Errorf("%s: %d gave up, %d tickets are used", name, len(codes), len(f.tickets))
			}
			for range total - tc.asked {
				if code, page := <-codes, <-pages; code != 503 || !strings.Contains(page, "Too many people are signing in") {
					t.Errorf("%s: who waited is answered %d %s", name, code, page)
				}
			}
			close(let)
			wg.Wait()
			for range tc.asked {
				if code := <-codes; code != 303 {
					t.Errorf("%s: who was let in is answered %d", name, code)
				}
			}
		})
	}
}
