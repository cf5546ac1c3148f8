package fetch_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
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

// What the proofs of "exactly once" share: a worker in a process of its own
// that something happens to at its n-th named step, and the oracle's verdict.

// migrated are the databases that proofs begin with.
var migrated = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	db, err := store.Open(ctx, dsn, store.Options{Now: time.Now})
	if err != nil {
		return err
	}
	err = errors.Join(db.Migrate(ctx), db.Close())
	if err != nil {
		return err
	}
	rows, err := proof{DSN: dsn}.rows()
	if err != nil {
		return err
	}
	_, err = rows.ExecContext(ctx, "DELETE FROM meta") // Each has an identity of its own.
	return errors.Join(err, rows.Close())
}}

// proof is a worker's instructions. Things happen at its At-th step; at
// none if that is 0.
type proof struct {
	DSN     string
	Root    string // Of the mailboxes.
	Owner   string
	Account account.ID
	At      int64
	Replace string   // What becomes of the mailbox there, before it dies: see replace.
	Stop    bool     // It is stopped there, until somebody continues it.
	Power   []string // The file systems that lose power there; it dies then.
	Broken  string   // The rule to break; "": none.
	// Together is maildir.Options.SyncTogether.
	Together int

	boxes     func(fetch.Mailbox) fetch.Mailbox // Of visits in this process: wraps the mailboxes.
	claimFrom *store.Store                      // Where the lease is taken, if not where the journal is.
	now       func() time.Time                  // Nil: time.Now.
}

const proofVariable = "MAILBROOK_TEST_PROOF"

// exitFenced is how a worker ends that lost its lease.
const exitFenced = 4

func init() {
	text, ok := os.LookupEnv(proofVariable)
	if !ok {
		return
	}
	var p proof
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.work(context.Background())
	}
	switch {
	case errors.Is(err, fetch.ErrFenced):
		os.Exit(exitFenced)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// work claims the account, visits it, and prints how many steps that took.
func (p proof) work(ctx context.Context) error {
	if p.Broken == lyingDisk {
		if err := voidSyncs(); err != nil {
			return fmt.Errorf("making fsync do nothing: %w", err)
		}
	}
	var steps atomic.Int64
	var writing sync.RWMutex
	step := func(string) {
		if steps.Add(1) != p.At {
			return
		}
		if p.Stop {
			// Not within a transaction: the others would wait for its lock, and this
			// worker for them.
			writing.Lock()
			defer writing.Unlock()
			if err := stopUs(); err != nil {
				fmt.Fprintln(os.Stderr, "stopping:", err)
				os.Exit(3)
			}
			return
		}
		if p.Replace != "" {
			if _, _, err := replace(p.home(), p.Replace); err != nil {
				fmt.Fprintln(os.Stderr, "replacing the mailbox:", err)
				os.Exit(3)
			}
		}
		for _, dir := range p.Power {
			if err := cutPower(dir); err != nil {
				fmt.Fprintln(os.Stderr, "cutting the power:", err)
				os.Exit(3)
			}
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	db, err := store.Open(ctx, p.DSN, store.Options{Conns: 2})
	if err != nil {
		return err
	}
	defer db.Close()
	rep, lease, err := p.visit(ctx, db, noticedJournal{db.Journal(), &writing}, killRemote(), step)
	if err = errors.Join(err, rep.Err); err != nil {
		return err
	}
	if err := db.Queue().Finish(ctx, lease, schedule.Settlement{
		State: account.OK, DueAt: time.Now().Add(time.Hour),
		Success: true,
	}); err != nil {
		return err
	}
	fmt.Println(steps.Load())
	return nil
}

// noticedJournal lets others wait until nothing is being written.
type noticedJournal struct {
	fetch.Journal
	writing *sync.RWMutex
}

func (j noticedJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	j.writing.RLock()
	defer j.writing.RUnlock()
	return j.Journal.Commit(ctx, l, e)
}

func (j noticedJournal) AddFolders(ctx context.Context, l fetch.Lease, fs []fetch.Folder) ([]fetch.Folder, error) {
	j.writing.RLock()
	defer j.writing.RUnlock()
	return j.Journal.AddFolders(ctx, l, fs)
}

// visit makes one visit in this process, after the leases before it.
func (p proof) visit(ctx context.Context, db *store.Store, j fetch.Journal, source fetch.Source,
	step func(string),
) (fetch.Report, fetch.Lease, error) {
	boxes, err := maildir.New(maildir.Options{
		Template: "maildir:" + p.Root + "/{domain}/{local}", Host: "proof",
		Step: step, SyncTogether: p.Together,
	})
	if err != nil {
		return fetch.Report{}, fetch.Lease{}, err
	}
	owner, err := owner.Parse(p.Owner)
	if err != nil {
		return fetch.Report{}, fetch.Lease{}, err
	}
	queue := db
	if p.claimFrom != nil {
		queue = p.claimFrom
	}
	var lease fetch.Lease
	// Until the lease before has run out.
	for now, err := time.Now(), schedule.ErrBusy; err != nil; now = now.Add(time.Hour) {
		if !errors.Is(err, schedule.ErrBusy) {
			return fetch.Report{}, lease, err
		}
		lease, err = leaseOf(queue.Queue().ClaimOne(ctx, owner, p.Account, schedule.Claim{
			Worker: uuid.NewString(), Now: now,
			Lease: time.Minute, Limit: 1,
		}))
	}
	switch p.Broken {
	case heedless:
		j = heedlessJournal{j}
	case unfenced:
		rows, err := p.rows()
		if err != nil {
			return fetch.Report{}, lease, err
		}
		defer rows.Close()
		j = unfencedJournal{j, rows}
	}
	all := fetch.Mailbox(carelessBoxes{realBoxes{boxes}, p})
	if p.boxes != nil {
		all = p.boxes(all)
	}
	e := fetch.New(fetch.Options{
		Source: source, Mailbox: all, Journal: j, Credentials: canaryCredentials{},
		TokenKey: proofKey(), LocalName: fetch.InFolder(maildir.LocalName),
		BatchMessages: 3, Step: step, Now: p.now, Log: slog.New(
			slog.DiscardHandler),
	})
	return e.Visit(ctx, lease), lease, nil
}

func proofKey() []byte { return []byte("a key that outlives the process") }

// inconsistent says what `mailbrook check` finds wrong once all is over. A visit
// of this process still holds its lease, which it gives back.
func (p proof) inconsistent(ctx context.Context, db *store.Store, held ...fetch.Lease) string {
	for _, l := range held {
		if err := db.Queue().Finish(ctx, l, schedule.Settlement{
			State: account.OK, DueAt: time.Now().Add(time.Hour),
			Success: true,
		}); err != nil {
			return err.Error()
		}
	}
	boxes, err := maildir.New(maildir.Options{Template: "maildir:" + p.Root + "/{domain}/{local}"})
	if err != nil {
		return err.Error()
	}
	owner, err := owner.Parse(p.Owner)
	if err != nil {
		return err.Error()
	}
	f, err := check.Checker{
		Journals: db, Mailboxes: boxes, TokenKey: proofKey(), DirName: maildir.DirName,
	}.Check(ctx, owner)
	if err != nil {
		return err.Error()
	}
	var bad []string
	for _, x := range f.Findings {
		if x.Wrong || x.Kind == check.BeingVisited {
			bad = append(bad, fmt.Sprintf("check: %s %s %s", x.Kind, x.Token, x.Detail))
		}
	}
	if len(f.Accounts) != 1 || f.Foreign > 0 || f.Accounts[0].ByContent > 0 || f.Accounts[0].Present != int(f.Messages) {
		bad = append(bad, fmt.Sprintf("check does not know each of the %d messages by its name: %d accounts, %d from "+
			"elsewhere", f.Messages, len(f.Accounts), f.Foreign))
	}
	return strings.Join(bad, "; ")
}

// canaryCredentials sign in at the test's servers.
type canaryCredentials struct{}

func (canaryCredentials) Credential(_ context.Context, a remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{Auth: remote.Password, Username: a.Username, Secret: remote.NewSecret("sekret")}, nil
}

// enrol makes a user with one account.
func enrol(ctx context.Context, db *store.Store, root, dsn string, n int64, protocol remote.Protocol,
	server remote.Server, username string,
) (proof, error) {
	p := proof{DSN: dsn, Root: root, Owner: fmt.Sprintf("u%d@firma.test", n), Account: account.ID(uuid.NewString())}
	owner, err := owner.Parse(p.Owner)
	if err != nil {
		return p, err
	}
	_, err = db.Accounts().Add(ctx, account.Account{
		ID: p.Account, Owner: owner, Email: "x@remote.test", Name: "Remote", Provider: "other", Protocol: protocol,
		Server: server, Username: username, Auth: remote.Password,
		Folder: "Remote", PollInterval: time.Hour, Enabled: true, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		Journal: uuid.NewString(),
	}, []byte("sealed"), 4)
	return p, err
}

var nowhere = remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS}

// home is the user's mailbox.
func (p proof) home() string {
	return filepath.Join(p.Root, owner.Domain(p.Owner), strings.Split(p.Owner, "@")[0])
}

// worker is a running worker process.
type worker struct {
	proof
	pid      int
	out, err *os.File
}

// start starts a worker.
func (p proof) start() (*worker, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	w := &worker{proof: p}
	if w.out, err = os.CreateTemp("", "proof-out-"); err != nil {
		return nil, err
	}
	if w.err, err = os.CreateTemp("", "proof-err-"); err != nil {
		return nil, errors.Join(err, w.out.Close(), os.Remove(w.out.Name()))
	}
	path, err := workerBinary()
	if err != nil {
		return nil, errors.Join(err, w.out.Close(), w.err.Close(), os.Remove(w.out.Name()), os.Remove(w.err.Name()))
	}
	c := exec.Command(path)
	c.Env = append(os.Environ(), proofVariable+"="+string(text))
	c.Stdout, c.Stderr = w.out, w.err
	c.SysProcAttr = dieWithUs()
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.pid = c.Process.Pid
	return w, c.Process.Release() // It is waited for by number, so that a stop is seen as well.
}

// wait waits until the worker stops or ends.
func (w *worker) wait() (status syscall.WaitStatus, said string, err error) {
	for {
		_, err = syscall.Wait4(w.pid, &status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil || status.Stopped() {
		return status, "", err
	}
	out, err1 := os.ReadFile(w.out.Name())
	said2, err2 := os.ReadFile(w.err.Name())
	return status, string(out) + string(said2), errors.Join(err1, err2, w.close())
}

func (w *worker) close() error {
	return errors.Join(w.out.Close(), os.Remove(w.out.Name()), w.err.Close(), os.Remove(w.err.Name()))
}

// errHappened says that a worker came as far as what was to happen to it.
var errHappened = errors.New("it happened")

// run runs a worker to its end; steps is how many it took, if it says.
func (p proof) run() (steps int64, err error) {
	w, err := p.start()
	if err != nil {
		return 0, err
	}
	status, said, err := w.wait()
	switch {
	case err != nil:
		return 0, err
	case status.Signaled() && status.Signal() == syscall.SIGKILL && p.At > 0:
		return 0, errHappened
	case status.Exited() && status.ExitStatus() == exitFenced:
		return 0, fetch.ErrFenced
	case !status.Exited() || status.ExitStatus() != 0:
		return 0, fmt.Errorf("worker for %s, step %d: status %v: %s", p.Owner, p.At, status, said)
	}
	_, err = fmt.Sscan(said, &steps)
	return steps, err
}

// oracle is what has to be delivered: how often each text, as a file holds it.
type oracle map[string]int

func killOracle() oracle {
	o := oracle{}
	for _, f := range killRemote().folders {
		for _, b := range f.bodies {
			o[strings.ReplaceAll(b, "\r\n", "\n")]++
		}
	}
	return o
}

// seen adds what is in the mailbox to what its user deleted.
func seen(home string, deleted oracle) (oracle, error) {
	all := oracle{}
	for text, n := range deleted {
		all[text] += n
	}
	err := delivered(home, func(path string) error {
		b, err := os.ReadFile(path)
		all[string(b)]++
		return err
	})
	return all, err
}

// verdict says what is wrong at the end, with every octet compared.
func (o oracle) verdict(home string, deleted oracle) string {
	bad := o.partial(home, deleted)
	got, err := seen(home, deleted)
	if err != nil {
		return err.Error()
	}
	for text, n := range o {
		if got[text] < n {
			bad = append(bad, fmt.Sprintf("lost: %s", firstLine(text)))
		}
	}
	left, err := filepath.Glob(filepath.Join(home, "fetch-spool", "*", "F*"))
	if err != nil || len(left) > 0 && len(bad) == 0 {
		bad = append(bad, fmt.Sprintf("%d files were left in the spool (%v)", len(left), err))
	}
	slices.Sort(bad)
	return strings.Join(bad, "; ")
}

// partial says what is wrong at any time: no file may hold anything but a whole
// message, and none may be there too often.
func (o oracle) partial(home string, deleted oracle) (bad []string) {
	got, err := seen(home, deleted)
	if err != nil {
		return []string{err.Error()}
	}
	for text, n := range got {
		switch {
		case o[text] == 0:
			bad = append(bad, fmt.Sprintf("a file of %d octets is no message of the remote: %s", len(text), firstLine(text)))
		case n > o[text]:
			bad = append(bad, fmt.Sprintf("doubled: %s", firstLine(text)))
		}
	}
	return bad
}

func firstLine(text string) string {
	l, _, _ := strings.Cut(text, "\n")
	return fmt.Sprintf("%.60q", l)
}

// acts does what the user does with the mail that has arrived so far.
func acts(home, user string, deleted oracle) error {
	if user != "deletes" {
		return act(home, user, map[string]int{})
	}
	return delivered(home, func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		deleted[string(b)]++
		return os.Remove(path)
	})
}

var users = []string{"does nothing", "moves", "deletes"}

// Rules that a control breaks, and what else may be wrong with the machine.
const (
	heedless      = "heed the fence"
	unfenced      = "compare the lease"
	fileSync      = "fsync the file"
	directorySync = "fsync the directory"
	lyingDisk     = "fsync reaches the disk"
)

// heedlessJournal continues after it was fenced, as a worker would that does not
// look at what its write did.
type heedlessJournal struct{ fetch.Journal }

func (j heedlessJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	if err := j.Journal.Commit(ctx, l, e); err != nil && !errors.Is(err, fetch.ErrFenced) {
		return err
	}
	return nil
}

// unfencedJournal writes whoever's the lease is, as a database would that does
// not compare it: every write goes by the lease that there is just now.
type unfencedJournal struct {
	fetch.Journal
	rows *sql.DB
}

func (j unfencedJournal) present(ctx context.Context, l fetch.Lease) (fetch.Lease, error) {
	err := j.rows.QueryRowContext(ctx, fmt.Sprintf("SELECT lease_owner, lease_epoch FROM poll_schedule WHERE route_id "+
		"= '%s'", l.Route.ID)).Scan(&l.Worker, &l.Epoch)
	return l, err
}

func (j unfencedJournal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	l, err := j.present(ctx, l)
	if err != nil {
		return err
	}
	return j.Journal.Commit(ctx, l, e)
}

func (j unfencedJournal) AddFolders(ctx context.Context, l fetch.Lease, fs []fetch.Folder) ([]fetch.Folder, error) {
	l, err := j.present(ctx, l)
	if err != nil {
		return nil, err
	}
	return j.Journal.AddFolders(ctx, l, fs)
}

// carelessBoxes deliver without making everything durable, where that is the
// rule to break.
type carelessBoxes struct {
	fetch.Mailbox
	proof proof
}

func (b carelessBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	c := careless{d, b.proof.home(), filepath.Join(b.proof.home(), "fetch-spool", r.Journal), epoch}
	switch {
	case err != nil:
		return nil, err
	case b.proof.Broken == fileSync:
		return noFileSync{c}, nil
	case b.proof.Broken == directorySync:
		return noDirectorySync{c}, nil
	}
	return d, nil
}

type careless struct {
	fetch.Delivery
	home, spool string
	epoch       int64
}

// noFileSync writes spool files and makes only their directory durable.
type noFileSync struct{ careless }

func (d noFileSync) Stage(_ context.Context, t mail.Token, body io.Reader, received time.Time,
	_ int64,
) (mail.Staged, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return mail.Staged{}, err
	}
	scan := mail.NewScanner()
	if _, err := scan.Write(b); err != nil {
		return mail.Staged{}, err
	}
	text := bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	s := mail.Staged{
		Spool: fmt.Sprintf("%s.e%d", t, d.epoch), Fingerprint: scan.Sum(), FileSize: int64(len(text)),
		VirtualSize: int64(len(b)), Received: received,
	}
	return s, os.WriteFile(filepath.Join(d.spool, s.Spool), text, 0o600)
}

func (d noFileSync) Seal(_ context.Context, ps []mail.Placement) ([]mail.Sealed, error) {
	f, err := os.Open(d.spool)
	if err != nil {
		return nil, err
	}
	return mail.SealedAsStaged(ps), errors.Join(f.Sync(), f.Close())
}

func (d noFileSync) Discard(ss []mail.Staged) {
	for _, s := range ss {
		os.Remove(filepath.Join(d.spool, s.Spool))
	}
}

// noDirectorySync renames and leaves it at that.
type noDirectorySync struct{ careless }

func (d noDirectorySync) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	for _, p := range ps {
		if err := d.EnsureFolders(ctx, []string{p.Folder}); err != nil {
			return nil, err
		}
		err := os.Rename(filepath.Join(d.spool, p.Spool), filepath.Join(d.home, maildir.DirName(p.Folder), "new",
			string("1."+p.Token+".proof")))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return tokens(ps), nil
}
