package fetch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/source"
)

// giantSize is how many messages a giant folder has here, and what it may cost: 64
// MB for a million, and of fewer as much less, but for what a window takes.
func giantSize(tb testing.TB) (messages int, most int64) {
	if mailtest.Long() {
		return 1_000_000, 64 << 20
	}
	messages = mailtest.Few(tb, 200_000, 100_000)
	window := int64(16 << 20)
	if testing.Short() { // Beside other packages garbage is collected late.
		window = 22 << 20
	}
	return messages, int64(messages)*(64<<20)/1_000_000 + window
}

// heap watches how far the heap grows.
type heap struct{ before, peak atomic.Int64 }

func (h *heap) look() {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	now := int64(s[0].Value.Uint64())
	for {
		if peak := h.peak.Load(); now <= peak || h.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

// begin starts to watch. Garbage is collected early, since how much of it may be
// there at a time depends on what other tests have left in the process.
func (h *heap) begin(t *testing.T) {
	t.Helper()
	usual := debug.SetGCPercent(20)
	t.Cleanup(func() { debug.SetGCPercent(usual) })
	runtime.GC()
	h.peak.Store(0)
	h.look()
	h.before.Store(h.peak.Load())
}

func (h *heap) grown() int64 { return h.peak.Load() - h.before.Load() }

// manyRows is a journal that holds all messages of a giant but the newest, beside
// those that are delivered, and takes no memory for them.
type manyRows struct {
	*journal
	giant *mailtest.Giant
	pop3  bool
	rows  int
}

func (j manyRows) Settled(ctx context.Context, l fetch.Lease, f fetch.Folder, from uint32, each func(mail.ID,
	int64) error,
) error {
	for n := 1; n <= j.rows; n++ {
		id := mail.ID{UID: j.giant.UIDOf(n)}
		if j.pop3 {
			id = mail.ID{UIDL: j.giant.UIDLOf(n)}
		}
		if id.UID < from {
			continue
		}
		if err := each(id, int64(len(j.giant.Body(n)))); err != nil {
			return err
		}
	}
	return j.journal.Settled(ctx, l, f, from, each)
}

// giantWorld visits a giant through the real source.
func giantWorld(t *testing.T, pop3 bool, gap, window int, h *heap) (*world, *mailtest.Giant) {
	t.Helper()
	messages, _ := giantSize(t)
	w := newWorld(t, "INBOX")
	var g *mailtest.Giant
	protocol := remote.IMAP
	if pop3 {
		g, protocol = mailtest.GiantPOP3(t, messages, h.look), remote.POP3
	} else {
		g = mailtest.GiantIMAP(t, messages, gap, h.look)
	}
	w.route.From.Protocol, w.route.From.Username = protocol, "anna"
	w.route.From.Server = remote.Server{Host: "127.0.0.1", Port: g.Port, Security: remote.None}
	client := source.New(source.Options{Window: window, Dialer: outbound.New(outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowAnyPort: true, AllowPlaintext: true,
	})})
	w.engine.Source, w.engine.Credentials = dialled{client, func() {}}, giantSecret{}
	w.engine.Window, w.engine.Budget = cmp.Or(window, fetch.DefaultWindow), memory.New(memory.Least, memory.Patience)
	w.engine.Step = func(string) { h.look() }
	began := w.now
	var passed atomic.Int64 // Whoever commits looks at the clock while others fetch.
	w.engine.Now = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	w.engine.OnProgress = func(fetch.Lease, route.Progress) { passed.Add(int64(100 * time.Millisecond)) }
	return w, g
}

type giantSecret struct{}

func (giantSecret) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{Username: "anna", Secret: remote.NewSecret("secret"), Auth: remote.Password}, nil
}

// giantVisits makes a first visit to a giant, and one that finds all of it settled
// but the newest, and returns how far the heap grew in each.
func giantVisits(t *testing.T, pop3 bool, gap, window int) (first, later int64) {
	t.Helper()
	h := &heap{}
	w, g := giantWorld(t, pop3, gap, window, h)
	h.begin(t)
	r := w.visit(t.Context())
	first = h.grown()
	if r.Err != nil || !r.More || r.Messages < 100 {
		t.Fatalf("the first slice: %+v", r)
	}
	if !slices.Contains(w.box.folders["Gmail"], g.Body(g.Messages)) {
		t.Error("the newest did not come in the first slice")
	}
	fresh := newJournal()
	w.journal = fresh
	w.box.folders, w.box.names, w.box.note = map[string][]string{}, map[mail.Token]int{}, nil
	w.engine.Journal = manyRows{fresh, g, pop3, g.Messages - 3}
	h.begin(t)
	r = w.visit(t.Context())
	later = h.grown()
	if r.Err != nil || r.More || r.Messages != 3 {
		t.Fatalf("with all but three settled: %+v", r)
	}
	if at := fresh.folders[0].Cursor; !pop3 && at.UIDNext != g.UIDOf(g.Messages)+1 || pop3 && at.Listing == [16]byte{} {
		t.Errorf("the folder stands at %+v", at)
	}
	if n := w.engine.Budget.Taken(); n != 0 {
		t.Errorf("%d octets of the budget are taken after the visits", n)
	}
	return first, later
}

var giants = []struct {
	name string
	pop3 bool
	gap  int
}{{"IMAP", false, 1}, {"IMAP with gaps between UIDs", false, 3}, {"POP3", true, 1}}

// I11, S28: a folder of a million messages costs at most 64 MB.
func TestAGiantFolderCostsLittleMemory(t *testing.T) {
	messages, most := giantSize(t)
	for _, tc := range giants {
		t.Run(tc.name, func(t *testing.T) {
			first, later := giantVisits(t, tc.pop3, tc.gap, 0)
			t.Logf("%d messages: the heap grew by %d KiB at first, %d KiB later", messages, first>>10, later>>10)
			if first > most || later > most {
				t.Errorf("more than %d KiB", most>>10)
			}
		})
	}
}

// The control: with all of it in one window the same is noticed.
func TestAGiantFolderInOneWindowIsNoticed(t *testing.T) {
	messages, most := giantSize(t)
	for _, tc := range giants[1:] {
		t.Run(tc.name, func(t *testing.T) {
			h := &heap{}
			w, _ := giantWorld(t, tc.pop3, tc.gap, 2*messages, h)
			w.engine.Budget = nil
			h.begin(t)
			if r := w.visit(t.Context()); r.Err != nil {
				t.Fatalf("report %+v", r)
			}
			if first := h.grown(); first <= most {
				t.Errorf("the heap grew by %d KiB only", first>>10)
			}
		})
	}
}

// pagedRemote lists all but the newest messages out of memory, as package source
// does.
type pagedRemote struct{ *remoteStub }

func (s pagedRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	s.opened++
	return s, nil
}

type itemPages []mail.Item

func (p itemPages) Len() int { return len(p) }

func (p itemPages) Page(at, n int) ([]mail.Item, error) { return slices.Clone(p[at : at+n]), nil }

func (s pagedRemote) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return s.remoteStub.List(ctx, qs, func(l mail.Listing, err error) error {
		at := len(l.Items) * 9 / 10
		l.Older, l.Items = itemPages(l.Items[:at]), l.Items[at:]
		return yield(l, err)
	})
}

// windowed is a folder of several windows, whose journal breaks off at a commit.
func windowed(t *testing.T, messages, window int) *world {
	t.Helper()
	w := newWorld(t, "INBOX")
	w.engine.Source, w.engine.Window, w.engine.BatchMessages = pagedRemote{w.remote}, window, window/2+1
	w.remote.folders[0].add(unlike(messages, "in")...)
	return w
}

// unlike are messages of many sizes.
func unlike(n int, prefix string) (bs []string) {
	for i := range n {
		bs = append(bs, fmt.Sprintf("Message-ID: <%s-%d@remote.test>\r\nSubject: %s\r\n\r\n%s\r\n", prefix, i, prefix,
			strings.Repeat("x", i%401)))
	}
	return bs
}

func windowedSize(tb testing.TB) (messages, window int) {
	if mailtest.Long() {
		return 50_000, 5_000
	}
	return mailtest.Few(tb, 2_000, 400), mailtest.Few(tb, 300, 100)
}

// breakEach visits with a journal that breaks off at the n-th commit, before or
// after it took effect, then to the end, for n in steps; do is called in between.
func breakEach(t *testing.T, begin func() *world, between func(w *world)) {
	t.Helper()
	for n := 1; ; n++ {
		for _, done := range []bool{false, true} {
			w := begin()
			w.journal.commits, w.journal.loseAt, w.journal.loseDone = 0, n, done
			r := w.visit(t.Context())
			broke := r.Err != nil
			w.journal.loseAt = 0
			if broke && between != nil {
				between(w)
			}
			for range 3 {
				if r = w.visit(t.Context()); r.Err != nil {
					t.Fatalf("broken off at commit %d (took effect: %v): %+v", n, done, r)
				}
			}
			if r.Messages != 0 || r.More {
				t.Errorf("broken off at commit %d (took effect: %v): the last visit brought %d messages", n, done, r.Messages)
			}
			w.complete(t)
			if t.Failed() || !broke {
				return
			}
		}
	}
}

// Wherever a fetch in several windows is broken off, each message arrives once.
func TestAFolderOfManyWindowsArrivesOnceWhereverItIsBrokenOff(t *testing.T) {
	messages, window := windowedSize(t)
	breakEach(t, func() *world { return windowed(t, messages, window) }, nil)
}

// So it does when the UIDs lose their meaning between two windows, by headers
// alone: nothing is downloaded twice but what was not settled.
func TestUIDVALIDITYThatChangesBetweenWindowsDoublesNothing(t *testing.T) {
	messages, window := windowedSize(t)
	breakEach(t, func() *world { return windowed(t, messages, window) }, func(w *world) {
		w.remote.folders[0].renumber(8, 5)
	})
	w := windowed(t, messages, window)
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != int64(messages) {
		t.Fatalf("report %+v", r)
	}
	w.remote.folders[0].renumber(9, 7)
	w.remote.folders[0].add(unlike(3, "new")...)
	before := w.remote.fetched
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 3 || w.remote.fetched-before > 3+messages/100 {
		t.Errorf("after all was settled: %+v, %d downloaded", r, w.remote.fetched-before)
	}
	w.complete(t)
}

// The newest mail comes first, and a folder's cursor moves with its last window.
func TestWindowsGoFromTheNewestToTheOldest(t *testing.T) {
	w := windowed(t, 20, 5)
	w.engine.OnProgress = func(_ fetch.Lease, p route.Progress) {
		if at := w.journal.folders[0].Cursor; p.MessagesDone < 20 && at != (fetch.Cursor{}) {
			t.Errorf("after %d messages the folder stands at %+v", p.MessagesDone, at)
		}
	}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 20 {
		t.Fatalf("report %+v", r)
	}
	got := slices.Clone(w.box.folders["Gmail"])
	slices.Reverse(got)
	if want := unlike(20, "in"); !slices.Equal(got, want) {
		t.Errorf("they came in another order: %q", got)
	}
}

// What others hold delays a visit, and is no failure of its account.
func TestAVisitWithoutMemoryYields(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(3, "in")...)
	b := memory.New(memory.Least, time.Millisecond)
	w.engine.Budget = b
	beginnings := int((memory.Least - memory.Most) / memory.First)
	for n := range beginnings + 1 { // The common part, and the reserve.
		s := b.Share(false, nil)
		defer s.Close()
		need := int64(memory.First)
		if n == beginnings {
			need = memory.Most
		}
		if err := s.Take(t.Context(), need); err != nil {
			t.Fatal(err)
		}
	}
	r := w.visit(t.Context())
	if r.Err != nil || r.Partial != nil || !r.More || !r.Busy || r.Waited <= 0 || r.Messages != 0 || w.remote.opened != 0 {
		t.Errorf("report %+v, opened %d times", r, w.remote.opened)
	}
}

// A visit that has held much for long ends when others wait for that, and comes
// again: no failure of its account.
func TestAVisitThatHoldsMuchGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "INBOX")
		w.remote.folders[0].add(bodies(3, "in")...)
		b := memory.New(memory.Least, memory.Patience)
		w.engine.Budget = b
		holds := make(chan struct{})
		w.engine.Source = opening(func(ctx context.Context) error {
			if err := memory.Of(ctx).Take(ctx, memory.Most-memory.First); err != nil {
				return err
			}
			close(holds)
			<-ctx.Done()
			return ctx.Err()
		})
		visited := make(chan fetch.Report, 1)
		go func() { visited <- w.visit(t.Context()) }()
		<-holds
		other := b.Share(false, nil)
		defer other.Close()
		var err error
		for err = memory.ErrBusy; errors.Is(err, memory.ErrBusy); { // As visits that come again.
			err = other.Take(t.Context(), memory.Most)
		}
		if err != nil {
			t.Error(err)
		}
		if r := <-visited; r.Err != nil || !r.More || !r.Busy {
			t.Errorf("report %+v", r)
		}
	})
}

// opening is a source that is no more than this.
type opening func(context.Context) error

func (o opening) Open(ctx context.Context, _ remote.Mailbox, _ remote.Credential) (fetch.Session, error) {
	return nil, o(ctx)
}
