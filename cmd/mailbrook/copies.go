package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// openCopies wires what copies whole mailboxes: an engine whose visits note how far they have come, who leases copies,
// and who is asked for them.
func (a *app) openCopies(boxes fetch.Mailbox, budget *memory.Budget) {
	under := a.copying
	engine := fetch.New(fetch.Options{
		Source: phased{sources{a}, a, under}, Mailbox: boxes, Journal: a.store.Journal(), Quirks: a.visitQuirks,
		Credentials: a.credentials(), TokenKey: a.vault.TokenKey(), LocalName: copyFolder,
		MaxMessageBytes: route.MostMessageBytes, Budget: budget, Log: a.log, Now: a.store.Now,
	})
	policy := schedule.Policy{Interval: a.cfg.Poll.Interval, Allowed: a.allowed}
	a.copyRunner = schedule.New(schedule.Options{
		Queue: heldQueue{a.store.Queue(), a.house}, Visitor: copier{a, engine, under}, Policy: policy, Decide: policy.Once,
		Kind: route.Once, AtHost: a.allowedAt, Worker: workerID() + "/copies", Workers: a.cfg.Copies.Workers, Log: a.log,
	})
	a.copies = transfer.NewRegistry(transfer.RegistryOptions{
		Repository: a.store.Copies(), Sealer: a.vault, Sides: a.registry, Planner: planner{a}, Nudger: a.copyRunner,
		Enabled: a.cfg.Copies.Enabled, Limit: a.cfg.Copies.MaxPerUser, AnyTarget: a.cfg.Copies.AnyTarget,
		Keep: a.cfg.Copies.Keep, Now: a.store.Now, Log: a.log,
	})
}

// copyFolder is where a folder of a copy's source arrives: where the plan says, else under its own name.
func copyFolder(r route.Route, f mail.Folder, taken func(string) bool) string {
	if name, ok := r.Names[f.Name()]; ok && !taken(name) {
		return name
	}
	return transfer.LateName(f, taken)
}

// copier performs the visits of copies, phase by phase.
type copier struct {
	app    *app
	engine *fetch.Engine
	leases *leases
}

// folderTries is how often a folder that cannot be read is tried again before the copy continues without it.
const folderTries = 5

// Visit implements schedule.Visitor.
func (v copier) Visit(ctx context.Context, l fetch.Lease) fetch.Report {
	ctx, release := v.app.house.guard(ctx)
	defer release()
	defer v.leases.hold(l)()
	began := time.Now()
	rep := v.work(ctx, l)
	if errors.Is(rep.Err, fetch.ErrFenced) || ctx.Err() != nil {
		return rep
	}
	rows := v.app.store.Copies()
	done := transfer.Work{Took: time.Since(began)}
	if boxes := v.leases.target(l.Route.ID); boxes != nil {
		done.Ambiguous, done.Keywords, done.Rewritten = boxes.Ambiguous(), boxes.DroppedKeywords(), boxes.Rewriting() > 0
	}
	if err := rows.Worked(ctx, l, done); err != nil {
		rep.Err = errors.Join(rep.Err, err)
	}
	var f *fault.Error
	if errors.As(rep.Err, &f) {
		rep.Err = diagnose.Refine(v.app.catalog, l.Route.From.Provider, l.Route.From.Server.Host, f)
	}
	return rep
}

func (v copier) work(ctx context.Context, l fetch.Lease) (rep fetch.Report) {
	rows := v.app.store.Copies()
	c, phase, err := rows.Leased(ctx, l)
	if err != nil {
		return fetch.Report{Err: err}
	}
	if phase != transfer.Verifying {
		if err := rows.Enter(ctx, l, transfer.Connecting); err != nil {
			return fetch.Report{Err: err}
		}
		v.leases.setCap(l.Route.ID, tighter(v.app.cfg.Copies.Bandwidth, c.Options.BytesPerSec))
		rep = v.engine.Visit(ctx, l)
		if rep.Err == nil && !rep.More && rep.Partial != nil && rep.Partial.Code == fault.FolderFailed &&
			l.Failures < folderTries {
			rep.Err = rep.Partial
		}
		if rep.Err != nil || rep.More {
			return rep
		}
		if err := rows.Enter(ctx, l, transfer.Verifying); err != nil {
			rep.Err = err
		}
		rep.More = true // Verifying is another slice, so that others have theirs between.
		return rep
	}
	return v.verify(ctx, l, c)
}

// tighter is the smaller of two limits; 0 is none.
func tighter(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// phased notes in which phase a copy is when its source lets us in.
type phased struct {
	fetch.Source
	app    *app
	leases *leases
}

// Open implements fetch.Source.
func (p phased) Open(ctx context.Context, m remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	s, err := p.Source.Open(ctx, m, c)
	if err != nil {
		return nil, err
	}
	l, ok := p.leases.of(route.ID(m.Secret.Subject))
	if !ok {
		return s, nil
	}
	if err := p.app.store.Copies().Enter(ctx, l, transfer.Listing); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if most := p.leases.cap(l.Route.ID); most > 0 {
		return slowed{s, most}, nil
	}
	return s, nil
}

// slowed reads no more octets of messages in a second than it may, over the time that it takes.
type slowed struct {
	fetch.Session
	most int64
}

// Fetch implements fetch.Session.
func (s slowed) Fetch(ctx context.Context, wants []mail.Want,
	take func(f mail.Folder, it mail.Item, body io.Reader) error,
	miss func(f mail.Folder, it mail.Item, why *fault.Error),
) error {
	began, read := time.Now(), int64(0)
	return s.Session.Fetch(ctx, wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
		if err := take(f, it, body); err != nil {
			return err
		}
		read += it.Size
		due := time.NewTimer(time.Duration(float64(read)/float64(s.most)*float64(time.Second)) - time.Since(began))
		defer due.Stop()
		select {
		case <-due.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for the bandwidth of copies: %w", context.Cause(ctx))
		}
	}, miss)
}

// leases are those under which this process copies, with what is known of their targets.
type leases struct {
	mu      sync.Mutex
	all     map[route.ID]fetch.Lease
	targets map[route.ID]*imapbox.Store // Those at servers.
	caps    map[route.ID]int64          // Octets that a copy may read in a second; 0: no limit.
}

// setCap notes how much a copy may read in a second.
func (ls *leases) setCap(id route.ID, most int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.caps[id] = most
}

// cap is how much a copy may read in a second; 0: no limit.
func (ls *leases) cap(id route.ID) int64 {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.caps[id]
}

func newLeases() *leases {
	return &leases{
		all: map[route.ID]fetch.Lease{}, targets: map[route.ID]*imapbox.Store{}, caps: map[route.ID]int64{},
	}
}

// noteTarget notes where a copy goes.
func (ls *leases) noteTarget(id route.ID, boxes *imapbox.Store) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.targets[id] = boxes
}

// target is where a copy went in the visit under way; nil: into its owner's own mailbox, or it did not come so far.
func (ls *leases) target(id route.ID) *imapbox.Store {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.targets[id]
}

func (ls *leases) of(id route.ID) (fetch.Lease, bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l, ok := ls.all[id]
	return l, ok
}

// hold notes a lease until the function that it returns is called.
func (ls *leases) hold(l fetch.Lease) (release func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all[l.Route.ID] = l
	return func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		if ls.all[l.Route.ID].Epoch == l.Epoch {
			delete(ls.all, l.Route.ID)
			delete(ls.targets, l.Route.ID)
			delete(ls.caps, l.Route.ID)
		}
	}
}
