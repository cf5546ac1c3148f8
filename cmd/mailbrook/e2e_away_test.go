package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// gate stands between the program and PostgreSQL, and can be shut.
type gate struct {
	socket string

	mu    sync.Mutex
	shut  bool
	l     net.Listener
	conns map[net.Conn]bool
}

// newGate opens a gate to the server of dsn, and returns the address through it.
func newGate(t *testing.T, dsn string) (*gate, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{socket: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"), conns: map[net.Conn]bool{}}
	if g.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := g.l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { g.serve(c) })
		}
	})
	t.Cleanup(func() {
		g.set(true)
		g.l.Close()
		served.Wait()
	})
	return g, "postgres://postgres@" + g.l.Addr().String() + u.Path + "?sslmode=disable"
}

func (g *gate) serve(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("unix", g.socket)
	if err != nil {
		return
	}
	defer s.Close()
	g.mu.Lock()
	shut := g.shut
	if !shut {
		g.conns[c], g.conns[s] = true, true
	}
	g.mu.Unlock()
	if shut {
		return
	}
	var both errgroup.Group
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() error {
			defer way[0].Close()
			defer way[1].Close()
			_, err := io.Copy(way[0], way[1])
			return err
		})
	}
	_ = both.Wait() // However it ended, it has.
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	delete(g.conns, s)
}

// set shuts the gate, breaking off what goes through it, or opens it again.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	for c := range g.conns {
		if shut {
			c.Close()
		}
	}
}

// withoutDatabase are the calls that ask no database.
var withoutDatabase = map[string]bool{
	"getHealth": true, "getMetrics": true, "getOpenAPI": true, "listProviders": true, "getAutoconfig": true,
	"getSession": true, "deleteSession": true,
	"startOAuth": true, "finishOAuth": true, "testConnection": true, "planCopy": true,
	"signIn": true, "finishSignIn": true,
	"adminSetMailboxLogin": true, // Where no user has a login of its own.
}

// aCopyOf is a copy of a mailbox that nobody serves.
const aCopyOf = `{"source":{"email":"x@example.org","password":"` + canary + `","protocol":"imap","username":"x",` +
	`"server":{"host":"localhost","port":9,"security":"tls"}},"target":{"protocol":"local"},"skip_test":true}`

// calls are all calls of the document, each as one that would go well.
func calls(t *testing.T, id string) map[string]request {
	t.Helper()
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]string{
		"createAccount": `{"email":"x@example.org","password":"` + canary +
			`","skip_test":true,"protocol":"imap","username":"x","server":{"host":"localhost","port":9,"security":"tls"}}`,
		"testConnection": `{"account_id":"` + id + `"}`,
		"planCopy":       aCopyOf, "startCopy": aCopyOf, "updateCopy": `{"options":{"bytes_per_second":1000000}}`,
		"getCopyStatus":      `{"source":"x@example.org","code":"abcdefghijkmnpqrstuvw"}`,
		"startOAuth":         `{}`,
		"updateAccount":      `{"name":"Other"}`,
		"adminSetQuota":      `{"limit_bytes":100}`,
		"adminChangeQuotas":  `{"action":"set","filter":{},"limit_bytes":100}`,
		"adminUpdateAccount": `{"enabled":false}`,
		"createLink":         `{}`,
		"signInWithPassword": `{"user":"` + anna + `","password":"` + canary + `"}`,

		"adminSetDefaultLimit": `{"limit_bytes":100}`,
		"adminSetMailboxLogin": `{"username":"anna","password":"x"}`,
	}
	fill := strings.NewReplacer("{id}", id, "{user}", anna, "{sid}", id, "{registration}", "google", "{provider}",
		"google", "{server}", "google", "{token}", "none", "{grant}", strings.Repeat("A", 43), "{domain}", "firma.test")
	all := map[string]request{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			r := request{
				method: method, path: fill.Replace(path), admin: strings.HasPrefix(path, "/v1/admin"),
				body: body[op.OperationID],
			}
			if op.OperationID == "getAutoconfig" {
				r.path += "?email=anna@example.org"
			}
			all[op.OperationID] = r
		}
	}
	return all
}

type request struct {
	method, path, body string
	admin              bool
}

// While PostgreSQL is away no call is answered with 500: what needs it is 503
// with Retry-After, what does not is answered. When it is back, so are the answers.
func TestAwayIsNotBrokenInAnyCall(t *testing.T) {
	t.Parallel()
	g, dsn := newGate(t, mailtest.StartPostgres(t))
	s := newSite(t, nil, "DATABASE="+dsn, "WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=localhost", "SIGNIN_IMAP_PORT=9")
	s.ok("", "migrate", "up")
	p := s.serve("--roles", "api,poller")
	u, root := p.as(anna), p.admin()
	id := u.add(remoteAccount("Gmail", "imap", "localhost", 9, "tls", "anna").with(fields{"skip_test": true})).ID
	ask := func(r request) answer {
		who := u
		if r.admin {
			who = root
		}
		var body any
		if r.body != "" {
			body = r.body
		}
		if strings.HasPrefix(r.path, "/signin") { // By a page: nobody is signed in yet.
			return p.ask(r.method, r.path, http.Header{"X-Mailbrook": {"1"}, "Sec-Fetch-Site": {"same-origin"}}, body)
		}
		return who.do(r.method, r.path, body)
	}
	all := calls(t, id)
	var during errgroup.Group
	for name, r := range all { // The gate is shut in the middle of them.
		if name == "listEvents" || name == "deleteAccount" {
			continue
		}
		during.Go(func() error {
			for range 5 {
				if got := ask(r); got.status == http.StatusInternalServerError {
					return fmt.Errorf("%s answers %d while the database goes away: %s", name, got.status, got.body)
				}
			}
			return nil
		})
	}
	g.set(true)
	if err := during.Wait(); err != nil {
		t.Error(err)
	}
	eventually(t, soon, func() (bool, string) { // What it said last is repeated for a moment.
		ready := p.plain("GET", "/readyz")
		return ready.status == http.StatusServiceUnavailable && strings.Contains(string(ready.body), `"field":"database"`),
			fmt.Sprintf("readiness answers %d %s", ready.status, ready.body)
	})
	needed := 0
	for name, r := range all {
		got := ask(r)
		if got.status == http.StatusInternalServerError {
			t.Errorf("%s answers 500: %s", name, got.body)
		}
		if withoutDatabase[name] {
			continue
		}
		needed++
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" ||
			!strings.Contains(string(got.body), `"not_ready"`) {
			t.Errorf("%s answers %d, Retry-After %q: %.300s", name, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	if needed < 20 {
		t.Errorf("only %d calls were found to need the database", needed)
	}
	g.set(false)
	eventually(t, soon, func() (bool, string) {
		ready := p.plain("GET", "/readyz")
		return ready.status == http.StatusOK, fmt.Sprintf("readiness answers %d %s", ready.status, ready.body)
	})
	if got := u.do("GET", "/v1/accounts/"+id, nil); got.status != http.StatusOK {
		t.Errorf("when it is back the account is answered %d: %s", got.status, got.body)
	}
	p.term()
}

// An embedded database that is stopped by another writer is away too, for what
// writes; what reads is answered.
func TestABusyDatabaseIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	p := h.serve("--roles", "api")
	u := p.as(anna)
	db := h.open()
	defer db.Close()
	tx, err := db.Begin()
	h.must(err)
	if _, err := tx.Exec("UPDATE meta SET value = value"); err != nil {
		t.Fatal(err)
	}
	if r := u.do("PATCH", "/v1/accounts/"+h.id, fields{"name": "Other"}); r.status != http.StatusServiceUnavailable ||
		r.header.Get("Retry-After") == "" {
		t.Errorf("a change is answered %d %s", r.status, r.body)
	}
	if r := u.do("GET", "/v1/accounts", nil); r.status != http.StatusOK || !strings.Contains(string(r.body), h.id) {
		t.Errorf("the list is answered %d %s", r.status, r.body)
	}
	h.must(tx.Rollback())
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+h.id, fields{"name": "Other"})
	p.term()
}
