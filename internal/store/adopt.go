package store

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/fetch"
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
	err := c.each(ctx, func(r rowScanner) error {
		var id, retired int64
		var username string
		err := r.Scan(&id, &username, &retired)
		if retired == 0 || retired > forgotten && sameUser(username, l.Account.Username) {
			ids = append(ids, id)
		}
		return err
	}, `SELECT id, username, retired_ms FROM journals WHERE uuid = ? AND owner = ?
		UNION ALL SELECT id, username, retired_ms FROM journals WHERE owner = ? AND retired_ms > 0 AND uuid <> ?`,
		append(journalOf(l), l.Account.Owner.String(), l.Account.Journal)...)
	return ids, err
}

// forgotten is the mark of a retired journal that is about to be pruned.
const forgotten = 1

var errNotAdopted = errors.New("a message to be recognised is not in the journal")

// adopt gives delivered messages their new names. They were counted where they
// were delivered; from now on they count where they are found.
func (w *entryWriter) adopt(ctx context.Context, e fetch.Entry) error {
	for _, a := range e.Adopt {
		if err := w.own(ctx, a.To.FolderID); err != nil {
			return err
		}
		var size int64
		if err := w.row(ctx, "SELECT size FROM messages WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? AND "+
			"ordinal = ?", refKey(a.From)...).Scan(&size); err != nil {
			return errors.Join(errNotAdopted, err)
		}
		n, err := w.exec(ctx, `UPDATE messages SET folder_id = ?, epoch = ?, uid = ?, uidl = ?, ordinal = ?
			WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? AND ordinal = ?`, append(refKey(a.To),
			refKey(a.From)...)...)
		if err != nil {
			return err
		}
		if n != 1 {
			return errNotAdopted
		}
		if a.From.FolderID == a.To.FolderID {
			continue
		}
		for _, move := range []struct {
			folder int64
			by     int64
		}{{a.From.FolderID, -1}, {a.To.FolderID, 1}} {
			if _, err := w.exec(ctx, "UPDATE folders SET fetched = fetched + ?, bytes = bytes + ? WHERE id = ?", move.by,
				move.by*size, move.folder); err != nil {
				return err
			}
			if _, err := w.exec(ctx, "UPDATE journals SET messages = messages + ?, bytes = bytes + ? WHERE id = (SELECT "+
				"journal_id FROM folders WHERE id = ?)", move.by, move.by*size, move.folder); err != nil {
				return err
			}
		}
	}
	return nil
}

func refKey(r fetch.Ref) []any {
	return []any{r.FolderID, r.FolderEpoch, int64(r.ID.UID), []byte(r.ID.UIDL), r.ID.Ordinal}
}
