// Package maildir delivers into the users' own mailboxes: Maildir++
// directories as Dovecot lays them out, with their folders, subscriptions and
// quota file.
//
// A message first lies in a private spool inside the mailbox, on the same file
// system, where nobody looks; when Seal has returned it survives a power cut.
// One atomic rename then delivers it. What is in the spool is not delivered,
// what is gone from it is, whatever the user did with it since: that is all the
// engine needs to deliver everything exactly once. The package keeps no journal
// itself, looks for no duplicates, never changes or removes a delivered
// message, and knows nothing of the servers that messages come from.
//
// Users may have a shell and write in their mailboxes while we work. Hence no
// link is followed there, no path is resolved by the system, and what has to be
// a directory is checked to be one, on the same device, each time it is opened.
package maildir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// Options are what a Store is made of. Template is required.
type Options struct {
	// Template is where mailboxes lie: "maildir:/srv/mail/{domain}/{local}", with
	// {user}, {domain} and {local} filled in, made safe for paths. What precedes
	// the first of them has to exist when mail is delivered and may be reached
	// through links; below it, none is followed.
	Template string
	// Host is the last part of file names. Defaults to the machine's name.
	Host string
	// Step is called before each named step of a delivery, from several
	// goroutines; nil in normal use. Stopping the process in it, at any step,
	// leaves nothing half done that cannot be finished.
	Step func(name string)
	Log  *slog.Logger
	// SyncTogether is from how many files on a batch is made durable by one
	// syncfs, where the file system allows it. 0 stands for 16; below 0, each
	// file is synced by itself.
	SyncTogether int
	// HeldOpen is how many files of all deliveries may wait open for their batch
	// at most; 0, and what is more, stands for 1024, below 0 for none.
	HeldOpen int
	// Existing leaves the fixed part of the template alone when it is not there.
	Existing bool
}

// Store is the users' mailboxes. It is safe for concurrent use.
type Store struct {
	template template
	host     string
	step     func(string)
	log      *slog.Logger
	disk     disk.Disk

	installation, former string // The identity that mailboxes have: see Expect.

	droppedKeywords atomic.Int64

	spools *spool.Keeper

	mu       sync.Mutex
	trackers map[string]*tracker
}

// New checks the template and makes its fixed part if it is not there.
func New(o Options) (*Store, error) {
	t, err := parseTemplate(o.Template)
	if err != nil {
		return nil, err
	}
	if !o.Existing {
		if err := os.MkdirAll(t.base, 0o700); err != nil {
			return nil, fmt.Errorf("making the place for mailboxes: %w", err)
		}
	}
	host := o.Host
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("asking for the machine's name: %w", err)
		}
	}
	s := &Store{
		template: t, host: safeHost(host), step: o.Step, disk: disk.Kernel(), trackers: map[string]*tracker{},
		log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}
	if s.step == nil {
		s.step = func(string) {}
	}
	s.spools = spool.New(spool.Options{
		Step: s.step, Log: s.log, SyncTogether: o.SyncTogether, HeldOpen: o.HeldOpen,
	})
	return s, nil
}

// safeHost keeps a host name from ending a file name's part early.
func safeHost(host string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, host)
	return cmp.Or(clean[:min(len(clean), 64)], "localhost")
}

// probeBytes is what Check writes: more than what is left in a block that a
// full disk still has.
const probeBytes = 64 << 10

// Check reports whether mailboxes can be written: for readiness. It writes a
// file, makes it durable and removes it.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.place()
	if err != nil {
		return disk.Trouble("opening the place of mailboxes", err)
	}
	defer r.close()
	name := fmt.Sprintf(".mailbrook-check.%d.%s", os.Getpid(), disk.Random())
	err = r.WriteNew(r.FD, name, make([]byte, probeBytes), true)
	if r.others(err) {
		return nil
	}
	if err == nil {
		err = r.Unlink(r.FD, name)
	}
	return disk.Trouble("writing where mailboxes are", err)
}

// others reports whether a file was refused because the directory is an
// operator's, such as /home, in which users' own lie.
func (r *root) others(err error) bool {
	return errors.Is(err, unix.EACCES) && r.Stat.UID != uint32(os.Geteuid())
}

// Rights are those at a user's mailbox.
type Rights struct {
	Exists   bool
	UID      uint32 // Of the user of the system that it belongs to.
	Writable bool   // By this process.
}

// Rights looks at the directory of the user's mailbox; beyond that it is a Maildir,
// what is in it is not looked at. One that cannot be entered is not writable.
func (s *Store) Rights(ctx context.Context, o owner.Owner) (Rights, error) {
	if err := ctx.Err(); err != nil {
		return Rights{}, err
	}
	r, err := s.openRoot(o, toMeasure)
	switch {
	case disk.Missing(err):
		return Rights{}, nil
	case errors.Is(err, unix.EACCES):
		return Rights{Exists: true}, nil
	case err != nil:
		return Rights{}, err
	}
	defer r.close()
	may := unix.Faccessat(r.FD, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	return Rights{Exists: true, UID: r.Stat.UID, Writable: may == nil}, nil
}

// Usage returns what the user's mailbox holds, all folders together, as
// Dovecot's Maildir++ quota counts. Without a mailbox the error is owner.ErrNoMailbox.
func (s *Store) Usage(ctx context.Context, o owner.Owner) (bytes, messages int64, err error) {
	r, err := s.openRoot(o, toMeasure)
	const op = "measuring the mailbox"
	if disk.Missing(err) {
		return 0, 0, noMailbox(op)
	}
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	if f, err := r.readQuotaFile(); err == nil && f.ok() {
		changed, err := r.changedSince(ctx, f.st.Modified)
		if err != nil {
			return 0, 0, disk.Trouble(op, err)
		}
		if !changed {
			return f.bytes, f.messages, nil
		}
	}
	u, _, err := r.measure(ctx)
	return u.bytes, u.messages, disk.Trouble(op, err)
}

// Exists reports whether the user has a mailbox, looking no further than Rights does.
func (s *Store) Exists(ctx context.Context, o owner.Owner) (bool, error) {
	r, err := s.Rights(ctx, o)
	return r.Exists, err
}

// Shares returns what Usage does and, of it, what lies in each of these folders and
// below; what lies in one below another is the lower one's. They never add up to
// more than all.
func (s *Store) Shares(ctx context.Context, o owner.Owner, folders []string) (
	all owner.Use, of []owner.Use, err error,
) {
	of = make([]owner.Use, len(folders))
	all.Bytes, all.Messages, err = s.Usage(ctx, o)
	if err != nil || len(folders) == 0 {
		return all, of, err
	}
	r, err := s.openRoot(o, toMeasure)
	if disk.Missing(err) {
		return all, of, noMailbox("measuring the mailbox")
	}
	if err != nil {
		return all, of, err
	}
	defer r.close()
	var sum, rest usage
	held := make([]usage, len(folders))
	err = r.folders(ctx, func(dir string) error {
		at := shareOf(dir, folders)
		if at < 0 {
			return nil
		}
		u, _, err := r.measureFolder(ctx, dir)
		held[at], sum = held[at].plus(u), sum.plus(u)
		return err
	})
	for i, u := range held {
		of[i] = owner.Use{Bytes: u.bytes, Messages: u.messages}
	}
	if err == nil && (sum.bytes > all.Bytes || sum.messages > all.Messages) {
		// The quota file counts otherwise, or lags behind: the files tell.
		rest, _, err = r.measure(ctx)
		all = owner.Use{Bytes: max(rest.bytes, sum.bytes), Messages: max(rest.messages, sum.messages)}
	}
	return all, of, disk.Trouble("measuring the mailbox", err)
}

// shareOf is in which of the folders, or below which, a directory is: the lowest; -1: none.
func shareOf(dir string, folders []string) int {
	found, length := -1, 0
	for i, folder := range folders {
		name := dirName(folder)
		if (dir == name || strings.HasPrefix(dir, name+".")) && len(name) > length {
			found, length = i, len(name)
		}
	}
	return found
}

// tracker is what deliveries into one mailbox share within this process.
type tracker struct {
	refs int // Guarded by Store.mu.

	// folders is held while folders are made or removed.
	folders sync.Mutex
	// moves is held by each batch from its first rename until its octets are in the
	// quota file, and by everybody's share while the mailbox is measured: else a
	// message would be counted twice. Who waits for it waits no longer than its context.
	moves *semaphore.Weighted

	mu       sync.Mutex // Guards what follows.
	reserved usage
	used     usage
	seen     disk.Stat // The quota file from which used was read.
	known    bool      // Whether used is right as long as the quota file is the one seen.
}

// everybody is how many batches may be delivered into one mailbox at a time.
const everybody = 1 << 30

func (s *Store) track(key string) *tracker {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trackers[key]
	if t == nil {
		t = &tracker{moves: semaphore.NewWeighted(everybody)}
		s.trackers[key] = t
	}
	t.refs++
	return t
}

func (s *Store) untrack(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trackers[key]
	if t.refs--; t.refs == 0 {
		delete(s.trackers, key)
	}
}
