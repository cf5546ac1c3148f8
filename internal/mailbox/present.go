package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Mailboxes are moved, restored and replaced while we deliver. What was opened goes
// with the directory that was moved: see docs/decisions/0002-exactly-once.md.

const replaced = "The local mailbox was moved, replaced or removed while Mailbrook was at work in it."

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
func (s *Store) still(o account.Owner, opened *root) error {
	const op = "looking whether the mailbox is at its place"
	r, err := s.reach(o, false)
	if disk.Missing(err) {
		return unavailable(op, replaced)
	}
	if err != nil {
		return err
	}
	defer r.close()
	if !r.Stat.Is(opened.Stat) {
		return unavailable(op, replaced)
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
		err := r.takeBack(m.in.fd, m.name, p.d.spool, m.Spool)
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
	return errors.Join(unavailable("delivering messages", "A folder of the local mailbox was moved out of it, or "+
		"replaced, "+
		"while mail was put there."), r.Sync(p.d.spool))
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

// homePrefix begins the name of the empty file in a journal's spool that notes in
// which mailbox the spool is, by the numbers of both directories: a copy of them has
// others. A file in it was renamed into this mailbox, or none was.
const homePrefix = ".home."

func (d *Delivery) home() (string, error) {
	st, err := d.root.Fstat(d.spool)
	return fmt.Sprintf("%s%d-%d", homePrefix, d.root.Stat.Ino, st.Ino), err
}

// homes lists the notes of homes in the spool.
func (d *Delivery) homes(ctx context.Context) (names []string, err error) {
	err = d.root.Each(d.spool, func(name string) error {
		if strings.HasPrefix(name, homePrefix) {
			names = append(names, name)
		}
		return ctx.Err()
	})
	return names, err
}

// copied reports whether the spool is a copy, in a mailbox that was restored or
// replaced. What is gone from it need not have come into this mailbox, and what lies in
// it may be cut short: see intact. A spool that bears no note of NoteSpool is taken
// for what it was.
func (d *Delivery) copied(ctx context.Context) (bool, error) {
	const op = "looking whose the spool is"
	home, err := d.home()
	if err == nil {
		_, err = d.root.Lstat(d.spool, home)
	}
	if !disk.Missing(err) {
		return false, trouble(op, err)
	}
	names, err := d.homes(ctx)
	return len(names) > 0, trouble(op, err)
}

// NoteSpool notes that the spool is this mailbox's. The note is as durable as what
// is published after it.
func (d *Delivery) NoteSpool(ctx context.Context) error {
	const op = "noting whose the spool is"
	home, err := d.home()
	if err == nil {
		_, err = d.root.Lstat(d.spool, home)
	}
	if !disk.Missing(err) {
		return trouble(op, err)
	}
	names, err := d.homes(ctx)
	if err != nil {
		return trouble(op, err)
	}
	d.store.step("spool.note")
	for i, name := range names {
		if i == 0 {
			err = d.root.Replace(d.spool, name, d.spool, home)
		} else {
			err = d.root.Unlink(d.spool, name)
		}
		if err != nil && !disk.Missing(err) {
			return trouble(op, err)
		}
	}
	if len(names) > 0 {
		return nil
	}
	fd, err := d.root.Open(d.spool, home, disk.OpenNew, 0o600)
	if disk.Exists(err) {
		return nil
	}
	if err == nil {
		err = errors.Join(d.root.Adopt(fd), d.root.Disk.Close(fd))
	}
	return trouble(op, err)
}

// intact reports whether a spool file of a copy is the message that was staged, and
// makes it durable. One that may be is said not to be: of its line ends only those
// are known that are CRLF.
func (d *Delivery) intact(ctx context.Context, p mail.Placement) (bool, error) {
	const op = "reading a spool file"
	r := d.root
	fd, err := r.Open(d.spool, p.Spool, disk.OpenFile, 0)
	if disk.Missing(err) || errors.Is(err, unix.ELOOP) {
		return false, nil
	}
	if err != nil {
		return false, trouble(op, err)
	}
	defer r.Disk.Close(fd)
	st, err := r.Fstat(fd)
	if err != nil || !st.IsRegular() || st.Size != p.FileSize {
		return false, trouble(op, err)
	}
	sum, err := r.fingerprintOf(ctx, fd)
	if err != nil || sum != p.Fingerprint {
		return false, trouble(op, err)
	}
	return true, trouble(op, r.Sync(fd))
}
