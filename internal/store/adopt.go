package store

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/route"
)

// Remembered calls each for every message that was delivered from the account's
// remote mailbox: those of its journal, and of retired journals of the same
// owner and remote user, which an account leaves behind when it is edited to
// another protocol.
func (j Journal) Remembered(ctx context.Context, l fetch.Lease, each func(k fetch.Known) error) error {
	journals, err := j.siblings(ctx, l)
	if err != nil {
		return j.s.wrap(ctx, "finding what was delivered before", err)
	}
	for _, id := range journals {
		err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
			var k fetch.Known
			var uid int64
			var uidl, digest, body, header []byte
			if err := r.Scan(&k.FolderID, &k.FolderEpoch, &uid, &uidl, &k.ID.Ordinal, &k.Fingerprint.Size, &digest, &body,
				&header); err != nil {
				return err
			}
			k.ID.UID, k.ID.UIDL = uint32(uid), string(uidl)
			copy(k.Fingerprint.Digest[:], digest)
			copy(k.Fingerprint.Body[:], body)
			copy(k.Fingerprint.Header[:], header)
			return each(k)
		}, `SELECT m.folder_id, m.epoch, m.uid, m.uidl, m.ordinal, m.size, m.digest, m.body, m.header
			FROM messages m JOIN folders f ON f.id = m.folder_id WHERE f.journal_id = ? AND m.digest <> ?`, id, []byte{})
		if err != nil {
			return j.s.wrap(ctx, "finding what was delivered before", err)
		}
	}
	return nil
}

// siblings returns the account's journal and the retired ones of the same
// remote user.
func (j Journal) siblings(ctx context.Context, l fetch.Lease) ([]int64, error) {
	var ids []int64
	c := j.s.on(j.s.r)
	if l.Route.Kind == route.Once { // What an account has of the same mailbox lies elsewhere, and is to be copied.
		err := c.each(ctx, func(r rowScanner) error {
			var id int64
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, "SELECT id FROM journals WHERE uuid = ? AND owner = ?", journalOf(l)...)
		return ids, err
	}
	err := c.each(ctx, func(r rowScanner) error {
		var id, retired int64
		var username string
		err := r.Scan(&id, &username, &retired)
		if retired == 0 || retired > forgotten && account.SameUser(username, l.Route.From.Username) {
			ids = append(ids, id)
		}
		return err
	}, `SELECT id, username, retired_ms FROM journals WHERE uuid = ? AND owner = ?
		UNION ALL SELECT id, username, retired_ms FROM journals WHERE owner = ? AND retired_ms > 0 AND uuid <> ?`,
		append(journalOf(l), l.Route.Owner.String(), l.Route.Journal)...)
	return ids, err
}

// forgotten is the mark of a retired journal that is about to be pruned.
const forgotten = 1

var errNotRematched = errors.New("a message to be rematched is not in the journal")

// rematch gives delivered messages their new names. They were counted where they
// were delivered; from now on they count where they are found.
func (w *entryWriter) rematch(ctx context.Context, e fetch.Entry) error {
	for _, a := range e.Rematch {
		if err := w.own(ctx, a.To.FolderID); err != nil {
			return err
		}
		var size int64
		if err := w.row(ctx, "SELECT size FROM messages WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? AND "+
			"ordinal = ?", refKey(a.From)...).Scan(&size); err != nil {
			return errors.Join(errNotRematched, err)
		}
		n, err := w.exec(ctx, `UPDATE messages SET folder_id = ?, epoch = ?, uid = ?, uidl = ?, ordinal = ?
			WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? AND ordinal = ?`, append(refKey(a.To),
			refKey(a.From)...)...)
		if err != nil {
			return err
		}
		if n != 1 {
			return errNotRematched
		}
		if a.From.FolderID == a.To.FolderID {
			continue
		}
		if err := w.recount(ctx, "folders", "fetched", a.From.FolderID, a.To.FolderID, size); err != nil {
			return err
		}
		var from int64
		if err := w.row(ctx, "SELECT journal_id FROM folders WHERE id = ?", a.From.FolderID).Scan(&from); err != nil {
			return err
		}
		if from == w.journal {
			continue
		}
		if err := w.recount(ctx, "journals", "messages", from, w.journal, size); err != nil {
			return err
		}
	}
	return nil
}

// recount has a message count in another row of a table. It takes along what it counted
// for there: about its octets as sent, which is what the journal knows of it, and the
// last one whatever is left, so that the sums stay those of the files. Of a journal
// that counts nothing its account has taken the sums along already: see
// carryOver.
func (w *entryWriter) recount(ctx context.Context, table, messages string, from, to, size int64) error {
	var n, bytes int64
	err := w.row(ctx, "SELECT "+messages+", bytes FROM "+table+" WHERE id = ?", from).Scan(&n, &bytes)
	if err != nil || n == 0 {
		return err
	}
	if size = min(size, bytes); n == 1 {
		size = bytes
	}
	for _, move := range []struct{ id, by int64 }{{from, -1}, {to, 1}} {
		if _, err := w.exec(ctx, "UPDATE "+table+" SET "+messages+" = "+messages+" + ?, bytes = bytes + ? WHERE id = ?",
			move.by, move.by*size, move.id); err != nil {
			return err
		}
	}
	return nil
}

func refKey(r fetch.Ref) []any {
	return []any{r.FolderID, r.FolderEpoch, int64(r.ID.UID), []byte(r.ID.UIDL), r.ID.Ordinal}
}
