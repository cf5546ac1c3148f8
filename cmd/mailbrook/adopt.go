package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/vault"
)

type installationCmd struct {
	Status installationStatusCmd `cmd:"" default:"1" help:"Show the identity of database, keys and mailboxes."`
	Adopt  installationAdoptCmd  `cmd:"" help:"Accept one of them as it is, although it has another identity or none."`
}

type installationStatusCmd struct{}

// Run prints the identity of each part; it ends with status 1 when they differ, or keys
// are damaged.
func (installationStatusCmd) Run(ctx context.Context, t terminal, load loader) error {
	n, b, err := readParts(t, load)
	if err != nil {
		return err
	}
	differ := n.openParts(ctx, b, n.cfg.embedded())
	if differ != nil && !errors.Is(differ, errNoDatabase) && !errors.Is(differ, store.ErrNothing) {
		return differ
	}
	if differ == nil {
		defer n.store.Close()
		if differ = n.compare(ctx, b); differ == nil {
			differ = n.withoutKeys(ctx)
		}
	}
	tab := newTable("part", "identity", "where").keeping("identity", "where")
	tab.add(partDatabase, orNone(n.id), n.cfg.databaseName())
	keys, damaged := orNone(b.keys), n.damagedKeys()
	if damaged != nil {
		keys += " (DAMAGED)"
	}
	tab.add(partKeys, keys, n.cfg.DataDir)
	tab.add(partMailboxes, orNone(b.mailboxes), n.cfg.mailboxesAt())
	if err := tab.write(t.page()); err != nil {
		return err
	}
	return errors.Join(damaged, differ)
}

// damagedKeys is what is wrong with the key files themselves, nil where they can be
// used or are not there.
func (n *installation) damagedKeys() error {
	_, err := vault.Load(n.cfg.DataDir)
	if errors.Is(err, vault.ErrDamaged) {
		return notOurs(partKeys, err)
	}
	return nil
}

// withoutKeys refuses a database whose keys are lost. One of another version's schema,
// which does not tell, is left to the start.
func (n *installation) withoutKeys(ctx context.Context) error {
	_, missing := vault.Load(n.cfg.DataDir)
	if !errors.Is(missing, vault.ErrNoKey) || n.store.CheckSchema(ctx) != nil {
		return nil
	}
	lost, err := lostKeys(ctx, n.cfg, n.store)
	if lost != "" {
		err = fmt.Errorf("%w: %s", &mismatch{partKeys, errors.New(lost)}, findKeys)
	}
	return err
}

func orNone(id string) string {
	if id == "" {
		return "none"
	}
	return id
}

type installationAdoptCmd struct {
	Part string `arg:"" enum:"database,keys,mailboxes" help:"database, keys or mailboxes."`
}

// Help is shown below the usage.
func (installationAdoptCmd) Help() string {
	return "database: it is a new one, or came from elsewhere; it takes the identity of keys and mailboxes.\n\n" +
		"keys: they are other ones, or were lost and made again; users enter their passwords again.\n\n" +
		"mailboxes: they lie elsewhere now, or came from elsewhere; they take the database's identity.\n\n" +
		"End every process of the installation before."
}

// Run gives one part the identity of the others. It is for when no process of
// the installation runs.
func (c installationAdoptCmd) Run(ctx context.Context, t terminal, load loader) error {
	n, b, err := readParts(t, load)
	if err != nil {
		return err
	}
	if c.Part == "mailboxes" && n.cfg.byIMAP() {
		return usageError{fmt.Errorf("the mailboxes are at %s (imap.address): an IMAP server has no identity to adopt",
			n.cfg.IMAP.Address)}
	}
	if _, err := os.Stat(n.cfg.DataDir); err != nil {
		return usageError{fmt.Errorf("data_dir: %w: mount it, or make it", err)}
	}
	// A database that is new may be one that is not there yet.
	if err := n.openParts(ctx, b, n.cfg.embedded() && c.Part != "database"); err != nil {
		return err
	}
	defer n.store.Close()
	switch c.Part {
	case "database":
		return n.adoptDatabase(ctx, t, b, n.id)
	case "keys":
		return n.adoptKeys(ctx, t, n.id)
	}
	return n.adoptMailboxes(ctx, t, b, n.id)
}

// note writes down that a part is adopted, before it is. A database of another
// version's schema, which is brought up later, has no place for it.
func (n *installation) note(ctx context.Context, part string) error {
	if err := n.store.CheckSchema(ctx); err != nil {
		if errors.Is(err, store.ErrSchemaOld) || errors.Is(err, store.ErrSchemaNew) {
			return nil
		}
		return err
	}
	return n.store.Audit().Record(ctx, audit.Entry{
		Action: audit.InstallationAdopted, Details: map[string]string{"part": part},
	})
}

// readParts reads the identities of keys and mailboxes, agreeing or not.
func readParts(t terminal, load loader) (*installation, partIDs, error) {
	cfg, err := load()
	if err != nil {
		return nil, partIDs{}, err
	}
	if cfg.embedded() {
		if err := cfg.mustStand(); err != nil {
			return nil, partIDs{}, err
		}
	}
	n := &installation{cfg: cfg, log: newLogger(cfg, t.err)}
	if n.place, n.boxes, err = cfg.openPlace(maildir.Options{Log: n.log, Existing: true}); err != nil {
		return nil, partIDs{}, err
	}
	b, err := n.read()
	return n, b, err
}

// openParts opens the database as it is, with the identity that it holds.
func (n *installation) openParts(ctx context.Context, b partIDs, exists bool) (err error) {
	if err := n.openDatabase(ctx, b, exists, nil); err != nil {
		return err
	}
	if n.id, err = n.store.Noted(ctx, store.NoteInstance); err != nil {
		return errors.Join(err, n.store.Close())
	}
	return nil
}

var errNoIdentity = errors.New("neither keys nor mailboxes have an identity, so there is none to take: start the " +
	"program as it is")

func (n *installation) adoptDatabase(ctx context.Context, t terminal, b partIDs, was string) error {
	switch n.id = b.keys; {
	case n.id == "":
		n.id = b.mailboxes
	case b.mailboxes != "" && b.mailboxes != n.id:
		return usageError{fmt.Errorf("the keys are those of installation %s, the mailboxes those of %s: adopt one of them "+
			"first", b.keys, b.mailboxes)}
	}
	if n.id == "" && !b.anyKeys {
		return usageError{errNoIdentity}
	}
	// "migrate up" refuses one that is not ours yet.
	if err := n.store.Migrate(ctx); err != nil {
		return err
	}
	if n.id == "" { // Keys of a version that marked nothing: the database's identity is as good as any.
		var err error
		if n.id, err = n.store.InstanceID(ctx); err != nil {
			return err
		}
	}
	if err := n.note(ctx, partDatabase); err != nil {
		return err
	}
	if err := n.store.SetInstance(ctx, n.id); err != nil {
		return err
	}
	if b.mailboxes != "" {
		if err := n.store.SetNote(ctx, store.NoteMailboxes, ownMailboxes); err != nil {
			return err
		}
	}
	v, err := vault.Open(n.cfg.DataDir)
	if err != nil {
		return err
	}
	if err := n.takeKeys(ctx, t, v); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "The database is now that of installation %s; it was %s.\n", n.id, orNone(was))
	return nil
}

func (n *installation) adoptKeys(ctx context.Context, t terminal, id string) error {
	if id == "" {
		return usageError{errors.New("the database has no identity: adopt the database first")}
	}
	if err := n.note(ctx, partKeys); err != nil {
		return err
	}
	v, err := vault.Open(n.cfg.DataDir)
	if err != nil {
		return err
	}
	if err := n.takeKeys(ctx, t, v); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "The keys in %s are now those of installation %s.\n", n.cfg.DataDir, id)
	return nil
}

// takeKeys writes the identity to the keys and a proof of them to the database, and
// says whom that shuts out.
func (n *installation) takeKeys(ctx context.Context, t terminal, v *vault.Vault) error {
	lost, err := v.Unreadable(ctx, n.store.Secrets())
	if err != nil {
		return err
	}
	if _, err := n.noteKeys(ctx, v); err != nil {
		return err
	}
	if err := v.SetInstallation(n.id); err != nil {
		return err
	}
	if lost > 0 {
		fmt.Fprintf(t.out, "%d accounts need their passwords entered again: these keys do not open them.\n", lost)
	}
	return nil
}

func (n *installation) adoptMailboxes(ctx context.Context, t terminal, b partIDs, id string) error {
	if id == "" {
		return usageError{errors.New("the database has no identity: adopt the database first")}
	}
	if err := n.note(ctx, partMailboxes); err != nil {
		return err
	}
	former := ownMailboxes
	if b.mailboxes != "" && b.mailboxes != id {
		former = b.mailboxes
	}
	if err := n.markMailboxes(ctx, former); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "The mailboxes at %s are now those of installation %s; they were %s.\n", n.cfg.Mailbox, id,
		orNone(b.mailboxes))
	return nil
}
