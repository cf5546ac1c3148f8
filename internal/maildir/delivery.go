package maildir

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Delivery puts messages into one user's mailbox, for one account and one
// lease.
//
// Stage may be called concurrently with everything but Close.
type Delivery struct {
	*spool.Spool
	store   *Store
	owner   owner.Owner
	root    *root
	limit   owner.Limit
	tracker *tracker
	// Until when no keywords are added in a folder. Publish alone looks at it.
	noKeywords map[string]time.Time

	reserved usage       // Guarded by tracker.mu, as is what follows.
	looked   bool        // Whether this delivery has seen the quota file.
	own      owner.Limit // The mailbox's own limits, as they stand in the quota file …
	ownSeen  disk.Stat   // … that this was.
	outdated bool        // Its first line has limits that we set before.
}

func noMailbox(op string) error {
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op, Err: owner.ErrNoMailbox,
		Detail: words.Detail{words.Say("The user has no mailbox where it should lie.")},
	}
}

// Make makes a user's mailbox, if it is not there; the log tells who did.
func (s *Store) Make(ctx context.Context, o owner.Owner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.openRoot(o, toMake)
	if err != nil {
		return err
	}
	defer r.close()
	if r.founded {
		s.log.InfoContext(ctx, "a mailbox was made", "user", o)
	}
	return nil
}

// Open prepares delivery for one account into one user's mailbox, which has to be
// there: else the error is owner.ErrNoMailbox. journal and epoch name the spool's owner;
// limit is enforced by Reserve, beside the mailbox's own.
func (s *Store) Open(ctx context.Context, o owner.Owner, journal string, epoch int64,
	limit owner.Limit,
) (*Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !spool.IsJournal(journal) || epoch < 0 {
		return nil, disk.Internal("opening the spool", words.Say("the journal's name cannot be a file name"))
	}
	r, err := s.openRoot(o, toDeliver)
	if disk.Missing(err) {
		return nil, noMailbox("opening the mailbox")
	}
	if err != nil {
		return nil, err
	}
	sp, err := s.spools.Open(&r.Root, journal, epoch)
	if err != nil {
		r.close()
		return nil, disk.Trouble("opening the spool", err)
	}
	sp.BeforeRemoval = r.unlock
	return &Delivery{
		Spool: sp, store: s, owner: o, root: r, limit: limit, tracker: s.track(r.Path), noKeywords: map[string]time.Time{},
	}, nil
}

// Close waits for what is under way and gives back what is still reserved.
// Spool files stay: the journal says whether they are needed. A second Close
// does nothing.
func (d *Delivery) Close() error {
	first, err := d.Spool.Close()
	if !first {
		return err
	}
	t := d.tracker
	t.mu.Lock()
	d.giveBack(d.reserved)
	t.mu.Unlock()
	d.store.untrack(d.root.Path)
	return disk.Trouble("closing the mailbox", errors.Join(err, d.root.Disk.Close(d.root.FD)))
}

// unlock removes the lock that was taken with a file that is to be removed from the spool:
// without it, nobody knew whose it is.
func (r *root) unlock(ctx context.Context, name string, st disk.Stat) error {
	if strings.HasPrefix(name, subscriptionsTemp) {
		if lock, err := r.Lstat(r.FD, subscriptionsLock); err == nil && lock.Is(st) {
			if err := r.Unlink(r.FD, subscriptionsLock); err != nil && !disk.Missing(err) {
				return err
			}
		}
	}
	if strings.HasPrefix(name, keywordsTemp+".e") && st.Links > 1 {
		return r.unlockUIDs(ctx, st)
	}
	return nil
}

// unlockUIDs removes a lock that was taken with a file of ours, wherever it is.
func (r *root) unlockUIDs(ctx context.Context, ours disk.Stat) error {
	return r.folders(ctx, func(folder string) error {
		dir, _, err := r.OpenDir(r.FD, folder)
		if disk.Missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Disk.Close(dir)
		if lock, err := r.Lstat(dir, uidsLock); err == nil && lock.Is(ours) {
			if err := r.Unlink(dir, uidsLock); err != nil && !disk.Missing(err) {
				return err
			}
		}
		return nil
	})
}
