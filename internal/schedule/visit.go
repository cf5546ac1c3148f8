package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxVisit is a backstop: the engine yields long before, and the connection
	// has deadlines of its own.
	maxVisit = 2 * time.Hour
	// finishTimeout bounds the last write of a visit whose context has ended.
	finishTimeout = 2 * time.Second
	// finishTries is how often a settlement is written before the account is
	// left to become due when its lease ends.
	finishTries = 5
	// busyPause is how long VisitOne waits before it asks again for an account
	// that somebody else is visiting.
	busyPause = 200 * time.Millisecond
	// ownPause keeps the pollers away between two parts of one VisitOne.
	ownPause = 5 * time.Second
)

var errTooLong = fault.New(fault.Internal, "visiting the account", words.Say("the visit took too long and was ended"))

// Visitor performs visits: the engine.
type Visitor interface {
	// Visit ends soon after ctx does. Everything that it commits is guarded by
	// the lease.
	Visit(ctx context.Context, l fetch.Lease) fetch.Report
}

// Result is what VisitOne did.
type Result struct {
	Route      route.Route  // As it was before the last part.
	Report     fetch.Report // Counts over all parts; how the last one ended.
	Settlement Settlement   // Zero when the visit was broken off.
	Took       time.Duration
}

// VisitOne visits one account now, until there is no more to fetch or
// something ends it. While another worker visits the account it waits. Its
// error says that no visit took place or its result could not be saved; how
// the visit itself went is in the result. An account that waits for its user is
// left alone, with ErrWaits: what its server refused is not tried again.
func (r *Runner) VisitOne(ctx context.Context, o owner.Owner, id route.ID) (Result, error) {
	return r.visitOne(ctx, o, id, false)
}

// InsistOne is VisitOne for an account that may wait for its user: it is tried
// once, and continues waiting when that fails as before.
func (r *Runner) InsistOne(ctx context.Context, o owner.Owner, id route.ID) (Result, error) {
	return r.visitOne(ctx, o, id, true)
}

func (r *Runner) visitOne(ctx context.Context, o owner.Owner, id route.ID, insist bool) (Result, error) {
	var res Result
	began := time.Now()
	// A name of its own, so that it does not take over what Run is visiting.
	worker := fmt.Sprintf("%s/one-%d", r.o.Worker, r.ones.Add(1))
	for {
		l, err := r.claimOne(ctx, o, id, worker, insist)
		if err != nil {
			return res, fmt.Errorf("claiming account %s: %w", id, err)
		}
		done := r.perform(ctx, l)
		total := done.Report
		total.Messages += res.Report.Messages
		total.Bytes += res.Report.Bytes
		total.Skipped += res.Report.Skipped
		res = Result{Route: l.Route, Report: total, Took: time.Since(began)}
		res.Settlement, err = r.finish(ctx, l, done, ownPause)
		if errors.Is(err, fetch.ErrFenced) && ctx.Err() == nil {
			continue // Edited meanwhile; if it was removed the next claim says so.
		}
		if err != nil {
			return res, fmt.Errorf("settling account %s: %w", id, err)
		}
		if goesOn := done.Report.More && done.Report.Err == nil; !goesOn {
			return res, nil
		}
	}
}

// Hold does something with an account under its lease, so that nobody visits it meanwhile. While somebody does, the
// error is ErrBusy, at once. ctx of do ends when the lease is lost.
func (r *Runner) Hold(ctx context.Context, o owner.Owner, id route.ID,
	do func(ctx context.Context, l fetch.Lease) error,
) error {
	c := r.claim(1)
	c.Worker, c.Insist = fmt.Sprintf("%s/one-%d", r.o.Worker, r.ones.Add(1)), true
	l, err := r.o.Queue.ClaimOne(ctx, o, id, c)
	if err != nil {
		return fmt.Errorf("claiming account %s: %w", id, err)
	}
	hctx, cancel := context.WithCancelCause(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		r.heartbeat(hctx, l, cancel)
	}()
	err = do(hctx, l.Lease)
	if err != nil && hctx.Err() != nil {
		err = context.Cause(hctx)
	}
	cancel(nil)
	<-beating
	end := r.o.Queue.Abandon
	if s := l.Row.Status; s.State == account.NeedsAttention && s.Failures > 0 {
		end = r.o.Queue.Rest
	}
	over := r.write(ctx, func(ctx context.Context) error { return end(ctx, l.Lease) })
	if errors.Is(over, fetch.ErrFenced) && err != nil {
		over = nil // It is lost, and that was said.
	}
	return errors.Join(err, over)
}

func (r *Runner) claimOne(
	ctx context.Context, o owner.Owner, id route.ID, worker string, insist bool,
) (Lease, error) {
	for {
		c := r.claim(1)
		c.Worker, c.Insist = worker, insist
		l, err := r.o.Queue.ClaimOne(ctx, o, id, c)
		if !errors.Is(err, ErrBusy) {
			return l, err
		}
		if !sleep(ctx, busyPause) {
			return l, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// performed is a visit that is over and not yet settled.
type performed struct {
	Report fetch.Report
	Run    account.Run
	Took   time.Duration
}

// perform visits under a lease that it keeps alive meanwhile. When it returns,
// nothing of the visit is left running.
func (r *Runner) perform(ctx context.Context, l Lease) performed {
	run := account.Run{ID: uuid.NewString(), StartedAt: r.o.Now()}
	began := time.Now()
	r.metrics.active.Inc()
	defer r.metrics.active.Dec()

	vctx, cancel := context.WithCancelCause(ctx)
	vctx, stop := context.WithTimeoutCause(vctx, maxVisit, errTooLong)
	r.noteAborted(ctx, l)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		r.heartbeat(vctx, l, cancel)
	}()
	rep := r.guarded(vctx, l)
	rep.Err = trueCause(vctx, rep.Err)
	stop()
	cancel(nil)
	<-beating

	run.FinishedAt, run.Messages, run.Bytes = r.o.Now(), rep.Messages, rep.Bytes
	took := time.Since(began)
	r.metrics.visited(rep, took)
	r.report(ctx, l, rep, took)
	return performed{rep, run, took}
}

// noteAborted reports a visit before this one that never ended.
func (r *Runner) noteAborted(ctx context.Context, l Lease) {
	if !l.Aborted.Last {
		return
	}
	r.metrics.aborted.Inc()
	level := slog.LevelInfo
	if l.Aborted.Visits >= AbortedAlone {
		level = slog.LevelWarn
	}
	r.o.Log.Log(ctx, level, "the last visit began and never ended: its process died", "account", l.Route.ID, "in_a_row",
		l.Aborted.Visits)
}

// trueCause returns why a visit that ended with err under ctx really ended. A
// refused login is one, whatever else happened at the same time.
func trueCause(ctx context.Context, err error) error {
	code := fault.CodeOf(err)
	switch {
	case err == nil, code.Credential():
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case code == fault.Interrupted:
		// Nobody interrupted it. Making it due again at once would be a loop.
		return &fault.Error{Code: fault.Internal, Op: "visiting the account", Err: err}
	}
	return err
}

// report writes the one line per visit.
func (r *Runner) report(ctx context.Context, l Lease, rep fetch.Report, took time.Duration) {
	attrs := []any{
		"account", l.Route.ID, "host", HostKey(l.Route.From.Server), "outcome", outcomeLabel(rep), "messages", rep.Messages,
		"bytes", rep.Bytes, "skipped", rep.Skipped, "took", took.Round(time.Millisecond),
	}
	if rep.Err != nil {
		attrs = append(attrs, "error", rep.Err)
	}
	if fault.CodeOf(rep.Err) == fault.Internal && !errors.Is(rep.Err, fetch.ErrFenced) {
		r.o.Log.ErrorContext(ctx, "visited", attrs...)
		return
	}
	r.o.Log.InfoContext(ctx, "visited", attrs...)
}

// guarded is the boundary that a defect met in one account does not cross.
func (r *Runner) guarded(ctx context.Context, l Lease) (rep fetch.Report) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.ErrorContext(ctx, "visit panicked", "account", l.Route.ID, "panic", words.Clean(fmt.Sprint(p), 300),
				"stack", string(debug.Stack()))
			rep = fetch.Report{Err: fault.New(fault.Internal, "visiting the account")}
		}
	}()
	if n := l.Aborted.Visits; l.Aborted.Last && n > AbortedAlone {
		return fetch.Report{Err: fault.New(fault.VisitAborted, "visiting the account",
			words.Say("%d visits in a row began and did not end", n))}
	}
	return r.o.Visitor.Visit(ctx, l.Lease)
}

// heartbeat prolongs the lease until ctx ends. When the lease is lost, or ran
// out because it could not be prolonged, it cancels the visit.
func (r *Runner) heartbeat(ctx context.Context, l Lease, cancel context.CancelCauseFunc) {
	sure := time.Now() // The lease is ours until a lease's length after this.
	for wait := r.o.Lease / 3; sleep(ctx, wait); {
		asked := time.Now()
		ectx, stop := context.WithTimeout(ctx, r.o.Lease/6)
		err := r.o.Queue.Extend(ectx, l.Lease, r.o.Now().Add(r.o.Lease))
		stop()
		switch {
		case err == nil:
			sure, wait = asked, r.o.Lease/3
		case ctx.Err() != nil:
			return
		case errors.Is(err, fetch.ErrFenced):
			cancel(err)
			return
		case time.Since(sure) >= r.o.Lease:
			cancel(fmt.Errorf("%w: it could not be prolonged: %w", fetch.ErrFenced, err))
			return
		default:
			r.o.Log.WarnContext(ctx, "prolonging a lease", "account", l.Route.ID, "error", err)
			wait = r.o.Lease / 12
		}
	}
}

// finish writes what came of a visit. A visit that was broken off from our
// side is given back as if it had not been. pause delays the next part of a
// visit that yielded.
func (r *Runner) finish(ctx context.Context, l Lease, done performed, pause time.Duration) (Settlement, error) {
	rep := done.Report
	switch {
	case errors.Is(rep.Err, fetch.ErrFenced): // Nothing here is ours any more, but to say that it is over.
		if err := r.write(ctx, func(ctx context.Context) error { return r.o.Queue.Abandon(ctx, l.Lease) }); err != nil &&
			!errors.Is(err, fetch.ErrFenced) {
			r.o.Log.WarnContext(ctx, "saying that a visit is over", "account", l.Route.ID, "error", err)
		}
		return Settlement{}, rep.Err
	case errors.Is(rep.Err, errGaveWay):
		return Settlement{}, r.write(ctx, func(ctx context.Context) error { return r.o.Queue.GiveWay(ctx, l.Lease) })
	case fault.CodeOf(rep.Err) == fault.Interrupted:
		return Settlement{}, r.write(ctx, func(ctx context.Context) error { return r.o.Queue.Abandon(ctx, l.Lease) })
	}
	slow := done.Took-rep.Waited >= SlowAfter            // What others made it wait for is not its doing.
	if rep.Err == nil && rep.Busy && rep.Messages == 0 { // Nothing is known of it but that it comes again.
		end := r.o.Queue.Abandon
		if slow {
			end = r.o.Queue.GiveWay
		}
		return Settlement{}, r.write(ctx, func(ctx context.Context) error { return end(ctx, l.Lease) })
	}
	brought, err := r.brought(ctx, l, done)
	if err != nil {
		return Settlement{}, err
	}
	out := Outcome{
		Err: fault.Of(rep.Err), Partial: rep.Partial, More: rep.More, Run: done.Run, Aborted: l.Aborted.Visits,
		Brought: brought,
	}
	s := r.o.Decide(l, out, r.o.Now(), r.o.Rand())
	s.Slow = slow
	if rep.More && rep.Err == nil {
		s.DueAt = s.DueAt.Add(pause)
	}
	return s, r.write(ctx, func(ctx context.Context) error { return r.o.Queue.Finish(ctx, l.Lease, s) })
}

// brought is what an account brought within a day, where its provider counts
// that; this visit's is the last.
func (r *Runner) brought(ctx context.Context, l Lease, done performed) (all []Brought, err error) {
	if done.Run.Bytes == 0 || r.o.Policy.Allowed.Of(l.Route.From).BytesPerDay == 0 {
		return nil, nil
	}
	err = r.write(ctx, func(ctx context.Context) (err error) {
		all, err = r.o.Queue.Brought(ctx, l.Route.ID, r.o.Now().Add(-budgetDay))
		return err
	})
	return append(all, Brought{r.o.Now(), done.Run.Bytes}), err
}

// write repeats a write that fails, but not for long: if it cannot be done the
// account becomes due when its lease ends. Once ctx has ended there is one
// try, outside of it and bounded.
func (r *Runner) write(ctx context.Context, do func(context.Context) error) error {
	for n := 1; ; n++ {
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
		err := do(wctx)
		cancel()
		if err == nil || errors.Is(err, fetch.ErrFenced) || n == finishTries || !sleep(ctx, time.Duration(n)*time.Second) {
			return err
		}
	}
}
