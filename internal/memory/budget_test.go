package memory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestABudgetIsNeverSmallerThanItsLeast(t *testing.T) {
	if got := New(1, Patience).Limit(); got != Least {
		t.Errorf("the limit is %d, want %d", got, int64(Least))
	}
}

// Two visits that hold what the other one needs both come to their end: the one
// that has the reserve waits for nothing.
func TestVisitsThatHoldAndWaitDoNotBlockEachOther(t *testing.T) {
	b := newBudget(20, 10, 0, 0, time.Hour)
	one, two := b.Share(false, nil), b.Share(false, nil)
	for _, s := range []*Share{one, two} {
		if err := s.Take(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Take(t.Context(), 5); err != nil { // The common part is used up.
		t.Fatalf("with nobody in the reserve: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- two.Take(t.Context(), 5) }()
	if err := one.Take(t.Context(), 1); !errors.Is(err, ErrTooMuch) {
		t.Errorf("above what one visit may hold: %v", err)
	}
	one.Close()
	if err := <-waited; err != nil {
		t.Errorf("after the other ended: %v", err)
	}
	two.Close()
	if got := b.Taken(); got != 0 || b.common != 10 || b.senior != nil {
		t.Errorf("%d octets are taken after all ended, %d are left", got, b.common)
	}
}

func TestWhatCannotBeHadIsWaitedForABoundedTime(t *testing.T) {
	b := newBudget(20, 10, 0, 0, time.Millisecond)
	var shares []*Share
	for range 2 { // The common part, and the reserve.
		s := b.Share(false, nil)
		defer s.Close()
		if err := s.Take(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		shares = append(shares, s)
	}
	late := b.Share(false, nil)
	if err := late.Take(t.Context(), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("took it: %v", err)
	}
	b.patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := late.Take(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("past its context: %v", err)
	}
	shares[0].Give(4)
	if err := late.Take(t.Context(), 4); err != nil {
		t.Errorf("after something was given back: %v", err)
	}
	late.Close()
	if err := late.Take(t.Context(), 1); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a closed share took: %v", err)
	}
}

// However many visits there are, together they hold no more than the budget.
func TestVisitsTogetherKeepToTheBudget(t *testing.T) {
	b := newBudget(100, 40, 0, 0, time.Hour)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for range 50 {
				s := b.Share(false, nil)
				for n := range 4 {
					if err := s.Take(t.Context(), int64(1+(i+n)%10)); err != nil {
						t.Error(err)
					}
					if taken := b.Taken(); taken > 100 {
						t.Errorf("%d octets are taken", taken)
					}
				}
				s.Give(3)
				s.Close()
			}
		})
	}
	wg.Wait()
	if b.Taken() != 0 || b.common != 60 || b.kept != 0 {
		t.Errorf("%d are taken and %d left at the end", b.Taken(), b.common)
	}
}

// Two visits that hold much and drip on keep nobody else from beginning, at the
// smallest budget there is, and give way to one that needs much as well. The
// control: where nothing is kept for beginnings, nobody begins.
func TestVisitsThatHoldMuchForLongKeepNobodyElseWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Least, Patience)
		began := time.Now()
		var gone []time.Duration
		drip := func(n int64) *Share {
			ctx, giveWay := context.WithCancelCause(t.Context())
			s := b.Share(true, giveWay)
			for s.held < n {
				if err := s.Take(ctx, First); err != nil {
					t.Fatal(err)
				}
			}
			context.AfterFunc(ctx, func() {
				if errors.Is(context.Cause(ctx), ErrBusy) {
					gone = append(gone, time.Since(began))
				}
				s.Close()
			})
			return s
		}
		one, two := drip(Least/8+First), drip(Most)
		if b.senior == nil {
			t.Fatalf("the one holds %d, the other %d, and nobody has the reserve", one.held, two.held)
		}
		var first []*Share
		for i := range firstVisits/4*3 - 3 {
			s := b.Share(i > 0, nil)
			need := []int64{First, First}[min(i, 1):] // One has news too.
			for _, n := range need {
				if err := s.Take(t.Context(), n); err != nil || s.Waited() > 0 {
					t.Fatalf("the beginning of visit %d: %v after %v", i+1, err, s.Waited())
				}
			}
			first = append(first, s)
		}
		for _, s := range first {
			s.Close()
		}
		much := b.Share(false, nil)
		defer much.Close()
		slow := make(chan error, 1)
		late := b.Share(true, nil)
		b.patience = time.Hour
		go func() { slow <- late.Take(t.Context(), Most) }()
		synctest.Wait()
		if err := much.Take(t.Context(), Most/2+First); err != nil || time.Since(began) > Tenure+time.Second {
			t.Errorf("one that needs much has %v after %v", err, time.Since(began))
		}
		synctest.Wait()
		if len(slow) > 0 || len(gone) == 0 || gone[0] != Tenure {
			t.Errorf("a slow one went before it, or they gave way after %v", gone)
		}
		much.Close()
		if err := <-slow; err != nil {
			t.Errorf("the slow one after it: %v", err)
		}
		late.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(Least, Most, 0, 0, Patience)
		for range 2 {
			s := b.Share(true, nil)
			defer s.Close()
			if err := s.Take(t.Context(), Most); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Share(false, nil).Take(t.Context(), First); !errors.Is(err, ErrBusy) {
			t.Errorf("with nothing kept: %v", err)
		}
	})
}

// What was given back of the reserve is another's.
func TestTheReserveIsHeldAsLongAsAnythingOfItIs(t *testing.T) {
	b := newBudget(20, 10, 0, 0, time.Millisecond)
	full, senior, next := b.Share(false, nil), b.Share(false, nil), b.Share(false, nil)
	for _, s := range []*Share{full, senior} {
		if err := s.Take(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	}
	senior.Give(9)
	if err := next.Take(t.Context(), 10); !errors.Is(err, ErrBusy) {
		t.Errorf("while one octet of it is held: %v", err)
	}
	senior.Give(1)
	if err := next.Take(t.Context(), 10); err != nil {
		t.Errorf("after all of it was given back: %v", err)
	}
}

func TestNoBudgetBoundsNothing(t *testing.T) {
	var b *Budget
	s := b.Share(false, nil)
	defer s.Close()
	if err := Of(With(t.Context(), s)).Take(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	Of(t.Context()).Give(1)
}

func TestTheLowestLimitCounts(t *testing.T) {
	const info = "MemTotal:        4096 kB\nMemFree: 1 kB\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {want: unknownMachine},
		"the machine":      {files: map[string]string{"proc/meminfo": info}, want: 4 << 20},
		"no limit": {
			files: map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"},
			want:  4 << 20,
		},
		"a group of version 2": {
			files: map[string]string{
				"proc/meminfo": info, "proc/self/cgroup": "0::/a/b\n",
				"sys/fs/cgroup/a/b/memory.max": "1048576\n",
			}, want: 1 << 20,
		},
		"one above it": {
			files: map[string]string{
				"proc/meminfo": info, "proc/self/cgroup": "0::/a/b\n",
				"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "65536\n",
			}, want: 65536,
		},
		"inside a container": {
			files: map[string]string{
				"proc/meminfo": info, "proc/self/cgroup": "0::/../x\n",
				"sys/fs/cgroup/memory.max": "65536\n",
			}, want: 65536,
		},
		"version 1": {
			files: map[string]string{
				"proc/meminfo": info, "proc/self/cgroup": "3:cpu:/q\n4:memory:/a\n",
				"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "65536\n",
			}, want: 65536,
		},
		"version 1 without a limit": {
			files: map[string]string{
				"proc/meminfo": info, "proc/self/cgroup": "4:memory:/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			}, want: 4 << 20,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := machine(root); got != tc.want {
				t.Errorf("%d octets, want %d", got, tc.want)
			}
		})
	}
	if Machine() <= 0 {
		t.Error("this machine has no memory")
	}
}
