package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
)

// browser is one as far as links and cookies go.
var browser = &http.Client{
	Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// byHand has a request look as where a person pastes the address into a browser.
func byHand(r *http.Request) *http.Request {
	for k, v := range map[string]string{"Site": "none", "Mode": "navigate", "Dest": "document", "User": "?1"} {
		r.Header.Set("Sec-Fetch-"+k, v)
	}
	return r
}

// follow follows a link at a process and returns the status and the cookie.
func (p *process) follow(link string) (status int, cookie string) {
	_, token, ok := strings.Cut(link, "http://pages.test/link/")
	if !ok {
		p.t.Errorf("the address is %q", link)
		return 0, ""
	}
	req, err := http.NewRequest(http.MethodGet, p.addr+"/link/"+strings.TrimSpace(token), http.NoBody)
	if err != nil {
		p.t.Error(err)
		return 0, ""
	}
	resp, err := browser.Do(byHand(req))
	if err != nil {
		p.t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	return resp.StatusCode, cookie
}

func TestALinkOpensThePagesOnceInWhicheverProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "WEB_PUBLIC_URL=http://pages.test")
	s.ok("", "init")
	before := s.ok("", "link", "--user", anna) // Nothing runs yet.
	ps := []*process{s.serve("--roles", "api"), s.serve("--roles", "api")}
	if status, _ := ps[0].follow(before); status != http.StatusSeeOther {
		t.Errorf("the link from before the start: %d", status)
	}
	for range 5 {
		link := s.ok("", "link", "--user", root, "--admin")
		var mu sync.Mutex
		var cookies []string
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				if status, cookie := ps[i%2].follow(link); status == http.StatusSeeOther {
					mu.Lock()
					defer mu.Unlock()
					cookies = append(cookies, cookie)
				} else if status != http.StatusGone {
					t.Errorf("status %d", status)
				}
			})
		}
		all.Wait()
		if len(cookies) != 1 {
			t.Fatalf("one link signed in %d times", len(cookies))
		}
		// The session is as good in the other process, and as an administrator's.
		for _, p := range ps {
			a := p.ask("GET", "/v1/admin/hosts", http.Header{"Cookie": cookies}, nil)
			if a.status != http.StatusOK {
				t.Errorf("the session is answered %d: %s", a.status, a.body)
			}
		}
	}
	a := ps[0].ask("GET", "/", nil, nil)
	if csp := a.header.Get("Content-Security-Policy"); a.status != http.StatusOK ||
		!strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the page: %d, %q", a.status, csp)
	}
}

func TestLinkSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.ok("", "init")
	if r := s.run("", "link", "--user", anna); r.status != exitUsage || !strings.Contains(r.err, "web.public_url") {
		t.Errorf("without a port: status %d, %s", r.status, r.err)
	}
	for _, args := range [][]string{
		{"link"},
		{"link", "--user", "nobody"},
		{"link", "--user", anna, "--ttl", "0s"},
		{"link", "--user", anna, "--ttl", "25h"},
	} {
		if r := s.runIn([]string{"MAILBROOK_WEB_PUBLIC_URL=http://pages.test"}, "", args...); r.status != exitUsage ||
			r.out != "" {
			t.Errorf("%v: status %d, %s", args, r.status, r.out)
		}
	}
}

// TestEventsTellWhatAnotherProcessDoes, and end in time when the server stops.
func TestEventsTellWhatAnotherProcessDoes(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := nobody.Addr().(*net.TCPAddr).Port
	if err := nobody.Close(); err != nil { // Whoever connects is refused.
		t.Fatal(err)
	}
	s := newSite(t, nil, "WEB_PUBLIC_URL=http://pages.test")
	p := s.serve("--roles", "api")
	poller := s.serve("--roles", "poller")
	_, cookie := p.follow(s.ok("", "link", "--user", anna))

	ctx, leave := context.WithTimeout(t.Context(), 2*soon)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.addr+"/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	until := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", what, lines.Err())
	}
	until("retry: 2000")
	a := p.ask("POST", "/v1/accounts", http.Header{"Cookie": {cookie}, "X-Mailbrook": {"1"}}, fmt.Sprintf(
		`{"email":"box@remote.test","password":%q,"server":{"host":"127.0.0.1","port":%d},"skip_test":true}`, canary, port))
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	until("event: account")
	until(string(account.Retrying))
	_, id, _ := strings.Cut(a.header.Get("Location"), "/v1/accounts/")
	s.ok("", "account", "delete", id)
	until("event: removed")

	poller.term()
	p.term() // With the stream open.
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event:") {
			t.Errorf("after the end: %s", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

var printedLink = regexp.MustCompile(`(?m)^\s+(http://\S+)/link/(\S+)(   as administrator)?$`)

func TestTheDemosLinksLeadToTheAccountsSignedIn(t *testing.T) {
	t.Parallel()
	// What is configured is about another server.
	p := newSite(t, nil, "WEB_PUBLIC_URL=https://mail.firma.test").start("demo")
	p.await(func(said string) bool { return strings.Contains(said, "Ctrl-C") })
	found := printedLink.FindAllStringSubmatch(p.log(), -1)
	if len(found) != 2 {
		t.Fatalf("the demo prints %d links:\n%s", len(found), p.log())
	}
	for _, link := range found {
		p.addr = link[1]
		status, cookie := p.follow("http://pages.test/link/" + link[2])
		if status != http.StatusSeeOther {
			t.Fatalf("%s: %d", link[0], status)
		}
		signedIn := http.Header{"Cookie": {cookie}}
		if a := p.ask("GET", "/v1/accounts", signedIn, nil); a.status != http.StatusOK ||
			strings.Count(string(a.body), `"email"`) != 2 {
			t.Errorf("%s leads to %d %s", link[0], a.status, a.body)
		}
		want := map[bool]int{false: http.StatusForbidden, true: http.StatusOK}[link[3] != ""]
		if a := p.ask("GET", "/v1/admin/stats", signedIn, nil); a.status != want {
			t.Errorf("%s as administrator: %d, want %d", link[0], a.status, want)
		}
	}
	if status := p.stop(os.Interrupt); status != 0 {
		t.Errorf("after Ctrl-C the demo ends with status %d", status)
	}
}
