package maildir

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Mailboxes are moved, restored and replaced while we deliver. What was opened goes
// with the directory that was moved: see docs/decisions/0002-exactly-once.md.

var replaced = words.Say("The local mailbox was moved, replaced or removed while Mailbrook was at work in it.")

// Present fails with local_mailbox_unavailable unless the user's mailbox is still the
// directory that was opened. What was published before it returned nil was put into
// the mailbox that was at its place then.
func (d *Delivery) Present(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.store.still(d.owner, d.root)
}

// still fails unless a user's mailbox is the directory that was opened.
func (s *Store) still(o owner.Owner, opened *root) error {
	const op = "looking whether the mailbox is at its place"
	r, err := s.reach(o, false)
	if disk.Missing(err) {
		return disk.Unavailable(op, replaced)
	}
	if err != nil {
		return err
	}
	defer r.close()
	if !r.Stat.Is(opened.Stat) {
		return disk.Unavailable(op, replaced)
	}
	return nil
}

// retrieve takes back into the spool what came into directories that are not in the
// mailbox any more. A folder that its user renamed meanwhile still is.
func (p *publication) retrieve(ctx context.Context) error {
	r := p.d.root
	astray := map[*target]bool{}
	for _, t := range p.opened {
		there, err := r.leadsTo(t.folder, t)
		if err == nil && !there {
			there, err = r.holds(ctx, t)
		}
		if err != nil {
			return err
		}
		astray[t] = !there
	}
	back := 0
	for _, m := range p.arrived {
		if !astray[m.in] {
			continue
		}
		p.d.store.step("publish.retrieve")
		err := r.takeBack(m.in.fd, m.name, p.d.Spool.FD, m.Spool)
		if disk.Missing(err) {
			continue // Whoever took it has it.
		}
		if err != nil {
			return err
		}
		back++
		p.moved = p.moved.plus(usage{-m.FileSize, -1})
		p.names = slices.DeleteFunc(p.names, func(name string) bool { return name == m.Spool })
	}
	if back == 0 {
		return nil
	}
	gone := words.Say("A folder of the local mailbox was moved out of it, or replaced, while mail was put there.")
	return errors.Join(disk.Unavailable("delivering messages", gone), r.Sync(p.d.Spool.FD))
}

// leadsTo reports whether a folder's directory is still the one that was opened.
func (r *root) leadsTo(folder string, t *target) (bool, error) {
	now, err := r.openTarget(folder, t.sub)
	switch {
	case disk.Missing(err), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return false, nil
	case err != nil:
		return false, err
	}
	r.Disk.Close(now.fd)
	return now.subSt.Is(t.subSt), nil
}

// holds reports whether a directory lies in the mailbox, under whatever name.
func (r *root) holds(ctx context.Context, t *target) (found bool, err error) {
	err = r.folders(ctx, func(name string) error {
		st, err := r.Lstat(r.FD, name)
		if err != nil || !st.Is(t.dirSt) {
			if disk.Missing(err) {
				err = nil
			}
			return err
		}
		found, err = r.leadsTo(name, t)
		return err
	})
	return found, err
}

// takeBack moves a message into the spool. Where it was linked it is there already.
func (r *root) takeBack(from int, name string, spool int, file string) error {
	err := r.Move(from, name, spool, file)
	if disk.Unsupported(err) {
		err = r.Link(from, name, spool, file)
		if err == nil || disk.Exists(err) {
			err = r.Unlink(from, name)
		}
	}
	return err
}
