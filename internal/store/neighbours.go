package store

import (
	"context"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// mostSuspects bounds how many users one maildrop is compared with.
const mostSuspects = 20

// OwnerOf returns whose mailbox a journal's account is fetched into: see
// fetch.Journal.
func (j Journal) OwnerOf(ctx context.Context, journal string) (owner.Owner, bool, error) {
	if !isID(journal) {
		return owner.Owner{}, false, nil
	}
	owners, err := j.owners(ctx, "SELECT owner FROM journals WHERE uuid = ?", journal)
	if err != nil || len(owners) == 0 {
		return owner.Owner{}, false, err
	}
	return owners[0], true, nil
}

// Suspects returns the users whose inbox a maildrop may be: see fetch.Journal.
func (j Journal) Suspects(ctx context.Context, validity uint32, logins []string) ([]owner.Owner, error) {
	var conditions []string
	var args []any
	if validity != 0 {
		conditions, args = append(conditions, "inbox_validity > 0 AND inbox_validity = ?"), append(args, int64(validity))
	}
	for _, login := range logins {
		login = storable(strings.ToLower(login))
		if login == "" {
			continue
		}
		conditions, args = append(conditions, "owner = ?"), append(args, login)
		if !strings.Contains(login, "@") { // "A" follows "@": whatever the domain.
			conditions, args = append(conditions, "owner > ? AND owner < ?"), append(args, login+"@", login+"A")
		}
	}
	if len(conditions) == 0 {
		return nil, nil
	}
	return j.owners(ctx, "SELECT DISTINCT owner FROM journals WHERE "+strings.Join(conditions, " OR ")+" ORDER BY owner "+
		"LIMIT ?", append(args, mostSuspects)...)
}

func (j Journal) owners(ctx context.Context, query string, args ...any) ([]owner.Owner, error) {
	var out []owner.Owner
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var address string
		if err := r.Scan(&address); err != nil {
			return err
		}
		o, err := owner.Parse(address)
		out = append(out, o)
		return err
	}, query, args...)
	return out, j.s.wrap(ctx, "finding users by what is fetched for them", err)
}

// Brought goes through all that was delivered for a user: see fetch.Journal.
func (j Journal) Brought(ctx context.Context, o owner.Owner, yield func(size int64, received time.Time,
	digest [32]byte),
) error {
	err := j.s.on(j.s.r).each(ctx, func(r rowScanner) error {
		var size, received int64
		var digest []byte
		if err := r.Scan(&size, &received, &digest); err != nil {
			return err
		}
		var d [32]byte
		if copy(d[:], digest) == len(d) { // Shorter ones stand for messages that are known by another name only.
			yield(size, fromMillis(received), d)
		}
		return nil
	}, `SELECT m.size, m.received_ms, m.digest FROM journals j JOIN folders f ON f.journal_id = j.id JOIN messages m
		ON m.folder_id = f.id
		WHERE j.owner = ?`, o.String())
	return j.s.wrap(ctx, "going through what was fetched for a user", err)
}

// inbox notes by what the owner's inbox is known again.
func (w *entryWriter) inbox(ctx context.Context, e fetch.Entry) error {
	if e.Inbox == 0 {
		return nil
	}
	_, err := w.exec(ctx, "UPDATE journals SET inbox_validity = ? WHERE id = ? AND inbox_validity <> ?", int64(e.Inbox),
		w.journal, int64(e.Inbox))
	return err
}
