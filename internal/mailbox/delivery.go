package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// spoolDir holds, in each mailbox, one directory per journal. Its name has no
// dot in front, so no mail program takes it for a folder, and nothing is
// cleaned up in it by age as in tmp/.
const spoolDir = "fetch-spool"

// Delivery puts messages into one user's mailbox, for one account and one
// lease.
//
// Stage may be called concurrently with everything but Close.
type Delivery struct {
	store   *Store
	owner   account.Owner
	root    *root
	spool   int    // The journal's directory.
	note    string // The name of the file that notes the generation; "" while it is not known.
	epoch   int64
	limit   account.Limit
	tracker *tracker
	// together says that one syncfs does what an fsync of each file does.
	together bool

	reserved usage         // Guarded by tracker.mu, as is what follows.
	looked   bool          // Whether this delivery has seen the quota file.
	own      account.Limit // The mailbox's own limits, as they stand in the quota file …
	ownSeen  disk.Stat     // … that this was.
	outdated bool          // Its first line tells of limits that we set before.

	mu     sync.Mutex
	files  map[string]*staged  // In the spool, by name: staged by us and not published.
	litter map[string]struct{} // Spool files that could not be removed.

	closed  bool
	syncing chan struct{} // Bounds the files that wait for fsync.
	wait    sync.WaitGroup
}

// staged is a spool file on its way to the disk.
type staged struct {
	size int64
	fd   int           // While it waits for its batch; then -1.
	done chan struct{} // Closed when err is known.
	err  error
}

// syncers is how many files are being written or made durable at a time. The
// file system commits those that wait together.
const syncers = 32

// ErrNoMailbox says that a user has no mailbox; it has the code
// local_mailbox_unavailable.
var ErrNoMailbox = errors.New("there is no mailbox")

func noMailbox(op string) error {
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op, Err: ErrNoMailbox,
		Detail: "The user has no mailbox where it should lie.",
	}
}

// Make makes a user's mailbox, if it is not there; the log tells who did.
func (s *Store) Make(ctx context.Context, o account.Owner) error {
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
// there: else the error is ErrNoMailbox. journal and epoch name the spool's owner;
// limit is enforced by Reserve, beside the mailbox's own.
func (s *Store) Open(ctx context.Context, o account.Owner, journal string, epoch int64,
	limit account.Limit,
) (*Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !journalName.MatchString(journal) || epoch < 0 {
		return nil, internal("opening the spool", "the journal's name cannot be a file name")
	}
	r, err := s.openRoot(o, toDeliver)
	if disk.Missing(err) {
		return nil, noMailbox("opening the mailbox")
	}
	if err != nil {
		return nil, err
	}
	spool, err := r.openSpool(journal)
	if err != nil {
		r.close()
		return nil, trouble("opening the spool", err)
	}
	return &Delivery{
		store: s, owner: o, root: r, spool: spool, epoch: epoch, limit: limit, tracker: s.track(r.Path),
		together: s.disk.SyncsAll(
			spool),
		files: map[string]*staged{}, litter: map[string]struct{}{}, syncing: make(chan struct{}, syncers),
	}, nil
}

var (
	journalName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	tokenName   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	spoolName   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}\.e[0-9]{1,19}$`)
)

// openSpool opens the journal's directory, which has to lie on the same file
// system as the mailbox: a message that is moved between two is copied, and a
// copy can be cut short.
func (r *root) openSpool(journal string) (int, error) {
	base, _, err := r.OpenDir(r.FD, spoolDir)
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

// Close waits for what is under way and gives back what is still reserved.
// Spool files stay: the journal says whether they are needed. A second Close
// does nothing.
func (d *Delivery) Close() error {
	d.wait.Wait()
	d.mu.Lock()
	done := d.closed
	d.closed = true
	var open []string
	for name, f := range d.files {
		if f.fd >= 0 {
			open = append(open, name)
		}
	}
	d.mu.Unlock()
	if done {
		return nil
	}
	for _, name := range open { // Of a batch that never came about.
		if w, ok := d.claim(name); ok {
			d.settled(w, nil)
		}
	}
	t := d.tracker
	t.mu.Lock()
	d.giveBack(d.reserved)
	t.mu.Unlock()
	d.store.untrack(d.root.Path)
	return trouble("closing the mailbox", errors.Join(d.root.Disk.Close(d.spool), d.root.Disk.Close(d.root.FD)))
}

// work is what one Stage needs; reused, so that memory stays flat.
type work struct {
	in, out []byte
	scan    *mail.Scanner
	lf      mail.LF
}

const chunk = 64 << 10

var works = sync.Pool{New: func() any {
	return &work{in: make([]byte, chunk), out: make([]byte, 0, chunk+1), scan: mail.NewScanner()}
}}

// Stage writes the body into a spool file of this epoch, CRLF turned into LF,
// dates it with received (zero: by the message's own header, else now), and
// starts to make it durable. max bounds its octets as received: message_failed
// above it. After an error no spool file is left; an error of body is in its
// chain.
func (d *Delivery) Stage(ctx context.Context, token mail.Token, body io.Reader, received time.Time,
	max int64,
) (mail.Staged, error) {
	const op = "storing a message"
	if !tokenName.MatchString(string(token)) {
		return mail.Staged{}, internal(op, "the token cannot be a file name")
	}
	name := fmt.Sprintf("%s.e%d", token, d.epoch)
	if err := d.removeLitter(name); err != nil {
		return mail.Staged{}, trouble(op, err)
	}
	select {
	case d.syncing <- struct{}{}: // So that a slow disk slows us, not fills memory with open files.
	case <-ctx.Done():
		return mail.Staged{}, ctx.Err()
	}
	d.store.step("stage.open")
	fd, err := d.root.Open(d.spool, name, disk.OpenNew, d.root.FilePerm())
	if disk.Exists(err) {
		fd, err = d.replaceLeftover(name, err)
	}
	if err != nil {
		<-d.syncing
		return mail.Staged{}, trouble(op, err)
	}
	w := works.Get().(*work)
	defer works.Put(w)
	w.scan.Reset()
	w.lf.Reset()
	err = d.root.Adopt(fd)
	if err == nil {
		err = d.copy(ctx, fd, w, body, max)
	}
	if err == nil {
		received = dateOf(received, w.scan, time.Now())
		err = d.root.SetTime(d.spool, name, received)
	}
	if err != nil {
		d.drop(name, errors.Join(err, d.root.Disk.Close(fd)))
		<-d.syncing
		if b := (*bodyError)(nil); errors.As(err, &b) {
			return mail.Staged{}, err
		}
		return mail.Staged{}, trouble(op, err)
	}
	d.store.step("stage.written")
	d.written(name, fd, w.lf.Size())
	return mail.Staged{
		Spool: name, Fingerprint: w.scan.Sum(), FileSize: w.lf.Size(), VirtualSize: w.lf.Virtual(),
		Received: received,
	}, nil
}

// copy reads the body to its end and writes it, scanned and converted.
func (d *Delivery) copy(ctx context.Context, fd int, w *work, body io.Reader, max int64) error {
	left := max
	for {
		n, err := fill(body, w.in)
		if left -= int64(n); left < 0 {
			return &fault.Error{
				Code: fault.MessageFailed, Op: "storing a message", TooLarge: true,
				Detail: fmt.Sprintf("The message is larger than %s, the most that is fetched.", words.Size(max)),
			}
		}
		if n > 0 {
			_, _ = w.scan.Write(w.in[:n]) // It never fails.
			w.out = w.lf.Append(w.out[:0], w.in[:n])
			d.store.step("stage.write")
			if err := d.root.WriteAll(fd, w.out); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // Itself: one in a wrapping is a broken connection, not the end.
			w.out = w.lf.Finish(w.out[:0])
			return d.root.WriteAll(fd, w.out)
		}
		if err != nil {
			return &bodyError{err}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fill reads until p is full or the body ends or fails: TLS hands out a few
// kilobytes at a time, and each would cost a system call of its own.
func fill(body io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = body.Read(p[n:])
		n += k
	}
	return n, err
}

// bodyError is the source's error, not the disk's.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the message: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// dateOf chooses the date that a message's file bears. A time that cannot be
// true is none.
func dateOf(received time.Time, scan *mail.Scanner, now time.Time) time.Time {
	if y := received.UTC().Year(); !received.IsZero() && y >= 1970 && y <= 2100 {
		return received
	}
	if t := scan.Date(); !t.IsZero() && t.Before(now.Add(24*time.Hour)) {
		return t
	}
	return now
}

// drop removes a spool file that is of no use. Where that fails too, Stage
// tries again before it writes one of the same name, and Sweep later.
func (d *Delivery) drop(name string, why error) {
	err := d.root.Unlink(d.spool, name)
	if err == nil || disk.Missing(err) {
		return
	}
	d.store.log.Warn("a spool file was not removed", "file", name, "error", err, "because", why)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.litter[name] = struct{}{}
}

func (d *Delivery) removeLitter(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.litter[name]; !ok {
		return nil
	}
	if err := d.root.Unlink(d.spool, name); err != nil && !disk.Missing(err) {
		return err
	}
	delete(d.litter, name)
	return nil
}

// Seal returns nil once every staged file and the spool directory would
// survive a power cut.
func (d *Delivery) Seal(ctx context.Context, files []mail.Staged) error {
	const op = "making messages durable"
	covered := d.begin(ctx, files)
	for _, s := range files {
		d.mu.Lock()
		f := d.files[s.Spool]
		d.mu.Unlock()
		if f == nil {
			return internal(op, "a message was not staged")
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.err != nil {
			return trouble(op, f.err)
		}
	}
	if covered {
		return nil
	}
	d.store.step("seal.dir")
	return trouble(op, d.root.Sync(d.spool))
}

// Discard removes spool files that were not committed as staged.
func (d *Delivery) Discard(files []mail.Staged) {
	for _, s := range files {
		if w, ok := d.claim(s.Spool); ok {
			d.settled(w, nil)
		}
		d.mu.Lock()
		f := d.files[s.Spool]
		delete(d.files, s.Spool)
		d.mu.Unlock()
		if f == nil {
			continue
		}
		<-f.done
		if f.err == nil {
			d.store.step("discard")
			d.drop(s.Spool, nil)
		}
	}
}

// forget takes files off the list of the staged and returns their sizes.
func (d *Delivery) forget(names []string) usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var u usage
	for _, name := range names {
		if f := d.files[name]; f != nil {
			u = u.plus(usage{f.size, 1})
			delete(d.files, name)
		}
	}
	return u
}

// temp names a file or directory of ours in the spool that Sweep knows.
func (d *Delivery) temp(what string) string {
	return fmt.Sprintf("%s.e%d.%s", what, d.epoch, disk.Random())
}

// Sweep removes spool files of older epochs, except those named in keep.
// Nobody writes there any more: whoever holds an older lease can commit
// nothing.
func (d *Delivery) Sweep(ctx context.Context, keep map[string]bool) error {
	const op = "sweeping the spool"
	var old []string
	err := d.root.Each(d.spool, func(name string) error {
		if epoch, ok := epochOf(name); ok && epoch < d.epoch && !keep[name] {
			old = append(old, name)
		}
		return ctx.Err()
	})
	if err != nil {
		return trouble(op, err)
	}
	for _, name := range old {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.store.step("sweep.remove")
		if err := d.root.sweepOne(ctx, d.spool, name); err != nil && !disk.Missing(err) {
			return trouble(op, err)
		}
	}
	return nil
}

func (r *root) sweepOne(ctx context.Context, spool int, name string) error {
	st, err := r.Lstat(spool, name)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return r.RemoveTree(spool, name)
	}
	if strings.HasPrefix(name, subscriptionsTemp) {
		// The lock that was taken with it goes first: without it, nobody knew whose it is.
		if lock, err := r.Lstat(r.FD, subscriptionsLock); err == nil && lock.Ino == st.Ino && lock.Dev == st.Dev {
			if err := r.Unlink(r.FD, subscriptionsLock); err != nil && !disk.Missing(err) {
				return err
			}
		}
	}
	if strings.HasPrefix(name, keywordsTemp+".e") && st.Links > 1 {
		if err := r.unlockUIDs(ctx, st); err != nil {
			return err
		}
	}
	return r.Unlink(spool, name)
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
