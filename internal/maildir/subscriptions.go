package maildir

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The subscriptions file: one folder per line. Dovecot 2.3 begins a new one
// with a version line and separates levels by tabs; older files have the
// directory's name without its first dot. A file keeps the form it has.
const (
	subscriptionsFile = "subscriptions"
	subscriptionsLock = "subscriptions.lock"
	subscriptionsTemp = "subscriptions.e" // Begins the names of new files in the spool.
	subscriptionsMax  = 4 << 20
	versionTwo        = "V\t2\n\n"
)

// How long another program's lock is respected, and how often it is looked at.
// Dovecot takes a lock for abandoned after the same time.
const (
	lockStale = 30 * time.Second
	lockPause = 20 * time.Millisecond
)

// subscriptionLine is a folder as the file writes it.
func subscriptionLine(folder string, two bool) string {
	if !two {
		return dirName(folder)[1:]
	}
	parts := strings.Split(folder, "/")
	for i, p := range parts {
		parts[i] = encodePart(p)
	}
	return strings.Join(parts, "\t")
}

// subscribed returns the file's text with the folders added, in order.
func subscribed(text []byte, folders []string) []byte {
	if len(text) == 0 {
		text = []byte(versionTwo)
	}
	two := bytes.HasPrefix(text, []byte(versionTwo))
	out := bytes.Clone(text)
	if out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	have := strings.Split(string(text), "\n")
	for _, f := range folders {
		if line := subscriptionLine(f, two); !slices.Contains(have, line) {
			out = append(out, line+"\n"...)
		}
	}
	if len(out) == len(text) {
		return text
	}
	return out
}

// unsubscribed returns the file's text without a folder and what is below it.
func unsubscribed(text []byte, folder string) []byte {
	two := bytes.HasPrefix(text, []byte(versionTwo))
	line := subscriptionLine(folder, two)
	below := line + "."
	if two {
		below = line + "\t"
	}
	var out []byte
	for l := range bytes.SplitAfterSeq(text, []byte("\n")) {
		bare := strings.TrimSuffix(string(l), "\n")
		if bare != line && !strings.HasPrefix(bare, below) {
			out = append(out, l...)
		}
	}
	return out
}

func (d *Delivery) subscribe(ctx context.Context, folders []string) error {
	d.store.step("folder.subscribe")
	return d.root.editSubscriptions(ctx, d.Spool.FD, func() string {
		return d.Temp("subscriptions")
	}, func(text []byte) []byte {
		return subscribed(text, folders)
	})
}

// editSubscriptions replaces the file by what edit makes of it, under the lock
// that Dovecot respects. The new text is complete on disk before the lock is
// taken, by linking it there, so that a crash leaves no lock behind but in
// the moment before it is renamed.
func (r *root) editSubscriptions(ctx context.Context, spool int, temp func() string, edit func([]byte) []byte) error {
	for {
		before, err := r.Lstat(r.FD, subscriptionsFile)
		if disk.Missing(err) {
			before = disk.Stat{}
		} else if err != nil {
			return err
		}
		text, err := r.ReadSmall(r.FD, subscriptionsFile, subscriptionsMax)
		if err != nil && !disk.Missing(err) {
			return err
		}
		edited := edit(text)
		if bytes.Equal(edited, text) {
			return nil
		}
		name := temp()
		if err := r.WriteNew(spool, name, edited, true); err != nil {
			return err
		}
		done, err := r.swapSubscriptions(ctx, spool, name, before)
		if rm := r.Unlink(spool, name); rm != nil && !disk.Missing(rm) {
			err = errors.Join(err, rm)
		}
		if err != nil {
			return err
		}
		if done {
			return r.Sync(r.FD)
		}
	}
}

// swapSubscriptions puts the new file in the old one's place. It reports false
// when the old one is not the one that was read.
func (r *root) swapSubscriptions(ctx context.Context, spool int, name string, before disk.Stat) (bool, error) {
	if err := r.lockSubscriptions(ctx, spool, name); err != nil {
		return false, err
	}
	now, err := r.Lstat(r.FD, subscriptionsFile)
	if disk.Missing(err) {
		now, err = disk.Stat{}, nil
	}
	if err == nil && now.Same(before) {
		if err = r.Replace(r.FD, subscriptionsLock, r.FD, subscriptionsFile); err == nil {
			return true, nil
		}
	}
	return false, errors.Join(err, r.Unlink(r.FD, subscriptionsLock))
}

func (r *root) lockSubscriptions(ctx context.Context, spool int, name string) error {
	deadline := time.Now().Add(2 * lockStale)
	for {
		err := r.Link(spool, name, r.FD, subscriptionsLock)
		if !disk.Exists(err) {
			return err
		}
		stale, err := r.staleLock(spool)
		if err != nil {
			return err
		}
		if stale {
			if err := r.Unlink(r.FD, subscriptionsLock); err != nil && !disk.Missing(err) {
				return err
			}
			continue
		}
		if time.Now().After(deadline) {
			return disk.Unavailable("subscribing to folders",
				words.Say("Another program keeps the list of subscriptions locked."))
		}
		pause := time.NewTimer(lockPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// staleLock reports whether whoever took the lock is gone: it is old, or it is
// one that an earlier lease of this journal left in its spool.
func (r *root) staleLock(spool int) (bool, error) {
	lock, err := r.Lstat(r.FD, subscriptionsLock)
	if disk.Missing(err) {
		return false, nil
	}
	if err != nil || time.Since(lock.Modified) > lockStale {
		return err == nil, err
	}
	err = r.Each(spool, func(name string) error {
		if !strings.HasPrefix(name, subscriptionsTemp) {
			return nil
		}
		if st, err := r.Lstat(spool, name); err == nil && st.Ino == lock.Ino && st.Dev == lock.Dev {
			return disk.ErrEnough
		}
		return nil
	})
	if errors.Is(err, disk.ErrEnough) {
		return true, nil
	}
	return false, err
}
