// Package httpapi answers the REST calls of api/openapi.yaml.
//
// The document is not only described but used: which calls exist, who may make
// them, and what a request may hold are read from it at start, and a call
// without a declared policy does not start. A handler takes what was checked,
// calls the domain once, and maps the answer; every error goes up to one
// function, which turns it into an RFC 9457 body.
//
// It knows nothing of SQL or mail protocols, and never opens a connection to
// a mail server. What it needs it declares as interfaces (ports.go).
package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// Options are what the API is made of. All are required unless said otherwise.
type Options struct {
	Accounts Accounts
	Watcher  Watcher // Of its own: only streams of events use it.
	Quotas   Quotas
	Admin    Admin
	// Copies are those of whole mailboxes; nil: they are switched off.
	Copies transfer.Service
	// CopyWatcher is of its own, as Watcher is; nil: no stream has copies.
	CopyWatcher   transfer.Watcher
	Providers     Providers
	OAuth         OAuth
	Users         Users
	MailboxLogins MailboxLogins
	Repeats       Repeats
	// Transcripts are those that administrators switch on.
	Transcripts Transcripts
	Audit       Audit
	Tokens      Tokens
	Explain     Explainer
	// ExplainAdmin says it to administrators, of accounts that are not theirs.
	ExplainAdmin Explainer
	// MailboxesAvailable reports whether the server of users' own mailboxes is there for deliveries; nil: there is none.
	MailboxesAvailable func() bool
	// Ready are the checks behind /readyz; may be empty. What they said is
	// remembered for a moment, so that they may write.
	Ready []Check
	// Holds returns why no call may be answered now, or nil. Nil: always.
	Holds func() error
	// Metrics is shown at /metrics, and given the API's own counters. Nil: a
	// registry of its own.
	Metrics *prometheus.Registry
	// Pages answers every path that is not the API's; nil: 404. It brings its
	// own Content-Security-Policy.
	Pages   http.Handler
	Web     Web
	Limits  Limits // The zero value stands for the defaults.
	Streams Streams
	// Stopping is closed when the process has to stop: streams end then.
	// Nil: they end with their readers.
	Stopping <-chan struct{}
	Version  string
	Log      *slog.Logger
	Now      func() time.Time // Nil: time.Now.
}

// Check is one of the things a process needs to do its work.
type Check struct {
	Name string // A word: "database". It is shown to everybody; several may have the same.
	Run  func(context.Context) error
}

const (
	// readyPatience bounds each check behind /readyz.
	readyPatience = 5 * time.Second
	// readyFor is how long what they said is repeated: anybody may ask, and
	// the checks write.
	readyFor = 2 * time.Second
)

// readiness is what the checks said last.
type readiness struct {
	mu     sync.Mutex // Held while they run: who asks meanwhile waits for them.
	at     time.Time
	failed []string
}

// server implements the generated interface. One value serves all requests.
type server struct {
	Options
	routes   map[string]*endpoint // By method, space, and path as Echo writes it.
	metrics  metrics
	meters   meters
	hub      *hub
	sessions *sessions
	ready    readiness
	refusals refusals
	turns    turns       // To have a password checked.
	returns  returnTurns // From the identity provider.
}

var _ api.StrictServerInterface = (*server)(nil)

// documentPath is where this API's own document is.
const documentPath = "/openapi.yaml"

// API is the handler of the API. Close must be called once the server has stopped.
type API struct {
	http.Handler
	server *server
}

// Close ends what is under way for no request, and waits for that: the streams of events with
// the goroutine that polls for them, so that afterwards nothing uses the database on their
// behalf, and the fetching of keys by which tokens are verified.
func (a *API) Close() {
	a.server.hub.close()
	a.server.Tokens.Close()
	if issuer := a.server.Web.SignIn.Issuer; issuer != nil {
		issuer.Close()
	}
}

// New returns the handler of the API. It fails when the document is wrong, or
// when it and the code disagree about which calls exist and who may make them.
func New(o Options) (*API, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Holds == nil {
		o.Holds = func() error { return nil }
	}
	doc, err := api.Spec()
	if err != nil {
		return nil, err
	}
	routes, err := routesOf(doc)
	if err != nil {
		return nil, err
	}
	s := &server{
		Options: o, routes: routes, meters: newMeters(o.Limits, o.Now), hub: newHub(o),
		turns: newTurns(), returns: newReturnTurns(),
	}
	if s.sessions, err = newSessions(o.Web, o.Now); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	e := s.echo()
	if err := covers(routes, e.Routes()); err != nil {
		return nil, err
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Paths are matched as they were sent and decoded once, afterwards:
		// otherwise "%2f" and "%25" could mean one thing here and another there.
		r.URL.RawPath = r.URL.EscapedPath()
		if p := r.URL.Path; r.Method == http.MethodHead && (p == documentPath || slices.Contains(Vital(), p)) {
			// Probes ask by HEAD (RFC 9110, 9.3.2); net/http knows what came, and sends no body.
			r = r.Clone(r.Context())
			r.Method = http.MethodGet
		}
		e.ServeHTTP(w, r)
	})
	return &API{h, s}, nil
}

// echo returns the router with all calls and the chain before them, outermost
// first.
func (s *server) echo() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answer
	e.Binder = binder{}
	e.Use(s.observe, s.rescue, s.harden, s.admit, s.pace, s.check, s.stir)
	api.RegisterHandlers(e, api.NewStrictHandler(s, nil))
	metrics := promhttp.HandlerFor(s.Options.Metrics, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.Log.Handler(),
		slog.LevelWarn)})
	e.GET("/metrics", echo.WrapHandler(metrics))
	document := api.Document()
	e.GET(documentPath, func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", document) })
	return e
}

// Server returns a server with the limits that keep slow and oversized
// requests from holding it up. A handler that streams lifts its own write
// deadline. Every request reaches h: net/http would answer "OPTIONS *" itself, before
// anything has looked at how its body is sent.
func Server(addr string, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:       withConnection,
		ConnState:         heard,

		DisableGeneralOptionsHandler: true,
	}
}

// GetHealth answers as long as the process does.
func (s *server) GetHealth(context.Context, api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse{Status: api.HealthStatusOk, Version: s.Version}, nil
}

// GetReadiness tells what the checks say, or said a moment ago.
func (s *server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject,
	error,
) {
	if failed := s.readiness(ctx); len(failed) > 0 {
		return nil, &notReadyError{failed}
	}
	var names []string
	for _, c := range s.Ready {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return api.GetReadiness200JSONResponse{Status: api.ReadinessStatusOk, Checks: list(names)}, nil
}

// readiness runs the checks, one after the other, unless they ran a moment ago,
// and returns the names of those that failed. Who hangs up meanwhile does not
// spoil the answer for others.
func (s *server) readiness(ctx context.Context) []string {
	r := &s.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := s.Now().Sub(r.at); age >= 0 && age < readyFor && !r.at.IsZero() {
		return r.failed
	}
	ctx = context.WithoutCancel(ctx)
	r.failed = nil
	for _, c := range s.Ready {
		if err := within(ctx, readyPatience, c.Run); err != nil {
			s.Log.WarnContext(ctx, "not ready", "check", c.Name, "error", err)
			if !slices.Contains(r.failed, c.Name) {
				r.failed = append(r.failed, c.Name)
			}
		}
	}
	r.at = s.Now()
	return r.failed
}

func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// notReadyError names the checks that failed, and nothing more: /readyz is
// open to everybody.
type notReadyError struct{ checks []string }

func (e *notReadyError) Error() string { return fmt.Sprintf("not ready: %v", e.checks) }

// requestID keeps an id that is fit for a log, or makes one.
func requestID(sent string) string {
	ok := sent != "" && len(sent) <= 64
	for _, r := range sent {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}
	if ok {
		return sent
	}
	return rand.Text()
}
