package spool

import (
	"context"
	"errors"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// A batch of files is made durable by one syncfs(2) of the file system where
// that gives the same promise as an fsync of each, and costs a fraction of it:
// see docs/decisions/0012-one-sync-for-a-batch.md.
const (
	// syncTogether is from how many files on that is done, unless Options says
	// otherwise: fewer are no reason to write out what others have on the same
	// file system.
	syncTogether = 16
	// heldOpen is how many files of all deliveries may wait open for their
	// batch; beyond them, each is synced by itself at once.
	heldOpen = 1024
	// togetherPatience is how long one syncfs is waited for. It writes what
	// everybody wrote there, which may be much; then each file is synced by itself.
	togetherPatience = time.Second
	// togetherPerFile is how long it may take for each file of the batch: where it
	// is slower, or fails, none is tried for the time of aloneFor.
	togetherPerFile = 2 * time.Millisecond
	aloneFor        = time.Minute
)

// mayHold takes a place for a file that waits open for its batch, if it may.
func (s *Spool) mayHold() bool {
	if !s.together || time.Now().UnixNano() < s.keeper.aloneUntil.Load() {
		return false
	}
	select {
	case s.keeper.held <- struct{}{}:
		return true
	default:
		return false
	}
}

// written takes on a spool file that is complete, and the place among those
// that sync with it: the file waits for its batch, or is synced at once. One
// that waits stays open, because the system tells an error of writing it out to
// those who have it open.
func (s *Spool) written(name string, fd int, size int64) {
	f := &staged{size: size, fd: -1, done: make(chan struct{})}
	wait := s.mayHold()
	s.mu.Lock()
	if wait {
		f.fd = fd
	}
	s.files[name] = f
	s.mu.Unlock()
	if wait {
		<-s.syncing
		return
	}
	s.syncOne(waiting{name, f, fd})
}

// claim takes a file out of the waiting; whoever does settles it.
func (s *Spool) claim(name string) (w waiting, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	if f == nil || f.fd < 0 {
		return waiting{}, false
	}
	w = waiting{name, f, f.fd}
	f.fd = -1
	<-s.keeper.held
	return w, true
}

// waiting is a staged file that nobody has begun to make durable.
type waiting struct {
	name string
	file *staged
	fd   int
}

// begin starts to make those files durable that wait for it, or does it at
// once. covered says that the spool directory's names are durable as well.
func (s *Spool) begin(ctx context.Context, files []mail.Placement) (covered bool) {
	var ws []waiting
	for _, m := range files {
		if w, ok := s.claim(m.Spool); ok {
			ws = append(ws, w)
		}
	}
	if len(ws) == 0 {
		return false
	}
	if len(ws) < s.keeper.syncTogether || !s.syncAll(ctx, len(ws)) {
		for _, w := range ws {
			s.syncing <- struct{}{}
			s.syncOne(w)
		}
		return false
	}
	for _, w := range ws {
		s.settled(w, nil)
	}
	return len(ws) == len(files)
}

// settled closes a file for which the disk said err.
func (s *Spool) settled(w waiting, err error) {
	w.file.err = errors.Join(err, s.root.Disk.Close(w.fd))
	if w.file.err != nil {
		s.drop(w.name, w.file.err)
	}
	close(w.file.done)
}

// syncAll writes out the file system for so many files and reports whether that
// went well and in time. Where it did not, nothing is known of any file.
func (s *Spool) syncAll(ctx context.Context, files int) bool {
	began := time.Now()
	result := make(chan error, 1)
	s.wait.Go(func() { result <- s.root.Disk.SyncAll(s.FD) })
	patience := time.NewTimer(togetherPatience)
	defer patience.Stop()
	var err error
	done := false
	select {
	case err = <-result:
		done = err == nil
	case <-patience.C:
	case <-ctx.Done():
		return false
	}
	if done {
		s.keeper.step("seal.together")
	}
	if took := time.Since(began); !done || took > time.Duration(files)*togetherPerFile {
		s.keeper.aloneUntil.Store(time.Now().Add(aloneFor).UnixNano())
		s.keeper.log.Debug("files are made durable one by one for a while", "mailbox", s.root.Path, "took", took,
			"error", err)
	}
	return done
}

// syncOne starts the fsync of a written file, for which the caller took a place
// among those that sync. One that fails is never tried again: the system may
// have thrown the data away and say yes then.
func (s *Spool) syncOne(w waiting) {
	s.wait.Go(func() {
		defer func() { <-s.syncing }()
		err := s.root.Sync(w.fd)
		s.settled(w, err)
		if w.file.err == nil {
			s.keeper.step("stage.synced")
		}
	})
}
