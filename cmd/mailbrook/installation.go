package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// The three stores that make an installation, as readiness and the commands
// name them.
const (
	partDatabase  = "database"
	partKeys      = "keys"
	partMailboxes = "mailbox"
)

// mismatch says that one of the three stores is not this installation's.
type mismatch struct {
	part string
	err  error
}

func (m *mismatch) Error() string { return m.part + ": " + m.err.Error() }
func (m *mismatch) Unwrap() error { return m.err }

// How often a running process compares the three, and how often it says that
// they still do not agree.
const (
	lookEvery  = 2 * time.Second
	remindWith = 30 // Looks.
)

// installation holds database, keys and mailboxes together. Each has the same
// random identity, the database a proof of the keys besides, so that a part that
// is missing, empty or another's is noticed, at the start and while running.
type installation struct {
	cfg   config
	log   *slog.Logger
	store *store.Store
	place mailPlace      // Of mailboxes.
	boxes *maildir.Store // What lies there; nil: mailboxes are at an IMAP server.

	id     string // Set by settle, as are those below.
	proof  string // Of the keys.
	marked bool   // Whether the place of mailboxes has the identity.

	mu     sync.Mutex
	wrong  *mismatch       // What the last look found.
	held   context.Context // Ends when the three do not agree any more.
	losing context.CancelCauseFunc
}

// openInstallation opens database and mailboxes and compares their identities and
// that of the keys, before anything is written to any of them.
func openInstallation(ctx context.Context, cfg config, allowed schedule.Allowances,
	log *slog.Logger,
) (_ *installation, err error) {
	n := &installation{cfg: cfg, log: log}
	n.held, n.losing = context.WithCancelCause(context.WithoutCancel(ctx))
	if n.place, n.boxes, err = cfg.openPlace(maildir.Options{
		HeldOpen: shareFiles(openFiles(), cfg.Poll.Workers).spare, Log: log,
	}); err != nil {
		return nil, err
	}
	// The database last: whoever finds keys finds the identity that was made before them.
	b, err := n.read()
	if err != nil {
		return nil, err
	}
	if err := n.openDatabase(ctx, b, b.any(), allowed); err != nil {
		return nil, err
	}
	if cfg.LookThrough && n.store.Size() <= looksThrough {
		if err := n.store.LookThrough(ctx); err != nil {
			return nil, errors.Join(err, n.store.Close())
		}
	}
	// Another process may be making the installation at this moment: what was
	// read before it had done so does not fit what it has made since.
	for looks := 1; ; looks++ {
		err := n.compare(ctx, b)
		if err == nil {
			return n, nil
		}
		if looks == firstLooks || !pause(ctx, firstPause) {
			return nil, errors.Join(err, n.store.Close())
		}
		if b, err = n.read(); err != nil {
			return nil, errors.Join(err, n.store.Close())
		}
	}
}

// openDatabase opens the database. Where it has to exist, a SQLite file that is not there
// is a loss, and none is made in its place.
func (n *installation) openDatabase(ctx context.Context, b partIDs, exists bool,
	allowed schedule.Allowances,
) (err error) {
	n.store, err = openStore(ctx, n.cfg, b, exists, allowed, n.log)
	switch {
	case errors.Is(err, store.ErrMissing):
		return notOurs(partDatabase, fmt.Errorf("%w, while %s", errNoDatabase, b))
	case errors.Is(err, store.ErrNothing):
		return notOurs(partDatabase, fmt.Errorf("%w, while %s", store.ErrNothing, b))
	case errors.Is(err, store.ErrReplaced):
		return notOurs(partDatabase, err)
	}
	return err
}

// errNoDatabase says that an installation has lost its SQLite file.
var errNoDatabase = errors.New("there is none")

const (
	firstLooks = 8                      // So often the parts are compared before they are refused,
	firstPause = 250 * time.Millisecond // with this much time between.
)

// looksThrough is how large a SQLite file is, in bytes, that is read as a whole
// before anything is answered: at 141 MB in 1 to 2 seconds.
const looksThrough = 256 << 20

// lookThroughLarge reads a SQLite file as a whole that is larger than so many bytes,
// too large for that before anything is answered: so it is done before anything is
// delivered. What it finds holds when it returns.
func (n *installation) lookThroughLarge(ctx context.Context, large int64) {
	if n.store.Size() <= large {
		return
	}
	began := time.Now()
	if err := n.store.LookThrough(ctx); err != nil {
		n.log.ErrorContext(ctx, "looking through the database", "error", err)
		n.look(ctx, true)
		return
	}
	n.log.InfoContext(ctx, "looked through the database", "took", time.Since(began).Round(time.Millisecond))
}

// refuseDamaged says what to do with a damaged database.
func refuseDamaged(cfg config, err error) error {
	advice := "look into the server's log, mend it as PostgreSQL's manual says, or put back a backup"
	if cfg.embedded() {
		advice = `end every process, move the file, its "-wal" and its "-shm" away together, and put back a backup; ` +
			`without one, "sqlite3 OLD .recover | sqlite3 NEW" saves what can be read`
	}
	return fmt.Errorf("%w"+nothingBegun+"%s", &mismatch{partDatabase, err}, advice)
}

// pause waits; false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// partIDs are the identities of keys and mailboxes, and whether there are any of these.
type partIDs struct {
	keys, mailboxes string // Identities; "" for none.
	anyKeys         bool
	inhabited       bool // Whether there are mailboxes where they are to be.
}

// any reports whether this is no new installation. Keys alone may have been made
// for a token, before the first start.
func (b partIDs) any() bool { return b.keys != "" || b.mailboxes != "" || b.anyKeys && b.inhabited }

// identities are those that there are.
func (b partIDs) identities() []string {
	return slices.DeleteFunc([]string{b.keys, b.mailboxes}, func(id string) bool { return id == "" })
}

func (b partIDs) String() string {
	switch {
	case b.keys != "":
		return "the keys in data_dir are those of installation " + b.keys
	case b.mailboxes != "":
		return "the mailboxes are those of installation " + b.mailboxes
	}
	return "there are keys in data_dir, and mailboxes"
}

func (n *installation) read() (b partIDs, err error) {
	b.keys, b.anyKeys, err = vault.Installation(n.cfg.DataDir)
	if errors.Is(err, vault.ErrDamaged) {
		return b, notOurs(partKeys, err)
	}
	if err != nil {
		return b, fmt.Errorf("data_dir: %w", err)
	}
	b.mailboxes, err = n.place.Installation()
	if errors.Is(err, maildir.ErrDamaged) {
		return b, notOurs(partMailboxes, err)
	}
	if err != nil {
		return b, err
	}
	b.inhabited, err = n.place.Inhabited()
	return b, err
}

// errEmptied says that somebody else emptied the accounts.
var errEmptied = errors.New("it has no accounts any more, though nobody removed them")

// compare refuses parts that do not belong together.
func (n *installation) compare(ctx context.Context, b partIDs) error {
	id, err := n.store.Noted(ctx, store.NoteInstance)
	if err != nil {
		return err
	}
	marked, err := n.former(ctx)
	if err != nil {
		return err
	}
	switch {
	case id == "" && b.any():
		return notOurs(partDatabase, fmt.Errorf("it is empty, while %s", b))
	case b.keys != "" && b.keys != id && b.mailboxes == b.keys:
		return notOurs(partDatabase, fmt.Errorf("it is that of installation %s, while the keys in data_dir and the "+
			"mailboxes are those of %s", id, b.keys))
	case b.keys != "" && b.keys != id:
		return notOurs(partKeys, fmt.Errorf("those in data_dir are of installation %s, the database is that of %s", b.keys,
			id))
	case b.mailboxes != "" && b.mailboxes != id:
		return notOurs(partMailboxes, fmt.Errorf("those at %s are of installation %s, the database is that of %s",
			n.cfg.Mailbox, b.mailboxes, id))
	case b.mailboxes == "" && marked != nil:
		return notOurs(partMailboxes, fmt.Errorf("the place of %s does not have the identity that it had: is it mounted",
			n.cfg.Mailbox))
	}
	emptied, err := n.store.Emptied(ctx)
	if err == nil && emptied {
		err = notOurs(partDatabase, errEmptied)
	}
	return err
}

// former returns the identity that the mailboxes had in another installation,
// if any; nil while their place was never marked.
func (n *installation) former(ctx context.Context) (*string, error) {
	if n.cfg.byIMAP() {
		return nil, nil // What was marked before is elsewhere.
	}
	return n.formerly(ctx)
}

// formerly is former, of Maildirs that mail is not delivered into any more.
func (n *installation) formerly(ctx context.Context) (*string, error) {
	note, err := n.store.Noted(ctx, store.NoteMailboxes)
	switch {
	case err != nil || note == "":
		return nil, err
	case note == ownMailboxes:
		note = ""
	}
	return &note, nil
}

// ownMailboxes is noted where the mailboxes never had another identity.
const ownMailboxes = "own"

// nothingBegun stands between what is wrong with a part and what to do about it.
const nothingBegun = "; nothing was begun: "

// notOurs refuses to continue with a part, and says how to say that it is right.
func notOurs(part string, err error) error {
	return fmt.Errorf("%w"+nothingBegun+`mount it or put it back from a backup, or see "mailbrook installation --help" `+
		"if it is right as it is", &mismatch{part, err})
}

// settle compares the keys with what the database knows of them, and writes
// the identity to each part that has none yet: on the first start, and on the
// first one after an upgrade from a version without.
func (n *installation) settle(ctx context.Context, v *vault.Vault) (err error) {
	if n.id, err = n.store.InstanceID(ctx); err != nil {
		return err
	}
	if n.proof, err = n.store.Noted(ctx, store.NoteKeys); err != nil {
		return err
	}
	b, err := n.read()
	if err != nil {
		return err
	}
	if n.proof == "" {
		if n.proof, err = n.prove(ctx, v); err != nil {
			return err
		}
	}
	if err := v.CheckProof(n.id, n.proof); err != nil {
		return notOurs(partKeys, err)
	}
	if b.keys == "" {
		if err := v.SetInstallation(n.id); err != nil {
			return err
		}
	}
	if b.mailboxes == "" {
		if err := n.markMailboxes(ctx, ownMailboxes); err != nil {
			return err
		}
	}
	former, err := n.former(ctx)
	if err != nil {
		return err
	}
	n.marked = former != nil
	n.store.Expect(n.id)
	was := ""
	if former != nil {
		was = *former
	}
	n.place.Expect(n.id, was)
	return nil
}

// sampled is how many secrets are tried with keys that nothing is known of.
const sampled = 50

// prove notes which keys are the installation's, once one of them has opened
// something.
func (n *installation) prove(ctx context.Context, v *vault.Vault) (string, error) {
	secrets, err := n.store.Secrets().SealedSecrets(ctx, remote.SecretRef{}, sampled)
	if err != nil {
		return "", err
	}
	if !v.Opens(secrets) {
		return "", notOurs(partKeys, fmt.Errorf("%w: they open none of the saved passwords", vault.ErrForeign))
	}
	return n.noteKeys(ctx, v)
}

func (n *installation) noteKeys(ctx context.Context, v *vault.Vault) (string, error) {
	proof, err := v.Prove(n.id)
	if err != nil {
		return "", err
	}
	return proof, n.store.SetNote(ctx, store.NoteKeys, proof)
}

// markMailboxes writes the identity to the place of mailboxes, where we may
// write there.
func (n *installation) markMailboxes(ctx context.Context, former string) error {
	ok, err := n.place.SetInstallation(n.id)
	if err != nil || !ok {
		return err
	}
	return n.store.SetNote(ctx, store.NoteMailboxes, former)
}

// verifyDatabase, verifyKeys and verifyMailboxes compare one part each with
// what it was at the start. A *mismatch is certain; any other error says that
// the part could not be asked.
func (n *installation) verifyDatabase(ctx context.Context) error {
	err := n.store.Verify(ctx)
	if errors.Is(err, store.ErrReplaced) || errors.Is(err, store.ErrDamaged) {
		return &mismatch{partDatabase, err}
	}
	return err
}

func (n *installation) verifyKeys(context.Context) error {
	v, err := vault.Load(n.cfg.DataDir)
	if err == nil {
		err = v.CheckProof(n.id, n.proof)
	}
	id := ""
	if err == nil {
		id, _, err = vault.Installation(n.cfg.DataDir)
	}
	switch {
	case errors.Is(err, vault.ErrNoKey), errors.Is(err, vault.ErrForeign), errors.Is(err, vault.ErrDamaged):
		return &mismatch{partKeys, err}
	case err != nil:
		return err
	case id != n.id:
		return &mismatch{partKeys, fmt.Errorf("%w: they have %q", vault.ErrForeign, id)}
	}
	return nil
}

func (n *installation) verifyMailboxes(context.Context) error {
	id, err := n.place.Installation()
	switch {
	case errors.Is(err, maildir.ErrDamaged) && n.marked:
		return &mismatch{partMailboxes, err}
	case err != nil:
		return err
	case id != n.id && (n.marked || id != ""):
		return &mismatch{partMailboxes, fmt.Errorf("their place has %q instead of %s", id, n.id)}
	}
	return nil
}

// watch compares the three until ctx ends. While they do not agree, nothing is
// answered and nothing delivered.
func (n *installation) watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for looks := 0; ; looks++ {
		n.look(ctx, looks%remindWith == 0)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.store.Alarm(): // What is certain holds at once.
		}
	}
}

// look compares the three once.
func (n *installation) look(ctx context.Context, remind bool) {
	var wrong *mismatch
	for _, verify := range []func(context.Context) error{n.verifyDatabase, n.verifyKeys, n.verifyMailboxes} {
		if err := verify(ctx); errors.As(err, &wrong) {
			break
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.wrong
	n.wrong = wrong
	switch {
	case wrong != nil && (before == nil || remind):
		n.log.ErrorContext(ctx, "database, keys and mailboxes do not belong together any more: nothing is answered and "+
			"nothing is delivered",
			"part", wrong.part, "error", wrong.err)
		n.losing(wrong)
	case wrong == nil && before != nil:
		n.log.WarnContext(ctx, "database, keys and mailboxes belong together again", "part", before.part)
		n.held, n.losing = context.WithCancelCause(context.WithoutCancel(ctx))
	}
}

// partedError is why nothing is answered: account.ErrUnavailable, and no word of a
// database that does not answer.
type partedError struct{ why error }

func (e *partedError) Error() string { return "nothing is answered: " + e.why.Error() }

func (e *partedError) Unwrap() []error { return []error{account.ErrUnavailable, e.why} }

// holds returns why nothing may be answered or delivered, nil if it may.
func (n *installation) holds() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wrong != nil {
		return &partedError{n.wrong}
	}
	return nil
}

// guard returns a context that ends as soon as the three do not agree any more.
func (n *installation) guard(ctx context.Context) (context.Context, func()) {
	n.mu.Lock()
	held := n.held
	n.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(held, func() { cancel(context.Cause(held)) })
	return ctx, func() { stop(); cancel(nil) }
}

// heldQueue gives out no visits while the installation does not hold together.
type heldQueue struct {
	store.Queue
	house *installation
}

func (q heldQueue) Claim(ctx context.Context, c schedule.Claim) ([]schedule.Lease, error) {
	if err := q.house.holds(); err != nil {
		return nil, err
	}
	return q.Queue.Claim(ctx, c)
}

func (q heldQueue) ClaimOne(ctx context.Context, o owner.Owner, id account.ID,
	c schedule.Claim,
) (schedule.Lease, error) {
	if err := q.house.holds(); err != nil {
		return schedule.Lease{}, err
	}
	return q.Queue.ClaimOne(ctx, o, id, c)
}
