package mailbox

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
func (d *Delivery) mayHold() bool {
	if !d.together || time.Now().UnixNano() < d.store.aloneUntil.Load() {
		return false
	}
	select {
	case d.store.held <- struct{}{}:
		return true
	default:
		return false
	}
}

// written takes on a spool file that is complete, and the place among those
// that sync with it: the file waits for its batch, or is synced at once. One
// that waits stays open, because the system tells an error of writing it out to
// those who have it open.
func (d *Delivery) written(name string, fd int, size int64) {
	f := &staged{size: size, fd: -1, done: make(chan struct{})}
	wait := d.mayHold()
	d.mu.Lock()
	if wait {
		f.fd = fd
	}
	d.files[name] = f
	d.mu.Unlock()
	if wait {
		<-d.syncing
		return
	}
	d.syncOne(waiting{name, f, fd})
}

// claim takes a file out of the waiting; whoever does settles it.
func (d *Delivery) claim(name string) (w waiting, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil || f.fd < 0 {
		return waiting{}, false
	}
	w = waiting{name, f, f.fd}
	f.fd = -1
	<-d.store.held
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
func (d *Delivery) begin(ctx context.Context, files []mail.Staged) (covered bool) {
	var ws []waiting
	for _, s := range files {
		if w, ok := d.claim(s.Spool); ok {
			ws = append(ws, w)
		}
	}
	if len(ws) == 0 {
		return false
	}
	if len(ws) < d.store.syncTogether || !d.syncAll(ctx, len(ws)) {
		for _, w := range ws {
			d.syncing <- struct{}{}
			d.syncOne(w)
		}
		return false
	}
	for _, w := range ws {
		d.settled(w, nil)
	}
	return len(ws) == len(files)
}

// settled closes a file for which the disk said err.
func (d *Delivery) settled(w waiting, err error) {
	w.file.err = errors.Join(err, d.root.Disk.Close(w.fd))
	if w.file.err != nil {
		d.drop(w.name, w.file.err)
	}
	close(w.file.done)
}

// syncAll writes out the file system for so many files and reports whether that
// went well and in time. Where it did not, nothing is known of any file.
func (d *Delivery) syncAll(ctx context.Context, files int) bool {
	began := time.Now()
	result := make(chan error, 1)
	d.wait.Go(func() { result <- d.root.Disk.SyncAll(d.spool) })
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
		d.store.step("seal.together")
	}
	if took := time.Since(began); !done || took > time.Duration(files)*togetherPerFile {
		d.store.aloneUntil.Store(time.Now().Add(aloneFor).UnixNano())
		d.store.log.Debug("files are made durable one by one for a while", "mailbox", d.root.Path, "took", took, "error", err)
	}
	return done
}

// syncOne starts the fsync of a written file, for which the caller took a place
// among those that sync. One that fails is never tried again: the system may
// have thrown the data away and say yes then.
func (d *Delivery) syncOne(w waiting) {
	d.wait.Go(func() {
		defer func() { <-d.syncing }()
		err := d.root.Sync(w.fd)
		d.settled(w, err)
		if w.file.err == nil {
			d.store.step("stage.synced")
		}
	})
}
