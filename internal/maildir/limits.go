package maildir

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// limitsNote is, beside the spools, the file with the first line that we wrote into
// the quota file last, and before it the one in whose place it came. Any other
// that stands there is the mail server's: the mailbox's own limits.
const (
	limitsNote  = "limits"
	limitsBytes = 200 // At most.
)

// parseLimits reads a quota file's first line, "204800S,1000C". What is 0, or
// cannot be read, limits nothing.
func parseLimits(header string) (l owner.Limit) {
	for _, part := range strings.Split(header, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 62)
		if err != nil || n <= 0 {
			continue
		}
		switch part[len(part)-1] {
		case 'S':
			l.Bytes = &n
		case 'C':
			l.Messages = &n
		}
	}
	return l
}

// notedLimits returns the first lines that are ours.
func (r *root) notedLimits() ([]string, error) {
	fd, _, err := r.OpenDir(r.FD, spool.Dir)
	if disk.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Disk.Close(fd)
	text, err := r.ReadSmall(fd, limitsNote, limitsBytes)
	if disk.Missing(err) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// ownLimit returns the mailbox's own limits, beside those that Mailbrook set. What
// says the same twice is said by us. outdated says that the line is ours and tells
// of limits that were set before.
func (r *root) ownLimit(set owner.Limit) (own owner.Limit, seen disk.Stat, outdated bool, err error) {
	f, err := r.readQuotaFile()
	if err != nil || f.header == "" || f.header == limitLine(set) {
		return owner.Limit{}, f.st, false, nil //nolint:nilerr // What cannot be read as one is no quota file.
	}
	noted, err := r.notedLimits()
	if err != nil || slices.Contains(noted, f.header) {
		return owner.Limit{}, f.st, err == nil, err
	}
	return parseLimits(f.header), f.st, false, nil
}

// OwnLimit returns the limits that stand in the user's mailbox itself, where the
// mail server wrote them, beside those that Mailbrook set. A user without a
// mailbox has none.
func (s *Store) OwnLimit(ctx context.Context, o owner.Owner, set owner.Limit) (owner.Limit, error) {
	if err := ctx.Err(); err != nil {
		return owner.Limit{}, err
	}
	r, err := s.openRoot(o, toMeasure)
	if disk.Missing(err) {
		return owner.Limit{}, nil
	}
	if err != nil {
		return owner.Limit{}, err
	}
	defer r.close()
	own, _, _, err := r.ownLimit(set)
	return own, disk.Trouble("reading the mailbox's limits", err)
}

// lookAtOwn refreshes the mailbox's own limits if the quota file changed; called
// with tracker.mu held.
func (d *Delivery) lookAtOwn() error {
	st, err := d.root.Lstat(d.root.FD, quotaFile)
	switch {
	case disk.Missing(err):
		d.own, d.ownSeen, d.outdated = owner.Limit{}, disk.Stat{}, false
		return nil
	case err != nil:
		return err
	case d.ownSeen.Same(st):
		return nil
	}
	d.own, d.ownSeen, d.outdated, err = d.root.ownLimit(d.limit)
	return err
}

// over says why u does not fit what Mailbrook or the mail server allows; ""
// when it does.
func (d *Delivery) over(used, wanted usage) words.Detail {
	return owner.Exceeded(d.limit, d.own, owner.Use{Bytes: used.bytes, Messages: used.messages},
		owner.Use{Bytes: wanted.bytes, Messages: wanted.messages})
}

// renewQuotaFile rewrites the quota file. What the mail server wrote into its
// first line stays; what we write there is noted as ours before, beside the line
// whose place it takes, which a power cut may bring back.
func (d *Delivery) renewQuotaFile(old string, u usage) error {
	header := limitLine(d.limit)
	noted, err := d.root.notedLimits()
	switch {
	case err != nil:
		return err
	case old != "" && old != header && !slices.Contains(noted, old):
		return d.writeQuotaFile(old, u)
	case slices.Equal(noted, []string{header}):
		return d.writeQuotaFile(header, u)
	}
	both := []string{header}
	if slices.Contains(noted, old) && old != header {
		both = []string{old, header}
	}
	if err := d.noteLimits(both...); err != nil {
		return err
	}
	return d.writeQuotaFile(header, u)
}

func (d *Delivery) noteLimits(lines ...string) error {
	fd, _, err := d.root.OpenDir(d.root.FD, spool.Dir)
	if err != nil {
		return err
	}
	defer d.root.Disk.Close(fd)
	temp := d.Temp("limits")
	if err := d.root.WriteNew(d.Spool.FD, temp, []byte(strings.Join(lines, "\n")+"\n"), true); err != nil {
		return err
	}
	if err := d.root.Replace(d.Spool.FD, temp, fd, limitsNote); err != nil {
		return errors.Join(err, d.root.Unlink(d.Spool.FD, temp))
	}
	return d.root.Sync(fd)
}
