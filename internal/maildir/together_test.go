package maildir

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// counting is a disk that counts what makes files durable and what is open.
type counting struct {
	disk.Disk
	mu     sync.Mutex
	able   bool          // Whether one sync of everything will do.
	all    error         // What that one says.
	stall  chan struct{} // If not nil, it waits until this is closed.
	slow   time.Duration // It takes so long.
	bad    bool          // Whether the sync of a single file fails.
	ones   int
	alls   int
	opened map[int]bool
}

func (c *counting) SyncsAll(int) bool { return c.able }

func (c *counting) SyncAll(int) error {
	if c.stall != nil {
		<-c.stall
	}
	time.Sleep(c.slow)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alls++
	return c.all
}

func (c *counting) Sync(fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st, err := c.Disk.Fstat(fd); err == nil && st.IsRegular() {
		c.ones++
		if c.bad {
			return unix.EIO
		}
	}
	return nil
}

func (c *counting) Open(dir int, name string, flags int, perm uint32) (int, error) {
	fd, err := c.Disk.Open(dir, name, flags, perm)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.opened[fd] = true
	}
	return fd, err
}

func (c *counting) Close(fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.opened, fd)
	return c.Disk.Close(fd)
}

func (c *counting) counts() (ones, alls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ones, c.alls
}

func TestABatchIsMadeDurableAtOnceWhereThatIsAsGoodAndQuick(t *testing.T) {
	for name, tc := range map[string]struct {
		disk            *counting
		files, together int
		ones, alls      int
		stalls, fails   bool
	}{
		"a batch":             {disk: &counting{able: true}, files: 5, together: 3, alls: 1},
		"few files":           {disk: &counting{able: true}, files: 2, together: 3, ones: 2},
		"another file system": {disk: &counting{}, files: 5, together: 3, ones: 5},
		"switched off":        {disk: &counting{able: true}, files: 5, together: -1, ones: 5},
		"it fails, and no file of ours": {
			disk: &counting{able: true, all: unix.EIO}, files: 5, together: 3, ones: 5,
			alls: 1,
		},
		"it fails, and all files": {
			disk: &counting{able: true, all: unix.EIO, bad: true}, files: 5, together: 3,
			ones: 5, alls: 1, fails: true,
		},
		"it is slower than each alone": {
			disk: &counting{able: true, slow: 40 * time.Millisecond}, files: 5, together: 3,
			alls: 1,
		},
		"it takes long": {disk: &counting{able: true}, files: 5, together: 3, ones: 5, stalls: true},
		"it takes long, and files break": {
			disk: &counting{able: true, bad: true}, files: 5, together: 3, ones: 5,
			stalls: true, fails: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tc.disk
			c.Disk, c.opened = disk.Kernel(), map[int]bool{}
			if tc.stalls {
				c.stall = make(chan struct{})
			}
			s, root := newStore(t, Options{SyncTogether: tc.together})
			s.disk = c
			d := open(t, s, 1, limit(-1, -1))
			all := stageSome(t, d, 1, tc.files)
			err := seal(t.Context(), d, all)
			if tc.fails {
				wantCode(t, err, fault.LocalMailboxUnavailable)
				d.Discard(all)
				if left, _ := os.ReadDir(filepath.Join(root, spool.Dir, journal)); len(left) > 0 {
					t.Errorf("%d files are left", len(left))
				}
			}
			if ones, alls := c.counts(); ones != tc.ones || alls != tc.alls {
				t.Errorf("%d files were synced, and everything %d times", ones, alls)
			}
			if !tc.fails {
				must(t, err)
				must(t, errOf(d.Publish(t.Context(), placements(all, "Gmail"))))
				mustHold(t, root, tc.files)
			}
			if c.all != nil || c.slow > 0 || tc.stalls { // The next batch does not wait for it again.
				before, _ := c.counts()
				c.bad = false
				must(t, seal(t.Context(), d, stageSome(t, d, tc.files+1, 2*tc.files)))
				if ones, alls := c.counts(); ones-before != tc.files || alls != tc.alls {
					t.Errorf("after trouble %d files were synced, and everything %d times", ones-before, alls)
				}
			}
			if tc.stalls {
				close(c.stall)
			}
			must(t, d.Close())
			mustHaveClosed(t, s, c)
		})
	}
}

// Nothing stays open of batches that come to nothing.
func TestFilesThatWaitForTheirBatchAreClosedWithIt(t *testing.T) {
	c := &counting{Disk: disk.Kernel(), able: true, opened: map[int]bool{}}
	s, _ := newStore(t, Options{SyncTogether: 3})
	s.disk = c
	d := open(t, s, 1, limit(-1, -1))
	d.Discard(stageSome(t, d, 1, 4))
	stageSome(t, d, 5, 8)
	if s.spools.Held() != 4 {
		t.Errorf("%d files wait", s.spools.Held())
	}
	must(t, d.Close())
	mustHaveClosed(t, s, c)
}

func mustHaveClosed(t *testing.T, s *Store, c *counting) {
	t.Helper()
	if len(c.opened) > 0 || s.spools.Held() > 0 {
		t.Errorf("%d files are open, %d wait", len(c.opened), s.spools.Held())
	}
}

func stageSome(t *testing.T, d *Delivery, from, to int) (all []mail.Staged) {
	t.Helper()
	for n := from; n <= to; n++ {
		st, err := d.Stage(t.Context(), token(n), strings.NewReader(message(n)), received, 1<<20)
		must(t, err)
		all = append(all, st)
	}
	return all
}

// BenchmarkBatch stages a hundred messages of 30 KB and makes them durable. It
// tells something only on a real disk: TMPDIR says where.
func BenchmarkBatch(b *testing.B) {
	body := message(1) + strings.Repeat("thirty kilobytes of this\r\n", 1200)
	for name, together := range map[string]int{"one by one": -1, "together": 16} {
		b.Run(name, func(b *testing.B) {
			s, _ := newStore(b, Options{SyncTogether: together})
			d := open(b, s, 1, limit(-1, -1))
			b.SetBytes(int64(100 * len(body)))
			for n := 0; b.Loop(); n += 100 {
				var all []mail.Staged
				for i := range 100 {
					st, err := d.Stage(b.Context(), token(n+i), strings.NewReader(body), received, 1<<20)
					must(b, err)
					all = append(all, st)
				}
				must(b, seal(b.Context(), d, all))
			}
		})
	}
}
