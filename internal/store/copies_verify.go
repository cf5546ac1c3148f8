package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// Ledger is a copy's journal as what verifies it sees it, under a lease.
type Ledger struct {
	s *Store
	l fetch.Lease
}

var _ transfer.Ledger = Ledger{}

// Ledger returns the journal of a copy that is leased.
func (r Copies) Ledger(l fetch.Lease) Ledger { return Ledger{r.s, l} }

// ofCopy restricts a statement to the journal of the copy; its argument is the copy's id.
const ofCopy = "(SELECT journal_id FROM poll_schedule WHERE route_id = ?)"

func (g Ledger) id() string { return string(g.l.Route.ID) }

// Next returns the first folder that this pass has not come to: see transfer.Ledger. Letters of ours are no part of
// what was copied.
func (g Ledger) Next(ctx context.Context) (f transfer.SoughtFolder, more bool, err error) {
	const op = "loading the next folder of a copy"
	c := g.s.on(g.s.r)
	err = c.each(ctx, scanInto(&f.Number, &f.Target), `SELECT f.id, f.local FROM folders f WHERE f.journal_id = `+ofCopy+`
		AND f.wire <> ?
		AND f.id > (SELECT CASE WHEN looked_pass = pass THEN looked_folder ELSE 0 END FROM copies WHERE id = ?)
		AND EXISTS (SELECT 1 FROM messages m WHERE m.folder_id = f.id AND length(m.digest) > 0) ORDER BY f.id LIMIT 1`,
		g.id(), []byte(fetch.LettersWire), g.id())
	if err != nil || f.Number == 0 {
		return f, false, g.s.wrap(ctx, op, err)
	}
	err = c.each(ctx, scanInto(&f.Messages, &f.Told),
		"SELECT count(*), count(CASE WHEN d.target_uid > 0 THEN 1 END) FROM "+messagesOfFolder, f.Number)
	return f, err == nil, g.s.wrap(ctx, op, err)
}

// messagesOfFolder are the copied messages of a folder, which is its argument.
const messagesOfFolder = `messages m LEFT JOIN copied d ON d.folder_id = m.folder_id AND d.epoch = m.epoch AND
	d.uid = m.uid AND d.uidl = m.uidl AND d.ordinal = m.ordinal WHERE m.folder_id = ? AND length(m.digest) > 0`

const soughtColumns = `m.epoch, m.uid, m.uidl, m.ordinal, m.received_ms, m.size, m.digest, m.body, m.header,
	coalesce(d.target_uid, 0), coalesce(d.target_validity, 0), coalesce(d.state, 0),
	CASE WHEN d.checked = (SELECT pass FROM copies WHERE id = ?) THEN 1 ELSE 0 END`

func scanSought(r rowScanner, before ...any) (s transfer.Sought, err error) {
	var uidl, digest, body, header []byte
	var received, at int64
	var state, read int16
	err = r.Scan(append(before, &s.FolderEpoch, &s.ID.UID, &uidl, &s.ID.Ordinal, &received, &s.Print.Size, &digest, &body,
		&header, &at, &s.Validity, &state, &read)...)
	s.ID.UIDL, s.Received, s.At, s.Read = string(uidl), seconds(received), uint64(at), read != 0
	copy(s.Print.Digest[:], digest)
	copy(s.Print.Body[:], body)
	copy(s.Print.Header[:], header)
	if state != 0 {
		s.State = messageStates.word(state)
	}
	if s.State == transfer.MessageAlreadyThere {
		s.State = transfer.MessageCopied
	}
	return s, err
}

// seconds are whole ones, of times before 1970 too.
func seconds(millis int64) int64 {
	s := millis / 1000
	if millis%1000 < 0 {
		s--
	}
	return s
}

// Page returns messages of a folder in the order of their dates: see transfer.Ledger.
func (g Ledger) Page(ctx context.Context, folder, from int64, n int) (page []transfer.Sought, err error) {
	const op = "loading messages of a copy"
	c := g.s.on(g.s.r)
	var beyond *int64
	err = c.each(ctx, scanInto(&beyond), "SELECT m.received_ms FROM messages m WHERE m.folder_id = ? AND "+
		"length(m.digest) > 0 AND m.received_ms >= ? ORDER BY m.received_ms LIMIT 1 OFFSET ?", folder, from*1000, n)
	if err != nil {
		return nil, g.s.wrap(ctx, op, err)
	}
	before := int64(never)
	if beyond != nil {
		before = seconds(*beyond) * 1000
	}
	for {
		err = c.each(ctx, func(r rowScanner) error {
			s, err := scanSought(r)
			page = append(page, s)
			return err
		}, "SELECT "+soughtColumns+" FROM "+messagesOfFolder+` AND m.received_ms >= ? AND m.received_ms < ?
			ORDER BY m.received_ms, m.epoch, m.uid, m.uidl, m.ordinal`, g.id(), folder, from*1000, before)
		if err != nil || len(page) > 0 || beyond == nil || before > *beyond {
			return page, g.s.wrap(ctx, op, err)
		}
		before += 1000 // More than a page came in one second.
	}
}

// Note writes what was found out: see transfer.Ledger.
func (g Ledger) Note(ctx context.Context, folder int64, found []transfer.Verdict) error {
	if len(found) == 0 {
		return nil
	}
	return g.s.write(ctx, "noting what was verified", func(tx *gorm.DB) error {
		c := g.s.on(tx)
		journal, err := g.s.hold(ctx, c, g.l, nil)
		if err != nil {
			return err
		}
		var pass, is int64
		if err := c.each(ctx, scanInto(&pass), "SELECT pass FROM copies WHERE id = ?", g.id()); err != nil {
			return err
		}
		err = c.each(ctx, scanInto(&is), "SELECT id FROM folders WHERE id = ? AND journal_id = ?", folder, journal)
		if err == nil && is == 0 {
			err = errOtherFolder
		}
		if err != nil {
			return err
		}
		const columns, atOnce = 9, 500
		for rest := found; len(rest) > 0; {
			part := rest[:min(len(rest), atOnce)]
			rest = rest[len(part):]
			args := make([]any, 0, len(part)*columns)
			for _, x := range part {
				checked := int64(0)
				if x.Read {
					checked = pass
				}
				args = append(args, folder, x.FolderEpoch, int64(x.ID.UID), []byte(x.ID.UIDL), x.ID.Ordinal, int64(x.Validity),
					int64(x.At), messageStates.code(x.State), checked)
			}
			if _, err := c.exec(ctx, `INSERT INTO copied (folder_id, epoch, uid, uidl, ordinal, target_validity, target_uid,
				state, checked) VALUES `+marks(columns)+strings.Repeat(","+marks(columns), len(part)-1)+`
				ON CONFLICT (folder_id, epoch, uid, uidl, ordinal) DO UPDATE SET
				target_validity = CASE WHEN excluded.target_uid > 0 THEN excluded.target_validity ELSE copied.target_validity END,
				target_uid = CASE WHEN excluded.target_uid > 0 THEN excluded.target_uid ELSE copied.target_uid END,
				state = CASE WHEN copied.state = 2 AND excluded.state = 1 THEN 2 ELSE excluded.state END,
				checked = CASE WHEN excluded.checked > 0 THEN excluded.checked ELSE copied.checked END`, args...); err != nil {
				return fmt.Errorf("noting %d messages: %w", len(part), err)
			}
		}
		return nil
	})
}

// Done notes that a folder was verified: see transfer.Ledger.
func (g Ledger) Done(ctx context.Context, folder int64) error {
	return g.s.write(ctx, "noting a verified folder", func(tx *gorm.DB) error {
		c := g.s.on(tx)
		if _, err := g.s.hold(ctx, c, g.l, nil); err != nil {
			return err
		}
		_, err := c.exec(ctx, "UPDATE copies SET looked_pass = pass, looked_folder = ? WHERE id = ?", folder, g.id())
		return err
	})
}

// Missing returns messages that are: see transfer.Ledger.
func (g Ledger) Missing(ctx context.Context, n int) (gone []transfer.Gone, err error) {
	err = g.s.on(g.s.r).each(ctx, func(r rowScanner) error {
		var x transfer.Gone
		s, err := scanSought(r, &x.Folder)
		x.Sought = s
		gone = append(gone, x)
		return err
	}, `SELECT m.folder_id, `+soughtColumns+` FROM folders f JOIN copied d ON d.folder_id = f.id AND d.state = 4
		JOIN messages m ON m.folder_id = d.folder_id AND m.epoch = d.epoch AND m.uid = d.uid AND m.uidl = d.uidl
			AND m.ordinal = d.ordinal
		WHERE f.journal_id = `+ofCopy+` ORDER BY m.folder_id, m.epoch, m.uid, m.uidl, m.ordinal LIMIT ?`,
		g.id(), g.id(), n)
	return gone, g.s.wrap(ctx, "loading what is missing", err)
}

// Taken returns places at which messages of the copy were found: see transfer.Ledger.
func (g Ledger) Taken(ctx context.Context, target string, validity uint32, at []uint64) (map[uint64]bool, error) {
	taken := map[uint64]bool{}
	for rest := at; len(rest) > 0; {
		part := rest[:min(len(rest), 500)]
		rest = rest[len(part):]
		args := []any{g.id(), storable(target), int64(validity)}
		for _, x := range part {
			args = append(args, int64(x))
		}
		err := g.s.on(g.s.r).each(ctx, func(r rowScanner) error {
			var x int64
			err := r.Scan(&x)
			taken[uint64(x)] = true
			return err
		}, `SELECT d.target_uid FROM copied d JOIN folders f ON f.id = d.folder_id WHERE f.journal_id = `+ofCopy+`
			AND f.local = ? AND d.target_validity = ? AND d.state IN (1, 2, 5) AND d.target_uid IN `+marks(len(part)), args...)
		if err != nil {
			return nil, g.s.wrap(ctx, "loading where messages are", err)
		}
	}
	return taken, nil
}

// Targets returns the folders that were copied into: see transfer.Ledger.
func (g Ledger) Targets(ctx context.Context) (all []string, err error) {
	err = g.s.on(g.s.r).each(ctx, func(r rowScanner) error {
		var name string
		err := r.Scan(&name)
		all = append(all, name)
		return err
	}, "SELECT local FROM folders WHERE journal_id = "+ofCopy+" ORDER BY id", g.id())
	return all, g.s.wrap(ctx, "loading the folders of a copy", err)
}

// Sums returns what the verification of this pass has found so far, and what the copy has come to.
func (g Ledger) Sums(ctx context.Context) (t transfer.Totals, rewritten bool, err error) {
	row, err := g.s.copy(ctx, g.s.on(g.s.r), g.l.Route.Owner, g.l.Route.ID)
	if err != nil {
		return t, false, g.s.wrap(ctx, "loading a copy", err)
	}
	t = row.copy.Status.Totals
	t.MovedOrDeleted, t.Missing, t.Altered, t.VerifiedByDigest = 0, 0, 0, 0
	c := g.s.on(g.s.r)
	err = c.each(ctx, func(r rowScanner) error {
		var state int16
		var n, read int64
		err := r.Scan(&state, &n, &read)
		t.VerifiedByDigest += read
		switch messageStates.word(state) {
		case transfer.MessageMissing:
			t.Missing = n
		case transfer.MessageAltered:
			t.Altered = n
		case transfer.MessageMovedOrDeleted:
			t.MovedOrDeleted = n
		}
		return err
	}, `SELECT d.state, count(*), count(CASE WHEN d.checked = (SELECT pass FROM copies WHERE id = ?) THEN 1 END)
		FROM copied d JOIN folders f ON f.id = d.folder_id WHERE f.journal_id = `+ofCopy+` GROUP BY d.state`, g.id(), g.id())
	var was int16
	if err == nil {
		err = c.each(ctx, scanInto(&was), "SELECT rewritten FROM copies WHERE id = ?", g.id())
	}
	return t, was != 0, g.s.wrap(ctx, "adding up what was verified", err)
}
