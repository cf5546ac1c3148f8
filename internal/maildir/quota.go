package maildir

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The Maildir++ quota file: a line with the limits, then a line "octets
// messages" for each change, whose sum is the usage. Whoever finds more than
// quotaFileMax octets in it, something that does not add up, or a full mailbox
// by figures that are old or of more than one line, measures the mailbox and
// rewrites the file.
const (
	quotaFile    = "maildirsize"
	quotaFileMax = 5120
	quotaStale   = 15 * time.Minute
)

// usage is what a mailbox holds.
type usage struct{ bytes, messages int64 }

func (u usage) plus(v usage) usage { return usage{u.bytes + v.bytes, u.messages + v.messages} }
func (u usage) minus(v usage) usage {
	return usage{max(0, u.bytes-v.bytes), max(0, u.messages-v.messages)}
}

// sizes is a quota file's content.
type sizes struct {
	header string // Without the line end.
	usage
	lines int // Of changes.
	st    disk.Stat
}

// ok reports whether the figures can be believed as far as the file shows.
func (f sizes) ok() bool { return f.lines > 0 && f.bytes >= 0 && f.messages >= 0 }

// parseSizes reads a quota file. A last line without its end is not finished
// yet and left out. Figures that do not add up leave lines at 0.
func parseSizes(text string) sizes {
	text = text[:strings.LastIndexByte(text, '\n')+1]
	header, rest, _ := strings.Cut(text, "\n")
	f := sizes{header: header}
	if strings.ContainsRune(text, 0) {
		return sizes{}
	}
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		cols := strings.Fields(line)
		if len(cols) < 2 {
			return sizes{header: header}
		}
		b, err1 := strconv.ParseInt(cols[0], 10, 62)
		m, err2 := strconv.ParseInt(cols[1], 10, 62)
		if err1 != nil || err2 != nil {
			return sizes{header: header}
		}
		f.bytes, f.messages, f.lines = f.bytes+b, f.messages+m, f.lines+1
		const far = 1 << 61
		if f.bytes > far || f.bytes < -far || f.messages > far || f.messages < -far {
			return sizes{header: header}
		}
	}
	return f
}

// readQuotaFile returns the quota file as it is; lines is 0 for one that has
// to be rewritten.
func (r *root) readQuotaFile() (sizes, error) {
	fd, err := r.Open(r.FD, quotaFile, disk.OpenFile, 0)
	if err != nil {
		return sizes{}, err
	}
	defer r.Disk.Close(fd)
	st, err := r.Fstat(fd)
	if err != nil {
		return sizes{}, err
	}
	if !st.IsRegular() {
		return sizes{}, disk.ErrNotPlain
	}
	text, err := r.ReadAll(fd, quotaFileMax)
	if err != nil {
		return sizes{}, err
	}
	if len(text) > quotaFileMax {
		f := parseSizes(string(text[:quotaFileMax]))
		return sizes{header: f.header, st: st}, nil
	}
	f := parseSizes(string(text))
	f.st = st
	return f, nil
}

// measure counts every message of every folder, the trash included, as Dovecot
// does: by the size in a file's name, else by asking the disk. newest is when
// the last of the directories changed.
func (r *root) measure(ctx context.Context) (u usage, newest time.Time, err error) {
	err = r.folders(ctx, func(folder string) error {
		v, at, err := r.measureFolder(ctx, folder)
		if err != nil {
			return err
		}
		u = u.plus(v)
		if at.After(newest) {
			newest = at
		}
		return nil
	})
	return u, newest, err
}

func (r *root) measureFolder(ctx context.Context, folder string) (u usage, newest time.Time, err error) {
	dir, _, err := r.OpenDir(r.FD, folder)
	if disk.Missing(err) {
		return u, newest, nil // Removed meanwhile.
	}
	if err != nil {
		return u, newest, err
	}
	defer r.Disk.Close(dir)
	for _, sub := range []string{"new", "cur"} {
		fd, st, err := r.OpenDir(dir, sub)
		if disk.Missing(err) {
			continue
		}
		if err != nil {
			return u, newest, err
		}
		if st.Modified.After(newest) {
			newest = st.Modified
		}
		err = r.Each(fd, func(name string) error {
			size, ok := sizeInName(name)
			if !ok {
				st, err := r.Lstat(fd, name)
				if disk.Missing(err) {
					return nil
				}
				if err != nil {
					return err
				}
				size = st.Size
			}
			u = u.plus(usage{size, 1})
			return ctx.Err()
		})
		r.Disk.Close(fd)
		if err != nil {
			return u, newest, err
		}
	}
	return u, newest, nil
}

// sizeInName returns the size that a Maildir file's name tells: ",S=1234".
func sizeInName(name string) (int64, bool) {
	_, after, ok := strings.Cut(name, ",S=")
	if !ok {
		return 0, false
	}
	digits := after
	if i := strings.IndexAny(after, ",:"); i >= 0 {
		digits = after[:i]
	}
	n, err := strconv.ParseUint(digits, 10, 62)
	return int64(n), err == nil
}

// changedSince reports whether a message came into or left any folder at t or
// later: a disk's clock ticks slowly. Reading mail looks the same; then the
// mailbox is measured once too often.
func (r *root) changedSince(ctx context.Context, t time.Time) (bool, error) {
	err := r.folders(ctx, func(folder string) error {
		dir, _, err := r.OpenDir(r.FD, folder)
		if disk.Missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Disk.Close(dir)
		for _, sub := range []string{"new", "cur"} {
			st, err := r.Lstat(dir, sub)
			if err != nil && !disk.Missing(err) {
				return err
			}
			if err == nil && !st.Modified.Before(t) {
				return disk.ErrEnough
			}
		}
		return nil
	})
	if errors.Is(err, disk.ErrEnough) {
		return true, nil
	}
	return false, err
}

// appendQuota adds a change to the quota file. It reports false where the file
// has to be rewritten; a mailbox without one needs none.
func (r *root) appendQuota(change usage) (bool, error) {
	fd, err := r.Open(r.FD, quotaFile, disk.OpenAppend, 0)
	if disk.Missing(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	st, err := r.Fstat(fd)
	switch {
	case err != nil:
	case !st.IsRegular() || st.Links != 1:
		err = disk.ErrNotPlain // Not ours to write: another name of somebody's file.
	case st.Size > quotaFileMax:
		return false, r.Disk.Close(fd)
	default:
		err = r.WriteAll(fd, fmt.Appendf(nil, "%d %d\n", change.bytes, change.messages))
	}
	err = errors.Join(err, r.Disk.Close(fd))
	return err == nil, err
}

// limitLine is the quota file's first line; Dovecot writes "0S" for no limit.
func limitLine(l owner.Limit) string {
	var parts []string
	if l.Bytes != nil && *l.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%dS", *l.Bytes))
	}
	if l.Messages != nil && *l.Messages > 0 {
		parts = append(parts, fmt.Sprintf("%dC", *l.Messages))
	}
	if len(parts) == 0 {
		return "0S"
	}
	return strings.Join(parts, ",")
}

// limited reports whether anything limits the mailbox, as far as was looked.
func (d *Delivery) limited() bool { return limits(d.limit) || limits(d.own) }

func limits(l owner.Limit) bool { return l.Bytes != nil || l.Messages != nil }

// Reserve makes room for messages about to be staged, against the limits of
// Mailbrook and of the mailbox itself, and against other deliveries of this process
// into the same mailbox. When there is none it fails with local_over_quota and
// reserves nothing; when ctx ends before it is known, with interrupted. It costs two
// looks at the quota file's date.
func (d *Delivery) Reserve(ctx context.Context, messages, bytes int64) error {
	n := usage{max(0, bytes), max(0, messages)}
	const op = "reserving room in the mailbox"
	const tries = 6 // The fourth decides, unless somebody is delivering in between.
	measured, unchanged := false, disk.Stat{}
	for range tries {
		next, file, err := d.reserve(n, measured, unchanged)
		if err != nil || next == needNothing {
			return disk.Trouble(op, err)
		}
		if next == needCompare {
			changed, err := d.root.changedSince(ctx, file.Modified)
			if err != nil {
				return disk.Trouble(op, err)
			}
			if !changed {
				unchanged = file
				continue
			}
		}
		if err := d.remeasure(ctx); err != nil {
			return disk.Trouble("measuring the mailbox", err)
		}
		measured = true
	}
	return disk.Unavailable("measuring the mailbox",
		words.Say("The local mailbox changes faster than it can be measured."))
}

// What has to be done before room can be reserved or refused. Both look through the
// mailbox, which may take long, and hold no lock that others wait for without end.
type need int

const (
	needNothing need = iota // It is reserved, or refused.
	needCompare             // Has any folder changed since the quota file was written?
	needMeasure             // The mailbox has to be measured.
)

// reserve tries it by the figures at hand, with no more than a glance at the disk. It
// says what is to be done when they are not good enough for the answer, and the quota
// file that it is about. No folder has changed since the file called unchanged was written.
func (d *Delivery) reserve(n usage, measured bool, unchanged disk.Stat) (need, disk.Stat, error) {
	t := d.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := d.lookAtOwn(); err != nil {
		return needNothing, disk.Stat{}, err
	}
	if d.outdated && !measured {
		return needMeasure, disk.Stat{}, nil // Measuring rewrites the limits.
	}
	if d.limited() {
		if next, file, err := d.look(measured, unchanged); err != nil || next != needNothing {
			return next, file, err
		}
		if over := d.over(t.used.plus(t.reserved), n); over != nil {
			if !measured {
				if next, file := d.doubt(unchanged); next != needNothing {
					return next, file, nil
				}
			}
			return needNothing, disk.Stat{}, fault.New(fault.LocalOverQuota, "reserving room in the mailbox", over...)
		}
	}
	t.reserved = t.reserved.plus(n)
	d.reserved = d.reserved.plus(n)
	return needNothing, disk.Stat{}, nil
}

// look refreshes the usage from the quota file if that changed, or says what is to be
// done first.
func (d *Delivery) look(measured bool, unchanged disk.Stat) (need, disk.Stat, error) {
	t := d.tracker
	st, err := d.root.Lstat(d.root.FD, quotaFile)
	switch {
	case err != nil && !disk.Missing(err):
		return needNothing, disk.Stat{}, err
	case t.known && d.looked && t.seen == disk.Stat{} && (measured || disk.Missing(err)):
		return needNothing, disk.Stat{}, nil // Measured, but not written.
	case disk.Missing(err):
		return needMeasure, disk.Stat{}, nil
	case t.known && d.looked && t.seen.Same(st):
		return needNothing, disk.Stat{}, nil
	}
	f, err := d.root.readQuotaFile()
	if err != nil || !f.ok() {
		return needMeasure, disk.Stat{}, nil // It replaces the file.
	}
	if !d.looked && !measured && time.Since(f.st.Modified) > quotaStale && !f.st.Same(unchanged) {
		return needCompare, f.st, nil
	}
	t.used, t.seen, t.known, d.looked = f.usage, f.st, true, true
	return needNothing, disk.Stat{}, nil
}

// doubt says what is to be done before a mailbox is called full: nothing, if the quota
// file was written by measuring, recently, and nothing came or went since.
func (d *Delivery) doubt(unchanged disk.Stat) (need, disk.Stat) {
	f, err := d.root.readQuotaFile()
	switch {
	case err != nil || f.lines != 1 || time.Since(f.st.Modified) > quotaStale:
		return needMeasure, disk.Stat{}
	case !f.st.Same(unchanged):
		return needCompare, f.st
	}
	return needNothing, disk.Stat{}
}

// remeasure counts the mailbox and rewrites the quota file. What cannot be
// written is known all the same, until the next time.
func (d *Delivery) remeasure(ctx context.Context) error {
	t, r := d.tracker, d.root
	if err := t.moves.Acquire(ctx, everybody); err != nil {
		return err
	}
	defer t.moves.Release(everybody)
	const tries = 3
	for try := 1; ; try++ {
		u, newest, err := r.measure(ctx)
		if err != nil {
			return err
		}
		changed, err := r.changedSince(ctx, newest.Add(1))
		if err != nil {
			return err
		}
		if changed && try < tries {
			continue
		}
		old, err := r.readQuotaFile()
		if err != nil {
			old.header = ""
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.used, t.known, t.seen, d.looked = u, true, disk.Stat{}, true
		if changed {
			return nil // Somebody is busy there: the next one writes.
		}
		if err := d.renewQuotaFile(old.header, u); err != nil {
			d.store.log.Warn("the quota file was not written", "mailbox", r.Path, "error", err)
			return nil
		}
		t.seen, err = r.Lstat(r.FD, quotaFile)
		return err
	}
}

func (d *Delivery) writeQuotaFile(header string, u usage) error {
	temp := d.Temp("quota")
	if err := d.root.WriteNew(d.Spool.FD, temp, fmt.Appendf(nil, "%s\n%d %d\n", header, u.bytes, u.messages),
		false); err != nil {
		return err
	}
	if err := d.root.Replace(d.Spool.FD, temp, d.root.FD, quotaFile); err != nil {
		return errors.Join(err, d.root.Unlink(d.Spool.FD, temp))
	}
	return nil
}

// settle turns what was published from reserved into used. It reports false
// when the mailbox has to be measured: some of it may have been counted before,
// or the quota file is full or broken.
func (d *Delivery) settle(moved usage, names []string, recount bool) bool {
	d.store.step("publish.size")
	counted, err := !recount, error(nil)
	if counted && moved != (usage{}) {
		counted, err = d.root.appendQuota(moved)
	}
	if err != nil {
		d.store.log.Warn("the quota file was not updated", "mailbox", d.root.Path, "error", err)
	}
	bytes, messages := d.Forget(names)
	t := d.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	d.giveBack(usage{bytes, messages})
	if t.seen == (disk.Stat{}) {
		t.used = t.used.plus(moved)
	}
	if !counted {
		t.known = false
	}
	return counted
}

// giveBack is Release with the lock held.
func (d *Delivery) giveBack(n usage) {
	n = usage{min(n.bytes, d.reserved.bytes), min(n.messages, d.reserved.messages)}
	d.reserved = d.reserved.minus(n)
	d.tracker.reserved = d.tracker.reserved.minus(n)
}

// Release gives back what was reserved and is not delivered.
func (d *Delivery) Release(messages, bytes int64) {
	d.tracker.mu.Lock()
	defer d.tracker.mu.Unlock()
	d.giveBack(usage{max(0, bytes), max(0, messages)})
}

// keepsQuota reports whether the quota file matters here.
func (d *Delivery) keepsQuota() bool {
	if limits(d.limit) {
		return true
	}
	_, err := d.root.Lstat(d.root.FD, quotaFile)
	return err == nil
}
