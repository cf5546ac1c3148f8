package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
)

var _ check.Journals = (*Store)(nil)

// JournalReports returns a user's journals as they are at one moment, those of removed
// accounts included until they are forgotten.
func (s *Store) JournalReports(ctx context.Context, o owner.Owner,
	messages bool,
) (out []check.JournalReport, err error) {
	var opts []*sql.TxOptions
	if s.postgres { // On SQLite every reading transaction sees one moment.
		opts = append(opts, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	}
	err = s.r.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		moment := &Store{w: tx, r: tx, postgres: s.postgres, log: s.log, now: s.now, clock: s.clock, damage: s.damage}
		out, err = moment.journalReports(ctx, o)
		for i := range out {
			if err == nil {
				err = moment.fillReport(ctx, o, &out[i], messages)
			}
		}
		return err
	}, opts...)
	return out, s.wrap(ctx, "reading the journals", err)
}

func (s *Store) journalReports(ctx context.Context, o owner.Owner) (out []check.JournalReport, err error) {
	now := s.now().UnixMilli()
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var l check.JournalReport
		var worker string
		var until int64
		err := r.Scan(&l.Journal, &l.Generation, &l.Account, &l.Email, &worker, &until)
		l.Visiting = worker != "" && until > now
		out = append(out, l)
		return err
	}, `SELECT j.uuid, j.generation, coalesce(CAST(a.id AS TEXT), CAST(c.id AS TEXT), ''),
		coalesce(a.email, c.source_email, ''), coalesce(p.lease_owner, ''), coalesce(p.lease_until_ms, 0)
		FROM journals j LEFT JOIN poll_schedule p ON p.journal_id = j.id LEFT JOIN accounts a ON a.id = p.route_id
		LEFT JOIN copies c ON c.id = p.route_id
		WHERE j.owner = ? AND j.retired_ms <> 1 AND coalesce(c.target_host, '') = '' ORDER BY j.retired_ms, j.id`, o.String())
	return out, err
}

// fillReport reads what a journal holds.
func (s *Store) fillReport(ctx context.Context, o owner.Owner, l *check.JournalReport, messages bool) (err error) {
	j, lease := s.Journal(), fetch.Lease{Route: route.Route{Journal: l.Journal, Owner: o}}
	if l.Open, err = j.Open(ctx, lease); err != nil || !messages {
		return err
	}
	if l.Folders, err = j.Folders(ctx, lease); err != nil {
		return err
	}
	if l.Skipped, err = j.Skipped(ctx, lease); err != nil {
		return err
	}
	for _, f := range l.Folders {
		err := j.BeforeStart(ctx, lease, f, func(id mail.ID) error {
			l.BeforeStart = append(l.BeforeStart, fetch.Ref{FolderID: f.ID, FolderEpoch: f.Epoch, ID: id})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.on(s.r).each(ctx, func(r rowScanner) error {
		var m check.Message
		var uid, received int64
		var uidl, digest, body, header []byte
		err := r.Scan(&m.FolderID, &m.FolderEpoch, &uid, &uidl, &m.ID.Ordinal, &m.Fingerprint.Size, &digest, &body, &header,
			&received, &m.Global)
		m.ID.UID, m.ID.UIDL, m.Received, m.Alias = uint32(uid), string(uidl), fromMillis(received), len(digest) == 0
		copy(m.Fingerprint.Digest[:], digest)
		copy(m.Fingerprint.Body[:], body)
		copy(m.Fingerprint.Header[:], header)
		l.Messages = append(l.Messages, m)
		return err
	}, `SELECT m.folder_id, m.epoch, m.uid, m.uidl, m.ordinal, m.size, m.digest, m.body, m.header, m.received_ms, m.global
		FROM messages m JOIN folders f ON f.id = m.folder_id WHERE f.journal_id = `+ofJournal, journalOf(lease)...)
}
