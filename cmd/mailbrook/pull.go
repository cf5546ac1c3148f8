package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/settings"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

type pullCmd struct {
	User    string `help:"Only this user's accounts."`
	Account string `help:"Only this account." placeholder:"ID"`
	Force   bool   `help:"Try accounts that wait for their user too, once."`
	// Transcript is a directory, with a file for each account.
	Transcript string `help:"Write what is said with each server into DIR/<id>.log, without secrets." placeholder:"DIR"`
	JSON       bool   `name:"json" help:"Print one JSON object per account."`
}

// pullWorkers is how many accounts one pull visits at a time.
const pullWorkers = 4

func (c pullCmd) Run(ctx context.Context, t terminal, load loader) error {
	// A few visits leave the collector little to do: at 40 in place of 100 per cent
	// the peak of a first pull of 10,000 messages is 2 MB lower (case A0 of make bench).
	debug.SetGCPercent(40)
	return upgrading(ctx, t, hushed(load), func(a *app) error {
		accounts, err := c.chosen(ctx, a)
		if err != nil {
			return err
		}
		if err := makeTranscriptDir(c.Transcript); err != nil {
			return err
		}
		a.transcriptDir = c.Transcript
		ok, err := a.pull(ctx, t, accounts, c)
		if err == nil && !ok {
			return errQuiet
		}
		return err
	})
}

// chosen returns the accounts to visit: those that are switched on, or the one
// that was named.
func (c pullCmd) chosen(ctx context.Context, a *app) ([]account.Account, error) {
	if c.Account != "" {
		acc, err := chosen{ID: c.Account, User: c.User}.find(ctx, a)
		if errors.Is(err, account.ErrNotFound) {
			return nil, usageError{fmt.Errorf("--account %s: %w", c.Account, err)}
		}
		return []account.Account{acc}, err
	}
	all, err := a.accountsOf(ctx, c.User)
	if err == nil && len(all) == 0 && c.User != "" {
		var o owner.Owner
		if o, err = parseUser(c.User); err == nil {
			err = a.mustKnow(ctx, "--user", o)
		}
	}
	if err != nil {
		return nil, err
	}
	var enabled []account.Account
	for _, acc := range all {
		if acc.Enabled {
			enabled = append(enabled, acc)
		}
	}
	return enabled, nil
}

// accountsOf returns one user's accounts, or everybody's.
func (a *app) accountsOf(ctx context.Context, user string) ([]account.Account, error) {
	if user != "" {
		owner, err := parseUser(user)
		if err != nil {
			return nil, err
		}
		return a.registry.List(ctx, owner)
	}
	var all []account.Account
	f := insight.AccountFilter{Limit: 500}
	for {
		page, next, err := a.store.Admin().Accounts(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if f.Cursor = next; next == "" {
			return all, nil
		}
	}
}

// mustKnow refuses a user who has neither an account nor a mailbox: the address
// was mistyped. flag is what the user was named by.
func (a *app) mustKnow(ctx context.Context, flag string, o owner.Owner) error {
	if exists, err := a.mailboxes.Exists(ctx, o); err != nil || exists {
		return err
	}
	all, err := a.accountsOf(ctx, "")
	if err != nil {
		return err
	}
	best, least := "", 3
	for _, acc := range all {
		if d := settings.Distance(o.String(), acc.Owner.String()); d < least {
			best, least = acc.Owner.String(), d
		}
	}
	if best != "" {
		return usageError{fmt.Errorf("%s: nothing is known of %s: did you mean %s?", flag, o, best)}
	}
	return usageError{fmt.Errorf("%s: nothing is known of %s: there is neither an account nor a mailbox", flag, o)}
}

// pulled is what --json prints for an account.
type pulled struct {
	AccountID account.ID `json:"account_id"`
	Email     string     `json:"email"`
	OK        bool       `json:"ok"`
	Messages  int64      `json:"messages"`
	Bytes     int64      `json:"bytes"`
	Seconds   float64    `json:"seconds"`
	Skipped   bool       `json:"skipped"` // It waits for its user and was not visited.
	Removed   bool       `json:"removed"` // Meanwhile, which ended the visit.
	Diagnosis any        `json:"diagnosis"`
}

// pull visits accounts, a few at a time, and shows how it goes. It reports
// whether all went well. One that waits for its user is not visited unless
// forced: each try would be one more login with what was refused.
func (a *app) pull(ctx context.Context, t terminal, accounts []account.Account, c pullCmd) (ok bool, err error) {
	show := newProgress(t, accounts, c.JSON)
	a.progress = show.update
	var mu sync.Mutex
	ok = true
	results := make([]pullResult, len(accounts))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(pullWorkers)
	for i, acc := range accounts {
		g.Go(func() error {
			r := a.pullOne(gctx, acc, show, c)
			d := r.Diagnosis
			mu.Lock()
			defer mu.Unlock()
			results[i] = r
			well := d == nil && !r.Removed
			ok = ok && well
			show.finish(r)
			if c.JSON {
				return t.jsonLine(pulled{
					acc.ID, acc.Email, well, r.Report.Messages, r.Report.Bytes, r.Took.Seconds(), r.Skipped, r.Removed,
					httpapi.DiagnosisJSON(d, acc, a.advice(), "en"),
				})
			}
			return nil
		})
	}
	err = g.Wait()
	show.wait()
	if c.JSON || err != nil {
		return ok, err
	}
	if len(accounts) == 0 {
		fmt.Fprintln(t.out, "no accounts to visit")
		return true, nil
	}
	return ok, a.printResults(t, results)
}

// pullOne visits one account, or leaves it alone when it waits for its user.
func (a *app) pullOne(ctx context.Context, acc account.Account, show *progress, c pullCmd) pullResult {
	visit := a.runner.VisitOne
	if c.Force {
		visit = a.runner.InsistOne
	}
	waiting := acc.Status.State == account.NeedsAttention && acc.Status.Failures > 0
	waits := waiting && !c.Force
	var res schedule.Result
	var err error
	if !waits {
		show.start(acc)
		if err = a.recordPull(ctx, acc, c, waiting); err == nil {
			res, err = visit(ctx, acc.Owner, acc.ID)
		}
		waits = errors.Is(err, schedule.ErrWaits) // Since it was listed.
	}
	if waits {
		d := acc.Status.Diagnosis
		if d == nil {
			d = &account.Diagnosis{Code: fault.Internal, Detail: words.Plain(err.Error())}
		}
		return pullResult{Account: acc, Diagnosis: d, Skipped: true}
	}
	if errors.Is(err, account.ErrNotFound) {
		return pullResult{Account: acc, Report: res.Report, Took: res.Took, Removed: true}
	}
	if err != nil && res.Report.Err == nil {
		res.Report.Err = err
	}
	return pullResult{Account: acc, Report: res.Report, Took: res.Took, Diagnosis: diagnosisOf(res.Report)}
}

// recordPull writes down that a visit was asked for: of accounts that were named, or that
// wait for their user. All of them are visited as the service does by itself. Nobody is
// visited of whom that cannot be written.
func (a *app) recordPull(ctx context.Context, acc account.Account, c pullCmd, waiting bool) (err error) {
	if c.Account != "" || c.User != "" || waiting {
		err = a.store.Audit().Record(ctx, store.AboutAccount(audit.AccountFetched, acc))
	}
	if err == nil && c.Transcript != "" {
		err = a.store.Audit().Record(ctx, store.AboutAccount(audit.TranscriptBegun, acc))
	}
	return err
}

// diagnosisOf is why a visit failed, or nil.
func diagnosisOf(r fetch.Report) *account.Diagnosis {
	f := fault.Of(r.Err)
	if f == nil {
		f = r.Partial
	}
	if f == nil {
		return nil
	}
	code := f.Code
	if code == fault.Interrupted {
		code = fault.Internal
	}
	return &account.Diagnosis{Code: code, Detail: f.Detail}
}

// printResults prints the table, and under it what to do about failures.
func (a *app) printResults(t terminal, results []pullResult) error {
	if err := printTable(t.page(), results); err != nil {
		return err
	}
	for _, r := range results {
		if r.Diagnosis == nil {
			continue
		}
		title, advice := a.advice().Explain(r.Diagnosis.Code, r.Account, "en")
		fmt.Fprintf(t.out, "\n%s: %s", t.page().names(r.Account.Email), title)
		if r.Diagnosis.Detail != nil {
			detail := r.Diagnosis.Detail.String()
			if !t.page().ascii {
				detail = diagnose.TellDetail(r.Diagnosis.Detail, words.English)
			}
			fmt.Fprintf(t.out, " (%s)", detail)
		}
		if hint := forOperators(r.Diagnosis.Code); hint != "" {
			advice += "\n  " + hint
		}
		if r.Skipped {
			fmt.Fprintf(t.out, "\n  It waits for its user and was not visited; pull --force tries it once.")
		}
		fmt.Fprintf(t.out, "\n  %s\n", advice)
	}
	return nil
}

// explain prints what a person can do about an error of the registry, and
// returns how the command ends.
func (a *app) explain(t terminal, acc account.Account, err error) error {
	var bad *account.InvalidError
	var failed *account.TestFailedError
	var held *remote.HeldBackError
	switch {
	case errors.As(err, &bad):
		for _, f := range bad.Fields {
			if f.Field == "provider" && f.Code == "unknown" {
				fmt.Fprintln(t.err, `mailbrook: --provider: there is no such provider: see "mailbrook providers"`)
				continue
			}
			t.complain(fmt.Sprintf("%s: %s", flagFor(f.Field), f.Detail))
		}
		return usageError{errors.New("nothing was saved")}
	case errors.As(err, &failed):
		if perr := a.printReport(terminal{out: t.err, err: t.err}, acc, failed.Report); perr != nil &&
			!errors.Is(perr, errQuiet) {
			return perr
		}
		return errors.New("the connection test failed: nothing was saved (--skip-test saves without it)")
	case errors.As(err, &held):
		title, advice := diagnose.Explain(fault.RateLimited, "en", diagnose.Context{HeldBack: true, Wait: held.Wait})
		return fmt.Errorf("%s: %w. %s", title, held, advice)
	case fault.CodeOf(err) == fault.HostNotAllowed:
		title, advice := diagnose.Explain(fault.HostNotAllowed, "en", diagnose.Context{})
		return usageError{fmt.Errorf("%s. %s\n%s", title, advice, forOperators(fault.HostNotAllowed))}
	}
	return err
}

// flagFor is the flag by which a setting is given, by the setting's name in REST.
func flagFor(field string) string {
	switch name, _, _ := strings.Cut(field, "["); name {
	case "password":
		return "the password"
	case "poll_interval_seconds":
		return "--poll-interval"
	default:
		for _, group := range []string{"server.", "folders."} {
			name = strings.TrimPrefix(name, group)
		}
		return "--" + strings.ReplaceAll(name, "_", "-")
	}
}

// forOperators is what an operator can do about a code, where a user cannot.
func forOperators(code fault.Code) string {
	if code != fault.HostNotAllowed {
		return ""
	}
	return "As the operator you can allow networks that are not public (remote.allow_networks), further ports " +
		"(remote.allow_ports) and plain text (remote.allow_plaintext); \"mailbrook config\" shows what holds."
}

// printReport prints a connection test; errQuiet says that it failed.
func (a *app) printReport(t terminal, acc account.Account, rep account.TestReport) error {
	for _, s := range rep.Steps {
		mark := "ok  "
		if !s.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(t.out, "%s  %-9s %6d ms  %s\n", mark, s.Name, s.Took.Milliseconds(), s.Detail)
	}
	if rep.OK {
		fmt.Fprintf(t.out, "%s, %s\n", words.Count(int64(len(rep.Folders)), "folder"), words.Count(rep.Messages, "message"))
		if n := len(rep.Shared); n > 0 {
			fmt.Fprintf(t.out, "folders of others, not fetched unless named in folders.include: %d\n", n)
		}
		if w := rep.Warning; w != nil {
			acc.Status.Diagnosis = w
			title, advice := a.advice().Explain(w.Code, acc, "en")
			fmt.Fprintf(t.out, "%s (%s): %s\n%s\n", title, w.Code, w.Detail, advice)
		}
		return nil
	}
	if d := rep.Diagnosis; d != nil {
		title, advice := a.advice().Explain(d.Code, acc, "en")
		fmt.Fprintf(t.out, "%s (%s): %s\n%s\n", title, d.Code, d.Detail, advice)
		if hint := forOperators(d.Code); hint != "" {
			fmt.Fprintln(t.out, hint)
		}
	}
	return errQuiet
}
