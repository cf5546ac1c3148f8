package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
)

// ErrReplaced says that the database is not the one that was opened: its file
// was deleted, replaced, emptied or cut, or it belongs to another installation.
// Nothing that it answers may be believed. It wraps account.ErrUnavailable.
var ErrReplaced = fmt.Errorf("%w: it is not the database of this installation", account.ErrUnavailable)

// A Note is something about the installation that the database keeps.
type Note string

// The notes.
const (
	// NoteInstance is the installation's random identity.
	NoteInstance Note = "instance"
	// NoteKeys is what only the keys of this installation open: see vault.Prove.
	NoteKeys Note = "keys"
	// NoteMailboxes is set once the place of the mailboxes carries the identity.
	NoteMailboxes Note = "mailboxes"

	noteProbe    Note = "probe"    // Rewritten by Probe.
	noteAccounts Note = "accounts" // There while there are accounts.
)

// Noted returns a note; "" where there is none, and in a database that never
// held anything of ours.
func (s *Store) Noted(ctx context.Context, n Note) (string, error) {
	value := ""
	err := s.on(s.r).each(ctx, scanInto(&value), "SELECT value FROM meta WHERE name = ?", string(n))
	if gone(err) {
		return "", s.ping(ctx) // No table, or no database.
	}
	return value, s.wrap(ctx, "reading what is noted of the installation", err)
}

// SetNote keeps a note, replacing an earlier one.
func (s *Store) SetNote(ctx context.Context, n Note, value string) error {
	_, err := s.on(s.w).exec(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "+
		"excluded.value", string(n), value)
	return s.wrap(ctx, "noting something of the installation", err)
}

// InstanceID returns the random identity of this installation.
func (s *Store) InstanceID(ctx context.Context) (string, error) {
	var id string
	err := s.on(s.r).row(ctx, "SELECT value FROM meta WHERE name = ?", string(NoteInstance)).Scan(&id)
	return id, s.wrap(ctx, "reading the installation's identity", err)
}

// makeInstance gives a database its identity, if it has none.
func (s *Store) makeInstance(ctx context.Context) error {
	_, err := s.on(s.w).exec(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
		string(NoteInstance), uuid.NewString())
	if err != nil {
		return err
	}
	// Versions that did not note it added accounts too.
	_, err = s.on(s.w).exec(ctx, "INSERT INTO meta (name, value) SELECT ?, 'some' WHERE EXISTS (SELECT 1 FROM accounts) "+
		"ON CONFLICT (name) DO NOTHING", string(noteAccounts))
	if err != nil {
		return err
	}
	id, err := s.InstanceID(ctx)
	if err != nil {
		return err
	}
	return s.markFile(ctx, id)
}

// SetInstance gives the database another identity than its own.
func (s *Store) SetInstance(ctx context.Context, id string) error {
	if err := s.SetNote(ctx, NoteInstance, id); err != nil {
		return err
	}
	const op = "marking the database"
	if err := s.write(ctx, op, func(tx *gorm.DB) error { return s.noteRemoved(ctx, s.on(tx)) }); err != nil {
		return err
	}
	return s.wrap(ctx, op, s.markFile(ctx, id))
}

// noteAdded notes, with an account that is being added, that there are accounts: a
// database that lost them must not pass for one that has none. Whoever adds holds
// off whoever removes the last one, and nobody else who adds.
func (s *Store) noteAdded(ctx context.Context, c sqlConn) error {
	noted := 0
	if err := c.each(ctx, scanInto(&noted), "SELECT 1 FROM meta WHERE name = ?"+s.locking("SHARE"),
		string(noteAccounts)); err != nil || noted > 0 {
		return err
	}
	_, err := c.exec(ctx, "INSERT INTO meta (name, value) VALUES (?, 'some') ON CONFLICT (name) DO NOTHING",
		string(noteAccounts))
	return err
}

// noteRemoved takes the note back when the last account was removed. It is the last
// that a transaction does to rows that others may wait for.
func (s *Store) noteRemoved(ctx context.Context, c sqlConn) error {
	noted := 0
	if err := c.each(ctx, scanInto(&noted), "SELECT 1 FROM meta WHERE name = ?"+s.locking("UPDATE"),
		string(noteAccounts)); err != nil || noted == 0 {
		return err
	}
	// In a statement of its own, which sees what was removed by whom we waited for.
	_, err := c.exec(ctx, "DELETE FROM meta WHERE name = ? AND NOT EXISTS (SELECT 1 FROM accounts)", string(noteAccounts))
	return err
}

// locking makes a SELECT lock the rows that it finds, until the transaction ends. On
// SQLite who writes is alone.
func (s *Store) locking(how string) string {
	if !s.postgres {
		return ""
	}
	return " FOR " + how
}

// Emptied reports whether there were accounts that nobody removed and that are not
// there. A database without the tables of ours is none.
func (s *Store) Emptied(ctx context.Context) (bool, error) {
	emptied := 0
	err := s.on(s.r).each(ctx, scanInto(&emptied),
		"SELECT 1 FROM meta WHERE name = ? AND NOT EXISTS (SELECT 1 FROM accounts)", string(noteAccounts))
	if gone(err) {
		return false, s.ping(ctx)
	}
	return emptied > 0, s.wrap(ctx, "looking whether there are accounts", err)
}

// Expect names the identity that the database has to have from now on: Verify
// compares it, and so does every answer that there is nothing. It is called
// before the store is shared.
func (s *Store) Expect(instance string) { s.expected = instance }

// Verify reports whether this is still the database that was opened, whole as
// far as a look can tell: an error with ErrReplaced or ErrDamaged where it is not,
// and any other where the database does not answer. It writes nothing.
func (s *Store) Verify(ctx context.Context) error {
	if err := s.verifyFile(ctx); err != nil {
		return err
	}
	if _, err := s.damage.now(); err != nil {
		return err
	}
	return s.verifyInstance(ctx)
}

func (s *Store) verifyInstance(ctx context.Context) error {
	if s.expected == "" {
		return nil
	}
	const op = "comparing the installation's identity"
	id, err := s.InstanceID(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows), gone(err):
		return fmt.Errorf("%s: %w: it is empty", op, ErrReplaced)
	case err != nil:
		return s.wrap(ctx, op, err)
	case id != s.expected:
		return fmt.Errorf("%s: %w: its identity is %s", op, ErrReplaced, id)
	}
	emptied, err := s.Emptied(ctx)
	if err == nil && emptied {
		err = fmt.Errorf("%s: %w: its accounts are gone, though nobody removed them", op, ErrReplaced)
	}
	return err
}

// nothing is asked before the answer is given that there is nothing: an emptied
// database must not pass for an empty house.
func (s *Store) nothing(ctx context.Context) error {
	if s.expected == "" {
		return nil
	}
	return s.Verify(ctx)
}

// stillOurs is asked after something was read and before it is returned. A
// file that was copied over ours shows through as soon as a connection forgets the
// pages that it remembers, seconds before the next look may notice: what is read
// before the copy began is ours, and afterwards the file has the mark of another.
// It costs a few system calls, and nothing with PostgreSQL.
func (s *Store) stillOurs(ctx context.Context) error {
	if s.expected == "" {
		return nil
	}
	return s.verifyFile(ctx)
}

// gone reports whether the database holds nothing of ours any more.
func gone(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "42P01" || pg.Code == "3D000" || pg.Code == "3F000" // No such table, database, schema.
	}
	code, ok := sqliteCode(err)
	return ok && code == sqliteError && strings.Contains(err.Error(), "no such table")
}

// probeBytes is what a probe writes: more than what is left in a block that a
// full disk still has.
const probeBytes = 64 << 10

// Probe reports whether the database takes what is written to it. It commits
// one row, and on SQLite writes a file beside the database too: the database's
// own may have room inside while its disk is full.
func (s *Store) Probe(ctx context.Context) error {
	if !s.postgres {
		if err := probeDisk(filepath.Dir(s.path)); err != nil {
			return fmt.Errorf("writing beside the database: %w: %w", account.ErrUnavailable, err)
		}
	}
	return s.SetNote(ctx, noteProbe, uuid.NewString())
}

func probeDisk(dir string) error {
	f, err := os.CreateTemp(dir, ".mailbrook-probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// Integrity has the database look through itself and returns what it finds
// wrong, at most a hundred things, and a remark about what could not be
// looked at. On SQLite it reads the whole file; on PostgreSQL it reads the
// indexes, where the extension amcheck is there and we may use it.
func (s *Store) Integrity(ctx context.Context) (wrong []string, remark string, err error) {
	const op = "checking the database"
	if !s.postgres {
		err := s.on(s.r).each(ctx, func(r rowScanner) error {
			var line string
			err := r.Scan(&line)
			if line != "ok" {
				wrong = append(wrong, line)
			}
			return err
		}, "PRAGMA integrity_check(100)")
		if damaged(err) {
			return append(wrong, err.Error()), "", nil
		}
		return wrong, "", s.wrap(ctx, op, err)
	}
	installed := 0
	if err := s.on(s.r).each(ctx, scanInto(&installed),
		"SELECT 1 FROM pg_extension WHERE extname = 'amcheck'"); err != nil {
		return nil, "", s.wrap(ctx, op, err)
	}
	if installed == 0 {
		return nil, "its indexes were not looked at: PostgreSQL's extension amcheck is not installed " +
			`("CREATE EXTENSION amcheck")`, nil
	}
	var indexes []string
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var name string
		err := r.Scan(&name)
		indexes = append(indexes, name)
		return err
	}, `SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a
		ON a.oid = c.relam
		WHERE a.amname = 'btree' AND c.relnamespace = current_schema()::regnamespace AND i.indisvalid ORDER BY 1`)
	if err != nil {
		return nil, "", s.wrap(ctx, op, err)
	}
	for _, name := range indexes {
		_, err := s.on(s.r).exec(ctx, "SELECT bt_index_check(?::regclass)", name)
		var pg *pgconn.PgError
		switch {
		case errors.As(err, &pg) && pg.Code == "42501":
			return wrong, "its indexes were not looked at: this role may not use amcheck (GRANT EXECUTE ON FUNCTION " +
				"bt_index_check(regclass) …)", nil
		case errors.As(err, &pg) && strings.HasPrefix(pg.Code, "XX"):
			wrong = append(wrong, fmt.Sprintf("index %s: %s", name, pg.Message))
		case err != nil:
			return wrong, "", s.wrap(ctx, op, err)
		}
	}
	return wrong, "", nil
}
