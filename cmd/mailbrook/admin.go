package main

import (
	"context"
	"errors"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

// quotas is the users' quotas.
func (a *app) quotas() account.Quotas {
	return account.Quotas{Rows: quotaRows{a.store}, Mailboxes: a.mailboxes, Nudger: a.runner, Log: a.log}
}

// quotaRows is the store for account.Quotas.
type quotaRows struct{ *store.Store }

func (r quotaRows) Limit(ctx context.Context, o owner.Owner) (owner.Limit, error) {
	return r.Journal().Limit(ctx, o)
}

// admin looks across users, and wakes the pollers when many may have room again.
type admin struct {
	store.Admin
	app *app
}

func (a admin) ChangeLimits(ctx context.Context, f insight.QuotaFilter, c owner.LimitChange,
	after string,
) (insight.LimitStep, error) {
	step, err := a.Admin.ChangeLimits(ctx, f, c, after)
	if err != nil {
		return insight.LimitStep{}, err
	}
	a.app.log.InfoContext(ctx, "limits of many users set", "matching", step.Matching, "changed", step.Changed,
		"query", f.Match, "domain", f.Domain, "state", f.State)
	a.app.runner.Nudge()
	return step, nil
}

// spreadPatience is how long whoever sets a default limit waits until the lists
// say so; the chore spread_limits continues from there.
const spreadPatience = 5 * time.Second

func (a admin) SetDefaultLimit(ctx context.Context, domain string, l *owner.Limit) error {
	if err := a.Admin.SetDefaultLimit(ctx, domain, l); err != nil {
		return err
	}
	a.app.log.InfoContext(ctx, "default limits set", "domain", domain, "taken_back", l == nil)
	a.app.runner.Nudge()
	soon, cancel := context.WithTimeout(ctx, spreadPatience)
	defer cancel()
	if err := a.app.store.SpreadLimits(soon); err != nil {
		a.app.log.WarnContext(ctx, "spreading default limits: going on later", "error", err)
	}
	a.app.runner.Nudge() // For the accounts that have room again.
	return nil
}

// providers shows the catalogue.
type providers struct{ app *app }

func (p providers) Providers(lang words.Language) []provider.Shown {
	return p.app.catalog.Shown(lang, p.app.oauth.Offers)
}

// checkSchema says how an operator gets from what is wrong to what is right.
func checkSchema(err error) error {
	if errors.Is(err, store.ErrSchemaOld) || errors.Is(err, store.ErrSchemaNew) {
		return usageError{err}
	}
	return err
}
