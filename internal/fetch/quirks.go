package fetch

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// Quirks are what a visit has to know of an account's provider.
type Quirks struct {
	NoMail    []string // Folders of the first level that hold no mail, such as calendars.
	Estimates bool     // Listed sizes are not what is sent.
}

func (v *visit) quirks() Quirks {
	if v.Quirks == nil {
		return Quirks{}
	}
	return v.Quirks(v.lease.Route.From)
}

// selects reports whether a folder is fetched: as the account's rules say, and
// without a rule that names it none that holds no mail, or that is another user's or
// shared with others: that is not the account's own mail. It is listed as not
// chosen, so that nobody misses it in silence.
func (v *visit) selects(f mail.Folder) bool {
	rules := v.lease.Route.Folders
	if !rules.Selects(f.Name(), f.SpecialUse) || f.Shared && !rules.Names(f.Name()) {
		return false
	}
	return len(rules.Include) > 0 || len(f.Path) != 1 || !slices.ContainsFunc(v.quirks().NoMail, func(name string) bool {
		return strings.EqualFold(name, f.Path[0])
	})
}

// mayFit reports whether a message that is listed as too large is tried once all
// the same: where sizes are estimates, it may be smaller. What comes is bounded by
// its limit in any case.
func (v *visit) mayFit(p *plan, it mail.Item, most int64) bool {
	_, tried := p.waiting[it.ID]
	return !tried && it.Size-most <= most/4 && v.quirks().Estimates
}

// newCapabilities is what the session knows of the server by now, where that is not what the
// account has; else "".
func (v *visit) newCapabilities() string {
	now := v.session.Capabilities()
	if now == v.lease.Route.From.Capabilities {
		return ""
	}
	v.lease.Route.From.Capabilities = now
	return now
}

// keepCapabilities writes what a visit learned of the server and did not write yet, as when
// it failed: the next one goes around what this one failed over.
func (v *visit) keepCapabilities(ctx context.Context) {
	if v.session == nil {
		return
	}
	now := v.newCapabilities()
	if now == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := v.Journal.Commit(ctx, v.lease, Entry{Capabilities: now, Progress: v.progress}); err != nil {
		v.log.WarnContext(ctx, "keeping what was learned of the server", "error", err)
	}
}
