package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

func limit(bytes, messages int64) owner.Limit {
	var l owner.Limit
	if bytes >= 0 {
		l.Bytes = &bytes
	}
	if messages >= 0 {
		l.Messages = &messages
	}
	return l
}

// deliver reserves, stages and publishes messages from to to into Gmail.
func deliver(t testing.TB, d *Delivery, from, to int) {
	t.Helper()
	var all []mail.Staged
	var ps []mail.Placement
	for n := from; n <= to; n++ {
		st, err := d.Stage(context.Background(), token(n), strings.NewReader(message(n)), received, 1<<20)
		must(t, err)
		must(t, d.Reserve(t.Context(), 1, st.FileSize))
		all = append(all, st)
		ps = append(ps, placement(st, n, "Gmail", 0))
	}
	must(t, seal(t.Context(), d, all))
	must(t, errOf(d.Publish(t.Context(), ps)))
}

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]sizes{
		"":                                     {},
		"0S":                                   {},
		"0S\n":                                 {header: "0S"},
		"1000S,5C\n10 1\n":                     {header: "1000S,5C", usage: usage{10, 1}, lines: 1},
		"0S\n10 1\n  20 2\n-5 -1\n":            {header: "0S", usage: usage{25, 2}, lines: 3},
		"0S\n10 1\n20":                         {header: "0S", usage: usage{10, 1}, lines: 1},
		"0S\n10 1\nx y\n":                      {header: "0S"},
		"0S\n10 1\n\n":                         {header: "0S"},
		"0S\n99999999999999999999 1\n":         {header: "0S"},
		"0S\n1 1\x00\n":                        {},
		"0S\n-10 -1\n":                         {header: "0S", usage: usage{-10, -1}, lines: 1},
		"0S\n" + strings.Repeat("1000 1\n", 3): {header: "0S", usage: usage{3000, 3}, lines: 3},
	} {
		if got := parseSizes(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func FuzzParseSizes(f *testing.F) {
	f.Add("1000S,5C\n10 1\n20 2\n")
	f.Add("0S\n-9223372036854775808 1\n-1 1\n")
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := parseSizes(text)
		if strings.Contains(p.header, "\n") || p.lines < 0 || p.lines == 0 && p.ok() {
			t.Fatalf("%q: %+v", text, p)
		}
	})
}

func FuzzSizeInName(f *testing.F) {
	f.Add("1.F.test,S=12,W=13:2,S")
	f.Add("x,S=99999999999999999999999")
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := sizeInName(name); ok && n < 0 {
			t.Fatalf("%q: %d", name, n)
		}
	})
}

func TestUsageCountsAsDovecotDoes(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, owner.Limit{})
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail", "Trash"}))
	for name, text := range map[string]string{
		"new/1.a.test,S=100,W=110":                  "12345",
		".Trash/cur/2.b.test,S=200:2,S":             "",
		".Gmail/cur/3.no-size:2,":                   "123",
		".Gmail/cur/4.c,S=x:2,":                     "12",
		".Gmail/tmp/5.d,S=1000":                     "",
		"..DOVECOT-TRASHED/cur/6.e,S=10000":         "",
		spool.Dir + "/" + journal + "/other.e9.tmp": "",
	} {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	b, m, err := s.Usage(t.Context(), anna(t))
	if b != 305 || m != 4 || err != nil {
		t.Errorf("usage is %d octets, %d messages, %v", b, m, err)
	}
}

// TestSharesNeverAddUpToMoreThanAll, whatever the quota file says, and each folder is
// in one share.
func TestSharesNeverAddUpToMoreThanAll(t *testing.T) {
	s, root := newStore(t, Options{})
	for _, name := range []string{
		"cur/1.a,S=100:2,", ".Gmail/cur/2.b,S=200:2,", ".Gmail.Sent/new/3.c,S=300", ".Gmail.Firma/cur/4.d,S=400:2,",
		".Gmail2/cur/5.e,S=500:2,",
	} {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, nil, 0o600))
	}
	folders := []string{"Gmail", "Gmail/Firma", "Nothing"}
	want := []owner.Use{{Bytes: 500, Messages: 2}, {Bytes: 400, Messages: 1}, {}}
	for _, quotaFile := range []string{"", "0S\n1500 5\n", "0S\n700 2\n", "0S\n9000 90\n"} {
		all := owner.Use{Bytes: 1500, Messages: 5}
		if quotaFile != "" {
			path := filepath.Join(root, "maildirsize")
			must(t, os.WriteFile(path, []byte(quotaFile), 0o600))
			late := time.Now().Add(time.Hour) // Nothing changed since.
			must(t, os.Chtimes(path, late, late))
		}
		if strings.Contains(quotaFile, "9000") { // The control: what it says is believed where it can be true.
			all = owner.Use{Bytes: 9000, Messages: 90}
		}
		got, of, err := s.Shares(t.Context(), anna(t), folders)
		if err != nil || got != all || !slices.Equal(of, want) {
			t.Errorf("%q: %v, of which %v, %v", quotaFile, got, of, err)
		}
	}
}

func TestQuotaFileIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		limit  owner.Limit
		before string // The quota file; "" for none.
		header string // Of the quota file afterwards; "" for none.
	}{
		"none is made without a limit":    {limit(-1, -1), "", ""},
		"one is made for a limit":         {limit(1<<20, -1), "", "1048576S"},
		"of messages":                     {limit(-1, 100), "", "100C"},
		"of both":                         {limit(1<<20, 100), "", "1048576S,100C"},
		"the mail server's limit stays":   {limit(1<<20, 100), "5000000S\n0 0\n", "5000000S"},
		"without a limit it is kept too":  {limit(-1, -1), "5000000S\n0 0\n", "5000000S"},
		"a broken one is rewritten":       {limit(-1, 100), "5000000S\nwhat?\n", "5000000S"},
		"an empty one is rewritten":       {limit(-1, 100), "\n", "100C"},
		"a negative one is rewritten":     {limit(-1, 100), "1000000S\n-5 -5\n", "1000000S"},
		"a long one is rewritten":         {limit(-1, 100), "7700000S\n" + strings.Repeat("0 0\n", 2000), "7700000S"},
		"a long one, without a limit too": {limit(-1, -1), "7700000S\n" + strings.Repeat("0 0\n", 2000), "7700000S"},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			must(t, os.MkdirAll(root, 0o700))
			if tc.before != "" {
				must(t, os.WriteFile(filepath.Join(root, quotaFile), []byte(tc.before), 0o600))
			}
			d := open(t, s, 1, tc.limit)
			deliver(t, d, 1, 3)
			deliver(t, d, 4, 5)
			text, err := os.ReadFile(filepath.Join(root, quotaFile))
			if tc.header == "" {
				if err == nil {
					t.Errorf("made: %q", text)
				}
				return
			}
			must(t, err)
			if header, _, _ := strings.Cut(string(text), "\n"); header != tc.header {
				t.Errorf("the header is %q, want %q", header, tc.header)
			}
			agree(t, s, root, d)
		})
	}
}

func TestFastPathDoesNotMeasure(t *testing.T) {
	s, _ := newStore(t, Options{})
	d := open(t, s, 1, limit(1<<30, -1))
	deliver(t, d, 1, 2)
	watch := &watched{Disk: s.disk}
	d.root.Disk = watch
	deliver(t, d, 3, 40)
	if watch.listed > 0 {
		t.Errorf("directories were listed %d times for a batch", watch.listed)
	}
}

// watched counts the listings of directories.
type watched struct {
	disk.Disk
	listed int
}

func (w *watched) Each(fd int, f func(string) error) error { w.listed++; return w.Disk.Each(fd, f) }

func TestReserveRefusesWhatDoesNotFit(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, limit(1000, 3))
	must(t, d.Reserve(t.Context(), 1, 600))
	wantCode(t, d.Reserve(t.Context(), 1, 500), fault.LocalOverQuota)
	must(t, d.Reserve(t.Context(), 1, 400))
	wantCode(t, d.Reserve(t.Context(), 0, 1), fault.LocalOverQuota)
	d.Release(1, 400)
	must(t, d.Reserve(t.Context(), 2, 0))
	err := d.Reserve(t.Context(), 1, 0)
	wantCode(t, err, fault.LocalOverQuota)
	if !strings.Contains(fault.Of(err).Detail.String(), "3 messages allowed") {
		t.Errorf("not helpful: %v", err)
	}
	d.Release(100, 1<<40) // More than was reserved: no more than that comes back.
	must(t, d.Reserve(t.Context(), 3, 1000))
	must(t, d.Close())
	if len(s.trackers) != 0 {
		t.Error("a closed delivery is still tracked")
	}
	d = open(t, s, 2, limit(1000, 3))
	must(t, d.Reserve(t.Context(), 3, 1000))
	if _, err := os.Stat(filepath.Join(root, quotaFile)); err != nil {
		t.Error(err)
	}
	wantCode(t, open(t, s, 3, limit(0, -1)).Reserve(t.Context(), 1, 1), fault.LocalOverQuota)
}

func TestRoomMadeByHandIsSeen(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, limit(-1, 5))
	deliver(t, d, 1, 5)
	wantCode(t, d.Reserve(t.Context(), 1, 1), fault.LocalOverQuota)
	mails, _ := tree(t, root)
	for name := range mails { // With a shell: nobody writes the quota file.
		must(t, os.Remove(filepath.Join(root, name)))
	}
	must(t, d.Reserve(t.Context(), 5, 1))
	wantCode(t, d.Reserve(t.Context(), 1, 1), fault.LocalOverQuota)
	agree(t, s, root, d)
}

// slow is a disk on which looking through a directory is noticed before its first name
// is reported.
type slow struct {
	disk.Disk
	listing func()
}

func (w slow) Each(fd int, f func(string) error) error {
	return w.Disk.Each(fd, func(name string) error {
		w.listing()
		return f(name)
	})
}

// TestReservingRoomEndsWithItsContext while the mailbox is looked through: to compare an
// old quota file with it, and to measure it. The control never ends the context, and is
// told that there is room.
func TestReservingRoomEndsWithItsContext(t *testing.T) {
	for name, spoil := range map[string]func(root string) error{
		"comparing": func(root string) error { // With figures that are an hour old, and right.
			now := time.Now()
			for i, at := range []string{
				quotaFile, "new", "cur", ".Gmail/new", ".Gmail/cur",
			} {
				old := now.Add(-time.Hour)
				if i > 0 {
					old = old.Add(-time.Hour)
				}
				if err := os.Chtimes(filepath.Join(root, at), old, old); err != nil {
					return err
				}
			}
			return nil
		},
		"measuring": func(root string) error { return os.Remove(filepath.Join(root, quotaFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newStore(t, Options{})
			d := open(t, s, 1, limit(-1, 50))
			deliver(t, d, 1, 20)
			must(t, d.Close())
			for _, ends := range []bool{false, true} {
				must(t, spoil(root))
				d := open(t, s, 2, limit(-1, 50))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				names := 0
				d.root.Disk = slow{disk.Kernel(), func() {
					if names++; ends {
						cancel()
					}
				}}
				err := d.Reserve(ctx, 1, 1)
				switch {
				case !ends:
					must(t, err)
				case !errors.Is(err, context.Canceled) || fault.CodeOf(err) != fault.Interrupted:
					t.Errorf("the context's end is reported as %v", err)
				}
				if names == 0 || ends && names > 2 {
					t.Errorf("with a context that ends (%t) %d names were read", ends, names)
				}
				must(t, d.Close())
			}
		})
	}
}

// TestWaitingForAnotherAccountsLookEndsWithTheContext: one account looks through a slow
// mailbox, another of the same user has room reserved or is sent away when its time is up.
func TestWaitingForAnotherAccountsLookEndsWithTheContext(t *testing.T) {
	s, root := newStore(t, Options{})
	first, second := open(t, s, 1, limit(-1, 50)), open(t, s, 1, limit(-1, 50))
	deliver(t, first, 1, 3)
	must(t, second.Reserve(t.Context(), 1, 1))
	must(t, os.Remove(filepath.Join(root, quotaFile)))
	looks, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	first.root.Disk = slow{disk.Kernel(), func() { once.Do(func() { close(looks); <-goOn }) }}
	done := make(chan error)
	go func() { done <- first.Reserve(t.Context(), 1, 1) }()
	<-looks
	second.Release(1, 1) // Waits for nobody.
	for what, do := range map[string]func(context.Context) error{
		"measuring":  func(ctx context.Context) error { return second.Reserve(ctx, 1, 1) },
		"delivering": func(ctx context.Context) error { return errOf(second.Publish(ctx, nil)) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s beside it: %v", what, err)
		}
	}
	close(goOn)
	must(t, <-done)
	must(t, second.Reserve(t.Context(), 1, 1))
}

func TestOldFiguresAreCheckedOnce(t *testing.T) {
	s, root := newStore(t, Options{})
	d := open(t, s, 1, limit(-1, 5))
	deliver(t, d, 1, 2)
	must(t, d.Close())
	must(t, os.WriteFile(filepath.Join(root, ".Gmail", "cur", "9.by.hand,S=5:2,"), []byte("12345"), 0o600))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(root, quotaFile), old, old))
	d = open(t, s, 2, limit(-1, 5))
	must(t, d.Reserve(t.Context(), 2, 1))
	wantCode(t, d.Reserve(t.Context(), 1, 1), fault.LocalOverQuota)
	agree(t, s, root, d)
}

// fillUp lets six accounts deliver at once into one mailbox until there is no
// more room, by what reserve says, and returns how much it holds then.
func fillUp(t *testing.T, s *Store, root string, most int64, reserve func(d *Delivery, messages,
	bytes int64) error,
) int64 {
	t.Helper()
	must(t, s.Make(t.Context(), anna(t)))
	l := limit(-1, most)
	var wait sync.WaitGroup
	for a := range 6 {
		wait.Go(func() {
			d, err := s.Open(t.Context(), anna(t), fmt.Sprintf("journal-%d", a), 1, l)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			for n := a * 100; ; n += 3 {
				var all []mail.Staged
				var ps []mail.Placement
				var full error
				for i := n; i < n+3 && full == nil; i++ {
					if full = reserve(d, 1, int64(len(message(i)))); full != nil {
						break
					}
					st, err := d.Stage(t.Context(), token(i), strings.NewReader(message(i)), received, 1<<20)
					if err != nil {
						t.Error(err)
						return
					}
					d.Release(0, int64(len(message(i)))-st.FileSize)
					all, ps = append(all, st), append(ps, placement(st, i, fmt.Sprintf("A%d/Sub", a), 0))
				}
				if err := seal(t.Context(), d, all); err != nil {
					t.Error(err)
				}
				if err := errOf(d.Publish(t.Context(), ps)); err != nil {
					t.Error(err)
				}
				if full != nil {
					wantCode(t, full, fault.LocalOverQuota)
					return
				}
			}
		})
	}
	wait.Wait()
	mails, _ := tree(t, root)
	return int64(len(mails))
}

func TestU51ParallelAccountsNeverExceedTheLimit(t *testing.T) {
	s, root := newStore(t, Options{})
	const most = 57
	n := fillUp(t, s, root, most, func(d *Delivery, messages, bytes int64) error {
		return d.Reserve(t.Context(), messages, bytes)
	})
	if n != most {
		t.Errorf("%d messages are there, the limit is %d", n, most)
	}
	agree(t, s, root, open(t, s, 2, limit(-1, most)))
}

// The control: each account minds what it brought itself, not the others.
func TestAccountsThatReserveForThemselvesAreNoticed(t *testing.T) {
	s, root := newStore(t, Options{})
	const most = 57
	var mu sync.Mutex
	brought := map[*Delivery]int64{}
	n := fillUp(t, s, root, most, func(d *Delivery, messages, _ int64) error {
		mu.Lock()
		defer mu.Unlock()
		if brought[d]+messages > most {
			return fault.New(fault.LocalOverQuota, "reserving", words.Say("full"))
		}
		brought[d] += messages
		return nil
	})
	if n <= most {
		t.Errorf("%d messages are there, and none was refused for another account's sake", n)
	}
	t.Logf("caught: %d messages where %d are allowed", n, most)
}
