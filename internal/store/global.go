package store

import (
	"context"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fetch"
)

// Delivered returns which of the global names were delivered for the account.
func (j Journal) Delivered(ctx context.Context, l fetch.Lease, globals []string) (map[string]bool, error) {
	found := map[string]bool{}
	c := j.s.on(j.s.r)
	for rest := globals; len(rest) > 0; {
		part := rest[:min(len(rest), messagesAtOnce)]
		rest = rest[len(part):]
		args := journalOf(l)
		for _, g := range part {
			args = append(args, g)
		}
		err := c.each(ctx, func(r rowScanner) error {
			var g string
			err := r.Scan(&g)
			found[g] = true
			return err
		}, `SELECT m.global FROM messages m JOIN folders f ON f.id = m.folder_id JOIN journals j ON j.id = f.journal_id
			WHERE j.uuid = ? AND j.owner = ? AND m.global <> '' AND m.global IN (?`+strings.Repeat(", ?", len(part)-1)+")",
			args...)
		if err != nil {
			return nil, j.s.wrap(ctx, "finding what was delivered from other folders", err)
		}
	}
	return found, nil
}

// alias settles messages that were delivered under another name: rows without a
// fingerprint, which are not counted.
func (w *entryWriter) alias(ctx context.Context, e fetch.Entry) error {
	for _, a := range e.Alias {
		if err := w.own(ctx, a.FolderID); err != nil {
			return err
		}
		args := append(refKey(a.Ref), a.Size, []byte{}, []byte{}, []byte{}, 0, a.Global)
		if _, err := w.exec(ctx, "INSERT INTO messages (folder_id, epoch, uid, uidl, ordinal, size, digest, body, header, "+
			"received_ms, global) VALUES "+marks(messageColumns), args...); err != nil {
			return err
		}
	}
	return nil
}
