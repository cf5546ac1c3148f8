package fetch

import (
	"context"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// datedAtOnce is how many messages' headers are read at a time to learn their
// dates.
const datedAtOnce = 50

// since is the moment before which mail is passed over; zero when none is.
func (v *visit) since() time.Time {
	a := v.lease.Account
	return a.Start.Since(a.CreatedAt)
}

// begin sees to it that a folder is looked at as a whole when its cursor was
// computed for another start: what was passed over for that one may be wanted
// now.
func (v *visit) begin(p *plan) {
	if since := v.since(); !p.folder.Since.Equal(since) {
		p.restarted, p.sinceWas = true, p.folder.Since
		p.folder.Since, p.folder.Cursor = since, Cursor{}
		p.from = 0
	}
}

// passOver takes off the plans what was there before the account's start. It is
// not settled: a wider start has it fetched.
//
// Only what was there at the first complete look is passed over, and of that
// only what bears an older date; so neither a server's wrong clock nor a first
// visit that came late or broke off loses what has arrived since. IMAP tells
// by UID and date which these are, each time anew; by POP3 the dates are read
// once, and what they say is remembered.
func (v *visit) passOver(ctx context.Context) error {
	var e Entry
	for _, p := range v.plans {
		old, err := v.passed(ctx, p)
		if err != nil {
			return err
		}
		before := len(p.todo)
		p.todo = slices.DeleteFunc(p.todo, func(it mail.Item) bool { return old[it.ID] })
		p.changed = p.changed || len(p.todo) < before
		if !p.restarted {
			continue
		}
		if !p.settles { // Not all of it was seen: the next visit looks again.
			p.folder.Since = p.sinceWas
			continue
		}
		e.Folders = append(e.Folders, p.folder)
		if !v.byUID() {
			e.Pass = append(e.Pass, Passed{FolderID: p.folder.ID, FolderEpoch: p.folder.Epoch, IDs: old})
		}
	}
	if len(e.Folders) == 0 {
		return nil
	}
	v.Step("start.commit")
	e.Progress = v.progress
	return v.Journal.Commit(ctx, v.lease, e)
}

// passed returns which of a folder's unsettled messages are passed over.
func (v *visit) passed(ctx context.Context, p *plan) (map[mail.ID]bool, error) {
	since := v.since()
	switch {
	case since.IsZero() || len(p.todo) == 0:
		return nil, nil
	case !v.byUID() && !p.restarted:
		return v.Journal.Passed(ctx, v.lease, p.folder)
	}
	var candidates []mail.Item
	for _, it := range p.todo {
		if _, skipped := p.waiting[it.ID]; !skipped {
			candidates = append(candidates, it)
		}
	}
	if v.byUID() {
		old := map[mail.ID]bool{}
		for _, it := range candidates {
			late := p.folder.FirstUID != 0 && it.ID.UID >= p.folder.FirstUID
			old[it.ID] = !late && !it.Received.IsZero() && it.Received.Before(since)
		}
		return old, nil
	}
	if since.Before(p.sinceWas) { // Wider: what was not passed over then is not now.
		was, err := v.Journal.Passed(ctx, v.lease, p.folder)
		if err != nil {
			return nil, err
		}
		candidates = slices.DeleteFunc(candidates, func(it mail.Item) bool { return !was[it.ID] })
	}
	return v.older(ctx, p, candidates, since)
}

// older returns which messages bear a date before since in their headers. They
// are read newest first, until so many in a row are older that the rest can be
// taken to be, unless the server lists its mail in another order.
func (v *visit) older(ctx context.Context, p *plan, items []mail.Item, since time.Time) (map[mail.ID]bool, error) {
	session, ok := v.session.(HeaderSession)
	if !ok {
		return nil, nil // Better too much than too little.
	}
	old := map[mail.ID]bool{}
	scanner := mail.NewScanner()
	read := func(part []mail.Item) (all bool, err error) {
		v.Step("start.headers")
		want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity, Items: part}
		err = session.Headers(ctx, []mail.Want{want}, func(_ mail.Folder, it mail.Item, header []byte) error {
			scanner.Reset()
			if _, err := scanner.Write(header); err != nil {
				return err
			}
			d := scanner.Date()
			old[it.ID] = !d.IsZero() && d.Before(since)
			return nil
		})
		return !slices.ContainsFunc(part, func(it mail.Item) bool { return !old[it.ID] }), err
	}
	sorted := true
	for rest := items; len(rest) > 0; {
		n := min(len(rest), datedAtOnce)
		all, err := read(rest[:n])
		if err != nil {
			return nil, err
		}
		if rest = rest[n:]; !all || !sorted || len(rest) <= datedAtOnce {
			continue
		}
		if sorted, err = read(rest[len(rest)-datedAtOnce:]); err != nil {
			return nil, err
		}
		if sorted {
			for _, it := range rest {
				old[it.ID] = true
			}
			break
		}
	}
	return old, nil
}
