package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// enter posts the form as our page does, from a client behind a proxy or, with "",
// from here.
func (p *process) enter(user, password, client string, cookies ...string) answer {
	p.t.Helper()
	h := http.Header{"X-Mailbrook": {"1"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": cookies}
	if client != "" {
		h.Set("X-Forwarded-For", client)
	}
	return p.ask("POST", "/signin", h, fields{"user": user, "password": password, "return_to": "/accounts/new"})
}

// whose says who is signed in by the cookie of an answer; "" for nobody.
func (p *process) whose(a answer) string {
	p.t.Helper()
	cookie := a.cookie("mailbrook_session")
	if cookie == "" {
		return ""
	}
	r := p.ask("GET", "/v1/session", http.Header{"Cookie": {cookie}}, nil)
	var s struct{ User string }
	if err := json.Unmarshal(r.body, &s); err != nil {
		p.t.Fatalf("GET /v1/session answers %d %s", r.status, r.body)
	}
	return s.User
}

// cookie returns a cookie that an answer sets, as it is sent back; "" for none. A name
// that ends in "_" is the beginning of one.
func (a answer) cookie(name string) string {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == name || strings.HasSuffix(name, "_") && strings.HasPrefix(c.Name, name) {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// TestTheMailServersPasswordSignsIn at a real Dovecot, by each kind of connection; and
// nobody can tell an unknown user from a wrong password. That the password is kept
// nowhere each test of an installation looks for.
func TestTheMailServersPasswordSignsIn(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{anna: canary}, Extra: patientWithErrors,
	})
	for security, port := range map[string]int{"tls": d.IMAPS, "starttls": d.IMAP, "none": d.IMAP} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=localhost", fmt.Sprintf("SIGNIN_IMAP_PORT=%d", port),
				"SIGNIN_IMAP_SECURITY="+security, "SIGNIN_IMAP_CA_FILE="+d.CA.File, "REMOTE_ALLOW_NETWORKS=")
			p := s.serve()
			a := p.enter("Anna@FIRMA.test", canary, "")
			if a.status != http.StatusOK || p.whose(a) != anna {
				t.Fatalf("%d %s", a.status, a.body)
			}
			wrong, unknown := p.enter(anna, "x", ""), p.enter("nobody@firma.test", "x", "")
			if wrong.status != http.StatusForbidden || unknown.status != wrong.status ||
				string(wrong.body) != string(unknown.body) || !strings.Contains(string(wrong.body), "sign_in_refused") {
				t.Errorf("%d %s, %d %s", wrong.status, wrong.body, unknown.status, unknown.body)
			}
			p.tells(`"msg":"signed in","by":"password"`)
			p.tells(`"msg":"an attempt to sign in was refused"`)
			p.term()
		})
	}
}

// TestGuessesAtThePagesStopAtTheLimit, exactly, in two processes: by a client for a
// user, for a user by all clients; and everybody else signs in meanwhile.
func TestGuessesAtThePagesStopAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			remote := startStrict(t, canary)
			further := []string{
				"WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=127.0.0.1", fmt.Sprintf("SIGNIN_IMAP_PORT=%d", remote.imap),
				"SIGNIN_IMAP_SECURITY=none", "TRUSTED_PROXIES=127.0.0.1",
			}
			if database == "PostgreSQL" {
				further = append(further, "DATABASE="+mailtest.StartPostgres(t))
			}
			s := newSite(t, nil, further...)
			if database == "PostgreSQL" {
				s.ok("", "migrate", "up")
			}
			ps := []*process{s.serve("--roles", "api"), s.serve("--roles", "api")}
			guess := func(n int, client func(i int) string) (held int) {
				t.Helper()
				var wg errgroup.Group
				wg.SetLimit(4) // So that none has to wait for a place, by one client.
				answers := make(chan answer, n)
				for i := range n {
					wg.Go(func() error {
						answers <- ps[i%2].enter(anna, fmt.Sprint("zgadnij-", i), client(i))
						return nil
					})
				}
				if err := wg.Wait(); err != nil {
					t.Fatal(err)
				}
				for range n {
					switch a := <-answers; a.status {
					case http.StatusTooManyRequests:
						if held++; a.header.Get("Retry-After") == "" {
							t.Errorf("it is not told until when: %v", a.header)
						}
					case http.StatusForbidden:
					default:
						t.Errorf("a guess is answered %d %s", a.status, a.body)
					}
				}
				return held
			}
			const one = "203.0.113.7"
			if held := guess(40, func(int) string { return one }); held != 30 || remote.count() != 10 {
				t.Fatalf("%d guesses of one client came through, %d were held", remote.count(), held)
			}
			if a := ps[0].enter(anna, canary, one); a.status != http.StatusTooManyRequests {
				t.Errorf("the right one, too late, is answered %d", a.status)
			}
			if a := ps[1].enter(jan, canary, one); ps[1].whose(a) != jan {
				t.Errorf("another user of the same client is answered %d %s", a.status, a.body)
			}
			own := ps[1].enter(anna, canary, "203.0.113.8")
			if ps[1].whose(own) != anna {
				t.Errorf("the user's own client is answered %d %s", own.status, own.body)
			}
			// Of many clients, 50 guesses in all; the first 10 are made.
			held := guess(80, func(i int) string { return fmt.Sprintf("198.51.100.%d", i) })
			if held != 40 || remote.count() != 50 {
				t.Errorf("%d guesses of all clients came through, %d were held", remote.count(), held)
			}
			if a := ps[0].enter(jan, canary, "203.0.113.9"); ps[0].whose(a) != jan { // The control.
				t.Errorf("another user is answered %d %s", a.status, a.body)
			}
			// The user is kept out nowhere but in browsers that never saw it.
			if a := ps[1].enter(anna, canary, "203.0.113.10"); a.status != http.StatusTooManyRequests {
				t.Errorf("a browser that is not known is answered %d", a.status)
			}
			known := own.cookie("mailbrook_known")
			if a := ps[0].enter(anna, canary, "203.0.113.10", known); ps[0].whose(a) != anna {
				t.Errorf("the user's own browser is answered %d %s", a.status, a.body)
			}
			guessIn := func(browser string, tried int) {
				t.Helper()
				for i := range 11 {
					want := map[bool]int{true: http.StatusForbidden, false: http.StatusTooManyRequests}[i < tried]
					if a := ps[i%2].enter(anna, "x", "203.0.113.10", browser); a.status != want {
						t.Errorf("guess %d in the user's own browser is answered %d", i+1, a.status)
					}
				}
			}
			guessIn(known, 10)
			s.ok("", "sessions", "end", "--user", jan)
			if a := ps[0].enter(anna, "x", "203.0.113.10", known); a.status != http.StatusTooManyRequests ||
				!strings.Contains(string(a.body), "rate_limited") { // The control: jan's sessions are not anna's.
				t.Errorf("%d %s", a.status, a.body)
			}
			for _, p := range ps {
				p.term()
			}
		})
	}
}

// TestWhoKnewThePasswordHasFewGuessesAfterwards, however many browsers it signed in in
// while that was so; and none of its own when all sessions of the user ended.
func TestWhoKnewThePasswordHasFewGuessesAfterwards(t *testing.T) {
	t.Parallel()
	remote := startStrict(t, canary)
	s := newSite(t, nil, "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=127.0.0.1", fmt.Sprintf("SIGNIN_IMAP_PORT=%d", remote.imap),
		"SIGNIN_IMAP_SECURITY=none", "TRUSTED_PROXIES=127.0.0.1")
	p := s.serve("--roles", "api")
	var browsers []string
	for i := range 6 {
		a := p.enter(anna, canary, "203.0.113.7")
		if browsers = append(browsers, a.cookie("mailbrook_known")); p.whose(a) != anna || browsers[i] == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	guess := func(browser string) (tried int) {
		t.Helper()
		before := remote.count()
		for range 11 {
			p.enter(anna, "x", "203.0.113.7", browser)
		}
		return remote.count() - before
	}
	// One is forgotten and has what its address has, 10; all others have 30.
	tried := 0
	for _, browser := range browsers {
		tried += guess(browser)
	}
	if tried != 40 {
		t.Errorf("in all there are %d guesses", tried)
	}
	s.ok("", "sessions", "end", "--user", anna)
	for _, browser := range browsers {
		if tried := guess(browser); tried != 0 { // Known no more, and the address has had its ten.
			t.Errorf("after all sessions have ended there are %d guesses", tried)
		}
	}
	if a := p.enter(anna, canary, "203.0.113.8"); p.whose(a) != anna { // The control.
		t.Errorf("the user, elsewhere, is answered %d %s", a.status, a.body)
	}
	p.term()
}

// TestWhoGuessesAtASlowServerKeepsNoOwnerOut: while it thinks about as many guesses as
// strangers have places, whoever signed in before does so again.
func TestWhoGuessesAtASlowServerKeepsNoOwnerOut(t *testing.T) {
	t.Parallel()
	remote := startStrict(t, canary)
	s := newSite(t, nil, "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=127.0.0.1", fmt.Sprintf("SIGNIN_IMAP_PORT=%d", remote.imap),
		"SIGNIN_IMAP_SECURITY=none", "TRUSTED_PROXIES=127.0.0.1")
	p := s.serve("--roles", "api")
	known := p.enter(anna, canary, "203.0.113.7").cookie("mailbrook_known")
	asked, answered, let := make(chan struct{}, 24), make(chan answer, 24), make(chan struct{})
	remote.thinks(func() {
		asked <- struct{}{}
		<-let
	})
	var guesses sync.WaitGroup
	defer guesses.Wait()
	defer close(let)
	for i := range 24 {
		guesses.Go(func() { answered <- p.enter(jan, fmt.Sprint("zgadnij-", i), fmt.Sprintf("10.%d.0.1", i)) })
	}
	for range 24 {
		select {
		case <-asked:
		case a := <-answered:
			t.Fatalf("a guess is answered %d %s", a.status, a.body)
		}
	}
	if a := p.enter(anna, canary, "203.0.113.8", known); p.whose(a) != anna {
		t.Errorf("the user, in a browser of its own, is answered %d %s", a.status, a.body)
	}
}

// TestTheProxysWordSignsIn, and without trusted_proxies nobody's does.
func TestTheProxysWordSignsIn(t *testing.T) {
	t.Parallel()
	for proxies, want := range map[string]string{"127.0.0.1": anna, "192.0.2.7": ""} {
		s := newSite(t, nil, "WEB_SIGNIN=header", "SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES="+proxies)
		p := s.serve("--roles", "api")
		a := p.lead("/signin?return_to=/accounts/new", http.Header{"Remote-Email": {anna}, "X-Forwarded-For": {"192.0.2.7"}})
		if got := p.whose(a); got != want {
			t.Errorf("from 127.0.0.1 with trusted_proxies %s: %d signs in %q", proxies, a.status, got)
		}
		if want == "" && a.status != http.StatusForbidden || want != "" && a.header.Get("Location") != "/accounts/new" {
			t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
		if got := p.signedIn(); want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{
			"header from 192.0.2.7",
		}) {
			t.Errorf("with trusted_proxies %s, written down is %q", proxies, got)
		}
		p.term()
	}
}

// lead goes to an address as a browser does, and returns the answer without
// following it.
func (p *process) lead(path string, h http.Header) answer {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.addr+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range h {
		req.Header[k] = v
	}
	resp, err := browser.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		p.t.Fatal(err)
	}
	p.hear([]byte(text.String()))
	return answer{resp.StatusCode, resp.Header, []byte(text.String())}
}

// TestARealIdentityProviderSignsIn: the browser goes out from one process and comes
// back to another, once; signing out ends the session here. Codes of nobody's making
// come to the provider up to a limit, in both processes, for a client.
func TestARealIdentityProviderSignsIn(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	const secret = "tajemnica-klienta-5Rq"
	o := mailtest.StartOpenID(t, ca, "http://pages.test/signin/callback", secret, map[string]mailtest.OpenIDUser{
		"anna": {Password: canary, Email: anna, Verified: true}, "ewa": {Password: canary, Email: "ewa@firma.test"},
	})
	s := newSite(t, ca, "WEB_SIGNIN=oidc", "WEB_PUBLIC_URL=http://pages.test", "SIGNIN_OIDC_ISSUER="+o.Issuer,
		"SIGNIN_OIDC_CLIENT_ID="+o.ClientID, "SIGNIN_OIDC_CLIENT_SECRET="+secret, "TRUSTED_PROXIES=127.0.0.1")
	s.secrets = append(s.secrets, secret)
	ps := []*process{s.serve("--roles", "api"), s.serve("--roles", "api")}
	out := func(client string) (address string, h http.Header) {
		t.Helper()
		a := ps[0].lead("/signin?return_to=/accounts/new", nil)
		cookie := a.cookie("mailbrook_signin_")
		if a.status != http.StatusSeeOther || cookie == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.header.Get("Location"), http.Header{"Cookie": {cookie}, "X-Forwarded-For": {client}}
	}
	back := func(address, user string) string {
		t.Helper()
		u, err := url.Parse(o.SignIn(address, user))
		if err != nil {
			t.Fatal(err)
		}
		return u.Path + "?" + u.RawQuery
	}
	const one, two = "203.0.113.7", "203.0.113.8"
	address, h := out(one)
	a := ps[1].lead(back(address, "anna"), h)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/accounts/new" || ps[0].whose(a) != anna {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	// Once more, to the other process, with another code that is as good.
	if again := ps[0].lead(back(address, "anna"), h); again.status != http.StatusBadRequest || ps[0].whose(again) != "" ||
		!strings.Contains(string(again.body), "was finished already") {
		t.Errorf("coming back twice is answered %d %s", again.status, again.body)
	}
	address, h = out(one)
	if a := ps[1].lead(back(address, "ewa"), h); a.status != http.StatusForbidden ||
		!strings.Contains(string(a.body), "has not verified it") {
		t.Errorf("an address that is not verified: %d %s", a.status, a.body)
	}
	cookie := a.cookie("mailbrook_session")
	over := ps[0].ask("DELETE", "/v1/session", http.Header{"Cookie": {cookie}, "X-Mailbrook": {"1"}}, nil)
	if over.status != http.StatusNoContent || ps[1].ask("GET", "/v1/session", http.Header{"Cookie": {cookie}},
		nil).status != http.StatusUnauthorized {
		t.Errorf("after signing out the session lives: %d", over.status)
	}
	if got := ps[0].signedIn(); !slices.Equal(got, []string{"oidc from " + one}) {
		t.Errorf("written down is %q", got)
	}
	// Codes of nobody's. The client's return that came twice does not count with them.
	for i := range 32 {
		address, h := out(one)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{true: http.StatusForbidden, false: http.StatusTooManyRequests}[i < 30]
		if a := ps[i%2].lead("/signin/callback?code=x&state="+u.Query().Get("state"), h); a.status != want {
			t.Errorf("code %d of nobody's is answered %d %s", i+1, a.status, a.body)
		}
	}
	address, h = out(two)
	if a := ps[0].lead(back(address, "anna"), h); ps[0].whose(a) != anna { // The control.
		t.Errorf("another client is answered %d %s", a.status, a.body)
	}
	for _, p := range ps {
		p.term()
	}
}

// TestAnIdentityProviderThatIsDownStopsNothingElse: the installation starts, is ready,
// and says so to who wants to sign in.
func TestAnIdentityProviderThatIsDownStopsNothingElse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, nil, "WEB_SIGNIN=oidc", "WEB_PUBLIC_URL=http://pages.test", "SIGNIN_OIDC_ISSUER=https://"+
		l.Addr().String(), "SIGNIN_OIDC_CLIENT_ID=mailbrook")
	p := s.serve() // Waits until it is ready.
	a := p.lead("/signin", http.Header{"Accept-Language": {"pl"}})
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" ||
		!strings.Contains(string(a.body), "w tej chwili nie odpowiada") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	p.tells(`"msg":"the identity provider cannot be asked"`)
	must[accountsAnswer](p.as(anna), http.StatusOK, "GET", "/v1/accounts", nil)
	p.term()
}
