package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// The step-kill suite: the test's own binary, run again as a worker, kills
// itself (SIGKILL) at the n-th named step of a visit, for every n. Meanwhile
// the user leaves the mail alone, moves it, or deletes it. Then a worker is run
// to the end, and each message must have been delivered exactly once.
//
// The negative controls run the same with one rule of the protocol broken, by
// a wrapper around one part; each has to be caught.

// order is a worker's instructions.
type order struct {
	DSN     string
	Root    string // Of the mailboxes.
	Owner   string
	Account account.ID
	KillAt  int64  // The step at which to die; 0: none.
	Broken  string // The rule to break; "": none.
}

const orderVariable = "MAILBROOK_TEST_ORDER"

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(orderVariable); ok {
		os.Exit(work(text))
	}
	os.Exit(withWorkerDir(m.Run))
}

// killFolders are the remote's folders and how much each holds.
var killFolders = map[string]int{"INBOX": 5, "Archive/2023": 3}

func killRemote() *remoteStub {
	r := newRemote("INBOX", "Archive/2023")
	for _, f := range r.folders {
		for i := range killFolders[f.name] {
			f.add(fmt.Sprintf("Subject: %s %d\r\nX-Canary: %s-%d;\r\n\r\n%s\r\n", f.name, i, f.name, i, strings.Repeat(
				"line of text\r\n", i*200)))
		}
	}
	return r
}

const killMessages = 8

// work is the worker: it claims the account, visits it, and prints how many
// steps that took.
func work(text string) int {
	err := func() error {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return err
		}
		ctx := context.Background()
		var steps atomic.Int64
		step := func(string) {
			if n := steps.Add(1); n == o.KillAt {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		db, err := store.Open(ctx, o.DSN, store.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		boxes, err := maildir.New(maildir.Options{Template: "maildir:" + o.Root + "/{domain}/{local}", Step: step})
		if err != nil {
			return err
		}
		owner, err := owner.Parse(o.Owner)
		if err != nil {
			return err
		}
		var lease fetch.Lease
		// Until a killed worker's lease has run out.
		for now, err := time.Now(), schedule.ErrBusy; err != nil; now = now.Add(time.Hour) {
			if !errors.Is(err, schedule.ErrBusy) {
				return err
			}
			lease, err = leaseOf(db.Queue().ClaimOne(ctx, owner, o.Account, schedule.Claim{
				Worker: uuid.NewString(), Now: now,
				Lease: time.Minute, Limit: 1,
			}))
		}
		e := fetch.New(fetch.Options{
			Source: killRemote(), Mailbox: brokenBoxes{realBoxes{boxes}, o}, Journal: &brokenJournal{
				Journal: db.Journal(),
				rule:    o.Broken,
			}, Credentials: noCredentials{},
			TokenKey: []byte("a key that outlives the process"), LocalName: fetch.InFolder(maildir.LocalName),
			BatchMessages: 3, Step: step,
			Log: slog.New(slog.DiscardHandler),
		})
		rep := e.Visit(ctx, lease)
		if rep.Err != nil {
			return rep.Err
		}
		if err := db.Queue().Finish(ctx, lease, schedule.Settlement{
			State: account.OK, DueAt: time.Now().Add(time.Hour),
			Success: true,
		}); err != nil {
			return err
		}
		fmt.Println(steps.Load(), rep.Messages)
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return 0
}

// realBoxes adapts the mailbox, as cmd does.
type realBoxes struct{ *maildir.Store }

func (b realBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	if err := b.Make(ctx, r.Owner); err != nil {
		return nil, err
	}
	return b.Store.Open(ctx, r.Owner, r.Journal, epoch, l)
}

// brokenBoxes breaks a rule on the mailbox's side.
type brokenBoxes struct {
	fetch.Mailbox
	order order
}

func (b brokenBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	o, journal := r.Owner, r.Journal
	spool := filepath.Join(b.order.Root, owner.Domain(o.String()), strings.Split(o.String(), "@")[0], "fetch-spool",
		journal)
	if b.order.Broken == "sweep staged files" {
		files, err := filepath.Glob(filepath.Join(spool, "F*"))
		for _, f := range files {
			err = errors.Join(err, os.Remove(f))
		}
		if err != nil {
			return nil, err
		}
	}
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	if b.order.Broken == "copy instead of rename" {
		d = copyingDelivery{d, spool}
	}
	return d, err
}

type copyingDelivery struct {
	fetch.Delivery
	spool string
}

func (d copyingDelivery) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	kept := map[string][]byte{}
	for _, p := range ps {
		if b, err := os.ReadFile(filepath.Join(d.spool, p.Spool)); err == nil {
			kept[p.Spool] = b
		}
	}
	done, err := d.Delivery.Publish(ctx, ps)
	if err != nil {
		return done, err
	}
	for name, b := range kept {
		if err := os.WriteFile(filepath.Join(d.spool, name), b, 0o600); err != nil {
			return done, err
		}
	}
	return done, nil
}

// brokenJournal breaks a rule on the journal's side.
type brokenJournal struct {
	fetch.Journal
	rule string
	late *fetch.Entry
}

func (j *brokenJournal) Open(ctx context.Context, l fetch.Lease) ([]fetch.Batch, error) {
	if j.rule == "forget open batches" {
		return nil, nil
	}
	return j.Journal.Open(ctx, l)
}

func (j *brokenJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if j.rule != "deliver before staging is written" {
		return j.Journal.Commit(ctx, l, e)
	}
	if j.late != nil {
		if err := j.Journal.Commit(ctx, l, *j.late); err != nil {
			return err
		}
		j.late = nil
	}
	if e.Stage != nil {
		j.late = &e
		return nil
	}
	return j.Journal.Commit(ctx, l, e)
}

// killer runs the cycles of one database. Its mailboxes lie in memory: what survives
// a process does so on any file system; what survives a power cut is for powerloss_test.go.
type killer struct {
	dsn    string
	root   string
	db     *store.Store
	cycles atomic.Int64
}

func newKiller(t *testing.T, dsn string) *killer {
	t.Helper()
	db, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &killer{dsn: dsn, root: mailtest.InMemory(t), db: db}
}

// cycle is one user's history: the workers killed at the given steps, the user
// acting after each, then one worker that ends. It returns what is wrong, and
// whether the first kill came to pass.
func (k *killer) cycle(ctx context.Context, broken, user string, kills ...int64) (bad string, killed bool, err error) {
	n := k.cycles.Add(1)
	o := order{
		DSN: k.dsn, Root: k.root, Owner: fmt.Sprintf("u%d@firma.test", n), Account: account.ID(uuid.NewString()),
		Broken: broken,
	}
	owner, err := owner.Parse(o.Owner)
	if err != nil {
		return "", false, err
	}
	_, err = k.db.Accounts().Add(ctx, account.Account{
		ID: o.Account, Owner: owner, Email: "x@remote.test", Name: "Remote", Provider: "other", Protocol: remote.IMAP,
		Server: remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS}, Username: "x",
		Auth:   remote.Password,
		Folder: "Remote", PollInterval: time.Hour, Enabled: true, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		Journal: uuid.NewString(),
	}, []byte("sealed"), 4)
	if err != nil {
		return "", false, err
	}
	home := filepath.Join(k.root, "firma.test", fmt.Sprintf("u%d", n))
	deleted := map[string]int{}
	for i, at := range kills {
		o.KillAt = at
		died, err := run(ctx, o)
		if err != nil {
			return "", false, err
		}
		if i == 0 {
			killed = died
		}
		if err := act(home, user, deleted); err != nil {
			return "", false, err
		}
	}
	o.KillAt = 0
	if _, err := run(ctx, o); err != nil {
		return "", killed, err
	}
	bad, err = verdict(home, deleted)
	return bad, killed, err
}

// run runs one worker; died says that it was killed.
func run(ctx context.Context, o order) (died bool, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	worker, err := workerBinary()
	if err != nil {
		return false, err
	}
	c := exec.CommandContext(ctx, worker)
	c.Env = append(os.Environ(), orderVariable+"="+string(text))
	var out bytes.Buffer
	c.Stderr = &out
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL &&
			o.KillAt > 0 {
			return true, nil
		}
		if o.Broken != "" {
			return false, nil // A broken rule may well end in an error; the verdict tells.
		}
	}
	if err != nil {
		return false, fmt.Errorf("worker for %s, step %d: %w: %s", o.Owner, o.KillAt, err, out.String())
	}
	return false, nil
}

// delivered calls f for each message file of the mailbox.
func delivered(home string, f func(path string) error) error {
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		parent := filepath.Base(filepath.Dir(path))
		if err != nil || d.IsDir() || parent != "new" && parent != "cur" {
			return err
		}
		return f(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Killed before there was a mailbox.
	}
	return err
}

// act does what the user does with the mail that has arrived so far.
func act(home, user string, deleted map[string]int) error {
	other := filepath.Join(home, ".Elsewhere", "cur")
	return delivered(home, func(path string) error {
		switch user {
		case "moves":
			if strings.Contains(path, ".Elsewhere") {
				return nil
			}
			if err := os.MkdirAll(other, 0o700); err != nil {
				return err
			}
			name, _, _ := strings.Cut(filepath.Base(path), ":")
			return os.Rename(path, filepath.Join(other, name+":2,S"))
		case "deletes":
			c, err := canary(path)
			if err != nil {
				return err
			}
			deleted[c]++
			return os.Remove(path)
		}
		return nil
	})
}

func canary(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(b), "X-Canary: ")
	c, _, ok := strings.Cut(rest, ";")
	if !ok || bytes.Contains(b, []byte("\r")) {
		return "", fmt.Errorf("%s is not as it was sent: %d bytes", path, len(b))
	}
	return c, nil
}

// verdict counts what was delivered: in the mailbox or deleted by the user.
func verdict(home string, deleted map[string]int) (string, error) {
	count := map[string]int{}
	for c, n := range deleted {
		count[c] += n
	}
	if err := delivered(home, func(path string) error {
		c, err := canary(path)
		count[c]++
		return err
	}); err != nil {
		return "", err
	}
	var bad []string
	for folder, n := range killFolders {
		for i := range n {
			c := folder + "-" + strconv.Itoa(i)
			if count[c] != 1 {
				bad = append(bad, fmt.Sprintf("%s is there %d times", c, count[c]))
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(home, "fetch-spool", "*", "F*"))
	if len(left) > 0 && len(bad) == 0 {
		bad = append(bad, fmt.Sprintf("%d files were left in the spool", len(left)))
	}
	return strings.Join(bad, ", "), err
}

// each runs f for 1, 2, 3, …, so many at a time, until it says that the end was
// passed.
func each(t *testing.T, workers int, f func(n int64) (more bool, err error)) {
	t.Helper()
	var next atomic.Int64
	var done atomic.Bool
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for !done.Load() {
				more, err := f(next.Add(1))
				if err != nil {
					t.Error(err)
				}
				if !more || err != nil {
					done.Store(true)
				}
			}
		})
	}
	running.Wait()
}

func databases(t *testing.T) map[string]string {
	return map[string]string{
		"SQLite":     migrated.SQLite(t, filepath.Join(mailtest.InMemory(t), "journal.db")),
		"PostgreSQL": migrated.Postgres(t),
	}
}

// F01 of the fault matrix.
func TestKilledAtAnyStepEveryMessageIsDeliveredExactlyOnce(t *testing.T) {
	t.Parallel()
	by := mailtest.Stride(t, 1, 48)
	for name, dsn := range databases(t) {
		t.Run(name, func(t *testing.T) {
			k := newKiller(t, dsn)
			for u, user := range []string{"does nothing", "moves", "deletes"} {
				var steps atomic.Int64
				each(t, 4, func(i int64) (bool, error) {
					n := 1 + (i-1)*by + int64(u)%by
					bad, killed, err := k.cycle(t.Context(), "", user, n)
					if bad != "" {
						t.Errorf("killed at step %d, the user %s: %s", n, user, bad)
					}
					if killed {
						steps.Add(1)
					}
					return killed, err
				})
				if steps.Load() < 3*killMessages/by {
					t.Errorf("only %d steps: the suite does not bite", steps.Load())
				}
				t.Logf("the user %s: %d steps, each killed once", user, steps.Load())
			}
		})
	}
}

// F02 and F03: killed again, also while recovering from the kill before.
func TestKilledTwiceAndThriceEveryMessageIsDeliveredExactlyOnce(t *testing.T) {
	t.Parallel()
	histories := mailtest.Few(t, 60, 4)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for name, dsn := range databases(t) {
		t.Run(name, func(t *testing.T) {
			k := newKiller(t, dsn)
			type history struct {
				user  string
				kills []int64
			}
			var hs []history
			for range histories {
				h := history{user: []string{"does nothing", "moves", "deletes"}[random.IntN(3)], kills: []int64{1 + random.Int64N(
					60), 1 + random.Int64N(20)}}
				if random.IntN(2) == 0 {
					h.kills = append(h.kills, 1+random.Int64N(40))
				}
				hs = append(hs, h)
			}
			each(t, 4, func(n int64) (bool, error) {
				if n > int64(len(hs)) {
					return false, nil
				}
				h := hs[n-1]
				bad, _, err := k.cycle(t.Context(), "", h.user, h.kills...)
				if bad != "" {
					t.Errorf("killed at steps %v, the user %s: %s", h.kills, h.user, bad)
				}
				return true, err
			})
		})
	}
}

// The controls: a suite that does not notice a broken rule proves nothing.
func TestABrokenRuleIsNoticed(t *testing.T) {
	t.Parallel()
	enough := int64(mailtest.Few(t, 3, 1))
	for _, rule := range []string{
		"forget open batches", "sweep staged files", "copy instead of rename",
		"deliver before staging is written",
	} {
		t.Run(rule, func(t *testing.T) {
			k := newKiller(t, migrated.SQLite(t, filepath.Join(mailtest.InMemory(t), "journal.db")))
			var caught atomic.Int64
			for _, steps := range mailtest.Search(60) {
				each(t, 4, func(i int64) (bool, error) {
					n := steps.From + i - 1
					if n >= steps.To || caught.Load() >= enough {
						return false, nil
					}
					bad, killed, err := k.cycle(t.Context(), rule, "deletes", n)
					if bad != "" || err != nil {
						caught.Add(1)
					}
					return killed, nil
				})
			}
			if caught.Load() == 0 {
				t.Error("nothing was lost or doubled although the rule was broken")
			}
			t.Logf("caught %d times", caught.Load())
		})
	}
}
