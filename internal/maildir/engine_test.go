package maildir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/store"
)

// The engine at work, with a real journal, on a disk to which something
// happens: what the file system says reaches it from here through Delivery, and
// the oracle looks at the mailbox.

// postman is a remote in memory: folders with messages, numbered from 1.
type postman []struct {
	name   string
	bodies []string
}

func newPostman() postman {
	p := make(postman, 2)
	p[0].name, p[1].name = "INBOX", "Archive/2023"
	for i := 1; i <= 8; i++ {
		f := &p[min(1, i/6)]
		f.bodies = append(f.bodies, message(i)+strings.Repeat("a line of text\r\n", i*100))
	}
	return p
}

func (p postman) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return p, nil
}

func (p postman) Capabilities() string        { return "" }
func (p postman) Leave(context.Context) error { return nil }
func (p postman) Close() error                { return nil }

func (p postman) folder(i int) mail.Folder {
	f := mail.Folder{Wire: p[i].name, Selectable: true}
	if f.Wire != "INBOX" {
		f.Path = strings.Split(f.Wire, "/")
	}
	n := uint32(len(p[i].bodies))
	f.Status = mail.Status{Known: true, Messages: n, UIDNext: n + 1, UIDValidity: 7}
	return f
}

func (p postman) find(wire string) int {
	for i := range p {
		if p[i].name == wire {
			return i
		}
	}
	return -1
}

func (p postman) Folders(context.Context) (fs []mail.Folder, _ error) {
	for i := range p {
		fs = append(fs, p.folder(i))
	}
	return fs, nil
}

func (p postman) List(_ context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	for _, q := range qs {
		i := p.find(q.Folder.Wire)
		l := mail.Listing{Folder: p.folder(i), Complete: true}
		for n, b := range p[i].bodies {
			if uid := uint32(n + 1); uid >= q.From {
				l.Items = append(l.Items, mail.Item{ID: mail.ID{UID: uid}, Number: uid, Size: int64(len(b)), Received: received})
			}
		}
		if err := yield(l, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p postman) Fetch(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	_ func(mail.Folder, mail.Item, *fault.Error),
) error {
	for _, w := range ws {
		for _, it := range w.Items {
			if err := take(w.Folder, it, strings.NewReader(p[p.find(w.Folder.Wire)].bodies[it.ID.UID-1])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p postman) Headers(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, []byte) error) error {
	for _, w := range ws {
		for _, it := range w.Items {
			head, _, _ := strings.Cut(p[p.find(w.Folder.Wire)].bodies[it.ID.UID-1], "\r\n\r\n")
			if err := take(w.Folder, it, []byte(head+"\r\n\r\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p postman) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{}, nil
}

// boxes gives the engine a store, as cmd does.
type boxes struct{ *Store }

func (b boxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	if err := b.Make(ctx, r.Owner); err != nil {
		return nil, err
	}
	return b.Store.Open(ctx, r.Owner, r.Journal, epoch, l)
}

// office is one database, and users that are enrolled one after the other.
type office struct {
	db    *store.Store
	place string // Of the mailboxes.
	users int
}

// offices are one for each database.
func offices(t *testing.T) map[string]*office {
	all := map[string]*office{}
	for name, dsn := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(mailtest.InMemory(t), "journal.db"), "PostgreSQL": mailtest.StartPostgres(t),
	} {
		db, err := store.Open(t.Context(), dsn, store.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, db.Close()) })
		must(t, db.Migrate(t.Context()))
		all[name] = &office{db: db, place: mailtest.InMemory(t)}
	}
	return all
}

// customer is one user with one account, and what became of his mail.
type customer struct {
	*office
	owner   owner.Owner
	account account.Account
	home    string
	deleted map[string]int // By text.
}

func (o *office) enrol(t *testing.T) *customer {
	t.Helper()
	o.users++
	owner, err := owner.Parse(fmt.Sprintf("u%d@firma.test", o.users))
	must(t, err)
	a, err := o.db.Accounts().Add(t.Context(), account.Account{
		ID: account.ID(uuid.NewString()), Owner: owner, Email: "x@remote.test", Name: "Remote", Provider: "other",
		Protocol: remote.IMAP,
		Server:   remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS}, Username: "x",
		Auth:   remote.Password,
		Folder: "Remote", PollInterval: time.Hour, Enabled: true, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		Journal: uuid.NewString(),
	}, []byte("sealed"), 4)
	must(t, err)
	return &customer{o, owner, a, filepath.Join(o.place, owner.String()), map[string]int{}}
}

// visit fetches the account's mail once, on this disk.
func (c *customer) visit(t *testing.T, d disk.Disk, j fetch.Journal) error {
	t.Helper()
	s, err := New(Options{Template: "maildir:" + c.place + "/{user}", Host: "test"})
	must(t, err)
	s.disk = d
	var lease schedule.Lease
	// Until the lease before has run out.
	for now, err := time.Now(), schedule.ErrBusy; err != nil; now = now.Add(time.Hour) {
		if !errors.Is(err, schedule.ErrBusy) {
			t.Fatal(err)
		}
		lease, err = c.db.Queue().ClaimOne(t.Context(), c.owner, c.account.ID, schedule.Claim{
			Worker: uuid.NewString(),
			Now:    now, Lease: time.Minute, Limit: 1,
		})
	}
	p := newPostman()
	return fetch.New(fetch.Options{
		Source: p, Mailbox: boxes{s}, Journal: j, Credentials: p, TokenKey: []byte("a key"),
		LocalName:     fetch.InFolder(LocalName),
		BatchMessages: 3, Log: slog.New(slog.DiscardHandler),
	}).Visit(t.Context(), lease.Lease).Err
}

// customs are what a user does with the mail that has come so far.
var customs = []string{"does nothing", "moves", "deletes"}

func (c *customer) act(t *testing.T, custom string) {
	t.Helper()
	if _, err := os.Stat(c.home); err != nil || custom == "does nothing" {
		return
	}
	mails, _ := tree(t, c.home)
	other := filepath.Join(c.home, ".Elsewhere", "cur")
	for name, text := range mails {
		path := filepath.Join(c.home, name)
		if custom == "deletes" {
			c.deleted[text]++
			must(t, os.Remove(path))
		} else if filepath.Dir(path) != other {
			base, _, _ := strings.Cut(filepath.Base(path), ":")
			must(t, errors.Join(os.MkdirAll(other, 0o700), os.Rename(path, filepath.Join(other, base+":2,S"))))
		}
	}
}

// wrong says what must not be at any time: a file that is no whole message, or
// one message twice. At the end nothing may be missing either, nor left over.
func (c *customer) wrong(t *testing.T, end bool) (bad []string) {
	t.Helper()
	got := maps.Clone(c.deleted)
	var spool []string
	if _, err := os.Stat(c.home); err == nil {
		var mails map[string]string
		mails, spool = tree(t, c.home)
		for _, text := range mails {
			got[text]++
		}
	}
	for _, f := range newPostman() {
		for n, b := range f.bodies {
			text := strings.ReplaceAll(b, "\r\n", "\n")
			switch k := got[text]; {
			case k > 1:
				bad = append(bad, fmt.Sprintf("%s %d is doubled", f.name, n+1))
			case k == 0 && end:
				bad = append(bad, fmt.Sprintf("%s %d is lost", f.name, n+1))
			}
			delete(got, text)
		}
	}
	for text, n := range got {
		bad = append(bad, fmt.Sprintf("%d files of %d octets are no message", n, len(text)))
	}
	if end && len(spool) > 0 {
		bad = append(bad, fmt.Sprintf("%d files were left in the spool", len(spool)))
	}
	slices.Sort(bad)
	return bad
}

// happening is what befalls a disk, and what is between it and the engine.
type happening struct {
	mode   *faulty
	broken func(disk.Disk) disk.Disk // Nil: every rule is kept.
}

// befall makes one visit whose n-th file operation fails, lets the user act, and
// makes two more on a healthy disk: one that completes, one that has nothing to
// do. It returns what is wrong, and whether the n-th operation came to pass.
func (c *customer) befall(t *testing.T, n int, h happening, custom string) (bad []string, happened bool) {
	t.Helper()
	sick := &faulty{
		Disk: disk.Kernel(), n: n, err: h.mode.err, dead: h.mode.dead, short: h.mode.short, failed: map[int]bool{},
	}
	d := disk.Disk(sick)
	if h.broken != nil {
		d = h.broken(sick)
	}
	err := c.visit(t, d, aliveJournal{c.db.Journal(), sick})
	if sick.again > 0 {
		bad = append(bad, "a failed fsync was tried again")
	}
	code := fault.CodeOf(err)
	if err != nil && (h.mode.short || code != codeOf(h.mode.err)) {
		bad = append(bad, fmt.Sprintf("the visit ended with %v", err))
	}
	bad = append(bad, c.wrong(t, false)...)
	c.act(t, custom)
	for range 2 {
		if err := c.visit(t, healthy(), c.db.Journal()); err != nil {
			bad = append(bad, fmt.Sprintf("a later visit ended with %v", err))
		}
	}
	return append(bad, c.wrong(t, true)...), sick.tripped
}

func healthy() *faulty { return &faulty{Disk: disk.Kernel(), failed: map[int]bool{}} }

// aliveJournal is a journal to which nothing is written by the dead.
type aliveJournal struct {
	fetch.Journal
	disk *faulty
}

var errDead = errors.New("there is no power")

func (j aliveJournal) alive() error {
	j.disk.mu.Lock()
	defer j.disk.mu.Unlock()
	if j.disk.dead && j.disk.tripped {
		return fault.Wrap(fault.LocalMailboxUnavailable, "being alive", errDead)
	}
	return nil
}

func (j aliveJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if err := j.alive(); err != nil {
		return err
	}
	return j.Journal.Commit(ctx, l, e)
}

func (j aliveJournal) AddFolders(ctx context.Context, l fetch.Lease, fs []fetch.Folder) ([]fetch.Folder, error) {
	if err := j.alive(); err != nil {
		return nil, err
	}
	return j.Journal.AddFolders(ctx, l, fs)
}

var happenings = map[string]happening{
	"ENOSPC":      {mode: &faulty{err: unix.ENOSPC}},
	"EDQUOT":      {mode: &faulty{err: unix.EDQUOT}},
	"EIO":         {mode: &faulty{err: unix.EIO}},
	"EMFILE":      {mode: &faulty{err: unix.EMFILE}},
	"short write": {mode: &faulty{short: true}},
	"killed":      {mode: &faulty{err: unix.EIO, dead: true}},
}

// F15 to F21 and F46 of the fault matrix, through the whole engine.
func TestWhicheverFileOperationFailsTheNextVisitCompletes(t *testing.T) {
	t.Parallel()
	for name, o := range offices(t) {
		t.Run(name, func(t *testing.T) {
			by, tried, last := int(mailtest.Stride(t, 29, 145)), 0, 0
			for i, what := range slices.Sorted(maps.Keys(happenings)) {
				for n := 1 + i*by/len(happenings); ; n += by {
					custom := customs[(n/by+n+i)%len(customs)]
					bad, happened := o.enrol(t).befall(t, n, happenings[what], custom)
					if len(bad) > 0 {
						t.Errorf("%s at operation %d, the user %s: %s", what, n, custom, strings.Join(bad, "; "))
					}
					if !happened {
						last = max(last, n)
						break
					}
					tried++
				}
			}
			if last < 100 || tried < len(happenings)*3*29/max(29, by) {
				t.Errorf("%d operations tried, the last of them %d: the suite does not bite", tried, last)
			}
			t.Logf("%d operations failed, each once, of %d that a visit takes", tried, last-1)
		})
	}
}

// The controls: rules of the disk's users, broken by what is between them and
// the disk, which the same histories have to bring to light.
var rules = map[string]happening{
	// I1, I3, I17: an error is heeded. Here a write that did not succeed is taken for one that did.
	"a failed write is noticed": {
		mode: &faulty{err: unix.ENOSPC}, broken: func(d disk.Disk) disk.Disk { return heedless{d} },
	},
	// I17: a message becomes visible by one atomic step. Here it is copied.
	"a rename shows a message whole": {mode: &faulty{err: unix.EIO, dead: true}, broken: func(d disk.Disk) disk.Disk {
		return copying{d}
	}},
	// F19: what a failed fsync leaves behind is not known. Here it is synced again.
	"a failed fsync is final": {mode: &faulty{err: unix.EIO}, broken: func(d disk.Disk) disk.Disk { return stubborn{d} }},
	// F21: what was not written yet is written.
	"a short write continues": {mode: &faulty{short: true}, broken: func(d disk.Disk) disk.Disk { return curt{d} }},
}

// heedless takes every write for a success.
type heedless struct{ disk.Disk }

func (d heedless) Write(fd int, p []byte) (int, error) {
	if n, err := d.Disk.Write(fd, p); err == nil {
		return n, nil
	}
	return len(p), nil
}

// curt takes every write for a whole one.
type curt struct{ disk.Disk }

func (d curt) Write(fd int, p []byte) (int, error) {
	_, err := d.Disk.Write(fd, p)
	return len(p), err
}

// stubborn syncs again what failed to be.
type stubborn struct{ disk.Disk }

func (d stubborn) Sync(fd int) error { return cmp.Or(d.Disk.Sync(fd), d.Disk.Sync(fd)) }

// copying moves a file by copying it.
type copying struct{ disk.Disk }

func (d copying) Move(from int, name string, to int, newName string) error {
	st, err := d.Lstat(from, name)
	if err != nil || st.IsDir() {
		return errors.Join(err, d.Disk.Move(from, name, to, newName))
	}
	source, err := d.Open(from, name, disk.OpenFile, 0)
	if err != nil {
		return err
	}
	defer d.Disk.Close(source)
	target, err := d.Open(to, newName, disk.OpenNew, 0o600)
	if err != nil {
		return err
	}
	defer d.Disk.Close(target)
	buf := make([]byte, 512)
	for {
		n, err := d.Read(source, buf)
		if err != nil {
			return err
		}
		if n <= 0 {
			return d.Unlink(from, name)
		}
		if _, err := d.Write(target, buf[:n]); err != nil {
			return err
		}
	}
}

func TestABrokenRuleOfTheDiskIsNoticed(t *testing.T) {
	t.Parallel()
	o := offices(t)["SQLite"]
	for name, h := range rules {
		t.Run(name, func(t *testing.T) {
			caught, tried, example := 0, 0, ""
			by := mailtest.Stride(t, 2, 2)
			for _, steps := range mailtest.Search(187) {
				for n := steps.From; n < steps.To && (caught == 0 || by == 1); n += by {
					bad, happened := o.enrol(t).befall(t, int(n), h, "does nothing")
					if len(bad) > 0 {
						caught++
						example = strings.Join(bad, "; ")
					}
					if !happened {
						break
					}
					tried++
				}
			}
			if caught == 0 {
				t.Error("nothing was noticed although the rule was broken")
			}
			t.Logf("caught %d times by %d failures, such as: %.120s", caught, tried, example)
		})
	}
}

// forgetful is a disk that keeps, over a power cut, nothing but what it was asked
// to: of a file what was there at its fsync, of a directory the entries that it
// had at its own. Real file systems keep more, such as the name of a new file
// with its text, and need not. A rename is atomic, and what was removed stays
// so. The spool's note, which is to be as safe as what is delivered after it, is
// safe at once: so it may say more than the spool holds, but never less.
type forgetful struct {
	*faulty
	grave   int // A directory for what is forgotten.
	buried  int
	changes []*change
	fresh   map[inode]int // New files whose text is not safe, and a descriptor of each.
}

type inode struct{ dev, ino uint64 }

// change is a new entry of a directory that is not safe yet.
type change struct {
	dir  inode
	fds  []int
	undo func() error
}

func (c *change) forget() (err error) {
	for _, fd := range c.fds {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

func newForgetful(t *testing.T, d *faulty, grave string) *forgetful {
	t.Helper()
	must(t, os.MkdirAll(grave, 0o700))
	fd, err := disk.Kernel().Open(unix.AT_FDCWD, grave, disk.OpenDir, 0)
	must(t, err)
	return &forgetful{faulty: d, grave: fd, fresh: map[inode]int{}}
}

func inodeOf(fd int) (inode, error) {
	st, err := disk.Kernel().Fstat(fd)
	return inode{st.Dev, st.Ino}, err
}

// remember notes how to undo what was just done in a directory. It must be
// called with mu held.
func (f *forgetful) remember(dir int, undo func(fds []int) error, dirs ...int) error {
	id, err := inodeOf(dir)
	c := &change{dir: id}
	for _, d := range append([]int{dir}, dirs...) {
		fd, e := unix.FcntlInt(uintptr(d), unix.F_DUPFD_CLOEXEC, 0)
		c.fds, err = append(c.fds, fd), errors.Join(err, e)
	}
	c.undo = func() error { return undo(c.fds) }
	f.changes = append(f.changes, c)
	return err
}

func (f *forgetful) bury(dir int, name string) error {
	f.buried++
	err := disk.Kernel().Replace(dir, name, f.grave, fmt.Sprint(f.buried))
	if errors.Is(err, unix.ENOENT) {
		return nil // It went somewhere else since, and that is remembered by itself.
	}
	return err
}

func (f *forgetful) Open(dir int, name string, flags int, perm uint32) (int, error) {
	fd, err := f.faulty.Open(dir, name, flags, perm)
	if err != nil || flags&unix.O_CREAT == 0 || strings.HasPrefix(name, ".generation.") {
		return fd, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := inodeOf(fd)
	copied, e := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if old, ok := f.fresh[id]; ok {
		e = errors.Join(e, unix.Close(old)) // The number was used before.
	}
	f.fresh[id] = copied
	return fd, errors.Join(err, e, f.remember(dir, func(fds []int) error { return f.bury(fds[0], name) }))
}

func (f *forgetful) Mkdir(dir int, name string, perm uint32) error {
	if err := f.faulty.Mkdir(dir, name, perm); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remember(dir, func(fds []int) error { return f.bury(fds[0], name) })
}

func (f *forgetful) Link(from int, name string, to int, newName string) error {
	if err := f.faulty.Link(from, name, to, newName); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remember(to, func(fds []int) error { return f.bury(fds[0], newName) })
}

func (f *forgetful) Move(from int, name string, to int, newName string) error {
	if err := f.faulty.Move(from, name, to, newName); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved(from, name, to, newName)
}

func (f *forgetful) moved(from int, name string, to int, newName string) error {
	return f.remember(to, func(fds []int) error { return disk.Kernel().Replace(fds[0], newName, fds[1], name) }, from)
}

// replace keeps what is replaced, to put it back.
func (f *forgetful) Replace(from int, name string, to int, newName string) error {
	if strings.HasPrefix(name, ".generation.") {
		return f.faulty.Replace(from, name, to, newName)
	}
	f.mu.Lock()
	f.buried++
	old := fmt.Sprint(f.buried)
	kept := disk.Kernel().Link(to, newName, f.grave, old)
	f.mu.Unlock()
	if err := f.faulty.Replace(from, name, to, newName); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if kept == nil {
		kept = f.remember(to, func(fds []int) error { return disk.Kernel().Replace(f.grave, old, fds[0], newName) })
	} else if errors.Is(kept, unix.ENOENT) {
		kept = nil
	}
	return errors.Join(kept, f.moved(from, name, to, newName))
}

// sync makes safe what the file or directory is now.
func (f *forgetful) Sync(fd int) error {
	if err := f.faulty.Sync(fd); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := inodeOf(fd)
	if open, ok := f.fresh[id]; ok {
		delete(f.fresh, id)
		err = errors.Join(err, unix.Close(open))
	}
	f.changes = slices.DeleteFunc(f.changes, func(c *change) bool {
		if c.dir != id {
			return false
		}
		err = errors.Join(err, c.forget())
		return true
	})
	return err
}

// cut is the power cut; it forgets, the latest first.
func (f *forgetful) cut() (err error) {
	for _, fd := range f.fresh {
		err = errors.Join(err, unix.Ftruncate(fd, 0), unix.Close(fd))
	}
	for _, c := range slices.Backward(f.changes) {
		if e := c.undo(); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		err = errors.Join(err, c.forget())
	}
	return errors.Join(err, unix.Close(f.grave))
}

// unsynced leaves an fsync out where the rule is not kept.
type unsynced struct {
	disk.Disk
	out func(fd int) bool
}

func (d unsynced) Sync(fd int) error {
	if d.out(fd) {
		return nil
	}
	return d.Disk.Sync(fd)
}

// lose is befall for a power cut: the journal keeps what it acknowledged, the
// mail's disk what was made safe on it.
func (c *customer) lose(t *testing.T, n int, out func(fd int) bool, custom string) (bad []string, happened bool) {
	t.Helper()
	sick := &faulty{Disk: disk.Kernel(), n: n, err: unix.EIO, dead: true, failed: map[int]bool{}}
	disk := newForgetful(t, sick, filepath.Join(c.place, "forgotten", c.owner.String()))
	if err := c.visit(t, unsynced{disk, out}, aliveJournal{c.db.Journal(), sick}); err != nil && !sick.tripped {
		t.Errorf("a visit to which nothing happened: %v", err)
	}
	must(t, disk.cut())
	bad = c.wrong(t, false)
	c.act(t, custom)
	for range 2 {
		if err := c.visit(t, healthy(), c.db.Journal()); err != nil {
			bad = append(bad, fmt.Sprintf("a later visit ended with %v", err))
		}
	}
	return append(bad, c.wrong(t, true)...), sick.tripped
}

// F04 and F05 for a disk that keeps no more than it has to. What real ones do
// is tried in package fetch.
func TestAPowerCutLosesNothingWhereTheDiskKeepsOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	for name, o := range offices(t) {
		t.Run(name, func(t *testing.T) {
			by, cuts := int(mailtest.Stride(t, 23, 115)), 0
			for i, custom := range customs {
				for n := 1 + i*by/len(customs); ; n += by {
					bad, happened := o.enrol(t).lose(t, n, func(int) bool { return false }, custom)
					if len(bad) > 0 {
						t.Errorf("cut before operation %d, the user %s: %s", n, custom, strings.Join(bad, "; "))
					}
					if !happened {
						break
					}
					cuts++
				}
			}
			if cuts < 9*23/max(23, by) {
				t.Errorf("only %d power cuts: the suite does not bite", cuts)
			}
			t.Logf("%d power cuts", cuts)
		})
	}
}

// The controls: each fsync that the protocol names, left out.
func TestEachMissingFsyncIsNoticedByAPowerCut(t *testing.T) {
	t.Parallel()
	o := offices(t)["SQLite"]
	at := func(fd int, paths ...string) bool {
		id, err := inodeOf(fd)
		return err == nil && slices.ContainsFunc(paths, func(path string) bool {
			var st unix.Stat_t
			return unix.Stat(path, &st) == nil && id == inode{st.Dev, st.Ino}
		})
	}
	for name, out := range map[string]func(c *customer, fd int) bool{
		"of a message's file": func(_ *customer, fd int) bool {
			st, err := disk.Kernel().Fstat(fd)
			return err == nil && st.IsRegular()
		},
		"of the spool": func(c *customer, fd int) bool { return at(fd, filepath.Join(c.home, spool.Dir, c.account.Journal)) },
		"of where a message is moved to": func(c *customer, fd int) bool {
			return at(fd, filepath.Join(c.home, ".Remote", "new"), filepath.Join(c.home, ".Remote.Archive.2023", "new"))
		},
		"of where a folder was made":  func(c *customer, fd int) bool { return at(fd, c.home) },
		"of where a mailbox was made": func(c *customer, fd int) bool { return at(fd, c.place) },
		"of where a spool was made":   func(c *customer, fd int) bool { return at(fd, filepath.Join(c.home, spool.Dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			caught, cuts, example := 0, 0, ""
			by := mailtest.Stride(t, 4, 4)
			for _, steps := range mailtest.Search(221) {
				for n := steps.From; n < steps.To && (caught == 0 || by == 1); n += by {
					c := o.enrol(t)
					bad, happened := c.lose(t, int(n), func(fd int) bool { return out(c, fd) }, "deletes")
					if len(bad) > 0 {
						caught++
						example = strings.Join(bad, "; ")
					}
					if !happened {
						break
					}
					cuts++
				}
			}
			if caught == 0 {
				t.Error("nothing was lost or doubled although an fsync was left out")
			}
			t.Logf("caught by %d of %d power cuts, such as: %.120s", caught, cuts, example)
		})
	}
}
