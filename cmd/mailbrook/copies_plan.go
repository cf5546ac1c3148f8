package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// planner looks at both ends of a copy.
type planner struct{ app *app }

var _ transfer.Planner = planner{}

const (
	// sizing is how long the source's messages are listed for their sizes. A mailbox of millions takes longer: then only
	// their number is shown.
	sizing = diagnose.Patience / 2
	// plannedPage is how many listed messages are in memory, beside those that the source keeps.
	plannedPage = 5000
	// mostKeywords is how many different keywords are looked at.
	mostKeywords = 1000
)

// Plan implements transfer.Planner. The target is looked at first, as it says what to look for at the source.
func (p planner) Plan(ctx context.Context, c transfer.Copy, from, to account.Side, owned map[string]string) (
	transfer.Plan, map[string]string, error,
) {
	ctx, cancel := context.WithTimeout(ctx, diagnose.Patience)
	defer cancel()
	l := &planning{app: p.app, copy: c, keywords: map[string]bool{}, probe: map[uint32]transfer.Lying{}}
	if err := l.lookAtTarget(ctx, to); err != nil {
		return transfer.Plan{}, nil, ofSide(transfer.Target, err)
	}
	if !transfer.MayWrite(l.target.Rights) {
		return transfer.Plan{}, nil, transfer.ErrTargetReadOnly
	}
	if err := l.lookAtSource(ctx, from); err != nil {
		return transfer.Plan{}, nil, ofSide(transfer.Source, err)
	}
	if l.same() {
		return transfer.Plan{}, nil, transfer.ErrSameMailbox
	}
	names, err := l.name(owned)
	if err != nil {
		return transfer.Plan{}, nil, err
	}
	return l.sumUp(), names, nil
}

// ofSide says of which side an error is.
func ofSide(which transfer.Side, err error) error {
	return &transfer.TestFailedError{Side: which, Err: err}
}

// planning is a plan under way.
type planning struct {
	app    *app
	copy   transfer.Copy
	target imapbox.Description
	takes  transfer.Takes

	folders  []mail.Folder // Of the source.
	planned  map[string]*transfer.PlannedFolder
	partial  bool // Not all sizes are known.
	keywords map[string]bool
	large    []mail.Want // What is too large, with
	count    int64       // … how many there are.
	probed   mail.Status // Of the source's folder that is called as imapbox.Description.NewestIn,
	probe    map[uint32]transfer.Lying
	plan     transfer.Plan
}

// lookAtTarget asks what the target is and takes.
func (l *planning) lookAtTarget(ctx context.Context, to account.Side) (err error) {
	c := l.copy
	boxes, own := l.app.mailboxes.(imapBoxes)
	switch {
	case !c.Local():
		boxes.Store = imapbox.New(imapbox.Options{
			Connector: l.app.targets, Server: c.Target.Server, Key: l.app.vault.TokenKey(), Connections: 1,
			TempDir: l.app.cfg.DataDir, Now: l.app.store.Now, Log: l.app.log,
			Login: func(context.Context, owner.Owner) (imapbox.Login, error) {
				return imapbox.Login{Credential: to.Credential(), Own: true}, nil
			},
		})
	case !own:
		return l.lookAtMaildir(ctx)
	}
	r := boxes.Reader(c.Owner)
	defer func() { err = errors.Join(err, r.Close()) }()
	if l.target, err = r.Describe(ctx, nil); err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	l.takes = transfer.Takes{
		Octets:     func(part string) int { return len(wire.EncodeName(part)) },
		Refuses:    func(c rune) bool { return string(c) == l.target.Delimiter },
		SpecialUse: l.target.SpecialUse,
	}
	return nil
}

// lookAtMaildir asks what the owner's own mailbox holds and may hold, where it is a Maildir.
func (l *planning) lookAtMaildir(ctx context.Context) error {
	used, err := l.app.mailboxes.Usage(ctx, l.copy.Owner)
	if errors.Is(err, account.ErrNoMailbox) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	set, err := l.app.store.Journal().Limit(ctx, l.copy.Owner)
	if err != nil {
		return err
	}
	limit, err := l.app.house.boxes.OwnLimit(ctx, l.copy.Owner, set)
	l.target.Used, l.target.Limit, l.target.Counted = owner.Use(used), limit, err == nil
	return nil
}

// lookAtSource lists the source's folders and messages. What it cannot list in time is counted, not weighed.
func (l *planning) lookAtSource(ctx context.Context, from account.Side) (err error) {
	s, err := l.app.source.Open(ctx, l.copy.Source, from.Credential())
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if l.folders, err = s.Folders(ctx); err != nil {
		return err
	}
	l.planned = make(map[string]*transfer.PlannedFolder, len(l.folders))
	l.setLimit()
	var queries []mail.Query
	for _, f := range l.folders {
		x := &transfer.PlannedFolder{FolderState: transfer.FolderState{
			Source: f.Name(), SpecialUse: f.SpecialUse, Selected: l.selects(f), Shared: f.Shared,
			Messages: int64(f.Status.Messages),
		}}
		l.planned[f.Wire] = x
		if f.Shared && !x.Selected {
			l.plan.Shared = append(l.plan.Shared, f.Name())
		}
		if x.Selected || f.Wire == l.target.NewestIn && f.Selectable && f.Problem == nil {
			queries = append(queries, mail.Query{Folder: f, From: 1})
		}
	}
	listing, cancel := context.WithTimeout(ctx, sizing)
	defer cancel()
	err = s.List(listing, queries, l.take)
	if err != nil && ctx.Err() == nil && listing.Err() != nil { // It is large.
		l.partial = true
		return nil
	}
	if err != nil {
		return err
	}
	l.describe(ctx, s)
	return s.Leave(ctx)
}

// selects reports whether a folder is copied: shared ones only where they are named.
func (l *planning) selects(f mail.Folder) bool {
	rules := l.copy.Options.Folders
	return f.Selectable && f.Problem == nil && rules.Selects(f.Name(), f.SpecialUse) &&
		(!f.Shared || rules.Names(f.Name()))
}

// take counts what a folder holds.
func (l *planning) take(listed mail.Listing, err error) error {
	x := l.planned[listed.Folder.Wire]
	if err != nil || x == nil { // One folder's trouble: it is shown once it is copied.
		l.partial = true
		return nil
	}
	chosen := *x
	chosen.Messages, chosen.Bytes = 0, 0
	for at := 0; at < listed.Len(); at += plannedPage {
		page, err := listed.Page(at, min(plannedPage, listed.Len()-at))
		if err != nil {
			return err
		}
		for _, it := range page {
			l.weigh(listed.Folder, it, &chosen)
		}
	}
	if listed.Folder.Wire == l.target.NewestIn {
		l.probed = listed.Folder.Status
	}
	if x.Selected {
		*x = chosen
	}
	return nil
}

// weigh takes one message into account.
func (l *planning) weigh(f mail.Folder, it mail.Item, x *transfer.PlannedFolder) {
	if f.Wire == l.target.NewestIn {
		for _, k := range l.target.Newest {
			if k.UID == it.ID.UID {
				l.probe[it.ID.UID] = transfer.Lying{At: uint64(k.UID), Received: it.Received.Unix(), Size: it.Size}
			}
		}
	}
	o := l.copy.Options
	if !x.Selected || !o.Since.IsZero() && it.Received.Before(o.Since) ||
		!o.Before.IsZero() && !it.Received.Before(o.Before) {
		return
	}
	for _, k := range it.Keywords.List() {
		if len(l.keywords) < mostKeywords {
			l.keywords[k] = true
		}
	}
	if l.plan.Limit > 0 && it.Size > l.plan.Limit {
		x.TooLarge++
		l.count++
		if l.count <= transfer.MostTooLarge {
			if n := len(l.large); n == 0 || l.large[n-1].Folder.Wire != f.Wire {
				l.large = append(l.large, mail.Want{Folder: f, Validity: f.Status.UIDValidity})
			}
			want := &l.large[len(l.large)-1]
			want.Items = append(want.Items, it)
		}
		return
	}
	x.Messages++
	x.Bytes += it.Size
}

// setLimit says how large a message may be, by the surest word.
func (l *planning) setLimit() {
	p := &l.plan
	p.LimitSource = transfer.LimitUnknown
	switch {
	case l.target.AppendLimit > 0 && l.target.ByStatus:
		p.Limit, p.LimitSource = l.target.AppendLimit, transfer.LimitByStatus
	case l.target.AppendLimit > 0:
		p.Limit, p.LimitSource = l.target.AppendLimit, transfer.LimitByCapability
	}
	if most := l.copy.Options.MaxBytes; most > 0 && (p.Limit == 0 || most < p.Limit) {
		p.Limit, p.LimitSource = most, transfer.LimitByOptions
	}
}

// describe says who sent what is too large, and what about. What cannot be read stays without.
func (l *planning) describe(ctx context.Context, s *source.Session) {
	at := map[string]map[mail.ID]int{}
	for _, w := range l.large {
		at[w.Folder.Wire] = map[mail.ID]int{}
		for _, it := range w.Items {
			at[w.Folder.Wire][it.ID] = len(l.plan.TooLarge)
			l.plan.TooLarge = append(l.plan.TooLarge, transfer.TooLarge{
				Folder: w.Folder.Name(), Size: it.Size, Received: it.Received,
			})
		}
	}
	if len(l.large) == 0 {
		return
	}
	err := s.Headers(ctx, l.large, func(f mail.Folder, it mail.Item, header []byte) error {
		if i, asked := at[f.Wire][it.ID]; asked {
			l.plan.TooLarge[i].About = mail.ParseEnvelope(header, decodeCharset)
		}
		return nil
	})
	if err != nil {
		l.app.log.InfoContext(ctx, "planning a copy: headers were not read", "error", err)
	}
}

// decodeCharset reads a charset by the names that mail and the web give it.
func decodeCharset(name string, r io.Reader) (io.Reader, error) {
	enc, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("decoding a word in %s: %w", name, err)
	}
	return enc.NewDecoder().Reader(r), nil
}

// same reports whether both ends are one mailbox, by its folders and messages: hosts have many names.
func (l *planning) same() bool {
	newest := transfer.Probe{Messages: map[uint32]transfer.Lying{}}
	for _, f := range l.target.Folders {
		if f.Wire == l.target.NewestIn {
			newest.Status = f.Status
		}
	}
	for _, k := range l.target.Newest {
		newest.Messages[k.UID] = transfer.Lying{At: uint64(k.UID), Received: k.Received, Size: k.Size}
	}
	return l.copy.Source.Protocol == remote.IMAP &&
		transfer.SameFolder(transfer.Probe{Status: l.probed, Messages: l.probe}, newest)
}

// name gives each folder its name at the target.
func (l *planning) name(owned map[string]string) (map[string]string, error) {
	var chosen []mail.Folder
	for _, f := range l.folders {
		if !f.Selectable || l.planned[f.Wire].Selected {
			chosen = append(chosen, f)
		}
	}
	all, clashes, err := transfer.Naming{
		Source: chosen, Target: l.target.Folders, Takes: l.takes, Prefix: l.copy.Options.Prefix, Map: owned,
	}.Names()
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(all))
	for _, n := range all {
		if n.ParentOnly {
			continue
		}
		names[n.Source] = n.Target
		if x := l.planned[n.Wire]; x != nil {
			x.Target, x.Renamed, x.Exists = n.Target, n.Renamed, n.Exists
		}
	}
	l.plan.Clashes = clashes
	return names, nil
}

// sumUp makes the plan of what was seen.
func (l *planning) sumUp() transfer.Plan {
	p := &l.plan
	for _, f := range l.folders {
		x := l.planned[f.Wire]
		p.Folders = append(p.Folders, *x)
		if x.Selected {
			p.Messages += x.Messages
			p.Bytes += x.Bytes
		}
	}
	if l.partial {
		p.Bytes = 0
	}
	p.TooLargeCount, p.Writable = l.count, true
	if l.target.Counted {
		p.Room = transfer.RoomFor(l.target.Used, l.target.Limit, p.Messages, p.Bytes)
	}
	var keywords []string
	for k := range l.keywords {
		keywords = append(keywords, k)
	}
	slices.SortFunc(keywords, strings.Compare)
	p.RefusedFlags, p.RefusedKeywords = transfer.Refusing(l.target.Flags, keywords)
	effort := transfer.Effort{
		Messages: p.Messages, Bytes: p.Bytes, BytesPerSec: l.copy.Options.BytesPerSec,
		SourcePerDay: l.app.allowed(l.copy.Source).BytesPerDay,
	}
	if !l.copy.Local() {
		effort.TargetPerDay = l.app.allowed(l.copy.Target).BytesPerDay
	}
	p.Duration, p.Days = effort.Time()
	return *p
}
