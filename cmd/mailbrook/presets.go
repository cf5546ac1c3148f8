package main

import (
	"context"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

// presets are the catalogue's, and, for a domain that is not in it, those of
// the provider that its mail exchangers belong to.
type presets struct {
	*provider.Catalog
	dialer *outbound.Dialer
}

// Suggest implements account.Presets. What cannot be looked up is as if it were
// not there: what remains is a guess, which a person confirms.
func (p presets) Suggest(ctx context.Context, email string) account.Suggestion {
	s := p.Catalog.Suggest(ctx, email)
	if s.Source != "guess" || s.Provider != account.OtherProvider {
		return s
	}
	exchangers, err := p.dialer.MX(ctx, strings.ToLower(email[strings.LastIndexByte(email, '@')+1:]))
	if err != nil {
		return s
	}
	if hosted, ok := p.Hosted(email, exchangers); ok {
		hosted.DidYouMean = s.DidYouMean // Who registers slips of domains can host them anywhere.
		return hosted
	}
	return s
}

// allowed is what an account's provider asks of programs: of the one whose
// server it names, whatever preset it was made with.
func (a *app) allowed(m remote.Mailbox) schedule.Allowance {
	l := a.catalog.Serving(m.Provider, m.Server.Host).Limits
	return schedule.Allowance{
		Interval: l.PollInterval[m.Protocol], Connections: l.Connections, BytesPerDay: l.BytesPerDay[m.Protocol],
	}
}

// allowedAt is how many connections a host's provider allows at a time.
func (a *app) allowedAt(host string) int { return a.catalog.ByHost(host).Limits.Connections }

// quirks are those of the provider whose server an account names.
func (a *app) quirks(m remote.Mailbox) provider.Quirks {
	return a.catalog.Serving(m.Provider, m.Server.Host).Quirks
}

func (a *app) visitQuirks(m remote.Mailbox) fetch.Quirks {
	q := a.quirks(m)
	return fetch.Quirks{NoMail: q.SkipFolders, Estimates: q.SizesAreEstimates}
}
