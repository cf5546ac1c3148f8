package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/mailbox"
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

// admin looks across users, at what was last measured.
type admin struct{ app *app }

func (a admin) Quotas(ctx context.Context, q httpapi.QuotaQuery) (httpapi.QuotaPage, error) {
	sort := string(q.Sort)
	if q.Down {
		sort = "-" + sort
	}
	f := quotaFilter(q.QuotaFilter)
	f.Sort, f.Limit, f.Cursor = sort, q.Limit, q.Cursor
	page, next, err := a.app.store.AdminQuotas(ctx, f)
	return httpapi.QuotaPage{Quotas: page, Next: next}, err
}

func quotaFilter(f httpapi.QuotaFilter) store.QuotaFilter {
	return store.QuotaFilter{Query: f.Match, Domain: f.Domain, State: f.State}
}

func (a admin) CountQuotas(ctx context.Context, f httpapi.QuotaFilter) (int64, error) {
	return a.app.store.CountQuotas(ctx, quotaFilter(f))
}

func (a admin) ChangeLimits(ctx context.Context, f httpapi.QuotaFilter, c account.LimitChange,
	after string,
) (httpapi.LimitStep, error) {
	step, err := a.app.store.ChangeLimits(ctx, quotaFilter(f), c, after)
	if err != nil {
		return httpapi.LimitStep{}, err
	}
	a.app.log.InfoContext(ctx, "limits of many users set", "matching", step.Matching, "changed", step.Changed,
		"query", f.Match, "domain", f.Domain, "state", f.State)
	a.app.runner.Nudge()
	return httpapi.LimitStep(step), nil
}

func (a admin) DefaultLimits(ctx context.Context, after string, limit int) ([]httpapi.DefaultLimit, string, error) {
	page, next, err := a.app.store.DefaultLimits(ctx, after, limit)
	out := make([]httpapi.DefaultLimit, len(page))
	for i, d := range page {
		out[i] = httpapi.DefaultLimit(d)
	}
	return out, next, err
}

// spreadPatience is how long whoever sets a default limit waits until the lists
// say so; the chore spread_limits goes on from there.
const spreadPatience = 5 * time.Second

func (a admin) SetDefaultLimit(ctx context.Context, domain string, l *account.Limit) error {
	if err := a.app.store.SetDefaultLimit(ctx, domain, l); err != nil {
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

func (a admin) QuotaSummary(ctx context.Context) (httpapi.QuotaSummary, error) {
	s, err := a.app.store.AdminQuotaSummary(ctx)
	return httpapi.QuotaSummary{Unlimited: s.Unlimited, Bands: s.Bands}, err
}

func (a admin) Accounts(ctx context.Context, q httpapi.AccountQuery) (httpapi.AccountPage, error) {
	page, next, err := a.app.store.AdminAccounts(ctx, store.AccountFilter{
		Owner: q.User, State: q.State, Query: q.Match, Host: q.Host, Port: q.Port, Affected: q.Affected, Code: q.Code,
		Overdue: q.Overdue, Limit: q.Limit, Cursor: q.Cursor,
	})
	return httpapi.AccountPage{Accounts: page, Next: next}, err
}

func (a admin) Stats(ctx context.Context) (httpapi.Stats, error) {
	// What this process counted since the last minute belongs to the answer.
	if err := a.app.store.FlushCounts(ctx); err != nil {
		return httpapi.Stats{}, err
	}
	s, err := a.app.store.AdminStats(ctx)
	if err != nil {
		return httpapi.Stats{}, err
	}
	activity := func(x store.Activity) httpapi.Activity {
		return httpapi.Activity{Polls: x.Polls, Failed: x.Failed, Messages: x.Messages, Bytes: x.Bytes, Failures: x.Failures}
	}
	return httpapi.Stats{
		ByState: s.Accounts, Hour: activity(s.LastHour), Day: activity(s.LastDay), Due: s.Due, Lag: s.Lag,
		Failures: s.Failing,
	}, nil
}

func (a admin) Account(ctx context.Context, id account.ID) (account.Account, error) {
	return a.app.store.Accounts().Any(ctx, id)
}

func (a admin) Hosts(ctx context.Context, limit int) ([]httpapi.HostHealth, error) {
	hosts, err := a.app.store.AdminHosts(ctx, limit)
	if err != nil {
		return nil, err
	}
	out := make([]httpapi.HostHealth, len(hosts))
	for i, h := range hosts {
		out[i] = httpapi.HostHealth{
			Host: h.Host, Port: h.Port, Accounts: h.Accounts, Affected: h.Affected, Failing: h.Failing, Others: h.Others,
			Down: h.Down, ByState: h.States, Failures: h.Failures, Overdue: h.Overdue,
		}
	}
	return out, nil
}

// providers shows the catalogue.
type providers struct{ app *app }

func (p providers) Providers(lang string) []httpapi.Provider {
	all := p.app.catalog.All()
	out := make([]httpapi.Provider, len(all))
	for i, x := range all {
		signIn := p.app.oauth.Offers(x.ID)
		auth := make([]string, len(x.Auth))
		for j, a := range x.Auth {
			auth[j] = string(a)
		}
		out[i] = httpapi.Provider{
			ID: x.ID, Name: x.DisplayName(lang), Domains: x.Domains, Servers: x.Servers, Auth: auth, OAuth: signIn,
			Help: httpapi.Help{
				Text: x.Help(lang, signIn), Steps: x.Steps(lang), Note: x.Note(lang), POP3: x.POP3(lang),
				URL: x.HelpURL, EnableAccessURL: x.AccessURL, AppPasswordURL: x.AppPasswordURL,
			},
		}
	}
	return out
}

// checkSchema says how an operator gets from what is wrong to what is right.
func checkSchema(err error) error {
	if errors.Is(err, store.ErrSchemaOld) || errors.Is(err, store.ErrSchemaNew) {
		return usageError{err}
	}
	return err
}
