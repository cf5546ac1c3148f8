package maildir

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// faulty is a disk whose n-th operation fails, after which it is well again or
// stays dead, as if the process had been killed. It spares the machine the
// waiting for fsync.
type faulty struct {
	disk.Disk
	mu      sync.Mutex
	n       int   // Counts down to the operation that fails.
	err     error // With this.
	dead    bool  // All operations after it fail as well.
	short   bool  // It is a write, which writes half and says so.
	tripped bool
	failed  map[int]bool // Open files whose fsync failed.
	again   int          // How often one of them was synced again.

	together bool // Whether one sync of everything will do.

	call func() error // Asked before each operation; nil: nobody is.
}

// do runs op unless it is its turn to fail.
func (f *faulty) do(op func() error) error {
	if f.call != nil {
		if err := f.call(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.n--
	fail := f.n == 0 && !f.short || f.tripped && f.dead
	f.tripped = f.tripped || fail
	f.mu.Unlock()
	if fail {
		return f.err
	}
	return op()
}

func (f *faulty) Open(dir int, name string, flags int, perm uint32) (fd int, err error) {
	fd = -1
	err = f.do(func() error { fd, err = f.Disk.Open(dir, name, flags, perm); return err })
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.failed, fd)
	return fd, err
}

func (f *faulty) Mkdir(dir int, name string, perm uint32) error {
	return f.do(func() error { return f.Disk.Mkdir(dir, name, perm) })
}

func (f *faulty) Move(from int, name string, to int, newName string) error {
	return f.do(func() error { return f.Disk.Move(from, name, to, newName) })
}

func (f *faulty) Replace(from int, name string, to int, newName string) error {
	return f.do(func() error { return f.Disk.Replace(from, name, to, newName) })
}

func (f *faulty) Link(from int, name string, to int, newName string) error {
	return f.do(func() error { return f.Disk.Link(from, name, to, newName) })
}

func (f *faulty) Unlink(dir int, name string) error {
	return f.do(func() error { return f.Disk.Unlink(dir, name) })
}

func (f *faulty) Rmdir(dir int, name string) error {
	return f.do(func() error { return f.Disk.Rmdir(dir, name) })
}

func (f *faulty) Read(fd int, p []byte) (n int, err error) {
	err = f.do(func() error { n, err = f.Disk.Read(fd, p); return err })
	return n, err
}

func (f *faulty) Write(fd int, p []byte) (n int, err error) {
	f.mu.Lock()
	short := f.short && f.n <= 1 && len(p) > 1 && !f.tripped
	f.tripped = f.tripped || short
	f.mu.Unlock()
	if short {
		return f.Disk.Write(fd, p[:len(p)/2])
	}
	err = f.do(func() error { n, err = f.Disk.Write(fd, p); return err })
	return n, err
}

func (f *faulty) Sync(fd int) error {
	err := f.do(func() error { return nil })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed[fd] {
		f.again++
	}
	if err != nil {
		f.failed[fd] = true
	}
	return err
}

func (f *faulty) SyncsAll(int) bool { return f.together }

func (f *faulty) SyncAll(int) error { return f.do(func() error { return nil }) }

// close closes even when it fails, as the kernel does.
func (f *faulty) Close(fd int) error {
	err := f.Disk.Close(fd)
	return errors.Join(f.do(func() error { return nil }), err)
}

func (f *faulty) Fstat(fd int) (st disk.Stat, err error) {
	err = f.do(func() error { st, err = f.Disk.Fstat(fd); return err })
	return st, err
}

func (f *faulty) Lstat(dir int, name string) (st disk.Stat, err error) {
	err = f.do(func() error { st, err = f.Disk.Lstat(dir, name); return err })
	return st, err
}

func (f *faulty) SetTime(dir int, name string, t time.Time) error {
	return f.do(func() error { return f.Disk.SetTime(dir, name, t) })
}

func (f *faulty) Each(fd int, yield func(string) error) error {
	return f.do(func() error { return f.Disk.Each(fd, yield) })
}

// visit is what the engine does with a mailbox: it finishes what an earlier
// visit left, sweeps, then stages and publishes what is not settled.
type visit struct {
	t        *testing.T
	store    *Store
	epoch    int64
	journal  map[int]mail.Placement // Committed as staged; the zero placement: as delivered.
	messages int
}

func (v *visit) run() (err error) {
	ctx := context.Background()
	v.epoch++
	if err := v.store.Make(ctx, anna(v.t)); err != nil {
		return err
	}
	d, err := v.store.Open(ctx, anna(v.t), journal, v.epoch, limit(1<<20, -1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := v.publish(ctx, d); err != nil {
		return err
	}
	if err := d.Sweep(ctx, nil); err != nil {
		return err
	}
	if err := d.Reserve(ctx, 1, 1); err != nil {
		return err
	}
	d.Release(1, 1)
	if err := d.EnsureFolders(ctx, []string{"Gmail", "Gmail/Archive/2023", "Gmail/Empty"}); err != nil {
		return err
	}
	var all []mail.Staged
	staged := map[int]mail.Placement{}
	for n := 1; n <= v.messages; n++ {
		if _, ok := v.journal[n]; ok {
			continue
		}
		if err := d.Reserve(ctx, 1, int64(len(message(n)))); err != nil {
			return err
		}
		st, err := d.Stage(ctx, token(n), strings.NewReader(message(n)), received, 1<<20)
		if err != nil {
			d.Discard(all)
			return err
		}
		all = append(all, st)
		staged[n] = placement(st, n, []string{"Gmail", "Gmail/Archive/2023", "Gmail/Made late"}[n%3], mail.Flags(
			n%2)*mail.Seen)
	}
	if err := seal(ctx, d, all); err != nil {
		d.Discard(all)
		return err
	}
	maps.Copy(v.journal, staged)
	noted, _, err := d.Generation(ctx)
	if err != nil {
		return err
	}
	if err := d.SetGeneration(ctx, noted+1); err != nil {
		return err
	}
	return v.publish(ctx, d)
}

// publish delivers what the journal has as staged.
func (v *visit) publish(ctx context.Context, d *Delivery) error {
	var ps []mail.Placement
	for n := 1; n <= v.messages; n++ {
		if p, ok := v.journal[n]; ok && p.Spool != "" {
			ps = append(ps, p)
		}
	}
	if len(ps) == 0 {
		return nil
	}
	if err := errOf(d.Publish(ctx, ps)); err != nil {
		return err
	}
	if f, ok := v.store.disk.(*faulty); ok && f.dead && f.tripped {
		return disk.Trouble("being killed", f.err) // Nobody is left to note that it went well.
	}
	for n := range v.journal {
		v.journal[n] = mail.Placement{}
	}
	return nil
}

// mustBeWhole checks that nothing is half visible.
func mustBeWhole(t *testing.T, root string, messages int) {
	t.Helper()
	whole := map[string]bool{}
	for n := 1; n <= messages; n++ {
		whole[strings.ReplaceAll(message(n), "\r\n", "\n")] = true
	}
	if _, err := os.Stat(root); err != nil {
		return
	}
	mails, _ := tree(t, root)
	for name, text := range mails {
		if !whole[text] {
			t.Errorf("%s is visible and holds %q", name, text)
		}
	}
	entries, err := os.ReadDir(root)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			for _, part := range []string{"new", "cur", "tmp", "maildirfolder"} {
				if _, err := os.Stat(filepath.Join(root, e.Name(), part)); err != nil {
					t.Errorf("folder %s is visible without %s", e.Name(), part)
				}
			}
		}
	}
}

// F15-F21, F46: whichever operation fails, and however, nothing is half
// visible then, and the next visit completes it all, once.
func TestFailTheNthOperation(t *testing.T) {
	t.Parallel()
	by := int(mailtest.Stride(t, 1, 25))
	for name, mode := range map[string]*faulty{
		"ENOSPC":      {err: unix.ENOSPC},
		"EDQUOT":      {err: unix.EDQUOT},
		"EIO":         {err: unix.EIO},
		"EROFS":       {err: unix.EROFS},
		"EMFILE":      {err: unix.EMFILE},
		"short write": {short: true},
		"killed":      {err: unix.EIO, dead: true},
	} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/together=%v", name, together), func(t *testing.T) {
				mode.together = together
				dir := mailtest.InMemory(t)
				n, tried := 1, 0
				for ; failNth(t, dir, n, mode); n += by {
					if tried++; t.Failed() {
						t.Fatalf("at operation %d", n)
					}
				}
				if n < 20 {
					t.Errorf("there are only %d operations", n)
				}
				t.Logf("%d operations", tried)
			})
		}
	}
}

// failNth reports whether the n-th operation came to pass.
func failNth(t *testing.T, place string, n int, mode *faulty) bool {
	dir, err := os.MkdirTemp(place, "")
	must(t, err)
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "anna@firma.test")
	const messages = 4
	sick := &faulty{
		Disk: disk.Kernel(), n: n, err: mode.err, dead: mode.dead, short: mode.short, failed: map[int]bool{},
		together: mode.together,
	}
	store := func(d disk.Disk) *Store {
		s, err := New(Options{Template: "maildir:" + dir + "/{user}", Host: "test", SyncTogether: 2})
		must(t, err)
		s.disk = d
		return s
	}
	v := &visit{t: t, store: store(sick), journal: map[int]mail.Placement{}, messages: messages}
	err = v.run()
	mustBeWhole(t, root, messages)
	if sick.again > 0 {
		t.Errorf("a failed fsync was tried again")
	}
	if err != nil && mode.short {
		t.Errorf("a short write ended in %v", err)
	}
	if code := fault.CodeOf(err); err != nil && code != codeOf(mode.err) {
		t.Errorf("the failure is %v", err)
	}
	v.store = store(&faulty{Disk: disk.Kernel(), failed: map[int]bool{}, together: mode.together})
	if err := v.run(); err != nil {
		t.Errorf("the next visit: %v", err)
	}
	if err := v.run(); err != nil {
		t.Errorf("the third visit: %v", err)
	}
	mustHold(t, root, messages)
	mustBeWhole(t, root, messages)
	mustBeSubscribed(t, root)
	d := open(t, v.store, 99, limit(1<<20, -1))
	agree(t, v.store, root, d)
	must(t, d.Close())
	return sick.tripped
}

func mustBeSubscribed(t *testing.T, root string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, subscriptionsFile))
	must(t, err)
	lines := strings.Split(strings.TrimPrefix(strings.TrimSpace(string(text)), "V\t2\n\n"), "\n")
	slices.Sort(lines)
	want := []string{"Gmail", "Gmail\tArchive", "Gmail\tArchive\t2023", "Gmail\tEmpty", "Gmail\tMade late"}
	if !slices.Equal(lines, want) {
		t.Errorf("subscribed are %q, want %q", lines, want)
	}
}

// The same while a folder is removed.
func TestFailTheNthOperationOfARemoval(t *testing.T) {
	place := mailtest.InMemory(t)
	for n := 1; ; n++ {
		dir := filepath.Join(place, strconv.Itoa(n))
		s, err := New(Options{Template: "maildir:" + dir + "/{user}"})
		must(t, err)
		root := filepath.Join(dir, "anna@firma.test")
		d := open(t, s, 1, limit(1<<20, -1))
		all, err := stage(d, 4)
		must(t, err)
		must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail", "Gmail/Sent"))))
		must(t, d.Close())
		sick := &faulty{Disk: disk.Kernel(), n: n, err: unix.EIO, failed: map[int]bool{}}
		s.disk = sick
		err = s.RemoveFolder(t.Context(), anna(t), "Gmail")
		if err != nil {
			wantCode(t, err, fault.LocalMailboxUnavailable)
		}
		mustBeWhole(t, root, 4)
		s.disk = disk.Kernel()
		must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
		mails, spool := tree(t, root)
		if len(mails)+len(spool) > 0 {
			t.Fatalf("after operation %d failed: left %v, %v", n, mails, spool)
		}
		if text, _ := os.ReadFile(filepath.Join(root, subscriptionsFile)); strings.Contains(string(text), "Gmail") {
			t.Fatalf("after operation %d failed: still subscribed: %q", n, text)
		}
		if !sick.tripped {
			return
		}
	}
}

// F19: the file whose fsync failed is thrown away.
func TestF19FailedFsyncThrowsTheFileAway(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, limit(-1, -1))
	sick := &faulty{Disk: disk.Kernel(), err: unix.EIO, failed: map[int]bool{}}
	d.root.Disk = sick
	good, err := stage(d, 1)
	must(t, err)
	must(t, seal(t.Context(), d, good))
	syncFails := &failSync{Disk: sick}
	d.root.Disk = syncFails
	bad, err := d.Stage(t.Context(), token(2), strings.NewReader(message(2)), received, 1<<20)
	must(t, err)
	all := []mail.Staged{good[0], bad}
	wantCode(t, seal(t.Context(), d, all), fault.LocalMailboxUnavailable)
	if _, err := os.Stat(filepath.Join(root, spool.Dir, journal, bad.Spool)); err == nil {
		t.Error("the file is still there")
	}
	d.root.Disk = sick
	d.Discard(all)
	if syncFails.n != 1 {
		t.Errorf("fsync was called %d times on the file", syncFails.n)
	}
	again, err := stage(d, 2)
	must(t, err)
	must(t, seal(t.Context(), d, again))
	must(t, errOf(d.Publish(t.Context(), placements(again, "Gmail"))))
	mustHold(t, root, 2)
}

type failSync struct {
	disk.Disk
	n int
}

func (f *failSync) Sync(int) error { f.n++; return unix.EIO }

// Where the file system has no rename that refuses to replace, a link and an
// unlink do the same.
func TestWithoutRenameNoReplace(t *testing.T) {
	s, root := newStore(t, Options{Step: func(string) {}})
	s.disk = noMove{s.disk}
	d := open(t, s, 1, limit(-1, -1))
	all, err := stage(d, 4)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	ps := placements(all, "Gmail", "Gmail/Sent")
	must(t, errOf(d.Publish(t.Context(), ps)))
	mustHold(t, root, 4)
	must(t, errOf(d.Publish(t.Context(), ps)))
	mustHold(t, root, 4)
}

// Another message that lies under the name of a new one, as where two of them were
// taken for one, hides neither. The control is the same message again, which comes
// once.
func TestAMessageUnderTheNameOfAnotherIsNotLost(t *testing.T) {
	for name, make := range map[string]func(disk.Disk) disk.Disk{
		"rename": func(d disk.Disk) disk.Disk { return d }, "link": func(d disk.Disk) disk.Disk { return noMove{d} },
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			s.disk = make(s.disk)
			d := open(t, s, 1, limit(-1, -1))
			padding := strings.Repeat("the same in all of them\r\n", 8000)
			deliver := func(text string) {
				t.Helper()
				st, err := d.Stage(t.Context(), token(1), strings.NewReader(padding+text), received, 1<<20)
				must(t, err)
				must(t, seal(t.Context(), d, []mail.Staged{st}))
				must(t, errOf(d.Publish(t.Context(), placements([]mail.Staged{st}, "Gmail"))))
			}
			for _, text := range []string{"first\r\n", "other\r\n", "third\r\n", "first\r\n"} {
				deliver(text)
			}
			mails, spool := tree(t, root)
			var came []string
			for _, text := range mails {
				came = append(came, text[len(text)-len("first\n"):])
			}
			slices.Sort(came)
			if want := []string{"first\n", "other\n", "third\n"}; !slices.Equal(came, want) || len(spool) != 0 {
				t.Errorf("came: %q, want %q; spool %v", came, want, spool)
			}
		})
	}
}

type noMove struct{ disk.Disk }

func (noMove) Move(int, string, int, string) error { return unix.EINVAL }

func TestEveryStepIsNamed(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	s, _ := newStore(t, Options{Step: func(name string) {
		mu.Lock()
		defer mu.Unlock()
		seen[name] = true
	}})
	d := open(t, s, 1, limit(-1, 100))
	all, err := stage(d, 3)
	must(t, err)
	must(t, seal(t.Context(), d, all))
	must(t, errOf(d.Publish(t.Context(), placements(all[:2], "Gmail"))))
	d.Discard(all[2:])
	left, err := d.Stage(t.Context(), token(9), strings.NewReader("x"), received, 10)
	must(t, err)
	must(t, seal(t.Context(), d, []mail.Staged{left}))
	must(t, d.Close())
	must(t, open(t, s, 2, limit(-1, 100)).Sweep(t.Context(), nil))
	must(t, s.RemoveFolder(t.Context(), anna(t), "Gmail"))
	want := []string{
		"discard", "folder.made", "folder.make", "folder.subscribe", "publish.rename", "publish.size", "publish.synced",
		"remove.delete",
		"remove.rename", "remove.unsubscribe", "seal.dir", "stage.open", "stage.synced", "stage.write", "stage.written",
		"sweep.remove",
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("steps %v", got)
	}
}

func TestSubscriptionsKeepTheirForm(t *testing.T) {
	for name, tc := range map[string]struct{ before, after string }{
		"none":           {"", "V\t2\n\nGmail\nGmail\tA&-B\n"},
		"version 2":      {"V\t2\n\nSent\nGmail\n", "V\t2\n\nSent\nGmail\nGmail\tA&-B\n"},
		"version 1":      {"Sent\nGmail.Old\n", "Sent\nGmail.Old\nGmail\nGmail.A&-B\n"},
		"no end of line": {"Sent", "Sent\nGmail\nGmail.A&-B\n"},
		"all there":      {"Gmail\nGmail.A&-B\n", "Gmail\nGmail.A&-B\n"},
	} {
		got := string(subscribed([]byte(tc.before), []string{"Gmail", "Gmail/A&B"}))
		if got != tc.after {
			t.Errorf("%s: %q, want %q", name, got, tc.after)
		}
	}
	for before, after := range map[string]string{
		"V\t2\n\nGmail\nGmail\tA\nGmailX\nSent\tGmail\n": "V\t2\n\nGmailX\nSent\tGmail\n",
		"Gmail\nGmail.A\nGmailX\n":                       "GmailX\n",
		"":                                               "",
	} {
		if got := string(unsubscribed([]byte(before), "Gmail")); got != after {
			t.Errorf("%q became %q", before, got)
		}
	}
}

func TestSubscriptionsLock(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, limit(-1, -1))
	lock := filepath.Join(root, subscriptionsLock)
	// Another program's, fresh: it is waited for.
	must(t, os.WriteFile(lock, nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	watch := &lockWatch{Disk: d.root.Disk, looked: looked}
	d.root.Disk = watch
	done := make(chan error)
	go func() { done <- d.EnsureFolders(ctx, []string{"Gmail"}) }()
	<-looked
	<-looked
	must(t, os.Remove(lock))
	for len(done) == 0 {
		select {
		case <-looked:
			continue
		case err := <-done:
			must(t, err)
		}
		break
	}
	cancel()
	// Abandoned: it is old.
	must(t, os.WriteFile(lock, nil, 0o600))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(lock, old, old))
	d.root.Disk = s.disk
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail/Sent"}))
	if _, err := os.Stat(lock); err == nil {
		t.Error("the lock stayed")
	}
	// The caller's patience counts.
	must(t, os.WriteFile(lock, nil, 0o600))
	d.root.Disk = watch
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- d.EnsureFolders(ctx, []string{"Gmail/Other"}) }()
	<-looked
	cancel()
	for {
		select {
		case <-looked:
			continue
		case err := <-done:
			wantCode(t, err, fault.Interrupted)
		}
		break
	}
	if text, _ := os.ReadFile(filepath.Join(root, subscriptionsFile)); string(text) != "V\t2\n\nGmail\nGmail\tSent\n" {
		t.Errorf("subscriptions are %q", text)
	}
}

// lockWatch tells when somebody looks at the lock of another.
type lockWatch struct {
	disk.Disk
	looked chan struct{}
}

func (w *lockWatch) Lstat(dir int, name string) (disk.Stat, error) {
	if name == subscriptionsLock {
		w.looked <- struct{}{}
	}
	return w.Disk.Lstat(dir, name)
}

// codeOf is what an error of the disk is reported as: our own want of descriptors is
// no fault of the mailbox.
func codeOf(err error) fault.Code {
	switch {
	case errors.Is(err, unix.EDQUOT):
		return fault.LocalOverQuota
	case fault.Exhausted(err):
		return fault.Internal
	}
	return fault.LocalMailboxUnavailable
}
