package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
)

// datedAtOnce is how many messages' headers are read at a time to learn their
// dates.
const datedAtOnce = 50

// since is the account's start: what is older is not fetched; zero: everything is.
func (v *visit) since() time.Time {
	r := v.lease.Route
	return r.Start.Since(r.CreatedAt)
}

// resetIfStartChanged sees to it that a folder is looked at as a whole when its cursor was
// computed for another start: what was older than that one may be wanted
// now.
func (v *visit) resetIfStartChanged(p *plan) {
	if since := v.since(); !p.folder.Since.Equal(since) {
		p.restarted, p.sinceWas = true, p.folder.Since
		p.folder.Since, p.folder.Cursor = since, Cursor{}
		p.from = 0
	}
}

// applyStart takes off the plans what was there before the account's start. It is
// not settled: a wider start has it fetched.
//
// Only what was there at the first complete look is left out, and of that only what
// has an older date; so neither a server's wrong clock nor a first
// visit that came late or broke off loses what has arrived since. By IMAP
// UID and date show which these are, each time: see isOld. By POP3 the dates
// are read once, and what they say is remembered.
func (v *visit) applyStart(ctx context.Context) error {
	var e Entry
	for _, p := range v.plans {
		var old bits
		if !v.byUID() {
			var err error
			if old, err = v.judgeOld(ctx, p); err != nil {
				return err
			}
		}
		if !p.restarted {
			continue
		}
		if !p.examined() { // Not all of it was seen: the next visit looks again.
			p.folder.Since = p.sinceWas
			continue
		}
		e.Folders = append(e.Folders, p.folder)
		if !v.byUID() {
			e.BeforeStart = append(e.BeforeStart, BeforeStart{
				FolderID: p.folder.ID, FolderEpoch: p.folder.Epoch, Each: v.names(p, old),
			})
		}
	}
	if len(e.Folders) == 0 {
		return nil
	}
	v.Step("start.commit")
	e.Progress = v.progress
	return v.Journal.Commit(ctx, v.lease, e)
}

// isOld reports whether a message is from before the start by its UID and date.
func (v *visit) isOld(p *plan, it *mail.Item) bool {
	since := v.since()
	if since.IsZero() || !v.byUID() {
		return false
	}
	if _, skipped := p.waiting[it.ID]; skipped {
		return false
	}
	late := p.folder.FirstUID != 0 && it.ID.UID >= p.folder.FirstUID
	return !late && !it.Received.IsZero() && it.Received.Before(since)
}

// names names the messages at these places of a listing.
func (v *visit) names(p *plan, which bits) func(yield func(mail.ID) error) error {
	return func(yield func(mail.ID) error) error {
		return v.eachPage(&p.listing, func(at int, items []mail.Item) error {
			for i := range items {
				if which.has(at + i) {
					if err := yield(items[i].ID); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

// judgeOld judges what is from before the start by POP3, and returns where in the
// listing that is.
func (v *visit) judgeOld(ctx context.Context, p *plan) (old bits, err error) {
	since := v.since()
	if since.IsZero() || p.verdicts.count(VerdictFetch) == 0 {
		return nil, nil
	}
	var was bits
	if !p.restarted || since.Before(p.sinceWas) {
		if was, err = v.oldBefore(ctx, p); err != nil {
			return nil, err
		}
	}
	if old = was; p.restarted {
		// An earlier start: what was not older then is not now.
		if old, err = v.older(ctx, p, since, was); err != nil {
			return nil, err
		}
	}
	for at := range p.listing.Len() {
		if old.has(at) && p.verdicts[at] == VerdictFetch {
			p.judge(at, VerdictBeforeStart)
		}
	}
	return old, nil
}

// oldBefore returns the places in the listing of what the journal lists as older than
// the start.
func (v *visit) oldBefore(ctx context.Context, p *plan) (bits, error) {
	cost := v.cost(&p.listing)
	if err := taken(ctx, cost); err != nil {
		return nil, err
	}
	defer memory.Of(ctx).Give(cost)
	r, err := v.indexListing(&p.listing)
	if err != nil {
		return nil, err
	}
	was := newBits(r.n)
	return was, v.Journal.BeforeStart(ctx, v.lease, p.folder, func(id mail.ID) error {
		if at, ok := r.find(id); ok {
			was.set(at)
		}
		return nil
	})
}

// older returns which messages have a date before since in their headers, of
// those in among unless that is nil. They are read newest first, until so many in
// a row are older that the rest can be taken to be, unless the server lists its
// mail in another order.
func (v *visit) older(ctx context.Context, p *plan, since time.Time, among bits) (bits, error) {
	d := &dating{visit: v, plan: p, since: since, old: newBits(p.listing.Len()), sorted: true}
	rest := newBits(p.listing.Len()) // The candidates, as places.
	_, err := v.eachNew(p, p.listing.Len(), func(at int, it mail.Item) bool {
		_, skipped := p.waiting[it.ID]
		_, renamed := p.renamed[at]
		if !skipped && !renamed && (among == nil || among.has(at)) {
			rest.set(at)
			d.left++
			d.oldest = d.oldest.with(place{at, it})
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	var failed error
	_, err = v.eachNew(p, p.listing.Len(), func(at int, it mail.Item) bool {
		if !rest.has(at) {
			return true
		}
		d.part = append(d.part, place{at, it})
		if d.left--; len(d.part) == datedAtOnce || d.left == 0 {
			failed = d.read(ctx)
		}
		return failed == nil && !d.allOld
	})
	if err = errors.Join(err, failed); err != nil || !d.allOld {
		return d.old, err
	}
	for at := range d.last {
		if rest.has(at) {
			d.old.set(at)
		}
	}
	return d.old, nil
}

// place is a message and where in the listing it is.
type place struct {
	at   int
	item mail.Item
}

// oldest are the last few places that were seen.
type oldest []place

func (o oldest) with(p place) oldest {
	if len(o) == datedAtOnce {
		copy(o, o[1:])
		o = o[:len(o)-1]
	}
	return append(o, p)
}

// dating is the reading of dates in one folder.
type dating struct {
	visit  *visit
	plan   *plan
	since  time.Time
	old    bits
	oldest oldest  // The candidates that are the oldest by their places.
	part   []place // To be read next.
	last   int     // The lowest place that was read.
	left   int     // Candidates that are not in part yet and were not read.
	sorted bool    // The oldest were not found to be new.
	allOld bool    // What lies below last is old.
}

// read reads the dates of a part. When all of it is old the oldest are looked at,
// to tell whether what lies between needs to be.
func (d *dating) read(ctx context.Context) error {
	all, err := d.dates(ctx, d.part)
	d.last = d.part[len(d.part)-1].at
	d.part = d.part[:0]
	if err != nil || !all || !d.sorted || d.left <= datedAtOnce {
		return err
	}
	d.sorted, err = d.dates(ctx, d.oldest)
	d.allOld = d.sorted
	return err
}

// dates reads the dates of messages and says whether all are old.
func (d *dating) dates(ctx context.Context, part []place) (all bool, err error) {
	d.visit.Step("start.headers")
	want := mail.Want{Folder: d.plan.remote, Validity: d.plan.folder.UIDValidity}
	where := map[mail.ID]int{}
	for _, p := range part {
		want.Items = append(want.Items, p.item)
		where[p.item.ID] = p.at
	}
	old := 0
	scanner := mail.NewScanner()
	err = d.visit.session.Headers(ctx, []mail.Want{want}, func(_ mail.Folder, it mail.Item, header []byte) error {
		scanner.Reset()
		if _, err := scanner.Write(header); err != nil {
			return err
		}
		if date := scanner.Date(); !date.IsZero() && date.Before(d.since) {
			d.old.set(where[it.ID])
			old++
		}
		return nil
	})
	return old == len(part), err
}
