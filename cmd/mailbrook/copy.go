package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

type copyCmd struct {
	Plan   copyPlanCmd   `cmd:"" help:"Say what a copy would do. Nothing is written."`
	Start  copyStartCmd  `cmd:"" help:"Copy a mailbox: tests both sides, saves, and prints the new id."`
	List   copyListCmd   `cmd:"" help:"List a user's copies."`
	Show   copyShowCmd   `cmd:"" help:"Show one copy."`
	Watch  copyWatchCmd  `cmd:"" help:"Show how far a copy is, until it has ended."`
	Pause  copyPauseCmd  `cmd:"" help:"Pause a copy."`
	Resume copyResumeCmd `cmd:"" help:"Let a copy continue that is paused or waits."`
	Cancel copyCancelCmd `cmd:"" help:"End a copy. What is copied stays."`
	Sync   copySyncCmd   `cmd:"" help:"Bring what came to the source since a copy ended."`
	Verify copyVerifyCmd `cmd:"" help:"Compare a copy with its source."`
	Report copyReportCmd `cmd:"" help:"Show what came of a copy."`
}

// exitCopyFailed is the status where a copy, or what was asked of it, failed; exitFailed is that of one that ended, but
// not well.
const exitCopyFailed = 3

// withCopies performs a command about copies: what fails has a status of its own, what was not asked for as it should
// be that of bad usage.
func withCopies(ctx context.Context, t terminal, load loader,
	do func(transfer.Service, httpapi.Explainer) error,
) error {
	return quietly(ctx, t, load, func(a *app) error {
		return ofCopies(do(a.copies, a.advice()))
	})
}

// ofCopies is the error with which a command about copies ends.
func ofCopies(err error) error {
	var usage usageError
	var invalid *account.InvalidError
	var status statusError
	switch {
	case err == nil, errors.As(err, &usage), errors.As(err, &status), errors.Is(err, errInterrupted),
		errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &invalid):
		return usageError{err}
	}
	return statusError{exitCopyFailed, err}
}

// exitOf is the status that tells how a copy went.
func exitOf(c transfer.Copy) int {
	st := c.Status
	switch {
	case st.State == transfer.Failed || st.State == transfer.Cancelled || st.State == transfer.NeedsAttention:
		return exitCopyFailed
	case st.Grade == transfer.Investigate || st.Grade == transfer.Poor:
		return exitFailed
	}
	return exitOK
}

// endedAs ends a command with the status of a copy, which has been shown.
func endedAs(c transfer.Copy) error {
	if status := exitOf(c); status != exitOK {
		return statusError{status, errQuiet}
	}
	return nil
}

type copyPlanCmd struct {
	newCopyFlags
	JSON bool `name:"json" help:"Print JSON as the REST API does."`
}

func (c copyPlanCmd) Run(ctx context.Context, t terminal, load loader) error {
	o, d, err := c.draft(ctx, t)
	if err != nil {
		return err
	}
	return withCopies(ctx, t, load, func(copies transfer.Service, _ httpapi.Explainer) error {
		return c.plan(ctx, t, copies, o, d)
	})
}

func (c copyPlanCmd) plan(ctx context.Context, t terminal, copies transfer.Service, o owner.Owner,
	d transfer.Draft,
) error {
	p, err := copies.Plan(ctx, o, d)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.json(httpapi.CopyPlanJSON(p, words.English))
	}
	tbl := newTable("folder", "at the target", "messages", "size", "why so").unbroken("folder", "at the target")
	for _, f := range p.Folders {
		target := f.Target
		if !f.Selected {
			target = "(left out)"
		}
		tbl.add(f.Source, target, fmt.Sprint(f.Messages), words.Size(f.Bytes), string(f.Renamed))
	}
	if err := tbl.write(t.page()); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\n%s, %s\n", words.Count(p.Messages, "message"), words.Size(p.Bytes))
	if p.TooLargeCount > 0 {
		fmt.Fprintf(t.out, "%s larger than %s, which the target does not take\n", words.Count(p.TooLargeCount, "message"),
			words.Size(p.Limit))
	}
	switch {
	case !p.Writable:
		fmt.Fprintln(t.out, "nothing can be written into the target")
	case p.Room.Known && !p.Room.Fits:
		fmt.Fprintln(t.out, "it does not fit into the target")
	}
	for _, kind := range transfer.NotIncluded() {
		fmt.Fprintln(t.out, words.CopyLeaves[kind].En)
	}
	return nil
}

type copyStartCmd struct {
	newCopyFlags
	SkipTest bool `help:"Save without trying the two sides."`
}

func (c copyStartCmd) Run(ctx context.Context, t terminal, load loader) error {
	o, d, err := c.draft(ctx, t)
	if err != nil {
		return err
	}
	d.SkipTest = c.SkipTest
	return withCopies(ctx, t, load, func(copies transfer.Service, _ httpapi.Explainer) error {
		return startCopy(ctx, t, copies, o, d)
	})
}

// startCopy prints the id alone to the standard output, for scripts.
func startCopy(ctx context.Context, t terminal, copies transfer.Service, o owner.Owner, d transfer.Draft) error {
	c, code, err := copies.Start(ctx, o, d)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, c.ID)
	fmt.Fprintf(t.err, "%s into %s; the code that shows how it is: %s\n", t.page().names(c.Source.Email),
		t.page().names(c.TargetAddress()), code)
	return nil
}

type copyListCmd struct {
	User  string `help:"Whose copies; all users' if not given."`
	State string `help:"Only copies in this state."`
	JSON  bool   `name:"json" help:"Print JSON as the REST API does."`
}

func (c copyListCmd) Run(ctx context.Context, t terminal, load loader) error {
	return withCopies(ctx, t, load, func(copies transfer.Service, explain httpapi.Explainer) error {
		return c.list(ctx, t, copies, explain)
	})
}

func (c copyListCmd) list(ctx context.Context, t terminal, copies transfer.Service, explain httpapi.Explainer) error {
	f := transfer.Filter{State: transfer.State(c.State), Limit: 500}
	var o owner.Owner
	if c.User != "" {
		var err error
		if o, err = parseUser(c.User); err != nil {
			return err
		}
	}
	tbl := newTable("id", "user", "source", "target", "state", "messages").unbroken("id", "user")
	list, n := []any{}, 0
	for {
		page, err := copies.All(ctx, o, f)
		if err != nil {
			return err
		}
		for _, x := range page.Copies {
			n++
			list = append(list, httpapi.CopyJSON(x, explain, words.English))
			tbl.add(string(x.ID), x.Owner.String(), x.Source.Email, x.TargetAddress(), string(x.Status.State),
				fmt.Sprint(x.Status.Totals.Messages))
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	switch {
	case c.JSON:
		return t.json(map[string]any{"copies": list})
	case n == 0:
		fmt.Fprintln(t.out, "no copies")
	default:
		return tbl.write(t.page())
	}
	return nil
}

// oneCopy names a copy.
type oneCopy struct {
	ID   string `arg:"" help:"The copy's id."`
	User string `help:"Whose copy it is: a mailbox address of this provider." required:""`
}

// on performs what is asked of the copy.
func (c oneCopy) on(ctx context.Context, t terminal, load loader,
	do func(copies transfer.Service, explain httpapi.Explainer, o owner.Owner, id transfer.ID) error,
) error {
	o, err := parseUser(c.User)
	if err != nil {
		return err
	}
	return withCopies(ctx, t, load, func(copies transfer.Service, explain httpapi.Explainer) error {
		err := do(copies, explain, o, transfer.ID(c.ID))
		if errors.Is(err, transfer.ErrNotFound) {
			return usageError{fmt.Errorf("%s: %w", c.ID, err)}
		}
		return err
	})
}

type copyShowCmd struct {
	oneCopy
	JSON bool `name:"json" help:"Print JSON as the REST API does."`
}

func (c copyShowCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.on(ctx, t, load, func(copies transfer.Service, explain httpapi.Explainer, o owner.Owner, id transfer.ID,
	) error {
		x, err := copies.Copy(ctx, o, id)
		if err != nil {
			return err
		}
		if c.JSON {
			return t.json(httpapi.CopyJSON(x, explain, words.English))
		}
		showCopy(t, x, explain)
		return nil
	})
}

// showCopy says how a copy is.
func showCopy(t terminal, x transfer.Copy, explain httpapi.Explainer) {
	shown := httpapi.CopyJSON(x, explain, words.English)
	fmt.Fprintf(t.out, "%s\n%s into %s\n%s\n", x.ID, t.page().names(x.Source.Email), t.page().names(x.TargetAddress()),
		copyLine(x))
	if d := shown.Diagnosis; d != nil {
		fmt.Fprintln(t.out, words.Clean(strings.TrimSpace(d.Title+". "+d.Detail+" "+d.Advice), 2000))
	}
	if g := x.Status.Grade; g != "" {
		fmt.Fprintf(t.out, "%s: %s\n", g, g.In(words.English))
	}
}

type copyWatchCmd struct{ oneCopy }

func (c copyWatchCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.on(ctx, t, load, func(copies transfer.Service, explain httpapi.Explainer, o owner.Owner, id transfer.ID,
	) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		return watchCopy(ctx, t, tick.C, explain, func() (transfer.Copy, error) { return copies.Copy(ctx, o, id) })
	})
}

// watchCopy shows how far a copy is: in one line at a terminal, in a line for each news elsewhere.
func watchCopy(ctx context.Context, t terminal, tick <-chan time.Time, explain httpapi.Explainer,
	look func() (transfer.Copy, error),
) error {
	drawn, shown := onTerminal(t.err), ""
	for {
		c, err := look()
		if err != nil {
			return err
		}
		if line := copyLine(c); line != shown {
			if shown = line; drawn {
				fmt.Fprintf(t.err, "\r\x1b[K%s", line)
			} else {
				fmt.Fprintln(t.err, line)
			}
		}
		if s := c.Status.State; s.Ended() || s == transfer.NeedsAttention {
			if drawn {
				fmt.Fprintln(t.err)
			}
			showCopy(t, c, explain)
			return endedAs(c)
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-tick:
		}
	}
}

// barWidth is how many characters a whole bar has.
const barWidth = 30

// copyLine says on one line how a copy is, with a bar where it is known how much there is.
func copyLine(c transfer.Copy) string {
	st := c.Status
	shown := c.Title(words.English)
	p := st.Progress
	if st.State != transfer.Running || p.MessagesTotal <= 0 {
		return shown
	}
	full := int(min(p.MessagesDone, p.MessagesTotal) * barWidth / p.MessagesTotal)
	line := fmt.Sprintf("%s [%s%s] %d of %s", shown, strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		p.MessagesDone, words.Count(p.MessagesTotal, "message"))
	if p.Left > 0 {
		line += fmt.Sprintf(", %v left", p.Left.Round(time.Second))
	}
	return line
}

// act asks for something and says how the copy is then.
func (c oneCopy) act(ctx context.Context, t terminal, load loader,
	do func(transfer.Service, context.Context, owner.Owner, transfer.ID) (transfer.Copy, error),
) error {
	return c.on(ctx, t, load, func(copies transfer.Service, _ httpapi.Explainer, o owner.Owner, id transfer.ID) error {
		x, err := do(copies, ctx, o, id)
		if err == nil {
			fmt.Fprintln(t.out, copyLine(x))
		}
		return err
	})
}

type copyPauseCmd struct{ oneCopy }

func (c copyPauseCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.act(ctx, t, load, transfer.Service.Pause)
}

type copyResumeCmd struct{ oneCopy }

func (c copyResumeCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.act(ctx, t, load, transfer.Service.Resume)
}

type copyCancelCmd struct{ oneCopy }

func (c copyCancelCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.act(ctx, t, load, transfer.Service.Cancel)
}

type copySyncCmd struct{ oneCopy }

func (c copySyncCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.act(ctx, t, load, transfer.Service.Sync)
}

type copyVerifyCmd struct {
	oneCopy
	How string `help:"How many messages are read back; else as at the start." enum:"quick,sample,full," default:""`
}

func (c copyVerifyCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.act(ctx, t, load, func(copies transfer.Service, ctx context.Context, o owner.Owner, id transfer.ID,
	) (transfer.Copy, error) {
		return copies.Verify(ctx, o, id, transfer.Verify(c.How))
	})
}

type copyReportCmd struct {
	oneCopy
	CSV  bool `name:"csv" help:"Print a line for each message that is not exactly there." xor:"form"`
	JSON bool `name:"json" help:"Print JSON as the REST API does." xor:"form"`
}

func (c copyReportCmd) Run(ctx context.Context, t terminal, load loader) error {
	return c.on(ctx, t, load, func(copies transfer.Service, explain httpapi.Explainer, o owner.Owner, id transfer.ID,
	) error {
		return c.report(ctx, t, copies, explain, o, id)
	})
}

func (c copyReportCmd) report(ctx context.Context, t terminal, copies transfer.Service, explain httpapi.Explainer,
	o owner.Owner, id transfer.ID,
) error {
	r, err := copies.Report(ctx, o, id)
	if err != nil {
		return err
	}
	switch shown := httpapi.CopyReportJSON(r, explain, words.English); {
	case c.CSV:
		err = httpapi.WriteCopyReport(ctx, t.out, copies, r.Copy, explain, words.English)
	case c.JSON:
		err = t.json(shown)
	default:
		showCopy(t, r.Copy, explain)
		for _, state := range transfer.MessageStates() {
			if n := r.Lists[state]; n > 0 {
				fmt.Fprintf(t.out, "%s: %s\n", strings.ReplaceAll(string(state), "_", " "), words.Count(n, "message"))
			}
		}
		for _, why := range shown.Reasons {
			fmt.Fprintf(t.out, "%s: %s. %s\n", words.Count(why.Messages, "message"), why.Title, why.Advice)
		}
		for _, step := range shown.NextSteps {
			fmt.Fprintf(t.out, "- %s\n", step)
		}
	}
	if err != nil {
		return err
	}
	r.Copy.Status.Grade = r.Grade
	return endedAs(r.Copy)
}
