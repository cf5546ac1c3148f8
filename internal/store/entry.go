package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fetch"
)

// entryWriter writes the parts of one entry into one journal.
type entryWriter struct {
	sqlConn
	journal int64
	known   map[int64]bool // The journal's folders, once asked for.
}

func (w *entryWriter) deliver(ctx context.Context, e fetch.Entry) error {
	if len(e.Deliver) == 0 {
		return nil
	}
	for _, k := range e.Deliver {
		n, err := w.exec(ctx, "DELETE FROM batches WHERE journal_id = ? AND lease_epoch = ? AND seq = ? AND state = ?",
			w.journal, k.Epoch, k.Seq, staged)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("batch %d/%d is delivered, but was not staged", k.Epoch, k.Seq)
		}
	}
	return nil
}

// place notes where messages of a copy lie at its target. What is said again is the newer word.
func (w *entryWriter) place(ctx context.Context, e fetch.Entry) error {
	const columns = 7
	for rest := e.Placed; len(rest) > 0; {
		part := rest[:min(len(rest), messagesAtOnce)]
		rest = rest[len(part):]
		args := make([]any, 0, len(part)*columns)
		for _, x := range part {
			args = append(args, x.FolderID, x.FolderEpoch, int64(x.ID.UID), []byte(x.ID.UIDL), x.ID.Ordinal, int64(x.Validity),
				int64(x.UID))
		}
		if _, err := w.exec(ctx, "INSERT INTO copied (folder_id, epoch, uid, uidl, ordinal, target_validity, target_uid) "+
			"VALUES "+marks(columns)+strings.Repeat(","+marks(columns), len(part)-1)+" ON CONFLICT (folder_id, epoch, uid, "+
			"uidl, ordinal) DO UPDATE SET target_validity = excluded.target_validity, target_uid = excluded.target_uid, "+
			"state = 1, checked = 0", args...); err != nil {
			return fmt.Errorf("noting where %d messages lie: %w", len(part), err)
		}
	}
	return nil
}

func (w *entryWriter) drop(ctx context.Context, e fetch.Entry) error {
	for _, k := range e.Drop {
		if _, err := w.exec(ctx, "DELETE FROM batches WHERE journal_id = ? AND lease_epoch = ? AND seq = ? AND state = ?",
			w.journal, k.Epoch, k.Seq, intended); err != nil {
			return err
		}
	}
	return nil
}

func (w *entryWriter) stage(ctx context.Context, e fetch.Entry) error {
	b := e.Stage
	if b == nil {
		return nil
	}
	members, err := encodeMembers(b.Members)
	if err != nil {
		return err
	}
	n, err := w.exec(ctx, "UPDATE batches SET state = ?, members = ? WHERE journal_id = ? AND lease_epoch = ? AND seq = "+
		"? AND state = ?",
		staged, members, w.journal, b.Key.Epoch, b.Key.Seq, intended)
	if err != nil {
		return err
	}
	if n == 0 {
		return fetch.ErrFenced // It was dropped behind our back.
	}
	for rest := b.Members; len(rest) > 0; {
		part := rest[:min(len(rest), messagesAtOnce)]
		rest = rest[len(part):]
		if err := w.insertMessages(ctx, part); err != nil {
			return err
		}
	}
	if err := w.grow(ctx); err != nil {
		return err
	}
	return w.addUp(ctx, b.Members)
}

// restage gives a staged batch other members. Their rows stay as they are.
func (w *entryWriter) restage(ctx context.Context, e fetch.Entry) error {
	b := e.Restage
	if b == nil {
		return nil
	}
	members, err := encodeMembers(b.Members)
	if err != nil {
		return err
	}
	n, err := w.exec(ctx, "UPDATE batches SET members = ? WHERE journal_id = ? AND lease_epoch = ? AND seq = ? AND "+
		"state = ?", members, w.journal, b.Key.Epoch, b.Key.Seq, staged)
	if err == nil && n == 0 {
		err = fmt.Errorf("batch %d/%d has other members, but was not staged", b.Key.Epoch, b.Key.Seq)
	}
	return err
}

func (w *entryWriter) insertMessages(ctx context.Context, ms []fetch.Member) error {
	args := make([]any, 0, len(ms)*messageColumns)
	for i := range ms {
		m := &ms[i]
		p := &m.Fingerprint
		args = append(args, m.FolderID, m.FolderEpoch, int64(m.ID.UID), []byte(m.ID.UIDL), m.ID.Ordinal,
			p.Size, p.Digest[:], p.Body[:], p.Header[:], toMillis(m.Placement.Received), m.Global)
	}
	_, err := w.exec(ctx, "INSERT INTO messages (folder_id, epoch, uid, uidl, ordinal, size, digest, body, header, "+
		"received_ms, global) VALUES "+
		marks(messageColumns)+strings.Repeat(","+marks(messageColumns), len(ms)-1), args...)
	if err != nil {
		return fmt.Errorf("settling %d messages: %w", len(ms), err)
	}
	return nil
}

// octets is what a message counts for, as the mailbox is measured; of what was found in
// it again only the octets as sent are known.
func octets(m *fetch.Member) int64 { return cmp.Or(m.Placement.FileSize, m.Fingerprint.Size) }

// addUp adds staged messages to the sums of their folders and of the journal.
func (w *entryWriter) addUp(ctx context.Context, ms []fetch.Member) error {
	type sum struct{ messages, bytes int64 }
	var total sum
	var order []int64
	sums := map[int64]*sum{}
	for i := range ms {
		s := sums[ms[i].FolderID]
		if s == nil {
			s = &sum{}
			sums[ms[i].FolderID] = s
			order = append(order, ms[i].FolderID)
		}
		s.messages++
		n := octets(&ms[i])
		s.bytes += n
		total.messages++
		total.bytes += n
	}
	for _, id := range order {
		n, err := w.exec(ctx, "UPDATE folders SET fetched = fetched + ?, bytes = bytes + ? WHERE id = ? AND journal_id = ?",
			sums[id].messages, sums[id].bytes, id, w.journal)
		if err != nil {
			return err
		}
		if n == 0 {
			return errOtherFolder
		}
	}
	_, err := w.exec(ctx, "UPDATE journals SET messages = messages + ?, bytes = bytes + ? WHERE id = ?", total.messages,
		total.bytes, w.journal)
	return err
}

func (w *entryWriter) capabilities(ctx context.Context, e fetch.Entry) error {
	if e.Capabilities == "" {
		return nil
	}
	_, err := w.exec(ctx, "UPDATE journals SET capabilities = ? WHERE id = ?", storable(e.Capabilities), w.journal)
	return err
}

var errOtherFolder = errors.New("a folder does not belong to the account's journal")

func (w *entryWriter) intend(ctx context.Context, e fetch.Entry) error {
	if e.Intend == nil {
		return nil
	}
	_, err := w.exec(ctx, "INSERT INTO batches (journal_id, lease_epoch, seq, state, members) VALUES (?, ?, ?, ?, ?)",
		w.journal, e.Intend.Epoch, e.Intend.Seq, intended, []byte{})
	return err
}

func (w *entryWriter) folders(ctx context.Context, e fetch.Entry) error {
	for _, f := range e.Folders {
		// Its local folder moves when the user renames the account's.
		args := append([]any{storable(f.Local)}, folderState(f)...)
		n, err := w.exec(ctx, `UPDATE folders SET local = ?, special_use = ?, selected = ?, epoch = ?, uidvalidity = ?,
			next_uid = ?, counted = ?,
			listing = ?, full_scan_ms = ?, remaining = ?, since_ms = ?, first_uid = ?, leads_back = ?,
			shared = ?, renumbered_ms = ? WHERE id = ? AND journal_id = ?`, append(args, f.ID, w.journal)...)
		if err != nil {
			return err
		}
		if n == 0 {
			return errOtherFolder
		}
	}
	return nil
}

func (w *entryWriter) skip(ctx context.Context, e fetch.Entry) error {
	for _, k := range e.Skip {
		if err := w.own(ctx, k.FolderID); err != nil {
			return err
		}
		_, err := w.exec(ctx, `INSERT INTO skipped (folder_id, epoch, uid, uidl, ordinal, size, code, detail, attempts,
			first_ms, last_ms, next_ms, held, sid, sender, subject, sent_ms)
			VALUES `+marks(17)+` ON CONFLICT (folder_id, epoch, uid, uidl, ordinal) DO UPDATE SET size = excluded.size,
			code = excluded.code,
			detail = excluded.detail, attempts = excluded.attempts, last_ms = excluded.last_ms, next_ms = excluded.next_ms,
			held = excluded.held, sender = COALESCE(NULLIF(excluded.sender, ''), skipped.sender),
			subject = COALESCE(NULLIF(excluded.subject, ''), skipped.subject),
			sent_ms = COALESCE(NULLIF(excluded.sent_ms, 0), skipped.sent_ms),
			requested = CASE WHEN CAST(? AS INTEGER) = 1 THEN 0 ELSE skipped.requested END`,
			k.FolderID, k.FolderEpoch, int64(k.ID.UID), []byte(k.ID.UIDL), k.ID.Ordinal, k.Size, string(k.Code),
			storable(k.Detail.Keep()),
			k.Attempts, toMillis(k.FirstAt), toMillis(k.LastAt), toMillis(k.NextAt), flag(k.Held), newSID(),
			storable(k.About.Sender), storable(k.About.Subject), toMillis(k.About.Date), flag(k.Requested))
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *entryWriter) unskip(ctx context.Context, e fetch.Entry) error {
	for _, k := range e.Unskip {
		if err := w.own(ctx, k.FolderID); err != nil {
			return err
		}
		if _, err := w.exec(ctx, "DELETE FROM skipped WHERE folder_id = ? AND epoch = ? AND uid = ? AND uidl = ? AND "+
			"ordinal = ?",
			k.FolderID, k.FolderEpoch, int64(k.ID.UID), []byte(k.ID.UIDL), k.ID.Ordinal); err != nil {
			return err
		}
	}
	return nil
}

// own refuses a folder of another journal.
func (w *entryWriter) own(ctx context.Context, folder int64) error {
	if w.known == nil {
		w.known = map[int64]bool{}
		err := w.each(ctx, func(r rowScanner) error {
			var id int64
			err := r.Scan(&id)
			w.known[id] = true
			return err
		}, "SELECT id FROM folders WHERE journal_id = ?", w.journal)
		if err != nil {
			return err
		}
	}
	if !w.known[folder] {
		return errOtherFolder
	}
	return nil
}

// messagesAtOnce keeps one statement's parameters far below what both
// databases take.
const (
	messagesAtOnce = 200
	messageColumns = 11
)
