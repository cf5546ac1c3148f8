package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/words"
)

// metrics count requests. No label holds anything a user wrote.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r *prometheus.Registry) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailbrook_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mailbrook_http_request_seconds", Help: "Time to the end of the answer, by route.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30},
		}, []string{"method", "route"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := r.Register(c); err != nil {
			return metrics{}, fmt.Errorf("registering the counters of requests: %w", err)
		}
	}
	return m, nil
}

// observe names, logs and counts each request. The log has the route, not the
// path or the query: those may hold what does not belong there.
func (s *server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		id := requestID(c.Request().Header.Get(echo.HeaderXRequestID))
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		if err := next(c); err != nil {
			c.Error(err)
		}
		took := time.Since(began)
		method, name := s.label(c)
		status := c.Response().Status
		s.metrics.requests.WithLabelValues(method, name, strconv.Itoa(status)).Inc()
		s.metrics.seconds.WithLabelValues(method, name).Observe(took.Seconds())
		level := slog.LevelInfo
		if r := s.route(c); r != nil && r.policy == open {
			level = slog.LevelDebug // Probes and scrapes, every few seconds.
		}
		s.Log.Log(c.Request().Context(), level, "request", "request_id", id, "method", method, "route", name,
			"status", status, "duration_ms", took.Milliseconds(), "bytes", c.Response().Size, "client",
			clientName(s.Web.SignIn.clientOf(c.Request())), "user", userOf(c))
		return nil
	}
}

// userOf returns who asked, "" for whoever is not signed in.
func userOf(c echo.Context) string {
	who, ok := c.Request().Context().Value(identityKey{}).(Identity)
	if !ok {
		return ""
	}
	return who.Owner.String()
}

// label returns method and route for logs and metrics, from a closed set.
func (s *server) label(c echo.Context) (method, name string) {
	switch m := c.Request().Method; {
	case s.route(c) != nil:
		return m, c.Path()
	case s.Pages != nil && !below(c.Request().URL.Path):
		return "other", "pages"
	}
	return "other", "other"
}

// rescue turns a panic into an error. What was panicked with is left out of
// the log unless the runtime made it: it may hold anything.
func (s *server) rescue(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch v := recover(); v := v.(type) {
			case nil:
			case runtime.Error:
				err = &panicError{v.Error(), debug.Stack()}
			case error:
				if errors.Is(v, http.ErrAbortHandler) {
					panic(v)
				}
				err = &panicError{fmt.Sprintf("%T", v), debug.Stack()}
			default:
				err = &panicError{fmt.Sprintf("%T", v), debug.Stack()}
			}
		}()
		return next(c)
	}
}

type panicError struct {
	what  string
	stack []byte
}

func (e *panicError) Error() string { return "panic: " + e.what + "\n" + string(e.stack) }

// harden sets the headers that every answer has.
func (s *server) harden(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if below(c.Request().URL.Path) {
			h.Set("Cache-Control", "no-store")
		}
		if s.Pages == nil || s.route(c) != nil || below(c.Request().URL.Path) {
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			h.Set("X-Frame-Options", "DENY")
		}
		return next(c)
	}
}

// admit lets a request through by the policy of its route. What is below the
// base path and no route at all is admitted like a user's route, and answered
// 404 or 405 behind it.
func (s *server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := s.route(c)
		req := c.Request()
		client := clientName(s.Web.SignIn.clientOf(req))
		req = req.WithContext(audit.By(req.Context(), audit.Actor{Client: client})) // Nobody is known yet.
		c.SetRequest(req)
		if s.Web.SignIn.Header != "" && !req.ProtoAtLeast(1, 1) {
			// Of its Transfer-Encoding net/http says nothing (RFC 9112 section 6.1).
			c.Response().Header().Set(echo.HeaderConnection, "close")
		}
		if s.Web.SignIn.Header != "" && len(req.TransferEncoding) > 0 {
			c.Response().Header().Set(echo.HeaderConnection, "close") // What follows is not read as a request.
			return errNoLength
		}
		switch {
		case r == nil && !below(req.URL.Path):
			if s.Pages != nil {
				s.Pages.ServeHTTP(c.Response(), req)
				return nil
			}
			return next(c)
		case r != nil && r.vital:
			return next(c)
		}
		if err := s.Holds(); err != nil {
			return err
		}
		if r != nil && r.policy == open {
			req, err := s.withBrowser(req)
			if err != nil {
				return err
			}
			c.SetRequest(req)
			return next(c)
		}
		req, err := s.withBrowser(req)
		if err != nil {
			return err
		}
		asked := s.Now()
		who, err := s.identify(c)
		who.asked = asked
		switch {
		case err != nil:
			return err
		case r != nil && r.policy == admin && !who.Admin:
			return errForbidden
		}
		defer asks(req.Context(), who.Owner)()
		c.SetRequest(req.WithContext(audit.By(withIdentity(req.Context(), who), who.actor(client))))
		return next(c)
	}
}

// unauthenticatedError is all that is said about a missing or bad token.
type unauthenticatedError struct{ tokenSent bool }

func (*unauthenticatedError) Error() string { return "no valid bearer token" }

var errForbidden = errors.New("for administrators only")

// pace keeps one user's requests to a rate.
func (s *server) pace(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, ok := c.Request().Context().Value(identityKey{}).(Identity)
		if !ok {
			return next(c)
		}
		if wait := s.meters.requests.take(who.Owner.String()); wait > 0 {
			return &tooManyError{wait, words.Say("too many requests: wait for %d s", wholeSeconds(wait))}
		}
		return next(c)
	}
}

// stir has the user's streams of events look at what a call changed, so that
// it is seen at once.
func (s *server) stir(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		who, ok := c.Request().Context().Value(identityKey{}).(Identity)
		if ok && err == nil && c.Request().Method != http.MethodGet {
			s.hub.nudge(who.Owner)
		}
		return err
	}
}
