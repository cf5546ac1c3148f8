package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/webui"
	"github.com/mailbrook/mailbrook/internal/words"
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
	return founding(ctx, t, func() (config, error) {
		cfg, err := load()
		cfg.LookThrough = true
		return cfg, err
	}, func(a *app) error {
		warnOfRoot(ctx, a.log)
		if err := confine(); err != nil {
			a.log.WarnContext(ctx, "this process may do more than it needs", "error", err)
		}
		release, err := a.store.Attend(ctx)
		if err != nil {
			return err
		}
		defer release()
		// What was taken back a moment before, while nobody served, is not served.
		if err := a.bringUp(ctx); err != nil {
			return err
		}
		l, err := net.Listen("tcp", a.cfg.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", taken(err))
		}
		attrs := []any{"listen", l.Addr().String(), "roles", roles, "version", version}
		var ops net.Listener
		if a.cfg.Ops != "" {
			if ops, err = net.Listen("tcp", a.cfg.Ops); err != nil {
				return errors.Join(fmt.Errorf("listen_ops: %w", taken(err)), l.Close())
			}
			attrs = append(attrs, "listen_ops", ops.Addr().String())
		}
		a.log.InfoContext(ctx, "serving", attrs...)
		return a.serve(ctx, l, ops, roles)
	})
}

// taken adds what to do where another program listens already.
func taken(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: end the program that listens there, such as a demo that still runs, or choose another "+
			"address", err)
	}
	return err
}

// shutdownGrace is how long requests under way may take once the process is
// told to stop; visits have the runner's own grace.
const shutdownGrace = 5 * time.Second

// serve answers requests and polls until ctx ends, then stops both. ops, if not
// nil, is where readiness and metrics are answered instead of on l.
func (a *app) serve(ctx context.Context, l, ops net.Listener, roles []string) error {
	g, ctx := errgroup.WithContext(byItself(ctx)) // From here on nobody at the terminal acts.
	rest, err := a.handler(l, slices.Contains(roles, roleAPI), ctx.Done())
	if err != nil {
		err = errors.Join(err, l.Close())
		if ops != nil {
			err = errors.Join(err, ops.Close())
		}
		return err
	}
	defer rest.Close() // Before the database, which is closed by who opened it.
	h := http.Handler(rest)
	vital := only(h, httpapi.Vital())
	switch {
	case !slices.Contains(roles, roleAPI) && ops != nil:
		h = only(h, []string{pathHealth})
	case !slices.Contains(roles, roleAPI):
		h = vital
	case ops != nil:
		h = without(h, httpapi.Vital(), pathHealth)
	}
	g.Go(func() error { return a.answer(ctx, l, shareFiles(openFiles(), a.cfg.Poll.Workers).callers, h) })
	if ops != nil {
		g.Go(func() error { return a.answer(ctx, ops, forChecks, vital) })
	}
	g.Go(func() error {
		a.house.watch(ctx, lookEvery)
		return nil
	})
	if slices.Contains(roles, rolePoller) {
		g.Go(func() error {
			a.house.lookThroughLarge(ctx, looksThrough)
			return a.runner.Run(ctx)
		})
		g.Go(func() error { return a.copyRunner.Run(ctx) })
	} else {
		g.Go(func() error { return users{a}.keepFinishing(ctx) })
	}
	g.Go(func() error { return a.warnOfShadows(ctx) })
	err = g.Wait()
	a.log.Info("stopped")
	return err
}

// answer answers requests on l until ctx ends, over so many connections at a time.
func (a *app) answer(ctx context.Context, l net.Listener, most int, h http.Handler) error {
	l = httpapi.Bounded(l, most, a.log)
	server := httpapi.Server(l.Addr().String(), h, a.log)
	var g errgroup.Group
	over := make(chan struct{})
	g.Go(func() error {
		defer close(over)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-over:
			return nil
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
	return g.Wait()
}

// handler is the REST API and the web pages, wired. A process that answers users
// is ready when it can judge their tokens, too. Streams of events end when
// stopping is closed.
func (a *app) handler(l net.Listener, answers bool, stopping <-chan struct{}) (*httpapi.API, error) {
	public, err := a.cfg.publicURL(l)
	if err != nil {
		return nil, usageError{err}
	}
	keys := signingKeys(a.cfg, a.vault)
	keys.HTTP, keys.Log, keys.Now = a.dialer.Trusted(), a.log, a.store.Now
	tokens, err := httpapi.NewVerifier(keys)
	if err != nil {
		return nil, usageError{fmt.Errorf("auth: %w", err)}
	}
	signIn, err := a.signIn(public)
	if err != nil {
		return nil, err
	}
	ready := []httpapi.Check{
		{Name: partDatabase, Run: a.house.verifyDatabase},
		{Name: partDatabase, Run: a.store.Probe},
		{Name: partKeys, Run: a.house.verifyKeys},
		{Name: partMailboxes, Run: a.house.verifyMailboxes},
		{Name: partMailboxes, Run: a.mailboxes.Check},
	}
	if answers {
		ready = append(ready, httpapi.Check{Name: "token_keys", Run: tokens.Ready})
	}
	brand := a.cfg.Web.Brand
	own := httpapi.Brand{
		Name: brand.ServiceName(), Logo: brand.LogoURI(), Style: brand.Style(), HelpURL: brand.HelpURL,
		PrivacyURL: brand.PrivacyURL,
	}
	return httpapi.New(httpapi.Options{
		Accounts: a.registry, Watcher: a.store.Watcher(), Copies: a.copies, CopyWatcher: a.store.CopyWatcher(),
		Quotas: a.quotas(), Admin: admin{a.store.Admin(), a},
		Providers: providers{a}, OAuth: a.oauth, Users: users{a},
		MailboxLogins: ownLogins{a.cfg, a.store, a.vault},
		Audit:         a.store.Audit(),
		Repeats:       repeats{a.store.Repeatable(), a.vault, a.store.Now},
		Transcripts:   transcripts{a.transcripts}, Tokens: tokens, Explain: a.advice(),
		ExplainAdmin:       advice{a.catalog, a.oauth, true},
		MailboxesAvailable: a.mailboxesAvailable(),
		Ready:              ready,
		Holds:              a.house.holds,
		Metrics:            a.metrics, Version: version, Log: a.log, Now: a.store.Now, Stopping: stopping,
		Pages: webui.Handler(webui.Options{
			FrameAncestors: a.cfg.Web.FrameAncestors, Brand: a.cfg.Web.Brand, SignIn: a.cfg.Web.SignIn,
		}),
		Web: httpapi.Web{
			Secret: keys.Secret, PublicURL: public, FrameAncestors: a.cfg.Web.FrameAncestors, Brand: own,
			Links: links{a.store.Links()}, Sessions: a.store.Sessions(), Browsers: a.store.Browsers(),
			SignIn: signIn,
		},
	})
}

// advice is what is said to people of their accounts.
type advice struct {
	catalog *provider.Catalog
	signIn  *oauth.Service
	admin   bool // Whether administrators read it, and not the accounts' users.
}

func (a *app) advice() advice { return advice{a.catalog, a.oauth, false} }

func (w advice) about(a account.Account) diagnose.Context {
	c := diagnose.Context{
		Provider: w.catalog.ByID(a.Provider), Protocol: a.Protocol, Host: a.Server.Host, Port: a.Server.Port,
		Email: a.Email, SignIn: w.signIn.Offers(a.Provider), HeldBack: a.Status.Diagnosis.HeldBack(),
		Admin: w.admin,
	}
	if a.Status.Diagnosis != nil {
		c.Detail = a.Status.Diagnosis.Detail
		if next := a.Status.NextPollAt; !next.IsZero() {
			c.Wait = max(0, time.Until(next))
		}
	}
	return c
}

// Explain says what a code means and what to do about it.
func (w advice) Explain(code fault.Code, a account.Account, lang words.Language) (title, advice string) {
	return diagnose.Explain(code, lang, w.about(a))
}

// ExplainDelay says what keeps an account's mail away.
func (w advice) ExplainDelay(a account.Account, lang words.Language) diagnose.Delay {
	return diagnose.ExplainDelay(a, lang, w.about(a))
}

// pathHealth is answered on every address.
const pathHealth = "/healthz"

// only lets through what is at these paths.
func only(h http.Handler, paths []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(paths, r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// without keeps what is at these paths away, but for one.
func without(h http.Handler, paths []string, but string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != but && slices.Contains(paths, r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
