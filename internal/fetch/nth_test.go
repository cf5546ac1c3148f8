package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The n-th operation fails, for all n: at the seam to the journal, to the
// local mailbox, and between the journal and its database.

// failing lets the n-th call of any of its users fail: before it took effect,
// or after, as when the answer is lost.
type failing struct {
	n, at int64
	after bool
	why   error
}

func (f *failing) do(call func() error) error {
	n := atomic.AddInt64(&f.n, 1)
	if n == f.at && !f.after {
		return f.why
	}
	if err := call(); err != nil || n != f.at {
		return err
	}
	return f.why
}

func failingCall[T any](f *failing, call func() (T, error)) (v T, err error) {
	err = f.do(func() error { v, err = call(); return err })
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// failingJournal is a journal whose n-th call fails.
type failingJournal struct {
	fetch.Journal
	*failing
}

func (j failingJournal) Folders(ctx context.Context, l fetch.Lease) ([]fetch.Folder, error) {
	return failingCall(j.failing, func() ([]fetch.Folder, error) { return j.Journal.Folders(ctx, l) })
}

func (j failingJournal) AddFolders(ctx context.Context, l fetch.Lease, fs []fetch.Folder) ([]fetch.Folder, error) {
	return failingCall(j.failing, func() ([]fetch.Folder, error) { return j.Journal.AddFolders(ctx, l, fs) })
}

func (j failingJournal) Generation(ctx context.Context, l fetch.Lease) (int64, error) {
	return failingCall(j.failing, func() (int64, error) { return j.Journal.Generation(ctx, l) })
}

func (j failingJournal) Open(ctx context.Context, l fetch.Lease) ([]fetch.Batch, error) {
	return failingCall(j.failing, func() ([]fetch.Batch, error) { return j.Journal.Open(ctx, l) })
}

func (j failingJournal) Settled(ctx context.Context, l fetch.Lease, f fetch.Folder, from uint32, each func(mail.ID,
	int64) error,
) error {
	return j.do(func() error { return j.Journal.Settled(ctx, l, f, from, each) })
}

func (j failingJournal) Skipped(ctx context.Context, l fetch.Lease) ([]fetch.Skipped, error) {
	return failingCall(j.failing, func() ([]fetch.Skipped, error) { return j.Journal.Skipped(ctx, l) })
}

func (j failingJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	return j.do(func() error { return j.Journal.Commit(ctx, l, e) })
}

func (j failingJournal) Limit(ctx context.Context, o owner.Owner) (owner.Limit, error) {
	return failingCall(j.failing, func() (owner.Limit, error) { return j.Journal.Limit(ctx, o) })
}

// failingBoxes are mailboxes in which the n-th operation fails.
type failingBoxes struct {
	fetch.Mailbox
	*failing
}

func (b failingBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := failingCall(b.failing, func() (fetch.Delivery, error) { return b.Mailbox.Open(ctx, r, epoch, l) })
	return failingDelivery{d, b.failing}, err
}

type failingDelivery struct {
	fetch.Delivery
	*failing
}

func (d failingDelivery) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time,
	most int64,
) (mail.Staged, error) {
	s, err := d.Delivery.Stage(ctx, t, body, received, most)
	if err == nil {
		if err = d.do(func() error { return nil }); err != nil {
			d.Discard([]mail.Staged{s}) // After an error no spool file is left.
		}
	}
	return s, err
}

func (d failingDelivery) Seal(ctx context.Context, ps []mail.Placement) (sealed []mail.Sealed, err error) {
	err = d.do(func() error {
		sealed, err = d.Delivery.Seal(ctx, ps)
		return err
	})
	return sealed, err
}

func (d failingDelivery) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	// Half of it comes about in any case.
	if _, err := d.Delivery.Publish(ctx, ps[:len(ps)/2]); err != nil {
		return nil, err
	}
	return failingCall(d.failing, func() ([]mail.Token, error) { return d.Delivery.Publish(ctx, ps) })
}

func (d failingDelivery) Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error) {
	return failingCall(d.failing, func() ([]mail.Fate, error) { return d.Delivery.Find(ctx, ps, noted) })
}

func (d failingDelivery) EnsureFolders(ctx context.Context, fs []string) error {
	return d.do(func() error { return d.Delivery.EnsureFolders(ctx, fs) })
}

func (d failingDelivery) Sweep(ctx context.Context, keep map[string]bool) error {
	return d.do(func() error { return d.Delivery.Sweep(ctx, keep) })
}

func (d failingDelivery) SetGeneration(ctx context.Context, n int64) error {
	return d.do(func() error { return d.Delivery.SetGeneration(ctx, n) })
}

// nth runs visits whose n-th call at a seam fails, for all n or every so many, and
// returns how many failed.
func (k *killer) nth(t *testing.T, by int64, seam string, after bool, user string) int {
	t.Helper()
	failed := 0
	for n := int64(1); ; n += by {
		p, err := enrol(t.Context(), k.db, k.root, k.dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("the connection to the database is lost")
		if seam == "mailbox" {
			why = fault.New(fault.LocalMailboxUnavailable, "delivering", words.Say("no space left on device"))
		}
		f := &failing{at: n, after: after, why: why}
		deleted := oracle{}
		var lease fetch.Lease
		visit := func() (err error) {
			var r fetch.Report
			journal := fetch.Journal(k.db.Journal())
			if seam == "journal" {
				journal = failingJournal{journal, f}
			} else {
				p.boxes = func(b fetch.Mailbox) fetch.Mailbox { return failingBoxes{b, f} }
			}
			r, lease, err = p.visit(t.Context(), k.db, journal, killRemote(), func(string) {})
			return errors.Join(err, r.Err)
		}
		first := visit()
		reached := atomic.LoadInt64(&f.n) >= n
		f.at = 0
		if err := acts(p.home(), user, deleted); err != nil {
			t.Fatal(err)
		}
		if bad := killOracle().partial(p.home(), deleted); bad != nil {
			t.Errorf("%s, call %d, after=%v, the user %s: %v", seam, n, after, user, bad)
		}
		if err := visit(); err != nil {
			t.Errorf("%s, call %d, after=%v: the next visit: %v", seam, n, after, err)
		}
		if bad := killOracle().verdict(p.home(), deleted) + p.inconsistent(t.Context(), k.db, lease); bad != "" {
			t.Errorf("%s, call %d, after=%v, the user %s: %s (first visit: %v)", seam, n, after, user, bad, first)
		}
		if !reached {
			return failed
		}
		failed++
	}
}

// F15 to F23 of the fault matrix, as far as the engine sees them; what the
// file system says is up to the tests of package maildir.
func TestWhicheverCallFailsTheNextVisitCompletes(t *testing.T) {
	t.Parallel()
	by := mailtest.Stride(t, 1, 11)
	for name, dsn := range databases(t) {
		t.Run(name, func(t *testing.T) {
			k := newKiller(t, dsn)
			total := 0
			for i, seam := range []string{"journal", "mailbox"} {
				for j, after := range []bool{false, true} {
					for u, user := range users {
						if mailtest.Long() || u == (i*2+j)%len(users) {
							total += k.nth(t, by, seam, after, user)
						}
					}
				}
			}
			t.Logf("%d calls failed, each once", total)
		})
	}
}

// wire is a proxy before PostgreSQL that breaks every connection, once, at a
// chosen place.
type wire struct {
	socket string
	l      net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	up     int64 // Octets to the server.
	down   int64
	commit int64 // Commits that were asked for.
	cut    cut
	done   bool
}

// cut says where: one of them is not 0.
type cut struct {
	up, down int64 // After so many octets.
	before   int64 // Before the n-th COMMIT reaches the server.
	after    int64 // After it did, before the answer comes back.
}

func newWire(t *testing.T, dsn string) (w *wire, through string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	w = &wire{socket: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"), conns: map[net.Conn]bool{}}
	if w.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.wg.Go(w.serve)
	t.Cleanup(func() {
		w.l.Close()
		w.mu.Lock()
		w.hangUp()
		w.mu.Unlock()
		w.wg.Wait()
	})
	u.Host = w.l.Addr().String()
	u.RawQuery = "sslmode=disable"
	return w, u.String()
}

// arm resets the count and cuts there.
func (w *wire) arm(c cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up, w.down, w.commit, w.cut, w.done = 0, 0, 0, c, false
}

// passed says what has gone through since arm, and whether the cut was made.
func (w *wire) passed() (up, down, commits int64, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up, w.down, w.commit, w.done
}

func (w *wire) hangUp() {
	for c := range w.conns {
		c.Close()
	}
}

func (w *wire) serve() {
	for {
		client, err := w.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", w.socket)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.conns[client], w.conns[server] = true, true
		w.mu.Unlock()
		for _, way := range []struct {
			from, to net.Conn
			up       bool
		}{{client, server, true}, {server, client, false}} {
			w.wg.Go(func() {
				defer way.to.Close()
				defer way.from.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := way.from.Read(b)
					if n > 0 && !w.pass(way.to, b[:n], way.up) || err != nil {
						return
					}
				}
			})
		}
	}
}

// pass forwards octets, as far as they may go.
func (w *wire) pass(to net.Conn, b []byte, up bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	count, limit := &w.down, w.cut.down
	if up {
		count, limit = &w.up, w.cut.up
		if bytes.Contains(bytes.ToLower(b), []byte("commit\x00")) {
			w.commit++
			if w.commit == w.cut.before {
				limit = *count + 1 // Something of it at least.
			}
			if w.commit == w.cut.after && !w.done {
				to.Write(b)
				w.await(to)
				w.done = true
				w.hangUp()
				return false
			}
		}
	}
	if !w.done && limit > 0 && *count+int64(len(b)) >= limit {
		to.Write(b[:limit-*count])
		w.done = true
		w.hangUp()
		return false
	}
	*count += int64(len(b))
	_, err := to.Write(b)
	return err == nil
}

// await gives the server's answer time to be on its way: the other direction
// waits for our lock, so nothing of it gets through.
func (w *wire) await(server net.Conn) {
	tick := time.NewTimer(2 * time.Millisecond)
	defer tick.Stop()
	<-tick.C
}

// F24 of the fault matrix.
func TestTheDatabaseCutOffAnywhereNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	dsn := migrated.Postgres(t)
	k := newKiller(t, dsn)
	w, through := newWire(t, dsn)
	cycle := func(c cut, user string) (up, down, commits int64, made bool) {
		p, err := enrol(t.Context(), k.db, k.root, dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
		if err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(t.Context(), through, store.Options{Conns: 2})
		if err != nil {
			t.Fatal(err)
		}
		// The claim is made beside the proxy: it is the visit that is cut off.
		p.claimFrom = k.db
		w.arm(c)
		first, _, err := p.visit(t.Context(), db, db.Journal(), killRemote(), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		up, down, commits, made = w.passed()
		w.arm(cut{})
		deleted := oracle{}
		if err := errors.Join(acts(p.home(), user, deleted), db.Close()); err != nil {
			t.Fatal(err)
		}
		second, lease, err := p.visit(t.Context(), k.db, k.db.Journal(), killRemote(), func(string) {})
		if err = errors.Join(err, second.Err); err != nil {
			t.Errorf("%+v: the next visit: %v", c, err)
		}
		if bad := killOracle().verdict(p.home(), deleted) + p.inconsistent(t.Context(), k.db, lease); bad != "" {
			t.Errorf("%+v, the user %s: %s (first visit: %v)", c, user, bad, first.Err)
		}
		return up, down, commits, made
	}
	up, down, commits, _ := cycle(cut{}, "does nothing")
	var at []cut
	each := mailtest.Stride(t, 1, 5)
	for n := int64(0); n < commits; n += each {
		at = append(at, cut{before: n + 1}, cut{after: n + 1})
	}
	by := mailtest.Stride(t, 307, 4001)
	if mailtest.Long() {
		by = 3
	}
	for n := int64(1); n < up; n += by {
		at = append(at, cut{up: n})
	}
	for n := int64(1); n < down; n += by {
		at = append(at, cut{down: n})
	}
	made := 0
	for i, c := range at {
		if _, _, _, ok := cycle(c, users[i%len(users)]); ok {
			made++
		}
	}
	t.Logf("cut off %d times: %d at a commit (before and after), the others over %d octets up and %d down", made,
		2*commits, up, down)
	if commits == 0 || made < len(at)*9/10 {
		t.Errorf("%d of %d cuts were made: the suite does not bite", made, len(at))
	}
}
