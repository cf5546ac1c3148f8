package store

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/fetch"
)

// Generation returns a number that grows with every batch that is staged in
// the account's journal. A spool that notes a greater one has seen deliveries
// that the database has forgotten: it was restored from a backup.
func (j Journal) Generation(ctx context.Context, l fetch.Lease) (int64, error) {
	var n int64
	err := j.s.on(j.s.r).row(ctx, "SELECT generation FROM journals WHERE uuid = ? AND owner = ?", journalOf(l)...).Scan(&n)
	return n, j.s.wrap(ctx, "loading the journal's generation", err)
}

// grow counts a staged batch.
func (w *entryWriter) grow(ctx context.Context) error {
	_, err := w.exec(ctx, "UPDATE journals SET generation = generation + 1 WHERE id = ?", w.journal)
	return err
}

// found settles messages that were delivered before the database was restored.
// One that the journal knows after all is left as it is.
func (w *entryWriter) found(ctx context.Context, e fetch.Entry) error {
	var added []fetch.Member
	for i := range e.Found {
		if err := w.own(ctx, e.Found[i].FolderID); err != nil {
			return err
		}
		var have int
		key := refKey(fetch.Ref{FolderID: e.Found[i].FolderID, FolderEpoch: e.Found[i].FolderEpoch, ID: e.Found[i].ID})
		err := w.each(ctx, scanInto(&have), "SELECT 1 FROM messages WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl "+
			"= ? AND ordinal = ?", key...)
		if err != nil {
			return err
		}
		if have == 0 {
			added = append(added, e.Found[i])
		}
	}
	for rest := added; len(rest) > 0; {
		part := rest[:min(len(rest), messagesAtOnce)]
		rest = rest[len(part):]
		if err := w.insertMessages(ctx, part); err != nil {
			return err
		}
	}
	if len(added) == 0 {
		return nil
	}
	return w.addUp(ctx, added)
}

// unsettle forgets staged messages that are to be fetched again.
func (w *entryWriter) unsettle(ctx context.Context, e fetch.Entry) error {
	for i := range e.Unsettle {
		m := &e.Unsettle[i]
		if err := w.own(ctx, m.FolderID); err != nil {
			return err
		}
		gone, err := w.exec(ctx, "DELETE FROM messages WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? "+
			"AND ordinal = ?", refKey(fetch.Ref{FolderID: m.FolderID, FolderEpoch: m.FolderEpoch, ID: m.ID})...)
		if err != nil {
			return err
		}
		if gone == 0 {
			continue // By an earlier try.
		}
		size := octets(m)
		if _, err := w.exec(ctx, "UPDATE folders SET fetched = fetched - 1, bytes = bytes - ? WHERE id = ?", size,
			m.FolderID); err != nil {
			return err
		}
		if _, err := w.exec(ctx, "UPDATE journals SET messages = messages - 1, bytes = bytes - ? WHERE id = ? AND "+
			"messages > 0", size,
			w.journal); err != nil {
			return err
		}
	}
	return nil
}

// restored brings the journal's generation up to what the spool has noted.
func (w *entryWriter) restored(ctx context.Context, e fetch.Entry) error {
	if e.Restored == 0 {
		return nil
	}
	_, err := w.exec(ctx, "UPDATE journals SET generation = ? WHERE id = ? AND generation < ?", e.Restored, w.journal,
		e.Restored)
	return err
}
