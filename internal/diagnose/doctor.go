// Package diagnose answers the question why an account does not work: it runs
// connection tests and chooses, among the texts of package words, what says what a
// failure means and what a person can do about it.
//
// It opens no connection itself and decides nothing: whether and when to try
// again is package schedule's business. No word of it holds a secret, and of
// hosts that may not be named it tells no more than that.
package diagnose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Patience is how long a connection test takes at most. A server that says nothing
// is given up long before that, by whoever waits for it: silence is the sign of
// trouble, not that there are many folders.
const Patience = 90 * time.Second

// Prober tries an account's server: *source.Client is one. It reports each step
// as it ends and keeps to ctx's deadline.
type Prober interface {
	Probe(ctx context.Context, m remote.Mailbox, c remote.Credential, observe func(remote.Step)) ([]mail.Folder, error)
}

// Doctor runs connection tests. It is safe for concurrent use.
type Doctor struct {
	prober  Prober
	catalog *provider.Catalog
	now     func() time.Time
}

var _ account.Prober = (*Doctor)(nil)

// NewDoctor returns a Doctor.
func NewDoctor(p Prober, c *provider.Catalog) *Doctor {
	return &Doctor{prober: p, catalog: c, now: time.Now}
}

// Probe implements account.Prober. The report lists the steps that were run, in
// the order in which they ran; of a failed test the last one is the one that
// failed.
func (d *Doctor) Probe(ctx context.Context, a account.Account, c remote.Credential) account.TestReport {
	step, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	t := &test{security: a.Server.Security, began: d.now(), now: d.now}
	folders, err := d.prober.Probe(step, a.Mailbox(), c, func(s remote.Step) {
		t.observe(s)
		remote.TellStep(ctx, s)
	})
	if err == nil || t.complete() {
		// A failed farewell after everything was seen is no failure.
		rep := report(t.steps, folders)
		if err == nil {
			rep.Warning = d.unmet(a.Folders, folders)
		}
		return rep
	}
	f := d.explainable(ctx, step, a, err)
	t.fail(f)
	rep := account.TestReport{Steps: t.steps, Diagnosis: &account.Diagnosis{
		Code: f.Code, Detail: f.Detail,
		Since: d.now().UTC(),
	}}
	if held := (*remote.HeldBackError)(nil); errors.As(err, &held) {
		rep.Held = held.Wait
	}
	return rep
}

// unmet reports folders that were chosen by name or special use and that the server
// does not have, as a visit will; nil: it has all of them.
func (d *Doctor) unmet(rules route.FolderRules, folders []mail.Folder) *account.Diagnosis {
	missing := rules.Unmet(func(rule route.FolderRules) bool {
		return slices.ContainsFunc(folders, func(f mail.Folder) bool {
			return f.Problem != nil || f.Selectable && rule.Selects(f.Name(), f.SpecialUse)
		})
	})
	if len(missing) == 0 {
		return nil
	}
	detail := words.Detail{words.Say(fault.NotThere, strings.Join(missing, ", "))}.Clipped(1000)
	return &account.Diagnosis{Code: fault.FolderFailed, Detail: detail, Since: d.now().UTC()}
}

// explainable makes of any error one that a person can be told of.
func (d *Doctor) explainable(ctx, step context.Context, a account.Account, err error) *fault.Error {
	f := fault.Of(err)
	switch {
	case f.Code == fault.Interrupted && ctx.Err() == nil && step.Err() != nil:
		return fault.New(fault.ConnectTimeout, f.Op,
			words.Say("The server answers, but too slowly: after %d seconds the test was given up.",
				int(Patience/time.Second)))
	case f.Code == fault.Interrupted:
		return fault.New(fault.Internal, f.Op, words.Say("The test was stopped before it ended."))
	case f.Code == fault.HostNotAllowed:
		// Which kind of host it is would reveal something about the inner network.
		return fault.New(fault.HostNotAllowed, f.Op, words.Say("This host or port is not one that an account may name."))
	}
	return Refine(d.catalog, a.Provider, a.Server.Host, f)
}

// report is that of a good test.
func report(steps []remote.Step, folders []mail.Folder) account.TestReport {
	r := account.TestReport{OK: true, Steps: steps, Folders: []string{}}
	for _, f := range folders {
		if !f.Selectable && f.Problem == nil {
			continue // No folder of mail: it only holds others.
		}
		if len(f.Path) > 0 {
			if _, marks := mail.ReadMark(nil, f.Path[len(f.Path)-1]); marks {
				continue // Nothing to choose.
			}
		}
		if f.Shared {
			r.Shared = append(r.Shared, folderName(f))
			continue
		}
		r.Folders = append(r.Folders, folderName(f))
		if f.Selectable && f.Status.Known {
			r.Messages += int64(f.Status.Messages)
		}
	}
	return r
}

// folderName is for people; what a server put into a name is made fit to show.
func folderName(f mail.Folder) string {
	return words.Clean(f.Name(), 1000)
}

// test is one connection test under way.
type test struct {
	security remote.Security
	began    time.Time // Of the step under way.
	now      func() time.Time
	steps    []remote.Step
}

func (t *test) observe(s remote.Step) {
	t.began = t.now()
	t.steps = append(t.steps, s)
}

func (t *test) last() remote.Step {
	if len(t.steps) == 0 {
		return remote.Step{OK: true}
	}
	return t.steps[len(t.steps)-1]
}

// complete reports whether every step was run and went well.
func (t *test) complete() bool {
	last := t.last()
	return last.Name == remote.StepFolders && last.OK
}

// fail makes the last step the one that failed. A server can fail between two
// steps: then it is the step that would have come next.
func (t *test) fail(f *fault.Error) {
	if s := t.last(); s.OK {
		t.steps = append(t.steps, remote.Step{Name: t.next(s.Name), Took: t.now().Sub(t.began)})
	}
	s := &t.steps[len(t.steps)-1]
	if s.Detail = f.Detail; s.Detail == nil {
		s.Detail = words.Plain(Sentence(f.Code, words.English))
	}
}

// next returns the step after one that went well.
func (t *test) next(after remote.StepName) remote.StepName {
	order := []remote.StepName{
		remote.StepResolve, remote.StepConnect, remote.StepTLS, remote.StepGreeting,
		remote.StepLogin, remote.StepFolders,
	}
	switch t.security {
	case remote.STARTTLS:
		order[2], order[3] = order[3], order[2]
	case remote.None:
		order = append(order[:2], order[3:]...)
	}
	for i, name := range order[:len(order)-1] {
		if name == after {
			return order[i+1]
		}
	}
	return order[0]
}

// Refine makes a provider's refusal more precise by what is known of the
// provider: where no ordinary password is accepted, "refused" means that an app
// password, or signing in on the provider's page, is needed. err is not
// changed; Refine of nil is nil.
func Refine(c *provider.Catalog, providerID, host string, err *fault.Error) *fault.Error {
	if err == nil {
		return nil
	}
	p := c.Serving(providerID, host)
	code := err.Code
	switch {
	case p.NeedsOAuth() && (code == fault.AuthFailed || code == fault.AppPasswordRequired ||
		code == fault.AccessDisabled && saysBasic(err.Detail.String())):
		code = fault.OAuthReauthorizationRequired
	case p.NeedsAppPassword() && code == fault.AuthFailed:
		code = fault.AppPasswordRequired
	}
	if code == err.Code {
		return err
	}
	refined := *err
	refined.Code = code
	return &refined
}

// saysBasic reports whether a server complains of passwords as such (Microsoft
// calls them basic authentication), not of the mailbox's settings.
func saysBasic(detail string) bool {
	detail = strings.ToLower(detail)
	return strings.Contains(detail, "basic auth") || strings.Contains(detail, "basicauth")
}
