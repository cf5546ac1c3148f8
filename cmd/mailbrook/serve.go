package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/webui"
)

// What a process can be.
const (
	roleAPI    = "api"
	rolePoller = "poller"
)

type serveCmd struct {
	Roles string `help:"What this process does: api, poller, or both." default:"api,poller"`
}

func (c serveCmd) Run(ctx context.Context, t terminal, load loader) error {
	roles := strings.FieldsFunc(c.Roles, func(r rune) bool { return r == ',' || r == ' ' })
	for _, r := range roles {
		if r != roleAPI && r != rolePoller {
			return usageError{fmt.Errorf("--roles: there is no role %q: choose api, poller, or both", r)}
		}
	}
	if len(roles) == 0 {
		return usageError{errors.New("--roles: choose api, poller, or both")}
	}
	return withApp(ctx, t, load, func(a *app) error {
		l, err := net.Listen("tcp", a.cfg.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		a.log.InfoContext(ctx, "serving", "listen", l.Addr().String(), "roles", roles, "version", version)
		return a.serve(ctx, l, roles)
	})
}

// shutdownGrace is how long requests under way may take once the process is
// told to stop; visits have the runner's own grace.
const shutdownGrace = 5 * time.Second

// serve answers requests and polls until ctx ends, then stops both.
func (a *app) serve(ctx context.Context, l net.Listener, roles []string) error {
	g, ctx := errgroup.WithContext(ctx)
	h, err := a.handler(l, slices.Contains(roles, roleAPI), ctx.Done())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if !slices.Contains(roles, roleAPI) {
		h = operational(h)
	}
	server := httpapi.Server(l.Addr().String(), h, a.log)
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
	if slices.Contains(roles, rolePoller) {
		g.Go(func() error { return a.runner.Run(ctx) })
	}
	g.Go(func() error { return a.warnOfShadows(ctx) })
	err = g.Wait()
	a.log.Info("stopped")
	return err
}

// handler is the REST API and the web pages, wired. A process that answers users
// is ready when it can judge their tokens, too. Streams of events end when
// stopping is closed.
func (a *app) handler(l net.Listener, answers bool, stopping <-chan struct{}) (http.Handler, error) {
	public, err := a.cfg.publicURL(l)
	if err != nil {
		return nil, usageError{err}
	}
	keys := signingKeys(a.cfg, a.vault)
	keys.HTTP, keys.Log = a.dialer.Trusted(), a.log
	tokens, err := httpapi.NewVerifier(keys)
	if err != nil {
		return nil, usageError{fmt.Errorf("auth: %w", err)}
	}
	ready := []httpapi.Check{{Name: "database", Run: a.store.Ping}, {Name: "mailbox", Run: a.mailbox.Check}}
	if answers {
		ready = append(ready, httpapi.Check{Name: "token_keys", Run: tokens.Ready})
	}
	return httpapi.New(httpapi.Options{
		Accounts: a.registry, Quotas: quotas{a}, Admin: admin{a}, Providers: providers{a}, OAuth: a.oauth, Tokens: tokens,
		Explain: a.advice(),
		Ready:   ready,
		Metrics: a.metrics, Version: version, Log: a.log, Now: a.store.Now, Stopping: stopping,
		Pages: webui.Handler(webui.Options{FrameAncestors: a.cfg.Web.FrameAncestors}),
		Web:   httpapi.Web{Secret: keys.Secret, PublicURL: public, FrameAncestors: a.cfg.Web.FrameAncestors, Links: links{a.store.Links()}, Sessions: a.store.Sessions()},
	})
}

// advice is what is said to people of their accounts.
type advice struct {
	catalog *provider.Catalog
	signIn  *oauth.Service
}

func (a *app) advice() advice { return advice{a.catalog, a.oauth} }

func (w advice) about(a account.Account) diagnose.Context {
	return diagnose.Context{Provider: w.catalog.ByID(a.Provider), Protocol: a.Protocol, Host: a.Server.Host, Email: a.Email, SignIn: w.signIn.Offers(a.Provider), HeldBack: a.Status.Diagnosis.HeldBack()}
}

// Explain says what a code means and what to do about it.
func (w advice) Explain(code fault.Code, a account.Account, lang string) (title, advice string) {
	return diagnose.Explain(code, lang, w.about(a))
}

// ExplainDelay says what keeps an account's mail away.
func (w advice) ExplainDelay(a account.Account, lang string) httpapi.Delay {
	d := diagnose.ExplainDelay(a, lang, w.about(a))
	return httpapi.Delay{Title: d.Title, Evidence: d.Evidence, Advice: d.Advice, Help: string(d.Help)}
}

// operational lets through only what every process answers, whatever its roles.
func operational(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			h.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}
