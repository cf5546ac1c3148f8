// Package spool keeps messages on their way, durable on our disk, until they are delivered,
// whatever the destination: staged, sealed, and gone from it once they are there. Each journal
// has a spool of its own, in a directory beside the mail, on the same file system, where no
// mail program looks.
//
// Names say what a file is: the message's token and the epoch of the lease that staged it.
// So do notes (how many batches the journal has seen staged; in which mailbox the spool is),
// because names are what a disk keeps in order without an fsync of their own.
package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Dir holds, in each mailbox, one directory per journal. Its name has no
// dot in front, so no mail program takes it for a folder, and nothing is
// cleaned up in it by age as in tmp/.
const Dir = "fetch-spool"

var (
	journalName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	tokenName   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	fileName    = regexp.MustCompile(`^[A-Za-z0-9]{1,64}\.e[0-9]{1,19}$`)
)

// IsJournal reports whether a journal's name can be a directory's.
func IsJournal(name string) bool { return journalName.MatchString(name) }

// IsStaged reports whether a placement can be one of a staged message.
func IsStaged(p mail.Placement) bool {
	return fileName.MatchString(p.Spool) && tokenName.MatchString(string(p.Token))
}

// IsNote reports whether a file in a spool is one of its notes.
func IsNote(name string) bool {
	return strings.HasPrefix(name, notePrefix) || strings.HasPrefix(name, homePrefix)
}

// Options are what a Keeper is made of.
type Options struct {
	Step func(name string) // Called before each step; may be nil.
	Log  *slog.Logger      // Nil: none.
	// SyncTogether is from how many files on a batch is made durable by one
	// syncfs, where the file system allows it. 0 stands for 16; below 0, each
	// file is synced by itself.
	SyncTogether int
	// HeldOpen is how many files of all spools may wait open for their batch
	// at most; 0, and what is more, stands for 1024, below 0 for none.
	HeldOpen int
}

// Keeper opens spools, and is what those of a process share.
type Keeper struct {
	step         func(string)
	log          *slog.Logger
	syncTogether int
	held         chan struct{} // A place for each file that waits open for its batch.
	aloneUntil   atomic.Int64  // Until when each file is synced by itself, in Unix nanoseconds.
}

// New returns a Keeper.
func New(o Options) *Keeper {
	held := heldOpen
	if o.HeldOpen != 0 {
		held = max(0, min(o.HeldOpen, heldOpen))
	}
	k := &Keeper{
		step: o.Step, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		syncTogether: cmp.Or(o.SyncTogether, syncTogether), held: make(chan struct{}, held),
	}
	if k.step == nil {
		k.step = func(string) {}
	}
	if k.syncTogether < 0 {
		k.aloneUntil.Store(math.MaxInt64)
	}
	return k
}

// Held is how many files wait open for their batch.
func (k *Keeper) Held() int { return len(k.held) }

// Spool is one journal's, under one lease. Stage may be called concurrently with everything
// but Close.
type Spool struct {
	// FD is the open directory, for those who move files out of it.
	FD int
	// BeforeRemoval is called by Sweep for each file that it removes; may be nil.
	BeforeRemoval func(ctx context.Context, name string, st disk.Stat) error

	keeper *Keeper
	root   *disk.Root
	epoch  int64
	note   string // The name of the file that notes the generation; "" while it is not known.
	// together says that one syncfs does what an fsync of each file does.
	together bool

	mu     sync.Mutex
	files  map[string]*staged  // By name: staged by us and not published.
	litter map[string]struct{} // Files that could not be removed.

	closed  bool
	syncing chan struct{} // Bounds the files that wait for fsync.
	wait    sync.WaitGroup
}

// Open opens a journal's spool in a mailbox and makes it if need be. It has to lie on the
// mailbox's file system: a message that is moved between two is copied, and a copy can be
// cut short.
func (k *Keeper) Open(root *disk.Root, journal string, epoch int64) (*Spool, error) {
	fd, err := open(root, journal)
	if err != nil {
		return nil, err
	}
	return &Spool{
		keeper: k, root: root, FD: fd, epoch: epoch, together: root.SyncsAll(fd),
		files: map[string]*staged{}, litter: map[string]struct{}{}, syncing: make(chan struct{}, syncers),
	}, nil
}

func open(r *disk.Root, journal string) (int, error) {
	base, _, err := r.OpenDir(r.FD, Dir)
	if err != nil {
		return -1, err
	}
	defer r.Disk.Close(base)
	fd, _, err := r.OpenDir(base, journal)
	if !disk.Missing(err) {
		return fd, err
	}
	if err := r.Mkdir(base, journal, 0o700); err != nil && !disk.Exists(err) {
		return -1, err
	}
	if fd, _, err = r.OpenDir(base, journal); err != nil {
		return -1, err
	}
	if err := errors.Join(r.Adopt(fd), r.Sync(base)); err != nil {
		r.Disk.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close waits for what is under way. Files stay: the journal says whether they are needed.
// A second Close does nothing, and returns false.
func (s *Spool) Close() (bool, error) {
	s.wait.Wait()
	s.mu.Lock()
	done := s.closed
	s.closed = true
	var waiting []string
	for name, f := range s.files {
		if f.fd >= 0 {
			waiting = append(waiting, name)
		}
	}
	s.mu.Unlock()
	if done {
		return false, nil
	}
	for _, name := range waiting { // Of a batch that never came about.
		if w, ok := s.claim(name); ok {
			s.settled(w, nil)
		}
	}
	return true, s.root.Disk.Close(s.FD)
}

// Has reports whether a file is in the spool.
func (s *Spool) Has(name string) (bool, error) {
	_, err := s.root.Lstat(s.FD, name)
	if disk.Missing(err) {
		return false, nil
	}
	return err == nil, disk.Trouble("looking into the spool", err)
}

// Temp names a file or directory of ours in the spool that Sweep knows.
func (s *Spool) Temp(what string) string {
	return fmt.Sprintf("%s.e%d.%s", what, s.epoch, disk.Random())
}

// Forget takes files off the list of the staged, as they are delivered, and returns their
// sizes.
func (s *Spool) Forget(names []string) (bytes, messages int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if f := s.files[name]; f != nil {
			bytes, messages = bytes+f.size, messages+1
			delete(s.files, name)
		}
	}
	return bytes, messages
}

// Sweep removes spool files of older epochs, except those named in keep.
// Nobody writes there any more: whoever holds an older lease can commit
// nothing.
func (s *Spool) Sweep(ctx context.Context, keep map[string]bool) error {
	const op = "sweeping the spool"
	var old []string
	err := s.root.Each(s.FD, func(name string) error {
		if epoch, ok := epochOf(name); ok && epoch < s.epoch && !keep[name] {
			old = append(old, name)
		}
		return ctx.Err()
	})
	if err != nil {
		return disk.Trouble(op, err)
	}
	for _, name := range old {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.keeper.step("sweep.remove")
		if err := s.remove(ctx, name); err != nil && !disk.Missing(err) {
			return disk.Trouble(op, err)
		}
	}
	return nil
}

func (s *Spool) remove(ctx context.Context, name string) error {
	st, err := s.root.Lstat(s.FD, name)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return s.root.RemoveTree(s.FD, name)
	}
	if s.BeforeRemoval != nil {
		if err := s.BeforeRemoval(ctx, name, st); err != nil {
			return err
		}
	}
	return s.root.Unlink(s.FD, name)
}

// epochOf reads the epoch of "F….e12" or "folder.e12.x".
func epochOf(name string) (int64, bool) {
	_, after, ok := strings.Cut(name, ".e")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(after, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0
}
