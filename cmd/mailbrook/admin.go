package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/mailbox"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/store"
)

// quotas is the users' quotas: limits from the database, use from the
// mailboxes.
type quotas struct{ app *app }

// Quota measures one user's mailbox, and saves the measure for the lists. Of a
// mailbox that was there and is gone it tells what was measured last.
func (q quotas) Quota(ctx context.Context, o account.Owner) (account.Quota, error) {
	quota, err := q.app.store.Quota(ctx, o)
	if err != nil {
		return account.Quota{}, err
	}
	saved, own := quota.Used(), quota.Own.Version()
	folders := make([]string, len(quota.Accounts))
	for i, a := range quota.Accounts {
		folders[i] = a.Folder
	}
	all, shares, err := q.app.mailbox.Shares(ctx, o, folders)
	if errors.Is(err, mailbox.ErrNoMailbox) {
		quota.Gone, err = q.app.store.MailboxSeen(ctx, o)
		if quota.Gone {
			return quota, err
		}
	}
	if err != nil {
		return account.Quota{}, err
	}
	quota.UsedBytes, quota.UsedMessages = all.Bytes, all.Messages
	for i, u := range shares {
		quota.Accounts[i].Bytes, quota.Accounts[i].Messages = u.Bytes, u.Messages
	}
	if quota.Own, err = q.app.mailbox.OwnLimit(ctx, o, quota.Set); err != nil {
		return account.Quota{}, err
	}
	if !slices.Equal(saved, quota.Used()) || own != quota.Own.Version() {
		err = q.app.store.SaveUsage(ctx, o, quota.UsedBytes, quota.UsedMessages, quota.Own, quota.Accounts)
		if err != nil {
			return account.Quota{}, err
		}
		now, err := q.app.store.Quota(ctx, o)
		if err != nil {
			return account.Quota{}, err
		}
		if quota.Stopped && !now.Stopped {
			q.app.runner.Nudge()
		}
		quota.Stopped = now.Stopped
	}
	return quota.Limited(), nil
}

func (q quotas) SetLimit(ctx context.Context, o account.Owner, l account.Limit,
	match account.Match,
) (account.Quota, error) {
	if err := q.app.store.SetLimits(ctx, o, l, match); err != nil {
		return account.Quota{}, err
	}
	q.app.log.InfoContext(ctx, "limits set", "user", o)
	q.app.runner.Nudge()
	return q.Quota(ctx, o)
}

func (q quotas) ClearLimit(ctx context.Context, o account.Owner, match account.Match) (account.Quota, error) {
	if err := q.app.store.ClearLimits(ctx, o, match); err != nil {
		return account.Quota{}, err
	}
	q.app.log.InfoContext(ctx, "limits taken back", "user", o)
	q.app.runner.Nudge()
	return q.Quota(ctx, o)
}

// admin looks across users, and wakes the pollers when many may have room again.
type admin struct {
	store.Admin
	app *app
}

func (a admin) ChangeLimits(ctx context.Context, f insight.QuotaFilter, c account.LimitChange,
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
// say so; the chore spread_limits goes on from there.
const spreadPatience = 5 * time.Second

func (a admin) SetDefaultLimit(ctx context.Context, domain string, l *account.Limit) error {
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

func (p providers) Providers(lang string) []provider.Shown {
	return p.app.catalog.Shown(lang, p.app.oauth.Offers)
}

// checkSchema says how an operator gets from what is wrong to what is right.
func checkSchema(err error) error {
	if errors.Is(err, store.ErrSchemaOld) || errors.Is(err, store.ErrSchemaNew) {
		return usageError{err}
	}
	return err
}
