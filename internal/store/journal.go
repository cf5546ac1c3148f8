package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Journal remembers what was delivered, for package fetch. Reads go to the
// journal that the lease's account has; writes hold the lease's row from
// their first statement on, so that of two workers one waits and then finds
// its lease gone.
type Journal struct{ s *Store }

var _ fetch.Journal = Journal{}

// The states of a batch.
const (
	intended = 1
	staged   = 2
)

// ofJournal restricts a statement to the journal of a lease's account.
const ofJournal = "(SELECT id FROM journals WHERE uuid = ? AND owner = ?)"

const folderColumns = "id, wire, remote, local, special_use, selected, epoch, uidvalidity, next_uid, counted, " +
	"listing, full_scan_ms, remaining, since_ms, first_uid, fetched, bytes, leads_back, shared, renumbered_ms"

// Folders returns what is known of the account's folders, oldest first.
func (j Journal) Folders(ctx context.Context, l fetch.Lease) ([]fetch.Folder, error) {
	var fs []fetch.Folder
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var f fetch.Folder
		var wire, listing []byte
		var selected, leadsBack, shared int16
		var scanned, since, renumbered int64
		err := r.Scan(&f.ID, &wire, &f.Remote, &f.Local, &f.SpecialUse, &selected, &f.Epoch, &f.UIDValidity,
			&f.Cursor.UIDNext, &f.Cursor.Messages, &listing, &scanned, &f.Remaining, &since, &f.FirstUID, &f.Fetched, &f.Bytes,
			&leadsBack, &shared, &renumbered)
		f.Wire, f.Selected, f.Cursor.FullScan = string(wire), selected != 0, fromMillis(scanned)
		f.Since, f.LeadsBack = fromMillis(since), leadsBack != 0
		f.Shared, f.Renumbered = shared != 0, fromMillis(renumbered)
		copy(f.Cursor.Listing[:], listing)
		fs = append(fs, f)
		return err
	}, "SELECT "+folderColumns+" FROM folders WHERE journal_id = "+ofJournal+" ORDER BY id", journalOf(l)...)
	return fs, j.s.wrap(ctx, "loading the journal's folders", err)
}

func journalOf(l fetch.Lease) []any { return []any{l.Route.Journal, l.Route.Owner.String()} }

// AddFolders gives new folders their numbers: see fetch.Journal.
func (j Journal) AddFolders(ctx context.Context, l fetch.Lease, fs []fetch.Folder) ([]fetch.Folder, error) {
	out := make([]fetch.Folder, len(fs))
	copy(out, fs)
	err := j.s.write(ctx, "adding folders to the journal", func(tx *gorm.DB) error {
		c := j.s.on(tx)
		journal, err := j.s.hold(ctx, c, l, nil)
		if err != nil {
			return err
		}
		wires := map[string]bool{}
		err = c.each(ctx, func(r rowScanner) error {
			var wire []byte
			err := r.Scan(&wire)
			wires[string(wire)] = true
			return err
		}, "SELECT wire FROM folders WHERE journal_id = ?", journal)
		if err != nil {
			return err
		}
		for i := range out {
			f := &out[i]
			if wires[f.Wire] {
				return fmt.Errorf("folder %q is in the journal already", f.Remote)
			}
			wires[f.Wire] = true
			f.Fetched, f.Bytes = 0, 0
			err := c.row(ctx, "INSERT INTO folders (journal_id, wire, remote, local, special_use, selected, epoch, "+
				"uidvalidity, next_uid, counted, listing, full_scan_ms, remaining, since_ms, first_uid, leads_back, "+
				"shared, renumbered_ms) VALUES "+marks(18)+" RETURNING id",
				append([]any{journal, []byte(f.Wire), storable(f.Remote), storable(f.Local)}, folderState(*f)...)...).Scan(&f.ID)
			if err != nil {
				return fmt.Errorf("folder %q in %q: %w", f.Remote, f.Local, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// folderState returns the columns that change with visits, in the order of the
// two statements that write them.
func folderState(f fetch.Folder) []any {
	listing := f.Cursor.Listing[:]
	if f.Cursor.Listing == [16]byte{} {
		listing = []byte{}
	}
	return []any{
		storable(f.SpecialUse), flag(f.Selected), f.Epoch, int64(f.UIDValidity), int64(f.Cursor.UIDNext),
		int64(f.Cursor.Messages),
		listing, toMillis(f.Cursor.FullScan), f.Remaining, toMillis(f.Since), int64(f.FirstUID), flag(f.LeadsBack),
		flag(f.Shared), toMillis(f.Renumbered),
	}
}

// hold makes sure that l is the account's lease and keeps it so until the
// transaction ends, extends it, and notes the progress where there is one.
// fetch.ErrFenced says that it is not.
func (s *Store) hold(ctx context.Context, c sqlConn, l fetch.Lease, p *route.Progress) (journal int64, err error) {
	now := s.now().UnixMilli()
	set, args := "", []any{now, now}
	if p != nil {
		set = ", progress_folder = ?, progress_done = ?, progress_total = ?, progress_bytes = ?"
		args = append(args, storable(p.Folder), p.MessagesDone, p.MessagesTotal, p.BytesDone)
	}
	err = c.each(ctx, scanInto(&journal), `UPDATE poll_schedule SET lease_until_ms =
		CASE WHEN lease_until_ms > CAST(? AS BIGINT) + lease_ms THEN lease_until_ms ELSE CAST(? AS BIGINT) + lease_ms END`+
		set+`
		WHERE route_id = ? AND lease_epoch = ? AND lease_owner = ? RETURNING journal_id`,
		append(args, leaseKey(l)...)...)
	if err == nil && journal == 0 {
		err = fetch.ErrFenced
	}
	return journal, err
}

// leaseKey is what identifies a lease in a statement.
func leaseKey(l fetch.Lease) []any { return []any{string(l.Route.ID), l.Epoch, l.Worker} }

// Open returns the batches that were begun and not delivered, oldest first.
func (j Journal) Open(ctx context.Context, l fetch.Lease) ([]fetch.Batch, error) {
	var bs []fetch.Batch
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var b fetch.Batch
		var state int16
		var members []byte
		if err := r.Scan(&b.Key.Epoch, &b.Key.Seq, &state, &members); err != nil {
			return err
		}
		if state == staged {
			var err error
			if b.Members, err = decodeMembers(members); err != nil {
				return fmt.Errorf("batch %d/%d: %w", b.Key.Epoch, b.Key.Seq, err)
			}
		}
		bs = append(bs, b)
		return nil
	}, "SELECT lease_epoch, seq, state, members FROM batches WHERE journal_id = "+ofJournal+" ORDER BY lease_epoch, seq",
		journalOf(l)...)
	return bs, j.s.wrap(ctx, "loading open batches", err)
}

// Settled calls each for a folder's staged and delivered messages: see
// fetch.Journal. The order is that of the key.
func (j Journal) Settled(ctx context.Context, l fetch.Lease, f fetch.Folder, from uint32, each func(id mail.ID,
	size int64) error,
) error {
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var id mail.ID
		var uidl []byte
		var size int64
		if err := r.Scan(&id.UID, &uidl, &id.Ordinal, &size); err != nil {
			return err
		}
		id.UIDL = string(uidl)
		return each(id, size)
	}, "SELECT uid, uidl, ordinal, size FROM messages WHERE folder_id = (SELECT id FROM folders WHERE id = ? AND "+
		"journal_id = "+ofJournal+
		") AND epoch = ? AND uid >= ? ORDER BY uid, uidl, ordinal", append(append([]any{f.ID}, journalOf(l)...), f.Epoch,
		int64(from))...)
	return j.s.wrap(ctx, "loading what is settled", err)
}

// HeadersOf returns the header hashes of messages by their UIDs or unique-ids:
// see fetch.Journal.
func (j Journal) HeadersOf(ctx context.Context, l fetch.Lease, f fetch.Folder,
	ids []mail.ID,
) (map[mail.ID][][16]byte, error) {
	out := map[mail.ID][][16]byte{}
	for rest := ids; len(rest) > 0; {
		part := rest[:min(len(rest), messagesAtOnce)]
		rest = rest[len(part):]
		args := append(append([]any{f.ID}, journalOf(l)...), f.Epoch, []byte{})
		for _, id := range part {
			args = append(args, int64(id.UID))
		}
		for _, id := range part {
			args = append(args, []byte(id.UIDL))
		}
		list := "(?" + strings.Repeat(", ?", len(part)-1) + ")"
		err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
			var id mail.ID
			var uidl, header []byte
			err := r.Scan(&id.UID, &uidl, &header)
			id.UIDL = string(uidl)
			var hash [16]byte
			if copy(hash[:], header); hash != [16]byte{} { // Else the message was found again and not read.
				out[id] = append(out[id], hash)
			}
			return err
		}, "SELECT uid, uidl, header FROM messages WHERE folder_id = (SELECT id FROM folders WHERE id = ? AND journal_id = "+
			ofJournal+") AND epoch = ? AND digest <> ? AND uid IN "+list+" AND uidl IN "+list, args...)
		if err != nil {
			return nil, j.s.wrap(ctx, "finding messages by their names", err)
		}
	}
	return out, nil
}

// Skipped returns the account's skipped messages.
func (j Journal) Skipped(ctx context.Context, l fetch.Lease) ([]fetch.Skipped, error) {
	var out []fetch.Skipped
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var k fetch.Skipped
		var uidl []byte
		var code, detail string
		var first, last, next, sent int64
		var held, requested int16
		err := r.Scan(&k.FolderID, &k.FolderEpoch, &k.ID.UID, &uidl, &k.ID.Ordinal, &k.Size, &code, &detail, &k.Attempts,
			&first, &last, &next, &held, &requested, &k.About.Sender, &k.About.Subject, &sent)
		k.About.Date = fromMillis(sent)
		k.Held, k.Requested = held != 0, requested != 0
		k.ID.UIDL, k.Code, k.Detail = string(uidl), fault.Code(code), words.Kept(detail)
		k.FirstAt, k.LastAt, k.NextAt = fromMillis(first), fromMillis(last), fromMillis(next)
		out = append(out, k)
		return err
	}, `SELECT k.folder_id, k.epoch, k.uid, k.uidl, k.ordinal, k.size, k.code, k.detail, k.attempts, k.first_ms,
		k.last_ms, k.next_ms, k.held, k.requested, k.sender, k.subject, k.sent_ms
		FROM skipped k JOIN folders f ON f.id = k.folder_id WHERE f.journal_id = `+ofJournal+
		` ORDER BY k.folder_id, k.epoch, k.uid, k.uidl, k.ordinal`, journalOf(l)...)
	return out, j.s.wrap(ctx, "loading skipped messages", err)
}

// Limit returns what the owner's mailbox may hold, as it was set here.
func (j Journal) Limit(ctx context.Context, o owner.Owner) (owner.Limit, error) {
	row, c := unlimited(o), j.s.on(j.s.r)
	err := c.each(ctx, scanInto(&row.SetBytes, &row.SetMessages, &row.SetBy), "SELECT set_bytes, set_messages, set_by "+
		"FROM owners WHERE owner = ?", o.String())
	if err == nil {
		err = j.s.inherit(ctx, c, &row)
	}
	return row.set(), j.s.wrap(ctx, "loading a quota", err)
}

// Commit writes an entry in one transaction: see fetch.Journal. A message
// counts as settled from the commit that stages it; delivering a batch only
// takes the batch away.
func (j Journal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	return j.s.write(ctx, "writing the journal", func(tx *gorm.DB) error {
		c := j.s.on(tx)
		id, err := j.s.hold(ctx, c, l, &e.Progress)
		if err != nil {
			return err
		}
		w := entryWriter{sqlConn: c, journal: id}
		for _, step := range []func(context.Context, fetch.Entry) error{
			w.deliver, w.place, w.drop, w.unsettle, w.stage, w.restage, w.found, w.restored, w.alias, w.rematch, w.intend,
			w.folders,
			w.writeBeforeStart, w.skip, w.unskip, w.capabilities, w.inbox,
		} {
			if err := step(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
