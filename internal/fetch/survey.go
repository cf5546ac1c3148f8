package fetch

import (
	"context"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// survey finds out what is new: which folders exist, which of them changed,
// and what they hold that is not settled.
func (v *visit) survey(ctx context.Context) error {
	v.Step("survey.folders")
	remotes, err := v.session.Folders(ctx)
	if err != nil {
		return err
	}
	if v.folders, err = v.Journal.Folders(ctx, v.lease); err != nil {
		return err
	}
	if v.skipped, err = v.Journal.Skipped(ctx, v.lease); err != nil {
		return err
	}
	if err := v.matchFolders(ctx, remotes); err != nil {
		return err
	}
	var queries []mail.Query
	var changed []*plan
	for _, p := range v.plans {
		if !v.unchanged(p) {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 {
		return v.readAny()
	}
	v.rotate(changed)
	asked := v.avoidClosing(changed)
	for _, p := range asked {
		queries = append(queries, mail.Query{
			Folder: p.remote, From: p.from, Failing: v.fails(p), ReadWhole: v.readWhole,
		})
	}
	next := 0
	var rescan []*plan
	collect := func(l mail.Listing, err error) error {
		p := asked[next]
		next++
		if err != nil {
			p.unread = fault.Of(err)
			v.closing.learn(v.lease.Route.ID, p.folder.Wire, p.unread, v.Now())
			v.noteFailure(fault.FolderFailed, folderWhat(p.name()), err)
			return nil
		}
		v.closing.learn(v.lease.Route.ID, p.folder.Wire, nil, v.Now())
		again, err := v.compare(ctx, p, l)
		if again {
			rescan = append(rescan, p)
		}
		return err
	}
	if err := v.session.List(ctx, queries, collect); err != nil {
		return err
	}
	if len(rescan) == 0 {
		return v.readAny()
	}
	queries, asked, next = nil, rescan, 0
	for _, p := range rescan {
		p.from, p.whole = 0, true
		queries = append(queries, mail.Query{Folder: p.remote, ReadWhole: v.readWhole})
	}
	rescan = nil
	if err := v.session.List(ctx, queries, collect); err != nil {
		return err
	}
	return v.readAny()
}

// readAny fails where there are folders to read, and none could be: that is no
// visit that went well.
func (v *visit) readAny() error {
	var first *fault.Error
	for _, p := range v.plans {
		if p.unread == nil {
			return nil
		}
		if first == nil {
			first = p.unread
		}
	}
	switch {
	case first != nil:
		return first
	case v.failing != nil: // None had a name that can be used.
		return v.failing
	}
	return nil
}

// rotate has another folder asked for first after visits that failed: two that are
// to blame would otherwise look like a server that opens none, again and again.
func (v *visit) rotate(asked []*plan) {
	n := v.lease.Failures % len(asked)
	for _, half := range [][2]int{{0, n}, {n, len(asked)}, {0, len(asked)}} {
		slices.Reverse(asked[half[0]:half[1]])
	}
}

// byUID says that messages are named by UIDs under a UIDVALIDITY; otherwise by UIDLs.
func (v *visit) byUID() bool { return v.lease.Route.From.Protocol == remote.IMAP }

// retryDue reports whether a skipped message of the folder is due for another try.
func (v *visit) retryDue(p *plan) bool {
	now := v.Now()
	for _, s := range v.skipped {
		if s.FolderID == p.folder.ID && s.FolderEpoch == p.folder.Epoch && s.due(now) {
			return true
		}
	}
	return false
}

// remaining returns how long the visit may still take.
func (v *visit) remaining() time.Duration { return v.Slice - v.Now().Sub(v.began) }
