package maildir

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// removedDir begins the names of the directories in which folders are removed.
const removedDir = "removed."

// RemoveFolder removes a folder and everything below it, with the mail in it,
// from the user's mailbox, from the subscriptions and from the quota file.
// Removing what is not there is no error; a mailbox that is another user's, whom
// the template leads there too, is left as it is.
func (s *Store) RemoveFolder(ctx context.Context, o owner.Owner, folder string) error {
	return s.removeIn("removing a folder", o, folder, func(r *root) error { return s.remove(ctx, r, folder) })
}

// RemoveEmptyFolder removes an account folder in which there is nothing but our mark,
// with the mark. One that holds mail, or another folder, stays as it is: its mark says
// that the mail was fetched, so that no account fetches it out of this mailbox again.
func (s *Store) RemoveEmptyFolder(ctx context.Context, o owner.Owner, folder string) error {
	return s.removeIn("removing an empty folder", o, folder, func(r *root) error { return s.removeUnused(ctx, r, folder) })
}

// removeIn calls do with the user's mailbox, if it is there and is this user's, while
// nobody else makes or removes folders in it. What it removes must be an account's.
func (s *Store) removeIn(op string, o owner.Owner, folder string, do func(r *root) error) error {
	if err := checkLocal(folder); err != nil {
		return err
	}
	if mail.IsReservedFolder(folder) {
		return disk.Internal(op, words.Say("this folder is no account folder"))
	}
	return s.inOwn(op, o, func(r *root) error {
		t := s.track(r.Path)
		defer s.untrack(r.Path)
		t.folders.Lock()
		defer t.folders.Unlock()
		return do(r)
	})
}

func (s *Store) removeUnused(ctx context.Context, r *root, folder string) error {
	dir := dirName(folder)
	var marks []string
	used, there := false, false
	err := r.folders(ctx, func(name string) error {
		below, isBelow := strings.CutPrefix(name, dir+".")
		_, isMark := mail.ReadMark(nil, below)
		switch {
		case name == dir:
			there = true
		case isBelow && isMark:
			marks = append(marks, name)
		case isBelow:
			used = true
		}
		return nil
	})
	if err != nil || used {
		return err
	}
	if u, _, err := r.measureFolder(ctx, dir); err != nil && !disk.Missing(err) || u != (usage{}) {
		return err
	}
	if there { // Before its marks: no account folder is ever seen without one.
		s.step("remove.empty")
		if removed, err := r.removeEmpty(dir); err != nil && !disk.Missing(err) || err == nil && !removed {
			return err
		}
	}
	for _, name := range marks {
		s.step("remove.mark")
		if _, err := r.removeEmpty(name); err != nil && !disk.Missing(err) {
			return err
		}
	}
	if !there && len(marks) == 0 {
		return nil
	}
	spool, _, err := r.OpenDir(r.FD, spool.Dir)
	if disk.Missing(err) {
		return r.Sync(r.FD)
	}
	if err != nil {
		return err
	}
	defer r.Disk.Close(spool)
	return errors.Join(r.Sync(r.FD), r.editSubscriptions(ctx, spool, func() string {
		return subscriptionsTemp + "0." + disk.Random()
	}, func(text []byte) []byte {
		return unsubscribed(text, folder)
	}))
}

// inOwn calls do with the user's mailbox, if it is there and is this user's.
func (s *Store) inOwn(op string, o owner.Owner, do func(r *root) error) error {
	r, err := s.openRoot(o, toLook)
	if disk.Missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.close()
	if is, err := s.isOf(r, o); err != nil || !is {
		return disk.Trouble(op, err)
	}
	err = do(r)
	if err == nil {
		err = s.still(o, r)
	}
	return disk.Trouble(op, err)
}

// isOf reports whether a mailbox that is there is this user's, and this
// installation's: another's is an error.
func (s *Store) isOf(r *root, o owner.Owner) (bool, error) {
	fd, _, err := r.OpenDir(r.FD, spool.Dir)
	if disk.Missing(err) {
		return !s.template.sole, nil // Whoever delivers claims it.
	}
	if err != nil {
		return false, err
	}
	defer r.Disk.Close(fd)
	text, err := r.ReadSmall(fd, userFile, identityBytes)
	id := strings.TrimSpace(string(text))
	switch {
	case err != nil && !disk.Missing(err):
		return false, err
	case err == nil && s.installation != "" && id != s.installation && (s.former == "" || id != s.former):
		return false, disk.Unavailable("opening the mailbox",
			words.Say("This mailbox belongs to another installation of Mailbrook."))
	case !s.template.sole:
		return true, nil
	}
	text, err = r.ReadSmall(fd, ownerFile, ownerBytes)
	if disk.Missing(err) {
		return false, nil
	}
	return strings.TrimSpace(string(text)) == o.String(), err
}

// Forget removes what we keep in a user's mailbox for ourselves: the spools, with
// mail that was on its way, whose the mailbox is, and the quota file with the limits
// that we wrote into it. The mail that was delivered stays. Nobody may be delivering
// there.
func (s *Store) Forget(ctx context.Context, o owner.Owner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.inOwn("forgetting a mailbox", o, func(r *root) error {
		if err := r.forgetLimits(); err != nil {
			return err
		}
		if err := r.RemoveTree(r.FD, spool.Dir); err != nil && !disk.Missing(err) {
			return err
		}
		return r.Sync(r.FD)
	})
}

// forgetLimits removes a quota file with limits of ours, while it is known that
// they are: the next user's would be taken for the mail server's.
func (r *root) forgetLimits() error {
	noted, err := r.notedLimits()
	if err != nil || len(noted) == 0 {
		return err
	}
	f, err := r.readQuotaFile()
	if err != nil || !slices.Contains(noted, f.header) {
		return nil //nolint:nilerr // What cannot be read as one is no quota file.
	}
	if err := r.Unlink(r.FD, quotaFile); err != nil && !disk.Missing(err) {
		return err
	}
	return r.Sync(r.FD)
}

func (s *Store) remove(ctx context.Context, r *root, folder string) error {
	dir := dirName(folder)
	var found []string
	var size usage
	err := r.folders(ctx, func(name string) error {
		if name != dir && !strings.HasPrefix(name, dir+".") {
			return nil
		}
		u, _, err := r.measureFolder(ctx, name)
		found, size = append(found, name), size.plus(u)
		return err
	})
	if err != nil {
		return err
	}
	// The innermost first: a removal cut short leaves no folder without parents.
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })

	if _, err := r.makeDirs(r.FD, []string{spool.Dir}); err != nil {
		return err
	}
	spool, _, err := r.OpenDir(r.FD, spool.Dir)
	if err != nil {
		return err
	}
	defer r.Disk.Close(spool)
	err = s.moveAway(ctx, r, spool, folder, found)
	if err == nil && size != (usage{}) {
		if _, err := r.appendQuota(usage{-size.bytes, -size.messages}); err != nil {
			s.log.Warn("the quota file was not updated", "mailbox", r.Path, "error", err)
		}
	}
	return errors.Join(err, s.emptyRemoved(ctx, r, spool))
}

// moveAway takes the folders out of sight by renames, and the subscriptions off.
func (s *Store) moveAway(ctx context.Context, r *root, spool int, folder string, found []string) error {
	name := removedDir + disk.Random()
	if err := r.Mkdir(spool, name, 0o700); err != nil {
		return err
	}
	away, _, err := r.OpenDir(spool, name)
	if err != nil {
		return err
	}
	defer r.Disk.Close(away)
	for _, f := range found {
		s.step("remove.rename")
		if err := r.Replace(r.FD, f, away, f[1:]); err != nil && !disk.Missing(err) {
			return err
		}
	}
	if err := r.Sync(r.FD); err != nil {
		return err
	}
	s.step("remove.unsubscribe")
	return r.editSubscriptions(ctx, away, func() string {
		return subscriptionsTemp + "0." + disk.Random()
	}, func(text []byte) []byte {
		return unsubscribed(text, folder)
	})
}

// emptyRemoved deletes what lies in the directories of removed folders, those
// of earlier calls that were cut short included.
func (s *Store) emptyRemoved(ctx context.Context, r *root, spool int) error {
	var names []string
	err := r.Each(spool, func(name string) error {
		if strings.HasPrefix(name, removedDir) {
			names = append(names, name)
		}
		return ctx.Err()
	})
	for _, name := range names {
		s.step("remove.delete")
		if rm := r.RemoveTree(spool, name); rm != nil && !disk.Missing(rm) {
			err = errors.Join(err, rm)
		}
	}
	return err
}
