package webui_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/webui"
)

// object is a value of the API.
type object = map[string]any

const (
	copyUser  = "anna@firma.test"
	copyCode  = "K7QM-3XWP-9TBD-HZ4F"
	newCopyID = "0c7f4f7a-3c1e-4b53-9a67-5d1f0b8a2e90"
)

// copyFake is an installation whose copies are in whatever state a test likes. What the pages ask of it and what it
// answers is held against the document of the API.
type copyFake struct {
	*httptest.Server
	t      testing.TB
	pages  http.Handler
	router routers.Router
	user   string // Who is signed in; "": nobody.
	kind   string // Of copies, as a session has it.

	mu       sync.Mutex
	copies   []func(lang string) object // The newest first.
	limit    int
	plan     func(lang string) object
	refuse   map[string]object // By method and path, the problem that answers the next request.
	hold     chan struct{}     // While it is open, a plan is not ready.
	asked    []string          // Requests that change something, with their bodies.
	told     chan string       // Events.
	messages int               // How many of each list there are.
	onPage   bool              // Whether people sign in on the provider's page.
}

func newCopyFake(t testing.TB, user string, copies ...func(string) object) *copyFake {
	t.Helper()
	doc, err := api.Parse()
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	f := &copyFake{
		t: t, pages: webui.Handler(webui.Options{}), router: router, user: user, kind: "any", copies: copies, limit: 9,
		plan: planOfCopy, refuse: map[string]object{}, told: make(chan string, 100), messages: 3,
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections() // Streams of events do not end by themselves.
		f.Close()
	})
	return f
}

// ServeHTTP implements http.Handler.
func (f *copyFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/v1/") && (r.URL.Path != "/copies/status" || r.Method == http.MethodGet) {
		f.pages.ServeHTTP(w, r)
		return
	}
	lang := "en"
	if strings.HasPrefix(r.Header.Get("Accept-Language"), "pl") || r.URL.Query().Get("lang") == "pl" {
		lang = "pl"
	}
	if r.URL.Path == "/v1/events" && f.user != "" {
		f.stream(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The page has gone.
	}
	f.conforms(r, body, 0, nil)
	status, answer := f.answer(r, string(body), lang)
	text := []byte(nil)
	if answer != nil {
		if text, err = json.Marshal(answer); err != nil {
			f.t.Error(err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if status >= http.StatusBadRequest {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.Header().Set("Content-Language", lang)
	w.Header().Set("ETag", `"1"`)
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.Header().Set("Set-Cookie", "browser=1; HttpOnly")
	if status == http.StatusCreated {
		w.Header().Set("Location", "/v1/copies/"+newCopyID)
	}
	f.conforms(r, body, status, &http.Response{Header: w.Header(), Body: io.NopCloser(bytes.NewReader(text))})
	w.WriteHeader(status)
	_, _ = w.Write(text) // Whoever asked may be gone.
}

// conforms holds a request, or an answer to it, against the document.
func (f *copyFake) conforms(r *http.Request, body []byte, status int, resp *http.Response) {
	route, params, err := f.router.FindRoute(r)
	if err != nil {
		f.t.Errorf("%s %s is not in the document: %v", r.Method, r.URL.Path, err)
		return
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	in := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if resp == nil {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			f.t.Errorf("the pages ask %s %s with %s: %v", r.Method, r.URL, body, err)
		}
		return
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: resp.Header, Body: resp.Body,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		f.t.Errorf("this test answers %s %s wrongly: %v", r.Method, r.URL, err)
	}
}

// stream sends the events of tell.
func (f *copyFake) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	fmt.Fprint(w, ": here\n\n")
	if flush.Flush() != nil {
		return
	}
	for {
		select {
		case event := <-f.told:
			fmt.Fprint(w, event)
			if flush.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// tell sends an event to the page.
func (f *copyFake) tell(kind string, value any) {
	f.t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		f.t.Fatal(err)
	}
	f.told <- "event: " + kind + "\ndata: " + string(text) + "\n\n"
}

// turns puts a copy instead of all, and tells the page.
func (f *copyFake) turns(lang string, c func(string) object) {
	f.t.Helper()
	f.mu.Lock()
	f.copies = []func(string) object{c}
	f.mu.Unlock()
	f.tell("copy", c(lang))
}

// requests returns what was asked that changes something, and forgets it.
func (f *copyFake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.asked
	f.asked = nil
	return all
}

// refuses has the next request answered by a problem.
func (f *copyFake) refuses(request string, p object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[request] = p
}

func problem(status int, code string, further object) object {
	p := object{
		"type": "urn:mailbrook:problem:" + code, "title": code, "status": status, "detail": code, "code": code,
	}
	maps.Copy(p, further)
	return p
}

// answer is what the API says.
func (f *copyFake) answer(r *http.Request, body, lang string) (int, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	request := r.Method + " " + r.URL.Path
	if f.user == "" && strings.HasPrefix(r.URL.Path, "/v1/") {
		return http.StatusUnauthorized, problem(401, "unauthenticated", nil)
	}
	if r.Method != http.MethodGet {
		f.asked = append(f.asked, request+" "+body)
	}
	if p, ok := f.refuse[request]; ok {
		delete(f.refuse, request)
		status, _ := p["status"].(int)
		return status, p
	}
	if strings.HasPrefix(r.URL.Path, "/v1/oauth/") {
		return f.oauth(r)
	}
	switch request {
	case "GET /v1/session":
		return 200, object{
			"user": f.user, "admin": false, "expires_at": in(time.Hour), "limit": 4, "copies": f.kind,
		}
	case "GET /v1/accounts":
		return 200, object{"accounts": []any{}, "limit": 4}
	case "GET /v1/quota":
		return 200, object{
			"used_bytes": 0, "limit_bytes": nil, "used_messages": 0, "limit_messages": nil, "state": "ok", "accounts": []any{},
		}
	case "GET /v1/providers":
		google := googlePreset(lang)
		google["oauth"] = f.onPage
		return 200, object{"providers": []object{google}}
	case "GET /v1/autoconfig":
		return 200, discovered(r.URL.Query().Get("email"))
	case "POST /v1/connection-tests":
		return 200, object{
			"ok": true, "steps": []object{{"name": "resolve", "ok": true, "millis": 1, "detail": ""}},
			"folders": []string{"INBOX"}, "other_folders": []string{},
			"messages": 10, "diagnosis": nil, "warning": nil, "mechanism": nil,
		}
	case "POST /v1/copies/plan":
		if hold := f.hold; hold != nil {
			f.mu.Unlock()
			select {
			case <-hold:
			case <-r.Context().Done():
			}
			f.mu.Lock()
		}
		return 200, f.plan(lang)
	case "POST /copies/status":
		if !strings.Contains(body, copyCode) || len(f.copies) == 0 {
			return 404, problem(404, "not_found", nil)
		}
		return 200, publicStatus(f.copies[0](lang))
	}
	return f.ofCopies(r, lang)
}

// grant is what a user has allowed on a provider's page.
const grant = "0123456789abcdefghijABCDEFGHIJ0123456789_-x"

// oauth leads to a provider's page and at once back from it, to where the server sends everybody.
func (f *copyFake) oauth(r *http.Request) (int, any) {
	if r.Method == http.MethodPost {
		return 200, object{"authorize_url": f.URL + "/accounts/new#grant=" + grant, "expires_at": in(time.Hour)}
	}
	return 200, object{
		"id": grant, "provider_name": "Google", "presets": []string{"google"}, "email": "anna.nowak@gmail.com",
		"expires_at": in(time.Hour),
	}
}

// ofCopies answers for what is below /v1/copies.
func (f *copyFake) ofCopies(r *http.Request, lang string) (int, any) {
	if r.URL.Path == "/v1/copies" {
		if r.Method == http.MethodPost {
			f.copies = append([]func(string) object{copyQueued}, f.copies...)
			c := copyQueued(lang)
			c["status_code"] = copyCode
			return 201, c
		}
		all := []object{}
		for _, c := range f.copies {
			all = append(all, c(lang))
		}
		return 200, object{"copies": all, "limit": f.limit, "next_cursor": nil}
	}
	id, part, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/copies/"), "/")
	i := slices.IndexFunc(f.copies, func(c func(string) object) bool { return c(lang)["id"] == id })
	if i < 0 {
		return 404, problem(404, "not_found", nil)
	}
	c := f.copies[i](lang)
	switch part {
	case "":
		if r.Method == http.MethodDelete {
			f.copies = slices.Delete(f.copies, i, i+1)
			return 204, nil
		}
		return 200, c
	case "folders":
		return 200, object{"folders": foldersOfCopy()}
	case "messages":
		return 200, f.listed(r, lang)
	case "report":
		if c["ended_at"] == nil || c["state"] == "cancelled" {
			return 409, problem(409, "report_not_ready", nil)
		}
		return 200, reportOf(c, lang)
	default:
		return 202, c
	}
}

// listed is a page of messages: two of f.messages at a time.
func (f *copyFake) listed(r *http.Request, lang string) object {
	state, from := r.URL.Query().Get("state"), 0
	fmt.Sscan(r.URL.Query().Get("cursor"), &from)
	list := []object{}
	for i := from; i < min(f.messages, from+2); i++ {
		list = append(list, messageOfCopy(state, i, lang))
	}
	next := any(nil)
	if from+2 < f.messages {
		next = fmt.Sprint(from + 2)
	}
	return object{"messages": list, "total": f.messages, "next_cursor": next}
}

// at opens a page of the installation.
func (f *copyFake) at(dev device, path string) *tab {
	f.t.Helper()
	p := stay(f.t, dev, f.URL+path)
	p.until("document.querySelector('main h1') && !document.querySelector('main[aria-busy]')")
	return p
}

func in(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.RFC3339) }
